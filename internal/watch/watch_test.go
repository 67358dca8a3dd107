package watch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/watch"
)

var now = time.Date(2026, 3, 1, 3, 12, 0, 0, time.UTC)

func ago(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }

// bad is the plain case: v2 was deployed, errors rose a minute later, v1 is ready, and the policy lets it act.
func bad() watch.Situation {
	return watch.Situation{Now: now, Address: "production/shop",
		Findings: []watch.Finding{{Signal: "errors", Verdict: watch.Worse, Says: "errors 4.1 % of 1204 requests, 0.3 % on v1", Began: ago(4), Controlled: true},
			{Signal: "latency", Verdict: watch.NotWorse, Says: "p95 0.2 s"}},
		Changes: []astern.Event{{Seq: 1, At: ago(9000), Address: "production/shop", Kind: astern.EventDeployed, Revision: "v1"},
			{Seq: 2, At: ago(5), Address: "production/shop", Kind: astern.EventDeployed, Revision: "v2", By: "ci"}, {Seq: 3, At: ago(5), Address: "production/shop", Kind: astern.EventSeen, Revision: "v2"}},
		Ways:  []watch.Way{{Text: "shop back to v1", Command: "astern rollback shop --to v1", Seconds: 12, Revision: "v1"}},
		Rules: watch.Rules{Act: astern.ActAutomatic, Window: time.Hour}}
}

// past is an incident in which the watch acted by itself on a change.
func past(id, revision string, opened time.Time) astern.Incident {
	return astern.Incident{ID: id, OpenedAt: opened, Cause: &astern.Cause{Revision: revision, At: opened.Add(-time.Minute)},
		Decisions: []astern.Decision{{Act: astern.ActAutomatic}}}
}

