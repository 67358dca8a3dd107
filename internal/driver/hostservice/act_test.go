package hostservice

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
)

func TestRollbackAndUndo(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		was := l.pid("a")
		var acted []astern.Call
		for _, c := range l.calls(l.route(astern.VerbRollback, "v1", 50), 1) {
			c = l.before(c)
			if l.find(c) != astern.FoundNo {
				t.Errorf("%s is found before it was started", c.Step)
			}
			if op := l.finish(c, l.driver.Actor.Start(t.Context(), c)); op.Status != astern.OpDone {
				t.Fatalf("%s: %+v", c.Step, op)
			}
			if l.find(c) != astern.FoundYes {
				t.Errorf("%s is not found after it was done", c.Step)
			}
			acted = append(acted, c)
		}
		if got := l.value("revision"); got != "v1" {
			t.Errorf("it runs %s", got)
		}
		if l.pid("a") == was || !strings.Contains(l.read("log"), "start a v1 ast-") || !strings.Contains(l.read("log"), "127.0.0.1:1 "+l.root) {
			t.Errorf("a was not restarted as it should be:\n%s", l.read("log"))
		}
		for i := len(acted) - 1; i >= 0; i-- {
			steps, err := l.driver.Router.Undo(l.c, acted[i], nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range steps {
				l.act(l.call(s.ID, &s, "", 2), astern.OpDone)
			}
		}
		s := l.observe()
		if got := s.Values["revision"].Text; got != "v2" {
			t.Errorf("after the undo it runs %s", got)
		}
		var lines []string
		for _, line := range strings.Split(s.Values["a/history"].Text, "\n") {
			var h HistoryLine
			if err := json.Unmarshal([]byte(line), &h); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			lines = append(lines, h.From+" to "+h.Revision+" by "+h.Execution)
		}
		if diff := cmp.Diff([]string{"v2 to v1 by x1", "v1 to v2 by x1"}, lines); diff != "" {
			t.Errorf("the host's history of a:\n%s", diff)
		}
		if s.Values["a/fence"].Text != "2" {
			t.Errorf("the fence is %s", s.Values["a/fence"])
		}
		left, _ := filepath.Glob(filepath.Join(l.root, "links", ".*"))
		if len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
	})
}

func TestOlderFenceIsRefused(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		newer, older := l.first("swap"), l.first("swap")
		newer.Fence, older.Fence = 7, 3
		older = l.before(older)
		l.act(newer, astern.OpDone)
		op := l.driver.Actor.Start(t.Context(), older)
		if op.Status != astern.OpFailed || op.Code != astern.Conflict || !strings.Contains(op.Error, "x1") || !strings.Contains(op.Error, "fence 7") {
			t.Errorf("an older fence gives %+v", op)
		}
		restart := l.first("restart")
		restart.Fence = 3
		if op := l.driver.Actor.Start(t.Context(), l.before(restart)); op.Status != astern.OpFailed || op.Code != astern.Conflict {
			t.Errorf("a restart under an older fence gives %+v", op)
		}
	})
}

// A lock file whose fence is larger than what a shell counts with keeps everybody out.
func TestFenceBeyondNumbersIsRefused(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		swap := l.first("swap")
		swap.Fence = 3
		swap = l.before(swap)
		l.write(".astern.lock", `{"execution":"x","fence":99999999999999999999}`+"\n", 0o644)
		if op := l.driver.Actor.Start(t.Context(), swap); op.Status != astern.OpFailed || op.Code != astern.Conflict || l.value("a/link") != "v2" {
			t.Errorf("%+v", op)
		}
	})
}

