package engine_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// gated is a step, a gate that bakes so long, and a step after it.
func gated(bake, interval, timeout int64) astern.Plan {
	first := stepsOf("1.a")
	first.Gate = &astern.Gate{Checks: []string{"ok"}, BakeSeconds: bake, IntervalSeconds: interval, TimeoutSeconds: timeout}
	return planOf(first, stepsOf("2.b"))
}

func verdicts(s *scene, of func(at time.Duration) astern.Verdict) {
	s.world.check = func(_ context.Context, c astern.Check) astern.CheckResult {
		return astern.CheckResult{Check: c.ID(), Verdict: of(time.Since(s.world.begun)), Evidence: "seen"}
	}
}

func TestGateBakesBetweenPasses(t *testing.T) {
	play(t, gated(60, 5, 30), func(s *scene) {
		s.ends(astern.OutcomeDone)
		if took := time.Since(s.world.begun); took < time.Minute || took > 65*time.Second {
			t.Errorf("baked for %s", took)
		}
		if at := s.world.times[slices.Index(s.world.calls, "start 2.b")]; at < time.Minute {
			t.Errorf("went on after %s", at)
		}
	})
}

func TestGateDoesNotCountTheTimeOfARestart(t *testing.T) {
	play(t, gated(60, 5, 30), func(s *scene) {
		ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
		defer stop()
		if _, err := s.life(ctx); astern.CodeOf(err) != astern.Interrupted {
			t.Fatal(err)
		}
		g := s.fold().CurrentGate()
		if !g.Open || g.BakeSeconds != 60 || g.BakedSeconds < 24 || g.BakedSeconds > 30 || s.fold().Stage() != 1 {
			t.Errorf("%+v", g)
		}
		time.Sleep(10 * time.Minute)
		again := time.Now()
		s.ends(astern.OutcomeDone)
		if took := time.Since(again); took < 30*time.Second || took > 40*time.Second {
			t.Errorf("baked for another %s", took)
		}
		if s.fold().CurrentGate().Open {
			t.Error("no gate is left")
		}
	})
}

func TestGateFails(t *testing.T) {
	play(t, gated(60, 5, 30), func(s *scene) {
		bad := true
		verdicts(s, func(at time.Duration) astern.Verdict {
			if bad && at > 50*time.Second {
				return astern.Fail
			}
			return astern.Pass
		})
		s.holds("gate: ok: seen")
		s.holds("gate: ok: seen") // another engine does not open it
		if n := s.world.count("start 2.b"); n != 0 {
			t.Error("went on")
		}
		bad = false
		again := time.Now()
		s.says(astern.RecordResumed, "")
		s.ends(astern.OutcomeDone)
		if took := time.Since(again); took < time.Minute {
			t.Errorf("what was baked before the fault counted: open after %s", took)
		}
	})
	t.Run("and the stage is undone", func(t *testing.T) {
		p := gated(60, 5, 30)
		p.Stages[0].OnFailure = astern.OnFailureUndo
		play(t, p, func(s *scene) {
			verdicts(s, func(time.Duration) astern.Verdict { return astern.Fail })
			s.ends(astern.OutcomeContinued)
			s.wantCount("plan undo=true", 1)
		})
	})
}

func TestGateThatIsUnknownUntilItsTimeOutHolds(t *testing.T) {
	for _, on := range []astern.OnFailure{astern.OnFailureHold, astern.OnFailureUndo} {
		p := gated(0, 1, 30)
		p.Stages[0].OnFailure = on
		play(t, p, func(s *scene) {
			blind := true
			verdicts(s, func(time.Duration) astern.Verdict {
				if blind {
					return astern.Unknown
				}
				return astern.Pass
			})
			s.holds("gate: ok: seen")
			if took := time.Since(s.world.begun); took < 30*time.Second || took > 32*time.Second {
				t.Errorf("held after %s", took)
			}
			if n := s.records(astern.RecordRound); n > 10 {
				t.Errorf("%d records of the same", n)
			}
			s.says(astern.RecordResumed, "")
			s.holds("gate: ok: seen")
			blind = false
			s.ends(astern.OutcomeDone) // a new engine looks again by itself: nothing had failed
			s.wantCount("plan undo=true", 0)
		})
	}
}

