// Package proc identifies processes of this machine so that a later process can tell whether one still lives, although
// process ids are used again and machines restart. It also says when this one collects its garbage.
package proc

import (
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"github.com/astern-dev/astern"
)

// Self returns the identity of the calling process. What the machine does not tell stays empty. Boot names the boot of
// the machine and, where there are such, the process-id namespace ("BOOT/NAMESPACE"): in another one, a container's,
// the same number is another process.
func Self() astern.Runner {
	host, _ := os.Hostname() // "" never equals another host: see Alive
	pid := os.Getpid()
	start, _, _ := inspect(pid)
	return astern.Runner{Host: host, PID: pid, Start: start, Boot: boot(), User: login()}
}

// Of returns the identity of a process of this machine, as Self does of ours. Start is empty when there is none such.
func Of(pid int) astern.Runner {
	r := Self()
	r.PID = pid
	r.Start, _, _ = inspect(pid)
	return r
}

func login() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// Alive reports whether the process may still live. It answers false only when it is certain that it does not: it was
// on this machine, and the machine has restarted since, or its id is free, or names a process that started at another
// time, or one that has ended and waits for its parent. Of another machine or container it can't tell, so true.
func Alive(r astern.Runner) bool {
	host, _ := os.Hostname()
	return alive(r, host, boot())
}

// alive is Alive on a machine with that name and boot.
func alive(r astern.Runner, host, boot string) bool {
	if r.Boot == "" || r.Boot != boot { // a boot with its namespace is unique in the world: then names don't matter
		if r.Host == "" || r.Host != host {
			return true
		}
		theirs, theirSpace, _ := strings.Cut(r.Boot, "/")
		ours, ourSpace, _ := strings.Cut(boot, "/")
		if theirs != "" && ours != "" && theirs != ours {
			return false
		}
		if theirSpace != ourSpace {
			return true
		}
	}
	if r.PID <= 0 {
		return true // names a group or nothing; no answer about it means anything
	}
	if err := syscall.Kill(r.PID, 0); err == syscall.ESRCH {
		return false
	}
	start, ended, ok := inspect(r.PID)
	if !ok {
		// Another user's process may be hidden from us, and it may have ended since; only the second is certain.
		return syscall.Kill(r.PID, 0) != syscall.ESRCH
	}
	return !ended && (r.Start == "" || start == "" || r.Start == start)
}
