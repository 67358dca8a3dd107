package enginetest

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
)

// Effect is one effect that really happened in the simulated world.
type Effect struct {
	Step  string
	Token string
	At    time.Time
}

// Faults are how often, in percent, things go wrong.
type Faults struct {
	LostAfter   int // the reply is lost after the effect
	LostBefore  int // the reply is lost, and there was no effect
	Transient   int // failed without effect, a retry helps
	Permanent   int // failed without effect, a retry does not help
	Panic       int // the driver panics before it did anything
	Unknown     int // Find can't tell
	Unreadable  int // facts or before-image can't be read
	CheckFails  int
	CheckBlinds int // a check is unknown
	Slow        int // the effect takes time, with an operation to poll
	Odd         int // an output is outside its limit
	PlanFails   int // a child plan can't be made
}

// World is a simulated world: flat state, effects found by token (visible after Delay), and faults. It is safe for
// concurrent use. Its methods must run where time is simulated.
type World struct {
	mu      sync.Mutex
	seed    uint64
	asked   map[string]uint64 // how often each question was put
	state   map[string]map[string]string
	byToken map[string]time.Time // when an effect happened, or will have
	sets    map[string][]astern.Set
	rests   map[string][]string          // the paths that a step rests on, by step without @MEMBER
	blind   map[string]bool              // "ADDRESS PATH" that can't be read
	strange map[string]time.Time         // "ADDRESS PATH" that somebody else changed, and when
	before  map[string]string            // what it was before; absent when it could not be read
	were    map[string]map[string]string // what each effect overwrote, by token and "ADDRESS PATH"
	Faults  Faults
	// Delay is how long an effect stays invisible to Find: eventual consistency.
	Delay   time.Duration
	Effects []Effect
	// Stopped are the tokens of effects that were taken back while they were under way.
	Stopped map[string]bool
	// Wrong lists what the engine did that it must never do.
	Wrong []string
}

// NewWorld makes the world that the plan expects to find.
func NewWorld(p astern.Plan, seed uint64, f Faults) *World {
	w := &World{seed: seed, asked: map[string]uint64{}, state: map[string]map[string]string{}, byToken: map[string]time.Time{}, sets: map[string][]astern.Set{},
		rests: map[string][]string{}, blind: map[string]bool{}, strange: map[string]time.Time{}, before: map[string]string{},
		were: map[string]map[string]string{}, Stopped: map[string]bool{}, Faults: f}
	for _, fact := range p.Facts {
		for _, id := range fact.Steps {
			w.rests[id] = append(w.rests[id], fact.Address+" "+fact.Path)
		}
		members := []string{""}
		if fl, ok := p.Fleet(fact.Address); ok {
			members = fl.Members
		}
		for _, m := range members {
			v := astern.FactValue{Value: fact.Value, Absent: fact.Absent, Unknown: fact.Unknown}
			if e, ok := fact.Except[m]; ok {
				v = e
			}
			path := astern.MemberPath(fact.Path, m)
			switch {
			case v.Unknown != "":
				w.blind[fact.Address+" "+path] = true
			case !v.Absent:
				w.Set(fact.Address, path, v.Value)
			}
		}
	}
	for _, st := range p.Stages {
		for _, s := range st.Steps {
			w.sets[s.ID] = s.Sets
		}
	}
	return w
}

// Disturb changes a value that a step may rest on, as somebody else would. What could not be read can be read from then on.
func (w *World) Disturb(address, path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := address + " " + path
	if _, ok := w.strange[key]; ok {
		return
	}
	w.strange[key] = time.Now()
	if !w.blind[key] {
		w.before[key] = w.state[address][path]
	}
	w.set(address, path, "somebody else was here")
}

// Mend takes back everything that was disturbed and that no step has overwritten since.
func (w *World) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.strange {
		address, path, _ := strings.Cut(key, " ")
		v, known := w.before[key]
		w.set(address, path, v)
		w.blind[key] = !known
	}
	clear(w.strange)
	clear(w.before)
}

// Set changes a value, as somebody else would.
func (w *World) Set(address, path, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set(address, path, value)
}

func (w *World) set(address, path, value string) {
	if w.state[address] == nil {
		w.state[address] = map[string]string{}
	}
	w.state[address][path] = value
	delete(w.blind, address+" "+path)
}

