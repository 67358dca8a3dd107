package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/incident"
	"github.com/astern-dev/astern/internal/knowledge"
	"github.com/astern-dev/astern/internal/policy"
	"github.com/astern-dev/astern/internal/watch"
)

// judge does what follows from what is known of a component: settle a deployment, notice a fault, decide, act, resolve.
func (w *Watcher) judge(ctx context.Context, x *watched) error {
	now := w.app.Now()
	w.sayCannot(x)
	asking, cancel := context.WithTimeout(ctx, lookFor)
	w.dependencies(asking, x, now)
	w.probe(asking, x, now)
	cancel()
	if x.trouble != "" && x.known.Fault.IsZero() {
		return nil // what was known of what it runs proves nothing now
	}
	switch {
	case x.worse() && x.known.Fault.IsZero():
		if err := w.notice(ctx, x, now); err != nil {
			return err
		}
	case x.known.Fault.IsZero():
		return w.settle(ctx, x, now)
	}
	return w.proceed(ctx, x, now)
}

// sayCannot says which signals can't be judged, and which have no data.
func (w *Watcher) sayCannot(x *watched) {
	for _, line := range x.known.Cannot() {
		name, _, _ := strings.Cut(line, ":")
		w.once(x, "cannot "+name, astern.WatchEvent{Kind: astern.WatchTrouble, Text: "signal " + line})
	}
}

// settle ends the trial of a deployment that has stood its watch.
func (w *Watcher) settle(ctx context.Context, x *watched, now time.Time) error {
	t := x.known.Trial
	if t == nil {
		return nil
	}
	since := t.Begin
	if t.Panels.Begin.After(since) { // it was bad, or nobody watched, until then
		since = t.Panels.Begin
	}
	stood := now.Sub(since)
	if stood < time.Duration(x.environment.Policy.WatchSeconds)*time.Second {
		return nil
	}
	address, revision := x.component.Address(), t.Deployed.Revision
	healthy, of := x.healthy()
	if !healthy {
		if of > 0 && stood < giveUp || of == 0 && x.known.Judging() {
			return nil
		}
		x.known.Settle()
		w.tell(x, astern.WatchEvent{Kind: astern.WatchTrouble,
			Text: fmt.Sprintf("%s could not be judged: a person must say whether it is good: astern record known-good %s %s", revision, x.component.Name, revision)})
		return nil
	}
	busy, err := w.busy(ctx, x)
	if err != nil || len(busy) > 0 {
		return err
	}
	h, err := w.app.History(ctx, address)
	if err != nil {
		return err
	}
	if d, _ := h.Of(revision); d.Latched == "" && (d.ProvenAt == nil || d.ProvenAt.Before(t.Deployed.At)) {
		why := fmt.Sprintf("not worse in %s, by %d signals", shortly(stood), of)
		if _, err := w.app.Store.AddEvent(ctx, astern.Event{At: now, Address: address, Kind: astern.EventKnownGood, Revision: revision, By: w.app.By,
			Reason: why, Token: fmt.Sprintf("watch/known-good/%s/%d", address, t.Deployed.Seq)}); err != nil {
			return fmt.Errorf("marking %s known-good: %w", revision, err)
		}
		w.tell(x, astern.WatchEvent{Kind: astern.WatchKnownGood, Text: revision + " is known-good: " + why})
	}
	x.known.Settle()
	return nil
}

// shortly is a duration for people.
func shortly(d time.Duration) string { return d.Round(time.Second).String() }

