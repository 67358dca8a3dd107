package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/config"
	"github.com/astern-dev/astern/internal/config/schemagen"
)

// lambdaSettings are those that sources take something of.
type lambdaSettings struct {
	Region   string `json:"region,omitempty"`
	Function string `json:"function"`
	Alias    string `json:"alias"`
}

// What astern knows by itself of a function and of a load balancer is filled in.
func TestCloudWatchIsFilledIn(t *testing.T) {
	drivers := append(testDrivers(), astern.Driver{Kind: "aws.lambda", Settings: lambdaSettings{}})
	schema, err := schemagen.GenerateSchema(drivers)
	if err != nil {
		t.Fatal(err)
	}
	s, err := config.Judge(schema)("astern.yaml", []byte(`version: 1
system: shop
environments:
  production:
    components:
      api:
        kind: aws.lambda
        signals:
          errors: {kind: errors, cloudwatch: {}}
          slow: {kind: latency, cloudwatch: {bounds: [0.2, 0.24]}}
          calls: {kind: throughput, cloudwatch: {settle: 30s}}
          orders: {kind: business, cloudwatch: {namespace: Shop, total: Orders, period: 10s, dimensions: {Stage: live}, region: us-east-1}}
          pager: {kind: alarm, alarm: {name: api-errors, harm: 5}}
        with: {region: eu-central-1, function: api, alias: live}
      shop:
        kind: test.bare
        signals:
          errors: {kind: errors, cloudwatch: {load_balancer: app/shop/50dc6c495c0c9188, target_group: targetgroup/shop/73e2d6bc24d8a067, region: eu-west-1}}
        logs: {group: /ecs/shop, pattern: panic}
`), "/srv", drivers)
	if err != nil {
		t.Fatal(err)
	}
	frankfurt := astern.AWSPlace{Region: "eu-central-1"}
	live := map[string]string{"FunctionName": "api", "Resource": "api:live"}
	lambda := astern.CloudWatchSource{AWSPlace: frankfurt, Namespace: "AWS/Lambda", Dimensions: live, Version: "ExecutedVersion", PeriodSeconds: 60, SettleSeconds: 120}
	failures, slow, calls := lambda, lambda, lambda
	failures.Total, failures.Bad = "Invocations", "Errors"
	slow.Latency, slow.Milliseconds, slow.Bounds = "Duration", true, []float64{0.2, 0.24}
	calls.Total, calls.SettleSeconds = "Invocations", 30
	api, shop := s.Environments[0].Components[0], s.Environments[0].Components[1]
	orders := astern.CloudWatchSource{AWSPlace: astern.AWSPlace{Region: "us-east-1"}, Namespace: "Shop", Dimensions: map[string]string{"Stage": "live"}, Total: "Orders", PeriodSeconds: 10, SettleSeconds: 120}
	for i, want := range []*astern.CloudWatchSource{&failures, &slow, &calls, &orders} {
		if diff := cmp.Diff(want, api.Signals[i].CloudWatch); diff != "" {
			t.Errorf("%s (-want +got)\n%s", api.Signals[i].Name, diff)
		}
	}
	if diff := cmp.Diff([]astern.Alarm{{Name: "pager", Address: "production/api", AWSPlace: frankfurt, Alarm: "api-errors", Harm: 5}}, api.Alarms); diff != "" {
		t.Error(diff)
	}
	if l := api.Logs; l == nil || l.Group != "/aws/lambda/api" || l.Region != "eu-central-1" || l.Pattern == "" {
		t.Errorf("%+v", api.Logs)
	}
	if diff := cmp.Diff(&astern.CloudWatchSource{AWSPlace: astern.AWSPlace{Region: "eu-west-1"}, Namespace: "AWS/ApplicationELB", Total: "RequestCount", Bad: "HTTPCode_Target_5XX_Count", ZeroBad: true,
		Dimensions: map[string]string{"LoadBalancer": "app/shop/50dc6c495c0c9188", "TargetGroup": "targetgroup/shop/73e2d6bc24d8a067"}, PeriodSeconds: 60, SettleSeconds: 120}, shop.Signals[0].CloudWatch); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&astern.LogSource{Group: "/ecs/shop", Pattern: "panic"}, shop.Logs); diff != "" {
		t.Error(diff)
	}
}
