package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/astern-dev/astern"
)

// Engine carries out one execution.
type Engine struct {
	Journal Journal
	World   World
	Clock   Clock
	// Execution is the id of the execution; Fence is what its journal's last `taken` record gave this engine.
	Execution string
	Fence     int64
	Plan      astern.Plan
	// Observe, when set, is called with every record in the order of the journal, those from before included. It must
	// return soon.
	Observe func(astern.Record)
	// LookEvery is how often the journal is read for what people wrote into it; zero means every 200 ms.
	LookEvery time.Duration
}

// Result is how a run of the loop came to its end.
type Result struct {
	Outcome astern.Outcome // "" when the execution has not ended
	Holds   []HoldReason   // why it can't go on by itself
	Child   string         // hash of the plan that continues it
}

// loop is one run of an Engine.
type loop struct {
	*Engine
	fold    *Fold
	busy    map[string]bool // keys of actions under way
	answers chan answer
	owner   sync.WaitGroup
	look    time.Time // when the journal is read next
	closing bool      // nothing new may be started

	pending []astern.Record // folded, and not yet in the journal
	since   time.Time       // when the first of them was answered
	ahead   int             // preparations under way that were decided on the pending records
	told    int64           // sequence number of the last record that Observe has seen
}

// answer is what came of an action.
type answer struct {
	key     string
	ahead   bool
	records []astern.Record
}

// Run performs actions until the execution ends or a person must decide. When ctx ends it starts nothing new, waits for
// what is under way, writes it down, and returns an Interrupted error. After any error of the journal it stops at
// once: whoever takes the execution next finds what is in doubt.
func (e *Engine) Run(ctx context.Context) (Result, error) {
	fold, err := NewFold(e.Plan)
	if err != nil {
		return Result{}, err
	}
	l := &loop{Engine: e, fold: fold, busy: map[string]bool{}, answers: make(chan answer)}
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer func() {
		cancel(errors.New("the engine stopped"))
		l.drain()
	}()
	if err := l.read(work); err != nil {
		return Result{}, err
	}
	if fold.fence != e.Fence {
		return Result{}, fmt.Errorf("running %s: %w", e.Execution, ErrFenced)
	}
	return l.run(ctx, work)
}

func (l *loop) run(ctx, work context.Context) (Result, error) {
	stopping := ctx.Done()
	for {
		var wake time.Time
		if l.closing = ctx.Err() != nil; !l.closing {
			end, at, err := l.runOnce(work)
			if err != nil || end != nil {
				if end == nil {
					end = &Result{}
				}
				return *end, err
			}
			wake = at
		} else if err := l.flush(work); err != nil {
			return Result{}, err
		} else if len(l.busy) == 0 {
			return Result{}, astern.Errorf(astern.Interrupted, "%s was interrupted", l.Execution).
				WithHint("nothing is lost: astern resume %s goes on", l.Execution)
		}
		select {
		case a := <-l.answers:
			l.closing = ctx.Err() != nil // it may have been told to stop while the answer was on its way
			l.take(l.collect(a))
		case <-stopping:
			stopping = nil
		case <-l.Clock.After(l.pause(wake)):
		}
		// Answers may come so fast that the clock never gets its turn: people are heard all the same.
		if now := l.Clock.Now(); !now.Before(l.look) || l.look.Sub(now) > l.lookEvery() {
			if err := l.read(work); err != nil {
				return Result{}, err
			}
		}
	}
}

// pause is how long to wait for answers: until wake, if it is set, or until the journal is read next. By a clock that was just
// set back both may be a day away, so it is never longer than what lies between two looks.
func (l *loop) pause(wake time.Time) time.Duration {
	now := l.Clock.Now()
	d := min(l.look.Sub(now), l.lookEvery())
	if wake.IsZero() {
		return d
	}
	return min(d, wake.Sub(now))
}

// collect takes the answer and all others that wait, so that they are written at once.
func (l *loop) collect(a answer) []astern.Record {
	records := l.answered(a)
	for len(l.busy) > 0 {
		select {
		case a = <-l.answers:
			records = append(records, l.answered(a)...)
		default:
			return records
		}
	}
	return records
}

func (l *loop) answered(a answer) []astern.Record {
	delete(l.busy, a.key)
	if a.ahead {
		l.ahead--
	}
	return a.records
}

// runOnce starts every action that is due and not under way. It returns a result when the run is over, else when to
// look again (zero when only an answer can bring news).
func (l *loop) runOnce(ctx context.Context) (*Result, time.Time, error) {
	if at, wait := l.prepareAhead(ctx); wait {
		return nil, at, nil
	}
	if err := l.flush(ctx); err != nil {
		return nil, time.Time{}, err
	}
	if l.fold.outcome != "" {
		return l.ended(), time.Time{}, nil
	}
	var wake time.Time
	for _, a := range l.fold.Decide(l.Clock.Now()) {
		switch a.Kind {
		case Wait:
			wake = a.At
		case Hold:
			if len(l.busy) == 0 {
				return &Result{Holds: a.Holds}, wake, nil
			}
		case End:
			if len(l.busy) > 0 {
				continue
			}
			l.take([]astern.Record{{Kind: astern.RecordEnded, Outcome: a.Outcome}})
			if err := l.flush(ctx); err != nil {
				return nil, wake, err
			}
			if l.fold.outcome == "" { // somebody has said something in between
				return nil, l.Clock.Now(), nil
			}
			return l.ended(), wake, nil
		default:
			l.launch(ctx, a, false)
		}
	}
	return nil, wake, nil
}

// ended is the result of an execution that has ended. One that was cancelled is not continued, even where its child plan was
// made at the same moment.
func (l *loop) ended() *Result {
	r := &Result{Outcome: l.fold.outcome}
	if r.Outcome == astern.OutcomeContinued {
		r.Child = l.fold.child
	}
	return r
}

// launch runs the action beside the loop, once.
func (l *loop) launch(ctx context.Context, a Action, ahead bool) {
	key := a.Key()
	if l.busy[key] {
		return
	}
	l.busy[key] = true
	if ahead {
		l.ahead++
	}
	l.owner.Go(func() { l.answers <- answer{key, ahead, Perform(ctx, l.World, l.Execution, a)} })
}

// drain waits for everything under way; its answers are not written, so they are found again.
func (l *loop) drain() {
	finished := make(chan struct{})
	go func() {
		l.owner.Wait()
		close(finished)
	}()
	for {
		select {
		case <-l.answers:
		case <-finished:
			return
		}
	}
}

func (l *loop) lookEvery() time.Duration {
	if l.LookEvery > 0 {
		return l.LookEvery
	}
	return 200 * time.Millisecond
}
