package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// iamOverlays add what moto lacks: the simulator of policies.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
func (l *Lab) iamOverlays() map[string]Overlay {
	return map[string]Overlay{"iam:SimulatePrincipalPolicy": func(ctx context.Context, c *Call, _ Next) Reply { return l.simulate(ctx, c) }}
}

// members are a list of the query protocol: ActionNames.member.1 …
func (c *Call) members(name string) []string {
	var out []string
	for n := 1; ; n++ {
		v, ok := c.Input[fmt.Sprintf("%s.member.%d", name, n)].(string)
		if !ok {
			return out
		}
		out = append(out, v)
	}
}

// Limits of one simulation.
const maxSimulated = 10_000

func (l *Lab) simulate(ctx context.Context, c *Call) Reply {
	for name := range c.Input {
		for _, other := range []string{"PolicyInputList", "PermissionsBoundaryPolicyInputList", "ResourcePolicy", "ResourceOwner", "CallerArn", "ResourceHandlingOption", "Marker"} {
			if strings.HasPrefix(name, other) {
				return errorReply(c, http.StatusNotImplemented, "LabNotImplemented", "The lab simulates without "+other+".")
			}
		}
	}
	actions, resources := c.members("ActionNames"), c.members("ResourceArns")
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	if len(actions) == 0 || len(actions)*len(resources) > maxSimulated {
		return errorReply(c, http.StatusBadRequest, "InvalidInput", "Actions must be named, and not too many.")
	}
	own, boundary, err := l.policiesOf(ctx, c, c.Text("PolicySourceArn"))
	if err != nil {
		return iamRefusal(c, err)
	}
	known := map[string][]string{}
	for n := 1; ; n++ {
		at := fmt.Sprintf("ContextEntries.member.%d.", n)
		key, ok := c.Input[at+"ContextKeyName"].(string)
		if !ok {
			break
		}
		known[key] = c.members(at + "ContextKeyValues")
	}
	var b strings.Builder
	for _, action := range actions {
		for _, resource := range resources {
			j, err := bounded(own, boundary, question{action: action, context: known}, resource)
			if err != nil {
				return iamRefusal(c, err)
			}
			fmt.Fprintf(&b, "<member><EvalActionName>%s</EvalActionName><EvalResourceName>%s</EvalResourceName><EvalDecision>%s</EvalDecision><MatchedStatements/><MissingContextValues>",
				escaped(action), escaped(resource), j.decision)
			for _, key := range j.missing {
				fmt.Fprintf(&b, "<member>%s</member>", escaped(key))
			}
			b.WriteString("</MissingContextValues></member>")
		}
	}
	return xmlReply(c, http.StatusOK, `<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>`+
		b.String()+`</EvaluationResults></SimulatePrincipalPolicyResult><ResponseMetadata><RequestId>`+requestID(c)+`</RequestId></ResponseMetadata></SimulatePrincipalPolicyResponse>`)
}

// iamRefusal is what could not be judged, in the words of IAM or loudly in the lab's own.
func iamRefusal(c *Call, err error) Reply {
	var no *refusal
	var words said
	switch {
	case errors.As(err, &no):
		return errorReply(c, no.Status, no.Code, no.Message)
	case errors.As(err, &words):
		return errorReply(c, http.StatusNotImplemented, "LabNotImplemented", words.Error())
	}
	return errorReply(c, http.StatusInternalServerError, "ServiceFailure", err.Error())
}

// bounded judges by the policies of a principal, and by its boundary where it has one: that must allow it as well, and its
// denials count.
func bounded(own, boundary []policy, q question, resource string) (judgement, error) {
	j, err := judge(own, q, resource)
	if err != nil || boundary == nil || j.decision == explicitDeny {
		return j, err
	}
	around, err := judge(boundary, q, resource)
	if err != nil || j.decision == allowed || around.decision == explicitDeny {
		return around, err
	}
	return j, nil
}

// grants are the policies of principals as they were read, until something in IAM changes: reading them is a dozen questions to moto,
// and each call that is held to policies needs them.
type grants struct {
	mu    sync.Mutex
	turns int // how often they were forgotten
	known map[string]granted
}

type granted struct{ own, boundary []policy }

func (g *grants) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known = nil
	g.turns++
}

