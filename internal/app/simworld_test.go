package app

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
)

// simKind is the kind of the simulated components.
const simKind = "sim.service"

// simSettle is how long a simulated effect may stay invisible; steps declare it.
const simSettle = 5 * time.Second

// simFaults are how often, in percent, things go wrong.
type simFaults struct {
	lostAfter, lostBefore, transient, permanent, panics, blindFind, unreadable, checkFails, checkBlinds, slow, odd int
}

// simEffect is one effect that happened in the simulated world.
type simEffect struct {
	at              time.Time
	execution, step string
	token           string
	late            bool // by an engine that was stopped, killed or fenced
}

// simWorld is the world outside: components whose members have links and processes, fences that hosts remember, and faults.
type simWorld struct {
	mu      sync.Mutex
	h       *house
	seed    uint64
	faults  simFaults
	delay   time.Duration // how long effects stay invisible
	asked   map[string]uint64
	values  map[string]map[string]string // address -> path -> value
	silent  map[string]bool              // "ADDRESS MEMBER" that can't be reached
	byToken map[string]time.Time         // when its operation is over
	effects []simEffect
	refused float64 // calls of older fences that a host refused
	window  float64 // effects of verbs that nothing guards, by older fences
}

// dice answers with a number below n that depends on the seed, the question, and how often it was put.
func (w *simWorld) dice(question string, n int) int {
	w.asked[question]++
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", w.seed, question, w.asked[question])
	return rand.New(rand.NewPCG(h.Sum64(), w.seed)).IntN(n)
}

func (w *simWorld) hit(question string, percent int) bool {
	return percent > 0 && w.dice(question, 100) < percent
}

// Observe reads a component's state.
func (w *simWorld) Observe(_ context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	address := c.Address()
	if w.hit("observe "+address, w.faults.unreadable) {
		return astern.State{}, astern.Errorf(astern.Unavailable, "the simulated cloud does not answer")
	}
	s := astern.State{Address: address, Values: map[string]astern.Value{}}
	var links []string
	unknown := ""
	for path, v := range w.values[address] {
		member, rest, _ := strings.Cut(path, "/")
		value := astern.Value{Text: v, At: w.h.local()}
		if w.silent[address+" "+member] && rest != "address" {
			value = astern.Value{Unknown: member + " does not answer", At: w.h.local()}
			unknown = value.Unknown
		} else if rest == "link" {
			links = append(links, v)
		}
		if len(scope.Paths) == 0 || slices.Contains(scope.Paths, path) {
			s.Values[path] = value
		}
	}
	slices.Sort(links)
	switch {
	case len(scope.Paths) > 0:
	case unknown != "":
		s.Values["revision"] = astern.Value{Unknown: unknown, At: w.h.local()}
	default:
		s.Values["revision"] = astern.Value{Text: strings.Join(slices.Compact(links), "+"), At: w.h.local()}
	}
	return s, nil
}

func (w *simWorld) check(c astern.Check) astern.CheckResult {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := astern.CheckResult{Check: c.ID(), Verdict: astern.Pass, At: w.h.local()}
	switch {
	case w.hit("fails "+c.ID(), w.faults.checkFails):
		r.Verdict, r.Evidence = astern.Fail, "simulated"
	case w.hit("blinds "+c.ID(), w.faults.checkBlinds):
		r.Verdict, r.Evidence = astern.Unknown, "simulated"
	}
	return r
}

// memberOf is the member that a call acts on, "" for the component as a whole.
func memberOf(call astern.Call) string {
	if call.Member != "" {
		return call.Member
	}
	return call.Text("instance")
}

// simActor acts in the world for one process.
type simActor struct {
	w *simWorld
	p *process
}

// Before reads the image.
func (a simActor) Before(_ context.Context, call astern.Call) (astern.Image, error) {
	w := a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hit("before "+call.Step, w.faults.unreadable) || w.silent[call.Address+" "+memberOf(call)] {
		return nil, astern.Errorf(astern.Throttled, "the simulated cloud is busy")
	}
	m := memberOf(call)
	return astern.Image{"link": w.values[call.Address][m+"/link"], "runs": w.values[call.Address][m+"/runs"]}, nil
}

// Start has the call's effect, or a fault.
func (a simActor) Start(_ context.Context, call astern.Call) astern.Op {
	w, q := a.w, " "+call.Execution+call.Step
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.hit("panic"+q, w.faults.panics):
		panic("simulated")
	case w.hit("transient"+q, w.faults.transient), w.silent[call.Address+" "+memberOf(call)]:
		return astern.Op{Status: astern.OpFailed, Code: astern.Throttled, Error: "simulated: slow down"}
	case w.hit("permanent"+q, w.faults.permanent):
		return astern.Op{Status: astern.OpFailed, Code: astern.Denied, Error: "simulated: not allowed"}
	case w.hit("lost before"+q, w.faults.lostBefore):
		return astern.Op{Status: astern.OpUnsure, Code: astern.Unavailable, Error: "simulated: no reply"}
	}
	took := time.Duration(0)
	if w.hit("slow"+q, w.faults.slow) {
		took = time.Duration(1+w.dice("took"+q, 20)) * time.Second
	}
	if op, ok := a.effect(call, took); !ok {
		return op
	}
	if w.hit("lost after"+q, w.faults.lostAfter) {
		return astern.Op{Status: astern.OpUnsure, Code: astern.Unavailable, Error: "simulated: no reply"}
	}
	return w.op(call)
}

