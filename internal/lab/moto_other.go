//go:build !linux

package lab

import "os/exec"

// bound makes a command that ends when we end.
func bound(program string, args ...string) *exec.Cmd { return leashed(program, args...) }
