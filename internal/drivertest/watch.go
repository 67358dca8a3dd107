package drivertest

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	astern "github.com/astern-dev/astern"

	"github.com/astern-dev/astern/internal/canary"
)

// watch wraps each ability so that everything it returns is looked at: valid, free of secrets, and the same after a way
// through JSON.
func watch(t testing.TB, d astern.Driver) astern.Driver {
	w := watcher{t}
	d.Observer = watchedObserver{w, d.Observer}
	d.Router = watchedRouter{w, d.Router}
	d.Actor = watchedActor{w, d.Actor}
	if d.Switcher != nil {
		d.Switcher = watchedSwitcher{d.Switcher, w}
	}
	if d.Picker != nil {
		d.Picker = watchedPicker{w, d.Picker}
	}
	if d.Claimer != nil {
		d.Claimer = watchedClaimer{w, d.Claimer}
	}
	if d.Discoverer != nil {
		d.Discoverer = watchedDiscoverer{w, d.Discoverer}
	}
	return d
}

type watcher struct{ t testing.TB }

// look checks one returned value and its error. It may be called from several goroutines.
func look[T any](w watcher, what string, v T, err error) {
	w.t.Helper()
	if err != nil {
		w.noSecret(what, []byte(err.Error()+" "+astern.HintOf(err)))
		return
	}
	first, err := json.Marshal(v)
	if err != nil {
		w.t.Errorf("%s returned what JSON can't hold: %v", what, err)
		return
	}
	w.noSecret(what, first)
	var back T
	if err := json.Unmarshal(first, &back); err != nil {
		w.t.Errorf("%s returned what JSON does not give back: %v\n%s", what, err, first)
		return
	}
	second, err := json.Marshal(back)
	if err != nil || !bytes.Equal(first, second) {
		w.t.Errorf("%s returned what is another value after a way through JSON (%v):\n%s\n%s", what, err, first, second)
	}
}

func (w watcher) noSecret(what string, text []byte) {
	w.t.Helper()
	for _, leak := range canary.Leaks(text) {
		w.t.Errorf("%s returned %s", what, leak) // never print the text: it holds the secret
	}
}

type watchedObserver struct {
	watcher
	inner astern.Observer
}

func (o watchedObserver) Observe(ctx context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
	s, err := o.inner.Observe(ctx, c, scope)
	look(o.watcher, "Observe", s, err)
	if err != nil {
		return s, err
	}
	if s.Address != c.Address() {
		o.t.Errorf("Observe returned the address %q instead of %q", s.Address, c.Address())
	}
	for path, v := range s.Values {
		if v.At.IsZero() || path == "" || (!v.Known() && v.Text != "") {
			o.t.Errorf("Observe: the value at %q needs a path, a time, and a text or a reason: %+v", path, v)
		}
	}
	return s, nil
}

type watchedRouter struct {
	watcher
	inner astern.Router
}

func (r watchedRouter) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	out := r.inner.Targets(c, s, h)
	look(r.watcher, "Targets", out, nil)
	return out
}

func (r watchedRouter) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	out, err := r.inner.Route(c, s, t, o)
	look(r.watcher, "Route", out, err)
	return out, err
}

func (r watchedRouter) Undo(c astern.Component, call astern.Call, outputs map[string]astern.Arg) ([]astern.Step, error) {
	out, err := r.inner.Undo(c, call, outputs)
	look(r.watcher, "Undo", out, err)
	return out, err
}

type watchedSwitcher struct {
	astern.Switcher
	watcher
}

func (s watchedSwitcher) Switch(c astern.Component, state astern.State, change astern.FlagChange) (astern.Target, error) {
	out, err := s.Switcher.Switch(c, state, change)
	look(s.watcher, "Switch", out, err)
	return out, err
}

type watchedPicker struct {
	watcher
	inner astern.Picker
}

func (p watchedPicker) Pick(c astern.Component, s astern.State, change astern.ObjectChange) (astern.Target, error) {
	out, err := p.inner.Pick(c, s, change)
	look(p.watcher, "Pick", out, err)
	return out, err
}

type watchedClaimer struct {
	watcher
	inner astern.Claimer
}

func (w watchedClaimer) Claim(ctx context.Context, c astern.Component, mine astern.Claim, seen map[string]astern.Claim, over []string) error {
	err := w.inner.Claim(ctx, c, mine, seen, over)
	look(w.watcher, "Claim", struct{}{}, err)
	return err
}

func (w watchedClaimer) Release(ctx context.Context, c astern.Component, mine astern.Claim, members []string) error {
	err := w.inner.Release(ctx, c, mine, members)
	look(w.watcher, "Release", struct{}{}, err)
	return err
}

type watchedDiscoverer struct {
	watcher
	inner astern.Discoverer
}

func (w watchedDiscoverer) Discover(ctx context.Context, places []string) ([]astern.Discovered, error) {
	out, err := w.inner.Discover(ctx, places)
	text, encodingErr := json.Marshal(out) // its settings are of the driver's own type, which no way through JSON gives back
	if encodingErr != nil {
		w.t.Errorf("Discover returned what JSON can't hold: %v", encodingErr)
	}
	if err != nil {
		text = append(text, err.Error()+" "+astern.HintOf(err)...)
	}
	w.noSecret("Discover", text)
	return out, err
}

type watchedActor struct {
	watcher
	inner astern.Actor
}

func (a watchedActor) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	out, err := a.inner.Before(ctx, call)
	look(a.watcher, "Before", out, err)
	return out, err
}

func (a watchedActor) Start(ctx context.Context, call astern.Call) astern.Op {
	out := a.inner.Start(ctx, call)
	a.op("Start", out)
	return out
}

func (a watchedActor) Poll(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	out := a.inner.Poll(ctx, call, op)
	a.op("Poll", out)
	return out
}

func (a watchedActor) Find(ctx context.Context, call astern.Call) astern.Found {
	out := a.inner.Find(ctx, call)
	look(a.watcher, "Find", out, nil)
	switch out.Answer {
	case astern.FoundYes:
		if out.Op == nil {
			a.t.Errorf("Find says yes without an Op")
		} else {
			a.op("Find", *out.Op)
		}
	case astern.FoundNo, astern.FoundUnknown:
		if out.Op != nil || (out.Answer == astern.FoundUnknown && out.Because == "") {
			a.t.Errorf("Find says %s: an Op belongs to yes only, and unknown needs its because: %+v", out.Answer, out)
		}
	default:
		a.t.Errorf("Find answers %q, which is none of yes, no, unknown", out.Answer)
	}
	return out
}

func (a watchedActor) op(what string, op astern.Op) {
	a.t.Helper()
	look(a.watcher, what, op, nil)
	switch op.Status {
	case astern.OpRunning, astern.OpDone:
		if op.Code != "" || op.Error != "" {
			a.t.Errorf("%s: an Op that is %s has no error: %+v", what, op.Status, op)
		}
	case astern.OpFailed, astern.OpUnsure:
		if op.Code == "" || op.Error == "" {
			a.t.Errorf("%s: an Op that is %s needs a code and an error: %+v", what, op.Status, op)
		}
	default:
		a.t.Errorf("%s: the status %q of an Op is none of running, done, failed, unsure", what, op.Status)
	}
	if op.Status != astern.OpDone && len(op.Outputs) > 0 {
		a.t.Errorf("%s: outputs belong to an Op that is done, not %s", what, op.Status)
	}
	for name, arg := range op.Outputs {
		if arg.Type() == "" {
			a.t.Errorf("%s: output %q is not a literal", what, name)
		}
	}
}
