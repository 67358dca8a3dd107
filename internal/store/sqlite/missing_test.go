package sqlite

import (
	"strings"
	"testing"

	"github.com/astern-dev/astern"
)

// TestMissingTable takes one table after another away and calls everything: what needs the table fails with an error that
// names the state folder, and nothing panics.
func TestMissingTable(t *testing.T) {
	for _, table := range []string{"store", "plans", "executions", "leases", "journal", "events", "approvals", "proofs", "signed_approvals", "overrides", "reviews"} {
		t.Run(table, func(t *testing.T) {
			folder, ctx := t.TempDir(), t.Context()
			s, err := Open(ctx, folder)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			alive := func(astern.Runner) bool { return false }
			calls := func(plan string) (failed int) {
				_, _, err1 := s.CreateExecution(ctx, astern.Execution{PlanHash: plan, CreatedAt: at, Addresses: []string{"e/" + plan}, Parent: "ex-1"}, 0)
				_, err2 := s.Take(ctx, "ex-1", astern.Runner{Host: "h"}, alive, 0, at)
				_, err3 := s.AddEvent(ctx, astern.Event{At: at, Token: plan})
				_, err4 := s.Plan(ctx, plan)
				_, err5 := s.Documents(ctx)
				_, err6 := s.Executions(ctx, 0, false)
				_, err7 := s.Read(ctx, "ex-1", 0)
				_, err8 := s.Events(ctx, "", 0)
				_, err9 := s.Approvals(ctx, plan)
				_, _, err10 := s.Proof(ctx, "key")
				_, _, err11 := s.Holder(ctx, "e/c")
				_, _, err12 := s.Runner(ctx, "ex-1")
				_, err13 := s.Fence(ctx)
				_, err14 := s.Execution(ctx, "ex-1")
				_, err15 := s.StoreID(ctx)
				_, err16 := s.Signed(ctx, plan)
				_, err17 := s.Overrides(ctx)
				word := astern.Approval{PlanHash: plan, By: "ann", Verdict: Approve, Document: []byte("x"), Signature: []byte("x")}
				end := astern.Record{At: at, Kind: astern.RecordEnded, Outcome: astern.OutcomeDone}
				for _, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12, err13, err14, err15, err16, err17,
					s.AddSigned(ctx, word), s.AddOverride(ctx, astern.Override{PlanHash: plan, At: at}), s.AddReview(ctx, plan, "ben", "", at),
					s.PutPlan(ctx, plan+"-2", []byte("{}"), at), s.AddApproval(ctx, plan, "ann", Approve, "", at),
					s.KeepProof(ctx, "key", nil, at), s.Append(ctx, "ex-1", 99, end), s.Append(ctx, "ex-1", 1, end)} {
					if err != nil && strings.Contains(err.Error(), "no such table") {
						if failed++; astern.CodeOf(err) != astern.Internal || !strings.Contains(err.Error(), folder) {
							t.Errorf("%s: %v", astern.CodeOf(err), err)
						}
					}
				}
				return failed
			}
			for _, plan := range []string{"plan-one", "plan-two"} {
				if err := s.PutPlan(ctx, plan, []byte("{}"), at); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := s.CreateExecution(ctx, astern.Execution{PlanHash: "plan-one", CreatedAt: at, Addresses: []string{"e/c"}}, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Take(ctx, "ex-1", astern.Runner{Host: "h"}, alive, 0, at); err != nil {
				t.Fatal(err)
			}
			s.db.SetMaxOpenConns(1) // so that the next line is about the connection that is used
			for _, query := range []string{`PRAGMA foreign_keys = off`, `DROP TABLE ` + table} {
				if _, err := s.db.Exec(query); err != nil {
					t.Fatal(err)
				}
			}
			if calls("plan-two") == 0 {
				t.Error("nothing needs the table")
			}
		})
	}
}
