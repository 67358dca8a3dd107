package planner

import (
	"github.com/astern-dev/astern"
)

// switchedOff asks the component's kind what the change of a flag leads to.
func switchedOff(r Request, p Part) (astern.Target, []string, error) {
	if p.Switcher == nil {
		return astern.Target{}, nil, astern.Errorf(astern.Invalid, "%s is of kind %s, which holds no flags", p.Component.Address(), p.Component.Kind).
			WithHint("name the component that holds the flag: astern off COMPONENT FLAG")
	}
	t, err := p.Switcher.Switch(p.Component, p.State, *r.Intent.Flag)
	if err != nil {
		return t, nil, err
	}
	known, _ := p.History.Of(t.Revision)
	t.DeployedAt, t.KnownGoodAt = known.LastAt, known.KnownGoodAt
	if known.Latched != "" {
		return t, nil, astern.Errorf(astern.Refused, "%s %s is latched: %s", t.Address, t.Revision, known.Latched).
			WithHint("if it is good after all: astern latch release %s %s --reason …", p.Component.Name, t.Revision)
	}
	return t, nil, nil
}
