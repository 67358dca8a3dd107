package awsapi_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
)

func TestMain(m *testing.M) { os.Exit(awstest.Main(m)) }

// open returns a session of its own.
func open(t *testing.T, s awsapi.Settings) (*awsapi.Session, error) {
	t.Helper()
	a := awsapi.New()
	t.Cleanup(func() { a.Close() })
	return a.Session(t.Context(), s)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	a := awstest.Start(t)
	for name, c := range map[string]struct {
		fault       awstest.Fault
		code        astern.Code
		mayHaveRun  bool
		says, hints string
		never       string
	}{
		"denied, in the cloud's words": {fault: awstest.Fault{Status: 403, Code: "AccessDeniedException", Message: "User: arn:aws:iam::1:user/u is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:x:1:key/k because of an explicit deny"},
			code: astern.Denied, says: "lambda:GetAlias: AccessDeniedException", hints: "allow kms:Decrypt on arn:aws:kms:x:1:key/k in the policy"},
		"denied, without words": {fault: awstest.Fault{Status: 403, Code: "AccessDeniedException", Message: "no"}, code: astern.Denied, hints: "allow lambda:GetAlias on the-alias in the policy"},
		"throttled":             {fault: awstest.Fault{Status: 429, Code: "TooManyRequestsException", Message: "Rate exceeded"}, code: astern.Throttled, says: "Rate exceeded", hints: "asked too often"},
		"throttled by name":     {fault: awstest.Fault{Status: 400, Code: "ThrottlingException", Message: "Rate exceeded"}, code: astern.Throttled},
		"slowed down with 503":  {fault: awstest.Fault{Status: 503, Code: "SlowDown", Message: "Please reduce your request rate."}, code: astern.Throttled},
		"not there":             {fault: awstest.Fault{Status: 404, Code: "ResourceNotFoundException", Message: "Cannot find alias"}, code: astern.NotFound, says: "Cannot find alias"},
		"a conflict":            {fault: awstest.Fault{Status: 409, Code: "ResourceConflictException", Message: "busy"}, code: astern.Conflict},
		"a condition":           {fault: awstest.Fault{Status: 412, Code: "PreconditionFailedException", Message: "revision"}, code: astern.Conflict},
		"wrong input":           {fault: awstest.Fault{Status: 400, Code: "InvalidParameterValueException", Message: "bad"}, code: astern.Invalid},
		"a limit":               {fault: awstest.Fault{Status: 400, Code: "CodeStorageExceededException", Message: "full"}, code: astern.Refused},
		"a fault of the cloud":  {fault: awstest.Fault{Status: 500, Code: "ServiceException", Message: "oops"}, code: astern.Unavailable, mayHaveRun: true},
		"not built":             {fault: awstest.Fault{Status: 501, Code: "LabNotImplemented", Message: "lambda.GetAlias"}, code: astern.Internal, mayHaveRun: true},
		"expired":               {fault: awstest.Fault{Status: 403, Code: "ExpiredTokenException", Message: "expired"}, code: astern.Denied, hints: "aws sso login"},
		"a signature that repeats the request": {fault: awstest.Fault{Status: 403, Code: "InvalidSignatureException", Message: "The Canonical String should have been x-amz-security-token:TOPSECRET"},
			code: astern.Denied, hints: "aws sts get-caller-identity", never: "TOPSECRET"},
		"a moved bucket":      {fault: awstest.Fault{Status: 301, Code: "PermanentRedirect", Message: "elsewhere"}, code: astern.Invalid, hints: "region"},
		"words of a terminal": {fault: awstest.Fault{Status: 400, Code: "InvalidRequestContentException", Message: "a\x1b[2Jb\nc"}, code: astern.Refused, says: "a [2Jb c", never: "\x1b"},
		"the reply is lost":   {fault: awstest.Fault{LoseReply: true}, code: astern.Unavailable, mayHaveRun: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := open(t, awsapi.Settings{})
			must(t, err)
			function := awstest.Name(t)
			c.fault.Operation, c.fault.About = "GetAlias", function
			a.Inject(t, c.fault)
			_, err = lambda.NewFromConfig(s.Act).GetAlias(t.Context(), &lambda.GetAliasInput{FunctionName: &function, Name: aws.String("live")})
			if got := awsapi.MayHaveRun(err); got != c.mayHaveRun {
				t.Errorf("MayHaveRun is %t of %v", got, err)
			}
			err = awsapi.Explain(err, "reading the alias", "the-alias")
			text, hint := err.Error(), astern.HintOf(err)
			if astern.CodeOf(err) != c.code || !strings.Contains(text, c.says) || !strings.Contains(hint, c.hints) || !strings.HasPrefix(text, "reading the alias: lambda:GetAlias") {
				t.Errorf("%s: %s (%s), want %s, %q, %q", astern.CodeOf(err), text, hint, c.code, c.says, c.hints)
			}
			if c.fault.Status != 0 && !strings.Contains(text, "(request 11111111-2222-3333-4444-555555555555)") {
				t.Errorf("the request id is lost: %s", text)
			}
			if c.never != "" && strings.Contains(text+hint+fmt.Sprint(awsapi.Failed(err)), c.never) {
				t.Errorf("it says what it must not: %q", text)
			}
			if n := a.Calls("GetAlias", function); n != 1 {
				t.Errorf("a step made %d attempts", n)
			}
			if again := awsapi.Explain(err, "again", ""); again != err {
				t.Errorf("an error of ours was explained again: %v", again)
			}
		})
	}
}

