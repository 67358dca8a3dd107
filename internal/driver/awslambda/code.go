package awslambda

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// update makes the archive's object version the function's code. The archive must still be the one that the plan saw.
// https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html
func (o order) update(ctx context.Context, c *lambda.Client, config aws.Config) astern.Op {
	p, key := o.place, o.call.Text("key")
	archive, err := s3.NewFromConfig(config, awsapi.PathStyle).HeadObject(ctx, &s3.HeadObjectInput{Bucket: &p.Archive.Bucket, Key: &key})
	if err != nil {
		return notStarted(o, awsapi.Explain(err, "looking at the archive", "arn:aws:s3:::"+p.Archive.Bucket+"/"+key))
	}
	if is := objectVersion(archive); is != o.call.Text("object") {
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: the archive is %s now, and the plan expects %s", o.doing(), is, awsapi.OneLine(o.call.Text("object"))).
			WithHint("somebody put another archive there: look at it, then plan again"))
	}
	in := &lambda.UpdateFunctionCodeInput{FunctionName: &p.Function, S3Bucket: &p.Archive.Bucket, S3Key: &key}
	if v, ok := strings.CutPrefix(o.call.Text("object"), "version "); ok {
		in.S3ObjectVersion = &v
	}
	if r := o.call.Image[imageRevision]; r != "" {
		in.RevisionId = &r
	}
	_, err = c.UpdateFunctionCode(ctx, in)
	switch {
	case awsapi.Is(err, "PreconditionFailedException"):
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: somebody else changed the function in the meantime", o.doing()).WithHint("look at it, then plan again"))
	case err != nil && strings.Contains(err.Error(), "S3 Error Code: NoSuchKey"):
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: the archive is gone: %w", o.doing(), err))
	case err != nil:
		return awsapi.Failed(awsapi.Explain(err, o.doing(), o.call.Text("arn")))
	}
	return o.updated(ctx, c)
}

// updated waits until the new code is in place.
func (o order) updated(ctx context.Context, c *lambda.Client) astern.Op {
	out, err := c.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &o.place.Function})
	if err = awsapi.Explain(err, o.doing(), o.call.Text("arn")); astern.CodeOf(err) == astern.NotFound {
		return notStarted(o, err) // somebody deleted the function: whatever was put there is nowhere
	}
	if err != nil {
		return running(nil, err)
	}
	switch hash := hashOf(out.CodeSha256); {
	case out.LastUpdateStatus == types.LastUpdateStatusInProgress:
		return astern.Op{Status: astern.OpRunning, Handle: map[string]string{"hash": hash}, Progress: "the code is being put in place", PollSeconds: 1}
	case out.LastUpdateStatus == types.LastUpdateStatusFailed:
		return astern.Op{Status: astern.OpUnsure, Code: astern.Refused, Error: fmt.Sprintf("%s: the update failed: %s", o.doing(), awsapi.OneLine(aws.ToString(out.LastUpdateStatusReason)))}
	case hash == "":
		return astern.Op{Status: astern.OpUnsure, Code: astern.Internal, Error: o.doing() + ": the function says no hash of its code"}
	default:
		return astern.Op{Status: astern.OpDone, Outputs: map[string]astern.Arg{"hash": astern.Text(hash)}, Progress: "the code is " + short(hash)}
	}
}

// findUpdate looks what code the function has. Where the archive's hash is known that tells; else a code that is not the one
// before may be anybody's.
func (o order) findUpdate(ctx context.Context, c *lambda.Client) astern.Found {
	op := o.updated(ctx, c)
	hash, wanted := op.Outputs["hash"].Literal, o.call.Text("hash")
	switch {
	case op.Status == astern.OpRunning && wanted != "" && op.Handle["hash"] == wanted:
		return astern.Found{Answer: astern.FoundYes, Op: &op}
	case op.Status == astern.OpFailed:
		return astern.Found{Answer: astern.FoundNo, Because: awsapi.OneLine(op.Error)}
	case op.Status != astern.OpDone:
		return astern.Found{Answer: astern.FoundUnknown, Because: awsapi.OneLine(op.Progress + op.Error)}
	case wanted != "" && hash == wanted:
		return astern.Found{Answer: astern.FoundYes, Op: &op}
	case wanted != "", hash == o.call.Image[imageHash]:
		return astern.Found{Answer: astern.FoundNo, Because: op.Progress}
	}
	return astern.Found{Answer: astern.FoundUnknown, Because: fmt.Sprintf("%s, and what the archive holds is not known", op.Progress)}
}

