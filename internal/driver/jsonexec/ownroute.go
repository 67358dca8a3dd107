package jsonexec

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	astern "github.com/astern-dev/astern"

	"github.com/astern-dev/astern/internal/pattern"
)

// programRoute is a route as a program answers it.
type programRoute struct {
	From   string         `json:"from"`
	Stages []astern.Stage `json:"stages"`
	Facts  []astern.Fact  `json:"facts"`
	Fleet  *astern.Fleet  `json:"fleet"`
	Loss   []astern.Loss  `json:"loss"`
	Notes  []string       `json:"notes"`
}

// ownRoute asks the program for a route, fills in what it left out, and checks it.
func (p program) ownRoute(s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	var a programRoute
	err := p.ask(context.Background(), request{Call: "route", State: &s, Target: &t,
		Options: &options{o.Verb, o.Percent, o.BakeSeconds, o.GateSeconds, o.Now}}, &a)
	if err != nil {
		return astern.Route{}, err
	}
	r := astern.Route{From: a.From, Stages: a.Stages, Facts: a.Facts, Fleet: a.Fleet, Loss: a.Loss, Notes: a.Notes}
	address := p.component.Address()
	if v, ok := s.Get(pathRevision); r.From == "" && ok && v.Known() {
		r.From = v.Text
	}
	if r.Fleet != nil && r.Fleet.Address == "" {
		r.Fleet.Address = address
	}
	for i := range r.Stages {
		st := &r.Stages[i]
		if st.OnFailure == "" {
			st.OnFailure = astern.OnFailureHold
		}
		member := ""
		if st.Each != nil {
			member = "{member}"
			if st.Each.Address == "" {
				st.Each.Address = address
			}
		}
		for k := range st.Steps {
			st.Steps[k] = p.complete(st.Steps[k], member)
		}
	}
	for i := range r.Facts {
		f := &r.Facts[i]
		if f.Address == "" {
			f.Address = address
		}
		if f.Seen.IsZero() {
			f.Seen = seenAt(s)
		}
	}
	for i := range r.Loss {
		if r.Loss[i].Address == "" {
			r.Loss[i].Address = address
		}
	}
	check := routeCheck{p: p, call: "route"}
	check.route(r)
	if check.err != nil {
		return astern.Route{}, check.err
	}
	return r, nil
}

// complete fills in what a program may leave out of a step.
func (p program) complete(s astern.Step, member string) astern.Step {
	if s.Address == "" {
		s.Address = p.component.Address()
	}
	if s.Kind == "" {
		s.Kind = Kind
	}
	if s.Attempts == 0 {
		s.Attempts = defaultAttempts
	}
	if s.TimeoutSeconds == 0 {
		s.TimeoutSeconds = wholeSeconds(p.stepTimeout)
	}
	if s.HoldSeconds == 0 {
		s.HoldSeconds = defaultHold
	}
	if s.Undo == "" {
		s.Undo = astern.UndoInverse
	}
	if s.Title == "" {
		s.Title = strings.TrimSpace(s.Verb + " " + p.component.Name + " " + member)
	}
	literal := !slices.ContainsFunc(slices.Collect(maps.Values(s.Args)), func(a astern.Arg) bool { return a.Ref != nil })
	if s.Command == "" && s.Kind == Kind && literal {
		s.Command = p.command(s.Verb, member, s.Args)
	}
	if s.Kind == Kind {
		if _, taken := s.Args[argSettings]; !taken { // routeCheck refuses a program that gives it
			s = p.sealed(s)
		}
	}
	return s
}

var (
	localID  = pattern.New(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)
	verbName = pattern.New(`^[a-z][a-z0-9-]*$`)
	// stepKinds are the kinds of steps in a program's route: its own, and waiting for a check of the component.
	stepKinds   = []string{Kind, "check"}
	outputTypes = []string{"string", "bool", "int", "list"}
	undos       = []astern.Undo{astern.UndoInverse, astern.UndoNone, astern.UndoImpossible}
)

