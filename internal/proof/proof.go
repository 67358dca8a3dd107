// Package proof deals a large number of random trials out to tests: a plain `go test` makes a small share of them, and
// `make proof` (folder proof) makes all, a chunk a time, so that it can be interrupted and go on.
package proof

import (
	"encoding/json"
	"flag"
	"os"
	"strconv"
	"testing"
)

// What the runner tells a test: the first seed, how many, how many all chunks make together, and the file to which figures are
// appended, one line of JSON each.
const (
	FirstVariable   = "ASTERN_PROOF_FIRST"
	CountVariable   = "ASTERN_PROOF_COUNT"
	TrialsVariable  = "ASTERN_PROOF_TRIALS"
	FiguresVariable = "ASTERN_PROOF_FIGURES"
)

// Seeds returns the first seed of this run's trials and how many there are: share of them from 0, unless the runner, or a
// person who repeats one failure, asks for others. Every trial must follow from its seed alone, as far as the operating
// system lets it.
func Seeds(t testing.TB, share uint64) (first, count uint64) {
	t.Helper()
	return variable(t, FirstVariable, 0), variable(t, CountVariable, share)
}

// Again returns the seeds that once showed something wrong, and then those that this process is to try: count beginning at first, by
// default those of the share. Where others than the share are asked for, it is those alone.
func Again(t testing.TB, share uint64, once ...uint64) (seeds []uint64) {
	t.Helper()
	first, count := Seeds(t, share)
	if os.Getenv(FirstVariable) == "" {
		seeds = append(seeds, once...)
	}
	for n := range count {
		seeds = append(seeds, first+n)
	}
	return seeds
}

// Covers fails where the proof claims to try each of so many cases, one by each seed, and makes fewer trials than that.
func Covers(t testing.TB, cases int) {
	t.Helper()
	if all := variable(t, TrialsVariable, uint64(cases)); all < uint64(cases) {
		t.Errorf("there are %d cases, and the proof makes %d trials: raise them in proof/tasks.go", cases, all)
	}
}

// Runs has rapid make as many runs in this test as the runner asks for, from a seed that no other chunk comes to; where nobody asks, as
// many as it makes by itself. What it returns is to be called in each run. The test fails when there were fewer: rapid stops
// where the test's time is nearly over, and says nothing.
func Runs(t testing.TB) (ran func()) {
	t.Helper()
	var asked, runs uint64
	if os.Getenv(CountVariable) != "" {
		var first uint64
		first, asked = Seeds(t, 0)
		// The n-th run has a seed that is n(n+1)/2 beyond that of the first.
		for name, value := range map[string]uint64{"rapid.checks": asked, "rapid.seed": (first + 1) << 32} {
			before := flag.Lookup(name).Value.String()
			if err := flag.Set(name, strconv.FormatUint(value, 10)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = flag.Set(name, before) }) // it was taken once
		}
	}
	t.Cleanup(func() {
		if runs < asked && !t.Failed() {
			t.Errorf("%d runs of %d were made", runs, asked)
		}
		Figures(t, map[string]float64{"runs": float64(runs)})
	})
	return func() { runs++ }
}

func variable(t testing.TB, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("reading %s: %v", name, err)
	}
	return n
}

// Figures reports what the trials showed, and logs it. The runner adds the figures of all chunks, but keeps the largest of
// those whose name begins with "max_" and the smallest of those with "min_". Units belong into the names.
func Figures(t testing.TB, figures map[string]float64) {
	t.Helper()
	line, err := json.Marshal(figures)
	if err != nil {
		t.Fatalf("writing the figures of %s: %v", t.Name(), err)
	}
	t.Logf("figures: %s", line)
	path := os.Getenv(FiguresVariable)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatalf("writing the figures of %s: %v", t.Name(), err)
	}
	defer f.Close()
	if _, err := f.Write(append(line, '\n')); err != nil {
		t.Fatalf("writing the figures of %s: %v", t.Name(), err)
	}
}
