package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
)

// AWS says where something is in AWS, and as whom it is reached. What is left out is that of the component's with.
type AWS struct {
	Region  string `json:"region,omitempty" jsonschema:"description=region (default: that of with\\, else of the environment)"`
	Profile string `json:"profile,omitempty" jsonschema:"description=profile of ~/.aws/config (default: that of with)"`
	Role    string `json:"role,omitempty" jsonschema:"description=ARN of a role that is assumed (default: that of with)"`
	Account string `json:"account,omitempty" jsonschema:"description=account of 12 digits that the credentials must be of (default: that of with)"`
}

// CloudWatch is a signal's source.
type CloudWatch struct {
	AWS
	LoadBalancer string            `json:"load_balancer,omitempty" jsonschema:"description=takes the metrics of an Application Load Balancer: app/NAME/ID\\, the end of its ARN"`
	TargetGroup  string            `json:"target_group,omitempty" jsonschema:"description=those of one target group of it: targetgroup/NAME/ID\\, the end of its ARN"`
	Namespace    string            `json:"namespace,omitempty" jsonschema:"description=of the metrics\\, such as AWS/Lambda or one of your own; not with load_balancer"`
	Dimensions   map[string]string `json:"dimensions,omitempty" jsonschema:"description=all dimensions of the metrics\\, for CloudWatch adds nothing up; {member} and {address} are those of a member"`
	Total        string            `json:"total,omitempty" jsonschema:"description=the metric whose sum counts requests (orders\\, sign-ins)"`
	Bad          string            `json:"bad,omitempty" jsonschema:"description=the metric whose sum counts those of them that failed"`
	Latency      string            `json:"latency,omitempty" jsonschema:"description=the metric of how long each took"`
	Unit         string            `json:"unit,omitempty" jsonschema:"enum=seconds,enum=milliseconds,description=what latency is measured in (default seconds)"`
	Bounds       []float64         `json:"bounds,omitempty" jsonschema:"description=times in seconds at which a latency is counted (statistic TC)\\, two of them around the quantile and about 20 % apart; each is a metric that costs; astern check names those that fit"`
	TotalMissing string            `json:"total_missing,omitempty" jsonschema:"enum=unknown,enum=zero,description=what a period without a datapoint of total is (default unknown)"`
	BadMissing   string            `json:"bad_missing,omitempty" jsonschema:"enum=unknown,enum=zero,description=what a period without a datapoint of bad is where total has one (default unknown; zero with load_balancer)"`
	Period       *Duration         `json:"period,omitempty" jsonschema:"description=how long a period is: whole minutes\\, or 1s\\, 5s\\, 10s or 30s for metrics of high resolution (default 1m)"`
	Settle       *Duration         `json:"settle,omitempty" jsonschema:"description=how long after its end a period counts: until then its sums may grow (default 2m)"`
}

// Alarm is an alarm of CloudWatch.
type Alarm struct {
	AWS
	Name string   `json:"name" jsonschema:"minLength=1,description=name of the alarm"`
	Harm *float64 `json:"harm,omitempty" jsonschema:"description=what share of the requests is taken to be harmed while it is in ALARM\\, in percent: the severity follows from it (default 100)"`
}

// Logs is a log group of CloudWatch.
type Logs struct {
	AWS
	Group   string `json:"group,omitempty" jsonschema:"description=log group (default for aws.lambda: /aws/lambda/FUNCTION)"`
	Pattern string `json:"pattern,omitempty" jsonschema:"description=CloudWatch's filter pattern of lines that tell of failures (default: common words of them)"`
}

const (
	kindLambda    = "aws.lambda"
	defaultPeriod = Duration(time.Minute)
	defaultSettle = Duration(2 * time.Minute)
	longestSettle = Duration(time.Hour)
	mostBounds    = 20
	// failureWords matches a line that holds any of them.
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
	failureWords = `?ERROR ?Error ?error ?FATAL ?panic ?Exception ?Traceback ?"Task timed out"`
)

