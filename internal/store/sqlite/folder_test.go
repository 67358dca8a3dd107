package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

var at = time.Date(2026, 3, 1, 3, 4, 5, 0, time.UTC)

// openers are both ways to open a folder.
var openers = map[string]func(context.Context, string) (*sqlite.Store, error){
	"open": sqlite.Open, "open for reading": sqlite.OpenReadOnly,
}

// listing describes everything in a folder: names, modes, times of change, contents.
func listing(t *testing.T, folder string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := fmt.Sprint(info.Mode(), info.ModTime().UnixNano())
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %x", b)
		}
		out[path] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func unchanged(t *testing.T, folder string, before map[string]string) {
	t.Helper()
	for path, text := range listing(t, folder) {
		if before[path] != text {
			t.Errorf("%s changed or is new", path)
		}
		delete(before, path)
	}
	for path := range before {
		t.Errorf("%s is gone", path)
	}
}

// refusal fails the test unless err has the code and its message and hint hold the words.
func refusal(t *testing.T, err error, code astern.Code, words ...string) {
	t.Helper()
	if err == nil || astern.CodeOf(err) != code || astern.HintOf(err) == "" {
		t.Fatalf("got %v (%s, hint %q), want %s with a hint", err, astern.CodeOf(err), astern.HintOf(err), code)
	}
	for _, w := range words {
		if text := err.Error() + "\n" + astern.HintOf(err); !strings.Contains(text, w) {
			t.Errorf("%q does not say %q", text, w)
		}
	}
}

// filled makes one execution in a store and writes n records into its journal.
func filled(t *testing.T, s *sqlite.Store, n int) (id string, fence int64) {
	t.Helper()
	hash := strings.Repeat("cd", 32)
	if err := s.PutPlan(t.Context(), hash, []byte("{}"), at); err != nil {
		t.Fatal(err)
	}
	e, _, err := s.CreateExecution(t.Context(), astern.Execution{PlanHash: hash, CreatedAt: at, Addresses: []string{"p/shop"}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	fence, err = s.Take(t.Context(), e.ID, astern.Runner{Host: "h", PID: 1}, func(astern.Runner) bool { return false }, 0, at)
	if err != nil {
		t.Fatal(err)
	}
	for range n - 1 {
		if err := s.Append(t.Context(), e.ID, fence, astern.Record{At: at, Kind: astern.RecordRound}); err != nil {
			t.Fatal(err)
		}
	}
	return e.ID, fence
}

// length reads a journal and checks that it has no gap.
func length(t *testing.T, s *sqlite.Store, id string) int {
	t.Helper()
	recs, err := s.Read(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range recs {
		if r.Seq != int64(i+1) {
			t.Fatalf("record %d has number %d", i+1, r.Seq)
		}
	}
	return len(recs)
}

func TestPermissions(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for _, exists := range []bool{false, true} {
		folder := filepath.Join(t.TempDir(), "deep", "state")
		want := fs.FileMode(0o700)
		if exists {
			if want = 0o755; os.MkdirAll(folder, want) != nil {
				t.Fatal("mkdir")
			}
		}
		s := open(t, folder)
		filled(t, s, 2)
		if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != want {
			t.Errorf("%v %v", info.Mode(), err)
		}
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if info, err := os.Stat(filepath.Join(folder, "state.db"+suffix)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("state.db%s: %v %v", suffix, info.Mode(), err)
			}
		}
	}
}

func TestFolderNames(t *testing.T) {
	for _, name := range []string{"a b", "what?mode=memory", "50%41#x", "file:x", "ünï&cache=shared", "-x", `back\slash"'`} {
		folder := filepath.Join(t.TempDir(), name)
		s, err := sqlite.Open(t.Context(), folder)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		id, _ := filled(t, s, 3)
		if _, err := os.Stat(filepath.Join(folder, "state.db")); err != nil {
			t.Errorf("%q: the file is elsewhere: %v", name, err)
		}
		for how, opener := range openers { // while it is open, with a log
			again, err := opener(t.Context(), folder)
			if err != nil {
				t.Fatalf("%q %s: %v", name, how, err)
			}
			if n := length(t, again, id); n != 3 {
				t.Errorf("%q %s: %d records", name, how, n)
			}
			again.Close()
		}
		s.Close()
	}
}

func TestStateSurvivesClose(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder)
	id, fence := filled(t, s, 5)
	name, err := s.StoreID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if files := listing(t, folder); len(files) != 2 {
		t.Errorf("closed, and more than state.db is there: %d files", len(files)-1)
	}
	s = open(t, folder)
	if n := length(t, s, id); n != 5 {
		t.Fatalf("%d records", n)
	}
	if again, err := s.StoreID(t.Context()); err != nil || again != name {
		t.Fatalf("%q became %q, %v", name, again, err)
	}
	if err := s.Append(t.Context(), id, fence, astern.Record{At: at, Kind: astern.RecordRound}); err != nil {
		t.Fatal(err)
	}
}

func TestNotUsable(t *testing.T) {
	for how, opener := range openers {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "file")
			if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := opener(t.Context(), file)
			refusal(t, err, astern.Invalid, file, "is not a folder", "--state")
			_, err = opener(t.Context(), filepath.Join(file, "below"))
			if err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("below a file: %v", err)
			}
			for i, content := range []string{"x", "hello, I am a text file", strings.Repeat("not a database ", 1000)} {
				folder := filepath.Join(dir, fmt.Sprint("text", i))
				os.Mkdir(folder, 0o700)
				if err := os.WriteFile(filepath.Join(folder, "state.db"), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				before := listing(t, folder)
				_, err := opener(t.Context(), folder)
				refusal(t, err, astern.Invalid, folder, "not a state database", "--state")
				unchanged(t, folder, before)
			}
			folder := filepath.Join(dir, "folder")
			os.MkdirAll(filepath.Join(folder, "state.db"), 0o700)
			if _, err = opener(t.Context(), folder); err == nil || !strings.Contains(err.Error(), folder) {
				t.Errorf("state.db is a folder: %v", err)
			}
		})
	}
}

