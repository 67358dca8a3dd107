package lab

import (
	"os/exec"
	"syscall"
)

// bound makes a command that the kernel ends when we end.
//
// https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
func bound(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}
