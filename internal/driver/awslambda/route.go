package awslambda

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// How long steps take where none was measured: a call or two each.
const (
	guessSeconds     = 1
	guessCodeSeconds = 10
	publishSeconds   = 900 // a version with SnapStart is Pending for minutes
)

// Route moves the alias to a published version, at once or after a share of its calls; or brings a version back from its
// archive first.
func (router) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.Route{}, err
	}
	refuse := func(format string, args ...any) (astern.Route, error) {
		return astern.Route{}, astern.Errorf(astern.Refused, "no way for %s to %s: %s", c.Address(), t.Revision, fmt.Sprintf(format, args...))
	}
	_, published := s.Get("version/" + t.Revision)
	_, archived := s.Get("archive/" + t.Revision)
	now := s.Values["revision"]
	switch {
	case !astern.ValidRevision(t.Revision):
		return astern.Route{}, astern.Errorf(astern.Invalid, "%q is not the name of a revision", t.Revision)
	case !now.Known():
		return refuse("what the alias %s serves is not known: %s", p.Alias, now.Unknown)
	case published && now.Text == t.Revision && o.Verb == astern.VerbRedeploy:
		return refuse("the alias serves version %s, and a published version never changes: there is nothing to redeploy", s.Values["version/"+t.Revision].Text)
	case published && now.Text == t.Revision:
		return astern.Route{From: now.Text}, nil
	}
	if why, ok := judge(p, s, astern.Deployment{Hash: t.Hash}, t.Revision).Against(); ok {
		return refuse("%s", why.What)
	}
	w := way{place: p, state: s, target: t}
	switch {
	case published:
		return w.move(o), nil
	case archived && slices.Contains(strings.Split(now.Text, "+"), revisionLatest):
		return refuse("the alias %s serves $LATEST, which gets the archive's code before it is published: publish what it is (aws lambda publish-version), and point the alias there first", p.Alias)
	case archived:
		return w.redeploy(), nil
	}
	return refuse("it is neither published nor archived")
}

// way is a way from one state of the function to a target.
type way struct {
	place
	state  astern.State
	target astern.Target
}

// step is what all steps have.
func (w way) step(id, verb, title string, args map[string]astern.Arg) astern.Step {
	args["function"], args["alias"], args["revision"] = astern.Text(w.Function), astern.Text(w.Alias), astern.Text(w.target.Revision)
	if arn := w.state.Values["arn"]; arn.Known() && arn.Text != "" {
		args["arn"] = astern.Text(arn.Text)
	}
	return astern.Step{ID: id, Address: w.component.Address(), Kind: Kind, Verb: verb, Title: title, Args: args, Undo: astern.UndoInverse,
		Estimate: astern.Estimate{MedianSeconds: guessSeconds}, Attempts: 3, TimeoutSeconds: 120, HoldSeconds: 60}
}

// fact is a fact for all steps of the stages.
func (w way) fact(stages []astern.Stage, paths ...string) []astern.Fact {
	var steps []string
	for _, st := range stages {
		for _, step := range st.Steps {
			steps = append(steps, step.ID)
		}
	}
	var out []astern.Fact
	for _, path := range paths {
		v, ok := w.state.Get(path)
		out = append(out, astern.Fact{Address: w.component.Address(), Path: path, Value: v.Text, Absent: !ok, Seen: w.state.Newest(), Steps: steps})
	}
	return out
}

// move is the way to a version that is published.
func (w way) move(o astern.Options) astern.Route {
	number, from := w.state.Values["version/"+w.target.Revision].Text, w.state.Values["revision"].Text
	out := astern.Route{From: from, Notes: w.notes()}
	step := w.pointTo(astern.Text(number), "")
	switch main, canary := w.canary(from, number); {
	case o.Percent < 100 && canary:
		share := float64(o.Percent) / 100
		out.Stages = append(out.Stages, astern.Stage{Title: fmt.Sprintf("send %d %% of the calls to %s", o.Percent, w.target.Revision),
			Steps: []astern.Step{w.shift(main, number, share)}, OnFailure: astern.OnFailureHold,
			Gate: &astern.Gate{Checks: []string{}, BakeSeconds: o.BakeSeconds, IntervalSeconds: 5, TimeoutSeconds: max(o.GateSeconds, 60)}})
		step.Sets = append(step.Sets, astern.Set{Path: "routing", Absent: true})
	case o.Percent < 100:
		out.Notes = append(out.Notes, fmt.Sprintf("the alias %s serves %s: a third version can't have a share beside them, so it goes over at once", w.Alias, from))
	}
	step.Title = fmt.Sprintf("move the alias %s of %s to version %s", w.Alias, w.Function, number)
	step.Command = w.command("update-alias", "--name", w.Alias, "--function-version", number, "--routing-config", weights(""))
	out.Stages = append(out.Stages, astern.Stage{Title: "move the alias to " + w.target.Revision, Steps: []astern.Step{step}, OnFailure: astern.OnFailureHold})
	out.Facts = w.fact(out.Stages, "arn", "revision", "version/"+w.target.Revision, "release/"+w.target.Revision)
	return out
}

