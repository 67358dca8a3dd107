package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sys/unix"

	"github.com/astern-dev/astern"
)

// Folder is the log's folder in the state folder.
const Folder = "audit"

// lockWait bounds how long an Append waits for those of other processes, and lockPoll is how often it looks.
const (
	lockWait = 30 * time.Second
	lockPoll = 2 * time.Millisecond
)

// Log is the audit log of a state folder. Several processes may append to one at once, and several goroutines to a Log.
type Log struct {
	folder string
	copy   Copy
	step   func(string) error // called before each change of a file; for tests that break off there

	mu     sync.Mutex
	behind error
}

// New returns the log of the state folder. Nothing is read or made before the first Append.
func New(state string, c Copy) *Log {
	return &Log{folder: filepath.Join(state, Folder), copy: c, step: func(string) error { return nil }}
}

// Behind returns why the last checkpoint is not in the second place, nil when it is, or when there is none.
func (l *Log) Behind() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.behind
}

// Append writes one record. When it returns nil, the record and its checkpoint are on the disk; a second place that can't
// be reached is told by Behind, for a recovery must not wait for it. A log that is not as its checkpoint or the second
// place says is Refused, and nothing is written.
func (l *Log) Append(ctx context.Context, r Record) (Record, error) {
	if err := l.makeFolder(); err != nil {
		return r, failed(err)
	}
	unlock, err := l.lock(ctx)
	if err != nil {
		return r, err
	}
	defer unlock()
	key, err := l.signer()
	if err != nil {
		return r, err
	}
	f, err := l.open(logFile)
	if err != nil {
		return r, failed(err)
	}
	defer f.Close() // it was synced, or what was written is taken back
	public, err := l.public(key)
	if err != nil {
		return r, err
	}
	t, err := l.tail(f, public)
	if err != nil {
		return r, err
	}
	seen := l.copy.last(public)
	if seen.checkpoint.size > t.size || seen.checkpoint.size == t.size && t.size > 0 && seen.checkpoint.head != t.head {
		return r, changed("the second place has seen %d records with the head %.12s, and the log has %d with %.12s",
			seen.checkpoint.size, seen.checkpoint.head, t.size, t.head)
	}
	r = bounded(r)
	r.Log, r.Seq, r.Prev, r.Dropped = strings.TrimPrefix(key.Name(), originStart), t.size+1, t.head, t.torn
	line, err := sign(r, key)
	if err != nil {
		return r, failed(err)
	}
	if err := l.write(f, t.end, line); err != nil {
		return r, err
	}
	c := checkpoint{r.Seq, hashOf(line)}
	signed, err := c.sign(key)
	if err != nil {
		return r, failed(err)
	}
	if err := l.replace(checkpointFile, signed); err != nil {
		return r, err
	}
	err = seen.err
	if err == nil {
		if err = l.step("copy"); err == nil {
			err = l.copy.add(ctx, public, signed)
		}
	}
	l.mu.Lock()
	l.behind = err
	l.mu.Unlock()
	return r, nil
}

// makeFolder makes the log's folder as open as the state folder is.
func (l *Log) makeFolder() error {
	if _, err := os.Stat(l.folder); err == nil {
		return nil
	}
	state := filepath.Dir(l.folder)
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(state)
	if err == nil {
		err = os.Mkdir(l.folder, info.Mode().Perm())
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil // another process was faster
	}
	if err == nil {
		err = syncFolder(state)
	}
	return err
}

// open opens a file of the log, and makes it where there is none.
func (l *Log) open(name string) (*os.File, error) {
	mode := l.mode()
	f, err := os.OpenFile(filepath.Join(l.folder, name), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, mode)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && mode&^info.Mode().Perm() != 0 {
		_ = f.Chmod(mode) // whatever the umask says; a file of somebody else is as he made it
	}
	return f, nil
}

// public reads the public key, which must be that of the private one.
func (l *Log) public(key note.Signer) (note.Verifier, error) {
	b, err := os.ReadFile(filepath.Join(l.folder, publicFile))
	if err != nil {
		return nil, failed(err)
	}
	public, err := ParseKey(b, "")
	if err != nil || public.Name() != key.Name() || public.KeyHash() != key.KeyHash() {
		return nil, changed("%s is not the public half of the key", publicFile)
	}
	return public, nil
}

// write adds a line at the end, where something torn may lie, and takes it back when that fails.
func (l *Log) write(f *os.File, end int64, line []byte) error {
	err := l.step("truncate")
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		err = l.step("write")
	}
	if err == nil {
		_, err = f.WriteAt(append(line, '\n'), end)
	}
	if err == nil {
		err = l.step("sync")
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil && end == 0 {
		err = syncFolder(l.folder)
	}
	if err != nil {
		_ = f.Truncate(end) // what stays nevertheless is found to be torn, or is a record of what was not done
		return failed(err)
	}
	return nil
}

