package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/audit"
	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// What a state folder takes at most: one that begins, with what is recorded in it, and then a rollback, whose journal is a log of
// its own while it lasts.
var (
	stateBegins   = drivertest.Usage{Pages: 128, Files: 10}
	stateRollback = drivertest.Usage{Pages: 96, Files: 4}
)

// TestFullState lets the disk of the state folder be full at each page and each file in turn that the program takes there for
// its journal and its audit log. A command that finds no room says so, has done nothing in the world that the journal does not know, and
// loses nothing that another said was recorded; with room again it comes to its end.
func TestFullState(t *testing.T) {
	if !drivertest.OwnMounts(t) {
		return
	}
	c := newContest(t, "kept")
	const begins = "begins"
	points := slices.Concat(drivertest.Points(begins, stateBegins, stateBegins), drivertest.Points("rollback", stateRollback, stateRollback))
	once := []drivertest.Point{
		{What: begins, Left: drivertest.Usage{Pages: 7, Files: -1}},      // half a store was left where no room was for more of it
		{What: begins, Left: drivertest.Usage{Pages: -1, Files: 1}},      // a file that could not be made was said not to be permitted
		{What: "rollback", Left: drivertest.Usage{Pages: 60, Files: -1}}, // every attempt at the last step failed
	}
	all := drivertest.FullAnywhere{Points: points, Share: 4, Always: once}
	all.Try(t, func(t *testing.T, p drivertest.Point, figures map[string]float64) string {
		f := &fullState{contest: c, state: fmt.Sprint(p.What, p.Left)}
		f.TB = t
		f.reset()
		commands := [][]string{{"rollback", "shop", "--to", "v1", "--watch", "0s", "--reason", "test", "--yes"}, {"record", "known-good", "shop", "v1", "--reason", "last"}}
		if p.What == begins {
			commands = [][]string{{"record", "deploy", "shop", "v1", "--reason", "a"}, {"record", "deploy", "shop", "v3", "--reason", "b"}}
		}
		f.mount(p.What == begins)
		f.disk.Leave(p.Left)
		for _, args := range commands {
			f.again(args)
		}
		if p.What != begins {
			f.whole("v1")
			if all := f.executions(f.state); len(all) != 1 || all[0].State != "ended" {
				t.Errorf("executions: %+v", all)
			}
		}
		if f.failed != "" {
			figures["full_at_"+f.failed]++
		}
		return f.failed
	})
}

// fullState is a state folder on a disk that runs full.
type fullState struct {
	contest
	disk     drivertest.Disk
	state    string
	recorded []string // reasons of the events that were acknowledged
	failed   string   // what failed first
	held     bool     // what was resumed with room held once more
}

// mount makes the state folder: an empty one, or one in which is what was recorded before.
func (f *fullState) mount(empty bool) {
	f.Helper()
	at := filepath.Join(f.folder, f.state)
	err := os.CopyFS(at, os.DirFS(filepath.Join(f.folder, "kept")))
	if empty {
		err = os.RemoveAll(at)
		f.write(f.state+"/another", "for a disk of no page has no end", 0o600)
	}
	if err != nil {
		f.Fatal(err)
	}
	f.disk = drivertest.NewDisk(f.TB, at)
}

// again runs a command until it is done: once, or again when the disk was full and has plenty again.
func (f *fullState) again(args []string) {
	f.Helper()
	code, out := f.run(f.state, args...)
	if code == 0 && args[0] == "record" {
		f.recorded = append(f.recorded, args[len(args)-1])
	}
	f.intact(args)
	const held = 6
	switch {
	case code == 0:
		return
	case f.failed == "":
		f.failed = args[0]
	case code != held || f.held: // a step whose last attempt was in doubt is found not to be done, and begun by who comes next
		f.Fatalf("%v fails with room, too: exit code %d:\n%s", args, code, out)
	default:
		f.held = true
	}
	f.Logf("%v: exit code %d: %s", args, code, out[max(0, strings.LastIndex(out, "error: ")):])
	if code == held && !strings.Contains(out, "no space left on device") || code != held && (code != 1 || !strings.Contains(out, "is full or at its quota: free space there")) {
		f.Errorf("that the disk is full is said thus: exit code %d:\n%s", code, out)
	}
	left := f.open(f.state) // which reads, on the full disk
	f.disk.Leave(drivertest.Plenty)
	if len(left) > 0 {
		args = []string{"resume", left[0]}
	}
	f.again(args)
}

// intact looks at the state and at the world.
func (f *fullState) intact(args []string) {
	f.Helper()
	at := filepath.Join(f.folder, f.state)
	store, err := sqlite.OpenReadOnly(f.Context(), at)
	if err != nil {
		f.Fatalf("after %v: %v", args, err)
	}
	defer store.Close()
	events, err := store.Events(f.Context(), "test/shop", 0)
	if err != nil {
		f.Fatal(err)
	}
	for _, reason := range []string{"a", "b", "last"} {
		n := 0
		for _, e := range events {
			if e.Reason == reason {
				n++
			}
		}
		if want := slices.Contains(f.recorded, reason); n > 1 || (n == 1) != want {
			f.Errorf("after %v: recorded %t, and the ledger has it %d times: %s", args, want, n, reason)
		}
	}
	intents := map[string]int{}
	records, err := store.Read(f.Context(), "ex-1", 0)
	if err != nil && astern.CodeOf(err) != astern.NotFound {
		f.Fatal(err)
	}
	for _, r := range records {
		if r.Kind == astern.RecordIntent {
			intents[r.Call.Verb+":"+r.Call.Member]++
		}
	}
	f.known(args, intents)
	if _, err := os.Stat(filepath.Join(at, audit.Folder, "checkpoint")); err == nil { // nothing was acknowledged before the first one
		if r, err := audit.VerifyFolder(at, audit.Copy{}, audit.Elsewhere{}, nil); err != nil || len(r.Findings) > 0 {
			f.Errorf("after %v: the audit log: %+v, %v", args, r, err)
		}
	}
	err = filepath.WalkDir(at, func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), "new") {
			f.Errorf("after %v left over: %s", args, path)
		}
		return err
	})
	if err != nil {
		f.Error(err)
	}
}

// known demands that the journal has an intent for all that was done.
func (f *fullState) known(args []string, intents map[string]int) {
	f.Helper()
	done := map[string]int{}
	for _, e := range f.effects() {
		done[strings.TrimSuffix(e, ":v1")]++
	}
	for i, to := range f.links() {
		if to != "v3" {
			done[fmt.Sprint("swap:shop-", i+1)]++
		}
	}
	for what, n := range done {
		if n > intents[what] {
			f.Errorf("after %v: %s happened %d times, and the journal has %d intents for it", args, what, n, intents[what])
		}
	}
}
