package awsecs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// How long steps take where none was measured.
const (
	guessDeploySeconds = 90
	guessCallSeconds   = 2
	guessDrainSeconds  = 30
	deployWithin       = 1800 // with the bake time of alarms and the pauses of a registry that is slow
)

// Route points the service to the target's task definition, at once or after a share; a definition that can't be used as it
// is, is registered again first. What is in progress is superseded, as ECS does it with every update.
func (router) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.Route{}, err
	}
	refuse := func(format string, args ...any) (astern.Route, error) {
		return astern.Route{}, astern.Errorf(astern.Refused, "no way for %s to %s: %s", c.Address(), t.Revision, fmt.Sprintf(format, args...))
	}
	now := s.Values["revision"]
	_, shared := s.Get("share")
	progress, moving := s.Get("in-progress")
	is := strings.Split(now.Text, "+")[0] == t.Revision // what the service is, or is to become
	failed := moving && strings.Contains(progress.Text, ", failed")
	switch {
	case !astern.ValidRevision(t.Revision):
		return astern.Route{}, astern.Errorf(astern.Invalid, "%q is not the name of a revision", t.Revision)
	case !now.Known() && s.Values["arn"].Text == "" && s.Values["arn"].Known():
		return refuse("%s", now.Unknown)
	case !now.Known():
		return refuse("what the service runs is not known: %s", now.Unknown)
	case is && moving && !failed && !shared && o.Verb != astern.VerbRedeploy:
		return refuse("its deployment is in progress already (%s): wait for it (aws ecs wait services-stable), or start it again (astern redeploy)", progress.Text)
	case is && !moving && !shared && o.Verb != astern.VerbRedeploy:
		return astern.Route{From: now.Text}, nil
	}
	if why, ok := judge(p, s, astern.Deployment{Hash: t.Hash}, t.Revision).Against(); ok {
		return refuse("%s", why.What)
	}
	w := &way{place: p, state: s, target: t, out: astern.Route{From: now.Text}}
	w.notes()
	switch again := o.Verb == astern.VerbRedeploy || failed; {
	case is && !again: // a share is left over from a way that was not gone to its end
	case is && !w.stale():
		w.force()
	case !is && o.Percent < 100 && w.shareable(o):
		source := w.registered()
		w.share(source, o)
		w.update(source)
	default:
		w.update(w.registered())
	}
	if shared || slices.ContainsFunc(w.out.Stages, func(st astern.Stage) bool { return st.Steps[0].Verb == verbShare }) {
		w.endShare()
	}
	return w.out, nil
}

// way is a way from one state of the service to a target, being put together.
type way struct {
	place
	state  astern.State
	target astern.Target
	out    astern.Route
}

// step is what all steps have.
func (w *way) step(id, verb, title string, args map[string]astern.Arg) astern.Step {
	args["cluster"], args["service"], args["revision"] = astern.Text(w.Cluster), astern.Text(w.Service), astern.Text(w.target.Revision)
	if arn := w.state.Values["arn"]; arn.Known() && arn.Text != "" {
		args["arn"] = astern.Text(arn.Text)
	}
	return astern.Step{ID: id, Address: w.component.Address(), Kind: Kind, Verb: verb, Title: title, Args: args, Undo: astern.UndoInverse,
		Estimate: astern.Estimate{MedianSeconds: guessDeploySeconds}, Attempts: 3, TimeoutSeconds: deployWithin, SettleSeconds: 5, HoldSeconds: 60}
}

// stage adds a stage of one step, and the facts that it rests on.
func (w *way) stage(title string, step astern.Step, facts ...string) {
	w.out.Stages = append(w.out.Stages, astern.Stage{Title: title, Steps: []astern.Step{step}, OnFailure: astern.OnFailureHold})
	for _, path := range append([]string{"arn"}, facts...) {
		if i := slices.IndexFunc(w.out.Facts, func(f astern.Fact) bool { return f.Path == path }); i >= 0 {
			w.out.Facts[i].Steps = append(w.out.Facts[i].Steps, step.ID)
			continue
		}
		v, ok := w.state.Get(path)
		w.out.Facts = append(w.out.Facts, astern.Fact{Address: w.component.Address(), Path: path, Value: v.Text, Absent: !ok,
			Seen: w.state.Newest(), Steps: []string{step.ID}})
	}
}

// of is the path of something of the target.
func (w *way) of(what string) string { return what + "/" + w.target.Revision }

// stale reports whether the target's task definition can't be used as it is: it is INACTIVE, or its tags don't mean any more
// what ran.
func (w *way) stale() bool {
	return w.state.Values[w.of("status")].Text != "ACTIVE" || slices.ContainsFunc(readImages(w.state.Values[w.of("images")].Text), func(i image) bool {
		return i.state == imageMoved || i.state == imageUntagged
	})
}

