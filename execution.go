package astern

import "time"

// Call is one step about to act, or acting: everything a driver needs to start, find or poll it.
type Call struct {
	Execution string `json:"execution"`
	// Step is the id of the step in its lane: STEP, or STEP@MEMBER.
	Step    string `json:"step"`
	Address string `json:"address"`
	Kind    string `json:"kind"`
	Verb    string `json:"verb"`
	Member  string `json:"member,omitempty"`
	// Args are the step's arguments with every reference resolved; all are literals, and nobody changes the map. In a journal
	// stand only those that were references: the plan says the others.
	Args  map[string]Arg `json:"args,omitempty"`
	Image Image          `json:"image,omitempty"`
	// Token identifies this attempt of this step of this execution, and nothing else.
	Token string `json:"token"`
	// Fence rises with each engine that takes the execution, and from one execution of a component to the next.
	Fence int64 `json:"fence"`
	// Owner identifies the execution among those of all state folders, as Claim's does; "" where that is not known.
	Owner string `json:"owner,omitempty"`
	// Deadline is when the step's time is over: a driver that can tell that nothing is in flight then answers failed;
	// one that can't goes on answering running, and the engine asks a person.
	Deadline time.Time `json:"deadline"`
}

// Text returns the call's argument of that name as text, "" when it is absent.
func (c Call) Text(name string) string {
	a, ok := c.Args[name]
	if !ok {
		return ""
	}
	return a.String()
}

// Image is the state before a step, as far as finding and undoing it need it: identities and vault hashes, no secrets.
type Image map[string]string

// OpStatus is how far work in the outside world is.
type OpStatus string

// The statuses of an Op.
const (
	OpRunning OpStatus = "running"
	OpDone    OpStatus = "done"
	// OpFailed says for certain that it failed without effect and that nothing is in flight: it may be tried again.
	OpFailed OpStatus = "failed"
	// OpUnsure says that it may or may not have had its effect: it must be found before anything else.
	OpUnsure OpStatus = "unsure"
)

// Op is work in progress in the outside world, as data, so that a journal can hold it across a crash.
type Op struct {
	Status OpStatus `json:"status"`
	// Handle is what the driver needs to poll it again.
	Handle map[string]string `json:"handle,omitempty"`
	// Outputs are set when it is done.
	Outputs map[string]Arg `json:"outputs,omitempty"`
	// Progress is one line for a person: "2 of 3 running".
	Progress string `json:"progress,omitempty"`
	// Code and Error say why it failed or is unsure.
	Code  Code   `json:"code,omitempty"`
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
	// PollSeconds is when the driver wants to be asked again; 0 leaves it to the engine.
	PollSeconds float64 `json:"poll_seconds,omitempty"`
}

// FoundAnswer is what a driver says of an effect in doubt.
type FoundAnswer string

// The answers of Find.
const (
	FoundYes     FoundAnswer = "yes"
	FoundNo      FoundAnswer = "no"
	FoundUnknown FoundAnswer = "unknown"
)

// Found is a driver's answer whether the effect of a call is in the world. Op is set when it is.
type Found struct {
	Answer  FoundAnswer `json:"answer"`
	Op      *Op         `json:"op,omitempty"`
	Because string      `json:"because,omitempty"`
}

// RecordKind is what a journal record tells.
type RecordKind string

// The records. The first group is written by the engine that holds the fence, the second by people.
const (
	RecordTaken      RecordKind = "taken"      // an engine took the execution under Fence
	RecordIntent     RecordKind = "intent"     // the step is about to be started: Call says how
	RecordRefused    RecordKind = "refused"    // facts of the step had changed: Differences; nothing was started
	RecordUnprepared RecordKind = "unprepared" // facts or the before-image could not be read: Code, Text
	RecordOp         RecordKind = "op"         // what Start, Find or Poll answered: Op
	RecordAbsent     RecordKind = "absent"     // Find said no: nothing of the attempt is in the world
	RecordDoubt      RecordKind = "doubt"      // Find could not tell: Text
	RecordRound      RecordKind = "round"      // a round of checks of a stage: Results
	RecordChild      RecordKind = "child"      // a child plan was made: Text is its hash
	RecordEnded      RecordKind = "ended"      // the end: Outcome

	RecordPaused    RecordKind = "paused"
	RecordResumed   RecordKind = "resumed"
	RecordCancelled RecordKind = "cancelled"
	RecordSkipped   RecordKind = "skipped" // Step is passed over
	RecordSettled   RecordKind = "settled" // a person says what became of Step: Op
	RecordAllowed   RecordKind = "allowed" // a person allows the outputs of Step outside their limits
	RecordTicked    RecordKind = "ticked"  // a person ticks item Text of the checklist of Step (an address)
)

