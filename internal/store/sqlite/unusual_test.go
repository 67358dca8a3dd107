package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	sqlitedriver "github.com/ncruces/go-sqlite3/driver"

	"github.com/astern-dev/astern"
)

// TestNowhere: the process's own folder was removed, so that no name in it means anything.
func TestNowhere(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	for how, open := range bothWays {
		if _, err := open(t.Context(), "state"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", how, err)
		}
	}
	gone := &Store{folder: folder}
	if _, err := header(filepath.Join(folder, fileName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the first page of nothing: %v", err)
	}
	if gone.own() || !errors.Is(gone.protect(), fs.ErrNotExist) || !errors.Is(syncFolder(folder), fs.ErrNotExist) {
		t.Error("a folder that is gone is taken for one that is there")
	}
}

var bothWays = map[string]func(context.Context, string) (*Store, error){"for writing": Open, "for reading": OpenReadOnly}

// TestNamesThatAreNotDurable: a folder whose names can't be made durable is not used.
func TestNamesThatAreNotDurable(t *testing.T) {
	for n := 1; ; n++ {
		folder, left := filepath.Join(t.TempDir(), "state"), n
		m := machine
		m.sync = func(folder string) error {
			if left--; left == 0 {
				return errDead
			}
			return syncFolder(folder)
		}
		s, err := openOn(t.Context(), folder, m)
		if left > 0 {
			if err != nil || n != 4 {
				t.Errorf("%d calls: %v", n-1, err)
			}
			s.Close()
			return
		}
		if !errors.Is(err, errDead) {
			t.Fatalf("call %d failed, and it answers: %v", n, err)
		}
		if s, err = Open(t.Context(), folder); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
}

// TestAnotherIsFaster: of two that create a store at once the slower takes that of the faster.
func TestAnotherIsFaster(t *testing.T) {
	folder := t.TempDir()
	m := machine
	faster := ""
	m.link = func(string, string) error {
		s, err := Open(t.Context(), folder)
		if err == nil {
			faster, err = s.StoreID(t.Context())
			s.Close()
		}
		return errors.Join(err, fs.ErrExist)
	}
	s, err := openOn(t.Context(), folder, m)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if id, err := s.StoreID(t.Context()); err != nil || id != faster {
		t.Errorf("%q, %v, not %q", id, err, faster)
	}
	m.link = func(string, string) error { return errDead }
	other := t.TempDir()
	if _, err := openOn(t.Context(), other, m); !errors.Is(err, errDead) {
		t.Errorf("it could not be given its name: %v", err)
	}
	if left := filesOf(t, other); len(left) > 0 {
		t.Errorf("left: %d files", len(left))
	}
	if err := machine.build(t.Context(), folder, filepath.Join(folder, fileName)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a store was made over another: %v", err)
	}
}

// TestOddFolders are state folders that nothing of ours leaves.
func TestOddFolders(t *testing.T) {
	made := filesOf(t, deniedStore(t).folder)
	for name, c := range map[string]struct {
		make func(path string) error
		code astern.Code
		says string
	}{
		"the database is a folder": {func(path string) error { return os.Mkdir(path, 0o700) }, astern.Internal, "is a directory"},
		"a log alone":              {func(path string) error { return os.WriteFile(path+"-wal", made[fileName+"-wal"], 0o600) }, astern.Invalid, "-wal is there and"},
		"a journal alone":          {func(path string) error { return os.WriteFile(path+"-journal", []byte("x"), 0o600) }, astern.Invalid, "-journal is there and"},
		"text":                     {func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("text", 100)), 0o600) }, astern.Invalid, "is not a state database"},
		"a short database":         {func(path string) error { return os.WriteFile(path, magic[:10], 0o600) }, astern.Invalid, "is not a state database"},
		"an empty one":             {func(path string) error { return os.WriteFile(path, nil, 0o600) }, astern.Invalid, "is empty"},
	} {
		for how, open := range bothWays {
			folder := t.TempDir()
			if err := c.make(filepath.Join(folder, fileName)); err != nil {
				t.Fatal(err)
			}
			s, err := open(t.Context(), folder)
			if astern.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s, opened %s: %v, %v", name, how, s, err)
			}
		}
	}
	folder := t.TempDir()
	put(t, folder, made)
	if err := refuseLoneLog(filepath.Join(folder, fileName)); err != nil {
		t.Errorf("a log beside its database: %v", err)
	}
	unfinished := t.TempDir() // what a creation left can't be removed
	if err := os.MkdirAll(filepath.Join(unfinished, fileName+newSuffix+"A", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), unfinished); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("what a creation left: %v", err)
	}
}

