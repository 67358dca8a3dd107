package sitedir

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/astern-dev/astern"
)

// part is files that are copied from one folder below the root.
type part struct {
	from  string
	files []file
}

// filling writes what fill.sh is told: of which folders the new one is made.
func filling(parts []part) []byte {
	var out strings.Builder
	for _, p := range parts {
		out.WriteString("s " + p.from + "\n")
		dir := ""
		for _, f := range p.files { // sorted by path, so that those of one folder mostly follow each other
			folder, name := path.Split(f.Path)
			if folder = path.Clean(folder); folder != dir {
				out.WriteString("d " + folder + "\n")
				dir = folder
			}
			out.WriteString("f " + name + "\n")
		}
	}
	return []byte(out.String())
}

// fill makes a folder of copies, compares every file with what it should be, and gives it its name.
func (a *actor) fill(ctx context.Context, o *order, into, name string, parts []part) astern.Op {
	var should []file
	for _, p := range parts {
		should = append(should, p.files...)
	}
	sortFiles(should)
	if _, op := o.run(ctx, "fill", filling(parts), into, o.call.Token); op.Status != astern.OpDone {
		if ctx.Err() != nil || op.Code == astern.Unavailable || op.Code == astern.Conflict {
			op.Status = astern.OpFailed // what arrived has a name of its own and is in nobody's way
			return op
		}
		return a.discard(ctx, o, into, op)
	}
	is, err := a.read(ctx, o.place, into+"/.partial-"+o.call.Token, "")
	switch {
	case err != nil:
		return failed(fmt.Errorf("%s: %w", o.doing(), err))
	case is.trouble != "":
		return a.discard(ctx, o, into, failed(astern.Errorf(astern.Refused, "%s: what was copied can't be served: %s", o.doing(), is.trouble)))
	}
	if text := differences(should, is.files, false); text != "" {
		return a.discard(ctx, o, into, failed(astern.Errorf(astern.Refused, "%s: what was copied is not what it should be: %s", o.doing(), text).
			WithHint("somebody else changes files there: look at it, then plan again")))
	}
	_, op := o.run(ctx, "accept", nil, o.place.link, into, name, o.call.Token)
	return op
}

// discard removes what was copied and is of no use, and says why.
func (a *actor) discard(ctx context.Context, o *order, into string, op astern.Op) astern.Op {
	c := script("discard", o.place.root, into, o.call.Token)
	c.Timeout = lookTimeout
	if r, err := o.machine.Run(ctx, c); err != nil || r.ExitCode != 0 {
		op.Hint = strings.TrimPrefix(op.Hint+"; "+into+"/.partial-"+o.call.Token+" is left over: the next step of this kind removes it", "; ")
	}
	if overtaken := o.fenced(ctx, ""); overtaken.Code == astern.Conflict {
		return overtaken // by one that removed the half copy of this one
	}
	op.Status = astern.OpFailed
	return op
}

// fenced refuses when a newer fence was there: for steps that find their effect done.
func (o *order) fenced(ctx context.Context, progress string) astern.Op {
	_, op := o.run(ctx, "fence", nil)
	if op.Status == astern.OpDone {
		op.Progress = progress
	}
	return op
}

// release reads the release with the files that the plan saw.
func (a *actor) release(ctx context.Context, o *order, revision, hash string) (folder, error) {
	f, err := a.read(ctx, o.place, o.place.releases+"/"+revision, revision)
	switch {
	case err != nil:
		return f, fmt.Errorf("%s: %w", o.doing(), err)
	case !f.there:
		return f, astern.Errorf(astern.Refused, "%s: there is no release %s", o.doing(), revision).WithHint("plan again")
	case f.trouble != "":
		return f, astern.Errorf(astern.Refused, "%s: %s can't be served: %s", o.doing(), revision, f.trouble)
	case f.hash() != hash:
		return f, astern.Errorf(astern.Refused, "%s: the files of %s were changed: the plan expects %s, %s is there", o.doing(), revision, short(hash), short(f.hash())).
			WithHint("astern targets %s shows which", o.place.component.Name)
	}
	return f, nil
}

