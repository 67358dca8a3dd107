package view

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s differs (-want +got); go test -update writes it:\n%s", file, d)
	}
}

// rendering is one function of the package applied to its fixture.
type rendering struct {
	name   string
	render func(io.Writer, Style) error
	value  any // its JSON document; nil when it has none
}

func renderings() []rendering {
	fleet := fleetView(10_000)
	return []rendering{
		{"targets", func(w io.Writer, st Style) error { return Targets(w, st, targetsReport()) }, targetsReport()},
		{"check", func(w io.Writer, st Style) error { return Check(w, st, checkReport()) }, checkReport()},
		{"check-quiet", func(w io.Writer, st Style) error {
			r := checkReport()
			r.Components, r.Verdict = r.Components[:1], astern.Pass
			return Check(w, st, r)
		}, nil},
		{"check-many", func(w io.Writer, st Style) error { return Check(w, st, manyTargets()) }, nil},
		{"plan", func(w io.Writer, st Style) error { return Plan(w, st, planView()) }, nil},
		{"plan-loss", func(w io.Writer, st Style) error {
			v := planView()
			v.Plan.Loss = []astern.Loss{{Address: "production/shop", Unit: "rows", Count: 1204}, {Address: "production/shop", Unit: "bytes", Count: 1_234_567_890}}
			v.Plan.ExpiresAt, v.Plan.Facts, v.Refusals = ago(day), nil, []string{"it has expired; plan again"}
			v.Plan.Then = &astern.Then{Because: "a second archive may be missing"}
			return Plan(w, st, v)
		}, nil},
		{"plan-fleet", func(w io.Writer, st Style) error { return Plan(w, st, PlanView{Plan: fleet.Plan}) }, nil},
		{"runbook.md", func(w io.Writer, st Style) error { return Runbook(w, st, planView()) }, nil},
		{"runbook-fleet.md", func(w io.Writer, st Style) error {
			v := PlanView{Plan: fleetView(101).Plan}
			v.Plan.Stages = append(v.Plan.Stages, astern.Stage{Title: "broken", Each: &astern.Each{Address: "production/nobody", To: 3}})
			v.Plan.Notes = []string{"1. not a list", "- nor this"}
			return Runbook(w, st, v)
		}, nil},
		{"execution", func(w io.Writer, st Style) error { return Execution(w, st, executionView()) }, executionView()},
		{"execution-ended", func(w io.Writer, st Style) error { return Execution(w, st, endedView()) }, nil},
		{"execution-fleet", func(w io.Writer, st Style) error { return Execution(w, st, fleet) }, nil},
		{"executions", func(w io.Writer, st Style) error {
			return Executions(w, st, ExecutionsReport{executions(), 12, waitingPlans()})
		}, ExecutionsReport{executions(), 12, waitingPlans()}},
		{"incidents", func(w io.Writer, st Style) error { return Incidents(w, st, incidentsReport()) }, incidentsReport()},
		{"incidents-none", func(w io.Writer, st Style) error { return Incidents(w, st, IncidentsReport{}) }, nil},
		{"incident", func(w io.Writer, st Style) error { return Incident(w, st, incidentReport(0)) }, incidentReport(0)},
		{"incident-overdue", func(w io.Writer, st Style) error { return Incident(w, st, incidentReport(1)) }, nil},
		{"incident-closed", func(w io.Writer, st Style) error { return Incident(w, st, incidentReport(2)) }, nil},
		{"status", func(w io.Writer, st Style) error { return Status(w, st, statusReport()) }, statusReport()},
		{"history", func(w io.Writer, st Style) error {
			return History(w, st, HistoryReport{"production/shop", "v1.2.3", events()[:3], 7, attempts()})
		}, HistoryReport{"production/shop", "v1.2.3", events()[:3], 7, attempts()}},
		{"ledger", func(w io.Writer, st Style) error { return Ledger(w, st, LedgerReport{"production", events(), 0}) }, LedgerReport{"production", events(), 0}},
		{"release", func(w io.Writer, st Style) error { return Release(w, st, releaseReport()) }, releaseReport()},
		{"latches", func(w io.Writer, st Style) error { return Latches(w, st, LatchesReport{"production", latches()}) }, LatchesReport{"production", latches()}},
		{"kinds", func(w io.Writer, st Style) error { return Kinds(w, st, kindsReport()) }, kindsReport()},
		{"rehearsal", func(w io.Writer, st Style) error { return Rehearsal(w, st, rehearsalReport()) }, rehearsalReport()},
		{"reviews", func(w io.Writer, st Style) error { return Reviews(w, st, reviewsReport()) }, reviewsReport()},
		{"outbox", func(w io.Writer, st Style) error { return Outbox(w, st, outboxReport()) }, outboxReport()},
		{"outbox-none", func(w io.Writer, st Style) error { return Outbox(w, st, OutboxReport{}) }, nil},
		{"delivery", func(w io.Writer, st Style) error { return Delivery(w, st, deliveryReport()) }, deliveryReport()},
		{"reviews-none", func(w io.Writer, st Style) error { return Reviews(w, st, ReviewsReport{}) }, nil},
		{"replay", func(w io.Writer, st Style) error { return Replay(w, st, replayReport()) }, replayReport()},
		{"replay-same", func(w io.Writer, st Style) error {
			r := replayReport()
			r.Faults, r.Notes = r.Faults[3:], nil
			return Replay(w, st, r)
		}, nil},
		{"replay-none", func(w io.Writer, st Style) error {
			return Replay(w, st, ReplayReport{astern.Replay{Of: "monday.jsonl", Policy: "astern.yaml"}})
		}, nil},
		{"error", func(w io.Writer, st Style) error { return Error(w, st, sampleError()) }, ErrorDocument(sampleError())},
	}
}

