package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// Matter is what approvals are needed for.
type Matter struct {
	Components []string // names, without the environment
	Severity   string   // "" when no incident is answered
	Loss       []astern.Loss
	By         string // who asked
}

// MatterOf returns what the plan is about.
func MatterOf(p astern.Plan) Matter {
	m := Matter{Severity: p.Intent.Severity, Loss: p.Loss, By: p.Asked.By}
	for _, a := range p.Addresses() {
		if _, name, ok := astern.SplitAddress(a); ok {
			m.Components = append(m.Components, name)
		}
	}
	return m
}

// Reason is a demand, and where it comes from.
type Reason struct {
	astern.Demand
	Because string
	// Scale is set on the demand of the severity, or of the policy where there is none: a policy whose mode is automatic has
	// given it beforehand.
	Scale bool
}

// Demands returns everything that must be fulfilled. An approval may serve several of them. A severity that the policy does
// not have is an error: what it would demand is not known.
func Demands(p astern.Policy, m Matter) ([]Reason, error) {
	var out []Reason
	add := func(d astern.Demand, scale bool, because string) {
		if d.Approvals > 0 {
			out = append(out, Reason{d, because, scale})
		}
	}
	if m.Severity == "" {
		add(astern.Demand{Approvals: p.Approvals}, true, "the policy demands it of every plan")
	} else {
		s, _, err := Severity(p, m.Severity)
		if err != nil {
			return nil, err
		}
		add(s.Demand, true, s.Name)
	}
	if n := p.ApprovalsFor(m.Loss); loses(m.Loss) && n > 0 && n == p.ApprovalsOnLoss {
		add(astern.Demand{Approvals: n}, false, "data is lost")
	}
	for _, r := range p.Losses {
		for _, l := range m.Loss {
			if over(r, l) {
				add(r.Demand, false, amount(l)+" lost")
				break
			}
		}
	}
	for _, c := range p.Components {
		if slices.Contains(m.Components, c.Name) {
			add(c.Demand, false, "component "+c.Name)
		}
	}
	return out, nil
}

func loses(loss []astern.Loss) bool {
	return slices.ContainsFunc(loss, func(l astern.Loss) bool { return l.Count > 0 || l.Unknown != "" })
}

// over reports whether the loss is more than the rule allows. What could not be counted is.
func over(r astern.LossRule, l astern.Loss) bool {
	return (r.Unit == "" || r.Unit == l.Unit) && (l.Unknown != "" || l.Count > r.Above)
}

func amount(l astern.Loss) string {
	if l.Unknown != "" {
		return "uncounted " + l.Unit
	}
	return strconv.FormatInt(l.Count, 10) + " " + l.Unit
}

// String says the demand in words: "1 of primary, secondary (SEV-2); who asks counts".
func (r Reason) String() string {
	of := "person"
	if r.Approvals > 1 {
		of = "people"
	}
	if len(r.Approvers) > 0 {
		of = "of " + strings.Join(r.Approvers, ", ")
	}
	s := fmt.Sprintf("%d %s (%s)", r.Approvals, of, r.Because)
	if r.RequesterCounts {
		s += "; who asks counts"
	}
	return s
}

// Fits reports whether the person is one of those whose approval the demand takes.
func (r Reason) Fits(p astern.Policy, person string) bool {
	return len(r.Approvers) == 0 || slices.ContainsFunc(r.Approvers, func(name string) bool {
		role, ok := p.Role(name)
		return ok && slices.Contains(role.People, p.Called(person))
	})
}

// Others returns how many people other than the one who asked must approve at least.
func Others(p astern.Policy, demands []Reason, by string) int {
	n := 0
	for _, d := range demands {
		need := d.Approvals
		if d.RequesterCounts && d.Fits(p, by) {
			need--
		}
		n = max(n, need)
	}
	return n
}

// Word is what somebody said of a plan, as far as its signature could be judged.
type Word struct {
	astern.Approval
	Signed bool
	// Bad says why its signature does not count.
	Bad string
}

