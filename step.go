package astern

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Step is one effect of a plan, as data.
type Step struct {
	// ID is STAGE.NAME ("2.swap"), stable and unique in the plan; in a fleet's stage each lane adds @MEMBER.
	ID      string         `json:"id"`
	Address string         `json:"address"`
	Kind    string         `json:"kind"` // the driver that acts
	Verb    string         `json:"verb"`
	Title   string         `json:"title"` // what a person reads; may hold {member}
	Args    map[string]Arg `json:"args,omitempty"`
	// Sets are the paths of the component's state that the step changes; later facts expect that.
	Sets []Set `json:"sets,omitempty"`
	// Guards are ids of steps that must be done, and not skipped, before this one may run.
	Guards []string `json:"guards,omitempty"`
	// Undo is inverse, none needed, or impossible (a point of no return).
	Undo        Undo   `json:"undo"`
	UndoBecause string `json:"undo_because,omitempty"`
	// Outputs maps each output's name to its type: string, bool, int or list. No output is a secret.
	Outputs map[string]string `json:"outputs,omitempty"`
	// Limits maps outputs to the one value they may have (a driver that means "at least" answers a boolean output); outside it the execution holds and asks.
	Limits   map[string]string `json:"limits,omitempty"`
	Estimate Estimate          `json:"estimate"`
	// Command is what a person would type instead, for a POSIX shell; may hold {member}.
	Command string `json:"command"`
	// Commands holds it for the members for which Command is not what they need.
	Commands map[string]string `json:"commands,omitempty"`
	// Attempts is how often a transient failure without effect is tried, at least 1.
	Attempts int `json:"attempts"`
	// TimeoutSeconds bounds the whole step from its start.
	TimeoutSeconds int64 `json:"timeout_seconds"`
	// SettleSeconds is how long after a doubt began an answer "not found" counts as unknown (eventual consistency).
	SettleSeconds int64 `json:"settle_seconds,omitempty"`
	// HoldSeconds is how long the effect may stay unknown before a person is asked.
	HoldSeconds int64 `json:"hold_seconds"`
	// Stoppable says that the driver can end the step while it runs, so that it has had no effect: what the cloud goes on with
	// by itself is stopped when the execution is paused or cancelled, or when a check of its stage's stop_when fails.
	Stoppable bool `json:"stoppable,omitempty"`
}

// CommandFor returns what a person would type for the member; member is "" outside a fleet.
func (s Step) CommandFor(member string) string {
	if c, ok := s.Commands[member]; ok {
		return c
	}
	return MemberPath(s.Command, member)
}

// Undo says whether a step can be reversed.
type Undo string

// The three undos.
const (
	UndoInverse    Undo = "inverse"
	UndoNone       Undo = "none needed"
	UndoImpossible Undo = "impossible"
)

// Set is a path of a component's state that a step changes, and to what.
type Set struct {
	// Address is the component whose state changes; "" means the step's own.
	Address string `json:"address,omitempty"`
	Path    string `json:"path"` // may hold {member}
	Value   Arg    `json:"value,omitzero"`
	// Absent is true when the step removes the path.
	Absent bool `json:"absent,omitempty"`
}

// Ref refers to an output of an earlier step. In, when set, is a text in which "{}" is replaced by the output.
type Ref struct {
	From   string `json:"from"`
	Output string `json:"output"`
	In     string `json:"in,omitempty"`
}

// Arg is an argument: a literal string, bool, int64 or list of strings, or a reference to an earlier step's output.
// In JSON an object is always a reference.
type Arg struct {
	Literal any
	Ref     *Ref
}

// Text makes a literal string argument.
func Text(s string) Arg { return Arg{Literal: s} }

// Int makes a literal integer argument.
func Int(n int64) Arg { return Arg{Literal: n} }

// Bool makes a literal boolean argument.
func Bool(b bool) Arg { return Arg{Literal: b} }

// List makes a literal list argument.
func List(s ...string) Arg { return Arg{Literal: s} }

// OutputOf makes an argument that refers to an earlier step's output.
func OutputOf(step, output string) Arg { return Arg{Ref: &Ref{From: step, Output: output}} }

// Type returns string, bool, int or list for a literal, "" for a reference or an empty Arg.
func (a Arg) Type() string {
	switch a.Literal.(type) {
	case string:
		return "string"
	case bool:
		return "bool"
	case int64:
		return "int"
	case []string:
		return "list"
	}
	return ""
}

// String returns a literal as text (lists as JSON), or "STEP.OUTPUT" for a reference.
func (a Arg) String() string {
	if a.Ref != nil {
		return a.Ref.From + "." + a.Ref.Output
	}
	if l, ok := a.Literal.([]string); ok {
		b, _ := json.Marshal(l) // a list of strings always encodes
		return string(b)
	}
	return fmt.Sprint(a.Literal)
}

// maxInt is the largest integer that canonical JSON holds exactly (RFC 8785: numbers are IEEE 754 doubles).
const maxInt = 1<<53 - 1

// IsZero reports whether the argument is neither a literal nor a reference.
func (a Arg) IsZero() bool { return a.Literal == nil && a.Ref == nil }

// MarshalJSON encodes the literal or the reference.
func (a Arg) MarshalJSON() ([]byte, error) {
	if a.Ref != nil {
		return json.Marshal(a.Ref)
	}
	if a.Type() == "" {
		return nil, fmt.Errorf("an argument is a string, a boolean, an integer, a list of strings or a reference, not %T", a.Literal)
	}
	if n, ok := a.Literal.(int64); ok && (n > maxInt || n < -maxInt) {
		return nil, fmt.Errorf("integer argument %d does not fit into canonical JSON", n)
	}
	return json.Marshal(a.Literal)
}

// UnmarshalJSON decodes a literal or a reference; anything else is refused.
func (a *Arg) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	*a = Arg{}
	if len(b) == 0 {
		return fmt.Errorf("an argument is missing")
	}
	var err error
	switch b[0] {
	case '{':
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err = d.Decode(&a.Ref); err == nil && (a.Ref.From == "" || a.Ref.Output == "") {
			err = fmt.Errorf(`a reference needs "from" and "output"`)
		}
	case '"':
		err = decodeInto[string](a, b)
	case 't', 'f':
		err = decodeInto[bool](a, b)
	case '[':
		err = decodeInto[[]string](a, b)
	case 'n':
		err = fmt.Errorf("an argument can't be null")
	default:
		if err = decodeInto[int64](a, b); err == nil && (a.Literal.(int64) > maxInt || a.Literal.(int64) < -maxInt) {
			err = fmt.Errorf("integer argument %s does not fit into canonical JSON", b)
		}
	}
	return err
}

func decodeInto[T any](a *Arg, b []byte) error {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	a.Literal = v
	return nil
}
