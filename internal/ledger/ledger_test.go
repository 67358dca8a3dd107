package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/ledger"
)

var start = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func hour(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }

func at(n int) *time.Time { t := hour(n); return &t }

func event(n int, kind astern.EventKind, revision string) astern.Event {
	return astern.Event{At: hour(n), Address: "production/shop", Kind: kind, Revision: revision, By: "ci"}
}

const (
	deployed  = astern.EventDeployed
	imported  = astern.EventImported
	knownGood = astern.EventKnownGood
	latched   = astern.EventLatched
	released  = astern.EventReleased
)

func TestHistory(t *testing.T) {
	reason := func(e astern.Event, reason, execution string) astern.Event {
		e.Reason, e.Execution = reason, execution
		return e
	}
	detailed := func(e astern.Event, by, hash, commit, artifact string) astern.Event {
		e.By, e.Hash, e.Commit, e.Artifact, e.Reason = by, hash, commit, artifact, "by "+by
		return e
	}
	for name, c := range map[string]struct {
		events []astern.Event
		want   astern.History
	}{
		"nothing": {nil, astern.History{}},
		"deployed again": {[]astern.Event{event(1, deployed, "v1"), event(2, deployed, "v2"), event(3, deployed, "v1")}, astern.History{Current: "v1",
			Deployments: []astern.Deployment{{Revision: "v1", FirstAt: at(1), LastAt: at(3), By: "ci"}, {Revision: "v2", FirstAt: at(2), LastAt: at(2), By: "ci"}}}},
		"recorded late": {[]astern.Event{event(5, deployed, "v2"), event(3, deployed, "v1")}, astern.History{Current: "v2",
			Deployments: []astern.Deployment{{Revision: "v2", FirstAt: at(5), LastAt: at(5), By: "ci"}, {Revision: "v1", FirstAt: at(3), LastAt: at(3), By: "ci"}}}},
		"the same recorded late": {[]astern.Event{detailed(event(5, deployed, "v1"), "ana", "h5", "c5", "a5"), detailed(event(3, deployed, "v1"), "bob", "", "c3", "a3")},
			astern.History{Current: "v1", Deployments: []astern.Deployment{{Revision: "v1", FirstAt: at(3), LastAt: at(5), By: "ana", Reason: "by ana",
				Hash: "h5", Commit: "c5", Artifact: "a5"}}}},
		"what it lacks is filled in": {[]astern.Event{event(5, deployed, "v1"), detailed(event(3, imported, "v1"), "init", "h3", "c3", "a3")},
			astern.History{Current: "v1", Deployments: []astern.Deployment{{Revision: "v1", FirstAt: at(3), LastAt: at(5), By: "ci", Hash: "h3", Commit: "c3", Artifact: "a3"}}}},
		"the newest time says who and why": {[]astern.Event{detailed(event(1, deployed, "v1"), "ana", "", "c1", "a1"), detailed(event(2, deployed, "v1"), "bob", "", "c2", "a2")},
			astern.History{Current: "v1", Deployments: []astern.Deployment{{Revision: "v1", FirstAt: at(1), LastAt: at(2), By: "bob", Reason: "by bob", Commit: "c2", Artifact: "a2"}}}},
		"who it was is filled in": {[]astern.Event{detailed(event(5, deployed, "v1"), "", "", "", ""), detailed(event(3, deployed, "v1"), "bob", "", "", "")},
			astern.History{Current: "v1", Deployments: []astern.Deployment{{Revision: "v1", FirstAt: at(3), LastAt: at(5), By: "bob", Reason: "by bob"}}}},
		"at the same moment the later line counts": {[]astern.Event{event(1, deployed, "v1"), event(1, deployed, "v2")}, astern.History{Current: "v2",
			Deployments: []astern.Deployment{{Revision: "v2", FirstAt: at(1), LastAt: at(1), By: "ci"}, {Revision: "v1", FirstAt: at(1), LastAt: at(1), By: "ci"}}}},
		"imported is not current": {[]astern.Event{event(1, imported, "v1"), event(0, imported, "v0")}, astern.History{
			Deployments: []astern.Deployment{{Revision: "v1", FirstAt: at(1), By: "ci"}, {Revision: "v0", FirstAt: at(0), By: "ci"}}}},
		"known-good twice": {[]astern.Event{event(1, deployed, "v1"), event(2, knownGood, "v1"), event(9, knownGood, "v1")}, astern.History{Current: "v1",
			Deployments: []astern.Deployment{{Revision: "v1", FirstAt: at(1), LastAt: at(1), KnownGoodAt: at(2), ProvenAt: at(9), By: "ci"}}}},
		"known-good recorded late": {[]astern.Event{event(9, knownGood, "v1"), event(2, knownGood, "v1")}, astern.History{
			Deployments: []astern.Deployment{{Revision: "v1", KnownGoodAt: at(2), ProvenAt: at(9)}}}},
		"latched, released, latched": {[]astern.Event{event(1, deployed, "v1"), event(2, latched, "v1"), event(3, released, "v1"), reason(event(4, latched, "v1"), "slow", "")},
			astern.History{Current: "v1", Deployments: []astern.Deployment{{Revision: "v1", FirstAt: at(1), LastAt: at(1), By: "ci", Latched: "slow"}}}},
		"released": {[]astern.Event{event(2, latched, "v1"), event(3, released, "v1")}, astern.History{Deployments: []astern.Deployment{{Revision: "v1"}}}},
		"a release by a clock that is behind": {[]astern.Event{event(3, latched, "v1"), event(2, released, "v1")},
			astern.History{Deployments: []astern.Deployment{{Revision: "v1"}}}},
		"a latch without a reason": {[]astern.Event{event(2, latched, "v1")}, astern.History{Deployments: []astern.Deployment{{Revision: "v1", Latched: "rolled back"}}}},
		"a latch whose execution was cancelled": {[]astern.Event{reason(event(2, latched, "v1"), "x", "ex-cancelled")},
			astern.History{Deployments: []astern.Deployment{{Revision: "v1"}}}},
		"an older latch outlives a cancelled one": {[]astern.Event{reason(event(1, latched, "v1"), "by hand", ""), reason(event(2, latched, "v1"), "x", "ex-cancelled")},
			astern.History{Deployments: []astern.Deployment{{Revision: "v1", Latched: "by hand"}}}},
		"a latch of another execution": {[]astern.Event{reason(event(2, latched, "v1"), "x", "ex-done")}, astern.History{
			Deployments: []astern.Deployment{{Revision: "v1", Latched: "x"}}}},
		"a hash that was seen": {[]astern.Event{detailed(event(1, deployed, "v1"), "ci", "old", "", ""), detailed(event(2, astern.EventSeen, "v1"), "x", "new", "", "")},
			astern.History{Current: "v1", Deployments: []astern.Deployment{{Revision: "v1", FirstAt: at(1), LastAt: at(1), By: "ci", Reason: "by ci", Hash: "new"}}}},
		"a latched deployment is recorded": {[]astern.Event{event(1, latched, "v1"), event(2, deployed, "v1")}, astern.History{Current: "v1",
			Deployments: []astern.Deployment{{Revision: "v1", FirstAt: at(2), LastAt: at(2), By: "ci", Latched: "rolled back"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			given := slices.Clone(c.events)
			got := ledger.History(c.events, func(execution string) bool { return execution == "ex-cancelled" })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(given, c.events); diff != "" {
				t.Errorf("the events were changed:\n%s", diff)
			}
		})
	}
}

func TestAtAndReleases(t *testing.T) {
	of := func(address string, e astern.Event) astern.Event { e.Address = address; return e }
	events := []astern.Event{
		of("p/stock", event(1, deployed, "v1")), of("p/shop", event(2, deployed, "v1")), of("p/shop", event(3, latched, "v1")),
		of("p/shop", event(6, deployed, "v2")), of("p/stock", event(4, deployed, "v2")), // recorded late
		of("p/shop", event(7, deployed, "v2")), of("p/shop", event(0, imported, "v0"))}
	for _, c := range []struct {
		moment time.Time
		want   map[string]string
	}{
		{hour(0), map[string]string{}},
		{hour(1).Add(-1), map[string]string{}},
		{hour(1), map[string]string{"p/stock": "v1"}},
		{hour(3), map[string]string{"p/stock": "v1", "p/shop": "v1"}},
		{hour(4), map[string]string{"p/stock": "v2", "p/shop": "v1"}},
		{hour(9), map[string]string{"p/stock": "v2", "p/shop": "v2"}},
	} {
		r := ledger.At(events, c.moment)
		if diff := cmp.Diff(c.want, r.Revisions); diff != "" || !r.At.Equal(c.moment) {
			t.Errorf("at %s (-want +got):\n%s", c.moment, diff)
		}
	}
	given := slices.Clone(events)
	want := []astern.Release{
		{At: hour(6), Revisions: map[string]string{"p/stock": "v2", "p/shop": "v2"}}, {At: hour(4), Revisions: map[string]string{"p/stock": "v2", "p/shop": "v1"}},
		{At: hour(2), Revisions: map[string]string{"p/stock": "v1", "p/shop": "v1"}}, {At: hour(1), Revisions: map[string]string{"p/stock": "v1"}}}
	all, _ := ledger.Releases(events, 0)
	for limit := range len(want) + 2 {
		some, more := ledger.Releases(events, limit)
		if limit > 0 && (more != max(0, len(want)-limit) || cmp.Diff(want[:min(limit, len(want))], some) != "") {
			t.Errorf("the newest %d releases are %v, and %d more", limit, some, more)
		}
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("releases (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(given, events); diff != "" {
		t.Errorf("the events were changed:\n%s", diff)
	}
	if got, more := ledger.Releases(nil, 3); len(got)+more != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// TestModel holds History, At and Releases against a model that asks each question of all events anew.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []astern.Event
		for range rapid.IntRange(0, 25).Draw(t, "events") {
			events = append(events, astern.Event{At: hour(rapid.IntRange(0, 12).Draw(t, "hour")), Address: rapid.SampledFrom([]string{"p/a", "p/b"}).Draw(t, "address"),
				Kind:     rapid.SampledFrom([]astern.EventKind{deployed, deployed, imported, knownGood, latched, released}).Draw(t, "kind"),
				Revision: rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "revision"), Execution: rapid.SampledFrom([]string{"", "ex-1", "ex-2"}).Draw(t, "execution")})
		}
		cancelled := func(execution string) bool { return execution == "ex-2" }
		// newest returns the last of the events for which keep holds, by time and then by line.
		newest := func(keep func(astern.Event) bool) (found *astern.Event) {
			for i, e := range events {
				if keep(e) && (found == nil || !e.At.Before(found.At)) {
					found = &events[i]
				}
			}
			return found
		}
		for _, address := range []string{"p/a", "p/b"} {
			mine := slices.DeleteFunc(slices.Clone(events), func(e astern.Event) bool { return e.Address != address })
			h := ledger.History(mine, cancelled)
			current := newest(func(e astern.Event) bool { return e.Address == address && e.Kind == deployed })
			if current == nil != (h.Current == "") || current != nil && current.Revision != h.Current {
				t.Errorf("%s runs %q, the model says %+v", address, h.Current, current)
			}
			for _, d := range h.Deployments {
				of := func(kinds ...astern.EventKind) func(astern.Event) bool {
					return func(e astern.Event) bool {
						return e.Address == address && e.Revision == d.Revision && slices.Contains(kinds, e.Kind)
					}
				}
				if e := newest(of(deployed)); (e == nil) != (d.LastAt == nil) || e != nil && !e.At.Equal(*d.LastAt) {
					t.Errorf("%s %s was last deployed at %v, the model says %+v", address, d.Revision, d.LastAt, e)
				}
				if e := newest(of(knownGood)); (e == nil) != (d.ProvenAt == nil) || e != nil && (!e.At.Equal(*d.ProvenAt) || d.KnownGoodAt.After(e.At)) {
					t.Errorf("%s %s was proven at %v, the model says %+v", address, d.Revision, d.ProvenAt, e)
				}
				holds := false // by the order of lines
				for _, e := range events {
					if of(latched)(e) && !cancelled(e.Execution) {
						holds = true
					} else if of(released)(e) {
						holds = false
					}
				}
				if holds != (d.Latched != "") {
					t.Errorf("%s %s is latched: %q, the model says %v", address, d.Revision, d.Latched, holds)
				}
			}
			for n := range 13 {
				e := newest(func(e astern.Event) bool { return e.Address == address && e.Kind == deployed && !e.At.After(hour(n)) })
				if got, ok := ledger.At(events, hour(n)).Revisions[address]; ok != (e != nil) || ok && got != e.Revision {
					t.Errorf("%s ran %q at hour %d, the model says %+v", address, got, n, e)
				}
			}
		}
		all, _ := ledger.Releases(events, 0)
		for i, r := range all { // the newest of a moment is how it was at that moment
			if i == 0 || !all[i-1].At.Equal(r.At) {
				if diff := cmp.Diff(ledger.At(events, r.At).Revisions, r.Revisions); diff != "" {
					t.Errorf("release of %s differs from how it was then:\n%s", r.At, diff)
				}
			}
			if i > 0 && (all[i-1].At.Before(r.At) || cmp.Equal(all[i-1].Revisions, r.Revisions)) {
				t.Errorf("release %d follows %s: %+v", i, all[i-1].At, r)
			}
		}
	})
}

