package main

import (
	"math"
	"runtime"
	"slices"
	"sync"

	astern "github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/detect"
)

// The oldErrors are the old revision's share of errors, and longest how long a bad deployment is watched, in seconds.
const (
	oldErrors = 0.005
	longest   = 7200
	day       = 86400
)

// contender is a way to decide with its level at one traffic: the judge at its guarantee and tuned, and the rivals.
type contender struct {
	rival
	judge bool // its statistic is the judge's e-value
	group string
}

// The groups of contenders.
const (
	guaranteed = "guaranteed" // the judge at its default level
	tuned      = "tuned"      // the judge at the level that gives one false alarm in a hundred days
	documented = "documented" // rivals as their documentation has them
	threshold  = "threshold"  // thresholds, tuned alike, the best of them in each cell in hindsight
	rank       = "rank"       // Mann-Whitney, tuned alike
	sum        = "sum"        // CUSUM, tuned alike
)

func contenders() []contender {
	out := []contender{
		{rival{name: "astern", level: 1 / shipped}, true, guaranteed},
		{rival{name: "astern, level tuned to 1 %"}, true, tuned},
	}
	for _, r := range rivals() {
		out = append(out, contender{r, false, documented})
	}
	for _, r := range designs() {
		out = append(out, contender{r, false, threshold})
	}
	for i, r := range others() {
		out = append(out, contender{r, false, []string{sum, rank, rank}[i]})
	}
	return out
}

// cell is the medians of one traffic and one size of regression, by contender, in seconds; infinite is not within longest.
type cell struct {
	rps, size float64
	median    []float64
	floor     float64 // Wald's bound plus one scrape
	plain     float64 // the judge's median with independent noise
}

// comparison is all that was measured.
type comparison struct {
	healthy, runs int
	contenders    []contender
	alarms        map[float64][]float64 // false alarms by traffic and contender, of healthy
	levels        map[float64][]float64
	cells         []cell
	shippedDays   int // of each course, with incidents and without
	shipped       []shippedDay
	recorded      []onRecording
}

func compare(healthy, runs int) (*comparison, error) {
	c := &comparison{healthy: healthy, runs: runs, contenders: contenders(), alarms: map[float64][]float64{}, levels: map[float64][]float64{}}
	for _, rps := range traffic {
		world := service{rps, oldErrors, 0.5, real()}
		most, _, err := c.watches(world, 0, day, healthy, 1_000_000, nil)
		if err != nil {
			return nil, err
		}
		c.tune(rps, most)
		for _, size := range sizes {
			_, when, err := c.watches(world, size, longest, runs, 2_000_000, c.levels[rps])
			if err != nil {
				return nil, err
			}
			one := cell{rps: rps, size: size, floor: floor(rps, size)}
			for _, d := range when {
				one.median = append(one.median, median(d))
			}
			if one.plain, err = c.plain(rps, size); err != nil {
				return nil, err
			}
			c.cells = append(c.cells, one)
		}
	}
	c.shippedDays = healthy / 2
	c.shipped = shippedDays(c.shippedDays)
	var err error
	c.recorded, err = judgeRecording()
	return c, err
}

// floor is the time that no test can beat that starts with the deployment and knows the old rate: ln(1/alpha)/KL requests
// of the new revision (A. Wald, "Sequential tests of statistical hypotheses", Ann. Math. Statist. 16, 1945), and a scrape.
func floor(rps, size float64) float64 {
	p, q := oldErrors+size, 1.1*oldErrors+0.001 // the edge of the null
	kl := p*math.Log(p/q) + (1-p)*math.Log((1-p)/(1-q))
	return math.Log(1/detect.DefaultLevel)/kl/(rps/2) + tick
}

// plain is the judge's median when requests are independent.
func (c *comparison) plain(rps, size float64) (float64, error) {
	alone := &comparison{contenders: c.contenders[:1]}
	_, when, err := alone.watches(service{rps, oldErrors, 0.5, independent()}, size, longest, c.runs, 3_000_000, []float64{1 / shipped})
	if err != nil {
		return 0, err
	}
	return median(when[0]), nil
}

// watches makes deployments and returns, by contender, the largest value that each said, and when it reached its level.
func (c *comparison) watches(world service, size, seconds float64, count int, first uint64, levels []float64) (most, when [][]float64, err error) {
	most, when = make([][]float64, len(c.contenders)), make([][]float64, len(c.contenders))
	for i := range c.contenders {
		most[i], when[i] = make([]float64, count), make([]float64, count)
	}
	var owner sync.WaitGroup
	failed := make([]error, runtime.NumCPU())
	for w := range failed {
		owner.Go(func() {
			for k := w; k < count && failed[w] == nil; k += len(failed) {
				failed[w] = c.one(world, size, seconds, first+uint64(k), levels, func(i int, m, at float64) { most[i][k], when[i][k] = m, at })
			}
		})
	}
	owner.Wait()
	for _, e := range failed {
		if e != nil {
			return nil, nil, e
		}
	}
	return most, when, nil
}

func (c *comparison) one(world service, size, seconds float64, seed uint64, levels []float64, tell func(i int, most, when float64)) error {
	meters := make([]meter, len(c.contenders))
	most, when := make([]float64, len(meters)), make([]float64, len(meters))
	for i, one := range c.contenders {
		if !one.judge {
			meters[i] = one.start()
		}
		most[i], when[i] = math.Inf(-1), math.Inf(1)
	}
	_, err := judged(world, seed, size, seconds, func(at float64, s astern.Sample, value float64) {
		for i, m := range meters {
			v := value
			if m != nil {
				v = fed(m, s)
			}
			if math.IsNaN(v) {
				continue
			}
			most[i] = math.Max(most[i], v)
			if levels != nil && v >= levels[i] {
				when[i] = math.Min(when[i], at)
			}
		}
	})
	for i := range meters {
		tell(i, most[i], when[i])
	}
	return err
}

// tune sets the levels of a traffic: as documented, or the smallest that at most one healthy day in a hundred reaches.
func (c *comparison) tune(rps float64, most [][]float64) {
	for i, one := range c.contenders {
		level := one.level
		if level == 0 {
			sorted := slices.Sorted(slices.Values(most[i]))
			level = math.Nextafter(sorted[len(sorted)-1-len(sorted)/100], math.Inf(1))
		}
		alarms := 0.0
		for _, m := range most[i] {
			if m >= level {
				alarms++
			}
		}
		c.levels[rps], c.alarms[rps] = append(c.levels[rps], level), append(c.alarms[rps], alarms)
	}
}

// best is the smallest median of a group.
func (c *comparison) best(one cell, group string) float64 {
	out := math.Inf(1)
	for i, m := range one.median {
		if c.contenders[i].group == group {
			out = math.Min(out, m)
		}
	}
	return out
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
