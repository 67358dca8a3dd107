package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/canary"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/proof"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// The environment by which the test binary becomes the process that is killed.
const (
	killWorld = "ASTERN_KILL_WORLD" // folder of the world to act in
	killAt    = "ASTERN_KILL_AT"    // "before N" or "after N": at which write of the store it kills itself; "" never
)

// noRaceSleep keeps a binary built with the race detector from sleeping a second at its end.
const noRaceSleep = "GORACE=atexit_sleep_ms=0"

// TestMain lets the test binary be an astern that carries out the one execution of its world and is killed on the way.
func TestMain(m *testing.M) {
	if folder := os.Getenv(killWorld); folder != "" {
		os.Exit(carryOut(folder, os.Getenv(killAt)))
	}
	if folder := os.Getenv(watchFolder); folder != "" {
		os.Exit(watchUntilResolved(folder, os.Getenv(watchAt)))
	}
	for name, value := range canary.Variables() { // for all tests: those that run side by side can't set any
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// carryOut applies the world's plan, or goes on with its execution, and returns the exit code.
func carryOut(folder, at string) int {
	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(folder, ".astern"))
	if err != nil {
		return complain(err)
	}
	defer store.Close()
	k := &killer{Store: store, folder: folder}
	k.when, k.left = parseKill(at)
	a, err := app.Open(filepath.Join(folder, "astern.yaml"), k)
	if err != nil {
		return complain(err)
	}
	defer a.Close()
	if err := os.WriteFile(filepath.Join(folder, "astern.pid"), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return complain(err)
	}
	doc, err := os.ReadFile(filepath.Join(folder, "plan.json"))
	if err != nil {
		return complain(err)
	}
	e, _, err := a.Apply(ctx, doc, app.Vouch{Trust: planfile.Hash(doc)})
	if err != nil {
		return complain(err)
	}
	_, _, err = a.Run(ctx, e.ID, nil)
	fmt.Printf("writes %d\n", k.writes)
	return complain(err)
}

func parseKill(at string) (when string, n int) {
	when, number, _ := strings.Cut(at, " ")
	n, _ = strconv.Atoi(number) // "" means never
	return when, n
}

func complain(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err, astern.HintOf(err))
	}
	return astern.ExitCode(err)
}

// killer is a store that kills its own process right before or right after one of its writes.
type killer struct {
	*sqlite.Store
	folder string
	when   string
	left   int
	lock   sync.Mutex // a watch writes beside what it carries out
	writes int
}

func (k *killer) around(write func() error) error {
	k.lock.Lock()
	k.writes++
	here := k.writes == k.left
	k.lock.Unlock()
	if k.when == "before" && here {
		k.die()
	}
	if k.when == "dump" && here {
		_ = syscall.Kill(os.Getpid(), syscall.SIGQUIT) // it always may
		select {}
	}
	err := write()
	if k.when == "after" && here {
		k.die()
	}
	return err
}

func (k *killer) die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // it always may kill itself
	select {}
}

func (k *killer) Append(ctx context.Context, id string, fence int64, records ...astern.Record) error {
	return k.around(func() error { return k.Store.Append(ctx, id, fence, records...) })
}

func (k *killer) Take(ctx context.Context, id string, r astern.Runner, alive func(astern.Runner) bool, minFence int64, at time.Time) (fence int64, err error) {
	err = k.around(func() error { fence, err = k.Store.Take(ctx, id, r, alive, minFence, at); return err })
	return fence, err
}

func (k *killer) CreateExecution(ctx context.Context, e astern.Execution, fence int64) (made astern.Execution, created bool, err error) {
	err = k.around(func() error { made, created, err = k.Store.CreateExecution(ctx, e, fence); return err })
	return made, created, err
}

func (k *killer) PutPlan(ctx context.Context, hash string, doc []byte, at time.Time) error {
	return k.around(func() error { return k.Store.PutPlan(ctx, hash, doc, at) })
}

func (k *killer) AddEventUnder(ctx context.Context, fence int64, e astern.Event) (stored astern.Event, err error) {
	err = k.around(func() error { stored, err = k.Store.AddEventUnder(ctx, fence, e); return err })
	return stored, err
}

func (k *killer) AddEvent(ctx context.Context, e astern.Event) (stored astern.Event, err error) {
	err = k.around(func() error { stored, err = k.Store.AddEvent(ctx, e); return err })
	return stored, err
}

