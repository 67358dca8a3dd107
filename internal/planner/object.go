package planner

import (
	"github.com/astern-dev/astern"
)

// picked asks the component's kind what taking one object back to the revision leads to, and completes the change.
func picked(r Request, p Part, from astern.Target) (astern.Target, *astern.ObjectChange, error) {
	change := *r.Intent.Object
	address := p.Component.Address()
	switch {
	case p.Picker == nil:
		return from, nil, astern.Errorf(astern.Invalid, "%s is of kind %s, which has no objects that go back by themselves", address, p.Component.Kind).
			WithHint("roll back the whole: leave --object out")
	case from.Revision == "":
		return from, nil, astern.Errorf(astern.NotFound, "%s has no revision %s", address, change.Revision).
			WithHint("astern targets %s lists those there are%s", p.Component.Name, nearest(p))
	case from.Latched != "":
		return from, nil, astern.Errorf(astern.Refused, "%s %s is latched: %s", address, from.Revision, from.Latched).
			WithHint("if it is good after all: astern latch release %s %s --reason …", p.Component.Name, from.Revision)
	}
	change.Revision = from.Revision
	t, err := p.Picker.Pick(p.Component, p.State, change)
	if err != nil {
		return t, nil, err
	}
	known, _ := p.History.Of(t.Revision)
	t.DeployedAt, t.KnownGoodAt = known.LastAt, known.KnownGoodAt
	if known.Latched != "" {
		return t, nil, astern.Errorf(astern.Refused, "%s %s is latched: %s", address, t.Revision, known.Latched).
			WithHint("if it is good after all: astern latch release %s %s --reason …", p.Component.Name, t.Revision)
	}
	return t, &change, nil
}
