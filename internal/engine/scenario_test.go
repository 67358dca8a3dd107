package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
)

func TestReferencesBecomeValues(t *testing.T) {
	a := stepOf("1.a", func(s *astern.Step) { s.Outputs = map[string]string{"table": "string", "n": "int", "list": "list"} })
	b := stepOf("2.b", func(s *astern.Step) {
		s.Args = map[string]astern.Arg{"plain": astern.Text("x"), "table": astern.OutputOf("1.a", "table"), "n": astern.OutputOf("1.a", "n"),
			"list": astern.OutputOf("1.a", "list"), "url": {Ref: &astern.Ref{From: "1.a", Output: "table", In: "jdbc:postgresql://{}/shop"}}}
	})
	play(t, planOf(astern.Stage{Steps: []astern.Step{a}}, astern.Stage{Steps: []astern.Step{b}}), func(s *scene) {
		s.world.start["1.a"] = does(outputs("table", "orders-2", "n", int64(7), "list", []string{"x", "y"}))
		s.ends(astern.OutcomeDone)
		want := map[string]astern.Arg{"plain": astern.Text("x"), "table": astern.Text("orders-2"), "n": astern.Int(7), "list": astern.List("x", "y"),
			"url": astern.Text("jdbc:postgresql://orders-2/shop")}
		call := s.world.call("2.b")
		if d := cmp.Diff(want, call.Args); d != "" {
			t.Error(d)
		}
		if call.Token != engine.Token(s.plan.ID, "2.b", 1) || call.Fence != 1 || call.Execution != "ex-1" || call.Image["of"] != "2.b" {
			t.Errorf("call %+v", call)
		}
	})
}

