package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/astern-dev/astern/internal/proof"
)

// mostOfMany is what a command may take of memory for ten thousand components, in bytes.
const mostOfMany = 512 << 20 * detectorFactor

// TestTenThousandComponents asks about and plans for a system of ten thousand components, of which one was deployed twice: every
// command answers in bounded memory and time, says what counts, and is not drowned by the others.
func TestTenThousandComponents(t *testing.T) {
	const components = 10_000
	folder := t.TempDir()
	var system strings.Builder
	system.WriteString("version: 1\nsystem: many\nenvironments:\n  production:\n    components:\n")
	for n := range components {
		fmt.Fprintf(&system, "      c%d:\n        kind: host.service\n        with:\n          root: roots/c%d\n"+
			"          instances: [{name: one}]\n          pid_file: run.pid\n          commands: {start: [\"true\"], stop: [\"true\"]}\n", n, n)
	}
	root := filepath.Join(folder, "roots", "c77")
	for _, release := range []string{"v1", "v2"} {
		if err := os.MkdirAll(filepath.Join(root, "releases", release), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "releases", release, "run"), []byte(release), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("releases/v2", filepath.Join(root, "current")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "astern.yaml"), []byte(system.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	figures := map[string]float64{}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{0, "components: 10000", []string{"validate"}},
		{0, "v1", []string{"record", "deploy", "c77", "v1"}},
		{0, "v1", []string{"record", "known-good", "c77", "v1", "--reason", "it was watched"}},
		{0, "v2", []string{"record", "deploy", "c77", "v2"}},
		{0, "production/c77", []string{"targets", "c77"}},
		{0, "c9999", []string{"status"}},
		{4, "10 000 components", []string{"check"}},
		{0, "to v1", []string{"plan", "rollback", "c77"}},
	} {
		code, says, memory, took := bounded(t, folder, c.args...)
		if code != c.code || !strings.Contains(says, c.want) {
			t.Errorf("%q: exit code %d, want %d, and %q: …%.3000s", c.args, code, c.code, c.want, says[max(0, len(says)-3000):])
		}
		if memory > mostOfMany {
			t.Errorf("%q took %.0f MB", c.args, megabytes(memory))
		}
		figures["max_megabytes"] = max(figures["max_megabytes"], megabytes(memory))
		figures["max_seconds"] = max(figures["max_seconds"], took.Seconds())
	}
	proof.Figures(t, figures)
}
