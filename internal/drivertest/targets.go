package drivertest

import (
	"encoding/json"
	"strings"
	"time"

	astern "github.com/astern-dev/astern"
)

// repeats is how often a pure function is asked; enough for the order of a Go map to show.
const repeats = 12

// encode returns v as JSON, for comparing inputs and results of pure functions.
func (r *run) encode(v any) string {
	r.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		r.Fatalf("encoding %T: %v", v, err)
	}
	return string(b)
}

// pure asks repeatedly and requires the same result, inputs untouched, and a world that was not changed.
func (r *run) pure(what string, inputs []any, ask func() any) {
	r.Helper()
	before := r.encode(inputs)
	r.unchanged(what, func() {
		first := r.encode(ask())
		for range repeats {
			if again := r.encode(ask()); again != first {
				r.Errorf("%s gives different results for the same input:\n%s\n%s", what, first, again)
				return
			}
		}
	})
	if after := r.encode(inputs); after != before {
		r.Errorf("%s modified its input:\n%s\n%s", what, before, after)
	}
}

func lawTargetsPure(r *run) {
	c, s, h := r.world.Component, r.observe(), r.world.History
	r.pure("Targets", []any{c, s, h}, func() any { return r.driver.Router.Targets(c, s, h) })
}

// readinesses orders evidence from the best to the worst.
var readinesses = map[astern.Readiness]int{astern.Ready: 1, astern.AtRisk: 2, astern.ReadyUnknown: 3, astern.Broken: 4}

// worst returns the worst readiness among a target's evidence; unknown when there is none.
func worst(t astern.Target) astern.Readiness {
	if len(t.Evidence) == 0 {
		return astern.ReadyUnknown
	}
	out := astern.Ready
	for _, e := range t.Evidence {
		if readinesses[e.Readiness] > readinesses[out] {
			out = e.Readiness
		}
	}
	return out
}

func lawTargetsEvidence(r *run) {
	targets := r.driver.Router.Targets(r.world.Component, r.observe(), r.world.History)
	seen := map[string]bool{}
	for _, t := range targets {
		if t.Address != r.world.Component.Address() || !astern.ValidRevision(t.Revision) {
			r.Errorf("target %q of %q: wrong address or revision name", t.Revision, t.Address)
		}
		if seen[t.Revision] {
			r.Errorf("target %s is listed twice", t.Revision)
		}
		seen[t.Revision] = true
		if t.Current != (t.Revision == r.world.New) {
			r.Errorf("target %s: current is %t, but %s runs", t.Revision, t.Current, r.world.New)
		}
		checkEvidence(r, t)
	}
	if got := worst(r.target(r.observe(), r.world.Old)); got != astern.Ready {
		r.Errorf("the worst evidence for %s in a healthy world is %q, want ready", r.world.Old, got)
	}
}

func checkEvidence(r *run, t astern.Target) {
	if len(t.Evidence) == 0 {
		r.Errorf("target %s carries no evidence", t.Revision)
	}
	for _, e := range t.Evidence {
		if e.What == "" || strings.ContainsAny(e.What, "\n\r") || readinesses[e.Readiness] == 0 || e.Seen.IsZero() {
			r.Errorf("target %s: evidence needs one line, a readiness and a time: %+v", t.Revision, e)
		}
	}
	for _, d := range t.Doors {
		if d.What == "" || (d.At == nil) == (d.Deployments == 0) {
			r.Errorf("target %s: a door needs a what, and closes by date or by deployments: %+v", t.Revision, d)
		}
	}
}

// target returns the target for a revision.
func (r *run) target(s astern.State, revision string) astern.Target {
	r.Helper()
	for _, t := range r.driver.Router.Targets(r.world.Component, s, r.world.History) {
		if t.Revision == revision {
			return t
		}
	}
	r.Fatalf("Targets does not list %s", revision)
	return astern.Target{}
}

// options are those of a plain intent. Time is given in, as the planner does.
func options(verb astern.Verb, percent int) astern.Options {
	o := astern.Options{Verb: verb, Percent: percent, GateSeconds: 60, Now: time.Now().UTC().Truncate(time.Second)}
	if percent < 100 {
		o.BakeSeconds = 60
	}
	return o
}

// route returns the way from what is seen now to the revision.
func (r *run) route(verb astern.Verb, revision string) astern.Route {
	r.Helper()
	s := r.observe()
	route, err := r.driver.Router.Route(r.world.Component, s, r.target(s, revision), options(verb, 100))
	if err != nil {
		r.Fatalf("routing to %s: %v (%s)", revision, err, astern.HintOf(err))
	}
	return route
}

func checkBreak(r *run, b Break) {
	b.Do(r, r.world)
	var s astern.State
	r.unchanged("Observe of a broken world", func() { s = r.observe() })
	t := r.target(s, r.world.Old)
	checkEvidence(r, t)
	if got := worst(t); got != b.Want {
		r.Errorf("the worst evidence for %s is %q, want %q: %+v", r.world.Old, got, b.Want, t.Evidence)
	}
	if b.Want != astern.Broken && b.Want != astern.ReadyUnknown {
		return
	}
	_, err := r.driver.Router.Route(r.world.Component, s, t, options(astern.VerbRollback, 100))
	if b.Open {
		if err != nil {
			r.Errorf("a route for a person who says to go there all the same: %v", err)
		}
		return
	}
	r.refused("a route to a target that is "+string(b.Want), err)
}

// refused requires an error that says no, rather than one that says that something went wrong.
func (r *run) refused(what string, err error) {
	r.Helper()
	switch astern.CodeOf(err) {
	case astern.Refused, astern.NotFound, astern.Invalid:
	default:
		r.Errorf("%s is not refused: %v", what, err)
	}
}