func sampleError() error {
	return errors.Join(
		astern.Errorf(astern.Invalid, "astern.yaml:12:7: unknown key \"comonents\"\n  12 |   comonents:").WithHint("did you mean components?"),
		fmt.Errorf("reading the plan: %w", &astern.Error{Code: astern.Refused, Doing: "applying plan.json", Cause: errors.New("the world has changed"), Hint: "plan again"}))
}

// fleetView is an execution of a plan over n hosts, some of which failed.
func fleetView(n int) ExecutionView {
	v := ExecutionView{Execution: astern.Execution{ID: "e-92", CreatedAt: ago(day / 24)}, State: StateRunning, Plan: astern.Plan{
		System: "fleet", Intent: astern.Intent{Verb: astern.VerbRollback}, Asked: astern.Asked{By: "ana"},
		Moves: []astern.Move{{Address: "production/agent", From: "v9", To: "v8", Readiness: astern.Ready}},
		Stages: []astern.Stage{{Title: "all", Parallel: 50, Tolerate: 20, Each: &astern.Each{Address: "production/agent", To: n},
			Steps: []astern.Step{{ID: "1.set", Address: "production/agent", Title: "set {member} to v8", Command: "agent set {member} v8", Undo: astern.UndoInverse}}}},
		Fleets: []astern.Fleet{{Address: "production/agent"}}}}
	for i := range n {
		m := fmt.Sprintf("host-%05d", i)
		v.Plan.Fleets[0].Members = append(v.Plan.Fleets[0].Members, m)
		s := StepView{ID: "1.set@" + m, Stage: 1, Title: "set " + m + " to v8", Status: StepPending}
		switch {
		case i == 4711:
			s.Status, s.Error = StepFailed, "no route to host"
		case i < 5000:
			s.Status = StepDone
		case i < 5003:
			s.Status, s.Started = StepRunning, agoPtr(0)
		}
		v.Steps = append(v.Steps, s)
	}
	return v
}

func TestGolden(t *testing.T) {
	for _, r := range renderings() {
		for _, x := range []struct {
			suffix string
			st     Style
		}{
			{"", Style{Now: now}},
			{".60", Style{Now: now, Width: 60}},
			{".160v", Style{Now: now, Width: 160, Verbose: true}},
			{".color", Style{Now: now, Color: true}},
		} {
			if x.suffix != "" && (strings.HasSuffix(r.name, ".md") || strings.HasSuffix(r.name, "-fleet")) {
				continue
			}
			t.Run(r.name+x.suffix, func(t *testing.T) {
				var b bytes.Buffer
				if err := r.render(&b, x.st); err != nil {
					t.Fatal(err)
				}
				name := r.name
				if !strings.Contains(name, ".") {
					name += x.suffix + ".txt"
				}
				golden(t, name, b.Bytes())
				if !x.st.Color && bytes.ContainsRune(b.Bytes(), 0x1b) {
					t.Error("an escape character without colour")
				}
				checkWidth(t, b.String(), x.st)
			})
		}
		if r.value == nil {
			continue
		}
		t.Run(r.name+".json", func(t *testing.T) {
			var j, y bytes.Buffer
			if err := errors.Join(JSON(&j, r.value), YAML(&y, r.value)); err != nil {
				t.Fatal(err)
			}
			golden(t, r.name+".json", j.Bytes())
			golden(t, r.name+".yaml", y.Bytes())
		})
	}
}

// checkWidth finds lines that are wider than asked for. Only what a person copies may be: commands, hashes, and errors.
func checkWidth(t *testing.T, out string, st Style) {
	t.Helper()
	if strings.HasPrefix(out, "# ") {
		return
	}
	for l := range strings.Lines(out) {
		l = strings.TrimSuffix(stripSGR(l), "\n")
		if strings.HasSuffix(l, " ") {
			t.Errorf("spaces at the end of %q", l)
		}
		copied := strings.Contains(l, " $ ") || strings.Contains(l, "astern ") || strings.Contains(l, "hash ") || strings.HasPrefix(l, "error: ")
		if w := tx(l).width(); w > st.width() && !copied {
			t.Errorf("%d columns of %d: %q", w, st.width(), l)
		}
	}
}

func stripSGR(s string) string {
	for {
		i := strings.Index(s, "\x1b[")
		if i < 0 {
			return s
		}
		k := strings.IndexByte(s[i:], 'm')
		if k < 0 {
			return s
		}
		s = s[:i] + s[i+k+1:]
	}
}
