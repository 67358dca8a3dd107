package awsecs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// startShare puts the temporary service beside the service, set up as that is. A name belongs to one service: the call itself
// is refused when there is another.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html
func (o order) startShare(ctx context.Context) astern.Op {
	p, err := o.askPair(ctx)
	if err != nil {
		return o.notStarted(err)
	}
	now := primary(p.service)
	switch {
	case p.share != nil && tagOf(p.share.Tags, tagToken) == o.call.Token:
		return o.shared(ctx, p)
	case p.share != nil || p.foreign:
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: there is a service %s already", o.doing(), o.beside()).WithHint("look at it, then plan again"))
	case aws.ToString(p.service.Status) != "ACTIVE":
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: the service is %s", o.doing(), aws.ToString(p.service.Status)))
	case aws.ToString(now.Id) != o.call.Image[imagePrimary] || aws.ToString(now.TaskDefinition) != o.call.Image[imageDefinition]:
		return awsapi.Failed(o.changed(now))
	}
	_, err = o.ecs.CreateService(ctx, o.temporary(p.service))
	if awsapi.Is(err, "InvalidParameterException") && strings.Contains(err.Error(), "idempotent") {
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: somebody else made a service %s in the meantime", o.doing(), o.beside()).WithHint("look at it, then plan again"))
	}
	if err != nil {
		return awsapi.Failed(awsapi.Explain(err, o.doing(), o.resource()))
	}
	return going("its tasks start")
}

// temporary is the service that takes the share: as the first, but for what it runs and how many. It has nothing to go back
// to, so its deployment just ends when its tasks don't start.
func (o order) temporary(s *types.Service) *ecs.CreateServiceInput {
	d := primary(s)
	in := &ecs.CreateServiceInput{Cluster: &o.Cluster, ServiceName: aws.String(o.beside()), TaskDefinition: &o.definition,
		DesiredCount: aws.Int32(int32(o.count)), ClientToken: &o.call.Token,
		AvailabilityZoneRebalancing: s.AvailabilityZoneRebalancing, EnableECSManagedTags: s.EnableECSManagedTags, EnableExecuteCommand: s.EnableExecuteCommand,
		HealthCheckGracePeriodSeconds: s.HealthCheckGracePeriodSeconds, LoadBalancers: s.LoadBalancers, NetworkConfiguration: s.NetworkConfiguration,
		PlacementConstraints: s.PlacementConstraints, PlacementStrategy: s.PlacementStrategy, PlatformVersion: s.PlatformVersion,
		ServiceRegistries: s.ServiceRegistries, ServiceConnectConfiguration: d.ServiceConnectConfiguration,
		DeploymentConfiguration: &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true}}}
	if in.CapacityProviderStrategy = s.CapacityProviderStrategy; len(s.CapacityProviderStrategy) == 0 {
		in.LaunchType = s.LaunchType
	}
	if s.PropagateTags != types.PropagateTagsNone {
		in.PropagateTags = s.PropagateTags
	}
	if conf := s.DeploymentConfiguration; conf != nil && conf.Alarms != nil && conf.Alarms.Enable {
		in.DeploymentConfiguration.Alarms = &types.DeploymentAlarms{AlarmNames: conf.Alarms.AlarmNames, Enable: true}
	}
	if role := aws.ToString(s.RoleArn); role != "" && !strings.Contains(role, "/aws-service-role/") {
		in.Role = &role
	}
	for _, t := range s.Tags {
		if key := aws.ToString(t.Key); !strings.HasPrefix(key, "aws:") && !strings.HasPrefix(key, "astern:") {
			in.Tags = append(in.Tags, t)
		}
	}
	in.Tags = append(in.Tags, types.Tag{Key: aws.String(tagShareOf), Value: &o.Service}, types.Tag{Key: aws.String(tagToken), Value: aws.String(o.call.Token)})
	return in
}

// findShare looks for the temporary service with the step's token.
func (o order) findShare(ctx context.Context) astern.Found {
	p, err := o.askPair(ctx)
	switch {
	case err != nil:
		return cantTell(err)
	case p.share == nil:
		return astern.Found{Answer: astern.FoundNo, Because: "there is no service " + o.beside()}
	case tagOf(p.share.Tags, tagToken) != o.call.Token:
		return astern.Found{Answer: astern.FoundNo, Because: "the service " + o.beside() + " was made by another step"}
	}
	op := o.shared(ctx, p)
	if op.Status == astern.OpUnsure {
		return astern.Found{Answer: astern.FoundUnknown, Because: op.Error}
	}
	return astern.Found{Answer: astern.FoundYes, Op: &op}
}

