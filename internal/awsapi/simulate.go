package awsapi

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
)

// Asked is one question to the access control: may these credentials do it?
type Asked struct {
	Action, Resource string
	// When are the conditions that our call fulfils: operator -> key -> values.
	When map[string]map[string][]string
}

// Verdict is its answer.
type Verdict string

// The verdicts. VerdictImplicit is a deny because nothing allows it: a policy of the resource itself still could.
const (
	VerdictAllowed  Verdict = "allowed"
	VerdictExplicit Verdict = "denied"
	VerdictImplicit Verdict = "not allowed"
	VerdictDepends  Verdict = "depends on conditions" // that only the call itself could tell
	VerdictUnasked  Verdict = "unknown"
)

// Simulated is what IAM says of the questions of one session.
type Simulated struct {
	// Who is the user or role that was judged.
	Who      string
	verdicts map[string]Verdict
}

// Of returns the verdict on a question.
func (s Simulated) Of(a Asked) Verdict {
	if v, ok := s.verdicts[a.Action+"\n"+a.Resource]; ok {
		return v
	}
	return VerdictUnasked
}

// Bounds of a simulation. IAM names none for the number of resources of a call; what is asked of one is small enough for a form.
const (
	simulateWithin = 30 * time.Second
	simulateEach   = 5 * time.Second // one call: where IAM can't be reached, a recovery waits no longer
	atOnce         = 50
)

// Simulate asks IAM what it would say to the calls, of the user or the role whose credentials the session has; nothing is
// called. Each call is made once: where IAM is slow or throttled, a recovery does not wait for it. It returns an error when
// IAM can't be asked: where it may not be, and for the root user and federated ones, whom it does not simulate.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
func (s *Session) Simulate(ctx context.Context, asked []Asked) (Simulated, error) {
	ctx, cancel := context.WithTimeout(ctx, simulateWithin)
	defer cancel()
	who, err := s.principal(ctx)
	if err != nil {
		return Simulated{}, err
	}
	out := Simulated{Who: who, verdicts: map[string]Verdict{}}
	client := iam.NewFromConfig(s.Act)
	for _, q := range questions(asked) {
		q.context = append(q.context, s.always(q.actions[0])...)
		in := &iam.SimulatePrincipalPolicyInput{PolicySourceArn: &who, ActionNames: q.actions, ResourceArns: q.resources, ContextEntries: q.context}
		pages := iam.NewSimulatePrincipalPolicyPaginator(client, in)
		for pages.HasMorePages() {
			each, done := context.WithTimeout(ctx, simulateEach)
			page, err := pages.NextPage(each)
			done()
			if err != nil {
				return out, Explain(err, "asking IAM what "+who+" may do", who)
			}
			for _, r := range page.EvaluationResults {
				out.note(r)
			}
		}
	}
	return out, nil
}

// note takes one result in: of each resource, where there are several.
func (s Simulated) note(r types.EvaluationResult) {
	set := func(resource *string, d types.PolicyEvaluationDecisionType, missing []string) {
		v := map[types.PolicyEvaluationDecisionType]Verdict{types.PolicyEvaluationDecisionTypeAllowed: VerdictAllowed,
			types.PolicyEvaluationDecisionTypeExplicitDeny: VerdictExplicit, types.PolicyEvaluationDecisionTypeImplicitDeny: VerdictImplicit}[d]
		if len(missing) > 0 && v != VerdictAllowed { // also a denial: negated conditions hold where a key is not known
			v = VerdictDepends
		}
		if v != "" {
			s.verdicts[aws.ToString(r.EvalActionName)+"\n"+aws.ToString(resource)] = v
		}
	}
	set(r.EvalResourceName, r.EvalDecision, r.MissingContextValues)
	for _, one := range r.ResourceSpecificResults {
		set(one.EvalResourceName, one.EvalResourceDecision, one.MissingContextValues)
	}
}

// simulation is one call: all actions on all resources, under the same conditions.
type simulation struct {
	actions, resources []string
	context            []types.ContextEntry
}

