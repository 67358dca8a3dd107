package lab

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// How CloudWatch judges alarms, pure. Sources:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html,
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html and
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html

// Bounds of what is kept and done.
const (
	dataKept      = 8 * 24 * time.Hour // an alarm looks back at most seven days
	datumsKept    = 20_000             // of one metric
	historyKept   = 500                // of one alarm
	evaluateMost  = 1500               // evaluations in one go; of a longer time the last so many
	extraLookBack = 2                  // datapoints beyond EvaluationPeriods, as in the tables of the user guide
)

// datum is one value, or a set of values of which only the statistics are known, at a time.
type datum struct {
	at                   time.Time
	count, sum, min, max float64
	values               []float64 // with counts, for percentiles; nil for statistic sets
	counts               []float64
	unit                 string
}

// series are the values of one metric, oldest first.
type series []datum

// add keeps the series in order and within its bounds.
func (s series) add(d datum, now time.Time) series {
	i, _ := slices.BinarySearchFunc(s, d.at, func(x datum, at time.Time) int {
		if x.at.After(at) {
			return 1
		}
		return -1
	})
	s = slices.Insert(s, i, d)
	old := 0
	for old < len(s) && (now.Sub(s[old].at) > dataKept || len(s)-old > datumsKept) {
		old++
	}
	return slices.Delete(s, 0, old)
}

// statistic is a datapoint over [from, to); ok is false when there are no values.
func (s series) statistic(name, unit string, from, to time.Time) (v float64, ok bool) {
	i, _ := slices.BinarySearchFunc(s, from, func(x datum, at time.Time) int { return x.at.Compare(at) })
	total := datum{min: math.Inf(1), max: math.Inf(-1)}
	for ; i < len(s) && s[i].at.Before(to); i++ {
		d := s[i]
		if d.at.Before(from) || unit != "" && unit != d.unit {
			continue
		}
		total.count, total.sum = total.count+d.count, total.sum+d.sum
		total.min, total.max = min(total.min, d.min), max(total.max, d.max)
		total.values, total.counts = append(total.values, d.values...), append(total.counts, d.counts...)
	}
	if total.count == 0 {
		return 0, false
	}
	switch name {
	case "SampleCount":
		return total.count, true
	case "Sum":
		return total.sum, true
	case "Minimum":
		return total.min, true
	case "Maximum":
		return total.max, true
	case "Average":
		return total.sum / total.count, true
	}
	if v, ok := total.counted(name); ok {
		return v, true
	}
	return total.percentile(name)
}

// percentile is the smallest value that is at least as large as so many percent of all: "p99.9".
func (d datum) percentile(name string) (float64, bool) {
	var p float64
	if _, err := fmt.Sscanf(name, "p%g", &p); err != nil || len(d.values) == 0 {
		return 0, false
	}
	order := make([]int, len(d.values))
	n := 0.0
	for i := range order {
		order[i] = i
		n += d.counts[i]
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case d.values[a] < d.values[b]:
			return -1
		case d.values[a] > d.values[b]:
			return 1
		}
		return 0
	})
	seen := 0.0
	for _, i := range order {
		if seen += d.counts[i]; seen >= n*p/100 {
			return d.values[i], true
		}
	}
	return d.values[order[len(order)-1]], true
}

// transition is a state that an alarm took on.
type transition struct {
	at     time.Time
	state  string
	reason string
}

type historyItem struct {
	at                  time.Time
	kind, summary, data string
}

// alarm is a metric alarm, or a composite one when it has a rule.
type alarm struct {
	name, arn  string
	settings   map[string]any // members as they are shown
	configured time.Time
	evaluated  time.Time    // up to here
	states     []transition // oldest first, never empty
	history    []historyItem
	data       string // StateReasonData
	rule       ruleNode

	metric              string // key of the series
	statistic, unit     string
	period              time.Duration
	periods, datapoints int
	threshold           float64
	comparison, missing string
}

func (a *alarm) state() transition { return a.states[len(a.states)-1] }

// stateAt is the state at an earlier time.
func (a *alarm) stateAt(at time.Time) string {
	for _, t := range slices.Backward(a.states) {
		if !t.at.After(at) {
			return t.state
		}
	}
	return "INSUFFICIENT_DATA"
}

// enter takes on a state, or notes that it stays.
func (a *alarm) enter(at time.Time, state, reason string) {
	if before := a.state(); before.state != state {
		a.states = append(a.states, transition{at, state, reason})
		a.states = a.states[max(0, len(a.states)-historyKept):]
		data, _ := json.Marshal(map[string]any{"version": "1.0", "oldState": map[string]any{"stateValue": before.state, "stateReason": before.reason},
			"newState": map[string]any{"stateValue": state, "stateReason": reason}})
		a.note(at, "StateUpdate", "Alarm updated from "+before.state+" to "+state, string(data))
	}
}