// canary reports whether a share of the calls can be sent to the version first, and which version keeps the rest.
func (w way) canary(from, number string) (main string, ok bool) {
	if _, shared := w.state.Get("routing"); shared || strings.Contains(from, "+") {
		return "", false
	}
	v, ok := w.state.Get("version/" + from) // $LATEST has none, and can't have shares beside it
	return v.Text, ok && v.Known() && v.Text != number
}

// pointTo is the step that moves the alias whole, or to a version with shares beside it.
func (w way) pointTo(version astern.Arg, routing string) astern.Step {
	args := map[string]astern.Arg{"version": version}
	if routing != "" {
		args["routing"] = astern.Text(routing)
	}
	s := w.step(verbMove, verbMove, "", args)
	s.Sets = []astern.Set{{Path: "revision", Value: astern.Text(w.target.Revision)}}
	if _, shared := w.state.Get("routing"); shared {
		s.Sets = append(s.Sets, astern.Set{Path: "routing", Absent: true})
	}
	return s
}

// shift is the step that sends a share of the calls to the target.
func (w way) shift(main, number string, share float64) astern.Step {
	routing := number + "=" + strconv.FormatFloat(share, 'g', -1, 64)
	s := w.step(verbShift, verbShift, fmt.Sprintf("send %g %% of the calls of %s to version %s", share*100, w.Alias, number),
		map[string]astern.Arg{"version": astern.Text(main), "routing": astern.Text(routing)})
	s.Sets = []astern.Set{{Path: "revision", Value: astern.Text(w.state.Values["revision"].Text + "+" + w.target.Revision)}, {Path: "routing", Value: astern.Text(routing)}}
	s.Command = w.command("update-alias", "--name", w.Alias, "--function-version", main, "--routing-config", weights(routing))
	return s
}

// redeploy is the way to a version that only its archive is left of: its code becomes the function's, is published under
// the revision's name, and the alias is moved to that.
func (w way) redeploy() astern.Route {
	rev := w.target.Revision
	identity := w.state.Values["archive/"+rev].Text
	code := w.step(verbCode, verbCode, "put the code of "+w.Archive.source(rev)+" into "+w.Function,
		map[string]astern.Arg{"bucket": astern.Text(w.Archive.Bucket), "key": astern.Text(w.Archive.key(rev)), "object": astern.Text(identity)})
	wanted := w.state.Values["archive-hash/"+rev].Text
	if wanted == "" && recorded(w.target.Hash) {
		wanted = w.target.Hash
	}
	if wanted != "" {
		code.Args["hash"] = astern.Text(wanted)
		code.Limits = map[string]string{"hash": wanted}
	}
	code.Outputs = map[string]string{"hash": "string"}
	code.Sets = []astern.Set{{Path: "latest", Value: astern.OutputOf(verbCode, "hash")}}
	code.Undo, code.UndoBecause = astern.UndoNone, "the alias does not serve $LATEST"
	code.Estimate = astern.Estimate{MedianSeconds: guessCodeSeconds}
	words := []string{"update-function-code", "--s3-bucket", w.Archive.Bucket, "--s3-key", w.Archive.key(rev)}
	if v, ok := strings.CutPrefix(identity, "version "); ok {
		words = append(words, "--s3-object-version", v)
	}
	code.Command = w.command(words[0], words[1:]...)

	publish := w.step(verbPublish, verbPublish, "publish it as "+rev, map[string]astern.Arg{"hash": astern.OutputOf(verbCode, "hash")})
	publish.Outputs = map[string]string{"version": "string"}
	publish.Guards = []string{verbCode}
	publish.Undo, publish.UndoBecause = astern.UndoNone, "a version that nobody calls does nothing"
	publish.TimeoutSeconds = publishSeconds
	publish.Command = w.command("publish-version", "--description", rev)

	move := w.pointTo(astern.OutputOf(verbPublish, "version"), "")
	move.Title = fmt.Sprintf("move the alias %s of %s to it", w.Alias, w.Function)
	move.Command = w.command("update-alias", "--name", w.Alias, "--routing-config", weights("")) + " --function-version \"$(" +
		w.command("list-versions-by-function", "--query", "Versions[-1].Version", "--output", "text") + ")\""
	stages := []astern.Stage{{Title: "bring " + rev + " back from its archive", Steps: []astern.Step{code, publish, move}, OnFailure: astern.OnFailureHold}}
	out := astern.Route{From: w.state.Values["revision"].Text, Stages: stages, Notes: w.notes(), Facts: w.fact(stages, "arn", "revision")}
	archived := w.fact([]astern.Stage{{Steps: []astern.Step{code}}}, "archive/"+rev, "latest")
	out.Facts = append(out.Facts, archived...)
	out.Notes = append(out.Notes, fmt.Sprintf("configuration and environment are those of $LATEST now, and not those that %s had; whoever calls %s without the alias gets this code", rev, w.Function))
	return out
}

