package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/astern-dev/astern"
)

// The shapes of a function: versions that are all published, the same with a layer, and such of which the earlier ones are there
// as archives alone.
const (
	published = "versions"
	layered   = "versions, layer"
	archived  = "archive"
)

var keepsPublished = []string{published, layered}

// function is a function with four revisions; its callers use the alias live, which serves the last.
type function struct {
	*world
	lambda *lambda.Client
	iam    *iam.Client
	s3     *s3.Client
	role   string            // ARN
	layers []string          // ARNs
	number map[string]string // of a revision's version
	hash   map[string]string // of its package
}

var alias = aws.String("live")

func functions() *kind {
	of := func(d *damage) *function { return d.subject.(*function) } // the kind's rows are for its own subject
	needs := onFunction
	deleteVersion := needs(func(ctx context.Context, f *function, d *damage) error {
		_, err := f.lambda.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &f.name, Qualifier: aws.String(f.number[d.target])})
		return err
	})
	deleteRole := needs(func(ctx context.Context, f *function, _ *damage) error {
		_, err := f.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &f.name})
		return err
	})
	deleteAlias := needs(func(ctx context.Context, f *function, _ *damage) error {
		_, err := f.lambda.DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: &f.name, Name: alias})
		return err
	})
	return &kind{name: "aws.lambda", shapes: []string{published, layered, archived}, make: makeFunction, rows: append(archiveRows(), []row{
		{name: "version deleted", read: "ListVersionsByFunction", one: true, shapes: keepsPublished, do: deleteVersion},
		{name: "role deleted", read: "GetRole", do: deleteRole},
		{name: "layer deleted", read: "GetLayerVersion", shapes: []string{layered}, do: needs(func(ctx context.Context, f *function, _ *damage) error {
			_, err := f.lambda.DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: &f.name, VersionNumber: aws.Int64(1)})
			return err
		})},
		{name: "alias deleted", read: "GetAlias", do: deleteAlias},
		{name: "function deleted", read: "GetFunction", do: needs(func(ctx context.Context, f *function, _ *damage) error {
			if err := deleteAlias(ctx, &damage{world: f.world}); err != nil {
				return err
			}
			_, err := f.lambda.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &f.name})
			return err
		})},
		{name: "update of the function in progress", read: "GetFunctionConfiguration", passes: true, do: needs(func(ctx context.Context, f *function, _ *damage) error {
			_, err := f.lambda.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: &f.name, Description: aws.String("being changed")})
			return err
		})},
		{name: "a second operator's weights on the alias", read: "GetAlias", shapes: keepsPublished, do: needs(func(ctx context.Context, f *function, d *damage) error {
			other := f.number["r3"]
			_, err := f.lambda.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: &f.name, Name: alias,
				RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{other: 0.1}}})
			return err
		})},
		{name: "alias moved by a second operator", read: "GetAlias", shapes: keepsPublished, do: needs(func(ctx context.Context, f *function, _ *damage) error {
			return f.point(ctx, "r3")
		})},
		{name: "reserved concurrency is 0", read: "GetFunctionConcurrency", do: needs(func(ctx context.Context, f *function, _ *damage) error {
			_, err := f.lambda.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: &f.name, ReservedConcurrentExecutions: aws.Int32(0)})
			return err
		})},
		{name: "recorded with another hash", read: "CodeSha256, compared with the ledger", one: true, do: func(ctx context.Context, d *damage) error {
			of(d).hash[d.target] = "another" // what is there is not what was deployed last under that name
			return event(astern.Event{Kind: astern.EventDeployed, Hash: "sha256:" + hex.EncodeToString(make([]byte, 32))})(ctx, d)
		}},
		{name: "the state of versions can't be read", read: "GetFunctionConfiguration", do: denied("lambda", "GetFunctionConfiguration")},
		{name: "the function can't be read", read: "ListVersionsByFunction", do: denied("lambda", "ListVersionsByFunction")},
		{name: "reading is throttled", read: "GetFunctionConfiguration", do: throttled("lambda", "GetFunctionConfiguration")},
		{name: "UpdateAlias denied", read: simulated, do: denies("lambda:UpdateAlias")},
		{name: "no policy allows UpdateAlias", read: simulated, do: allowsAllBut("lambda:UpdateAlias")},
		{name: "UpdateAlias denied by the organization", do: denied("lambda", "UpdateAlias")},
		{name: "UpdateAlias throttled", do: throttled("lambda", "UpdateAlias")},
		{name: "after the check: version deleted", read: "ListVersionsByFunction", after: true, one: true, shapes: keepsPublished, do: deleteVersion},
		{name: "after the check: role deleted", read: "GetRole", after: true, do: deleteRole},
		{name: "after the check: alias deleted", read: "GetAlias", after: true, do: deleteAlias},
	}...)}
}

