package app_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
)

// TestWatchProducer re-enacts an outage in which what went out was made again every few minutes, each time bad: the way back
// latches it first, so who asks before he deploys makes it no more. Who doesn't ask is not fought: people are told to stop him,
// and once he is stopped they take it back as the decision says.
func TestWatchProducer(t *testing.T) {
	for name, asks := range map[string]bool{"asks first": true, "does not ask": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatchWorld(t, automatic)
			w.watch(shortPast, never)
			refused, stopped := 0, false
			produce := func() {
				may := error(nil)
				if asks {
					w.with(func(a *app.App) { _, may = a.MayDeploy(t.Context(), app.Record{Component: "shop", Revision: "v2"}) })
				}
				switch {
				case stopped:
				case may == nil:
					w.deploy("v2", 1, 2)
				case astern.CodeOf(may) == astern.Refused && strings.Contains(may.Error(), "is latched"):
					refused++
				default:
					t.Fatal(may)
				}
			}
			for range 4 { // every five minutes
				produce()
				w.watch(6, never)
				w.pass(3 * time.Minute)
				w.watch(2, never)
			}
			incidents, executions, runs := w.state()
			if len(executions) != 1 || executions[0].Outcome != astern.OutcomeDone {
				t.Fatalf("%d executions: it was fought: %+v", len(executions), executions)
			}
			if asks {
				if refused != 3 || runs != "v1 v1" || len(incidents) != 1 || incidents[0].ResolvedAt == nil {
					t.Errorf("refused %d times, the members run %s, %+v", refused, runs, incidents)
				}
				return
			}
			if len(incidents) != 2 || len(incidents[0].Decisions) != 1 {
				t.Fatalf("people were called for each time that it was made: %+v", incidents)
			}
			d := incidents[0].Decisions[0]
			if runs != "v2 v2" || d.Act != astern.ActAsk || !strings.Contains(d.Because, "first stop what deploys it") || d.Plan != "" || !strings.Contains(d.Command, "rollback shop --to v1") {
				t.Fatalf("the members run %s: %+v", runs, d)
			}
			stopped = true
			produce()
			w.with(func(a *app.App) {
				p, err := a.Plan(t.Context(), app.Ask{Verb: astern.VerbRollback, Components: []string{"shop"}, Revision: "v1", Reason: "the job is off", Way: "cli"})
				w.must(err)
				w.must(a.Keep(t.Context(), p))
				e, _, err := a.Apply(t.Context(), p.Doc, app.Vouch{})
				w.must(err)
				_, _, err = a.Run(t.Context(), e.ID, nil)
				w.must(err)
			})
			w.watch(12, never)
			if incidents, executions, runs = w.state(); len(executions) != 2 || runs != "v1 v1" || incidents[0].ResolvedAt == nil {
				t.Errorf("%d executions, the members run %s, %+v", len(executions), runs, incidents[0])
			}
		})
	}
}

// TestWatchSlowDependency re-enacts one whose checks passed all along: a release went out just before what it needs grew slow, and is
// blamed. Taking it back helps nothing, which is seen: nothing more is taken back, and a person is told so.
func TestWatchSlowDependency(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t, automatic)
	w.watch(shortPast, never)
	w.deploy("v3", 1, 2)
	w.rate("everywhere", 300)
	if !w.watch(60, w.says(astern.WatchActed)) {
		t.Fatal("nothing was done")
	}
	w.watch(20, never)
	incidents, executions, runs := w.state()
	if len(incidents) != 1 || incidents[0].ResolvedAt != nil || len(executions) != 1 || runs != "v1 v1" {
		t.Fatalf("%d executions, the members run %s, %+v", len(executions), runs, incidents)
	}
	ds := incidents[0].Decisions
	if d := ds[len(ds)-1]; len(ds) != 2 || d.Act != astern.ActAsk || !strings.Contains(d.Because, "it is worse all the same") {
		t.Errorf("%+v", ds)
	}
}

// TestWatchRefusedAlerts: a channel that takes nothing stops no recovery. What it was to be told waits, the watch says that nobody was
// told, and it is told once when the channel takes messages again.
func TestWatchRefusedAlerts(t *testing.T) {
	t.Parallel()
	var status, taken, refused atomic.Int64
	status.Store(http.StatusServiceUnavailable)
	channel := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		code := int(status.Load())
		if code == http.StatusOK {
			taken.Add(1)
		} else {
			refused.Add(1)
		}
		out.WriteHeader(code)
	}))
	t.Cleanup(channel.Close)
	w := newWatchWorld(t, automatic)
	w.audits = true
	w.write("channel", channel.URL+"\n", 0o600)
	w.write("astern.yaml", strings.Replace(watchConfig, "POLICY", automatic, 1)+"notify:\n  team: {webhook: {url: {file: channel}}, events: [opened]}\n", 0o600)
	w.watch(shortPast, never)
	w.deploy("v2", 1, 2)
	if !w.watch(60, w.says(astern.WatchResolved)) {
		t.Fatal("it was not resolved")
	}
	deliver := func() (d app.Delivered) {
		w.with(func(a *app.App) {
			var err error
			d, err = a.Deliver(t.Context())
			w.must(err)
		})
		return d
	}
	deliver() // beside the rounds, as astern watch does
	_, executions, runs := w.state()
	if len(executions) != 1 || runs != "v1 v1" || refused.Load() == 0 || taken.Load() != 0 {
		t.Fatalf("%d executions, the members run %s; %d refused, %d taken", len(executions), runs, refused.Load(), taken.Load())
	}
	w.with(func(a *app.App) {
		deaf, err := a.Deaf(t.Context())
		w.must(err)
		if len(deaf) != 1 || deaf[0].Channel != "team" {
			t.Errorf("%+v", deaf)
		}
	})
	status.Store(http.StatusOK)
	w.pass(2 * time.Hour)
	deliver()
	deliver()
	if taken.Load() != 1 {
		t.Errorf("%d messages were taken", taken.Load())
	}
}
