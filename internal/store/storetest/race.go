package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// together runs n calls at the same time, waits for all, and returns their errors.
func together(n int, call func(i int) error) []error {
	errs := make([]error, n)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-begin
			errs[i] = call(i)
		})
	}
	close(begin)
	all.Wait()
	return errs
}

func raceForLease(t *testing.T, s Store) {
	const n = 16
	for i := range n {
		must(t, s.PutPlan(t.Context(), hash(fmt.Sprintf("plan-%02d-", i)), []byte(`{}`), start))
	}
	errs := together(n, func(i int) error {
		// Opposite orders would lock each other out if leases were taken one by one.
		addresses := []string{"production/shop", "production/stock"}
		if i%2 == 1 {
			addresses[0], addresses[1] = addresses[1], addresses[0]
		}
		_, _, err := s.CreateExecution(t.Context(), astern.Execution{PlanHash: hash(fmt.Sprintf("plan-%02d-", i)), CreatedAt: start,
			Addresses: addresses}, 0)
		return err
	})
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		wants(t, err, astern.Conflict, "is held by ex-1")
	}
	same(t, won, 1)
	same(t, []string{holder(t, s, "production/shop"), holder(t, s, "production/stock")}, []string{"ex-1", "ex-1"})

	// The same plan from all sides: one execution, and everybody is shown it.
	must(t, s.PutPlan(t.Context(), hash("same"), []byte(`{}`), start))
	made := make([]bool, n)
	for _, err := range together(n, func(i int) error {
		e, created, err := s.CreateExecution(t.Context(), astern.Execution{PlanHash: hash("same"), CreatedAt: start,
			Addresses: []string{"production/db"}}, 0)
		if made[i] = created; err == nil && e.ID != "ex-2" {
			err = fmt.Errorf("execution %s", e.ID)
		}
		return err
	}) {
		must(t, err)
	}
	won = 0
	for _, m := range made {
		if m {
			won++
		}
	}
	same(t, won, 1)
}

func raceToTake(t *testing.T, s Store) {
	e := made(t, s, "one", "", "production/shop")
	const n = 16
	fences := make([]int64, n)
	errs := together(n, func(i int) (err error) {
		r := web1
		r.PID = 1000 + i
		fences[i], err = s.Take(t.Context(), e.ID, r, living, 0, start)
		return err
	})
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
			same(t, fences[i], 1)
			continue
		}
		wants(t, err, astern.Conflict, "process 10")
	}
	same(t, won, 1)

	// When each finds the one before dead, each gets a fence of its own, and only the highest writes.
	for _, err := range together(n, func(i int) (err error) {
		r := web2
		r.PID = 2000 + i
		fences[i], err = s.Take(t.Context(), e.ID, r, dead, 0, start)
		return err
	}) {
		must(t, err)
	}
	seen := map[int64]bool{}
	for _, f := range fences {
		if seen[f] || f < 2 || f > n+1 {
			t.Fatalf("fences %v", fences)
		}
		seen[f] = true
	}
	for i, err := range together(n, func(i int) error {
		return s.Append(t.Context(), e.ID, fences[i], astern.Record{At: start, Kind: astern.RecordRound})
	}) {
		if highest := fences[i] == n+1; (err == nil) != highest || !highest && !errors.Is(err, sqlite.ErrFenced) {
			t.Fatalf("fence %d: %v", fences[i], err)
		}
	}
}

func raceToWrite(t *testing.T, s Store) {
	e := made(t, s, "one", "", "production/shop")
	f := taken(t, s, e.ID, web1)
	const writers, each = 8, 10
	for _, err := range together(writers, func(i int) error {
		for j := range each {
			rec := astern.Record{At: start, Kind: astern.RecordPaused, By: fmt.Sprintf("%d-%d", i, j)}
			fence := int64(0)
			if i%2 == 0 {
				fence = f
			}
			if err := s.Append(t.Context(), e.ID, fence, rec, rec); err != nil {
				return err
			}
		}
		return nil
	}) {
		must(t, err)
	}
	recs, err := s.Read(t.Context(), e.ID, 0)
	must(t, err)
	same(t, len(recs), 1+writers*each*2)
	for i, r := range recs {
		same(t, r.Seq, int64(i+1))
		if i%2 == 0 && i > 0 && r.By != recs[i-1].By {
			t.Fatalf("records %d and %d of one call were torn apart: %q, %q", i, i+1, recs[i-1].By, r.By)
		}
	}
}
