package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a world in which each step does what the test says; a step of which it says nothing is done at once. It is safe for
// concurrent use as long as its functions are.
type script struct {
	mu      sync.Mutex
	begun   time.Time
	calls   []string // "start 1.a" …, in order
	times   []time.Duration
	seen    map[string][]astern.Call // calls of Start by step
	state   map[string]astern.Value  // by "ADDRESS PATH"
	start   map[string]func(context.Context, astern.Call) astern.Op
	poll    map[string]func(context.Context, astern.Call, astern.Op) astern.Op
	find    map[string]func(context.Context, astern.Call) astern.Found
	before  func(context.Context, astern.Call) (astern.Image, error)
	observe func(context.Context, string) error
	check   func(context.Context, astern.Check) astern.CheckResult
	plan    func(context.Context, bool) (string, error)
	stop    func(context.Context, astern.Call, astern.Op) astern.Op
}

func (w *script) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls, w.times = append(w.calls, what), append(w.times, time.Since(w.begun))
}

// count returns how often the world was asked that.
func (w *script) count(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, c := range w.calls {
		if c == what {
			n++
		}
	}
	return n
}

// order returns the calls that begin with the word, without it.
func (w *script) order(word string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, c := range w.calls {
		if rest, ok := strings.CutPrefix(c, word+" "); ok {
			out = append(out, rest)
		}
	}
	return out
}

func (w *script) call(step string) astern.Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.seen[step]); n > 0 {
		return w.seen[step][n-1]
	}
	return astern.Call{}
}

func (w *script) set(address, path string, v astern.Value) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state[address+" "+path] = v
}

func (w *script) Observe(ctx context.Context, address string, paths []string) (astern.State, error) {
	if w.observe != nil {
		if err := w.observe(ctx, address); err != nil {
			return astern.State{}, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := astern.State{Address: address, Values: map[string]astern.Value{}}
	for _, p := range paths {
		if v, ok := w.state[address+" "+p]; ok {
			s.Values[p] = v
		}
	}
	return s, nil
}

func (w *script) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	w.note("before " + call.Step)
	if w.before != nil {
		return w.before(ctx, call)
	}
	return astern.Image{"of": call.Step}, nil
}

func (w *script) Start(ctx context.Context, call astern.Call) astern.Op {
	w.note("start " + call.Step)
	w.mu.Lock()
	w.seen[call.Step] = append(w.seen[call.Step], call)
	f := w.start[call.Step]
	w.mu.Unlock()
	if f != nil {
		return f(ctx, call)
	}
	return done()
}

func (w *script) Find(ctx context.Context, call astern.Call) astern.Found {
	w.note("find " + call.Step)
	if f := w.find[call.Step]; f != nil {
		return f(ctx, call)
	}
	return astern.Found{Answer: astern.FoundNo}
}

func (w *script) Poll(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	w.note("poll " + call.Step)
	if f := w.poll[call.Step]; f != nil {
		return f(ctx, call, op)
	}
	return done()
}

func (w *script) Stop(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	w.note("stop " + call.Step)
	return w.stop(ctx, call, op)
}

func (w *script) Check(ctx context.Context, c astern.Check) astern.CheckResult {
	w.note("check " + c.ID())
	if w.check != nil {
		return w.check(ctx, c)
	}
	return astern.CheckResult{Verdict: astern.Pass}
}

func (w *script) Plan(ctx context.Context, undo bool) (string, error) {
	w.note(fmt.Sprintf("plan undo=%t", undo))
	if w.plan != nil {
		return w.plan(ctx, undo)
	}
	return "child", nil
}

// scene is one execution of a plan in a scripted world, in virtual time.
type scene struct {
	*testing.T
	plan    astern.Plan
	journal *enginetest.Journal
	world   *script
	clock   engine.Clock
	skew    *skewed
	log     engine.Journal // what the engine is given, the journal unless the test says otherwise
}

// play runs the test in virtual time.
func play(t *testing.T, p astern.Plan, f func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		j := &enginetest.Journal{}
		skew := &skewed{}
		s := &scene{T: t, plan: p, journal: j, log: j, clock: skew, skew: skew, world: &script{begun: time.Now(), seen: map[string][]astern.Call{},
			state: map[string]astern.Value{}, start: map[string]func(context.Context, astern.Call) astern.Op{},
			poll: map[string]func(context.Context, astern.Call, astern.Op) astern.Op{}, find: map[string]func(context.Context, astern.Call) astern.Found{}}}
		for _, fact := range p.Facts {
			if !fact.Absent && fact.Unknown == "" {
				s.world.set(fact.Address, fact.Path, astern.Value{Text: fact.Value})
			}
		}
		f(s)
		if t.Failed() {
			for _, r := range j.Records() {
				t.Logf("%4d %s %-10s %s %d %s", r.Seq, r.At.Format("15:04:05.0"), r.Kind, r.Step, r.Attempt, r.Text)
			}
		}
	})
}

