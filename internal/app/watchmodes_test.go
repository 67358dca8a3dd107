package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
)

// TestWatchModes: what the policy does not let astern do it does not do, and says what it would have done.
func TestWatchModes(t *testing.T) {
	for mode, act := range map[string]astern.Act{"tell": astern.ActTell, "shadow": astern.ActShadow} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := newWatchWorld(t, "{approvals: 0, watch: 1s, automatic: {mode: "+mode+"}}")
			w.watch(shortPast, never)
			w.deploy("v2", 1, 2)
			if !w.watch(60, w.says(astern.WatchDecided)) {
				t.Fatal("nothing was decided")
			}
			w.watch(30, never)
			incidents, executions, runs := w.state()
			if len(incidents) != 1 || len(executions) != 0 || runs != "v2 v2" || len(incidents[0].Decisions) != 1 {
				t.Fatalf("%+v, %d executions, the members run %s", incidents, len(executions), runs)
			}
			if d := incidents[0].Decisions[0]; d.Act != act || d.Way != "shop back to v1" {
				t.Errorf("%+v", d)
			}
			// A person takes it back: the watch sees that it is over.
			w.deploy("v1", 1, 2)
			if !w.watch(120, w.says(astern.WatchResolved)) {
				t.Error("it was not resolved")
			}
		})
	}
}

// TestWatchAsks: the plan waits for a person's word, and is begun by the watch when it has it, also by a new process; what was
// rejected is not begun.
func TestWatchAsks(t *testing.T) {
	for _, verdict := range []string{"approve", "reject"} {
		t.Run(verdict, func(t *testing.T) {
			t.Parallel()
			w := newWatchWorld(t, "{approvals: 0, watch: 1s, automatic: {mode: ask}}")
			w.watch(shortPast, never)
			w.deploy("v2", 1, 2)
			if !w.watch(60, w.says(astern.WatchDecided)) {
				t.Fatal("nothing was decided")
			}
			w.watch(10, never)
			incidents, executions, _ := w.state()
			if len(incidents) != 1 || len(executions) != 0 || len(incidents[0].Decisions) != 1 {
				t.Fatalf("%+v, %d executions", incidents, len(executions))
			}
			d := incidents[0].Decisions[0]
			if d.Act != astern.ActAsk || d.Plan == "" || !strings.HasPrefix(d.Command, "astern approve ") {
				t.Fatalf("%+v", d)
			}
			w.with(func(a *app.App) {
				doc, err := a.Store.Plan(t.Context(), d.Plan)
				w.must(err)
				_, err = a.Approve(t.Context(), doc, verdict, "test", app.Vouch{})
				w.must(err)
			})
			resolved := w.watch(60, w.says(astern.WatchResolved))
			_, executions, runs := w.state()
			if verdict == "approve" && (!resolved || len(executions) != 1 || runs != "v1 v1") {
				t.Errorf("approved: resolved %t, %d executions, the members run %s", resolved, len(executions), runs)
			}
			if verdict == "reject" && (resolved || len(executions) != 0 || runs != "v2 v2") {
				t.Errorf("rejected: resolved %t, %d executions, the members run %s", resolved, len(executions), runs)
			}
		})
	}
}

// TestWatchBlind: metrics that are gone are no health and no fault: nothing is done, nothing becomes known-good.
func TestWatchBlind(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, automatic)
	w.watch(shortPast, never)
	w.write("root/blind", "", 0o600)
	w.deploy("v2", 1, 2)
	w.watch(60, never)
	incidents, executions, runs := w.state()
	if len(incidents) != 0 || len(executions) != 0 || runs != "v2 v2" || w.says(astern.WatchKnownGood)() {
		t.Errorf("%d incidents, %d executions, the members run %s", len(incidents), len(executions), runs)
	}
}

// TestWatchAgain: what deploys the same bad revision again after it was taken back is not fought: people are told to stop it.
func TestWatchAgain(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, automatic)
	w.watch(shortPast, never)
	w.deploy("v2", 1, 2)
	if !w.watch(60, w.says(astern.WatchResolved)) {
		t.Fatal("it was not resolved")
	}
	w.pass(2 * time.Hour) // the cool-down is over
	*w.events = nil
	w.deploy("v2", 1, 2)
	if !w.watch(60, w.says(astern.WatchDecided)) {
		t.Fatal("nothing was decided")
	}
	w.watch(30, never)
	incidents, executions, runs := w.state()
	if len(incidents) != 2 || len(executions) != 1 || runs != "v2 v2" {
		t.Fatalf("%d incidents, %d executions, the members run %s", len(incidents), len(executions), runs)
	}
	if d := incidents[0].Decisions; len(d) != 1 || d[0].Act != astern.ActAsk || !strings.Contains(d[0].Because, "first stop what deploys it") {
		t.Errorf("%+v", d)
	}
}

