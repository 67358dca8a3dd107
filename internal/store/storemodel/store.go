// Package storemodel is a store in memory that keeps the contract of storetest: the model that simulations run on, where the
// real store would be too slow. What it hands out has gone through JSON, as with the real one.
package storemodel

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// Store is the state of one system. It is safe for concurrent use.
type Store struct {
	mu         sync.Mutex
	plans      []sqlite.StoredPlan
	executions []*execution
	leases     map[string]int // address -> index of its execution
	fence      int64
	events     []astern.Event
	approvals  []astern.Approval
	incidents  []astern.IncidentLog
	signed     []astern.Approval
	overrides  []astern.Override
	dispatches []astern.Dispatch
	dispatched int64                // the last number given out
	channels   map[string]time.Time // since when each is told
}

// execution is one execution with its journal.
type execution struct {
	astern.Execution
	parent  int // index, -1 for none
	runner  *astern.Runner
	fence   int64
	records []astern.Record
}

// New returns an empty store.
func New() *Store { return &Store{leases: map[string]int{}, channels: map[string]time.Time{}} }

// StoreID returns the id of the store.
func (s *Store) StoreID(context.Context) (string, error) { return "model-of-a-store", nil }

// begin takes the store for one call unless ctx is over.
func (s *Store) begin(ctx context.Context) (end func(), err error) {
	if ctx.Err() != nil {
		return nil, astern.Errorf(astern.Interrupted, "using the store: %w", ctx.Err())
	}
	s.mu.Lock()
	return s.mu.Unlock, nil
}

// PutPlan stores a plan under its hash.
func (s *Store) PutPlan(ctx context.Context, hash string, doc []byte, at time.Time) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if len(hash) < 8 || len(doc) == 0 {
		return astern.Errorf(astern.Invalid, "storing plan %q: a plan needs its hash and its document", hash)
	}
	if i := s.plan(hash); i < 0 {
		s.plans = append(s.plans, sqlite.StoredPlan{Hash: hash, Doc: doc, At: at})
	} else if !bytes.Equal(s.plans[i].Doc, doc) {
		return astern.Errorf(astern.Conflict, "storing plan %s: another document is stored under this hash", hash)
	}
	return nil
}

func (s *Store) plan(hash string) int {
	return slices.IndexFunc(s.plans, func(p sqlite.StoredPlan) bool { return p.Hash == hash })
}

// Plan returns the plan whose hash begins with prefix.
func (s *Store) Plan(ctx context.Context, prefix string) ([]byte, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var found []string
	var doc []byte
	for _, p := range s.plans {
		if strings.HasPrefix(p.Hash, prefix) {
			found, doc = append(found, p.Hash), p.Doc
		}
	}
	switch {
	case len(prefix) < 8:
		return nil, astern.Errorf(astern.Invalid, "plan %q: at least 8 characters of a hash name a plan", prefix)
	case len(found) == 0:
		return nil, astern.Errorf(astern.NotFound, "there is no plan %s in this state folder", prefix)
	case len(found) > 1:
		return nil, astern.Errorf(astern.Invalid, "several plans begin so: %s", strings.Join(found, ", ")).WithHint("give more characters")
	}
	return doc, nil
}

// Plans returns the plans stored last, the newest first.
func (s *Store) Plans(ctx context.Context, limit int) ([]sqlite.StoredPlan, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return newest(s.plans, limit), nil
}

func newest[T any](all []T, limit int) []T {
	out := slices.Clone(all)
	slices.Reverse(out)
	if limit > 0 && limit < len(out) {
		out = out[:limit]
	}
	return out
}

// CreateExecution makes the execution of a stored plan and takes its leases, or nothing.
func (s *Store) CreateExecution(ctx context.Context, e astern.Execution, minFence int64) (astern.Execution, bool, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return astern.Execution{}, false, err
	}
	defer end()
	for _, x := range s.executions {
		if x.PlanHash == e.PlanHash {
			s.fence = max(s.fence, minFence)
			return x.Execution, false, nil
		}
	}
	if s.plan(e.PlanHash) < 0 {
		return e, false, astern.Errorf(astern.NotFound, "there is no plan %s in this state folder", e.PlanHash).
			WithHint("apply the plan's file, or choose the state folder with --state")
	}
	parent := -1
	if e.Parent != "" {
		if parent, err = s.find(e.Parent); err != nil {
			return e, false, err
		}
	}
	if err := s.refuseHeld(e.Addresses, s.lineage(parent)); err != nil {
		return e, false, err
	}
	e.ID = fmt.Sprintf("ex-%d", len(s.executions)+1)
	e.Addresses = slices.Concat([]string{}, e.Addresses)
	for _, a := range e.Addresses {
		s.leases[a] = len(s.executions)
	}
	s.executions = append(s.executions, &execution{Execution: e, parent: parent})
	s.fence = max(s.fence, minFence)
	return e, true, nil
}

