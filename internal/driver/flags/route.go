package flags

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/pattern"
)

// router is the driver's Router and Switcher.
type router struct{}

// guessSeconds is how long a change takes where none was measured: a command here or over SSH.
const guessSeconds = 1

var (
	revisionShape = pattern.New(`^[0-9a-f]+$`)
	hashShape     = pattern.New(`^sha256:[0-9a-f]+$`)
)

// goodRevision reports whether s is the name of a state of the file.
func goodRevision(s string) bool { return len(s) == 12 && revisionShape.MatchString(s) }

func goodHash(s string) bool { return len(s) == 71 && hashShape.MatchString(s) }

// Targets returns the present state of the file, those that are kept, and those that the ledger remembers.
func (router) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	p, err := resolve(c)
	if err != nil {
		return nil
	}
	age := map[string]time.Time{}
	for path := range s.Values {
		if rev, ok := strings.CutPrefix(path, "release/"); ok {
			age[rev], _ = time.Parse(time.RFC3339, s.Values["release-time/"+rev].Text) // without a time it is the oldest
		} else if rev, ok := strings.CutPrefix(path, "kept/"); ok && age[rev].IsZero() {
			age[rev] = time.Time{}
		}
	}
	for _, d := range h.Deployments {
		if !astern.ValidRevision(d.Revision) {
			continue
		}
		if _, ok := age[d.Revision]; !ok {
			age[d.Revision] = time.Time{}
		}
		if d.LastAt != nil {
			age[d.Revision] = *d.LastAt
		}
	}
	var revisions []string
	for rev := range age {
		revisions = append(revisions, rev)
	}
	sort.Slice(revisions, func(i, j int) bool {
		if a, b := age[revisions[i]], age[revisions[j]]; !a.Equal(b) {
			return a.After(b)
		}
		return revisions[i] > revisions[j]
	})
	now := s.Values["revision"]
	out := make([]astern.Target, len(revisions))
	for i, rev := range revisions {
		d, _ := h.Of(rev)
		out[i] = astern.Target{Address: c.Address(), Revision: rev, Hash: d.Hash, DeployedAt: d.LastAt, KnownGoodAt: d.KnownGoodAt,
			Latched: d.Latched, Current: now.Known() && now.Text == rev, Evidence: evidence(p, s, d, rev)}
		if out[i].DeployedAt == nil {
			out[i].DeployedAt = d.FirstAt
		}
	}
	return out
}

// evidence says what speaks for and against a state of the file.
func evidence(p place, s astern.State, d astern.Deployment, rev string) []astern.Evidence {
	var out []astern.Evidence
	at := s.Newest()
	add := func(r astern.Readiness, format string, args ...any) {
		out = append(out, astern.Evidence{What: oneLine(fmt.Sprintf(format, args...)), Readiness: r, Seen: at})
	}
	now := s.Values["revision"]
	release, readable := s.Get("release/" + rev)
	kept, has := s.Get("kept/" + rev)
	hindered, blocked := s.Get("hindered")
	switch {
	case blocked && !hindered.Known():
		add(astern.ReadyUnknown, "the file could not be looked at: %s", hindered.Unknown)
	case !goodRevision(rev):
		add(astern.Broken, "it is no state of the file: that is named by the first twelve digits of its SHA-256")
	case readable && !release.Known():
		add(astern.ReadyUnknown, "%s", release.Unknown)
	case readable && d.Hash != "" && d.Hash != release.Text:
		add(astern.Broken, "its content is not what was recorded")
	case has && kept.Text != asItWas:
		add(astern.Broken, "the copy in %s is not good: %s", p.history(), kept.Text)
	case has:
		add(astern.Ready, "a copy is kept in %s with its hash", p.history())
	case now.Known() && now.Text == rev:
		add(astern.Ready, "the file has it now; it is kept when astern changes the file")
	default:
		add(astern.Broken, "no copy of it is kept in %s", p.history())
	}
	if problem, ok := s.Get("release-problem/" + rev); ok {
		add(astern.Broken, "it is no valid flag file: %s", problem.Text)
	} else if readable && release.Known() {
		add(astern.Ready, "it is valid by flagd's schema")
	}
	switch _, has := s.Get("revision"); {
	case blocked && hindered.Known():
		for _, line := range strings.Split(hindered.Text, "\n") {
			add(astern.Broken, "%s", line)
		}
	case !blocked && !has:
		add(astern.Broken, "there is no file %s to replace", p.file())
	case !blocked:
		add(astern.Ready, "the file can be replaced atomically")
	}
	if d.KnownGoodAt != nil {
		out = append(out, astern.Evidence{What: "it completed its watch", Readiness: astern.Ready, Seen: *d.KnownGoodAt})
	} else {
		add(astern.AtRisk, "it never completed a watch")
	}
	return out
}

