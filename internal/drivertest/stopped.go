package drivertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// Stopper stops one of a script's commands right before it does anything: the tools that scripts use are stood for by ones that
// count themselves. It changes PATH until the test ends.
type Stopper struct {
	testing.TB
	folder string
}

// stopTools are all that the scripts which change something run, one after the other. Waiting is not among them: who watches
// over a command's output waits beside the script, and the count would be another each time.
var stopTools = []string{"flock", "sed", "head", "find", "readlink", "rm", "ln", "mv", "cp", "cmp", "mkdir", "touch", "sync", "tar", "cat", "tail"}

// NewStopper stops nothing yet.
func NewStopper(t testing.TB) *Stopper {
	t.Helper()
	s := &Stopper{t, t.TempDir()}
	path := os.Getenv("PATH")
	date, err := exec.LookPath("date")
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range stopTools {
		real, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(`#!/bin/sh
cd_was=$PATH; PATH=%q
if [ -e %[2]q/at ]; then
	echo %[3]s >>%[2]q/calls
	n=$(wc -l <%[2]q/calls)
	if [ "$n" -eq "$(cat %[2]q/at)" ]; then
		rm %[2]q/at
		echo $$ %[3]s >%[2]q/new && mv %[2]q/new %[2]q/stopped
		kill -STOP $$
	fi
fi
PATH=$cd_was
%[4]q "$@"
code=$?
%[5]q +%%s%%N >%[2]q/last-%[3]s
exit $code
`, path, s.folder, tool, real, date)
		if err := os.WriteFile(filepath.Join(s.folder, tool), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", s.folder+":"+path)
	return s
}

// Arm makes the nth command from now on stop.
func (s *Stopper) Arm(n int) {
	s.Helper()
	for _, name := range []string{"calls", "stopped"} {
		_ = os.Remove(filepath.Join(s.folder, name)) // it may not be there
	}
	if err := os.WriteFile(filepath.Join(s.folder, "at"), []byte(strconv.Itoa(n)), 0o600); err != nil {
		s.Fatal(err)
	}
}

// Stopped is a command that was stopped.
type Stopped struct {
	PID  int
	Tool string
}

// Await waits until a command has stopped; ok is false when what was carried out came to its end before.
func (s *Stopper) Await(ended <-chan astern.Op) (at Stopped, op astern.Op, ok bool) {
	s.Helper()
	for {
		if text, err := os.ReadFile(filepath.Join(s.folder, "stopped")); err == nil {
			if _, err := fmt.Sscan(string(text), &at.PID, &at.Tool); err != nil {
				s.Fatal(err)
			}
			for !strings.Contains(stateOf(at.PID), "T") {
				time.Sleep(time.Millisecond)
			}
			return at, op, true
		}
		select {
		case op := <-ended:
			_ = os.Remove(filepath.Join(s.folder, "at")) // nobody else shall stop
			return at, op, false
		case <-time.After(time.Millisecond):
		}
	}
}

// Last returns when a tool last ended, in nanoseconds.
func (s *Stopper) Last(tool string) int64 {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.folder, "last-"+tool))
	if err != nil {
		s.Fatal(err)
	}
	at, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		s.Fatal(err)
	}
	return at
}

// stateOf returns the letter of a process's state.
func stateOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "T" // it has ended: nothing to wait for
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))[0]
}

// holds reports whether a stopped command, which is not the one that takes the lock, has it from its script.
func (s Stopped) holds(lock string) bool {
	file, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/8", s.PID))
	return err == nil && s.Tool != "flock" && filepath.Base(file) == lock
}

// Stops stops a call right before one of its commands in each trial, has something else happen, wakes it, and judges.
type Stops struct {
	*Stopper
	Actor     astern.Actor
	Lock      string             // name of the file whose lock what happens meanwhile waits for; "" where it waits for none
	Reset     func()             // makes the world as it was
	Call      func() astern.Call // with the token and the fence of this trial
	Meanwhile func() bool        // reports whether it did what it should
	Judge     func(Woken)
}

// Woken is a call that was stopped, and then came to its end.
type Woken struct {
	Stopped
	Where  string // a person's word for it
	Waited bool   // what happened meanwhile had to wait for the lock, which the call had
	Did    bool   // what Meanwhile returned
	Op     astern.Op
}

// Overtaken reports whether all that happened meanwhile was over before the call woke.
func (w Woken) Overtaken() bool { return w.Did && !w.Waited }

// Everywhere stops the call before each of its commands in turn, and returns how many there are.
func (s Stops) Everywhere() int {
	s.Helper()
	for n := 1; ; n++ {
		if !s.Before(n) {
			return n - 1
		}
	}
}

// Count returns how many commands the call has when nothing stops it.
func (s Stops) Count() int {
	s.Helper()
	if s.Before(1 << 30) {
		s.Fatal("it has no end")
	}
	text, err := os.ReadFile(filepath.Join(s.folder, "calls"))
	if err != nil {
		s.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

// Before stops the call before its nth command, and reports whether it has so many: undisturbed it must be done.
func (s Stops) Before(n int) bool {
	s.Helper()
	s.Reset()
	c := s.Call()
	image, err := s.Actor.Before(s.Context(), c)
	if err != nil {
		s.Fatal(err)
	}
	c.Image = image
	ended := make(chan astern.Op, 1)
	s.Arm(n)
	go func() { ended <- s.Actor.Start(s.Context(), c) }()
	at, op, ok := s.Await(ended)
	if !ok {
		if op.Status != astern.OpDone {
			s.Errorf("%s undisturbed: %+v", c.Verb, op)
		}
		return false
	}
	w := Woken{Stopped: at, Where: fmt.Sprintf("%s, stopped before command %d, %s", c.Verb, n, at.Tool), Waited: s.Lock != "" && at.holds(s.Lock)}
	over := make(chan bool, 1)
	go func() { over <- s.Meanwhile() }()
	if !w.Waited {
		w.Did = <-over
	}
	if err := syscall.Kill(at.PID, syscall.SIGCONT); err != nil {
		s.Error(err)
	}
	w.Op = <-ended
	if w.Waited {
		w.Did = <-over
	}
	s.Judge(w)
	return true
}
