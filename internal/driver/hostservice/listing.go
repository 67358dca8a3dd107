package hostservice

import (
	"context"
	"errors"
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
		modified: time.Unix(s.Mtim.Unix()), meta: time.Unix(s.Ctim.Unix()), inode: s.Ino}
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
