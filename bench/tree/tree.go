// Package tree keeps what a folder holds and puts it back. The benches of truth break worlds that are made of files, and put
// them back between trials.
package tree

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Node is one thing in a tree: enough to make it again.
type Node struct {
	mode fs.FileMode
	text []byte // a file's content or a link's target
}

// Tree is what a folder holds, by the path below it.
type Tree map[string]Node

// Keep reads a tree. What lies below the folders in without is left out.
func Keep(top string, without ...string) (Tree, error) {
	out := Tree{}
	err := walk(top, without, func(p, at string, d fs.DirEntry) error {
		k, err := keepOne(p)
		out[at] = k
		return err
	})
	return out, err
}

func keepOne(p string) (Node, error) {
	info, err := os.Lstat(p)
	if err != nil {
		return Node{}, err
	}
	k := Node{mode: info.Mode()}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(p)
		k.text = []byte(target)
		return k, err
	case info.Mode().IsRegular():
		k.text, err = os.ReadFile(p)
	}
	return k, err
}

// Same reports whether they are of the same mode and content.
func (k Node) Same(o Node) bool { return k.mode == o.mode && bytes.Equal(k.text, o.text) }

// Repair puts a tree back to what was kept, and touches nothing that is as it was: what astern knows of unchanged files
// stays true.
func (was Tree) Repair(top string, without ...string) error {
	var paths []string
	for p := range was {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	for _, at := range paths { // folders first: nothing below one that can't be entered can be seen
		if info, err := os.Lstat(filepath.Join(top, at)); err == nil && info.IsDir() && was[at].mode.IsDir() {
			if err := os.Chmod(filepath.Join(top, at), was[at].mode.Perm()); err != nil {
				return err
			}
		}
	}
	if err := removeOthers(top, was, without); err != nil { // before anything is made: the disk may be full
		return err
	}
	for _, at := range paths {
		if k := was[at]; k.mode.IsDir() {
			if err := MakeFolder(filepath.Join(top, at), k.mode.Perm()); err != nil {
				return err
			}
		}
	}
	for _, at := range paths {
		k, p := was[at], filepath.Join(top, at)
		if k.mode.IsDir() {
			continue
		}
		if now, err := keepOne(p); err == nil && now.Same(k) {
			continue
		}
		if err := os.RemoveAll(p); err != nil {
			return err
		}
		var err error
		if k.mode&fs.ModeSymlink != 0 {
			err = os.Symlink(string(k.text), p)
		} else if err = os.WriteFile(p, k.text, 0o600); err == nil {
			err = os.Chmod(p, k.mode.Perm())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// MakeFolder makes a folder, or has one that is there be of that mode. Something else of that name is removed.
func MakeFolder(p string, mode fs.FileMode) error {
	info, err := os.Lstat(p)
	if err == nil && !info.IsDir() {
		if err = os.Remove(p); err == nil {
			err = fs.ErrNotExist
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = os.Mkdir(p, mode)
	}
	if err == nil && (info == nil || info.Mode().Perm() != mode) {
		err = os.Chmod(p, mode)
	}
	return err
}

// walk visits what is in a tree, each with its path below the top, and passes over what lies below the folders in without.
func walk(top string, without []string, visit func(p, at string, d fs.DirEntry) error) error {
	return filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at, err := filepath.Rel(top, p)
		switch {
		case err != nil:
			return err
		case !slices.Contains(without, at):
			return visit(p, at, d)
		case d.IsDir():
			return filepath.SkipDir
		}
		return nil
	})
}

func removeOthers(top string, was Tree, without []string) error {
	return walk(top, without, func(p, at string, d fs.DirEntry) error {
		if _, ok := was[at]; ok {
			return nil
		}
		if err := RemoveAll(p); err != nil {
			return err
		}
		if d.IsDir() {
			return filepath.SkipDir
		}
		return nil
	})
}

// RemoveAll removes a tree, also one with folders that can't be entered.
func RemoveAll(p string) error {
	err := filepath.WalkDir(p, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			return os.Chmod(p, 0o700)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return os.RemoveAll(p)
}

// Below returns the part of a tree below a folder.
func (was Tree) Below(folder string) Tree {
	out := Tree{}
	for at, k := range was {
		if rest, ok := strings.CutPrefix(at, folder+"/"); ok {
			out[rest] = k
		}
	}
	return out
}
