package host

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestInheritedFilesStayHere has a file open as a caller's lock would be: what astern starts must not hold it.
func TestInheritedFilesStayHere(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("only /proc lists the open files of another process")
	}
	path := filepath.Join(t.TempDir(), "caller.lock")
	fd, err := syscall.Open(path, syscall.O_CREAT|syscall.O_RDWR, 0o600) // not closed on exec, unlike all that Go opens
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	list := Command{Argv: []string{"sh", "-c", "for f in /proc/self/fd/*; do readlink $f; done"}}
	if r := run(t, Here(), list); !strings.Contains(r.Stdout, path) {
		t.Fatalf("the test proves nothing, the file is not inherited: %s", r.Stdout)
	}
	KeepFiles()
	if r := run(t, Here(), list); strings.Contains(r.Stdout, path) {
		t.Errorf("a command holds %s", path)
	}
}
