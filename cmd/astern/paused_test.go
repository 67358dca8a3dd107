package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/astern-dev/astern/internal/proof"
)

// descendants returns the processes that came of a process, at any depth, and have not ended.
func descendants(pid int) []int {
	parents := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is fine
	for _, f := range stats {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil || len(fields) < 2 || fields[0] == "Z" { // nobody has asked yet how that ended
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			parents[parent] = append(parents[parent], child)
		}
	}
	var out []int
	for next := parents[pid]; len(next) > 0; {
		out = append(out, next...)
		var below []int
		for _, p := range next {
			below = append(below, parents[p]...)
		}
		next = below
	}
	return out
}

// paused is an operator whose astern, or a command of it, was stopped on the way.
type paused struct {
	c       contest
	cmd     *exec.Cmd
	stopped []int
	ended   chan struct{}
	err     error // how it ended
	// late is how many of its commands may run after it was overtaken, and free that none of them is left: another must be able to
	// take over.
	late int
	free bool
}

// start starts the plan. Where it is never woken, nothing of it is left when the test ends.
func (c contest) start(state, file string) *paused {
	c.Helper()
	out, err := os.Create(filepath.Join(c.folder, "paused.out"))
	if err != nil {
		c.Fatal(err)
	}
	defer out.Close()
	p := &paused{c: c, cmd: c.command(state, "apply", file), ended: make(chan struct{}), late: 1}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		c.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	c.Cleanup(func() {
		for _, pid := range p.stopped {
			if sleeps(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL) // somebody else may have ended it
			}
		}
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	})
	return p
}

