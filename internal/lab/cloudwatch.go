package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// monitorState is CloudWatch's alarms and the data that they are judged by. moto stores alarms and never looks at them
// again; what it knows of metrics it keeps knowing, because data goes on to it, stamped with the lab's time.
type monitorState struct {
	mu     sync.Mutex
	alarms map[string][]*alarm // by scope, in the order of their creation
	data   map[string]series   // by scope, namespace, name and dimensions
}

func (s *monitorState) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarms, s.data = nil, nil
}

// stamp is a time in a reply, which JSON and XML write differently.
type stamp time.Time

// MarshalJSON writes seconds, as the JSON protocols want.
func (t stamp) MarshalJSON() ([]byte, error) { return json.Marshal(epoch(time.Time(t))) }

// monitorCall is one call while the state is locked.
type monitorCall struct {
	*Call
	s *monitorState
}

func (l *Lab) cloudwatchOverlays() map[string]Overlay {
	out := map[string]Overlay{"monitoring:PutMetricData": l.putMetricData}
	for operation, f := range map[string]func(monitorCall) Reply{
		"PutMetricAlarm": monitorCall.putMetricAlarm, "PutCompositeAlarm": monitorCall.putCompositeAlarm, "DescribeAlarms": monitorCall.describeAlarms,
		"DescribeAlarmsForMetric": monitorCall.describeAlarmsForMetric, "DeleteAlarms": monitorCall.deleteAlarms, "SetAlarmState": monitorCall.setAlarmState,
		"DescribeAlarmHistory": monitorCall.describeAlarmHistory, "EnableAlarmActions": monitorCall.switchActions, "DisableAlarmActions": monitorCall.switchActions,
		"GetMetricData": monitorCall.getMetricData, "GetMetricStatistics": monitorCall.getMetricStatistics,
	} {
		out["monitoring:"+operation] = func(ctx context.Context, c *Call, next Next) Reply {
			if c.protocol == "cbor" {
				return *notInLab(c, "protocol RPC v2 CBOR")
			}
			l.states.monitor.mu.Lock()
			defer l.states.monitor.mu.Unlock()
			c.Input = nested(c)
			l.states.monitor.settle(c, c.Time)
			r := f(monitorCall{c, &l.states.monitor})
			r.Header.Set("Date", c.Time.UTC().Format(http.TimeFormat)) // who reads what is of a time looks at CloudWatch's clock
			return r
		}
	}
	return out
}

// nested is the input with its lists and structures, which the query protocol flattens: "Dimensions.member.1.Name".
//
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#query-key-resolution
func nested(c *Call) map[string]any {
	if c.protocol != "query" {
		return c.Input
	}
	root := map[string]any{}
	for name, v := range c.Input {
		at := root
		path := strings.Split(name, ".")
		for i, part := range path[:len(path)-1] {
			inner, ok := at[part].(map[string]any)
			if !ok || i > 20 {
				inner = map[string]any{}
				at[part] = inner
			}
			at = inner
		}
		at[path[len(path)-1]] = v
	}
	return lists(root).(map[string]any)
}

// lists turns {"member": {"1": x, "2": y}} into [x, y].
func lists(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	if members, ok := m["member"].(map[string]any); ok && len(m) == 1 {
		keys := slices.SortedFunc(maps.Keys(members), func(a, b string) int { return intOf(a, 0) - intOf(b, 0) })
		out := []any{}
		for _, k := range keys {
			out = append(out, lists(members[k]))
		}
		return out
	}
	for k, x := range m {
		m[k] = lists(x)
	}
	return m
}

// answer writes members in the protocol of the call.
func (c monitorCall) answer(v map[string]any) Reply {
	if c.protocol == "json" {
		return jsonReply(c.Call, http.StatusOK, v)
	}
	var b strings.Builder
	b.WriteString("<" + c.Operation + `Response xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><` + c.Operation + "Result>")
	xmlMembers(&b, v)
	b.WriteString("</" + c.Operation + "Result><ResponseMetadata><RequestId>" + requestID(c.Call) + "</RequestId></ResponseMetadata></" + c.Operation + "Response>")
	return xmlReply(c.Call, http.StatusOK, b.String())
}

