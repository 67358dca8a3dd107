package awsappconfig

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/host"
)

// How long steps take where none was measured: a call or two each.
const guessSeconds = 1

// spareSeconds is how long a step that waits for the cloud waits beyond what the strategy says.
const spareSeconds = 600

// Route takes the last deployment back, or deploys a version again, or makes one in which a flag is off.
func (router) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.Route{}, err
	}
	now := s.Values["revision"]
	refuse := func(format string, args ...any) (astern.Route, error) {
		return astern.Route{}, astern.Errorf(astern.Refused, "no way for %s to %s: %s", c.Address(), awsapi.OneLine(t.Revision), fmt.Sprintf(format, args...))
	}
	i, known := parseIDs(s.Values["ids"].Text)
	w := way{place: p, ids: i, state: s, revision: t.Revision, strategy: s.Values["strategy"].Text,
		minutes: number(s, "strategy/minutes")}
	switch {
	case !astern.ValidRevision(t.Revision):
		return astern.Route{}, astern.Errorf(astern.Invalid, "%q is not the name of a revision", awsapi.OneLine(t.Revision))
	case o.Flag != nil:
		return w.off(c, s, t, o)
	case known && now.Known() && now.Text == t.Revision && o.Verb == astern.VerbRedeploy:
		return refuse("clients get it, and a version never changes: there is nothing to redeploy")
	case known && now.Known() && now.Text == t.Revision:
		return astern.Route{From: now.Text}, nil
	}
	if why, ok := judge(p, s, astern.Deployment{}, t.Revision).Against(); ok {
		return refuse("%s", why.What)
	}
	if b, ok := backOf(s); ok && b.revision == t.Revision && o.Verb == astern.VerbRollback && o.Before == 0 {
		return w.back(b, o), nil
	}
	e := &evidence{awsapi.Findings{Seen: s.Newest()}}
	if e.deployable(p, s); len(e.List) > 0 {
		if why, ok := e.Against(); ok {
			return refuse("%s", why.What)
		}
	}
	return w.again(astern.Text(s.Values["version/"+t.Revision].Text), o, nil), nil
}

// way is a way from one state of the configuration to a revision.
type way struct {
	place
	ids      ids
	state    astern.State
	revision string
	strategy string // id, "" where there is none
	minutes  int64  // how long it grows
}

// step is what all steps have.
func (w way) step(verb, title string, args map[string]astern.Arg) astern.Step {
	args["ids"], args["revision"] = astern.Text(w.ids.String()), astern.Text(w.revision)
	return astern.Step{ID: verb, Address: w.component.Address(), Kind: Kind, Verb: verb, Title: title, Args: args, Undo: astern.UndoNone,
		Estimate: astern.Estimate{MedianSeconds: guessSeconds}, Attempts: 3, TimeoutSeconds: 120, HoldSeconds: 60}
}

// facts are what the steps rest on.
func (w way) facts(steps []astern.Step, paths ...string) []astern.Fact {
	var out []astern.Fact
	for _, path := range paths {
		f := astern.Fact{Address: w.component.Address(), Path: path, Seen: w.state.Newest()}
		for _, s := range steps {
			f.Steps = append(f.Steps, s.ID)
		}
		v, ok := w.state.Get(path)
		f.Value, f.Absent = v.Text, !ok
		out = append(out, f)
	}
	return out
}

// back is the way of the cloud itself: everybody has the version of before at once.
func (w way) back(b back, o astern.Options) astern.Route {
	step := w.revert(b)
	await := w.await(astern.Text(w.state.Values["version/"+w.revision].Text), astern.Arg{})
	await.Args["reverted"] = step.Args["deployment"]
	why := fmt.Sprintf("deployment %d is taken back, rather than %s deployed again: that is for everybody at once, bound to this very deployment, and goes ahead while alarms are going off",
		b.number, w.revision)
	out := astern.Route{From: w.state.Values["revision"].Text, Facts: w.facts([]astern.Step{step}, "ids", "revision", "deployment"), Notes: []string{why},
		Stages: []astern.Stage{{Title: "take deployment " + strconv.FormatInt(b.number, 10) + " back", OnFailure: astern.OnFailureHold,
			Steps: []astern.Step{step, await}}}}
	if v := w.state.Values["strategy"]; !v.Known() {
		out.Notes = append(out.Notes, "undoing it would deploy what is taken back, by a strategy that could not be read: "+v.Unknown)
	}
	if !b.until.IsZero() {
		out.Notes = append(out.Notes, "the cloud can do that until "+b.until.UTC().Format("2006-01-02 15:04Z"))
	}
	if o.Percent < 100 {
		out.Notes = append(out.Notes, fmt.Sprintf("there is no share of %d %% on that way; astern deploy %s %s goes by the strategy", o.Percent, w.component.Name, w.revision))
	}
	return out
}

