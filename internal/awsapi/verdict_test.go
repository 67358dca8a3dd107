package awsapi

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// The simulator answers for each resource apart, in one result of the action or in several.
func TestVerdictsOfResults(t *testing.T) {
	s := Simulated{verdicts: map[string]Verdict{}}
	s.note(types.EvaluationResult{EvalActionName: aws.String("a:B"), EvalResourceName: aws.String("*"), EvalDecision: types.PolicyEvaluationDecisionTypeImplicitDeny,
		ResourceSpecificResults: []types.ResourceSpecificResult{
			{EvalResourceName: aws.String("one"), EvalResourceDecision: types.PolicyEvaluationDecisionTypeAllowed, MissingContextValues: []string{"aws:SourceIp"}},
			{EvalResourceName: aws.String("two"), EvalResourceDecision: types.PolicyEvaluationDecisionTypeExplicitDeny},
			{EvalResourceName: aws.String("three"), EvalResourceDecision: "something new"}}})
	for resource, want := range map[string]Verdict{"*": VerdictImplicit, "one": VerdictAllowed, "two": VerdictExplicit, "three": VerdictUnasked} {
		if got := s.Of(Asked{Action: "a:B", Resource: resource}); got != want {
			t.Errorf("%s: %s, want %s", resource, got, want)
		}
	}
}