// routeCheck judges what a program answered. It keeps the first fault: the rest often follows from it.
type routeCheck struct {
	p    program
	call string
	err  error
}

func (c *routeCheck) fault(ok bool, field, format string, args ...any) {
	if !ok && c.err == nil {
		c.err = c.p.invalid(c.call, "%s: %s", field, fmt.Sprintf(format, args...))
	}
}

func (c *routeCheck) route(r astern.Route) {
	address := c.p.component.Address()
	c.fault(len(r.Stages) > 0, "stages", "a route needs a stage; answer with an error when there is no way")
	members := 0
	if r.Fleet != nil {
		members = len(r.Fleet.Members)
		c.fault(r.Fleet.Address == address, "fleet.address", "%q is another component", r.Fleet.Address)
		for i, m := range r.Fleet.Members {
			c.fault(astern.ValidMember(m) && !slices.Contains(r.Fleet.Members[:i], m),
				fmt.Sprintf("fleet.members[%d]", i), "%q is not a member's name, or stands twice", m)
		}
	}
	earlier := map[string]astern.Step{}
	taken := make([]bool, members)
	for i, st := range r.Stages {
		at := fmt.Sprintf("stages[%d]", i)
		c.stage(at, st, address, taken)
		c.steps(at+".steps", st.Steps, earlier)
		for _, s := range st.Steps {
			earlier[s.ID] = s
		}
	}
	c.fault(!slices.Contains(taken, false), "fleet.members", "not every member is taken by a stage")
	for i, f := range r.Facts {
		at := fmt.Sprintf("facts[%d]", i)
		c.fault(f.Address == address, at+".address", "%q is another component", f.Address)
		c.fault(f.Path != "" && validPath(astern.MemberPath(f.Path, "m")), at+".path", "%q is not a path", f.Path)
		c.fault(!f.Absent || f.Value == "", at, "it can't have a value and be absent")
		c.fault(len(f.Steps) > 0, at+".steps", "a fact belongs to at least one step")
		for _, id := range f.Steps {
			_, ok := earlier[id]
			c.fault(ok, at+".steps", "there is no step %q", id)
			each := slices.ContainsFunc(r.Stages, func(st astern.Stage) bool {
				return st.Each != nil && slices.ContainsFunc(st.Steps, func(s astern.Step) bool { return s.ID == id })
			})
			c.fault(!each || strings.Contains(f.Path, "{member}"), at+".path", "step %q is over a fleet, so its facts need {member} in their path", id)
		}
	}
	for i, l := range r.Loss {
		c.fault(l.Unit != "" && l.Count >= 0, fmt.Sprintf("loss[%d]", i), "it needs a unit and a count")
	}
}

func (c *routeCheck) stage(at string, st astern.Stage, address string, taken []bool) {
	c.fault(st.Title != "" && len(st.Steps) > 0, at, "a stage needs a title and steps")
	c.fault(st.OnFailure == astern.OnFailureHold || st.OnFailure == astern.OnFailureUndo, at+".on_failure", "%q is neither hold nor undo", st.OnFailure)
	c.fault(st.Parallel >= 0 && st.Tolerate >= 0, at, "parallel and tolerate can't be negative")
	c.fault(st.Gate == nil && len(st.StopWhen) == 0, at, "gate and stop_when are added by the planner")
	if st.Each == nil {
		return
	}
	inside := st.Each.Address == address && 0 <= st.Each.From && st.Each.From < st.Each.To && st.Each.To <= len(taken)
	c.fault(inside, at+".each", "it does not name members of this route's fleet")
	for m := st.Each.From; inside && m < st.Each.To; m++ {
		c.fault(!taken[m], at+".each", "member %d is taken twice", m)
		taken[m] = true
	}
}

