package lab

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What CloudWatch tells of metrics, from the data that was put: moto adds up every metric that has the dimensions asked for,
// has no percentiles, and answers a period without data as it likes. Here a metric is what makes it (namespace, name and all of
// its dimensions), and a period without data is none.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html

const (
	mostQueries    = 500
	mostDatapoints = 100_800
	mostPeriods    = 100_800 // of one metric in one call
)

// datapoint is one statistic of one period.
type datapoint struct {
	at    time.Time
	value float64
}

// real is a number that is never written as a whole one, as CloudWatch writes values.
type real float64

// MarshalJSON writes 6.0.
func (r real) MarshalJSON() ([]byte, error) {
	text := strconv.FormatFloat(float64(r), 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return []byte(text), nil
}

// asked is one metric by one statistic over a time.
type asked struct {
	key, statistic, unit string
	period               time.Duration
}

// validPeriod tells periods that CloudWatch has.
func validPeriod(p time.Duration) bool {
	return slices.Contains([]time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second}, p) || p > 0 && p%time.Minute == 0
}

// datapoints are those of the periods that begin within [from, to), the oldest first.
func (s *monitorState) datapoints(a asked, from, to time.Time) (out []datapoint) {
	all := s.data[a.key]
	for at := from.Truncate(a.period); at.Before(to); at = at.Add(a.period) {
		i, _ := slices.BinarySearchFunc(all, at, func(x datum, at time.Time) int { return x.at.Compare(at) })
		if i == len(all) {
			break
		}
		if next := all[i].at.Truncate(a.period); next.After(at) { // nothing lies between
			at = next.Add(-a.period)
			continue
		}
		if v, ok := all.statistic(a.statistic, a.unit, at, at.Add(a.period)); ok {
			out = append(out, datapoint{at, v})
		}
	}
	return out
}

// getMetricData answers from what was put, page by page.
func (c monitorCall) getMetricData() Reply {
	queries := objectsOf(c.Input["MetricDataQueries"])
	from, to := readTime(c.Input["StartTime"]), readTime(c.Input["EndTime"])
	switch {
	case len(queries) == 0 || len(queries) > mostQueries:
		return c.invalid("The collection MetricDataQueries must have a size between 1 and 500")
	case !from.Before(to):
		return c.invalid("The parameter StartTime must be less than the parameter EndTime.")
	}
	most := min(mostDatapoints, intOf(c.Input["MaxDatapoints"], mostDatapoints))
	skip, err := strconv.Atoi(cmp.Or(c.Text("NextToken"), "0"))
	if err != nil || skip < 0 || most < 1 {
		return c.fail(http.StatusBadRequest, "InvalidNextToken", "The next token specified is invalid.")
	}
	results, seen, left, more := []any{}, map[string]bool{}, most, false
	for _, q := range queries {
		id := textOf(q["Id"])
		if seen[id] || id == "" || id[0] < 'a' || id[0] > 'z' {
			return c.invalid("The value " + id + " for parameter Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$, or given twice.")
		}
		seen[id] = true
		stat := objectOf(q["MetricStat"])
		if stat == nil {
			return *notInLab(c.Call, "metric math")
		}
		metric := objectOf(stat["Metric"])
		a := asked{metricKey(c.Call, textOf(metric["Namespace"]), textOf(metric["MetricName"]), metric["Dimensions"]), textOf(stat["Stat"]), textOf(stat["Unit"]),
			time.Duration(intOf(stat["Period"], 0)) * time.Second}
		switch {
		case !validPeriod(a.period) || to.Sub(from)/a.period > mostPeriods:
			return c.invalid("Period must be 1, 5, 10, 20, 30 or a multiple of 60, and the time not too long")
		case !knownStatistic(a.statistic):
			return c.invalid("The parameter Stat is not valid: " + a.statistic)
		}
		points := c.s.datapoints(a, from, to)
		if c.Text("ScanBy") != "TimestampAscending" {
			slices.Reverse(points)
		}
		passed := min(skip, len(points))
		skip, points = skip-passed, points[passed:]
		status := "Complete"
		if len(points) > left {
			points, status, more = points[:left], "PartialData", true
		}
		left -= len(points)
		times, values := []any{}, []any{}
		for _, p := range points {
			times, values = append(times, stamp(p.at)), append(values, real(p.value))
		}
		results = append(results, map[string]any{"Id": id, "Label": cmp.Or(textOf(q["Label"]), textOf(metric["MetricName"])), "Timestamps": times, "Values": values, "StatusCode": status})
	}
	out := map[string]any{"MetricDataResults": results, "Messages": []any{}}
	if more {
		before, _ := strconv.Atoi(cmp.Or(c.Text("NextToken"), "0"))
		out["NextToken"] = strconv.Itoa(before + most)
	}
	return c.answer(out)
}

