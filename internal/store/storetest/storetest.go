// Package storetest holds the suite that every store of astern's state passes.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// Store is what the suite asks of a store; the method comments of sqlite.Store are the contract.
type Store interface {
	Plans
	Executions
	Leases
	Journal
	Ledger
	Approvals
	Incidents
	Signed
	Overrides
	Notices
}

// Plans keeps plans under their hash.
type Plans interface {
	PutPlan(ctx context.Context, hash string, doc []byte, at time.Time) error
	Plan(ctx context.Context, hash string) ([]byte, error)
	Plans(ctx context.Context, limit int) ([]sqlite.StoredPlan, error)
	RecentPlans(ctx context.Context, since time.Time) (map[string][]byte, error)
}

// Executions keeps executions, one for each plan, and who carries them out.
type Executions interface {
	CreateExecution(ctx context.Context, e astern.Execution, minFence int64) (made astern.Execution, created bool, err error)
	Execution(ctx context.Context, id string) (astern.Execution, error)
	Executions(ctx context.Context, limit int, onlyOpen bool) ([]astern.Execution, error)
	Take(ctx context.Context, id string, r astern.Runner, alive func(astern.Runner) bool, minFence int64, at time.Time) (fence int64, err error)
	Runner(ctx context.Context, id string) (r astern.Runner, ok bool, err error)
}

// Leases tells who may change a component, and the highest fence.
type Leases interface {
	Holder(ctx context.Context, address string) (executionID string, ok bool, err error)
	Fence(ctx context.Context) (int64, error)
	StoreID(ctx context.Context) (string, error)
}

// Journal keeps the records of executions.
type Journal interface {
	Append(ctx context.Context, id string, fence int64, recs ...astern.Record) error
	Read(ctx context.Context, id string, after int64) ([]astern.Record, error)
	ReadSome(ctx context.Context, id string, after int64, limit int) ([]astern.Record, error)
}

// Ledger keeps what was deployed.
type Ledger interface {
	AddEvent(ctx context.Context, e astern.Event) (astern.Event, error)
	AddEventUnder(ctx context.Context, fence int64, e astern.Event) (astern.Event, error)
	Events(ctx context.Context, address string, limit int) ([]astern.Event, error)
	EventByToken(ctx context.Context, token string) (astern.Event, bool, error)
}

// Approvals keeps what people said of plans.
type Approvals interface {
	AddApproval(ctx context.Context, planHash, by, verdict, reason string, at time.Time) error
	Approvals(ctx context.Context, planHash string) ([]astern.Approval, error)
}

// Incidents keeps what is told of incidents.
type Incidents interface {
	OpenIncident(ctx context.Context, e astern.IncidentEvent) (id string, opened bool, err error)
	AddIncidentEvent(ctx context.Context, id string, e astern.IncidentEvent) (seq int64, err error)
	Incident(ctx context.Context, id string) (astern.IncidentLog, error)
	Incidents(ctx context.Context) ([]astern.IncidentLog, error)
}

// Run runs the suite; open gives a new, empty store each time and closes it when its test ends.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, part := range []struct {
		name string
		test func(t *testing.T, s Store)
	}{
		{"plans", plans},
		{"recent plans", recentPlans},
		{"one plan, one execution", oneExecution},
		{"leases are taken all or none", leases},
		{"leases are handed over to a child", handover},
		{"leases go back to an unfinished parent", handback},
		{"take", take},
		{"fence", fence},
		{"journal", journal},
		{"numbered records", numbered},
		{"journal refuses", journalRefuses},
		{"end", end},
		{"ledger", ledger},
		{"ledger under a fence", ledgerFenced},
		{"approvals", approvals},
		{"incidents", incidents},
		{"race to open an incident", raceToOpen},
		{"signed approvals", signed},
		{"race of approvals", raceOfApprovals},
		{"overrides", overrides},
		{"outbox", outbox},
		{"outbox, told together", toldTogether},
		{"outbox in many hands", raceToSend},
		{"channels", subscribe},
		{"cancelled context", cancelled},
		{"race for a lease", raceForLease},
		{"race to take", raceToTake},
		{"race to write the journal", raceToWrite},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, open(t)) })
	}
}

