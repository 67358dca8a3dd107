package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
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
