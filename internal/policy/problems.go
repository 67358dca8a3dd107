package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// longestClock bounds how long people are called for one incident.
const longestClock = 7 * 24 * time.Hour

// problems collects what is wrong with a policy.
type problems struct {
	policy     astern.Policy
	components []string
	out        []astern.Problem
}

func (l *problems) add(path, hint, format string, args ...any) {
	l.out = append(l.out, astern.Problem{Path: path, What: fmt.Sprintf(format, args...), Hint: hint})
}

// Problems returns everything in a policy that can't be meant: names that lead nowhere, severities that overlap, clocks and
// freezes that never end, and demands that nobody can fulfil, which lock everybody out. Paths are those of `policy` in
// astern.yaml.
func Problems(p astern.Policy, components []string) []astern.Problem {
	l := &problems{policy: p, components: components}
	l.people()
	l.roles()
	l.severities()
	for i, r := range p.Losses {
		at := "losses/" + strconv.Itoa(i)
		if r.Approvals < 1 {
			l.add(at, "write approvals: 1 or more", "the rule demands no approval")
		}
		l.demand(at, r.Demand)
	}
	for _, c := range p.Components {
		at := "components/" + escape(c.Name)
		l.known(at, c.Name, components, "component")
		l.demand(at, c.Demand)
		for _, s := range slices.Sorted(maps.Keys(c.Modes)) {
			if !slices.Contains(astern.Modes, c.Modes[s]) {
				l.add(at+"/modes/"+escape(s), "write automatic, ask, tell or shadow", "there is no mode %q", c.Modes[s])
			}
			if _, _, err := Severity(p, s); err != nil {
				l.add(at+"/modes/"+escape(s), astern.HintOf(err), "there is no severity %q", s)
			}
		}
	}
	l.freezes()
	if g := p.BreakGlass; g != nil {
		l.rolesNamed("break_glass/roles", g.Roles)
		if len(g.Roles) == 0 {
			l.add("break_glass", "name the roles that may", "break_glass names no role")
		} else if len(p.People) < 2 {
			l.add("break_glass", "declare at least two people", "whoever breaks the glass is reviewed by somebody else, and there is nobody else")
		}
	}
	l.numbers()
	l.locked("approvals", astern.Demand{Approvals: p.Approvals})
	l.locked("approvals_on_loss", astern.Demand{Approvals: p.ApprovalsOnLoss})
	return l.out
}

// escape writes a segment of a path as a JSON pointer does.
func escape(s string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(s) }

func (l *problems) known(path, name string, among []string, what string) {
	if !slices.Contains(among, name) {
		l.add(path, "there are: "+strings.Join(among, ", "), "there is no %s %q", what, name)
	}
}

// people finds two people who are one.
func (l *problems) people() {
	owner := map[string]string{}
	for _, x := range l.policy.People {
		for i, name := range append([]string{x.Name}, x.Logins...) {
			key := strings.ToLower(strings.TrimSpace(name))
			at := "people/" + escape(x.Name)
			if i > 0 {
				at += "/logins/" + strconv.Itoa(i-1)
			}
			switch other, taken := owner[key]; {
			case key == "" || name == astern.PolicyVoice || strings.TrimSpace(name) != name:
				l.add(at, "", "%q is no name of a person", name)
			case taken:
				l.add(at, "one person is one entry; further names stand under logins", "%s and %s are both called %s", other, x.Name, name)
			}
			owner[key] = x.Name
		}
	}
}

func (l *problems) roles() {
	var names []string
	for _, x := range l.policy.People {
		names = append(names, x.Name)
	}
	for _, r := range l.policy.Roles {
		at := "roles/" + escape(r.Name)
		if len(r.People) == 0 {
			l.add(at, "name at least one person", "nobody has the role %s", r.Name)
		}
		for i, name := range r.People {
			here := at + "/people/" + strconv.Itoa(i)
			if slices.Index(r.People, name) < i {
				l.add(here, "remove one", "%s stands twice", name)
			}
			l.known(here, name, names, "person")
		}
	}
}

func (l *problems) rolesNamed(path string, names []string) {
	for i, name := range names {
		at := path + "/" + strconv.Itoa(i)
		if slices.Index(names, name) < i {
			l.add(at, "remove one", "role %s stands twice", name)
		}
		l.known(at, name, l.roleNames(), "role")
	}
}

func (l *problems) roleNames() []string {
	var names []string
	for _, r := range l.policy.Roles {
		names = append(names, r.Name)
	}
	return names
}

// demand judges the approvals that something needs.
func (l *problems) demand(path string, d astern.Demand) {
	if d.Approvals < 0 {
		l.add(path+"/approvals", "write 0 for none", "approvals can't be negative: %d", d.Approvals)
	}
	if d.Approvals == 0 && (len(d.Approvers) > 0 || d.RequesterCounts) {
		l.add(path, "write how many: approvals: 1", "it says who approves, and that nobody must")
	}
	l.rolesNamed(path+"/approvers", d.Approvers)
	for _, name := range d.Approvers {
		if _, ok := l.policy.Role(name); !ok {
			return // said above; who could have been meant is not known
		}
	}
	l.locked(path, d)
}

// locked reports a demand that can't be fulfilled whoever asks. Without people the policy knows nobody, and any login counts.
func (l *problems) locked(path string, d astern.Demand) {
	if why := Locked(l.policy, d, nil); why != "" {
		l.add(path, "ask for fewer, name more people, or let requester_counts", "%s", why)
	}
}

