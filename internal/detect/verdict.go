package detect

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// State is what a judge knows.
type State string

// The states of a verdict.
const (
	Worse    State = "worse"     // by more than chance, at the stated level
	NotWorse State = "not worse" // the bounds lie below what matters
	Unknown  State = "unknown"   // neither yet, or no data
)

// Verdict is what a judge says at a moment. Effect, Low and High are the difference between the revisions since the
// deployment, a larger one being worse: the share of requests that fail more, or of requests that are slower than a bound
// more, or of a count that is gone. Low and High hold at all times at once with 95 %; they are for the graph and for "not
// worse", while "worse" comes from the e-value.
type Verdict struct {
	Signal string    `json:"signal"`
	State  State     `json:"state"`
	At     time.Time `json:"at"` // the end of the last sample that was evidence
	Effect float64   `json:"effect"`
	Low    float64   `json:"low"`
	High   float64   `json:"high"`
	Margin float64   `json:"margin"` // what matters, in the unit of Effect
	EValue float64   `json:"e_value"`
	Level  float64   `json:"level"`
	// Since is since when the new revision seems to be worse, and Now the difference from then on: chosen after looking, so
	// for people to read and without a guarantee.
	Since time.Time `json:"since,omitzero"`
	Now   float64   `json:"now"`
	// Decided is when the state became worse.
	Decided time.Time `json:"decided,omitzero"`
	// Missing says why the last sample was no evidence. A state of not worse is never given then.
	Missing string `json:"missing,omitempty"`
	// NeedSeconds and NeedRequests are how long, with the traffic seen so far, a regression of just what matters would
	// typically take to be found; 0 when that can't be said.
	NeedSeconds  float64 `json:"need_seconds,omitempty"`
	NeedRequests float64 `json:"need_requests,omitempty"`
	// Sentence says all that in words, with the numbers that a person can check.
	Sentence string `json:"sentence"`
	// Guarantee says what the level means here, and how much weaker it is than with a control.
	Guarantee string `json:"guarantee"`
}

// Verdict returns what is known now.
func (j *Judge) Verdict() Verdict {
	v := Verdict{Signal: j.Rule.Name, State: Unknown, At: j.Counted, Margin: j.Rule.Margin, EValue: j.Value(), Level: j.Level,
		Decided: j.Decided, Missing: j.Missing, Guarantee: j.guarantee(j.Level)}
	few := 3 * j.phi()
	effect, low, high := j.Range.bounds(few)
	v.Effect, v.Low, v.High, v.Margin = j.inUnits(effect), j.inUnits(low), j.inUnits(high), j.marginInUnits()
	since, from := j.Onset.best()
	if v.EValue > 1 || j.Worse() {
		v.Since = j.Begin.Add(time.Duration(since * float64(time.Second)))
		v.Now = j.difference(j.Totals.less(from))
	}
	v.NeedSeconds, v.NeedRequests = j.need()
	switch {
	case j.Worse():
		v.State = Worse
	case j.Missing == "" && j.Range.Weight > 0 && v.High < v.Margin:
		v.State = NotWorse
	}
	v.Sentence = j.sentence(v, j.Totals.less(from))
	return v
}

// inUnits turns a difference of the lanes' rates into what people read.
func (j *Judge) inUnits(d float64) float64 {
	switch j.Rule.form() {
	case formYield: // (1-m) control - candidate, turned: what part of the yield is gone
		y := math.Max(1-j.UsualX/j.UsualN, 1e-6)
		if j.Alone {
			return d / y
		}
		k := 1 + j.Rule.target().slope
		return 1 - (1-d/y)/k
	case formCount:
		if n := j.Totals.OldN + j.Totals.NewN; n > 0 {
			s := j.Totals.Share / n // the new group's part by members
			left := math.Max(s-d, 0) / math.Max(1-s+d, 1e-9) * (1 - s) / s
			return 1 - left
		}
	}
	return d
}

func (j *Judge) marginInUnits() float64 {
	if j.Rule.form() == formSlower { // the margin lies between the two bounds
		return 0
	}
	return j.Rule.Margin
}

