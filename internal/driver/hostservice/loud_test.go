package hostservice

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// loud makes the restart command of both instances run sh with the text first.
func loud(text string, change func(string, *astern.Component, *Settings)) func(string, *astern.Component, *Settings) {
	return func(root string, c *astern.Component, s *Settings) {
		if change != nil {
			change(root, c, s)
		}
		s.Commands.Restart = []string{"sh", "-c", text, "sh", "{instance}"}
	}
}

// eachWay runs the test with the restart command on this machine and over SSH.
func eachWay(t *testing.T, text string, test func(t *testing.T, l *lab)) {
	t.Parallel()
	t.Run("local", func(t *testing.T) { t.Parallel(); test(t, newLab(t, loud(text, nil))) })
	t.Run("ssh", func(t *testing.T) { t.Parallel(); test(t, newLab(t, loud(text, overSSH(t)))) })
}

// restart starts the restart of instance a.
func (l *lab) restart() (astern.Call, astern.Op) {
	l.Helper()
	for _, c := range l.calls(l.route(astern.VerbRollback, "v1", 50), 1) {
		c = l.before(c)
		op := l.driver.Actor.Start(l.Context(), c)
		if c.Verb == verbRestart {
			return c, op
		}
		if op = l.finish(c, op); op.Status != astern.OpDone {
			l.Fatalf("%s: %+v", c.Step, op)
		}
	}
	l.Fatal("the way restarts nothing")
	return astern.Call{}, astern.Op{}
}

// outSize is how much of the disk the output of commands takes.
func (l *lab) outSize() int64 {
	l.Helper()
	files, _ := filepath.Glob(filepath.Join(l.root, ".astern", "*.out"))
	var size int64
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			size += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
	}
	return size
}

// TestLoudCommand has a restart command print far more than is kept before it does its work.
func TestLoudCommand(t *testing.T) {
	eachWay(t, `echo first; yes | head -c 12000000; ./ctl restart "$1"; echo last`, func(t *testing.T, l *lab) {
		c, op := l.restart()
		if op = l.finish(c, op); op.Status != astern.OpDone {
			t.Fatalf("%+v", op)
		}
		if size := l.outSize(); size == 0 || size > 9<<20 {
			t.Errorf("%d bytes of its output are kept", size)
		}
	})
}

// TestLoudFailure has the command fail at the end of much output: its last words are told.
func TestLoudFailure(t *testing.T) {
	eachWay(t, `yes | head -c 12000000; printf '\0\377 the disk is on fire\n'; exit 7`, func(t *testing.T, l *lab) {
		_, op := l.restart()
		if op.Status == astern.OpDone || !strings.Contains(op.Error, "the disk is on fire") || len(op.Error) > 10_000 {
			t.Errorf("%.300q, %d bytes", op.Error, len(op.Error))
		}
	})
}

// TestLoudDaemon has the command leave a process behind that goes on writing: what it wrote is cut when astern comes by.
func TestLoudDaemon(t *testing.T) {
	daemon := `./ctl restart "$1"; (until [ -e go ]; do sleep 0.05; done; head -c 12000000 /dev/zero; touch written) & exit 0`
	eachWay(t, daemon, func(t *testing.T, l *lab) {
		c, op := l.restart()
		if op = l.finish(c, op); op.Status != astern.OpDone {
			t.Fatalf("%+v", op)
		}
		l.write("go", "", 0o644)
		for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(l.root, "written")); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("the daemon does not come to its end")
			}
		}
		if size := l.outSize(); size < 12_000_000 {
			t.Fatalf("the daemon has written %d bytes", size)
		}
		ran := script("run", l.root, "999", `{"fence":999}`, "other", "ast-other", "true")
		if r, err := host.Here().Run(t.Context(), ran); err != nil || r.ExitCode != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		if size := l.outSize(); size > 9<<20 {
			t.Errorf("%d bytes are kept", size)
		}
	})
}

// TestEndlessCommand has the command print without end: it is ended at its time-out, and nobody knows what it did.
func TestEndlessCommand(t *testing.T) {
	t.Parallel()
	short := func(root string, c *astern.Component, s *Settings) { s.Timeout = Duration(time.Second) }
	l := newLab(t, loud(`yes | head -c 12000000; exec sleep 60`, short))
	_, op := l.restart()
	if op.Status != astern.OpUnsure || !strings.Contains(op.Error, "did not end within") {
		t.Errorf("%+v", op)
	}
	if size := l.outSize(); size > 13<<20 {
		t.Errorf("%d bytes are kept", size)
	}
}

// TestEndlessStatus has the status command print without end, and then much: neither is believed.
func TestEndlessStatus(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"endless": "yes 1", "much": "yes 1 | head -c 5000000", "binary": "head -c 100000 /dev/urandom"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, func(_ string, _ *astern.Component, s *Settings) {
				s.Commands.Status, s.Timeout = []string{"sh", "-c", text}, Duration(time.Second)
			})
			began := time.Now()
			s := l.observe()
			v, ok := s.Get("a/process")
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %s", took)
			}
			if ok && v.Known() || len(v.Unknown) > 2_000 {
				t.Errorf("the process is %.300q", v)
			}
		})
	}
}
