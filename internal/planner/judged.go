package planner

import (
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/policy"
)

// judgedFor is how long the first stage may be judged before a person is asked, judgedEvery how often its signals are read.
const judgedFor, judgedEvery = 24 * 60 * 60, 5

// judged adds to the gate of a stage after which some members run the new revision and some the old one that the new one is
// known not to be worse. When it is worse, and the policy lets astern act by itself, what the stage did is reversed.
func (b *builder) judged(m move, st *astern.Stage, gate *astern.Gate) *astern.Gate {
	c := m.part.Component
	if m.route.From == "" || strings.Contains(m.route.From, "+") || m.route.From == m.target.Revision {
		b.note("%s: nothing is judged, for its members do not all run one earlier revision", c.Name)
		return gate
	}
	check := astern.Check{Name: b.checkName(m, "not-worse"), Address: c.Address(), Effects: astern.EffectsNone, TimeoutSeconds: 60, Attempts: 1,
		Judge: &astern.JudgeCheck{Revision: m.target.Revision, Baseline: m.route.From, Trial: b.plan.ID}}
	if !b.seen[check.ID()] {
		b.seen[check.ID()] = true
		b.plan.Checks = append(b.plan.Checks, check)
		var names []string
		for _, s := range c.Signals {
			names = append(names, s.Name)
		}
		b.note("%s: the rest follows when %s is known not to be worse than %s beside it, by %s", c.Name, m.target.Revision, m.route.From, strings.Join(names, ", "))
	}
	if gate == nil {
		gate = &astern.Gate{Checks: []string{}}
	}
	gate.Checks = append(gate.Checks, check.ID())
	gate.IntervalSeconds, gate.TimeoutSeconds = judgedEvery, judgedFor
	if mode, _ := policy.Mode(b.r.Policy, "", []string{c.Name}); mode == astern.ModeAutomatic {
		st.OnFailure = astern.OnFailureUndo
	}
	return gate
}