func xmlMembers(b *strings.Builder, v map[string]any) {
	for _, name := range names(v) {
		b.WriteString("<" + name + ">")
		xmlValue(b, v[name])
		b.WriteString("</" + name + ">")
	}
}

func xmlValue(b *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		xmlMembers(b, v)
	case []any:
		for _, x := range v {
			b.WriteString("<member>")
			xmlValue(b, x)
			b.WriteString("</member>")
		}
	case stamp:
		b.WriteString(time.Time(v).UTC().Format(iso8601))
	case string:
		b.WriteString(escaped(v))
	default:
		text, _ := json.Marshal(v) // numbers and truth values, which are written alike
		b.Write(text)
	}
}

// fail refuses with the code of the query protocol, which JSON carries in a header of its own.
//
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#aws-protocols-awsquerycompatible-trait
func (c monitorCall) fail(status int, code, message string) Reply {
	r := errorReply(c.Call, status, code, message)
	r.Header.Set("X-Amzn-Query-Error", code+";Sender")
	return r
}

func (c monitorCall) invalid(message string) Reply {
	return c.fail(http.StatusBadRequest, "ValidationError", message)
}

// metricKey names a metric by what makes it: namespace, name and all of its dimensions.
func metricKey(c *Call, namespace, name string, dimensions any) string {
	var ds []string
	for _, d := range objectsOf(dimensions) {
		ds = append(ds, textOf(d["Name"])+"\x00"+textOf(d["Value"]))
	}
	slices.Sort(ds)
	return scopeOf(c) + strings.Join(append([]string{namespace, name}, ds...), "\x00")
}

// putMetricData keeps what alarms need, and passes the data on with the time by the lab's clock where it has none.
func (l *Lab) putMetricData(ctx context.Context, c *Call, next Next) Reply {
	if c.protocol == "cbor" {
		return *notInLab(c, "protocol RPC v2 CBOR")
	}
	in := nested(c)
	data := objectsOf(in["MetricData"])
	for _, d := range data {
		if d["Timestamp"] == nil {
			d["Timestamp"] = c.Time.UTC().Format(time.RFC3339)
			if c.protocol == "json" {
				d["Timestamp"] = c.Time.Unix()
			}
		}
	}
	q := changed(c, in)
	if c.protocol == "query" {
		form := url.Values{"Action": {c.Operation}, "Version": {"2010-08-01"}}
		for name, v := range in {
			flatten(form, name, v)
		}
		q.Body = []byte(form.Encode())
	}
	r := next(ctx, q)
	if r.Status != http.StatusOK {
		return r
	}
	l.states.monitor.mu.Lock()
	defer l.states.monitor.mu.Unlock()
	l.states.monitor.settle(c, c.Time) // what was evaluated without this data stays so
	if l.states.monitor.data == nil {
		l.states.monitor.data = map[string]series{}
	}
	for _, d := range data {
		key := metricKey(c, textOf(in["Namespace"]), textOf(d["MetricName"]), d["Dimensions"])
		l.states.monitor.data[key] = l.states.monitor.data[key].add(readDatum(d), c.Time)
	}
	return r
}

func readDatum(d map[string]any) datum {
	out := datum{at: readTime(d["Timestamp"]), min: math.Inf(1), max: math.Inf(-1), unit: cmp.Or(textOf(d["Unit"]), "None")}
	if s := objectOf(d["StatisticValues"]); s != nil {
		out.count, _ = numberOf(s["SampleCount"])
		out.sum, _ = numberOf(s["Sum"])
		out.min, _ = numberOf(s["Minimum"])
		out.max, _ = numberOf(s["Maximum"])
		return out
	}
	values, _ := d["Values"].([]any)
	counts, _ := d["Counts"].([]any)
	if len(values) == 0 {
		values = []any{d["Value"]}
	}
	for i, x := range values {
		v, _ := numberOf(x)
		n := 1.0
		if i < len(counts) {
			n, _ = numberOf(counts[i])
		}
		out.values, out.counts = append(out.values, v), append(out.counts, n)
		out.count, out.sum, out.min, out.max = out.count+n, out.sum+n*v, min(out.min, v), max(out.max, v)
	}
	return out
}

// readTime reads a time as either protocol writes it.
func readTime(v any) time.Time {
	if s, ok := v.(string); ok {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			return t
		}
	}
	n, _ := numberOf(v)
	if unix, ok := v.(int64); ok {
		n = float64(unix)
	}
	return time.UnixMilli(int64(n * 1000))
}