const killConfig = `version: 1
system: killed
environments:
  test:
    components:
      shop:
        kind: host.service
        checks:
          alive: {command: {argv: [./root/ctl, status, "{member}"]}, effects: none, each: true}
          probe: {http: {url: "http://MIRROR/", headers: {Authorization: {file: .canaries/header}, X-Token: {env: PROBE_TOKEN}}}, each: true}
        ready: [alive]
        with:
          root: root
          link: current-{instance}
          instances: [{name: shop-1, address: "127.0.0.1:1"}, {name: shop-2, address: "127.0.0.1:2"}, {name: shop-3, address: "127.0.0.1:3"}]
          commands: {restart: [./ctl, restart, "{instance}"], status: [./ctl, status, "{instance}"]}
          uptime: 50ms
`

// killCtl restarts a process that does nothing but live, and notes each restart with its token. It kills astern at the
// point that the file "kill" names, once.
const killCtl = `#!/bin/sh
set -eu
cd "$(dirname "$0")"
point() {
	if [ -f ../kill ] && [ "$(cat ../kill)" = "$1" ]; then
		rm -f ../kill
		kill -9 "$(cat ../astern.pid)"
	fi
}
pid=run/$2.pid
case $1 in
restart)
	point "before $2"
	if [ -f "$pid" ]; then
		old=$(cat "$pid")
		kill -9 "$old" 2>/dev/null || :
		while kill -0 "$old" 2>/dev/null && [ "$(cut -d' ' -f3,20 "/proc/$old/stat" 2>/dev/null)" != "Z 1" ]; do sleep 0.01; done
	fi
	echo "$2 $ASTERN_TOKEN" >>restarts
	setsid "./current-$2/serve" "$2" </dev/null >/dev/null 2>&1 &
	echo $! >"$pid.new"
	mv "$pid.new" "$pid"
	point "after $2"
	;;
status)
	[ -f "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null || exit 3
	[ "$(cut -d' ' -f3,20 "/proc/$(cat "$pid")/stat")" != "Z 1" ] || exit 3
	cat "$pid"
	;;
stop)
	[ ! -f "$pid" ] || kill -9 "$(cat "$pid")" 2>/dev/null || :
	;;
esac
`

// world is a small service of three real processes with two releases, and a plan of at least twelve steps.
type world struct {
	t        *testing.T
	folder   string
	refusals *atomic.Int32 // how often the probed service still fails, and tells every secret that it was sent
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{t, t.TempDir(), new(atomic.Int32)}
	w.must(canary.Place(w.folder))
	mirror := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.refusals.Add(-1) >= 0 {
			rw.WriteHeader(http.StatusInternalServerError)
		}
		_ = r.Header.Write(rw) // whoever hung up has seen enough
	}))
	t.Cleanup(mirror.Close)
	t.Cleanup(w.search) // when everything has been done
	w.write("astern.yaml", strings.ReplaceAll(killConfig, "http://MIRROR", mirror.URL), 0o600)
	w.write("root/ctl", killCtl, 0o700)
	for _, v := range []string{"v1", "v2"} {
		w.write("root/releases/"+v+"/serve", "#!/bin/sh\n# "+v+"\nexec sleep 600\n", 0o700)
	}
	w.must(os.MkdirAll(filepath.Join(w.folder, "root", "run"), 0o700))
	for i := 1; i <= 3; i++ {
		w.must(os.Symlink("releases/v2", filepath.Join(w.folder, "root", fmt.Sprintf("current-shop-%d", i))))
		w.ctl("restart", i)
	}
	t.Cleanup(func() {
		for i := 1; i <= 3; i++ {
			w.ctl("stop", i)
		}
	})
	w.must(os.Remove(filepath.Join(w.folder, "root", "restarts")))
	w.plan()
	return w
}

// search looks for secrets in everything that the world's folder holds: state, plans, notes, outputs.
func (w world) search() {
	files, found, err := canary.Search(w.folder)
	if err != nil || files < 2 {
		w.t.Errorf("searching for canaries: %d files, %v", files, err)
	}
	for _, leak := range found {
		w.t.Error(leak)
	}
}

func (w world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w world) write(name, text string, mode os.FileMode) {
	w.t.Helper()
	path := filepath.Join(w.folder, name)
	w.must(os.MkdirAll(filepath.Dir(path), 0o700))
	w.must(os.WriteFile(path, []byte(text), mode))
}

