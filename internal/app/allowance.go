package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/inventory"
)

// allowance is what the access control says of the steps that a component's recovery takes; nil where there is none to ask.
type allowance struct {
	who   string
	why   string // it could not be asked
	needs []permit
}

// permit is one permission that steps need, on the resource that they are about.
type permit struct {
	astern.Permission
	asked   awsapi.Asked
	verdict awsapi.Verdict
}

// allowances asks, for all components of the same credentials at once, whether their recoveries are allowed. Nothing that
// can't be asked stops anything: it is told.
func (a *App) allowances(ctx context.Context, seen []inventory.Seen) map[string]*allowance {
	of := map[awsapi.Settings][]inventory.Seen{}
	var sets []awsapi.Settings
	for _, s := range seen {
		d, _ := a.driver(s.Component.Kind)
		if d.Permitter == nil || s.Trouble != nil || a.accounts == nil {
			continue
		}
		key := awsOf(s.Component)
		if of[key] == nil {
			sets = append(sets, key)
		}
		of[key] = append(of[key], s)
	}
	out := map[string]*allowance{}
	var mu sync.Mutex
	inventory.Each(len(sets), func(i int) {
		asked := a.ask(ctx, sets[i], of[sets[i]])
		mu.Lock()
		defer mu.Unlock()
		for address, may := range asked {
			out[address] = may
		}
	})
	return out
}

// identifyWithin is how long the way back waits for the cloud to say whose the credentials are.
const identifyWithin = 5 * time.Second

// ask asks for the components of one set of credentials.
func (a *App) ask(ctx context.Context, s awsapi.Settings, seen []inventory.Seen) map[string]*allowance {
	out := map[string]*allowance{}
	session, err := a.accounts.Session(ctx, s)
	if err == nil {
		soon, done := context.WithTimeout(ctx, identifyWithin)
		_, err = session.Account(soon)
		done()
	}
	var asked []awsapi.Asked
	for _, one := range seen {
		if arn, there := one.State.Get("arn"); there && !arn.Known() {
			continue // the credentials can't even look at it, which its targets say
		}
		may := &allowance{}
		out[one.Component.Address()] = may
		d, _ := a.driver(one.Component.Kind)
		for _, p := range d.Permitter.Permissions(one.Component) {
			if len(p.Verbs) == 0 || p.Depends || p.Forbidden || err != nil {
				continue
			}
			n := permit{Permission: p, asked: awsapi.Asked{Action: p.Action, When: p.When}}
			if n.asked.Resource, err = session.Here(ctx, resourceOf(p, one.State)); err == nil {
				may.needs, asked = append(may.needs, n), append(asked, n.asked)
			}
		}
	}
	var says awsapi.Simulated
	if err == nil && len(asked) > 0 {
		says, err = session.Simulate(ctx, asked)
	}
	for _, may := range out {
		if may.who = says.Who; err != nil {
			may.why = awsapi.OneLine(err.Error())
		}
		for i := range may.needs {
			may.needs[i].verdict = says.Of(may.needs[i].asked)
		}
	}
	return out
}

// resourceOf is the resource that a permission is asked for: the observed one where the pattern stands for it. Of several it is the
// shortest, for * stands for slashes, too: application/* is the application and not an environment of it.
func resourceOf(p astern.Permission, s astern.State) string {
	found := ""
	for path, v := range s.Values {
		named := path == "arn" || strings.HasPrefix(path, "arn/")
		if named && v.Text != "" && (found == "" || len(v.Text) < len(found)) && astern.MatchesPattern(p.Resource, v.Text) {
			found = v.Text
		}
	}
	return cmp.Or(found, p.Example, p.Resource)
}

// weigh adds to a target what the access control says of the steps of its way.
func (m *allowance) weigh(t *astern.Target, route astern.Route, now time.Time) {
	verbs := map[string]bool{}
	for _, st := range route.Stages {
		for _, step := range st.Steps {
			verbs[step.Verb] = true
		}
	}
	if m == nil || len(verbs) == 0 || t.Current {
		return
	}
	add := func(r astern.Readiness, format string, args ...any) {
		t.Evidence = append(t.Evidence, astern.Evidence{What: awsapi.OneLine(fmt.Sprintf(format, args...)), Readiness: r, Seen: now})
		if r == astern.Broken || r == astern.AtRisk && t.Readiness == astern.Ready {
			t.Readiness = r
		}
	}
	if m.why != "" {
		add(astern.Ready, "permissions of the recovery were not simulated: %s", m.why)
		return
	}
	fine := 0
	for _, n := range m.needs {
		if !slices.ContainsFunc(n.Verbs, func(v string) bool { return verbs[v] }) {
			continue
		}
		switch n.verdict {
		case awsapi.VerdictAllowed:
			fine++
		case awsapi.VerdictExplicit:
			add(astern.Broken, "a policy denies %s %s on %s (%s)", m.who, n.Action, n.asked.Resource, n.Why)
		case awsapi.VerdictImplicit:
			if n.asked.Resource != "*" && strings.ContainsAny(n.asked.Resource, "*?") { // a narrower policy may be all that it takes
				add(astern.AtRisk, "no policy of %s allows %s on all of %s; whether on the one that it is about was not asked (%s)", m.who, n.Action, n.asked.Resource, n.Why)
				continue
			}
			if service, _, _ := strings.Cut(n.Action, ":"); ownPolicies[service] {
				add(astern.AtRisk, "no policy of %s allows %s on %s, and only one of the resource itself could (%s)", m.who, n.Action, n.asked.Resource, n.Why)
				continue
			}
			add(astern.Broken, "no policy of %s allows %s on %s (%s); astern iam-policy --recovery prints what is needed", m.who, n.Action, n.asked.Resource, n.Why)
		case awsapi.VerdictDepends:
			add(astern.AtRisk, "whether %s may %s on %s depends on conditions that only the call itself tells", m.who, n.Action, n.asked.Resource)
		default:
			add(astern.Ready, "IAM did not say whether %s may %s on %s", m.who, n.Action, n.asked.Resource)
		}
	}
	if fine > 0 {
		add(astern.Ready, "%s may make the calls of its steps, as IAM simulates it (%d asked)", m.who, fine)
	}
}

// ownPolicies are the services whose resources commonly have policies of their own, which the simulator is not told: one of
// them can allow what no policy of the caller does.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html
var ownPolicies = map[string]bool{"s3": true, "secretsmanager": true, "kms": true}
