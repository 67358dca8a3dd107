package awsecs

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// An alarm that goes off takes the deployment back: the step has failed. One that was in ALARM before does not watch the
// deployment, which the plan says.
func TestAlarms(t *testing.T) {
	a := start(t)
	a.plain = true
	w := a.service(func(in *ecs.CreateServiceInput) {
		in.DeploymentConfiguration = &types.DeploymentConfiguration{Alarms: &types.DeploymentAlarms{Enable: true, Rollback: true, AlarmNames: []string{"errors"}}}
	})
	session, err := a.accounts.Session(t.Context(), awsapi.Settings{})
	w.must(err)
	call := w.call(w.steps(w.old, astern.Options{})[0], nil)
	op := w.driver.Actor.Start(t.Context(), call)
	_, err = cloudwatch.NewFromConfig(session.Act).PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{AlarmName: aws.String("errors"), Namespace: aws.String("shop"),
		MetricName: aws.String("errors"), Statistic: cwtypes.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(1),
		ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold, TreatMissingData: aws.String("breaching")})
	w.must(err)
	op = w.finish(call, op)
	if op.Status != astern.OpFailed || !strings.Contains(op.Error, "alarm detected") {
		t.Errorf("the step is %+v, want that the alarm took it back", op)
	}
	a.later(time.Minute)
	r, err := w.route(w.old, astern.Options{})
	w.must(err)
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "in ALARM already, so ECS lets them not watch this deployment: errors") {
		t.Errorf("the notes are %q", notes)
	}
	w.must(denied("monitoring", "DescribeAlarms")(t.Context(), w))
	r, err = w.route(w.old, astern.Options{})
	w.must(err)
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "is not known") {
		t.Errorf("the notes are %q", notes)
	}
}