func (w world) ctl(verb string, i int) string {
	w.t.Helper()
	cmd := exec.Command("./ctl", verb, fmt.Sprintf("shop-%d", i))
	cmd.Dir = filepath.Join(w.folder, "root")
	cmd.Env = append(os.Environ(), "ASTERN_TOKEN=setup")
	out, err := cmd.Output()
	w.must(err)
	return strings.TrimSpace(string(out))
}

// plan records the history and makes the plan back to v1.
func (w world) plan() {
	ctx := w.t.Context()
	store, err := sqlite.Open(ctx, filepath.Join(w.folder, ".astern"))
	w.must(err)
	defer store.Close()
	a, err := app.Open(filepath.Join(w.folder, "astern.yaml"), store)
	w.must(err)
	defer a.Close()
	for _, v := range []string{"v1", "v2"} {
		_, warnings, err := a.RecordDeploy(ctx, app.Record{Component: "shop", Revision: v})
		w.must(err)
		if len(warnings) > 0 {
			w.t.Fatal(warnings)
		}
	}
	_, err = a.RecordKnownGood(ctx, app.Record{Component: "shop", Revision: "v1", Reason: "test"})
	w.must(err)
	p, err := a.Plan(ctx, app.Ask{Verb: astern.VerbRollback, Components: []string{"shop"}, Percent: 34, Way: "cli", Reason: "test"})
	w.must(err)
	steps := 0
	for i := range p.Plan.Stages {
		lanes, err := p.Plan.Lanes(i)
		w.must(err)
		for _, l := range lanes {
			steps += len(l.Steps)
		}
	}
	if steps < 12 {
		w.t.Fatalf("the plan has %d steps, 12 are wanted", steps)
	}
	w.must(os.WriteFile(filepath.Join(w.folder, "plan.json"), p.Doc, 0o600))
}

// run starts the process that carries out the plan and returns its exit code, -1 when it was killed.
func (w world) run(at string) (code int, out string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killWorld+"="+w.folder, killAt+"="+at, noRaceSleep)
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	for _, leak := range canary.Leaks(b) {
		w.t.Errorf("the program printed %s", leak)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// end is everything that must be the same at the end, however often the way was interrupted.
type end struct {
	Links, Restarts, Swaps []string
	Events                 []string
	Outcome                astern.Outcome
	Files                  []string
	Processes              int // started in the world and alive
}

func (w world) end() end {
	w.t.Helper()
	var e end
	for i := 1; i <= 3; i++ {
		name := fmt.Sprintf("shop-%d", i)
		target, err := os.Readlink(filepath.Join(w.folder, "root", "current-"+name))
		w.must(err)
		e.Links = append(e.Links, target)
		cmdline, err := os.ReadFile("/proc/" + w.ctl("status", i) + "/cmdline")
		w.must(err)
		if !strings.Contains(string(cmdline), "sleep") {
			w.t.Errorf("%s runs %q", name, cmdline)
		}
	}
	e.Restarts = firstWords(w.lines("root/restarts"))
	for _, l := range w.lines("root/.astern-history.jsonl") {
		var s struct{ Link, Instance, Revision, From string }
		w.must(json.Unmarshal([]byte(l), &s))
		e.Swaps = append(e.Swaps, s.Link+s.Instance+" "+s.From+" -> "+s.Revision)
	}
	ctx := w.t.Context()
	store, err := sqlite.OpenReadOnly(ctx, filepath.Join(w.folder, ".astern"))
	w.must(err)
	defer store.Close()
	events, err := store.Events(ctx, "", 0)
	w.must(err)
	for _, ev := range events {
		e.Events = append(e.Events, string(ev.Kind)+" "+ev.Revision)
	}
	all, err := store.Executions(ctx, 0, false)
	w.must(err)
	if len(all) != 1 {
		w.t.Fatalf("%d executions", len(all))
	}
	e.Outcome = all[0].Outcome
	e.Files = w.files()
	e.Processes = w.processes()
	slices.Sort(e.Restarts)
	slices.Sort(e.Swaps)
	return e
}

// processes counts those that astern's commands started in this world and that live.
func (w world) processes() int {
	dirs, err := filepath.Glob("/proc/[0-9]*/environ")
	w.must(err)
	n := 0
	for _, d := range dirs {
		env, err := os.ReadFile(d) // one that ended meanwhile has none
		if err == nil && strings.Contains(string(env), "ASTERN_ROOT="+filepath.Join(w.folder, "root")) {
			n++
		}
	}
	return n
}

// files lists everything in the root but what differs by nature.
func (w world) files() []string {
	var out []string
	w.must(filepath.WalkDir(filepath.Join(w.folder, "root"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(w.folder, path)
		out = append(out, rel)
		return err
	}))
	return out
}

func (w world) lines(name string) []string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.folder, name))
	w.must(err)
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func firstWords(lines []string) []string {
	var out []string
	for _, l := range lines {
		word, _, _ := strings.Cut(l, " ")
		out = append(out, word)
	}
	return out
}

