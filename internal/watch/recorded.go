package watch

import (
	"time"

	"github.com/astern-dev/astern"
)

const (
	// remembered is how long an incident widens what counts as the service's own.
	remembered = 90 * 24 * time.Hour
	// worstOver is the stretch whose mean is taken: one bad second says little of how bad a fault was.
	worstOver = time.Minute
	// fewestHarmed is how many events beyond the usual an incident must have had: three at night say nothing of how bad it was.
	fewestHarmed = 20
)

// Widen shows a trial what its component's incidents of the last 90 days were like: alone, only what is worse than the worst minute of
// them is large. What a change did is no example of what happens without one: an incident that one was blamed for is left out, and
// whoever calls leaves out those that began while something was deployed. What is compared by member is never judged alone, and
// has nothing to widen.
func (t *Trial) Widen(c astern.Component, all []astern.Incident, now time.Time) {
	for _, s := range c.Signals {
		past, ok := t.Past[s.Name]
		if !ok {
			continue
		}
		for _, in := range all {
			if in.Cause != nil || len(in.Addresses) == 0 || in.Addresses[0] != c.Address() || in.BeganAt.Before(now.Add(-remembered)) {
				continue
			}
			for _, series := range in.Series {
				// Of latency that was counted above another bound: above a lower one are more, and it widens further; above a higher
				// one fewer, and it widens less than it might.
				if series.Name == s.Name && series.Unit == unitOf(s) {
					past.Worst = max(past.Worst, worstMinute(series.Points, in.BeganAt, in.BeganAt.Add(in.Harm(now)), past.Rate))
				}
			}
		}
		t.Past[s.Name] = past
	}
}

// worstMinute returns the largest rate of a minute's points between two moments; of all of them where they last less; 0 where few are
// harmed beyond the usual rate. A point stands for the time since the one before it.
func worstMinute(points []astern.Point, from, to time.Time, usual float64) float64 {
	var within []astern.Point
	harmed := 0.0
	for _, p := range points {
		if p.Chances > 0 && p.At.After(from) && !p.At.After(to) {
			within = append(within, p)
			harmed += p.Events - usual*p.Chances
		}
	}
	if harmed < fewestHarmed {
		return 0
	}
	short := within[len(within)-1].At.Sub(from) < worstOver
	worst, events, chances, first := 0.0, 0.0, 0.0, 0
	for i, p := range within {
		events, chances = events+p.Events, chances+p.Chances
		for p.At.Sub(within[first].At) >= worstOver {
			events, chances = events-within[first].Events, chances-within[first].Chances
			first++
		}
		since := from
		if first > 0 {
			since = within[first-1].At
		}
		if p.At.Sub(since) >= worstOver || short && i == len(within)-1 {
			worst = max(worst, events/chances)
		}
	}
	return worst
}