// steps judges the steps of one stage after those of earlier stages.
func (c *routeCheck) steps(at string, steps []astern.Step, earlier map[string]astern.Step) {
	before := maps.Clone(earlier)
	if before == nil {
		before = map[string]astern.Step{}
	}
	for i, s := range steps {
		at := fmt.Sprintf("%s[%d]", at, i)
		twice := slices.ContainsFunc(steps[:i], func(x astern.Step) bool { return x.ID == s.ID })
		c.fault(localID.MatchString(s.ID) && !twice, at+".id", "%q is not an id (letters, digits, - and _), or stands twice in the stage", s.ID)
		c.step(at, s)
		c.references(at, s, before)
		before[s.ID] = s
	}
}

func (c *routeCheck) step(at string, s astern.Step) {
	c.fault(s.Address == c.p.component.Address(), at+".address", "%q is another component", s.Address)
	c.fault(slices.Contains(stepKinds, s.Kind), at+".kind", "%q is none of %q", s.Kind, stepKinds)
	c.fault(verbName.MatchString(s.Verb), at+".verb", "%q is not a verb (small letters, digits and -)", s.Verb)
	c.fault(s.Kind != "check" || (s.Verb == "wait" && s.Args["check"].Type() == "string"), at,
		"a step of kind check has the verb wait and names its check")
	c.fault(s.Title == plainLine(s.Title), at+".title", "it must be one line")
	c.fault(s.Command != "", at+".command", "it is missing, and astern can't make it up for this step")
	c.fault(s.Attempts >= 1 && s.TimeoutSeconds > 0 && s.SettleSeconds >= 0 && s.HoldSeconds >= 0, at,
		"attempts is at least 1, and no time can be negative")
	c.fault(!s.Stoppable, at+".stoppable", "the protocol has no question that ends a step")
	c.fault(slices.Contains(undos, s.Undo), at+".undo", "%q is none of %q", s.Undo, undos)
	c.fault(s.Undo != astern.UndoImpossible || s.UndoBecause != "", at+".undo_because", "it is missing")
	c.fault(s.Kind != Kind || s.Undo != astern.UndoInverse || s.Verb == verbSet || c.p.answers("undo"), at+".undo",
		"it is inverse, but undo is not among the answers of the component's settings")
	digest, given := s.Args[argSettings]
	c.fault(!given || digest.String() == c.p.digest(), at+".args", "%s is astern's own", argSettings)
	for name, a := range s.Args {
		c.fault(a.Ref != nil || a.Type() != "", at+".args", "%q is empty", name)
	}
	for name, kind := range s.Outputs {
		c.fault(slices.Contains(outputTypes, kind), at+".outputs", "%q has the type %q, which is none of %q", name, kind, outputTypes)
	}
	for i, set := range s.Sets {
		at := fmt.Sprintf("%s.sets[%d]", at, i)
		c.fault(set.Address == "" || set.Address == c.p.component.Address(), at+".address", "%q is another component", set.Address)
		c.fault(validPath(astern.MemberPath(set.Path, "m")), at+".path", "%q is not a path", set.Path)
		c.fault(set.Absent != (set.Value.Ref != nil || set.Value.Type() != ""), at, "it needs either a value or absent")
	}
}

// references judges that a step uses only what earlier steps give.
func (c *routeCheck) references(at string, s astern.Step, before map[string]astern.Step) {
	given := func(ref *astern.Ref) bool { return ref == nil || before[ref.From].Outputs[ref.Output] != "" }
	for name, a := range s.Args {
		c.fault(given(a.Ref), at+".args", "%q refers to an output that no earlier step has", name)
	}
	for _, g := range s.Guards {
		_, ok := before[g]
		c.fault(ok, at+".guards", "%q is no earlier step", g)
	}
	for i, set := range s.Sets {
		own := set.Value.Ref != nil && set.Value.Ref.From == s.ID && s.Outputs[set.Value.Ref.Output] != ""
		c.fault(own || given(set.Value.Ref), fmt.Sprintf("%s.sets[%d]", at, i), "it refers to an output that no earlier step has")
	}
}