// start is the time at which the suite's stories begin.
var start = time.Date(2026, 3, 1, 3, 4, 5, 678901234, time.UTC)

// hash makes the hash of a plan out of a short name.
func hash(name string) string { return name + strings.Repeat("0", 64-len(name)) }

// must fails the test at once on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (hint: %s)", err, astern.HintOf(err))
	}
}

// wants fails the test unless err has the code and names all of the words in message or hint.
func wants(t *testing.T, err error, code astern.Code, words ...string) {
	t.Helper()
	if astern.CodeOf(err) != code {
		t.Fatalf("got %v (%s), want %s", err, astern.CodeOf(err), code)
	}
	text := err.Error() + "\n" + astern.HintOf(err)
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not say %q", text, w)
		}
	}
}

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("not as wanted (-want +got):\n%s", d)
	}
}

// execution stores a plan and makes its execution.
func execution(t *testing.T, s Store, plan, parent string, addresses ...string) (astern.Execution, error) {
	t.Helper()
	must(t, s.PutPlan(t.Context(), hash(plan), []byte(`{"plan":"`+plan+`"}`), start))
	e, created, err := s.CreateExecution(t.Context(), astern.Execution{PlanHash: hash(plan), CreatedAt: start,
		Addresses: addresses, Parent: parent}, 0)
	if err == nil && !created {
		t.Fatalf("plan %s had an execution already: %+v", plan, e)
	}
	return e, err
}

func made(t *testing.T, s Store, plan, parent string, addresses ...string) astern.Execution {
	t.Helper()
	e, err := execution(t, s, plan, parent, addresses...)
	must(t, err)
	return e
}

var (
	web1 = astern.Runner{Host: "web-1", PID: 101, Start: "5", Boot: "b1", User: "ann"}
	web2 = astern.Runner{Host: "web-2", PID: 202, Start: "6", Boot: "b2", User: "bob"}
)

func living(astern.Runner) bool { return true }
func dead(astern.Runner) bool   { return false }

func taken(t *testing.T, s Store, id string, r astern.Runner) int64 {
	t.Helper()
	f, err := s.Take(t.Context(), id, r, dead, 0, start)
	must(t, err)
	return f
}

func holder(t *testing.T, s Store, address string) string {
	t.Helper()
	id, ok, err := s.Holder(t.Context(), address)
	must(t, err)
	if ok != (id != "") {
		t.Fatalf("holder of %s: %q, %v", address, id, ok)
	}
	return id
}

func ended(o astern.Outcome) astern.Record {
	return astern.Record{At: start.Add(time.Hour), Kind: astern.RecordEnded, Outcome: o}
}

func plans(t *testing.T, s Store) {
	ctx := t.Context()
	a, b := "aaaaaaaa11"+strings.Repeat("0", 54), "aaaaaaaa12"+strings.Repeat("0", 54)
	doc := []byte(`{"kind":"Plan"}`)
	must(t, s.PutPlan(ctx, a, doc, start))
	must(t, s.PutPlan(ctx, b, []byte(`{"kind":"Plan","version":1}`), start.Add(time.Second)))
	must(t, s.PutPlan(ctx, a, doc, start.Add(time.Hour))) // the same again
	for _, name := range []string{a, "aaaaaaaa11"} {
		got, err := s.Plan(ctx, name)
		must(t, err)
		if !bytes.Equal(got, doc) {
			t.Fatalf("%s: %s", name, got)
		}
	}
	_, err := s.Plan(ctx, "aaaaaaaa1")
	wants(t, err, astern.Invalid, a, b, "more characters")
	_, err = s.Plan(ctx, "aaaaaaa")
	wants(t, err, astern.Invalid, "8")
	_, err = s.Plan(ctx, "")
	wants(t, err, astern.Invalid, "8")
	for _, strange := range []string{"bbbbbbbbbbbb", "aaaaaaaa%%", "aaaaaaaa__", "' OR 1=1 --"} {
		_, err = s.Plan(ctx, strange)
		wants(t, err, astern.NotFound, strange)
	}
	wants(t, s.PutPlan(ctx, a, []byte(`{}`), start), astern.Conflict, a)
	wants(t, s.PutPlan(ctx, "", []byte(`{}`), start), astern.Invalid)
	all, err := s.Plans(ctx, 0)
	must(t, err)
	same(t, all, []sqlite.StoredPlan{{Hash: b, Doc: []byte(`{"kind":"Plan","version":1}`), At: start.Add(time.Second)},
		{Hash: a, Doc: doc, At: start}})
	newest, err := s.Plans(ctx, 1)
	must(t, err)
	same(t, newest, all[:1])
}

