package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/astern-dev/astern"
)

// disk is the file system of the machine, remembering what a power cut would leave of each file: what was synced.
type disk struct {
	vfs.VFS
	mu     sync.Mutex
	synced map[string][]byte // by base name
	// failSync and failWrite fail those calls on files whose name ends so.
	failSync, failWrite string
	failWith            error
	// wrote is called after each write to the database file itself, which is when the log is being merged into it.
	wrote func()
}

func newDisk(t *testing.T) (*disk, string) {
	d := &disk{VFS: vfs.Find("os"), synced: map[string][]byte{}}
	name := "power-" + strings.ReplaceAll(t.Name(), "/", "-")
	vfs.Register(name, d)
	t.Cleanup(func() { vfs.Unregister(name) })
	return d, name
}

func (d *disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := d.VFS.(vfs.VFSFilename).OpenFilename(name, flags)
	if err != nil {
		return nil, flags, err
	}
	return &diskFile{File: f, disk: d, path: name.String()}, flags, nil
}

func (d *disk) Delete(name string, syncDir bool) error {
	d.mu.Lock()
	delete(d.synced, filepath.Base(name))
	d.mu.Unlock()
	return d.VFS.Delete(name, syncDir)
}

// fail makes calls fail from now on; "" lifts it.
func (d *disk) fail(sync, write string, with error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failSync, d.failWrite, d.failWith = sync, write, with
}

// left returns what the cut leaves.
func (d *disk) left() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.synced)
}

type diskFile struct {
	vfs.File
	disk *disk
	path string
}

func (f *diskFile) SharedMemory() vfs.SharedMemory {
	return f.File.(vfs.FileSharedMemory).SharedMemory()
}

func (f *diskFile) Sync(flags vfs.SyncFlag) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if s := f.disk.failSync; s != "" && strings.HasSuffix(f.path, s) {
		return f.disk.failWith
	}
	if err := f.File.Sync(flags); err != nil {
		return err
	}
	b, err := os.ReadFile(f.path)
	f.disk.synced[filepath.Base(f.path)] = b
	return err
}

func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	s, with := f.disk.failWrite, f.disk.failWith
	f.disk.mu.Unlock()
	if s != "" && strings.HasSuffix(f.path, s) {
		return 0, with
	}
	n, err := f.File.WriteAt(p, off)
	if err == nil && strings.HasSuffix(f.path, fileName) && f.disk.wrote != nil {
		f.disk.wrote()
	}
	return n, err
}

