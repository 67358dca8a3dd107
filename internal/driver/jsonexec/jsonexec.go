// Package jsonexec is the driver of the kind jsonexec: components that a command of the user knows how to observe and
// change. The command is asked one question a process, as JSON on its standard input, and answers as JSON on its
// standard output; docs/jsonexec.md is the protocol. A program need only answer observe, start and find: targets, the
// route and its undo are then made here, for a component that has one revision at a time.
//
// The program is not trusted to be well: its answers are bounded in time and size, decoded strictly, and cleaned of the
// secrets that it was given. What can't be told from a lost answer is unsure, never failed.
package jsonexec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	astern "github.com/astern-dev/astern"
)

// Kind is the kind of component that this driver knows.
const Kind = "jsonexec"

// verbSet is the one verb of the routes that are made here: make the revision of the argument "revision" current.
const verbSet = "set"

// Settings are the `with` of a component of the kind jsonexec.
type Settings struct {
	// Command is the program and its arguments, run in the folder of astern.yaml, without a shell.
	Command []string `json:"command" jsonschema:"minItems=1,description=program and arguments; run in the folder of astern.yaml without a shell; a program with a / is relative to that folder"`
	// Env maps names of environment variables to a text, or to {env: NAME} or {file: PATH} for a secret.
	Env map[string]any `json:"env,omitempty" jsonschema:"description=environment variables of the program: a text or a secret as {env: NAME} or {file: PATH}; besides them it gets PATH and HOME and LANG"`
	// Config is handed through to the program with each call.
	Config map[string]any `json:"config,omitempty" jsonschema:"description=anything; handed to the program with each call"`
	// Answers lists the calls that the program answers beyond observe, start and find.
	Answers []string `json:"answers,omitempty" jsonschema:"description=calls that the program answers beyond observe and start and find: targets; route; undo; before; poll"`
	// Timeout bounds each call; "" means 60s.
	Timeout string `json:"timeout,omitempty" jsonschema:"pattern=^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$,description=bound of one call (default 60s)"`
	// StepTimeout bounds a step with all its calls; "" means 10m.
	StepTimeout string `json:"step_timeout,omitempty" jsonschema:"pattern=^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$,description=bound of one step from its start (default 10m)"`
}

// Defaults of the settings that may be left out.
const (
	defaultTimeout     = 60 * time.Second
	defaultStepTimeout = 10 * time.Minute
)

// optionalCalls are those that Settings.Answers may list.
var optionalCalls = []string{"targets", "route", "undo", "before", "poll"}

// Verbs describes the driver's verbs. Those of a program's own routes are the program's to declare; the row "any"
// stands for them.
var Verbs = []astern.VerbInfo{
	{Verb: verbSet, What: "has the program make a revision current", Undo: astern.UndoInverse, Exclusion: astern.Window, Found: "state"},
	{Verb: "any", What: "whatever verb the program's own route declares", Undo: astern.UndoInverse, Exclusion: astern.Window, Found: "state"},
}

// New returns the driver. Component finds a declared component by its address; it is asked by the driver's actor and must
// be safe for concurrent use.
func New(component func(address string) (astern.Component, bool)) astern.Driver {
	d := driver{component}
	return astern.Driver{Kind: Kind, Layer: astern.LayerApplication, Settings: Settings{}, Verbs: Verbs,
		Observer: d, Router: d, Actor: d, Validator: d}
}

// driver has every ability of the kind.
type driver struct {
	component func(address string) (astern.Component, bool)
}

// program is the settings of one component, ready for use.
type program struct {
	component   astern.Component
	settings    Settings
	name        string // as written in the settings; for messages
	timeout     time.Duration
	stepTimeout time.Duration
}

// open reads a component's settings. Its errors are Invalid.
func open(c astern.Component) (program, error) {
	s, problems := decode(c.Settings)
	if len(problems) > 0 {
		p := problems[0]
		return program{}, astern.Errorf(astern.Invalid, "settings of %s: with/%s: %s", c.Address(), p.Path, p.What).WithHint("%s", p.Hint)
	}
	timeout, _ := duration(s.Timeout, defaultTimeout) // decode has reported errors of both
	step, _ := duration(s.StepTimeout, defaultStepTimeout)
	return program{component: c, settings: s, name: s.Command[0], timeout: timeout, stepTimeout: step}, nil
}

// answers reports whether the program answers an optional call.
func (p program) answers(call string) bool { return slices.Contains(p.settings.Answers, call) }

// digest identifies what a step of the program means: the command, its environment and its configuration. Time-outs may
// change between a plan and its execution; these may not.
func (p program) digest() string {
	s := p.settings
	s.Timeout, s.StepTimeout = "", ""
	b, _ := json.Marshal(s) // it came from JSON
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// argSettings is the argument that carries the digest from the plan to the execution.
const argSettings = "settings_sha256"

// sealed returns the step with the digest of the settings among its arguments.
func (p program) sealed(s astern.Step) astern.Step {
	args := maps.Clone(s.Args)
	if args == nil {
		args = map[string]astern.Arg{}
	}
	args[argSettings] = astern.Text(p.digest())
	s.Args = args
	return s
}

// command returns what a person types instead of a step: the call start, on the program's standard input.
func (p program) command(verb, member string, args map[string]astern.Arg) string {
	text, _ := json.Marshal(request{Astern: version, Call: "start", Component: p.about(),
		Step: &action{Verb: verb, Member: member, Args: args, Token: "by-hand"}}) // literals and JSON settings always encode
	words := make([]string, len(p.settings.Command))
	for i, w := range p.settings.Command {
		words[i] = quote(w)
	}
	return "printf '%s' " + quote(string(text)) + " | " + strings.Join(words, " ")
}

// quote writes a word for a POSIX shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
