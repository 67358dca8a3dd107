package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/astern-dev/astern"
)

// TestLogAheadToTheByte: a log that is just filled is not made longer, nor is one that another has made longer.
func TestLogAheadToTheByte(t *testing.T) {
	f := &small{room: 10 << 20}
	log := &logFile{File: f}
	piece := bytes.Repeat([]byte{1}, 100)
	for _, off := range []int64{0, leastAhead} { // the second ends where the zeros do
		if _, err := log.WriteAt(piece, off); err != nil {
			t.Fatal(err)
		}
		if len(f.bytes) != 100+leastAhead {
			t.Errorf("%d bytes after a write at %d", len(f.bytes), off)
		}
	}
	another := &logFile{File: f}
	if _, err := another.WriteAt(piece, 0); err != nil || len(f.bytes) != 100+leastAhead || !bytes.HasSuffix(f.bytes, piece) {
		t.Errorf("%d bytes after a write of another, %v", len(f.bytes), err)
	}
}

// TestNoticesAreInUTC, wherever the clock stands of whoever queues them.
func TestNoticesAreInUTC(t *testing.T) {
	s := deniedStore(t)
	if err := s.QueueNotice(t.Context(), astern.Notice{Token: "told-two", At: at.In(time.FixedZone("", 3600))}, []string{"a"}, at); err != nil {
		t.Fatal(err)
	}
	all, err := s.Dispatches(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if last := all[len(all)-1].Notice; last.Token != "told-two" || last.At.Location() != time.UTC || !last.At.Equal(at) {
		t.Errorf("read %+v", last)
	}
}

// TestFailedOpeningLeavesNoConnection: who opens the state after an opening that failed is alone, and leaves one file behind.
func TestFailedOpeningLeavesNoConnection(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, filesOf(t, deniedStore(t).folder))
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which closes files that were forgotten
	m := machine
	m.again = func(string) error { return sqlite3.IOERR_FSYNC }
	if _, err := openOn(t.Context(), folder, m); !errors.Is(err, sqlite3.IOERR) {
		t.Fatalf("it opens: %v", err)
	}
	s, err := Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left := filesOf(t, folder); len(left) != 1 {
		t.Errorf("somebody still has the state open: %d files", len(left))
	}
}

// TestConnectionsStayOpen, as many as may be open; after a failure other ones, that of the engine too.
func TestConnectionsStayOpen(t *testing.T) {
	s := deniedStore(t)
	for n, fails := range []bool{false, true} {
		err := s.Append(t.Context(), "ex-2", 2, astern.Record{At: at, Kind: astern.RecordRound, Seq: int64(2 + n)})
		if err != nil || s.appender == nil {
			t.Fatalf("the engine has no connection of its own: %v", err)
		}
		if s.doubtful = fails; s.renew(t.Context()) != nil || s.doubtful || fails != (s.appender == nil) {
			t.Fatal("the files were not opened anew, or for no reason")
		}
		s.closeAppender()
		var busy []*sql.Conn
		for range idle {
			conn, err := s.db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			busy = append(busy, conn)
		}
		for _, conn := range busy {
			conn.Close()
		}
		if n := s.db.Stats().Idle; n != idle {
			t.Errorf("%d connections wait for the next who asks, want %d", n, idle)
		}
	}
}

// TestFilesThatAreDoubted: after each failure of a file, and after no other, it is opened anew.
func TestFilesThatAreDoubted(t *testing.T) {
	for err, want := range map[error]bool{ErrUnknownCommit: true, sqlite3.IOERR_FSYNC: true, sqlite3.FULL: true, sqlite3.BUSY: false, context.Canceled: false} {
		if got := brokenFile(failure("/state", "writing", err)); got != want {
			t.Errorf("%v: %t", err, got)
		}
	}
}

