package replay

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/incident"
	"github.com/astern-dev/astern/internal/watch"
)

// History is what is known of an incident, to judge its decisions again.
type History struct {
	Log astern.IncidentLog
	// Deployed are the ledger's deployments of its component, the oldest first; Executions are all.
	Deployed   []astern.Event
	Executions []astern.Execution
	Now        time.Time
}

// Incident judges each decision of an incident again, by another policy. By is who acts by itself. The error says that the
// policy makes no sense of it.
func Incident(h History, p astern.Policy, by string) (astern.ReplayFault, error) {
	in := incident.Fold(h.Log)
	f := astern.ReplayFault{Incident: in.ID, Title: in.Title, BeganAt: in.BeganAt, NoticedAt: in.OpenedAt, Cause: in.Cause, Blame: in.Blame, Cost: in.Cost}
	if len(in.Addresses) > 0 {
		f.Address = in.Addresses[0]
	}
	var was, would *deed
	var way watch.Way
	for _, e := range h.Log.Events {
		if e.Kind == astern.IncidentDecided && e.Decision != nil {
			r, at, w, err := again(e, p, by)
			if err != nil {
				return f, fmt.Errorf("judging %s of %s again: %w", clock(e.At), in.ID, err)
			}
			if way.Text == "" {
				way = w
			}
			if would != nil { // what comes after is of a world in which nothing had been done
				r = astern.Rejudged{At: e.At, Was: e.Decision, Unknown: "it would have acted before"}
			} else if at != nil {
				would = at
			}
			if e.Decision.Act == astern.ActAutomatic && was == nil {
				was = &deed{e.At, w.Seconds}
			}
			f.Decisions = append(f.Decisions, r)
		}
	}
	end(&f, in, h, way)
	hm := harm{was: was, would: would, last: h.Now, ended: f.EndedAt != nil}
	if f.EndedAt != nil {
		hm.last = *f.EndedAt
	}
	if would != nil && would.at.After(hm.last) { // the fault was over before what held it back
		hm.would = nil
		for i := range f.Decisions {
			f.Decisions[i].From = nil
		}
	}
	hm.curve, hm.unknown = costs(h.Log, in, hm.last)
	if f.Saving = hm.saving(); f.Saving == nil {
		f.Saving = undecided(f.Decisions)
	}
	return f, nil
}

// again judges one decision anew. At is when it would have acted by itself, nil when it would not.
func again(e astern.IncidentEvent, p astern.Policy, by string) (r astern.Rejudged, at *deed, way watch.Way, err error) {
	r = astern.Rejudged{At: e.At, Was: e.Decision}
	if len(e.Situation) == 0 {
		r.Unknown = "what it rested on was not kept: it follows from what came before, or an earlier version of astern decided"
		return r, nil, way, nil
	}
	s, err := watch.ReadSituation(e.Situation)
	if err != nil {
		return r, nil, way, err
	}
	v, err := judged(s, *e.Decision, p, by)
	if err != nil {
		return r, nil, way, err
	}
	r.Would, r.Severity, r.Mode, r.Same = &v.decision, v.ruled.Severity, v.ruled.Mode, alike(*e.Decision, v.decision)
	if i := slices.IndexFunc(s.Ways, func(w watch.Way) bool { return w.Text == cmp.Or(v.decision.Way, e.Decision.Way) }); i >= 0 {
		way = s.Ways[i]
	}
	switch from := v.ruled.From; {
	case v.decision.Act == astern.ActAutomatic:
		at = &deed{e.At, way.Seconds}
	case v.waits && !from.IsZero():
		r.From, at = &from, &deed{from, way.Seconds}
	}
	return r, at, way, nil
}

// verdict is what a policy makes of a situation in which something else was decided.
type verdict struct {
	decision astern.Decision
	ruled    watch.Ruled
	waits    bool // for a freeze or a cool-down to end
}

// judged returns what would be decided by another policy. What stopped the way then, after it was decided on (no plan could
// be made for it, it was approved by nobody), is taken to stop it again.
func judged(s watch.Situation, was astern.Decision, p astern.Policy, by string) (v verdict, err error) {
	meant := watch.Judge(s).Decision
	if v.ruled, err = watch.Rule(p, s, by); err != nil {
		return v, err
	}
	s.Rules = v.ruled.Rules
	v.decision = watch.Judge(s).Decision
	v.waits = v.decision.Act == astern.ActAsk && v.ruled.Not != "" && v.decision.Because == v.ruled.Not
	if was.Act != "" && meant.Act == astern.ActAutomatic && was.Act != astern.ActAutomatic && v.decision.Act == astern.ActAutomatic {
		v.decision.Act, v.decision.Because = was.Act, "as then: "+was.Because
	}
	return v, nil
}