// onFunction makes a row's act of one on its kind's own subject.
func onFunction(do func(context.Context, *function, *damage) error) func(context.Context, *damage) error {
	return func(ctx context.Context, d *damage) error { return do(ctx, d.subject.(*function), d) }
}

// archiveRows are the rows about archives in a bucket.
func archiveRows() []row {
	needs := onFunction
	return []row{
		{name: "archive deleted", read: "list the bucket", one: true, shapes: []string{archived}, do: needs(func(ctx context.Context, f *function, d *damage) error {
			return f.deleteArchive(ctx, d.target)
		})},
		{name: "archive swapped under its key", read: "checksum of the object", one: true, shapes: []string{archived},
			do: needs(func(ctx context.Context, f *function, d *damage) error {
				_, err := f.upload(ctx, d.target, "something else")
				return err
			})},
		{name: "after the check: archive swapped under its key", read: "checksum of the object", after: true, one: true, shapes: []string{archived},
			do: needs(func(ctx context.Context, f *function, d *damage) error {
				_, err := f.upload(ctx, d.target, "something else")
				return err
			})},
		{name: "archives encrypted with a key that is disabled", read: "HeadObject", shapes: []string{archived}, do: func(ctx context.Context, d *damage) error {
			const code = "KMS.DisabledException"
			for _, op := range []string{"HeadObject", "GetObject"} {
				if err := fails("s3", op, http.StatusBadRequest, code)(ctx, d); err != nil {
					return err
				}
			}
			return fails("lambda", "UpdateFunctionCode", http.StatusBadRequest, "InvalidParameterValueException")(ctx, d)
		}},
		{name: "bucket of the archives deleted", read: "list the bucket", shapes: []string{archived}, do: needs(func(ctx context.Context, f *function, _ *damage) error {
			for _, rev := range append(f.targets, f.current) {
				if err := f.deleteArchive(ctx, rev); err != nil {
					return err
				}
			}
			out, err := f.s3.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &f.name})
			if err != nil {
				return err
			}
			for _, v := range out.Versions {
				if _, err := f.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &f.name, Key: v.Key, VersionId: v.VersionId}); err != nil {
					return err
				}
			}
			for _, v := range out.DeleteMarkers {
				if _, err := f.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &f.name, Key: v.Key, VersionId: v.VersionId}); err != nil {
					return err
				}
			}
			_, err = f.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &f.name})
			return err
		})},
	}
}

