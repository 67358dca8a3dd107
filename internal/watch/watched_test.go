package watch_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/detect"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/watch"
)

// service is members whose counters go on as time does: each runs a revision, and a share of its requests fails.
type service struct {
	now     time.Time
	runs    map[string]string
	rates   map[string]float64 // failures by revision
	slow    map[string]float64 // share above 0.1 s by revision
	counts  map[string]astern.Reading
	random  *rand.Rand
	signals []astern.Signal
	gone    map[string]bool // members whose metrics can't be read
	down    bool            // none can
}

func newService(seed uint64, members int) *service {
	s := &service{now: now, runs: map[string]string{}, rates: map[string]float64{"v1": 0.002, "v2": 0.1, "v3": 0.002}, slow: map[string]float64{"v1": 0.08, "v2": 0.08, "v3": 0.08},
		counts: map[string]astern.Reading{}, random: rand.New(rand.NewPCG(seed, 1)), gone: map[string]bool{},
		signals: []astern.Signal{{Name: "errors", Kind: astern.SignalErrors}, {Name: "latency", Kind: astern.SignalLatency}, {Name: "orders", Kind: astern.SignalThroughput}}}
	for i := range members {
		s.runs[fmt.Sprintf("m%d", i)] = "v1"
	}
	return s
}

// round lets five seconds go by and returns what the sources answer. Each member has some 1,000 requests.
func (s *service) round() []signal.Answer {
	s.now = s.now.Add(5 * time.Second)
	answer := signal.Answer{Now: s.now, Failed: map[string]string{}}
	for _, m := range []string{"m0", "m1", "m2", "m3"} {
		revision, ok := s.runs[m]
		if !ok {
			continue
		}
		r := s.counts[m]
		n := 950 + s.random.IntN(101)
		bad, slow := s.some(n, s.rates[revision]), s.some(n, s.slow[revision])
		first, second := 0.1, 0.12
		buckets := []astern.Bucket{{Upper: &first}, {Upper: &second}, {}}
		for i, more := range []int{n - slow, n - slow/2, n} {
			if r.Buckets != nil {
				buckets[i].Count = r.Buckets[i].Count
			}
			buckets[i].Count += float64(more)
		}
		r = astern.Reading{Member: m, At: s.now, Total: r.Total + float64(n), Bad: r.Bad + float64(bad), Buckets: buckets}
		s.counts[m] = r
		if s.gone[m] {
			answer.Failed[m] = "no answer"
			continue
		}
		answer.Readings = append(answer.Readings, r)
	}
	if s.down {
		answer = signal.Answer{Now: s.now, Err: errors.New("connection refused")}
	}
	return slices.Repeat([]signal.Answer{answer}, len(s.signals))
}

// some is how many of n it happens to, by the normal approximation.
func (s *service) some(n int, rate float64) int {
	x := float64(n)*rate + math.Sqrt(float64(n)*rate*(1-rate))*s.random.NormFloat64()
	return min(n, max(0, int(math.Round(x))))
}

func (s *service) copyRuns() map[string]string {
	out := map[string]string{}
	for m, r := range s.runs {
		out[m] = r
	}
	return out
}

// rounds shows n rounds to what is watched.
func (s *service) rounds(w *watch.Watched, n int) {
	for range n {
		a := s.round()
		w.Take(s.now, s.copyRuns(), s.signals, a)
	}
}

// deploy has members run a revision, and begins its trial.
func (s *service) deploy(w *watch.Watched, revision, baseline string, members ...string) {
	for _, m := range members {
		s.runs[m] = revision
	}
	w.Try(astern.Event{Seq: w.Known + 1, Kind: astern.EventDeployed, Address: w.Address, Revision: revision, At: s.now}, baseline, s.signals, nil, s.now, s.now)
}

// found returns the finding of a signal.
func (s *service) found(w *watch.Watched, name string) watch.Finding {
	for _, f := range w.Findings(s.signals) {
		if f.Signal == name {
			return f
		}
	}
	return watch.Finding{}
}