// revert is the step that takes a deployment back. The way's revision is what that leads to.
func (w way) revert(b back) astern.Step {
	number := strconv.FormatInt(b.number, 10)
	s := w.step(verbRevert, fmt.Sprintf("take deployment %s of %s back: %s for everybody", number, w.Configuration, b.revision),
		map[string]astern.Arg{"deployment": astern.Text(number), "strategy": astern.Text(w.strategy), "minutes": astern.Int(w.minutes)})
	s.Args["revision"] = astern.Text(b.revision)
	s.Sets = []astern.Set{{Path: "revision", Value: astern.Text(b.revision)}}
	s.Undo = astern.UndoInverse
	s.Command = w.command("stop-deployment", "--deployment-number", number, "--allow-revert")
	return s
}

// again is the way of a new deployment: of a version that is there, or of the one that a step before makes. A deployment of
// the component's own that is under way is stopped before, for there is one at a time.
func (w way) again(version astern.Arg, o astern.Options, before []astern.Step) astern.Route {
	out := astern.Route{From: w.state.Values["revision"].Text}
	var stop []astern.Step
	if b, ok := backOf(w.state); ok && b.until.IsZero() && ours(w.state) {
		stop = []astern.Step{w.revert(b)}
		out.Notes = append(out.Notes, fmt.Sprintf("deployment %d is under way and there is one at a time: it is stopped first, and clients get %s for a moment", b.number, b.revision))
	}
	bake := number(w.state, "strategy/bake")
	deploy := w.deploy(version)
	if o.Before+o.After > 0 {
		if o.After > 0 { // its undo deploys anew, maybe twice
			deploy.Sets[0].Path = "standing"
		}
		deploy.Args["before"], deploy.Args["after"], deploy.Args["bake"] = astern.Int(int64(o.Before)), astern.Int(int64(o.After)), astern.Int(bake)
	}
	if version.Ref != nil {
		deploy.Guards = []string{verbCreate}
	}
	steps := append(append(stop, before...), deploy)
	// What is deployed in between, a pause may be long, is not replaced.
	firsts := steps[:1]
	if steps[0].ID != deploy.ID {
		firsts = []astern.Step{steps[0], deploy}
	}
	if len(stop) > 0 {
		out.Facts = append(w.facts(stop, "deployment"), w.facts(firsts, "revision")...)
	} else { // another attempt finds the deployment that was stopped before, which changed nothing
		out.Facts = w.facts(firsts, "revision", "standing")
	}
	out.Facts = append(out.Facts, w.facts([]astern.Step{deploy}, "ids", "strategy")...)
	if version.Ref == nil {
		out.Facts = append(out.Facts, w.facts([]astern.Step{deploy}, "version/"+w.revision)...)
	}
	steps = append(steps, w.await(version, astern.OutputOf(verbDeploy, "deployment")))
	stage := astern.Stage{Title: "deploy " + w.revision, OnFailure: astern.OnFailureHold}
	if w.minutes > 0 {
		stage.Title += ", " + w.state.Values["strategy/growth"].Text
		out.Notes = append(out.Notes, fmt.Sprintf("while it grows, a pause or a cancel stops the deployment: clients get %s again, and resume deploys it anew", cmp.Or(out.From, "nothing")))
	}
	alarms, watched := w.state.Get("alarms")
	if strings.Contains("\n"+alarms.Text, "\nALARM ") {
		out.Notes = append(out.Notes, "an alarm of the environment is going off: the cloud may take this deployment back at once (aws cloudwatch disable-alarm-actions keeps it from that)")
	}
	switch {
	case bake > 0 && (watched && o.Verb != astern.VerbOff || o.After > 0):
		steps = append(steps, w.bake(bake))
	case bake > 0 && watched:
		out.Notes = append(out.Notes, fmt.Sprintf("it bakes for %d min: until then the environment takes no other deployment, and its alarms take this one back if they go off; that is not waited for", bake))
	case bake > 0:
		out.Notes = append(out.Notes, fmt.Sprintf("it bakes for %d min: until then the environment takes no other deployment", bake))
	}
	stage.Steps = steps
	out.Stages = []astern.Stage{stage}
	if o.Percent < 100 {
		out.Notes = append(out.Notes, fmt.Sprintf("how many clients get it at a time is what the strategy %s says, and not %d %%: %s", w.Strategy, o.Percent, w.state.Values["strategy/growth"].Text))
	}
	return out
}

