package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// sector is the smallest piece of a file that reaches the disk as a whole, or not.
const sector = 512

// disk is a folder's files with a power switch. It passes everything on to the file system of the machine, and remembers
// what has been synced: of the rest a cut leaves any sectors, of changed names the first few. It also fails calls.
type disk struct {
	vfs.VFS
	mu     sync.Mutex
	random *rand.Rand
	name   string // under which the driver knows it
	files  map[string]*content
	synced map[string]*content // names that are on the disk
	names  []change            // made since the folder was synced
	calls  int
	cutAt  int               // power is cut at this call; 0 never
	left   map[string][]byte // what the cut left; nil before it
	fault  fault
	hurt   int           // how many calls failed
	opens  int           // how often the database was opened
	slow   time.Duration // how long the disk takes for a sync
	head   chan struct{} // has room for one: a slow disk does one thing after another
}

// fault is how calls fail.
type fault struct {
	from, to int      // the first and the last call that can fail
	left     int      // how many fail at most; 0 for all
	calls    []string // names of calls, with "-wal" behind for those on the log; nil for all
	with     error
	drop     bool // a sync that fails forgets what it should have written, as Linux does
}

// content is a file: as programs see it, and as it is on the disk.
type content struct {
	now, kept []byte
	dirty     map[int]bool // numbers of sectors that differ
	resized   bool
}

// change is one change of the names in the folder; what is nil when the name is removed.
type change struct {
	name string
	what *content
}

var disks atomic.Int64

// newDisk makes a disk for the files that are in the folder now.
func newDisk(t testing.TB, folder string, random *rand.Rand) *disk {
	t.Helper()
	d := &disk{VFS: vfs.Find("os"), random: random, name: fmt.Sprint("power-", disks.Add(1)),
		files: map[string]*content{}, synced: map[string]*content{}, head: make(chan struct{}, 1)}
	there, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range there {
		b, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		c := &content{now: b, kept: bytes.Clone(b), dirty: map[int]bool{}}
		d.files[e.Name()], d.synced[e.Name()] = c, c
	}
	vfs.Register(d.name, d)
	files := aheadOf(d, d.name)
	t.Cleanup(func() { vfs.Unregister(d.name); vfs.Unregister(files) })
	return d
}

// medium is the disk for a store.
func (d *disk) medium() medium {
	return medium{files: d.name + "-ahead", sync: d.syncNames, link: d.linkName, again: d.writeAgain}
}

// errDead is the answer of everything after the power was cut.
var errDead = fmt.Errorf("the power is cut: %w", sqlite3.IOERR)

// call counts a call, and answers how it fails. The caller holds the lock.
func (d *disk) call(name, path string) error {
	if d.left != nil {
		return errDead
	}
	d.calls++
	if d.calls == d.cutAt {
		d.cut()
		return errDead
	}
	if d.calls < d.fault.from || d.calls > d.fault.to {
		return nil
	}
	for _, c := range d.fault.calls {
		want, suffix, _ := strings.Cut(c, " ")
		if want == name && strings.HasSuffix(path, suffix) {
			if d.hurt++; d.fault.left == 1 {
				d.fault.to = 0
			}
			d.fault.left--
			return d.fault.with
		}
	}
	return nil
}

// off cuts the power now, if that has not happened yet, and returns what is left.
func (d *disk) off() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left == nil {
		d.cut()
	}
	return d.left
}

// dead is what troubles answers after the cut.
const dead = -1

// troubles returns how many calls failed so far.
func (d *disk) troubles() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left != nil {
		return dead
	}
	return d.hurt
}

func (d *disk) cut() {
	for _, c := range d.names[:d.random.IntN(len(d.names)+1)] { // a folder's changes are journalled in their order
		d.apply(c)
	}
	d.left = map[string][]byte{}
	for name, c := range d.synced {
		d.left[name] = c.survives(d.random)
	}
}

func (d *disk) apply(c change) {
	if c.what == nil {
		delete(d.synced, c.name)
		return
	}
	d.synced[c.name] = c.what
}

// survives returns what a cut leaves of the file.
func (c *content) survives(random *rand.Rand) []byte {
	out := bytes.Clone(c.kept)
	if c.resized && random.IntN(2) == 0 {
		out = sized(out, len(c.now))
	}
	fate := random.IntN(4) // of all sectors: as they come, none, all
	for n := range c.dirty {
		from, to := n*sector, min((n+1)*sector, len(c.now), len(out))
		if from >= to {
			continue
		}
		switch chance := random.IntN(8); {
		case fate == 0, fate > 1 && chance < 4:
		case fate > 1 && chance == 4: // torn in the middle
			copy(out[from:to-(to-from)*random.IntN(sector)/sector], c.now[from:to])
		default:
			copy(out[from:to], c.now[from:to])
		}
	}
	return out
}

