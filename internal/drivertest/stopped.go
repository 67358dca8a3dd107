package drivertest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proof"
)

// Stopper stops one of a script's commands right before it does anything: the tools that scripts use are stood for by ones that
// count themselves. It changes PATH until the test ends.
type Stopper struct {
	testing.TB
	folder string
}

// stopTools are all that the scripts which change something run, one after the other (of two in one pipe either may be the first).
// Waiting is not among them: who watches over a command's output waits beside the script, and the count would be another each time.
var stopTools = []string{"flock", "sed", "head", "find", "readlink", "rm", "ln", "mv", "cp", "cmp", "mkdir", "touch", "sync", "tar", "cat", "tail"}

// NewStopper stops nothing yet.
func NewStopper(t testing.TB) *Stopper {
	t.Helper()
	s := &Stopper{t, t.TempDir()}
	path := os.Getenv("PATH")
	for _, tool := range stopTools {
		real, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		run := `exec "$real" "$@"`
		if tool == "sync" { // the last before the shell itself reads the fence for the last time
			run = `PATH=$path; "$real" "$@"; code=$?; date +%s%N >"$folder/synced"; exit $code`
		}
		text := fmt.Sprintf(`#!/bin/sh
path=%q folder=%q tool=%s real=%q was=$PATH
PATH=$path
if [ -e "$folder/at" ]; then
	echo $$ $tool >>"$folder/calls"
	n=$(sed -n "/^$$ /=" "$folder/calls")
	if [ "$n" = "$(cat "$folder/at" 2>/dev/null)" ]; then
		rm "$folder/at"
		echo $$ $tool >"$folder/new" && mv "$folder/new" "$folder/stopped"
		kill -STOP $$
	fi
fi
echo >"$folder/last-$tool"
PATH=$was
%s
`, path, s.folder, tool, real, run)
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

// Synced returns when a script last had written through to the disk what it noted, in nanoseconds.
func (s *Stopper) Synced() int64 {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.folder, "synced"))
	if err != nil {
		s.Fatal(err)
	}
	at, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		s.Fatal(err)
	}
	return at
}

// begun returns when a tool was last begun, if ever.
func (s *Stopper) begun(tool string) time.Time {
	info, err := os.Stat(filepath.Join(s.folder, "last-"+tool))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// stateOf returns the letter of a process's state.
func stateOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "T" // it has ended: nothing to wait for
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))[0]
}

// holds reports whether the script of a stopped command has the lock of a file of that name.
func (s Stopped) holds(lock string) bool {
	at, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/8", s.PID))
	if err != nil || filepath.Base(at) != lock {
		return false
	}
	file, err := os.Open(at)
	if err != nil {
		return false
	}
	defer file.Close()
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
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

// commands returns the commands of the call when nothing stops it.
func (s Stops) commands() (tools []string) {
	s.Helper()
	if s.Before(1 << 30) {
		s.Fatal("it has no end")
	}
	text, err := os.ReadFile(filepath.Join(s.folder, "calls"))
	if err != nil {
		s.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, tool, _ := strings.Cut(strings.TrimSpace(line), " ")
		tools = append(tools, tool)
	}
	return tools
}

// StopAnywhere stops each of the calls before each of its commands, a trial each: at first before the last of the locks that each
// takes, when all is read and nothing is done, then before the others in some order.
func StopAnywhere(t testing.TB, share uint64, calls ...Stops) {
	t.Helper()
	type trial struct {
		Stops
		n int
	}
	var trials, others []trial
	for _, s := range calls {
		tools := s.commands()
		locked := false
		for i, tool := range slices.Backward(tools) {
			if tool == "flock" && !locked {
				trials, locked = append(trials, trial{s, i + 1}), true
			} else {
				others = append(others, trial{s, i + 1})
			}
		}
	}
	figures := map[string]float64{"stopped_before_the_lock": 0, "max_commands": float64(len(trials) + len(others))}
	locks := uint64(len(trials))
	rand.New(rand.NewPCG(1, 7)).Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	trials = append(trials, others...)
	proof.Covers(t, len(trials))
	first, count := proof.Seeds(t, locks+share)
	for seed := first; seed < first+count; seed++ {
		at := seed % uint64(len(trials))
		if !trials[at].Before(trials[at].n) {
			t.Errorf("seed %d: it came to its end before command %d", seed, trials[at].n)
		}
		figures["stopped"]++
		if at < locks {
			figures["stopped_before_the_lock"]++
		}
	}
	proof.Figures(t, figures)
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
	w := Woken{Stopped: at, Where: fmt.Sprintf("%s, stopped before command %d, %s", c.Verb, n, at.Tool), Waited: at.holds(s.Lock)}
	over, asked := make(chan bool, 1), s.begun("flock")
	go func() { over <- s.Meanwhile() }()
	if w.Waited {
		for len(over) == 0 && s.begun("flock").Equal(asked) { // until it has come so far that it has to wait
			time.Sleep(time.Millisecond)
		}
	} else {
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