// registered returns the task definition that the service is pointed to: the target's, or a copy that is registered first.
func (w *way) registered() astern.Arg {
	definition := w.state.Values[w.of("definition")].Text
	if !w.stale() {
		return astern.Text(definition)
	}
	var pins []string
	recipe := "del(.taskDefinitionArn,.revision,.status,.requiresAttributes,.compatibilities,.registeredAt,.registeredBy,.deregisteredAt)"
	for _, i := range readImages(w.state.Values[w.of("images")].Text) {
		if i.digest != "" && i.state != imageElsewhere {
			pins = append(pins, i.container+"="+i.pinned())
			recipe += fmt.Sprintf("|.containerDefinitions|=map(if .name==%q then .image=%q else . end)", i.container, i.pinned())
		}
	}
	s := w.step(verbRegister, verbRegister, fmt.Sprintf("register %s again, its images by digest", w.target.Revision),
		map[string]astern.Arg{"definition": astern.Text(definition), "images": astern.List(pins...)})
	s.Undo, s.UndoBecause = astern.UndoNone, "a task definition that nothing runs does nothing"
	s.Estimate, s.TimeoutSeconds = astern.Estimate{MedianSeconds: guessCallSeconds}, 120
	s.Outputs = map[string]string{"definition": "string"}
	s.Sets = []astern.Set{{Path: w.of("definition"), Value: astern.OutputOf(verbRegister, "definition")}, {Path: w.of("status"), Value: astern.Text("ACTIVE")}}
	describe := host.QuoteAll(append([]string{"aws", "ecs", "describe-task-definition", "--task-definition", nameOf(definition), "--query", "taskDefinition"}, w.Options()...)...)
	s.Command = host.QuoteAll(append([]string{"aws", "ecs", "register-task-definition"}, w.Options()...)...) +
		" --cli-input-json \"$(" + describe + " | jq " + host.QuoteAll(recipe) + ")\""
	w.stage("register "+w.target.Revision+" again", s, w.of("definition"), w.of("release"), w.of("images"), w.of("status"))
	w.out.Notes = append(w.out.Notes, fmt.Sprintf("%s is registered again under a new number; the copy carries its name in the tag %s", w.target.Revision, tagRevision))
	return astern.OutputOf(verbRegister, "definition")
}

// typed is a task definition as a person types it; a copy's number is known only when it is registered.
func (w *way) typed(source astern.Arg) string {
	if source.Ref == nil {
		return nameOf(source.String())
	}
	family, _, _ := strings.Cut(nameOf(w.state.Values[w.of("definition")].Text), ":")
	return family // which means its newest
}

// update is the step that points the service to the target.
func (w *way) update(source astern.Arg) {
	s := w.step(verbUpdate, verbUpdate, fmt.Sprintf("point the service %s to %s, and wait until it runs", w.Service, w.target.Revision),
		map[string]astern.Arg{"definition": source})
	s.Sets = []astern.Set{{Path: "revision", Value: astern.Text(w.target.Revision)}, {Path: "in-progress", Absent: true}}
	s.Command = w.command("update-service", "--service", w.Service, "--task-definition", w.typed(source))
	w.stage("run "+w.target.Revision, s, "primary", w.of("definition"), w.of("release"))
}

// force is the step that replaces the tasks by new ones of what the service is to run.
func (w *way) force() {
	s := w.step(verbForce, verbForce, fmt.Sprintf("replace the tasks of the service %s by new ones of %s", w.Service, w.target.Revision),
		map[string]astern.Arg{"definition": astern.Text(w.state.Values[w.of("definition")].Text)})
	s.Undo, s.UndoBecause = astern.UndoNone, "the tasks that were replaced were of the same revision"
	s.Sets = []astern.Set{{Path: "revision", Value: astern.Text(w.target.Revision)}, {Path: "in-progress", Absent: true}}
	s.Command = w.command("update-service", "--service", w.Service, "--force-new-deployment")
	w.stage("replace the tasks", s, "primary", w.of("definition"), w.of("release"))
}

// shareable reports whether a share can be sent to the target first; a note says why not.
func (w *way) shareable(o astern.Options) bool {
	why := ""
	switch no, ok := w.state.Get("not-shared"); {
	case ok:
		why = no.Text
	case w.state.Values["share"].Text != "":
		why = "a temporary service beside it is left over, and is deleted"
	case strings.Contains(w.out.From, "+"):
		why = "it is being deployed: two revisions run already"
	}
	if why != "" {
		w.out.Notes = append(w.out.Notes, fmt.Sprintf("%s goes over at once and not after %d %%: %s", w.Service, o.Percent, why))
	}
	return why == ""
}

// sharePercentMost bounds a share: beyond half, the tasks beside the service would be more than its own.
const sharePercentMost = 50

