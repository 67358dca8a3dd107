// Package readiness turns evidence into readiness: whether a target can be reached now, and which door closes next. It
// is pure.
package readiness

import (
	"fmt"
	"sort"
	"time"

	"github.com/astern-dev/astern"
)

// rank orders readinesses from the best to the worst: what is certain to be broken outweighs what is not known.
var rank = map[astern.Readiness]int{astern.Ready: 0, astern.AtRisk: 1, astern.ReadyUnknown: 2, astern.Broken: 3}

// Judge completes a target: its proof is weighed by age, its readiness is that of its worst evidence (unknown when
// there is none), and its doors are ordered by which closes first.
func Judge(t astern.Target, d astern.Deployment, o astern.Objectives, now time.Time) astern.Target {
	t.Evidence = append([]astern.Evidence(nil), t.Evidence...)
	t.Doors = append([]astern.Door(nil), t.Doors...)
	if d.ProvenAt != nil {
		until := d.ProvenAt.Add(o.ProofAge())
		e := astern.Evidence{What: "proven to work within the last " + days(o.ProofAge()), Readiness: astern.Ready, Seen: *d.ProvenAt}
		if !now.Before(until) {
			e.Readiness = astern.AtRisk
			e.What = "last proven to work more than " + days(o.ProofAge()) + " ago"
		} else {
			t.Doors = append(t.Doors, astern.Door{At: &until, What: "its proof is too old then"})
		}
		t.Evidence = append(t.Evidence, e)
	}
	t.Readiness = astern.ReadyUnknown
	if len(t.Evidence) > 0 {
		t.Readiness = astern.Ready
	}
	for _, e := range t.Evidence {
		if rank[e.Readiness] > rank[t.Readiness] {
			t.Readiness = e.Readiness
		}
	}
	sort.SliceStable(t.Doors, func(i, j int) bool { return sooner(t.Doors[i], t.Doors[j]) })
	return t
}

// sooner orders doors: those that close by the next deployments first, then by date.
func sooner(a, b astern.Door) bool {
	switch {
	case a.Deployments > 0 && b.Deployments > 0:
		return a.Deployments < b.Deployments
	case a.Deployments > 0 || b.Deployments > 0:
		return a.Deployments > 0
	case a.At != nil && b.At != nil:
		return a.At.Before(*b.At)
	}
	return a.At != nil
}

func days(d time.Duration) string {
	if n := int(d.Hours() / 24); n >= 1 {
		return fmt.Sprintf("%d d", n)
	}
	return d.String()
}

// Estimate is the median and range of measured durations in seconds; none gives the guess.
func Estimate(seconds []float64, guess astern.Estimate) astern.Estimate {
	if len(seconds) == 0 {
		return guess
	}
	s := append([]float64(nil), seconds...)
	sort.Float64s(s)
	median := s[len(s)/2]
	if len(s)%2 == 0 {
		median = (s[len(s)/2-1] + s[len(s)/2]) / 2
	}
	return astern.Estimate{MedianSeconds: median, LowSeconds: s[0], HighSeconds: s[len(s)-1], Runs: len(s)}
}

// WayBack reports whether a component has a way back: a target other than the current revision that is ready, known
// good and not latched.
func WayBack(targets []astern.Target) (astern.Target, bool) {
	for _, t := range targets {
		if !t.Current && t.Readiness == astern.Ready && t.KnownGoodAt != nil && t.Latched == "" {
			return t, true
		}
	}
	return astern.Target{}, false
}

// After returns the targets that would be left after one more deployment of the revision: those whose next door closes
// with it are gone, and the current one becomes a target.
func After(targets []astern.Target, revision string) []astern.Target {
	var out []astern.Target
	known := false
	for _, t := range targets {
		known = known || t.Revision == revision
	}
	for _, t := range targets {
		if !known && len(t.Doors) > 0 && t.Doors[0].Deployments == 1 {
			continue
		}
		t.Current = t.Revision == revision
		out = append(out, t)
	}
	return out
}
