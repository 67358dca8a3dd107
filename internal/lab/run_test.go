package lab

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runFunctions is Python that makes functions whose bootstrap is a shell script.
const runFunctions = makeFunction + `
def program(script, mode=0o755):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z:
        i = zipfile.ZipInfo("bootstrap"); i.external_attr = mode << 16; z.writestr(i, "#!/bin/sh\n" + script)
    return b.getvalue()
loop = r'''
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime; n=0
while :; do
  event=$(curl -sS -D headers $api/invocation/next) || exit 1
  id=$(grep -i ^lambda-runtime-aws-request-id: headers | tr -d '\r' | cut -d' ' -f2); n=$((n+1))
  case $event in
  *crash*) echo it breaks >&2; exit 3 ;;
  *slow*) sleep 100 ;;
  *wrong*) curl -sS -o out -d '{"errorType":"Bad","errorMessage":"no"}' $api/invocation/$id/error ;;
  *) curl -sS -o out -d "{\"v\":\"VERSION\",\"n\":$n,\"got\":$event,\"stage\":\"$STAGE\",\"home\":\"$HOME\"}" $api/invocation/$id/response ;;
  esac
done
'''
def call(payload="{}", q="$LATEST", **more):
    r = lam.invoke(FunctionName="fn", Qualifier=q, Payload=payload, **more)
    return " ".join([str(r["StatusCode"]), r.get("ExecutedVersion", "-"), r.get("FunctionError", "ok"), r["Payload"].read().decode().replace("1ab00000-0000-4000-8000-", "")])
`

// The archive's bootstrap really runs: a bad function is bad, and the next call meets a new process.
func TestFunctionsRun(t *testing.T) {
	program(t, "curl")
	a := start(t)
	a.wantPython(`
200 $LATEST ok {"v":"one","n":1,"got":{"a":1},"stage":"test","home":""}
200 $LATEST ok {"v":"one","n":2,"got":{},"stage":"test","home":""}
200 $LATEST Unhandled {"errorType":"Bad","errorMessage":"no"}
200 $LATEST Unhandled Runtime.ExitError Error: Runtime exited with error: exit status 3
it breaks
200 $LATEST ok {"v":"one","n":1,"got":{},"stage":"test","home":""}
200 $LATEST Unhandled Sandbox.Timedout Error: Task timed out after 1.00 seconds
204 202
True
[6.0, 3.0]`, runFunctions+`
lam.create_function(FunctionName="fn", Runtime="provided.al2023", Handler="b", Role=role, Timeout=1, Environment={"Variables": {"STAGE": "test"}}, Code={"ZipFile": program(loop.replace("VERSION", "one"))}); wait("function_active_v2")
def short(s):
    i = s.find("{"); e = json.loads(s[i:]); return s[:i] + e["errorType"] + " " + " ".join(e["errorMessage"].split()[2:])
print(call('{"a":1}')); print(call()); print(call('"wrong"'))
r = lam.invoke(FunctionName="fn", Payload='"crash"', LogType="Tail")
print(short(" ".join([str(r["StatusCode"]), r["ExecutedVersion"], r["FunctionError"], r["Payload"].read().decode()])))
print([x for x in base64.b64decode(r["LogResult"]).decode().split("\n") if "breaks" in x][0])
print(call()); print(short(call('"slow"')))
print(lam.invoke(FunctionName="fn", InvocationType="DryRun")["StatusCode"], lam.invoke(FunctionName="fn", InvocationType="Event", Payload="{}")["StatusCode"])
log = client("logs").filter_log_events(logGroupName="/aws/lambda/fn")["events"]
print(any("it breaks" in e["message"] for e in log) and any("Task timed out" in e["message"] for e in log))
import datetime, time
now = datetime.datetime.now(datetime.timezone.utc)
def metric(name):
    s = client("cloudwatch").get_metric_statistics(Namespace="AWS/Lambda", MetricName=name, Dimensions=[{"Name": "FunctionName", "Value": "fn"}], StartTime=now - datetime.timedelta(minutes=5), EndTime=now + datetime.timedelta(minutes=5), Period=3600, Statistics=["Sum"])
    return sum(p["Sum"] for p in s["Datapoints"])
for _ in range(200): # the asynchronous one is still under way
    if metric("Invocations") == 7: break
    time.sleep(0.02)
print([metric("Invocations") - 1, metric("Errors")])`)
}

// An alias sends calls to the version it names, a part of them to another, and a version keeps its own code.
func TestFunctionsByAlias(t *testing.T) {
	program(t, "curl")
	a := start(t)
	a.wantPython(`
1 one
2 two
one
between 10 and 30: True, versions {'1', '2'}
404 ResourceNotFoundException: Function not found: arn:aws:lambda:us-east-1:123456789012:function:fn:9`, runFunctions+`
lam.create_function(FunctionName="fn", Runtime="provided.al2023", Handler="b", Role=role, Code={"ZipFile": program(loop.replace("VERSION", "one"))}); wait("function_active_v2")
lam.publish_version(FunctionName="fn")
s3.put_object(Bucket="deploy", Key="two.zip", Body=program(loop.replace("VERSION", "two")))
lam.update_function_code(FunctionName="fn", S3Bucket="deploy", S3Key="two.zip"); wait(); lam.publish_version(FunctionName="fn")
answer = lambda q: json.loads(call(q=q).split(" ", 3)[3])["v"]
print(1, answer("1")); print(2, answer("2"))
lam.create_alias(FunctionName="fn", Name="live", FunctionVersion="1"); print(answer("live"))
lam.update_alias(FunctionName="fn", Name="live", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
got = [call(q="live").split(" ")[1] for _ in range(40)]
print("between 10 and 30: %s, versions %s" % (10 <= got.count("2") <= 30, sorted(set(got)).__repr__().replace("[", "{").replace("]", "}")))
print(refused(lambda: call(q="9")))`)
}

// What can't be run says why, as Lambda does.
func TestFunctionsThatCanNotRun(t *testing.T) {
	a := start(t)
	a.wantPython(`
Unhandled {"errorMessage":"RequestId: ID Error: fork/exec /var/task/bootstrap: permission denied","errorType":"Runtime.InvalidEntrypoint"}
Unhandled {"errorMessage":"RequestId: ID Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]","errorType":"Runtime.InvalidEntrypoint"}
Unhandled {"errorMessage":"RequestId: ID Error: unpacking \"../evil\" of the archive: it leads out of the archive","errorType":"Runtime.InvalidEntrypoint"}
403 MissingAuthenticationTokenException
501 LabNotImplemented: The lab does not run snake of the runtime python3.12: it runs archives with a bootstrap, of provided.al2 and provided.al2023.`, runFunctions+`
import re, urllib.request, urllib.error
def named(name):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z: z.writestr(name, "x")
    return b.getvalue()
lam.create_function(FunctionName="fn", Runtime="provided.al2023", Handler="b", Role=role, Code={"ZipFile": program("", 0o644)}); wait("function_active_v2")
show = lambda: print(re.sub("RequestId: [0-9a-f-]+", "RequestId: ID", call()[len("200 $LATEST "):]))
show()
for name in ("other", "../evil"): lam.update_function_code(FunctionName="fn", ZipFile=named(name)); wait(); show()
q = urllib.request.Request(url + "/2015-03-31/functions/fn/invocations", data=b"{}", headers={"Authorization": "AWS4-HMAC-SHA256 Credential=/20260101/us-east-1/lambda/aws4_request"})
try: urllib.request.urlopen(q)
except urllib.error.HTTPError as e: print(e.code, json.load(e)["__type"])
lam.create_function(FunctionName="snake", Runtime="python3.12", Handler="b", Role=role, Code={"ZipFile": one})
w = lam.get_waiter("function_active_v2"); w.config.delay = 0.1; w.wait(FunctionName="snake")
print(refused(lambda: lam.invoke(FunctionName="snake")))`)
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "functions-*", "*", "evil"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestUnzip(t *testing.T) {
	archive := func(name string, mode fs.FileMode, content string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(mode)
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(content))
		z.Close()
		return b.Bytes()
	}
	for _, c := range []struct {
		name string
		mode fs.FileMode
		want string
	}{
		{"a/b/../c", 0o755, ""}, {"/etc/x", 0o644, "leads out"}, {"a/../../x", 0o644, "leads out"}, {"link", fs.ModeSymlink | 0o777, "it is no file"}, {"", 0o644, "it is no file"},
	} {
		into := t.TempDir()
		err := unzip(archive(c.name, c.mode, "x"), into, maxUnzipped)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.name, err)
		}
		if c.want == "" {
			if i, err := os.Stat(filepath.Join(into, "a", "c")); err != nil || i.Mode() != 0o755 {
				t.Errorf("%q: %v, %v", c.name, i, err)
			}
		}
	}
	if err := unzip(archive("bomb", 0o644, strings.Repeat("\x00", 1<<20+1)), t.TempDir(), 1<<20); err == nil || !strings.Contains(err.Error(), "unzipped size") {
		t.Errorf("a bomb: %v", err)
	}
	if err := unzip([]byte("no zip"), t.TempDir(), maxUnzipped); err == nil {
		t.Error("what is no archive is unpacked")
	}
}

// A lab that ends does not wait for its functions.
func TestFunctionsEndWithTheLab(t *testing.T) {
	program(t, "curl")
	a := start(t)
	a.python(runFunctions + `
lam.create_function(FunctionName="fn", Runtime="provided.al2023", Handler="b", Role=role, Timeout=900, Code={"ZipFile": program(loop)}); wait("function_active_v2")
lam.invoke(FunctionName="fn", InvocationType="Event", Payload='"slow"')`)
	a.Close() // would take 900 s
	a.states.functions.mu.Lock()
	defer a.states.functions.mu.Unlock()
	if a.states.functions.running != 0 {
		t.Errorf("%d processes are left", a.states.functions.running)
	}
}
