package detect

import (
	"fmt"
	"math"
	"time"

	astern "github.com/astern-dev/astern"
)

// Panel judges all signals of a component under one probability of a false alarm. The mean of e-values is an e-value
// however the signals depend on each other (V. Vovk, R. Wang, "E-values: calibration, combination and applications",
// Ann. Statist. 49, 2021), so the mean of the judges is held against 1/level. It is never slower than a share of the level
// for each signal: where one judge alone reaches its share, the mean reaches the whole. Plain data, as Judge is.
type Panel struct {
	Level   float64   `json:"level"`
	Judges  []*Judge  `json:"judges"`
	Decided time.Time `json:"decided"`
}

// NewPanel joins judges that were made for the same deployment. Level is for all of them together, DefaultLevel when 0; the
// level of each becomes its share. Errors (invalid): no judge, a level that is none.
func NewPanel(level float64, judges ...*Judge) (*Panel, error) {
	if level == 0 {
		level = DefaultLevel
	}
	if len(judges) == 0 || !(level > 0 && level < 1) {
		return nil, astern.Errorf(astern.Invalid, "judging %d signals with a false-alarm probability of %v", len(judges), level)
	}
	for _, j := range judges {
		j.Level = level / float64(len(judges))
	}
	return &Panel{Level: level, Judges: judges}, nil
}

// Feed shows one signal's judge its next sample, and returns whether the new revision is now known to be worse. Errors
// (not found): no judge of that signal.
func (p *Panel) Feed(signal string, s astern.Sample) (bool, error) {
	for _, j := range p.Judges {
		if j.Rule.Name != signal {
			continue
		}
		j.Feed(s)
		if p.Decided.IsZero() && p.Value() >= 1/p.Level {
			p.Decided = j.Last
		}
		return p.Worse(), nil
	}
	return p.Worse(), astern.Errorf(astern.NotFound, "judging signal %q: no judge of it was made", signal)
}

// Value is the mean of the judges' e-values.
func (p *Panel) Value() float64 {
	sum := 0.0
	for _, j := range p.Judges {
		sum += j.Value()
	}
	return sum / float64(len(p.Judges))
}

// Worse says whether the new revision was found worse. That stays so.
func (p *Panel) Worse() bool { return !p.Decided.IsZero() }

// Overall is what a panel says: its state, the signal that says most, and the verdict of each.
type Overall struct {
	State    State     `json:"state"`
	Blamed   string    `json:"blamed,omitempty"` // the signal with the largest e-value, when worse
	EValue   float64   `json:"e_value"`
	Level    float64   `json:"level"`
	Decided  time.Time `json:"decided,omitzero"`
	Signals  []Verdict `json:"signals"`
	Sentence string    `json:"sentence"`
}

// Verdict returns what is known now. Not worse wants each signal to be not worse; one without data makes it unknown.
func (p *Panel) Verdict() Overall {
	o := Overall{State: NotWorse, EValue: p.Value(), Level: p.Level, Decided: p.Decided}
	most, unknown := 0, -1
	for i, j := range p.Judges {
		v := j.Verdict()
		o.Signals = append(o.Signals, v)
		if v.EValue > o.Signals[most].EValue {
			most = i
		}
		if v.State == Unknown && (unknown < 0 || v.Missing != "" && o.Signals[unknown].Missing == "") {
			unknown = i
		}
	}
	switch {
	case p.Worse():
		o.State, o.Blamed = Worse, o.Signals[most].Signal
		v := &o.Signals[most]
		if v.State != Worse { // several signals together reached what none did alone
			v.State, v.Decided = Worse, p.Decided
			v.Sentence = p.Judges[most].saying(*v)
		}
		o.Sentence = o.Blamed + ": " + v.Sentence
	case unknown >= 0:
		o.State = Unknown
		o.Sentence = o.Signals[unknown].Signal + ": " + o.Signals[unknown].Sentence
	default:
		o.Sentence = fmt.Sprintf("not worse: %d of %d signals lie within what matters", len(p.Judges), len(p.Judges))
	}
	return o
}

