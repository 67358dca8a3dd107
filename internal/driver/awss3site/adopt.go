package awss3site

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// maxFiles is how many objects a release may have: its record is read into memory.
const maxFiles = 200_000

// present lists the objects of the site as they are now, and the keys that no record can hold.
func (c clients) present(ctx context.Context) (there map[string]object, odd []string, err error) {
	there = map[string]object{}
	err = c.versionPages(ctx, c.p.Prefix, c.s3.ListObjectVersions, func(page *s3.ListObjectVersionsOutput) error {
		for _, v := range page.Versions {
			key := aws.ToString(v.Key)
			path := strings.TrimPrefix(key, c.p.Prefix)
			if !aws.ToBool(v.IsLatest) || strings.HasPrefix(key, recordsFolder) || path == "" {
				continue
			}
			if !goodPath(path) {
				odd = append(odd, strconv.Quote(path))
				continue
			}
			there[path] = object{etagOf(v.ETag), aws.ToInt64(v.Size), versionOf(v.VersionId), string(v.StorageClass)}
		}
		if len(there) > maxFiles {
			return astern.Errorf(astern.Refused, "listing %s: there are more than %d objects", c.p.url(c.p.Prefix), maxFiles).
				WithHint("give the site a prefix of its own")
		}
		return nil
	})
	return there, odd, err
}

// adopt records what is served: it reads every object that no other record knows, and in a bucket that keeps no versions it
// copies the content as well. What is left for another release is recorded as far as it goes: a site that lacks an entry point,
// or has a key that no record can hold, is what a rollback is for.
func (o *order) adopt(ctx context.Context, m marker, etag string) astern.Op {
	there, odd, err := o.present(ctx)
	if err != nil {
		return opOf(fmt.Errorf("%s: %w", o.doing(), err))
	}
	entries := map[string]object{}
	for _, path := range o.p.Entries {
		if e, ok := there[path]; ok {
			entries[path] = e
		}
	}
	leaves := strings.HasPrefix(o.revision, unrecorded)
	switch name := nameOf(entries, o.p.Entries); {
	case len(entries) < len(o.p.Entries) && !leaves:
		return failed(astern.Errorf(astern.Refused, "%s: it has %d of %d entry points", o.doing(), len(entries), len(o.p.Entries)).WithHint("upload the rest first"))
	case len(odd) > 0 && !leaves:
		return failed(astern.Errorf(astern.Refused, "%s: %s can't be recorded: the key holds control characters", o.doing(), few(odd)).
			WithHint("give it another key, or take it away"))
	case strings.HasPrefix(o.from, unrecorded) && name != o.from:
		return failed(astern.Errorf(astern.Refused, "%s: the entry points were changed since this was planned", o.doing()).WithHint("plan again"))
	}
	files, archived, err := o.files(ctx, there)
	if err != nil {
		return opOf(fmt.Errorf("%s: %w", o.doing(), err))
	}
	if i := slices.IndexFunc(archived, o.p.isEntry); i >= 0 && !leaves {
		return failed(astern.Errorf(astern.Refused, "%s: %s is archived, and nobody is served it", o.doing(), archived[i]).WithHint("upload it again"))
	}
	versioning, err := o.versioning(ctx)
	if err != nil {
		return failed(fmt.Errorf("%s: %w", o.doing(), err))
	}
	if versioning != versioningEnabled {
		if err := o.keep(ctx, files); err != nil {
			return opOf(fmt.Errorf("%s: %w", o.doing(), err))
		}
	}
	record := manifestOf(o.revision, files)
	if err := o.record(ctx, record); err != nil {
		return opOf(err)
	}
	return o.finish(ctx, m, etag, o.revision, recordedOp(record).Progress+without("are archived", archived)+without("have control characters in their keys", odd))
}

// without says what a record leaves out.
func without(why string, paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	return fmt.Sprintf(", without %d that %s: %s", len(paths), why, few(paths))
}

