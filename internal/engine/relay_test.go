package engine

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestRelay passes the loop on where an action takes its time, and only there.
func TestRelay(t *testing.T) {
	for _, c := range []struct {
		name    string
		actions []time.Duration // one after another
		from    time.Duration   // between which times after the first began the loop is passed on; never where both are zero
		to      time.Duration
	}{
		{name: "quick ones", actions: []time.Duration{patience * 6 / 10, patience * 6 / 10, patience * 6 / 10, 0, 0}},
		{name: "a slow one", actions: []time.Duration{5 * patience}, from: patience, to: 2 * patience},
		{name: "a slow one after quick ones", actions: []time.Duration{patience / 4, patience / 2, 9 * patience},
			from: patience * 7 / 4, to: patience * 11 / 4},
		{name: "one that ends before the timer looks again", actions: []time.Duration{patience / 2, patience, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r relay
				begun, passed := time.Now(), time.Duration(-1)
				for i, d := range c.actions {
					n := r.begin(func() { passed = time.Since(begun) })
					time.Sleep(d)
					if gone := r.end(n); gone != (i == len(c.actions)-1 && c.to > 0) {
						t.Errorf("action %d: passed on %v", i, gone)
					}
				}
				time.Sleep(10 * patience)
				synctest.Wait()
				if c.to == 0 && passed >= 0 || c.to > 0 && (passed < c.from || passed > c.to) {
					t.Errorf("passed on after %s, not between %s and %s", passed, c.from, c.to)
				}
				if r.set || r.now != 0 {
					t.Errorf("a timer stays behind: %+v", &r)
				}
			})
		})
	}
}

// TestRelaySparesTimers sets one timer for many quick actions.
func TestRelaySparesTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r relay
		for range 100 {
			if n := r.begin(func() { t.Error("passed on") }); !r.set || r.end(n) {
				t.Fatal("no timer, or passed on")
			}
		}
		set := func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.set
		}
		time.Sleep(patience)
		synctest.Wait()
		if !set() { // the one timer has come, and looks once more: setting it costs least there
			t.Error("no timer after many actions")
		}
		time.Sleep(patience)
		synctest.Wait()
		if set() {
			t.Error("more than one timer was set")
		}
	})
}
