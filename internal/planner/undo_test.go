package planner_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/planner"
)

// TestUndoThereAndBack: the undo of each sort of plan leads back to where it began, and is a plan.
func TestUndoThereAndBack(t *testing.T) {
	shared := shop()
	shared.shared, shared.drain = true, true
	shared.instances = []instance{{"shop-1", "web-1", "v1.2.3"}, {"shop-2", "web-1", "v1.2.3"}, {"shop-3", "web-2", "v1.2.3"}}
	mixed := shop()
	mixed.instances[0].link = "v1.2.1"
	for name, c := range map[string]struct {
		service service
		in      astern.Intent
		proven  bool
	}{
		"half":     {shop(), astern.Intent{Verb: astern.VerbRollback, Revision: "v1.2.2", Percent: 50}, true},
		"shared":   {shared, rollback("v1.2.2"), true},
		"deployed": {shop(), astern.Intent{Verb: astern.VerbDeploy, Revision: "v1.2.2"}, true},
		"mixed":    {mixed, rollback("v1.2.2"), false},
		"several":  {shop(), astern.Intent{Verb: astern.VerbRollback, Moment: moment(10), Addresses: []string{"production/shop", "production/stock"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			u := undone(t, c.service, c.in)
			for _, err := range planfile.Validate(u) {
				t.Error(err)
			}
			if proven := slices.ContainsFunc(u.Stages, func(st astern.Stage) bool { return st.Title == "validate" }); proven != c.proven {
				t.Errorf("validated: %v, notes %q", proven, u.Notes)
			}
			steps, last := u.Stages[0].Steps, -1
			for i, s := range steps {
				if s.Kind == "ledger" {
					last = i
				} else if last >= 0 {
					t.Errorf("%s comes after the ledger's %s: what the ledger says follows what the world is", s.ID, steps[last].ID)
				}
			}
			for _, f := range u.Facts {
				if len(f.Steps) != 1 || !strings.Contains(f.Path, "/link") || !f.Seen.Equal(now) {
					t.Errorf("fact %+v", f)
				}
			}
			if len(u.Facts) == 0 {
				t.Error("it rests on nothing")
			}
		})
	}
}

// doneStep is one step that was done, of the shop.
func doneStep(kind, verb string, undo astern.Undo, args map[string]astern.Arg, image astern.Image) planner.Done {
	s := &astern.Step{ID: "1.x", Address: "production/shop", Kind: kind, Verb: verb, Undo: undo}
	return planner.Done{Step: s, Call: astern.Call{Step: "1.x", Address: s.Address, Kind: kind, Verb: verb, Args: args, Image: image}}
}

func undoRequest() (planner.Request, astern.Plan) {
	s := shop()
	r := request(astern.Intent{Verb: astern.VerbUndo, Execution: "ex-1"}, s, stock())
	return r, astern.Plan{Moves: []astern.Move{{Address: "production/shop", Kind: "host.service", From: "v1.2.3", To: "v1.2.2"}}}
}

func TestUndoOfLedgerSteps(t *testing.T) {
	of := map[string]astern.Arg{"revision": astern.Text("v1.2.3")}
	for _, c := range []struct {
		verb string
		undo astern.Undo
		img  astern.Image
		want string
	}{
		{"latch", astern.UndoInverse, nil, "release v1.2.3"},
		{"release", astern.UndoInverse, nil, "latch v1.2.3"},
		{"record", astern.UndoInverse, astern.Image{"current": "v1.2.1"}, "record v1.2.1"},
		{"record", astern.UndoInverse, astern.Image{"current": ""}, ""},
		{"known-good", astern.UndoNone, nil, ""},
		{"known-good", astern.UndoInverse, nil, ""},
	} {
		r, parent := undoRequest()
		p, err := planner.Undo(r, parent, []planner.Done{doneStep("ledger", c.verb, c.undo, of, c.img)})
		if c.want == "" {
			if astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "did nothing that could be undone") {
				t.Errorf("%s: %v", c.verb, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.verb, err)
			continue
		}
		s := p.Stages[0].Steps[0]
		if got := s.Verb + " " + s.Args["revision"].String(); got != c.want || s.Undo != astern.UndoInverse || s.Args["reason"].String() != "undo of ex-1" {
			t.Errorf("%s is undone by %s, %+v", c.verb, got, s)
		}
		for _, err := range planfile.Validate(p) {
			t.Errorf("%s: %v", c.verb, err)
		}
	}
}

func TestUndoRefusals(t *testing.T) {
	swap := func() planner.Done {
		d := doneStep("host.service", "swap", astern.UndoInverse, nil, nil)
		return d
	}
	impossible := doneStep("host.service", "swap", astern.UndoImpossible, nil, nil)
	because := doneStep("host.service", "swap", astern.UndoImpossible, nil, nil)
	because.Step.UndoBecause = "no release was there before"
	for name, c := range map[string]struct {
		done   []planner.Done
		change func(*planner.Request, *astern.Plan)
		code   astern.Code
		says   string
	}{
		"nothing done":         {nil, nil, astern.Refused, "ex-1 did nothing"},
		"only what needs none": {[]planner.Done{doneStep("host.service", "restart", astern.UndoNone, nil, nil)}, nil, astern.Refused, "ex-1 did nothing"},
		"point of no return":   {[]planner.Done{impossible}, nil, astern.Refused, "it is a point of no return"},
		"with its reason":      {[]planner.Done{because}, nil, astern.Refused, "no release was there before"},
		"the driver can't":     {[]planner.Done{swap()}, nil, astern.Invalid, "finding the inverse of 1.x"},
		"component gone": {[]planner.Done{swap()}, func(r *planner.Request, _ *astern.Plan) { r.Parts = r.Parts[1:] }, astern.NotFound,
			"no component production/shop any more"},
		"component of the ledger gone": {[]planner.Done{doneStep("ledger", "latch", astern.UndoInverse, nil, nil)},
			func(r *planner.Request, _ *astern.Plan) { r.Parts = r.Parts[1:] }, astern.NotFound, "no component production/shop any more"},
		"component of a move gone": {[]planner.Done{doneStep("ledger", "latch", astern.UndoInverse, nil, nil)},
			func(_ *planner.Request, p *astern.Plan) { p.Moves[0].Address = "production/cart" }, astern.NotFound, "no component production/cart any more"},
		"component in trouble": {[]planner.Done{swap()}, func(r *planner.Request, _ *astern.Plan) { r.Parts[0].Trouble = "timed out" },
			astern.Unavailable, "could not be observed: timed out"},
		"a check that can't be bound": {[]planner.Done{doneStep("ledger", "latch", astern.UndoInverse, map[string]astern.Arg{"revision": astern.Text("v1.2.3")}, nil)},
			func(r *planner.Request, p *astern.Plan) {
				p.Fleets = []astern.Fleet{{Address: "production/shop", Members: []string{"shop-9"}}}
			}, astern.Invalid, "uses {address}"},
	} {
		t.Run(name, func(t *testing.T) {
			r, parent := undoRequest()
			if c.change != nil {
				c.change(&r, &parent)
			}
			p, err := planner.Undo(r, parent, c.done)
			if astern.CodeOf(err) != c.code || err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error is %v (%s), not %q (%s)", err, astern.CodeOf(err), c.says, c.code)
			}
			if !cmp.Equal(p, astern.Plan{}) {
				t.Error("there is half a plan beside the error")
			}
		})
	}
}

