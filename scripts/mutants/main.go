// Command mutants changes the code of packages in many small ways, one at a time, and runs their tests against each: a
// change that no test notices is a promise that nothing keeps. All changes are compiled into one test binary, an
// environment variable turns one of them on, so that a mutant costs a run of the tests and no build.
//
// What survived is compared with docs/mutants.md, where each survivor is argued. Results are kept below build/mutants: a
// mutant once killed stays so as long as the code of its package is the same; survivors are always tried again.
package main

import (
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
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const argued = "docs/mutants.md"

// tool is what the command line asks for.
type tool struct {
	trials  string
	workers int
	again   bool
}

func main() {
	var t tool
	flag.StringVar(&t.trials, "trials", "40", "random trials that each proof among the tests makes")
	flag.IntVar(&t.workers, "workers", 2, "mutants that run side by side")
	flag.BoolVar(&t.again, "again", false, "forget what was killed before")
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
	mutants, fingerprint, err := write(folder, kept)
	if err != nil {
		return 0, err
	}
	binary := filepath.Join(kept, "mutants.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", filepath.Join(kept, "overlay.json"), "-o", binary, "./"+folder)
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the mutants of %s: %w\n%s", folder, err, out)
	}
	began := time.Now()
	passed, said := t.try(folder, binary, 0, 10*time.Minute, "-test.v")
	if !passed {
		return 0, fmt.Errorf("the tests of %s fail without a mutant:\n%s", folder, said)
	}
	limit, slow := 20*time.Second+4*time.Since(began), slowTests(said, time.Since(began)/20)
	fmt.Printf("%s: %d mutants, the tests take %s\n", folder, len(mutants), time.Since(began).Round(time.Millisecond))
	dead, file, err := t.results(filepath.Join(kept, fingerprint+".killed"))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var mu sync.Mutex
	var wait sync.WaitGroup
	next := make(chan *mutant)
	for range t.workers {
		wait.Go(func() {
			for m := range next {
				passed, _ := t.try(folder, binary, m.number, limit, "-test.skip="+slow)
				if passed {
					passed, _ = t.try(folder, binary, m.number, limit, "-test.run="+slow)
				}
				mu.Lock()
				if m.survived = passed; !passed {
					_, err = fmt.Fprintln(file, m.number)
				} else {
					fmt.Printf("  survived: line %d: %s\n", m.line, m.name())
				}
				mu.Unlock()
			}
		})
	}
	for i := range mutants {
		if !dead[mutants[i].number] {
			next <- &mutants[i]
		}
	}
	close(next)
	wait.Wait()
	if err != nil {
		return 0, err
	}
	return report(folder, mutants)
}

var ended = regexp.MustCompile(`(?m)^--- PASS: (\w+) \(([0-9.]+)s\)`)

// slowTests returns a pattern for the tests that take long: the others are asked first, and mostly answer.
func slowTests(said []byte, long time.Duration) string {
	names := []string{"none"}
	for _, m := range ended.FindAllSubmatch(said, -1) {
		if seconds, err := strconv.ParseFloat(string(m[2]), 64); err == nil && seconds >= long.Seconds() {
			names = append(names, string(m[1]))
		}
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

// results returns which mutants were killed before, and the file that takes more.
func (t tool) results(path string) (map[int]bool, *os.File, error) {
	dead := map[int]bool{}
	if t.again {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, nil, err
		}
	}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	for line := range strings.Lines(string(b)) {
		var n int
		if _, err := fmt.Sscan(line, &n); err == nil {
			dead[n] = true
		}
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	return dead, file, err
}

// try runs the tests with one mutant turned on; 0 is none. A mutant that makes them run for too long is noticed.
func (t tool) try(folder, binary string, number int, limit time.Duration, more ...string) (passed bool, said []byte) {
	temp, err := os.MkdirTemp("", "astern-mutant-")
	if err != nil {
		return false, []byte(err.Error())
	}
	defer os.RemoveAll(temp)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append(more, "-test.failfast", "-test.timeout=10m")...)
	cmd.Dir, cmd.WaitDelay = folder, 5*time.Second
	cmd.Env = append(os.Environ(), fmt.Sprint(variable, "=", number), "ASTERN_PROOF_COUNT="+t.trials, "TMPDIR="+temp)
	said, err = cmd.CombinedOutput()
	return err == nil, said
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
// package's own files.
func write(folder, kept string) (mutants []mutant, fingerprint string, err error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, "", err
	}
	overlay, sum, name := map[string]string{}, sha256.New(), ""
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, "", err
		}
		sum.Write(src)
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, "", err
		}
		name = file.Name.Name
		m := mutator{path: path, src: src, set: set, first: len(mutants)}
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
	return mutants, fmt.Sprintf("%x", sum.Sum(nil)[:8]), os.WriteFile(filepath.Join(kept, "overlay.json"), b, 0o644)
}

func put(overlay map[string]string, path, written string, text []byte) error {
	whole, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	overlay[whole] = written
	return os.WriteFile(written, text, 0o644)
}
