package planfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
)

func (l *laws) stage(i int) {
	st := l.plan.Stages[i]
	l.at = fmt.Sprintf("stage %d", i+1)
	l.must(st.Title != "", "it has no title")
	l.must(len(st.Steps) > 0 || st.Gate != nil, "it has neither steps nor a gate")
	l.must(st.OnFailure == astern.OnFailureHold || st.OnFailure == astern.OnFailureUndo, "on_failure is %q, not hold or undo", st.OnFailure)
	l.must(st.Parallel >= 0, "parallel is %d", st.Parallel)
	l.must(st.Tolerate >= 0, "tolerate is %d", st.Tolerate)
	if st.Each != nil {
		fleet, ok := l.plan.Fleet(st.Each.Address)
		l.must(ok, "it is for each member of %s, whose members the plan does not list", st.Each.Address)
		l.must(!ok || st.Each.From >= 0 && st.Each.From < st.Each.To && st.Each.To <= len(fleet.Members),
			"it takes members %d to %d of %d", st.Each.From, st.Each.To, len(fleet.Members))
	}
	for _, name := range st.StopWhen {
		l.judges("stop_when", name, st)
	}
	if g := st.Gate; g != nil {
		l.must(g.BakeSeconds >= 0 && g.IntervalSeconds >= 1 && g.TimeoutSeconds >= 1,
			"its gate bakes %d s, every %d s, for at most %d s", g.BakeSeconds, g.IntervalSeconds, g.TimeoutSeconds)
		for _, name := range g.Checks {
			l.judges("its gate", name, st)
		}
	}
	for k := range st.Steps {
		l.step(i, k)
	}
}

// judges is the law of a check that is made again and again: it is in the plan and has no effects.
func (l *laws) judges(who, name string, st astern.Stage) {
	c, ok := l.check(name, st)
	l.must(ok, "%s names check %q, which is not in the plan", who, name)
	l.must(!ok || c.Effects == astern.EffectsNone, "%s names check %q, which has effects and can't be made again and again", who, name)
}

// check finds the check of that name for the whole, or for the first member of the stage.
func (l *laws) check(name string, st astern.Stage) (astern.Check, bool) {
	member := ""
	if st.Each != nil {
		// An address without a fleet has no members.
		if f, _ := l.plan.Fleet(st.Each.Address); st.Each.From >= 0 && st.Each.From < len(f.Members) {
			member = f.Members[st.Each.From]
		}
	}
	return l.index.Check(name, member)
}

func (l *laws) step(i, k int) {
	st := l.plan.Stages[i]
	s := st.Steps[k]
	l.at = "step " + s.ID
	l.must(len(s.ID) <= 200 && stepID.MatchString(s.ID), "%q is not a step id", s.ID)
	l.address(s.Address)
	l.must(kindName.MatchString(s.Kind), "%q is not a kind", s.Kind)
	known, ok := builtIn[s.Kind]
	l.must(len(s.Verb) <= 63 && verbName.MatchString(s.Verb) && (!ok || slices.Contains(known, s.Verb)), "a step of kind %s has no verb %q", s.Kind, s.Verb)
	l.must(s.Title != "", "it has no title")
	l.must(slices.Contains(undos, s.Undo), "undo is %q, not inverse, none needed or impossible", s.Undo)
	l.must(s.Attempts >= 1, "attempts is %d", s.Attempts)
	l.must(s.TimeoutSeconds >= 1, "its time-out is %d s", s.TimeoutSeconds)
	l.must(s.SettleSeconds >= 0 && s.HoldSeconds >= 0, "it settles in %d s and holds after %d s", s.SettleSeconds, s.HoldSeconds)
	l.estimate(s.Estimate)
	for _, name := range sorted(s.Outputs) {
		l.must(len(name) <= 63 && outputName.MatchString(name), "%q is not the name of an output", name)
		l.must(slices.Contains(outputTypes, s.Outputs[name]), "output %s has the type %q", name, s.Outputs[name])
	}
	for _, name := range sorted(s.Limits) {
		t, ok := s.Outputs[name]
		l.must(ok, "it limits %q, which is no output of it", name)
		l.must(!ok || fits(t, s.Limits[name]), "it limits the %s output %s to %q", t, name, s.Limits[name])
	}
	for _, name := range sorted(s.Args) {
		l.arg(i, k, "argument "+name, s.Args[name], false)
	}
	for _, g := range s.Guards {
		if why := l.earlier(i, k, g); why != "" {
			l.broken("its guard %q %s", g, why)
		}
	}
	for _, set := range s.Sets {
		l.set(i, k, set)
	}
	if s.Kind == "check" {
		l.checkStep(s, st)
	}
	if st.Each == nil {
		l.must(len(s.Commands) == 0 && !strings.Contains(s.Title+s.Command, "{member}"), "it speaks of {member}, and its stage is not for each member")
	}
}

func (l *laws) checkStep(s astern.Step, st astern.Stage) {
	name := s.Args["check"]
	c, ok := l.check(name.String(), st)
	l.must(name.Type() == "string" && ok, "it names check %q, which is not in the plan", name.String())
	l.must(!ok || s.Verb != "wait" || c.Effects == astern.EffectsNone, "it waits for check %q, which has effects and can't be made again and again", name.String())
}

func (l *laws) set(i, k int, set astern.Set) {
	if set.Address != "" {
		l.address(set.Address)
	}
	l.must(set.Path != "", "it sets a value without a path")
	if l.plan.Stages[i].Each == nil {
		l.must(!strings.Contains(set.Path, "{member}"), "it sets %s, and its stage is not for each member", set.Path)
	}
	if set.Absent {
		l.must(set.Value.Ref == nil && (set.Value.Literal == nil || set.Value.Literal == ""), "it removes %s and gives it a value", set.Path)
		return
	}
	l.arg(i, k, "the value of "+set.Path, set.Value, true)
}

