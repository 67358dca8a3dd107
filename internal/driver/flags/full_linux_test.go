package flags

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
)

// TestFullAnywhere lets the disk of a flag file be full at each page and each file in turn that its first change takes there.
func TestFullAnywhere(t *testing.T) {
	if !drivertest.OwnMounts(t) {
		return
	}
	undisturbed := newFull(t)
	undisturbed.whole(t, drivertest.Plenty)
	takes := undisturbed.disk.Takes.And(working)
	all := drivertest.FullAnywhere{Points: drivertest.Points("", takes, takes), Share: 6, Always: []drivertest.Point{{Left: takes, Enough: true}}}
	all.Try(t, func(t *testing.T, p drivertest.Point, _ map[string]float64) string {
		f := newFull(t)
		f.whole(t, p.Left)
		return f.disk.Failed
	})
}

// working is what a change takes for a moment beside what it leaves: what arrived, and the two states in it.
var working = drivertest.Usage{Pages: 6, Files: 2}

// full is a change of a flag file on a disk that runs full meanwhile.
type full struct {
	*lab
	disk *drivertest.Full
	old  string // the file before
	call astern.Call
}

// newFull makes a flag file of more than a page that was never changed.
func newFull(t *testing.T) *full {
	t.Helper()
	f := &full{lab: newLab(t, false)}
	if err := os.RemoveAll(f.file + ".astern"); err != nil {
		t.Fatal(err)
	}
	f.old = strings.Replace(shop(t), "{", "{"+strings.Repeat("\n", os.Getpagesize()), 1)
	f.write(f.old)
	f.disk = &drivertest.Full{Disk: drivertest.NewDisk(t, f.folder), Intact: f.intact}
	call, err := f.plan(astern.FlagChange{Flag: "search"})
	if err != nil {
		t.Fatal(err)
	}
	f.call = call
	return f
}

// whole carries the change out, with that much of the disk left.
func (f *full) whole(t *testing.T, left drivertest.Usage) {
	t.Helper()
	f.disk.Begin(left)
	f.disk.Again("change", func() (astern.Op, astern.FoundAnswer) {
		f.call.Token += "x"
		op := f.driver.Actor.Start(t.Context(), f.call)
		return op, f.driver.Actor.Find(t.Context(), f.call).Answer
	})
}

// intact looks at the file, and at the states of it that are kept.
func (f *full) intact(what string, done bool) {
	f.Helper()
	if text := f.read(); (text == f.old) == done || hashOf([]byte(text)) != f.call.Text("to") && done {
		f.Errorf("%s: done %t, and the file is %.100q", what, done, text)
	}
	kept, _ := filepath.Glob(f.file + ".astern/*")
	for _, at := range kept {
		text, err := os.ReadFile(at)
		switch name := filepath.Base(at); {
		case err != nil:
			f.Error(err)
		case name == "lock" && len(text) != 0 && (len(text) != 512 || !strings.Contains(string(text), `"fence":1`)):
			f.Errorf("%s: the lock is half: %q", what, text)
		case name != "lock" && "sha256:"+strings.TrimSuffix(name, ".json") != hashOf(text):
			f.Errorf("%s: what is kept as %s is not that", what, name)
		}
	}
	if others, _ := filepath.Glob(f.folder + "/*"); len(others) > 2 {
		f.Errorf("%s: left over: %v", what, others)
	}
}
