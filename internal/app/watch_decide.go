package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/incident"
	"github.com/astern-dev/astern/internal/knowledge"
	"github.com/astern-dev/astern/internal/planner"
	"github.com/astern-dev/astern/internal/policy"
	"github.com/astern-dev/astern/internal/readiness"
	"github.com/astern-dev/astern/internal/watch"
)

const (
	// mostPlans is how many plans are made for one fault before people are asked: each time the world had changed.
	mostPlans = 3
	// mostWays is how many earlier revisions are weighed.
	mostWays = 5
	// firstPercent and bakeSeconds are the stages in which astern takes something back by itself.
	firstPercent, bakeSeconds = 50, 5
)

// wayAsk is a way back with what is asked of the planner for it.
type wayAsk struct {
	watch.Way
	ask Ask
}

// situation collects all that a decision rests on.
func (w *Watcher) situation(ctx context.Context, x *watched, now time.Time, rules watch.Rules) (watch.Situation, error) {
	s := watch.Situation{Now: now, Well: x.known.Well, Address: x.component.Address(), Findings: x.findings(), Rules: rules, Elsewhere: x.elsewhere()}
	var err error
	if s.Changes, err = w.changes(ctx, x); err != nil {
		return s, err
	}
	if s.Busy, err = w.busy(ctx, x); err != nil {
		return s, err
	}
	if err := w.unrecorded(ctx, x, &s); err != nil {
		return s, err
	}
	logs, err := w.app.Store.Incidents(ctx)
	if err != nil {
		return s, fmt.Errorf("reading incidents: %w", err)
	}
	for _, log := range logs {
		in := incident.Fold(log)
		if in.ID != x.known.Incident && slices.Contains(in.Addresses, s.Address) {
			s.Past = append(s.Past, in)
		}
	}
	return s, nil
}

// unrecorded adds to what may be to blame the executions on the component that were under way when the fault began, and of which
// the ledger has no deployment: a share that is still judged, one that was reversed.
func (w *Watcher) unrecorded(ctx context.Context, x *watched, s *watch.Situation) error {
	began := watch.Judge(*s).Began
	if began.IsZero() {
		return nil
	}
	all, err := w.app.Store.Executions(ctx, 0, false)
	if err != nil {
		return fmt.Errorf("reading executions: %w", err)
	}
	for _, e := range all {
		if !slices.Contains(e.Addresses, s.Address) || !e.CreatedAt.Before(began) || e.EndedAt != nil && e.EndedAt.Before(began) ||
			slices.ContainsFunc(s.Changes, func(c astern.Event) bool { return c.Execution == e.ID }) {
			continue
		}
		s.Elsewhere = append(s.Elsewhere, watch.Elsewhere{What: "it began during " + e.ID + ", which the ledger has no deployment of", Since: e.CreatedAt})
	}
	return nil
}

