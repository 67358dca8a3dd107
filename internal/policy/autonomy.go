package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/astern-dev/astern"
)

// defaultDaily is how many automatic actions a policy that does not say allows within 24 hours.
const defaultDaily = 3

// Mode returns what astern does by itself about an incident of the severity in the components, and where that is said. A
// component's word for the severity goes first; else the most careful of what component and severity say holds, and where
// both are silent the policy's own. A policy that says nothing is asked.
func Mode(p astern.Policy, severity string, components []string) (mode astern.Mode, because string) {
	careful := func(m astern.Mode, why string) {
		if m != "" && (mode == "" || slices.Index(astern.Modes, m) > slices.Index(astern.Modes, mode)) {
			mode, because = m, why
		}
	}
	s, _, err := Severity(p, severity)
	own := ""
	if err == nil {
		own = s.Name
	}
	for _, name := range components {
		i := slices.IndexFunc(p.Components, func(c astern.ComponentRule) bool { return c.Name == name })
		if i >= 0 && p.Components[i].Modes[severity] != "" {
			careful(p.Components[i].Modes[severity], "component "+name+" at "+own)
			continue
		}
		if i >= 0 {
			careful(p.Components[i].Mode, "component "+name)
		}
		careful(s.Mode, own)
	}
	if len(components) == 0 {
		careful(s.Mode, own)
	}
	if mode == "" && p.Automatic.Mode != "" {
		return p.Automatic.Mode, "the policy's own mode"
	}
	if mode == "" {
		return astern.ModeAsk, "the policy names no mode"
	}
	return mode, because
}

// consents reports whether the policy itself gives what its scale demands: its mode is automatic, or nobody was left and it
// says to act then. It never gives away data.
func consents(p astern.Policy, m Matter) bool {
	if loses(m.Loss) || m.Severity == "" {
		return false
	}
	mode, _ := Mode(p, m.Severity, m.Components)
	s, _, err := Severity(p, m.Severity)
	return err == nil && (mode == astern.ModeAutomatic || mode == astern.ModeAsk && s.Unanswered == astern.UnansweredAct)
}

// Autonomy is whether astern may act without anybody.
type Autonomy struct {
	Mode astern.Mode
	May  bool
	// Because says in a sentence why, or why not.
	Because string
	// From is when what forbids it is over; zero when it does not end by itself.
	From time.Time
}

// Acted is an automatic action in the past.
type Acted struct {
	At         time.Time `json:"at"`
	Components []string  `json:"components"`
}

// Alone says whether astern may carry out a plan by itself: the mode, the cool-down, the daily limit, freezes, loss, and
// approvals that only people can give. Unanswered says that everybody was called and nobody is left. Other conditions (a
// change to blame, a known-good target) are not the policy's.
func Alone(p astern.Policy, m Matter, past []Acted, unanswered bool, now time.Time) (Autonomy, error) {
	mode, because := Mode(p, m.Severity, m.Components)
	a := Autonomy{Mode: mode}
	no := func(format string, args ...any) (Autonomy, error) {
		a.Because = fmt.Sprintf(format, args...)
		return a, nil
	}
	s, _, err := Severity(p, m.Severity)
	if err != nil {
		return a, err
	}
	demands, err := Demands(p, m)
	if err != nil {
		return a, err
	}
	act := mode == astern.ModeAutomatic || mode == astern.ModeAsk && unanswered && s.Unanswered == astern.UnansweredAct
	if !act {
		return no("the mode is %s (%s)", mode, because)
	}
	if loses(m.Loss) {
		return no("it loses data, and that is never done without a person")
	}
	for _, d := range demands {
		if !d.Scale {
			return no("it needs the approval of %s", d)
		}
	}
	frozen, err := Frozen(p, m, now)
	if err != nil {
		return a, err
	}
	for _, f := range frozen {
		if !f.Pierced {
			a.From = f.Until
			return no("freeze %s holds: %s", f.Name, f.Why)
		}
	}
	if until := cooling(p, m, past, now); now.Before(until) {
		a.From = until
		return no("the last automatic action is not long ago: the cool-down ends at %s", until.UTC().Format(moment))
	}
	if until, n := spent(p, past, now); now.Before(until) {
		a.From = until
		return no("the daily limit is reached: %d automatic actions within 24 hours", n)
	}
	a.May = true
	return no("the mode is %s (%s)", mode, because)
}

// cooling returns when the cool-down of the components ends. An action that lies in the future by this clock counts as one
// of now: a clock that was set back must not end it.
func cooling(p astern.Policy, m Matter, past []Acted, now time.Time) (until time.Time) {
	for _, a := range past {
		if slices.ContainsFunc(a.Components, func(c string) bool { return slices.Contains(m.Components, c) }) {
			if end := earlier(a.At, now).Add(time.Duration(p.Automatic.CoolDownSeconds) * time.Second); end.After(until) {
				until = end
			}
		}
	}
	return until
}

// spent returns when the next automatic action is within the daily limit, and how many there were.
func spent(p astern.Policy, past []Acted, now time.Time) (until time.Time, n int) {
	limit := p.Automatic.Daily
	if limit == 0 {
		limit = defaultDaily
	}
	const day = 24 * time.Hour
	var recent []time.Time
	for _, a := range past {
		if at := earlier(a.At, now); now.Sub(at) < day {
			recent = append(recent, at)
		}
	}
	if len(recent) < limit {
		return until, len(recent)
	}
	slices.SortFunc(recent, time.Time.Compare)
	return recent[len(recent)-limit].Add(day), len(recent)
}

func earlier(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}
