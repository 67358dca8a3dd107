package detect

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	astern "github.com/astern-dev/astern"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)

// at is the i-th sample of five seconds; nil groups are missing.
func at(i int, old, candidate *astern.Counts) astern.Sample {
	from := start.Add(time.Duration(i) * 5 * time.Second)
	return astern.Sample{From: from, To: from.Add(5 * time.Second), Control: old, Candidate: candidate}
}

func counts(total, bad float64) *astern.Counts {
	return &astern.Counts{Total: total, Bad: bad, Members: 2}
}

// quiet is a past of two even groups: bad of 500 by turns.
func quiet(bad ...float64) []astern.Sample {
	var out []astern.Sample
	for i := range 720 {
		out = append(out, at(i-720, counts(500, bad[i%len(bad)]), counts(500, bad[(i*7+3)%len(bad)])))
	}
	return out
}

var errorsRule = Rule{Name: "errors", Kind: astern.SignalErrors, Margin: 0.005}

func errorsJudge(t testing.TB) *Judge {
	t.Helper()
	j, err := New(errorsRule, Measure(errorsRule, quiet(2, 3, 1, 4, 2)), start, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestWorseAndHealthy(t *testing.T) {
	j, healthy := errorsJudge(t), errorsJudge(t)
	for i := range 2000 {
		bad := 2.0 + float64(i%2)
		if i >= 30 {
			bad = 25
		}
		j.Feed(at(i, counts(500, 2), counts(500, bad)))
		healthy.Feed(at(i, counts(500, 2+float64(i%3)), counts(500, 2+float64((i+1)%3))))
	}
	v := j.Verdict()
	if v.State != Worse || v.Decided.Sub(start) > 4*time.Minute || v.Since.Sub(start.Add(150*time.Second)).Abs() > 20*time.Second {
		t.Errorf("%+v", v)
	}
	h := healthy.Verdict()
	if h.State != NotWorse || h.Low > 0 || h.High < 0 {
		t.Errorf("%+v", h)
	}
}

// Whatever is no data changes neither the evidence nor the bounds, and is never health.
func TestMissingDataIsNoHealth(t *testing.T) {
	hole := func(f func(s *astern.Sample)) func(*astern.Sample) { return f }
	nan, inf := math.NaN(), math.Inf(1)
	for name, c := range map[string]struct {
		spoil func(*astern.Sample)
		says  string
	}{
		"no candidate":   {hole(func(s *astern.Sample) { s.Candidate, s.Missing = nil, "connection refused" }), "connection refused"},
		"no control":     {hole(func(s *astern.Sample) { s.Control = nil }), "old revision could not be counted"},
		"not a number":   {hole(func(s *astern.Sample) { s.Candidate.Total = nan }), "no counts"},
		"bad no number":  {hole(func(s *astern.Sample) { s.Control.Bad = nan }), "no counts"},
		"infinite":       {hole(func(s *astern.Sample) { s.Candidate.Total = inf }), "no counts"},
		"negative":       {hole(func(s *astern.Sample) { s.Control.Total = -1 }), "no counts"},
		"more bad":       {hole(func(s *astern.Sample) { s.Candidate.Bad = 501 }), "more bad events"},
		"absurd":         {hole(func(s *astern.Sample) { s.Candidate.Total = 1e300 }), "in one interval"},
		"no traffic":     {hole(func(s *astern.Sample) { *s.Candidate = astern.Counts{Members: 2} }), "no traffic on the new"},
		"no old traffic": {hole(func(s *astern.Sample) { *s.Control = astern.Counts{Members: 2} }), "no traffic on the old"},
	} {
		t.Run(name, func(t *testing.T) {
			j := errorsJudge(t)
			i := 0
			for ; i < 1500; i++ {
				j.Feed(at(i, counts(500, 2), counts(500, 2)))
			}
			before := j.Verdict()
			if before.State != NotWorse {
				t.Fatalf("before: %s", before.Sentence)
			}
			s := at(i, counts(500, 0), counts(500, 0))
			c.spoil(&s)
			j.Feed(s)
			v := j.Verdict()
			if v.State != Unknown || !strings.Contains(v.Missing, c.says) || !strings.HasPrefix(v.Sentence, "no data: ") {
				t.Errorf("%s: %s", v.State, v.Sentence)
			}
			if v.EValue != before.EValue || v.Low != before.Low || v.High != before.High || !v.At.Equal(before.At) {
				t.Errorf("the evidence changed: %+v, before %+v", v, before)
			}
		})
	}
}

// What comes twice, late or turned around is not counted again.
func TestOrder(t *testing.T) {
	j := errorsJudge(t)
	for i := range 50 {
		j.Feed(at(i, counts(500, 2), counts(500, 4)))
	}
	before := *j
	for _, s := range []astern.Sample{at(49, counts(500, 0), counts(500, 400)), at(10, counts(500, 0), counts(500, 400)), at(-3, counts(1, 0), counts(1, 1)),
		{From: start.Add(time.Hour), To: start.Add(time.Minute), Control: counts(500, 0), Candidate: counts(500, 400)}} {
		j.Feed(s)
	}
	before.Ignored = 4
	if d := cmp.Diff(&before, j, cmp.AllowUnexported(line{})); d != "" {
		t.Errorf("counted again:\n%s", d)
	}
}

// A judge that is stored and read after any sample says to the last digit what one says that went on.
func TestStoredJudgeGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		past := Measure(errorsRule, quiet(2, 3, 1))
		one, _ := New(errorsRule, past, start, 0, rapid.Bool().Draw(t, "alone"))
		two, _ := New(errorsRule, past, start, 0, one.Alone)
		for i := range rapid.IntRange(1, 60).Draw(t, "samples") {
			s := at(i, counts(float64(rapid.IntRange(0, 900).Draw(t, "old")), 0), counts(float64(rapid.IntRange(0, 900).Draw(t, "new")), 0))
			s.Control.Bad = math.Floor(s.Control.Total * rapid.Float64Range(0, 0.05).Draw(t, "old bad"))
			s.Candidate.Bad = math.Floor(s.Candidate.Total * rapid.Float64Range(0, 0.3).Draw(t, "new bad"))
			one.Feed(s)
			two.Feed(s)
			text, err := json.Marshal(two)
			if err != nil {
				t.Fatal(err)
			}
			two = &Judge{}
			if err := json.Unmarshal(text, two); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(one.Verdict(), two.Verdict()); d != "" {
				t.Fatalf("sample %d:\n%s", i, d)
			}
		}
	})
}

