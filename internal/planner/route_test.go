package planner_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/planner"
)

// fixed is a router of another kind: its routes are given.
type fixed struct {
	bent
	route astern.Route
}

func (f fixed) Route(astern.Component, astern.State, astern.Target, astern.Options) (astern.Route, error) {
	return f.route, nil
}

func plainStep(id string) astern.Step {
	return astern.Step{ID: id, Address: "production/table", Kind: "jsonexec", Verb: "set", Title: id, Undo: astern.UndoInverse, Command: "true",
		Attempts: 1, TimeoutSeconds: 10, HoldSeconds: 10, Estimate: astern.Estimate{MedianSeconds: 1}}
}

// table is a component of another kind, at r:2 after r:1.
func table(rt astern.Route, checks ...astern.Check) planner.Request {
	c := astern.Component{Environment: "production", Name: "table", Kind: "jsonexec", Checks: checks}
	at := daysAgo(3)
	p := planner.Part{Component: c, Router: fixed{route: rt}, State: astern.State{Address: c.Address(), Values: map[string]astern.Value{
		"revision": {Text: "r:2", At: seen}, "release/r:1": {Text: "sha256:1", At: seen}}},
		Targets: []astern.Target{{Address: c.Address(), Revision: "r:1", Readiness: astern.Ready, KnownGoodAt: &at, DeployedAt: &at}}}
	for i := range c.Checks {
		c.Checks[i].Address = c.Address()
	}
	return planner.Request{System: "x", ID: "x", Now: now, Asked: astern.Asked{By: "ana", Way: "cli", At: now}, Parts: []planner.Part{p},
		Intent: astern.Intent{Verb: astern.VerbRollback, Addresses: []string{c.Address()}, Percent: 50, BakeSeconds: 100}}
}

func valid(t *testing.T, p astern.Plan) {
	t.Helper()
	for _, err := range planfile.Validate(p) {
		t.Error(err)
	}
}

// TestOtherKinds: revisions with a colon, stages without members, references between stages, no fleet.
func TestOtherKinds(t *testing.T) {
	first, second, third := plainStep("start"), plainStep("shift"), plainStep("shift")
	first.Outputs = map[string]string{"task": "string"}
	second.Guards, second.Args = []string{"start"}, map[string]astern.Arg{"task": {Ref: &astern.Ref{From: "start", Output: "task", In: "arn:{}"}}}
	third.Guards, third.Sets = []string{"shift", "start"}, []astern.Set{{Path: "revision", Value: astern.OutputOf("start", "task")}}
	third.Guards = []string{"start"}
	rt := astern.Route{From: "r:2", Stages: []astern.Stage{
		{Title: "half", Steps: []astern.Step{first, second}, OnFailure: astern.OnFailureHold},
		{Title: "rest", Steps: []astern.Step{third}, OnFailure: astern.OnFailureHold}},
		Facts: []astern.Fact{{Path: "revision", Value: "r:2", Seen: seen, Steps: []string{"start", "shift"}}}}
	r := table(rt, checkFront(), checkHealth())
	r.Parts[0].Component.Checklist = []astern.ChecklistItem{{Item: "health", Check: "health"}, {Item: "mine"}}
	p := plan(t, r)
	valid(t, p)
	if id := p.Stages[0].Steps[0].ID; id != "1.latch-table.r+2" {
		t.Errorf("the latch is %s", id)
	}
	shift, again := p.Stages[1].Steps[1], p.Stages[2].Steps[0]
	if shift.Guards[0] != "2.start" || *shift.Args["task"].Ref != (astern.Ref{From: "2.start", Output: "task", In: "arn:{}"}) {
		t.Errorf("references of %+v", shift)
	}
	if again.Guards[0] != "2.start" || again.Sets[0].Value.Ref.From != "2.start" {
		t.Errorf("references of %+v", again)
	}
	if diff := cmp.Diff([]string{"2.start", "2.shift", "3.shift"}, p.Facts[0].Steps); diff != "" {
		t.Errorf("the fact's steps (-want +got):\n%s", diff)
	}
	if g := p.Stages[1].Gate; g == nil || g.BakeSeconds != 100 || len(g.Checks) != 0 || !noted(p, "nothing is checked while stage 2 bakes") {
		t.Errorf("gate %+v, notes %q", g, p.Notes)
	}
	if g := p.Stages[2].Gate; g == nil || g.BakeSeconds != 0 || !cmp.Equal(g.Checks, []string{"error-rate"}) {
		t.Errorf("gate %+v", g)
	}
	for _, item := range p.Checklist[0].Items { // health is made for each member, of which there is none
		if (item.Check != "") != (item.Item == "error-rate") {
			t.Errorf("item %+v", item)
		}
	}
	if rt.Stages[0].Steps[0].ID != "start" || rt.Facts[0].Steps[0] != "start" || rt.Stages[0].Gate != nil {
		t.Errorf("the driver's route was changed: %+v", rt)
	}
}

