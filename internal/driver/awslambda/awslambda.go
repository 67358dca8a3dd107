// Package awslambda is the driver of kind aws.lambda: a function whose callers use an alias, which is moved between its
// published versions.
//
// A revision is a published version, by its number; or by its description, where that can be the name of a revision and no
// other version has the same, so that the names of a build system can be used. A version never changes: going back to one is
// moving the alias, in one call that the cloud refuses when somebody else was there since (RevisionId). With a share of less
// than 100 % the alias first sends that share of its calls to the target, and is then moved whole.
//
// A version that was deleted comes back from its archive in S3, where one is declared: the archive's very object version
// becomes the code of the function, is published under the name of the revision, and the alias is moved to that.
//
// Reading order: settings.go (what is declared), observe.go and versions.go (what is seen), targets.go (what speaks for and
// against a version), route.go (the ways), act.go, alias.go and code.go (going them).
package awslambda

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Kind is the driver's kind.
const Kind = "aws.lambda"

// The verbs of the driver's steps.
const (
	verbShift   = "shift"
	verbMove    = "move"
	verbCode    = "update-code"
	verbPublish = "publish"
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
			{Verb: verbShift, What: "sends a share of the alias' calls to another version",
				Undo: astern.UndoInverse, Exclusion: astern.Conditional, Found: "state"},
			{Verb: verbMove, What: "moves the alias to another version, and reads it back",
				Undo: astern.UndoInverse, Exclusion: astern.Conditional, Found: "state"},
			{Verb: verbCode, What: "puts the code of an archive in S3 into the function, which no alias serves yet",
				Undo: astern.UndoNone, Exclusion: astern.Conditional, Found: "state"},
			{Verb: verbPublish, What: "publishes the function's code as a new version",
				Undo: astern.UndoNone, Exclusion: astern.Conditional, Found: "state"},
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

// client returns Lambda's client for reading, or for a step: one attempt.
func (d *driver) client(ctx context.Context, p place, step bool) (*lambda.Client, aws.Config, error) {
	s, err := d.accounts.Session(ctx, p.Settings.Settings)
	if err != nil {
		return nil, aws.Config{}, err
	}
	c := s.Read
	if step {
		c = s.Act
	}
	return lambda.NewFromConfig(c), c, nil
}
