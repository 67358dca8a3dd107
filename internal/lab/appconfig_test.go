package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The example of GetDeployment in the model of the API (25 % steps over 15 minutes, no bake time), and the strategies
// that every account has.
func TestConfigDeploymentsGrow(t *testing.T) {
	for _, c := range []struct {
		s    strategy
		want string // event and minutes since the start
	}{
		{strategy{Minutes: 15, Growth: "LINEAR", Factor: 25}, "25 3, 50 6, 75 9, 100 12, bake 15, complete 15"},
		{predefined[0], "100 0, bake 0, complete 10"},
		{predefined[1], "50 0.333, 100 0.667, bake 1, complete 2"},
		{predefined[2], "20 5, 40 10, 60 15, 80 20, 100 25, bake 30, complete 60"},
		{predefined[3], "10 3.33, 20 6.67, 40 10, 80 13.3, 100 16.7, bake 20, complete 30"},
		{strategy{Minutes: 4, Growth: "EXPONENTIAL", Factor: 30}, "30 1, 60 2, 100 3, bake 4, complete 4"},
	} {
		for _, step := range []time.Duration{10 * time.Second, 2 * time.Hour} {
			d := &configDeployment{Strategy: c.s, Version: "2", Before: "1"}
			d.began(epochStart)
			for at := time.Duration(0); at <= 2*time.Hour; at += step {
				d.advance(epochStart.Add(at), nil)
			}
			var got []string
			for _, e := range slices.Backward(d.Events[:len(d.Events)-1]) {
				what := map[string]string{"BAKE_TIME_STARTED": "bake", "DEPLOYMENT_COMPLETED": "complete"}[e.Type]
				if what == "" {
					var p float64
					fmt.Sscanf(e.Description, "Configuration available to %f%% of clients", &p)
					what = fmt.Sprint(p)
				}
				got = append(got, fmt.Sprintf("%s %.3g", what, e.At.Sub(epochStart).Minutes()))
			}
			if strings.Join(got, ", ") != c.want || d.State != "COMPLETE" || d.Percent != 100 {
				t.Errorf("%+v, looked at every %s:\n%s, want\n%s (%s, %v %%)", c.s, step, strings.Join(got, ", "), c.want, d.State, d.Percent)
			}
		}
	}
}

// What StopDeployment and alarms make of a deployment, by when they come.
func TestConfigDeploymentsEnd(t *testing.T) {
	s := strategy{Minutes: 10, Bake: 10, Growth: "LINEAR", Factor: 50}
	for name, c := range map[string]struct {
		stop, alarm   time.Duration
		revert, newer bool
		refused       bool
		state         string // a minute after
		serves        string
		environment   string
	}{
		"stopped while it grows":            {stop: 5 * time.Minute, state: "ROLLED_BACK", serves: "1", environment: "RolledBack"},
		"stopped while it grows, reverting": {stop: 5 * time.Minute, revert: true, state: "ROLLED_BACK", serves: "1", environment: "RolledBack"},
		"stopped while it bakes":            {stop: 15 * time.Minute, refused: true, state: "BAKING", serves: "2", environment: "Deploying"},
		"stopped while it bakes, reverting": {stop: 15 * time.Minute, revert: true, state: "ROLLED_BACK", serves: "1", environment: "RolledBack"},
		"stopped when complete":             {stop: 30 * time.Minute, refused: true, state: "COMPLETE", serves: "2", environment: "ReadyForDeployment"},
		"reverted when complete":            {stop: 30 * time.Minute, revert: true, state: "REVERTED", serves: "1", environment: "Reverted"},
		"reverted in the last second":       {stop: 20*time.Minute + revertWindow, revert: true, state: "REVERTED", serves: "1", environment: "Reverted"},
		"reverted a second late":            {stop: 20*time.Minute + revertWindow + time.Second, revert: true, refused: true, state: "COMPLETE", serves: "2", environment: "ReadyForDeployment"},
		"reverted after a newer one":        {stop: 30 * time.Minute, revert: true, newer: true, refused: true, state: "COMPLETE", serves: "2", environment: "ReadyForDeployment"},
		"alarm while it grows":              {alarm: 5 * time.Minute, state: "ROLLED_BACK", serves: "1", environment: "RolledBack"},
		"alarm while it bakes":              {alarm: 15 * time.Minute, state: "ROLLED_BACK", serves: "1", environment: "RolledBack"},
		"alarm when complete":               {alarm: 21 * time.Minute, state: "COMPLETE", serves: "2", environment: "ReadyForDeployment"},
		"stopped again while it rolls back": {stop: 5 * time.Minute, state: "ROLLED_BACK", serves: "1", environment: "RolledBack"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &configDeployment{Number: 2, Strategy: s, Version: "2", Before: "1"}
			d.began(epochStart)
			firing := func(from, to time.Time) (string, time.Time, bool) {
				at := epochStart.Add(c.alarm)
				return "arn:alarm", at, c.alarm > 0 && !at.Before(from) && !at.After(to)
			}
			now := epochStart.Add(c.stop + c.alarm)
			d.advance(now, firing)
			if c.stop > 0 {
				if err := d.stop(now, c.revert, !c.newer, "me"); (err != nil) != c.refused {
					t.Errorf("stopping it: %v", err)
				}
				if d.State == "ROLLING_BACK" && d.stop(now, true, true, "me") == nil {
					t.Error("stopped twice")
				}
			}
			d.advance(now.Add(time.Minute), firing)
			if d.State != c.state || d.serves(50) != c.serves || environmentState(d) != c.environment {
				t.Errorf("%s, serves %s, environment %s; want %s, %s, %s\n%+v", d.State, d.serves(50), environmentState(d), c.state, c.serves, c.environment, d.Events)
			}
			if rolled := d.State == "ROLLED_BACK"; rolled != (d.Events[0].Type == "ROLLBACK_COMPLETED" && d.Percent == 0) {
				t.Errorf("%v %% and %+v", d.Percent, d.Events[0])
			}
		})
	}
}

