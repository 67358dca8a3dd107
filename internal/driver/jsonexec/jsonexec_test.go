package jsonexec_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	astern "github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/canary"
	"github.com/astern-dev/astern/internal/driver/jsonexec"
	"github.com/astern-dev/astern/internal/drivertest"
)

// TestMain lets the test binary be the programs that the tests run: "BINARY program NAME".
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "program" {
		runProgram(os.Args[2])
		syscall.Exit(0) // not os.Exit, with which the race detector waits a second
	}
	goleak.VerifyTestMain(m)
}

// declared are the components of one test, by address.
type declared struct {
	mu  sync.Mutex
	all map[string]astern.Component
}

func (d *declared) find(address string) (astern.Component, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.all[address]
	return c, ok
}

// declare adds a component with these settings, in a folder.
func (d *declared) declare(t testing.TB, folder string, settings any) astern.Component {
	t.Helper()
	b, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = map[string]astern.Component{}
	}
	c := astern.Component{Environment: "test", Name: fmt.Sprintf("c%d", len(d.all)), Kind: jsonexec.Kind, Settings: b, Folder: folder}
	d.all[c.Address()] = c
	return c
}

// history is that of two known-good revisions, with the hashes that the driver sees now.
func history(t testing.TB, d astern.Driver, c astern.Component) astern.History {
	t.Helper()
	s, err := d.Observer.Observe(t.Context(), c, astern.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	h := astern.History{Current: "v2"}
	for i, revision := range []string{"v2", "v1"} {
		at := time.Date(2026, 1, 2-i, 0, 0, 0, 0, time.UTC)
		v, ok := s.Get("release/" + revision)
		if !ok || !v.Known() {
			t.Fatalf("the fresh world does not show %s: %v", revision, s)
		}
		h.Deployments = append(h.Deployments, astern.Deployment{Revision: revision, Hash: v.Text, LastAt: &at, KnownGoodAt: &at})
	}
	return h
}

// key is the secret that a component's program gets.
var key = canary.Kept("of a program")

// TestExamplePasses runs the suite with the example, a program of 30 lines that answers three calls.
func TestExamplePasses(t *testing.T) {
	needPython(t)
	exampleConformance().Run(t)
}

func exampleConformance() drivertest.Suite {
	components := &declared{}
	d := jsonexec.New(components.find)
	return drivertest.Suite{
		Driver: d,
		Data: map[string]drivertest.Datum{"verb": {Because: "the program has but one"}, "member": {Because: "the program does not read it"}, "token": {Because: "the program does not read it"},
			"step": {Because: "the program does not read it"}, "execution": {Because: "the program does not read it"}},
		New: func(t testing.TB) drivertest.World {
			folder := t.TempDir()
			for _, name := range []string{"switch.py", "versions/v1.json", "versions/v2.json"} {
				copyFile(t, filepath.Join("../../../examples/jsonexec", name), filepath.Join(folder, name))
			}
			if err := os.Symlink("versions/v2.json", filepath.Join(folder, "live.json")); err != nil {
				t.Fatal(err)
			}
			t.Setenv("SHOP_KEY", key)
			c := components.declare(t, folder, map[string]any{"command": []string{"python3", "switch.py"},
				"config": map[string]any{"versions": "versions", "live": "live.json"},
				"env":    map[string]any{"KEY": map[string]any{"env": "SHOP_KEY"}, "PYTHONDONTWRITEBYTECODE": "1"}})
			return drivertest.World{Component: c, Old: "v1", New: "v2", History: history(t, d, c), Beside: []string{filepath.Dir(folder)},
				Snapshot: func(t testing.TB) map[string]string { return drivertest.Files(t, folder) },
				Secrets:  []string{key}}
		},
		Breaks: []drivertest.Break{
			{Name: "the version is gone", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) {
				must(t, os.Remove(filepath.Join(w.Component.Folder, "versions/v1.json")))
			}},
			{Name: "the version was edited", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) {
				must(t, os.WriteFile(filepath.Join(w.Component.Folder, "versions/v1.json"), []byte("{}"), 0o600))
			}},
			{Name: "the folder can't be read", Want: astern.ReadyUnknown, Do: func(t testing.TB, w drivertest.World) {
				must(t, os.Rename(filepath.Join(w.Component.Folder, "versions"), filepath.Join(w.Component.Folder, "elsewhere")))
			}},
		},
	}
}