func (s *monitorState) find(c *Call, name string) *alarm {
	for _, a := range s.alarms[scopeOf(c)] {
		if a.name == name {
			return a
		}
	}
	return nil
}

// settle evaluates the alarms of an account in a region until now: metric alarms by their data, then composite ones at
// each change of what they are made of.
func (s *monitorState) settle(c *Call, now time.Time) {
	all := s.alarms[scopeOf(c)]
	for _, a := range all {
		if a.rule.op == "" {
			a.settle(s.data[a.metric], now)
		}
	}
	done := map[*alarm]bool{}
	for _, a := range all {
		s.settleComposite(c, a, now, done)
	}
}

func (s *monitorState) settleComposite(c *Call, a *alarm, now time.Time, done map[*alarm]bool) {
	if a.rule.op == "" || done[a] {
		return
	}
	done[a] = true
	moments := []time.Time{}
	for _, name := range a.rule.names() {
		part := s.find(c, name)
		if part == nil {
			continue
		}
		s.settleComposite(c, part, now, done)
		for _, t := range part.states {
			if t.at.After(a.evaluated) && !t.at.After(now) {
				moments = append(moments, t.at)
			}
		}
	}
	slices.SortFunc(moments, time.Time.Compare)
	for _, at := range append(moments, now) {
		holds := a.rule.holds(func(name string) string {
			if part := s.find(c, name); part != nil {
				return part.stateAt(at)
			}
			return ""
		})
		state := map[bool]string{true: "ALARM", false: "OK"}[holds]
		a.enter(at, state, a.arn+" transitioned to "+state+" because its rule "+map[bool]string{true: "holds", false: "does not hold"}[holds])
	}
	a.evaluated = later(a.evaluated, now)
}

// firing tells which of several alarms were in ALARM at a time.
func (l *Lab) firing(scope *Call, alarms []string, at time.Time) (out []string) {
	s := &l.states.monitor
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(scope, at)
	for _, name := range alarms {
		if a := s.find(scope, alarmName(name)); a != nil && a.stateAt(at) == "ALARM" {
			out = append(out, name)
		}
	}
	return out
}

// firstFiring tells which of several alarms was the first in ALARM within [from, to], and when.
func (l *Lab) firstFiring(scope *Call, alarms []string, from, to time.Time) (first string, at time.Time, ok bool) {
	s := &l.states.monitor
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(scope, to)
	for _, name := range alarms {
		a := s.find(scope, alarmName(name))
		if a == nil {
			continue
		}
		for i, t := range a.states {
			ends := i+1 < len(a.states) && !a.states[i+1].at.After(from)
			if t.state != "ALARM" || t.at.After(to) || ends {
				continue
			}
			if when := later(t.at, from); !ok || when.Before(at) {
				first, at, ok = name, when, true
			}
		}
	}
	return first, at, ok
}

// longestAlarm is the time that the slowest of several alarms looks back. ECS bakes a deployment as long: AWS says only
// that it computes the time from the alarms.
func (l *Lab) longestAlarm(scope *Call, alarms []string) (longest time.Duration) {
	s := &l.states.monitor
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range alarms {
		if a := s.find(scope, alarmName(name)); a != nil {
			longest = max(longest, a.period*time.Duration(a.periods))
		}
	}
	return longest
}

// monitorClock evaluates alarms when the clock was stepped.
type monitorClock struct{ *monitorState }

func (m monitorClock) tick(_ context.Context, _, to time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for scope := range m.alarms {
		parts := strings.Split(scope, "/")
		m.settle(&Call{Account: parts[0], Region: parts[1]}, to)
	}
}