// TestIntentKeepsWhatThePlanDoesNotSay: in the journal stand the outputs that a step refers to, and none of the plan's arguments, however
// many lanes share them; a call that is asked after, undone or carried on by another engine has them all.
func TestIntentKeepsWhatThePlanDoesNotSay(t *testing.T) {
	both := map[string]astern.Arg{"places": astern.List("m0 local", "m1 local"), "was": astern.OutputOf("1.a", "was")}
	st := astern.Stage{Steps: []astern.Step{
		stepOf("1.a", func(s *astern.Step) { s.Args = map[string]astern.Arg{"places": both["places"]} }),
		stepOf("1.b", func(s *astern.Step) { s.Args = both })}}
	play(t, fleetOf(2, st), func(s *scene) {
		for _, m := range []string{"m0", "m1"} {
			s.world.start["1.a@"+m] = does(outputs("was", "old-"+m))
		}
		s.ends(astern.OutcomeDone)
		want := map[string]map[string]astern.Arg{"1.b@m0": {"was": astern.Text("old-m0")}, "1.b@m1": {"was": astern.Text("old-m1")}}
		got := map[string]map[string]astern.Arg{}
		for _, r := range s.journal.Records() {
			if r.Kind == astern.RecordIntent && r.Call.Args != nil {
				got[r.Step] = r.Call.Args
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("the journal's intents: %s", d)
		}
		fold, err := engine.NewFold(s.plan)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range s.journal.Records() {
			fold.Apply(r)
		}
		for _, d := range fold.Done(s.journal.Records()) {
			want := map[string]astern.Arg{"places": both["places"]}
			if strings.HasPrefix(d.Call.Step, "1.b") {
				want["was"] = astern.Text("old-" + d.Call.Member)
			}
			if diff := cmp.Diff(want, d.Call.Args); diff != "" {
				t.Errorf("%s was called with %s", d.Call.Step, diff)
			}
		}
	})
}

// TestIntentOfBeforeSaysAll: in a journal of before schema 7 an intent has all arguments, and they count.
func TestIntentOfBeforeSaysAll(t *testing.T) {
	a := stepOf("1.a", func(s *astern.Step) {
		s.Args = map[string]astern.Arg{"plain": astern.Text("x"), "two": astern.Text("y")}
	})
	p := planOf(astern.Stage{Steps: []astern.Step{a}})
	said := map[string]astern.Arg{"plain": astern.Text("before"), "two": astern.Text("y")}
	actions, err := engine.Next(p, []astern.Record{
		{Seq: 1, At: dawn, Kind: astern.RecordTaken, Fence: 1},
		{Seq: 2, At: dawn, Kind: astern.RecordIntent, Step: "1.a", Attempt: 1, Call: &astern.Call{Step: "1.a", Args: said}},
		{Seq: 3, At: dawn, Kind: astern.RecordTaken, Fence: 2}}, dawn)
	if err != nil || len(actions) != 1 || actions[0].Kind != engine.Find {
		t.Fatalf("%+v, %v", actions, err)
	}
	if d := cmp.Diff(said, actions[0].Call.Args); d != "" {
		t.Error(d)
	}
	if a.Args["plain"] != astern.Text("x") {
		t.Error("the plan was changed")
	}
}

func TestAMembersOutputsStayInItsLane(t *testing.T) {
	st := astern.Stage{Parallel: 2, Steps: []astern.Step{
		stepOf("1.a"),
		stepOf("1.b", func(s *astern.Step) {
			s.Guards, s.Args = []string{"1.a"}, map[string]astern.Arg{"was": astern.OutputOf("1.a", "was")}
		})}}
	play(t, fleetOf(3, st), func(s *scene) {
		for _, m := range []string{"m0", "m1", "m2"} {
			s.world.start["1.a@"+m] = does(outputs("was", "old-"+m))
		}
		s.ends(astern.OutcomeDone)
		for _, m := range []string{"m0", "m1", "m2"} {
			if c := s.world.call("1.b@" + m); c.Text("was") != "old-"+m || c.Member != m {
				t.Errorf("%s: %+v", m, c)
			}
		}
	})
}

func TestLaterFactsExpectWhatStepsSet(t *testing.T) {
	a := stepOf("1.a", func(s *astern.Step) {
		s.Sets = []astern.Set{{Path: "link", Value: astern.OutputOf("1.a", "rev")}, {Path: "old", Absent: true},
			{Address: "e/d", Path: "key", Value: astern.Text("2")}, {Path: "never", Value: astern.OutputOf("1.a", "not-there")}}
	})
	p := planOf(astern.Stage{Steps: []astern.Step{a, stepOf("1.b")}})
	p.Facts = []astern.Fact{{Address: "e/c", Path: "link", Value: "v1", Steps: []string{"1.a", "1.b"}}, {Address: "e/c", Path: "old", Value: "x", Steps: []string{"1.b"}},
		{Address: "e/d", Path: "key", Value: "1", Steps: []string{"1.b"}}}
	play(t, p, func(s *scene) {
		s.world.start["1.a"] = func(context.Context, astern.Call) astern.Op {
			s.world.set("e/c", "link", astern.Value{Text: "v2"})
			s.world.set("e/d", "key", astern.Value{Text: "2"})
			delete(s.world.state, "e/c old")
			return outputs("rev", "v2")
		}
		s.ends(astern.OutcomeDone)
		left := []engine.ExpectedFact{{Address: "e/c", Path: "link", Value: "v2"}, {Address: "e/c", Path: "old", Absent: true}, {Address: "e/d", Path: "key", Value: "2"}}
		dones := s.fold().Done(s.journal.Records())
		if len(dones) != 2 || dones[0].Step.ID != "1.b" || dones[1].Step.ID != "1.a" {
			t.Fatalf("done: %+v", dones)
		}
		if d := cmp.Diff(left, dones[1].Left); d != "" {
			t.Error(d)
		}
		if dones[1].Call.Image["of"] != "1.a" || dones[1].Outputs["rev"].String() != "v2" {
			t.Errorf("%+v", dones[1])
		}
		if d := cmp.Diff(left, s.fold().AllExpected()); d != "" {
			t.Error(d)
		}
	})
}

func TestOutputOutsideItsLimitHoldsAndAsks(t *testing.T) {
	for name, op := range map[string]astern.Op{"another value": outputs("sha", "bad", "ok", true), "no such output": outputs("ok", true)} {
		for _, on := range []astern.OnFailure{astern.OnFailureHold, astern.OnFailureUndo} {
			t.Run(fmt.Sprint(name, " ", on), func(t *testing.T) {
				a := stepOf("1.a", func(s *astern.Step) { s.Limits = map[string]string{"sha": "good", "ok": "true"} })
				play(t, planOf(astern.Stage{Steps: []astern.Step{a, stepOf("1.b")}, OnFailure: on, StopWhen: []string{"ok"}}), func(s *scene) {
					s.world.start["1.a"] = does(op)
					s.says(astern.RecordAllowed, "1.a") // said too early it means nothing
					s.holds("limit 1.a")
					if why := s.fold().OverLimit("1.a"); !strings.Contains(why, "the plan allows good") {
						t.Error(why)
					}
					if got := s.fold().Steps()[0].Error; got != s.fold().OverLimit("1.a") {
						t.Error(got)
					}
					s.says(astern.RecordResumed, "") // is no answer to the question
					s.holds("limit 1.a")
					s.says(astern.RecordAllowed, "1.a")
					s.ends(astern.OutcomeDone)
					s.wantCount("start 1.a", 1)
					if why := s.fold().OverLimit("1.a") + s.fold().OverLimit("none"); why != "" {
						t.Error(why)
					}
				})
			})
		}
	}
}

func TestStepRunsOnlyAfterItsGuards(t *testing.T) {
	guarded := func(s *astern.Step) { s.Guards = []string{"1.a"} }
	uses := func(s *astern.Step) { s.Args = map[string]astern.Arg{"x": astern.OutputOf("1.a", "x")} }
	each := &astern.Each{Address: "e/c", From: 0, To: 2}
	tests := map[string]struct {
		second astern.Step
		skip   string
		text   string
	}{
		"a guard that was skipped":            {stepOf("2.b", guarded), "1.a@m1", "its guard 1.a was not done"},
		"a guard that is not in the plan":     {stepOf("2.b", func(s *astern.Step) { s.Guards = []string{"9.z"} }), "", "its guard 9.z was not done"},
		"an output of a step that is skipped": {stepOf("2.b", uses), "1.a@m0", "it uses an output of 1.a, which was not done"},
		"an output that was not given":        {stepOf("2.b", uses), "", "it uses the output x of 1.a, which was done without it"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := fleetOf(2, stepsOf("1.a"))
			p.Stages[0].Each = each
			p.Stages = append(p.Stages, astern.Stage{Steps: []astern.Step{tc.second}, OnFailure: astern.OnFailureHold})
			play(t, p, func(s *scene) {
				if tc.skip != "" {
					s.says(astern.RecordSkipped, tc.skip)
				}
				s.holds("blocked 2.b: " + tc.text)
				s.says(astern.RecordSkipped, "2.b")
				s.ends(astern.OutcomeIncomplete)
				s.wantCount("start 2.b", 0)
			})
		})
	}
	t.Run("guards of every member", func(t *testing.T) {
		p := fleetOf(2, stepsOf("1.a"))
		p.Stages = append(p.Stages, astern.Stage{Steps: []astern.Step{stepOf("2.b", guarded)}, OnFailure: astern.OnFailureHold})
		play(t, p, func(s *scene) {
			s.ends(astern.OutcomeDone)
			if got := s.world.order("start"); !slices.Equal(got, []string{"1.a@m0", "1.a@m1", "2.b"}) {
				t.Error(got)
			}
		})
	})
}

