package proc

import (
	"os"
	"strconv"
	"strings"
)

// inspect returns when the process started, in clock ticks since boot, and whether it has ended and is only waiting to
// be collected. ok is false when /proc does not tell.
func inspect(pid int) (start string, ended, ok bool) {
	// Where /proc shows another namespace than ours, its numbers are not our processes.
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return "", false, false
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", false, false
	}
	return parseStat(string(b))
}

// parseStat reads proc_pid_stat(5). Field 2 is the command in parentheses and may itself hold spaces and parentheses.
func parseStat(stat string) (start string, ended, ok bool) {
	after := strings.LastIndexByte(stat, ')')
	if after < 0 {
		return "", false, false
	}
	fields := strings.Fields(stat[after+1:]) // the first is field 3, the state; field 22 is the start time
	if len(fields) < 20 {
		return "", false, false
	}
	// A process whose first thread has ended lives, and keeps its files and ports, until the last one has; field 20 counts them.
	state, threads := fields[0], fields[17]
	return fields[19], state == "X" || state == "x" || state == "Z" && (threads == "0" || threads == "1"), true
}

// boot returns the kernel's random id of this boot and the number of our process-id namespace, joined by "/"; "" when
// the first can't be read.
func boot() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	id := strings.TrimSpace(string(b))
	if err != nil || id == "" {
		return ""
	}
	space, err := os.Readlink("/proc/self/ns/pid") // pid:[4026531836]
	if err != nil {
		return id
	}
	return id + "/" + strings.Trim(strings.TrimPrefix(space, "pid:"), "[]")
}
