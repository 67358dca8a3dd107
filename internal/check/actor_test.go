package check

import (
	"context"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// world answers checks with one verdict and remembers the last check it was asked.
type world struct {
	verdict astern.Verdict
	last    astern.Check
}

func (w *world) run(_ context.Context, c astern.Check) astern.CheckResult {
	w.last = c
	return astern.CheckResult{Check: c.ID(), Verdict: w.verdict, Evidence: "as seen"}
}

func plan(name, member string) (astern.Check, bool) {
	switch name {
	case "health":
		return astern.Check{Name: "health", Member: member, Effects: astern.EffectsNone, Attempts: 3, IntervalSeconds: 2,
			TCP: &astern.TCPCheck{Address: "a:1"}}, true
	case "pattern":
		return astern.Check{Name: "pattern", Each: true, Effects: astern.EffectsNone, HTTP: &astern.HTTPCheck{URL: "http://{member}/"}}, true
	case "smoke":
		return astern.Check{Name: "smoke", Effects: astern.EffectsSome, Attempts: 3,
			Command: &astern.CommandCheck{Argv: []string{"./smoke.sh"}, Env: map[string]string{"A": "B"}}}, true
	}
	return astern.Check{}, false
}

func call(verb, check, member string) astern.Call {
	return astern.Call{Step: "2.ready", Verb: verb, Kind: Kind, Member: member, Token: "token-1", Args: map[string]astern.Arg{"check": astern.Text(check)}}
}

func TestWait(t *testing.T) {
	w := &world{verdict: astern.Fail}
	a := NewActor(plan, w.run)
	for _, verdict := range []astern.Verdict{astern.Fail, astern.Unknown} {
		w.verdict = verdict
		op := a.Start(t.Context(), call("wait", "health", "shop-1"))
		if op.Status != astern.OpRunning || op.PollSeconds != 2 || op.Progress != string(verdict)+": as seen" {
			t.Errorf("%+v", op)
		}
		if w.last.Attempts != 1 || w.last.Member != "shop-1" {
			t.Errorf("%+v", w.last)
		}
	}
	if f := a.Find(t.Context(), call("wait", "health", "")); f.Answer != astern.FoundYes || f.Op.Status != astern.OpRunning {
		t.Errorf("%+v", f)
	}
	w.verdict = astern.Pass
	if op := a.Poll(t.Context(), call("wait", "health", ""), astern.Op{Status: astern.OpRunning}); op.Status != astern.OpDone {
		t.Errorf("%+v", op)
	}
	if op := a.Start(t.Context(), call("wait", "pattern", "edge-7")); op.Status != astern.OpDone || w.last.HTTP.URL != "http://edge-7/" {
		t.Errorf("%+v %+v", op, w.last.HTTP)
	}
}

func TestWaitEnds(t *testing.T) {
	end := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	verdict, now := astern.Unknown, end
	a := NewActor(plan, func(context.Context, astern.Check) astern.CheckResult {
		return astern.CheckResult{Verdict: verdict, Evidence: "as seen", At: now}
	})
	c := call("wait", "health", "")
	c.Deadline = end
	if op := a.Poll(t.Context(), c, astern.Op{}); op.Status != astern.OpRunning {
		t.Errorf("%+v", op)
	}
	now = end.Add(time.Second)
	if op := a.Poll(t.Context(), c, astern.Op{}); op.Status != astern.OpFailed || op.Code.Transient() || op.Hint == "" {
		t.Errorf("%+v", op)
	}
	verdict = astern.Pass
	if op := a.Poll(t.Context(), c, astern.Op{}); op.Status != astern.OpDone {
		t.Errorf("%+v", op)
	}
}

func TestRun(t *testing.T) {
	w := &world{}
	a := NewActor(plan, w.run)
	for verdict, status := range map[astern.Verdict]astern.OpStatus{astern.Pass: astern.OpDone, astern.Fail: astern.OpFailed, astern.Unknown: astern.OpUnsure} {
		w.verdict = verdict
		op := a.Start(t.Context(), call("run", "smoke", ""))
		if op.Status != status || (status != astern.OpDone) != (op.Code != "") || op.Code != "" && verdict == astern.Fail && op.Code.Transient() {
			t.Errorf("%s: %+v", verdict, op)
		}
	}
	if env := w.last.Command.Env; env[TokenVariable] != "token-1" || env["A"] != "B" || w.last.Attempts != 1 {
		t.Errorf("%+v", w.last)
	}
	if f := a.Find(t.Context(), call("run", "smoke", "")); f.Answer != astern.FoundUnknown {
		t.Errorf("%+v", f)
	}
}

func TestActorRefuses(t *testing.T) {
	a := NewActor(plan, (&world{verdict: astern.Pass}).run)
	for _, c := range []astern.Call{call("wait", "none", ""), call("dance", "health", ""), call("wait", "smoke", ""), {Verb: "wait"}} {
		if op := a.Start(t.Context(), c); op.Status != astern.OpFailed || op.Code != astern.Invalid {
			t.Errorf("%+v: %+v", c, op)
		}
	}
}
