package hostservice

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/secret"
)

// A process of this machine is looked for very often: at each observation, before each step, and while a restart is waited
// for. process.sh needs half a dozen programs for it, this needs the status command alone. Both give the same answers.

// mostStatus is how much a status command may print.
const mostStatus = 65000

// notRun is the exit code from which on a shell says that a command was not found, not run, or ended by a signal.
const notRun = 126

// processHere is what process.sh does, on the machine that astern runs on. It reports false where only the script can tell.
func processHere(ctx context.Context, m host.Machine, w way) (process, bool) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return process{}, false
	}
	switch {
	case w.unit != "":
		return process{}, false
	case w.status != nil:
		return statusHere(ctx, m, w)
	case w.pidFile != "":
		return pidFileHere(w.pidFile)
	}
	return process{}, false
}

// statusHere runs the status command.
func statusHere(ctx context.Context, m host.Machine, w way) (process, bool) {
	env := maps.Clone(w.env)
	if env == nil {
		env = map[string]string{}
	}
	env["LC_ALL"] = "C"
	r, err := m.Run(ctx, host.Command{Argv: w.status, Dir: w.dir, Env: env, Joined: true, Timeout: readTimeout, Keep: 2 * mostStatus})
	if code := astern.CodeOf(err); code == astern.NotFound || code == astern.Denied || r.ExitCode >= notRun {
		return process{}, false // a shell says it in the words that people know
	}
	if err != nil {
		return process{unknown: true, why: oneLine(err.Error())}, true
	}
	said := strings.ReplaceAll(r.Stdout, "\x00", "")
	switch {
	case r.Truncated || len(said) > mostStatus:
		return process{unknown: true, why: "the status command printed more than 64 kB"}, true
	case r.ExitCode == 3:
		return process{why: "the status command says so"}, true
	case r.ExitCode != 0:
		last := strings.TrimRight(said, "\n")
		last = secret.Mask(last[strings.LastIndexByte(last, '\n')+1:])
		return process{unknown: true, why: oneLine(fmt.Sprintf("the status command ended with %d: %s", r.ExitCode, last[max(0, len(last)-1000):]))}, true
	}
	for _, word := range strings.FieldsFunc(said, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }) {
		if digits(word) {
			return identityHere(word)
		}
	}
	return process{unknown: true, why: "the status command printed no process id: let it print that and nothing else, and exit 3 when stopped"}, true
}

// pidFileHere reads the first line of the file. Whatever is no plain, short file is left to the script.
func pidFileHere(file string) (process, bool) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return process{why: oneLine("no pid file " + file)}, true
	case !info.Mode().IsRegular() || info.Size() > 4096:
		return process{}, false
	}
	text, err := os.ReadFile(file)
	line, _, _ := strings.Cut(string(text), "\n")
	pid := strings.Join(strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\v\f", r) }), "")
	if err != nil || !digits(pid) {
		return process{}, false
	}
	return identityHere(pid)
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// identityHere returns the identity of a process: PID:START:BOOT.
func identityHere(pid string) (process, bool) {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return process{why: "no process " + pid}, true
	}
	// The name of the program, in brackets, may hold anything; what follows its last bracket does not.
	fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ") ")+1:]))
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(fields) < 20 {
		return process{}, false
	}
	if state := fields[0]; state == "X" || state == "x" || state == "Z" && (fields[17] == "0" || fields[17] == "1") { // as in process.sh
		return process{why: "process " + pid + " has ended"}, true
	}
	p := process{identity: pid + ":" + fields[19] + ":" + strings.TrimSpace(string(boot))}
	// Of another login's process the system does not show these: they are then left out.
	p.exe, _ = os.Readlink("/proc/" + pid + "/exe")
	p.cwd, _ = os.Readlink("/proc/" + pid + "/cwd")
	if text, err := os.ReadFile("/proc/uptime"); err == nil {
		up, _, _ := strings.Cut(string(text), " ")
		p.started = startedAt(fields[19], up, time.Now())
	}
	return p, true
}
