package app_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/audit"
	"github.com/astern-dev/astern/internal/incident"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

const watchConfig = `version: 1
system: watched
environments:
  test:
    policy: POLICY
    components:
      stock:
        kind: host.service
        checks: {alive: {command: {argv: [./root/needed]}, effects: none}}
        ready: [alive]
        with:
          root: root
          link: stock-{instance}
          instances: [{name: stock-1, address: "127.0.0.1:9"}]
          commands: {restart: [./ctl, restart, "{instance}"], status: [./ctl, status, "{instance}"]}
      shop:
        kind: host.service
        depends_on: [stock]
        checks:
          alive: {command: {argv: [./root/ctl, status, "{member}"]}, effects: none, each: true}
        ready: [alive]
        signals:
          errors: {kind: errors, command: {argv: [./root/metrics]}}
        with:
          root: root
          link: current-{instance}
          instances: [{name: shop-1, address: "127.0.0.1:1"}, {name: shop-2, address: "127.0.0.1:2"}]
          commands: {restart: [./ctl, restart, "{instance}"], status: [./ctl, status, "{instance}"]}
          uptime: 50ms
`

// watchMetrics counts a thousand requests of each member each time that it is asked. How many of them fail is in
// rates/REVISION for the revision that its process was started with, and in rates/everywhere for all; rates/times is how many
// thousands it counts.
const watchMetrics = `#!/bin/sh
set -eu
cd "$(dirname "$0")"
[ ! -e blind ] || { echo "the metrics are gone" >&2; exit 1; }
read -r everywhere <rates/everywhere
read -r times <rates/times
before='['
for m in shop-1 shop-2; do
	read -r revision <run/$m.revision
	read -r fails <rates/$revision
	read -r total bad <run/$m.count || { total=0; bad=0; }
	total=$((total + 1000 * times)) bad=$((bad + (fails + everywhere) * times))
	echo "$total $bad" >run/$m.count
	printf '%s{"member":"%s","total":%d,"bad":%d}' "$before" "$m" "$total" "$bad"
	before=,
done
echo ']'
`

// watchWorld is a service of two real processes, metrics that follow from what those run, and a clock that goes by the
// rounds of the watch.
type watchWorld struct {
	world
	now    *time.Time
	mu     *sync.Mutex
	events *[]astern.WatchEvent
	record io.Writer // what the watch records to, nil for nothing
	audits bool      // what is done goes through the audit log, and is told by the channels
}

// newWatchWorld returns one in which v1 runs and is known-good, and v2 is there and not deployed.
func newWatchWorld(t *testing.T, policy string) watchWorld {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	w := watchWorld{world{t: t, folder: t.TempDir()}, &now, new(sync.Mutex), new([]astern.WatchEvent), nil, false}
	t.Cleanup(w.search)
	w.write("astern.yaml", strings.Replace(watchConfig, "POLICY", policy, 1), 0o600)
	w.write("root/ctl", strings.Replace(killCtl, "echo $! >\"$pid.new\"", "basename \"$(readlink \"current-$2\")\" >\"run/$2.revision\"\n\techo $! >\"$pid.new\"", 1), 0o700)
	w.write("root/metrics", watchMetrics, 0o700)
	w.write("root/needed", "#!/bin/sh\n[ ! -e \"$(dirname \"$0\")/needed-is-gone\" ]\n", 0o700)
	for v, fails := range map[string]int{"v1": 2, "v2": 100, "v3": 2, "everywhere": 0, "times": 1} {
		w.rate(v, fails)
		if v[0] == 'v' {
			w.write("root/releases/"+v+"/serve", "#!/bin/sh\n# "+v+"\nexec sleep 600\n", 0o700)
		}
	}
	w.must(os.MkdirAll(filepath.Join(w.folder, "root", "run"), 0o700))
	w.link("v1", 1, 2)
	t.Cleanup(func() {
		for i := 1; i <= 2; i++ {
			w.ctl("stop", i)
		}
	})
	w.with(func(a *app.App) {
		_, _, err := a.RecordDeploy(t.Context(), app.Record{Component: "shop", Revision: "v1"})
		w.must(err)
		_, err = a.RecordKnownGood(t.Context(), app.Record{Component: "shop", Revision: "v1", Reason: "test"})
		w.must(err)
	})
	w.pass(2 * time.Hour)
	return w
}

