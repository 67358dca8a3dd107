package app

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/notice"
	"github.com/astern-dev/astern/internal/notify"
	"github.com/astern-dev/astern/internal/secret"
)

const (
	// passTime bounds one pass of Deliver.
	passTime = 40 * time.Second
	// passMost is how many of the notices that wait for a channel one pass looks at, the oldest.
	passMost = 1000
	// lease is how long a notice is left to whoever took it in order to send it: longer than one attempt.
	lease = 3 * notify.Timeout
)

// Delivered is what one pass came to.
type Delivered struct {
	Sent    int `json:"sent"`
	Waiting int `json:"waiting"`  // still to be sent, later
	GivenUp int `json:"given_up"` // in this pass: nobody was told
	// Failed says for each channel why the last attempt failed.
	Failed map[string]string `json:"failed,omitempty"`
}

// Deliver sends what is due: the channels side by side, each in its order. It takes at most a minute. Several processes may do
// so at once; what one was sending as it died, another one sends again, with the same id, when its lease is over. It is an
// error when the state can't be read or written, never when a channel can't be reached.
func (a *App) Deliver(ctx context.Context) (Delivered, error) {
	out := Delivered{Failed: map[string]string{}}
	if !a.post.delivering.TryLock() { // a second pass of this process would find the same
		return out, nil
	}
	defer a.post.delivering.Unlock()
	swept := error(nil)
	if len(a.System.Channels) > 0 {
		swept = a.sweep(ctx)
	}
	all, err := a.Store.Dispatches(ctx, a.Now().Add(-2*notice.Window))
	if err != nil {
		return out, errors.Join(swept, fmt.Errorf("reading the outbox: %w", err))
	}
	by, heads := map[string][]astern.Dispatch{}, map[string]int{}
	for _, d := range all {
		if d.State == astern.DispatchWaiting && d.With == 0 {
			if heads[d.Channel]++; heads[d.Channel] > passMost {
				out.Waiting++
				continue
			}
		}
		by[d.Channel] = append(by[d.Channel], d)
	}
	sender := notify.New(func(s astern.Secret) (astern.SecretValue, error) { return secret.Resolve(s, a.System.Folder) }, a.Now)
	defer sender.Close()
	ctx, cancel := context.WithTimeout(ctx, passTime)
	defer cancel()
	var (
		owner sync.WaitGroup
		mu    sync.Mutex
		errs  = []error{swept}
	)
	for _, c := range a.System.Channels {
		mine := by[c.Name]
		delete(by, c.Name)
		if len(mine) == 0 {
			continue
		}
		owner.Go(func() {
			w := courier{app: a, channel: c, sender: sender, all: mine}
			err := w.run(ctx)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			out.Sent, out.Waiting, out.GivenUp = out.Sent+w.sent, out.Waiting+w.waiting(), out.GivenUp+w.givenUp
			if w.failed != "" {
				out.Failed[c.Name] = w.failed
			}
		})
	}
	owner.Wait()
	for channel, orphans := range by {
		n, err := a.abandon(ctx, channel, orphans)
		out.GivenUp += n
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// deafFor is how far back a silent channel is looked for.
const deafFor = 7 * 24 * time.Hour

// Deaf returns the declared channels by which nobody is told now.
func (a *App) Deaf(ctx context.Context) ([]astern.DeafChannel, error) {
	all, err := a.Store.Dispatches(ctx, a.Now().Add(-deafFor))
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	all = slices.DeleteFunc(all, func(d astern.Dispatch) bool {
		return !slices.ContainsFunc(a.System.Channels, func(c astern.Channel) bool { return c.Name == d.Channel })
	})
	return notice.Deaf(all), nil
}

// abandon gives up what waits for a channel that astern.yaml no longer declares.
func (a *App) abandon(ctx context.Context, channel string, all []astern.Dispatch) (n int, err error) {
	for _, d := range all {
		if d.State != astern.DispatchWaiting {
			continue
		}
		if err := a.Store.SettleDispatch(ctx, d.N, astern.DispatchGivenUp, "astern.yaml declares no channel "+channel, time.Time{}, a.Now()); err != nil {
			return n, fmt.Errorf("giving up a notice for %s: %w", channel, err)
		}
		n++
	}
	return n, nil
}

// courier carries what waits for one channel.
type courier struct {
	app     *App
	channel astern.Channel
	sender  *notify.Sender
	all     []astern.Dispatch

	sent, givenUp int
	failed        string
}

// run sends one message after the other until nothing is due, or the channel fails.
func (c *courier) run(ctx context.Context) error {
	for ctx.Err() == nil {
		m, ok := notice.Next(c.all, c.app.Now())
		if !ok {
			return nil
		}
		now := c.app.Now()
		taken, err := c.app.Store.TryDispatch(ctx, m.N, m.With, now, now.Add(lease))
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case !taken: // another process sends; what it does not get done, the next pass does
			return nil
		}
		note, err := c.sender.Send(ctx, c.channel, notify.Message(m.Notices))
		state, next := c.outcome(m, err)
		why := note
		if err != nil {
			why = fmt.Sprintf("telling %s (%s): %v", c.channel.Name, c.channel.Kind(), err)
			c.failed = why
		}
		// Also when we are told to stop: whether it was sent must not be forgotten.
		if err := c.settle(context.WithoutCancel(ctx), m, state, why, next); err != nil {
			return err
		}
	} // after a failure the channel rests, and nothing is due
	return nil
}

// outcome decides what becomes of a message.
func (c *courier) outcome(m notice.Message, err error) (state astern.DispatchState, next time.Time) {
	if err == nil {
		return astern.DispatchSent, time.Time{}
	}
	now := c.app.Now()
	var f *notify.Failure
	if errors.As(err, &f) && f.Hopeless || now.Sub(m.QueuedAt) >= notice.GiveUp {
		return astern.DispatchGivenUp, time.Time{}
	}
	if astern.CodeOf(err) == astern.Interrupted { // nobody's fault
		return astern.DispatchWaiting, now
	}
	after := time.Duration(0)
	if f != nil {
		after = f.After
	}
	return astern.DispatchWaiting, now.Add(notice.Wait(m.Tries+1, after, rand.Float64()))
}

// settle writes the outcome down, here as in the store.
func (c *courier) settle(ctx context.Context, m notice.Message, state astern.DispatchState, why string, next time.Time) error {
	now := c.app.Now()
	if err := c.app.Store.SettleDispatch(ctx, m.N, state, why, next, now); err != nil {
		return err
	}
	for i := range c.all {
		d := &c.all[i]
		if d.N != m.N && d.With != m.N && !slices.Contains(m.With, d.N) || d.State != astern.DispatchWaiting {
			continue
		}
		if d.N == m.N {
			d.Tries++
		} else {
			d.With = m.N
		}
		d.State, d.Error, d.Next, d.SettledAt = state, why, next, now
		switch state {
		case astern.DispatchSent:
			c.sent++
		case astern.DispatchGivenUp:
			c.givenUp++
		}
	}
	return nil
}

// waiting is how many are still to be sent.
func (c *courier) waiting() int {
	n := 0
	for _, d := range c.all {
		if d.State == astern.DispatchWaiting {
			n++
		}
	}
	return n
}

// TryChannel sends a message that says that it is a test, past the outbox.
func (a *App) TryChannel(ctx context.Context, name string) error {
	for _, c := range a.System.Channels {
		if c.Name != name {
			continue
		}
		sender := notify.New(func(s astern.Secret) (astern.SecretValue, error) { return secret.Resolve(s, a.System.Folder) }, a.Now)
		defer sender.Close()
		id := newID() + newID()
		n := a.stamped(astern.Notice{Token: "test/" + id, Topic: "test-" + id, Event: astern.NoticeTest, At: a.Now(), By: a.By,
			Title: "a test by " + a.By + ": nothing happened", Lines: []string{"whoever reads this is told by channel " + name}})
		note, err := sender.Send(ctx, c, notify.Message{n})
		if err != nil {
			return fmt.Errorf("telling %s (%s): %w", c.Name, c.Kind(), err)
		}
		if note != "" {
			return astern.Errorf(astern.NotReady, "telling %s (%s): %s", c.Name, c.Kind(), note)
		}
		return nil
	}
	e := astern.Errorf(astern.NotFound, "there is no channel %s", name)
	if names := a.channelNames(); len(names) > 0 {
		return e.WithHint("astern.yaml declares: %s", strings.Join(names, ", "))
	}
	return e.WithHint("declare one under notify in astern.yaml")
}
