package awsappconfig

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"
	"github.com/aws/aws-sdk-go-v2/service/appconfig/types"
	"github.com/aws/aws-sdk-go-v2/service/appconfigdata"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	alarms "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	emulated "github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/lab/labtest"
)

// Every call of every plan meets every fault, and somebody else. All of AppConfig and of the alarms is the lab's own: there is no moto.
func TestEveryFault(t *testing.T) {
	labtest.Run(t, "http://127.0.0.1:1", 160,
		labtest.Plan{Name: "earlier version deployed", New: func(t testing.TB, a *labtest.Account) labtest.World {
			w := newTried(t, a, tried{alarmed: true, bake: 2})
			return w.world(astern.Options{Verb: astern.VerbDeploy, Percent: 100})
		}},
		labtest.Plan{Name: "taken back", New: func(t testing.TB, a *labtest.Account) labtest.World {
			return newTried(t, a, tried{}).world(astern.Options{Verb: astern.VerbRollback, Percent: 100})
		}},
		labtest.Plan{Name: "flag off", New: func(t testing.TB, a *labtest.Account) labtest.World {
			return newTried(t, a, tried{flags: true}).world(astern.Options{Verb: astern.VerbOff, Percent: 100, Flag: &astern.FlagChange{Flag: "new-checkout"}})
		}},
		labtest.Plan{Name: "stopped while it grows", New: func(t testing.TB, a *labtest.Account) labtest.World {
			w := newTried(t, a, tried{minutes: 4}).world(astern.Options{Verb: astern.VerbDeploy, Percent: 100})
			w.Pause = func(op astern.Op) bool {
				grown := 0
				_, err := fmt.Sscanf(op.Progress, "%d %% of the clients", &grown)
				return err == nil && grown >= 50 // or as soon after that as it can be seen
			}
			return w
		}},
	)
}

// tried is a configuration with two versions, of which clients get the second; a third is somebody else's.
type tried struct {
	testing.TB
	*labtest.Account
	client        *appconfig.Client
	ids           ids
	flags         bool
	alarmed       bool
	minutes, bake int32 // of the strategy on the way back
	atOnce        string
	theirs        int32 // number of the version, or of the deployment, that somebody else made
}

func newTried(t testing.TB, a *labtest.Account, w tried) *tried {
	t.Helper()
	w.TB, w.Account, w.client = t, a, appconfig.NewFromConfig(a.Config)
	ctx := t.Context()
	app, err := w.client.CreateApplication(ctx, &appconfig.CreateApplicationInput{Name: &a.ID})
	w.must(err)
	w.ids.application = *app.Id
	environment := &appconfig.CreateEnvironmentInput{ApplicationId: app.Id, Name: &a.ID}
	if w.alarmed {
		environment.Monitors = []types.Monitor{{AlarmArn: aws.String(w.alarm())}}
	}
	env, err := w.client.CreateEnvironment(ctx, environment)
	w.must(err)
	w.ids.environment = *env.Id
	contents := []string{secretOld, secretNew, secretTheirs}
	profile := &appconfig.CreateConfigurationProfileInput{ApplicationId: app.Id, Name: &a.ID, LocationUri: aws.String(hosted)}
	if w.flags {
		profile.Type, contents = aws.String(flagType), []string{flagsOld, flagsNew, strings.Replace(flagsNew, `"limit":3`, `"limit":4`, 1)}
	}
	made, err := w.client.CreateConfigurationProfile(ctx, profile)
	w.must(err)
	w.ids.profile = *made.Id
	w.strategy("quick", w.minutes, w.bake)
	w.atOnce = w.strategy("at-once", 0, 0)
	for i, content := range contents {
		_, err := w.version(content)
		w.must(err)
		if i < 2 {
			_, err := w.deploy(i + 1)
			w.must(err)
			_, err = w.Step(ctx, time.Hour)
			w.must(err)
		}
	}
	return &w
}

