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
	busy    map[string]bool // keys of actions under way; true for rounds of checks, which only look
	answers chan answer
	owner   sync.WaitGroup
	look    time.Time // when the journal is read next
	closing bool      // nothing new may be started

	pending []astern.Record // folded, and not yet in the journal
	since   time.Time       // when the first of them was answered
	ahead   int             // preparations under way that were decided on the pending records
	told    int64           // sequence number of the last record that Observe has seen

	relay relay
	ended chan ending // has room for one
}

// ending is what Run returns.
type ending struct {
	result Result
	err    error
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
	l := &loop{Engine: e, fold: fold, busy: map[string]bool{}, answers: make(chan answer), ended: make(chan ending, 1)}
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	if err := l.read(work); err != nil {
		return Result{}, err
	}
	if fold.fence != e.Fence {
		return Result{}, fmt.Errorf("running %s: %w", e.Execution, ErrFenced)
	}
	l.run(ctx, work, cancel)
	end := <-l.ended
	return end.result, end.err
}

// run runs the loop until it ends, or until another goroutine goes on with it. Where it ends, nothing is under way any more.
func (l *loop) run(ctx, work context.Context, cancel context.CancelCauseFunc) {
	for {
		end, passed, err := l.turn(ctx, work, func() { l.run(ctx, work, cancel) })
		if passed {
			return
		}
		if end != nil || err != nil {
			cancel(errors.New("the engine stopped"))
			l.drain()
			if end == nil {
				end = &Result{}
			}
			l.ended <- ending{*end, err}
			return
		}
	}
}

// turn is one turn of the loop: it begins what is due, and waits for an answer or for the time to look again. It reports passed
// when the loop has gone on with another goroutine, by another.
func (l *loop) turn(ctx, work context.Context, another func()) (end *Result, passed bool, err error) {
	var n next
	stopping := ctx.Done()
	if l.closing = ctx.Err() != nil; !l.closing {
		if n, err = l.next(work); err != nil || n.end != nil {
			return n.end, false, err
		}
	} else if err := l.flush(work); err != nil {
		return nil, false, err
	} else if stopping = nil; len(l.busy) == 0 {
		return nil, false, astern.Errorf(astern.Interrupted, "%s was interrupted", l.Execution).
			WithHint("nothing is lost: astern resume %s goes on", l.Execution)
	}
	if len(n.due) == 1 && len(l.busy) == 0 {
		a, passed := l.alone(work, n.due[0], n.ahead, another)
		if passed {
			return nil, true, nil
		}
		l.closing = ctx.Err() != nil
		l.take(l.answered(a))
	} else {
		for _, a := range n.due {
			l.launch(work, a, n.ahead)
		}
		select {
		case a := <-l.answers:
			l.closing = ctx.Err() != nil // it may have been told to stop while the answer was on its way
			l.take(l.collect(a))
		case <-stopping:
		case <-l.Clock.After(l.pause(n.wake)):
		}
	}
	// Answers may come so fast that the clock never gets its turn: people are heard all the same.
	if now := l.Clock.Now(); !now.Before(l.look) || l.look.Sub(now) > l.lookEvery() {
		return nil, false, l.read(work)
	}
	return nil, false, nil
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
	for {
		select {
		case a = <-l.answers:
			records = append(records, l.answered(a)...)
		default:
			return records
		}
	}
}

func (l *loop) answered(a answer) []astern.Record {
	delete(l.busy, a.key)
	if a.ahead {
		l.ahead--
	}
	return a.records
}

// next is what a turn of the loop does.
type next struct {
	end   *Result   // the run is over
	due   []Action  // not under way yet
	ahead bool      // they are decided on pending records
	wake  time.Time // when to look again; zero when only an answer can bring news
}

// next decides what is due.
func (l *loop) next(ctx context.Context) (n next, err error) {
	if n, wait := l.prepareAhead(); wait {
		return n, nil
	}
	if err := l.flush(ctx); err != nil {
		return n, err
	}
	if l.fold.outcome != "" {
		return next{end: l.result()}, nil
	}
	for _, a := range l.fold.Decide(l.Clock.Now()) {
		switch a.Kind {
		case Wait:
			n.wake = a.At
		case Hold:
			if len(l.busy) == 0 {
				n.end = &Result{Holds: a.Holds}
				return n, nil
			}
		case End:
			if l.acts() {
				continue // such as a plan that is being made: what came of it belongs into the journal
			}
			l.take([]astern.Record{{Kind: astern.RecordEnded, Outcome: a.Outcome}})
			if err := l.flush(ctx); err != nil {
				return n, err
			}
			if l.fold.outcome == "" { // somebody has said something in between
				return next{wake: l.Clock.Now()}, nil
			}
			return next{end: l.result()}, nil
		default:
			if _, busy := l.busy[a.Key()]; !busy {
				n.due = append(n.due, a)
			}
		}
	}
	return n, nil
}

// acts reports whether anything but rounds of checks is under way.
func (l *loop) acts() bool {
	for _, looks := range l.busy {
		if !looks {
			return true
		}
	}
	return false
}

// result is that of an execution that has ended. One that was cancelled is not continued, even where its child plan was
// made at the same moment.
func (l *loop) result() *Result {
	r := &Result{Outcome: l.fold.outcome}
	if r.Outcome == astern.OutcomeContinued {
		r.Child = l.fold.child
	}
	return r
}

// launch runs the action beside the loop.
func (l *loop) launch(ctx context.Context, a Action, ahead bool) {
	key := l.begin(a, ahead)
	l.owner.Go(func() { l.answers <- answer{key, ahead, Perform(ctx, l.World, l.Execution, a)} })
}

// begin notes that an action is under way.
func (l *loop) begin(a Action, ahead bool) (key string) {
	key = a.Key()
	l.busy[key] = a.Kind == CheckRound
	if ahead {
		l.ahead++
	}
	return key
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