// notice opens the incident of a fault, or finds the one that was opened before this process was started.
func (w *Watcher) notice(ctx context.Context, x *watched, now time.Time) error {
	address := x.component.Address()
	open, err := w.lasting(ctx, x)
	if err != nil {
		return err
	}
	x.known.Noticed(now)
	_, bySignals := x.known.StillWorse(x.component.Signals)
	x.known.ByProbes = x.probes.rounds > 0 && x.probes.find.Verdict == watch.Worse && !bySignals
	if open.ID != "" && open.Blame != "" {
		x.known.Incident = open.ID
		return w.keep(ctx, x, false)
	}
	s, err := w.situation(ctx, x, now, watch.Rules{Act: astern.ActTell, Window: w.window(x)})
	if err != nil {
		return err
	}
	j := watch.Judge(s)
	severity := w.severity(x, j.Harm)
	token := fmt.Sprintf("watch/%s/%d", address, now.UnixMilli())
	if t := x.known.Trial; t != nil {
		token = fmt.Sprintf("watch/%s/event-%d", address, t.Deployed.Seq)
	}
	id := open.ID // one that a process opened that was killed before it could say more
	if id == "" {
		if id, err = w.openFor(ctx, x, j, astern.IncidentEvent{At: now, Kind: astern.IncidentOpened, By: incident.Watch, Text: clipped(j.Title),
			Addresses: []string{address}, Began: j.Began, Severity: severity, Token: token}); err != nil {
			return err
		}
	}
	x.known.Incident = id
	blamed := astern.IncidentEvent{Kind: astern.IncidentBlamed, Cause: j.Cause, Text: j.Blame, Token: id + "/blamed"}
	if _, err := w.event(ctx, id, blamed); err != nil {
		return err
	}
	w.tell(x, astern.WatchEvent{Kind: astern.WatchNoticed, Text: j.Title + "; " + j.Blame, Incident: id})
	if err := w.measure(ctx, x); err != nil {
		return err
	}
	return w.keep(ctx, x, false)
}

// openFor opens the incident of a fault. One that was resolved, about the same cause, is not over and opened again; one that had
// another cause was another fault.
func (w *Watcher) openFor(ctx context.Context, x *watched, j watch.Judgement, e astern.IncidentEvent) (string, error) {
	token := e.Token
	for n := 2; ; n++ {
		id, opened, err := w.app.Store.OpenIncident(ctx, e)
		if err != nil {
			return "", fmt.Errorf("opening an incident: %w", err)
		}
		if opened {
			return id, nil
		}
		log, err := w.app.Store.Incident(ctx, id)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", id, err)
		}
		in := incident.Fold(log)
		if in.ResolvedAt == nil {
			return id, nil
		}
		if (in.Cause == nil) == (j.Cause == nil) && (j.Cause == nil || in.Cause.Address == j.Cause.Address && in.Cause.Event == j.Cause.Event) {
			_, err := w.event(ctx, id, astern.IncidentEvent{Kind: astern.IncidentReopened, Text: "worse again: " + clipped(j.Title)})
			return id, err
		}
		e.Token = fmt.Sprintf("%s/%d", token, n)
	}
}

// clipped keeps a text short enough for one line of a list.
func clipped(s string) string {
	const longest = 300
	if r := []rune(s); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return s
}

// event writes an event of an incident in the watch's name.
func (w *Watcher) event(ctx context.Context, id string, e astern.IncidentEvent) (int64, error) {
	e.At, e.By = w.app.Now(), incident.Watch
	seq, err := w.app.Store.AddIncidentEvent(ctx, id, e)
	if err != nil {
		return 0, fmt.Errorf("writing %s of %s: %w", e.Kind, id, err)
	}
	return seq, nil
}

// measure writes what the signals did, and what the fault cost, into the incident.
func (w *Watcher) measure(ctx context.Context, x *watched) error {
	for _, s := range x.known.Graph.Series {
		if _, err := w.event(ctx, x.known.Incident, astern.IncidentEvent{Kind: astern.IncidentMeasured, Series: &s}); err != nil {
			return err
		}
	}
	return w.count(ctx, x)
}

// countEvery is how often the cost of a fault that lasts is counted.
const countEvery = time.Minute

// count writes what the fault cost so far into the incident.
func (w *Watcher) count(ctx context.Context, x *watched) error {
	x.countedAt = w.app.Now()
	cost := x.known.Cost()
	_, err := w.event(ctx, x.known.Incident, astern.IncidentEvent{Kind: astern.IncidentCost, Cost: &cost})
	return err
}

// lasting returns the incident that the watch opened about the component and that is not over; its ID is "" when there is
// none.
func (w *Watcher) lasting(ctx context.Context, x *watched) (astern.Incident, error) {
	logs, err := w.app.Store.Incidents(ctx)
	if err != nil {
		return astern.Incident{}, fmt.Errorf("reading incidents: %w", err)
	}
	for _, log := range logs {
		in := incident.Fold(log)
		if in.ResolvedAt == nil && in.OpenedBy == incident.Watch && slices.Contains(in.Addresses, x.component.Address()) {
			return in, nil
		}
	}
	return astern.Incident{}, nil
}

