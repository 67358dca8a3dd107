package planner

import (
	"fmt"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/ledger"
)

// Done is a step that an execution did, with what undoing it needs.
type Done struct {
	Step    *astern.Step
	Call    astern.Call
	Outputs map[string]astern.Arg
	Left    []astern.Fact // what the step left behind: address, path and value
}

// Undo plans the reverse of what an execution did: the inverse of each done step, which come the last first; what the
// ledger says follows what the world is. It rests on the world being as the execution left it. It is exempt from latches. It returns a Refused error when a point of no return was
// passed or nothing was done.
func Undo(r Request, parent astern.Plan, done []Done) (astern.Plan, error) {
	b := newBuilder(r)
	var steps, ledgers []astern.Step
	facts := map[string]bool{}
	for i, d := range done {
		inverse, err := inverseOf(r, d)
		if err != nil {
			return astern.Plan{}, err
		}
		inverse = renamed(inverse, func(local string) string {
			return fmt.Sprintf("undo-%d-%s", i+1, strings.TrimLeft(local, ".0123456789"))
		})
		if d.Step.Kind == ledger.Kind {
			ledgers = append(ledgers, inverse...)
			continue
		}
		for _, left := range d.Left {
			if key := left.Address + " " + left.Path; len(inverse) > 0 && !facts[key] { // the last step to set a path speaks
				facts[key] = true
				left.Seen, left.Steps = r.Now, []string{"1." + inverse[0].ID}
				b.plan.Facts = append(b.plan.Facts, left)
			}
		}
		steps = append(steps, inverse...)
	}
	steps = append(steps, ledgers...)
	if len(steps) == 0 {
		return astern.Plan{}, astern.Errorf(astern.Refused, "%s did nothing that could be undone", r.Intent.Execution)
	}
	var moves []move
	for _, mv := range parent.Moves {
		p, ok := r.part(mv.Address)
		if !ok {
			return astern.Plan{}, astern.Errorf(astern.NotFound, "there is no component %s any more", mv.Address)
		}
		b.plan.Moves = append(b.plan.Moves, astern.Move{Address: mv.Address, Kind: mv.Kind, From: mv.To, To: mv.From, Readiness: astern.ReadyUnknown})
		moves = append(moves, move{part: p, target: astern.Target{Revision: mv.From}, route: astern.Route{Fleet: fleetOf(parent, mv.Address)}})
	}
	b.stage(astern.Stage{Title: "undo " + r.Intent.Execution, Steps: steps, OnFailure: astern.OnFailureHold}, nil)
	if whole(moves) {
		if err := b.prove(moves); err != nil {
			return astern.Plan{}, err
		}
	} else {
		b.plan.Notes = append(b.plan.Notes, "the state to return to is mixed, so no check can prove it")
	}
	b.plan.Approvals = r.Policy.ApprovalsFor(b.plan.Loss)
	b.estimate()
	return b.plan, nil
}

func fleetOf(p astern.Plan, address string) *astern.Fleet {
	if f, ok := p.Fleet(address); ok {
		return &f
	}
	return nil
}

// whole reports whether each component returns to a single revision.
func whole(moves []move) bool {
	for _, m := range moves {
		if strings.Contains(m.target.Revision, "+") || m.target.Revision == "" {
			return false
		}
	}
	return true
}

// inverseOf returns the steps that reverse a done step.
func inverseOf(r Request, d Done) ([]astern.Step, error) {
	switch {
	case d.Step.Undo == astern.UndoNone:
		return nil, nil
	case d.Step.Undo == astern.UndoImpossible:
		return nil, astern.Errorf(astern.Refused, "step %s can't be undone: %s", d.Call.Step, orElse(d.Step.UndoBecause, "it is a point of no return"))
	case d.Step.Kind == ledger.Kind:
		return ledgerInverse(r, d)
	}
	p, ok := r.part(d.Step.Address)
	if !ok {
		return nil, astern.Errorf(astern.NotFound, "there is no component %s any more", d.Step.Address)
	}
	steps, err := p.Router.Undo(p.Component, d.Call, d.Outputs)
	if err != nil {
		return nil, fmt.Errorf("finding the inverse of %s: %w", d.Call.Step, err)
	}
	return steps, nil
}

func ledgerInverse(r Request, d Done) ([]astern.Step, error) {
	p, ok := r.part(d.Step.Address)
	if !ok {
		return nil, astern.Errorf(astern.NotFound, "there is no component %s any more", d.Step.Address)
	}
	m, name, revision := move{part: p}, p.Component.Name, d.Call.Text("revision")
	switch d.Step.Verb {
	case ledger.VerbLatch:
		args := map[string]astern.Arg{"revision": astern.Text(revision), "reason": astern.Text("undo of " + r.Intent.Execution)}
		return []astern.Step{ledgerStep(m, ledger.VerbRelease, "release-"+name+"-"+revision, "release the latch on "+name+" "+revision, args,
			"astern latch release "+name+" "+revision+" --reason 'undo of "+r.Intent.Execution+"'", astern.UndoInverse)}, nil
	case ledger.VerbRecord:
		before := d.Call.Image["current"]
		if before == "" {
			return nil, nil
		}
		args := map[string]astern.Arg{"revision": astern.Text(before), "reason": astern.Text("undo of " + r.Intent.Execution)}
		return []astern.Step{ledgerStep(m, ledger.VerbRecord, "record-"+name, "record that "+name+" runs "+before+" again", args,
			"astern record deploy "+name+" "+before, astern.UndoInverse)}, nil
	}
	return nil, nil
}
