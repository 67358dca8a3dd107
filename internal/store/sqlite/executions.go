package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// CreateExecution makes the execution of a stored plan, and takes the lease of each of its addresses, or nothing. The
// store gives the id ("ex-1", "ex-2" …); ID, EndedAt and Outcome of e are not used. A plan has one execution: a second
// call for the same plan returns the first one with created false.
//
// An address whose lease an unfinished execution holds answers Conflict. The exception is e.Parent and the executions that
// it continues: their leases are handed over. The store's fence rises to at least minFence, so that it stays above what hosts
// remember when a state folder was lost.
func (s *Store) CreateExecution(ctx context.Context, e astern.Execution, minFence int64) (
	made astern.Execution, created bool, err error) {
	err = s.write(ctx, "creating the execution of plan "+e.PlanHash, func(tx *sql.Tx) error {
		made, created, err = createExecution(ctx, tx, e)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE store SET fence = max(fence, ?)`, minFence)
		return err
	})
	if err != nil {
		return astern.Execution{}, false, err
	}
	return made, created, nil
}

func createExecution(ctx context.Context, tx *sql.Tx, e astern.Execution) (astern.Execution, bool, error) {
	first, err := scanExecution(tx.QueryRowContext(ctx, selectExecution+` WHERE plan = ?`, e.PlanHash))
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return first, false, err
	}
	if err := mustHavePlan(ctx, tx, e.PlanHash); err != nil {
		return e, false, err
	}
	parent, elders := any(nil), []int64(nil)
	if e.Parent != "" {
		n, err := number(ctx, tx, e.Parent)
		if err != nil {
			return e, false, err
		}
		parent = n
		if elders, err = lineage(ctx, tx, n); err != nil {
			return e, false, err
		}
	}
	if err := refuseHeld(ctx, tx, e.Addresses, elders); err != nil {
		return e, false, err
	}
	addresses, _ := json.Marshal(slices.Concat([]string{}, e.Addresses)) // text always works; never null
	var n int64
	err = tx.QueryRowContext(ctx, `INSERT INTO executions (plan, created_at, addresses, parent) VALUES (?, ?, ?, ?) RETURNING n`,
		e.PlanHash, stamp(e.CreatedAt), string(addresses), parent).Scan(&n)
	if err != nil {
		return e, false, err
	}
	for _, address := range e.Addresses {
		if _, err := tx.ExecContext(ctx, `INSERT INTO leases (address, execution) VALUES (?, ?)
			ON CONFLICT (address) DO UPDATE SET execution = excluded.execution`, address, n); err != nil {
			return e, false, err
		}
	}
	made, err := scanExecution(tx.QueryRowContext(ctx, selectExecution+` WHERE n = ?`, n))
	return made, true, err
}

// refuseHeld answers Conflict if one of the addresses is leased to an execution that is not among the elders. It names
// every such address, and who carries out the execution that holds the first.
func refuseHeld(ctx context.Context, tx *sql.Tx, addresses []string, elders []int64) error {
	var held []string
	var first int64
	for _, address := range addresses {
		holder, ok, err := leaseOf(ctx, tx, address)
		if err != nil {
			return err
		}
		if !ok || slices.Contains(elders, holder) {
			continue
		}
		if held = append(held, address+" is held by "+idOf(holder)); first == 0 {
			first = holder
		}
	}
	if first == 0 {
		return nil
	}
	by := "no engine has taken it yet"
	r, ok, err := runnerOf(ctx, tx, first)
	if err != nil {
		return err
	}
	if ok {
		by = "last taken by " + describe(r)
	}
	id := idOf(first)
	return astern.Errorf(astern.Conflict, "%s (%s: %s)", strings.Join(held, ", "), id, by).
		WithHint("watch it with 'astern follow %s', carry on with 'astern resume %s', or give it up with 'astern cancel %s'", id, id, id)
}

// lineage returns the execution and those that it continues, the nearest first.
func lineage(ctx context.Context, tx *sql.Tx, n int64) (out []int64, err error) {
	for parent := (sql.NullInt64{Int64: n, Valid: true}); parent.Valid; {
		out = append(out, parent.Int64)
		if err := tx.QueryRowContext(ctx, `SELECT parent FROM executions WHERE n = ?`, parent.Int64).Scan(&parent); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// freeLeases gives up the leases of an execution that ends. One that came from an unfinished elder (it handed over and was
// killed before its own end) goes back to it: an unfinished execution never stands there unprotected.
func freeLeases(ctx context.Context, tx *sql.Tx, n int64) error {
	elders, err := lineage(ctx, tx, n)
	if err != nil {
		return err
	}
	for _, elder := range elders[1:] {
		if _, err := tx.ExecContext(ctx, `UPDATE leases SET execution = ?1 WHERE execution = ?2 AND address IN
			(SELECT value FROM executions, json_each(addresses) WHERE n = ?1 AND ended_at = '')`, elder, n); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM leases WHERE execution = ?`, n)
	return err
}

// Take makes r the runner of an unfinished execution, and returns the fence under which it writes from now on: higher
// than any given out before, over all executions, and than minFence, the highest that the places say in which it is to act. It appends the record "taken".
//
// If the present runner is another one and alive says that it lives, the answer is Conflict; an ended execution answers Refused.
// alive is called within the transaction: it must be quick and may not use the store.
func (s *Store) Take(ctx context.Context, id string, r astern.Runner, alive func(astern.Runner) bool, minFence int64, at time.Time) (
	fence int64, err error) {
	doing := "taking execution " + id
	err = s.write(ctx, doing, func(tx *sql.Tx) error {
		n, err := openExecution(ctx, tx, id)
		if err != nil {
			return err
		}
		present, ok, err := runnerOf(ctx, tx, n)
		if err != nil {
			return err
		}
		if ok && present != r && alive(present) {
			return astern.Errorf(astern.Conflict, "%s: it is carried out by %s", doing, describe(present)).
				WithHint("watch it with 'astern follow %s'; to carry it on here, first end that process on %s, or go over it with --take-over", id, present.Host)
		}
		if err := tx.QueryRowContext(ctx, `UPDATE store SET fence = max(fence, ?) + 1 RETURNING fence`, minFence).Scan(&fence); err != nil {
			return err
		}
		text, _ := json.Marshal(r) // of text and numbers it always works
		if _, err := tx.ExecContext(ctx, `UPDATE executions SET runner = ?, fence = ? WHERE n = ?`, string(text), fence, n); err != nil {
			return err
		}
		return insertRecords(ctx, tx, n, fence, []astern.Record{{At: at, Kind: astern.RecordTaken, Runner: &r}})
	})
	if err != nil {
		return 0, err
	}
	return fence, nil
}

// Execution returns one execution; NotFound when there is none with that id.
func (s *Store) Execution(ctx context.Context, id string) (astern.Execution, error) {
	n, err := number(ctx, s.db, id)
	if err != nil {
		return astern.Execution{}, s.fail("reading execution "+id, err)
	}
	e, err := scanExecution(s.db.QueryRowContext(ctx, selectExecution+` WHERE n = ?`, n))
	return e, s.fail("reading execution "+id, err)
}

// Executions returns executions, the newest first; at most limit, all when limit is 0; with onlyOpen those that have not ended.
func (s *Store) Executions(ctx context.Context, limit int, onlyOpen bool) ([]astern.Execution, error) {
	where := ``
	if onlyOpen {
		where = ` WHERE ended_at = ''`
	}
	return rows(ctx, s, "reading executions", scanExecution, selectExecution+where+` ORDER BY n DESC LIMIT ?`, limited(limit))
}

// Runner returns who took the execution last; ok is false when nobody has yet.
func (s *Store) Runner(ctx context.Context, id string) (r astern.Runner, ok bool, err error) {
	n, err := number(ctx, s.db, id)
	if err == nil {
		r, ok, err = runnerOf(ctx, s.db, n)
	}
	return r, ok, s.fail("reading the runner of execution "+id, err)
}

// Holder returns the unfinished execution that holds the lease of the address; ok is false when it is free.
func (s *Store) Holder(ctx context.Context, address string) (executionID string, ok bool, err error) {
	n, ok, err := leaseOf(ctx, s.db, address)
	if err != nil || !ok {
		return "", false, s.fail("reading the lease of "+address, err)
	}
	return idOf(n), true, nil
}

// Fence returns the highest fence given out or heard of so far.
func (s *Store) Fence(ctx context.Context) (fence int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT fence FROM store`).Scan(&fence)
	return fence, s.fail("reading the fence", err)
}

// reader is a *sql.DB or a *sql.Tx.
type reader interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

const idPrefix = "ex-"

func idOf(n int64) string { return idPrefix + strconv.FormatInt(n, 10) }

// number returns the row of the execution; NotFound when there is none.
func number(ctx context.Context, r reader, id string) (n int64, err error) {
	if n, ok := parsed(id); ok {
		err = r.QueryRowContext(ctx, `SELECT n FROM executions WHERE n = ?`, n).Scan(&n)
		if !errors.Is(err, sql.ErrNoRows) {
			return n, err
		}
	}
	return 0, astern.Errorf(astern.NotFound, "there is no execution %q in this state folder", id).
		WithHint("'astern executions' lists them")
}

// parsed returns the number in an execution's id.
func parsed(id string) (n int64, ok bool) {
	text, _ := strings.CutPrefix(id, idPrefix)
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && idOf(n) == id
}

// openExecution returns the row of an execution; Refused when it has ended.
func openExecution(ctx context.Context, tx *sql.Tx, id string) (int64, error) {
	n, err := number(ctx, tx, id)
	if err != nil {
		return 0, err
	}
	var ended, outcome string
	if err := tx.QueryRowContext(ctx, `SELECT ended_at, outcome FROM executions WHERE n = ?`, n).Scan(&ended, &outcome); err != nil {
		return 0, err
	}
	if ended != "" {
		return 0, hasEnded(id, outcome, ended)
	}
	return n, nil
}

func hasEnded(id, outcome, at string) error {
	return astern.Errorf(astern.Refused, "execution %s has ended (%s) at %s", id, outcome, at).
		WithHint("'astern show %s' tells what it did; make a new plan to go on, or 'astern undo %s' to reverse it", id, id)
}

func leaseOf(ctx context.Context, r reader, address string) (n int64, ok bool, err error) {
	err = r.QueryRowContext(ctx, `SELECT execution FROM leases WHERE address = ?`, address).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return n, err == nil, err
}

func runnerOf(ctx context.Context, r reader, n int64) (out astern.Runner, ok bool, err error) {
	var text string
	if err = r.QueryRowContext(ctx, `SELECT runner FROM executions WHERE n = ?`, n).Scan(&text); err != nil || text == "" {
		return out, false, err
	}
	err = json.Unmarshal([]byte(text), &out)
	return out, err == nil, err
}

func describe(r astern.Runner) string {
	text := fmt.Sprintf("process %d on %s", r.PID, r.Host)
	if r.User != "" {
		text += ", started by " + r.User
	}
	return text
}

const selectExecution = `SELECT n, plan, created_at, ended_at, outcome, addresses, coalesce(parent, 0) FROM executions`

func scanExecution(r row) (e astern.Execution, err error) {
	var n, parent int64
	var created, ended, addresses string
	if err = r.Scan(&n, &e.PlanHash, &created, &ended, &e.Outcome, &addresses, &parent); err != nil {
		return e, err
	}
	e.ID = idOf(n)
	if parent != 0 {
		e.Parent = idOf(parent)
	}
	if e.CreatedAt, err = unstamp(created); err != nil {
		return e, err
	}
	if ended != "" {
		at, err := unstamp(ended)
		if err != nil {
			return e, err
		}
		e.EndedAt = &at
	}
	return e, json.Unmarshal([]byte(addresses), &e.Addresses)
}
