package sitedir

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// guessSeconds is how long a step takes where none was measured.
const guessSeconds = 1

// journey is a way to a release.
type journey struct {
	p        place
	s        astern.State
	revision string
	hash     astern.Arg // of the release, or what an earlier step gives
	from     string     // where the link leads now, as written
	out      astern.Route
}

// Route returns the way to a release: what it holds is written down, what will be served is put together, the link is
// switched and the site asked. A redeployment takes away what is served of earlier releases.
func (router) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.Route{}, err
	}
	refuse := func(format string, args ...any) (astern.Route, error) {
		return astern.Route{}, astern.Errorf(astern.Refused, "no way for %s to %s: "+format, append([]any{c.Address(), oneLine(t.Revision)}, args...)...)
	}
	now, there := s.Get("revision")
	served := s.Values["served"]
	hindered, blocked := s.Get("hindered")
	switch {
	case !goodRevision(t.Revision):
		return refuse("its name can't be that of a folder")
	case blocked:
		return refuse("%s", strings.ReplaceAll(hindered.String(), "\n", "; "))
	case there && !now.Known() && served.Text == "":
		return refuse("%s", now.Unknown)
	}
	j := &journey{p: p, s: s, revision: t.Revision, from: served.Text}
	j.out.From = now.Text
	if o.Object != nil {
		if err := j.compose(c, t, *o.Object); err != nil {
			return astern.Route{}, err
		}
	} else if r, why := judge(p, s, t.Hash, t.Revision); r != astern.Ready && r != astern.AtRisk {
		return refuse("%s", why)
	} else {
		j.hash = astern.Text(s.Values["release/"+t.Revision].Text)
	}
	if now.Text == t.Revision && o.Object == nil {
		if o.Verb != astern.VerbRedeploy && !j.spoilt() {
			return j.out, nil
		}
		if o.Verb == astern.VerbRedeploy && !j.spoilt() && !j.more() {
			j.out.Notes = append(j.out.Notes, "what is served is exactly the release, and nothing is left of earlier ones")
			return j.out, nil
		}
	}
	j.adopt(now.Text)
	j.stage("put together what will be served", j.put(o.Verb == astern.VerbRedeploy))
	j.stage("switch to "+t.Revision, j.switchStep(o.Verb == astern.VerbRedeploy))
	if p.url != "" {
		j.stage("ask the site", j.prove())
	}
	if o.Verb == astern.VerbRedeploy {
		j.stage("take away what was served before", j.prune())
	} else if j.from != "" && now.Text == "" {
		j.out.Notes = append(j.out.Notes, fmt.Sprintf("%s leads to %s, which is no release: nothing of it is kept for pages that are open, and there is no undo",
			p.link, oneLine(j.from)))
	} else if j.from != "" {
		j.out.Notes = append(j.out.Notes, fmt.Sprintf("files of earlier releases stay reachable for pages that are open; later: astern redeploy %s", c.Name))
	}
	return j.out, nil
}

// spoilt reports whether what is served is not what its release holds.
func (j *journey) spoilt() bool { _, ok := j.s.Get("served-problem"); return ok }

// more reports whether more than the release is served, or kept beside it than what an undo goes back to.
func (j *journey) more() bool {
	_, kept := j.s.Get("kept")
	return kept || strings.Count(j.s.Values["views"].Text, "\n") > 1
}

