package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// StoredPlan is a plan as it was stored: its canonical JSON under its hash.
type StoredPlan struct {
	Hash string
	Doc  []byte
	At   time.Time // when it was stored first
}

// minPrefix is how many characters of a hash name a plan.
const minPrefix = 8

// PutPlan stores a plan under its hash. Storing the same again changes nothing, the time included.
func (s *Store) PutPlan(ctx context.Context, hash string, doc []byte, at time.Time) error {
	if len(hash) < minPrefix || len(doc) == 0 {
		return astern.Errorf(astern.Invalid, "storing plan %q: a plan needs its hash and its document", hash)
	}
	return s.write(ctx, "storing plan "+hash, func(tx *sql.Tx) error {
		var old []byte
		err := tx.QueryRowContext(ctx, `SELECT doc FROM plans WHERE hash = ?`, hash).Scan(&old)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			_, err = tx.ExecContext(ctx, `INSERT INTO plans (hash, doc, at) VALUES (?, ?, ?)`, hash, doc, stamp(at))
		case err == nil && !bytes.Equal(old, doc):
			err = astern.Errorf(astern.Conflict, "storing plan %s: another document is stored under this hash", hash).
				WithHint("a plan's hash is that of its exact bytes; make the plan anew")
		}
		return err
	})
}

// Plan returns the document of the plan with that hash. The first characters of a hash do, at least 8, if only one plan
// has them. NotFound when there is none, Invalid when there are several.
func (s *Store) Plan(ctx context.Context, hash string) ([]byte, error) {
	found, err := rows(ctx, s, "reading plan "+hash, scanPlan,
		`SELECT hash, doc, at FROM plans WHERE hash >= ?1 AND substr(hash, 1, length(?1)) = ?1 ORDER BY hash LIMIT 3`, hash)
	switch {
	case err != nil:
		return nil, err
	case len(found) > 0 && found[0].Hash == hash:
		return found[0].Doc, nil
	case len(hash) < minPrefix:
		return nil, astern.Errorf(astern.Invalid, "plan %q: at least %d characters of a hash name a plan", hash, minPrefix)
	case len(found) == 0:
		return nil, noPlan(hash)
	case len(found) > 1:
		var names []string
		for _, p := range found {
			names = append(names, p.Hash)
		}
		return nil, astern.Errorf(astern.Invalid, "plan %s: several plans begin so: %s", hash, strings.Join(names, ", ")).
			WithHint("give more characters of the hash")
	}
	return found[0].Doc, nil
}

// Plans returns the plans stored last, the newest first; at most limit, all when limit is 0.
func (s *Store) Plans(ctx context.Context, limit int) ([]StoredPlan, error) {
	return rows(ctx, s, "reading plans", scanPlan, `SELECT hash, doc, at FROM plans ORDER BY n DESC LIMIT ?`, limited(limit))
}

func scanPlan(r row) (p StoredPlan, err error) {
	var at string
	if err = r.Scan(&p.Hash, &p.Doc, &at); err == nil {
		p.At, err = unstamp(at)
	}
	return p, err
}

func noPlan(hash string) error {
	return astern.Errorf(astern.NotFound, "there is no plan %s in this state folder", hash).
		WithHint("apply the plan's file, or choose the state folder it was stored in with --state")
}

// mustHavePlan answers NotFound unless the plan with exactly that hash is stored.
func mustHavePlan(ctx context.Context, tx *sql.Tx, hash string) error {
	var one int
	err := tx.QueryRowContext(ctx, `SELECT 1 FROM plans WHERE hash = ?`, hash).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return noPlan(hash)
	}
	return err
}

// Documents returns the stored plans, the newest first.
func (s *Store) Documents(ctx context.Context) ([][]byte, error) {
	stored, err := s.Plans(ctx, 0)
	docs := make([][]byte, len(stored))
	for i, p := range stored {
		docs[i] = p.Doc
	}
	return docs, err
}

// RecentPlans returns the plans that were stored since a moment, to the second, by their hashes.
func (s *Store) RecentPlans(ctx context.Context, since time.Time) (map[string][]byte, error) {
	found, err := rows(ctx, s, "reading the plans since "+seconds(since), scanPlan, `SELECT hash, doc, at FROM plans WHERE at >= ?`,
		strings.TrimSuffix(seconds(since), "Z"))
	out := map[string][]byte{}
	for _, p := range found {
		out[p.Hash] = p.Doc
	}
	return out, err
}