// getMetricStatistics answers from what was put.
func (c monitorCall) getMetricStatistics() Reply {
	a := asked{key: metricKey(c.Call, c.Text("Namespace"), c.Text("MetricName"), c.Input["Dimensions"]), unit: c.Text("Unit"),
		period: time.Duration(intOf(c.Input["Period"], 0)) * time.Second}
	from, to := readTime(c.Input["StartTime"]), readTime(c.Input["EndTime"])
	plain, extended := textsOf(c.Input["Statistics"]), textsOf(c.Input["ExtendedStatistics"])
	switch {
	case !validPeriod(a.period) || !from.Before(to) || to.Sub(from)/a.period > 1440:
		return c.invalid("Period must be 1, 5, 10, 20, 30 or a multiple of 60; StartTime lies before EndTime; 1,440 datapoints at most")
	case len(plain)+len(extended) == 0:
		return c.invalid("Must specify either Statistics or ExtendedStatistics")
	}
	byTime := map[time.Time]map[string]any{}
	for i, name := range append(slices.Clone(plain), extended...) {
		if a.statistic = name; !knownStatistic(name) {
			return c.invalid("The statistic is not valid: " + name)
		}
		for _, p := range c.s.datapoints(a, from, to) {
			d := byTime[p.at]
			if d == nil {
				d = map[string]any{"Timestamp": stamp(p.at), "Unit": cmp.Or(a.unit, "None")}
				byTime[p.at] = d
			}
			if i < len(plain) {
				d[name] = real(p.value)
				continue
			}
			if d["ExtendedStatistics"] == nil {
				d["ExtendedStatistics"] = map[string]any{}
			}
			objectOf(d["ExtendedStatistics"])[name] = real(p.value)
		}
	}
	points := []any{}
	for _, d := range byTime {
		points = append(points, d)
	}
	if len(extended) > 0 && c.protocol == "query" {
		return *notInLab(c.Call, "ExtendedStatistics of GetMetricStatistics in the query protocol; GetMetricData has them")
	}
	return c.answer(map[string]any{"Label": c.Text("MetricName"), "Datapoints": points})
}

// knownStatistic tells the statistics that the lab has.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
func knownStatistic(name string) bool {
	if isOneOf(name, "SampleCount", "Average", "Sum", "Minimum", "Maximum") {
		return true
	}
	if _, _, ok := spanned(name); ok {
		return true
	}
	p, percentile := strings.CutPrefix(name, "p")
	x, err := strconv.ParseFloat(p, 64)
	return percentile && err == nil && x >= 0 && x <= 100
}

// spanned reads the bounds of TC(0.1:0.5) and PR(:300): above the lower one, up to the upper one.
func spanned(name string) (low, high float64, ok bool) {
	text, found := strings.CutSuffix(name, ")")
	kind, bounds, opened := strings.Cut(text, "(")
	from, to, two := strings.Cut(bounds, ":")
	if !found || !opened || !two || !isOneOf(kind, "TC", "PR") || from == "" && to == "" || strings.Contains(bounds, "%") {
		return 0, 0, false
	}
	low, high = math.Inf(-1), math.Inf(1)
	for text, into := range map[string]*float64{from: &low, to: &high} {
		if x, err := strconv.ParseFloat(text, 64); err == nil {
			*into = x
		} else if text != "" {
			return 0, 0, false
		}
	}
	return low, high, true
}

// counted is how many values lie within bounds (TC), or how many percent of all (PR).
func (d datum) counted(name string) (float64, bool) {
	low, high, ok := spanned(name)
	if !ok || len(d.values) == 0 {
		return 0, false
	}
	n, all := 0.0, 0.0
	for i, v := range d.values {
		if all += d.counts[i]; v > low && v <= high {
			n += d.counts[i]
		}
	}
	if strings.HasPrefix(name, "PR") {
		n = 100 * n / all
	}
	return n, true
}
