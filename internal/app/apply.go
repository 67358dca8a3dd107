package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/audit"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/planfile"
)

// Apply checks a plan file against everything that may forbid it now, and makes it an execution. Its second return is
// false when the plan has an execution already, which is returned: one plan, one execution. Nothing is carried out yet.
// A plan that was not made in this state folder is refused unless v speaks for it; what the store holds was vouched for.
func (a *App) Apply(ctx context.Context, doc []byte, v Vouch) (e astern.Execution, created bool, err error) {
	defer func() { err = a.refusedPlan(ctx, doc, "apply", err) }()
	p, hash, err := a.decoded(doc)
	if err != nil {
		return astern.Execution{}, false, a.edited(ctx, p, err)
	}
	if err := a.trusted(ctx, p, hash, doc, v); err != nil {
		return astern.Execution{}, false, err
	}
	if e, ok, err := a.executionOf(ctx, hash); err != nil || ok {
		return e, false, err
	}
	forbidden, err := a.may(ctx, p, hash)
	if err != nil {
		return astern.Execution{}, false, err
	}
	seen, fence, err := a.mayAct(ctx, p)
	if err != nil {
		return astern.Execution{}, false, err
	}
	if err := a.Store.PutPlan(ctx, hash, doc, a.Now()); err != nil {
		return astern.Execution{}, false, fmt.Errorf("storing the plan: %w", err)
	}
	if err := a.KeepReceived(ctx, hash); err != nil {
		return astern.Execution{}, false, err
	}
	if err := a.override(ctx, p, hash, forbidden); err != nil {
		return astern.Execution{}, false, err
	}
	e = astern.Execution{PlanHash: hash, CreatedAt: a.Now(), Addresses: p.Addresses()}
	if parent, ok, err := a.executionOf(ctx, p.Parent); p.Parent != "" && (err != nil || ok) {
		if err != nil {
			return e, false, err
		}
		if err := over(parent); err != nil {
			return e, false, fmt.Errorf("starting the plan: it continues or undoes %s: %w", parent.ID, err)
		}
		e.Parent = parent.ID
	}
	e, created, err = a.Store.CreateExecution(ctx, e, fence)
	if err != nil {
		return e, false, fmt.Errorf("starting the plan: %w", err)
	}
	a.seen = map[string]claims{e.ID: seen}
	return e, created, nil
}

// Keep stores a plan that was made here: it is known from then on, and an edited copy of its file can be told from it.
func (a *App) Keep(ctx context.Context, p Planned) error {
	return a.Store.PutPlan(ctx, p.Hash, p.Doc, a.Now())
}

// edited adds to a refusal how the plan differs from the one that was made under its id, where this store knows that.
func (a *App) edited(ctx context.Context, p astern.Plan, refusal error) error {
	nonce, _, ok := strings.Cut(p.ID, ".")
	if !ok || astern.CodeOf(refusal) != astern.Refused {
		return refusal
	}
	docs, err := a.Store.Documents(ctx)
	if err != nil {
		return refusal // the refusal stands without it
	}
	for _, doc := range docs {
		made, _, err := a.decoded(doc)
		if err == nil && strings.HasPrefix(made.ID, nonce+".") {
			lines := planfile.Differences(made, p)
			return astern.Errorf(astern.Refused, "the plan was edited:\n  %s", strings.Join(lines[:min(len(lines), 20)], "\n  ")).
				WithHint("%s", astern.HintOf(refusal))
		}
	}
	return refusal
}

// executionOf finds the execution of the plan with that hash.
func (a *App) executionOf(ctx context.Context, hash string) (astern.Execution, bool, error) {
	all, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return astern.Execution{}, false, fmt.Errorf("reading executions: %w", err)
	}
	for _, e := range all {
		if hash != "" && e.PlanHash == hash {
			return e, true, nil
		}
	}
	return astern.Execution{}, false, nil
}

