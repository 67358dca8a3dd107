package audit_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/audit"
	"github.com/astern-dev/astern/internal/drivertest"
)

// TestFullAnywhere lets the disk be full at each page and each file in turn that a log takes: one that begins, one that goes on,
// and the second place of one.
func TestFullAnywhere(t *testing.T) {
	if !drivertest.OwnMounts(t) {
		return
	}
	var points []drivertest.Point
	for _, what := range []string{"log begins", "log goes on", "second place begins", "second place goes on"} {
		f := newFull(t, what)
		f.whole(t, drivertest.Plenty)
		takes := f.takes
		if !f.isSecond { // a checkpoint is a page and a file more while it takes the place of the last one
			takes = takes.And(drivertest.Usage{Pages: 1, Files: 1})
		}
		points = append(points, drivertest.Points(what, takes, takes)...)
	}
	all := drivertest.FullAnywhere{Points: points, Exact: true, Share: uint64(len(points))}
	all.Try(t, func(t *testing.T, p drivertest.Point, figures map[string]float64) string {
		f := newFull(t, p.What)
		f.whole(t, p.Left)
		if f.behind {
			figures["second_place_full"]++
		}
		return f.failed
	})
}

// full is a log of which one place is on a disk that runs full.
type full struct {
	drivertest.Disk
	state, second string
	isSecond      bool // the full disk is that of the second place
	records       int64
	behind        bool   // the second place was behind
	failed        string // the first record that was refused, or did not reach the second place
	takes         drivertest.Usage
}

// newFull makes the log. Where it goes on, what comes next of it begins in one page and ends in another.
func newFull(t *testing.T, what string) *full {
	t.Helper()
	f := &full{state: t.TempDir(), second: t.TempDir(), isSecond: strings.HasPrefix(what, "second")}
	at, grows := f.state, filepath.Join(f.state, audit.Folder, "log.jsonl")
	if f.isSecond {
		at, grows = f.second, filepath.Join(f.second, "*.checkpoints")
	}
	f.Disk = drivertest.NewDisk(t, at)
	put(t, filepath.Join(at, "another"), []byte("for a disk of no page has no end"))
	for page := int64(os.Getpagesize()); strings.HasSuffix(what, "goes on"); {
		before := size(t, grows)
		must(t, f.append(t))
		if after := size(t, grows); before > 0 && after%page+(after-before) > page && after%page > page/4 {
			break
		}
	}
	return f
}

// size returns that of the file, 0 where it is not there yet.
func size(t *testing.T, pattern string) int64 {
	t.Helper()
	names, err := filepath.Glob(pattern)
	must(t, err)
	if len(names) == 0 {
		return 0
	}
	info, err := os.Stat(names[0])
	must(t, err)
	return info.Size()
}

// append adds a record of most of a page, by a log that nothing is known to, as each command does.
func (f *full) append(t *testing.T) error {
	t.Helper()
	l := audit.New(f.state, audit.Copy{Folder: f.second})
	r := entry(int(f.records))
	r.Reason = strings.Repeat("why ", 700)
	_, err := l.Append(context.Background(), r)
	if err == nil {
		f.records++
		if f.behind = l.Behind() != nil; f.behind && f.failed == "" {
			f.failed = fmt.Sprint("copy ", f.records)
		}
	}
	return err
}

// whole appends until there are four records more, with that much of the disk left; what is refused, again with room.
func (f *full) whole(t *testing.T, left drivertest.Usage) {
	t.Helper()
	began := f.Used()
	f.Leave(left)
	for upTo := f.records + 4; f.records < upTo; {
		err := f.append(t)
		used := f.Used()
		f.takes = drivertest.Usage{Pages: max(f.takes.Pages, used.Pages-began.Pages), Files: max(f.takes.Files, used.Files-began.Files)}
		f.intact(t)
		if err != nil {
			f.refused(t, err)
		}
	}
	f.Leave(drivertest.Plenty)
	must(t, f.append(t))
	if r := f.intact(t); f.behind || r.Copied != r.Records {
		t.Errorf("with room again the second place is behind: %+v", r)
	}
}

// refused looks at the first refusal, and makes room.
func (f *full) refused(t *testing.T, err error) {
	t.Helper()
	if f.failed != "" || f.isSecond {
		t.Fatalf("it fails with room, too, or for want of a second place: %v", err)
	}
	f.failed = fmt.Sprint("record ", f.records+1)
	if astern.CodeOf(err) != astern.Internal || !strings.Contains(err.Error(), "no space left") || !strings.Contains(astern.HintOf(err), "full") {
		t.Errorf("that the disk is full is said thus: %v (%s)", err, astern.HintOf(err))
	}
	f.Leave(drivertest.Plenty)
}

// intact demands that the log is sound and has what was acknowledged, and that nothing half lies beside it.
func (f *full) intact(t *testing.T) (r audit.Report) {
	t.Helper()
	if f.records > 0 {
		r = holds(t, f.state, f.second, f.records)
	}
	must(t, filepath.WalkDir(f.state, func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".new") {
			t.Errorf("left over: %s", path)
		}
		return err
	}))
	if b, err := os.ReadFile(filepath.Join(f.state, audit.Folder, "log.jsonl")); err == nil && len(b) > 0 && !bytes.HasSuffix(b, []byte("\n")) {
		t.Errorf("half a record stayed in the log")
	}
	return r
}
