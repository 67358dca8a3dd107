// Package ledger reads the events of what was deployed where and when: histories of components, releases of a system,
// latches. Its functions are pure; actor.go lets a plan's steps write into it.
package ledger

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/astern-dev/astern"
)

// History folds the events of one component, in the order in which they were recorded. What was deployed when goes by
// the time of the event, for CI may record late; latches go by their order. cancelled tells of an execution whether it
// was cancelled: cancelling lifts the latches that it set.
func History(events []astern.Event, cancelled func(execution string) bool) astern.History {
	var h astern.History
	at := map[string]int{}
	var current *time.Time
	for _, e := range events {
		i, ok := at[e.Revision]
		if !ok {
			i = len(h.Deployments)
			at[e.Revision] = i
			h.Deployments = append(h.Deployments, astern.Deployment{Revision: e.Revision})
		}
		apply(&h.Deployments[i], e, cancelled)
		if e.Kind == astern.EventDeployed && notBefore(e.At, current) {
			h.Current, current = e.Revision, &e.At
		}
	}
	sort.SliceStable(h.Deployments, func(i, j int) bool {
		a, b := h.Deployments[i], h.Deployments[j]
		if x, y := lastSeen(a), lastSeen(b); !x.Equal(y) {
			return x.After(y)
		}
		return a.Revision == h.Current
	})
	return h
}

func lastSeen(d astern.Deployment) time.Time {
	switch {
	case d.LastAt != nil:
		return *d.LastAt
	case d.FirstAt != nil:
		return *d.FirstAt
	}
	return time.Time{}
}

// notBefore reports whether an event at that time is the newest so far.
func notBefore(at time.Time, newest *time.Time) bool { return newest == nil || !at.Before(*newest) }

func apply(d *astern.Deployment, e astern.Event, cancelled func(string) bool) {
	at := e.At
	if e.Hash != "" {
		d.Hash = e.Hash
	}
	switch e.Kind {
	case astern.EventDeployed, astern.EventImported:
		applyDeployed(d, e)
	case astern.EventKnownGood:
		if d.KnownGoodAt == nil || at.Before(*d.KnownGoodAt) {
			d.KnownGoodAt = &at
		}
		if notBefore(at, d.ProvenAt) {
			d.ProvenAt = &at
		}
	case astern.EventLatched:
		if e.Execution == "" || !cancelled(e.Execution) {
			d.Latched = cmp.Or(e.Reason, "rolled back")
		}
	case astern.EventReleased:
		d.Latched = ""
	}
}

// applyDeployed notes when the revision was put in place; who and why are those of the newest time.
func applyDeployed(d *astern.Deployment, e astern.Event) {
	at := e.At
	newest := !at.Before(lastSeen(*d))
	if d.FirstAt == nil || at.Before(*d.FirstAt) {
		d.FirstAt = &at
	}
	if e.Kind == astern.EventDeployed && notBefore(at, d.LastAt) {
		d.LastAt = &at
	}
	if newest || d.By == "" {
		d.By, d.Reason = e.By, e.Reason
	}
	if e.Commit != "" && (newest || d.Commit == "") {
		d.Commit = e.Commit
	}
	if e.Artifact != "" && (newest || d.Artifact == "") {
		d.Artifact = e.Artifact
	}
}

// At returns which revisions ran together at the moment, from all events in the order in which they were recorded.
func At(events []astern.Event, moment time.Time) astern.Release {
	r := astern.Release{At: moment, Revisions: map[string]string{}}
	newest := map[string]*time.Time{}
	for _, e := range events {
		if e.Kind == astern.EventDeployed && !e.At.After(moment) && notBefore(e.At, newest[e.Address]) {
			r.Revisions[e.Address], newest[e.Address] = e.Revision, &e.At
		}
	}
	return r
}

// Releases returns the system's releases, the newest first: one each time a deployment changed what ran together. With a
// limit > 0 it returns the newest of them only, and how many older ones there are.
func Releases(events []astern.Event, limit int) (newest []astern.Release, more int) {
	deployed := slices.DeleteFunc(slices.Clone(events), func(e astern.Event) bool { return e.Kind != astern.EventDeployed })
	slices.SortStableFunc(deployed, func(a, b astern.Event) int { return a.At.Compare(b.At) })
	running := map[string]string{}
	changes := slices.DeleteFunc(deployed, func(e astern.Event) bool {
		same := running[e.Address] == e.Revision
		running[e.Address] = e.Revision
		return same
	})
	if limit > 0 {
		more = max(0, len(changes)-limit)
	}
	clear(running)
	for i, e := range changes {
		running[e.Address] = e.Revision
		if i >= more { // what ran together is written down only where it is asked for: it may be ten thousand components
			newest = append(newest, astern.Release{At: e.At, Revisions: maps.Clone(running)})
		}
	}
	slices.Reverse(newest)
	return newest, more
}