func TestSkipNamesWhatCanNotRunWithoutIt(t *testing.T) {
	in := func(ids ...string) func(*astern.Step) { return func(s *astern.Step) { s.Guards = ids } }
	p := fleetOf(2, astern.Stage{Steps: []astern.Step{stepOf("1.a"), stepOf("1.b", in("1.a"))}})
	p.Stages = append(p.Stages, astern.Stage{OnFailure: astern.OnFailureHold, Steps: []astern.Step{stepOf("2.c", in("1.a")),
		stepOf("2.d", func(s *astern.Step) { s.Args = map[string]astern.Arg{"x": astern.OutputOf("2.c", "x")} })}})
	play(t, p, func(s *scene) {
		f := s.fold()
		for id, want := range map[string][]string{"1.a@m0": {"1.b@m0", "2.c"}, "1.b@m0": nil, "2.c": {"2.d"}, "none": nil} {
			if got := f.Dependents(id); !slices.Equal(got, want) {
				t.Errorf("without %s: %v, want %v", id, got, want)
			}
		}
	})
}

func TestSkipIsOnlyForWhatIsNotUnderWay(t *testing.T) {
	play(t, planOf(stepsOf("1.a", "1.b", "1.c", "1.d")), func(s *scene) {
		s.world.start["1.b"] = does(unsure())
		s.world.find["1.b"] = answers(astern.FoundUnknown, nil)
		s.says(astern.RecordSkipped, "1.c")
		s.holds("unsure 1.b")
		f := s.fold()
		for id, want := range map[string]string{"1.a": "it is done", "1.b": "it is unsure: settle it first", "1.c": "it is skipped", "1.d": "", "x": "there is no such step"} {
			if got := f.Skippable(id); got != want {
				t.Errorf("%s: %q, want %q", id, got, want)
			}
		}
		for _, id := range []string{"1.a", "1.b"} { // said in spite of it, it changes nothing
			s.says(astern.RecordSkipped, id)
		}
		s.wantStatus("1.a done", "1.b unsure", "1.c skipped", "1.d pending")
		in, ok := f.InFlight("1.b")
		if _, none := f.InFlight("x"); !in || !ok || none || !f.Settleable("1.b") || f.Settleable("1.a") || f.Settleable("x") {
			t.Error("only 1.b is in flight and can be settled")
		}
		s.settles("1.b", done())
		s.ends(astern.OutcomeIncomplete)
		s.wantCount("start 1.c", 0)
	})
}