// proceed does the next thing about a fault that was noticed.
func (w *Watcher) proceed(ctx context.Context, x *watched, now time.Time) error {
	log, err := w.app.Store.Incident(ctx, x.known.Incident)
	if err != nil {
		return fmt.Errorf("reading %s: %w", x.known.Incident, err)
	}
	in := incident.Fold(log)
	if in.ResolvedAt != nil { // a person says that it is over
		x.known.Over(now)
		return w.keep(ctx, x, false)
	}
	if err := w.after(ctx, x, in); err != nil {
		return err
	}
	if now.Sub(x.countedAt).Abs() >= countEvery {
		if err := w.count(ctx, x); err != nil {
			return err
		}
	}
	if x.changedAt = in.BeganAt; in.Cause != nil {
		x.changedAt = in.Cause.At
	}
	w.readLog(ctx, x, in)
	if x.carrying() {
		return nil
	}
	acted, planned, err := w.executed(ctx, in)
	if err != nil {
		return err
	}
	if done, err := w.recovered(ctx, x, in, acted, now); err != nil || done {
		return err
	}
	last := lastDecision(in)
	switch {
	case acted != nil && acted.Outcome == "": // by a person, or by this watch before it was killed
		if last.Plan != planned || last.Act != astern.ActAutomatic && last.Act != astern.ActAsk || w.app.alive(ctx, acted.ID) {
			return nil
		}
		l, err := w.app.load(ctx, acted.ID)
		if err != nil || len(holds(l.fold, now)) > 0 || l.fold.Paused() { // a hold is a person's
			return err
		}
		return w.carry(ctx, x, in, last)
	case acted != nil:
		return w.stillWorse(ctx, x, in, *acted)
	case last.Act == astern.ActAutomatic && w.unseen(x) == "":
		return w.carry(ctx, x, in, last)
	case last.Act == astern.ActAutomatic:
		return nil
	}
	return w.decide(ctx, x, in, last, now)
}

// unseen says why a fault may not be acted on by itself although it was found: nothing has been seen of it since, or what was
// seen since speaks against it. "" when it lasts as far as can be seen.
func (w *Watcher) unseen(x *watched) string {
	if x.probes.rounds > 0 && x.probes.find.Verdict == watch.Worse {
		return ""
	}
	if slices.ContainsFunc(x.alarmFindings(), func(f watch.Finding) bool { return f.Verdict == watch.Worse }) {
		return ""
	}
	if healthy, _ := x.healthy(); healthy {
		return "what was worse is not any more"
	}
	if !x.known.Present(x.component.Signals) {
		return "what was worse has no data now"
	}
	return ""
}

// wayOf is the way that was decided on last.
func wayOf(in astern.Incident) string {
	for _, d := range slices.Backward(in.Decisions) {
		if d.Plan != "" {
			return d.Way
		}
	}
	return "its plan"
}

func lastDecision(in astern.Incident) astern.Decision {
	if n := len(in.Decisions); n > 0 {
		return in.Decisions[n-1]
	}
	return astern.Decision{}
}

// executed returns the newest execution of a plan that was decided on in the incident, or of what goes on in its place, and the
// hash of that plan; nil when there is none.
func (w *Watcher) executed(ctx context.Context, in astern.Incident) (acted *astern.Execution, planned string, err error) {
	for _, d := range slices.Backward(in.Decisions) {
		if d.Plan == "" {
			continue
		}
		e, ok, err := w.app.executionOf(ctx, d.Plan)
		if err != nil {
			return nil, "", err
		}
		if ok {
			acted, err = w.continued(ctx, e)
			return acted, d.Plan, err
		}
	}
	return nil, "", nil
}

// continued follows an execution to the one that went on in its place.
func (w *Watcher) continued(ctx context.Context, e astern.Execution) (*astern.Execution, error) {
	if e.Outcome != astern.OutcomeContinued {
		return &e, nil
	}
	all, err := w.app.Store.Executions(ctx, 0, false)
	if err != nil {
		return nil, fmt.Errorf("reading executions: %w", err)
	}
	for next := true; next; {
		next = false
		for _, c := range all {
			if c.Parent == e.ID {
				e, next = c, c.Outcome == astern.OutcomeContinued
				break
			}
		}
	}
	return &e, nil
}

// calmFor is how long nothing must speak for worse after a plan was carried out where more can't be known.
const calmFor = 2 * time.Minute