// difference of the rates of counts, in the unit of Effect.
func (j *Judge) difference(t trial6) float64 {
	was, is := j.rates(t)
	switch j.Rule.form() {
	case formYield:
		if was >= 1 {
			return 0
		}
		return 1 - (1-is)/(1-was)
	case formCount:
		n := t.OldN + t.NewN
		if t.OldN == 0 || n == 0 || t.Share == 0 {
			return 0
		}
		s := t.Share / n
		return 1 - t.NewN/t.OldN*(1-s)/s
	}
	return is - was
}

// rates of the old and of the new revision.
func (j *Judge) rates(t trial6) (was, is float64) {
	was = j.Past.Rate
	if !j.Alone && t.OldN > 0 {
		was = t.OldX / t.OldN
	}
	if t.NewN > 0 {
		is = t.NewX / t.NewN
	}
	return was, is
}

func (t trial6) less(o trial6) trial6 {
	return trial6{t.OldN - o.OldN, t.OldX - o.OldX, t.NewN - o.NewN, t.NewX - o.NewX, t.Share - o.Share, t.Seconds - o.Seconds}
}

// need is how long a regression of just the margin would take to be found from its beginning with the deployment: what the
// decision costs, over what each second of such traffic brings at the best bet. Halving the stakes between lanes and
// alternatives costs a constant.
func (j *Judge) need() (seconds, requests float64) {
	t := j.Totals
	n := t.OldN + t.NewN
	if t.Seconds <= 0 || n <= 0 || t.NewN == 0 {
		return 0, 0
	}
	null := j.Rule.edge()
	gain := 0.0
	switch was, _ := j.rates(t); {
	case j.Alone:
		edge := j.edgeAlone()
		gain = t.NewN * divergence(math.Min(edge+j.Rule.Margin, 0.98), edge)
	case j.Rule.form() == formCount:
		p := func(drop float64) float64 { s := t.Share / n; return (1 - s) / ((1 - s) + s*(1-drop)) }
		gain = n * divergence(p(j.Rule.Margin), p(edgeOfCounts*j.Rule.Margin))
	case j.Rule.form() == formYield:
		y := math.Min(math.Max(1-was, 1e-6), 1-1e-6)
		gain = gained(bet{y * (1 - j.Rule.Margin), y}, t.NewN, t.OldN, null)
	case j.Rule.form() == formSlower: // a quantile beyond the margin: its share above the bound is doubled, say
		gain = gained(bet{was, math.Min(2*was, 0.98)}, t.OldN, t.NewN, null)
	default:
		gain = gained(bet{math.Max(was, 1e-6), math.Min(was+j.Rule.Margin, 0.98)}, t.OldN, t.NewN, null)
	}
	if !(gain > 0) {
		return 0, 0
	}
	cost := (math.Log(1/j.Level) + math.Log(2*alternatives/stakeAtOnce)) * j.phi()
	seconds = cost / (gain / t.Seconds)
	return seconds, seconds * n / t.Seconds
}

func gained(b bet, nA, nB float64, null line) float64 {
	if b.b <= null.at(b.a) || b.a <= 0 || b.b >= 1 {
		return 0
	}
	s := project(b, nA/(nA+nB), null, 0)
	return nA*divergence(b.a, s) + nB*divergence(b.b, null.at(s))
}

// divergence is KL(p||q) of a Bernoulli variable.
func divergence(p, q float64) float64 {
	return p*math.Log(p/q) + (1-p)*math.Log((1-p)/(1-q))
}

// guarantee says what the level means, in words.
func (j *Judge) guarantee(level float64) string {
	chance := "once in " + count(1/level) + " watches"
	text := fmt.Sprintf("a healthy release is called worse less than %s, however long it is watched, if the two groups go on to differ by no more than they did before the deployment", chance)
	switch {
	case j.Alone:
		text = fmt.Sprintf("weaker without a control: a fault from outside that is worse than anything in the %s before the deployment looks the same; if faults come as often as then, that is up to %s for each hour of watching, beside %s",
			duration(j.Past.Seconds), percent(3600/(3600+math.Max(j.Past.Seconds, 1))), chance)
	case j.Past.Phi <= 0:
		text += fmt.Sprintf("; weaker here: how much they differ could not be measured, and %.0f times the variance of independent requests is assumed", unmeasured)
	case !j.Past.Split:
		text += "; how much they differ was taken from one group against itself a moment later, which decides more slowly than needed"
	}
	return text
}

