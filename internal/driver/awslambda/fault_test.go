package awslambda

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	emulated "github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/lab/labtest"
)

// Every call of every plan meets every fault, and somebody else.
func TestEveryFault(t *testing.T) {
	labtest.Run(t, awstest.Start(t).Moto, 80,
		labtest.Plan{Name: "alias at once", New: func(t testing.TB, a *labtest.Account) labtest.World {
			return newTried(t, a, false).world(100)
		}},
		labtest.Plan{Name: "weighted shift", New: func(t testing.TB, a *labtest.Account) labtest.World {
			return newTried(t, a, false).world(25)
		}},
		labtest.Plan{Name: "archive redeployed", New: func(t testing.TB, a *labtest.Account) labtest.World {
			return newTried(t, a, true).world(100)
		}},
	)
}

// tried is a function with two revisions, v1 and v2, of which its alias serves the second. Of one that is archived the first is
// left in its archive alone.
type tried struct {
	testing.TB
	*labtest.Account
	lambda   *lambda.Client
	s3       *s3.Client
	archive  *Archive
	versions []string
	hash     string // of v1's code
	object   string // version of v1's archive
}

func newTried(t testing.TB, a *labtest.Account, archived bool) *tried {
	t.Helper()
	w := &tried{TB: t, Account: a, lambda: lambda.NewFromConfig(a.Config), s3: s3.NewFromConfig(a.Config, func(o *s3.Options) { o.UsePathStyle = true })}
	ctx := t.Context()
	role, err := iam.NewFromConfig(a.Config).CreateRole(ctx, &iam.CreateRoleInput{RoleName: &a.ID, AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[]}`)})
	w.must(err)
	for i, rev := range []string{"v1", "v2"} {
		var sum *string
		if i == 0 {
			out, err := w.lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: &a.ID, Role: role.Role.Arn, Runtime: types.RuntimePython313,
				Handler: aws.String("main.handler"), Code: &types.FunctionCode{ZipFile: archive(t, rev)}, Environment: withPassword})
			w.must(err)
			sum = out.CodeSha256
			w.hash = hashOf(sum)
		} else {
			w.must(w.update(rev))
		}
		w.later()
		if archived && i == 0 {
			continue
		}
		out, err := w.lambda.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &a.ID, Description: &rev})
		w.must(err)
		w.versions = append(w.versions, *out.Version)
		w.later()
	}
	_, err = w.lambda.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: &a.ID, Name: aws.String("live"), FunctionVersion: &w.versions[len(w.versions)-1]})
	w.must(err)
	if archived {
		w.keep()
	}
	return w
}

// keep puts the archive of v1 into a bucket.
func (w *tried) keep() {
	w.Helper()
	w.archive = &Archive{Bucket: w.ID, Key: "code/{revision}.zip"}
	_, err := w.s3.CreateBucket(w.Context(), &s3.CreateBucketInput{Bucket: &w.ID,
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraintEuCentral1}})
	w.must(err)
	_, err = w.s3.PutBucketVersioning(w.Context(), &s3.PutBucketVersioningInput{Bucket: &w.ID,
		VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}})
	w.must(err)
	w.object, err = w.put("v1")
	w.must(err)
}

// put uploads an archive under the key of v1.
func (w *tried) put(content string) (version string, err error) {
	out, err := w.s3.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &w.ID, Key: aws.String("code/v1.zip"), Body: bytes.NewReader(archive(w, content)),
		ChecksumAlgorithm: s3types.ChecksumAlgorithmSha256})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.VersionId), nil
}

// update puts other code into the function, as soon as Lambda takes it.
func (w *tried) update(content string) error {
	w.later()
	_, err := w.lambda.UpdateFunctionCode(context.Background(), &lambda.UpdateFunctionCodeInput{FunctionName: &w.ID, ZipFile: archive(w, content)})
	return err
}

// later lets Lambda come to its end.
func (w *tried) later() {
	w.Helper()
	_, err := w.Step(context.Background(), 10*time.Second)
	w.must(err)
}

func (w *tried) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// alias is what the alias serves, or why that can't be read.
func (w *tried) alias() string {
	out, err := w.lambda.GetAlias(context.Background(), &lambda.GetAliasInput{FunctionName: &w.ID, Name: aws.String("live")})
	if err != nil {
		return err.Error()
	}
	if out.RoutingConfig != nil && len(out.RoutingConfig.AdditionalVersionWeights) > 0 {
		return fmt.Sprint(*out.FunctionVersion, " ", out.RoutingConfig.AdditionalVersionWeights)
	}
	return *out.FunctionVersion
}

// code is the hash of what a version, or $LATEST, has.
func (w *tried) code(version string) string {
	out, err := w.lambda.GetFunctionConfiguration(context.Background(), &lambda.GetFunctionConfigurationInput{FunctionName: &w.ID, Qualifier: &version})
	if err != nil {
		return err.Error()
	}
	return hashOf(out.CodeSha256)
}

// world is the way back to v1.
func (w *tried) world(percent int) labtest.World {
	c := astern.Component{Environment: "test", Name: w.ID, Kind: Kind}
	c.Settings, _ = json.Marshal(Settings{Settings: w.Settings, Function: w.ID, Alias: "live", Archive: w.archive})
	return labtest.World{Component: c, Driver: New, Others: w.others(), Secrets: []string{password},
		Route: func(ctx context.Context, d astern.Driver) (astern.Route, error) {
			s, err := d.Observer.Observe(ctx, c, astern.Scope{})
			if err != nil {
				return astern.Route{}, err
			}
			return d.Router.Route(c, s, astern.Target{Address: c.Address(), Revision: "v1"}, astern.Options{Verb: astern.VerbRollback, Percent: percent, BakeSeconds: 60})
		},
		Effect: func(e emulated.Entry) string { return fmt.Sprint(e.Operation, " ", e.Parameters["RoutingConfig"]) },
		Reached: func() string {
			a := w.alias()
			return labtest.Differs("the code that "+a+" has", w.code(a), w.hash)
		},
	}
}

// others are what somebody else does meanwhile.
func (w *tried) others() []labtest.Other {
	ctx := context.Background()
	out := []labtest.Other{
		{Name: "publishes and moves the alias", Do: func() error {
			if err := w.update("theirs"); err != nil {
				return err
			}
			w.later()
			v, err := w.lambda.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &w.ID})
			if err != nil {
				return err
			}
			w.versions = append(w.versions, *v.Version)
			_, err = w.lambda.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: &w.ID, Name: aws.String("live"), FunctionVersion: v.Version,
				RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}}})
			return err
		}, Kept: func() string { return labtest.Differs("the alias", w.alias(), w.versions[len(w.versions)-1]) }},
		{Name: "deletes the alias", Do: func() error {
			_, err := w.lambda.DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: &w.ID, Name: aws.String("live")})
			return err
		}, Kept: func() string {
			if _, err := w.lambda.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &w.ID, Name: aws.String("live")}); err == nil {
				return "the alias is there again"
			}
			return ""
		}},
		{Name: "deletes the function", Do: func() error {
			_, err := w.lambda.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &w.ID})
			return err
		}, Kept: func() string {
			if _, err := w.lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &w.ID}); err == nil {
				return "the function is there again"
			}
			return ""
		}},
	}
	if w.archive == nil {
		return append(out, labtest.Other{Name: "deletes the version", Do: func() error {
			// Of a version that the alias needs Lambda refuses it.
			_, _ = w.lambda.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &w.ID, Qualifier: &w.versions[0]})
			return nil
		}, Kept: func() string { return "" }})
	}
	theirs := ""
	return append(out, labtest.Other{Name: "swaps the archive", Do: func() error {
		_, err := w.put("theirs")
		return err
	}, Kept: func() string { return "" }},
		labtest.Other{Name: "changes the code", Do: func() error {
			err := w.update("theirs")
			w.later()
			theirs = w.code(latest)
			return err
		}, Kept: func() string { return labtest.Differs("the code", w.code(latest), theirs) }})
}
