// Package app puts astern together: configuration, drivers, ledger, planner and engine, on a store that each command
// hands in. Every front end calls it; it renders nothing.
package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/config"
	"github.com/astern-dev/astern/internal/driver/awsappconfig"
	"github.com/astern-dev/astern/internal/driver/awsecs"
	"github.com/astern-dev/astern/internal/driver/awslambda"
	"github.com/astern-dev/astern/internal/driver/awss3site"
	"github.com/astern-dev/astern/internal/driver/awssecret"
	"github.com/astern-dev/astern/internal/driver/awsssm"
	"github.com/astern-dev/astern/internal/driver/flags"
	"github.com/astern-dev/astern/internal/driver/hostservice"
	"github.com/astern-dev/astern/internal/driver/jsonexec"
	"github.com/astern-dev/astern/internal/driver/sitedir"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/ledger"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/proc"
)

// Plans keeps plans by their hash.
type Plans interface {
	PutPlan(ctx context.Context, hash string, doc []byte, at time.Time) error
	// Plan returns the plan whose hash begins with prefix, of at least 8 characters.
	Plan(ctx context.Context, prefix string) ([]byte, error)
	// Documents returns the stored plans, the newest first; RecentPlans those that were stored since a moment, by hash.
	Documents(ctx context.Context) ([][]byte, error)
	RecentPlans(ctx context.Context, since time.Time) (map[string][]byte, error)
}

// Executions keeps executions and their leases.
type Executions interface {
	CreateExecution(ctx context.Context, e astern.Execution, minFence int64) (made astern.Execution, created bool, err error)
	Take(ctx context.Context, id string, r astern.Runner, alive func(astern.Runner) bool, minFence int64, at time.Time) (fence int64, err error)
	Execution(ctx context.Context, id string) (astern.Execution, error)
	Executions(ctx context.Context, limit int, onlyOpen bool) ([]astern.Execution, error)
	Runner(ctx context.Context, id string) (r astern.Runner, ok bool, err error)
}

// Approvals keeps what people said of plans.
type Approvals interface {
	AddApproval(ctx context.Context, planHash, by, verdict, reason string, at time.Time) error
	Approvals(ctx context.Context, planHash string) ([]astern.Approval, error)
	// AddSigned and Signed keep those that carry a signature.
	AddSigned(ctx context.Context, a astern.Approval) error
	Signed(ctx context.Context, planHash string) ([]astern.Approval, error)
}

// Overrides keeps the plans that were applied over the policy's head.
type Overrides interface {
	AddOverride(ctx context.Context, o astern.Override) error
	Overrides(ctx context.Context) ([]astern.Override, error)
	AddReview(ctx context.Context, planHash, by, review string, at time.Time) error
}

// Journals keeps the records of executions.
type Journals interface {
	engine.Journal
	// ReadSome returns the first of the records that Read would, at most limit.
	ReadSome(ctx context.Context, execution string, after int64, limit int) ([]astern.Record, error)
}

// Store is the state of one system.
type Store interface {
	Plans
	Executions
	Approvals
	Incidents
	Overrides
	Notices
	Journals
	ledger.Events
	hostservice.Proofs
}

// App is one system with its store.
type App struct {
	System astern.System
	Store  Store
	Now    func() time.Time
	By     string // the person who asks
	Full   bool   // observe everything anew, without what was proven before
	// At is the time for which Check judges the ways back; zero is now.
	At     time.Time
	Runner astern.Runner
	// TakeOver goes on although another process or another state folder has not ended its execution; that one can't act
	// from then on.
	TakeOver bool
	// Clock is that of executions.
	Clock engine.Clock
	// Alive tells whether the process that carries an execution out may still live.
	Alive func(astern.Runner) bool

	// BreakGlass is the reason for which plans are applied over the policy's head; "" keeps to the policy.
	BreakGlass string
	// OnOverride is told of it before anything is done, loudly.
	OnOverride func(astern.Override)

	trials     *trials           // of revisions that checks judge
	carried    []astern.Approval // handed in with the plan, and not yet in the store
	seen       map[string]claims // by execution: what was seen when its plan's facts were read
	unreleased []string          // places that could not be told that an execution has ended
	drivers    []astern.Driver
	pool       *host.Pool
	accounts   *awsapi.Accounts
	post       *post
	log        Recorder                                                 // nil where nothing is audited
	decode     func(doc []byte) (p astern.Plan, hash string, err error) // in place of planfile.Decode, where a test has its reasons
}

// Drivers returns the drivers of every kind, given the machines and how a component is found by its address. Without
// them they only describe their kinds.
func Drivers(pool *host.Pool, lookup func(address string) (astern.Component, bool)) []astern.Driver {
	return drivers(pool, nil, lookup, nil)
}

func drivers(pool *host.Pool, accounts *awsapi.Accounts, lookup func(address string) (astern.Component, bool), known hostservice.Proofs) []astern.Driver {
	return []astern.Driver{hostservice.NewKeeping(pool, lookup, known), jsonexec.New(lookup), flags.New(pool, lookup),
		awslambda.New(accounts, lookup), awssecret.New(accounts, lookup), awsssm.New(accounts, lookup),
		sitedir.New(pool, lookup), awss3site.New(accounts, lookup), awsappconfig.New(accounts, lookup),
		awsecs.New(accounts, lookup)}
}

