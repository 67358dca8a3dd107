package drivertest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	astern "github.com/astern-dev/astern"
)

// plainly starts a step and takes its answer as it comes.
func (r *run) plainly(_ astern.Step, call astern.Call) astern.Op {
	return r.driver.Actor.Start(r.ctx, call)
}

// runs requires that the component runs the revision, and that Targets agrees.
func (r *run) runs(revision string) {
	r.Helper()
	s := r.observe()
	if v, ok := s.Get("revision"); !ok || v.String() != revision {
		r.Errorf("the component runs %q, want %q", v, revision)
	}
	if !r.target(s, revision).Current {
		r.Errorf("Targets does not show %s as current", revision)
	}
}

func lawRouteReaches(r *run) {
	done := r.carry(r.route(astern.VerbRollback, r.world.Old), 1, r.plainly)
	if len(done) == 0 {
		r.Fatalf("the route has no step of the driver")
	}
	r.runs(r.world.Old)
	r.carry(r.route(astern.VerbDeploy, r.world.New), 2, r.plainly)
	r.runs(r.world.New)
}

// lawLostReply throws away what Start answers, as a crash does, and goes on with what Find says. (That carrying out a
// step and finding it give the same outputs is required of every step of every law.)
func lawLostReply(r *run) {
	r.carry(r.route(astern.VerbRollback, r.world.Old), 1, func(step astern.Step, call astern.Call) astern.Op {
		answered := r.driver.Actor.Start(r.ctx, call)
		if answered.Status == astern.OpFailed {
			return answered
		}
		lost := r.find(step, call)
		if answered.Status == astern.OpDone && lost.Status == astern.OpDone && findable(r, step) {
			sameOutputs(r, "Start and Find of step "+call.Step, answered.Outputs, lost.Outputs)
		}
		if !findable(r, step) {
			return answered
		}
		return lost
	})
	r.runs(r.world.Old)
}

func findable(r *run, s astern.Step) bool {
	info, _ := r.verb(s.Verb)
	return info.Found != "none"
}

func sameOutputs(r *run, what string, a, b map[string]astern.Arg) {
	r.Helper()
	if diff := cmp.Diff(a, b, cmpopts.EquateEmpty()); diff != "" {
		r.Errorf("%s give different outputs:\n%s", what, diff)
	}
}

// firstCall returns the first of the driver's own steps of a route back, ready to start.
func (r *run) firstCall() (astern.Step, astern.Call) {
	r.Helper()
	route := r.route(astern.VerbRollback, r.world.Old)
	plan := astern.Plan{Stages: route.Stages}
	if route.Fleet != nil {
		plan.Fleets = []astern.Fleet{*route.Fleet}
	}
	for i := range plan.Stages {
		lanes, err := plan.Lanes(i)
		if err != nil || len(lanes) == 0 {
			r.Fatalf("stage %d has no lane: %v", i, err)
		}
		for _, s := range lanes[0].Steps {
			if s.Step.Kind != r.suite.Driver.Kind {
				continue
			}
			return *s.Step, astern.Call{Execution: "drivertest", Step: s.ID, Address: s.Step.Address, Kind: s.Step.Kind,
				Verb: s.Step.Verb, Member: lanes[0].Member, Args: s.Step.Args, Token: newToken(), Fence: 1}
		}
	}
	r.Fatalf("the route has no step of the driver")
	return astern.Step{}, astern.Call{}
}

func lawBeforeReads(r *run) {
	_, call := r.firstCall()
	r.unchanged("Before and Find", func() {
		first, err := r.driver.Actor.Before(r.ctx, call)
		if err != nil {
			r.Fatalf("reading the image before step %s: %v", call.Step, err)
		}
		second, err := r.driver.Actor.Before(r.ctx, call)
		if diff := cmp.Diff(first, second, cmpopts.EquateEmpty()); err != nil || diff != "" {
			r.Errorf("two images of an unchanged world differ (%v):\n%s", err, diff)
		}
		call.Image = first
		for range 2 {
			r.driver.Actor.Find(r.ctx, call)
		}
	})
}

