package awss3site

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
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
	"github.com/astern-dev/astern/internal/awsapi/awslaw"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/canary"
	"github.com/astern-dev/astern/internal/drivertest"
)

// site is a bucket with two releases, of which v2 is served.
type site struct {
	testing.TB
	cloud   *cloud
	clients clients
	c       astern.Component
	driver  astern.Driver
	history astern.History
	fence   int64
}

// What the two releases hold. Somebody has deployed a key with their scripts, too.
var (
	key = canary.Kept("in a script")
	one = map[string]string{"index.html": "one", "assets/app.1.js": "js 1 " + key, "logo.svg": "old logo", "404.html": "not found 1"}
	two = map[string]string{"index.html": "two", "assets/app.2.js": "js 2 " + key, "logo.svg": "new logo", "404.html": "not found 2"}
)

// newSite makes a bucket and deploys both releases, each by an upload that the driver then records.
func newSite(t testing.TB, versioned bool, change func(*Settings)) *site {
	t.Helper()
	x := &site{TB: t, cloud: newCloud(t), fence: 1}
	accounts := awsapi.New()
	t.Cleanup(func() { accounts.Close() })
	settings := Settings{Bucket: "site-" + awstest.Name(t), Entries: []string{"404.html", "index.html"}}
	if change != nil {
		change(&settings)
	}
	front := settings.Distribution == "new"
	if front {
		settings.Distribution = ""
	}
	x.c = astern.Component{Environment: "test", Name: settings.Bucket, Kind: Kind}
	x.set(settings)
	x.driver = New(accounts, func(string) (astern.Component, bool) { return x.c, true })
	p, err := resolve(x.c)
	x.must(err)
	x.clients, err = (&driver{accounts: accounts}).clients(t.Context(), p)
	x.must(err)
	_, err = x.clients.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &settings.Bucket,
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: "eu-central-1"}})
	x.must(err)
	if versioned {
		x.versioning(s3types.BucketVersioningStatusEnabled)
	}
	if front {
		settings.Distribution = x.distribution(settings.Bucket)
		x.cloud.mu.Lock()
		x.cloud.origin[settings.Distribution] = settings.Bucket
		x.cloud.mu.Unlock()
		x.set(settings)
		x.clients.p.Distribution = settings.Distribution
	}
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for i, files := range []map[string]string{one, two} {
		rev := fmt.Sprintf("v%d", i+1)
		x.upload(files)
		x.carry(astern.VerbDeploy, rev, nil)
		when := at.Add(time.Duration(i) * time.Hour)
		x.history.Current = rev
		x.history.Deployments = append([]astern.Deployment{{Revision: rev, Hash: x.observe().Values["release/"+rev].Text, LastAt: &when, KnownGoodAt: &when}},
			x.history.Deployments...)
	}
	return x
}

func (x *site) set(s Settings) { x.c.Settings, _ = json.Marshal(s) }

func (x *site) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

func (x *site) versioning(status s3types.BucketVersioningStatus) {
	x.Helper()
	_, err := x.clients.s3.PutBucketVersioning(context.Background(), &s3.PutBucketVersioningInput{Bucket: &x.clients.p.Bucket,
		VersioningConfiguration: &s3types.VersioningConfiguration{Status: status}})
	x.must(err)
}

func (x *site) distribution(bucket string) string {
	x.Helper()
	out, err := x.clients.front.CreateDistribution(x.Context(), &cloudfront.CreateDistributionInput{DistributionConfig: &cftypes.DistributionConfig{
		CallerReference: &bucket, Comment: aws.String("site"), Enabled: aws.Bool(true),
		Origins: &cftypes.Origins{Quantity: aws.Int32(1), Items: []cftypes.Origin{{Id: aws.String("s3"), DomainName: aws.String(bucket + ".s3.eu-central-1.amazonaws.com"),
			S3OriginConfig: &cftypes.S3OriginConfig{OriginAccessIdentity: aws.String("origin-access-identity/cloudfront/E127EXAMPLE51Z")}}}},
		DefaultCacheBehavior: &cftypes.DefaultCacheBehavior{TargetOriginId: aws.String("s3"), ViewerProtocolPolicy: cftypes.ViewerProtocolPolicyRedirectToHttps}}})
	x.must(err)
	return *out.Distribution.Id
}

