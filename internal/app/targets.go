package app

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/inventory"
	"github.com/astern-dev/astern/internal/planner"
	"github.com/astern-dev/astern/internal/policy"
	"github.com/astern-dev/astern/internal/readiness"
)

// parts observes every component of the environment in full and judges its targets; the versions of objects are asked
// for where some are named.
func (a *App) parts(ctx context.Context, e astern.Environment, objects ...string) ([]planner.Part, error) {
	return a.partsOf(ctx, e, e.Components, objects...)
}

func (a *App) partsOf(ctx context.Context, e astern.Environment, components []astern.Component, objects ...string) ([]planner.Part, error) {
	return a.partsSeen(ctx, e, components, astern.Scope{Full: a.Full, Objects: objects})
}

func (a *App) partsSeen(ctx context.Context, e astern.Environment, components []astern.Component, scope astern.Scope) ([]planner.Part, error) {
	seen := inventory.Ask(ctx, components, func(kind string) (astern.Observer, bool) {
		d, ok := a.driver(kind)
		return d.Observer, ok
	}, scope)
	measured, err := a.measured(ctx)
	if err != nil {
		return nil, err
	}
	cancelled, err := a.cancelled(ctx)
	if err != nil {
		return nil, err
	}
	may := a.allowances(ctx, seen)
	parts := make([]planner.Part, len(seen))
	for i, s := range seen {
		h, err := a.historyOf(ctx, s.Component.Address(), cancelled)
		if err != nil {
			return nil, err
		}
		d, _ := a.driver(s.Component.Kind)
		parts[i] = planner.Part{Component: s.Component, Layer: d.Layer, Router: d.Router, Switcher: d.Switcher, Picker: d.Picker, State: s.State, History: h}
		if s.Trouble != nil {
			parts[i].Trouble = s.Trouble.Error()
			continue
		}
		parts[i].Targets = a.judge(e, parts[i], measured[s.Component.Address()], may[s.Component.Address()])
	}
	return parts, nil
}

// together adds to each target whether the component could go there alone. Planning does not ask it: a plan that takes
// others along may go there, and one that does not is refused.
func together(rules []astern.Compatibility, parts []planner.Part) {
	for _, p := range parts {
		for i := range p.Targets {
			t := &p.Targets[i]
			if pair := planner.Alone(rules, parts, p.Component.Name, t.Revision); pair != "" && !t.Current {
				t.Evidence = append(t.Evidence, astern.Evidence{What: "it can't go there alone: " + pair, Readiness: astern.AtRisk,
					Seen: p.State.Values["revision"].At})
				if t.Readiness == astern.Ready {
					t.Readiness = astern.AtRisk
				}
			}
		}
	}
}

// judge returns the component's targets with readiness, estimate, loss and approvals, the last deployed first.
func (a *App) judge(e astern.Environment, p planner.Part, measured []float64, may *allowance) []astern.Target {
	out := p.Router.Targets(p.Component, p.State, p.History)
	now := a.Now()
	// A router is pure, so the targets of one component may be judged side by side.
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(len(out), runtime.GOMAXPROCS(0)) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(out); i = int(next.Add(1)) - 1 {
				out[i] = judgeTarget(e, p, out[i], measured, may, now)
			}
		})
	}
	wait.Wait()
	slices.SortStableFunc(out, func(x, y astern.Target) int { return newer(x, y) })
	return out
}

func judgeTarget(e astern.Environment, p planner.Part, t astern.Target, measured []float64, may *allowance, now time.Time) astern.Target {
	d, _ := p.History.Of(t.Revision)
	t.KnownGoodAt, t.DeployedAt, t.Latched = d.KnownGoodAt, d.LastAt, d.Latched
	if t.DeployedAt == nil {
		t.DeployedAt, t.Imported = d.FirstAt, true
	}
	t = readiness.Judge(t, d, p.Component.Objectives, now)
	guess := astern.Estimate{}
	o := astern.Options{Verb: astern.VerbRollback, Percent: 100, Now: now, Sketch: true}
	if rt, err := p.Router.Route(p.Component, p.State, t, o); err == nil {
		guess.MedianSeconds = planner.Guess(rt)
		t.Loss = rt.Loss
		may.weigh(&t, rt, now)
	} else if !t.Current && (t.Readiness == astern.Ready || t.Readiness == astern.AtRisk) {
		t.Readiness = astern.Broken
		t.Evidence = append(t.Evidence, astern.Evidence{What: "there is no way there: " + err.Error(), Readiness: astern.Broken, Seen: now})
	}
	t.Estimate = readiness.Estimate(measured, guess)
	if demands, err := policy.Demands(e.Policy, policy.Matter{Components: []string{p.Component.Name}, Loss: t.Loss}); err == nil { // it fails for a severity only
		t.Approvals = policy.Others(e.Policy, demands, "")
	}
	return t
}

