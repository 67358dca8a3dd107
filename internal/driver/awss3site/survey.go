package awss3site

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/s3rules"
)

// Limits of what one observation looks at.
const (
	maxJudged = 20        // releases, the newest
	maxCopy   = 5 << 30   // bytes that CopyObject copies in one call
	maxListed = 5_000_000 // versions
)

// way is how one object of a release can be had again.
type way struct {
	version string // of its own key
	etag    string // of that version
	found   bool   // there is such a version
	copied  bool   // there is a copy of its content instead
	copy    object // as it is listed
	live    bool   // it is what is served, as it is
	unlike  string // in which headers what is served is another one, "" for none
	class   string // storage class of the version
	dies    s3rules.Death
}

// can says why the object can't be put again, "" when it can.
func (w way) can(f file) string {
	switch {
	case w.live:
		return ""
	case f.Size > maxCopy:
		return "is larger than 5 GiB, which one copy can't take"
	case w.copied:
		return ""
	case !w.found:
		return "is in no version of the bucket any more"
	case w.class == string(s3types.StorageClassGlacier) || w.class == string(s3types.StorageClassDeepArchive):
		return "is archived as " + w.class + " and must be restored first"
	}
	return ""
}

// release is a recorded release, with how each of its objects can be had.
type release struct {
	recorded
	manifest manifest
	trouble  error         // why the manifest can't be used
	ways     []way         // one for each file
	present  int           // of its paths that have an object now, whatever it holds
	bare     int           // of its objects that only what is served now holds
	dies     s3rules.Death // the first of its objects to be lost
}

// survey is what the bucket has of a site.
type survey struct {
	clients
	releases []*release
	index    map[string][]spot // path -> files of releases
	live     map[string]object // entry points as they are
	now      map[string]object // objects at paths that some release has, as they are
	shared   int               // objects now at paths that some release has
	foreign  int               // objects now at paths that no release has
	rules    s3rules.Rules
	same     copies
	listed   int
	most     int      // versions that are listed
	prefixes []string // of the keys that are listed
	last     struct { // of the list so far
		key     string
		since   time.Time // when what replaced the next entry of the key was written
		earlier int       // noncurrent versions of the key so far
	}
}

// spot is a file of a release.
type spot struct{ release, file int }

// newSurvey begins a survey of releases whose manifests are read.
func newSurvey(c clients, releases []*release, same copies) *survey {
	s := &survey{clients: c, same: same, releases: releases, index: map[string][]spot{}, live: map[string]object{}, now: map[string]object{}, most: maxListed,
		prefixes: []string{c.p.Prefix}}
	for i, r := range releases {
		r.ways = make([]way, len(r.manifest.Files))
		for k, f := range r.manifest.Files {
			s.index[f.Path] = append(s.index[f.Path], spot{i, k})
		}
	}
	return s
}

// records notes when a rule takes the record of a release away, without which nobody knows what it held. Records are looked for
// by their keys, so that one of before is gone, too.
func (s *survey) records(list []recorded) {
	rules := s3rules.Rules{List: s.rules.List}
	for _, r := range s.releases {
		i := slices.IndexFunc(list, func(one recorded) bool { return one.revision == r.revision })
		if i < 0 {
			continue
		}
		key := s.p.manifestKey(r.revision)
		if d := rules.Death(s3rules.Object{Key: key, Size: 1 << 10, At: list[i].at, Latest: true}, list[i].at, 0); d.Before(r.dies) {
			d.What += " the record " + key
			r.dies = d
		}
	}
}

// manifests reads the manifests of the releases, side by side.
func (c clients) manifests(ctx context.Context, list []recorded) ([]*release, error) {
	out := make([]*release, len(list))
	var group errgroup.Group
	group.SetLimit(sideBySide)
	for i, r := range list {
		group.Go(func() error {
			m, ok, err := c.manifest(ctx, r.revision)
			if err == nil && !ok {
				err = astern.Errorf(astern.NotFound, "%s was deleted meanwhile", c.p.url(c.p.manifestKey(r.revision)))
			}
			out[i] = &release{recorded: r, manifest: m, trouble: err}
			if err != nil {
				out[i].manifest = manifest{}
			}
			return nil
		})
	}
	_ = group.Wait() // each error stands for its own release
	if ctx.Err() != nil {
		return nil, astern.Errorf(astern.Interrupted, "reading the releases in %s: %w", c.p.url(c.p.records), context.Cause(ctx))
	}
	return out, nil
}