func (j *journey) stage(title string, steps ...astern.Step) {
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

// step is what every step has.
func (j *journey) step(id, verb, title, command string, args map[string]astern.Arg) astern.Step {
	args["root"], args["releases"], args["link"] = astern.Text(j.p.root), astern.Text(j.p.releases), astern.Text(j.p.link)
	if _, ok := args["revision"]; !ok {
		args["revision"] = astern.Text(j.revision)
	}
	if j.p.host != host.Local {
		title += " on " + j.p.host
	}
	return astern.Step{ID: id, Address: j.p.component.Address(), Kind: Kind, Verb: verb, Title: oneLine(title), Args: args, Undo: astern.UndoNone,
		Estimate: astern.Estimate{MedianSeconds: guessSeconds}, Command: host.QuoteAll("cd", "--", j.p.root) + " && " + command,
		Attempts: 3, TimeoutSeconds: 900, HoldSeconds: 120}
}

// adopt writes manifests for the release that is left and the one that is gone to, where they have none. Where none can be
// written, that is in nobody's way: the plan holds the hash.
func (j *journey) adopt(now string) {
	closed, shut := j.s.Get("closed")
	facts := j.out.Facts
	var steps []astern.Step
	for _, rev := range []string{now, j.revision} {
		hash, ok := j.s.Get("release/" + rev)
		_, noted := j.s.Get("manifest/" + rev)
		_, spoilt := j.s.Get("release-problem/" + rev)
		_, doubted := j.s.Get("manifest-problem/" + rev)
		if !ok || !hash.Known() || noted || spoilt || doubted || !goodRevision(rev) || len(steps) > 0 && rev == now {
			continue
		}
		id := "adopt-" + strings.NewReplacer(".", "_", "+", "_").Replace(rev)
		steps = append(steps, j.step(id, verbAdopt, "write down what "+rev+" holds",
			host.QuoteAll("cd", "--", "./"+j.p.releases+"/"+rev)+" && find . -type f -exec sha256sum {} +",
			map[string]astern.Arg{"revision": astern.Text(rev), "hash": astern.Text(hash.Text)}))
		j.fact("release/"+rev, id)
	}
	if shut && len(steps) > 0 {
		j.out.Facts, j.out.Notes = facts, append(j.out.Notes, "what the releases hold is not written down: "+closed.Text)
	} else if len(steps) > 0 {
		j.stage("write down what the releases hold", steps...)
	}
}

// view is the folder that will be served; exact means that nothing but the release is in it.
func (j *journey) view(exact bool) string {
	if exact {
		return viewOf(j.revision, "exact "+j.from)
	}
	return viewOf(j.revision, j.from)
}

// put puts together what will be served.
func (j *journey) put(exact bool) astern.Step {
	view := j.view(exact)
	keep := j.from
	if exact || j.out.From == "" {
		keep = ""
	}
	to := "./" + servedFolder + "/" + view
	command := host.QuoteAll("mkdir", "-p", to)
	if keep != "" {
		command += " && " + host.QuoteAll("cp", "-Rp", "./"+j.p.link+"/.", to)
	}
	command += " && " + host.QuoteAll("cp", "-Rpf", "./"+j.p.releases+"/"+j.revision+"/.", to)
	s := j.step(verbPut, verbPut, "put together what will be served of "+j.revision, command,
		map[string]astern.Arg{"hash": j.hash, "view": astern.Text(view), "keep": astern.Text(keep)})
	if j.hash.Ref == nil {
		j.fact("release/"+j.revision, verbPut)
	}
	j.fact("served", verbPut, verbSwitch)
	return s
}

// switchStep points the link to what was put together.
func (j *journey) switchStep(exact bool) astern.Step {
	return j.swap(servedFolder+"/"+j.view(exact), j.revision, []string{verbPut})
}

func (j *journey) swap(text, revision string, guards []string) astern.Step {
	next := "./" + j.p.link + ".new"
	s := j.step(verbSwitch, verbSwitch, fmt.Sprintf("point %s to %s", j.p.link, text),
		host.QuoteAll("ln", "-sfn", text, next)+" && "+host.QuoteAll("mv", "-T", next, "./"+j.p.link),
		map[string]astern.Arg{"revision": astern.Text(revision), "from": astern.Text(j.from), "to": astern.Text(text)})
	s.Guards, s.Undo = guards, astern.UndoInverse
	s.Sets = []astern.Set{{Path: "revision", Value: astern.Text(revision)}, {Path: "served", Value: astern.Text(text)}}
	return s
}

// prove asks the site for its entry points.
func (j *journey) prove() astern.Step {
	command := "curl -sSi"
	for _, e := range j.p.entries {
		command += " " + host.Quote(entryURL(j.p, e))
	}
	s := j.step(verbProve, verbProve, "ask "+j.p.url+" for its entry points", command, map[string]astern.Arg{"hash": j.hash})
	s.Guards, s.TimeoutSeconds = []string{verbSwitch}, 120
	return s
}

// prune removes the folders that nobody is served from any more, but for the one before.
func (j *journey) prune() astern.Step {
	before := strings.TrimPrefix(j.from, servedFolder+"/")
	if before == j.from {
		before = ""
	}
	s := j.step(verbPrune, verbPrune, "take away what was served before", host.QuoteAll("ls", "./"+servedFolder)+" # and remove all but "+host.Quote(j.view(true)),
		map[string]astern.Arg{"keep": astern.Text(before), "view": astern.Text(j.view(true))})
	s.Guards = []string{verbSwitch}
	return s
}

// Pick returns the release that the present one becomes with one file of an earlier one.
func (router) Pick(c astern.Component, s astern.State, change astern.ObjectChange) (astern.Target, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.Target{}, err
	}
	doing := fmt.Sprintf("taking %s of %s back to %s", strconv.Quote(oneLine(change.Object)), c.Address(), oneLine(change.Revision))
	now := s.Values["revision"]
	base, whole := s.Get("release/" + now.Text)
	was, had := s.Get("object/" + change.Revision + "/" + change.Object)
	is, has := s.Get("object/" + now.Text + "/" + change.Object)
	problem, spoilt := s.Get("release-problem/" + now.Text)
	doubt, doubted := s.Get("manifest-problem/" + now.Text)
	source := s.Values["release/"+change.Revision]
	switch {
	case !goodPath(change.Object):
		return astern.Target{}, astern.Errorf(astern.Invalid, "%s: that is no path of a file below a release", doing).WithHint("write it as it is below the release, such as assets/app.css")
	case !now.Known() || !whole || !base.Known():
		return astern.Target{}, astern.Errorf(astern.Refused, "%s: what is served now is not known", doing)
	case spoilt:
		return astern.Target{}, astern.Errorf(astern.Refused, "%s: the rest would stay as it is in %s, and that can't be served: %s", doing, now.Text, problem.Text)
	case doubted:
		return astern.Target{}, astern.Errorf(astern.Refused, "%s: the rest would stay as it is in %s, and %s", doing, now.Text, doubt.Text)
	case !source.Known():
		return astern.Target{}, astern.Errorf(astern.Refused, "%s: what that has is not known: %s", doing, source.Unknown)
	case !had:
		return astern.Target{}, astern.Errorf(astern.NotFound, "%s: there is no such file there", doing).WithHint("astern targets %s lists the releases", c.Name)
	case has && is.Text == was.Text:
		return astern.Target{}, astern.Errorf(astern.Refused, "%s: it is the same as what is served", doing)
	}
	at := s.Newest()
	return astern.Target{Address: c.Address(), Revision: pickedName(now.Text, base.Text, change.Object, was.Text), Readiness: astern.Ready,
		Evidence: []astern.Evidence{{What: oneLine(fmt.Sprintf("the file is in %s/%s/%s, and all others are in %s", p.root, p.releases, change.Revision, now.Text)),
			Readiness: astern.Ready, Seen: at}}}, nil
}