func TestSkippedAtTheMomentItIsPrepared(t *testing.T) {
	play(t, planOf(stepsOf("1.a", "1.b")), func(s *scene) {
		s.world.before = func(_ context.Context, c astern.Call) (astern.Image, error) {
			if c.Step == "1.a" {
				s.says(astern.RecordSkipped, "1.a")
			}
			return nil, nil
		}
		s.ends(astern.OutcomeIncomplete)
		s.wantStatus("1.a skipped", "1.b done")
		s.wantCount("start 1.a", 0)
	})
}

func TestToleratedFailuresEndIncomplete(t *testing.T) {
	st := astern.Stage{Parallel: 1, Tolerate: 1, Steps: []astern.Step{stepOf("1.a"), stepOf("1.b")}, Gate: &astern.Gate{Checks: []string{"ok"}, IntervalSeconds: 1, TimeoutSeconds: 5}}
	p := fleetOf(3, st)
	p.Stages = append(p.Stages, stepsOf("2.c"))
	play(t, p, func(s *scene) {
		s.world.start["1.a@m1"] = does(fails(astern.Denied))
		s.world.start["2.c"] = does(fails(astern.Denied), done())
		s.holds("failed 2.c: it failed as denied")
		s.says(astern.RecordResumed, "")
		s.ends(astern.OutcomeIncomplete)
		s.wantStatus("1.a@m0 done", "1.b@m0 done", "1.a@m1 failed", "1.b@m1 dropped", "1.a@m2 done", "1.b@m2 done", "2.c done")
		s.wantCount("start 1.a@m1", 1) // a stage that has passed is not taken up again
	})
}

func TestMoreFailuresThanToleratedHold(t *testing.T) {
	st := astern.Stage{Parallel: 1, Tolerate: 1, Steps: []astern.Step{stepOf("1.a")}}
	play(t, fleetOf(4, st), func(s *scene) {
		for _, m := range []string{"m0", "m1"} {
			s.world.start["1.a@"+m] = does(fails(astern.Denied), done())
		}
		s.holds("failed 1.a@m0", "failed 1.a@m1")
		s.wantCount("start 1.a@m2", 0)
		s.says(astern.RecordResumed, "")
		s.ends(astern.OutcomeDone)
	})
}

func TestResumedLanesKeepToTheWidth(t *testing.T) {
	st := astern.Stage{Parallel: 1, Tolerate: 3, Steps: []astern.Step{stepOf("1.a"), stepOf("1.b")},
		Gate: &astern.Gate{Checks: []string{"ok"}, IntervalSeconds: 1, TimeoutSeconds: 5}}
	play(t, fleetOf(4, st), func(s *scene) {
		acting := 0
		for _, m := range []string{"m0", "m1", "m2"} {
			s.world.start["1.b@"+m] = does(fails(astern.Denied), done())
		}
		s.world.check = func(context.Context, astern.Check) astern.CheckResult {
			return astern.CheckResult{Verdict: astern.Fail, Evidence: "down"}
		}
		s.holds("failed 1.b@m0", "failed 1.b@m1", "failed 1.b@m2", "gate: ok: down")
		for _, m := range []string{"m0", "m1", "m2"} {
			s.world.start["1.b@"+m] = func(ctx context.Context, c astern.Call) astern.Op {
				if acting++; acting > 1 {
					t.Errorf("%d lanes act at once", acting)
				}
				time.Sleep(3 * time.Second)
				acting--
				return done()
			}
		}
		s.world.check = func(context.Context, astern.Check) astern.CheckResult {
			if acting > 0 {
				t.Error("the gate's checks were made while a lane was under way")
			}
			return astern.CheckResult{Verdict: astern.Pass}
		}
		s.says(astern.RecordResumed, "")
		s.ends(astern.OutcomeDone)
	})
}

