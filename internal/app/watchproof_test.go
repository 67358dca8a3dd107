package app_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proof"
)

// binomial draws how many of n requests fail, each with the chance p.
func binomial(r *rand.Rand, n int, p float64) int {
	k := 0
	for range n {
		if r.Float64() < p {
			k++
		}
	}
	return k
}

// weather is the rates of a world, drawn anew each round.
type weather struct {
	*rand.Rand
	usual, bad float64 // the chances that a request fails
	on         string  // the revision that is bad
}

// drawWeather draws a usual rate of 0 to 2 %, a bad one of 5 to 60 points more, and how long the world was watched before.
func drawWeather(seed uint64, on string) (weather, int) {
	r := rand.New(rand.NewPCG(seed, 5))
	usual := r.Float64() * 0.02
	return weather{r, usual, usual + 0.05 + r.Float64()*0.55, on}, 8 + r.IntN(40)
}

// blow sets the next round's rates. Both members get the same draw: what they share hits both.
func (w weather) blow(world watchWorld) {
	for _, v := range []string{"v1", "v2", "v3"} {
		p := w.usual
		if v == w.on {
			p = w.bad
		}
		world.rate(v, binomial(w.Rand, 1000, p))
	}
}

// TestWatchFaults: each bad deployment, of one member or of all, is noticed by a live watch and taken back once.
func TestWatchFaults(t *testing.T) {
	seed, count := proof.Seeds(t, 1)
	figures := map[string]float64{"faults": 0, "taken_back_once": 0, "max_seconds_to_notice": 0}
	t.Cleanup(func() { proof.Figures(t, figures) })
	t.Run("seeds", func(t *testing.T) {
		for i := range count {
			figures["faults"]++
			t.Run(fmt.Sprint("seed ", seed+i), func(t *testing.T) {
				air, past := drawWeather(seed+i, "v2")
				w := newWatchWorld(t, automatic)
				w.watch(past, func() bool { air.blow(w); return false })
				members := [][]int{{1}, {2}, {1, 2}}[air.IntN(3)]
				w.deploy("v2", members...)
				deployed := w.clock()
				resolved := w.watch(80, func() bool { air.blow(w); return w.says(astern.WatchResolved)() })
				err := w.whole()
				for _, e := range *w.events {
					if e.Kind == astern.WatchNoticed {
						figures["max_seconds_to_notice"] = max(figures["max_seconds_to_notice"], e.At.Sub(deployed).Seconds())
					}
				}
				if !resolved || err != nil {
					t.Fatalf("resolved %t (%.1f %% to %.1f %%, on %v): %v", resolved, air.usual*100, air.bad*100, members, err)
				}
				figures["taken_back_once"]++
			})
		}
	})
}

// TestWatchQuietly: where nothing is wrong, with a deployment or without, a live watch does nothing for hours.
func TestWatchQuietly(t *testing.T) {
	seed, count := proof.Seeds(t, 1)
	figures := map[string]float64{"quiet_worlds": 0, "quiet_rounds": 0, "things_done": 0}
	t.Cleanup(func() { proof.Figures(t, figures) })
	for i := range count {
		t.Run(fmt.Sprint("seed ", seed+i), func(t *testing.T) {
			air, past := drawWeather(seed+i, "")
			w := newWatchWorld(t, automatic)
			w.watch(past, func() bool { air.blow(w); return false })
			runs := "v1 v1"
			if air.IntN(3) > 0 {
				runs = "v3 v3"
				w.deploy("v3", 1, 2)
			}
			const rounds = 150
			w.watch(rounds, func() bool { air.blow(w); return false })
			incidents, executions, got := w.state()
			figures["quiet_worlds"]++
			figures["quiet_rounds"] += rounds
			figures["things_done"] += float64(len(incidents) + len(executions))
			if len(incidents) != 0 || len(executions) != 0 || got != runs {
				t.Errorf("%.2f %% fail: %+v, %d executions, the members run %s", air.usual*100, incidents, len(executions), got)
			}
		})
	}
}
