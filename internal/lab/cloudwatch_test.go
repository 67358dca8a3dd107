package lab

import (
	"strings"
	"testing"
	"time"
)

// The two tables of "Configuring how CloudWatch alarms treat missing data" in the user guide: 3 out of 3 and 2 out of 3
// datapoints, five of them looked at, oldest first; 0 is fine, X is breaching, - is missing. "=" keeps the present state.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
func TestAlarmsTreatMissingData(t *testing.T) {
	for _, c := range []struct {
		m                                        int
		points                                   string
		missing, ignore, breaching, notBreaching string
	}{
		{3, "0-X-X", "OK", "OK", "OK", "OK"},
		{3, "0----", "OK", "OK", "OK", "OK"},
		{3, "-----", "INSUFFICIENT_DATA", "=", "ALARM", "OK"},
		{3, "0XX-X", "ALARM", "ALARM", "ALARM", "ALARM"},
		{3, "--X--", "ALARM", "=", "ALARM", "OK"},
		{2, "0-X-X", "ALARM", "ALARM", "ALARM", "ALARM"},
		{2, "00X0X", "ALARM", "ALARM", "ALARM", "ALARM"},
		{2, "0-X--", "OK", "OK", "ALARM", "OK"},
		{2, "----0", "OK", "OK", "ALARM", "OK"},
		{2, "---X-", "ALARM", "=", "ALARM", "OK"},
	} {
		for treatment, want := range map[string]string{"missing": c.missing, "ignore": c.ignore, "breaching": c.breaching, "notBreaching": c.notBreaching} {
			a := &alarm{periods: 3, datapoints: c.m, threshold: 0, comparison: "GreaterThanThreshold", missing: treatment}
			points := make([]*float64, 5)
			for i, r := range c.points {
				if v := float64(boolInt(r == 'X')); r != '-' {
					points[4-i] = &v
				}
			}
			if want == "=" {
				want = ""
			}
			if got := a.judge(points); got != want {
				t.Errorf("%d of 3, %s, %s: %q, want %q", c.m, c.points, treatment, got, want)
			}
		}
	}
}

func TestStatistics(t *testing.T) {
	var s series
	add := func(second int, d map[string]any) {
		d["Timestamp"] = epochStart.Add(time.Duration(second) * time.Second).Format(time.RFC3339)
		s = s.add(readDatum(d), epochStart.Add(time.Hour))
	}
	add(59, map[string]any{"Value": 4.0})
	add(0, map[string]any{"Value": 1.0}) // late
	add(60, map[string]any{"Value": 100.0})
	add(30, map[string]any{"Values": []any{2.0, 3.0}, "Counts": []any{1.0, 2.0}})
	add(90, map[string]any{"StatisticValues": map[string]any{"SampleCount": 4.0, "Sum": 8.0, "Minimum": 1.0, "Maximum": 5.0}, "Unit": "Count"})
	for _, c := range []struct {
		name, unit string
		from, to   int
		want       float64
		ok         bool
	}{
		{"Sum", "", 0, 60, 13, true}, {"Average", "", 0, 60, 2.6, true}, {"SampleCount", "", 0, 60, 5, true},
		{"Minimum", "", 0, 60, 1, true}, {"Maximum", "", 0, 60, 4, true}, {"p50", "", 0, 60, 3, true}, {"p99.9", "", 0, 60, 4, true},
		{"Sum", "", 60, 120, 108, true}, {"Maximum", "Count", 60, 120, 5, true}, {"p50", "Count", 60, 120, 0, false},
		{"Sum", "", 120, 180, 0, false},
	} {
		got, ok := s.statistic(c.name, c.unit, epochStart.Add(time.Duration(c.from)*time.Second), epochStart.Add(time.Duration(c.to)*time.Second))
		if got != c.want || ok != c.ok {
			t.Errorf("%s of %d to %d %s: %v %v, want %v %v", c.name, c.from, c.to, c.unit, got, ok, c.want, c.ok)
		}
	}
}

