package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/check"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/ledger"
	"github.com/astern-dev/astern/internal/secret"
)

// world is everything outside that the plan touches or asks.
func (a *App) world(p astern.Plan, child func(ctx context.Context, undo bool) (string, error)) engine.World {
	return engine.World{
		Observe: a.observe,
		Stopper: stoppers(a.driver),
		Actor: actors{of: func(kind string) (astern.Actor, bool) {
			switch kind {
			case "check":
				return check.NewActor(p.Check, a.runCheck), true
			case ledger.Kind:
				return ledger.Actor{Events: a.Store, By: p.Asked.By, Now: a.Now}, true
			}
			d, ok := a.driver(kind)
			return d.Actor, ok
		}},
		Check: a.runCheck,
		Plan:  child,
	}
}

// observe reads the paths of one component's state.
func (a *App) observe(ctx context.Context, address string, paths []string) (astern.State, error) {
	c, ok := a.System.Component(address)
	if !ok {
		return astern.State{}, astern.Errorf(astern.NotFound, "astern.yaml no longer declares %s", address)
	}
	d, ok := a.driver(c.Kind)
	if !ok {
		return astern.State{}, astern.Errorf(astern.Invalid, "%s is of kind %s, which this astern does not know", address, c.Kind)
	}
	return d.Observer.Observe(ctx, c, astern.Scope{Paths: paths})
}

// runCheck makes a bound check, here or on the host that it names.
func (a *App) runCheck(ctx context.Context, c astern.Check) astern.CheckResult {
	if c.Judge != nil {
		return a.beside(ctx, c)
	}
	if c.Proven != nil {
		return a.provenThere(ctx, c)
	}
	environment, _, _ := astern.SplitAddress(c.Address)
	r := check.Runner{
		Command: func(ctx context.Context, name string, argv []string, env map[string]string, timeout time.Duration) (int, string, error) {
			return a.command(ctx, environment, name, argv, env, timeout)
		},
		Secret: func(s astern.Secret) (astern.SecretValue, error) { return secret.Resolve(s, a.System.Folder) },
		Now:    a.Now,
	}
	return r.Run(ctx, c)
}

// command runs a check's command on the environment's host of that name; on this machine in the folder of astern.yaml.
func (a *App) command(ctx context.Context, environment, name string, argv []string, env map[string]string, timeout time.Duration) (int, string, error) {
	e, _ := a.System.Environment(environment)
	h := astern.Host{}
	if i := slices.IndexFunc(e.Hosts, func(h astern.Host) bool { return h.Name == name }); i >= 0 {
		h = e.Hosts[i]
	} else if name != "" {
		return 0, "", astern.Errorf(astern.NotFound, "%s has no host %s", environment, name)
	}
	m, err := a.pool.Machine(h, a.System.Folder)
	if err != nil {
		return 0, "", err
	}
	cmd := host.Command{Argv: argv, Env: env, Timeout: timeout}
	if name == "" {
		cmd.Dir = a.System.Folder
	}
	r, err := m.Run(ctx, cmd)
	if err != nil {
		return 0, "", fmt.Errorf("running %s: %w", argv[0], err)
	}
	return r.ExitCode, r.Stdout + r.Stderr, nil
}

// actors hands each call to the actor of its kind.
type actors struct {
	of func(kind string) (astern.Actor, bool)
}

// Before reads what finding and undoing the step will need.
func (s actors) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	a, ok := s.of(call.Kind)
	if !ok {
		return nil, noActor(call)
	}
	return a.Before(ctx, call)
}

// Start begins the step.
func (s actors) Start(ctx context.Context, call astern.Call) astern.Op {
	a, ok := s.of(call.Kind)
	if !ok {
		return astern.Op{Status: astern.OpFailed, Code: astern.Invalid, Error: noActor(call).Error()}
	}
	return a.Start(ctx, call)
}

// Find tells whether the effect of the call is in the world.
func (s actors) Find(ctx context.Context, call astern.Call) astern.Found {
	a, ok := s.of(call.Kind)
	if !ok {
		return astern.Found{Answer: astern.FoundUnknown, Because: noActor(call).Error()}
	}
	return a.Find(ctx, call)
}

// Poll asks how far the operation is.
func (s actors) Poll(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	a, ok := s.of(call.Kind)
	if !ok {
		return op
	}
	return a.Poll(ctx, call, op)
}

// stoppers hands each call to the stopper of its kind.
type stoppers func(kind string) (astern.Driver, bool)

// Stop ends the operation; of a kind that can't it asks how far it is.
func (s stoppers) Stop(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	d, ok := s(call.Kind)
	switch {
	case !ok:
		return op
	case d.Stopper == nil:
		return d.Actor.Poll(ctx, call, op)
	}
	return d.Stopper.Stop(ctx, call, op)
}

func noActor(call astern.Call) error {
	return astern.Errorf(astern.Invalid, "step %s is of kind %s, which this astern does not know", call.Step, call.Kind)
}
