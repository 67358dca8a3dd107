package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/astern-dev/astern"
)

// ofPeople are the records that a person may write without having taken the execution.
var ofPeople = []astern.RecordKind{astern.RecordPaused, astern.RecordResumed, astern.RecordCancelled, astern.RecordSkipped,
	astern.RecordSettled, astern.RecordAllowed, astern.RecordTicked}

// Append writes the records to the journal of an execution, all or none, and gives them the next sequence numbers and
// the fence. A record that has a number already must get that one, else nothing is written and the error wraps
// ErrBehind.
//
// A fence > 0 must be the one that Take gave out last for the execution, else the error wraps ErrFenced and nothing is
// written. Fence 0 is for the records of people. After the end only ticks are taken; others answer Refused. The record
// "ended" ends the execution and frees its leases. An error that wraps ErrUnknownCommit leaves open whether the records were
// written; after any other error they were not.
func (s *Store) Append(ctx context.Context, id string, fence int64, recs ...astern.Record) error {
	doing := "writing the journal of " + id
	for _, rec := range recs {
		if fence <= 0 && !slices.Contains(ofPeople, rec.Kind) {
			return astern.Errorf(astern.Invalid, "%s: only an engine that has taken the execution writes %q", doing, rec.Kind)
		}
	}
	if len(recs) == 0 {
		return nil
	}
	if n, ok := parsed(id); ok && s.frozen == "" && usual(fence, recs) {
		if written, err := s.appendUsual(ctx, doing, n, fence, recs); written || err != nil {
			return err
		}
	}
	return s.write(ctx, doing, func(tx *sql.Tx) error {
		n, err := number(ctx, tx, id)
		if err != nil {
			return err
		}
		var present int64
		var ended, outcome string
		if err := tx.QueryRowContext(ctx, `SELECT fence, ended_at, outcome FROM executions WHERE n = ?`, n).
			Scan(&present, &ended, &outcome); err != nil {
			return err
		}
		if fence > 0 && fence != present {
			return fenced(ctx, tx, n, fence, present)
		}
		for _, rec := range recs {
			if ended != "" && rec.Kind != astern.RecordTicked {
				return hasEnded(id, outcome, ended)
			}
			if rec.Kind != astern.RecordEnded {
				continue
			}
			if rec.Outcome == "" {
				return astern.Errorf(astern.Invalid, "%s: an end needs an outcome", doing)
			}
			ended, outcome = stamp(rec.At), string(rec.Outcome)
			if _, err := tx.ExecContext(ctx, `UPDATE executions SET ended_at = ?, outcome = ? WHERE n = ?`, ended, outcome, n); err != nil {
				return err
			}
			if err := freeLeases(ctx, tx, n); err != nil {
				return err
			}
		}
		return insertRecords(ctx, tx, n, max(fence, 0), recs)
	})
}

// fenced says who took the execution from the caller.
func fenced(ctx context.Context, tx *sql.Tx, n, fence, present int64) error {
	r, ok, err := runnerOf(ctx, tx, n)
	if err != nil {
		return err
	}
	by := "nobody"
	if ok {
		by = describe(r)
	}
	return astern.Errorf(astern.Conflict, "%s was taken under fence %d by %s, fence %d counts no more: %w",
		idOf(n), present, by, fence, ErrFenced).WithHint("watch it with 'astern follow %s'", idOf(n))
}

// lastOf asks for the number of the last record of an execution, 0 when it has none. The key of a record is 2^32 times its
// execution, and its number.
const lastOf = `SELECT coalesce(max(key), 0) & 0xffffffff FROM journal WHERE key > ?1 << 32 AND key < (?1 + 1) << 32`

// insertRecords writes records without asking whether that is allowed.
func insertRecords(ctx context.Context, tx *sql.Tx, n, fence int64, recs []astern.Record) error {
	var last int64
	if err := tx.QueryRowContext(ctx, lastOf, n).Scan(&last); err != nil {
		return err
	}
	for i, rec := range recs {
		next := last + int64(i) + 1
		if rec.Seq != 0 && rec.Seq != next {
			return astern.Errorf(astern.Conflict, "record %d of %s would be number %d: %w", rec.Seq, idOf(n), next, ErrBehind)
		}
		rec.Seq, rec.Fence, rec.At = next, fence, rec.At.UTC()
		doc, err := json.Marshal(rec)
		if err != nil {
			return astern.Errorf(astern.Invalid, "record %d (%s) of %s can't be written as JSON: %w", rec.Seq, rec.Kind, idOf(n), err)
		}
		if _, err := tx.ExecContext(ctx, insertOther, n, rec.Seq, string(doc)); err != nil {
			return err
		}
	}
	return nil
}

// Read returns the records of an execution with a sequence number greater than after, in order.
func (s *Store) Read(ctx context.Context, id string, after int64) ([]astern.Record, error) {
	return s.ReadSome(ctx, id, after, 0)
}

// ReadSome is Read of the first records only, at most limit; all when limit is 0.
func (s *Store) ReadSome(ctx context.Context, id string, after int64, limit int) ([]astern.Record, error) {
	doing := "reading the journal of " + id
	n, err := number(ctx, s.db, id)
	if err != nil {
		return nil, s.fail(doing, err)
	}
	return rows(ctx, s, doing, scanDoc[astern.Record],
		`SELECT doc FROM journal WHERE key > (?1 << 32) + ?2 AND key < (?1 + 1) << 32 ORDER BY key LIMIT ?3`, n, after, limited(limit))
}

// scanDoc reads a row whose one column is a JSON document.
func scanDoc[T any](r row) (v T, err error) {
	var doc string
	if err = r.Scan(&doc); err == nil {
		err = json.Unmarshal([]byte(doc), &v)
	}
	return v, err
}