// number reads a value of a state that is one; 0 where it is absent.
func number(s astern.State, path string) int64 {
	n, _ := strconv.ParseInt(s.Values[path].Text, 10, 64) // the driver wrote it
	return n
}

// deploy is the step that deploys a version, until all of the deployment has grown.
func (w way) deploy(version astern.Arg) astern.Step {
	s := w.step(verbDeploy, fmt.Sprintf("deploy %s of %s by %s", w.revision, w.Configuration, w.Strategy),
		map[string]astern.Arg{"version": version, "strategy": astern.Text(w.strategy), "minutes": astern.Int(w.minutes)})
	s.Undo, s.SettleSeconds, s.Stoppable = astern.UndoInverse, 5, w.minutes > 0
	s.Estimate.MedianSeconds += float64(60 * w.minutes)
	s.TimeoutSeconds = 60*w.minutes + spareSeconds
	s.Outputs = map[string]string{"deployment": "string"}
	s.Sets = []astern.Set{{Path: "deployment", Value: astern.OutputOf(verbDeploy, "deployment")}}
	typed := w.revision // a label will do where the number is not known yet
	if version.Ref == nil {
		typed = version.String()
	}
	s.Command = w.command("start-deployment", "--configuration-profile-id", w.ids.profile, "--configuration-version", typed, "--deployment-strategy-id", w.strategy)
	return s
}

// await is the step that waits until clients get the version. Deployment is empty where one was taken back instead.
func (w way) await(version, deployment astern.Arg) astern.Step {
	args := map[string]astern.Arg{"version": version}
	if !deployment.IsZero() {
		args["deployment"] = deployment
	}
	s := w.step(verbAwait, "wait until clients get "+w.revision, args)
	s.Sets = []astern.Set{{Path: "revision", Value: astern.Text(w.revision)}}
	s.TimeoutSeconds = spareSeconds
	data := append([]string{"aws", "appconfigdata"}, w.Options()...)
	s.Command = host.QuoteAll(append(data, "get-latest-configuration", "--configuration-token")...) + ` "$(` +
		host.QuoteAll(append(data, "start-configuration-session", "--application-identifier", w.ids.application, "--environment-identifier", w.ids.environment,
			"--configuration-profile-identifier", w.ids.profile, "--query", "InitialConfigurationToken", "--output", "text")...) + `)" /dev/stdout`
	return s
}

// bake is the step that waits until alarms can't take the deployment back any more.
func (w way) bake(minutes int64) astern.Step {
	s := w.step(verbBake, "wait until alarms can't take the deployment back any more", map[string]astern.Arg{"deployment": astern.OutputOf(verbDeploy, "deployment")})
	s.Estimate.MedianSeconds = float64(60 * minutes)
	s.TimeoutSeconds, s.Stoppable = 60*minutes+spareSeconds, true
	s.Command = w.command("wait deployment-complete", "--deployment-number") + ` "$(` +
		w.command("list-deployments", "--no-paginate", "--max-results", "1", "--query", "Items[0].DeploymentNumber", "--output", "text") + `)"`
	return s
}

// off is the way of a flag: a version in which it is off, and the deployment of that.
func (w way) off(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	base, err := switchable(c, s, *o.Flag)
	if err != nil {
		return astern.Route{}, err
	}
	if want := labelOff(base, o.Flag.Flag); t.Revision != want {
		return astern.Route{}, astern.Errorf(astern.Refused, "no way for %s to %s: the change of %s leads to %s", c.Address(), t.Revision, o.Flag.Flag, want)
	}
	e := &evidence{awsapi.Findings{Seen: s.Newest()}}
	e.deployable(w.place, s)
	if why, ok := e.Against(); ok {
		return astern.Route{}, astern.Errorf(astern.Refused, "no way for %s to %s: %s", c.Address(), t.Revision, why.What)
	}
	create := w.step(verbCreate, fmt.Sprintf("add the version %s: as version %d, with %s off", t.Revision, base, o.Flag.Flag),
		map[string]astern.Arg{"base": astern.Text(strconv.FormatInt(base, 10)), "flag": astern.Text(o.Flag.Flag)})
	create.UndoBecause = "a version that is not deployed does nothing"
	create.Outputs = map[string]string{"version": "string"}
	create.SettleSeconds = 5
	create.Sets = []astern.Set{{Path: "version/" + t.Revision, Value: astern.OutputOf(verbCreate, "version")}}
	create.Command = w.createCommand(base, *o.Flag, t.Revision)
	out := w.again(astern.OutputOf(verbCreate, "version"), o, []astern.Step{create})
	out.Stages[0].Title = "switch " + o.Flag.Flag + " off everywhere"
	if w.minutes > 0 {
		out.Stages[0].Title += ", " + s.Values["strategy/growth"].Text
	}
	if is := s.Values["flag/"+o.Flag.Flag].Text; strings.Contains(is, "variants") {
		out.Notes = append(out.Notes, "each variant of "+o.Flag.Flag+" is switched off; rules and values stay for the way back")
	}
	return out, nil
}

