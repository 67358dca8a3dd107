package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/engine/enginetest"
)

// bigPlan is one stage over so many members of three guarded steps each, width of them at a time, after a step that all of
// them name as their guard.
func bigPlan(members, width int) astern.Plan {
	step := func(id string, guards ...string) astern.Step {
		return astern.Step{ID: id, Address: "sim/big", Kind: "sim", Verb: "set", Title: id, Undo: astern.UndoNone, Guards: guards,
			Attempts: 3, TimeoutSeconds: 60, HoldSeconds: 30, Command: "true", Outputs: map[string]string{"token": "string"},
			Args: map[string]astern.Arg{"value": astern.Text(id)}}
	}
	fleet := astern.Fleet{Address: "sim/big"}
	for i := range members {
		fleet.Members = append(fleet.Members, fmt.Sprintf("m%05d", i))
	}
	swap, restart, ready := step("2.swap", "1.latch"), step("2.restart", "2.swap"), step("2.ready", "2.restart")
	swap.Sets = []astern.Set{{Path: "{member}/link", Value: astern.Text("v2")}}
	restart.Args["was"] = astern.OutputOf("2.swap", "token")
	return astern.Plan{Kind: "Plan", Version: astern.PlanVersion, ID: "big", System: "sim", Fleets: []astern.Fleet{fleet},
		Checks: []astern.Check{{Name: "ok", Attempts: 1, TimeoutSeconds: 1, Effects: astern.EffectsNone}},
		Facts:  []astern.Fact{{Address: "sim/big", Path: "{member}/link", Value: "v0", Steps: []string{"2.swap"}}},
		Stages: []astern.Stage{
			{Title: "latch", OnFailure: astern.OnFailureHold, Steps: []astern.Step{step("1.latch")}},
			{Title: "all", OnFailure: astern.OnFailureHold, Parallel: width, Tolerate: 10, StopWhen: []string{"ok"},
				Each: &astern.Each{Address: "sim/big", From: 0, To: members}, Steps: []astern.Step{swap, restart, ready},
				Gate: &astern.Gate{Checks: []string{"ok"}, IntervalSeconds: 1, TimeoutSeconds: 20}}}}
}

// BenchmarkBigPlan carries out 10,000 steps that take no time, with the loop and a journal in memory.
func BenchmarkBigPlan(b *testing.B) {
	for _, width := range []int{1, 200} {
		b.Run(fmt.Sprintf("parallel=%d", width), func(b *testing.B) {
			p := bigPlan(3334, width)
			for b.Loop() {
				runBig(b, p)
			}
		})
	}
}

// BenchmarkDecide asks for what comes next in the middle of a stage over so many members: its cost must not grow with them.
func BenchmarkDecide(b *testing.B) {
	for _, members := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			f, now := middle(b, members)
			b.ReportAllocs()
			for b.Loop() {
				if len(f.Decide(now)) == 0 {
					b.Fatal("nothing to do")
				}
			}
		})
	}
}

// middle is the state after half of the members are done.
func middle(t testing.TB, members int) (*engine.Fold, time.Time) {
	f, err := engine.NewFold(bigPlan(members, 50))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	seq := int64(0)
	say := func(r astern.Record) {
		seq++
		r.Seq, r.At = seq, at
		f.Apply(r)
	}
	do := func(id string) {
		say(astern.Record{Kind: astern.RecordIntent, Step: id, Attempt: 1, Call: &astern.Call{Step: id}})
		say(astern.Record{Kind: astern.RecordOp, Step: id, Attempt: 1, Op: &astern.Op{Status: astern.OpDone, Outputs: map[string]astern.Arg{"token": astern.Text("x")}}})
	}
	say(astern.Record{Kind: astern.RecordTaken, Fence: 1})
	do("1.latch")
	for m := range members / 2 {
		for _, s := range []string{"swap", "restart", "ready"} {
			do(fmt.Sprintf("2.%s@m%05d", s, m))
		}
	}
	return f, at
}

// TestBigPlanIsNotQuadratic compares what Apply and Decide allocate and how many steps a full run takes with one ten times
// smaller: both grow with the plan, not with its square.
func TestBigPlanIsNotQuadratic(t *testing.T) {
	small, now := middle(t, 300)
	big, _ := middle(t, 3000)
	few := testing.AllocsPerRun(20, func() { small.Decide(now) })
	many := testing.AllocsPerRun(20, func() { big.Decide(now) })
	if many > few*1.5 {
		t.Errorf("Decide allocates %.0f times with 300 members and %.0f times with 3000", few, many)
	}
	before := time.Now()
	live := runBig(t, bigPlan(3334, 200))
	if took := time.Since(before); took > 20*time.Second { // it takes about 0.3 s
		t.Errorf("10,000 steps took %s", took)
	}
	if live > 100e6 {
		t.Errorf("10,000 steps hold %.0f MB", live/1e6)
	}
}

// runBig carries out the plan and returns how many bytes its journal, world and engine hold at the end.
func runBig(t testing.TB, p astern.Plan) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	j := &enginetest.Journal{}
	w := enginetest.NewWorld(p, 1, enginetest.Faults{})
	e := engine.Engine{Journal: j, Clock: engine.SystemClock{}, Execution: "ex-1", Plan: p, Fence: j.Take(time.Now()),
		World: engine.World{Observe: w.Observe, Actor: w, Stopper: w, Check: w.Check}}
	r, err := e.Run(context.Background())
	if err != nil || r.Outcome != astern.OutcomeDone {
		t.Fatal(r, err)
	}
	f, err := engine.NewFold(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range j.Records() {
		f.Apply(r)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(w)
	runtime.KeepAlive(f)
	live := float64(after.HeapAlloc) - float64(before.HeapAlloc)
	if b, ok := t.(*testing.B); ok {
		b.ReportMetric(live/1e6, "MB-live")
	}
	return live
}