func newer(x, y astern.Target) int {
	switch {
	case x.DeployedAt == nil && y.DeployedAt == nil:
		return 0
	case x.DeployedAt == nil:
		return 1
	case y.DeployedAt == nil:
		return -1
	}
	return y.DeployedAt.Compare(*x.DeployedAt)
}

// enoughMeasured is how many records of a component's journals are read to measure its rollbacks, the newest first: of thousands of
// steps that is one or two, of a few all.
const enoughMeasured = 20_000

// measured returns, for each component, how many seconds past rollbacks took from their first step to their proof,
// without bake and watch, which the next plan chooses anew.
func (a *App) measured(ctx context.Context) (map[string][]float64, error) {
	all, err := a.Store.Executions(ctx, 50, false)
	if err != nil {
		return nil, err
	}
	out, read := map[string][]float64{}, map[string]int{}
	for _, e := range all {
		if e.Outcome != astern.OutcomeDone {
			continue
		}
		p, err := a.planOf(ctx, e)
		if err != nil || p.Intent.Verb != astern.VerbRollback || len(p.Moves) != 1 {
			continue // one old execution that can't be read costs an estimate its figure, never a recovery
		}
		address := p.Moves[0].Address
		if read[address] >= enoughMeasured {
			continue
		}
		s, err := a.withJournal(ctx, e, p)
		if err != nil {
			continue
		}
		read[address] += len(s.records)
		ph := s.phases()
		out[address] = append(out[address], max(0, ph.ExecuteSeconds+ph.ProveSeconds-float64(p.Intent.WatchSeconds)))
	}
	return out, nil
}

// ComponentTargets is one component with its judged targets, or the reason why it could not be observed.
type ComponentTargets struct {
	Component astern.Component
	Current   string
	Runs      astern.Value // what Current is the text of
	Mixed     []string     // which members run what, a line for each revision; empty where they run the same
	Apart     []string     // members whose processes were not started under what their links lead to, a line each
	Elsewhere []string     // executions of other state folders that act on it and have not ended, a line each
	History   astern.History
	Targets   []astern.Target
	// WatchSeconds is how long a rollback is watched at its end by the policy, 0 where nothing would look.
	WatchSeconds int64
	Trouble      string
}

// watchTime is how long a rollback of the component is watched at its end: by the policy, and only where something looks.
func watchTime(p astern.Policy, c astern.Component) int64 {
	if looks := func(k astern.Check) bool { return k.Effects != astern.EffectsSome }; !c.Watchable() && !slices.ContainsFunc(c.Checks, looks) {
		return 0
	}
	return p.WatchSeconds
}

// Targets observes the environment's component of that name, or all when name is "".
func (a *App) Targets(ctx context.Context, e astern.Environment, name string) ([]ComponentTargets, error) {
	components := e.Components
	if name != "" {
		c, err := a.Component(e.Name, name)
		if err != nil {
			return nil, err
		}
		components = []astern.Component{c}
	}
	parts, err := a.partsOf(ctx, e, components)
	if err != nil {
		return nil, err
	}
	together(e.Compatible, parts)
	out := make([]ComponentTargets, len(parts))
	for i, p := range parts {
		out[i] = ComponentTargets{Component: p.Component, Current: p.State.Values["revision"].String(), History: p.History,
			Runs: p.State.Values["revision"], Targets: p.Targets, Trouble: p.Trouble}
		out[i].Apart, _ = planner.Apart(p.State)
		out[i].Elsewhere = a.elsewhere(ctx, p.Component.Address(), p.State)
		out[i].Mixed, out[i].WatchSeconds = mixed(p.State), watchTime(e.Policy, p.Component)
		if _, ok := p.State.Get("revision"); !ok {
			out[i].Current = ""
		}
	}
	return out, nil
}
