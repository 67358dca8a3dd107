package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
)

var dawn = time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)

// after is a moment so many seconds after dawn.
func after(s float64) time.Time { return dawn.Add(time.Duration(s * float64(time.Second))) }

// rec is a record about step 1.a, in its first attempt, at a moment.
func rec(s float64, kind astern.RecordKind, more ...func(*astern.Record)) astern.Record {
	r := astern.Record{At: after(s), Kind: kind, Step: "1.a", Attempt: 1}
	for _, f := range more {
		f(&r)
	}
	return r
}

func attempt(n int) func(*astern.Record)      { return func(r *astern.Record) { r.Attempt = n } }
func asked(s float64) func(*astern.Record)    { return func(r *astern.Record) { r.Asked = after(s) } }
func with(op astern.Op) func(*astern.Record)  { return func(r *astern.Record) { r.Op = &op } }
func code(c astern.Code) func(*astern.Record) { return func(r *astern.Record) { r.Code = c } }

func intended(s float64) astern.Record {
	return rec(s, astern.RecordIntent, func(r *astern.Record) {
		r.Call = &astern.Call{Step: "1.a", Args: map[string]astern.Arg{}, Deadline: after(s + 60)}
	})
}

func takenAt(s float64) astern.Record {
	return astern.Record{At: after(s), Kind: astern.RecordTaken, Fence: 1}
}

// settling is a plan of one step that settles in 10 s and may be unknown for 30.
func settling(more ...func(*astern.Step)) astern.Plan {
	return planOf(astern.Stage{Steps: []astern.Step{stepOf("1.a", append([]func(*astern.Step){func(s *astern.Step) { s.SettleSeconds = 10 }}, more...)...)}})
}

// then returns the records of both, in a list of its own.
func then(told []astern.Record, more ...astern.Record) []astern.Record {
	return slices.Concat(told, more)
}

func foldOf(t *testing.T, p astern.Plan, records ...astern.Record) *engine.Fold {
	t.Helper()
	f, err := engine.NewFold(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		f.Apply(r)
	}
	return f
}

// decided says what is to be done at a moment, in a word or two each; a wait with how many seconds are left.
func decided(f *engine.Fold, s float64) string {
	var out []string
	for _, a := range f.Decide(after(s)) {
		switch a.Kind {
		case engine.Wait:
			out = append(out, fmt.Sprintf("wait %.1f", a.At.Sub(after(s)).Seconds()))
		case engine.Hold:
			for _, h := range a.Holds {
				out = append(out, "hold "+string(h.Kind)+": "+h.Text)
			}
		default:
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %d", a.Kind, a.Step, a.Attempt)))
		}
	}
	return strings.Join(out, ", ")
}

