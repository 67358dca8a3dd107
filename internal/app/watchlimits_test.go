package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
)

// bad puts another revision there that fails as v2 does.
func (w watchWorld) bad(revision string) {
	w.rate(revision, 100)
	w.write("root/releases/"+revision+"/serve", "#!/bin/sh\n# "+revision+"\nexec sleep 600\n", 0o700)
}

// last waits for a decision and returns it, and how many executions there were.
func (w watchWorld) last() (d astern.Decision, executions int) {
	w.t.Helper()
	*w.events = nil
	if !w.watch(80, w.says(astern.WatchDecided)) {
		w.t.Fatal("nothing was decided")
	}
	w.watch(2, never)
	incidents, all, _ := w.state()
	ds := incidents[0].Decisions // the newest incident is first
	return ds[len(ds)-1], len(all)
}

// TestWatchKnowsItsLimits: a second fault within the cool-down, and one more than the daily limit allows, are for a person, and the
// decision says which of both it is and until when.
func TestWatchKnowsItsLimits(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, "{approvals: 0, watch: 1s, automatic: {mode: automatic, cool_down: 30m, daily: 1}}")
	w.bad("v4")
	w.bad("v5")
	w.watch(shortPast, never)
	w.deploy("v2", 1, 2)
	if !w.watch(60, w.says(astern.WatchResolved)) {
		t.Fatal("it was not resolved")
	}
	for _, c := range []struct {
		revision, because string
		later             time.Duration
	}{{"v4", "the cool-down ends at", 0}, {"v5", "the daily limit is reached: 1 automatic actions", 40 * time.Minute}} {
		w.pass(c.later)
		w.watch(shortPast, never)
		w.deploy(c.revision, 1, 2)
		d, executions := w.last()
		if d.Act != astern.ActAsk || !strings.Contains(d.Because, c.because) || d.Plan == "" || executions != 1 {
			t.Errorf("%s: %+v, %d executions", c.revision, d, executions)
		}
		w.deploy("v1", 1, 2)
		*w.events = nil
		if !w.watch(120, w.says(astern.WatchResolved)) {
			t.Fatalf("%s: it was not resolved", c.revision)
		}
	}
}

// TestWatchAfterAnIncident: a release without a control that is no worse than an outage of which no change was guilty is for a person.
func TestWatchAfterAnIncident(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, automatic)
	w.watch(longPast, never)
	w.rate("everywhere", 300)
	if d, executions := w.last(); d.Act != astern.ActTell || executions != 0 {
		t.Fatalf("the outage: %+v, %d executions", d, executions)
	}
	w.rate("everywhere", 0)
	*w.events = nil
	if !w.watch(120, w.says(astern.WatchResolved)) {
		t.Fatal("the outage was not resolved")
	}
	w.pass(4 * time.Hour) // it is no longer in the past that is measured
	w.watch(shortPast, never)
	w.deploy("v2", 1, 2) // 100 of 1,000 fail
	d, executions := w.last()
	if d.Act != astern.ActAsk || d.Plan == "" || executions != 0 || !strings.Contains(d.Because, "no instance runs the earlier revision beside it") {
		t.Errorf("as bad as before: %+v, %d executions", d, executions)
	}
}

// TestWatchWaitsForAnother: while an execution of a person acts on the component, and while a migration forbids the way back, nothing is
// done, and the decision says why.
func TestWatchWaitsForAnother(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, automatic)
	needs := "    compatible:\n      - {when: {component: stock, range: v9}, needs: {component: shop, range: \">=v2\"}, because: stock v9 dropped what shop v1 reads}\n"
	w.write("astern.yaml", strings.Replace(strings.Replace(watchConfig, "POLICY", automatic, 1), "    components:\n", needs+"    components:\n", 1), 0o600)
	w.bad("v9")
	w.must(os.Symlink("releases/v9", filepath.Join(w.folder, "root", "stock-stock-1")))
	w.with(func(a *app.App) {
		_, _, err := a.RecordDeploy(t.Context(), app.Record{Component: "stock", Revision: "v9"})
		w.must(err)
	})
	w.watch(shortPast, never)
	w.deploy("v2", 1, 2)
	d, executions := w.last()
	if d.Act == astern.ActAutomatic || executions != 0 || !strings.Contains(d.Because, "dropped what shop v1 reads") {
		t.Errorf("across a migration: %+v, %d executions", d, executions)
	}
	w.write("astern.yaml", strings.Replace(watchConfig, "POLICY", automatic, 1), 0o600)
	var id string
	w.with(func(a *app.App) { // somebody begins and has not gone on yet
		p, err := a.Plan(t.Context(), app.Ask{Verb: astern.VerbRollback, Components: []string{"shop"}, Revision: "v1", Reason: "by hand", Way: "cli"})
		w.must(err)
		w.must(a.Keep(t.Context(), p))
		e, _, err := a.Apply(t.Context(), p.Doc, app.Vouch{})
		w.must(err)
		id = e.ID
	})
	d, executions = w.last()
	if d.Act != astern.ActHold || executions != 1 || !strings.Contains(d.Because, id+" acts on it now") {
		t.Errorf("beside another: %+v, %d executions", d, executions)
	}
}
