package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"
	"github.com/aws/aws-sdk-go-v2/service/appconfig/types"
	"github.com/aws/aws-sdk-go-v2/service/appconfigdata"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/astern-dev/astern/internal/lab"
)

// labs are those of the scripts that run, by their addresses.
var (
	labsMu sync.Mutex
	labs   = map[string]*lab.Lab{}
)

// configurations runs an emulated account until the script ends, with an application shop whose profiles limits (free-form, with a
// secret in it) and features (two flags) were deployed to the environment prod twice, as v1 and v2. The strategy quickly neither
// grows nor bakes, slowly grows for 20 minutes.
func configurations(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: configurations")
	}
	laboratory(ts)
	configured(ts, "prod")
}

// configured makes the application, and deploys its two profiles to each of the environments.
func configured(ts *testscript.TestScript, environments ...string) {
	ctx, c := context.Background(), appconfig.NewFromConfig(clientOptions(ts))
	app, err := c.CreateApplication(ctx, &appconfig.CreateApplicationInput{Name: aws.String("shop")})
	ts.Check(err)
	var ids []*string
	for _, name := range environments {
		env, err := c.CreateEnvironment(ctx, &appconfig.CreateEnvironmentInput{ApplicationId: app.Id, Name: &name})
		ts.Check(err)
		ids = append(ids, env.Id)
	}
	_, err = c.CreateDeploymentStrategy(ctx, &appconfig.CreateDeploymentStrategyInput{Name: aws.String("slowly"), DeploymentDurationInMinutes: aws.Int32(20),
		FinalBakeTimeInMinutes: 10, GrowthFactor: aws.Float32(10), ReplicateTo: types.ReplicateToNone})
	ts.Check(err)
	quickly, err := c.CreateDeploymentStrategy(ctx, &appconfig.CreateDeploymentStrategyInput{Name: aws.String("quickly"), DeploymentDurationInMinutes: aws.Int32(0),
		GrowthFactor: aws.Float32(100), ReplicateTo: types.ReplicateToNone})
	ts.Check(err)
	for _, name := range []string{"limits", "features"} {
		kind := map[string]string{"limits": "AWS.Freeform", "features": "AWS.AppConfig.FeatureFlags"}[name]
		profile, err := c.CreateConfigurationProfile(ctx, &appconfig.CreateConfigurationProfileInput{ApplicationId: app.Id, Name: &name, LocationUri: aws.String("hosted"), Type: &kind})
		ts.Check(err)
		for i, label := range []string{"v1", "v2"} {
			content := fmt.Sprintf(`{"password":%q,"n":%d}`, []string{oldValue, newValue}[i], i)
			if name == "features" {
				content = fmt.Sprintf(`{"version":"1","flags":{"cart":{"name":"Cart"},"new-checkout":{"name":"New"}},"values":{"cart":{"enabled":true},"new-checkout":{"enabled":%t}}}`, i == 1)
			}
			v, err := c.CreateHostedConfigurationVersion(ctx, &appconfig.CreateHostedConfigurationVersionInput{ApplicationId: app.Id, ConfigurationProfileId: profile.Id,
				Content: []byte(content), ContentType: aws.String("application/json"), VersionLabel: &label})
			ts.Check(err)
			for _, id := range ids {
				_, err = c.StartDeployment(ctx, &appconfig.StartDeploymentInput{ApplicationId: app.Id, EnvironmentId: id, ConfigurationProfileId: profile.Id,
					ConfigurationVersion: aws.String(fmt.Sprint(v.VersionNumber)), DeploymentStrategyId: quickly.Id})
				ts.Check(err)
			}
		}
	}
}

// later steps the clock of the script's account.
func later(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: later DURATION")
	}
	by, err := time.ParseDuration(args[0])
	ts.Check(err)
	_, err = here(ts).Step(context.Background(), by)
	ts.Check(err)
}

// here is the lab of the script.
func here(ts *testscript.TestScript) *lab.Lab {
	labsMu.Lock()
	defer labsMu.Unlock()
	return labs[ts.Getenv("AWS_ENDPOINT_URL")]
}

// gets demands what the clients of a configuration get: the label of the version, and a part of its content. The configuration is
// that of the environment prod, unless it is written ENVIRONMENT/CONFIGURATION.
func gets(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: gets CONFIGURATION LABEL [CONTENT]")
	}
	environment, configuration, both := strings.Cut(args[0], "/")
	if !both {
		environment, configuration = "prod", args[0]
	}
	ctx, c := context.Background(), appconfigdata.NewFromConfig(clientOptions(ts))
	s, err := c.StartConfigurationSession(ctx, &appconfigdata.StartConfigurationSessionInput{ApplicationIdentifier: aws.String("shop"),
		EnvironmentIdentifier: &environment, ConfigurationProfileIdentifier: &configuration})
	ts.Check(err)
	out, err := c.GetLatestConfiguration(ctx, &appconfigdata.GetLatestConfigurationInput{ConfigurationToken: s.InitialConfigurationToken})
	ts.Check(err)
	if label := aws.ToString(out.VersionLabel); label != args[1] || len(args) > 2 && !strings.Contains(string(out.Configuration), args[2]) {
		ts.Fatalf("clients of %s get %s, want %s", args[0], label, strings.Join(args[1:], " "))
	}
}
