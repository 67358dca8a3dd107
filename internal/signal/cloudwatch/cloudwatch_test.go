package cloudwatch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/cloudwatch"
)

// shown is what of a reading is compared.
type shown struct {
	Member     string
	Minute     float64 // of its time, after the beginning
	Total, Bad float64
}

func (a *account) shown(answer signal.Answer) (out []shown) {
	a.Helper()
	a.must(answer.Err)
	for _, r := range answer.Readings {
		out = append(out, shown{r.Member, r.At.Sub(a.base).Minutes(), r.Total, r.Bad})
	}
	return out
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

// A period counts once it has settled, what comes later is counted with the next one, and a gap is no zero.
func TestPeriodsSettle(t *testing.T) {
	a := start(t)
	q := ask(errorsOf, astern.SignalErrors, "v1")
	a.put(0, "Calls", []float64{10}, "Function", "f")
	a.put(0, "Errors", []float64{1}, "Function", "f")
	a.put(1, "Calls", []float64{5}, "Function", "f")
	a.put(1, "Errors", []float64{0}, "Function", "f")
	a.minute(2) // the second minute is over, and may still grow
	same(t, "after two minutes", a.shown(a.one(q)), []shown{{"v1", 1, 10, 1}})
	a.put(1, "Calls", []float64{2}, "Function", "f")
	a.put(0, "Calls", []float64{3}, "Function", "f") // later than it should
	asked := a.calls("GetMetricData")
	same(t, "asked again at once", a.shown(a.one(q)), []shown{{"v1", 1, 10, 1}})
	if n := a.calls("GetMetricData"); n != asked {
		t.Errorf("%d calls for a period that was read", n-asked)
	}
	a.minute(3)
	same(t, "after three minutes", a.shown(a.one(q)), []shown{{"v1", 2, 20, 1}})
	a.minute(5)
	same(t, "nothing came", a.shown(a.one(q)), []shown{{"v1", 2, 20, 1}})
	a.put(5, "Calls", []float64{1}, "Function", "f") // and its failures are not there yet
	a.minute(7)
	same(t, "half of a period", a.shown(a.one(q)), []shown{{"v1", 2, 20, 1}})
	a.put(5, "Errors", []float64{1}, "Function", "f")
	a.minute(8)
	same(t, "all of it", a.shown(a.one(q)), []shown{{"v1", 6, 21, 2}})
	a.minute(61) // other sums begin
	a.put(59, "Calls", []float64{4}, "Function", "f")
	a.put(59, "Errors", []float64{0}, "Function", "f")
	r := a.one(q)
	same(t, "an hour later", a.shown(r), []shown{{"v1", 60, 25, 2}})
	a.minute(121)
	a.put(119, "Calls", []float64{7}, "Function", "f")
	a.put(119, "Errors", []float64{0}, "Function", "f")
	later := a.one(q)
	same(t, "two hours later", a.shown(later), []shown{{"v1", 120, 7, 0}})
	if r.Readings[0].Started.Equal(*later.Readings[0].Started) {
		t.Error("the sums begin anew, and nothing tells it")
	}
	if later.Lag != 2*time.Minute {
		t.Errorf("it lags by %s", later.Lag)
	}
}

// What has settled is judged by CloudWatch's clock, where ours is ahead.
func TestClocksDiffer(t *testing.T) {
	a := start(t)
	for minute := range 5 {
		a.put(minute, "Calls", []float64{10}, "Function", "f")
		a.put(minute, "Errors", []float64{1}, "Function", "f")
	}
	a.minute(3)
	a.reader = cloudwatch.New(a.accounts, func() time.Time { return a.Now().Add(30 * time.Minute) })
	r := a.one(ask(errorsOf, astern.SignalErrors, "v1"))
	same(t, "ours is ahead", a.shown(r), []shown{{"v1", 2, 20, 2}})
	if skew := r.Skew.Minutes(); skew < -31 || skew > -29 || r.Now.Sub(a.Now()).Abs() > 10*time.Second {
		t.Errorf("CloudWatch's clock is %v minutes ahead, and it is %s there", skew, r.Now)
	}
	a.reader = cloudwatch.New(a.accounts, func() time.Time { return a.Now().Add(-time.Minute) })
	same(t, "ours is behind", a.shown(a.one(ask(errorsOf, astern.SignalErrors, "v1"))), []shown{{"v1", 2, 20, 2}})
}

// A metric of failures that is published only when there are some, and one whose periods can be empty.
func TestZeros(t *testing.T) {
	a := start(t)
	a.put(0, "Calls", []float64{10}, "Function", "f")
	a.minute(10)
	if r := a.one(ask(errorsOf, astern.SignalErrors, "v1")); !strings.Contains(r.Failed["v1"], "bad_missing: zero") || len(r.Readings) > 0 {
		t.Errorf("no failure was ever counted: %+v", r)
	}
	zero := errorsOf
	zero.ZeroBad = true
	q := ask(zero, astern.SignalErrors, "v1")
	q.Signal.Name = "zero-bad"
	same(t, "zero failures", a.shown(a.one(q)), []shown{{"v1", 1, 10, 0}})
	zero.ZeroTotal = true
	q = ask(zero, astern.SignalErrors, "v1")
	q.Signal.Name = "zero"
	same(t, "zero requests", a.shown(a.one(q)), []shown{{"v1", 9, 10, 0}})
	zero.Total, zero.ZeroTotal = "Cals", false
	q = ask(zero, astern.SignalErrors, "v1")
	q.Signal.Name = "misspelt"
	if r := a.one(q); !strings.Contains(r.Failed["v1"], "no datapoint of Shop Cals of Function=f") {
		t.Errorf("a metric that is not there: %+v", r)
	}
}

// Two revisions that serve side by side are told apart by the dimension of their version; where there is none, nobody is counted.
func TestRevisionsSideBySide(t *testing.T) {
	a := start(t)
	both := errorsOf
	both.Version = "Version"
	for minute := range 3 {
		a.put(minute, "Calls", []float64{30}, "Function", "f")
		a.put(minute, "Errors", []float64{9}, "Function", "f")
		for v, bad := range map[string]float64{"1": 0, "2": 9} {
			a.put(minute, "Calls", []float64{15}, "Function", "f", "Version", v)
			a.put(minute, "Errors", []float64{bad}, "Function", "f", "Version", v)
		}
	}
	a.minute(4)
	same(t, "alone", a.shown(a.one(ask(both, astern.SignalErrors, "v1"))), []shown{{"v1", 3, 90, 27}})
	r := a.one(ask(both, astern.SignalErrors, "v2", "v1"))
	same(t, "both at first sight", a.shown(r), []shown{{"v2", 3, 45, 27}})
	if !strings.Contains(r.Failed["v1"], "another metric now") { // what it did alone is no beginning of what it does beside others
		t.Errorf("v1 goes on: %+v", r)
	}
	a.minute(5)
	same(t, "both", a.shown(a.one(ask(both, astern.SignalErrors, "v2", "v1"))), []shown{{"v2", 3, 45, 27}, {"v1", 3, 45, 0}})
	r = a.one(ask(both, astern.SignalErrors, "v2"))
	if len(r.Readings) > 0 || !strings.Contains(r.Failed["v2"], "another metric now") { // that of the alias holds what v1 did
		t.Errorf("v2 goes on: %+v", r)
	}
	a.minute(6)
	same(t, "one again", a.shown(a.one(ask(both, astern.SignalErrors, "v2"))), []shown{{"v2", 3, 90, 27}})
	a.reader = cloudwatch.New(a.accounts, a.Now)
	r = a.one(ask(errorsOf, astern.SignalErrors, "v2", "v1"))
	if len(r.Readings) > 0 || !strings.Contains(r.Failed["v1"], "counts v2 and v1 together") {
		t.Errorf("no dimension tells them apart: %+v", r)
	}
	members := errorsOf
	members.Dimensions = map[string]string{"Function": "f", "Version": "{address}"}
	each := ask(members, astern.SignalErrors, "v2", "v1")
	each.Signal.Name = "each"
	same(t, "a dimension of each member", a.shown(a.one(each)), []shown{{"v2", 3, 45, 27}, {"v1", 3, 45, 0}})
}

// How long requests took is counted at the bounds.
func TestLatency(t *testing.T) {
	a := start(t)
	a.put(0, "Duration", []float64{50, 150, 150, 900}, "Function", "f")
	a.put(1, "Duration", []float64{900}, "Function", "f")
	a.minute(3)
	q := ask(astern.CloudWatchSource{Latency: "Duration", Milliseconds: true, Bounds: []float64{0.1, 0.2}, SettleSeconds: 60}, astern.SignalLatency, "v1")
	r := a.one(q)
	same(t, "counts", a.shown(r), []shown{{"v1", 2, 5, 0}})
	for bound, want := range map[float64]float64{0.1: 1, 0.2: 3} {
		if got, ok := r.Readings[0].AtMost(bound); got != want || !ok {
			t.Errorf("%v of 5 took at most %v s", got, bound)
		}
	}
	_, err := a.sdk.PutMetricData(t.Context(), &sdk.PutMetricDataInput{Namespace: aws.String("Shop"), MetricData: []types.MetricDatum{{MetricName: aws.String("Sums"),
		Dimensions: []types.Dimension{{Name: aws.String("Function"), Value: aws.String("f")}}, Timestamp: &a.base,
		StatisticValues: &types.StatisticSet{SampleCount: aws.Float64(4), Sum: aws.Float64(8), Minimum: aws.Float64(1), Maximum: aws.Float64(5)}}}})
	a.must(err)
	a.minute(9)
	q.Signal.CloudWatch.Latency, q.Signal.Name = "Sums", "sums"
	if r := a.one(q); !strings.Contains(r.Failed["v1"], "sums only") {
		t.Errorf("published as sums: %+v", r)
	}
}

// A thousand signals are a few calls, and each metric is asked for once in a period.
func TestManySignals(t *testing.T) {
	a := start(t)
	var asks []signal.Ask
	for range 600 {
		q := ask(errorsOf, astern.SignalErrors, "v1")
		q.Signal.Name = string(rune('a'+len(asks)%26)) + strings.Repeat("x", len(asks)/26)
		asks = append(asks, q)
	}
	a.put(0, "Calls", []float64{1}, "Function", "f")
	a.put(0, "Errors", []float64{1}, "Function", "f")
	a.minute(2)
	for _, r := range a.reader.Read(t.Context(), asks) {
		same(t, "one of them", a.shown(r), []shown{{"v1", 1, 1, 1}})
	}
	if n := a.calls("GetMetricData"); n != 3 {
		t.Errorf("%d calls for 1,200 metrics", n)
	}
}

// What fails in passing leaves what was read before, until a period is overdue; what is denied says what is missing.
func TestTroubles(t *testing.T) {
	a := start(t)
	q := ask(errorsOf, astern.SignalErrors, "v1")
	a.put(0, "Calls", []float64{10}, "Function", "f")
	a.put(0, "Errors", []float64{1}, "Function", "f")
	a.minute(2)
	want := []shown{{"v1", 1, 10, 1}}
	same(t, "at first", a.shown(a.one(q)), want)
	a.fault("monitoring", "GetMetricData", lab.Fault{Status: 403, Code: "AccessDenied", Message: "User: arn:aws:iam::123456789012:user/x is not authorized to perform: cloudwatch:GetMetricData"})
	a.minute(3)
	same(t, "failing for a moment", a.shown(a.one(q)), want)
	a.minute(4)
	if r := a.one(q); r.Err == nil || astern.CodeOf(r.Err) != astern.Denied || !strings.Contains(r.Err.Error()+astern.HintOf(r.Err), "cloudwatch:GetMetricData") {
		t.Errorf("denied: %v (%s)", r.Err, astern.HintOf(r.Err))
	}
	a.ClearFaults()
	a.fault("monitoring", "GetMetricData", lab.Fault{Effect: lab.Truncate})
	if r := a.one(q); r.Err == nil {
		t.Errorf("cut off: %+v", r)
	}
	a.ClearFaults()
	same(t, "well again", a.shown(a.one(q)), want)
	a.minute(5)
	a.fault("monitoring", "GetMetricData", lab.Fault{Status: 400, Code: "Throttling", Count: 1})
	same(t, "throttled once", a.shown(a.one(q)), want)
}

// The past is that of the function as a whole, period by period.
func TestPast(t *testing.T) {
	a := start(t)
	for minute := range 10 {
		if minute != 4 { // a gap
			a.put(minute, "Calls", []float64{100}, "Function", "f")
			a.put(minute, "Errors", []float64{1}, "Function", "f")
		}
	}
	a.minute(12)
	both := errorsOf
	both.Version = "Version"
	rounds, err := a.reader.Past(t.Context(), ask(both, astern.SignalErrors, "v2", "v1"), a.base.Add(-time.Hour), a.base.Add(10*time.Minute))
	a.must(err)
	samples := signal.Replay(rounds, func(time.Time) signal.Groups { return signal.Halves([]string{"v2"}) })
	var total, bad float64
	for _, s := range samples {
		if s.Candidate != nil {
			total, bad = total+s.Candidate.Total, bad+s.Candidate.Bad
		}
	}
	if len(rounds) != 70 || total != 800 || bad != 8 { // the first minute is what the others are counted from
		t.Errorf("%d rounds, %v calls, %v failures", len(rounds), total, bad)
	}
	if _, err := a.reader.Past(t.Context(), ask(both, astern.SignalErrors), a.base, a.base); astern.CodeOf(err) != astern.Invalid {
		t.Errorf("no time at all: %v", err)
	}
}

// Metric and composite alarms, alarms that are not there, and those that call nobody.
func TestAlarms(t *testing.T) {
	a := start(t)
	put := func(name string, more func(*sdk.PutMetricAlarmInput)) {
		in := &sdk.PutMetricAlarmInput{AlarmName: &name, Namespace: aws.String("Shop"), MetricName: aws.String("Errors"), Statistic: types.StatisticSum,
			Dimensions: []types.Dimension{{Name: aws.String("Function"), Value: aws.String("f")}}, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1),
			Threshold: aws.Float64(5), ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, TreatMissingData: aws.String("notBreaching"),
			AlarmActions: []string{"arn:aws:sns:eu-central-1:123456789012:pager"}}
		more(in)
		_, err := a.sdk.PutMetricAlarm(t.Context(), in)
		a.must(err)
	}
	put("errors", func(*sdk.PutMetricAlarmInput) {})
	put("muted", func(in *sdk.PutMetricAlarmInput) { in.ActionsEnabled = aws.Bool(false) })
	put("idle", func(in *sdk.PutMetricAlarmInput) {
		in.AlarmActions, in.TreatMissingData, in.MetricName = nil, aws.String("missing"), aws.String("Nothing")
	})
	_, err := a.sdk.PutCompositeAlarm(t.Context(), &sdk.PutCompositeAlarmInput{AlarmName: aws.String("any"), AlarmRule: aws.String("ALARM(errors)")})
	a.must(err)
	var alarms []astern.Alarm
	for _, name := range []string{"errors", "muted", "idle", "any", "nobody"} {
		alarms = append(alarms, astern.Alarm{Name: name, Alarm: name})
	}
	alarms = append(alarms, astern.Alarm{Name: "elsewhere", Alarm: "errors", AWSPlace: astern.AWSPlace{Region: "us-east-1"}})
	a.minute(2)
	a.put(2, "Errors", []float64{6}, "Function", "f")
	a.minute(3.5)
	seen := a.reader.Alarms(t.Context(), alarms)
	var states []string
	for _, s := range seen {
		a.must(s.Err)
		states = append(states, s.State)
	}
	same(t, "states", states, []string{"ALARM", "ALARM", "INSUFFICIENT_DATA", "ALARM", "", ""})
	if at := seen[0].Since.Sub(a.base).Minutes(); at < 3 || at > 3.6 || !strings.Contains(seen[0].Reason, "Threshold Crossed") {
		t.Errorf("since minute %v: %s", at, seen[0].Reason)
	}
	if !seen[1].Muted || seen[0].Muted || !seen[2].Idle || seen[0].Idle || seen[5].Region != "us-east-1" {
		t.Errorf("%+v", seen)
	}
	a.fault("monitoring", "DescribeAlarms", lab.Fault{Status: 403, Code: "AccessDenied"})
	if s := a.reader.Alarms(t.Context(), alarms[:1]); s[0].Err == nil || s[0].State != "" {
		t.Errorf("denied: %+v", s[0])
	}
}

