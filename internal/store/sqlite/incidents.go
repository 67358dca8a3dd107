package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
)

// OpenIncident makes an incident of its first event and returns its id ("inc-1", "inc-2" …). With a token that was used
// before it returns the incident that has the event with it, and opened is false: one fault opens one incident.
func (s *Store) OpenIncident(ctx context.Context, e astern.IncidentEvent) (id string, opened bool, err error) {
	var n int64
	err = s.write(ctx, "opening an incident", func(tx *sql.Tx) error {
		first, seq, err := tokenOf(ctx, tx, e.Token)
		if err != nil || seq > 0 {
			n = first
			return err
		}
		opened = true
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(incident), 0) + 1 FROM incident_events`).Scan(&n); err != nil {
			return err
		}
		return insertIncidentEvent(ctx, tx, n, 1, e)
	})
	if err != nil {
		return "", false, err
	}
	return incidentID(n), opened, nil
}

// AddIncidentEvent writes an event of an incident and returns its number. With a token that was used before nothing is
// written, and the number is that of the event that has it.
func (s *Store) AddIncidentEvent(ctx context.Context, id string, e astern.IncidentEvent) (seq int64, err error) {
	err = s.write(ctx, "writing "+string(e.Kind)+" of incident "+id, func(tx *sql.Tx) error {
		n, err := incidentNumber(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, seq, err = tokenOf(ctx, tx, e.Token); err != nil || seq > 0 {
			return err
		}
		if err := tx.QueryRowContext(ctx, `SELECT max(seq) + 1 FROM incident_events WHERE incident = ?`, n).Scan(&seq); err != nil {
			return err
		}
		return insertIncidentEvent(ctx, tx, n, seq, e)
	})
	if err != nil {
		return 0, err
	}
	return seq, nil
}

// Incident returns all events of an incident; the error says NotFound when there is none of that id.
func (s *Store) Incident(ctx context.Context, id string) (astern.IncidentLog, error) {
	doing := "reading incident " + id
	n, err := incidentNumber(ctx, s.db, id)
	if err != nil {
		return astern.IncidentLog{}, s.fail(doing, err)
	}
	events, err := rows(ctx, s, doing, scanDoc[astern.IncidentEvent], `SELECT doc FROM incident_events WHERE incident = ? ORDER BY seq`, n)
	return astern.IncidentLog{ID: id, Events: events}, err
}

// Incidents returns all incidents, the newest first.
func (s *Store) Incidents(ctx context.Context) ([]astern.IncidentLog, error) {
	type line struct {
		incident int64
		event    astern.IncidentEvent
	}
	lines, err := rows(ctx, s, "reading incidents", func(r row) (l line, err error) {
		var doc string
		if err = r.Scan(&l.incident, &doc); err == nil {
			err = json.Unmarshal([]byte(doc), &l.event)
		}
		return l, err
	}, `SELECT incident, doc FROM incident_events ORDER BY incident DESC, seq`)
	if err != nil {
		return nil, err
	}
	var out []astern.IncidentLog
	for _, l := range lines {
		id := incidentID(l.incident)
		if len(out) == 0 || out[len(out)-1].ID != id {
			out = append(out, astern.IncidentLog{ID: id})
		}
		last := &out[len(out)-1]
		last.Events = append(last.Events, l.event)
	}
	return out, nil
}

func insertIncidentEvent(ctx context.Context, tx *sql.Tx, n, seq int64, e astern.IncidentEvent) error {
	e.Seq, e.At = seq, e.At.UTC()
	doc, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO incident_events (incident, seq, token, doc) VALUES (?, ?, ?, ?)`, n, seq, e.Token, string(doc))
	return err
}

// tokenOf returns where the event with that token stands; seq is 0 when there is none.
func tokenOf(ctx context.Context, r reader, token string) (n, seq int64, err error) {
	if token == "" {
		return 0, 0, nil
	}
	err = r.QueryRowContext(ctx, `SELECT incident, seq FROM incident_events WHERE token = ?`, token).Scan(&n, &seq)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	}
	return n, seq, err
}

func incidentID(n int64) string { return fmt.Sprintf("inc-%d", n) }

// incidentNumber returns the number of an incident; NotFound when there is none of that id.
func incidentNumber(ctx context.Context, r reader, id string) (n int64, err error) {
	digits, _ := strings.CutPrefix(id, "inc-")
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil && incidentID(n) == id {
		var there bool
		err := r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM incident_events WHERE incident = ?)`, n).Scan(&there)
		if there || err != nil {
			return n, err
		}
	}
	return 0, astern.Errorf(astern.NotFound, "there is no incident %q in this state folder", id).WithHint("'astern incidents' lists them")
}
