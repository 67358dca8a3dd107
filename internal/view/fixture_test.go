package view

import (
	"fmt"
	"time"

	"github.com/astern-dev/astern"
)

// The fixtures tell one story: the web shop of production, where v1.2.3 of shop fails and v1.2.2 is gone back to.

var now = time.Date(2025, 3, 4, 3, 12, 0, 0, time.UTC)

func ago(d time.Duration) time.Time     { return now.Add(-d) }
func agoPtr(d time.Duration) *time.Time { t := ago(d); return &t }

const day = 24 * time.Hour

var measured = astern.Estimate{MedianSeconds: 120, LowSeconds: 100, HighSeconds: 180, Runs: 9}

func shopTargets() []astern.Target {
	deployed := 40 * day
	return []astern.Target{
		{Address: "production/shop", Revision: "v1.2.3", Current: true, DeployedAt: agoPtr(11 * time.Minute), Readiness: astern.AtRisk,
			Evidence: []astern.Evidence{{What: "never completed its watch", Readiness: astern.AtRisk, Seen: ago(2 * time.Second)}}, Estimate: astern.Estimate{MedianSeconds: 60}},
		{Address: "production/shop", Revision: "v1.2.2", Hash: "sha256:4b1d7c", DeployedAt: agoPtr(3 * day), KnownGoodAt: agoPtr(3*day - 30*time.Minute), Readiness: astern.Ready,
			Evidence: []astern.Evidence{
				{What: "release folder on web-1 has its recorded hash", Readiness: astern.Ready, Seen: ago(12 * time.Second)},
				{What: "release folder on web-2 has its recorded hash", Readiness: astern.Ready, Seen: ago(12 * time.Second)}},
			Estimate: measured, Doors: []astern.Door{{Deployments: 4, What: "retention keeps 5 releases"}}},
		{Address: "production/shop", Revision: "v1.2.1", DeployedAt: agoPtr(9 * day), KnownGoodAt: agoPtr(9 * day), Readiness: astern.AtRisk,
			Evidence: []astern.Evidence{
				{What: "release folder on web-1 has its recorded hash", Readiness: astern.Ready, Seen: ago(12 * time.Second)},
				{What: "last proven 97 d ago, the objective is 90 d", Readiness: astern.AtRisk, Seen: ago(12 * time.Second)}},
			Estimate: astern.Estimate{MedianSeconds: 60}, Loss: []astern.Loss{{Address: "production/shop", Unit: "rows", Count: 1204}}, Approvals: 1,
			Doors: []astern.Door{{Deployments: 1, What: "retention keeps 5 releases"}}},
		{Address: "production/shop", Revision: "v1.2.0", DeployedAt: &[]time.Time{ago(deployed)}[0], Readiness: astern.Broken, Latched: "lost orders in the basket",
			Evidence: []astern.Evidence{{What: "release folder on web-2: app/main.py differs from its recorded hash", Readiness: astern.Broken, Seen: ago(12 * time.Second)}}},
		{Address: "production/shop", Revision: "v1.1.9", Readiness: astern.ReadyUnknown,
			Evidence: []astern.Evidence{{What: "web-2 could not be asked: connection timed out after 5 s", Readiness: astern.ReadyUnknown, Seen: ago(3 * time.Second)}}},
	}
}

func targetsReport() TargetsReport {
	by := []string{"ci", "ci", "ana", "ci", ""}
	r := TargetsReport{Environment: "production"}
	shop := ComponentTargets{Address: "production/shop", Kind: "host.service", Current: "v1.2.3"}
	for i, t := range shopTargets() {
		shop.Targets = append(shop.Targets, TargetLine{t, by[i]})
	}
	r.Components = []ComponentTargets{shop,
		{Address: "production/stock", Kind: "host.service", Error: "opening a connection to web-3 (10.0.0.13:22): host key has changed", Hint: "compare the key with the machine's owner"}}
	return r
}

