package awss3site

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// How long steps take where none was measured: a copy takes tens of milliseconds, an invalidation mostly a minute or two.
const (
	guessSeconds      = 5
	guessInvalidation = 60
)

// attempts is how often a step is begun: each goes on where the last one was throttled.
const attempts = 10

// journey is a way to a release.
type journey struct {
	p        place
	s        astern.State
	revision string
	hash     astern.Arg // of the release, or what an earlier step gives
	from     string     // what is served now
	stays    string     // what an undo does not take away again
	out      astern.Route
}

// Route returns the way to a release: what is left is recorded, objects are put, then the entry points, CloudFront forgets,
// and the edge is asked. A deployment of a name that is not recorded records what is there under it.
func (router) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.Route{}, err
	}
	refuse := func(format string, args ...any) (astern.Route, error) {
		return astern.Route{}, astern.Errorf(astern.Refused, "no way for %s to %s: "+format, append([]any{c.Address(), oneLine(t.Revision)}, args...)...)
	}
	now, there := s.Get("revision")
	_, has := s.Get("release/" + t.Revision)
	switch {
	case !goodRevision(t.Revision):
		return refuse("its name can't be part of a key")
	case there && !now.Known():
		return refuse("%s", now.Unknown)
	}
	if problem, ok := s.Get("edge-problem"); ok && problem.Known() {
		return refuse("%s", problem.Text)
	}
	j := &journey{p: p, s: s, revision: t.Revision, from: now.Text}
	j.out.From = now.Text
	spoilt, repair := s.Get("served-problem")
	repair = repair && spoilt.Known()
	switch {
	case o.Object != nil:
		if err := j.compose(c, t, *o.Object); err != nil {
			return astern.Route{}, err
		}
	case !has && o.Verb == astern.VerbDeploy && there && !strings.HasPrefix(t.Revision, unrecorded):
		if !strings.HasPrefix(now.Text, unrecorded) {
			return refuse("it is not recorded, and what the bucket serves is %s, which is: upload the release, then deploy it", now.Text)
		}
		j.stage("record what is served", j.adopt(t.Revision))
		j.stage("", j.edge()...)
		return j.out, nil
	default:
		r, why := judge(p, s, t.Hash, t.Revision)
		if r != astern.Ready {
			return refuse("%s", why)
		}
		j.hash = astern.Text(s.Values["release/"+t.Revision].Text)
	}
	redeploy := o.Verb == astern.VerbRedeploy
	if redeploy {
		j.unread()
	}
	if now.Text == t.Revision && o.Object == nil && !repair {
		_, kept := s.Get("kept")
		if redeploy && kept {
			j.stage("take away what only other releases have", j.prune())
		}
		return j.out, nil
	}
	if repair {
		j.out.Notes = append(j.out.Notes, "what is served differs from "+now.Text+": "+spoilt.String())
	}
	if who := s.Values["grants"]; who.Known() && who.Text != "" {
		j.out.Notes = append(j.out.Notes, granted(s))
	}
	if lacks, ok := s.Get("lacks"); ok {
		j.stays = fmt.Sprintf("what is served has no %s: an undo puts back what there is, and leaves that of %s where it is", lacks.Text, t.Revision)
		j.out.Notes = append(j.out.Notes, j.stays)
	}
	if strings.HasPrefix(now.Text, unrecorded) {
		if _, recorded := s.Get("release/" + now.Text); !recorded {
			j.stage("record what is left", j.adopt(now.Text))
		}
	}
	j.stage("put objects", j.put("put", verbPut, fmt.Sprintf("put the objects of %s that are missing or other ones", j.revision)))
	j.stage("switch the entry points to "+j.revision, j.put("switch", verbSwitch, "put the entry points of "+j.revision))
	j.stage("", j.edge()...)
	if redeploy {
		j.stage("take away what only other releases have", j.prune())
	} else if there {
		j.out.Notes = append(j.out.Notes, fmt.Sprintf("objects of other releases stay reachable for pages that are open; later: astern redeploy %s", c.Name))
	}
	return j.out, nil
}