func oneExecution(t *testing.T, s Store) {
	ctx := t.Context()
	_, _, err := s.CreateExecution(ctx, astern.Execution{PlanHash: hash("never"), CreatedAt: start}, 0)
	wants(t, err, astern.NotFound, "never", "--state")
	first := made(t, s, "one", "", "production/shop", "production/stock")
	same(t, first, astern.Execution{ID: "ex-1", PlanHash: hash("one"), CreatedAt: start,
		Addresses: []string{"production/shop", "production/stock"}})
	again, created, err := s.CreateExecution(ctx, astern.Execution{ID: "mine", PlanHash: hash("one"), CreatedAt: start.Add(time.Hour),
		Addresses: []string{"production/other"}}, 0)
	must(t, err)
	if created {
		t.Fatal("a plan was given a second execution")
	}
	same(t, again, first)
	if h := holder(t, s, "production/other"); h != "" {
		t.Fatalf("the second call took a lease for %s", h)
	}
	second := made(t, s, "two", "", "staging/shop")
	got, err := s.Execution(ctx, "ex-2")
	must(t, err)
	same(t, got, second)
	for _, id := range []string{"ex-3", "ex-0", "ex-01", "1", "", "ex-", "ex-1 ", "ex--1", "ex-99999999999999999999"} {
		_, err = s.Execution(ctx, id)
		wants(t, err, astern.NotFound, fmt.Sprintf("%q", id))
	}
	must(t, s.Append(ctx, "ex-1", taken(t, s, "ex-1", web1), ended(astern.OutcomeDone)))
	all, err := s.Executions(ctx, 0, false)
	must(t, err)
	same(t, []string{all[0].ID, all[1].ID}, []string{"ex-2", "ex-1"})
	open, err := s.Executions(ctx, 0, true)
	must(t, err)
	same(t, open, []astern.Execution{second})
	newest, err := s.Executions(ctx, 1, false)
	must(t, err)
	same(t, newest, []astern.Execution{second})
	// An ended execution stays the one of its plan.
	again, created, err = s.CreateExecution(ctx, astern.Execution{PlanHash: hash("one"), CreatedAt: start}, 0)
	must(t, err)
	if created || again.ID != "ex-1" || again.Outcome != astern.OutcomeDone {
		t.Fatalf("created %v: %+v", created, again)
	}
}

func leases(t *testing.T, s Store) {
	ctx := t.Context()
	made(t, s, "one", "", "production/shop", "production/shop", "production/db")
	_, err := execution(t, s, "two", "", "production/stock", "production/shop", "production/db")
	wants(t, err, astern.Conflict, "production/shop is held by ex-1", "production/db is held by ex-1", "no engine has taken it",
		"resume ex-1", "cancel ex-1", "follow ex-1")
	if h := holder(t, s, "production/stock"); h != "" {
		t.Fatalf("the refused execution kept a lease: %s", h)
	}
	all, err := s.Executions(ctx, 0, false)
	must(t, err)
	if len(all) != 1 {
		t.Fatalf("the refused execution was kept: %+v", all)
	}
	f := taken(t, s, "ex-1", web1)
	_, err = execution(t, s, "two", "", "production/shop")
	wants(t, err, astern.Conflict, "process 101 on web-1", "ann")
	must(t, s.Append(ctx, "ex-1", f, ended(astern.OutcomeDone)))
	for _, address := range []string{"production/shop", "production/db"} {
		if h := holder(t, s, address); h != "" {
			t.Fatalf("the end left %s to %s", address, h)
		}
	}
	if e := made(t, s, "two", "", "production/stock", "production/shop"); holder(t, s, "production/shop") != e.ID {
		t.Fatal("a lease that was free was not taken")
	}
	if e := made(t, s, "three", ""); len(e.Addresses) != 0 {
		t.Fatalf("an execution without addresses has some: %+v", e)
	}
	_, _, err = s.CreateExecution(ctx, astern.Execution{PlanHash: hash("never"), Parent: "ex-77"}, 0)
	wants(t, err, astern.NotFound)
}

