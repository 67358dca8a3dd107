package awss3site

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/awsapi/s3rules"
)

// Observe reads the component's state. The paths:
//
//	revision                 the release whose entry points are served, or unrecorded-HASH; absent when there are none
//	lacks                    entry points that are not there; absent when all are, or none
//	served-problem           how objects differ from that release, in content or headers; absent when they don't
//	kept, foreign            how many other objects are there: of other releases, and of none; absent when there are none
//	versioning               enabled, suspended or off
//	grants                   to whom an ACL grants the entry points beside their owner; absent when to nobody
//	edge                     the distribution's domain and status
//	edge-problem             what is wrong with the distribution
//	fence, claim             fence and execution of who changed the site last
//	release/REV              content hash of a release, by its manifest
//	release-time/REV         when it was recorded
//	release-problem/REV      why it can't be put again
//	dies/REV, dies-why/REV   when a lifecycle rule takes the first of its objects away, and which
//	closes/REV               after how many changes of an object it does
//	bare/REV                 how many of its objects only what is served now holds, in a bucket that keeps no versions
//	object/REV/PATH          digest, size and version of one object there, where it is asked for
//	rules                    why the lifecycle rules could not be read; absent when they could
//
// Without paths every version of every object is listed, and the entry points of the newest 20 releases are read.
func (d *driver) Observe(ctx context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.State{}, err
	}
	v := &viewing{scope: scope, at: d.now().UTC(), state: astern.State{Address: c.Address(), Values: map[string]astern.Value{}}}
	v.clients, err = d.clients(ctx, p)
	if err == nil {
		err = v.look(ctx)
	}
	if err != nil {
		clear(v.state.Values)
		for _, path := range append([]string{"revision", "versioning"}, scope.Paths...) {
			v.unknown(path, err)
		}
	}
	if len(scope.Paths) > 0 {
		maps.DeleteFunc(v.state.Values, func(path string, _ astern.Value) bool { return !slices.Contains(scope.Paths, path) })
	}
	return v.state, nil
}

// viewing is one observation.
type viewing struct {
	clients
	scope astern.Scope
	at    time.Time
	state astern.State
}

func (v *viewing) known(path, text string) { v.state.Values[path] = astern.Value{Text: text, At: v.at} }

func (v *viewing) unknown(path string, why error) {
	v.state.Values[path] = astern.Value{Unknown: oneLine(why.Error() + awsapi.Hinted(why)), At: v.at}
}

// wants reports whether anything that begins so is asked for.
func (v *viewing) wants(prefixes ...string) bool {
	return len(v.scope.Paths) == 0 || slices.ContainsFunc(v.scope.Paths, func(path string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
	})
}

// look reads what is asked for. An error means that the site could not be asked at all.
func (v *viewing) look(ctx context.Context) error {
	versioning, err := v.versioning(ctx)
	if err != nil {
		return err
	}
	v.known("versioning", versioning)
	last, _, err := v.marker(ctx)
	if err != nil {
		return err
	}
	if last.Fence > 0 {
		v.known("fence", strconv.FormatInt(last.Fence, 10))
		claim, err := json.Marshal(last.claim())
		if err != nil {
			return astern.Errorf(astern.Internal, "encoding the claim: %w", err)
		}
		v.known("claim", string(claim))
	}
	if v.wants("edge") {
		v.distribution(ctx)
	}
	if len(v.scope.Paths) > 0 && !v.wants("lacks", "grants", "served-problem", "kept", "foreign", "release-time/", "release-problem/", "dies", "closes/", "bare/", "rules") {
		return v.narrow(ctx, last)
	}
	return v.whole(ctx, last, versioning)
}

