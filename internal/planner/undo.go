package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/ledger"
	"github.com/astern-dev/astern/internal/pattern"
)

// Done is a step that an execution did, with what undoing it needs.
type Done struct {
	Step    *astern.Step
	Call    astern.Call
	Outputs map[string]astern.Arg
	Left    []astern.Fact // what the step left behind: address, path and value
}

// Undo plans the reverse of what an execution did: the inverse of each done step, which come the last first; what the
// ledger says follows what the world is. It rests on the world being as the execution left it, and is exempt from
// latches. It returns a Refused error when a point of no return was passed or nothing was done.
func Undo(r Request, parent astern.Plan, done []Done) (astern.Plan, error) {
	b := newBuilder(r)
	steps, err := b.inverses(done)
	if err != nil {
		return astern.Plan{}, err
	}
	if len(steps) == 0 {
		return astern.Plan{}, astern.Errorf(astern.Refused, "%s did nothing that could be undone", r.Intent.Execution)
	}
	var whole []move
	for _, mv := range parent.Moves {
		p, err := present(r, mv.Address)
		if err != nil {
			return astern.Plan{}, err
		}
		fleet := fleetOf(parent, mv.Address)
		if fleet != nil {
			b.plan.Fleets = append(b.plan.Fleets, *fleet)
		}
		to := returnsTo(parent, mv, fleet, Members(p.State))
		b.plan.Moves = append(b.plan.Moves, astern.Move{Address: mv.Address, Kind: mv.Kind, From: mv.To, To: to, Readiness: astern.ReadyUnknown})
		if astern.ValidRevision(to) {
			whole = append(whole, move{part: p, target: astern.Target{Revision: to}, route: astern.Route{Fleet: fleet}})
		}
	}
	b.stage(astern.Stage{Title: "undo " + r.Intent.Execution, Steps: steps, OnFailure: astern.OnFailureHold}, nil)
	if len(whole) < len(parent.Moves) {
		b.note("the state to return to is mixed, so no check can prove it")
	} else if err := b.prove(whole); err != nil {
		return astern.Plan{}, err
	}
	if err := b.approvals(); err != nil {
		return astern.Plan{}, err
	}
	b.estimate()
	return b.plan, nil
}

// returnsTo returns where the undoing of a move leads: to what ran before it, unless the links that it found led elsewhere,
// for they are what is put back and started. Members that the plan had not to touch were at its target already, and
// stay there.
func returnsTo(parent astern.Plan, mv astern.Move, fleet *astern.Fleet, members []string) string {
	var links []string
	for _, f := range parent.Facts {
		if f.Address != mv.Address || !strings.HasSuffix(f.Path, "/link") || f.Absent || f.Unknown != "" {
			continue
		}
		links = append(links, f.Value)
		for _, other := range f.Except {
			if !other.Absent && other.Unknown == "" {
				links = append(links, other.Value)
			}
		}
	}
	if fleet != nil && slices.ContainsFunc(members, func(m string) bool { return !touched(*fleet, m) }) {
		links = append(links, mv.To)
	}
	slices.Sort(links)
	links = slices.Compact(links)
	ran := strings.Split(mv.From, "+")
	if !slices.ContainsFunc(links, func(l string) bool { return !slices.Contains(ran, l) }) {
		return mv.From
	}
	return strings.Join(links, "+")
}

// touched reports whether a plan takes the member of its fleet, or left it out for a reason.
func touched(f astern.Fleet, member string) bool {
	return slices.Contains(f.Members, member) || slices.ContainsFunc(f.LeftOut, func(l astern.LeftOut) bool { return l.Member == member })
}

