package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/astern-dev/astern"
)

// TestLostCommitIsReadFromMemory: the sync of a commit fails and its process ends. What it wrote is still read, though it is not on
// the disk; the next process takes it for committed and merges the log into the database. Then the power is cut, and the
// state is what that process saw.
func TestLostCommitIsReadFromMemory(t *testing.T) {
	folder, ctx := t.TempDir(), t.Context()
	d := newDisk(t, folder, rand.New(rand.NewPCG(1, 7)))
	first, err := openOn(ctx, folder, d.medium())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Subscribe(ctx, []string{"one"}, at); err != nil {
		t.Fatal(err)
	}
	d.breakFrom(1, 1000, "Sync -wal", sqlite3.IOERR_FSYNC)
	err = first.transact(ctx, "writing many", func(tx *sql.Tx) error { // and it dies before it can write over it
		for n := range 500 {
			if _, err := tx.Exec(`INSERT INTO channels VALUES (?, ?)`, fmt.Sprint("channel ", n), stamp(at)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		t.Fatal("a commit that could not be synced is acknowledged")
	}
	first.db.Close()
	d.breakFrom(0, 0, "", nil)

	second, err := openOn(ctx, folder, d.medium())
	if err != nil {
		t.Fatal(err)
	}
	seen, err := read(ctx, second.db)
	if err != nil || len(seen) < 500 {
		t.Fatalf("%d rows are read from memory, %v", len(seen), err)
	}
	left := d.off()
	second.Close()
	folder = t.TempDir()
	put(t, folder, left)
	after, err := Open(ctx, folder)
	if err != nil {
		t.Fatalf("after the cut: %v", err)
	}
	defer after.Close()
	if now, err := read(ctx, after.db); err != nil || !maps.Equal(now, seen) {
		t.Errorf("%d rows after the cut, %d were seen before it, %v", len(now), len(seen), err)
	}
}

// TestOpeningWaitsForWriter: who opens a state whose log holds something waits for who writes into it, as long as it may.
func TestOpeningWaitsForWriter(t *testing.T) {
	folder := deniedStore(t).folder
	holder, err := Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	tx, err := holder.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Open(soon, folder); err == nil {
		t.Error("opened while somebody writes")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// TestSettlingHasTheLock: who opens a state and is interrupted just then still keeps others from writing while it writes the log again.
func TestSettlingHasTheLock(t *testing.T) {
	other := deniedStore(t)
	gone, interrupt := context.WithCancel(t.Context())
	m := machine
	m.again = func(path string) error {
		interrupt()
		soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := other.AddEvent(soon, astern.Event{At: at, Token: "between"}); err == nil {
			t.Error("somebody wrote while the log was written again")
		}
		return writeAgain(path)
	}
	if s, err := openOn(gone, other.folder, m); err == nil {
		s.Close()
		t.Error("opened, though interrupted")
	}
	if _, err := other.AddEvent(t.Context(), astern.Event{At: at, Token: "afterwards"}); err != nil {
		t.Errorf("the lock stays: %v", err)
	}
	if err := other.settleLog(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever has gone settles %v", err)
	}
}

// TestOpeningThatFailsChangesNothing: a log that could not be made durable is not merged either, by the last who closes.
func TestOpeningThatFailsChangesNothing(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, filesOf(t, deniedStore(t).folder)) // as a process leaves it that was killed
	before := filesOf(t, folder)
	if len(before[fileName+"-wal"]) == 0 {
		t.Fatal("there is no log")
	}
	m := machine
	m.again = func(string) error { return sqlite3.IOERR_FSYNC }
	if _, err := openOn(t.Context(), folder, m); !errors.Is(err, sqlite3.IOERR) {
		t.Errorf("it opens: %v", err)
	}
	after := filesOf(t, folder)
	if !maps.EqualFunc(before, after, bytes.Equal) {
		t.Error("the files were changed")
	}
	s, err := Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if after = filesOf(t, folder); len(after[fileName+"-wal"]) > 0 || bytes.Equal(before[fileName], after[fileName]) {
		t.Error("an opening that succeeds merges nothing")
	}
}

// TestNothingToSettle: without a log, or without a database, there is an error and no new file.
func TestNothingToSettle(t *testing.T) {
	folder := t.TempDir()
	if err := writeAgain(filepath.Join(folder, fileName+"-wal")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a log that is not there is written: %v", err)
	}
	reader := &Store{folder: folder, medium: machine, frozen: "a reader"}
	if err := reader.keepAside(t.Context(), "key", nil, at); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a proof is kept in a state that is not there: %v", err)
	}
	if left := filesOf(t, folder); len(left) > 0 {
		t.Errorf("it made %d files", len(left))
	}
}
