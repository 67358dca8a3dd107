package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"
	"github.com/aws/aws-sdk-go-v2/service/appconfig/types"
	"github.com/aws/aws-sdk-go-v2/service/appconfigdata"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	alarms "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// The shapes of a configuration: the way back by the strategy that every account has, by one of the user's own, and with an
// alarm that takes deployments back.
const (
	atOnce   = "at once"
	strategy = "strategy"
	watched  = "watched"
)

// The strategies of every account.
const (
	allAtOnce = "AppConfig.AllAtOnce"
	slowly    = "AppConfig.Linear20PercentEvery6Minutes"
)

// configuration is a profile with four hosted versions, each of which was deployed.
type configuration struct {
	*world
	config                    *appconfig.Client
	data                      *appconfigdata.Client
	watch                     *cloudwatch.Client
	app, environment, profile string
	strategy                  string // by which a way back goes
}

// configurations is the kind. What stops a new deployment passes: the target that is reached by taking the last deployment back
// needs none, and only until another was tried and led back from.
func configurations() *kind {
	needs := func(do func(context.Context, *configuration, *damage) error) func(context.Context, *damage) error {
		return func(ctx context.Context, d *damage) error { return do(ctx, d.subject.(*configuration), d) } // the kind's rows are for its own subject
	}
	deleteVersion := needs(func(ctx context.Context, c *configuration, d *damage) error {
		number, err := strconv.ParseInt(d.target, 10, 32)
		if err == nil {
			_, err = c.config.DeleteHostedConfigurationVersion(ctx, &appconfig.DeleteHostedConfigurationVersionInput{ApplicationId: &c.app,
				ConfigurationProfileId: &c.profile, VersionNumber: aws.Int32(int32(number))})
		}
		return err
	})
	deleteStrategy := needs(func(ctx context.Context, c *configuration, _ *damage) error {
		_, err := c.config.DeleteDeploymentStrategy(ctx, &appconfig.DeleteDeploymentStrategyInput{DeploymentStrategyId: &c.strategy})
		return err
	})
	goesOff := needs(func(ctx context.Context, c *configuration, _ *damage) error {
		_, err := c.watch.SetAlarmState(ctx, &cloudwatch.SetAlarmStateInput{AlarmName: &c.name, StateValue: alarms.StateValueAlarm, StateReason: aws.String("errors")})
		return err
	})
	begins := func(profile func(ctx context.Context, c *configuration) (id, version string, err error)) func(context.Context, *damage) error {
		return needs(func(ctx context.Context, c *configuration, _ *damage) error {
			id, version, err := profile(ctx, c)
			if err == nil {
				err = c.deploy(ctx, id, version, slowly)
			}
			return err
		})
	}
	another := begins(func(ctx context.Context, c *configuration) (string, string, error) {
		id, err := c.profiled(ctx, "another")
		if err == nil {
			err = c.version(ctx, id, "{}")
		}
		return id, "1", err
	})
	return &kind{name: "aws.appconfig", shapes: []string{atOnce, strategy, watched}, make: makeConfiguration, rows: append(startedRows(), []row{
		{name: "version deleted", read: "ListHostedConfigurationVersions", one: true, do: deleteVersion},
		{name: "strategy deleted", read: "GetDeploymentStrategy", passes: true, shapes: []string{strategy}, do: deleteStrategy},
		{name: "alarm going off", read: "DescribeAlarms", passes: true, shapes: []string{watched}, do: goesOff},
		{name: "alarm deleted", read: "DescribeAlarms", passes: true, shapes: []string{watched}, do: needs(func(ctx context.Context, c *configuration, _ *damage) error {
			_, err := c.watch.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{c.name}})
			return err
		})},
		{name: "deployment of an earlier version in progress", read: "ListDeployments", passes: true,
			do: begins(func(_ context.Context, c *configuration) (string, string, error) { return c.profile, "2", nil })},
		{name: "deployment of another profile in progress", read: "ListDeployments", passes: true, do: another},
		{name: "a second operator deployed another version", read: "ListDeployments", do: needs(func(ctx context.Context, c *configuration, _ *damage) error {
			if err := c.deploy(ctx, c.profile, "2", allAtOnce); err != nil {
				return err
			}
			return c.later(ctx, 30*time.Minute)
		})},
		{name: "environment deleted", read: "GetEnvironment", do: needs(func(ctx context.Context, c *configuration, _ *damage) error {
			_, err := c.config.DeleteEnvironment(ctx, &appconfig.DeleteEnvironmentInput{ApplicationId: &c.app, EnvironmentId: &c.environment,
				DeletionProtectionCheck: types.DeletionProtectionCheckBypass})
			return err
		})},
		{name: "strategy declared that does not exist", read: "ListDeploymentStrategies", passes: true, do: needs(func(_ context.Context, c *configuration, d *damage) error {
			c.strategy = "nosuch7"
			return d.redeclare(", configuration: limits", ", configuration: limits, strategy: nosuch7")
		}), shapes: []string{atOnce, watched}},
		{name: "versions can't be listed", read: "ListHostedConfigurationVersions", do: denied("appconfig", "ListHostedConfigurationVersions")},
		{name: "deployments can't be listed", read: "ListDeployments", do: denied("appconfig", "ListDeployments")},
		{name: "reading is throttled", read: "ListDeployments", do: throttled("appconfig", "ListDeployments")},
		{name: "after the check: version deleted", read: "ListHostedConfigurationVersions", after: true, one: true, do: deleteVersion},
		{name: "after the check: strategy deleted", read: "GetDeploymentStrategy", passes: true, after: true, shapes: []string{strategy}, do: deleteStrategy},
		{name: "after the check: alarm going off", read: "DescribeAlarms", passes: true, after: true, shapes: []string{watched}, do: goesOff},
		{name: "after the check: deployment of another profile in progress", read: "ListDeployments", passes: true, after: true, do: another},
	}...)}
}

