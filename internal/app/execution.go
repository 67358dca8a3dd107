package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/incident"
)

// loaded is an execution with its plan and everything in its journal.
type loaded struct {
	execution astern.Execution
	plan      astern.Plan
	records   []astern.Record
	fold      *engine.Fold
	took      astern.Phases // by the journal alone
}

// planOf returns the plan of an execution.
func (a *App) planOf(ctx context.Context, e astern.Execution) (astern.Plan, error) {
	doc, err := a.Store.Plan(ctx, e.PlanHash)
	if err != nil {
		return astern.Plan{}, fmt.Errorf("reading the plan of %s: %w", e.ID, err)
	}
	p, hash, err := a.decoded(doc)
	if err != nil {
		return astern.Plan{}, fmt.Errorf("reading the plan of %s: %w", e.ID, err)
	}
	if hash != e.PlanHash {
		return astern.Plan{}, astern.Errorf(astern.Refused, "the stored plan of %s does not have the hash it was applied with", e.ID)
	}
	return p, nil
}

func (a *App) load(ctx context.Context, id string) (loaded, error) {
	e, err := a.Store.Execution(ctx, id)
	if err != nil {
		return loaded{}, fmt.Errorf("reading execution %s: %w", id, err)
	}
	p, err := a.planOf(ctx, e)
	if err != nil {
		return loaded{}, err
	}
	return a.withJournal(ctx, e, p)
}

// withJournal reads the journal of an execution whose plan is known.
func (a *App) withJournal(ctx context.Context, e astern.Execution, p astern.Plan) (loaded, error) {
	records, err := a.Store.Read(ctx, e.ID, 0)
	if err != nil {
		return loaded{}, fmt.Errorf("reading the journal of %s: %w", e.ID, err)
	}
	fold, took, err := engine.FoldJournal(p, records)
	return loaded{e, p, records, fold, took}, err
}

// phases adds to the journal's own what lies before it: deciding and approving.
func (l loaded) phases() astern.Phases {
	ph := l.took
	ph.DecideSeconds = max(0, l.execution.CreatedAt.Sub(l.plan.Asked.At).Seconds())
	if len(l.records) > 0 {
		ph.ExecuteSeconds += max(0, l.records[0].At.Sub(l.execution.CreatedAt).Seconds())
	}
	return ph
}

// Shown is an execution with everything that a person asks about it.
type Shown struct {
	Execution astern.Execution
	Plan      astern.Plan
	Records   []astern.Record
	Steps     []engine.StepStatus
	Gate      engine.Gate
	Stage     int
	Phases    astern.Phases
	Holds     []engine.HoldReason
	Ways      []string
	Alive     bool // a process carries it out now
	Runner    astern.Runner
	Paused    bool
	Approvals []astern.Approval
	// Undo is the command that reverses what it did, with what comes back behind it; "" where nothing can be reversed.
	Undo string
	// Incident is the one that it answers; "" for none.
	Incident string
}

// sinceTheFault adds what lies before the question where the execution answers an incident: an objective counts from the first
// request that failed, whoever asked for the way back, and at whatever attempt.
func (a *App) sinceTheFault(ctx context.Context, s *Shown) error {
	if s.Plan.Intent.Verb == astern.VerbDeploy {
		return nil
	}
	logs, err := a.Store.Incidents(ctx)
	if err != nil {
		return fmt.Errorf("reading incidents: %w", err)
	}
	for _, log := range logs { // the newest first
		in := incident.Fold(log)
		began, opened := in.BeganAt, time.Time{}
		for _, e := range log.Events {
			switch {
			case e.At.After(s.Execution.CreatedAt):
			case e.Kind == astern.IncidentOpened:
				opened = e.At
			case e.Kind == astern.IncidentReopened: // it came back: when that began nobody wrote down
				began, opened = e.At, e.At
			}
		}
		named := slices.Contains(in.Executions, s.Execution.ID)
		if opened.IsZero() || !named && (!incident.Concerns(in, s.Execution) || s.Execution.CreatedAt.Sub(opened) > answersWithin) {
			continue
		}
		s.Incident = in.ID
		s.Phases.NoticeSeconds = max(0, opened.Sub(began).Seconds())
		s.Phases.DecideSeconds = s.Execution.CreatedAt.Sub(opened).Seconds()
		return nil
	}
	return nil
}

// answersWithin is how long after an incident was opened an execution that it does not name is taken for an answer to it: one that
// nobody closed for weeks is not what today's is for.
const answersWithin = 24 * time.Hour

// takeTime is how long after an execution was made its maker may need to take it.
const takeTime = 5 * time.Second