var (
	awsRegion  = pattern.New(`^[a-z]{2,4}(-[a-z]+){1,3}-[0-9]{1,2}$`)
	awsRole    = pattern.New(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$`)
	awsAccount = pattern.New(`^[0-9]{12}$`)
	balancer   = pattern.New(`^app/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}$`)
	targets    = pattern.New(`^targetgroup/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}$`)
	metricName = pattern.New(`^[!-~]([ -~]{0,253}[!-~])?$`)
	logGroup   = pattern.New(`^[.\-_/#A-Za-z0-9]{1,512}$`)
)

func (f *file) judgeAWS(path string, a AWS) {
	for _, c := range []struct {
		key, value, what, hint string
		shape                  *pattern.Pattern
	}{{"region", a.Region, "region of AWS", "write one such as eu-central-1", awsRegion},
		{"role", a.Role, "ARN of a role", "write one such as arn:aws:iam::123456789012:role/astern", awsRole},
		{"account", a.Account, "account", `write its 12 digits in quotes, such as "123456789012"`, awsAccount}} {
		if at := join(path, c.key); c.value != "" && !f.broken(at) && !c.shape.MatchString(c.value) {
			f.at(at, "{} is no "+c.what, c.hint)
		}
	}
}

// judgeCloudWatch reports what is wrong with a source of a component of that kind.
func (f *file) judgeCloudWatch(path, kind string, s Signal) {
	c := *s.CloudWatch
	f.judgeAWS(path, c.AWS)
	for _, x := range []struct {
		key, value string
		shape      *pattern.Pattern
		hint       string
	}{{"load_balancer", c.LoadBalancer, balancer, "write the end of its ARN: app/shop/50dc6c495c0c9188"}, {"target_group", c.TargetGroup, targets, "write the end of its ARN: targetgroup/shop/73e2d6bc24d8a067"},
		{"namespace", c.Namespace, metricName, "CloudWatch knows names of 1 to 255 characters"}, {"total", c.Total, metricName, ""}, {"bad", c.Bad, metricName, ""}, {"latency", c.Latency, metricName, ""}} {
		if at := join(path, x.key); x.value != "" && !f.broken(at) && !x.shape.MatchString(x.value) {
			f.at(at, "{} is none that CloudWatch knows", x.hint)
		}
	}
	if len(c.Dimensions) > 30 {
		f.at(join(path, "dimensions"), "{} are more than 30", "CloudWatch has no metric with more")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Dimensions)) {
		at, value := join(path, "dimensions", name), c.Dimensions[name]
		if !metricName.MatchString(name) || strings.HasPrefix(name, ":") {
			f.atKey(at, show(name)+" is no name of a dimension", "")
		} else if value == "" || len(value) > 1024 {
			f.at(at, "{} must have 1 to 1,024 characters", "")
		}
		for _, p := range placeholder.FindAllString(value, -1) {
			if p != "{member}" && p != "{address}" {
				f.at(at, "unknown placeholder "+p, "known placeholders: {member}, {address}")
			}
		}
	}
	for _, x := range []struct{ key, value string }{{"total_missing", c.TotalMissing}, {"bad_missing", c.BadMissing}} {
		if at := join(path, x.key); x.value != "" && x.value != "zero" && x.value != "unknown" && !f.broken(at) {
			f.at(at, "{} must be zero or unknown", "")
		}
	}
	if at := join(path, "unit"); c.Unit != "" && c.Unit != "seconds" && c.Unit != "milliseconds" && !f.broken(at) {
		f.at(at, "{} must be seconds or milliseconds", "")
	}
	f.judgePreset(path, kind, c)
	f.judgePeriod(path, c)
	f.judgeMetrics(path, s.Kind, filled(kind, nil, s.Kind, c))
}

// judgePreset reports a source that names no metrics, and one that names them twice.
func (f *file) judgePreset(path, kind string, c CloudWatch) {
	switch {
	case c.Namespace == "" && c.LoadBalancer == "" && kind != kindLambda:
		f.at(path, "{} has neither namespace nor load_balancer", "only an aws.lambda has metrics that astern knows by itself")
	case c.Namespace != "" && c.LoadBalancer != "":
		f.at(join(path, "namespace"), "{} stands beside load_balancer, whose metrics are those of AWS/ApplicationELB", "remove one of them")
	case c.Namespace == "" && len(c.Dimensions) > 0:
		f.at(join(path, "dimensions"), "{} stand without namespace", "name the namespace and the metrics, or leave both to astern")
	case c.TargetGroup != "" && c.LoadBalancer == "":
		f.at(join(path, "target_group"), "{} stands without load_balancer, which its metrics have as a dimension, too", "write load_balancer")
	}
}