func TestFailedStageIsUndoneByAChildPlan(t *testing.T) {
	stage := astern.Stage{Steps: []astern.Step{stepOf("1.a"), stepOf("1.b")}, OnFailure: astern.OnFailureUndo}
	t.Run("continued", func(t *testing.T) {
		play(t, planOf(stage), func(s *scene) {
			s.world.start["1.b"] = does(fails(astern.Denied))
			r := s.run()
			if r.Outcome != astern.OutcomeContinued || r.Child != "child" || s.fold().Child() != "child" {
				t.Errorf("%+v", r)
			}
			s.wantCount("plan undo=true", 1)
		})
	})
	t.Run("planning fails, then resume", func(t *testing.T) {
		play(t, planOf(stage), func(s *scene) {
			s.world.start["1.b"] = does(fails(astern.Denied), done())
			s.world.plan = func(context.Context, bool) (string, error) { return "", astern.Errorf(astern.Unavailable, "no plan") }
			s.holds("plan: no plan")
			s.holds("plan: no plan") // another engine does not try by itself
			s.says(astern.RecordResumed, "")
			s.ends(astern.OutcomeDone)
		})
	})
	t.Run("planning panics", func(t *testing.T) {
		play(t, planOf(stage), func(s *scene) {
			s.world.start["1.b"] = does(fails(astern.Denied))
			s.world.plan = func(context.Context, bool) (string, error) { panic("oh") }
			s.holds("plan: the driver panicked: oh")
		})
	})
	t.Run("nothing to undo", func(t *testing.T) {
		play(t, planOf(stage), func(s *scene) {
			s.world.start["1.a"] = does(fails(astern.Denied))
			s.world.plan = func(context.Context, bool) (string, error) { return "", nil }
			s.holds("plan: nothing was done that could be undone")
			s.wantCount("plan undo=true", 1)
		})
	})
	t.Run("not while a step is unsure", func(t *testing.T) {
		wide := stage
		wide.Parallel = 2
		play(t, planOf(wide), func(s *scene) {
			s.world.start["1.a"] = does(unsure())
			s.world.find["1.a"] = answers(astern.FoundUnknown, nil)
			s.world.start["1.b"] = takes(time.Second, fails(astern.Denied))
			s.holds("unsure 1.a", "failed 1.b")
			s.wantCount("plan undo=true", 0)
			s.settles("1.a", done())
			s.ends(astern.OutcomeContinued)
		})
	})
	t.Run("cancelled while it is planned", func(t *testing.T) {
		play(t, planOf(stage), func(s *scene) {
			s.world.start["1.b"] = does(fails(astern.Denied))
			s.world.plan = func(context.Context, bool) (string, error) {
				s.says(astern.RecordCancelled, "")
				return "child", nil
			}
			if r := s.run(); r.Outcome != astern.OutcomeCancelled || r.Child != "" || !s.fold().Cancelled() {
				t.Errorf("%+v", r)
			}
		})
	})
	t.Run("paused while it is planned", func(t *testing.T) {
		play(t, planOf(stage), func(s *scene) {
			s.world.start["1.b"] = does(fails(astern.Denied))
			s.world.plan = func(context.Context, bool) (string, error) {
				s.says(astern.RecordPaused, "")
				return "child", nil
			}
			s.holds("failed 1.b", "paused")
			s.says(astern.RecordResumed, "")
			s.ends(astern.OutcomeContinued)
			s.wantCount("plan undo=true", 1)
		})
	})
}

func TestPlanThatCanNotSeeItsEndIsPlannedAgain(t *testing.T) {
	p := planOf(stepsOf("1.a"))
	p.Then = &astern.Then{Because: "a second archive may be missing"}
	t.Run("continued", func(t *testing.T) {
		play(t, p, func(s *scene) {
			if r := s.run(); r.Outcome != astern.OutcomeContinued || r.Child != "child" {
				t.Errorf("%+v", r)
			}
			s.wantCount("plan undo=false", 1)
			if r := s.run(); r.Outcome != astern.OutcomeContinued || r.Child != "child" { // what has ended stays so
				t.Errorf("%+v", r)
			}
		})
	})
	t.Run("nothing is left", func(t *testing.T) {
		play(t, p, func(s *scene) {
			s.world.plan = func(context.Context, bool) (string, error) { return "", nil }
			s.ends(astern.OutcomeDone)
		})
	})
	t.Run("planning fails, then resume", func(t *testing.T) {
		play(t, p, func(s *scene) {
			s.world.plan = func(context.Context, bool) (string, error) { return "", astern.Errorf(astern.Denied, "no plan") }
			s.holds("plan: no plan")
			s.world.plan = nil
			s.says(astern.RecordResumed, "")
			s.ends(astern.OutcomeContinued)
		})
	})
	t.Run("planning takes for ever", func(t *testing.T) {
		play(t, p, func(s *scene) {
			s.world.plan = func(ctx context.Context, _ bool) (string, error) { <-ctx.Done(); return "", ctx.Err() }
			s.holds("plan: no answer within 10m0s: context deadline exceeded")
		})
	})
	t.Run("paused before", func(t *testing.T) {
		play(t, p, func(s *scene) {
			s.world.start["1.a"] = func(context.Context, astern.Call) astern.Op { s.says(astern.RecordPaused, ""); return done() }
			s.holds("paused")
			s.wantCount("plan undo=false", 0)
		})
	})
}

