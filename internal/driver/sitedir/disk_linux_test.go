package sitedir

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
)

// On a full disk nothing that is served is touched, nothing is left over, and the error says what to look for.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if !drivertest.OwnMounts(t) {
		return
	}
	l := newLab(t, false, nil)
	l.history.Deployments = nil // of the releases as they were
	l.write("releases/v1/film.mp4", strings.Repeat("x", 2<<20))
	calls := l.steps(astern.VerbRollback, "v1", nil) // when there still was room
	small := t.TempDir()
	mountSmall(t, small)
	if err := os.Mkdir(l.at("served"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(small, l.at("served"), "", syscall.MS_BIND, ""); err != nil {
		t.Fatalf("binding a small disk into the site: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(l.at("served"), syscall.MNT_DETACH) })
	if problem := l.observe().Values["release-problem/v1"].Text; !strings.Contains(problem, "no room") {
		t.Errorf("of the disk it is said: %q", problem)
	}
	call, op := l.carry(calls)
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

// mountSmall mounts a disk of a megabyte.
func mountSmall(t *testing.T, at string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", at, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("mounting a small disk: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(at, syscall.MNT_DETACH) })
}

// Where the disk has room for the release alone, it is put without the files that are kept for open pages, and that is told.
func TestRoomForTheReleaseAlone(t *testing.T) {
	t.Parallel()
	if !drivertest.OwnMounts(t) {
		return
	}
	l := newLab(t, false, nil)
	l.history.Deployments = nil // of the releases as they were
	l.write("releases/v1/one.mp4", strings.Repeat("1", 250<<10))
	l.write("releases/v2/two.mp4", strings.Repeat("2", 250<<10))
	aside := t.TempDir()
	if err := os.CopyFS(aside, os.DirFS(l.at("releases"))); err != nil {
		t.Fatal(err)
	}
	link, err := os.Readlink(l.at("current"))
	if err != nil {
		t.Fatal(err)
	}
	mountSmall(t, l.at(""))
	if err := errors.Join(os.CopyFS(l.at("releases"), os.DirFS(aside)), os.Symlink(link, l.at("current"))); err != nil {
		t.Fatal(err)
	}
	calls := l.steps(astern.VerbRollback, "v1", nil)
	i := slices.IndexFunc(calls, func(c astern.Call) bool { return c.Verb == verbPut })
	if call, op := l.carry(calls[:i]); op.Status != astern.OpDone {
		t.Fatalf("%s: %+v", call.Step, op)
	}
	if op := l.driver.Actor.Start(t.Context(), calls[i]); op.Status != astern.OpDone || !strings.Contains(op.Progress, "no room for") {
		t.Fatalf("%+v", op)
	}
	if f := l.driver.Actor.Find(t.Context(), calls[i]); f.Answer != astern.FoundYes {
		t.Errorf("found: %+v", f)
	}
	if call, op := l.carry(calls[i+1:]); op.Status != astern.OpDone || l.read("current/index.html") != "one" || l.read("current/one.mp4") == "" {
		t.Errorf("%s: %+v", call.Step, op)
	}
}
