package lab

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The embedded table is the one that botocore's models make.
func TestModelsAreThoseOfBotocore(t *testing.T) {
	at, err := interpret(t, map[string]string{"url": "", "script": `
import botocore, os
print(os.path.dirname(botocore.__file__), botocore.__version__)`})
	if err != nil {
		t.Fatal(err)
	}
	folder, version, _ := strings.Cut(strings.TrimSpace(at), " ")
	if want := "1.43.11"; version != want {
		t.Skipf("the table is of botocore %s, here is %s: run scripts/labmodels with that", want, version)
	}
	cmd := exec.Command("go", "run", "./scripts/labmodels", "-botocore", folder)
	cmd.Dir, cmd.Stderr, cmd.Env = "../..", os.Stderr, append(os.Environ(), "CGO_ENABLED=0")
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, []byte(modelsJSON)) {
		t.Error("models.json is not what scripts/labmodels writes: run it")
	}
}

// eachOperation makes a request of each operation with botocore's own serializers, for REST with and without what is
// optional. S3's go through the whole client, which moves the bucket about; of the others nothing changes them any more.
const eachOperation = `
import botocore.session, botocore.awsrequest, botocore.auth, botocore.credentials, datetime, base64
import warnings; warnings.simplefilter("ignore")
def value(shape, full, depth=0, name="x"):
    t = shape.type_name
    if t == "structure":
        if getattr(shape, "is_tagged_union", False):
            first = next(iter(shape.members.items()))
            return {first[0]: value(first[1], full, depth+1, first[0])}
        return {n: value(m, full, depth+1, n) for n, m in shape.members.items() if n in shape.required_members or (full and depth < 1)}
    if t == "list": return [value(shape.member, full, depth+1)] * max(1, shape.metadata.get("min", 1))
    if t == "map": return {value(shape.key, full, depth+1): value(shape.value, full, depth+1)}
    if t in ("integer", "long"): return max(1, shape.metadata.get("min", 1))
    if t in ("float", "double"): return 1.5
    if t == "boolean": return True
    if t == "timestamp": return datetime.datetime(2026, 1, 2, 3, 4, 5)
    if t == "blob": return b"x"
    if shape.enum: return shape.enum[0]
    return ("a b/ü" if name in ("Key", "resourceArn", "ResourceArn") else name[:1].lower() + "1").ljust(shape.metadata.get("min", 1), "x")
out = []
import botocore.serialize, urllib.parse
session = botocore.session.get_session()
def keep(request, **kw):
    sent.append((request.method, request.url, request.headers, request.body))
    return botocore.awsrequest.AWSResponse(request.url, 500, {}, None)
for service in job["services"].split():
    model = session.get_service_model(service)
    if service == "s3": client("s3").meta.events.register("before-send", keep)
    serializer = botocore.serialize.create_serializer(model.resolved_protocol, False)
    auth = "AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/%s/aws4_request, SignedHeaders=host, Signature=0" % model.signing_name
    for operation in sorted(model.operation_names):
        om = model.operation_model(operation)
        # where the request names the operation itself, once is enough
        for full in ((False, True) if model.resolved_protocol.startswith("rest") else (False,)):
            p, sent = value(om.input_shape, full) if om.input_shape else {}, []
            try:
                if service == "s3": getattr(client("s3"), botocore.xform_name(operation))(**p)
                else:
                    r = serializer.serialize_to_request(p, om)
                    body = r["body"]
                    if isinstance(body, dict): body = urllib.parse.urlencode(body, doseq=True)
                    query = "?" + urllib.parse.urlencode(r["query_string"], doseq=True) if isinstance(r["query_string"], dict) and r["query_string"] else ""
                    path = r["url_path"]
                    if query and "?" in path: query = "&" + query[1:]
                    headers = dict(r["headers"]); headers["Authorization"] = auth
                    if model.resolved_protocol == "query": headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
                    sent.append((r["method"], "http://127.0.0.1:9" + path + query, headers, body))
            except Exception as e:
                if not sent: out.append({"service": service, "want": operation, "full": full, "failed": repr(e)[:300]})
            for method, at, headers, body in sent[:1]:
                if hasattr(body, "read"): body = body.read()
                if isinstance(body, str): body = body.encode()
                h = {k: (v.decode("latin-1") if isinstance(v, bytes) else str(v)) for k, v in headers.items()}
                out.append({"service": service, "want": operation, "full": full, "method": method, "url": at, "headers": h,
                    "body": base64.b64encode(body or b"").decode(),
                    "labels": {n: p[n] for n, m in (om.input_shape.members.items() if om.input_shape else ()) if m.serialization.get("location") in ("uri", "querystring") and n in p and isinstance(p[n], str)}})
print(json.dumps(out))
`

// successors are sent exactly as the operation that S3 has put in the place of an older one.
var successors = map[string]string{
	"s3 GetBucketLifecycle": "GetBucketLifecycleConfiguration", "s3 PutBucketLifecycle": "PutBucketLifecycleConfiguration",
	"s3 GetBucketNotification": "GetBucketNotificationConfiguration", "s3 PutBucketNotification": "PutBucketNotificationConfiguration",
}

// elsewhere are operations that S3's model has and another endpoint serves, which signs by another name: s3express, s3-object-lambda.
var elsewhere = map[string]bool{"s3 ListDirectoryBuckets": true, "s3 WriteGetObjectResponse": true}

// Each operation of each service, as botocore itself sends it, is identified right, and its members are read.
func TestEachOperationIsIdentified(t *testing.T) {
	text, err := interpret(t, map[string]string{"url": "http://127.0.0.1:9", "script": eachOperation, "services": "appconfig appconfigdata " +
		"application-autoscaling backup cloudformation cloudfront cloudtrail cloudwatch dynamodb ecr ecs elbv2 events iam kms lambda logs rds route53 s3 secretsmanager ssm sts"})
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Service, Want, Method, URL, Failed string
		Full                               bool
		Headers, Labels                    map[string]string
		Body                               []byte
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	models, err := loadModels()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range all {
		if r.Failed != "" {
			t.Errorf("%s %s: not sent: %s", r.Service, r.Want, r.Failed)
			continue
		}
		u, err := url.Parse(r.URL)
		if err != nil {
			t.Fatal(err)
		}
		c := &Call{Method: r.Method, Path: u.EscapedPath(), Query: u.Query(), Header: http.Header{}, Body: r.Body}
		for k, v := range r.Headers {
			c.Header.Set(k, v)
		}
		models.identify(c)
		seen[c.Service] = true
		if successors[r.Service+" "+r.Want] == c.Operation && c.Operation != "" {
			continue
		}
		if elsewhere[r.Service+" "+r.Want] {
			if c.Operation != "" {
				t.Errorf("%s %s is identified as %s:%s", r.Service, r.Want, c.Service, c.Operation)
			}
			continue
		}
		if c.Operation != r.Want {
			t.Errorf("%s %s (full %v), %s %s: identified as %s:%s", r.Service, r.Want, r.Full, r.Method, r.URL, c.Service, c.Operation)
			continue
		}
		for member, want := range r.Labels {
			if c.Text(member) != want && c.protocol != "query" && c.protocol != "json" {
				t.Errorf("%s %s, %s: %s is %q, want %q", r.Service, r.Want, r.URL, member, c.Text(member), want)
			}
		}
	}
	t.Logf("%d requests of %d services", len(all), len(seen))
	if len(all) < 2300 || len(seen) != 23+2 {
		t.Errorf("only %d requests of %d services", len(all), len(seen))
	}
}
