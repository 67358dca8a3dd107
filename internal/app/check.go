package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/inventory"
	"github.com/astern-dev/astern/internal/planner"
	"github.com/astern-dev/astern/internal/readiness"
)

// Checked is what a check found of one component.
type Checked struct {
	ComponentTargets
	Back   astern.Target  // the target that a rollback would take; its Revision is "" when there is none
	AtRisk *astern.Target // where there is none: the one that a rollback takes when it is named
	// WayUnknown says that there may be a way back which nobody could see.
	WayUnknown bool
	// Record says that what runs is not what the ledger says, which a person can mend by recording it.
	Record   bool
	Latched  string
	Findings []string
	Results  []astern.CheckResult
	NotRun   []string
	Signals  []astern.CheckResult // whether each signal can be read
	Verdict  astern.Verdict
	// Unwell says that only what runs is to blame where it does not pass: a way back within the objectives is ready.
	Unwell bool
}

// Check observes every component of the environment, judges its ways back against its objectives, and makes the checks
// that have no effects. It changes nothing.
func (a *App) Check(ctx context.Context, e astern.Environment) ([]Checked, error) {
	return a.CheckOf(ctx, e, func(string) bool { return true })
}

// CheckOf is Check of the components whose addresses are asked for.
func (a *App) CheckOf(ctx context.Context, e astern.Environment, asked func(address string) bool) ([]Checked, error) {
	parts, err := a.parts(ctx, e)
	if err != nil {
		return nil, err
	}
	together(e.Compatible, parts) // which all of them are needed for
	parts = slices.DeleteFunc(parts, func(p planner.Part) bool { return !asked(p.Component.Address()) })
	out := make([]Checked, len(parts))
	inventory.Each(len(parts), func(i int) {
		out[i] = a.checkPart(ctx, parts[i])
		out[i].WatchSeconds = watchTime(e.Policy, parts[i].Component)
		out[i].Unwell = out[i].Verdict == astern.Fail && out[i].Back.Revision != "" && !out[i].slow()
	})
	return out, nil
}

func (a *App) checkPart(ctx context.Context, p planner.Part) Checked {
	c := Checked{ComponentTargets: ComponentTargets{Component: p.Component, History: p.History, Targets: p.Targets, Trouble: p.Trouble}, Verdict: astern.Pass}
	if v, ok := p.State.Get("revision"); ok {
		c.Current = v.String()
	}
	if p.Trouble != "" {
		c.Verdict = astern.Unknown
		return c
	}
	if !a.At.IsZero() {
		c.foresee(p, a.At)
		p.Targets = c.Targets
		a.judgeWay(&c, p)
		return c
	}
	a.judgeWay(&c, p)
	a.runChecks(ctx, &c, p)
	a.readSignals(ctx, &c, p)
	for _, r := range c.Results {
		c.worse(r.Verdict)
	}
	return c
}

// foresee takes the targets to what they will be at a later time, and says what goes until then. Checks and signals tell
// nothing about that time.
func (c *Checked) foresee(p planner.Part, at time.Time) {
	last, end, dies := readiness.Dies(p.Targets, p.State.Values["revision"])
	for _, t := range p.Targets {
		for _, d := range t.Doors {
			if d.At == nil || d.At.After(at) || d.Leaves != "" {
				continue
			}
			line := fmt.Sprintf("%s goes on %s: %s", t.Revision, d.At.UTC().Format("2 January 2006"), d.What)
			if dies && t.Revision == last.Revision && d.At.Equal(*end.At) {
				line = "the last way back ends: " + line
			}
			c.Findings = append(c.Findings, line)
		}
	}
	c.Targets = readiness.At(p.Targets, at)
}

func (c *Checked) worse(v astern.Verdict) {
	if v == astern.Fail || v == astern.Unknown && c.Verdict == astern.Pass {
		c.Verdict = v
	}
}

// judgeWay says whether there is a way back within the objectives.
func (a *App) judgeWay(c *Checked, p planner.Part) {
	a.judgeRunning(c, p)
	if v, ok := p.State.Get("revision"); ok && !v.Known() {
		c.Findings = append(c.Findings, "what runs now is unknown: "+v.Unknown)
		c.worse(astern.Unknown)
	}
	if strings.HasPrefix(c.Current, astern.Unrecorded) {
		c.Findings = append(c.Findings, fmt.Sprintf("what is served is not recorded, and the next upload ends it: astern deploy %s NAME", p.Component.Name))
	}
	back, ok := readiness.WayBack(p.Targets, p.State.Values["revision"])
	if risky, risks := AtRisk(p.Targets, p.State.Values["revision"]); !ok && !risks && MayHaveWay(p.Targets, p.State.Values["revision"]) {
		why := "not everything could be asked"
		if _, _, err := readiness.Leaves(p.Targets, p.State.Values["revision"]); err != nil {
			why = err.Error()
		}
		if v, ok := p.State.Get("revision"); !ok || v.Known() { // else it is said already
			c.Findings = append(c.Findings, "whether there is a way back is unknown: "+why)
		}
		c.worse(astern.Unknown)
		c.WayUnknown = true
		return
	} else if !ok {
		none := "no ready, known-good revision to go back to"
		if how := planner.Markable(p); how != "" {
			none += "; " + how
		}
		c.Findings = append(c.Findings, none)
		c.Verdict = astern.Fail
		if risks {
			c.AtRisk = &risky
		}
		return
	}
	c.Back = back
	c.judgeLoss()
	if c.slow() {
		c.Findings = append(c.Findings, fmt.Sprintf("going back takes about %.0f s, the objective is %d s", back.Estimate.MedianSeconds, c.Component.Objectives.RTOSeconds))
		c.Verdict = astern.Fail
	}
}