// changes are the deployments of the component and of what it depends on, the oldest first. A rollback that astern made to
// mend a fault is one as well.
func (w *Watcher) changes(ctx context.Context, x *watched) ([]astern.Event, error) {
	var out []astern.Event
	for _, name := range append([]string{x.component.Name}, x.component.DependsOn...) {
		events, err := w.app.Store.Events(ctx, astern.Address(x.component.Environment, name), 0)
		if err != nil {
			return nil, fmt.Errorf("reading the ledger: %w", err)
		}
		for _, e := range events {
			if e.Kind == astern.EventDeployed {
				out = append(out, e)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b astern.Event) int { return a.At.Compare(b.At) })
	return out, nil
}

// busy are the executions under way on the component.
func (w *Watcher) busy(ctx context.Context, x *watched) ([]string, error) {
	open, err := w.app.Store.Executions(ctx, 0, true)
	if err != nil {
		return nil, fmt.Errorf("reading executions: %w", err)
	}
	var out []string
	for _, e := range open {
		if slices.Contains(e.Addresses, x.component.Address()) {
			out = append(out, e.ID)
		}
	}
	return out, nil
}

// decide decides about a fault of which nothing was done yet. What was decided before is decided anew where it only waited:
// for another execution, for a cool-down, for more evidence.
func (w *Watcher) decide(ctx context.Context, x *watched, in astern.Incident, last astern.Decision, now time.Time) error {
	if last.Act == astern.ActAsk && last.Plan != "" {
		if went, err := w.answered(ctx, x, in, last, now); err != nil || went {
			return err
		}
	}
	if last.Act != "" && now.Sub(x.weighedAt) < watch.WeighEvery {
		return nil
	}
	x.weighedAt = now
	s, err := w.situation(ctx, x, now, watch.Rules{Act: astern.ActAsk, Window: w.window(x)})
	if err != nil {
		return err
	}
	ways, err := w.ways(ctx, x, s)
	if err != nil {
		return err
	}
	for _, way := range ways {
		s.Ways = append(s.Ways, way.Way)
	}
	if s.Acted, err = w.app.acted(ctx); err != nil {
		return err
	}
	ruled, err := watch.Rule(x.environment.Policy, s, w.app.By)
	if err != nil {
		return err
	}
	s.Rules = ruled.Rules
	w.record.weighed(now, x, s)
	j := watch.Judge(s)
	if why := w.unseen(x); why != "" && j.Decision.Act == astern.ActAutomatic {
		j.Decision, j.Way = astern.Decision{Act: astern.ActHold, Because: why}, -1
	}
	if !j.Fault || same(last, j.Decision) {
		return nil
	}
	if err := w.raise(ctx, x, &in, j.Harm); err != nil {
		return err
	}
	if plans := len(slices.DeleteFunc(slices.Clone(in.Decisions), func(d astern.Decision) bool { return d.Plan == "" || d.Act != astern.ActAutomatic })); plans >= mostPlans {
		j.Decision = astern.Decision{Act: astern.ActAsk, Because: fmt.Sprintf("%d plans were made for it, and none could be begun: a person must look", plans)}
		if same(last, j.Decision) {
			return nil
		}
	}
	if j.Way >= 0 && j.Decision.Act != astern.ActTell && j.Decision.Act != astern.ActHold {
		return w.decideWith(ctx, x, in, last, s, j, ways[j.Way].ask)
	}
	return w.decided(ctx, x, in, j.Decision, s)
}

// decideWith makes the plan of a way before the decision for it is written down.
func (w *Watcher) decideWith(ctx context.Context, x *watched, in astern.Incident, last astern.Decision, s watch.Situation, j watch.Judgement, ask Ask) error {
	d := j.Decision
	ask.Severity, ask.At, ask.Reason = in.Severity, in.OpenedAt, clipped(fmt.Sprintf("%s: %s", in.ID, j.Title))
	p, err := w.app.Plan(ctx, ask)
	if err == nil {
		err = w.app.Keep(ctx, p)
	}
	if err == nil && d.Act == astern.ActAutomatic {
		w.acting.Lock() // until it has its execution: what another component does at the same time counts for the daily limit
		defer w.acting.Unlock()
		var alone policy.Autonomy
		if alone, err = w.app.Consent(ctx, p, false); err == nil && !alone.May {
			d.Act, d.Because = astern.ActAsk, alone.Because
			if same(last, d) && last.Plan != "" { // people were asked, and may have answered
				return nil
			}
		}
	}
	if err != nil {
		d = astern.Decision{Act: astern.ActAsk, Because: "no plan could be made for " + d.Way + ": " + err.Error(), Against: d.Against}
		if errors.Is(err, astern.ErrNothingToDo) {
			d.Because = d.Way + " is where it is already"
		}
		if same(last, d) {
			return nil
		}
		return w.decided(ctx, x, in, d, s)
	}
	d.Plan = p.Hash
	if d.Act == astern.ActAsk {
		d.Command = fmt.Sprintf("astern approve %s --reason …", p.Hash[:12])
	}
	if err := w.decided(ctx, x, in, d, s); err != nil || d.Act != astern.ActAutomatic {
		return err
	}
	in.Decisions = append(in.Decisions, d)
	return w.carry(ctx, x, in, d)
}

// raise writes down that the incident is more severe than it was.
func (w *Watcher) raise(ctx context.Context, x *watched, in *astern.Incident, harm float64) error {
	worse := policy.Worse(x.environment.Policy, in.Severity, w.severity(x, harm))
	if worse == in.Severity {
		return nil
	}
	in.Severity = worse
	_, err := w.event(ctx, in.ID, astern.IncidentEvent{Kind: astern.IncidentSeverity, Severity: worse, Text: fmt.Sprintf("%.1f %% are harmed", harm)})
	return err
}

// same reports whether a decision says nothing new: what it rests on is told in numbers that change each round.
func same(a, b astern.Decision) bool {
	return a.Act == b.Act && a.Way == b.Way && (a.Act != astern.ActHold || a.Because == b.Because)
}

// caseOf is what is known about such a fault is looked up by.
func (x *watched) caseOf(s watch.Situation) knowledge.Case {
	return knowledge.Case{Symptom: symptomOf(s.Findings), Kind: x.component.Kind, Flagged: len(x.component.Flags) > 0}
}

// ways are all ways back, in the order in which what is known prefers them for what is worse.
func (w *Watcher) ways(ctx context.Context, x *watched, s watch.Situation) ([]wayAsk, error) {
	parts, err := w.app.parts(ctx, x.environment)
	if err != nil {
		return nil, err
	}
	together(x.environment.Compatible, parts)
	i := slices.IndexFunc(parts, func(p planner.Part) bool { return p.Component.Name == x.component.Name })
	p := parts[i]
	if p.Trouble != "" {
		return nil, nil
	}
	all, err := w.flagWays(ctx, x, parts, s.Now)
	if err != nil {
		return nil, err
	}
	all = append(all, w.backWays(x, p)...)
	backs := make([]astern.WayBack, len(all))
	for i, a := range all {
		backs[i] = a.back
		backs[i].Title = fmt.Sprint(i) // found again by it
	}
	c := x.caseOf(s)
	var out []wayAsk
	for _, b := range knowledge.Order(c, w.app.System.Knowledge, backs) {
		var n int
		if _, err := fmt.Sscan(b.Title, &n); err != nil {
			return nil, astern.Errorf(astern.Internal, "ordering the ways back of %s: %w", x.component.Name, err)
		}
		out = append(out, all[n].wayAsk)
	}
	return out, nil
}

// symptomOf names what is worse most clearly.
func symptomOf(findings []watch.Finding) astern.Symptom {
	most, symptom := -1.0, astern.Symptom("")
	for _, f := range findings {
		if f.Verdict == watch.Worse && f.EValue > most {
			most, symptom = f.EValue, map[astern.SignalKind]astern.Symptom{astern.SignalErrors: astern.SymptomErrors, astern.SignalLatency: astern.SymptomLatency,
				astern.SignalThroughput: astern.SymptomBusiness, astern.SignalBusiness: astern.SymptomBusiness, astern.SignalAlarm: astern.SymptomErrors}[f.Kind]
		}
	}
	return symptom
}

type orderable struct {
	wayAsk
	back astern.WayBack
}

// flagWays are the flags of the component that can be switched off.
func (w *Watcher) flagWays(ctx context.Context, x *watched, parts []planner.Part, now time.Time) ([]orderable, error) {
	var out []orderable
	for _, use := range x.component.Flags {
		i := slices.IndexFunc(parts, func(p planner.Part) bool { return p.Component.Name == use.Component })
		o := orderable{back: astern.WayBack{Way: astern.WayFlag, Readiness: astern.Ready}}
		o.Signals = use.Signals
		o.Text = fmt.Sprintf("%s off", use.Flag)
		if use.Affects != "" {
			o.Text += " (" + use.Affects + ")"
		}
		o.Command = fmt.Sprintf("astern off %s %s --reason …", use.Component, use.Flag)
		o.ask = Ask{Verb: astern.VerbOff, Environment: x.component.Environment, Components: []string{use.Component}, Flag: &astern.FlagChange{Flag: use.Flag},
			Percent: 100, WatchSeconds: -1, Way: wayWatch}
		switch {
		case i < 0 || parts[i].Switcher == nil:
			o.Against = use.Component + " holds no flags"
		case parts[i].Trouble != "":
			o.Against = parts[i].Trouble
		default:
			seconds, err := planner.OffSeconds(parts[i], use.Flag, now)
			if o.Seconds, o.back.Estimate.MedianSeconds = seconds, seconds; err != nil {
				o.Against, o.Off = err.Error(), errors.Is(err, astern.ErrNothingToDo) || astern.CodeOf(err) == astern.NotFound
			}
			if o.Changed, err = w.changed(ctx, parts[i].Component.Address(), use.Flag, now); err != nil {
				return nil, err
			}
			if percent, known := parts[i].Switcher.Reach(parts[i].Component, parts[i].State, use.Flag); known {
				o.Reach = &percent
			}
		}
		if o.Against != "" {
			o.back.Readiness = astern.Broken
		}
		out = append(out, o)
	}
	return out, nil
}

// changed is when astern changed a flag last, where that was so lately that it may not show yet; else zero. A change by other means
// can't be told from one of another flag beside it.
func (w *Watcher) changed(ctx context.Context, holder, flag string, now time.Time) (time.Time, error) {
	events, err := w.app.Store.Events(ctx, holder, 0)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the ledger: %w", err)
	}
	for _, e := range slices.Backward(events) {
		if e.At.Before(now.Add(-watch.Settles)) {
			break
		}
		if e.Kind != astern.EventDeployed || e.Execution == "" {
			continue
		}
		l, err := w.app.load(ctx, e.Execution)
		if err != nil {
			return time.Time{}, err
		}
		if f := l.plan.Intent.Flag; f != nil && f.Flag == flag {
			return e.At, nil
		}
	}
	return time.Time{}, nil
}

