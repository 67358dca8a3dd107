package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/signal"
)

// Bounds of GetMetricData, and of what is read of it.
const (
	mostQueries = 500
	mostPages   = 100
	sideBySide  = 4
)

// series is one metric by one statistic.
type series struct {
	metric, statistic string
	points            map[int64]float64 // by the second at which a period begins
	err               error
}

// seriesOf returns what is asked of each member: the total, then what failed or what stayed below each bound.
func seriesOf(s astern.CloudWatchSource) []*series {
	if s.Latency == "" {
		out := []*series{{metric: s.Total, statistic: "Sum"}}
		if s.Bad != "" {
			out = append(out, &series{metric: s.Bad, statistic: "Sum"})
		}
		return out
	}
	out := []*series{{metric: s.Latency, statistic: "SampleCount"}}
	last := ""
	for _, b := range s.Bounds {
		if s.Milliseconds {
			b *= 1000
		}
		last = strconv.FormatFloat(b, 'f', -1, 64)
		out = append(out, &series{metric: s.Latency, statistic: "TC(:" + last + ")"})
	}
	// What took longer than all bounds is known from the others. It is asked for because a bound that nothing stayed below may have
	// no datapoint: where every request took longer, nothing else would tell that they were counted.
	return append(out, &series{metric: s.Latency, statistic: "TC(" + last + ":)"})
}

// batch is what one call asks for.
type batch struct {
	place    astern.AWSPlace
	from, to time.Time
	period   int64
	queries  []query
	differs  bool // the clocks do, in another way than was known
}

type query struct {
	of *question
	*arm
	*series
}

// batches puts questions about the same time and place together.
func batches(questions []*question) []*batch {
	type key struct {
		place    astern.AWSPlace
		from, to int64
		period   int64
	}
	open := map[key]*batch{}
	var out []*batch
	for _, q := range questions {
		for _, a := range q.arms {
			for _, s := range a.series {
				k := key{q.source.AWSPlace, q.from.Unix(), q.to.Unix(), q.source.PeriodSeconds}
				b := open[k]
				if b == nil || len(b.queries) == mostQueries {
					b = &batch{place: k.place, from: q.from, to: q.to, period: k.period}
					open[k] = b
					out = append(out, b)
				}
				b.queries = append(b.queries, query{q, a, s})
			}
		}
	}
	return out
}

// ask asks all questions, and reports whether the clocks differ in another way than was known.
func (r *Reader) ask(ctx context.Context, questions []*question) (differ bool) {
	all := batches(questions)
	var wait sync.WaitGroup
	slots := make(chan struct{}, sideBySide)
	for _, b := range all {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if err := r.call(ctx, b); err != nil {
				for _, q := range b.queries {
					q.err = err
				}
			}
		})
	}
	wait.Wait()
	for _, b := range all {
		differ = differ || b.differs
		for _, q := range b.queries {
			if q.of.err == nil {
				q.of.err = q.series.err
			}
		}
	}
	return differ
}

// call asks for one batch, page by page.
func (r *Reader) call(ctx context.Context, b *batch) error {
	session, err := r.accounts.Session(ctx, settings(b.place))
	if err != nil {
		return err
	}
	in := &sdk.GetMetricDataInput{StartTime: &b.from, EndTime: &b.to, ScanBy: types.ScanByTimestampAscending}
	for i, q := range b.queries {
		in.MetricDataQueries = append(in.MetricDataQueries, types.MetricDataQuery{Id: aws.String("q" + strconv.Itoa(i)), ReturnData: aws.Bool(true), MetricStat: &types.MetricStat{
			Stat: &q.statistic, Period: aws.Int32(int32(b.period)), Metric: &types.Metric{Namespace: &q.of.source.Namespace, MetricName: &q.metric, Dimensions: dimensionsOf(q.dimensions)}}})
		q.points = map[int64]float64{}
	}
	status := make([]types.StatusCode, len(b.queries))
	client := sdk.NewFromConfig(session.Read)
	for range mostPages {
		began := r.now()
		out, err := client.GetMetricData(ctx, in)
		if err != nil {
			return awsapi.Explain(err, fmt.Sprintf("asking CloudWatch in %s for %d metrics", session.Region, len(b.queries)), "")
		}
		b.differs = r.learn(b.place, began, r.now(), out.ResultMetadata) || b.differs
		for _, result := range out.MetricDataResults {
			if err := b.take(result, status); err != nil {
				return err
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return b.complete(status)
		}
	}
	return astern.Errorf(astern.Unavailable, "asking CloudWatch in %s: its answer has more than %d pages", session.Region, mostPages)
}

func dimensionsOf(all map[string]string) (out []types.Dimension) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, types.Dimension{Name: &name, Value: aws.String(all[name])})
	}
	return out
}

