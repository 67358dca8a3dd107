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
	// fewestHarmed is how many requests an incident must have harmed: of three at night one says nothing of how bad it was.
	fewestHarmed = 20
)

// Widen shows a trial what its component's incidents of the last 90 days were like, of signals that count failures: alone, only what
// is worse than the worst minute of them is large. What a change did is no example of what happens without one: an incident that one was
// blamed for is left out, and whoever calls leaves out those that began while something was deployed.
func (t *Trial) Widen(c astern.Component, all []astern.Incident, now time.Time) {
	for _, s := range c.Signals {
		past, ok := t.Past[s.Name]
		if !ok || s.Kind != astern.SignalErrors { // the graphs of others are in another unit than they are judged in
			continue
		}
		for _, in := range all {
			if in.Cause != nil || in.Cost.Requests < fewestHarmed || len(in.Addresses) == 0 || in.Addresses[0] != c.Address() || in.BeganAt.Before(now.Add(-remembered)) {
				continue
			}
			for _, series := range in.Series {
				if series.Name == s.Name && series.Unit == unitOf(s) {
					past.Worst = max(past.Worst, worstMinute(series.Points, in.BeganAt, in.BeganAt.Add(in.Harm(now)))/100)
				}
			}
		}
		t.Past[s.Name] = past
	}
}

// worstMinute returns the largest mean of a minute's points between two moments; of all of them where they last less. A point stands
// for the time since the one before it.
func worstMinute(points []astern.Point, from, to time.Time) float64 {
	var within []astern.Point
	for _, p := range points {
		if p.Candidate != nil && p.At.After(from) && !p.At.After(to) {
			within = append(within, p)
		}
	}
	if len(within) == 0 {
		return 0
	}
	short := within[len(within)-1].At.Sub(from) < worstOver
	worst, sum, first := 0.0, 0.0, 0
	for i, p := range within {
		sum += *p.Candidate
		for p.At.Sub(within[first].At) >= worstOver {
			sum -= *within[first].Candidate
			first++
		}
		since := from
		if first > 0 {
			since = within[first-1].At
		}
		if p.At.Sub(since) >= worstOver || short && i == len(within)-1 {
			worst = max(worst, sum/float64(i-first+1))
		}
	}
	return worst
}
