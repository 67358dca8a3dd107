package main

import (
	"os"
	"testing"

	"github.com/astern-dev/astern"
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
	for _, row := range o.Untried {
		t.Logf("not possible here: %s", row)
	}
	table := tabulate(o.Tried)
	t.Logf("\n%s", table)
	proof.Figures(t, table.figures())
	for _, w := range table.wrong() {
		t.Error(w)
	}
	if table.trials != int(count) {
		t.Errorf("%d of %d trials were made", table.trials, count)
	}
}

// TestTable holds the judge to what the goals say.
func TestTable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		one  tried
		want int
	}{
		"ready that fails, and could have been seen": {tried{Said: astern.Ready, Rows: []string{"x"}, Seeable: true}, 1},
		"ready that fails, and could not":            {tried{Said: astern.Ready, Rows: []string{"x"}}, 0},
		"ready that fails without any damage":        {tried{Said: astern.Ready, Proven: true}, 1},
		"ready that works":                           {tried{Said: astern.Ready, Proven: true, Works: true}, 0},
		"broken that works":                          {tried{Said: astern.Broken, Rows: []string{"x"}, Works: true}, 1},
		"broken that fails":                          {tried{Said: astern.Broken, Rows: []string{"x"}}, 0},
		"unknown wins nothing":                       {tried{Said: astern.ReadyUnknown, Proven: true, Works: true}, 1},
		"at risk though unbroken":                    {tried{Said: astern.AtRisk, Proven: true, Works: true}, 1},
		"at risk, and never proven":                  {tried{Said: astern.AtRisk, Works: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if wrong := tabulate([]tried{test.one}).wrong(); len(wrong) != test.want {
				t.Errorf("%v, want %d", wrong, test.want)
			}
		})
	}
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