// Show returns how far an execution is.
func (a *App) Show(ctx context.Context, id string) (Shown, error) {
	l, err := a.load(ctx, id)
	if err != nil {
		return Shown{}, err
	}
	s := Shown{Execution: l.execution, Plan: l.plan, Records: l.records, Steps: l.fold.Steps(), Gate: l.fold.CurrentGate(),
		Stage: l.fold.Stage(), Phases: l.phases(), Paused: l.fold.Paused(), Undo: l.undo()}
	if s.Approvals, err = a.Store.Approvals(ctx, l.execution.PlanHash); err != nil {
		return s, fmt.Errorf("reading approvals: %w", err)
	}
	signed, err := a.Store.Signed(ctx, l.execution.PlanHash)
	if err != nil {
		return s, fmt.Errorf("reading approvals: %w", err)
	}
	s.Approvals = append(s.Approvals, signed...)
	slices.SortStableFunc(s.Approvals, func(x, y astern.Approval) int { return x.At.Compare(y.At) })
	if err := a.sinceTheFault(ctx, &s); err != nil {
		return s, err
	}
	if n := len(s.Approvals); n > 0 && l.plan.Approvals > 0 {
		s.Phases.ApproveSeconds = max(0, s.Approvals[n-1].At.Sub(l.plan.CreatedAt).Seconds())
		s.Phases.DecideSeconds = max(0, s.Phases.DecideSeconds-s.Phases.ApproveSeconds)
	}
	if l.execution.Outcome != "" {
		return s, nil
	}
	if r, ok, err := a.Store.Runner(ctx, id); err == nil && ok {
		s.Runner, s.Alive = r, a.Alive(r)
	} else if err == nil {
		s.Alive = a.Now().Sub(l.execution.CreatedAt).Abs() < takeTime // whoever made it is about to take it
	}
	if n := len(l.records); n > 0 {
		l.fold.Since(&s.Phases, a.Now().Sub(l.records[n-1].At).Seconds(), s.Alive)
	}
	s.Holds = holds(l.fold, a.Now())
	if len(s.Holds) > 0 {
		s.Ways = l.ways(s.Holds)
	} else if !s.Alive {
		s.Ways = []string{"astern resume " + id, "astern cancel " + id}
	}
	return s, nil
}

// Listed is Show for a list. Of an execution that has ended it has what the execution itself and its plan say: journals may be
// long, and a list is of many.
func (a *App) Listed(ctx context.Context, e astern.Execution) (Shown, error) {
	if e.Outcome == "" {
		return a.Show(ctx, e.ID)
	}
	p, err := a.planOf(ctx, e)
	return Shown{Execution: e, Plan: p}, err
}

// holds returns why the execution can't go on by itself, nothing when it can.
func holds(f *engine.Fold, now time.Time) []engine.HoldReason {
	for _, act := range f.Decide(now) {
		if act.Kind == engine.Hold {
			return act.Holds
		}
	}
	return nil
}

// person appends what a person says to an execution that has not ended.
func (a *App) person(ctx context.Context, l loaded, r astern.Record) error {
	if l.execution.Outcome != "" && r.Kind != astern.RecordTicked {
		return astern.Errorf(astern.Refused, "%s has ended: %s", l.execution.ID, l.execution.Outcome)
	}
	r.At, r.By = a.Now(), a.By
	if err := a.Store.Append(ctx, l.execution.ID, 0, r); err != nil {
		return fmt.Errorf("writing the journal of %s: %w", l.execution.ID, err)
	}
	return nil
}

// Pause asks the execution to start nothing new.
func (a *App) Pause(ctx context.Context, id, reason string) error {
	l, err := a.load(ctx, id)
	if err != nil {
		return err
	}
	if l.fold.Paused() {
		return astern.Errorf(astern.Refused, "%s is paused already", id)
	}
	return a.person(ctx, l, astern.Record{Kind: astern.RecordPaused, Text: reason})
}

// Resume lets a paused or held execution go on: what failed without effect gets another attempt. It reports whether
// another process carries the execution out already, so that the caller has only to follow it.
func (a *App) Resume(ctx context.Context, id, reason string) (running bool, err error) {
	l, err := a.load(ctx, id)
	if err != nil {
		return false, err
	}
	if len(holds(l.fold, a.Now())) > 0 || l.fold.Paused() || l.execution.Outcome != "" {
		if err := a.person(ctx, l, astern.Record{Kind: astern.RecordResumed, Text: reason}); err != nil {
			return false, err
		}
	}
	return a.alive(ctx, id), nil
}

// alive reports whether another process carries the execution out.
func (a *App) alive(ctx context.Context, id string) bool {
	r, ok, err := a.Store.Runner(ctx, id)
	return err == nil && ok && r != a.Runner && a.lives(r)
}

