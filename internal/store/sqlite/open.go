package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	sqldriver "database/sql/driver"
	_ "embed" // the texts of the schema
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/astern-dev/astern"
)

// fileName is the database in the state folder.
const fileName = "state.db"

// application marks the file as astern's ("astr"); SQLite keeps it in the header.
const application = 0x61737472

// busyMillis is how long a writer waits for those of other processes.
const busyMillis = 30_000

// The steps of the schema. What was on main once is never changed: another is added.
var (
	//go:embed migrations/0001_first.sql
	first string
	//go:embed migrations/0002_proofs.sql
	second string
	//go:embed migrations/0003_incidents.sql
	third string
	//go:embed migrations/0004_signed.sql
	fourth string
	//go:embed migrations/0005_notices.sql
	fifth string
	//go:embed migrations/0006_journal.sql
	sixth string
	//go:embed migrations/0007_intents.sql
	seventh string
)

// migrations are the texts that bring a database from version n to n+1.
func migrations() []string { return []string{first, second, third, fourth, fifth, sixth, seventh} }

// medium is what the files lie on: the machine's own disk, or one of a test that cuts the power.
type medium struct {
	files string                              // name of the driver's file system
	sync  func(folder string) error           // makes the names in a folder durable
	link  func(present, another string) error // gives a file another name, which must not be taken
	again func(path string) error             // writes a log as it reads and makes it durable
}

var machine = medium{aheadOf(vfs.Find("os"), "os"), syncFolder, os.Link, writeAgain}

// Open opens the state folder for reading and writing, and creates it (mode 0700) and its database (0600) when they do
// not exist. A database that a newer astern wrote is refused; one of an older is brought up to date in one transaction
// for each step. What is refused, because it is newer, empty, damaged or not ours, stays as it is to the byte.
func Open(ctx context.Context, folder string) (*Store, error) { return openOn(ctx, folder, machine) }

// openOn is Open on a medium.
func openOn(ctx context.Context, folder string, m medium) (*Store, error) {
	const doing = "opening the state folder"
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, failure(folder, doing, err)
	}
	if err := m.prepare(ctx, folder); err != nil {
		return nil, err
	}
	s := &Store{folder: folder, medium: m, writer: make(chan struct{}, 1), readOn: readOnFor}
	s.db = m.database(filepath.Join(folder, fileName))
	if err := s.ready(ctx); err != nil {
		s.abandon(ctx)
		return nil, s.fail(doing, err)
	}
	return s, nil
}

// abandon closes a database that could not be opened whole. Whoever closes it last would merge its log, of which it is not
// known whether it is on the disk.
func (s *Store) abandon(ctx context.Context) {
	if conn, err := s.db.Conn(context.WithoutCancel(ctx)); err == nil {
		_ = conn.Raw(func(c any) error {
			_, _ = c.(driver.Conn).Raw().Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true) // why it could not be opened says more
			return nil
		})
		conn.Close()
	}
	s.db.Close()
}

// idle is how many connections stay open. They do, because the last one to close removes the log file, whose creation is
// made durable only in ready.
const idle = 4

// database returns the database in the file at path; nothing is opened yet.
func (m medium) database(path string) *sql.DB {
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "_txlock=immediate&vfs=" + m.files +
		fmt.Sprintf("&_pragma=busy_timeout(%d)", busyMillis) + "&_pragma=synchronous(full)&_pragma=foreign_keys(on)"}
	db := sql.OpenDB(source(dsn.String()))
	db.SetMaxOpenConns(idle)
	db.SetMaxIdleConns(idle)
	return db
}

// source is the address of a database, from which database/sql gets its connections.
type source string

// Connect opens a connection.
func (s source) Connect(ctx context.Context) (conn sqldriver.Conn, err error) {
	connector, err := new(driver.SQLite).OpenConnector(string(s))
	if err == nil {
		conn, err = connector.Connect(ctx)
	}
	return conn, err
}

// Driver returns the driver of all connections.
func (source) Driver() sqldriver.Driver { return new(driver.SQLite) }

// ready brings an opened database into the state in which every commit is durable.
func (s *Store) ready(ctx context.Context) error {
	// What is newer is refused before anything is changed, the journal mode included.
	if _, err := s.schema(ctx); err != nil {
		return err
	}
	if err := s.useLog(ctx); err != nil {
		return err
	}
	// The driver syncs the log file, not the folder it was created in; without its name a synced file is lost, and a database
	// into which it was merged half is a wreck.
	if err := s.medium.sync(s.folder); err != nil {
		return err
	}
	if err := s.settleLog(ctx); err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	// What the log holds goes into the database, so that little rests on it. Where others are at work this does as much as it can.
	if _, err := s.db.ExecContext(ctx, `PRAGMA wal_checkpoint(passive)`); err != nil {
		return err
	}
	return s.protect()
}