// list goes through all versions below the prefixes and keeps of them only what a release needs.
func (s *survey) list(ctx context.Context, list lister) error {
	for _, prefix := range s.prefixes {
		err := s.versionPages(ctx, prefix, list, func(page *s3.ListObjectVersionsOutput) error {
			s.page(page)
			if s.listed > s.most {
				return astern.Errorf(astern.Refused, "listing the versions in %s: there are more than %d", s.p.url(s.p.Prefix), s.most).
					WithHint("give the site a prefix of its own, or let a lifecycle rule expire old versions")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	s.die()
	return s.lookForCopies(ctx)
}

// entry is a version or a delete marker of a list.
type entry struct {
	key     string
	object  object
	latest  bool
	deleted bool
	at      time.Time
}

// page takes one page in. Versions and delete markers come apart: each key's are put together again, the newest first.
func (s *survey) page(page *s3.ListObjectVersionsOutput) {
	all := make([]entry, 0, len(page.Versions)+len(page.DeleteMarkers))
	for _, v := range page.Versions {
		version := versionOf(v.VersionId)
		if !aws.ToBool(v.IsLatest) {
			version = aws.ToString(v.VersionId) // an earlier one may be called null, and is had by that name
		}
		all = append(all, entry{aws.ToString(v.Key), object{etagOf(v.ETag), aws.ToInt64(v.Size), version, string(v.StorageClass)},
			aws.ToBool(v.IsLatest), false, aws.ToTime(v.LastModified)})
	}
	for _, d := range page.DeleteMarkers {
		all = append(all, entry{aws.ToString(d.Key), object{version: versionOf(d.VersionId)}, aws.ToBool(d.IsLatest), true, aws.ToTime(d.LastModified)})
	}
	slices.SortStableFunc(all, func(a, b entry) int {
		if c := cmp.Or(strings.Compare(a.key, b.key), b.at.Compare(a.at)); c != 0 || a.latest == b.latest {
			return c
		}
		if a.latest {
			return -1
		}
		return 1
	})
	s.listed += len(all)
	for _, e := range all {
		if strings.HasPrefix(e.key, recordsFolder) {
			continue
		}
		if e.key != s.last.key {
			s.last.key, s.last.since, s.last.earlier = e.key, time.Time{}, 0
		}
		if !e.deleted {
			s.take(e)
		}
		if !e.latest {
			s.last.earlier++
		}
		s.last.since = e.at
	}
}

// take notes what one version is good for.
func (s *survey) take(e entry) {
	path := strings.TrimPrefix(e.key, s.p.Prefix)
	wanted := s.index[path]
	if e.latest {
		if s.p.isEntry(path) {
			s.live[path] = e.object
		}
		if len(wanted) > 0 {
			s.shared++
			s.now[path] = e.object
		} else if path != "" {
			s.foreign++
		}
	}
	for _, at := range wanted {
		r := s.releases[at.release]
		f, w := r.manifest.Files[at.file], &r.ways[at.file]
		if e.latest {
			r.present++
		}
		if !s.same.holds(f, e.object) {
			continue
		}
		if e.latest {
			w.live = true
		}
		d := s.rules.Death(s3rules.Object{Key: e.key, Size: e.object.size, At: e.at, Latest: e.latest}, s.last.since, s.last.earlier)
		if !w.found || w.dies.Before(d) || d.Never() { // it is lost with the last version that has it
			w.dies = d
		}
		if !w.found || e.object.version == f.Version {
			w.found, w.version, w.etag, w.class = true, e.object.version, e.object.etag, e.object.class
		}
	}
}

// die notes when the first object of each release is lost.
func (s *survey) die() {
	for _, r := range s.releases {
		for k, w := range r.ways {
			if w.dies.Before(r.dies) {
				r.dies = w.dies
				r.dies.What = fmt.Sprintf("%s %s", w.dies.What, r.manifest.Files[k].Path)
			}
		}
	}
}

// lookForCopies looks for copies of content, where a release has an object that no version holds.
func (s *survey) lookForCopies(ctx context.Context) error {
	lacks := slices.ContainsFunc(s.releases, func(r *release) bool { return slices.ContainsFunc(r.ways, func(w way) bool { return !w.found }) })
	if !lacks && s.rules.Versioned {
		return nil
	}
	there, err := s.copied(ctx)
	if err != nil {
		return err
	}
	for _, r := range s.releases {
		for k := range r.ways {
			w := &r.ways[k]
			f := r.manifest.Files[k]
			is, copied := there[f.SHA256]
			copied = copied && is.size == f.Size // else it is no copy of that
			switch {
			case !w.found && copied:
				w.copied, w.copy = true, is
			case w.found && !copied && w.version == "" && !s.rules.Versioned:
				r.bare++
			}
		}
	}
	return nil
}

// copied lists the copies of content, by their digest.
func (c clients) copied(ctx context.Context) (map[string]object, error) {
	out := map[string]object{}
	prefix := c.p.copyKey("")
	err := c.objects(ctx, prefix, nil, func(o s3types.Object) {
		out[strings.TrimPrefix(aws.ToString(o.Key), prefix)] = object{etag: etagOf(o.ETag), size: aws.ToInt64(o.Size)}
	})
	return out, err
}

// missing names the objects that can't be had again, with the reason.
func (r *release) missing() []string {
	var out []string
	for k, f := range r.manifest.Files {
		if why := r.ways[k].can(f); why != "" {
			out = append(out, f.Path+" "+why)
		}
	}
	return out
}

// differs names the objects of the release that are not what is served.
func (r *release) differs() []string {
	var out []string
	for k, f := range r.manifest.Files {
		if w := r.ways[k]; w.unlike != "" {
			out = append(out, f.Path+" by its "+w.unlike)
		} else if !w.live {
			out = append(out, f.Path)
		}
	}
	return out
}

// current returns the release whose entry points are live: that which was put last, or else the one with the fewest other
// objects, the newest of those. It is nil when no release has these entry points.
func (s *survey) current(last string) *release {
	var best *release
	for _, r := range s.releases {
		if r.trouble != nil || !r.manifest.served(s.p, s.live, s.same) {
			continue
		}
		if r.revision == last {
			return r
		}
		if best == nil || len(r.differs()) < len(best.differs()) {
			best = r
		}
	}
	return best
}
