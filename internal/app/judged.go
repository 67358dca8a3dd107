package app

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/watch"
)

// judgedPercent is the share that is taken first where it is judged: a control of equal size tells the most.
const judgedPercent = 50

// judges reports whether the one component has signals to be judged by.
func (a *App) judges(e astern.Environment, components []string) bool {
	if len(components) != 1 {
		return false
	}
	c, err := a.Component(e.Name, components[0])
	return err == nil && len(c.Signals) > 0
}

// trials are those that this process judges for checks, by their key.
type trials struct {
	lock sync.Mutex
	of   map[string]*trial
}

// trial is one of them: a watch of one component that only judges.
type trial struct {
	lock    sync.Mutex
	watcher *Watcher
	x       *watched
}

func (t *trials) close() {
	t.lock.Lock()
	defer t.lock.Unlock()
	for _, one := range t.of {
		one.watcher.signals.Close()
	}
	t.of = map[string]*trial{}
}

// trialOf returns the trial of a check; one that an earlier process began is gone on with.
func (a *App) trialOf(ctx context.Context, c astern.Check) (*trial, error) {
	a.trials.lock.Lock()
	defer a.trials.lock.Unlock()
	key := c.Judge.Trial + "/" + c.Address
	if t, ok := a.trials.of[key]; ok {
		return t, nil
	}
	component, ok := a.System.Component(c.Address)
	if !ok {
		return nil, astern.Errorf(astern.NotFound, "astern.yaml no longer declares %s", c.Address)
	}
	if len(component.Signals) == 0 {
		return nil, astern.Errorf(astern.Invalid, "%s declares no signals", c.Address)
	}
	e, _ := a.System.Environment(component.Environment)
	w := &Watcher{app: a, say: func(astern.WatchEvent) {}, kept: "trial/" + c.Judge.Trial + "/"}
	x := &watched{component: component, environment: e, said: map[string]string{}, needs: map[string]need{}}
	if err := w.recall(ctx, x); err != nil {
		return nil, err
	}
	w.all, w.signals = []*watched{x}, a.NewSignals()
	t := &trial{watcher: w, x: x}
	a.trials.of[key] = t
	return t, nil
}

// beside reads the signals once and says what is known until now.
func (a *App) beside(ctx context.Context, c astern.Check) astern.CheckResult {
	began := a.Now()
	verdict, evidence := a.besideOnce(ctx, c, began)
	return astern.CheckResult{Check: c.ID(), Verdict: verdict, Evidence: evidence, At: a.Now().UTC(), Seconds: a.Now().Sub(began).Seconds(), Attempts: 1}
}

func (a *App) besideOnce(ctx context.Context, c astern.Check, now time.Time) (astern.Verdict, string) {
	t, err := a.trialOf(ctx, c)
	if err != nil {
		return astern.Unknown, err.Error()
	}
	t.lock.Lock()
	defer t.lock.Unlock()
	w, x := t.watcher, t.x
	if x.lookedAt.IsZero() {
		w.look(ctx, func(*watched) bool { return true })
	}
	if x.known.Trial == nil {
		e := astern.Event{At: now, Address: c.Address, Kind: astern.EventDeployed, Revision: c.Judge.Revision}
		incidents, err := a.outages(ctx, c.Address, watch.Window(x.environment.Policy))
		if err != nil {
			return astern.Unknown, err.Error()
		}
		x.known.Levels, _ = a.levels(ctx, x.component, x.environment.Policy)
		x.known.Try(e, c.Judge.Baseline, x.component.Signals, w.pasts(ctx, x, now), now, now)
		x.known.Trial.Widen(x.component, incidents, now)
	}
	asks, _ := w.asks()
	answers := w.signals.Read(ctx, asks)
	w.look(ctx, func(*watched) bool { return true })
	if x.trouble != "" || ctx.Err() != nil {
		return astern.Unknown, "what its members run can't be seen: " + x.trouble
	}
	w.askAlarms(ctx)
	x.known.Take(a.Now(), runsOf(x.state), x.component.Signals, answers)
	if c.Judge.Trial != "" {
		if err := w.keep(ctx, x, false); err != nil {
			return astern.Unknown, err.Error()
		}
	}
	return verdictOf(x, c)
}

// verdictOf words what is known of a trial.
func verdictOf(x *watched, c astern.Check) (astern.Verdict, string) {
	against := c.Judge.Revision + " beside " + c.Judge.Baseline
	var unknown []string
	for _, f := range x.findings() {
		switch f.Verdict {
		case watch.Worse:
			return astern.Fail, fmt.Sprintf("%s: %s: %s", against, f.Signal, f.Says)
		case watch.Unknown:
			unknown = append(unknown, f.Signal+": "+f.Says)
		}
	}
	if healthy, of := x.healthy(); healthy {
		return astern.Pass, fmt.Sprintf("%s: not worse, by %d signals", against, of)
	}
	return astern.Unknown, against + ": " + clipped(strings.Join(unknown, "; "))
}

// JudgeBeside holds the members of a component that run a revision against those that run another one, in rounds, until it is known
// whether it is worse or the time is over. Observe is called with each round's result.
func (a *App) JudgeBeside(ctx context.Context, environment, name, revision, baseline string, every, atMost time.Duration,
	observe func(astern.CheckResult)) (astern.CheckResult, error) {
	c, err := a.Component(environment, name)
	if err != nil {
		return astern.CheckResult{}, err
	}
	for _, r := range []string{revision, baseline} {
		if err := checkRevision(r); err != nil {
			return astern.CheckResult{}, err
		}
	}
	switch {
	case revision == baseline:
		return astern.CheckResult{}, astern.Errorf(astern.Invalid, "%s can't be held against itself", revision)
	case len(c.Signals) == 0:
		return astern.CheckResult{}, astern.Errorf(astern.Invalid, "%s declares no signals to be judged by", c.Address()).WithHint("add signals: to it in astern.yaml")
	}
	check := astern.Check{Name: "not-worse", Address: c.Address(), Effects: astern.EffectsNone,
		Judge: &astern.JudgeCheck{Revision: revision, Baseline: baseline}}
	ends := a.Now().Add(atMost)
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		r := a.beside(ctx, check)
		observe(r)
		if r.Verdict != astern.Unknown || !a.Now().Before(ends) {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, astern.Errorf(astern.Interrupted, "judging %s of %s: interrupted", revision, c.Address())
		case <-ticks.C:
		}
	}
}
