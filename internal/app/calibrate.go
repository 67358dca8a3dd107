package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/detect"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/watch"
)

const (
	// pastStep is how often a past is read.
	pastStep = 15 * time.Second
	// levelAge is how long a calibrated level is used before the past is replayed anew.
	levelAge = 24 * time.Hour
	// levelTime is how long reading a past may take while others wait for it.
	levelTime = 20 * time.Second
)

// calibration is what is kept of replaying one component's past. It counts as long as what it was made for is the same.
type calibration struct {
	astern.CalibratedLevel
	Signals []astern.Signal `json:"signals"`
}

// levelKey is where it is kept.
func levelKey(address string) string { return "watch/level/" + address }

// Calibrate replays the quiet past of a component and keeps the level that comes of it, whether or not the policy asks for
// it. Errors: the component has no signals (invalid); what it runs, or the past of none of its signals, can be read.
func (a *App) Calibrate(ctx context.Context, environment, name string) (astern.CalibratedLevel, error) {
	c, err := a.Component(environment, name)
	if err != nil {
		return astern.CalibratedLevel{}, err
	}
	if len(c.Signals) == 0 {
		return astern.CalibratedLevel{}, astern.Errorf(astern.Invalid, "%s declares no signals: there is nothing to calibrate", c.Address())
	}
	e, _ := a.System.Environment(c.Environment)
	parts, err := a.partsOf(ctx, e, []astern.Component{c})
	if err != nil {
		return astern.CalibratedLevel{}, err
	}
	if parts[0].Trouble != "" {
		return astern.CalibratedLevel{}, astern.Errorf(astern.Unavailable, "calibrating the judge of %s: what it runs can't be seen: %s", c.Address(), parts[0].Trouble)
	}
	signals := a.NewSignals()
	defer signals.Close()
	return a.calibrate(ctx, signals, c, parts[0].State, e.Policy)
}

// calibrate is Calibrate with what was asked before.
func (a *App) calibrate(ctx context.Context, signals *Signals, c astern.Component, state astern.State, p astern.Policy) (astern.CalibratedLevel, error) {
	now := a.Now().UTC()
	out := astern.CalibratedLevel{Address: c.Address(), At: now, Wanted: wantedAlarms(p) * 100, WatchSeconds: int64(watch.Window(p).Seconds()), PastSeconds: int64(p.Judge.Past().Seconds())}
	loud, err := a.loud(ctx, c.Address(), watch.Window(p), now)
	if err != nil {
		return out, err
	}
	halves := signal.Halves(namesOf(state))
	var quiet []detect.Quiet
	var failed error
	for _, s := range c.Signals {
		rule, err := detect.RuleOf(s)
		if err != nil {
			continue // whoever makes the panel says so
		}
		samples, err := pastOf(ctx, signals, askOf(s, state), halves, now.Add(-p.Judge.Past()), now)
		if err != nil {
			failed = err
			out.Left = append(out.Left, s.Name)
			continue
		}
		samples = slices.DeleteFunc(samples, func(x astern.Sample) bool {
			return slices.ContainsFunc(loud, func(t span) bool { return x.From.Before(t.to) && x.To.After(t.from) })
		})
		quiet = append(quiet, detect.Quiet{Rule: rule, Samples: samples})
	}
	if len(quiet) == 0 {
		return out, fmt.Errorf("calibrating the judge of %s: no signal has a past that can be read: %w", c.Address(), failed)
	}
	if len(out.Left) > 0 {
		out.Level, out.Expected, out.Upper = out.Wanted, 100, 100
		out.Problem = fmt.Sprintf("the past of %s can't be read: %s", strings.Join(out.Left, ", "), failed)
		return out, a.keepLevel(ctx, c, out)
	}
	got := detect.Calibrate(quiet, watch.Window(p), wantedAlarms(p))
	out.Level, out.Expected, out.Upper = got.Level*100, got.Expected*100, got.Upper*100
	out.Watches, out.Alarms, out.SetBy, out.Problem = got.Windows, got.Alarms, got.SetBy, got.Problem
	return out, a.keepLevel(ctx, c, out)
}

// wantedAlarms is the share of watches that a calibrated level may call worse for nothing.
func wantedAlarms(p astern.Policy) float64 { return watch.FirstShare * p.Judge.Level() }

// keepLevel keeps what calibrating came to.
func (a *App) keepLevel(ctx context.Context, c astern.Component, l astern.CalibratedLevel) error {
	b, err := json.Marshal(calibration{l, c.Signals})
	if err == nil {
		err = a.Store.KeepProof(ctx, levelKey(c.Address()), b, l.At)
	}
	if err != nil {
		return fmt.Errorf("keeping the calibrated level of %s: %w", c.Address(), err)
	}
	return nil
}

// span is a stretch of time.
type span struct{ from, to time.Time }

