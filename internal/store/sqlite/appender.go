package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/astern-dev/astern"
)

// An engine writes two or three records for each step, and a commit is what a step costs. So the usual case, records that
// know their sequence numbers, under the fence that counts, of an execution that goes on, is written by two statements
// that stay prepared. Whatever else there is to judge is judged by Append.

// appender is a connection of its own with the statements for the usual case.
type appender struct {
	conn                              *sql.Conn
	begin, commit, first, other, look *sqlite3.Stmt

	// Between two commits that follow each other soon the connection goes on reading, so that it sees whether anybody else has
	// written since: SQLite answers BUSY then (https://sqlite.org/rescode.html#busy_snapshot). Where nobody has, the next record need
	// not be judged, and four of six calls for a lock are spared. But while it reads, what is in the log can't all be merged, nor can
	// the log begin anew. So it stops after mostKept, and when nothing was written for a while, and where others write as well it
	// does without for the next commits.
	reading bool
	kept    int       // pages written since it began to read, at least
	next    place     // where the next record goes of the execution that was written last, as long as it goes on reading
	without int       // commits for which it does not read on
	last    time.Time // of the last commit
	timed   bool      // a timer looks later
}

const (
	mostKept     = 100                   // pages
	aloneAgain   = 100                   // commits until it is tried whether others still write
	readOnFor    = 50 * time.Millisecond // how long it reads on when nothing is written
	bytesOfAPage = 4096
)

// place is where a record goes: an execution, the fence that counts, and the number.
type place struct{ n, fence, seq int64 }

const (
	// insertFirst writes nothing unless the record follows the last one and the fence counts.
	insertFirst = `INSERT INTO journal (key, doc) SELECT (?1 << 32) + ?2, ?3
		WHERE EXISTS (SELECT 1 FROM executions WHERE n = ?1 AND fence = ?4 AND ended_at = '')
		AND ?2 = (` + lastOf + `) + 1`
	insertOther = `INSERT INTO journal (key, doc) VALUES ((?1 << 32) + ?2, ?3)`
)

// usual reports whether records may be written without asking more than insertFirst does.
func usual(fence int64, recs []astern.Record) bool {
	for i, rec := range recs {
		if rec.Seq == 0 || rec.Seq != recs[0].Seq+int64(i) || rec.Kind == astern.RecordEnded {
			return false
		}
	}
	return fence > 0
}

// appendUsual writes records of the usual case. It reports false when nothing was written because the case is not usual.
func (s *Store) appendUsual(ctx context.Context, doing string, n, fence int64, recs []astern.Record) (written bool, err error) {
	docs := make([][]byte, len(recs))
	for i, rec := range recs {
		rec.Fence, rec.At = fence, rec.At.UTC()
		if docs[i], err = json.Marshal(rec); err != nil {
			return false, nil // Append says which
		}
	}
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
	case <-ctx.Done():
		return false, s.fail(doing, ctx.Err())
	}
	if err := s.renew(ctx); err != nil {
		return false, s.fail(doing, fmt.Errorf("opening the file anew after a failure: %w", err))
	}
	if s.appender == nil {
		if s.appender, err = s.newAppender(ctx); err != nil {
			return false, s.fail(doing, err)
		}
	}
	committing := false
	err = s.appender.conn.Raw(func(c any) error {
		written, committing, err = s.appender.write(c.(driver.Conn).Raw(), s.readOn, place{n, fence, recs[0].Seq}, docs)
		return err
	})
	if err == nil {
		if s.appender.reading && !s.appender.timed {
			s.restSoon(s.appender)
		}
		return written, nil
	}
	s.closeAppender()
	if committing {
		err = s.committed(ctx, doing, err)
	} else {
		err = s.fail(doing, err)
	}
	s.doubtful = s.doubtful || brokenFile(err)
	_ = s.renew(ctx) // as in write
	return false, err
}