func (a *alarm) note(at time.Time, kind, summary, data string) {
	a.history = append(a.history, historyItem{at, kind, summary, data})
	a.history = a.history[max(0, len(a.history)-historyKept):]
}

// interval is how often an alarm is evaluated: every minute, every ten seconds when its period is shorter than that.
func (a *alarm) interval() time.Duration {
	if a.period < time.Minute {
		return 10 * time.Second
	}
	return time.Minute
}

// settle evaluates a metric alarm at each moment at which that was due until now.
func (a *alarm) settle(s series, now time.Time) {
	every := a.interval()
	at := a.evaluated.Truncate(every).Add(every)
	if first := now.Truncate(every).Add(-evaluateMost * every); at.Before(first) {
		at = first
	}
	for ; !at.After(now); at = at.Add(every) {
		a.evaluate(s, at)
	}
	a.evaluated = later(a.evaluated, now)
}

// evaluate judges the datapoints of the windows that end at a time.
func (a *alarm) evaluate(s series, at time.Time) {
	points := make([]*float64, a.periods+extraLookBack) // the most recent first; nil: missing
	for i := range points {
		to := at.Add(-time.Duration(i) * a.period)
		if v, ok := s.statistic(a.statistic, a.unit, to.Add(-a.period), to); ok {
			points[i] = &v
		}
	}
	state := a.judge(points)
	var recent []string
	var values []float64
	for i, p := range points {
		if p != nil && len(recent) < a.periods {
			recent = append(recent, fmt.Sprintf("%v (%s)", *p, at.Add(-time.Duration(i+1)*a.period).UTC().Format("02/01/06 15:04:05")))
			values = append(values, *p)
		}
	}
	if state == "" || state == a.state().state {
		return
	}
	data, _ := json.Marshal(map[string]any{"version": "1.0", "queryDate": at.UTC().Format("2006-01-02T15:04:05.000+0000"), "statistic": a.statistic,
		"period": int(a.period.Seconds()), "recentDatapoints": values, "threshold": a.threshold})
	a.data = string(data)
	a.enter(at, state, a.reason(state, recent, values))
}

func (a *alarm) reason(state string, recent []string, values []float64) string {
	if state == "INSUFFICIENT_DATA" {
		return "Insufficient Data: no datapoints were received for the last " + fmt.Sprint(a.periods) + " periods."
	}
	breaching := 0
	for _, v := range values {
		breaching += boolInt(a.breaches(v))
	}
	words := map[string]string{"GreaterThanThreshold": "greater than", "GreaterThanOrEqualToThreshold": "greater than or equal to",
		"LessThanThreshold": "less than", "LessThanOrEqualToThreshold": "less than or equal to"}[a.comparison]
	if len(values) == 0 {
		return fmt.Sprintf("Threshold Crossed: no datapoints were received for %d periods and %d missing datapoints were treated as [%s].", a.periods, a.periods, a.missing)
	}
	n, not := breaching, ""
	if state == "OK" {
		n, not = len(values)-breaching, "not "
	}
	return fmt.Sprintf("Threshold Crossed: %d out of the last %d datapoints [%s] %s %s%s the threshold (%v).", n, a.periods,
		strings.Join(recent, ", "), map[bool]string{true: "was", false: "were"}[n == 1], not, words, a.threshold)
}

func (a *alarm) breaches(v float64) bool {
	switch a.comparison {
	case "GreaterThanThreshold":
		return v > a.threshold
	case "GreaterThanOrEqualToThreshold":
		return v >= a.threshold
	case "LessThanThreshold":
		return v < a.threshold
	}
	return v <= a.threshold
}

// judge is the state that datapoints give, the most recent first, nil where data is missing; "" keeps the present state.
// Missing data is filled in only as far as real datapoints of the whole range are too few.
func (a *alarm) judge(points []*float64) string {
	present, breaching, oldest := 0, 0, 0
	for i, p := range points {
		if p == nil {
			continue
		}
		if present == a.periods {
			break
		}
		present++
		if a.breaches(*p) {
			breaching++
			oldest = i + 1
		}
	}
	fill := a.periods - present
	alarmed := map[bool]string{true: "ALARM", false: "OK"}
	switch {
	case breaching >= a.datapoints:
		return "ALARM"
	case fill == 0 || a.missing == "notBreaching":
		return "OK"
	case a.missing == "breaching":
		return alarmed[breaching+fill >= a.datapoints]
	case present > breaching: // something real is fine
		return "OK"
	case a.missing == "ignore":
		return ""
	case present == 0:
		return "INSUFFICIENT_DATA"
	}
	// Only breaching ones, too few. It is an alarm when the oldest is as old as the datapoints that an alarm needs.
	return alarmed[oldest >= a.datapoints]
}