// put creates an alarm, or changes one, which keeps its state and history.
func (c monitorCall) put(n *alarm) Reply {
	n.arn = "arn:aws:cloudwatch:" + c.Region + ":" + c.Account + ":alarm:" + n.name
	n.configured, n.evaluated = c.Time, c.Time
	old := c.s.find(c.Call, n.name)
	if old == nil {
		n.states = []transition{{c.Time, "INSUFFICIENT_DATA", "Unchecked: Initial alarm creation"}}
		n.note(c.Time, "ConfigurationUpdate", `Alarm "`+n.name+`" created`, "{}")
		if c.s.alarms == nil {
			c.s.alarms = map[string][]*alarm{}
		}
		c.s.alarms[scopeOf(c.Call)] = append(c.s.alarms[scopeOf(c.Call)], n)
	} else {
		if (old.rule.op == "") != (n.rule.op == "") {
			return c.invalid("Alarm " + n.name + " already exists as an alarm of another type")
		}
		n.states, n.history, n.data = old.states, old.history, old.data
		*old = *n
		old.note(c.Time, "ConfigurationUpdate", `Alarm "`+n.name+`" updated`, "{}")
	}
	if n.rule.op != "" {
		c.s.settle(c.Call, c.Time)
	}
	return c.answer(map[string]any{})
}

// shownMembers are kept as they were given.
func (c monitorCall) shownMembers(members ...string) map[string]any {
	out := map[string]any{"ActionsEnabled": true}
	for _, list := range []string{"OKActions", "AlarmActions", "InsufficientDataActions"} {
		out[list] = append([]any{}, anyOf(c.Input[list])...)
	}
	if v, given := c.Input["ActionsEnabled"]; given {
		out["ActionsEnabled"] = truthOf(v)
	}
	for _, m := range append(members, "AlarmDescription") {
		v := c.Input[m]
		if isOneOf(m, "Period", "EvaluationPeriods", "DatapointsToAlarm", "Threshold", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod") {
			if n, ok := numberOf(v); ok {
				v = n
			}
		}
		put(out, m, v)
	}
	return out
}

func anyOf(v any) []any { l, _ := v.([]any); return l }

func (c monitorCall) putMetricAlarm() Reply {
	if c.Input["Metrics"] != nil || c.Input["ThresholdMetricId"] != nil || c.Input["EvaluationCriteria"] != nil {
		return *notInLab(c.Call, "alarm on expressions, anomalies or queries")
	}
	threshold, hasThreshold := numberOf(c.Input["Threshold"])
	n := &alarm{name: c.Text("AlarmName"), statistic: cmp.Or(c.Text("Statistic"), c.Text("ExtendedStatistic")), unit: c.Text("Unit"),
		period: time.Duration(intOf(c.Input["Period"], 0)) * time.Second, periods: intOf(c.Input["EvaluationPeriods"], 0), threshold: threshold,
		comparison: c.Text("ComparisonOperator"), missing: cmp.Or(c.Text("TreatMissingData"), "missing"),
		metric: metricKey(c.Call, c.Text("Namespace"), c.Text("MetricName"), c.Input["Dimensions"])}
	n.datapoints = intOf(c.Input["DatapointsToAlarm"], n.periods)
	p, percentile := strings.CutPrefix(c.Text("ExtendedStatistic"), "p")
	_, err := strconv.ParseFloat(p, 64)
	switch {
	case n.name == "" || len(n.name) > 255:
		return c.invalid("AlarmName must have between 1 and 255 characters")
	case c.Text("Namespace") == "" || c.Text("MetricName") == "" || n.statistic == "" || !hasThreshold:
		return c.invalid("Namespace, MetricName, Statistic or ExtendedStatistic, and Threshold must be given")
	case !isOneOf(n.statistic, "SampleCount", "Average", "Sum", "Minimum", "Maximum") && (!percentile || err != nil):
		return *notInLab(c.Call, "statistic "+n.statistic)
	case !isOneOf(n.comparison, "GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"):
		return *notInLab(c.Call, "comparison "+n.comparison)
	case !isOneOf(n.missing, "missing", "ignore", "breaching", "notBreaching"):
		return c.invalid("TreatMissingData must be breaching, notBreaching, ignore or missing")
	case n.period != 10*time.Second && n.period != 20*time.Second && n.period != 30*time.Second && (n.period <= 0 || n.period%time.Minute != 0):
		return c.invalid("Period must be 10, 20, 30 or a multiple of 60")
	case n.periods < 1 || n.period*time.Duration(n.periods) > 7*24*time.Hour || n.periods > 10080:
		return c.invalid("Metrics cannot be checked across more than a week (EvaluationPeriods * Period must be <= 604800).")
	case n.datapoints < 1 || n.datapoints > n.periods:
		return c.invalid("DatapointsToAlarm must be between 1 and EvaluationPeriods")
	}
	n.settings = c.shownMembers("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Dimensions", "Period", "Unit", "EvaluationPeriods",
		"DatapointsToAlarm", "Threshold", "ComparisonOperator", "TreatMissingData", "EvaluateLowSampleCountPercentile")
	return c.put(n)
}

