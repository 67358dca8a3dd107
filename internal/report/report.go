// Package report writes the report of an incident for people who were not there: as Markdown, and as one HTML page with
// its graphs in it, which holds no script and refers to nothing outside. It is pure.
package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/chart"
)

const moment = "2006-01-02 15:04:05 UTC"

// fact is one line of the head of a report.
type fact struct{ Name, Value string }

// document is what both forms are written from.
type document struct {
	ID, Title string
	Facts     []fact
	Timeline  []entry
	Decisions []astern.Decision
	Log       string // what its lines are of
	Lines     []entry
	Tasks     []task
	Graphs    []string // SVG
	Made      string
}

type entry struct{ At, By, Text string }

type task struct {
	List, Item, State string
	Done              bool
}

func documentOf(in astern.Incident, now time.Time) document {
	d := document{ID: in.ID, Title: in.Title, Decisions: in.Decisions, Made: now.UTC().Format(moment)}
	state := "lasts"
	if in.ResolvedAt != nil {
		state = "resolved " + in.ResolvedAt.UTC().Format(moment)
	}
	d.Facts = []fact{{"State", state}, {"Severity", or(in.Severity, "not judged")}, {"About", strings.Join(in.Addresses, ", ")},
		{"Began", in.BeganAt.UTC().Format(moment)}, {"Opened", in.OpenedAt.UTC().Format(moment) + " by " + in.OpenedBy},
		{"Harm", in.Harm(now).Round(time.Second).String()}, {"Cost", cost(in.Cost)}, {"Owner", or(in.Owner, "nobody")}}
	if c := in.Cause; c != nil {
		d.Facts = append(d.Facts, fact{"Cause", fmt.Sprintf("%s %s, deployed %s by %s", c.Address, c.Revision, c.At.UTC().Format(moment), or(c.By, "unknown"))})
	}
	if len(in.Executions) > 0 {
		d.Facts = append(d.Facts, fact{"Executions", strings.Join(in.Executions, ", ")})
	}
	var marks []chart.Mark
	for _, l := range in.Timeline {
		d.Timeline = append(d.Timeline, entry{l.At.UTC().Format("2006-01-02 15:04:05"), or(l.By, "astern"), l.Text})
		marks = append(marks, chart.Mark{At: l.At, Text: l.Text})
	}
	if l := in.Logs; l != nil && len(l.Lines) > 0 {
		d.Log = "The last lines of " + l.Group + " that tell of failures"
		for _, line := range l.Lines {
			d.Lines = append(d.Lines, entry{At: line.At.UTC().Format("2006-01-02 15:04:05"), Text: line.Text})
		}
	}
	for _, t := range in.Tasks {
		d.Tasks = append(d.Tasks, task{t.List, t.Item, stateOf(t, now), t.DoneAt != nil})
	}
	for _, s := range in.Series {
		if svg := chart.Series(s, marks); svg != "" {
			d.Graphs = append(d.Graphs, svg)
		}
	}
	return d
}

func stateOf(t astern.Task, now time.Time) string {
	switch {
	case t.DoneAt != nil:
		return "done " + t.DoneAt.UTC().Format(moment) + " by " + t.By
	case t.Overdue(now):
		return "overdue since " + t.DueAt.UTC().Format(moment) + ", " + or(t.Owner, "nobody's")
	case t.DueAt != nil:
		return "due " + t.DueAt.UTC().Format(moment) + ", " + or(t.Owner, "nobody's")
	}
	return "due when it is resolved"
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func cost(c astern.Cost) string {
	var parts []string
	figure := func(v float64, what string) {
		if v > 0 {
			parts = append(parts, strconv.FormatFloat(v, 'f', 0, 64)+" "+what)
		}
	}
	figure(c.Requests, "requests failed beyond the usual")
	figure(c.Users, "users harmed")
	if c.Share > 0 {
		parts = append(parts, strconv.FormatFloat(c.Share, 'g', 3, 64)+" % of them")
	}
	if c.Unknown != "" {
		parts = append(parts, "unknown: "+c.Unknown)
	}
	return or(strings.Join(parts, "; "), "not known")
}

// Markdown writes the report as Markdown; escape makes a text safe for running text.
func Markdown(w io.Writer, in astern.Incident, now time.Time, escape func(string) string) error {
	d := documentOf(in, now)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s\n\n", d.ID, escape(d.Title))
	for _, f := range d.Facts {
		fmt.Fprintf(&b, "- **%s**: %s\n", f.Name, escape(f.Value))
	}
	b.WriteString("\n## Timeline (UTC)\n\n| when | who | what |\n| --- | --- | --- |\n")
	for _, l := range d.Timeline {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l.At, escape(l.By), escape(l.Text))
	}
	if len(d.Decisions) > 0 {
		b.WriteString("\n## Decisions\n\n")
	}
	for _, x := range d.Decisions {
		fmt.Fprintf(&b, "- %s: %s\n", escape(or(x.Way, string(x.Act))), escape(x.Because))
		for _, line := range besides(x) {
			fmt.Fprintf(&b, "  - %s\n", escape(line))
		}
	}
	if len(d.Lines) > 0 {
		fmt.Fprintf(&b, "\n## Failures\n\n%s:\n\n", escape(d.Log))
	}
	for _, l := range d.Lines {
		fmt.Fprintf(&b, "- %s %s\n", l.At, escape(l.Text))
	}
	b.WriteString("\n## Tasks\n")
	for i, t := range d.Tasks {
		if i == 0 || d.Tasks[i-1].List != t.List {
			fmt.Fprintf(&b, "\nWithin %s of the end:\n\n", t.List)
		}
		box := map[bool]string{true: "x", false: " "}[t.Done]
		fmt.Fprintf(&b, "- [%s] %s (%s)\n", box, t.Item, escape(t.State))
	}
	fmt.Fprintf(&b, "\nMade by astern, %s.\n", d.Made)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// besides are the lines below a decision.
func besides(d astern.Decision) (out []string) {
	for _, no := range d.Against {
		out = append(out, "not: "+no)
	}
	if d.Certainty != "" {
		out = append(out, "certainty: "+d.Certainty)
	}
	for _, look := range d.Look {
		out = append(out, "look at: "+look)
	}
	return out
}

// HTML writes the report as one page.
func HTML(w io.Writer, in astern.Incident, now time.Time) error {
	if _, err := io.WriteString(w, documentOf(in, now).page()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
