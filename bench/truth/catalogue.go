package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/astern-dev/astern"
)

// row is one way in which something is broken.
type row struct {
	name string
	// read is what shows it to somebody who changes nothing; "" when no read can.
	read string
	// after is true for what comes after the check.
	after bool
	// one is true for what concerns the one target that was drawn, and no other.
	one bool
	// disk is true for what needs a disk of its own.
	disk bool
	// fits tells in which worlds it can be done; nil means all.
	fits func(w *world) bool
	// do breaks it; undo, which may be nil, takes back what putting the files back does not.
	do func(d *damage) (undo func(), err error)
}

// damage is what a row may act on.
type damage struct {
	*world
	ctx     context.Context
	target  string // the one that was drawn
	release string // its folder
	i       int    // the instance that was drawn
	rng     *rand.Rand
}

func far(w *world) bool      { return w.far > 0 }
func ownLinks(w *world) bool { return strings.Contains(w.link, "{instance}") }
func commands(w *world) bool { return !w.systemd }
func systemd(w *world) bool  { return w.systemd }
func drains(w *world) bool   { return w.drain }
func pair(w *world) bool     { return w.pair }

// near is for what depends on how the instance that has the file is restarted: one with commands that start it.
func starts(w *world) bool { return !w.systemd && !w.restart }

// files makes a row's act of one that only changes files.
func files(do func(d *damage) error) func(d *damage) (func(), error) {
	return func(d *damage) (func(), error) { return nil, do(d) }
}

// mode takes permissions away. The path is below the release root.
func mode(bits os.FileMode, at func(d *damage) string) func(d *damage) (func(), error) {
	return files(func(d *damage) error { return os.Chmod(at(d), bits) })
}

func inRoot(name string) func(d *damage) string {
	return func(d *damage) string { return filepath.Join(d.root, name) }
}

func inRelease(name string) func(d *damage) string {
	return func(d *damage) string { return filepath.Join(d.release, name) }
}

// command is the one by which the instances come up.
func command(d *damage) string {
	if d.world.restart || d.systemd {
		return filepath.Join(d.root, "bin/restart")
	}
	return filepath.Join(d.root, "bin/start")
}

