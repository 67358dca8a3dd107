package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"
	_ "github.com/ncruces/go-sqlite3/driver" // registers "sqlite3" with database/sql

	"github.com/astern-dev/astern"
)

// fileName is the database in the state folder.
const fileName = "state.db"

// application marks the file as astern's ("astr"); SQLite keeps it in the header.
const application = 0x61737472

// busyMillis is how long a writer waits for those of other processes.
const busyMillis = 30_000

//go:embed migrations/*.sql
var migrations embed.FS

// Open opens the state folder for reading and writing, and creates it (mode 0700) and its database (0600) when they do
// not exist. A database that a newer astern wrote is refused; one of an older is brought up to date in one transaction
// for each step.
func Open(ctx context.Context, folder string) (*Store, error) { return openOn(ctx, folder, "os") }

// openOn is Open with the files of one of the driver's file systems: "os", or that of a test which cuts the power.
func openOn(ctx context.Context, folder, files string) (*Store, error) {
	const doing = "opening the state folder"
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, failure(folder, doing, err)
	}
	if err := prepareFolder(folder); err != nil {
		return nil, err
	}
	path := filepath.Join(folder, fileName)
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "_txlock=immediate&vfs=" + files +
		fmt.Sprintf("&_pragma=busy_timeout(%d)", busyMillis) + "&_pragma=synchronous(full)&_pragma=foreign_keys(on)"}
	db, err := sql.Open("sqlite3", dsn.String())
	if err != nil {
		return nil, failure(folder, doing, err)
	}
	// Connections stay open: the last one to close removes the log file, and its creation is made durable only here.
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	s := &Store{db: db, folder: folder, writer: make(chan struct{}, 1)}
	if err := s.ready(ctx); err != nil {
		db.Close()
		return nil, s.fail(doing, err)
	}
	return s, nil
}

// ready brings an opened database into the state in which every commit is durable.
func (s *Store) ready(ctx context.Context) error {
	// What is newer is refused before anything is changed, the journal mode included.
	if _, err := s.schema(ctx); err != nil {
		return err
	}
	if err := s.useLog(ctx); err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if err := s.protect(); err != nil {
		return err
	}
	// The driver syncs the log file, not the folder it was created in; without its name a synced file is lost.
	return syncFolder(s.folder)
}

// prepareFolder makes the folder and an empty database file with tight permissions, if they are missing.
func prepareFolder(folder string) error {
	const doing = "creating the state folder"
	if err := os.MkdirAll(folder, 0o700); err != nil {
		if info, statErr := os.Stat(folder); statErr == nil && !info.IsDir() {
			return notFolder(folder)
		}
		return failure(folder, doing, err)
	}
	path := filepath.Join(folder, fileName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return failure(folder, doing, err)
	}
	defer f.Close()
	head := make([]byte, len(magic))
	n, err := io.ReadFull(f, head)
	switch {
	case errors.Is(err, io.EOF): // new and empty; its name has to survive a power cut like its content
		if err := syncFolder(filepath.Dir(folder)); err != nil {
			return failure(folder, doing, err)
		}
		return nil
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return failure(folder, doing, err)
	case !bytes.Equal(head[:n], magic):
		return notDatabase(path, "opening the state folder")
	}
	return nil
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
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		side, err := os.Stat(path + suffix)
		if err != nil || side.Mode().Perm() == info.Mode().Perm() {
			continue // not there, or right
		}
		if err := os.Chmod(path+suffix, info.Mode().Perm()); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// useLog turns the write-ahead log on. When several processes create a store at once, SQLite answers busy here without
// waiting, so we wait.
func (s *Store) useLog(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, busyMillis*time.Millisecond)
	defer cancel()
	for {
		var mode string
		err := s.db.QueryRowContext(ctx, `PRAGMA journal_mode = wal`).Scan(&mode)
		switch {
		case err == nil && mode != "wal":
			return astern.Errorf(astern.Internal, "%s: the file system offers no shared memory for a write-ahead log (journal mode %s)",
				s.folder, mode).WithHint("put the state folder on a local disk with --state")
		case err == nil || !errors.Is(err, sqlite3.BUSY):
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(5 * time.Millisecond):
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
	known, err := migrations.ReadDir("migrations")
	if err != nil {
		return 0, err
	}
	switch {
	case app != application && (tables > 0 || app != 0 || version != 0):
		return 0, notDatabase(filepath.Join(s.folder, fileName), "opening the state folder")
	case version > len(known):
		return 0, astern.Errorf(astern.Refused, "state folder was written by a newer astern (schema %d, this one knows %d): %s",
			version, len(known), s.folder).WithHint("use that newer astern, or choose another state folder with --state")
	}
	return version, nil
}

// migrate brings the schema up to date: the files of migrations in order, each in one transaction.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Glob(migrations, "migrations/*.sql") // sorted by name, which begins with the number
	if err != nil {
		return err
	}
	version, err := s.schema(ctx)
	if err != nil {
		return err
	}
	for ; version < len(files); version++ {
		text, err := migrations.ReadFile(files[version])
		if err != nil {
			return err
		}
		if err := s.step(ctx, version, string(text)); err != nil {
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