// TestDatabaseTakenAway: a database that is moved away while it is being opened is not used.
func TestDatabaseTakenAway(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, fileName)
	put(t, folder, filesOf(t, deniedStore(t).folder))
	m := machine
	m.again = func(string) error { return os.Rename(path, path+".away") }
	if s, err := openOn(t.Context(), folder, m); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, %v", s, err)
	}
}

// TestEmptyLogIsNotSettled: where nothing was left in the log, whoever opens the state waits for nobody.
func TestEmptyLogIsNotSettled(t *testing.T) {
	writer := deniedStore(t)
	if _, err := writer.db.Exec(`PRAGMA wal_checkpoint(truncate)`); err != nil {
		t.Fatal(err)
	}
	tx, err := writer.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	m := machine
	m.again = func(string) error { return errDead }
	s := &Store{folder: writer.folder, medium: m, db: writer.db}
	if log, err := os.Stat(filepath.Join(writer.folder, fileName+"-wal")); err != nil || log.Size() != 0 {
		t.Fatalf("%v, %v", log, err)
	}
	if err := s.settleLog(t.Context()); err != nil {
		t.Errorf("an empty log: %v", err)
	}
	s.folder = t.TempDir()
	if err := s.settleLog(t.Context()); err != nil {
		t.Errorf("no log: %v", err)
	}
}

// TestLogIsWrittenAgain, though it stays the same; what can't be made durable is an error.
func TestLogIsWrittenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), fileName+"-wal")
	log := bytes.Repeat([]byte("log "), 5)
	if err := errors.Join(os.WriteFile(path, log, 0o600), os.Chtimes(path, at, at)); err != nil {
		t.Fatal(err)
	}
	if err := writeAgain(path); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, log) {
		t.Errorf("%q, %v", b, err)
	}
	if info, err := os.Stat(path); err != nil || info.ModTime().Equal(at) {
		t.Errorf("it was not written: %v", err)
	}
	for what, err := range map[string]error{"log": writeAgain(os.DevNull), "folder": syncFolder(os.DevNull)} {
		if !errors.Is(err, syscall.EINVAL) {
			t.Errorf("a %s that has no disk is on it: %v", what, err)
		}
	}
}

// TestNamesThatLeadNowhere: what can't be looked at is neither there nor missing.
func TestNamesThatLeadNowhere(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, fileName)
	if err := errors.Join(os.Symlink(fileName, path), os.WriteFile(path+"-wal", []byte("log"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := refuseLoneLog(path); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a log beside it: %v", err)
	}
	for how, open := range bothWays {
		if _, err := open(t.Context(), folder); !errors.Is(err, syscall.ELOOP) {
			t.Errorf("%s: %v", how, err)
		}
	}
	if _, err := Open(t.Context(), filepath.Join(path+"-wal", "state")); !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), "creating the state folder") {
		t.Errorf("a folder in a file: %v", err)
	}
}

// TestCreationThatFailsLeavesNothing, neither of the database nor of its log, when that could not be removed.
func TestCreationThatFailsLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	d := newDisk(t, folder, rand.New(rand.NewPCG(1, 8)))
	d.breakFrom(1, 1000, "Delete -wal", sqlite3.IOERR_DELETE)
	m := d.medium()
	m.link = func(temp, _ string) error {
		if _, err := os.Stat(temp + "-wal"); err != nil {
			t.Errorf("it has no log: %v", err)
		}
		return errDead
	}
	if _, err := openOn(t.Context(), folder, m); !errors.Is(err, errDead) {
		t.Errorf("it opens: %v", err)
	}
	if left := filesOf(t, folder); len(left) > 0 {
		t.Errorf("left: %d files", len(left))
	}
}

