package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/smithy-go"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/bench/verdict"
	"github.com/astern-dev/astern/internal/app"
)

// patience bounds the rollback of one target, in real time: longer than any that works takes by far.
const patience = time.Minute

// trial is one: a component, and what is broken of it.
type trial struct {
	*world
	seed   uint64
	rows   []row
	target string
}

// outcomes makes the trials, as many side by side as there are slots. Only limits the kinds; none means all.
func outcomes(ctx context.Context, folder string, first, count uint64, slots int, only []string) ([]verdict.Tried, error) {
	m, err := newMachine(ctx, folder, slots)
	if err != nil {
		return nil, err
	}
	defer m.stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var all []verdict.Tried
	next := make(chan uint64)
	var wait sync.WaitGroup
	for _, s := range m.slots {
		wait.Go(func() {
			for seed := range next {
				some, err := m.trial(ctx, s, seed, only)
				if err != nil {
					cancel(fmt.Errorf("trial %d: %w", seed, err))
					continue
				}
				mu.Lock()
				all = append(all, some...)
				mu.Unlock()
			}
		})
	}
	for seed := first; seed < first+count && ctx.Err() == nil; seed++ {
		select {
		case next <- seed:
		case <-ctx.Done():
		}
	}
	close(next)
	wait.Wait()
	slices.SortStableFunc(all, func(a, b verdict.Tried) int { return int(a.Seed) - int(b.Seed) })
	if ctx.Err() != nil {
		return all, context.Cause(ctx)
	}
	return all, nil
}

// trial makes the one that follows from the seed.
func (m *machine) trial(ctx context.Context, s *slot, seed uint64, only []string) ([]verdict.Tried, error) {
	all := kinds()
	if len(only) > 0 {
		all = slices.DeleteFunc(all, func(k *kind) bool { return !slices.Contains(only, k.name) })
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no kind %v", only)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	k := all[seed%uint64(len(all))]
	w, err := newWorld(ctx, m, s, k, seed, rng)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.name, err)
	}
	defer w.close()
	t := trial{world: w, seed: seed}
	t.draw()
	out, err := t.run(ctx)
	if err != nil {
		err = fmt.Errorf("%s, %s, %v: %w", k.name, w.shape, t.names(""), err)
	}
	return out, err
}

// draw chooses what is broken: nothing in a quarter of the trials, two things in a few.
func (t *trial) draw() {
	t.target = t.targets[t.rng.IntN(len(t.targets))]
	n := 1
	switch k := t.rng.IntN(16); {
	case k < 4:
		n = 0
	case k == 4:
		n = 2
	}
	for len(t.rows) < n {
		r := t.kind.rows[t.rng.IntN(len(t.kind.rows))]
		if len(r.shapes) > 0 && !slices.Contains(r.shapes, t.shape) || slices.Contains(t.names(""), r.name) ||
			n == 2 && (r.after || r.read == "") { // of two, both could have been seen: else nobody knew whose fault it was
			continue
		}
		t.rows = append(t.rows, r)
	}
}

// names are those of the rows that can hurt a target; "" is any.
func (t *trial) names(target string) []string {
	var out []string
	for _, r := range t.rows {
		if target == "" || !r.one || target == t.target {
			out = append(out, r.name)
		}
	}
	return out
}

// breakRows does what the rows say.
func (t *trial) breakRows(ctx context.Context, after bool) error {
	for n, r := range t.rows {
		if r.after != after {
			continue
		}
		if err := r.do(ctx, &damage{t.world, t.target}); err != nil && n == 0 {
			return fmt.Errorf("breaking it: %w", err)
		}
		// The second may find nothing left to break.
	}
	return t.failing(true)
}

// run makes the trial.
func (t *trial) run(ctx context.Context) ([]verdict.Tried, error) {
	if err := t.breakRows(ctx, false); err != nil {
		return nil, err
	}
	said, err := t.ask(ctx)
	for n := 1; err == nil && t.judged && unasked(said); n++ {
		if n == 5 {
			return nil, errors.New("this machine is too slow: IAM did not answer what the policies say within the five seconds that it has")
		}
		said, err = t.ask(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("asking for targets: %w", err)
	}
	if err := t.breakRows(ctx, true); err != nil {
		return nil, err
	}
	var out []verdict.Tried
	first := slices.Index(t.targets, t.target) // what concerns one target is seen as it was left
	all := slices.Concat(t.targets[first:], t.targets[:first])
	if slices.ContainsFunc(t.rows, func(r row) bool { return r.passes }) {
		all = all[:1]
	}
	for _, target := range all {
		one := t.expect(target, said[target])
		if err := t.try(ctx, &one); err != nil {
			return out, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx) // it was stopped: nothing was shown
		}
		out = append(out, one)
	}
	return out, nil
}

