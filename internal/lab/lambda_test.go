package lab

import (
	"strings"
	"testing"
	"time"
)

// makeFunction is Python that puts archives into a bucket and makes a function of the first; live(f) waits as the SDK does.
const makeFunction = `
import zipfile, io, base64, hashlib
def archive(text):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z: z.writestr("bootstrap", text)
    return b.getvalue()
sha = lambda b: base64.b64encode(hashlib.sha256(b).digest()).decode()
s3, lam = client("s3"), client("lambda")
s3.create_bucket(Bucket="deploy")
one, two = archive("one"), archive("two")
for name, a in (("v1.zip", one), ("v2.zip", two)): s3.put_object(Bucket="deploy", Key=name, Body=a)
role = client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
def wait(kind="function_updated_v2"):
    w = lam.get_waiter(kind); w.config.delay = 0.1; w.wait(FunctionName="fn")
def create(**code):
    return lam.create_function(FunctionName="fn", Runtime="provided.al2023", Handler="b", Role=role, Code=code)
`

func TestLambdaArchives(t *testing.T) {
	a := start(t)
	a.wantPython(`
400 InvalidParameterValueException: Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.
404 ResourceNotFoundException:
True
400 InvalidParameterValueException: Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.
400 InvalidParameterValueException: Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist
True True
True True
True`, makeFunction+`
print(refused(lambda: create(S3Bucket="deploy", S3Key="gone.zip")))
print(refused(lambda: lam.get_function(FunctionName="fn"))[:30])
print(create(S3Bucket="deploy", S3Key="v1.zip")["CodeSha256"] == sha(one)); wait("function_active_v2")
print(refused(lambda: lam.update_function_code(FunctionName="fn", S3Bucket="deploy", S3Key="gone.zip")))
print(refused(lambda: lam.update_function_code(FunctionName="fn", S3Bucket="nowhere", S3Key="v2.zip")))
print(lam.get_function(FunctionName="fn")["Configuration"]["CodeSha256"] == sha(one), lam.update_function_code(FunctionName="fn", S3Bucket="deploy", S3Key="v2.zip", Publish=True)["CodeSha256"] == sha(two)); wait()
# an earlier version of the archive under its key
s3.put_bucket_versioning(Bucket="deploy", VersioningConfiguration={"Status": "Enabled"})
old = s3.put_object(Bucket="deploy", Key="fn.zip", Body=one)["VersionId"]; s3.put_object(Bucket="deploy", Key="fn.zip", Body=two)
r = lam.update_function_code(FunctionName="fn", S3Bucket="deploy", S3Key="fn.zip", S3ObjectVersion=old); wait()
print(r["CodeSha256"] == sha(one), lam.get_function(FunctionName="fn", Qualifier="1")["Configuration"]["CodeSha256"] == sha(two))
# what the function has taken, it keeps
s3.delete_object(Bucket="deploy", Key="v1.zip"); print(lam.get_function(FunctionName="fn")["Configuration"]["CodeSha256"] == sha(one))`)
	for _, e := range a.Calls("lambda", "CreateFunction", 0) {
		code, _ := e.Parameters["Code"].(map[string]any)
		if code["S3Bucket"] != "deploy" {
			t.Errorf("the journal has %v", e.Parameters)
		}
	}
	got, err := a.tryAWS("lambda", "update-function-code", "--function-name", "fn", "--s3-bucket", "deploy", "--s3-key", "gone.zip")
	want := "An error occurred (InvalidParameterValueException) when calling the UpdateFunctionCode operation: " +
		"Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist."
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("the CLI says %q, %v", got, err)
	}
}

