package astern

import (
	"context"
	"time"
)

// Driver is what knows one kind of component: a value made of abilities. A nil ability is one that the kind does not
// have; Observer, Router and Actor are required. Wrappers (rate limit, trace, fault) wrap one ability each.
type Driver struct {
	Kind string
	// Layer orders components that do not depend on each other.
	Layer Layer
	// Settings is a zero value of the struct that the component's `with` is decoded into; its JSON Schema is part of
	// that of astern.yaml.
	Settings any
	// Verbs lists what the driver's steps can do.
	Verbs []VerbInfo

	Observer Observer
	Router   Router
	Actor    Actor
	// Stopper ends steps that run; a kind whose steps are stoppable has it.
	Stopper    Stopper
	Validator  Validator
	Occupier   Occupier
	Switcher   Switcher
	Picker     Picker
	Discoverer Discoverer
	// Pager discovers as well, by pages: a kind that may have thousands has both.
	Pager     Pager
	Claimer   Claimer
	Permitter Permitter
}

// Layer orders components when a system goes back: flags first, DNS last; the reverse going forward.
type Layer int

// The layers.
const (
	LayerFlag Layer = iota
	LayerApplication
	LayerSchema
	LayerData
	LayerDNS
)

// Exclusion says how a verb keeps an older plan from overwriting a newer one.
type Exclusion string

// The exclusions. Conditional means that the very call which changes the world is refused when somebody else was
// there; window means that a small time remains between the question and the call.
const (
	Conditional Exclusion = "conditional"
	Window      Exclusion = "window"
)

// VerbInfo describes one verb of a driver's steps.
type VerbInfo struct {
	Verb      string    `json:"verb"`
	What      string    `json:"what"`
	Undo      Undo      `json:"undo"`
	Exclusion Exclusion `json:"exclusion"`
	// Found says how its effect is found after a crash: token, name, state or none.
	Found string `json:"found"`
}

// Scope limits an observation to the paths named; no paths means everything. A path that was asked for and is absent
// from the answer does not exist.
type Scope struct {
	Paths []string
	// Objects are names of single objects (files of a site), whose version in each release is shown as well, at
	// object/REVISION/NAME, by kinds that have a Picker.
	Objects []string
	// Full asks that everything is read again. Without it, what was read before may stand for what has not changed since
	// by all that can be told without reading it; the value then carries the time at which it was read.
	Full bool
	// Proposed holds rules that are not in force but are to be judged as if they were, by the place that they are for
	// (s3://BUCKET: lifecycle rules), each as the cloud's own command line takes it.
	Proposed map[string]string
}

// Observer reads a component's state and never changes anything.
type Observer interface {
	// Observe returns what can be seen within the scope. What can't be read is a value that is unknown, with the reason;
	// an error means that nothing could be asked at all (an Invalid declaration). It stops when ctx ends and is safe for
	// concurrent use.
	Observe(ctx context.Context, c Component, scope Scope) (State, error)
}

// Options are the choices of an intent that shape a route.
type Options struct {
	Verb        Verb
	Percent     int   // share of members in the first stage, 1 to 100
	BakeSeconds int64 // after the first stage, when Percent < 100
	// GateSeconds is how long a gate may go without a round in which all passed.
	GateSeconds int64
	Now         time.Time
	// Sketch asks only how long the way takes and what it loses: stages, steps and refusals are the same, but the steps
	// may lack arguments and what a person would type, and the route its facts. Thousands of ways are judged like that.
	Sketch bool
	// Flag is the change of a flag that a VerbOff asks for; nil otherwise.
	Flag *FlagChange
	// Before and After are how many components of the plan move before and after this one at the place that its state names at
	// turn, where one is moved at a time: it must leave the place free for those after it.
	Before, After int
	// Object is the one object that a rollback is about, with the revision chosen; nil when it is about the whole.
	Object *ObjectChange
}

// Router knows the ways between a component's states. It is pure: no I/O, no clock; several goroutines may call it at once.
type Router interface {
	// Targets returns the candidates to go back to, with the evidence for each; readiness, estimate and doors are
	// judged by others.
	Targets(c Component, s State, h History) []Target
	// Route returns the stages that take the component from the state to the target. It returns a Refused error with
	// the reason when there is no way.
	Route(c Component, s State, t Target, o Options) (Route, error)
	// Undo returns the steps that reverse a step that was done, from its before-image and outputs. A step that needs
	// none returns none.
	Undo(c Component, call Call, outputs map[string]Arg) ([]Step, error)
}

// Route is a way from a state to a target. Ids in it are local: the planner prefixes them and their references. Facts
// name the local ids of their steps. Gate checks are added by the planner.
type Route struct {
	From   string // the revision now; several joined by "+"
	Stages []Stage
	Facts  []Fact
	Fleet  *Fleet // nil when the component has no members
	Loss   []Loss
	Notes  []string
}

// Actor changes the world, one step at a time. All methods are safe for concurrent use and stop when ctx ends. It never
// sleeps for long: waiting, backoff and time-outs are the engine's.
type Actor interface {
	// Before reads what finding and undoing the step will need. It changes nothing.
	Before(ctx context.Context, call Call) (Image, error)
	// Start begins the step. A lost reply is an Op that is unsure, never a failed one.
	Start(ctx context.Context, call Call) Op
	// Find tells whether the effect of the call is in the world. It changes nothing and may be asked again.
	Find(ctx context.Context, call Call) Found
	// Poll asks how far an operation is. It changes nothing and may be asked again.
	Poll(ctx context.Context, call Call, op Op) Op
}

// Stopper ends a step of the kind's that is stoppable and runs, because a person or a check says stop. Whoever said so stands in
// the journal before; the call and the operation name what is ended, so nothing else can be.
type Stopper interface {
	// Stop ends the operation. It answers failed when the step has had no effect in the end; running while it is being ended,
	// or can't be, with the reason in its progress; done when it is too late, and the step is done. It may be asked again.
	Stop(ctx context.Context, call Call, op Op) Op
}

// Validator judges settings beyond what their schema says.
type Validator interface {
	// Validate returns every problem of the component's settings. Path is below `with`, segments joined by "/".
	Validate(c Component) []Problem
}

// Occupier tells what a component must not share with one of another environment.
type Occupier interface {
	// Occupies names the places of the component's settings, in words that are equal where the places are.
	Occupies(c Component) []string
}

// Problem is one thing wrong with a declaration.
type Problem struct {
	Path string // "instances/0/host"
	What string
	Hint string
}

// Discoverer finds components of its kind.
type Discoverer interface {
	// Discover looks at the places named and returns declarations of what is there, with what was guessed.
	Discover(ctx context.Context, places []string) ([]Discovered, error)
}

// Pager finds components of its kind by pages, so that a long search can be shown, interrupted and continued.
type Pager interface {
	// DiscoverPage looks at one page of a place; "" is its first. Next is the one after it, "" at the end and for a place that
	// is nothing to this kind. An Invalid error for a page that is not the first says that the cloud does not know it any more.
	DiscoverPage(ctx context.Context, place, page string) (found []Discovered, next string, err error)
}

// Discovered is a component that was found, as settings for astern.yaml.
type Discovered struct {
	Name     string
	Kind     string
	Settings any
	// Guessed lists what a person should look at.
	Guessed []string
}
