package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	astern "github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/detect"
)

func num(name string, d float64) float64 {
	if v, err := strconv.ParseFloat(os.Getenv(name), 64); err == nil {
		return v
	}
	return d
}

func TestTry(t *testing.T) {
	rule := detect.Rule{Name: "e", Kind: astern.SignalErrors, Margin: 0.005}
	runs := int(num("RUNS", 40))
	hours := num("HOURS", 24)
	pastS := int(num("PAST", 3600))
	for _, rps := range []float64{1, 10, 100, 1000, 10000} {
		if o := num("RPS", 0); o != 0 && o != rps {
			continue
		}
		start := time.Now()
		var maxes []float64
		var phis []float64
		var mu sync.Mutex
		var wg sync.WaitGroup
		run := func(seed uint64, worse float64, secs float64) (mx float64, dec float64, phi float64) {
			s := newStream(service{rps, num("P0", 0.005), num("SHARE", 0.5), real()}, seed)
			past := detect.Measure(rule, s.past(pastS))
			s.worse = worse
			begin := s.now()
			j, err := detect.New(rule, past, begin, 0, false)
			if err != nil {
				t.Fatal(err)
			}
			dec = math.Inf(1)
			for e := 5.0; e <= secs; e += 5 {
				if j.Feed(s.next()) && math.IsInf(dec, 1) {
					dec = e
					if worse > 0 {
						break
					}
				}
				mx = max(mx, j.Value())
			}
			return mx, dec, past.Phi
		}
		if num("NULL", 1) > 0 {
			for w := range 2 {
				wg.Go(func() {
					for i := w; i < runs; i += 2 {
						mx, _, phi := run(uint64(i)+uint64(rps)*1000, 0, hours*3600)
						mu.Lock()
						maxes = append(maxes, mx)
						phis = append(phis, phi)
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			slices.Sort(maxes)
			slices.Sort(phis)
			n := len(maxes)
			fa := 0
			for _, m := range maxes {
				if m >= 1000 {
					fa++
				}
			}
			fmt.Printf("rps %6.0f null: fa %d/%d  max E: q50 %.3g q90 %.3g q99 %.3g top %.3g  phi %.1f %.1f %.1f  %.1fs\n", rps, fa, n, maxes[n/2], maxes[n*9/10], maxes[n*99/100], maxes[n-3:], phis[n/10], phis[n/2], phis[n*9/10], time.Since(start).Seconds())
		}
		fmt.Printf("rps %6.0f power:", rps)
		pr := int(num("PRUNS", 60))
		for _, d := range []float64{0.005, 0.01, 0.02, 0.05, 0.2} {
			var ds []float64
			for w := range 2 {
				wg.Go(func() {
					for i := w; i < pr; i += 2 {
						_, dec, _ := run(uint64(i)+77777, d, 7200)
						mu.Lock()
						ds = append(ds, dec)
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			slices.Sort(ds)
			fmt.Printf("  +%g: %.0f", d*100, ds[len(ds)/2])
		}
		fmt.Println()
	}
}
