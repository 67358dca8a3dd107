package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/astern-dev/astern/internal/proof"
)

// A program that notes when it looked at what runs, and when it changed that.
const notingSystem = `version: 1
system: noting
environments: {test: {components: {app: {kind: jsonexec, with: {command: [./switch]}}}}}
`

const notingProgram = `#!/bin/sh
request=$(cat)
case $request in
*'"call":"observe"'*)
	echo "looked $(date +%s%N)" >>times
	printf '{"astern":1,"ok":{"revision":"%s","revisions":{"v1":{"hash":"one"},"v2":{"hash":"two"}}}}\n' "$(cat live)"
	;;
*'"call":"start"'*)
	echo "changed $(date +%s%N)" >>times
	printf '%s\n' "$request" | sed 's/.*"args":{"revision":"\(v[0-9]\)".*/\1/' >live
	echo '{"astern":1,"ok":{"status":"done"}}'
	;;
*'"call":"find"'*) echo '{"astern":1,"ok":{"answer":"unknown"}}' ;;
esac
`

// TestProgramWindowIsMeasured measures how long after it was last asked what runs a program of jsonexec changes that, by its own
// record: meanwhile astern compares, writes the intent, syncs it and starts the program, whose start counts as well.
func TestProgramWindowIsMeasured(t *testing.T) {
	_, count := proof.Seeds(t, 2)
	c := contest{TB: t, folder: t.TempDir()}
	c.write("astern.yaml", notingSystem, 0o600)
	c.write("switch", notingProgram, 0o755)
	c.write("live", "v2\n", 0o600)
	for _, v := range []string{"v1", "v2"} {
		c.must(0, "one", "record", "deploy", "app", v, "--reason", "test")
		c.must(0, "one", "record", "known-good", "app", v, "--reason", "test")
	}
	figures := map[string]float64{"programs_measured": 0}
	for n := range count {
		to := fmt.Sprint("v", 1+n%2)
		c.write("times", "", 0o600)
		c.must(0, "one", "rollback", "app", "--to", to, "--watch", "0s", "--reason", "test", "--yes")
		c.run("one", "latch", "release", "app", fmt.Sprint("v", 2-n%2), "--reason", "test") // what is left behind may be gone back to
		live, err := os.ReadFile(filepath.Join(c.folder, "live"))
		if err != nil || strings.TrimSpace(string(live)) != to {
			t.Fatalf("%s runs: %v", live, err)
		}
		times, err := os.ReadFile(filepath.Join(c.folder, "times"))
		if err != nil {
			t.Fatal(err)
		}
		before, after, changed := strings.Cut(string(times), "changed ")
		looked := strings.Fields(before)
		if !changed || len(looked) == 0 {
			t.Fatalf("the program noted %q", times)
		}
		from, err1 := strconv.ParseInt(looked[len(looked)-1], 10, 64)
		until, err2 := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
		if err1 != nil || err2 != nil || until < from {
			t.Fatalf("the program noted %q", times)
		}
		figures["max_window_ms_set"] = max(figures["max_window_ms_set"], float64(until-from)/1e6)
		figures["programs_measured"]++
	}
	proof.Figures(t, figures)
}