// disable disables the distribution, or deletes it.
func (x *site) disable(delete bool) {
	x.Helper()
	id := x.clients.p.Distribution
	got, err := x.clients.front.GetDistributionConfig(context.Background(), &cloudfront.GetDistributionConfigInput{Id: &id})
	x.must(err)
	got.DistributionConfig.Enabled = aws.Bool(false)
	out, err := x.clients.front.UpdateDistribution(context.Background(), &cloudfront.UpdateDistributionInput{Id: &id, IfMatch: got.ETag, DistributionConfig: got.DistributionConfig})
	x.must(err)
	if delete {
		_, err = x.clients.front.DeleteDistribution(context.Background(), &cloudfront.DeleteDistributionInput{Id: &id, IfMatch: out.ETag})
		x.must(err)
	}
}

func (x *site) upload(files map[string]string) {
	x.Helper()
	for path, text := range files {
		in := &s3.PutObjectInput{Bucket: &x.clients.p.Bucket, Key: aws.String(x.clients.p.Prefix + path), Body: strings.NewReader(text), ContentType: aws.String("text/" + path[strings.LastIndex(path, ".")+1:])}
		if strings.HasSuffix(path, ".html") {
			in.CacheControl = aws.String("no-cache")
		}
		_, err := x.clients.s3.PutObject(context.Background(), in)
		x.must(err)
	}
}

// text returns what is served at a path.
func (x *site) text(path string) string {
	x.Helper()
	b, _, _, err := x.clients.get(context.Background(), x.clients.p.Prefix+path, 1<<20)
	x.must(err)
	return string(b)
}

