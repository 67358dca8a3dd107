package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs/memdb"

	"github.com/astern-dev/astern"
)

// OpenReadOnly opens what the state folder holds at this moment, and changes nothing in it, not even a lock. It works in
// a folder that can only be read, in one that a crash left with an unfinished log, while other processes write, and on
// the state of an older astern. Every write answers Refused. A folder that does not exist reads as an empty store.
//
// What it reads is a copy in memory; changes made later by others are not seen.
func OpenReadOnly(ctx context.Context, folder string) (*Store, error) {
	const doing = "opening the state folder for reading"
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, failure(folder, doing, err)
	}
	s := &Store{folder: folder, medium: machine, frozen: "state folder is read-only: " + folder}
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.missing, s.frozen = true, "state folder is missing: "+folder
	case err != nil:
		return nil, failure(folder, doing, err)
	case !info.IsDir():
		return nil, notFolder(folder)
	}
	data, err := snapshot(ctx, folder)
	if err != nil {
		return nil, s.fail(doing, err)
	}
	if len(data) == 0 {
		s.missing = true // a folder without a store
	}
	s.copied(data)
	if err = s.migrate(ctx); err == nil { // of the copy
		return s, nil
	}
	s.Close()
	return nil, s.fail(doing, err)
}

// copied makes a database in memory with the content of data the one of the store.
func (s *Store) copied(data []byte) {
	s.memory = "astern-" + rand.Text()
	memdb.Create(s.memory, data)
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: "/" + s.memory,
		RawQuery: "vfs=memdb&_txlock=immediate&_pragma=busy_timeout(5000)"}
	s.db = sql.OpenDB(source(dsn.String()))
}

// files are the database and what else can hold a part of it: the log, and the journal of a creation that was cut off.
type files struct {
	db, wal, journal []byte
	there            bool // the database is, be it empty
}

// whole returns the content of the database, nil when there is none, and refuses what can't be one.
func (f files) whole(ctx context.Context, path string) ([]byte, error) {
	switch {
	case f.there && len(f.db) == 0:
		return nil, isEmpty(path)
	case f.there && !bytes.HasPrefix(f.db, magic):
		return nil, notDatabase(path, "opening the state folder for reading")
	case !f.there && len(f.wal) > 0:
		return nil, isAlone(path, "-wal")
	case !f.there && len(f.journal) > 0:
		return nil, isAlone(path, "-journal")
	}
	return f.merge(ctx)
}

// snapshot returns the content of the database as one file, nil when there is none.
//
// It takes no lock, so it may read while others write. Database and log are read twice, the second time piece by piece, for a state
// may be large: if the database is the same both times, and the log only grew, then the first reading is a state that was committed. For pages go from the log to the
// database before the log is reused; a page that was written to the database before we read it, from a log that we read
// after it, is in that log as well.
func snapshot(ctx context.Context, folder string) ([]byte, error) {
	path := filepath.Join(folder, fileName)
	for range 200 {
		f, err := readFiles(path)
		same := false
		if err == nil {
			same, err = f.stillAt(path)
		}
		if err != nil {
			return nil, err
		}
		if same {
			return f.whole(ctx, path)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil, astern.Errorf(astern.Unavailable, "%s changes faster than it can be read", path).
		WithHint("try again in a moment")
}

// used returns the part of a log that holds what was written since it began anew, which is when it got the salt in its
// header (https://sqlite.org/fileformat2.html#walformat). Older frames and zeros may stand behind it.
func used(log []byte) []byte {
	const head, frameHead, maxPage = 32, 24, 1 << 16
	if len(log) < head {
		return log
	}
	salt, page, end := log[16:24], int(min(binary.BigEndian.Uint32(log[8:]), maxPage)), head
	for next := end + frameHead + page; next <= len(log) && bytes.Equal(log[end+8:end+16], salt); next += frameHead + page {
		end = next
	}
	return log[:end]
}

func readFiles(path string) (f files, err error) {
	for _, part := range []struct {
		suffix string
		into   *[]byte
	}{{"", &f.db}, {"-wal", &f.wal}, {"-journal", &f.journal}} {
		b, err := os.ReadFile(path + part.suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		*part.into = b
		f.there = f.there || err == nil && part.suffix == ""
	}
	return f, nil
}

// stillAt reports whether the files are what they were, but for what was added to the log.
func (f files) stillAt(path string) (bool, error) {
	db, there, err1 := begins(path, f.db, false)
	log, _, err2 := begins(path+"-wal", used(f.wal), true)
	journal, _, err3 := begins(path+"-journal", f.journal, false)
	return db && there == f.there && log && journal, cmp.Or(err1, err2, err3)
}

// begins reports whether a file begins with the data, behind which there may be more or not, and whether it is there at all.
func begins(path string, data []byte, more bool) (begins, there bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return len(data) == 0, false, nil
		}
		return false, false, err
	}
	defer file.Close()
	for piece := make([]byte, 1<<18); ; {
		n, err := file.Read(piece)
		if errors.Is(err, io.EOF) {
			return len(data) == 0, true, nil
		}
		if err != nil {
			return false, true, err
		}
		part := piece[:min(n, len(data))]
		if n > len(part) && !more || !bytes.HasPrefix(data, part) {
			return false, true, nil
		}
		if data = data[len(part):]; len(data) == 0 && more {
			return true, true, nil
		}
	}
}

// merge returns the database with its log merged into it. SQLite does that, on a copy in a temporary folder that is gone
// when merge returns.
func (f files) merge(ctx context.Context) (merged []byte, err error) {
	if len(f.wal) == 0 && len(f.journal) == 0 {
		return f.db, nil
	}
	temp, err := os.MkdirTemp("", "astern-state-")
	if err != nil {
		return nil, inTemp(err)
	}
	defer func() {
		err = cmp.Or(err, inTemp(os.RemoveAll(temp)))
	}()
	path := filepath.Join(temp, fileName)
	for suffix, b := range map[string][]byte{"": f.db, "-wal": f.wal, "-journal": f.journal} { // of nothing SQLite takes no notice
		if err := os.WriteFile(path+suffix, b, 0o600); err != nil {
			return nil, inTemp(err)
		}
	}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path}
	db := sql.OpenDB(source(dsn.String()))
	var mode string
	if err = db.QueryRowContext(ctx, `PRAGMA journal_mode = delete`).Scan(&mode); err == nil {
		err = sound(ctx, db) // nothing in a log says to which database it belongs
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	merged, err = os.ReadFile(path)
	return merged, inTemp(err)
}

// sound reports damage to the structure of a database.
func sound(ctx context.Context, db *sql.DB) error {
	var said string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&said); err != nil {
		return err
	}
	if said != "ok" {
		return fmt.Errorf("%w: %s", sqlite3.CORRUPT, said)
	}
	return nil
}

// inTemp says that it was the temporary folder, not the state folder, that failed.
func inTemp(err error) error {
	if err == nil {
		return nil
	}
	return (&astern.Error{Code: astern.Internal, Doing: "reading the state's log in a temporary folder", Cause: err}).
		WithHint("astern needs a writable temporary folder with room for a copy of the state: set TMPDIR")
}
