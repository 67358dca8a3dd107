package replay

import (
	"math"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

func minute(m float64) time.Time { return now.Add(time.Duration(m * float64(time.Minute))) }

// line60 is a fault in which ten requests fail each minute, for an hour.
func line60() curve { return curve{{minute(0), 0}, {minute(60), 600}} }

// TestSaving: what another decision would have saved, at ten failed requests each minute.
func TestSaving(t *testing.T) {
	did := func(m, seconds float64) *deed { return &deed{minute(m), seconds} }
	ended := harm{curve: line60(), last: minute(60), ended: true}
	for name, c := range map[string]struct {
		change                       func(h *harm)
		seconds, requests, low, high float64 // NaN is unknown
		perMinute                    float64
		because                      string
	}{
		"at once":                 {func(h *harm) { h.would = did(10, 0) }, 3000, 500, math.NaN(), 500, math.NaN(), "not known"},
		"in two minutes":          {func(h *harm) { h.would = did(10, 120) }, 2880, 480, 460, 500, math.NaN(), "took twice as long"},
		"sooner than it did":      {func(h *harm) { h.would, h.was = did(10, 60), did(50, 60) }, 2940, 490, 480, 500, math.NaN(), "at least"},
		"when it was nearly over": {func(h *harm) { h.would = did(59, 120) }, 0, 0, math.NaN(), math.NaN(), math.NaN(), "it was over at 04:00:00Z"},
		"later":                   {func(h *harm) { h.was, h.would = did(20, 0), did(30, 0) }, -600, -100, -100 - 2*math.Sqrt(200)/2, -100 + 2*math.Sqrt(200)/2, math.NaN(), "would have been at 03:30:00Z"},
		"not by itself":           {func(h *harm) { h.was = did(20, 0) }, math.NaN(), math.NaN(), math.NaN(), math.NaN(), 10, "nobody knows"},
		"lasts, and was counted for half an hour": {func(h *harm) {
			h.would, h.ended, h.curve = did(10, 60), false, curve{{minute(0), 0}, {minute(30), 300}}
		}, 2940, 190, 180, 200, math.NaN(), "requests until 03:30:00Z"},
		"lasts, and was counted before it": {func(h *harm) { h.would, h.ended, h.curve = did(10, 60), false, curve{{minute(0), 0}, {minute(5), 50}} }, 2940, math.NaN(), math.NaN(), math.NaN(), math.NaN(), "nothing was counted since 03:05:00Z"},
		"lasts, and is just noticed":       {func(h *harm) { h.would, h.ended = did(59, 120), false }, math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN(), "would have had its effect at 04:01:00Z"},
		"lasts":                            {func(h *harm) { h.would, h.ended = did(10, 60), false }, 2940, 490, 480, 500, math.NaN(), "so far"},
		"not counted":                      {func(h *harm) { h.would, h.unknown = did(10, 60), "no signal counts" }, 2940, math.NaN(), math.NaN(), math.NaN(), math.NaN(), "unknown: no signal counts"},
		"not by itself, unknown":           {func(h *harm) { h.was, h.curve = did(20, 0), nil }, math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN(), "nothing was counted"},
	} {
		h := ended
		c.change(&h)
		s := h.saving()
		if s == nil || !strings.Contains(s.Because, c.because) {
			t.Errorf("%s: %+v", name, s)
			continue
		}
		for i, x := range []struct {
			got  *float64
			want float64
		}{{s.Seconds, c.seconds}, {s.Requests, c.requests}, {s.Low, c.low}, {s.High, c.high}, {s.PerMinute, c.perMinute}} {
			if (x.got == nil) != math.IsNaN(x.want) || x.got != nil && math.Abs(*x.got-x.want) > 1e-6 {
				t.Errorf("%s: figure %d of %+v, want %v", name, i, s, x.want)
			}
		}
	}
	for _, h := range []harm{ended, {curve: line60(), last: minute(60), was: did(10, 0), would: did(10, 0)}} {
		if s := h.saving(); s != nil {
			t.Errorf("nothing differs: %+v", s)
		}
	}
}

// TestCurve: what has failed stays so; between two knots it lies evenly; at its end all has failed; it stays bounded.
func TestCurve(t *testing.T) {
	var c curve
	for m, sum := range []float64{0, 10, 5, 40} { // counted anew, a little less
		c.add(minute(float64(m)), sum)
	}
	c.add(minute(3), 50)
	for m, want := range map[float64]float64{-1: 0, 0: 0, 0.5: 5, 1: 10, 2: 10, 2.5: 30, 3: 50, 9: 50} {
		if got := c.at(minute(m)); got != want {
			t.Errorf("after %v minutes %v, want %v", m, got, want)
		}
	}
	c.end(minute(2))
	if c.at(minute(2)) != 50 || c.at(minute(1)) != 10 || c.at(minute(5)) != 50 {
		t.Errorf("%v", c)
	}
	c = nil
	for m := range 20_000 {
		c.add(minute(float64(m)), 7*float64(m))
	}
	if len(c) > mostKnots || c.at(minute(19_999)) != 7*19_999 || c.at(minute(0)) != 0 || math.Abs(c.at(minute(1234))-7*1234) > 1e-6 {
		t.Errorf("%d knots", len(c))
	}
}
