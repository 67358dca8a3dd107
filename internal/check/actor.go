package check

import (
	"context"
	"maps"

	"github.com/astern-dev/astern"
)

// Kind is the step kind that this package acts for.
const Kind = "check"

// The verbs of the step kind check. Each has the argument check: the name of a check of the plan.
const (
	// VerbWait makes a check without effects again and again until it passes; the step's time-out bounds it.
	VerbWait = "wait"
	// VerbRun makes a check once. It is for checks with effects; a command finds the step's token in ASTERN_TOKEN.
	VerbRun = "run"
)

// TokenVariable is the environment variable in which a command with effects finds the token of its step.
const TokenVariable = "ASTERN_TOKEN"

// Verbs describes the verbs for the table of kinds.
var Verbs = []astern.VerbInfo{
	{Verb: VerbWait, What: "wait until a check passes", Undo: astern.UndoNone, Exclusion: astern.Conditional, Found: "state"},
	{Verb: VerbRun, What: "make a check that has effects, once", Undo: astern.UndoNone, Exclusion: astern.Window, Found: "none"},
}

// NewActor returns the actor of the step kind check. Lookup finds a check of the plan by name for a member; run runs it.
// A check for each member that the plan holds unbound is bound to the member of the call. Methods of the actor are safe
// for concurrent use when both functions are.
func NewActor(lookup func(name, member string) (astern.Check, bool), run func(context.Context, astern.Check) astern.CheckResult) astern.Actor {
	return actor{lookup, run}
}

type actor struct {
	lookup func(name, member string) (astern.Check, bool)
	run    func(context.Context, astern.Check) astern.CheckResult
}

// Before reads nothing: a check needs no image of the world before it.
func (a actor) Before(context.Context, astern.Call) (astern.Image, error) { return nil, nil }

// Start makes the check once. Only a wait goes on after a check that did not pass.
func (a actor) Start(ctx context.Context, call astern.Call) astern.Op {
	c, refusal := a.check(call)
	if refusal != nil {
		return *refusal
	}
	c.Attempts = 1
	if call.Verb == VerbWait {
		return a.round(ctx, call, c)
	}
	if c.Command != nil {
		cmd := *c.Command
		cmd.Env = maps.Clone(cmd.Env)
		if cmd.Env == nil {
			cmd.Env = map[string]string{}
		}
		cmd.Env[TokenVariable] = call.Token
		c.Command = &cmd
	}
	r := a.run(ctx, c)
	switch r.Verdict {
	case astern.Pass:
		return astern.Op{Status: astern.OpDone, Progress: r.Evidence}
	case astern.Fail:
		return astern.Op{Status: astern.OpFailed, Progress: r.Evidence, Code: astern.NotReady,
			Error: "check " + c.ID() + " failed: " + r.Evidence}
	}
	return astern.Op{Status: astern.OpUnsure, Progress: r.Evidence, Code: astern.Unavailable,
		Error: "check " + c.ID() + " is unknown: " + r.Evidence,
		Hint:  "look whether the check had its effects, then settle the step"}
}

// Find says of a wait that it goes on, since it has no effect; of a run it can't tell.
func (a actor) Find(_ context.Context, call astern.Call) astern.Found {
	if call.Verb != VerbWait {
		return astern.Found{Answer: astern.FoundUnknown, Because: "a check leaves nothing by which its run could be found"}
	}
	op := astern.Op{Status: astern.OpRunning, Progress: "to be checked again"}
	if c, refusal := a.check(call); refusal == nil {
		op.PollSeconds = interval(c)
	}
	return astern.Found{Answer: astern.FoundYes, Op: &op}
}

// Poll makes the check of a wait again. A run is never polled: it ends in Start.
func (a actor) Poll(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	if call.Verb != VerbWait {
		return op
	}
	c, refusal := a.check(call)
	if refusal != nil {
		return *refusal
	}
	c.Attempts = 1
	return a.round(ctx, call, c)
}

// round makes the check once. When the step's time is over, a check that does not pass has failed for certain: it leaves
// nothing in flight.
func (a actor) round(ctx context.Context, call astern.Call, c astern.Check) astern.Op {
	r := a.run(ctx, c)
	seen := string(r.Verdict) + ": " + r.Evidence
	switch {
	case r.Verdict == astern.Pass:
		return astern.Op{Status: astern.OpDone, Progress: r.Evidence}
	case !call.Deadline.IsZero() && r.At.After(call.Deadline):
		return astern.Op{Status: astern.OpFailed, Progress: seen, Code: astern.NotReady,
			Error: "check " + c.ID() + " did not pass in the time of the step; last seen: " + seen,
			Hint:  "find out why it does not pass, then resume, or skip the step with a reason"}
	}
	return astern.Op{Status: astern.OpRunning, Progress: seen, PollSeconds: interval(c)}
}

func interval(c astern.Check) float64 {
	if c.IntervalSeconds <= 0 {
		return 1
	}
	return c.IntervalSeconds
}

// check returns the bound check of the call, or the Op of a call that can't be carried out.
func (a actor) check(call astern.Call) (astern.Check, *astern.Op) {
	refuse := func(err error) (astern.Check, *astern.Op) {
		return astern.Check{}, &astern.Op{Status: astern.OpFailed, Code: astern.CodeOf(err), Error: err.Error(), Hint: astern.HintOf(err)}
	}
	name := call.Text("check")
	c, ok := a.lookup(name, call.Member)
	switch {
	case call.Verb != VerbWait && call.Verb != VerbRun:
		return refuse(astern.Errorf(astern.Invalid, "a step of kind check has the verb wait or run, not %q", call.Verb))
	case !ok:
		return refuse(astern.Errorf(astern.Invalid, "step %s names check %q, which the plan does not hold", call.Step, name))
	case call.Verb == VerbWait && c.Effects != astern.EffectsNone:
		return refuse(astern.Errorf(astern.Invalid, "step %s waits for check %s, which has effects and can't be made again and again", call.Step, c.ID()).
			WithHint("declare `effects: none` when the check changes nothing"))
	case c.Each && c.Member == "" && call.Member != "":
		bound, err := c.Bind(astern.Values{Member: call.Member})
		if err != nil {
			return refuse(err)
		}
		return bound, nil
	}
	return c, nil
}
