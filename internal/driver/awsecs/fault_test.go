package awsecs

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/lab/labtest"
)

// Every call of every plan meets every fault, and somebody else.
func TestEveryFault(t *testing.T) {
	labtest.Run(t, startMoto(t).URL, 240,
		labtest.Plan{Name: "whole service at once", New: func(t testing.TB, a *labtest.Account) labtest.World {
			return newTried(t, a, true).world(astern.Options{Percent: 100})
		}},
		labtest.Plan{Name: "half then whole", New: func(t testing.TB, a *labtest.Account) labtest.World {
			return newTried(t, a, false).world(astern.Options{Percent: 50, BakeSeconds: 30})
		}},
		labtest.Plan{Name: "registered again", New: func(t testing.TB, a *labtest.Account) labtest.World {
			w := newTried(t, a, false)
			w.must(w.deregister(w.definitions[0]))
			return w.world(astern.Options{Percent: 100})
		}},
		labtest.Plan{Name: "tasks replaced", New: func(t testing.TB, a *labtest.Account) labtest.World {
			return newTried(t, a, false).world(astern.Options{Verb: astern.VerbRedeploy, Percent: 100})
		}},
	)
}

// tried is a service with two revisions, of which it runs the second; a third is somebody else's. What its tasks need beside
// their image, and an alarm, are there where that is wanted.
type tried struct {
	testing.TB
	*labtest.Account
	ecs         *ecs.Client
	ecr         *ecr.Client
	needs       bool
	secret      string   // ARN
	definitions []string // ARNs
}

func newTried(t testing.TB, a *labtest.Account, needs bool) *tried {
	t.Helper()
	w := &tried{TB: t, Account: a, ecs: ecs.NewFromConfig(a.Config), ecr: ecr.NewFromConfig(a.Config), needs: needs}
	ctx := t.Context()
	_, err := w.ecs.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: &a.ID})
	w.must(err)
	_, err = w.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &a.ID})
	w.must(err)
	in := &ecs.CreateServiceInput{Cluster: &a.ID, ServiceName: &a.ID, DesiredCount: aws.Int32(2), LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: w.network()}
	if needs {
		in.DeploymentConfiguration = &types.DeploymentConfiguration{Alarms: &types.DeploymentAlarms{AlarmNames: []string{a.ID}, Enable: true}}
		w.need()
	}
	for _, tag := range []string{"v1", "v2", "theirs"} {
		w.push(tag)
		w.define(tag)
	}
	in.TaskDefinition = &w.definitions[0]
	_, err = w.ecs.CreateService(ctx, in)
	w.must(err)
	w.later()
	w.must(w.update(w.definitions[1]))
	w.later()
	return w
}

func (w *tried) network() *types.NetworkConfiguration {
	return &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-1"}}}
}

// need makes what tasks need, and the alarm.
func (w *tried) need() {
	w.Helper()
	ctx := w.Context()
	_, err := iam.NewFromConfig(w.Config).CreateRole(ctx, &iam.CreateRoleInput{RoleName: &w.ID, AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[]}`)})
	w.must(err)
	secret, err := secretsmanager.NewFromConfig(w.Config).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &w.ID, SecretString: aws.String(password)})
	w.must(err)
	w.secret = *secret.ARN
	_, err = cloudwatchlogs.NewFromConfig(w.Config).CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &w.ID})
	w.must(err)
	_, err = cloudwatch.NewFromConfig(w.Config).PutMetricAlarm(ctx, &cloudwatch.PutMetricAlarmInput{AlarmName: &w.ID, Namespace: aws.String("shop"), MetricName: aws.String("errors"),
		Statistic: cwtypes.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(10), TreatMissingData: aws.String("notBreaching"),
		ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold})
	w.must(err)
}

// push puts an image that nothing else is.
func (w *tried) push(tag string) {
	w.Helper()
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","annotations":{"n":%q}}`, w.ID+tag)
	_, err := w.ecr.PutImage(w.Context(), &ecr.PutImageInput{RepositoryName: &w.ID, ImageTag: &tag, ImageManifest: &manifest})
	w.must(err)
}