func checkReport() CheckReport {
	return CheckReport{Environment: "production", Verdict: astern.Fail, Components: []ComponentCheck{
		{Address: "production/stock", Kind: "host.service", Current: "v1.2.0", Best: "v1.1.9", Command: "astern rollback stock --to v1.1.9",
			Targets: []astern.Target{{Address: "production/stock", Revision: "v1.1.9", Readiness: astern.Ready, Estimate: astern.Estimate{MedianSeconds: 48, LowSeconds: 40, HighSeconds: 61, Runs: 2},
				Doors: []astern.Door{{Deployments: 1, What: "retention keeps 2 releases"}}}},
			Results: []astern.CheckResult{{Check: "health@stock-1", Verdict: astern.Pass, Evidence: "200 in 12 ms", At: ago(2 * time.Second)}},
			NotRun:  []string{"smoke"}, Verdict: astern.Pass},
		{Address: "production/shop", Kind: "host.service", Current: "v1.2.3", Best: "v1.2.2", Command: "astern rollback shop --to v1.2.2", Targets: shopTargets(),
			Findings: []string{"check health@shop-2 fails", "runs v1.2.3, which nobody recorded: the ledger says v1.2.2"}, Record: "astern record deploy shop v1.2.3",
			Results: []astern.CheckResult{
				{Check: "health@shop-1", Verdict: astern.Pass, Evidence: "200 in 9 ms", At: ago(2 * time.Second)},
				{Check: "health@shop-2", Verdict: astern.Fail, Evidence: "503 Service Unavailable, wanted 200 to 299", At: ago(2 * time.Second), Attempts: 3},
				{Check: "version@shop-2", Verdict: astern.Unknown, Evidence: "no answer within 2 s", At: ago(2 * time.Second)}},
			NotRun: []string{"smoke"}, Verdict: astern.Fail, Unwell: true},
		{Address: "production/mail", Kind: "jsonexec", Error: "running ./mail-driver: exit status 2", Verdict: astern.Unknown},
		{Address: "production/prices", Kind: "aws.lambda", Current: "7", AtRisk: "6", Command: "astern rollback prices --to 6", Targets: []astern.Target{{Revision: "6", Readiness: astern.AtRisk}},
			Findings: []string{"no ready, known-good revision to go back to"}, Verdict: astern.Fail},
		{Address: "production/site", Kind: "aws.s3site", WayUnknown: true, Targets: []astern.Target{{Revision: "r1", Readiness: astern.ReadyUnknown}},
			Findings: []string{"whether there is a way back is unknown: not everything could be asked"}, Verdict: astern.Unknown},
	}}
}

// manyTargets is a check of a component most of whose targets are at risk for the same reason: two that were seen at other times,
// and one for another reason, between them; others are broken.
func manyTargets() CheckReport {
	c := ComponentCheck{Address: "production/shop", Kind: "host.service", Current: "v40", Best: "v39", Command: "astern rollback shop --to v39",
		Findings: []string{"its members run different revisions: v39, v40"}, Verdict: astern.Fail}
	for n := 40; n > 0; n-- {
		t := astern.Target{Address: c.Address, Revision: fmt.Sprintf("v%d", n), Current: n == 40, Readiness: astern.AtRisk, Evidence: []astern.Evidence{
			{What: "release folder has its recorded hash", Readiness: astern.Ready, Seen: ago(time.Duration(n) * time.Second)},
			{What: "it never completed a watch", Readiness: astern.AtRisk, Seen: ago(12 * time.Second)}}}
		switch n {
		case 39:
			t.Readiness, t.Evidence = astern.Ready, t.Evidence[:1]
		case 30:
			t.Evidence[1].What = "last proven 97 d ago, the objective is 90 d"
		case 20, 10:
			t.Evidence[1].Seen = ago(3 * day)
		}
		c.Targets = append(c.Targets, t)
	}
	for n := range 60 { // what retention has removed, told by its own name, and what is each time another reason
		what := fmt.Sprintf("the release folder releases/old-%d is not on web-1", n)
		if n%2 == 0 {
			what = fmt.Sprintf("the files on web-1 were changed: %06x was recorded, old-%d-0 is there", n, n)
		}
		c.Targets = append(c.Targets, astern.Target{Address: c.Address, Revision: fmt.Sprintf("old-%d", n), Readiness: astern.Broken,
			Evidence: []astern.Evidence{{What: what, Readiness: astern.Broken, Seen: ago(time.Second)}}})
	}
	return CheckReport{Environment: "production", Verdict: astern.Fail, Components: []ComponentCheck{c}}
}

