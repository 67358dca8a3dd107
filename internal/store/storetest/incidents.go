package storetest

import (
	"math"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// opened opens an incident and returns its id.
func opened(t *testing.T, s Store, e astern.IncidentEvent) string {
	t.Helper()
	id, first, err := s.OpenIncident(t.Context(), e)
	must(t, err)
	if !first {
		t.Fatalf("%s was there before", id)
	}
	return id
}

func incidents(t *testing.T, s Store) {
	ctx := t.Context()
	none, err := s.Incidents(ctx)
	must(t, err)
	same(t, len(none), 0)
	zone := time.FixedZone("", 3600)
	fault := astern.IncidentEvent{At: start.In(zone), Kind: astern.IncidentOpened, By: "watch", Text: "errors", Token: "fault/7",
		Addresses: []string{"production/shop"}}
	one := opened(t, s, fault)
	two := opened(t, s, astern.IncidentEvent{At: start, Kind: astern.IncidentOpened, By: "ann", Text: "slow"})
	same(t, []string{one, two}, []string{"inc-1", "inc-2"})

	// The same fault, seen again after a crash.
	id, first, err := s.OpenIncident(ctx, fault)
	must(t, err)
	same(t, id, one)
	same(t, first, false)

	noted := astern.IncidentEvent{At: start.Add(time.Second), Kind: astern.IncidentNoted, By: "ann", Text: "looking"}
	for _, want := range []int64{2, 3} {
		seq, err := s.AddIncidentEvent(ctx, one, noted)
		must(t, err)
		same(t, seq, want)
	}
	once := astern.IncidentEvent{At: start, Kind: astern.IncidentActed, By: "watch", Execution: "ex-1", Token: "acted/ex-1"}
	for range 2 {
		seq, err := s.AddIncidentEvent(ctx, one, once)
		must(t, err)
		same(t, seq, int64(4))
	}

	log, err := s.Incident(ctx, one)
	must(t, err)
	fault.Seq, fault.At = 1, start
	second, third := noted, noted
	second.Seq, third.Seq, once.Seq = 2, 3, 4
	same(t, log, astern.IncidentLog{ID: one, Events: []astern.IncidentEvent{fault, second, third, once}})
	all, err := s.Incidents(ctx)
	must(t, err)
	same(t, []string{all[0].ID, all[1].ID}, []string{two, one})
	same(t, all[1], log)

	for _, id := range []string{"inc-3", "inc-01", "inc-+1", "1", "inc-", "ex-1", "", "inc-9999999999999999999"} {
		_, err = s.Incident(ctx, id)
		wants(t, err, astern.NotFound, id)
		_, err = s.AddIncidentEvent(ctx, id, noted)
		wants(t, err, astern.NotFound, id)
	}
	unfit := astern.IncidentEvent{At: start, Cost: &astern.Cost{Users: math.NaN()}}
	if _, _, err := s.OpenIncident(ctx, unfit); err == nil {
		t.Error("an event that can't be written is taken")
	}
	if _, err := s.AddIncidentEvent(ctx, one, unfit); err == nil {
		t.Error("an event that can't be written is taken")
	}
	after, err := s.Incident(ctx, one)
	must(t, err)
	same(t, after, log)
}

// raceToOpen: one fault, seen by many at once, is one incident.
func raceToOpen(t *testing.T, s Store) {
	const n = 16
	ids, won := make([]string, n), make([]bool, n)
	for _, err := range together(n, func(i int) (err error) {
		ids[i], won[i], err = s.OpenIncident(t.Context(), astern.IncidentEvent{At: start, Kind: astern.IncidentOpened, Token: "fault/1"})
		return err
	}) {
		must(t, err)
	}
	first := 0
	for i, w := range won {
		same(t, ids[i], "inc-1")
		if w {
			first++
		}
	}
	same(t, first, 1)
}