// TestDeployJudged: a deployment goes on when its first share is known not to be worse, and is reversed by itself when it is.
func TestDeployJudged(t *testing.T) {
	for revision, c := range map[string]struct {
		runs    string
		outcome astern.Outcome
	}{"v3": {"v3 v3", astern.OutcomeDone}, "v2": {"v1 v1", astern.OutcomeContinued}} {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			w := newWatchWorld(t, automatic)
			w.rate("times", 100) // it judges by the real clock
			w.with(func(a *app.App) {
				a.Now = time.Now
				p, err := a.Plan(t.Context(), app.Ask{Verb: astern.VerbDeploy, Components: []string{"shop"}, Revision: revision, Judge: true, WatchSeconds: 0, Way: "cli"})
				w.must(err)
				if !p.Plan.Intent.Judge || p.Plan.Intent.Percent != 50 {
					t.Errorf("%+v", p.Plan.Intent)
				}
				w.must(a.Keep(t.Context(), p))
				e, _, err := a.Apply(t.Context(), p.Doc, app.Vouch{})
				w.must(err)
				_, _, err = a.Run(t.Context(), e.ID, func(_ astern.Plan, r astern.Record) {
					for _, check := range r.Results {
						if check.Verdict != astern.Pass {
							t.Log(check.Check, check.Verdict, check.Evidence)
						}
					}
				})
				w.must(err)
			})
			_, executions, runs := w.state()
			first := executions[len(executions)-1]
			if runs != c.runs || first.Outcome != c.outcome {
				t.Errorf("the members run %s, %+v", runs, executions)
			}
		})
	}
}

// TestWatchProbes: where the monitoring is gone the component's own checks decide, when they fail for some rounds.
func TestWatchProbes(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, automatic)
	w.watch(shortPast, never)
	w.write("root/blind", "", 0o600)
	w.deploy("v2", 1, 2)
	w.watch(10, never)
	if incidents, _, _ := w.state(); len(incidents) != 0 {
		t.Fatalf("%+v", incidents)
	}
	w.ctl("stop", 1)
	w.ctl("stop", 2)
	if !w.watch(40, w.says(astern.WatchResolved)) {
		t.Error("it was not resolved")
	}
	incidents, executions, runs := w.state()
	if len(incidents) != 1 || len(executions) != 1 || runs != "v1 v1" {
		t.Fatalf("%d incidents, %d executions, the members run %s", len(incidents), len(executions), runs)
	}
	if !strings.Contains(incidents[0].Title, "own checks: the signals have no data, and 2 of 2 instances fail their checks: alive@shop-") {
		t.Errorf("%+v", incidents[0])
	}
}

// TestWatchGone: a decision to act that had to wait is not carried out when nothing is seen of the fault any more.
func TestWatchGone(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, "{approvals: 0, watch: 1s, automatic: {mode: automatic}, freezes: [{name: day, schedule: '0 0 * * *', zone: UTC, lasts: 23h}, {name: night, schedule: '30 22 * * *', zone: UTC, lasts: 2h}]}")
	w.watch(shortPast, never)
	w.deploy("v2", 1, 2)
	if !w.watch(60, w.says(astern.WatchDecided)) {
		t.Fatal("nothing was decided")
	}
	w.write("root/blind", "", 0o600)
	w.write("astern.yaml", strings.Replace(watchConfig, "POLICY", automatic, 1), 0o600) // the freeze is over
	w.watch(30, never)
	incidents, executions, runs := w.state()
	if len(incidents) != 1 || incidents[0].ResolvedAt != nil || len(executions) != 0 || runs != "v2 v2" {
		t.Fatalf("%+v, %d executions, the members run %s", incidents, len(executions), runs)
	}
	if d := incidents[0].Decisions; d[len(d)-1].Act != astern.ActHold || !strings.Contains(d[len(d)-1].Because, "has no data now") {
		t.Errorf("%+v", d)
	}
}

