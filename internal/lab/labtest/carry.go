package labtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/canary"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/lab"
)

// execution is a plan being carried out by the engine's rules, one action after the other, by the lab's clock: nothing waits.
type execution struct {
	testing.TB
	account *Account
	world   World
	driver  astern.Driver
	plan    astern.Plan
	fold    *engine.Fold
	records []astern.Record
	// renew asks for sessions of their own once it was throttled: the SDK's own limit stays low for seconds, as it should.
	renew bool
	// paused is true once the operator has paused it, as the world says.
	paused bool
	// polls are how its steps were polled, and windows those of its changes, where that is recorded.
	polls     []poll
	recording bool
	windows   []window
}

// poll is one time that a step was polled, by what it called.
type poll struct {
	token string // of the attempt at the step
	calls []lab.Entry
}

// process gives the world's component to another process: no session is left of the one before.
func process(t testing.TB, w World) astern.Driver {
	accounts := awsapi.New()
	t.Cleanup(func() { accounts.Close() })
	return w.Driver(accounts, func(address string) (astern.Component, bool) { return w.Component, address == w.Component.Address() })
}

// begin makes the execution of a route.
func begin(t testing.TB, a *Account, w World, d astern.Driver, r astern.Route) *execution {
	t.Helper()
	x := &execution{TB: t, account: a, world: w, driver: d}
	x.plan = astern.Plan{Kind: "Plan", Version: astern.PlanVersion, ID: "plan-" + a.ID, Facts: r.Facts, Stages: r.Stages,
		Moves: []astern.Move{{Address: w.Component.Address(), Kind: w.Component.Kind, From: r.From}}}
	if r.Fleet != nil {
		x.plan.Fleets = []astern.Fleet{*r.Fleet}
	}
	fold, err := engine.NewFold(x.plan)
	if err != nil {
		t.Fatalf("reading the plan: %v", err)
	}
	x.fold = fold
	if len(w.Secrets) == 0 || slices.ContainsFunc(w.Secrets, func(s string) bool { return len(canary.Leaks([]byte(s))) == 0 }) {
		t.Fatal("no secret lies in the world that would be found in the journal: canary.Kept makes one")
	}
	t.Cleanup(x.noSecret)
	x.write(astern.Record{Kind: astern.RecordTaken, Fence: 1})
	return x
}

// write adds a record to the journal.
func (x *execution) write(r astern.Record) {
	if r.At.IsZero() {
		r.At = x.account.Now()
	}
	r.Seq = int64(len(x.records)) + 1
	x.records = append(x.records, r)
	x.fold.Apply(r)
}

// resume goes on as `astern resume` does, in another process.
func (x *execution) resume() (astern.Outcome, []engine.HoldReason) {
	x.driver = process(x.TB, x.world)
	x.write(astern.Record{Kind: astern.RecordTaken, Fence: x.fold.Fence() + 1})
	x.write(astern.Record{Kind: astern.RecordResumed, By: "op"})
	return x.run()
}

// cancelled is what `astern cancel` would lead to, of a copy: the case goes on as if nobody had asked.
func (x *execution) cancelled() (astern.Outcome, []engine.HoldReason) {
	copied := *x
	copied.records = nil
	copied.fold, _ = engine.NewFold(x.plan) // which it did before
	for _, r := range x.records {
		copied.write(r)
	}
	defer copied.noSecret()
	copied.write(astern.Record{Kind: astern.RecordCancelled, By: "op"})
	return copied.run()
}

// run performs actions until the execution has ended or holds. What the operator has paused is resumed as soon as it stands still:
// it could have been cancelled as well.
func (x *execution) run() (astern.Outcome, []engine.HoldReason) {
	x.Helper()
	outcome, holds := x.onwards()
	if !slices.ContainsFunc(holds, func(h engine.HoldReason) bool { return h.Kind == engine.HoldPaused }) {
		return outcome, holds
	}
	if outcome, holds := x.cancelled(); outcome != astern.OutcomeCancelled {
		x.Errorf("paused and then cancelled, it ends %q, held by %+v:\n%s", outcome, holds, x.story())
	}
	return x.resume()
}

// most bounds what an execution may do: none of a driver's needs a tenth of it.
const most = 2000

// onwards is run without anybody who resumes.
func (x *execution) onwards() (astern.Outcome, []engine.HoldReason) {
	x.Helper()
	ctx := context.Background()
	for range most {
		now := x.account.Now()
		for _, a := range x.fold.Decide(now) {
			switch a.Kind {
			case engine.Hold:
				return "", a.Holds
			case engine.End:
				x.write(astern.Record{Kind: astern.RecordEnded, Outcome: a.Outcome})
				return a.Outcome, nil
			case engine.Wait:
				if by := a.At.Sub(now); by > 0 {
					if _, err := x.account.Step(ctx, by); err != nil {
						x.Fatal(err)
					}
				}
			default:
				if x.renew && x.account.hit() {
					x.driver, x.renew = process(x.TB, x.world), false
				}
				w := engine.World{Observe: x.observe, Actor: actor{x}, Check: pass, Stopper: x.driver.Stopper}
				answer := engine.Perform(ctx, w, "ex-"+x.account.ID, a)
				for _, r := range x.fold.News(answer, x.account.Now()) {
					x.write(r)
					x.pause(r)
				}
			}
		}
	}
	x.Fatalf("the execution neither ends nor holds:\n%s", x.story())
	return "", nil
}