// may refuses what policy, time, latch or a missing approval forbids. It returns what a broken glass goes over.
func (a *App) may(ctx context.Context, p astern.Plan, hash string) (forbidden []string, err error) {
	if err := a.same(p); err != nil {
		return nil, err
	}
	for _, address := range p.Addresses() {
		if _, ok := a.System.Component(address); !ok {
			return nil, astern.Errorf(astern.Refused, "the plan acts on %s, which astern.yaml does not declare", address).
				WithHint("make a new plan")
		}
	}
	const moment = "2006-01-02 15:04:05Z"
	switch now := a.Now(); {
	case now.After(p.ExpiresAt):
		return nil, astern.Errorf(astern.Refused, "the plan could be applied until %s", p.ExpiresAt.UTC().Format(moment)).
			WithHint("make a new plan")
	case p.CreatedAt.Sub(now) > p.ExpiresAt.Sub(p.CreatedAt)/10: // by a clock that was set back, it would be fresh for ever
		return nil, astern.Errorf(astern.Refused, "the plan was made at %s, which is still to come by this machine's clock",
			p.CreatedAt.UTC().Format(moment)).WithHint("is the clock right? then make a new plan")
	}
	if err := a.latched(ctx, p); err != nil {
		return nil, err
	}
	return a.permitted(ctx, p, hash)
}

// same refuses a plan of another system.
func (a *App) same(p astern.Plan) error {
	if p.System != a.System.Name {
		return astern.Errorf(astern.Refused, "the plan is for system %s, this is %s", p.System, a.System.Name).
			WithHint("run it in the folder of that system, or name its file with -f")
	}
	return nil
}

// latched refuses a plan that goes to a latched revision; undo is exempt.
func (a *App) latched(ctx context.Context, p astern.Plan) error {
	if p.Intent.Verb == astern.VerbUndo {
		return nil
	}
	for _, m := range p.Moves {
		h, err := a.History(ctx, m.Address)
		if err != nil {
			return err
		}
		if d, ok := h.Of(m.To); ok && d.Latched != "" && m.From != m.To {
			return astern.Errorf(astern.Refused, "%s %s is latched: %s", m.Address, m.To, d.Latched).
				WithHint("if it is good after all: astern latch release %s %s --reason …", m.Address, m.To)
		}
	}
	return nil
}

// mayAct refuses where another execution acts, or the world changed since the plan was made. It returns what the places
// said before the facts were read, and the highest fence that the world knows of.
func (a *App) mayAct(ctx context.Context, p astern.Plan) (claims, int64, error) {
	seen, fence, err := a.look(ctx, p)
	if err != nil {
		return nil, 0, err
	}
	elder, _, err := a.executionOf(ctx, p.Parent)
	if err != nil {
		return nil, 0, err
	}
	if _, err := a.passed(ctx, seen, "", elder.ID); err != nil {
		return nil, 0, err
	}
	return seen, fence, a.unchangedBy(ctx, p, elder)
}

// unchangedBy refuses where the world changed since the plan was made, and says who acts there if somebody does by now: that one
// changed it. Mine is the plan's execution, or the one that it continues.
func (a *App) unchangedBy(ctx context.Context, p astern.Plan, mine astern.Execution) error {
	err := a.unchanged(ctx, p)
	if astern.CodeOf(err) != astern.Refused {
		return err
	}
	if held := a.held(ctx, p, mine); held != nil {
		return astern.Errorf(astern.Refused, "%w; %w", held, err).WithHint("%s; then make a new plan", astern.HintOf(held))
	}
	return err
}

// held says which other execution acts where the plan is to act. It is nil when none does, and when that can't be found out.
func (a *App) held(ctx context.Context, p astern.Plan, mine astern.Execution) error {
	open, err := a.Store.Executions(ctx, 0, true)
	if err != nil {
		return nil
	}
	line := []string{mine.ID}
	for e := mine; err == nil && e.Parent != ""; line = append(line, e.ID) {
		e, err = a.Store.Execution(ctx, e.Parent)
	}
	addresses := p.Addresses()
	for _, e := range open {
		if slices.Contains(line, e.ID) {
			continue
		}
		for _, address := range e.Addresses {
			if slices.Contains(addresses, address) {
				return astern.Errorf(astern.Conflict, "%s is held by %s (it has not ended)", address, e.ID).
					WithHint("watch it with 'astern follow %s', carry on with 'astern resume %s', or give it up with 'astern cancel %s'", e.ID, e.ID, e.ID)
			}
		}
	}
	seen, _, err := a.look(ctx, p)
	if err != nil {
		return nil
	}
	if _, err = a.passed(ctx, seen, "", mine.ID); err != nil && mine.Parent != "" {
		_, err = a.passed(ctx, seen, "", mine.Parent)
	}
	return err
}

