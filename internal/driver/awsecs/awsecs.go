// Package awsecs is the driver of kind aws.ecs: a service of Amazon ECS, which runs tasks of one revision of a task
// definition and replaces them, a few at a time, when it is pointed to another.
//
// A revision is a task definition by family and number, as the AWS CLI takes it: api:41. What it would run is its
// description, which never changes, and its images by digest: the digests that ECS resolved when the service last ran it.
// Going back is UpdateService, and it is over when the record of that deployment says SUCCESSFUL: "services-stable" is true
// again, too, after the circuit breaker took the deployment back.
//
// With a share of less than 100 % a second, temporary service of the target is put beside the first, behind the same load
// balancer, and deleted at the end (docs/decisions/0020 says why). A revision that was set INACTIVE, or whose tag has moved
// to another image, is registered again from its description with its images by digest; the copy carries the revision's
// name as a tag and is shown under that name.
//
// Reading order: settings.go (what is declared), observe.go, service.go, definitions.go, images.go, lifecycle.go, needs.go,
// failures.go (what is seen), targets.go (what speaks for and against a revision), route.go (the ways), act.go, update.go,
// share.go, register.go (going them).
package awsecs

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Kind is the driver's kind.
const Kind = "aws.ecs"

// The verbs of the driver's steps.
const (
	verbUpdate   = "update"
	verbForce    = "force"
	verbRegister = "register"
	verbShare    = "share"
	verbEndShare = "end-share"
)

// driver is what the abilities share.
type driver struct {
	accounts *awsapi.Accounts
	lookup   func(address string) (astern.Component, bool)
	now      func() time.Time
}

// New returns the driver. Lookup finds a component by its address, for acting. The caller closes the accounts.
func New(accounts *awsapi.Accounts, lookup func(address string) (astern.Component, bool)) astern.Driver {
	d := &driver{accounts: accounts, lookup: lookup, now: time.Now}
	pages := awsapi.NewPager(accounts, page)
	return astern.Driver{
		Kind:     Kind,
		Layer:    astern.LayerApplication,
		Settings: Settings{},
		Verbs: []astern.VerbInfo{
			{Verb: verbUpdate, What: "points the service to another task definition and waits until its deployment is successful",
				Undo: astern.UndoInverse, Exclusion: astern.Window, Found: "state"},
			{Verb: verbForce, What: "replaces the service's tasks by new ones of the same task definition",
				Undo: astern.UndoNone, Exclusion: astern.Window, Found: "state"},
			{Verb: verbRegister, What: "registers a task definition again from its description, its images by digest",
				Undo: astern.UndoNone, Exclusion: astern.Window, Found: "name"},
			{Verb: verbShare, What: "puts a temporary service of another task definition beside the service",
				Undo: astern.UndoInverse, Exclusion: astern.Conditional, Found: "name"},
			{Verb: verbEndShare, What: "deletes the temporary service beside the service",
				Undo: astern.UndoNone, Exclusion: astern.Window, Found: "state"},
		},
		Observer:   d,
		Router:     router{},
		Actor:      &actor{d},
		Validator:  validator{},
		Occupier:   validator{},
		Discoverer: pages,
		Pager:      pages,
		Permitter:  validator{},
	}
}

// cloud is where a component is, and the clients for asking there.
type cloud struct {
	place
	ecs    *ecs.Client
	config aws.Config
}

// open returns the clients for reading, or for a step: one attempt.
func (d *driver) open(ctx context.Context, p place, step bool) (cloud, error) {
	s, err := d.accounts.Session(ctx, p.Settings.Settings)
	if err != nil {
		return cloud{}, err
	}
	c := s.Read
	if step {
		c = s.Act
	}
	return cloud{place: p, ecs: ecs.NewFromConfig(c), config: c}, nil
}