func TestAlarmRules(t *testing.T) {
	states := map[string]string{"a": "ALARM", "b c": "OK", "d": "INSUFFICIENT_DATA"}
	for rule, want := range map[string]bool{
		`ALARM(a)`: true, `ALARM("b c")`: false, `OK('b c')`: true, `INSUFFICIENT_DATA( d )`: true, `TRUE`: true, `FALSE`: false,
		`NOT ALARM(a)`: false, `NOT NOT ALARM(a)`: true, `ALARM(a) AND OK("b c") AND NOT FALSE`: true,
		`TRUE OR FALSE AND FALSE`: true, `(TRUE OR FALSE) AND FALSE`: false, `NOT FALSE AND FALSE`: false,
		`ALARM("arn:aws:cloudwatch:us-east-1:123456789012:alarm:a")`: true,
	} {
		n, err := parseRule(rule)
		if err != nil || n.holds(func(name string) string { return states[name] }) != want {
			t.Errorf("%s: %+v %v, want %v", rule, n, err, want)
		}
	}
	for _, rule := range []string{``, `ALARM`, `ALARM(`, `ALARM()`, `ALARM(a`, `ALARM("a)`, `(TRUE`, `TRUE)`, `TRUE AND`, `AND TRUE`, `NOT`, `TRUE TRUE`,
		`alarm(a)`, strings.Repeat("(", 5000), strings.Repeat("NOT ", 2000) + "TRUE"} {
		if n, err := parseRule(rule); err == nil {
			t.Errorf("%.40q is read as %+v", rule, n)
		}
	}
}

