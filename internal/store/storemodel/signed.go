package storemodel

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// AddSigned records an approval that its person signed.
func (s *Store) AddSigned(ctx context.Context, a astern.Approval) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if a.By == "" || a.Verdict != sqlite.Approve && a.Verdict != sqlite.Reject || len(a.Document) == 0 || len(a.Signature) == 0 {
		return astern.Errorf(astern.Invalid, "what %q signed is incomplete", a.By)
	}
	if s.plan(a.PlanHash) < 0 {
		return astern.Errorf(astern.NotFound, "there is no plan %s in this state folder", a.PlanHash)
	}
	for _, last := range slices.Backward(s.signed) {
		if last.PlanHash != a.PlanHash || last.By != a.By {
			continue
		}
		switch {
		case bytes.Equal(last.Document, a.Document):
			return nil
		case last.Verdict != a.Verdict:
			return astern.Errorf(astern.Conflict, "%s said %s of plan %s, and it stays so", a.By, last.Verdict, a.PlanHash)
		case a.At.Before(last.Until):
			return astern.Errorf(astern.Conflict, "an approval of %s counts, and one person counts once", a.By)
		}
		break
	}
	s.signed = append(s.signed, a)
	return nil
}

// Signed returns what people signed of a plan, the first one first.
func (s *Store) Signed(ctx context.Context, planHash string) ([]astern.Approval, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return slices.DeleteFunc(slices.Clone(s.signed), func(a astern.Approval) bool { return a.PlanHash != planHash }), nil
}

// AddOverride records that a plan is applied over the policy's head.
func (s *Store) AddOverride(ctx context.Context, o astern.Override) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if s.plan(o.PlanHash) < 0 {
		return astern.Errorf(astern.NotFound, "there is no plan %s in this state folder", o.PlanHash)
	}
	if s.override(o.PlanHash) < 0 {
		o.ReviewedBy, o.ReviewedAt, o.Review = "", nil, ""
		s.overrides = append(s.overrides, o)
	}
	return nil
}

func (s *Store) override(planHash string) int {
	return slices.IndexFunc(s.overrides, func(o astern.Override) bool { return o.PlanHash == planHash })
}

// Overrides returns the plans that were applied over the policy's head, the first one first.
func (s *Store) Overrides(ctx context.Context) ([]astern.Override, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return slices.Clone(s.overrides), nil
}

// AddReview records what somebody says of an override.
func (s *Store) AddReview(ctx context.Context, planHash, by, review string, at time.Time) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	n := s.override(planHash)
	switch {
	case n < 0:
		return astern.Errorf(astern.NotFound, "nobody broke the glass for plan %s", planHash)
	case s.overrides[n].ReviewedAt != nil:
		return astern.Errorf(astern.Conflict, "plan %s was reviewed before", planHash)
	}
	s.overrides[n].ReviewedBy, s.overrides[n].Review, s.overrides[n].ReviewedAt = by, review, &at
	return nil
}
