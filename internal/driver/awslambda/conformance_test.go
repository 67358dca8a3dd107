package awslambda

import (
	"bytes"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/awslaw"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/drivertest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	awstest.Start(t)
	law := awslaw.Watch(t)
	t.Cleanup(func() {
		law.Holds(t, map[string]string{"s3:GetObjectVersion": "Lambda reads the version of an archive on our behalf",
			"kms:Decrypt": "S3 asks KMS on our behalf", "lambda:GetLayerVersion": "no function here has layers: moto needs their code for it"})
	})
	for name, c := range map[string]struct {
		named, archived bool
		breaks          []broken
	}{
		"versions by number":                           {false, false, versionBreaks},
		"only the archive left, names by descriptions": {true, true, archiveBreaks},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance(t, law, c.named, c.archived, c.breaks).Run(t)
		})
	}
}

// broken is a way to damage a lab, with what that makes of its first version.
type broken struct {
	name string
	want astern.Readiness
	do   func(l *lab) error
}

// unseenRole is the damage that is beside the way.
const unseenRole = "the role may not be looked at"

var versionBreaks = []broken{
	{"the version was deleted", astern.Broken, func(l *lab) error {
		_, err := l.lambda.DeleteFunction(l.Context(), &lambda.DeleteFunctionInput{FunctionName: &l.name, Qualifier: aws.String("1")})
		return err
	}},
	{"the role was deleted", astern.Broken, func(l *lab) error {
		_, err := l.iam.DeleteRole(l.Context(), &iam.DeleteRoleInput{RoleName: &l.name})
		return err
	}},
	{"the alias was deleted", astern.Broken, func(l *lab) error {
		_, err := l.lambda.DeleteAlias(l.Context(), &lambda.DeleteAliasInput{FunctionName: &l.name, Name: aws.String("live")})
		return err
	}},
	{"the function was deleted", astern.Broken, func(l *lab) error {
		_, err := l.lambda.DeleteFunction(l.Context(), &lambda.DeleteFunctionInput{FunctionName: &l.name})
		return err
	}},
	{"nothing may run", astern.AtRisk, func(l *lab) error {
		_, err := l.lambda.PutFunctionConcurrency(l.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: &l.name, ReservedConcurrentExecutions: aws.Int32(0)})
		return err
	}},
	{unseenRole, astern.ReadyUnknown, func(l *lab) error {
		l.Inject(l, awstest.Fault{Operation: "GetRole", About: l.name, Status: 403, Code: "AccessDenied", Message: "User: arn:aws:iam::123456789012:user/astern is not authorized to perform: iam:GetRole on resource: role " + l.name})
		return nil
	}},
	{"the state of versions may not be read", astern.ReadyUnknown, func(l *lab) error {
		l.Inject(l, awstest.Fault{Operation: "GetFunctionConfiguration", About: l.name, Status: 403, Code: "AccessDeniedException", Message: "no"})
		return nil
	}},
}

var archiveBreaks = []broken{
	{"the archive was deleted", astern.Broken, func(l *lab) error {
		_, err := l.s3.DeleteObject(l.Context(), &s3.DeleteObjectInput{Bucket: &l.bucket, Key: aws.String("code/v1.zip")})
		return err
	}},
	{"another archive lies under its key", astern.Broken, func(l *lab) error {
		l.upload("v1", "not what it was")
		return nil
	}},
	{"the bucket may not be listed", astern.ReadyUnknown, func(l *lab) error {
		l.Inject(l, awstest.Fault{Operation: "GetObject", About: "/" + l.bucket, Status: 403, Code: "AccessDenied", Message: "Access Denied"})
		return nil
	}},
	{"S3 has no digest of it", astern.AtRisk, func(l *lab) error {
		_, err := l.s3.PutObject(l.Context(), &s3.PutObjectInput{Bucket: &l.bucket, Key: aws.String("code/v1.zip"), Body: bytes.NewReader(archive(l, "v1"))})
		return err
	}},
}

func bound(breaks []broken, mine map[string]*lab) []drivertest.Break {
	var out []drivertest.Break
	for _, b := range breaks {
		out = append(out, drivertest.Break{Name: b.name, Want: b.want, Open: b.name == unseenRole, Do: func(t testing.TB, w drivertest.World) {
			l := mine[w.Component.Address()]
			l.must(b.do(l))
		}})
	}
	return out
}

func conformance(t *testing.T, law *awslaw.Law, named, archived bool, breaks []broken) drivertest.Suite {
	t.Helper()
	mine := map[string]*lab{}
	driver := New(law.Accounts, func(address string) (astern.Component, bool) {
		l, ok := mine[address]
		if !ok {
			return astern.Component{}, false
		}
		return l.c, true
	})
	return drivertest.Suite{
		Driver:           driver,
		ImageIsCondition: true,
		New: func(t testing.TB) drivertest.World {
			l := newLab(t, named, archived)
			mine[l.c.Address()] = l
			law.Needs(driver.Permitter.Permissions(l.c))
			return drivertest.World{Component: l.c, Old: l.old, New: l.new, History: l.history, Snapshot: l.snapshot, Secrets: []string{password}, Place: "aws:" + awslaw.Region}
		},
		Data:     hostileData,
		Compared: hostileCompared,
		Breaks:   bound(breaks, mine),
	}
}
