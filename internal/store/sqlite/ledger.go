package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/astern-dev/astern"
)

// AddEvent writes an event to the ledger and returns it with its sequence number. An event with a token is written
// once: adding another with the same token returns the first.
func (s *Store) AddEvent(ctx context.Context, e astern.Event) (astern.Event, error) {
	return s.addEvent(ctx, 0, e)
}

// AddEventUnder is AddEvent for a step of e.Execution: with a fence that is not the one that Take gave out last for it, the
// error wraps ErrFenced and nothing is written.
func (s *Store) AddEventUnder(ctx context.Context, fence int64, e astern.Event) (astern.Event, error) {
	return s.addEvent(ctx, fence, e)
}

func (s *Store) addEvent(ctx context.Context, fence int64, e astern.Event) (astern.Event, error) {
	doing := "recording " + string(e.Kind) + " " + e.Revision + " of " + e.Address
	written := e
	err := s.write(ctx, doing, func(tx *sql.Tx) error {
		if err := holds(ctx, tx, fence, e.Execution); err != nil {
			return err
		}
		if first, ok, err := eventOf(ctx, tx, e.Token); ok || err != nil {
			written = first
			return err
		}
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) + 1 FROM events`).Scan(&written.Seq); err != nil {
			return err
		}
		written.At = e.At.UTC()
		doc, err := json.Marshal(written)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO events (seq, address, token, doc) VALUES (?, ?, ?, ?)`,
			written.Seq, e.Address, e.Token, string(doc))
		return err
	})
	if err != nil {
		return astern.Event{}, err
	}
	return written, nil
}

// holds answers an error that wraps ErrFenced when the execution was taken under another fence; fence 0 is a person's.
func holds(ctx context.Context, tx *sql.Tx, fence int64, execution string) error {
	if fence == 0 {
		return nil
	}
	n, err := number(ctx, tx, execution)
	if err != nil {
		return err
	}
	var present int64
	if err := tx.QueryRowContext(ctx, `SELECT fence FROM executions WHERE n = ?`, n).Scan(&present); err != nil {
		return err
	}
	if fence != present {
		return fenced(ctx, tx, n, fence, present)
	}
	return nil
}

// Events returns the events of an address ("" for all), the oldest first; with a limit > 0 the newest of them only.
func (s *Store) Events(ctx context.Context, address string, limit int) ([]astern.Event, error) {
	query, args := `SELECT doc FROM events ORDER BY seq DESC LIMIT ?`, []any{limited(limit)}
	if address != "" {
		query, args = `SELECT doc FROM events WHERE address = ? ORDER BY seq DESC LIMIT ?`, []any{address, limited(limit)}
	}
	events, err := rows(ctx, s, "reading the ledger", scanDoc[astern.Event], query, args...)
	slices.Reverse(events)
	return events, err
}

// EventByToken returns the event with that token; ok is false when there is none.
func (s *Store) EventByToken(ctx context.Context, token string) (e astern.Event, ok bool, err error) {
	e, ok, err = eventOf(ctx, s.db, token)
	return e, ok, s.fail("reading the ledger", err)
}

func eventOf(ctx context.Context, r reader, token string) (e astern.Event, ok bool, err error) {
	if token == "" {
		return e, false, nil
	}
	e, err = scanDoc[astern.Event](r.QueryRowContext(ctx, `SELECT doc FROM events WHERE token = ?`, token))
	if errors.Is(err, sql.ErrNoRows) {
		return astern.Event{}, false, nil
	}
	return e, err == nil, err
}