// pollShare asks how far the temporary service is.
func (o order) pollShare(ctx context.Context) astern.Op {
	p, err := o.askPair(ctx)
	switch {
	case err != nil:
		return o.unread(err)
	case p.share == nil || tagOf(p.share.Tags, tagToken) != o.call.Token:
		return astern.Op{Status: astern.OpUnsure, Code: astern.Conflict, Error: fmt.Sprintf("%s: somebody deleted the service %s", o.doing(), o.beside())}
	}
	return o.shared(ctx, p)
}

// shared says how far the temporary service is. One whose tasks don't start is left as it is: it takes no share, and undoing
// the step deletes it.
func (o order) shared(ctx context.Context, p pair) astern.Op {
	d := primary(p.share)
	progress := fmt.Sprintf("%d of %d run beside", d.RunningCount, o.count)
	why := ""
	if d.FailedTasks > 0 || d.RolloutState == types.DeploymentRolloutStateFailed {
		why = o.whyFailing(ctx, aws.ToTime(d.CreatedAt), o.beside())
	}
	switch {
	case d.RolloutState == types.DeploymentRolloutStateCompleted:
		return astern.Op{Status: astern.OpDone, Progress: progress}
	case d.RolloutState == types.DeploymentRolloutStateFailed:
		return astern.Op{Status: astern.OpUnsure, Code: astern.Refused, Error: strings.TrimSpace(fmt.Sprintf("%s: %s %s; the service itself runs as before, and %s can be deleted",
			o.doing(), awsapi.OneLine(aws.ToString(d.RolloutStateReason)), why, o.beside())),
			Hint: "cancel, and delete it: " + o.command("delete-service", "--service", o.beside(), "--force")}
	case why != "":
		progress += "; " + why
	}
	return going(progress)
}

// startEnd deletes the temporary service.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteService.html
func (o order) startEnd(ctx context.Context) astern.Op {
	p, err := o.askPair(ctx)
	switch {
	case err != nil:
		return o.notStarted(err)
	case p.foreign:
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: it is not astern's", o.doing()))
	case p.share == nil || aws.ToString(p.share.Status) != "ACTIVE":
		return o.ended(p)
	case o.another(p):
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: somebody else put another one there in the meantime", o.doing()).WithHint("look at it (aws ecs describe-services), then plan again"))
	case o.loses(p):
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: the service %s runs no task, so all that runs would end", o.doing(), o.Service))
	}
	_, err = o.ecs.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: &o.Cluster, Service: aws.String(o.beside()), Force: aws.Bool(true)})
	if err != nil && !awsapi.Is(err, "ServiceNotActiveException", "ServiceNotFoundException") {
		return awsapi.Failed(awsapi.Explain(err, o.doing(), o.resource()))
	}
	return going("its tasks end")
}

// another reports whether the temporary service is not the one that the image knows. (The image of an older astern knows of none.)
func (o order) another(p pair) bool {
	was, known := o.call.Image[imageShare]
	return known && was != p.shareToken()
}

// loses reports whether only the temporary service runs anything.
func (o order) loses(p pair) bool {
	return p.service.DesiredCount > 0 && p.service.RunningCount == 0 && slices.ContainsFunc(p.share.Deployments, func(d types.Deployment) bool { return d.RunningCount > 0 })
}

// ended says how far the temporary service is on its way out.
func (o order) ended(p pair) astern.Op {
	if p.share == nil {
		return astern.Op{Status: astern.OpDone, Progress: o.beside() + " is gone"}
	}
	return going(fmt.Sprintf("%s is %s, %d tasks left", o.beside(), aws.ToString(p.share.Status), p.share.RunningCount))
}

// pollEnd asks how far the deletion is.
func (o order) pollEnd(ctx context.Context) astern.Op {
	p, err := o.askPair(ctx)
	if err != nil && astern.CodeOf(err) != astern.NotFound { // that the service itself is gone is another matter
		return running(err)
	}
	return o.ended(p)
}

// findEnd looks whether the temporary service is gone, or goes.
func (o order) findEnd(ctx context.Context) astern.Found {
	p, err := o.askPair(ctx)
	switch {
	case err != nil:
		return cantTell(err)
	case p.share != nil && !p.foreign && o.another(p): // ours may have gone before that one came: another attempt would end theirs
		return astern.Found{Answer: astern.FoundUnknown, Because: o.beside() + " is another one than this step was to end: somebody else put it there in the meantime"}
	case p.foreign || p.share != nil && aws.ToString(p.share.Status) == "ACTIVE":
		return astern.Found{Answer: astern.FoundNo, Because: o.beside() + " is ACTIVE"}
	}
	op := o.ended(p)
	return astern.Found{Answer: astern.FoundYes, Op: &op}
}