func TestGatePassesOnlyWhenEveryCheckPassed(t *testing.T) {
	pattern := astern.Check{Name: "each", Each: true, TCP: &astern.TCPCheck{Address: "{member}:80"}, Attempts: 1, TimeoutSeconds: 1, Effects: astern.EffectsNone}
	ofOne := pattern
	ofOne.Member, ofOne.TCP = "m0", &astern.TCPCheck{Address: "m0:80"}
	unbindable := pattern
	unbindable.TCP = &astern.TCPCheck{Address: "{address}"}
	pass := func(context.Context, astern.Check) astern.CheckResult {
		return astern.CheckResult{Verdict: astern.Pass}
	}
	tests := map[string]struct {
		checks []string
		plan   []astern.Check
		check  func(context.Context, astern.Check) astern.CheckResult
		hold   string // "" when it opens
		asked  []string
	}{
		"all pass":            {[]string{"ok", "ok"}, nil, pass, "", []string{"ok", "ok"}},
		"none is named":       {nil, nil, pass, "", nil},
		"one for each member": {[]string{"each"}, []astern.Check{pattern}, pass, "", []string{"each@m0", "each@m1"}},
		"one of a member":     {[]string{"each@m0"}, []astern.Check{ofOne}, pass, "", []string{"each@m0"}},
		"not in the plan":     {[]string{"ok", "gone"}, nil, pass, "gate: check gone is not in the plan", nil},
		"can't be bound":      {[]string{"each"}, []astern.Check{unbindable}, pass, "gate: binding check each of : it uses {address}, which has no value here", []string{}},
		"no verdict": {[]string{"ok"}, nil, func(context.Context, astern.Check) astern.CheckResult { return astern.CheckResult{Evidence: "none"} },
			"gate: ok: none", nil},
		"a verdict that nobody knows": {[]string{"ok"}, nil, func(context.Context, astern.Check) astern.CheckResult {
			return astern.CheckResult{Verdict: "fine", Evidence: "!"}
		}, "gate: ok: !", nil},
		"a panic": {[]string{"ok"}, nil, func(context.Context, astern.Check) astern.CheckResult { panic("oh") }, "gate: ok: the check panicked: oh", nil},
		"one never answers": {[]string{"ok"}, nil, func(ctx context.Context, _ astern.Check) astern.CheckResult {
			<-ctx.Done()
			return astern.CheckResult{Verdict: astern.Unknown, Evidence: context.Cause(ctx).Error()}
		}, "gate: ok: no answer within 11s", nil},
		"fail before unknown": {[]string{"each", "ok"}, []astern.Check{pattern}, func(_ context.Context, c astern.Check) astern.CheckResult {
			return astern.CheckResult{Verdict: map[string]astern.Verdict{"each@m0": astern.Unknown, "each@m1": astern.Fail, "ok": astern.Fail}[c.ID()], Evidence: "seen"}
		}, "gate: each@m1: seen", nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			st := stepsOf("1.a")
			st.Gate = &astern.Gate{Checks: tc.checks, TimeoutSeconds: 5}
			p := fleetOf(2, st)
			p.Checks = append(p.Checks, tc.plan...)
			play(t, p, func(s *scene) {
				s.world.check = tc.check
				if tc.hold == "" {
					s.ends(astern.OutcomeDone)
				} else if s.holds(tc.hold); tc.asked == nil {
					return
				}
				got := s.world.order("check")
				slices.Sort(got)
				if !slices.Equal(got, tc.asked) {
					t.Errorf("made %v", got)
				}
			})
		})
	}
	t.Run("a round without results", func(t *testing.T) {
		play(t, gated(0, 1, 5), func(s *scene) {
			s.world.start["1.a"] = does(done())
			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			verdicts(s, func(time.Duration) astern.Verdict { stop(); return astern.Unknown })
			_, _ = s.life(ctx)
			f := s.fold()
			f.Apply(astern.Record{Seq: 99, At: s.clock.Now(), Kind: astern.RecordRound, Stage: 1, Attempt: 2, Gate: true})
			if f.Stage() != 1 {
				t.Error("it opened")
			}
		})
	})
}

