package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"
	sqlitedriver "github.com/ncruces/go-sqlite3/driver"

	"github.com/astern-dev/astern"
)

// denial makes the nth question fail that SQLite asks before it carries a statement out, of any connection.
var denial struct {
	left  atomic.Int64
	ready atomic.Bool
}

// denied is the answer to a question. To give a transaction up is never denied: that needs nothing that could fail.
func denied(action sqlite3.AuthorizerActionCode, what, _, _, _ string) sqlite3.AuthorizerReturnCode {
	if action == sqlite3.AUTH_TRANSACTION && what == "ROLLBACK" {
		return sqlite3.AUTH_OK
	}
	if denial.left.Add(-1) == 0 {
		return sqlite3.AUTH_DENY
	}
	return sqlite3.AUTH_OK
}

// deny runs call with the nth question denied, and reports whether there was one.
func deny(n int64, call func() error) (fired bool, err error) {
	if !denial.ready.Swap(true) {
		sqlite3.AutoExtension(func(c *sqlite3.Conn) error { return c.SetAuthorizer(denied) })
	}
	denial.left.Store(n)
	err = call()
	return denial.left.Swap(0) <= 0, err
}

// denyEach fails one question after the other until call comes through, and says how many there were.
func denyEach(t *testing.T, call func() error, after func(n int64, err error)) {
	t.Helper()
	for n := int64(1); n < 2000; n++ {
		fired, err := deny(n, call)
		if !fired {
			if err != nil || n == 1 {
				t.Fatalf("nothing was denied after %d questions, and it answers: %v", n-1, err)
			}
			return
		}
		after(n, err)
	}
	t.Fatal("it never comes through")
}

// deniedStore has an execution with a child, which a process has taken.
func deniedStore(t *testing.T) *Store {
	t.Helper()
	ctx := t.Context()
	s, err := Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, plan := range []string{"plan-one", "plan-two", "plan-three", "plan-four"} {
		err = errors.Join(err, s.PutPlan(ctx, plan, []byte("{}"), at))
	}
	_, _, err1 := s.CreateExecution(ctx, astern.Execution{PlanHash: "plan-one", CreatedAt: at, Addresses: []string{"e/a"}}, 0)
	_, err2 := s.Take(ctx, "ex-1", astern.Runner{Host: "h"}, nobody, 0, at)
	_, _, err3 := s.CreateExecution(ctx, astern.Execution{PlanHash: "plan-two", CreatedAt: at, Addresses: []string{"e/a"}, Parent: "ex-1"}, 0)
	_, err4 := s.Take(ctx, "ex-2", astern.Runner{Host: "h"}, nobody, 0, at)
	_, err5 := s.AddEvent(ctx, astern.Event{At: at, Token: "event-one"})
	_, _, err6 := s.OpenIncident(ctx, astern.IncidentEvent{At: at, Token: "fault-one"})
	err7 := s.QueueNotice(ctx, astern.Notice{Token: "told-one"}, []string{"a", "b"}, at)
	_, err8 := s.Subscribe(ctx, []string{"a"}, at)
	err9 := s.AddOverride(ctx, astern.Override{PlanHash: "plan-one", By: "ann", At: at})
	if err := errors.Join(err, err1, err2, err3, err4, err5, err6, err7, err8, err9); err != nil {
		t.Fatal(err)
	}
	return s
}

func nobody(astern.Runner) bool { return false }

