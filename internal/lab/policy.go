package lab

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Policies of IAM, judged as documented: an explicit deny before an allow, and without an allow a deny.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html

// decision is how policies judge one request, in the words of the simulator.
type decision string

const (
	allowed      decision = "allowed"
	explicitDeny decision = "explicitDeny"
	implicitDeny decision = "implicitDeny"
)

// policy is a document of IAM.
type policy struct {
	Statement statements
}

// statement is one of a policy.
type statement struct {
	Sid, Effect                              string
	Action, NotAction, Resource, NotResource texts
	Condition                                map[string]map[string]texts
}

// statements is one statement, or a list of them.
type statements []statement

// UnmarshalJSON reads either.
func (s *statements) UnmarshalJSON(b []byte) error {
	var many []statement
	if json.Unmarshal(b, &many) == nil {
		*s = many
		return nil
	}
	var one statement
	err := json.Unmarshal(b, &one)
	*s = statements{one}
	return err
}

// texts is one text, or a list of them; a condition may write true and numbers bare.
type texts []string

// UnmarshalJSON reads either.
func (t *texts) UnmarshalJSON(b []byte) error {
	var many []any
	if json.Unmarshal(b, &many) != nil {
		many = make([]any, 1)
		if err := json.Unmarshal(b, &many[0]); err != nil {
			return err
		}
	}
	for _, v := range many {
		*t = append(*t, fmt.Sprint(v))
	}
	return nil
}

// question is a request as policies see it.
type question struct {
	action    string
	resources []string // all must be allowed; none: the lab does not know on what, and any resource counts
	context   map[string][]string
}

// judgement is the answer, with the condition keys that were asked for and not known.
type judgement struct {
	decision decision
	missing  []string
}

// judge asks policies whether the principal may do it on one resource ("" for one that is not known). It returns an error for
// what the lab does not follow: a wrong answer would be worse.
func judge(list []policy, q question, resource string) (judgement, error) {
	out := judgement{decision: implicitDeny}
	for _, p := range list {
		for _, s := range p.Statement {
			if !s.names(q.action, resource) {
				continue
			}
			holds, missing, err := s.holds(q.context)
			if err != nil {
				return out, err
			}
			out.missing = append(out.missing, missing...)
			switch {
			case !holds:
			case s.Effect == "Deny":
				return judgement{decision: explicitDeny}, nil
			default:
				out.decision = allowed
			}
		}
	}
	slices.Sort(out.missing)
	out.missing = slices.Compact(out.missing)
	return out, nil
}

// names reports whether a statement is about the action and the resource. Actions don't tell capitals from small letters.
func (s statement) names(action, resource string) bool {
	is := func(patterns texts, text string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return glob(p, text) })
	}
	lower := func(t texts) texts {
		out := make(texts, len(t))
		for i := range t {
			out[i] = strings.ToLower(t[i])
		}
		return out
	}
	if len(s.NotAction) > 0 && is(lower(s.NotAction), strings.ToLower(action)) || len(s.NotAction) == 0 && !is(lower(s.Action), strings.ToLower(action)) {
		return false
	}
	if resource == "" {
		return s.Effect == "Allow" || is(s.Resource, "*")
	}
	if len(s.NotResource) > 0 {
		return !is(s.NotResource, resource)
	}
	return is(s.Resource, resource)
}

// holds reports whether the conditions of a statement hold, and which of their keys are not known.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
func (s statement) holds(context map[string][]string) (holds bool, missing []string, err error) {
	holds = true
	for operator, keys := range s.Condition {
		name, ifExists := strings.CutSuffix(operator, "IfExists")
		bare, negated := strings.Replace(name, "Not", "", 1), strings.Contains(name, "Not")
		compare := map[string]func(want, is string) bool{"StringEquals": func(w, i string) bool { return w == i }, "StringLike": glob, "ArnEquals": glob, "ArnLike": glob,
			"StringEqualsIgnoreCase": strings.EqualFold, "Bool": strings.EqualFold}[bare]
		if compare == nil || negated && bare == "Bool" {
			return false, nil, said("The lab does not follow the condition operator " + operator + ".")
		}
		for key, want := range keys {
			values, known := valuesOf(context, key)
			if slices.ContainsFunc(want, func(w string) bool { return strings.Contains(w, "${") }) {
				return false, nil, said("The lab does not follow policy variables, as in the condition on " + key + ".")
			}
			if !known {
				missing = append(missing, key)
				holds = holds && (negated || ifExists)
				continue
			}
			some := slices.ContainsFunc(values, func(v string) bool {
				return slices.ContainsFunc(want, func(w string) bool { return compare(w, v) })
			})
			holds = holds && some != negated
		}
	}
	return holds, missing, nil
}

// valuesOf finds a key of the context, whose name does not tell capitals from small letters.
func valuesOf(context map[string][]string, key string) ([]string, bool) {
	for k, v := range context {
		if strings.EqualFold(k, key) {
			return v, true
		}
	}
	return nil, false
}

// glob reports whether the pattern, in which * stands for anything and ? for a character, is of the whole text.
func glob(pattern, text string) bool {
	p, t, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p, t = p+1, t+1
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
