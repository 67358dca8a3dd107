package lab

import (
	"strings"
	"testing"
)

// The simulator is asked by the unmodified command line of AWS: policies within and beside a user, of its group, of a role,
// a boundary.
func TestSimulatePrincipalPolicy(t *testing.T) {
	a := start(t)
	document := func(effect, action, resource string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"` + effect + `","Action":"` + action + `","Resource":"` + resource + `"}}`
	}
	function := "arn:aws:lambda:us-east-1:" + Account + ":function:shop"
	a.aws("iam", "create-user", "--user-name", "ann")
	a.aws("iam", "create-group", "--group-name", "ops")
	a.aws("iam", "add-user-to-group", "--user-name", "ann", "--group-name", "ops")
	asked := func(source string, actions ...string) string {
		t.Helper()
		args := append([]string{"iam", "simulate-principal-policy", "--policy-source-arn", source, "--resource-arns", function, "--output", "text",
			"--query", "EvaluationResults[].[EvalActionName,EvalDecision]", "--action-names"}, actions...)
		return strings.Join(strings.Fields(a.aws(args...)), " ")
	}
	ann := "arn:aws:iam::" + Account + ":user/ann"
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	want("nothing is attached", asked(ann, "lambda:UpdateAlias"), "lambda:UpdateAlias implicitDeny")
	a.aws("iam", "put-group-policy", "--group-name", "ops", "--policy-name", "p", "--policy-document", document("Allow", "lambda:Update*", function))
	want("by the group", asked(ann, "lambda:UpdateAlias", "lambda:GetAlias"), "lambda:UpdateAlias allowed lambda:GetAlias implicitDeny")
	arn := a.aws("iam", "create-policy", "--policy-name", "deny", "--policy-document", document("Deny", "*", function), "--query", "Policy.Arn", "--output", "text")
	a.aws("iam", "attach-user-policy", "--user-name", "ann", "--policy-arn", arn)
	want("denied beside", asked(ann, "lambda:UpdateAlias"), "lambda:UpdateAlias explicitDeny")
	a.aws("iam", "create-role", "--role-name", "astern", "--path", "/ops/", "--assume-role-policy-document", document("Allow", "sts:AssumeRole", "*"))
	a.aws("iam", "put-role-policy", "--role-name", "astern", "--policy-name", "p", "--policy-document", document("Allow", "*", "*"))
	role := "arn:aws:iam::" + Account + ":role/ops/astern"
	want("a role", asked(role, "lambda:UpdateAlias"), "lambda:UpdateAlias allowed")
	a.aws("iam", "put-role-policy", "--role-name", "astern", "--policy-name", "p", "--policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}]}`)
	want("under a condition", asked(role, "lambda:UpdateAlias"), "lambda:UpdateAlias implicitDeny")
	if got := a.aws("iam", "simulate-principal-policy", "--policy-source-arn", role, "--action-names", "s3:GetObject", "--query", "EvaluationResults[0].MissingContextValues[0]", "--output", "text"); got != "aws:MultiFactorAuthPresent" {
		t.Errorf("the key that is not known is %q", got)
	}
	if got := a.aws("iam", "simulate-principal-policy", "--policy-source-arn", role, "--action-names", "s3:GetObject", "--query", "EvaluationResults[0].EvalDecision", "--output", "text",
		"--context-entries", "ContextKeyName=aws:MultiFactorAuthPresent,ContextKeyType=boolean,ContextKeyValues=true"); got != "allowed" {
		t.Errorf("with the condition it is %s", got)
	}
	// What the lab does not follow it says.
	a.aws("iam", "put-role-policy", "--role-name", "astern", "--policy-name", "p", "--policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericLessThan":{"aws:MultiFactorAuthAge":"60"}}}]}`)
	if _, err := a.tryAWS("iam", "simulate-principal-policy", "--policy-source-arn", role, "--action-names", "s3:GetObject"); err == nil || !strings.Contains(err.Error(), "LabNotImplemented") {
		t.Errorf("an operator that is not followed: %v", err)
	}
	if _, err := a.tryAWS("iam", "simulate-principal-policy", "--policy-source-arn", ann+"a", "--action-names", "s3:GetObject"); err == nil || !strings.Contains(err.Error(), "NoSuchEntity") {
		t.Errorf("a user that does not exist: %v", err)
	}
}

// Where calls are held to policies, boto3 with the key of a user is refused what its policies don't allow, in AWS's words;
// other keys may do everything, and a role that was assumed what its own allow.
func TestCallsAreHeldToPolicies(t *testing.T) {
	a := start(t)
	a.HoldToPolicies(true)
	a.wantPython(`
403 AccessDenied: User: arn:aws:iam::123456789012:user/ann is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::site/index.html because no identity-based policy allows the s3:PutObject action
not refused
403 AccessDenied: User: arn:aws:iam::123456789012:user/ann is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::site/private/x with an explicit deny in an identity-based policy
not refused
404 404: Not Found
403 AccessDeniedException: User: arn:aws:iam::123456789012:user/ann is not authorized to perform: ssm:PutParameter on resource: arn:aws:ssm:us-east-1:123456789012:parameter/shop/config because no identity-based policy allows the ssm:PutParameter action
not refused
arn:aws:iam::123456789012:user/ann
403 AccessDenied: User: arn:aws:sts::123456789012:assumed-role/r/session is not authorized to perform: s3:ListAllMyBuckets because no identity-based policy allows the s3:ListAllMyBuckets action
not refused
`, `
iam, s3 = client("iam"), client("s3")
s3.create_bucket(Bucket="site")
s3.put_object(Bucket="site", Key="code.zip", Body=b"1")
iam.create_user(UserName="ann")
key = iam.create_access_key(UserName="ann")["AccessKey"]["AccessKeyId"]
mine = client("s3", key=key)
print(refused(lambda: mine.put_object(Bucket="site", Key="index.html", Body=b"1")))
def may(*statements):
    iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}))