// Get returns a value.
func (w *World) Get(address, path string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state[address][path]
}

// dice answers the question with a number below n that depends on the seed, the question, and how often it was put: not
// on the order in which different questions come.
func (w *World) dice(question string, n int) int {
	w.asked[question]++
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", w.seed, question, w.asked[question])
	return rand.New(rand.NewPCG(h.Sum64(), w.seed)).IntN(n)
}

func (w *World) hit(question string, percent int) bool { return w.dice(question, 100) < percent }

// Observe reads paths.
func (w *World) Observe(_ context.Context, address string, paths []string) (astern.State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hit("observe "+address, w.Faults.Unreadable) {
		return astern.State{}, astern.Errorf(astern.Unavailable, "the simulated cloud does not answer")
	}
	s := astern.State{Address: address, Values: map[string]astern.Value{}}
	for _, p := range paths {
		if w.blind[address+" "+p] {
			s.Values[p] = astern.Value{Unknown: "simulated: the region does not answer", At: time.Now()}
		} else if v, ok := w.state[address][p]; ok {
			s.Values[p] = astern.Value{Text: v, At: time.Now()}
		}
	}
	return s, nil
}

// Before reads the image.
func (w *World) Before(_ context.Context, call astern.Call) (astern.Image, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hit("before "+call.Step, w.Faults.Unreadable) {
		return nil, astern.Errorf(astern.Throttled, "the simulated cloud is busy")
	}
	return astern.Image{"seen": time.Now().Format(time.RFC3339Nano)}, nil
}

// Start has the call's effect, or a fault.
func (w *World) Start(ctx context.Context, call astern.Call) astern.Op {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.hit("Panic "+call.Step, w.Faults.Panic):
		panic("simulated")
	case w.hit("Transient "+call.Step, w.Faults.Transient):
		return astern.Op{Status: astern.OpFailed, Code: astern.Throttled, Error: "simulated: slow down"}
	case w.hit("Permanent "+call.Step, w.Faults.Permanent):
		return astern.Op{Status: astern.OpFailed, Code: astern.Denied, Error: "simulated: not allowed"}
	case w.hit("LostBefore "+call.Step, w.Faults.LostBefore):
		return astern.Op{Status: astern.OpUnsure, Code: astern.Unavailable, Error: "simulated: no reply"}
	}
	took := time.Duration(0)
	if w.hit("Slow "+call.Step, w.Faults.Slow) {
		took = time.Duration(1+w.dice("took "+call.Step, 20)) * time.Second
	}
	w.effect(call, took)
	if w.hit("LostAfter "+call.Step, w.Faults.LostAfter) {
		return astern.Op{Status: astern.OpUnsure, Code: astern.Unavailable, Error: "simulated: no reply"}
	}
	return w.op(call)
}

// effect lets the call's effect happen now; its operation ends after it took its time.
func (w *World) effect(call astern.Call, took time.Duration) {
	w.Effects = append(w.Effects, Effect{Step: call.Step, Token: call.Token, At: time.Now()})
	w.byToken[call.Token] = time.Now().Add(took)
	w.were[call.Token] = map[string]string{}
	id := call.Step
	if call.Member != "" {
		id = id[:len(id)-len(call.Member)-1]
	}
	for _, p := range w.rests[id] {
		if at, ok := w.strange[astern.MemberPath(p, call.Member)]; ok && time.Since(at) > factWindow {
			w.Wrong = append(w.Wrong, fmt.Sprintf("%s acted on %s, which had changed %s before", call.Step, p, time.Since(at)))
		}
	}
	for _, s := range w.sets[id] {
		address := s.Address
		if address == "" {
			address = call.Address
		}
		value := s.Value.String()
		if s.Value.Ref != nil {
			value = call.Text("value")
		}
		path := astern.MemberPath(s.Path, call.Member)
		w.were[call.Token][address+" "+path] = w.state[address][path]
		w.set(address, path, value)
		delete(w.strange, address+" "+path)
		delete(w.before, address+" "+path)
	}
}

// factWindow is the longest time that may lie between the reading of a step's facts and its effect.
const factWindow = 5 * time.Second

