package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// Signed keeps what people signed.
type Signed interface {
	AddSigned(ctx context.Context, a astern.Approval) error
	Signed(ctx context.Context, planHash string) ([]astern.Approval, error)
}

// Overrides keeps the plans that were applied over the policy's head.
type Overrides interface {
	AddOverride(ctx context.Context, o astern.Override) error
	Overrides(ctx context.Context) ([]astern.Override, error)
	AddReview(ctx context.Context, planHash, by, review string, at time.Time) error
}

func signedBy(by, verdict string, at time.Time) astern.Approval {
	return astern.Approval{PlanHash: hash("one"), By: by, Verdict: verdict, Reason: "read it", At: at, Until: at.Add(time.Hour),
		Document: []byte(by + verdict + at.String()), Signature: []byte("signature")}
}

func signed(t *testing.T, s Store) {
	ctx := t.Context()
	must(t, s.PutPlan(ctx, hash("one"), []byte(`{}`), start))
	zoe, bob := signedBy("zoe", sqlite.Approve, start), signedBy("bob", sqlite.Reject, start.Add(time.Second))
	must(t, s.AddSigned(ctx, zoe))
	must(t, s.AddSigned(ctx, bob))
	must(t, s.AddSigned(ctx, zoe)) // carried here twice
	wants(t, s.AddSigned(ctx, signedBy("zoe", sqlite.Approve, start.Add(59*time.Minute))), astern.Conflict, "zoe", "once")
	wants(t, s.AddSigned(ctx, signedBy("zoe", sqlite.Reject, start.Add(time.Minute))), astern.Conflict, "zoe")
	anew := signedBy("zoe", sqlite.Approve, start.Add(time.Hour)) // the first has run out
	must(t, s.AddSigned(ctx, anew))
	for _, bad := range []astern.Approval{signedBy("", sqlite.Approve, start), signedBy("eve", "maybe", start),
		{PlanHash: hash("one"), By: "eve", Verdict: sqlite.Approve, Signature: []byte("x")}, {PlanHash: hash("one"), By: "eve", Verdict: sqlite.Approve, Document: []byte("x")}} {
		wants(t, s.AddSigned(ctx, bad), astern.Invalid)
	}
	elsewhere := signedBy("eve", sqlite.Approve, start)
	elsewhere.PlanHash = hash("two")
	wants(t, s.AddSigned(ctx, elsewhere), astern.NotFound, hash("two"))
	got, err := s.Signed(ctx, hash("one"))
	must(t, err)
	same(t, got, []astern.Approval{zoe, bob, anew})
	plain, err := s.Approvals(ctx, hash("one"))
	must(t, err)
	same(t, len(plain), 0)
}

// raceOfApprovals: a hundred approvals of ten people at once leave ten words, of either sort.
func raceOfApprovals(t *testing.T, s Store) {
	ctx := t.Context()
	must(t, s.PutPlan(ctx, hash("one"), []byte(`{}`), start))
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			by := fmt.Sprintf("person-%d", i%10)
			at := start.Add(time.Duration(i) * time.Second)
			if err := s.AddApproval(ctx, hash("one"), by, sqlite.Approve, "", at); err != nil {
				t.Error(err)
			}
			if err := s.AddSigned(ctx, signedBy(by, sqlite.Approve, at)); err != nil && astern.CodeOf(err) != astern.Conflict {
				t.Error(err)
			}
		})
	}
	all.Wait()
	plain, err := s.Approvals(ctx, hash("one"))
	must(t, err)
	ours, err := s.Signed(ctx, hash("one"))
	must(t, err)
	same(t, []int{len(plain), len(ours)}, []int{10, 10})
}

func overrides(t *testing.T, s Store) {
	ctx := t.Context()
	for _, name := range []string{"one", "two"} {
		must(t, s.PutPlan(ctx, hash(name), []byte(`{}`), start))
	}
	one := astern.Override{PlanHash: hash("one"), By: "ana", Reason: "everybody is on a plane", Over: []string{"the plan needs 2 approvals"}, At: start, ReviewDue: start.Add(time.Hour)}
	again, two := one, one
	again.Reason, two.PlanHash = "another", hash("two")
	for _, o := range []astern.Override{one, again, two} {
		must(t, s.AddOverride(ctx, o))
	}
	elsewhere := one
	elsewhere.PlanHash = hash("three")
	wants(t, s.AddOverride(ctx, elsewhere), astern.NotFound, hash("three"))
	wants(t, s.AddReview(ctx, hash("three"), "ben", "right", start), astern.NotFound, hash("three"))
	at := start.Add(time.Minute)
	must(t, s.AddReview(ctx, hash("one"), "ben", "right", at))
	wants(t, s.AddReview(ctx, hash("one"), "cy", "wrong", at), astern.Conflict)
	got, err := s.Overrides(ctx)
	must(t, err)
	one.ReviewedBy, one.Review, one.ReviewedAt = "ben", "right", &at
	same(t, got, []astern.Override{one, two})
}
