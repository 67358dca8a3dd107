package awsecs

import (
	"slices"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Permissions returns what the driver asks ECS for, and what it looks at around a service. The one thing that it deletes is
// the service that it made itself, beside the declared one.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
func (validator) Permissions(c astern.Component) []astern.Permission {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	of := p.Cluster + "/" + p.Service
	services := []string{p.ARN("ecs", "service/"+of)}
	out := slices.Concat(
		awsapi.Permissions(astern.UseRead, "deployments of the service", services, "ecs:ListServiceDeployments"),
		awsapi.Permissions(astern.UseRead, "revisions of the service", append(slices.Clone(services), p.ARN("ecs", "service-revision/"+of+"/*")), "ecs:DescribeServiceRevisions"),
		awsapi.Permissions(astern.UseRead, "task definitions", []string{"*"}, "ecs:DescribeTaskDefinition", "ecs:ListTaskDefinitions"),
		awsapi.Permissions(astern.UseRead, "why tasks stopped", []string{p.ARN("ecs", "container-instance/"+p.Cluster+"/*")}, "ecs:ListTasks"),
		awsapi.Permissions(astern.UseRead, "why tasks stopped", []string{p.ARN("ecs", "task/"+p.Cluster+"/*")}, "ecs:DescribeTasks"),
		awsapi.Permissions(astern.UseRead, "last words of tasks", []string{p.ARN("logs", "log-group:*:log-stream:*")}, "logs:GetLogEvents"),
		awsapi.Permissions(astern.UseRead, "whether images are there, and for how long", []string{p.ARN("ecr", "repository/*")}, "ecr:DescribeImages", "ecr:GetLifecyclePolicy"),
		awsapi.Permissions(astern.UseRead, "what tasks need", []string{p.GlobalARN("iam", "role/*")}, "iam:GetRole"),
		awsapi.Permissions(astern.UseRead, "what tasks need", []string{p.ARN("secretsmanager", "secret:*")}, "secretsmanager:DescribeSecret"),
		awsapi.Permissions(astern.UseRead, "what tasks need", []string{"*"}, "ssm:DescribeParameters", "logs:DescribeLogGroups"),
		awsapi.Permissions(astern.UseRead, "environment files of tasks", []string{p.BucketARN("*", "")}, "s3:ListBucket"),
		awsapi.Permissions(astern.UseRead, "alarms of the deployment", []string{"*"}, "cloudwatch:DescribeAlarms"),
		awsapi.ForVerbs(awsapi.Permissions(astern.UseRecover, "deploying a task definition", services, "ecs:UpdateService"), verbUpdate, verbForce),
		awsapi.ForVerbs(awsapi.Permissions(astern.UseRecover, "registering a task definition again", []string{p.ARN("ecs", "task-definition/*:*")}, "ecs:RegisterTaskDefinition"), verbRegister),
		awsapi.Depending(awsapi.ForVerbs(awsapi.When(awsapi.Permissions(astern.UseRecover, "naming what was registered", []string{p.ARN("ecs", "task-definition/*:*")}, "ecs:TagResource"),
			created("RegisterTaskDefinition")), verbRegister)),
		awsapi.Depending(awsapi.ForVerbs(awsapi.When(awsapi.Permissions(astern.UseRecover, "the roles of a task definition", []string{p.GlobalARN("iam", "role/*")}, "iam:PassRole"),
			map[string]map[string][]string{"StringLike": {"iam:PassedToService": {"ecs-tasks.amazonaws.com", "ecs.amazonaws.com"}}}), verbRegister, verbShare)),
		awsapi.Permissions(astern.UseDiscover, "finding services", []string{"*"}, "ecs:ListClusters", "ecs:ListServices"),
		awsapi.Permissions(astern.UseDiscover, "finding services", []string{p.ARN("ecs", "service/*/*")}, "ecs:DescribeServices"))
	if beside := p.beside(); beside != "" {
		services = append(services, p.ARN("ecs", "service/"+p.Cluster+"/"+beside))
		share := services[1:]
		out = append(out, slices.Concat(
			awsapi.ForVerbs(awsapi.Permissions(astern.UseRecover, "a service beside it that takes a share", share, "ecs:CreateService"), verbShare),
			awsapi.Depending(awsapi.ForVerbs(awsapi.When(awsapi.Permissions(astern.UseRecover, "naming the service beside it", share, "ecs:TagResource"), created("CreateService")), verbShare)),
			awsapi.ForVerbs(awsapi.Permissions(astern.UseRecover, "ending the service beside it", share, "ecs:DeleteService"), verbEndShare))...)
	}
	return append(out, awsapi.Permissions(astern.UseRead, "the service, and the one beside it", services, "ecs:DescribeServices")...)
}

// created is the condition that tags come with what is being made.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/supported-iam-actions-tagging.html
func created(action string) map[string]map[string][]string {
	return map[string]map[string][]string{"StringEquals": {"ecs:CreateAction": {action}}}
}
