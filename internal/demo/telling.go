package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/astern-dev/astern/examples/webshop/load"
)

// What counts as a fault that anybody would notice, and as back to normal, in percent of failed requests.
const (
	noticeable = 2.0
	normal     = 0.5
)

// measured is how long the load is looked at before the fault and after the recovery.
const measured = 3 * time.Second

// telling is one story while it is told.
type telling struct {
	*demo
	story  Story
	failed bool // a part of it could not be carried out
	// astern runs where the story happens: in the shop's folder, or beside the account in AWS.
	astern *asternCommand
	cloud  *cloud // nil in the stories of the shop
	// released is when the bad release went out to the cloud.
	released time.Time
	// fault is when the first instance ran the bad release, noticed when the load showed it, proven when astern had
	// proven the recovery.
	fault, noticed, proven time.Time
	// before are the executions that there were before the fault.
	before []string
}

// tell tells a story by carrying out its parts in order, and judges it by what was found.
func (d *demo) tell(ctx context.Context, name string, parts ...func(context.Context, *telling) error) Story {
	t := d.begin(name)
	t.carry(ctx, parts...)
	return t.end(ctx)
}

// begin begins a story.
func (d *demo) begin(name string) *telling {
	return &telling{demo: d, story: Story{Name: name, Stages: []Stage{}}, astern: d.astern}
}

// carry carries out parts of a story in order; after one that failed none is carried out.
func (t *telling) carry(ctx context.Context, parts ...func(context.Context, *telling) error) {
	for _, part := range parts {
		if t.failed {
			return
		}
		if err := part(ctx, t); err != nil {
			t.failed = true
			t.find("the story was told to its end", false, "%v", err)
		}
	}
}

// end judges a story by what was found.
func (t *telling) end(ctx context.Context) Story {
	t.settle(ctx)
	if !t.fault.IsZero() && !t.proven.IsZero() {
		t.story.TotalSeconds = t.proven.Sub(t.fault).Seconds()
		t.story.Requests = t.load.Between(t.fault, t.proven)
	}
	t.story.OK = len(t.story.Findings) > 0
	for _, f := range t.story.Findings {
		t.story.OK = t.story.OK && f.OK
	}
	return t.story
}

// find notes one thing that has to be so, and what was seen.
func (t *telling) find(what string, ok bool, format string, args ...any) {
	f := Finding{What: what, OK: ok, Saw: fmt.Sprintf(format, args...)}
	t.story.Findings = append(t.story.Findings, f)
	if !ok {
		t.timeline.say("NOT AS IT SHOULD BE: %s: %s", f.What, f.Saw)
	}
}

// exits runs a command and finds out whether it exits as it should.
func (t *telling) exits(ctx context.Context, want int, args ...string) error {
	code, err := t.astern.run(ctx, args...)
	if err != nil {
		return err
	}
	t.exited(args, code, want)
	return nil
}

func (t *telling) exited(args []string, code, want int) {
	if code != 0 {
		t.timeline.say("exit code %d", code)
	}
	// The flags are in the timeline; what is found needs no more than the command.
	n := 0
	for n < len(args) && !strings.HasPrefix(args[n], "-") {
		n++
	}
	t.find("astern "+typed(args[:n])+fmt.Sprintf(" exits with %d", want), code == want, "exit code %d", code)
	t.story.Findings[len(t.story.Findings)-1].command = true
}

// must runs a command without which the story can't go on.
func (t *telling) must(ctx context.Context, args ...string) error {
	if err := t.exits(ctx, 0, args...); err != nil {
		return err
	}
	if last := t.story.Findings[len(t.story.Findings)-1]; !last.OK {
		return fmt.Errorf("it can't go on without: %s", last.What)
	}
	return nil
}

// runs finds out whether every instance of the service says that it runs the release.
func (t *telling) runs(service, revision string) {
	t.find("every "+service+" runs "+revision, t.shop.all(service, revision), "%s", t.shop.versions(service))
}

// The parts of a story that are compared with each other.
const (
	before = "before the fault"
	during = "fault, until it is noticed"
	after  = "after the recovery"
)

