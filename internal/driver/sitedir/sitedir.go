// Package sitedir is the driver of kind site.dir: a static site in a folder, here or over SSH, that any web server serves.
//
//	ROOT/releases/v1.2.2/…              the releases as they were built; astern never changes one
//	ROOT/manifests/v1.2.2.json          what a release holds: path, size and SHA-256 of each file
//	ROOT/served/v1.2.2.3f2a51c07d9e/…   what is served: a copy of the release, and what else was served before
//	ROOT/current -> served/…            where the web server looks; a deployment may point it to a release as well
//	ROOT/.astern.lock                   who acts there or did last, with the fence: locked by the command that switches
//
// A folder that is synchronized with deletion breaks whoever has a page open: the old page asks for scripts and pictures
// that are gone. So what is served is a folder of its own for each switch: all files of the release, and of what was served
// until then the files at paths which the release does not have. It is filled and compared beside what is served, and then
// one link is renamed: everybody sees all of it or nothing. What is left of earlier releases is taken away later, by a
// redeployment of what runs (verb prune). Copies and no hard links, so that whoever writes into what is served spoils no
// release: that is the way back.
//
// One file goes back to an earlier release as a release of its own, BASE-oHASH: the present one with that file.
//
// What the web server says of a file's type is its own matter, so a manifest does not hold it; how it is cached is proven
// over HTTP where a url is declared.
//
// Reading order: settings.go (what is declared), manifest.go (what a release is), look.go and observe.go (what is seen),
// targets.go and route.go (the ways), act.go, fill.go and prove.go (going them), discover.go.
package sitedir

import (
	"net/http"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// Kind is the driver's kind.
const Kind = "site.dir"

// The verbs of the driver's steps.
const (
	verbAdopt   = "adopt"
	verbCompose = "compose"
	verbPut     = "put"
	verbSwitch  = "switch"
	verbProve   = "prove"
	verbPrune   = "prune"
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
		Layer:    astern.LayerApplication,
		Settings: Settings{},
		Verbs: []astern.VerbInfo{
			{Verb: verbAdopt, What: "writes down what a release holds: path, size and SHA-256 of each file",
				Undo: astern.UndoNone, Exclusion: astern.Conditional, Found: "name"},
			{Verb: verbCompose, What: "makes a release of another one with a single file of a third",
				Undo: astern.UndoNone, Exclusion: astern.Conditional, Found: "name"},
			{Verb: verbPut, What: "puts together what will be served beside what is served, and compares every file",
				Undo: astern.UndoNone, Exclusion: astern.Conditional, Found: "name"},
			{Verb: verbSwitch, What: "points the link to what will be served, atomically",
				Undo: astern.UndoInverse, Exclusion: astern.Conditional, Found: "state"},
			{Verb: verbProve, What: "asks the site for its entry points and compares content and cache header",
				Undo: astern.UndoNone, Exclusion: astern.Window, Found: "state"},
			{Verb: verbPrune, What: "removes what was served before the last switch, which nobody is served any more",
				Undo: astern.UndoNone, Exclusion: astern.Conditional, Found: "state"},
		},
		Observer:   d,
		Router:     router{},
		Picker:     router{},
		Actor:      &actor{d},
		Validator:  validator{},
		Occupier:   validator{},
		Discoverer: discoverer{},
		Claimer:    host.OnePlace(d.lock),
	}
}
