package sqlite

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/ncruces/go-sqlite3"

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