func TestChangedLinkIsRefused(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.release("v3", "exec sleep 1002")
		c := l.before(l.first("swap"))
		l.link("links/a", "v3")
		op := l.driver.Actor.Start(t.Context(), c)
		if op.Status != astern.OpFailed || op.Code != astern.Refused || l.value("a/link") != "v3" {
			t.Errorf("a link that somebody else changed gives %+v", op)
		}
		if op := l.driver.Actor.Start(t.Context(), l.before(c)); op.Code != astern.Refused {
			t.Errorf("a link that no plan expects gives %+v", op)
		}
		l.link("links/a", "v1")
		if op := l.driver.Actor.Start(t.Context(), c); op.Status != astern.OpDone {
			t.Errorf("a link that is there already gives %+v", op)
		}
		os.Remove(filepath.Join(l.root, "links/a"))
		l.write("links/a/file", "", 0o644)
		if op := l.driver.Actor.Start(t.Context(), c); op.Status != astern.OpFailed || op.Code != astern.Refused {
			t.Errorf("a folder where the link should be gives %+v", op)
		}
	})
}

// A start command that succeeds while the process dies is a failure, with what the process said, and without the password that it
// said, too.
func TestProcessThatDies(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.release("v1", "echo no database at postgres://shop:hunter2@db/shop >&2\nexit 1")
		for _, c := range l.calls(l.route(astern.VerbRollback, "v1", 100), 1)[:2] {
			want := astern.OpDone
			if c.Verb == verbRestart {
				want = astern.OpFailed
			}
			op := l.act(c, want)
			if c.Verb == verbRestart && (!strings.Contains(op.Error, "the process died") || !strings.Contains(op.Error, "no database at postgres://shop:<secret>@db") || op.Hint == "") {
				t.Errorf("got %+v", op)
			}
			if c.Verb != verbRestart {
				continue
			}
			c = l.before(c)
			f := l.driver.Actor.Find(t.Context(), c)
			if f.Answer != astern.FoundYes {
				t.Fatalf("the restart is not found, and would be done again: %+v", f)
			}
			if op := l.finish(c, *f.Op); op.Status != astern.OpFailed || !strings.Contains(op.Error, "the process died") {
				t.Errorf("what was found ends as %+v", op)
			}
		}
	})
}

func TestProcessThatDiesAfterAMoment(t *testing.T) {
	l := newLab(t, func(_ string, _ *astern.Component, s *Settings) { s.Uptime = Duration(2 * time.Second) })
	l.release("v1", "sleep 0.5\nexit 1")
	calls := l.calls(l.route(astern.VerbRollback, "v1", 100), 1)
	l.act(calls[0], astern.OpDone)
	if op := l.act(calls[1], astern.OpFailed); !strings.Contains(op.Error, "died") {
		t.Errorf("got %+v", op)
	}
}

// A first try that is seen and ends is no end where somebody tries again at once: the second one counts, from when it is seen.
func TestProcessThatIsTriedAgain(t *testing.T) {
	l := newLab(t, func(_ string, _ *astern.Component, s *Settings) { s.Uptime = Duration(500 * time.Millisecond) })
	l.release("v1", `[ ! -e tried ] || exec sleep 1000
touch tried
(sleep 0.6; ./links/a/run & echo $! >run/a.pid) >/dev/null 2>&1 &
sleep 0.2
exit 1`)
	calls := l.calls(l.route(astern.VerbRollback, "v1", 100), 1) // of a, and then of b
	l.act(calls[0], astern.OpDone)
	c := l.before(calls[1])
	first := l.driver.Actor.Start(t.Context(), c)
	op := l.finish(c, first)
	if op.Status != astern.OpDone || first.Handle[handleIdentity] == "" || strings.Contains(op.Progress, pidOf(first.Handle[handleIdentity])) {
		t.Errorf("the first answer is %+v, the last %+v", first, op)
	}
}

func TestRestartThatFails(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.write("fail-restart", "", 0o644)
		c := l.first("restart")
		op := l.act(c, astern.OpFailed)
		if op.Code.Transient() || !strings.Contains(op.Error, "will not") || !strings.Contains(op.Error, "ended with 9") {
			t.Errorf("got %+v", op)
		}
		if got := l.find(l.before(c)); got != astern.FoundNo {
			t.Errorf("Find says %s", got)
		}
		os.Remove(filepath.Join(l.root, "ctl"))
		c.Args["status"] = astern.List("true")
		if op := l.driver.Actor.Start(t.Context(), c); op.Status != astern.OpFailed || !strings.Contains(op.Error, "127") {
			t.Errorf("a missing command gives %+v", op)
		}
	})
}

