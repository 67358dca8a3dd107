package replay

import (
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/policy"
	"github.com/astern-dev/astern/internal/watch"
)

// told is an incident in which an hour of ten failed requests a minute was noticed after one minute, by what was decided.
func told(d astern.Decision, change func(s *watch.Situation)) History {
	s := watch.Situation{Now: minute(1), Address: "e/shop",
		Findings: []watch.Finding{{Signal: "errors", Verdict: watch.Worse, Says: "4 %", Began: minute(0), Controlled: true, Harm: 4}},
		Changes:  []astern.Event{{Seq: 1, At: minute(-9000), Address: "e/shop", Kind: astern.EventDeployed, Revision: "v1"}, {Seq: 2, At: minute(-1), Address: "e/shop", Kind: astern.EventDeployed, Revision: "v2"}},
		Ways:     []watch.Way{{Text: "shop back to v1", Revision: "v1", Seconds: 60}}, Rules: watch.Rules{Act: d.Act, Window: time.Hour}}
	change(&s)
	cost := func(m, n float64) astern.IncidentEvent {
		return astern.IncidentEvent{At: minute(m), Kind: astern.IncidentCost, By: "watch", Cost: &astern.Cost{Requests: n}}
	}
	end := minute(65)
	return History{Now: minute(600), Log: astern.IncidentLog{ID: "inc-1", Events: []astern.IncidentEvent{
		{At: minute(1), Kind: astern.IncidentOpened, By: "watch", Text: "errors", Addresses: []string{"e/shop"}, Began: minute(0)},
		{At: minute(1), Kind: astern.IncidentBlamed, Cause: &astern.Cause{Address: "e/shop", Revision: "v2", At: minute(-1)}, Text: "it was v2"},
		cost(1, 10), {At: minute(1), Kind: astern.IncidentDecided, Decision: &d, Situation: s.Kept()},
		cost(65, 600), {At: end, Kind: astern.IncidentResolved}}},
		Deployed: []astern.Event{{At: minute(-1), Address: "e/shop", Revision: "v2", By: "ci"}, {At: minute(60), Address: "e/shop", Revision: "v1", By: "ana"}}}
}

func bold() astern.Policy {
	return astern.Policy{Automatic: astern.Automatic{Mode: astern.ModeAutomatic}}
}

// TestIncident: each way in which another policy differs, on one fault.
func TestIncident(t *testing.T) {
	ask := astern.Decision{Act: astern.ActAsk, Way: "shop back to v1"}
	at := func(x float64) *float64 { return &x }
	for name, c := range map[string]struct {
		was    astern.Decision
		change func(s *watch.Situation)
		policy func(p *astern.Policy)
		act    astern.Act
		saved  float64 // requests
		says   string
	}{
		"would have acted": {ask, func(*watch.Situation) {}, func(*astern.Policy) {}, astern.ActAutomatic, 580, "took twice as long"},
		"still asks":       {ask, func(*watch.Situation) {}, func(p *astern.Policy) { p.Automatic.Mode = astern.ModeAsk }, astern.ActAsk, 0, ""},
		"only tells": {ask, func(*watch.Situation) {}, func(p *astern.Policy) { p.Automatic.Mode = astern.ModeTell }, astern.ActTell, 0,
			"a person acts in both"},
		"another scale": {ask, func(*watch.Situation) {}, func(p *astern.Policy) {
			p.Severities = []astern.Severity{{Name: "big", AtLeast: at(50), Mode: astern.ModeAutomatic}}
		}, astern.ActAsk, 0, ""},
		"cools down": {ask, func(s *watch.Situation) {
			s.Acted = []policy.Acted{{At: minute(-9), Components: []string{"shop"}}}
		}, func(p *astern.Policy) { p.Automatic.CoolDownSeconds = 1800 }, astern.ActAsk, 380, "taken at 03:21:00Z"},
		"cools down for too long": {ask, func(s *watch.Situation) {
			s.Acted = []policy.Acted{{At: minute(-9), Components: []string{"shop"}}}
		}, func(p *astern.Policy) { p.Automatic.CoolDownSeconds = 86400 }, astern.ActAsk, 0, ""},
		"on another component": {ask, func(s *watch.Situation) {
			s.Acted = []policy.Acted{{At: minute(-9), Components: []string{"stock"}}}
		}, func(p *astern.Policy) { p.Automatic.CoolDownSeconds = 1800 }, astern.ActAutomatic, 580, ""},
		"the day's limit": {ask, func(s *watch.Situation) {
			s.Acted = []policy.Acted{{At: minute(-600), Components: []string{"stock"}}}
		}, func(p *astern.Policy) { p.Automatic.Daily = 1 }, astern.ActAsk, 0, ""},
		"frozen": {ask, func(*watch.Situation) {}, func(p *astern.Policy) {
			p.Freezes = []astern.Freeze{{Name: "night", Schedule: "30 2 * * *", Zone: "UTC", LastsSeconds: 3600}}
		}, astern.ActAsk, 290, "taken at 03:30:00Z"},
		"nothing to go back to": {ask, func(s *watch.Situation) { s.Ways[0].Against = "it is gone" }, func(*astern.Policy) {}, astern.ActAsk, 0, ""},
		"no plan could be made": {ask, func(s *watch.Situation) { s.Rules.Act = astern.ActAutomatic }, func(*astern.Policy) {}, astern.ActAsk, 0, ""},
	} {
		h, p := told(c.was, c.change), bold()
		c.policy(&p)
		f, err := Incident(h, p, "watch")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		d := f.Decisions[0]
		if d.Would == nil || d.Would.Act != c.act || !f.EndedAt.Equal(minute(60)) || !strings.HasSuffix(f.People, "ana put v1 in place 59 min later: the same way") && c.act == astern.ActAutomatic {
			t.Errorf("%s: %+v %+v", name, d.Would, f)
		}
		switch s := f.Saving; {
		case c.saved == 0 && c.says == "":
			if s != nil && (s.Seconds != nil || s.Requests != nil || s.PerMinute != nil) {
				t.Errorf("%s: %+v", name, s)
			}
		case s == nil || !strings.Contains(s.Because, c.says) || c.saved > 0 && (s.Requests == nil || *s.Requests < c.saved-1e-6 || *s.Requests > c.saved+1e-6):
			t.Errorf("%s: %+v, want %v", name, s, c.saved)
		}
	}
}

