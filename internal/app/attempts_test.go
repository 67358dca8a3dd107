package app

import (
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// TestFailed says of which attempts a word is left.
func TestFailed(t *testing.T) {
	t.Parallel()
	at := func(hour int) time.Time { return time.Date(2026, 1, 2, hour, 0, 0, 0, time.UTC) }
	deployed := at(5)
	h := astern.History{Deployments: []astern.Deployment{{Revision: "v1", LastAt: &deployed}}}
	got := failed([]Attempt{
		{Execution: "ex-9", Revision: "v3", At: at(9), State: attemptHeld, Why: "it holds"},
		{Execution: "ex-8", Verb: astern.VerbRedeploy, Revision: "v1", At: at(8), State: attemptCancelled},
		{Execution: "ex-7", Revision: "v2", At: at(7), State: attemptCancelled, Why: "no room"},
		{Execution: "ex-6", Revision: "v2", At: at(6), State: attemptCancelled, Why: "older"},
		{Execution: "ex-4", Revision: "v1", At: at(4), State: attemptCancelled, Why: "it came there since"},
		{Execution: "ex-3", Revision: "v4", At: at(3), State: attemptCancelled},
	}, h)
	want := map[string]string{"v2": "ex-7 was cancelled: no room", "v4": "ex-3 was cancelled"}
	for revision, said := range want {
		if got[revision] != said {
			t.Errorf("of %s it is said %q, want %q", revision, got[revision], said)
		}
	}
	if len(got) != len(want) {
		t.Errorf("it is said %q", got)
	}
}
