package detect

import (
	"fmt"
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
		v.Guarantee = j.guarantee(p.Level) // the panel decides, not the judge
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
