package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// test is one test of a package: how long it takes, by the clock and of the processor, and which mutants' code it runs.
type test struct {
	name         string
	takes, works time.Duration
	reaches      map[string]bool // by number
}

var ample = limits{10 * time.Minute, 10 * time.Minute}

// tests runs each test of a package by itself, without a mutant, and returns them, the fastest first.
func (t tool) tests(folder, binary, kept string) ([]test, error) {
	passed, _, said := t.try(folder, binary, 0, ample, "-test.list=^(Test|Fuzz|Example)") // lists also what is skipped, which then passes at once
	if !passed {
		return nil, fmt.Errorf("listing the tests of %s:\n%s", folder, said)
	}
	var all []test
	for name := range strings.Lines(string(said)) {
		one := test{name: strings.TrimSpace(name)}
		t.reached = filepath.Join(kept, "reached") // t is a copy
		if err := os.WriteFile(t.reached, nil, 0o666); err != nil {
			return nil, err
		}
		if err := os.Chmod(t.reached, 0o666); err != nil { // some tests become another user
			return nil, err
		}
		began := time.Now()
		passed, works, said := t.try(folder, binary, 0, ample, "-test.run=^"+one.name+"$", "-test.v", "-test.parallel=1")
		if !passed {
			return nil, fmt.Errorf("%s of %s fails without a mutant:\n%s", one.name, folder, said)
		}
		one.takes, one.works = time.Since(began), works
		var err error
		if one.reaches, err = lines(t.reached); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b test) int { return int(a.takes - b.takes) })
	return all, nil
}

// lines returns the set of a file's lines. A missing file has none.
func lines(path string) (map[string]bool, error) {
	found := map[string]bool{}
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		found[strings.TrimSpace(line)] = true
	}
	return found, nil
}

func total(tests []test) (sum time.Duration) {
	for _, one := range tests {
		sum += one.takes
	}
	return sum
}

// survives reports whether all tests that run a mutant's code pass with it. First those are asked that killed the most, and the
// last, mutants before, for neighbours die by the same test; then the other fast ones together, and the slow ones one by one:
// one that fails is enough. Where no test comes, nothing has to be run.
func (k *killers) survives(t tool, folder, binary string, number int, tests []test) bool {
	tests = slices.DeleteFunc(slices.Clone(tests), func(one test) bool { return !one.reaches[fmt.Sprint(number)] })
	for _, group := range k.groups(tests) {
		most := limits{wall: 30*time.Second + 6*total(group)}
		var names []string
		for _, one := range group {
			most.processor += 2 * one.works
			names = append(names, one.name)
		}
		passed, _, said := t.try(folder, binary, number, most, "-test.run=^("+strings.Join(names, "|")+")$")
		if !passed {
			k.note(group, said)
			return false
		}
	}
	return true
}

// killers tells which tests killed how many mutants.
type killers struct {
	mu   sync.Mutex
	of   map[string]int
	last string
}

// groups parts tests into those that are run together, in the order in which they are asked.
func (k *killers) groups(tests []test) [][]test {
	k.mu.Lock()
	defer k.mu.Unlock()
	const quick = time.Second
	var fast, slow []test
	for _, one := range tests {
		if total(fast)+one.takes < quick {
			fast = append(fast, one)
		} else {
			slow = append(slow, one)
		}
	}
	slices.SortStableFunc(fast, func(a, b test) int {
		if (a.name == k.last) != (b.name == k.last) {
			return map[bool]int{true: -1, false: 1}[a.name == k.last]
		}
		return k.of[b.name] - k.of[a.name]
	})
	const first = 3
	groups := [][]test{fast[:min(first, len(fast))], fast[min(first, len(fast)):]}
	for _, one := range slow {
		groups = append(groups, []test{one})
	}
	return slices.DeleteFunc(groups, func(g []test) bool { return len(g) == 0 })
}

// note remembers which test of the group failed.
func (k *killers) note(group []test, said []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range group {
		if strings.Contains(string(said), "--- FAIL: "+one.name+" ") {
			k.of[one.name]++
			k.last = one.name
			return
		}
	}
}
