package engine_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
)

// gateRound is a round of the gate of stage 1, or of stage 2 for its look 2 of a plan whose gate is there, with one check that took so long.
func gateRound(s float64, stage int, verdict astern.Verdict, took float64) astern.Record {
	return astern.Record{At: after(s), Kind: astern.RecordRound, Stage: stage, Attempt: 2, Gate: true,
		Results: []astern.CheckResult{{Check: "ok", Verdict: verdict, Evidence: "seen", Seconds: took}}}
}

// open is a plan whose first stage is over and whose gate counts since dawn, and what was told of its rounds.
func open(t *testing.T, p astern.Plan, rounds ...astern.Record) *engine.Fold {
	t.Helper()
	f := foldOf(t, p, takenAt(0), intended(0), rec(0, astern.RecordOp, with(done())))
	if a := f.Decide(dawn)[0]; a.Kind != engine.CheckRound || !a.Gate || a.Attempt != 2 {
		t.Fatalf("%+v", a)
	}
	for _, r := range rounds {
		f.Apply(r)
	}
	return f
}

// TestPauseBetweenTwoPasses: no more is baked than lies between two rounds that follow each other: what need not be written, two
// intervals, the slowest check (for an hour at most) and five seconds.
func TestPauseBetweenTwoPasses(t *testing.T) {
	for name, c := range map[string]struct {
		plan astern.Plan
		took float64
		want float64
	}{
		"a long bake":          {gated(3600, 5, 30), 7, 7.5 + 10 + 7 + 5},
		"a short bake":         {gated(60, 5, 30), 7, 3 + 10 + 7 + 5},
		"a long time-out":      {gated(3600, 5, 300), 0, 10 + 10 + 5},
		"a check without end":  {gated(360000, 5, 30), 5000, 7.5 + 10 + 3600 + 5},
		"another, more slowly": {gated(3600, 60, 30), 0, 7.5 + 120 + 5},
	} {
		last := gateRound(90000, 1, astern.Pass, c.took)
		last.Results = append(last.Results, astern.CheckResult{Check: "ok", Verdict: astern.Pass, Seconds: c.took / 2})
		f := open(t, c.plan, gateRound(0, 1, astern.Pass, 0), last)
		if got := f.CurrentGate().BakedSeconds; got != c.want {
			t.Errorf("%s: %v s are baked, want %v", name, got, c.want)
		}
	}
}

// TestNewsOfARound: another verdict, the end of the bake or of the patience, and the same after some time. All edges are in.
func TestNewsOfARound(t *testing.T) {
	const pass, fail, unknown = astern.Pass, astern.Fail, astern.Unknown
	long, short := gated(3600, 5, 30), gated(60, 5, 30)
	passes := func(at ...float64) (out []astern.Record) {
		for _, s := range at {
			out = append(out, gateRound(s, 1, pass, 0))
		}
		return out
	}
	blind := []astern.Record{gateRound(0, 1, unknown, 0), gateRound(25, 1, unknown, 0)}
	for name, c := range map[string]struct {
		plan astern.Plan
		told []astern.Record
		at   float64
		says astern.Verdict
		want int
	}{
		"the first":                        {long, nil, 0, pass, 1},
		"the same, soon":                   {long, passes(0), 7.4, pass, 0},
		"the same, after some time":        {long, passes(0), 7.5, pass, 1},
		"the same, at the same moment":     {long, passes(0), 0, pass, 0},
		"the same, the clock was set back": {long, passes(0), -1, pass, 1},
		"another":                          {long, passes(0), 1, unknown, 1},
		"a fault":                          {long, passes(0), 1, fail, 1},
		"a fault again":                    {long, []astern.Record{gateRound(0, 1, fail, 0)}, 1, fail, 1},
		"nearly baked":                     {short, passes(0, 18, 36, 54, 58), 59.9, pass, 0},
		"baked":                            {short, passes(0, 18, 36, 54, 58), 60, pass, 1},
		"patient":                          {long, blind, 29.9, unknown, 0},
		"patient no more":                  {long, blind, 30, unknown, 1},
	} {
		f := open(t, c.plan, c.told...)
		if n := len(f.News([]astern.Record{gateRound(c.at, 1, c.says, 0)}, after(c.at))); n != c.want {
			t.Errorf("%s: %d of 1 is news, want %d", name, n, c.want)
		}
	}
}

// TestOldLookOpensNothing: an answer to an older look at the same gate does not count.
func TestOldLookOpensNothing(t *testing.T) {
	f := open(t, gated(0, 5, 30))
	old := gateRound(1, 1, astern.Pass, 0)
	old.Attempt = 1
	if n := len(f.News([]astern.Record{old}, after(1))); n != 0 {
		t.Errorf("%d of 1 is news", n)
	}
	if f.Apply(old); f.Stage() != 1 {
		t.Error("it opened")
	}
	if f.Apply(gateRound(2, 1, astern.Pass, 0)); f.Stage() != 2 {
		t.Error("it did not open")
	}
}