// Switch returns the state that the file has after the change.
func (router) Switch(c astern.Component, s astern.State, change astern.FlagChange) (astern.Target, error) {
	if _, err := resolve(c); err != nil {
		return astern.Target{}, err
	}
	_, text, err := switched(c, s, change)
	if err != nil {
		return astern.Target{}, err
	}
	hash := hashOf(text)
	at := s.Newest()
	return astern.Target{Address: c.Address(), Revision: revisionOf(hash), Hash: hash, Readiness: astern.Ready, Evidence: []astern.Evidence{
		{What: "the file is as it was seen, and with the change it is valid by flagd's schema", Readiness: astern.Ready, Seen: at}}}, nil
}

// switched makes the change on what was seen of the file.
func switched(c astern.Component, s astern.State, change astern.FlagChange) (edit, []byte, error) {
	refuse := func(format string, args ...any) (edit, []byte, error) {
		return edit{}, nil, astern.Errorf(astern.Refused, "changing %s of %s: "+format, append([]any{oneLine(change.Flag), c.Address()}, args...)...).
			WithHint("astern targets %s lists the states of the file that can be put back", c.Name)
	}
	content, ok := s.Get("content")
	problem, invalid := s.Get("problem")
	hindered, blocked := s.Get("hindered")
	switch {
	case ok && !content.Known():
		return refuse("%s", content.Unknown)
	case !ok:
		return refuse("there is no file")
	case invalid:
		return refuse("the file is not valid: %s", problem.Text)
	case blocked:
		return refuse("%s", strings.ReplaceAll(hindered.Text, "\n", "; "))
	}
	d, err := read([]byte(content.Text))
	if err != nil {
		return refuse("%w", err)
	}
	e, err := d.change(change)
	if err != nil {
		return edit{}, nil, fmt.Errorf("changing %s of %s: %w", oneLine(change.Flag), c.Address(), err)
	}
	text, err := d.apply(e)
	return e, text, err
}

// Route returns the way to a state of the file: the change of one flag where that is asked for, else an earlier state.
func (router) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.Route{}, err
	}
	refuse := func(format string, args ...any) (astern.Route, error) {
		return astern.Route{}, astern.Errorf(astern.Refused, "no way for %s to %s: "+format, append([]any{c.Address(), oneLine(t.Revision)}, args...)...)
	}
	now, there := s.Get("revision")
	hindered, blocked := s.Get("hindered")
	switch {
	case !goodRevision(t.Revision):
		return refuse("it is no state of the file: that is named by the first twelve digits of its SHA-256")
	case blocked && !hindered.Known():
		return refuse("the file could not be looked at: %s", hindered.Unknown)
	case blocked:
		return refuse("%s", strings.ReplaceAll(hindered.Text, "\n", "; "))
	case !there || !now.Known():
		return refuse("there is no file %s to replace", p.file())
	}
	from := s.Values["release/"+now.Text].Text
	way := route{p: p, from: from, seen: now.At}
	if o.Flag != nil {
		return way.change(c, s, t, o)
	}
	kept := s.Values["kept/"+t.Revision]
	release, ok := s.Get("release/" + t.Revision)
	problem, invalid := s.Get("release-problem/" + t.Revision)
	switch {
	case now.Text == t.Revision:
		return astern.Route{From: now.Text}, nil
	case !ok || kept.Text != asItWas:
		return refuse("no good copy of it is kept in %s", p.history())
	case !release.Known() || t.Hash != "" && release.Text != t.Hash:
		return refuse("its content is not what was recorded")
	case invalid:
		return refuse("it is no valid flag file: %s", problem.Text)
	}
	step := way.put(release.Text)
	out := way.route(step, "put back "+t.Revision)
	out.Facts = append(out.Facts, astern.Fact{Address: c.Address(), Path: "release/" + t.Revision, Value: release.Text, Seen: release.At, Steps: []string{step.ID}})
	return out, nil
}

// route is a way from one state of the file.
type route struct {
	p    place
	from string // hash
	seen time.Time
}

func (w route) route(step astern.Step, title string) astern.Route {
	address := w.p.component.Address()
	return astern.Route{From: revisionOf(w.from),
		Stages: []astern.Stage{{Title: title, Steps: []astern.Step{step}, OnFailure: astern.OnFailureHold}},
		Facts:  []astern.Fact{{Address: address, Path: "revision", Value: revisionOf(w.from), Seen: w.seen, Steps: []string{step.ID}}}}
}