func shopPlan() astern.Plan {
	addr := "production/shop"
	step := func(stage, name, verb, title, command string) astern.Step {
		s := astern.Step{ID: stage + "." + name, Address: addr, Kind: "host.service", Verb: verb, Title: title, Command: command,
			Undo: astern.UndoInverse, Estimate: astern.Estimate{MedianSeconds: 3}, Attempts: 3, TimeoutSeconds: 60, HoldSeconds: 30}
		if verb == "swap" {
			s.Sets = []astern.Set{{Path: "{member}/link", Value: astern.Text("v1.2.2")}}
		}
		return s
	}
	lane := func(stage string) []astern.Step {
		ready := step(stage, "ready", "wait", "wait until {member} is healthy", "")
		ready.Kind, ready.Undo, ready.Args = "check", astern.UndoNone, map[string]astern.Arg{"check": astern.Text("health")}
		return []astern.Step{
			step(stage, "swap", "swap", "point the current link of {member} at v1.2.2", "ln -sfn releases/v1.2.2 /srv/shop/{member}/current.new && mv -T /srv/shop/{member}/current.new /srv/shop/{member}/current"),
			step(stage, "restart", "restart", "restart {member}", "systemctl restart shop@{member}.service"),
			ready}
	}
	latch := step("1", "latch", "latch", "latch v1.2.3 of production/shop", "astern latch shop v1.2.3 --reason 'errors since 03:01'")
	latch.Kind = "ledger"
	record := step("4", "record", "record", "record that v1.2.2 runs", "astern record deploy shop v1.2.2")
	record.Kind, record.Undo, record.UndoBecause, record.Guards = "ledger", astern.UndoImpossible, "the ledger is never changed", []string{"1.latch"}
	var checks []astern.Check
	var gateA, gateB []string
	for i, m := range []string{"shop-1", "shop-2", "shop-3", "shop-4"} {
		host := "10.0.0.11:808" + string(rune('1'+i))
		checks = append(checks,
			astern.Check{Name: "health", Address: addr, Member: m, HTTP: &astern.HTTPCheck{URL: "http://" + host + "/health"}, TimeoutSeconds: 2, Attempts: 3, Effects: astern.EffectsNone, Each: true},
			astern.Check{Name: "version", Address: addr, Member: m, HTTP: &astern.HTTPCheck{URL: "http://" + host + "/version", JSONEquals: map[string]string{"version": "v1.2.2"}}, TimeoutSeconds: 2, Attempts: 1, Effects: astern.EffectsNone, Each: true})
		if i < 2 {
			gateA = append(gateA, "health@"+m, "version@"+m)
		}
		gateB = append(gateB, "health@"+m, "version@"+m)
	}
	checks = append(checks,
		astern.Check{Name: "port", Address: addr, TCP: &astern.TCPCheck{Address: "127.0.0.1:8081"}, TimeoutSeconds: 1.5},
		astern.Check{Name: "smoke", Address: addr, Host: "web-1", Command: &astern.CommandCheck{Argv: []string{"./smoke.sh", "v1.2.2", "it's"}, Env: map[string]string{"SHOP": "a b"}}, Effects: astern.EffectsSome},
		astern.Check{Name: "login", Address: addr, HTTP: &astern.HTTPCheck{URL: "http://10.0.0.11/login?a=1&b=2", Method: "POST", Body: `{"user":"o'neil"}`, Status: []int{200, 401},
			SecretHeaders: map[string]astern.Secret{"Authorization": {Env: "SHOP_TOKEN"}}, Contains: "welcome"}, TimeoutSeconds: 5})
	return astern.Plan{
		Kind: "Plan", Version: 1, ID: "p-7", System: "webshop", CreatedAt: ago(2 * time.Minute), ExpiresAt: now.Add(24*time.Hour - 2*time.Minute),
		Intent: astern.Intent{Verb: astern.VerbRollback, Addresses: []string{addr}, Revision: "v1.2.2", Percent: 50, BakeSeconds: 300, Reason: "errors since 03:01"},
		Asked:  astern.Asked{By: "ana", Known: "login name", Way: "cli"},
		Moves:  []astern.Move{{Address: addr, Kind: "host.service", From: "v1.2.3", To: "v1.2.2", Readiness: astern.Ready}},
		Fleets: []astern.Fleet{{Address: addr, Members: []string{"shop-1", "shop-2", "shop-3", "shop-4"}, LeftOut: []astern.LeftOut{{Member: "shop-5", Because: "web-9 could not be asked: no route to host"}}}},
		Facts: []astern.Fact{
			{Address: addr, Path: "revision", Value: "v1.2.3", Seen: ago(2 * time.Minute), Steps: []string{"1.latch"}},
			{Address: addr, Path: "{member}/link", Value: "v1.2.3", Except: map[string]astern.FactValue{"shop-4": {Value: "v1.2.1"}}, Seen: ago(130 * time.Second), Steps: []string{"2.swap", "3.swap"}},
			{Address: addr, Path: "{member}/release/v1.2.2", Value: "sha256:4b1d7c", Seen: ago(130 * time.Second), Steps: []string{"2.swap", "3.swap"}},
			{Address: addr, Path: "shop-3/process", Unknown: "web-2 answers slowly", Seen: ago(130 * time.Second), Steps: []string{"3.restart"}}},
		Accepts: []astern.Accept{{What: "fact production/shop shop-3/process", By: "ana", Because: "it is restarted anyway"}},
		Checks:  checks,
		Stages: []astern.Stage{
			{Title: "latch the bad revision", Steps: []astern.Step{latch}, OnFailure: astern.OnFailureHold},
			{Title: "half of shop", Each: &astern.Each{Address: addr, From: 0, To: 2}, Steps: lane("2"), OnFailure: astern.OnFailureHold,
				Gate: &astern.Gate{Checks: gateA, BakeSeconds: 300, IntervalSeconds: 5, TimeoutSeconds: 600}},
			{Title: "the rest of shop", Each: &astern.Each{Address: addr, From: 2, To: 4}, Parallel: 2, Tolerate: 1, Steps: lane("3"), StopWhen: []string{"health@shop-1"}, OnFailure: astern.OnFailureHold,
				Gate: &astern.Gate{Checks: append(gateB, "port", "smoke", "login"), IntervalSeconds: 5, TimeoutSeconds: 60}},
			{Title: "record", Steps: []astern.Step{record}, OnFailure: astern.OnFailureUndo}},
		Checklist: []astern.Checklist{{Address: addr, Items: []astern.ChecklistItem{{Item: "health", Check: "health"}, {Item: "error-rate"}}}},
		Approvals: 1, Estimate: measured,
		Notes: []string{"v1.2.2 is the newest ready known-good revision before v1.2.3", "50 % of 4 members are 2"},
	}
}

