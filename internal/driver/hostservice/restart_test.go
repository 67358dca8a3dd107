package hostservice

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// redeclare changes the lab's settings.
func (l *lab) redeclare(change func(s *Settings)) {
	l.Helper()
	var s Settings
	if err := json.Unmarshal(l.c.Settings, &s); err != nil {
		l.Fatal(err)
	}
	change(&s)
	var err error
	if l.c.Settings, err = json.Marshal(s); err != nil {
		l.Fatal(err)
	}
}

// slowly makes a command that says at once that all is well, and does what it is asked when the file "go" is there.
func (l *lab) slowly(name, verb string) []string {
	l.Helper()
	l.write(name, "#!/bin/sh\necho "+verb+" >>asked\n(while [ -e ctl ] && ! [ -e go ]; do sleep 0.02; done; exec ./ctl "+verb+" \"$1\") >/dev/null 2>&1 &\n", 0o755)
	return []string{"./" + name, "{instance}"}
}

// A crash of astern before it has looked at what its restart's command did: the command ended well, and the process of before
// still drains, or that of after does not show yet. The restart is found, and not begun a second time.
func TestRestartThatNobodyLookedAt(t *testing.T) {
	for name, change := range map[string]func(l *lab, s *Settings){
		"the old process drains": func(l *lab, s *Settings) { s.Commands.Restart = l.slowly("slowly", "restart") },
		"the new process is late": func(l *lab, s *Settings) {
			s.Commands.Restart, s.Commands.Stop = nil, []string{"./ctl", "stop", "{instance}"}
			s.Commands.Start = l.slowly("slowly", "start")
		},
		"it did not run, and is late": func(l *lab, s *Settings) {
			s.Commands.Restart, s.Commands.Stop = nil, []string{"./ctl", "stop", "{instance}"}
			s.Commands.Start = l.slowly("slowly", "start")
			l.ctl("stop", "a")
		},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, l *lab) {
				l.redeclare(func(s *Settings) { change(l, s) })
				c := l.before(l.first(verbRestart))
				if got := l.find(c); got != astern.FoundNo {
					t.Errorf("before it was begun, Find says %s", got)
				}
				if op := l.driver.Actor.Start(t.Context(), c); op.Status != astern.OpRunning { // whose answer the crash takes away
					t.Fatalf("the answer that is lost: %+v", op)
				}
				other := c
				other.Token = "ast-other"
				if got := l.find(other); got != astern.FoundNo {
					t.Errorf("of an attempt that was not made Find says %s", got)
				}
				found := func() *astern.Op {
					f := l.driver.Actor.Find(t.Context(), c)
					if f.Answer != astern.FoundYes || f.Op == nil || f.Op.Status != astern.OpRunning {
						t.Fatalf("Find says %+v: the engine would restart it once more", f)
					}
					return f.Op
				}
				found()
				before := l.pid("a")
				l.write("go", "", 0o644)
				for end := time.Now().Add(time.Minute); l.pid("a") == before || l.pid("a") == 0; time.Sleep(10 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatal("the new process does not come")
					}
				}
				if op := l.finish(c, *found()); op.Status != astern.OpDone || strings.Count(l.read("asked"), "\n") != 1 {
					t.Errorf("it ends as %+v, asked %q", op, l.read("asked"))
				}
			})
		})
	}
}

// A crash between the stop command, which returned too early, and the start command: nothing has started it, whatever became of
// the process meanwhile.
func TestRestartThatOnlyStopped(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.write("early", "#!/bin/sh\nexit 0\n", 0o755)
		l.redeclare(func(s *Settings) {
			s.Commands.Restart, s.Commands.Start, s.Commands.Stop = nil, []string{"./ctl", "start", "{instance}"}, []string{"./early"}
		})
		c := l.before(l.first(verbRestart))
		ctx, crash := context.WithCancel(t.Context())
		defer crash()
		over := make(chan astern.Op, 1)
		go func() { over <- l.driver.Actor.Start(ctx, c) }()
		for !strings.Contains(l.read(".astern/a.run"), " 0 ") {
			select {
			case op := <-over:
				t.Fatalf("it ended before anything was seen of its stop command: %+v", op)
			case <-time.After(5 * time.Millisecond):
			}
		}
		crash()
		if op := <-over; op.Status == astern.OpDone || op.Status == astern.OpRunning {
			t.Fatalf("it was not stopped in the middle: %+v", op)
		}
		if got := l.find(c); got != astern.FoundNo {
			t.Errorf("while the process of before lives, Find says %s", got)
		}
		l.ctl("stop", "a")
		if got := l.find(c); got != astern.FoundNo {
			t.Errorf("when it is gone, Find says %s", got)
		}
	})
}

// A process is witnessed for its uptime, however long a look at it takes: here three seconds of a clock that goes on with looks alone.
func TestUptimeIsWitnessed(t *testing.T) {
	t.Parallel()
	const look, uptime = 3 * time.Second, 5 * time.Second
	l := newLab(t, func(_ string, _ *astern.Component, s *Settings) {
		s.Uptime = Duration(uptime)
		s.Commands.Status = []string{"sh", "-c", "echo look >>looks; exec ./ctl status $1", "sh", "{instance}"}
	})
	looks := func() int { return strings.Count(l.read("looks"), "\n") }
	begin := time.Now()
	pool := host.NewPool()
	t.Cleanup(func() { pool.Close() })
	l.driver = build(&driver{machines: pool, lookup: func(string) (astern.Component, bool) { return l.c, true },
		now: func() time.Time { return begin.Add(time.Duration(looks()) * look) }})
	c := l.before(l.first(verbRestart))
	op := l.driver.Actor.Start(t.Context(), c)
	for op.Status == astern.OpRunning && op.Handle[handleIdentity] == "" {
		op = l.driver.Actor.Poll(t.Context(), c, op)
	}
	seen := looks() // the look that saw it has ended
	op = l.finish(c, op)
	asked := looks() - 1 // the look that saw it last has not begun
	if witnessed := time.Duration(asked-seen) * look; op.Status != astern.OpDone || witnessed < uptime || witnessed >= uptime+look {
		t.Errorf("%s, witnessed for %s: it must be for %s, and no look longer", op.Status, witnessed, uptime)
	}
}
