package lab

import (
	"context"
	"encoding/json"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"
)

// Whatever the members of a call hold, it is answered, and as the caller's mistake: never by a panic or a status that
// clients would try again.
func TestStatesAnswerStrangeInput(t *testing.T) {
	a := start(t)
	a.python(ecsSetup + appconfigSetup + `
ecs.create_cluster(clusterName="shop"); image("1"); define(registry + "api:1"); service(); deploy("1")
client("cloudwatch").put_metric_alarm(AlarmName="errors", Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold")`)
	strange := []any{nil, "", "x", "shop", "api", "arn:aws:ecs:us-east-1:123456789012:service/shop/api", "arn:/", "/", ":", -1.0, 1e300, true, []any{}, []any{nil}, []any{"api", 1.0},
		[]any{map[string]any{}}, map[string]any{}, map[string]any{"a": []any{}}, strings.Repeat("(", 300), "\x00\xff"}
	members := strings.Fields(`cluster clusters service services serviceName serviceArn taskDefinition desiredCount deploymentConfiguration launchType networkConfiguration
		tasks task serviceDeploymentArn serviceDeploymentArns serviceRevisionArns resourceArn tags tagKeys nextToken maxResults status createdAt include
		repositoryName imageIds imageManifest imageTag lifecyclePolicyText registryId filter
		ApplicationId EnvironmentId ConfigurationProfileId DeploymentNumber VersionNumber ConfigurationVersion DeploymentStrategyId Name LocationUri NextToken MaxResults
		ConfigurationToken ApplicationIdentifier Tags ResourceArn TagKeys GrowthFactor Monitors
		AlarmName AlarmNames AlarmRule MetricData Dimensions Threshold Period EvaluationPeriods StartDate StateValue AlarmTypes Namespace MetricName Statistic ComparisonOperator`)
	usual := map[string]any{"cluster": "shop", "service": "api", "repositoryName": "api", "Namespace": "n", "MetricName": "m", "AlarmName": "errors"}
	for key, overlay := range a.overlays {
		service, operation, _ := strings.Cut(key, ":")
		if !isOneOf(service, "ecs", "ecr", "appconfig", "appconfigdata", "monitoring") || isOneOf(operation, "DeleteService", "DeleteCluster", "DeleteRepository") {
			continue
		}
		for i, member := range members {
			for j, v := range strange {
				if (7*i+j+len(key))%40 != 0 { // a share of all pairs, another for each call
					continue
				}
				in := map[string]any{member: v}
				for k, x := range usual {
					if k != member {
						in[k] = x
					}
				}
				body, _ := json.Marshal(in)
				c := &Call{Seq: 1, Time: a.Now(), Service: service, Operation: operation, Region: "us-east-1", Account: Account, AccessKey: "lab", Method: "POST", Path: "/",
					Header: http.Header{}, Body: body, Input: in, protocol: a.models.byName[service].Protocol}
				elsewhere := func(_ context.Context, c *Call) Reply { return errorReply(c, 400, "Elsewhere", "not asked here") }
				if r := overlay(t.Context(), c, elsewhere); r.Status >= 500 && r.Status != http.StatusNotImplemented {
					t.Errorf("%s with %s = %v: %d %s", key, member, v, r.Status, r.Body)
				}
			}
		}
	}
}

func FuzzAlarmRule(f *testing.F) {
	for _, s := range []string{`ALARM(a) AND NOT (OK("b c") OR TRUE)`, `ALARM('a`, `NOT`, `((`, `ALARM() `} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseRule(s); err == nil {
			n.holds(func(string) string { return "OK" })
			if len(n.names()) > len(s) {
				t.Errorf("%q names %q", s, n.names())
			}
		}
	})
}