// life runs the engine once.
func (s *scene) life(ctx context.Context) (engine.Result, error) {
	e := engine.Engine{Journal: s.log, Clock: s.clock, Execution: "ex-1", Plan: s.plan, Fence: s.journal.Take(s.clock.Now()),
		World: engine.World{Observe: s.world.Observe, Actor: s.world, Stopper: s.world, Check: s.world.Check, Plan: s.world.Plan}}
	return e.Run(ctx)
}

// run runs the engine once; it must come to a result.
func (s *scene) run() engine.Result {
	s.Helper()
	r, err := s.life(context.Background())
	if err != nil {
		s.Fatal(err)
	}
	return r
}

// ends runs the engine once, to that outcome.
func (s *scene) ends(want astern.Outcome) {
	s.Helper()
	if r := s.run(); r.Outcome != want {
		s.Errorf("ended %q, holds %v; want %q", r.Outcome, r.Holds, want)
	}
}

// holds runs the engine once, until it holds for those reasons: "KIND STEP: TEXT", where the text may be left out.
func (s *scene) holds(want ...string) {
	s.Helper()
	var got []string
	r := s.run()
	for i, h := range r.Holds {
		line := strings.TrimSpace(string(h.Kind) + " " + h.Step)
		if i < len(want) && strings.Contains(want[i], ": ") {
			line += ": " + h.Text
		}
		got = append(got, line)
	}
	if !slices.Equal(got, want) {
		s.Errorf("outcome %q, holds %v; want %v", r.Outcome, r.Holds, want)
	}
}

// later is the result of an engine that runs beside the test.
type later struct {
	engine.Result
	err error
	at  time.Time
}

// begin runs the engine beside the test.
func (s *scene) begin(ctx context.Context) <-chan later {
	out := make(chan later, 1)
	go func() {
		r, err := s.life(ctx)
		out <- later{r, err, time.Now()}
	}()
	return out
}

// says appends what a person says.
func (s *scene) says(kind astern.RecordKind, step string) {
	s.journal.Say(astern.Record{At: s.clock.Now(), Kind: kind, Step: step, By: "op"})
}

func (s *scene) settles(step string, op astern.Op) {
	s.journal.Say(astern.Record{At: s.clock.Now(), Kind: astern.RecordSettled, Step: step, By: "op", Op: &op})
}

func (s *scene) fold() *engine.Fold {
	s.Helper()
	f, err := engine.NewFold(s.plan)
	if err != nil {
		s.Fatal(err)
	}
	for _, r := range s.journal.Records() {
		f.Apply(r)
	}
	return f
}

// status returns how far each step is: "1.a done", …
func (s *scene) status() []string {
	s.Helper()
	var out []string
	for _, st := range s.fold().Steps() {
		out = append(out, st.ID+" "+st.Status)
	}
	return out
}

func (s *scene) wantStatus(want ...string) {
	s.Helper()
	if got := s.status(); !slices.Equal(got, want) {
		s.Errorf("steps: %v, want %v", got, want)
	}
}

func (s *scene) wantCount(what string, want int) {
	s.Helper()
	if got := s.world.count(what); got != want {
		s.Errorf("%s happened %d times, want %d", what, got, want)
	}
}

// records returns how many records of the kind there are.
func (s *scene) records(kind astern.RecordKind) int {
	n := 0
	for _, r := range s.journal.Records() {
		if r.Kind == kind {
			n++
		}
	}
	return n
}

