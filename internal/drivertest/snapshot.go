package drivertest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
)

// Files fingerprints everything below root, for World.Snapshot: path below root -> mode, time of change, and content
// hash or link target. Sockets and pipes count by their mode alone.
func Files(t testing.TB, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		out[rel], err = fingerprint(path, info)
		return err
	})
	if err != nil {
		t.Fatalf("taking a snapshot of %s: %v", root, err)
	}
	return out
}

func fingerprint(path string, info fs.FileInfo) (string, error) {
	text := fmt.Sprintf("%s %d", info.Mode(), info.ModTime().UnixNano())
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		return text + " -> " + to, err
	case info.Mode().IsRegular():
		content, err := os.ReadFile(path)
		return fmt.Sprintf("%s %x", text, sha256.Sum256(content)), err
	}
	return text, nil
}

// unchanged runs read and requires that the world is the same after it.
func (r *run) unchanged(doing string, read func()) {
	r.Helper()
	before := r.world.Snapshot(r)
	read()
	if diff := cmp.Diff(before, r.world.Snapshot(r)); diff != "" {
		r.Errorf("%s changed the world (-before +after):\n%s", doing, diff)
	}
}

// LockedBy returns the execution that a lock file of astern's names.
func LockedBy(t testing.TB, path string) string {
	t.Helper()
	var lock astern.Claim
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &lock)
	}
	if err != nil {
		t.Errorf("reading the lock file %s: %v", path, err)
	}
	return lock.Execution
}

// Keeping is a folder as it was.
type Keeping struct {
	testing.TB
	root, aside string
}

// Kept keeps what is in a folder.
func Kept(t testing.TB, root string) Keeping {
	t.Helper()
	k := Keeping{t, root, filepath.Join(t.TempDir(), "kept")}
	if err := os.CopyFS(k.aside, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	return k
}

// Restore makes the folder as it was.
func (k Keeping) Restore() {
	k.Helper()
	all, err := os.ReadDir(k.root)
	if err != nil {
		k.Fatal(err)
	}
	for _, one := range all {
		if err := os.RemoveAll(filepath.Join(k.root, one.Name())); err != nil {
			k.Fatal(err)
		}
	}
	k.Copy(k.root)
}

// Copy makes another folder the same.
func (k Keeping) Copy(to string) {
	k.Helper()
	if err := os.CopyFS(to, os.DirFS(k.aside)); err != nil {
		k.Fatal(err)
	}
}