func (j *journey) stage(title string, steps ...astern.Step) {
	if len(steps) == 0 {
		return
	}
	if title == "" {
		title = "prove it at the edge"
	}
	j.out.Stages = append(j.out.Stages, astern.Stage{Title: title, Steps: steps, OnFailure: astern.OnFailureHold})
}

// fact is something seen that steps rest on; each stands once.
func (j *journey) fact(path string, steps ...string) {
	for i, f := range j.out.Facts {
		if f.Path == path {
			j.out.Facts[i].Steps = append(f.Steps, steps...)
			return
		}
	}
	v, ok := j.s.Get(path)
	at := v.At
	if !ok {
		at = j.s.Newest()
	}
	j.out.Facts = append(j.out.Facts, astern.Fact{Address: j.p.component.Address(), Path: path, Value: v.Text, Absent: !ok, Seen: at, Steps: steps})
}

// aws is what a person types.
func (j *journey) aws(words ...string) string {
	return host.QuoteAll(append([]string{"aws"}, append(words, j.p.Options()...)...)...)
}

// step is what every step has.
func (j *journey) step(id, verb, title, command string, args map[string]astern.Arg) astern.Step {
	args["bucket"], args["prefix"] = astern.Text(j.p.Bucket), astern.Text(j.p.Prefix)
	if _, ok := args["revision"]; !ok {
		args["revision"] = astern.Text(j.revision)
	}
	return astern.Step{ID: id, Address: j.p.component.Address(), Kind: Kind, Verb: verb, Title: oneLine(title), Args: args, Undo: astern.UndoNone,
		Estimate: astern.Estimate{MedianSeconds: guessSeconds}, Command: command, Attempts: attempts, TimeoutSeconds: 1800, HoldSeconds: 120}
}

// adopt records what is served as a release.
func (j *journey) adopt(revision string) astern.Step {
	id := "adopt-" + strings.NewReplacer(".", "_", ":", "_").Replace(revision)
	s := j.step(id, verbAdopt, "record what "+j.p.url(j.p.Prefix)+" serves as "+revision,
		j.aws("s3api", "list-object-versions", "--bucket", j.p.Bucket, "--prefix", j.p.Prefix)+" # and keep the list as "+host.Quote(j.p.url(j.p.manifestKey(revision))),
		map[string]astern.Arg{"revision": astern.Text(revision), "from": astern.Text(j.from)})
	if revision != j.from {
		s.Sets = []astern.Set{{Path: "revision", Value: astern.Text(revision)}}
		s.Undo, s.UndoBecause = astern.UndoNone, ""
	}
	j.fact("revision", id)
	return s
}

// put puts objects or entry points of the release.
func (j *journey) put(id, verb, title string) astern.Step {
	s := j.step(id, verb, title, j.aws("s3", "cp", j.p.url(j.p.manifestKey(j.revision)), "-")+" # then for each object: "+
		j.aws("s3api", "copy-object", "--bucket", j.p.Bucket, "--key", j.p.Prefix+"KEY", "--copy-source", j.p.Bucket+"/"+j.p.Prefix+"KEY?versionId=VERSION"),
		map[string]astern.Arg{"hash": j.hash, "from": astern.Text(j.from)})
	s.Undo = astern.UndoInverse
	if verb == verbSwitch {
		s.Guards = []string{"put"}
		s.UndoBecause = j.stays
		s.Sets = []astern.Set{{Path: "revision", Value: astern.Text(j.revision)}}
	}
	if j.hash.Ref == nil {
		j.fact("release/"+j.revision, id)
	}
	if j.from == "" {
		s.Undo, s.UndoBecause = astern.UndoImpossible, "nothing was served before"
	}
	j.fact("revision", id)
	return s
}

