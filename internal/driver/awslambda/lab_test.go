package awslambda

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/canary"
)

func TestMain(m *testing.M) { os.Exit(awstest.Main(m)) }

// lab is a function in moto with two published versions, the alias live on the second.
type lab struct {
	testing.TB
	*awstest.Account
	name, bucket string
	lambda       *lambda.Client
	s3           *s3.Client
	iam          *iam.Client
	c            astern.Component
	driver       astern.Driver
	history      astern.History
	old, new     string
}

// withPassword is the environment of every function: somebody put a password into it.
var (
	password     = canary.Kept("of the database")
	withPassword = &types.Environment{Variables: map[string]string{"DB_PASSWORD": password}}
)

// accounts are shared by the package's tests, as they are by an astern.
var accounts = awsapi.New()

// newLab makes the function. Named versions carry the descriptions v1 and v2. Of one that is archived the code of both is in
// a bucket that keeps versions, and only the second is published (moto gives numbers of deleted versions again).
func newLab(t testing.TB, named, archived bool) *lab {
	t.Helper()
	l := &lab{TB: t, Account: awstest.Start(t), name: awstest.Name(t), old: "1", new: "2"}
	session, err := accounts.Session(t.Context(), awsapi.Settings{})
	l.must(err)
	l.lambda, l.s3, l.iam = lambda.NewFromConfig(session.Act), s3.NewFromConfig(session.Act, awsapi.PathStyle), iam.NewFromConfig(session.Act)
	if named {
		l.old, l.new = "v1", "v2"
	}
	role, err := l.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &l.name, AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[]}`)})
	l.must(err)
	_, err = l.lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: &l.name, Role: role.Role.Arn, Runtime: types.RuntimePython313,
		Handler: aws.String("main.handler"), Code: &types.FunctionCode{ZipFile: archive(t, "v1")}, Environment: withPassword})
	l.must(err)
	l.settled(nil)
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	version := "0"
	for i, rev := range []string{l.old, l.new} {
		code, err := l.lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: &l.name, ZipFile: archive(t, fmt.Sprintf("v%d", i+1))})
		l.must(err)
		l.settled(nil)
		if !archived || i > 0 {
			in := &lambda.PublishVersionInput{FunctionName: &l.name}
			if named {
				in.Description = &rev
			}
			out, err := l.lambda.PublishVersion(t.Context(), in)
			l.must(err)
			version = *out.Version
			l.settled(&version)
		}
		when := at.Add(time.Duration(i) * time.Hour)
		l.history.Current = rev
		l.history.Deployments = append([]astern.Deployment{{Revision: rev, Hash: hashOf(code.CodeSha256), LastAt: &when, KnownGoodAt: &when}}, l.history.Deployments...)
	}
	_, err = l.lambda.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: &l.name, Name: aws.String("live"), FunctionVersion: &version})
	l.must(err)
	l.declare(nil)
	if archived {
		l.archived()
	}
	return l
}

// declare makes the component.
func (l *lab) declare(a *Archive) {
	l.c = astern.Component{Environment: "test", Name: l.name, Kind: Kind}
	l.c.Settings, _ = json.Marshal(Settings{Function: l.name, Alias: "live", Archive: a})
	l.driver = New(accounts, func(string) (astern.Component, bool) { return l.c, true })
}

// settled waits until what was changed of the function, or of a version of it, can be used.
func (l *lab) settled(version *string) {
	l.Helper()
	in := &lambda.GetFunctionConfigurationInput{FunctionName: &l.name, Qualifier: version}
	quickly := 50 * time.Millisecond
	l.must(lambda.NewFunctionActiveWaiter(l.lambda, func(o *lambda.FunctionActiveWaiterOptions) { o.MinDelay, o.MaxDelay = quickly, quickly }).Wait(l.Context(), in, time.Minute))
	l.must(lambda.NewFunctionUpdatedWaiter(l.lambda, func(o *lambda.FunctionUpdatedWaiterOptions) { o.MinDelay, o.MaxDelay = quickly, quickly }).Wait(l.Context(), in, time.Minute))
}

// archived keeps the code of both revisions.
func (l *lab) archived() {
	l.Helper()
	l.bucket = l.name
	_, err := l.s3.CreateBucket(l.Context(), &s3.CreateBucketInput{Bucket: &l.bucket,
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraintEuCentral1}})
	l.must(err)
	_, err = l.s3.PutBucketVersioning(l.Context(), &s3.PutBucketVersioningInput{Bucket: &l.bucket,
		VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}})
	l.must(err)
	l.upload("v1", "v1")
	l.upload("v2", "v2")
	l.declare(&Archive{Bucket: l.bucket, Key: "code/{revision}.zip"})
}

// upload puts an archive with that content under the revision's key.
func (l *lab) upload(rev, content string) {
	l.Helper()
	_, err := l.s3.PutObject(l.Context(), &s3.PutObjectInput{Bucket: &l.bucket, Key: aws.String("code/" + rev + ".zip"), Body: bytes.NewReader(archive(l, content)),
		ChecksumAlgorithm: s3types.ChecksumAlgorithmSha256})
	l.must(err)
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// archive is a function's code.
func archive(t testing.TB, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("main.py")
	if err == nil {
		_, err = fmt.Fprintf(f, "def handler(event, context):\n    return %q\n", content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// snapshot is everything that the driver could change.
func (l *lab) snapshot(t testing.TB) map[string]string {
	t.Helper()
	f, err := ask(t.Context(), l.lambda, place{Settings: Settings{Function: l.name, Alias: "live"}})
	if astern.CodeOf(err) == astern.NotFound {
		return map[string]string{}
	}
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{"alias": fmt.Sprint(f.alias), "latest": f.latest.hash}
	for _, v := range f.versions {
		out[fmt.Sprint(v.number)] = v.hash + " " + aws.ToString(v.config.Description)
	}
	return out
}

func (l *lab) observe(paths ...string) astern.State {
	l.Helper()
	s, err := l.driver.Observer.Observe(l.Context(), l.c, astern.Scope{Paths: paths})
	l.must(err)
	return s
}

// target returns the target for a revision.
func (l *lab) target(s astern.State, rev string) astern.Target {
	l.Helper()
	for _, t := range l.driver.Router.Targets(l.c, s, l.history) {
		if t.Revision == rev {
			return t
		}
	}
	l.Fatalf("there is no target %s", rev)
	return astern.Target{}
}

// calls returns the way to a revision, its steps as calls without images.
func (l *lab) calls(rev string, o astern.Options) []astern.Call {
	l.Helper()
	s := l.observe()
	if o.Percent == 0 {
		o.Percent = 100
	}
	route, err := l.driver.Router.Route(l.c, s, l.target(s, rev), o)
	l.must(err)
	var out []astern.Call
	for _, st := range route.Stages {
		for _, step := range st.Steps {
			out = append(out, astern.Call{Execution: "ex-1", Step: step.ID, Address: step.Address, Kind: step.Kind, Verb: step.Verb, Args: step.Args, Token: "token-1", Fence: 1})
		}
	}
	return out
}

// before reads the image of a call.
func (l *lab) before(call astern.Call) astern.Call {
	l.Helper()
	image, err := l.driver.Actor.Before(l.Context(), call)
	l.must(err)
	call.Image = image
	return call
}

// alias is where the alias leads: "2" or "2 1=0.5".
func (l *lab) alias() string {
	l.Helper()
	a, err := askAlias(l.Context(), l.lambda, place{Settings: Settings{Function: l.name, Alias: "live"}})
	l.must(err)
	if r := a.routing(); r != "" {
		return a.main + " " + r
	}
	return a.main
}