// startedRows are the rows about the calls by which deployments begin and end.
func startedRows() []row {
	return []row{
		{name: "StartDeployment denied", passes: true, read: simulated, do: denies("appconfig:StartDeployment")},
		{name: "no policy allows StartDeployment", passes: true, read: simulated, do: allowsAllBut("appconfig:StartDeployment")},
		{name: "StartDeployment denied by the organization", do: denied("appconfig", "StartDeployment")},
		{name: "StopDeployment denied", read: simulated, passes: true, do: denies("appconfig:StopDeployment")},
		{name: "StartDeployment and StopDeployment throttled", do: func(ctx context.Context, d *damage) error {
			if err := throttled("appconfig", "StopDeployment")(ctx, d); err != nil {
				return err
			}
			return throttled("appconfig", "StartDeployment")(ctx, d)
		}},
	}
}

func makeConfiguration(ctx context.Context, w *world) (subject, error) {
	c := &configuration{world: w, config: appconfig.NewFromConfig(w.aws), data: appconfigdata.NewFromConfig(w.aws), watch: cloudwatch.NewFromConfig(w.aws), strategy: allAtOnce}
	app, err := c.config.CreateApplication(ctx, &appconfig.CreateApplicationInput{Name: &w.name})
	if err != nil {
		return nil, err
	}
	c.app = *app.Id
	in := &appconfig.CreateEnvironmentInput{ApplicationId: &c.app, Name: aws.String("prod")}
	if w.shape == watched {
		if err := c.alarm(ctx); err != nil {
			return nil, err
		}
		in.Monitors = []types.Monitor{{AlarmArn: aws.String("arn:aws:cloudwatch:" + region + ":" + w.account + ":alarm:" + w.name)}}
	}
	environment, err := c.config.CreateEnvironment(ctx, in)
	if err != nil {
		return nil, err
	}
	c.environment = *environment.Id
	declaration := fmt.Sprintf("kind: aws.appconfig\nwith: {%s, application: %s, environment: prod, configuration: limits", w.with(), w.name)
	if w.shape == strategy {
		made, err := c.config.CreateDeploymentStrategy(ctx, &appconfig.CreateDeploymentStrategyInput{Name: &w.name, DeploymentDurationInMinutes: aws.Int32(1),
			GrowthFactor: aws.Float32(50), ReplicateTo: types.ReplicateToNone})
		if err != nil {
			return nil, err
		}
		c.strategy = *made.Id
		declaration += ", strategy: " + w.name
	}
	if err := w.declare(declaration + "}\n"); err != nil {
		return nil, err
	}
	if c.profile, err = c.profiled(ctx, "limits"); err != nil {
		return nil, err
	}
	w.targets, w.current = []string{"1", "2", "3"}, "4"
	for _, rev := range append(w.targets, w.current) {
		if err := c.version(ctx, c.profile, c.content(rev)); err != nil {
			return nil, err
		}
		if err := c.deploy(ctx, c.profile, rev, allAtOnce); err != nil {
			return nil, err
		}
		if err := c.later(ctx, 30*time.Minute); err != nil {
			return nil, err
		}
		if err := w.record(ctx, rev, ""); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *configuration) content(rev string) string {
	return fmt.Sprintf(`{"limit": %s, "of": %q}`, rev, c.name)
}

// alarm makes a quiet one.
func (c *configuration) alarm(ctx context.Context) error {
	_, err := c.watch.PutMetricAlarm(ctx, &cloudwatch.PutMetricAlarmInput{AlarmName: &c.name, Namespace: aws.String("shop"), MetricName: aws.String("errors"),
		Statistic: alarms.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(10),
		TreatMissingData: aws.String("ignore"), ComparisonOperator: alarms.ComparisonOperatorGreaterThanThreshold})
	if err == nil {
		_, err = c.watch.SetAlarmState(ctx, &cloudwatch.SetAlarmStateInput{AlarmName: &c.name, StateValue: alarms.StateValueOk, StateReason: aws.String("quiet")})
	}
	return err
}

func (c *configuration) profiled(ctx context.Context, name string) (string, error) {
	out, err := c.config.CreateConfigurationProfile(ctx, &appconfig.CreateConfigurationProfileInput{ApplicationId: &c.app, Name: &name, LocationUri: aws.String("hosted")})
	if err != nil {
		return "", err
	}
	return *out.Id, nil
}

func (c *configuration) version(ctx context.Context, profile, content string) error {
	_, err := c.config.CreateHostedConfigurationVersion(ctx, &appconfig.CreateHostedConfigurationVersionInput{ApplicationId: &c.app, ConfigurationProfileId: &profile,
		Content: []byte(content), ContentType: aws.String("application/json")})
	return err
}

func (c *configuration) deploy(ctx context.Context, profile, version, strategy string) error {
	_, err := c.config.StartDeployment(ctx, &appconfig.StartDeploymentInput{ApplicationId: &c.app, EnvironmentId: &c.environment, ConfigurationProfileId: &profile,
		ConfigurationVersion: &version, DeploymentStrategyId: &strategy})
	return err
}

func (c *configuration) back(ctx context.Context) error {
	if err := c.deploy(ctx, c.profile, c.current, allAtOnce); err != nil {
		return err
	}
	return c.later(ctx, 30*time.Minute)
}

// byHand takes the last deployment back where the cloud can, as astern would, or deploys the version again.
func (c *configuration) byHand(ctx context.Context, target string) error {
	out, err := c.config.ListDeployments(ctx, &appconfig.ListDeploymentsInput{ApplicationId: &c.app, EnvironmentId: &c.environment})
	if err != nil {
		return err
	}
	if all := out.Items; len(all) == 4 && all[0].State == types.DeploymentStateComplete && target == c.targets[2] { // the newest first
		_, err := c.config.StopDeployment(ctx, &appconfig.StopDeploymentInput{ApplicationId: &c.app, EnvironmentId: &c.environment,
			DeploymentNumber: &all[0].DeploymentNumber, AllowRevert: aws.Bool(true)})
		return err
	}
	return c.deploy(ctx, c.profile, target, c.strategy)
}

// reached looks at what clients get when everything that was begun is over.
func (c *configuration) reached(ctx context.Context, target string) string {
	if err := c.later(ctx, 40*time.Minute); err != nil {
		return seen(err)
	}
	s, err := c.data.StartConfigurationSession(ctx, &appconfigdata.StartConfigurationSessionInput{ApplicationIdentifier: &c.app, EnvironmentIdentifier: &c.environment,
		ConfigurationProfileIdentifier: &c.profile})
	if err != nil {
		return seen(err)
	}
	out, err := c.data.GetLatestConfiguration(ctx, &appconfigdata.GetLatestConfigurationInput{ConfigurationToken: s.InitialConfigurationToken})
	if err != nil {
		return seen(err)
	}
	if is := string(out.Configuration); is != c.content(target) {
		return "clients get " + is
	}
	return ""
}