// unasked tells whether the lab's IAM was not heard, which says nothing of the readiness: at AWS it answers within a second.
func unasked(said map[string]astern.Target) bool {
	for _, t := range said {
		if slices.ContainsFunc(t.Evidence, func(e astern.Evidence) bool {
			return strings.Contains(e.What, "were not simulated") && strings.Contains(e.What, "no answer in time")
		}) {
			return true
		}
	}
	return false
}

// ask has astern say what it thinks of each target.
func (t *trial) ask(ctx context.Context) (out map[string]astern.Target, err error) {
	a, done, err := t.open(ctx, t.state())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	e, err := a.Environment("test")
	if err != nil {
		return nil, err
	}
	all, err := a.Targets(ctx, e, "shop")
	if err != nil {
		return nil, err
	}
	out = map[string]astern.Target{}
	for _, c := range all {
		for _, target := range c.Targets {
			out[target.Revision] = target
		}
		for _, target := range t.targets {
			if _, ok := out[target]; !ok && c.Trouble != "" {
				out[target] = astern.Target{Readiness: astern.ReadyUnknown, Evidence: []astern.Evidence{{What: c.Trouble, Readiness: astern.ReadyUnknown}}}
			}
		}
	}
	return out, nil
}

// expect notes what is known of a target before it is tried.
func (t *trial) expect(target string, said astern.Target) verdict.Tried {
	o := verdict.Tried{Seed: t.seed, Shape: t.kind.name + " " + t.shape, Target: target, Proven: true, Said: said.Readiness, Because: "it is no target", Rows: t.names(target)}
	if said.Readiness == "" {
		o.Said = astern.Broken // a revision that is not even listed
	}
	for _, e := range said.Evidence {
		if e.Readiness == said.Readiness {
			o.Because = e.What
			break
		}
	}
	for _, r := range t.rows {
		o.Seeable = o.Seeable || slices.Contains(o.Rows, r.name) && r.read != "" && !r.after
	}
	return o
}

// try goes to the target for real, looks at the world, and leads it back.
func (t *trial) try(ctx context.Context, o *verdict.Tried) error {
	elsewhere := false
	how, planned, err := t.goTo(ctx, o.Target)
	o.Happened = how
	if err != nil && !planned && o.Said != astern.Ready {
		// astern would not even plan it: then its own word can't prove it right, and a person's commands are tried.
		o.Happened += "; by hand: done"
		if elsewhere = !strings.Contains(t.declaration, roleIn(t.account)); elsewhere {
			o.Happened = how + "; by hand: with these credentials there is nothing to change"
		} else if err := t.subject.byHand(ctx, o.Target); err != nil {
			o.Happened = how + "; by hand: " + short(err)
		}
	}
	if err := t.failing(false); err != nil {
		return err
	}
	why := t.subject.reached(ctx, o.Target)
	for tries := 1; strings.Contains(why, unseen); tries++ {
		if tries == 5 {
			return fmt.Errorf("looking at %s of trial %d: %s", o.Target, t.seed, why)
		}
		why = t.subject.reached(ctx, o.Target)
	}
	if o.Works = why == "" && !elsewhere; why != "" { // who looks from elsewhere goes nowhere, also where somebody else went there
		o.Happened += "; but " + why
	}
	if err := t.subject.back(ctx); err != nil {
		o.Happened += "; not led back: " + short(err)
	}
	return t.failing(true)
}

// goTo has astern roll back, on a copy of the state. planned tells whether there was a plan at all.
func (t *trial) goTo(ctx context.Context, target string) (how string, planned bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	state := filepath.Join(t.home, "tried-"+target)
	if err := os.CopyFS(state, os.DirFS(t.state())); err != nil {
		return "", false, err
	}
	a, done, err := t.open(ctx, state)
	if err != nil {
		return short(err), false, err
	}
	defer func() {
		if closed := done(); err == nil {
			err = closed
		}
	}()
	p, err := a.Plan(ctx, app.Ask{Verb: astern.VerbRollback, Environment: "test", Components: []string{"shop"}, Revision: target, Percent: 100,
		Reason: "a trial", Way: "cli"})
	if err != nil {
		return short(err), false, err
	}
	if err := carryOut(ctx, a, p.Doc); err != nil {
		return short(err), true, err
	}
	return "done", true, nil
}

// unseen begins what is said where no answer came to the bench's own look: that is no word about the target.
const unseen = "it could not be seen: "

// seen says what an error of the bench's own look tells of the world.
func seen(err error) string {
	var call *smithy.OperationError
	var answer smithy.APIError
	if errors.As(err, &call) && !errors.As(err, &answer) {
		return unseen + short(err)
	}
	return short(err)
}

func short(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return text[:min(len(text), 240)]
}
