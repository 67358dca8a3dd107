package drivertest

import (
	"strings"

	"github.com/astern-dev/astern"
)

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
