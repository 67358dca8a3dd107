package awsapi_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/lab"
)

// labAccount is an account in the lab, which knows what IAM says.
func labAccount(t *testing.T) *lab.Lab {
	t.Helper()
	awstest.Start(t) // says what is missing
	moto, err := lab.StartMoto(t.Context())
	must(t, err)
	t.Cleanup(moto.Stop)
	l, err := lab.New(moto.URL, 1, nil)
	must(t, err)
	server := httptest.NewServer(l)
	t.Cleanup(func() { server.Close(); l.Close() })
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	return l
}

// IAM is asked about the very user or role that the credentials are of, all resources of one kind in one call.
func TestSimulate(t *testing.T) {
	l := labAccount(t)
	root, err := open(t, awsapi.Settings{})
	must(t, err)
	admin := iam.NewFromConfig(root.Act)
	_, err = admin.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("astern"), Path: aws.String("/ops/"), AssumeRolePolicyDocument: aws.String("{}")})
	must(t, err)
	_, err = admin.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("astern"), PolicyName: aws.String("p"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["lambda:UpdateAlias","ssm:*"],"Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"eu-central-1"}}},
		{"Effect":"Deny","Action":"*","Resource":"arn:aws:lambda:*:*:function:f-7"},
		{"Effect":"Allow","Action":"s3:PutObject","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}},
		{"Effect":"Allow","Action":"secretsmanager:UpdateSecretVersionStage","Resource":"*","Condition":{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}}]}`)})
	must(t, err)
	var asked []awsapi.Asked
	for n := range 120 {
		asked = append(asked, awsapi.Asked{Action: "lambda:UpdateAlias", Resource: fmt.Sprintf("arn:aws:lambda:eu-central-1:%s:function:f-%d", lab.Account, n)})
	}
	current := map[string]map[string][]string{"StringEquals": {"secretsmanager:VersionStage": {"AWSCURRENT"}}}
	asked = append(asked, awsapi.Asked{Action: "lambda:PublishVersion", Resource: asked[1].Resource}, awsapi.Asked{Action: "s3:PutObject", Resource: "arn:aws:s3:::site/index.html"},
		awsapi.Asked{Action: "secretsmanager:UpdateSecretVersionStage", Resource: "arn:aws:secretsmanager:eu-central-1:1:secret:s", When: current})
	role := "arn:aws:iam::" + lab.Account + ":role/ops/astern"
	assumed, err := sts.NewFromConfig(root.Act).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("session")})
	must(t, err)
	for name, session := range map[string]func() (*awsapi.Session, error){
		"a role that is declared": func() (*awsapi.Session, error) { return open(t, awsapi.Settings{Role: role}) },
		"the keys of such a role": func() (*awsapi.Session, error) { // who they are of leaves out the path
			t.Setenv("AWS_ACCESS_KEY_ID", *assumed.Credentials.AccessKeyId)
			return open(t, awsapi.Settings{Region: "eu-central-1"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := session()
			must(t, err)
			from := l.Status().Calls
			got, err := s.Simulate(t.Context(), asked)
			must(t, err)
			if n := len(l.Calls("iam", "SimulatePrincipalPolicy", from)); got.Who != role || n > 7 {
				t.Errorf("%d calls about %s", n, got.Who)
			}
			for i, want := range map[int]awsapi.Verdict{0: awsapi.VerdictAllowed, 119: awsapi.VerdictAllowed, 7: awsapi.VerdictExplicit, 120: awsapi.VerdictImplicit,
				121: awsapi.VerdictDepends, 122: awsapi.VerdictAllowed} {
				if v := got.Of(asked[i]); v != want {
					t.Errorf("%+v is %s, want %s", asked[i], v, want)
				}
			}
			if v := got.Of(awsapi.Asked{Action: "lambda:GetAlias", Resource: "x"}); v != awsapi.VerdictUnasked {
				t.Errorf("what was not asked is %s", v)
			}
		})
	}
	t.Run("nobody whom IAM simulates", func(t *testing.T) {
		if _, err := root.Simulate(t.Context(), asked); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "user/moto") {
			t.Error(err)
		}
	})
	for code, want := range map[string]astern.Code{"Throttling": astern.Throttled, "AccessDenied": astern.Denied, "ServiceFailure": astern.Unavailable} {
		t.Run(code, func(t *testing.T) {
			status := map[string]int{"AccessDenied": 403, "ServiceFailure": 500, "Throttling": 400}[code]
			_, err := l.AddFault(lab.Fault{Service: "iam", Operation: "SimulatePrincipalPolicy", Status: status, Code: code})
			must(t, err)
			defer l.ClearFaults()
			s, err := open(t, awsapi.Settings{Role: role})
			must(t, err)
			from := l.Status().Calls
			if _, err = s.Simulate(t.Context(), asked); astern.CodeOf(err) != want || !strings.Contains(err.Error(), "iam:SimulatePrincipalPolicy: "+code) {
				t.Errorf("%s: %v", astern.CodeOf(err), err)
			}
			if n := len(l.Calls("iam", "SimulatePrincipalPolicy", from)); n != 1 {
				t.Errorf("it was asked %d times: a recovery does not wait for it", n)
			}
		})
	}
}

// What a component leaves open is filled in with the session's own.
func TestHere(t *testing.T) {
	t.Parallel()
	awstest.Start(t)
	s, err := open(t, awsapi.Settings{})
	must(t, err)
	for resource, want := range map[string]string{"arn:aws:lambda:*:*:function:shop": "arn:aws:lambda:eu-central-1:123456789012:function:shop",
		"arn:aws:s3:::site/*": "arn:aws:s3:::site/*", "arn:aws:cloudfront::*:distribution/E1": "arn:aws:cloudfront::123456789012:distribution/E1", "*": "*"} {
		if got, err := s.Here(t.Context(), resource); err != nil || got != want {
			t.Errorf("%s is %s here (%v), want %s", resource, got, err, want)
		}
	}
}