// stored is what comes back after it was kept as JSON.
func stored(t interface{ Fatal(...any) }, w *watch.Watched) *watch.Watched {
	pasts, err := json.Marshal(w.Pasts)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	out := &watch.Watched{}
	if err := json.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(pasts, &out.Pasts); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestWatchedGoesOn: stored after every round and read again, it finds the same as what was never stored, whatever happens.
func TestWatchedGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newService(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(1, 3).Draw(t, "members"))
		one, other := watch.NewWatched("e/c"), watch.NewWatched("e/c")
		both := func(do func(w *watch.Watched)) { do(one); do(other) }
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch what := rapid.IntRange(0, 25).Draw(t, "what"); what {
			case 0, 1, 2:
				revision := rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "revision")
				some := []string{"m0", "m1", "m2"}[:rapid.IntRange(1, len(s.runs)).Draw(t, "how many")]
				baseline := rapid.SampledFrom([]string{"v1", ""}).Draw(t, "baseline")
				both(func(w *watch.Watched) { s.deploy(w, revision, baseline, some...) })
			case 3:
				both(func(w *watch.Watched) { w.Noticed(s.now) })
			case 4:
				both(func(w *watch.Watched) { w.Again(s.now) })
			case 5:
				both(func(w *watch.Watched) { w.Over(s.now) })
			case 6:
				both(func(w *watch.Watched) { w.Settle() })
			case 7:
				both(func(w *watch.Watched) { w.Forget(s.now) })
			case 8:
				s.down = !s.down
			case 9:
				s.gone["m0"] = !s.gone["m0"]
			case 10:
				s.now = s.now.Add(time.Duration(rapid.IntRange(-120, 600).Draw(t, "jump")) * time.Second)
			case 11: // long enough for a past to judge by
				for range 80 {
					a := s.round()
					both(func(w *watch.Watched) { w.Take(s.now, s.copyRuns(), s.signals, a) })
				}
			case 12:
				clear(s.counts) // every process restarts
			}
			a := s.round()
			both(func(w *watch.Watched) { w.Take(s.now, s.copyRuns(), s.signals, a) })
			if why := other.Problem(); why != "" {
				t.Fatal(why)
			}
			other = stored(t, other)
			says := func(w *watch.Watched) string {
				healthy, of := w.Healthy(s.signals)
				b, err := json.Marshal([]any{w.Findings(s.signals), healthy, of, w.Cannot(), w.Judging(), w.Cost(), w.Graph})
				if err != nil {
					t.Fatal(err)
				}
				return string(b)
			}
			if want, got := says(one), says(other); want != got {
				t.Fatalf("%s\nwas stored: %s", want, got)
			}
		}
	})
}