func TestLambdaRevisions(t *testing.T) {
	a := start(t)
	a.wantPython(`
1 True
412 PreconditionFailedException
412 PreconditionFailedException
412 PreconditionFailedException
3 True
412 PreconditionFailedException
2 True
True True`, makeFunction+`
create(ZipFile=one); wait("function_active_v2")
rev = lambda: lam.get_function_configuration(FunctionName="fn")["RevisionId"]
first = rev(); print(len({first, rev(), lam.get_function(FunctionName="fn")["Configuration"]["RevisionId"], lam.list_functions()["Functions"][0]["RevisionId"]}), len(first) == 36)
r = lam.update_function_code(FunctionName="fn", ZipFile=two, RevisionId=first); second = r["RevisionId"]; wait()
for f in (lambda: lam.update_function_code(FunctionName="fn", ZipFile=one, RevisionId=first),
          lambda: lam.update_function_configuration(FunctionName="fn", Timeout=5, RevisionId=first),
          lambda: lam.publish_version(FunctionName="fn", RevisionId=first)):
    print(refused(f)[:31])
v1 = lam.publish_version(FunctionName="fn", RevisionId=second)
third = lam.update_function_configuration(FunctionName="fn", Timeout=5, RevisionId=second)["RevisionId"]; wait()
print(len({first, second, third}), lam.get_function_configuration(FunctionName="fn")["Timeout"] == 5)
lam.publish_version(FunctionName="fn")
a1 = lam.create_alias(FunctionName="fn", Name="live", FunctionVersion="1")["RevisionId"]
a2 = lam.update_alias(FunctionName="fn", Name="live", FunctionVersion="2", RevisionId=a1)["RevisionId"]
print(refused(lambda: lam.update_alias(FunctionName="fn", Name="live", FunctionVersion="1", RevisionId=a1))[:31])
print(lam.get_alias(FunctionName="fn", Name="live")["FunctionVersion"], len({a1, a2, lam.list_aliases(FunctionName="fn")["Aliases"][0]["RevisionId"]}) == 2)
versions = [v["RevisionId"] for v in lam.list_versions_by_function(FunctionName="fn")["Versions"]]
print(len(set(versions)) == 3, v1["RevisionId"] in versions)`)
}

func TestLambdaVersionsHeldAndUpdatesUnderWay(t *testing.T) {
	a := start(t)
	a.wantPython(`
Pending
409 ResourceConflictException: The operation cannot be performed at this time. The function is currently in the following state: Pending
InProgress
409 ResourceConflictException: The operation cannot be performed at this time. An update is in progress for resource: arn:aws:lambda:us-east-1:123456789012:function:fn
Successful
409 ResourceConflictException: Failed to delete version 1 because the following aliases refer to it: live
409 ResourceConflictException: Failed to delete version 2 because the following aliases refer to it: live
400 InvalidParameterValueException: $LATEST version cannot be deleted without deleting the function.
not refused
['$LATEST', '2']
not refused`, makeFunction+`
print(create(ZipFile=one)["State"])
print(refused(lambda: lam.update_function_code(FunctionName="fn", ZipFile=two))); wait("function_active_v2")
lam.publish_version(FunctionName="fn")
print(lam.update_function_code(FunctionName="fn", ZipFile=two)["LastUpdateStatus"])
print(refused(lambda: lam.publish_version(FunctionName="fn"))); wait()
print(lam.get_function_configuration(FunctionName="fn")["LastUpdateStatus"])
lam.publish_version(FunctionName="fn")
lam.create_alias(FunctionName="fn", Name="live", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}})
for v in ("1", "2", "$LATEST"): print(refused(lambda: lam.delete_function(FunctionName="fn", Qualifier=v)))
lam.update_alias(FunctionName="fn", Name="live", FunctionVersion="2", RoutingConfig={})
print(refused(lambda: lam.delete_function(FunctionName="fn", Qualifier="1")))
print([v["Version"] for v in lam.list_versions_by_function(FunctionName="fn")["Versions"]])
print(refused(lambda: lam.delete_function(FunctionName="fn")))`)
}

