// Package awssecret is the driver of kind aws.secret: a secret of Secrets Manager, whose label AWSCURRENT is moved back to an
// earlier version.
//
// A revision is a version of the secret, by its VersionId. Its value is never asked for: not here, and by no step. Whether an
// earlier credential still opens its door is for a check of the user (tries), which is made before the label is moved and
// gets the VersionId as {revision}, in an argument or its environment.
//
// Reading order: settings.go (what is declared), observe.go (what is seen), route.go (targets and ways), act.go (going them).
package awssecret

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Kind is the driver's kind.
const Kind = "aws.secret"

// verbMove is the verb of the driver's steps.
const verbMove = "move"

// The labels that Secrets Manager itself attaches.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html#term_version
const (
	labelCurrent  = "AWSCURRENT"
	labelPrevious = "AWSPREVIOUS"
	labelPending  = "AWSPENDING"
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
			{Verb: verbMove, What: "moves the label AWSCURRENT to another version, and reads it back",
				Undo: astern.UndoInverse, Exclusion: astern.Window, Found: "state"},
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

// secret is what was seen of a secret: everything but its value.
type secret struct {
	arn    string
	out    *secretsmanager.DescribeSecretOutput
	stages map[string][]string // version -> labels
}

// ask describes the secret. It returns a NotFound error when there is none.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
func ask(ctx context.Context, c *secretsmanager.Client, p place) (secret, error) {
	out, err := c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &p.Secret})
	if err != nil {
		return secret{}, awsapi.Explain(err, "looking at the secret "+p.Secret, p.Secret)
	}
	s := secret{out: out, stages: out.VersionIdsToStages}
	if out.ARN != nil {
		s.arn = *out.ARN
	}
	return s, nil
}

// changed is when anything of the secret was changed last, its labels included; "" where that is not known.
func (s secret) changed() string {
	if s.out.LastChangedDate == nil {
		return ""
	}
	return s.out.LastChangedDate.UTC().Format(time.RFC3339Nano)
}

// holder returns the version that has the label, "" when none has.
func (s secret) holder(label string) string {
	for version, labels := range s.stages {
		for _, l := range labels {
			if l == label {
				return version
			}
		}
	}
	return ""
}

// rotating returns the version that a rotation is making, "" when none is under way.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot_rotation.html
func (s secret) rotating() string {
	// A version that was current is none that a rotation is making, also where it has kept the label.
	if pending := s.holder(labelPending); pending != s.holder(labelCurrent) && pending != s.holder(labelPrevious) {
		return pending
	}
	return ""
}