// touch changes a closed database with plain SQL.
func touch(t *testing.T, folder, query string) {
	t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(folder, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

func TestNewerAndForeignAreRefused(t *testing.T) {
	for how, opener := range openers {
		t.Run(how, func(t *testing.T) {
			newer := t.TempDir()
			if s := open(t, newer); s.Close() != nil {
				t.Fatal("close")
			}
			touch(t, newer, `PRAGMA user_version = 8`)
			foreign := t.TempDir()
			touch(t, foreign, `CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)`)
			newerFiles, foreignFiles := listing(t, newer), listing(t, foreign)
			_, err := opener(t.Context(), newer)
			refusal(t, err, astern.Refused, "state folder was written by a newer astern (schema 8, this one knows 7)", newer)
			_, err = opener(t.Context(), foreign)
			refusal(t, err, astern.Invalid, foreign, "not a state database")
			for _, files := range []map[string]string{newerFiles, foreignFiles} {
				for path, text := range files {
					if b, err := os.ReadFile(path); err == nil && !strings.HasSuffix(text, fmt.Sprintf(" %x", b)) {
						t.Errorf("%s was changed", path)
					}
				}
			}
			if how == "open for reading" {
				unchanged(t, newer, newerFiles)
				unchanged(t, foreign, foreignFiles)
			}
		})
	}
}

func TestHistoryCanNotBeRewritten(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder)
	filled(t, s, 2)
	if _, err := s.AddEvent(t.Context(), astern.Event{At: at, Address: "p/shop", Kind: astern.EventDeployed}); err != nil {
		t.Fatal(err)
	}
	if err := s.AddApproval(t.Context(), strings.Repeat("cd", 32), "ann", sqlite.Approve, "", at); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", filepath.Join(folder, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, query := range []string{`DELETE FROM records`, `UPDATE records SET seq = 9`, `DELETE FROM journal`, `UPDATE journal SET key = 9`, `DELETE FROM events`, `UPDATE events SET doc = ''`,
		`DELETE FROM approvals`, `UPDATE approvals SET verdict = 'reject'`, `DELETE FROM plans`, `UPDATE plans SET doc = x''`} {
		if _, err := db.Exec(query); err == nil || !strings.Contains(err.Error(), "never") {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// reads calls every reading method, and writes every writing one.
func reads(t *testing.T, s *sqlite.Store) (found int) {
	t.Helper()
	ctx := t.Context()
	plans, err1 := s.Plans(ctx, 0)
	executions, err2 := s.Executions(ctx, 0, false)
	events, err3 := s.Events(ctx, "", 0)
	said, err4 := s.Approvals(ctx, strings.Repeat("cd", 32))
	_, _, err5 := s.EventByToken(ctx, "x")
	_, _, err6 := s.Holder(ctx, "p/shop")
	_, err7 := s.Fence(ctx)
	_, err8 := s.StoreID(ctx)
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8} {
		if err != nil {
			t.Fatalf("read %d: %v", i, err)
		}
	}
	return len(plans) + len(executions) + len(events) + len(said)
}

func refusesWrites(t *testing.T, s *sqlite.Store, words ...string) {
	t.Helper()
	ctx := t.Context()
	_, _, err1 := s.CreateExecution(ctx, astern.Execution{PlanHash: "x"}, 9)
	_, err2 := s.Take(ctx, "ex-1", astern.Runner{}, func(astern.Runner) bool { return false }, 0, at)
	_, err3 := s.AddEvent(ctx, astern.Event{})
	for _, err := range []error{err1, err2, err3, s.PutPlan(ctx, strings.Repeat("cd", 32), []byte("{}"), at),
		s.Append(ctx, "ex-1", 0, astern.Record{Kind: astern.RecordPaused}), s.AddApproval(ctx, "x", "ann", sqlite.Approve, "", at)} {
		refusal(t, err, astern.Refused, words...)
	}
}

func TestReadOnlyMissing(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	before := listing(t, dir)
	s, err := sqlite.OpenReadOnly(t.Context(), missing)
	if err != nil {
		t.Fatal(err)
	}
	if n := reads(t, s); n != 0 {
		t.Errorf("an empty store has %d things", n)
	}
	if id, err := s.StoreID(t.Context()); id != "" || err != nil {
		t.Errorf("no store has the id %q, %v", id, err)
	}
	refusesWrites(t, s, "state folder is missing", missing)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	empty, err := sqlite.OpenReadOnly(t.Context(), dir) // a folder without a database
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	if n := reads(t, empty); n != 0 {
		t.Errorf("an empty store has %d things", n)
	}
	refusesWrites(t, empty, "state folder is read-only", dir)
	unchanged(t, dir, before)
}

func TestReadOnlyChangesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	folder := t.TempDir()
	s := open(t, folder)
	id, _ := filled(t, s, 4)
	want := must(s.StoreID(t.Context()))
	for _, state := range []string{"open elsewhere, with a log", "closed"} {
		before := listing(t, folder)
		r, err := sqlite.OpenReadOnly(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		if n := length(t, r, id); n != 4 || reads(t, r) != 2 {
			t.Errorf("%s: %d records, %d things", state, n, reads(t, r))
		}
		if got := must(r.StoreID(t.Context())); got != want {
			t.Errorf("%s: id %q, want %q", state, got, want)
		}
		refusesWrites(t, r, "state folder is read-only", folder)
		unchanged(t, folder, before)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if left := listing(t, os.TempDir()); len(left) != 1 {
		t.Errorf("left in the temporary folder: %v", left)
	}
}

// TestReadOnlyBesideWriter reads again and again while another store writes and merges its log: each time what was
// acknowledged before must be there, without a gap.
func TestReadOnlyBesideWriter(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder)
	id, fence := filled(t, s, 1)
	var mu sync.Mutex
	acked, stop := 1, false
	var writer sync.WaitGroup
	writer.Go(func() {
		big := strings.Repeat("x", 60_000)
		for {
			err := s.Append(t.Context(), id, fence, astern.Record{At: at, Kind: astern.RecordRound, Text: big})
			mu.Lock()
			if acked++; err != nil || stop || acked > 200 {
				if err != nil {
					t.Error(err)
				}
				stop = true
				mu.Unlock()
				return
			}
			mu.Unlock()
		}
	})
	defer writer.Wait()
	for done := false; !done; {
		mu.Lock()
		before := acked
		done = stop
		mu.Unlock()
		r, err := sqlite.OpenReadOnly(t.Context(), folder)
		if err != nil {
			t.Errorf("after %d records: %v", before, err)
			break
		}
		if n := length(t, r, id); n < before {
			t.Errorf("%d records were acknowledged, %d are read", before, n)
		}
		r.Close()
	}
	mu.Lock()
	stop = true
	mu.Unlock()
}

// astern never leaves an empty database: one that is there lost its content, and is not taken for a new store.
func TestEmptyFileIsRefused(t *testing.T) {
	for how, opener := range openers {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "state.db"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		before := listing(t, folder)
		_, err := opener(t.Context(), folder)
		refusal(t, err, astern.Invalid, folder, "is empty (0 bytes)", "latches", "backup", "remove the file")
		unchanged(t, folder, before)
		if t.Failed() {
			t.Fatal(how)
		}
	}
}

// A creation that was cut off leaves files of its own, which the next one removes.
func TestUnfinishedCreation(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "odd*[name]?")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state.db.new-ABC", "state.db.new-ABC-wal"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, folder)
	if id, _ := filled(t, s, 3); length(t, s, id) != 3 {
		t.Error("does not work")
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(folder), "*", "*new*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