// book is a ledger in memory.
type book struct {
	events []astern.Event
	err    error
}

func (b *book) AddEventUnder(ctx context.Context, _ int64, e astern.Event) (astern.Event, error) {
	return b.AddEvent(ctx, e)
}

func (b *book) AddEvent(_ context.Context, e astern.Event) (astern.Event, error) {
	if b.err != nil {
		return e, b.err
	}
	if old, ok, _ := b.EventByToken(context.Background(), e.Token); ok {
		return old, nil
	}
	e.Seq = int64(len(b.events) + 1)
	b.events = append(b.events, e)
	return e, nil
}

func (b *book) EventByToken(_ context.Context, token string) (astern.Event, bool, error) {
	i := slices.IndexFunc(b.events, func(e astern.Event) bool { return e.Token == token })
	if i < 0 || b.err != nil {
		return astern.Event{}, false, b.err
	}
	return b.events[i], true, nil
}

func (b *book) Events(_ context.Context, address string, _ int) ([]astern.Event, error) {
	return slices.DeleteFunc(slices.Clone(b.events), func(e astern.Event) bool { return e.Address != address }), b.err
}

// TestActor: each verb writes its event once, however often it is started, and finds it by its token alone.
func TestActor(t *testing.T) {
	ctx := context.Background()
	b := &book{events: []astern.Event{{At: hour(0), Address: "p/shop", Kind: deployed, Revision: "v3", Token: "old"},
		{At: hour(1), Address: "p/stock", Kind: deployed, Revision: "v9"}}}
	var actor astern.Actor = ledger.Actor{Events: b, By: "ana", Now: func() time.Time { return hour(5) }}
	want := []astern.Event{b.events[0], b.events[1]}
	current := "v3"
	for i, c := range []struct {
		verb string
		kind astern.EventKind
	}{{ledger.VerbLatch, latched}, {ledger.VerbRelease, released}, {ledger.VerbRecord, deployed}, {ledger.VerbKnownGood, knownGood}} {
		call := astern.Call{Execution: "ex-1", Step: "1.x", Address: "p/shop", Kind: ledger.Kind, Verb: c.verb, Token: fmt.Sprint("token-", i),
			Args: map[string]astern.Arg{"revision": astern.Text("v2"), "reason": astern.Text("because"), "hash": astern.Text("sha256:2")}}
		image, err := actor.Before(ctx, call)
		before := map[string]string{ledger.VerbRelease: "because"}[c.verb] // the latch of the round before
		if err != nil || !cmp.Equal(image, astern.Image{"current": current, "latched": before}) {
			t.Errorf("before %s: %v, %v", c.verb, image, err)
		}
		if f := actor.Find(ctx, call); f.Answer != astern.FoundNo || f.Because == "" {
			t.Errorf("%s is found before it was written: %+v", c.verb, f)
		}
		for range 2 {
			if op := actor.Start(ctx, call); op.Status != astern.OpDone {
				t.Errorf("starting %s: %+v", c.verb, op)
			}
			if f := actor.Find(ctx, call); f.Answer != astern.FoundYes || f.Op == nil || f.Op.Status != astern.OpDone {
				t.Errorf("finding %s: %+v", c.verb, f)
			}
		}
		if op := actor.Poll(ctx, call, astern.Op{Status: astern.OpRunning}); op.Status != astern.OpDone {
			t.Errorf("polling %s: %+v", c.verb, op)
		}
		want = append(want, astern.Event{Seq: int64(i + 3), At: hour(5), Address: "p/shop", Kind: c.kind, Revision: "v2", Hash: "sha256:2", By: "ana",
			Reason: "because", Execution: "ex-1", Token: call.Token})
		if c.kind == deployed {
			current = "v2"
		}
	}
	if diff := cmp.Diff(want, b.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestActorTroubles: what can't be written is in doubt, what can't be read is unknown, and no verb is made up.
func TestActorTroubles(t *testing.T) {
	ctx := context.Background()
	full := astern.Errorf(astern.Internal, "the disk is full")
	b := &book{err: full}
	actor := ledger.Actor{Events: b, Now: time.Now}
	call := astern.Call{Address: "p/shop", Verb: ledger.VerbRecord, Token: "t"}
	if _, err := actor.Before(ctx, call); !errors.Is(err, full) || !strings.Contains(err.Error(), "reading the ledger of p/shop") {
		t.Errorf("before: %v", err)
	}
	if op := actor.Start(ctx, call); op.Status != astern.OpUnsure || op.Code != astern.Internal || !strings.Contains(op.Error, "disk is full") {
		t.Errorf("start: %+v", op)
	}
	if f := actor.Find(ctx, call); f.Answer != astern.FoundUnknown || !strings.Contains(f.Because, "disk is full") {
		t.Errorf("find: %+v", f)
	}
	b.err = astern.Errorf(astern.Conflict, "ex-1 was taken by another")
	if op := actor.Start(ctx, call); op.Status != astern.OpFailed || op.Code != astern.Conflict || !strings.Contains(op.Error, "taken by another") {
		t.Errorf("start after another has taken the execution: %+v", op)
	}
	b.err = nil
	call.Verb = "burn"
	if op := actor.Start(ctx, call); op.Status != astern.OpFailed || op.Code != astern.Invalid || !strings.Contains(op.Error, "no verb burn") || len(b.events) > 0 {
		t.Errorf("start of no verb: %+v", op)
	}
}
