package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// TestFullDisk lets no file grow beyond a limit, which the journal meets at one write or another. What the journal could
// not hold must not have happened in the world, and with room again the execution comes to its end.
func TestFullDisk(t *testing.T) {
	met := 0
	for kilobytes := 60; kilobytes <= 300; kilobytes += 60 {
		t.Run(fmt.Sprintf("%d KB", kilobytes), func(t *testing.T) {
			w := newWorld(t)
			code, out := w.limited(kilobytes)
			if code == 0 {
				return // the limit was not met
			}
			met++
			if !strings.Contains(out, "space") {
				t.Errorf("the error does not say what to look for: %s", out)
			}
			w.judgeIntents()
			if code, out := w.run(""); code != 0 {
				t.Fatalf("with room again: exit %d: %s", code, out)
			}
			if e := w.end(); e.Outcome != astern.OutcomeDone || len(e.Restarts) != 3 || len(e.Swaps) != 3 {
				t.Errorf("the end is %+v", e)
			}
		})
	}
	if met == 0 {
		t.Error("no limit was met: the test proves nothing")
	}
}

// limited runs the process with a limit on the size of files.
func (w world) limited(kilobytes int) (code int, out string) {
	cmd := exec.Command("sh", "-c", fmt.Sprintf("ulimit -f %d; exec \"$0\"", kilobytes*2), os.Args[0]) // in blocks of 512 bytes
	cmd.Env = append(os.Environ(), killWorld+"="+w.folder, killAt+"=", noRaceSleep)
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// judgeIntents checks that every restart in the world has its intent in the journal.
func (w world) judgeIntents() {
	w.t.Helper()
	ctx := w.t.Context()
	store, err := sqlite.OpenReadOnly(ctx, filepath.Join(w.folder, ".astern"))
	w.must(err)
	defer store.Close()
	all, err := store.Executions(ctx, 0, false)
	w.must(err)
	tokens := map[string]bool{}
	for _, e := range all {
		records, err := store.Read(ctx, e.ID, 0)
		w.must(err)
		for _, r := range records {
			if r.Kind == astern.RecordIntent {
				tokens[r.Call.Token] = true
			}
		}
	}
	b, err := os.ReadFile(filepath.Join(w.folder, "root", "restarts"))
	if os.IsNotExist(err) {
		return
	}
	w.must(err)
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if _, token, _ := strings.Cut(line, " "); !tokens[token] {
			w.t.Errorf("%q happened, and the journal has no intent for it", line)
		}
	}
}