// publish makes a version of the function's code, under the condition that it is the code that was put there.
// https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html
func (o order) publish(ctx context.Context, c *lambda.Client) astern.Op {
	in := &lambda.PublishVersionInput{FunctionName: &o.place.Function, CodeSha256: aws.String(sumOf(o.call.Text("hash"))),
		Description: aws.String(o.call.Text("revision"))}
	if r := o.call.Image[imageRevision]; r != "" {
		in.RevisionId = &r
	}
	out, err := c.PublishVersion(ctx, in)
	switch {
	case awsapi.Is(err, "PreconditionFailedException"), awsapi.Is(err, "InvalidParameterValueException") && strings.Contains(err.Error(), "CodeSHA256"):
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: somebody else changed the function in the meantime", o.doing()).WithHint("look at it, then plan again"))
	case err != nil:
		return awsapi.Failed(awsapi.Explain(err, o.doing(), o.call.Text("arn")))
	}
	// The cloud does not publish what did not change since the last version: it answers with that one.
	number, err := strconv.ParseInt(aws.ToString(out.Version), 10, 64)
	if highest, bad := strconv.ParseInt(o.call.Image[imageHighest], 10, 64); err == nil && bad == nil && number <= highest {
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: its code and configuration are those of version %d, so there is nothing to publish", o.doing(), number).
			WithHint("go to that version: astern targets lists it"))
	}
	return o.published(ctx, c, aws.ToString(out.Version))
}

// published waits until the version can be called.
func (o order) published(ctx context.Context, c *lambda.Client, version string) astern.Op {
	handle := map[string]string{"version": version}
	if !digits.MatchString(version) {
		return astern.Op{Status: astern.OpUnsure, Code: astern.Internal, Error: fmt.Sprintf("%s: %q is no version", o.doing(), awsapi.OneLine(version))}
	}
	out, err := c.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &o.place.Function, Qualifier: &version})
	if err = awsapi.Explain(err, o.doing(), o.call.Text("arn")+":"+version); astern.CodeOf(err) == astern.NotFound {
		return astern.Op{Status: astern.OpUnsure, Code: astern.NotFound, Error: err.Error()} // it may not be everywhere yet, or is gone
	}
	if err != nil {
		return running(handle, err)
	}
	switch {
	case out.State == types.StatePending:
		return astern.Op{Status: astern.OpRunning, Handle: handle, Progress: "version " + version + " is being made", PollSeconds: 1}
	case out.State == types.StateFailed:
		return astern.Op{Status: astern.OpUnsure, Code: astern.Refused, Error: fmt.Sprintf("%s: version %s failed: %s", o.doing(), version, awsapi.OneLine(aws.ToString(out.StateReason)))}
	}
	return astern.Op{Status: astern.OpDone, Outputs: map[string]astern.Arg{"version": astern.Text(version)}, Progress: "it is version " + version}
}

// findPublish looks for a version that was not there before, with this name and this code.
func (o order) findPublish(ctx context.Context, c *lambda.Client) astern.Found {
	f, err := ask(ctx, c, o.place)
	switch {
	case astern.CodeOf(err) == astern.NotFound:
		return astern.Found{Answer: astern.FoundNo, Because: awsapi.OneLine(err.Error())}
	case err != nil:
		return astern.Found{Answer: astern.FoundUnknown, Because: awsapi.OneLine(err.Error())}
	}
	before, err := strconv.ParseInt(o.call.Image[imageHighest], 10, 64)
	if err != nil {
		return astern.Found{Answer: astern.FoundUnknown, Because: "the image says no version"}
	}
	for _, v := range f.versions {
		if v.number > before && v.hash == o.call.Text("hash") && aws.ToString(v.config.Description) == o.call.Text("revision") {
			op := o.published(ctx, c, strconv.FormatInt(v.number, 10))
			return astern.Found{Answer: astern.FoundYes, Op: &op}
		}
	}
	return astern.Found{Answer: astern.FoundNo, Because: fmt.Sprintf("there is no version after %d with its name and code", before)}
}