func planView() PlanView {
	return PlanView{Plan: shopPlan(), Hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Approved: []string{"ben"},
		Next: []string{"astern apply plan.json", "astern reject plan.json --reason WHY"}}
}

// shopRecords are the journal of the plan up to the bake of its second stage; every kind of record is among them.
func shopRecords() []astern.Record {
	runner := &astern.Runner{Host: "ops-1", PID: 4242, User: "ana"}
	pass := []astern.CheckResult{{Check: "health@shop-1", Verdict: astern.Pass}, {Check: "health@shop-2", Verdict: astern.Pass}}
	fail := []astern.CheckResult{{Check: "health@shop-1", Verdict: astern.Pass}, {Check: "health@shop-2", Verdict: astern.Fail, Evidence: "503 Service Unavailable"}}
	rs := []astern.Record{
		{Kind: astern.RecordTaken, Fence: 3, Runner: runner},
		{Kind: astern.RecordIntent, Step: "1.latch", Attempt: 1},
		{Kind: astern.RecordOp, Step: "1.latch", Op: &astern.Op{Status: astern.OpDone}},
		{Kind: astern.RecordIntent, Step: "2.swap@shop-1", Attempt: 1},
		{Kind: astern.RecordOp, Step: "2.swap@shop-1", Attempt: 1, Op: &astern.Op{Status: astern.OpFailed, Code: astern.Unavailable, Error: "connection to web-1 was reset", Hint: "is sshd running?"}},
		{Kind: astern.RecordIntent, Step: "2.swap@shop-1", Attempt: 2},
		{Kind: astern.RecordOp, Step: "2.swap@shop-1", Attempt: 2, Op: &astern.Op{Status: astern.OpUnsure, Code: astern.Unavailable, Error: "no reply within 60 s"}},
		{Kind: astern.RecordDoubt, Step: "2.swap@shop-1", Text: "web-1 can't be asked"},
		{Kind: astern.RecordAbsent, Step: "2.swap@shop-1", Attempt: 2},
		{Kind: astern.RecordUnprepared, Step: "2.swap@shop-1", Code: astern.Throttled, Text: "reading its facts: too many sessions"},
		{Kind: astern.RecordRefused, Step: "2.swap@shop-1", Differences: []astern.Difference{{Address: "production/shop", Path: "shop-1/link", Expected: "v1.2.3", Found: "v1.2.4"}}},
		{Kind: astern.RecordPaused, By: "ben", Text: "let me look"},
		{Kind: astern.RecordResumed, By: "ben"},
		{Kind: astern.RecordTaken, Fence: 4, Runner: runner},
		{Kind: astern.RecordSettled, Step: "2.swap@shop-1", By: "ana", Op: &astern.Op{Status: astern.OpDone}, Text: "I looked"},
		{Kind: astern.RecordAllowed, Step: "2.swap@shop-1", By: "ana"},
		{Kind: astern.RecordIntent, Step: "2.restart@shop-1", Attempt: 1},
		{Kind: astern.RecordOp, Step: "2.restart@shop-1", Op: &astern.Op{Status: astern.OpRunning, Progress: "waiting for process 811"}},
		{Kind: astern.RecordOp, Step: "2.restart@shop-1", Op: &astern.Op{Status: astern.OpRunning, Progress: "waiting for process 811"}},
		{Kind: astern.RecordOp, Step: "2.restart@shop-1", Op: &astern.Op{Status: astern.OpDone, Progress: "process 811"}},
		{Kind: astern.RecordSkipped, Step: "2.ready@shop-1", By: "ana", Text: "the check is wrong"},
		{Kind: astern.RecordIntent, Step: "2.swap@shop-2", Attempt: 1},
		{Kind: astern.RecordOp, Step: "2.swap@shop-2", Op: &astern.Op{Status: astern.OpDone}},
		{Kind: astern.RecordRound, Stage: 2, Gate: true, Results: fail},
	}
	for range 4 {
		rs = append(rs, astern.Record{Kind: astern.RecordRound, Stage: 2, Gate: true, Results: pass})
	}
	rs = append(rs, astern.Record{Kind: astern.RecordTicked, Step: "production/shop", Text: "error-rate", By: "ana"})
	for i := range rs {
		rs[i].Seq, rs[i].At = int64(i+1), ago(2*time.Minute-time.Duration(i)*3*time.Second)
	}
	return rs
}