// TestFoldDecides: what was told, and what is done next at a moment. Edges of time are in, for a second decides there.
func TestFoldDecides(t *testing.T) {
	started := []astern.Record{takenAt(0), intended(0)}
	doubtful := then(started, rec(0, astern.RecordOp, with(unsure())))
	throttled := rec(0, astern.RecordOp, with(fails(astern.Throttled)))
	absent := func(s float64) astern.Record { return rec(s, astern.RecordAbsent, asked(s)) }
	unread := func(s float64) astern.Record { return rec(s, astern.RecordUnprepared, code(astern.Unavailable)) }
	stuck := then(doubtful, rec(40, astern.RecordDoubt))
	for name, c := range map[string]struct {
		told []astern.Record
		at   float64
		want string
	}{
		"nothing told":                       {nil, 0, "prepare 1.a 1"},
		"an intent":                          {started, 0, "start 1.a 1"},
		"a new engine":                       {then(started, takenAt(1)), 1, "find 1.a 1"},
		"a doubt is not asked about at once": {doubtful, 0, "wait 0.6"},
		"a retry waits":                      {then(started, throttled), 0, "wait 0.6"},
		"a new engine does not wait for the old one's": {then(started, throttled, takenAt(0.1)), 0.1, "prepare 1.a 2"},
		"absent, not yet settled":                      {then(doubtful, absent(5), absent(9.9)), 30, "find 1.a 1"},
		"absent, just settled":                         {then(doubtful, absent(5), absent(10)), 30, "prepare 1.a 2"},
		"asked much later than it was due":             {then(doubtful, absent(12)), 30, "find 1.a 1"},
		"the answer took long":                         {then(doubtful, rec(25, astern.RecordAbsent, asked(5)), absent(24.9)), 60, "find 1.a 1"},
		"and the rest is counted":                      {then(doubtful, rec(25, astern.RecordAbsent, asked(5)), absent(26)), 60, "prepare 1.a 2"},
		"asked more and more rarely":                   {then(doubtful, rec(21, astern.RecordDoubt)), 21, "wait 8.9"},
		"nobody can tell, just too long":               {stuck, 41, "hold unsure: its driver can't tell what became of it"},
		"nobody can tell, not yet too long":            {then(doubtful, rec(39.9, astern.RecordDoubt)), 40, "wait 33.3"},
		"settled as failed, for an older attempt":      {then(stuck, rec(100, astern.RecordSettled, attempt(2), with(fails(astern.Denied)))), 100, "hold unsure: its driver can't tell what became of it"},
		"settled as failed":                            {then(stuck, rec(100, astern.RecordSettled, with(fails(astern.Denied)))), 100, "prepare 1.a 2"},
		"facts that can't be read, since it was settled": {then(stuck, rec(100, astern.RecordSettled, with(fails(astern.Denied))),
			rec(101, astern.RecordUnprepared, attempt(2), code(astern.Unavailable))), 101, "wait 0.6"},
		"facts that can't be read, not yet too long": {[]astern.Record{unread(0), unread(29.9)}, 60, "prepare 1.a 1"},
		"facts that can't be read, just too long":    {[]astern.Record{unread(0), unread(30)}, 60, "hold failed: its facts could not be read"},
	} {
		f := foldOf(t, settling(), c.told...)
		if got := decided(f, c.at); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := foldOf(t, settling(), then(started, takenAt(1), absent(1))...).Steps()[0].Error; got != "not found in the world" {
		t.Errorf("a doubt that began without a word: %q", got)
	}
}

// TestPausesDiffer is about steps that wait side by side: each a little differently, and none shorter than it must.
func TestPausesDiffer(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 20 {
		id := fmt.Sprint("1.", i)
		f := foldOf(t, planOf(stepsOf(id)), takenAt(0), astern.Record{At: dawn, Kind: astern.RecordIntent, Step: id, Attempt: 1, Call: &astern.Call{}},
			astern.Record{At: dawn, Kind: astern.RecordOp, Step: id, Attempt: 1, Op: &astern.Op{Status: astern.OpFailed, Code: astern.Throttled}})
		d := f.Decide(dawn)[0].At.Sub(dawn)
		if d < 500*time.Millisecond || d >= 625*time.Millisecond {
			t.Errorf("step %s waits %s", id, d)
		}
		seen[d] = true
	}
	if len(seen) < 10 {
		t.Errorf("20 steps have %d different pauses", len(seen))
	}
}

// TestRecordsAboutWhatIsOver: a record that does not answer what the step is now changes nothing, and is not written.
func TestRecordsAboutWhatIsOver(t *testing.T) {
	told := []astern.Record{takenAt(0)}
	states := map[string][]astern.Record{"waiting": told}
	told = then(told, intended(0))
	states["intended"] = told
	states["doubt"] = then(told, rec(0, astern.RecordOp, with(unsure())))
	states["running"] = then(told, rec(0, astern.RecordOp, with(underWay("half"))))
	states["done"] = then(told, rec(0, astern.RecordOp, with(done())))
	again := intended(1)
	again.Attempt = 2
	empty := intended(1)
	empty.Call = nil
	for name, c := range map[string]struct {
		r      astern.Record
		counts string // in which states
	}{
		"an intent":                     {intended(1), "waiting"},
		"the next intent":               {again, ""},
		"an intent without a call":      {empty, ""},
		"refused":                       {rec(1, astern.RecordRefused), "waiting"},
		"refused, the next":             {rec(1, astern.RecordRefused, attempt(2)), ""},
		"unprepared":                    {rec(1, astern.RecordUnprepared), "waiting"},
		"unprepared, the next":          {rec(1, astern.RecordUnprepared, attempt(2)), ""},
		"an answer":                     {rec(1, astern.RecordOp, with(done())), "intended doubt running"},
		"an answer without words":       {rec(1, astern.RecordOp), ""},
		"the next answer":               {rec(1, astern.RecordOp, attempt(2), with(done())), ""},
		"absent":                        {rec(1, astern.RecordAbsent, asked(1)), "doubt"},
		"absent, the next":              {rec(1, astern.RecordAbsent, attempt(2), asked(1)), ""},
		"in doubt":                      {rec(1, astern.RecordDoubt), "doubt"},
		"in doubt, the next":            {rec(1, astern.RecordDoubt, attempt(2)), ""},
		"settled":                       {rec(1, astern.RecordSettled, with(done())), "doubt running"},
		"settled, whichever it is":      {rec(1, astern.RecordSettled, attempt(0), with(done())), "doubt running"},
		"settled, the next":             {rec(1, astern.RecordSettled, attempt(2), with(done())), ""},
		"settled without words":         {rec(1, astern.RecordSettled), ""},
		"what this engine doesn't know": {rec(1, "dreamt"), ""},
	} {
		for state, records := range states {
			f, before := foldOf(t, settling(), records...), foldOf(t, settling(), records...)
			counts := strings.Contains(c.counts, state)
			if n := len(f.News([]astern.Record{c.r}, after(1))); (n == 1) != counts {
				t.Errorf("%s while %s: %d of 1 is news", name, state, n)
			}
			f.Apply(c.r)
			if changed := fmt.Sprint(f.Steps()) != fmt.Sprint(before.Steps()) || decided(f, 1) != decided(before, 1); changed != counts {
				t.Errorf("%s while %s: it changed the step: %t", name, state, changed)
			}
		}
	}
}

// TestNewsOfARunningStep: progress is written now and then, everything else at once.
func TestNewsOfARunningStep(t *testing.T) {
	other := underWay("half")
	other.Handle = map[string]string{"id": "8"}
	for name, c := range map[string]struct {
		at   float64
		op   astern.Op
		want int
	}{
		"nothing new":                        {3, underWay("half"), 0},
		"more, too soon":                     {1.9, underWay("more"), 0},
		"more":                               {2, underWay("more"), 1},
		"more, at the same moment":           {0, underWay("more"), 0},
		"more, by a clock that was set back": {-1, underWay("more"), 1},
		"another handle":                     {1, other, 1},
		"done":                               {1, done(), 1},
		"just in time":                       {90, underWay("half"), 0},
		"too long":                           {90.1, underWay("half"), 1},
	} {
		f := foldOf(t, settling(), takenAt(0), intended(0), rec(0, astern.RecordOp, with(underWay("half"))))
		if n := len(f.News([]astern.Record{rec(c.at, astern.RecordOp, with(c.op))}, after(c.at))); n != c.want {
			t.Errorf("%s: %d of 1 is news, want %d", name, n, c.want)
		}
	}
}

// TestTimeOfAStepBeginsWithItsIntent, however long its facts took to read.
func TestTimeOfAStepBeginsWithItsIntent(t *testing.T) {
	f := foldOf(t, settling(), takenAt(0))
	news := f.News([]astern.Record{intended(0)}, after(10))
	if len(news) != 1 || !news[0].Call.Deadline.Equal(after(70)) || !news[0].At.Equal(after(10)) || news[0].Fence != 1 {
		t.Errorf("%+v", news)
	}
}

// TestFirstOutputOutsideItsLimit: of several the first by name is told.
func TestFirstOutputOutsideItsLimit(t *testing.T) {
	op, limits := done(), map[string]string{}
	op.Outputs = map[string]astern.Arg{}
	for i := range 20 {
		name := fmt.Sprintf("o%02d", i)
		op.Outputs[name], limits[name] = astern.Int(1), "2"
	}
	f := foldOf(t, settling(func(s *astern.Step) { s.Limits = limits }), takenAt(0), intended(0), rec(0, astern.RecordOp, with(op)))
	if got := decided(f, 0); got != "hold limit: output o00 is 1, the plan allows 2" {
		t.Error(got)
	}
}

// TestGateIsPatientAnew: the time in which nobody looked, or which a person has forgiven, does not count against a gate.
func TestGateIsPatientAnew(t *testing.T) {
	for _, anew := range []astern.Record{takenAt(29), {At: after(29), Kind: astern.RecordResumed, By: "op"}} {
		f := foldOf(t, gated(60, 5, 30), takenAt(0), intended(0), rec(0, astern.RecordOp, with(done())), anew)
		look := f.Decide(after(29))[0]
		if look.Kind != engine.CheckRound || !look.Gate {
			t.Fatalf("%+v", look)
		}
		unknown := func(s float64) astern.Record {
			return astern.Record{At: after(s), Kind: astern.RecordRound, Stage: 1, Attempt: look.Attempt, Gate: true}
		}
		f.Apply(unknown(58.9))
		if got := decided(f, 60); strings.HasPrefix(got, "hold") {
			t.Errorf("29.9 s after it was %s: %s", anew.Kind, got)
		}
		f.Apply(unknown(59))
		if got := decided(f, 60); got != "hold gate: ok: it was not made" {
			t.Errorf("30 s after it was %s: %s", anew.Kind, got)
		}
	}
}

// TestStageThatFails: a lane that failed, is unsure, outside a limit or blocked keeps the stage from starting others, unless it
// tolerates that.
func TestStageThatFails(t *testing.T) {
	at := func(member string, r astern.Record) astern.Record { r.Step += "@" + member; return r }
	guarded := stepsOf("1.a", "1.b")
	guarded.Steps[1].Guards = []string{"1.a"}
	limited := stepsOf("1.a")
	limited.Steps[0].Limits = map[string]string{"n": "2"}
	denied := rec(0, astern.RecordOp, with(fails(astern.Denied)))
	for name, c := range map[string]struct {
		stage astern.Stage
		told  []astern.Record
		hold  string
	}{
		"failed":        {stepsOf("1.a"), []astern.Record{denied}, "hold failed: it failed as denied"},
		"unsure":        {stepsOf("1.a"), []astern.Record{rec(0, astern.RecordOp, with(unsure())), rec(99, astern.RecordDoubt)}, "hold unsure: its driver can't tell what became of it"},
		"outside limit": {limited, []astern.Record{rec(0, astern.RecordOp, with(outputs("n", int64(1))))}, "hold limit: output n is 1, the plan allows 2"},
		"blocked":       {guarded, []astern.Record{denied, rec(1, astern.RecordSkipped)}, "hold blocked: "},
	} {
		told := []astern.Record{takenAt(0), at("m0", intended(0))}
		for _, r := range c.told {
			told = append(told, at("m0", r))
		}
		for tolerate := range 2 {
			p := fleetOf(3, c.stage)
			p.Stages[0].Tolerate, p.Stages[0].Parallel = tolerate, 2
			f := foldOf(t, p, told...)
			got := decided(f, 100)
			if starts := strings.Contains(got, "prepare 1.a@m1 1"); starts != (tolerate == 1) {
				t.Errorf("%s, %d tolerated: %q", name, tolerate, got)
			}
			if tolerate == 0 && (!strings.HasPrefix(got, c.hold) || f.Decide(after(100))[0].Holds[0].Stage != 1) {
				t.Errorf("%s: %q, want %q in stage 1", name, got, c.hold)
			}
		}
	}
}

// TestHoldsNameTheirStage: what keeps an execution in its second stage, or from being continued after it, is told of that stage.
func TestHoldsNameTheirStage(t *testing.T) {
	of := func(step string, r astern.Record) astern.Record { r.Step = step; return r }
	call := func(step string) astern.Record {
		r := of(step, intended(0))
		r.Call.Step = step
		return r
	}
	done := rec(0, astern.RecordOp, with(astern.Op{Status: astern.OpDone}))
	pause := astern.Record{At: after(1), Kind: astern.RecordPaused}
	noPlan := astern.Record{At: after(1), Kind: astern.RecordUnprepared, Code: astern.Refused, Text: "no plan"}
	second := []astern.Record{call("2.b"), of("2.b", done)}
	undo := func(p *astern.Plan) { p.Stages[1].OnFailure = astern.OnFailureUndo }
	more := func(p *astern.Plan) { p.Then = &astern.Then{Because: "there is more"} }
	for name, c := range map[string]struct {
		told []astern.Record
		hold engine.HoldKind
		more func(p *astern.Plan)
	}{
		"paused":             {[]astern.Record{pause}, engine.HoldPaused, func(*astern.Plan) {}},
		"refused":            {[]astern.Record{of("2.b", rec(0, astern.RecordRefused))}, engine.HoldRefused, func(*astern.Plan) {}},
		"no plan to undo it": {[]astern.Record{call("2.b"), of("2.b", rec(0, astern.RecordOp, with(fails(astern.Denied)))), noPlan}, engine.HoldPlan, undo},
		"no plan goes on":    {then(second, noPlan), engine.HoldPlan, more},
		"paused at its end":  {then(second, pause), engine.HoldPaused, more},
		"a gate that failed": {then(second, gateRound(1, 2, astern.Fail, 0), astern.Record{At: after(1), Kind: astern.RecordTicked}), engine.HoldGate,
			func(p *astern.Plan) { p.Stages[1].Gate = &astern.Gate{Checks: []string{"ok"}, TimeoutSeconds: 30} }},
	} {
		p := planOf(stepsOf("1.a"), stepsOf("2.b"))
		c.more(&p)
		got := foldOf(t, p, then([]astern.Record{takenAt(0), call("1.a"), of("1.a", done)}, c.told...)...).Decide(after(2))
		if len(got) != 1 || len(got[0].Holds) != 1 || got[0].Holds[0].Kind != c.hold || got[0].Holds[0].Stage != 2 {
			t.Errorf("%s: %+v, want that it holds in stage 2", name, got)
		}
	}
}

// TestEarliestWaitCounts: of two steps that wait the one that is due first says when to look again.
func TestEarliestWaitCounts(t *testing.T) {
	p := fleetOf(2, stepsOf("1.a"))
	p.Stages[0].Parallel = 2
	for _, first := range []string{"m0", "m1"} {
		told := []astern.Record{takenAt(0)}
		for _, member := range []string{"m0", "m1"} {
			op := underWay("")
			if op.PollSeconds = 20; member == first {
				op.PollSeconds = 10
			}
			for _, r := range []astern.Record{intended(0), rec(0, astern.RecordOp, with(op))} {
				r.Step += "@" + member
				told = append(told, r)
			}
		}
		if got := decided(foldOf(t, p, told...), 0); got != "wait 10.0" {
			t.Errorf("%s is asked first: %q", first, got)
		}
	}
}

// TestEngineThatWasOvertakenStopsAtItsNextLook, even when it has nothing to write by which it would notice.
func TestEngineThatWasOvertakenStopsAtItsNextLook(t *testing.T) {
	play(t, planOf(stepsOf("1.a")), func(s *scene) {
		s.world.start["1.a"] = takes(50*time.Second, done())
		out := s.begin(context.Background())
		time.Sleep(time.Second)
		s.journal.Take(s.clock.Now())
		if r := <-out; !errors.Is(r.err, engine.ErrFenced) || r.at.Sub(s.world.begun) > 2*time.Second {
			t.Errorf("after %s: %v", r.at.Sub(s.world.begun), r.err)
		}
		s.wantCount("find 1.a", 0) // that is the other engine's to ask
	})
}

// TestTimeOfARound: it is as long as the slowest check with all its attempts, for each 64 checks, which are made side by side.
func TestTimeOfARound(t *testing.T) {
	for n, want := range map[int]time.Duration{1: 18 * time.Second, 100: 26 * time.Second} {
		p := gated(60, 5, 30)
		p.Stages[0].Gate.Checks, p.Checks = nil, nil
		for i := range n {
			name := fmt.Sprint("c", i)
			p.Stages[0].Gate.Checks = append(p.Stages[0].Gate.Checks, name)
			p.Checks = append(p.Checks, astern.Check{Name: name, Attempts: 2, TimeoutSeconds: 3, IntervalSeconds: 1, Effects: astern.EffectsNone})
		}
		f := foldOf(t, p, takenAt(0), intended(0), rec(0, astern.RecordOp, with(done())))
		if a := f.Decide(dawn)[0]; a.Kind != engine.CheckRound || a.Within != want {
			t.Errorf("%d checks: %s %s, want %s", n, a.Kind, a.Within, want)
		}
	}
}