// TestEveryStatementFails lets each statement of each method fail by itself: the method says so, and nothing has changed.
func TestEveryStatementFails(t *testing.T) {
	end := astern.Record{At: at, Kind: astern.RecordEnded, Outcome: astern.OutcomeDone}
	round := astern.Record{At: at, Kind: astern.RecordRound}
	calls := map[string]func(ctx context.Context, s *Store) error{
		"create": func(ctx context.Context, s *Store) error {
			_, _, err := s.CreateExecution(ctx, astern.Execution{PlanHash: "plan-three", CreatedAt: at, Addresses: []string{"e/a", "e/b"}, Parent: "ex-2"}, 7)
			return err
		},
		"create what is held": func(ctx context.Context, s *Store) error {
			_, _, err := s.CreateExecution(ctx, astern.Execution{PlanHash: "plan-four", CreatedAt: at, Addresses: []string{"e/a"}}, 0)
			return unless(err, "e/a is held by ex-2 (ex-2: last taken by process 0 on h)")
		},
		"take": func(ctx context.Context, s *Store) error {
			_, err := s.Take(ctx, "ex-2", astern.Runner{Host: "i"}, nobody, 0, at)
			return err
		},
		"append an end":   func(ctx context.Context, s *Store) error { return s.Append(ctx, "ex-2", 2, end) },
		"append a round":  func(ctx context.Context, s *Store) error { return s.Append(ctx, "ex-2", 2, round) },
		"append too late": func(ctx context.Context, s *Store) error { return unlessIs(s.Append(ctx, "ex-2", 1, round), ErrFenced) },
		"append a pause": func(ctx context.Context, s *Store) error {
			return s.Append(ctx, "ex-2", 0, astern.Record{At: at, Kind: astern.RecordPaused})
		},
		"put a plan": func(ctx context.Context, s *Store) error { return s.PutPlan(ctx, "plan-five", []byte("{}"), at) },
		"approve": func(ctx context.Context, s *Store) error {
			return s.AddApproval(ctx, "plan-one", "ann", Approve, "", at)
		},
		"sign": func(ctx context.Context, s *Store) error { return s.AddSigned(ctx, signedOf("plan-one")) },
		"break the glass": func(ctx context.Context, s *Store) error {
			return s.AddOverride(ctx, astern.Override{PlanHash: "plan-two", At: at})
		},
		"review": func(ctx context.Context, s *Store) error { return s.AddReview(ctx, "plan-one", "ben", "fine", at) },
		"add an event": func(ctx context.Context, s *Store) error {
			_, err := s.AddEventUnder(ctx, 2, astern.Event{At: at, Token: "event-two", Execution: "ex-2"})
			return err
		},
		"add it too late": func(ctx context.Context, s *Store) error {
			_, err := s.AddEventUnder(ctx, 1, astern.Event{At: at, Token: "event-three", Execution: "ex-2"})
			return unlessIs(err, ErrFenced)
		},
		"add it again": func(ctx context.Context, s *Store) error {
			_, err := s.AddEvent(ctx, astern.Event{At: at, Token: "event-one"})
			return err
		},
		"open an incident": func(ctx context.Context, s *Store) error {
			_, _, err := s.OpenIncident(ctx, astern.IncidentEvent{At: at, Token: "fault-two"})
			return err
		},
		"add to an incident": func(ctx context.Context, s *Store) error {
			_, err := s.AddIncidentEvent(ctx, "inc-1", astern.IncidentEvent{At: at, Token: "noted-one"})
			return err
		},
		"read an incident": func(ctx context.Context, s *Store) error { _, err := s.Incident(ctx, "inc-1"); return err },
		"read incidents":   func(ctx context.Context, s *Store) error { _, err := s.Incidents(ctx); return err },
		"queue a notice": func(ctx context.Context, s *Store) error {
			return s.QueueNotice(ctx, astern.Notice{Token: "told-two"}, []string{"a", "b"}, at)
		},
		"take a notice": func(ctx context.Context, s *Store) error {
			taken, err := s.TryDispatch(ctx, 1, []int64{2}, at, at.Add(time.Minute))
			if err == nil && !taken {
				err = errors.New("it was not taken")
			}
			return err
		},
		"settle a notice": func(ctx context.Context, s *Store) error {
			return s.SettleDispatch(ctx, 1, astern.DispatchSent, "", at, at)
		},
		"note channels": func(ctx context.Context, s *Store) error {
			_, err := s.Subscribe(ctx, []string{"a", "b"}, at)
			return err
		},
		"read the outbox":   func(ctx context.Context, s *Store) error { _, err := s.Dispatches(ctx, at); return err },
		"read channels":     func(ctx context.Context, s *Store) error { _, err := s.Subscribe(ctx, nil, at); return err },
		"keep a proof":      func(ctx context.Context, s *Store) error { return s.KeepProof(ctx, "key", []byte("x"), at) },
		"read a journal":    func(ctx context.Context, s *Store) error { _, err := s.Read(ctx, "ex-2", 0); return err },
		"read executions":   func(ctx context.Context, s *Store) error { _, err := s.Executions(ctx, 0, true); return err },
		"read one":          func(ctx context.Context, s *Store) error { _, err := s.Execution(ctx, "ex-2"); return err },
		"read its runner":   func(ctx context.Context, s *Store) error { _, _, err := s.Runner(ctx, "ex-2"); return err },
		"read a lease":      func(ctx context.Context, s *Store) error { _, _, err := s.Holder(ctx, "e/a"); return err },
		"read the fence":    func(ctx context.Context, s *Store) error { _, err := s.Fence(ctx); return err },
		"read a plan":       func(ctx context.Context, s *Store) error { _, err := s.Plan(ctx, "plan-one"); return err },
		"read the plans":    func(ctx context.Context, s *Store) error { _, err := s.Documents(ctx); return err },
		"read recent plans": func(ctx context.Context, s *Store) error { _, err := s.RecentPlans(ctx, at); return err },
		"read approvals":    func(ctx context.Context, s *Store) error { _, err := s.Approvals(ctx, "plan-one"); return err },
		"read signed":       func(ctx context.Context, s *Store) error { _, err := s.Signed(ctx, "plan-one"); return err },
		"read overrides":    func(ctx context.Context, s *Store) error { _, err := s.Overrides(ctx); return err },
		"read the ledger":   func(ctx context.Context, s *Store) error { _, err := s.Events(ctx, "e/a", 0); return err },
		"read an event":     func(ctx context.Context, s *Store) error { _, _, err := s.EventByToken(ctx, "event-one"); return err },
		"read a proof":      func(ctx context.Context, s *Store) error { _, _, err := s.Proof(ctx, "key"); return err },
		"read the id":       func(ctx context.Context, s *Store) error { _, err := s.StoreID(ctx); return err },
		"end, never taken":  func(ctx context.Context, s *Store) error { return unlessIs(s.Append(ctx, "ex-1", 9, end), ErrFenced) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			deny(0, func() error { return nil }) // so that the store's connections can be denied
			s, ctx := deniedStore(t), t.Context()
			before, err := read(ctx, s.db)
			if err != nil {
				t.Fatal(err)
			}
			denyEach(t, func() error { return call(ctx, s) }, func(n int64, err error) {
				if err == nil || !strings.Contains(err.Error(), "not authorized") && !strings.Contains(err.Error(), "prohibited") {
					t.Errorf("question %d was denied, and it answers: %v", n, err)
				}
				if after, err := read(ctx, s.db); err != nil || !cmp.Equal(before, after) {
					t.Fatalf("question %d was denied, and this changed: %v %s", n, err, cmp.Diff(before, after))
				}
			})
		})
	}
}

