package planner_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/planner"
)

func rollback(to string) astern.Intent {
	return astern.Intent{Verb: astern.VerbRollback, Revision: to}
}

// TestRefusals: what can't or may not be done is refused with the class of error that tells a person what is wrong.
func TestRefusals(t *testing.T) {
	newYear := time.Date(2020, 1, 1, 3, 30, 0, 0, time.FixedZone("", -5*3600))
	silentAll := func() service {
		s := shop()
		s.silent = map[string]string{"web-1": "web-1: no route", "web-2": "web-2: no route"}
		return s
	}
	with := func(change func(*service)) func() service {
		return func() service { s := shop(); change(&s); return s }
	}
	for name, c := range map[string]struct {
		service func() service
		in      astern.Intent
		change  func(*planner.Request)
		code    astern.Code
		says    string
	}{
		"latched target": {with(func(s *service) { s.events = append(s.events, latched("shop", "v1.2.2", 5, "it loses orders")...) }),
			rollback("v1.2.2"), nil, astern.Refused, "v1.2.2 is latched: it loses orders"},
		"latched deployment": {with(func(s *service) { s.events = append(s.events, latched("shop", "v1.2.1", 5, "slow")...) }),
			astern.Intent{Verb: astern.VerbDeploy, Revision: "v1.2.1"}, nil, astern.Refused, "v1.2.1 is latched: slow"},
		"latched at the moment": {with(func(s *service) { s.events = append(s.events, latched("shop", "v1.2.2", 5, "slow")...) }),
			astern.Intent{Verb: astern.VerbRollback, Moment: moment(10)}, nil, astern.Refused, "v1.2.2 is latched"},
		"broken target":  {with(func(s *service) { s.changed = []string{"v1.2.2"} }), rollback("v1.2.2"), nil, astern.Refused, "were changed"},
		"unknown target": {half, rollback("v1.2.2"), nil, astern.Refused, "unknown: the releases on web-2"},
		"members left out": {half, astern.Intent{Verb: astern.VerbDeploy, Revision: "v1.2.2"}, nil, astern.Refused,
			"could not be observed: shop-2 (web-2: connection timed out)"},
		"nobody to be seen":    {silentAll, rollback("v1.2.2"), func(r *planner.Request) { r.WithoutUnreachable = true }, astern.Refused, "no member"},
		"unknown component":    {shop, astern.Intent{Verb: astern.VerbRollback, Addresses: []string{"production/cart"}}, nil, astern.NotFound, "no component production/cart"},
		"component in trouble": {shop, rollback("v1.2.2"), func(r *planner.Request) { r.Parts[0].Trouble = "no such kind" }, astern.Unavailable, "no such kind"},
		"unknown revision":     {shop, rollback("v9"), nil, astern.NotFound, "no revision v9"},
		"revision for several": {shop, astern.Intent{Verb: astern.VerbRollback, Revision: "v1.2.2", Addresses: []string{"production/shop", "production/stock"}}, nil,
			astern.Invalid, "one revision can't be the target of 2"},
		"the same twice":      {shop, astern.Intent{Verb: astern.VerbRollback, Addresses: []string{"production/shop", "production/shop"}}, nil, astern.Invalid, "named twice"},
		"no component":        {shop, rollback("v1.2.2"), func(r *planner.Request) { r.Intent.Addresses = nil }, astern.Invalid, "no component was named"},
		"percent 0":           {shop, rollback("v1.2.2"), func(r *planner.Request) { r.Intent.Percent = 0 }, astern.Invalid, "not between 1 and 100"},
		"percent 101":         {shop, rollback("v1.2.2"), func(r *planner.Request) { r.Intent.Percent = 101 }, astern.Invalid, "not between 1 and 100"},
		"bake back":           {shop, rollback("v1.2.2"), func(r *planner.Request) { r.Intent.BakeSeconds = -1 }, astern.Invalid, "can't be negative"},
		"both targets":        {shop, astern.Intent{Verb: astern.VerbRollback, Revision: "v1.2.2", Moment: moment(3)}, nil, astern.Invalid, "exclude each other"},
		"bad revision":        {shop, rollback("../v1"), nil, astern.Invalid, "is not the name of a revision"},
		"deploy nothing":      {shop, astern.Intent{Verb: astern.VerbDeploy}, nil, astern.Invalid, "needs a revision"},
		"other verbs":         {shop, astern.Intent{Verb: astern.VerbRestore}, nil, astern.Invalid, `"restore" is not planned`},
		"undo by intent":      {shop, astern.Intent{Verb: astern.VerbUndo}, nil, astern.Invalid, `"undo" is not planned`},
		"there already":       {shop, rollback("v1.2.3"), nil, astern.Refused, "shop stays: it already runs v1.2.3"},
		"there at the moment": {shop, astern.Intent{Verb: astern.VerbRollback, Moment: moment(0.5)}, nil, astern.Refused, "shop stays"},
		"before the ledger":   {shop, astern.Intent{Verb: astern.VerbRollback, Moment: moment(300)}, nil, astern.Refused, "does not know what production/shop ran"},
		"before the ledger, by another clock": {shop, astern.Intent{Verb: astern.VerbRollback, Moment: &newYear}, nil, astern.Refused,
			"production/shop ran at 2020-01-01 08:30:00Z (03:30:00 -0500)"},
		"no way back": {with(func(s *service) { s.events = ran("shop", "v1.2.3", 1, true) }), rollback(""), nil, astern.NotReady,
			"v1.2.2 never completed a watch"},
		"nothing earlier": {with(func(s *service) { s.releases = []string{"v1.2.3"}; s.events = ran("shop", "v1.2.3", 1, true) }), rollback(""), nil,
			astern.NotReady, "there is no earlier revision"},
		"redeploy of a mix": {with(func(s *service) { s.instances[0].link = "v1.2.2" }), astern.Intent{Verb: astern.VerbRedeploy}, nil, astern.Refused,
			"runs no single known revision"},
		"no such way": {with(func(s *service) { s.missing = map[string][]string{"web-1": {"v1.2.9"}} }), astern.Intent{Verb: astern.VerbDeploy, Revision: "v1.2.9"}, nil,
			astern.Refused, "finding the way of production/shop to v1.2.9"},
		"ready check of nobody": {with(func(s *service) { s.ready = []string{"nope"} }), rollback("v1.2.2"), nil, astern.Invalid, "has no check nope"},
		"check without address": {shop, rollback("v1.2.2"), func(r *planner.Request) { delete(r.Parts[0].State.Values, "shop-2/address") },
			astern.Invalid, "uses {address}, which has no value"},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(c.in, c.service(), stock())
			if c.change != nil {
				c.change(&r)
			}
			p, err := planner.Plan(r)
			if err == nil {
				t.Fatalf("it makes a plan: %v", p.Moves)
			}
			if astern.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error is %q (%s), not %q (%s)", err, astern.CodeOf(err), c.says, c.code)
			}
			if nothing := strings.Contains(c.says, "stays"); nothing != errors.Is(err, astern.ErrNothingToDo) {
				t.Errorf("ErrNothingToDo: %v", err)
			}
			if !cmp.Equal(p, astern.Plan{}) {
				t.Errorf("there is half a plan beside the error")
			}
		})
	}
}

