package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every command has its page, with the exit codes, and every shell its completions.
func TestPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	if err := write(dir, "v1"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"astern.1", "astern-rollback.1", "astern-plan-rollback.1", "astern-latch-release.1", "_astern", "astern.bash", "astern.fish"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		if strings.HasSuffix(name, ".1") && !strings.Contains(string(text), "130  interrupted") {
			t.Errorf("%s names no exit codes", name)
		}
	}
}