// effect changes the world unless its own condition refuses that.
func (a simActor) effect(call astern.Call, took time.Duration) (astern.Op, bool) {
	w, values, m := a.w, a.w.values[call.Address], memberOf(call)
	fence, _ := strconv.ParseInt(values[m+"/fence"], 10, 64)
	if call.Verb == "swap" && fence > call.Fence {
		w.refused++
		return astern.Op{Status: astern.OpFailed, Code: astern.Conflict, Error: "fence " + values[m+"/fence"] + " was here"}, false
	}
	if call.Verb == "swap" && values[m+"/link"] != call.Image["link"] {
		return astern.Op{Status: astern.OpFailed, Code: astern.Conflict, Error: "the link is not what it was"}, false
	}
	late := w.h.judgeEffect(a.p, call)
	if fence > call.Fence && m != "" {
		if !late {
			w.h.wrong("%s %s of %s: fence %d acted after fence %d", call.Execution, call.Step, call.Address, call.Fence, fence)
		}
		w.window++
	}
	w.effects = append(w.effects, simEffect{at: w.h.now, execution: call.Execution, step: call.Step, token: call.Token, late: late})
	if _, twice := w.byToken[call.Token]; twice {
		w.h.wrong("%s of %s: two effects of one attempt", call.Step, call.Execution)
	}
	w.byToken[call.Token] = w.h.now.Add(took)
	switch call.Verb {
	case "fetch":
		values["cache/"+call.Text("revision")] = "digest-of-" + call.Text("revision")
	case "swap":
		if d := call.Text("digest"); d != "" && !strings.HasSuffix(d, "digest-of-"+call.Text("revision")) && !strings.HasSuffix(d, "odd") {
			w.h.wrong("%s of %s swaps to %s with the output %q", call.Step, call.Execution, call.Text("revision"), d)
		}
		values[m+"/link"] = call.Text("revision")
		delete(w.h.disturbed, call.Address+" "+m)
	case "restart":
		values[m+"/runs"] = call.Text("revision")
	}
	if m != "" {
		values[m+"/fence"] = strconv.FormatInt(max(fence, call.Fence), 10)
	}
	return astern.Op{}, true
}

// outputs are those of the call's step, the same each time they are asked for.
func (w *simWorld) outputs(call astern.Call) map[string]astern.Arg {
	if call.Verb != "fetch" {
		return nil
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %s", w.seed, call.Execution, call.Step)
	digest := "digest-of-" + call.Text("revision")
	if int(h.Sum64()%100) < w.faults.odd {
		digest = "odd"
	}
	return map[string]astern.Arg{"digest": astern.Text(digest)}
}

func (w *simWorld) op(call astern.Call) astern.Op {
	if w.h.now.Before(w.byToken[call.Token]) {
		return astern.Op{Status: astern.OpRunning, Handle: map[string]string{"of": call.Step}, PollSeconds: 1, Progress: "under way"}
	}
	return astern.Op{Status: astern.OpDone, Outputs: w.outputs(call)}
}

// Find looks for the call's effect by its token, which shows only after the delay.
func (a simActor) Find(_ context.Context, call astern.Call) astern.Found {
	w := a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hit("find "+call.Execution+call.Step, w.faults.blindFind) || w.silent[call.Address+" "+memberOf(call)] {
		return astern.Found{Answer: astern.FoundUnknown, Because: "simulated: can't tell"}
	}
	for _, e := range w.effects {
		if e.token == call.Token && w.h.now.Sub(e.at) >= w.delay {
			op := w.op(call)
			return astern.Found{Answer: astern.FoundYes, Op: &op}
		}
	}
	return astern.Found{Answer: astern.FoundNo}
}

// Poll asks how far the operation is.
func (a simActor) Poll(_ context.Context, call astern.Call, _ astern.Op) astern.Op {
	w := a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hit("poll "+call.Execution+call.Step, w.faults.lostBefore) {
		return astern.Op{Status: astern.OpUnsure, Code: astern.Unavailable, Error: "simulated: no reply to a poll"}
	}
	return w.op(call)
}

// happened reports whether the call with that token had its effect, and what came of it.
func (w *simWorld) happened(call astern.Call) bool {
	_, ok := w.byToken[call.Token]
	return ok
}
