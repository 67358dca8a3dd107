package app

import (
	"context"
	"slices"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
)

// judgeEffect is asked at the moment of an effect: who acts holds the component's lease under the newest fence, or it was
// stopped, killed or fenced, and its effect is late.
func (h *house) judgeEffect(p *process, call astern.Call) (late bool) {
	holder, _, err := h.store.Holder(context.Background(), call.Address)
	if err != nil {
		h.wrong("%v", err)
	}
	newest := call.Fence
	records, err := h.store.Read(context.Background(), call.Execution, 0)
	if err != nil {
		h.wrong("%v", err)
	}
	for _, r := range records {
		if r.Kind == astern.RecordTaken {
			newest = r.Fence
		}
	}
	if !p.stale && (holder != call.Execution || newest != call.Fence) {
		h.wrong("%s of %s acts on %s under fence %d: the newest is %d, and %q holds the component", call.Step, call.Execution, call.Address,
			call.Fence, newest, holder)
	}
	return p.stale
}

// judgeIntent is asked when an intent is in the journal: nobody else has anything under way on the component.
func (h *house) judgeIntent(id string, r astern.Record) {
	open, err := h.store.Executions(context.Background(), 0, true)
	if err != nil {
		h.wrong("%v", err)
	}
	for _, e := range open {
		if e.ID == id || !slices.Contains(e.Addresses, r.Call.Address) {
			continue
		}
		l, err := h.application("", nil).load(context.Background(), e.ID)
		if err != nil {
			h.wrong("%v", err)
			return
		}
		for _, s := range l.fold.Steps() {
			if in, _ := l.fold.InFlight(s.ID); in && h.addressOf(l.plan, s.ID) == r.Call.Address {
				h.wrong("%s of %s begins while %s of %s is %s: both act on %s", r.Step, id, s.ID, e.ID, s.Status, r.Call.Address)
			}
		}
	}
}

func (h *house) addressOf(p astern.Plan, id string) string {
	for i := range p.Stages {
		lanes, err := p.Lanes(i)
		if err != nil {
			h.wrong("%v", err)
		}
		for _, l := range lanes {
			for _, s := range l.Steps {
				if s.ID == id {
					return s.Step.Address
				}
			}
		}
	}
	return ""
}

// judgeHolds is asked when an execution holds: each reason is one that a person can act on.
func (h *house) judgeHolds(id string, reasons []engine.HoldReason) {
	if len(reasons) == 0 {
		h.wrong("%s holds without a reason", id)
	}
	for _, r := range reasons {
		h.say("%s holds: %s %s %s", id, r.Kind, r.Step, r.Text)
		if r.Text == "" || len(ways(id, []engine.HoldReason{r})) < 2 {
			h.wrong("%s holds as %s of %q: %q, and nothing can be done about it", id, r.Kind, r.Step, r.Text)
		}
	}
}

// judgeEnd is asked when an execution has ended: it has no lease any more, and what was to be planned anew is all there.
func (h *house) judgeEnd(id string, o astern.Outcome) {
	l, err := h.application("", nil).load(context.Background(), id)
	if err != nil {
		h.wrong("%v", err)
		return
	}
	for _, address := range l.execution.Addresses {
		if holder, ok, _ := h.store.Holder(context.Background(), address); ok && holder == id {
			h.wrong("%s has ended and holds %s", id, address)
		}
	}
	for _, s := range l.fold.Steps() {
		if in, _ := l.fold.InFlight(s.ID); in {
			h.wrong("%s ended %s while %s is %s", id, o, s.ID, s.Status)
		}
		if o == astern.OutcomeDone && s.Status != "done" {
			h.wrong("%s is done, and %s is %s", id, s.ID, s.Status)
		}
	}
	h.judgeChild(l, o)
	if l.plan.Then == nil || o != astern.OutcomeDone {
		return
	}
	for _, m := range l.plan.Moves {
		for _, member := range h.services[m.Address].members {
			key := m.Address + " " + member
			if link := h.world.values[m.Address][member+"/link"]; link != m.To && !h.touched[key] && !h.lateAt(m.Address) {
				h.wrong("%s ended done with nothing left to plan, and %s is at %s, not %s", id, key, link, m.To)
			}
		}
	}
}

// judgeChild: what continues an execution goes where it went, and an undo where it came from.
func (h *house) judgeChild(l loaded, o astern.Outcome) {
	if o != astern.OutcomeContinued {
		return
	}
	doc, err := h.store.Plan(context.Background(), l.fold.Child())
	if err != nil {
		h.wrong("%s is continued by a plan that is not there: %v", l.execution.ID, err)
		return
	}
	child, _, err := h.decode(doc)
	if err != nil {
		h.wrong("%v", err)
	}
	for _, m := range child.Moves {
		i := slices.IndexFunc(l.plan.Moves, func(p astern.Move) bool { return p.Address == m.Address })
		undo := child.Intent.Verb == astern.VerbUndo
		if i < 0 && (undo || !slices.Contains(l.plan.Intent.Addresses, m.Address)) || i >= 0 && !undo && m.To != l.plan.Moves[i].To {
			h.wrong("%s went to %v, and its child takes %s to %s", l.execution.ID, l.plan.Moves, m.Address, m.To)
		}
	}
}

// lateAt reports whether a stopped or killed process acted late, which nothing but the next look at the world can know.
func (h *house) lateAt(string) bool {
	return slices.ContainsFunc(h.world.effects, func(e simEffect) bool { return e.late })
}

