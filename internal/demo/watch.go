package demo

import (
	"context"
	"slices"
	"sync"
	"time"
)

// change is an instance that was seen to run another release than before.
type change struct {
	at                time.Time
	service, instance string
	version           string
}

// watch asks every instance for its version all the time, from outside, and remembers the changes.
type watch struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	changes []change
}

const watchInterval = 50 * time.Millisecond

// startWatch begins to watch; the caller must stop it.
func startWatch(ctx context.Context, s *shop, t *timeline) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{cancel: cancel}
	w.wg.Go(func() {
		last := map[string]string{}
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for {
			w.look(s, t, last)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return w
}

func (w *watch) look(s *shop, t *timeline, last map[string]string) {
	for _, v := range s.site.Services {
		for _, in := range v.Instances {
			now := s.version(in)
			if now == "" || now == last[in.Name] {
				continue
			}
			if last[in.Name] != "" {
				t.say("%s now answers as %s", in.Name, now)
			}
			last[in.Name] = now
			w.mu.Lock()
			w.changes = append(w.changes, change{time.Now(), v.Name, in.Name, now})
			w.mu.Unlock()
		}
	}
}

func (w *watch) stop() {
	w.cancel()
	w.wg.Wait()
}

// since returns the changes seen from the moment on.
func (w *watch) since(at time.Time) []change {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.changes, func(c change) bool { return !c.at.Before(at) })
	if i < 0 {
		return nil
	}
	return slices.Clone(w.changes[i:])
}