// inverses returns the steps that reverse the done ones, and notes what they rest on.
func (b *builder) inverses(done []Done) ([]astern.Step, error) {
	var steps, ledgers []astern.Step
	facts := map[string]bool{}
	for i, d := range done {
		inverse, err := inverseOf(b.r, d)
		if err != nil {
			return nil, err
		}
		inverse = renamed(inverse, func(local string) string {
			return fmt.Sprintf("undo-%d-%s", i+1, stageNumber.ReplaceAllString(local, ""))
		})
		if d.Step.Kind == ledger.Kind {
			ledgers = append(ledgers, inverse...)
			continue
		}
		for _, left := range d.Left {
			if key := left.Address + " " + left.Path; len(inverse) > 0 && !facts[key] { // the last step to set a path speaks
				facts[key] = true
				left.Seen, left.Steps = b.r.Now, []string{"1." + inverse[0].ID}
				b.plan.Facts = append(b.plan.Facts, left)
			}
		}
		steps = append(steps, inverse...)
	}
	return append(steps, ledgers...), nil
}

// stageNumber is what a step's id begins with in a plan.
var stageNumber = pattern.New(`^[0-9]+\.`)

// present returns the component at the address as it is now.
func present(r Request, address string) (Part, error) {
	p, ok := r.part(address)
	if !ok {
		return p, astern.Errorf(astern.NotFound, "there is no component %s any more", address)
	}
	if p.Trouble != "" {
		return p, astern.Errorf(astern.Unavailable, "%s could not be observed: %s", address, p.Trouble)
	}
	return p, nil
}

func fleetOf(p astern.Plan, address string) *astern.Fleet {
	if f, ok := p.Fleet(address); ok {
		return &f
	}
	return nil
}

// inverseOf returns the steps that reverse a done step.
func inverseOf(r Request, d Done) ([]astern.Step, error) {
	switch {
	case d.Step.Undo == astern.UndoNone:
		return nil, nil
	case d.Step.Undo == astern.UndoImpossible:
		return nil, astern.Errorf(astern.Refused, "step %s can't be undone: %s", d.Call.Step, cmp.Or(d.Step.UndoBecause, "it is a point of no return"))
	case d.Step.Kind == ledger.Kind:
		return ledgerInverse(r, d)
	}
	p, err := present(r, d.Step.Address)
	if err != nil {
		return nil, err
	}
	steps, err := p.Router.Undo(p.Component, d.Call, d.Outputs)
	if err != nil {
		return nil, fmt.Errorf("finding the inverse of %s: %w", d.Call.Step, err)
	}
	return steps, nil
}

func ledgerInverse(r Request, d Done) ([]astern.Step, error) {
	p, err := present(r, d.Step.Address)
	if err != nil {
		return nil, err
	}
	m, name, revision := move{part: p}, p.Component.Name, d.Call.Text("revision")
	why := "undo of " + r.Intent.Execution
	reason := quote(why)
	args := map[string]astern.Arg{"revision": astern.Text(revision), "reason": astern.Text(why)}
	switch d.Step.Verb {
	case ledger.VerbLatch:
		if d.Call.Image["latched"] != "" {
			return nil, nil // it was latched before
		}
		return []astern.Step{ledgerStep(m, ledger.VerbRelease, "release-"+name, "release the latch on "+name+" "+revision, args,
			"astern latch release "+p.Component.Address()+" "+revision+" --reason "+reason, astern.UndoInverse)}, nil
	case ledger.VerbRelease:
		return []astern.Step{ledgerStep(m, ledger.VerbLatch, "latch-"+name, "latch "+name+" "+revision+" again", args,
			"astern latch add "+p.Component.Address()+" "+revision+" --reason "+reason, astern.UndoInverse)}, nil
	case ledger.VerbRecord:
		before := d.Call.Image["current"]
		if before == "" {
			return nil, nil
		}
		args["revision"] = astern.Text(before)
		return []astern.Step{ledgerStep(m, ledger.VerbRecord, "record-"+name, "record that "+name+" runs "+before+" again", args,
			"astern record deploy "+p.Component.Address()+" "+before, astern.UndoInverse)}, nil
	}
	return nil, nil
}