func (c monitorCall) putCompositeAlarm() Reply {
	rule, err := parseRule(c.Text("AlarmRule"))
	n := &alarm{name: c.Text("AlarmName"), rule: rule}
	switch {
	case err != nil:
		return c.invalid(err.Error())
	case n.name == "":
		return c.invalid("AlarmName must have between 1 and 255 characters")
	case c.Text("ActionsSuppressor") != "":
		return *notInLab(c.Call, "suppressor of actions")
	}
	for _, name := range rule.names() {
		if c.s.find(c.Call, name) == nil || c.reaches(name, n.name, 0) {
			return c.invalid("AlarmRule names alarms that don't exist, or that depend on this one: " + name)
		}
	}
	n.settings = c.shownMembers("AlarmRule")
	return c.put(n)
}

// reaches tells whether an alarm is made of another one.
func (c monitorCall) reaches(from, to string, depth int) bool {
	if from == to || depth > 50 {
		return true
	}
	a := c.s.find(c.Call, from)
	return a != nil && slices.ContainsFunc(a.rule.names(), func(name string) bool { return c.reaches(name, to, depth+1) })
}

func (a *alarm) view() map[string]any {
	out := maps.Clone(a.settings)
	now := a.state()
	out["AlarmName"], out["AlarmArn"] = a.name, a.arn
	out["AlarmConfigurationUpdatedTimestamp"], out["StateUpdatedTimestamp"], out["StateTransitionedTimestamp"] = stamp(a.configured), stamp(now.at), stamp(now.at)
	out["StateValue"], out["StateReason"] = now.state, now.reason
	put(out, "StateReasonData", a.data)
	if a.rule.op == "" && out["Dimensions"] == nil {
		out["Dimensions"] = []any{}
	}
	return out
}

func (c monitorCall) describeAlarms() Reply {
	wanted, prefix, state := textsOf(c.Input["AlarmNames"]), c.Text("AlarmNamePrefix"), c.Text("StateValue")
	types := textsOf(c.Input["AlarmTypes"])
	if len(types) == 0 {
		types = []string{"MetricAlarm"} // "only metric alarms are returned, even if composite alarms exist"
	}
	var found []*alarm
	for _, a := range c.s.alarms[scopeOf(c.Call)] {
		if len(wanted) > 0 && !slices.Contains(wanted, a.name) || !strings.HasPrefix(a.name, prefix) || state != "" && a.state().state != state ||
			!slices.Contains(types, a.kind()) || !c.family(a) || !a.actsOn(c.Text("ActionPrefix")) {
			continue
		}
		found = append(found, a)
	}
	slices.SortFunc(found, func(a, b *alarm) int { return strings.Compare(a.name, b.name) })
	page, next, ok := paged(found, c.Text("NextToken"), min(100, intOf(c.Input["MaxRecords"], 50)))
	if !ok {
		return c.fail(http.StatusBadRequest, "InvalidNextToken", "The next token specified is invalid.")
	}
	metric, composite := []any{}, []any{}
	for _, a := range page {
		if a.rule.op == "" {
			metric = append(metric, a.view())
		} else {
			composite = append(composite, a.view())
		}
	}
	out := map[string]any{"MetricAlarms": metric, "CompositeAlarms": composite}
	put(out, "NextToken", next)
	return c.answer(out)
}

func (a *alarm) kind() string {
	if a.rule.op != "" {
		return "CompositeAlarm"
	}
	return "MetricAlarm"
}

func (a *alarm) actsOn(prefix string) bool {
	return prefix == "" || slices.ContainsFunc(textsOf(a.settings["AlarmActions"]), func(s string) bool { return strings.HasPrefix(s, prefix) })
}

// family filters by ChildrenOfAlarmName and ParentsOfAlarmName.
func (c monitorCall) family(a *alarm) bool {
	if parent := c.Text("ChildrenOfAlarmName"); parent != "" {
		p := c.s.find(c.Call, parent)
		return p != nil && slices.Contains(p.rule.names(), a.name)
	}
	child := c.Text("ParentsOfAlarmName")
	return child == "" || slices.Contains(a.rule.names(), child)
}