// needPython fails in CI and skips elsewhere when there is no python3.
func needPython(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("python3 is missing; the example of docs/jsonexec.md is written in it, install it for CI")
	}
	t.Skip("python3 is missing; the example of docs/jsonexec.md is written in it")
}

// TestFullProgramPasses runs the suite with a program that answers every call itself: a fleet of two members, steps that
// go on after start, conditional by fence, found by token; and that tells its key wherever it may say something.
func TestFullProgramPasses(t *testing.T) { fullConformance().Run(t) }

func fullConformance() drivertest.Suite {
	components := &declared{}
	d := jsonexec.New(components.find)
	return drivertest.Suite{
		Driver: d,
		Verbs: []astern.VerbInfo{{Verb: "move", What: "moves a member", Undo: astern.UndoInverse,
			Exclusion: astern.Conditional, Found: "token"}},
		Data: map[string]drivertest.Datum{"step": {Because: "the program does not read it"}, "execution": {Because: "the program does not read it"}},
		New: func(t testing.TB) drivertest.World {
			folder := t.TempDir()
			newFleet(t, folder)
			c := components.declare(t, folder, map[string]any{"command": []string{os.Args[0], "program", "fleet"},
				"answers": []string{"targets", "route", "undo", "before", "poll"}, "config": map[string]any{"limit": 9007199254740993},
				"env": map[string]any{"KEY": map[string]any{"file": "key"}}})
			must(t, os.WriteFile(filepath.Join(folder, "key"), []byte(key), 0o600))
			return drivertest.World{Component: c, Old: "v1", New: "v2", History: history(t, d, c), Secrets: []string{key}, Beside: []string{filepath.Dir(folder)},
				Snapshot: func(t testing.TB) map[string]string { return drivertest.Files(t, folder) }}
		},
		Breaks: []drivertest.Break{{Name: "the release is gone", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) {
			must(t, os.Remove(filepath.Join(w.Component.Folder, "release-v1")))
		}}},
	}
}

// ill makes a component whose program behaves badly.
func ill(t *testing.T, name string, more map[string]any) (astern.Driver, astern.Component) {
	t.Helper()
	components := &declared{}
	settings := map[string]any{"command": []string{os.Args[0], "program", name}, "timeout": "20s"}
	for k, v := range more {
		settings[k] = v
	}
	return jsonexec.New(components.find), components.declare(t, t.TempDir(), settings)
}

// start makes the route's step to v1 from a state that shows v1 and v2, and starts it.
func start(t *testing.T, d astern.Driver, c astern.Component) astern.Op {
	t.Helper()
	now := time.Now().UTC()
	s := astern.State{Address: c.Address(), Values: map[string]astern.Value{"revision": {Text: "v2", At: now},
		"release/v1": {Text: "h1", At: now}}}
	r, err := d.Router.Route(c, s, astern.Target{Address: c.Address(), Revision: "v1"}, astern.Options{Verb: astern.VerbRollback, Percent: 100})
	if err != nil {
		t.Fatal(err)
	}
	step := r.Stages[0].Steps[0]
	return d.Actor.Start(t.Context(), astern.Call{Execution: "e", Step: "1.set", Address: c.Address(), Kind: step.Kind, Verb: step.Verb,
		Args: step.Args, Token: "t1", Fence: 1})
}

