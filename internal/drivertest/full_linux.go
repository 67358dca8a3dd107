package drivertest

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proof"
)

// Point is how much of a disk is left to what is tried there.
type Point struct {
	What   string // which of several things it is, "" where there is one
	Left   Usage
	Enough bool // so nothing may fail
}

// Points are the points at which a disk is full on the way to what takes that much, every page and every file, and one at which
// enough is left.
func Points(what string, takes, enough Usage) []Point {
	var out []Point
	for n := range takes.Pages {
		out = append(out, Point{What: what, Left: Usage{Pages: n, Files: -1}})
	}
	for n := range takes.Files {
		out = append(out, Point{What: what, Left: Usage{Pages: -1, Files: n}})
	}
	return append(out, Point{What: what, Left: enough, Enough: true})
}

// FullAnywhere is a proof of which each trial is one of the points at which a disk can be full.
type FullAnywhere struct {
	Points []Point
	Exact  bool    // something fails at each point at which there is not enough; else only where no page or no file is left
	Share  uint64  // how many a plain run tries
	Always []Point // what it tries beside those: what once showed something wrong
}

// Try has everything carried out at the points that this process is to try, and adds up their figures. Carrying it out returns what
// failed first, "" when all had room.
func (f FullAnywhere) Try(t *testing.T, carryOut func(t *testing.T, p Point, figures map[string]float64) (failed string)) {
	t.Helper()
	proof.Covers(t, len(f.Points))
	figures := map[string]float64{"max_points": float64(len(f.Points))}
	var points []Point
	if os.Getenv(proof.FirstVariable) == "" {
		points = append(points, f.Always...)
	}
	first, count := proof.Seeds(t, f.Share)
	for seed := first; seed < first+count; seed++ {
		points = append(points, f.Points[seed*7919%uint64(len(f.Points))]) // a share is of all kinds
	}
	for _, p := range points {
		name := fmt.Sprintf("%s_%d_pages_%d_files", cmp.Or(p.What, "all"), p.Left.Pages, p.Left.Files)
		t.Run(name, func(t *testing.T) {
			failed := carryOut(t, p, figures)
			must := !p.Enough && (f.Exact || p.Left.Pages == 0 || p.Left.Files == 0)
			if p.Enough && failed != "" || must && failed == "" {
				t.Errorf("with %+v left it failed at %q", p.Left, failed)
			}
			if failed != "" {
				figures["full"]++
			}
		})
		figures["trials"]++
	}
	proof.Figures(t, figures)
}

// Full is the disk of a place that runs full while something is carried out there.
type Full struct {
	Disk
	// Intact requires that nothing in the place is half. It is asked after each step, which is done or was refused.
	Intact func(what string, done bool)
	// Failed is what failed first, "" when all had room.
	Failed string
	// Takes is the most that was taken at the end of a step, beside what was there before.
	Takes Usage
	began Usage
}

// Begin leaves that much of the disk.
func (f *Full) Begin(left Usage) {
	f.Helper()
	f.began = f.Used()
	f.Leave(left)
}

// Again tries until it is done: once, or a second time when the disk was full and has plenty again. What did not find room must
// say so, be found not to be there, and leave nothing half.
func (f *Full) Again(what string, try func() (astern.Op, astern.FoundAnswer)) astern.Op {
	f.Helper()
	op, found := try()
	used, done := f.Used(), op.Status == astern.OpDone
	f.Takes = Usage{Pages: max(f.Takes.Pages, used.Pages-f.began.Pages), Files: max(f.Takes.Files, used.Files-f.began.Files)}
	f.Intact(what, done)
	if (found == astern.FoundYes) != done || found == astern.FoundUnknown {
		f.Errorf("%s ended %s and is found: %s", what, op.Status, found)
	}
	if done {
		return op
	}
	if f.Failed != "" {
		f.Fatalf("%s fails with room, too: %+v", what, op)
	}
	f.Failed = what
	f.Logf("%s: %s %s: %s (%s)", what, op.Status, op.Code, op.Error, op.Hint)
	if op.Status != astern.OpFailed || !strings.Contains(op.Error+op.Hint, f.at) || !strings.Contains(op.Hint, "is the disk of local full") {
		f.Errorf("%s: that the disk is full is said thus: %+v", what, op)
	}
	f.Leave(Plenty)
	return f.Again(what, try)
}