func sized(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

// keep makes the file as it is now durable.
func (c *content) keep() {
	c.kept = sized(c.kept, len(c.now))
	for n := range c.dirty {
		if from := n * sector; from < len(c.now) {
			copy(c.kept[from:min(from+sector, len(c.now))], c.now[from:])
		}
	}
	c.resized = false
	clear(c.dirty)
}

// write changes the file as programs see it.
func (c *content) write(p []byte, off int) {
	if end := off + len(p); end > len(c.now) {
		c.now, c.resized = sized(c.now, end), true
	}
	copy(c.now[off:], p)
	for n := off / sector; n*sector < off+len(p); n++ {
		c.dirty[n] = true
	}
}

// spin takes the time of a sync.
func (d *disk) spin() {
	if d.slow == 0 {
		return
	}
	d.head <- struct{}{}
	time.Sleep(d.slow)
	<-d.head
}

func (d *disk) syncNames(folder string) error {
	d.spin()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("Names", folder); err != nil {
		return err
	}
	for _, c := range d.names {
		d.apply(c)
	}
	d.names = nil
	return nil
}

func (d *disk) linkName(present, another string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("Link", another); err != nil {
		return err
	}
	if err := os.Link(present, another); err != nil {
		return err
	}
	d.rename(filepath.Base(another), d.files[filepath.Base(present)])
	return nil
}

func (d *disk) rename(name string, what *content) {
	if d.files[name] = what; what == nil {
		delete(d.files, name)
	}
	d.names = append(d.names, change{name, what})
}

// OpenFilename opens a file for SQLite.
func (d *disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("Open", name.String()); err != nil {
		return nil, flags, err
	}
	shared := vfs.NewSharedMemory(name.String()+"-shm", flags)
	if d.call("Shm", name.String()) != nil && shared != nil {
		shared = vfs.NewSharedMemory(filepath.Join(name.String(), "no", "folder"), flags)
	}
	f, flags, err := d.VFS.(vfs.VFSFilename).OpenFilename(name, flags)
	if err != nil {
		return nil, flags, err
	}
	base := filepath.Base(name.String())
	if base == fileName {
		d.opens++
	}
	if name.String() != "" && d.files[base] == nil {
		d.rename(base, &content{dirty: map[int]bool{}})
	}
	c := d.files[base]
	if c == nil {
		c = &content{dirty: map[int]bool{}} // a temporary file without a name
	}
	return &diskFile{File: f, disk: d, path: name.String(), content: c, shared: shared}, flags, nil
}

// Delete removes a file for SQLite.
func (d *disk) Delete(name string, syncDir bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("Delete", name); err != nil {
		return err
	}
	if err := d.VFS.Delete(name, syncDir); err != nil {
		return err
	}
	d.rename(filepath.Base(name), nil)
	return nil
}

// diskFile is an open file of a disk.
type diskFile struct {
	vfs.File
	disk    *disk
	path    string
	content *content
	shared  vfs.SharedMemory
}

// SharedMemory is where the index of the log is.
func (f *diskFile) SharedMemory() vfs.SharedMemory { return f.shared }

// Close closes the file and its part of the shared memory.
func (f *diskFile) Close() error {
	if f.shared != nil {
		f.shared.Close()
	}
	return f.File.Close()
}

// ReadAt reads; it fails as a broken disk does.
func (f *diskFile) ReadAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	err := f.disk.call("ReadAt", f.path)
	f.disk.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// Sync makes the file durable.
func (f *diskFile) Sync(vfs.SyncFlag) error {
	f.disk.spin()
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.call("Sync", f.path); err != nil {
		if f.disk.fault.drop && f.disk.left == nil {
			clear(f.content.dirty) // and no later sync will write them
		}
		return err
	}
	f.content.keep()
	return nil
}

// Truncate changes the size of the file.
func (f *diskFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.call("Truncate", f.path); err != nil {
		return err
	}
	if int(size) != len(f.content.now) {
		f.content.now, f.content.resized = sized(f.content.now, int(size)), true
	}
	return f.File.Truncate(size)
}

// WriteAt writes, of a write that fails half.
func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	err := f.disk.call("WriteAt", f.path)
	if err != nil {
		if f.disk.left != nil {
			return 0, err
		}
		p = p[:len(p)/2]
	}
	f.content.write(p, int(off))
	n, wrote := f.File.WriteAt(p, off)
	if err == nil {
		err = wrote
	}
	return n, err
}

// writeAgain writes a log as it reads and makes it durable.
func (d *disk) writeAgain(path string) error {
	d.spin()
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.files[filepath.Base(path)]
	if err := d.call("WriteAt", path); err != nil {
		return err
	}
	c.write(bytes.Clone(used(c.now)), 0)
	if err := d.call("Sync", path); err != nil {
		if d.fault.drop && d.left == nil {
			clear(c.dirty)
		}
		return err
	}
	c.keep()
	return nil
}

// breakFrom fails the calls from the first to the last, counted from now.
func (d *disk) breakFrom(first, last int, call string, with error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault{with: with, calls: []string{call}, drop: true}
	if last > 0 {
		d.fault.left, d.fault.from, d.fault.to = last, d.calls+first, 1<<60
	}
}

// opened returns how often the database was opened.
func (d *disk) opened() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opens
}