// TestIllPrograms has programs that answer nothing usable: what was asked for is unknown, a start is unsure and never
// failed, and the message says which program, which call, and what was wrong.
func TestIllPrograms(t *testing.T) {
	t.Setenv("CANARY", "hunter2-and-more")
	env := map[string]any{"KEY": map[string]any{"env": "CANARY"}, "PLAIN": "shown"}
	for name, says := range map[string]string{
		"garbage":      "it is not one JSON document",
		"silent":       "it is empty",
		"two":          "something follows after the end",
		"array":        "it is not",
		"unknown-key":  "unknown field",
		"neither":      `either "ok" or "error"`,
		"both":         `either "ok" or "error"`,
		"null":         `"ok" must be an object`,
		"version-2":    "it speaks version 2",
		"bad-code":     `one of the codes`,
		"huge":         "more than 16 MB",
		"exit-3":       "exit status 3; it wrote: cannot [31m go on with <secret> and shown",
		"ok-but-fails": "exit status 1",
		"dies":         "the program died: signal: killed",
		"chatty":       "exit status 1; it wrote: …",
	} {
		t.Run(name, func(t *testing.T) {
			d, c := ill(t, name, map[string]any{"env": env})
			s, err := d.Observer.Observe(t.Context(), c, astern.Scope{Paths: []string{"revision", "release/v1"}})
			if err != nil || len(s.Values) != 2 || s.Values["release/v1"].Known() {
				t.Fatalf("what was asked for must be unknown: %v, %v", s, err)
			}
			reason := s.Values["revision"].Unknown
			op := start(t, d, c)
			if op.Status != astern.OpUnsure {
				t.Errorf("start is %s, want unsure: %s", op.Status, op.Error)
			}
			for call, text := range map[string]string{"observe": reason, "start": op.Error} {
				for _, want := range []string{says, "asking " + os.Args[0] + " for " + call + " of test/c0: "} {
					if !strings.Contains(text, want) {
						t.Errorf("the message does not say %q: %s", want, text)
					}
				}
				if strings.Contains(text, "hunter2") || strings.ContainsAny(text, "\x1b\n") || len(text) > 4000 {
					t.Errorf("the message shows a secret or a control character, or is endless: %q", text)
				}
			}
			if f := d.Actor.Find(t.Context(), astern.Call{Address: c.Address(), Kind: c.Kind}); f.Answer != astern.FoundUnknown {
				t.Errorf("find says %s, want unknown", f.Answer)
			}
			if op := d.Actor.Poll(t.Context(), astern.Call{Address: c.Address(), Kind: c.Kind}, astern.Op{Status: astern.OpRunning}); op.Status != astern.OpRunning {
				t.Errorf("poll says %s; a question without an answer ends nothing", op.Status)
			}
		})
	}
}

// TestHangIsKilled requires that a program that hangs is killed with the child that it started.
func TestHangIsKilled(t *testing.T) {
	for _, how := range []string{"time-out", "cancel"} {
		t.Run(how, func(t *testing.T) {
			timeout := "300ms"
			if how == "cancel" {
				timeout = "60s"
			}
			d, c := ill(t, "hang", map[string]any{"timeout": timeout})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			alive := filepath.Join(c.Folder, "alive") // a pipe that the program and its child hold open for writing
			pipe := makePipe(t, alive)
			answered := make(chan astern.State, 1)
			go func() {
				s, _ := d.Observer.Observe(ctx, c, astern.Scope{})
				answered <- s
			}()
			readByte(t, pipe) // the child runs
			if how == "cancel" {
				cancel()
			}
			s := <-answered
			if v := s.Values["revision"]; !strings.Contains(v.Unknown, "the program was killed") {
				t.Errorf("want killed, got %v", v)
			}
			readEnd(t, pipe) // nobody holds it any more: program and child are gone
		})
	}
}

// TestBackgroundProcess lets a program leave a process behind that keeps its standard output open.
func TestBackgroundProcess(t *testing.T) {
	d, c := ill(t, "background", nil)
	pipe := makePipe(t, filepath.Join(c.Folder, "alive"))
	release := makePipe(t, filepath.Join(c.Folder, "release"))
	s, err := d.Observer.Observe(t.Context(), c, astern.Scope{})
	if v := s.Values["revision"]; err != nil || v.Text != "v1" {
		t.Errorf("the answer was complete, but Observe returns %v, %v", s, err)
	}
	readByte(t, pipe)
	if _, err := release.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	readEnd(t, pipe)
}

