// Package demo tells stories with real processes, for people and for tests: a small web shop runs under load, something goes
// wrong, and astern brings it back, on command or by itself, or says why it leaves it alone. What it says went well, it has
// seen for itself: it asks every instance for its version, counts every customer's request, reads exit codes, and looks for
// processes left over.
//
// A reading order: demo.go, release.go, system.go, aws.go, auto.go, flagoff.go and notours.go (the stories), shop.go
// (the shop), cloud.go (the account in AWS), astern.go, vigil.go and documents.go (the command line), report.go.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/examples/webshop/load"
	"github.com/astern-dev/astern/internal/canary"
)

// Options say how the demo runs.
type Options struct {
	Astern string // path of the astern program
	Work   string // folder to work in, which must not hold a demo; "" for a new temporary one
	Keep   bool   // leave the work folder
	Source string // folder of astern's source code; "" to look for it from the working directory upwards
	// Reports is the folder in which the reports of the incidents stay; "" for build/demo in the source code's folder.
	Reports string
	// Timeline takes what happens while it happens.
	Timeline io.Writer
}

// The figures of the demo.
const (
	customersPerSecond = 100
	patience           = 10 * time.Second
	slowAfter          = 220 * time.Millisecond
	goodRelease        = "v1.2.2"
	badRelease         = "v1.2.3"
	expressRelease     = "v1.2.4"
	expressFlag        = "express-checkout"
	shortWatch         = 2 * time.Second // of a revision, before it is known-good
	longWatch          = 6 * time.Second // the same while astern watches: time enough to find it bad
)

// demo is one run, or one of its shops.
type demo struct {
	timeline *timeline
	folder   string // to work in
	program  string // path of astern
	closed   bool
	shop     *shop
	astern   *asternCommand
	load     *load.Generator
	watch    *watch
	vigil    *vigil // nil until astern watches
	reports  string
	source   string // folder of astern's source code
	// quietSince is when the quiet began that releases are compared with.
	quietSince time.Time
	// goodMoment is a time at which both services ran the good release, known-good.
	goodMoment time.Time
}

// Run tells all stories and returns what was seen. An error means that the demo itself could not be carried out; a
// story that did not end well is no error but a Story that is not OK. All processes that it started have ended and,
// unless asked otherwise, the work folder is gone when it returns.
func Run(ctx context.Context, o Options) (report Report, err error) {
	d := &demo{timeline: newTimeline(o.Timeline)}
	program, err := filepath.Abs(o.Astern)
	if err != nil {
		return report, astern.Errorf(astern.Internal, "finding astern: %w", err)
	}
	if _, err := os.Stat(program); err != nil {
		return report, astern.Errorf(astern.Invalid, "finding astern: %w", err).WithHint("build it with: make build")
	}
	source, err := findSource(o.Source)
	if err != nil {
		return report, err
	}
	reports, err := reportFolder(o, source)
	if err != nil {
		return report, err
	}
	folder, remove, err := workFolder(o)
	if err != nil {
		return report, err
	}
	defer func() {
		if remove {
			if e := os.RemoveAll(folder); e != nil && err == nil {
				err = astern.Errorf(astern.Internal, "removing the work folder: %w", e)
			}
			return
		}
		d.timeline.say("the work folder stays: %s", folder)
	}()
	d.reports, d.source, d.folder, d.program = reports, source, folder, program
	return d.run(ctx)
}

// run builds and starts both shops, tells the stories and stops everything. What astern does on command happens in the first
// shop. Meanwhile nothing happens in the second but its customers' orders, which is the past that astern, which watches there, holds
// a release against.
func (d *demo) run(ctx context.Context) (report Report, err error) {
	d.timeline.chapter("Two web shops: each three services, five instances, a balancer, %d customers a second", customersPerSecond)
	d.timeline.say("building releases %s, %s and %s", goodRelease, badRelease, expressRelease)
	first, err := d.open(ctx, "first", func(s *shop) error { return s.build(ctx, d.source) })
	if err != nil {
		return report, err
	}
	defer first.close(ctx, &err)
	report = Report{Kind: "Demo", Version: 1}
	tales := []func(context.Context) Story{first.tellBadRelease, first.tellWholeSystem}
	if report.LeftOut = leftOut(d.source); len(report.LeftOut) > 0 {
		d.timeline.say("the story %s is left out: %s", awsRelease, report.LeftOut[0].Because)
	} else {
		d.timeline.say("an account in AWS is made for story 3")
		cloud := first.beginAWS(ctx)
		defer func() {
			if e := cloud.endLab(ctx); e != nil && err == nil {
				err = e
			}
		}()
		tales = append(tales, cloud.tellAWSRelease)
	}
	second, err := d.open(ctx, "second", first.shop.copyBuilt)
	if err != nil {
		return report, err
	}
	defer second.close(ctx, &err)
	auto := second.begin(autoRollback)
	auto.carry(ctx, recordGood, reservations, quietBegins)
	last := func(context.Context) Story {
		first.close(ctx, &err)
		return auto.tellAutoRollback(ctx)
	}
	for _, tell := range append(tales, last, second.tellFlagOff, second.tellNotOurs) {
		if ctx.Err() != nil {
			return report, astern.Errorf(astern.Interrupted, "the demo was interrupted")
		}
		report.Stories = append(report.Stories, tell(ctx))
	}
	if ctx.Err() != nil {
		return report, astern.Errorf(astern.Interrupted, "the demo was interrupted")
	}
	d.timeline.chapter("The end")
	f, g := first.load.Between(time.Time{}, time.Now()), second.load.Between(time.Time{}, time.Now())
	d.timeline.say("all in all %d requests, %d lost", f.Total+g.Total, f.Failed+g.Failed)
	if err != nil { // the first shop could not be ended
		return report, err
	}
	return report, d.secrets()
}

