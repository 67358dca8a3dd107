// Package inventory asks every driver at once what is there. One component that can't be reached never hides the others.
package inventory

import (
	"context"
	"sync"

	"github.com/astern-dev/astern"
)

// Seen is what was seen of one component. Trouble is set, and State empty, when nothing could be asked at all.
type Seen struct {
	Component astern.Component
	State     astern.State
	Trouble   error
}

// atOnce is how many components are asked at the same time. It bounds memory, open files and connections when a system
// has thousands of components, and is far above what keeps a network or a disk busy.
const atOnce = 256

// Each calls f for 0 to n-1, at most atOnce of them side by side, and waits for all.
func Each(n int, f func(i int)) {
	var wait sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	wait.Wait()
}

// Ask observes the components side by side, in full when paths is empty, and returns one Seen for each, in order.
func Ask(ctx context.Context, components []astern.Component, observer func(kind string) (astern.Observer, bool), scope astern.Scope) []Seen {
	out := make([]Seen, len(components))
	Each(len(components), func(i int) {
		c := components[i]
		out[i].Component = c
		o, ok := observer(c.Kind)
		if !ok {
			out[i].Trouble = astern.Errorf(astern.Invalid, "%s is of kind %s, which this astern does not know", c.Address(), c.Kind)
			return
		}
		out[i].State, out[i].Trouble = observe(ctx, o, c, scope)
	})
	return out
}

// observe asks one driver; a driver that panics is one that could not be asked.
func observe(ctx context.Context, o astern.Observer, c astern.Component, scope astern.Scope) (s astern.State, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = astern.State{}, astern.Errorf(astern.Internal, "observing %s: the driver panicked: %v", c.Address(), p)
		}
	}()
	if s, err = o.Observe(ctx, c, scope); err != nil {
		return astern.State{}, err
	}
	return s, nil
}