// settleLog makes the log durable as it reads. A commit whose sync failed, and whose process ended before it could write over
// it, is read from memory as if it were on the disk, and no later sync writes it (Linux keeps such pages as clean). Merged into the
// database it would leave a log in which it is missing, whose earlier commits a start after a power cut merges over the later
// ones. Nobody else writes into the log meanwhile, for that takes the lock that this transaction has, which must not end with the
// context, as one of database/sql does: who writes then would be written over.
func (s *Store) settleLog(ctx context.Context) error {
	path := filepath.Join(s.folder, fileName) + "-wal"
	if log, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && log.Size() == 0 {
		return nil // nothing was left in it
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, `BEGIN IMMEDIATE`)
	return conn.Raw(func(c any) error {
		if err == nil {
			err = s.medium.again(path)
		}
		return errors.Join(err, rollback(c.(driver.Conn).Raw()))
	})
}

// writeAgain writes the part of a log that counts as it reads, and makes it durable.
func writeAgain(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err == nil {
		_, err = f.WriteAt(used(b), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	return err
}

// prepare makes the folder and the database with tight permissions, if they are missing, and refuses what must not be
// opened, without opening it.
func (m medium) prepare(ctx context.Context, folder string) error {
	const doing = "opening the state folder"
	if err := os.MkdirAll(folder, 0o700); err != nil {
		if info, statErr := os.Stat(folder); statErr == nil && !info.IsDir() {
			return notFolder(folder)
		}
		return failure(folder, "creating the state folder", err)
	}
	path := filepath.Join(folder, fileName)
	there, err := exists(path)
	if err == nil && !there {
		err = m.create(ctx, folder)
	}
	if err == nil {
		err = lookBefore(ctx, folder)
	}
	if err != nil {
		return (&Store{folder: folder}).fail(doing, err)
	}
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// create makes the database under another name and gives it its own only when it is complete: whoever sees a state.db sees
// a whole one, whatever was cut off, and of several processes that create it at once one wins.
func (m medium) create(ctx context.Context, folder string) error {
	path := filepath.Join(folder, fileName)
	if err := refuseLoneLog(path); err != nil {
		return err
	}
	temp := path + newSuffix + rand.Text()
	err := m.build(ctx, folder, temp)
	if err == nil {
		err = m.link(temp, path)
	}
	if err != nil {
		for _, suffix := range []string{"", "-wal", "-shm"} { // as far as it was made: a full disk has no room for what is left
			_ = os.Remove(temp + suffix) // the first error says more
		}
		if there, _ := exists(path); there {
			return nil // another process was faster
		}
		return err
	}
	if err := removeUnfinished(path); err != nil {
		return err
	}
	if err := m.sync(folder); err != nil {
		return err
	}
	return m.sync(filepath.Dir(folder))
}

// newSuffix follows the name of the database in the names of those that are being made.
const newSuffix = ".new-"

// refuseLoneLog refuses a log without its database: a new database beside it would swallow it.
func refuseLoneLog(path string) error {
	for _, suffix := range []string{"-wal", "-journal"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Size() == 0 {
			continue // not there, or nothing in it
		}
		if there, err := exists(path); there || err != nil {
			return err // it was created in this moment
		}
		return isAlone(path, suffix)
	}
	return nil
}

func isAlone(path, suffix string) error {
	return astern.Errorf(astern.Invalid, "%s is there and %s, to which it belongs, is missing", path+suffix, path).
		WithHint("put %s back from where it went, or restore both from a backup; to begin anew, move the log away", fileName)
}

// build makes a complete and empty store in the file at path.
func (m medium) build(ctx context.Context, folder, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return err
	}
	s := &Store{folder: folder, db: m.database(path)}
	if err = s.useLog(ctx); err == nil {
		err = s.migrate(ctx)
	}
	if err == nil { // closing would merge the log as well, and say nothing when it can't
		_, err = s.db.ExecContext(ctx, `PRAGMA wal_checkpoint(truncate)`)
	}
	return errors.Join(err, s.db.Close())
}

// removeUnfinished removes what creations that were cut off, or came second, left of their files.
func removeUnfinished(path string) error {
	left, err := filepath.Glob(globEscaper.Replace(path) + newSuffix + "*")
	for _, name := range left {
		if removed := os.Remove(name); !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}
	return err
}

var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// lookBefore judges a database before SQLite opens it, which changes files: it refuses what is empty, foreign, newer or
// damaged.
func lookBefore(ctx context.Context, folder string) error {
	path := filepath.Join(folder, fileName)
	head, err := header(path)
	if err != nil {
		return err
	}
	if log, err := os.Stat(path + "-wal"); err != nil || log.Size() == 0 {
		return head.judge(folder)
	}
	data, err := snapshot(ctx, folder)
	if astern.CodeOf(err) == astern.Unavailable {
		return nil // somebody writes all the time: it is in use, and no wreck
	}
	if err != nil {
		return err
	}
	s := &Store{folder: folder, frozen: "a copy"}
	s.copied(data)
	defer s.Close()
	_, err = s.schema(ctx)
	return err
}

// head is what the first page of a database says.
type head struct{ app, version, pages uint32 }

// header reads the first page of the database at path. It answers Invalid when that is not one.
func header(path string) (head, error) {
	f, err := os.Open(path)
	if err != nil {
		return head{}, err
	}
	defer f.Close()
	b := make([]byte, 100)
	n, err := io.ReadFull(f, b)
	switch {
	case errors.Is(err, io.EOF):
		return head{}, isEmpty(path)
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return head{}, err
	case n < len(b) || !bytes.HasPrefix(b, magic):
		return head{}, notDatabase(path, "opening the state folder")
	}
	return head{app: binary.BigEndian.Uint32(b[68:]), version: binary.BigEndian.Uint32(b[60:]), pages: binary.BigEndian.Uint32(b[28:])}, nil
}

// judge refuses a database that is not ours or newer, as far as the header tells; schema has the last word.
func (h head) judge(folder string) error {
	switch {
	case h.app != application && (h.pages > 1 || h.app != 0 || h.version != 0):
		return notDatabase(filepath.Join(folder, fileName), "opening the state folder")
	case h.app == application:
		return refuseNewer(folder, int(h.version))
	}
	return nil
}

// isEmpty refuses a database without a byte: astern never leaves one, so something was lost.
func isEmpty(path string) error {
	return astern.Errorf(astern.Invalid, "%s is empty (0 bytes): plans, history and latches that were in it are gone", path).
		WithHint("restore it from a backup; if there was nothing in it yet, remove the file and run the command again")
}

// magic is how every SQLite file begins.
var magic = []byte("SQLite format 3\x00")

func notFolder(folder string) error {
	return astern.Errorf(astern.Invalid, "opening the state folder: %s is not a folder", folder).
		WithHint("move the file away, or choose another state folder with --state")
}

// syncFolder makes the names in a folder durable.
func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if errors.Is(err, fs.ErrPermission) {
		return nil // a folder above ours that may be passed and not read
	}
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// protect gives the files beside the database the permissions of the database, in folders that others can read, too.
func (s *Store) protect() error {
	path := filepath.Join(s.folder, fileName)
	info, failed := os.Stat(path)
	if failed != nil {
		return failed
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		side, err := os.Stat(path + suffix)
		if err != nil || side.Mode().Perm() == info.Mode().Perm() {
			continue // not there, or right
		}
		if err := os.Chmod(path+suffix, info.Mode().Perm()); !errors.Is(err, fs.ErrPermission) {
			failed = cmp.Or(failed, err)
		}
	}
	return failed
}

// useLog turns the write-ahead log on. When several processes create a store at once, SQLite answers busy here without
// waiting, so we wait.
func (s *Store) useLog(ctx context.Context) error {
	for last := time.Now().Add(busyMillis * time.Millisecond); ; time.Sleep(5 * time.Millisecond) {
		var mode string
		err := s.db.QueryRowContext(ctx, `PRAGMA journal_mode = wal`).Scan(&mode)
		switch {
		case err == nil && mode != "wal":
			return astern.Errorf(astern.Internal, "%s: the file system offers no shared memory for a write-ahead log (journal mode %s)",
				s.folder, mode).WithHint("put the state folder on a local disk with --state")
		case err == nil || !errors.Is(err, sqlite3.BUSY) || time.Now().After(last):
			return err
		}
	}
}

// schema returns the version of the database's schema, 0 for a new one, and refuses what is not ours or newer.
func (s *Store) schema(ctx context.Context) (version int, err error) {
	const query = `SELECT (SELECT user_version FROM pragma_user_version),
		(SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)`
	var app, tables int
	if err := s.db.QueryRowContext(ctx, query).Scan(&version, &app, &tables); err != nil {
		return 0, err
	}
	if app != application && (tables > 0 || app != 0 || version != 0) {
		return 0, notDatabase(filepath.Join(s.folder, fileName), "opening the state folder")
	}
	if err := refuseNewer(s.folder, version); err != nil {
		return 0, err
	}
	return version, nil
}

// refuseNewer refuses a schema that this astern does not know.
func refuseNewer(folder string, version int) error {
	if known := len(migrations()); version > known {
		return astern.Errorf(astern.Refused, "state folder was written by a newer astern (schema %d, this one knows %d): %s",
			version, known, folder).WithHint("use that newer astern, or choose another state folder with --state")
	}
	return nil
}

// migrate brings the schema up to date, each step in one transaction.
func (s *Store) migrate(ctx context.Context) error {
	version, err := s.schema(ctx)
	if err != nil {
		return err
	}
	for ; version < len(migrations()); version++ {
		if err := s.step(ctx, version, migrations()[version]); err != nil {
			return err
		}
	}
	return nil
}

// step brings the schema from version to the next, unless another process has done so meanwhile.
func (s *Store) step(ctx context.Context, version int, text string) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit this does nothing
	var now int
	if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&now); err != nil || now > version {
		return err
	}
	header := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", application, version+1)
	if _, err := tx.ExecContext(ctx, header+text); err != nil {
		return err
	}
	return tx.Commit()
}
