package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/iampolicy"
)

// PolicySet is the policies that one set of credentials needs.
type PolicySet struct {
	// Whose says which credentials: a role, a profile, or those that astern runs with.
	Whose string `json:"whose"`
	// Components are the addresses that they are for.
	Components []string           `json:"components"`
	Policies   []iampolicy.Policy `json:"policies"`
	// Notes say what a person should know before the policies are made.
	Notes []string `json:"notes,omitempty"`
}

// maxAttached is how many managed policies a role may have before its quota is raised.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const maxAttached = 10

// Permissions writes the policies for the components, one set for each set of credentials that they declare. It asks nobody.
func (a *App) Permissions(components []astern.Component, uses []astern.PermissionUse) ([]PolicySet, error) {
	type set struct {
		is     awsapi.Settings
		needs  []astern.Permission
		things []string
		open   []string
	}
	sets := map[string]*set{}
	add := func(s awsapi.Settings, address string, list []astern.Permission) {
		key := s.Role + "\n" + s.Profile
		if sets[key] == nil {
			sets[key] = &set{is: s, needs: simulating(s)}
		}
		of := sets[key]
		of.needs = append(of.needs, list...)
		if !slices.Contains(of.things, address) {
			of.things = append(of.things, address)
		}
		if (s.Region == "" || s.Account == "" && s.Role == "") && !slices.Contains(of.open, address) {
			of.open = append(of.open, address)
		}
	}
	for _, c := range components {
		if d, ok := a.driver(c.Kind); ok && d.Permitter != nil {
			add(awsOf(c), c.Address(), d.Permitter.Permissions(c))
		}
		for _, w := range watching(c) {
			add(w.is, c.Address(), w.needs)
		}
	}
	if len(sets) == 0 {
		return nil, astern.Errorf(astern.NotFound, "no component that was asked for is in AWS").WithHint("astern kinds lists the kinds that need permissions")
	}
	var out []PolicySet
	for _, of := range sets {
		p := PolicySet{Whose: whose(of.is), Components: of.things}
		for _, use := range uses {
			p.Policies = append(p.Policies, iampolicy.Write(use, of.needs)...)
		}
		if len(p.Policies) > maxAttached {
			p.Notes = append(p.Notes, fmt.Sprintf("these are %d policies, and a role takes %d until its quota is raised", len(p.Policies), maxAttached))
		}
		if n := len(of.open); n > 0 {
			p.Notes = append(p.Notes, fmt.Sprintf("%s declare no region or no account, so * stands for it: write region and account below with, and the policy says no more than is needed", few(of.open)))
		}
		if of.is.Role != "" {
			p.Notes = append(p.Notes, "who runs astern needs sts:AssumeRole on "+of.is.Role+", and the role must trust them")
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(x, y PolicySet) int { return cmp.Compare(x.Whose, y.Whose) })
	return out, nil
}

// observed is a source of CloudWatch that judges a component or tells of its failures.
type observed struct {
	is    awsapi.Settings
	needs []astern.Permission
}

// watching is what watching a component asks CloudWatch for.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
func watching(c astern.Component) []observed {
	var out []observed
	note := func(p astern.AWSPlace, list func(awsapi.Settings) []astern.Permission) {
		is := awsapi.Settings{Region: p.Region, Profile: p.Profile, Role: p.Role, Account: p.Account}
		out = append(out, observed{is, list(is)})
	}
	for _, s := range c.Signals {
		if s.CloudWatch != nil {
			note(s.CloudWatch.AWSPlace, func(awsapi.Settings) []astern.Permission {
				return awsapi.Permissions(astern.UseRead, "the signals that a release is judged by", []string{"*"}, "cloudwatch:GetMetricData")
			})
		}
	}
	for _, a := range c.Alarms {
		note(a.AWSPlace, func(awsapi.Settings) []astern.Permission { // with less than all, composite alarms are not told (API reference of DescribeAlarms)
			return awsapi.Permissions(astern.UseRead, "the alarms that a release is judged by", []string{"*"}, "cloudwatch:DescribeAlarms")
		})
	}
	if l := c.Logs; l != nil {
		note(l.AWSPlace, func(is awsapi.Settings) []astern.Permission {
			return awsapi.Permissions(astern.UseRead, "the last failures of a component", []string{is.ARN("logs", "log-group:"+l.Group), is.ARN("logs", "log-group:"+l.Group+":*")}, "logs:FilterLogEvents")
		})
	}
	return out
}

// awsOf reads what the declarations of all AWS kinds have. It takes settings that were validated before.
func awsOf(c astern.Component) (s awsapi.Settings) {
	_ = json.Unmarshal(c.Settings, &s) // what is no such setting is the driver's
	return s
}

// simulating is what asking IAM about one's own permissions takes.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
func simulating(s awsapi.Settings) []astern.Permission {
	who := []string{s.GlobalARN("iam", "role/*"), s.GlobalARN("iam", "user/*")}
	if s.Role != "" {
		who = []string{s.Role}
	}
	out := awsapi.Permissions(astern.UseRead, "asking whether a recovery is allowed, before it is needed", who, "iam:SimulatePrincipalPolicy")
	return append(out, awsapi.Permissions(astern.UseRead, "asking whose credentials these are", who[:1], "iam:GetRole")...)
}

func whose(s awsapi.Settings) string {
	switch {
	case s.Role != "":
		return s.Role
	case s.Profile != "":
		return "profile " + s.Profile
	}
	return "the credentials that astern runs with"
}

// few names the first of many.
func few(list []string) string {
	const most = 3
	if over := len(list) - most; over > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), over)
	}
	return strings.Join(list, ", ")
}