var errStrange = errors.New("its answer is not to what was asked")

// take sorts a page of one result in.
func (b *batch) take(result types.MetricDataResult, status []types.StatusCode) error {
	id, _ := strings.CutPrefix(aws.ToString(result.Id), "q")
	i, err := strconv.Atoi(id)
	if err != nil || i < 0 || i >= len(b.queries) || len(result.Timestamps) != len(result.Values) {
		return astern.Errorf(astern.Unavailable, "asking CloudWatch: %w", errStrange)
	}
	for k, at := range result.Timestamps {
		if !at.Before(b.from) && at.Before(b.to) && (at.Unix()-b.from.Unix())%b.period == 0 {
			b.queries[i].points[at.Unix()] = result.Values[k]
		}
	}
	status[i] = result.StatusCode
	if result.StatusCode == types.StatusCodeInternalError || result.StatusCode == types.StatusCodeForbidden {
		why := string(result.StatusCode)
		for _, m := range result.Messages {
			why += ": " + harmless(aws.ToString(m.Value), 100)
		}
		b.queries[i].series.err = astern.Errorf(astern.Unavailable, "asking CloudWatch for %s: %s", b.queries[i].metric, why)
	}
	return nil
}

// complete says which metric CloudWatch told only a part of.
func (b *batch) complete(status []types.StatusCode) error {
	for i, s := range status {
		if q := b.queries[i]; q.series.err == nil && s != types.StatusCodeComplete {
			q.series.err = astern.Errorf(astern.Unavailable, "asking CloudWatch for %s: its answer is not complete (%s)", q.metric, s)
		}
	}
	return nil
}

// read adds up the settled periods. A reading is of the end of the last one that counts; why says that there is none.
func (a *arm) read(q *question) (r astern.Reading, note, why string) {
	s := &q.source
	sums := make([]float64, len(a.series))
	var last time.Time
	left := 0
	for at := q.from; at.Before(q.to); at = at.Add(time.Duration(s.PeriodSeconds) * time.Second) {
		values, ok, hole := a.period(s, at.Unix())
		end := at.Add(time.Duration(s.PeriodSeconds) * time.Second)
		if hole {
			left++
			if q.to.Sub(end) < holes*time.Duration(s.PeriodSeconds)*time.Second {
				break
			}
		}
		if !ok {
			continue
		}
		for i, v := range values {
			sums[i] += v
		}
		last = end
	}
	if last.IsZero() {
		return r, "", a.nothing(q, left)
	}
	if left > holes {
		note = fmt.Sprintf("in %d periods %s has a datapoint and %s has none: they are counted nowhere", left, a.series[0].metric, a.series[1].metric)
	}
	return a.reading(q, last, sums), note, ""
}

// reading is what the sums come to at a moment.
func (a *arm) reading(q *question, at time.Time, sums []float64) astern.Reading {
	s := &q.source
	started := q.from
	if a.byVersion { // counts from then on, but something else: what is counted as a whole does not go on with it
		started = started.Add(-5 * time.Second)
	}
	r := astern.Reading{Member: a.member, At: at, Started: &started, Total: sums[0]}
	switch {
	case s.Latency != "":
		for i := range s.Bounds {
			r.Buckets = append(r.Buckets, astern.Bucket{Upper: &s.Bounds[i], Count: sums[i+1]})
		}
		r.Buckets = append(r.Buckets, astern.Bucket{Count: sums[0]})
	case s.Bad != "":
		r.Bad = sums[1]
	}
	return r
}

