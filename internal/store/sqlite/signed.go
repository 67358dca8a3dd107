package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/astern-dev/astern"
)

// AddSigned records an approval that its person signed. One person counts once: the same document again changes nothing, an
// approval beside one that still counts and another verdict answer Conflict. Whether the signature is good is for whoever
// hands it in and whoever counts it.
func (s *Store) AddSigned(ctx context.Context, a astern.Approval) error {
	doing := "recording what " + a.By + " signed of plan " + a.PlanHash
	if a.By == "" || a.Verdict != Approve && a.Verdict != Reject || len(a.Document) == 0 || len(a.Signature) == 0 {
		return astern.Errorf(astern.Invalid, "%s: it needs a name, one of %q and %q, a document and a signature", doing, Approve, Reject)
	}
	return s.write(ctx, doing, func(tx *sql.Tx) error {
		if err := mustHavePlan(ctx, tx, a.PlanHash); err != nil {
			return err
		}
		last, err := scanSigned(tx.QueryRowContext(ctx, selectSigned+` WHERE plan = ? AND by = ? ORDER BY n DESC LIMIT 1`, a.PlanHash, a.By))
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		case bytes.Equal(last.Document, a.Document):
			return nil
		case last.Verdict != a.Verdict:
			return astern.Errorf(astern.Conflict, "%s: it was %q at %s and stays so", doing, last.Verdict, stamp(last.At)).
				WithHint("a verdict is final; make a new plan to decide again")
		case a.At.Before(last.Until):
			return astern.Errorf(astern.Conflict, "%s: an approval of %s counts until %s, and one person counts once", doing, stamp(last.At), stamp(last.Until))
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO signed_approvals (plan, by, verdict, reason, at, until, document, signature) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			a.PlanHash, a.By, a.Verdict, a.Reason, stamp(a.At), stamp(a.Until), a.Document, a.Signature)
		return err
	})
}

// Signed returns what people signed of a plan, the first one first.
func (s *Store) Signed(ctx context.Context, planHash string) ([]astern.Approval, error) {
	return rows(ctx, s, "reading the signed approvals of plan "+planHash, scanSigned, selectSigned+` WHERE plan = ? ORDER BY n`, planHash)
}

const selectSigned = `SELECT plan, by, verdict, reason, at, until, document, signature FROM signed_approvals`

func scanSigned(r row) (a astern.Approval, err error) {
	var at, until string
	if err = r.Scan(&a.PlanHash, &a.By, &a.Verdict, &a.Reason, &at, &until, &a.Document, &a.Signature); err == nil {
		var atErr, untilErr error
		a.At, atErr = unstamp(at)
		a.Until, untilErr = unstamp(until)
		err = errors.Join(atErr, untilErr)
	}
	return a, err
}

// AddOverride records that a plan is applied over the policy's head. A plan has one override: the first stays.
func (s *Store) AddOverride(ctx context.Context, o astern.Override) error {
	return s.write(ctx, "recording that "+o.By+" breaks the glass for plan "+o.PlanHash, func(tx *sql.Tx) error {
		if err := mustHavePlan(ctx, tx, o.PlanHash); err != nil {
			return err
		}
		o.ReviewedBy, o.ReviewedAt, o.Review = "", nil, ""
		doc, err := json.Marshal(o)
		if err == nil {
			_, err = tx.ExecContext(ctx, `INSERT INTO overrides (plan, at, doc) VALUES (?, ?, ?) ON CONFLICT (plan) DO NOTHING`, o.PlanHash, stamp(o.At), string(doc))
		}
		return err
	})
}

// Overrides returns the plans that were applied over the policy's head, the first one first, each with its review.
func (s *Store) Overrides(ctx context.Context) ([]astern.Override, error) {
	return rows(ctx, s, "reading the overrides", scanOverride,
		`SELECT o.doc, coalesce(r.by, ''), coalesce(r.review, ''), coalesce(r.at, '') FROM overrides o LEFT JOIN reviews r ON r.plan = o.plan ORDER BY o.rowid`)
}

func scanOverride(r row) (o astern.Override, err error) {
	var doc, by, review, at string
	if err = r.Scan(&doc, &by, &review, &at); err == nil {
		err = json.Unmarshal([]byte(doc), &o)
	}
	if err == nil && at != "" {
		var when time.Time
		when, err = unstamp(at)
		o.ReviewedBy, o.Review, o.ReviewedAt = by, review, &when
	}
	return o, err
}

// AddReview records what somebody says of an override. It is NotFound when the plan has none, and a Conflict when it was
// reviewed before.
func (s *Store) AddReview(ctx context.Context, planHash, by, review string, at time.Time) error {
	doing := "recording the review of plan " + planHash
	return s.write(ctx, doing, func(tx *sql.Tx) error {
		var reviewed bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM reviews r WHERE r.plan = o.plan) FROM overrides o WHERE plan = ?`, planHash).Scan(&reviewed)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return astern.Errorf(astern.NotFound, "%s: nobody broke the glass for it", doing)
		case err == nil && reviewed:
			return astern.Errorf(astern.Conflict, "%s: it was reviewed before", doing)
		case err == nil:
			_, err = tx.ExecContext(ctx, `INSERT INTO reviews (plan, by, review, at) VALUES (?, ?, ?, ?)`, planHash, by, review, stamp(at))
		}
		return err
	})
}
