package account

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/astern-dev/astern/examples/rastup"
)

// role makes the one that tasks and functions have.
func (a *Account) role(ctx context.Context) error {
	name := role
	_, err := iam.NewFromConfig(a.config).CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name,
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["ecs-tasks.amazonaws.com","lambda.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`)})
	return doing("making the role "+role, err)
}

func roleARN() *string { return aws.String("arn:aws:iam::" + ID + ":role/" + role) }

// services makes the registry, and the service in staging and production.
func (a *Account) services(ctx context.Context) error {
	if err := a.registry(ctx); err != nil {
		return err
	}
	group := logGroup
	if _, err := cloudwatchlogs.NewFromConfig(a.config).CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group}); err != nil {
		return doing("making the log group "+logGroup, err)
	}
	c := ecs.NewFromConfig(a.config)
	var definitions []string
	for _, release := range []string{Older, Good} {
		arn, err := define(ctx, c, release)
		if err != nil {
			return err
		}
		definitions = append(definitions, arn)
	}
	return together(
		func() error { return a.service(ctx, "rastup-staging", 1, definitions) },
		func() error { return a.service(ctx, Cluster, 2, definitions) })
}

// registry makes the images. Its rule deletes each after two weeks, unless a tag says that it is to be kept.
func (a *Account) registry(ctx context.Context) error {
	c, name := ecr.NewFromConfig(a.config), Repository
	if _, err := c.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name}); err != nil {
		return doing("making the repository "+name, err)
	}
	for _, release := range []string{Oldest, Older, Good} {
		manifest, err := manifestOf(release)
		if err != nil {
			return err
		}
		if _, err := c.PutImage(ctx, &ecr.PutImageInput{RepositoryName: &name, ImageTag: &release, ImageManifest: &manifest}); err != nil {
			return doing("putting the image "+release, err)
		}
	}
	policy := Policy(KeptDays)
	_, err := c.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: &name, LifecyclePolicyText: &policy})
	return doing("putting the lifecycle policy of "+name, err)
}

// Policy is a lifecycle policy of the registry: images are kept for so many days, or for good by a tag.
func Policy(days int) string {
	return fmt.Sprintf(`{"rules":[`+
		`{"rulePriority":1,"description":"kept by hand","selection":{"tagStatus":"tagged","tagPrefixList":[%q],"countType":"imageCountMoreThan","countNumber":1000},"action":{"type":"expire"}},`+
		`{"rulePriority":2,"description":"old images","selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":%d},"action":{"type":"expire"}}]}`,
		KeptPrefix, days)
}

// manifestOf is the manifest of a release's image. No code runs in the lab's tasks, so there are no layers.
func manifestOf(release string) (string, error) {
	b, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"annotations": map[string]string{"org.opencontainers.image.version": release}})
	return string(b), doing("writing the manifest of "+release, err)
}

// Keep gives the image of a release a tag by which the registry keeps it.
func (a *Account) Keep(ctx context.Context, release string) error {
	manifest, err := manifestOf(release)
	if err != nil {
		return err
	}
	_, err = ecr.NewFromConfig(a.config).PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String(Repository), ImageTag: aws.String(KeptPrefix + release),
		ImageManifest: &manifest})
	return doing("tagging the image of "+release, err)
}

// Images returns the releases whose images are in the registry, in order.
func (a *Account) Images(ctx context.Context) ([]string, error) {
	out, err := ecr.NewFromConfig(a.config).DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String(Repository)})
	if err != nil {
		return nil, doing("asking for the images", err)
	}
	var releases []string
	for _, i := range out.ImageDetails {
		for _, tag := range i.ImageTags {
			if !strings.HasPrefix(tag, KeptPrefix) {
				releases = append(releases, tag)
			}
		}
	}
	slices.Sort(releases)
	return releases, nil
}

// define registers the task definition of a release.
func define(ctx context.Context, c *ecs.Client, release string) (string, error) {
	family := Service
	out, err := c.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{Family: &family, Cpu: aws.String("256"), Memory: aws.String("512"),
		NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate}, ExecutionRoleArn: roleARN(),
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("api"), Image: aws.String(Registry + "/" + Repository + ":" + release), Essential: aws.Bool(true),
			LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs,
				Options: map[string]string{"awslogs-group": logGroup, "awslogs-region": rastup.Region, "awslogs-stream-prefix": "api"}}}}})
	if err != nil {
		return "", doing("registering the task definition of "+release, err)
	}
	return *out.TaskDefinition.TaskDefinitionArn, nil
}

// service makes one, which ran all of the task definitions, one after the other.
func (a *Account) service(ctx context.Context, cluster string, tasks int32, definitions []string) error {
	c, name := ecs.NewFromConfig(a.config), Service
	if _, err := c.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: &cluster}); err != nil {
		return doing("making the cluster "+cluster, err)
	}
	_, err := c.CreateService(ctx, &ecs.CreateServiceInput{Cluster: &cluster, ServiceName: &name, TaskDefinition: &definitions[0], DesiredCount: &tasks,
		LaunchType: types.LaunchTypeFargate, NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-1"}}}})
	for i := 0; err == nil && i < len(definitions); i++ {
		if i > 0 {
			_, err = c.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: &cluster, Service: &name, TaskDefinition: &definitions[i]})
		}
		if err == nil {
			err = ecs.NewServicesStableWaiter(c, func(o *ecs.ServicesStableWaiterOptions) { o.MinDelay, o.MaxDelay = quickly, quickly }).
				Wait(ctx, &ecs.DescribeServicesInput{Cluster: &cluster, Services: []string{name}}, time.Minute)
		}
	}
	return doing("making the service "+name+" in "+cluster, err)
}

// quickly is how long is waited between two looks: the lab is faster than AWS.
const quickly = 100 * time.Millisecond

// Running returns the task definition that the service of production runs, and how many tasks of it.
func (a *Account) Running(ctx context.Context) (definition string, tasks int32, err error) {
	cluster := Cluster
	out, err := ecs.NewFromConfig(a.config).DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &cluster, Services: []string{Service}})
	if err != nil || len(out.Services) != 1 {
		return "", 0, doing("asking for the service", cmp.Or(err, errors.New("there is none")))
	}
	return *out.Services[0].TaskDefinition, out.Services[0].RunningCount, nil
}
