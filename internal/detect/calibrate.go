package detect

import (
	"fmt"
	"math"
	"slices"
	"time"

	astern "github.com/astern-dev/astern"
)

// Calibration is a level set from the service's own quiet past.
type Calibration struct {
	// Level is what to give NewPanel: with it the false alarms of a watch are expected to be at most Expected.
	Level    float64 `json:"level"`
	Windows  int     `json:"windows"`  // watches that the past was cut into
	Alarms   int     `json:"alarms"`   // of them called worse at Level
	Expected float64 `json:"expected"` // (alarms+1)/(windows+1), for a watch like those
	Upper    float64 `json:"upper"`    // 95 % upper bound of the share of false alarms (Clopper-Pearson)
	// SetBy is when the watch began whose evidence the level lies just above; zero where the largest level is taken.
	SetBy time.Time `json:"set_by,omitzero"`
	// Problem says why the past can't tell; Level is the one that was wanted then.
	Problem string `json:"problem,omitempty"`
}

// Quiet is what one signal of two groups that ran the same revision said, in order.
type Quiet struct {
	Rule    Rule
	Samples []astern.Sample
}

// mostLevel is the largest level: one above would stop at mere traffic.
const mostLevel = 0.5

// Calibrate replays quiet past as if a deployment had happened at the beginning of each watch, both groups running the same
// revision, and returns the level of a panel of those signals that would have given at most wanted false alarms a watch. The
// guarantee is of another kind than the default's: it speaks of watches that are exchangeable with those of the past, and
// only of such. With n watches nothing below 1/(n+1) can be promised (the rank of the next among them; G. Shafer, V. Vovk,
// "A tutorial on conformal prediction", JMLR 9, 2008).
func Calibrate(signals []Quiet, watch time.Duration, wanted float64) Calibration {
	c := Calibration{Level: wanted, Upper: 1, Expected: 1}
	if !(wanted > 0 && wanted < 1) || watch <= 0 {
		c.Level, c.Problem = DefaultLevel, "a wanted share of false alarms between 0 and 1, and a watch, are needed"
		return c
	}
	values, begins := replayed(signals, watch)
	c.Windows = len(values)
	k := int(math.Floor(wanted*float64(len(values)+1)+1e-9)) - 1 // so many of the past may be alarms
	if k < 0 {
		c.Problem = fmt.Sprintf("%d watches of %s fit into the quiet past; %.0f are needed for %s false alarms", len(values), duration(watch.Seconds()), math.Ceil(1/wanted-1e-9)-1, percent(wanted))
		return c
	}
	all := slices.Clone(values)
	for range k { // the k largest may be alarms
		values[largest(values)] = -1
	}
	// Just above the largest that may not be one.
	most := largest(values)
	c.Level = math.Min(1/math.Nextafter(math.Max(values[most], 1/mostLevel), math.Inf(1)), mostLevel)
	if values[most] > 1/mostLevel {
		c.SetBy = begins[most]
	}
	for _, v := range all {
		if v >= 1/c.Level {
			c.Alarms++
		}
	}
	c.Expected = float64(c.Alarms+1) / float64(c.Windows+1)
	c.Upper = clopperPearson(c.Alarms, c.Windows, 0.05)
	return c
}

func largest(values []float64) int {
	most := 0
	for i, v := range values {
		if v > values[most] {
			most = i
		}
	}
	return most
}

// replayed returns of each watch that fits into the samples when it began, and the most that a panel's value can have been: the mean of the
// largest e-values of its signals. A signal that saw little of a watch is left out of it.
func replayed(signals []Quiet, watch time.Duration) (values []float64, begins []time.Time) {
	var first, last time.Time
	for _, s := range signals {
		if n := len(s.Samples); n > 0 {
			if first.IsZero() || s.Samples[0].From.Before(first) {
				first = s.Samples[0].From
			}
			if s.Samples[n-1].To.After(last) {
				last = s.Samples[n-1].To
			}
		}
	}
	past := PastSeconds * time.Second
	at := make([]int, len(signals)) // the first sample of this watch's past
	for from := first; !first.IsZero() && !from.Add(past+watch).After(last); from = from.Add(watch) {
		sum, saw := 0.0, 0.0
		for i, s := range signals {
			for at[i] < len(s.Samples) && s.Samples[at[i]].From.Before(from) {
				at[i]++
			}
			if most, ok := replay(s.Rule, s.Samples[at[i]:], from.Add(past), watch); ok {
				sum, saw = sum+most, saw+1
			}
		}
		if saw > 0 {
			values, begins = append(values, sum/saw), append(begins, from.Add(past))
		}
	}
	return values, begins
}

// replay returns the largest e-value of one watch; samples before it are its past.
func replay(r Rule, samples []astern.Sample, begin time.Time, watch time.Duration) (most float64, ok bool) {
	split := 0
	for split < len(samples) && samples[split].From.Before(begin) {
		split++
	}
	j, err := New(r, Measure(r, samples[:split]), begin, DefaultLevel, false)
	if err != nil {
		return 0, false
	}
	for _, s := range samples[split:] {
		if s.To.After(begin.Add(watch)) {
			break
		}
		j.Feed(s)
		most = math.Max(most, j.Value())
	}
	if j.Totals.Seconds <= watch.Seconds()/2 {
		return 0, false
	}
	return most, true
}

// clopperPearson is the upper bound of a share of which k of n were seen, exceeded with probability alpha.
func clopperPearson(k, n int, alpha float64) float64 {
	if k >= n {
		return 1
	}
	low, high := float64(k)/float64(n), 1.0
	for range 60 {
		p := (low + high) / 2
		sum, term := 0.0, math.Exp(float64(n)*math.Log1p(-p))
		for i := 0; i <= k; i++ {
			sum += term
			term *= p / (1 - p) * float64(n-i) / float64(i+1)
		}
		if sum > alpha {
			low = p
		} else {
			high = p
		}
	}
	return high
}
