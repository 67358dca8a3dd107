package hostservice

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern/internal/host"
)

// TestProcessHere looks for processes by the script and without it: the answers are the same, word for word.
func TestProcessHere(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the script is asked")
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	self, ended := os.Getpid(), zombie.Process.Pid
	for awaited := ""; awaited != "Z"; {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", ended))
		if err != nil {
			t.Fatal(err)
		}
		awaited = strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))[0]
	}
	status := func(script string, args ...string) way {
		return way{status: append([]string{"sh", "-c", script, "status"}, args...), dir: dir, env: map[string]string{"X": "a b", "LC_ALL": "de_DE"}}
	}
	line := regexp.MustCompile(`(ended with 12[67]: astern: )\d+: `) // of the script, in which the shell does not find a command
	native := 0
	for name, w := range map[string]way{
		"runs":            status(fmt.Sprintf("echo it runs: %d", self)),
		"first word":      status(fmt.Sprintf("echo x1 %d 1", self)),
		"on stderr":       status(fmt.Sprintf("echo %d >&2", self)),
		"zero bytes":      status(fmt.Sprintf(`printf '%d\000\n'`, self)),
		"none":            status("echo 99999999"),
		"leading zeros":   status("echo 0001"),
		"ended":           status(fmt.Sprintf("echo %d", ended)),
		"no id":           status("echo running"),
		"silent":          status("true"),
		"stopped":         status("echo 1; exit 3"),
		"fails":           status("echo one; echo two >&2; exit 5"),
		"fails silently":  status("exit 1"),
		"fails long":      status("head -c 5000 /dev/zero | tr '\\000' x; exit 1"),
		"killed":          status("kill -9 $$"),
		"environment":     status(`echo "$X $LC_ALL"; pwd; exit 9`),
		"arguments":       status(`echo "$1|$2|$#"; exit 9`, "a b", "$(id)"),
		"no terminal":     status("cat; exit 9"),
		"loud":            status("head -c 70000 /dev/zero | tr '\\000' x"),
		"not there":       {status: []string{filepath.Join(dir, "nothing")}, dir: dir},
		"no program":      {status: []string{write("plain", "x")}, dir: dir},
		"pid":             {pidFile: write("pid", fmt.Sprintf("%d\n", self))},
		"pid with spaces": {pidFile: write("spaces", fmt.Sprintf("  %d \r\nmore\n", self))},
		"pid ended":       {pidFile: write("ended", fmt.Sprint(ended))},
		"pid none":        {pidFile: write("gone", "99999999")},
		"pid no number":   {pidFile: write("word", "abc\n")},
		"pid empty":       {pidFile: write("empty", "")},
		"pid missing":     {pidFile: filepath.Join(dir, "missing")},
		"pid folder":      {pidFile: dir},
		"no way":          {},
	} {
		t.Run(name, func(t *testing.T) {
			want := processThere(t.Context(), host.Here(), w)
			want.why = line.ReplaceAllString(want.why, "$1")
			got := processOf(t.Context(), host.Here(), w)
			got.why = line.ReplaceAllString(got.why, "$1")
			if between := got.started.Sub(want.started).Abs(); between > time.Second || got.started.IsZero() != want.started.IsZero() {
				t.Errorf("started at %s, and the script says %s", got.started, want.started)
			}
			got.started = want.started
			if got != want {
				t.Errorf("it says\n%+v\nand the script\n%+v", got, want)
			}
			if _, ok := processHere(t.Context(), host.Here(), w); ok {
				native++
			}
		})
	}
	if native < 20 {
		t.Errorf("only %d were answered without the script", native)
	}
}
