package lab

import (
	"strings"
	"testing"
	"time"
)

// CloudTrail's event history tells what was called, in its own names and with what went wrong, to the CLI of AWS.
func TestTrail(t *testing.T) {
	a := start(t)
	a.python(`
r = refused(lambda: client("lambda").update_function_code(FunctionName="shop", S3Bucket="bbb", S3Key="k"))
s3 = client("s3"); s3.create_bucket(Bucket="bbb"); s3.put_object(Bucket="bbb", Key="k", Body=b"x")
s3.put_bucket_lifecycle_configuration(Bucket="bbb", LifecycleConfiguration={"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]})
client("secretsmanager").create_secret(Name="db", SecretString="sesame")
client("secretsmanager").get_secret_value(SecretId="db")
client("ecs", "eu-west-1").list_clusters()
client("iam", "eu-west-1").list_roles()`)
	got := a.aws("cloudtrail", "lookup-events", "--query", "Events[].[EventSource,EventName,ReadOnly,Username]", "--output", "text")
	want := `iam.amazonaws.com	ListRoles	true	moto
secretsmanager.amazonaws.com	GetSecretValue	true	moto
secretsmanager.amazonaws.com	CreateSecret	false	moto
s3.amazonaws.com	PutBucketLifecycle	false	moto
s3.amazonaws.com	CreateBucket	false	moto
lambda.amazonaws.com	UpdateFunctionCode20150331v2	false	moto`
	if got != want {
		t.Errorf("the event history has\n%s\nwant\n%s", got, want)
	}
	a.wantPython(`
UpdateFunctionCode20150331v2 ResourceNotFoundException shop bbb [{'ResourceType': 'AWS::Lambda::Function', 'ResourceName': 'shop'}]
['CreateSecret', 'GetSecretValue', 'GetSecretValue'] HIDDEN_DUE_TO_SECURITY_REASONS
['ListClusters']
['CreateBucket', 'PutBucketLifecycle'] 0`, `
ct = client("cloudtrail")
def events(c=ct, **q): return sorted(c.lookup_events(**q)["Events"], key=lambda e: e["EventName"])
def by(k, v): return [{"AttributeKey": k, "AttributeValue": v}]
e = events(LookupAttributes=by("EventName", "UpdateFunctionCode20150331v2"))[0]; r = json.loads(e["CloudTrailEvent"])
print(e["EventName"], r["errorCode"], r["requestParameters"]["functionName"], r["requestParameters"]["s3Bucket"], e["Resources"])
s = events(LookupAttributes=by("ResourceName", "db")) + events(LookupAttributes=by("EventName", "GetSecretValue"))
print([x["EventName"] for x in s], json.loads(s[0]["CloudTrailEvent"])["requestParameters"]["secretString"])
print([x["EventName"] for x in events(client("cloudtrail", "eu-west-1"))])
print([x["EventName"] for x in events(LookupAttributes=by("EventSource", "s3.amazonaws.com"))], len(events(LookupAttributes=by("ReadOnly", "x"))))`)
}

// Pages of 50 at most, nothing twice and nothing left out while calls go on; what is asked wrongly is refused.
func TestTrailPages(t *testing.T) {
	a := start(t)
	a.wantPython(`
120 120
[50, 50, 20]
400 InvalidNextTokenException: The token is not one of this lookup.
400 InvalidNextTokenException: The token is not one of this lookup.
400 InvalidMaxResultsException: A value of 1 to 50 is required.
400 InvalidTimeRangeException: The start time must be before the end time.
400 InvalidLookupAttributesException: There is no lookup attribute "Nonsense".
0`, `
import datetime, botocore.config
ecs, ct = client("ecs"), client("cloudtrail")
for i in range(120): ecs.describe_clusters(clusters=["c%d" % i])
who = [{"AttributeKey": "EventName", "AttributeValue": "DescribeClusters"}]
ids, sizes, token = [], [], None
while True:
    p = ct.lookup_events(LookupAttributes=who, **({"NextToken": token} if token else {}))
    ids += [e["EventId"] for e in p["Events"]]; sizes.append(len(p["Events"]))
    ecs.describe_clusters(clusters=["late"])
    token = p.get("NextToken", None)
    if not token: break
    last = token
print(len(ids), len(set(ids))); print(sizes)
print(refused(lambda: ct.lookup_events(NextToken=last)))
print(refused(lambda: ct.lookup_events(LookupAttributes=who, NextToken="bm9uc2Vuc2U=")))
raw = boto3.client("cloudtrail", endpoint_url=url, region_name="us-east-1", aws_access_key_id="lab", aws_secret_access_key="lab", config=botocore.config.Config(parameter_validation=False))
print(refused(lambda: raw.lookup_events(MaxResults=51)))
now = datetime.datetime.now(datetime.timezone.utc); hour = datetime.timedelta(hours=1)
print(refused(lambda: ct.lookup_events(StartTime=now, EndTime=now - hour)))
print(refused(lambda: raw.lookup_events(LookupAttributes=[{"AttributeKey": "Nonsense", "AttributeValue": "x"}])))
print(len(ct.lookup_events(EndTime=now - hour)["Events"]))`)
	got := a.aws("cloudtrail", "lookup-events", "--lookup-attributes", "AttributeKey=EventName,AttributeValue=DescribeClusters", "--query", "Events[].EventName", "--output", "text")
	if n := len(strings.Fields(got)); n != 123 {
		t.Errorf("the CLI's own paging finds %d events, want 123", n)
	}
	if _, err := a.Step(t.Context(), 91*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := a.aws("cloudtrail", "lookup-events", "--query", "length(Events)"); got != "0" {
		t.Errorf("after 91 days the history has %s events", got)
	}
}
