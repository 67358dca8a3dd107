package hostservice

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/proof"
)

// stops has a call of the lab stopped.
func (l *lab) stops(older func() astern.Call, reset func(), newer func() bool, judge func(drivertest.Woken)) drivertest.Stops {
	l.Helper()
	return drivertest.Stops{Stopper: drivertest.NewStopper(l), Actor: l.driver.Actor, Lock: ".astern.lock", Reset: reset, Call: older, Meanwhile: newer, Judge: judge}
}

// A swap is conditional: wherever it is stopped, one with a newer fence that comes to its end meanwhile, and even puts the
// link back to what the older one expects, is never overwritten.
func TestStoppedSwapIsNeverLate(t *testing.T) {
	l := newLab(t, nil)
	l.release("v3", "exec sleep 1003")
	fence := int64(0)
	swap := l.first("swap")
	at := func(from, to string, fence int64) astern.Call {
		c := swap
		c.Args = map[string]astern.Arg{}
		for k, v := range swap.Args {
			c.Args[k] = v
		}
		c.Args["from"], c.Args["revision"], c.Args["hash"] = astern.List(from), astern.Text(to), astern.Text("")
		c.Fence, c.Token = fence, fmt.Sprintf("ast-%d", tokens.Add(1))
		return c
	}
	do := func(c astern.Call) bool {
		image, err := l.driver.Actor.Before(t.Context(), c)
		c.Image = image
		return err == nil && l.driver.Actor.Start(t.Context(), c).Status == astern.OpDone
	}
	refused := 0
	n := l.stops(func() astern.Call { return at("v2", "v1", fence) },
		func() { fence += 10; l.link("links/a", "v2") },
		func() bool { return do(at("v2", "v3", fence+5)) && do(at("v3", "v2", fence+6)) },
		func(w drivertest.Woken) {
			where, first, op, link := w.Where, w.Overtaken(), w.Op, l.value("a/link")
			if first && (op.Status != astern.OpFailed || op.Code != astern.Conflict || link != "v2") {
				t.Errorf("%s: the newer had ended, the older says %+v, and the link leads to %s", where, op, link)
			}
			if !first && (op.Status != astern.OpDone || link != "v1") {
				t.Errorf("%s: the newer waited, the older says %+v, and the link leads to %s", where, op, link)
			}
			if first {
				refused++
			}
		}).Everywhere()
	if refused == 0 || refused == n {
		t.Errorf("%d of %d were refused: there must be some before the lock and some under it", refused, n)
	}
	proof.Figures(t, map[string]float64{"swap_stopped_at": float64(n), "swap_refused_after": float64(refused), "swap_overwrote": 0})
}

// A clean-up that removes the release to which a stopped swap is about to point the link never leaves a link that leads
// nowhere: it looks where the links lead, as every clean-up must, and removes what none leads to.
func TestStoppedSwapAndCleanUp(t *testing.T) {
	l := newLab(t, nil)
	fence := int64(0)
	cleaned := 0
	swap := l.first("swap")
	s := l.stops(func() astern.Call {
		swap.Fence, swap.Token = fence, fmt.Sprintf("ast-%d", tokens.Add(1))
		return swap
	},
		func() {
			fence++
			l.link("links/a", "v2")
			l.release("v1", "exec sleep 1000")
		},
		func() bool {
			if to, err := os.Readlink(filepath.Join(l.root, "links/a")); err != nil || filepath.Base(to) == "v1" {
				return false
			}
			return os.RemoveAll(filepath.Join(l.root, "releases/v1")) == nil
		},
		func(w drivertest.Woken) {
			where, removed, op := w.Where, w.Did, w.Op
			if _, err := os.Stat(filepath.Join(l.root, "links/a")); err != nil {
				t.Errorf("%s: the link leads nowhere: %v; the swap says %+v", where, err, op)
			}
			if removed {
				cleaned++
				if op.Status != astern.OpFailed || op.Code != astern.Refused || l.value("a/link") != "v2" {
					t.Errorf("%s: the release was removed, and the swap says %+v, the link leads to %s", where, op, l.value("a/link"))
				}
			}
		})
	s.Lock = "" // is nothing to who cleans up
	proof.Figures(t, map[string]float64{"clean_up_against_swap_stopped_at": float64(s.Everywhere()), "releases_removed_before_the_swap": float64(cleaned)})
}

