package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
)

var simOperators = []string{"ana", "ben"}

// meddle is what happens at random while the chaos lasts, again and again.
func (h *house) meddle() {
	by := simOperators[h.rnd.IntN(2)]
	switch n := h.rnd.IntN(100); {
	case n < 16:
		h.plan(by)
	case n < 34:
		h.apply(by)
	case n < 78:
		h.word(by)
	case n < 82:
		h.undo(by)
	case n < 86:
		if p := h.running(); p != nil {
			h.say("process %d is killed", p.runner.PID)
			p.dead, p.stale = true, true
		}
	case n < 90:
		h.freeze()
	case n < 96:
		h.disturb()
	case n < 97:
		h.jump()
	default:
		h.mend()
	}
}

// running returns a process that runs, nil when there is none.
func (h *house) running() *process {
	var all []*process
	for _, p := range h.processes {
		if !p.dead && p.fold != nil {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[h.rnd.IntN(len(all))]
}

// freeze stops a process for minutes; sometimes it is taken for dead meanwhile.
func (h *house) freeze() {
	if p := h.running(); p != nil {
		p.freeze()
	}
}

func (p *process) freeze() {
	h := p.h
	p.frozen, p.judged, p.stale = h.now.Add(time.Minute+h.some(10*time.Minute)), h.rnd.IntN(3) > 0, true
	h.say("process %d is stopped until %s", p.runner.PID, p.frozen.Format(time.TimeOnly))
	if p.judged {
		h.after(h.some(time.Minute), func() { h.resume(simOperators[h.rnd.IntN(2)], p.eng.Execution) })
	}
}

// place returns a random member.
func (h *house) place() (address, member string) {
	c := h.system.Environments[0].Components
	address = c[h.rnd.IntN(len(c))].Address()
	members := h.services[address].members
	return address, members[h.rnd.IntN(len(members))]
}

// disturb is somebody else: a link is moved by hand, or a member can't be reached any more.
func (h *house) disturb() {
	address, m := h.place()
	key := address + " " + m
	if h.rnd.IntN(2) == 0 {
		h.world.silent[key] = true
		h.say("%s can't be reached", key)
		return
	}
	if _, ok := h.disturbed[key]; !ok {
		h.disturbed[key] = h.world.values[address][m+"/link"]
		h.touched[key] = true
		h.world.values[address][m+"/link"] = "v9"
		h.say("%s was moved by hand", key)
	}
}

// mend takes back what was disturbed.
func (h *house) mend() {
	h.say("all is mended")
	for _, c := range h.system.Environments[0].Components {
		for _, m := range h.services[c.Address()].members {
			if was, ok := h.disturbed[c.Address()+" "+m]; ok {
				h.world.values[c.Address()][m+"/link"] = was
			}
		}
	}
	clear(h.disturbed)
	clear(h.world.silent)
}

// jump sets the machine's clock back, or forward where nothing takes time to become visible.
func (h *house) jump() {
	by := -h.some(24 * time.Hour)
	if h.world.delay == 0 && h.rnd.IntN(2) == 0 {
		by = -by
	}
	h.skew += by
	h.jumped = true
	h.say("the clock jumps by %s", by)
}

// plan makes a plan and keeps it for later.
func (h *house) plan(by string) {
	a := h.application(by, nil)
	env := h.system.Environments[0]
	ask := Ask{Environment: "sim", Percent: 1 + h.rnd.IntN(100), BakeSeconds: int64(h.rnd.IntN(3) * 5), WatchSeconds: -1, Way: "cli",
		WithoutUnreachable: h.rnd.IntN(2) == 0, Verb: astern.VerbRollback}
	if c := env.Components[h.rnd.IntN(len(env.Components))]; h.rnd.IntN(4) == 0 {
		ask.All = true
		moment := h.local().Add(-time.Duration(1+h.rnd.IntN(20)) * 24 * time.Hour)
		ask.Moment = &moment
	} else {
		ask.Components = []string{c.Name}
		switch h.rnd.IntN(4) {
		case 0:
		case 1:
			ask.Verb = astern.VerbRedeploy
		case 2:
			ask.Verb, ask.Revision = astern.VerbDeploy, simRevisions[h.rnd.IntN(len(simRevisions))]
		default:
			ask.Revision = simRevisions[h.rnd.IntN(len(simRevisions))]
		}
	}
	p, err := a.Plan(context.Background(), ask)
	if err == nil {
		p, err = h.then(p)
	}
	if err != nil {
		h.told("planning", err)
		return
	}
	h.say("%s plans %s of %v to %v", by, ask.Verb, p.Plan.Intent.Addresses, p.Plan.Moves[0].To)
	h.docs = append(h.docs, p)
	if h.rnd.IntN(4) > 0 {
		_, err := h.application(simOperators[(slices.Index(simOperators, by)+1)%2], nil).Approve(context.Background(), p.Doc, "approve", "", Vouch{Trust: p.Hash})
		h.told("approving", err)
	}
	if h.rnd.IntN(2) == 0 {
		h.apply(by)
	}
}

// then lets a plan that takes only a part of what was asked be planned anew at its end.
func (h *house) then(p Planned) (Planned, error) {
	parted := false
	for _, m := range p.Plan.Moves {
		parted = parted || h.services[m.Address].wave > 0
	}
	if !parted || p.Plan.Intent.Verb == astern.VerbRedeploy {
		return p, nil
	}
	p.Plan.Then = &astern.Then{Because: "members are taken in waves"}
	if h.rnd.IntN(4) > 0 {
		p.Plan.Then.Allowed = &astern.Allowed{Addresses: p.Plan.Addresses(), Children: 9,
			Verbs: []string{"fetch", "swap", "restart", "latch", "release", "record", "known-good"}}
	}
	return encode(p.Plan)
}

// apply applies one of the plans that were made, which may be old.
func (h *house) apply(by string) {
	if len(h.docs) == 0 {
		return
	}
	i := h.rnd.IntN(len(h.docs))
	p := h.docs[i]
	if h.rnd.IntN(4) > 0 {
		h.docs = slices.Delete(h.docs, i, i+1)
	}
	h.applied(by, p)
}

func (h *house) applied(by string, p Planned) {
	e, created, err := h.application(by, nil).Apply(context.Background(), p.Doc, Vouch{Trust: p.Hash})
	if err != nil {
		h.told("applying", err)
		return
	}
	if created {
		h.start(by, e.ID)
	}
}

// undo reverses an execution, whatever became of it.
func (h *house) undo(by string) {
	all, err := h.store.Executions(context.Background(), 0, false)
	if err != nil || len(all) == 0 {
		return
	}
	id := all[h.rnd.IntN(len(all))].ID
	p, err := h.application(by, nil).PlanUndo(context.Background(), id, Ask{Way: "cli", Reason: "it got worse"})
	if err != nil {
		h.told("planning the undo of "+id, err)
		return
	}
	h.say("%s undoes %s", by, id)
	h.applied(by, p)
}

// word is what an operator says to an execution that has not ended.
func (h *house) word(by string) {
	open, err := h.store.Executions(context.Background(), 0, true)
	if err != nil || len(open) == 0 {
		return
	}
	id := open[h.rnd.IntN(len(open))].ID
	a := h.application(by, nil)
	l, err := a.load(context.Background(), id)
	if err != nil {
		h.told("reading "+id, err)
		return
	}
	steps := l.fold.Steps()
	step := steps[h.rnd.IntN(len(steps))].ID
	switch h.rnd.IntN(12) {
	case 0:
		h.told("pausing", a.Pause(context.Background(), id, ""))
	case 1:
		h.cancel(by, id)
	case 2:
		h.told("skipping", a.Skip(context.Background(), id, step, "never mind"))
	case 3:
		h.told("allowing", a.Allow(context.Background(), id, step, "it is fine"))
	case 4, 5:
		for _, s := range steps {
			h.settle(a, l, s.ID)
		}
	default:
		h.resume(by, id)
	}
}

func (h *house) cancel(by, id string) {
	h.say("%s cancels %s", by, id)
	running, err := h.application(by, nil).Cancel(context.Background(), id, "")
	if h.told("cancelling", err); err == nil && !running {
		h.start(by, id)
	}
}

func (h *house) resume(by, id string) {
	running, err := h.application(by, nil).Resume(context.Background(), id, "")
	if h.told("resuming", err); err == nil && !running {
		h.start(by, id)
	}
}

// settle says what became of a step in doubt, truly: an operator looks. What a stopped process has not sent yet can't be seen.
func (h *house) settle(a *App, l loaded, step string) {
	if !l.fold.Settleable(step) {
		return
	}
	var call *astern.Call
	for _, r := range l.records {
		if r.Kind == astern.RecordIntent && r.Step == step {
			call = r.Call
		}
	}
	for _, p := range h.processes {
		if !p.dead && p.fold != nil && p.eng.Execution == l.execution.ID && len(p.busy) > 0 {
			return // an operator waits until nothing is under way
		}
	}
	done, outputs := h.world.happened(*call), h.world.outputs(*call)
	if call.Kind != simKind {
		_, done, _ = h.store.EventByToken(context.Background(), call.Token)
	}
	h.told("settling", a.Settle(context.Background(), l.execution.ID, step, done, outputs, "looked"))
}

// care is a pair of operators who work through what is left, when the chaos is over.
func (h *house) care() {
	open, err := h.store.Executions(context.Background(), 0, true)
	if err != nil {
		h.wrong("%v", err)
		return
	}
	for _, e := range open {
		if r, ok, _ := h.store.Runner(context.Background(), e.ID); ok && h.alive(r) {
			continue
		}
		by := simOperators[h.rnd.IntN(2)]
		a := h.application(by, nil)
		l, err := a.load(context.Background(), e.ID)
		if err != nil {
			h.wrong("%v", err)
			return
		}
		for _, hold := range holds(l.fold, h.local()) {
			h.decideHold(a, l, hold)
		}
		if err := a.approved(context.Background(), l.plan, e.PlanHash, h.local()); errors.As(err, new(*astern.Error)) && astern.CodeOf(err) == astern.Waiting {
			other := simOperators[(slices.Index(simOperators, l.plan.Asked.By)+1)%2]
			h.told("approving", h.store.AddApproval(context.Background(), e.PlanHash, other, "approve", "", h.local()))
		}
		if h.rnd.IntN(8) == 0 {
			h.cancel(by, e.ID)
			continue
		}
		h.resume(by, e.ID)
	}
}

// decideHold is an operator in front of one reason why an execution holds.
func (h *house) decideHold(a *App, l loaded, hold engine.HoldReason) {
	ctx, id := context.Background(), l.execution.ID
	switch hold.Kind {
	case engine.HoldUnsure:
		h.settle(a, l, hold.Step)
	case engine.HoldBlocked:
		h.told("skipping", a.Skip(ctx, id, hold.Step, "needs what was skipped"))
	case engine.HoldLimit:
		h.told("allowing", a.Allow(ctx, id, hold.Step, "it is fine"))
	case engine.HoldFailed, engine.HoldRefused:
		if h.rnd.IntN(2) == 0 {
			h.told("skipping", a.Skip(ctx, id, hold.Step, "never mind"))
		}
	}
}