// alarm makes one that is quiet, and returns its ARN.
func (w *tried) alarm() string {
	w.Helper()
	_, err := cloudwatch.NewFromConfig(w.Config).PutMetricAlarm(w.Context(), &cloudwatch.PutMetricAlarmInput{AlarmName: &w.ID, Namespace: aws.String("shop"), MetricName: aws.String("errors"),
		Statistic: alarms.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(10), TreatMissingData: aws.String("notBreaching"),
		ComparisonOperator: alarms.ComparisonOperatorGreaterThanThreshold})
	w.must(err)
	return "arn:aws:cloudwatch:eu-central-1:" + emulated.Account + ":alarm:" + w.ID
}

// strategy makes one that grows in four parts, where that takes any time.
func (w *tried) strategy(name string, minutes, bake int32) string {
	w.Helper()
	factor := float32(100)
	if minutes > 0 {
		factor = 25
	}
	out, err := w.client.CreateDeploymentStrategy(w.Context(), &appconfig.CreateDeploymentStrategyInput{Name: &name, DeploymentDurationInMinutes: &minutes,
		FinalBakeTimeInMinutes: bake, GrowthFactor: &factor, ReplicateTo: types.ReplicateToNone})
	w.must(err)
	return *out.Id
}

func (w *tried) version(content string) (int32, error) {
	out, err := w.client.CreateHostedConfigurationVersion(context.Background(), &appconfig.CreateHostedConfigurationVersionInput{ApplicationId: &w.ids.application,
		ConfigurationProfileId: &w.ids.profile, Content: []byte(content), ContentType: aws.String("application/json")})
	if err != nil {
		return 0, err
	}
	return out.VersionNumber, nil
}

// deploy deploys a version, which is over at once.
func (w *tried) deploy(version int) (int32, error) {
	out, err := w.client.StartDeployment(context.Background(), &appconfig.StartDeploymentInput{ApplicationId: &w.ids.application, EnvironmentId: &w.ids.environment,
		ConfigurationProfileId: &w.ids.profile, ConfigurationVersion: aws.String(fmt.Sprint(version)), DeploymentStrategyId: &w.atOnce})
	if err != nil {
		return 0, err
	}
	return out.DeploymentNumber, nil
}

func (w *tried) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// state is that of a deployment, or why it can't be read.
func (w *tried) state(number int32) string {
	out, err := w.client.GetDeployment(context.Background(), &appconfig.GetDeploymentInput{ApplicationId: &w.ids.application, EnvironmentId: &w.ids.environment, DeploymentNumber: &number})
	if err != nil {
		return err.Error()
	}
	return string(out.State)
}

// gets is what an application gets.
func (w *tried) gets() string {
	c, ctx := appconfigdata.NewFromConfig(w.Config), context.Background()
	s, err := c.StartConfigurationSession(ctx, &appconfigdata.StartConfigurationSessionInput{ApplicationIdentifier: &w.ids.application,
		EnvironmentIdentifier: &w.ids.environment, ConfigurationProfileIdentifier: &w.ids.profile})
	if err != nil {
		return err.Error()
	}
	out, err := c.GetLatestConfiguration(ctx, &appconfigdata.GetLatestConfigurationInput{ConfigurationToken: s.InitialConfigurationToken})
	if err != nil {
		return err.Error()
	}
	return string(out.Configuration)
}

// world is the way back to the first version, or the flag switched off.
func (w *tried) world(o astern.Options) labtest.World {
	c := astern.Component{Environment: "test", Name: w.ID, Kind: Kind}
	c.Settings, _ = json.Marshal(Settings{Settings: w.Settings, Application: w.ID, Environment: w.ID, Configuration: w.ID, Strategy: "quick"})
	want := secretOld
	if w.flags {
		want = `"new-checkout":{"enabled":false}`
	}
	return labtest.World{Component: c, Others: w.others(), Secrets: []string{secretOld, secretNew, secretTheirs}, Every: 30 * time.Second,
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
			t := astern.Target{Address: c.Address(), Revision: "1"}
			if o.Flag != nil {
				if t, err = d.Switcher.Switch(c, s, *o.Flag); err != nil {
					return astern.Route{}, err
				}
			}
			return d.Router.Route(c, s, t, o)
		},
		Effect: func(e emulated.Entry) string {
			if e.Service == "appconfig" { // a session of the data plane is none
				return e.Operation
			}
			return ""
		},
		Reached: func() string {
			if got := w.gets(); !strings.Contains(got, want) {
				return "clients get " + got
			}
			return ""
		},
	}
}

