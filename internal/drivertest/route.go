package drivertest

import (
	"slices"
	"strings"
	"unicode"

	astern "github.com/astern-dev/astern"

	"github.com/astern-dev/astern/internal/pattern"
)

func lawRoutePure(r *run) {
	c, s := r.world.Component, r.observe()
	t, o := r.target(s, r.world.Old), options(astern.VerbRollback, 100)
	r.pure("Route", []any{c, s, t, o}, func() any {
		route, err := r.driver.Router.Route(c, s, t, o)
		if err != nil {
			r.Fatalf("routing to %s: %v", t.Revision, err)
		}
		return route
	})
}

func lawRouteWellFormed(r *run) {
	c, s := r.world.Component, r.observe()
	for _, percent := range []int{1, 50, 100} {
		route, err := r.driver.Router.Route(c, s, r.target(s, r.world.Old), options(astern.VerbRollback, percent))
		if err != nil {
			r.Fatalf("routing %d percent to %s: %v", percent, r.world.Old, err)
		}
		checkRoute(r, s, route)
	}
}

func lawRouteMissing(r *run) {
	s := r.observe()
	gone := astern.Target{Address: r.world.Component.Address(), Revision: "v0.0.0-nowhere", Readiness: astern.Ready}
	_, err := r.driver.Router.Route(r.world.Component, s, gone, options(astern.VerbRollback, 100))
	r.refused("a route to a revision that does not exist", err)
}

// checkRoute requires everything that the planner and the engine rely on.
func checkRoute(r *run, s astern.State, route astern.Route) {
	if route.From != r.world.New {
		r.Errorf("the route starts from %q, but %s runs", route.From, r.world.New)
	}
	if len(route.Stages) == 0 {
		r.Fatalf("the route has no stage")
	}
	earlier := map[string]astern.Step{}
	for i, st := range route.Stages {
		checkStage(r, i, st, route.Fleet)
		here := map[string]bool{}
		for _, step := range st.Steps {
			if here[step.ID] {
				r.Errorf("stage %d has two steps %q", i, step.ID)
			}
			here[step.ID] = true
			checkStep(r, step)
			checkReferences(r, step, earlier)
			earlier[step.ID] = step
		}
	}
	checkMembers(r, route)
	for _, f := range route.Facts {
		checkFact(r, s, f, earlier, route.Fleet)
		checkFleetFact(r, f, route)
	}
	for _, l := range route.Loss {
		if l.Address == "" || l.Unit == "" || l.Count < 0 {
			r.Errorf("loss needs an address, a unit and a count: %+v", l)
		}
	}
}

func checkStage(r *run, i int, st astern.Stage, fleet *astern.Fleet) {
	if st.Title == "" || len(st.Steps) == 0 || st.Parallel < 0 || st.Tolerate < 0 {
		r.Errorf("stage %d needs a title and steps, and numbers that are not negative: %+v", i, st)
	}
	if st.OnFailure != astern.OnFailureHold && st.OnFailure != astern.OnFailureUndo {
		r.Errorf("stage %d: on_failure %q is neither hold nor undo", i, st.OnFailure)
	}
	if st.Gate != nil && len(st.Gate.Checks) > 0 {
		r.Errorf("stage %d names gate checks %v; those are added by the planner", i, st.Gate.Checks)
	}
	if st.Each == nil {
		return
	}
	if fleet == nil || st.Each.Address != r.world.Component.Address() ||
		st.Each.From < 0 || st.Each.From >= st.Each.To || st.Each.To > len(fleet.Members) {
		r.Fatalf("stage %d takes members %+v, which the route's fleet %+v does not have", i, *st.Each, fleet)
	}
}

// checkMembers requires that no member is taken twice and none is forgotten.
func checkMembers(r *run, route astern.Route) {
	if route.Fleet == nil {
		return
	}
	taken := make([]int, len(route.Fleet.Members))
	for _, st := range route.Stages {
		for m := 0; st.Each != nil && m < st.Each.To-st.Each.From; m++ {
			taken[st.Each.From+m]++
		}
	}
	for m, n := range taken {
		if n != 1 {
			r.Errorf("member %s of the fleet is taken %d times by the stages", route.Fleet.Members[m], n)
		}
	}
}

