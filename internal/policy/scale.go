// Package policy judges by an environment's policy: how severe an incident is, whose approvals a plan needs and which of
// those given count, whether a freeze forbids it, what may be done without anybody, and who is called when.
//
// All of it is pure: functions over plain data, and the time comes in from outside.
package policy

import (
	"slices"
	"strings"

	"github.com/astern-dev/astern"
)

// The names of roles that the default scale speaks of.
const (
	primary   = "primary"
	secondary = "secondary"
	database  = "database"
)

// DefaultScale returns the scale of a policy that declares none, the mildest severity first. It is the decision matrix of a
// rollback runbook in use: nothing harmed, below 5 %, 5 to 25 %, above 25 %, everything. From SEV-2 on the engineer on call
// decides alone.
func DefaultScale() []astern.Severity {
	step := func(name, means string, atLeast, above, respond float64, d astern.Demand) astern.Severity {
		s := astern.Severity{Name: name, Means: means, Demand: d}
		if atLeast >= 0 {
			s.AtLeast = &atLeast
		}
		if above >= 0 {
			s.Above = &above
		}
		if respond >= 0 {
			seconds := int64(respond * 60)
			s.RespondSeconds = &seconds
		}
		return s
	}
	onCall := astern.Demand{Approvals: 1, Approvers: []string{primary, secondary}, RequesterCounts: true}
	return []astern.Severity{
		step("SEV-0", "informational, no impact", 0, -1, -1, astern.Demand{Approvals: 2}),
		step("SEV-1", "minor degradation, below 5 % of users", -1, 0, 30, astern.Demand{Approvals: 1}),
		step("SEV-2", "significant degradation, 5 to 25 % of users", 5, -1, 15, onCall),
		step("SEV-3", "major outage, above 25 % of users", -1, 25, 5, onCall),
		step("SEV-4", "complete outage, or a breach of security", 100, -1, 0, onCall),
	}
}

// Scale returns the severities of the policy, the mildest first: its own, or the default ones. Of the default ones, those
// that leave the decision to the engineer on call do so only where the policy says who that is; elsewhere the policy's own
// number of approvals holds, so that naming a severity frees nobody from it.
func Scale(p astern.Policy) []astern.Severity {
	if len(p.Severities) > 0 {
		return p.Severities
	}
	out := DefaultScale()
	for i := range out {
		if len(out[i].Approvers) == 0 {
			out[i].Approvals = max(out[i].Approvals, p.Approvals)
			continue
		}
		out[i].Approvers = slices.DeleteFunc(out[i].Approvers, func(role string) bool { _, ok := p.Role(role); return !ok })
		if len(out[i].Approvers) == 0 {
			out[i].Demand = astern.Demand{Approvals: p.Approvals}
		}
	}
	return out
}

// Severity returns the severity of that name, and how severe it is: its place in the scale.
func Severity(p astern.Policy, name string) (s astern.Severity, rank int, err error) {
	scale := Scale(p)
	rank = slices.IndexFunc(scale, func(s astern.Severity) bool { return s.Name == name })
	if rank >= 0 {
		return scale[rank], rank, nil
	}
	names := make([]string, len(scale))
	for i, s := range scale {
		names[i] = s.Name
	}
	return s, rank, astern.Errorf(astern.Invalid, "the policy has no severity %q", name).
		WithHint("from the mildest to the worst: %s", strings.Join(names, ", "))
}

// Harm returns the severity of an incident that harms that share of users or requests, in percent: the worst one that it
// reaches. It is false when it reaches none, or when the share is no number: what is not known is for a person to judge.
func Harm(p astern.Policy, percent float64) (s astern.Severity, ok bool) {
	for _, step := range Scale(p) {
		if step.AtLeast != nil && percent >= *step.AtLeast || step.Above != nil && percent > *step.Above {
			s, ok = step, true
		}
	}
	return s, ok
}

// Worse returns the worse of two severities; "" and unknown ones are the mildest.
func Worse(p astern.Policy, a, b string) string {
	_, x, _ := Severity(p, a) // rank -1 when there is none
	_, y, _ := Severity(p, b)
	if y > x {
		return b
	}
	return a
}