// Outputs are those of the call's step, once it is done.
func (w *World) Outputs(call astern.Call) map[string]astern.Arg {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", w.seed, call.Step) // the same each time it is asked
	kind := "plain"
	if int(h.Sum64()%100) < w.Faults.Odd {
		kind = "odd"
	}
	return map[string]astern.Arg{"token": astern.Text(call.Token), "kind": astern.Text(kind)}
}

func (w *World) op(call astern.Call) astern.Op {
	end := w.byToken[call.Token]
	if w.Stopped[call.Token] {
		return astern.Op{Status: astern.OpFailed, Code: astern.Interrupted, Error: "simulated: stopped"}
	}
	if time.Now().Before(end) {
		return astern.Op{Status: astern.OpRunning, Handle: map[string]string{"token": call.Token}, PollSeconds: 1,
			Progress: fmt.Sprintf("until %s", end.Format(time.TimeOnly))}
	}
	return astern.Op{Status: astern.OpDone, Outputs: w.Outputs(call)}
}

// Find looks for the call's effect by its token, which shows only after Delay.
func (w *World) Find(_ context.Context, call astern.Call) astern.Found {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hit("find "+call.Step, w.Faults.Unknown) {
		return astern.Found{Answer: astern.FoundUnknown, Because: "simulated: can't tell"}
	}
	for _, e := range w.Effects {
		if e.Token == call.Token && time.Since(e.At) >= w.Delay {
			op := w.op(call)
			return astern.Found{Answer: astern.FoundYes, Op: &op}
		}
	}
	return astern.Found{Answer: astern.FoundNo}
}

// Poll asks how far the operation is.
func (w *World) Poll(_ context.Context, call astern.Call, _ astern.Op) astern.Op {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hit("LostBefore "+call.Step, w.Faults.LostBefore) {
		return astern.Op{Status: astern.OpUnsure, Code: astern.Unavailable, Error: "simulated: no reply to a poll"}
	}
	return w.op(call)
}

// Stop ends an operation that is under way: its effect is taken back, unless the reply says nothing of it. One that is over is
// done.
func (w *World) Stop(_ context.Context, call astern.Call, _ astern.Op) astern.Op {
	w.mu.Lock()
	defer w.mu.Unlock()
	end, ok := w.byToken[call.Token]
	switch {
	case !ok && !w.Stopped[call.Token]:
		w.Wrong = append(w.Wrong, fmt.Sprintf("%s was stopped, and nothing of it was under way", call.Step))
	case w.Stopped[call.Token], !time.Now().Before(end):
		return w.op(call)
	case w.hit("stop "+call.Step, 30):
		return w.op(call) // it goes on for now
	}
	delete(w.byToken, call.Token)
	w.Effects = slices.DeleteFunc(w.Effects, func(e Effect) bool { return e.Token == call.Token })
	for key, was := range w.were[call.Token] {
		address, path, _ := strings.Cut(key, " ")
		w.set(address, path, was)
	}
	w.Stopped[call.Token] = true
	if w.hit("LostAfter "+call.Step, w.Faults.LostAfter) {
		return astern.Op{Status: astern.OpUnsure, Code: astern.Unavailable, Error: "simulated: no reply to a stop"}
	}
	return w.op(call)
}

// Check makes a simulated check.
func (w *World) Check(_ context.Context, c astern.Check) astern.CheckResult {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := astern.CheckResult{Check: c.ID(), Verdict: astern.Pass, At: time.Now()}
	switch {
	case w.hit("fails", w.Faults.CheckFails):
		r.Verdict, r.Evidence = astern.Fail, "simulated"
	case w.hit("blinds", w.Faults.CheckBlinds):
		r.Verdict, r.Evidence = astern.Unknown, "simulated"
	}
	return r
}

// Plan makes a child plan, or fails.
func (w *World) Plan(_ context.Context, undo bool) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch n := w.dice("plan", 100); {
	case n < w.Faults.PlanFails:
		return "", astern.Errorf(astern.Unavailable, "simulated: can't plan")
	case n%5 == 0:
		return "", nil
	}
	return fmt.Sprintf("child-undo-%t", undo), nil
}

// Happened reports whether the call with that token had its effect.
func (w *World) Happened(token string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.byToken[token]
	return ok
}
