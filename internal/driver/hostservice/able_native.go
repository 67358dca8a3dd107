package hostservice

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/astern-dev/astern/internal/host"
)

// What access(2) is asked for.
const (
	mayExecute = 1
	mayWrite   = 2
	mayRead    = 4
)

// ability collects what is in the way on this machine.
type ability struct {
	root  string
	name  string // the instance looked at, "" for the whole root
	locks []byte // as the system lists them, nil where it does not
	found []hindrance
}

func (a *ability) add(record, format string, args ...any) {
	a.found = append(a.found, hindrance{record, a.name, oneLine(fmt.Sprintf(format, args...))})
}

// able looks as able.sh does.
func (native) able(ctx context.Context, root string, needs []need) ([]hindrance, error) {
	if missing, why := folderThere(root); missing || why != "" {
		return nil, nil
	}
	a := &ability{root: root}
	a.locks = locks()
	a.mayWrite(root + "/.astern.lock")
	a.mayWrite(root + "/.astern-history.jsonl")
	if !onPath("flock") && !onPath("perl") {
		a.add("broken", "neither flock (util-linux) nor perl is installed")
	}
	if a.held(root + "/.astern.lock") {
		a.add("risk", "the lock of %s is held", root)
	}
	var disk syscall.Statfs_t
	if syscall.Statfs(root, &disk) == nil {
		a.add("space", "%d %d %d %d", disk.Bavail, disk.Bsize, disk.Ffree, disk.Files)
	}
	var listening map[string]bool
	if slices.ContainsFunc(needs, func(n need) bool { return n.port != "" }) {
		listening = listeners() // the system walks a large table for it
	}
	for _, n := range needs {
		a.name = n.name
		a.instance(n, listening)
		if n.unit != "" {
			a.unit(ctx, n)
		}
	}
	return a.found, nil
}

func (a *ability) instance(n need, listening map[string]bool) {
	if dir := path.Dir(n.link); !enter(dir) {
		a.add("broken", "the login may not write into %s", dir)
	}
	run := a.root + "/.astern/" + n.name
	if exists(a.root + "/.astern") {
		a.mayWrite(run + ".run")
		a.mayWrite(run + ".out")
	} else if !enter(a.root) {
		a.add("broken", "the login may not write into %s", a.root)
	}
	if a.held(run + ".run") {
		a.add("risk", "one of its commands is still running")
	}
	if listening[n.port] {
		a.add("listens", "%s", n.port)
	}
	for _, c := range n.commands {
		a.runs(c[0], c[1])
	}
}

func exists(at string) bool { _, err := os.Stat(at); return err == nil }

func enter(at string) bool {
	info, err := os.Stat(at)
	return err == nil && info.IsDir() && syscall.Access(at, mayWrite|mayExecute) == nil
}

func onPath(name string) bool { _, err := exec.LookPath(name); return err == nil }

func (a *ability) mayWrite(file string) {
	info, err := os.Stat(file)
	switch {
	case err == nil && (!info.Mode().IsRegular() || syscall.Access(file, mayRead|mayWrite) != nil):
		a.add("broken", "the login may not read and write %s", file)
	case err != nil && !enter(path.Dir(file)):
		a.add("broken", "the login may not write into %s", path.Dir(file))
	}
}

// readings is how often the system's list of locks is read. It comes a page at a time, and one that is released between two pages
// can hide another: measured with 300 locks that come and go, 5 of 9,591 readings missed one that was held all the time, 27 of
// 6,460 where they went by 512 bytes. What any of the readings lists is held.
const readings = 3

// locks returns the locks that the system lists, nil where it does not.
func locks() []byte {
	var all bytes.Buffer
	for range readings {
		f, err := os.Open("/proc/locks")
		if err != nil {
			return nil
		}
		all.Grow(64 << 10) // so much is asked for at once
		_, err = all.ReadFrom(f)
		f.Close() // it was only read
		if err != nil {
			return nil
		}
	}
	return all.Bytes()
}

// held reports whether somebody has a lock on the file. It is not tried: a lock that is tried is in another's way.
func (a *ability) held(file string) bool {
	info, err := os.Stat(file)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	device := uint64(stat.Dev) // numbers of inodes repeat on other disks
	where := fmt.Appendf(nil, " %02x:%02x:%d ", device>>8&0xfff, device&0xff|device>>12&0xfff00, stat.Ino)
	for line := range bytes.Lines(a.locks) {
		if bytes.Contains(line, []byte("FLOCK ")) && bytes.Contains(line, where) {
			return true
		}
	}
	return false
}

// runs looks whether a command can be started.
func (a *ability) runs(what, name string) {
	if !strings.Contains(name, "/") {
		if !onPath(name) {
			a.add("broken", "there is no %s to %s it with", name, what)
		}
		return
	}
	file := name
	if !path.IsAbs(file) {
		file = path.Join(a.root, name)
	}
	info, err := os.Stat(file)
	switch {
	case err != nil:
		a.add("broken", "there is no %s to %s it with", file, what)
	case !info.Mode().IsRegular() || syscall.Access(file, mayExecute) != nil:
		a.add("broken", "the login may not execute %s to %s it with", file, what)
	default:
		a.shebang(what, file)
	}
}

// shebang looks whether that by which a script says that it is run is there.
func (a *ability) shebang(what, file string) {
	f, err := os.Open(file)
	if err != nil {
		return // it may be executed all the same
	}
	defer f.Close() // opened for reading only
	head, _ := io.ReadAll(io.LimitReader(f, 256))
	if i := bytes.IndexAny(head, "\n\x00"); i >= 0 {
		head = head[:i]
	}
	line, ok := strings.CutPrefix(string(head), "#!")
	if !ok {
		return
	}
	words := append(strings.Fields(line), "", "")
	missing := ""
	switch {
	case words[0] == "" || syscall.Access(words[0], mayExecute) != nil:
		missing = words[0]
	case path.Base(words[0]) == "env" && words[1] != "" && !strings.HasPrefix(words[1], "-") && !strings.Contains(words[1], "=") && !onPath(words[1]):
		missing = words[1]
	default:
		return
	}
	a.add("broken", "there is no %s to run %s by, which is to %s it", missing, file, what)
}

// unit asks systemd whether it can start the instance's unit.
func (a *ability) unit(ctx context.Context, n need) {
	argv := []string{"systemctl"}
	if n.user {
		argv = append(argv, "--user")
	}
	r, err := host.Here().Run(ctx, host.Command{Argv: append(argv, "show", "-p", "LoadState", n.unit), Timeout: readTimeout})
	if err != nil {
		return // that there is no systemctl, or that it does not answer, is told already
	}
	switch state := strings.TrimPrefix(strings.TrimSpace(r.Stdout), "LoadState="); state {
	case "not-found", "masked", "bad-setting", "error":
		a.add("broken", "systemd can't start %s: it is %s", n.unit, state)
	}
}

// listeners returns the ports on which something listens, where the system tells.
func listeners() map[string]bool {
	out := map[string]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			if len(words) < 4 || words[3] != "0A" {
				continue
			}
			if i := strings.LastIndexByte(words[1], ':'); i >= 0 {
				if b, err := hex.DecodeString(words[1][i+1:]); err == nil && len(b) == 2 {
					out[strconv.Itoa(int(b[0])<<8|int(b[1]))] = true
				}
			}
		}
	}
	return out
}
