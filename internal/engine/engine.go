// Package engine carries out plans. Next(plan, records, now) is a pure function from the journal to the actions that
// come next; the loop in this package performs them and writes down what came of it. A simulator or another scheduler
// can drive the same function: the journal is the truth in each.
//
// Reading order: engine.go (what it needs from outside), action.go, fold.go and apply.go (the journal read into a
// state), lanes.go and rounds.go (how lanes and gates stand), decide.go (the state read into actions), loop.go.
package engine

import (
	"context"
	"errors"
	"time"

	"github.com/astern-dev/astern"
)

// Journal keeps the records of executions. Every Append is on stable storage before it returns.
type Journal interface {
	// Append writes the records in one transaction and gives them the next sequence numbers. A record that has one
	// already must get that one, else nothing is written and the error wraps ErrBehind. With a fence > 0 it returns an
	// error that wraps ErrFenced when another engine has taken the execution since. After any other error it is not
	// known whether the records were written: read before going on.
	Append(ctx context.Context, execution string, fence int64, records ...astern.Record) error
	// Read returns the records with a sequence number greater than after, in order.
	Read(ctx context.Context, execution string, after int64) ([]astern.Record, error)
}

// ErrFenced says that another engine has taken the execution: this one must stop at once.
var ErrFenced = errors.New("another engine has taken the execution")

// ErrBehind says that somebody has written into the journal what the caller has not read.
var ErrBehind = errors.New("the journal has gone on")

// World is everything outside that a plan touches or asks.
type World struct {
	// Owner identifies the execution among those of all state folders, "" for none; it goes into each call.
	Owner string
	// Observe reads the paths of a component's state.
	Observe func(ctx context.Context, address string, paths []string) (astern.State, error)
	// Actor acts for every kind of step.
	Actor astern.Actor
	// Stopper ends steps that are stoppable; nil when the plan has none.
	Stopper astern.Stopper
	// Check makes a bound check.
	Check func(ctx context.Context, c astern.Check) astern.CheckResult
	// Plan makes and stores the child plan that continues the execution (undo false) or reverses it (undo true), and
	// returns its hash; "" when nothing is left to do.
	Plan func(ctx context.Context, undo bool) (hash string, err error)
}

// Clock is where the loop takes the time from.
type Clock interface {
	Now() time.Time
	// After returns a channel that gets the time when so much of it has passed. It is no moment, for the clock may be set.
	After(d time.Duration) <-chan time.Time
}

// SystemClock is the clock of the machine.
type SystemClock struct{}

// Now returns the time.
func (SystemClock) Now() time.Time { return time.Now() }

// After returns a channel that gets the time when so much of it has passed.
func (SystemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Next returns what is to be done next, given the plan, everything in its journal, and the time. It is pure: the same
// arguments give the same actions, and an action is returned again and again until a record answers it. It returns an
// Invalid error for a plan that can't be expanded.
func Next(p astern.Plan, records []astern.Record, now time.Time) ([]Action, error) {
	f, err := NewFold(p)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		f.Apply(r)
	}
	return f.Decide(now), nil
}
