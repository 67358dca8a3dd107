package cloudwatch

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signal"
)

// An answer of which CloudWatch itself says that it is not whole, and one to something else, count nothing.
func TestAnswersInPart(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 30, 0, time.UTC)
	q := func(id string, status types.StatusCode, n int, more ...types.MessageData) types.MetricDataResult {
		r := types.MetricDataResult{Id: &id, StatusCode: status, Messages: more}
		for i := range n {
			r.Timestamps, r.Values = append(r.Timestamps, noon.Truncate(time.Hour).Add(-time.Duration(i+3)*time.Minute)), append(r.Values, 7)
		}
		return r
	}
	whole := q("q1", types.StatusCodeComplete, 2)
	for name, c := range map[string]struct {
		answer []types.MetricDataResult
		says   string
	}{
		"whole":            {[]types.MetricDataResult{q("q0", types.StatusCodeComplete, 2), whole}, ""},
		"in two pages":     {[]types.MetricDataResult{q("q0", types.StatusCodePartialData, 1), q("q0", types.StatusCodeComplete, 2), whole}, ""},
		"never whole":      {[]types.MetricDataResult{q("q0", types.StatusCodePartialData, 2), whole}, "not complete (PartialData)"},
		"an error of its":  {[]types.MetricDataResult{q("q0", types.StatusCodeInternalError, 2, types.MessageData{Value: aws.String("try\x1b again")}), whole}, "InternalError: try again"},
		"half left out":    {[]types.MetricDataResult{whole}, "not complete ()"},
		"not asked for":    {[]types.MetricDataResult{q("q7", types.StatusCodeComplete, 1)}, "not to what was asked"},
		"no name":          {[]types.MetricDataResult{{}}, "not to what was asked"},
		"times and no sum": {[]types.MetricDataResult{{Id: aws.String("q0"), Timestamps: []time.Time{noon}}}, "not to what was asked"},
	} {
		s := astern.CloudWatchSource{Namespace: "Shop", Total: "Calls", Bad: "Errors", PeriodSeconds: 60}
		asked := questionOf(0, signal.Ask{Signal: astern.Signal{CloudWatch: &s}, Members: []signal.Member{{Name: "v1"}}}, noon)
		b := batches([]*question{asked})[0]
		for _, x := range b.queries {
			x.points = map[int64]float64{}
		}
		status := make([]types.StatusCode, len(b.queries))
		var err error
		for _, r := range c.answer {
			if err == nil {
				err = b.take(r, status)
			}
		}
		if err == nil {
			err = b.complete(status)
		}
		for _, x := range b.queries {
			if err == nil {
				err = x.series.err
			}
		}
		switch {
		case c.says == "" && err == nil:
			if r, _, why := asked.arms[0].read(asked); why != "" || r.Total != 14 || r.Bad != 14 {
				t.Errorf("%s: %+v %s", name, r, why)
			}
		case c.says == "" || err == nil || !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A release of which every request takes longer than the last bound is counted as that, also where CloudWatch has no datapoint of a
// bound that nothing stayed below; where it has none of any, its values were published as sums, and nothing is counted.
func TestSlowerThanAllBounds(t *testing.T) {
	s := astern.CloudWatchSource{Namespace: "Shop", Latency: "Duration", Bounds: []float64{0.5, 1}, PeriodSeconds: 60}
	now := time.Date(2026, 11, 21, 12, 30, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		points []float64 // of the total, the bounds, and what is above; -1 for none
		counts []float64 // below each bound
		fails  bool
	}{
		"all slower":  {[]float64{100, -1, -1, 100}, []float64{0, 0}, false},
		"some slower": {[]float64{100, -1, 60, 40}, []float64{0, 60}, false},
		"none slower": {[]float64{100, 10, 100, -1}, []float64{10, 100}, false},
		"sums only":   {[]float64{100, -1, -1, -1}, nil, true},
	} {
		q := questionOf(0, signal.Ask{Signal: astern.Signal{CloudWatch: &s}, Members: []signal.Member{{Name: "v1"}}}, now)
		a := q.arms[0]
		if len(a.series) != len(c.points) {
			t.Fatalf("%d series are asked for", len(a.series))
		}
		for i, p := range c.points {
			a.series[i].points = map[int64]float64{}
			for at := q.from; p >= 0 && at.Before(q.to); at = at.Add(time.Minute) {
				a.series[i].points[at.Unix()] = p
			}
		}
		r, _, why := a.read(q)
		if (why != "") != c.fails {
			t.Errorf("%s: %s", name, why)
		}
		minutes := q.to.Sub(q.from).Minutes()
		for i, n := range c.counts {
			if len(r.Buckets) != 3 || r.Buckets[i].Count != n*minutes || r.Buckets[2].Count != 100*minutes {
				t.Errorf("%s: %+v", name, r.Buckets)
			}
		}
	}
}
