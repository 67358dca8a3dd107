package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/astern-dev/astern"
)

// An engine writes two or three records for each step, and a commit is what a step costs. So the usual case, records that
// know their sequence numbers, under the fence that counts, of an execution that goes on, is written by two statements
// that stay prepared. Whatever else there is to judge is judged by Append.

// appender is a connection of its own with the statements for the usual case.
type appender struct {
	conn                        *sql.Conn
	begin, commit, first, other *sqlite3.Stmt
}

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
		written, committing, err = s.appender.write(c.(driver.Conn).Raw(), n, fence, recs[0].Seq, docs)
		return err
	})
	if err == nil {
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
func (a *appender) write(c *sqlite3.Conn, n, fence, seq int64, docs [][]byte) (written, committing bool, err error) {
	if err := a.begin.Exec(); err != nil {
		return false, false, err
	}
	for i, doc := range docs {
		insert, bound := a.other, error(nil)
		if i == 0 {
			insert, bound = a.first, a.first.BindInt64(4, fence)
		}
		if err := errors.Join(bound, insert.BindInt64(1, n), insert.BindInt64(2, seq+int64(i)), insert.BindRawText(3, doc), insert.Exec()); err != nil {
			return false, false, errors.Join(err, rollback(c))
		}
		if i == 0 && c.Changes() == 0 {
			return false, false, rollback(c)
		}
	}
	if err := a.commit.Exec(); err != nil {
		return false, true, errors.Join(err, rollback(c))
	}
	return true, false, nil
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
			insertFirst: &a.first, insertOther: &a.other} {
			var err error
			if *stmt, _, err = c.(driver.Conn).Raw().PrepareFlags(text, sqlite3.PREPARE_PERSISTENT); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return a, nil
}

// closeAppender gives its connection up: after an error, and at the end.
func (s *Store) closeAppender() {
	a := s.appender
	if a == nil {
		return
	}
	s.appender = nil
	for _, stmt := range []*sqlite3.Stmt{a.begin, a.commit, a.first, a.other} {
		stmt.Close() // tells only of the last error of the statement
	}
	_ = a.conn.Raw(func(c any) error {
		if !c.(driver.Conn).Raw().GetAutocommit() {
			return sqldriver.ErrBadConn // a transaction that can't be given up ends with its connection
		}
		return nil
	})
	a.conn.Close()
}
