// Command mutants changes the code of packages in many small ways, one at a time, and runs their tests against each: a
// change that no test notices is a promise that nothing keeps. All changes are compiled into one test binary, an
// environment variable turns one of them on, so that a mutant costs a run of the tests and no build.
//
// What survived is compared with docs/mutants.md, where each survivor is argued. Results are kept below build/mutants: a
// mutant once killed stays so as long as its file is the same; a survivor is tried again when a test of the
// package has changed, or with another number of trials.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const argued = "docs/mutants.md"

// tool is what the command line asks for.
type tool struct {
	trials  string
	skip    string
	workers int
	again   bool
	quiet   bool   // the tests would leave files behind where they fail
	reached string // the file that takes which mutants' code is run, or ""
}

func main() {
	var t tool
	flag.StringVar(&t.trials, "trials", "5", "random trials that each proof among the tests makes")
	flag.IntVar(&t.workers, "workers", 1, "mutants that run side by side")
	flag.BoolVar(&t.again, "again", false, "forget what was killed before")
	flag.StringVar(&t.skip, "skip", "TestBigPlanIsNotQuadratic", "pattern of tests that are not asked: they measure, and say nothing of small changes")
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = []string{"internal/planfile", "internal/engine", "internal/store/sqlite", "internal/ledger"}
	}
	unargued := 0
	for _, p := range packages {
		n, err := t.run(p)
		if err != nil {
			fmt.Fprintln(os.Stderr, "mutants:", err)
			os.Exit(1)
		}
		unargued += n
	}
	if unargued > 0 {
		fmt.Printf("%d survivors are not argued in %s\n", unargued, argued)
		os.Exit(1)
	}
}

// run tries all mutants of a package and returns how many survived that nobody argued.
func (t tool) run(folder string) (int, error) {
	kept, err := filepath.Abs(filepath.Join("build", "mutants", strings.ReplaceAll(folder, "/", "-")))
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(kept, 0o755); err != nil {
		return 0, err
	}
	// What is written there is no part of the module.
	if err := os.WriteFile(filepath.Join("build", "mutants", "go.mod"), []byte("module mutants\n"), 0o644); err != nil {
		return 0, err
	}
	mutants, tested, err := t.write(folder, kept)
	if err != nil {
		return 0, err
	}
	binary := filepath.Join(kept, "mutants.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", filepath.Join(kept, "overlay.json"), "-o", binary, "./"+folder)
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the mutants of %s: %w\n%s", folder, err, out)
	}
	tests, err := t.tests(folder, binary, kept)
	if err != nil {
		return 0, err
	}
	fmt.Printf("%s: %d mutants, the tests take %s\n", folder, len(mutants), total(tests).Round(time.Millisecond))
	dead, file, err := t.results(filepath.Join(kept, "killed"))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	alive, lived, err := t.results(filepath.Join(kept, "survived-"+tested+"-"+t.trials))
	if err != nil {
		return 0, err
	}
	defer lived.Close()
	killed := &killers{of: map[string]int{}}
	var mu sync.Mutex
	var wait sync.WaitGroup
	next := make(chan *mutant)
	for range t.workers {
		wait.Go(func() {
			for m := range next {
				passed := killed.survives(t, folder, binary, m.number, tests)
				mu.Lock()
				if m.survived = passed; !passed {
					_, err = fmt.Fprintln(file, m.key)
				} else {
					_, err = fmt.Fprintln(lived, m.key)
					fmt.Printf("  survived: line %d: %s\n", m.line, m.name())
				}
				mu.Unlock()
			}
		})
	}
	for i := range mutants {
		m := &mutants[i]
		m.survived = alive[m.key]
		if !dead[m.key] && !m.survived {
			next <- m
		}
	}
	close(next)
	wait.Wait()
	if err != nil {
		return 0, err
	}
	return report(folder, mutants)
}

