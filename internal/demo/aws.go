package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/examples/rastup"
	"github.com/astern-dev/astern/examples/rastup/account"
)

const awsRelease = "aws-release"

// The components of the story.
const (
	theFunction = "production/search-indexer"
	theFrontend = "production/frontend"
)

// Where astern is told that it is production, and by whose leave.
var (
	inProduction = []string{"-e", "production"}
	onCall       = []string{"--severity", "SEV-3", "--watch", "1s", "--yes"}
)

// awsStory is the story of an account in AWS, as far as there can be one on this machine. What is about to expire is seen in time;
// then a function and a front end are bad at once, and go back by one plan. The account is made while other stories are told.
type awsStory struct {
	*telling
	made chan struct{} // closed when the account is there
	down bool
}

// beginAWS begins the story, as a part of the demo whose shop the others are about. The caller must end it.
func (d *demo) beginAWS(ctx context.Context) *awsStory {
	s := &awsStory{d.begin(awsRelease), make(chan struct{}), false}
	c, err := newCloud(d.folder+"-aws", d.source)
	s.cloud, s.astern = c, &asternCommand{program: d.astern.program, shop: c, timeline: d.timeline}
	if err != nil {
		s.find("there is a folder for the account", false, "%v", err)
		s.failed, s.down = true, true
		close(s.made)
		return s
	}
	go func() { // tellAWSRelease and endLab wait for it
		s.carry(ctx, accountMade)
		close(s.made)
	}()
	return s
}

// tellAWSRelease tells the rest of the story.
func (s *awsStory) tellAWSRelease(ctx context.Context) Story {
	s.timeline.chapter("Story 3, aws-release: in AWS, a bad function and a bad front end at once, and an image that is about to expire")
	<-s.made
	s.carry(ctx, accountKnown, imageExpires, imageKept, badInTheCloud, cloudFlagOff, cloudBack, cloudProven, monthLater, audited, labDown)
	if err := s.endLab(ctx); err != nil {
		s.find("the lab ends", false, "%v", err)
	}
	return s.end(ctx)
}

// endLab ends what was started, also after Ctrl-C and where the story ended early or was never told.
func (s *awsStory) endLab(ctx context.Context) error {
	<-s.made
	if s.down {
		return nil
	}
	s.down = true
	_, err := s.astern.ask(context.WithoutCancel(ctx), "lab", "down")
	for _, p := range marked(s.cloud.folder) {
		err = errors.Join(err, fmt.Errorf("process %d was left over and is killed: %s", p.pid, p.command), syscall.Kill(p.pid, syscall.SIGKILL))
	}
	return err
}

// accountMade starts the lab, and makes the account.
func accountMade(ctx context.Context, t *telling) error {
	began := time.Now()
	if err := t.must(ctx, "lab", "up"); err != nil {
		return err
	}
	out, err := t.astern.ask(ctx, "lab", "up", "-o", "json") // it is up already, and says where
	if err != nil {
		return err
	}
	up, err := decode[labUp]("astern lab up", out)
	if err != nil {
		return err
	}
	t.cloud.url = up.Lab.URL
	if t.cloud.account, err = account.Make(ctx, up.Lab.URL, t.cloud.source); err != nil {
		return err
	}
	t.timeline.say("in the account, %s: the service %s runs %s, the function %s and the front end are %s, behind CloudFront %s (made in %.1f s)", rastup.Region,
		account.Service, account.Good, account.Function, account.Good, t.cloud.account.Distribution, time.Since(began).Seconds())
	return nil
}

