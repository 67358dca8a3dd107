package view

import (
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/astern-dev/astern"
)

// PlanView is a plan with what is not part of it. The JSON of a plan is its canonical form, made by package planfile.
type PlanView struct {
	Plan astern.Plan
	Hash string
	// Refusals say why it may not be applied now; empty when it may.
	Refusals []string
	// Approved are the people who approved it so far.
	Approved []string
	// Next are the commands that a person may type, the first is the default.
	Next []string
}

// Plan writes a plan for a person who decides whether to apply it.
func Plan(w io.Writer, st Style, v PlanView) error {
	p := newPrinter(st)
	p.planHead(v)
	env := environmentOf(v.Plan)
	for i := range v.Plan.Stages {
		p.blank()
		p.planStage(v.Plan, i, env)
	}
	p.blank()
	p.planFacts(v.Plan, env)
	p.planReturns(v.Plan)
	for _, a := range v.Plan.Accepts {
		p.field("accepts", warn("! "+a.What), ", by ", a.By, ": ", a.Because)
	}
	if v.Plan.Then != nil {
		p.field("then", "plan again: ", v.Plan.Then.Because)
	}
	p.blank()
	for _, r := range v.Refusals {
		p.field("refused", bad("✗ "), r)
	}
	if v.Hash != "" {
		p.raw(tx("  ", dim(pad("hash", labelWidth-2)), v.Hash))
	}
	p.next(v.Next)
	return p.flush(w)
}

// environmentOf returns the environment that all components of the plan share, or "".
func environmentOf(p astern.Plan) string {
	env := ""
	for i, a := range p.Addresses() {
		e, _, ok := astern.SplitAddress(a)
		if !ok || i > 0 && e != env {
			return ""
		}
		env = e
	}
	return env
}

// PlanTitle names a plan in one line: "rollback production/shop to v1.2.2".
func PlanTitle(p astern.Plan) string { return clean(title(p)) }

func title(p astern.Plan) string {
	verb := string(p.Intent.Verb)
	switch {
	case p.Intent.Verb == astern.VerbUndo:
		return "undo " + p.Intent.Execution
	case p.Intent.Flag != nil:
		return "switch " + p.Intent.Flag.String() + " in " + strings.Join(p.Intent.Addresses, ", ")
	case p.Intent.Object != nil:
		return verb + " " + p.Intent.Object.String() + " of " + strings.Join(p.Intent.Addresses, ", ")
	case len(p.Moves) == 1:
		return verb + " " + p.Moves[0].Address + " to " + p.Moves[0].To
	case p.Intent.Moment != nil:
		return fmt.Sprintf("%s %s to %s", verb, plural(int64(len(p.Moves)), "component"), p.Intent.Moment.UTC().Format("2006-01-02 15:04:05 UTC"))
	case len(p.Moves) == 0:
		return verb + " " + strings.Join(p.Intent.Addresses, ", ")
	}
	return verb + " " + plural(int64(len(p.Moves)), "component")
}

func (p *printer) planHead(v PlanView) {
	pl, st := v.Plan, p.st
	env := environmentOf(pl)
	p.line(strong("plan: "+title(pl)), dim("  "+pl.System))
	if at := pl.Intent.Moment; at != nil {
		p.field("back to", "how it was at ", strong(st.when(*at)), dim(" ("+at.UTC().Format("15:04:05")+" UTC)"), ", ", st.age(*at))
	}
	label := "moves"
	for _, m := range pl.Moves {
		p.field(label, strong(short(env, m.Address)), "  ", orUnknown(m.From), " → ", strong(m.To), "  ", readiness(m.Readiness))
		label = ""
		for _, e := range m.Evidence {
			if st.Verbose || m.Readiness != astern.Ready && e.Readiness != astern.Ready {
				p.item(labelWidth+2, "", readiness(e.Readiness), "  ", e.What, dim(" (seen "+st.age(e.Seen)+")"))
			}
		}
	}
	asked := tx(orUnknown(pl.Asked.By))
	if pl.Asked.Known != "" {
		asked = append(asked, dim(" ("+pl.Asked.Known+", "+pl.Asked.Way+"), "+st.age(pl.CreatedAt)))
	}
	if pl.Intent.Reason != "" {
		asked = append(asked, tx(": ", pl.Intent.Reason)...)
	}
	p.field("asked by", asked)
	for i, n := range pl.Notes {
		label := "note"
		if i > 0 {
			label = ""
		}
		p.field(label, n)
	}
	if lossWords(pl.Loss) == "nothing" {
		p.field("data", good("✓ "), "loses nothing")
	}
	label = "data"
	for _, l := range pl.Loss {
		if l.Count != 0 {
			p.field(label, warn("! loses "+amount(l)), " of ", short(env, l.Address))
			label = ""
		}
	}
	needs := tx(approvals(pl.Approvals))
	if pl.Approvals > 0 {
		needs = append(needs, tx(fmt.Sprintf("; %d of %d given", len(v.Approved), pl.Approvals))...)
	}
	if len(v.Approved) > 0 {
		needs = append(needs, tx(" by ", strings.Join(v.Approved, ", "))...)
	}
	p.field("approvals", needs)
	waits := int64(0)
	for _, s := range pl.Stages {
		if s.Gate != nil {
			waits += s.Gate.BakeSeconds
		}
	}
	took := tx(estimate(pl.Estimate))
	if waits > 0 && float64(waits) < pl.Estimate.MedianSeconds {
		took = append(took, dim(", of which "+seconds(float64(waits))+" are watching")) // which status tells apart
	}
	p.field("time", took)
	if !pl.ExpiresAt.IsZero() {
		if st.Now.After(pl.ExpiresAt) {
			p.field("expired", bad("✗ "+st.age(pl.ExpiresAt)), ": plan again")
		} else {
			p.field("expires", st.age(pl.ExpiresAt), dim(" ("+st.when(pl.ExpiresAt)+")"))
		}
	}
	for _, f := range pl.Fleets {
		for _, l := range f.LeftOut {
			p.field("left out", warn("! "+l.Member), " of ", short(env, f.Address), ": ", l.Because)
		}
	}
	if pl.Parent != "" {
		p.field("continues", pl.Parent)
	}
}