// sentence says a verdict in words. now is what was counted since the regression seems to have begun.
func (j *Judge) sentence(v Verdict, now trial6) string {
	switch {
	case v.State == Worse:
		return fmt.Sprintf("worse: since %s %s; that is %s; the margin is %s%s", clock(v.Since), j.numbers(now), j.amount(v.Now), j.amountOf(j.Rule.Margin), lastCounted(v))
	case j.Missing != "":
		return "no data: " + j.Missing + lastCounted(v)
	case j.Totals.Seconds == 0:
		return "unknown: nothing was counted yet"
	case v.State == NotWorse:
		return fmt.Sprintf("not worse: since the deployment %s; at most %s; the margin is %s", j.numbers(j.Totals), j.amount(v.High), j.amountOf(j.Rule.Margin))
	}
	text := fmt.Sprintf("unknown: since the deployment %s; between %s and %s; the margin is %s", j.numbers(j.Totals), j.amount(v.Low), j.amount(v.High), j.amountOf(j.Rule.Margin))
	if v.NeedSeconds > 0 {
		text += fmt.Sprintf("; to find that takes about %s, or %s %s", duration(v.NeedSeconds), count(v.NeedRequests), j.Rule.each())
	}
	return text
}

func lastCounted(v Verdict) string {
	switch {
	case v.Missing == "":
		return ""
	case v.At.IsZero():
		return "; nothing was counted yet"
	}
	return "; last counted at " + clock(v.At)
}

// numbers are the counts that a verdict rests on.
func (j *Judge) numbers(t trial6) string {
	if j.Rule.form() == formCount {
		return fmt.Sprintf("%s on the new revision and %s on the old one, where %s and %s would be even by members", count(t.NewN), count(t.OldN), count(t.Share), count(t.OldN+t.NewN-t.Share))
	}
	was, is := j.rates(t)
	did, more := "failed", ""
	if j.Rule.form() == formSlower {
		did, more = "took longer than "+seconds(j.Past.High), "took longer than "+seconds(j.Past.Low)+" "
	}
	text := fmt.Sprintf("%s of %s %s %s on the new revision (%s)", count(t.NewX), count(t.NewN), j.Rule.each(), did, percent(is))
	if j.Alone {
		return text + fmt.Sprintf(" and %s of %s %sin the %s before (%s)", count(j.Past.Rate*j.Past.Chances), count(j.Past.Chances), more, duration(j.Past.Seconds), percent(was))
	}
	return text + fmt.Sprintf(" and %s of %s %son the old one (%s)", count(t.OldX), count(t.OldN), more, percent(was))
}

// amount says a difference in the unit of the rule.
func (j *Judge) amount(d float64) string {
	word := "more"
	if d < 0 {
		word = "fewer"
	}
	switch j.Rule.form() {
	case formErrors:
		return fmt.Sprintf("%s points %s", short(math.Abs(d)*100), word)
	case formSlower:
		return fmt.Sprintf("%s points %s that are slow", short(math.Abs(d)*100), word)
	}
	if d < 0 {
		return percent(-d) + " more"
	}
	return percent(d) + " fewer"
}

func (j *Judge) amountOf(margin float64) string {
	switch j.Rule.form() {
	case formErrors:
		return short(margin*100) + " points"
	case formSlower:
		return percent(margin) + " slower"
	}
	return percent(margin) + " fewer"
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

func percent(v float64) string { return short(v*100) + " %" }

// short writes a number with three digits.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a == 0 || a >= 0.01:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// count writes a whole number with commas.
func count(v float64) string {
	if !(math.Abs(v) < 1e15) {
		return "very many"
	}
	digits := strconv.FormatFloat(math.Round(math.Abs(v)), 'f', 0, 64)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func seconds(v float64) string {
	switch {
	case v < 1:
		return strconv.FormatFloat(v*1000, 'g', 4, 64) + " ms"
	default:
		return strconv.FormatFloat(v, 'g', 4, 64) + " s"
	}
}

func duration(s float64) string {
	switch {
	case s < 90:
		return strconv.FormatFloat(math.Round(s), 'f', 0, 64) + " s"
	case s < 90*60:
		return strconv.FormatFloat(math.Round(s/60), 'f', 0, 64) + " min"
	case s < 48*3600:
		return strconv.FormatFloat(math.Round(s/3600), 'f', 0, 64) + " h"
	}
	return strconv.FormatFloat(math.Round(s/86400), 'f', 0, 64) + " days"
}
