package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/astern-dev/astern"
)

// logOf reads the log of a store.
func logOf(t *testing.T, folder string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, fileName+"-wal"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLogAhead writes until the log has begun anew: behind what is in it there is always room, and it grows in few steps.
func TestLogAhead(t *testing.T) {
	folder := t.TempDir()
	s, err := Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sizes, salts := map[int]bool{}, map[string]bool{}
	for i := range 1500 {
		if _, err := s.AddEvent(t.Context(), astern.Event{At: at, Address: "p/shop", Kind: astern.EventDeployed}); err != nil {
			t.Fatal(err)
		}
		if i%10 != 0 {
			continue
		}
		log := logOf(t, folder)
		sizes[len(log)], salts[string(log[16:24])] = true, true
		if u := used(log); len(u) == len(log) {
			t.Fatalf("after %d commits all %d bytes of the log are used", i+1, len(log))
		}
	}
	if len(sizes) < 3 || len(sizes) > 40 || len(salts) < 2 {
		t.Errorf("the log had %d sizes in 150 looks, and began anew %d times", len(sizes), len(salts)-1)
	}
}

// small is a file on a disk with room for so many bytes.
type small struct {
	vfs.File
	room  int
	bytes []byte
	calls int
}

func (f *small) ReadAt(p []byte, off int64) (int, error) { return copy(p, f.bytes[off:]), nil }

func (f *small) Sync(vfs.SyncFlag) error { return nil }

func (f *small) Size() (int64, error) { f.calls++; return int64(len(f.bytes)), nil }

func (f *small) WriteAt(p []byte, off int64) (int, error) {
	n := max(min(len(p), f.room-int(off)), 0)
	if end := int(off) + n; end > len(f.bytes) {
		f.bytes = append(f.bytes, make([]byte, end-len(f.bytes))...)
	}
	copy(f.bytes[off:], p[:n])
	if n < len(p) {
		return n, sqlite3.FULL
	}
	return n, nil
}

// TestLogAheadOfSmallDisk writes what there is room for, to the last byte, and says so where there is none.
func TestLogAheadOfSmallDisk(t *testing.T) {
	const piece = 1000
	f := &small{room: leastAhead + 5*piece}
	log := &logFile{File: f}
	for off := 0; ; off += piece {
		n, err := log.WriteAt(bytes.Repeat([]byte{1}, piece), int64(off))
		if room := f.room - off; room < piece {
			if n != room || !errors.Is(err, sqlite3.FULL) {
				t.Errorf("with room for %d bytes: %d, %v", room, n, err)
			}
			break
		}
		if n != piece || err != nil {
			t.Fatalf("at %d: %d, %v", off, n, err)
		}
		if behind := f.bytes[off+piece:]; len(behind) != len(bytes.Trim(behind, "\x01")) {
			t.Fatalf("behind %d something is written", off+piece)
		}
	}
	if f.calls != 2 {
		t.Errorf("the file was asked %d times for its size", f.calls)
	}
}

// TestLogAheadAfterCut makes a log longer again that another process has cut.
func TestLogAheadAfterCut(t *testing.T) {
	f := &small{room: 10 << 20}
	log := &logFile{File: f}
	write := func(off int64) {
		t.Helper()
		if _, err := log.WriteAt(make([]byte, 100), off); err != nil {
			t.Fatal(err)
		}
	}
	if write(0); len(f.bytes) != 100+leastAhead {
		t.Errorf("%d bytes at first", len(f.bytes))
	}
	if write(1 << 20); len(f.bytes) != 1<<20+100+mostAhead {
		t.Errorf("%d bytes of a long log", len(f.bytes))
	}
	f.bytes = nil
	if write(0); len(f.bytes) != 100 { // SQLite goes on; nobody has asked how long it is
		t.Errorf("%d bytes after the cut", len(f.bytes))
	}
	if write(2 << 20); len(f.bytes) != 2<<20+100+mostAhead {
		t.Errorf("%d bytes in the end", len(f.bytes))
	}
}

// TestFrames: the header of a frame is written with its page, and where no page follows, before anything else is done.
func TestFrames(t *testing.T) {
	header, page := bytes.Repeat([]byte{1}, frameHeader), bytes.Repeat([]byte{2}, 4096)
	f := &small{room: 1 << 20}
	log := &logFile{File: f, long: 1 << 20} // which grows no more
	must := func(n int, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(doing string, want []byte) {
		t.Helper()
		if !bytes.Equal(f.bytes, want) {
			t.Errorf("%s: %d bytes are written, want %d", doing, len(f.bytes), len(want))
		}
	}
	frame := slices.Concat(header, page)
	must(log.WriteAt(header, 0))
	want("a header", nil)
	must(log.WriteAt(page, frameHeader))
	want("and its page", frame)
	must(log.WriteAt(header, int64(len(frame))))
	must(log.WriteAt(header, 100))
	want("two headers", slices.Concat(frame, header))
	got := make([]byte, frameHeader)
	must(log.ReadAt(got, 100))
	copy(frame[100:], header)
	if !bytes.Equal(got, header) {
		t.Errorf("read %x", got)
	}
	must(log.WriteAt(header, 0))
	must(log.WriteAt(page, int64(len(frame))))
	want("a header and a page elsewhere", slices.Concat(frame, page))
	must(log.WriteAt(header, 40))
	must(0, log.Sync(0))
	copy(frame[40:], header)
	want("a sync", slices.Concat(frame, page))
}

// TestFramesOfFullDisk: whatever is asked next says that the header had no room, and it is not tried again.
func TestFramesOfFullDisk(t *testing.T) {
	header, page := make([]byte, frameHeader), make([]byte, 4096)
	for name, next := range map[string]func(f *logFile) (int, error){
		"its page":    func(f *logFile) (int, error) { return f.WriteAt(page, frameHeader) },
		"another":     func(f *logFile) (int, error) { return f.WriteAt(header, 5000) },
		"a page":      func(f *logFile) (int, error) { return f.WriteAt(page, 5000) },
		"reading":     func(f *logFile) (int, error) { return f.ReadAt(make([]byte, 10), 0) },
		"making sure": func(f *logFile) (int, error) { return 0, f.Sync(0) },
	} {
		f := &logFile{File: &small{room: frameHeader / 2}, long: 1 << 20}
		if _, err := f.WriteAt(header, 0); err != nil {
			t.Fatal(err)
		}
		if n, err := next(f); n != 0 || !errors.Is(err, sqlite3.FULL) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if err := f.Sync(0); err != nil {
			t.Errorf("%s, and a sync: %v", name, err)
		}
	}
	f := &logFile{File: &small{room: frameHeader + 10}, long: 1 << 20}
	if n, err := f.WriteAt(header, 0); n != frameHeader || err != nil {
		t.Errorf("a header: %d, %v", n, err)
	}
	if n, err := f.WriteAt(page, frameHeader); n != 10 || !errors.Is(err, sqlite3.FULL) {
		t.Errorf("room for ten bytes of a page: %d, %v", n, err)
	}
}

// TestUsed reads logs that are short, empty or strange.
func TestUsed(t *testing.T) {
	header := func(page byte) []byte {
		b := make([]byte, 32)
		b[10] = page // times 256
		copy(b[16:], "saltsalt")
		return b
	}
	frame := func(salt string) []byte {
		b := make([]byte, 24+256)
		copy(b[8:], salt)
		return b
	}
	for _, c := range []struct {
		name string
		log  []byte
		want int
	}{
		{"nothing", nil, 0},
		{"half a header", header(1)[:20], 20},
		{"no frame", header(1), 32},
		{"two frames", bytes.Join([][]byte{header(1), frame("saltsalt"), frame("saltsalt")}, nil), 32 + 2*280},
		{"a frame and an older one", bytes.Join([][]byte{header(1), frame("saltsalt"), frame("oldersal")}, nil), 32 + 280},
		{"a frame and zeros", bytes.Join([][]byte{header(1), frame("saltsalt"), make([]byte, 5000)}, nil), 32 + 280},
		{"half a frame", append(header(1), frame("saltsalt")[:100]...), 32},
		{"pages of no bytes", append(header(0), frame("saltsalt")[:24]...), 32 + 24},
	} {
		if got := used(c.log); len(got) != c.want {
			t.Errorf("%s: %d bytes, not %d", c.name, len(got), c.want)
		}
	}
}