func TestFeatureFlagContent(t *testing.T) {
	const flags = `"flags": {"cart": {"name": "Cart", "attributes": {"limit": {"constraints": {"type": "number", "required": true}}}}, "new": {"name": "New"}}`
	for values, ok := range map[string]bool{
		`{}`: true,
		`{"cart": {"enabled": true, "limit": 3}, "new": {"enabled": false}}`: true,
		`{"cart": {"enabled": false}}`:                                       true,
		`{"cart": {"enabled": true}}`:                                        false, // required
		`{"cart": {"enabled": true, "limit": "3"}}`:                          false,
		`{"cart": {"enabled": "yes", "limit": 3}}`:                           false,
		`{"cart": {"limit": 3}}`:                                             false,
		`{"new": {"enabled": true, "limit": 3}}`:                             false, // not defined
		`{"old": {"enabled": true}}`:                                         false,
		`{"new": {"_variants": [{"enabled": true}]}}`:                        false,
		`[]`: false,
	} {
		if err := checkFlags([]byte(`{"version": "1", ` + flags + `, "values": ` + values + `}`)); (err == nil) != ok {
			t.Errorf("%s: %v", values, err)
		}
	}
	if checkFlags([]byte(`{"version": "2", `+flags+`, "values": {}}`)) == nil || checkFlags([]byte(`{`)) == nil {
		t.Error("another version or no JSON is accepted")
	}
}

// appconfigSetup gives scripts an application "shop" with an environment, a profile and three versions.
const appconfigSetup = `
ac, data = client("appconfig"), client("appconfigdata")
apps = ac.list_applications()["Items"]
if not apps:
    app = ac.create_application(Name="shop")["Id"]
    env = ac.create_environment(ApplicationId=app, Name="prod")["Id"]
    prof = ac.create_configuration_profile(ApplicationId=app, Name="limits", LocationUri="hosted")["Id"]
    for n in (1, 2, 3): ac.create_hosted_configuration_version(ApplicationId=app, ConfigurationProfileId=prof, Content=b'{"limit": %d}' % n, ContentType="application/json", VersionLabel="r%d" % n)
else:
    app = apps[0]["Id"]; env = ac.list_environments(ApplicationId=app)["Items"][0]["Id"]; prof = ac.list_configuration_profiles(ApplicationId=app)["Items"][0]["Id"]
ids = dict(ApplicationId=app, EnvironmentId=env)
def deploy(version, strategy="AppConfig.AllAtOnce", **more):
    return ac.start_deployment(ConfigurationProfileId=prof, ConfigurationVersion=version, DeploymentStrategyId=strategy, **ids, **more)["DeploymentNumber"]
def state(n): return ac.get_deployment(DeploymentNumber=n, **ids)["State"]
def stop(n, **more): return ac.stop_deployment(DeploymentNumber=n, **ids, **more)["State"]
def wait(name, **args): return refused(lambda: ac.get_waiter(name).wait(WaiterConfig={"Delay": 0, "MaxAttempts": 1}, **ids, **args))
def fetch(token=None, **more):
    token = token or data.start_configuration_session(ApplicationIdentifier="shop", EnvironmentIdentifier="prod", ConfigurationProfileIdentifier="limits", **more)["InitialConfigurationToken"]
    r = data.get_latest_configuration(ConfigurationToken=token)
    return r["Configuration"].read().decode(), r["NextPollConfigurationToken"]
`

