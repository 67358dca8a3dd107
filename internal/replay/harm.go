package replay

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/astern-dev/astern"
)

// knot is how many requests had failed by a moment, beyond the usual.
type knot struct {
	at  time.Time
	sum float64
}

// curve is what a fault had cost by when, the earliest knot first. Between two knots the failures lie evenly.
type curve []knot

// mostKnots is how many a curve has; with more, every other one goes.
const mostKnots = 4096

// add goes on with the curve; what has failed stays so.
func (c *curve) add(at time.Time, sum float64) {
	if n := len(*c); n > 0 {
		sum = max(sum, (*c)[n-1].sum)
		if !at.After((*c)[n-1].at) {
			(*c)[n-1].sum = sum
			return
		}
	}
	if *c = append(*c, knot{at, sum}); len(*c) > mostKnots {
		k := 0
		*c = slices.DeleteFunc(*c, func(knot) bool { k++; return k > 1 && k%2 == 0 && k <= mostKnots })
	}
}

// end ends the curve: what was counted last had failed by then.
func (c *curve) end(at time.Time) {
	if n := len(*c); n > 0 {
		sum := (*c)[n-1].sum
		*c = slices.DeleteFunc(*c, func(k knot) bool { return !k.at.Before(at) })
		*c = append(*c, knot{at, sum})
	}
}

// until is when it was counted last; zero when it never was.
func (c curve) until() time.Time {
	if len(c) == 0 {
		return time.Time{}
	}
	return c[len(c)-1].at
}

// at returns how many had failed by a moment.
func (c curve) at(t time.Time) float64 {
	if len(c) == 0 || t.Before(c[0].at) {
		return 0
	}
	for i, k := range c[1:] {
		if !t.After(k.at) {
			before := c[i]
			part := t.Sub(before.at).Seconds() / k.at.Sub(before.at).Seconds()
			return before.sum + part*(k.sum-before.sum)
		}
	}
	return c[len(c)-1].sum
}

// deed is a way that was, or would have been, taken by itself.
type deed struct {
	at      time.Time
	seconds float64 // how long it takes, as far as is known; 0 when it is not
}

func (d deed) effect() time.Time { return d.at.Add(time.Duration(d.seconds * float64(time.Second))) }

// harm is what is known of what a fault cost, and of what was and would have been done by itself.
type harm struct {
	curve      curve
	unknown    string // why the cost is not known
	was, would *deed
	// last is when the fault ended, or until when it is known where it had not.
	last  time.Time
	ended bool
}

// saving reckons what the other decision would have saved; nil when both did the same at the same moment.
func (h harm) saving() *astern.Saving {
	switch {
	case h.was == nil && h.would == nil:
		return nil
	case h.would == nil:
		return h.nobody()
	case h.was != nil && h.would.at.Equal(h.was.at):
		return nil
	case h.was != nil && h.would.at.After(h.was.at):
		return h.later()
	}
	return h.earlier()
}

// earlier: it would have been taken back before it was.
func (h harm) earlier() *astern.Saving {
	effect := h.would.effect()
	took := "as long as it took in the past"
	if h.would.seconds == 0 {
		took = "no time, for how long it takes is not known"
	}
	s := &astern.Saving{Because: fmt.Sprintf("the way is taken at %s and %s", clock(h.would.at), "takes "+took)}
	if !h.ended && !effect.Before(h.last) {
		s.Because = fmt.Sprintf("the fault lasts, and the way would have had its effect at %s", clock(effect))
		return s
	}
	if !effect.Before(h.last) {
		s.Seconds, s.Requests = new(float64), new(float64)
		s.Because = fmt.Sprintf("it was over at %s, before the way would have been taken to its end", clock(h.last))
		return s
	}
	seconds := h.last.Sub(effect).Seconds()
	s.Seconds = &seconds
	if !h.ended {
		s.Because += "; the fault lasts: so far"
	}
	if h.unknown != "" {
		s.Because += "; requests are unknown: " + h.unknown
		return s
	}
	if counted := h.curve.until(); !h.ended && counted.Before(h.last) {
		if !effect.Before(counted) {
			s.Because += fmt.Sprintf("; requests are unknown: nothing was counted since %s", clock(counted))
			return s
		}
		s.Because += fmt.Sprintf("; requests until %s, when they were counted last", clock(counted))
	}
	all := h.curve.at(h.last)
	saved := max(0, all-h.curve.at(effect))
	high := max(0, all-h.curve.at(h.would.at))
	s.Requests, s.High = &saved, &high
	s.Because += "; at most if it had its effect at once"
	if h.would.seconds > 0 {
		low := max(0, all-h.curve.at(effect.Add(effect.Sub(h.would.at))))
		s.Low = &low
		s.Because += ", at least if it took twice as long"
	}
	return s
}

// later: it would have been taken back after it was.
func (h harm) later() *astern.Saving {
	seconds := -h.would.at.Sub(h.was.at).Seconds()
	s := &astern.Saving{Seconds: &seconds, Because: fmt.Sprintf("it was done at %s, and would have been at %s", clock(h.was.at), clock(h.would.at))}
	rate, off, why := h.rate()
	if why != "" {
		s.Because += "; requests are unknown: " + why
		return s
	}
	requests, low, high := seconds*rate, seconds*(rate+off), seconds*max(0, rate-off)
	s.Requests, s.Low, s.High = &requests, &low, &high
	s.Because += "; at the rate that was measured until it was done"
	return s
}

// nobody: it would not have been taken back without a person.
func (h harm) nobody() *astern.Saving {
	s := &astern.Saving{Because: "a person would have had to do it, and how long that takes nobody knows"}
	rate, _, why := h.rate()
	if why != "" {
		s.Because += "; the rate is unknown: " + why
		return s
	}
	perMinute := rate * 60
	s.PerMinute = &perMinute
	s.Because += "; the rate is that until it was done"
	return s
}

// rate is how many requests failed each second until it was done, and how far off that may be: two standard deviations of
// independent failures.
func (h harm) rate() (rate, off float64, unknown string) {
	if h.unknown != "" {
		return 0, 0, h.unknown
	}
	if len(h.curve) == 0 {
		return 0, 0, "nothing was counted"
	}
	effect := h.was.effect()
	if effect.After(h.last) {
		effect = h.last
	}
	seconds, failed := effect.Sub(h.curve[0].at).Seconds(), h.curve.at(effect)
	if seconds <= 0 {
		return 0, 0, "no time lay between its beginning and its end"
	}
	return failed / seconds, 2 * math.Sqrt(failed) / seconds, ""
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }
