package readiness_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/readiness"
)

var now = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func ago(d time.Duration) *time.Time {
	at := now.Add(-d)
	return &at
}

func evidence(rs ...astern.Readiness) (out []astern.Evidence) {
	for _, r := range rs {
		out = append(out, astern.Evidence{What: "seen " + string(r), Readiness: r, Seen: now})
	}
	return out
}

// TestJudge: a target is what its worst evidence makes it, and never better than its proof.
func TestJudge(t *testing.T) {
	const good, risk, bad, dark = astern.Ready, astern.AtRisk, astern.Broken, astern.ReadyUnknown
	proven := func(d time.Duration) astern.Deployment { return astern.Deployment{ProvenAt: ago(d)} }
	short := astern.Objectives{ProofSeconds: 3600}
	for name, c := range map[string]struct {
		evidence []astern.Evidence
		d        astern.Deployment
		o        astern.Objectives
		want     astern.Readiness
		says     string // of the last evidence
	}{
		"ready":                           {evidence(good), proven(day), astern.Objectives{}, good, "proven to work within the last 90 d"},
		"at risk":                         {evidence(good, risk, good), proven(day), astern.Objectives{}, risk, "proven"},
		"unknown outweighs risk":          {evidence(risk, dark), proven(day), astern.Objectives{}, dark, "proven"},
		"broken outweighs unknown":        {evidence(dark, bad, risk), proven(day), astern.Objectives{}, bad, "proven"},
		"no evidence":                     {nil, astern.Deployment{}, astern.Objectives{}, dark, ""},
		"only a proof":                    {nil, proven(day), astern.Objectives{}, good, "proven"},
		"only an old proof":               {nil, proven(100 * day), astern.Objectives{}, risk, "more than 90 d ago"},
		"never proven":                    {evidence(good, good), astern.Deployment{}, astern.Objectives{}, risk, "it was never proven to work"},
		"never proven, broken":            {evidence(bad), astern.Deployment{}, astern.Objectives{}, bad, "seen broken"},
		"latched":                         {evidence(good), astern.Deployment{ProvenAt: ago(day), Latched: "lost orders"}, astern.Objectives{}, risk, "it is latched: lost orders"},
		"a word that is none":             {evidence(good, "fine"), proven(day), astern.Objectives{}, dark, "proven"},
		"no word":                         {evidence(""), proven(day), astern.Objectives{}, dark, "proven"},
		"a moment before the limit":       {evidence(good), proven(90*day - 1), astern.Objectives{}, good, "within the last 90 d"},
		"exactly at the limit":            {evidence(good), proven(90 * day), astern.Objectives{}, risk, "more than 90 d ago"},
		"own limit, before":               {evidence(good), proven(59 * time.Minute), short, good, "within the last 1h0m0s"},
		"own limit, after":                {evidence(good), proven(61 * time.Minute), short, risk, "more than 1h0m0s ago"},
		"proven by a clock that is ahead": {evidence(good), proven(-time.Hour), astern.Objectives{}, good, "within"},
		"proven by a clock a day ahead":   {evidence(good), proven(-day), astern.Objectives{}, good, "within"},
		"proven by a clock a year ahead":  {evidence(good), proven(-365 * day), astern.Objectives{}, risk, "still to come by this machine's clock"},
		"proven too far ahead, own limit": {evidence(good), proven(-7 * time.Minute), short, risk, "still to come"},
		"an old proof betters nothing":    {evidence(bad), proven(100 * day), astern.Objectives{}, bad, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			in := astern.Target{Revision: "v1", Evidence: append(make([]astern.Evidence, 0, 9), c.evidence...), Doors: make([]astern.Door, 0, 9)}
			before := in.Evidence[:len(c.evidence):9]
			got := readiness.Judge(in, c.d, c.o, now)
			if got.Readiness != c.want {
				t.Errorf("it is %s, not %s: %+v", got.Readiness, c.want, got.Evidence)
			}
			last := ""
			if n := len(got.Evidence); n > 0 {
				last = got.Evidence[n-1].What
			}
			if !strings.Contains(last, c.says) {
				t.Errorf("the last evidence is %q, not %q", last, c.says)
			}
			if !cmp.Equal(before[:cap(before)][len(c.evidence)], astern.Evidence{}) || in.Readiness != "" {
				t.Error("it wrote into the target that it was given")
			}
			if again := readiness.Judge(got, c.d, c.o, now); again.Readiness != got.Readiness {
				t.Errorf("judged again it is %s", again.Readiness)
			}
		})
	}
}

