// Package readiness turns evidence into readiness: whether a target can be reached now, and which door closes next. It
// is pure.
package readiness

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// rank orders readinesses from the best to the worst: what is certain to be broken outweighs what is not known.
var rank = map[astern.Readiness]int{astern.Ready: 0, astern.AtRisk: 1, astern.ReadyUnknown: 2, astern.Broken: 3}

// known takes a word that is no readiness for unknown: it never makes a target ready.
func known(r astern.Readiness) astern.Readiness {
	if _, ok := rank[r]; !ok {
		return astern.ReadyUnknown
	}
	return r
}

// Judge completes a target: its proof is weighed by age, its readiness is that of its worst evidence (unknown when
// there is none), and its doors are ordered by which closes first. What was never proven to work is not ready.
func Judge(t astern.Target, d astern.Deployment, o astern.Objectives, now time.Time) astern.Target {
	t.Evidence = append([]astern.Evidence(nil), t.Evidence...)
	t.Doors = append([]astern.Door(nil), t.Doors...)
	if d.ProvenAt != nil {
		until := d.ProvenAt.Add(o.ProofAge())
		e := astern.Evidence{What: "proven to work within the last " + days(o.ProofAge()), Readiness: astern.Ready, Seen: *d.ProvenAt}
		if d.ProvenAt.Sub(now) > o.ProofAge()/10 { // a clock was or is wrong by more than can be overlooked
			e.Readiness = astern.AtRisk
			e.What = "proven to work at " + d.ProvenAt.UTC().Format("2006-01-02 15:04:05Z") + ", which is still to come by this machine's clock"
		} else if !now.Before(until) {
			e.Readiness = astern.AtRisk
			e.What = "last proven to work more than " + days(o.ProofAge()) + " ago"
		} else {
			t.Doors = append(t.Doors, astern.Door{At: &until, What: "its proof is too old then", Leaves: astern.AtRisk})
		}
		t.Evidence = append(t.Evidence, e)
	}
	if d.Latched != "" { // of whatever kind: a rollback there is refused until a person releases it
		t.Evidence = append(t.Evidence, astern.Evidence{What: "it is latched: " + d.Latched, Readiness: astern.AtRisk, Seen: now})
	}
	t.Readiness = astern.ReadyUnknown
	if len(t.Evidence) > 0 {
		t.Readiness = astern.Ready
	}
	for _, e := range t.Evidence {
		if rank[known(e.Readiness)] > rank[t.Readiness] {
			t.Readiness = known(e.Readiness)
		}
	}
	if t.Readiness == astern.Ready && d.ProvenAt == nil {
		t.Readiness = astern.AtRisk
		t.Evidence = append(t.Evidence, astern.Evidence{What: "it was never proven to work", Readiness: astern.AtRisk, Seen: now})
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

// WayBack returns the way back that a component has: a target that is ready, known good, not latched, and was not deployed
// after what runs now.
func WayBack(targets []astern.Target, runs astern.Value) (astern.Target, bool) {
	left, since, err := Leaves(targets, runs)
	if err != nil {
		return astern.Target{}, false
	}
	for _, t := range targets {
		if !t.Current && t.Revision != left && !Later(t, since) && t.Readiness == astern.Ready && t.KnownGoodAt != nil && t.Latched == "" {
			return t, true
		}
	}
	return astern.Target{}, false
}

// Leaves returns what a rollback leaves, and since when that runs: what was deployed later is no way back. Where several
// revisions run that is the one of them that is not known-good, or is latched; else the newest. The time is nil when the ledger
// has no deployment of it, which then is newer than all that it knows. What a component goes back from must be known: it is an error when what runs is not, and no target
// is that which everybody who could be asked runs.
func Leaves(targets []astern.Target, runs astern.Value) (revision string, since *time.Time, err error) {
	if !runs.Known() || runs.Text == "" {
		for _, t := range targets {
			if t.Current {
				return t.Revision, deployed(targets, t.Revision), nil
			}
		}
		if !runs.Known() {
			err = fmt.Errorf("what runs is unknown: %s", runs.Unknown)
		}
		return "", nil, err
	}
	names := strings.Split(runs.Text, "+")
	if suspects := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return trusted(targets, name) }); len(suspects) == 1 && len(names) > 1 {
		at := deployed(targets, suspects[0])
		straggler := at != nil && slices.ContainsFunc(names, func(name string) bool {
			other := deployed(targets, name)
			return other != nil && other.After(*at)
		})
		if straggler { // or it is on its way again: going "back" to the newer one could bring about what is fled from
			return "", nil, astern.Errorf(astern.NotReady, "%s runs beside what was deployed after it: whether it was left behind or is on its way can't be told", suspects[0])
		}
		return suspects[0], nil, nil // it is on its way now
	}
	for _, name := range names {
		at := deployed(targets, name)
		if at == nil {
			return name, nil, nil
		}
		if since == nil || since.Before(*at) {
			revision, since = name, at
		}
	}
	return revision, since, nil
}

// deployed returns when a revision was last deployed, nil where that is not known.
func deployed(targets []astern.Target, revision string) *time.Time {
	for _, t := range targets {
		if t.Revision == revision && !t.Imported {
			return t.DeployedAt
		}
	}
	return nil
}

// trusted reports whether a revision is known-good and not latched.
func trusted(targets []astern.Target, revision string) bool {
	return slices.ContainsFunc(targets, func(t astern.Target) bool {
		return t.Revision == revision && t.KnownGoodAt != nil && t.Latched == ""
	})
}

// Later reports whether the target was deployed after that time, as far as both are known.
func Later(t astern.Target, than *time.Time) bool {
	return than != nil && t.DeployedAt != nil && t.DeployedAt.After(*than)
}

// After returns the targets that would be left after one more deployment of the revision: those whose next door closes
// with it are gone, and the current one becomes a target. A revision that is in place already takes nobody's place.
func After(targets []astern.Target, revision string) []astern.Target {
	var out []astern.Target
	there := false
	for _, t := range targets {
		there = there || t.Revision == revision && (t.Current || closesByDeployment(t))
	}
	for _, t := range targets {
		if !there && len(t.Doors) > 0 && t.Doors[0].Deployments == 1 && t.Doors[0].Leaves == "" {
			continue
		}
		if t.Current = t.Revision == revision; t.Current {
			t.DeployedAt = nil // now: later than all others
		}
		out = append(out, t)
	}
	return out
}

// closesByDeployment reports whether further deployments will remove the target: it then is in place.
func closesByDeployment(t astern.Target) bool { return len(t.Doors) > 0 && t.Doors[0].Deployments > 0 }
