package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// RehearsalReport is what the policy would do about an incident.
type RehearsalReport struct {
	astern.Rehearsal
}

// ReviewsReport lists plans that were applied over the policy's head.
type ReviewsReport struct {
	Overrides []astern.Override `json:"overrides"`
}

// CalibrationReport is what replaying the quiet past of components came to.
type CalibrationReport struct {
	Judge  astern.JudgeRule         `json:"judge"`
	Levels []astern.CalibratedLevel `json:"levels"`
}

// MarshalJSON adds kind and version.
func (r CalibrationReport) MarshalJSON() ([]byte, error) {
	type plain CalibrationReport
	return document("Calibration", plain(r))
}

// MarshalJSON adds kind and version.
func (r RehearsalReport) MarshalJSON() ([]byte, error) { return document("Rehearsal", r.Rehearsal) }

// MarshalJSON adds kind and version.
func (r ReviewsReport) MarshalJSON() ([]byte, error) {
	type plain ReviewsReport
	return document("Reviews", plain(r))
}

// offset writes after how long a turn comes, and when that is.
func offset(at time.Time, after int64) string {
	sign := fmt.Sprintf("+%d:%02d", after/60, after%60)
	return fmt.Sprintf("%8s  %s", sign, at.Add(time.Duration(after)*time.Second).Format("Mon 15:04"))
}

// Rehearsal writes what would happen as a timeline: the end first, for that is what is asked at 3 a.m.
func Rehearsal(w io.Writer, st Style, r RehearsalReport) error {
	p := newPrinter(st)
	what := r.Severity
	if r.Means != "" {
		what += ": " + r.Means
	}
	p.line(strong(r.System), "  ", strong(r.Environment), "  ", what)
	p.field("when", r.At.Format("Monday 2006-01-02 15:04 MST"))
	if r.Component != "" {
		p.field("component", r.Component)
	}
	if len(r.Asleep) > 0 {
		p.field("asleep", strings.Join(r.Asleep, ", "))
	}
	p.field("loses", lossWords(r.Loss))
	p.field("mode", strong(string(r.Mode)), dim(" ("+r.ModeBecause+")"))
	for i, d := range r.Demands {
		p.field(map[bool]string{true: "needs", false: ""}[i == 0], d)
	}
	if len(r.Demands) == 0 {
		p.field("needs", "nobody's approval")
	}
	for i, f := range r.Freezes {
		label := map[bool]string{true: "freeze", false: ""}[i == 0]
		word := bad("forbids it until " + f.Until.Format("Mon 2006-01-02 15:04 MST"))
		if f.Pierced {
			word = warn("is pierced")
		}
		p.field(label, strong(f.Name), " ", word, ": ", f.Why)
		if f.Because != "" {
			p.field("", dim(f.Because))
		}
	}
	if len(r.Freezes) == 0 {
		p.field("freeze", "none holds")
	}
	p.blank()
	for _, e := range r.Events {
		p.item(2, dim(offset(r.At, e.AfterSeconds)+"  "), turn(e))
		for _, c := range e.People {
			p.item(24, "", called(c), c.Name, contact(c.Contact), ": ", c.May)
		}
	}
	p.blank()
	p.field("so", rehearsed(r))
	return p.flush(w)
}

func rehearsed(r RehearsalReport) span {
	switch {
	case r.ByItself || r.GoesSeconds != nil:
		return good(r.Outcome)
	case r.NobodySeconds != nil:
		return bad(r.Outcome)
	}
	return warn(r.Outcome)
}

func turn(e astern.Turn) text {
	switch e.Kind {
	case astern.TurnCalled:
		return tx("calls ", strong(e.Role), contact(e.Contact))
	case astern.TurnLate:
		return tx(warn("! " + e.Text))
	case astern.TurnNobody:
		return tx(bad("✗ " + e.Text))
	case astern.TurnGoes, astern.TurnActs:
		return tx(good("✓ " + e.Text))
	}
	return tx(e.Text)
}

func contact(c string) string {
	if c == "" {
		return ""
	}
	return " (" + c + ")"
}

func called(c astern.Called) text {
	if c.Asleep {
		return tx(bad("✗ asleep  "))
	}
	return tx(good("✓ answers "))
}

// Reviews writes where somebody broke the glass.
func Reviews(w io.Writer, st Style, r ReviewsReport) error {
	p := newPrinter(st)
	if len(r.Overrides) == 0 {
		p.line("no broken glass waits for a review")
		return p.flush(w)
	}
	for i, o := range r.Overrides {
		if i > 0 {
			p.blank()
		}
		p.line(strong(o.PlanHash), dim("  "+st.age(o.At)))
		p.field("broken by", o.By, ": ", o.Reason)
		for j, over := range o.Over {
			p.field(map[bool]string{true: "over", false: ""}[j == 0], over)
		}
		switch {
		case o.ReviewedAt != nil:
			p.field("reviewed", good("by "+o.ReviewedBy), ": ", o.Review)
		case st.Now.After(o.ReviewDue):
			p.field("review", bad("overdue since "+st.when(o.ReviewDue)))
		default:
			p.field("review", warn("until "+st.when(o.ReviewDue)))
		}
	}
	return p.flush(w)
}

// Calibration writes what replaying the quiet past of components came to.
func Calibration(w io.Writer, st Style, r CalibrationReport) error {
	p := newPrinter(st)
	for i, l := range r.Levels {
		if i > 0 {
			p.blank()
		}
		p.line(strong(l.Address))
		p.field("wanted", fmt.Sprintf("a false alarm in %.3g %% of watches at most, each %s, of those with a control", l.Wanted, seconds(float64(l.WatchSeconds))))
		p.field("replayed", fmt.Sprintf("%d quiet watches of the last %s", l.Watches, seconds(float64(l.PastSeconds))))
		if l.Problem != "" {
			p.field("calibrated", warn("no: "+l.Problem))
			p.field("instead", fmt.Sprintf("the guarantee holds, at %.3g %%", l.Wanted))
			continue
		}
		p.field("calibrated", good(fmt.Sprintf("evidence of 1 in %.3g counts", 100/l.Level)), fmt.Sprintf(" (guaranteed: 1 in %.3g)", 100/l.Wanted))
		if !l.SetBy.IsZero() {
			p.field("set by", "the watch from "+st.when(l.SetBy))
			if l.Level < l.Wanted {
				p.field("", warn("it looks like a fault: if it was one, open an incident about it (--began), and it is left out"))
			}
		}
		p.field("expected", fmt.Sprintf("%d of them would have been called worse; %.2g %% of watches like those, with 95 %% confidence below %.2g %%", l.Alarms, l.Expected, l.Upper))
	}
	if !r.Judge.Calibrated {
		p.blank()
		p.line(dim("not used: the policy does not say judge: {level: calibrated}"))
	}
	return p.flush(w)
}