func TestRestartOfWhatDidNotRun(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.ctl("stop", "a")
		c := l.before(l.first("restart"))
		if c.Image[imageIdentity] != "" || l.find(c) != astern.FoundNo {
			t.Errorf("image %v, find %s", c.Image, l.find(c))
		}
		if op := l.finish(c, l.driver.Actor.Start(t.Context(), c)); op.Status != astern.OpDone || l.find(c) != astern.FoundYes {
			t.Errorf("got %+v, find %s", op, l.find(c))
		}
	})
}

// A restart whose command is still under way must not be begun a second time.
func TestRestartInFlightIsNotFoundYet(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		go1 := filepath.Join(l.root, "go")
		l.write("ctl-slow", "#!/bin/sh\nwhile ! [ -e go ]; do sleep 0.02; done\nexec ./ctl restart \"$1\"\n", 0o755)
		c := l.first("restart")
		c.Args["restart"] = astern.List("./ctl-slow", "{instance}")
		c = l.before(c)
		result := make(chan astern.Op, 1)
		go func() { result <- l.driver.Actor.Start(t.Context(), c) }()
		for l.read(".astern/a.run") == "" {
			time.Sleep(5 * time.Millisecond)
		}
		if got := l.driver.Actor.Find(t.Context(), c); got.Answer != astern.FoundUnknown || !strings.Contains(got.Because, "still running") {
			t.Errorf("Find says %+v", got)
		}
		second := c
		second.Token = "ast-second"
		if op := l.driver.Actor.Start(t.Context(), second); op.Status != astern.OpFailed || op.Code != astern.Conflict {
			t.Errorf("a second command gives %+v", op)
		}
		if err := os.WriteFile(go1, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if op := l.finish(c, <-result); op.Status != astern.OpDone || l.find(c) != astern.FoundYes {
			t.Errorf("got %+v", op)
		}
	})
}

func TestCommandThatHangs(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.write("hang-drain", "", 0o644)
		c := l.first("restart")
		c.Verb, c.Args["command"], c.Args["timeout_ms"] = verbDrain, astern.List("./ctl", "drain", "{instance}"), astern.Int(2000)
		op := l.driver.Actor.Start(t.Context(), l.before(c))
		if op.Status != astern.OpUnsure || op.Code != astern.Unavailable {
			t.Errorf("got %+v", op)
		}
		if got := l.find(c); got != astern.FoundUnknown {
			t.Errorf("Find says %s", got)
		}
		os.Remove(filepath.Join(l.root, "hang-drain"))
	})
}

func TestDrainIsFoundByItsToken(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		c := l.first("restart")
		c.Verb, c.Args["command"] = verbDrain, astern.List("./ctl", "drain", "{instance}")
		if l.find(c) != astern.FoundNo {
			t.Errorf("found before it began")
		}
		l.act(c, astern.OpDone)
		again := c
		again.Token = "ast-again"
		if l.find(c) != astern.FoundYes || l.find(again) != astern.FoundNo {
			t.Errorf("ours %s, another's %s", l.find(c), l.find(again))
		}
	})
}

// Without status and pid file a restart can't be found again: the engine holds and asks.
func TestRestartThatCannotBeSeen(t *testing.T) {
	l := newLab(t, func(_ string, _ *astern.Component, s *Settings) { s.Commands.Status = nil })
	c := l.before(l.first("restart"))
	op := l.finish(c, l.driver.Actor.Start(t.Context(), c))
	got := l.driver.Actor.Find(t.Context(), c)
	if op.Status != astern.OpDone || got.Answer != astern.FoundUnknown || !strings.Contains(got.Because, "declare status or pid_file") {
		t.Errorf("op %+v, find %+v", op, got)
	}
}