func TestRetriesOnlyWhereTheyCanHelp(t *testing.T) {
	tests := map[string]struct {
		ops    []astern.Op
		starts int
		hold   string
	}{
		"transient, then done":    {[]astern.Op{fails(astern.Throttled), fails(astern.Unavailable), done()}, 3, ""},
		"transient for too often": {[]astern.Op{fails(astern.Throttled)}, 3, "failed 1.a: it failed as throttled"},
		"denied":                  {[]astern.Op{fails(astern.Denied)}, 1, "failed 1.a: it failed as denied"},
		"a code of its own":       {[]astern.Op{fails("strange")}, 1, "failed 1.a: it failed as strange"},
		"no code":                 {[]astern.Op{fails("")}, 1, "failed 1.a: it failed as "},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			play(t, planOf(stepsOf("1.a")), func(s *scene) {
				s.world.start["1.a"] = does(tc.ops...)
				if tc.hold == "" {
					s.ends(astern.OutcomeDone)
				} else {
					s.holds(tc.hold)
				}
				s.wantCount("start 1.a", tc.starts)
				tokens := map[string]bool{}
				for _, c := range s.world.seen["1.a"] {
					tokens[c.Token] = true
				}
				if len(tokens) != tc.starts {
					t.Error("each attempt has a token of its own")
				}
				last := time.Duration(0)
				for i, c := range s.world.calls {
					if at := s.world.times[i]; c == "start 1.a" && i > 1 {
						if pause := at - last; pause < 500*time.Millisecond || pause > 2*time.Second {
							t.Errorf("tried again after %s", pause)
						}
						last = at
					}
				}
			})
		})
	}
	t.Run("resume gives it another round of attempts", func(t *testing.T) {
		play(t, planOf(stepsOf("1.a")), func(s *scene) {
			s.world.start["1.a"] = does(fails(astern.Throttled))
			s.holds("failed 1.a")
			s.says(astern.RecordResumed, "")
			s.holds("failed 1.a")
			s.wantCount("start 1.a", 6)
		})
	})
	t.Run("what could not be read is no attempt", func(t *testing.T) {
		p := planOf(stepsOf("1.a"))
		play(t, p, func(s *scene) {
			n := 0
			s.world.before = func(context.Context, astern.Call) (astern.Image, error) {
				if n++; n <= 3 {
					return nil, astern.Errorf(astern.Throttled, "busy")
				}
				return nil, nil
			}
			s.world.start["1.a"] = does(fails(astern.Throttled), fails(astern.Throttled), done())
			s.ends(astern.OutcomeDone)
		})
	})
}

func factPlan() astern.Plan {
	p := planOf(stepsOf("1.a", "1.b"))
	p.Facts = []astern.Fact{{Address: "e/c", Path: "link", Value: "v1", Steps: []string{"1.b"}}, {Address: "e/c", Path: "gone", Absent: true, Steps: []string{"1.b"}}}
	return p
}

func TestChangedFactsRefuseTheStepsThatRestOnThem(t *testing.T) {
	play(t, factPlan(), func(s *scene) {
		s.world.set("e/c", "link", astern.Value{Text: "v9"})
		s.world.set("e/c", "gone", astern.Value{Text: "back"})
		s.world.set("e/c", "other", astern.Value{Text: "nobody rests on it"})
		s.holds("refused 1.b: e/c link: expected v1, found v9; e/c gone: expected nothing, found back")
		s.wantStatus("1.a done", "1.b refused")
		s.wantCount("start 1.b", 0)
		s.world.set("e/c", "link", astern.Value{Text: "v1"})
		delete(s.world.state, "e/c gone")
		s.says(astern.RecordResumed, "")
		s.ends(astern.OutcomeDone)
	})
}

func TestUnreadableFactsAreReadAgainUntilTheHold(t *testing.T) {
	tests := map[string]struct {
		breaks func(s *scene)
		hold   string
		least  time.Duration
	}{
		"a value": {func(s *scene) { s.world.set("e/c", "link", astern.Value{Unknown: "no answer"}) },
			"failed 1.b: reading e/c link: no answer", 30 * time.Second},
		"the whole": {func(s *scene) {
			s.world.observe = func(context.Context, string) error { return astern.Errorf(astern.Throttled, "busy") }
		}, "failed 1.b: observing e/c: busy", 30 * time.Second},
		"for good": {func(s *scene) {
			s.world.observe = func(context.Context, string) error { return astern.Errorf(astern.Denied, "not allowed") }
		}, "failed 1.b: observing e/c: not allowed", 0},
		"without an answer": {func(s *scene) {
			s.world.observe = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		}, "failed 1.b: no answer within 1m10s: observing e/c: context deadline exceeded", 70 * time.Second},
		"a panic": {func(s *scene) { s.world.observe = func(context.Context, string) error { panic("oh") } },
			"failed 1.b: the driver panicked: oh", 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			play(t, factPlan(), func(s *scene) {
				tc.breaks(s)
				s.holds(tc.hold)
				took := time.Since(s.world.begun)
				if took < tc.least || took > tc.least+2*time.Minute {
					t.Errorf("held after %s", took)
				}
				s.world.observe = nil
				s.world.set("e/c", "link", astern.Value{Text: "v1"})
				s.says(astern.RecordResumed, "")
				s.ends(astern.OutcomeDone)
				s.wantCount("start 1.b", 1)
			})
		})
	}
	t.Run("a later engine has patience of its own", func(t *testing.T) {
		play(t, factPlan(), func(s *scene) {
			s.world.set("e/c", "link", astern.Value{Unknown: "no answer"})
			ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
			defer stop()
			if _, err := s.life(ctx); astern.CodeOf(err) != astern.Interrupted {
				t.Fatal(err)
			}
			if st := s.fold().Steps()[1]; st.Status != "retrying" || st.NextAt.IsZero() {
				t.Errorf("%+v", st)
			}
			time.Sleep(time.Hour)
			later := s.begin(context.Background())
			time.Sleep(5 * time.Second)
			s.world.set("e/c", "link", astern.Value{Text: "v1"})
			if r := <-later; r.Outcome != astern.OutcomeDone {
				t.Errorf("%+v", r)
			}
		})
	})
}

