// Command test-summary reads what `go test -json` writes and prints what a person wants to know of it: one line a
// package, the output of what failed, every test that was skipped with its reason, what was slowest, and totals.
// It exits 1 when anything failed or when no test ran.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is a line of `go test -json` (see `go doc test2json`).
type event struct {
	Action, Package, ImportPath, Test, Output string
	FailedBuild                               string
	Elapsed                                   float64
}

type summary struct {
	out                     io.Writer
	passed, failed, skipped int
	output                  map[string]*strings.Builder // of a test, a package or a build, while nothing is decided
	skips, failures         []string
	said                    map[string]bool // packages of which a test has failed, while they run
	packages, tests         []event
}

func main() {
	s := summary{out: os.Stdout, output: map[string]*strings.Builder{}, said: map[string]bool{}}
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "test-summary:", err)
		os.Exit(1)
	}
	s.print()
	if len(s.failures) > 0 || s.passed == 0 {
		os.Exit(1)
	}
}

func (s *summary) read(r io.Reader) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line = strings.TrimSpace(line); line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) == nil && e.Action != "" {
				s.add(e)
			} else {
				fmt.Fprintln(s.out, line) // go itself speaks: a download, a bad flag
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading test events: %w", err)
		}
	}
}

func key(e event) string {
	if e.ImportPath != "" {
		return e.ImportPath
	}
	return e.Package + " " + e.Test
}

func (s *summary) add(e event) {
	switch e.Action {
	case "output", "build-output":
		b := s.output[key(e)]
		if b == nil {
			b = &strings.Builder{}
			s.output[key(e)] = b
		}
		b.WriteString(e.Output)
	case "build-fail":
		s.fail(e)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.packageEnd(e)
			return
		}
		switch e.Action {
		case "pass":
			s.passed++
			s.tests = append(s.tests, e)
			for line := range strings.Lines(s.take(e)) {
				if strings.Contains(line, " simulated hours in ") {
					fmt.Fprintf(s.out, "     %s %s: %s\n", e.Package, e.Test, strings.TrimSpace(line))
				}
			}
		case "skip":
			s.skipped++
			s.skips = append(s.skips, e.Package+" "+e.Test+": "+reason(s.take(e)))
		case "fail":
			s.failed++
			s.fail(e)
		}
		delete(s.output, key(e))
	}
}

func (s *summary) take(e event) string {
	b := s.output[key(e)]
	if b == nil {
		return ""
	}
	delete(s.output, key(e))
	return b.String()
}

func (s *summary) fail(e event) {
	name := strings.TrimSpace(key(e))
	s.failures = append(s.failures, name)
	s.said[e.Package] = true
	fmt.Fprintf(s.out, "FAIL %s\n%s", name, s.take(e))
}

func (s *summary) packageEnd(e event) {
	if e.Action == "skip" { // it has no tests
		return
	}
	s.packages = append(s.packages, e)
	fmt.Fprintf(s.out, "%-4s %s  %.1fs\n", e.Action, e.Package, e.Elapsed)
	said := s.take(e)
	defer s.forget(e.Package) // it may run again
	if e.Action != "fail" {
		return
	}
	// A package that fails by itself (a panic, a time-out, TestMain) has no failed test that said why. The output of
	// a test that a panic cut off is still here.
	if e.FailedBuild == "" && !s.said[e.Package] {
		s.failures = append(s.failures, e.Package)
		for k, b := range s.output {
			if strings.HasPrefix(k, e.Package+" ") {
				fmt.Fprint(s.out, b.String())
			}
		}
	}
	fmt.Fprint(s.out, said)
}

// forget ends what is kept of a package while it runs.
func (s *summary) forget(name string) {
	delete(s.said, name)
	for k := range s.output {
		if strings.HasPrefix(k, name+" ") {
			delete(s.output, k)
		}
	}
}

// reason is what the test said when it was skipped: its last line that is not a framework's.
func reason(output string) string {
	why := "no reason given"
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			why = line
		}
	}
	return why
}

func (s *summary) print() {
	fmt.Fprintln(s.out, "\nTest summary")
	packages := map[string]bool{} // some run twice: with the race detector and without
	for _, e := range s.packages {
		packages[e.Package] = true
	}
	for _, some := range [][]event{s.packages, s.tests} {
		slices.SortFunc(some, func(a, b event) int { return cmp.Compare(b.Elapsed, a.Elapsed) })
		for _, e := range some[:min(5, len(some))] {
			fmt.Fprintf(s.out, "  slowest  %6.1fs  %s\n", e.Elapsed, strings.TrimSpace(key(e)))
		}
	}
	for _, k := range s.skips {
		fmt.Fprintf(s.out, "  skipped  %s\n", k)
	}
	for _, f := range s.failures {
		fmt.Fprintf(s.out, "  FAILED   %s\n", f)
	}
	fmt.Fprintf(s.out, "  %d passed, %d failed, %d skipped, in %d packages\n", s.passed, s.failed, s.skipped, len(packages))
}