func TestPIDFileAndStartStop(t *testing.T) {
	l := newLab(t, func(_ string, _ *astern.Component, s *Settings) {
		s.Commands = &Commands{Start: []string{"./ctl", "start", "{instance}"}, Stop: []string{"./ctl", "stop", "{instance}"}}
		s.PIDFile = "run/{instance}.pid"
	})
	was := l.pid("a")
	for _, c := range l.calls(l.route(astern.VerbRollback, "v1", 100), 1) {
		l.act(c, astern.OpDone)
		if l.find(c) != astern.FoundNo && c.Image != nil {
			t.Errorf("%s", c.Step)
		}
	}
	if l.value("revision") != "v1" || l.pid("a") == was || l.value("a/runs") != "v1" {
		t.Errorf("revision %s, runs %s", l.value("revision"), l.value("a/runs"))
	}
}

func TestSystemd(t *testing.T) {
	l := newLab(t, func(root string, _ *astern.Component, s *Settings) {
		s.Commands, s.Systemd = nil, &Systemd{Unit: "svc@{instance}.service", User: true}
		fake, err := os.ReadFile("testdata/systemctl")
		if err != nil {
			t.Fatal(err)
		}
		bin := t.TempDir()
		os.WriteFile(filepath.Join(bin, "systemctl"), fake, 0o755)
		os.WriteFile(filepath.Join(bin, "root"), []byte(root), 0o644)
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	})
	was := l.value("a/process")
	for _, c := range l.calls(l.route(astern.VerbRollback, "v1", 100), 1) {
		l.act(c, astern.OpDone)
	}
	if now := l.value("a/process"); l.value("revision") != "v1" || now == was || now == "" {
		t.Errorf("revision %s, process %s, before %s", l.value("revision"), now, was)
	}
}

// The link was swapped and astern ended before the restart: the member is not there yet.
func TestSwapWithoutRestartIsNotThere(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.act(l.first("swap"), astern.OpDone)
		if l.value("a/link") != "v1" || l.value("a/runs") != "v2" {
			t.Fatalf("link %s, runs %s", l.value("a/link"), l.value("a/runs"))
		}
		r := l.route(astern.VerbRollback, "v1", 100)
		if diff := cmp.Diff([]string{"a", "b"}, r.Fleet.Members); diff != "" {
			t.Errorf("members:\n%s", diff)
		}
		for _, c := range l.calls(r, 2) {
			l.act(c, astern.OpDone)
		}
		if l.value("a/runs") != "v1" {
			t.Errorf("it runs %s", l.value("a/runs"))
		}
		if r := l.route(astern.VerbRollback, "v1", 100); len(r.Stages) != 0 || len(r.Notes) != 1 {
			t.Errorf("a route to where everything is: %+v", r)
		}
	})
}

func TestCopy(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		source := t.TempDir()
		var s Settings
		json.Unmarshal(l.c.Settings, &s)
		s.Source = source + "/{revision}"
		l.c.Settings, _ = json.Marshal(s)
		l.write("../v3/run", "#!/bin/sh\nexec sleep 1003\n", 0o755)
		l.write("../v3/empty/deep/file", "x", 0o600)
		os.Symlink("deep/file", filepath.Join(l.root, "../v3/empty/link"))
		if err := os.Rename(filepath.Join(l.root, "../v3"), source+"/v3"); err != nil {
			t.Fatal(err)
		}
		calls := l.calls(l.route(astern.VerbDeploy, "v3", 100), 1)
		if calls[0].Verb != verbCopy || l.find(calls[0]) != astern.FoundNo {
			t.Fatalf("first %+v", calls[0])
		}
		l.write("releases/.partial-old/file", "", 0o644)
		for _, c := range calls {
			l.act(c, astern.OpDone)
		}
		if l.find(calls[0]) != astern.FoundYes || l.value("revision") != "v3" || l.value("a/release/v3") != l.value("source/v3") {
			t.Errorf("it runs %s", l.value("revision"))
		}
		if left, _ := filepath.Glob(l.root + "/releases/.*"); len(left) != 0 {
			t.Errorf("left over: %v", left)
		}
		os.RemoveAll(l.root + "/releases/v3")
		l.write("../other", "", 0o644)
		os.WriteFile(source+"/v3/empty/deep/file", []byte("changed"), 0o600)
		op := l.driver.Actor.Start(t.Context(), calls[0])
		if op.Status != astern.OpFailed || op.Code != astern.Refused || l.find(calls[0]) != astern.FoundNo {
			t.Errorf("a source that changed gives %+v", op)
		}
		if left, _ := filepath.Glob(l.root + "/releases/.*"); len(left) != 0 {
			t.Errorf("left over: %v", left)
		}
	})
}

