package lab

import (
	"testing"
	"time"
)

// Metrics are what makes them, periods without data are none, statistics are those of the user guide, and a long answer has
// pages: seen by boto3 and by the command line.
func TestMetricData(t *testing.T) {
	a := start(t)
	a.later(time.Minute - time.Duration(a.Now().UnixNano())%time.Minute)
	const setup = `
cw = client("cloudwatch")
import datetime
def dims(**d): return [{"Name": k, "Value": v} for k, v in d.items()]
def query(id, stat, period=60, name="Duration", **d):
    return {"Id": id, "MetricStat": {"Stat": stat, "Period": period, "Metric": {"Namespace": "Shop", "MetricName": name, "Dimensions": dims(**d)}}}
base = cw.describe_alarms(AlarmNames=["clock"])["MetricAlarms"][0]["StateUpdatedTimestamp"].replace(microsecond=0)
base -= datetime.timedelta(seconds=base.second)
def at(seconds): return base + datetime.timedelta(seconds=seconds)
def get(*queries, start=0, end=600, **more): return cw.get_metric_data(MetricDataQueries=list(queries), StartTime=at(start), EndTime=at(end), ScanBy="TimestampAscending", **more)
def shown(r): return [(x["Id"], [(int((t - base).total_seconds()), v) for t, v in zip(x["Timestamps"], x["Values"])], x["StatusCode"]) for x in r["MetricDataResults"]]
`
	a.python(`
cw = client("cloudwatch")
cw.put_metric_alarm(AlarmName="clock", Namespace="Shop", MetricName="None", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold")`)
	a.python(setup + `
def put(second, values, **d): cw.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "Duration", "Dimensions": dims(**d), "Timestamp": at(second), "Values": values}])
put(0, [100, 200, 300], Function="f"); put(59, [400], Function="f"); put(130, [500], Function="f"); put(10, [1], Function="f", Version="2")`)
	a.wantPython(`
[('a', [(0, 4.0), (120, 1.0)], 'Complete'), ('b', [(0, 2.0), (120, 0.0)], 'Complete'), ('c', [(0, 50.0), (120, 0.0)], 'Complete'), ('d', [(0, 400.0), (120, 500.0)], 'Complete'), ('e', [(0, 1.0)], 'Complete'), ('f', [], 'Complete'), ('g', [(0, 2.0), (120, 0.0)], 'Complete')]
[('a', [(0, 1000.0)], 'Complete')]
[('a', [(0, 3.0), (50, 1.0), (130, 1.0)], 'Complete')]
[[('a', [(0, 4.0)], 'PartialData'), ('b', [], 'PartialData')], [('a', [(120, 1.0)], 'Complete'), ('b', [], 'PartialData')], [('a', [], 'Complete'), ('b', [(0, 1000.0)], 'PartialData')], [('a', [], 'Complete'), ('b', [(120, 500.0)], 'Complete')]]`, setup+`
f = {"Function": "f"}
print(shown(get(query("a", "SampleCount", **f), query("b", "TC(:200)", **f), query("c", "PR(:200)", **f), query("d", "p99", **f), query("e", "Sum", **f, Version="2"), query("f", "Sum", Function="nobody"), query("g", "TC(100:300)", **f))))
print(shown(get(query("a", "Sum", **f), end=60)))
print(shown(get(query("a", "SampleCount", period=10, **f))))
pages, token = [], {}
while True:
    r = get(query("a", "SampleCount", **f), query("b", "Sum", **f), MaxDatapoints=1, **token)
    pages.append(shown(r))
    if "NextToken" not in r: break
    token = {"NextToken": r["NextToken"]}
print(pages)`)
	a.wantPython(`
400 ValidationError: Period must be 1, 5, 10, 20, 30 or a multiple of 60, and the time not too long
400 ValidationError: The parameter Stat is not valid: TC(5)
501 LabNotImplemented: The lab has no metric math for monitoring:GetMetricData.
400 ValidationError: The parameter StartTime must be less than the parameter EndTime.
400 InvalidNextToken: The next token specified is invalid.`, setup+`
print(refused(lambda: get(query("a", "Sum", period=7))))
print(refused(lambda: get(query("a", "TC(5)"))))
print(refused(lambda: get({"Id": "a", "Expression": "1"})))
print(refused(lambda: get(query("a", "Sum"), end=0)))
print(refused(lambda: get(query("a", "Sum"), NextToken="x")))`)
	out := a.aws("cloudwatch", "get-metric-data", "--start-time", "2020-01-01T00:00:00Z", "--end-time", "2020-01-01T00:10:00Z", "--metric-data-queries",
		`[{"Id":"a","MetricStat":{"Stat":"TC(:0.5)","Period":60,"Metric":{"Namespace":"Shop","MetricName":"Duration"}}}]`, "--query", "MetricDataResults[0].StatusCode", "--output", "text")
	if out != "Complete" {
		t.Errorf("the command line sees %s", out)
	}
}

// A call of a function by an alias with weights is published by the version that was executed, too.
func TestFunctionMetricsByVersion(t *testing.T) {
	function := target{name: "shop", version: "2", qualifier: "live", weighted: true}
	if got := len(function.dimensions()); got != 3 {
		t.Errorf("an alias with weights: %d sets of dimensions", got)
	}
	function.weighted = false
	if got := len(function.dimensions()); got != 2 {
		t.Errorf("an alias without: %d", got)
	}
	function.qualifier = ""
	if got := len(function.dimensions()); got != 1 {
		t.Errorf("the function itself: %d", got)
	}
}

// The patterns of FilterLogEvents, seen by the command line.
func TestLogFilters(t *testing.T) {
	a := start(t)
	a.python(`
logs = client("logs")
import time
logs.create_log_group(logGroupName="/shop"); logs.create_log_stream(logGroupName="/shop", logStreamName="s")
now = int(time.time() * 1000)
logs.put_log_events(logGroupName="/shop", logStreamName="s", logEvents=[{"timestamp": now + i, "message": m} for i, m in enumerate(["ERROR one", "all is well", "Task timed out", "ERROR two Task", "error three"])])`)
	for pattern, want := range map[string]string{
		"ERROR": "ERROR one\tERROR two Task", `?ERROR ?"Task timed out"`: "ERROR one\tTask timed out\tERROR two Task", "ERROR Task": "ERROR two Task",
		"ERROR -two": "ERROR one", `"is well"`: "all is well", "ERROR ?two": "ERROR one\tERROR two Task",
	} {
		if got := a.aws("logs", "filter-log-events", "--log-group-name", "/shop", "--filter-pattern", pattern, "--query", "events[].message", "--output", "text"); got != want {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
	for _, pattern := range []string{`"open`, "?", `{ $.x = 1 }`} {
		if out, err := a.tryAWS("logs", "filter-log-events", "--log-group-name", "/shop", "--filter-pattern", pattern); err == nil {
			t.Errorf("%s: %s", pattern, out)
		}
	}
}