func TestFactAcceptedAsUnknownMustStayUnknown(t *testing.T) {
	p := planOf(stepsOf("1.a", "1.b"))
	p.Stages[0].Steps[0].Sets = []astern.Set{{Path: "role", Value: astern.Text("primary")}}
	p.Facts = []astern.Fact{{Address: "e/c", Path: "role", Unknown: "the region does not answer", Steps: []string{"1.a", "1.b"}}}
	t.Run("still unknown", func(t *testing.T) {
		play(t, p, func(s *scene) {
			s.world.set("e/c", "role", astern.Value{Unknown: "no answer"})
			s.world.start["1.a"] = func(context.Context, astern.Call) astern.Op {
				s.world.set("e/c", "role", astern.Value{Text: "primary"}) // what a step has set is expected, not unknown
				return done()
			}
			s.ends(astern.OutcomeDone)
		})
	})
	for name, v := range map[string]*astern.Value{"known again": {Text: "replica"}, "absent": nil} {
		t.Run(name, func(t *testing.T) {
			play(t, p, func(s *scene) {
				if v != nil {
					s.world.set("e/c", "role", *v)
				}
				s.holds("refused 1.a")
				s.wantCount("start 1.a", 0)
			})
		})
	}
}

func TestFactsOfMembersMayDiffer(t *testing.T) {
	p := fleetOf(4, stepsOf("1.a"))
	p.Facts = []astern.Fact{{Address: "e/c", Path: "{member}/link", Value: "v1", Steps: []string{"1.a"}, Except: map[string]astern.FactValue{
		"m1": {Value: "v0"}, "m2": {Absent: true}, "m3": {Unknown: "no answer"}}}}
	play(t, p, func(s *scene) {
		s.world.set("e/c", "m0/link", astern.Value{Text: "v1"})
		s.world.set("e/c", "m1/link", astern.Value{Text: "v0"})
		s.world.set("e/c", "m3/link", astern.Value{Unknown: "no answer"})
		s.ends(astern.OutcomeDone)
		want := map[string]engine.ExpectedFact{"m0/link": {Value: "v1"}, "m1/link": {Value: "v0"}, "m2/link": {Absent: true}, "m3/link": {Unknown: true}}
		got := map[string]engine.ExpectedFact{}
		for _, e := range s.fold().AllExpected() {
			got[e.Path] = engine.ExpectedFact{Value: e.Value, Absent: e.Absent, Unknown: e.Unknown}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%+v", got)
		}
	})
}

