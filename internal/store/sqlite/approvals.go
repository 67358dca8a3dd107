package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/astern-dev/astern"
)

// The verdicts of an Approval.
const (
	Approve = "approve"
	Reject  = "reject"
)

// AddApproval records a person's verdict on a stored plan. Each person has one: the same again changes nothing, another
// one answers Conflict.
func (s *Store) AddApproval(ctx context.Context, planHash, by, verdict, reason string, at time.Time) error {
	doing := "recording what " + by + " says of plan " + planHash
	if by == "" || verdict != Approve && verdict != Reject {
		return astern.Errorf(astern.Invalid, "%s: it needs a name and one of %q and %q, not %q by %q", doing, Approve, Reject, verdict, by)
	}
	return s.write(ctx, doing, func(tx *sql.Tx) error {
		if err := mustHavePlan(ctx, tx, planHash); err != nil {
			return err
		}
		first, err := scanApproval(tx.QueryRowContext(ctx, selectApproval+` WHERE plan = ? AND by = ?`, planHash, by))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			_, err = tx.ExecContext(ctx, `INSERT INTO approvals (plan, by, verdict, reason, at) VALUES (?, ?, ?, ?, ?)`,
				planHash, by, verdict, reason, stamp(at))
		case err == nil && first.Verdict != verdict:
			err = astern.Errorf(astern.Conflict, "%s: it was %q at %s and stays so", doing, first.Verdict, stamp(first.At)).
				WithHint("a verdict is final; make a new plan to decide again")
		}
		return err
	})
}

// Approvals returns what people said of a plan, the first one first.
func (s *Store) Approvals(ctx context.Context, planHash string) ([]astern.Approval, error) {
	return rows(ctx, s, "reading the approvals of plan "+planHash, scanApproval,
		selectApproval+` WHERE plan = ? ORDER BY rowid`, planHash)
}

const selectApproval = `SELECT plan, by, verdict, reason, at FROM approvals`

func scanApproval(r row) (a astern.Approval, err error) {
	var at string
	if err = r.Scan(&a.PlanHash, &a.By, &a.Verdict, &a.Reason, &at); err == nil {
		a.At, err = unstamp(at)
	}
	return a, err
}