func TestProvisionedConcurrency(t *testing.T) {
	a := start(t)
	a.wantPython(`
404 ProvisionedConcurrencyConfigNotFoundException: No Provisioned Concurrency Config found for this function
404 ResourceNotFoundException: Function not found: arn:aws:lambda:us-east-1:123456789012:function:fn:9
400 InvalidParameterValueException: Provisioned Concurrency Configs cannot be applied to unpublished function versions.
IN_PROGRESS 0`, makeFunction+`
create(ZipFile=one); wait("function_active_v2"); lam.publish_version(FunctionName="fn")
lam.create_alias(FunctionName="fn", Name="live", FunctionVersion="1")
print(refused(lambda: lam.get_provisioned_concurrency_config(FunctionName="fn", Qualifier="live")))
print(refused(lambda: lam.put_provisioned_concurrency_config(FunctionName="fn", Qualifier="9", ProvisionedConcurrentExecutions=5)))
print(refused(lambda: lam.put_provisioned_concurrency_config(FunctionName="fn", Qualifier="$LATEST", ProvisionedConcurrentExecutions=5)))
r = lam.put_provisioned_concurrency_config(FunctionName="fn", Qualifier="live", ProvisionedConcurrentExecutions=5)
print(r["Status"], r["AvailableProvisionedConcurrentExecutions"])`)
	if _, err := a.Step(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	a.wantPython(`
READY 5 [('live', 5)]
IN_PROGRESS
[]`, `
lam = client("lambda"); r = lam.get_provisioned_concurrency_config(FunctionName="fn", Qualifier="live")
print(r["Status"], r["AvailableProvisionedConcurrentExecutions"], [(c["FunctionArn"].split(":")[-1], c["RequestedProvisionedConcurrentExecutions"]) for c in lam.list_provisioned_concurrency_configs(FunctionName="fn")["ProvisionedConcurrencyConfigs"]])
lam.publish_version(FunctionName="fn"); lam.update_alias(FunctionName="fn", Name="live", FunctionVersion="1")
print(lam.get_provisioned_concurrency_config(FunctionName="fn", Qualifier="live")["Status"])
lam.delete_provisioned_concurrency_config(FunctionName="fn", Qualifier="live")
print(lam.list_provisioned_concurrency_configs(FunctionName="fn")["ProvisionedConcurrencyConfigs"])`)
}

// Whoever names no stage gets AWSCURRENT, also after it was moved back.
func TestSecretsDefaultStage(t *testing.T) {
	a := start(t)
	a.wantPython(`
new new old
old old new
404 ResourceNotFoundException`, `
sm = client("secretsmanager")
v1 = sm.create_secret(Name="db", SecretString="old")["VersionId"]; v2 = sm.put_secret_value(SecretId="db", SecretString="new")["VersionId"]
get = lambda **q: sm.get_secret_value(SecretId="db", **q)["SecretString"]
print(get(), get(VersionStage="AWSCURRENT"), get(VersionStage="AWSPREVIOUS"))
sm.update_secret_version_stage(SecretId="db", VersionStage="AWSCURRENT", MoveToVersionId=v1, RemoveFromVersionId=v2)
print(get(), get(VersionStage="AWSCURRENT"), get(VersionId=v2))
print(refused(lambda: sm.get_secret_value(SecretId="none"))[:29])`)
	if got := a.aws("secretsmanager", "get-secret-value", "--secret-id", "db", "--query", "SecretString", "--output", "text"); got != "old" {
		t.Errorf("the CLI gets %s", got)
	}
}

// Of a function that is not there nothing is listed.
func TestVersionsOfNoFunction(t *testing.T) {
	a := start(t)
	for _, region := range []string{"eu-west-1", homeRegion} {
		got, err := a.tryAWS("lambda", "list-versions-by-function", "--function-name", "fn", "--region", region)
		want := "An error occurred (ResourceNotFoundException) when calling the ListVersionsByFunction operation: " +
			"Function not found: arn:aws:lambda:" + region + ":123456789012:function:fn"
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: the CLI says %q, %v", region, got, err)
		}
	}
	a.python(makeFunction + `
create(ZipFile=one); wait("function_active_v2"); lam.publish_version(FunctionName="fn")`)
	for _, name := range []string{"fn", "arn:aws:lambda:" + homeRegion + ":123456789012:function:fn"} {
		if got := a.aws("lambda", "list-versions-by-function", "--function-name", name, "--query", "Versions[].Version", "--output", "text"); got != "$LATEST\t1" {
			t.Errorf("of %s it lists %q", name, got)
		}
	}
}
