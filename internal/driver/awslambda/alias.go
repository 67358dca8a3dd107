package awslambda

import (
	"context"
	"fmt"
	"maps"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// point leads the alias to the version and its shares, under the condition that it is as the image says: the call itself is
// refused when somebody was there in between.
// https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html
func (o order) point(ctx context.Context, c *lambda.Client) astern.Op {
	p := o.place
	now, err := askAlias(ctx, c, p)
	switch {
	case err != nil:
		return notStarted(o, err)
	case now.absent:
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: the function has no alias %s", o.doing(), p.Alias))
	case o.is(now):
		return o.pointed()
	case now.revision != o.call.Image[imageRevision] || now.main != o.call.Image[imageVersion] || now.routing() != o.call.Image[imageRouting]:
		return awsapi.Failed(o.changed(now))
	}
	for _, version := range append(sorted(o.shares), o.version) {
		if err := o.runnable(ctx, c, version); err != nil {
			return notStarted(o, err)
		}
	}
	_, err = c.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: &p.Function, Name: &p.Alias, FunctionVersion: &o.version,
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: o.shares}, RevisionId: &now.revision})
	if awsapi.Is(err, "PreconditionFailedException") {
		return awsapi.Failed(o.changed(now))
	}
	if err != nil {
		return awsapi.Failed(awsapi.Explain(err, o.doing(), o.call.Text("arn")+":"+p.Alias))
	}
	return o.readBack(ctx, c)
}

// notStarted is the failure of a step before its effect was asked for: whatever became of the reading, nothing was changed.
func notStarted(o order, err error) astern.Op {
	return astern.Op{Status: astern.OpFailed, Code: astern.CodeOf(err), Error: fmt.Sprintf("%s: %v", o.doing(), err), Hint: astern.HintOf(err)}
}

// runnable refuses a version that can't answer calls.
func (o order) runnable(ctx context.Context, c *lambda.Client, version string) error {
	out, err := c.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &o.place.Function, Qualifier: &version})
	switch {
	case err != nil:
		return awsapi.Explain(err, "looking at version "+version, o.call.Text("arn")+":"+version)
	case out.State == types.StateFailed:
		return astern.Errorf(astern.Refused, "version %s is in the state Failed", version)
	case out.State == types.StatePending:
		return astern.Errorf(astern.Unavailable, "version %s is still being made", version)
	}
	return nil
}

// is reports whether the alias leads where it is to.
func (o order) is(a alias) bool {
	return !a.absent && a.main == o.version && maps.Equal(a.weights, o.shares)
}

func (o order) changed(now alias) error {
	return astern.Errorf(astern.Refused, "%s: somebody else changed the alias in the meantime; it serves %s now", o.doing(), now.main+" "+now.routing()).
		WithHint("look at it (aws lambda get-alias), then plan again")
}

func (o order) pointed() astern.Op {
	return astern.Op{Status: astern.OpDone, Progress: fmt.Sprintf("the alias %s serves version %s", o.place.Alias, o.version)}
}

// readBack asks where the alias leads now.
func (o order) readBack(ctx context.Context, c *lambda.Client) astern.Op {
	now, err := askAlias(ctx, c, o.place)
	switch {
	case err != nil:
		return running(nil, err)
	case o.is(now):
		return o.pointed()
	}
	return astern.Op{Status: astern.OpUnsure, Code: astern.Conflict, Error: o.changed(now).Error()}
}

// findPoint looks where the alias leads.
func (o order) findPoint(ctx context.Context, c *lambda.Client) astern.Found {
	now, err := askAlias(ctx, c, o.place)
	switch {
	case err != nil:
		return astern.Found{Answer: astern.FoundUnknown, Because: awsapi.OneLine(err.Error())}
	case o.is(now):
		op := o.pointed()
		return astern.Found{Answer: astern.FoundYes, Op: &op}
	}
	return astern.Found{Answer: astern.FoundNo, Because: "the alias serves version " + now.main + " " + now.routing()}
}