// wayWatch is the way by which the watch asks.
const wayWatch = "watch"

// backWays are the earlier revisions, the last deployed first.
func (w *Watcher) backWays(x *watched, p planner.Part) []orderable {
	left, since, err := readiness.Leaves(p.Targets, p.State.Values["revision"])
	if err != nil {
		return nil
	}
	var out []orderable
	for _, t := range p.Targets {
		if t.Current || t.Revision == left || len(out) == mostWays {
			continue
		}
		o := orderable{back: astern.WayBack{Way: astern.WayRollback, Estimate: t.Estimate, Loss: t.Loss, Readiness: t.Readiness}}
		o.Text, o.Revision, o.Seconds = fmt.Sprintf("%s back to %s", x.component.Name, t.Revision), t.Revision, t.Estimate.MedianSeconds
		o.Command = fmt.Sprintf("astern rollback %s --to %s --reason …", x.component.Name, t.Revision)
		o.ask = Ask{Verb: astern.VerbRollback, Environment: x.component.Environment, Components: []string{x.component.Name}, Revision: t.Revision,
			Percent: firstPercent, BakeSeconds: bakeSeconds, WatchSeconds: -1, Way: wayWatch}
		o.Loses = losing(t.Loss)
		switch {
		case t.Latched != "":
			o.Against = "it is latched: " + t.Latched
		case t.KnownGoodAt == nil:
			o.Against = "it was never known to be good"
		case readiness.Later(t, since):
			o.Against = "it was deployed after what runs now"
		case t.Readiness != astern.Ready:
			o.Against = "it is " + string(t.Readiness) + evidenceOf(t)
		}
		out = append(out, o)
	}
	return out
}

// evidenceOf is the first piece of evidence that a target is less than ready.
func evidenceOf(t astern.Target) string {
	for _, e := range t.Evidence {
		if e.Readiness != astern.Ready && e.Readiness != "" {
			return ": " + e.What
		}
	}
	return ""
}

// losing words what is lost, "" for nothing.
func losing(all []astern.Loss) string {
	var out []string
	for _, l := range all {
		switch {
		case l.Unknown != "":
			out = append(out, "what could not be counted: "+l.Unknown)
		case l.Count > 0:
			out = append(out, fmt.Sprintf("%d %s", l.Count, l.Unit))
		}
	}
	return strings.Join(out, ", ")
}
