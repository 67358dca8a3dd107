package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/audit"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/ledger"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/planner"
	"github.com/astern-dev/astern/internal/readiness"
)

// Ask is what a person asks for.
type Ask struct {
	Verb        astern.Verb
	Environment string
	Components  []string // names; with All every component
	All         bool
	Revision    string
	Moment      *time.Time
	Flag        *astern.FlagChange // for VerbOff
	Object      string             // the one object that a rollback takes back; "" for the whole
	Percent     int
	BakeSeconds int64
	// Judge holds the first share of a deployment against the rest by the component's signals, where it has any. Without
	// Percent the share is a half then, and 100 else.
	Judge bool
	// WatchSeconds is how long the whole is watched; negative takes the policy's.
	WatchSeconds       int64
	Reason             string
	Severity           string // of the incident that it answers; "" when it answers none
	WithoutUnreachable bool
	// First is the environment in which the target is proven first: "" is the policy's where a person asks, NotFirst none.
	First string
	Way   string // cli, watch, page
	At    time.Time
}

// Planned is a plan with its file.
type Planned struct {
	Plan astern.Plan
	Hash string
	Doc  []byte
}

// Plan answers what a person asks for with a plan. It changes nothing.
func (a *App) Plan(ctx context.Context, ask Ask) (Planned, error) {
	p, addresses, err := a.planned(ctx, ask)
	return p, a.acting(ctx, addresses, err)
}

// planned makes the plan; a refusal is as the planner words it. It returns the addresses that were asked for, too.
func (a *App) planned(ctx context.Context, ask Ask) (made Planned, addresses []string, err error) {
	e, err := a.Environment(environmentOf(ask))
	if err != nil {
		return made, nil, err
	}
	r, err := a.request(ctx, e, ask)
	if err != nil {
		return made, nil, err
	}
	p, err := planner.Plan(r)
	if errors.Is(err, astern.ErrNothingToDo) {
		return made, r.Intent.Addresses, err // nobody was refused anything
	}
	if err != nil {
		refused := audit.Record{Verb: ask.Verb, Addresses: r.Intent.Addresses, Revision: ask.Revision, Reason: ask.Reason}
		return made, r.Intent.Addresses, a.refusing(ctx, refused, "plan", err)
	}
	made, err = encode(p)
	return made, r.Intent.Addresses, err
}

// acting names the execution that acts on one of the components where a plan is refused: what it did is often why, a latch
// above all, and nothing can be done there before it ends.
func (a *App) acting(ctx context.Context, addresses []string, refusal error) error {
	if code := astern.CodeOf(refusal); refusal == nil || code != astern.Refused && code != astern.NotReady {
		return refusal
	}
	because := refusal
	if errors.Is(refusal, astern.ErrNothingToDo) { // what has not ended is not done
		because = errors.New(refusal.Error())
	}
	open, err := a.Store.Executions(ctx, 0, true)
	if err != nil {
		return refusal // which stands without it
	}
	for _, e := range open {
		for _, address := range addresses {
			if !slices.Contains(e.Addresses, address) {
				continue
			}
			s, err := a.Show(ctx, e.ID)
			if err != nil {
				return refusal
			}
			if s.Alive {
				return astern.Errorf(astern.Conflict, "%s is held by %s, which is running: %w", address, e.ID, because).
					WithHint("astern follow %s shows how it goes; astern pause %[1]s or astern cancel %[1]s stops it", e.ID)
			}
			return astern.Errorf(astern.Conflict, "%s is held by %s, which has not ended: %w", address, e.ID, because).
				WithHint("%s", strings.Join(s.Ways, "\n"))
		}
	}
	return refusal
}

func encode(p astern.Plan) (Planned, error) {
	if errs := planfile.Validate(p); len(errs) > 0 {
		return Planned{}, astern.Errorf(astern.Internal, "the plan breaks a law of plans: %w", errs[0]).WithHint("this is a bug of astern: please report it")
	}
	p, err := planfile.Seal(p)
	if err != nil {
		return Planned{}, err
	}
	doc, hash, err := planfile.Encode(p)
	return Planned{p, hash, doc}, err
}

// environmentOf takes the environment from the first component's address where the command line names none.
func environmentOf(ask Ask) string {
	if ask.Environment == "" && len(ask.Components) > 0 {
		if env, _, ok := astern.SplitAddress(ask.Components[0]); ok {
			return env
		}
	}
	return ask.Environment
}