// allowed reports whether the plan continues an execution of this state folder within the limits that were approved with
// its parent. That a plan names a parent is only its own word.
func (a *App) allowed(ctx context.Context, p astern.Plan) (bool, error) {
	parent, ok, err := a.executionOf(ctx, p.Parent)
	if err != nil || !ok {
		return false, err
	}
	l, err := a.load(ctx, parent.ID)
	if err != nil {
		return false, err
	}
	return l.plan.Then != nil && within(p, l.plan.Then.Allowed), nil
}

// unchanged reads every fact of the plan and refuses when one differs.
func (a *App) unchanged(ctx context.Context, p astern.Plan) error {
	fold, err := engine.NewFold(p)
	if err != nil {
		return err
	}
	diffs, err := engine.ReadFacts(ctx, a.observe, fold.AllExpected())
	if err != nil {
		return fmt.Errorf("reading the facts that the plan rests on: %w", err)
	}
	if len(diffs) == 0 {
		return nil
	}
	lines := make([]string, len(diffs))
	for i, d := range diffs {
		lines[i] = "\n  " + d.String()
	}
	return astern.Errorf(astern.Refused, "the world changed since the plan was made:%s", strings.Join(lines, "")).
		WithHint("make a new plan")
}

// Run takes the execution and carries it out until it ends or a person must decide. Observe is called with every
// record. A child plan that may run by itself is run as well. The error says how it ended: nil when all is done.
func (a *App) Run(ctx context.Context, id string, observe func(astern.Plan, astern.Record)) (engine.Result, string, error) {
	for {
		eng, outcome, err := a.engine(ctx, id)
		if err != nil {
			return engine.Result{}, id, a.refusing(ctx, audit.Record{Execution: id}, "run", err)
		}
		if outcome != "" {
			return engine.Result{Outcome: outcome}, id, a.ended(ctx, id, engine.Result{Outcome: outcome})
		}
		if observe != nil {
			eng.Observe = func(r astern.Record) { observe(eng.Plan, r) }
		}
		result, err := eng.Run(ctx)
		if err != nil {
			return result, id, stopped(id, err)
		}
		eng.release(context.WithoutCancel(ctx), result.Outcome)
		if result.Child == "" {
			if result.Outcome == "" && a.tellHold(context.WithoutCancel(ctx), id) != nil {
				a.post.unqueued.Store(true)
			}
			return result, id, a.ended(context.WithoutCancel(ctx), id, result)
		}
		next, err := a.childExecution(ctx, result.Child)
		if err != nil {
			return result, id, fmt.Errorf("%s is continued by plan %s, which did not start: %w", id, result.Child[:12], err)
		}
		id = next
	}
}

// taken is an execution that this process has taken, with what gives its claims back when it has ended.
type taken struct {
	engine.Engine
	release func(context.Context, astern.Outcome)
}

// engine takes the execution and returns what carries it out; of one that has ended it returns the outcome instead.
func (a *App) engine(ctx context.Context, id string) (eng taken, outcome astern.Outcome, err error) {
	s, err := a.load(ctx, id)
	if err != nil || s.execution.Outcome != "" {
		return eng, s.execution.Outcome, err
	}
	if err := a.same(s.plan); err != nil {
		return eng, "", fmt.Errorf("running %s: %w", id, err)
	}
	at := a.Now()
	if len(s.records) > 0 {
		at = s.records[0].At // what has begun goes on, though an approval ran out or a key expired since
	}
	if err := a.approved(ctx, s.plan, s.execution.PlanHash, at); err != nil {
		return eng, "", fmt.Errorf("running %s: %w", id, err)
	}
	seen, highest, err := a.mayGoOn(ctx, s)
	if err != nil {
		return eng, "", fmt.Errorf("running %s: %w", id, err)
	}
	fence, err := a.Store.Take(ctx, id, a.Runner, a.lives, highest, a.Now())
	if err != nil {
		return eng, "", fmt.Errorf("taking %s: %w", id, err)
	}
	if err := a.adopt(ctx, s, fence); err != nil {
		return eng, "", err
	}
	records, err := a.Store.Read(ctx, id, 0)
	if err != nil {
		return eng, "", fmt.Errorf("reading the journal of %s: %w", id, err)
	}
	mine := owner(s.execution, records)
	release, err := a.claim(ctx, s, mine, fence, seen)
	if err != nil {
		return eng, "", fmt.Errorf("running %s: %w", id, err)
	}
	w := a.world(s.plan, func(ctx context.Context, undo bool) (string, error) { return a.child(ctx, id, undo) })
	w.Owner = mine
	return taken{release: release, Engine: engine.Engine{Journal: a.Store, Clock: a.Clock, Execution: id, Fence: fence, Plan: s.plan, World: w}}, "", nil
}

