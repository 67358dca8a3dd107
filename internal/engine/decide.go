package engine

import (
	"time"

	"github.com/astern-dev/astern"
)

// Decide returns what is to be done next. It changes nothing.
func (f *Fold) Decide(now time.Time) []Action { return (&decision{f: f, now: now}).decide() }

func (d *decision) decide() []Action {
	f := d.f
	if f.outcome != "" {
		return nil
	}
	if st := f.stage(); st != nil {
		d.actions = make([]Action, 0, max(len(st.active), min(st.plan.Parallel, len(st.lanes)))+1)
	}
	d.inFlight()
	if f.cancelled {
		return d.endWith(astern.OutcomeCancelled)
	}
	if f.child != "" && !f.paused {
		return d.endWith(astern.OutcomeContinued)
	}
	st := f.stage()
	if st == nil {
		return d.finish()
	}
	stop := d.failing(st)
	if !f.paused {
		d.lanes(st, stop)
		switch moving := len(d.actions) > 0 || !d.wake.IsZero(); {
		case stop:
		case !st.entered.IsZero():
			d.round(st, true)
		case moving && len(st.plan.StopWhen) > 0: // what stands still must say why, not be watched for ever
			d.round(st, false)
		}
	}
	if len(d.actions) == 0 && d.wake.IsZero() {
		d.stand(st)
	}
	return d.result()
}

type decision struct {
	f       *Fold
	now     time.Time
	lean    bool // preparations are wanted without their facts and arguments
	actions []Action
	wake    time.Time // earliest time at which something is due, zero when nothing waits for the clock
	holds   []HoldReason
}

// inFlight goes on with everything that may be under way, whatever else is decided. Only the next step of an active lane of
// the current stage can be.
func (d *decision) inFlight() {
	if st := d.f.stage(); st != nil {
		stop := d.f.paused || d.f.cancelled || st.stopped != ""
		for _, ln := range st.active {
			d.goOn(ln.steps[ln.next], stop)
		}
	}
}

// stopPause is how long a running step that is to be stopped waits at most for the next time that it is asked.
const stopPause = time.Second

func (d *decision) goOn(s *step, stop bool) {
	if !s.inFlight() {
		return
	}
	if s.stuck {
		d.holds = append(d.holds, HoldReason{HoldUnsure, s.id, s.stage + 1, s.text})
		return
	}
	a := Action{Step: s.id, Attempt: s.attempt, Call: s.call, At: d.now, Within: within(s)}
	when := s.wait
	switch s.phase {
	case intended:
		a.Kind = Start
	case doubt:
		a.Kind = Find
	case running:
		a.Kind, a.Op = Poll, s.op
		if stop && s.plan.Stoppable {
			a.Kind = Stop
			if soon := when.set.Add(stopPause); soon.Before(when.at) {
				when.at = soon
			}
		}
	}
	d.due(a, when)
}

// within is how long performing an action of the step may take: its own time, and some more for a driver that looks at the
// deadline itself.
func within(s *step) time.Duration { return seconds(s.plan.TimeoutSeconds) + 10*time.Second }

// due adds the action when its time has come, else notes when to wake up.
func (d *decision) due(a Action, when alarm) {
	if d.isDue(when) {
		d.actions = append(d.actions, a)
	}
}

// isDue reports whether the time has come, and notes when to wake up if not.
func (d *decision) isDue(when alarm) bool {
	if !when.at.After(d.now) || d.now.Before(when.set) {
		return true
	}
	if d.wake.IsZero() || when.at.Before(d.wake) {
		d.wake = when.at
	}
	return false
}

// failing reports whether the stage may not start anything new: too many lanes failed, or its checks stopped it. Unsure
// counts as failed.
func (d *decision) failing(st *stage) bool {
	bad := st.count[laneFailed] + st.count[laneBlocked]
	for _, ln := range st.active {
		if s := ln.steps[ln.next]; s.stuck || s.overLimit != "" {
			bad++
		}
	}
	return bad > st.plan.Tolerate || st.stopped != "" || st.gateFail != "" || st.gateStuck != ""
}

// lanes starts what may be started: the next step of every lane under way, and new lanes up to the stage's width
// unless the stage is failing.
func (d *decision) lanes(st *stage, stop bool) {
	for _, ln := range st.active {
		if s := ln.steps[ln.next]; st.stopped == "" || !s.plan.Stoppable { // else it would be ended at once
			d.prepare(s)
		}
	}
	width := max(1, st.plan.Parallel) - len(st.active)
	for i := st.queue; i < len(st.lanes) && width > 0 && !stop; i++ {
		if ln := st.lanes[i]; ln.state == laneQueued {
			width--
			d.prepare(ln.steps[ln.next])
		}
	}
}

