package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/astern-dev/astern"
)

// proofsKept is how long a proof is kept that nobody renews.
const proofsKept = 90 * 24 * time.Hour

// Proof returns the proof that was kept last under the key, as far as this store sees it.
func (s *Store) Proof(ctx context.Context, key string) (proof []byte, ok bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT proof FROM proofs WHERE key = ?`, key).Scan(&proof)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	return proof, err == nil, s.fail("reading a proof", err)
}

// KeepProof keeps a proof in place of the one before, and forgets those that nobody renewed for 90 days.
//
// A proof is only a cache. So a store that was opened for reading writes it past its copy into the state folder, if that
// is there, up to date, the user's own and writable; and if not, it keeps nothing and says nothing.
func (s *Store) KeepProof(ctx context.Context, key string, proof []byte, at time.Time) error {
	if s.frozen == "" {
		return s.write(ctx, "keeping a proof", func(tx *sql.Tx) error { return keepProof(ctx, tx, key, proof, at) })
	}
	if !s.missing && s.own() {
		ctx, cancel := context.WithTimeout(ctx, asideWait)
		defer cancel()
		_ = s.keepAside(ctx, key, proof, at) // see above
	}
	return nil
}

func keepProof(ctx context.Context, tx *sql.Tx, key string, proof []byte, at time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO proofs (key, proof, at) VALUES (?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET proof = excluded.proof, at = excluded.at`, key, proof, seconds(at))
	if err == nil {
		_, err = tx.ExecContext(ctx, `DELETE FROM proofs WHERE at < ?`, seconds(at.Add(-proofsKept)))
	}
	return err
}

// seconds is a time as text that sorts as the times do.
func seconds(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// own reports whether the database belongs to the user: the files beside it that SQLite makes then do, too.
func (s *Store) own() bool {
	info, err := os.Stat(filepath.Join(s.folder, fileName))
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Geteuid()
}

// asideWait is how long a reader waits for writers to keep its proof.
const asideWait = time.Second

// keepAside writes a proof into the state folder without bringing it up to date.
func (s *Store) keepAside(ctx context.Context, key string, proof []byte, at time.Time) error {
	head, err := header(filepath.Join(s.folder, fileName))
	if err != nil {
		return err
	}
	if int(head.version) != len(migrations()) {
		return astern.Errorf(astern.Refused, "an older state is brought up to date by a command that writes")
	}
	aside, err := openOn(ctx, s.folder, s.medium)
	if err != nil {
		return err
	}
	defer aside.Close()
	return aside.KeepProof(ctx, key, proof, at)
}