// "AppConfig environments, strategies, deployments, revert window of 72 h, data plane"
func TestAppConfig(t *testing.T) {
	a := start(t)
	a.wantPython(`
not refused ReadyForDeployment
[3, 2, 1] b'{"limit": 2}' application/json r2
404 ResourceNotFoundException
1 BAKING Deploying WaiterError
409 ConflictException
{"limit": 1} ['']`, appconfigSetup+`
print(wait("environment_ready_for_deployment"), ac.get_environment(**ids)["State"])
v = ac.get_hosted_configuration_version(ApplicationId=app, ConfigurationProfileId=prof, VersionNumber=2)
print([v["VersionNumber"] for p in ac.get_paginator("list_hosted_configuration_versions").paginate(ApplicationId=app, ConfigurationProfileId=prof, PaginationConfig={"PageSize": 1}) for v in p["Items"]],
    v["Content"].read(), v["ContentType"], v["VersionLabel"])
print(refused(fetch).split(":")[0])
n = deploy("1", Tags={"token": "x"}, Description="first")
print(n, state(n), ac.get_environment(**ids)["State"], wait("deployment_complete", DeploymentNumber=n))
print(refused(lambda: deploy("2")).split(":")[0])
content, token = fetch()
print(content, [fetch(token)[0]])`)
	a.later(10 * time.Minute)
	a.wantPython(`
not refused not refused
['DEPLOYMENT_COMPLETED', 'BAKE_TIME_STARTED', 'PERCENTAGE_UPDATED', 'DEPLOYMENT_STARTED'] first {'token': 'x'}
2 DEPLOYING`, appconfigSetup+`
print(wait("deployment_complete", DeploymentNumber=1), wait("environment_ready_for_deployment"))
d = ac.get_deployment(DeploymentNumber=1, **ids)
print([e["EventType"] for e in d["EventLog"]], d["Description"], ac.list_tags_for_resource(ResourceArn="arn:aws:appconfig:us-east-1:123456789012:application/%s/environment/%s/deployment/1" % (app, env))["Tags"])
n = deploy("r2", "AppConfig.Linear20PercentEvery6Minutes")
print(n, state(n))`)
	a.later(11 * time.Minute)
	share := a.python(appconfigSetup + `print(sum("2" in fetch()[0] for _ in range(50)), ac.get_deployment(DeploymentNumber=2, **ids)["PercentageComplete"])`)
	var n int
	var percent float64
	if _, err := fmt.Sscan(share, &n, &percent); err != nil || percent != 40 || n < 7 || n > 33 { // 20 expected, 4 standard deviations
		t.Errorf("of 50 sessions, and percentage: %s", share)
	}
	a.later(50 * time.Minute)
	a.wantPython(`
COMPLETE {"limit": 2}
400 BadRequestException: Cannot stop deployment 2 because its state is COMPLETE
REVERTED {"limit": 1} Reverted WaiterError
3 ROLLING_BACK`, appconfigSetup+`
print(state(2), fetch()[0])
print(refused(lambda: stop(2)))
print(stop(2, AllowRevert=True), fetch()[0], ac.get_environment(**ids)["State"], wait("environment_ready_for_deployment"))
n = deploy("3", "AppConfig.Canary10Percent20Minutes")
print(n, stop(n))`)
	a.later(5 * time.Second)
	a.wantPython(`
ROLLED_BACK {"limit": 1}
['ROLLED_BACK', 'REVERTED', 'COMPLETE'] 4`, appconfigSetup+`
print(state(3), fetch()[0])
print([d["State"] for p in ac.get_paginator("list_deployments").paginate(PaginationConfig={"PageSize": 2}, **ids) for d in p["Items"]], deploy("3"))`)
	a.later(10*time.Minute + 72*time.Hour + time.Second)
	a.wantPython("400 BadRequestException: Deployment 4 can't be reverted because it completed more than 72 hours ago", appconfigSetup+`
print(refused(lambda: stop(4, AllowRevert=True)))`)
	if out := a.aws("appconfig", "list-deployment-strategies", "--query", "Items[0].Name", "--output", "text"); out != "AppConfig.AllAtOnce" {
		t.Errorf("the command line lists %s", out)
	}
}