func (f *file) judgePeriod(path string, c CloudWatch) {
	short := []Duration{Duration(time.Second), Duration(5 * time.Second), Duration(10 * time.Second), Duration(30 * time.Second)}
	at := join(path, "period")
	switch p := c.Period; {
	case p == nil || f.broken(at):
	case (c.LoadBalancer != "" || c.Namespace == "" || strings.HasPrefix(c.Namespace, "AWS/")) && *p > 0 && *p < Duration(time.Minute):
		f.at(at, "{} is shorter than what AWS publishes", "1m")
	case slices.Contains(short, *p):
	case *p <= 0 || *p%Duration(time.Minute) != 0 || *p > Duration(15*time.Minute):
		f.at(at, "{} must be 1s, 5s, 10s, 30s or 1 to 15 whole minutes", "what AWS itself publishes has 1m, some of it 5m")
	}
	at = join(path, "settle")
	if s := c.Settle; s != nil && !f.broken(at) && (*s < 0 || *s > longestSettle || *s%Duration(time.Second) != 0) {
		f.at(at, "{} must be whole seconds up to 1h", "")
	}
}

// judgeMetrics reports metrics that the kind needs.
func (f *file) judgeMetrics(path string, kind astern.SignalKind, c CloudWatch) {
	missing := func(key, why string) {
		if !f.broken(join(path, key)) {
			f.at(path, fmt.Sprintf("{} has no %s, %s", key, why), "")
		}
	}
	at := join(path, "bounds")
	switch {
	case kind == astern.SignalLatency && c.Latency == "":
		missing("latency", "which the kind latency is read from")
	case kind == astern.SignalLatency && len(c.Bounds) == 0:
		if !f.broken(at) {
			f.at(path, "{} has no bounds, at which a latency is counted", "write times in seconds around the usual one, such as [0.2, 0.24, 0.29, 0.35]; astern check names those that fit")
		}
	case kind != astern.SignalLatency && len(c.Bounds) > 0:
		f.at(at, "{} are for the kind latency", "remove them")
	case kind == astern.SignalErrors && c.Bad == "":
		missing("bad", "which says what a failure is")
	case kind != astern.SignalLatency && c.Total == "":
		missing("total", "which says what is counted")
	}
	if len(c.Bounds) > mostBounds {
		f.at(at, fmt.Sprintf("{} are more than %d", mostBounds), "each is a metric that costs")
	}
	for i, b := range c.Bounds {
		if !(b > 0) || b > 1e6 || i > 0 && b <= c.Bounds[i-1] {
			f.at(at, "{} must be above 0 and rise", "")
			break
		}
	}
}

func (f *file) judgeAlarm(path string, s Signal) {
	f.judgeAWS(path, s.Alarm.AWS)
	if h := s.Alarm.Harm; h != nil && (*h <= 0 || *h > 100) && !f.broken(join(path, "harm")) {
		f.at(join(path, "harm"), fmt.Sprintf("{} must be above 0 and up to 100: %g", *h), "leave it out for 100")
	}
	switch at := join(path, "name"); {
	case strings.HasPrefix(s.Alarm.Name, "arn:"):
		f.at(at, "{} is an ARN", "write the alarm's name; region and account stand beside it")
	case len(s.Alarm.Name) > 255:
		f.at(at, "{} has more than 255 characters", "")
	}
}

func (f *file) judgeLogs(path, kind string, l Logs) {
	f.judgeAWS(path, l.AWS)
	switch at := join(path, "group"); {
	case f.broken(at):
	case l.Group == "" && kind != kindLambda:
		f.at(path, "{} names no group", "only an aws.lambda has one that astern knows by itself")
	case l.Group != "" && !logGroup.MatchString(l.Group):
		f.at(at, "{} is no name of a log group", "aws logs describe-log-groups lists them")
	}
	if len(l.Pattern) > 1024 {
		f.at(join(path, "pattern"), "{} has more than 1,024 characters", "")
	}
}

