package watch_test

import (
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/watch"
)

// TestRecordedIncidentsWiden: without a control, what was as bad in an incident that no change caused is for a person; what is worse
// still counts as large. Incidents of changes, of others, and old ones don't widen.
func TestRecordedIncidentsWiden(t *testing.T) {
	incident := func(id string, percent float64, edit func(*astern.Incident)) astern.Incident {
		ended := now.Add(-time.Hour).Add(3 * time.Minute)
		in := astern.Incident{ID: id, Addresses: []string{"e/c"}, BeganAt: now.Add(-time.Hour), EndedAt: &ended, Cost: astern.Cost{Requests: 100}, Series: []astern.Series{{Name: "errors", Unit: "%"}}}
		for i := range 120 { // ten minutes, of which the incident has three
			v := 0.2
			if i >= 12 && i < 36 {
				v = percent
			}
			in.Series[0].Points = append(in.Series[0].Points, astern.Point{At: now.Add(-time.Hour + time.Duration(5*i)*time.Second), Candidate: &v})
		}
		edit(&in)
		return in
	}
	same := func(*astern.Incident) {}
	all := []astern.Incident{
		incident("small", 3, same), incident("large", 14, same),
		incident("a change's", 90, func(in *astern.Incident) { in.Cause = &astern.Cause{} }),
		incident("another's", 90, func(in *astern.Incident) { in.Addresses = []string{"e/d", "e/c"} }),
		incident("an old one", 90, func(in *astern.Incident) { in.BeganAt = now.AddDate(0, -4, 0) }),
		incident("of another signal", 90, func(in *astern.Incident) { in.Series[0].Name = "failures" }),
		incident("of three requests at night", 90, func(in *astern.Incident) { in.Cost.Requests = 2 }),
		incident("one bad second", 3, func(in *astern.Incident) { all := 60.0; in.Series[0].Points[20].Candidate = &all }),
		incident("nothing counted", 90, func(in *astern.Incident) {
			for i := range in.Series[0].Points {
				in.Series[0].Points[i].Candidate = nil
			}
		}),
	}
	for _, c := range []struct {
		all   []astern.Incident
		fails float64
		large bool
	}{{nil, 0.1, true}, {all, 0.1, false}, {all[:1], 0.1, true}, {all[2:], 0.1, true}, {all, 0.5, true}} {
		s, w := newService(2, 4), watch.NewWatched("e/c")
		s.rates["v2"] = c.fails
		s.rounds(w, 400)
		s.deploy(w, "v2", "", "m0", "m1", "m2", "m3")
		w.Trial.Widen(astern.Component{Environment: "e", Name: "c", Signals: append(s.signals, astern.Signal{Name: "unknown", Kind: astern.SignalErrors})}, c.all, now)
		s.rounds(w, 60)
		f := s.found(w, "errors")
		if f.Verdict != watch.Worse || f.Large != c.large {
			t.Errorf("%v after %d incidents: %s, large %v: %s", c.fails, len(c.all), f.Verdict, f.Large, f.Says)
		}
	}
}
