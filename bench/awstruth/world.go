package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// kind is one kind of component: how a healthy one is made, and how the world is looked at without astern.
type kind struct {
	name string
	// shapes are what the component can be like.
	shapes []string
	// make makes the resources, declares the component and records its deployments.
	make func(ctx context.Context, w *world) (subject, error)
	rows []row
}

// subject is the component of one trial.
type subject interface {
	// reached says why a target is not what the world has, "" when it is. Nothing that astern says is asked.
	reached(ctx context.Context, target string) string
	// byHand does what a person would type to go there, over the way that astern would take.
	byHand(ctx context.Context, target string) error
	// back leads the component back to where it was before it was tried, as far as the damage lets it.
	back(ctx context.Context) error
}

// world is a component in an account of its own.
type world struct {
	kind    *kind
	shape   string
	slot    *slot
	lab     *lab.Lab
	clock   *clock
	account string
	name    string // of its resources
	aws     aws.Config
	home    string // folder of astern.yaml and the state
	subject subject
	rng     *rand.Rand

	declaration string   // the component in astern.yaml, without its name
	targets     []string // known-good and proven
	current     string
	faults      []lab.Fault // in force while astern is asked and acts
	judged      bool        // calls are held to policies then
}

// newWorld makes a healthy component.
func newWorld(ctx context.Context, m *machine, s *slot, k *kind, seed uint64, rng *rand.Rand) (*world, error) {
	w := &world{kind: k, shape: k.shapes[rng.IntN(len(k.shapes))], slot: s, account: fmt.Sprintf("%012d", 200_000_000_000+seed),
		name: fmt.Sprintf("shop-%d", seed), rng: rng, home: filepath.Join(m.folder, fmt.Sprintf("trial-%d", seed))}
	var err error
	if w.lab, err = lab.New(m.moto.URL, seed, nil); err != nil {
		return nil, err
	}
	w.clock = &clock{Lab: w.lab, slot: s}
	s.now.Store(w.lab)
	w.aws = s.session(w.account)
	if err = os.MkdirAll(w.home, 0o700); err == nil {
		w.subject, err = k.make(ctx, w)
	}
	if err != nil {
		w.close()
		return nil, fmt.Errorf("making a world: %w", err)
	}
	return w, nil
}

func (w *world) close() {
	w.slot.now.Store(nil)
	w.lab.Close()
	_ = os.RemoveAll(w.home) // the folder of the run is removed too
}

// later lets so much of the lab's time go by.
func (w *world) later(ctx context.Context, d time.Duration) error {
	_, err := w.lab.Step(ctx, d)
	return err
}

// with are the settings that every AWS kind has.
func (w *world) with() string {
	return fmt.Sprintf("profile: %s, role: %q, account: %q", w.slot.profile, roleIn(w.account), w.account)
}

// declare writes astern.yaml. The text is that of the component, indented by nothing.
func (w *world) declare(text string) error {
	w.declaration = text
	var b strings.Builder
	b.WriteString("version: 1\nsystem: truth\nenvironments:\n  test:\n    policy: {watch: 0s}\n    components:\n      shop:\n")
	for line := range strings.Lines(text) {
		b.WriteString("        " + line)
	}
	return os.WriteFile(filepath.Join(w.home, "astern.yaml"), []byte(b.String()), 0o600)
}

const address = "test/shop"

// state is the folder of the state that all tries of a trial begin with.
func (w *world) state() string { return filepath.Join(w.home, "state") }

// open opens astern on a state folder.
func (w *world) open(ctx context.Context, state string) (*app.App, func() error, error) {
	store, err := sqlite.Open(ctx, state)
	if err != nil {
		return nil, nil, err
	}
	a, err := app.Open(filepath.Join(w.home, "astern.yaml"), store)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	a.Clock, a.Now = w.clock, w.clock.Now
	return a, func() error { return errors.Join(a.Close(), store.Close()) }, nil
}

// record tells the ledger of a deployment that was watched to its end. The hash is "" where the kind has none.
func (w *world) record(ctx context.Context, revision, hash string) (err error) {
	store, err := sqlite.Open(ctx, w.state())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	at := w.clock.Now()
	for _, e := range []astern.Event{{At: at, Kind: astern.EventDeployed, Hash: hash}, {At: at.Add(time.Millisecond), Kind: astern.EventKnownGood}} {
		e.Address, e.Revision, e.By = address, revision, "ci"
		if _, err := store.AddEvent(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// recordSeen is record with the hash that the world shows.
func (w *world) recordSeen(ctx context.Context, revision string) (err error) {
	a, done, err := w.open(ctx, w.state())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	r := app.Record{Environment: "test", Component: "shop", Revision: revision}
	if _, warnings, err := a.RecordDeploy(ctx, r); err != nil || len(warnings) > 0 {
		return fmt.Errorf("recording it: %v %w", warnings, err)
	}
	_, err = a.RecordKnownGood(ctx, r)
	return err
}

// deploy has astern itself deploy what is there as a revision, and marks it known-good.
func (w *world) deploy(ctx context.Context, revision string) (err error) {
	a, done, err := w.open(ctx, w.state())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	p, err := a.Plan(ctx, app.Ask{Verb: astern.VerbDeploy, Environment: "test", Components: []string{"shop"}, Revision: revision, Percent: 100, Way: "cli"})
	if err != nil {
		return err
	}
	if err := carryOut(ctx, a, p.Doc); err != nil {
		return err
	}
	_, err = a.RecordKnownGood(ctx, app.Record{Environment: "test", Component: "shop", Revision: revision, Reason: "it ran for a year"})
	return err
}

// carryOut applies a plan and runs it to its end. An execution that holds is an error.
func carryOut(ctx context.Context, a *app.App, doc []byte) error {
	_, hash, err := planfile.Decode(doc)
	if err != nil {
		return err
	}
	e, _, err := a.Apply(ctx, doc, app.Vouch{Trust: hash})
	if err != nil {
		return err
	}
	r, _, err := a.Run(ctx, e.ID, nil)
	if err == nil && r.Outcome != astern.OutcomeDone {
		err = astern.Errorf(astern.Refused, "it ends %q and holds because of %v", r.Outcome, r.Holds)
	}
	return err
}

// failing puts faults and policies in force, or takes them away.
func (w *world) failing(on bool) error {
	w.lab.ClearFaults()
	w.lab.HoldToPolicies(on && w.judged)
	for _, f := range w.faults {
		if !on {
			break
		}
		if _, err := w.lab.AddFault(f); err != nil {
			return err
		}
	}
	return nil
}
