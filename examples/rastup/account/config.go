package account

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"
	"github.com/aws/aws-sdk-go-v2/service/appconfig/types"
	"github.com/aws/aws-sdk-go-v2/service/appconfigdata"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// flagIDs name what flags are deployed to.
type flagIDs struct{ application, environment, profile, strategy string }

// flags are the content of a version: what the features are, and which are on. Payments came with the second.
// https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-type-reference-feature-flags.html
func flags(payments, newFeature bool) []byte {
	return fmt.Appendf(nil, `{"version":"1","flags":{"new_feature_enabled":{"name":"New search"},"payments_enabled":{"name":"Payments"}},`+
		`"values":{"new_feature_enabled":{"enabled":%t},"payments_enabled":{"enabled":%t}}}`, newFeature, payments)
}

// configuration makes the feature flags, in two environments.
func (a *Account) configuration(ctx context.Context) error {
	c := appconfig.NewFromConfig(a.config)
	app, err := c.CreateApplication(ctx, &appconfig.CreateApplicationInput{Name: aws.String(Application)})
	if err != nil {
		return doing("making the application "+Application, err)
	}
	profile, err := c.CreateConfigurationProfile(ctx, &appconfig.CreateConfigurationProfileInput{ApplicationId: app.Id, Name: aws.String(Profile),
		LocationUri: aws.String("hosted"), Type: aws.String("AWS.AppConfig.FeatureFlags")})
	if err != nil {
		return doing("making the configuration profile "+Profile, err)
	}
	strategy, err := c.CreateDeploymentStrategy(ctx, &appconfig.CreateDeploymentStrategyInput{Name: aws.String(strategyName), DeploymentDurationInMinutes: aws.Int32(0),
		FinalBakeTimeInMinutes: 0, GrowthFactor: aws.Float32(100), ReplicateTo: types.ReplicateToNone})
	if err != nil {
		return doing("making the deployment strategy "+strategyName, err)
	}
	a.flags = flagIDs{application: aws.ToString(app.Id), profile: aws.ToString(profile.Id), strategy: aws.ToString(strategy.Id)}
	for _, content := range [][]byte{flags(false, false), flags(true, false)} {
		if err := a.flagVersion(ctx, c, content); err != nil {
			return err
		}
	}
	for _, name := range []string{"staging", Environment} {
		env, err := c.CreateEnvironment(ctx, &appconfig.CreateEnvironmentInput{ApplicationId: app.Id, Name: &name})
		if err != nil {
			return doing("making the environment "+name, err)
		}
		a.flags.environment = aws.ToString(env.Id)
		for _, number := range []string{"1", "2"} {
			if err := a.deployFlags(ctx, c, number); err != nil {
				return err
			}
		}
	}
	return nil
}

// flagVersion makes a version of the flags.
func (a *Account) flagVersion(ctx context.Context, c *appconfig.Client, content []byte) error {
	_, err := c.CreateHostedConfigurationVersion(ctx, &appconfig.CreateHostedConfigurationVersionInput{ApplicationId: &a.flags.application,
		ConfigurationProfileId: &a.flags.profile, Content: content, ContentType: aws.String("application/json")})
	return doing("making a version of the flags", err)
}

// deployFlags deploys the version of that number.
func (a *Account) deployFlags(ctx context.Context, c *appconfig.Client, number string) error {
	_, err := c.StartDeployment(ctx, &appconfig.StartDeploymentInput{ApplicationId: &a.flags.application, EnvironmentId: &a.flags.environment,
		ConfigurationProfileId: &a.flags.profile, ConfigurationVersion: &number, DeploymentStrategyId: &a.flags.strategy})
	return doing("deploying version "+number+" of the flags", err)
}

// switchOn switches the new feature on.
func (a *Account) switchOn(ctx context.Context) error {
	c := appconfig.NewFromConfig(a.config)
	if err := a.flagVersion(ctx, c, flags(true, true)); err != nil {
		return err
	}
	return a.deployFlags(ctx, c, "3")
}

// FlagOn asks for the flags as the application does, and returns whether the new feature is on.
func (a *Account) FlagOn(ctx context.Context) (bool, error) {
	c := appconfigdata.NewFromConfig(a.config)
	session, err := c.StartConfigurationSession(ctx, &appconfigdata.StartConfigurationSessionInput{ApplicationIdentifier: aws.String(Application),
		EnvironmentIdentifier: aws.String(Environment), ConfigurationProfileIdentifier: aws.String(Profile)})
	if err != nil {
		return false, doing("asking for the flags", err)
	}
	out, err := c.GetLatestConfiguration(ctx, &appconfigdata.GetLatestConfigurationInput{ConfigurationToken: session.InitialConfigurationToken})
	if err != nil {
		return false, doing("asking for the flags", err)
	}
	var is map[string]struct{ Enabled bool }
	if err := json.Unmarshal(out.Configuration, &is); err != nil {
		return false, doing("reading the flags", err)
	}
	return is[Flag].Enabled, nil
}

// secrets makes the key with two versions, and the parameter with two.
func (a *Account) secrets(ctx context.Context) error {
	keys := secretsmanager.NewFromConfig(a.config)
	_, err := keys.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String(Secret), SecretString: aws.String("rastup-key-of-" + Older)})
	if err == nil {
		_, err = keys.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String(Secret), SecretString: aws.String("rastup-key-of-" + Good)})
	}
	if err != nil {
		return doing("making the secret "+Secret, err)
	}
	c := ssm.NewFromConfig(a.config)
	for _, value := range []string{`{"results":10}`, `{"results":20}`} {
		_, err := c.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String(Parameter), Value: &value, Type: ssmtypes.ParameterTypeString, Overwrite: aws.Bool(true)})
		if err != nil {
			return doing("making the parameter "+Parameter, err)
		}
	}
	return nil
}
