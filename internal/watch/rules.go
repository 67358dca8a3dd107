package watch

import (
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/policy"
)

// leastWindow is how long after a change a fault may be its fault, where the policy watches no longer.
const leastWindow = time.Hour

// Window is how long after a change a fault may be its fault.
func Window(p astern.Policy) time.Duration {
	return max(leastWindow, time.Duration(p.WatchSeconds)*time.Second)
}

// Ruled is what a policy says of a situation.
type Ruled struct {
	Rules
	Severity string // by what is harmed; "" when the policy has none for so little
	policy.Autonomy
}

// Rule returns what the policy says of the situation at its moment. A policy that says nothing of so small a harm is asked.
// By is who would act.
func Rule(p astern.Policy, s Situation, by string) (Ruled, error) {
	r := Ruled{Rules: Rules{Act: astern.ActAsk, Window: Window(p)}}
	s.Rules = r.Rules
	if severity, ok := policy.Harm(p, Judge(s).Harm); ok {
		r.Severity = severity.Name
	}
	if r.Severity == "" {
		r.Mode, r.Autonomy.Because = astern.ModeAsk, "the policy has no severity for so small a harm"
		return r, nil
	}
	_, name, _ := astern.SplitAddress(s.Address)
	var err error
	if r.Autonomy, err = policy.Alone(p, policy.Matter{Severity: r.Severity, Components: []string{name}, By: by}, s.Acted, false, s.Now); err != nil {
		return r, err
	}
	r.Act = map[astern.Mode]astern.Act{astern.ModeAutomatic: astern.ActAutomatic, astern.ModeAsk: astern.ActAsk, astern.ModeTell: astern.ActTell,
		astern.ModeShadow: astern.ActShadow}[r.Mode]
	if r.Mode == astern.ModeAutomatic && !r.May {
		r.Not = r.Autonomy.Because
	}
	return r, nil
}