func (c monitorCall) describeAlarmsForMetric() Reply {
	key := metricKey(c.Call, c.Text("Namespace"), c.Text("MetricName"), c.Input["Dimensions"])
	found := []any{}
	for _, a := range c.s.alarms[scopeOf(c.Call)] {
		statistic := cmp.Or(c.Text("Statistic"), c.Text("ExtendedStatistic"), a.statistic)
		if a.rule.op == "" && a.metric == key && statistic == a.statistic && intOf(c.Input["Period"], int(a.period.Seconds())) == int(a.period.Seconds()) {
			found = append(found, a.view())
		}
	}
	return c.answer(map[string]any{"MetricAlarms": found})
}

func (c monitorCall) deleteAlarms() Reply {
	key, gone := scopeOf(c.Call), textsOf(c.Input["AlarmNames"])
	for _, name := range gone {
		if c.s.find(c.Call, name) == nil && len(gone) == 1 {
			return c.fail(http.StatusNotFound, "ResourceNotFound", "Unknown alarm: "+name)
		}
		for _, a := range c.s.alarms[key] {
			if slices.Contains(a.rule.names(), name) && !slices.Contains(gone, a.name) {
				return c.invalid("Cannot delete " + name + " because the composite alarm " + a.name + " depends on it")
			}
		}
	}
	c.s.alarms[key] = slices.DeleteFunc(c.s.alarms[key], func(a *alarm) bool { return slices.Contains(gone, a.name) })
	return c.answer(map[string]any{})
}

// setAlarmState sets a state that lasts until the next evaluation.
func (c monitorCall) setAlarmState() Reply {
	a := c.s.find(c.Call, c.Text("AlarmName"))
	switch {
	case a == nil:
		return c.fail(http.StatusNotFound, "ResourceNotFound", "Unknown alarm: "+c.Text("AlarmName"))
	case !isOneOf(c.Text("StateValue"), "OK", "ALARM", "INSUFFICIENT_DATA"):
		return c.invalid("StateValue must be OK, ALARM or INSUFFICIENT_DATA")
	}
	a.data = c.Text("StateReasonData")
	a.enter(c.Time, c.Text("StateValue"), c.Text("StateReason"))
	c.s.settle(c.Call, c.Time)
	return c.answer(map[string]any{})
}

func (c monitorCall) describeAlarmHistory() Reply {
	type entry struct {
		*alarm
		historyItem
	}
	var all []entry
	from, to := c.Input["StartDate"], c.Input["EndDate"]
	types := textsOf(c.Input["AlarmTypes"])
	for _, a := range c.s.alarms[scopeOf(c.Call)] {
		if name := c.Text("AlarmName"); name != "" && name != a.name || len(types) > 0 && !slices.Contains(types, a.kind()) {
			continue
		}
		for _, h := range a.history {
			if k := c.Text("HistoryItemType"); k != "" && k != h.kind || from != nil && h.at.Before(readTime(from)) || to != nil && h.at.After(readTime(to)) {
				continue
			}
			all = append(all, entry{a, h})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.at.Compare(b.at) })
	if c.Text("ScanBy") != "TimestampAscending" {
		slices.Reverse(all)
	}
	page, next, ok := paged(all, c.Text("NextToken"), min(100, intOf(c.Input["MaxRecords"], 100)))
	if !ok {
		return c.fail(http.StatusBadRequest, "InvalidNextToken", "The next token specified is invalid.")
	}
	items := []any{}
	for _, e := range page {
		items = append(items, map[string]any{"AlarmName": e.name, "AlarmType": e.alarm.kind(), "Timestamp": stamp(e.at),
			"HistoryItemType": e.historyItem.kind, "HistorySummary": e.summary, "HistoryData": e.historyItem.data})
	}
	out := map[string]any{"AlarmHistoryItems": items}
	put(out, "NextToken", next)
	return c.answer(out)
}

func (c monitorCall) switchActions() Reply {
	for _, name := range textsOf(c.Input["AlarmNames"]) {
		if a := c.s.find(c.Call, name); a != nil {
			a.settings["ActionsEnabled"] = c.Operation == "EnableAlarmActions"
		}
	}
	return c.answer(map[string]any{})
}