// arg is the law of an argument: a literal, or a reference to an output that is there by then. What a step sets may come
// from its own outputs.
func (l *laws) arg(i, k int, what string, a astern.Arg, own bool) {
	if a.Ref == nil {
		l.must(a.Type() != "", "%s has no value", what)
		return
	}
	if !own || a.Ref.From != l.plan.Stages[i].Steps[k].ID {
		if why := l.earlier(i, k, a.Ref.From); why != "" {
			l.broken("%s refers to step %q, which %s", what, a.Ref.From, why)
			return
		}
	}
	t, ok := l.steps[a.Ref.From].declared.Outputs[a.Ref.Output]
	l.must(ok, "%s refers to the output %q, which step %s does not have", what, a.Ref.Output, a.Ref.From)
	if ok && a.Ref.In != "" {
		l.must(strings.Contains(a.Ref.In, "{}"), "%s has no {} in %q", what, a.Ref.In)
		l.must(t != "list", "%s puts a list into %q", what, a.Ref.In)
	}
}

// earlier says why a step is not sure to be over when step k of stage i begins; "" when it is. Steps of members and steps
// side by side are lanes of their own, which know nothing of each other.
func (l *laws) earlier(i, k int, id string) string {
	at, ok := l.steps[id]
	switch {
	case !ok:
		return "is not in the plan"
	case at.stage > i || at.stage == i && at.step >= k:
		return "does not come before it"
	case at.stage < i && l.plan.Stages[at.stage].Each != nil:
		return "is a member's own, in another stage"
	case at.stage == i && l.plan.Stages[i].Each == nil && l.plan.Stages[i].Parallel > 1:
		return "runs side by side with it"
	}
	return ""
}

// fits reports whether text can be the value of an output of the type. A list can't be limited.
func fits(outputType, s string) bool {
	switch outputType {
	case "int":
		n, err := strconv.ParseInt(s, 10, 64)
		return err == nil && strconv.FormatInt(n, 10) == s
	case "bool":
		return s == "true" || s == "false"
	}
	return outputType == "string"
}

func (l *laws) checks() {
	seen := map[string]bool{}
	for _, c := range l.plan.Checks {
		l.at = "check " + c.ID()
		l.must(c.Name != "", "it has no name")
		l.must(!seen[c.ID()], "it is listed twice")
		seen[c.ID()] = true
		l.address(c.Address)
		n := 0
		for _, set := range []bool{c.HTTP != nil, c.TCP != nil, c.Command != nil, c.Judge != nil, c.Proven != nil} {
			if set {
				n++
			}
		}
		l.must(n == 1, "it is %d of http, tcp, command, judge and proven, not one", n)
		l.must(c.Command == nil || len(c.Command.Argv) > 0, "it has no command")
		if j := c.Judge; j != nil {
			l.must(astern.ValidRevision(j.Revision) && astern.ValidRevision(j.Baseline) && j.Revision != j.Baseline, "it holds %q against %q", j.Revision, j.Baseline)
			l.must(c.Effects == astern.EffectsNone && c.Member == "" && !c.Each && j.Trial != "", "it judges as no signal is judged")
		}
		if proven := c.Proven; proven != nil {
			l.must(astern.ValidRevision(proven.Revision) && !proven.Since.IsZero(), "it asks whether %q was proven since %s", proven.Revision, proven.Since)
			l.must(c.Effects == astern.EffectsNone && c.Member == "" && !c.Each, "it proves as nothing is proven elsewhere")
		}
		l.must(c.Effects == astern.EffectsNone || c.Effects == astern.EffectsSome, "effects is %q, not none or some", c.Effects)
		l.must(c.Member == "" || astern.ValidMember(c.Member), "%q is not a member name", c.Member)
		l.must(c.TimeoutSeconds > 0, "its time-out is %v s", c.TimeoutSeconds)
		l.must(c.Attempts >= 1, "attempts is %d", c.Attempts)
		l.must(c.IntervalSeconds >= 0, "its interval is %v s", c.IntervalSeconds)
		if c.HTTP != nil {
			for _, code := range c.HTTP.Status {
				l.must(code >= 100 && code <= 599, "%d is not a status code", code)
			}
		}
		if at := unbound(c); at != "" {
			l.broken("%s is not bound", at)
		}
	}
}

var placeholder = pattern.New(`\{(?:revision|member|address|version)\}`)

// unbound returns the first placeholder that is left. Only a check for each member keeps {member}: a fleet's is listed
// once, and bound to each when it runs.
func unbound(c astern.Check) string {
	var texts []string
	table := func(m map[string]string) {
		for _, k := range sorted(m) {
			texts = append(texts, k, m[k])
		}
	}
	texts = append(texts, c.Host)
	if h := c.HTTP; h != nil {
		texts = append(texts, h.URL, h.Body, h.Contains)
		table(h.Headers)
		table(h.HeaderEquals)
		table(h.JSONEquals)
	}
	if c.TCP != nil {
		texts = append(texts, c.TCP.Address)
	}
	if c.Command != nil {
		texts = append(texts, c.Command.Argv...)
		table(c.Command.Env)
	}
	for _, s := range texts {
		for _, at := range placeholder.FindAllString(s, -1) {
			if at != "{member}" || !c.Each || c.Member != "" {
				return at
			}
		}
	}
	return ""
}

func sorted[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