// TestWarnings: a target that is at risk may be gone to by name; the plan says what it is.
func TestWarnings(t *testing.T) {
	s := shop()
	s.events = slices.Concat(ran("shop", "v1.2.1", 30, true), ran("shop", "v1.2.2", 20, false), ran("shop", "v1.2.3", 1, false))
	p := plan(t, request(rollback("v1.2.2"), s, stock()))
	if !noted(p, "shop v1.2.2 is at risk: it never completed a watch") {
		t.Errorf("the notes are %q", p.Notes)
	}
	if p.Moves[0].Readiness != astern.AtRisk || len(p.Moves[0].Evidence) == 0 {
		t.Errorf("the move is %+v", p.Moves[0])
	}
}

func noted(p astern.Plan, part string) bool {
	return slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, part) })
}

// TestNewestGood: without a name the target is the newest ready known-good revision that ran before what runs now.
func TestNewestGood(t *testing.T) {
	four := func(change func(*service)) service {
		s := shop()
		s.releases = append(s.releases, "v1.2.4")
		s.events = append(s.events, ran("shop", "v1.2.4", 0.5, true)...)
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		service service
		to      string
		latches []string
		says    string
	}{
		"newest": {shop(), "v1.2.2", []string{"v1.2.3"}, "v1.2.2 is the newest ready known-good revision"},
		"never forward": {four(func(*service) {}), "v1.2.2", []string{"v1.2.3"},
			"not newer: v1.2.4 was deployed after what runs"},
		"a mix goes to the older": {four(func(s *service) {
			s.events = append(s.events, ran("shop", "v1.2.3", 0.6, true)...)
			s.instances[0].link = "v1.2.4"
		}), "v1.2.3", []string{"v1.2.4"}, "v1.2.3 is the newest"},
		"a mix with the unknown": {four(func(s *service) {
			s.releases = append(s.releases, "v1.3.0")
			s.events = append(s.events, ran("shop", "v1.2.3", 0.4, true)...)
			s.instances[0].link = "v1.3.0"
		}), "v1.2.3", []string{"v1.3.0"}, "v1.2.3 is the newest"},
		"the ledger does not know what runs": {four(func(s *service) {
			s.events = slices.Concat(ran("shop", "v1.2.1", 30, true), ran("shop", "v1.2.2", 20, true))
		}),
			"v1.2.2", []string{"v1.2.3"}, "v1.2.2 is the newest"},
		"latched newer ones": {four(func(s *service) {
			s.instances = []instance{{"shop-1", "web-1", "v1.2.4"}, {"shop-2", "web-2", "v1.2.4"}}
			s.events = slices.Concat(s.events, ran("shop", "v1.2.4", 0.2, false), latched("shop", "v1.2.3", 0.3, "slow"), latched("shop", "v1.2.2", 0.2, "slower"))
		}), "v1.2.1", []string{"v1.2.4"}, "not newer: v1.2.3 is latched (slow); v1.2.2 is latched (slower)"},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan(t, request(rollback(""), c.service, stock()))
			if p.Moves[0].To != c.to || !noted(p, c.says) {
				t.Errorf("it goes to %s, not %s: %q", p.Moves[0].To, c.to, p.Notes)
			}
			var latches []string
			for _, s := range p.Stages[0].Steps {
				latches = append(latches, s.Args["revision"].String())
			}
			if diff := cmp.Diff(c.latches, latches); diff != "" {
				t.Errorf("latches (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMixture: every revision that is left is latched, before anything else and never the target.
func TestMixture(t *testing.T) {
	s := shop()
	s.instances = []instance{{"shop-1", "web-1", "v1.2.2"}, {"shop-2", "web-1", "v1.2.3"}, {"shop-3", "web-2", "v1.2.1"}, {"shop-4", "web-2", "v1.2.3"}}
	p := plan(t, request(rollback("v1.2.2"), s, stock()))
	var ids []string
	for i, st := range p.Stages {
		for _, s := range st.Steps {
			if s.Verb == "latch" {
				ids = append(ids, s.ID)
			}
			if (s.Verb == "latch") != (i == 0) {
				t.Errorf("step %s in stage %d", s.ID, i+1)
			}
		}
	}
	if diff := cmp.Diff([]string{"1.latch-shop.v1.2.1", "1.latch-shop.v1.2.3"}, ids); diff != "" {
		t.Errorf("latches (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"shop-2", "shop-3", "shop-4"}, p.Fleets[0].Members); diff != "" {
		t.Errorf("members that move (-want +got):\n%s", diff)
	}
	if !noted(p, "passed over: shop-1") {
		t.Errorf("the notes are %q", p.Notes)
	}
	for _, st := range p.Stages {
		if st.Title == "validate" && !slices.Contains(st.Gate.Checks, "version@shop-1") {
			t.Errorf("the member that was passed over is believed and not asked: %q", st.Gate.Checks)
		}
	}
}

// TestHalfRestarted: a component whose links are right and whose process is old has a way to go.
func TestHalfRestarted(t *testing.T) {
	s := shop()
	s.stale = map[string]string{"shop-2": "v1.2.2"}
	for _, in := range []astern.Intent{rollback("v1.2.3"), {Verb: astern.VerbRollback, Moment: moment(0.5)}} {
		p := plan(t, request(in, s, stock()))
		if diff := cmp.Diff([]string{"shop-2"}, p.Fleets[0].Members); diff != "" {
			t.Errorf("members that move (-want +got):\n%s", diff)
		}
		for _, err := range planfile.Validate(p) {
			t.Error(err)
		}
	}
}

// TestStays: of several components those that are there stay, and the plan says so.
func TestStays(t *testing.T) {
	s := stock()
	s.instances[0].link = "v1.2.2"
	s.events = append(s.events, ran("stock", "v1.2.2", 1, false)...)
	p := plan(t, request(astern.Intent{Verb: astern.VerbRollback, Moment: moment(10), Addresses: []string{"production/shop", "production/stock"}}, shop(), s))
	if len(p.Moves) != 1 || p.Moves[0].Address != "production/shop" || !noted(p, "stock stays: it already runs v1.2.2") {
		t.Errorf("moves %v, notes %q", p.Moves, p.Notes)
	}
	for _, err := range planfile.Validate(p) {
		t.Error(err)
	}
}

// TestApprovals: the number follows from the policy and from what is lost.
func TestApprovals(t *testing.T) {
	for _, c := range []struct {
		policy astern.Policy
		loss   []astern.Loss
		want   int
	}{
		{astern.Policy{Approvals: 1, ApprovalsOnLoss: 2}, nil, 1},
		{astern.Policy{Approvals: 1, ApprovalsOnLoss: 2}, []astern.Loss{{Address: "production/shop", Unit: "rows"}}, 1},
		{astern.Policy{Approvals: 1, ApprovalsOnLoss: 2}, []astern.Loss{{Address: "production/shop", Unit: "rows", Count: 3}}, 2},
		{astern.Policy{ApprovalsOnLoss: 2}, []astern.Loss{{Address: "production/shop", Unit: "rows", Unknown: "the table is gone"}}, 2},
		{astern.Policy{Approvals: 3, ApprovalsOnLoss: 2}, []astern.Loss{{Address: "production/shop", Unit: "rows", Count: 3}}, 3},
	} {
		r := request(rollback("v1.2.2"), shop(), stock())
		r.Policy = c.policy
		r.Parts[0].Router = bent{func(rt *astern.Route) { rt.Loss = c.loss }}
		p := plan(t, r)
		if p.Approvals != c.want || len(p.Loss) != len(c.loss) {
			t.Errorf("%+v with loss %v needs %d approvals, not %d", c.policy, c.loss, p.Approvals, c.want)
		}
		if want := now.Add(24 * time.Hour); !p.ExpiresAt.Equal(want) {
			t.Errorf("it expires at %s, not %s", p.ExpiresAt, want)
		}
	}
}

// bent is the driver's router with its routes changed.
type bent struct{ change func(*astern.Route) }

func (b bent) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	return router.Targets(c, s, h)
}

func (b bent) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	rt, err := router.Route(c, s, t, o)
	b.change(&rt)
	return rt, err
}

func (b bent) Undo(c astern.Component, call astern.Call, outputs map[string]astern.Arg) ([]astern.Step, error) {
	return router.Undo(c, call, outputs)
}

// TestEstimate: measured figures are taken as they are; a guess adds up the slowest lanes, side by side, and the waits.
func TestEstimate(t *testing.T) {
	r := request(rollback("v1.2.2"), shop(), stock())
	r.Measured = astern.Estimate{MedianSeconds: 41, LowSeconds: 30, HighSeconds: 90, Runs: 3}
	if p := plan(t, r); p.Estimate != r.Measured {
		t.Errorf("the estimate is %+v", p.Estimate)
	}
	steps := func(seconds ...float64) (out []astern.Step) {
		for i, s := range seconds {
			out = append(out, astern.Step{ID: fmt.Sprint("s", i), Estimate: astern.Estimate{MedianSeconds: s}})
		}
		return out
	}
	fleet := &astern.Fleet{Address: "production/shop", Members: []string{"a", "b", "c", "d", "e"}}
	each := func(to int) *astern.Each { return &astern.Each{Address: "production/shop", To: to} }
	for name, c := range map[string]struct {
		route astern.Route
		want  float64
	}{
		"one lane":          {astern.Route{Stages: []astern.Stage{{Steps: steps(1, 2, 3)}}}, 6},
		"side by side":      {astern.Route{Stages: []astern.Stage{{Steps: steps(1, 9, 3), Parallel: 2}}}, 18},
		"members":           {astern.Route{Fleet: fleet, Stages: []astern.Stage{{Steps: steps(1, 2), Each: each(5)}}}, 15},
		"members at a time": {astern.Route{Fleet: fleet, Stages: []astern.Stage{{Steps: steps(1, 2), Each: each(5), Parallel: 2}}}, 9},
		"bake":              {astern.Route{Stages: []astern.Stage{{Steps: steps(1), Gate: &astern.Gate{BakeSeconds: 60}}}}, 61},
		"not a fleet":       {astern.Route{Stages: []astern.Stage{{Steps: steps(1), Each: each(5)}}}, 0},
	} {
		if got := planner.Guess(c.route); got != c.want {
			t.Errorf("%s: the guess is %v s, not %v s", name, got, c.want)
		}
	}
}

// TestWatch: what is not watched, or for less than the policy demands, is not marked known-good, unless it was before.
func TestWatch(t *testing.T) {
	for _, c := range []struct {
		in     astern.Intent
		policy int64
		marked bool
	}{
		{astern.Intent{Verb: astern.VerbRollback, Revision: "v1.2.2", WatchSeconds: 1}, 1800, true},
		{astern.Intent{Verb: astern.VerbDeploy, Revision: "v1.3.0", WatchSeconds: 1}, 1800, false},
		{astern.Intent{Verb: astern.VerbDeploy, Revision: "v1.3.0", WatchSeconds: 1800}, 1800, true},
		{astern.Intent{Verb: astern.VerbDeploy, Revision: "v1.3.0", WatchSeconds: 1}, 0, true},
		{astern.Intent{Verb: astern.VerbDeploy, Revision: "v1.3.0"}, 0, false}, // not watched at all
	} {
		s := shop()
		s.releases = append(s.releases, "v1.3.0")
		r := request(c.in, s, stock())
		r.Policy.WatchSeconds = c.policy
		p := plan(t, r)
		last := p.Stages[len(p.Stages)-1]
		if marked := last.Title == "known-good"; marked != c.marked || marked == noted(p, "is not marked known-good") {
			t.Errorf("%s watched for %d s of %d s: the last stage is %s, notes %q", c.in.Verb, c.in.WatchSeconds, c.policy, last.Title, p.Notes)
		}
	}
}

// TestHashes: a deployment records the content that it saw, in place or at its source.
func TestHashes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*service)
		want   string
	}{
		"recorded": {func(s *service) { s.events = append(s.events, ran("shop", "v1.3.0", 9, false)...) }, "sha256:shop-v1.3.0"},
		"in place": {func(*service) {}, "sha256:shop-v1.3.0"},
		"at source": {func(s *service) {
			s.source = true
			s.missing = map[string][]string{"web-1": {"v1.3.0"}, "web-2": {"v1.3.0"}}
		}, "sha256:shop-v1.3.0"},
	} {
		s := shop()
		s.releases = append(s.releases, "v1.3.0")
		c.change(&s)
		p := plan(t, request(astern.Intent{Verb: astern.VerbDeploy, Revision: "v1.3.0"}, s, stock()))
		if got := stepOf(p, "record-shop").Args["hash"].String(); got != c.want {
			t.Errorf("%s: the hash is %q, not %q", name, got, c.want)
		}
	}
}

