// Package awsappconfig is the driver of kind aws.appconfig: a configuration profile of AWS AppConfig as one environment has it,
// and the feature flags in it.
//
// A revision is a hosted version of the profile, by its number; or by its label, where that can be the name of a revision and
// no other version has the same. A version never changes. What the configuration says is never read where it is free-form, for
// it may hold secrets, and a digest of what has few values gives them away; of feature flags the names are shown, and which are on.
//
// There are two ways back. The last deployment of the environment can be taken back by the cloud itself (StopDeployment with
// AllowRevert): while it is under way, and for 72 hours after it was complete. That is preferred, because it reaches everybody at
// once, is bound to that very deployment, and goes ahead while alarms are going off, when every new deployment is rolled back:
// https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-deploying-reverting.html. Every other version is deployed
// again, and grows as the deployment strategy says. The step is done when clients get it, as the data plane answers.
//
// A deployment grows by itself, whatever becomes of who began it. So the step that begins it lasts until all of it has grown: it
// says how far it is, fails with the cloud's own words as soon as the cloud has taken it back, and is stopped (StopDeployment) when
// the execution is paused or cancelled or a check fails meanwhile. That is a failure without effect, for clients then have the
// version of before: there is nothing to undo, and going on deploys it anew. It is no further step of the plan, for that could
// only come when the one before is over, and no undo, for that is a plan of its own that somebody must ask for. While it bakes
// nothing moves any more: a pause or cancel leaves it, and undo takes it back.
//
// A flag is switched off by a new version that has it disabled and differs in nothing else.
//
// Reading order: settings.go (what is declared), account.go and observe.go (what is seen), targets.go (what speaks for and against a
// version), route.go (the ways), act.go, deploy.go and flags.go (going them).
package awsappconfig

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Kind is the driver's kind.
const Kind = "aws.appconfig"

// The verbs of the driver's steps.
const (
	verbRevert = "revert"
	verbCreate = "create-version"
	verbDeploy = "deploy"
	verbAwait  = "await"
	verbBake   = "bake"
)

// driver is what the abilities share.
type driver struct {
	accounts *awsapi.Accounts
	lookup   func(address string) (astern.Component, bool)
	now      func() time.Time
}

// New returns the driver. Lookup finds a component by its address, for acting. The caller closes the accounts.
//
// StartDeployment takes neither a condition nor a token of the client: it is refused while another deployment is under way, but
// not when one came and went since the last look. So that verb has a window; whoever came in between shows by the number of the
// deployment, and is told. StopDeployment names the deployment that it is for, and CreateHostedConfigurationVersion the version
// that was the latest: both are refused when somebody else was there.
func New(accounts *awsapi.Accounts, lookup func(address string) (astern.Component, bool)) astern.Driver {
	d := &driver{accounts: accounts, lookup: lookup, now: time.Now}
	pages := awsapi.NewPager(accounts, page)
	return astern.Driver{
		Kind:     Kind,
		Layer:    astern.LayerFlag,
		Settings: Settings{},
		Verbs: []astern.VerbInfo{
			{Verb: verbRevert, What: "takes the last deployment back: everybody gets the version of before at once",
				Undo: astern.UndoInverse, Exclusion: astern.Conditional, Found: "state"},
			{Verb: verbCreate, What: "adds a version in which one feature flag is off; nobody gets it yet",
				Undo: astern.UndoNone, Exclusion: astern.Conditional, Found: "name"},
			{Verb: verbDeploy, What: "deploys a version, until everybody is to get it; stopped on the way, clients have the version of before again",
				Undo: astern.UndoInverse, Exclusion: astern.Window, Found: "token"},
			{Verb: verbAwait, What: "waits until clients get the version, as the data plane answers",
				Undo: astern.UndoNone, Exclusion: astern.Window, Found: "state"},
			{Verb: verbBake, What: "waits until alarms can't take the deployment back any more",
				Undo: astern.UndoNone, Exclusion: astern.Window, Found: "state"},
		},
		Observer:   d,
		Router:     router{},
		Switcher:   router{},
		Actor:      &actor{d},
		Stopper:    &actor{d},
		Validator:  validator{},
		Occupier:   validator{},
		Discoverer: pages,
		Pager:      pages,
		Permitter:  validator{},
	}
}

// client returns AppConfig's client for reading, or for a step: one attempt.
func (d *driver) client(ctx context.Context, p place, step bool) (*appconfig.Client, aws.Config, error) {
	s, err := d.accounts.Session(ctx, p.Settings.Settings)
	if err != nil {
		return nil, aws.Config{}, err
	}
	c := s.Read
	if step {
		c = s.Act
	}
	return appconfig.NewFromConfig(c), c, nil
}
