package account

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// function builds the program, and publishes two versions of the function; both aliases lead to the second.
func (a *Account) function(ctx context.Context, source string) (err error) {
	if a.code, err = build(ctx, source); err != nil {
		return err
	}
	if err := a.bucket(ctx, artifacts); err != nil {
		return err
	}
	c, name := lambda.NewFromConfig(a.config), Function
	key, err := a.archive(ctx, Older, "title")
	if err != nil {
		return err
	}
	_, err = c.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: &name, Role: roleARN(), Runtime: types.RuntimeProvidedal2023,
		Handler: aws.String("bootstrap"), Timeout: aws.Int32(10), Code: &types.FunctionCode{S3Bucket: aws.String(artifacts), S3Key: &key}})
	if err != nil {
		return doing("making the function "+name, err)
	}
	if _, err = a.publish(ctx, Older); err != nil {
		return err
	}
	version, err := a.update(ctx, Good, "title")
	if err != nil {
		return err
	}
	for _, alias := range []string{Alias, "staging"} {
		if _, err := c.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: &name, Name: &alias, FunctionVersion: &version}); err != nil {
			return doing("making the alias "+alias, err)
		}
	}
	return nil
}

// releaseFunction publishes the bad version: its mapping names a field that no document has.
func (a *Account) releaseFunction(ctx context.Context) error {
	version, err := a.update(ctx, Bad, "headline")
	if err != nil {
		return err
	}
	_, err = lambda.NewFromConfig(a.config).UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: aws.String(Function), Name: aws.String(Alias), FunctionVersion: &version})
	return doing("moving the alias "+Alias, err)
}

// build makes the function's program, as the Lambda of this machine's processor takes it.
func build(ctx context.Context, source string) ([]byte, error) {
	folder, err := os.MkdirTemp("", "rastup-")
	if err != nil {
		return nil, doing("making a folder to build the function in", err)
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "bootstrap")
	c := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", file, "./examples/rastup/indexer")
	c.Dir, c.Env = source, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return nil, doing("building the function", fmt.Errorf("%w\n%s", err, out))
	}
	code, err := os.ReadFile(file)
	return code, doing("reading the function's program", err)
}

// bucket makes one that keeps versions.
func (a *Account) bucket(ctx context.Context, name string) error {
	c := a.s3()
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name,
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(a.config.Region)}})
	if err == nil {
		_, err = c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &name,
			VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}})
	}
	return doing("making the bucket "+name, err)
}

func (a *Account) s3() *s3.Client {
	return s3.NewFromConfig(a.config, func(o *s3.Options) { o.UsePathStyle = true })
}

// archive uploads the archive of a release and returns its key.
func (a *Account) archive(ctx context.Context, release, title string) (string, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	var err error
	for _, f := range []struct {
		name, content string
		mode          os.FileMode
	}{{"bootstrap", string(a.code), 0o755}, {"mapping.json", fmt.Sprintf(`{"version":%q,"id":"id","title":%q}`, release, title), 0o644}} {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
		h.SetMode(f.mode)
		w, e := z.CreateHeader(h)
		if e == nil {
			_, e = w.Write([]byte(f.content))
		}
		if err == nil {
			err = e
		}
	}
	if e := z.Close(); err == nil {
		err = e
	}
	key := "search-indexer/" + release + ".zip"
	if err == nil {
		_, err = a.s3().PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(artifacts), Key: &key, Body: bytes.NewReader(b.Bytes()),
			ChecksumAlgorithm: s3types.ChecksumAlgorithmSha256})
	}
	return key, doing("uploading the archive of "+release, err)
}

// update gives the function the code of a release, and publishes it as a version.
func (a *Account) update(ctx context.Context, release, title string) (version string, err error) {
	key, err := a.archive(ctx, release, title)
	if err != nil {
		return "", err
	}
	_, err = lambda.NewFromConfig(a.config).UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: aws.String(Function), S3Bucket: aws.String(artifacts), S3Key: &key})
	if err != nil {
		return "", doing("updating the function to "+release, err)
	}
	return a.publish(ctx, release)
}

// publish waits until the function's code can be used, and publishes it.
func (a *Account) publish(ctx context.Context, release string) (version string, err error) {
	c := lambda.NewFromConfig(a.config)
	in := &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(Function)}
	err = lambda.NewFunctionActiveWaiter(c, func(o *lambda.FunctionActiveWaiterOptions) { o.MinDelay, o.MaxDelay = quickly, quickly }).Wait(ctx, in, time.Minute)
	if err == nil {
		err = lambda.NewFunctionUpdatedWaiter(c, func(o *lambda.FunctionUpdatedWaiterOptions) { o.MinDelay, o.MaxDelay = quickly, quickly }).Wait(ctx, in, time.Minute)
	}
	if err != nil {
		return "", doing("waiting for the function", err)
	}
	out, err := c.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: aws.String(Function), Description: &release})
	if err != nil {
		return "", doing("publishing "+release, err)
	}
	in.Qualifier = out.Version
	err = lambda.NewFunctionActiveWaiter(c, func(o *lambda.FunctionActiveWaiterOptions) { o.MinDelay, o.MaxDelay = quickly, quickly }).Wait(ctx, in, time.Minute)
	return aws.ToString(out.Version), doing("waiting for "+release, err)
}

// Index calls the function of production as its callers do, and returns what it answers, and whether that is an error.
func (a *Account) Index(ctx context.Context) (answered string, failed bool, err error) {
	out, err := lambda.NewFromConfig(a.config).Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(Function), Qualifier: aws.String(Alias),
		Payload: []byte(`{"documents":[{"id":"7","title":"House DJ"},{"id":"8","title":"Wedding DJ"}]}`)})
	if err != nil {
		return "", false, doing("calling the function", err)
	}
	return strings.TrimSpace(string(out.Payload)), out.FunctionError != nil, nil
}
