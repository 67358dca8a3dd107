package sitedir

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/astern-dev/astern"
)

// On a full disk nothing that is served is touched, nothing is left over, and the error says what to look for.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	l := newLab(t, false, nil)
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
		if os.Getenv("CI") == "true" && os.Getuid() == 0 {
			t.Fatalf("mounting a small disk: %v", err)
		}
		t.Skipf("a small disk can't be mounted by this login: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(small, syscall.MNT_DETACH) })
	if err := os.Mkdir(l.at("served"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(small, l.at("served"), "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("a small disk can't be bound into the site: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(l.at("served"), syscall.MNT_DETACH) })
	l.write("releases/v1/film.mp4", strings.Repeat("x", 2<<20))
	call, op := l.carry(l.steps(astern.VerbRollback, "v1", nil))
	if call.Verb != verbPut || op.Status != astern.OpFailed || !strings.Contains(op.Error, "No space") || !strings.Contains(op.Hint, "full") {
		t.Errorf("%s: %+v", call.Step, op)
	}
	if left, _ := filepath.Glob(l.at("served/.partial-*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	if got := l.read("current/index.html"); got != "two" {
		t.Errorf("served is %q", got)
	}
}
