package hostservice

import (
	"errors"
	"io/fs"
	"syscall"
	"time"
)

// entryOf reads what the system tells of a file.
func entryOf(at string, info fs.FileInfo) (entry, error) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return entry{}, errors.ErrUnsupported
	}
	return entry{path: at, kind: kindOf(info), mode: uint64(s.Mode) & 0o7777, size: uint64(info.Size()), modified: info.ModTime(),
		meta: time.Unix(int64(s.Ctim.Sec), int64(s.Ctim.Nsec)), inode: uint64(s.Ino)}, nil
}