// What reads tries again, and bears a time of throttling.
func TestReadTriesAgain(t *testing.T) {
	t.Parallel()
	a := awstest.Start(t)
	s, err := open(t, awsapi.Settings{})
	must(t, err)
	name := awstest.Name(t)
	a.Inject(t, awstest.Fault{Operation: "DescribeSecret", About: name, Times: 2, Status: 400, Code: "ThrottlingException", Message: "Rate exceeded"})
	_, err = secretsmanager.NewFromConfig(s.Read).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
	if !awsapi.Is(err, "ResourceNotFoundException") || a.Calls("DescribeSecret", name) != 3 {
		t.Errorf("after %d calls: %v, want the third to be answered", a.Calls("DescribeSecret", name), err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for want, c := range map[string][2]string{
		"lambda:UpdateAlias": {"Lambda", "UpdateAlias"}, "secretsmanager:DescribeSecret": {"Secrets Manager", "DescribeSecret"}, "s3:GetObject": {"S3", "HeadObject"},
		"s3:ListBucket": {"S3", "ListObjectsV2"}, "logs:FilterLogEvents": {"CloudWatch Logs", "FilterLogEvents"}, "cloudfront:CreateInvalidation": {"CloudFront", "CreateInvalidation"},
	} {
		if got := awsapi.Action(c[0], c[1]); got != want {
			t.Errorf("%s of %s is the action %s, want %s", c[1], c[0], got, want)
		}
	}
}

// S3 and IAM answer in XML, and S3's HEAD without any words.
func TestOtherProtocols(t *testing.T) {
	t.Parallel()
	a := awstest.Start(t)
	s, err := open(t, awsapi.Settings{})
	must(t, err)
	name := awstest.Name(t)
	a.Inject(t, awstest.Fault{Operation: "HeadObject", About: name, Status: 403, Code: "AccessDenied"})
	_, err = s3.NewFromConfig(s.Act, awsapi.PathStyle).HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &name, Key: aws.String("a b/ü'\"..")})
	if err = awsapi.Explain(err, "x", "arn:aws:s3:::"+name); astern.CodeOf(err) != astern.Denied || astern.HintOf(err) != "allow s3:GetObject on arn:aws:s3:::"+name+" in the policy of these credentials" {
		t.Errorf("%v (%s)", err, astern.HintOf(err))
	}
	_, err = s3.NewFromConfig(s.Act, awsapi.PathStyle).GetObject(t.Context(), &s3.GetObjectInput{Bucket: &name, Key: aws.String("x")})
	if err = awsapi.Explain(err, "x", ""); astern.CodeOf(err) != astern.NotFound {
		t.Errorf("a missing bucket: %v", err)
	}
	_, err = iam.NewFromConfig(s.Act).GetRole(t.Context(), &iam.GetRoleInput{RoleName: &name})
	if err = awsapi.Explain(err, "x", ""); astern.CodeOf(err) != astern.NotFound || !strings.Contains(err.Error(), "iam:GetRole: NoSuchEntity") {
		t.Errorf("a missing role: %v", err)
	}
}

func TestAccountGuard(t *testing.T) {
	t.Parallel()
	awstest.Start(t)
	s, err := open(t, awsapi.Settings{Account: "123456789012"})
	must(t, err)
	if s.Region != "eu-central-1" {
		t.Errorf("the region is %s", s.Region)
	}
	if _, err := open(t, awsapi.Settings{Account: "999999999999"}); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "123456789012") {
		t.Errorf("credentials of another account: %v", err)
	}
	if _, err := open(t, awsapi.Settings{Account: "222222222222", Role: "arn:aws:iam::222222222222:role/ops"}); err != nil {
		t.Errorf("a role in another account: %v", err)
	}
}

func TestNothingListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l.Close()
	t.Setenv("AWS_ENDPOINT_URL", "http://"+l.Addr().String())
	s, err := open(t, awsapi.Settings{})
	must(t, err)
	_, err = lambda.NewFromConfig(s.Act).DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("f")})
	op := awsapi.Failed(awsapi.Explain(err, "deleting f", ""))
	if op.Status != astern.OpFailed || op.Code != astern.Unavailable || !strings.Contains(op.Error, l.Addr().String()+": connection refused") {
		t.Errorf("what never left this machine: %+v", op)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	awstest.Start(t)
	s, err := open(t, awsapi.Settings{})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = lambda.NewFromConfig(s.Act).GetAlias(ctx, &lambda.GetAliasInput{FunctionName: aws.String("f"), Name: aws.String("a")})
	if awsapi.MayHaveRun(err) || !errors.Is(err, context.Canceled) || astern.CodeOf(awsapi.Explain(err, "x", "")) != astern.Interrupted {
		t.Errorf("a call that was cancelled before it was made: %v", err)
	}
}

// Without credentials, or with a program that prints them badly, nothing is sent and nothing is told.
func TestCredentials(t *testing.T) {
	awstest.Start(t)
	folder := t.TempDir()
	config := filepath.Join(folder, "config")
	must(t, os.WriteFile(config, []byte("[profile broken]\nregion = eu-central-1\ncredential_process = echo {TOPSECRET\n[profile none]\nregion = eu-west-1\n"), 0o600))
	t.Setenv("AWS_CONFIG_FILE", config)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	for profile, says := range map[string]string{"broken": "the credential_process of the profile failed", "none": "there are no credentials on this machine"} {
		s, err := open(t, awsapi.Settings{Profile: profile})
		must(t, err)
		_, err = lambda.NewFromConfig(s.Act).DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("f")})
		op := awsapi.Failed(awsapi.Explain(err, "deleting f", ""))
		if op.Status != astern.OpFailed || op.Code != astern.Denied || !strings.Contains(op.Error, says) || !strings.Contains(op.Hint, "aws configure") {
			t.Errorf("profile %s: %+v, want %q", profile, op, says)
		}
		if strings.Contains(fmt.Sprint(op), "TOPSECRET") {
			t.Errorf("profile %s: the output of the program is told: %+v", profile, op)
		}
	}
	if _, err := open(t, awsapi.Settings{Profile: "absent"}); astern.CodeOf(err) != astern.Invalid || !strings.Contains(err.Error(), `no profile "absent"`) {
		t.Errorf("a profile that does not exist: %v", err)
	}
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	if _, err := open(t, awsapi.Settings{}); astern.CodeOf(err) != astern.Invalid || !strings.Contains(err.Error(), "no region") {
		t.Errorf("no region: %v", err)
	}
}

// Credentials that were refused are read anew by the next session: somebody has renewed them.
func TestRenewedCredentials(t *testing.T) {
	t.Parallel()
	account := awstest.Start(t)
	a := awsapi.New()
	t.Cleanup(func() { a.Close() })
	first, err := a.Session(t.Context(), awsapi.Settings{})
	must(t, err)
	if again, _ := a.Session(t.Context(), awsapi.Settings{}); again != first {
		t.Error("a session is not kept")
	}
	name := awstest.Name(t)
	account.Inject(t, awstest.Fault{Operation: "DescribeSecret", About: name, Status: 400, Code: "ExpiredTokenException", Message: "expired"})
	_, err = secretsmanager.NewFromConfig(first.Act).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
	if !awsapi.Is(err, "ExpiredTokenException") {
		t.Fatal(err)
	}
	if again, _ := a.Session(t.Context(), awsapi.Settings{}); again == first {
		t.Error("a session is kept although its credentials were refused")
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	got, err := awsapi.Places([]string{"/srv", "aws:", "aws:us-gov-west-1"})
	if err != nil || len(got) != 2 || got[0] != (awsapi.Settings{}) || got[1].Region != "us-gov-west-1" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := awsapi.Places([]string{"aws:moon"}); astern.CodeOf(err) != astern.Invalid {
		t.Errorf("a region that is none: %v", err)
	}
}