// TestShareBakes: while two revisions share the calls, the checks are those that ask the new revision itself, and going
// forward those that no revision may fail.
func TestShareBakes(t *testing.T) {
	rt := astern.Route{From: "r:2", Stages: []astern.Stage{
		{Title: "half", Steps: []astern.Step{plainStep("shift")}, OnFailure: astern.OnFailureHold, Gate: &astern.Gate{Checks: []string{}, BakeSeconds: 60, TimeoutSeconds: 90}},
		{Title: "rest", Steps: []astern.Step{plainStep("move")}, OnFailure: astern.OnFailureHold}}}
	itself, expects := checkFront(), checkFront()
	itself.Name, itself.Share, itself.HTTP = "itself", true, &astern.HTTPCheck{URL: "http://front.example.com/at/{revision}"}
	expects.Name, expects.HTTP = "expects", &astern.HTTPCheck{URL: "http://front.example.com/", Contains: "{revision}"}
	for verb, want := range map[astern.Verb][]string{astern.VerbDeploy: {"error-rate", "itself"}, astern.VerbRollback: {"itself"}} {
		r := table(rt, checkFront(), itself, expects, checkHealth(), checkSmoke())
		r.Intent.Verb, r.Intent.Revision = verb, "r:1"
		p := plan(t, r)
		valid(t, p)
		var gates []*astern.Gate
		for _, st := range p.Stages {
			if strings.HasPrefix(st.Title, "table: half") || strings.HasPrefix(st.Title, "table: rest") {
				gates = append(gates, st.Gate)
			}
		}
		if len(gates) != 2 || gates[0] == nil || !cmp.Equal(gates[0].Checks, want) || gates[0].BakeSeconds != 60 {
			t.Errorf("%s: while half of the calls go there: %+v, want %q", verb, gates[0], want)
		}
		if gates[1] == nil || !cmp.Equal(gates[1].Checks, []string{"error-rate", "itself", "expects"}) {
			t.Errorf("%s: at the end: %+v", verb, gates[1])
		}
		if noted(p, "nothing is checked") {
			t.Errorf("%s: notes %q", verb, p.Notes)
		}
	}
}

// TestBake: what bakes is as the route says; where it says nothing, each stage of members but the last.
func TestBake(t *testing.T) {
	stage := func(to int, gate *astern.Gate) astern.Stage {
		st := astern.Stage{Title: "x", Steps: []astern.Step{plainStep("s")}, OnFailure: astern.OnFailureHold, Gate: gate}
		if to > 0 {
			st.Each = &astern.Each{Address: "production/table", From: to - 1, To: to}
		}
		return st
	}
	fleet := &astern.Fleet{Address: "production/table", Members: []string{"a", "b", "c"}}
	for name, c := range map[string]struct {
		route astern.Route
		want  []int64
	}{
		"copies first":    {astern.Route{From: "r:2", Fleet: fleet, Stages: []astern.Stage{stage(0, nil), stage(1, nil), stage(2, nil), stage(3, nil)}}, []int64{0, 100, 100, 0}},
		"the route's own": {astern.Route{From: "r:2", Fleet: fleet, Stages: []astern.Stage{stage(1, nil), stage(2, &astern.Gate{BakeSeconds: 7}), stage(3, nil)}}, []int64{0, 7, 0}},
		"no fleet":        {astern.Route{From: "r:2", Stages: []astern.Stage{stage(0, nil), stage(0, nil)}}, []int64{100, 0}},
	} {
		p := plan(t, table(c.route, checkSelf()))
		valid(t, p)
		var got []int64
		for _, st := range p.Stages[1 : 1+len(c.want)] {
			secs := int64(0)
			if st.Gate != nil {
				secs = st.Gate.BakeSeconds
			}
			got = append(got, secs)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: bakes (-want +got):\n%s", name, diff)
		}
	}
	wide := plan(t, table(astern.Route{From: "r:2", Fleet: fleet, Stages: []astern.Stage{stage(1, nil), stage(2, nil), stage(3, nil)}}, checkSelf()))
	if diff := cmp.Diff([]string{"self@a", "self@b"}, wide.Stages[2].Gate.Checks); diff != "" {
		t.Errorf("the second gate judges those moved so far (-want +got):\n%s", diff)
	}
}

// checkSelf is made for each member and needs no address.
func checkSelf() astern.Check {
	return astern.Check{Name: "self", TCP: &astern.TCPCheck{Address: "{member}.example.com:80"}, Each: true, Effects: astern.EffectsNone,
		TimeoutSeconds: 1, Attempts: 1}
}

