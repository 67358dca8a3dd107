// Package hostservice is the driver of kind host.service: processes on one or many hosts, here or over SSH, whose
// releases are folders and whose current release is a symbolic link.
//
//	ROOT/releases/v1.2.2/…            the releases
//	ROOT/current -> releases/v1.2.2   what runs; the link may be one for each instance
//	ROOT/.astern.lock                 who acts there or did last, with the fence: locked by the command that swaps
//	ROOT/.astern-history.jsonl        one line for each swap, from which a lost ledger is rebuilt
//	ROOT/.astern/INSTANCE.run, .out   the last command that was run for an instance, and what it printed
//
// Reading order: settings.go (what is declared), observe.go, look.go, folders.go and proof.go (what is seen), targets.go
// (what can be gone back to), route.go and lane.go (the way there), act.go, swap.go, restart.go, copy.go (going it), undo.go;
// claim.go keeps operators apart who have no state folder in common.
//
// Everything that changes a host is one of the fixed scripts in the folder scripts, run by sh with every value as an
// argument of its own, alike here and over SSH. Release folders are read by the scripts over SSH (scripted.go), and
// without any process here (native.go, hash.go), with the same answers.
package hostservice

import (
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// Kind is the driver's kind.
const Kind = "host.service"

// The verbs of the driver's steps.
const (
	verbDrain   = "drain"
	verbSwap    = "swap"
	verbRestart = "restart"
	verbUndrain = "undrain"
	verbCopy    = "copy"
)

// Machines gives the machine of a declared host; relative files of the declaration are below folder.
type Machines interface {
	Machine(h astern.Host, folder string) (host.Machine, error)
}

// driver is what the abilities share.
type driver struct {
	machines Machines
	lookup   func(address string) (astern.Component, bool)
	proofs   Proofs
	now      func() time.Time
}

// New returns the driver. Machines are where its components live; lookup finds a component by its address, for acting
// on its hosts. The caller closes the machines.
func New(machines Machines, lookup func(address string) (astern.Component, bool)) astern.Driver {
	return NewKeeping(machines, lookup, nil)
}

// NewKeeping returns the driver that keeps, in proofs, what it read of release folders; proofs may be nil.
func NewKeeping(machines Machines, lookup func(address string) (astern.Component, bool), proofs Proofs) astern.Driver {
	return build(&driver{machines: machines, lookup: lookup, proofs: proofs, now: time.Now})
}

func build(d *driver) astern.Driver {
	return astern.Driver{
		Kind:     Kind,
		Layer:    astern.LayerApplication,
		Settings: Settings{},
		Verbs: []astern.VerbInfo{
			{Verb: verbDrain, What: "takes an instance out of traffic, by the declared command",
				Undo: astern.UndoInverse, Exclusion: astern.Window, Found: "token"},
			{Verb: verbSwap, What: "points the link to a release, atomically",
				Undo: astern.UndoInverse, Exclusion: astern.Conditional, Found: "state"},
			{Verb: verbRestart, What: "restarts an instance and sees that its new process lives",
				Undo: astern.UndoNone, Exclusion: astern.Window, Found: "state"},
			{Verb: verbUndrain, What: "puts an instance back into traffic, by the declared command",
				Undo: astern.UndoNone, Exclusion: astern.Window, Found: "token"},
			{Verb: verbCopy, What: "copies a release from this machine to a host",
				Undo: astern.UndoNone, Exclusion: astern.Conditional, Found: "name"},
		},
		Observer:   d,
		Router:     router{&resolved{}},
		Actor:      &actor{d},
		Validator:  validator{},
		Occupier:   validator{},
		Discoverer: discoverer{},
		Claimer:    d,
	}
}

// machine returns the component's host of that name.
func (d *driver) machine(c astern.Component, name string) (host.Machine, error) {
	if name == host.Local {
		return d.machines.Machine(astern.Host{Name: host.Local}, c.Folder)
	}
	h, ok := c.Host(name)
	if !ok {
		return nil, astern.Errorf(astern.NotFound, "%s has no host %s", c.Address(), name).
			WithHint("declare it below hosts of the environment in astern.yaml")
	}
	return d.machines.Machine(h, c.Folder)
}