func handover(t *testing.T, s Store) {
	ctx := t.Context()
	parent := made(t, s, "parent", "", "production/shop", "production/db")
	other := made(t, s, "other", "", "production/stock")
	_, err := execution(t, s, "greedy", parent.ID, "production/shop", "production/stock")
	wants(t, err, astern.Conflict, "production/stock is held by "+other.ID)
	if h := holder(t, s, "production/shop"); h != parent.ID {
		t.Fatalf("a refused child has the parent's lease: %q", h)
	}
	_, err = execution(t, s, "orphan", "ex-99", "production/new")
	wants(t, err, astern.NotFound, "ex-99")
	child := made(t, s, "child", parent.ID, "production/shop", "production/new")
	if child.Parent != parent.ID {
		t.Fatalf("child: %+v", child)
	}
	same(t, []string{holder(t, s, "production/shop"), holder(t, s, "production/new"), holder(t, s, "production/db")},
		[]string{child.ID, child.ID, parent.ID})
	// The parent's end frees what it kept and nothing of the child's.
	must(t, s.Append(ctx, parent.ID, taken(t, s, parent.ID, web1), ended(astern.OutcomeContinued)))
	same(t, []string{holder(t, s, "production/shop"), holder(t, s, "production/db")}, []string{child.ID, ""})
	must(t, s.Append(ctx, child.ID, taken(t, s, child.ID, web1), ended(astern.OutcomeDone)))
	same(t, holder(t, s, "production/shop"), "")
	// What an ended parent once had is free for anybody, and not the child's by birth.
	made(t, s, "stranger", "", "production/shop")
	_, err = execution(t, s, "undo", parent.ID, "production/shop")
	wants(t, err, astern.Conflict, "production/shop is held by")
}

func handback(t *testing.T, s Store) {
	ctx := t.Context()
	top := made(t, s, "top", "", "production/shop", "production/db")
	middle := made(t, s, "middle", top.ID, "production/shop", "production/db")
	low := made(t, s, "low", middle.ID, "production/shop", "production/extra")
	must(t, s.Append(ctx, middle.ID, taken(t, s, middle.ID, web1), ended(astern.OutcomeContinued)))
	same(t, []string{holder(t, s, "production/shop"), holder(t, s, "production/db")}, []string{low.ID, top.ID})
	must(t, s.Append(ctx, low.ID, taken(t, s, low.ID, web1), ended(astern.OutcomeDone)))
	same(t, []string{holder(t, s, "production/shop"), holder(t, s, "production/extra")}, []string{top.ID, ""})
	must(t, s.Append(ctx, top.ID, taken(t, s, top.ID, web1), ended(astern.OutcomeContinued)))
	same(t, []string{holder(t, s, "production/shop"), holder(t, s, "production/db")}, []string{"", ""})
}

func take(t *testing.T, s Store) {
	ctx := t.Context()
	e := made(t, s, "one", "", "production/shop")
	_, ok, err := s.Runner(ctx, e.ID)
	must(t, err)
	if ok {
		t.Fatal("nobody took it, and it has a runner")
	}
	first, err := s.Take(ctx, e.ID, web1, living, 0, start)
	must(t, err)
	var asked []astern.Runner
	_, err = s.Take(ctx, e.ID, web2, func(r astern.Runner) bool { asked = append(asked, r); return true }, 0, start)
	wants(t, err, astern.Conflict, "web-1", "101", "ann", "follow "+e.ID)
	same(t, asked, []astern.Runner{web1})
	again, err := s.Take(ctx, e.ID, web1, living, 0, start) // itself
	must(t, err)
	second, err := s.Take(ctx, e.ID, web2, dead, 0, start.Add(time.Minute))
	must(t, err)
	if !(0 < first && first < again && again < second) {
		t.Fatalf("fences do not rise: %d, %d, %d", first, again, second)
	}
	r, ok, err := s.Runner(ctx, e.ID)
	must(t, err)
	if !ok || r != web2 {
		t.Fatalf("runner: %v, %+v", ok, r)
	}
	recs, err := s.Read(ctx, e.ID, 0)
	must(t, err)
	same(t, recs, []astern.Record{
		{Seq: 1, At: start, Kind: astern.RecordTaken, Fence: first, Runner: &web1},
		{Seq: 2, At: start, Kind: astern.RecordTaken, Fence: again, Runner: &web1},
		{Seq: 3, At: start.Add(time.Minute), Kind: astern.RecordTaken, Fence: second, Runner: &web2}})
	above, err := s.Take(ctx, e.ID, web2, dead, second+7, start)
	must(t, err)
	below, err := s.Take(ctx, e.ID, web2, dead, second, start)
	must(t, err)
	if above != second+8 || below != above+1 {
		t.Fatalf("after fence %d, above the %d and then the %d of a host: %d and %d", second, second+7, second, above, below)
	}
	must(t, s.Append(ctx, e.ID, below, ended(astern.OutcomeDone)))
	_, err = s.Take(ctx, e.ID, web1, dead, 0, start)
	wants(t, err, astern.Refused, "ended", "done")
	_, err = s.Take(ctx, "ex-9", web1, dead, 0, start)
	wants(t, err, astern.NotFound, "ex-9")
	_, _, err = s.Runner(ctx, "ex-9")
	wants(t, err, astern.NotFound, "ex-9")
}

