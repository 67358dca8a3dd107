package detect

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	astern "github.com/astern-dev/astern"
)

// Choice is what a histogram can show of a latency rule.
type Choice struct {
	// Quantile lies above From and at most at To: between two bounds a histogram knows no more.
	From float64 `json:"from"`
	To   float64 `json:"to"`
	// Low and High are the bounds that are compared: the old revision's requests above Low with the new one's above High.
	Low  float64 `json:"low,omitempty"`
	High float64 `json:"high,omitempty"`
	// Problem says why the histogram can't show the margin, and Wanted names the bounds, in seconds, that it would need.
	Problem string    `json:"problem,omitempty"`
	Wanted  []float64 `json:"wanted,omitempty"`
}

// reach is how far below the quantile the compared bound may lie, as a factor. Further down it would be the latency of
// other requests than those that the rule speaks of.
const reach = 2

// Bounds chooses the bounds of a cumulative histogram that show whether a quantile grew by the rule's margin: Low at or below
// the old quantile, High above Low by more than a healthy release may differ and by no more than the margin. Without
// interpolation a pair is exact: if every request took at most High/Low times as long, no more of the new revision's take
// longer than High than of the old one's took longer than Low.
func Bounds(r Rule, histogram []astern.Bucket) Choice {
	n := len(histogram)
	if n == 0 || !(histogram[n-1].Count > 0) {
		return Choice{Problem: "the histogram is empty"}
	}
	all := histogram[n-1].Count
	c := Choice{To: math.Inf(1)}
	var bounds []float64
	before := 0.0
	for _, b := range histogram {
		if !(b.Count >= before) {
			return Choice{Problem: "the histogram is not cumulative"}
		}
		before = b.Count
		if b.Upper == nil || math.IsInf(*b.Upper, 0) || !(*b.Upper > 0) {
			continue
		}
		if len(bounds) > 0 && !(*b.Upper > bounds[len(bounds)-1]) {
			return Choice{Problem: "the bounds of the histogram do not grow"}
		}
		bounds = append(bounds, *b.Upper)
		if b.Count >= r.Quantile*all {
			c.To = math.Min(c.To, *b.Upper)
		} else {
			c.From = *b.Upper
		}
	}
	least, most := 1+edgeOfOthers*r.Margin, 1+r.Margin
	for i, low := range bounds {
		if low > c.From || low*reach < c.From {
			continue
		}
		for _, high := range bounds[i+1:] {
			if ratio := high / low; ratio >= least*(1-1e-9) && ratio <= most*(1+1e-9) {
				c.Low, c.High = low, high
			}
		}
	}
	if c.Low > 0 {
		if math.IsInf(c.To, 1) { // JSON knows no infinity
			c.To = 0
		}
		return c
	}
	c.Wanted = ladder(c, least, most)
	c.Problem = c.explain(r)
	if math.IsInf(c.To, 1) {
		c.To = 0
	}
	return c
}

// ladder is bounds around the quantile, so near to each other that a pair shows the margin wherever in between it lies.
func ladder(c Choice, least, most float64) []float64 {
	ratio := math.Sqrt(least * most)
	from, to := c.From, c.To
	switch {
	case math.IsInf(to, 1):
		to = from * 4
	case from == 0:
		from = to / 4
	}
	var out []float64
	for b := from; len(out) < 40; b *= ratio {
		v, _ := strconv.ParseFloat(strconv.FormatFloat(b, 'g', 3, 64), 64)
		out = append(out, v)
		if b > to {
			break
		}
	}
	return out
}

func (c Choice) explain(r Rule) string {
	where := fmt.Sprintf("lies between %s and %s", seconds(c.From), seconds(c.To))
	switch {
	case math.IsInf(c.To, 1):
		where = "lies above the last bound, " + seconds(c.From)
	case c.From == 0:
		where = "lies below the first bound, " + seconds(c.To)
	}
	texts := make([]string, len(c.Wanted))
	for i, w := range c.Wanted {
		texts[i] = strconv.FormatFloat(w, 'g', -1, 64)
	}
	return fmt.Sprintf("the buckets can't show %s more: the %s %s, and no two bounds there are %.0f to %.0f %% apart; buckets that would: %s (seconds), or a native histogram",
		percent(r.Margin), quantileName(r.Quantile), where, edgeOfOthers*r.Margin*100, r.Margin*100, strings.Join(texts, ", "))
}

func quantileName(q float64) string {
	return strconv.FormatFloat(q*100, 'g', 5, 64) + "th percentile"
}
