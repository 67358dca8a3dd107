package awslaw

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/astern-dev/astern/internal/drivertest"
)

// request is one as the SDK sends it.
func request(t *testing.T, at string, headers map[string]string, body io.Reader) *smithyhttp.Request {
	t.Helper()
	r, ok := smithyhttp.NewStackRequest().(*smithyhttp.Request)
	if !ok {
		t.Fatal("the stack makes other requests")
	}
	where, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	r.Method, r.URL = "POST", where
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	if r, err = r.SetStream(body); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAskedBy: whatever the protocol, what a request carries is among its data, and where it stands is a path or a part of its
// shape, which a value does not change and another member does.
func TestAskedBy(t *testing.T) {
	for name, c := range map[string]struct {
		operation, kind string
		body            string // %s is the value
		more            string // with another member
		path            string // of the value
	}{
		"JSON 1.1":         {"ECS:UpdateService", "application/x-amz-json-1.1", `{"cluster":%q,"tags":[{"key":"a"}]}`, `{"cluster":%q,"force":true}`, "/cluster string"},
		"a list":           {"ECS:DescribeServices", "application/x-amz-json-1.1", `{"services":["a",%q]}`, `{"services":[["a",%q]]}`, "/services[] string"},
		"REST-JSON":        {"Lambda:UpdateAlias", "application/json", `{"RoutingConfig":{"AdditionalVersionWeights":{%q:0.5}}}`, `{"RoutingConfig":{"Weights":{%q:0.5}}}`, "/RoutingConfig/AdditionalVersionWeights/* json.Number"},
		"XML":              {"CloudFront:CreateInvalidation", "application/xml", `<B xmlns="x"><P>/a</P><P>%s</P></B>`, `<B xmlns="x"><P>%s</P><Q></Q></B>`, "B/P text"},
		"a form":           {"IAM:SimulatePrincipalPolicy", "application/x-www-form-urlencoded", "Names.member.1=a&Names.member.2=%s", "Names.member.1=%s&Other=", "?Names.member.[]"},
		"an object":        {"S3:PutObject", "application/json", "%s", "", ""},
		"no JSON":          {"SSM:PutParameter", "application/x-amz-json-1.1", "%s{", "", "no JSON"},
		"no XML":           {"CloudFront:CreateInvalidation", "application/xml", "%s<", "", "no XML"},
		"unknown document": {"X:Y", "application/cbor", "%s", "", "a body of another kind"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := func(body string) drivertest.Asked {
				t.Helper()
				r := request(t, "http://127.0.0.1:1/a%2Fb/c?q=1", map[string]string{"Content-Type": c.kind}, strings.NewReader(body))
				a, err := askedBy(c.operation, r)
				if err != nil {
					t.Fatal(err)
				}
				if sent, err := io.ReadAll(r.GetStream()); err != nil || string(sent) != body {
					t.Errorf("%q goes out as %q: %v", body, sent, err)
				}
				return a
			}
			one, two := asked(fmt.Sprintf(strings.ReplaceAll(c.body, "%q", `"%s"`), "one")), asked(fmt.Sprintf(strings.ReplaceAll(c.body, "%q", `"%s"`), "two"))
			if one.Shape != two.Shape || !slices.Equal(one.Paths, two.Paths) {
				t.Errorf("another value makes another request: %+v, %+v", one, two)
			}
			if !slices.ContainsFunc(two.Data, func(d string) bool { return strings.Contains(d, "two") }) || c.path != "" && !slices.Contains(two.Paths, c.path) {
				t.Errorf("the value is not noted at %q: %+v", c.path, two)
			}
			if !slices.Contains(one.Data, "a/b") {
				t.Errorf("the path is not noted: %q", one.Data)
			}
			if c.more == "" {
				return
			}
			more := asked(fmt.Sprintf(strings.ReplaceAll(c.more, "%q", `"%s"`), "one"))
			if !slices.ContainsFunc(more.Paths, func(p string) bool { return !slices.Contains(one.Paths, p) }) {
				t.Errorf("another member is no other path: %q", more.Paths)
			}
		})
	}
}

// TestAskedByHeaders: values of headers are data, apart from those that are of each request by itself.
func TestAskedByHeaders(t *testing.T) {
	r := request(t, "http://127.0.0.1:1/bucket/key", map[string]string{"X-Amz-Meta-Astern": "kept", "X-Amz-Copy-Source": "/bucket/a%20b%3Fc?versionId=v9", "Authorization": "signed",
		"X-Amz-Date": "now", "Amz-Sdk-Invocation-Id": "id", "X-Amz-Content-Sha256": "hash", "User-Agent": "go"}, nil)
	a, err := askedBy("S3:CopyObject", r)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"bucket", "key", "bucket", "a b?c", "v9", "kept"}; !slices.Equal(slices.Sorted(slices.Values(a.Data)), slices.Sorted(slices.Values(want))) {
		t.Errorf("the data is %q, want %q", a.Data, want)
	}
	if want := []string{"X-Amz-Copy-Source of 2 segments", "X-Amz-Copy-Source?versionId"}; !slices.Equal(a.Paths, want) {
		t.Errorf("the paths are %q, want %q", a.Paths, want)
	}
	if !strings.Contains(a.Shape, "X-Amz-Meta-Astern") {
		t.Errorf("the shape %q does not name the headers", a.Shape)
	}
}

// A body that can't be noted does not go out unseen.
func TestBodyThatCannotBeReadTwice(t *testing.T) {
	if a, err := askedBy("S3:PutObject", request(t, "http://127.0.0.1:1/", nil, io.MultiReader(strings.NewReader("x")))); err == nil {
		t.Errorf("it is noted as %+v", a)
	}
}
