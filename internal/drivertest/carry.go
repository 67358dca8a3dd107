package drivertest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"

	astern "github.com/astern-dev/astern"
)

// acted is one step that was carried out.
type acted struct {
	step    astern.Step
	call    astern.Call
	outputs map[string]astern.Arg
}

// journey is one route being carried out: a small engine that does one lane after the other.
type journey struct {
	*run
	route astern.Route
	fence int64
	// start begins a step and returns what its Start answered, or what is known of it instead.
	start    func(step astern.Step, call astern.Call) astern.Op
	outputs  map[string]map[string]astern.Arg // step id in its lane -> outputs
	expected map[string]seen                  // paths that steps have set so far
	done     []acted
}

// carry takes the component along the route and returns what was done. Before each step its facts are read again, with
// what earlier steps have set; at the end every value that was set must be seen.
func (r *run) carry(route astern.Route, fence int64, start func(astern.Step, astern.Call) astern.Op) []acted {
	r.Helper()
	j := &journey{run: r, route: route, fence: fence, start: start,
		outputs: map[string]map[string]astern.Arg{}, expected: map[string]seen{}}
	plan := astern.Plan{Stages: route.Stages}
	if route.Fleet != nil {
		plan.Fleets = []astern.Fleet{*route.Fleet}
	}
	for i := range plan.Stages {
		lanes, err := plan.Lanes(i)
		if err != nil {
			r.Fatalf("stage %d of the route: %v", i, err)
		}
		for _, lane := range lanes {
			for _, s := range lane.Steps {
				j.factsHold(*s.Step, lane.Member)
				j.step(*s.Step, s.ID, lane.Member)
			}
		}
	}
	j.allSet()
	return j.done
}

// factsHold reads the step's facts, as the engine does right before each step.
func (j *journey) factsHold(step astern.Step, member string) {
	j.Helper()
	for _, f := range j.route.Facts {
		if !slices.Contains(f.Steps, step.ID) {
			continue
		}
		path := astern.MemberPath(f.Path, member)
		want, ok := j.expected[path]
		if !ok {
			want = factFor(f, member)
		}
		if got := seenAt(j.observe(path), path); got != want {
			j.Fatalf("before step %s of member %q the fact %s is %+v instead of %+v: the engine would refuse the step",
				step.ID, member, path, got, want)
		}
	}
}

// step carries out one step. Steps of other kinds are the suite's.
func (j *journey) step(step astern.Step, id, member string) {
	j.Helper()
	call := astern.Call{Execution: "drivertest", Step: id, Address: step.Address, Kind: step.Kind, Verb: step.Verb,
		Member: member, Args: j.resolve(step.Args, member), Fence: j.fence}
	if j.forge != nil {
		j.forge(&call)
	}
	if step.Kind != j.suite.Driver.Kind {
		if j.suite.Other != nil {
			j.suite.Other(j, j.world, step, call)
		}
		return
	}
	call, op := j.attempt(step, call)
	checkOutputs(j.run, step, op.Outputs)
	j.outputs[id] = op.Outputs
	for _, set := range step.Sets {
		if set.Address != "" && set.Address != step.Address {
			continue
		}
		value := set.Value
		if value.Ref != nil {
			value = j.output(*value.Ref, member, id, step.ID)
		}
		want := seen{absent: true}
		if !set.Absent {
			want = seen{text: value.String()}
		}
		j.expected[astern.MemberPath(set.Path, member)] = want
	}
	j.done = append(j.done, acted{step, call, op.Outputs})
}

// attempt prepares and starts the step until it is done, trying again as often as the step allows when that can help.
func (j *journey) attempt(step astern.Step, call astern.Call) (astern.Call, astern.Op) {
	j.Helper()
	for n := 1; ; n++ {
		call.Token = newToken()
		image, err := j.driver.Actor.Before(j.ctx, call)
		if err != nil {
			j.Fatalf("reading the image before step %s: %v (%s)", call.Step, err, astern.HintOf(err))
		}
		call.Image = image
		j.notThere(step, call)
		op := j.finish(step, call, j.start(step, call))
		switch {
		case op.Status == astern.OpDone:
			j.thereNow(step, call, op)
			return call, op
		case op.Code.Transient() && n < step.Attempts:
		default:
			j.Fatalf("step %s failed: %s: %s (%s)", call.Step, op.Code, op.Error, op.Hint)
		}
	}
}

// notThere requires that the effect of a call that was not started is not found, unless what it sets is there already.
func (j *journey) notThere(step astern.Step, call astern.Call) {
	j.Helper()
	if j.driver.Actor.Find(j.ctx, call).Answer != astern.FoundYes {
		return
	}
	for _, set := range step.Sets {
		path := astern.MemberPath(set.Path, call.Member)
		got := seenAt(j.observe(path), path)
		if set.Value.Ref != nil || got != (seen{text: setText(set), absent: set.Absent}) {
			j.Fatalf("Find says that step %s was done before it was started, but %s is %+v", call.Step, path, got)
		}
	}
	if len(step.Sets) == 0 {
		j.Fatalf("Find says that step %s was done before it was started", call.Step)
	}
}

