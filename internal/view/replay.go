package view

import (
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/astern-dev/astern"
)

// ReplayReport is what would have been decided by other rules.
type ReplayReport struct {
	astern.Replay
}

// MarshalJSON adds kind and version.
func (r ReplayReport) MarshalJSON() ([]byte, error) { return document("Replay", r.Replay) }

// Replay writes each fault: what was decided, what would have been, and what that would have saved or lost.
func Replay(w io.Writer, st Style, r ReplayReport) error {
	p := newPrinter(st)
	p.line(strong(r.Of), "  by the policy of ", strong(r.Policy))
	if len(r.Faults) == 0 {
		p.line("no fault was noticed, nothing would have been done")
	}
	for _, f := range r.Faults {
		p.blank()
		p.replayFault(f)
	}
	if len(r.Notes) > 0 {
		p.blank()
	}
	for i, n := range r.Notes {
		p.field(map[bool]string{true: "note", false: ""}[i == 0], dim(n))
	}
	return p.flush(w)
}

func (p *printer) replayFault(f astern.ReplayFault) {
	head := tx(strong(f.Address), "  ", f.Title)
	if f.Incident != "" {
		head = tx(strong(f.Incident), "  ", head)
	}
	p.item(0, "", head)
	p.field("began", p.st.when(f.BeganAt))
	p.field("noticed", p.st.when(f.NoticedAt), dim("  "+seconds(f.NoticedAt.Sub(f.BeganAt).Seconds())+" later"))
	switch {
	case f.Cause != nil:
		p.field("cause", fmt.Sprintf("%s %s: %s", f.Cause.Address, f.Cause.Revision, f.Blame))
	case f.Blame != "":
		p.field("cause", "no change: "+f.Blame)
	}
	if f.EndedAt == nil {
		p.field("ended", warn("! it lasts"))
	} else {
		p.field("ended", p.st.when(*f.EndedAt), ": ", f.Ended)
	}
	if f.People != "" {
		p.field("then", f.People)
	}
	if cost := costOf(f.Cost); cost != "" {
		p.field("cost", cost[len(", "):])
	}
	var rows []row
	for _, d := range f.Decisions {
		rw := cells(p.st.clock(d.At), rejudgedAct(d.Was, ""), rejudgedAct(d.Would, d.Unknown), orDash(d.Severity), orDash(string(d.Mode)))
		if d.Would != nil && !d.Same {
			rw.below = append(rw.below, tx(dim("because "), d.Would.Because))
		}
		if d.From != nil {
			rw.below = append(rw.below, tx(warn("by itself from "+p.st.when(*d.From)+" on")))
		}
		rows = append(rows, rw)
	}
	p.table(2, []column{{head: "TIME " + p.st.zone()}, {head: "WAS", wrap: true}, {head: "WOULD HAVE BEEN", wrap: true}, {head: "SEVERITY", spill: true},
		{head: "MODE", spill: true}}, rows)
	p.field("so", savingOf(f))
}

func rejudgedAct(d *astern.Decision, unknown string) text {
	switch {
	case d == nil && unknown != "":
		return tx(dim("unknown: " + unknown))
	case d == nil:
		return tx("-")
	case d.Way == "":
		return tx(string(d.Act))
	}
	return tx(string(d.Act), ", ", d.Way)
}

// savingOf is the last line: what the difference comes to.
func savingOf(f astern.ReplayFault) text {
	s := f.Saving
	if s == nil {
		return tx(good("the same"))
	}
	if s.PerMinute != nil {
		return tx(bad("lost "+requestsOf(*s.PerMinute)+" each minute"), ": ", s.Because)
	}
	if s.Seconds == nil {
		return tx(s.Because)
	}
	t := tx(good("saved "), strong(seconds(*s.Seconds)), " of harm")
	if *s.Seconds < 0 {
		t = tx(bad("lost"), ": ", strong(seconds(-*s.Seconds)), " more of harm")
	}
	if s.Requests != nil {
		t = tx(t, ", ", strong(requestsOf(*s.Requests)))
		if s.Low != nil && s.High != nil {
			t = tx(t, fmt.Sprintf(" (%s to %s)", amountOf(min(math.Abs(*s.Low), math.Abs(*s.High))), amountOf(max(math.Abs(*s.Low), math.Abs(*s.High)))))
		} else if s.High != nil {
			t = tx(t, fmt.Sprintf(" (at most %s)", amountOf(*s.High)))
		}
	}
	return tx(t, ": ", s.Because)
}

func requestsOf(x float64) string {
	if a := math.Abs(x); a < 10 && a != math.Trunc(a) {
		return amountOf(x) + " failed requests"
	}
	return plural(int64(math.Abs(x)+0.5), "failed request")
}

func amountOf(x float64) string {
	if a := math.Abs(x); a < 10 && a != math.Trunc(a) {
		return strconv.FormatFloat(a, 'g', 2, 64)
	}
	return count(int64(math.Abs(x) + 0.5))
}
