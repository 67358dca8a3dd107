package drivertest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// mountsVariable names the test that a process was started for by OwnMounts.
const mountsVariable = "ASTERN_TEST_MOUNTS"

// OwnMounts runs the test once more, alone, in a process that may mount disks and whose mounts end with it, and reports whether
// this is that process. Where the system refuses mounts of one's own the test is skipped, and fails when CI is "true", unless its kernel
// has none.
func OwnMounts(t *testing.T) bool {
	t.Helper()
	if os.Getenv(mountsVariable) == t.Name() {
		mayMount(t)
		return true
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	timeout := time.Duration(0)
	if end, ok := t.Deadline(); ok {
		timeout = time.Until(end)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v", "-test.timeout="+timeout.String())
	cmd.Env = append(os.Environ(), mountsVariable+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setpgid: true}
	if os.Getuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, Setpgid: true,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	none := err != nil && !errors.As(err, &ended) || ended != nil && ended.ExitCode() == exitNoMounts
	switch {
	case none && os.Getenv("CI") == "true" && kernelHasNamespaces():
		t.Fatalf("CI=true, and this login may not mount disks of its own, as scripts/need.sh says: %v\n%s", err, out)
	case none:
		t.Skipf("this login may not mount disks of its own: %v\n%s", err, out)
	case err != nil:
		t.Errorf("with mounts of its own: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name())):
		t.Skipf("skipped with mounts of its own:\n%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")):
		t.Errorf("it did not run with mounts of its own:\n%s", out)
	default:
		t.Logf("with mounts of its own:\n%s", out)
	}
	return false
}

// kernelHasNamespaces reports whether the kernel knows user namespaces, whoever may have them. For root it is enough to have mounts of its
// own, which every kernel knows.
func kernelHasNamespaces() bool {
	_, err := os.Stat("/proc/self/ns/user")
	return err == nil || os.Getuid() == 0
}

// exitNoMounts is how a process ends that was given mounts of its own and may mount nothing.
const exitNoMounts = 77

// mayMount mounts a disk on trial: AppArmor can let everybody have mounts of his own, and refuse each of them.
func mayMount(t *testing.T) {
	t.Helper()
	at, err := os.MkdirTemp("", "astern-mount-")
	if err != nil {
		t.Fatal(err)
	}
	err = syscall.Mount("tmpfs", at, "tmpfs", 0, "size=64k")
	refused := errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES)
	if err == nil {
		err = syscall.Unmount(at, 0)
	}
	if err := errors.Join(err, os.Remove(at)); refused {
		fmt.Println("mounting on trial:", err)
		os.Exit(exitNoMounts)
	} else if err != nil {
		t.Fatalf("mounting on trial: %v", err)
	}
}

// Disk is a small disk that can be full to the page and to the file, for tests in which OwnMounts is true.
type Disk struct {
	testing.TB
	at string
}

// Usage is how much of a disk is taken, or left: pages of content, and files, folders and links.
type Usage struct{ Pages, Files int64 }

// room is what a disk has while nothing is to be full.
var room = Usage{Pages: 8 << 10, Files: 8 << 10}

// NewDisk moves what is in the folder to a disk of its own, which is mounted there.
func NewDisk(t testing.TB, at string) Disk {
	t.Helper()
	aside := filepath.Join(t.TempDir(), "aside")
	d := Disk{TB: t, at: at}
	d.must("keeping what is there", os.CopyFS(aside, os.DirFS(at)))
	d.must("mounting", syscall.Mount("tmpfs", at, "tmpfs", 0, d.options(room)))
	t.Cleanup(func() { d.must("unmounting", syscall.Unmount(at, syscall.MNT_DETACH)) })
	d.must("filling", os.CopyFS(at, os.DirFS(aside)))
	return d
}

func (d Disk) must(doing string, err error) {
	d.Helper()
	if err != nil {
		d.Fatalf("%s %s: %v", doing, d.at, err)
	}
}

func (d Disk) options(size Usage) string {
	return fmt.Sprintf("size=%d,nr_inodes=%d,mode=755", size.Pages*int64(os.Getpagesize()), size.Files)
}

// Used returns what is taken.
func (d Disk) Used() Usage {
	d.Helper()
	var s syscall.Statfs_t
	d.must("asking", syscall.Statfs(d.at, &s))
	return Usage{Pages: int64(s.Blocks - s.Bfree), Files: int64(s.Files - s.Ffree)}
}

// Leave makes the disk one that has exactly that much left; less than nothing leaves plenty.
func (d Disk) Leave(left Usage) {
	d.Helper()
	used := d.Used()
	size := room
	if left.Pages >= 0 {
		size.Pages = used.Pages + left.Pages
	}
	if left.Files >= 0 {
		size.Files = used.Files + left.Files
	}
	d.must("resizing", syscall.Mount("tmpfs", d.at, "tmpfs", syscall.MS_REMOUNT, d.options(size)))
	is := d.Used()
	if is != used {
		d.Fatalf("resizing %s: %+v became %+v", d.at, used, is)
	}
}

// Plenty leaves plenty.
var Plenty = Usage{Pages: -1, Files: -1}

// And adds up.
func (u Usage) And(more Usage) Usage {
	return Usage{Pages: u.Pages + more.Pages, Files: u.Files + more.Files}
}
