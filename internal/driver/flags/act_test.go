package flags

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/host"
)

// both runs a test on this machine and over SSH.
func both(t *testing.T, test func(t *testing.T, l *lab)) {
	t.Parallel()
	t.Run("local", func(t *testing.T) { t.Parallel(); test(t, newLab(t, false)) })
	t.Run("ssh", func(t *testing.T) { t.Parallel(); test(t, newLab(t, true)) })
}

// TestModeAndOwnerStay: flagd runs under another login than whoever recovers.
func TestModeAndOwnerStay(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		if _, err := user.Lookup("nobody"); err == nil && os.Getuid() == 0 {
			if err := os.Chown(l.file, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(l.file, 0o604); err != nil {
			t.Fatal(err)
		}
		was, _ := os.Stat(l.file)
		l.must(l.change(astern.FlagChange{Flag: "search"}))
		is, err := os.Stat(l.file)
		if err != nil || is.Mode() != was.Mode() || is.Sys().(*syscall.Stat_t).Uid != was.Sys().(*syscall.Stat_t).Uid || is.Sys().(*syscall.Stat_t).Ino == was.Sys().(*syscall.Stat_t).Ino {
			t.Errorf("%v became %v (%v), or was written in place", was.Mode(), is.Mode(), err)
		}
	})
}

// TestChangedInTheMiddle: somebody edits the file after the plan was made; his edit stays, and so does a half-written one.
func TestChangedInTheMiddle(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		call, err := l.plan(astern.FlagChange{Flag: "search"})
		if err != nil {
			t.Fatal(err)
		}
		text := l.read()
		for _, theirs := range []string{text[:len(text)/2], strings.Replace(text, "classic", "classics", 1), ""} {
			l.write(theirs)
			before := drivertest.Files(t, l.folder)
			op := l.driver.Actor.Start(t.Context(), call)
			if op.Status != astern.OpFailed || op.Code != astern.Refused {
				t.Errorf("%+v", op)
			}
			if diff := cmp.Diff(before, drivertest.Files(t, l.folder)); diff != "" {
				t.Errorf("something was changed:\n%s", diff)
			}
		}
		// What was half-written can be replaced by an earlier state.
		s := l.observe()
		for _, target := range l.driver.Router.Targets(l.c, s, l.history) {
			if target.Revision != l.old {
				continue
			}
			route, err := l.driver.Router.Route(l.c, s, target, astern.Options{Verb: astern.VerbRollback, Percent: 100})
			if err != nil {
				t.Fatal(err)
			}
			l.must(l.driver.Actor.Start(t.Context(), l.call(route.Stages[0].Steps[0])), nil)
		}
		if l.read() != shop(t) {
			t.Error("the earlier state is not back")
		}
	})
}

// TestScriptComparesUnderTheLock: the file changes between our look at it and the command; the command itself refuses.
func TestScriptComparesUnderTheLock(t *testing.T) {
	l := newLab(t, false)
	p, err := resolve(l.c)
	if err != nil {
		t.Fatal(err)
	}
	m, err := (&driver{machines: l.pool()}).machine(p)
	if err != nil {
		t.Fatal(err)
	}
	c := script("change", l.folder, "flags.json", "5", `{"fence":5}`, "aa", "bb", "3", "2", "tok")
	c.Stdin = strings.NewReader("old" + "{}")
	before := l.read()
	r, err := m.Run(t.Context(), c)
	if err != nil || r.ExitCode != host.ExitChanged || l.read() != before {
		t.Errorf("%+v, %v", r, err)
	}
	c.Stdin = strings.NewReader("ol") // a connection that broke
	if r, err := m.Run(t.Context(), c); err != nil || r.ExitCode != host.ExitNoWrite || l.read() != before {
		t.Errorf("%+v, %v", r, err)
	}
	if left, _ := filepath.Glob(l.file + ".astern/tmp*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestNothingOutside: neither a link in place of the file nor one in place of what lies beside it is followed.
func TestNothingOutside(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		call, err := l.plan(astern.FlagChange{Flag: "search"})
		if err != nil {
			t.Fatal(err)
		}
		outside := t.TempDir()
		for name, at := range map[string]string{"file": l.file, "history": l.file + ".astern", "lock": l.file + ".astern/lock"} {
			away := filepath.Join(outside, name)
			if err := os.Rename(at, away); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(away, at); err != nil {
				t.Fatal(err)
			}
			before := drivertest.Files(t, outside)
			op := l.driver.Actor.Start(t.Context(), call)
			if op.Status != astern.OpFailed || op.Code.Transient() {
				t.Errorf("%s: %+v", name, op)
			}
			if diff := cmp.Diff(before, drivertest.Files(t, outside)); diff != "" {
				t.Errorf("%s: outside was changed:\n%s", name, diff)
			}
			os.Remove(at)
			if err := os.Rename(away, at); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestOneOfMany: of many who change the file at once one does it, and the others are told.
func TestOneOfMany(t *testing.T) {
	l := newLab(t, false)
	call, err := l.plan(astern.FlagChange{Flag: "search"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.plan(astern.FlagChange{Flag: "rollout"})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	ops := make([]astern.Op, 8)
	for i := range ops {
		c := []astern.Call{call, other}[i%2]
		c.Token = "t-" + string(rune('a'+i))
		group.Go(func() { ops[i] = l.driver.Actor.Start(t.Context(), c) })
	}
	group.Wait()
	done := map[int]bool{}
	for i, op := range ops {
		switch {
		case op.Status == astern.OpDone:
			done[i%2] = true
		case op.Status != astern.OpFailed || op.Code != astern.Refused:
			t.Errorf("%+v", op)
		}
	}
	if len(done) != 1 {
		t.Errorf("changes done: %v", done)
	}
	if _, err := read([]byte(l.read())); err != nil {
		t.Error(err)
	}
}

// TestFlagdGone: where flagd does not answer, the change stands and waiting goes on until its time is over.
func TestFlagdGone(t *testing.T) {
	l := newLab(t, false)
	l.c.Settings = []byte(`{"file": "` + l.file + `", "evaluate": "http://127.0.0.1:1"}`)
	if v := l.observe().Values["evaluated"]; v.Known() || v.Unknown == "" {
		t.Errorf("what flagd answers is %v", v)
	}
	call := l.changed(astern.FlagChange{Flag: "search"})
	if op := l.driver.Actor.Start(t.Context(), call); op.Status != astern.OpRunning {
		t.Errorf("%+v", op)
	}
	call.Deadline = time.Now().Add(-time.Second)
	if op := l.driver.Actor.Poll(t.Context(), call, astern.Op{}); op.Status != astern.OpFailed {
		t.Errorf("%+v", op)
	}
}
