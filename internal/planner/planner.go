// Package planner turns an intent and what is known of a system into a plan. It is pure: it reads no clock, no network
// and no file, and drivers' routers that it calls are pure as well.
//
// Reading order: planner.go (what goes in), choose.go (which target), order.go (which component first, and whether the
// pairs on the way can work), turns.go (those that move one at a time), build.go (stages, gates, facts), undo.go (the reverse of an execution).
package planner

import (
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// Part is what is known of one component.
type Part struct {
	Component astern.Component
	Layer     astern.Layer
	Router    astern.Router
	Switcher  astern.Switcher // nil when the kind has no flags
	Picker    astern.Picker   // nil when the kind has no objects of its own
	State     astern.State
	History   astern.History
	Targets   []astern.Target // judged
	// Trouble says why the component could not be observed, "" when it could.
	Trouble string
	// Failed says by revision what became of the last attempt to get there, where the component did not: "ex-5 was cancelled: …".
	Failed map[string]string
}

// Request is an intent with what the planner needs to answer it.
type Request struct {
	System     string
	Intent     astern.Intent
	Asked      astern.Asked
	Policy     astern.Policy
	Compatible []astern.Compatibility
	// Parts are all components of the environment, in the order of the file; those not asked for count for compatibility.
	Parts []Part
	// Knowledge is the user's advice which way to prefer.
	Knowledge []astern.Advice
	// First are the components in Intent.First that have the name of one asked for, and Since is how far back a proof there
	// counts.
	First []Part
	Since time.Time
	// Release is how the system was at Intent.Moment.
	Release astern.Release
	// WithoutUnreachable says that a person takes it upon himself to leave members out that can't be reached.
	WithoutUnreachable bool
	// Measured is the estimate from past executions; Runs is 0 when there are none.
	Measured astern.Estimate
	ID       string
	Now      time.Time
	Parent   string // hash of the plan that this one continues
}

// move is one component on its way.
type move struct {
	part   Part
	target astern.Target
	route  astern.Route
}

// Plan answers the request with a plan, or with a Refused, NotFound, Invalid or NotReady error that says why there is
// none and what to do.
func Plan(r Request) (astern.Plan, error) {
	moves, notes, doubt, err := choose(r)
	if err != nil {
		return astern.Plan{}, err
	}
	if len(moves) == 0 && doubt {
		return astern.Plan{}, astern.Errorf(astern.NotReady, "nothing can be done: %s", strings.Join(notes, "; ")).WithHint("astern check shows what is not as it should be")
	}
	if len(moves) == 0 {
		return astern.Plan{}, astern.Errorf(astern.Refused, "%w: %s", astern.ErrNothingToDo, strings.Join(notes, "; ")).
			WithHint("links and processes say so; to restart it as it is: astern redeploy %s", strings.Join(r.Intent.Addresses, " "))
	}
	moves, orderNotes, err := order(r, moves)
	if err != nil {
		return astern.Plan{}, err
	}
	if notes, err = turns(r, moves, notes); err != nil {
		return astern.Plan{}, err
	}
	b := newBuilder(r)
	b.plan.Notes = append(append(notes, orderNotes...), ways(r, moves)...)
	if err := b.build(moves); err != nil {
		return astern.Plan{}, err
	}
	return b.plan, nil
}

func (r Request) part(address string) (Part, bool) {
	environment, name, _ := astern.SplitAddress(address)
	for _, p := range r.Parts {
		if p.Component.Name == name && p.Component.Environment == environment {
			return p, true
		}
	}
	return Part{}, false
}
