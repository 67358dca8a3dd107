package lab

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// ecsQuestions are those of ECS. Tags that come with what is made, and roles that are handed to it, need permissions of their own.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/supported-iam-actions-tagging.html
func ecsQuestions(c *Call, q question) []question {
	cluster := c.Text("cluster")
	if cluster = cluster[strings.LastIndexByte(cluster, '/')+1:]; cluster == "" {
		cluster = "default"
	}
	arn := func(resource string) string { return "arn:aws:ecs:" + c.Region + ":" + c.Account + ":" + resource }
	within := func(kind, name string) string {
		if strings.HasPrefix(name, "arn:") {
			return name
		}
		return arn(kind + "/" + cluster + "/" + name)
	}
	all := func(member, kind string) {
		names, _ := c.Input[member].([]any)
		for _, name := range names {
			q.resources = append(q.resources, within(kind, textOf(name)))
		}
	}
	switch c.Operation {
	case "CreateService":
		q.resources = []string{within("service", c.Text("serviceName"))}
	case "UpdateService", "DeleteService", "ListServiceDeployments":
		q.resources = []string{within("service", c.Text("service"))}
	case "DescribeServices":
		all("services", "service")
	case "DescribeServiceDeployments", "DescribeServiceRevisions": // the service must be allowed, too
		all("serviceDeploymentArns", "service-deployment")
		all("serviceRevisionArns", "service-revision")
		for _, of := range q.resources {
			kind, rest, _ := strings.Cut(of[strings.LastIndexByte(of, ':')+1:], "/")
			of = strings.Replace(of, ":"+kind+"/", ":service/", 1)
			q.resources = append(q.resources, strings.TrimSuffix(of, rest[max(strings.LastIndexByte(rest, '/'), 0):]))
		}
	case "DescribeTasks":
		all("tasks", "task")
	case "ListTasks":
		q.resources = []string{arn("container-instance/" + cluster + "/*")}
	case "RegisterTaskDefinition":
		q.resources = []string{arn("task-definition/" + c.Text("family") + ":*")}
	case "DescribeTaskDefinition", "ListTaskDefinitions", "ListTaskDefinitionFamilies", "DeregisterTaskDefinition", "ListClusters", "ListServices":
		q.resources = []string{"*"}
	}
	return append([]question{q}, besides(c, q)...)
}

// besides are what ECS asks for what is made with tags or roles.
func besides(c *Call, q question) (out []question) {
	if c.Operation != "CreateService" && c.Operation != "RegisterTaskDefinition" {
		return nil
	}
	if tags, _ := c.Input["tags"].([]any); len(tags) > 0 {
		more := question{"ecs:TagResource", q.resources, maps.Clone(q.context)}
		more.context["ecs:CreateAction"] = []string{c.Operation}
		out = append(out, more)
	}
	for _, member := range []string{"role", "taskRoleArn", "executionRoleArn"} {
		if role := c.Text(member); role != "" {
			more := question{"iam:PassRole", []string{role}, maps.Clone(q.context)}
			more.context["iam:PassedToService"] = []string{"ecs-tasks.amazonaws.com"}
			if member == "role" { // of the service itself, for its load balancer
				more.context["iam:PassedToService"] = []string{"ecs.amazonaws.com"}
			}
			out = append(out, more)
		}
	}
	return out
}

// configResources are all that a call of AppConfig names, each of which must be allowed.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsappconfig.html
func (l *Lab) configResources(c *Call) []string {
	arn := func(resource string) string {
		return "arn:aws:appconfig:" + c.Region + ":" + c.Account + ":" + resource
	}
	if c.Service == "appconfigdata" {
		s := l.configSession(c)
		return []string{arn("application/" + s.Application + "/environment/" + s.Environment + "/configuration/" + s.Profile)}
	}
	id := c.Text("ApplicationId")
	if id == "" {
		if strategy := c.Text("DeploymentStrategyId"); strategy != "" {
			return []string{arn("deploymentstrategy/" + strategy)}
		}
		return []string{"*"}
	}
	application := "application/" + id
	out := []string{arn(application)}
	if id := c.Text("EnvironmentId"); id != "" {
		environment := application + "/environment/" + id
		out = append(out, arn(environment))
		if n := c.Input["DeploymentNumber"]; n != nil {
			out = append(out, arn(environment+"/deployment/"+fmt.Sprint(n)))
		}
	}
	if id := c.Text("ConfigurationProfileId"); id != "" {
		profile := application + "/configurationprofile/" + id
		out = append(out, arn(profile))
		if n := c.Input["VersionNumber"]; n != nil {
			out = append(out, arn(profile+"/hostedconfigurationversion/"+fmt.Sprint(n)))
		}
	}
	if strategy := c.Text("DeploymentStrategyId"); strategy != "" {
		out = append(out, arn("deploymentstrategy/"+strategy))
	}
	return out
}

// configSession is what a client asks for: by names or ids, or by the token that it was given. What there is none of keeps the
// name that was given.
func (l *Lab) configSession(c *Call) (s session) {
	if c.Operation == "GetLatestConfiguration" {
		if b, err := base64.URLEncoding.DecodeString(c.Text("ConfigurationToken")); err == nil {
			_ = json.Unmarshal(b, &s) // a token of nobody's names nothing
		}
		return s
	}
	s = session{Application: c.Text("ApplicationIdentifier"), Environment: c.Text("EnvironmentIdentifier"), Profile: c.Text("ConfigurationProfileIdentifier")}
	l.states.config.mu.Lock()
	defer l.states.config.mu.Unlock()
	for _, a := range l.states.config.apps[scopeOf(c)] {
		if a.ID != s.Application && a.Name != s.Application {
			continue
		}
		s.Application = a.ID
		for _, e := range a.Environments {
			if e.Name == s.Environment {
				s.Environment = e.ID
			}
		}
		for _, p := range a.Profiles {
			if p.Name == s.Profile {
				s.Profile = p.ID
			}
		}
	}
	return s
}
