package awsecs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// update points the service to the definition, or has its tasks replaced. The call has no condition: that the service is as
// the image says is looked at right before, and the deployment of somebody else who comes in that moment is seen after.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
func (o order) update(ctx context.Context) astern.Op {
	d, err := o.askDefinition(ctx, o.definition)
	switch {
	case err != nil:
		return o.notStarted(err)
	case !d.active() && o.call.Verb == verbUpdate:
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: the task definition is %s", o.doing(), d.Status).
			WithHint("plan again: it is then registered again from its description"))
	}
	p, err := o.askPair(ctx) // last, so that it is right before
	if err != nil {
		return o.notStarted(err)
	}
	now := primary(p.service)
	switch {
	case aws.ToString(p.service.Status) != "ACTIVE":
		return awsapi.Failed(o.deleted(p))
	case aws.ToString(now.Id) != o.call.Image[imagePrimary] || aws.ToString(now.TaskDefinition) != o.call.Image[imageDefinition]:
		return awsapi.Failed(o.changed(now))
	}
	in := &ecs.UpdateServiceInput{Cluster: &o.Cluster, Service: &o.Service, ForceNewDeployment: o.call.Verb == verbForce || aws.ToString(now.TaskDefinition) == o.definition}
	if o.call.Verb == verbUpdate { // the tasks of what somebody deployed just now may be replaced, too, but not by others
		in.TaskDefinition = &o.definition
	}
	if _, err = o.ecs.UpdateService(ctx, in); err != nil {
		return awsapi.Failed(awsapi.Explain(err, o.doing(), o.resource()))
	}
	return going("the deployment begins")
}

func (o order) changed(now types.Deployment) error {
	return astern.Errorf(astern.Refused, "%s: somebody else deployed the service in the meantime: %s", o.doing(), nameOf(aws.ToString(now.TaskDefinition))).
		WithHint("look at it (aws ecs describe-services), then plan again")
}

// deleted says that the service is not ACTIVE any more.
func (o order) deleted(p pair) error {
	return astern.Errorf(astern.Refused, "%s: the service is %s", o.doing(), aws.ToString(p.service.Status)).WithHint("look at it (aws ecs describe-services), then plan again")
}

// mine returns the record of the step's deployment: the first after the image that deploys the definition.
func (o order) mine(ctx context.Context) (mine record, others []record, found bool, err error) {
	records, err := o.askRecords(ctx)
	if err != nil {
		return record{}, nil, false, err
	}
	records = slices.DeleteFunc(records, o.before)
	if err := o.resolveRecords(ctx, records); err != nil {
		return record{}, nil, false, err
	}
	slices.Reverse(records) // the oldest first
	for _, r := range records {
		switch {
		case r.definition == o.definition && !found:
			mine, found = r, true
		case r.definition == o.definition && mine.status == types.ServiceDeploymentStatusStopped:
			mine = r // somebody had the same deployed anew, which goes on in its place
		default:
			others = append(others, r)
		}
	}
	return mine, others, found, nil
}

// findUpdate looks for a deployment that was not there before.
func (o order) findUpdate(ctx context.Context) astern.Found {
	_, others, found, err := o.mine(ctx)
	switch {
	case astern.CodeOf(err) == astern.NotFound:
		return astern.Found{Answer: astern.FoundNo, Because: "the service is not there any more"}
	case err != nil:
		return cantTell(err)
	case found:
		op := o.follow(ctx)
		if op.Status == astern.OpUnsure { // the deployment was made, and what has become of it is for a person to judge
			return astern.Found{Answer: astern.FoundUnknown, Because: op.Error}
		}
		return astern.Found{Answer: astern.FoundYes, Op: &op}
	case len(others) > 0:
		return astern.Found{Answer: astern.FoundNo, Because: "somebody else deployed " + nameOf(others[0].definition) + ", and nobody " + nameOf(o.definition)}
	}
	return astern.Found{Answer: astern.FoundNo, Because: "the service was not deployed since"}
}

