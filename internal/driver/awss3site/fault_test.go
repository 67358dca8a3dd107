package awss3site

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	emulated "github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/lab/labtest"
)

// Every call of every plan meets every fault, and somebody else.
func TestEveryFault(t *testing.T) {
	labtest.Run(t, awstest.Start(t).Moto, 160,
		labtest.Plan{Name: "whole release", New: func(t testing.TB, a *labtest.Account) labtest.World {
			w := newTried(t, a, true)
			return w.world(asked{verb: astern.VerbRollback, revision: "v1", leaves: w.one})
		}},
		labtest.Plan{Name: "one object", New: func(t testing.TB, a *labtest.Account) labtest.World {
			w := newTried(t, a, false)
			leaves := map[string]string{"index.html": "two", "logo.svg": "old logo", "app.2.js": "js 2 " + key}
			return w.world(asked{verb: astern.VerbRollback, object: &astern.ObjectChange{Object: "logo.svg", Revision: "v1"}, leaves: leaves})
		}},
		labtest.Plan{Name: "what only others have", New: func(t testing.TB, a *labtest.Account) labtest.World {
			w := newTried(t, a, false)
			if _, err := w.put("app.1.js", w.one["app.1.js"]); err != nil {
				t.Fatal(err)
			}
			leaves := map[string]string{"index.html": "two", "logo.svg": "new logo", "app.2.js": "js 2 " + key, "app.1.js": ""}
			return w.world(asked{verb: astern.VerbRedeploy, revision: "v2", leaves: leaves})
		}},
	)
}

// tried is a bucket with two releases, of which v2 is served.
type tried struct {
	*labtest.Account
	s3       *s3.Client
	front    *cloudfront.Client
	settings Settings
	clients  clients
	one      map[string]string // what v1 has
}

// asked is what the plan is to do.
type asked struct {
	verb     astern.Verb
	revision string
	object   *astern.ObjectChange
	leaves   map[string]string // what is served in the end, by path; "" is nothing
}

func newTried(t testing.TB, a *labtest.Account, edge bool) *tried {
	t.Helper()
	w := &tried{Account: a, s3: s3.NewFromConfig(a.Config, func(o *s3.Options) { o.UsePathStyle = true }), front: cloudfront.NewFromConfig(a.Config),
		one: map[string]string{"index.html": "one", "logo.svg": "old logo", "app.1.js": "js 1 " + key}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	_, err := w.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &a.ID, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: "eu-central-1"}})
	must(err)
	_, err = w.s3.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &a.ID, VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}})
	must(err)
	w.settings = Settings{Settings: a.Settings, Bucket: a.ID}
	if edge {
		must(w.distribute(ctx))
	}
	p, err := resolve(w.component())
	must(err)
	w.clients = clients{p: p, s3: w.s3, act: w.s3}
	for _, release := range []struct {
		revision string
		files    map[string]string
	}{{"v1", w.one}, {"v2", map[string]string{"index.html": "two", "logo.svg": "new logo", "app.2.js": "js 2 " + key}}} {
		if release.revision == "v2" { // the upload takes away what it has no more
			must(w.delete("app.1.js"))
		}
		var files []file
		for path, text := range release.files {
			is, err := w.put(path, text)
			must(err)
			f, err := w.clients.digest(ctx, path, is)
			must(err)
			files = append(files, f)
		}
		sortFiles(files)
		_, err = w.clients.put(ctx, p.manifestKey(release.revision), manifestOf(release.revision, files).encode(), "")
		must(err)
	}
	return w
}

// distribute puts a distribution before the bucket.
func (w *tried) distribute(ctx context.Context) error {
	id := "bucket"
	out, err := w.front.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: &cftypes.DistributionConfig{
		CallerReference: &w.ID, Comment: &w.ID, Enabled: aws.Bool(true), DefaultRootObject: aws.String("index.html"),
		Origins: &cftypes.Origins{Quantity: aws.Int32(1), Items: []cftypes.Origin{{Id: &id, DomainName: aws.String(w.ID + ".s3.eu-central-1.amazonaws.com"),
			S3OriginConfig: &cftypes.S3OriginConfig{OriginAccessIdentity: aws.String("")}}}},
		DefaultCacheBehavior: &cftypes.DefaultCacheBehavior{TargetOriginId: &id, ViewerProtocolPolicy: cftypes.ViewerProtocolPolicyAllowAll,
			CachePolicyId: aws.String("658327ea-f89d-4fab-a63d-7e88639e58f6")}}})
	if err != nil {
		return err
	}
	w.settings.Distribution, w.settings.Edge = *out.Distribution.Id, w.URL+"/_edge/"+*out.Distribution.Id
	_, err = w.Step(ctx, time.Minute)
	return err
}

