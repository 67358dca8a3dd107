package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern/internal/config"
)

// TestPolicy reads every key of a policy, and compares what comes of it.
func TestPolicy(t *testing.T) {
	src, err := os.ReadFile("testdata/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	system, err := config.Judge(testSchema(t))("policy.yaml", src, "/srv/shop", testDrivers())
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(system.Environments[0].Policy, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/policy.json", append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/policy.json")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(bytes.TrimSpace(want)), string(got)); d != "" {
		t.Errorf("(-want +got; -update writes it)\n%s", d)
	}
}
