package planner

import (
	"fmt"
	"slices"

	"github.com/astern-dev/astern"
)

// firstSeconds is how long a plan waits for the proof in another environment before a person is asked.
const firstSeconds = 60 * 60

// first is the stage in which nothing is done yet: the targets must be proven in another environment.
func (b *builder) first(moves []move) {
	environment := b.r.Intent.First
	if environment == "" {
		return
	}
	g := &astern.Gate{Checks: []string{}, IntervalSeconds: 5, TimeoutSeconds: firstSeconds}
	for _, m := range moves {
		name := m.part.Component.Name
		address := environment + "/" + name
		if !slices.Contains(b.r.First, address) {
			b.note("%s is not proven in %s first: there is none", name, environment)
			continue
		}
		check := astern.Check{Name: b.checkName(m, "proven-in-"+environment), Address: address, Effects: astern.EffectsNone, TimeoutSeconds: 30, Attempts: 1,
			Proven: &astern.ProvenCheck{Revision: m.target.Revision, Since: b.r.Since}}
		b.plan.Checks = append(b.plan.Checks, check)
		b.seen[check.ID()] = true
		g.Checks = append(g.Checks, check.ID())
	}
	if len(g.Checks) > 0 {
		b.stage(astern.Stage{Title: fmt.Sprintf("proven in %s first", environment), Gate: g, OnFailure: astern.OnFailureHold}, nil)
	}
}
