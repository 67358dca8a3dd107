// Package version tells which astern this is, and tells it before the rest of the program is made ready.
package version

import (
	"os"
	"runtime"
	"syscall"
)

// Astern is the version of this build; the linker sets it.
var Astern = "dev"

// Text is the line that `astern version` prints.
func Text() string {
	return "astern " + Astern + " (" + runtime.Version() + ", " + Platform + ")"
}

// Platform is the system and the processor that this build is for, as linux/amd64.
const Platform = runtime.GOOS + "/" + runtime.GOARCH

// flags is how variables begin that stand for flags.
const flags = "ASTERN_"

// Go makes the variables of packages in the order of their import paths, what a package needs before its own. This one
// needs os alone and stands before the SDKs, which take longer to start than all the rest of the program, for
// nothing where only this is asked (docs/decisions/0025). TestVersionFirst looks that it stays before them.
var _ = answered(os.Args, os.Environ(), toStdout, os.Exit)

// toStdout writes past os.File, which ends a program whose reader is gone by a signal: main has not said yet that it wants none.
func toStdout(p []byte) (int, error) { return syscall.Write(syscall.Stdout, p) }

// answered ends the program if its arguments ask for the version and nothing says how. Where that can't be written, the
// command itself says so, as any does.
func answered(args, env []string, write func(p []byte) (int, error), exit func(code int)) bool {
	if len(args) != 2 || args[1] != "version" {
		return false
	}
	for _, v := range env {
		if len(v) >= len(flags) && v[:len(flags)] == flags { // package strings would be waited for
			return false
		}
	}
	if _, err := write([]byte(Text() + "\n")); err != nil {
		return false
	}
	exit(0)
	return true
}
