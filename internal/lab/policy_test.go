package lab

import (
	"encoding/json"
	"os"
	"testing"
)

// Policies that were drawn at random are judged as another simulator of IAM judges them, which knows nothing of ours
// (@cloud-copilot/iam-simulate of npm): its answers are in the file.
func TestPoliciesAreJudgedAsByAnother(t *testing.T) {
	text, err := os.ReadFile("testdata/policies.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Policies         []policy
		Boundary         *policy
		Action, Resource string
		Context          map[string]string
		Result           string
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	counts := map[decision]int{}
	for i, c := range cases {
		known := map[string][]string{}
		for k, v := range c.Context {
			known[k] = []string{v}
		}
		var boundary []policy
		if c.Boundary != nil {
			boundary = []policy{*c.Boundary}
		}
		j, err := bounded(c.Policies, boundary, question{action: c.Action, context: known}, c.Resource)
		want := map[string]decision{"Allowed": allowed, "ExplicitlyDenied": explicitDeny, "ImplicitlyDenied": implicitDeny}[c.Result]
		if err != nil || j.decision != want {
			t.Errorf("case %d: %s on %s is %s (%v), want %s", i, c.Action, c.Resource, j.decision, err, want)
		}
		counts[j.decision]++
	}
	if len(counts) != 3 || len(cases) < 200 {
		t.Errorf("%d cases: %v", len(cases), counts)
	}
}
