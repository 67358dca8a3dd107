package signal

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/astern-dev/astern"
)

// sameStart is by how much two tellings of one start may differ: Linux computes it from the time since boot, which moves
// when the clock is set.
const sameStart = 2 * time.Second

// Invalid says why a reading of a source whose clock says now, and which is always late by lag, can't be counted; "" when it can.
func Invalid(r *astern.Reading, now time.Time, lag time.Duration) string {
	switch {
	case r.At.Sub(now) > MaxAhead:
		return fmt.Sprintf("its reading is of a time that is %s ahead of its source's clock", short(r.At.Sub(now)))
	case now.Sub(r.At) > MaxAge+lag && !r.At.IsZero():
		return fmt.Sprintf("its newest reading is %s old", short(now.Sub(r.At)))
	}
	return invalid(r)
}

// invalid says why a reading can't be counted; "" when it can.
func invalid(r *astern.Reading) string {
	for _, x := range []float64{r.Total, r.Bad} {
		switch {
		case math.IsNaN(x):
			return "it counts NaN"
		case math.IsInf(x, 0):
			return "it counts without end"
		case !countable(x):
			return "it counts what is no number of requests"
		}
	}
	if r.At.IsZero() {
		return "its reading has no time"
	}
	if r.Buckets != nil {
		return badBuckets(r.Buckets)
	}
	return ""
}

// restarted says why the later reading does not go on where the earlier one stopped; "" when it does.
func restarted(earlier, now astern.Reading) string {
	if earlier.Started != nil && now.Started != nil && now.Started.Sub(*earlier.Started).Abs() > sameStart {
		return "it restarted"
	}
	if (earlier.Buckets == nil) != (now.Buckets == nil) {
		return "its histogram came or went"
	}
	back := now.Total < earlier.Total || now.Bad < earlier.Bad
	if !back && now.Buckets != nil {
		last := 0.0
		for _, b := range minus(now.Buckets, earlier.Buckets) {
			back = back || b.Count < last // of what came in between no fewer lie below a higher bound
			last = b.Count
		}
	}
	if back {
		return "its counters went back: it restarted"
	}
	return ""
}

func sameReading(a, b astern.Reading) bool {
	return a.Total == b.Total && a.Bad == b.Bad && sameBounds(a.Buckets, b.Buckets) &&
		slices.EqualFunc(a.Buckets, b.Buckets, func(x, y astern.Bucket) bool { return x.Count == y.Count })
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func short(d time.Duration) time.Duration { return d.Round(time.Second) }

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Round is the answer of a moment in the past.
type Round struct {
	At     time.Time
	Answer Answer
}

// Replay makes samples out of the past. The groups are those at each moment.
func Replay(rounds []Round, groups func(at time.Time) Groups) []astern.Sample {
	var m Meter
	var out []astern.Sample
	for _, r := range rounds {
		if s, ok := m.Add(r.At, r.Answer, groups(r.At)); ok {
			out = append(out, s)
		}
	}
	return out
}
