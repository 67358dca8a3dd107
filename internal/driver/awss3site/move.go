package awss3site

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/astern-dev/astern"
)

// putRelease puts the objects of a release that are missing or other ones: for verb put all but the entry points, for verb
// switch these, in the order in which they are declared.
func (o *order) putRelease(ctx context.Context, m marker, etag string) astern.Op {
	record, err := o.release(ctx, o.revision, o.hash)
	if err != nil {
		return failed(err)
	}
	entries := o.call.Verb == verbSwitch
	s := o.survey(record, entries, m.Same)
	s.rules.Versioned = true // it is asked for copies where something is missing
	if err := s.list(ctx, o.s3.ListObjectVersions); err != nil {
		return failed(fmt.Errorf("%s: %w", o.doing(), err))
	}
	r := s.releases[0]
	if missing := r.missing(); len(missing) > 0 {
		return failed(astern.Errorf(astern.Refused, "%s: %s", o.doing(), few(missing)).WithHint("astern targets %s shows what can be put again", o.p.component.Name))
	}
	var known manifest
	if !entries {
		known = o.left(ctx)
	}
	if err := s.compareHeaders(ctx, r, math.MaxInt, known); err != nil {
		return failed(fmt.Errorf("%s: %w", o.doing(), err))
	}
	if entries {
		if err := o.overtaken(ctx, r, s.now, m.Same); err != nil {
			return failed(err)
		}
	}
	made, done, err := o.copyAll(ctx, r, s.now, etag, entries)
	if err != nil {
		op := opOf(fmt.Errorf("%s: %w", o.doing(), err))
		if done > 0 { // some are there, and the next attempt goes on with the others
			op.Status = astern.OpUnsure
		}
		return op
	}
	m.Same = m.Same.of(record, made)
	revision := m.Revision
	if entries {
		revision = o.revision
	} else if o.from != "" {
		revision = o.from
	}
	return o.finish(ctx, m, etag, revision, fmt.Sprintf("%d objects put, %d were there", done, len(r.manifest.Files)-done))
}

// overtaken refuses to put entry points in the place of what the plan has not seen: each that is there must be that of the release
// which was served. (What comes after this look is refused by what replace asks.)
func (o *order) overtaken(ctx context.Context, r *release, there map[string]object, same copies) error {
	var before manifest // of nothing, where nothing was served
	ok, err := true, error(nil)
	if o.from != "" {
		before, ok, err = o.manifest(ctx, o.from)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.doing(), err)
	}
	if !ok {
		return nil // nobody knows what it had
	}
	for k, f := range r.manifest.Files {
		was, had := before.find(f.Path)
		is, live := there[f.Path]
		if !r.ways[k].live && (live != had || live && !same.holds(was, is)) {
			if live { // an ETag that nobody knows says nothing where each copy gets a new one: the content does
				now, err := o.digest(ctx, f.Path, is)
				if err != nil {
					return fmt.Errorf("%s: %w", o.doing(), err)
				}
				if now.SHA256 == f.SHA256 || had && now.SHA256 == was.SHA256 {
					continue
				}
			}
			return astern.Errorf(astern.Conflict, "%s: somebody else changed %s in the meantime", o.doing(), o.p.url(o.p.Prefix+f.Path)).WithHint("look at it, then plan again")
		}
	}
	return nil
}

// findEntries tells by the entry points themselves whether a switch is done where its marker does not say so: the reply to the
// last of them may have been lost, and what the plan expects to be served is not served any more. (A put that is begun again finds
// what it has to find, and puts the rest.)
func (o *order) findEntries(ctx context.Context, m marker) astern.Found {
	record, err := o.release(ctx, o.revision, o.hash)
	if err != nil {
		return unknown(err)
	}
	s := o.survey(record, true, m.Same)
	if err := s.list(ctx, o.s3.ListObjectVersions); err != nil {
		return unknown(err)
	}
	r := s.releases[0]
	if err := s.compareHeaders(ctx, r, math.MaxInt); err != nil {
		return unknown(err)
	}
	for k, f := range r.manifest.Files {
		if !r.ways[k].live {
			return absent(f.Path + " is not there yet")
		}
	}
	if m.Revision != o.revision && goodRevision(m.Revision) {
		marked, ok, err := o.manifest(ctx, m.Revision)
		if err != nil {
			return unknown(err)
		}
		if ok && marked.served(o.p, s.live, m.Same) { // both have these entry points: only the marker tells which of them is served
			return absent("the marker does not say so yet")
		}
	}
	return found(astern.Op{Status: astern.OpDone, Progress: fmt.Sprintf("all %d entry points are there", len(r.manifest.Files))})
}

// left returns the record of what was served, which knows the headers of most of what is there; nothing of one that can't be
// read.
func (o *order) left(ctx context.Context) manifest {
	if o.from == "" {
		return manifest{}
	}
	m, _, err := o.manifest(ctx, o.from)
	if err != nil {
		return manifest{}
	}
	return m
}

// survey begins a survey of the entry points of the release, or of all but these. Of a few keys nothing else is listed.
func (o *order) survey(record manifest, entries bool, same copies) *survey {
	s := newSurvey(o.clients, []*release{{recorded: recorded{revision: o.revision}, manifest: o.part(record, entries)}}, same)
	if entries {
		s.prefixes = nil
		for _, path := range o.p.Entries {
			s.prefixes = append(s.prefixes, o.p.Prefix+path)
		}
	}
	return s
}

// part returns the entry points of a manifest in the order in which they are put, or all but these.
func (o *order) part(m manifest, entries bool) manifest {
	out := m
	out.Files = slices.DeleteFunc(slices.Clone(m.Files), func(f file) bool { return o.p.isEntry(f.Path) != entries })
	return out
}

