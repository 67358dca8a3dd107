package cli

import (
	"context"
	"time"

	"github.com/astern-dev/astern"
)

// pretend is a state folder for a dry run: it reads from the real one and takes every change without writing it.
type pretend struct{ Store }

// PutPlan writes nothing.
func (pretend) PutPlan(context.Context, string, []byte, time.Time) error { return nil }

// CreateExecution answers as if the execution had been made.
func (pretend) CreateExecution(_ context.Context, e astern.Execution, _ int64) (astern.Execution, bool, error) {
	return e, true, nil
}

// Append writes nothing.
func (pretend) Append(context.Context, string, int64, ...astern.Record) error { return nil }

// AddEvent answers as if the event had been added.
func (pretend) AddEvent(_ context.Context, e astern.Event) (astern.Event, error) { return e, nil }
func (pretend) AddEventUnder(_ context.Context, _ int64, e astern.Event) (astern.Event, error) {
	return e, nil
}

// AddApproval writes nothing.
func (pretend) AddApproval(context.Context, string, string, string, string, time.Time) error {
	return nil
}

// OpenIncident answers as if the incident had been opened.
func (pretend) OpenIncident(context.Context, astern.IncidentEvent) (string, bool, error) {
	return "inc-?", true, nil
}

// AddIncidentEvent writes nothing.
func (pretend) AddIncidentEvent(context.Context, string, astern.IncidentEvent) (int64, error) {
	return 0, nil
}

// AddSigned writes nothing.
func (pretend) AddSigned(context.Context, astern.Approval) error { return nil }

// AddOverride writes nothing.
func (pretend) AddOverride(context.Context, astern.Override) error { return nil }

// AddReview writes nothing.
func (pretend) AddReview(context.Context, string, string, string, time.Time) error { return nil }

// QueueNotice writes nothing.
func (pretend) QueueNotice(context.Context, astern.Notice, []string, time.Time) error { return nil }

// TryDispatch takes nothing.
func (pretend) TryDispatch(context.Context, int64, []int64, time.Time, time.Time) (bool, error) {
	return false, nil
}

// SettleDispatch writes nothing.
func (pretend) SettleDispatch(context.Context, int64, astern.DispatchState, string, time.Time, time.Time) error {
	return nil
}

// Subscribe notes nothing.
func (pretend) Subscribe(context.Context, []string, time.Time) (map[string]time.Time, error) {
	return nil, nil
}

// KeepProof writes nothing.
func (pretend) KeepProof(context.Context, string, []byte, time.Time) error { return nil }
