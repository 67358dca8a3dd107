package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/astern-dev/astern/internal/detect"
	"github.com/astern-dev/astern/internal/proof"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Two thousand healthy deployments, watched for 24 hours each as astern watch does it: errors, latency and checkouts, with the
// noise that the figures are stated for, at traffic from 1 to 10,000 requests a second by turns. At most 3 may be called worse
// (proof "false-alarms"). The share of a plain test run allows none: that it holds one at the stated level has a chance of one
// in 500.
func TestFalseAlarms(t *testing.T) {
	healthyDays(t, 2, kept, real())
}

// The same days with nothing new, held against their own past. What hits both halves at once is a fault there, so the noise has
// no incidents (proof "quiet-days").
func TestQuietDays(t *testing.T) {
	calm := real()
	calm.incidents = 0
	healthyDays(t, 2, quiet, calm)
}

func healthyDays(t *testing.T, share uint64, c course, n noise) {
	first, count := proof.Seeds(t, share)
	figures := map[string]float64{"false_alarms": 0}
	for seed := first; seed < first+count; seed++ {
		rps := traffic[seed%uint64(len(traffic))]
		b := ship(service{rps, oldErrors, 0.5, n}, c, seed, day)
		figures[fmt.Sprintf("watches_at_%.0f_per_second", rps)]++
		figures["max_e_value"] = max(figures["max_e_value"], b.most)
		for _, w := range []word{b.acts, b.asks} {
			if w.panel != "" {
				figures["false_alarms"]++
				t.Logf("seed %d, %.0f requests a second: %s", seed, rps, w)
			}
		}
	}
	proof.Figures(t, figures)
	// Three of 2,000 in all, which proof/tasks.go holds the sum of all chunks to; of a chunk more than one has a chance of one in
	// 50 at the stated level.
	if allowed := max(1, 3*float64(count)/2000); figures["false_alarms"] > allowed || count <= share && figures["false_alarms"] > 0 {
		t.Errorf("%v of %d healthy days were called worse", figures["false_alarms"], count)
	}
}

// The samplers draw from the distributions that they are named after: the counts of each value against the library's
// probabilities.
func TestSamplers(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const draws = 200_000
	for name, c := range map[string]struct {
		draw func() float64
		prob func(float64) float64
	}{
		"poisson 3":       {func() float64 { return poisson(r, 3) }, distuv.Poisson{Lambda: 3}.Prob},
		"poisson 40":      {func() float64 { return poisson(r, 40) }, distuv.Poisson{Lambda: 40}.Prob},
		"poisson 900":     {func() float64 { return poisson(r, 900) }, distuv.Poisson{Lambda: 900}.Prob},
		"binomial small":  {func() float64 { return binomial(r, 50, 0.05) }, distuv.Binomial{N: 50, P: 0.05}.Prob},
		"binomial 100":    {func() float64 { return binomial(r, 1000, 0.1) }, distuv.Binomial{N: 1000, P: 0.1}.Prob},
		"binomial turned": {func() float64 { return binomial(r, 200, 0.7) }, distuv.Binomial{N: 200, P: 0.7}.Prob},
	} {
		seen := map[float64]float64{}
		for range draws {
			seen[c.draw()]++
		}
		chi, cells := 0.0, 0.0
		for v := 0.0; v < 1200; v++ {
			if want := c.prob(v) * draws; want > 20 {
				chi, cells = chi+(seen[v]-want)*(seen[v]-want)/want, cells+1
			}
		}
		if p := (distuv.ChiSquared{K: cells - 1}).Survival(chi); p < 1e-4 {
			t.Errorf("%s: chi squared %.1f of %v cells (p = %.2g)", name, chi, cells, p)
		}
	}
	for _, shape := range []float64{1, 4, 60} {
		sum, squares := 0.0, 0.0
		for range draws {
			v := gamma(r, shape)
			sum, squares = sum+v, squares+v*v
		}
		mean := sum / draws
		if v := squares/draws - mean*mean; math.Abs(mean-shape) > 0.02*shape || math.Abs(v-shape) > 0.05*shape {
			t.Errorf("gamma %v: mean %v, variance %v", shape, mean, v)
		}
	}
}

