package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// kept is one thing in a tree: enough to make it again.
type kept struct {
	mode fs.FileMode
	text []byte // a file's content or a link's target
}

// keep reads a tree. What lies below the folders in without is left out.
func keep(top string, without ...string) (map[string]kept, error) {
	out := map[string]kept{}
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		for _, w := range without {
			if at == w {
				if d.IsDir() {
					return filepath.SkipDir
				}
				return nil
			}
		}
		k, err := keepOne(p)
		out[at] = k
		return err
	})
	return out, err
}

func keepOne(p string) (kept, error) {
	info, err := os.Lstat(p)
	if err != nil {
		return kept{}, err
	}
	k := kept{mode: info.Mode()}
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

func (k kept) same(o kept) bool { return k.mode == o.mode && bytes.Equal(k.text, o.text) }

// repair puts a tree back to what was kept, and touches nothing that is as it was: what astern knows of unchanged files
// stays true.
func repair(top string, was map[string]kept, without ...string) error {
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
			if err := makeFolder(filepath.Join(top, at), k.mode.Perm()); err != nil {
				return err
			}
		}
	}
	for _, at := range paths {
		k, p := was[at], filepath.Join(top, at)
		if k.mode.IsDir() {
			continue
		}
		if now, err := keepOne(p); err == nil && now.same(k) {
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

func makeFolder(p string, mode fs.FileMode) error {
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

func removeOthers(top string, was map[string]kept, without []string) error {
	return filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		for _, w := range without {
			if at == w {
				if d.IsDir() {
					return filepath.SkipDir
				}
				return nil
			}
		}
		if _, ok := was[at]; ok {
			return nil
		}
		if err := removeAll(p); err != nil {
			return err
		}
		if d.IsDir() {
			return filepath.SkipDir
		}
		return nil
	})
}

// removeAll removes a tree, also one with folders that can't be entered.
func removeAll(p string) error {
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

// below returns the part of a tree below a folder.
func below(was map[string]kept, folder string) map[string]kept {
	out := map[string]kept{}
	for at, k := range was {
		if rest, ok := strings.CutPrefix(at, folder+"/"); ok {
			out[rest] = k
		}
	}
	return out
}