// unless passes the error unless it says what it should.
func unless(err error, words string) error {
	if err != nil && strings.Contains(err.Error(), words) {
		return nil
	}
	return errors.Join(err, notSaid(err, words))
}

func unlessIs(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return errors.Join(err, notSaid(err, want.Error()))
}

func notSaid(err error, words string) error {
	if err == nil {
		return errors.New("it does not answer: " + words)
	}
	return nil
}

// TestEveryStatementOfOpening lets each statement fail with which a state folder is made, opened, or read.
func TestEveryStatementOfOpening(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	made := deniedStore(t)
	unmerged := filesOf(t, made.folder)
	openers := map[string]func(context.Context, string) (*Store, error){"for writing": Open, "for reading": OpenReadOnly}
	for how, open := range openers {
		for state, files := range map[string]map[string][]byte{"a new folder": nil, "one with a log": unmerged} {
			t.Run(state+" "+how, func(t *testing.T) {
				var folder string
				denyEach(t, func() error {
					folder = t.TempDir()
					put(t, folder, files)
					s, err := open(t.Context(), folder)
					if err == nil {
						s.Close()
					}
					return err
				}, func(n int64, err error) {
					if err == nil {
						t.Fatalf("question %d was denied, and it says nothing", n)
					}
					denial.left.Store(0)
					s, err := open(t.Context(), folder)
					if err != nil {
						t.Fatalf("after the denial of question %d: %v", n, err)
					}
					s.Close()
				})
			})
		}
	}
}

// TestDeniedRenewal lets each statement fail that opens the files anew after a commit that is unknown.
func TestDeniedRenewal(t *testing.T) {
	deny(0, func() error { return nil })
	ctx := t.Context()
	s := deniedStore(t)
	next := int64(2)
	for what, change := range map[string]func() error{
		"write": func() error { return s.PutPlan(ctx, fmt.Sprint("plan-number-", next), []byte("{}"), at) },
		"append": func() error {
			err := s.Append(ctx, "ex-2", 2, astern.Record{At: at, Kind: astern.RecordRound, Seq: next})
			if err == nil {
				next++
			}
			return err
		},
	} {
		for n := int64(1); n < 200; n++ {
			s.doubtful = true
			fired, err := deny(n, change)
			if fired != (err != nil) {
				t.Fatalf("%s, question %d: denied %t, answer %v", what, n, fired, err)
			}
			if !fired {
				break
			}
		}
		if s.doubtful {
			t.Errorf("%s: the store still doubts", what)
		}
	}
}