// TestWatchedFinds: a bad revision beside a good one, alone, and one that runs for long and breaks by itself; a good one is
// not worse.
func TestWatchedFinds(t *testing.T) {
	for name, c := range map[string]struct {
		deploy func(s *service, w *watch.Watched)
		want   watch.Verdict
		check  func(f watch.Finding) bool
	}{
		"beside": {func(s *service, w *watch.Watched) { s.deploy(w, "v2", "v1", "m0", "m1") }, watch.Worse, func(f watch.Finding) bool { return f.Controlled && f.Harm > 5 }},
		"alone":  {func(s *service, w *watch.Watched) { s.deploy(w, "v2", "v1", "m0", "m1", "m2", "m3") }, watch.Worse, func(f watch.Finding) bool { return !f.Controlled && f.Large }},
		"good":   {func(s *service, w *watch.Watched) { s.deploy(w, "v3", "v1", "m0", "m1") }, watch.NotWorse, func(f watch.Finding) bool { return f.Controlled }},
		"quiet":  {func(s *service, _ *watch.Watched) { s.rates["v1"] = 0.3 }, watch.Worse, func(f watch.Finding) bool { return !f.Controlled && f.Large }},
	} {
		s, w := newService(1, 4), watch.NewWatched("e/c")
		s.rounds(w, 400)
		c.deploy(s, w)
		s.rounds(w, 120)
		if f := s.found(w, "errors"); f.Verdict != c.want || !c.check(f) || f.Verdict == watch.Worse && f.Began.Before(now.Add(1995*time.Second)) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// TestWatchedForget: after a gap nothing of before speaks, and what is tried and at fault stays known.
func TestWatchedForget(t *testing.T) {
	s, w := newService(2, 4), watch.NewWatched("e/c")
	s.rounds(w, 400)
	s.deploy(w, "v2", "v1", "m0", "m1")
	s.rounds(w, 60)
	w.Noticed(s.now)
	w.Forget(s.now)
	if f := s.found(w, "errors"); f.Verdict != watch.Unknown || w.Trial == nil || w.Fault.IsZero() || len(w.Meters) != 0 || w.PastOf("errors").Seconds() == 0 {
		t.Errorf("%+v, %+v", f, w)
	}
	s.now = s.now.Add(time.Hour)
	s.rounds(w, 60)
	if f := s.found(w, "errors"); f.Verdict != watch.Worse {
		t.Errorf("%+v", f)
	}
}

// TestWatchedChanges: what a member counted while its revision changed belongs to no revision.
func TestWatchedChanges(t *testing.T) {
	s, w := newService(3, 4), watch.NewWatched("e/c")
	s.rounds(w, 400)
	s.deploy(w, "v3", "v1", "m0")
	s.rounds(w, 5)
	s.rates["v1"] = 1 // the last seconds of what m1 ran before: each request fails
	s.round()
	s.rates["v1"] = 0.002
	s.runs["m1"] = "v3"
	before := w.Graph
	s.rounds(w, 1)
	sample := w.Graph.Bad - before.Bad
	if sample > 50 {
		t.Errorf("%v failures of the revision before are counted as the new one's", sample)
	}
	s.rounds(w, 120)
	if f := s.found(w, "errors"); f.Verdict == watch.Worse {
		t.Errorf("%+v", f)
	}
	delete(s.runs, "m1") // it goes, and comes back with counters that went on
	s.rounds(w, 3)
	s.runs["m1"] = "v3"
	s.rounds(w, 3)
	if f := s.found(w, "errors"); f.Verdict == watch.Worse {
		t.Errorf("%+v", f)
	}
}

// TestWatchedChangesQuietly: neither is it a part of the past, where nothing is tried.
func TestWatchedChangesQuietly(t *testing.T) {
	s, w := newService(8, 1), watch.NewWatched("e/c")
	s.rounds(w, 100)
	s.rates["v1"] = 1
	s.round()
	s.runs["m0"] = "v3"
	s.rounds(w, 5)
	if _, bad := totals(w.PastOf("errors").Samples(s.now)); bad > 500 {
		t.Errorf("%v failures of the last seconds of the revision before are a part of the past", bad)
	}
}

// TestWatchedControlVanishes: when no member runs the earlier revision any more, the new one is judged against the past, from
// then on; what was found beside it stays found.
func TestWatchedControlVanishes(t *testing.T) {
	s, w := newService(4, 4), watch.NewWatched("e/c")
	s.rounds(w, 400)
	s.deploy(w, "v3", "v1", "m0", "m1")
	s.rounds(w, 100)
	if f := s.found(w, "errors"); f.Verdict != watch.NotWorse || !f.Controlled {
		t.Fatalf("%+v", f)
	}
	s.runs["m2"], s.runs["m3"] = "v3", "v3"
	s.rounds(w, 1)
	if f := s.found(w, "errors"); f.Controlled || f.Verdict == watch.Worse || !w.Judging() {
		t.Errorf("%+v", f)
	}
	s.rounds(w, 120)
	if f := s.found(w, "errors"); f.Controlled || f.Verdict != watch.NotWorse || !strings.Contains(f.Guarantee, "without a control") {
		t.Errorf("%+v", f)
	}
	if cannot := w.Cannot(); len(cannot) != 1 || !strings.HasPrefix(cannot[0], "orders: ") { // a count needs a control
		t.Errorf("%q", cannot)
	}
	bad, v := newService(5, 4), watch.NewWatched("e/c")
	bad.rounds(v, 400)
	bad.deploy(v, "v2", "v1", "m0", "m1")
	bad.rounds(v, 60)
	bad.rates["v2"] = 0.002
	bad.runs["m2"], bad.runs["m3"] = "v2", "v2"
	bad.rounds(v, 60)
	if f := bad.found(v, "errors"); f.Verdict != watch.Worse || !f.Controlled {
		t.Errorf("%+v", f)
	}
}

// TestWatchedBlind: sources that can't be asked, and members without a reading, are no health.
func TestWatchedBlind(t *testing.T) {
	s, w := newService(6, 2), watch.NewWatched("e/c")
	s.rounds(w, 400)
	s.deploy(w, "v3", "v1", "m0")
	s.rounds(w, 100)
	s.down = true
	s.rounds(w, 2)
	if f := s.found(w, "errors"); f.Verdict != watch.Unknown || !strings.Contains(f.Says, "connection refused") {
		t.Errorf("%+v", f)
	}
	if healthy, of := w.Healthy(s.signals); healthy || of == 0 {
		t.Errorf("%t, %d", healthy, of)
	}
	s.down, s.gone["m1"] = false, true
	s.rounds(w, 30)
	if f := s.found(w, "errors"); f.Verdict != watch.Unknown || !strings.Contains(f.Says, "control could not be counted") {
		t.Errorf("%+v", f)
	}
}

// TestWatchedCost: a fault costs what failed since it began, not what failed in the days before; its graph shows the hour before
// it, and ends with the newest point.
func TestWatchedCost(t *testing.T) {
	s, w := newService(7, 4), watch.NewWatched("e/c")
	s.signals = append(s.signals, astern.Signal{Name: "harmed", Kind: astern.SignalErrors, Counts: astern.CountsUsers})
	s.rounds(w, 400)
	s.rates["v1"] = 0.003 // a little more for hours: no fault
	s.rounds(w, 2000)
	if f := s.found(w, "errors"); f.Verdict == watch.Worse {
		t.Fatalf("%+v", f)
	}
	s.rates["v1"] = 0.1
	s.rounds(w, 12)
	w.Noticed(s.now)
	if cost := w.Cost(); cost.Requests < 4000 || cost.Requests > 5500 || cost.Users != cost.Requests || cost.Share <= 0 {
		t.Errorf("%+v", cost)
	}
	points := w.Graph.Series[0].Points
	if first, last := points[0].At, points[len(points)-1].At; first.Before(s.now.Add(-2*time.Hour)) || !last.Equal(s.now) {
		t.Errorf("from %s to %s at %s", first, last, s.now)
	}
	for range 700 { // it lasts: older points go, not the newest
		s.rounds(w, 1)
		points := w.Graph.Series[0].Points
		if last := points[len(points)-1].At; !last.Equal(s.now) || len(points) > 600 {
			t.Fatalf("%d points, the last of %s at %s", len(points), last, s.now)
		}
	}
}

// TestWatchedLevels: panels are made with the levels that hold when they begin, of each kind its own, and what was made goes on with
// its own.
func TestWatchedLevels(t *testing.T) {
	s, w := newService(2, 4), watch.NewWatched("e/c")
	w.Levels = watch.Levels{All: 0.01, Beside: 0.2, Calibrated: "calibrated on 42 watches", For: time.Hour}
	s.rounds(w, 400)
	s.deploy(w, "v2", "v1", "m0", "m1")
	s.rounds(w, 10)
	w = stored(t, w)
	w.Levels = watch.Levels{}
	s.rounds(w, 10)
	if f := s.found(w, "errors"); f.Guarantee != "calibrated on 42 watches" {
		t.Errorf("%+v", f)
	}
	if got := w.Trial.Panels.Beside.Level; got != 0.2 {
		t.Errorf("beside: %v", got)
	}
	// A calibrated level holds for a watch, and no longer.
	s, w = newService(2, 4), watch.NewWatched("e/c")
	w.Levels = watch.Levels{All: 0.01, Beside: 0.2, Calibrated: "calibrated on 42 watches", For: 5 * time.Minute}
	s.rounds(w, 400)
	s.deploy(w, "v3", "v1", "m0", "m1")
	s.rounds(w, 59)
	if got := w.Trial.Panels.Beside.Level; got != 0.2 {
		t.Errorf("within the watch: %v", got)
	}
	s.rounds(w, 3)
	if p := w.Trial.Panels.Beside; p.Level != 0.008 || p.Judges[0].Level != 0.008/3 {
		t.Errorf("after it: %v, %v", p.Level, p.Judges[0].Level)
	}
	w.Trial.Panels.Levels.Beside = 1
	if w.Problem() == "" {
		t.Error("a level of 1 is taken")
	}
}

// TestWatchedLevelIsShared: what the panels of one watch may say for nothing adds up to the level, whichever comes first, and what
// those of a quiet day may say, too.
func TestWatchedLevelIsShared(t *testing.T) {
	const all = detect.DefaultLevel
	for name, staged := range map[string]bool{"in stages": true, "at once, and one taken back": false} {
		s, w := newService(2, 4), watch.NewWatched("e/c")
		s.rounds(w, 100)
		s.deploy(w, "v3", "v1", "m0", "m1")
		if !staged {
			s.runs["m2"], s.runs["m3"] = "v3", "v3"
		}
		s.rounds(w, 10)
		for _, m := range []string{"m2", "m3"} {
			s.runs[m] = map[bool]string{true: "v3", false: "v1"}[staged]
		}
		s.rounds(w, 10)
		p := w.Trial.Panels
		if p.Beside == nil || p.Alone == nil || p.Small == nil {
			t.Fatalf("%s: %+v", name, p)
		}
		if sum := p.Beside.Level + p.Alone.Level + p.Small.Level; math.Abs(sum-all) > 1e-12 {
			t.Errorf("%s: %v", name, sum)
		}
		if staged == (p.Beside.Level < p.Alone.Level) {
			t.Errorf("%s: beside %v, alone %v", name, p.Beside.Level, p.Alone.Level)
		}
	}
	// A calibrated level is for what comes first; what comes later keeps its share, also when the calibrated one would end.
	s, w := newService(2, 4), watch.NewWatched("e/c")
	w.Levels = watch.Levels{Beside: 0.2, Calibrated: "calibrated on 42 watches", For: time.Minute}
	s.rounds(w, 100)
	s.deploy(w, "v3", "v1", "m0", "m1", "m2", "m3")
	s.rounds(w, 10)
	s.runs["m2"], s.runs["m3"] = "v1", "v1"
	s.rounds(w, 30)
	if p := w.Trial.Panels; math.Abs(p.Beside.Level+p.Alone.Level+p.Small.Level-all) > 1e-12 || strings.Contains(s.found(w, "errors").Guarantee, "calibrated") {
		t.Errorf("with a calibrated level that came too late: beside %v, alone %v", p.Beside.Level, p.Alone.Level)
	}
	// A signal whose source died has no say in how often the others are judged anew.
	s, w = newService(2, 4), watch.NewWatched("e/c")
	dead := astern.Signal{Name: "dead", Kind: astern.SignalErrors}
	s.rounds(w, 30)
	w.Pasts[dead.Name] = &watch.Past{Pieces: w.PastOf("errors").Pieces[:14]}
	s.signals = append([]astern.Signal{dead}, s.signals...)
	for range 100 {
		a := s.round()
		w.Take(s.now, s.copyRuns(), s.signals[1:], a)
	}
	if w.Quiet == nil || w.Quiet.For < 4*time.Minute {
		t.Errorf("%+v", w.Quiet)
	}
	w = watch.NewWatched("e/c")
	w.Runs = map[string]string{"m0": "v1", "m1": "v1"}
	sum, begun := 0.0, time.Time{}
	for at := now; at.Before(now.Add(24 * time.Hour)); at = at.Add(30 * time.Second) {
		half := func() *astern.Counts { return &astern.Counts{Total: 1000, Bad: 2, Members: 1} }
		w.Show(at, s.signals[1:2], watch.Taken{Sample: astern.Sample{From: at, To: at.Add(30 * time.Second), Control: half(), Candidate: half()}})
		if q := w.Quiet; q != nil && q.Alone != nil && !q.Begin.Equal(begun) {
			begun = q.Begin
			sum += q.Alone.Level + q.Small.Level
		}
	}
	if sum > all || sum < all/2 {
		t.Errorf("the panels of a quiet day have %v of %v", sum, all)
	}
}