func fence(t *testing.T, s Store) {
	ctx := t.Context()
	f, err := s.Fence(ctx)
	must(t, err)
	same(t, f, 0)
	a, b := made(t, s, "one", "", "production/a"), made(t, s, "two", "", "production/b")
	same(t, []int64{taken(t, s, a.ID, web1), taken(t, s, b.ID, web1), taken(t, s, a.ID, web2)}, []int64{1, 2, 3})
	// Hosts remember a higher fence than a store that was lost.
	must(t, s.PutPlan(ctx, hash("three"), []byte(`{}`), start))
	for _, heard := range []int64{40, 7} {
		_, _, err = s.CreateExecution(ctx, astern.Execution{PlanHash: hash("three"), CreatedAt: start}, heard)
		must(t, err)
		f, err = s.Fence(ctx)
		must(t, err)
		same(t, f, 40)
	}
	same(t, taken(t, s, b.ID, web2), 41)
	id, err := s.StoreID(ctx)
	must(t, err)
	again, err := s.StoreID(ctx)
	must(t, err)
	if len(id) < 16 || id != again {
		t.Fatalf("store ids %q, %q", id, again)
	}
}

// rich is a record with something in every field.
func rich() astern.Record {
	return astern.Record{At: start, Kind: astern.RecordIntent, Step: "1.swap@web-1", Stage: 1, Attempt: 2, Gate: true,
		Call: &astern.Call{Execution: "ex-1", Step: "1.swap@web-1", Address: "production/shop", Kind: "host.service", Verb: "swap",
			Member: "web-1", Args: map[string]astern.Arg{"a": astern.Text("ü\x00\n\"<&>"), "n": astern.Int(1<<53 - 1), "b": astern.Bool(true),
				"l": astern.List("x", ""), "r": astern.OutputOf("0.x", "y")},
			Image: astern.Image{"link": "v1"}, Token: "t", Fence: 3},
		Op: &astern.Op{Status: astern.OpDone, Handle: map[string]string{"h": "1"}, Outputs: map[string]astern.Arg{"o": astern.Text("v")},
			Progress: "2 of 3", Code: astern.Throttled, Error: "e", Hint: "h", PollSeconds: 1.5},
		Results:     []astern.CheckResult{{Check: "health@web-1", Verdict: astern.Pass, Evidence: "200", At: start, Seconds: 0.25, Attempts: 1}},
		Differences: []astern.Difference{{Address: "production/shop", Path: "revision", Expected: "v1", Found: "v2"}},
		Code:        astern.Refused, Text: "text", By: "ann"}
}