// notes say what moves with the alias, and what does not.
func (w way) notes() []string {
	var out []string
	if v, ok := w.state.Get("provisioned"); ok && v.Known() {
		out = append(out, fmt.Sprintf("provisioned concurrency of the alias (%s) is set up anew for the other version: until it is READY, calls start cold", v.Text))
	}
	if v, ok := w.state.Get("event-sources"); ok && v.Known() {
		others := map[string]int{}
		for _, line := range strings.Split(v.Text, "\n") {
			if through, _, _ := strings.Cut(line, " "); through != w.Alias {
				others[through]++
			}
		}
		for _, through := range sorted(others) {
			out = append(out, fmt.Sprintf("%d event sources call %s:%s, which does not move", others[through], w.Function, through))
		}
	}
	return out
}

// weights writes shares as the AWS CLI reads them.
func weights(routing string) string {
	var out []string
	for _, part := range strings.Fields(routing) {
		version, share, _ := strings.Cut(part, "=")
		out = append(out, `"`+version+`"=`+share)
	}
	return "AdditionalVersionWeights={" + strings.Join(out, ",") + "}"
}

// command is what a person types.
func (p place) command(operation string, words ...string) string {
	all := append([]string{"aws", "lambda", operation, "--function-name", p.Function}, words...)
	return host.QuoteAll(append(all, p.Options()...)...)
}

// Undo leads the alias back to where the step found it. Code and versions that came beside it harm nobody.
func (router) Undo(c astern.Component, call astern.Call, _ map[string]astern.Arg) ([]astern.Step, error) {
	if call.Verb != verbMove && call.Verb != verbShift {
		return nil, nil
	}
	p, err := resolve(c)
	if err != nil {
		return nil, err
	}
	version, routing, serves := call.Image[imageVersion], call.Image[imageRouting], call.Image[imageServes]
	if shares, err := parseRouting(routing); err != nil || version != latest && !digits.MatchString(version) || version == latest && len(shares) > 0 {
		return nil, astern.Errorf(astern.Refused, "undoing %s: %q is nothing that the alias could have served", call.Step, version+" "+routing)
	}
	if version == call.Text("version") && routing == call.Text("routing") {
		return nil, astern.Errorf(astern.Refused, "undoing %s: the alias was there before", call.Step)
	}
	w := way{place: p, target: astern.Target{Revision: serves}}
	s := w.pointTo(astern.Text(version), routing)
	s.Title = fmt.Sprintf("move the alias %s of %s back to version %s", p.Alias, p.Function, version)
	if arn := call.Text("arn"); arn != "" {
		s.Args["arn"] = astern.Text(arn)
	}
	if routing != "" {
		s.Title += ", " + routing
		s.Sets = append(s.Sets, astern.Set{Path: "routing", Value: astern.Text(routing)})
	} else if call.Text("routing") != "" {
		s.Sets = append(s.Sets, astern.Set{Path: "routing", Absent: true})
	}
	s.Command = p.command("update-alias", "--name", p.Alias, "--function-version", version, "--routing-config", weights(routing))
	return []astern.Step{s}, nil
}
