package app

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// TestMeasuredReadsNoMoreThanEnough: of a component whose rollbacks have thousands of steps the newest are measured, of another one all.
func TestMeasuredReadsNoMoreThanEnough(t *testing.T) {
	ctx, begun := t.Context(), time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store, err := sqlite.Open(ctx, t.TempDir())
	must(err)
	defer store.Close()
	a := &App{Store: store, decode: planfile.Decode}
	rolledBack := func(n int, address string, seconds, records int) {
		t.Helper()
		at := begun.Add(time.Duration(n) * time.Hour)
		p := astern.Plan{Kind: "Plan", Version: astern.PlanVersion, ID: fmt.Sprint("plan-", n), System: "test", Loss: []astern.Loss{}, Facts: []astern.Fact{},
			Moves:     []astern.Move{{Address: address, Kind: "none", From: "v2", To: "v1", Readiness: astern.Ready}},
			CreatedAt: at, ExpiresAt: at.Add(time.Hour), Intent: astern.Intent{Verb: astern.VerbRollback, Addresses: []string{address}, Percent: 100},
			Asked: astern.Asked{By: "ana", Known: "login name", Way: "cli"},
			Stages: []astern.Stage{{Title: "all", OnFailure: astern.OnFailureHold, Steps: []astern.Step{{ID: "1.go", Address: address, Kind: "none", Verb: "go",
				Title: "go", Undo: astern.UndoNone, Command: "true", Attempts: 1, TimeoutSeconds: 60}}}}}
		doc, hash, err := planfile.Encode(p)
		must(err)
		must(a.Store.PutPlan(ctx, hash, doc, at))
		e, _, err := a.Store.CreateExecution(ctx, astern.Execution{PlanHash: hash, CreatedAt: at, Addresses: []string{address}}, 0)
		must(err)
		fence, err := a.Store.Take(ctx, e.ID, astern.Runner{Host: "here", PID: 1}, func(astern.Runner) bool { return false }, 0, at)
		must(err)
		must(a.Store.Append(ctx, e.ID, 0, slices.Repeat([]astern.Record{{At: at, Kind: astern.RecordTicked, Step: address, Text: "x"}}, records)...))
		must(a.Store.Append(ctx, e.ID, fence, astern.Record{At: at.Add(time.Duration(seconds) * time.Second), Kind: astern.RecordEnded, Outcome: astern.OutcomeDone}))
	}
	for n, address := range []string{"test/large", "test/small", "test/large", "test/small", "test/large", "test/small"} {
		records := 3
		if address == "test/large" {
			records = enoughMeasured*2/3 + 1
		}
		rolledBack(n, address, 10+n, records)
	}
	got, err := a.measured(ctx)
	must(err)
	if want := []float64{14, 12}; !slices.Equal(got["test/large"], want) {
		t.Errorf("of the large one %v, want %v", got["test/large"], want)
	}
	if want := []float64{15, 13, 11}; !slices.Equal(got["test/small"], want) {
		t.Errorf("of the small one %v, want %v", got["test/small"], want)
	}
}