func (d *decision) prepare(s *step) {
	if s.phase != waiting || !d.isDue(s.wait) {
		return
	}
	deadline := d.now.Add(seconds(s.plan.TimeoutSeconds))
	if d.lean {
		d.actions = append(d.actions, Action{Kind: Prepare, Step: s.id, Call: &astern.Call{Deadline: deadline}})
		return
	}
	d.actions = append(d.actions, Action{Kind: Prepare, Step: s.id, Attempt: s.attempt + 1, Within: within(s),
		Facts: d.f.Expected(s.plan, s.member), Call: &astern.Call{
			Step: s.id, Address: s.plan.Address, Kind: s.plan.Kind, Verb: s.plan.Verb, Member: s.member, Args: d.f.resolve(s),
			Token: Token(d.f.plan.ID, s.id, s.attempt+1), Fence: d.f.fence, Deadline: deadline,
		}})
}

// round makes the stage's checks when their interval is over.
func (d *decision) round(st *stage, gate bool) {
	when := alarm{st.asked, st.asked}
	switch interval := st.interval(gate); {
	case !st.asked.IsZero():
		when.at = st.asked.Add(interval)
	case !gate:
		when = alarm{st.begunAt.Add(interval), st.begunAt}
	}
	checks := st.side(gate).bound
	d.due(Action{Kind: CheckRound, Stage: d.f.current + 1, Attempt: st.look, Checks: checks, Gate: gate, Within: roundTime(checks)}, when)
}

// roundTime is how long a round may take: as long as the slowest of its checks, and some more.
func roundTime(checks []astern.Check) time.Duration {
	longest := 0.0
	for _, c := range checks {
		longest = max(longest, float64(max(1, c.Attempts))*(c.TimeoutSeconds+c.IntervalSeconds))
	}
	waves := 1 + len(checks)/roundWidth
	return time.Duration(waves)*time.Duration(min(longest, 3600)*float64(time.Second)) + 10*time.Second
}

// planTime is how long making a child plan may take.
const planTime = 10 * time.Minute

// stand says why nothing can be done: by itself the plan holds, or is undone. It is undone only for what certainly failed; what
// is unsure, unknown, blocked or outside its limit is asked of a person.
func (d *decision) stand(st *stage) {
	f := d.f
	if f.planFail != "" {
		d.holds = append(d.holds, HoldReason{HoldPlan, "", f.current + 1, f.planFail})
		return
	}
	asks := len(d.holds) > 0 || st.gateStuck != "" || f.paused
	for _, ln := range st.lanes {
		if ln.next < len(ln.steps) {
			asks = d.why(ln.steps[ln.next], ln.reason) || asks
		}
	}
	if !asks && st.plan.OnFailure == astern.OnFailureUndo {
		d.actions = append(d.actions, Action{Kind: MakePlan, Undo: true, Within: planTime})
		return
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

// why adds what keeps the step from going on. It reports whether that is a question, not a failure.
func (d *decision) why(s *step, blocked string) (asks bool) {
	switch {
	case s.overLimit != "":
		d.holds = append(d.holds, HoldReason{HoldLimit, s.id, s.stage + 1, s.overLimit})
		return true
	case s.phase == failed:
		d.holds = append(d.holds, HoldReason{HoldFailed, s.id, s.stage + 1, s.text})
	case s.phase == refused:
		d.holds = append(d.holds, HoldReason{HoldRefused, s.id, s.stage + 1, s.text})
	case blocked != "":
		d.holds = append(d.holds, HoldReason{HoldBlocked, s.id, s.stage + 1, blocked})
		return true
	}
	return false
}

// finish ends a plan whose stages all passed, or has it continued.
func (d *decision) finish() []Action {
	f := d.f
	if f.plan.Then != nil && !f.nothingLeft {
		if f.planFail != "" {
			d.holds = append(d.holds, HoldReason{HoldPlan, "", len(f.stages), f.planFail})
		} else if !f.paused {
			d.actions = append(d.actions, Action{Kind: MakePlan, Within: planTime})
		} else {
			d.holds = append(d.holds, HoldReason{HoldPaused, "", len(f.stages), "paused"})
		}
		return d.result()
	}
	outcome := astern.OutcomeDone
	for _, fleet := range f.plan.Fleets {
		if len(fleet.LeftOut) > 0 { // what was left out is still to be done
			outcome = astern.OutcomeIncomplete
		}
	}
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