// define registers a task definition of the image with that tag.
func (w *tried) define(tag string) {
	w.Helper()
	container := types.ContainerDefinition{Name: aws.String("app"), Essential: aws.Bool(true),
		Image:       aws.String(lab.Account + ".dkr.ecr.eu-central-1.amazonaws.com/" + w.ID + ":" + tag),
		Environment: []types.KeyValuePair{{Name: aws.String("PASSWORD"), Value: aws.String(inTheClear)}}}
	in := &ecs.RegisterTaskDefinitionInput{Family: &w.ID, Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate}}
	if w.needs {
		in.ExecutionRoleArn = aws.String("arn:aws:iam::" + lab.Account + ":role/" + w.ID)
		container.Secrets = []types.Secret{{Name: aws.String("DB"), ValueFrom: &w.secret}}
		container.LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwslogs,
			Options: map[string]string{"awslogs-group": w.ID, "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "app"}}
	}
	in.ContainerDefinitions = []types.ContainerDefinition{container}
	out, err := w.ecs.RegisterTaskDefinition(w.Context(), in)
	w.must(err)
	w.definitions = append(w.definitions, *out.TaskDefinition.TaskDefinitionArn)
}

// later lets a deployment come to its end.
func (w *tried) later() {
	w.Helper()
	_, err := w.Step(context.Background(), 2*time.Minute)
	w.must(err)
}

func (w *tried) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *tried) update(definition string) error {
	_, err := w.ecs.UpdateService(context.Background(), &ecs.UpdateServiceInput{Cluster: &w.ID, Service: &w.ID, TaskDefinition: &definition})
	return err
}

func (w *tried) deregister(definition string) error {
	_, err := w.ecs.DeregisterTaskDefinition(context.Background(), &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &definition})
	return err
}

// beside is the name of the temporary service.
func (w *tried) beside() string { return w.ID + "-astern" }

// service is one of the two as it is, of which nothing is left when it is INACTIVE.
func (w *tried) service(name string) types.Service {
	out, err := w.ecs.DescribeServices(context.Background(), &ecs.DescribeServicesInput{Cluster: &w.ID, Services: []string{name}, Include: []types.ServiceField{types.ServiceFieldTags}},
		func(o *ecs.Options) { o.RetryMaxAttempts = 5 }) // a look, unlike what they do, may be made again
	if err != nil {
		w.Errorf("looking at the service %s: %v", name, err)
	}
	if err != nil || len(out.Services) != 1 {
		return types.Service{Status: aws.String("MISSING")}
	}
	return out.Services[0]
}

// world is the way back to the first revision, or to new tasks of the second.
func (w *tried) world(o astern.Options) labtest.World {
	c := astern.Component{Environment: "test", Name: w.ID, Kind: Kind}
	c.Settings, _ = json.Marshal(Settings{Settings: w.Settings, Cluster: w.ID, Service: w.ID})
	to, was := nameOf(w.definitions[0]), primary(new(w.service(w.ID)))
	if o.Verb == astern.VerbRedeploy {
		to = nameOf(w.definitions[1])
	}
	return labtest.World{Component: c, Others: w.others(to, o), Secrets: []string{inTheClear, password}, Every: 10 * time.Second,
		Driver: func(accounts *awsapi.Accounts, lookup func(string) (astern.Component, bool)) astern.Driver {
			d := New(accounts, lookup)
			d.Observer.(*driver).now = w.Now
			return d
		},
		Route: func(ctx context.Context, d astern.Driver) (astern.Route, error) {
			s, err := d.Observer.Observe(ctx, c, astern.Scope{})
			if err != nil {
				return astern.Route{}, err
			}
			return d.Router.Route(c, s, astern.Target{Address: c.Address(), Revision: to}, o)
		},
		Effect:  func(e lab.Entry) string { return e.Operation },
		Reached: func() string { return w.reached(to, was) },
	}
}

// reached says what of the service is not as the plan leaves it.
func (w *tried) reached(to string, was types.Deployment) string {
	s, share := w.service(w.ID), w.service(w.beside())
	now := primary(&s)
	name := nameOf(aws.ToString(now.TaskDefinition))
	if d, err := w.ecs.DescribeTaskDefinition(context.Background(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: now.TaskDefinition,
		Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags}}); err == nil && tagOf(d.Tags, tagRevision) != "" {
		name = tagOf(d.Tags, tagRevision)
	}
	switch {
	case aws.ToString(share.Status) == "ACTIVE":
		return "the temporary service is there"
	case len(s.Deployments) != 1 || s.RunningCount != s.DesiredCount:
		return "the deployment is not over"
	case aws.ToString(now.Id) == aws.ToString(was.Id):
		return "there was no deployment"
	}
	return labtest.Differs("what the service runs", name, to)
}