func TestComparedFacts(t *testing.T) {
	state := map[string]astern.State{"e/c": {Values: map[string]astern.Value{"a": {Text: "1"}, "u": {Unknown: "no answer"}}}}
	tests := map[string]struct {
		fact engine.ExpectedFact
		diff string
		code astern.Code
	}{
		"same":                {engine.ExpectedFact{Address: "e/c", Path: "a", Value: "1"}, "", ""},
		"another":             {engine.ExpectedFact{Address: "e/c", Path: "a", Value: "2"}, "e/c a: expected 2, found 1", ""},
		"gone":                {engine.ExpectedFact{Address: "e/c", Path: "b", Value: "2"}, "e/c b: expected 2, found nothing", ""},
		"there":               {engine.ExpectedFact{Address: "e/c", Path: "a", Absent: true}, "e/c a: expected nothing, found 1", ""},
		"absent as expected":  {engine.ExpectedFact{Address: "e/c", Path: "b", Absent: true}, "", ""},
		"unknown":             {engine.ExpectedFact{Address: "e/c", Path: "u", Value: "2"}, "", astern.Unavailable},
		"unknown, not absent": {engine.ExpectedFact{Address: "e/c", Path: "u", Absent: true}, "", astern.Unavailable},
		"accepted":            {engine.ExpectedFact{Address: "e/c", Path: "u", Unknown: true}, "", ""},
		"accepted, now known": {engine.ExpectedFact{Address: "e/c", Path: "a", Unknown: true}, "e/c a: expected still unknown, as accepted, found 1", ""},
		"nobody asked":        {engine.ExpectedFact{Address: "e/d", Path: "a", Value: "1"}, "e/d a: expected 1, found nothing", ""},
	}
	for name, tc := range tests {
		diffs, err := engine.Compare([]engine.ExpectedFact{tc.fact}, state)
		text := ""
		for _, d := range diffs {
			text += d.String()
		}
		if text != tc.diff || astern.CodeOf(err) != tc.code {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestPlansThatCanNotBeExpanded(t *testing.T) {
	missing := planOf(stepsOf("1.a"))
	missing.Stages[0].Each = &astern.Each{Address: "e/c", To: 3}
	for name, p := range map[string]astern.Plan{"two steps of one name": planOf(stepsOf("1.a", "1.a")), "a fleet that is not listed": missing} {
		if _, err := engine.Next(p, nil, time.Now()); astern.CodeOf(err) != astern.Invalid {
			t.Errorf("%s: Next: %v", name, err)
		}
		if _, _, err := engine.FoldJournal(p, nil); astern.CodeOf(err) != astern.Invalid {
			t.Errorf("%s: Phases: %v", name, err)
		}
		if _, err := (&engine.Engine{Plan: p}).Run(context.Background()); astern.CodeOf(err) != astern.Invalid {
			t.Errorf("%s: Run: %v", name, err)
		}
	}
}

func TestEveryHoldSaysWhy(t *testing.T) {
	silent := func(st astern.OpStatus, code astern.Code) func(context.Context, astern.Call) astern.Op {
		return does(astern.Op{Status: st, Code: code})
	}
	tests := map[string]struct {
		set  func(s *scene)
		hold string
	}{
		"failed":       {func(s *scene) { s.world.start["1.a"] = silent(astern.OpFailed, astern.Denied) }, "failed 1.a: it failed as denied, its driver says no more"},
		"without code": {func(s *scene) { s.world.start["1.a"] = silent(astern.OpFailed, "") }, "failed 1.a: it failed as nobody knows what, its driver says no more"},
		"unsure":       {func(s *scene) { s.world.start["1.a"] = silent("", "") }, "unsure 1.a: its driver can't tell what became of it"},
		"planning": {func(s *scene) {
			s.world.plan = func(context.Context, bool) (string, error) { return "", errors.New("") }
		}, "plan: the child plan could not be made"},
		"reading facts": {func(s *scene) {
			s.world.before = func(context.Context, astern.Call) (astern.Image, error) { return nil, errors.New("") }
		}, "failed 1.a: its facts could not be read"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := planOf(stepsOf("1.a"))
			p.Then = &astern.Then{Because: "the end can't be seen"}
			play(t, p, func(s *scene) {
				s.world.find["1.a"] = func(context.Context, astern.Call) astern.Found { return astern.Found{} }
				tc.set(s)
				s.holds(tc.hold)
			})
		})
	}
}

func TestRecordsThatAnswerNothingChangeNothing(t *testing.T) {
	play(t, planOf(stepsOf("1.a", "1.b")), func(s *scene) {
		s.world.start["1.a"] = does(fails(astern.Denied))
		s.holds("failed 1.a")
		call, op := &astern.Call{}, done()
		for _, r := range []astern.Record{
			{Kind: astern.RecordTicked, Step: "1.a", Text: "an address by this name"},
			{Kind: astern.RecordOp, Step: "1.a", Attempt: 1, Op: &op}, {Kind: astern.RecordAbsent, Step: "1.a", Attempt: 1}, {Kind: astern.RecordDoubt, Step: "1.a", Attempt: 1},
			{Kind: astern.RecordIntent, Step: "1.b", Attempt: 7, Call: call}, {Kind: astern.RecordIntent, Step: "1.b", Attempt: 1}, {Kind: astern.RecordRefused, Step: "1.b"},
			{Kind: astern.RecordSettled, Step: "1.a", Op: &op}, {Kind: astern.RecordRound, Stage: 7, Gate: true}, {Kind: astern.RecordOp, Step: "none", Op: &op},
		} {
			r.At = s.clock.Now()
			s.journal.Say(r)
		}
		s.wantStatus("1.a failed", "1.b dropped")
		s.holds("failed 1.a")
	})
}