// "CloudWatch alarms evaluated from data", M of N, with their history and composites, seen by boto3.
func TestCloudWatchAlarms(t *testing.T) {
	a := start(t)
	const setup = `
cw = client("cloudwatch")
def alarm(name="errors", **more):
    cw.put_metric_alarm(**dict(dict(AlarmName=name, Namespace="Shop", MetricName="Errors", Dimensions=[{"Name": "Service", "Value": "api"}], Statistic="Sum", Period=60,
        EvaluationPeriods=3, DatapointsToAlarm=2, Threshold=5, ComparisonOperator="GreaterThanThreshold", TreatMissingData="notBreaching", AlarmActions=["arn:aws:sns:us-east-1:123456789012:pager"]), **more))
def put(value, service="api"): cw.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "Errors", "Value": value, "Dimensions": [{"Name": "Service", "Value": service}]}])
def states(**more):
    r = cw.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"], **more)
    return {x["AlarmName"]: x["StateValue"] for x in r["MetricAlarms"] + r["CompositeAlarms"]}
`
	a.later(time.Minute - time.Duration(a.Now().UnixNano())%time.Minute) // so that minutes begin now
	a.wantPython("{'any': 'OK', 'both': 'OK', 'errors': 'INSUFFICIENT_DATA', 'slow': 'INSUFFICIENT_DATA'} not refused not refused", setup+`
alarm(); alarm("slow", ComparisonOperator="LessThanThreshold", TreatMissingData="missing", DatapointsToAlarm=3)
cw.put_composite_alarm(AlarmName="any", AlarmRule='ALARM(errors) OR ALARM("slow")')
cw.put_composite_alarm(AlarmName="both", AlarmRule='ALARM(any) AND NOT OK(errors)')
print({k: v for k, v in sorted(states().items())}, refused(lambda: cw.get_waiter("alarm_exists").wait(AlarmNames=["errors"], WaiterConfig={"Delay": 0, "MaxAttempts": 1})),
   refused(lambda: cw.get_waiter("composite_alarm_exists").wait(AlarmNames=["any"], AlarmTypes=["CompositeAlarm"], WaiterConfig={"Delay": 0, "MaxAttempts": 1})))
put(6); put(100, "other")`)
	a.later(time.Minute)
	a.wantPython("OK", setup+`print(states()["errors"]); put(3); put(3)`)
	a.later(time.Minute)
	a.wantPython(`
{'any': 'ALARM', 'both': 'ALARM', 'errors': 'ALARM', 'slow': 'OK'}
Threshold Crossed: 2 out of the last 3 datapoints [6.0, 6.0] were greater than the threshold (5.0).
['errors'] ['any']`, setup+`
import re
print({k: v for k, v in sorted(states().items())})
r = cw.describe_alarms(AlarmNames=["errors"])["MetricAlarms"][0]
print(re.sub(r"(\d+) \([^)]*\)", lambda m: m[1] + ".0", r["StateReason"]).replace("(5)", "(5.0)"))
print(list(states(StateValue="ALARM", AlarmNamePrefix="e")), list(states(ParentsOfAlarmName="slow")))`)
	a.later(5 * time.Minute)
	a.wantPython(`
{'any': 'OK', 'both': 'OK', 'errors': 'OK', 'slow': 'INSUFFICIENT_DATA'} True
['Alarm updated from ALARM to OK', 'Alarm updated from OK to ALARM', 'Alarm updated from INSUFFICIENT_DATA to OK', 'Alarm "errors" created']
ALARM OK`, setup+`
r = cw.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
since = {x["AlarmName"]: x["StateUpdatedTimestamp"] for x in r["MetricAlarms"] + r["CompositeAlarms"]}
print({k: v for k, v in sorted(states().items())}, since["any"] == since["both"] == since["errors"])
print([h["HistorySummary"] for p in cw.get_paginator("describe_alarm_history").paginate(AlarmName="errors", PaginationConfig={"PageSize": 3}) for h in p["AlarmHistoryItems"]])
cw.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="drill")
print(states()["any"], end=" "); cw.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="drill"); print(states()["any"])`)
	a.wantPython(`
400 ValidationError: Cannot delete errors because the composite alarm any depends on it
404 ResourceNotFound: Unknown alarm: nobody
400 ValidationError: AlarmRule names alarms that don't exist, or that depend on this one: both
501 LabNotImplemented: The lab has no alarm on expressions, anomalies or queries for monitoring:PutMetricAlarm.
400 ValidationError: DatapointsToAlarm must be between 1 and EvaluationPeriods
{'slow': 'INSUFFICIENT_DATA'}`, setup+`
print(refused(lambda: cw.delete_alarms(AlarmNames=["errors"])))
print(refused(lambda: cw.set_alarm_state(AlarmName="nobody", StateValue="OK", StateReason="")))
print(refused(lambda: cw.put_composite_alarm(AlarmName="any", AlarmRule="ALARM(both)")))
print(refused(lambda: cw.put_metric_alarm(AlarmName="x", EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold", Threshold=1, Metrics=[{"Id": "e", "Expression": "1"}])))
print(refused(lambda: alarm(DatapointsToAlarm=4)))
cw.delete_alarms(AlarmNames=["errors", "any", "both"])
print(states())`)
	if out := a.aws("cloudwatch", "describe-alarms", "--query", "MetricAlarms[].AlarmName", "--output", "text"); out != "slow" {
		t.Errorf("the command line sees %s", out)
	}
}

