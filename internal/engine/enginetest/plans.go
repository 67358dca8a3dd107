package enginetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/astern-dev/astern"
)

// RandomPlan makes a plan of one to four stages: plain lanes, parallel lanes and fleets, with outputs, guards, gates,
// bakes, facts that follow each other, accepted unknown facts, limited outputs, checks that stop a stage, steps that are stopped
// with it, stages that are undone when they fail, tolerated failures, and plans that are planned anew at their end.
func RandomPlan(rnd *rand.Rand) astern.Plan {
	g := planMaker{rnd: rnd, plan: astern.Plan{Kind: "Plan", Version: astern.PlanVersion, ID: "sim", System: "sim",
		Checks: []astern.Check{{Name: "ok", Attempts: 1, TimeoutSeconds: 1, Effects: astern.EffectsNone}}}}
	for n := range 1 + rnd.IntN(4) {
		g.stage(n + 1)
	}
	if rnd.IntN(8) == 0 {
		g.plan.Then = &astern.Then{Because: "the end can't be seen"}
	}
	return g.plan
}

type planMaker struct {
	rnd  *rand.Rand
	plan astern.Plan
	prev string // an earlier step outside fleets, for references and guards
}

func (g *planMaker) stage(n int) {
	st := astern.Stage{Title: fmt.Sprintf("stage %d", n), OnFailure: astern.OnFailureHold, Steps: []astern.Step{}}
	address := fmt.Sprintf("sim/c%d", n)
	fleet := g.rnd.IntN(2) == 0
	if fleet {
		members := 2 + g.rnd.IntN(5)
		f := astern.Fleet{Address: address}
		for i := range members {
			f.Members = append(f.Members, fmt.Sprintf("m%d", i))
		}
		g.plan.Fleets = append(g.plan.Fleets, f)
		st.Each = &astern.Each{Address: address, From: 0, To: members}
		st.Tolerate = g.rnd.IntN(2)
	}
	st.Parallel = g.rnd.IntN(4)
	for k := range 1 + g.rnd.IntN(3) {
		st.Steps = append(st.Steps, g.step(n, k, address, fleet, st.Parallel > 1))
	}
	if g.rnd.IntN(4) == 0 {
		st.StopWhen = []string{"ok"}
	}
	if g.rnd.IntN(6) == 0 {
		st.OnFailure = astern.OnFailureUndo
	}
	if g.rnd.IntN(3) > 0 {
		st.Gate = &astern.Gate{Checks: []string{"ok"}, IntervalSeconds: 1 + int64(g.rnd.IntN(3)), TimeoutSeconds: 20}
		if g.rnd.IntN(2) == 0 {
			st.Gate.BakeSeconds = int64(g.rnd.IntN(10))
		}
	}
	g.plan.Stages = append(g.plan.Stages, st)
	if !fleet {
		g.prev = st.Steps[len(st.Steps)-1].ID
	}
}

func (g *planMaker) step(n, k int, address string, fleet, parallel bool) astern.Step {
	s := astern.Step{ID: fmt.Sprintf("%d.s%d", n, k), Address: address, Kind: "sim", Verb: "set", Title: "set",
		Undo: astern.UndoNone, Attempts: 1 + g.rnd.IntN(3), TimeoutSeconds: 120, HoldSeconds: 30,
		SettleSeconds: int64(SettleTime / time.Second), Outputs: map[string]string{"token": "string", "kind": "string"}, Command: "true",
		Args: map[string]astern.Arg{"value": astern.Text(fmt.Sprintf("v%d-%d", n, k))}}
	path := "x"
	if fleet {
		path = "{member}/x"
	} else if parallel {
		path = fmt.Sprintf("x%d", k) // lanes side by side do not share a path
	}
	s.Sets = []astern.Set{{Path: path, Value: s.Args["value"]}}
	if g.prev != "" && g.rnd.IntN(2) == 0 {
		s.Args["from"] = astern.Arg{Ref: &astern.Ref{From: g.prev, Output: "token", In: []string{"", "arn:{}"}[g.rnd.IntN(2)]}}
	}
	if g.prev != "" && g.rnd.IntN(4) == 0 {
		s.Guards = []string{g.prev}
	}
	if !parallel && k > 0 && g.rnd.IntN(4) == 0 {
		s.Guards = append(s.Guards, fmt.Sprintf("%d.s%d", n, k-1))
	}
	s.Stoppable = g.rnd.IntN(3) == 0
	if g.rnd.IntN(6) == 0 {
		s.Limits = map[string]string{"kind": "plain"}
	}
	g.fact(address, path, s.ID, k == 0 || parallel && !fleet)
	return s
}

// fact rests the step on the path; a path's first fact says what is there at the start.
func (g *planMaker) fact(address, path, step string, first bool) {
	if !first {
		for i := range g.plan.Facts {
			if f := &g.plan.Facts[i]; f.Address == address && f.Path == path {
				f.Steps = append(f.Steps, step)
				return
			}
		}
	}
	f := astern.Fact{Address: address, Path: path, Value: "v0", Steps: []string{step}}
	if g.rnd.IntN(10) == 0 {
		f.Value, f.Unknown = "", "the region does not answer"
		g.plan.Accepts = append(g.plan.Accepts, astern.Accept{What: "fact " + address + " " + path, By: "op", Because: "it is lost"})
	}
	g.plan.Facts = append(g.plan.Facts, f)
}

// SettleTime is how long simulated effects may stay invisible; steps declare it.
const SettleTime = 5 * time.Second
