package sqlite

import (
	"os"
	"runtime"
	"syscall"
	"testing"
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
