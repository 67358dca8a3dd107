package hostservice

import (
	"context"
	"errors"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A release folder is listed far more often than it is read, so this asks the system itself, by the name below an open
// folder: the system does not walk the whole path again for each file, and nothing is kept of what is not asked for.

// entriesOf lists a folder of this machine with everything below it, and follows no link. It adds to a slice, so that one
// who lists thousands of folders needs the memory of one.
func entriesOf(ctx context.Context, to []entry, folder string) ([]entry, error) {
	fd, err := openFolder(unix.AT_FDCWD, folder, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd) // opened for reading only
	var top unix.Stat_t
	if err := again(func() error { return unix.Fstat(fd, &top) }); err != nil {
		return nil, err
	}
	return addEntries(ctx, append(to, entryOf("", &top)), fd, "")
}

func addEntries(ctx context.Context, to []entry, fd int, above string) ([]entry, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	err := eachName(fd, func(name string) error {
		var st unix.Stat_t
		if err := statBelow(fd, name, &st); err != nil {
			return err
		}
		to = append(to, entryOf(above+name, &st))
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return nil
		}
		below, err := openFolder(fd, name, unix.O_NOFOLLOW)
		if err != nil {
			return err
		}
		defer unix.Close(below) // opened for reading only
		to, err = addEntries(ctx, to, below, above+name+"/")
		return err
	})
	return to, err
}

// Opening a small folder, asking twice for the names in it and closing it take half of the time of its listing. Where the names are
// known from before, each is asked for instead. A folder that got or lost a name since then has another time of change, so
// the digest is another one, and it is listed. Git's untracked cache does the same; as there, the file system has to be one
// that keeps these times.

// namesAtOnce is how many names are asked for before looking whether there is time for more.
const namesAtOnce = 256

// keepTimes are the file systems whose folders change their times when a name in them comes or goes, by the numbers of statfs(2). Overlayfs
// is none: a folder has the times of its topmost layer, and names from those below.
var keepTimes = []int64{0xEF53 /* ext2 to 4 */, 0x58465342 /* xfs */, 0x9123683E /* btrfs */, 0x01021994, /* tmpfs */
	0x2FC12FC1 /* zfs */, 0xF2F52010 /* f2fs */}

// namesOf returns the paths of what is below a folder, sorted as its listing is; none where a part of it is on another file system.
func namesOf(entries []entry) []string {
	var out []string
	for _, e := range entries {
		if e.device != entries[0].device {
			return nil
		}
		if e.path != "" {
			out = append(out, e.path)
		}
	}
	return out
}

// namesText returns what is kept of the names below a folder, "" where they tell nothing.
func namesText(folder string, names []string) string {
	var st unix.Statfs_t
	if len(names) == 0 || runtime.GOOS != "linux" || again(func() error { return unix.Statfs(folder, &st) }) != nil || !slices.Contains(keepTimes, int64(st.Type)) {
		return ""
	}
	var out strings.Builder
	for _, name := range names {
		if strings.Contains(name, "\n") {
			return ""
		}
		out.WriteString("\t" + name + "\n")
	}
	return out.String()
}

// parent is the open folder in which most of the folders are that are listed: below it the system does not walk the whole path again for
// each file. One for all is enough, and more would be as many as there are folders where each is in one of its own.
type parent struct {
	path string
	fd   int
}

// openParent opens the parent of the first folder; where that can't be opened it is none of any folder's.
func openParent(folders []string) parent {
	if len(folders) > 1 {
		if fd, err := openFolder(unix.AT_FDCWD, path.Dir(folders[0]), 0); err == nil {
			return parent{path.Dir(folders[0]), fd}
		}
	}
	return parent{"", -1}
}

func (p parent) close() {
	if p.fd >= 0 {
		unix.Close(p.fd) // opened for reading only
	}
}

// entriesOf asks for a folder and for what was below it by its names. It adds nothing when one of them is gone, and when there is no
// more time.
func (p parent) entriesOf(ctx context.Context, to []entry, folder, names string) []entry {
	fd, base := unix.AT_FDCWD, folder
	if path.Dir(folder) == p.path {
		fd, base = p.fd, path.Base(folder)
	}
	var st unix.Stat_t
	if again(func() error { return unix.Fstatat(fd, base, &st, 0) }) != nil { // it may be a link, what is below it is asked for as it is
		return to
	}
	out := append(to, entryOf("", &st))
	for line := range strings.Lines(names) {
		name := line[1 : len(line)-1]
		if len(out)%namesAtOnce == 0 && ctx.Err() != nil {
			return to
		}
		if statBelow(fd, base+"/"+name, &st) != nil {
			return to
		}
		out = append(out, entryOf(name, &st))
	}
	return out
}

// eachName visits the names in an open folder, in the order of the file system.
func eachName(fd int, visit func(name string) error) error {
	var block [4096]byte
	var names []string
	for {
		var n int
		err := again(func() (err error) {
			n, err = unix.ReadDirent(fd, block[:])
			return err
		})
		if err != nil || n <= 0 {
			return err
		}
		_, _, names = unix.ParseDirent(block[:n], -1, names[:0])
		for _, name := range names {
			if err := visit(name); err != nil {
				return err
			}
		}
	}
}

// openFolder opens a folder by its name below another one.
func openFolder(above int, name string, flags int) (int, error) {
	fd := -1
	err := again(func() (err error) {
		fd, err = unix.Openat(above, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|flags, 0)
		return err
	})
	return fd, err
}

// statBelow reads what the system tells of a name in an open folder, of a link itself.
func statBelow(fd int, name string, st *unix.Stat_t) error {
	return again(func() error { return unix.Fstatat(fd, name, st, unix.AT_SYMLINK_NOFOLLOW) })
}

// again calls f until no signal came in between.
func again(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// entryOf makes an entry of what the system tells of a file.
func entryOf(at string, s *unix.Stat_t) entry {
	return entry{path: at, kind: kindOf(uint32(s.Mode)), mode: uint64(s.Mode) & 0o7777, size: uint64(s.Size),
		modified: time.Unix(s.Mtim.Unix()), meta: time.Unix(s.Ctim.Unix()), inode: s.Ino, device: uint64(s.Dev)}
}

// kindOf returns the letter that find shows for a file.
func kindOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "f"
	case unix.S_IFDIR:
		return "d"
	case unix.S_IFLNK:
		return "l"
	case unix.S_IFIFO:
		return "p"
	case unix.S_IFSOCK:
		return "s"
	case unix.S_IFCHR:
		return "c"
	}
	return "b"
}
