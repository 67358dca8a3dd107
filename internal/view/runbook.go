package view

import (
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/astern-dev/astern"
)

// Runbook writes a plan as Markdown for a person who carries it out by hand, without astern: what must hold before,
// each step with its command for each member, what to look for at each gate, how to undo, and a checklist.
func Runbook(w io.Writer, st Style, v PlanView) error {
	r := runbook{printer: newPrinter(st), plan: v.Plan, index: v.Plan.CheckIndex()}
	r.head(v)
	r.preconditions()
	for i := range v.Plan.Stages {
		r.stage(i)
	}
	r.undo()
	r.checklist()
	return r.flush(w)
}

type runbook struct {
	*printer
	plan  astern.Plan
	index astern.CheckIndex
}

func (r runbook) f(format string, args ...any) { fmt.Fprintf(&r.b, format+"\n", args...) }

func (r runbook) head(v PlanView) {
	p := r.plan
	r.f("# Runbook: %s\n", md(title(p)))
	r.f("System %s, planned %s, valid until %s.", md(p.System), r.st.when(p.CreatedAt), r.st.when(p.ExpiresAt))
	r.f("Plan %s.\n", mdCode(v.Hash))
	r.f("| component | from | to | target is |")
	r.f("| --- | --- | --- | --- |")
	for _, m := range p.Moves {
		r.f("| %s | %s | %s | %s |", mdCell(m.Address), mdCell(m.From), mdCell(m.To), readiness(m.Readiness).s)
	}
	r.f("")
	asked := md(p.Asked.By)
	if p.Intent.Reason != "" {
		asked += ": " + md(p.Intent.Reason)
	}
	r.f("- Asked by %s", asked)
	if lossWords(p.Loss) == "nothing" {
		r.f("- Data: loses nothing")
	}
	for _, l := range p.Loss {
		if l.Count != 0 {
			r.f("- Data: **loses %s** of %s", md(amount(l)), mdCode(l.Address))
		}
	}
	r.f("- Time: %s", md(estimate(p.Estimate)))
	if p.Approvals == 0 {
		r.f("- Approvals: none needed")
	} else {
		r.f("- Approvals: %s, who did not ask for it:", approvals(p.Approvals))
		for i := range p.Approvals {
			if i < len(v.Approved) {
				r.f("  - [x] %s", md(v.Approved[i]))
			} else {
				r.f("  - [ ] name ________________ time ________")
			}
		}
	}
	for _, n := range p.Notes {
		r.f("- %s", mdStart(n))
	}
	for _, a := range p.Accepts {
		r.f("- Accepted by %s: %s, because %s", md(a.By), mdCode(a.What), md(a.Because))
	}
	for _, f := range p.Fleets {
		for _, l := range f.LeftOut {
			r.f("- Left out: %s of %s: %s", mdCode(l.Member), mdCode(f.Address), md(l.Because))
		}
	}
	r.f("")
	r.f("Tell the others that you begin, and see that nobody else changes %s meanwhile.", r.addresses())
	r.f("Stop at the first thing that is not as it is written here.")
}

func (r runbook) addresses() string {
	var out []string
	for _, a := range r.plan.Addresses() {
		out = append(out, mdCode(a))
	}
	if len(out) == 0 {
		return "the system"
	}
	return strings.Join(out, ", ")
}

// meanings explain the last fixed segment of common state paths to a person who has never seen one.
var meanings = map[string]string{
	"revision": "what runs, over all members",
	"link":     "the release that the member's link points to (`readlink`)",
	"process":  "identity of the member's process (id, start time, boot)",
	"host":     "the machine that the member runs on",
	"address":  "where the member answers",
	"release":  "content hash of the release folder on the member's host",
	"fence":    "number in the lock file of the release root; a higher one means that somebody else works there",
}