// judge compares the end of a run with what must hold.
func (h *house) judge() {
	all, err := h.store.Executions(context.Background(), 0, false)
	if err != nil {
		h.wrong("%v", err)
	}
	plans := map[string]string{}
	for _, e := range all {
		if other := plans[e.PlanHash]; other != "" {
			h.wrong("%s and %s are of one plan", e.ID, other)
		}
		plans[e.PlanHash] = e.ID
		l, err := h.application("", nil).load(context.Background(), e.ID)
		if err != nil {
			h.wrong("%v", err)
			return
		}
		if e.Outcome == "" {
			h.wrong("%s has neither ended nor will it: %v", e.ID, holds(l.fold, h.local()))
			continue
		}
		h.judgeStory(l)
		h.judgeAttempts(l)
		if !h.jumped {
			h.judgeStops(l)
		}
	}
	fences := map[int64]string{}
	for _, e := range all {
		records, _ := h.store.Read(context.Background(), e.ID, 0)
		for _, r := range records {
			if r.Kind == astern.RecordTaken {
				if fences[r.Fence] != "" {
					h.wrong("fence %d was given out twice", r.Fence)
				}
				fences[r.Fence] = e.ID
			}
		}
	}
}

// judgeStory holds the journal against the world: a step that is done had its effect once, another none; stages follow each
// other, and the steps of a lane.
func (h *house) judgeStory(l loaded) {
	times := map[string][]simEffect{}
	for _, e := range h.world.effects {
		if e.execution == l.execution.ID {
			times[e.step] = append(times[e.step], e)
		}
	}
	status := map[string]engine.StepStatus{}
	var order []string
	for _, s := range l.fold.Steps() {
		status[s.ID] = s
		effects := times[s.ID]
		if h.kindOf(l.plan, s.ID) != simKind {
			effects = h.recorded(l, s.ID)
		}
		onTime := slices.DeleteFunc(slices.Clone(effects), func(e simEffect) bool { return e.late })
		switch {
		case len(onTime) > 1 || len(effects) > 1 && len(onTime) == len(effects):
			h.wrong("%s of %s had its effect %d times", s.ID, l.execution.ID, len(effects))
		case s.Status == "done" && len(effects) == 0:
			h.wrong("%s of %s is done without an effect", s.ID, l.execution.ID)
		case s.Status != "done" && len(onTime) > 0:
			h.wrong("%s of %s is %s and had its effect", s.ID, l.execution.ID, s.Status)
		}
		if len(onTime) > 0 && h.kindOf(l.plan, s.ID) == simKind {
			order = append(order, s.ID)
		}
	}
	slices.SortStableFunc(order, func(a, b string) int { return times[a][0].at.Compare(times[b][0].at) })
	stage, lanes := 0, map[string]int{}
	for _, id := range order {
		s := status[id]
		if s.Stage < stage {
			h.wrong("%s of %s acted after stage %d had begun", id, l.execution.ID, stage)
		}
		stage = max(stage, s.Stage)
		lane, place := h.laneOf(l.plan, s.Stage-1, id)
		if place < lanes[lane] {
			h.wrong("%s of %s acted after a later step of its lane", id, l.execution.ID)
		}
		lanes[lane] = place
	}
}

// recorded returns the ledger events of a step as effects.
func (h *house) recorded(l loaded, step string) (out []simEffect) {
	for _, r := range l.records {
		if r.Kind != astern.RecordIntent || r.Step != step {
			continue
		}
		if _, ok, _ := h.store.EventByToken(context.Background(), r.Call.Token); ok {
			out = append(out, simEffect{at: r.At, step: step})
		}
	}
	return out
}

func (h *house) kindOf(p astern.Plan, id string) string {
	for i := range p.Stages {
		if lane, k := h.laneOf(p, i, id); lane != "" {
			lanes, _ := p.Lanes(i)
			for _, l := range lanes {
				if len(l.Steps) >= k && l.Steps[k-1].ID == id {
					return l.Steps[k-1].Step.Kind
				}
			}
		}
	}
	return ""
}

// laneOf names the lane of a step, and its place in it from 1; "" when the stage does not have it.
func (h *house) laneOf(p astern.Plan, stage int, id string) (string, int) {
	lanes, err := p.Lanes(stage)
	if err != nil {
		h.wrong("%v", err)
	}
	for _, l := range lanes {
		for k, s := range l.Steps {
			if s.ID == id {
				return l.Steps[0].ID, k + 1
			}
		}
	}
	return "", 0
}

// judgeAttempts: the attempt rises only after a definite "no effect".
func (h *house) judgeAttempts(l loaded) {
	attempts, definite := map[string]int{}, map[string]bool{}
	for i, r := range l.records {
		if r.Seq != int64(i)+1 {
			h.wrong("%s: record %d has number %d", l.execution.ID, i+1, r.Seq)
		}
		switch r.Kind {
		case astern.RecordIntent:
			if r.Attempt != attempts[r.Step]+1 || r.Attempt > 1 && !definite[r.Step] {
				h.wrong("%s: attempt %d of %s follows %d, whose end is definite: %t", l.execution.ID, r.Attempt, r.Step, attempts[r.Step], definite[r.Step])
			}
			attempts[r.Step], definite[r.Step] = r.Attempt, false
		case astern.RecordOp, astern.RecordSettled:
			definite[r.Step] = r.Op.Status == astern.OpFailed
		case astern.RecordAbsent:
			definite[r.Step] = true
		}
	}
}

// judgeStops: nothing is begun once it is written that a person said stop.
func (h *house) judgeStops(l loaded) {
	stop, cancelled := false, false
	for _, r := range l.records {
		switch r.Kind {
		case astern.RecordPaused, astern.RecordCancelled:
			stop, cancelled = true, cancelled || r.Kind == astern.RecordCancelled
		case astern.RecordResumed:
			stop = cancelled
		case astern.RecordIntent:
			if stop {
				h.wrong("%s: %s was begun after a person had said stop", l.execution.ID, r.Step)
			}
		}
	}
}
