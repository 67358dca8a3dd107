package detect

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	astern "github.com/astern-dev/astern"
	"github.com/google/go-cmp/cmp"
)

// histogram is n requests whose latency is log-normal, on bounds that grow by ratio from 1 ms to 10 s.
func histogram(r *rand.Rand, n int, median, ratio float64) *astern.Counts {
	c := &astern.Counts{Members: 2, Total: float64(n)}
	for b := 0.001; b < 10; b *= ratio {
		c.Buckets = append(c.Buckets, astern.Bucket{Upper: new(b)})
	}
	c.Buckets = append(c.Buckets, astern.Bucket{})
	for range n {
		took := median * math.Exp(0.6*r.NormFloat64())
		for i := range c.Buckets {
			if u := c.Buckets[i].Upper; u == nil || took <= *u {
				c.Buckets[i].Count++
			}
		}
	}
	return c
}

func TestLatency(t *testing.T) {
	rule := Rule{Name: "p95", Kind: astern.SignalLatency, Margin: 0.25, Quantile: 0.95}
	r := rand.New(rand.NewPCG(1, 2))
	eighth := math.Pow(2, 1.0/8)
	var old []astern.Sample
	for i := range 720 {
		old = append(old, at(i-720, histogram(r, 100, 0.1, eighth), histogram(r, 100, 0.1, eighth)))
	}
	past := Measure(rule, old)
	if ratio := past.High / past.Low; past.Problem != "" || ratio < 1.1 || ratio > 1.25 || past.Low > 0.27 || past.Low < 0.22 {
		t.Fatalf("%+v", past)
	}
	for slower, worse := range map[float64]bool{1: false, 1.08: false, 1.5: true, 3: true} {
		j, err := New(rule, past, start, 0, false)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 360 {
			j.Feed(at(i, histogram(r, 100, 0.1, eighth), histogram(r, 100, 0.1*slower, eighth)))
		}
		if v := j.Verdict(); j.Worse() != worse || slower == 1 && v.State != NotWorse {
			t.Errorf("%v times as slow: %s", slower, v.Sentence)
		}
	}
	j, _ := New(rule, past, start, 0, false)
	j.Feed(at(0, histogram(r, 100, 0.1, eighth), histogram(r, 100, 0.3, 2)))
	if v := j.Verdict(); v.State != Unknown || !strings.Contains(v.Missing, "no bucket that ends at") {
		t.Errorf("other buckets: %s", v.Sentence)
	}
}