// localID leaves out "." and "@", which the planner uses to build an id from a local one.
var localID = pattern.New(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

func checkStep(r *run, s astern.Step) {
	if !localID.MatchString(s.ID) {
		r.Errorf("step %q: a local id is letters, digits, - and _", s.ID)
	}
	if s.Address != r.world.Component.Address() {
		r.Errorf("step %s acts on %q instead of %q", s.ID, s.Address, r.world.Component.Address())
	}
	if s.Title == "" || strings.ContainsFunc(s.Title, unicode.IsControl) || s.Command == "" {
		r.Errorf("step %s needs a title of one line and the command that a person would type: %q, %q", s.ID, s.Title, s.Command)
	}
	if s.Attempts < 1 || s.TimeoutSeconds <= 0 || s.SettleSeconds < 0 || s.HoldSeconds < 0 || s.Estimate.MedianSeconds < 0 {
		r.Errorf("step %s needs at least one attempt, a time-out, and no negative number: %+v", s.ID, s)
	}
	if !validUndo[s.Undo] || (s.Undo == astern.UndoImpossible && s.UndoBecause == "") {
		r.Errorf("step %s: undo %q must be one of the three, and impossible needs its because", s.ID, s.Undo)
	}
	for name, kind := range s.Outputs {
		if name == "" || !strings.Contains(" string bool int list ", " "+kind+" ") {
			r.Errorf("step %s: output %q has the type %q, which is none of string, bool, int, list", s.ID, name, kind)
		}
	}
	for _, set := range s.Sets {
		if set.Path == "" || set.Absent == (set.Value.Ref != nil || set.Value.Type() != "") {
			r.Errorf("step %s sets %q: it needs a path, and a value or absent", s.ID, set.Path)
		}
	}
	checkKind(r, s)
}

func checkKind(r *run, s astern.Step) {
	switch s.Kind {
	case r.suite.Driver.Kind:
		if _, ok := r.verb(s.Verb); !ok {
			r.Errorf("step %s has the verb %q, which the driver does not declare", s.ID, s.Verb)
		}
	case "check":
		if s.Verb != "wait" && s.Verb != "run" || s.Args["check"].Type() != "string" {
			r.Errorf("step %s: a step of kind check has the verb wait or run and names its check: %+v", s.ID, s)
		}
	case "ledger":
	default:
		r.Errorf("step %s has the kind %q; a driver's steps are its own, or of kind check or ledger", s.ID, s.Kind)
	}
}

// checkReferences requires that arguments and guards name earlier steps, and arguments outputs those declare.
func checkReferences(r *run, s astern.Step, earlier map[string]astern.Step) {
	for name, a := range s.Args {
		if a.Ref == nil {
			continue
		}
		if from, ok := earlier[a.Ref.From]; !ok || from.Outputs[a.Ref.Output] == "" {
			r.Errorf("step %s: argument %q refers to %s, which no earlier step gives", s.ID, name, a)
		}
	}
	for _, g := range s.Guards {
		if _, ok := earlier[g]; !ok {
			r.Errorf("step %s is guarded by %q, which is no earlier step", s.ID, g)
		}
	}
	for _, set := range s.Sets {
		if ref := set.Value.Ref; ref != nil {
			from, ok := earlier[ref.From]
			if ref.From == s.ID {
				from, ok = s, true
			}
			if !ok || from.Outputs[ref.Output] == "" {
				r.Errorf("step %s sets %q to %s, which neither it nor an earlier step gives", s.ID, set.Path, set.Value)
			}
		}
	}
}

// checkFact requires that the fact is true of the state that the route was made from.
func checkFact(r *run, s astern.State, f astern.Fact, steps map[string]astern.Step, fleet *astern.Fleet) {
	if f.Path == "" || f.Seen.IsZero() || len(f.Steps) == 0 || (f.Absent && f.Value != "") {
		r.Errorf("a fact needs a path, a time, its steps, and a value or absent: %+v", f)
	}
	for _, id := range f.Steps {
		if _, ok := steps[id]; !ok {
			r.Errorf("the fact %q belongs to the step %q, which does not exist", f.Path, id)
		}
	}
	if f.Address != r.world.Component.Address() {
		r.Errorf("the fact %q is about %q; a driver knows its own component only", f.Path, f.Address)
		return
	}
	members := []string{""}
	if strings.Contains(f.Path, "{member}") {
		if fleet == nil {
			r.Errorf("the fact %q is about members, but the route has no fleet", f.Path)
			return
		}
		members = fleet.Members
	}
	for _, m := range members {
		if got, want := seenAt(s, astern.MemberPath(f.Path, m)), factFor(f, m); got != want {
			r.Errorf("the fact %q says %v of member %q, but %v was observed", f.Path, want, m, got)
		}
	}
}

// checkFleetFact requires that steps of a stage over a fleet rest on facts of their own member: no single step of it knows
// what the whole has become.
func checkFleetFact(r *run, f astern.Fact, route astern.Route) {
	if strings.Contains(f.Path, "{member}") {
		return
	}
	for i, st := range route.Stages {
		for _, step := range st.Steps {
			if st.Each != nil && slices.Contains(f.Steps, step.ID) {
				r.Errorf("the fact %q belongs to step %s of stage %d, which is over a fleet: its path needs {member}", f.Path, step.ID, i)
			}
		}
	}
}

// seen is what is at a path: a text, nothing, or unknown.
type seen struct {
	text            string
	absent, unknown bool
}

func seenAt(s astern.State, path string) seen {
	v, ok := s.Get(path)
	switch {
	case !ok:
		return seen{absent: true}
	case !v.Known():
		return seen{unknown: true}
	}
	return seen{text: v.Text}
}

func factFor(f astern.Fact, member string) seen {
	if v, ok := f.Except[member]; ok && member != "" {
		return seen{text: v.Value, absent: v.Absent, unknown: v.Unknown != ""}
	}
	if f.Unknown != "" {
		return seen{unknown: true}
	}
	return seen{text: f.Value, absent: f.Absent}
}