func done() astern.Op { return astern.Op{Status: astern.OpDone} }

func outputs(pairs ...any) astern.Op {
	op := astern.Op{Status: astern.OpDone, Outputs: map[string]astern.Arg{}}
	for i := 0; i < len(pairs); i += 2 {
		op.Outputs[pairs[i].(string)] = astern.Arg{Literal: pairs[i+1]}
	}
	return op
}

func fails(code astern.Code) astern.Op {
	return astern.Op{Status: astern.OpFailed, Code: code, Error: "it failed as " + string(code)}
}

func unsure() astern.Op {
	return astern.Op{Status: astern.OpUnsure, Code: astern.Unavailable, Error: "no reply"}
}

func underWay(progress string) astern.Op {
	return astern.Op{Status: astern.OpRunning, Progress: progress, Handle: map[string]string{"id": "7"}, PollSeconds: 1}
}

// does makes a Start that answers with each op in turn, the last again and again.
func does(ops ...astern.Op) func(context.Context, astern.Call) astern.Op {
	i := -1
	return func(context.Context, astern.Call) astern.Op {
		i = min(i+1, len(ops)-1)
		return ops[i]
	}
}

// takes makes a Start whose reply comes after so long.
func takes(d time.Duration, op astern.Op) func(context.Context, astern.Call) astern.Op {
	return func(ctx context.Context, _ astern.Call) astern.Op {
		select {
		case <-time.After(d):
			return op
		case <-ctx.Done():
			return astern.Op{Status: astern.OpUnsure, Code: astern.Unavailable, Error: context.Cause(ctx).Error()}
		}
	}
}

func answers(a astern.FoundAnswer, op *astern.Op) func(context.Context, astern.Call) astern.Found {
	return func(context.Context, astern.Call) astern.Found {
		return astern.Found{Answer: a, Op: op, Because: "so it is"}
	}
}

// planOf makes a plan of the stages; its check is "ok".
func planOf(stages ...astern.Stage) astern.Plan {
	for i := range stages {
		if stages[i].OnFailure == "" {
			stages[i].OnFailure = astern.OnFailureHold
		}
	}
	return astern.Plan{Kind: "Plan", Version: astern.PlanVersion, ID: "p", System: "s", Stages: stages,
		Checks: []astern.Check{{Name: "ok", Attempts: 1, TimeoutSeconds: 1, Effects: astern.EffectsNone}}}
}

// stepsOf makes a stage of one lane of plain steps.
func stepsOf(ids ...string) astern.Stage {
	st := astern.Stage{Title: "stage"}
	for _, id := range ids {
		st.Steps = append(st.Steps, stepOf(id))
	}
	return st
}

func stepOf(id string, more ...func(*astern.Step)) astern.Step {
	s := astern.Step{ID: id, Address: "e/c", Kind: "k", Verb: "v", Title: "do " + id, Undo: astern.UndoNone, Attempts: 3,
		TimeoutSeconds: 60, HoldSeconds: 30, Command: "true"}
	for _, f := range more {
		f(&s)
	}
	return s
}

// fleetOf makes a plan with a fleet of e/c and one stage over all of it.
func fleetOf(members int, st astern.Stage) astern.Plan {
	f := astern.Fleet{Address: "e/c"}
	for i := range members {
		f.Members = append(f.Members, fmt.Sprintf("m%d", i))
	}
	st.Each = &astern.Each{Address: "e/c", From: 0, To: members}
	p := planOf(st)
	p.Fleets = []astern.Fleet{f}
	return p
}

// errJournal fails where the test says.
type errJournal struct {
	*enginetest.Journal
	read, write func() error
}

func (j errJournal) Read(ctx context.Context, id string, after int64) ([]astern.Record, error) {
	if j.read != nil {
		if err := j.read(); err != nil {
			return nil, err
		}
	}
	return j.Journal.Read(ctx, id, after)
}

func (j errJournal) Append(ctx context.Context, id string, fence int64, r ...astern.Record) error {
	if j.write != nil {
		if err := j.write(); err != nil {
			return err
		}
	}
	return j.Journal.Append(ctx, id, fence, r...)
}

var errDisk = errors.New("no space left on device")
