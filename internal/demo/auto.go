package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

const theShop = "production/shop"

// The names of the stories in which astern watches; their reports are named like them.
const (
	autoRollback = "auto-rollback"
	flagOff      = "flag-off"
	notOurs      = "not-ours"
)

// How long astern may take in the stories in which it watches.
const (
	quietTime   = 80 * time.Second // before the first deployment: what the judge compares with
	noticeLimit = 60 * time.Second
	actLimit    = 20 * time.Second
	proveLimit  = 90 * time.Second
	// The judge needs some seconds of health until it says that nothing is worse any more.
	resolveLimit = 60 * time.Second
)

// tellAutoRollback: a release that is bad everywhere goes out to all instances, and nobody does anything: astern notices,
// goes back and proves it. The story has begun with the quiet time.
func (t *telling) tellAutoRollback(ctx context.Context) Story {
	t.timeline.chapter("Story 4, auto-rollback: %s goes out to all instances, and nobody does anything", badRelease)
	t.carry(ctx, watched, nothingNoticed, normalLoad, badRollout, wentBack, backToNormal, latched)
	return t.end(ctx)
}

// reservations has CI take the stock forward, without which the new shop can't work.
func reservations(ctx context.Context, t *telling) error {
	if err := t.shop.deploy(ctx, "stock", badRelease); err != nil {
		return err
	}
	for _, args := range [][]string{{"record", "deploy", "stock", badRelease, "--reason", "reservations"}, {"record", "known-good", "stock", badRelease, "--reason", "served a week"}} {
		if err := t.must(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// quietBegins has astern watch: from now on nothing happens in the shop for a while.
func quietBegins(ctx context.Context, t *telling) error {
	t.shop.site.Watch = longWatch
	if err := t.shop.declare(); err != nil {
		return err
	}
	began := time.Now()
	if err := t.startVigil(ctx); err != nil {
		return err
	}
	if _, err := t.says(ctx, 20*time.Second, began.Truncate(time.Second), watching, theShop); err != nil {
		return err
	}
	t.quietSince = began
	t.timeline.say("for %.0f s nothing happens in this second shop: that is what a release will be compared with", quietTime.Seconds())
	return nil
}

// watched waits for what is left of the quiet time.
func watched(ctx context.Context, t *telling) error {
	if t.vigil == nil {
		return astern.Errorf(astern.Internal, "astern does not watch")
	}
	rest := quietTime - time.Since(t.quietSince)
	err := until(ctx, max(rest, 0)+5*time.Second, "nothing happens", func() bool { return time.Since(t.quietSince) >= quietTime || t.vigil.over() != nil })
	if err != nil {
		return err
	}
	return t.vigil.over()
}

// nothingNoticed finds out whether astern kept quiet in the quiet time.
func nothingNoticed(_ context.Context, t *telling) error {
	words := t.vigil.since(t.quietSince, noticed, acted)
	t.find("nothing is noticed while nothing happens", len(words) == 0, "%s", heard(words))
	return nil
}

// badRollout deploys the bad release, and waits until astern has dealt with it.
func badRollout(ctx context.Context, t *telling) error {
	if err := t.ships(ctx, badRelease, "3f1c9ae", "reservations"); err != nil {
		return err
	}
	return t.dealtWith(ctx, badRelease)
}

// dealtWith waits until astern has noticed the fault of a release, acted on it and proven that it is over, and finds out
// whether it did so for a reason that holds.
func (t *telling) dealtWith(ctx context.Context, revision string) error {
	first, err := t.says(ctx, noticeLimit, t.fault, noticed, theShop)
	if err != nil {
		return err
	}
	t.hasNoticed(first)
	act, err := t.says(ctx, actLimit, t.fault, acted, theShop)
	if err != nil {
		return err
	}
	plans := t.vigil.since(t.fault, decided)
	if i := slices.IndexFunc(plans, func(s spoken) bool { return s.Address == theShop && s.Plan != "" }); i >= 0 {
		t.story.Incident.PlannedSeconds = plans[i].At.Sub(t.fault).Seconds()
	}
	end, err := t.says(ctx, proveLimit, act.At, proven, theShop)
	if err != nil {
		return err
	}
	s, err := t.astern.show(ctx, act.Execution)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(s.Records, func(r astern.Record) bool { return r.Kind == astern.RecordIntent }); i >= 0 {
		t.story.Incident.FirstStepSeconds = s.Records[i].At.Sub(t.fault).Seconds()
	}
	t.proven = end.At
	t.story.Incident.ProvenSeconds = end.At.Sub(t.fault).Seconds()
	t.stage("until astern has proven the recovery", t.noticed, t.proven)
	over, err := t.says(ctx, resolveLimit, act.At, resolved, theShop)
	if err != nil {
		return err
	}
	t.story.Incident.ResolvedSeconds = over.At.Sub(t.fault).Seconds()
	in, err := t.opened(ctx, first.Incident)
	if err != nil {
		return err
	}
	blamed := in.Cause != nil && in.Cause.Address == theShop && in.Cause.Revision == revision
	t.find("astern blames the deployment", blamed, "%s", causeOf(in))
	last := in.Decisions[len(in.Decisions)-1]
	t.find("it acted by itself, and says why", last.Act == astern.ActAutomatic && last.Because != "", "%s: %s", last.Act, last.Because)
	t.find("it acted once", len(in.Executions) == 1 && in.Executions[0] == act.Execution, "%s", strings.Join(in.Executions, ", "))
	t.find("the incident is over", in.ResolvedAt != nil, "%s", in.ID)
	t.reported(ctx, in)
	return nil
}

// hasNoticed notes when astern noticed a fault.
func (t *telling) hasNoticed(s spoken) {
	t.noticed = s.At
	t.story.NoticeSeconds = s.At.Sub(t.fault).Seconds()
	t.story.Incident = &Incident{ID: s.Incident, NoticedSeconds: t.story.NoticeSeconds}
	t.stage(during, t.fault, t.noticed)
}

// opened returns the incident that the watch spoke of.
func (t *telling) opened(ctx context.Context, id string) (astern.Incident, error) {
	if id == "" {
		return astern.Incident{}, fmt.Errorf("astern opened no incident")
	}
	if err := t.exits(ctx, 0, "show", id); err != nil {
		return astern.Incident{}, err
	}
	in, err := t.astern.incident(ctx, id)
	if err != nil {
		return in, err
	}
	if len(in.Decisions) == 0 {
		return in, fmt.Errorf("no decision stands in %s", id)
	}
	t.story.Incident.Because = in.Decisions[len(in.Decisions)-1].Because
	return in, nil
}

// reported writes the incident's report, and finds out whether it shows what happened.
func (t *telling) reported(ctx context.Context, in astern.Incident) {
	file := filepath.Join(t.reports, t.story.Name+".html")
	if err := t.exits(ctx, 0, "report", in.ID, "-o", "html", "--out", file); err != nil {
		t.find("the report can be written", false, "%v", err)
		return
	}
	text, err := os.ReadFile(file)
	graphs := bytes.Count(text, []byte("<svg"))
	t.find("the report shows the signals", err == nil && graphs > 0, "%d graphs in %d bytes", graphs, len(text))
	t.story.Incident.Report = file
	t.timeline.say("the report of %s: %s", in.ID, file)
}

func causeOf(in astern.Incident) string {
	if in.Cause == nil {
		return "no change is blamed"
	}
	return in.Cause.Address + " " + in.Cause.Revision
}

// wentBack finds out, from what was seen from outside, when the shop was back.
func wentBack(ctx context.Context, t *telling) error {
	in := t.story.Incident
	for _, c := range t.watch.since(t.noticed) {
		if c.service != "shop" || c.version != goodRelease {
			continue
		}
		at := c.at.Sub(t.fault).Seconds()
		if in.FirstBackSeconds == 0 {
			in.FirstBackSeconds = at
		}
		in.AllBackSeconds = at
	}
	t.summary()
	t.runs("shop", goodRelease)
	t.runs("stock", badRelease)
	t.find("the instances went back one after the other", in.AllBackSeconds > in.FirstBackSeconds && in.FirstBackSeconds > 0,
		"the first %.1f s, the last %.1f s after the fault", in.FirstBackSeconds, in.AllBackSeconds)
	return t.executed(ctx, theShop)
}

// summary says when what happened, and what it cost the customers.
func (t *telling) summary() {
	f := t.load.Between(t.fault, t.proven)
	t.timeline.say("%s; %d of %d requests failed from the fault to the proof", t.story.Incident, f.Failed, f.Total)
}

// executed reads where the time of the incident's execution went.
func (t *telling) executed(ctx context.Context, address string) error {
	in, err := t.astern.incident(ctx, t.story.Incident.ID)
	if err != nil {
		return err
	}
	if len(in.Executions) == 0 {
		return fmt.Errorf("no execution stands in %s", in.ID)
	}
	return t.phases(ctx, in.Executions[0], address)
}

// heard lists what the watch said, for a person.
func heard(words []spoken) string {
	if len(words) == 0 {
		return "nothing was said"
	}
	var out []string
	for _, s := range words {
		out = append(out, s.Address+" "+s.Kind+": "+s.Text)
	}
	return strings.Join(out, "; ")
}