// thereNow requires that a step that was done is found, with the same outputs.
func (j *journey) thereNow(step astern.Step, call astern.Call, op astern.Op) {
	j.Helper()
	if !findable(j.run, step) {
		return
	}
	again := j.finish(step, call, j.find(step, call))
	if again.Status != astern.OpDone {
		j.Errorf("step %s was done, but Find then says %s: %s", call.Step, again.Status, again.Error)
	}
	sameOutputs(j.run, "carrying out step "+call.Step+" and finding it", op.Outputs, again.Outputs)
}

func setText(s astern.Set) string {
	if s.Absent {
		return ""
	}
	return s.Value.String()
}

// Bounds of the waiting loop. The engine waits longer; a suite that is run often does not.
const (
	pollEvery = 20 * time.Millisecond
	pollMost  = time.Second
	stepMost  = time.Minute
)

// finish polls an operation until it ended, and finds one that is unsure.
func (j *journey) finish(step astern.Step, call astern.Call, op astern.Op) astern.Op {
	j.Helper()
	deadline := time.Now().Add(min(stepMost, time.Duration(step.TimeoutSeconds)*time.Second))
	for {
		switch op.Status {
		case astern.OpDone, astern.OpFailed:
			return op
		case astern.OpUnsure:
			op = j.find(step, call)
			continue
		}
		if time.Now().After(deadline) {
			j.Fatalf("step %s did not end in time; its last progress was %q", call.Step, op.Progress)
		}
		j.pause(time.Duration(op.PollSeconds * float64(time.Second)))
		op = j.driver.Actor.Poll(j.ctx, call, op)
	}
}

func (r *run) pause(wanted time.Duration) {
	r.Helper()
	select {
	case <-time.After(min(max(wanted, pollEvery), pollMost)):
	case <-r.ctx.Done():
		r.Fatalf("the law took longer than %s", lawTimeout)
	}
}

// find asks for the effect of a call that was started until it is there. A verb whose effects can't be found may answer
// unknown for ever: a person would settle it as done.
func (r *run) find(step astern.Step, call astern.Call) astern.Op {
	r.Helper()
	began := time.Now()
	for {
		f := r.driver.Actor.Find(r.ctx, call)
		info, _ := r.verb(step.Verb)
		waited := time.Since(began)
		switch {
		case f.Answer == astern.FoundYes && f.Op != nil:
			return *f.Op
		case f.Answer == astern.FoundNo && waited >= time.Duration(step.SettleSeconds)*time.Second:
			r.Fatalf("step %s was started, but Find says no: the engine would start it a second time", call.Step)
		case f.Answer == astern.FoundUnknown && info.Found == "none":
			return astern.Op{Status: astern.OpDone}
		case waited > stepMost:
			r.Fatalf("step %s was started, but Find still says %s (%s)", call.Step, f.Answer, f.Because)
		}
		r.pause(pollEvery)
	}
}

// resolve replaces references by the outputs of earlier steps.
func (j *journey) resolve(args map[string]astern.Arg, member string) map[string]astern.Arg {
	out := map[string]astern.Arg{}
	for name, a := range args {
		if a.Ref != nil {
			a = j.output(*a.Ref, member, "", "")
		}
		out[name] = a
	}
	return out
}

// output returns what a reference stands for: an output of the same lane, or else of the whole component. The step that
// has the local id self is known by the id own.
func (j *journey) output(ref astern.Ref, member, own, self string) astern.Arg {
	j.Helper()
	ids := []string{ref.From + "@" + member, ref.From}
	if self != "" && ref.From == self {
		ids = []string{own}
	}
	for _, id := range ids {
		if a, ok := j.outputs[id][ref.Output]; ok {
			return placed(a, ref)
		}
	}
	j.Fatalf("the reference %s.%s has no output yet", ref.From, ref.Output)
	return astern.Arg{}
}

// placed puts an output into the reference's text, when it has one.
func placed(a astern.Arg, ref astern.Ref) astern.Arg {
	if ref.In == "" {
		return a
	}
	return astern.Text(strings.ReplaceAll(ref.In, "{}", a.String()))
}

// allSet requires that everything the route's steps set is seen at the end.
func (j *journey) allSet() {
	j.Helper()
	all := j.observe()
	for path, want := range j.expected {
		if got := seenAt(all, path); got != want {
			j.Errorf("after the whole route %s is %+v, want %+v", path, got, want)
		}
	}
}

func checkOutputs(r *run, step astern.Step, outputs map[string]astern.Arg) {
	r.Helper()
	got := map[string]string{}
	for name, a := range outputs {
		got[name] = a.Type()
		if limit, ok := step.Limits[name]; ok && limit != a.String() {
			r.Errorf("step %s: output %s is %s, outside its limit %s", step.ID, name, a, limit)
		}
	}
	want := step.Outputs
	if want == nil {
		want = map[string]string{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.Errorf("step %s: the outputs are not those that it declares (-declared +given):\n%s", step.ID, diff)
	}
}

var tokens atomic.Int64

// newToken returns a token that no other attempt has.
func newToken() string { return fmt.Sprintf("dt-%d-%d", os.Getpid(), tokens.Add(1)) }
