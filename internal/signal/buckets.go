package signal

import (
	"maps"
	"math"
	"slices"

	"github.com/astern-dev/astern"
)

// Interval is one bucket of a native histogram: what lies above Lower and at most at Upper.
type Interval struct {
	Lower, Upper, Count float64
}

// Cumulate turns the buckets of a native histogram into cumulative ones. Both ends of each are listed, so that a reading
// with another resolution or other empty buckets is compared at no bound but those where both are exact (AtMost).
func Cumulate(intervals []Interval, total float64) []astern.Bucket {
	slices.SortFunc(intervals, func(a, b Interval) int {
		switch {
		case a.Lower < b.Lower:
			return -1
		case a.Lower > b.Lower:
			return 1
		}
		return 0
	})
	bounds := make([]float64, 0, 2*len(intervals)) // the buckets point into it
	out := make([]astern.Bucket, 0, 2*len(intervals)+1)
	sum := 0.0
	add := func(x float64) {
		if math.IsInf(x, 0) {
			return
		}
		bounds = append(bounds, x)
		out = append(out, astern.Bucket{Upper: &bounds[len(bounds)-1], Count: sum})
	}
	for _, i := range intervals {
		if i.Count == 0 {
			continue
		}
		// The zero bucket may reach into the first one above it: that one begins where it ends.
		if n := len(out); n == 0 || *out[n-1].Upper < i.Lower {
			add(i.Lower)
		} else if i.Upper <= *out[n-1].Upper {
			sum += i.Count
			out[n-1].Count = sum
			continue
		}
		sum += i.Count
		add(i.Upper)
	}
	return append(out, astern.Bucket{Count: total})
}

func upper(b astern.Bucket) float64 {
	if b.Upper == nil {
		return math.Inf(1)
	}
	return *b.Upper
}

func sameBounds(a, b []astern.Bucket) bool {
	return slices.EqualFunc(a, b, func(x, y astern.Bucket) bool { return upper(x) == upper(y) })
}

// combine makes op(a, b) at every bound at which both are known. Both end at +Inf, which is always known.
func combine(a, b []astern.Bucket, op func(x, y float64) float64) []astern.Bucket {
	if sameBounds(a, b) {
		out := slices.Clone(a)
		for i := range out {
			out[i].Count = op(a[i].Count, b[i].Count)
		}
		return out
	}
	out := make([]astern.Bucket, 0, len(a)+len(b))
	i, j, x0, y0 := 0, 0, 0.0, 0.0
	for i < len(a) && j < len(b) {
		ua, ub := upper(a[i]), upper(b[j])
		switch {
		case ua == ub:
			x0, y0 = a[i].Count, b[j].Count
			out = append(out, astern.Bucket{Upper: a[i].Upper, Count: op(x0, y0)})
			i, j = i+1, j+1
		case ua < ub:
			x0 = a[i].Count
			if b[j].Count == y0 { // nothing of b lies around this bound
				out = append(out, astern.Bucket{Upper: a[i].Upper, Count: op(x0, y0)})
			}
			i++
		default:
			y0 = b[j].Count
			if a[i].Count == x0 {
				out = append(out, astern.Bucket{Upper: b[j].Upper, Count: op(x0, y0)})
			}
			j++
		}
	}
	return out
}

func minus(to, from []astern.Bucket) []astern.Bucket {
	return combine(to, from, func(x, y float64) float64 { return x - y })
}

// Add adds two histograms up, at the bounds at which both are known.
func Add(a, b []astern.Bucket) []astern.Bucket { return plus(a, b) }

// Classic returns the buckets of a classic histogram from its counts by upper bound.
func Classic(counts map[float64]float64) []astern.Bucket {
	bounds := slices.Sorted(maps.Keys(counts))
	out := make([]astern.Bucket, len(bounds))
	for i, x := range bounds {
		out[i].Count = counts[x]
		if !math.IsInf(x, 1) {
			out[i].Upper = &bounds[i]
		}
	}
	return out
}

func plus(a, b []astern.Bucket) []astern.Bucket {
	return combine(a, b, func(x, y float64) float64 { return x + y })
}

// badBuckets says what is wrong with cumulative buckets; "" when nothing is.
func badBuckets(bs []astern.Bucket) string {
	switch {
	case len(bs) > 2*MaxBuckets+1: // both ends of those of a native one
		return "its histogram has too many buckets"
	case len(bs) == 0 || bs[len(bs)-1].Upper != nil:
		return "its histogram has no bucket +Inf"
	}
	for i, b := range bs {
		switch {
		case !countable(b.Count):
			return "its histogram counts what is no number of requests"
		case math.IsNaN(upper(b)), i > 0 && upper(b) <= upper(bs[i-1]):
			return "the bounds of its histogram do not rise"
		case i > 0 && b.Count < bs[i-1].Count:
			return "its histogram counts fewer up to a higher bound"
		}
	}
	return ""
}

// countable reports whether x can be a count: 2^53 is where floats stop to tell one more.
func countable(x float64) bool { return x >= 0 && x <= 1<<53 }
