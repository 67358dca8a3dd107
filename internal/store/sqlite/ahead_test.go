package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
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