// pauseAt starts the plan and stops the process, or one of those that came of it, after a while; where that is wanted, from when
// its execution was taken.
func (c contest) pauseAt(rnd *rand.Rand, state, file string, child, taken bool) *paused {
	c.Helper()
	p := c.start(state, file)
	if taken && !p.within(time.Minute, p.begun) {
		return p
	}
	takes := 600 // about how long it takes, in milliseconds
	if c.server != nil {
		takes = 1500
	}
	time.Sleep(time.Duration(rnd.IntN(takes)) * time.Millisecond) // where it is when it stops is what is tried
	at := p.cmd.Process.Pid
	if child {
		// What a command leaves running is the service; it belongs to nobody any more. Over SSH it is the server's children that
		// act: the one that serves the connection, and those that it has started.
		if c.server != nil {
			at = c.server.PID
		}
		for range 200 {
			if all := descendants(at); len(all) > 0 {
				at = all[rnd.IntN(len(all))]
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	if c.server != nil && at == c.server.PID {
		return p // nothing was connected: whoever comes next must be able to
	}
	if syscall.Kill(at, syscall.SIGSTOP) == nil { // it may have ended
		p.stopped = append(p.stopped, at)
	}
	return p
}

// said is what it has printed so far.
func (p *paused) said() string {
	p.c.Helper()
	text, err := os.ReadFile(filepath.Join(p.c.folder, "paused.out"))
	if err != nil {
		p.c.Fatal(err)
	}
	return string(text)
}

// begun reports whether its execution was taken: it has read the facts of its plan by then.
func (p *paused) begun() bool { return strings.Contains(p.said(), "→ taken by") }

// within waits until that is so, and reports false when it has ended or the time is over.
func (p *paused) within(most time.Duration, is func() bool) bool {
	p.c.Helper()
	for end := time.Now().Add(most); time.Now().Before(end); {
		if is() {
			return true
		}
		select {
		case <-p.ended:
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
	return false
}

// wake lets it go on and returns its exit code when it has ended.
func (p *paused) wake() int {
	p.c.Helper()
	for _, pid := range p.stopped {
		_ = syscall.Kill(pid, syscall.SIGCONT) // it may have ended
	}
	p.stopped = nil
	<-p.ended
	return p.c.code(p.err)
}

// swaps are the revisions to which links were swapped, in the order in which the host did it.
func (c contest) swaps() []string {
	c.Helper()
	text, err := os.ReadFile(filepath.Join(c.folder, "root", ".astern-history.jsonl"))
	if err != nil && !os.IsNotExist(err) {
		c.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		var h struct{ Revision string }
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			c.Fatal(err)
		}
		out = append(out, h.Revision)
	}
	return out
}

// TestPausedOperatorIsOvertaken stops an operator's astern, or one of the commands that it has started, at a random
// moment; another one takes over, with the same state folder or with one of his own, and goes elsewhere. When the first
// wakes up, it can't swap any link any more.
func TestPausedOperatorIsOvertaken(t *testing.T) { pausedOperator(t, 2, false) }

// TestPausedOperatorIsOvertakenOverSSH is the same with a release root that both reach by SSH: what is stopped is astern, the
// process that serves its connection, or a command on the host.
func TestPausedOperatorIsOvertakenOverSSH(t *testing.T) { pausedOperator(t, 2, true) }

func pausedOperator(t *testing.T, share uint64, far bool) {
	t.Helper()
	first, count := proof.Seeds(t, share)
	c := contestAt(t, far, "one", "two")
	figures := map[string]float64{}
	for seed := first; seed < first+count && !t.Failed(); seed++ {
		rnd := rand.New(rand.NewPCG(seed, 5))
		c.reset()
		if err := os.Remove(filepath.Join(c.folder, "root", ".astern-history.jsonl")); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		c.overtakes(rnd, seed, c.pauseAt(rnd, "one", c.plan("one", "v1"), seed%3 == 1, false), func() {}, figures)
		c.giveUp()
	}
	proof.Figures(t, figures)
}

// heldBy is how it is told that a command of somebody else holds the lock of the root or of the instance.
var heldBy = []string{"its lock is held", "the lock of ", "another command of it is still running"}

// overtakes lets another take over from who is paused and go elsewhere. Before the first wakes it does what is to be done then.
func (c contest) overtakes(rnd *rand.Rand, seed uint64, p *paused, beforeWaking func(), figures map[string]float64) {
	c.Helper()
	same, back := seed%3 == 0, rnd.IntN(2) == 0
	code, said := c.takeOver(same, back)
	swaps, commands, begun := len(c.swaps()), len(c.effects()), p.begun()
	beforeWaking()
	woke := p.wake()
	switch {
	case code == 0 && !begun:
		// It had not looked at the world yet: when it does, the world may be again as its plan expects. Then it is the newer.
		figures["began_after_the_take_over"]++
		if links := c.links(); woke == 0 && slices.ContainsFunc(links, func(l string) bool { return l != "v1" }) {
			c.Errorf("it began after the other had ended, and ended well, but the links lead to %v", links)
		}
		if late := len(c.effects()) - commands; woke != 0 && late > 0 {
			c.Errorf("it began after the other had ended and was refused, but %d commands ran", late)
		}
	case code == 0:
		if now := c.swaps(); len(now) != swaps {
			c.Errorf("the older plan overwrote the newer: %v after %v", now[swaps:], now[:swaps])
		}
		late := len(c.effects()) - commands
		figures["window_commands_after_the_take_over"] += float64(late)
		if late > p.late {
			c.Errorf("%d commands of the older plan ran after the newer had ended: at most %d may", late, p.late)
		}
	default:
		figures["not_before_the_paused_one_went_on"]++
		if same && strings.Contains(said, "another process keeps the file locked") {
			figures["stopped_while_it_wrote_into_the_state"]++ // which nobody can break: who has the file open may go on at any time
		} else if p.free || p.late == 0 && !slices.ContainsFunc(heldBy, func(why string) bool { return strings.Contains(said, why) }) {
			c.Errorf("nobody could take over, and no command that was stopped held a lock: %s", said)
		}
		code, said = c.settled(same)
		if swaps := c.swaps(); !back && slices.Contains(swaps, "v2") && slices.Contains(swaps[slices.Index(swaps, "v2"):], "v1") {
			c.Errorf("the older plan overwrote the newer: %v", swaps)
		}
	}
	if woke == 0 {
		figures["ended_before_it_was_stopped"]++
	}
	figures["trials"]++
	if c.Failed() {
		c.Logf("seed %d: who woke up ended with %d:\n%s\nwho took over ended with %d:\n%s\neffects %v", seed, woke, p.said(), code, said, c.effects())
	}
}

// minutes is longer than anything that ends by itself: a command may take one minute here, and a step two and a bit. A lease
// ends only when it is given back or taken over.
const minutes = 3 * time.Minute

// TestPausedForMinutes stops operators that have begun for real minutes, side by side; without the proof's variables one of them, for
// seconds. Another takes over as soon as they are stopped, or when that time is over.
func TestPausedForMinutes(t *testing.T) {
	first, count := proof.Seeds(t, 1)
	asleep := minutes
	if os.Getenv(proof.CountVariable) == "" {
		asleep = 2 * time.Second
	}
	var guard sync.Mutex
	figures := map[string]float64{}
	t.Cleanup(func() { proof.Figures(t, figures) })
	for seed := first; seed < first+count; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			c := contestAt(t, false, "one", "two")
			rnd := rand.New(rand.NewPCG(seed, 6))
			p := c.pauseUnderWay(rnd, seed%3 == 1)
			stopped, mine := time.Now(), map[string]float64{}
			if seed%2 == 0 {
				time.Sleep(asleep) // what is tried is that they go by
			}
			c.overtakes(rnd, seed, p, func() {
				time.Sleep(time.Until(stopped.Add(asleep)))
				if !p.sleeps() {
					t.Errorf("it did not sleep for %s", asleep)
				}
				mine["min_seconds_asleep"] = time.Since(stopped).Seconds()
			}, mine)
			guard.Lock()
			defer guard.Unlock()
			for name, n := range mine {
				if least, ok := figures[name]; strings.HasPrefix(name, "min_") && ok {
					n = min(n, least)
				} else if !strings.HasPrefix(name, "min_") {
					n += figures[name]
				}
				figures[name] = n
			}
		})
	}
}

// pauseUnderWay starts the plan again and again until it is stopped after it has begun and before it has ended. With a command its
// astern is stopped, too: it would end the command when the time of that is over. Without one, those that were under way have ended.
func (c contest) pauseUnderWay(rnd *rand.Rand, child bool) *paused {
	c.Helper()
	for range 50 {
		c.reset()
		if err := os.Remove(filepath.Join(c.folder, "root", ".astern-history.jsonl")); err != nil && !os.IsNotExist(err) {
			c.Fatal(err)
		}
		p := c.pauseAt(rnd, "one", c.plan("one", "v1"), child, true)
		p.late, p.free = 0, !child
		at, ready := p.cmd.Process.Pid, len(p.stopped) > 0
		if child && ready {
			ready = p.stopped[0] != at && syscall.Kill(at, syscall.SIGSTOP) == nil
			p.stopped = append(p.stopped, at)
		}
		// A signal takes a moment to be obeyed.
		if ready && p.within(10*time.Second, func() bool { return p.sleeps() && (child || len(descendants(at)) == 0) }) {
			return p
		}
		p.wake()
		c.giveUp()
	}
	c.Fatal("it could not be stopped under way")
	return nil
}

// sleeps reports whether what was stopped is so still.
func (p *paused) sleeps() bool {
	return len(p.stopped) > 0 && !slices.ContainsFunc(p.stopped, func(pid int) bool { return !sleeps(pid) })
}

func sleeps(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && strings.HasPrefix(string(text[bytes.LastIndexByte(text, ')')+1:]), " T")
}

// takeOver goes to v2, over whoever is under way; and then back, so that the links are again what the older plan expects:
// nothing but the fence can refuse it then.
func (c contest) takeOver(same, back bool) (code int, said string) {
	c.Helper()
	state := "two"
	if same {
		state = "one"
		for _, id := range c.open(state) {
			if code, said := c.run(state, "cancel", id, "--take-over", "--reason", "it does not go on"); code != 0 {
				return code, said
			}
		}
	}
	code, said = c.run(state, "rollback", "shop", "--to", "v2", "--watch", "0s", "--reason", "the other does not go on", "--yes", "--take-over")
	if code == 0 && back {
		return c.run(state, "undo", c.executions(state)[0].Execution.ID, "--reason", "it was not that", "--yes")
	}
	return code, said
}

// settled brings to an end what could not take over while a command of the other held the root or the instance.
func (c contest) settled(same bool) (code int, said string) {
	c.Helper()
	state := "two"
	if same {
		state = "one"
	}
	for _, id := range c.open(state) {
		code, said = c.run(state, "resume", id, "--take-over")
	}
	return code, said
}

// giveUp cancels whatever is left, so that the next trial begins anew.
func (c contest) giveUp() {
	c.Helper()
	for _, state := range []string{"one", "two"} {
		for _, v := range []string{"v1", "v2"} {
			c.run(state, "latch", "release", "shop", v, "--reason", "the trial is over") // it may not be latched
		}
		for _, id := range c.open(state) {
			if code, out := c.run(state, "cancel", id, "--take-over", "--reason", "the trial is over"); code != 0 {
				c.Errorf("cancelling %s of %s: exit code %d:\n%s", id, state, code, out)
			}
		}
	}
}