func TestCertainFailures(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]any
		code     astern.Code
		says     string
	}{
		"the program says no":    {map[string]any{}, astern.Conflict, "somebody else is at it"},
		"no such program":        {map[string]any{"command": []string{"./nowhere"}}, astern.Invalid, "the program is not there"},
		"not in PATH":            {map[string]any{"command": []string{"astern-no-such-program"}}, astern.Invalid, "the program is not there"},
		"not executable":         {map[string]any{"command": []string{"/etc/passwd"}}, astern.Invalid, "can't be executed"},
		"a secret is missing":    {map[string]any{"env": map[string]any{"KEY": map[string]any{"env": "ASTERN_UNSET"}}}, astern.NotFound, "ASTERN_UNSET is not set"},
		"the settings are wrong": {map[string]any{"tiemout": "1s"}, astern.Invalid, `unknown field "tiemout"`},
	} {
		t.Run(name, func(t *testing.T) {
			d, comp := ill(t, "says-no", nil)
			now := time.Now().UTC()
			s := astern.State{Values: map[string]astern.Value{"revision": {Text: "v2", At: now}, "release/v1": {At: now}}}
			good, err := d.Router.Route(comp, s, astern.Target{Revision: "v1"}, astern.Options{})
			if err != nil {
				t.Fatal(err)
			}
			d, comp = ill(t, "says-no", c.settings)
			args := good.Stages[0].Steps[0].Args
			if again, err := d.Router.Route(comp, s, astern.Target{Revision: "v1"}, astern.Options{}); err == nil {
				args = again.Stages[0].Steps[0].Args
			}
			op := d.Actor.Start(t.Context(), astern.Call{Address: comp.Address(), Kind: comp.Kind, Verb: "set", Args: args})
			if op.Status != astern.OpFailed || op.Code != c.code || !strings.Contains(op.Error, c.says) {
				t.Errorf("want failed, %s, %q; got %+v", c.code, c.says, op)
			}
		})
	}
}

// TestStartUnderOtherSettings refuses a step of a plan that was made for another program.
func TestStartUnderOtherSettings(t *testing.T) {
	components := &declared{}
	d := jsonexec.New(components.find)
	settings := map[string]any{"command": []string{os.Args[0], "program", "says-no"}}
	c := components.declare(t, t.TempDir(), settings)
	now := time.Now().UTC()
	s := astern.State{Values: map[string]astern.Value{"revision": {Text: "v2", At: now}, "release/v1": {Text: "h", At: now}}}
	r, err := d.Router.Route(c, s, astern.Target{Revision: "v1"}, astern.Options{})
	if err != nil {
		t.Fatal(err)
	}
	call := astern.Call{Address: c.Address(), Kind: c.Kind, Verb: "set", Args: r.Stages[0].Steps[0].Args}
	change := func(key string, v any) {
		settings[key] = v
		c.Settings, _ = json.Marshal(settings)
		components.all[c.Address()] = c
	}
	change("timeout", "5s") // time-outs may change
	if op := d.Actor.Start(t.Context(), call); op.Code != astern.Conflict {
		t.Errorf("another time-out changes nothing that was planned: %+v", op)
	}
	change("config", map[string]any{"target": "elsewhere"})
	if op := d.Actor.Start(t.Context(), call); op.Status != astern.OpFailed || op.Code != astern.Refused {
		t.Errorf("another configuration must be refused: %+v", op)
	}
}