// The last failures of a log: only those, the last twenty, harmless, and without secrets.
func TestFailures(t *testing.T) {
	a := start(t)
	logs := cloudwatchlogs.NewFromConfig(a.read.Act)
	source := astern.LogSource{Group: "/aws/lambda/f", Pattern: `?ERROR ?"Task timed out"`}
	read := func() astern.FailureLog {
		return a.reader.Failures(t.Context(), source, a.base, a.Now(), func(s string) string { return strings.ReplaceAll(s, "hunter2", "<secret>") })
	}
	if l := read(); !strings.Contains(l.Missing, "ResourceNotFoundException") || len(l.Lines) > 0 {
		t.Errorf("no group: %+v", l)
	}
	_, err := logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &source.Group})
	a.must(err)
	_, err = logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &source.Group, LogStreamName: aws.String("s")})
	a.must(err)
	a.minute(40)
	if l := read(); l.Missing != "" || len(l.Lines) > 0 {
		t.Errorf("an empty log: %+v", l)
	}
	var events []logtypes.InputLogEvent
	say := func(minute float64, text string) {
		events = append(events, logtypes.InputLogEvent{Timestamp: aws.Int64(a.base.Add(time.Duration(minute * float64(time.Minute))).UnixMilli()), Message: &text})
	}
	for i := range 30 {
		say(float64(i), "ERROR of minute "+strings.Repeat("i", i))
		say(float64(i), "all is well")
	}
	say(39.5, "ERROR \x1b[31mpassword=hunter2\x07\n<script>alert(1)</script>"+strings.Repeat("x", 9000))
	say(39.9, "2026 Task timed out after 3.00 seconds")
	_, err = logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: &source.Group, LogStreamName: aws.String("s"), LogEvents: events})
	a.must(err)
	l := read()
	if len(l.Lines) != 20 || !l.More || l.Missing != "" {
		t.Fatalf("%d lines, more %v, %s", len(l.Lines), l.More, l.Missing)
	}
	last := l.Lines[18].Text
	if strings.ContainsAny(last, "\x1b\x07\n") || strings.Contains(last, "hunter2") || !strings.Contains(last, "<secret>") || len([]rune(last)) != 400 {
		t.Errorf("%q", last)
	}
	if !strings.HasSuffix(l.Lines[19].Text, "3.00 seconds") || l.Lines[0].Text != "ERROR of minute "+strings.Repeat("i", 12) {
		t.Errorf("from %q to %q", l.Lines[0].Text, l.Lines[19].Text)
	}
	a.fault("logs", "FilterLogEvents", lab.Fault{Status: 400, Code: "AccessDeniedException", Message: "User: x is not authorized to perform: logs:FilterLogEvents"})
	if l := read(); !strings.Contains(l.Missing, "logs:FilterLogEvents") || len(l.Lines) > 0 {
		t.Errorf("denied: %+v", l)
	}
}
