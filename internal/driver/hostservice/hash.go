package hostservice

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// content collects what is hashed of one folder.
type content struct {
	lines []string
	links [][2]string // path and target
	odd   string      // the first file name that makes the lines ambiguous
	other string      // the first that is neither file, folder nor link
	file  hash.Hash
	block []byte
}

// blocks are what files are read into, one for each goroutine and not one for each of thousands of folders.
var blocks = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// hashHere hashes a folder of this machine: the same lines as those of hash.sh.
func hashHere(ctx context.Context, folder string) hashed {
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return hashed{}
	}
	none := func(err error) hashed {
		if ctx.Err() != nil {
			err = interrupted(ctx, "hashing "+folder)
		}
		return hashed{exists: true, err: err}
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return none(hashTrouble(folder, reason(err)))
	}
	defer root.Close() // opened for reading only
	block := blocks.Get().(*[128 << 10]byte)
	defer blocks.Put(block)
	c := &content{lines: []string{"d ."}, file: sha256.New(), block: block[:]}
	err = each(ctx, root, ".", func(dir *os.Root, at string, e fs.DirEntry) error { return c.add(ctx, dir, at, e) })
	if err != nil {
		return none(hashTrouble(folder, oneLine(err.Error())))
	}
	if err := c.against(folder); err != nil {
		return none(err)
	}
	slices.Sort(c.lines)
	sum := sha256.New()
	for _, line := range c.lines {
		io.WriteString(sum, line+"\n") // a hash takes everything
	}
	return hashed{hash: "sha256:" + hex.EncodeToString(sum.Sum(nil)), exists: true}
}

// add takes one entry in.
func (c *content) add(ctx context.Context, dir *os.Root, at string, e fs.DirEntry) error {
	if strings.ContainsAny(e.Name(), "\n\r\\") && (c.odd == "" || at < c.odd) {
		c.odd = at
	}
	switch {
	case e.IsDir():
		c.lines = append(c.lines, "d "+at)
	case e.Type()&fs.ModeSymlink != 0:
		target, err := dir.Readlink(e.Name())
		if err != nil {
			return &unread{at, err}
		}
		c.links = append(c.links, [2]string{at, target})
		// A target may hold line breaks: the lines are then sorted one by one, and the shell drops those at its end.
		c.lines = append(c.lines, strings.Split("l "+at+" -> "+strings.TrimRight(target, "\n"), "\n")...)
	case e.Type().IsRegular():
		line, err := c.sum(ctx, dir, e.Name(), at)
		if err != nil {
			return &unread{at, err}
		}
		c.lines = append(c.lines, line)
	case c.other == "" || at < c.other:
		c.other = at
	}
	return nil
}

// sum reads one file, block by block.
func (c *content) sum(ctx context.Context, dir *os.Root, name, at string) (string, error) {
	f, err := dir.OpenFile(name, noFollow, 0)
	if err != nil {
		return "", err
	}
	defer f.Close() // opened for reading only
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it was replaced while it was read")
	}
	c.file.Reset()
	for {
		n, err := f.Read(c.block)
		c.file.Write(c.block[:n]) // a hash takes everything
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return "", err
		}
	}
	how := "f "
	if info.Mode()&0o100 != 0 {
		how = "x "
	}
	return how + hex.EncodeToString(c.file.Sum(nil)) + "  " + at, nil
}

// against returns what speaks against a hash.
func (c *content) against(folder string) error {
	switch {
	case c.odd != "":
		return oddName(c.odd)
	case c.other != "":
		return noPlainFile(c.other)
	case len(c.links) == 0:
		return nil
	}
	real, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return hashTrouble(folder, reason(err))
	}
	for _, l := range c.links {
		if leadsOut(real, l[0], l[1], whereTo(real+"/"+l[0])) {
			return linkOut(l[0])
		}
	}
	return nil
}
