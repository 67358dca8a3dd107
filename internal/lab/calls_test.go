package lab

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// The journal shows no secret, however a call carries it.
func TestJournalHidesSecrets(t *testing.T) {
	a := start(t)
	a.python(`
client("secretsmanager").create_secret(Name="a", SecretString="canary1"); client("secretsmanager").put_secret_value(SecretId="a", SecretBinary=b"canary2")
client("ssm").put_parameter(Name="p", Value="canary3", Type="SecureString")
client("iam").create_user(UserName="u"); client("iam").create_login_profile(UserName="u", Password="canary4")
role = client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
client("lambda").create_function(FunctionName="f", Runtime="provided.al2023", Role=role, Handler="x", Code={"ZipFile": b"canary5"}, Environment={"Variables": {"A": "canary6"}})
client("ecs").register_task_definition(family="t", containerDefinitions=[{"name": "c", "image": "i", "memory": 1, "environment": [{"name": "A", "value": "canary7"}]}])
refused(lambda: client("cloudformation").create_stack(StackName="s", TemplateBody="{}", Parameters=[{"ParameterKey": "k", "ParameterValue": "canary8"}]))
refused(lambda: client("s3").put_object(Bucket="b12", Key="k", SSECustomerAlgorithm="AES256", SSECustomerKey="canary9-canary9-canary9-canary9-0"))`)
	if got := parameters(&Call{Service: "rds", Input: map[string]any{"MasterUserPassword": "x", "Tags.member.1.Value": "y"}}); got["MasterUserPassword"] != omitted || got["Tags.member.1.Value"] != "y" {
		t.Errorf("the query protocol's members are shown as %v", got)
	}
	b, err := json.Marshal(a.Calls("", "", 0))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(a.Calls("", "", 0)); n < 9 {
		t.Fatalf("only %d calls", n)
	}
	trail := a.python(`print([e["CloudTrailEvent"] for e in client("cloudtrail").lookup_events()["Events"]])`)
	for i := 1; i <= 9; i++ {
		if canary := fmt.Sprintf("canary%d", i); strings.Contains(string(b), canary) || strings.Contains(trail, canary) {
			t.Errorf("%s is in the journal or the event history", canary)
		}
	}
}
