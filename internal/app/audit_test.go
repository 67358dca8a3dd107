package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/audit"
)

// unaudited are the methods of a store that write nothing that a person or astern did, with the reason. Whatever else a
// store is given has to be recorded by audited, or to stand here.
var unaudited = map[string]string{
	"Plan": "reads", "Documents": "reads", "RecentPlans": "reads", "Execution": "reads", "Executions": "reads", "Runner": "reads", "Approvals": "reads",
	"Read": "reads", "ReadSome": "reads", "Events": "reads", "Incident": "reads", "Incidents": "reads", "EventByToken": "reads", "Proof": "reads", "Signed": "reads", "Overrides": "reads", "KeepProof": "a hash that was seen; it is nobody's doing",
	"QueueNotice": "follows from a record", "Dispatches": "reads", "TryDispatch": "sends what follows from a record", "SettleDispatch": "the same", "Subscribe": "follows from astern.yaml",
}

// unwritable is an audit log that can't be written.
type unwritable struct{ tried []audit.What }

var errUnwritable = errors.New("no audit log")

func (u *unwritable) Append(_ context.Context, r audit.Record) (audit.Record, error) {
	u.tried = append(u.tried, r.What)
	return r, errUnwritable
}

// untouchable is a store that only reads; every other method ends the test by a nil pointer.
type untouchable struct{ Store }

func (untouchable) Plan(context.Context, string) ([]byte, error) {
	return nil, astern.Errorf(astern.NotFound, "no plan")
}
func (untouchable) Execution(_ context.Context, id string) (astern.Execution, error) {
	return astern.Execution{ID: id, PlanHash: "hash"}, nil
}
func (untouchable) Executions(context.Context, int, bool) ([]astern.Execution, error) {
	return nil, nil
}
func (untouchable) ReadSome(context.Context, string, int64, int) ([]astern.Record, error) {
	return nil, nil
}

// TestNothingUnrecorded asks for everything that a store can write while the audit log can't be written: nothing reaches it.
func TestNothingUnrecorded(t *testing.T) {
	ctx, now := context.Background(), time.Now()
	log := &unwritable{}
	a := &App{Store: untouchable{}, Now: time.Now, By: "ana", decode: func([]byte) (astern.Plan, string, error) { return astern.Plan{}, "hash", nil }}
	a.Audit(log)
	event := astern.Event{Kind: astern.EventLatched}
	record := func(kind astern.RecordKind) func() error {
		return func() error {
			return a.Store.Append(ctx, "ex-1", 1, astern.Record{Kind: astern.RecordRound}, astern.Record{Kind: kind})
		}
	}
	tried := map[string]bool{}
	for _, c := range []struct {
		method string
		what   audit.What
		do     func() error
	}{
		{"PutPlan", audit.Planned, func() error { return a.Store.PutPlan(ctx, "hash", nil, now) }},
		{"CreateExecution", audit.Started, func() error {
			_, _, err := a.Store.CreateExecution(ctx, astern.Execution{PlanHash: "hash"}, 0)
			return err
		}},
		{"Take", audit.Taken, func() error { _, err := a.Store.Take(ctx, "ex-1", astern.Runner{}, nil, 0, now); return err }},
		{"AddApproval", audit.Approved, func() error { return a.Store.AddApproval(ctx, "hash", "bo", "approve", "", now) }},
		{"AddApproval", audit.Rejected, func() error { return a.Store.AddApproval(ctx, "hash", "bo", "reject", "", now) }},
		{"AddSigned", audit.Approved, func() error {
			return a.Store.AddSigned(ctx, astern.Approval{PlanHash: "hash", By: "bo", Verdict: "approve"})
		}},
		{"AddSigned", audit.Rejected, func() error {
			return a.Store.AddSigned(ctx, astern.Approval{PlanHash: "hash", By: "bo", Verdict: "reject"})
		}},
		{"AddOverride", audit.Overrode, func() error { return a.Store.AddOverride(ctx, astern.Override{PlanHash: "hash", By: "bo"}) }},
		{"AddReview", audit.Reviewed, func() error { return a.Store.AddReview(ctx, "hash", "bo", "it was right", now) }},
		{"AddEvent", audit.Latched, func() error { _, err := a.Store.AddEvent(ctx, event); return err }},
		{"AddEventUnder", audit.Latched, func() error { _, err := a.Store.AddEventUnder(ctx, 1, event); return err }},
		{"OpenIncident", audit.Incident, func() error {
			_, _, err := a.Store.OpenIncident(ctx, astern.IncidentEvent{Kind: astern.IncidentOpened})
			return err
		}},
		{"AddIncidentEvent", audit.Incident, func() error {
			_, err := a.Store.AddIncidentEvent(ctx, "inc-1", astern.IncidentEvent{Kind: astern.IncidentOwned})
			return err
		}},
		{"Append", audit.Ended, record(astern.RecordEnded)},
		{"Append", audit.Refused, record(astern.RecordRefused)},
		{"Append", audit.Said, record(astern.RecordSettled)},
		{"Append", audit.Said, record(astern.RecordTicked)},
	} {
		log.tried = nil
		if err := c.do(); !errors.Is(err, errUnwritable) || !slices.Equal(log.tried, []audit.What{c.what}) {
			t.Errorf("%s: %v, recorded %q, want %q", c.method, err, log.tried, c.what)
		}
		tried[c.method] = true
	}
	store := reflect.TypeFor[Store]()
	for i := range store.NumMethod() {
		if name := store.Method(i).Name; !tried[name] && unaudited[name] == "" {
			t.Errorf("the store's %s is neither recorded nor among those that need not be: give audited a method of that name", name)
		}
	}
}

