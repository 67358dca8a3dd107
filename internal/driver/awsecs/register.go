package awsecs

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// register makes a copy of a task definition, its images by digest, which carries the revision's name. The description, which
// may hold secrets in its environment, goes from one call into the other and nowhere else.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html
func (o order) register(ctx context.Context) astern.Op {
	from, err := o.askDefinition(ctx, o.definition)
	if err != nil {
		return o.notStarted(err)
	}
	if from.name != o.call.Text("revision") {
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: the task definition %s is %s", o.doing(), nameOf(o.definition), from.name).WithHint("plan again"))
	}
	in, err := o.copyOf(from)
	if err != nil {
		return awsapi.Failed(err)
	}
	out, err := o.ecs.RegisterTaskDefinition(ctx, in)
	if err != nil {
		return awsapi.Failed(awsapi.ExplainQuietly(err, o.doing(), o.resource()))
	}
	return o.registered(aws.ToString(out.TaskDefinition.TaskDefinitionArn))
}

// copyOf is what is registered.
func (o order) copyOf(d definition) (*ecs.RegisterTaskDefinitionInput, error) {
	in := &ecs.RegisterTaskDefinitionInput{Family: d.Family, Cpu: d.Cpu, Memory: d.Memory, EnableFaultInjection: d.EnableFaultInjection,
		EphemeralStorage: d.EphemeralStorage, ExecutionRoleArn: d.ExecutionRoleArn, TaskRoleArn: d.TaskRoleArn,
		IpcMode: d.IpcMode, PidMode: d.PidMode, NetworkMode: d.NetworkMode, PlacementConstraints: d.PlacementConstraints, ProxyConfiguration: d.ProxyConfiguration,
		RequiresCompatibilities: d.RequiresCompatibilities, RuntimePlatform: d.RuntimePlatform, Volumes: d.Volumes}
	left := len(o.pins)
	for _, c := range d.ContainerDefinitions {
		if pin := o.pins[aws.ToString(c.Name)]; pin != "" {
			c.Image = &pin
			left--
		}
		in.ContainerDefinitions = append(in.ContainerDefinitions, c)
	}
	if left != 0 {
		return nil, astern.Errorf(astern.Invalid, "%s: the plan names an image of a container that it does not have", o.doing()).WithHint("plan again")
	}
	own := map[string]string{tagRevision: d.name, tagOrigin: d.origin(), tagToken: o.call.Token}
	for _, t := range d.tags {
		if _, ok := own[aws.ToString(t.Key)]; !ok && !strings.HasPrefix(aws.ToString(t.Key), "aws:") { // AWS alone sets those
			in.Tags = append(in.Tags, t)
		}
	}
	for _, key := range []string{tagRevision, tagOrigin, tagToken} {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(key), Value: aws.String(own[key])})
	}
	return in, nil
}

func (o order) registered(arn string) astern.Op {
	if !arnShape.MatchString(arn) {
		return astern.Op{Status: astern.OpUnsure, Code: astern.Internal, Error: fmt.Sprintf("%s: %q is no ARN of a task definition", o.doing(), awsapi.OneLine(arn))}
	}
	return astern.Op{Status: astern.OpDone, Outputs: map[string]astern.Arg{"definition": astern.Text(arn)}, Progress: "it is " + nameOf(arn)}
}

// findCopy looks for a definition of the family that carries the step's token, among the newest.
func (o order) findCopy(ctx context.Context) astern.Found {
	family := arnShape.FindStringSubmatch(o.definition)[1]
	newest, err := o.askFamily(ctx, family, types.TaskDefinitionStatusActive, newestMost)
	if err != nil {
		return cantTell(err)
	}
	all, err := o.askDefinitions(ctx, newest)
	if err != nil {
		return cantTell(err)
	}
	for _, d := range all {
		if tagOf(d.tags, tagToken) == o.call.Token {
			op := o.registered(d.arn())
			return astern.Found{Answer: astern.FoundYes, Op: &op}
		}
	}
	return astern.Found{Answer: astern.FoundNo, Because: "no task definition of " + family + " carries the step's token"}
}