// period returns the values of one period; ok is false where nothing can be counted, and hole says that it is because the
// total has a datapoint and the rest has none.
func (a *arm) period(s *astern.CloudWatchSource, at int64) (values []float64, ok, hole bool) {
	values = make([]float64, len(a.series))
	any := false
	for i, x := range a.series {
		v, has := x.points[at]
		values[i] = v
		any = any || has && i > 0
		if i == 0 && !has && !s.ZeroTotal {
			return nil, false, false
		}
	}
	_, counted := a.series[0].points[at]
	switch {
	case len(a.series) == 1, any, s.Latency == "" && s.ZeroBad, !counted:
	default:
		return nil, false, true
	}
	if s.Latency != "" { // a bound that nothing stayed below has no datapoint
		for i := 1; i <= len(s.Bounds); i++ {
			if i > 1 {
				values[i] = max(values[i], values[i-1])
			}
			values[i] = min(values[i], values[0])
		}
	}
	return values, true, false
}

// nothing says why nothing can be counted.
func (a *arm) nothing(q *question, left int) string {
	what := q.source.Namespace + " " + a.series[0].metric
	if len(a.dimensions) > 0 {
		var all []string
		for _, name := range slices.Sorted(maps.Keys(a.dimensions)) {
			all = append(all, name+"="+a.dimensions[name])
		}
		what += " of " + strings.Join(all, ", ")
	}
	switch {
	case left > 0 && q.source.Latency != "":
		return fmt.Sprintf("CloudWatch can't count %s at the bounds: its values were published as sums only", what)
	case left > 0:
		return fmt.Sprintf("CloudWatch has datapoints of %s and none of %s: whether that is no failure only you know (bad_missing: zero)", what, q.source.Bad)
	}
	return fmt.Sprintf("CloudWatch has no datapoint of %s since %s", what, q.from.Format("15:04:05Z"))
}

// Past returns what one signal counted at the end of each period between two moments. Where no dimension tells members apart,
// it is that of all together and told of the first: which revision ran then CloudWatch does not know.
func (r *Reader) Past(ctx context.Context, ask signal.Ask, from, to time.Time) ([]signal.Round, error) {
	s := *ask.Signal.CloudWatch
	period := time.Duration(s.PeriodSeconds) * time.Second
	settled := r.now().Add(r.ahead(s.AWSPlace)).Add(-time.Duration(s.SettleSeconds) * time.Second)
	if to.After(settled) {
		to = settled
	}
	q := &question{source: s, from: from.Truncate(period).UTC(), to: to.Truncate(period).UTC()}
	if q.to.Sub(q.from)/period > 100_000 || len(ask.Members) == 0 || !q.from.Before(q.to) {
		return nil, astern.Errorf(astern.Invalid, "reading the past of signal %s from %s to %s: that is no or too much time, or it has no members", ask.Signal.Name,
			from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	if q.arms, q.failed = armsOf(s, ask.Members); len(q.failed) > 0 || s.Version != "" {
		q.arms, _ = armsOf(s, ask.Members[:1])
	}
	if r.ask(ctx, []*question{q}); q.err != nil {
		return nil, q.err
	}
	return q.rounds(), nil
}

// rounds returns what had been counted by the end of each period. What was a gap long ago stays one.
func (q *question) rounds() []signal.Round {
	period := time.Duration(q.source.PeriodSeconds) * time.Second
	sums, last := make([][]float64, len(q.arms)), make([]time.Time, len(q.arms))
	for i, a := range q.arms {
		sums[i] = make([]float64, len(a.series))
	}
	var out []signal.Round
	for at := q.from; at.Before(q.to); at = at.Add(period) {
		end := at.Add(period)
		answer := signal.Answer{Now: end}
		for i, a := range q.arms {
			if values, ok, _ := a.period(&q.source, at.Unix()); ok {
				for k, v := range values {
					sums[i][k] += v
				}
				last[i] = end
			}
			if !last[i].IsZero() {
				answer.Readings = append(answer.Readings, a.reading(q, last[i], sums[i]))
			}
		}
		out = append(out, signal.Round{At: end, Answer: answer})
	}
	return out
}