// narrow answers what facts ask for: what is served, and what releases hold.
func (v *viewing) narrow(ctx context.Context, last marker) error {
	known := map[string]manifest{}
	for _, path := range v.scope.Paths {
		kind, rest, _ := strings.Cut(path, "/")
		rev, name, _ := strings.Cut(rest, "/")
		if kind != "release" && kind != "object" || !goodRevision(rev) {
			continue
		}
		m, ok := known[rev]
		if !ok {
			var err error
			if m, ok, err = v.manifest(ctx, rev); err != nil {
				v.unknown(path, err)
				continue
			} else if !ok {
				continue
			}
			known[rev] = m
		}
		v.ofManifest(m, name)
	}
	if !v.wants("revision") {
		return nil
	}
	live, err := v.liveEntries(ctx)
	if err != nil {
		return err
	}
	if m, ok, err := v.manifest(ctx, last.Revision); goodRevision(last.Revision) && err == nil && ok && m.served(v.p, live, last.Same) {
		v.known("revision", last.Revision)
		return nil
	}
	list, err := v.recorded(ctx)
	if err != nil {
		return err
	}
	releases, err := v.manifests(ctx, list[:min(len(list), maxJudged)])
	if err != nil {
		return err
	}
	for _, r := range releases {
		if r.trouble == nil && r.manifest.served(v.p, live, last.Same) {
			return v.whole(ctx, last, v.state.Values["versioning"].Text) // several may be it
		}
	}
	v.unrecorded(live, releases)
	return nil
}

// unrecorded names what is served and none of the releases has. Where one of these could not be read it may be that one.
func (v *viewing) unrecorded(live map[string]object, releases []*release) {
	name := nameOf(live, v.p.Entries)
	if name == "" {
		return
	}
	for _, r := range releases {
		if r.trouble != nil && astern.CodeOf(r.trouble) != astern.Refused { // a record that is no record is none
			v.unknown("revision", r.trouble)
			return
		}
	}
	v.known("revision", name)
}

func (v *viewing) ofManifest(m manifest, objects ...string) {
	v.known("release/"+m.Revision, m.Hash)
	for _, name := range objects {
		if f, ok := m.find(name); ok {
			v.known("object/"+m.Revision+"/"+name, f.version())
		}
	}
}

// whole lists everything.
func (v *viewing) whole(ctx context.Context, last marker, versioning string) error {
	list, err := v.recorded(ctx)
	if err != nil {
		return err
	}
	releases, err := v.manifests(ctx, list[:min(len(list), maxJudged)])
	if err != nil {
		return err
	}
	for _, r := range list[min(len(list), maxJudged):] {
		v.known("release-time/"+r.revision, r.at.Format(time.RFC3339))
		v.unknown("release/"+r.revision, fmt.Errorf("only the newest %d releases are looked at", maxJudged))
	}
	s := newSurvey(v.clients, releases, last.Same)
	s.rules.Versioned = versioning == versioningEnabled
	if s.rules.List, err = s3rules.Read(ctx, v.s3, v.p.Bucket, v.scope.Proposed); err != nil {
		v.unknown("rules", err)
	}
	s.records(list)
	if err := s.list(ctx, v.s3.ListObjectVersions); err != nil {
		return err
	}
	v.grants(ctx, s.live)
	problems, err := s.entryProblems(ctx)
	if err != nil {
		return err
	}
	for i, r := range releases {
		v.release(r, problems[i])
	}
	now := s.current(last.Revision)
	switch {
	case now != nil:
		v.known("revision", now.revision)
		var others []manifest
		for _, r := range releases {
			others = append(others, r.manifest)
		}
		if err := s.compareHeaders(ctx, now, maxHeads, others...); err != nil {
			v.unknown("served-problem", err)
		} else if differs := now.differs(); len(differs) > 0 {
			v.known("served-problem", few(differs))
		}
		if kept := s.shared - now.present; kept > 0 {
			v.known("kept", strconv.Itoa(kept))
		}
	default:
		v.unrecorded(s.live, releases)
		if lacks := slices.DeleteFunc(slices.Clone(v.p.Entries), func(path string) bool { _, ok := s.live[path]; return ok }); len(s.live) > 0 && len(lacks) > 0 {
			v.known("lacks", few(lacks))
		}
		if s.shared > 0 {
			v.known("kept", strconv.Itoa(s.shared))
		}
	}
	if s.foreign > 0 {
		v.known("foreign", strconv.Itoa(s.foreign))
	}
	return nil
}

