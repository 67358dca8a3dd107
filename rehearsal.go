package astern

import "time"

// Rehearsal is what the policy would do about an incident at a moment: who is called when, who answers, and what happens
// when nobody does.
type Rehearsal struct {
	System      string    `json:"system"`
	Environment string    `json:"environment"`
	Component   string    `json:"component,omitempty"`
	Severity    string    `json:"severity"`
	Means       string    `json:"means,omitempty"`
	At          time.Time `json:"at"`
	Asleep      []string  `json:"asleep"`
	Loss        []Loss    `json:"loss"`
	Mode        Mode      `json:"mode"`
	ModeBecause string    `json:"mode_because"`
	// Demands are whose approvals are needed, in words.
	Demands []string `json:"demands"`
	// Freezes are those that hold at the moment.
	Freezes []FreezeNow `json:"freezes"`
	Events  []Turn      `json:"events"`
	// GoesSeconds is after how long the plan can be applied with what people said; nil when that never happens.
	GoesSeconds *int64 `json:"goes_seconds,omitempty"`
	// NobodySeconds is after how long nobody is left to call; nil when somebody sufficed before.
	NobodySeconds *int64 `json:"nobody_seconds,omitempty"`
	// ByItself is true when astern acts without a person, at once or when nobody is left.
	ByItself bool   `json:"by_itself"`
	Outcome  string `json:"outcome"` // the end, in a sentence
	// BreakGlass are those who are awake and may go over the policy's head.
	BreakGlass []string `json:"break_glass"`
}

// FreezeNow is a freeze that holds at a moment.
type FreezeNow struct {
	Name    string    `json:"name"`
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	Zone    string    `json:"zone"`
	Because string    `json:"because,omitempty"`
	// Pierced is true when the severity may be answered all the same; Why says it in words.
	Pierced bool   `json:"pierced"`
	Why     string `json:"why"`
}

// Turn is one line of a rehearsal.
type Turn struct {
	AfterSeconds int64    `json:"after_seconds"`
	Kind         TurnKind `json:"kind"`
	Role         string   `json:"role,omitempty"`
	Contact      string   `json:"contact,omitempty"`
	// People are those that it is about, in order.
	People []Called `json:"people,omitempty"`
	Text   string   `json:"text"`
}

// TurnKind is what happens at a turn.
type TurnKind string

// The turns of a rehearsal.
const (
	TurnNoticed TurnKind = "noticed" // what astern does at once
	TurnCalled  TurnKind = "called"  // a role is called
	TurnLate    TurnKind = "late"    // the response time is over
	TurnGoes    TurnKind = "goes"    // the plan can be applied
	TurnNobody  TurnKind = "nobody"  // nobody is left
	TurnActs    TurnKind = "acts"    // astern acts by itself
)

// Called is a person who is called.
type Called struct {
	Name    string `json:"name"`
	Contact string `json:"contact,omitempty"`
	Asleep  bool   `json:"asleep,omitempty"`
	// May says what the person's approval is good for, in words.
	May string `json:"may,omitempty"`
}
