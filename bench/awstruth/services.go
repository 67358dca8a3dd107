package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// The shapes of a service: with a circuit breaker and without.
const (
	breakerOn  = "breaker"
	breakerOff = "no breaker"
)

// service is a service with four revisions, each with an image of its own.
type service struct {
	*world
	ecs     *ecs.Client
	ecr     *ecr.Client
	iam     *iam.Client
	secrets *secretsmanager.Client
	logs    *cloudwatchlogs.Client
	ssm     *ssm.Client
	role    string
	secret  string
	arn     map[string]string // of the task definition of a revision
	digest  map[string]string // of its image
}

func services() *kind {
	needs := func(do func(context.Context, *service, *damage) error) func(context.Context, *damage) error {
		return func(ctx context.Context, d *damage) error { return do(ctx, d.subject.(*service), d) } // the kind's rows are for its own subject
	}
	deleteImage := needs(func(ctx context.Context, s *service, d *damage) error { return s.deleteImage(ctx, d.target) })
	moveTag := needs(func(ctx context.Context, s *service, d *damage) error {
		_, err := s.push(ctx, s.tag(d.target), "a stranger's")
		return err
	})
	deregister := needs(func(ctx context.Context, s *service, d *damage) error {
		_, err := s.ecs.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String(s.arn[d.target])})
		return err
	})
	deleteRole := needs(func(ctx context.Context, s *service, _ *damage) error {
		_, err := s.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &s.name})
		return err
	})
	policy := needs(func(ctx context.Context, s *service, _ *damage) error {
		_, err := s.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: &s.name, LifecyclePolicyText: aws.String(
			`{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}, "action": {"type": "expire"}}]}`)})
		return err
	})
	update := func(change func(*ecs.UpdateServiceInput)) func(context.Context, *damage) error {
		return needs(func(ctx context.Context, s *service, _ *damage) error {
			in := &ecs.UpdateServiceInput{Cluster: &s.name, Service: &s.name}
			change(in)
			_, err := s.ecs.UpdateService(ctx, in)
			return err
		})
	}
	return &kind{name: "aws.ecs", shapes: []string{breakerOn, breakerOff}, make: makeService, rows: []row{
		{name: "image gone by digest", read: "DescribeImages", one: true, do: deleteImage},
		{name: "tag moved to another image", read: "DescribeImages", one: true, do: moveTag},
		{name: "tag moved, and the image that ran is gone", read: "DescribeImages", one: true, do: needs(func(ctx context.Context, s *service, d *damage) error {
			if err := s.deleteImage(ctx, d.target); err != nil {
				return err
			}
			return moveTag(ctx, d)
		})},
		{name: "repository deleted", read: "DescribeImages", do: needs(func(ctx context.Context, s *service, _ *damage) error {
			_, err := s.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &s.name, Force: true})
			return err
		})},
		{name: "a lifecycle policy is about to expire the image", read: "GetLifecyclePolicyPreview", do: policy},
		{name: "a lifecycle policy has expired the image", read: "DescribeImages", do: needs(func(ctx context.Context, s *service, d *damage) error {
			if err := policy(ctx, d); err != nil {
				return err
			}
			return s.later(ctx, 25*time.Hour)
		})},
		{name: "revision INACTIVE", read: "DescribeTaskDefinition", one: true, do: deregister},
		{name: "role gone", read: "GetRole", do: deleteRole},
		{name: "secret gone", read: "DescribeSecret", do: needs(func(ctx context.Context, s *service, _ *damage) error {
			_, err := s.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &s.secret, ForceDeleteWithoutRecovery: aws.Bool(true)})
			return err
		})},
		{name: "log group gone", read: "DescribeLogGroups", do: needs(func(ctx context.Context, s *service, _ *damage) error {
			_, err := s.logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &s.name})
			return err
		})},
		{name: "the image begins to crash", one: true, shapes: []string{breakerOn}, do: needs(func(ctx context.Context, s *service, d *damage) error { return s.exits(ctx, d.target, "1") })},
		{name: "deployment in progress", read: "DescribeServices", passes: true, do: update(func(in *ecs.UpdateServiceInput) { in.ForceNewDeployment = true })},
		{name: "service is to run no task", read: "DescribeServices", do: update(func(in *ecs.UpdateServiceInput) { in.DesiredCount = aws.Int32(0) })},
		{name: "service deleted", read: "DescribeServices", do: needs(func(ctx context.Context, s *service, _ *damage) error {
			_, err := s.ecs.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: &s.name, Service: &s.name, Force: aws.Bool(true)})
			return err
		})},
		{name: "revisions can't be read", read: "DescribeTaskDefinition", do: denied("ecs", "DescribeTaskDefinition")},
		{name: "the service can't be read", read: "DescribeServices", do: denied("ecs", "DescribeServices")},
		{name: "the registry can't be read", read: "DescribeImages", do: denied("ecr", "DescribeImages")},
		{name: "reading is throttled", read: "DescribeTaskDefinition", do: throttled("ecs", "DescribeTaskDefinition")},
		{name: "UpdateService denied", read: simulated, do: denies("ecs:UpdateService")},
		{name: "no policy allows UpdateService", read: simulated, do: allowsAllBut("ecs:UpdateService")},
		{name: "UpdateService denied by the organization", do: denied("ecs", "UpdateService")},
		{name: "UpdateService throttled", do: throttled("ecs", "UpdateService")},
		{name: "after the check: image gone by digest", read: "DescribeImages", after: true, one: true, do: deleteImage},
		{name: "after the check: revision INACTIVE", read: "DescribeTaskDefinition", after: true, one: true, do: deregister},
		{name: "after the check: role gone", read: "GetRole", after: true, do: deleteRole},
	}}
}