// lineage returns the execution and those that it continues, the nearest first.
func (s *Store) lineage(n int) (out []int) {
	for ; n >= 0; n = s.executions[n].parent {
		out = append(out, n)
	}
	return out
}

func (s *Store) refuseHeld(addresses []string, elders []int) error {
	var held []string
	first := -1
	for _, a := range addresses {
		holder, ok := s.leases[a]
		if !ok || slices.Contains(elders, holder) {
			continue
		}
		if held = append(held, a+" is held by "+s.executions[holder].ID); first < 0 {
			first = holder
		}
	}
	if first < 0 {
		return nil
	}
	by := "no engine has taken it yet"
	if r := s.executions[first].runner; r != nil {
		by = "last taken by " + describe(*r)
	}
	id := s.executions[first].ID
	return astern.Errorf(astern.Conflict, "%s (%s)", strings.Join(held, ", "), by).
		WithHint("'astern follow %s', 'astern resume %s', or 'astern cancel %s'", id, id, id)
}

func describe(r astern.Runner) string {
	return fmt.Sprintf("process %d on %s, started by %s", r.PID, r.Host, r.User)
}

// find returns the index of the execution.
func (s *Store) find(id string) (int, error) {
	text, _ := strings.CutPrefix(id, "ex-")
	if n, err := strconv.Atoi(text); err == nil && fmt.Sprintf("ex-%d", n) == id && n >= 1 && n <= len(s.executions) {
		return n - 1, nil
	}
	return 0, astern.Errorf(astern.NotFound, "there is no execution %q in this state folder", id)
}

// Execution returns one execution.
func (s *Store) Execution(ctx context.Context, id string) (astern.Execution, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return astern.Execution{}, err
	}
	defer end()
	n, err := s.find(id)
	if err != nil {
		return astern.Execution{}, err
	}
	return s.executions[n].Execution, nil
}

// Executions returns executions, the newest first.
func (s *Store) Executions(ctx context.Context, limit int, onlyOpen bool) ([]astern.Execution, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var out []astern.Execution
	for _, x := range s.executions {
		if !onlyOpen || x.Outcome == "" {
			out = append(out, x.Execution)
		}
	}
	return newest(out, limit), nil
}

// Take makes r the runner of an unfinished execution and returns the fence under which it writes from now on.
func (s *Store) Take(ctx context.Context, id string, r astern.Runner, alive func(astern.Runner) bool, minFence int64, at time.Time) (int64, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	n, err := s.find(id)
	if err != nil {
		return 0, err
	}
	x := s.executions[n]
	if x.Outcome != "" {
		return 0, hasEnded(x)
	}
	if x.runner != nil && *x.runner != r && alive(*x.runner) {
		return 0, astern.Errorf(astern.Conflict, "taking execution %s: it is carried out by %s", id, describe(*x.runner)).
			WithHint("watch it with 'astern follow %s'", id)
	}
	s.fence = max(s.fence, minFence) + 1
	x.fence, x.runner = s.fence, &r
	return s.fence, x.write(s.fence, []astern.Record{{At: at, Kind: astern.RecordTaken, Runner: &r}})
}

func hasEnded(x *execution) error {
	return astern.Errorf(astern.Refused, "execution %s has ended (%s)", x.ID, x.Outcome).
		WithHint("make a new plan to go on, or 'astern undo %s' to reverse it", x.ID)
}

// Runner returns who took the execution last.
func (s *Store) Runner(ctx context.Context, id string) (astern.Runner, bool, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return astern.Runner{}, false, err
	}
	defer end()
	n, err := s.find(id)
	if err != nil || s.executions[n].runner == nil {
		return astern.Runner{}, false, err
	}
	return *s.executions[n].runner, true, nil
}

// Holder returns the unfinished execution that holds the lease of the address.
func (s *Store) Holder(ctx context.Context, address string) (string, bool, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return "", false, err
	}
	defer end()
	n, ok := s.leases[address]
	if !ok {
		return "", false, nil
	}
	return s.executions[n].ID, true, nil
}

// Fence returns the highest fence given out or heard of so far.
func (s *Store) Fence(ctx context.Context) (int64, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	return s.fence, nil
}

// write appends the records, all or none, as they come out of JSON.
func (x *execution) write(fence int64, recs []astern.Record) error {
	written := x.records
	for _, rec := range recs {
		next := int64(len(written)) + 1
		if rec.Seq != 0 && rec.Seq != next {
			return astern.Errorf(astern.Conflict, "record %d of %s would be number %d: %w", rec.Seq, x.ID, next, engine.ErrBehind)
		}
		rec.Seq, rec.Fence, rec.At = next, fence, rec.At.UTC()
		doc, err := json.Marshal(rec)
		if err != nil {
			return astern.Errorf(astern.Invalid, "record %d (%s) of %s can't be written as JSON: %w", rec.Seq, rec.Kind, x.ID, err)
		}
		var back astern.Record
		if err := json.Unmarshal(doc, &back); err != nil {
			return err
		}
		written = append(written, back)
	}
	x.records = written
	return nil
}