// running opens a store on the disk with one execution that is being carried out.
func running(t *testing.T, folder, files string) (s *Store, id string, fence int64) {
	t.Helper()
	s, err := openOn(t.Context(), folder, files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	hash, at := strings.Repeat("ab", 32), time.Unix(1e9, 0)
	if err := s.PutPlan(t.Context(), hash, []byte("{}"), at); err != nil {
		t.Fatal(err)
	}
	e, _, err := s.CreateExecution(t.Context(), astern.Execution{PlanHash: hash, CreatedAt: at, Addresses: []string{"production/shop"}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	fence, err = s.Take(t.Context(), e.ID, astern.Runner{Host: "h", PID: 1}, func(astern.Runner) bool { return false }, at)
	if err != nil {
		t.Fatal(err)
	}
	return s, e.ID, fence
}

// count reads the journal, checks that it has no gap, and returns how long it is.
func count(ctx context.Context, s *Store, id string) (int, error) {
	recs, err := s.Read(ctx, id, 0)
	for i, r := range recs {
		if r.Seq != int64(i+1) {
			return 0, fmt.Errorf("record %d has number %d", i+1, r.Seq)
		}
	}
	return len(recs), err
}

func TestPowerCutLosesNothingAcknowledged(t *testing.T) {
	d, files := newDisk(t)
	random := rand.New(rand.NewPCG(1, 2))
	type cut struct {
		files map[string][]byte
		acked int
		when  string
	}
	var cuts []cut
	folder, acked := t.TempDir(), 0
	merges := 0
	d.wrote = func() { // a merge was cut: some of its writes reached the disk
		if merges++; len(cuts) > 20 || random.IntN(60) > 0 {
			return
		}
		left := d.left()
		torn, err := os.ReadFile(filepath.Join(folder, fileName))
		if err != nil {
			t.Error(err)
		}
		old := left[fileName]
		for page := 0; page+4096 <= len(old) && page+4096 <= len(torn); page += 4096 {
			if random.IntN(2) == 0 {
				copy(torn[page:], old[page:page+4096])
			}
		}
		left[fileName] = torn
		cuts = append(cuts, cut{left, acked, "while the log was merged"})
	}
	s, id, fence := running(t, folder, files)
	acked = 1
	const total = 150
	for i := range total {
		rec := astern.Record{Kind: astern.RecordRound, Text: strings.Repeat(fmt.Sprint(i), random.IntN(20_000))}
		if err := s.Append(t.Context(), id, fence, rec); err != nil {
			t.Fatal(err)
		}
		acked++
		if random.IntN(30) == 0 || i > total-3 {
			left := d.left()
			cuts = append(cuts, cut{left, acked, "right after a commit"})
			if log := left[fileName+"-wal"]; len(log) > 0 { // and what was in flight comes as garbage behind it
				left = maps.Clone(left)
				garbage := make([]byte, 3000)
				for i := range garbage {
					garbage[i] = byte(random.Uint32())
				}
				left[fileName+"-wal"] = append(bytes.Clone(log), garbage...)
				cuts = append(cuts, cut{left, acked, "with garbage behind the log"})
			}
		}
	}
	if merges == 0 {
		t.Fatal("the log was never merged; the test cut nothing there")
	}
	seen := map[string]int{}
	for i, c := range cuts {
		seen[c.when]++
		after := filepath.Join(t.TempDir(), "after")
		if err := os.Mkdir(after, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, b := range c.files {
			if err := os.WriteFile(filepath.Join(after, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, open := range []func(context.Context, string) (*Store, error){OpenReadOnly, Open} {
			s, err := open(t.Context(), after)
			if err != nil {
				t.Fatalf("cut %d %s: %v", i, c.when, err)
			}
			n, err := count(t.Context(), s, id)
			// One more than acknowledged is right too: it was on the disk before we said so.
			if err != nil || n != c.acked && n != c.acked+1 {
				t.Fatalf("cut %d %s: %d records, %d were acknowledged (%v)", i, c.when, n, c.acked, err)
			}
			s.Close()
		}
	}
	t.Logf("cuts made: %v", seen)
	if len(seen) != 3 {
		t.Fatalf("cuts made: %v", seen)
	}
}

func TestFailedCommitIsUnknown(t *testing.T) {
	for _, c := range []struct {
		name, sync, write string
		with              error
		hint              string
	}{
		{"sync fails", "-wal", "", sqlite3.IOERR_FSYNC, "dmesg"},
		{"write fails", "", "-wal", sqlite3.IOERR_WRITE, "dmesg"},
		{"disk full", "", "-wal", sqlite3.FULL, "free space"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, files := newDisk(t)
			folder := t.TempDir()
			s, id, fence := running(t, folder, files)
			round := astern.Record{Kind: astern.RecordRound}
			if err := s.Append(t.Context(), id, fence, round); err != nil {
				t.Fatal(err)
			}
			d.fail(c.sync, c.write, c.with)
			for range 2 {
				err := s.Append(t.Context(), id, fence, round, round)
				if !errors.Is(err, ErrUnknownCommit) || astern.CodeOf(err) != astern.Internal {
					t.Fatalf("got %v", err)
				}
				if hint := astern.HintOf(err); !strings.Contains(hint, c.hint) || !strings.Contains(err.Error(), folder) {
					t.Fatalf("%v\n%s", err, hint)
				}
			}
			if n, err := count(t.Context(), s, id); err != nil || n != 2 && n != 4 {
				t.Fatalf("%d records, %v", n, err)
			}
			d.fail("", "", nil)
			before, err := count(t.Context(), s, id)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Append(t.Context(), id, fence, round); err != nil {
				t.Fatalf("the disk works again: %v", err)
			}
			if n, err := count(t.Context(), s, id); err != nil || n != before+1 {
				t.Fatalf("%d records, %d before, %v", n, before, err)
			}
		})
	}
}