func TestHostileCalls(t *testing.T) {
	l := newLab(t, nil)
	good := l.before(l.first("swap"))
	for arg, values := range map[string][]astern.Arg{
		"revision": {astern.Text(".."), astern.Text("a b"), astern.Text("-rf"), astern.Text("$(id)")},
		"root":     {astern.Text("/"), astern.Text("relative"), astern.Text("/a/../b"), astern.Text("/a\nb")},
		"releases": {astern.Text("/etc"), astern.Text(l.root + "/../x"), astern.Text(l.root)},
		"link":     {astern.Text("/etc/passwd"), astern.Text(l.root + "/a;b")},
		"places":   {astern.List("a -oProxyCommand=x"), astern.List("a local 1 2"), astern.List("../a local"), astern.List()},
		"unit":     {astern.Text("-H evil"), astern.Text("a;b")},
		"pid_file": {astern.Text("/etc/passwd")},
	} {
		for _, v := range values {
			c := good
			c.Args = map[string]astern.Arg{}
			for k, a := range good.Args {
				c.Args[k] = a
			}
			c.Args[arg] = v
			if op := l.driver.Actor.Start(t.Context(), c); op.Status != astern.OpFailed || op.Code != astern.Invalid {
				t.Errorf("%s %s: %+v", arg, v, op)
			}
		}
	}
	good.Token = "../x"
	if op := l.driver.Actor.Start(t.Context(), good); op.Code != astern.Invalid {
		t.Errorf("a hostile token: %+v", op)
	}
}

func TestReadOnlyRootFailsWithoutEffect(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	l := newLab(t, nil)
	c := l.before(l.first("swap"))
	os.Chmod(l.root, 0o555)
	defer os.Chmod(l.root, 0o755)
	if op := l.driver.Actor.Start(t.Context(), c); op.Status != astern.OpFailed || l.value("a/link") != "v2" {
		t.Errorf("got %+v", op)
	}
}

// A host that goes away while a command runs leaves it unsure; one that can't be reached at all failed.
func TestUnreachableHost(t *testing.T) {
	l := newLab(t, nil)
	l.c.Hosts = []astern.Host{{Name: "gone", SSH: &astern.SSH{Address: "127.0.0.1:1", User: "u", KnownHosts: "/dev/null", KeyFile: "/dev/null"}}}
	c := l.first("swap")
	c.Args["places"] = astern.List("a gone 127.0.0.1:1")
	c.Image = astern.Image{imageLink: "v2"}
	op := l.driver.Actor.Start(t.Context(), c)
	if op.Status != astern.OpFailed || l.find(c) != astern.FoundUnknown {
		t.Errorf("got %+v", op)
	}
	if _, err := l.driver.Actor.Before(t.Context(), c); err == nil {
		t.Errorf("Before of a host that can't be reached gives no error")
	}
}

// A process that is started survives the end of the context, and of astern: it is in a session of its own.
func TestProcessesAreInAnotherSession(t *testing.T) {
	l := newLab(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	c := l.before(l.first("restart"))
	op := l.driver.Actor.Start(ctx, c)
	cancel()
	l.finish(c, op)
	mine, err := syscall.Getpgid(os.Getpid())
	theirs, err2 := syscall.Getpgid(l.pid("a"))
	if err != nil || err2 != nil || mine == theirs {
		t.Errorf("groups %d and %d, %v %v", mine, theirs, err, err2)
	}
}