// edge has CloudFront forget and asks the edge, as far as they are declared.
func (j *journey) edge() []astern.Step {
	var steps []astern.Step
	args := map[string]astern.Arg{"hash": j.hash}
	if j.p.Distribution != "" {
		s := j.step(verbInvalidate, verbInvalidate, "have CloudFront forget what it holds of the site",
			j.aws("cloudfront", "create-invalidation", "--distribution-id", j.p.Distribution, "--paths", "/*"),
			map[string]astern.Arg{"distribution": astern.Text(j.p.Distribution)})
		s.Outputs = map[string]string{"since": "string"}
		s.Estimate.MedianSeconds, s.SettleSeconds = guessInvalidation, 10
		steps = append(steps, s)
		args["since"] = astern.OutputOf(verbInvalidate, "since")
	} else if untold := "no distribution is declared: caches before the bucket are "; j.p.Edge == "" {
		j.out.Notes = append(j.out.Notes, untold+"neither told nor asked")
	} else {
		j.out.Notes = append(j.out.Notes, untold+"not told")
	}
	if j.p.Edge == "" {
		return steps
	}
	if j.hash.IsZero() {
		delete(args, "hash") // of what is recorded on the way
	}
	var urls []string
	for _, e := range j.p.Entries {
		urls = append(urls, entryURL(j.p, e))
	}
	s := j.step(verbProve, verbProve, "ask "+j.p.Edge+" for the entry points", host.QuoteAll(append([]string{"curl", "-sSi"}, urls...)...), args)
	s.TimeoutSeconds = 300
	if len(steps) > 0 {
		s.Guards = []string{verbInvalidate}
	}
	return append(steps, s)
}

// prune deletes objects that only other releases have.
func (j *journey) prune() astern.Step {
	s := j.step(verbPrune, verbPrune, "delete the objects that only other releases have",
		j.aws("s3", "rm", j.p.url(j.p.Prefix)+"KEY")+" # for each of them", map[string]astern.Arg{"hash": j.hash, "from": astern.Text(j.revision)})
	if len(j.out.Stages) > 0 {
		s.Guards = []string{verbSwitch}
	}
	j.fact("release/"+j.revision, s.ID)
	return s
}

// unread notes what a prune leaves where it is, because the records of releases could not be read.
func (j *journey) unread() {
	var revisions []string
	why := ""
	for _, path := range slices.Sorted(maps.Keys(j.s.Values)) {
		if rev, ok := strings.CutPrefix(path, "release/"); ok && !j.s.Values[path].Known() {
			revisions, why = append(revisions, rev), cmp.Or(why, j.s.Values[path].Unknown)
		}
	}
	if len(revisions) > 0 {
		j.out.Notes = append(j.out.Notes, fmt.Sprintf("what only these have is not taken away: %s (%s)", few(revisions), why))
	}
}

// Pick returns the release that the present one becomes with one object of an earlier one.
func (router) Pick(c astern.Component, s astern.State, change astern.ObjectChange) (astern.Target, error) {
	if _, err := resolve(c); err != nil {
		return astern.Target{}, err
	}
	doing := fmt.Sprintf("taking %s of %s back to %s", strconv.Quote(oneLine(change.Object)), c.Address(), oneLine(change.Revision))
	now := s.Values["revision"]
	base, recorded := s.Get("release/" + now.Text)
	was, had := s.Get("object/" + change.Revision + "/" + change.Object)
	is, has := s.Get("object/" + now.Text + "/" + change.Object)
	problem, spoilt := s.Get("release-problem/" + now.Text)
	source := s.Values["release/"+change.Revision]
	switch {
	case !goodPath(change.Object):
		return astern.Target{}, astern.Errorf(astern.Invalid, "%s: that is no path of an object", doing).WithHint("write it as it is below the prefix, such as assets/app.css")
	case !now.Known() || now.Text == "":
		return astern.Target{}, astern.Errorf(astern.Refused, "%s: what is served now is not known: %s", doing, now.Unknown)
	case recorded && !base.Known():
		return astern.Target{}, astern.Errorf(astern.Refused, "%s: what %s has is not known: %s", doing, now.Text, base.Unknown)
	case !recorded:
		return astern.Target{}, astern.Errorf(astern.Refused, "%s: what is served now is not recorded", doing).WithHint("record it first: astern deploy %s REVISION", c.Name)
	case spoilt:
		return astern.Target{}, astern.Errorf(astern.Refused, "%s: the rest would stay as it is in %s, and that can't be put again: %s", doing, now.Text, problem.Text)
	case !source.Known():
		return astern.Target{}, astern.Errorf(astern.Refused, "%s: what that has is not known: %s", doing, source.Unknown)
	case !had:
		return astern.Target{}, astern.Errorf(astern.NotFound, "%s: there is no such object there", doing).WithHint("astern targets %s lists the releases", c.Name)
	case has && sameContent(is.Text, was.Text):
		return astern.Target{}, astern.Errorf(astern.Refused, "%s: it is the same as what is served", doing)
	}
	return astern.Target{Address: c.Address(), Revision: pickedName(now.Text, base.Text, change.Object, was.Text), Readiness: astern.Ready,
		Evidence: []astern.Evidence{{What: oneLine(fmt.Sprintf("the object is recorded in %s, and all others in %s", change.Revision, now.Text)),
			Readiness: astern.Ready, Seen: s.Newest()}}}, nil
}