func executionView() ExecutionView {
	steps := []StepView{
		{ID: "1.latch", Stage: 1, Title: "latch v1.2.3", Status: StepDone, Started: agoPtr(118 * time.Second), Ended: agoPtr(117600 * time.Millisecond)},
		{ID: "2.swap@shop-1", Stage: 2, Title: "point the link at v1.2.2", Status: StepRetrying, Attempt: 4, Attempts: 10, RetryAt: &[]time.Time{now.Add(12 * time.Second)}[0], Error: "connection to web-1 was reset"},
		{ID: "2.restart@shop-1", Stage: 2, Title: "restart shop-1", Status: StepPending},
		{ID: "2.swap@shop-2", Stage: 2, Title: "point the link at v1.2.2", Status: StepFailed, Error: "no space left on /srv", Hint: "free 20 MB"},
		{ID: "2.restart@shop-2", Stage: 2, Title: "restart shop-2", Status: StepDropped},
		{ID: "3.restart@shop-3", Stage: 3, Title: "restart shop-3", Status: StepRunning, Started: agoPtr(3 * time.Second), Progress: "waiting for process 812"},
		{ID: "3.swap@shop-4", Stage: 3, Title: "point the link at v1.2.2", Status: StepUnsure, Error: "no reply within 60 s"},
		{ID: "3.restart@shop-4", Stage: 3, Title: "restart shop-4", Status: StepSkipped},
		{ID: "4.record", Stage: 4, Title: "record that v1.2.2 runs", Status: StepRefused, Error: "production/shop revision: expected v1.2.2, found v1.2.4"},
	}
	return ExecutionView{
		Execution: astern.Execution{ID: "e-91", PlanHash: planView().Hash, CreatedAt: ago(2 * time.Minute), Addresses: []string{"production/shop"}},
		Plan:      shopPlan(), Records: shopRecords(), State: StateHeld, Steps: steps,
		Holds:   []string{"2.swap@shop-2 failed: no space left on /srv; free 20 MB, then: astern resume e-91"},
		Waiting: "a decision about 2.swap@shop-2", Runner: &astern.Runner{Host: "ops-1", PID: 4242, User: "ana"},
		Gates: []GateView{{Stage: 2, BakedSeconds: 9, BakeSeconds: 300, Results: []astern.CheckResult{
			{Check: "health@shop-1", Verdict: astern.Pass, At: ago(time.Second)}, {Check: "health@shop-2", Verdict: astern.Fail, Evidence: "503", At: ago(time.Second)}}}},
		Incident: "inc-4", Phases: astern.Phases{NoticeSeconds: 35, DecideSeconds: 21, ApproveSeconds: 40, ExecuteSeconds: 72.4, SettleSeconds: 9}, RTOSeconds: 300,
		Checklist: []ChecklistView{{Address: "production/shop", Item: "health", Check: "health", Verdict: astern.Fail},
			{Address: "production/shop", Item: "version", Check: "version", Ticked: true, At: agoPtr(5 * time.Second)},
			{Address: "production/shop", Item: "alerts", Ticked: true, By: "ben", At: agoPtr(9 * time.Second)},
			{Address: "production/shop", Item: "error-rate"}},
		Next: []string{"astern resume e-91", "astern cancel e-91"},
	}
}