// proofs are those of the App's store, which is set after the drivers are made; without one there are none.
type proofs struct{ *App }

// Proof returns the proof that was kept last under the key.
func (p proofs) Proof(ctx context.Context, key string) ([]byte, bool, error) {
	if p.Store == nil {
		return nil, false, nil
	}
	return p.Store.Proof(ctx, key)
}

// KeepProof keeps a proof.
func (p proofs) KeepProof(ctx context.Context, key string, proof []byte, at time.Time) error {
	if p.Store == nil {
		return nil
	}
	return p.Store.KeepProof(ctx, key, proof, at)
}

// Open reads the configuration at path. The store may be nil for what needs none. Close the App after use.
func Open(path string, store Store) (*App, error) {
	go config.Prepare() // beside the reading
	self := proc.Self()
	a := &App{Store: store, Now: time.Now, Clock: engine.SystemClock{}, By: self.User, Runner: self, Alive: proc.Alive, post: &post{}}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "finding %s: %w", path, err)
	}
	if a.System, err = config.Load(abs, Drivers(nil, nil)); err != nil {
		return nil, err
	}
	a.pool, a.trials = host.NewPool(), &trials{of: map[string]*trial{}}
	a.accounts = awsapi.New()
	a.drivers = drivers(a.pool, a.accounts, a.System.Component, proofs{a})
	return a, nil
}

// Close ends connections.
func (a *App) Close() error {
	a.trials.close()
	return errors.Join(a.accounts.Close(), a.pool.Close())
}

func (a *App) driver(kind string) (astern.Driver, bool) {
	i := slices.IndexFunc(a.drivers, func(d astern.Driver) bool { return d.Kind == kind })
	if i < 0 {
		return astern.Driver{}, false
	}
	return a.drivers[i], true
}

// Environments returns the environment of that name, or all of them when name is "".
func (a *App) Environments(name string) ([]astern.Environment, error) {
	if name == "" {
		return a.System.Environments, nil
	}
	e, ok := a.System.Environment(name)
	if !ok {
		return nil, astern.Errorf(astern.NotFound, "there is no environment %s", name).WithHint("astern.yaml declares: %s", strings.Join(a.names(), ", "))
	}
	return []astern.Environment{e}, nil
}

// Environment returns the environment that a changing command means: the one named, or the only one there is.
func (a *App) Environment(name string) (astern.Environment, error) {
	if name == "" && len(a.System.Environments) != 1 {
		return astern.Environment{}, astern.Errorf(astern.Invalid, "there are several environments and none was named").
			WithHint("add -e with one of: %s", strings.Join(a.names(), ", "))
	}
	es, err := a.Environments(name)
	if err != nil {
		return astern.Environment{}, err
	}
	return es[0], nil
}

func (a *App) names() []string {
	var out []string
	for _, e := range a.System.Environments {
		out = append(out, e.Name)
	}
	return out
}

// Component finds a component by NAME or ENV/NAME; environment is that of the command line, "" when none was given.
func (a *App) Component(environment, name string) (astern.Component, error) {
	if env, short, ok := astern.SplitAddress(name); ok {
		if environment != "" && environment != env {
			return astern.Component{}, astern.Errorf(astern.Invalid, "%s is not in environment %s", name, environment)
		}
		environment, name = env, short
	}
	e, err := a.Environment(environment)
	if err != nil {
		return astern.Component{}, err
	}
	c, ok := e.Component(name)
	if !ok {
		var names []string
		for _, k := range e.Components {
			names = append(names, k.Name)
		}
		return c, astern.Errorf(astern.NotFound, "%s has no component %s", e.Name, name).WithHint("it has: %s", strings.Join(names, ", "))
	}
	return c, nil
}

// newID returns 64 random bits as text.
func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

// cancelled tells which executions were cancelled: their latches do not hold.
func (a *App) cancelled(ctx context.Context) (func(string) bool, error) {
	all, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return nil, fmt.Errorf("reading executions: %w", err)
	}
	set := map[string]bool{}
	for _, e := range all {
		if e.Outcome == astern.OutcomeCancelled {
			set[e.ID] = true
		}
	}
	return func(id string) bool { return set[id] }, nil
}

// History folds the ledger of one component.
func (a *App) History(ctx context.Context, address string) (astern.History, error) {
	cancelled, err := a.cancelled(ctx)
	if err != nil {
		return astern.History{}, err
	}
	return a.historyOf(ctx, address, cancelled)
}

// historyOf is History where it is known already which executions were cancelled.
func (a *App) historyOf(ctx context.Context, address string, cancelled func(execution string) bool) (astern.History, error) {
	events, err := a.Store.Events(ctx, address, 0)
	if err != nil {
		return astern.History{}, fmt.Errorf("reading the ledger of %s: %w", address, err)
	}
	return ledger.History(events, cancelled), nil
}

// decoded returns the plan of a plan file, and its hash.
func (a *App) decoded(doc []byte) (astern.Plan, string, error) {
	if a.decode != nil {
		return a.decode(doc)
	}
	return planfile.Decode(doc)
}