// adopt writes down a child plan that was made when the engine before could not: the child has the leases, and what it
// continues must not act any more.
func (a *App) adopt(ctx context.Context, s loaded, fence int64) error {
	child, ok, err := a.childOf(ctx, s.execution.ID)
	if err != nil || !ok || s.fold.Child() != "" {
		return err
	}
	r := astern.Record{At: a.Now(), Kind: astern.RecordChild, Text: child.PlanHash}
	if err := a.Store.Append(ctx, s.execution.ID, fence, r); err != nil {
		return fmt.Errorf("writing the journal of %s: %w", s.execution.ID, err)
	}
	return nil
}

func stopped(id string, err error) error {
	if errors.Is(err, engine.ErrFenced) {
		return astern.Errorf(astern.Conflict, "%w", err).WithHint("astern follow %s shows what the other one does", id)
	}
	if astern.CodeOf(err) == astern.Interrupted {
		return err
	}
	cause := cmp.Or(astern.HintOf(err), "mend the cause")
	return astern.Errorf(astern.CodeOf(err), "%w", err).WithHint("%s; then astern resume %s: nothing is done twice", cause, id)
}

// ended words the result of a run as an error; nil when everything was done.
func (a *App) ended(ctx context.Context, id string, r engine.Result) error {
	switch r.Outcome {
	case astern.OutcomeDone, astern.OutcomeContinued:
		return nil
	case astern.OutcomeIncomplete:
		return astern.Errorf(astern.Internal, "%s ended incomplete: some steps were skipped or failed", id).WithHint("astern show %s", id)
	case astern.OutcomeCancelled:
		return astern.Errorf(astern.Interrupted, "%s was cancelled", id).WithHint("astern undo %s reverses what it did", id)
	}
	code := astern.Held
	var lines []string
	for _, h := range r.Holds {
		if h.Kind == engine.HoldPaused {
			code = astern.Waiting
		}
		where := h.Step
		if where == "" {
			where = fmt.Sprintf("stage %d", h.Stage)
		}
		lines = append(lines, fmt.Sprintf("\n  %s %s: %s", where, h.Kind, h.Text))
	}
	word := "holds: a person must decide"
	if code == astern.Waiting {
		word = "is paused"
	}
	on := ways(id, r.Holds)
	if l, err := a.load(ctx, id); err == nil { // else it is said without what was done so far
		on = l.ways(r.Holds)
	}
	return astern.Errorf(code, "%s %s%s", id, word, strings.Join(lines, "")).WithHint("%s", strings.Join(on, "\n"))
}

// ways are the commands by which a person can get a held execution on.
func ways(id string, holds []engine.HoldReason) []string {
	var out []string
	add := func(s string) {
		for _, o := range out {
			if o == s {
				return
			}
		}
		out = append(out, s)
	}
	for _, h := range holds {
		switch h.Kind {
		case engine.HoldUnsure:
			add(fmt.Sprintf("look, then astern settle %s %s --done or --not-done", id, h.Step))
		case engine.HoldLimit:
			add(fmt.Sprintf("astern allow %s %s --reason …", id, h.Step))
		case engine.HoldBlocked:
			add(fmt.Sprintf("astern skip %s %s --reason …", id, h.Step))
		case engine.HoldFailed, engine.HoldGate, engine.HoldPlan, engine.HoldRefused:
			add(noted("astern resume "+id, "tries again"))
		case engine.HoldPaused:
			add("astern resume " + id)
		}
		if h.Step != "" && (h.Kind == engine.HoldFailed || h.Kind == engine.HoldRefused) {
			add(fmt.Sprintf("astern skip %s %s --reason …", id, h.Step))
		}
	}
	add("astern cancel " + id)
	return out
}