// Locked says why nobody could ever fulfil the demand; "" when somebody can, or when the policy names no people. With able,
// only those people can approve at all (they have a key).
func Locked(p astern.Policy, d astern.Demand, able func(person string) bool) string {
	if d.Approvals <= 0 || len(p.People) == 0 {
		return ""
	}
	var fit []string
	for _, x := range p.People {
		if (Reason{Demand: d}).Fits(p, x.Name) && (able == nil || able(x.Name)) {
			fit = append(fit, x.Name)
		}
	}
	from := "the policy"
	if len(d.Approvers) > 0 {
		from = strings.Join(d.Approvers, ", ")
	}
	who := "nobody who could give them"
	if len(fit) > 0 {
		who = "only " + strings.Join(fit, ", ")
	}
	if len(fit) < d.Approvals {
		return fmt.Sprintf("it needs %d approvals, and %s has %s: everybody is locked out", d.Approvals, from, who)
	}
	if d.RequesterCounts || len(fit) > d.Approvals || slices.ContainsFunc(p.People, func(x astern.Person) bool { return !slices.Contains(fit, x.Name) }) {
		return ""
	}
	return fmt.Sprintf("it needs %d approvals by others than the one who asks, and there is %s: whoever asks is locked out", d.Approvals, who)
}

func (l *problems) severities() {
	last, lastName, names := -1.0, "", map[string]string{}
	lastAbove := false
	for i, s := range l.policy.Severities {
		at := "severities/" + strconv.Itoa(i)
		key := strings.ToLower(s.Name)
		if other, ok := names[key]; ok {
			l.add(at+"/name", "give each severity a name of its own", "there are two severities %s", other)
		}
		names[key] = s.Name
		if strings.TrimSpace(s.Name) == "" || strings.TrimSpace(s.Name) != s.Name {
			l.add(at+"/name", "", "%q is no name of a severity", s.Name)
		}
		l.demand(at, s.Demand)
		l.clock(at, s)
		x, above := s.AtLeast, false
		if s.Above != nil {
			x, above = s.Above, true
		}
		switch {
		case s.AtLeast != nil && s.Above != nil:
			l.add(at, "keep one of them", "at_least and above exclude each other")
		case x == nil:
		case !(*x >= 0 && *x <= 100):
			l.add(at, "", "a share is between 0 and 100 percent, not %v", *x)
		case *x < last || *x == last && (above == lastAbove || !above):
			l.add(at, "the mildest stands first, and each begins where a larger share is harmed",
				"%s and %s overlap: %s begins at %v %%, which is not above %v %%", lastName, s.Name, s.Name, *x, last)
		default:
			last, lastAbove, lastName = *x, above, s.Name
		}
	}
}

// clock judges the ladder of calls of a severity.
func (l *problems) clock(at string, s astern.Severity) {
	if s.Rounds < 0 || s.Rounds > 100 {
		l.add(at+"/rounds", "write how often the ladder is gone through, at most 100", "the clock of %s never ends: it goes %d rounds", s.Name, s.Rounds)
		return
	}
	if s.RespondSeconds != nil && (*s.RespondSeconds < 0 || *s.RespondSeconds > int64(longestClock/time.Second)) {
		l.add(at+"/respond", "", "the response time of %s is not between 0 and 7 days", s.Name)
	}
	var round int64
	for i, r := range s.Call {
		here := at + "/call/" + strconv.Itoa(i)
		l.known(here+"/role", r.Role, l.roleNames(), "role")
		for j, c := range r.Components {
			l.known(here+"/components/"+strconv.Itoa(j), c, l.components, "component")
		}
		round += min(max(r.WaitSeconds, 0), int64(longestClock/time.Second)+1)
	}
	switch all := time.Duration(round*int64(max(s.Rounds, 1))) * time.Second; {
	case all > longestClock:
		l.add(at+"/call", "let it end within 7 days: shorter waits, or fewer rounds", "the clock of %s never ends: it calls for %s", s.Name, span(int64(all/time.Second)))
	case len(s.Call) > 0 && s.Call[len(s.Call)-1].WaitSeconds <= 0:
		l.add(at+"/call/"+strconv.Itoa(len(s.Call)-1), "let the last rung wait, too", "the last to be called has no time to answer")
	}
	if s.Unanswered == astern.UnansweredAct && len(s.Call) == 0 && s.RespondSeconds == nil {
		l.add(at+"/unanswered", "declare respond or call", "nobody is called at %s, so nobody can leave it unanswered", s.Name)
	}
}

func (l *problems) freezes() {
	var names []string
	for i, f := range l.policy.Freezes {
		at := "freezes/" + strconv.Itoa(i)
		if strings.TrimSpace(f.Name) == "" || slices.Contains(names, f.Name) {
			l.add(at+"/name", "give each freeze a name of its own", "the name %q is empty or stands twice", f.Name)
		}
		names = append(names, f.Name)
		if f.PiercedBy != "" {
			if _, _, err := Severity(l.policy, f.PiercedBy); err != nil {
				l.add(at+"/pierced_by", astern.HintOf(err), "there is no severity %q", f.PiercedBy)
			}
		}
		for j, c := range f.Components {
			l.known(at+"/components/"+strconv.Itoa(j), c, l.components, "component")
		}
		s, err := parse(f)
		if err != nil {
			l.add(at, "", "%v", err)
			continue
		}
		if why := s.endless(); why != "" {
			l.add(at, "", "freeze %s %s", f.Name, why)
		}
	}
}

func (l *problems) numbers() {
	a := l.policy.Automatic
	if a.CoolDownSeconds < 0 || a.Daily < 0 || l.policy.ApprovalSeconds < 0 {
		l.add("automatic", "", "a number is negative")
	}
}
