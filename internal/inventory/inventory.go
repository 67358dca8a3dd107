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

// Ask observes the components side by side, in full when paths is empty, and returns one Seen for each, in order.
func Ask(ctx context.Context, components []astern.Component, observer func(kind string) (astern.Observer, bool), scope astern.Scope) []Seen {
	out := make([]Seen, len(components))
	var wait sync.WaitGroup
	for i, c := range components {
		out[i].Component = c
		o, ok := observer(c.Kind)
		if !ok {
			out[i].Trouble = astern.Errorf(astern.Invalid, "%s is of kind %s, which this astern does not know", c.Address(), c.Kind)
			continue
		}
		wait.Go(func() { out[i].State, out[i].Trouble = observe(ctx, o, c, scope) })
	}
	wait.Wait()
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
