package main

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	astern "github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/detect"
	"github.com/astern-dev/astern/internal/watch"
)

// course is what is deployed in a day that is watched as astern watch does it: with all its panels, their shares of the level,
// and three signals.
type course string

// The courses.
const (
	kept  course = "control kept"     // half of the members run the new revision all day
	gone  course = "control gone"     // for an hour, and then all do
	never course = "without control"  // all do at once
	quiet course = "nothing deployed" // the earlier revision runs on
)

// stagedFor is how long a control lasts that goes, in seconds.
const stagedFor = 3600

var signals = []astern.Signal{
	{Name: "errors", Kind: astern.SignalErrors},
	{Name: "latency", Kind: astern.SignalLatency},
	{Name: "checkouts", Kind: astern.SignalBusiness, Prometheus: &astern.PrometheusSource{Total: "attempts", Bad: "given_up"}},
}

// uppers are the bounds of the latency's histogram in seconds; slow is the share of requests above each of the first three
// from below the last, and slower of those above the quantile that are above the next bounds too.
var (
	uppers = []float64{0.1, 0.2, 0.3, 0.4, 0.5, 1}
	faster = []float64{0.6, 0.3}
	slower = []float64{0.55, 0.5, 0.2}
)

// slowOnes turns a stream's counts into a histogram: what fails there takes longer than 300 ms here.
func (s *stream) slowOnes(c *astern.Counts) {
	c.Buckets = c.Buckets[:0]
	add := func(i int, over float64) {
		c.Buckets = append(c.Buckets, astern.Bucket{Upper: &uppers[i], Count: c.Total - over})
	}
	for i, share := range faster {
		add(i, math.Max(c.Bad, math.Round(c.Total*share)))
	}
	over := c.Bad
	add(len(faster), over)
	for i, share := range slower {
		over = binomial(s.random, over, share)
		add(len(faster)+1+i, over)
	}
	c.Buckets = append(c.Buckets, astern.Bucket{Count: c.Total})
	c.Bad = 0
}

// three are a service's signals in time: errors, latency and checkouts, of which one in fifty requests tries one.
type three [3]*stream

func newThree(s service, seed uint64) three {
	slow, tried := s, s
	slow.errors, slow.noise.incidentRate = 0.05, 0.5
	tried.rps, tried.errors = s.rps/50, 0.1
	return three{newStream(s, 3*seed), newStream(slow, 3*seed+1), newStream(tried, 3*seed+2)}
}

// next shows what was counted in the next interval. With all of the members on one revision there is no control.
func (t three) next(w *watch.Watched, control bool) {
	for i, s := range t {
		one := s.next()
		if i == 1 {
			s.slowOnes(one.Candidate)
			s.slowOnes(one.Control)
		}
		if !control {
			sum := *one.Candidate
			sum.Total, sum.Bad, sum.Members = sum.Total+one.Control.Total, sum.Bad+one.Control.Bad, sum.Members+one.Control.Members
			for k := range sum.Buckets {
				sum.Buckets[k].Count += one.Control.Buckets[k].Count
			}
			one.Candidate, one.Control = &sum, nil
		}
		w.Show(one.To, signals, watch.Taken{Signal: i, Sample: one})
	}
}

// shippedDay counts the healthy days of one course on which astern would have acted, or asked, with incidents and without.
type shippedDay struct {
	course                         course
	acts, asks, calmActs, calmAsks int
}

func shippedDays(count int) []shippedDay {
	var out []shippedDay
	for _, c := range []course{kept, gone, never, quiet} {
		out = append(out, shippedDay{course: c})
	}
	calm := real()
	calm.incidents = 0
	var owner sync.WaitGroup
	for i := range out {
		acts, asks := [2]*int{&out[i].acts, &out[i].calmActs}, [2]*int{&out[i].asks, &out[i].calmAsks}
		for j, n := range []noise{real(), calm} {
			panels := make([]string, count)
			for worker := range runtime.NumCPU() {
				owner.Go(func() {
					for k := worker; k < count; k += runtime.NumCPU() {
						panels[k] = ship(service{traffic[k%len(traffic)], oldErrors, 0.5, n}, out[i].course, 4_000_000+uint64(k), day).panel
					}
				})
			}
			owner.Wait()
			for _, p := range panels {
				switch p {
				case "small":
					*asks[j]++
				case "beside", "alone":
					*acts[j]++
				}
			}
		}
	}
	return out
}

// blamed is what a watch said of a healthy day: which panel, and in which words.
type blamed struct {
	panel, says string
	at          float64 // seconds after the deployment
	most        float64 // the largest e-value of the panel that holds most of the level
}

// ship watches one healthy day after three hours of past, and returns what was said of it first.
func ship(s service, c course, seed uint64, seconds float64) blamed {
	world := newThree(s, seed)
	w := watch.NewWatched("bench/service")
	w.Runs = map[string]string{"a": "v1", "b": "v1", "c": "v1", "d": "v1"}
	for range detect.PastSeconds / tick {
		world.next(w, true)
	}
	now := world[0].now()
	if c != quiet {
		for _, one := range world {
			one.host(1)
		}
		w.Runs["c"], w.Runs["d"] = "v2", "v2"
		w.Try(astern.Event{Seq: 1, Kind: astern.EventDeployed, Address: w.Address, Revision: "v2", At: now}, "v1", signals, nil, now, now)
	} else {
		w.Quiet = nil // what the past's incidents said is over
	}
	var b blamed
	for at := 0.0; at < seconds; at += tick {
		if c == never && at == 0 || c == gone && at == stagedFor {
			w.Runs["a"], w.Runs["b"] = "v2", "v2"
		}
		world.next(w, c == quiet || w.Runs["a"] == "v1")
		p := w.Quiet
		if w.Trial != nil {
			p = &w.Trial.Panels
		}
		if p == nil {
			continue
		}
		for name, panel := range map[string]*detect.Panel{"beside": p.Beside, "alone": p.Alone, "small": p.Small} {
			if panel == nil {
				continue
			}
			if name != "small" {
				b.most = math.Max(b.most, panel.Value())
			}
			if panel.Worse() && b.panel == "" {
				b.panel, b.at, b.says = name, at+tick, panel.Verdict().Sentence
			}
		}
		if b.panel != "" {
			break
		}
	}
	return b
}

func (b blamed) String() string {
	return fmt.Sprintf("%s after %s: %s", b.panel, time.Duration(b.at)*time.Second, b.says)
}
