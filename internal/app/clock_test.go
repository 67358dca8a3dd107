package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// TestClockJumps sets the machine's clock a day on or back between what was written and what is asked. Nothing is fresh, ready
// or alive because of it; what is refused says that it is the clock.
func TestClockJumps(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	store, err := sqlite.Open(ctx, filepath.Join(w.folder, ".astern"))
	w.must(err)
	defer store.Close()
	a, err := app.Open(filepath.Join(w.folder, "astern.yaml"), store)
	w.must(err)
	defer a.Close()
	true0 := time.Now()
	at := func(by time.Duration) { a.Now = func() time.Time { return true0.Add(by) } }
	const day = 24 * time.Hour
	doc, err := os.ReadFile(filepath.Join(w.folder, "plan.json"))
	w.must(err)
	apply := func() error {
		_, _, err := a.Apply(ctx, doc, app.Vouch{Trust: planfile.Hash(doc)})
		return err
	}

	for by, says := range map[time.Duration]string{day + time.Minute: "the plan could be applied until", -day: "which is still to come by this machine's clock"} {
		at(by)
		if err := apply(); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), says) || astern.HintOf(err) == "" {
			t.Errorf("applied with the clock %s on: %v", by, err)
		}
	}
	if all, err := store.Executions(ctx, 0, false); err != nil || len(all) != 0 {
		t.Fatalf("something was applied: %v, %v", all, err)
	}

	// Proofs: from the future they are at risk, of a day ago they count, and they grow old.
	for by, want := range map[time.Duration]astern.Readiness{-366 * day: astern.AtRisk, 0: astern.Ready, day: astern.Ready, 366 * day: astern.AtRisk} {
		at(by)
		if got := readinessOf(t, a, "v1"); got != want {
			t.Errorf("with the clock %s on v1 is %s, want %s", by, got, want)
		}
	}

	// A word of approval has no age of its own: it is of the plan, and ends with it.
	w.must(store.PutPlan(ctx, planfile.Hash(doc), doc, true0))
	at(-day)
	w.must(store.AddApproval(ctx, planfile.Hash(doc), "eve", "approve", "", a.Now()))
	at(day)
	w.must(store.AddApproval(ctx, planfile.Hash(doc), "adam", "approve", "", a.Now()))
	at(-time.Minute) // a clock may be off by a little
	w.must(apply())
	e, err := store.Executions(ctx, 1, true)
	w.must(err)

	// Nobody has taken it: its maker is about to, for some seconds, whatever the clock says.
	for by, want := range map[time.Duration]bool{-time.Minute: true, -day: false, day: false} {
		at(by)
		sh, err := a.Show(ctx, e[0].ID)
		w.must(err)
		if sh.Alive != want || want == (len(sh.Ways) > 0) {
			t.Errorf("with the clock %s on it is shown as alive %t, with the ways %q", by, sh.Alive, sh.Ways)
		}
		if ph := fmt.Sprintf("%+v", sh.Phases); strings.Contains(ph, ":-") {
			t.Errorf("with the clock %s on something took less than nothing: %s", by, ph)
		}
	}

	// Leases and the right to take have no time at all.
	w.must(store.PutPlan(ctx, "another plan", doc, true0))
	for _, by := range []time.Duration{-day, day} {
		at(by)
		_, _, err := store.CreateExecution(ctx, astern.Execution{PlanHash: "another plan", CreatedAt: a.Now(), Addresses: e[0].Addresses}, 0)
		if astern.CodeOf(err) != astern.Conflict || !strings.Contains(err.Error(), "is held by "+e[0].ID) {
			t.Errorf("with the clock %s on a lease was given twice: %v", by, err)
		}
	}
	alive := func(astern.Runner) bool { return true }
	at(0)
	if _, err := store.Take(ctx, e[0].ID, astern.Runner{Host: "h", PID: 1}, alive, 0, a.Now()); err != nil {
		t.Fatal(err)
	}
	at(day)
	if _, err := store.Take(ctx, e[0].ID, astern.Runner{Host: "h", PID: 2}, alive, 0, a.Now()); err == nil {
		t.Error("a day later it was taken from a living process")
	}
}

// TestLedgerWithClockJump records a deployment with a clock that is a day ahead, and the next one with the right time. The
// ledger takes the first one for the newer. Then nothing is offered that was not asked for, and check says why; the links say what runs.
func TestLedgerWithClockJump(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	store, err := sqlite.Open(ctx, filepath.Join(w.folder, ".astern"))
	w.must(err)
	defer store.Close()
	a, err := app.Open(filepath.Join(w.folder, "astern.yaml"), store)
	w.must(err)
	defer a.Close()
	true0 := time.Now()
	a.Now = func() time.Time { return true0.Add(24 * time.Hour) }
	_, _, err = a.RecordDeploy(ctx, app.Record{Component: "shop", Revision: "v1"})
	w.must(err)
	a.Now = func() time.Time { return true0 }
	_, _, err = a.RecordDeploy(ctx, app.Record{Component: "shop", Revision: "v2"})
	w.must(err)
	e, err := a.Environment("")
	w.must(err)
	checked, err := a.Check(ctx, e)
	w.must(err)
	c := checked[0]
	if c.Verdict != astern.Fail || c.Current != "v2" || !strings.Contains(strings.Join(c.Findings, "\n"), "still to come by this machine's clock") {
		t.Errorf("%s runs, %s: %q", c.Current, c.Verdict, c.Findings)
	}
	ask := app.Ask{Verb: astern.VerbRollback, Components: []string{"shop"}, Percent: 34, Way: "cli", Reason: "test"}
	if p, err := a.Plan(ctx, ask); err == nil {
		t.Errorf("without a target it would go to %+v", p.Plan.Moves)
	}
	ask.Revision = "v1"
	p, err := a.Plan(ctx, ask)
	w.must(err)
	if m := p.Plan.Moves; len(m) != 1 || m[0].From != "v2" || m[0].To != "v1" {
		t.Errorf("it would move %+v", m)
	}
	a.Now = func() time.Time { return true0.Add(24 * time.Hour) }
	checked, err = a.Check(ctx, e)
	w.must(err)
	if text := strings.Join(checked[0].Findings, " "); strings.Contains(text, "clock") {
		t.Errorf("a day later the clock is no finding: %s", text)
	}
}

// readinessOf judges one revision of the world's component.
func readinessOf(t *testing.T, a *app.App, revision string) astern.Readiness {
	t.Helper()
	e, err := a.Environment("")
	if err != nil {
		t.Fatal(err)
	}
	all, err := a.Targets(t.Context(), e, "shop")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range all[0].Targets {
		if target.Revision == revision {
			return target.Readiness
		}
	}
	t.Fatalf("no target %s", revision)
	return ""
}
