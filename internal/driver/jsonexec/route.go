package jsonexec

import (
	"context"
	"fmt"
	"math"
	"time"

	astern "github.com/astern-dev/astern"
)

// Bounds of the steps that are made here, and defaults of those that a program makes.
const (
	defaultAttempts = 3
	defaultHold     = 60 // seconds
	guessSeconds    = 5
)

// Route returns the program's own route when it answers that call, checked; else one step that sets the revision.
func (d driver) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	p, err := open(c)
	if err != nil {
		return astern.Route{}, err
	}
	if !astern.ValidRevision(t.Revision) {
		return astern.Route{}, astern.Errorf(astern.Invalid, "%q is not the name of a revision", t.Revision).
			WithHint("letters, digits and . _ : - only, at most 128")
	}
	if p.answers("route") {
		return p.ownRoute(s, t, o)
	}
	now, there := s.Get(pathRevision)
	release, listed := s.Get(releasePrefix + t.Revision)
	refuse := func(format string, args ...any) (astern.Route, error) {
		return astern.Route{}, astern.Errorf(astern.Refused, "no way for %s to %s: "+format,
			append([]any{c.Address(), t.Revision}, args...)...)
	}
	switch {
	case there && !now.Known():
		return refuse("what runs now is unknown: %s", now.Unknown)
	case !listed:
		return refuse("%s does not list it", p.name)
	case !release.Known():
		return refuse("%s could not read it: %s", p.name, release.Unknown)
	case t.Hash != "" && release.Text != t.Hash:
		return refuse("its content changed: the hash is %s, recorded is %s", beginning(release.Text), beginning(t.Hash))
	case there && now.Text == t.Revision && o.Verb != astern.VerbRedeploy:
		return refuse("it runs already")
	}
	step := p.setStep(t.Revision)
	fact := func(path string, v astern.Value, known bool) astern.Fact {
		f := astern.Fact{Address: c.Address(), Path: path, Value: v.Text, Absent: !known, Seen: v.At, Steps: []string{step.ID}}
		if !known {
			f.Seen = seenAt(s)
		}
		return f
	}
	return astern.Route{From: now.Text,
		Stages: []astern.Stage{{Title: "set " + t.Revision, Steps: []astern.Step{step}, OnFailure: astern.OnFailureHold}},
		Facts:  []astern.Fact{fact(pathRevision, now, there), fact(releasePrefix+t.Revision, release, true)},
	}, nil
}

// setStep is the step that makes a revision current.
func (p program) setStep(revision string) astern.Step {
	args := map[string]astern.Arg{"revision": astern.Text(revision)}
	return p.sealed(astern.Step{ID: verbSet, Address: p.component.Address(), Kind: Kind, Verb: verbSet,
		Title: fmt.Sprintf("set %s to %s", p.component.Name, revision), Args: args,
		Sets: []astern.Set{{Path: pathRevision, Value: astern.Text(revision)}}, Undo: astern.UndoInverse,
		Estimate: astern.Estimate{MedianSeconds: guessSeconds}, Command: p.command(verbSet, "", args),
		Attempts: defaultAttempts, TimeoutSeconds: wholeSeconds(p.stepTimeout), HoldSeconds: defaultHold})
}

// wholeSeconds rounds a duration up.
func wholeSeconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

// Undo asks a program that answers that call; else the step set is reversed by setting what ran before it.
func (d driver) Undo(c astern.Component, call astern.Call, outputs map[string]astern.Arg) ([]astern.Step, error) {
	p, err := open(c)
	if err != nil {
		return nil, err
	}
	if p.answers("undo") {
		return p.ownUndo(call, outputs)
	}
	before := call.Image[pathRevision]
	switch {
	case call.Verb != verbSet:
		return nil, astern.Errorf(astern.Refused, "step %s can't be undone: %s does not answer undo", call.Step, p.name)
	case before == "":
		return nil, astern.Errorf(astern.Refused, "step %s can't be undone: nothing ran before it", call.Step)
	case !astern.ValidRevision(before):
		return nil, astern.Errorf(astern.Refused, "step %s can't be undone: %q, which ran before it, is not the name of a revision",
			call.Step, before)
	}
	return []astern.Step{p.setStep(before)}, nil
}

// ownUndo asks the program for the steps that reverse a step of its own.
func (p program) ownUndo(call astern.Call, outputs map[string]astern.Arg) ([]astern.Step, error) {
	var answer struct {
		Steps []astern.Step `json:"steps"`
	}
	if err := p.ask(context.Background(), request{Call: "undo", Step: actionOf(call), Outputs: outputs}, &answer); err != nil {
		return nil, err
	}
	check := routeCheck{p: p, call: "undo"}
	for i := range answer.Steps {
		answer.Steps[i] = p.complete(answer.Steps[i], "")
	}
	check.steps("steps", answer.Steps, nil)
	if check.err != nil {
		return nil, check.err
	}
	return answer.Steps, nil
}
