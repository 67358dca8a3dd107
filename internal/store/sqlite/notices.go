package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/astern-dev/astern"
)

// noticesKept is how long it is known what was told.
const noticesKept = 90 * 24 * time.Hour

// QueueNotice writes a notice into the outbox, for each of the channels, and forgets what was told more than 90 days ago. A
// channel that has a notice with this token keeps that one.
func (s *Store) QueueNotice(ctx context.Context, n astern.Notice, channels []string, at time.Time) error {
	doing := "queueing the notice " + n.Token
	n.At = n.At.UTC()
	doc, err := json.Marshal(n)
	if err != nil {
		return s.fail(doing, err)
	}
	return s.write(ctx, doing, func(tx *sql.Tx) error {
		for _, c := range channels {
			if _, err := tx.ExecContext(ctx, `INSERT INTO dispatches (token, channel, notice, queued_at) VALUES (?, ?, ?, ?) ON CONFLICT (token, channel) DO NOTHING`,
				n.Token, c, string(doc), sorted(at)); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM dispatches WHERE queued_at < ? AND state <> 'waiting'`, sorted(at.Add(-noticesKept)))
		return err
	})
}

// Dispatches returns what waits in the outbox, and of the rest what was queued since a moment, in the order in which it was
// queued.
func (s *Store) Dispatches(ctx context.Context, since time.Time) ([]astern.Dispatch, error) {
	return rows(ctx, s, "reading the outbox", scanDispatch, `SELECT n, channel, notice, state, together, queued_at, tries, next, error, settled_at
		FROM dispatches WHERE state = 'waiting' OR queued_at >= ? ORDER BY n`, sorted(since))
}

// TryDispatch takes a waiting dispatch in order to send it, together with others that were never tried: it counts the try and
// puts the next one off until next, when somebody else may try should this process be gone. It is false when somebody else
// has taken it, or one of the others, since the outbox was read.
func (s *Store) TryDispatch(ctx context.Context, n int64, with []int64, now, next time.Time) (taken bool, err error) {
	err = s.write(ctx, "taking a notice out of the outbox", func(tx *sql.Tx) error {
		if taken, err = changed(tx.ExecContext(ctx, `UPDATE dispatches SET tries = tries + 1, next = ?
			WHERE n = ? AND state = 'waiting' AND together = 0 AND next <= ?`, sorted(next), n, sorted(now))); err != nil || !taken {
			return err
		}
		for _, w := range with {
			if taken, err = changed(tx.ExecContext(ctx, `UPDATE dispatches SET together = ?
				WHERE n = ? AND n <> ? AND state = 'waiting' AND together = 0 AND tries = 0`, n, w, n)); err != nil || !taken {
				return cmp.Or(err, errElsewhere)
			}
		}
		return nil
	})
	if errors.Is(err, errElsewhere) {
		err = nil
	}
	return taken && err == nil, err
}

// errElsewhere gives a transaction up: what it is about is in somebody else's hands.
var errElsewhere = errors.New("somebody else has it")

// SettleDispatch says what came of a try: sent, given up, or waiting for the next one, and why. It holds for all that is told
// with it. What is settled stays so.
func (s *Store) SettleDispatch(ctx context.Context, n int64, state astern.DispatchState, why string, next, at time.Time) error {
	return s.write(ctx, "noting what came of a notice", func(tx *sql.Tx) error {
		settled := ""
		if state != astern.DispatchWaiting {
			settled = sorted(at)
		}
		_, err := tx.ExecContext(ctx, `UPDATE dispatches SET state = ?, error = ?, next = ?, settled_at = ? WHERE (n = ? OR together = ?) AND state = 'waiting'`,
			string(state), why, sorted(next), settled, n, n)
		return err
	})
}

// Subscribe notes since when the channels are told, for those that are new, and returns it for all that were ever noted.
func (s *Store) Subscribe(ctx context.Context, channels []string, at time.Time) (map[string]time.Time, error) {
	since, err := s.subscribed(ctx)
	if err != nil {
		return nil, err
	}
	var fresh []string
	for _, c := range channels {
		if _, ok := since[c]; !ok {
			fresh = append(fresh, c)
		}
	}
	if len(fresh) == 0 {
		return since, nil
	}
	err = s.write(ctx, "noting new channels", func(tx *sql.Tx) error {
		for _, c := range fresh {
			var text string
			err := tx.QueryRowContext(ctx, `INSERT INTO channels (name, since) VALUES (?, ?)
				ON CONFLICT (name) DO UPDATE SET since = since RETURNING since`, c, sorted(at)).Scan(&text) // somebody else may have been faster
			if err == nil {
				since[c], err = unstamp(text)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return since, err
}

func (s *Store) subscribed(ctx context.Context) (map[string]time.Time, error) {
	type line struct {
		name  string
		since time.Time
	}
	lines, err := rows(ctx, s, "reading the channels", func(r row) (l line, err error) {
		var since string
		if err = r.Scan(&l.name, &since); err == nil {
			l.since, err = unstamp(since)
		}
		return l, err
	}, `SELECT name, since FROM channels`)
	out := map[string]time.Time{}
	for _, l := range lines {
		out[l.name] = l.since
	}
	return out, err
}

func scanDispatch(r row) (d astern.Dispatch, err error) {
	var doc, state, queued, next, settled string
	if err = r.Scan(&d.N, &d.Channel, &doc, &state, &d.With, &queued, &d.Tries, &next, &d.Error, &settled); err == nil {
		d.State = astern.DispatchState(state)
		err = json.Unmarshal([]byte(doc), &d.Notice)
	}
	for into, text := range map[*time.Time]string{&d.QueuedAt: queued, &d.Next: next, &d.SettledAt: settled} {
		if text != "" {
			at, e := unstamp(text)
			*into, err = at, cmp.Or(err, e)
		}
	}
	return d, err
}

// changed reports whether a statement changed a row.
func changed(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, _ := result.RowsAffected() // SQLite always knows
	return n > 0, nil
}

// sorted is a time as text of a fixed width, exact to the nanosecond, that sorts as the times do; the zero time is "".
func sorted(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000000Z07:00")
}
