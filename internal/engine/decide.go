package engine

import (
	"time"

	"github.com/astern-dev/astern"
)

// Decide returns what is to be done next. It changes nothing.
func (f *Fold) Decide(now time.Time) []Action {
	if f.outcome != "" {
		return nil
	}
	d := &decision{f: f, now: now}
	d.inFlight()
	if f.child != "" {
		return d.endWith(astern.OutcomeContinued)
	}
	if f.cancelled {
		return d.endWith(astern.OutcomeCancelled)
	}
	if f.current == len(f.stages) {
		return d.finish()
	}
	st := f.stages[f.current]
	stop := d.failing(st)
	if !f.paused {
		d.lanes(st, stop)
		if !stop && st.plan.StopWhen != nil && st.entered.IsZero() {
			d.round(st, st.plan.StopWhen, false, stopInterval(st.plan))
		}
		if !st.entered.IsZero() && !stop {
			d.round(st, st.plan.Gate.Checks, true, seconds(st.plan.Gate.IntervalSeconds))
		}
	}
	if len(d.actions) == 0 && d.wake.IsZero() {
		d.stand(st, stop)
	}
	return d.result()
}

type decision struct {
	f       *Fold
	now     time.Time
	actions []Action
	wake    time.Time // earliest time at which something is due, zero when nothing waits for the clock
	holds   []HoldReason
}

// inFlight goes on with everything that may be under way, whatever else is decided. Only the next step of a lane of the
// current stage can be.
func (d *decision) inFlight() {
	if d.f.current == len(d.f.stages) {
		return
	}
	for _, ln := range d.f.stages[d.f.current].lanes {
		if ln.next < len(ln.steps) {
			d.goOn(ln.steps[ln.next])
		}
	}
}

func (d *decision) goOn(s *step) {
	if !s.inFlight() {
		return
	}
	if s.stuck {
		d.holds = append(d.holds, HoldReason{HoldUnsure, s.id, s.stage + 1, s.text})
		return
	}
	a := Action{Step: s.id, Attempt: s.attempt, Call: s.call, At: d.now}
	switch s.phase {
	case intended:
		a.Kind = Start
	case doubt:
		a.Kind = Find
	case running:
		a.Kind, a.Op = Poll, s.op
	}
	d.due(a, s.notBefore)
}

// due adds the action when its time has come, else notes when to wake up.
func (d *decision) due(a Action, at time.Time) {
	if at.After(d.now) {
		if d.wake.IsZero() || at.Before(d.wake) {
			d.wake = at
		}
		return
	}
	d.actions = append(d.actions, a)
}

// failing reports whether the stage may not start anything new: too many lanes failed, or its checks stopped it.
func (d *decision) failing(st *stage) bool {
	bad := 0
	for _, ln := range st.lanes {
		if ln.next < len(ln.steps) && d.bad(ln) {
			bad++
		}
	}
	return bad > st.plan.Tolerate || st.stopped != "" || st.gateFail != "" || st.gateStuck != ""
}

// bad reports whether the lane can't go on by itself; unsure counts as failed.
func (d *decision) bad(ln *lane) bool {
	s := ln.steps[ln.next]
	return d.f.laneFailed(ln) || s.stuck || s.overLimit != "" || d.blocked(s) != ""
}

// lanes starts what may be started: the next step of every lane under way, and new lanes up to the stage's width
// unless the stage is failing.
func (d *decision) lanes(st *stage, stop bool) {
	width := max(1, st.plan.Parallel)
	var fresh []*lane
	for _, ln := range st.lanes {
		if ln.next == len(ln.steps) || d.f.laneFailed(ln) || d.blocked(ln.steps[ln.next]) != "" {
			continue
		}
		s := ln.steps[ln.next]
		if ln.next == 0 && s.phase == waiting && s.attempt == 0 && s.tries == 0 {
			fresh = append(fresh, ln)
			continue
		}
		width--
		d.prepare(s)
	}
	for _, ln := range fresh {
		if width <= 0 || stop {
			return
		}
		width--
		d.prepare(ln.steps[0])
	}
}

func (d *decision) prepare(s *step) {
	if s.phase != waiting {
		return
	}
	args, _ := d.f.resolve(s) // what is missing was found by blocked
	d.due(Action{Kind: Prepare, Step: s.id, Attempt: s.attempt + 1, Facts: d.f.Expected(s.plan, s.member), Call: &astern.Call{
		Step: s.id, Address: s.plan.Address, Kind: s.plan.Kind, Verb: s.plan.Verb, Member: s.member, Args: args, Fence: d.f.fence,
		Deadline: d.now.Add(seconds(s.plan.TimeoutSeconds)),
	}}, s.notBefore)
}

// blocked says why the step can never run: a guard or an output that it needs was skipped or failed.
func (d *decision) blocked(s *step) string {
	if s.phase != waiting {
		return ""
	}
	for _, g := range s.plan.Guards {
		if !d.f.allDone(g, s.member) {
			return "its guard " + g + " was not done"
		}
	}
	if _, missing := d.f.resolve(s); missing != "" {
		return "it uses an output of " + missing + ", which was not done"
	}
	return ""
}