// Judgement is what people's words on a plan come to.
type Judgement struct {
	Met bool
	// Rejected is the word of the first who rejected.
	Rejected *astern.Approval
	Counted  []string // people, in the order of their words
	Missing  []string // what is still needed, in words
	Ignored  []string // words that do not count, and why
	Waived   bool     // the policy itself consented
}

// Judge counts the words on a plan at a moment. One person counts once, whatever the names, and for every demand that is
// theirs to fulfil. Whoever asked counts only where a demand says so. A rejection counts whoever gave it and however, for it
// is on the safe side.
//
// Where approvals must be signed and the policy does not know who asked, that could be one of those who approve: one person
// more is needed then.
func Judge(p astern.Policy, m Matter, words []Word, now time.Time) (Judgement, error) {
	demands, err := Demands(p, m)
	if err != nil {
		return Judgement{}, err
	}
	var j Judgement
	asker := p.Called(m.By)
	said := map[string]bool{}
	for _, w := range words {
		if w.Verdict == "reject" {
			if j.Rejected == nil {
				j.Rejected = &w.Approval
			}
			continue
		}
		if w.By == astern.PolicyVoice {
			j.Waived = true
			continue
		}
		if why := ignored(p, w, now); why != "" {
			j.Ignored = append(j.Ignored, w.By+": "+why)
			continue
		}
		if who := p.Called(w.By); !said[who] {
			said[who] = true
			j.Counted = append(j.Counted, who)
		}
	}
	j.Waived = j.Waived && consents(p, m)
	_, known := p.Person(m.By)
	known = known || m.By == "" // astern itself
	for _, d := range demands {
		if d.Scale && j.Waived {
			continue
		}
		need := d.Approvals
		if p.ApprovalsSigned && !known {
			need++
		}
		have := 0
		for who := range said {
			if d.Fits(p, who) && (who != asker || d.RequesterCounts) {
				have++
			}
		}
		// Whoever asked has said so by asking; where approvals are signed, that is no more than a name.
		if d.RequesterCounts && d.Fits(p, asker) && !said[asker] && !p.ApprovalsSigned {
			have++
		}
		if have < need {
			missing := fmt.Sprintf("%s: has %d", d, have)
			if need > d.Approvals {
				missing += fmt.Sprintf(", needs %d because the policy does not know who %s is", need, m.By)
			}
			j.Missing = append(j.Missing, missing)
		}
	}
	j.Met = len(j.Missing) == 0 && j.Rejected == nil
	return j, nil
}

// ignored says why an approval does not count; "" when it does.
func ignored(p astern.Policy, w Word, now time.Time) string {
	until := w.Until
	if until.IsZero() && p.ApprovalSeconds > 0 {
		until = w.At.Add(time.Duration(p.ApprovalSeconds) * time.Second)
	}
	switch {
	case w.Bad != "":
		return w.Bad
	case p.ApprovalsSigned && !w.Signed:
		return "it is not signed, and the policy counts signed approvals only"
	case !until.IsZero() && !now.Before(until):
		return "it counted until " + until.UTC().Format(moment)
	}
	return ""
}

const moment = "2006-01-02 15:04:05Z"

// May says why the person's approval of the matter would not count; nil when it would.
func May(p astern.Policy, m Matter, person string) error {
	demands, err := Demands(p, m)
	if err != nil {
		return err
	}
	asked := p.Called(person) == p.Called(m.By)
	var roles []string
	for _, d := range demands {
		if d.Fits(p, person) && (!asked || d.RequesterCounts) {
			return nil
		}
		roles = append(roles, d.Approvers...)
	}
	switch {
	case asked:
		return astern.Errorf(astern.Refused, "%s asked for the plan and can't approve it", person).WithHint("somebody else must")
	case len(demands) == 0:
		return nil
	}
	slices.Sort(roles)
	return astern.Errorf(astern.Refused, "%s has no role whose approval the plan needs", person).
		WithHint("it needs one of: %s", strings.Join(slices.Compact(roles), ", "))
}
