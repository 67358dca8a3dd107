// Package flags is the driver of kind flags: a file of feature flags in flagd's format, here or over SSH.
//
//	FILE                       the flags, as flagd and its providers read them
//	FILE.astern/HASH.json      every state of the file that astern met when it changed it, by its SHA-256
//	FILE.astern/lock           who acts there or did last, with the fence: locked by the command that changes the file
//
// A revision is a state of the whole file: the first twelve digits of its hash. A flag is switched off by changing
// nothing but the value that says so; all other bytes stay, and the state before is kept, so the way back is the same
// file again.
//
// Off everywhere is `"state": "DISABLED"`: one word changes, targeting and variants stay for the way back, and which
// variant means off need not be known. flagd then answers reason DISABLED without a value, older ones the error
// FLAG_DISABLED (core/pkg/evaluator/json.go and core/pkg/service/ofrep/models.go of github.com/open-feature/flagd), and
// either way the application takes the default in its own code, as it does when flagd is gone. Where that default is not
// what is wanted, or the flag is one that switches something off by being on, a variant is served to everybody instead.
//
// Reading order: settings.go (what is declared), document.go, schema.go and rules.go (what a flag file is), edit.go and branch.go
// (how one is changed), observe.go (what is seen), route.go (the ways), act.go (going them), serve.go (what flagd answers).
package flags

import (
	"net/http"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// Kind is the driver's kind.
const Kind = "flags"

// The verbs of the driver's steps.
const (
	verbChange = "change"
	verbPut    = "put"
	verbAwait  = "await"
)

// Machines gives the machine of a declared host; relative files of the declaration are below folder.
type Machines interface {
	Machine(h astern.Host, folder string) (host.Machine, error)
}

// driver is what the abilities share.
type driver struct {
	machines Machines
	lookup   func(address string) (astern.Component, bool)
	now      func() time.Time
	client   *http.Client
}

// New returns the driver. Machines are where its components live; lookup finds a component by its address, for acting.
// The caller closes the machines.
func New(machines Machines, lookup func(address string) (astern.Component, bool)) astern.Driver {
	d := &driver{machines: machines, lookup: lookup, now: time.Now, client: newClient()}
	return astern.Driver{
		Kind:     Kind,
		Layer:    astern.LayerFlag,
		Settings: Settings{},
		Verbs: []astern.VerbInfo{
			{Verb: verbChange, What: "changes one flag of the file, atomically; all other bytes stay",
				Undo: astern.UndoInverse, Exclusion: astern.Conditional, Found: "state"},
			{Verb: verbPut, What: "puts back an earlier state of the file, atomically",
				Undo: astern.UndoInverse, Exclusion: astern.Conditional, Found: "state"},
			{Verb: verbAwait, What: "waits until flagd answers as the file says",
				Undo: astern.UndoNone, Exclusion: astern.Window, Found: "state"},
		},
		Observer:  d,
		Router:    router{},
		Switcher:  router{},
		Actor:     &actor{d},
		Validator: validator{},
		Occupier:  validator{},
		Claimer:   host.OnePlace(d.lock),
	}
}