// allDone reports whether the step named in the plan was done: in the member's own lane where it is there, else in
// every lane that has it.
func (f *Fold) allDone(id, member string) bool {
	if s := f.steps[f.laneID(id, member)]; s != nil {
		return s.phase == done
	}
	found := false
	for _, st := range f.stages {
		for _, ln := range st.lanes {
			for _, s := range ln.steps {
				if s.plan.ID == id {
					found = true
					if s.phase != done {
						return false
					}
				}
			}
		}
	}
	return found
}

// round makes the stage's checks when their interval is over.
func (d *decision) round(st *stage, names []string, gate bool, interval time.Duration) {
	at := st.asked
	switch {
	case !at.IsZero():
		at = at.Add(interval)
	case !gate:
		at = st.begun.Add(interval)
	}
	checks := make([]astern.Check, 0, len(names))
	for _, n := range names {
		if c, ok := d.f.plan.Check(n, ""); ok {
			checks = append(checks, d.f.spread(c, st)...)
		}
	}
	d.due(Action{Kind: CheckRound, Stage: d.f.current + 1, Checks: checks, Gate: gate}, at)
}

// spread binds a check that is a pattern to the members of the stage; any other it returns as it is.
func (f *Fold) spread(c astern.Check, st *stage) []astern.Check {
	if !c.Each || c.Member != "" || st.plan.Each == nil {
		return []astern.Check{c}
	}
	var out []astern.Check
	for _, ln := range st.lanes {
		if bound, err := c.Bind("", ln.member, ""); err == nil { // planfile.Validate refuses patterns that can't be bound
			out = append(out, bound)
		}
	}
	return out
}

func stopInterval(st *astern.Stage) time.Duration {
	if st.Gate != nil && st.Gate.IntervalSeconds > 0 {
		return seconds(st.Gate.IntervalSeconds)
	}
	return 5 * time.Second
}

// stand says why nothing can be done: by itself the plan holds, or is undone.
func (d *decision) stand(st *stage, stop bool) {
	f := d.f
	if f.planFail != "" {
		d.holds = append(d.holds, HoldReason{HoldPlan, "", f.current + 1, f.planFail})
		return
	}
	if stop && st.plan.OnFailure == astern.OnFailureUndo && len(d.holds) == 0 && !f.paused {
		d.actions = append(d.actions, Action{Kind: MakePlan, Undo: true})
		return
	}
	for _, ln := range st.lanes {
		if ln.next < len(ln.steps) {
			d.why(ln.steps[ln.next])
		}
	}
	for _, text := range []string{st.stopped, st.gateFail, st.gateStuck} {
		if text != "" {
			d.holds = append(d.holds, HoldReason{HoldGate, "", f.current + 1, text})
		}
	}
	if f.paused {
		d.holds = append(d.holds, HoldReason{HoldPaused, "", f.current + 1, "paused"})
	}
}

func (d *decision) why(s *step) {
	switch blocked := d.blocked(s); {
	case s.overLimit != "":
		d.holds = append(d.holds, HoldReason{HoldLimit, s.id, s.stage + 1, s.overLimit})
	case s.phase == failed:
		d.holds = append(d.holds, HoldReason{HoldFailed, s.id, s.stage + 1, s.text})
	case s.phase == refused:
		d.holds = append(d.holds, HoldReason{HoldRefused, s.id, s.stage + 1, s.text})
	case blocked != "":
		d.holds = append(d.holds, HoldReason{HoldBlocked, s.id, s.stage + 1, blocked})
	}
}

// finish ends a plan whose stages all passed, or has it continued.
func (d *decision) finish() []Action {
	f := d.f
	if f.plan.Then != nil && !f.nothingLeft {
		if f.planFail != "" {
			d.holds = append(d.holds, HoldReason{HoldPlan, "", len(f.stages), f.planFail})
		} else if !f.paused {
			d.actions = append(d.actions, Action{Kind: MakePlan})
		} else {
			d.holds = append(d.holds, HoldReason{HoldPaused, "", len(f.stages), "paused"})
		}
		return d.result()
	}
	outcome := astern.OutcomeDone
	for _, s := range f.steps {
		if s.phase != done {
			outcome = astern.OutcomeIncomplete
		}
	}
	return d.endWith(outcome)
}

// endWith ends the execution as soon as nothing is in flight.
func (d *decision) endWith(o astern.Outcome) []Action {
	if len(d.actions) == 0 && d.wake.IsZero() && len(d.holds) == 0 {
		return []Action{{Kind: End, Outcome: o}}
	}
	return d.result()
}

func (d *decision) result() []Action {
	if len(d.actions) > 0 {
		return d.actions
	}
	if !d.wake.IsZero() {
		return []Action{{Kind: Wait, At: d.wake}}
	}
	return []Action{{Kind: Hold, Holds: d.holds}}
}