// TestDoors: the next to close comes first: by deployments, then by date, then what has neither.
func TestDoors(t *testing.T) {
	by := func(n int) astern.Door { return astern.Door{Deployments: n, What: "d"} }
	at := func(d time.Duration) astern.Door { return astern.Door{At: ago(-d), What: "t"} }
	never := astern.Door{What: "n"}
	in := astern.Target{Doors: []astern.Door{never, at(200 * day), by(3), at(day), by(1), never}}
	before := append([]astern.Door(nil), in.Doors...)
	got := readiness.Judge(in, astern.Deployment{ProvenAt: ago(day)}, astern.Objectives{}, now)
	proof := astern.Door{At: ago(-89 * day), What: "its proof is too old then", Leaves: astern.AtRisk}
	if diff := cmp.Diff([]astern.Door{by(1), by(3), at(day), proof, at(200 * day), never, never}, got.Doors); diff != "" {
		t.Errorf("doors (-want +got):\n%s", diff)
	}
	if old := readiness.Judge(in, astern.Deployment{ProvenAt: ago(90 * day)}, astern.Objectives{}, now); len(old.Doors) != len(in.Doors) {
		t.Error("a proof that is too old closes no door any more")
	}
	if diff := cmp.Diff(before, in.Doors); diff != "" {
		t.Errorf("the doors that were given were changed:\n%s", diff)
	}
}

func TestEstimate(t *testing.T) {
	guess := astern.Estimate{MedianSeconds: 7}
	for _, c := range []struct {
		seconds []float64
		want    astern.Estimate
	}{
		{nil, guess},
		{[]float64{}, guess},
		{[]float64{4}, astern.Estimate{MedianSeconds: 4, LowSeconds: 4, HighSeconds: 4, Runs: 1}},
		{[]float64{9, 1}, astern.Estimate{MedianSeconds: 5, LowSeconds: 1, HighSeconds: 9, Runs: 2}},
		{[]float64{9, 1, 2}, astern.Estimate{MedianSeconds: 2, LowSeconds: 1, HighSeconds: 9, Runs: 3}},
		{[]float64{100, 3, 1, 2}, astern.Estimate{MedianSeconds: 2.5, LowSeconds: 1, HighSeconds: 100, Runs: 4}},
	} {
		given := append([]float64(nil), c.seconds...)
		if got := readiness.Estimate(c.seconds, guess); got != c.want {
			t.Errorf("of %v: %+v", c.seconds, got)
		}
		if !cmp.Equal(given, append([]float64(nil), c.seconds...)) {
			t.Errorf("it sorted what it was given: %v", c.seconds)
		}
	}
}

// target is ready, known-good, and was deployed so many days ago.
func target(revision string, days int, change ...func(*astern.Target)) astern.Target {
	t := astern.Target{Revision: revision, Readiness: astern.Ready, KnownGoodAt: ago(time.Duration(days)*day - 1), DeployedAt: ago(time.Duration(days) * day)}
	for _, c := range change {
		c(&t)
	}
	return t
}

func current(t *astern.Target) { t.Current = true }

func door(n int) func(*astern.Target) {
	return func(t *astern.Target) { t.Doors = []astern.Door{{Deployments: n, What: "retention"}} }
}

func TestWayBack(t *testing.T) {
	for name, c := range map[string]struct {
		targets []astern.Target
		want    string
	}{
		"none":                        {nil, ""},
		"only the current":            {[]astern.Target{target("v1", 1, current)}, ""},
		"the first":                   {[]astern.Target{target("v3", 1, current), target("v2", 2), target("v1", 3)}, "v2"},
		"not at risk":                 {[]astern.Target{target("v2", 2, func(t *astern.Target) { t.Readiness = astern.AtRisk }), target("v1", 3)}, "v1"},
		"not unknown":                 {[]astern.Target{target("v2", 2, func(t *astern.Target) { t.Readiness = astern.ReadyUnknown })}, ""},
		"not unproven":                {[]astern.Target{target("v2", 2, func(t *astern.Target) { t.KnownGoodAt = nil }), target("v1", 3)}, "v1"},
		"not latched":                 {[]astern.Target{target("v2", 2, func(t *astern.Target) { t.Latched = "bad" }), target("v1", 3)}, "v1"},
		"not forward":                 {[]astern.Target{target("v3", 1), target("v2", 2, current), target("v1", 3)}, "v1"},
		"time of it unknown":          {[]astern.Target{target("v2", 2, current), target("v1", 3, func(t *astern.Target) { t.DeployedAt = nil })}, "v1"},
		"time of the current unknown": {[]astern.Target{target("v3", 1), target("v2", 2, current, func(t *astern.Target) { t.DeployedAt = nil })}, "v3"},
		"at the same moment":          {[]astern.Target{target("v2", 2, current), target("v1", 2)}, "v1"},
	} {
		got, ok := readiness.WayBack(c.targets, astern.Value{})
		if got.Revision != c.want || ok != (c.want != "") {
			t.Errorf("%s: the way back is %q (%v), not %q", name, got.Revision, ok, c.want)
		}
	}
}

