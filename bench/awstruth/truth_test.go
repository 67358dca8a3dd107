package main

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/astern-dev/astern/bench/verdict"
	"github.com/astern-dev/astern/internal/proof"
)

// TestTruth breaks components of AWS kinds in the lab, and holds astern to what it said of their targets.
func TestTruth(t *testing.T) {
	if _, err := exec.LookPath("moto_server"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("there is no moto_server")
	}
	first, count := proof.Seeds(t, 6)
	for _, name := range append([]string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"}, outside...) {
		t.Setenv(name, "") // so that what it was comes back afterwards
	}
	all, err := outcomes(t.Context(), t.TempDir(), first, count, int(min(count, 16)), nil)
	if err != nil {
		t.Fatal(err)
	}
	verdict.Hold(t, all, nil, count)
}

// TestCatalogue holds the catalogue to its size and to rows that can be told apart.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	different := map[string]bool{}
	for _, k := range kinds() {
		seen := map[string]bool{}
		for _, r := range k.rows {
			if seen[r.name] || r.name == "" || r.do == nil {
				t.Errorf("row %q of %s stands twice or does nothing", r.name, k.name)
			}
			seen[r.name], different[r.name] = true, true
			for _, s := range r.shapes {
				if !slices.Contains(k.shapes, s) {
					t.Errorf("row %q of %s is for the shape %q, which the kind does not have", r.name, k.name, s)
				}
			}
		}
	}
	if len(different) < 25 {
		t.Errorf("%d rows are fewer than 25", len(different))
	}
}