// TestDeniedAppender lets each statement fail with which an engine's records are written.
func TestDeniedAppender(t *testing.T) {
	deny(0, func() error { return nil })
	ctx := t.Context()
	s := deniedStore(t)
	recs := func(seq int64) []astern.Record {
		return []astern.Record{{At: at, Kind: astern.RecordRound, Seq: seq}, {At: at, Kind: astern.RecordRound, Seq: seq + 1}}
	}
	seq := int64(2)
	for _, prepared := range []bool{false, true} {
		for n := int64(1); n < 200; n++ {
			if prepared && s.appender == nil {
				if err := s.Append(ctx, "ex-2", 2, recs(seq)...); err != nil {
					t.Fatal(err)
				}
				seq += 2
			}
			if prepared { // whoever sets the authorizer has all statements prepared again
				if err := s.appender.conn.Raw(func(c any) error { return c.(sqlitedriver.Conn).Raw().SetAuthorizer(denied) }); err != nil {
					t.Fatal(err)
				}
			} else {
				s.closeAppender()
			}
			fired, err := deny(n, func() error { return s.Append(ctx, "ex-2", 2, recs(seq)...) })
			if fired != (err != nil) {
				t.Fatalf("question %d: denied %t, answer %v", n, fired, err)
			}
			if got, err := s.Read(ctx, "ex-2", seq-1); err != nil || len(got) != 0 && fired {
				t.Fatalf("question %d: %d records, %v", n, len(got), err)
			}
			if s.appender == nil {
				wantNoStatements(t, s)
			}
			if !fired {
				seq += 2
				break
			}
		}
	}
	// A number that is taken and a fence that counts no more are judged by the other way.
	if err := s.Append(ctx, "ex-2", 2, recs(seq-1)...); !errors.Is(err, ErrBehind) {
		t.Errorf("a number that is taken: %v", err)
	}
	if err := s.Append(ctx, "ex-2", 1, recs(seq)...); !errors.Is(err, ErrFenced) {
		t.Errorf("an old fence: %v", err)
	}
	if err := rollbackOf(s); err != nil {
		t.Errorf("a rollback without a transaction: %v", err)
	}
}

