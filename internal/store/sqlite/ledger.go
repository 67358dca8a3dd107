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
	doing := "recording " + string(e.Kind) + " " + e.Revision + " of " + e.Address
	written := e
	err := s.write(ctx, doing, func(tx *sql.Tx) error {
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
