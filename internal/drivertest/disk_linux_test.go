package drivertest

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestOwnMountsRefused asks for mounts as a login to which its system gives none. Under CI=true that must be no silent skip.
func TestOwnMountsRefused(t *testing.T) {
	const inside, limit = "ASTERN_TEST_REFUSED", "/proc/sys/user/max_user_namespaces"
	if os.Getenv(inside) == "true" {
		if err := os.WriteFile(limit, []byte("0"), 0); err != nil { // in this namespace alone
			t.Fatal(err)
		}
		if OwnMounts(t) {
			t.Error("it has mounts of its own")
		}
		return
	}
	if !OwnMounts(t) { // where nobody gives this test a namespace, it can't refuse others
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for ci, ends := range map[string]string{"true": "--- FAIL: TestOwnMountsRefused", "": "--- SKIP: TestOwnMountsRefused"} {
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestOwnMountsRefused$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=true", mountsVariable+"=", "CI="+ci)
		const someone, mayLimit = 1000, 24 // CAP_SYS_RESOURCE
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, AmbientCaps: []uintptr{mayLimit},
			UidMappings: []syscall.SysProcIDMap{{ContainerID: someone, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: someone, HostID: os.Getgid(), Size: 1}}}
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState == nil {
			t.Skipf("this system gives root mounts and no namespace of users, in which none could be refused: %v", err)
		}
		if !strings.Contains(string(out), ends) || !strings.Contains(string(out), "this login may not mount disks of its own") {
			t.Errorf("with CI=%s: %s", ci, out)
		}
	}
}
