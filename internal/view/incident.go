package view

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// IncidentsReport lists incidents, those that last first, then the newest.
type IncidentsReport struct {
	Incidents []astern.Incident `json:"incidents"`
	// Overdue is how many tasks should have been done by now.
	Overdue int `json:"overdue"`
	More    int `json:"more,omitempty"`
}

// IncidentReport is one incident.
type IncidentReport struct {
	astern.Incident
	// HarmSeconds is how long the fault harmed, so far if it lasts.
	HarmSeconds float64 `json:"harm_seconds"`
	Overdue     int     `json:"overdue"`
	// Next are the commands that a person may type.
	Next []string `json:"next"`
}

// IncidentOf returns the report of an incident at a moment.
func IncidentOf(in astern.Incident, now time.Time) IncidentReport {
	r := IncidentReport{Incident: in, HarmSeconds: in.Harm(now).Seconds(), Overdue: len(in.Overdue(now))}
	switch {
	case in.ResolvedAt == nil:
		r.Next = append(r.Next, "astern incidents resolve "+in.ID+" --reason …")
	case in.Left() > 0:
		for _, t := range in.Tasks {
			if t.DoneAt == nil {
				next := "astern tick " + in.ID + " " + t.Item
				if strings.HasPrefix(t.Item, "review ") {
					next = "astern policy " + t.Item + " --reason …"
				}
				r.Next = append(r.Next, next)
				break
			}
		}
	}
	return r
}

// MarshalJSON adds kind and version.
func (r IncidentsReport) MarshalJSON() ([]byte, error) {
	type plain IncidentsReport
	return document("Incidents", plain(r))
}

// MarshalJSON adds kind and version.
func (r IncidentReport) MarshalJSON() ([]byte, error) {
	type plain IncidentReport
	return document("Incident", plain(r))
}

// Incidents writes incidents as a table.
func Incidents(w io.Writer, st Style, r IncidentsReport) error {
	p := newPrinter(st)
	if len(r.Incidents) == 0 {
		p.line("no incident is recorded")
		return p.flush(w)
	}
	var rows []row
	for _, in := range r.Incidents {
		rw := cells(in.ID, incidentState(in), orDash(in.Severity), in.Title, st.age(in.OpenedAt), seconds(in.Harm(st.Now).Seconds()),
			orDash(in.Owner), tasksLeft(in, st.Now))
		for _, t := range in.Overdue(st.Now) {
			rw.below = append(rw.below, tx(bad("✗ overdue "), t.Item, dim(fmt.Sprintf("  due %s, %s", st.age(*t.DueAt), whose(t)))))
		}
		rows = append(rows, rw)
	}
	p.table(0, []column{{head: "ID"}, {head: "STATE"}, {head: "SEVERITY"}, {head: "WHAT", wrap: true}, {head: "OPENED", wrap: true},
		{head: "HARM", wrap: true, spill: true}, {head: "OWNER", wrap: true, spill: true}, {head: "TASKS", wrap: true, spill: true}}, rows)
	if r.More > 0 {
		p.line(dim("and " + count(int64(r.More)) + " older (--limit shows more)"))
	}
	return p.flush(w)
}

func whose(t astern.Task) string {
	if t.Owner == "" {
		return "nobody's"
	}
	return t.Owner + "'s"
}

func incidentState(in astern.Incident) span {
	switch {
	case in.ResolvedAt == nil:
		return bad("✗ open")
	case in.Left() > 0:
		return warn("! resolved")
	}
	return good("✓ closed")
}

func tasksLeft(in astern.Incident, now time.Time) string {
	left, over := in.Left(), len(in.Overdue(now))
	switch {
	case left == 0:
		return "all done"
	case over > 0:
		return fmt.Sprintf("%d left, %d overdue", left, over)
	}
	return fmt.Sprintf("%d left", left)
}

// Incident writes one incident: what it is, its timeline, and what is left to do.
func Incident(w io.Writer, st Style, r IncidentReport) error {
	p := newPrinter(st)
	p.line(strong(r.ID), "  ", strong(r.Title), "  ", incidentState(r.Incident))
	p.field("severity", orDash(r.Severity))
	p.field("about", strings.Join(r.Addresses, ", "))
	p.field("began", st.when(r.BeganAt), dim("  "+st.age(r.BeganAt)))
	p.field("harm", seconds(r.HarmSeconds), costOf(r.Cost))
	if r.ResolvedAt != nil {
		p.field("resolved", st.when(*r.ResolvedAt), dim("  "+st.age(*r.ResolvedAt)))
	}
	if r.Owner == "" {
		p.field("owner", warn("! nobody has it"))
	} else {
		p.field("owner", r.Owner)
	}
	if r.Cause != nil {
		p.field("cause", fmt.Sprintf("%s %s, deployed %s", r.Cause.Address, r.Cause.Revision, st.age(r.Cause.At)))
	}
	p.blank()
	var lines []row
	for _, l := range r.Timeline {
		lines = append(lines, cells(st.clock(l.At), orDash(l.By), l.Text))
	}
	p.table(2, []column{{head: "TIME " + st.zone()}, {head: "BY", wrap: true}, {head: "WHAT", wrap: true}}, lines)
	p.blank()
	p.failures(r.Logs)
	p.tasks(r.Incident)
	if len(r.Next) > 0 {
		p.blank()
		p.next(r.Next)
	}
	return p.flush(w)
}

// failures are the last lines that the component wrote down of them.
func (p *printer) failures(l *astern.FailureLog) {
	if l == nil || len(l.Lines) == 0 {
		return
	}
	var lines []row
	for _, line := range l.Lines {
		lines = append(lines, cells(p.st.clock(line.At), line.Text))
	}
	p.table(2, []column{{head: "TIME " + p.st.zone()}, {head: "FAILURES IN " + l.Group, wrap: true}}, lines)
	p.blank()
}

func (p *printer) tasks(in astern.Incident) {
	for i, t := range in.Tasks {
		label := ""
		if i == 0 || in.Tasks[i-1].List != t.List {
			label = "within " + t.List
		}
		box, more := "[ ] ", span{}
		switch {
		case t.DoneAt != nil:
			box, more = "[x] ", dim("  "+t.By+", "+p.st.age(*t.DoneAt))
		case t.Overdue(p.st.Now):
			more = bad("  ✗ overdue, it was due " + p.st.age(*t.DueAt))
		case t.DueAt != nil:
			more = dim("  due " + p.st.age(*t.DueAt))
		}
		given := span{}
		if t.DoneAt == nil && t.Owner != "" && t.Owner != in.Owner {
			given = dim(", " + whose(t))
		}
		p.field(label, box, t.Item, more, given)
	}
}

// costOf says what a fault has cost beside its time.
func costOf(c astern.Cost) string {
	var parts []string
	if c.Requests > 0 {
		parts = append(parts, plural(int64(c.Requests+0.5), "request")+" failed")
	}
	if c.Users > 0 {
		parts = append(parts, plural(int64(c.Users+0.5), "user")+" harmed")
	}
	if c.Share > 0 {
		parts = append(parts, strconv.FormatFloat(c.Share, 'g', 3, 64)+" % of them")
	}
	if c.Unknown != "" {
		parts = append(parts, "unknown: "+c.Unknown)
	}
	if len(parts) == 0 {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}