func endedView() ExecutionView {
	v := executionView()
	v.State, v.Holds, v.Waiting, v.Runner, v.Gates = StateEnded, nil, "", nil, nil
	v.Execution.EndedAt, v.Execution.Outcome = agoPtr(0), astern.OutcomeDone
	v.Records = append(v.Records, astern.Record{Kind: astern.RecordEnded, Outcome: astern.OutcomeDone, At: now})
	v.Next, v.Reverse = []string{"astern status"}, "astern undo e-91  # shop-1, shop-2 go back to v1.2.3"
	return v
}

func events() []astern.Event {
	return []astern.Event{
		{At: ago(2 * time.Minute), Address: "production/shop", Kind: astern.EventLatched, Revision: "v1.2.3", By: "ana", Reason: "errors since 03:01", Execution: "e-91"},
		{At: ago(11 * time.Minute), Address: "production/shop", Kind: astern.EventDeployed, Revision: "v1.2.3", By: "ci", Reason: "release 1.2.3", Hash: "sha256:aa01", Commit: "8812fee", Artifact: "s3://releases/shop-v1.2.3.tgz"},
		{At: ago(3 * day), Address: "production/shop", Kind: astern.EventKnownGood, Revision: "v1.2.2", By: "astern", Execution: "e-88"},
		{At: ago(4 * day), Address: "production/stock", Kind: astern.EventReleased, Revision: "v1.1.8", By: "ben", Reason: "fixed in the database"},
		{At: ago(9 * day), Address: "production/stock", Kind: astern.EventImported, Revision: "v1.1.9", By: "ana"},
		{At: ago(9 * day), Address: "production/stock", Kind: astern.EventSeen, Revision: "v1.1.9", By: "astern", Hash: "sha256:bb02"},
	}
}

func attempts() []Attempt {
	return []Attempt{{At: ago(time.Minute), Verb: astern.VerbDeploy, Revision: "v1.2.4", State: "held", By: "ci", Why: "2.restart@shop-1 failed: exit status 1", Execution: "e-92"},
		{At: ago(5 * time.Hour), Verb: astern.VerbRollback, Revision: "v1.2.1", State: "cancelled", By: "ben", Why: "the wrong one", Execution: "e-90"}}
}