// TestJudge: each reason not to act, by itself, in the plain case.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*watch.Situation)
		act     astern.Act
		because string
		blamed  string
	}{
		"plain": {func(*watch.Situation) {}, astern.ActAutomatic,
			"errors: errors 4.1 % of 1204 requests, 0.3 % on v1; the fault began 1 min after v2 was deployed, and what still runs the earlier revision is well; shop back to v1 is the first way that may be taken: ~12 s, loses nothing", "v2"},
		"asks":      {func(s *watch.Situation) { s.Rules.Act = astern.ActAsk }, astern.ActAsk, "is the first way", "v2"},
		"tells":     {func(s *watch.Situation) { s.Rules.Act = astern.ActTell }, astern.ActTell, "is the first way", "v2"},
		"shadow":    {func(s *watch.Situation) { s.Rules.Act = astern.ActShadow }, astern.ActShadow, "is the first way", "v2"},
		"frozen":    {func(s *watch.Situation) { s.Rules.Not = "freeze Black Friday holds" }, astern.ActAsk, "freeze Black Friday holds", "v2"},
		"no change": {func(s *watch.Situation) { s.Changes = nil }, astern.ActTell, "the ledger knows of no change before the fault", ""},
		"changed after the fault": {func(s *watch.Situation) { s.Findings[0].Began = ago(8) }, astern.ActTell,
			"the last change, v1, was 149 h 52 min before the fault", ""},
		"changed long before":    {func(s *watch.Situation) { s.Changes[1].At = ago(70) }, astern.ActTell, "v2, was 1 h 6 min before the fault", ""},
		"recorded a little late": {func(s *watch.Situation) { s.Changes[1].At = ago(3) }, astern.ActAutomatic, "0 s after v2", "v2"},
		"a dependency broke first": {func(s *watch.Situation) {
			s.Findings[0].Controlled, s.Findings[0].Large = false, true
			s.Elsewhere = []watch.Elsewhere{{"stock does not answer", ago(5)}}
		}, astern.ActTell, "stock does not answer: it is not the release", ""},
		"a dependency broke later": {func(s *watch.Situation) {
			s.Findings[0].Controlled, s.Findings[0].Large = false, true
			s.Elsewhere = []watch.Elsewhere{{"stock does not answer", ago(1)}}
		}, astern.ActAutomatic, "and nothing else changed", "v2"},
		"a dependency broke for both": {func(s *watch.Situation) { s.Elsewhere = []watch.Elsewhere{{"stock does not answer", ago(5)}} }, astern.ActAutomatic, "what still runs the earlier revision is well", "v2"},
		"a dependency was deployed last": {func(s *watch.Situation) {
			s.Findings[0].Controlled, s.Findings[0].Large = false, true
			s.Changes = append(s.Changes, astern.Event{Seq: 4, At: ago(4), Address: "production/stock", Kind: astern.EventDeployed, Revision: "v9"})
		}, astern.ActTell, "after production/stock v9 was deployed, and nothing else changed: it is that which is to be taken back", "v9"},
		"a dependency was deployed just before": {func(s *watch.Situation) {
			s.Findings[0].Controlled, s.Findings[0].Large = false, true
			s.Changes = slices.Insert(s.Changes, 1, astern.Event{Seq: 4, At: ago(5).Add(-20 * time.Second), Address: "production/stock", Kind: astern.EventDeployed, Revision: "v9"})
		}, astern.ActAsk, "v2 and production/stock v9 were deployed within a minute of each other", "v2"},
		"a dependency was deployed just before, and one runs beside": {func(s *watch.Situation) {
			s.Changes = slices.Insert(s.Changes, 1, astern.Event{Seq: 4, At: ago(5).Add(-20 * time.Second), Address: "production/stock", Kind: astern.EventDeployed, Revision: "v9"})
		}, astern.ActAutomatic, "what still runs the earlier revision is well", "v2"},
		"a dependency was deployed well before": {func(s *watch.Situation) {
			s.Findings[0].Controlled, s.Findings[0].Large = false, true
			s.Changes = slices.Insert(s.Changes, 1, astern.Event{Seq: 4, At: ago(6), Address: "production/stock", Kind: astern.EventDeployed, Revision: "v9"})
		}, astern.ActAutomatic, "and nothing else changed", "v2"},
		"deployed again by what was not stopped": {func(s *watch.Situation) {
			in := past("inc-1", "v2", ago(90))
			in.Cause.Address = "production/shop"
			s.Past = []astern.Incident{in}
		}, astern.ActAsk, "v2 was taken back in inc-1 already, and ci deployed it again: first stop what deploys it", "v2"},
		"something is under way": {func(s *watch.Situation) { s.Busy = []string{"ex-7"} }, astern.ActHold, "ex-7 acts on it now", "v2"},
		"acted on it before": {func(s *watch.Situation) {
			in := past("inc-1", "v2", ago(4))
			in.Cause.At = ago(5)
			s.Past = []astern.Incident{in}
		}, astern.ActAsk, "inc-1 has acted on this change already", "v2"},
		"no way":      {func(s *watch.Situation) { s.Ways = nil }, astern.ActAsk, "no way back may be taken without a person: there is none", "v2"},
		"not ready":   {func(s *watch.Situation) { s.Ways[0].Against = "its release is gone" }, astern.ActAsk, "shop back to v1: its release is gone", "v2"},
		"loses":       {func(s *watch.Situation) { s.Ways[0].Loses = "12 rows" }, astern.ActAsk, "shop back to v1: it loses 12 rows", "v2"},
		"onto itself": {func(s *watch.Situation) { s.Ways[0].Revision = "v2" }, astern.ActAsk, "it is what is blamed", "v2"},
		"onto one that was bad": {func(s *watch.Situation) { s.Past = []astern.Incident{past("inc-1", "v1", ago(9000))} }, astern.ActAsk,
			"it was blamed for a fault before", "v2"},
		"no control":            {func(s *watch.Situation) { s.Findings[0].Controlled = false }, astern.ActAsk, "no instance runs the earlier revision", "v2"},
		"no control, but large": {func(s *watch.Situation) { s.Findings[0].Controlled, s.Findings[0].Large = false, true }, astern.ActAutomatic, "", "v2"},
		"the flag first": {func(s *watch.Situation) {
			s.Ways = slices.Insert(s.Ways, 0, watch.Way{Text: "turn new-checkout off", Seconds: 3})
		}, astern.ActAutomatic, "turn new-checkout off is the first way", "v2"},
	} {
		s := bad()
		c.change(&s)
		j := watch.Judge(s)
		if !j.Fault || j.Decision.Act != c.act || !strings.Contains(j.Decision.Because, c.because) {
			t.Errorf("%s: %+v", name, j)
		}
		if got := j.Cause; (got == nil) != (c.blamed == "") || got != nil && got.Revision != c.blamed {
			t.Errorf("%s: blames %+v, want %q (%s)", name, got, c.blamed, j.Blame)
		}
	}
}

// TestNoData: what is not known is no fault, and never a reason to act.
func TestNoData(t *testing.T) {
	for name, c := range map[string]struct {
		findings []watch.Finding
		because  string
	}{
		"no signals": {nil, "no signal is declared"},
		"all well":   {[]watch.Finding{{Verdict: watch.NotWorse}}, "nothing is worse"},
		"no data":    {[]watch.Finding{{Signal: "errors", Verdict: watch.Unknown, Says: "prometheus does not answer"}, {Verdict: watch.NotWorse}}, "errors: prometheus does not answer"},
	} {
		s := bad()
		s.Findings = c.findings
		if j := watch.Judge(s); j.Fault || j.Decision.Act != astern.ActHold || !strings.Contains(j.Decision.Because, c.because) {
			t.Errorf("%s: %+v", name, j)
		}
	}
}