// Copying is conditional, and so is the removal of what copies left behind: wherever it is stopped, a newer copy is not
// disturbed, no release goes away, and no older one appears after it.
func TestStoppedCopyIsNeverLate(t *testing.T) {
	source := ""
	l := newLab(t, func(root string, _ *astern.Component, s *Settings) {
		source = filepath.Join(filepath.Dir(root), "source")
		s.Source = source + "/{revision}"
	})
	for _, rev := range []string{"v4", "v5"} {
		l.write("../source/"+rev+"/run", "#!/bin/sh\nexec sleep 1004 # "+rev+"\n", 0o755)
	}
	fence := int64(0)
	copies := map[string]astern.Call{}
	for _, rev := range []string{"v4", "v5"} {
		copies[rev] = l.calls(l.route(astern.VerbDeploy, rev, 100), 1)[0]
	}
	at := func(rev string, fence int64) astern.Call {
		c := copies[rev]
		c.Fence, c.Token = fence, fmt.Sprintf("ast-%d", tokens.Add(1))
		return c
	}
	n := l.stops(func() astern.Call { return at("v4", fence) },
		func() {
			fence += 10
			for _, rev := range []string{"v4", "v5"} {
				os.RemoveAll(filepath.Join(l.root, "releases", rev))
			}
		},
		func() bool { return l.driver.Actor.Start(t.Context(), at("v5", fence+5)).Status == astern.OpDone },
		func(w drivertest.Woken) {
			where, first, op := w.Where, w.Overtaken(), w.Op
			there := strings.Fields(l.value("a/releases"))
			for _, rev := range []string{"v1", "v2", "v5"} {
				if !slices.Contains(there, rev) {
					t.Errorf("%s: %s is gone: %v", where, rev, there)
				}
			}
			late := slices.Contains(there, "v4")
			if first && (late || op.Status != astern.OpFailed) {
				t.Errorf("%s: the newer had ended, the older says %+v, and there are %v", where, op, there)
			}
			if !first && !late && op.Status == astern.OpDone {
				t.Errorf("%s: done without an effect: %+v %v", where, op, there)
			}
		}).Everywhere()
	proof.Figures(t, map[string]float64{"copy_stopped_at": float64(n), "copy_overwrote": 0, "live_releases_removed": 0})
}

// The verbs with a window: how long after the last question about the fence the command begins. The shell itself asks, so it is
// counted from the end of what it ran before that, and the time in which the processes are made that tell it is counted as well.
func TestWindowIsMeasured(t *testing.T) {
	_, count := proof.Seeds(t, 5)
	l := newLab(t, nil)
	s := drivertest.NewStopper(t)
	l.write("now", "#!/bin/sh\nexec date +%s%N >>now.log\n", 0o755)
	figures := map[string]float64{"window_commands_measured": 0}
	command := l.first("restart")
	for range count {
		for _, verb := range []string{verbDrain, verbUndrain, verbRestart} {
			c := command
			c.Args, c.Token = maps.Clone(command.Args), fmt.Sprintf("ast-%d", tokens.Add(1))
			list := "command"
			if verb == verbRestart {
				list = "restart"
			}
			c.Verb, c.Args[list], c.Fence = verb, astern.List("./now"), 5
			os.Remove(filepath.Join(l.root, "now.log"))
			if op := l.driver.Actor.Start(t.Context(), l.before(c)); op.Status == astern.OpFailed {
				t.Fatalf("%s: %+v", verb, op)
			}
			from := s.Synced()
			to, err := strconv.ParseInt(strings.TrimSpace(l.read("now.log")), 10, 64)
			if err != nil || to < from {
				t.Fatalf("%s: asked at %d, began at %q", verb, from, l.read("now.log"))
			}
			figures["max_window_ms_"+verb] = max(figures["max_window_ms_"+verb], float64(to-from)/1e6)
			figures["window_commands_measured"]++
		}
	}
	proof.Figures(t, figures)
}

// A command's window is as small as can be: one that is stopped before the last look at the fence, the flush in between
// included, is refused when a newer plan acted meanwhile.
func TestStoppedCommandLooksAgain(t *testing.T) {
	l := newLab(t, nil)
	l.release("v3", "exec sleep 1003")
	l.write("now", "#!/bin/sh\necho ran >>now.log\n", 0o755)
	restart, swap := l.first("restart"), l.first("swap")
	ran, fence := filepath.Join(l.root, "now.log"), int64(0)
	drain := func() astern.Call {
		c := restart
		c.Verb, c.Args, c.Fence, c.Token = verbDrain, maps.Clone(restart.Args), fence, fmt.Sprintf("ast-%d", tokens.Add(1))
		c.Args["command"] = astern.List("./now")
		return c
	}
	newer := func() bool {
		c := swap
		c.Args, c.Fence, c.Token = maps.Clone(swap.Args), fence+5, fmt.Sprintf("ast-%d", tokens.Add(1))
		c.Args["from"], c.Args["revision"], c.Args["hash"] = astern.List("v2"), astern.Text("v3"), astern.Text("")
		return l.driver.Actor.Start(t.Context(), l.before(c)).Status == astern.OpDone
	}
	seen := map[string]int{}
	l.stops(drain, func() { fence += 10; os.Remove(ran); l.link("links/a", "v2") }, newer,
		func(w drivertest.Woken) {
			where, name, op := w.Where, w.Tool, w.Op
			if !w.Overtaken() || name != "flock" && name != "sync" {
				return
			}
			_, err := os.Stat(ran)
			if strings.Contains(op.Error, "did not end within") && err != nil {
				return // the machine was so slow that the command's time was over, and nothing was done
			}
			seen[name]++
			if op.Status != astern.OpFailed || op.Code != astern.Conflict || err == nil {
				t.Errorf("%s: a newer plan had acted, and the command says %+v", where, op)
			}
		}).Everywhere()
	if seen["sync"] == 0 {
		t.Errorf("it was stopped between the two looks at the fence at no point: %v", seen)
	}
}