func latches() []Latch {
	return []Latch{{Address: "production/shop", Revision: "v1.2.3", Reason: "errors since 03:01", Since: ago(2 * time.Minute), By: "ana", Execution: "e-91"},
		{Address: "production/shop", Revision: "v1.2.0", Reason: "lost orders in the basket", Since: ago(39 * day), By: "ben"}}
}

func executions() []ExecutionLine {
	return []ExecutionLine{
		{Execution: executionView().Execution, Title: PlanTitle(shopPlan()), State: StateHeld, By: "ana", Reason: "errors since 03:01", Where: "stage 2 of 4, 3 of 14 steps done",
			Why: "2.swap@shop-2 failed: no space left on /srv", Since: agoPtr(90 * time.Second)},
		{Execution: astern.Execution{ID: "e-88", CreatedAt: ago(3 * day), EndedAt: agoPtr(3*day - 98*time.Second), Outcome: astern.OutcomeDone}, Title: "deploy production/shop to v1.2.2", State: StateEnded, By: "ci"},
	}
}

func waitingPlans() []PlanLine {
	return []PlanLine{{Hash: planView().Hash, Title: "rollback production/mail to v2", By: "ben", At: ago(time.Minute), Given: []string{"ana"}, Approvals: 2,
		Next: "astern approve 9f86d081884c --reason …"}}
}

func statusReport() StatusReport {
	t := shopTargets()[1]
	return StatusReport{System: "webshop", Environment: "production", Executions: executions()[:1], Latches: latches()[:1],
		Incidents: incidentsReport().Incidents[:1],
		Plans:     waitingPlans(),
		HalfWay: []HalfWay{{Address: "production/stock", Execution: "e-90", At: ago(4 * time.Minute), Runs: []string{"stock-1 runs v1.2.1", "stock-2 runs v1.2.0"},
			Next: "astern undo e-90  # stock-1 goes back to v1.2.0"}},
		Components: []ComponentStatus{
			{Address: "production/shop", Kind: "host.service", Current: "v1.2.2+v1.2.3", Mixed: []string{"shop-1, shop-2 run v1.2.2", "shop-3, shop-4 run v1.2.3"}, Since: agoPtr(11 * time.Minute), Way: WayReady, Back: &t, WatchSeconds: 1800, SeenAt: ago(3 * time.Second),
				Unknown: []string{"shop-4/process: web-2 did not answer within 5 s"},
				Watch:   &astern.WatchState{At: ago(4 * time.Second), Alive: true, Says: "v1.2.3 is judged: errors worse, latency not worse"}},
			{Address: "production/stock", Kind: "host.service", Current: "v1.2.0", Since: agoPtr(9 * day), KnownGood: true, SeenAt: ago(3 * time.Second),
				Way: WayAtRisk, AtRisk: &astern.Target{Revision: "v1.1.9", Readiness: astern.AtRisk, Estimate: astern.Estimate{MedianSeconds: 60}, Loss: []astern.Loss{{Unit: "seconds", Count: 660}}},
				Watch: &astern.WatchState{At: ago(2 * time.Hour), Says: "errors not worse"}},
			{Address: "production/mail", Watch: &astern.WatchState{}, Kind: "jsonexec", Way: WayUnknown, Error: "running ./mail-driver: exit status 2"},
			{Address: "production/cron", Kind: "host.service", Current: "v7", Since: agoPtr(time.Hour), SeenAt: ago(3 * time.Second), Way: WayNone}},
		Next: []string{"astern cancel e-91 && astern undo e-91  # shop-1 goes back to v1.2.2", "astern resume e-91  # tries again", "astern undo e-90  # stock-1 goes back to v1.2.0"}}
}