func FuzzImagePolicy(f *testing.F) {
	f.Add(`{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "tagged", "tagPatternList": ["a*b"], "countType": "imageCountMoreThan", "countNumber": 1}, "action": {"type": "expire"}}]}`)
	f.Add(`{"rules": [{}]}`)
	f.Fuzz(func(t *testing.T, s string) {
		p, err := readImagePolicy(s)
		if err != nil {
			return
		}
		images := []*containerImage{{Tags: []string{"ab"}}, {Tags: []string{"acb", "x"}}, {}}
		if n := len(p.evaluate(images, epochStart)); n > len(images) {
			t.Errorf("%d of 3 images expire", n)
		}
	})
}

// A pattern with stars alone means what path.Match makes of it, which knows no slashes in texts without them.
func FuzzWildcard(f *testing.F) {
	for _, s := range [][2]string{{"v1-rc", "v*-rc"}, {"aa", "a*a"}, {"a", "a*a"}, {"", "*"}, {"abcabc", "*bc*c"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, text, pattern string) {
		if strings.ContainsAny(pattern, `?[\/`) || strings.Contains(text, "/") || strings.Count(pattern, "*") > 4 {
			return
		}
		if want, err := path.Match(pattern, text); err == nil && wildcard(text, pattern) != want {
			t.Errorf("%q and %q: %v", text, pattern, !want)
		}
	})
}

func FuzzFlags(f *testing.F) {
	f.Add([]byte(`{"version": "1", "flags": {"a": {"attributes": {"x": {"constraints": {"type": "number"}}}}}, "values": {"a": {"enabled": true, "x": 1}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkFlags(b) == nil && !json.Valid(flagValues(b)) {
			t.Errorf("%s gives %s", b, flagValues(b))
		}
	})
}

// A wall of time between two looks at a deployment of AppConfig changes nothing of what is seen of it.
func FuzzConfigStrategy(f *testing.F) {
	f.Add(30, 10, 20.0, true)
	f.Add(0, 0, 1.0, false)
	f.Fuzz(func(t *testing.T, minutes, bake int, factor float64, exponential bool) {
		if minutes < 0 || minutes > 1440 || bake < 0 || bake > 1440 || !(factor >= 1 && factor <= 100) {
			return
		}
		s := strategy{Minutes: minutes, Bake: bake, Factor: factor, Growth: map[bool]string{true: "EXPONENTIAL", false: "LINEAR"}[exponential]}
		often, once := &configDeployment{Strategy: s}, &configDeployment{Strategy: s}
		often.began(epochStart)
		once.began(epochStart)
		for i := range 50 {
			before := often.Percent
			often.advance(epochStart.Add(time.Duration(i)*time.Hour), nil)
			if often.Percent < before || often.Percent > 100 {
				t.Fatalf("%v %% after %v %%", often.Percent, before)
			}
		}
		once.advance(epochStart.Add(49*time.Hour), nil)
		if len(often.Events) != len(once.Events) || often.State != once.State || once.State != "COMPLETE" {
			t.Errorf("%d events and %s, looked at once %d and %s", len(often.Events), often.State, len(once.Events), once.State)
		}
	})
}

// A reset account has nothing left of what the lab itself keeps.
func TestStatesAreReset(t *testing.T) {
	a := start(t)
	const look = ecsSetup + `
print(ecs.describe_services(cluster="shop", services=["api"])["services"] if ecs.list_clusters()["clusterArns"] else [], client("appconfig").list_applications()["Items"],
  client("cloudwatch").describe_alarms()["MetricAlarms"], ecr.describe_repositories()["repositories"])`
	a.python(ecsSetup + appconfigSetup + `
ecs.create_cluster(clusterName="shop"); image("1"); define(registry + "api:1"); service()
client("cloudwatch").put_metric_alarm(AlarmName="errors", Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold")`)
	if err := a.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.wantPython("[] [] [] []", look)
	a.wantPython("[]", ecsSetup+`
ecr.create_repository(repositoryName="api"); print(ecr.list_images(repositoryName="api")["imageIds"])`)
}