// TestLooksAtOnce: when a stage's lanes are over its gate is looked at, however lately its stop_when was; and when a person says that it goes on.
func TestLooksAtOnce(t *testing.T) {
	p := gated(0, 60, 30)
	p.Stages[0].StopWhen = []string{"ok"}
	watched := astern.Record{At: after(1), Kind: astern.RecordRound, Stage: 1, Attempt: 1, Results: []astern.CheckResult{{Check: "ok", Verdict: astern.Pass}}}
	resumed := astern.Record{At: after(3), Kind: astern.RecordResumed, By: "op"}
	for name, told := range map[string][]astern.Record{
		"its lanes are over": {takenAt(0), intended(0), watched, rec(3, astern.RecordOp, with(done()))},
		"it goes on":         {takenAt(0), intended(0), rec(0, astern.RecordOp, with(done())), gateRound(2, 1, astern.Fail, 0), resumed},
	} {
		if a := foldOf(t, p, told...).Decide(after(3))[0]; a.Kind != engine.CheckRound || !a.Gate {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// TestRoundIsWide, but no wider than it may be.
func TestRoundIsWide(t *testing.T) {
	p := gated(0, 5, 30)
	p.Stages[0].Gate.Checks, p.Checks = nil, nil
	for i := range 200 {
		name := fmt.Sprint("c", i)
		p.Stages[0].Gate.Checks = append(p.Stages[0].Gate.Checks, name)
		p.Checks = append(p.Checks, astern.Check{Name: name, Attempts: 1, TimeoutSeconds: 3, Effects: astern.EffectsNone})
	}
	play(t, p, func(s *scene) {
		var now, most atomic.Int64
		s.world.check = func(context.Context, astern.Check) astern.CheckResult {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			now.Add(-1)
			return astern.CheckResult{Verdict: astern.Pass}
		}
		s.ends(astern.OutcomeDone)
		if most.Load() != 64 {
			t.Errorf("%d checks were made side by side", most.Load())
		}
	})
}

// TestCancelDoesNotWaitForChecks: a round is under way that takes long, and nothing else.
func TestCancelDoesNotWaitForChecks(t *testing.T) {
	play(t, gated(60, 5, 30), func(s *scene) {
		s.world.check = func(ctx context.Context, _ astern.Check) astern.CheckResult {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Second):
			}
			return astern.CheckResult{Verdict: astern.Pass}
		}
		go func() {
			time.Sleep(2 * time.Second)
			s.says(astern.RecordCancelled, "")
		}()
		s.ends(astern.OutcomeCancelled)
		if took := time.Since(s.world.begun); took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// TestCancelWaitsForAPlan that is being made: it begins an execution, of which the journal must tell.
func TestCancelWaitsForAPlan(t *testing.T) {
	p := planOf(stepsOf("1.a"))
	p.Stages[0].OnFailure = astern.OnFailureUndo
	play(t, p, func(s *scene) {
		s.world.start["1.a"] = does(fails(astern.Denied))
		s.world.plan = func(context.Context, bool) (string, error) {
			time.Sleep(5 * time.Second)
			return "child", nil
		}
		go func() {
			time.Sleep(2 * time.Second)
			s.says(astern.RecordCancelled, "")
		}()
		s.ends(astern.OutcomeCancelled)
		if n := s.records(astern.RecordChild); n != 1 {
			t.Errorf("%d children are told of", n)
		}
	})
}

// TestBlockedAsks: what can't run, because a person skipped what it needs, is a person's question and nothing to undo. Of several outputs that
// are missing the first by name is told.
func TestBlockedAsks(t *testing.T) {
	p := planOf(stepsOf("1.a", "1.b"), stepsOf("2.c"))
	p.Stages[1].OnFailure = astern.OnFailureUndo
	p.Stages[1].Steps[0].Args = map[string]astern.Arg{"m": astern.OutputOf("1.b", "x"), "n": astern.OutputOf("1.a", "x")}
	skip := func(step string) astern.Record {
		return astern.Record{At: dawn, Kind: astern.RecordSkipped, Step: step, By: "op"}
	}
	if got := decided(foldOf(t, p, takenAt(0), skip("1.a"), skip("1.b")), 0); got != "hold blocked: it uses an output of 1.b, which was not done" {
		t.Error(got)
	}
}

// TestMembersUseWhatIsNoMembers: a lane of a fleet uses the output of a step of an earlier stage that is for all.
func TestMembersUseWhatIsNoMembers(t *testing.T) {
	st := stepsOf("2.b")
	st.Steps[0].Args = map[string]astern.Arg{"x": astern.OutputOf("1.a", "x")}
	p := fleetOf(2, st)
	p.Stages = slices.Insert(p.Stages, 0, planOf(stepsOf("1.a")).Stages...)
	play(t, p, func(s *scene) {
		s.world.start["1.a"] = does(outputs("x", "seven"))
		s.ends(astern.OutcomeDone)
		if c := s.world.call("2.b@m1"); c.Text("x") != "seven" {
			t.Errorf("%+v", c)
		}
	})
}

// waitsFor is a clock with which the engine waits only once something has happened.
type waitsFor struct {
	skewed
	until func()
}

func (c *waitsFor) After(d time.Duration) <-chan time.Time {
	c.until()
	return c.skewed.After(d)
}

// TestStoppedWhileTwoArePrepared: whichever is noticed first, the answer or that it is to stop, no intent is written any more.
func TestStoppedWhileTwoArePrepared(t *testing.T) {
	st := stepsOf("1.a")
	st.Parallel = 2
	for range 20 {
		play(t, fleetOf(2, st), func(s *scene) {
			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			s.clock = &waitsFor{until: func() {
				synctest.Wait() // both are prepared, and nobody has taken their answers
				stop()
			}}
			if _, err := s.life(ctx); astern.CodeOf(err) != astern.Interrupted {
				t.Error(err)
			}
			if n := s.records(astern.RecordIntent); n != 0 {
				t.Errorf("%d intents", n)
			}
		})
	}
}

// TestResultsWaitForAllThatIsPrepared: where two steps follow on two that are done, all four share a commit, also when one of
// these is prepared a moment after the other.
func TestResultsWaitForAllThatIsPrepared(t *testing.T) {
	st := stepsOf("1.a", "1.b", "1.c", "1.d")
	st.Parallel = 2
	play(t, planOf(st), func(s *scene) {
		b := &batches{Journal: s.journal}
		s.log = b
		s.world.start["1.a"], s.world.start["1.b"] = takes(time.Second, done()), takes(time.Second, done())
		s.world.before = func(_ context.Context, call astern.Call) (astern.Image, error) {
			time.Sleep(map[string]time.Duration{"1.c": 500 * time.Microsecond, "1.d": time.Millisecond}[call.Step])
			return nil, nil
		}
		s.ends(astern.OutcomeDone)
		i := slices.IndexFunc(b.seen, func(batch []astern.Record) bool {
			return slices.ContainsFunc(batch, func(r astern.Record) bool { return r.Kind == astern.RecordIntent && r.Step == "1.d" })
		})
		if i < 0 || len(b.seen[i]) != 4 {
			t.Errorf("commits: %v", b.seen)
		}
	})
}

// TestDoneOnce: each step that was done is told once, whatever the journal says of it besides.
func TestDoneOnce(t *testing.T) {
	p := settling(func(s *astern.Step) { s.Limits = map[string]string{"n": "2"} })
	p.Stages = append(p.Stages, stepsOf("2.b"))
	stale := rec(4, astern.RecordOp, with(done()))
	stale.Step = "2.b"
	records := []astern.Record{takenAt(0), intended(0), rec(1, astern.RecordOp, with(outputs("n", int64(1)))),
		rec(2, astern.RecordSettled, with(done())), rec(3, astern.RecordAllowed), stale}
	if got := foldOf(t, p, records...).Done(records); len(got) != 1 || got[0].Step.ID != "1.a" {
		t.Errorf("%+v", got)
	}
}

// TestProgressIsTold of a step that runs.
func TestProgressIsTold(t *testing.T) {
	f := foldOf(t, settling(), takenAt(0), intended(0), rec(0, astern.RecordOp, with(underWay("half"))))
	if got := f.Steps()[0]; got.Status != "running" || got.Progress != "half" || got.Error != "" {
		t.Errorf("%+v", got)
	}
}

// TestActsWhileItFails: the time in which one member still acts is not the people's, though another has failed; where nobody knows what
// becomes of it, it is.
func TestActsWhileItFails(t *testing.T) {
	st := stepsOf("1.a")
	st.Parallel = 2
	of := func(member string, r astern.Record) astern.Record { r.Step += "@" + member; return r }
	running := func(s float64) astern.Record { return of("m1", rec(s, astern.RecordOp, with(underWay("")))) }
	_, ph, err := engine.FoldJournal(fleetOf(2, st), []astern.Record{takenAt(0), of("m0", intended(0)), of("m1", intended(0)),
		of("m0", rec(1, astern.RecordOp, with(fails(astern.Denied)))), running(1), running(11), running(100), {At: after(110), Kind: astern.RecordPaused}})
	if want := (astern.Phases{ExecuteSeconds: 100, SettleSeconds: 10}); err != nil || ph != want {
		t.Errorf("%+v, %v; want %+v", ph, err, want)
	}
}
