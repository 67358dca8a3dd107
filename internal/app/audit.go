package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/audit"
)

// Recorder is what the audit log is to the App: a record is on the disk before Append returns.
type Recorder interface {
	Append(ctx context.Context, r audit.Record) (audit.Record, error)
}

// Audit has everything that the App writes from now on recorded first: what can't be recorded is not done. It is called
// once, with the store set. What was recorded and done is told to people (told).
func (a *App) Audit(log Recorder) {
	a.log, a.post = log, &post{}
	a.Store = told{Store: audited{Store: a.Store, app: a}, app: a}
}

// AuditCopy returns the second place of the audit log, as astern.yaml declares it.
func (a *App) AuditCopy() audit.Copy {
	c := audit.Copy{Command: a.System.AuditCommand, Dir: a.System.Folder}
	if a.System.AuditCopy != "" {
		if c.Folder = a.System.AuditCopy; !filepath.IsAbs(c.Folder) {
			c.Folder = filepath.Join(a.System.Folder, c.Folder)
		}
	}
	return c
}

// audited is the store behind the audit log. All that is ever decided, begun, said or ended passes here on its way to the
// disk, whoever asks: people, the engine, and whatever watches. It records who did what to which plan and execution; single
// steps are in the journal, whose hash the record of the end has.
type audited struct {
	Store
	app *App
}

// record writes the record, does what it tells of, and writes another one when that failed.
func (s audited) record(ctx context.Context, r audit.Record, do func() error) error {
	written, err := s.app.record(ctx, r)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		r.What, r.Of, r.Text = audit.Failed, written.Seq, err.Error()
		_, _ = s.app.record(context.WithoutCancel(ctx), r) // the first error says more; that it was asked for is recorded
		return err
	}
	return nil
}

// record adds who and when.
func (a *App) record(ctx context.Context, r audit.Record) (audit.Record, error) {
	r.At, r.Host = a.Now(), a.Runner.Host
	if r.By == "" {
		r.By = a.By
	}
	return a.log.Append(ctx, r)
}

// PutPlan records the plan that is kept, unless it was kept before.
func (s audited) PutPlan(ctx context.Context, hash string, doc []byte, at time.Time) error {
	if _, err := s.Store.Plan(ctx, hash); err == nil {
		return s.Store.PutPlan(ctx, hash, doc, at)
	}
	p, _, err := s.app.decoded(doc)
	if err != nil {
		return err
	}
	r := about(p, hash)
	if r.What = audit.Planned; p.Asked.By != s.app.By {
		r.Text = fmt.Sprintf("asked for by %s (%s), as the plan says", p.Asked.By, p.Asked.Way)
	}
	return s.record(ctx, r, func() error { return s.Store.PutPlan(ctx, hash, doc, at) })
}

// about fills in what a plan says.
func about(p astern.Plan, hash string) audit.Record {
	return audit.Record{Plan: hash, Verb: p.Intent.Verb, Addresses: p.Addresses(), Reason: p.Intent.Reason}
}

// CreateExecution records that a plan is carried out, unless it was before.
func (s audited) CreateExecution(ctx context.Context, e astern.Execution, minFence int64) (made astern.Execution, created bool, err error) {
	if old, ok, err := s.app.executionOf(ctx, e.PlanHash); err != nil || ok {
		return old, false, err
	}
	err = s.record(ctx, audit.Record{What: audit.Started, Plan: e.PlanHash, Addresses: e.Addresses}, func() (err error) {
		made, created, err = s.Store.CreateExecution(ctx, e, minFence)
		return err
	})
	return made, created, err
}

// Take records which process carries the execution out.
func (s audited) Take(ctx context.Context, id string, r astern.Runner, alive func(astern.Runner) bool, minFence int64, at time.Time) (fence int64, err error) {
	e, err := s.Store.Execution(ctx, id)
	if err != nil {
		return 0, err
	}
	err = s.record(ctx, audit.Record{What: audit.Taken, Plan: e.PlanHash, Execution: id, Text: fmt.Sprintf("process %d", r.PID)}, func() (err error) {
		fence, err = s.Store.Take(ctx, id, r, alive, minFence, at)
		return err
	})
	return fence, err
}

// AddApproval records a person's word on a plan.
func (s audited) AddApproval(ctx context.Context, planHash, by, verdict, reason string, at time.Time) error {
	r := audit.Record{What: audit.Rejected, Plan: planHash, By: by, Reason: reason}
	if verdict == "approve" {
		r.What = audit.Approved
	}
	return s.record(ctx, r, func() error { return s.Store.AddApproval(ctx, planHash, by, verdict, reason, at) })
}

