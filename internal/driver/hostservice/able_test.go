package hostservice

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern/internal/host"
)

// TestAble compares what both readers find in the way, on roots in which something is.
func TestAble(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, at, text string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		change func(t *testing.T, root string)
		want   string // the end of the one hindrance; "" for none
	}{
		"nothing": {func(*testing.T, string) {}, ""},
		"no command": {func(t *testing.T, root string) {
			if err := os.Remove(root + "/ctl"); err != nil {
				t.Fatal(err)
			}
		}, "ctl to restart it with"},
		"not executable": {func(t *testing.T, root string) {
			if err := os.Chmod(root+"/ctl", 0o644); err != nil {
				t.Fatal(err)
			}
		}, "ctl to restart it with"},
		"no interpreter":         {func(t *testing.T, root string) { write(t, root+"/ctl", "#!/no/such -x\n", 0o755) }, "ctl by, which is to restart it"},
		"no interpreter for env": {func(t *testing.T, root string) { write(t, root+"/ctl", "#!/usr/bin/env no-such-shell\n", 0o755) }, "ctl by, which is to restart it"},
		"a folder for the lock": {func(t *testing.T, root string) {
			write(t, root+"/.astern.lock/x", "", 0o644)
		}, "/.astern.lock"},
		"a lock": {func(t *testing.T, root string) {
			write(t, root+"/.astern.lock", "", 0o644)
			f, err := os.OpenFile(root+"/.astern.lock", os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() }) // which gives the lock back
			if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
				t.Fatal(err)
			}
		}, "is held"},
		"no folder of the link": {func(t *testing.T, root string) {
			if err := os.RemoveAll(root + "/links"); err != nil {
				t.Fatal(err)
			}
		}, "/links"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			write(t, root+"/links/.keep", "", 0o644)
			write(t, root+"/ctl", "#!/bin/sh\n", 0o755)
			test.change(t, root)
			needs := []need{{name: "a", link: root + "/links/a", commands: [][2]string{{"restart", "./ctl"}, {"see", "sh"}}}}
			here, err := native{}.able(t.Context(), root, needs)
			if err != nil {
				t.Fatal(err)
			}
			there, err := scripted{host.Here()}.able(t.Context(), root, needs)
			if err != nil {
				t.Fatal(err)
			}
			space := func(h hindrance) bool { return h.record == "space" }
			here, there = slices.DeleteFunc(here, space), slices.DeleteFunc(there, space)
			if d := cmp.Diff(here, there, cmp.AllowUnexported(hindrance{})); d != "" {
				t.Errorf("the readers differ (-native +script):\n%s", d)
			}
			if len(here) > 0 != (test.want != "") || len(here) > 0 && !strings.HasSuffix(here[0].why, test.want) {
				t.Errorf("%v, want one that ends with %q", here, test.want)
			}
		})
	}
}

// TestRoomy judges what is left of a disk.
func TestRoomy(t *testing.T) {
	t.Parallel()
	for space, want := range map[string]string{
		"1000000 4096 5000 9000": "", "1000000 4096 0 0": "", "3 4096 5000 9000": "risk", "1000 4096 5000 9000": "risk",
		"1000000 4096 2 9000": "broken", "1000000 4096 30 9000": "risk", "nonsense": "",
	} {
		if h, _ := roomy("/srv", space); h.record != want {
			t.Errorf("%s: %v, want %q", space, h, want)
		}
	}
}
