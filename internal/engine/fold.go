package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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

	phase     phase
	attempt   int // of the newest intent, from 1
	call      *astern.Call
	op        *astern.Op
	tries     int // failed attempts since the start or the last resume
	notBefore time.Time
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

// over reports whether the lane may go on after the step.
func (s *step) over() bool { return s.phase == skipped || s.phase == done && s.overLimit == "" }

// lane is a sequence of steps.
type lane struct {
	member string
	steps  []*step
	next   int // first step that is not over
}

// stage is the state of one stage.
type stage struct {
	plan    *astern.Stage
	lanes   []*lane
	begun   time.Time // when it became the current stage
	entered time.Time // when its lanes were over and its gate began to count

	passed    bool
	lastPass  time.Time // of the gate's last round, zero after anything but a pass
	lastGood  time.Time // since when the gate waits for a round in which all pass
	baked     time.Duration
	asked     time.Time // last round of either sort
	gateFail  string
	gateStuck string
	stopped   string // why stop_when stopped it
}

// Fold is a plan's journal read into a state. It is not safe for concurrent use.
type Fold struct {
	plan   *astern.Plan
	stages []*stage
	steps  map[string]*step
	facts  map[string][]*astern.Fact        // by step id without @MEMBER
	sets   map[string]astern.Value          // "ADDRESS PATH" -> what done steps made of it; empty and unknown "absent" when removed
	byID   map[string]*astern.Step          // by step id without @MEMBER
	outs   map[string]map[string]astern.Arg // by step id in its lane

	current   int // stage
	fence     int64
	seq       int64
	execution string
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
	f := &Fold{plan: &p, steps: map[string]*step{}, facts: map[string][]*astern.Fact{}, byID: map[string]*astern.Step{},
		sets: map[string]astern.Value{}, outs: map[string]map[string]astern.Arg{}}
	for i := range p.Stages {
		lanes, err := p.Lanes(i)
		if err != nil {
			return nil, err
		}
		st := &stage{plan: &p.Stages[i]}
		for k := range st.plan.Steps {
			f.byID[st.plan.Steps[k].ID] = &st.plan.Steps[k]
		}
		for _, l := range lanes {
			ln := &lane{member: l.Member}
			for _, ls := range l.Steps {
				if f.steps[ls.ID] != nil {
					return nil, astern.Errorf(astern.Invalid, "step id %s is not unique in the plan", ls.ID)
				}
				s := &step{id: ls.ID, member: l.Member, plan: ls.Step, stage: i}
				f.steps[ls.ID] = s
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

// Token identifies one attempt of one step of one execution.
func Token(execution, step string, attempt int) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d", execution, step, attempt))
	return "ast-" + hex.EncodeToString(h[:10])
}

// resolve returns the step's arguments with its references replaced by outputs, or the id of the step whose output is
// missing.
func (f *Fold) resolve(s *step) (args map[string]astern.Arg, missing string) {
	args = make(map[string]astern.Arg, len(s.plan.Args))
	for name, a := range s.plan.Args {
		v, ok := f.value(a, s.member)
		if !ok {
			return nil, a.Ref.From
		}
		args[name] = v
	}
	return args, ""
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
