package main

import (
	"fmt"
	"math"
	"slices"

	astern "github.com/astern-dev/astern"
)

// meter is a rival: it sees the samples one by one and returns what it compares with its level, or NaN when it says nothing
// this time. It decides at the first value that reaches the level.
type meter func(nA, xA, nB, xB float64) float64

// rival is a way to decide. Level is what its documentation says; 0 when it is only run at a level tuned in hindsight.
type rival struct {
	name, source string
	level        float64
	start        func() meter
}

// margin is what the rivals call worse, where they are run as documented.
const margin = 0.005

func rivals() []rival {
	return []rival{
		{"Argo Rollouts, sample of its documentation", "argoproj/argo-rollouts@9f8d111 docs/features/analysis.md:781, analysis/analysis.go:662 (5 min, failureLimit 3, fails above it)", 4,
			func() meter { return failures(300, margin) }},
		{"Flagger, default interval, threshold of its samples", "fluxcd/flagger@15bd6ad pkg/apis/flagger/v1beta1/canary.go:33, pkg/controller/scheduler.go:431-462 (60 s, 5 failed checks in all)", 5,
			func() meter { return failures(60, margin) }},
		{"alarm, 3 of 3 minutes", "CloudWatch alarms, datapoints to alarm", margin, func() meter { return inRow(60, 3, 3) }},
		{"alarm, 3 of 5 minutes", "CloudWatch alarms, datapoints to alarm", margin, func() meter { return inRow(60, 3, 5) }},
		{"Kayenta's Mann-Whitney, hourly", "spinnaker/kayenta MannWhitneyClassifier (98 % confidence, tolerance 0.25), spinnaker.io canary best practices (50 points, 1 h)", 0.98,
			func() meter { return kayenta(720, 60, 12) }},
	}
}

// designs are the thresholds that are tuned in hindsight: the level that gives one false alarm in a hundred watches.
func designs() []rival {
	return []rival{
		{"30 s", "", 0, func() meter { return inRow(30, 1, 1) }},
		{"1 min", "", 0, func() meter { return inRow(60, 1, 1) }},
		{"3 of 3 x 1 min", "", 0, func() meter { return inRow(60, 3, 3) }},
		{"5 min", "", 0, func() meter { return inRow(300, 1, 1) }},
		{"20 min", "", 0, func() meter { return inRow(1200, 1, 1) }},
		{"3 of 3 x 5 min", "", 0, func() meter { return inRow(300, 3, 3) }},
	}
}

// others are tuned like the thresholds, and stated apart.
func others() []rival {
	return []rival{
		{"CUSUM", "", 0, cusum},
		{"Mann-Whitney, 50 x 10 s", "", 0, func() meter { return mannWhitney(2, 50) }},
		{"Mann-Whitney, 60 x 1 min", "", 0, func() meter { return mannWhitney(12, 60) }},
	}
}

// windows calls f with the counts of each full window.
func windows(seconds int, f func(d float64) float64) meter {
	var a, x, b, y float64
	left := seconds / tick
	return func(nA, xA, nB, xB float64) float64 {
		a, x, b, y = a+nA, x+xA, b+nB, y+xB
		left--
		if left > 0 {
			return math.NaN()
		}
		d := math.NaN()
		if a > 0 && b > 0 {
			d = y/b - x/a
		}
		a, x, b, y, left = 0, 0, 0, 0, seconds/tick
		return f(d)
	}
}

// failures counts the windows whose error rate is above the control's by a margin, in all.
func failures(seconds int, margin float64) meter {
	count := 0.0
	return windows(seconds, func(d float64) float64 {
		if d > margin {
			count++
		}
		return count
	})
}

// inRow is the level that m of the last n windows exceed.
func inRow(seconds, m, n int) meter {
	var last []float64
	return windows(seconds, func(d float64) float64 {
		if math.IsNaN(d) {
			d = math.Inf(-1)
		}
		last = append(last, d)
		if len(last) > n {
			last = last[1:]
		}
		if len(last) < m {
			return math.NaN()
		}
		sorted := slices.Sorted(slices.Values(last))
		return sorted[len(sorted)-m]
	})
}