// saying words a verdict again.
func (j *Judge) saying(v Verdict) string {
	since, from := j.Onset.best()
	now := j.Totals.less(from)
	v.Since = j.Begin.Add(time.Duration(since * float64(time.Second)))
	v.Now = j.difference(now)
	return j.sentence(v, now)
}

// Calibration is a level set from the service's own quiet past.
type Calibration struct {
	// Level is what to give New: with it the false alarms of a watch are expected to be at most Expected.
	Level    float64 `json:"level"`
	Windows  int     `json:"windows"`  // watches that the past was cut into
	Alarms   int     `json:"alarms"`   // of them called worse at Level
	Expected float64 `json:"expected"` // (alarms+1)/(windows+1), for a watch like those
	Upper    float64 `json:"upper"`    // 95 % upper bound of the share of false alarms (Clopper-Pearson)
	// Problem says why the past can't tell; Level is the default then.
	Problem string `json:"problem,omitempty"`
}

// Calibrate replays quiet past as if a deployment had happened at the beginning of each watch, both groups running the same
// revision, and returns the level that would have given at most wanted false alarms a watch. The guarantee is of another
// kind than the default's: it speaks of watches that are exchangeable with those of the past, and only of such. With n
// watches nothing below 1/(n+1) can be promised (the rank of the next among them; G. Shafer, V. Vovk, "A tutorial on
// conformal prediction", JMLR 9, 2008).
func Calibrate(r Rule, quiet []astern.Sample, watch time.Duration, wanted float64) Calibration {
	c := Calibration{Level: DefaultLevel, Upper: 1, Expected: 1}
	if !(wanted > 0 && wanted < 1) || watch <= 0 {
		c.Problem = "a wanted share of false alarms between 0 and 1, and a watch, are needed"
		return c
	}
	values := replay(r, quiet, watch)
	c.Windows = len(values)
	k := int(math.Floor(wanted*float64(len(values)+1)+1e-9)) - 1 // so many of the past may be alarms
	if k < 0 {
		c.Problem = fmt.Sprintf("%d watches of %s fit into the quiet past; %.0f are needed for %s false alarms", len(values), duration(watch.Seconds()), math.Ceil(1/wanted-1e-9)-1, percent(wanted))
		return c
	}
	for range k { // the k largest may be alarms
		values[largest(values)] = -1
	}
	// Just above the largest that may not be one; a level above one half would stop at mere traffic.
	c.Level = math.Min(1/math.Nextafter(math.Max(values[largest(values)], 2), math.Inf(1)), 0.5)
	c.Alarms = 0
	for _, v := range values {
		if v < 0 {
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

// replay returns the largest e-value of each watch that fits into the samples after PastSeconds.
func replay(r Rule, quiet []astern.Sample, watch time.Duration) []float64 {
	var out []float64
	past := PastSeconds * time.Second
	for begin := 0; begin < len(quiet); {
		from := quiet[begin].From
		split := begin
		for split < len(quiet) && quiet[split].From.Sub(from) < past {
			split++
		}
		end := split
		for end < len(quiet) && quiet[end].To.Sub(from) <= past+watch {
			end++
		}
		if end == len(quiet) && (end == split || quiet[end-1].To.Sub(from) < past+watch) {
			break
		}
		if j, err := New(r, Measure(r, quiet[begin:split]), from.Add(past), DefaultLevel, false); err == nil {
			most := 0.0
			for _, s := range quiet[split:end] {
				j.Feed(s)
				most = math.Max(most, j.Value())
			}
			if j.Totals.Seconds > watch.Seconds()/2 { // watches that saw little say little
				out = append(out, most)
			}
		}
		// The next watch begins where this one ended; its past may lie inside of it.
		next := begin
		for next < len(quiet) && quiet[next].From.Sub(from) < watch {
			next++
		}
		begin = max(next, begin+1)
	}
	return out
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