func TestAppConfigRefusals(t *testing.T) {
	a := start(t)
	a.wantPython(`
404 ResourceNotFoundException: Application abc1234 could not be found
404 ResourceNotFoundException: Deployment 9 could not be found
404 ResourceNotFoundException: HostedConfigurationVersion 9 could not be found
404 ResourceNotFoundException: DeploymentStrategy nobody could not be found
409 ConflictException: The latest version number 3 does not match the one that was given, 2
400 BadRequestException: DeploymentDurationInMinutes and FinalBakeTimeInMinutes must be between 0 and 1440
400 BadRequestException: AppConfig.AllAtOnce is predefined and cannot be deleted
501 LabNotImplemented: The lab has no configuration stored elsewhere than hosted for appconfig:CreateConfigurationProfile.
400 BadRequestException: Request failed because the token is not usable: Corrupted
400 BadRequestException: Request failed because the token is not usable: PollIntervalNotSatisfied
400 BadRequestException: Error invoking validators: values has "old", which flags doesn't define
{"cart":{"enabled":true,"limit":3},"new":{"enabled":false}}`, appconfigSetup+`
print(refused(lambda: ac.get_application(ApplicationId="abc1234")))
print(refused(lambda: state(9)))
print(refused(lambda: deploy("9")))
print(refused(lambda: deploy("1", "nobody")))
print(refused(lambda: ac.create_hosted_configuration_version(ApplicationId=app, ConfigurationProfileId=prof, Content=b"x", ContentType="text/plain", LatestVersionNumber=2)))
print(refused(lambda: ac.create_deployment_strategy(Name="s", DeploymentDurationInMinutes=2000, GrowthFactor=5)))
print(refused(lambda: ac.delete_deployment_strategy(DeploymentStrategyId="AppConfig.AllAtOnce")))
print(refused(lambda: ac.create_configuration_profile(ApplicationId=app, Name="p", LocationUri="ssm-parameter://x")))
deploy("1")
print(refused(lambda: data.get_latest_configuration(ConfigurationToken="nonsense")))
token = fetch(RequiredMinimumPollIntervalInSeconds=60)[1]
print(refused(lambda: fetch(token)))
flags = ac.create_configuration_profile(ApplicationId=app, Name="flags", LocationUri="hosted", Type="AWS.AppConfig.FeatureFlags")["Id"]
def content(values): return json.dumps({"version": "1", "flags": {"cart": {"name": "Cart", "attributes": {"limit": {"constraints": {"type": "number"}}}}, "new": {"name": "New"}}, "values": values}).encode()
def version(values): return ac.create_hosted_configuration_version(ApplicationId=app, ConfigurationProfileId=flags, Content=content(values), ContentType="application/json")
print(refused(lambda: version({"old": {"enabled": True}})))
version({"cart": {"enabled": True, "limit": 3}, "new": {"enabled": False}})
other = ac.create_environment(ApplicationId=app, Name="stage")["Id"]
ac.start_deployment(ApplicationId=app, EnvironmentId=other, ConfigurationProfileId=flags, ConfigurationVersion="1", DeploymentStrategyId="AppConfig.AllAtOnce")
t = data.start_configuration_session(ApplicationIdentifier=app, EnvironmentIdentifier=other, ConfigurationProfileIdentifier=flags)["InitialConfigurationToken"]
print(data.get_latest_configuration(ConfigurationToken=t)["Configuration"].read().decode())`)
}