func (w *tried) component() astern.Component {
	c := astern.Component{Environment: "test", Name: w.ID, Kind: Kind}
	c.Settings, _ = json.Marshal(w.settings)
	return c
}

// put writes an object as its owner does.
func (w *tried) put(path, text string) (object, error) {
	out, err := w.s3.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &w.ID, Key: &path, Body: strings.NewReader(text), ContentType: aws.String("text/plain"),
		CacheControl: aws.String("max-age=60")})
	if err != nil {
		return object{}, err
	}
	return object{etag: etagOf(out.ETag), size: int64(len(text)), version: versionOf(out.VersionId)}, nil
}

func (w *tried) delete(path string) error {
	_, err := w.s3.DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: &w.ID, Key: &path})
	return err
}

// text is what is served at a path, "" for nothing.
func (w *tried) text(path string) string {
	out, err := w.s3.GetObject(context.Background(), &s3.GetObjectInput{Bucket: &w.ID, Key: &path})
	if err != nil {
		return ""
	}
	defer out.Body.Close() // read to its end
	b, err := io.ReadAll(out.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// world is the way that is asked for.
func (w *tried) world(is asked) labtest.World {
	c := w.component()
	return labtest.World{Component: c, Others: w.others(), Secrets: []string{key},
		Driver: func(accounts *awsapi.Accounts, lookup func(string) (astern.Component, bool)) astern.Driver {
			return newAt(accounts, lookup, w.Now) // deadlines are told by the lab's clock
		},
		Route: func(ctx context.Context, d astern.Driver) (astern.Route, error) {
			var names []string
			if is.object != nil {
				names = []string{is.object.Object}
			}
			s, err := d.Observer.Observe(ctx, c, astern.Scope{Objects: names})
			if err != nil {
				return astern.Route{}, err
			}
			t := astern.Target{Address: c.Address(), Revision: is.revision}
			if is.object != nil {
				if t, err = d.Picker.Pick(c, s, *is.object); err != nil {
					return astern.Route{}, err
				}
			}
			return d.Router.Route(c, s, t, astern.Options{Verb: is.verb, Percent: 100, Object: is.object})
		},
		Effect: func(e emulated.Entry) string {
			key := strings.TrimPrefix(e.Path, "/"+w.ID+"/")
			switch {
			case e.Service != "s3":
				return e.Operation
			case strings.HasSuffix(key, "_current.json"): // the marker is written as often as it takes
				return ""
			case strings.HasPrefix(key, recordsFolder):
				return e.Operation + " of a record"
			}
			return e.Operation + " " + key
		},
		Reached: func() string {
			for path, want := range is.leaves {
				if is := labtest.Differs(path, w.text(path), want); is != "" {
					return is
				}
			}
			return ""
		},
	}
}

// others are what somebody else does meanwhile.
func (w *tried) others() []labtest.Other {
	ctx := context.Background()
	theirs := ""
	writes := func(path string, kept func() string) labtest.Other {
		return labtest.Other{Name: "writes " + path, Do: func() error {
			is, err := w.put(path, "theirs")
			theirs = is.version
			return err
		}, Kept: kept}
	}
	return []labtest.Other{
		writes("index.html", func() string { return labtest.Differs("index.html", w.text("index.html"), "theirs") }),
		// What lies under the keys of a release is put back whatever it is by then; nothing is lost, for the bucket keeps versions.
		writes("logo.svg", func() string {
			_, err := w.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &w.ID, Key: aws.String("logo.svg"), VersionId: &theirs})
			if err != nil {
				return "their version of logo.svg is gone: " + err.Error()
			}
			return ""
		}),
		{Name: "deletes logo.svg", Do: func() error { return w.delete("logo.svg") }, Kept: func() string { return "" }},
		{Name: "deletes the versions of before", Do: func() error {
			f, err := w.clients.s3.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &w.ID, Prefix: aws.String("logo.svg")})
			for i := 0; err == nil && i < len(f.Versions); i++ {
				if v := f.Versions[i]; !aws.ToBool(v.IsLatest) {
					_, err = w.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &w.ID, Key: v.Key, VersionId: v.VersionId})
				}
			}
			return err
		}, Kept: func() string { return "" }},
		{Name: "rolls back with another astern", Do: func() error {
			m, etag, err := w.clients.marker(ctx)
			if err != nil {
				return err
			}
			m.Kind, m.Version, m.Fence, m.Execution, m.Revision = markerKind, 1, m.Fence+100, "theirs", "v2"
			text, err := json.Marshal(m)
			if err == nil {
				_, err = w.clients.put(ctx, w.clients.p.markerKey(), text, etag)
			}
			return err
		}, Kept: func() string {
			m, _, err := w.clients.marker(ctx)
			if err != nil {
				return err.Error()
			}
			return labtest.Differs("the marker", fmt.Sprint(m.Execution), "theirs")
		}},
	}
}