// AddSigned records a person's signed word on a plan, with the hash of the signature.
func (s audited) AddSigned(ctx context.Context, word astern.Approval) error {
	sum := sha256.Sum256(word.Signature)
	r := audit.Record{What: audit.Rejected, Plan: word.PlanHash, By: word.By, Reason: word.Reason, Text: "signed, SHA-256 of the signature " + hex.EncodeToString(sum[:])}
	if word.Verdict == "approve" {
		r.What = audit.Approved
	}
	return s.record(ctx, r, func() error { return s.Store.AddSigned(ctx, word) })
}

// AddOverride records that a plan goes over the policy's head.
func (s audited) AddOverride(ctx context.Context, o astern.Override) error {
	r := audit.Record{What: audit.Overrode, Plan: o.PlanHash, By: o.By, Reason: o.Reason, Text: strings.Join(o.Over, "; ")}
	return s.record(ctx, r, func() error { return s.Store.AddOverride(ctx, o) })
}

// AddReview records that somebody has looked at it.
func (s audited) AddReview(ctx context.Context, planHash, by, review string, at time.Time) error {
	r := audit.Record{What: audit.Reviewed, Plan: planHash, By: by, Text: review}
	return s.record(ctx, r, func() error { return s.Store.AddReview(ctx, planHash, by, review, at) })
}

// AddEvent records an event of the ledger; what was only seen is nobody's doing.
func (s audited) AddEvent(ctx context.Context, e astern.Event) (added astern.Event, err error) {
	if e.Kind == astern.EventImported || e.Kind == astern.EventSeen {
		return s.Store.AddEvent(ctx, e)
	}
	err = s.record(ctx, ofEvent(e), func() (err error) {
		added, err = s.Store.AddEvent(ctx, e)
		return err
	})
	return added, err
}

// AddEventUnder records an event of a step.
func (s audited) AddEventUnder(ctx context.Context, fence int64, e astern.Event) (added astern.Event, err error) {
	r := ofEvent(e)
	r.Fence = fence
	err = s.record(ctx, r, func() (err error) {
		added, err = s.Store.AddEventUnder(ctx, fence, e)
		return err
	})
	return added, err
}

func ofEvent(e astern.Event) audit.Record {
	r := audit.Record{What: audit.Ledger, Event: string(e.Kind), Addresses: []string{e.Address}, Revision: e.Revision, Execution: e.Execution,
		Reason: e.Reason, By: e.By}
	switch e.Kind {
	case astern.EventLatched:
		r.What = audit.Latched
	case astern.EventReleased:
		r.What = audit.Released
	}
	return r
}

// Append records people's words, refusals of steps, and the end, with what the journal is then.
func (s audited) Append(ctx context.Context, execution string, fence int64, records ...astern.Record) error {
	write := func() error { return s.Store.Append(ctx, execution, fence, records...) }
	for _, r := range records {
		entry, ok := ofRecord(r)
		if !ok {
			continue
		}
		e, err := s.Store.Execution(ctx, execution)
		if err != nil {
			return err
		}
		entry.Plan, entry.Execution, entry.Fence = e.PlanHash, execution, fence
		if r.Kind == astern.RecordEnded {
			if err := s.ending(ctx, &entry, records); err != nil {
				return err
			}
		}
		rest := write
		write = func() error { return s.record(ctx, entry, rest) }
	}
	return write()
}

// ending adds what the plan was for, and the journal as it is with the records that end it.
func (s audited) ending(ctx context.Context, entry *audit.Record, records []astern.Record) error {
	chain := audit.NewChain()
	before, err := chained(ctx, s.Store, entry.Execution, chain, math.MaxInt64)
	if err != nil {
		return err
	}
	for i, r := range records { // the engine numbers what it writes; with other numbers nothing is written
		r.Seq, r.Fence = before+int64(i)+1, entry.Fence
		if err := chain.Add(r); err != nil {
			return err
		}
	}
	journal := chain.Journal()
	if doc, err := s.Store.Plan(ctx, entry.Plan); err == nil {
		if p, _, err := s.app.decoded(doc); err == nil {
			entry.Verb, entry.Addresses, entry.Reason = p.Intent.Verb, p.Addresses(), p.Intent.Reason
		}
	}
	entry.Journal = &journal
	return nil
}

// chainedAtOnce is how many records of a journal are in memory while it is hashed.
const chainedAtOnce = 1000

// chained adds the first records of an execution's journal, at most so many, to the chain, and returns how many there are.
func chained(ctx context.Context, store Journals, execution string, chain *audit.Chain, most int64) (n int64, err error) {
	for last := int64(0); n < most; {
		some, err := store.ReadSome(ctx, execution, last, int(min(chainedAtOnce, most-n)))
		if err != nil {
			return n, fmt.Errorf("reading the journal of %s: %w", execution, err)
		}
		if len(some) == 0 {
			break
		}
		for _, r := range some {
			if err := chain.Add(r); err != nil {
				return n, err
			}
			n, last = n+1, r.Seq // which differ where somebody took a record away
		}
	}
	return n, nil
}