// TestDatabaseOfNobody: a database without any table that says nothing of itself becomes ours.
func TestDatabaseOfNobody(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, fileName)
	db := machine.database(path)
	if _, ok := db.Driver().(*sqlitedriver.SQLite); !ok {
		t.Errorf("the driver is %T", db.Driver())
	}
	if _, err := db.Exec(`VACUUM`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	s, err := Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.newAppender(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a connection for somebody who has gone: %v", err)
	}
}

// TestNoSharedMemory: a database in memory stands for a file system on which there is no write-ahead log.
func TestNoSharedMemory(t *testing.T) {
	s := &Store{folder: "/state", frozen: "a copy"}
	s.copied(nil)
	defer s.Close()
	if err := s.useLog(t.Context()); astern.CodeOf(err) != astern.Internal || !strings.Contains(astern.HintOf(err), "local disk") {
		t.Errorf("%v (%s)", err, astern.HintOf(err))
	}
}

// TestLogIsWaitedFor: while another process has the database for itself the log can't be turned on.
func TestLogIsWaitedFor(t *testing.T) {
	deny(0, func() error { return nil })
	path := filepath.Join(t.TempDir(), fileName)
	holder := machine.database(path)
	defer holder.Close()
	holder.SetMaxOpenConns(1)
	if _, err := holder.Exec(`CREATE TABLE t (x); BEGIN EXCLUSIVE`); err != nil {
		t.Fatal(err)
	}
	s := &Store{folder: filepath.Dir(path), frozen: "a test", db: sql.OpenDB(source("file:" + path + "?_pragma=busy_timeout(0)"))}
	defer s.Close()
	const many = 1 << 40
	denial.left.Store(many)
	defer denial.left.Store(0)
	done := make(chan error, 1)
	go func() { done <- s.useLog(t.Context()) }()
	for denial.left.Load() > many-4 { // each attempt asks once, and opening asks once
		runtime.Gosched()
	}
	if _, err := holder.Exec(`COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestReadingWhatNeverRests: a journal that is another one each time it is read.
func TestReadingWhatNeverRests(t *testing.T) {
	const restless = "/proc/sys/kernel/random/uuid"
	if _, err := os.Stat(restless); err != nil {
		t.Skip("only Linux has a file that changes each time it is read")
	}
	folder := t.TempDir()
	put(t, folder, filesOf(t, deniedStore(t).folder))
	if err := os.Symlink(restless, filepath.Join(folder, fileName+"-journal")); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenReadOnly(gone, folder); astern.CodeOf(err) != astern.Interrupted {
		t.Errorf("whoever has gone gets %v", err)
	}
	if _, err := OpenReadOnly(t.Context(), folder); astern.CodeOf(err) != astern.Unavailable || !strings.Contains(err.Error(), "changes faster") {
		t.Errorf("%v", err)
	}
	if err := lookBefore(t.Context(), folder); err != nil {
		t.Errorf("what others use is no wreck: %v", err)
	}
}

// TestNoTemporaryFolder: what has a log is read through a temporary folder, and the error says so when that fails.
func TestNoTemporaryFolder(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, filesOf(t, deniedStore(t).folder))
	deep := t.TempDir() // in which a folder can be made, and no file in that
	for len(deep) < 4070 {
		deep += "/" + strings.Repeat("d", min(200, max(1, 4070-len(deep)-1)))
	}
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, temp := range []string{filepath.Join(folder, "missing"), deep} {
		t.Setenv("TMPDIR", temp)
		if _, err := OpenReadOnly(t.Context(), folder); err == nil || !strings.Contains(astern.HintOf(err), "set TMPDIR") {
			t.Errorf("%.40s…: %v", temp, err)
		}
	}
}

// TestEachPageDamaged: a store with a log is refused, whichever page of its database is rubbish, or reads as it was.
func TestEachPageDamaged(t *testing.T) {
	s := deniedStore(t)
	if _, err := s.db.Exec(`PRAGMA wal_checkpoint(truncate)`); err != nil {
		t.Fatal(err)
	}
	if err := s.PutPlan(t.Context(), "plan-last", []byte("{}"), at); err != nil {
		t.Fatal(err)
	}
	files := filesOf(t, s.folder)
	refused := 0
	for from := 4096; from < len(files[fileName]); from += 4096 {
		folder := t.TempDir()
		put(t, folder, files)
		whole := append([]byte(nil), files[fileName]...)
		for i := from; i < from+4096; i++ {
			whole[i] = 0xA5
		}
		put(t, folder, map[string][]byte{fileName: whole})
		for how, open := range bothWays {
			s, err := open(t.Context(), folder)
			if err == nil {
				s.Close()
				continue
			}
			if refused++; !strings.Contains(astern.HintOf(err), "damaged") {
				t.Errorf("page %d, opened %s: %v (%s)", from/4096, how, err, astern.HintOf(err))
			}
		}
	}
	if refused == 0 {
		t.Error("no damage was noticed")
	}
}

// TestFolderAboveThatCantBeRead: its names are somebody else's to make durable.
func TestFolderAboveThatCantBeRead(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(folder, 0o700)
	asNobody(t, func() {
		if _, err := os.Open(folder); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("the folder can be read: %v", err)
		}
		if err := syncFolder(folder); err != nil {
			t.Error(err)
		}
	})
}

// TestBegins: whether what was read is what a file still begins with.
func TestBegins(t *testing.T) {
	const piece = 1 << 18
	long := bytes.Repeat([]byte("0123456789abcdef"), piece/8) // two pieces
	other := slices.Clone(long)
	other[piece+5] ^= 1
	grown := append(slices.Clone(long), 0)
	for _, c := range []struct {
		name           string
		file, data     []byte // file is nil where there is none
		exactly, begin bool
	}{
		{"none, nothing read", nil, nil, true, true},
		{"none, something read", nil, []byte("a"), false, false},
		{"empty, nothing read", []byte{}, nil, true, true},
		{"empty, something read", []byte{}, []byte("a"), false, false},
		{"something, nothing read", []byte("a"), nil, false, true},
		{"the same", long, long, true, true},
		{"grown", grown, long, false, true},
		{"grown by one piece", long, long[:piece], false, true},
		{"cut", long, grown, false, false},
		{"cut by one piece", long[:piece], long, false, false},
		{"another byte", other, long, false, false},
	} {
		path := filepath.Join(t.TempDir(), "file")
		if c.file != nil {
			if err := os.WriteFile(path, c.file, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for more, want := range map[bool]bool{false: c.exactly, true: c.begin} {
			got, there, err := begins(path, c.data, more)
			if got != want || there != (c.file != nil) || err != nil {
				t.Errorf("%s, more %t: %t, there %t, %v", c.name, more, got, there, err)
			}
		}
	}
	for what, path := range map[string]string{"a folder": t.TempDir(), "no path": "a\x00b"} {
		if got, _, err := begins(path, nil, true); got || err == nil {
			t.Errorf("%s: %t, %v", what, got, err)
		}
	}
}

// TestStillAt: each of the three files counts, and a log may have grown.
func TestStillAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), fileName)
	write := func(suffix, text string) {
		t.Helper()
		if err := os.WriteFile(path+suffix, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	texts := map[string]string{"": "db", "-wal": "log", "-journal": "journal"}
	for _, change := range []struct {
		suffix, text string
		want         bool
	}{{"", "db", true}, {"", "DB", false}, {"-wal", "log and more", true}, {"-wal", "lag", false}, {"-journal", "journal+", false}, {"-journal", "", false}} {
		for suffix, text := range texts {
			write(suffix, text)
		}
		f, err := readFiles(path)
		if err != nil {
			t.Fatal(err)
		}
		write(change.suffix, change.text)
		if same, err := f.stillAt(path); same != change.want || err != nil {
			t.Errorf("%+v: %t, %v", change, same, err)
		}
	}
	for suffix, text := range texts {
		write(suffix, text)
		f, err := readFiles(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path + suffix); err != nil {
			t.Fatal(err)
		}
		if suffix == "" {
			f.db = nil // an empty database that is gone is another state than one that is there
		}
		if same, err := f.stillAt(path); same || err != nil {
			t.Errorf("without %q: %t, %v", suffix, same, err)
		}
		if err := os.Mkdir(path+suffix, 0o700); err != nil {
			t.Fatal(err)
		}
		if same, err := f.stillAt(path); same || err == nil {
			t.Errorf("with a folder %q: %t, %v", suffix, same, err)
		}
		if _, err := readFiles(path); err == nil {
			t.Errorf("a folder %q is read", suffix)
		}
		if err := os.Remove(path + suffix); err != nil {
			t.Fatal(err)
		}
		write(suffix, text)
	}
}
