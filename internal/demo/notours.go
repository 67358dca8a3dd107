package demo

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/astern-dev/astern"
)

// tellNotOurs: something that the shop needs dies, and no release is to blame: astern tells, and leaves everything alone.
func (d *demo) tellNotOurs(ctx context.Context) Story {
	d.timeline.chapter("Story 6, not-ours: the payment dies, and nothing was changed")
	return d.tell(ctx, notOurs, watched, stoodWatch, normalLoad, paymentDies, leftAlone, paymentBack, quietAgain)
}

// stoodWatch waits until the release of the story before is known-good: nothing is to be judged any more.
func stoodWatch(ctx context.Context, t *telling) error {
	_, err := t.says(ctx, resolveLimit, time.Time{}, good, theShop, expressRelease)
	return err
}

// paymentDies kills the payment without a warning.
func paymentDies(ctx context.Context, t *telling) error {
	before, err := t.astern.carriedOut(ctx)
	if err != nil {
		return err
	}
	t.before = before
	pid, err := t.shop.pid("payment", "payment-1")
	if err != nil {
		return err
	}
	t.timeline.say("the payment is killed")
	t.fault = time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return astern.Errorf(astern.Internal, "killing the payment: %w", err)
	}
	s, err := t.says(ctx, noticeLimit, t.fault, noticed, theShop)
	if err != nil {
		return err
	}
	t.hasNoticed(s)
	_, err = t.says(ctx, actLimit, t.fault, decided, theShop)
	return err
}

// patienceWithFault is how long the fault goes on after astern has decided to do nothing.
const patienceWithFault = 6 * time.Second

// leftAlone finds out whether astern told of the fault, and did nothing.
func leftAlone(ctx context.Context, t *telling) error {
	from := time.Now()
	err := until(ctx, patienceWithFault+5*time.Second, "the fault goes on", func() bool { return time.Since(from) >= patienceWithFault })
	if err != nil {
		return err
	}
	t.stage("while astern leaves it alone", t.noticed, time.Now())
	in, err := t.opened(ctx, t.story.Incident.ID)
	if err != nil {
		return err
	}
	t.find("no change is blamed", in.Cause == nil, "%s", causeOf(in))
	last := in.Decisions[len(in.Decisions)-1]
	t.find("astern tells, and says why it does nothing", last.Act == astern.ActTell && strings.Contains(last.Because, "payment"),
		"%s: %s", last.Act, last.Because)
	words := t.vigil.since(t.fault, acted)
	t.find("astern does not act", len(words) == 0 && len(in.Executions) == 0, "%s", heard(words))
	now, err := t.astern.carriedOut(ctx)
	if err != nil {
		return err
	}
	t.find("nothing is carried out", slices.Equal(now, t.before), "%d executions before and %d after", len(t.before), len(now))
	changes := t.watch.since(t.fault)
	t.find("no instance was touched", len(changes) == 0, "%d instances changed their release", len(changes))
	t.runs("shop", expressRelease)
	return nil
}

// paymentBack starts the payment, as those whose it is do, and waits until customers are served.
func paymentBack(ctx context.Context, t *telling) error {
	t.timeline.say("those who run the payment start it again")
	if err := t.shop.ctl(ctx, t.shop.service("payment"), "start", "payment-1"); err != nil {
		return err
	}
	err := until(ctx, 20*time.Second, "orders are paid", func() bool {
		now := time.Now()
		f := t.load.Between(now.Add(-2*time.Second), now)
		return f.Total >= customersPerSecond && f.FailedPercent() < normal+0.1 && t.shop.all("payment", goodRelease)
	})
	if err != nil {
		return err
	}
	t.proven = time.Now()
	t.timeline.say("%s; customers are served again after %.1f s", t.story.Incident, t.proven.Sub(t.fault).Seconds())
	return nil
}

// settleTime is how long the watch may go on to speak of a fault that is over.
const settleTime = 3 * time.Second

// quietAgain finds out whether astern has nothing more to say, and a person closes the incident.
func quietAgain(ctx context.Context, t *telling) error {
	if err := backToNormal(ctx, t); err != nil {
		return err
	}
	quiet := t.proven.Add(settleTime)
	err := until(ctx, 3*settleTime, "it is quiet", func() bool { return time.Now().After(quiet.Add(settleTime)) })
	if err != nil {
		return err
	}
	words := t.vigil.since(quiet, noticed, decided, acted)
	t.find("it is quiet again", len(words) == 0, "%s", heard(words))
	in, err := t.astern.incident(ctx, t.story.Incident.ID)
	if err != nil {
		return err
	}
	if in.ResolvedAt == nil {
		if err := t.exits(ctx, 0, "incidents", "resolve", in.ID, "--reason", "the payment runs again"); err != nil {
			return err
		}
	}
	t.reported(ctx, in)
	v := t.vigil
	t.endVigil()
	t.find("astern watch ends when it is asked to", v.err == nil && v.code == 0, "exit code %d", v.code)
	return nil
}
