package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// tellBadRelease: a release that fails some requests and slows others is brought back in two waves; astern is killed
// between them, and finishes what it began.
func (d *demo) tellBadRelease(ctx context.Context) Story {
	d.timeline.chapter("Story 1, bad-release: %s of the shop fails some orders and slows others", badRelease)
	return d.tell(ctx, "bad-release", recordGood, normalLoad, forward, badDeployment, look, rollbackKilled, backToNormal, latched)
}

// recordGood tells astern what runs, and that it is good.
func recordGood(ctx context.Context, t *telling) error {
	t.timeline.say("%s of all services runs; astern is told so", goodRelease)
	for _, service := range []string{"stock", "payment", "shop"} {
		if err := t.must(ctx, "record", "deploy", service, goodRelease, "--commit", "a81b7d0", "--reason", "monthly release"); err != nil {
			return err
		}
		if err := t.must(ctx, "record", "known-good", service, goodRelease, "--reason", "served a month"); err != nil {
			return err
		}
	}
	flags, err := t.shop.flagsRevision()
	if err != nil {
		return err
	}
	if err := t.must(ctx, "record", "deploy", "features", flags, "--reason", "as they are"); err != nil {
		return err
	}
	t.goodMoment = time.Now().Truncate(time.Second).Add(time.Second).UTC() // while the load is measured
	return nil
}

// forward has astern itself take the stock forward, without which the new shop can't work.
func forward(ctx context.Context, t *telling) error {
	if err := t.must(ctx, "deploy", "stock", badRelease, "--yes", "--reason", "reservations"); err != nil {
		return err
	}
	t.runs("stock", badRelease)
	return t.exits(ctx, 0, "may", "deploy", "shop", badRelease)
}

// look asks astern what is wrong and where the shop can go back to.
func look(ctx context.Context, t *telling) error {
	if err := t.exits(ctx, 4, "check"); err != nil {
		return err
	}
	return t.exits(ctx, 0, "targets", "shop")
}

// rollbackKilled starts the rollback, kills astern while the first wave bakes, and has it resume.
func rollbackKilled(ctx context.Context, t *telling) error {
	asked := time.Now()
	p, err := t.astern.start(ctx, "rollback", "shop", "--to", goodRelease, "--percent", "50", "--bake", "4s", "--yes", "--reason", "orders fail")
	if err != nil {
		return err
	}
	id, err := t.killBetweenWaves(ctx, p)
	if err != nil {
		return err
	}
	killed := time.Now()
	t.timeline.say("astern is killed with SIGKILL in the middle of it; the shop now: %s", t.shop.versions("shop"))
	back := 0
	for _, in := range t.shop.service("shop").Instances {
		if t.shop.version(in) == goodRelease {
			back++
		}
	}
	t.find("half of the shop is back when astern is killed", back == 1, "%s", t.shop.versions("shop"))
	if _, err := t.astern.run(ctx, "show", id); err != nil {
		return err
	}
	t.stage("rollback, until astern is killed", asked, killed)
	resumed := time.Now()
	if err := t.exits(ctx, 0, "resume", id); err != nil {
		return err
	}
	t.proven = time.Now()
	t.stage("rollback, resumed", resumed, t.proven)
	t.runs("shop", goodRelease)
	t.runs("stock", badRelease)
	return t.phases(ctx, id, "production/shop")
}

// killBetweenWaves waits until the execution of p stands between two waves, kills p and returns the execution's id.
func (t *telling) killBetweenWaves(ctx context.Context, p *process) (string, error) {
	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 1)
	go func() { // ends with p; every way out of here waits for it
		code, err := p.wait(ctx)
		ended <- end{code, err}
	}()
	id, seen := "", 0
	var last error
	wait := until(ctx, 45*time.Second, "astern bakes the first wave", func() bool {
		if len(ended) > 0 {
			return true
		}
		if id == "" {
			if id, last = t.astern.execution(ctx); id == "" {
				return false
			}
		}
		var s shown
		if s, last = t.astern.show(ctx, id); last != nil || !s.bakes() {
			seen = 0
			return false
		}
		seen++
		return seen >= 2 // twice, so that it is in the midst of it
	})
	select {
	case e := <-ended:
		if e.err != nil {
			return "", e.err
		}
		if last != nil {
			return "", fmt.Errorf("the rollback ended with exit code %d before it could be killed: %w", e.code, last)
		}
		return "", fmt.Errorf("the rollback ended with exit code %d before it could be killed", e.code)
	default:
	}
	err := p.kill()
	<-ended
	switch {
	case wait != nil && last != nil:
		return "", fmt.Errorf("%w (%w)", wait, last)
	case wait != nil:
		return "", wait
	}
	return id, err
}

// phases reads where the time went, and finds out whether the execution is done, and was of these components.
func (t *telling) phases(ctx context.Context, id string, addresses ...string) error {
	s, err := t.astern.show(ctx, id)
	if err != nil {
		return err
	}
	t.story.Phases = s.Phases
	t.find("the execution is done", s.Execution.Outcome == "done", "%s is %s, outcome %q", id, s.State, s.Execution.Outcome)
	slices.Sort(s.Execution.Addresses)
	t.find("one execution did it", slices.Equal(s.Execution.Addresses, addresses), "%s: %s", id, strings.Join(s.Execution.Addresses, ", "))
	return nil
}

// latched shows that the bad release can't come back by itself.
func latched(ctx context.Context, t *telling) error {
	return t.exits(ctx, 3, "may", "deploy", "shop", badRelease)
}