// More failures on the new revision are never less evidence, more on the old one never more; and verdicts are numbers.
func TestMonotone(t *testing.T) {
	past := Measure(errorsRule, quiet(2, 3, 1))
	rapid.Check(t, func(t *rapid.T) {
		n, m := float64(rapid.IntRange(20, 5000).Draw(t, "old")), float64(rapid.IntRange(20, 5000).Draw(t, "new"))
		x, y := math.Floor(n*rapid.Float64Range(0, 0.3).Draw(t, "x")), math.Floor(m*rapid.Float64Range(0, 0.3).Draw(t, "y"))
		value := func(x, y float64) float64 {
			j, _ := New(errorsRule, past, start, 0, false)
			j.Feed(at(0, counts(n, x), counts(m, y)))
			v := j.Verdict()
			if math.IsNaN(v.EValue) || math.IsNaN(v.Low) || math.IsNaN(v.High) || v.Low > v.High || v.EValue < 0 {
				t.Fatalf("%+v", v)
			}
			return j.Exact.value()
		}
		base := value(x, y)
		if more := value(x, min(m, y+5)); more < base*(1-1e-9) {
			t.Errorf("more failures on the new revision: %v, was %v", more, base)
		}
		if less := value(min(n, x+5), y); less > base*(1+1e-9) {
			t.Errorf("more failures on the old revision: %v, was %v", less, base)
		}
	})
}

// The sentences that people read.
func TestSentences(t *testing.T) {
	j := errorsJudge(t)
	said := func(want string) {
		t.Helper()
		if got := j.Verdict().Sentence; got != want {
			t.Errorf("said\n%s\nwant\n%s", got, want)
		}
	}
	said("unknown: nothing was counted yet")
	for i := range 12 {
		j.Feed(at(i, counts(500, 2), counts(500, 3)))
	}
	said("unknown: since the deployment 36 of 6,000 requests failed on the new revision (0.60 %) and 24 of 6,000 on the old one (0.40 %); between 0.31 points fewer and 0.71 points more; the margin is 0.50 points; to find that takes about 3 min, or 41,363 requests")
	j.Feed(astern.Sample{From: start.Add(time.Minute), To: start.Add(65 * time.Second), Missing: "connection refused"})
	said("no data: the new revision could not be counted: connection refused; last counted at 14:01:00Z")
	for i := 13; i < 30; i++ {
		j.Feed(at(i, counts(500, 2), counts(500, 60)))
	}
	said("worse: since 14:01:05Z 1,020 of 8,500 requests failed on the new revision (12.0 %) and 34 of 8,500 on the old one (0.40 %); that is 11.6 points more; the margin is 0.50 points")
	j.Feed(astern.Sample{From: start.Add(3 * time.Minute), To: start.Add(185 * time.Second)})
	if v := j.Verdict(); v.State != Worse || !strings.HasSuffix(v.Sentence, "; last counted at 14:02:30Z") {
		t.Errorf("%s", v.Sentence)
	}
	if g := j.Verdict().Guarantee; !strings.Contains(g, "less than once in 1,000 watches") {
		t.Error(g)
	}
}

// While the old revision is in trouble of its own, a new one that suffers a little more is not to blame.
func TestIncidentOnBoth(t *testing.T) {
	j := errorsJudge(t)
	for i := range 200 {
		x, y := 2.0, 2.0
		if i >= 60 && i < 84 {
			x, y = 25, 32
		}
		if j.Feed(at(i, counts(500, x), counts(500, y))) {
			t.Fatalf("blamed: %s", j.Verdict().Sentence)
		}
	}
}

// Noise that was measured at night is expected to be larger at noon.
func TestPhiGrowsWithTheEvents(t *testing.T) {
	past := Measure(errorsRule, quiet(0, 8, 1, 9, 0, 2))
	j, _ := New(errorsRule, past, start, 0, false)
	if past.Phi <= past.PhiLeast || j.phi() != past.Phi {
		t.Fatalf("%+v: %v", past, j.phi())
	}
	for i := range 60 {
		j.Feed(at(i, counts(5000, 30), counts(5000, 30)))
	}
	if want := past.PhiLeast + 10*(past.Phi-past.PhiLeast); math.Abs(j.phi()-want) > 0.2*want {
		t.Errorf("phi %v, want about %v", j.phi(), want)
	}
}

// What a judge costs: it allocates nothing for a sample.
func BenchmarkFeed(b *testing.B) {
	j := errorsJudge(b)
	old, candidate := counts(500, 2), counts(500, 3)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		j.Feed(at(i, old, candidate))
	}
}

func TestFeedAllocatesNothing(t *testing.T) {
	j, i := errorsJudge(t), 0
	old, candidate := counts(500, 2), counts(500, 3)
	if n := testing.AllocsPerRun(1000, func() { j.Feed(at(i, old, candidate)); i++ }); n > 0 {
		t.Errorf("%v allocations for a sample", n)
	}
}
