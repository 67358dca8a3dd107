package awss3site

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
)

// Where visitors read the site by ACL, every target and every plan says that a copy has none.
func TestGrantsAreTold(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	if text := x.evidence("v1"); strings.Contains(text, "ACL") {
		t.Errorf("granted to nobody: %s", text)
	}
	_, err := x.clients.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &x.clients.p.Bucket, Key: aws.String("404.html"), Body: strings.NewReader("gone"), ACL: s3types.ObjectCannedACLPublicRead})
	x.must(err)
	route, err := x.driver.Router.Route(x.c, x.observe(), astern.Target{Address: x.c.Address(), Revision: "v1"}, astern.Options{Verb: astern.VerbRollback, Percent: 100})
	x.must(err)
	for what, text := range map[string]string{"the target": x.evidence("v1"), "the plan": strings.Join(route.Notes, "\n")} {
		if !strings.Contains(text, "an ACL grants what is served to AllUsers, and what is put again is granted to nobody") {
			t.Errorf("%s: %s", what, text)
		}
	}
	x.cloud.Inject(t, awstest.Fault{Operation: "GetObjectAcl", About: x.clients.p.Bucket + "/404.html", Status: 403, Code: "AccessDenied", Message: "Access Denied"})
	if text := x.evidence("v1"); !strings.Contains(text, "at risk: whether visitors read its objects by ACL, which is not copied, is not known") || !strings.Contains(text, "s3:GetObjectAcl") {
		t.Errorf("the ACL can't be read: %s", text)
	}
	if _, op := x.do(x.steps(astern.VerbRollback, "v1", nil)); op.Status != astern.OpDone {
		t.Errorf("the way is blocked: %+v", op)
	}
}