func lawStartCancelled(r *run) {
	step, call := r.firstCall()
	image, err := r.driver.Actor.Before(r.ctx, call)
	if err != nil {
		r.Fatalf("reading the image before step %s: %v", call.Step, err)
	}
	call.Image = image
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	before, began := r.world.Snapshot(r), time.Now()
	op := r.driver.Actor.Start(ctx, call)
	if took := time.Since(began); took > prompt {
		r.Errorf("Start took %s although its context had ended", took)
	}
	switch op.Status {
	case astern.OpFailed:
		if diff := cmp.Diff(before, r.world.Snapshot(r)); diff != "" {
			r.Errorf("Start says that it failed without effect, but the world changed:\n%s", diff)
		}
	case astern.OpDone:
		r.find(step, call)
	case astern.OpUnsure:
		if answer := r.driver.Actor.Find(r.ctx, call).Answer; answer == astern.FoundUnknown && findable(r, step) {
			r.Errorf("Start is unsure and Find can't tell either, although the world can be asked")
		}
	}
}

// lawFence goes back under fence 7 and forward again, offering every conditional step, and those that ask for the fence, first under
// fence 3.
func lawFence(r *run) {
	older := map[string]astern.Image{} // verb -> what an engine that was overtaken had read
	r.carry(r.route(astern.VerbRollback, r.world.Old), 7, func(step astern.Step, call astern.Call) astern.Op {
		older[step.Verb] = call.Image
		return r.plainly(step, call)
	})
	r.carry(r.route(astern.VerbDeploy, r.world.New), 8, func(step astern.Step, call astern.Call) astern.Op {
		image, met := older[step.Verb]
		if r.asksWho(step) && (met || !r.suite.ImageIsCondition) {
			late := call
			late.Fence, late.Token = 3, newToken()
			if r.suite.ImageIsCondition {
				late.Image = image
			}
			r.refusedLate("under an older fence", late)
		}
		return r.plainly(step, call)
	})
	r.runs(r.world.New)
}

// lawOwner claims the places, and goes back as their owner, under a newer fence than the claim says: so does who could not claim when it
// went on. Every step that asks who was there is first offered as another's, under a fence that is newer still.
func lawOwner(r *run) {
	if r.driver.Claimer == nil {
		return
	}
	r.claims("a1a")
	members := r.places()
	_, fence := r.lastThere(members)
	r.carry(r.route(astern.VerbRollback, r.world.Old), fence+1, func(step astern.Step, call astern.Call) astern.Op {
		if r.asksWho(step) {
			theirs := call
			theirs.Owner, theirs.Fence, theirs.Token = "be2", fence+9, newToken()
			r.refusedLate("where another execution's claim is", theirs)
		}
		call.Owner = "a1a"
		return r.plainly(step, call)
	})
	r.runs(r.world.Old)
	said, _ := r.lastThere(members)
	for _, m := range members {
		if got := said[m]; got.Owner != "a1a" || !got.Open {
			r.Errorf("the place %q says after the steps of its claim's owner that %+v acts there", m, got)
		}
	}
}

// asksWho reports whether a step asks who was there.
func (r *run) asksWho(step astern.Step) bool {
	info, _ := r.verb(step.Verb)
	return info.Exclusion == astern.Conditional || slices.Contains(r.suite.Fenced, step.Verb)
}

// refusedLate requires that a call is refused, and changes nothing.
func (r *run) refusedLate(why string, late astern.Call) {
	r.Helper()
	r.unchanged("a call "+why, func() {
		op := r.driver.Actor.Start(r.ctx, late)
		if op.Status != astern.OpFailed || (op.Code != astern.Refused && op.Code != astern.Conflict) {
			r.Errorf("step %s %s is not refused: %+v", late.Step, why, op)
		}
	})
}

