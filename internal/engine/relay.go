package engine

import (
	"context"
	"sync"
	"time"
)

// Where steps go one after another, the loop would only wait for the one action that is due, and to hand it to another
// goroutine and its answer back costs more than most of the engine's own work. So the goroutine of the loop performs such
// an action itself. If that takes its time, another goroutine goes on with the loop, so that people are heard.

// patience is how long the loop stands still for an action at least; at most it is twice as long.
const patience = time.Millisecond

// relay passes the loop on to another goroutine.
type relay struct {
	mu   sync.Mutex
	last int64 // number of the last action that the loop performed itself
	now  int64 // of the one that it performs now, or 0
	set  bool  // a timer is
}

// begin numbers an action and makes sure that somebody goes on with the loop unless it ends soon. A timer is set for many
// actions, for to set one costs as much as is to be spared.
func (r *relay) begin(another func()) (number int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	r.now = r.last
	if !r.set {
		r.wait(another)
	}
	return r.now
}

// wait looks a little later whether the action that is performed now still is.
func (r *relay) wait(another func()) {
	r.set = true
	number := r.last
	time.AfterFunc(patience, func() {
		if r.pass(number, another) {
			another()
		}
	})
}

// pass reports whether the action of that number is still performed: then the loop goes to the caller.
func (r *relay) pass(number int64, another func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set = false
	switch r.now {
	case number:
		r.now = 0
		return true
	case 0:
		if r.last != number {
			r.wait(another)
		}
	default:
		r.wait(another)
	}
	return false
}

// end reports whether the loop was passed on while the action of that number was performed.
func (r *relay) end(number int64) (passed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now != number {
		return true
	}
	r.now = 0
	return false
}

// alone performs an action on the goroutine of the loop. When it reports passed, another has gone on with the loop and gets
// the answer.
func (l *loop) alone(ctx context.Context, a Action, ahead bool, another func()) (_ answer, passed bool) {
	l.owner.Add(1)
	defer l.owner.Done()
	got := answer{key: l.begin(a, ahead), ahead: ahead}
	number := l.relay.begin(another)
	got.records = Perform(ctx, l.World, l.Execution, a)
	if passed = l.relay.end(number); passed {
		l.answers <- got
	}
	return got, passed
}