// child makes and stores the plan that continues or reverses the execution, and its execution, which takes over the
// leases. It may be asked again after a crash.
func (a *App) child(ctx context.Context, id string, undo bool) (string, error) {
	s, err := a.load(ctx, id)
	if err != nil {
		return "", err
	}
	if made, ok, err := a.childOf(ctx, id); err != nil || ok {
		return made.PlanHash, err // made before a crash, and not yet written into the journal
	}
	in := s.plan.Intent
	ask := Ask{Verb: in.Verb, Components: in.Addresses, Revision: in.Revision, Moment: in.Moment, Percent: in.Percent,
		BakeSeconds: in.BakeSeconds, Judge: in.Judge, WatchSeconds: in.WatchSeconds, Reason: in.Reason, Severity: in.Severity, Way: s.plan.Asked.Way, Flag: in.Flag,
		First: cmp.Or(in.First, NotFirst)}
	if in.Object != nil {
		ask.Object, ask.Revision = in.Object.Object, in.Object.Revision
	} else if in.Revision == "" && in.Moment == nil && len(s.plan.Moves) == 1 && in.Verb == astern.VerbRollback {
		ask.Revision = s.plan.Moves[0].To // chosen anew it might be another one: what was half left no longer is what runs
	}
	var planned Planned
	if undo {
		planned, err = a.undoOf(ctx, s, Ask{Reason: "stage failed: " + in.Reason, Severity: in.Severity, Way: s.plan.Asked.Way})
	} else {
		planned, _, err = a.planned(ctx, ask)
	}
	if errors.Is(err, astern.ErrNothingToDo) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	p := planned.Plan
	p.Parent, p.Asked = s.execution.PlanHash, s.plan.Asked
	if s.plan.Then != nil && within(p, s.plan.Then.Allowed) {
		p.Approvals = 0
	}
	if planned, err = encode(p); err != nil {
		return "", err
	}
	if err := a.Store.PutPlan(ctx, planned.Hash, planned.Doc, a.Now()); err != nil {
		return "", fmt.Errorf("storing the plan: %w", err)
	}
	// The child takes over the leases before its parent ends: nobody else gets a half-way component in between.
	_, _, err = a.Store.CreateExecution(ctx, astern.Execution{PlanHash: planned.Hash, CreatedAt: a.Now(), Addresses: p.Addresses(), Parent: id}, 0)
	return planned.Hash, err
}

// within reports whether a child plan stays inside what its parent's approval allowed.
func within(p astern.Plan, allowed *astern.Allowed) bool {
	if allowed == nil || allowed.Children < 1 {
		return false
	}
	for _, address := range p.Addresses() {
		if !slices.Contains(allowed.Addresses, address) {
			return false
		}
	}
	for _, st := range p.Stages {
		for _, s := range st.Steps {
			if !slices.Contains(allowed.Verbs, s.Verb) {
				return false
			}
		}
	}
	for _, l := range p.Loss {
		ok := false
		for _, m := range allowed.Loss {
			ok = ok || m.Address == l.Address && m.Unit == l.Unit && l.Count <= m.Count
		}
		if l.Count > 0 && !ok {
			return false
		}
	}
	return true
}

// childOf finds the execution that continues the one with that id and has not ended.
func (a *App) childOf(ctx context.Context, id string) (astern.Execution, bool, error) {
	open, err := a.Store.Executions(ctx, 0, true)
	if err != nil {
		return astern.Execution{}, false, fmt.Errorf("reading executions: %w", err)
	}
	for _, e := range open {
		if e.Parent == id {
			return e, true, nil
		}
	}
	return astern.Execution{}, false, nil
}

func (a *App) childExecution(ctx context.Context, hash string) (string, error) {
	e, ok, err := a.executionOf(ctx, hash)
	if err == nil && !ok {
		err = astern.Errorf(astern.Internal, "plan %s has no execution", hash)
	}
	return e.ID, err
}
