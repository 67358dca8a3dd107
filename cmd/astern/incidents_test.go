package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// TestOverdueTasks: what should have been done after an incident makes the exit code of `astern incidents` 5, until it is done.
func TestOverdueTasks(t *testing.T) {
	c := newContest(t, "one")
	store, err := sqlite.Open(t.Context(), filepath.Join(c.folder, "one"))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now().Add(-90 * time.Minute)
	id, _, err := store.OpenIncident(t.Context(), astern.IncidentEvent{At: began, Kind: astern.IncidentOpened, By: "ana", Text: "errors", Addresses: []string{"test/shop"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.AddIncidentEvent(t.Context(), id, astern.IncidentEvent{At: began.Add(10 * time.Minute), Kind: astern.IncidentResolved, By: "ana"}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	out := c.must(5, "one", "incidents")
	for _, want := range []string{"overdue channel", "14 left, 5 overdue", "5 tasks after incidents are overdue"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	for _, item := range []string{"channel", "status-page", "stakeholders", "ticket", "timeline"} {
		c.must(0, "one", "tick", id, item)
	}
	c.must(0, "one", "incidents")
}