// memberLimit is how many members a line names before it counts the rest.
const memberLimit = 8

// stageMembers returns the members that a stage takes, and how many the fleet has.
func stageMembers(p astern.Plan, st astern.Stage) (members []string, of int) {
	if st.Each == nil {
		return nil, 0
	}
	f, ok := p.Fleet(st.Each.Address)
	if !ok || st.Each.From < 0 || st.Each.From > st.Each.To || st.Each.To > len(f.Members) {
		return nil, 0
	}
	return f.Members[st.Each.From:st.Each.To], len(f.Members)
}

// stageHow says how a stage's lanes run: "one after another", "2 side by side, 1 may fail".
func stageHow(st astern.Stage) string {
	how := ""
	switch {
	case st.Parallel > 1:
		how = fmt.Sprintf("%d side by side", st.Parallel)
	case st.Each != nil && st.Each.To-st.Each.From > 1:
		how = "one after another"
	}
	if st.Tolerate > 0 {
		how = strings.TrimPrefix(fmt.Sprintf("%s, %d may fail", how, st.Tolerate), ", ")
	}
	return how
}

func (p *printer) planStage(pl astern.Plan, i int, env string) {
	s := pl.Stages[i]
	members, of := stageMembers(pl, s)
	head := tx(strong(s.Title))
	if how := stageHow(s); how != "" {
		head = append(head, dim("  "+how))
	}
	p.item(0, tx(strong(fmt.Sprintf("%d", i+1)), "  "), head)
	if s.Each != nil {
		p.item(3, "", dim("on "), list(members, memberLimit), dim(fmt.Sprintf("  (%s of %s of %s)",
			count(int64(len(members))), count(int64(of)), short(env, s.Each.Address))))
	}
	width := 0
	for _, step := range s.Steps {
		width = max(width, tx(step.ID).width())
	}
	for _, step := range s.Steps {
		t := tx(forMembers(step.Title, members))
		if step.Undo == astern.UndoImpossible {
			t = append(t, tx("  ", bad("✗ no way back"))...)
			if step.UndoBecause != "" {
				t = append(t, tx(": ", step.UndoBecause)...)
			}
		}
		if len(step.Guards) > 0 {
			t = append(t, dim("  after "+strings.Join(step.Guards, ", ")))
		}
		p.item(3, tx(pad(step.ID, min(width, 24)), "  "), t)
		if step.Command != "" {
			p.raw(tx(strings.Repeat(" ", 5), dim("$ "+commandLine(step, members))))
		}
		if p.st.Verbose {
			p.item(5, "", dim("undo: "+string(step.Undo)+" · time "+estimate(step.Estimate)+
				fmt.Sprintf(" · at most %s, %s", seconds(float64(step.TimeoutSeconds)), plural(int64(max(step.Attempts, 1)), "attempt"))))
		}
	}
	if len(s.StopWhen) > 0 {
		p.item(3, dim("stops when "), strings.Join(s.StopWhen, ", "), dim(" fails"))
	}
	if s.Gate != nil {
		p.item(3, dim("gate "), gateWords(*s.Gate))
	}
	if s.OnFailure == astern.OnFailureUndo {
		p.item(3, dim("on failure "), "undo what this plan did")
	}
}

