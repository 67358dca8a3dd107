package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planner"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/cloudwatch"
	"github.com/astern-dev/astern/internal/watch"
)

// alarmSettles is after how long an alarm that is in ALARM since before something was done about the fault tells that it is worse
// all the same: until then it still looks at the time before.
const alarmSettles = 15 * time.Minute

// askAlarms asks for the alarms of components of which something new is judged, or that have a fault.
func (w *Watcher) askAlarms(ctx context.Context) {
	var asked []*watched
	var all []astern.Alarm
	for _, x := range w.all {
		if x.known.Trial == nil && x.known.Fault.IsZero() {
			x.alarms = nil // nothing new runs: CloudWatch itself calls people
			continue
		}
		if len(x.component.Alarms) > 0 {
			asked, all = append(asked, x), append(all, x.component.Alarms...)
		}
	}
	if len(all) == 0 {
		return
	}
	seen := w.signals.cloudwatch.Alarms(ctx, all)
	for _, x := range asked {
		n := len(x.component.Alarms)
		x.alarms, seen = seen[:n:n], seen[n:]
		for i, s := range x.alarms {
			w.once(x, "alarm "+x.component.Alarms[i].Name, astern.WatchEvent{Kind: astern.WatchTrouble, Text: x.alarmTrouble(i, s)})
		}
	}
}

// alarmTrouble is what people should know of an alarm that tells nothing of what is judged; "" for nothing.
func (x *watched) alarmTrouble(i int, s cloudwatch.AlarmSeen) string {
	a := x.component.Alarms[i]
	switch {
	case s.Err != nil:
		return fmt.Sprintf("alarm %s: %s", a.Name, s.Err)
	case s.State == "":
		return fmt.Sprintf("alarm %s: %s", a.Name, gone(a, s))
	case x.ignored(s):
		return fmt.Sprintf("alarm %s: %s", a.Name, x.already(a, s))
	}
	return ""
}

func gone(a astern.Alarm, s cloudwatch.AlarmSeen) string {
	return fmt.Sprintf("CloudWatch has no alarm %s in %s", a.Alarm, s.Region)
}

// before reports whether an alarm is in ALARM since before what is judged was deployed.
func (x *watched) before(s cloudwatch.AlarmSeen) bool {
	t := x.known.Trial
	return s.State == cloudwatch.StateAlarm && (t == nil || s.Since.Before(t.Deployed.At.Add(-watch.Slack)))
}

// ofItself reports whether all that an alarm looked at when it went off was of what is judged, but for the period in which that was
// deployed: only then it is acted on without anybody. A composite alarm does not say what it looked at.
func (x *watched) ofItself(s cloudwatch.AlarmSeen) bool {
	t := x.known.Trial
	return t == nil || s.Looks > 0 && !s.Since.Add(s.Period-s.Looks).Before(t.Deployed.At)
}

func (x *watched) already(a astern.Alarm, s cloudwatch.AlarmSeen) string {
	if x.known.Trial == nil {
		return fmt.Sprintf("%s is in ALARM since %s, and nothing new is judged", a.Alarm, s.Since.Format("15:04:05Z"))
	}
	return fmt.Sprintf("%s was in ALARM already at %s, before %s was deployed: it tells nothing of it", a.Alarm, s.Since.Format("15:04:05Z"), x.known.Trial.Deployed.Revision)
}

// alarmFindings are what the alarms say of what is judged, in the order of astern.yaml.
func (x *watched) alarmFindings() []watch.Finding {
	var out []watch.Finding
	for i, s := range x.alarms {
		a := x.component.Alarms[i]
		f := watch.Finding{Signal: a.Name, Kind: astern.SignalAlarm, Verdict: watch.Unknown}
		switch {
		case s.Err != nil:
			f.Says = s.Err.Error()
		case s.State == "":
			f.Says = gone(a, s)
		case s.State == cloudwatch.StateOK:
			f.Verdict, f.Says = watch.NotWorse, a.Alarm+" is OK"
		case s.State != cloudwatch.StateAlarm:
			f.Says = a.Alarm + " has too little data: " + s.Reason
		case x.before(s):
			f.Says = x.already(a, s)
		default:
			f.Verdict, f.Began, f.Harm, f.Large = watch.Worse, s.Since, a.Harm, x.ofItself(s)
			f.Says = fmt.Sprintf("%s is in ALARM since %s: %s", a.Alarm, s.Since.Format("15:04:05Z"), s.Reason)
			if !f.Large {
				f.Says += "; it looked at the time before the deployment, too"
			}
			f.Guarantee = "an alarm of CloudWatch: the threshold is the one that a person set"
		}
		out = append(out, f)
	}
	return out
}

