package watch_test

import (
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/watch"
)

// recordedIncident is one of three minutes an hour ago, in the midst of ten minutes of points with 1,000 requests each.
func recordedIncident(id, signal, unit string, rate float64, edit func(*astern.Incident)) astern.Incident {
	ended := now.Add(-time.Hour).Add(3 * time.Minute)
	in := astern.Incident{ID: id, Addresses: []string{"e/c"}, BeganAt: now.Add(-time.Hour), EndedAt: &ended, Series: []astern.Series{{Name: signal, Unit: unit}}}
	for i := range 120 {
		p := astern.Point{At: now.Add(-time.Hour + time.Duration(5*i)*time.Second), Events: 2, Chances: 1000}
		if i >= 12 && i < 36 {
			p.Events = rate * 1000
		}
		in.Series[0].Points = append(in.Series[0].Points, p)
	}
	edit(&in)
	return in
}

// TestRecordedIncidentsWiden: without a control, what was as bad in an incident that no change caused is for a person; what is worse
// still counts as large. Incidents of changes, of others, and old ones don't widen.
func TestRecordedIncidentsWiden(t *testing.T) {
	same := func(*astern.Incident) {}
	errors := func(id string, rate float64, edit func(*astern.Incident)) astern.Incident {
		return recordedIncident(id, "errors", "%", rate, edit)
	}
	all := []astern.Incident{
		errors("small", 0.03, same), errors("large", 0.14, same),
		errors("a change's", 0.9, func(in *astern.Incident) { in.Cause = &astern.Cause{} }),
		errors("another's", 0.9, func(in *astern.Incident) { in.Addresses = []string{"e/d", "e/c"} }),
		errors("an old one", 0.9, func(in *astern.Incident) { in.BeganAt = now.AddDate(0, -4, 0) }),
		errors("of another signal", 0.9, func(in *astern.Incident) { in.Series[0].Name = "failures" }),
		errors("in another unit", 0.9, func(in *astern.Incident) { in.Series[0].Unit = "s" }),
		errors("of three requests at night", 0.9, func(in *astern.Incident) {
			for i := range in.Series[0].Points {
				p := &in.Series[0].Points[i]
				p.Events, p.Chances = p.Events/1500, p.Chances/1500
			}
		}),
		errors("three of three after minutes without traffic", 0.03, func(in *astern.Incident) {
			for i := 15; i < 36; i++ {
				in.Series[0].Points[i].Events, in.Series[0].Points[i].Chances = 0, 0
			}
			in.Series[0].Points[34].Events, in.Series[0].Points[34].Chances = 3, 3
		}),
		errors("one bad second", 0.03, func(in *astern.Incident) { in.Series[0].Points[20].Events = 600 }),
		errors("nothing counted", 0.9, func(in *astern.Incident) {
			for i := range in.Series[0].Points {
				in.Series[0].Points[i].Events, in.Series[0].Points[i].Chances = 0, 0
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

// TestRecordedPointsWiden: the points that a watch records of bad minutes, in which nothing was deployed, widen what counts as large in
// the next deployment: of latency, where of the new revision those above the next bound are counted, and of sales of all attempts.
func TestRecordedPointsWiden(t *testing.T) {
	for _, c := range []struct {
		signal        string
		before, after float64 // share that is slow, or fails, in the incident and on the new revision
		bound         float64 // that it was counted above, of what it would be now
		large         bool
	}{{"latency", 0.08, 0.4, 1, true}, {"latency", 0.6, 0.4, 1, false}, {"latency", 0.3, 0.9, 1, true}, {"latency", 0.6, 0.4, 0.5, true}, {"latency", 0.6, 0.4, 2, false},
		{"sales", 0.002, 0.4, 1, true}, {"sales", 0.6, 0.4, 1, false}, {"sales", 0.3, 0.6, 1, true}} {
		service := func(seed uint64) (*service, map[string]float64) {
			s := newService(seed, 4)
			s.signals = append(s.signals, astern.Signal{Name: "sales", Kind: astern.SignalBusiness, Prometheus: &astern.PrometheusSource{Bad: "failed"}})
			s.rates["v2"] = s.rates["v1"]
			if c.signal == "sales" {
				return s, s.rates
			}
			return s, s.slow
		}
		s, of := service(3)
		w := watch.NewWatched("e/c")
		s.rounds(w, 400)
		of["v1"] = c.before
		w.Fault = s.now
		s.rounds(w, 60)
		for _, series := range w.Graph.Series {
			for i := range series.Points {
				series.Points[i].Bound *= c.bound
			}
		}
		in := astern.Incident{ID: "recorded", Addresses: []string{"e/c"}, BeganAt: w.Fault, EndedAt: &s.now, Series: w.Graph.Series}

		s, of = service(4)
		w, of["v2"] = watch.NewWatched("e/c"), c.after
		s.rounds(w, 400)
		s.deploy(w, "v2", "", "m0", "m1", "m2", "m3")
		w.Trial.Widen(astern.Component{Environment: "e", Name: "c", Signals: s.signals}, []astern.Incident{in}, s.now)
		s.rounds(w, 60)
		if f := s.found(w, c.signal); f.Verdict != watch.Worse || f.Large != c.large {
			t.Errorf("%s: %v after an incident with %v: %s, large %v: %s", c.signal, c.after, c.before, f.Verdict, f.Large, f.Says)
		}
	}
}