// TestDriverFaults: a route that is not sound is a fault of the driver, and said as such.
func TestDriverFaults(t *testing.T) {
	rt := astern.Route{From: "r:2", Stages: []astern.Stage{{Title: "x", Steps: []astern.Step{plainStep("s")}, OnFailure: astern.OnFailureHold}},
		Facts: []astern.Fact{{Path: "revision", Value: "r:2", Steps: []string{"s", "nowhere"}}}}
	_, err := planner.Plan(table(rt))
	if astern.CodeOf(err) != astern.Internal || !strings.Contains(err.Error(), `"nowhere"`) || !strings.Contains(astern.HintOf(err), "jsonexec") {
		t.Errorf("the error is %v (%s)", err, astern.HintOf(err))
	}
}

// TestNoChecks: a component at which nothing looks is proven by nothing. No minutes are spent on watching it, it is not marked
// known-good, and the plan says so. Its signals look at it while it is watched; a check with effects once only.
func TestNoChecks(t *testing.T) {
	measured := astern.Estimate{MedianSeconds: 65, LowSeconds: 64, HighSeconds: 66, Runs: 3} // with the 60 s of the watch
	effects := checkSmoke()
	for name, c := range map[string]struct {
		checks  []astern.Check
		signals []astern.Signal
		before  bool
		watch   int64
		stages  string
		median  float64
		reason  string
		note    string
	}{
		"nothing":                 {before: true, watch: 60, stages: "record", median: 5, note: "is not marked known-good, for no check and no signal looks at it"},
		"nothing, and no watch":   {before: true, stages: "record", median: 65, note: "is not marked known-good, for no check and no signal looks at it"},
		"a signal":                {signals: []astern.Signal{{Name: "errors"}}, watch: 60, stages: "record watch", median: 65, note: "is not marked known-good, for no check proves it"},
		"a signal, and no watch":  {signals: []astern.Signal{{Name: "errors"}}, before: true, stages: "record", median: 65, note: "for no check proves it"},
		"effects":                 {checks: []astern.Check{effects}, watch: 60, stages: "record validate", median: 5, note: "for no check and no signal looks at it"},
		"effects, and known-good": {checks: []astern.Check{effects}, before: true, watch: 60, stages: "record validate known-good", median: 5, reason: "validated"},
		"a check": {checks: []astern.Check{checkFront()}, watch: 60, stages: "record validate watch known-good", median: 65,
			reason: "validated and watched for 60 s"},
	} {
		r := table(astern.Route{From: "r:2", Stages: []astern.Stage{{Title: "x", Steps: []astern.Step{plainStep("s")}, OnFailure: astern.OnFailureHold}}}, c.checks...)
		r.Intent.Percent, r.Intent.BakeSeconds, r.Intent.WatchSeconds, r.Intent.Revision, r.Measured = 100, 0, c.watch, "r:1", measured
		r.Parts[0].Component.Signals = c.signals
		if !c.before {
			r.Parts[0].Targets[0].KnownGoodAt = nil
		}
		p := plan(t, r)
		valid(t, p)
		var titles []string
		for _, st := range p.Stages[2:] { // after the latch and the move itself
			titles = append(titles, strings.TrimPrefix(st.Title, "table: "))
		}
		watches := int64(0)
		if slices.Contains(titles, "watch") {
			watches = 60
		}
		if got := strings.Join(titles, " "); got != c.stages || p.Intent.WatchSeconds != watches || p.Estimate.MedianSeconds != c.median {
			t.Errorf("%s: stages %q, watched for %d s, takes %v s; notes %q", name, got, p.Intent.WatchSeconds, p.Estimate.MedianSeconds, p.Notes)
		}
		if got := stepOf(p, "known-good-table").Args["reason"]; c.reason != "" && got.String() != c.reason {
			t.Errorf("%s: known-good because %q", name, got)
		}
		if c.note != "" && !noted(p, c.note) || noted(p, "the watch of 60 s is left out") != (c.watch > watches) || noted(p, "table: nothing proves that it works") != (c.checks == nil) {
			t.Errorf("%s: the notes are %q", name, p.Notes)
		}
	}
}

