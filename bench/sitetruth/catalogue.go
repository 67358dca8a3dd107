package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// moment is when something is broken.
type moment int

const (
	before     moment = iota // the check
	afterCheck               // and before the plan
	afterPlan                // and before the act
)

// row is one way in which something is broken.
type row struct {
	name string
	// read is what shows it to somebody who changes nothing; "" when no read can.
	read string
	when moment
	// one is true for what concerns the one target that was drawn, and no other.
	one bool
	// disk is true for what needs a disk of its own.
	disk bool
	// fits tells in which worlds it can be done; nil means all.
	fits func(w *world) bool
	// do breaks it.
	do func(d *damage) error
}

// damage is what a row may act on.
type damage struct {
	*world
	ctx     context.Context
	target  string // the one that was drawn
	release string // its folder
	note    string // its manifest
	until   func(undo func())
}

func answers(w *world) bool { return w.url }
func puts(w *world) bool    { return w.deploys }
func noted(w *world) bool   { return w.deploys || w.notes }
func bare(w *world) bool    { return !w.deploys && !w.notes }

// The acts that many rows share. A path is that of a damage.
type path func(d *damage) string

func inRoot(name string) path { return func(d *damage) string { return filepath.Join(d.root, name) } }
func inRelease(name string) path {
	return func(d *damage) string { return filepath.Join(d.release, name) }
}
func inCurrent(name string) path { return inRoot(filepath.Join("releases", current, name)) }
func ofNote(d *damage) string    { return d.note }

// inServed is a path in what is served.
func inServed(name string) path { return inRoot(filepath.Join("current", name)) }

func mode(bits os.FileMode, at path) func(d *damage) error {
	return func(d *damage) error { return os.Chmod(at(d), bits) }
}

func gone(at path) func(d *damage) error {
	return func(d *damage) error { return os.RemoveAll(at(d)) }
}

func holds(text string, at path) func(d *damage) error {
	return func(d *damage) error { return write(at(d), []byte(text)) }
}

// replaced puts something else in the place of what was there.
func replaced(at path, make func(at, was string) error) func(d *damage) error {
	return func(d *damage) error {
		if err := os.MkdirAll(filepath.Dir(at(d)), 0o755); err != nil {
			return err
		}
		aside := filepath.Join(d.slot, "aside") // out of the root
		if err := os.Rename(at(d), aside); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return make(at(d), aside)
	}
}

func byLink(at, aside string) error { return os.Symlink(aside, at) }
func byFolder(at, _ string) error   { return os.Mkdir(at, 0o755) }
func byFIFO(at, _ string) error     { return syscall.Mkfifo(at, 0o644) }
func byFile(at, _ string) error     { return os.WriteFile(at, []byte("a stranger's\n"), 0o644) }

// leads has the link lead elsewhere.
func leads(to path) func(d *damage) error {
	return func(d *damage) error { return relink(inRoot("current")(d), to(d)) }
}

func text(s string) path { return func(*damage) string { return s } }

func serves(change func(h *how)) func(d *damage) error {
	return func(d *damage) error {
		d.web.does(change)
		return nil
	}
}

func declares(change func(p *place)) func(d *damage) error {
	return func(d *damage) error { return d.declare(change) }
}

const (
	asset = "assets/logo.svg"
	lock  = ".astern.lock"
)

// catalogue was written before the trials: a ready target that fails counts as a lie when its row names a read and was there
// before the check. What another login than the one of the trials would have to own, such as a link in a folder with the sticky
// bit, is in no row.
func catalogue() []row {
	return slices.Concat(releaseRows(), manifestRows(), linkRows(), rootRows(), servedRows(), lockRows(), diskRows(), knownRows(), webRows(), laterRows())
}