// files reads what the objects are, and names those that are archived: nobody is served them, and they can't be read. What the
// newest records know already, by version and ETag, is not read again.
func (o *order) files(ctx context.Context, there map[string]object) (files []file, archived []string, err error) {
	known := map[string]file{}
	list, err := o.recorded(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range list[:min(len(list), 2)] {
		m, ok, err := o.manifest(ctx, r.revision)
		if err != nil || !ok {
			continue // then its objects are read again
		}
		for _, f := range m.Files {
			if f.Version != "" {
				known[f.Path+"\n"+f.Version+"\n"+f.ETag] = f
			}
		}
	}
	files = make([]file, 0, len(there))
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(sideBySide)
	for path, is := range there {
		if f, ok := known[path+"\n"+is.version+"\n"+is.etag]; ok {
			mu.Lock()
			files = append(files, f)
			mu.Unlock()
			continue
		}
		group.Go(func() error {
			f, err := o.digest(groupCtx, path, is)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case awsapi.Is(err, "InvalidObjectState"):
				archived = append(archived, path)
			case err != nil:
				return err
			default:
				files = append(files, f)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	sortFiles(files)
	slices.Sort(archived)
	return files, archived, nil
}

// keep copies content into the records, by its digest: each content once.
func (o *order) keep(ctx context.Context, files []file) error {
	there, err := o.copied(ctx)
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(sideBySide)
	for _, f := range files {
		if is, ok := there[f.SHA256]; ok && is.size == f.Size {
			continue
		}
		there[f.SHA256] = object{size: f.Size}
		group.Go(func() error {
			key, from := o.p.copyKey(f.SHA256), o.p.Prefix+f.Path
			_, err := o.act.CopyObject(groupCtx, &s3.CopyObjectInput{Bucket: &o.p.Bucket, Key: &key, CopySource: copySource(o.p.Bucket, from, ""),
				CopySourceIfMatch: quoted(f.ETag), StorageClass: s3types.StorageClass(f.StorageClass)})
			if err != nil {
				return o.explain(err, "keeping a copy of", from)
			}
			return nil
		})
	}
	return group.Wait()
}

// record writes a manifest. One that is there and says the same is as good; another one is a Conflict.
func (o *order) record(ctx context.Context, m manifest) error {
	key := o.p.manifestKey(m.Revision)
	text := m.encode()
	if len(text) > maxManifest {
		return astern.Errorf(astern.Refused, "%s: its record would be larger than %d MB", o.doing(), maxManifest>>20)
	}
	_, err := o.put(ctx, key, text, "")
	if err == nil {
		return nil
	}
	if astern.CodeOf(err) == astern.Conflict {
		is, ok, readErr := o.manifest(ctx, m.Revision)
		switch {
		case readErr == nil && ok && is.Hash == m.Hash:
			return nil
		case readErr == nil && ok:
			return astern.Errorf(astern.Conflict, "%s: it is recorded already with other objects", o.doing()).
				WithHint("choose another name; a record is never overwritten")
		}
	}
	return fmt.Errorf("%s: %w", o.doing(), err)
}

func recordedOp(m manifest) astern.Op {
	return astern.Op{Status: astern.OpDone, Progress: fmt.Sprintf("%s is recorded with %d objects", m.Revision, len(m.Files))}
}

// findRecord looks for the record of the release.
func (o *order) findRecord(ctx context.Context) astern.Found {
	m, ok, err := o.manifest(ctx, o.revision)
	if err != nil {
		return unknown(err)
	}
	if !ok {
		return absent("there is no such record")
	}
	if o.call.Verb == verbCompose {
		return found(composedOp(m))
	}
	last, _, err := o.marker(ctx)
	switch {
	case err != nil:
		return unknown(err)
	case last.Revision != o.revision:
		return absent("it is recorded, and not yet marked as what is served")
	}
	return found(recordedOp(m))
}

func composedOp(m manifest) astern.Op {
	op := recordedOp(m)
	op.Outputs = map[string]astern.Arg{"hash": astern.Text(m.Hash)}
	return op
}

// compose records a release that is another one with a single object of a third.
func (o *order) compose(ctx context.Context) astern.Op {
	base, source, path := o.call.Text("base"), o.call.Text("source"), o.call.Text("object")
	hash := o.call.Text("base_hash")
	if !goodRevision(base) || !goodRevision(source) || !goodPath(path) || !goodHash(hash) || pickedName(base, hash, path, o.call.Text("version")) != o.revision {
		return failed(astern.Errorf(astern.Invalid, "step %s is not as a plan writes it", o.call.Step).WithHint("plan again; a plan that was edited by hand can't be trusted"))
	}
	whole, err := o.release(ctx, base, hash)
	var from manifest
	if err == nil {
		from, err = o.release(ctx, source, "")
	}
	if err != nil {
		return failed(err)
	}
	one, ok := from.find(path)
	if !ok || one.version() != o.call.Text("version") {
		return failed(astern.Errorf(astern.Refused, "%s: %s in %s is not what the plan saw", o.doing(), oneLine(path), source).WithHint("plan again"))
	}
	files := make([]file, 0, len(whole.Files)+1)
	for _, f := range whole.Files {
		if f.Path != path {
			files = append(files, f)
		}
	}
	files = append(files, one)
	sortFiles(files)
	m := manifestOf(o.revision, files)
	if err := o.record(ctx, m); err != nil {
		return opOf(err)
	}
	return composedOp(m)
}
