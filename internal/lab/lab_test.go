package lab

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What moto is right about goes through as it is, and each call is in the journal.
func TestCallsPassThrough(t *testing.T) {
	a := start(t)
	a.wantPython("[b'hello ', b'\\x00\\xff'] [{'Key': 'a', 'Value': 'b'}] sesame ['ENABLED']", `
s3 = client("s3")
s3.create_bucket(Bucket="site")
s3.put_object(Bucket="site", Key="with space/ü+&?#..", Body=b"hello ")
s3.put_object(Bucket="site", Key="//a//b/", Body=b"\0\xff", Tagging="a=b")
got = [s3.get_object(Bucket="site", Key=k)["Body"].read() for k in ("with space/ü+&?#..", "//a//b/")]
tags = s3.get_object_tagging(Bucket="site", Key="//a//b/")["TagSet"]
sm = client("secretsmanager", "eu-west-1")
sm.create_secret(Name="db", SecretString="sesame")
ecs = client("ecs")
ecs.create_cluster(clusterName="c", settings=[{"name": "containerInsights", "value": "enabled"}])
cw = client("cloudwatch"); cw.put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Value": 1}])
client("events").put_rule(Name="r", ScheduleExpression="rate(1 day)")
print(got, tags, sm.get_secret_value(SecretId="db")["SecretString"], [r["State"] for r in client("events").list_rules()["Rules"]])`)
	got := []string{}
	for _, e := range a.Calls("", "", 0) {
		if e.Status != 200 {
			t.Errorf("%+v", e)
		}
		got = append(got, e.Region+" "+e.Service+":"+e.Operation)
	}
	want := "us-east-1 s3:CreateBucket, us-east-1 s3:PutObject, us-east-1 s3:PutObject, us-east-1 s3:GetObject, us-east-1 s3:GetObject, " +
		"us-east-1 s3:GetObjectTagging, eu-west-1 secretsmanager:CreateSecret, us-east-1 ecs:CreateCluster, us-east-1 monitoring:PutMetricData, " +
		"us-east-1 events:PutRule, eu-west-1 secretsmanager:GetSecretValue, us-east-1 events:ListRules"
	if strings.Join(got, ", ") != want {
		t.Errorf("the journal has\n%s\nwant\n%s", strings.Join(got, ", "), want)
	}
	for _, e := range a.Calls("secretsmanager", "CreateSecret", 0) {
		if e.Parameters["SecretString"] != omitted || e.Parameters["Name"] != "db" {
			t.Errorf("the journal shows %v", e.Parameters)
		}
	}
}

// Who asks for what nobody implements is told so, at once and by name.
func TestNotImplementedIsLoud(t *testing.T) {
	a := start(t)
	a.wantPython(`
501 LabNotImplemented: The lab has no cloudformation:DetectStackDrift: moto does not implement it, or breaks on these parameters.
501 LabNotImplemented: The lab has no backup:StartBackupJob: nobody implements it.
1`, `
print(refused(lambda: client("cloudformation").detect_stack_drift(StackName="x")))
print(refused(lambda: client("backup", attempts=5).start_backup_job(BackupVaultName="v", ResourceArn="arn:aws:x", IamRoleArn="arn:aws:r")))
print(len([c for c in json.load(__import__("urllib.request").request.urlopen(url + "/_lab/calls?service=backup"))]))`)
}

// A request that no model knows and nobody can serve is answered, too.
func TestStrangeRequests(t *testing.T) {
	a := start(t)
	for _, c := range []struct {
		method, path, credential, want string
		status                         int
	}{
		{"POST", "/no/such/path", "K/20260101/us-east-1/lambda/aws4_request", "LabNotImplemented", 501},
		{"GET", "/", "K/20260101/us-east-1/nosuch/aws4_request", "", 0},
		{"GET", "/%zz", "", "", 400},
		{"GET", "/bucket/key", "", "NoSuchBucket", 404},
		{"PATCH", "/bucket", "", "", 0},
		{"GET", "/_lab/nothing", "", "can't be asked", 400},
		{"POST", "/_lab/reset", "", "wants application/json", 400},
	} {
		q, err := http.NewRequest(c.method, a.URL, strings.NewReader("{"))
		if err != nil {
			t.Fatal(err)
		}
		q.URL.Opaque = c.path
		if c.credential != "" {
			q.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.credential+", SignedHeaders=host, Signature=0")
		}
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if c.status != 0 && r.StatusCode != c.status || !strings.Contains(string(body), c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.StatusCode, body)
		}
	}
}

// Keys of a role in another account act there.
func TestOtherAccount(t *testing.T) {
	a := start(t)
	a.wantPython("222222222222 ['ours'] ['theirs']", `
k = client("sts").assume_role(RoleArn="arn:aws:iam::222222222222:role/r", RoleSessionName="ana")["Credentials"]
other = boto3.client("ecs", endpoint_url=url, region_name="us-east-1", aws_access_key_id=k["AccessKeyId"], aws_secret_access_key=k["SecretAccessKey"], aws_session_token=k["SessionToken"])
client("ecs").create_cluster(clusterName="ours"); other.create_cluster(clusterName="theirs")
names = lambda c: [x.split("/")[-1] for x in c.list_clusters()["clusterArns"]]
print(other.list_clusters()["clusterArns"][0].split(":")[4], names(client("ecs")), names(other))`)
	e := a.Calls("ecs", "CreateCluster", 0)
	if len(e) != 2 || e[0].Account != Account || e[1].Account != "222222222222" {
		t.Errorf("%+v", e)
	}
}

// A step of the clock counts for what happens from then on, and does not make older what was before.
func TestClock(t *testing.T) {
	a := start(t)
	before := time.Now()
	if d := a.Now().Sub(before); d < 0 || d > time.Minute {
		t.Fatalf("the lab's clock begins %s away from ours", d)
	}
	if _, err := a.Step(t.Context(), 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	after := time.Now()
	if _, err := a.Step(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := a.when(before).Sub(before); got != 0 {
		t.Errorf("before the step the lab is %s ahead", got)
	}
	if got := a.when(after).Sub(after); got != 24*time.Hour {
		t.Errorf("after the first step the lab is %s ahead", got)
	}
	if got := Span(time.Until(a.Now()).Round(time.Minute)); got != Span(25*time.Hour) {
		t.Errorf("after both the lab is %s ahead", time.Duration(got))
	}
	for _, wrong := range []time.Duration{0, -time.Second, maxAhead, 1<<63 - 1} {
		if _, err := a.Step(t.Context(), wrong); err == nil {
			t.Errorf("a step of %s is taken", wrong)
		}
	}
	if err := a.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := time.Until(a.Now()); d > time.Second {
		t.Errorf("after a reset the lab is %s ahead", d)
	}
}
