package planfile

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
)

var (
	planID     = pattern.New(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	stepID     = pattern.New(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
	kindName   = pattern.New(`^[a-z][a-z0-9]*(\.[a-z][a-z0-9]*)?$`)
	verbName   = pattern.New(`^[a-z][a-z0-9-]*$`)
	outputName = pattern.New(`^[a-z][a-z0-9_]*$`)
	planHash   = pattern.New(`^[0-9a-f]+$`)
)

var (
	verbs = []astern.Verb{astern.VerbRollback, astern.VerbDeploy, astern.VerbRedeploy, astern.VerbRestore, astern.VerbFailover,
		astern.VerbFailback, astern.VerbRepair, astern.VerbUndo, astern.VerbOff}
	readinesses = []astern.Readiness{astern.Ready, astern.AtRisk, astern.Broken, astern.ReadyUnknown}
	undos       = []astern.Undo{astern.UndoInverse, astern.UndoNone, astern.UndoImpossible}
	outputTypes = []string{"string", "bool", "int", "list"}
	units       = []string{"rows", "items", "bytes", "seconds"}
	ways        = []string{"cli", "watch", "page"}
	// builtIn are the verbs of the step kinds that no driver has.
	builtIn = map[string][]string{"check": {"wait", "run"}, "ledger": {"latch", "release", "record", "known-good"}}
)

// laws collects what is wrong with a plan.
type laws struct {
	plan  astern.Plan
	errs  []error
	at    string // where in the plan
	steps map[string]place
	index astern.CheckIndex
}

// place is where a step stands: stage and step, from 0.
type place struct {
	stage, step int
	declared    *astern.Step
}

func (l *laws) broken(format string, args ...any) {
	err := astern.Errorf(astern.Invalid, format, args...)
	err.Doing = l.at
	l.errs = append(l.errs, err)
}

// must tells that the law is broken when ok is false.
func (l *laws) must(ok bool, format string, args ...any) {
	if !ok {
		l.broken(format, args...)
	}
}

// Validate returns every law that the plan breaks, each saying where. The seal of the id is not looked at: it is put
// there by Encode.
func Validate(p astern.Plan) []error {
	l := &laws{plan: p, steps: map[string]place{}, index: p.CheckIndex()}
	l.place()
	l.head()
	l.moves()
	l.fleets()
	l.facts()
	l.accepts()
	l.checks()
	for i := range p.Stages {
		l.stage(i)
	}
	l.end()
	return l.errs
}

// place notes where each step stands.
func (l *laws) place() {
	for i, st := range l.plan.Stages {
		for k := range st.Steps {
			s := &st.Steps[k]
			if first, ok := l.steps[s.ID]; ok {
				l.at = fmt.Sprintf("stage %d", i+1)
				l.broken("the step id %q is taken by a step of stage %d", s.ID, first.stage+1)
				continue
			}
			l.steps[s.ID] = place{i, k, s}
		}
	}
}

func (l *laws) head() {
	p := l.plan
	l.at = "plan"
	l.must(p.Kind == "Plan", "its kind is %q, not \"Plan\"", p.Kind)
	l.must(p.Version == astern.PlanVersion, "its version is %d, not %d", p.Version, astern.PlanVersion)
	l.must(len(p.ID) <= 200 && planID.MatchString(p.ID), "%q is not an id", p.ID)
	l.must(p.System != "", "it names no system")
	l.must(!p.CreatedAt.IsZero(), "it does not say when it was made")
	l.must(p.ExpiresAt.After(p.CreatedAt), "it expires before it was made")
	l.must(p.Asked.By != "", "it does not say who asked")
	l.must(slices.Contains(ways, p.Asked.Way), "%q is no way to ask (cli, watch, page)", p.Asked.Way)
	l.must(p.Approvals >= 0, "it needs %d approvals", p.Approvals)
	l.must(p.Parent == "" || len(p.Parent) == 64 && planHash.MatchString(p.Parent), "its parent %q is not the hash of a plan", p.Parent)
	l.estimate(p.Estimate)

	l.at = "intent"
	in := p.Intent
	l.must(slices.Contains(verbs, in.Verb), "the verb %q is not known", in.Verb)
	l.must(in.Percent >= 1 && in.Percent <= 100, "percent is %d, not 1 to 100", in.Percent)
	l.must(in.BakeSeconds >= 0 && in.WatchSeconds >= 0, "a time is negative")
	l.must(in.Revision == "" || validRevision(in.Revision, ""), "%q is not a revision name", in.Revision)
	l.must(in.Revision == "" || in.Moment == nil, "it asks for a revision and for a moment")
	l.must((in.Verb == astern.VerbUndo) == (in.Execution != ""), "an execution is named when, and only when, it is to be undone")
	l.must(in.Object == nil || in.Verb == astern.VerbRollback && in.Object.Object != "" && len(in.Addresses) == 1 && in.Revision == "" && in.Moment == nil,
		"one object is named, without a revision of the whole, by a rollback of one component only")
	l.must(in.Object == nil || in.Object.Revision == "" || validRevision(in.Object.Revision, ""), "the object's revision is not a revision name")
	l.must(len(in.Addresses) > 0, "it asks for no component")
	for _, a := range in.Addresses {
		l.address(a)
	}
}

func validRevision(s, kind string) bool {
	return astern.ValidRevision(s) && (kind != "host.service" || !strings.Contains(s, ":"))
}

func (l *laws) address(a string) {
	env, name, ok := astern.SplitAddress(a)
	l.must(ok && astern.ValidName(env) && astern.ValidName(name), "%q is not an address (ENV/COMPONENT)", a)
}

func (l *laws) estimate(e astern.Estimate) {
	for _, f := range []float64{e.MedianSeconds, e.LowSeconds, e.HighSeconds} {
		l.must(f >= 0 && !math.IsInf(f, 0), "the estimate says %v seconds", f)
	}
	l.must(e.Runs >= 0, "the estimate comes from %d runs", e.Runs)
}

func (l *laws) moves() {
	seen := map[string]bool{}
	for _, m := range l.plan.Moves {
		l.at = "move of " + m.Address
		l.address(m.Address)
		l.must(!seen[m.Address], "the component is moved twice")
		seen[m.Address] = true
		l.must(kindName.MatchString(m.Kind), "%q is not a kind", m.Kind)
		for _, from := range strings.Split(m.From, "+") {
			l.must(m.From == "" || validRevision(from, m.Kind), "from: %q is not a revision name", from)
		}
		for _, to := range l.targets(m) {
			l.must(validRevision(to, m.Kind), "to: %q is not a revision name", to)
		}
		l.must(slices.Contains(readinesses, m.Readiness), "%q is not a readiness", m.Readiness)
		for _, e := range m.Evidence {
			l.must(slices.Contains(readinesses, e.Readiness), "evidence %q: %q is not a readiness", e.What, e.Readiness)
		}
	}
}

// targets returns the revisions that the component is taken to: one, but an undo may return to a mixed state.
func (l *laws) targets(m astern.Move) []string {
	if l.plan.Intent.Verb == astern.VerbUndo {
		return strings.Split(m.To, "+")
	}
	return []string{m.To}
}

func (l *laws) fleets() {
	seen := map[string]bool{}
	for _, f := range l.plan.Fleets {
		l.at = "fleet of " + f.Address
		l.address(f.Address)
		l.must(!seen[f.Address], "it is listed twice")
		seen[f.Address] = true
		members := map[string]bool{}
		for _, m := range f.Members {
			l.must(astern.ValidMember(m), "%q is not a member name", m)
			l.must(!members[m], "member %s is listed twice", m)
			members[m] = true
		}
		for _, o := range f.LeftOut {
			l.must(astern.ValidMember(o.Member), "%q is not a member name", o.Member)
			l.must(!members[o.Member], "member %s is listed and left out", o.Member)
			members[o.Member] = true
			l.must(o.Because != "", "member %s is left out without a reason", o.Member)
		}
	}
}

func (l *laws) facts() {
	seen := map[string]bool{}
	for _, f := range l.plan.Facts {
		l.at = "fact " + f.Address + " " + f.Path
		l.address(f.Address)
		l.must(f.Path != "", "it has no path")
		l.must(!seen[f.Address+" "+f.Path], "it is listed twice")
		seen[f.Address+" "+f.Path] = true
		for _, id := range f.Steps {
			_, ok := l.steps[id]
			l.must(ok, "step %q rests on it, and is not in the plan", id)
		}
		switch {
		case f.Unknown != "":
			l.must(f.Value == "" && !f.Absent, "it is unknown and has a value")
			l.must(l.accepted("fact "+f.Address+" "+f.Path), "it is unknown (%s) and nobody accepts that", f.Unknown)
		case f.Absent:
			l.must(f.Value == "", "it is absent and has a value")
		}
		fleet, ok := l.plan.Fleet(f.Address)
		forEach := strings.Contains(f.Path, "{member}")
		l.must(!forEach || ok, "it is one for each member, and the plan lists no members")
		l.must(forEach || len(f.Except) == 0, "it has exceptions, and is not one for each member")
		if len(f.Except) > 0 {
			members := map[string]bool{}
			for _, m := range fleet.Members {
				members[m] = true
			}
			for m := range f.Except {
				l.must(members[m], "its exception %q is not a member", m)
			}
		}
	}
}

func (l *laws) accepted(what string) bool {
	return slices.ContainsFunc(l.plan.Accepts, func(a astern.Accept) bool { return a.What == what })
}

func (l *laws) accepts() {
	for _, a := range l.plan.Accepts {
		l.at = "accept of " + a.What
		l.must(a.By != "" && a.Because != "", "it needs a name and a because")
		l.must(l.plan.Asked.Way != "watch", "the automatic way accepts nothing")
		what, rest, _ := strings.Cut(a.What, " ")
		ok := false
		switch what {
		case "fact":
			ok = slices.ContainsFunc(l.plan.Facts, func(f astern.Fact) bool { return rest == f.Address+" "+f.Path })
		case "check":
			_, ok = l.index.Check(rest, "")
		case "loss":
			ok = slices.ContainsFunc(l.plan.Loss, func(x astern.Loss) bool { return rest == x.Address+" "+x.Unit })
		}
		l.must(ok, "the plan has no such fact, check or loss")
	}
}

func (l *laws) loss(list []astern.Loss) {
	for _, x := range list {
		l.address(x.Address)
		l.must(slices.Contains(units, x.Unit), "%q is not a unit (rows, items, bytes, seconds)", x.Unit)
		l.must(x.Count >= 0, "%d %s are lost", x.Count, x.Unit)
	}
}

// end judges what stands around the stages.
func (l *laws) end() {
	for _, c := range l.plan.Checklist {
		l.at = "checklist of " + c.Address
		l.address(c.Address)
		for _, i := range c.Items {
			l.must(i.Item != "", "an item has no name")
			ok := i.Check == "" || slices.ContainsFunc(l.plan.Checks, func(c astern.Check) bool { return c.Name == i.Check || c.ID() == i.Check })
			l.must(ok, "item %s is ticked by check %q, which is not in the plan", i.Item, i.Check)
		}
	}
	l.at = "loss"
	l.loss(l.plan.Loss)
	then := l.plan.Then
	if then == nil {
		return
	}
	l.at = "then"
	l.must(then.Because != "", "it does not say why the end can't be seen")
	if a := then.Allowed; a != nil {
		l.must(a.Children >= 1, "it allows %d child plans", a.Children)
		l.must(len(a.Addresses) > 0 && len(a.Verbs) > 0, "it allows no component or no verb")
		for _, x := range a.Addresses {
			l.address(x)
		}
		for _, v := range a.Verbs {
			l.must(len(v) <= 63 && verbName.MatchString(v), "%q is not a verb", v)
		}
		l.loss(a.Loss)
	}
}