// What is left: of several that run the one that nobody trusts, and what was only found has no time of deployment.
func TestLeaves(t *testing.T) {
	imported := func(t *astern.Target) { t.Imported = true }
	unproven := func(t *astern.Target) { t.KnownGoodAt = nil }
	for name, c := range map[string]struct {
		targets           []astern.Target
		runs, leaves, way string
	}{
		"found, its folder older":            {[]astern.Target{target("v1", 1), target("v2", 5, imported, unproven)}, "v2", "v2", "v1"},
		"found, good ones too":               {[]astern.Target{target("v2", 4, imported), target("v1", 6, imported), target("v3", 5, imported, unproven)}, "v3", "v3", "v2"},
		"half-way to what was found":         {[]astern.Target{target("v1", 1), target("v2", 5, imported, unproven)}, "v1+v2", "v2", "v1"},
		"half-way back from a latched one":   {[]astern.Target{target("v2", 1, func(t *astern.Target) { t.Latched = "bad" }), target("v1", 3), target("v0", 5)}, "v1+v2", "v2", "v1"},
		"both good":                          {[]astern.Target{target("v2", 1), target("v1", 3)}, "v1+v2", "v2", "v1"},
		"neither good":                       {[]astern.Target{target("v2", 1, unproven), target("v1", 3, unproven), target("v0", 5)}, "v1+v2", "v2", "v0"},
		"nobody knows what comes in between": {[]astern.Target{target("v1", 3)}, "v1+v9", "v9", "v1"},
	} {
		left, _, err := readiness.Leaves(c.targets, astern.Value{Text: c.runs, At: now})
		if left != c.leaves || err != nil {
			t.Errorf("%s: it leaves %q, not %q (%v)", name, left, c.leaves, err)
		}
		if got, _ := readiness.WayBack(c.targets, astern.Value{Text: c.runs, At: now}); got.Revision != c.way {
			t.Errorf("%s: the way back is %q, not %q", name, got.Revision, c.way)
		}
	}
}

// An older revision that nobody trusts, beside a newer one: whether it was left behind or is on its way can't be told, and nobody is
// led to the newer one by itself.
func TestLeavesNobodyKnows(t *testing.T) {
	targets := []astern.Target{target("v3", 1), target("v2", 3), target("v1", 5, func(t *astern.Target) { t.KnownGoodAt = nil })}
	runs := astern.Value{Text: "v1+v3", At: now}
	if left, _, err := readiness.Leaves(targets, runs); err == nil {
		t.Errorf("it leaves %q", left)
	}
	if way, ok := readiness.WayBack(targets, runs); ok {
		t.Errorf("the way back is %q", way.Revision)
	}
}

// TestAfter: one more deployment takes the last place under the retention rule, and makes the current one a target.
func TestAfter(t *testing.T) {
	three := func() []astern.Target {
		return []astern.Target{target("v3", 1, current), target("v2", 2, door(2)), target("v1", 3, door(1))}
	}
	for name, c := range map[string]struct {
		targets  []astern.Target
		revision string
		left     string
		back     string
	}{
		"a new one":                  {three(), "v4", "v3 v2", "v3"},
		"what runs":                  {three(), "v3", "v3* v2 v1", "v2"},
		"what is in place":           {three(), "v1", "v3 v2 v1*", "v3"},
		"what only the ledger knows": {append(three(), target("v0", 9, func(t *astern.Target) { t.Readiness = astern.Broken })), "v0", "v3 v2 v0*", "v3"},
		"a door by date":             {[]astern.Target{target("v1", 3, func(t *astern.Target) { t.Doors = []astern.Door{{At: ago(-day)}} })}, "v2", "v1", "v1"},
		"the last way back": {[]astern.Target{target("v2", 1, current, func(t *astern.Target) { t.KnownGoodAt = nil }), target("v1", 3, door(1))},
			"v3", "v2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := append([]astern.Target(nil), c.targets...)
			var left []string
			after := readiness.After(c.targets, c.revision)
			for _, x := range after {
				if x.Current {
					x.Revision += "*"
				}
				left = append(left, x.Revision)
			}
			if got := strings.Join(left, " "); got != c.left {
				t.Errorf("left are %q, not %q", got, c.left)
			}
			if back, _ := readiness.WayBack(after, astern.Value{}); back.Revision != c.back {
				t.Errorf("the way back is %q, not %q", back.Revision, c.back)
			}
			if diff := cmp.Diff(before, c.targets); diff != "" {
				t.Errorf("the targets that were given were changed:\n%s", diff)
			}
		})
	}
}