// catalogue was written before the trials: a ready target that fails counts as a lie when its row names a read and was there
// before the check.
var catalogue = []row{
	{name: "release folder removed", read: "list the releases", one: true, do: files(func(d *damage) error { return os.RemoveAll(d.release) })},
	{name: "file altered", read: "hash the release", one: true, do: files(alter)},
	{name: "file altered, size and time kept", read: "hash the release when its ctime changed", one: true, do: files(alterSecretly)},
	{name: "file truncated", read: "hash the release", one: true, do: files(func(d *damage) error { return os.Truncate(inRelease("data/table")(d), 7) })},
	{name: "file removed", read: "hash the release", one: true, do: files(func(d *damage) error { return os.Remove(inRelease("data/version")(d)) })},
	{name: "file added", read: "hash the release", one: true, do: files(func(d *damage) error { return os.WriteFile(inRelease("data/new")(d), nil, 0o644) })},
	{name: "file unreadable for the login", read: "read every file", one: true, do: mode(0, inRelease("data/version"))},
	{name: "executable bit lost", read: "hash the release, with the bit", one: true, do: mode(0o644, inRelease("run"))},
	{name: "release folder can't be entered", read: "read every file", one: true, do: mode(0, inRelease(""))},
	{name: "folder in the release can't be listed", read: "read every file", one: true, do: mode(0o300, inRelease("data"))},
	{name: "folder of releases can't be listed", read: "list the releases", do: mode(0o300, inRoot("releases"))},
	{name: "folder of releases can't be entered", read: "list the releases", do: mode(0, inRoot("releases"))},
	{name: "release is a link to a folder elsewhere", read: "lstat the release", one: true, do: files(moveAway)},
	{name: "a link in the release leads out of it", read: "follow the links of the release", one: true, do: files(func(d *damage) error {
		if err := os.Remove(inRelease("data/version")(d)); err != nil {
			return err
		}
		return os.Symlink(filepath.Join(d.root, "lib/settings"), inRelease("data/version")(d))
	})},
	{name: "the link is a folder", read: "lstat the link", do: files(func(d *damage) error {
		if err := os.Remove(d.linkOf(d.i)); err != nil {
			return err
		}
		return os.Mkdir(d.linkOf(d.i), 0o755)
	})},
	{name: "the link dangles", read: "follow the link", do: files(func(d *damage) error { return os.RemoveAll(filepath.Join(d.root, "releases", current)) })},
	{name: "the link leads elsewhere", read: "follow the link", do: files(func(d *damage) error {
		if err := os.Remove(d.linkOf(d.i)); err != nil {
			return err
		}
		return os.Symlink(filepath.Join(d.root, "lib"), d.linkOf(d.i))
	})},
	{name: "release root can't be written", read: "access the root", do: mode(0o555, inRoot(""))},
	{name: "folder .astern can't be written", read: "access the folder", do: mode(0o555, inRoot(".astern"))},
	{name: "lock file can't be written", read: "access the file", do: mode(0o444, inRoot(".astern.lock"))},
	{name: "lock file can't be read", read: "access the file", do: mode(0o200, inRoot(".astern.lock"))},
	{name: "history can't be written", read: "access the file", do: mode(0o444, inRoot(".astern-history.jsonl"))},
	{name: "record of an instance's command can't be written", read: "access the file", do: mode(0o444, func(d *damage) string {
		return filepath.Join(d.root, ".astern", instance(d.i)+".run")
	})},
	{name: "folder of the link can't be written", read: "access the folder", fits: ownLinks, do: mode(0o555, inRoot("links"))},
	{name: "lock held by somebody else", read: "list the locks", do: func(d *damage) (func(), error) { return lock(inRoot(".astern.lock")(d)) }},
	{name: "a command of the instance still runs", read: "list the locks", do: func(d *damage) (func(), error) {
		return lock(filepath.Join(d.root, ".astern", instance(d.i)+".run"))
	}},
	{name: "start command missing", read: "stat the command", fits: commands, do: files(func(d *damage) error { return os.Remove(command(d)) })},
	{name: "start command not executable", read: "access the command", fits: commands, do: mode(0o644, command)},
	{name: "start command's interpreter missing", read: "read its first line, stat that", fits: commands, do: files(func(d *damage) error {
		return os.WriteFile(command(d), []byte("#!/usr/bin/no-such-shell\n"+ctl), 0o755)
	})},
	{name: "stop command missing", read: "stat the command", fits: starts, do: files(func(d *damage) error { return os.Remove(inRoot("bin/stop")(d)) })},
	{name: "status command missing", read: "stat the command", fits: commands, do: files(func(d *damage) error { return os.Remove(inRoot("bin/status")(d)) })},
	{name: "status command fails", read: "run it: it changes nothing", fits: commands, do: files(func(d *damage) error {
		return os.WriteFile(inRoot("bin/status")(d), []byte("#!/bin/sh\necho broken >&2\nexit 1\n"), 0o755)
	})},
	{name: "drain command missing", read: "stat the command", fits: drains, do: files(func(d *damage) error { return os.Remove(inRoot("bin/drain")(d)) })},
	{name: "undrain command not executable", read: "access the command", fits: drains, do: mode(0o644, inRoot("bin/undrain"))},
	{name: "drain command fails", fits: drains, do: files(func(d *damage) error {
		return os.WriteFile(inRoot("bin/drain")(d), []byte("#!/bin/sh\nexit 1\n"), 0o755)
	})},
	{name: "process dead and its port taken by another", read: "list what listens", do: portTaken},
	{name: "pid file lost while the process runs", read: "list what listens", do: func(d *damage) (func(), error) {
		return nil, os.Remove(filepath.Join(d.root, "run", instance(d.i)+".pid"))
	}},
	{name: "process dead", read: "look for the process", do: func(d *damage) (func(), error) { return nil, d.end(d.i) }},
	{name: "host unreachable", read: "connect", fits: far, do: func(d *damage) (func(), error) {
		d.server.stop()
		return func() { d.again(d.server.start()) }, nil
	}},
	{name: "host key changed", read: "connect", fits: far, do: func(d *damage) (func(), error) { return d.replace("known_hosts", "host") }},
	{name: "login refused", read: "connect", fits: far, do: func(d *damage) (func(), error) { return d.replace("authorized_keys", "") }},
	{name: "disk full", read: "statfs the root", disk: true, do: files(fill)},
	{name: "no inodes left", read: "statfs the root", disk: true, do: files(fillInodes)},
	{name: "unit missing", read: "ask systemd for its load state", fits: systemd, do: files(func(d *damage) error {
		return os.Remove(filepath.Join(d.root, "units", instance(d.i)))
	})},
	{name: "revision latched", read: "read the ledger", one: true, do: event(astern.Event{Kind: astern.EventLatched, Reason: "it lost orders"})},
	{name: "recorded with another hash", read: "hash the release, compare with the ledger", one: true,
		do: func(d *damage) (func(), error) {
			d.other = d.target // what is there is not what was deployed last under that name
			undo, err := event(astern.Event{Kind: astern.EventDeployed, Hash: "sha256:" + strings.Repeat("ab", 32)})(d)
			return undo, err
		}},
	{name: "another component moved where it does not fit", read: "look at its link", fits: pair, do: files(func(d *damage) error {
		if err := os.Remove(filepath.Join(d.depot, "current")); err != nil {
			return err
		}
		return os.Symlink("releases/v2.0.0", filepath.Join(d.depot, "current"))
	})},
	{name: "declaration changed: another folder of releases", read: "list the releases", do: declare("          uptime:", "          releases: old\n          uptime:")},
	{name: "declaration changed: a command that is not there", read: "stat the command", fits: commands, do: declare("./bin/st", "./sbin/st")},
	{name: "declaration changed: one more instance, never started", read: "look at its link", fits: ownLinks,
		do: func(d *damage) (func(), error) {
			address, err := freeAddress()
			if err != nil {
				return nil, err
			}
			return declare("          commands:", "            - {name: shop9, address: \""+address+"\"}\n          commands:")(d)
		}},
	{name: "history holds a line that is cut off", read: "read the history", do: files(func(d *damage) error {
		return os.WriteFile(inRoot(".astern-history.jsonl")(d), []byte("{\"at\":\"20"), 0o644)
	})},
	{name: "what the release needs beside it is gone", one: false, do: files(func(d *damage) error { return os.Remove(inRoot("lib/settings")(d)) })},
	{name: "the tool can't write its pid files", do: func(d *damage) (func(), error) {
		return nil, os.Chmod(filepath.Join(d.root, "run"), 0o555)
	}},
	{name: "after the check: release folder removed", read: "list the releases", after: true, one: true, do: files(func(d *damage) error { return os.RemoveAll(d.release) })},
	{name: "after the check: file altered", read: "hash the release", after: true, one: true, do: files(alter)},
	{name: "after the check: release root can't be written", read: "access the root", after: true, do: mode(0o555, inRoot(""))},
	{name: "after the check: start command missing", read: "stat the command", after: true, fits: commands, do: files(func(d *damage) error { return os.Remove(command(d)) })},
	{name: "after the check: lock held by somebody else", read: "list the locks", after: true, do: func(d *damage) (func(), error) { return lock(inRoot(".astern.lock")(d)) }},
}