// pause is the operator's, once, where the world says so.
func (x *execution) pause(r astern.Record) {
	if r.Op != nil && !x.paused && x.world.Pause != nil && x.world.Pause(*r.Op) {
		x.paused = true
		x.write(astern.Record{Kind: astern.RecordPaused, By: "op"})
	}
}

func (x *execution) observe(ctx context.Context, _ string, paths []string) (astern.State, error) {
	return x.driver.Observer.Observe(ctx, x.world.Component, astern.Scope{Paths: paths})
}

// pass is every check of the plan.
func pass(context.Context, astern.Check) astern.CheckResult {
	return astern.CheckResult{Verdict: astern.Pass}
}

// actor acts for the driver's own steps; those of other kinds (checks) are done at once.
type actor struct{ x *execution }

// paced polls as often as the world says.
func (a actor) paced(op astern.Op) astern.Op {
	if every := a.x.world.Every.Seconds(); every > 0 && op.PollSeconds > 0 {
		op.PollSeconds = every
	}
	return op
}

func (a actor) ours(call astern.Call) bool { return call.Kind == a.x.driver.Kind }

// Before reads the image.
func (a actor) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	if !a.ours(call) {
		return astern.Image{}, nil
	}
	return a.x.driver.Actor.Before(ctx, call)
}

// Start begins the step.
func (a actor) Start(ctx context.Context, call astern.Call) astern.Op {
	if !a.ours(call) {
		return astern.Op{Status: astern.OpDone}
	}
	if !a.x.recording {
		return a.paced(a.x.driver.Actor.Start(ctx, call))
	}
	since := a.x.account.last()
	op := a.paced(a.x.driver.Actor.Start(ctx, call))
	a.x.noteWindows(call, since)
	return op
}

// Find looks for its effect.
func (a actor) Find(ctx context.Context, call astern.Call) astern.Found {
	if !a.ours(call) {
		return astern.Found{Answer: astern.FoundYes, Op: &astern.Op{Status: astern.OpDone}}
	}
	found := a.x.driver.Actor.Find(ctx, call)
	if found.Op != nil {
		op := a.paced(*found.Op)
		found.Op = &op
	}
	return found
}

// Poll asks how far it is.
func (a actor) Poll(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	if !a.x.recording {
		return a.paced(a.x.driver.Actor.Poll(ctx, call, op))
	}
	since := a.x.account.last()
	op = a.paced(a.x.driver.Actor.Poll(ctx, call, op))
	a.x.polls = append(a.x.polls, poll{call.Token, a.x.account.ours(since)})
	a.x.noteWindows(call, since)
	return op
}

// repeated are the calls of polls between the first and the last of those of one attempt that follow each other and make the same
// calls.
func (x *execution) repeated() map[int64]bool {
	same := func(i, k int) bool {
		return k >= 0 && k < len(x.polls) && x.polls[i].token == x.polls[k].token &&
			slices.EqualFunc(x.polls[i].calls, x.polls[k].calls, func(a, b lab.Entry) bool { return a.Service == b.Service && a.Operation == b.Operation })
	}
	out := map[int64]bool{}
	for i, p := range x.polls {
		if !same(i, i-1) || !same(i, i+1) {
			continue
		}
		for _, e := range p.calls {
			out[e.Seq] = true
		}
	}
	return out
}

// story is the journal for a person.
func (x *execution) story() string {
	var b strings.Builder
	for _, r := range x.records {
		fmt.Fprintf(&b, "%3d %s %-10s %s %d %s %s", r.Seq, r.At.Format("15:04:05.000"), r.Kind, r.Step, r.Attempt, r.Code, r.Text)
		if r.Op != nil {
			fmt.Fprintf(&b, " %s %s %s%s", r.Op.Status, r.Op.Code, r.Op.Error, r.Op.Progress)
		}
		fmt.Fprintln(&b, r.Differences)
	}
	for _, e := range x.account.Calls("", "", 0) {
		if e.AccessKey == ourKey && (!e.ReadOnly || e.Fault != 0) {
			fmt.Fprintf(&b, "call %d %s:%s %s %d %s %s %s\n", e.Seq, e.Service, e.Operation, e.Path, e.Status, e.Error, e.Effect, e.Message)
		}
	}
	return b.String()
}

// noSecret requires that neither the plan nor the journal holds a secret.
func (x *execution) noSecret() {
	x.Helper()
	for what, v := range map[string]any{"plan": x.plan, "journal": x.records} {
		b, err := json.Marshal(v)
		if err != nil {
			x.Error(err)
		}
		for _, leak := range canary.Leaks(b) {
			x.Errorf("the %s holds %s", what, leak)
		}
	}
}

// hit reports whether the fault that is in force has hit its call.
func (a *Account) hit() bool {
	for _, f := range a.Faults() {
		if f.Hits > 0 {
			return true
		}
	}
	return false
}

// ours are the driver's calls since the journal's number, in the order in which they began.
func (a *Account) ours(since int64) []lab.Entry {
	var out []lab.Entry
	for _, e := range a.Calls("", "", since) {
		if e.AccessKey == ourKey {
			out = append(out, e)
		}
	}
	return out
}

// last is the number of the last call.
func (a *Account) last() int64 {
	n := int64(0)
	for _, e := range a.Calls("", "", 0) {
		n = max(n, e.Seq)
	}
	return n
}

// effects counts what the driver's calls since the journal's number have changed.
func (a *Account) effects(w World, since int64) map[string]int {
	out := map[string]int{}
	for _, e := range a.ours(since) {
		if e.ReadOnly || e.Status < 200 || e.Status > 299 {
			continue
		}
		if what := w.Effect(e); what != "" {
			out[what]++
		}
	}
	return out
}