// results returns which mutants were killed before, and the file that takes more.
func (t tool) results(path string) (map[string]bool, *os.File, error) {
	if t.again {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, nil, err
		}
	}
	dead, err := lines(path)
	if err != nil {
		return nil, nil, err
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	return dead, file, err
}

// limits bound a run of tests: processor time tells an endless loop from a busy machine.
type limits struct{ processor, wall time.Duration }

// try runs tests with one mutant turned on; 0 is none. A mutant that makes them run for too long, or take too much memory, is
// noticed.
func (t tool) try(folder, binary string, number int, most limits, more ...string) (passed bool, took time.Duration, said []byte) {
	temp, err := os.MkdirTemp("", "astern-mutant-")
	if err != nil {
		return false, 0, []byte(err.Error())
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o755); err != nil { // some tests become another user
		return false, 0, []byte(err.Error())
	}
	ctx, cancel := context.WithTimeout(context.Background(), most.wall)
	defer cancel()
	bounds := fmt.Sprintf(`ulimit -v 32000000; ulimit -t %d; exec "$0" "$@"`, int(most.processor.Seconds()+1))
	if t.quiet {
		more = append(more, "-rapid.nofailfile")
	}
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", bounds, binary, "-test.failfast", "-test.timeout=10m", "-test.skip=" + t.skip}, more...)...)
	cmd.Dir, cmd.WaitDelay = folder, 5*time.Second
	cmd.Env = append(os.Environ(), fmt.Sprint(variable, "=", number), "ASTERN_PROOF_COUNT="+t.trials, "TMPDIR="+temp, traced+"="+t.reached)
	said, err = cmd.CombinedOutput()
	if s := cmd.ProcessState; s != nil {
		took = s.UserTime() + s.SystemTime()
	}
	return err == nil, took, said
}

// report prints the score and the survivors, and returns how many of them are not argued.
func report(folder string, mutants []mutant) (unargued int, err error) {
	text, err := os.ReadFile(argued)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	survived := 0
	for _, m := range mutants {
		if !m.survived {
			continue
		}
		survived++
		mark := "argued"
		if !strings.Contains(string(text), "`"+m.name()+"`") {
			unargued++
			mark = "NEW"
		}
		fmt.Printf("  %-6s line %d: %s\n", mark, m.line, m.name())
	}
	fmt.Printf("%s: %d of %d mutants killed (%.1f %%), %d survivors argued, %d not\n", folder, len(mutants)-survived, len(mutants),
		100*float64(len(mutants)-survived)/float64(max(1, len(mutants))), survived-unargued, unargued)
	return unargued, nil
}

// write puts the package with its mutants into the folder kept, with the overlay that go build takes instead of the
// package's own files. It returns the fingerprint of the package's tests, too.
func (t *tool) write(folder, kept string) (mutants []mutant, tested string, err error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, "", err
	}
	overlay, tests, name := map[string]string{}, sha256.New(), ""
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, "", err
		}
		if strings.HasSuffix(path, "_test.go") {
			tests.Write(src)
			t.quiet = t.quiet || bytes.Contains(src, []byte(`"pgregory.net/rapid"`))
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, "", err
		}
		name = file.Name.Name
		m := mutator{path: path, src: src, set: set, first: len(mutants), hash: fmt.Sprintf("%x", sha256.Sum256(src))[:16]}
		if err := put(overlay, path, filepath.Join(kept, filepath.Base(path)), m.mutated(file)); err != nil {
			return nil, "", err
		}
		mutants = append(mutants, m.found...)
	}
	if err := put(overlay, filepath.Join(folder, "zz_mutants.go"), filepath.Join(kept, "zz_mutants.go"), []byte("package "+name+switches)); err != nil {
		return nil, "", err
	}
	b, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return nil, "", err
	}
	return mutants, fmt.Sprintf("%x", tests.Sum(nil)[:8]), os.WriteFile(filepath.Join(kept, "overlay.json"), b, 0o644)
}

func put(overlay map[string]string, path, written string, text []byte) error {
	whole, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	overlay[whole] = written
	return os.WriteFile(written, text, 0o644)
}
