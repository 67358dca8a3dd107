//go:build unix

package host

import (
	"os"
	"strconv"
	"syscall"
)

// KeepFiles keeps files that astern inherited open from being inherited by what it starts: a daemon would hold a lock or
// a pipe of whoever called astern for as long as it lives. Standard input and outputs are not among them. Call it once,
// before anything is started.
func KeepFiles() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return // without such a folder there is no list of them
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}