// ofRecord turns a journal's record into one of the audit log, where it says who did what.
func ofRecord(r astern.Record) (audit.Record, bool) {
	switch r.Kind {
	case astern.RecordEnded:
		return audit.Record{What: audit.Ended, Outcome: r.Outcome}, true
	case astern.RecordRefused:
		out := audit.Record{What: audit.Refused, Step: r.Step, Text: "the world changed"}
		for _, d := range r.Differences {
			out.Text += "; " + d.String()
		}
		return out, true
	case astern.RecordPaused, astern.RecordResumed, astern.RecordCancelled, astern.RecordSkipped, astern.RecordSettled,
		astern.RecordAllowed, astern.RecordTicked:
		out := audit.Record{What: audit.Said, Event: string(r.Kind), Step: r.Step, By: r.By, Reason: r.Text}
		if r.Kind == astern.RecordSettled && r.Op != nil {
			out.Text = string(r.Op.Status)
		}
		return out, true
	}
	return audit.Record{}, false
}

// refusing records that what was asked for was refused. Where that can't be recorded, nothing was done either.
func (a *App) refusing(ctx context.Context, r audit.Record, asked string, err error) error {
	if a.log == nil || astern.CodeOf(err) != astern.Refused {
		return err
	}
	r.What, r.Event, r.Text = audit.Refused, asked, err.Error()
	if _, e := a.record(context.WithoutCancel(ctx), r); e != nil && astern.CodeOf(e) != astern.Refused { // else err is the log's own refusal
		return astern.Errorf(astern.Refused, "%w; and that could not be recorded: %v", err, e).WithHint("%s", astern.HintOf(err))
	}
	return err
}

// refusedPlan is refusing for a plan file.
func (a *App) refusedPlan(ctx context.Context, doc []byte, asked string, err error) error {
	if a.log == nil || astern.CodeOf(err) != astern.Refused {
		return err
	}
	var r audit.Record
	if p, hash, e := a.decoded(doc); e == nil {
		r = about(p, hash)
	} else {
		sum := sha256.Sum256(doc) // of a file that is no plan
		r.Plan = hex.EncodeToString(sum[:])
	}
	return a.refusing(ctx, r, asked, err)
}

// JournalsAsEnded compares the journals of executions that ended, and the plans that say what their steps were told, with what the
// audit log says they were then.
func (a *App) JournalsAsEnded(ctx context.Context, ends []audit.Record) ([]audit.Finding, error) {
	var out []audit.Finding
	for _, end := range ends {
		chain := audit.NewChain()
		n, err := chained(ctx, a.Store, end.Execution, chain, end.Journal.Records)
		if err != nil && astern.CodeOf(err) != astern.NotFound {
			return nil, err
		}
		now, found := chain.Journal(), ""
		switch {
		case n < end.Journal.Records:
			found = fmt.Sprintf("%d records", n)
		case now != *end.Journal:
			found = fmt.Sprintf("%d records, %s", now.Records, now.Hash)
		}
		if found != "" {
			out = append(out, audit.Finding{Record: end.Seq, What: "the journal of " + end.Execution + " is not what it was when it ended",
				Expected: fmt.Sprintf("%d records, %s", end.Journal.Records, end.Journal.Hash), Found: found})
		}
		found, err = a.planInstead(ctx, end)
		if err != nil {
			return nil, err
		}
		if found != "" {
			out = append(out, audit.Finding{Record: end.Seq, What: "the plan of " + end.Execution + " is not the one that was carried out",
				Expected: end.Plan, Found: found})
		}
	}
	return out, nil
}

// planInstead returns what is kept as the plan of an execution that ended where that is not the plan that the log names, "" where it is.
func (a *App) planInstead(ctx context.Context, end audit.Record) (found string, err error) {
	e, err := a.Store.Execution(ctx, end.Execution)
	if err == nil {
		if e.PlanHash != end.Plan {
			return e.PlanHash, nil
		}
		_, err = a.planOf(ctx, e)
	}
	switch astern.CodeOf(err) {
	case astern.NotFound, astern.Refused, astern.Invalid:
		return err.Error(), nil
	}
	return "", err
}

// Ends collects from a log the records of executions that ended, without those that were not done.
type Ends struct{ records []audit.Record }

// Add takes the next record.
func (e *Ends) Add(r audit.Record) {
	switch {
	case r.What == audit.Ended && r.Journal != nil:
		e.records = append(e.records, r)
	case r.What == audit.Failed:
		e.records = slices.DeleteFunc(e.records, func(end audit.Record) bool { return end.Seq == r.Of })
	}
}

// Records returns them, the last one of each execution.
func (e *Ends) Records() []audit.Record {
	last := map[string]int64{}
	for _, r := range e.records {
		last[r.Execution] = r.Seq
	}
	return slices.DeleteFunc(slices.Clone(e.records), func(r audit.Record) bool { return last[r.Execution] != r.Seq })
}