// request collects all that the planner needs.
func (a *App) request(ctx context.Context, e astern.Environment, ask Ask) (planner.Request, error) {
	now := a.Now().UTC().Truncate(time.Millisecond)
	if ask.WatchSeconds < 0 {
		ask.WatchSeconds = e.Policy.WatchSeconds
	}
	if ask.At.IsZero() {
		ask.At = now
	}
	ask.Judge = ask.Judge && ask.Verb == astern.VerbDeploy && a.judges(e, ask.Components)
	if ask.Percent == 0 {
		if ask.Percent = 100; ask.Judge {
			ask.Percent = judgedPercent
		}
	}
	ask.Judge = ask.Judge && ask.Percent < 100
	r := planner.Request{System: a.System.Name, Policy: e.Policy, Compatible: e.Compatible, Knowledge: a.System.Knowledge, Now: now, ID: newID(),
		WithoutUnreachable: ask.WithoutUnreachable,
		Asked:              astern.Asked{By: a.By, Known: "login name", Way: ask.Way, At: ask.At.UTC().Truncate(time.Millisecond)},
		Intent: astern.Intent{Verb: ask.Verb, Revision: ask.Revision, Moment: ask.Moment, Percent: ask.Percent,
			BakeSeconds: ask.BakeSeconds, Judge: ask.Judge, WatchSeconds: ask.WatchSeconds, Flag: ask.Flag, Reason: ask.Reason, Severity: ask.Severity}}
	var objects []string
	if ask.Object != "" {
		objects = []string{ask.Object}
		r.Intent.Object, r.Intent.Revision = &astern.ObjectChange{Object: ask.Object, Revision: ask.Revision}, ""
	}
	if err := a.addresses(&r, e, ask); err != nil {
		return r, err
	}
	var err error
	if r.Parts, err = a.parts(ctx, e, objects...); err != nil {
		return r, err
	}
	attempts, err := a.Attempts(ctx, r.Intent.Addresses...)
	if err != nil {
		return r, err
	}
	for i, p := range r.Parts {
		r.Parts[i].Failed = failed(attempts[p.Component.Address()], p.History)
	}
	if err := a.first(ctx, &r, e, ask); err != nil {
		return r, err
	}
	if ask.Moment != nil {
		events, err := a.Store.Events(ctx, "", 0)
		if err != nil {
			return r, fmt.Errorf("reading the ledger: %w", err)
		}
		r.Release = ledger.At(events, *ask.Moment)
	}
	if len(r.Intent.Addresses) == 1 && ask.Verb == astern.VerbRollback {
		measured, err := a.measured(ctx)
		if err != nil {
			return r, err
		}
		r.Measured = withWaits(readiness.Estimate(measured[r.Intent.Addresses[0]], astern.Estimate{}), ask)
	}
	return r, nil
}

// withWaits adds the time that a plan waits on purpose to what was measured.
func withWaits(e astern.Estimate, ask Ask) astern.Estimate {
	if e.Runs == 0 {
		return e
	}
	waits := float64(ask.WatchSeconds)
	if ask.Percent < 100 {
		waits += float64(ask.BakeSeconds)
	}
	e.MedianSeconds, e.LowSeconds, e.HighSeconds = e.MedianSeconds+waits, e.LowSeconds+waits, e.HighSeconds+waits
	return e
}

func (a *App) addresses(r *planner.Request, e astern.Environment, ask Ask) error {
	if ask.All {
		if len(ask.Components) > 0 {
			return astern.Errorf(astern.Invalid, "--all and names of components exclude each other")
		}
		for _, c := range e.Components {
			r.Intent.Addresses = append(r.Intent.Addresses, c.Address())
		}
		return nil
	}
	if len(ask.Components) == 0 {
		return astern.Errorf(astern.Invalid, "no component was named").WithHint("name one, or take all of them with --all --to TIME")
	}
	for _, name := range ask.Components {
		c, err := a.Component(e.Name, name)
		if err != nil {
			return err
		}
		r.Intent.Addresses = append(r.Intent.Addresses, c.Address())
	}
	return nil
}

// PlanUndo plans the reverse of what an execution did. One that has not ended is cancelled first: two executions never act
// on one component at once.
func (a *App) PlanUndo(ctx context.Context, id string, ask Ask) (Planned, error) {
	s, err := a.load(ctx, id)
	if err != nil {
		return Planned{}, err
	}
	if err := over(s.execution); err != nil {
		return Planned{}, fmt.Errorf("planning the undo of %s: %w", id, err)
	}
	return a.undoOf(ctx, s, ask)
}

// over refuses an execution that has not ended.
func over(e astern.Execution) error {
	if e.Outcome != "" {
		return nil
	}
	return astern.Errorf(astern.Conflict, "%s has not ended", e.ID).
		WithHint("first end it: astern cancel %s; then astern undo %s", e.ID, e.ID)
}

func (a *App) undoOf(ctx context.Context, s loaded, ask Ask) (Planned, error) {
	id := s.execution.ID
	env, _, _ := astern.SplitAddress(s.plan.Addresses()[0])
	e, err := a.Environment(env)
	if err != nil {
		return Planned{}, err
	}
	ask.Verb, ask.Environment = astern.VerbUndo, env
	for _, m := range s.plan.Moves {
		ask.Components = append(ask.Components, m.Address)
	}
	ask.Percent = 100
	r, err := a.request(ctx, e, ask)
	if err != nil {
		return Planned{}, err
	}
	r.Intent.Execution, r.Parent = id, s.execution.PlanHash
	p, err := planner.Undo(r, s.plan, undoable(s.fold.Done(s.records)))
	if err != nil {
		return Planned{}, err
	}
	return encode(p)
}

// undoable hands done steps to the planner, which knows no engine.
func undoable(done []engine.DoneStep) []planner.Done {
	out := make([]planner.Done, len(done))
	for i, d := range done {
		out[i] = planner.Done{Step: d.Step, Call: d.Call, Outputs: d.Outputs}
		for _, l := range d.Left {
			out[i].Left = append(out[i].Left, astern.Fact{Address: l.Address, Path: l.Path, Value: l.Value, Absent: l.Absent})
		}
	}
	return out
}