// cusum is Page's cumulative sum of the difference of the rates, less half a point, weighted by the traffic.
func cusum() meter {
	sum := 0.0
	return func(nA, xA, nB, xB float64) float64 {
		if nA > 0 && nB > 0 {
			h := 2 * nA * nB / (nA + nB)
			sum = math.Max(0, sum+h*(xB/nB-xA/nA-margin))
		}
		return sum
	}
}

// points collects the last n points of each group, a point being the error rate of some samples.
type points struct {
	each, left int
	a, x, b, y float64
	old, new   []float64
}

func (p *points) add(nA, xA, nB, xB float64, keep int) bool {
	p.a, p.x, p.b, p.y = p.a+nA, p.x+xA, p.b+nB, p.y+xB
	p.left--
	if p.left > 0 {
		return false
	}
	if p.a > 0 && p.b > 0 {
		p.old, p.new = append(p.old, p.x/p.a), append(p.new, p.y/p.b)
		if len(p.old) > keep {
			p.old, p.new = p.old[1:], p.new[1:]
		}
	}
	p.a, p.x, p.b, p.y, p.left = 0, 0, 0, 0, p.each
	return true
}

// mannWhitney is z of the test over the last n points, each of some samples, looked at with each new point.
func mannWhitney(samples, n int) meter {
	p := &points{each: samples, left: samples}
	return func(nA, xA, nB, xB float64) float64 {
		if !p.add(nA, xA, nB, xB, n) || len(p.old) < n {
			return math.NaN()
		}
		return rankSum(p.new, p.old, 0)
	}
}

// kayenta looks once every some samples at the points since it last looked, and gives the confidence with which the new
// values lie above the old ones by more than a quarter of the estimated shift's tolerance: its classifier subtracts
// tolerance times the mean of the control before it tests.
func kayenta(every, keep, samples int) meter {
	p := &points{each: samples, left: samples}
	seen := 0
	return func(nA, xA, nB, xB float64) float64 {
		p.add(nA, xA, nB, xB, keep)
		seen++
		if seen%every != 0 || len(p.old) < 50 {
			return math.NaN()
		}
		mean := 0.0
		for _, v := range p.old {
			mean += v / float64(len(p.old))
		}
		// Two-sided confidence 98 %: each bound of the interval for the shift is exceeded with 1 %.
		z := rankSum(p.new, p.old, 0.25*mean)
		return 1 - 2*(1-0.5*math.Erfc(-z/math.Sqrt2))
	}
}

// rankSum is z of the Mann-Whitney test that a lies above b + shift, with ties and continuity corrected (H. Mann, D. Whitney,
// Ann. Math. Statist. 18, 1947).
func rankSum(a, b []float64, shift float64) float64 {
	type value struct {
		v float64
		a bool
	}
	all := make([]value, 0, len(a)+len(b))
	for _, v := range a {
		all = append(all, value{v - shift, true})
	}
	for _, v := range b {
		all = append(all, value{v, false})
	}
	slices.SortFunc(all, func(x, y value) int {
		switch {
		case x.v < y.v:
			return -1
		case x.v > y.v:
			return 1
		}
		return 0
	})
	ranks, ties := 0.0, 0.0
	for i := 0; i < len(all); {
		k := i
		for k < len(all) && all[k].v == all[i].v {
			k++
		}
		for _, one := range all[i:k] {
			if one.a {
				ranks += float64(i+k+1) / 2
			}
		}
		t := float64(k - i)
		ties += t*t*t - t
		i = k
	}
	m, n := float64(len(a)), float64(len(b))
	total := m + n
	u := ranks - m*(m+1)/2 - m*n/2
	spread := math.Sqrt(m * n / 12 * (total + 1 - ties/(total*(total-1))))
	if spread == 0 {
		return 0
	}
	if u > 0 {
		u -= 0.5
	} else if u < 0 {
		u += 0.5
	}
	return u / spread
}

func fed(m meter, s astern.Sample) float64 {
	return m(s.Control.Total, s.Control.Bad, s.Candidate.Total, s.Candidate.Bad)
}

func (r rival) String() string { return fmt.Sprintf("%s (%s)", r.name, r.source) }