// copyAll puts the objects of a release that are not what is served, and says how many it did. Each is put on the condition
// that what is there is what the list showed, and that the marker is ours.
func (o *order) copyAll(ctx context.Context, r *release, there map[string]object, marker string, inOrder bool) (made copies, done int, err error) {
	type work struct {
		f file
		w way
	}
	var list []work
	for k, f := range r.manifest.Files {
		if !r.ways[k].live {
			list = append(list, work{f, r.ways[k]})
		}
	}
	if inOrder {
		slices.SortStableFunc(list, func(a, b work) int {
			return slices.Index(o.p.Entries, a.f.Path) - slices.Index(o.p.Entries, b.f.Path)
		})
	}
	made = copies{}
	var mu sync.Mutex
	var count atomic.Int64
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(sideBySide)
	if inOrder {
		group.SetLimit(1)
	}
	for _, one := range list {
		group.Go(func() error {
			if groupCtx.Err() != nil {
				return astern.Errorf(astern.Interrupted, "interrupted: %w", context.Cause(groupCtx))
			}
			put := o.replace
			if inOrder && len(list) > 1 {
				put = o.insist
			}
			etag, err := put(groupCtx, one.f, one.w, there[one.f.Path].etag, marker)
			if err != nil {
				return err
			}
			count.Add(1)
			if etag != one.f.ETag && etag != "" {
				mu.Lock()
				made[one.f.ETag] = etag
				mu.Unlock()
			}
			return nil
		})
	}
	err = group.Wait()
	return made, int(count.Load()), err
}

// replace is copy unless another execution was there. That is asked before each object: whoever went elsewhere and came back has left
// every object with the ETag that it had, which says nothing then.
func (o *order) replace(ctx context.Context, f file, w way, was, marker string) (etag string, err error) {
	if err := o.still(ctx, marker); err != nil {
		return "", err
	}
	return o.copy(ctx, f, w, was)
}

// insists is how often one of several entry points is tried.
const insists = 3

// insist is replace for what must not stay behind: visitors are served entry points of two releases meanwhile. A call that failed for
// a moment is made again, on the same conditions, unless what is there says that it had its effect.
func (o *order) insist(ctx context.Context, f file, w way, was, marker string) (etag string, err error) {
	for range insists {
		if etag, err = o.replace(ctx, f, w, was, marker); !astern.CodeOf(err).Transient() {
			return etag, err
		}
		if is, h, ok, seen := o.head(ctx, o.p.Prefix+f.Path); seen == nil && ok && is.etag == f.ETag && f.unlike(h) == "" {
			return is.etag, nil
		}
	}
	return etag, err
}

// prune deletes the objects that are in the records of other releases and not in that of what is served. In a bucket that
// keeps no versions those without a copy stay. What is superfluous here may be what a newer execution serves: so it is asked before
// each deletion whether one was there.
func (o *order) prune(ctx context.Context, m marker, etag string) astern.Op {
	record, err := o.release(ctx, o.revision, o.hash)
	if err != nil {
		return failed(err)
	}
	goes, unread, err := o.superfluous(ctx, record, m.Same)
	if err != nil {
		return failed(fmt.Errorf("%s: %w", o.doing(), err))
	}
	var count atomic.Int64
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(sideBySide)
	for path, is := range goes {
		group.Go(func() error {
			key := o.p.Prefix + path
			if err := o.still(groupCtx, etag); err != nil {
				return err
			}
			if _, err := o.act.DeleteObject(groupCtx, &s3.DeleteObjectInput{Bucket: &o.p.Bucket, Key: &key, IfMatch: quoted(is.etag)}); err != nil {
				return o.explain(err, "deleting", key)
			}
			count.Add(1)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		op := opOf(fmt.Errorf("%s: %w", o.doing(), err))
		if count.Load() > 0 {
			op.Status = astern.OpUnsure
		}
		return op
	}
	progress := fmt.Sprintf("%d objects deleted", count.Load())
	if len(unread) > 0 {
		progress += "; what only these had stays, for their records are none: " + few(unread)
	}
	return o.finish(ctx, m, etag, o.revision, progress)
}

// superfluous returns the objects that only other releases have, and the releases whose records tell nothing: what these had stays.
func (o *order) superfluous(ctx context.Context, record manifest, same copies) (goes map[string]object, unread []string, err error) {
	there, _, err := o.present(ctx) // what no record can hold stays
	if err != nil {
		return nil, nil, err
	}
	for _, f := range record.Files {
		delete(there, f.Path)
	}
	list, err := o.recorded(ctx)
	if err != nil {
		return nil, nil, err
	}
	versioning, err := o.versioning(ctx)
	if err != nil {
		return nil, nil, err
	}
	kept := map[string]object{}
	if versioning != versioningEnabled {
		if kept, err = o.copied(ctx); err != nil {
			return nil, nil, err
		}
	}
	goes = map[string]object{}
	for _, r := range list[:min(len(list), maxJudged)] {
		m, ok, err := o.manifest(ctx, r.revision)
		switch {
		case astern.CodeOf(err) == astern.Refused:
			unread = append(unread, r.revision)
			continue
		case err != nil:
			return nil, nil, err
		case !ok:
			continue
		}
		for _, f := range m.Files {
			is, ok := there[f.Path]
			held, copied := kept[f.SHA256]
			if ok && same.holds(f, is) && (versioning == versioningEnabled || copied && held.size == f.Size) {
				goes[f.Path] = is
			}
		}
	}
	return goes, unread, nil
}