// alike reports whether two decisions come to the same.
func alike(a, b astern.Decision) bool { return a.Act == b.Act && a.Way == b.Way }

// end finds out when the fault ended, and by what: an execution of the incident, somebody's deployment of another revision
// than the one that is blamed, or nothing that is known.
func end(f *astern.ReplayFault, in astern.Incident, h History, way watch.Way) {
	at := func(t time.Time, by string) {
		if f.EndedAt == nil || t.Before(*f.EndedAt) {
			f.EndedAt, f.Ended = &t, by
		}
	}
	if in.EndedAt != nil {
		at(*in.EndedAt, "it was over then, as was said when it was resolved")
	}
	if in.ResolvedAt != nil {
		at(*in.ResolvedAt, "resolved, and nothing that was done to it is known")
	}
	f.People = "nobody took a way back"
	for _, e := range h.Executions {
		if e.EndedAt == nil || e.Outcome != astern.OutcomeDone || !e.EndedAt.After(in.OpenedAt) || !slices.Contains(in.Executions, e.ID) {
			continue
		}
		at(*e.EndedAt, e.ID)
		if i := slices.IndexFunc(in.Decisions, func(d astern.Decision) bool { return d.Plan == e.PlanHash }); i >= 0 {
			f.People = "the watch took it: " + e.ID
			if in.Decisions[i].Act != astern.ActAutomatic {
				f.People = "the plan that was made for it was carried out: " + e.ID
			}
		}
	}
	for _, e := range h.Deployed {
		if in.Cause == nil || e.Address != in.Cause.Address || !e.At.After(in.OpenedAt) || e.Revision == in.Cause.Revision || in.ResolvedAt != nil && e.At.After(*in.ResolvedAt) {
			continue
		}
		if e.Execution != "" && strings.HasPrefix(f.People, "the ") {
			break
		}
		same := "another way than the one decided on"
		if e.Revision == way.Revision {
			same = "the same way"
		}
		f.People = fmt.Sprintf("%s put %s in place %s later: %s", cmp.Or(e.By, "somebody"), e.Revision, span(e.At.Sub(in.OpenedAt)), same)
		at(e.At, fmt.Sprintf("%s was put in place by %s", e.Revision, cmp.Or(e.By, "somebody")))
		break
	}
}

// span writes a duration in whole seconds, from two minutes on in whole minutes.
func span(d time.Duration) string {
	if d < 2*time.Minute {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}

// costs is what the incident had cost by when. What was counted last had failed by the end of the fault.
func costs(log astern.IncidentLog, in astern.Incident, last time.Time) (c curve, unknown string) {
	if in.Cost.Unknown != "" && in.Cost.Requests == 0 {
		return nil, in.Cost.Unknown
	}
	c.add(in.BeganAt, 0)
	counted := false
	for _, e := range log.Events {
		if e.Kind == astern.IncidentCost && e.Cost != nil {
			at := e.At
			if at.After(last) {
				at = last
			}
			c.add(at, e.Cost.Requests)
			counted = true
		}
	}
	if !counted {
		return nil, "nothing counted what it cost"
	}
	return c, ""
}

// Alone is a policy as it would be if astern might do everything by itself that its other rules allow: to see what shadow
// mode would have come to.
func Alone(p astern.Policy) astern.Policy {
	p.Automatic.Mode = astern.ModeAutomatic
	p.Severities = slices.Clone(p.Severities)
	for i := range p.Severities {
		p.Severities[i].Mode = ""
	}
	p.Components = slices.Clone(p.Components)
	for i := range p.Components {
		p.Components[i].Mode, p.Components[i].Modes = "", nil
	}
	return p
}

// Shadowed reports whether a decision of the incident was made in shadow mode.
func Shadowed(log astern.IncidentLog) bool {
	return slices.ContainsFunc(log.Events, func(e astern.IncidentEvent) bool {
		return e.Kind == astern.IncidentDecided && e.Decision != nil && e.Decision.Act == astern.ActShadow
	})
}
