package awsappconfig

import (
	"slices"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Permissions returns what the driver asks AppConfig and its data plane for. AppConfig's resources go by ids, which the
// declaration need not have: every application of the account is meant.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsappconfig.html
func (validator) Permissions(c astern.Component) []astern.Permission {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	application := "application/*" // a name can look like an id, and only AppConfig tells
	environment, profile := application+"/environment/*", application+"/configurationprofile/*"
	on := func(resources ...string) []string {
		for i := range resources {
			resources[i] = p.ARN("appconfig", resources[i])
		}
		return resources
	}
	clients := on(environment + "/configuration/*")
	return slices.Concat(
		awsapi.Permissions(astern.UseRead, "the application, its environment and its profile", on(application), "appconfig:GetApplication", "appconfig:ListEnvironments", "appconfig:ListConfigurationProfiles"),
		awsapi.Permissions(astern.UseRead, "the application, its environment and its profile", []string{"*"}, "appconfig:ListApplications", "appconfig:ListDeploymentStrategies"),
		awsapi.Permissions(astern.UseRead, "the environment and its deployments", on(application, environment), "appconfig:GetEnvironment", "appconfig:ListDeployments"),
		awsapi.Permissions(astern.UseRead, "the environment and its deployments", on(application, environment, environment+"/deployment/*"), "appconfig:GetDeployment"),
		awsapi.Permissions(astern.UseRead, "versions of the configuration", on(application, profile), "appconfig:GetConfigurationProfile", "appconfig:ListHostedConfigurationVersions"),
		awsapi.Permissions(astern.UseRead, "which flags are on", on(application, profile, profile+"/hostedconfigurationversion/*"), "appconfig:GetHostedConfigurationVersion"),
		awsapi.Permissions(astern.UseRead, "alarms of the environment", []string{"*"}, "cloudwatch:DescribeAlarms"),
		awsapi.ForVerbs(awsapi.Permissions(astern.UseRecover, "taking a deployment back", on(application, environment, environment+"/deployment/*"), "appconfig:StopDeployment"), verbRevert),
		awsapi.ForVerbs(awsapi.Permissions(astern.UseRecover, "deploying a version", on(application, environment, profile, "deploymentstrategy/*"), "appconfig:StartDeployment"), verbDeploy),
		awsapi.ForVerbs(awsapi.Permissions(astern.UseRecover, "a version in which a flag is off", on(application, profile), "appconfig:CreateHostedConfigurationVersion"), verbCreate),
		awsapi.ForVerbs(awsapi.Permissions(astern.UseRecover, "asking what clients get", clients, "appconfig:StartConfigurationSession", "appconfig:GetLatestConfiguration"), verbAwait, verbDeploy, verbRevert),
		awsapi.Permissions(astern.UseDiscover, "finding configurations", []string{"*"}, "appconfig:ListApplications"),
		awsapi.Permissions(astern.UseDiscover, "finding configurations", on("application/*"), "appconfig:ListEnvironments", "appconfig:ListConfigurationProfiles", "appconfig:ListDeployments"))
}
