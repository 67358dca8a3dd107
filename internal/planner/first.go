package planner

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/astern-dev/astern"
)

// firstSeconds is how long a plan waits for the proof in another environment before a person is asked.
const firstSeconds = 60 * 60

// first is the stage in which nothing is done yet: the targets must be proven in another environment.
func (b *builder) first(moves []move) error {
	environment := b.r.Intent.First
	if environment == "" {
		return nil
	}
	g := &astern.Gate{Checks: []string{}, IntervalSeconds: 5, TimeoutSeconds: firstSeconds}
	for _, m := range moves {
		name := m.part.Component.Name
		address := environment + "/" + name
		i := slices.IndexFunc(b.r.First, func(p Part) bool { return p.Component.Address() == address })
		if i < 0 {
			b.note("%s is not proven in %s first: there is none", name, environment)
			continue
		}
		proven, err := there(m, b.r.First[i])
		if err != nil {
			return astern.Errorf(astern.CodeOf(err), "proving %s %s in %s first: %w", name, m.target.Revision, environment, err).
				WithHint("%s", cmp.Or(astern.HintOf(err), "go without: --first none"))
		}
		proven.Since = b.r.Since
		if proven.Revision != m.target.Revision {
			b.note("%s %s is %s in %s: it holds the same", name, m.target.Revision, proven.Revision, environment)
		}
		check := astern.Check{Name: b.checkName(m, "proven-in-"+environment), Address: address, Effects: astern.EffectsNone, TimeoutSeconds: 30, Attempts: 1,
			Proven: &proven}
		b.plan.Checks = append(b.plan.Checks, check)
		b.seen[check.ID()] = true
		g.Checks = append(g.Checks, check.ID())
	}
	if len(g.Checks) > 0 {
		b.stage(astern.Stage{Title: fmt.Sprintf("proven in %s first", environment), Gate: g, OnFailure: astern.OnFailureHold}, nil)
	}
	return nil
}

// there returns what the target is in the other environment: the revision of its name, or where names are counted by each account
// the one that holds the same. What runs there goes before the others, which come as its targets do.
func there(m move, p Part) (astern.ProvenCheck, error) {
	content, counted, err := m.part.State.Same(m.target.Revision)
	_, also := p.State.Get("content")
	switch {
	case err != nil:
		return astern.ProvenCheck{}, err
	case p.Trouble != "" && (counted || also):
		return astern.ProvenCheck{}, astern.Errorf(astern.Unavailable, "%s could not be observed: %s", p.Component.Address(), p.Trouble)
	case !counted && !also:
		return astern.ProvenCheck{Revision: m.target.Revision}, nil
	case !also:
		return astern.ProvenCheck{}, astern.Errorf(astern.Unavailable, "what %s holds is not known: %s", p.Component.Address(),
			cmp.Or(p.State.Values["revision"].Unknown, "nothing of it was seen"))
	case !counted:
		return astern.ProvenCheck{}, astern.Errorf(astern.Refused, "the names of %s are counted there, and what %s of %s holds is not known",
			p.Component.Address(), m.target.Revision, m.part.Component.Address())
	}
	candidates := []string{p.State.Values["revision"].Text}
	for _, t := range p.Targets {
		candidates = append(candidates, t.Revision)
	}
	for _, revision := range candidates {
		if same, _, err := p.State.Same(revision); err == nil && same == content && astern.ValidRevision(revision) {
			return astern.ProvenCheck{Revision: revision, Content: content}, nil
		}
	}
	return astern.ProvenCheck{}, astern.Errorf(astern.Refused, "no revision of %s holds what %s of %s does (%s)", p.Component.Address(), m.target.Revision,
		m.part.Component.Address(), content).WithHint("bring it there as a release of its own, or go without: --first none")
}
