package labtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/lab"
)

// calm is a plan that was made and carried out undisturbed.
type calm struct {
	making, doing []call
	effects       map[string]int
	others        []string
}

// undisturbed makes the plan and carries it out once. Of a plan that `go test -run` leaves out there is no call.
func (x *table) undisturbed(p Plan) (out calm) {
	x.Helper()
	x.T.Run(strings.ReplaceAll(p.Name, " ", "_")+"/undisturbed", func(t *testing.T) {
		a := x.account(t)
		w := p.New(t, a)
		d := process(t, w)
		since := a.last()
		route, err := w.Route(t.Context(), d)
		if err != nil {
			t.Fatalf("making the plan: %v (%s)", err, astern.HintOf(err))
		}
		out.making = callsOf(a.ours(since), true, nil)
		since = a.last()
		e := begin(t, a, w, d, route)
		e.recording = true
		if outcome, holds := e.run(); outcome != astern.OutcomeDone {
			t.Fatalf("undisturbed it ends %q, held by %+v:\n%s", outcome, holds, e.story())
		}
		if is := w.Reached(); is != "" {
			t.Fatalf("undisturbed it does not reach its end: %s", is)
		}
		x.countWindows(e)
		repeated := e.repeated()
		out.doing, out.effects = callsOf(a.ours(since), false, repeated), a.effects(w, since)
		for _, o := range w.Others {
			out.others = append(out.others, o.Name)
		}
		if len(out.doing) == 0 || len(out.effects) == 0 {
			t.Fatal("it has no call or no effect")
		}
		if w.Pause != nil && !e.paused {
			t.Fatalf("the operator never pauses it:\n%s", e.story())
		}
		t.Logf("%d calls to make it and %d to carry it out, of which %d repeat others, with %d effects: %v", len(out.making), len(out.doing), len(repeated),
			len(out.effects), out.effects)
	})
	return out
}

// cases are all that follow from the calls. Somebody else comes only while a plan is carried out: what they did before it was
// made is what it is made for.
func (c calm) cases(p Plan) []someCase {
	var out []someCase
	for _, one := range slices.Concat(c.making, c.doing) {
		for _, m := range mishaps {
			if one.repeated {
				break
			}
			out = append(out, someCase{plan: p, call: one, mishap: m, calm: c})
		}
		if !one.making {
			for _, o := range c.others {
				out = append(out, someCase{plan: p, call: one, other: o, calm: c})
			}
		}
	}
	return out
}