// wantNoStatements looks at the connection that was used last: one with a statement can't be closed, and would keep its locks.
func wantNoStatements(t *testing.T, s *Store) {
	t.Helper()
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		for stmt := range c.(sqlitedriver.Conn).Raw().Stmts() {
			t.Errorf("left: %s", stmt.SQL())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func rollbackOf(s *Store) error {
	conn, err := s.db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(c any) error { return rollback(c.(sqlitedriver.Conn).Raw()) })
}

// TestDeniedProofOfAReader: a reader that can't keep its proof leaves the one before, and only whoever looks aside is told.
func TestDeniedProofOfAReader(t *testing.T) {
	deny(0, func() error { return nil })
	ctx := t.Context()
	s := deniedStore(t)
	r, err := OpenReadOnly(ctx, s.folder)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for n := int64(1); n < 200; n++ {
		fired, err := deny(n, func() error { return r.keepAside(ctx, "key", []byte("x"), at) })
		if fired != (err != nil) {
			t.Fatalf("question %d, denied %t: %v", n, fired, err)
		}
		if got, ok, err := s.Proof(ctx, "key"); err != nil || ok != !fired {
			t.Fatalf("question %d, denied %t: %q, %t, %v", n, fired, got, ok, err)
		}
		if _, err := deny(n, func() error { return r.KeepProof(ctx, "another key", []byte("x"), at) }); err != nil {
			t.Fatal(err)
		}
		if !fired {
			return
		}
	}
	t.Fatal("it never comes through")
}

var _ driver.Connector = source("")

// TestWhatCantBeWritten: a time beyond the year 9999 has no form in JSON.
func TestWhatCantBeWritten(t *testing.T) {
	s, ctx := deniedStore(t), t.Context()
	far := time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, seq := range []int64{0, 2} {
		err := s.Append(ctx, "ex-2", 2, astern.Record{At: far, Kind: astern.RecordRound, Seq: seq})
		if astern.CodeOf(err) != astern.Invalid || !strings.Contains(err.Error(), "record 2 (round) of ex-2 can't be written") {
			t.Errorf("a record with number %d: %v", seq, err)
		}
	}
	if _, err := s.AddEvent(ctx, astern.Event{At: far}); err == nil {
		t.Error("an event of the year 10000 was written")
	}
}

// TestWriterIsWaitedFor: whoever waits for another writer can give up.
func TestWriterIsWaitedFor(t *testing.T) {
	s := deniedStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.writer <- struct{}{}
	defer func() { <-s.writer }()
	for what, err := range map[string]error{
		"append": s.Append(ctx, "ex-2", 2, astern.Record{At: at, Kind: astern.RecordRound, Seq: 2}),
		"write":  s.PutPlan(ctx, "plan-five", []byte("{}"), at),
	} {
		if astern.CodeOf(err) != astern.Interrupted || astern.HintOf(err) != "nothing was written" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestOddRows: what nothing of ours has written is not read as if it were.
func TestOddRows(t *testing.T) {
	for _, change := range []string{`UPDATE executions SET created_at = 'noon'`, `UPDATE executions SET ended_at = 'noon'`,
		`UPDATE executions SET addresses = 'a'`, `UPDATE executions SET n = 'x' WHERE 0; UPDATE executions SET created_at = NULL`} {
		s, ctx := deniedStore(t), t.Context()
		if _, err := s.db.Exec(change); err != nil && !strings.Contains(err.Error(), "NOT NULL") {
			t.Fatal(err)
		} else if err != nil {
			continue
		}
		if list, err := s.Executions(ctx, 0, false); err == nil {
			t.Errorf("%s: %v", change, list)
		}
	}
	s, ctx := deniedStore(t), t.Context()
	if _, err := s.db.Exec(`UPDATE executions SET runner = '{'`); err != nil {
		t.Fatal(err)
	}
	if r, ok, err := s.Runner(ctx, "ex-2"); err == nil {
		t.Errorf("a runner that can't be read: %v, %t", r, ok)
	}
	if fence, err := s.Take(ctx, "ex-2", astern.Runner{Host: "i"}, nobody, 0, at); err == nil {
		t.Errorf("taken from a runner that can't be read: %d", fence)
	}
	if _, err := s.db.Exec(`UPDATE dispatches SET queued_at = 'noon'; UPDATE channels SET since = 'noon'`); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Dispatches(ctx, at); err == nil {
		t.Errorf("a notice that was queued at noon: %v", list)
	}
	if since, err := s.Subscribe(ctx, nil, at); err == nil {
		t.Errorf("a channel that is told since noon: %v", since)
	}
	if err := refuseLoneLog(filepath.Join(t.TempDir(), fileName)); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestFailureNamesWhatToDo is the table from causes to codes.
func TestFailureNamesWhatToDo(t *testing.T) {
	for _, c := range []struct {
		cause error
		code  astern.Code
		hint  string
	}{
		{context.Canceled, astern.Interrupted, "nothing was written"},
		{context.DeadlineExceeded, astern.Unavailable, "try again"},
		{sqlite3.FULL, astern.Internal, "is full"},
		{syscall.ENOSPC, astern.Internal, "is full"},
		{syscall.EDQUOT, astern.Internal, "is full"},
		{syscall.EFBIG, astern.Internal, "is full"},
		{sqlite3.NOTADB, astern.Invalid, "move the file away"},
		{sqlite3.CORRUPT, astern.Internal, "damaged"},
		{sqlite3.BUSY, astern.Unavailable, "locked"},
		{sqlite3.LOCKED, astern.Unavailable, "locked"},
		{os.ErrPermission, astern.Denied, "read and write"},
		{sqlite3.READONLY, astern.Denied, "read and write"},
		{sqlite3.PERM, astern.Denied, "read and write"},
		{sqlite3.CANTOPEN, astern.Denied, "read and write"},
		{syscall.EROFS, astern.Denied, "read and write"},
		{sqlite3.IOERR, astern.Internal, "failed"},
	} {
		err := failure("/state", "trying", c.cause)
		if astern.CodeOf(err) != c.code || !strings.Contains(astern.HintOf(err), c.hint) || !strings.Contains(err.Error(), "/state/state.db") {
			t.Errorf("%v: %v (%s; %s)", c.cause, err, astern.CodeOf(err), astern.HintOf(err))
		}
	}
	s := &Store{folder: "/state"}
	for cause, unknown := range map[error]bool{sqlite3.BUSY: false, sqlite3.CONSTRAINT: false, context.Canceled: false, sqlite3.IOERR: true, sqlite3.FULL: true} {
		if err := s.committed(t.Context(), "trying", cause); err == nil || errors.Is(err, ErrUnknownCommit) != unknown {
			t.Errorf("a commit that answers %v: %v", cause, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.committed(gone, "trying", errors.Join(context.DeadlineExceeded)); astern.CodeOf(err) != astern.Interrupted {
		t.Errorf("a commit that was given up: %v", err)
	}
}