// releaseRows are about the release that is gone to, and the folder of all of them.
func releaseRows() []row {
	const hash = "hash the release"
	return []row{
		{name: "release removed", read: "list the releases", one: true, do: gone(inRelease(""))},
		{name: "release renamed", read: "list the releases", one: true, do: func(d *damage) error { return os.Rename(d.release, d.release+"-old") }},
		{name: "release is a link to where it was moved", read: "lstat the release", one: true, do: replaced(inRelease(""), byLink)},
		{name: "release is a file", read: "lstat the release", one: true, do: replaced(inRelease(""), byFile)},
		{name: "release is an empty folder", read: "list the release", one: true, do: replaced(inRelease(""), byFolder)},
		{name: "release can't be entered", read: "list the release", one: true, do: mode(0, inRelease(""))},
		{name: "release can't be written", read: "access the release", one: true, do: mode(0o555, inRelease(""))},
		{name: "file removed", read: hash, one: true, do: gone(inRelease(asset))},
		{name: "entry point removed", read: hash, one: true, do: gone(inRelease(entries[1]))},
		{name: "file truncated", read: hash, one: true, do: func(d *damage) error { return os.Truncate(inRelease(asset)(d), 7) }},
		{name: "file emptied", read: hash, one: true, do: func(d *damage) error { return os.Truncate(inRelease(asset)(d), 0) }},
		{name: "one byte changed, size and time kept", read: hash, one: true, do: func(d *damage) error { return alterSecretly(inRelease(asset)(d)) }},
		{name: "file added", read: hash, one: true, do: holds("a stranger's\n", inRelease("new.html"))},
		{name: "file with a line break in its name added", read: "list the release", one: true, do: holds("", inRelease("a\nb"))},
		{name: "file with a name that is no UTF-8 added", read: "list the release", one: true, do: holds("", inRelease("a\xffb"))},
		{name: "file renamed to another case", read: hash, one: true, do: func(d *damage) error { return os.Rename(inRelease(asset)(d), inRelease("assets/Logo.svg")(d)) }},
		{name: "file unreadable", read: "read every file", one: true, do: mode(0, inRelease(asset))},
		{name: "file can't be written", read: "stat it", one: true, do: mode(0o444, inRelease(asset))},
		{name: "file has another name elsewhere as well", read: "stat it", one: true, do: func(d *damage) error {
			return os.Link(inRelease(asset)(d), filepath.Join(d.slot, "aside"))
		}},
		{name: "file is a link out of the site", read: "lstat every file", one: true, do: replaced(inRelease(asset), byLink)},
		{name: "file is a link to another one of the release", read: "lstat every file", one: true, do: replaced(inRelease(asset), func(at, _ string) error {
			return os.Symlink("empty", at)
		})},
		{name: "file is a folder", read: "lstat every file", one: true, do: replaced(inRelease(asset), byFolder)},
		{name: "file is a FIFO", read: "lstat every file", one: true, do: replaced(inRelease(asset), byFIFO)},
		{name: "folder of the release is a link out of the site", read: "lstat every folder", one: true, do: replaced(inRelease("pages"), byLink)},
		{name: "folder of the release is a file", read: hash, one: true, do: replaced(inRelease("pages"), byFile)},
		{name: "folder of the release can't be listed", read: "list every folder", one: true, do: mode(0o300, inRelease("pages"))},
		{name: "folder of the release can't be entered", read: "read every file", one: true, do: mode(0o600, inRelease("pages"))},
		{name: "empty folder added", read: "list the release", one: true, do: func(d *damage) error { return os.Mkdir(inRelease("nothing")(d), 0o755) }},
		{name: "releases can't be listed", read: "list the releases", do: mode(0o300, inRoot("releases"))},
		{name: "releases can't be entered", read: "list the releases", do: mode(0, inRoot("releases"))},
		{name: "releases can't be written", read: "access the folder", do: mode(0o555, inRoot("releases"))},
		{name: "releases are a link to where they were moved", read: "lstat the folder", do: replaced(inRoot("releases"), byLink)},
		{name: "releases are a file", read: "lstat the folder", do: replaced(inRoot("releases"), byFile)},
		{name: "releases removed", read: "list the releases", do: gone(inRoot("releases"))},
		{name: "releases renamed", read: "list the releases", do: func(d *damage) error { return os.Rename(inRoot("releases")(d), inRoot("old")(d)) }},
	}
}

// alterSecretly changes a byte and keeps size and time of change of the file.
func alterSecretly(at string) error {
	info, err := os.Stat(at)
	if err != nil {
		return err
	}
	was, err := os.ReadFile(at)
	if err != nil {
		return err
	}
	was[len(was)/2] ^= 1
	return errors.Join(os.WriteFile(at, was, 0o644), os.Chtimes(at, time.Now(), info.ModTime()))
}

