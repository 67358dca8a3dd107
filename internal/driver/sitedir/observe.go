package sitedir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/astern-dev/astern"
)

// readWidth is how many folders are read side by side.
const readWidth = 4

// Observe reads the component's state. The paths:
//
//	revision                   the release whose files are served
//	served                     where the link leads, below the root
//	served-problem             how what is served differs from its release; absent when it does not
//	site-problem               why the site does not answer at all; absent when it does, or declares no url
//	site-wrong                 what is wrong with its answer, which may be what is served or who serves it
//	kept                       how many files of earlier releases are served as well; absent when none are
//	views                      the folders of served, sorted
//	hindered                   what is in the way of a change, a line each
//	held                       that somebody else has the lock
//	closed                     why no manifest can be written
//	releases                   why the releases can't be listed; absent when they can
//	fence, claim               fence in the lock, and who acts there, or did last, as JSON (see astern.Claim)
//	release/REV                content hash of a release
//	release-time/REV           when its folder was changed last
//	release-problem/REV        why it can't be served
//	release-risk/REV           why it may be that it can't be put together
//	manifest/REV               content hash as the manifest says
//	manifest-problem/REV       why the manifest can't be trusted, or how the files differ from it
//	object/REV/PATH            digest and size of one file there, where it is asked for
//
// Every file of every release is read each time; where paths are asked for, those of the releases named.
func (d *driver) Observe(ctx context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.State{}, err
	}
	at := d.now().UTC()
	v := &viewing{p: p, at: at, state: astern.State{Address: c.Address(), Values: map[string]astern.Value{}}}
	s, err := d.look(ctx, p)
	if err == nil {
		err = d.note(ctx, v, s, scope)
	}
	if err != nil {
		clear(v.state.Values)
		for _, path := range append([]string{"revision", "served", "hindered"}, scope.Paths...) {
			v.state.Values[path] = astern.Value{Unknown: oneLine(err.Error()), At: at}
		}
	}
	if len(scope.Paths) > 0 {
		maps.DeleteFunc(v.state.Values, func(path string, _ astern.Value) bool { return !slices.Contains(scope.Paths, path) })
	}
	return v.state, nil
}

// viewing collects the values of a state.
type viewing struct {
	p     place
	at    time.Time
	state astern.State
}

func (v *viewing) known(path, text string) { v.state.Values[path] = astern.Value{Text: text, At: v.at} }

func (v *viewing) unknown(path, why string) {
	v.state.Values[path] = astern.Value{Unknown: oneLine(why), At: v.at}
}

// wanted says which releases must be read for what is asked, and whether what is served must be.
func wanted(scope astern.Scope, s sight) (revisions []string, served bool) {
	if len(scope.Paths) == 0 {
		return slices.Sorted(maps.Keys(s.releases)), true
	}
	for _, path := range scope.Paths {
		kind, rest, _ := strings.Cut(path, "/")
		revision, _, _ := strings.Cut(rest, "/")
		switch kind {
		case "release", "release-problem", "release-risk", "manifest", "manifest-problem", "object":
			if _, ok := s.releases[revision]; ok && !slices.Contains(revisions, revision) {
				revisions = append(revisions, revision)
			}
		case "served-problem", "site-problem", "site-wrong", "kept":
			served = true
		}
	}
	return revisions, served
}

// note writes down what was seen, and reads what must be read for it.
func (d *driver) note(ctx context.Context, v *viewing, s sight, scope astern.Scope) error {
	v.plain(s)
	revisions, served := wanted(scope, s)
	now := s.served(v.p)
	if _, ok := s.releases[now]; served && ok && !slices.Contains(revisions, now) {
		revisions = append(revisions, now)
	}
	objects := slices.Clone(scope.Objects)
	for _, path := range scope.Paths {
		if rest, ok := strings.CutPrefix(path, "object/"); ok {
			if _, name, ok := strings.Cut(rest, "/"); ok {
				objects = append(objects, name)
			}
		}
	}
	folders := make([]folder, len(revisions)+1)
	errs := make([]error, len(folders))
	var group errgroup.Group
	group.SetLimit(readWidth)
	for i, revision := range revisions {
		group.Go(func() error {
			folders[i], errs[i] = d.read(ctx, v.p, v.p.releases+"/"+revision, revision)
			return nil
		})
	}
	last := len(revisions)
	if served && strings.HasPrefix(s.linkTo, servedFolder+"/") {
		group.Go(func() error {
			folders[last], errs[last] = d.read(ctx, v.p, s.linkTo, "")
			return nil
		})
	}
	_ = group.Wait() // each error stands for its own folder
	if ctx.Err() != nil {
		return astern.Errorf(astern.Interrupted, "reading %s: %w", v.p.root, context.Cause(ctx))
	}
	release := folder{}
	for i, revision := range revisions {
		v.release(s, revision, folders[i], errs[i], objects)
		if revision == now {
			release = folders[i]
		}
	}
	if served && s.linked {
		v.served(s, now, release, folders[last], errors.Join(errs[last], errorOf(errs, slices.Index(revisions, now))))
	}
	if served && now != "" && v.p.url != "" {
		if _, differs := v.state.Get("served-problem"); differs {
			release.files = nil // nobody knows what the site should answer
		}
		switch problem, itsOwn := d.answers(ctx, v.p, release.files); {
		case itsOwn:
			v.known("site-wrong", problem)
		case problem != "":
			v.known("site-problem", problem)
		}
	}
	return nil
}

