package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"golang.org/x/sys/unix"

	"github.com/astern-dev/astern"
)

// asNobody runs f with the access to files that nobody has, when the tests run as root; other users have no more anyway.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	runtime.LockOSThread() // the system keeps this for each thread
	defer runtime.UnlockOSThread()
	if _, _, code := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); code != 0 {
		t.Fatal(code)
	}
	defer syscall.RawSyscall(syscall.SYS_SETFSUID, 0, 0, 0)
	f()
}

// TestOutOfRoom asks a file system on which nothing has ever room, and of which root may write to the folder.
func TestOutOfRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root alone may write to /proc")
	}
	for _, cause := range []error{sqlite3.CANTOPEN, sqlite3.IOERR} {
		if err := failure("/proc", "trying", cause); !strings.Contains(astern.HintOf(err), "is full") {
			t.Errorf("%v: %s", cause, astern.HintOf(err))
		}
	}
	if err := failure("/proc", "trying", sqlite3.BUSY); strings.Contains(astern.HintOf(err), "is full") {
		t.Error(astern.HintOf(err))
	}
	if outOfRoom("/nowhere") || outOfRoom(t.TempDir()) {
		t.Error("it has no room")
	}
	for _, c := range []struct {
		bytes, files, free uint64
		want               bool
	}{{leastBytes, 100, leastFiles, false}, {leastBytes - 1, 100, leastFiles, true}, {leastBytes, 100, leastFiles - 1, true}, {leastBytes, 1, 0, true}, {leastBytes, 0, 0, false}} {
		if got := scarce(c.bytes, c.files, c.free); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

// openFiles returns which files in a folder the process has open.
func openFiles(t *testing.T, folder string) (names []string) {
	t.Helper()
	const all = "/proc/self/fd"
	open, err := os.ReadDir(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range open {
		name, err := os.Readlink(filepath.Join(all, f.Name()))
		if err == nil && strings.HasPrefix(name, folder) {
			names = append(names, name)
		}
	}
	return names
}

// TestNoFileStaysOpen of a store that was made, read and closed.
func TestNoFileStaysOpen(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which closes files that were forgotten
	folder := t.TempDir()
	s, err := Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := journalOf(t, s)(2); err != nil { // on a connection of its own
		t.Fatal(err)
	}
	if names := openFiles(t, folder); len(names) == 0 {
		t.Error("an open store has no file open")
	}
	r, err := OpenReadOnly(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if names := openFiles(t, folder); len(names) > 0 {
		t.Errorf("still open: %s", names)
	}
}

// TestFilesBesideOfOthers: that a log belongs to somebody else, who has other permissions for it, is no error.
func TestFilesBesideOfOthers(t *testing.T) {
	folder := t.TempDir()
	for _, path := range []string{filepath.Dir(folder), folder} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, folder, map[string][]byte{fileName: magic, fileName + "-wal": nil})
	if err := os.Chmod(filepath.Join(folder, fileName), 0o640); err != nil {
		t.Fatal(err)
	}
	s := &Store{folder: folder}
	asNobody(t, func() {
		if err := s.protect(); err != nil {
			t.Error(err)
		}
	})
	epoll, err := unix.EpollCreate1(0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epoll)
	path := filepath.Join(folder, fileName+"-shm")
	if err := os.Symlink(fmt.Sprint("/proc/self/fd/", epoll), path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); !errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("this system has no file whose permissions are nobody's to change: %v", err)
	}
	if err := s.protect(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("permissions that could not be given: %v", err)
	}
}

// TestProofInTheStateOfAnother: a reader keeps nothing in a state that belongs to another user, though it could.
func TestProofInTheStateOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root alone may give files away")
	}
	s := deniedStore(t)
	r, err := OpenReadOnly(t.Context(), s.folder)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Chown(filepath.Join(s.folder, fileName), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := r.KeepProof(t.Context(), "key", []byte("x"), at); err != nil {
		t.Fatal(err)
	}
	if _, found, err := s.Proof(t.Context(), "key"); err != nil || found {
		t.Errorf("it was kept: %t, %v", found, err)
	}
}
