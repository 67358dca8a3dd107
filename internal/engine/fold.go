package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"time"

	"github.com/astern-dev/astern"
)

// phase is how far a step is.
type phase int

const (
	waiting  phase = iota // no attempt is in the world
	intended              // an intent is written, its Start is under way in this engine
	doubt                 // an intent is written and what came of it is not known
	running
	done
	failed  // definitely without effect, no more attempts
	refused // facts had changed
	skipped
)

// step is the state of one step in its lane.
type step struct {
	id     string
	member string
	plan   *astern.Step
	stage  int // from 0

	lane      *lane
	phase     phase
	attempt   int // of the newest intent, from 1
	call      *astern.Call
	op        *astern.Op
	told      time.Time // when op was written
	tries     int       // failed attempts since the start or the last resume
	unread    int       // failed preparations since the last intent, start or resume
	wait      alarm     // when its next action is due
	since     time.Time // when the doubt, or the failing to prepare, began
	asking    time.Time // since when this engine asks what became of it
	lost      bool      // the doubt began with a lost reply, not with a crash
	stuck     bool      // in doubt or running for too long: a person must say
	overLimit string    // output outside its limit, "" when allowed
	text      string    // last error
	diffs     []astern.Difference
}

// inFlight reports whether something of the step may be under way in the world.
func (s *step) inFlight() bool { return s.phase == intended || s.phase == doubt || s.phase == running }

// failed reports whether the step can't be done as it is.
func (s *step) failed() bool { return s.phase == failed || s.phase == refused }

// over reports whether the lane may go on after the step.
func (s *step) over() bool { return s.phase == skipped || s.phase == done && s.overLimit == "" }

// alarm is when something is due, and when that was settled: a clock that was set back since makes it due at once.
type alarm struct{ at, set time.Time }

// lane is a sequence of steps.
type lane struct {
	index  int // in its stage
	member string
	steps  []*step
	next   int  // first step that is not over
	begun  bool // an intent was written since it was last queued
	state  laneState
	reason string // why it is blocked
}

// laneState is where a lane of the current stage stands.
type laneState int

const (
	laneQueued  laneState = iota // its turn has not come
	laneActive                   // under way: it takes a place of the stage's width
	laneBlocked                  // its next step can never run
	laneFailed                   // its next step failed or was refused
	laneOver
	laneStates
)

// stage is the state of one stage.
type stage struct {
	plan    *astern.Stage
	lanes   []*lane
	count   [laneStates]int
	active  []*lane   // in the order of the stage
	queue   int       // no lane before this one is queued
	checks  [2]checks // of stop_when and of the gate
	begun   bool      // it became the current stage
	begunAt time.Time
	entered time.Time // when its lanes were over and its gate began to count, zero while they are not

	look      int // rises with each fresh look at its checks: answers to an older one do not count
	passed    bool
	lastPass  time.Time // of the gate's last round, zero after anything but a pass
	lastGood  time.Time // since when the gate waits for a round in which all pass
	baked     time.Duration
	asked     time.Time      // last round of either sort
	told      time.Time      // last round that was written
	verdict   astern.Verdict // of that
	gateFail  string
	gateStuck string
	stopped   string // why stop_when stopped it
}

// checks are those that a stage names, bound.
type checks struct {
	bound []astern.Check
	// unbound names the first that could not be bound or is not in the plan; such a round is unknown.
	unbound string
}

// Fold is a plan's journal read into a state. It is not safe for concurrent use.
type Fold struct {
	plan   *astern.Plan
	stages []*stage
	steps  map[string]*step
	facts  map[string][]*astern.Fact        // by step id without @MEMBER
	sets   map[string]astern.Value          // "ADDRESS PATH" -> what done steps made of it; empty and unknown "absent" when removed
	undone map[string]int                   // by step id without @MEMBER: how many are not done
	outs   map[string]map[string]astern.Arg // by step id in its lane

	current   int // stage
	fence     int64
	seq       int64
	paused    bool
	cancelled bool
	child     string
	// nothingLeft is true when planning anew found that nothing is left to do.
	nothingLeft bool
	planFail    string
	outcome     astern.Outcome
	lastAt      time.Time
}

// NewFold returns the state of a plan whose journal is empty. It returns an Invalid error for a plan whose stages can't
// be expanded.
func NewFold(p astern.Plan) (*Fold, error) {
	f := &Fold{plan: &p, steps: map[string]*step{}, facts: map[string][]*astern.Fact{}, undone: map[string]int{},
		sets: map[string]astern.Value{}, outs: map[string]map[string]astern.Arg{}}
	for i := range p.Stages {
		lanes, err := p.Lanes(i)
		if err != nil {
			return nil, err
		}
		st := &stage{plan: &p.Stages[i]}
		for n, l := range lanes {
			ln := &lane{index: n, member: l.Member}
			for _, ls := range l.Steps {
				if f.steps[ls.ID] != nil {
					return nil, astern.Errorf(astern.Invalid, "step id %s is not unique in the plan", ls.ID)
				}
				s := &step{id: ls.ID, member: l.Member, plan: ls.Step, stage: i, lane: ln}
				f.steps[ls.ID] = s
				f.undone[ls.Step.ID]++
				ln.steps = append(ln.steps, s)
			}
			st.lanes = append(st.lanes, ln)
		}
		f.stages = append(f.stages, st)
	}
	for i := range p.Facts {
		for _, id := range p.Facts[i].Steps {
			f.facts[id] = append(f.facts[id], &p.Facts[i])
		}
	}
	return f, nil
}

