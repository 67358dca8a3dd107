package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"maps"

	"github.com/astern-dev/astern"
)

// model is what a store holds, as text under text: the store in sixty lines. A method returns what a store holds after the
// same call; the one before stays as it was.
type model map[string]string

func (m model) with(pairs ...any) model {
	out := maps.Clone(m)
	for i := 0; i < len(pairs); i += 2 {
		out[fmt.Sprint(pairs[i])] = fmt.Sprint(pairs[i+1])
	}
	return out
}

// next is the number after the last of those that exist: "plan 1", "plan 2" …
func (m model) next(noun string) (n int) {
	for n = 1; m[fmt.Sprint(noun, " ", n)] != ""; n++ {
	}
	return n
}

func (m model) putPlan(hash, doc string) model {
	return m.with("plan "+hash, doc)
}

func (m model) create(hash, address string) (model, string) {
	n := m.next("execution")
	return m.with(fmt.Sprint("execution ", n), hash+" open", "lease "+address, n), idOf(int64(n))
}

func (m model) take(n int) (model, int64) {
	var fence int64
	fmt.Sscan(m["fence"], &fence)
	return m.with("fence", fence+1).records(n, fence+1, string(astern.RecordTaken)), fence + 1
}

func (m model) records(n int, fence int64, texts ...string) model {
	for _, text := range texts {
		m = m.with(fmt.Sprint("record ", n, " ", m.next(fmt.Sprint("record ", n))), fmt.Sprint(fence, " ", text))
	}
	return m
}

func (m model) end(n int, fence int64, hash, address string) model {
	m = m.with(fmt.Sprint("execution ", n), hash+" done").records(n, fence, string(astern.RecordEnded))
	delete(m, "lease "+address)
	return m
}

func (m model) event(token, revision string) model {
	if m["token "+token] != "" {
		return m
	}
	n := m.next("event")
	return m.with(fmt.Sprint("event ", n), revision, "token "+token, n)
}

func (m model) approve(hash, by string) model { return m.with("approval "+hash+" "+by, Approve) }

func (m model) proof(key, proof string) model { return m.with("proof "+key, proof) }

// read returns what a database holds in the form of the model, after SQLite has found nothing wrong with it.
func read(ctx context.Context, db *sql.DB) (model, error) {
	m := model{}
	for _, query := range []string{
		`SELECT 'integrity', * FROM pragma_integrity_check WHERE integrity_check <> 'ok'`,
		`SELECT 'foreign key', "table" FROM pragma_foreign_key_check`,
		`SELECT 'id', id FROM store`, `SELECT 'fence', fence FROM store WHERE fence > 0`,
		`SELECT 'plan ' || hash, doc FROM plans`,
		`SELECT 'execution ' || n, plan || iif(ended_at = '', ' open', ' ' || outcome) FROM executions`,
		`SELECT 'lease ' || address, execution FROM leases`,
		`SELECT 'record ' || execution || ' ' || seq, coalesce(doc ->> 'fence', 0) || ' ' || coalesce(doc ->> 'text', doc ->> 'kind') FROM records`,
		`SELECT 'event ' || seq, doc ->> 'revision' FROM events`, `SELECT 'token ' || token, seq FROM events`,
		`SELECT 'approval ' || plan || ' ' || by, verdict FROM approvals`,
		`SELECT 'proof ' || key, proof FROM proofs`,
		`SELECT 'dispatch ' || token || ' ' || channel, state || ' ' || tries || ' ' || together FROM dispatches`,
		`SELECT 'channel ' || name, since FROM channels`,
	} {
		rows, err := db.QueryContext(ctx, query)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", query, err)
		}
		for rows.Next() {
			var key, value string
			if err := rows.Scan(&key, &value); err != nil {
				return nil, fmt.Errorf("%s: %w", query, err)
			}
			m[key] = value
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", query, err)
		}
		rows.Close()
	}
	return m, nil
}
