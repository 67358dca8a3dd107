package astern

import (
	"encoding/json"
	"time"
)

// IncidentEventKind is what an event tells of an incident.
type IncidentEventKind string

// The events of an incident. Everything that is known of one is folded from them; none is ever changed.
const (
	IncidentOpened   IncidentEventKind = "opened"   // Text is its title; Addresses, Began
	IncidentSeverity IncidentEventKind = "severity" // Severity; Text says why
	IncidentOwned    IncidentEventKind = "owned"    // To has it from now on, or the task Item of it
	IncidentNoted    IncidentEventKind = "noted"    // a person's line in the timeline: Text
	IncidentBlamed   IncidentEventKind = "blamed"   // Cause, or nil when no change is to blame; Text says why
	IncidentDecided  IncidentEventKind = "decided"  // Decision: what to do, or why nothing
	IncidentActed    IncidentEventKind = "acted"    // Execution is part of it; Text says what for
	IncidentCost     IncidentEventKind = "cost"     // Cost so far, in place of what was said before
	IncidentMeasured IncidentEventKind = "measured" // Series, in place of the one of the same name
	IncidentLogged   IncidentEventKind = "logged"   // Logs are the last failures that the component wrote down
	IncidentTicked   IncidentEventKind = "ticked"   // task Item is done
	IncidentResolved IncidentEventKind = "resolved" // health is proven, or a person says that it is over: Text
	IncidentReopened IncidentEventKind = "reopened" // it is not over: Text says why
)

// IncidentEvent is one event of an incident.
type IncidentEvent struct {
	Seq  int64             `json:"seq"` // from 1, without gaps
	At   time.Time         `json:"at"`
	Kind IncidentEventKind `json:"kind"`
	By   string            `json:"by"` // a person's name, or "watch"
	Text string            `json:"text,omitempty"`
	// Token makes an event that a process writes findable after a crash: it is written once in the whole store.
	Token     string   `json:"token,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	// Began is when the fault began as far as is known; zero means with the event. Ended is the same of its end.
	Began    time.Time `json:"began,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Severity string    `json:"severity,omitempty"`
	Cause    *Cause    `json:"cause,omitempty"`
	Decision *Decision `json:"decision,omitempty"`
	// Situation is what the decision rested on, so that it can be judged again: package watch reads it.
	Situation json.RawMessage `json:"situation,omitempty"`
	Execution string          `json:"execution,omitempty"`
	Cost      *Cost           `json:"cost,omitempty"`
	Series    *Series         `json:"series,omitempty"`
	Logs      *FailureLog     `json:"logs,omitempty"`
	Item      string          `json:"item,omitempty"`
	// To is who is given it; "" where By takes it.
	To string `json:"to,omitempty"`
}

// IncidentLog is an incident as it is stored: all its events in order.
type IncidentLog struct {
	ID     string          `json:"id"` // inc-1, inc-2 …
	Events []IncidentEvent `json:"events"`
}

// Cause is the change that is blamed for a fault.
type Cause struct {
	Address  string    `json:"address"`
	Revision string    `json:"revision"`
	At       time.Time `json:"at"`
	By       string    `json:"by,omitempty"`
	// Event is the number of the ledger's event.
	Event int64 `json:"event,omitempty"`
}

// Act is what a decision comes to.
type Act string

// The acts of a decision.
const (
	ActAutomatic Act = "act"    // the way is taken
	ActAsk       Act = "ask"    // a person is asked to take it
	ActTell      Act = "tell"   // people are told; nothing else
	ActShadow    Act = "shadow" // it would have been taken
	ActHold      Act = "hold"   // nothing is done until more is known
)

// Decision is what was decided about a fault, also to do nothing, and why.
type Decision struct {
	Act Act `json:"act"`
	// Way is what was chosen, in words: "shop back to v1.2.2". Command is what a person types for it.
	Way     string `json:"way,omitempty"`
	Command string `json:"command,omitempty"`
	// Plan is the hash of the plan made for it.
	Plan string `json:"plan,omitempty"`
	// Because is one sentence that a person can check; Against says of each other way why it was not taken.
	Because string   `json:"because"`
	Against []string `json:"against,omitempty"`
	// Ways are all that were weighed, the preferred first.
	Ways []WeighedWay `json:"ways,omitempty"`
	// Certainty says how often the judge is wrong about what it found.
	Certainty string `json:"certainty,omitempty"`
	// Look is what to look at first at such a symptom, where a person must.
	Look []string `json:"look,omitempty"`
}

