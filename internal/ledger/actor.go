package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/astern-dev/astern"
)

// Kind is the kind of steps that write into the ledger.
const Kind = "ledger"

// The verbs of ledger steps. Each takes the arguments revision, and optionally reason and hash.
const (
	VerbLatch     = "latch"
	VerbRelease   = "release"
	VerbRecord    = "record"
	VerbKnownGood = "known-good"
)

// Events keeps the ledger. AddEventUnder writes an event of a step, once for its token, unless another engine has taken the
// execution since: it then answers Conflict and writes nothing.
type Events interface {
	AddEvent(ctx context.Context, e astern.Event) (astern.Event, error)
	AddEventUnder(ctx context.Context, fence int64, e astern.Event) (astern.Event, error)
	EventByToken(ctx context.Context, token string) (astern.Event, bool, error)
	// Events returns the address's events in the order in which they were recorded; limit 0 means all.
	Events(ctx context.Context, address string, limit int) ([]astern.Event, error)
}

// Actor writes ledger events as steps of a plan, found again by their token.
type Actor struct {
	Events Events
	By     string // who asked for the plan
	Now    func() time.Time
}

var kinds = map[string]astern.EventKind{VerbLatch: astern.EventLatched, VerbRelease: astern.EventReleased,
	VerbRecord: astern.EventDeployed, VerbKnownGood: astern.EventKnownGood}

// Before notes what the ledger says is deployed, so that a record can be undone, and whether the revision was latched
// already, so that undoing a latch leaves one that stood before.
func (a Actor) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	events, err := a.Events.Events(ctx, call.Address, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger of %s: %w", call.Address, err)
	}
	h := History(events, func(string) bool { return false })
	d, _ := h.Of(call.Text("revision"))
	return astern.Image{"current": h.Current, "latched": d.Latched}, nil
}

// Start writes the event.
func (a Actor) Start(ctx context.Context, call astern.Call) astern.Op {
	kind, ok := kinds[call.Verb]
	if !ok {
		return astern.Op{Status: astern.OpFailed, Code: astern.Invalid, Error: "the ledger has no verb " + call.Verb}
	}
	_, err := a.Events.AddEventUnder(ctx, call.Fence, astern.Event{At: a.Now(), Address: call.Address, Kind: kind, Revision: call.Text("revision"),
		Hash: call.Text("hash"), By: a.By, Reason: call.Text("reason"), Execution: call.Execution, Token: call.Token})
	if err != nil && astern.CodeOf(err) == astern.Conflict {
		return astern.Op{Status: astern.OpFailed, Code: astern.Conflict, Error: err.Error()}
	}
	if err != nil {
		return astern.Op{Status: astern.OpUnsure, Code: astern.CodeOf(err), Error: err.Error()}
	}
	return astern.Op{Status: astern.OpDone}
}

// Find looks for an event with the call's token.
func (a Actor) Find(ctx context.Context, call astern.Call) astern.Found {
	_, ok, err := a.Events.EventByToken(ctx, call.Token)
	switch {
	case err != nil:
		return astern.Found{Answer: astern.FoundUnknown, Because: err.Error()}
	case !ok:
		return astern.Found{Answer: astern.FoundNo, Because: "the ledger has no event with its token"}
	}
	return astern.Found{Answer: astern.FoundYes, Op: &astern.Op{Status: astern.OpDone}}
}

// Poll answers done: an event is written or it is not.
func (a Actor) Poll(context.Context, astern.Call, astern.Op) astern.Op {
	return astern.Op{Status: astern.OpDone}
}