// write is one transaction. After an error committing tells whether the commit was asked for.
func (a *appender) write(c *sqlite3.Conn, readOn time.Duration, at place, docs [][]byte) (written, committing bool, err error) {
	if err := a.lock(readOn); err != nil {
		return false, false, errors.Join(err, rollback(c))
	}
	judged := a.next == at // nobody has written since
	pages := 1
	for _, doc := range docs {
		insert, bound := a.other, error(nil)
		if !judged {
			insert, bound = a.first, a.first.BindInt64(4, at.fence)
		}
		if err := errors.Join(bound, insert.BindInt64(1, at.n), insert.BindInt64(2, at.seq), insert.BindRawText(3, doc), insert.Exec()); err != nil {
			return false, false, errors.Join(err, rollback(c))
		}
		if !judged && c.Changes() == 0 {
			a.rest()
			return false, false, rollback(c)
		}
		judged = true
		at.seq++
		pages += len(doc) / bytesOfAPage
	}
	if a.reading {
		a.next, a.kept = at, a.kept+pages
		if a.kept >= mostKept { // before the commit, which merges the log when that is due and nothing is read
			a.rest()
		}
	}
	if err := a.commit.Exec(); err != nil {
		return false, true, errors.Join(err, rollback(c))
	}
	a.last = time.Now()
	return true, false, nil
}

// lock begins a transaction that nobody else writes beside.
func (a *appender) lock(readOn time.Duration) error {
	err := a.begin.Exec()
	if a.reading && errors.Is(err, sqlite3.BUSY) { // somebody has written since, or writes: what was read is old
		a.rest()
		a.without = aloneAgain
		err = a.begin.Exec()
	}
	switch {
	case err != nil || a.reading:
		return err
	case a.without > 0:
		a.without--
	case time.Since(a.last) < readOn:
		a.reading = a.look.Step()
	}
	return a.look.Err()
}

// rest stops reading between commits.
func (a *appender) rest() {
	a.reading, a.kept, a.next = false, 0, place{}
	_ = a.look.Reset() // tells only of the last error of the statement
}

// restSoon makes the appender rest when nothing is written for a while; the caller has the writer's place.
func (s *Store) restSoon(a *appender) {
	a.timed = true
	time.AfterFunc(s.readOn, func() {
		s.writer <- struct{}{}
		defer func() { <-s.writer }()
		switch {
		case s.appender != a: // it was given up
		case time.Since(a.last) < s.readOn:
			s.restSoon(a)
		default:
			a.timed = false
			a.rest()
		}
	})
}

// rollback ends a transaction unless SQLite has done so itself.
func rollback(c *sqlite3.Conn) error {
	if c.GetAutocommit() {
		return nil
	}
	return c.Exec(`ROLLBACK`)
}

// newAppender prepares the statements on a connection that nothing else uses.
func (s *Store) newAppender(ctx context.Context) (*appender, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	a := &appender{conn: conn}
	err = conn.Raw(func(c any) error {
		for text, stmt := range map[string]**sqlite3.Stmt{`BEGIN IMMEDIATE`: &a.begin, `COMMIT`: &a.commit,
			insertFirst: &a.first, insertOther: &a.other, `SELECT n FROM executions`: &a.look} {
			var err error
			if *stmt, _, err = c.(driver.Conn).Raw().PrepareFlags(text, sqlite3.PREPARE_PERSISTENT); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		a.finish()
		conn.Close()
		return nil, err
	}
	return a, nil
}

// finish gives the statements up: a connection that still has one can't be closed, and keeps its locks.
func (a *appender) finish() {
	for _, stmt := range []*sqlite3.Stmt{a.begin, a.commit, a.first, a.other, a.look} {
		stmt.Close() // tells only of the last error of the statement
	}
}

// closeAppender gives its connection up: after an error, and at the end.
func (s *Store) closeAppender() {
	a := s.appender
	if a == nil {
		return
	}
	s.appender = nil
	a.finish()
	_ = a.conn.Raw(func(c any) error {
		if !c.(driver.Conn).Raw().GetAutocommit() {
			return sqldriver.ErrBadConn // a transaction that can't be given up ends with its connection
		}
		return nil
	})
	a.conn.Close()
}