// Cancel asks the execution to start nothing new and to end. It reports whether a process that carries it out will do
// so; else the caller runs it to its end.
func (a *App) Cancel(ctx context.Context, id, reason string) (running bool, err error) {
	l, err := a.load(ctx, id)
	if err != nil {
		return false, err
	}
	if err := a.person(ctx, l, astern.Record{Kind: astern.RecordCancelled, Text: reason}); err != nil {
		return false, err
	}
	return a.alive(ctx, id), nil
}

// Dependents returns the steps that can't run when the step is skipped.
func (a *App) Dependents(ctx context.Context, id, step string) ([]string, error) {
	l, err := a.load(ctx, id)
	if err != nil {
		return nil, err
	}
	return l.fold.Dependents(step), nil
}

// Skip passes over a step that is not in flight.
func (a *App) Skip(ctx context.Context, id, step, reason string) error {
	l, err := a.load(ctx, id)
	if err != nil {
		return err
	}
	if why := l.fold.Skippable(step); why != "" {
		return astern.Errorf(astern.Refused, "%s of %s can't be skipped: %s", step, id, why).WithHint("astern show %s lists the steps", id)
	}
	if err := a.person(ctx, l, astern.Record{Kind: astern.RecordSkipped, Step: step, Text: reason}); err != nil {
		return err
	}
	return a.heard(ctx, id, step, func(f *engine.Fold) bool { return f.Skippable(step) == "it is skipped" })
}

// Settle says what became of a step that is in doubt or runs for too long: done, with its outputs, or not done.
func (a *App) Settle(ctx context.Context, id, step string, done bool, outputs map[string]astern.Arg, reason string) error {
	l, err := a.load(ctx, id)
	if err != nil {
		return err
	}
	if !l.fold.Settleable(step) {
		return astern.Errorf(astern.Refused, "%s of %s is not in doubt", step, id).WithHint("astern show %s lists the steps", id)
	}
	op := &astern.Op{Status: astern.OpFailed, Code: astern.Unavailable, Error: "a person says that it was not done"}
	if done {
		op = &astern.Op{Status: astern.OpDone, Outputs: outputs}
	}
	attempt := 0
	for _, s := range l.fold.Steps() {
		if s.ID == step {
			attempt = s.Attempt
		}
	}
	if err := a.person(ctx, l, astern.Record{Kind: astern.RecordSettled, Step: step, Attempt: attempt, Op: op, Text: reason}); err != nil {
		return err
	}
	return a.heard(ctx, id, step, func(f *engine.Fold) bool { return !f.Settleable(step) })
}

// Allow accepts outputs of a step that are outside the plan's limits.
func (a *App) Allow(ctx context.Context, id, step, reason string) error {
	l, err := a.load(ctx, id)
	if err != nil {
		return err
	}
	if l.fold.OverLimit(step) == "" {
		return astern.Errorf(astern.Refused, "%s of %s has no output outside its limits", step, id)
	}
	if err := a.person(ctx, l, astern.Record{Kind: astern.RecordAllowed, Step: step, Text: reason}); err != nil {
		return err
	}
	return a.heard(ctx, id, step, func(f *engine.Fold) bool { return f.OverLimit(step) == "" })
}

// heard reads the journal again after a person's word: when the engine was faster, the word changes nothing, and the
// person must know.
func (a *App) heard(ctx context.Context, id, step string, took func(*engine.Fold) bool) error {
	l, err := a.load(ctx, id)
	if err != nil || took(l.fold) {
		return err
	}
	return astern.Errorf(astern.Conflict, "%s of %s went on before this was written: nothing was changed by it", step, id).
		WithHint("astern show %s", id)
}

// Tick ticks an item of a checklist by hand. Address may be "" when the plan has one checklist.
func (a *App) Tick(ctx context.Context, id, address, item string) error {
	l, err := a.load(ctx, id)
	if err != nil {
		return err
	}
	var items []string
	for _, c := range l.plan.Checklist {
		if address != "" && c.Address != address {
			continue
		}
		for _, i := range c.Items {
			if i.Item == item {
				if i.Check != "" {
					return astern.Errorf(astern.Refused, "%s is ticked by check %s, not by a person", item, i.Check)
				}
				return a.person(ctx, l, astern.Record{Kind: astern.RecordTicked, Step: c.Address, Text: item})
			}
			items = append(items, i.Item)
		}
	}
	return astern.Errorf(astern.NotFound, "the checklist of %s has no item %s", id, item).WithHint("it has: %s", strings.Join(items, ", "))
}