func makeService(ctx context.Context, w *world) (subject, error) {
	s := &service{world: w, ecs: ecs.NewFromConfig(w.aws), ecr: ecr.NewFromConfig(w.aws), iam: iam.NewFromConfig(w.aws), secrets: secretsmanager.NewFromConfig(w.aws),
		logs: cloudwatchlogs.NewFromConfig(w.aws), ssm: ssm.NewFromConfig(w.aws), arn: map[string]string{}, digest: map[string]string{}}
	if err := s.surroundings(ctx); err != nil {
		return nil, err
	}
	if err := w.declare(fmt.Sprintf("kind: aws.ecs\nwith: {%s, cluster: %s, service: %s}\n", w.with(), w.name, w.name)); err != nil {
		return nil, err
	}
	for n := range 4 {
		rev := fmt.Sprintf("%s:%d", w.name, n+1)
		if err := s.release(ctx, rev, n == 0); err != nil {
			return nil, fmt.Errorf("releasing %s: %w", rev, err)
		}
		w.targets = append(w.targets, rev)
	}
	w.targets, w.current = w.targets[:3], w.targets[3]
	return s, nil
}

// surroundings makes what tasks need.
func (s *service) surroundings(ctx context.Context) error {
	if _, err := s.ecs.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: &s.name}); err != nil {
		return err
	}
	if _, err := s.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &s.name}); err != nil {
		return err
	}
	if _, err := s.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &s.name}); err != nil {
		return err
	}
	role, err := s.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &s.name, AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[]}`)})
	if err != nil {
		return err
	}
	secret, err := s.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &s.name, SecretString: aws.String("a password")})
	if err != nil {
		return err
	}
	s.role, s.secret = *role.Role.Arn, *secret.ARN
	return nil
}

// tag is the image's tag of a revision.
func (s *service) tag(rev string) string { return "v" + rev[strings.LastIndexByte(rev, ':')+1:] }

// push puts an image under a tag and returns its digest.
func (s *service) push(ctx context.Context, tag, content string) (string, error) {
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"annotations": map[string]string{"content": content}})
	if err != nil {
		return "", err
	}
	out, err := s.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: &s.name, ImageTag: &tag, ImageManifest: aws.String(string(manifest))})
	if err != nil {
		return "", err
	}
	return *out.Image.ImageId.ImageDigest, nil
}

func (s *service) deleteImage(ctx context.Context, rev string) error {
	_, err := s.ecr.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: &s.name,
		ImageIds: []ecrtypes.ImageIdentifier{{ImageDigest: aws.String(s.digest[rev])}}})
	return err
}

// release rolls a revision out and records it.
func (s *service) release(ctx context.Context, rev string, first bool) (err error) {
	if s.digest[rev], err = s.push(ctx, s.tag(rev), rev); err != nil {
		return err
	}
	if err := s.exits(ctx, rev, "as it should"); err != nil {
		return err
	}
	ref := s.account + ".dkr.ecr." + region + ".amazonaws.com/" + s.name + ":" + s.tag(rev)
	out, err := s.ecs.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{Family: &s.name, Cpu: aws.String("256"), Memory: aws.String("512"),
		NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate}, ExecutionRoleArn: &s.role,
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: &ref, Essential: aws.Bool(true),
			Secrets: []types.Secret{{Name: aws.String("DB"), ValueFrom: &s.secret}, {Name: aws.String("LAB_EXIT"), ValueFrom: aws.String(s.exit(rev))}},
			LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs,
				Options: map[string]string{"awslogs-group": s.name, "awslogs-region": region, "awslogs-stream-prefix": "app"}}}}})
	if err != nil {
		return err
	}
	s.arn[rev] = *out.TaskDefinition.TaskDefinitionArn
	if first {
		_, err = s.ecs.CreateService(ctx, &ecs.CreateServiceInput{Cluster: &s.name, ServiceName: &s.name, TaskDefinition: aws.String(s.arn[rev]),
			DesiredCount: aws.Int32(2), LaunchType: types.LaunchTypeFargate,
			DeploymentConfiguration: &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: s.shape == breakerOn, Rollback: s.shape == breakerOn}},
			NetworkConfiguration:    &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-1"}}}})
	} else {
		err = s.point(ctx, rev)
	}
	if err != nil {
		return err
	}
	if err := s.later(ctx, 2*time.Minute); err != nil {
		return err
	}
	return s.recordSeen(ctx, rev)
}

// exit is the parameter that tells the image of a revision how it ends.
func (s *service) exit(rev string) string { return s.name + "-exit-" + s.tag(rev) }

// exits has the image of a revision end with a code from now on, or run where that is no number: as an image does that finds a
// database which it does not understand any more.
func (s *service) exits(ctx context.Context, rev, code string) error {
	_, err := s.ssm.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String(s.exit(rev)), Value: &code, Type: ssmtypes.ParameterTypeString, Overwrite: aws.Bool(true)})
	return err
}

// point has the service run a revision.
func (s *service) point(ctx context.Context, rev string) error {
	_, err := s.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: &s.name, Service: &s.name, TaskDefinition: aws.String(s.arn[rev])})
	return err
}

func (s *service) back(ctx context.Context) error {
	if err := s.point(ctx, s.current); err != nil {
		return err
	}
	return s.later(ctx, 5*time.Minute)
}

func (s *service) byHand(ctx context.Context, target string) error {
	if err := s.point(ctx, target); err != nil {
		return err
	}
	return s.later(ctx, 5*time.Minute)
}

// reached looks at what tasks run.
func (s *service) reached(ctx context.Context, target string) string {
	out, err := s.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &s.name, Services: []string{s.name}})
	if err != nil {
		return seen(err)
	}
	if len(out.Services) != 1 || aws.ToString(out.Services[0].Status) != "ACTIVE" {
		return "there is no such service"
	}
	is := out.Services[0]
	if is.DesiredCount > 0 && is.RunningCount != is.DesiredCount || len(is.Deployments) != 1 || is.Deployments[0].RolloutState != types.DeploymentRolloutStateCompleted {
		return fmt.Sprintf("%d of %d tasks run in %d deployments", is.RunningCount, is.DesiredCount, len(is.Deployments))
	}
	definition, err := s.ecs.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: is.TaskDefinition})
	if err != nil {
		return seen(err)
	}
	ref := aws.ToString(definition.TaskDefinition.ContainerDefinitions[0].Image)
	if !strings.HasSuffix(ref, ":"+s.tag(target)) && !strings.HasSuffix(ref, "@"+s.digest[target]) {
		return "the service is to run " + ref
	}
	list, err := s.ecs.ListTasks(ctx, &ecs.ListTasksInput{Cluster: &s.name, ServiceName: &s.name})
	if err != nil || len(list.TaskArns) == 0 {
		return "" // none is to run
	}
	tasks, err := s.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &s.name, Tasks: list.TaskArns})
	if err != nil {
		return seen(err)
	}
	if i := slices.IndexFunc(tasks.Tasks, func(t types.Task) bool {
		return len(t.Containers) != 1 || aws.ToString(t.Containers[0].ImageDigest) != s.digest[target]
	}); i >= 0 {
		return "a task runs another image"
	}
	return ""
}
