package hostservice

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/astern-dev/astern"
)

// native reads the machine that astern runs on.
type native struct{}

// look reads a release root, as look.sh does.
func (native) look(ctx context.Context, l layout, names []string, history int) (sight, error) {
	s := newSight()
	if err := ctx.Err(); err != nil {
		return s, interrupted(ctx, "looking at "+l.root)
	}
	if missing, why := folderThere(l.root); missing || why != "" {
		if s.trouble = why; why != "" {
			return s, fmt.Errorf("looking at %s: %s", l.root, why)
		}
		return s, nil
	}
	s.lookAtReleases(l.releases)
	for _, at := range linkPaths(l, names) {
		info, err := os.Lstat(at)
		switch {
		case err != nil: // a folder on the way that can't be passed holds no link that could be followed
		case info.Mode()&fs.ModeSymlink == 0:
			s.links[at] = linkSeen{trouble: at + " is no symbolic link"}
		default:
			text, err := os.Readlink(at)
			if err != nil {
				s.links[at] = linkSeen{trouble: oneLine(err.Error())}
				continue
			}
			link := readLink(l, s.real, at, text, whereTo(at))
			var st unix.Stat_t
			if statBelow(unix.AT_FDCWD, at, &st) == nil {
				link.changed = time.Unix(st.Ctim.Unix())
			}
			s.links[at] = link
		}
	}
	if f, err := os.Open(l.root + "/.astern.lock"); err == nil {
		line, _ := bufio.NewReader(io.LimitReader(f, 1<<16)).ReadString('\n') // a line that is cut off is no JSON
		f.Close()                                                             // opened for reading only
		s.addLock(line)
	}
	if history > 0 {
		s.history = readHistory(tailOf(l.root+"/.astern-history.jsonl", history))
	}
	return s, nil
}

// folderThere reports whether there is nothing at the path, or why it can't be looked into.
func folderThere(at string) (missing bool, why string) {
	info, err := os.Stat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, ""
	case err != nil:
		return false, oneLine(err.Error())
	case !info.IsDir():
		return false, at + " is no folder"
	}
	return false, ""
}

// lookAtReleases lists the folder of the releases.
func (s *sight) lookAtReleases(releases string) {
	missing, why := folderThere(releases)
	if missing || why != "" {
		s.trouble = why
		return
	}
	fd, err := openFolder(unix.AT_FDCWD, releases, 0)
	if err == nil {
		defer unix.Close(fd) // opened for reading only
		var names []string
		err = eachName(fd, func(name string) error {
			names = append(names, name)
			return nil
		})
		s.addAllFound(fd, names)
	}
	if err != nil {
		s.trouble = releases + ": " + reason(err)
		return
	}
	s.real = whereTo(releases)
	var was, is unix.Stat_t // of what was read, and of what is at its name; there was no link there, and one is what came since
	if unix.Fstat(fd, &was) != nil || unix.Lstat(s.real, &is) != nil || was.Dev != is.Dev || was.Ino != is.Ino {
		s.trouble, s.real = releases+": it was exchanged while it was read", ""
		clear(s.releases)
		clear(s.ignored)
	}
}

// addAllFound notes what lies in the folder of the releases.
func (s *sight) addAllFound(fd int, names []string) {
	type found struct {
		kind    string // "" when it is gone meanwhile
		changed int64  // in seconds since 1970
	}
	all := make([]found, len(names))
	spread(len(names), func(i int) {
		var st unix.Stat_t
		if statBelow(fd, names[i], &st) == nil && !strings.HasPrefix(names[i], "..") { // the other reader does not see such a name
			all[i].kind = kindOf(uint32(st.Mode))
			all[i].changed, _ = st.Mtim.Unix()
		}
	})
	for i, f := range all {
		switch f.kind {
		case "":
		case "l":
			s.ignored[names[i]] = aLink
		case "d":
			s.addRelease(names[i], f.changed)
		default:
			s.ignored[names[i]] = noFolder
		}
	}
}

// Why something beside the releases is none; look.sh has the same words.
const (
	aLink    = "a symbolic link, not a folder"
	noFolder = "not a folder"
)

// reason words an error without the operation and the path, as a shell's tools do.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return err.Error()
}

func interrupted(ctx context.Context, doing string) error {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return astern.Errorf(astern.Unavailable, "%s: it took too long", doing).WithHint("give it more time: timeout in the settings")
	}
	return astern.Errorf(astern.Interrupted, "%s: interrupted: %w", doing, context.Cause(ctx))
}

// tailBytes bounds how much of a history is read: far more than its last lines take.
const tailBytes = 8 << 20

// tailOf returns the last lines of a file, "" when it can't be read.
func tailOf(name string, lines int) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close() // opened for reading only
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	return lastLines(f, lines, tailBytes)
}

// maxLinks is how many links a path may go through.
const maxLinks = 40

// whereTo returns where a path really leads, "" when it leads nowhere. As with readlink -f, the last part need not exist.
func whereTo(at string) string {
	rest := strings.Split(at, "/")
	done, links := "", 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = strings.TrimSuffix(path.Dir("/"+done), "/")
			continue
		}
		next := done + "/" + part
		info, err := os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist) && len(rest) == 0:
			return next
		case err != nil:
			return ""
		case info.Mode()&fs.ModeSymlink != 0:
			text, err := os.Readlink(next)
			if links++; err != nil || links > maxLinks {
				return ""
			}
			if path.IsAbs(text) {
				done = ""
			}
			rest = append(strings.Split(text, "/"), rest...)
		case !info.IsDir() && len(rest) > 0:
			return ""
		default:
			done = next
		}
	}
	return "/" + strings.TrimPrefix(done, "/")
}

// hash hashes the folders, as hash.sh does, side by side on all processors.
func (native) hash(ctx context.Context, folders []string, timeout time.Duration) []hashed {
	out := make([]hashed, len(folders))
	spread(len(folders), func(i int) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		out[i] = hashHere(ctx, folders[i])
	})
	return out
}

// list lists the folders, side by side on all processors.
func (native) list(ctx context.Context, folders []string, before map[string]kept, timeout time.Duration) []listing {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	out := make([]listing, len(folders))
	above := openParent(folders)
	defer above.close()
	spread(len(folders), func(i int) {
		room := rooms.Get().(*[]entry)
		defer rooms.Put(room)
		if k := before[folders[i]]; k.names != "" {
			*room = above.entriesOf(ctx, (*room)[:0], folders[i], k.names)
			if l := listingOf(*room, began); len(*room) > 0 && l.digest == k.digest {
				out[i] = l
				return
			}
		}
		entries, err := entriesOf(ctx, (*room)[:0], folders[i])
		if err == nil {
			out[i] = listingOf(entries, began)
			out[i].names = namesOf(entries)
		}
		*room = entries
	})
	return out
}

// rooms are what folders are listed into, one for each goroutine and not one for each of thousands of folders.
var rooms = sync.Pool{New: func() any { return new([]entry) }}

// spread calls f for 0 to n-1 from as many goroutines as there are processors, and waits for them.
func spread(n int, f func(i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	group.Wait()
}

// each visits everything below a folder, itself excluded, without following any link. dir is the folder of the entry
// and at its path from the top, which begins with "./".
func each(ctx context.Context, dir *os.Root, above string, visit func(dir *os.Root, at string, e fs.DirEntry) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f, err := dir.Open(".")
	if err != nil {
		return &unread{above, err}
	}
	entries, err := f.ReadDir(-1)
	f.Close() // opened for reading only
	if err != nil {
		return &unread{above, err}
	}
	for _, e := range entries {
		at := above + "/" + e.Name()
		if err := visit(dir, at, e); err != nil {
			return err
		}
		if !e.IsDir() {
			continue
		}
		below, err := dir.OpenRoot(e.Name())
		if err != nil {
			return &unread{at, err}
		}
		err = each(ctx, below, at, visit)
		below.Close() // opened for reading only
		if err != nil {
			return err
		}
	}
	return nil
}

// unread is an error about something in a folder.
type unread struct {
	at  string
	err error
}

// Error says it with the path from the top of the folder.
func (u *unread) Error() string { return u.at + ": " + reason(u.err) }

// noFollow opens a file and never what a link points to, nor waits for the other end of a pipe.
const noFollow = os.O_RDONLY | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