// others are what somebody else does meanwhile.
func (w *tried) others(to string, o astern.Options) []labtest.Other {
	ctx := context.Background()
	out := []labtest.Other{
		{Name: "deploys", Window: "UpdateService", Do: func() error { return w.update(w.definitions[2]) }, Kept: func() string {
			s := w.service(w.ID)
			return labtest.Differs("the service", nameOf(aws.ToString(primary(&s).TaskDefinition)), nameOf(w.definitions[2]))
		}},
		{Name: "scales the service", Do: func() error {
			_, err := w.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: &w.ID, Service: &w.ID, DesiredCount: aws.Int32(3)})
			return err
		}, Kept: func() string { return labtest.Differs("the wanted count", w.service(w.ID).DesiredCount, 3) }},
		{Name: "deletes the service", Do: func() error {
			_, err := w.ecs.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: &w.ID, Service: &w.ID, Force: aws.Bool(true)})
			return err
		}, Kept: func() string {
			if aws.ToString(w.service(w.ID).Status) == "ACTIVE" {
				return "the service is there again"
			}
			return ""
		}},
	}
	if o.Verb != astern.VerbRedeploy {
		out = append(out, labtest.Other{Name: "deregisters the target", Do: func() error { return w.deregister(w.definitions[0]) }, Kept: func() string {
			d, err := w.ecs.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &w.definitions[0]})
			if err != nil {
				return ""
			}
			return labtest.Differs("the status of "+to, d.TaskDefinition.Status, types.TaskDefinitionStatusInactive)
		}})
	}
	if o.Percent == 100 {
		return out
	}
	return append(out, labtest.Other{Name: "deletes the temporary service", Do: func() error {
		_, err := w.ecs.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: &w.ID, Service: aws.String(w.beside()), Force: aws.Bool(true)})
		if awsapi.Is(err, "ServiceNotFoundException", "ServiceNotActiveException") {
			return nil // it is not there yet, or not any more
		}
		return err
	}, Kept: func() string { return "" }},
		labtest.Other{Name: "takes the temporary name", Do: func() error {
			if aws.ToString(w.service(w.beside()).Status) == "ACTIVE" {
				return nil
			}
			_, err := w.ecs.CreateService(ctx, &ecs.CreateServiceInput{Cluster: &w.ID, ServiceName: aws.String(w.beside()), TaskDefinition: &w.definitions[2], DesiredCount: aws.Int32(1),
				LaunchType: types.LaunchTypeFargate, Tags: []types.Tag{{Key: aws.String("owner"), Value: aws.String("them")}}, NetworkConfiguration: w.network()})
			return err
		}, Kept: func() string {
			s := w.service(w.beside())
			if tagOf(s.Tags, "owner") == "them" && aws.ToString(s.Status) != "ACTIVE" {
				return "the service of somebody else was deleted"
			}
			return ""
		}})
}

// Reading fails in every way, too: what can't be read is unknown, and never looks as if it were not there.
func TestReadingFails(t *testing.T) {
	a := start(t)
	w := a.service(nil)
	reads := []string{"DescribeServices", "ListServiceDeployments", "DescribeServiceRevisions", "ListTaskDefinitions", "DescribeTaskDefinition", "ListTasks"}
	for _, operation := range reads {
		t.Run(operation, func(t *testing.T) {
			w.TB = t
			t.Cleanup(a.ClearFaults)
			w.must(denied("ecs", operation)(context.Background(), w))
			s := w.observe()
			unknown := 0
			for path, v := range s.Values {
				if !v.Known() {
					unknown++
					if want := "ecs:" + operation; !strings.Contains(v.Unknown, want) {
						t.Errorf("%s is unknown because %q, want %q in it", path, v.Unknown, want)
					}
				}
			}
			if unknown == 0 {
				t.Errorf("nothing is unknown: %v", s.Values)
			}
			e := fmt.Sprint(w.target(s, w.old).Evidence)
			if operation != "ListTasks" && !strings.Contains(e, string(astern.ReadyUnknown)) {
				t.Errorf("the evidence is %s", e)
			}
		})
	}
}