// meets carries out one case.
func (x *table) meets(t *testing.T, c someCase) {
	a := x.account(t)
	w := c.plan.New(t, a)
	d := process(t, w)
	kind := "cases_" + string(c.mishap)
	if c.other != "" {
		kind = "cases_somebody else"
	}
	x.count(strings.ReplaceAll(kind, " ", "_"))
	switch {
	case c.call.making:
		x.count("ended_" + c.making(t, a, w, d))
	case c.other != "":
		x.count("ended_" + c.disturbed(t, a, w, d))
	default:
		x.count("ended_" + c.doing(t, a, w, d))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rule puts the fault in force.
func rule(t testing.TB, a *Account, f lab.Fault) {
	t.Helper()
	_, err := a.AddFault(f)
	must(t, err)
}

// making is a fault while the plan is made: the plan is the same then, or less and says so, or refused, and can be made as soon as
// it is over.
func (c someCase) making(t *testing.T, a *Account, w World, d astern.Driver) string {
	want, err := w.Route(t.Context(), d)
	must(t, err)
	since := a.last()
	rule(t, a, c.mishap.fault(c.call))
	d = process(t, w)
	got, err := w.Route(t.Context(), d)
	if !a.hit() {
		t.Fatalf("there was no call %s", c.call)
	}
	a.ClearFaults()
	how := "planned"
	switch {
	case err == nil && steps(got) != steps(want):
		how = "planned_with_a_note"
		action := awsapi.Action(c.call.service, c.call.operation)
		if !slices.ContainsFunc(got.Notes, func(n string) bool { return strings.Contains(n, action) }) {
			t.Errorf("the plan is another one, and does not tell of %s:\n%s", action, cmp.Diff(steps(want), steps(got)))
		}
	case err != nil:
		how = "not_planned"
		if astern.CodeOf(err) == astern.Internal || c.mishap == delayed || c.mishap == throttled {
			t.Errorf("the plan is refused: %v", err)
		}
		if action := awsapi.Action(c.call.service, c.call.operation); c.mishap == denied && !strings.Contains(err.Error(), action) {
			t.Errorf("the refusal does not name %s: %v", action, err)
		}
	}
	if n := a.effects(w, since); len(n) > 0 {
		t.Errorf("making it changed %v", n)
	}
	if got, err = w.Route(t.Context(), process(t, w)); err != nil || steps(got) != steps(want) {
		t.Errorf("afterwards the plan is %s (%v)", steps(got), err)
	}
	return how
}

// steps is what a route does, without when its facts were seen and what it notes.
func steps(r astern.Route) string {
	r.Notes = nil
	r.Facts = slices.Clone(r.Facts)
	for i := range r.Facts {
		r.Facts[i].Seen = time.Time{}
	}
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// planned makes the plan and begins it.
func planned(t *testing.T, a *Account, w World, d astern.Driver) *execution {
	t.Helper()
	route, err := w.Route(t.Context(), d)
	if err != nil {
		t.Fatalf("making the plan: %v", err)
	}
	return begin(t, a, w, d, route)
}

// doing is a fault while the plan is carried out: by itself or resumed it comes to its end.
func (c someCase) doing(t *testing.T, a *Account, w World, d astern.Driver) string {
	e := planned(t, a, w, d)
	since := a.last()
	e.renew = c.mishap == throttled
	rule(t, a, c.mishap.fault(c.call))
	outcome, holds := e.run()
	if !a.hit() {
		t.Fatalf("there was no call %s:\n%s", c.call, e.story())
	}
	how := "done"
	for n := 0; outcome == "" && n < 2; n++ {
		how = "resumed"
		c.held(t, e, holds)
		outcome, holds = e.resume()
	}
	if outcome != astern.OutcomeDone {
		t.Fatalf("it ends %q, held by %+v:\n%s", outcome, holds, e.story())
	}
	if how == "resumed" && c.mishap == delayed {
		t.Errorf("a reply that is late holds it:\n%s", e.story())
	}
	if diff := cmp.Diff(c.calm.effects, a.effects(w, since)); diff != "" {
		t.Errorf("the effects are not as undisturbed (-undisturbed +now):\n%s%s", diff, e.story())
	}
	if is := w.Reached(); is != "" {
		t.Errorf("in the end %s:\n%s", is, e.story())
	}
	return how
}

// held is a state in which a person is asked: every reason says why, and cancel works.
func (c someCase) held(t *testing.T, e *execution, holds []engine.HoldReason) {
	t.Helper()
	if len(holds) == 0 {
		t.Fatalf("it holds without a reason:\n%s", e.story())
	}
	for _, h := range holds {
		action := awsapi.Action(c.call.service, c.call.operation)
		if h.Text == "" || c.mishap == denied && !strings.Contains(h.Text, action) {
			t.Errorf("held as %s because of %q, want %s in it", h.Kind, h.Text, action)
		}
	}
	if outcome, holds := e.cancelled(); outcome != astern.OutcomeCancelled {
		t.Errorf("cancelled, it ends %q, held by %+v:\n%s", outcome, holds, e.story())
	}
}

// disturbed is somebody else who does something just before the call: that is kept, and the plan ends or can be cancelled.
// (Where a call has no condition, that window is measured elsewhere; here it must be told.)
func (c someCase) disturbed(t *testing.T, a *Account, w World, d astern.Driver) string {
	e := planned(t, a, w, d)
	since := a.last()
	i := slices.IndexFunc(w.Others, func(o Other) bool { return o.Name == c.other })
	other := w.Others[i]
	var failed error
	rule(t, a, lab.Fault{Service: c.call.service, Operation: c.call.operation, Nth: c.call.nth, Count: 1, Meanwhile: func() { failed = other.Do() }})
	outcome, holds := e.run()
	if !a.hit() {
		t.Fatalf("there was no call %s:\n%s", c.call, e.story())
	}
	if failed != nil {
		t.Fatalf("%s: %v", c.other, failed)
	}
	once := func(again string) {
		for what, n := range a.effects(w, since) {
			if what == again {
				n--
			}
			if n > c.calm.effects[what] {
				t.Errorf("%s was done once more than undisturbed:\n%s", what, e.story())
			}
		}
	}
	how := "done_beside_somebody"
	if outcome == "" {
		how = "cancelled"
		c.held(t, e, holds)
		once("")
		if outcome, holds = e.resume(); outcome == "" { // a person who tries once more is told again
			c.held(t, e, holds)
		}
	}
	if how == "cancelled" {
		once(other.Undoes)
	} else {
		once("")
	}
	if other.Window == c.call.operation { // there is no condition: the step says what it met
		if outcome == astern.OutcomeDone && !strings.Contains(e.story(), "somebody else") {
			t.Errorf("what somebody did in the window is not told:\n%s", e.story())
		}
		return "in_the_window"
	}
	if is := other.Kept(); is != "" {
		t.Errorf("what somebody did is overwritten: %s:\n%s", is, e.story())
	}
	return how
}

// Differs is for Reached and Kept: it says how something differs from what it should be, "" when it does not.
func Differs[T comparable](what string, is, want T) string {
	if is == want {
		return ""
	}
	return fmt.Sprintf("%s is %v, want %v", what, is, want)
}
