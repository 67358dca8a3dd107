package demo

import (
	"context"
	"fmt"
	"time"
)

// tellWholeSystem: after further changes, both services are taken back to how they were at an earlier time, as one plan
// in the order of their dependencies.
func (d *demo) tellWholeSystem(ctx context.Context) Story {
	d.timeline.chapter("Story 2, whole-system: back to how everything was at an earlier time")
	return d.tell(ctx, "whole-system", release, normalLoad, badDeployment, rollbackAll, backToNormal)
}

// release lifts the latch of story 1, with a reason.
func release(ctx context.Context, t *telling) error {
	if t.goodMoment.IsZero() {
		return fmt.Errorf("story 1 did not get far enough")
	}
	if err := t.must(ctx, "latch", "release", "shop", badRelease, "--reason", "the fault is said to be fixed by a setting"); err != nil {
		return err
	}
	return t.must(ctx, "may", "deploy", "shop", badRelease)
}

// rollbackAll takes both services back, and finds out in which order it happened.
func rollbackAll(ctx context.Context, t *telling) error {
	asked := time.Now()
	p, err := t.astern.start(ctx, "rollback", "--all", "--to", t.goodMoment.Format(time.RFC3339), "--yes", "--reason", "the setting did not help")
	if err != nil {
		return err
	}
	id := ""
	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 1)
	go func() { // ends with p, which is waited for below
		code, err := p.wait(ctx)
		ended <- end{code, err}
	}()
	// The execution's id is known while it runs.
	_ = until(ctx, commandLimit, "the rollback runs", func() bool {
		id, _ = t.astern.execution(ctx) // asked again
		return id != "" || len(ended) > 0
	}) // the rollback's own end tells more
	e := <-ended
	if e.err != nil {
		return e.err
	}
	t.proven = time.Now()
	t.exited([]string{"rollback", "--all"}, e.code, 0)
	t.stage("rollback of both", asked, t.proven)
	t.runs("shop", goodRelease)
	t.runs("stock", goodRelease)
	t.inOrder(asked)
	if id == "" {
		return fmt.Errorf("the execution could not be found while it ran")
	}
	return t.phases(ctx, id, "production/shop", "production/stock")
}

// inOrder finds out, from what was seen from outside, whether the shop went back before the stock that it needs.
func (t *telling) inOrder(since time.Time) {
	var shopLast, stockFirst time.Time
	for _, c := range t.watch.since(since) {
		switch {
		case c.version != goodRelease:
		case c.service == "shop":
			shopLast = c.at
		case c.service == "stock" && stockFirst.IsZero():
			stockFirst = c.at
		}
	}
	if shopLast.IsZero() || stockFirst.IsZero() {
		t.find("the shop went back before the stock that it needs", false, "not both of them changed")
		return
	}
	t.find("the shop went back before the stock that it needs", shopLast.Before(stockFirst),
		"the last shop %.1f s after the question, the first stock %.1f s", shopLast.Sub(since).Seconds(), stockFirst.Sub(since).Seconds())
}
