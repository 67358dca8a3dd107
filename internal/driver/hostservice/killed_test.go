package hostservice

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
)

// TestKilledSwapNotesOnlyWhatWas kills a swap before each of its commands in turn: the host's history never tells of a swap
// that was not, and a killed one is found, or not, by its link.
func TestKilledSwapNotesOnlyWhatWas(t *testing.T) {
	l := newLab(t, nil)
	swap := l.first(verbSwap)
	s := drivertest.NewStopper(t)
	swapped, not := 0, 0
	for n := 1; ; n++ {
		l.link("links/a", "v2")
		l.write(".astern-history.jsonl", "", 0o644)
		c := swap
		c.Fence, c.Token = int64(n), fmt.Sprintf("ast-%d", tokens.Add(1))
		c = l.before(c)
		ended := make(chan astern.Op, 1)
		s.Arm(n)
		go func() { ended <- l.driver.Actor.Start(t.Context(), c) }()
		at, op, ok := s.Await(ended)
		if !ok {
			if op.Status != astern.OpDone || !strings.Contains(l.read(".astern-history.jsonl"), `"revision":"v1"`) {
				t.Errorf("undisturbed: %+v, noted %q", op, l.read(".astern-history.jsonl"))
			}
			break
		}
		group, err := syscall.Getpgid(at.PID)
		mk(t, err)
		if group == syscall.Getpgrp() {
			t.Fatal("the script has no group of its own")
		}
		mk(t, syscall.Kill(-group, syscall.SIGKILL))
		op = <-ended
		to, err := os.Readlink(filepath.Join(l.root, "links/a"))
		mk(t, err)
		there := filepath.Base(to) == "v1"
		if noted := strings.Contains(l.read(".astern-history.jsonl"), `"revision":"v1"`); noted && !there {
			t.Errorf("killed before command %d, %s: the history tells of a swap, and the link leads to %s", n, at.Tool, to)
		}
		if found := l.find(c) == astern.FoundYes; found != there || op.Status == astern.OpDone {
			t.Errorf("killed before command %d, %s: %+v, found %v, the link leads to %s", n, at.Tool, op, found, to)
		}
		if there {
			swapped++
		} else {
			not++
		}
	}
	if swapped == 0 || not == 0 {
		t.Errorf("killed %d times before the swap and %d after it", not, swapped)
	}
}