// follow asks how far the step's deployment is. Only its record tells: after the circuit breaker's rollback the service is
// stable, too.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeployment.html
func (o order) follow(ctx context.Context) astern.Op {
	mine, others, found, err := o.mine(ctx)
	if err != nil {
		return o.unread(err)
	}
	p, err := o.askPair(ctx)
	if err != nil {
		return o.unread(err)
	}
	now := primary(p.service)
	switch {
	case aws.ToString(p.service.Status) != "ACTIVE":
		return awsapi.Failed(o.deleted(p))
	case !found && len(others) > 0 && aws.ToString(now.TaskDefinition) != o.definition:
		return awsapi.Failed(o.changed(now))
	case !found:
		return going("the deployment is not shown yet")
	}
	status := fmt.Sprintf("%d of %d run", now.RunningCount, p.service.DesiredCount)
	switch mine.status {
	case types.ServiceDeploymentStatusSuccessful:
		return o.successful(p, mine, others)
	case types.ServiceDeploymentStatusRollbackSuccessful, types.ServiceDeploymentStatusStopped, types.ServiceDeploymentStatusRollbackFailed:
		return o.unsuccessful(ctx, p, mine, others)
	case types.ServiceDeploymentStatusRollbackInProgress, types.ServiceDeploymentStatusRollbackRequested, types.ServiceDeploymentStatusStopRequested:
		return going("it failed and is being taken back: " + mine.reason)
	}
	if now.FailedTasks > 0 {
		status += "; " + o.whyFailing(ctx, mine.created, o.Service)
	}
	return going(strings.TrimSuffix(status, "; "))
}

// successful is over when nothing else is left of what ran before. What somebody else deployed just before or since is told; where
// the service is to run theirs nothing is left of the step.
func (o order) successful(p pair, mine record, others []record) astern.Op {
	now := primary(p.service)
	switch {
	case aws.ToString(now.TaskDefinition) != o.definition:
		return awsapi.Failed(o.overtaken(now))
	case len(p.service.Deployments) > 1:
		return going("the last tasks of what ran before end")
	}
	progress := fmt.Sprintf("%d of %d run %s", now.RunningCount, p.service.DesiredCount, o.call.Text("revision"))
	for _, r := range others {
		when := "just before it, whose place it took"
		if r.created.After(mine.created) {
			when = "since, which is over"
		}
		progress += fmt.Sprintf("; somebody else deployed %s %s", nameOf(r.definition), when)
	}
	return astern.Op{Status: astern.OpDone, Progress: progress}
}

// overtaken says that the step's deployment is not what the service runs, or is to run: nothing of it is left.
func (o order) overtaken(now types.Deployment) error {
	return astern.Errorf(astern.Conflict, "%s: it was done, and somebody else has deployed %s since", o.doing(), nameOf(aws.ToString(now.TaskDefinition))).
		WithHint("look at it (aws ecs describe-services), then plan again")
}

// unread is a deployment that could not be asked for now, or whose service is gone.
func (o order) unread(err error) astern.Op {
	if astern.CodeOf(err) == astern.NotFound {
		return o.notStarted(err)
	}
	return running(err)
}

// unsuccessful says why the deployment failed. One that was taken back had no lasting effect; one that was not leaves the
// service half-way.
func (o order) unsuccessful(ctx context.Context, p pair, mine record, others []record) astern.Op {
	why := mine.reason
	if text := o.whyFailing(ctx, mine.created, o.Service); text != "" {
		why += " " + text
	}
	now := primary(p.service)
	if last := len(others) - 1; last >= 0 && others[last].created.After(mine.created) && aws.ToString(now.TaskDefinition) != o.definition {
		return awsapi.Failed(o.overtaken(now))
	}
	if mine.status == types.ServiceDeploymentStatusRollbackSuccessful && len(others) == 0 {
		err := astern.Errorf(astern.Refused, "%s: the deployment failed and ECS took it back, so the service runs %s: %s", o.doing(), nameOf(aws.ToString(now.TaskDefinition)), why)
		return astern.Op{Status: astern.OpFailed, Code: astern.Refused, Error: err.Error(), Hint: "choose another target: astern targets lists them with what speaks for and against each"}
	}
	return astern.Op{Status: astern.OpUnsure, Code: astern.Conflict, Error: fmt.Sprintf("%s: the deployment failed (%s) and was not taken back, the service is to become %s: %s",
		o.doing(), mine.status, nameOf(aws.ToString(now.TaskDefinition)), why)}
}

// whyFailing tells of tasks of the definition that failed since the deployment began, "" when none did or they can't be read.
func (o order) whyFailing(ctx context.Context, since time.Time, service string) string {
	failures, err := o.askFailures(ctx, service)
	if err != nil {
		return ""
	}
	failures = slices.DeleteFunc(failures, func(f failure) bool { return f.definition != o.definition || f.at.Before(since) })
	if len(failures) == 0 {
		return ""
	}
	d, err := o.askDefinition(ctx, o.definition)
	if err != nil {
		return strings.TrimSpace(failures[0].why)
	}
	return o.tell(ctx, failures, d.TaskDefinition)
}