func TestStopWhenStopsNewLanesAndLetsStartedOnesFinish(t *testing.T) {
	st := astern.Stage{Parallel: 2, StopWhen: []string{"ok"}, Steps: []astern.Step{stepOf("1.a"), stepOf("1.b")}}
	for _, on := range []astern.OnFailure{astern.OnFailureHold, astern.OnFailureUndo} {
		st.OnFailure = on
		play(t, fleetOf(6, st), func(s *scene) {
			for m := range 6 {
				s.world.start[fmt.Sprintf("1.a@m%d", m)] = takes(8*time.Second, done())
			}
			bad := true
			verdicts(s, func(at time.Duration) astern.Verdict {
				if bad && at > 9*time.Second {
					return astern.Fail
				}
				return astern.Pass
			})
			if on == astern.OnFailureUndo {
				s.ends(astern.OutcomeContinued)
			} else {
				s.holds("gate: ok: seen")
				if d := s.status(); d[4] != "1.a@m2 done" || d[7] != "1.b@m3 done" || d[8] != "1.a@m4 pending" {
					t.Error(d)
				}
				bad = false
				s.says(astern.RecordResumed, "")
				s.ends(astern.OutcomeDone)
			}
		})
	}
	t.Run("what stands still says why", func(t *testing.T) {
		st := astern.Stage{Parallel: 1, Tolerate: 1, StopWhen: []string{"ok"}, Steps: []astern.Step{stepOf("1.a"), stepOf("1.b", func(s *astern.Step) { s.Guards = []string{"1.a"} })}}
		play(t, fleetOf(2, st), func(s *scene) {
			s.says(astern.RecordSkipped, "1.a@m0")
			s.holds("blocked 1.b@m0")
		})
	})
	t.Run("in a stage with a gate at its interval", func(t *testing.T) {
		p := gated(0, 2, 30)
		p.Stages[0].StopWhen = []string{"ok"}
		play(t, p, func(s *scene) {
			s.world.start["1.a"] = takes(5*time.Second, done())
			s.ends(astern.OutcomeDone)
			if n := len(s.world.order("check")); n != 3 { // after 2 and 4 s, and the gate's own
				t.Errorf("%d rounds", n)
			}
		})
	})
}

func TestLateAnswersOfChecksDoNotCount(t *testing.T) {
	t.Run("of the gate, after its stage was taken up again", func(t *testing.T) {
		st := stepsOf("1.a")
		st.Tolerate, st.Gate = 1, &astern.Gate{Checks: []string{"ok"}, IntervalSeconds: 1, TimeoutSeconds: 60}
		play(t, fleetOf(2, st), func(s *scene) {
			s.world.start["1.a@m1"] = does(fails(astern.Denied), done())
			n := 0
			s.world.check = func(context.Context, astern.Check) astern.CheckResult {
				if n++; n == 1 { // asked when one member had failed, answered when it has just been mended
					s.says(astern.RecordResumed, "")
					time.Sleep(500 * time.Millisecond)
				}
				return astern.CheckResult{Verdict: astern.Pass}
			}
			s.ends(astern.OutcomeDone)
			if n != 2 {
				t.Errorf("%d rounds", n)
			}
		})
	})
	t.Run("of a stage that is over", func(t *testing.T) {
		p := planOf(astern.Stage{Steps: []astern.Step{stepOf("1.a")}, StopWhen: []string{"ok"}}, stepsOf("2.b"))
		play(t, p, func(s *scene) {
			s.world.start["1.a"] = takes(6*time.Second, done())
			s.world.check = func(context.Context, astern.Check) astern.CheckResult {
				time.Sleep(3 * time.Second)
				return astern.CheckResult{Verdict: astern.Fail}
			}
			s.world.start["2.b"] = takes(5*time.Second, done())
			s.ends(astern.OutcomeDone)
		})
	})
}

func TestLongWatchKeepsTheJournalShort(t *testing.T) {
	play(t, gated(1800, 1, 60), func(s *scene) {
		s.ends(astern.OutcomeDone)
		rounds, records := len(s.world.order("check")), len(s.journal.Records())
		if rounds < 1700 || records > 220 {
			t.Errorf("%d rounds, %d records", rounds, records)
		}
		if took := time.Since(s.world.begun); took < 30*time.Minute || took > 31*time.Minute {
			t.Errorf("watched for %s", took)
		}
	})
	t.Run("and of a stage that runs", func(t *testing.T) {
		p := planOf(astern.Stage{Steps: []astern.Step{stepOf("1.a", func(s *astern.Step) { s.TimeoutSeconds = 7200 })}, StopWhen: []string{"ok"}})
		play(t, p, func(s *scene) {
			s.world.start["1.a"] = takes(time.Hour, done())
			s.ends(astern.OutcomeDone)
			if rounds, n := len(s.world.order("check")), s.records(astern.RecordRound); rounds < 700 || n > 65 {
				t.Errorf("%d rounds, %d of them written", rounds, n)
			}
		})
	})
}

func TestMachineThatSleptHasWatchedNothing(t *testing.T) {
	play(t, gated(1800, 15, 300), func(s *scene) {
		asked := 0
		verdicts(s, func(time.Duration) astern.Verdict {
			if asked++; asked == 3 {
				s.skew.skew.Add(int64(24 * time.Hour)) // a lid was closed, or a clock was set
			}
			return astern.Pass
		})
		s.ends(astern.OutcomeDone)
		if took := time.Since(s.world.begun); took < 29*time.Minute {
			t.Errorf("the watch was over after %s", took)
		}
	})
}