// loud are the times of a component that are no example of a quiet one: after its deployments, and in its incidents.
func (a *App) loud(ctx context.Context, address string, window time.Duration, now time.Time) ([]span, error) {
	events, err := a.Store.Events(ctx, address, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger of %s: %w", address, err)
	}
	var out []span
	for _, e := range events {
		if e.Kind == astern.EventDeployed {
			out = append(out, span{e.At.Add(-time.Minute), e.At.Add(window)})
		}
	}
	executions, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return nil, fmt.Errorf("reading executions: %w", err)
	}
	for _, e := range executions {
		if slices.Contains(e.Addresses, address) { // one that was judged worse and reversed is in no ledger
			end := now
			if e.EndedAt != nil {
				end = *e.EndedAt
			}
			out = append(out, span{e.CreatedAt.Add(-time.Minute), end.Add(window)})
		}
	}
	incidents, err := a.Incidents(ctx)
	if err != nil {
		return nil, err
	}
	for _, in := range incidents {
		if slices.Contains(in.Addresses, address) {
			out = append(out, span{in.BeganAt, in.BeganAt.Add(in.Harm(now) + window)})
		}
	}
	return out, nil
}

// pastOf returns what a signal counted of two halves of its members.
func pastOf(ctx context.Context, signals *Signals, ask signal.Ask, halves signal.Groups, from, to time.Time) ([]astern.Sample, error) {
	rounds, err := signals.Past(ctx, ask, from, to, pastStep)
	if err != nil {
		return nil, err
	}
	return signal.Replay(rounds, func(time.Time) signal.Groups { return halves }), nil
}

// levels returns the levels that a component's judges are made with, and whether they are those that the policy asks for: a
// calibrated one must have been replayed lately.
func (a *App) levels(ctx context.Context, c astern.Component, p astern.Policy) (watch.Levels, bool) {
	out := watch.Levels{All: p.Judge.Level()}
	if !p.Judge.Calibrated {
		return out, true
	}
	b, ok, err := a.Store.Proof(ctx, levelKey(c.Address()))
	if err != nil || !ok {
		return out, false
	}
	var k, wanted calibration
	if json.Unmarshal(b, &k) != nil {
		return out, false // it is a cache
	}
	wanted = calibration{k.CalibratedLevel, c.Signals}
	wanted.Wanted, wanted.WatchSeconds, wanted.PastSeconds = wantedAlarms(p)*100, int64(watch.Window(p).Seconds()), int64(p.Judge.Past().Seconds())
	if again, err := json.Marshal(wanted); err != nil || string(again) != string(b) || !(k.Level > 0 && k.Level < 100) {
		return out, false
	}
	age := a.Now().Sub(k.At)
	if age < 0 || age >= 2*levelAge {
		return out, false // it could not be replayed for days: the guarantee holds
	}
	if k.Problem == "" {
		out.Beside, out.For = k.Level/100, watch.Window(p)
		out.Calibrated = fmt.Sprintf("calibrated on %d quiet watches of the past, %d of them called worse: %.2g %% of watches like those are expected to be", k.Watches, k.Alarms, k.Expected)
	}
	return out, age < levelAge
}

// calibrateOne replays the past of one component whose policy asks for it and whose level is old, while nothing is judged
// anywhere: a round waits for one at most.
func (w *Watcher) calibrateOne(ctx context.Context) {
	now := w.app.Now()
	if slices.ContainsFunc(w.all, func(x *watched) bool { return x.known.Trial != nil || !x.known.Fault.IsZero() }) {
		return
	}
	for _, x := range w.all {
		p := x.environment.Policy
		if !p.Judge.Calibrated || x.trouble != "" || now.Before(x.calibrateAt) || len(revisionsOf(x.known.Runs)) > 1 {
			continue // somebody tries something out
		}
		if _, fresh := w.app.levels(ctx, x.component, p); fresh {
			x.calibrateAt = now.Add(levelAge)
			continue
		}
		x.calibrateAt = now.Add(time.Hour) // one that fails is tried again
		limited, stop := context.WithTimeout(ctx, levelTime)
		defer stop()
		got, err := w.app.calibrate(limited, w.signals, x.component, x.state, p)
		text := ""
		switch {
		case err != nil:
			text = "the judge can't be calibrated; the level of before, if there is one, holds for two days, then the guaranteed one: " + err.Error()
		case got.Problem != "":
			text = "the judge can't be calibrated, and keeps to the guaranteed level: " + got.Problem
		case got.Level < got.Wanted:
			text = fmt.Sprintf("the judge is calibrated on a past that has what looks like a fault at %s: it will hardly find any until an incident is opened about it (--began), which leaves it out",
				got.SetBy.UTC().Format("2006-01-02 15:04Z"))
		}
		w.once(x, "calibrate", astern.WatchEvent{Kind: astern.WatchTrouble, Text: text})
		return
	}
}

// revisionsOf are the revisions that members run.
func revisionsOf(runs map[string]string) map[string]bool {
	out := map[string]bool{}
	for _, r := range runs {
		out[r] = true
	}
	return out
}