// incidentsReport has one that lasts, one with tasks overdue, and one that is closed.
func incidentsReport() IncidentsReport {
	tasks := func(due, done *time.Time) []astern.Task {
		return []astern.Task{{Item: "status-page", List: "1h", Owner: "ana", DueAt: due, DoneAt: agoPtr(30 * time.Minute), By: "bob"},
			{Item: "ticket", List: "1h", DueAt: due, DoneAt: done, By: "ana"}, {Item: "post-mortem", List: "7d", Owner: "ana", DueAt: done, DoneAt: done, By: "ana"}}
	}
	first := astern.Incident{ID: "inc-3", Title: "errors 4.1 % (normal 0.3 %)", Addresses: []string{"production/shop"}, Severity: "SEV-3", OpenedBy: "watch",
		BeganAt: ago(11 * time.Minute), OpenedAt: ago(10 * time.Minute), Cost: astern.Cost{Requests: 1204, Share: 4.1, Unknown: "orders lost"},
		Cause: &astern.Cause{Address: "production/shop", Revision: "v1.2.3", At: ago(12 * time.Minute), By: "ci"}, Blame: "the fault began 1 min after v1.2.3 was deployed, and nothing else changed",
		Decisions: []astern.Decision{{Act: astern.ActAsk, Way: "shop back to v1.2.2", Command: "astern approve 8f3c1c2d4e5f --reason …", Plan: "8f3c1c2d4e5f", Certainty: "a healthy release is called worse less than once in 2,000 watches", Look: []string{"logs of the new revision", "which routes fail"}, Because: "the cool-down ends at 03:31",
			Ways: []astern.WeighedWay{{Way: "new-checkout off", Seconds: 3, Against: "it is off already"},
				{Way: "shop back to v1.2.2", Command: "astern rollback shop --to v1.2.2 --reason …", Seconds: 120},
				{Way: "shop back to v1.2.1", Seconds: 120, Loses: "1204 rows", Against: "it loses 1204 rows"}}}},
		Executions: []string{"e-91"}, Tasks: tasks(nil, nil),
		Timeline: []astern.TimelineEntry{{At: ago(10 * time.Minute), By: "watch", Text: "opened: errors 4.1 % (production/shop)"},
			{At: ago(9 * time.Minute), By: "ana", Text: "e-91: rollback production/shop v1.2.3 → v1.2.2 begins", Execution: "e-91"},
			{At: ago(8 * time.Minute), Text: "e-91: 2.swap@shop-1 failed: no space\x1b[2J", Execution: "e-91"}}}
	second := astern.Incident{ID: "inc-2", Title: "slow", Addresses: []string{"production/shop"}, Owner: "ana", BeganAt: ago(5 * time.Hour), OpenedAt: ago(5 * time.Hour),
		ResolvedAt: agoPtr(4 * time.Hour), Tasks: tasks(agoPtr(3*time.Hour), nil)}
	third := astern.Incident{ID: "inc-1", Title: "gone", Addresses: []string{"production/mail"}, Severity: "SEV-1", Owner: "ana", BeganAt: ago(9 * day), OpenedAt: ago(9 * day),
		ResolvedAt: agoPtr(9 * day), Tasks: tasks(agoPtr(9*day), agoPtr(2*day))}
	return IncidentsReport{Incidents: []astern.Incident{first, second, third}, Overdue: 1, More: 2}
}

func incidentReport(i int) IncidentReport { return IncidentOf(incidentsReport().Incidents[i], now) }

func kindsReport() KindsReport {
	return KindsReport{Kinds: []KindLine{{Kind: "host.service", Abilities: []string{"observe", "route", "act", "validate"}, Verbs: []astern.VerbInfo{
		{Verb: "swap", What: "points the current link at a release", Undo: astern.UndoInverse, Exclusion: astern.Conditional, Found: "state"},
		{Verb: "restart", What: "restarts an instance and waits until its process lives", Undo: astern.UndoNone, Exclusion: astern.Window, Found: "state"},
		{Verb: "prune", What: "removes a release folder", Undo: astern.UndoImpossible, Exclusion: astern.Conditional, Found: "state"}}},
		KindOf(astern.Driver{Kind: "empty"})}}
}

func releaseReport() ReleaseReport {
	hist := map[string]astern.History{
		"production/shop":  {Deployments: []astern.Deployment{{Revision: "v1.2.2", FirstAt: agoPtr(9 * day), LastAt: agoPtr(3 * day), KnownGoodAt: agoPtr(2 * day)}}},
		"production/stock": {Deployments: []astern.Deployment{{Revision: "v1.1.9", FirstAt: agoPtr(9 * day), LastAt: agoPtr(time.Minute)}}},
		"production/mail":  {}, "staging/shop": {}}
	return ReleaseOf("production", astern.Release{At: ago(13 * time.Hour), Revisions: map[string]string{"production/shop": "v1.2.2", "production/stock": "v1.1.9"}}, hist)
}