// declared is what the sources take of a component's with.
type declared struct {
	AWS
	Function string `json:"function"`
	Alias    string `json:"alias"`
}

func declaredIn(settings json.RawMessage) declared {
	var d declared
	_ = json.Unmarshal(settings, &d) // the driver says what is wrong with them
	return d
}

// place is a's, or where that says nothing at all, the component's.
func (d declared) place(a AWS) astern.AWSPlace {
	if a == (AWS{}) {
		a = d.AWS
	}
	return astern.AWSPlace{Region: a.Region, Profile: a.Profile, Role: a.Role, Account: a.Account}
}

// filled is a source with the metrics that astern knows by itself.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
func filled(kind string, d *declared, signal astern.SignalKind, c CloudWatch) CloudWatch {
	or := func(s *string, other string) {
		if *s == "" {
			*s = other
		}
	}
	failures := ""
	switch {
	case c.LoadBalancer != "":
		c.Namespace, c.Dimensions = "AWS/ApplicationELB", map[string]string{"LoadBalancer": c.LoadBalancer}
		if c.TargetGroup != "" {
			c.Dimensions["TargetGroup"] = c.TargetGroup
		}
		or(&c.Latency, "TargetResponseTime")
		or(&c.BadMissing, "zero") // it publishes no zeros of codes that did not occur
		or(&c.Total, "RequestCount")
		failures = "HTTPCode_Target_5XX_Count"
	case c.Namespace == "" && kind == kindLambda:
		c.Namespace = "AWS/Lambda"
		if d != nil {
			c.Dimensions = map[string]string{"FunctionName": d.Function, "Resource": d.Function + ":" + d.Alias}
		}
		or(&c.Latency, "Duration")
		or(&c.Unit, "milliseconds")
		or(&c.Total, "Invocations")
		failures = "Errors"
	}
	switch signal {
	case astern.SignalErrors:
		or(&c.Bad, failures)
		c.Latency = ""
	case astern.SignalLatency:
		c.Total, c.Bad = "", ""
	case astern.SignalThroughput:
		c.Latency, c.Bad = "", ""
	default:
		c.Latency = ""
	}
	if c.Latency == "" {
		c.Unit = ""
	}
	return c
}

func cloudWatchOf(kind string, d declared, s Signal) *astern.CloudWatchSource {
	c := filled(kind, &d, s.Kind, *s.CloudWatch)
	out := &astern.CloudWatchSource{AWSPlace: d.place(c.AWS), Namespace: c.Namespace, Dimensions: c.Dimensions, Total: c.Total, Bad: c.Bad, Latency: c.Latency,
		Milliseconds: c.Unit == "milliseconds", Bounds: c.Bounds, ZeroTotal: c.TotalMissing == "zero", ZeroBad: c.BadMissing == "zero",
		PeriodSeconds: int64(secondsOr(c.Period, defaultPeriod)), SettleSeconds: int64(secondsOr(c.Settle, defaultSettle))}
	if kind == kindLambda && s.CloudWatch.Namespace == "" && s.CloudWatch.LoadBalancer == "" {
		out.Version = "ExecutedVersion"
	}
	return out
}

func alarmOf(address, name string, d declared, a Alarm) astern.Alarm {
	out := astern.Alarm{Name: name, Address: address, AWSPlace: d.place(a.AWS), Alarm: a.Name, Harm: 100}
	if a.Harm != nil {
		out.Harm = *a.Harm
	}
	return out
}

// logsOf returns where a component's failures are written down: every function of Lambda has a log group.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
func logsOf(kind string, d declared, l *Logs) *astern.LogSource {
	if l == nil && (kind != kindLambda || d.Function == "") {
		return nil
	}
	if l == nil {
		l = &Logs{}
	}
	out := &astern.LogSource{AWSPlace: d.place(l.AWS), Group: l.Group, Pattern: l.Pattern}
	if out.Group == "" {
		out.Group = "/aws/lambda/" + d.Function
	}
	if out.Pattern == "" {
		out.Pattern = failureWords
	}
	return out
}