// TestOddHistory: what nothing of ours has written is not read as if it were.
func TestOddHistory(t *testing.T) {
	for _, c := range []struct {
		table, change string
		read          func(s *Store) error
	}{
		{"plans", `at = 'noon'`, func(s *Store) error { _, err := s.Plan(t.Context(), "plan-one"); return err }},
		{"plans", `at = 'noon'`, func(s *Store) error { _, err := s.Plans(t.Context(), 0); return err }},
		{"plans", `at = 'noon'`, func(s *Store) error { _, err := s.Documents(t.Context()); return err }},
		{"plans", `at = 'noon'`, func(s *Store) error { _, err := s.RecentPlans(t.Context(), at); return err }},
		{"journal", `doc = '{'`, func(s *Store) error { _, err := s.Read(t.Context(), "ex-1", 0); return err }},
		{"events", `doc = '{'`, func(s *Store) error { _, err := s.Events(t.Context(), "", 0); return err }},
		{"events", `doc = '{'`, func(s *Store) error { _, _, err := s.EventByToken(t.Context(), "event-one"); return err }},
		{"events", `doc = '{'`, func(s *Store) error {
			_, err := s.AddEvent(t.Context(), astern.Event{At: at, Token: "event-one"})
			return err
		}},
		{"incident_events", `doc = '{'`, func(s *Store) error { _, err := s.Incident(t.Context(), "inc-1"); return err }},
		{"incident_events", `doc = '{'`, func(s *Store) error { _, err := s.Incidents(t.Context()); return err }},
		{"approvals", `at = 'noon'`, func(s *Store) error { _, err := s.Approvals(t.Context(), "plan-one"); return err }},
		{"approvals", `at = 'noon'`, func(s *Store) error { return s.AddApproval(t.Context(), "plan-one", "ann", Approve, "", at) }},
		{"signed_approvals", `at = 'noon'`, func(s *Store) error { _, err := s.Signed(t.Context(), "plan-one"); return err }},
		{"signed_approvals", `until = 'noon'`, func(s *Store) error { _, err := s.Signed(t.Context(), "plan-one"); return err }},
		{"signed_approvals", `at = 'noon'`, func(s *Store) error { return s.AddSigned(t.Context(), signedOf("plan-one")) }},
		{"overrides", `doc = '{'`, func(s *Store) error { _, err := s.Overrides(t.Context()); return err }},
		{"reviews", `at = 'noon'`, func(s *Store) error { _, err := s.Overrides(t.Context()); return err }},
		{"dispatches", `notice = '{'`, func(s *Store) error { _, err := s.Dispatches(t.Context(), at); return err }},
		{"dispatches", `settled_at = 'noon'`, func(s *Store) error { _, err := s.Dispatches(t.Context(), at); return err }},
		{"dispatches", `next = 'noon'`, func(s *Store) error { _, err := s.Dispatches(t.Context(), at); return err }},
		{"channels", `since = 'noon'`, func(s *Store) error { _, err := s.Subscribe(t.Context(), []string{"a"}, at); return err }},
	} {
		s := deniedStore(t)
		err := errors.Join(s.AddApproval(t.Context(), "plan-one", "ann", Approve, "", at), s.AddSigned(t.Context(), signedOf("plan-one")),
			s.AddReview(t.Context(), "plan-one", "ben", "fine", at), c.read(s))
		if err != nil {
			t.Fatal(err)
		}
		_, err1 := s.db.Exec(`DROP TRIGGER IF EXISTS ` + c.table + `_same`)
		_, err2 := s.db.Exec(`UPDATE ` + c.table + ` SET ` + c.change)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if err := c.read(s); err == nil || !strings.Contains(err.Error(), s.folder) {
			t.Errorf("%s with %s: %v", c.table, c.change, err)
		}
	}
}

func signedOf(plan string) astern.Approval {
	return astern.Approval{PlanHash: plan, By: "ann", Verdict: Approve, At: at, Until: at.Add(time.Hour), Document: []byte("x"), Signature: []byte("y")}
}