func errorOf(errs []error, i int) error {
	if i < 0 {
		return nil
	}
	return errs[i]
}

// plain notes what is known without reading files.
func (v *viewing) plain(s sight) {
	if s.missing != "" {
		s.hindered = append(s.hindered, "there is no folder "+v.p.root+": "+s.missing)
	}
	if s.linked {
		v.known("served", s.linkText)
		if now := s.served(v.p); now != "" {
			v.known("revision", now)
		} else {
			v.unknown("revision", fmt.Sprintf("%s/%s leads to %s, which is neither a release nor what astern put together of one", v.p.root, v.p.link, s.linkText))
		}
	}
	if len(s.views) > 0 {
		slices.Sort(s.views)
		v.known("views", strings.Join(s.views, "\n"))
	}
	if len(s.hindered) > 0 {
		v.known("hindered", strings.Join(s.hindered, "\n"))
	}
	if s.held != "" {
		v.known("held", s.held)
	}
	if s.closed != "" {
		v.known("closed", s.closed)
	}
	if s.unlisted != "" {
		v.unknown("releases", s.unlisted)
	}
	for revision, at := range s.releases {
		v.known("release-time/"+revision, at.Format(time.RFC3339))
	}
	if s.lock != "" {
		var claim astern.Claim
		if json.Unmarshal([]byte(s.lock), &claim) == nil {
			v.known("fence", strconv.FormatInt(claim.Fence, 10))
			v.known("claim", s.lock)
		}
	}
}

// release notes what was read of a release.
func (v *viewing) release(s sight, revision string, f folder, err error, objects []string) {
	at := "release/" + revision
	problem := func(format string, args ...any) {
		v.known("release-problem/"+revision, oneLine(fmt.Sprintf(format, args...)))
	}
	switch {
	case err != nil:
		v.unknown(at, err.Error())
		return
	case !f.there:
		return // it was removed meanwhile
	case f.trouble != "":
		v.unknown(at, f.trouble)
		problem("%s", f.trouble)
		return
	}
	v.known(at, f.hash())
	if f.noted && f.mistrust == "" {
		v.known("manifest/"+revision, f.manifest.Hash)
	}
	for _, name := range objects {
		if one, ok := find(f.files, name); ok {
			v.known("object/"+revision+"/"+name, one.version())
		}
	}
	if f.noted && f.mistrust != "" {
		v.known("manifest-problem/"+revision, oneLine("its manifest is no good: "+f.mistrust))
	} else if text := differences(f.manifest.Files, f.files, false); f.noted && text != "" {
		v.known("manifest-problem/"+revision, oneLine("its files are not those of its manifest: "+text))
	}
	if missing := missingEntries(v.p, f.files); len(missing) > 0 {
		problem("it has no %s", strings.Join(missing, ", "))
	} else if s.served(v.p) != revision {
		v.room(s, revision, takes(f.files))
	}
}

// What a switch takes beside the release: manifests, lock and link, folders where they take blocks of their own, and what others
// write meanwhile.
const (
	slackBytes = 64 << 10
	slackFiles = 16
)

// room notes whether the disk can hold a copy of a release. What a disk counts in whole blocks may fit all the same where the
// file system packs small files.
func (v *viewing) room(s sight, revision string, needs size) {
	room := s.roomKiB << 10
	problem, risk := "", ""
	switch {
	case s.roomKiB >= 0 && needs.bytes > room:
		problem = fmt.Sprintf("the disk has no room for a copy of it: it takes %d KiB, and %d are left", needs.bytes>>10, s.roomKiB)
	case s.roomFiles >= 0 && needs.nodes > s.roomFiles:
		problem = fmt.Sprintf("the disk has no room for a copy of it: it has %d files and folders, and the disk can hold %d more", needs.nodes, s.roomFiles)
	case s.roomKiB >= 0 && needs.blocks+slackBytes > room:
		risk = fmt.Sprintf("the disk has hardly room for a copy of it: it takes %d KiB in whole blocks, and %d are left", needs.blocks>>10, s.roomKiB)
	case s.roomFiles >= 0 && needs.nodes+slackFiles > s.roomFiles:
		risk = fmt.Sprintf("the disk has hardly room for a copy of it: it has %d files and folders, and the disk can hold %d more", needs.nodes, s.roomFiles)
	}
	if problem != "" {
		v.known("release-problem/"+revision, problem)
	}
	if risk != "" {
		v.known("release-risk/"+revision, risk)
	}
}

// served notes how what is served compares with its release.
func (v *viewing) served(s sight, now string, release, view folder, err error) {
	if !strings.HasPrefix(s.linkTo, servedFolder+"/") {
		return // the release itself is served
	}
	problem := func(text string) { v.known("served-problem", text) }
	switch {
	case err != nil:
		v.unknown("served-problem", err.Error())
	case !view.there:
		problem("there is no " + s.linkTo)
	case view.trouble != "":
		problem(oneLine(view.trouble))
	case now == "" || !release.there || release.trouble != "":
		problem("its release is not there to compare it with")
	default:
		if text := differences(release.files, view.files, true); text != "" {
			problem(text)
		}
		if kept := len(without(view.files, release.files)); kept > 0 {
			v.known("kept", strconv.Itoa(kept))
		}
	}
}
