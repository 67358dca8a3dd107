package demo

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// running is a process that carries the demo's mark.
type running struct {
	pid     int
	command string
}

// marked returns the processes that inherited the mark of this work folder, where the system lets one look (/proc);
// elsewhere none. Processes that have ended and were not collected yet do not count.
func marked(folder string) []running {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil
	}
	var out []running
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+marker+"="+folder+"\x00")) {
			continue // somebody else's, or already gone
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err != nil || len(line) == 0 {
			continue
		}
		out = append(out, running{pid, strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))})
	}
	return out
}

// leftOver returns what runs besides the shop's instances, the balancer and the astern that watches, "" when nothing does.
func (s *shop) leftOver() string {
	known := map[int]bool{s.front.Process.Pid: true, s.watch: true}
	for _, v := range s.site.Services {
		for _, in := range v.Instances {
			if pid := pidOf(filepath.Join(v.Root, "run", in.Name+".pid")); pid != 0 {
				known[pid] = true
			}
		}
	}
	return list(slices.DeleteFunc(marked(s.folder), func(p running) bool { return known[p.pid] }))
}

// list names processes, "" when there are none.
func list(all []running) string {
	var out []string
	for _, p := range all {
		out = append(out, fmt.Sprintf("%d %s", p.pid, p.command))
	}
	return strings.Join(out, "; ")
}

// pidOf reads a pid file; 0 when there is none.
func pidOf(file string) int {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}