// step is what changing the file to another state has in every case.
func (w route) step(verb, title, to string, args map[string]astern.Arg) astern.Step {
	args["folder"], args["name"] = astern.Text(w.p.folder), astern.Text(w.p.name)
	args["from"], args["to"], args["revision"] = astern.Text(w.from), astern.Text(to), astern.Text(revisionOf(to))
	if w.p.host != host.Local {
		title += " on " + w.p.host
	}
	return astern.Step{ID: verb, Address: w.p.component.Address(), Kind: Kind, Verb: verb, Title: title, Args: args,
		Sets: []astern.Set{{Path: "revision", Value: astern.Text(revisionOf(to))}}, Undo: astern.UndoInverse,
		Estimate: astern.Estimate{MedianSeconds: guessSeconds}, Attempts: 3, TimeoutSeconds: 60, HoldSeconds: 60}
}

// put is the step that puts back a state that is kept.
func (w route) put(to string) astern.Step {
	s := w.step(verbPut, fmt.Sprintf("put %s of %s back", revisionOf(to), w.p.name), to, map[string]astern.Arg{})
	s.Command = w.p.replace("cat " + host.Quote("./"+w.p.beside(to)))
	return s
}

// replace is what a person types to give the file the output of a command: all or nothing, with mode and owner as they are.
func (p place) replace(command string) string {
	file, next := "./"+p.name, "./"+p.name+".new"
	return host.QuoteAll("cd", "--", p.folder) + " && " + host.QuoteAll("cp", "-p", file, next) + " && " + command + " > " + host.Quote(next) +
		" && " + host.QuoteAll("mv", "-f", next, file)
}

// change is the way of one flag: keep the state, change the flag, and see that flagd answers so.
func (w route) change(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	e, text, err := switched(c, s, *o.Flag)
	if err != nil {
		return astern.Route{}, err
	}
	if hash := hashOf(text); hash != t.Hash || t.Revision != revisionOf(hash) {
		return astern.Route{}, astern.Errorf(astern.Refused, "no way for %s to %s: the change of %s leads to %s", c.Address(), t.Revision, o.Flag.Flag, revisionOf(hash))
	}
	args := changeArgs(*o.Flag)
	step := w.step(verbChange, e.title, t.Hash, args)
	kept := "./" + w.p.beside(w.from)
	step.Command = w.p.replace(host.QuoteAll("mkdir", "-p", "./"+w.p.name+".astern") + " && " + host.QuoteAll("cp", "-p", "./"+w.p.name, kept) +
		" && " + host.QuoteAll("jq", e.jq, kept))
	out := w.route(step, e.title)
	out.Notes = e.notes
	if asks := expectation(*o.Flag, e); w.p.evaluate != "" && asks.sure() {
		out.Stages[0].Steps = append(out.Stages[0].Steps, asks.step(w.p, step))
	}
	return out, nil
}

// changeArgs is the change as arguments of a step.
func changeArgs(c astern.FlagChange) map[string]astern.Arg {
	args := map[string]astern.Arg{"flag": astern.Text(c.Flag)}
	if c.Segment != "" {
		args["segment"] = astern.Text(c.Segment)
	}
	if c.Serve != "" {
		args["serve"] = astern.Text(c.Serve)
	}
	if c.Percent != nil {
		args["percent"] = astern.Text(strconv.Itoa(*c.Percent))
	}
	return args
}

// changeOf is the change that the arguments of a step say.
func changeOf(call astern.Call) (astern.FlagChange, error) {
	c := astern.FlagChange{Flag: call.Text("flag"), Segment: call.Text("segment"), Serve: call.Text("serve")}
	if text := call.Text("percent"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return c, astern.Errorf(astern.Invalid, "step %s: %q is no percentage", call.Step, oneLine(text))
		}
		c.Percent = &n
	}
	return c, nil
}

// Undo puts back the state before, which the step kept.
func (router) Undo(c astern.Component, call astern.Call, _ map[string]astern.Arg) ([]astern.Step, error) {
	if !slices.Contains([]string{verbChange, verbPut}, call.Verb) {
		return nil, nil
	}
	p, err := resolve(c)
	if err != nil {
		return nil, err
	}
	before, to := call.Image[imageHash], call.Text("to")
	if !goodHash(before) || !goodHash(to) {
		return nil, astern.Errorf(astern.Refused, "undoing %s: %q is no state of the file", call.Step, oneLine(before))
	}
	if before == to {
		return nil, astern.Errorf(astern.Refused, "undoing %s: the file was in that state before", call.Step)
	}
	return []astern.Step{route{p: p, from: to}.put(before)}, nil
}