func journal(t *testing.T, s Store) {
	ctx := t.Context()
	e := made(t, s, "one", "", "production/shop")
	f := taken(t, s, e.ID, web1)
	must(t, s.Append(ctx, e.ID, f, rich(), astern.Record{At: start, Kind: astern.RecordRound}))
	must(t, s.Append(ctx, e.ID, f)) // nothing
	must(t, s.Append(ctx, e.ID, 0, astern.Record{At: start.In(time.FixedZone("", 7200)), Kind: astern.RecordPaused, By: "bob"}))
	recs, err := s.Read(ctx, e.ID, 0)
	must(t, err)
	want := []astern.Record{{Kind: astern.RecordTaken, At: start, Runner: &web1}, rich(), {At: start, Kind: astern.RecordRound},
		{At: start, Kind: astern.RecordPaused, By: "bob"}}
	for i := range want {
		want[i].Seq = int64(i + 1)
		if i < 3 {
			want[i].Fence = f
		}
	}
	same(t, recs, want)
	some, err := s.Read(ctx, e.ID, 2)
	must(t, err)
	same(t, some, want[2:])
	none, err := s.Read(ctx, e.ID, 4)
	must(t, err)
	same(t, len(none), 0)
	for limit, n := range map[int]int{0: 3, 1: 1, 2: 2, 3: 3, 9: 3} {
		some, err := s.ReadSome(ctx, e.ID, 1, limit)
		must(t, err)
		same(t, some, want[1:1+n])
	}
	other := made(t, s, "two", "", "production/db")
	must(t, s.Append(ctx, other.ID, 0, astern.Record{At: start, Kind: astern.RecordCancelled, By: "bob"}))
	recs, err = s.Read(ctx, other.ID, 0)
	must(t, err)
	same(t, recs[0].Seq, 1)
}

// numbered: records that know their numbers are written only where these are the next.
func numbered(t *testing.T, s Store) {
	ctx := t.Context()
	e := made(t, s, "one", "", "production/shop")
	f := taken(t, s, e.ID, web1)
	at := func(seq int64) astern.Record { return astern.Record{Seq: seq, At: start, Kind: astern.RecordRound} }
	must(t, s.Append(ctx, e.ID, f, at(2), at(3)))
	must(t, s.Append(ctx, e.ID, 0, astern.Record{At: start, Kind: astern.RecordPaused, By: "bob"}))
	for _, recs := range [][]astern.Record{{at(4)}, {at(6)}, {at(5), at(7)}, {at(5), at(5)}, {at(4), at(5)}} {
		err := s.Append(ctx, e.ID, f, recs...)
		if wants(t, err, astern.Conflict); !errors.Is(err, sqlite.ErrBehind) {
			t.Fatalf("records %d … after 4 answer %v", recs[0].Seq, err)
		}
	}
	late := taken(t, s, e.ID, web2) // record 5
	if err := s.Append(ctx, e.ID, f, at(6)); !errors.Is(err, sqlite.ErrFenced) {
		t.Fatalf("an old fence with the right number answers %v", err)
	}
	end := ended(astern.OutcomeDone)
	end.Seq = 7
	must(t, s.Append(ctx, e.ID, late, at(6), end))
	wants(t, s.Append(ctx, e.ID, late, at(8)), astern.Refused)
	recs, err := s.Read(ctx, e.ID, 0)
	must(t, err)
	if len(recs) != 7 || recs[6].Seq != 7 || recs[5].Fence != late {
		t.Fatalf("the journal is %+v", recs)
	}
}

func journalRefuses(t *testing.T, s Store) {
	ctx := t.Context()
	e := made(t, s, "one", "", "production/shop")
	round := astern.Record{At: start, Kind: astern.RecordRound}
	err := s.Append(ctx, e.ID, 1, round)
	if wants(t, err, astern.Conflict); !errors.Is(err, sqlite.ErrFenced) {
		t.Fatalf("nobody took it, and fence 1 answers %v", err)
	}
	old := taken(t, s, e.ID, web1)
	f := taken(t, s, e.ID, web2)
	err = s.Append(ctx, e.ID, old, round)
	if wants(t, err, astern.Conflict, "web-2"); !errors.Is(err, sqlite.ErrFenced) {
		t.Fatalf("the old fence answers %v", err)
	}
	if err = s.Append(ctx, e.ID, f+1, round); !errors.Is(err, sqlite.ErrFenced) {
		t.Fatalf("a fence that nobody was given answers %v", err)
	}
	wants(t, s.Append(ctx, e.ID, 0, round), astern.Invalid, "round")
	wants(t, s.Append(ctx, e.ID, 0, ended(astern.OutcomeDone)), astern.Invalid, "ended")
	wants(t, s.Append(ctx, e.ID, f, astern.Record{At: start, Kind: astern.RecordEnded}), astern.Invalid, "outcome")
	wants(t, s.Append(ctx, "ex-9", f, round), astern.NotFound, "ex-9")
	_, err = s.Read(ctx, "ex-9", 0)
	wants(t, err, astern.NotFound, "ex-9")
	// All or none: the second record can't be encoded.
	bad := rich()
	bad.Call.Args["a"] = astern.Arg{Literal: 1.5}
	wants(t, s.Append(ctx, e.ID, f, round, bad), astern.Invalid, "record 4")
	recs, err := s.Read(ctx, e.ID, 0)
	must(t, err)
	if len(recs) != 2 {
		t.Fatalf("something refused was written: %+v", recs)
	}
}

