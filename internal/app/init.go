package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/inventory"
)

// Imported is what an import found and wrote into the ledger.
type Imported struct {
	Events []astern.Event
	// Notes say how far each component remembers, and what could not be read.
	Notes []string
}

// Import writes into the ledger what the hosts' folders, the notes that astern left beside them, and git tags remember:
// deployed, unproven. What the ledger knows already is left as it is, so that it can be repeated; after a lost state
// folder it rebuilds the ledger as far as the hosts remember.
func (a *App) Import(ctx context.Context, e astern.Environment) (Imported, error) {
	var out Imported
	seen := inventory.Ask(ctx, e.Components, func(kind string) (astern.Observer, bool) {
		d, ok := a.driver(kind)
		return d.Observer, ok
	}, astern.Scope{})
	tags := a.tags(ctx)
	for _, s := range seen {
		address := s.Component.Address()
		if s.Trouble != nil {
			out.Notes = append(out.Notes, fmt.Sprintf("%s could not be observed: %s", address, s.Trouble))
			continue
		}
		events, notes, err := a.remembered(ctx, s, tags)
		if err != nil {
			return out, err
		}
		out.Notes = append(out.Notes, notes...)
		for _, ev := range events {
			stored, err := a.Store.AddEvent(ctx, ev)
			if err != nil {
				return out, fmt.Errorf("writing the ledger of %s: %w", address, err)
			}
			out.Events = append(out.Events, stored)
		}
	}
	return out, nil
}

// remembered collects the events that a component's hosts and the tags remember and the ledger does not know, oldest
// first.
func (a *App) remembered(ctx context.Context, s inventory.Seen, tags []tag) (events []astern.Event, notes []string, err error) {
	address := s.Component.Address()
	h, err := a.History(ctx, address)
	if err != nil {
		return nil, nil, err
	}
	d, _ := a.driver(s.Component.Kind)
	current := s.State.Values["revision"]
	known := func(revision string) bool { _, ok := h.Of(revision); return ok }
	swapped := swaps(s.State)
	for _, t := range d.Router.Targets(s.Component, s.State, astern.History{}) {
		if known(t.Revision) {
			continue
		}
		hash, _ := s.State.ContentHash(t.Revision)
		ev := astern.Event{At: placedAt(s.State, t.Revision, a.Now()), Address: address, Kind: astern.EventImported, Revision: t.Revision,
			Hash: hash, By: "init", Reason: "found in place: deployed, unproven", Token: "import " + address + " " + t.Revision}
		for _, g := range tags {
			if g.name == t.Revision {
				ev.Commit = g.commit
			}
		}
		events = append(events, ev)
	}
	if len(h.Deployments) == 0 {
		for _, w := range swapped {
			events = append(events, astern.Event{At: w.At, Address: address, Kind: astern.EventDeployed, Revision: w.Revision, By: "init",
				Reason: "noted on the host", Token: fmt.Sprintf("import %s %s %d", address, w.Revision, w.At.UnixNano())})
		}
		if n := len(swapped); current.Known() && current.Text != "" && !strings.Contains(current.Text, "+") && (n == 0 || swapped[n-1].Revision != current.Text) {
			events = append(events, astern.Event{At: a.Now(), Address: address, Kind: astern.EventDeployed, Revision: current.Text, By: "init",
				Reason: "found running", Token: "import " + address + " current " + current.Text})
		}
	}
	slices.SortStableFunc(events, func(x, y astern.Event) int { return x.At.Compare(y.At) })
	note := fmt.Sprintf("%s: nothing new", address)
	if len(events) > 0 {
		note = fmt.Sprintf("%s: %d revisions and %d deployments remembered, back to %s; known-good marks, latches, people and reasons are not",
			address, count(events, astern.EventImported), count(events, astern.EventDeployed), events[0].At.UTC().Format("2006-01-02 15:04:05Z"))
	}
	return events, append(notes, note), nil
}

func count(events []astern.Event, kind astern.EventKind) int {
	n := 0
	for _, e := range events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// placedAt returns when a revision was put in place, as the earliest member's folder, or the cloud, says.
func placedAt(s astern.State, revision string, now time.Time) time.Time {
	at := now
	for path, v := range s.Values {
		if (path == "release-time/"+revision || strings.HasSuffix(path, "/release-time/"+revision)) && v.Known() {
			if t, err := time.Parse(time.RFC3339Nano, v.Text); err == nil && t.Before(at) {
				at = t
			}
		}
	}
	return at
}

// swap is one line of the note that a driver leaves beside the releases.
type swap struct {
	At       time.Time `json:"at"`
	Revision string    `json:"revision"`
}

// swaps returns when the component went from one revision to another, as its members note it: the first member to get
// there counts.
func swaps(s astern.State) []swap {
	var all []swap
	for path, v := range s.Values {
		if !strings.HasSuffix(path, "/history") || !v.Known() {
			continue
		}
		for _, line := range strings.Split(v.Text, "\n") {
			var w swap
			if json.Unmarshal([]byte(line), &w) == nil && w.Revision != "" && checkRevision(w.Revision) == nil {
				all = append(all, w)
			}
		}
	}
	slices.SortFunc(all, func(x, y swap) int { return x.At.Compare(y.At) })
	return slices.CompactFunc(all, func(x, y swap) bool { return x.Revision == y.Revision })
}

// tag is a git tag.
type tag struct{ name, commit string }

// tags returns the tags of the repository that astern.yaml lies in; none when it lies in none.
func (a *App) tags(ctx context.Context) []tag {
	r, err := host.Here().Run(ctx, host.Command{Dir: a.System.Folder, Timeout: 10 * time.Second,
		Argv: []string{"git", "for-each-ref", "--sort=-creatordate", "--count=1000", "--format=%(refname:strip=2) %(objectname)", "refs/tags"}})
	if err != nil || r.ExitCode != 0 {
		return nil // no git here, or no repository: nothing is remembered there
	}
	var out []tag
	for _, line := range strings.Split(strings.TrimSpace(r.Stdout), "\n") {
		if name, commit, ok := strings.Cut(line, " "); ok && checkRevision(name) == nil {
			out = append(out, tag{name, commit})
		}
	}
	return out
}
