package app

import (
	"context"
	"slices"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/audit"
)

// OpenIncident records that an incident is opened. A token that was used before opens none, and nothing is recorded.
func (s audited) OpenIncident(ctx context.Context, e astern.IncidentEvent) (id string, opened bool, err error) {
	if e.Token != "" {
		logs, err := s.Store.Incidents(ctx)
		if err != nil {
			return "", false, err
		}
		for _, l := range logs {
			if slices.ContainsFunc(l.Events, func(old astern.IncidentEvent) bool { return old.Token == e.Token }) {
				return s.Store.OpenIncident(ctx, e)
			}
		}
	}
	err = s.record(ctx, ofIncident("", e), func() (err error) {
		id, opened, err = s.Store.OpenIncident(ctx, e)
		return err
	})
	return id, opened, err
}

// AddIncidentEvent records what was done with an incident, decided on it, or found out. What the watch measured
// and counted is nobody's doing.
func (s audited) AddIncidentEvent(ctx context.Context, id string, e astern.IncidentEvent) (seq int64, err error) {
	if e.Kind == astern.IncidentMeasured || e.Kind == astern.IncidentCost && e.By == "watch" {
		return s.Store.AddIncidentEvent(ctx, id, e)
	}
	err = s.record(ctx, ofIncident(id, e), func() (err error) {
		seq, err = s.Store.AddIncidentEvent(ctx, id, e)
		return err
	})
	return seq, err
}

func ofIncident(id string, e astern.IncidentEvent) audit.Record {
	r := audit.Record{What: audit.Incident, Incident: id, Event: string(e.Kind), By: e.By, Addresses: e.Addresses, Execution: e.Execution,
		Step: e.Item, Text: e.Text}
	if e.Severity != "" {
		r.Text = e.Severity + ": " + e.Text
	}
	if c := e.Cause; c != nil {
		r.Addresses, r.Revision = append(slices.Clone(r.Addresses), c.Address), c.Revision
	}
	if d := e.Decision; d != nil {
		r.Plan, r.Reason, r.Text = d.Plan, d.Because, string(d.Act)+" "+d.Way
	}
	return r
}