// The default buckets of Prometheus' clients can't show a quarter; the bounds that are named instead can.
func TestBucketsThatCannotShow(t *testing.T) {
	rule := Rule{Name: "p95", Kind: astern.SignalLatency, Margin: 0.25, Quantile: 0.95}
	defaults := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	shares := func(bounds []float64) []astern.Bucket {
		var out []astern.Bucket
		for _, b := range bounds {
			out = append(out, astern.Bucket{Upper: new(b), Count: math.Round(1000 * (1 - math.Exp(-b/0.12)))})
		}
		return append(out, astern.Bucket{Count: 1000})
	}
	c := Bounds(rule, shares(defaults))
	want := "the buckets can't show 25.0 % more: the 95th percentile lies between 250 ms and 500 ms, and no two bounds there are 10 to 25 % apart; buckets that would: 0.25, 0.293, 0.344, 0.403, 0.473, 0.554 (seconds), or a native histogram"
	if c.Problem != want {
		t.Errorf("said\n%s\nwant\n%s", c.Problem, want)
	}
	better := slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(defaults), c.Wanted...))))
	if c := Bounds(rule, shares(better)); c.Problem != "" || c.High/c.Low > 1.25+1e-9 || c.High/c.Low < 1.1-1e-9 {
		t.Errorf("%+v", c)
	}
	for name, h := range map[string][]astern.Bucket{"empty": nil, "no count": {{}}, "falling": {{Upper: new(1.0), Count: 5}, {Count: 3}},
		"not a number": {{Upper: new(1.0), Count: math.NaN()}, {Count: 3}}, "turned": {{Upper: new(2.0), Count: 1}, {Upper: new(1.0), Count: 2}, {Count: 3}},
		"all above": {{Upper: new(1.0), Count: 0}, {Count: 3}}, "all below": {{Upper: new(1.0), Count: 3}, {Count: 3}}} {
		c := Bounds(rule, h)
		if c.Problem == "" {
			t.Errorf("%s: %+v", name, c)
		}
		if _, err := json.Marshal(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCountsAndYields(t *testing.T) {
	throughput := Rule{Name: "throughput", Kind: astern.SignalThroughput, Margin: 0.2}
	orders := Rule{Name: "orders", Kind: astern.SignalBusiness, Margin: 0.1}
	r := rand.New(rand.NewPCG(3, 4))
	around := func(mean float64) float64 { return math.Max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64())) }
	for _, c := range []struct {
		rule  Rule
		drop  float64
		worse bool
	}{{throughput, 0, false}, {throughput, 0.08, false}, {throughput, 0.3, true}, {throughput, 1, true},
		{orders, 0, false}, {orders, 0.03, false}, {orders, 0.15, true}, {orders, 0.6, true}} {
		sample := func(i int, drop float64) astern.Sample {
			if c.rule.Kind == astern.SignalThroughput {
				return at(i, counts(around(500), 0), counts(around(500*(1-drop)), 0))
			}
			return at(i, counts(500, 500-around(150)), counts(500, 500-around(150*(1-drop))))
		}
		var old []astern.Sample
		for i := range 720 {
			old = append(old, sample(i-720, 0))
		}
		j, err := New(c.rule, Measure(c.rule, old), start, 0, false)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 720 {
			j.Feed(sample(i, c.drop))
		}
		v := j.Verdict()
		if j.Worse() != c.worse || !c.worse && c.drop == 0 && v.State != NotWorse {
			t.Errorf("%s, %v gone: %s", c.rule.Name, c.drop, v.Sentence)
		}
		if math.Abs(v.Effect-c.drop) > 0.03 || v.Low > c.drop || v.High < c.drop {
			t.Errorf("%s: %v gone, said %v (%v to %v)", c.rule.Name, c.drop, v.Effect, v.Low, v.High)
		}
	}
}

// Without a control only what is worse than the service's own past is blamed, and the guarantee says what it is worth.
func TestAlone(t *testing.T) {
	old := quiet(2, 3, 1)
	for i := 200; i < 230; i++ { // an incident of 5 % in the past
		old[i].Control.Bad, old[i].Candidate.Bad = 25, 25
	}
	past := Measure(errorsRule, old)
	for bad, worse := range map[float64]bool{2: false, 20: false, 60: true} {
		j, err := New(errorsRule, past, start, 0, true)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 120 {
			j.Feed(at(i, nil, counts(1000, 2*bad)))
		}
		v := j.Verdict()
		if j.Worse() != worse {
			t.Errorf("%v of 500: %s", bad, v.Sentence)
		}
		if !strings.HasPrefix(v.Guarantee, "weaker without a control: ") || !strings.Contains(v.Guarantee, "50.0 % for each hour") {
			t.Error(v.Guarantee)
		}
	}
	if _, err := New(Rule{Name: "t", Kind: astern.SignalThroughput, Margin: 0.2}, past, start, 0, true); err == nil {
		t.Error("a count was judged without a control")
	}
	if _, err := New(errorsRule, Past{}, start, 0, true); err == nil {
		t.Error("judged against nothing")
	}
}

func TestPanelSharesTheLevel(t *testing.T) {
	one, two := errorsJudge(t), errorsJudge(t)
	two.Rule.Name = "orders"
	p, err := NewPanel(0, one, two)
	if err != nil {
		t.Fatal(err)
	}
	if one.Level != DefaultLevel/2 {
		t.Errorf("level %v", one.Level)
	}
	for i := range 40 {
		for _, name := range []string{"errors", "orders"} {
			bad := 2.0
			if name == "orders" {
				bad = 40
			}
			if _, err := p.Feed(name, at(i, counts(500, 2), counts(500, bad))); err != nil {
				t.Fatal(err)
			}
		}
	}
	o := p.Verdict()
	if o.State != Worse || o.Blamed != "orders" || !strings.HasPrefix(o.Sentence, "orders: worse: since ") || o.Signals[0].State == Worse {
		t.Errorf("%+v", o)
	}
	if _, err := p.Feed("latency", at(99, nil, nil)); err == nil {
		t.Error("a signal without a judge was taken")
	}
	if _, err := NewPanel(0); err == nil {
		t.Error("a panel of nobody")
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var again Panel
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(o, again.Verdict()); d != "" {
		t.Error(d)
	}
}

// A level set from the quiet past promises no more than the past can tell.
func TestCalibrate(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var old []astern.Sample
	for i := range 16 * 720 {
		old = append(old, at(i, counts(500, float64(r.IntN(6))), counts(500, float64(r.IntN(6)))))
	}
	quiet := []Quiet{{errorsRule, old}}
	c := Calibrate(quiet, time.Hour, 0.1)
	if c.Problem != "" || c.Windows != 13 || c.Alarms != 0 || c.Level <= DefaultLevel || c.Expected > 0.1 || math.Abs(c.Upper-0.2058) > 1e-3 {
		t.Errorf("%+v", c)
	}
	if c := Calibrate(quiet, time.Hour, 0.01); c.Level != 0.01 || !strings.Contains(c.Problem, "99 are needed") {
		t.Errorf("%+v", c)
	}
	// A signal that only says something now and then is no reason to call anything an alarm, and none to drop the others.
	other := errorsRule
	other.Name = "other"
	if both := Calibrate(append(quiet, Quiet{other, old[:700]}), time.Hour, 0.1); both.Windows != c.Windows || both.Level < c.Level {
		t.Errorf("%+v, alone %+v", both, c)
	}
	// A fault in a watch of the past makes the level smaller, until it is among those that may be alarms.
	bad := slices.Clone(old)
	for i := 6 * 720; i < 7*720; i++ {
		bad[i] = at(i, counts(500, float64(r.IntN(6))), counts(500, 100))
	}
	if worse := Calibrate([]Quiet{{errorsRule, bad}}, time.Hour, 0.1); worse.Level > 1e-9 || !worse.SetBy.Equal(start.Add(6*time.Hour)) {
		t.Errorf("%+v", worse)
	}
	if one := Calibrate([]Quiet{{errorsRule, bad}}, time.Hour, 0.15); one.Alarms != 1 || one.Level < 1e-3 {
		t.Errorf("%+v", one)
	}
	if c := Calibrate(nil, time.Hour, math.NaN()); c.Problem == "" || c.Level != DefaultLevel {
		t.Errorf("%+v", c)
	}
}

func TestRuleOf(t *testing.T) {
	for _, c := range []struct {
		s    astern.Signal
		want Rule
	}{
		{astern.Signal{Kind: astern.SignalErrors}, Rule{Kind: astern.SignalErrors, Margin: 0.005}},
		{astern.Signal{Kind: astern.SignalLatency, Quantile: 99}, Rule{Kind: astern.SignalLatency, Margin: 0.25, Quantile: 0.99}},
		{astern.Signal{Kind: astern.SignalThroughput}, Rule{Kind: astern.SignalThroughput, Margin: 0.2}},
		{astern.Signal{Kind: astern.SignalBusiness, Margin: 5, Scrape: &astern.ScrapeSource{Bad: "x"}}, Rule{Kind: astern.SignalBusiness, Margin: 0.05}},
		{astern.Signal{Kind: astern.SignalBusiness, Scrape: &astern.ScrapeSource{Total: "x"}}, Rule{Kind: astern.SignalBusiness, Margin: 0.1, Counted: true}},
	} {
		if got, err := RuleOf(c.s); err != nil || got != c.want {
			t.Errorf("%+v: %+v, %v", c.s, got, err)
		}
	}
	for _, s := range []astern.Signal{{}, {Kind: "mood"}, {Kind: astern.SignalErrors, Margin: -1}, {Kind: astern.SignalErrors, Margin: math.NaN()},
		{Kind: astern.SignalErrors, Margin: 60}, {Kind: astern.SignalLatency, Quantile: 100}, {Kind: astern.SignalThroughput, Margin: 100}} {
		if _, err := RuleOf(s); err == nil {
			t.Errorf("%+v was taken", s)
		}
	}
}
