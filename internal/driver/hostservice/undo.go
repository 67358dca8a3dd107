package hostservice

import (
	"github.com/astern-dev/astern"
)

// Undo returns the steps that reverse a step. A swap is reversed by the swap back and the restart of everything that
// runs from that link, so that a lane [drain, swap, restart, ready, undrain] undone from its end is [swap back, restart,
// undrain]; a restart by itself needs nothing, and neither does a copied folder.
func (r router) Undo(c astern.Component, call astern.Call, outputs map[string]astern.Arg) ([]astern.Step, error) {
	if call.Verb != verbSwap && call.Verb != verbDrain {
		return nil, nil
	}
	o, err := parse(call)
	if err != nil {
		return nil, err
	}
	sp, err := r.known.resolve(c)
	if err != nil {
		return nil, err
	}
	j := &journey{sp: sp, swap: true, t: astern.Target{Revision: o.revision}}
	if call.Verb == verbDrain {
		if sp.Commands == nil || sp.Commands.Undrain == nil {
			return nil, astern.Errorf(astern.Refused, "undoing %s: %s declares no undrain command any more", call.Step, c.Address())
		}
		return []astern.Step{j.commandStep(crew{members: o.who[:1]}, verbUndrain, "put %s back into traffic", sp.Commands.Undrain, astern.UndoNone)}, nil
	}
	before := call.Image["link"]
	switch {
	case before == "":
		return nil, astern.Errorf(astern.Refused, "undoing %s: no release was there before, so there is none to go back to", call.Step)
	case !goodRevision(before):
		return nil, astern.Errorf(astern.Refused, "undoing %s: the link led to %q before, which is no revision", call.Step, oneLine(before))
	}
	// The state that the step left behind is the one that the way back starts from.
	j.t.Revision = before
	j.s = astern.State{Values: map[string]astern.Value{}}
	for _, p := range o.who {
		j.s.Values[p.name+"/link"] = astern.Value{Text: o.revision}
	}
	id := "swap-" + idOf(o.who[0].name)
	if o.shared() {
		id = "swap-" + idOf(o.who[0].host)
	}
	out := []astern.Step{j.swapStep(crew{members: o.who}, id)}
	for _, p := range o.who {
		out = append(out, j.restartStep(crew{members: []place{p}}))
	}
	return out, nil
}