// recovered resolves the incident when nothing is worse any more: by the signals since then, or where those can't be
// judged, by the validation of the plan that was carried out.
func (w *Watcher) recovered(ctx context.Context, x *watched, in astern.Incident, acted *astern.Execution, now time.Time) (bool, error) {
	healthy, of := x.healthy()
	how := fmt.Sprintf("nothing is worse any more, by %d signals", of)
	if acted != nil {
		if acted.Outcome == "" {
			return false, nil
		}
		how = fmt.Sprintf("%s is done (%s); %s", acted.ID, wayOf(in), how)
		if least := max(calmFor, time.Duration(x.environment.Policy.WatchSeconds)*time.Second); !healthy && acted.Outcome == astern.OutcomeDone && x.known.Calm(x.component.Signals, least) && !x.alarmed() {
			healthy, how = true, fmt.Sprintf("%s is done (%s); nothing speaks for worse any more in %s", acted.ID, wayOf(in), shortly(least))
		}
		if of == 0 && !x.alarmed() && acted.Outcome == astern.OutcomeDone && !x.known.Judging() && acted.EndedAt != nil &&
			now.Sub(*acted.EndedAt) >= time.Duration(x.environment.Policy.WatchSeconds)*time.Second {
			healthy, how = true, fmt.Sprintf("%s is done and its checks pass; the signals can't be judged: %s", acted.ID, strings.Join(x.known.Cannot(), "; "))
		}
	}
	if f := x.probes.find; x.probes.rounds > 0 { // the signals have no data: checks prove what checks found, and a plan that was carried out
		healthy, how = f.Verdict == watch.NotWorse && (x.known.ByProbes || acted != nil && acted.Outcome == astern.OutcomeDone), f.Says
	}
	if !healthy {
		return false, nil
	}
	if err := w.measure(ctx, x); err != nil {
		return false, err
	}
	if _, err := w.event(ctx, in.ID, astern.IncidentEvent{Kind: astern.IncidentResolved, Text: how}); err != nil {
		return false, err
	}
	x.known.Over(now)
	w.tell(x, astern.WatchEvent{Kind: astern.WatchResolved, Text: how, Incident: in.ID})
	return true, w.keep(ctx, x, false)
}

// stillWorse asks people when the way was taken and it is worse all the same: astern acts once for one fault.
func (w *Watcher) stillWorse(ctx context.Context, x *watched, in astern.Incident, e astern.Execution) error {
	f, worse := x.stillWorse(w.app.Now())
	if !worse && e.Outcome == astern.OutcomeDone {
		return nil // not known yet
	}
	because := fmt.Sprintf("%s ended %s: a person must decide", e.ID, e.Outcome)
	if now := x.elsewhere(); worse && len(now) > 0 && !f.Controlled {
		f.Says += "; " + now[0].What
	}
	if e.Outcome == astern.OutcomeDone {
		because = fmt.Sprintf("%s is done, and it is worse all the same (%s: %s): once for one fault, a person must decide", e.ID, f.Signal, f.Says)
	}
	if d := lastDecision(in); d.Plan == "" && d.Act == astern.ActAsk {
		return nil // it was said
	}
	return w.decided(ctx, x, in, astern.Decision{Act: astern.ActAsk, Because: because}, watch.Situation{})
}

// decided writes a decision down with the situation that it rests on, and says it. The zero situation says that it follows
// from another decision.
func (w *Watcher) decided(ctx context.Context, x *watched, in astern.Incident, d astern.Decision, s watch.Situation) error {
	if d.Act == astern.ActAsk || d.Act == astern.ActTell {
		advice, _ := knowledge.For(x.caseOf(s), w.app.System.Knowledge)
		d.Look = advice.Look
	}
	d.Certainty = s.Certainty()
	e := astern.IncidentEvent{Kind: astern.IncidentDecided, Decision: &d, Token: fmt.Sprintf("%s/decided/%d", in.ID, len(in.Decisions)+1)}
	if s.Address != "" {
		e.Situation = s.Kept()
	}
	if _, err := w.event(ctx, in.ID, e); err != nil {
		return err
	}
	w.record.decided(w.app.Now(), x, d)
	text := string(d.Act)
	if d.Way != "" {
		text += ", " + d.Way
	}
	w.tell(x, astern.WatchEvent{Kind: astern.WatchDecided, Text: text + ": " + d.Because, Incident: in.ID, Plan: d.Plan})
	return nil
}

// severity returns the policy's severity for what is worse by that many percent, "" when the policy has none for it.
func (w *Watcher) severity(x *watched, harm float64) string {
	s, ok := policy.Harm(x.environment.Policy, harm)
	if !ok {
		return ""
	}
	return s.Name
}