func end(t *testing.T, s Store) {
	ctx := t.Context()
	e := made(t, s, "one", "", "production/shop")
	old := taken(t, s, e.ID, web1)
	f := taken(t, s, e.ID, web2)
	late := astern.Record{At: start, Kind: astern.RecordRound}
	wants(t, s.Append(ctx, e.ID, f, ended(astern.OutcomeDone), late), astern.Refused)
	if got, err := s.Execution(ctx, e.ID); err != nil || got.EndedAt != nil || holder(t, s, "production/shop") != e.ID {
		t.Fatalf("a refused end ended it: %+v, %v", got, err)
	}
	must(t, s.Append(ctx, e.ID, f, late, ended(astern.OutcomeIncomplete)))
	got, err := s.Execution(ctx, e.ID)
	must(t, err)
	at := start.Add(time.Hour)
	same(t, got, astern.Execution{ID: e.ID, PlanHash: hash("one"), CreatedAt: start, EndedAt: &at, Outcome: astern.OutcomeIncomplete,
		Addresses: []string{"production/shop"}})
	wants(t, s.Append(ctx, e.ID, f, late), astern.Refused, "ended", "incomplete")
	wants(t, s.Append(ctx, e.ID, f, ended(astern.OutcomeDone)), astern.Refused)
	wants(t, s.Append(ctx, e.ID, 0, astern.Record{At: start, Kind: astern.RecordCancelled, By: "ann"}), astern.Refused, "undo "+e.ID)
	if err := s.Append(ctx, e.ID, old, late); !errors.Is(err, sqlite.ErrFenced) {
		t.Fatalf("the old fence answers %v", err)
	}
	must(t, s.Append(ctx, e.ID, 0, astern.Record{At: at, Kind: astern.RecordTicked, Step: "production/shop", Text: "error-rate", By: "ann"}))
	recs, err := s.Read(ctx, e.ID, 0)
	must(t, err)
	var kinds []astern.RecordKind
	for i, r := range recs {
		same(t, r.Seq, int64(i+1))
		kinds = append(kinds, r.Kind)
	}
	same(t, kinds, []astern.RecordKind{astern.RecordTaken, astern.RecordTaken, astern.RecordRound, astern.RecordEnded, astern.RecordTicked})
}

func ledger(t *testing.T, s Store) {
	ctx := t.Context()
	var want []astern.Event
	for i := range 5 {
		e := astern.Event{At: start.Add(time.Duration(i) * time.Second), Address: "production/shop", Kind: astern.EventDeployed,
			Revision: fmt.Sprintf("v1.%d", i), Hash: "h", Artifact: "a", Commit: "c", By: "ann", Reason: "because", Execution: "ex-1"}
		if i%2 == 1 {
			e.Address, e.Token = "production/stock", fmt.Sprintf("token-%d", i)
		}
		got, err := s.AddEvent(ctx, e)
		must(t, err)
		if i > 0 && got.Seq <= want[i-1].Seq {
			t.Fatalf("sequence numbers do not rise: %d after %d", got.Seq, want[i-1].Seq)
		}
		e.Seq = got.Seq
		same(t, got, e)
		want = append(want, e)
	}
	again := want[1]
	again.Revision, again.Seq = "v9", 0
	got, err := s.AddEvent(ctx, again)
	must(t, err)
	same(t, got, want[1])
	for _, c := range []struct {
		address string
		limit   int
		want    []astern.Event
	}{
		{"", 0, want}, {"", 2, want[3:]}, {"production/stock", 0, []astern.Event{want[1], want[3]}},
		{"production/stock", 1, want[3:4]}, {"production/none", 0, nil},
	} {
		got, err := s.Events(ctx, c.address, c.limit)
		must(t, err)
		same(t, got, c.want)
	}
	found, ok, err := s.EventByToken(ctx, "token-3")
	must(t, err)
	same(t, found, want[3])
	same(t, ok, true)
	for _, token := range []string{"", "token-9"} {
		_, ok, err = s.EventByToken(ctx, token)
		must(t, err)
		same(t, ok, false)
	}
}