// Record is one line of an execution's journal. It is written before and after every effect, and never changed.
type Record struct {
	Seq  int64      `json:"seq"` // from 1, without gaps
	At   time.Time  `json:"at"`
	Kind RecordKind `json:"kind"`
	// Fence is that of the engine which wrote it; 0 for a person's record.
	Fence int64 `json:"fence,omitempty"`
	// Step is the id of the step in its lane, for records about a step.
	Step    string `json:"step,omitempty"`
	Stage   int    `json:"stage,omitempty"`   // from 1; for rounds
	Attempt int    `json:"attempt,omitempty"` // from 1; for records about a step, and for rounds: which look at the checks
	// Asked is when the question was put that an absent record answers: an answer is no younger than its question.
	Asked time.Time `json:"asked,omitzero"`
	Call  *Call     `json:"call,omitempty"`
	Op    *Op       `json:"op,omitempty"`
	// Results are the verdicts of a round; Gate tells a gate's round from one judged while the stage runs.
	Results     []CheckResult `json:"results,omitempty"`
	Gate        bool          `json:"gate,omitempty"`
	Differences []Difference  `json:"differences,omitempty"`
	Outcome     Outcome       `json:"outcome,omitempty"`
	Code        Code          `json:"code,omitempty"`
	Text        string        `json:"text,omitempty"`
	By          string        `json:"by,omitempty"` // the person, for a person's record
	Runner      *Runner       `json:"runner,omitempty"`
}

// Difference is a fact that is not what a plan expects.
type Difference struct {
	Address  string `json:"address"`
	Path     string `json:"path"`
	Expected string `json:"expected"`
	Found    string `json:"found"`
}

// String returns "ADDRESS PATH: expected X, found Y".
func (d Difference) String() string {
	return d.Address + " " + d.Path + ": expected " + orNothing(d.Expected) + ", found " + orNothing(d.Found)
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// Outcome is how an execution ended; "" while it has not.
type Outcome string

// The outcomes.
const (
	OutcomeDone       Outcome = "done"
	OutcomeIncomplete Outcome = "incomplete" // done, but for tolerated failures and skipped steps
	OutcomeCancelled  Outcome = "cancelled"
	OutcomeContinued  Outcome = "continued" // by a child plan
)

// Runner is the process that carries out an execution.
type Runner struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`
	// Start identifies the process together with PID and Boot: its start time in the host's clock ticks since boot.
	Start string `json:"start,omitempty"`
	Boot  string `json:"boot,omitempty"`
	User  string `json:"user,omitempty"`
}

// Execution is a plan being carried out, or carried out.
type Execution struct {
	ID        string     `json:"id"`
	PlanHash  string     `json:"plan_hash"`
	CreatedAt time.Time  `json:"created_at"` // when apply was asked
	EndedAt   *time.Time `json:"ended_at,omitempty"`
	Outcome   Outcome    `json:"outcome,omitempty"`
	Addresses []string   `json:"addresses"`
	Parent    string     `json:"parent,omitempty"` // id of the execution it continues or undoes
}

// Phases are where the time of a recovery went, in seconds: from the first bad request where an incident knows that, else from
// the question.
type Phases struct {
	NoticeSeconds  float64 `json:"notice_seconds,omitempty"` // from the first bad request to the incident
	DecideSeconds  float64 `json:"decide_seconds"`           // from there, or from the question, to the finished plan's apply
	ApproveSeconds float64 `json:"approve_seconds"`          // waiting for approvals
	ExecuteSeconds float64 `json:"execute_seconds"`          // steps acting
	SettleSeconds  float64 `json:"settle_seconds"`           // baking between stages, and waiting for people
	ProveSeconds   float64 `json:"prove_seconds"`            // validation and watch at the end
}

// Total returns the sum of the phases, in seconds.
func (p Phases) Total() float64 {
	return p.NoticeSeconds + p.DecideSeconds + p.ApproveSeconds + p.ExecuteSeconds + p.SettleSeconds + p.ProveSeconds
}

// Approval is a person's word on a plan. One person has one word on each.
type Approval struct {
	PlanHash string    `json:"plan_hash"`
	By       string    `json:"by"`
	Verdict  string    `json:"verdict"` // approve or reject
	Reason   string    `json:"reason,omitempty"`
	At       time.Time `json:"at"`
	// Until is when it no longer counts; zero means that the plan's own end bounds it.
	Until time.Time `json:"until,omitzero"`
	// Document is the approval as it was signed, and Signature the armored signature of it; empty when it is not signed.
	Document  []byte `json:"document,omitempty"`
	Signature []byte `json:"signature,omitempty"`
}

// PolicyVoice stands as the person where the policy itself consented to an automatic action. It is no name that a person
// can have.
const PolicyVoice = "(policy)"