func (x *site) delete(key, version string) {
	x.Helper()
	in := &s3.DeleteObjectInput{Bucket: &x.clients.p.Bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	_, err := x.clients.s3.DeleteObject(context.Background(), in)
	x.must(err)
}

// recorded returns a file of a release as it is recorded.
func (x *site) recorded(rev, path string) file {
	x.Helper()
	m, ok, err := x.clients.manifest(context.Background(), rev)
	x.must(err)
	f, has := m.find(path)
	if !ok || !has {
		x.Fatalf("%s of %s is not recorded", path, rev)
	}
	return f
}

func (x *site) observe(objects ...string) astern.State {
	x.Helper()
	s, err := x.driver.Observer.Observe(x.Context(), x.c, astern.Scope{Objects: objects})
	x.must(err)
	return s
}

// steps returns the calls of the way to a revision.
func (x *site) steps(verb astern.Verb, rev string, change *astern.ObjectChange) []astern.Call {
	x.Helper()
	var names []string
	if change != nil {
		names = []string{change.Object}
	}
	s := x.observe(names...)
	t := astern.Target{Address: x.c.Address(), Revision: rev}
	if change != nil {
		var err error
		t, err = x.driver.Picker.Pick(x.c, s, *change)
		x.must(err)
	}
	route, err := x.driver.Router.Route(x.c, s, t, astern.Options{Verb: verb, Percent: 100, Object: change})
	x.must(err)
	var out []astern.Call
	x.fence++
	for _, st := range route.Stages {
		for _, s := range st.Steps {
			out = append(out, astern.Call{Execution: fmt.Sprintf("ex-%d", x.fence), Step: s.ID, Address: s.Address, Kind: s.Kind, Verb: s.Verb, Args: s.Args,
				Token: fmt.Sprintf("tok-%s-%d-%s", x.clients.p.Bucket, x.fence, s.ID), Fence: x.fence})
		}
	}
	return out
}

// do carries calls out, and returns the first that is not done.
func (x *site) do(calls []astern.Call) (astern.Call, astern.Op) {
	x.Helper()
	outputs := map[string]map[string]astern.Arg{}
	for i, call := range calls {
		for name, a := range call.Args {
			if a.Ref != nil {
				call.Args[name] = outputs[a.Ref.From][a.Ref.Output]
			}
		}
		image, err := x.driver.Actor.Before(x.Context(), call)
		x.must(err)
		call.Image = image
		calls[i] = call
		op := x.driver.Actor.Start(x.Context(), call)
		for op.Status == astern.OpRunning {
			op = x.driver.Actor.Poll(x.Context(), call, op)
		}
		if op.Status != astern.OpDone {
			return call, op
		}
		outputs[call.Step] = op.Outputs
	}
	return astern.Call{}, astern.Op{Status: astern.OpDone}
}

func (x *site) carry(verb astern.Verb, rev string, change *astern.ObjectChange) {
	x.Helper()
	if call, op := x.do(x.steps(verb, rev, change)); op.Status != astern.OpDone {
		x.Fatalf("%s: %s: %s (%s)", call.Step, op.Status, op.Error, op.Hint)
	}
}

// snapshot is every version of every object, and the invalidations.
func (x *site) snapshot(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{"invalidations": fmt.Sprint(x.cloud.invalidations(x.clients.p.Distribution))}
	list, err := x.clients.s3.ListObjectVersions(context.Background(), &s3.ListObjectVersionsInput{Bucket: &x.clients.p.Bucket})
	x.must(err)
	var marks []string
	for _, v := range list.Versions {
		out[*v.Key+" "+*v.VersionId] = fmt.Sprint(*v.ETag, *v.Size, *v.IsLatest, v.StorageClass, v.LastModified)
	}
	for _, d := range list.DeleteMarkers {
		marks = append(marks, fmt.Sprint(*d.Key, *d.VersionId, *d.IsLatest))
	}
	sort.Strings(marks)
	out["deleted"] = strings.Join(marks, "\n")
	return out
}

func TestConformance(t *testing.T) {
	t.Parallel()
	newCloud(t)
	law := awslaw.Watch(t)
	sites := map[string]*site{}
	suite := conformance(law, sites)
	suite.Run(t)
	pruned := newSite(t, true, nil)
	sites[pruned.c.Address()], pruned.driver = pruned, suite.Driver
	law.Needs(suite.Driver.Permitter.Permissions(pruned.c))
	pruned.carry(astern.VerbRollback, "v1", nil)
	pruned.carry(astern.VerbRedeploy, "v1", nil)
	kms, tags := "S3 asks KMS on our behalf", "S3 asks for tags when it copies an object that has some"
	law.Holds(t, map[string]string{"kms:Decrypt": kms, "kms:GenerateDataKey": kms, "s3:GetObjectTagging": tags, "s3:GetObjectVersionTagging": tags,
		"s3:PutObjectTagging": tags, "s3:GetObjectVersion": "the versions of objects are read by asking for a version with GetObject"})
}

// conformance is the suite; sites are those that are made for it, by their address.
func conformance(law *awslaw.Law, sites map[string]*site) drivertest.Suite {
	of := func(w drivertest.World) *site { return sites[w.Component.Address()] }
	do := func(f func(x *site)) func(testing.TB, drivertest.World) {
		return func(_ testing.TB, w drivertest.World) { f(of(w)) }
	}
	breaks := []drivertest.Break{
		{Name: "its record is gone", Want: astern.Broken, Do: do(func(x *site) { x.delete(x.clients.p.manifestKey("v1"), "") })},
		{Name: "its record was changed", Want: astern.Broken, Do: do(func(x *site) {
			x.rewrite(manifestOf("v1", []file{x.recorded("v2", "index.html"), x.recorded("v1", "logo.svg")}))
		})},
		{Name: "its record is cut off", Want: astern.Broken, Do: do(func(x *site) { x.write(x.clients.p.manifestKey("v1"), `{"kind":"S3Sit`) })},
		{Name: "the distribution is gone", Want: astern.Broken, Do: do(func(x *site) { x.disable(true) })},
		{Name: "the distribution is disabled", Want: astern.Broken, Do: do(func(x *site) { x.disable(false) })},
		{Name: "reading is denied", Want: astern.ReadyUnknown, Do: do(func(x *site) {
			x.cloud.Inject(x, awstest.Fault{Operation: "GetObject", About: x.clients.p.Bucket + "/" + x.clients.p.markerKey(), Status: 403, Code: "AccessDenied", Message: "Access Denied"})
		})},
		{Name: "the version of an object is gone", Want: astern.Broken, Do: do(func(x *site) { x.delete("logo.svg", x.recorded("v1", "logo.svg").Version) })},
		{Name: "the version of an entry point is gone", Want: astern.Broken, Do: do(func(x *site) { x.delete("index.html", x.recorded("v1", "index.html").Version) })},
		{Name: "versioning is suspended", Want: astern.AtRisk, Do: do(func(x *site) { x.versioning(s3types.BucketVersioningStatusSuspended) })},
		{Name: "a rule deletes earlier versions soon", Want: astern.AtRisk, Do: do(func(x *site) { x.lifecycle(2) })},
	}
	driver := New(law.Accounts, func(address string) (astern.Component, bool) {
		x, ok := sites[address]
		if !ok {
			return astern.Component{}, false
		}
		return x.c, true
	})
	return drivertest.Suite{
		Driver: driver,
		New: func(t testing.TB) drivertest.World {
			x := newSite(t, true, func(s *Settings) { s.Distribution, s.Entries = "new", nil })
			x.c.Name = fmt.Sprintf("w%d", len(sites))
			sites[x.c.Address()] = x
			law.Needs(driver.Permitter.Permissions(x.c))
			x.clearFence()
			return drivertest.World{Component: x.c, Old: "v1", New: "v2", History: x.history, Snapshot: x.snapshot, Secrets: []string{key}, Object: "logo.svg", Place: "aws:" + awslaw.Region}
		},
		Fenced: []string{verbPut, verbSwitch},
		Data:   hostileData,
		Legal:  map[string]func(string) bool{"token": tokenShape.MatchString, "put.from": goodRevision, "switch.from": goodRevision, "adopt.from": goodRevision, "prune.from": goodRevision},
		Breaks: breaks,
	}
}

// clearFence makes the last execution's fence the first, as a new state folder would not.
func (x *site) clearFence() {
	x.Helper()
	m, _, err := x.clients.marker(context.Background())
	x.must(err)
	m.Fence = 1
	text, _ := json.Marshal(m)
	x.write(x.clients.p.markerKey(), string(text))
}

func (x *site) write(key, text string) {
	x.Helper()
	_, err := x.clients.s3.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &x.clients.p.Bucket, Key: &key, Body: strings.NewReader(text)})
	x.must(err)
}

func (x *site) rewrite(m manifest) { x.write(x.clients.p.manifestKey(m.Revision), string(m.encode())) }

func (x *site) lifecycle(days int32) {
	x.Helper()
	_, err := x.clients.s3.PutBucketLifecycleConfiguration(context.Background(), &s3.PutBucketLifecycleConfigurationInput{Bucket: &x.clients.p.Bucket,
		LifecycleConfiguration: &s3types.BucketLifecycleConfiguration{Rules: []s3types.LifecycleRule{{ID: aws.String("old versions"), Status: s3types.ExpirationStatusEnabled,
			Filter: &s3types.LifecycleRuleFilter{Prefix: aws.String("")}, NoncurrentVersionExpiration: &s3types.NoncurrentVersionExpiration{NoncurrentDays: &days}}}}})
	x.must(err)
}
