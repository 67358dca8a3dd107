package demo

import (
	"context"
)

// tellFlagOff: a release that is bad in one feature only stays; astern switches the feature off.
func (d *demo) tellFlagOff(ctx context.Context) Story {
	d.timeline.chapter("Story 5, flag-off: %s brings express checkout, which fails; all else is well", expressRelease)
	return d.tell(ctx, flagOff, watched, switchOn, normalLoad, expressRollout, switchedOff, backToNormal, notLatched)
}

// switchOn switches the feature on, which no instance has yet.
func switchOn(_ context.Context, t *telling) error {
	t.timeline.say("the flag %s is switched on, for the release that comes", expressFlag)
	return t.shop.switchExpress("ENABLED")
}

// expressRollout deploys the release with the feature, and waits until astern has dealt with it.
func expressRollout(ctx context.Context, t *telling) error {
	if err := t.ships(ctx, expressRelease, "9d20c44", "express checkout"); err != nil {
		return err
	}
	return t.dealtWith(ctx, expressRelease)
}

// switchedOff finds out whether the flag is off and the release still there.
func switchedOff(ctx context.Context, t *telling) error {
	t.summary()
	state, err := t.shop.express()
	if err != nil {
		return err
	}
	t.find("the flag is off", state == "DISABLED", "%s is %s", expressFlag, state)
	t.runs("shop", expressRelease)
	changes := t.watch.since(t.noticed)
	t.find("no instance was touched", len(changes) == 0, "%d instances changed their release after it was noticed", len(changes))
	return t.executed(ctx, "production/features")
}

// notLatched shows that the release may go on.
func notLatched(ctx context.Context, t *telling) error {
	return t.exits(ctx, 0, "may", "deploy", "shop", expressRelease)
}
