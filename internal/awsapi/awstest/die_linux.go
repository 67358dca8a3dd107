package awstest

import (
	"os/exec"
	"syscall"
)

// dieWithUs ends the child when the tests are killed.
func dieWithUs(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