func TestEnvironmentIsEmpty(t *testing.T) {
	t.Setenv("ASTERN_TEST_LEAK", "leaked")
	t.Setenv("LANG", "C.UTF-8")
	d, c := ill(t, "environment", map[string]any{"env": map[string]any{"DECLARED": "yes"}})
	s, err := d.Observer.Observe(t.Context(), c, astern.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Values["names"].String(); got != "DECLARED HOME LANG PATH" {
		t.Errorf("the program's environment is %q", got)
	}
	if got := s.Values["folder"].Text; got != resolved(t, c.Folder) {
		t.Errorf("the program runs in %q, want %q", got, c.Folder)
	}
}

// TestSecretsAreHidden has a program that puts the secret that it was given everywhere.
func TestSecretsAreHidden(t *testing.T) {
	const canary = `p"ss\word-7f3a`
	d, c := ill(t, "tells", map[string]any{"env": map[string]any{"KEY": map[string]any{"file": "key"}}})
	must(t, os.WriteFile(filepath.Join(c.Folder, "key"), []byte(canary+"\n"), 0o600))
	s, err := d.Observer.Observe(t.Context(), c, astern.Scope{})
	op := start(t, d, c)
	f := d.Actor.Find(t.Context(), astern.Call{Address: c.Address(), Kind: c.Kind})
	all := fmt.Sprintf("%v %v %+v %+v %+v", s, err, op, f, f.Op)
	if strings.Contains(all, canary) || strings.Contains(all, "7f3a") {
		t.Error("a secret is shown") // never print all of it here
	}
	if n := strings.Count(all, "<secret>"); n < 9 {
		t.Errorf("want the secret replaced in state, error and find, found %d times: %s", n, all)
	}
}

func TestWrongRoutes(t *testing.T) {
	for name, says := range map[string]string{
		"no-stage":      "stages: a route needs a stage",
		"dotted-id":     `stages[0].steps[0].id: "1.x"`,
		"same-id":       "stages[0].steps[1].id",
		"no-verb":       "stages[0].steps[0].verb",
		"other-kind":    `stages[0].steps[0].kind: "host.service"`,
		"other-address": `stages[0].steps[0].address: "test/other"`,
		"forward-guard": `stages[0].steps[0].guards: "later"`,
		"no-output":     `stages[0].steps[0].args: "x" refers to an output`,
		"bad-set":       "stages[0].steps[0].sets[0]",
		"no-undo":       "stages[0].steps[0].undo: it is inverse, but undo is not among the answers",
		"fact-of-none":  `facts[0].steps: there is no step "none"`,
		"fact-of-other": `facts[0].address: "test/other"`,
		"left-member":   "fleet.members: not every member",
		"fleet-fact":    `facts[0].path: step "x" is over a fleet`,
		"own-gate":      "stages[0]: gate and stop_when",
		"unknown-field": `unknown field "retries"`,
		"null-arg":      "an argument can't be null",
		"own-digest":    "stages[0].steps[0].args: settings_sha256 is astern's own",
		"bad-output":    `stages[0].steps[0].outputs: "x" has the type "secret"`,
	} {
		t.Run(name, func(t *testing.T) {
			d, c := ill(t, "route:"+name, map[string]any{"answers": []string{"route"}})
			s := astern.State{Address: c.Address(), Values: map[string]astern.Value{"revision": {Text: "v2", At: time.Now().UTC()}}}
			_, err := d.Router.Route(c, s, astern.Target{Revision: "v1"}, astern.Options{})
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "for route of test/c0") {
				t.Errorf("want an error with %q, got %v", says, err)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	v := jsonexec.New(nil).Validator
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "plain"), nil, 0o600))
	for settings, want := range map[string]string{
		`{}`: "command: the program is missing",
		`{"command":["sh"],"env":{"A B":"x","C":7,"D":{"env":"X","file":"y"}}}`: `env/A B: "A B" is not the name of an environment variable; ` +
			`env/C: the value is neither a text nor a reference to a secret; env/D: the value is neither a text nor a reference to a secret`,
		`{"command":["sh"],"answers":["undo","undo","observe"]}`: `answers/1: "undo" stands twice; answers/2: "observe" is not a call that a program may leave to astern; ` +
			`answers: undo without route: astern undoes the routes that it makes`,
		`{"command":["sh"],"timeout":"soon","step_timeout":"0s"}`: `timeout: "soon" is not a duration between 1ms and 24h; step_timeout: "0s" is not a duration between 1ms and 24h`,
		`{"command":["./plain"]}`:                                 "command/0: ./plain can't be executed",
		`{"command":["sh"],"comand":[]}`:                          `: unknown field "comand"`,
		`{"command":["sh","-c","x"],"timeout":"1m30s"}`:           "",
	} {
		var got []string
		for _, p := range v.Validate(astern.Component{Settings: json.RawMessage(settings), Folder: folder}) {
			got = append(got, p.Path+": "+p.What)
		}
		if text := strings.Join(got, "; "); text != want {
			t.Errorf("%s:\n got %s\nwant %s", settings, text, want)
		}
	}
}

// TestCommandForAPerson runs the command that a plan prints, as a person would.
func TestCommandForAPerson(t *testing.T) {
	folder := t.TempDir()
	newFleet(t, folder)
	components := &declared{}
	d := jsonexec.New(components.find)
	c := components.declare(t, folder, map[string]any{"command": []string{os.Args[0], "program", "echo"},
		"config": map[string]any{"note": "it's $HOME `here`"}})
	now := time.Now().UTC()
	s := astern.State{Values: map[string]astern.Value{"revision": {Text: "v2", At: now}, "release/v1": {Text: "h", At: now}}}
	r, err := d.Router.Route(c, s, astern.Target{Revision: "v1"}, astern.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sh", "-c", r.Stages[0].Steps[0].Command).Output()
	if err != nil || !strings.Contains(string(out), "it's $HOME `here`") || !strings.Contains(string(out), `"revision":"v1"`) {
		t.Errorf("the command gives %s, %v", out, err)
	}
}