func (r runbook) preconditions() {
	r.f("\n## Before you begin\n")
	if len(r.plan.Facts) == 0 {
		r.f("The plan rests on no fact.")
	}
	explained := map[string]bool{}
	for _, f := range r.plan.Facts {
		state := "is " + mdCode(f.Value)
		switch {
		case f.Unknown != "":
			state = "could not be read (" + md(f.Unknown) + ")"
		case f.Absent:
			state = "does not exist"
		}
		if len(f.Except) > 0 {
			state += ", except " + md(exceptions(f.Except))
		}
		r.f("- [ ] %s of %s %s; seen %s; for %s", mdCode(f.Path), mdCode(f.Address), state, r.st.when(f.Seen), md(strings.Join(f.Steps, ", ")))
		for seg := range strings.SplitSeq(f.Path, "/") {
			if meanings[seg] != "" {
				explained[seg] = true
			}
		}
	}
	if len(explained) > 0 {
		r.f("\nIn these paths:\n")
		names := keys(explained)
		for _, n := range names {
			r.f("- %s: %s", mdCode(n), meanings[n])
		}
	}
	if members := r.members(); members != "" {
		r.f("\n`{member}` stands for each of:\n\n%s", members)
	}
}

func (r runbook) members() string {
	var b strings.Builder
	for _, f := range r.plan.Fleets {
		fmt.Fprintf(&b, "- %s: %s\n", mdCode(f.Address), md(strings.Join(f.Members, ", ")))
	}
	return strings.TrimRight(b.String(), "\n")
}

// laneLimit is how many lanes of a stage are written out; above it the steps are written once, with {member}.
const laneLimit = 100

func (r runbook) stage(i int) {
	s := r.plan.Stages[i]
	r.f("\n## Stage %d: %s\n", i+1, md(s.Title))
	members, of := stageMembers(r.plan, s)
	if s.Each != nil {
		r.f("%d of %d members.", len(members), of)
	}
	if how := stageHow(s); how != "" {
		r.f("Take them %s.", how)
	}
	if len(s.StopWhen) > 0 {
		r.f("Stop when one of these fails meanwhile: %s.", md(strings.Join(s.StopWhen, ", ")))
	}
	lanes, err := r.plan.Lanes(i)
	switch {
	case err != nil:
		r.f("**This stage can't be read: %s.**", md(err.Error()))
	case len(lanes) > laneLimit:
		r.f("Do this for each member, in this order: %s\n", md(strings.Join(members, ", ")))
		for k := range s.Steps {
			r.step(s.Steps[k].ID, &s.Steps[k], "{member}")
		}
	default:
		for _, lane := range lanes {
			if lane.Member != "" {
				r.f("\n### %s\n", md(lane.Member))
			}
			for _, ls := range lane.Steps {
				r.step(ls.ID, ls.Step, lane.Member)
			}
		}
	}
	r.gate(s)
}

func (r runbook) step(id string, s *astern.Step, member string) {
	r.f("- [ ] **%s** %s", md(id), md(astern.MemberPath(s.Title, member)))
	if len(s.Guards) > 0 {
		r.f("  Only after %s.", md(strings.Join(s.Guards, ", ")))
	}
	if s.Undo == astern.UndoImpossible {
		r.f("  **Point of no return:** %s", md(orUnknown(s.UndoBecause)))
	}
	r.f("")
	switch {
	case s.Command != "":
		r.b.WriteString(mdBlock("  ", s.CommandFor(member)))
	case s.Kind != "check":
		r.f("  No command is known for this step (%s); do it by hand.", mdCode(s.Kind+" "+s.Verb))
	}
	if name, ok := s.Args["check"]; ok && s.Kind == "check" {
		if c, ok := r.index.Check(name.String(), member); ok {
			r.f("  Go on when %s.", strings.Join(checkExpects(c), " and "))
			if s.Command == "" {
				r.b.WriteString("\n" + mdBlock("  ", checkCommand(c)))
			}
		}
	}
	r.f("")
}

func (r runbook) gate(s astern.Stage) {
	if s.Gate == nil {
		return
	}
	r.f("\n**Gate.** Go on only when all of this passes%s.", bakeWords(*s.Gate))
	if s.OnFailure == astern.OnFailureUndo {
		r.f("When one fails, undo what was done so far (see Undo).")
	} else {
		r.f("When one fails, stop here and decide.")
	}
	r.f("")
	for _, id := range s.Gate.Checks {
		name, member, _ := strings.Cut(id, "@")
		c, ok := r.index.Check(id, member)
		if !ok {
			c, ok = r.index.Check(name, member)
		}
		if !ok {
			r.f("- [ ] %s (the plan does not say how it is made)", md(id))
			continue
		}
		r.check(c)
	}
}

