package lab

import (
	"context"
	"sync"
	"time"

	"github.com/astern-dev/astern"
)

// clock is the real one plus what it was stepped forward by. It never goes back, because what the account has done by
// one time can't be undone.
type clock struct {
	mu    sync.Mutex
	steps []step
}

// step is the moment of a step, by the real clock, and how far the lab was ahead from then on.
type step struct {
	real  time.Time
	ahead time.Duration
}

// reset makes the clock the real one again.
func (c *clock) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steps = nil
}

// Now returns the time by the lab's clock.
func (l *Lab) Now() time.Time { return l.when(time.Now()) }

// when turns a real time, for instance one that moto has stamped, into that of the lab's clock at that moment.
func (l *Lab) when(real time.Time) time.Time {
	l.clock.mu.Lock()
	defer l.clock.mu.Unlock()
	for i := len(l.clock.steps) - 1; i >= 0; i-- {
		if s := l.clock.steps[i]; !real.Before(s.real) {
			return real.Add(s.ahead)
		}
	}
	return real
}

// maxAhead keeps times within what all formats of time can say.
const maxAhead = 100 * 365 * 24 * time.Hour

// Step moves the clock forward and lets the account do what is due by then.
func (l *Lab) Step(ctx context.Context, by time.Duration) (time.Time, error) {
	if by <= 0 {
		return time.Time{}, astern.Errorf(astern.Invalid, "the lab's clock can't be stepped by %s: it only goes forward", by)
	}
	now := time.Now()
	from := l.when(now)
	l.clock.mu.Lock()
	ahead := by
	if n := len(l.clock.steps); n > 0 {
		ahead += l.clock.steps[n-1].ahead
	}
	if ahead > maxAhead || ahead < by {
		l.clock.mu.Unlock()
		return time.Time{}, astern.Errorf(astern.Invalid, "the lab's clock can't be stepped by %s: it would be more than a hundred years ahead", by)
	}
	l.clock.steps = append(l.clock.steps, step{now, ahead})
	l.clock.mu.Unlock()
	to := l.Now()
	for _, s := range l.sections() {
		if t, ok := s.(ticking); ok {
			t.tick(ctx, from, to)
		}
	}
	return to, nil
}