func alter(d *damage) error {
	return os.WriteFile(inRelease("data/version")(d), []byte("v6.6.6 and more\n"), 0o644)
}

// alterSecretly changes a byte and keeps size, mode and time of change of the file.
func alterSecretly(d *damage) error {
	at := inRelease("data/version")(d)
	info, err := os.Stat(at)
	if err != nil {
		return err
	}
	if err := os.WriteFile(at, []byte(strings.Replace(d.target, "v", "w", 1)+"\n"), 0o644); err != nil {
		return err
	}
	return os.Chtimes(at, time.Now(), info.ModTime())
}

func moveAway(d *damage) error {
	away := filepath.Join(d.root, "elsewhere")
	if err := os.Rename(d.release, away); err != nil {
		return err
	}
	return os.Symlink(away, d.release)
}

// lock holds a lock as flock does; a command that has it for a moment is waited for.
func lock(file string) (func(), error) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil // which gives the lock back
}

// end ends an instance's process.
func (w *world) end(i int) error {
	if pid := w.pid(i); services(w.root)[pid] != "" {
		return syscall.Kill(pid, syscall.SIGKILL)
	}
	return nil
}

func portTaken(d *damage) (func(), error) {
	if err := d.end(d.i); err != nil {
		return nil, err
	}
	var l net.Listener
	var err error
	for range 200 {
		if l, err = net.Listen("tcp", d.ports[d.i]); err == nil {
			return func() { l.Close() }, nil // nobody is served
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, err
}

// again notes that the world could not be put back.
func (d *damage) again(err error) {
	if err != nil {
		d.spoilt = err
	}
}

// replace puts something else into a file of the server: a new key, or nothing.
func (d *damage) replace(file, key string) (func(), error) {
	at := d.server.file(file)
	was, err := os.ReadFile(at)
	if err != nil {
		return nil, err
	}
	text := ""
	if key != "" {
		fresh, err := newKey(d.server.file("other"))
		if err != nil {
			return nil, err
		}
		text = strings.Fields(string(was))[0] + " " + marshalled(fresh)
	}
	if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return func() { d.again(os.WriteFile(at, was, 0o600)) }, nil
}

// fill writes until the disk is full.
func fill(d *damage) error {
	f, err := os.Create(inRoot("filler")(d))
	if err != nil {
		return err
	}
	defer f.Close() // what could not be written is what is wanted
	block := make([]byte, 4<<10)
	for range 10_000 {
		if _, err := f.Write(block); err != nil {
			return nil
		}
	}
	return fmt.Errorf("the disk does not get full")
}

func fillInodes(d *damage) error {
	for n := range 10_000 {
		if err := os.WriteFile(fmt.Sprintf("%s/filler-%d", d.root, n), nil, 0o600); err != nil {
			return nil
		}
	}
	return fmt.Errorf("the disk takes any number of files")
}

// event writes into the ledger about the target.
func event(e astern.Event) func(d *damage) (func(), error) {
	return func(d *damage) (func(), error) {
		a, done, err := d.open(d.ctx)
		if err != nil {
			return nil, err
		}
		defer done()
		e.Address, e.Revision, e.At = "test/shop", d.target, time.Now().Add(-time.Hour)
		_, err = a.Store.AddEvent(d.ctx, e)
		return nil, err
	}
}

// declare changes astern.yaml.
func declare(old, new string) func(d *damage) (func(), error) {
	return files(func(d *damage) error {
		at := filepath.Join(d.home, "astern.yaml")
		text, err := os.ReadFile(at)
		if err != nil {
			return err
		}
		if !strings.Contains(string(text), old) {
			return fmt.Errorf("astern.yaml does not hold %q", old)
		}
		return os.WriteFile(at, []byte(strings.ReplaceAll(string(text), old, new)), 0o600)
	})
}
