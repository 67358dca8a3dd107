package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"golang.org/x/sys/unix"

	"github.com/astern-dev/astern"
)

// fail turns what SQLite, database/sql or the file system answered into an error for a person. Errors of astern pass
// unchanged, so does nil.
func (s *Store) fail(doing string, err error) error {
	var own *astern.Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	return failure(s.folder, doing, err)
}

// failure is the one table from causes to codes and hints. It names the path, because people have several state folders.
func failure(folder, doing string, err error) error {
	path := filepath.Join(folder, fileName)
	e := &astern.Error{Code: astern.Internal, Doing: doing + " (" + path + ")", Cause: err}
	switch {
	case errors.Is(err, context.Canceled):
		e.Code, e.Hint = astern.Interrupted, "nothing was written"
	case errors.Is(err, context.DeadlineExceeded):
		e.Code, e.Hint = astern.Unavailable, "nothing was written; try again"
	case full(err), (errors.Is(err, sqlite3.CANTOPEN) || errors.Is(err, sqlite3.IOERR)) && outOfRoom(folder):
		e.Hint = "the disk that holds " + folder + " is full or at its quota: free space there, then run the command again"
	case errors.Is(err, sqlite3.NOTADB):
		return notDatabase(path, doing)
	case errors.Is(err, sqlite3.CORRUPT):
		e.Hint = "the file is damaged: copy the whole folder away first, then restore it from a backup, or start with a new " +
			"state folder (--state)"
	case errors.Is(err, sqlite3.BUSY), errors.Is(err, sqlite3.LOCKED):
		e.Code, e.Hint = astern.Unavailable, "another process keeps the file locked; try again when it is done"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, sqlite3.READONLY),
		errors.Is(err, sqlite3.PERM), errors.Is(err, sqlite3.CANTOPEN):
		e.Code = astern.Denied
		e.Hint = "the current user needs to be able to read and write " + folder + " and the files in it; or choose another " +
			"state folder with --state"
	case errors.Is(err, sqlite3.IOERR):
		// The driver keeps no system error here: a limit on the size of files looks like a broken disk.
		e.Hint = "the disk that holds " + folder + " failed: free space there and look at the limit on file sizes (ulimit -f); " +
			"if there is room, see the system's log (dmesg), and copy the folder away"
	}
	return e
}

// full reports whether err says that there is no room: disk, quota, or the process's limit on the size of a file.
func full(err error) bool {
	return errors.Is(err, sqlite3.FULL) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		errors.Is(err, syscall.EFBIG)
}

// A state folder that begins takes some hundred kilobytes and a dozen files. Below that a disk counts as full.
const leastBytes, leastFiles = 512 << 10, 16

// outOfRoom reports whether the disk of a folder that may be written to has next to no room. Of a file that can't be made, or not
// made longer, SQLite does not say why, and what it had made of it until then is gone by now.
func outOfRoom(folder string) bool {
	var disk unix.Statfs_t
	return unix.Access(folder, unix.W_OK) == nil && unix.Statfs(folder, &disk) == nil &&
		scarce(disk.Bavail*uint64(disk.Bsize), disk.Files, disk.Ffree)
}

// scarce reports whether so many free bytes, or free files of so many, are next to no room. Some file systems don't count files.
func scarce(bytes, files, free uint64) bool {
	return bytes < leastBytes || files > 0 && free < leastFiles
}

func notDatabase(path, doing string) error {
	return &astern.Error{Code: astern.Invalid, Doing: doing, Cause: errors.New(path + " is not a state database of astern"),
		Hint: "move the file away, or choose another state folder with --state"}
}