// judgeLoss holds what going back loses against the objective. What is counted in anything but seconds of writes can be held against
// an objective of nothing alone.
func (c *Checked) judgeLoss() {
	rpo := c.Component.Objectives.RPOSeconds
	if rpo == nil {
		return
	}
	goal := "that nothing is lost"
	if *rpo > 0 {
		goal = fmt.Sprintf("%d s of writes", *rpo)
	}
	for _, l := range c.Back.Loss {
		switch {
		case l.Unknown != "":
			c.Findings = append(c.Findings, fmt.Sprintf("what going back loses is unknown (%s); the objective is %s", l.Unknown, goal))
			c.worse(astern.Unknown)
		case *rpo == 0 && l.Count > 0, l.Unit == "seconds" && l.Count > *rpo:
			c.Findings = append(c.Findings, fmt.Sprintf("going back loses %d %s, the objective is %s", l.Count, l.Unit, goal))
			c.worse(astern.Fail)
		case l.Unit != "seconds" && l.Count > 0:
			c.Findings = append(c.Findings, fmt.Sprintf("going back loses %d %s: how many seconds of writes that is can't be told, and the objective is %s", l.Count, l.Unit, goal))
			c.worse(astern.Unknown)
		}
	}
}

// slow reports whether the way back takes longer than the objective.
func (c *Checked) slow() bool {
	rto := float64(c.Component.Objectives.RTOSeconds)
	return rto > 0 && c.Back.Estimate.MedianSeconds > rto
}

// judgeRunning says what is wrong with what runs: latched revisions, members apart, members without a link or a process,
// and a ledger that knows nothing of a component that astern acted on.
func (a *App) judgeRunning(c *Checked, p planner.Part) {
	found := func(format string, args ...any) {
		c.Findings = append(c.Findings, fmt.Sprintf(format, args...))
		c.worse(astern.Fail)
	}
	parts := strings.Split(c.Current, "+")
	for _, revision := range parts {
		if d, _ := p.History.Of(revision); d.Latched != "" {
			c.Latched = d.Latched
			found("runs %s, which is latched: %s", revision, d.Latched)
		}
	}
	if len(parts) > 1 {
		found("its members run different revisions: %s", strings.Join(parts, ", "))
	}
	if v, ok := p.State.Get("revision"); ok && v.Known() && len(parts) == 1 && p.History.Current != "" && v.Text != p.History.Current &&
		astern.ValidRevision(v.Text) && !strings.HasPrefix(v.Text, astern.Unrecorded) {
		c.Findings = append(c.Findings, fmt.Sprintf("runs %s, which nobody recorded: the ledger says %s", v.Text, p.History.Current))
		c.Record = true
	}
	if at := newest(p.History); at.Sub(a.Now()) > clockSlack {
		found("the ledger says what happened at %s, which is still to come by this machine's clock: what is recorded until then counts as older",
			at.UTC().Format("2006-01-02 15:04:05Z"))
	}
	apart, _ := planner.Apart(p.State)
	for _, line := range apart {
		found("%s", line)
	}
	links := 0
	members := planner.Members(p.State)
	for _, m := range members {
		if _, ok := p.State.Get(m + "/link"); ok {
			links++
		}
	}
	for _, m := range members {
		if _, ok := p.State.Get(m + "/link"); !ok && links > 0 {
			found("%s has no link to a release: it can't be started again", m)
		}
	}
	if len(p.History.Deployments) == 0 && remembered(p.State) {
		found("the state folder knows nothing of it, but its hosts were acted on before: astern init imports what they remember")
	}
}

// clockSlack is by how much the clocks of those who write into one ledger may differ without anybody being told.
const clockSlack = 10 * time.Minute

// newest returns the time of the newest deployment.
func newest(h astern.History) (at time.Time) {
	for _, d := range h.Deployments {
		if d.LastAt != nil && d.LastAt.After(at) {
			at = *d.LastAt
		}
	}
	return at
}

// runChecks makes the component's checks without effects against what runs now.
func (a *App) runChecks(ctx context.Context, c *Checked, p planner.Part) {
	var bound []astern.Check
	for _, k := range p.Component.Checks {
		if k.Effects == astern.EffectsSome {
			c.NotRun = append(c.NotRun, k.Name)
			continue
		}
		for _, m := range membersFor(k, p.State) {
			b, err := k.Bind(valuesOf(p.State, m))
			if err != nil {
				c.Results = append(c.Results, astern.CheckResult{Check: k.Name, Verdict: astern.Unknown, Evidence: err.Error(), At: a.Now()})
				continue
			}
			bound = append(bound, b)
		}
	}
	results := make([]astern.CheckResult, len(bound))
	inventory.Each(len(bound), func(i int) { results[i] = a.runCheck(ctx, bound[i]) })
	c.Results = append(c.Results, results...)
}

// membersFor returns the members that the check is made for: every one that has an address, or none.
func membersFor(k astern.Check, s astern.State) []string {
	if !k.Each {
		return []string{""}
	}
	return planner.Members(s)
}

// valuesOf are what the placeholders of a check stand for while what runs now is asked.
func valuesOf(s astern.State, member string) astern.Values {
	revision := revisionOf(s, member)
	return astern.Values{Revision: revision, Member: member, Address: s.Values[member+"/address"].Text, Version: s.Version(revision)}
}

// revisionOf returns what the member runs, or what the component does.
func revisionOf(s astern.State, member string) string {
	if v, ok := s.Runs(member); ok && v.Known() && member != "" {
		return v.Text
	}
	return s.Values["revision"].Text
}
