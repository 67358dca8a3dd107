package sqlite

import "github.com/ncruces/go-sqlite3/vfs"

// A sync of a file that has grown writes its new length too, and the disk is asked twice. SQLite makes its log longer with
// every commit until it begins anew at the front, so here the log is made longer by many commits at once, with zeros,
// which no reader takes for a commit: each frame carries a checksum (https://sqlite.org/fileformat2.html#walformat).

// ahead is a file system whose logs are longer than what is in them.
type ahead struct{ vfs.VFSFilename }

// aheadOf registers such a file system over another and returns its name.
func aheadOf(files vfs.VFS, name string) string {
	name += "-ahead"
	vfs.Register(name, ahead{files.(vfs.VFSFilename)})
	return name
}

// OpenFilename opens a file for SQLite.
func (a ahead) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, opened, err := a.VFSFilename.OpenFilename(name, flags)
	if err == nil && flags&vfs.OPEN_WAL != 0 {
		f = &logFile{File: f}
	}
	return f, opened, err
}

// The log grows by what is in it, but by no less and no more than these bytes: a short command writes little, and a long
// execution seldom makes it longer.
const leastAhead, mostAhead = 32 << 10, 256 << 10

// logFile is an open log. Whoever commits syncs it (synchronous=full), so that nothing waits in it when the commit is told of.
type logFile struct {
	vfs.File
	long  int64  // how long the file is at least, in bytes, unless another process has cut it
	frame []byte // the header of a frame that is written together with its page, which comes next; empty when none waits
	at    int64  // where that header goes
}

// frameHeader is how long the header of a frame is, in bytes. Nothing else that SQLite writes into a log is as short.
const frameHeader = 24

// WriteAt writes, the header of a frame not before its page.
func (f *logFile) WriteAt(p []byte, off int64) (int, error) {
	if len(f.frame) > 0 && off == f.at+frameHeader {
		f.frame = append(f.frame, p...)
		n, err := f.settle()
		return max(n-frameHeader, 0), err
	}
	if _, err := f.settle(); err != nil {
		return 0, err
	}
	if len(p) == frameHeader {
		f.frame, f.at = append(f.frame, p...), off
		return len(p), nil
	}
	return f.write(p, off)
}

// settle writes what waits.
func (f *logFile) settle() (int, error) {
	p := f.frame
	if len(p) == 0 {
		return 0, nil
	}
	f.frame = p[:0]
	return f.write(p, f.at)
}

// ReadAt reads, what waits included: where SQLite has written a page a second time, it goes through the headers anew.
func (f *logFile) ReadAt(p []byte, off int64) (int, error) {
	if _, err := f.settle(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// Sync makes what was written durable.
func (f *logFile) Sync(flags vfs.SyncFlag) error {
	if _, err := f.settle(); err != nil {
		return err
	}
	return f.File.Sync(flags)
}

// write writes, and makes the log longer when its end is reached.
func (f *logFile) write(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	end := off + int64(len(p))
	if err != nil || end <= f.long {
		return n, err
	}
	if f.long, err = f.File.Size(); err == nil && f.long == end {
		more := min(max(end, leastAhead), mostAhead)
		// Nothing rests on it: where the file system says that there is no room for it, the log grows as SQLite writes. One that
		// says so only at the next sync (NFS, a thin volume) fails a commit that would have found room, as a full disk does.
		wrote, _ := f.File.WriteAt(make([]byte, more), end)
		f.long += int64(wrote)
	}
	return n, nil
}
