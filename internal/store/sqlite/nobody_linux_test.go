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

// openFiles counts what the process has open.
func openFiles(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// TestNoFileStaysOpen of a store that was made, read and closed.
func TestNoFileStaysOpen(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which closes files that were forgotten
	folders := t.TempDir()
	before := openFiles(t)
	for how, open := range bothWays {
		folder := filepath.Join(folders, how)
		s, err := open(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		if how == "for writing" { // on a connection of its own
			if err := journalOf(t, s)(2); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n := openFiles(t); n != before {
			t.Errorf("opened %s: %d files are open, before it were %d", how, n, before)
		}
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