// WeighedWay is a way back that a decision weighed.
type WeighedWay struct {
	Way     string  `json:"way"`
	Command string  `json:"command,omitempty"` // what a person types for it
	Seconds float64 `json:"seconds"`           // how long it takes, as far as is known
	Loses   string  `json:"loses,omitempty"`   // "" for nothing
	Against string  `json:"against,omitempty"` // why it was not taken; "" where nothing speaks against it
}

// Cost is what a fault has cost. What is not known is zero, and Unknown says so.
type Cost struct {
	// Requests failed beyond those of the baseline; Users were harmed.
	Requests float64 `json:"requests,omitempty"`
	Users    float64 `json:"users,omitempty"`
	// Share of the requests or users of that time that were harmed, in percent.
	Share   float64 `json:"share_percent,omitempty"`
	Unknown string  `json:"unknown,omitempty"`
}

// Series is what a signal did in the time of an incident, for its graph.
type Series struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"` // "%", "s", "/s"
	Margin float64 `json:"margin,omitempty"`
	Points []Point `json:"points"`
}

// Point is one interval of a Series: both groups' values, and between which bounds the difference lies. Nil is unknown. Events of
// Chances are what the judge counts of the candidate: failures, requests that took longer than Bound, losses; 0 of 0 where it can't.
type Point struct {
	At        time.Time `json:"at"`
	Candidate *float64  `json:"candidate,omitempty"`
	Control   *float64  `json:"control,omitempty"`
	Low       *float64  `json:"low,omitempty"`
	High      *float64  `json:"high,omitempty"`
	Events    float64   `json:"events,omitempty"`
	Chances   float64   `json:"chances,omitempty"`
	Bound     float64   `json:"bound,omitempty"` // seconds
}

// Incident is what went wrong, what was decided and done, by whom, and what is left to do: the fold of its events.
type Incident struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	Addresses []string  `json:"addresses"`
	Severity  string    `json:"severity,omitempty"`
	Owner     string    `json:"owner,omitempty"`
	OpenedBy  string    `json:"opened_by"`
	BeganAt   time.Time `json:"began_at"`
	OpenedAt  time.Time `json:"opened_at"`
	// ResolvedAt is nil while it lasts.
	ResolvedAt *time.Time `json:"resolved_at,omitempty"`
	// EndedAt is when the harm ended, where that was before somebody said so.
	EndedAt *time.Time `json:"ended_at,omitempty"`
	Cause   *Cause     `json:"cause,omitempty"`
	// Blame says why that change is blamed, or why none is.
	Blame      string     `json:"blame,omitempty"`
	Decisions  []Decision `json:"decisions,omitempty"`
	Executions []string   `json:"executions,omitempty"`
	Cost       Cost       `json:"cost"`
	Series     []Series   `json:"series,omitempty"`
	// Logs are the last failures that the component wrote down; nil where they were not asked for.
	Logs     *FailureLog     `json:"logs,omitempty"`
	Tasks    []Task          `json:"tasks"`
	Timeline []TimelineEntry `json:"timeline"`
}

// Harm is how long the fault harmed: from its beginning to its end, or to now.
func (in Incident) Harm(now time.Time) time.Duration {
	if in.ResolvedAt != nil {
		now = *in.ResolvedAt
	}
	if in.EndedAt != nil {
		now = *in.EndedAt
	}
	return max(0, now.Sub(in.BeganAt))
}

// Overdue returns the tasks that should have been done by now.
func (in Incident) Overdue(now time.Time) []Task {
	var out []Task
	for _, t := range in.Tasks {
		if t.Overdue(now) {
			out = append(out, t)
		}
	}
	return out
}

// Left returns how many tasks are not done.
func (in Incident) Left() int {
	n := 0
	for _, t := range in.Tasks {
		if t.DoneAt == nil {
			n++
		}
	}
	return n
}

// Task is one thing to do after an incident (REQUIREMENTS R10).
type Task struct {
	Item string `json:"item"`
	// List is 1h, 24h or 7d: how long after the end it is due.
	List  string     `json:"list"`
	Owner string     `json:"owner,omitempty"`
	DueAt *time.Time `json:"due_at,omitempty"` // nil while the incident lasts
	// DoneAt is when By ticked it.
	DoneAt *time.Time `json:"done_at,omitempty"`
	By     string     `json:"by,omitempty"`
}

// Overdue reports whether the task should have been done by now.
func (t Task) Overdue(now time.Time) bool {
	return t.DoneAt == nil && t.DueAt != nil && now.After(*t.DueAt)
}

// TimelineEntry is one line of an incident's story.
type TimelineEntry struct {
	At   time.Time         `json:"at"`
	Kind IncidentEventKind `json:"kind"`
	By   string            `json:"by"`
	Text string            `json:"text"`
	// Execution is set on what an execution of the incident did.
	Execution string `json:"execution,omitempty"`
}
