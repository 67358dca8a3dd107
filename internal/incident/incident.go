// Package incident folds the events of an incident into what a person asks about it: what happened, whose it is, what it
// cost, what was decided, and which of the tasks after it are left. It is pure.
package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// Watch is who writes the events that no person writes.
const Watch = "watch"

// Review begins the item of a task that is done by reviewing a broken glass.
const Review = "review "

// Fold returns the incident that the events tell of. Events of a kind that this version does not know stay in its timeline
// and change nothing else.
func Fold(log astern.IncidentLog) astern.Incident {
	in := astern.Incident{ID: log.ID}
	said := said{ticked: map[string]astern.IncidentEvent{}, owners: map[string]string{}}
	for _, e := range log.Events {
		apply(&in, said, e)
		if line := Line(e); line != "" {
			in.Timeline = append(in.Timeline, astern.TimelineEntry{At: e.At, Kind: e.Kind, By: e.By, Text: line, Execution: e.Execution})
		}
	}
	in.Tasks = tasks(in, said)
	return in
}

// said is what was said of tasks, by their items.
type said struct {
	ticked map[string]astern.IncidentEvent
	owners map[string]string
}

func apply(in *astern.Incident, said said, e astern.IncidentEvent) {
	switch e.Kind {
	case astern.IncidentOpened:
		in.Title, in.Addresses, in.OpenedBy, in.OpenedAt, in.BeganAt = e.Text, e.Addresses, e.By, e.At, e.At
		in.Severity = e.Severity
		if !e.Began.IsZero() {
			in.BeganAt = e.Began
		}
	case astern.IncidentSeverity:
		in.Severity = e.Severity
	case astern.IncidentOwned:
		if who := cmp.Or(e.To, e.By); e.Item == "" {
			in.Owner = who
		} else {
			said.owners[e.Item] = who
		}
	case astern.IncidentBlamed:
		in.Cause, in.Blame = e.Cause, e.Text
	case astern.IncidentDecided:
		if e.Decision != nil {
			in.Decisions = append(in.Decisions, *e.Decision)
		}
	case astern.IncidentActed:
		if !slices.Contains(in.Executions, e.Execution) {
			in.Executions = append(in.Executions, e.Execution)
		}
	case astern.IncidentCost:
		if e.Cost != nil {
			in.Cost = *e.Cost
		}
	case astern.IncidentMeasured:
		if e.Series != nil {
			in.Series = slices.DeleteFunc(in.Series, func(s astern.Series) bool { return s.Name == e.Series.Name })
			in.Series = append(in.Series, *e.Series)
		}
	case astern.IncidentLogged:
		in.Logs = e.Logs
	case astern.IncidentTicked:
		said.ticked[e.Item] = e
	case astern.IncidentResolved:
		if in.ResolvedAt == nil {
			at := e.At
			in.ResolvedAt = &at
			if ended := e.Ended; !ended.IsZero() {
				in.EndedAt = &ended
			}
		}
	case astern.IncidentReopened:
		in.ResolvedAt, in.EndedAt = nil, nil
	}
}

// Line says what an event tells in one line, "" when it is no line of a timeline.
func Line(e astern.IncidentEvent) string {
	switch e.Kind {
	case astern.IncidentOpened:
		return "opened: " + e.Text + " (" + strings.Join(e.Addresses, ", ") + ")"
	case astern.IncidentSeverity:
		return because("severity "+e.Severity, e.Text)
	case astern.IncidentOwned:
		return cmp.Or(e.To, e.By) + " has " + cmp.Or(e.Item, "it")
	case astern.IncidentBlamed:
		if e.Cause == nil {
			return because("no change is to blame", e.Text)
		}
		return because(fmt.Sprintf("blamed: %s %s, deployed %s", e.Cause.Address, e.Cause.Revision, clock(e.Cause.At)), e.Text)
	case astern.IncidentDecided:
		if e.Decision == nil {
			return ""
		}
		return because(decided(*e.Decision), e.Decision.Because)
	case astern.IncidentActed:
		return because(e.Execution, e.Text)
	case astern.IncidentCost, astern.IncidentMeasured:
		return ""
	case astern.IncidentLogged:
		return logged(e.Logs)
	case astern.IncidentTicked:
		return "done: " + e.Item
	case astern.IncidentResolved:
		return because("resolved", e.Text)
	case astern.IncidentReopened:
		return because("not over", e.Text)
	}
	return e.Text
}

func decided(d astern.Decision) string {
	switch d.Act {
	case astern.ActAutomatic:
		return "takes " + d.Way
	case astern.ActAsk:
		if d.Way == "" {
			return "asks a person"
		}
		return "asks for " + d.Way
	case astern.ActShadow:
		return "would take " + d.Way
	case astern.ActTell:
		return "tells, does nothing"
	}
	return "holds"
}

func logged(l *astern.FailureLog) string {
	switch {
	case l == nil:
		return ""
	case l.Missing != "":
		return "the log " + l.Group + " could not be read: " + l.Missing
	case len(l.Lines) == 0:
		return "the log " + l.Group + " tells of no failure since " + clock(l.Since)
	}
	return fmt.Sprintf("the log %s tells of failures, the last: %s", l.Group, l.Lines[len(l.Lines)-1].Text)
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }
