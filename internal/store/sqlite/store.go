// Package sqlite keeps astern's state in one SQLite file of the state folder: plans, executions with their leases,
// fence and journal, the ledger, and approvals.
//
// Every change is one transaction that is on the disk when the method returns (write-ahead log, synchronous full).
// Several processes may use the same folder at once; in each of them a Store may be used by several goroutines.
// What was written about plans, records, events and approvals is never changed or removed.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs/memdb"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
)

// ErrFenced says that another engine has taken the execution since: the caller must stop at once. It is the engine's own
// error, so that the engine knows it without knowing the store.
var ErrFenced = engine.ErrFenced

// ErrUnknownCommit says that a commit failed in a way that leaves open whether the change was written: read again
// before going on. What was not there when read again can still turn up once, after a crash, as long as nothing else
// was written since; so decide from what is read, write, and only then act.
var ErrUnknownCommit = errors.New("it is not known whether the change was written")

// ErrBehind says that a record's number is taken: somebody has written into the journal what the caller has not read.
var ErrBehind = engine.ErrBehind

// Store is an open state folder.
type Store struct {
	db     *sql.DB
	folder string
	medium medium
	// writer has room for one: within a process writers queue here, which is fair, and not at the file lock, which polls.
	writer chan struct{}
	// appender writes what engines write; it belongs to whoever has the writer's place, nil until it is needed.
	appender *appender
	readOn   time.Duration // how long the appender reads on when nothing is written
	// doubtful is true after a commit or another access to the files failed, until they were opened anew. It belongs to
	// whoever has the writer's place.
	doubtful bool
	// frozen is why nothing can be written, "" when it can.
	frozen string
	// missing is true when the state folder does not exist (only when opened for reading).
	missing bool
	// memory is the name of the copy in memory that a store opened for reading works on.
	memory string
}

// Close closes the store. The folder then holds everything in state.db alone unless another process has it open.
func (s *Store) Close() error {
	if s.frozen == "" {
		s.writer <- struct{}{}
		s.closeAppender()
		<-s.writer
	}
	err := s.db.Close()
	if s.memory != "" {
		memdb.Delete(s.memory)
	}
	return s.fail("closing the state", err)
}

// StoreID returns the random id that the store got when it was created, "" when there is no store.
func (s *Store) StoreID(ctx context.Context) (string, error) {
	if s.missing {
		return "", nil
	}
	var id string
	err := s.db.QueryRowContext(ctx, `SELECT id FROM store`).Scan(&id)
	return id, s.fail("reading the id of the state", err)
}

// write runs change in a transaction of its own and commits it. When it returns nil, the change is on the disk. When it
// returns an error nothing was written, unless the error wraps ErrUnknownCommit.
func (s *Store) write(ctx context.Context, doing string, change func(tx *sql.Tx) error) error {
	if s.frozen != "" {
		return &astern.Error{Code: astern.Refused, Doing: doing, Cause: errors.New(s.frozen),
			Hint: "the state was opened for reading only; a command that changes something creates the folder and opens it for writing"}
	}
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
	case <-ctx.Done():
		return s.fail(doing, ctx.Err())
	}
	if err := s.renew(ctx); err != nil {
		return s.fail(doing, fmt.Errorf("opening the file anew after a failure: %w", err))
	}
	if err := s.transact(ctx, doing, change); err != nil {
		s.doubtful = s.doubtful || brokenFile(err)
		_ = s.renew(ctx) // what is read from now on is what will be there; if it fails, the next write tries again
		return err
	}
	return nil
}

// transact runs change in a transaction and commits it.
func (s *Store) transact(ctx context.Context, doing string, change func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.fail(doing, err)
	}
	defer tx.Rollback() // after a commit this does nothing; after an error there is nothing more to say
	if err := change(tx); err != nil {
		return s.fail(doing, err)
	}
	return s.committed(ctx, doing, tx.Commit())
}

// brokenFile reports whether err says that reading, writing or syncing a file failed.
func brokenFile(err error) bool {
	return errors.Is(err, ErrUnknownCommit) || errors.Is(err, sqlite3.IOERR) || errors.Is(err, sqlite3.FULL)
}

// renew opens the files anew if one of them failed since they were opened; the caller has the writer's place.
//
// Pages that could not be synced stay in the system's memory as if they were on the disk, and a later sync does not write
// them. So they may not be read again: as long as the old connections are open, which know that the failed commit does not
// count, its place in the log is written over by a commit that changes nothing. When that has worked, what failed will
// never turn up, and everything else is on the disk; only then the old connections are given up.
func (s *Store) renew(ctx context.Context) error {
	if !s.doubtful {
		return nil
	}
	s.closeAppender()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit this does nothing
	var version int
	if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, version)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.db.SetMaxIdleConns(0) // closes them, and those in use when they come back
	s.db.SetMaxIdleConns(idle)
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.doubtful = false
	return nil
}

// committed judges the result of a commit: which failures leave open whether the change was written?
func (s *Store) committed(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrTxDone), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		// database/sql answers these before it asks SQLite to commit; the transaction is rolled back.
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return s.fail(doing, err)
	case errors.Is(err, sqlite3.BUSY), errors.Is(err, sqlite3.CONSTRAINT):
		return s.fail(doing, err)
	}
	// The frame that makes a commit valid may be in the log although writing or syncing what follows it failed.
	return s.fail(doing, fmt.Errorf("%w: %w", ErrUnknownCommit, err))
}

// rows reads all rows of a query with scan.
func rows[T any](ctx context.Context, s *Store, doing string, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	found, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, s.fail(doing, err)
	}
	defer found.Close()
	var out []T
	for found.Next() {
		one, err := scan(found)
		if err != nil {
			return nil, s.fail(doing, err)
		}
		out = append(out, one)
	}
	return out, s.fail(doing, found.Err())
}

// row is a *sql.Row or the present row of *sql.Rows.
type row interface{ Scan(dest ...any) error }

// limited returns the limit for SQLite, which takes a negative one as none.
func limited(limit int) int {
	if limit <= 0 {
		return -1
	}
	return limit
}

// Times are stored as text, in UTC, exact to the nanosecond.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func unstamp(s string) (time.Time, error) { return time.Parse(time.RFC3339Nano, s) }