// The rank sum's mean and variance are those of all ways to deal the values out, ties and all, and z is what a person gets
// by counting pairs.
func TestRankSum(t *testing.T) {
	for _, all := range [][]float64{{1, 2, 3, 4, 5, 6, 7}, {1, 1, 2, 2, 2, 3, 9}, {0, 0, 0, 0, 1, 5, 5}} {
		var us []float64
		var zs []float64
		for mask := range 1 << len(all) {
			var a, b []float64
			for i, v := range all {
				if mask>>i&1 == 1 {
					a = append(a, v)
				} else {
					b = append(b, v)
				}
			}
			if len(a) != 3 {
				continue
			}
			u := 0.0
			for _, x := range a {
				for _, y := range b {
					switch {
					case x > y:
						u++
					case x == y:
						u += 0.5
					}
				}
			}
			us, zs = append(us, u-6), append(zs, rankSum(a, b, 0)) // the mean is 3*4/2
		}
		mean, variance := stat.PopMeanVariance(us, nil)
		if math.Abs(mean) > 1e-12 {
			t.Errorf("mean %v", mean)
		}
		for i, u := range us {
			want := 0.0
			if u != 0 {
				want = (u - math.Copysign(0.5, u)) / math.Sqrt(variance)
			}
			if math.Abs(zs[i]-want) > 1e-9 {
				t.Fatalf("%v: z %v, by counting %v", all, zs[i], want)
			}
		}
	}
}

// Rivals as documented decide when their documentation says, when every window is bad.
func TestRivalsAsDocumented(t *testing.T) {
	want := []float64{1200, 300, 180, 180, 3600}
	for i, r := range rivals() {
		m := r.start()
		for at := float64(tick); ; at += tick {
			if at > 4000 {
				t.Fatalf("%s never decides", r.name)
			}
			if m(500, math.Mod(at, 4), 500, 100+math.Mod(at, 7)) >= r.level {
				if at != want[i] {
					t.Errorf("%s decides after %v s, want %v", r.name, at, want[i])
				}
				break
			}
		}
	}
}

// Two real servers, recorded on a machine that was busy with other things: the quiet part is not blamed, and the release
// that is slower and fails more is, within a minute.
func TestRecorded(t *testing.T) {
	all, err := recorded()
	if err != nil {
		t.Fatal(err)
	}
	panel, err := recordedPanel(all)
	if err != nil {
		t.Fatal(err)
	}
	const past, quiet = recordedPast, recordedQuiet
	for i, s := range all[past:] {
		for _, name := range []string{"errors", "p90"} {
			worse, err := panel.Feed(name, s)
			if err != nil {
				t.Fatal(err)
			}
			if worse && past+i < quiet {
				t.Fatalf("second %d: %s", i, panel.Verdict().Sentence)
			}
		}
	}
	o := panel.Verdict()
	t.Logf("%s", o.Sentence)
	for _, v := range o.Signals {
		t.Logf("e-value %.3g: %s", v.EValue, v.Sentence)
	}
	if o.State != detect.Worse || o.Decided.After(all[quiet].From.Add(time.Minute)) {
		t.Errorf("%s at %v: %s", o.State, o.Decided, o.Sentence)
	}
}

// What stands in the table of the recording is what each said: the judge within the two bad minutes, nobody before.
func TestOnRecording(t *testing.T) {
	rows, err := judgeRecording()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		t.Logf("%+v", r)
		if !r.never && r.decided < 0 {
			t.Errorf("%s decided before there was anything", r.name)
		}
	}
	if rows[0].never || rows[0].decided > 60 {
		t.Errorf("%+v", rows[0])
	}
}