// ignored reports whether an alarm tells nothing: it is in ALARM since before the change that is judged, or that the fault which
// lasts is blamed on.
func (x *watched) ignored(s cloudwatch.AlarmSeen) bool {
	if x.known.Fault.IsZero() {
		return x.before(s)
	}
	return s.State == cloudwatch.StateAlarm && s.Since.Before(x.changedAt.Add(-watch.Slack))
}

// alarmed reports whether an alarm is in ALARM that tells something.
func (x *watched) alarmed() bool {
	return slices.ContainsFunc(x.alarms, func(s cloudwatch.AlarmSeen) bool { return s.State == cloudwatch.StateAlarm && !x.ignored(s) })
}

// stillAlarmed returns an alarm that says that it is worse although something was done about the fault.
func (x *watched) stillAlarmed(now time.Time) (watch.Finding, bool) {
	if x.known.After == nil {
		return watch.Finding{}, false
	}
	done := x.known.After.Begin
	for i, s := range x.alarms {
		if s.State == cloudwatch.StateAlarm && !x.ignored(s) && (s.Since.After(done) || now.Sub(done) >= alarmSettles) {
			a := x.component.Alarms[i]
			return watch.Finding{Signal: a.Name, Kind: astern.SignalAlarm, Verdict: watch.Worse, Began: s.Since, Large: true, Harm: a.Harm,
				Says: fmt.Sprintf("%s is in ALARM: %s", a.Alarm, s.Reason)}, true
		}
	}
	return watch.Finding{}, false
}

// healthy reports whether every signal that can be judged is known not to be worse, and every alarm that tells something is OK.
func (x *watched) healthy() (healthy bool, of int) {
	healthy, of = x.known.Healthy(x.component.Signals)
	if len(x.component.Alarms) == 0 {
		return healthy, of
	}
	if of == 0 { // no signal can be judged: the alarms are what is left
		healthy = !slices.ContainsFunc(x.known.Findings(x.component.Signals), func(f watch.Finding) bool { return f.Verdict == watch.Worse })
	}
	if len(x.alarms) == 0 { // not asked yet
		return false, of + len(x.component.Alarms)
	}
	for _, s := range x.alarms {
		if x.ignored(s) {
			healthy = healthy && !x.known.Fault.IsZero() // an alarm that is off proves nothing good of what is new
			continue
		}
		of++
		healthy = healthy && s.Err == nil && s.State == cloudwatch.StateOK
	}
	return healthy && of > 0, of
}

// readAlarms says of each alarm of a component whether it is there, and what keeps it from telling anything.
func (a *App) readAlarms(ctx context.Context, c *Checked, reader *Signals, component astern.Component) {
	began := a.Now()
	for i, s := range reader.cloudwatch.Alarms(ctx, component.Alarms) {
		alarm := component.Alarms[i]
		r := astern.CheckResult{Check: alarm.Name, At: a.Now(), Seconds: a.Now().Sub(began).Seconds(), Attempts: 1, Verdict: astern.Unknown}
		found := func(text string) { c.Findings = append(c.Findings, "alarm "+alarm.Name+": "+text) }
		switch {
		case s.Err != nil:
			r.Evidence = s.Err.Error()
		case s.State == "":
			r.Evidence = gone(alarm, s)
		default:
			r.Verdict, r.Evidence = astern.Pass, fmt.Sprintf("%s is %s since %s", alarm.Alarm, s.State, s.Since.Format("2006-01-02 15:04:05Z"))
			if s.State == cloudwatch.StateInsufficientData {
				found("it has too little data, which is no health: what is deployed would stay unknown (see its TreatMissingData)")
			}
			if s.Muted {
				found("its actions are disabled: when it goes off it calls nobody")
			} else if s.Idle {
				found("it has no actions: when it goes off it calls nobody")
			}
		}
		c.Signals = append(c.Signals, r)
		c.worse(r.Verdict)
	}
}

// pastAsk asks for the past of a signal. Where members are revisions, the past is that of those which ran then.
func pastAsk(s astern.Signal, state astern.State, members []string) signal.Ask {
	ask := askOf(s, state)
	if len(planner.Members(state)) > 0 {
		return ask
	}
	ask.Members = nil
	for _, m := range members {
		ask.Members = append(ask.Members, signal.Member{Name: m, Address: state.Version(m)})
	}
	return ask
}
