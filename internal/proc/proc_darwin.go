package proc

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// zombie is SZOMB of <sys/proc.h>: ended, and waiting to be collected by its parent.
const zombie = 5

// inspect returns when the process started, in seconds and microseconds, and whether it has ended and is only waiting to
// be collected. ok is false when the kernel does not tell.
func inspect(pid int) (start string, ended, ok bool) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(info.Proc.P_pid) != pid {
		return "", false, false
	}
	began := info.Proc.P_starttime
	return strconv.FormatInt(began.Sec, 10) + "." + strconv.FormatInt(int64(began.Usec), 10), info.Proc.P_stat == zombie, true
}

// boot returns the kernel's random id of this boot. kern.boottime would not do: it moves when the clock is set.
func boot() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
