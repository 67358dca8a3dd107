package sqlite

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	sqlitedriver "github.com/ncruces/go-sqlite3/driver"

	"github.com/astern-dev/astern"
)

// journalOf makes an execution in the store and returns its fence, and what appends one record with a number.
func journalOf(t *testing.T, s *Store) (add func(seq int64) error) {
	t.Helper()
	ctx := t.Context()
	if err := s.PutPlan(ctx, "the-plan", []byte("{}"), at); err != nil {
		t.Fatal(err)
	}
	made, _, err := s.CreateExecution(ctx, astern.Execution{PlanHash: "the-plan", CreatedAt: at, Addresses: []string{"e/c"}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	fence, err := s.Take(ctx, made.ID, astern.Runner{Host: "h"}, nobody, 0, at)
	if err != nil {
		t.Fatal(err)
	}
	return func(seq int64) error {
		return s.Append(ctx, made.ID, fence, astern.Record{At: at, Kind: astern.RecordRound, Seq: seq})
	}
}

func wantRecords(t *testing.T, s *Store, want int) {
	t.Helper()
	got, err := s.Read(t.Context(), "ex-1", 0)
	if err != nil || len(got) != want {
		t.Errorf("%d records, want %d: %v", len(got), want, err)
	}
}

// TestFailedAppend lets writing and syncing fail under a record of the journal, on the way that the engine takes: the answer is
// that nobody knows, nothing is read that may be lost, and the files are opened anew before anything else is written.
func TestFailedAppend(t *testing.T) {
	for _, c := range []struct {
		call, hint string
		with       error
	}{
		{"Sync -wal", "dmesg", sqlite3.IOERR_FSYNC}, {"WriteAt -wal", "dmesg", sqlite3.IOERR_WRITE}, {"WriteAt -wal", "free space", sqlite3.FULL},
	} {
		t.Run(c.call+" "+c.hint, func(t *testing.T) {
			folder := t.TempDir()
			d := newDisk(t, folder, rand.New(rand.NewPCG(1, 3)))
			s, err := openOn(t.Context(), folder, d.medium())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			add := journalOf(t, s)
			if err := add(2); err != nil {
				t.Fatal(err)
			}
			d.breakFrom(1, 1, c.call, c.with) // one call fails, and the next ones work
			opened := d.opened()
			wantUnknown(t, add(3), folder, c.hint)
			if d.opened() == opened || s.doubtful || s.appender != nil {
				t.Error("the file was not opened anew")
			}
			wantRecords(t, s, 2)
			d.breakFrom(1, 1000, c.call, c.with) // all of them fail
			wantUnknown(t, add(3), folder, c.hint)
			if err := add(3); err == nil || !strings.Contains(err.Error(), "opening the file anew after a failure") || astern.HintOf(err) == "" {
				t.Errorf("got %v", err)
			}
			wantRecords(t, s, 2)
			d.breakFrom(0, 0, "", nil)
			if err := add(3); err != nil {
				t.Fatalf("the disk works again: %v", err)
			}
			wantRecords(t, s, 3)
		})
	}
}

// TestUsualAppend: the records of an engine take the way that is prepared for them, all else the other one.
func TestUsualAppend(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	add := journalOf(t, s)
	commits := 0
	for _, c := range []struct {
		seq    int64
		failed error
		usual  int // commits by the prepared way
	}{{2, nil, 1}, {3, nil, 2}, {3, ErrBehind, 2}, {4, nil, 3}, {0, nil, 3}} {
		if err := add(c.seq); !errors.Is(err, c.failed) {
			t.Errorf("record %d: %v, want %v", c.seq, err, c.failed)
		}
		if commits = s.appender.commit.Status(sqlite3.STMTSTATUS_RUN, false); commits != c.usual {
			t.Errorf("after record %d the prepared way was taken %d times, want %d", c.seq, commits, c.usual)
		}
	}
	wantRecords(t, s, 5)
}

// TestAnotherWritesBetween: whoever else writes between two records of an engine is seen, wherever the log is.
func TestAnotherWritesBetween(t *testing.T) {
	folder, ctx := t.TempDir(), t.Context()
	s, err := Open(ctx, folder)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other, err := Open(ctx, folder)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s.readOn = time.Hour // however slow the machine is
	add := journalOf(t, s)
	seq := int64(2)
	for ; seq < 2*mostKept; seq++ {
		if err := add(seq); err != nil {
			t.Fatalf("record %d: %v", seq, err)
		}
		a := s.appender
		if wants := int(seq-2) % mostKept; a.kept != wants || a.reading != (wants > 0) || (a.next != place{}) != a.reading {
			t.Fatalf("after record %d: %d pages, next %+v, reading %v", seq, a.kept, a.next, a.reading)
		}
	}
	for i, write := range []func(s *Store) error{
		func(s *Store) error { _, err := s.AddEvent(ctx, astern.Event{At: at, Address: "e/c"}); return err },
		func(s *Store) error {
			return s.Append(ctx, "ex-1", 0, astern.Record{At: at, Kind: astern.RecordPaused})
		},
	} {
		for _, by := range []*Store{s, other} {
			if s.appender != nil {
				s.appender.without = 0
			}
			if err := errors.Join(add(seq), add(seq+1), write(by)); err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			if seq += 2; !s.appender.reading {
				t.Errorf("%d: it does not read on", i)
			}
			err := add(seq)
			if i == 1 { // which took the number
				if !errors.Is(err, ErrBehind) {
					t.Errorf("a person has written record %d: %v", seq, err)
				}
				seq++
				err = add(seq)
			}
			if err != nil {
				t.Errorf("%d: record %d: %v", i, seq, err)
			}
			if seq++; s.appender.reading || s.appender.without < aloneAgain-2 {
				t.Errorf("%d: others write, and it reads on: %+v", i, s.appender)
			}
		}
	}
	if err := add(seq); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Take(ctx, "ex-1", astern.Runner{Host: "another"}, nobody, 0, at); err != nil {
		t.Fatal(err)
	}
	if err := add(seq + 1); !errors.Is(err, ErrFenced) {
		t.Errorf("somebody else has taken the execution: %v", err)
	}
	wantRecords(t, s, int(seq)+1)
}

// TestTwoEnginesInTurns write into two journals, by one store: each number is judged where the other has written.
func TestTwoEnginesInTurns(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	add := journalOf(t, s)
	if err := s.PutPlan(t.Context(), "the-second-plan", []byte("{}"), at); err != nil {
		t.Fatal(err)
	}
	made, _, err := s.CreateExecution(t.Context(), astern.Execution{PlanHash: "the-second-plan", CreatedAt: at, Addresses: []string{"e/d"}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	fence, err := s.Take(t.Context(), made.ID, astern.Runner{Host: "h"}, nobody, 0, at)
	if err != nil {
		t.Fatal(err)
	}
	for seq := int64(2); seq < 6; seq++ {
		second := s.Append(t.Context(), made.ID, fence, astern.Record{At: at, Kind: astern.RecordRound, Seq: seq})
		if err := errors.Join(add(seq), second); err != nil {
			t.Errorf("record %d: %v", seq, err)
		}
	}
	if err := s.Append(t.Context(), made.ID, fence-1, astern.Record{At: at, Kind: astern.RecordRound, Seq: 6}); !errors.Is(err, ErrFenced) {
		t.Errorf("the fence of the first for the second: %v", err)
	}
	wantRecords(t, s, 5)
}

// TestAppenderRests: when nothing is written any more, nothing is in the way of whoever begins the log anew.
func TestAppenderRests(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), `PRAGMA busy_timeout(0)`); err != nil {
		t.Fatal(err)
	}
	busy := func() (busy bool) {
		t.Helper()
		var log, done int
		if err := conn.QueryRowContext(t.Context(), `PRAGMA wal_checkpoint(restart)`).Scan(&busy, &log, &done); err != nil {
			t.Fatal(err)
		}
		return busy
	}
	s.readOn = time.Second
	add := journalOf(t, s)
	state := func() appender {
		s.writer <- struct{}{}
		defer func() { <-s.writer }()
		return *s.appender
	}
	seq := int64(2)
	for begun := time.Now(); time.Since(begun) < 3*s.readOn/2; seq++ { // the timer comes, and finds that it goes on
		if err := add(seq); err != nil {
			t.Fatal(err)
		}
	}
	if a := state(); !a.reading && a.kept > 0 || a.reading && !a.timed {
		t.Errorf("reading, and nobody looks later: %+v", a)
	}
	for ; !state().reading; seq++ { // once a hundred times it does not
		if err := add(seq); err != nil {
			t.Fatal(err)
		}
	}
	if !busy() && state().reading {
		t.Error("it reads, and is in nobody's way")
	}
	for last := time.Now().Add(time.Minute); ; time.Sleep(s.readOn / 20) {
		a := state()
		if !a.reading && !a.timed {
			break
		}
		if time.Now().After(last) {
			t.Fatalf("it reads on: %+v", a)
		}
	}
	if busy() {
		t.Error("the log can't begin anew")
	}
	s.readOn = time.Millisecond
	if err := errors.Join(add(seq), add(seq+1), conn.Close(), s.Close()); err != nil { // with a timer set, unless a millisecond was over
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // it comes, and finds nothing to do
}

// TestLogBeginsAnew whoever writes: one engine at once or slowly, with much or little, two in turns, and one and others.
func TestLogBeginsAnew(t *testing.T) {
	for name, write := range map[string]func(ctx context.Context, s, other *Store, add, second func(records int) error) error{
		"at once":  func(_ context.Context, _, _ *Store, add, _ func(int) error) error { return add(1) },
		"two each": func(_ context.Context, _, _ *Store, add, _ func(int) error) error { return add(2) },
		"slowly": func(_ context.Context, s, _ *Store, add, _ func(int) error) error {
			s.readOn = 0
			return add(1)
		},
		"in turns": func(_ context.Context, _, _ *Store, add, second func(int) error) error {
			return errors.Join(add(1), second(1))
		},
		"and events": func(ctx context.Context, s, _ *Store, add, _ func(int) error) error {
			_, err := s.AddEvent(ctx, astern.Event{At: at, Address: "e/c"})
			return errors.Join(add(1), err)
		},
		"and another's events": func(ctx context.Context, _, other *Store, add, _ func(int) error) error {
			_, err := other.AddEvent(ctx, astern.Event{At: at, Address: "e/c"})
			return errors.Join(add(1), err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder, ctx := t.TempDir(), t.Context()
			s, err := Open(ctx, folder)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			other, err := Open(ctx, folder)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			s.readOn, other.readOn = time.Hour, time.Hour
			engine := func(s *Store, plan, address string) func(records int) error {
				if err := s.PutPlan(ctx, plan, []byte("{}"), at); err != nil {
					t.Fatal(err)
				}
				made, _, err := s.CreateExecution(ctx, astern.Execution{PlanHash: plan, CreatedAt: at, Addresses: []string{address}}, 0)
				if err != nil {
					t.Fatal(err)
				}
				fence, err := s.Take(ctx, made.ID, astern.Runner{Host: "h"}, nobody, 0, at)
				if err != nil {
					t.Fatal(err)
				}
				seq := int64(1)
				return func(records int) error {
					recs := make([]astern.Record, records)
					for i := range recs {
						seq++
						recs[i] = astern.Record{At: at, Kind: astern.RecordRound, Seq: seq, Text: strings.Repeat("x", 3000)}
					}
					return s.Append(ctx, made.ID, fence, recs...)
				}
			}
			add, second := engine(s, "the-first-plan", "e/c"), engine(other, "the-second-plan", "e/d")
			salts := map[string]bool{}
			for i := range 1000 {
				if err := write(ctx, s, other, add, second); err != nil {
					t.Fatalf("round %d: %v", i, err)
				}
				if i%10 == 0 {
					log := logOf(t, folder)
					salts[string(log[16:24])] = true
					if len(log) > 10<<20 {
						t.Fatalf("after %d rounds the log has %d bytes", i, len(log))
					}
				}
			}
			if len(salts) < 2 {
				t.Error("the log never began anew")
			}
		})
	}
}

// TestRollbackThatFails: a transaction that can't be given up ends with its connection, so that the next record finds none open.
func TestRollbackThatFails(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	add := journalOf(t, s)
	if err := add(2); err != nil {
		t.Fatal(err)
	}
	denials := 2
	noWay := func(action sqlite3.AuthorizerActionCode, what, _, _, _ string) sqlite3.AuthorizerReturnCode {
		if denials > 0 && (action == sqlite3.AUTH_INSERT || action == sqlite3.AUTH_TRANSACTION && what == "ROLLBACK") {
			denials--
			return sqlite3.AUTH_DENY
		}
		return sqlite3.AUTH_OK
	}
	if err := s.appender.conn.Raw(func(c any) error { return c.(sqlitedriver.Conn).Raw().SetAuthorizer(noWay) }); err != nil {
		t.Fatal(err)
	}
	if err := add(3); err == nil || strings.Count(err.Error(), "not authorized") != 2 || !strings.Contains(err.Error(), "writing the journal of ex-1 ("+s.folder) || errors.Is(err, ErrUnknownCommit) || errors.Is(err, context.Canceled) {
		t.Errorf("neither the record nor giving up is allowed: %v", err)
	}
	wantRecords(t, s, 2)
	if err := add(3); err != nil {
		t.Errorf("the next time: %v", err)
	}
	wantRecords(t, s, 3)
}

// TestReadOnlyAppendsNothing: what is open for reading takes no record, by neither way.
func TestReadOnlyAppendsNothing(t *testing.T) {
	folder, ctx := t.TempDir(), t.Context()
	s, err := Open(ctx, folder)
	if err != nil {
		t.Fatal(err)
	}
	add := journalOf(t, s)
	if err := errors.Join(add(2), s.Close()); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenReadOnly(ctx, folder); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fence, err := s.Fence(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []int64{3, 0} {
		if err := s.Append(ctx, "ex-1", fence, astern.Record{At: at, Kind: astern.RecordRound, Seq: seq}); astern.CodeOf(err) != astern.Refused {
			t.Errorf("record %d: %v", seq, err)
		}
	}
	wantRecords(t, s, 2)
}

// TestConnectionsAreFew: as many as stay open, and no more, however many ask.
func TestConnectionsAreFew(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := s.db.Stats().MaxOpenConnections; n != idle {
		t.Errorf("%d connections may be open, want %d", n, idle)
	}
}

// TestEventsAreInUTC, the one that is returned and the one that is read.
func TestEventsAreInUTC(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	written, err := s.AddEvent(t.Context(), astern.Event{At: at.In(time.FixedZone("", 3600)), Address: "e/c", Token: "t"})
	if err != nil || written.At != at.UTC() {
		t.Errorf("written at %s, %v", written.At, err)
	}
	read, err := s.Events(t.Context(), "e/c", 0)
	if err != nil || len(read) != 1 || read[0].At.Location() != time.UTC || !read[0].At.Equal(at) {
		t.Errorf("read %+v, %v", read, err)
	}
}