// compose begins the way with making the release that Pick names.
func (j *journey) compose(c astern.Component, t astern.Target, change astern.ObjectChange) error {
	again, err := router{}.Pick(c, j.s, change)
	if err != nil {
		return err
	}
	if again.Revision != t.Revision {
		return astern.Errorf(astern.Refused, "no way for %s to %s: %s leads to %s", c.Address(), oneLine(t.Revision), change, again.Revision)
	}
	now := j.s.Values["revision"].Text
	object := "object/" + change.Revision + "/" + change.Object
	to := "./" + j.p.releases + "/" + t.Revision
	s := j.step(verbCompose, verbCompose, fmt.Sprintf("make %s of %s with %s", t.Revision, now, change),
		host.QuoteAll("cp", "-Rp", "./"+j.p.releases+"/"+now, to)+" && "+
			host.QuoteAll("cp", "-p", "./"+j.p.releases+"/"+change.Revision+"/"+change.Object, to+"/"+change.Object),
		map[string]astern.Arg{"base": astern.Text(now), "base_hash": astern.Text(j.s.Values["release/"+now].Text), "object": astern.Text(change.Object),
			"source": astern.Text(change.Revision), "version": astern.Text(j.s.Values[object].Text)})
	s.Outputs = map[string]string{"hash": "string"}
	j.hash = astern.OutputOf(verbCompose, "hash")
	j.fact("release/"+now, verbCompose)
	j.fact(object, verbCompose)
	j.stage("make the release", s)
	return nil
}

// Undo points the link back to what was served before.
func (router) Undo(c astern.Component, call astern.Call, _ map[string]astern.Arg) ([]astern.Step, error) {
	if call.Verb != verbSwitch {
		return nil, nil
	}
	p, err := resolve(c)
	if err != nil {
		return nil, err
	}
	before, revision := call.Image[imageLink], call.Image[imageRevision]
	switch {
	case before == "":
		return nil, astern.Errorf(astern.Refused, "undoing %s: nothing was served before, so there is nothing to go back to", call.Step)
	case !goodTarget(p, before) || !goodRevision(revision):
		return nil, astern.Errorf(astern.Refused, "undoing %s: the link led to %q before, which is no release", call.Step, oneLine(before))
	case before == call.Text("to"):
		return nil, astern.Errorf(astern.Refused, "undoing %s: the link led there before", call.Step)
	}
	j := &journey{p: p, revision: revision, from: call.Text("to")}
	return []astern.Step{j.swap(before, revision, nil)}, nil
}