// manifestRows are about what is written down of a release: files of a release that are as the ledger remembers are the way
// back, whatever became of its manifest.
func manifestRows() []row {
	const read = "read the manifest"
	says := func(what func(d *damage) string) func(d *damage) error {
		return func(d *damage) error { return write(d.note, []byte(what(d))) }
	}
	good := func(d *damage) string { return string(manifest(d.target, d.files[d.target])) }
	ofCurrent := inRoot("manifests/" + current + ".json")
	return []row{
		{name: "manifest removed", read: read, one: true, fits: noted, do: gone(ofNote)},
		{name: "manifest empty", read: read, one: true, do: says(func(*damage) string { return "" })},
		{name: "manifest garbage", read: read, one: true, do: says(func(*damage) string { return "\x00\xff{]" })},
		{name: "manifest cut off", read: read, one: true, do: says(func(d *damage) string { return good(d)[:200] })},
		{name: "manifest with something after its end", read: read, one: true, do: says(func(d *damage) string { return good(d) + "{}" })},
		{name: "manifest is that of another release", read: read, one: true, do: says(func(d *damage) string {
			return string(manifest(current, d.files[current]))
		})},
		{name: "manifest says what another release holds", read: read, one: true, do: says(func(d *damage) string {
			return string(manifest(d.target, d.files[current]))
		})},
		{name: "manifest of a later version", read: read, one: true, do: says(func(d *damage) string {
			return strings.Replace(good(d), `"version": 1`, `"version": 2`, 1)
		})},
		{name: "manifest with a digest changed", read: read, one: true, do: says(func(d *damage) string {
			return strings.Replace(good(d), `"sha256": "`, `"sha256": "0`, 1)
		})},
		{name: "manifest written in another way", read: read, one: true, do: says(func(d *damage) string { return strings.ReplaceAll(good(d), "\n", "\n\n") })},
		{name: "manifest unreadable", read: read, one: true, do: func(d *damage) error {
			return errors.Join(says(good)(d), os.Chmod(d.note, 0))
		}},
		{name: "manifest is a link", read: "lstat the manifest", one: true, do: func(d *damage) error {
			return errors.Join(says(good)(d), replaced(ofNote, byLink)(d))
		}},
		{name: "manifest is a folder", read: "lstat the manifest", one: true, do: replaced(ofNote, byFolder)},
		{name: "manifest is a FIFO", read: "lstat the manifest", one: true, do: replaced(ofNote, byFIFO)},
		{name: "manifest of what is served is garbage", read: read, do: holds("{", ofCurrent)},
		{name: "manifest of what is served is a folder", read: "lstat the manifest", do: replaced(ofCurrent, byFolder)},
		{name: "manifest of what is served dangles", read: "lstat the manifest", do: replaced(ofCurrent, func(at, _ string) error { return os.Symlink("nowhere", at) })},
		{name: "manifests can't be written, and all are there", read: "access the folder", fits: noted, do: mode(0o555, inRoot("manifests"))},
		{name: "manifests can't be written, and none is there", read: "access the folder", fits: bare, do: func(d *damage) error {
			return os.Mkdir(inRoot("manifests")(d), 0o555)
		}},
		{name: "manifests can't be listed", read: "list the folder", fits: noted, do: mode(0o300, inRoot("manifests"))},
		{name: "manifests can't be entered", read: "list the folder", fits: noted, do: mode(0, inRoot("manifests"))},
		{name: "manifests are a file", read: "lstat the folder", do: replaced(inRoot("manifests"), byFile)},
		{name: "manifests are a link elsewhere", read: "lstat the folder", do: replaced(inRoot("manifests"), func(at, aside string) error {
			return errors.Join(os.MkdirAll(aside, 0o755), os.Symlink(aside, at))
		})},
	}
}