// inverting is a router whose inverses are those given.
type inverting struct {
	bent
	steps []astern.Step
}

func (i inverting) Undo(astern.Component, astern.Call, map[string]astern.Arg) ([]astern.Step, error) {
	return i.steps, nil
}

// TestUndoIDs: ids of inverse steps stay apart whatever their local names are, and references follow them.
func TestUndoIDs(t *testing.T) {
	r, parent := undoRequest()
	step := func(id string) astern.Step {
		return astern.Step{ID: id, Address: "production/shop", Kind: "host.service", Verb: "swap", Title: "x", Undo: astern.UndoNone, Attempts: 1, TimeoutSeconds: 1}
	}
	first, second := step("3.back"), step("7-back")
	first.Outputs = map[string]string{"was": "string"}
	second.Guards, second.Args = []string{"3.back"}, map[string]astern.Arg{"was": {Ref: &astern.Ref{From: "3.back", Output: "was", In: "x-{}"}}}
	second.Sets = []astern.Set{{Path: "link", Value: astern.OutputOf("3.back", "was")}}
	r.Parts[0].Router = inverting{steps: []astern.Step{first, second, step("8-back")}}
	given := slices.Clone(r.Parts[0].Router.(inverting).steps)
	d := doneStep("host.service", "swap", astern.UndoInverse, nil, nil)
	d.Left = []astern.Fact{{Address: "production/shop", Path: "link", Value: "v1.2.2"}}
	older := doneStep("host.service", "swap", astern.UndoInverse, nil, nil)
	older.Left = []astern.Fact{{Address: "production/shop", Path: "link", Value: "older"}}
	p, err := planner.Undo(r, parent, []planner.Done{d, older})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range planfile.Validate(p) {
		t.Error(err)
	}
	var ids []string
	for _, s := range p.Stages[0].Steps {
		ids = append(ids, s.ID)
	}
	want := []string{"1.undo-1-back", "1.undo-1-7-back", "1.undo-1-8-back", "1.undo-2-back", "1.undo-2-7-back", "1.undo-2-8-back"}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	s := p.Stages[0].Steps[1]
	if s.Guards[0] != ids[0] || *s.Args["was"].Ref != (astern.Ref{From: ids[0], Output: "was", In: "x-{}"}) || s.Sets[0].Value.Ref.From != ids[0] {
		t.Errorf("references of %+v", s)
	}
	if diff := cmp.Diff(given, r.Parts[0].Router.(inverting).steps); diff != "" {
		t.Errorf("the driver's steps were changed:\n%s", diff)
	}
	if len(p.Facts) != 1 || p.Facts[0].Value != "v1.2.2" || !cmp.Equal(p.Facts[0].Steps, ids[:1]) {
		t.Errorf("the last step to set a path speaks for it: %+v", p.Facts)
	}
}

// TestUndoKeepsCauses: an error of the driver keeps its hint and its chain.
func TestUndoKeepsCauses(t *testing.T) {
	r, parent := undoRequest()
	r.Parts[0].Router = failing{}
	_, err := planner.Undo(r, parent, []planner.Done{doneStep("host.service", "swap", astern.UndoInverse, nil, nil)})
	if !errors.Is(err, errDriver) {
		t.Errorf("the error is %v", err)
	}
}

var errDriver = errors.New("the driver says no")

type failing struct{ bent }

func (failing) Undo(astern.Component, astern.Call, map[string]astern.Arg) ([]astern.Step, error) {
	return nil, errDriver
}