// open makes a shop in a folder of its own, has it built, starts it and has customers order there. The caller must close it.
func (d *demo) open(ctx context.Context, name string, build func(*shop) error) (_ *demo, err error) {
	o := &demo{timeline: d.timeline, reports: d.reports, source: d.source, folder: filepath.Join(d.folder, name)}
	if o.shop, err = newShop(o.folder); err != nil {
		return nil, err
	}
	o.astern = &asternCommand{program: d.program, shop: o.shop, timeline: o.timeline}
	defer func() {
		if err != nil {
			o.close(ctx, &err)
		}
	}()
	if err := build(o.shop); err != nil {
		return nil, err
	}
	if err := o.shop.start(ctx); err != nil {
		return nil, err
	}
	if o.load, err = load.Start(ctx, load.Config{URL: "http://" + o.shop.service("shop").Front, Rate: customersPerSecond,
		Timeout: patience, Slow: slowAfter}); err != nil {
		return nil, astern.Errorf(astern.Internal, "starting the load: %w", err)
	}
	o.watch = startWatch(ctx, o.shop, o.timeline)
	return o, nil
}

// close ends everything that runs in the shop, also after Ctrl-C; what can't be ended is told when nothing else went wrong.
func (d *demo) close(ctx context.Context, err *error) {
	if d.closed {
		return
	}
	d.closed = true
	d.endVigil()
	if d.watch != nil {
		d.watch.stop()
	}
	if d.load != nil {
		d.load.Stop()
	}
	if e := d.shop.stop(context.WithoutCancel(ctx)); e != nil && *err == nil {
		*err = e
	}
}

// secrets looks for those of the environment in everything that was said and left so far: state, plans, journals, logs.
func (d *demo) secrets() error {
	folders := []string{d.folder}
	if reports, err := filepath.Glob(filepath.Join(d.reports, "*.html")); err == nil && len(reports) > 0 {
		folders = append(folders, d.reports)
	}
	files, found := 0, []string(nil)
	for _, folder := range folders {
		n, leaks, err := canary.Search(folder)
		if err != nil {
			return astern.Errorf(astern.Internal, "searching %s for secrets: %w", folder, err)
		}
		files, found = files+n, append(found, leaks...)
	}
	for _, leak := range d.timeline.leaks() {
		found = append(found, "the timeline holds "+leak)
	}
	if len(found) > 0 {
		return astern.Errorf(astern.Internal, "secrets were not kept: %s", strings.Join(found, "; "))
	}
	d.timeline.say("%d secrets of the checks and the environment are in none of the %d files that are left, nor in what was said",
		len(canary.Variables()), files)
	return nil
}

// findSource returns the folder of the module's source.
func findSource(folder string) (string, error) {
	if folder == "" {
		folder = "."
	}
	at, err := filepath.Abs(folder)
	if err != nil {
		return "", astern.Errorf(astern.Internal, "finding the source code: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "examples", "webshop", "ctl")); err == nil {
			return at, nil
		}
		up := filepath.Dir(at)
		if up == at {
			return "", astern.Errorf(astern.Invalid, "the web shop's source code is not in %s or above it", folder).
				WithHint("run the demo inside a clone of astern, or name the clone with -source")
		}
		at = up
	}
}

// reportFolder makes the folder for the reports.
func reportFolder(o Options, source string) (string, error) {
	folder := o.Reports
	if folder == "" {
		folder = filepath.Join(source, "build", "demo")
	}
	folder, err := filepath.Abs(folder)
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	for _, story := range []string{autoRollback, flagOff, notOurs} {
		if e := os.Remove(filepath.Join(folder, story+".html")); err == nil && !errors.Is(e, fs.ErrNotExist) {
			err = e // an older one must not be taken for that of this run
		}
	}
	if err != nil {
		return "", astern.Errorf(astern.Internal, "making the folder for reports: %w", err)
	}
	return folder, nil
}

// workFolder makes the folder to work in, and says whether to remove it at the end.
func workFolder(o Options) (folder string, remove bool, err error) {
	if o.Work == "" {
		folder, err = os.MkdirTemp("", "astern-demo-")
		if err != nil {
			return "", false, astern.Errorf(astern.Internal, "making a work folder: %w", err)
		}
	} else {
		if folder, err = filepath.Abs(o.Work); err != nil {
			return "", false, astern.Errorf(astern.Internal, "making the work folder: %w", err)
		}
		if entries, err := os.ReadDir(folder); err == nil && len(entries) > 0 {
			return "", false, astern.Errorf(astern.Invalid, "the work folder %s is not empty", folder).
				WithHint("name a folder that does not exist, or an empty one")
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return "", false, astern.Errorf(astern.Internal, "making the work folder: %w", err)
		}
	}
	if folder, err = filepath.EvalSymlinks(folder); err != nil {
		return "", false, astern.Errorf(astern.Internal, "making the work folder: %w", err)
	}
	return folder, !o.Keep, nil
}

// until asks again and again, until what was waited for is there, the time is over, or ctx ends.
func until(ctx context.Context, limit time.Duration, what string, there func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s: not within %s", what, limit))
	defer cancel()
	for !there() {
		select {
		case <-ctx.Done():
			return astern.Errorf(astern.Unavailable, "waiting: %w", context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}