// linkRows are about the link that the web server serves.
func linkRows() []row {
	const follow = "follow the link"
	return []row{
		{name: "the link is a folder", read: "lstat the link", do: replaced(inRoot("current"), byFolder)},
		{name: "the link is a file", read: "lstat the link", do: replaced(inRoot("current"), byFile)},
		{name: "the link is gone", read: "lstat the link", do: gone(inRoot("current"))},
		{name: "the link leads to a release that is not there", read: follow, do: leads(text("releases/v9.9.9"))},
		{name: "the link leads nowhere", read: follow, do: leads(text("served/nowhere"))},
		{name: "the link leads out of the site", read: follow, do: func(d *damage) error {
			out := filepath.Join(d.slot, "hotfix")
			return errors.Join(write(filepath.Join(out, "index.html"), []byte("a hotfix")), leads(text(out))(d))
		}},
		{name: "the link leads to a folder in the site that is no release", read: follow, do: func(d *damage) error {
			return errors.Join(write(filepath.Join(d.root, "hotfix/index.html"), []byte("a hotfix")), leads(text("hotfix"))(d))
		}},
		{name: "the link leads to itself", read: follow, do: leads(text("current"))},
		{name: "the link is written from /", read: follow, do: leads(inRoot("releases/" + current))},
		{name: "the link is written in a roundabout way", read: follow, do: leads(text("./releases/../releases/" + current + "/"))},
		{name: "the link leads to the target already", read: follow, one: true, do: func(d *damage) error { return leads(text("releases/" + d.target))(d) }},
	}
}

// rootRows are about the folder that has everything.
func rootRows() []row {
	return []row{
		{name: "root can't be written", read: "access the root", do: mode(0o555, inRoot(""))},
		{name: "root can't be listed", read: "list the root", do: mode(0o300, inRoot(""))},
		{name: "root can't be entered", read: "stat the link", do: mode(0o600, inRoot(""))},
		{name: "root renamed", read: "stat the root", do: func(d *damage) error { return os.Rename(d.root, filepath.Join(d.slot, "aside")) }},
		{name: "root is a file", read: "stat the root", do: replaced(inRoot(""), byFile)},
		{name: "root is a link to where it was moved", read: "lstat the root", do: replaced(inRoot(""), byLink)},
	}
}

// servedRows are about what is served, and the folder of it.
func servedRows() []row {
	folder := func(then func(d *damage) error) func(d *damage) error { // also where astern put nothing together yet
		return func(d *damage) error { return errors.Join(os.MkdirAll(inRoot("served")(d), 0o755), then(d)) }
	}
	const compare = "hash what is served"
	return []row{
		{name: "served can't be written", read: "access the folder", do: folder(mode(0o555, inRoot("served")))},
		{name: "served can't be listed", read: "list the folder", do: folder(mode(0o300, inRoot("served")))},
		{name: "served is a file", read: "lstat the folder", do: replaced(inRoot("served"), byFile)},
		{name: "served is a link elsewhere", read: "lstat the folder", do: replaced(inRoot("served"), func(at, aside string) error {
			return errors.Join(os.MkdirAll(aside, 0o755), os.Symlink(aside, at))
		})},
		{name: "served removed", read: "list the folder", fits: puts, do: gone(inRoot("served"))},
		{name: "a file that is served was altered", read: compare, fits: puts, do: func(d *damage) error { return alterSecretly(inServed(asset)(d)) }},
		{name: "a file that is served is unreadable", read: compare, fits: puts, do: mode(0, inServed(asset))},
		{name: "a folder that is served can't be entered", read: compare, fits: puts, do: mode(0, inServed("pages"))},
		{name: "a file that is served is a FIFO", read: compare, fits: puts, do: replaced(inServed("pages/3.html"), byFIFO)},
		{name: "a file was added to what is served", read: compare, fits: puts, do: holds("a stranger's\n", inServed("new.html"))},
		{name: "a folder is served where the target has a file", read: compare, fits: puts, do: replaced(inServed("pages/3.html"), byFolder)},
		{name: "an earlier attempt left a copy", read: "list the folder", do: folder(holds("half", inRoot("served/.partial-x/index.html")))},
		{name: "an earlier attempt left a copy that can't be removed", read: "list the folder", do: folder(func(d *damage) error {
			return errors.Join(holds("half", inRoot("served/.partial-x/pages/1.html"))(d), os.Chmod(inRoot("served/.partial-x/pages")(d), 0))
		})},
		{name: "an earlier attempt left a link", read: "list the root", do: func(d *damage) error { return os.Symlink("nowhere", inRoot(".astern-link-x")(d)) }},
		{name: "release of what is served removed", read: "list the releases", fits: puts, do: gone(inCurrent(""))},
		{name: "release of what is served removed under the link", read: follows, fits: func(w *world) bool { return !w.deploys }, do: gone(inCurrent(""))},
		{name: "file of what is served altered in its release", read: "hash the releases", do: func(d *damage) error { return alterSecretly(inCurrent(asset)(d)) }},
		{name: "file of what is served unreadable in its release", read: "read the releases", do: mode(0, inCurrent(asset))},
		{name: "entry point of what is served removed in its release", read: "hash the releases", do: gone(inCurrent(entries[0]))},
		{name: "release of what is served holds a FIFO", read: "lstat every file", do: replaced(inCurrent("pages/3.html"), byFIFO)},
	}
}