// release notes what is known of a release.
func (v *viewing) release(r *release, problem error) {
	v.known("release-time/"+r.revision, r.at.Format(time.RFC3339))
	if r.trouble == nil && problem != nil && astern.CodeOf(problem).Transient() {
		v.unknown("release/"+r.revision, problem)
		return
	}
	if r.trouble != nil {
		v.unknown("release/"+r.revision, r.trouble)
		if astern.CodeOf(r.trouble) == astern.Refused {
			v.known("release-problem/"+r.revision, oneLine(r.trouble.Error()))
		}
		return
	}
	v.ofManifest(r.manifest, v.scope.Objects...)
	for _, path := range v.scope.Paths {
		if name, ok := strings.CutPrefix(path, "object/"+r.revision+"/"); ok {
			v.ofManifest(r.manifest, name)
		}
	}
	missing := r.missing()
	var absent []string
	for _, path := range v.p.Entries {
		if _, ok := r.manifest.find(path); !ok {
			absent = append(absent, path)
		}
	}
	switch {
	case len(absent) > 0:
		v.known("release-problem/"+r.revision, "it has no "+few(absent))
	case len(missing) > 0:
		v.known("release-problem/"+r.revision, few(missing))
	case problem != nil:
		v.known("release-problem/"+r.revision, oneLine(problem.Error()+awsapi.Hinted(problem)))
	}
	if r.bare > 0 {
		v.known("bare/"+r.revision, strconv.Itoa(r.bare))
	}
	if !r.dies.At.IsZero() {
		v.known("dies/"+r.revision, r.dies.At.Format(time.RFC3339))
		v.known("dies-why/"+r.revision, oneLine(r.dies.What))
	} else if r.dies.Changes > 0 {
		v.known("closes/"+r.revision, strconv.Itoa(r.dies.Changes))
		v.known("dies-why/"+r.revision, oneLine(r.dies.What))
	}
}

// entryProblems reads the entry points of every release and compares their digests: it says of each what is wrong.
func (s *survey) entryProblems(ctx context.Context) ([]error, error) {
	out := make([]error, len(s.releases))
	var group errgroup.Group
	group.SetLimit(sideBySide)
	for i, r := range s.releases {
		group.Go(func() error {
			for _, path := range s.p.Entries {
				f, ok := r.manifest.find(path)
				if !ok || r.trouble != nil {
					continue
				}
				if out[i] == nil {
					out[i] = s.proven(ctx, r, f)
				}
			}
			return nil
		})
	}
	_ = group.Wait() // what is wrong is said of each
	if ctx.Err() != nil {
		return nil, astern.Errorf(astern.Interrupted, "reading the releases of %s: %w", s.p.url(s.p.Prefix), context.Cause(ctx))
	}
	return out, nil
}

// proven reads one object of a release, and says what is wrong with it.
func (s *survey) proven(ctx context.Context, r *release, f file) error {
	i, _ := slices.BinarySearchFunc(r.manifest.Files, f.Path, func(f file, path string) int { return strings.Compare(f.Path, path) })
	w := r.ways[i]
	if w.can(f) != "" || f.Size > maxManifest {
		return nil // said already
	}
	from, is := s.p.Prefix+f.Path, object{etag: w.etag, size: f.Size, version: w.version}
	if !w.found { // only a copy is left
		from, is = s.p.copyKey(f.SHA256), w.copy
	}
	held, err := s.digestOf(ctx, from, f.Path, is)
	if err == nil && held.SHA256 != f.SHA256 {
		err = astern.Errorf(astern.Refused, "%s has another digest than was recorded", f.Path)
	}
	return err
}