// composed returns what a put makes: the release, and of what was served the files that it does not have.
func (a *actor) composed(ctx context.Context, o *order) ([]part, error) {
	release, err := a.release(ctx, o, o.revision, o.hash)
	if err != nil {
		return nil, err
	}
	if missing := missingEntries(o.place, release.files); len(missing) > 0 {
		return nil, astern.Errorf(astern.Refused, "%s: it has no %s", o.doing(), strings.Join(missing, ", "))
	}
	parts := []part{{o.place.releases + "/" + o.revision, release.files}}
	keep := o.call.Text("keep")
	if keep == "" {
		return parts, nil
	}
	if !goodTarget(o.place, keep) {
		s, err := a.look(ctx, o.place) // the link is written in another way, such as from /
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.doing(), err)
		}
		if keep = s.linkTo; !goodTarget(o.place, keep) {
			return nil, astern.Errorf(astern.Refused, "%s: %s leads to %q, which is no release", o.doing(), o.place.link, oneLine(s.linkText)).WithHint("plan again")
		}
	}
	before, err := a.read(ctx, o.place, keep, "")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.doing(), err)
	}
	if before.trouble != "" || !before.there {
		return parts, nil // nothing of it can be told: a rollback does not wait for what it leaves
	}
	if rest := without(before.files, release.files); len(rest) > 0 {
		parts = append(parts, part{keep, rest})
	}
	return parts, nil
}

// put puts together what will be served.
func (a *actor) put(ctx context.Context, o *order) astern.Op {
	parts, err := a.composed(ctx, o)
	if err != nil {
		return failed(err)
	}
	view := o.call.Text("view")
	there := func() (folder, bool) {
		is, err := a.read(ctx, o.place, servedFolder+"/"+view, "")
		return is, err == nil && (same(parts, is) || same(parts[:1], is))
	}
	if is, ok := there(); ok {
		op := o.fenced(ctx, fmt.Sprintf("%s/%s holds %d files", servedFolder, view, len(is.files)))
		// An older one that was pruning may have removed it since it was read. From here on none does.
		if _, ok := there(); ok || op.Status != astern.OpDone {
			return op
		}
	}
	fit, err := a.fitting(ctx, o, parts)
	if err != nil {
		return failed(err)
	}
	op := a.fill(ctx, o, servedFolder, view, fit)
	if op.Status == astern.OpDone {
		op.Progress = fmt.Sprintf("%s/%s holds %d files", servedFolder, view, count(fit))
		if left := count(parts) - count(fit); left > 0 {
			op.Progress += fmt.Sprintf("; the disk has no room for %d files of before, which pages that are open may ask for", left)
		}
	}
	return op
}

// fitting leaves out what is kept for pages that are open where the disk has room for the release alone.
func (a *actor) fitting(ctx context.Context, o *order, parts []part) ([]part, error) {
	if len(parts) == 1 {
		return parts, nil
	}
	s, err := a.look(ctx, o.place)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.doing(), err)
	}
	var all []file
	for _, p := range parts {
		all = append(all, p.files...)
	}
	if needs := takes(all); s.roomKiB >= 0 && needs.blocks+slackBytes > s.roomKiB<<10 || s.roomFiles >= 0 && needs.nodes+slackFiles > s.roomFiles {
		return parts[:1], nil
	}
	return parts, nil
}

func count(parts []part) int {
	n := 0
	for _, p := range parts {
		n += len(p.files)
	}
	return n
}

// same reports whether the folder holds exactly the parts.
func same(parts []part, is folder) bool {
	var should []file
	for _, p := range parts {
		should = append(should, p.files...)
	}
	sortFiles(should)
	return is.there && is.trouble == "" && differences(should, is.files, false) == ""
}

