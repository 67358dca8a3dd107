package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/astern-dev/astern"
)

// WaitingPlan is a plan of this state folder that needs approvals and was not carried out yet.
type WaitingPlan struct {
	Plan  astern.Plan
	Hash  string
	Given []string // who approved it so far
}

// planLife is how far back plans are looked for that may still be applied: longer than any of them can be.
const planLife = 7 * 24 * time.Hour

// WaitingPlans returns the plans that wait for approvals, or that have them and wait to be applied; the oldest first. One that
// was rejected, has expired or was applied waits for nothing.
func (a *App) WaitingPlans(ctx context.Context) ([]WaitingPlan, error) {
	docs, err := a.Store.RecentPlans(ctx, a.Now().Add(-planLife))
	if err != nil {
		return nil, fmt.Errorf("reading the stored plans: %w", err)
	}
	var out []WaitingPlan
	for hash, doc := range docs {
		p, _, err := a.decoded(doc)
		if err != nil || p.Approvals == 0 || a.Now().After(p.ExpiresAt) {
			continue // what can't be read can't be applied either
		}
		if _, begun, err := a.executionOf(ctx, hash); err != nil || begun {
			if err != nil {
				return nil, err
			}
			continue
		}
		j, err := a.Judge(ctx, p, hash, a.Now())
		if err != nil {
			continue // the policy no longer has its severity, say: it can't be applied either, and status must be told all the same
		}
		if j.Rejected == nil {
			out = append(out, WaitingPlan{p, hash, j.Counted})
		}
	}
	slices.SortFunc(out, func(x, y WaitingPlan) int {
		return cmp.Or(x.Plan.CreatedAt.Compare(y.Plan.CreatedAt), cmp.Compare(x.Hash, y.Hash))
	})
	return out, nil
}
