package watch

import (
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/detect"
)

const (
	// remembered is how long an incident widens what counts as the service's own.
	remembered = 90 * 24 * time.Hour
	// worstOver is the stretch whose mean is taken: one bad second says little of how bad a fault was.
	worstOver = time.Minute
	// fewestHarmed is how many events beyond the usual such a stretch must have: three at night say nothing of how bad it was.
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
				if series.Name == s.Name && series.Unit == unitOf(s) {
					past.Worst = max(past.Worst, worstMinute(series.Points, in.BeganAt, in.BeganAt.Add(in.Harm(now)), past))
				}
			}
		}
		t.Past[s.Name] = past
	}
}

// worstMinute returns the largest rate of a stretch of points between two moments, of a minute or as much more as it takes for enough to
// be harmed beyond the usual rate; of all where they last less than a minute. A point stands for the time since the one before it. What
// was counted above a lower bound of the histogram than the past's says nothing of this one; above a higher one it is less than it would be.
func worstMinute(points []astern.Point, from, to time.Time, past detect.Past) float64 {
	var within []astern.Point
	for _, p := range points {
		if p.At.After(from) && !p.At.After(to) {
			if p.Bound < past.Low*(1-1e-9) {
				p.Events, p.Chances = 0, 0
			}
			within = append(within, p)
		}
	}
	worst := 0.0
	for i, last := range within {
		events, chances := 0.0, 0.0
		for k := i; k >= 0; k-- {
			events, chances = events+within[k].Events, chances+within[k].Chances
			since, whole := from, i == len(within)-1
			if k > 0 {
				since, whole = within[k-1].At, false
			}
			if (whole || last.At.Sub(since) >= worstOver) && events-past.Rate*chances >= fewestHarmed {
				worst = max(worst, events/chances)
				break
			}
		}
	}
	return worst
}