// replace writes a file of the log as a whole or not at all.
func (l *Log) replace(name string, content []byte) (err error) {
	temporary := filepath.Join(l.folder, "."+name+".new") // under the lock nobody else has it
	err = l.step("create " + name)
	if err == nil {
		err = writeSynced(temporary, content, l.mode())
	}
	if err == nil {
		err = l.step("rename " + name)
	}
	if err == nil {
		err = os.Rename(temporary, filepath.Join(l.folder, name))
	}
	if err == nil && name != checkpointFile { // an older checkpoint after a power cut is one of the same log
		err = syncFolder(l.folder)
	}
	if err != nil {
		_ = os.Remove(temporary) // the first error says more
		return failed(err)
	}
	return nil
}

func writeSynced(name string, content []byte, mode os.FileMode) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // what a crash left
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode) // whatever the umask says
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

func syncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

// lock keeps out every other Append.
func (l *Log) lock(ctx context.Context) (unlock func(), err error) {
	f, err := l.open(lockFile)
	if err != nil {
		return nil, failed(err)
	}
	waiting, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil // which gives the lock back
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, failed(err)
		}
		select {
		case <-waiting.Done():
			f.Close()
			if ctx.Err() != nil {
				return nil, failed(ctx.Err())
			}
			return nil, astern.Errorf(astern.Unavailable, "%s: another process has held %s for %s", doing, f.Name(), lockWait).
				WithHint("nothing was done; see what it does (fuser %s)", f.Name())
		case <-time.After(lockPoll):
		}
	}
}

// tail is how a log ends.
type tail struct {
	size int64  // records
	head string // hash of the last line; of an empty log, of its origin
	end  int64  // where the next line begins
	torn int64  // bytes of an unacknowledged line behind it
}

// tail reads the end of the log and compares it with the checkpoint. The log may be ahead: a checkpoint is written behind
// its record. What is signed by the key and comes after is kept; a last line that is not was never acknowledged.
func (l *Log) tail(f *os.File, key note.Verifier) (tail, error) {
	c, err := l.checkpoint(key)
	if err != nil {
		return tail{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return tail{}, failed(err)
	}
	if !info.Mode().IsRegular() {
		return tail{}, changed("%s is no ordinary file", f.Name())
	}
	t := tail{end: info.Size(), head: hashOf([]byte(key.Name()))}
	for range 2 { // a line that does not count, and the one before
		line, start, err := lastLine(f, t.end)
		if err != nil {
			return tail{}, err
		}
		if start == t.end {
			break
		}
		whole, complete := bytes.CutSuffix(line, []byte("\n"))
		r, err := parse(whole, key)
		if err == nil && complete {
			t.size, t.head = r.Seq, hashOf(whole)
			break
		}
		if t.torn > 0 {
			return tail{}, changed("its last record is none: %v", err)
		}
		t.torn, t.end = t.end-start, start
	}
	switch {
	case c.size > t.size:
		return tail{}, changed("its checkpoint counts %d records, and it ends with record %d", c.size, t.size)
	case c.size == t.size && c.size > 0 && c.head != t.head:
		return tail{}, changed("record %d is another one than that of the checkpoint", c.size)
	}
	return t, nil
}

// checkpoint reads the log's own checkpoint; size 0 when there is none.
func (l *Log) checkpoint(key note.Verifier) (checkpoint, error) {
	b, err := os.ReadFile(filepath.Join(l.folder, checkpointFile))
	if errors.Is(err, fs.ErrNotExist) {
		return checkpoint{}, nil
	}
	if err != nil {
		return checkpoint{}, failed(err)
	}
	c, err := parseCheckpoint(b, key)
	if err != nil {
		return c, changed("its checkpoint does not count: %v", err)
	}
	return c, nil
}

// lastLine returns the line that ends at end, with its line break where it has one, and where it begins.
func lastLine(f io.ReaderAt, end int64) (line []byte, start int64, err error) {
	for size := int64(4 << 10); ; size *= 4 {
		size = min(size, end, maxLine+1)
		b := make([]byte, size)
		if _, err := f.ReadAt(b, end-size); err != nil && !(errors.Is(err, io.EOF)) {
			return nil, 0, failed(err)
		}
		if size == 0 {
			return nil, end, nil
		}
		if i := bytes.LastIndexByte(b[:size-1], '\n'); i >= 0 {
			return b[i+1:], end - size + int64(i) + 1, nil
		}
		if size == end {
			return b, 0, nil
		}
		if size > maxLine {
			return nil, 0, changed("its last line is longer than any record")
		}
	}
}

// changed is the error of a log that is not as it was left.
func changed(format string, args ...any) error {
	return astern.Errorf(astern.Refused, "%s: it was changed: %s", doing, fmt.Sprintf(format, args...)).
		WithHint("nothing was done; astern audit verify says where. To go on: keep the folder %s of the state folder as evidence, move it away (and the copy in the second place), and a new log begins", Folder)
}