// questions joins resources of which the same is asked under the same conditions.
func questions(asked []Asked) []simulation {
	type group struct {
		resource string
		when     map[string]map[string][]string
		actions  []string
	}
	onOne := map[string]*group{}
	for _, a := range asked {
		key := a.Resource + "\n" + fmt.Sprint(a.When)
		if onOne[key] == nil {
			onOne[key] = &group{resource: a.Resource, when: a.When}
		}
		if g := onOne[key]; !slices.Contains(g.actions, a.Action) {
			g.actions = append(g.actions, a.Action)
		}
	}
	ofSame := map[string]*simulation{}
	for _, key := range slices.Sorted(maps.Keys(onOne)) {
		g := onOne[key]
		slices.Sort(g.actions)
		same := strings.Join(g.actions, " ") + "\n" + fmt.Sprint(g.when)
		if ofSame[same] == nil {
			ofSame[same] = &simulation{actions: g.actions, context: entries(g.when)}
		}
		ofSame[same].resources = append(ofSame[same].resources, g.resource)
	}
	var out []simulation
	for _, key := range slices.Sorted(maps.Keys(ofSame)) {
		for some := range slices.Chunk(ofSame[key].resources, atOnce) {
			out = append(out, simulation{ofSame[key].actions, some, ofSame[key].context})
		}
	}
	return out
}

// entries are conditions as the simulator wants to be told of them.
func entries(when map[string]map[string][]string) []types.ContextEntry {
	var out []types.ContextEntry
	for _, operator := range slices.Sorted(maps.Keys(when)) {
		kind := types.ContextKeyTypeEnumString
		if operator == "Bool" {
			kind = types.ContextKeyTypeEnumBoolean
		}
		for _, key := range slices.Sorted(maps.Keys(when[operator])) {
			out = append(out, types.ContextEntry{ContextKeyName: &key, ContextKeyType: kind, ContextKeyValues: when[operator][key]})
		}
	}
	return out
}

// always is what every call of the session tells of itself.
func (s *Session) always(action string) []types.ContextEntry {
	region := s.Region
	if strings.HasPrefix(action, "cloudfront:") || strings.HasPrefix(action, "iam:") { // services that are one for all regions
		region = "us-east-1"
	}
	return []types.ContextEntry{{ContextKeyName: aws.String("aws:RequestedRegion"), ContextKeyType: types.ContextKeyTypeEnumString, ContextKeyValues: []string{region}},
		{ContextKeyName: aws.String("aws:SecureTransport"), ContextKeyType: types.ContextKeyTypeEnumBoolean, ContextKeyValues: []string{"true"}}}
}

// assumed is the identity of an assumed role: partition, account, name of the role.
var assumed = pattern.New(`^arn:(aws[a-z-]*):sts::([0-9]{12}):assumed-role/([^/]+)/`)

// principal returns the ARN of the user or the role that the credentials are of.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
func (s *Session) principal(ctx context.Context) (string, error) {
	if _, err := s.Account(ctx); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.who != "" {
		return s.who, nil
	}
	parts := strings.SplitN(s.identity, ":", 6)
	m := assumed.FindStringSubmatch(s.identity)
	switch {
	case len(parts) == 6 && parts[2] == "iam" && strings.HasPrefix(parts[5], "user/"):
		s.who = s.identity
	case m != nil && strings.HasSuffix(s.settings.Role, "/"+m[3]):
		s.who = s.settings.Role
	case m != nil: // the identity leaves out the path that the ARN of the role has
		s.who = fmt.Sprintf("arn:%s:iam::%s:role/%s", m[1], m[2], m[3])
		each, done := context.WithTimeout(ctx, simulateEach)
		defer done()
		if out, err := iam.NewFromConfig(s.Act).GetRole(each, &iam.GetRoleInput{RoleName: &m[3]}); err == nil && out.Role != nil {
			s.who = aws.ToString(out.Role.Arn)
		}
	default:
		return "", astern.Errorf(astern.Refused, "IAM simulates users and roles, and these credentials are of %s", oneLine(s.identity))
	}
	return s.who, nil
}

// Here fills in what the settings of a component leave open in the name of a resource: region and account.
func (s *Session) Here(ctx context.Context, resource string) (string, error) {
	account, err := s.Account(ctx)
	if err != nil {
		return "", err
	}
	parts := strings.SplitN(resource, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return resource, nil
	}
	if parts[3] == "*" {
		parts[3] = s.Region
	}
	if parts[4] == "*" {
		parts[4] = account
	}
	return strings.Join(parts, ":"), nil
}