// policiesOf returns what is attached to a user, with its groups, or to a role; boundary is nil where there is none.
func (l *Lab) policiesOf(ctx context.Context, c *Call, arn string) (own, boundary []policy, err error) {
	g, key := &l.states.grants, c.Account+" "+arn
	g.mu.Lock()
	is, ok := g.known[key]
	before := g.turns
	g.mu.Unlock()
	if ok {
		return is.own, is.boundary, nil
	}
	if own, boundary, err = l.readPolicies(ctx, c, arn); err != nil {
		return nil, nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.turns == before { // else something changed while they were read
		if g.known == nil {
			g.known = map[string]granted{}
		}
		g.known[key] = granted{own, boundary}
	}
	return own, boundary, nil
}

func (l *Lab) readPolicies(ctx context.Context, c *Call, arn string) (own, boundary []policy, err error) {
	kind, name := principal(arn)
	switch kind {
	case "user":
		own, boundary, err = l.attached(ctx, c, "User", name)
		if err != nil {
			return nil, nil, err
		}
		groups, err := l.ask(ctx, "iam", "ListGroupsForUser", c, map[string]any{"UserName": name})
		if err != nil {
			return nil, nil, err
		}
		for _, g := range list(groups, "Groups", "member") {
			of, _, err := l.attached(ctx, c, "Group", textOf(objectOf(g)["GroupName"]))
			if err != nil {
				return nil, nil, err
			}
			own = append(own, of...)
		}
		return own, boundary, nil
	case "role":
		return l.attached(ctx, c, "Role", name)
	}
	return nil, nil, &refusal{http.StatusBadRequest, "InvalidInput", "Invalid Entity Arn: " + arn + " does not clearly define entity type and name."}
}

// principal returns what a principal is and its name, without its path.
func principal(arn string) (kind, name string) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return "", ""
	}
	kind, rest, _ := strings.Cut(parts[5], "/")
	if kind == "assumed-role" {
		name, _, _ = strings.Cut(rest, "/")
		return "role", name
	}
	if parts[2] != "iam" {
		return "", ""
	}
	return kind, rest[strings.LastIndexByte(rest, '/')+1:]
}

// attached reads the policies within and beside a user, group or role, and its boundary.
func (l *Lab) attached(ctx context.Context, c *Call, kind, name string) (own, boundary []policy, err error) {
	of := map[string]any{kind + "Name": name}
	thing, err := l.ask(ctx, "iam", "Get"+kind, c, of)
	if err != nil {
		return nil, nil, err
	}
	if arn := textOf(objectOf(objectOf(thing[kind])["PermissionsBoundary"])["PermissionsBoundaryArn"]); arn != "" {
		p, err := l.managed(ctx, c, arn)
		if err != nil {
			return nil, nil, err
		}
		boundary = []policy{p}
	}
	names, err := l.ask(ctx, "iam", "List"+kind+"Policies", c, of)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range list(names, "PolicyNames", "member") {
		one, err := l.ask(ctx, "iam", "Get"+kind+"Policy", c, map[string]any{kind + "Name": name, "PolicyName": textOf(n)})
		if err != nil {
			return nil, nil, err
		}
		p, err := readPolicy(textOf(one["PolicyDocument"]))
		if err != nil {
			return nil, nil, err
		}
		own = append(own, p)
	}
	beside, err := l.ask(ctx, "iam", "ListAttached"+kind+"Policies", c, of)
	if err != nil {
		return nil, nil, err
	}
	for _, a := range list(beside, "AttachedPolicies", "member") {
		p, err := l.managed(ctx, c, textOf(objectOf(a)["PolicyArn"]))
		if err != nil {
			return nil, nil, err
		}
		own = append(own, p)
	}
	return own, boundary, nil
}

// managed reads the default version of a managed policy.
func (l *Lab) managed(ctx context.Context, c *Call, arn string) (policy, error) {
	is, err := l.ask(ctx, "iam", "GetPolicy", c, map[string]any{"PolicyArn": arn})
	if err != nil {
		return policy{}, err
	}
	version, err := l.ask(ctx, "iam", "GetPolicyVersion", c, map[string]any{"PolicyArn": arn, "VersionId": textOf(objectOf(is["Policy"])["DefaultVersionId"])})
	if err != nil {
		return policy{}, err
	}
	return readPolicy(textOf(objectOf(version["PolicyVersion"])["Document"]))
}

// readPolicy reads a document, which IAM answers percent-encoded.
func readPolicy(text string) (p policy, err error) {
	if plain, wrong := url.QueryUnescape(text); wrong == nil && strings.HasPrefix(strings.TrimSpace(text), "%7B") {
		text = plain
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, fmt.Errorf("a policy can't be read: %w", err)
	}
	return p, nil
}