// accountKnown has astern find what is in the account, and then work with the declaration of examples/rastup.
func accountKnown(ctx context.Context, t *telling) error {
	if err := t.exits(ctx, 0, "init", "--dry-run", "aws:"+rastup.Region); err != nil {
		return err
	}
	t.timeline.say("examples/rastup/astern.yaml declares the same by hand, with policy and checks")
	if err := t.cloud.declare(); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"validate"},
		{"init"},
		{"deploy", "frontend", account.Good, "-e", "staging", "--watch", "0s", "--yes", "--reason", "as CI uploaded it"},
		append(append([]string{"deploy", "frontend", account.Good}, inProduction...), append(onCall, "--reason", "as CI uploaded it")...),
		append([]string{"record", "known-good", "api", account.Service + ":1", "--reason", "served a month"}, inProduction...),
		append([]string{"record", "known-good", "search-indexer", account.Good, "--reason", "served a month"}, inProduction...),
		append([]string{"record", "known-good", "frontend", account.Good, "--reason", "served a month"}, inProduction...),
	} {
		if err := t.must(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// imageExpires shows that astern sees today what the registry will have deleted in three weeks.
func imageExpires(ctx context.Context, t *telling) error {
	if err := t.exits(ctx, 4, append([]string{"check", "--at", "in 20d"}, inProduction...)...); err != nil {
		return err
	}
	c, err := t.astern.later(ctx, "api", "in 20d")
	if err != nil {
		return err
	}
	t.find("astern warns that the service will have no way back", c.Best == "" && strings.Contains(c.String(), "the last way back ends"), "%s", c)
	if err := t.exits(ctx, 0, append([]string{"targets", "api"}, inProduction...)...); err != nil {
		return err
	}
	now, err := t.astern.now(ctx, "api")
	if err != nil {
		return err
	}
	closes := now.closes(account.Service + ":1")
	late := time.Until(closes) - account.KeptDays*24*time.Hour // that of its image, which was put a moment ago
	t.find("the way back has the date today", late < 0 && late > -5*time.Minute, "the way back to %s:1 closes at %s", account.Service, closes.Format(time.RFC3339))
	t.timeline.say("who put the policy in force could have asked, as somebody does who wants it stricter still, %d days", strictDays)
	return t.exits(ctx, 4, mayPolicy...)
}

// mayPolicy asks whether a stricter policy of the registry may be put in force.
var mayPolicy = append([]string{"may", "rule", "arn:aws:ecr:" + rastup.Region + ":" + account.ID + ":repository/" + account.Repository, policyFile}, inProduction...)

// imageKept is what a person does about it: a tag that the registry's rule spares.
func imageKept(ctx context.Context, t *telling) error {
	for _, release := range []string{account.Older, account.Good} {
		t.timeline.say("a person gives the image of %s the tag %s%s (ecr:PutImage), which the registry's first rule keeps", release, account.KeptPrefix, release)
		if err := t.cloud.account.Keep(ctx, release); err != nil {
			return err
		}
	}
	c, err := t.astern.later(ctx, "api", "in 20d")
	if err != nil {
		return err
	}
	t.find("the next check sees that the way back stays", c.Best == account.Service+":1", "%s", c)
	return t.exits(ctx, 0, mayPolicy...)
}

// badInTheCloud has a CI release what is bad, and looks at it as callers and visitors do.
func badInTheCloud(ctx context.Context, t *telling) error {
	before, err := t.cloud.visit(ctx)
	if err != nil {
		return err
	}
	t.find("before, visitors get the page of "+account.Good, before.digest() == digestOf(account.Page(account.Good)), "%s", before)
	t.timeline.say("CI releases %s: function, front end, and the new feature is switched on", account.Bad)
	t.released = time.Now()
	if err := t.cloud.account.Release(ctx); err != nil {
		return err
	}
	err = until(ctx, 20*time.Second, "visitors get the new page", func() bool {
		p, e := t.cloud.visit(ctx)
		return e == nil && p.digest() != before.digest()
	})
	if err != nil {
		return err
	}
	now, err := t.cloud.visit(ctx)
	if err != nil {
		return err
	}
	t.find("visitors get a page without a search", now.status == 200 && !strings.Contains(now.body, `id="search"`), "%s", now)
	answer, failed, err := t.cloud.account.Index(ctx)
	if err != nil {
		return err
	}
	t.find("the function fails when it is called", failed, "%s", answer)
	on, err := t.cloud.account.FlagOn(ctx)
	if err != nil {
		return err
	}
	t.find("the application is told that the new feature is on", on, "%s: %t", account.Flag, on)
	t.story.NoticeSeconds = time.Since(t.released).Seconds()
	if err := t.exits(ctx, 4, append([]string{"check"}, inProduction...)...); err != nil {
		return err
	}
	t.timeline.say("meanwhile the CI of the storage team asks about a rule: what is not current in the front end's bucket is deleted after a week")
	return t.exits(ctx, 4, append([]string{"may", "rule", "s3://" + account.Bucket, rulesFile}, inProduction...)...)
}

// cloudFlagOff switches the feature off first, which takes seconds.
func cloudFlagOff(ctx context.Context, t *telling) error {
	began := time.Now()
	if err := t.must(ctx, append(append([]string{"off", "features", account.Flag}, inProduction...), append(onCall, "--reason", "the search is empty")...)...); err != nil {
		return err
	}
	took := time.Since(began)
	on, err := t.cloud.account.FlagOn(ctx)
	if err != nil {
		return err
	}
	t.find("the application is told that it is off", !on, "%s: %t, after %.1f s", account.Flag, on, took.Seconds())
	return nil
}

// cloudBack takes function and front end back by one plan, which proves both in staging first.
func cloudBack(ctx context.Context, t *telling) error {
	err := t.must(ctx, append(append([]string{"rollback", "search-indexer", "frontend"}, inProduction...), append(onCall, "--reason", account.Bad+" indexes nothing and shows nothing")...)...)
	if err != nil {
		return err
	}
	t.story.TotalSeconds = time.Since(t.released).Seconds()
	all, err := t.astern.executed(ctx)
	if err != nil {
		return err
	}
	want := []string{theFrontend, theFunction}
	i := slices.IndexFunc(all, func(e execution) bool {
		slices.Sort(e.Addresses)
		return slices.Equal(e.Addresses, want)
	})
	if i < 0 {
		return fmt.Errorf("no execution is of %s", strings.Join(want, " and "))
	}
	return t.phases(ctx, all[i].ID, want...)
}

// cloudProven looks at the account as callers and visitors do.
func cloudProven(ctx context.Context, t *telling) error {
	first, err := t.cloud.visit(ctx)
	if err != nil {
		return err
	}
	again, err := t.cloud.visit(ctx)
	if err != nil {
		return err
	}
	want := digestOf(account.Page(account.Good))
	t.find("visitors get the page of "+account.Good+" again, byte for byte", first.digest() == want, "%s, want %s", first, want)
	t.find("the edge holds that page", again.digest() == want && strings.HasPrefix(again.cache, "Hit"), "%s", again)
	answer, failed, err := t.cloud.account.Index(ctx)
	if err != nil {
		return err
	}
	t.find("the function works when it is called", !failed && strings.Contains(answer, `"version":"`+account.Good+`"`) && strings.Contains(answer, `"indexed":2`), "%s", answer)
	definition, tasks, err := t.cloud.account.Running(ctx)
	if err != nil {
		return err
	}
	t.find("the service was left alone", strings.HasSuffix(definition, "/"+account.Service+":2") && tasks == 2, "%d tasks of %s", tasks, definition)
	return nil
}

// monthLater lets twenty days go by in the account: the registry deletes what nothing keeps, and the way back is still there.
func monthLater(ctx context.Context, t *telling) error {
	if err := t.must(ctx, "lab", "clock", "+20d"); err != nil {
		return err
	}
	left, err := t.cloud.account.Images(ctx)
	if err != nil {
		return err
	}
	t.find("twenty days later the registry has what was kept, and nothing else", slices.Equal(left, []string{account.Older, account.Good}), "%s", strings.Join(left, ", "))
	c, err := t.astern.now(ctx, "api")
	if err != nil {
		return err
	}
	t.find("the service can still go back", c.readiness(account.Service+":1") == astern.Ready, "%s:1 is %s", account.Service, c.readiness(account.Service+":1"))
	return nil
}

// audited shows who did what, and that nothing of it was changed.
func audited(ctx context.Context, t *telling) error {
	for _, args := range [][]string{{"audit", "--limit", "8"}, {"audit", "verify"}, append([]string{"ledger"}, inProduction...)} {
		if err := t.exits(ctx, 0, args...); err != nil {
			return err
		}
	}
	return nil
}

// labDown ends the account, and finds out whether anything of it is left.
func labDown(ctx context.Context, t *telling) error {
	if err := t.must(ctx, "lab", "down"); err != nil {
		return err
	}
	left := ""
	_ = until(ctx, 2*time.Second, "nothing is left over", func() bool { left = list(marked(t.cloud.folder)); return left == "" }) // judged below
	t.find("no process is left over", left == "", "%s", cmp.Or(left, "nothing"))
	return nil
}

// later asks astern for what it will say of a component that day, and now for what it says of its ways back now.
func (a *asternCommand) later(ctx context.Context, component, day string) (judged, error) {
	return a.judge(ctx, component, append([]string{"check", "--at", day, "-o", "json"}, inProduction...))
}

func (a *asternCommand) now(ctx context.Context, component string) (judged, error) {
	return a.judge(ctx, component, append([]string{"targets", component, "-o", "json"}, inProduction...))
}

func (a *asternCommand) judge(ctx context.Context, component string, args []string) (judged, error) {
	out, err := a.ask(ctx, args...)
	if err != nil {
		return judged{}, err
	}
	all, err := decode[struct{ Components []judged }]("astern "+args[0], out)
	if err != nil {
		return judged{}, err
	}
	i := slices.IndexFunc(all.Components, func(c judged) bool { return c.Address == "production/"+component })
	if i < 0 {
		return judged{}, astern.Errorf(astern.Internal, "astern %s says nothing of %s", args[0], component)
	}
	return all.Components[i], nil
}
