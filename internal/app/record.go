package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/ledger"
)

func checkRevision(revision string) error {
	if !astern.ValidRevision(revision) {
		return astern.Errorf(astern.Invalid, "%q is no name of a revision", revision).
			WithHint("letters, digits, dots, colons, dashes and underscores, beginning with a letter or digit, at most 128")
	}
	return nil
}

// Record is what CI or a person tells the ledger.
type Record struct {
	Environment, Component, Revision string
	Artifact, Commit, Reason         string
}

// RecordDeploy notes that a revision was deployed, and its content hash as the world has it now. The ledger always
// records what happened, also the deployment of a latched revision; warnings say what is odd about it. It refuses a name of
// what a component serves and has no record of.
func (a *App) RecordDeploy(ctx context.Context, r Record) (e astern.Event, warnings []string, err error) {
	c, err := a.Component(r.Environment, r.Component)
	if err == nil {
		err = checkRevision(r.Revision)
	}
	if err != nil {
		return e, nil, err
	}
	h, err := a.History(ctx, c.Address())
	if err != nil {
		return e, nil, err
	}
	if d, ok := h.Of(r.Revision); ok && d.Latched != "" {
		warnings = append(warnings, fmt.Sprintf("%s %s is latched (%s) and was deployed all the same", c.Address(), r.Revision, d.Latched))
	}
	hash, err := a.contentHash(ctx, c, r.Revision)
	if astern.CodeOf(err) == astern.Refused {
		return e, nil, err
	}
	if err != nil {
		warnings = append(warnings, fmt.Sprintf("its content hash could not be taken: %s", err))
	}
	e, err = a.Store.AddEvent(ctx, astern.Event{At: a.Now(), Address: c.Address(), Kind: astern.EventDeployed, Revision: r.Revision,
		Hash: hash, Artifact: r.Artifact, Commit: r.Commit, By: a.By, Reason: r.Reason})
	if err != nil {
		return e, warnings, fmt.Errorf("writing the ledger: %w", err)
	}
	return e, warnings, nil
}

// contentHash returns the hash of a revision where its component keeps revisions; "" when it keeps none. It returns a Refused
// error where nothing could ever be gone back to.
func (a *App) contentHash(ctx context.Context, c astern.Component, revision string) (string, error) {
	d, ok := a.driver(c.Kind)
	if !ok {
		return "", astern.Errorf(astern.Invalid, "%s is of kind %s, which this astern does not know", c.Address(), c.Kind)
	}
	s, err := d.Observer.Observe(ctx, c, astern.Scope{})
	if err != nil {
		return "", err
	}
	hash, ok := s.ContentHash(revision)
	if now := s.Values["revision"]; !ok && strings.HasPrefix(now.Text, astern.Unrecorded) {
		return "", astern.Errorf(astern.Refused, "recording the deployment of %s %s: what it serves is not recorded, and a name alone can't be gone back to", c.Address(), revision).
			WithHint("this records what is served now under that name: astern deploy %s %s", c.Name, revision)
	}
	if !ok {
		return "", astern.Errorf(astern.NotFound, "%s does not show one content of %s on all its members", c.Address(), revision)
	}
	return hash, nil
}

// RecordKnownGood marks a revision known-good on a person's word.
func (a *App) RecordKnownGood(ctx context.Context, r Record) (astern.Event, error) {
	c, err := a.Component(r.Environment, r.Component)
	if err == nil {
		err = checkRevision(r.Revision)
	}
	if err != nil {
		return astern.Event{}, err
	}
	h, err := a.History(ctx, c.Address())
	if err != nil {
		return astern.Event{}, err
	}
	if _, ok := h.Of(r.Revision); !ok {
		return astern.Event{}, astern.Errorf(astern.NotFound, "the ledger does not know %s of %s", r.Revision, c.Address()).
			WithHint("astern record deploy %s %s comes first; astern history %s shows what is known", r.Component, r.Revision, r.Component)
	}
	return a.Store.AddEvent(ctx, astern.Event{At: a.Now(), Address: c.Address(), Kind: astern.EventKnownGood, Revision: r.Revision,
		By: a.By, Reason: r.Reason})
}

// Latch sets (hold true) or releases a latch.
func (a *App) Latch(ctx context.Context, r Record, hold bool) (astern.Event, error) {
	c, err := a.Component(r.Environment, r.Component)
	if err == nil {
		err = checkRevision(r.Revision)
	}
	if err != nil {
		return astern.Event{}, err
	}
	h, err := a.History(ctx, c.Address())
	if err != nil {
		return astern.Event{}, err
	}
	kind := astern.EventLatched
	if d, _ := h.Of(r.Revision); !hold {
		if kind = astern.EventReleased; d.Latched == "" {
			return astern.Event{}, astern.Errorf(astern.NotFound, "%s %s is not latched", c.Address(), r.Revision)
		}
	}
	return a.Store.AddEvent(ctx, astern.Event{At: a.Now(), Address: c.Address(), Kind: kind, Revision: r.Revision, By: a.By, Reason: r.Reason})
}

// remembered reports whether a component's hosts remember that astern acted on them.
func remembered(s astern.State) bool {
	for path := range s.Values {
		if strings.HasSuffix(path, "/fence") || strings.HasSuffix(path, "/history") {
			return true
		}
	}
	return false
}

// Latches returns the latches that hold in the environment.
func (a *App) Latches(ctx context.Context, e astern.Environment) ([]astern.Event, error) {
	cancelled, err := a.cancelled(ctx)
	if err != nil {
		return nil, err
	}
	var out []astern.Event
	for _, c := range e.Components {
		events, err := a.Store.Events(ctx, c.Address(), 0)
		if err != nil {
			return nil, fmt.Errorf("reading the ledger of %s: %w", c.Address(), err)
		}
		for _, d := range ledger.History(events, cancelled).Deployments {
			for _, ev := range slices.Backward(events) {
				if d.Latched != "" && ev.Revision == d.Revision && ev.Kind == astern.EventLatched {
					out = append(out, ev)
					break
				}
			}
		}
	}
	return out, nil
}