// createCommand is what a person types to make the version.
func (w way) createCommand(base int64, change astern.FlagChange, label string) string {
	profile := []string{"--application-id", w.ids.application, "--configuration-profile-id", w.ids.profile}
	aws := func(operation string, words ...string) string {
		return host.QuoteAll(append(append(append([]string{"aws", "appconfig", operation}, profile...), words...), w.Options()...)...)
	}
	name, _ := encode(change.Flag) // a text
	filter := fmt.Sprintf(`.values[%s] |= if has("_variants") then ._variants[].enabled = false else .enabled = false end`, name)
	return aws("get-hosted-configuration-version", "--version-number", strconv.FormatInt(base, 10), "flags.json") + " && " +
		host.QuoteAll("jq", filter, "flags.json") + " > flags-off.json && " +
		aws("create-hosted-configuration-version", "--content", "fileb://flags-off.json", "--content-type", "application/json", "--version-label", label, "/dev/null")
}

// command is what a person types about the environment.
func (w way) command(operation string, words ...string) string {
	all := append(append([]string{"aws", "appconfig"}, strings.Fields(operation)...), w.Options()...)
	return host.QuoteAll(append(append(all, "--application-id", w.ids.application, "--environment-id", w.ids.environment), words...)...)
}

// Undo takes a deployment back, or deploys again what was taken back. Of the deployments of one plan to one environment the cloud
// takes back the last alone: the version before each of the others is deployed again, one after the other. A version that was
// added harms nobody.
func (router) Undo(c astern.Component, call astern.Call, outputs map[string]astern.Arg) ([]astern.Step, error) {
	if call.Verb != verbDeploy && call.Verb != verbRevert {
		return nil, nil
	}
	p, err := resolve(c)
	if err != nil {
		return nil, err
	}
	refuse := func(format string, args ...any) ([]astern.Step, error) {
		return nil, astern.Errorf(astern.Refused, "undoing %s: %s", call.Step, fmt.Sprintf(format, args...))
	}
	i, ok := parseIDs(call.Text("ids"))
	before := call.Image[imageServes]
	w := way{place: p, ids: i, revision: before, strategy: call.Text("strategy")}
	w.minutes, _ = strconv.ParseInt(call.Text("minutes"), 10, 64) // for the estimate alone
	switch {
	case !ok:
		return refuse("%q is no configuration", awsapi.OneLine(call.Text("ids")))
	case call.Verb == verbDeploy && before == "":
		return refuse("nothing was deployed before, and there is nothing to go back to")
	case !astern.ValidRevision(before):
		return refuse("%q is nothing that clients could have got", awsapi.OneLine(before))
	}
	count := func(name string) int64 { n, _ := strconv.ParseInt(call.Text(name), 10, 64); return n } // the driver wrote it
	if call.Verb == verbDeploy && count("after") == 0 {
		n, err := strconv.ParseInt(outputs["deployment"].String(), 10, 64)
		if err != nil || n < 1 {
			return refuse("which deployment it began is not known")
		}
		return []astern.Step{w.revert(back{number: n, revision: before})}, nil
	}
	version := astern.Text(call.Image[imageVersion])
	if !numberShape.MatchString(version.String()) || w.strategy == "" {
		return refuse("the version that clients got before, or the strategy to deploy it by, is not known")
	}
	steps := []astern.Step{w.deploy(version), w.await(version, astern.OutputOf(verbDeploy, "deployment"))}
	if count("before") > 0 && count("bake") > 0 {
		steps = append(steps, w.bake(count("bake")))
	}
	return steps, nil
}