func ledgerFenced(t *testing.T, s Store) {
	ctx := t.Context()
	e := made(t, s, "one", "", "production/shop")
	event := astern.Event{At: start, Address: "production/shop", Kind: astern.EventLatched, Revision: "v1", By: "ann", Execution: e.ID, Token: "t1"}
	_, err := s.AddEventUnder(ctx, 1, event)
	if wants(t, err, astern.Conflict); !errors.Is(err, sqlite.ErrFenced) {
		t.Fatalf("nobody took it, and fence 1 answers %v", err)
	}
	old := taken(t, s, e.ID, web1)
	first, err := s.AddEventUnder(ctx, old, event)
	must(t, err)
	f := taken(t, s, e.ID, web2)
	late := event
	late.Token = "t2"
	_, err = s.AddEventUnder(ctx, old, late)
	if wants(t, err, astern.Conflict, "web-2"); !errors.Is(err, sqlite.ErrFenced) {
		t.Fatalf("the old fence answers %v", err)
	}
	again, err := s.AddEventUnder(ctx, f, event)
	must(t, err)
	same(t, again, first)
	late.Execution = "ex-9"
	_, err = s.AddEventUnder(ctx, f, late)
	wants(t, err, astern.NotFound, "ex-9")
	all, err := s.Events(ctx, "", 0)
	must(t, err)
	same(t, all, []astern.Event{first})
}

func approvals(t *testing.T, s Store) {
	ctx := t.Context()
	must(t, s.PutPlan(ctx, hash("one"), []byte(`{}`), start))
	none, err := s.Approvals(ctx, hash("one"))
	must(t, err)
	same(t, len(none), 0)
	must(t, s.AddApproval(ctx, hash("one"), "zoe", sqlite.Approve, "looks right", start))
	must(t, s.AddApproval(ctx, hash("one"), "bob", sqlite.Reject, "not now", start.Add(time.Second)))
	must(t, s.AddApproval(ctx, hash("one"), "zoe", sqlite.Approve, "again", start.Add(time.Hour)))
	wants(t, s.AddApproval(ctx, hash("one"), "zoe", sqlite.Reject, "changed my mind", start), astern.Conflict, "zoe", "approve")
	wants(t, s.AddApproval(ctx, hash("one"), "zoe", "maybe", "", start), astern.Invalid, "maybe")
	wants(t, s.AddApproval(ctx, hash("one"), "", sqlite.Approve, "", start), astern.Invalid)
	wants(t, s.AddApproval(ctx, hash("two"), "zoe", sqlite.Approve, "", start), astern.NotFound, hash("two"))
	got, err := s.Approvals(ctx, hash("one"))
	must(t, err)
	same(t, got, []astern.Approval{{PlanHash: hash("one"), By: "zoe", Verdict: sqlite.Approve, Reason: "looks right", At: start},
		{PlanHash: hash("one"), By: "bob", Verdict: sqlite.Reject, Reason: "not now", At: start.Add(time.Second)}})
}

func cancelled(t *testing.T, s Store) {
	e := made(t, s, "one", "", "production/shop")
	f := taken(t, s, e.ID, web1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Append(ctx, e.ID, f, rich())
	if !errors.Is(err, context.Canceled) || errors.Is(err, sqlite.ErrUnknownCommit) {
		t.Fatalf("got %v", err)
	}
	wants(t, err, astern.Interrupted)
	recs, err := s.Read(t.Context(), e.ID, 1)
	must(t, err)
	if len(recs) != 0 {
		t.Fatalf("written although it was cancelled before: %+v", recs)
	}
	must(t, s.Append(t.Context(), e.ID, f, rich()))
}