// The query protocol, which the SDK for Go speaks up to v1.52 of its module: written and read by botocore's own code for it.
func TestCloudWatchQueryProtocol(t *testing.T) {
	a := start(t)
	a.later(time.Minute - time.Duration(a.Now().UnixNano())%time.Minute)
	const setup = `
import urllib.request, urllib.error, botocore.parsers, botocore.serialize
model = botocore.session.get_session().get_service_model("cloudwatch")
def call(operation, **params):
    op = model.operation_model(operation)
    q = botocore.serialize.create_serializer("query").serialize_to_request(params, op)
    from urllib.parse import urlencode
    r = urllib.request.Request(url, urlencode(q["body"]).encode(), {"Content-Type": "application/x-www-form-urlencoded",
        "Authorization": "AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=0"})
    try: answer = urllib.request.urlopen(r)
    except urllib.error.HTTPError as e: answer = e
    parsed = botocore.parsers.create_parser("query").parse({"body": answer.read(), "headers": answer.headers, "status_code": answer.getcode()}, op.output_shape)
    parsed.pop("ResponseMetadata"); return parsed
dims = [{"Name": "Service", "Value": "a&<b>"}]
`
	a.python(setup + `
call("PutMetricAlarm", AlarmName="errors", Namespace="Shop", MetricName="Errors", Dimensions=dims, Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1.5, ComparisonOperator="GreaterThanThreshold", OKActions=[])
call("PutMetricData", Namespace="Shop", MetricData=[{"MetricName": "Errors", "Dimensions": dims, "Values": [1, 2], "Counts": [1, 1]}])`)
	a.later(time.Minute)
	a.wantPython(`
ALARM [{'Name': 'Service', 'Value': 'a&<b>'}] 1.5 60 1 True datetime
['StateUpdate', 'ConfigurationUpdate']
3.0
{'Error': {'Type': 'Sender', 'Code': 'ResourceNotFound', 'Message': 'Unknown alarm: nobody'}}`, setup+`
x = call("DescribeAlarms", AlarmNames=["errors"])["MetricAlarms"][0]
print(x["StateValue"], x["Dimensions"], x["Threshold"], x["Period"], x["EvaluationPeriods"], x["ActionsEnabled"], type(x["StateUpdatedTimestamp"]).__name__)
print([h["HistoryItemType"] for h in call("DescribeAlarmHistory", AlarmName="errors")["AlarmHistoryItems"]])
now = x["StateUpdatedTimestamp"]
import datetime
print(call("GetMetricStatistics", Namespace="Shop", MetricName="Errors", Dimensions=dims, StartTime=now - datetime.timedelta(minutes=5), EndTime=now + datetime.timedelta(minutes=5), Period=600, Statistics=["Sum"])["Datapoints"][0]["Sum"])
print(call("SetAlarmState", AlarmName="nobody", StateValue="OK", StateReason="x"))`)
}

// An alarm rolls deployments of ECS and AppConfig back, at the time at which it goes off.
func TestAlarmsRollBack(t *testing.T) {
	a := start(t)
	a.later(time.Minute - time.Duration(a.Now().UnixNano())%time.Minute)
	a.python(ecsSetup + appconfigSetup + `
cw = client("cloudwatch")
cw.put_metric_alarm(AlarmName="errors", Namespace="Shop", MetricName="Errors", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold", TreatMissingData="notBreaching")
ecs.create_cluster(clusterName="shop"); image("1"); define(registry + "api:1"); define(registry + "api:1")
service(taskDefinition="api:1", deploymentConfiguration={"alarms": {"enable": True, "rollback": True, "alarmNames": ["errors"]}})
ac.update_environment(Monitors=[{"AlarmArn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:errors"}], **ids)
deploy("1")`)
	a.later(11 * time.Minute)
	a.python(ecsSetup + appconfigSetup + `
ecs.update_service(cluster="shop", service="api", taskDefinition="api:2")
deploy("2")
client("cloudwatch").put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "Errors", "Value": 7}])`)
	a.later(2 * time.Minute)
	a.wantPython(`
[('PRIMARY', 'api:1', 2, 2, 0, 'COMPLETED')] ROLLBACK_SUCCESSFUL {'status': 'TRIGGERED', 'alarmNames': ['errors'], 'triggeredAlarmNames': ['errors']}
ROLLED_BACK {"limit": 1} CLOUDWATCH_ALARM RolledBack`, ecsSetup+appconfigSetup+`
d = ecs.describe_service_deployments(serviceDeploymentArns=[ecs.list_service_deployments(cluster="shop", service="api")["serviceDeployments"][0]["serviceDeploymentArn"]])["serviceDeployments"][0]
print(rows(), d["status"], d["alarms"])
print(state(2), fetch()[0], ac.get_deployment(DeploymentNumber=2, **ids)["EventLog"][1]["TriggeredBy"], ac.get_environment(**ids)["State"])`)
}