// TestIncidentActed: what was acted on, by a policy that would not have: what each minute would have cost.
func TestIncidentActed(t *testing.T) {
	h := told(astern.Decision{Act: astern.ActAutomatic, Way: "shop back to v1", Plan: "p"}, func(*watch.Situation) {})
	end := minute(2)
	h.Log.Events = append(h.Log.Events, astern.IncidentEvent{At: minute(1), Kind: astern.IncidentActed, Execution: "ex-1"})
	h.Executions = []astern.Execution{{ID: "ex-1", PlanHash: "p", EndedAt: &end, Outcome: astern.OutcomeDone}}
	p := bold()
	if f, err := Incident(h, p, "watch"); err != nil || f.Saving != nil || !f.Decisions[0].Same || f.Ended != "ex-1" {
		t.Errorf("%+v, %v", f, err)
	}
	p.Automatic.Mode = astern.ModeTell
	f, err := Incident(h, p, "watch")
	if err != nil || f.Saving == nil || f.Saving.PerMinute == nil || *f.Saving.PerMinute != 300 || f.Decisions[0].Same { // 600 in two minutes
		t.Errorf("%+v, %+v, %v", f, f.Saving, err)
	}
	// What can't be judged again is said, and not guessed.
	for i := range h.Log.Events {
		h.Log.Events[i].Situation = nil
	}
	if f, err := Incident(h, p, "watch"); err != nil || f.Decisions[0].Would != nil || f.Decisions[0].Unknown == "" || f.Decisions[0].Same {
		t.Errorf("%+v, %v", f, err)
	}
	h.Log.Events[3].Situation = []byte(`{"now":"yesterday"}`)
	if _, err := Incident(h, p, "watch"); astern.CodeOf(err) != astern.Invalid {
		t.Errorf("%v", err)
	}
}

// TestAlone: the policy of shadow mode as if it were automatic leaves the one it was made of as it is.
func TestAlone(t *testing.T) {
	p := astern.Policy{Automatic: astern.Automatic{Mode: astern.ModeShadow}, Severities: []astern.Severity{{Name: "x", Mode: astern.ModeShadow}},
		Components: []astern.ComponentRule{{Name: "shop", Mode: astern.ModeTell, Modes: map[string]astern.Mode{"x": astern.ModeShadow}}}}
	mode, _ := policy.Mode(Alone(p), "x", []string{"shop"})
	if mode != astern.ModeAutomatic || p.Severities[0].Mode != astern.ModeShadow || p.Components[0].Modes == nil || p.Automatic.Mode != astern.ModeShadow {
		t.Errorf("%s, %+v", mode, p)
	}
}
