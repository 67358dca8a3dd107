package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/ledger"
	"github.com/astern-dev/astern/internal/proof"
	"github.com/astern-dev/astern/internal/readiness"
)

// TestModelOfTargets holds the folded ledger, and which revisions are ways back, against the model on random events.
func TestModelOfTargets(t *testing.T) {
	found := 0
	ran := proof.Runs(t)
	rapid.Check(t, func(t *rapid.T) {
		ran()
		start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		kinds := []astern.EventKind{astern.EventDeployed, astern.EventDeployed, astern.EventImported, astern.EventKnownGood, astern.EventKnownGood,
			astern.EventLatched, astern.EventReleased, astern.EventSeen}
		revisions := []string{"v1", "v2", "v3", "v4"}
		var events []astern.Event
		for i := range rapid.IntRange(0, 20).Draw(t, "events") {
			// Late records are in: no two deployments at one moment, for which of them is the newest is a matter of order.
			events = append(events, astern.Event{At: start.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "hour"))*time.Hour + time.Duration(i)*time.Second),
				Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Revision: rapid.SampledFrom(revisions).Draw(t, "revision"), Reason: "it burns",
				Execution: rapid.SampledFrom([]string{"", "ex-1", "ex-2"}).Draw(t, "execution")})
		}
		cancelled := func(id string) bool { return id == "ex-2" }
		h := ledger.History(events, cancelled)
		if current, _ := modelCurrent(events); h.Current != current {
			t.Fatalf("%s runs; the model says %s", h.Current, current)
		}
		var targets []astern.Target
		for _, d := range h.Deployments {
			want := modelDeployment(events, d.Revision, cancelled)
			got := astern.Deployment{Revision: d.Revision, FirstAt: d.FirstAt, LastAt: d.LastAt, KnownGoodAt: d.KnownGoodAt, ProvenAt: d.ProvenAt, Latched: d.Latched}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s is not what the model says (-model +ledger):\n%s", d.Revision, diff)
			}
			if d.LastAt == nil { // what was never deployed is weighed by other rules
				continue
			}
			targets = append(targets, readiness.Judge(astern.Target{Revision: d.Revision, DeployedAt: d.LastAt, KnownGoodAt: d.KnownGoodAt,
				Latched: d.Latched, Current: d.Revision == h.Current, Evidence: []astern.Evidence{{What: "it is there", Readiness: astern.Ready}}},
				d, astern.Objectives{}, start.Add(40*time.Hour)))
		}
		want := append(modelTargets(events, revisions, cancelled), "")[0]
		way, ok := readiness.WayBack(targets, astern.Value{})
		if way.Revision != want || ok != (want != "") {
			t.Fatalf("the way back is %q; the model says %q", way.Revision, want)
		}
		if ok {
			found++
		}
	})
	if found == 0 {
		t.Error("no history had a way back: nothing was compared")
	}
}
