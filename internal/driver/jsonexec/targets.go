package jsonexec

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	astern "github.com/astern-dev/astern"
)

// programTarget is a target as a program answers it. What the ledger knows is filled in here.
type programTarget struct {
	Revision string            `json:"revision"`
	Hash     string            `json:"hash"`
	Current  *bool             `json:"current"`
	Evidence []astern.Evidence `json:"evidence"`
	Loss     []astern.Loss     `json:"loss"`
	Doors    []astern.Door     `json:"doors"`
	Needs    []string          `json:"needs"`
}

// Targets returns the program's own targets when it answers that call; else those of its revisions and of the history,
// each with whether the program lists it, whether its hash is the recorded one, and whether it was ever known-good.
func (d driver) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	p, err := open(c)
	if err == nil && p.answers("targets") {
		var out []astern.Target
		if out, err = p.ownTargets(s, h); err == nil {
			return out
		}
	}
	if err != nil {
		return unknownTargets(c, s, h, err)
	}
	var out []astern.Target
	for _, revision := range revisionsOf(s, h) {
		t := remembered(c, s, h, revision)
		t.Evidence = evidence(s, h, revision)
		out = append(out, t)
	}
	return out
}

// revisionsOf returns every revision that the history or the program knows: the history's order first. What can't be a
// revision's name is left out.
func revisionsOf(s astern.State, h astern.History) []string {
	var out []string
	added := map[string]bool{}
	add := func(name string) {
		if !added[name] && astern.ValidRevision(name) {
			added[name] = true
			out = append(out, name)
		}
	}
	for _, dep := range h.Deployments {
		add(dep.Revision)
	}
	listed := s.Under(pathReleases)
	slices.Reverse(listed)
	for _, path := range listed {
		add(strings.TrimPrefix(path, releasePrefix))
	}
	if v, ok := s.Get(pathRevision); ok && v.Known() {
		add(v.Text)
	}
	return out
}

// remembered returns a target with what the ledger knows of the revision.
func remembered(c astern.Component, s astern.State, h astern.History, revision string) astern.Target {
	dep, _ := h.Of(revision)
	now, ok := s.Get(pathRevision)
	return astern.Target{Address: c.Address(), Revision: revision, Hash: dep.Hash, DeployedAt: dep.LastAt,
		KnownGoodAt: dep.KnownGoodAt, Latched: dep.Latched, Current: ok && now.Known() && now.Text == revision}
}

// evidence says what speaks for and against a revision.
func evidence(s astern.State, h astern.History, revision string) []astern.Evidence {
	dep, _ := h.Of(revision)
	v, ok := s.Get(releasePrefix + revision)
	at := v.At
	if !ok {
		at = seenAt(s)
	}
	var out []astern.Evidence
	add := func(r astern.Readiness, seen time.Time, format string, args ...any) {
		out = append(out, astern.Evidence{What: fmt.Sprintf(format, args...), Readiness: r, Seen: seen})
	}
	now, some := s.Get(pathRevision)
	switch {
	case !ok && some && !now.Known() && len(s.Under(pathReleases)) == 0:
		add(astern.ReadyUnknown, at, "the program could not be asked: %s", oneLine(now.Unknown))
	case !ok:
		add(astern.Broken, at, "the program does not list it any more")
	case !v.Known():
		add(astern.ReadyUnknown, at, "the program could not read it: %s", oneLine(v.Unknown))
	case v.Text == "":
		add(astern.AtRisk, at, "the program lists it without a content hash, so a change of it would not be noticed")
	case dep.Hash == "":
		add(astern.AtRisk, at, "the program lists it; no content hash was recorded when it was deployed")
	case v.Text != dep.Hash:
		add(astern.Broken, at, "its content changed: the hash is %s, recorded is %s", beginning(v.Text), beginning(dep.Hash))
	default:
		add(astern.Ready, at, "the program lists it with its recorded content hash")
	}
	if dep.KnownGoodAt != nil {
		add(astern.Ready, *dep.KnownGoodAt, "it was known-good")
	} else {
		add(astern.AtRisk, at, "it was never known-good")
	}
	return out
}

// seenAt returns when the state was observed: the newest time in it.
func seenAt(s astern.State) time.Time {
	var at time.Time
	for _, v := range s.Values {
		if v.At.After(at) {
			at = v.At
		}
	}
	return at
}

// unknownTargets says of every revision of the history that nothing is known, and why.
func unknownTargets(c astern.Component, s astern.State, h astern.History, why error) []astern.Target {
	var out []astern.Target
	for _, revision := range revisionsOf(s, h) {
		t := remembered(c, s, h, revision)
		t.Evidence = []astern.Evidence{{What: oneLine(why.Error()), Readiness: astern.ReadyUnknown, Seen: seenAt(s)}}
		out = append(out, t)
	}
	return out
}

// ownTargets asks the program.
func (p program) ownTargets(s astern.State, h astern.History) ([]astern.Target, error) {
	var answer struct {
		Targets []programTarget `json:"targets"`
	}
	if err := p.ask(context.Background(), request{Call: "targets", State: &s, History: &h}, &answer); err != nil {
		return nil, err
	}
	var out []astern.Target
	seen := map[string]bool{}
	for i, a := range answer.Targets {
		if !astern.ValidRevision(a.Revision) || seen[a.Revision] {
			return nil, p.invalid("targets", "targets[%d].revision: %q is not a revision's name, or stands twice", i, a.Revision)
		}
		seen[a.Revision] = true
		if len(a.Evidence) == 0 {
			return nil, p.invalid("targets", "targets[%d].evidence: a target needs evidence", i)
		}
		for k, e := range a.Evidence {
			if e.What == "" || !slices.Contains(readinesses, e.Readiness) {
				return nil, p.invalid("targets", "targets[%d].evidence[%d]: it needs a what, and a readiness of %q", i, k, readinesses)
			}
			a.Evidence[k].What = oneLine(e.What)
			if e.Seen.IsZero() {
				a.Evidence[k].Seen = seenAt(s)
			}
		}
		for k, door := range a.Doors {
			if door.What == "" || (door.At == nil) == (door.Deployments <= 0) {
				return nil, p.invalid("targets", "targets[%d].doors[%d]: it needs a what, and either at or deployments", i, k)
			}
			if door.Leaves != "" && !slices.Contains(readinesses, door.Leaves) {
				return nil, p.invalid("targets", "targets[%d].doors[%d]: it leaves %q, which is none of %q", i, k, door.Leaves, readinesses)
			}
		}
		t := remembered(p.component, s, h, a.Revision)
		t.Evidence, t.Loss, t.Doors, t.Needs = a.Evidence, a.Loss, a.Doors, a.Needs
		if a.Hash != "" {
			t.Hash = a.Hash
		}
		if a.Current != nil {
			t.Current = *a.Current
		}
		out = append(out, t)
	}
	return out, nil
}

var readinesses = []astern.Readiness{astern.Ready, astern.AtRisk, astern.Broken, astern.ReadyUnknown}
