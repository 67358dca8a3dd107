package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/astern-dev/astern/internal/host/hosttest"
	"github.com/astern-dev/astern/internal/proof"
)

// A system whose every effect is a line in a file that its own commands write: nothing here is what astern says of itself.
const contestedSystem = `version: 1
system: contested
environments:
  test:
HOSTS
    components:
      shop:
        kind: host.service
        with:
          root: ROOT
          link: current-{instance}
          instances: [{name: shop-1AT}, {name: shop-2AT}]
          commands:
            drain: [./ctl, drain, "{instance}"]
            restart: [./ctl, restart, "{instance}"]
            undrain: [./ctl, undrain, "{instance}"]
            status: [./ctl, status, "{instance}"]
          uptime: 1ms
          retention: {keep: 1}
`

// contestedCtl notes what it was asked to do and for which revision; restart leaves a process whose identity is a new one.
const contestedCtl = `#!/bin/sh
cd "$(dirname "$0")" || exit 1
case $1 in
status)
	[ -s "run-$2" ] && kill -0 "$(cat "run-$2")" 2>/dev/null || exit 3
	exec cat "run-$2"
	;;
esac
echo "$1 $2 $ASTERN_REVISION" >>effects
if [ "$1" = restart ]; then
	[ ! -s "run-$2" ] || kill -9 "$(cat "run-$2")" 2>/dev/null
	setsid sleep 600 </dev/null >/dev/null 2>&1 &
	echo $! >"run-$2.new"
	mv "run-$2.new" "run-$2"
fi
`

// contest is a system with a release root, and state folders of several operators.
type contest struct {
	testing.TB
	folder string
	server *hosttest.Server // by which the release root is reached; nil where it is this machine's
}

func newContest(t testing.TB, states ...string) contest {
	t.Helper()
	return contestAt(t, false, states...)
}

// contestAt is one whose release root is reached by SSH, or is this machine's.
func contestAt(t testing.TB, far bool, states ...string) contest {
	t.Helper()
	c := contest{t, t.TempDir(), nil}
	hosts, at := "", ""
	if far {
		server := hosttest.Start(t)
		c.server = &server
		hosts = fmt.Sprintf("    hosts: {far: {ssh: {address: %q, user: %q, key_file: %q, known_hosts: %q}}}",
			server.SSH.Address, server.SSH.User, server.SSH.KeyFile, server.SSH.KnownHosts)
		at = ", host: far"
	}
	c.write("astern.yaml", strings.NewReplacer("HOSTS", hosts, "ROOT", filepath.Join(c.folder, "root"), "AT}", at+"}").Replace(contestedSystem), 0o600)
	c.write("root/ctl", contestedCtl, 0o755)
	for _, v := range []string{"v1", "v2", "v3"} {
		c.write("root/releases/"+v+"/version", v, 0o600)
	}
	t.Cleanup(c.end)
	c.reset()
	for _, s := range states {
		for _, v := range []string{"v1", "v2", "v3"} {
			c.must(0, s, "record", "deploy", "shop", v, "--reason", "test")
			c.must(0, s, "record", "known-good", "shop", v, "--reason", "test")
		}
	}
	return c
}

// end ends the processes that the commands left.
func (c contest) end() {
	files, _ := filepath.Glob(filepath.Join(c.folder, "root", "run-*")) // the pattern is fine
	for _, f := range files {
		pid, err := os.ReadFile(f)
		if err == nil {
			_ = exec.Command("kill", "-9", strings.TrimSpace(string(pid))).Run() // it may have ended
		}
	}
}

func (c contest) write(name, text string, mode os.FileMode) {
	c.Helper()
	at := filepath.Join(c.folder, name)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		c.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(text), mode); err != nil {
		c.Fatal(err)
	}
}

// reset puts the links to v3, ends what was started under another, and forgets what was done.
func (c contest) reset() {
	c.Helper()
	c.end()
	for _, name := range []string{"shop-1", "shop-2"} {
		if err := os.Remove(filepath.Join(c.folder, "root", "run-"+name)); err != nil && !os.IsNotExist(err) {
			c.Fatal(err)
		}
		at := filepath.Join(c.folder, "root", "current-"+name)
		_ = os.Remove(at) // there is none at first
		if err := os.Symlink("releases/v3", at); err != nil {
			c.Fatal(err)
		}
	}
	c.write("root/effects", "", 0o600)
}

// command is astern with a state folder, not started yet.
func (c contest) command(state string, args ...string) *exec.Cmd {
	cmd := exec.Command("astern", append([]string{"--state", filepath.Join(c.folder, state)}, args...)...)
	cmd.Dir = c.folder
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	return cmd
}

