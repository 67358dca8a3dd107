package engine

import (
	"strconv"
	"time"

	"github.com/astern-dev/astern"
)

// ActionKind is what is to be done.
type ActionKind string

// The actions. Prepare reads the step's facts and before-image and writes its intent; Start begins what an intent says;
// Find asks for an effect in doubt; Poll asks how far it is; Stop ends a running step that is stoppable; CheckRound makes a stage's checks; MakePlan makes a child
// plan; Wait says that nothing is due before At; Hold says that a person must decide; End writes the end.
const (
	Prepare    ActionKind = "prepare"
	Start      ActionKind = "start"
	Find       ActionKind = "find"
	Poll       ActionKind = "poll"
	Stop       ActionKind = "stop"
	CheckRound ActionKind = "check"
	MakePlan   ActionKind = "plan"
	Wait       ActionKind = "wait"
	Hold       ActionKind = "hold"
	End        ActionKind = "end"
)

// Action is one thing to do next.
type Action struct {
	Kind    ActionKind
	Step    string // id in its lane
	Attempt int    // of the step; for CheckRound which look at the stage's checks
	// Within is how long performing it may take.
	Within time.Duration
	// Call is complete for Start, Find, Poll and Stop; for Prepare it has no image yet.
	Call  *astern.Call
	Op    *astern.Op     // Poll and Stop
	Facts []ExpectedFact // Prepare
	// Stage counts from 1; for CheckRound.
	Stage  int
	Checks []astern.Check
	Gate   bool
	Undo   bool // MakePlan: reverse what was done
	// At is when a Wait is over; for Find the time of asking.
	At      time.Time
	Holds   []HoldReason
	Outcome astern.Outcome
}

// ExpectedFact is what a step expects of the world right before it runs.
type ExpectedFact struct {
	Address string
	Path    string
	Value   string
	Absent  bool
	// Unknown is true for a fact that a person accepted as unknown: it must still be unknown.
	Unknown bool
}

// HoldReason is one reason why an execution can't go on by itself.
type HoldReason struct {
	Kind  HoldKind `json:"kind"`
	Step  string   `json:"step,omitempty"`
	Stage int      `json:"stage,omitempty"`
	Text  string   `json:"text"`
}

// HoldKind says what a person can do about a hold.
type HoldKind string

// The kinds of holds.
const (
	HoldPaused  HoldKind = "paused"  // resume
	HoldFailed  HoldKind = "failed"  // resume (another attempt), skip, cancel or undo
	HoldRefused HoldKind = "refused" // the world changed: plan anew, or resume when it is as expected again
	HoldUnsure  HoldKind = "unsure"  // settle
	HoldLimit   HoldKind = "limit"   // allow
	HoldBlocked HoldKind = "blocked" // needs a step that was skipped: skip it too, or cancel
	HoldGate    HoldKind = "gate"    // resume (checks are made again), cancel or undo
	HoldPlan    HoldKind = "plan"    // the child plan could not be made: resume or cancel
)

// Key names the action so that a loop runs each once at a time. A step is not stopped while it is asked how far it is: an
// answer from before would say that it is done.
func (a Action) Key() string {
	kind := a.Kind
	if kind == Stop {
		kind = Poll
	}
	return string(kind) + " " + a.Step + " " + strconv.Itoa(a.Attempt) + " " + strconv.Itoa(a.Stage) + " " + strconv.FormatBool(a.Gate)
}