// ruleNode is a part of a composite alarm's rule.
type ruleNode struct {
	op    string // AND, OR, NOT, TRUE, FALSE, or the state that an alarm must have
	name  string // of that alarm
	parts []ruleNode
}

// holds evaluates the rule with the states of other alarms.
func (n ruleNode) holds(state func(name string) string) bool {
	switch n.op {
	case "TRUE":
		return true
	case "FALSE":
		return false
	case "NOT":
		return !n.parts[0].holds(state)
	case "AND":
		return n.parts[0].holds(state) && n.parts[1].holds(state)
	case "OR":
		return n.parts[0].holds(state) || n.parts[1].holds(state)
	}
	return state(n.name) == n.op
}

func (n ruleNode) names() (out []string) {
	if n.name != "" {
		out = append(out, n.name)
	}
	for _, p := range n.parts {
		out = append(out, p.names()...)
	}
	return out
}

// alarmName is the name in the ARN of an alarm, or the name itself.
func alarmName(s string) string {
	if _, name, ok := strings.Cut(s, ":alarm:"); ok && strings.HasPrefix(s, "arn:") {
		return name
	}
	return s
}

// ruleParser reads "ALARM(a) AND NOT (OK("b c") OR TRUE)". NOT binds strongest, OR weakest.
type ruleParser struct {
	rest  string
	depth int
}

func parseRule(text string) (ruleNode, error) {
	if len(text) > 10240 {
		return ruleNode{}, fmt.Errorf("AlarmRule must have at most 10240 characters")
	}
	p := &ruleParser{rest: text}
	n, err := p.binary("OR")
	if err == nil && p.peek() != "" {
		err = fmt.Errorf("AlarmRule has %q where it should end", p.peek())
	}
	return n, err
}

// peek returns the next word or sign.
func (p *ruleParser) peek() string {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	if p.rest == "" {
		return ""
	}
	if i := strings.IndexAny(p.rest, " \t\r\n()"); i > 0 {
		return p.rest[:i]
	} else if i == 0 {
		return p.rest[:1]
	}
	return p.rest
}

func (p *ruleParser) take(word string) bool {
	if p.peek() != word || word == "" {
		return false
	}
	p.rest = p.rest[len(word):]
	return true
}

func (p *ruleParser) binary(op string) (ruleNode, error) {
	operand := p.unary
	if op == "OR" {
		operand = func() (ruleNode, error) { return p.binary("AND") }
	}
	n, err := operand()
	for err == nil && p.take(op) {
		var right ruleNode
		right, err = operand()
		n = ruleNode{op: op, parts: []ruleNode{n, right}}
	}
	return n, err
}

func (p *ruleParser) unary() (ruleNode, error) {
	if p.depth++; p.depth > 200 {
		return ruleNode{}, fmt.Errorf("AlarmRule is nested too deep")
	}
	defer func() { p.depth-- }()
	switch word := p.peek(); {
	case p.take("NOT"):
		n, err := p.unary()
		return ruleNode{op: "NOT", parts: []ruleNode{n}}, err
	case p.take("("):
		n, err := p.binary("OR")
		if err == nil && !p.take(")") {
			err = fmt.Errorf("AlarmRule lacks a closing parenthesis")
		}
		return n, err
	case p.take("TRUE"), p.take("FALSE"):
		return ruleNode{op: word}, nil
	case isOneOf(word, "ALARM", "OK", "INSUFFICIENT_DATA"):
		p.take(word)
		name, err := p.name()
		return ruleNode{op: word, name: alarmName(name)}, err
	default:
		return ruleNode{}, fmt.Errorf("AlarmRule has %q where a condition should be", word)
	}
}

// name reads ("quoted name"), ('quoted name') or (name).
func (p *ruleParser) name() (string, error) {
	if !p.take("(") {
		return "", fmt.Errorf("AlarmRule lacks the name of an alarm in parentheses")
	}
	p.peek()
	var name string
	ok := false
	if p.rest != "" && (p.rest[0] == '"' || p.rest[0] == '\'') {
		name, p.rest, ok = strings.Cut(p.rest[1:], p.rest[:1])
		ok = ok && p.take(")")
	} else {
		name, p.rest, ok = strings.Cut(p.rest, ")")
	}
	if name = strings.TrimSpace(name); !ok || name == "" {
		return "", fmt.Errorf("AlarmRule lacks the name of an alarm in parentheses")
	}
	return name, nil
}