// must runs astern and demands an exit code.
func (c contest) must(code int, state string, args ...string) string {
	c.Helper()
	got, out := c.run(state, args...)
	if got != code {
		c.Fatalf("astern %s: exit code %d, want %d:\n%s", strings.Join(args, " "), got, code, out)
	}
	return out
}

func (c contest) run(state string, args ...string) (code int, out string) {
	c.Helper()
	b, err := c.command(state, args...).CombinedOutput()
	return c.code(err), string(b)
}

func (c contest) code(err error) int {
	c.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.Fatal(err)
	}
	if exit != nil {
		return exit.ExitCode()
	}
	return 0
}

// plan writes a plan back to the revision into a file and returns its name.
func (c contest) plan(state, revision string) string {
	c.Helper()
	file := filepath.Join(c.folder, "plan-"+state+"-"+revision+".json")
	c.must(0, state, "plan", "rollback", "shop", "--to", revision, "--watch", "0s", "--reason", "test", "--out", file)
	return file
}

// effects are the lines that the commands wrote.
func (c contest) effects() []string {
	c.Helper()
	b, err := os.ReadFile(filepath.Join(c.folder, "root", "effects"))
	if err != nil {
		c.Fatal(err)
	}
	return strings.Fields(strings.ReplaceAll(strings.TrimSpace(string(b)), " ", ":"))
}

// links are the releases that the links lead to.
func (c contest) links() []string {
	c.Helper()
	var out []string
	for _, name := range []string{"shop-1", "shop-2"} {
		to, err := os.Readlink(filepath.Join(c.folder, "root", "current-"+name))
		if err != nil {
			c.Fatal(err)
		}
		out = append(out, filepath.Base(to))
	}
	return out
}

// whole demands that the plan to the revision was carried out, once, and nothing else.
func (c contest) whole(revision string) {
	c.Helper()
	var want []string
	for _, name := range []string{"shop-1", "shop-2"} {
		for _, verb := range []string{"drain", "restart", "undrain"} {
			want = append(want, verb+":"+name+":"+revision)
		}
	}
	if got := c.effects(); strings.Join(got, " ") != strings.Join(want, " ") {
		c.Errorf("the commands did %v, want %v", got, want)
	}
	if got := c.links(); got[0] != revision || got[1] != revision {
		c.Errorf("the links lead to %v, want %s", got, revision)
	}
}

// operator is one who applies a plan at the same time as another.
type operator struct {
	state, revision, file string
	code, pid             int
	ended                 time.Time // his process
	said                  string
}

// race lets both apply at the same instant, give or take what the seed says.
func (c contest) race(rnd *rand.Rand, both []*operator) {
	c.Helper()
	c.raceWhile(both, time.Duration(rnd.IntN(40))*time.Millisecond*time.Duration(rnd.IntN(2)), func() {})
}

// raceWhile lets both apply, the second so much later than the first, and does something while they do.
func (c contest) raceWhile(both []*operator, pause time.Duration, meanwhile func()) {
	c.Helper()
	outs := make([]bytes.Buffer, len(both))
	cmds := make([]*exec.Cmd, len(both))
	for i, o := range both {
		cmds[i] = c.command(o.state, "apply", o.file)
		cmds[i].Stdout, cmds[i].Stderr = &outs[i], &outs[i]
	}
	for i, cmd := range cmds {
		if err := cmd.Start(); err != nil {
			c.Fatal(err)
		}
		if i == 0 {
			time.Sleep(pause) // how far the first is when the second begins is what is tried
		}
	}
	meanwhile()
	errs := make([]error, len(both))
	var waiting sync.WaitGroup
	for i, o := range both {
		waiting.Go(func() {
			errs[i] = cmds[i].Wait()
			o.ended = time.Now()
		})
	}
	waiting.Wait()
	for i, o := range both {
		o.code, o.pid, o.said = c.code(errs[i]), cmds[i].Process.Pid, outs[i].String()
	}
}

// TestTwoOperatorsAtOnce lets two operators apply plans of one component at the same instant, with one state folder and
// with two. Exactly one plan is carried out; the other is refused, says who has it, and had no effect.
func TestTwoOperatorsAtOnce(t *testing.T) { twoOperators(t, 6, false) }

// TestTwoOperatorsAtOnceOverSSH is the same with a release root that both reach by SSH.
func TestTwoOperatorsAtOnceOverSSH(t *testing.T) { twoOperators(t, 2, true) }

