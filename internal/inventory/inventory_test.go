package inventory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/inventory"
)

// observer is a function that observes.
type observer func(ctx context.Context, c astern.Component, scope astern.Scope) (astern.State, error)

func (o observer) Observe(ctx context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
	return o(ctx, c, scope)
}

func state(c astern.Component) astern.State {
	return astern.State{Address: c.Address(), Values: map[string]astern.Value{"revision": {Text: "v1"}}}
}

func component(name, kind string) astern.Component {
	return astern.Component{Environment: "p", Name: name, Kind: kind}
}

var drivers = map[string]observer{
	"good": func(_ context.Context, c astern.Component, _ astern.Scope) (astern.State, error) {
		return state(c), nil
	},
	"slow": func(ctx context.Context, c astern.Component, _ astern.Scope) (astern.State, error) {
		select {
		case <-time.After(time.Minute):
			return state(c), nil
		case <-ctx.Done():
			return state(c), astern.Errorf(astern.Unavailable, "%s did not answer: %w", c.Address(), context.Cause(ctx))
		}
	},
	"failing": func(_ context.Context, c astern.Component, _ astern.Scope) (astern.State, error) {
		return state(c), astern.Errorf(astern.Invalid, "its settings are wrong")
	},
	"panicking": func(context.Context, astern.Component, astern.Scope) (astern.State, error) {
		panic("index out of range")
	},
	"empty": nil,
}

func of(kind string) (astern.Observer, bool) {
	o, ok := drivers[kind]
	if o == nil {
		return nil, ok
	}
	return o, ok
}

// TestAsk: components are asked side by side; one that can't be asked hides no other, and none comes out of order.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var components []astern.Component
		for i, kind := range []string{"slow", "failing", "good", "panicking", "slow", "no.such", "empty", "good"} {
			components = append(components, component(fmt.Sprint("c", i), kind))
		}
		began := time.Now()
		seen := inventory.Ask(t.Context(), components, of, astern.Scope{})
		if took := time.Since(began); took != time.Minute {
			t.Errorf("asking took %s: the slow ones were not asked side by side", took)
		}
		if len(seen) != len(components) {
			t.Fatalf("%d of %d", len(seen), len(components))
		}
		for i, s := range seen {
			if s.Component.Name != components[i].Name {
				t.Errorf("%s stands where %s should", s.Component.Name, components[i].Name)
			}
			want := map[string]struct {
				code astern.Code
				says string
			}{"failing": {astern.Invalid, "its settings are wrong"}, "panicking": {astern.Internal, "observing p/c3: the driver panicked: index out of range"},
				"no.such": {astern.Invalid, "p/c5 is of kind no.such"}, "empty": {astern.Internal, "observing p/c6: the driver panicked"}}[components[i].Kind]
			if want.code == "" {
				if s.Trouble != nil || !cmp.Equal(s.State, state(components[i])) {
					t.Errorf("%s %s: %v, %v", s.Component.Name, s.Component.Kind, s.State, s.Trouble)
				}
				continue
			}
			if astern.CodeOf(s.Trouble) != want.code || !strings.Contains(s.Trouble.Error(), want.says) || !cmp.Equal(s.State, astern.State{}) {
				t.Errorf("%s %s: %v, %v", s.Component.Name, s.Component.Kind, s.State, s.Trouble)
			}
		}
	})
}

// TestAskCancelled: whoever asks may stop; what was seen by then stays.
func TestAskCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		began := time.Now()
		seen := inventory.Ask(ctx, []astern.Component{component("a", "slow"), component("b", "good")}, of, astern.Scope{})
		if took := time.Since(began); took != time.Second {
			t.Errorf("it stopped after %s", took)
		}
		if !errors.Is(seen[0].Trouble, why) || !cmp.Equal(seen[0].State, astern.State{}) || seen[1].Trouble != nil {
			t.Errorf("seen: %+v", seen)
		}
	})
}

// TestAskScope: the scope reaches every driver; asking for nothing is no call.
func TestAskScope(t *testing.T) {
	var got []string
	o := observer(func(_ context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
		got = scope.Paths
		return state(c), nil
	})
	inventory.Ask(t.Context(), []astern.Component{component("a", "x")}, func(string) (astern.Observer, bool) { return o, true }, astern.Scope{Paths: []string{"revision"}})
	if !cmp.Equal(got, []string{"revision"}) {
		t.Errorf("asked for %v", got)
	}
	if seen := inventory.Ask(t.Context(), nil, of, astern.Scope{}); len(seen) != 0 {
		t.Errorf("seen of nothing: %v", seen)
	}
}