// share is the step that puts a temporary service of the target beside the service, which keeps all its tasks. Of n + k tasks
// k are the target's, so k is n·p / (100 - p), rounded up.
func (w *way) share(source astern.Arg, o astern.Options) {
	percent := min(o.Percent, sharePercentMost)
	if percent < o.Percent {
		w.out.Notes = append(w.out.Notes, fmt.Sprintf("half of the tasks are %s first and not %d %%: more would need more tasks beside the service than it has", w.target.Revision, o.Percent))
	}
	before, _, _ := strings.Cut(w.state.Values["counts"].Text, " ")
	n, _ := strconv.Atoi(before) // at least 1, or it is not shareable
	k := max(1, (n*percent+99-percent)/(100-percent))
	s := w.step(verbShare, verbShare, fmt.Sprintf("put %d tasks of %s beside the %d of %s, in a service of their own", k, w.target.Revision, n, w.Service),
		map[string]astern.Arg{"definition": source, "beside": astern.Text(w.beside()), "count": astern.Int(int64(k))})
	s.Sets = []astern.Set{{Path: "revision", Value: astern.Text(w.out.From + "+" + w.target.Revision)}, {Path: "share", Value: astern.Text(w.target.Revision)}}
	describe := w.command("describe-services", "--services", w.Service, "--query", "services[0]")
	recipe := fmt.Sprintf("{cluster:%q,serviceName:%q,taskDefinition:%q,desiredCount:%d,launchType,capacityProviderStrategy,platformVersion,loadBalancers,serviceRegistries,networkConfiguration,"+
		"placementConstraints,placementStrategy,healthCheckGracePeriodSeconds}|del(..|nulls)", w.Cluster, w.beside(), w.typed(source), k)
	s.Command = host.QuoteAll(append([]string{"aws", "ecs", "create-service"}, w.Options()...)...) + " --cli-input-json \"$(" + describe + " | jq " + host.QuoteAll(recipe) + ")\""
	w.stage(fmt.Sprintf("run %d %% as %s", percent, w.target.Revision), s, "primary", "share", w.of("definition"), w.of("release"))
	w.out.Stages[len(w.out.Stages)-1].Gate = &astern.Gate{Checks: []string{}, BakeSeconds: o.BakeSeconds, IntervalSeconds: 5, TimeoutSeconds: max(o.GateSeconds, 60)}
	w.out.Notes = append(w.out.Notes, fmt.Sprintf("for the share %d more tasks run than usual; they get what %s gets from its load balancers and Cloud Map, or take their share of a queue", k, w.Service))
}

// endShare is the step that deletes the temporary service.
func (w *way) endShare() { w.stage("end the share", w.endStep(w.target.Revision)) }

func (w *way) endStep(remains string) astern.Step {
	s := w.step(verbEndShare, verbEndShare, "delete the temporary service "+w.beside(), map[string]astern.Arg{"beside": astern.Text(w.beside())})
	s.Undo, s.UndoBecause = astern.UndoNone, "the service itself runs what the temporary one ran"
	s.Estimate = astern.Estimate{MedianSeconds: guessDrainSeconds}
	s.Sets = []astern.Set{{Path: "share", Absent: true}, {Path: "revision", Value: astern.Text(remains)}}
	s.Command = w.command("delete-service", "--service", w.beside(), "--force")
	return s
}

// notes say what a person should know of the service before it is deployed.
func (w *way) notes() {
	add := func(format string, args ...any) { w.out.Notes = append(w.out.Notes, fmt.Sprintf(format, args...)) }
	v := func(path string) string { return w.state.Values[path].Text }
	if text := v("in-progress"); text != "" {
		add("a deployment of %s is in progress (%s): this one takes its place", w.Service, text)
	}
	for _, rev := range strings.Split(w.out.From, "+") {
		if text := v("failures/" + rev); text != "" && rev != w.target.Revision {
			add("%s: %s", rev, text)
		}
	}
	if v("breaker") == "off" {
		add("the service has no circuit breaker: a deployment whose tasks don't start goes on until somebody ends it")
	}
	if text := v("firing"); text != "" {
		add("in ALARM already, so ECS lets them not watch this deployment: %s", text)
	}
	if text := w.state.Values["firing"]; !text.Known() {
		add("whether alarms of the service are in ALARM is not known: %s", text.Unknown)
	}
}

// Undo points the service back to what the step found, or deletes the temporary service. What was registered harms nobody.
func (router) Undo(c astern.Component, call astern.Call, _ map[string]astern.Arg) ([]astern.Step, error) {
	p, err := resolve(c)
	if err != nil {
		return nil, err
	}
	w := &way{place: p, state: astern.State{Address: c.Address(), Values: map[string]astern.Value{"arn": {Text: call.Text("arn")}}},
		target: astern.Target{Revision: call.Image[imageServes]}}
	switch call.Verb {
	case verbShare:
		return []astern.Step{w.endStep(call.Image[imageServes])}, nil
	case verbUpdate:
	default:
		return nil, nil
	}
	definition := call.Image[imageDefinition]
	switch {
	case !arnShape.MatchString(definition) || !astern.ValidRevision(w.target.Revision):
		return nil, astern.Errorf(astern.Refused, "undoing %s: %q is nothing that the service could have run", call.Step, definition)
	case definition == call.Text("definition"):
		return nil, astern.Errorf(astern.Refused, "undoing %s: the service ran that before", call.Step)
	}
	w.update(astern.Text(definition))
	step := w.out.Stages[0].Steps[0]
	step.Title = fmt.Sprintf("point the service %s back to %s, and wait until it runs", p.Service, w.target.Revision)
	return []astern.Step{step}, nil
}