// TestJudgedBeforeItIsOpened: what is no database of ours is refused before SQLite, which changes files, comes to it.
func TestJudgedBeforeItIsOpened(t *testing.T) {
	page := func(app, version, pages uint32) []byte {
		b := append(bytes.Clone(magic), make([]byte, 4080)...)
		binary.BigEndian.PutUint32(b[68:], app)
		binary.BigEndian.PutUint32(b[60:], version)
		binary.BigEndian.PutUint32(b[28:], pages)
		return b
	}
	known := uint32(len(migrations()))
	for _, c := range []struct {
		name string
		file []byte
		code astern.Code
	}{
		{"text", bytes.Repeat([]byte("text"), 100), astern.Invalid},
		{"a page's beginning", page(application, known, 9)[:99], astern.Invalid},
		{"somebody's tables", page(0, 0, 2), astern.Invalid},
		{"somebody's number", page(7, 0, 1), astern.Invalid},
		{"somebody's version", page(0, 3, 1), astern.Invalid},
		{"one page of nobody", page(0, 0, 1), ""},
		{"ours", page(application, known, 9), ""},
		{"ours of tomorrow", page(application, known+1, 9), astern.Refused},
	} {
		folder := t.TempDir()
		put(t, folder, map[string][]byte{fileName: c.file})
		if err := lookBefore(t.Context(), folder); (err == nil) != (c.code == "") || err != nil && astern.CodeOf(err) != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestForeignDatabases: each sign by itself that a database is not ours does, in its pages and in its log.
func TestForeignDatabases(t *testing.T) {
	for _, sign := range []string{`CREATE TABLE theirs (x)`, `PRAGMA application_id = 7; VACUUM`, `PRAGMA user_version = 3; VACUUM`} {
		folder := t.TempDir()
		db := machine.database(filepath.Join(folder, fileName))
		db.SetMaxOpenConns(1)
		if _, err := db.Exec(`PRAGMA journal_mode = wal; ` + sign); err != nil {
			t.Fatal(err)
		}
		logged := filesOf(t, folder)
		db.Close()
		for state, files := range map[string]map[string][]byte{"with a log": logged, "without": filesOf(t, folder)} {
			for how, open := range bothWays {
				put(t, folder, files)
				if _, err := open(t.Context(), folder); astern.CodeOf(err) != astern.Invalid || !strings.Contains(err.Error(), "is not a state database") {
					t.Errorf("%s %s, opened %s: %v", sign, state, how, err)
				}
			}
		}
	}
}

// TestFilesBesideThatAreMissing need no permissions.
func TestFilesBesideThatAreMissing(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, map[string][]byte{fileName: magic})
	if err := (&Store{folder: folder}).protect(); err != nil {
		t.Error(err)
	}
}

// TestShortHash: eight characters of a hash name a plan, and no fewer do.
func TestShortHash(t *testing.T) {
	s := deniedStore(t)
	if err := s.PutPlan(t.Context(), "plan-eighth", []byte("[8]"), at); err != nil {
		t.Fatal(err)
	}
	if doc, err := s.Plan(t.Context(), "plan-eighth"[:minPrefix]); err != nil || string(doc) != "[8]" {
		t.Errorf("%q, %v", doc, err)
	}
	if doc, err := s.Plan(t.Context(), "plan-eighth"[:minPrefix-1]); astern.CodeOf(err) != astern.Invalid {
		t.Errorf("%q, %v", doc, err)
	}
	docs, err := s.Documents(t.Context())
	if err != nil || len(docs) != 5 || string(docs[0]) != "[8]" || string(docs[4]) != "{}" {
		t.Errorf("%q, %v", docs, err)
	}
}

// TestProofAside: what keeps a reader from writing its proof past its copy is an error there.
func TestProofAside(t *testing.T) {
	s := deniedStore(t)
	m := machine
	m.sync = func(string) error { return errDead }
	aside := func(m medium) error {
		return (&Store{folder: s.folder, medium: m, frozen: "a reader"}).keepAside(t.Context(), "key", []byte("x"), at)
	}
	if err := aside(m); !errors.Is(err, errDead) {
		t.Errorf("a folder that can't be synced: %v", err)
	}
	if _, err := s.db.Exec(`CREATE TRIGGER no_proof BEFORE INSERT ON proofs BEGIN SELECT RAISE(ABORT, 'no proof is taken'); END`); err != nil {
		t.Fatal(err)
	}
	if err := aside(machine); err == nil || !strings.Contains(err.Error(), "no proof is taken") {
		t.Errorf("a proof that is not taken: %v", err)
	}
	if _, err := s.db.Exec(`PRAGMA user_version = 5; PRAGMA wal_checkpoint(truncate)`); err != nil {
		t.Fatal(err)
	}
	if err := aside(machine); astern.CodeOf(err) != astern.Refused {
		t.Errorf("an older state: %v", err)
	}
}

// TestReadersAreApart: each reader has its own copy, and a folder without a store has no id.
func TestReadersAreApart(t *testing.T) {
	var readers []*Store
	for range 2 {
		s := deniedStore(t)
		want, err1 := s.StoreID(t.Context())
		r, err2 := OpenReadOnly(t.Context(), s.folder)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		r.folder = want
		readers = append(readers, r)
	}
	for _, r := range readers {
		busy, err := r.db.Conn(t.Context()) // so that another connection is opened
		if err != nil {
			t.Fatal(err)
		}
		if id, err := r.StoreID(t.Context()); err != nil || id != r.folder {
			t.Errorf("%q, not %q, %v", id, r.folder, err)
		}
		busy.Close()
	}
	nothing, err := OpenReadOnly(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer nothing.Close()
	if id, err := nothing.StoreID(t.Context()); err != nil || id != "" {
		t.Errorf("a folder without a store has the id %q, %v", id, err)
	}
}

// TestEachFileThatChanges while it is read, by itself, is reason enough to read again.
func TestEachFileThatChanges(t *testing.T) {
	const restless = "/proc/sys/kernel/random/uuid"
	if _, err := os.Stat(restless); err != nil {
		t.Skip("only Linux has a file that changes each time it is read")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, suffix := range []string{"", "-wal", "-journal"} {
		folder := t.TempDir()
		path := filepath.Join(folder, fileName)
		if suffix != "" {
			put(t, folder, map[string][]byte{fileName: []byte("text")})
		}
		if err := os.Symlink(restless, path+suffix); err != nil {
			t.Fatal(err)
		}
		if _, err := snapshot(gone, folder); !errors.Is(err, context.Canceled) { // it would have read again
			t.Errorf("state.db%s: %v", suffix, err)
		}
	}
}

// TestNothingToMerge: a store without a log is read without a temporary folder.
func TestNothingToMerge(t *testing.T) {
	s := deniedStore(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", filepath.Join(s.folder, "missing"))
	r, err := OpenReadOnly(t.Context(), s.folder)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

// TestHotJournal: a journal takes back what a change that was cut off left in the database.
func TestHotJournal(t *testing.T) {
	s := deniedStore(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db := machine.database(filepath.Join(s.folder, fileName))
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`PRAGMA journal_mode = delete; PRAGMA cache_size = 1; BEGIN; DELETE FROM dispatches; DELETE FROM channels;
		INSERT INTO proofs SELECT value, randomblob(3000), '' FROM generate_series(1, 50)`); err != nil {
		t.Fatal(err)
	}
	cut := t.TempDir()
	put(t, cut, filesOf(t, s.folder))
	r, err := OpenReadOnly(t.Context(), cut)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if all, err := r.Dispatches(t.Context(), at); err != nil || len(all) != 2 {
		t.Errorf("%d notices, %v", len(all), err)
	}
	if _, found, err := r.Proof(t.Context(), "7"); err != nil || found {
		t.Errorf("half a change is read: %v", err)
	}
}

// TestDamageThatNobodyReads: a store with a log is refused when a table is rubbish that opening does not look at.
func TestDamageThatNobodyReads(t *testing.T) {
	s := deniedStore(t)
	var page int64
	if err := s.db.QueryRow(`SELECT rootpage FROM sqlite_schema WHERE name = 'reviews'`).Scan(&page); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Exec(`PRAGMA wal_checkpoint(truncate)`); err != nil {
		t.Fatal(err)
	}
	if err := s.PutPlan(t.Context(), "plan-last", []byte("{}"), at); err != nil {
		t.Fatal(err)
	}
	files := filesOf(t, s.folder)
	copy(files[fileName][(page-1)*4096:], bytes.Repeat([]byte{0xA5}, 4096))
	for how, open := range bothWays {
		folder := t.TempDir()
		put(t, folder, files)
		if s, err := open(t.Context(), folder); err == nil || !strings.Contains(astern.HintOf(err), "damaged") {
			t.Errorf("opened %s: %v, %v", how, s, err)
		}
	}
}

// TestCopyThatGoes: the copy of a store with a log is gone before it can be read.
func TestCopyThatGoes(t *testing.T) {
	s := deniedStore(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	deny(0, func() error { return nil }) // so that its authorizer does not come in place of this one
	var goes atomic.Bool
	sqlite3.AutoExtension(func(c *sqlite3.Conn) error {
		if !goes.Load() {
			return nil
		}
		return c.SetAuthorizer(func(_ sqlite3.AuthorizerActionCode, what, _, _, _ string) sqlite3.AuthorizerReturnCode {
			if what == "quick_check" && goes.Swap(false) {
				copies, _ := filepath.Glob(filepath.Join(temp, "*", fileName))
				for _, path := range copies {
					os.Remove(path)
				}
			}
			return sqlite3.AUTH_OK
		})
	})
	goes.Store(true)
	if _, err := OpenReadOnly(t.Context(), s.folder); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(astern.HintOf(err), "set TMPDIR") {
		t.Errorf("%v (%s)", err, astern.HintOf(err))
	}
}

// TestOverrideIsNotReviewedYet, whatever its maker says.
func TestOverrideIsNotReviewedYet(t *testing.T) {
	s := deniedStore(t)
	when := at
	if err := s.AddOverride(t.Context(), astern.Override{PlanHash: "plan-two", By: "ann", At: at, ReviewedBy: "ann", ReviewedAt: &when, Review: "fine"}); err != nil {
		t.Fatal(err)
	}
	all, err := s.Overrides(t.Context())
	if err != nil || len(all) != 2 || all[1].PlanHash != "plan-two" || all[1].ReviewedBy != "" || all[1].ReviewedAt != nil || all[1].Review != "" {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestReaderLeavesNoCopy in memory when it is closed.
func TestReaderLeavesNoCopy(t *testing.T) {
	r, err := OpenReadOnly(t.Context(), deniedStore(t).folder)
	if err != nil {
		t.Fatal(err)
	}
	tables := func() (n int) {
		db := sql.OpenDB(source("file:/" + r.memory + "?vfs=memdb"))
		defer db.Close()
		if err := db.QueryRow(`SELECT count(*) FROM sqlite_schema`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if tables() == 0 {
		t.Error("the copy is elsewhere")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n := tables(); n != 0 {
		t.Errorf("a copy with %d tables is left", n)
	}
}

// TestClosingInTheMidst of a statement is an error.
func TestClosingInTheMidst(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var open *sqlite3.Stmt
	if err := conn.Raw(func(c any) error {
		open, _, err = c.(driver.Conn).Raw().Prepare(`SELECT id FROM store`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := s.Close(); !errors.Is(err, sqlite3.BUSY) || !strings.Contains(err.Error(), "closing the state") {
		t.Errorf("closed: %v", err)
	}
	open.Close()
}