const follows = "follow the link"

// lockRows are about the lock and the fence in it.
func lockRows() []row {
	made := func(then func(d *damage) error) func(d *damage) error { // also where astern never acted
		return func(d *damage) error {
			f, err := os.OpenFile(inRoot(lock)(d), os.O_CREATE|os.O_RDWR, 0o644)
			if err != nil {
				return err
			}
			return errors.Join(f.Close(), then(d))
		}
	}
	return []row{
		{name: "lock held by somebody else", read: "list the locks", do: made(held)},
		{name: "lock can't be written", read: "access the file", do: made(mode(0o444, inRoot(lock)))},
		{name: "lock can't be read", read: "access the file", do: made(mode(0o200, inRoot(lock)))},
		{name: "lock is a folder", read: "lstat the file", do: replaced(inRoot(lock), byFolder)},
		{name: "lock is a link", read: "lstat the file", do: replaced(inRoot(lock), func(at, aside string) error {
			return errors.Join(os.WriteFile(aside, nil, 0o644), os.Symlink(aside, at))
		})},
		{name: "lock dangles", read: "lstat the file", do: replaced(inRoot(lock), func(at, _ string) error { return os.Symlink("nowhere", at) })},
		{name: "lock is a FIFO", read: "lstat the file", do: replaced(inRoot(lock), byFIFO)},
		{name: "lock holds garbage", read: "read the file", do: holds("\x00{]\n", inRoot(lock))},
		{name: "lock removed", read: "lstat the file", do: gone(inRoot(lock))},
		{name: "lock says that another astern was there later", read: "read the file", do: holds(newer, inRoot(lock))},
	}
}

const newer = `{"fence":1000000,"execution":"ex-of-another-state","address":"test/site","at":"2026-01-02T03:04:05Z"}` + "\n"

// held holds the lock as flock does; a command that has it for a moment is waited for.
func held(d *damage) error {
	f, err := os.OpenFile(inRoot(lock)(d), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	d.until(func() { f.Close() }) // which gives the lock back
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
}

// diskRows are about room on the disk.
func diskRows() []row {
	const statfs = "statfs the root"
	needs := func(d *damage) (bytes, blocks int64) {
		for _, f := range d.files[d.target] {
			bytes += int64(len(f))
			blocks += (int64(len(f)) + block - 1) / block
		}
		return bytes, blocks
	}
	return []row{
		{name: "disk full", read: statfs, disk: true, do: func(d *damage) error { return fill(d, 0) }},
		{name: "disk has room for some files only", read: statfs, disk: true, do: func(d *damage) error { return fill(d, 4) }},
		{name: "disk has room for the bytes and not for the blocks", read: statfs, disk: true, do: func(d *damage) error {
			bytes, _ := needs(d)
			return fill(d, bytes/block+2)
		}},
		{name: "disk has room for one copy and little more", read: statfs, disk: true, do: func(d *damage) error {
			_, blocks := needs(d)
			return fill(d, blocks+8)
		}},
		{name: "no inodes left", read: statfs, disk: true, do: func(d *damage) error { return fillInodes(d, 0) }},
		{name: "inodes left for some files only", read: statfs, disk: true, do: func(d *damage) error { return fillInodes(d, 10) }},
	}
}

const block = 4 << 10

// fill writes until so many blocks are left.
func fill(d *damage, left int64) error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.slot, &s); err != nil {
		return err
	}
	n := (int64(s.Bavail)*s.Bsize - left*block) / block
	if n < 0 {
		return fmt.Errorf("the disk has less room than %d blocks", left)
	}
	return os.WriteFile(filepath.Join(d.slot, "filler"), make([]byte, n*block), 0o600)
}