func bakeWords(g astern.Gate) string {
	out := ""
	if g.BakeSeconds > 0 {
		out = " for " + seconds(float64(g.BakeSeconds))
	}
	if g.IntervalSeconds > 0 {
		out += ", asked each " + seconds(float64(g.IntervalSeconds))
	}
	return out
}

func (r runbook) check(c astern.Check) {
	where := ""
	if c.Host != "" {
		where = " (on the host " + mdCode(c.Host) + ")"
	}
	if c.Effects == astern.EffectsSome {
		where += " (it has effects)"
	}
	r.f("- [ ] **%s**%s: %s\n", md(c.ID()), where, strings.Join(checkExpects(c), "; "))
	if cmd := checkCommand(c); cmd != "" {
		r.b.WriteString(mdBlock("  ", cmd) + "\n")
	}
}

// undo says what each step changed and what was there before, the last step first.
func (r runbook) undo() {
	r.f("\n## Undo\n")
	r.f("The last step done first. Do the commands above with the value of before.\n")
	some := false
	for i := len(r.plan.Stages) - 1; i >= 0; i-- {
		s := r.plan.Stages[i]
		members, _ := stageMembers(r.plan, s)
		for k := len(s.Steps) - 1; k >= 0; k-- {
			step := s.Steps[k]
			if step.Undo == astern.UndoNone {
				continue
			}
			some = true
			on := ""
			if len(members) > 0 {
				on = " on " + md(list(members, laneLimit))
			}
			if step.Undo == astern.UndoImpossible {
				r.f("- **%s**%s can't be undone: %s", md(step.ID), on, md(orUnknown(step.UndoBecause)))
				continue
			}
			r.f("- [ ] **%s**%s: reverse \"%s\"", md(step.ID), on, md(step.Title))
			for _, set := range step.Sets {
				r.f("  - %s", r.before(step, set))
			}
		}
	}
	if !some {
		r.f("Nothing needs to be undone.")
	}
}

// before says what a path held when the plan was made.
func (r runbook) before(step astern.Step, set astern.Set) string {
	address := set.Address
	if address == "" {
		address = step.Address
	}
	becomes := "becomes " + mdCode(set.Value.String())
	if set.Absent {
		becomes = "is removed"
	}
	for _, f := range r.plan.Facts {
		if f.Address != address || f.Path != set.Path {
			continue
		}
		was := "was " + mdCode(f.Value)
		if f.Absent {
			was = "did not exist"
		}
		if f.Unknown != "" {
			was = "could not be read before"
		}
		if len(f.Except) > 0 {
			was += ", except " + md(exceptions(f.Except))
		}
		return mdCode(set.Path) + " " + was + ", " + becomes
	}
	return mdCode(set.Path) + " " + becomes + "; note what is there before the step"
}

func (r runbook) checklist() {
	if len(r.plan.Checklist) > 0 {
		r.f("\n## Afterwards\n")
	}
	for _, l := range r.plan.Checklist {
		r.f("%s:\n", mdCode(l.Address))
		for _, it := range l.Items {
			if it.Check == "" {
				r.f("- [ ] %s (a person looks; name ________________)", md(it.Item))
				continue
			}
			var how []string
			for _, c := range r.plan.Checks {
				if c.Name == it.Check && c.Address == l.Address {
					how = append(how, c.ID())
				}
			}
			sort.Strings(how)
			if len(how) == 0 {
				how = []string{it.Check}
			}
			r.f("- [ ] %s (check %s)", md(it.Item), md(list(how, memberLimit)))
		}
		r.f("")
	}
	if r.plan.Then != nil {
		r.f("\n## Then\n\nThis is not the end: plan again, because %s", md(r.plan.Then.Because))
	}
	r.f("\nNote who did what and when, and record it: `astern record deploy COMPONENT REVISION --reason WHY`.")
}
