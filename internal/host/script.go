package host

import (
	_ "embed"
	"io/fs"
	"strings"
)

//go:embed scripts/lib.sh
var library string

// Exit codes that the fixed scripts of all drivers share. A driver's own scripts have others between 80 and 99; every
// other one but 0 is a fault.
const (
	ExitNoLock  = 80 // neither flock nor perl
	ExitFence   = 81 // a newer fence was here
	ExitChanged = 82 // the world is not as expected
	ExitBusy    = 83 // the lock is held
	ExitMissing = 84 // the folder does not exist
	ExitNoWrite = 86 // nothing could be written; nothing was done
	ExitHalf    = 87 // the last part failed; nothing is left of it
	exitClaimed = 89 // an execution that has not ended is there
	ExitOutside = 90 // a path leads elsewhere
	ExitNotOurs = 91 // the lock file belongs to another login
)

// Script returns the command that runs a fixed script of a driver, scripts/NAME.sh of its files, after what all scripts
// share (lib.sh). Every argument stays one word, and none is read by a shell.
func Script(files fs.FS, name string, args ...string) Command {
	text, err := fs.ReadFile(files, "scripts/"+name+".sh")
	if err != nil {
		panic(err) // the scripts are part of the program
	}
	var all strings.Builder
	all.WriteString(library)
	all.Write(text)
	return Command{Argv: append([]string{"sh", "-c", all.String(), "astern"}, args...)}
}