// TestActsOnlyWhenNothingSpeaksAgainst: over random situations, whenever it acts each condition of the policy holds.
func TestActsOnlyWhenNothingSpeaksAgainst(t *testing.T) {
	acted := 0
	rapid.Check(t, func(t *rapid.T) {
		for range 30 {
			if actsRightly(t, draw(t)) {
				acted++
			}
		}
	})
	if acted == 0 {
		t.Error("it never acted: the property was not tried")
	}
}

// actsRightly reports whether it acts, and fails when it may not.
func actsRightly(t *rapid.T, s watch.Situation) bool {
	j := watch.Judge(s)
	if j.Decision.Because == "" || len(j.Decision.Because) > 2000 {
		t.Fatalf("no reason: %+v", j)
	}
	if j.Decision.Act != astern.ActAutomatic {
		return false
	}
	r := s.Rules
	switch i := slices.IndexFunc(s.Ways, func(w watch.Way) bool { return w.Text == j.Decision.Way }); {
	case r.Act != astern.ActAutomatic || r.Not != "" || len(s.Busy) > 0 || j.Cause == nil || i < 0:
		t.Fatalf("%+v acts: %+v", s, j)
	case s.Ways[i].Against != "" || s.Ways[i].Loses != "" || s.Ways[i].Revision == j.Cause.Revision:
		t.Fatalf("takes %+v", s.Ways[i])
	}
	for _, in := range s.Past {
		if slices.ContainsFunc(in.Decisions, func(d astern.Decision) bool { return d.Act == astern.ActAutomatic }) && in.Cause != nil &&
			in.Cause.Revision == j.Cause.Revision && in.Cause.At.Equal(j.Cause.At) {
			t.Fatalf("acts after %+v", in)
		}
	}
	if !slices.ContainsFunc(s.Findings, func(f watch.Finding) bool { return f.Verdict == watch.Worse && (f.Controlled || f.Large) }) {
		t.Fatalf("acts on %+v", s.Findings)
	}
	return true
}

func draw(t *rapid.T) watch.Situation {
	minutes := rapid.IntRange(0, 3000)
	revision := rapid.SampledFrom([]string{"v1", "v2", "v3"})
	flip := func(name string) bool { return rapid.IntRange(0, 3).Draw(t, name) == 0 }
	some := func(name, text string) string {
		if flip(name) {
			return text
		}
		return ""
	}
	s := watch.Situation{Now: now, Address: "e/c", Rules: watch.Rules{Act: rapid.SampledFrom([]astern.Act{astern.ActAutomatic, astern.ActAutomatic, astern.ActAsk, astern.ActTell, astern.ActShadow}).Draw(t, "act"),
		Window: time.Duration(rapid.IntRange(10, 100).Draw(t, "window")) * time.Minute, Not: some("not", "freeze holiday holds")}}
	for range rapid.IntRange(1, 3).Draw(t, "findings") {
		s.Findings = append(s.Findings, watch.Finding{Signal: "s", Verdict: rapid.SampledFrom([]watch.Verdict{watch.Worse, watch.Worse, watch.NotWorse, watch.Unknown}).Draw(t, "verdict"),
			Says: "says", Began: ago(rapid.IntRange(0, 20).Draw(t, "began")), Controlled: !flip("control"), Large: flip("large")})
	}
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		s.Changes = append(s.Changes, astern.Event{Address: "e/c", At: ago(rapid.IntRange(0, 60).Draw(t, "at")), Kind: rapid.SampledFrom([]astern.EventKind{astern.EventDeployed, astern.EventDeployed, astern.EventLatched}).Draw(t, "kind"), Revision: revision.Draw(t, "revision")})
	}
	slices.SortFunc(s.Changes, func(x, y astern.Event) int { return x.At.Compare(y.At) })
	for i := range rapid.IntRange(1, 3).Draw(t, "ways") {
		s.Ways = append(s.Ways, watch.Way{Text: strings.Repeat("w", i+1), Revision: revision.Draw(t, "to"), Against: some("against", "not ready"), Loses: some("loses", "rows")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "past") {
		at := ago(minutes.Draw(t, "opened"))
		s.Past = append(s.Past, astern.Incident{ID: "inc", OpenedAt: at, Cause: &astern.Cause{Revision: revision.Draw(t, "blamed"), At: at},
			Decisions: []astern.Decision{{Act: rapid.SampledFrom([]astern.Act{astern.ActAutomatic, astern.ActAsk}).Draw(t, "acted")}}})
	}
	if flip("busy") && flip("really") {
		s.Busy = []string{"ex-1"}
	}
	if flip("elsewhere") && flip("really") {
		s.Elsewhere = []watch.Elsewhere{{"the network is gone", ago(minutes.Draw(t, "since"))}}
	}
	return s
}