// settle waits until every customer of the story has an answer, and then counts all parts anew.
func (t *telling) settle(ctx context.Context) {
	now := time.Now()
	err := until(ctx, patience+5*time.Second, "every customer has an answer", func() bool { return t.load.Settled(now) })
	if err != nil {
		t.find("every request is counted", false, "%v", err)
	}
	for i := range t.story.Stages {
		s := &t.story.Stages[i]
		s.Requests = t.load.Between(s.from, s.to)
		switch p := s.Requests.FailedPercent(); s.What {
		case before:
			t.story.FailedPercent.Before = p
		case during:
			t.story.FailedPercent.During = p
		case after:
			t.story.FailedPercent.After = p
		}
	}
}

// stage notes one part of the story, and says what its load was so far.
func (t *telling) stage(what string, from, to time.Time) load.Figures {
	f := t.load.Between(from, to)
	t.story.Stages = append(t.story.Stages, Stage{What: what, Seconds: to.Sub(from).Seconds(), Requests: f, from: from, to: to})
	t.timeline.say("%s: %d requests in %.1f s, %d lost (%.1f %%), %d slow", what, f.Total, to.Sub(from).Seconds(), f.Failed,
		f.FailedPercent(), f.Slow)
	return f
}

// normalLoad measures the load while nothing is wrong.
func normalLoad(ctx context.Context, t *telling) error {
	from := time.Now()
	if err := until(ctx, 2*measured, "the load is measured", func() bool { return time.Since(from) >= measured }); err != nil {
		return err
	}
	t.stage(before, from, time.Now())
	return nil
}

// badDeployment deploys the bad release of the shop by a CI job that only tells astern what it did, and waits until the
// load shows that something is wrong.
func badDeployment(ctx context.Context, t *telling) error {
	if err := t.ships(ctx, badRelease, "3f1c9ae", "reservations"); err != nil {
		return err
	}
	err := until(ctx, 20*time.Second, "the load shows the fault", func() bool {
		f := t.load.Between(t.fault, time.Now())
		return f.Total >= 2*customersPerSecond && f.FailedPercent() >= noticeable
	})
	if err != nil {
		return err
	}
	t.noticed = time.Now()
	t.story.NoticeSeconds = t.noticed.Sub(t.fault).Seconds()
	t.stage(during, t.fault, t.noticed)
	return nil
}

// ships deploys a release of the shop to all its instances by a CI job that only tells astern what it did. The fault begins
// with the first instance that runs it.
func (t *telling) ships(ctx context.Context, revision, commit, reason string) error {
	began := time.Now()
	t.timeline.say("CI deploys shop %s, and records it", revision)
	if err := t.shop.deploy(ctx, "shop", revision); err != nil {
		return err
	}
	if err := t.must(ctx, "record", "deploy", "shop", revision, "--commit", commit, "--reason", reason); err != nil {
		return err
	}
	t.fault = began
	for _, c := range t.watch.since(began) {
		if c.service == "shop" && c.version == revision {
			t.fault = c.at
			break
		}
	}
	return nil
}

// backToNormal measures the load after the recovery and looks for what was left over.
func backToNormal(ctx context.Context, t *telling) error {
	from, to := t.proven, t.proven.Add(measured)
	err := until(ctx, measured+patience+5*time.Second, "the load is measured", func() bool { return time.Now().After(to) && t.load.Settled(to) })
	if err != nil {
		return err
	}
	f, fault := t.stage(after, from, to), t.load.Between(t.fault, t.noticed)
	t.find("the load is back to normal", f.Total > 0 && f.FailedPercent() < normal && f.FailedPercent() < fault.FailedPercent(),
		"%.1f %% of %d requests failed, %.1f %% before the recovery", f.FailedPercent(), f.Total, fault.FailedPercent())
	// What has just ended may still be in the table of processes.
	left := ""
	_ = until(ctx, 2*time.Second, "nothing is left over", func() bool { left = t.shop.leftOver(); return left == "" }) // judged below
	if left == "" {
		t.find("no process is left over", true, "the shop's instances and the balancer, nothing else")
	} else {
		t.find("no process is left over", false, "%s", left)
	}
	return nil
}
