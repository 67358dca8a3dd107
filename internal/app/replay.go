package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/incident"
	"github.com/astern-dev/astern/internal/replay"
)

// Policies returns the policy of an environment; ok is false where there is none.
type Policies func(environment string) (p astern.Policy, ok bool)

// PoliciesOf are those of a system.
func PoliciesOf(s astern.System) Policies {
	return func(environment string) (astern.Policy, bool) {
		e, ok := s.Environment(environment)
		return e.Policy, ok
	}
}

// notes on what a replay can't know.
const (
	noteHistory = "what had been done before each decision is as it really was, also where the other policy would have done something else"
	noteLinear  = "failed requests are counted at a few moments, and taken to lie evenly between them; ways take as long as they took in the past"
)

// ReplayIncident judges each decision of an incident again by another policy.
func (a *App) ReplayIncident(ctx context.Context, id string, policies Policies) (astern.Replay, error) {
	log, err := a.Store.Incident(ctx, id)
	if err != nil {
		return astern.Replay{}, err
	}
	f, err := a.rejudged(ctx, log, policies, func(p astern.Policy) astern.Policy { return p })
	if err != nil {
		return astern.Replay{}, err
	}
	if len(f.Decisions) == 0 {
		return astern.Replay{}, astern.Errorf(astern.NotFound, "nothing was decided in %s: there is nothing to judge again", id).
			WithHint("the watch decides about the incidents that it opens: astern incidents")
	}
	return astern.Replay{Of: id, Faults: []astern.ReplayFault{f}, Notes: []string{noteHistory, noteLinear}}, nil
}

// ReplayShadow judges all decisions made in shadow mode since a moment as if astern might have acted on them.
func (a *App) ReplayShadow(ctx context.Context, since time.Time, policies Policies) (astern.Replay, error) {
	logs, err := a.Store.Incidents(ctx)
	if err != nil {
		return astern.Replay{}, fmt.Errorf("reading incidents: %w", err)
	}
	r := astern.Replay{Of: "shadow mode since " + since.UTC().Format("2006-01-02 15:04Z"), Notes: []string{
		"judged as if the mode were automatic; cool-down, daily limit and freezes hold", noteHistory, noteLinear}}
	for _, log := range logs {
		if !replay.Shadowed(log) || incident.Fold(log).OpenedAt.Before(since) {
			continue
		}
		f, err := a.rejudged(ctx, log, policies, replay.Alone)
		if err != nil {
			return astern.Replay{}, err
		}
		r.Faults = append(r.Faults, f)
	}
	return r, nil
}

// ReplaySignals judges a recording of the watch again. Name is what stands in errors.
func (a *App) ReplaySignals(name string, from io.Reader, policies Policies) (astern.Replay, error) {
	r, err := replay.Recording(name, from, incident.Watch, policies)
	if err != nil {
		return astern.Replay{}, err
	}
	r.Notes = append(r.Notes, "what was deployed and measured is as it was, also after the moment at which something else would have been done", noteLinear)
	return r, nil
}

func (a *App) rejudged(ctx context.Context, log astern.IncidentLog, policies Policies, as func(astern.Policy) astern.Policy) (astern.ReplayFault, error) {
	h := replay.History{Log: log, Now: a.Now()}
	in := incident.Fold(log)
	var p astern.Policy
	for _, address := range in.Addresses {
		environment, _, _ := astern.SplitAddress(address)
		var ok bool
		if p, ok = policies(environment); !ok {
			return astern.ReplayFault{}, astern.Errorf(astern.NotFound, "%s is about %s, and the policy's file has no environment %s", in.ID, address, environment)
		}
		events, err := a.Store.Events(ctx, address, 0)
		if err != nil {
			return astern.ReplayFault{}, fmt.Errorf("reading the ledger of %s: %w", address, err)
		}
		for _, e := range events {
			if e.Kind == astern.EventDeployed {
				h.Deployed = append(h.Deployed, e)
			}
		}
	}
	slices.SortStableFunc(h.Deployed, func(x, y astern.Event) int { return x.At.Compare(y.At) })
	var err error
	if h.Executions, err = a.Store.Executions(ctx, 0, false); err != nil {
		return astern.ReplayFault{}, fmt.Errorf("reading executions: %w", err)
	}
	return replay.Incident(h, as(p), incident.Watch)
}
