package cli

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/view"
)

var began = time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)

// recovery is a rollback of two members, with a check for each, one with effects, and a checklist.
func recovery(records ...astern.Record) app.Shown {
	check := func(name, member string) astern.Check { return astern.Check{Name: name, Member: member} }
	return app.Shown{Records: records, Execution: astern.Execution{ID: "ex-1"}, Plan: astern.Plan{
		Checks: []astern.Check{check("health", "a"), check("health", "b"), check("book", "")},
		Stages: []astern.Stage{{Gate: &astern.Gate{}}, {Steps: []astern.Step{{ID: "2.check-book", Kind: "check", Verb: "run",
			Args: map[string]astern.Arg{"check": astern.Text("book")}}}, Gate: &astern.Gate{BakeSeconds: 60}}},
		Checklist: []astern.Checklist{{Address: "p/shop", Items: []astern.ChecklistItem{{Item: "health", Check: "health"},
			{Item: "user-flows", Check: "book"}, {Item: "alerts"}}}},
	}}
}

func round(stage int, results ...astern.CheckResult) astern.Record {
	return astern.Record{Kind: astern.RecordRound, Gate: true, Stage: stage, Results: results, At: began}
}

func result(check string, v astern.Verdict) astern.CheckResult {
	return astern.CheckResult{Check: check, Verdict: v, At: began}
}

// ticks tells which items are ticked, and what their checks say.
func ticks(sh app.Shown) map[string]string {
	out := map[string]string{}
	for _, c := range checklist(sh) {
		out[c.Item] = string(c.Verdict)
		if c.Ticked {
			out[c.Item] = "ticked " + string(c.Verdict) + c.By
		}
	}
	return out
}

func TestChecklist(t *testing.T) {
	one := round(1, result("health@a", astern.Pass))
	both := round(2, result("health@a", astern.Pass), result("health@b", astern.Pass))
	worse := round(2, result("health@a", astern.Pass), result("health@b", astern.Fail))
	book := astern.Record{Kind: astern.RecordOp, Step: "2.check-book", Op: &astern.Op{Status: astern.OpDone}, At: began}
	failed := astern.Record{Kind: astern.RecordOp, Step: "2.check-book", Op: &astern.Op{Status: astern.OpFailed}, At: began}
	ticked := astern.Record{Kind: astern.RecordTicked, Step: "p/shop", Text: "alerts", By: "ana", At: began}
	for name, c := range map[string]struct {
		records []astern.Record
		want    map[string]string
	}{
		"nothing yet":           {nil, map[string]string{"health": "", "user-flows": "", "alerts": ""}},
		"one member of two":     {[]astern.Record{one}, map[string]string{"health": "", "user-flows": "", "alerts": ""}},
		"all members":           {[]astern.Record{one, both}, map[string]string{"health": "ticked pass", "user-flows": "", "alerts": ""}},
		"the last round counts": {[]astern.Record{both, worse}, map[string]string{"health": "fail", "user-flows": "", "alerts": ""}},
		"a check made as a step": {[]astern.Record{failed, book, ticked},
			map[string]string{"health": "", "user-flows": "ticked pass", "alerts": "ticked ana"}},
		"a failed one": {[]astern.Record{failed}, map[string]string{"health": "", "user-flows": "fail", "alerts": ""}},
	} {
		if diff := cmp.Diff(c.want, ticks(recovery(c.records...))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestStates(t *testing.T) {
	held := []engine.HoldReason{{Kind: engine.HoldFailed, Step: "2.swap", Text: "it failed"}}
	for name, c := range map[string]struct {
		shown app.Shown
		state view.ExecutionState
		exit  int
	}{
		"done":       {app.Shown{Execution: astern.Execution{Outcome: astern.OutcomeDone}}, view.StateEnded, 0},
		"continued":  {app.Shown{Execution: astern.Execution{Outcome: astern.OutcomeContinued}}, view.StateEnded, 0},
		"incomplete": {app.Shown{Execution: astern.Execution{Outcome: astern.OutcomeIncomplete}}, view.StateEnded, 1},
		"cancelled":  {app.Shown{Execution: astern.Execution{Outcome: astern.OutcomeCancelled}}, view.StateEnded, 130},
		"running":    {app.Shown{Alive: true}, view.StateRunning, 5},
		"baking":     {app.Shown{Alive: true, Gate: engine.Gate{Open: true, BakeSeconds: 60}}, view.StateWaiting, 5},
		"paused":     {app.Shown{Paused: true}, view.StatePaused, 5},
		"held":       {app.Shown{Holds: held}, view.StateHeld, 6},
		"stopped":    {app.Shown{}, view.StateStopped, 6},
	} {
		if got := stateOf(c.shown); got != c.state {
			t.Errorf("%s: state %s, want %s", name, got, c.state)
		}
		if got := astern.ExitCode(standing(c.shown)); got != c.exit {
			t.Errorf("%s: exit code %d, want %d", name, got, c.exit)
		}
	}
}

func TestGates(t *testing.T) {
	sh := recovery(round(1, result("health@a", astern.Pass)), round(2, result("health@b", astern.Unknown)))
	sh.Stage, sh.Gate = 2, engine.Gate{Open: true, BakedSeconds: 12, BakeSeconds: 60}
	want := []view.GateView{
		{Stage: 1, Open: true, Results: []astern.CheckResult{result("health@a", astern.Pass)}},
		{Stage: 2, BakedSeconds: 12, BakeSeconds: 60, Results: []astern.CheckResult{result("health@b", astern.Unknown)}},
	}
	if diff := cmp.Diff(want, gateViews(sh)); diff != "" {
		t.Errorf("gates (-want +got):\n%s", diff)
	}
}

func TestOutputs(t *testing.T) {
	p := astern.Plan{Stages: []astern.Stage{{Steps: []astern.Step{{ID: "1.build",
		Outputs: map[string]string{"digest": "string", "count": "int", "fresh": "bool", "parts": "list"}}}}}}
	got, err := outputsOf(p, "1.build@web-1", []string{"digest=a=b", "count=3", "fresh=true", `parts=["x"]`})
	want := map[string]astern.Arg{"digest": astern.Text("a=b"), "count": astern.Int(3), "fresh": astern.Bool(true), "parts": astern.List("x")}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("outputs (-want +got):\n%s%v", diff, err)
	}
	for _, pair := range []string{"digest", "size=3", "count=many", "fresh=perhaps", "parts=x"} {
		if _, err := outputsOf(p, "1.build", []string{pair}); astern.CodeOf(err) != astern.Invalid {
			t.Errorf("%s: %v, want an invalid one", pair, err)
		}
	}
}