// TestWatchCalls: who is on the ladder has the time that the policy gives, from when he was called, also when the watch was away;
// only then astern acts by itself.
func TestWatchCalls(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, `{approvals: 0, watch: 1s, automatic: {mode: ask}, people: {ana: {}, ben: {}}, roles: {primary: {people: [ana]}, secondary: {people: [ben]}},
      severities: [{name: SEV-1, at_least: 0, mode: ask, unanswered: act, call: [{role: primary, wait: 5m}, {role: secondary, wait: 5m}]}]}`)
	w.watch(shortPast, never)
	w.deploy("v2", 1, 2)
	if !w.watch(60, w.says(astern.WatchDecided)) {
		t.Fatal("nothing was decided")
	}
	w.watch(2, never)
	w.pass(10 * time.Minute) // nobody watches
	w.watch(8, never)
	if _, executions, _ := w.state(); len(executions) != 0 {
		t.Fatalf("it acted before the second could answer: %+v", executions)
	}
	if !w.watch(60, w.says(astern.WatchResolved)) {
		t.Error("it was not resolved")
	}
	incidents, executions, runs := w.state()
	calls := 0
	for _, line := range incidents[0].Timeline {
		if strings.HasPrefix(line.Text, "calls ") {
			calls++
		}
	}
	if len(executions) != 1 || runs != "v1 v1" || calls != 2 {
		t.Errorf("%d executions, the members run %s, %d calls", len(executions), runs, calls)
	}
}

// TestWatchSuperseded: another release that goes out while an incident lasts is judged by itself, and its fault is one of its own.
func TestWatchSuperseded(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, "{approvals: 0, watch: 1s, automatic: {mode: tell}}")
	w.rate("v3", 200)
	w.watch(shortPast, never)
	w.deploy("v2", 1, 2)
	if !w.watch(60, w.says(astern.WatchDecided)) {
		t.Fatal("nothing was decided")
	}
	*w.events = nil
	w.deploy("v3", 1, 2)
	if !w.watch(60, w.says(astern.WatchDecided)) {
		t.Fatal("nothing was decided about the second")
	}
	incidents, _, _ := w.state()
	if len(incidents) != 2 || incidents[1].ResolvedAt == nil || incidents[0].Cause == nil || incidents[0].Cause.Revision != "v3" {
		t.Errorf("%+v", incidents)
	}
}

// TestWatchWrongTheory re-enacts an outage whose engineers took back the wrong layer for hours: what the shop needs was deployed
// seconds before the shop, and it is that which is bad. The newest change is named, nothing is taken back, and a person is
// told of both; taking back the other one ends the fault.
func TestWatchWrongTheory(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, automatic)
	w.watch(shortPast, never)
	w.with(func(a *app.App) {
		_, _, err := a.RecordDeploy(t.Context(), app.Record{Component: "stock", Revision: "v9"})
		w.must(err)
	})
	w.pass(20 * time.Second)
	w.rate("everywhere", 300) // of stock v9, and not of what the shop runs
	w.deploy("v3", 1, 2)
	if !w.watch(60, w.says(astern.WatchDecided)) {
		t.Fatal("nothing was decided")
	}
	w.watch(20, never)
	incidents, executions, runs := w.state()
	if len(incidents) != 1 || len(executions) != 0 || runs != "v3 v3" {
		t.Fatalf("%d incidents, %d executions, the members run %s", len(incidents), len(executions), runs)
	}
	in := incidents[0]
	d := in.Decisions[len(in.Decisions)-1]
	if d.Act != astern.ActAsk || !strings.Contains(d.Because, "v3 and test/stock v9 were deployed within a minute of each other") || d.Plan == "" ||
		len(d.Look) == 0 || in.Cause == nil || in.Cause.Revision != "v3" || !strings.Contains(in.Blame, "it may be either") {
		t.Errorf("%+v; blames %+v: %s", d, in.Cause, in.Blame)
	}
	w.rate("everywhere", 0) // stock was taken back
	if !w.watch(120, w.says(astern.WatchResolved)) {
		t.Error("it was not resolved when it was over")
	}
	if _, executions, runs := w.state(); len(executions) != 0 || runs != "v3 v3" {
		t.Errorf("%d executions, the members run %s", len(executions), runs)
	}
}
