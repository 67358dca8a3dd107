package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/inventory"
	"github.com/astern-dev/astern/internal/watch"
)

// probes are the component's own checks, made by the watch itself while its signals have no data: monitoring that is gone is
// no health, and no fault either.
type probes struct {
	since  time.Time // when they began to fail; zero while they pass
	rounds int       // how many rounds one after the other they fail, or pass
	find   watch.Finding
}

// probesWanted is how many rounds probes must agree to be believed.
const probesWanted = 3

// probe makes the checks of each member that have no effects, once, while the watch is blind.
func (w *Watcher) probe(ctx context.Context, x *watched, now time.Time) {
	if !x.known.Blind(x.component.Signals) || len(x.component.Checks) == 0 {
		x.probes = probes{}
		return
	}
	bound, results := w.askReady(ctx, x.component, x.state, true)
	if len(bound) == 0 {
		return
	}
	fails, first := map[string]bool{}, ""
	for i, r := range results {
		if r.Verdict == astern.Fail {
			if fails[bound[i].Member] = true; first == "" {
				first = bound[i].ID() + ": " + r.Evidence
			}
		}
	}
	x.probes.judge(x, fails, first, now)
}

// askReady makes once the checks without effects that say whether a component is ready, or all such checks where none are named;
// with each only those that are made for each member.
func (w *Watcher) askReady(ctx context.Context, c astern.Component, s astern.State, each bool) (bound []astern.Check, results []astern.CheckResult) {
	for _, k := range c.Checks {
		if k.Effects == astern.EffectsSome || each && !k.Each || len(c.Ready) > 0 && !slices.Contains(c.Ready, k.Name) {
			continue
		}
		k.Attempts = 1
		for _, m := range membersFor(k, s) {
			if b, err := k.Bind(valuesOf(s, m)); err == nil {
				bound = append(bound, b)
			}
		}
	}
	results = make([]astern.CheckResult, len(bound))
	inventory.Each(len(bound), func(i int) { results[i] = w.app.runCheck(ctx, bound[i]) })
	return bound, results
}

// judge says whether those members fail that run what is judged.
func (p *probes) judge(x *watched, fails map[string]bool, first string, now time.Time) {
	members, failing, beside, besideFailing := 0, 0, 0, 0
	for m, revision := range x.known.Runs {
		judged := x.known.Trial == nil || revision == x.known.Trial.Deployed.Revision
		switch {
		case judged && fails[m]:
			members, failing = members+1, failing+1
		case judged:
			members++
		case fails[m]:
			beside, besideFailing = beside+1, besideFailing+1
		default:
			beside++
		}
	}
	failed := members > 0 && failing*2 > members
	if failed != !p.since.IsZero() {
		p.rounds, p.since = 0, time.Time{}
		if failed {
			p.since = now
		}
	}
	p.rounds++
	p.find = watch.Finding{Signal: watch.OwnChecks, Kind: astern.SignalErrors, Verdict: watch.NotWorse, Began: p.since,
		Says: fmt.Sprintf("the signals have no data, and %d of %d instances pass their checks", members-failing, members)}
	if failed {
		p.find.Verdict, p.find.Large, p.find.Controlled = watch.Worse, true, x.known.Trial != nil && beside > 0 && besideFailing == 0
		p.find.Harm = 100 * float64(failing) / float64(len(x.known.Runs))
		p.find.Says = fmt.Sprintf("the signals have no data, and %d of %d instances fail their checks: %s", failing, members, clipped(first))
	}
	if p.rounds < probesWanted {
		p.find.Verdict = watch.Unknown
	}
}

// findings are those of the signals, and that of the component's own checks where they are what is left.
func (x *watched) findings() []watch.Finding {
	out := append(x.known.Findings(x.component.Signals), x.alarmFindings()...)
	if x.probes.rounds > 0 {
		out = append(out, x.probes.find)
	}
	return out
}

// stillWorse is what is worse since something was done; ok is false while nothing is known to be.
func (x *watched) stillWorse(now time.Time) (watch.Finding, bool) {
	if f := x.probes.find; x.probes.rounds > 0 && f.Verdict == watch.Worse {
		return f, true
	}
	if f, ok := x.stillAlarmed(now); ok {
		return f, true
	}
	return x.known.StillWorse(x.component.Signals)
}

func (x *watched) worse() bool {
	return slices.ContainsFunc(x.findings(), func(f watch.Finding) bool { return f.Verdict == watch.Worse })
}