// TestEndsThatDidNotHappen compares journals with the last end of an execution that was done.
func TestEndsThatDidNotHappen(t *testing.T) {
	var e Ends
	j := &audit.Journal{}
	for _, r := range []audit.Record{
		{Seq: 1, What: audit.Ended, Execution: "ex-1", Journal: j}, {Seq: 2, What: audit.Failed, Of: 1},
		{Seq: 3, What: audit.Ended, Execution: "ex-1", Journal: j}, {Seq: 4, What: audit.Ended, Execution: "ex-2", Journal: j},
	} {
		e.Add(r)
	}
	if got := e.Records(); len(got) != 2 || got[0].Seq != 3 || got[1].Seq != 4 {
		t.Errorf("%+v", got)
	}
}

// journalOf is a store of one execution's journal.
type journalOf struct {
	Journals
	records []astern.Record
	asked   []int // the limits
}

func (j *journalOf) ReadSome(_ context.Context, _ string, after int64, limit int) ([]astern.Record, error) {
	j.asked = append(j.asked, limit)
	i := slices.IndexFunc(j.records, func(r astern.Record) bool { return r.Seq > after })
	if i < 0 {
		return nil, nil
	}
	rest := j.records[i:]
	return rest[:min(limit, len(rest))], nil
}

// TestChainedWithoutOne: a record that somebody took away is missed, and none counts twice.
func TestChainedWithoutOne(t *testing.T) {
	store := &journalOf{records: []astern.Record{{Seq: 1}, {Seq: 2}, {Seq: 4}, {Seq: 5}}}
	if n, err := chained(t.Context(), store, "ex-1", audit.NewChain(), 5); n != 4 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
}

// TestChained: a journal is hashed a part at a time, as one that is whole, and no further than was asked.
func TestChained(t *testing.T) {
	records := make([]astern.Record, 2*chainedAtOnce+300)
	whole := audit.NewChain()
	var at []audit.Journal // after each record
	for i := range records {
		records[i] = astern.Record{Seq: int64(i) + 1, Kind: astern.RecordTicked, Text: fmt.Sprint(i)}
		if err := whole.Add(records[i]); err != nil {
			t.Fatal(err)
		}
		at = append(at, whole.Journal())
	}
	for _, c := range []struct {
		there int
		most  int64
		want  int
		asked []int
	}{
		{0, math.MaxInt64, 0, []int{chainedAtOnce}},
		{5, math.MaxInt64, 5, []int{chainedAtOnce, chainedAtOnce}},
		{len(records), math.MaxInt64, len(records), []int{chainedAtOnce, chainedAtOnce, chainedAtOnce, chainedAtOnce}},
		{len(records), chainedAtOnce + 7, chainedAtOnce + 7, []int{chainedAtOnce, 7}},
		{len(records), 7, 7, []int{7}},
		{7, 9, 7, []int{9, 2}},
	} {
		store, chain := &journalOf{records: records[:c.there]}, audit.NewChain()
		n, err := chained(t.Context(), store, "ex-1", chain, c.most)
		want := audit.NewChain().Journal()
		if c.want > 0 {
			want = at[c.want-1]
		}
		if err != nil || n != int64(c.want) || chain.Journal() != want || !slices.Equal(store.asked, c.asked) {
			t.Errorf("%d records, most %d: %d, %v, %+v, asked for %v", c.there, c.most, n, err, chain.Journal(), store.asked)
		}
	}
}