// makeFunction makes the function. Of the shape archive, every code is kept in a bucket, and only the last is published: the
// others were deleted so long ago that nothing else of them is left.
func makeFunction(ctx context.Context, w *world) (subject, error) {
	f := &function{world: w, lambda: lambda.NewFromConfig(w.aws), iam: iam.NewFromConfig(w.aws), s3: s3.NewFromConfig(w.aws, pathStyle),
		number: map[string]string{}, hash: map[string]string{}}
	w.targets, w.current = []string{"r1", "r2", "r3"}, "r4"
	declaration := fmt.Sprintf("kind: aws.lambda\nwith: {%s, function: %s, alias: live", w.with(), w.name)
	if w.shape == archived {
		declaration += fmt.Sprintf(", archive: {bucket: %s, key: \"code/{revision}.zip\"}", w.name)
	}
	if err := w.declare(declaration + "}\n"); err != nil {
		return nil, err
	}
	role, err := f.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &w.name, AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[]}`)})
	if err != nil {
		return nil, err
	}
	f.role = *role.Role.Arn
	if w.shape == layered {
		if err := f.layer(ctx); err != nil {
			return nil, err
		}
	}
	if w.shape == archived {
		if _, err := f.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &w.name}); err != nil {
			return nil, err
		}
		_, err := f.s3.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &w.name,
			VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}})
		if err != nil {
			return nil, err
		}
	}
	for i, rev := range append(w.targets, w.current) {
		if w.shape == archived && rev != w.current {
			err = f.keep(ctx, rev)
		} else {
			err = f.release(ctx, rev, i == 0 || w.shape == archived)
		}
		if err != nil {
			return nil, fmt.Errorf("releasing %s: %w", rev, err)
		}
	}
	if _, err := f.lambda.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: &w.name, Name: alias, FunctionVersion: aws.String(f.number[w.current])}); err != nil {
		return nil, err
	}
	return f, nil
}

// keep keeps the archive of a revision that was published and deleted, and records it.
func (f *function) keep(ctx context.Context, rev string) error {
	code, err := f.upload(ctx, rev, rev)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(code)
	f.hash[rev] = "sha256:" + hex.EncodeToString(sum[:])
	return f.record(ctx, rev, f.hash[rev])
}

// release publishes a revision and records it.
func (f *function) release(ctx context.Context, rev string, first bool) error {
	code, err := packed(rev)
	if err != nil {
		return err
	}
	if f.shape == archived {
		if code, err = f.upload(ctx, rev, rev); err != nil {
			return err
		}
	}
	if first {
		_, err = f.lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: &f.name, Role: &f.role, Runtime: types.RuntimePython313, Layers: f.layers,
			Handler: aws.String("main.handler"), Code: &types.FunctionCode{ZipFile: code}})
	} else {
		_, err = f.lambda.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &f.name, ZipFile: code})
	}
	if err != nil {
		return err
	}
	if err := f.later(ctx, 5*time.Second); err != nil {
		return err
	}
	out, err := f.lambda.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &f.name, Description: &rev})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(code)
	f.number[rev], f.hash[rev] = *out.Version, "sha256:"+hex.EncodeToString(sum[:])
	if err := f.later(ctx, 5*time.Second); err != nil {
		return err
	}
	return f.record(ctx, rev, f.hash[rev])
}

// layer makes the layer that all versions use.
func (f *function) layer(ctx context.Context) error {
	code, err := packed("a layer")
	if err != nil {
		return err
	}
	out, err := f.lambda.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{LayerName: &f.name, Content: &types.LayerVersionContentInput{ZipFile: code}})
	if err == nil {
		f.layers = []string{*out.LayerVersionArn}
	}
	return err
}

// packed is the code of a revision.
func packed(content string) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("main.py")
	if err == nil {
		_, err = fmt.Fprintf(f, "def handler(event, context):\n    return %q\n", content)
	}
	if err == nil {
		err = z.Close()
	}
	return b.Bytes(), err
}

func pathStyle(o *s3.Options) {
	o.UsePathStyle, o.DisableLogOutputChecksumValidationSkipped = true, true
}

func archiveKey(rev string) *string { return aws.String("code/" + rev + ".zip") }

// upload keeps code as the archive of a revision.
func (f *function) upload(ctx context.Context, rev, content string) ([]byte, error) {
	code, err := packed(content)
	if err != nil {
		return nil, err
	}
	_, err = f.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &f.name, Key: archiveKey(rev), Body: bytes.NewReader(code), ChecksumAlgorithm: s3types.ChecksumAlgorithmSha256})
	return code, err
}

func (f *function) deleteArchive(ctx context.Context, rev string) error {
	_, err := f.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &f.name, Key: archiveKey(rev)})
	return err
}

// point moves the alias whole.
func (f *function) point(ctx context.Context, rev string) error {
	_, err := f.lambda.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: &f.name, Name: alias, FunctionVersion: aws.String(f.number[rev]),
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}}})
	return err
}

func (f *function) back(ctx context.Context) error { return f.point(ctx, f.current) }

func (f *function) reached(ctx context.Context, target string) string {
	out, err := f.lambda.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &f.name, Name: alias})
	if err != nil {
		return seen(err)
	}
	if out.RoutingConfig != nil && len(out.RoutingConfig.AdditionalVersionWeights) > 0 {
		return fmt.Sprintf("others have a share of the alias: %v", out.RoutingConfig.AdditionalVersionWeights)
	}
	is, err := f.lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &f.name, Qualifier: out.FunctionVersion})
	if err != nil {
		return seen(err)
	}
	if hash := hashOf(aws.ToString(is.CodeSha256)); hash != f.hash[target] {
		return fmt.Sprintf("the alias serves version %s with %s", *out.FunctionVersion, hash)
	}
	if is.State != "" && is.State != types.StateActive {
		return "the version is " + string(is.State)
	}
	if _, err := f.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &f.name}); err != nil {
		return "it can't run: " + seen(err)
	}
	return ""
}

func (f *function) byHand(ctx context.Context, target string) error {
	number := f.number[target]
	if number == "" {
		if _, err := f.lambda.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &f.name, S3Bucket: &f.name, S3Key: archiveKey(target)}); err != nil {
			return err
		}
		if err := f.later(ctx, 5*time.Second); err != nil {
			return err
		}
		out, err := f.lambda.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &f.name, Description: &target})
		if err != nil {
			return err
		}
		number = *out.Version
	}
	_, err := f.lambda.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: &f.name, Name: alias, FunctionVersion: &number,
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}}})
	return err
}
