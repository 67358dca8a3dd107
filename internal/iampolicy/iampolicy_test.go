package iampolicy

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
)

// allows reports whether statements say something of an action on a resource, in so many words.
func says(policies []Policy, effect string, p astern.Permission) bool {
	for _, policy := range policies {
		for _, s := range policy.Document.Statement {
			if s.Effect == effect && slices.Contains(s.Action, p.Action) && slices.Contains(s.Resource, p.Resource) && text(s.Condition) == text(p.When) {
				return true
			}
		}
	}
	return false
}

// Whatever is needed, the policies say it and nothing else, in documents that IAM takes.
func TestPoliciesSayWhatIsNeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one := rapid.Custom(func(t *rapid.T) astern.Permission {
			p := astern.Permission{Action: rapid.SampledFrom([]string{"lambda:UpdateAlias", "lambda:GetAlias", "s3:GetObject", "application-autoscaling:X"}).Draw(t, "action"),
				Resource: fmt.Sprintf("arn:aws:lambda:eu-central-1:123456789012:function:a-function-with-a-longer-name-%d", rapid.IntRange(0, 200).Draw(t, "n")),
				Use:      rapid.SampledFrom([]astern.PermissionUse{astern.UseRead, astern.UseRecover}).Draw(t, "use"), Forbidden: rapid.Bool().Draw(t, "forbidden")}
			if rapid.Bool().Draw(t, "conditional") {
				p.When = map[string]map[string][]string{"Bool": {"ssm:Overwrite": {"true"}}}
			}
			return p
		})
		list := rapid.SliceOfN(one, 0, 400).Draw(t, "permissions")
		policies := Write(astern.UseRead, list)
		want := map[string]bool{}
		for _, p := range list {
			effect := map[bool]string{true: "Deny", false: "Allow"}[p.Forbidden]
			if p.Use == astern.UseRead {
				want[effect+p.Action+p.Resource+text(p.When)] = true
			}
			if p.Use == astern.UseRead && !says(policies, effect, p) {
				t.Fatalf("%+v is not in the policies", p)
			}
		}
		got, names := map[string]bool{}, map[string]bool{}
		for _, p := range policies {
			if n := size(p.Document); n > MaxCharacters || names[p.Name] {
				t.Fatalf("%s has %d characters, or another has its name", p.Name, n)
			}
			names[p.Name] = true
			sids := map[string]bool{}
			for _, s := range p.Document.Statement {
				if sids[s.Sid] {
					t.Fatalf("two statements are %s", s.Sid)
				}
				sids[s.Sid] = true
				for _, a := range s.Action {
					for _, r := range s.Resource {
						got[s.Effect+a+r+text(s.Condition)] = true
					}
				}
			}
		}
		for k := range got {
			if !want[k] {
				t.Fatalf("the policies say %s, which nobody needs", k)
			}
		}
	})
}

// A thousand functions need many policies, and each but the last is nearly full.
func TestPoliciesAreFilled(t *testing.T) {
	var list []astern.Permission
	for n := range 1000 {
		list = append(list, astern.Permission{Action: "lambda:UpdateAlias", Use: astern.UseRecover, Resource: fmt.Sprintf("arn:aws:lambda:eu-central-1:123456789012:function:function-%d", n)})
	}
	policies := Write(astern.UseRecover, list)
	if len(policies) < 11 || len(policies) > 30 || policies[0].Name != "astern-recovery" || policies[1].Name != "astern-recovery-2" {
		t.Errorf("%d policies, the first is %s", len(policies), policies[0].Name)
	}
	if _, err := json.Marshal(policies[0].Document); err != nil {
		t.Fatal(err)
	}
}
