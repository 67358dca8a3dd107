package engine

import (
	"slices"
	"time"

	"github.com/astern-dev/astern"
)

// StepStatus is how far one step is, in words for a person.
type StepStatus struct {
	ID      string
	Title   string
	Stage   int    // from 1
	Status  string // pending, running, retrying, unsure, done, failed, refused, skipped, dropped
	Attempt int
	// Attempts is how many are allowed.
	Attempts int
	Progress string
	Error    string // the latest
	NextAt   time.Time
}

var phaseWords = map[phase]string{waiting: "pending", intended: "running", doubt: "unsure", running: "running",
	done: "done", failed: "failed", refused: "refused", skipped: "skipped"}

// Steps returns every step in the order of the plan.
func (f *Fold) Steps() []StepStatus {
	var out []StepStatus
	for i, st := range f.stages {
		for _, ln := range st.lanes {
			for k, s := range ln.steps {
				v := s.status(i)
				if k > ln.next && ln.steps[ln.next].failed() {
					v.Status = "dropped"
				}
				out = append(out, v)
			}
		}
	}
	return out
}

func (s *step) status(stage int) StepStatus {
	v := StepStatus{ID: s.id, Title: astern.MemberPath(s.plan.Title, s.member), Stage: stage + 1, Status: phaseWords[s.phase],
		Attempt: s.attempt, Attempts: s.plan.Attempts, Error: s.text}
	switch {
	case s.phase == waiting && s.tries+s.unread > 0:
		v.Status, v.NextAt = "retrying", s.wait.at
	case s.phase == running && !s.stuck:
		v.Progress = s.op.Progress
	case s.overLimit != "":
		v.Error = s.overLimit
	}
	return v
}

// InFlight reports whether something of the step may be under way. ok is false when there is no such step.
func (f *Fold) InFlight(id string) (inFlight, ok bool) {
	s, ok := f.steps[id]
	return ok && s.inFlight(), ok
}

// Settleable reports whether the step is in doubt or running, so that a person may say what became of it.
func (f *Fold) Settleable(id string) bool {
	s := f.steps[id]
	return s != nil && (s.phase == doubt || s.phase == running)
}

// OverLimit returns why the step's outputs need to be allowed, "" when they don't.
func (f *Fold) OverLimit(id string) string {
	if s := f.steps[id]; s != nil {
		return s.overLimit
	}
	return ""
}

// Skippable returns why the step can't be skipped now, "" when it can.
func (f *Fold) Skippable(id string) string {
	s := f.steps[id]
	switch {
	case s == nil:
		return "there is no such step"
	case s.phase == done, s.phase == skipped:
		return "it is " + phaseWords[s.phase]
	case s.inFlight():
		return "it is " + phaseWords[s.phase] + ": settle it first"
	}
	return ""
}

// Dependents returns the ids of the steps that can't run when the step is skipped: they use an output of it or name it
// as a guard.
func (f *Fold) Dependents(id string) []string {
	s := f.steps[id]
	if s == nil {
		return nil
	}
	var out []string
	for _, o := range f.Steps() {
		t := f.steps[o.ID]
		ids := map[string]bool{}
		needs(t.plan, ids)
		// In a lane of its own it needs only the step of that lane; from elsewhere the steps of all lanes.
		own := f.steps[f.laneID(s.plan.ID, t.member)]
		if ids[s.plan.ID] && t != s && (own == nil || own == s) {
			out = append(out, t.id)
		}
	}
	return out
}

// DoneStep is a step that was done, with what undoing it needs.
type DoneStep struct {
	Step    *astern.Step
	Call    astern.Call
	Outputs map[string]astern.Arg
	Left    []ExpectedFact // what the step's paths are now
}

// Done returns the steps that were done, the last first.
func (f *Fold) Done(records []astern.Record) []DoneStep {
	var out []DoneStep
	seen := map[string]bool{}
	for _, r := range slices.Backward(records) {
		s := f.steps[r.Step]
		if s == nil || s.phase != done || seen[r.Step] || r.Op == nil || r.Op.Status != astern.OpDone {
			continue
		}
		seen[r.Step] = true
		out = append(out, DoneStep{Step: s.plan, Call: *s.call, Outputs: f.outs[s.id], Left: f.left(s)})
	}
	return out
}

func (f *Fold) left(s *step) []ExpectedFact {
	var out []ExpectedFact
	for _, set := range s.plan.Sets {
		address := set.Address
		if address == "" {
			address = s.plan.Address
		}
		path := astern.MemberPath(set.Path, s.member)
		if v, ok := f.sets[address+" "+path]; ok {
			out = append(out, ExpectedFact{Address: address, Path: path, Value: v.Text, Absent: v.Unknown != ""})
		}
	}
	return out
}

// Gate is how far the current stage's gate is.
type Gate struct {
	Open         bool // the lanes are over and the gate counts
	BakedSeconds float64
	BakeSeconds  int64
}

// CurrentGate returns how far the current stage's gate is.
func (f *Fold) CurrentGate() Gate {
	if f.current >= len(f.stages) || f.stages[f.current].plan.Gate == nil {
		return Gate{}
	}
	st := f.stages[f.current]
	return Gate{Open: !st.entered.IsZero(), BakedSeconds: st.baked.Seconds(), BakeSeconds: st.plan.Gate.BakeSeconds}
}

// Paused reports whether a person paused the execution.
func (f *Fold) Paused() bool { return f.paused }

// Cancelled reports whether a person cancelled the execution.
func (f *Fold) Cancelled() bool { return f.cancelled }

// FoldJournal returns the state of a plan with its whole journal, and where the time of the execution went, by the journal alone.
// The time to decide and to approve lies before it and is given by the caller. The error is that of NewFold.
func FoldJournal(p astern.Plan, records []astern.Record) (*Fold, astern.Phases, error) {
	var ph astern.Phases
	f, err := NewFold(p)
	if err != nil {
		return nil, ph, err
	}
	var last time.Time
	for _, r := range records {
		if r.Kind != astern.RecordTicked { // which takes no time, and may come long after the end
			switch {
			case last.IsZero():
			case r.Kind == astern.RecordTaken: // nothing carried it out until then
				ph.SettleSeconds += max(0, r.At.Sub(last).Seconds())
			default:
				*f.phaseNow(&ph) += max(0, r.At.Sub(last).Seconds()) // a clock that was set back took no time
			}
			last = r.At
		}
		f.Apply(r)
	}
	return f, ph, nil
}

// Since adds the time since the last record of an execution that has not ended. What nothing carries out waits for people.
func (f *Fold) Since(ph *astern.Phases, seconds float64, carried bool) {
	if carried {
		*f.phaseNow(ph) += max(0, seconds)
	} else {
		ph.SettleSeconds += max(0, seconds)
	}
}

// phaseNow returns the phase that time counts for in the present state: execute while a step is in flight or due to
// start, prove in a stage without steps, settle otherwise: while it bakes, holds or is paused.
func (f *Fold) phaseNow(ph *astern.Phases) *float64 {
	if f.current >= len(f.stages) {
		return &ph.ProveSeconds
	}
	st := f.stages[f.current]
	switch {
	case len(st.lanes) == 0:
		return &ph.ProveSeconds
	case f.paused || f.cancelled || !st.entered.IsZero():
		return &ph.SettleSeconds
	}
	for _, ln := range st.active {
		if s := ln.steps[ln.next]; s.inFlight() && !s.stuck {
			return &ph.ExecuteSeconds
		}
	}
	if f.planFail != "" || (&decision{f: f}).failing(st) {
		return &ph.SettleSeconds
	}
	return &ph.ExecuteSeconds
}