// stepOf returns the plan's step with that name.
func stepOf(p astern.Plan, name string) astern.Step {
	for _, st := range p.Stages {
		for _, s := range st.Steps {
			if strings.HasSuffix(s.ID, "."+name) {
				return s
			}
		}
	}
	return astern.Step{}
}

// TestLatchedInTheLedger: a revision that no driver shows is latched all the same.
func TestLatchedInTheLedger(t *testing.T) {
	s := shop()
	s.events = append(s.events, latched("shop", "v1.3.0", 2, "it burns")...)
	r := request(astern.Intent{Verb: astern.VerbDeploy, Revision: "v1.3.0"}, s, stock())
	r.Parts[0].Targets = slices.DeleteFunc(r.Parts[0].Targets, func(t astern.Target) bool { return t.Revision == "v1.3.0" })
	if _, err := planner.Plan(r); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "it burns") {
		t.Errorf("the error is %v", err)
	}
}

// TestPure: a plan leaves what it is made from alone, and is the same when it is made again.
func TestPure(t *testing.T) {
	for name, makePlan := range goldenPlans {
		first, second := makePlan(t), makePlan(t)
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("%s differs when it is made again:\n%s", name, diff)
		}
	}
}

func TestMembers(t *testing.T) {
	if diff := cmp.Diff([]string{"shop-1", "shop-2"}, planner.Members(shop().state())); diff != "" {
		t.Error(diff)
	}
}