// sameContent compares versions of an object by digest and size.
func sameContent(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	return len(x) >= 2 && len(y) >= 2 && x[0] == y[0] && x[1] == y[1]
}

// compose begins the way with recording the release that Pick names.
func (j *journey) compose(c astern.Component, t astern.Target, change astern.ObjectChange) error {
	again, err := router{}.Pick(c, j.s, change)
	if err != nil {
		return err
	}
	if again.Revision != t.Revision {
		return astern.Errorf(astern.Refused, "no way for %s to %s: %s leads to %s", c.Address(), oneLine(t.Revision), change, again.Revision)
	}
	object := "object/" + change.Revision + "/" + change.Object
	s := j.step(verbCompose, verbCompose, fmt.Sprintf("record %s: %s with %s", t.Revision, j.from, change),
		j.aws("s3", "cp", j.p.url(j.p.manifestKey(j.from)), "-")+" # and take the entry of "+host.Quote(change.Object)+" from "+host.Quote(j.p.url(j.p.manifestKey(change.Revision))),
		map[string]astern.Arg{"base": astern.Text(j.from), "base_hash": astern.Text(j.s.Values["release/"+j.from].Text), "object": astern.Text(change.Object),
			"source": astern.Text(change.Revision), "version": astern.Text(j.s.Values[object].Text), "from": astern.Text(j.from)})
	s.Outputs = map[string]string{"hash": "string"}
	j.hash = astern.OutputOf(verbCompose, "hash")
	j.fact("release/"+j.from, verbCompose)
	j.fact(object, verbCompose)
	j.stage("record the release", s)
	return nil
}

// Undo puts back what was served before, and has CloudFront forget again. Inverses come the last first, and entry points must not
// be put before the objects that they ask for: so the inverse of the switch puts all of the release, and that of the put, which comes
// after it, finds that done, puts what a plan without a switch has put, and leaves the rest to CloudFront.
func (router) Undo(c astern.Component, call astern.Call, _ map[string]astern.Arg) ([]astern.Step, error) {
	if call.Verb != verbPut && call.Verb != verbSwitch {
		return nil, nil
	}
	p, err := resolve(c)
	if err != nil {
		return nil, err
	}
	before, hash := call.Image[imageRevision], call.Image[imageHash]
	switch {
	case before == "" || hash == "":
		return nil, astern.Errorf(astern.Refused, "undoing %s: what was served before was not recorded, so there is nothing to go back to", call.Step)
	case !goodRevision(before) || !goodHash(hash):
		return nil, astern.Errorf(astern.Refused, "undoing %s: %q is no release", call.Step, oneLine(before))
	}
	j := &journey{p: p, revision: before, hash: astern.Text(hash), from: call.Text("revision")}
	if call.Verb == verbPut {
		j.from = before // it is served again, or still is
		return append([]astern.Step{j.put("put", verbPut, "put the objects of "+before+" again")}, j.edge()...), nil
	}
	return []astern.Step{j.put("put", verbPut, "put the objects of "+before+" again"), j.put("switch", verbSwitch, "put the entry points of "+before+" again")}, nil
}