// findPut looks for the folder and compares it with what it is made of.
func (a *actor) findPut(ctx context.Context, o *order) astern.Found {
	view := servedFolder + "/" + o.call.Text("view")
	is, err := a.read(ctx, o.place, view, "")
	if err != nil {
		return unknown(err.Error())
	}
	if !is.there {
		return absent("there is no " + view)
	}
	parts, err := a.composed(ctx, o)
	if err != nil {
		return unknown(err.Error())
	}
	if is.trouble != "" || !same(parts, is) && !same(parts[:1], is) { // without what is kept, where the disk had no room for that
		return absent(view + " holds something else")
	}
	return found(astern.Op{Status: astern.OpDone, Progress: fmt.Sprintf("%s holds %d files", view, len(is.files))})
}

// adopt writes the manifest of a release as the plan saw it.
func (a *actor) adopt(ctx context.Context, o *order) astern.Op {
	f, err := a.release(ctx, o, o.revision, o.hash)
	if err != nil {
		return failed(err)
	}
	_, op := o.run(ctx, "note", encode(o.revision, f.files), o.revision+".json", o.call.Token)
	if op.Status == astern.OpDone {
		op.Progress = "it is written down"
	}
	return op
}

// picked returns the parts of the release that compose makes: the base without the file, and the file.
func (a *actor) picked(ctx context.Context, o *order) ([]part, []file, error) {
	call := o.call
	base, source, object := call.Text("base"), call.Text("source"), call.Text("object")
	bad := astern.Errorf(astern.Invalid, "step %s is not as a plan writes it", call.Step).WithHint("plan again; a plan that was edited by hand can't be trusted")
	if !goodRevision(base) || !goodRevision(source) || !goodPath(object) || !goodHash(call.Text("base_hash")) ||
		pickedName(base, call.Text("base_hash"), object, call.Text("version")) != o.revision {
		return nil, nil, bad
	}
	whole, err := a.release(ctx, o, base, call.Text("base_hash"))
	if err != nil {
		return nil, nil, err
	}
	from, err := a.read(ctx, o.place, o.place.releases+"/"+source, "")
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", o.doing(), err)
	}
	one, ok := find(from.files, object)
	if !ok || one.version() != call.Text("version") {
		return nil, nil, astern.Errorf(astern.Refused, "%s: %s in %s is not what the plan saw", o.doing(), oneLine(object), source).WithHint("plan again")
	}
	rest := without(whole.files, []file{one})
	all := append(append([]file{}, rest...), one)
	sortFiles(all)
	return []part{{o.place.releases + "/" + base, rest}, {o.place.releases + "/" + source, []file{one}}}, all, nil
}

// compose makes a release of another one with a single file of a third, and its manifest.
func (a *actor) compose(ctx context.Context, o *order) astern.Op {
	parts, all, err := a.picked(ctx, o)
	if err != nil {
		return failed(err)
	}
	is, err := a.read(ctx, o.place, o.place.releases+"/"+o.revision, o.revision)
	if err != nil {
		return failed(fmt.Errorf("%s: %w", o.doing(), err))
	}
	if !same(parts, is) {
		if is.there {
			return failed(astern.Errorf(astern.Conflict, "%s: a release of that name is there with other files", o.doing()).
				WithHint("look at it on %s; astern overwrites no release", o.place.host))
		}
		if op := a.fill(ctx, o, o.place.releases, o.revision, parts); op.Status != astern.OpDone {
			return op
		}
	}
	_, op := o.run(ctx, "note", encode(o.revision, all), o.revision+".json", o.call.Token)
	if op.Status != astern.OpDone {
		return op
	}
	return composedOp(o.revision, all)
}

func composedOp(revision string, all []file) astern.Op {
	return astern.Op{Status: astern.OpDone, Progress: fmt.Sprintf("%s holds %d files", revision, len(all)),
		Outputs: map[string]astern.Arg{"hash": astern.Text(hashOf(all))}}
}

// findComposed looks for the release and its manifest.
func (a *actor) findComposed(ctx context.Context, o *order) astern.Found {
	parts, all, err := a.picked(ctx, o)
	if err != nil {
		return unknown(err.Error())
	}
	is, err := a.read(ctx, o.place, o.place.releases+"/"+o.revision, o.revision)
	switch {
	case err != nil:
		return unknown(err.Error())
	case !same(parts, is) || !is.noted || is.mistrust != "":
		return absent("there is no such release")
	}
	return found(composedOp(o.revision, all))
}