// TestMarkable: where a revision lacks the mark known-good alone, the refusal names the command that marks the newest of them.
func TestMarkable(t *testing.T) {
	s := shop()
	s.events = slices.Concat(ran("shop", "v1.2.1", 30, false), ran("shop", "v1.2.2", 20, false), ran("shop", "v1.2.3", 1, false))
	_, err := planner.Plan(request(astern.Intent{Verb: astern.VerbRollback}, s, stock()))
	if want := "if v1.2.2 was good: astern record known-good production/shop v1.2.2 --reason …; "; astern.CodeOf(err) != astern.NotReady || !strings.HasPrefix(astern.HintOf(err), want) {
		t.Errorf("the error is %v (%s)", err, astern.HintOf(err))
	}
	s.changed = []string{"v1.2.2"} // what is broken is not offered
	s.events = append(s.events, latched("shop", "v1.2.1", 2, "it burns")...)
	if got := planner.Markable(s.part()); got != "" {
		t.Errorf("it offers %q", got)
	}
}

// stuck is a router that knows of no way.
type stuck struct{ bent }

func (stuck) Route(astern.Component, astern.State, astern.Target, astern.Options) (astern.Route, error) {
	return astern.Route{}, astern.Errorf(astern.Refused, "its files were changed")
}

// TestStaysInDoubt: what is there by its name, and can't be taken there again or was not all seen, is not done. It is in the way of
// nothing else.
func TestStaysInDoubt(t *testing.T) {
	doubted := func(r planner.Request, says ...string) {
		t.Helper()
		_, err := planner.Plan(r)
		if err == nil || errors.Is(err, astern.ErrNothingToDo) {
			t.Fatalf("there is nothing to do: %v", err)
		}
		for _, s := range says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("the error is %q, without %q", err, s)
			}
		}
	}
	then := astern.Intent{Verb: astern.VerbRollback, Moment: moment(0.5)}
	one := request(then, shop(), stock())
	one.Parts[0].Router = stuck{}
	doubted(one, "shows v1.2.3 already", "can't be taken there again", "its files were changed")

	then.Addresses = []string{"production/shop", "production/stock"}
	both := request(then, shop(), stock())
	both.Parts[0].Router = stuck{}
	doubted(both, "shop stays: it already runs v1.2.3, and can't be taken there again: its files were changed", "stock stays")

	unseen := request(rollback("v1.2.3"), shop(), stock())
	unseen.WithoutUnreachable = true
	unseen.Parts[0].Router = bent{func(rt *astern.Route) {
		rt.Stages, rt.Fleet = nil, &astern.Fleet{Address: "production/shop", LeftOut: []astern.LeftOut{{Member: "shop-2", Because: "no answer"}}}
	}}
	doubted(unseen, "shop-2 (no answer)")
}

// TestFailedBefore: a plan says that the last attempt to get there did not.
func TestFailedBefore(t *testing.T) {
	r := request(rollback("v1.2.2"), shop(), stock())
	r.Parts[0].Failed = map[string]string{"v1.2.2": "ex-5 was cancelled: no room", "v1.2.1": "ex-4 was cancelled"}
	if p := plan(t, r); !noted(p, "shop: it did not get to v1.2.2 before: ex-5 was cancelled: no room") || noted(p, "ex-4") {
		t.Errorf("the notes are %q", p.Notes)
	}
}
