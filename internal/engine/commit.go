package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/astern-dev/astern"
)

// The result of one step and the intent of the next share a commit where the next can be prepared at once, for a commit is
// what a step costs: records are folded when they are answered, and are pending until they are written. As long as
// anything is pending nothing but preparations is started, which only read. An intent is acted on when it is in the
// journal, never before.

// holdBack is how long a record may be pending: a crash in this time leaves its step in doubt, as one before the answer
// would have.
const holdBack = 2 * time.Millisecond

// take folds what is new in the records and makes it pending. Intents come last: what else was answered may forbid them.
func (l *loop) take(records []astern.Record) {
	var answers, intents []astern.Record
	for _, r := range records {
		switch {
		case r.Kind != astern.RecordIntent:
			answers = append(answers, r)
		case !l.closing:
			intents = append(intents, r)
		}
	}
	for _, group := range [][]astern.Record{answers, intents} {
		now := l.Clock.Now().Round(0).UTC() // as it is read back from a journal
		for _, r := range l.fold.News(group, now) {
			if len(l.pending) == 0 {
				l.since = now
			}
			r.Seq = l.fold.seq + 1
			l.fold.Apply(r)
			l.pending = append(l.pending, r)
		}
	}
}

// prepareAhead returns the preparations that follow from pending records, and until when their intents are worth waiting
// for, if there are any.
func (l *loop) prepareAhead() (n next, wait bool) {
	if len(l.pending) == 0 {
		return n, false
	}
	now := l.Clock.Now()
	n = next{ahead: true, wake: l.since.Add(holdBack)}
	if !now.Before(n.wake) || now.Before(l.since) {
		return n, false
	}
	for _, a := range l.fold.Decide(now) {
		if _, busy := l.busy[a.Key()]; a.Kind == Prepare && !busy {
			n.due = append(n.due, a)
		}
	}
	return n, l.ahead > 0 || len(n.due) > 0
}

// flush writes what is pending. When somebody else has written in between, everything is read anew, and what is pending is
// judged again behind it.
func (l *loop) flush(ctx context.Context) error {
	for len(l.pending) > 0 {
		err := l.Journal.Append(ctx, l.Execution, l.Fence, l.pending...)
		switch {
		case err == nil:
			l.tell(l.pending)
			l.pending = nil
		case errors.Is(err, ErrBehind):
			if err := l.again(ctx); err != nil {
				return err
			}
		default:
			return fmt.Errorf("writing the journal of %s: %w", l.Execution, err)
		}
	}
	return nil
}

// again folds the whole journal from its beginning, and then what is pending.
func (l *loop) again(ctx context.Context) error {
	fold, _ := NewFold(l.Plan) // which it did before
	pending := slices.Clone(l.pending)
	// What was said in between may change how it ends, or that it does.
	pending = slices.DeleteFunc(pending, func(r astern.Record) bool { return r.Kind == astern.RecordEnded })
	l.fold, l.pending = fold, nil
	if err := l.catchUp(ctx); err != nil {
		return err
	}
	l.take(pending)
	return nil
}

// read folds the records that the journal has beyond the fold.
func (l *loop) read(ctx context.Context) error {
	if err := l.flush(ctx); err != nil {
		return err
	}
	return l.catchUp(ctx)
}

// catchUp folds the records that the journal has beyond the fold, with which nothing may be pending.
func (l *loop) catchUp(ctx context.Context) error {
	records, err := l.Journal.Read(ctx, l.Execution, l.fold.seq)
	if err != nil {
		return fmt.Errorf("reading the journal of %s: %w", l.Execution, err)
	}
	for _, r := range records {
		l.fold.Apply(r)
	}
	l.tell(records)
	l.look = l.Clock.Now().Add(l.lookEvery())
	if l.fold.fence > l.Fence {
		return fmt.Errorf("%s: %w", l.Execution, ErrFenced)
	}
	return nil
}

// tell shows records of the journal to whoever observes it, each once.
func (l *loop) tell(records []astern.Record) {
	for _, r := range records {
		if r.Seq <= l.told {
			continue
		}
		l.told = r.Seq
		if l.Observe != nil {
			l.Observe(r)
		}
	}
}
