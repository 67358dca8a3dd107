package app_test

import (
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
)

const automatic = "{approvals: 0, watch: 1s, automatic: {mode: automatic, cool_down: 30m, daily: 3}}"

// shortPast is enough for a deployment to be judged, longPast for what runs to be held against its own past.
const shortPast, longPast = 12, 44

// TestWatchTakesBack: a bad release on all members is noticed, blamed, taken back in stages, proven, and the incident resolved.
func TestWatchTakesBack(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, automatic)
	w.watch(shortPast, never)
	w.deploy("v2", 1, 2)
	if !w.watch(60, w.says(astern.WatchResolved)) {
		t.Error("it was not resolved")
	}
	incidents, executions, runs := w.state()
	if len(incidents) != 1 || len(executions) != 1 || runs != "v1 v1" {
		t.Fatalf("%d incidents, %d executions, the members run %s", len(incidents), len(executions), runs)
	}
	in := incidents[0]
	if in.ResolvedAt == nil || in.Cause == nil || in.Cause.Revision != "v2" || len(in.Decisions) != 1 || in.Decisions[0].Act != astern.ActAutomatic ||
		in.Decisions[0].Plan != executions[0].PlanHash || in.Severity == "" || !strings.Contains(in.Decisions[0].Certainty, "weaker without a control") || len(in.Series) != 1 || in.Cost.Requests < 100 {
		t.Errorf("%+v", in)
	}
	if executions[0].Outcome != astern.OutcomeDone {
		t.Errorf("%+v", executions[0])
	}
	w.with(func(a *app.App) { // an objective counts from the first bad request
		s, err := a.Show(t.Context(), executions[0].ID)
		w.must(err)
		notice := in.OpenedAt.Sub(in.BeganAt).Seconds()
		if s.Incident != in.ID || notice <= 0 || s.Phases.NoticeSeconds != notice || s.Phases.Total() < executions[0].EndedAt.Sub(in.BeganAt).Seconds()-1 {
			t.Errorf("%s began %s, opened %s: %+v", s.Incident, in.BeganAt, in.OpenedAt, s.Phases)
		}
	})
}

// TestWatchIsQuiet: where nothing is wrong nothing is done, and a good release becomes known-good.
func TestWatchIsQuiet(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, automatic)
	w.watch(shortPast, never)
	w.deploy("v3", 1, 2)
	if !w.watch(200, w.says(astern.WatchKnownGood)) {
		t.Error("it did not become known-good")
	}
	w.watch(60, never)
	incidents, executions, runs := w.state()
	if len(incidents) != 0 || len(executions) != 0 || runs != "v3 v3" {
		t.Errorf("%d incidents, %d executions, the members run %s", len(incidents), len(executions), runs)
	}
}

// TestWatchBeside: a canary is held against the member that runs the earlier revision, and is taken back alone.
func TestWatchBeside(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, automatic)
	w.rate("v2", 22)
	w.watch(shortPast, never)
	w.deploy("v2", 2)
	if !w.watch(120, w.says(astern.WatchResolved)) {
		t.Error("it was not resolved")
	}
	incidents, executions, runs := w.state()
	if len(incidents) != 1 || len(executions) != 1 || runs != "v1 v1" {
		t.Fatalf("%d incidents, %d executions, the members run %s", len(incidents), len(executions), runs)
	}
	if d := incidents[0].Decisions[0]; !strings.Contains(d.Because, "what still runs the earlier revision is well") {
		t.Errorf("%+v", d)
	}
}

// TestWatchNotOurs: what began without a change is told and left alone, also when a dependency is seen to be gone.
func TestWatchNotOurs(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, automatic)
	w.watch(longPast, never)
	w.rate("everywhere", 300)
	w.write("root/needed-is-gone", "", 0o600)
	if !w.watch(60, w.says(astern.WatchDecided)) {
		t.Fatal("nothing was decided")
	}
	incidents, executions, runs := w.state()
	if len(incidents) != 1 || len(executions) != 0 || runs != "v1 v1" {
		t.Fatalf("%d incidents, %d executions, the members run %s", len(incidents), len(executions), runs)
	}
	if d := incidents[0].Decisions[0]; d.Act != astern.ActTell || !strings.Contains(d.Because, "stock fails its check alive") {
		t.Errorf("%+v", d)
	}
	w.rate("everywhere", 0)
	if !w.watch(120, w.says(astern.WatchResolved)) {
		t.Error("it was not resolved when it was over")
	}
	if _, executions, _ := w.state(); len(executions) != 0 {
		t.Errorf("%d executions", len(executions))
	}
}
