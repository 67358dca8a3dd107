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

// shippedDay counts the healthy days of one course on which astern would have acted, and asked, with incidents and without.
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
			days := make([]blamed, count)
			for worker := range runtime.NumCPU() {
				owner.Go(func() {
					for k := worker; k < count; k += runtime.NumCPU() {
						days[k] = ship(service{traffic[k%len(traffic)], oldErrors, 0.5, n}, out[i].course, 4_000_000+uint64(k), day)
					}
				})
			}
			owner.Wait()
			for _, d := range days {
				if d.acts.panel != "" {
					*acts[j]++
				}
				if d.asks.panel != "" {
					*asks[j]++
				}
			}
		}
	}
	return out
}

// word is what one panel of a watch said of a healthy day.
type word struct {
	panel, says string
	at          float64 // seconds after the deployment
}

func (w word) String() string {
	return fmt.Sprintf("%s after %s: %s", w.panel, time.Duration(w.at)*time.Second, w.says)
}

// blamed is what a watch said of a healthy day: what it would have acted on, and what it would have asked a person about.
type blamed struct {
	acts, asks word
	most       float64 // the largest e-value of the panels that act
}

// ship watches one healthy day after three hours of past, until something would have been done. Every other day on which nothing
// is deployed begins without a past: its first judgements, each as long as the past so far, are part of the day.
func ship(s service, c course, seed uint64, seconds float64) (b blamed) {
	world := newThree(s, seed)
	w := watch.NewWatched("bench/service")
	w.Runs = map[string]string{"a": "v1", "b": "v1", "c": "v1", "d": "v1"}
	if c != quiet || seed%2 == 0 {
		for range detect.PastSeconds / tick {
			world.next(w, true)
		}
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
	for at := 0.0; at < seconds && b.acts.panel == ""; at += tick {
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
		for _, one := range []struct {
			name  string
			panel *detect.Panel
			word  *word
		}{{"beside", p.Beside, &b.acts}, {"alone", p.Alone, &b.acts}, {"small", p.Small, &b.asks}} {
			if one.panel == nil {
				continue
			}
			if one.word == &b.acts {
				b.most = math.Max(b.most, one.panel.Value())
			}
			if one.panel.Worse() && one.word.panel == "" {
				*one.word = word{one.name, one.panel.Verdict().Sentence, at + tick}
			}
		}
	}
	return b
}
