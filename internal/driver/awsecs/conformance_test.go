package awsecs

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/awslaw"
	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/lab"
)

func TestConformance(t *testing.T) {
	a := start(t)
	law := awslaw.Watch(t)
	a.conformance(law).Run(t)
	law.Holds(t, map[string]string{"ecs:RegisterTaskDefinition": "TestRegisteredAgain does", "ecs:CreateService": "TestShare does", "ecs:DeleteService": "TestShare does",
		"cloudwatch:DescribeAlarms": "TestAlarms does", "logs:GetLogEvents": "TestBreaker does", "s3:ListBucket": "TestFiles does", "ssm:DescribeParameters": "no task here has a parameter for a secret",
		"ecs:TagResource": "ECS asks for it where what is made has tags", "iam:PassRole": "ECS asks for it where a task definition has roles"})
}

func (a *account) conformance(law *awslaw.Law) drivertest.Suite {
	driver := a.hurried(New(law.Accounts, a.lookup))
	return drivertest.Suite{
		Driver: driver,
		New: func(t testing.TB) drivertest.World {
			a.ClearFaults()
			a.plain = !strings.Contains(t.Name(), "broken") // only what is broken there is about more
			w := a.service(nil)
			law.Needs(driver.Permitter.Permissions(w.c))
			return drivertest.World{Component: w.c, Old: w.old, New: w.new, History: w.history, Secrets: []string{password, inTheClear}, Place: "aws:" + awslaw.Region,
				Snapshot: func(testing.TB) map[string]string { return w.snapshot() }}
		},
		Data:     hostileData,
		Compared: hostileCompared,
		Breaks:   a.bound(breaks),
	}
}

// broken is a way to damage a world, with what that makes of its first revision.
type broken struct {
	name string
	want astern.Readiness
	do   func(ctx context.Context, w *world) error
}

// unseenRole is the damage that is beside the way.
const unseenRole = "the role may not be looked at"

var breaks = []broken{
	{"the image was deleted", astern.Broken, func(_ context.Context, w *world) error { return w.remove("v1") }},
	{"the repository was deleted", astern.Broken, func(ctx context.Context, w *world) error {
		_, err := w.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &w.name, Force: true})
		return err
	}},
	{"the tag means another image", astern.AtRisk, func(_ context.Context, w *world) error { w.push("v1", nil); return nil }},
	{"the tag means another image and the old one is gone", astern.Broken, func(_ context.Context, w *world) error {
		err := w.remove("v1")
		w.push("v1", nil)
		return err
	}},
	{"the registry is about to delete the image", astern.AtRisk, func(ctx context.Context, w *world) error {
		_, err := w.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: &w.name, LifecyclePolicyText: aws.String(
			`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`)})
		return err
	}},
	{"the task definition is INACTIVE", astern.AtRisk, func(ctx context.Context, w *world) error {
		_, err := w.ecs.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &w.old})
		return err
	}},
	{"the role was deleted", astern.Broken, func(ctx context.Context, w *world) error {
		_, err := w.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &w.name})
		return err
	}},
	{"the secret was deleted", astern.Broken, func(ctx context.Context, w *world) error {
		_, err := w.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &w.name})
		return err
	}},
	{"the log group was deleted", astern.Broken, func(ctx context.Context, w *world) error {
		_, err := w.logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &w.name})
		return err
	}},
	{"the service was deleted", astern.Broken, func(ctx context.Context, w *world) error {
		_, err := w.ecs.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: &w.name, Service: &w.name, Force: aws.Bool(true)})
		return err
	}},
	{unseenRole, astern.ReadyUnknown, denied("iam", "GetRole")},
	{"the registry may not be looked at", astern.ReadyUnknown, denied("ecr", "DescribeImages")},
	{"the deployments may not be looked at", astern.ReadyUnknown, denied("ecs", "ListServiceDeployments")},
	{"the task definitions may not be looked at", astern.ReadyUnknown, denied("ecs", "DescribeTaskDefinition")},
}

func denied(service, operation string) func(context.Context, *world) error {
	return func(_ context.Context, w *world) error {
		_, err := w.AddFault(lab.Fault{Service: service, Operation: operation, Status: 403, Code: "AccessDeniedException",
			Message: "User: arn:aws:iam::123456789012:user/astern is not authorized to perform: " + service + ":" + operation + " on resource: *"})
		return err
	}
}

func (a *account) bound(all []broken) []drivertest.Break {
	var out []drivertest.Break
	for _, b := range all {
		out = append(out, drivertest.Break{Name: b.name, Want: b.want, Open: b.name == unseenRole, Do: func(t testing.TB, w drivertest.World) {
			mine := a.worlds[w.Component.Address()]
			mine.must(b.do(context.Background(), mine))
		}})
	}
	return out
}
