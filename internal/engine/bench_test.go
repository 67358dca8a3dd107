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

func runBig(t testing.TB, p astern.Plan) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	j := &enginetest.Journal{}
	w := enginetest.NewWorld(p, 1, enginetest.Faults{})
	e := engine.Engine{Journal: j, Clock: engine.SystemClock{}, Execution: "ex-1", Plan: p, Fence: j.Take(time.Now()),
		World: engine.World{Observe: w.Observe, Actor: w, Check: w.Check}}
	r, err := e.Run(context.Background())
	if err != nil || r.Outcome != astern.OutcomeDone {
		t.Fatal(r, err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(e)
	if b, ok := t.(*testing.B); ok {
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-live")
		b.ReportMetric(float64(len(j.Records())), "records")
	}
}