// TestKilledAnywhere kills the process before and after every write of the store, and before and after every restart in
// the world, of a plan with at least twelve steps. Whoever goes on must come to the same end as an uninterrupted run,
// with no effect twice, nothing lost, and no file left over. The writes are dealt out in two parts.
func TestKilledAnywhere(t *testing.T) {
	first, count := proof.Seeds(t, 1)
	w := newWorld(t)
	code, out := w.run("")
	if code != 0 {
		t.Fatalf("uninterrupted: exit %d: %s", code, out)
	}
	want := w.end()
	if want.Outcome != astern.OutcomeDone || len(want.Restarts) != 3 || len(want.Swaps) != 3 || want.Processes != 3 {
		t.Fatalf("uninterrupted: %+v", want)
	}
	var writes int
	if _, err := fmt.Sscanf(out, "writes %d", &writes); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= writes; n++ {
		if part := uint64(n % 4); part < first || part >= first+count {
			continue
		}
		for _, when := range []string{"before", "after"} {
			t.Run(fmt.Sprintf("%s write %d of %d", when, n, writes), func(t *testing.T) {
				t.Parallel()
				killed(t, fmt.Sprintf("%s %d", when, n), "", want)
			})
		}
	}
	for i := 1; i <= 3; i++ {
		for _, when := range []string{"before", "after"} {
			t.Run(fmt.Sprintf("%s restart of shop-%d", when, i), func(t *testing.T) {
				t.Parallel()
				killed(t, "", fmt.Sprintf("%s shop-%d", when, i), want)
			})
		}
	}
}

// killed runs a fresh world, has its process killed at the point, goes on, and compares the end.
func killed(t *testing.T, at, restart string, want end) {
	w := newWorld(t)
	if restart != "" {
		w.write("kill", restart, 0o600)
	}
	code, out := w.run(at)
	if code == 0 && beyond(at, out) {
		t.Logf("this run made fewer writes than the uninterrupted one, whose gate took more rounds: %s", out)
	} else if code != -1 {
		t.Fatalf("the process was not killed: exit %d: %s", code, out)
	} else if code, out := w.run(""); code != 0 {
		t.Fatalf("going on: exit %d: %s", code, out)
	}
	got := w.end()
	if !equalEnds(got, want) {
		t.Errorf("the end differs:\n got %+v\nwant %+v", got, want)
	}
}

// beyond reports whether a run that ended by itself made fewer writes than the one at which it was to be killed.
func beyond(at, out string) bool {
	_, n := parseKill(at)
	var writes int
	_, err := fmt.Sscanf(out, "writes %d", &writes)
	return err == nil && n > writes
}

func equalEnds(a, b end) bool {
	return slices.Equal(a.Links, b.Links) && slices.Equal(a.Restarts, b.Restarts) && slices.Equal(a.Swaps, b.Swaps) &&
		slices.Equal(a.Events, b.Events) && a.Outcome == b.Outcome && slices.Equal(a.Files, b.Files) && a.Processes == b.Processes
}

// TestCrashDumpHoldsNoSecret: the dump of every goroutine, in the middle of an execution whose checks use secrets, holds none;
// neither does what is left of it, before and after somebody goes on.
func TestCrashDumpHoldsNoSecret(t *testing.T) {
	w := newWorld(t)
	w.refusals.Store(2)
	code, out := w.run("dump 9")
	if code != 2 || strings.Count(out, "\ngoroutine ") < 2 {
		t.Fatalf("no crash dump: exit %d: %s", code, out)
	}
	w.search()
	// The gate fails by what the service said, which had the secrets in it.
	if code, out = w.run(""); code != 6 || !strings.Contains(out, "X-Token: <secret>") {
		t.Errorf("going on: exit %d: %s", code, out)
	}
}
