package planner_test

import (
	"maps"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planner"
)

// failer is a test, or a run of a property.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
}

// simulation is a world in which plans are carried out step by step, by what their steps say that they set. It holds them
// to what they promise: facts are true when a step rests on them, and gates judge no member before its turn.
type simulation struct {
	t      failer
	values map[string]astern.Value // "ADDRESS PATH"
	parts  []planner.Part
	ledger map[string]string // address -> recorded revision
	set    map[string]bool   // "ADDRESS PATH" that the plan under way has set: it expects them to be as it made them
}

func newSimulation(t failer, r planner.Request) *simulation {
	w := &simulation{t: t, values: map[string]astern.Value{}, parts: r.Parts, ledger: map[string]string{}}
	for _, p := range r.Parts {
		for path, v := range p.State.Values {
			w.values[p.Component.Address()+" "+path] = v
		}
		w.ledger[p.Component.Address()] = p.History.Current
	}
	return w
}

// links returns what every link of every component points to.
func (w *simulation) links() map[string]string {
	out := map[string]string{}
	for path, v := range w.values {
		if strings.HasSuffix(path, "/link") {
			out[path] = v.String()
		}
	}
	return out
}

// stateOf returns the component's state as it is now.
func (w *simulation) stateOf(p planner.Part) astern.State {
	st := astern.State{Address: p.Component.Address(), Values: map[string]astern.Value{}}
	var links []string
	for path, v := range w.values {
		if rest, ok := strings.CutPrefix(path, p.Component.Address()+" "); ok {
			st.Values[rest] = v
			if strings.HasSuffix(rest, "/link") && v.Known() {
				links = append(links, v.Text)
			}
		}
	}
	slices.Sort(links)
	if v := st.Values["revision"]; v.Known() && len(links) > 0 {
		st.Values["revision"] = astern.Value{Text: strings.Join(slices.Compact(links), "+"), At: v.At}
	}
	return st
}

// carryOut does every step of the plan in order and returns what was done, the last first.
func (w *simulation) carryOut(p astern.Plan) []planner.Done {
	w.t.Helper()
	var done []planner.Done
	over := map[string]bool{}
	w.set = map[string]bool{}
	for i := range p.Stages {
		lanes, err := p.Lanes(i)
		if err != nil {
			w.t.Errorf("stage %d: %v", i+1, err)
			return nil
		}
		for _, lane := range lanes {
			for _, s := range lane.Steps {
				for _, g := range s.Step.Guards {
					if !over[g] && !over[g+"@"+lane.Member] {
						w.t.Errorf("step %s comes before its guard %s", s.ID, g)
					}
				}
				w.facts(p, s.Step, lane.Member)
				done = append(done, w.do(s, lane.Member))
				over[s.ID] = true
			}
		}
		if g := p.Stages[i].Gate; g != nil {
			w.gate(p, i, *g)
		}
	}
	slices.Reverse(done)
	for i := range done { // a path is left as the last step that set it made it
		for k, f := range done[i].Left {
			v, ok := w.values[f.Address+" "+f.Path]
			done[i].Left[k].Value, done[i].Left[k].Absent = v.Text, !ok
		}
	}
	return done
}

// facts holds the step's facts against the world.
func (w *simulation) facts(p astern.Plan, s *astern.Step, member string) {
	for _, f := range p.Facts {
		if !slices.Contains(f.Steps, s.ID) {
			continue
		}
		path := astern.MemberPath(f.Path, member)
		if strings.Contains(path, "{member}") {
			w.t.Errorf("fact %s of step %s, which has no member", f.Path, s.ID)
		}
		want := astern.FactValue{Value: f.Value, Absent: f.Absent, Unknown: f.Unknown}
		if v, ok := f.Except[member]; ok && f.Path != path {
			want = v
		}
		v, ok := w.values[f.Address+" "+path]
		if !w.set[f.Address+" "+path] && (ok == want.Absent || ok && v.Text != want.Value) {
			w.t.Errorf("step %s@%s rests on %s = %q (absent %v), and the world has %q (%v)", s.ID, member, path, want.Value, want.Absent, v.Text, ok)
		}
	}
}

// do changes the world as the step says, and returns the step with what it left.
func (w *simulation) do(s astern.LaneStep, member string) planner.Done {
	call := astern.Call{Execution: "ex-7", Step: s.ID, Address: s.Step.Address, Kind: s.Step.Kind, Verb: s.Step.Verb, Member: member,
		Args: maps.Clone(s.Step.Args), Image: astern.Image{"current": w.ledger[s.Step.Address]}}
	d := planner.Done{Step: s.Step, Call: call}
	for k, set := range s.Step.Sets {
		path := astern.MemberPath(set.Path, member)
		key := s.Step.Address + " " + path
		if k == 0 {
			d.Call.Image["link"] = w.values[key].Text
		}
		w.set[key] = true
		w.values[key] = astern.Value{Text: set.Value.String(), At: now}
		d.Left = append(d.Left, astern.Fact{Address: s.Step.Address, Path: path, Value: set.Value.String()})
	}
	if s.Step.Kind == "ledger" && s.Step.Verb == "record" {
		w.ledger[s.Step.Address] = call.Text("revision")
	}
	return d
}

// gate sees that every member that the gate judges is where its checks expect it.
func (w *simulation) gate(p astern.Plan, stage int, g astern.Gate) {
	for _, id := range g.Checks {
		c, ok := p.Check(id, "")
		if !ok {
			w.t.Errorf("the gate of stage %d names %s, which is not in the plan", stage+1, id)
			continue
		}
		if c.Each != (c.Member != "") {
			w.t.Errorf("check %s is not bound to a member", id)
		}
		link := w.values[c.Address+" "+c.Member+"/link"]
		if c.Member != "" && c.HTTP != nil && c.HTTP.JSONEquals["version"] != "" && c.HTTP.JSONEquals["version"] != link.Text {
			w.t.Errorf("the gate of stage %d expects %s of %s, which is at %s then", stage+1, c.HTTP.JSONEquals["version"], c.Member, link)
		}
	}
}