func fillInodes(d *damage, left int) error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.slot, &s); err != nil {
		return err
	}
	for n := range int(s.Ffree) - left {
		if err := os.WriteFile(filepath.Join(d.slot, fmt.Sprintf("filler-%d", n)), nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// knownRows are about what is remembered and declared.
func knownRows() []row {
	return []row{
		{name: "revision latched", read: "read the ledger", one: true, do: event(astern.Event{Kind: astern.EventLatched, Reason: "it lost orders"})},
		{name: "recorded with another hash", read: "hash the release, compare with the ledger", one: true, do: func(d *damage) error {
			d.other = d.target // what is there is not what was deployed last under that name
			return event(astern.Event{Kind: astern.EventDeployed, Hash: "sha256:" + strings.Repeat("ab", 32)})(d)
		}},
		{name: "declaration changed: another folder of releases", read: "list the releases", do: declares(func(p *place) { p.releases = "old" })},
		{name: "declaration changed: a root that is not there", read: "stat the root", do: declares(func(p *place) { p.root += "-2" })},
		{name: "declaration changed: an entry point that no release has", read: "list the release", do: declares(func(p *place) { p.entry = "app.html" })},
	}
}

// event writes into the ledger about the target.
func event(e astern.Event) func(d *damage) error {
	return func(d *damage) error {
		store, err := sqlite.Open(d.ctx, filepath.Join(d.home, ".astern"))
		if err != nil {
			return err
		}
		e.Address, e.Revision, e.At, e.By = address, d.target, time.Now(), "ana"
		_, err = store.AddEvent(d.ctx, e)
		return errors.Join(err, store.Close())
	}
}

// webRows are about the web server, where its address is declared.
func webRows() []row {
	const ask = "ask the site"
	return []row{
		// That it answers wrong can be seen, and not whose doing that is: the served release's, which going back mends, or the server's.
		{name: "the site hangs up", read: ask, fits: answers, do: serves(func(h *how) { h.silent = true })},
		{name: "the site answers 503", fits: answers, do: serves(func(h *how) { h.status = 503 })},
		{name: "the site serves another folder", fits: answers, do: func(d *damage) error {
			other := filepath.Join(d.slot, "other")
			return errors.Join(write(filepath.Join(other, "index.html"), []byte("welcome")), serves(func(h *how) { h.folder = other })(d))
		}},
		{name: "the site answers with another cache header", fits: answers, do: serves(func(h *how) { h.header = "max-age=31536000" })},
		{name: "the site is declared where nobody answers", read: ask, fits: answers, do: declares(func(p *place) { p.url = "http://127.0.0.1:9" })},
		{name: "the site followed the link when it was started", fits: answers, do: func(d *damage) error {
			real, err := filepath.EvalSymlinks(inRoot("current")(d))
			if err != nil {
				return err
			}
			return serves(func(h *how) { h.folder = real })(d)
		}},
	}
}

// laterRows come after the check, or between plan and act.
func laterRows() []row {
	var out []row
	for _, m := range []struct {
		when moment
		name string
	}{{afterCheck, "after the check: "}, {afterPlan, "after the plan: "}} {
		for _, r := range []row{
			{name: "release removed", one: true, do: gone(inRelease(""))},
			{name: "one byte changed, size and time kept", one: true, do: func(d *damage) error { return alterSecretly(inRelease(asset)(d)) }},
			{name: "file is a link out of the site", one: true, do: replaced(inRelease(asset), byLink)},
			{name: "root can't be written", do: mode(0o555, inRoot(""))},
			{name: "lock held by somebody else", do: held},
			{name: "somebody else points the link to another release", do: func(d *damage) error {
				others := slices.DeleteFunc(slices.Sorted(maps.Keys(d.files)), func(rev string) bool { return rev == d.target || rev == current })
				return leads(text("releases/" + others[0]))(d)
			}},
			{name: "the link is a folder", do: replaced(inRoot("current"), byFolder)},
			{name: "served is a link elsewhere", do: replaced(inRoot("served"), func(at, aside string) error {
				return errors.Join(os.MkdirAll(aside, 0o755), os.Symlink(aside, at))
			})},
			{name: "another astern was there", do: holds(newer, inRoot(lock))},
			{name: "disk full", disk: true, do: func(d *damage) error { return fill(d, 0) }},
		} {
			r.name, r.when, r.read = m.name+r.name, m.when, "look again"
			out = append(out, r)
		}
	}
	return out
}
