package hostservice

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
)

// TestFullAnywhere lets the disk of the release root be full at each page and each file in turn that a claim, a copy, the
// switch of two instances to what was copied, and the release of the claim take there.
func TestFullAnywhere(t *testing.T) {
	if !drivertest.OwnMounts(t) {
		return
	}
	undisturbed := newFull(t)
	undisturbed.whole(drivertest.Plenty)
	takes := undisturbed.disk.Takes
	// With a page left a copy that failed did not say to look at the disk; with four, half a note of a swap spoiled the next.
	once := []drivertest.Point{{Left: drivertest.Usage{Pages: 1, Files: -1}}, {Left: drivertest.Usage{Pages: 4, Files: -1}}}
	all := drivertest.FullAnywhere{Points: drivertest.Points("", takes, takes), Exact: true, Share: 1, Always: once}
	all.Try(t, func(t *testing.T, p drivertest.Point, figures map[string]float64) string {
		figures["max_pages_taken"], figures["max_files_taken"] = float64(takes.Pages), float64(takes.Files)
		f := newFull(t)
		f.whole(p.Left)
		if verb, _, _ := strings.Cut(f.disk.Failed, " "); verb != "" {
			figures["full_at_"+verb]++
		}
		return f.disk.Failed
	})
}

// full is what is done in a release root on a disk that runs full on the way.
type full struct {
	*lab
	disk  *drivertest.Full
	calls []astern.Call
	swaps int // that are done
}

// newFull makes a release root on a disk of its own that lacks v3, with the way to that planned.
func newFull(t *testing.T) *full {
	t.Helper()
	f := &full{}
	elsewhere := t.TempDir() // what the service itself writes is its own affair
	f.lab = newLab(t, func(root string, _ *astern.Component, s *Settings) {
		s.Source = elsewhere + "/source/{revision}"
		s.Commands.Drain, s.Commands.Undrain = []string{"./ctl", "drain", "{instance}"}, []string{"./ctl", "undrain", "{instance}"}
		f.disk = &drivertest.Full{Disk: drivertest.NewDisk(t, root), Intact: func(what string, done bool) { f.intact(what, done) }}
		mk(t, os.MkdirAll(elsewhere+"/run", 0o755))
		for _, name := range []string{"run", "log"} {
			mk(t, os.Symlink(filepath.Join(elsewhere, name), filepath.Join(root, name)))
		}
	})
	mk(t, os.MkdirAll(elsewhere+"/source/v3", 0o755))
	mk(t, os.WriteFile(elsewhere+"/source/v3/run", []byte("#!/bin/sh\nexec sleep 1003\n"), 0o755))
	mk(t, os.WriteFile(elsewhere+"/source/v3/pages", []byte(strings.Repeat("x", os.Getpagesize()+100)), 0o644))
	// The next note begins in one page of the history and ends in another.
	old := `{"at":"2026-01-01T00:00:00Z","revision":"v2","from":"v1","link":"links/a","execution":"x0"}`
	f.write(".astern-history.jsonl", old+strings.Repeat(" ", os.Getpagesize()-len(old)-101)+"\n", 0o644)
	f.calls = f.lab.calls(f.route(astern.VerbDeploy, "v3", 50), 7)
	return f
}

// whole carries everything out, with that much of the disk left.
func (f *full) whole(left drivertest.Usage) {
	f.Helper()
	before := map[string]int{"a": f.pid("a"), "b": f.pid("b")}
	mine := astern.Claim{Fence: 7, Execution: "x1", Address: f.c.Address(), Open: true, Owner: "0123abcd"}
	f.disk.Begin(left)
	f.disk.Again("claim", func() (astern.Op, astern.FoundAnswer) {
		err := f.driver.Claimer.Claim(f.Context(), f.c, mine, map[string]astern.Claim{"a": {}, "b": {}}, nil)
		return f.claimed(err, true)
	})
	for _, c := range f.calls {
		f.disk.Again(c.Verb+" "+c.Step, func() (astern.Op, astern.FoundAnswer) {
			c.Token, c.Deadline = fmt.Sprintf("ast-%d", tokens.Add(1)), time.Now().Add(time.Minute)
			c = f.before(c)
			return f.finish(c, f.driver.Actor.Start(f.Context(), c)), f.find(c)
		})
	}
	f.disk.Again("release", func() (astern.Op, astern.FoundAnswer) {
		return f.claimed(f.driver.Claimer.Release(f.Context(), f.c, mine, []string{"a", "b"}), false)
	})
	for _, name := range []string{"a", "b"} {
		if f.leads(name) != "v3" || f.pid(name) == before[name] || f.value(name+"/process") == "" {
			f.Errorf("%s has the link %q and process %d, before %d", name, f.leads(name), f.pid(name), before[name])
		}
	}
}

// claimed takes the answer of a claim as that of a step, and looks for it.
func (f *full) claimed(err error, open bool) (astern.Op, astern.FoundAnswer) {
	f.Helper()
	op, found := astern.Op{Status: astern.OpDone}, astern.FoundNo
	if err != nil {
		op = failed(err)
	}
	var c astern.Claim
	if text := f.value("a/claim"); json.Unmarshal([]byte(text), &c) == nil && c.Fence == 7 && c.Owner == "0123abcd" && c.Open == open {
		found = astern.FoundYes
	}
	return op, found
}

func (f *full) leads(name string) string {
	to, err := os.Readlink(filepath.Join(f.root, "links", name))
	if err != nil {
		f.Fatal(err)
	}
	return filepath.Base(to)
}

// intact looks at the links, the releases, and what astern keeps there.
func (f *full) intact(what string, done bool) {
	f.Helper()
	swapped := 0
	for _, name := range []string{"a", "b"} {
		switch to := f.leads(name); to {
		case "v3":
			swapped++
		case "v2":
		default:
			f.Errorf("%s: %s leads to %s", what, name, to)
		}
	}
	if done && strings.HasPrefix(what, verbSwap) {
		f.swaps++
	}
	if swapped != f.swaps {
		f.Errorf("%s: %d links were swapped, and %d swaps done", what, swapped, f.swaps)
	}
	if _, err := os.Stat(filepath.Join(f.root, "releases/v3")); err == nil {
		if got, want := f.value("a/release/v3"), f.value("source/v3"); got != want {
			f.Errorf("%s: under the name of v3 lies %s instead of %s", what, got, want)
		}
	}
	left, _ := filepath.Glob(f.root + "/releases/.partial-*")
	links, _ := filepath.Glob(f.root + "/links/.astern*")
	if len(left)+len(links) > 0 {
		f.Errorf("%s: left over: %v %v", what, left, links)
	}
	var claim astern.Claim
	if lock := strings.TrimSpace(f.read(".astern.lock")); lock != "" && json.Unmarshal([]byte(lock), &claim) != nil {
		f.Errorf("%s: the lock is half: %q", what, lock)
	}
	notes := 0
	for line := range strings.Lines(f.read(".astern-history.jsonl")) {
		if json.Valid([]byte(line)) && strings.HasSuffix(line, "\n") {
			notes++
		}
	}
	if notes < f.swaps { // the one of before, and one for each swap, of which half a note costs one
		f.Errorf("%s: after %d swaps %d notes are whole", what, f.swaps, notes)
	}
}