// busy reports whether the cloud refuses because a deployment is under way, or because what is to be stopped is not.
func busy(err error) bool { return awsapi.Is(err, "ConflictException", "BadRequestException") }

// others are what somebody else does meanwhile. Where AppConfig refuses it nothing is left to be kept.
func (w *tried) others() []labtest.Other {
	ctx := context.Background()
	nothing := func() string { return "" }
	out := []labtest.Other{
		{Name: "deploys", Window: "StartDeployment", Do: func() (err error) {
			if w.theirs, err = w.deploy(3); busy(err) {
				return nil
			}
			return err
		}, Kept: func() string {
			if is := w.state(w.theirs); w.theirs != 0 && is != "COMPLETE" {
				return "their deployment is " + is
			}
			return ""
		}},
		{Name: "begins a deployment", Do: func() error {
			slow := w.strategy("slow", 60, 10)
			out, err := w.client.StartDeployment(ctx, &appconfig.StartDeploymentInput{ApplicationId: &w.ids.application, EnvironmentId: &w.ids.environment,
				ConfigurationProfileId: &w.ids.profile, ConfigurationVersion: aws.String("3"), DeploymentStrategyId: &slow})
			if err == nil {
				w.theirs = out.DeploymentNumber
			} else if busy(err) {
				return nil
			}
			return err
		}, Kept: func() string {
			if is := w.state(w.theirs); w.theirs != 0 && is != "DEPLOYING" {
				return "their deployment is " + is
			}
			return ""
		}},
		{Name: "takes the last deployment back", Undoes: "StartDeployment", Do: func() error {
			all, err := w.client.ListDeployments(ctx, &appconfig.ListDeploymentsInput{ApplicationId: &w.ids.application, EnvironmentId: &w.ids.environment})
			if err != nil {
				return err
			}
			last := all.Items[0].DeploymentNumber
			_, err = w.client.StopDeployment(ctx, &appconfig.StopDeploymentInput{ApplicationId: &w.ids.application, EnvironmentId: &w.ids.environment,
				DeploymentNumber: &last, AllowRevert: aws.Bool(true)})
			if busy(err) {
				return nil
			}
			return err
		}, Kept: nothing}, // a deployment that was taken back stays so
		{Name: "deletes the version", Do: func() error {
			_, err := w.client.DeleteHostedConfigurationVersion(ctx, &appconfig.DeleteHostedConfigurationVersionInput{ApplicationId: &w.ids.application,
				ConfigurationProfileId: &w.ids.profile, VersionNumber: aws.Int32(1)})
			if busy(err) {
				return nil
			}
			return err
		}, Kept: nothing}, // its number is never given again
		{Name: "deletes the environment", Do: func() error {
			_, err := w.client.DeleteEnvironment(ctx, &appconfig.DeleteEnvironmentInput{ApplicationId: &w.ids.application, EnvironmentId: &w.ids.environment})
			if busy(err) {
				return nil
			}
			return err
		}, Kept: nothing}, // nor is its id
	}
	if !w.flags {
		return out
	}
	return append(out, labtest.Other{Name: "adds a version", Do: func() (err error) {
		w.theirs, err = w.version(flagsOld)
		return err
	}, Kept: func() string {
		if _, err := askContent(ctx, w.client, w.ids, int64(w.theirs)); err != nil {
			return err.Error()
		}
		return ""
	}})
}