// needs adds the ids that the step names as guards or uses outputs of.
func needs(s *astern.Step, ids map[string]bool) {
	for _, g := range s.Guards {
		ids[g] = true
	}
	for _, a := range s.Args {
		if a.Ref != nil {
			ids[a.Ref.From] = true
		}
	}
}

// Seq returns the sequence number of the last record applied.
func (f *Fold) Seq() int64 { return f.seq }

// Fence returns the fence of the engine that holds the execution.
func (f *Fold) Fence() int64 { return f.fence }

// Outcome returns how the execution ended, "" while it has not.
func (f *Fold) Outcome() astern.Outcome { return f.outcome }

// Child returns the hash of the child plan, "" when there is none.
func (f *Fold) Child() string { return f.child }

// Stage returns the number of the stage that the execution is in, from 1; one more than there are when all passed.
func (f *Fold) Stage() int { return f.current + 1 }

// Expected returns what the step's facts are expected to be now: as the plan saw them, with what its done steps set.
func (f *Fold) Expected(s *astern.Step, member string) []ExpectedFact {
	var out []ExpectedFact
	for _, fact := range f.facts[s.ID] {
		out = append(out, f.expect(fact, member))
	}
	return out
}

func (f *Fold) expect(fact *astern.Fact, member string) ExpectedFact {
	e := ExpectedFact{Address: fact.Address, Path: astern.MemberPath(fact.Path, member), Value: fact.Value,
		Absent: fact.Absent, Unknown: fact.Unknown != ""}
	if v, ok := fact.Except[member]; ok && member != "" {
		e.Value, e.Absent, e.Unknown = v.Value, v.Absent, v.Unknown != ""
	}
	if v, ok := f.sets[e.Address+" "+e.Path]; ok {
		e.Value, e.Absent, e.Unknown = v.Text, v.Unknown != "", false
	}
	return e
}

// AllExpected returns what every fact of the plan is expected to be now, for each member of a stage that rests on it.
func (f *Fold) AllExpected() []ExpectedFact {
	var out []ExpectedFact
	seen := map[string]bool{}
	for _, st := range f.stages {
		for _, ln := range st.lanes {
			for _, s := range ln.steps {
				for _, e := range f.Expected(s.plan, s.member) {
					if k := e.Address + " " + e.Path; !seen[k] {
						seen[k] = true
						out = append(out, e)
					}
				}
			}
		}
	}
	return out
}

// Compare returns how the states differ from what is expected. A value that can't be read is an Unavailable error, for
// nobody can tell whether it changed.
func Compare(expected []ExpectedFact, states map[string]astern.State) ([]astern.Difference, error) {
	var out []astern.Difference
	for _, e := range expected {
		v, ok := states[e.Address].Get(e.Path)
		switch {
		case e.Unknown && ok && !v.Known():
		case e.Unknown:
			out = append(out, astern.Difference{Address: e.Address, Path: e.Path, Expected: "still unknown, as accepted", Found: v.Text})
		case ok && !v.Known():
			return nil, astern.Errorf(astern.Unavailable, "reading %s %s: %s", e.Address, e.Path, v.Unknown)
		case e.Absent && ok:
			out = append(out, astern.Difference{Address: e.Address, Path: e.Path, Found: v.Text})
		case !e.Absent && !ok:
			out = append(out, astern.Difference{Address: e.Address, Path: e.Path, Expected: e.Value})
		case !e.Absent && v.Text != e.Value:
			out = append(out, astern.Difference{Address: e.Address, Path: e.Path, Expected: e.Value, Found: v.Text})
		}
	}
	return out, nil
}

// Token identifies one attempt of one step of one plan's execution, wherever and by whichever state folder it is carried
// out: the plan's id is random, and a plan has one execution.
func Token(plan, step string, attempt int) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d", plan, step, attempt))
	return "ast-" + hex.EncodeToString(h[:10])
}

// resolve returns the step's arguments with its references replaced by outputs. A step that is not blocked has them all. Without
// references they are the plan's own: one map for all lanes, which nobody changes.
func (f *Fold) resolve(s *step) map[string]astern.Arg { return completed(s.plan.Args, f.references(s)) }

// references returns those of the step's arguments that the plan does not say, the outputs that it refers to.
func (f *Fold) references(s *step) (args map[string]astern.Arg) {
	for name, a := range s.plan.Args {
		if a.Ref == nil {
			continue
		}
		if args == nil {
			args = map[string]astern.Arg{}
		}
		args[name], _ = f.value(a, s.member)
	}
	return args
}

// completed returns the plan's arguments with those of an intent in their place.
func completed(plan, intent map[string]astern.Arg) map[string]astern.Arg {
	if len(intent) == 0 {
		return plan
	}
	args := make(map[string]astern.Arg, len(plan))
	maps.Copy(args, plan)
	maps.Copy(args, intent)
	return args
}

// value returns the literal, or the output that the reference names; within a fleet's lane first that of the lane.
func (f *Fold) value(a astern.Arg, member string) (astern.Arg, bool) {
	if a.Ref == nil {
		return a, true
	}
	out, ok := f.outs[f.laneID(a.Ref.From, member)][a.Ref.Output]
	if !ok {
		return astern.Arg{}, false
	}
	if a.Ref.In != "" {
		return astern.Text(replaceBraces(a.Ref.In, out.String())), true
	}
	return out, true
}

// laneID returns the id that a step named in the plan has in the member's lane.
func (f *Fold) laneID(id, member string) string {
	if member != "" && f.steps[id+"@"+member] != nil {
		return id + "@" + member
	}
	return id
}
