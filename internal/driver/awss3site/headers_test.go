package awss3site

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/astern-dev/astern"
)

// spoil uploads what an object holds once more, with other headers.
func (x *site) spoil(paths ...string) {
	x.Helper()
	for _, path := range paths {
		_, err := x.clients.s3.PutObject(x.Context(), &s3.PutObjectInput{Bucket: &x.clients.p.Bucket, Key: &path, Body: strings.NewReader(x.text(path)),
			ContentType: aws.String("application/octet-stream"), CacheControl: aws.String("max-age=31536000")})
		x.must(err)
	}
}

// headed fails where an object has not the headers that the release recorded of it.
func (x *site) headed(rev string, paths ...string) {
	x.Helper()
	for _, path := range paths {
		_, h, _, err := x.clients.head(x.Context(), path)
		x.must(err)
		if unlike := x.recorded(rev, path).unlike(h); unlike != "" {
			x.Errorf("%s of %s has another %s: %+v", path, rev, unlike, h)
		}
	}
}

// A release goes back with the headers of its objects, also where the content is there already.
func TestHeadersGoBack(t *testing.T) {
	t.Parallel()
	for name, versioned := range map[string]bool{"versioned": true, "unversioned": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newSite(t, versioned, nil)
			x.upload(map[string]string{"index.html": "three"})
			x.spoil("404.html", "assets/app.2.js")
			x.carry(astern.VerbDeploy, "v3", nil)
			x.carry(astern.VerbRollback, "v2", nil)
			x.headed("v2", "index.html", "404.html", "assets/app.2.js", "logo.svg")
			if s := x.observe(); s.Values["revision"].Text != "v2" || !s.Values["served-problem"].Known() || s.Values["served-problem"].Text != "" {
				t.Errorf("afterwards: %v", s.Values)
			}
		})
	}
}

// Objects that have nothing but other headers are told, and put again from what is there where their version is gone.
func TestHeadersAlone(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	x.spoil("index.html", "logo.svg")
	x.delete("logo.svg", x.recorded("v2", "logo.svg").Version)
	if problem := x.observe().Values["served-problem"].Text; problem != "index.html by its Content-Type and Cache-Control, logo.svg by its Content-Type and Cache-Control" {
		t.Errorf("what is served differs by %q", problem)
	}
	x.carry(astern.VerbRedeploy, "v2", nil)
	x.headed("v2", "index.html", "logo.svg")
	if problem, ok := x.observe().Get("served-problem"); ok {
		t.Errorf("afterwards what is served differs by %s", problem)
	}
}
