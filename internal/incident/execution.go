package incident

import (
	"fmt"
	"slices"
	"time"

	"github.com/astern-dev/astern"
)

// Concerns reports whether an execution acted on a component of the incident while it lasted.
func Concerns(in astern.Incident, e astern.Execution) bool {
	if !slices.ContainsFunc(e.Addresses, func(a string) bool { return slices.Contains(in.Addresses, a) }) {
		return false
	}
	after := e.EndedAt == nil || !e.EndedAt.Before(in.BeganAt)
	before := in.ResolvedAt == nil || !e.CreatedAt.After(*in.ResolvedAt)
	return after && before
}

// With adds an execution to the incident: what it was for, where it held, and how it ended stand in the timeline.
func With(in astern.Incident, e astern.Execution, p astern.Plan, records []astern.Record) astern.Incident {
	if !slices.Contains(in.Executions, e.ID) {
		in.Executions = append(slices.Clone(in.Executions), e.ID)
	}
	add := func(at time.Time, by, text string) {
		in.Timeline = append(in.Timeline, astern.TimelineEntry{At: at, Kind: astern.IncidentActed, By: by, Text: e.ID + ": " + text, Execution: e.ID})
	}
	in.Timeline = slices.DeleteFunc(slices.Clone(in.Timeline), func(l astern.TimelineEntry) bool { return l.Execution == e.ID })
	add(e.CreatedAt, p.Asked.By, title(p)+" begins")
	for _, r := range records {
		switch r.Kind {
		case astern.RecordPaused, astern.RecordResumed, astern.RecordCancelled:
			add(r.At, r.By, because(string(r.Kind), r.Text))
		case astern.RecordSkipped, astern.RecordSettled, astern.RecordAllowed:
			add(r.At, r.By, because(string(r.Kind)+" "+r.Step, r.Text))
		case astern.RecordOp:
			if r.Op != nil && (r.Op.Status == astern.OpFailed || r.Op.Status == astern.OpUnsure) {
				add(r.At, "", fmt.Sprintf("%s %s: %s", r.Step, r.Op.Status, r.Op.Error))
			}
		case astern.RecordEnded:
			add(r.At, p.Asked.By, string(r.Outcome))
		}
	}
	slices.SortStableFunc(in.Timeline, func(x, y astern.TimelineEntry) int { return x.At.Compare(y.At) })
	return in
}

// title says what a plan is for: "rollback shop v1.2.3 → v1.2.2".
func title(p astern.Plan) string {
	out := string(p.Intent.Verb)
	for _, m := range p.Moves {
		out += fmt.Sprintf(" %s %s → %s", m.Address, m.From, m.To)
	}
	return out
}
