package storemodel

import (
	"context"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// ofPeople are the records that a person may write without having taken the execution.
var ofPeople = []astern.RecordKind{astern.RecordPaused, astern.RecordResumed, astern.RecordCancelled, astern.RecordSkipped,
	astern.RecordSettled, astern.RecordAllowed, astern.RecordTicked}

// Append writes the records to the journal of an execution, all or none.
func (s *Store) Append(ctx context.Context, id string, fence int64, recs ...astern.Record) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	for _, rec := range recs {
		if fence <= 0 && !slices.Contains(ofPeople, rec.Kind) {
			return astern.Errorf(astern.Invalid, "only an engine that has taken %s writes %q", id, rec.Kind)
		}
	}
	if len(recs) == 0 {
		return nil
	}
	n, err := s.find(id)
	if err != nil {
		return err
	}
	x := s.executions[n]
	if err := x.fenced(fence); fence > 0 && err != nil {
		return err
	}
	outcome, at := x.Outcome, time.Time{}
	for _, rec := range recs {
		switch {
		case outcome != "" && rec.Kind != astern.RecordTicked:
			return hasEnded(&execution{Execution: astern.Execution{ID: id, Outcome: outcome}})
		case rec.Kind == astern.RecordEnded && rec.Outcome == "":
			return astern.Errorf(astern.Invalid, "the end of %s needs an outcome", id)
		case rec.Kind == astern.RecordEnded:
			outcome, at = rec.Outcome, rec.At.UTC()
		}
	}
	if err := x.write(max(fence, 0), recs); err != nil {
		return err
	}
	if outcome != x.Outcome {
		x.Outcome, x.EndedAt = outcome, &at
		s.freeLeases(n)
	}
	return nil
}

func (x *execution) fenced(fence int64) error {
	if fence == x.fence {
		return nil
	}
	by := "nobody"
	if x.runner != nil {
		by = describe(*x.runner)
	}
	return astern.Errorf(astern.Conflict, "%s was taken under fence %d by %s, fence %d counts no more: %w", x.ID, x.fence, by, fence, sqlite.ErrFenced)
}

// freeLeases gives up the leases of an execution that ended: to an unfinished elder that they came from, else to nobody.
func (s *Store) freeLeases(n int) {
	for address, holder := range s.leases {
		if holder != n {
			continue
		}
		delete(s.leases, address)
		for _, elder := range s.lineage(s.executions[n].parent) {
			if x := s.executions[elder]; x.Outcome == "" && slices.Contains(x.Addresses, address) {
				s.leases[address] = elder
				break
			}
		}
	}
}

// Read returns the records of an execution with a sequence number greater than after, in order.
func (s *Store) Read(ctx context.Context, id string, after int64) ([]astern.Record, error) {
	return s.ReadSome(ctx, id, after, 0)
}

// ReadSome is Read of the first records only, at most limit; all when limit is 0.
func (s *Store) ReadSome(ctx context.Context, id string, after int64, limit int) ([]astern.Record, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	n, err := s.find(id)
	if err != nil {
		return nil, err
	}
	all := s.executions[n].records
	all = slices.Clone(all[min(after, int64(len(all))):])
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

// AddEvent writes an event to the ledger, once for each token.
func (s *Store) AddEvent(ctx context.Context, e astern.Event) (astern.Event, error) {
	return s.AddEventUnder(ctx, 0, e)
}

// AddEventUnder is AddEvent for a step of e.Execution, which must hold the fence.
func (s *Store) AddEventUnder(ctx context.Context, fence int64, e astern.Event) (astern.Event, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return e, err
	}
	defer end()
	if fence > 0 {
		n, err := s.find(e.Execution)
		if err != nil {
			return e, err
		}
		if err := s.executions[n].fenced(fence); err != nil {
			return e, err
		}
	}
	if first, ok := s.byToken(e.Token); ok {
		return first, nil
	}
	e.Seq, e.At = int64(len(s.events))+1, e.At.UTC()
	s.events = append(s.events, e)
	return e, nil
}

func (s *Store) byToken(token string) (astern.Event, bool) {
	i := slices.IndexFunc(s.events, func(e astern.Event) bool { return token != "" && e.Token == token })
	if i < 0 {
		return astern.Event{}, false
	}
	return s.events[i], true
}

// Events returns the events of an address ("" for all), the oldest first; with a limit > 0 the newest of them only.
func (s *Store) Events(ctx context.Context, address string, limit int) ([]astern.Event, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var out []astern.Event
	for _, e := range s.events {
		if address == "" || e.Address == address {
			out = append(out, e)
		}
	}
	if limit > 0 && limit < len(out) {
		out = out[len(out)-limit:]
	}
	return out, nil
}

// EventByToken returns the event with that token.
func (s *Store) EventByToken(ctx context.Context, token string) (astern.Event, bool, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return astern.Event{}, false, err
	}
	defer end()
	e, ok := s.byToken(token)
	return e, ok, nil
}

// AddApproval records a person's one verdict on a stored plan.
func (s *Store) AddApproval(ctx context.Context, planHash, by, verdict, reason string, at time.Time) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if by == "" || verdict != sqlite.Approve && verdict != sqlite.Reject {
		return astern.Errorf(astern.Invalid, "%q by %q is no verdict", verdict, by)
	}
	if s.plan(planHash) < 0 {
		return astern.Errorf(astern.NotFound, "there is no plan %s in this state folder", planHash)
	}
	for _, a := range s.approvals {
		if a.PlanHash == planHash && a.By == by {
			if a.Verdict != verdict {
				return astern.Errorf(astern.Conflict, "%s said %s of plan %s, and it stays so", by, a.Verdict, planHash)
			}
			return nil
		}
	}
	s.approvals = append(s.approvals, astern.Approval{PlanHash: planHash, By: by, Verdict: verdict, Reason: reason, At: at})
	return nil
}

// Approvals returns what people said of a plan, the first one first.
func (s *Store) Approvals(ctx context.Context, planHash string) ([]astern.Approval, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var out []astern.Approval
	for _, a := range s.approvals {
		if a.PlanHash == planHash {
			out = append(out, a)
		}
	}
	return out, nil
}