// TestEffects: checks with effects are steps, one for each member where they are made so, with ids of their own.
func TestEffects(t *testing.T) {
	effect := func(name string, c astern.Check) astern.Check {
		c.Name, c.Effects, c.TimeoutSeconds, c.Attempts = name, astern.EffectsSome, 3, 2
		return c
	}
	rt := astern.Route{From: "r:2", Fleet: &astern.Fleet{Address: "production/table", Members: []string{"b-c", "c"}}, Stages: []astern.Stage{
		{Title: "x", Steps: []astern.Step{plainStep("s")}, OnFailure: astern.OnFailureHold, Each: &astern.Each{Address: "production/table", To: 2}}}}
	r := table(rt,
		effect("a", astern.Check{TCP: &astern.TCPCheck{Address: "{member}:80"}, Each: true}),
		effect("a-b", astern.Check{TCP: &astern.TCPCheck{Address: "{member}:80"}, Each: true}),
		effect("book", astern.Check{HTTP: &astern.HTTPCheck{URL: "http://x/a b", Method: "POST", Body: `{"it's": 1}`}}),
		effect("get", astern.Check{HTTP: &astern.HTTPCheck{URL: "http://x/{revision}", Method: "GET"}}),
		effect("run", astern.Check{Command: &astern.CommandCheck{Argv: []string{"./x", "", "it's"}}}))
	r.Intent.Percent, r.Intent.BakeSeconds = 100, 0
	p := plan(t, r)
	valid(t, p)
	got := map[string]string{}
	for _, st := range p.Stages {
		if st.Title != "validate" {
			continue
		}
		if st.Gate == nil || len(st.Gate.Checks) != 0 {
			t.Errorf("its gate %+v repeats checks with effects", st.Gate)
		}
		for _, s := range st.Steps {
			got[s.ID+" "+s.Args["check"].String()] = s.Command
		}
	}
	want := map[string]string{"4.check-a+b-c a@b-c": "nc -z b-c:80", "4.check-a+c a@c": "nc -z c:80", "4.check-a-b+b-c a-b@b-c": "nc -z b-c:80",
		"4.check-a-b+c a-b@c": "nc -z c:80", "4.check-book book": `curl -fsS -X POST --data-binary '{"it'\''s": 1}' 'http://x/a b'`,
		"4.check-get get": "curl -fsS http://x/r:1", "4.check-run run": `./x '' 'it'\''s'`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// TestLongNames: the longest names make ids that a plan may have.
func TestLongNames(t *testing.T) {
	s := shop()
	s.name = strings.Repeat("n", 63)
	bad, good := "v"+strings.Repeat("9", 127), "v"+strings.Repeat("8", 127)
	s.checks, s.ready, s.checklist, s.dependsOn = nil, nil, nil, nil
	s.releases, s.events = []string{bad, good}, slices.Concat(ran(s.name, good, 9, true), ran(s.name, bad, 3, true))
	for i := range s.instances {
		s.instances[i].link = bad
	}
	r := request(rollback(""), s)
	p := plan(t, r)
	valid(t, p)
	w := newSimulation(t, r)
	u, err := planner.Undo(func() planner.Request {
		r.Intent = astern.Intent{Verb: astern.VerbUndo, Execution: "ex-1", Addresses: r.Intent.Addresses, Percent: 100}
		return r
	}(), p, w.carryOut(p))
	if err != nil {
		t.Fatal(err)
	}
	valid(t, u)
}

// TestUnbindable: a check that can't be bound is an error wherever it is made.
func TestUnbindable(t *testing.T) {
	rt := astern.Route{From: "r:2", Fleet: &astern.Fleet{Address: "production/table", Members: []string{"a"}}, Stages: []astern.Stage{
		{Title: "x", Steps: []astern.Step{plainStep("s")}, OnFailure: astern.OnFailureHold, Each: &astern.Each{Address: "production/table", To: 1}}}}
	effects := checkHealth()
	effects.Effects = astern.EffectsSome
	for _, k := range []astern.Check{checkHealth(), effects} {
		if _, err := planner.Plan(table(rt, k)); astern.CodeOf(err) != astern.Invalid || !strings.Contains(err.Error(), "{address}") {
			t.Errorf("%s with effects %s: %v", k.Name, k.Effects, err)
		}
	}
}

// TestNoEvidence: a target for which nothing speaks is refused with just that.
func TestNoEvidence(t *testing.T) {
	r := table(astern.Route{})
	r.Intent.Revision = "r:1"
	r.Parts[0].Targets[0].Readiness = astern.ReadyUnknown
	if _, err := planner.Plan(r); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "unknown: there is no evidence") {
		t.Errorf("the error is %v", err)
	}
	r.Intent.Revision, r.Parts[0].Targets = "r:9", nil
	if _, err := planner.Plan(r); astern.CodeOf(err) != astern.NotFound || strings.HasSuffix(astern.HintOf(err), ": ") {
		t.Errorf("the error is %v (%s)", err, astern.HintOf(err))
	}
}

// TestDanglingReference: what no step has stays as it is, for the laws of plans to refuse.
func TestDanglingReference(t *testing.T) {
	step := plainStep("s")
	step.Guards = []string{"elsewhere"}
	p := plan(t, table(astern.Route{From: "r:2", Stages: []astern.Stage{{Title: "x", Steps: []astern.Step{step}, OnFailure: astern.OnFailureHold}}}))
	if errs := planfile.Validate(p); len(errs) != 1 || !strings.Contains(errs[0].Error(), `its guard "elsewhere" is not in the plan`) {
		t.Errorf("the laws say %v", errs)
	}
}
