package hostservice

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern/internal/host"
)

// reader reads release roots and release folders, and changes nothing: by system calls on the machine that astern runs
// on, by scripts elsewhere. Both give the same answers. The answers about folders are in the order of the folders.
type reader interface {
	look(ctx context.Context, l layout, names []string, history int) (sight, error)
	// hash reads every file of the folders; timeout is that of one folder.
	hash(ctx context.Context, folders []string, timeout time.Duration) []hashed
	// list reads what can be told of the folders' files without reading them. Before is what was found earlier, by folder.
	list(ctx context.Context, folders []string, before map[string]kept, timeout time.Duration) []listing
	// able tells what is in the way of a swap or a restart of the instances.
	able(ctx context.Context, root string, needs []need) ([]hindrance, error)
}

// readerOf returns the reader of a machine.
func readerOf(m host.Machine) reader {
	if host.IsHere(m) {
		return native{}
	}
	return scripted{m}
}

// hashed is what came of hashing a folder. The error says why there is no hash; exists is false when there is no such
// folder.
type hashed struct {
	hash   string
	exists bool
	err    error
}

// hashOf returns the content hash of one release folder, always read in full.
func hashOf(ctx context.Context, m host.Machine, folder string, timeout time.Duration) (hash string, exists bool, err error) {
	h := readerOf(m).hash(ctx, []string{folder}, timeout)[0]
	return h.hash, h.exists, h.err
}

// outside ends the reason why a release has no hash when one of its links leads out of it.
const outside = "points outside the release"

// Reasons why a folder has no hash, alike for both readers.
func hashTrouble(folder, what string) error { return fmt.Errorf("hashing %s: %s", folder, what) }
func oddName(at string) error {
	at, _, _ = strings.Cut(at, "\n")
	return fmt.Errorf("the file name %s holds a line break or a backslash", oneLine(at))
}
func noPlainFile(at string) error {
	return fmt.Errorf("%s is neither file, folder nor link", oneLine(at))
}
func linkOut(at string) error {
	return fmt.Errorf("link %s %s", oneLine(strings.TrimPrefix(at, "./")), outside)
}

// leadsOut reports whether a link below the folder leads out of it, by what is written in it or by where it really leads.
func leadsOut(folder, at, target, resolved string) bool {
	written := target
	if !path.IsAbs(written) {
		written = path.Join(folder, path.Dir(at), written)
	}
	return !within(folder, path.Clean(written)) || resolved != "" && !within(folder, resolved)
}

func within(folder, p string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

// listing is what can be told of a folder without reading its files.
type listing struct {
	digest string    // of everything below it; "" when it could not be listed
	newest time.Time // the newest time of change of anything in it
	began  time.Time // when the listing began, by the clock of the machine that has the folder
	names  []string  // paths of everything below it, where that is worth keeping
}

// entry is one thing in a folder: what changes when its content does.
type entry struct {
	path           string // below the folder, "" for itself
	kind           string // a letter as find shows it
	mode, size     uint64
	modified, meta time.Time // of the content, and of the inode: the latter can't be set at will
	inode          uint64
	device         uint64 // where the reader tells it; no part of the digest
}

// listingOf makes the listing of a folder from all that is in it.
func listingOf(entries []entry, began time.Time) listing {
	l := listing{began: began}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	h := sha256.New()
	var line []byte
	for _, e := range entries {
		line = append(append(append(line[:0], e.path...), 0), e.kind...)
		for _, n := range []uint64{e.mode, e.size, uint64(e.modified.UnixNano()), uint64(e.meta.UnixNano()), e.inode} {
			line = binary.BigEndian.AppendUint64(line, n)
		}
		h.Write(line) // a hash takes everything
		for _, at := range []time.Time{e.modified, e.meta} {
			if l.newest.Before(at) {
				l.newest = at
			}
		}
	}
	l.digest = hex.EncodeToString(h.Sum(nil))
	return l
}

// racy is how young a change may not be for a listing to stand for the content: a later one might show the same times.
const racy = 2 * time.Second

// settled reports whether everything that changes after the listing began shows in the next one.
func (l listing) settled() bool {
	return l.digest != "" && l.newest.Before(l.began.Add(-racy))
}

// lastLines returns the last n lines of a text.
func lastLines(text io.Reader, n int, limit int64) string {
	b, err := io.ReadAll(io.LimitReader(text, limit))
	if err != nil {
		return "" // the same as a history that can't be read
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