// lawUndo reverses what was done, the last step first, and requires the state of before wherever a value was set. A
// value that only a step's output tells (the identity of a process) need not come back; the path must.
func lawUndo(r *run) {
	before := r.observe()
	done := r.carry(r.route(astern.VerbRollback, r.world.Old), 1, r.plainly)
	for i := len(done) - 1; i >= 0; i-- {
		r.undo(done[i])
	}
	after := r.observe()
	for _, d := range done {
		for _, set := range d.step.Sets {
			path := astern.MemberPath(set.Path, d.call.Member)
			was, is := seenAt(before, path), seenAt(after, path)
			if set.Value.Ref != nil {
				was.text, is.text = "", ""
			}
			if was != is {
				r.Errorf("after the undo %s is %+v, before it all it was %+v", path, is, was)
			}
		}
	}
	r.runs(r.world.New)
}

func (r *run) undo(d acted) {
	r.Helper()
	var steps []astern.Step
	var err error
	r.pure("Undo", []any{r.world.Component, d.call, d.outputs}, func() any {
		steps, err = r.driver.Router.Undo(r.world.Component, d.call, d.outputs)
		return steps
	})
	switch {
	case d.step.Undo == astern.UndoImpossible && err == nil:
		r.Fatalf("step %s can't be undone, but Undo returns %v", d.call.Step, steps)
	case d.step.Undo == astern.UndoImpossible:
		return
	case err != nil:
		r.Fatalf("undoing step %s: %v (%s)", d.call.Step, err, astern.HintOf(err))
	case d.step.Undo == astern.UndoNone && len(steps) > 0:
		r.Errorf("step %s needs no undo, but Undo returns %v", d.call.Step, steps)
	case d.step.Undo == astern.UndoInverse && len(steps) == 0:
		r.Errorf("step %s has an inverse, but Undo returns no step", d.call.Step)
	}
	earlier := map[string]astern.Step{}
	for _, s := range steps {
		checkStep(r, s)
		checkReferences(r, s, earlier)
		earlier[s.ID] = s
		if strings.Contains(r.encode(s), "{member}") {
			r.Errorf("undoing step %s: a step of an undo runs outside of a lane and must name its member, not {member}: %+v", d.call.Step, s)
		}
	}
	j := &journey{run: r, fence: 2, start: r.plainly,
		outputs: map[string]map[string]astern.Arg{}, expected: map[string]seen{}}
	for _, s := range steps {
		j.step(s, s.ID, "")
	}
	j.allSet()
}

// hostile are names that must be refused before they reach a path, a command line or a terminal.
var hostile = []string{
	"", ".", "..", "../../etc", "/etc/passwd", "v1/../v2", "v1..v2", "a/b", `a\b`, "v1+v2", "-rf", "--help", "v 1", "v1\nv2", "v1\x00",
	"v1;touch pwned", "$(touch pwned)", "`touch pwned`", "v1|true", "v1&", "*", "~", "{member}", "v1\x1b[2J", "ｖ1", "v1\u202e",
	"very-long-" + string(make([]byte, 300)),
}

func lawHostile(r *run) {
	s := r.observe()
	good := r.target(s, r.world.Old)
	_, call := r.firstCall()
	image, err := r.driver.Actor.Before(r.ctx, call)
	if err != nil {
		r.Fatalf("reading the image before step %s: %v", call.Step, err)
	}
	for _, name := range hostile {
		r.unchanged("the revision name "+r.encode(name), func() {
			t := good
			t.Revision = name
			_, err := r.driver.Router.Route(r.world.Component, s, t, options(astern.VerbRollback, 100))
			r.refused("a route to the revision "+r.encode(name), err)
			r.hostileCall(call, image, name)
		})
	}
}

// hostileCall hands the name to the actor in place of the revision, as a plan edited by hand would.
func (r *run) hostileCall(call astern.Call, image astern.Image, name string) {
	r.Helper()
	args, changed := map[string]astern.Arg{}, false
	for key, a := range call.Args {
		if a.Literal == r.world.Old {
			a, changed = astern.Text(name), true
		}
		args[key] = a
	}
	if !changed {
		return
	}
	call.Args, call.Image, call.Token = args, image, newToken()
	_, _ = r.driver.Actor.Before(r.ctx, call) // may refuse; what counts is the world, compared by the caller
	if op := r.driver.Actor.Start(r.ctx, call); op.Status != astern.OpFailed || op.Code.Transient() {
		r.Errorf("a call with the revision %s is not refused: %+v", r.encode(name), op)
	}
}