// forMembers names the only member of a stage where a text speaks of {member}.
func forMembers(s string, members []string) string {
	if len(members) == 1 {
		return astern.MemberPath(s, members[0])
	}
	return s
}

// commandLine writes what a person would type, for the first of several members.
func commandLine(s astern.Step, members []string) string {
	switch len(members) {
	case 0:
		return s.Command
	case 1:
		return s.CommandFor(members[0])
	}
	line := s.CommandFor(members[0])
	if line == s.Command && len(s.Commands) == 0 {
		return line // the same for all
	}
	return line + "  # " + members[0] + "; so for the others"
}

// gateWords says what a gate asks for: "health, version pass for 5 min, asked each 5 s; held after 10 min without".
func gateWords(g astern.Gate) text {
	t := tx(list(collapse(g.Checks), memberLimit), " pass")
	if len(g.Checks) == 0 {
		t = tx("no check")
	}
	if g.BakeSeconds > 0 {
		t = append(t, tx(" for ", strong(seconds(float64(g.BakeSeconds))))...)
	}
	if g.IntervalSeconds > 0 {
		t = append(t, dim(", asked each "+seconds(float64(g.IntervalSeconds))))
	}
	if g.TimeoutSeconds > 0 {
		t = append(t, dim("; held after "+seconds(float64(g.TimeoutSeconds))+" without"))
	}
	return t
}

// collapse joins the members of the same check: health@a, health@b, port -> "health (a, b)", "port".
func collapse(ids []string) []string {
	var names []string
	members := map[string][]string{}
	for _, id := range ids {
		name, member, ok := strings.Cut(id, "@")
		if _, seen := members[name]; !seen {
			names = append(names, name)
			members[name] = nil
		}
		if ok {
			members[name] = append(members[name], member)
		}
	}
	for i, n := range names {
		if m := members[n]; len(m) > 0 {
			names[i] = n + " (" + list(m, memberLimit) + ")"
		}
	}
	return names
}

// factLimit is how many facts are shown without Verbose.
const factLimit = 6

func (p *printer) planFacts(pl astern.Plan, env string) {
	if len(pl.Facts) == 0 {
		p.field("rests on", "no fact")
		return
	}
	oldest := pl.Facts[0].Seen
	for _, f := range pl.Facts {
		if f.Seen.Before(oldest) {
			oldest = f.Seen
		}
	}
	p.field("rests on", plural(int64(len(pl.Facts)), "fact"), dim(", the oldest seen "+p.st.age(oldest)+"; read again before each step"))
	facts := pl.Facts
	// Facts that could not be read are what a person must look at.
	facts = append([]astern.Fact(nil), facts...)
	sort.SliceStable(facts, func(i, k int) bool { return facts[i].Unknown != "" && facts[k].Unknown == "" })
	for i, f := range facts {
		if i >= factLimit && !p.st.Verbose {
			p.item(labelWidth, "", dim(fmt.Sprintf("and %d more (-v shows all)", len(facts)-i)))
			break
		}
		t := tx(short(env, f.Address), " ", f.Path, " = ", factValue(f))
		if len(f.Except) > 0 {
			t = append(t, tx(" except ", exceptions(f.Except))...)
		}
		if p.st.Verbose {
			t = append(t, dim("  for "+strings.Join(f.Steps, ", ")))
		}
		p.item(labelWidth, "", t)
	}
}

func factValue(f astern.Fact) span {
	switch {
	case f.Unknown != "":
		return warn("? unknown (" + f.Unknown + ")")
	case f.Absent:
		return span{"absent", rolePlain}
	}
	return span{clean(f.Value), rolePlain}
}

func exceptions(m map[string]astern.FactValue) string {
	var out []string
	for member, v := range m {
		out = append(out, member+" = "+exceptValue(v))
	}
	sort.Strings(out)
	return list(out, memberLimit)
}

// exceptValue writes what was seen of one member.
func exceptValue(v astern.FactValue) string {
	switch {
	case v.Unknown != "":
		return "unknown (" + v.Unknown + ")"
	case v.Absent:
		return "absent"
	}
	return orDash(v.Value)
}

// planReturns lists the points of no return.
func (p *printer) planReturns(pl astern.Plan) {
	label := "no return"
	for _, s := range pl.Stages {
		for _, step := range s.Steps {
			if step.Undo == astern.UndoImpossible {
				p.field(label, bad("✗ "), "from ", step.ID, " on: ", orDash(step.UndoBecause))
				label = ""
			}
		}
	}
	if label != "" {
		p.field("way back", good("✓ "), "each step can be undone")
	}
}
