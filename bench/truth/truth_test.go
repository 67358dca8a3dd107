package main

import (
	"os"
	"testing"

	"github.com/astern-dev/astern/bench/verdict"
	"github.com/astern-dev/astern/internal/proof"
)

// TestMain lets the test binary be its own children: the service, and who makes the trials.
func TestMain(m *testing.M) {
	if code, ours := child(os.Args); ours {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// TestTruth breaks real services, and holds astern to what it said of their targets.
func TestTruth(t *testing.T) {
	t.Parallel()
	first, count := proof.Seeds(t, 16)
	folder, err := os.MkdirTemp("", "astern-truth-") // nobody else may enter that of a test, and somebody else makes the trials
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	o, err := outcomes(t.Context(), folder, first, count)
	if err != nil {
		t.Fatal(err)
	}
	verdict.Hold(t, o.Tried, o.Untried, count)
}

// TestCatalogue holds the catalogue to its size and to rows that can be told apart.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range catalogue {
		if seen[r.name] || r.name == "" || r.do == nil {
			t.Errorf("row %q stands twice or does nothing", r.name)
		}
		seen[r.name] = true
	}
	if len(catalogue) < 20 {
		t.Errorf("%d rows are fewer than 20", len(catalogue))
	}
}