func twoOperators(t *testing.T, share uint64, far bool) {
	t.Helper()
	first, count := proof.Seeds(t, share)
	c := contestAt(t, far, "one", "two")
	won := map[string]float64{}
	for seed := first; seed < first+count && !t.Failed(); seed++ {
		rnd := rand.New(rand.NewPCG(seed, 3))
		c.reset()
		folders := []string{"one", []string{"one", "two"}[seed%2]}
		both := []*operator{{state: folders[0], revision: "v1"}, {state: folders[1], revision: "v2"}}
		for _, o := range both {
			o.file = c.plan(o.state, o.revision)
		}
		if rnd.IntN(2) == 1 {
			both[0], both[1] = both[1], both[0]
		}
		c.race(rnd, both)
		if both[0].code != 0 {
			both[0], both[1] = both[1], both[0]
		}
		c.judge(seed, both[0], both[1], c.whole)
		won[fmt.Sprintf("refused_with_%d_state_folders", 1+seed%2)]++
		won["trials"]++
	}
	proof.Figures(t, won)
}

// judge looks at how a race ended. Whole demands that a plan was carried out, and nothing else.
func (c contest) judge(seed uint64, winner, loser *operator, whole func(revision string)) {
	c.Helper()
	if winner.code != 0 || loser.code != 3 {
		c.Errorf("seed %d: exit codes %d and %d, want 0 and 3:\n%s\n%s", seed, winner.code, loser.code, winner.said, loser.said)
		return
	}
	whole(winner.revision)
	if why := c.toldWho(winner, loser); why != "" {
		c.Errorf("seed %d: the one who was refused is not told who has it: %s:\n%s", seed, why, loser.said)
	}
	// What is left of the loser's is refused as stale, for the world is another by now, and can be given up.
	again := []string{"apply", loser.file}
	if left := c.open(loser.state); len(left) > 0 {
		again = []string{"resume", left[0]}
	}
	if code, out := c.run(loser.state, again...); code != 3 || !strings.Contains(out, "the world changed") {
		c.Errorf("seed %d: tried again after the other has ended: exit code %d:\n%s", seed, code, out)
	}
	whole(winner.revision)
	for _, id := range c.open(loser.state) {
		c.must(0, loser.state, "cancel", id, "--reason", "the other was first")
	}
	whole(winner.revision)
	if c.Failed() {
		c.Logf("seed %d: the winner said:\n%s\nthe loser said:\n%s", seed, winner.said, loser.said)
	}
}

// toldWho returns what is wrong with what the loser was told of the winner: his execution, as his own state folder has it, and his
// process where nobody can look it up in one's own. Who came when the other had ended is told what has changed, for nobody has it.
func (c contest) toldWho(winner, loser *operator) (wrong string) {
	c.Helper()
	doc, err := os.ReadFile(winner.file)
	if err != nil {
		c.Fatal(err)
	}
	hash := fmt.Sprintf("%x", sha256.Sum256(doc))
	all := c.executions(winner.state)
	i := slices.IndexFunc(all, func(e executed) bool { return e.Execution.PlanHash == hash && e.Execution.Outcome == "done" })
	if i < 0 {
		return "the winner's state folder has no execution of his plan that is done"
	}
	won := all[i].Execution
	if loser.ended.After(won.EndedAt) && !strings.Contains(loser.said, " is held by ") && strings.Contains(loser.said, "the world changed") {
		return ""
	}
	if !strings.Contains(loser.said, " is held by "+won.ID+" ") && !strings.Contains(loser.said, ": "+won.ID+" has not ended") {
		return "it is not held by " + won.ID
	}
	process := fmt.Sprintf(" process %d, of another state folder,", winner.pid)
	if winner.state != loser.state && !strings.Contains(loser.said, process) {
		return "it is not held by" + process
	}
	return ""
}

// open returns the executions that have not ended.
func (c contest) open(state string) []string {
	c.Helper()
	var out []string
	for _, e := range c.executions(state) {
		if e.State != "ended" {
			out = append(out, e.Execution.ID)
		}
	}
	return out
}

// executed is an execution as astern lists it.
type executed struct {
	Execution struct {
		ID, Outcome string
		PlanHash    string    `json:"plan_hash"`
		EndedAt     time.Time `json:"ended_at"`
	}
	State string
}

// executions are those of a state folder, the newest first.
func (c contest) executions(state string) []executed {
	c.Helper()
	text := c.must(0, state, "executions", "-o", "json")
	var said struct{ Executions []executed }
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		c.Fatalf("reading the executions of %s: %v in:\n%s", state, err, text)
	}
	return said.Executions
}
