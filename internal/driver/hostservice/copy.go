package hostservice

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// copy sends the source to the host, beside the releases, and gives it its name when its hash is right.
func (o *order) copy(ctx context.Context) astern.Op {
	if !strings.HasPrefix(o.hash, "sha256:") {
		return failed(astern.Errorf(astern.Invalid, "%s: the plan names no content hash", o.doing()))
	}
	if there, exists, err := hashOf(ctx, o.machine, o.releases+"/"+o.revision, o.timeout); err != nil || exists {
		return o.present(there, err)
	}
	if err := o.send(ctx); err != nil {
		return o.sent(ctx, err)
	}
	hash, exists, err := hashOf(ctx, o.machine, o.partial(), o.timeout)
	switch {
	case err != nil:
		return o.discard(ctx, astern.Errorf(astern.CodeOf(err), "%s: %w", o.doing(), err))
	case !exists || hash != o.hash:
		return o.discard(ctx, astern.Errorf(astern.Refused, "%s: what arrived has the hash %s, and the plan expects %s", o.doing(), short(hash), short(o.hash)).
			WithHint("%s was changed since the plan was made: plan again", o.source))
	}
	c := script("accept", o.root, o.fence(), o.executionFence, o.releases, o.call.Token, o.revision)
	c.Timeout = o.timeout
	r, err := o.machine.Run(ctx, c)
	if err != nil {
		return after(err)
	}
	if err, ok := o.refusal(r); ok {
		return o.discard(ctx, err)
	}
	if r.ExitCode != 0 {
		return unsure(astern.Errorf(astern.Internal, "%s: giving the folder its name: %s", o.doing(), orCode(r)))
	}
	return done(fmt.Sprintf("%s is on %s", o.revision, o.who[0].host))
}

func (o *order) partial() string { return o.releases + "/.partial-" + o.call.Token }

// present judges a release that is there before the copy.
func (o *order) present(hash string, err error) astern.Op {
	switch {
	case err != nil:
		return failed(astern.Errorf(astern.CodeOf(err), "%s: %w", o.doing(), err))
	case hash == o.hash:
		return done(fmt.Sprintf("%s is on %s", o.revision, o.who[0].host))
	}
	return failed(astern.Errorf(astern.Conflict, "%s: a folder of that name is there with other files: %s instead of %s",
		o.doing(), short(hash), short(o.hash)).WithHint("look at it on %s; astern overwrites no release", o.who[0].host))
}

// send packs the source into the standard input of the script that unpacks it.
func (o *order) send(ctx context.Context) error {
	reader, writer := io.Pipe()
	c := script("receive", o.root, o.fence(), o.executionFence, o.releases, o.call.Token)
	c.Stdin, c.Timeout = reader, o.timeout
	var packing sync.WaitGroup
	var packErr error
	packing.Go(func() {
		packErr = pack(o.source, writer)
		writer.CloseWithError(packErr)
	})
	r, err := o.machine.Run(ctx, c)
	reader.CloseWithError(errors.New("the other side does not read any more")) // ends the packing
	packing.Wait()
	switch {
	case err != nil:
		return err
	case r.ExitCode == host.ExitMissing:
		return astern.Errorf(astern.NotFound, "%s: there is no folder %s on %s", o.doing(), o.root, o.who[0].host).WithHint("make it, for the login that astern uses")
	}
	if err, ok := o.refusal(r); ok {
		return err
	}
	if r.ExitCode != 0 {
		return astern.Errorf(astern.Internal, "%s: unpacking: %s", o.doing(), orCode(r)).WithHint("%s", o.writable())
	}
	if packErr != nil {
		return astern.Errorf(astern.Internal, "%s: reading %s: %w", o.doing(), o.source, packErr)
	}
	return nil
}

// sent judges an error of send: what arrived lies under a name of its own and is no release. It is in nobody's way.
func (o *order) sent(ctx context.Context, err error) astern.Op {
	if ctx.Err() != nil || astern.CodeOf(err) == astern.Unavailable || astern.CodeOf(err) == astern.Interrupted {
		return failed(err)
	}
	return o.discard(ctx, err)
}

// discard removes what arrived and fails.
func (o *order) discard(ctx context.Context, err error) astern.Op {
	c := script("discard", o.root, o.releases, o.call.Token)
	c.Timeout = o.timeout
	op := failed(err)
	if r, rmErr := o.machine.Run(ctx, c); rmErr != nil || r.ExitCode != 0 {
		op.Hint = strings.TrimPrefix(op.Hint+"; "+o.partial()+" is left over: the next copy removes it", "; ")
	}
	return op
}

// findCopy looks for the release with the right content.
func (o *order) findCopy(ctx context.Context) astern.Found {
	hash, exists, err := hashOf(ctx, o.machine, o.releases+"/"+o.revision, o.timeout)
	switch {
	case err != nil:
		return unknown("%s", err.Error())
	case !exists:
		return absent("%s/%s is not there", o.releases, o.revision)
	case hash != o.hash:
		return absent("%s/%s has other files", o.releases, o.revision)
	}
	return found(done(fmt.Sprintf("%s is on %s", o.revision, o.who[0].host)))
}

// pack writes the folder as a tar archive: folders, files with their modes and times, and links. Nothing else can be in
// a release that has a hash.
func pack(folder string, w io.Writer) error {
	t := tar.NewWriter(w)
	err := filepath.WalkDir(folder, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(folder, at)
		if err != nil || rel == "." {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(at); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		h.Name = "./" + filepath.ToSlash(rel)
		h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
		if err := t.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(at)
		if err != nil {
			return err
		}
		defer f.Close() // opened for reading only
		_, err = io.Copy(t, f)
		return err
	})
	if err != nil {
		return err
	}
	return t.Close()
}
