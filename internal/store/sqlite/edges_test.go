package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

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

// TestConnectionsStayOpen, as many as may be open.
func TestConnectionsStayOpen(t *testing.T) {
	s := deniedStore(t)
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
	if err := writeAgain(os.DevNull); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("what has no disk is on it: %v", err)
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
