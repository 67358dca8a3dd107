package ledger_test

import (
	"slices"
	"time"

	"github.com/astern-dev/astern"
)

// modelDeployment is what the ledger knows of one revision, as its words say it: each value is a question to all events, not
// a fold over them.
func modelDeployment(events []astern.Event, revision string, cancelled func(string) bool) astern.Deployment {
	times := func(kinds ...astern.EventKind) (first, last *time.Time) {
		for _, e := range events {
			if e.Revision == revision && slices.Contains(kinds, e.Kind) {
				if first == nil || e.At.Before(*first) {
					first = &e.At
				}
				if last == nil || e.At.After(*last) {
					last = &e.At
				}
			}
		}
		return first, last
	}
	d := astern.Deployment{Revision: revision}
	d.FirstAt, _ = times(astern.EventDeployed, astern.EventImported)
	_, d.LastAt = times(astern.EventDeployed)
	d.KnownGoodAt, d.ProvenAt = times(astern.EventKnownGood)
	for _, e := range slices.Backward(events) { // the last word about a latch counts, unless it was cancelled
		if e.Revision == revision && (e.Kind == astern.EventReleased || e.Kind == astern.EventLatched && !cancelled(e.Execution)) {
			if e.Kind == astern.EventLatched {
				d.Latched = e.Reason
			}
			break
		}
	}
	return d
}

// modelCurrent is the revision that was deployed last; of two at one moment the one that was recorded last.
func modelCurrent(events []astern.Event) (current string, at time.Time) {
	for _, e := range events {
		if e.Kind == astern.EventDeployed && !e.At.Before(at) {
			current, at = e.Revision, e.At
		}
	}
	return current, at
}

// modelTargets are the ways back, the newest first: known-good, not latched, and deployed no later than what runs.
func modelTargets(events []astern.Event, revisions []string, cancelled func(string) bool) (out []string) {
	current, since := modelCurrent(events)
	for _, r := range revisions {
		d := modelDeployment(events, r, cancelled)
		if current != "" && r != current && d.KnownGoodAt != nil && d.Latched == "" && d.LastAt != nil && !d.LastAt.After(since) {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int {
		return modelDeployment(events, b, cancelled).LastAt.Compare(*modelDeployment(events, a, cancelled).LastAt)
	})
	return out
}
