// Package ledger reads the events of what was deployed where and when: histories of components, releases of a system,
// latches. Its functions are pure; actor.go lets a plan's steps write into it.
package ledger

import (
	"sort"
	"time"

	"github.com/astern-dev/astern"
)

// History folds the events of one component, oldest first. cancelled tells of an execution whether it was cancelled:
// cancelling lifts the latches that it set.
func History(events []astern.Event, cancelled func(execution string) bool) astern.History {
	var h astern.History
	at := map[string]int{}
	for _, e := range events {
		i, ok := at[e.Revision]
		if !ok {
			i = len(h.Deployments)
			at[e.Revision] = i
			h.Deployments = append(h.Deployments, astern.Deployment{Revision: e.Revision})
		}
		apply(&h.Deployments[i], e, cancelled)
		if e.Kind == astern.EventDeployed {
			h.Current = e.Revision
		}
	}
	sort.SliceStable(h.Deployments, func(i, j int) bool {
		return lastSeen(h.Deployments[i]).After(lastSeen(h.Deployments[j]))
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

func apply(d *astern.Deployment, e astern.Event, cancelled func(string) bool) {
	at := e.At
	if e.Hash != "" {
		d.Hash = e.Hash
	}
	switch e.Kind {
	case astern.EventDeployed, astern.EventImported:
		if d.FirstAt == nil {
			d.FirstAt = &at
		}
		if e.Kind == astern.EventDeployed {
			d.LastAt = &at
		}
		d.By, d.Reason = e.By, e.Reason
		if e.Commit != "" {
			d.Commit = e.Commit
		}
		if e.Artifact != "" {
			d.Artifact = e.Artifact
		}
	case astern.EventKnownGood:
		if d.KnownGoodAt == nil {
			d.KnownGoodAt = &at
		}
		d.ProvenAt = &at
	case astern.EventLatched:
		if e.Execution == "" || !cancelled(e.Execution) {
			d.Latched = orElse(e.Reason, "rolled back")
		}
	case astern.EventReleased:
		d.Latched = ""
	}
}

// At returns which revisions ran together at the moment, from all events, oldest first.
func At(events []astern.Event, moment time.Time) astern.Release {
	r := astern.Release{At: moment, Revisions: map[string]string{}}
	for _, e := range events {
		if e.Kind == astern.EventDeployed && !e.At.After(moment) {
			r.Revisions[e.Address] = e.Revision
		}
	}
	return r
}

// Releases returns the system's releases, the newest first: one each time a deployment changed what ran together.
func Releases(events []astern.Event) []astern.Release {
	var out []astern.Release
	for _, e := range events {
		if e.Kind != astern.EventDeployed {
			continue
		}
		r := astern.Release{At: e.At, Revisions: map[string]string{}}
		if n := len(out); n > 0 {
			if out[n-1].Revisions[e.Address] == e.Revision {
				continue
			}
			for k, v := range out[n-1].Revisions {
				r.Revisions[k] = v
			}
		}
		r.Revisions[e.Address] = e.Revision
		out = append(out, r)
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
