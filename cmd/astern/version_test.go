package main

import (
	"os/exec"
	"strings"
	"testing"
)

// What is answered before the SDKs are made ready is told by Go itself, which traces what each package does when the program starts.
func TestVersionFirst(t *testing.T) {
	started := func(args ...string) (out, packages string) {
		cmd := exec.CommandContext(t.Context(), "astern", args...)
		var trace strings.Builder
		cmd.Env, cmd.Stderr = append(cmd.Environ(), "GODEBUG=inittrace=1"), &trace
		text, err := cmd.Output()
		if err != nil {
			t.Fatalf("astern %v: %v: %.300s", args, err, trace.String())
		}
		return string(text), trace.String()
	}
	const sdk = "/internal/endpoints @" // each service of the SDK has one, with its patterns
	early, before := started("version")
	late, all := started("version", "-o", "table")
	if !strings.Contains(before, "init os ") || !strings.Contains(all, sdk) {
		t.Fatalf("these are no traces of what is made ready:\n%s\n%s", before, all)
	}
	if strings.Contains(before, sdk) || 4*strings.Count(before, "\n") > strings.Count(all, "\n") {
		t.Errorf("before the version was told these were made ready:\n%s", before)
	}
	if early != late || !strings.HasPrefix(early, "astern dev (go1.") {
		t.Errorf("%q, and by the command itself %q", early, late)
	}
}
