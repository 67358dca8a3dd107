package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/notice"
)

// sweepEvery is how often everything is looked through for what was not queued: what a process did not queue because it was
// killed, holds of executions that nobody carries out, and what became overdue.
const sweepEvery = time.Minute

// lateFor is how long after it became late something is still told, where nothing looked: longer than of what happened, because
// it is late until it is done.
const lateFor = 7 * 24 * time.Hour

// slack is how much earlier than it is written something may say that it happened.
const slack = time.Minute

// sweep queues what is owed, when it is time.
func (a *App) sweep(ctx context.Context) error {
	now := a.Now()
	if !a.post.unqueued.Load() && !a.post.swept.IsZero() && now.Sub(a.post.swept).Abs() < sweepEvery {
		return nil
	}
	since, err := a.Store.Subscribe(ctx, a.subscriptions(), now)
	if err != nil {
		return err
	}
	a.post.unqueued.Store(false)
	known, err := a.known(ctx, now.Add(-lateFor-notice.GiveUp))
	if err != nil {
		return err
	}
	all, err := a.owed(ctx, now.Add(-notice.GiveUp))
	if err != nil {
		return err
	}
	for _, n := range all {
		var missing []string
		for _, c := range a.System.Channels {
			from, ok := since[subscription(c)]
			if ok && !n.At.Before(from.Add(-slack)) && !known[[2]string{n.Token, c.Name}] && slices.Contains(notice.Route(a.System, n), c.Name) {
				missing = append(missing, c.Name)
			}
		}
		if len(missing) == 0 {
			continue
		}
		if err := a.Store.QueueNotice(ctx, a.stamped(n), missing, now); err != nil {
			a.post.unqueued.Store(true)
			return err
		}
	}
	a.post.swept = now
	return nil
}

// known are the tokens that are in the outbox, by channel.
func (a *App) known(ctx context.Context, since time.Time) (map[[2]string]bool, error) {
	all, err := a.Store.Dispatches(ctx, since)
	out := map[[2]string]bool{}
	for _, d := range all {
		out[[2]string{d.Notice.Token, d.Channel}] = true
	}
	return out, err
}

// owed returns everything that people are told of since a moment, as the state has it.
func (a *App) owed(ctx context.Context, since time.Time) ([]astern.Notice, error) {
	logs, err := a.Store.Incidents(ctx)
	if err != nil {
		return nil, err
	}
	var out []astern.Notice
	add := func(n astern.Notice, ok bool) {
		from := since
		if n.Event == astern.NoticeOverdue {
			from = a.Now().Add(-lateFor)
		}
		if ok && !n.At.Before(from) {
			out = append(out, n)
		}
	}
	incidents := folded(logs)
	for i, log := range logs {
		for _, t := range incidents[i].Overdue(a.Now()) {
			add(notice.OfTask(incidents[i], t), true)
		}
		for _, n := range notice.OfLog(log) {
			add(n.Notice, true)
		}
	}
	with := func(n astern.Notice, ok bool) { add(notice.Belongs(n, incidents), ok) }
	begun, err := a.owedOfExecutions(ctx, since, with)
	if err != nil {
		return nil, err
	}
	err = a.owedOfPlans(ctx, since, begun, with)
	slices.SortStableFunc(out, func(x, y astern.Notice) int { return x.At.Compare(y.At) })
	return out, err
}

// owedOfExecutions adds what is told of executions that are open or have ended since. It returns which plans have begun: they
// ask for nobody any more.
func (a *App) owedOfExecutions(ctx context.Context, since time.Time, add func(astern.Notice, bool)) (begun map[string]bool, err error) {
	all, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return nil, err
	}
	begun = map[string]bool{}
	for _, e := range all {
		begun[e.PlanHash] = true
		if e.EndedAt != nil && e.EndedAt.Before(since) {
			continue
		}
		p, err := a.noticePlan(ctx, e.PlanHash)
		if err != nil {
			return nil, err
		}
		add(notice.OfBegin(p, e))
		if e.EndedAt != nil {
			add(notice.OfEnd(p, e.ID, astern.Record{At: *e.EndedAt, Outcome: e.Outcome}), true)
			continue
		}
		l, err := a.load(ctx, e.ID)
		if err != nil {
			return nil, err
		}
		n, ok := a.holdOf(l)
		if !ok {
			n, ok = a.lostOf(ctx, l)
		}
		add(n, ok)
	}
	return begun, nil
}

// lostOf is what is told of an execution that nobody carries out, though it could go on.
func (a *App) lostOf(ctx context.Context, l loaded) (n astern.Notice, ok bool) {
	id := l.execution.ID
	r, taken, err := a.Store.Runner(ctx, id)
	if err != nil || taken && a.lives(r) || !taken && a.Now().Sub(l.execution.CreatedAt).Abs() < takeTime || l.fold.Paused() {
		return n, false
	}
	at := l.execution.CreatedAt
	if last := len(l.records) - 1; last >= 0 {
		at = l.records[last].At
	}
	return notice.OfHold(planOf(l), id, fmt.Sprintf("lost/%d", len(l.records)), at, []string{"nothing carries it out: its process is gone"},
		[]string{"astern resume " + id, "astern cancel " + id}), true
}

// owedOfPlans adds plans that wait for approvals, and broken glasses with their reviews.
func (a *App) owedOfPlans(ctx context.Context, since time.Time, begun map[string]bool, add func(astern.Notice, bool)) error {
	all, err := a.Store.Overrides(ctx)
	if err != nil {
		return err
	}
	for _, o := range all {
		late := o.ReviewedAt == nil && a.Now().After(o.ReviewDue)
		if o.At.Before(since) && !late {
			continue
		}
		p, err := a.noticePlan(ctx, o.PlanHash)
		if err != nil {
			return err
		}
		add(notice.OfOverride(p, o), true)
		add(notice.OfLateReview(p, o), late)
	}
	docs, err := a.Store.RecentPlans(ctx, since)
	if err != nil {
		return err
	}
	for hash, doc := range docs {
		p, err := notice.ReadPlan(hash, doc)
		if err != nil {
			return err
		}
		if n, ok := notice.OfPlan(p); ok && !begun[hash] {
			add(n, true)
		}
	}
	return nil
}