may({"Effect": "Allow", "Action": ["s3:*Object", "s3:ListBucket"], "Resource": ["arn:aws:s3:::site", "arn:aws:s3:::site/*"]},
    {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::site/private/*"},
    {"Effect": "Allow", "Action": ["ssm:PutParameter"], "Resource": "arn:aws:ssm:*:*:parameter/shop/*", "Condition": {"Bool": {"ssm:Overwrite": "true"}}})
print(refused(lambda: mine.put_object(Bucket="site", Key="index.html", Body=b"1")))
print(refused(lambda: mine.put_object(Bucket="site", Key="private/x", Body=b"1")))
print(refused(lambda: mine.copy_object(Bucket="site", Key="copy.zip", CopySource={"Bucket": "site", "Key": "code.zip"})))
print(refused(lambda: mine.head_object(Bucket="site", Key="none")))
parameters = client("ssm", key=key)
print(refused(lambda: parameters.put_parameter(Name="/shop/config", Value="1", Type="String")))
print(refused(lambda: parameters.put_parameter(Name="/shop/config", Value="1", Type="String", Overwrite=True)))
print(client("sts", key=key).get_caller_identity()["Arn"])
iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")
role = client("sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="session")["Credentials"]["AccessKeyId"]
print(refused(lambda: client("s3", key=role).list_buckets()))
print(refused(lambda: s3.list_buckets()))
`)
}

// ECS and AppConfig are judged by the resources that their calls name, ECS by roles and tags as well; what was changed in IAM is in
// force at once.
func TestServicesAreHeldToResources(t *testing.T) {
	a := start(t)
	a.HoldToPolicies(true)
	a.wantPython(`
403 AccessDeniedException: User: arn:aws:iam::123456789012:user/ann is not authorized to perform: ecs:UpdateService on resource: arn:aws:ecs:us-east-1:123456789012:service/main/other because no identity-based policy allows the ecs:UpdateService action
400 ServiceNotFoundException
403 AccessDeniedException: User: arn:aws:iam::123456789012:user/ann is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/root because no identity-based policy allows the iam:PassRole action
403 AccessDeniedException: User: arn:aws:iam::123456789012:user/ann is not authorized to perform: ecs:TagResource on resource: arn:aws:ecs:us-east-1:123456789012:task-definition/shop:* because no identity-based policy allows the ecs:TagResource action
not refused
403 AccessDeniedException: User: arn:aws:iam::123456789012:user/ann is not authorized to perform: appconfig:GetEnvironment on resource: ENVIRONMENT because no identity-based policy allows the appconfig:GetEnvironment action
not refused
403 AccessDeniedException: User: arn:aws:iam::123456789012:user/ann is not authorized to perform: appconfig:StartConfigurationSession on resource: ENVIRONMENT/configuration/PROFILE because no identity-based policy allows the appconfig:StartConfigurationSession action
not refused
`, `
iam, ac = client("iam"), client("appconfig")
client("ecs").create_cluster(clusterName="main")
iam.create_user(UserName="ann")
key = iam.create_access_key(UserName="ann")["AccessKey"]["AccessKeyId"]
def may(*statements):
    iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": a, "Resource": r} for a, r in statements]}))
may(("ecs:UpdateService", "arn:aws:ecs:*:*:service/main/shop"), ("ecs:RegisterTaskDefinition", "*"), ("iam:PassRole", "arn:aws:iam::*:role/tasks"))
ecs = client("ecs", key=key)
print(refused(lambda: ecs.update_service(cluster="main", service="other")))
print(refused(lambda: ecs.update_service(cluster="main", service="shop")).split(":")[0])
def define(**more):
    return refused(lambda: ecs.register_task_definition(family="shop", containerDefinitions=[{"name": "app", "image": "i", "memory": 128}], **more))
print(define(executionRoleArn="arn:aws:iam::123456789012:role/root"))
print(define(executionRoleArn="arn:aws:iam::123456789012:role/tasks", tags=[{"key": "a", "value": "b"}]))
print(define(executionRoleArn="arn:aws:iam::123456789012:role/tasks"))
app = ac.create_application(Name="shop")["Id"]
env = ac.create_environment(ApplicationId=app, Name="prod")["Id"]
profile = ac.create_configuration_profile(ApplicationId=app, Name="limits", LocationUri="hosted")["Id"]
arn = "arn:aws:appconfig:us-east-1:123456789012:application/" + app
def plain(said):
    return said.replace(arn + "/environment/" + env, "ENVIRONMENT").replace("/" + profile, "/PROFILE")
mine, data = client("appconfig", key=key), client("appconfigdata", key=key)
look = lambda: mine.get_environment(ApplicationId=app, EnvironmentId=env)
may(("appconfig:GetEnvironment", arn))
print(plain(refused(look)))
may(("appconfig:GetEnvironment", [arn, arn + "/environment/" + env]))
print(plain(refused(look)))
begin = lambda: data.start_configuration_session(ApplicationIdentifier="shop", EnvironmentIdentifier="prod", ConfigurationProfileIdentifier="limits")
print(plain(refused(begin)))
may(("appconfig:StartConfigurationSession", arn + "/environment/" + env + "/configuration/" + profile))
print(plain(refused(begin)))
`)
}