// rate sets how many of a thousand requests fail.
func (w watchWorld) rate(of string, fails int) {
	w.write("root/rates/"+of, strconv.Itoa(fails)+"\n", 0o600)
}

// link has members run a revision, as somebody else than astern deploys.
func (w watchWorld) link(revision string, members ...int) {
	w.t.Helper()
	for _, i := range members {
		path := filepath.Join(w.folder, "root", fmt.Sprintf("current-shop-%d", i))
		w.must(os.Symlink("releases/"+revision, path+".new"))
		w.must(os.Rename(path+".new", path))
		w.ctl("restart", i)
	}
}

// pass lets time go by.
func (w watchWorld) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*w.now = w.now.Add(d)
}

func (w watchWorld) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.now
}

// with opens the system as a command does.
func (w watchWorld) with(f func(a *app.App)) {
	w.t.Helper()
	store, err := sqlite.Open(w.t.Context(), filepath.Join(w.folder, ".astern"))
	w.must(err)
	defer store.Close()
	a, err := app.Open(filepath.Join(w.folder, "astern.yaml"), store)
	w.must(err)
	defer a.Close()
	a.Now = w.clock
	if w.audits {
		a.Audit(audit.New(filepath.Join(w.folder, ".astern"), a.AuditCopy()))
	}
	f(a)
}

// deploy records that members run a revision now.
func (w watchWorld) deploy(revision string, members ...int) {
	w.t.Helper()
	w.link(revision, members...)
	w.with(func(a *app.App) {
		_, _, err := a.RecordDeploy(w.t.Context(), app.Record{Component: "shop", Revision: revision})
		w.must(err)
	})
}

const roundEvery = 15 * time.Second

// watch makes rounds until the condition holds, at most n of them, and reports whether it came to hold. Between two rounds an
// execution that is under way goes on in real time.
func (w watchWorld) watch(n int, until func() bool) bool {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	held := false
	w.with(func(a *app.App) {
		watcher, err := a.NewWatcher(ctx, "", nil, func(e astern.WatchEvent) {
			*w.events = append(*w.events, e)
			w.t.Logf("%s %-10s %s: %s %s", e.At.Format("15:04:05"), e.Kind, e.Address, e.Text, e.Incident)
		})
		w.must(err)
		if w.record != nil {
			watcher.Record(w.record, 1<<30)
		}
		for range n {
			w.pass(roundEvery)
			w.must(watcher.Round(ctx))
			if held = until(); held {
				break
			}
			for watcher.Busy() {
				time.Sleep(20 * time.Millisecond)
			}
		}
		w.must(watcher.Close(context.WithoutCancel(ctx)))
	})
	return held
}

func never() bool { return false }

// says reports whether the watch has said an event of that kind.
func (w watchWorld) says(kind astern.WatchKind) func() bool {
	return func() bool {
		for _, e := range *w.events {
			if e.Kind == kind {
				return true
			}
		}
		return false
	}
}

// incidents returns all incidents and executions, and what the members' processes run.
func (w watchWorld) state() (incidents []astern.Incident, executions []astern.Execution, runs string) {
	w.t.Helper()
	store, err := sqlite.OpenReadOnly(w.t.Context(), filepath.Join(w.folder, ".astern"))
	w.must(err)
	defer store.Close()
	logs, err := store.Incidents(w.t.Context())
	w.must(err)
	for _, log := range logs {
		incidents = append(incidents, incident.Fold(log))
	}
	executions, err = store.Executions(w.t.Context(), 0, false)
	w.must(err)
	for i := 1; i <= 2; i++ {
		b, err := os.ReadFile(filepath.Join(w.folder, "root", "run", fmt.Sprintf("shop-%d.revision", i)))
		w.must(err)
		runs += strings.TrimSpace(string(b)) + " "
	}
	return incidents, executions, strings.TrimSpace(runs)
}
