package drivertest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	astern "github.com/astern-dev/astern"
)

// prompt is how soon a call returns whose context has ended. It is generous: machines that run tests are busy.
const prompt = 5 * time.Second

// observe returns what the driver sees now within the paths; none means everything.
func (r *run) observe(paths ...string) astern.State {
	r.Helper()
	s, err := r.driver.Observer.Observe(r.ctx, r.world.Component, astern.Scope{Paths: paths})
	if err != nil {
		r.Fatalf("observing %v: %v", paths, err)
	}
	return s
}

// texts returns a state without the times: path -> value as a person reads it.
func texts(s astern.State) map[string]string {
	out := map[string]string{}
	for p, v := range s.Values {
		out[p] = v.String()
	}
	return out
}

func lawObserveRepeats(r *run) {
	var first, second astern.State
	r.unchanged("Observe", func() { first, second = r.observe(), r.observe() })
	if diff := cmp.Diff(texts(first), texts(second)); diff != "" {
		r.Errorf("two observations of an unchanged world differ (-first +second):\n%s", diff)
	}
	if v, ok := first.Get("revision"); !ok || !v.Known() || v.Text != r.world.New {
		r.Errorf("the path revision shows %q, want %q", v, r.world.New)
	}
	for p, v := range first.Values {
		if !v.Known() {
			r.Errorf("%s is unknown in a healthy world: %s", p, v.Unknown)
		}
	}
}

// scopePaths is how many paths are asked one by one.
const scopePaths = 20

func lawObserveScope(r *run) {
	all := r.observe()
	paths := slices.Sorted(maps.Keys(all.Values))
	for _, p := range paths[:min(len(paths), scopePaths)] {
		want := map[string]string{p: all.Values[p].String()}
		if diff := cmp.Diff(want, texts(r.observe(p))); diff != "" {
			r.Errorf("asked for %q alone (-want +got):\n%s", p, diff)
		}
	}
	if diff := cmp.Diff(texts(all), texts(r.observe(paths...))); diff != "" {
		r.Errorf("asked for every path by name (-want +got):\n%s", diff)
	}
	for _, absent := range []string{"no-such-path", "no/such/path", "revision/below"} {
		if got := r.observe(absent); len(got.Values) != 0 {
			r.Errorf("asked for %q, which does not exist, Observe returned %v", absent, texts(got))
		}
	}
}

func lawObserveCancelled(r *run) {
	paths := slices.Sorted(maps.Keys(r.observe().Values))
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	began := time.Now()
	s, err := r.driver.Observer.Observe(ctx, r.world.Component, astern.Scope{Paths: paths})
	if took := time.Since(began); took > prompt {
		r.Errorf("Observe took %s although its context had ended", took)
	}
	if err != nil {
		return
	}
	for _, p := range paths {
		if _, ok := s.Get(p); !ok {
			r.Errorf("Observe with an ended context says that %s is absent; it does not know", p)
		}
	}
}

func lawObserveConcurrent(r *run) {
	const readers = 6
	states, errs := make([]astern.State, readers), make([]error, readers)
	var group sync.WaitGroup
	for i := range readers {
		group.Go(func() {
			states[i], errs[i] = r.driver.Observer.Observe(r.ctx, r.world.Component, astern.Scope{})
		})
	}
	group.Wait()
	for i := range readers {
		if errs[i] != nil {
			r.Fatalf("observing side by side: %v", errs[i])
		}
		if diff := cmp.Diff(texts(states[0]), texts(states[i])); diff != "" {
			r.Errorf("observations side by side differ:\n%s", diff)
		}
	}
}
