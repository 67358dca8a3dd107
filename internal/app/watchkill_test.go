package app_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/proof"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// The environment by which the test binary becomes the watch that is killed.
const (
	watchFolder = "ASTERN_WATCH_WORLD"
	watchAt     = "ASTERN_WATCH_AT" // as killAt
)

// watchKiller counts the writes of a watch as well.
type watchKiller struct{ *killer }

func (k watchKiller) OpenIncident(ctx context.Context, e astern.IncidentEvent) (id string, opened bool, err error) {
	err = k.around(func() error { id, opened, err = k.Store.OpenIncident(ctx, e); return err })
	return id, opened, err
}

func (k watchKiller) AddIncidentEvent(ctx context.Context, id string, e astern.IncidentEvent) (seq int64, err error) {
	err = k.around(func() error { seq, err = k.Store.AddIncidentEvent(ctx, id, e); return err })
	return seq, err
}

func (k watchKiller) AddApproval(ctx context.Context, hash, by, verdict, reason string, at time.Time) error {
	return k.around(func() error { return k.Store.AddApproval(ctx, hash, by, verdict, reason, at) })
}

func (k watchKiller) KeepProof(ctx context.Context, key string, doc []byte, at time.Time) error {
	if !strings.HasPrefix(key, "watch/") {
		return k.Store.KeepProof(ctx, key, doc, at)
	}
	return k.around(func() error { return k.Store.KeepProof(ctx, key, doc, at) })
}

// watchUntilResolved is a watch of its own process, whose clock goes on from the file "clock" by a round's time each round. It
// ends when it has resolved an incident, or after sixty rounds.
func watchUntilResolved(folder, at string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store, err := sqlite.Open(ctx, filepath.Join(folder, ".astern"))
	if err != nil {
		return complain(err)
	}
	defer store.Close()
	k := &killer{Store: store, folder: folder}
	k.when, k.left = parseKill(at)
	a, err := app.Open(filepath.Join(folder, "astern.yaml"), watchKiller{k})
	if err != nil {
		return complain(err)
	}
	defer a.Close()
	if err := os.WriteFile(filepath.Join(folder, "astern.pid"), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return complain(err)
	}
	now := readClock(folder)
	a.Now = func() time.Time { return now }
	resolved := false
	w, err := a.NewWatcher(ctx, "", nil, func(e astern.WatchEvent) {
		resolved = resolved || e.Kind == astern.WatchResolved
		fmt.Printf("%s %s %s\n", e.At.Format("15:04:05"), e.Kind, e.Text)
	})
	if err != nil {
		return complain(err)
	}
	for n := 0; n < 60 && !resolved; n++ {
		for w.Busy() { // what is carried out reads the clock
			time.Sleep(10 * time.Millisecond)
		}
		now = now.Add(roundEvery)
		if err := os.WriteFile(filepath.Join(folder, "clock"), []byte(strconv.FormatInt(now.Unix(), 10)), 0o600); err != nil {
			return complain(err)
		}
		if err := w.Round(ctx); err != nil {
			return complain(err)
		}
	}
	fmt.Printf("writes %d\n", k.writes)
	if !resolved {
		return 1
	}
	return complain(w.Close(ctx))
}

func readClock(folder string) time.Time {
	b, _ := os.ReadFile(filepath.Join(folder, "clock")) // the world wrote it
	n, _ := strconv.ParseInt(string(b), 10, 64)
	return time.Unix(n, 0)
}

// badDeployment is a world whose watch has a past, and in which v2 was deployed just now.
func badDeployment(t *testing.T) watchWorld {
	w := newWatchWorld(t, automatic)
	w.watch(shortPast, never)
	w.deploy("v2", 1, 2)
	w.write("clock", strconv.FormatInt(w.clock().Unix(), 10), 0o600)
	return w
}

// live runs the watch as a process and returns its exit code, -1 when it was killed.
func (w watchWorld) live(at string) (code int, out string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), watchFolder+"="+w.folder, watchAt+"="+at, noRaceSleep)
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// whole reports what is wrong with the end of a fault that one watch after the other mended.
func (w watchWorld) whole() error {
	incidents, executions, runs := w.state()
	switch {
	case runs != "v1 v1":
		return fmt.Errorf("the members run %s", runs)
	case len(incidents) != 1 || incidents[0].ResolvedAt == nil:
		return fmt.Errorf("%d incidents: %+v", len(incidents), incidents)
	case incidents[0].Cause == nil || incidents[0].Cause.Revision != "v2":
		return fmt.Errorf("it blames %+v", incidents[0].Cause)
	case len(executions) != 1 || executions[0].Outcome != astern.OutcomeDone:
		return fmt.Errorf("executions: %+v", executions)
	}
	acts := 0
	for _, d := range incidents[0].Decisions {
		if d.Act == astern.ActAutomatic {
			acts++
		}
	}
	if acts != 1 || len(incidents[0].Executions) != 1 {
		return fmt.Errorf("decided %d times to act, %v: %+v", acts, incidents[0].Executions, incidents[0].Decisions)
	}
	for i, line := range firstWords(w.lines("root/restarts")) {
		if i >= 4 && strings.Count(strings.Join(firstWords(w.lines("root/restarts"))[4:], " "), line) != 1 {
			return fmt.Errorf("restarted more than once: %v", w.lines("root/restarts"))
		}
	}
	return nil
}

// TestWatchKilled kills the watch before and after each of its writes between noticing and resolving, in turn: whoever is started
// next finishes, once. CI takes a share of the points.
func TestWatchKilled(t *testing.T) {
	w := badDeployment(t)
	code, out := w.live("")
	if code != 0 {
		t.Fatalf("uninterrupted: exit %d: %s", code, out)
	}
	if err := w.whole(); err != nil {
		t.Fatalf("uninterrupted: %v\n%s", err, out)
	}
	var writes int
	if _, err := fmt.Sscanf(out[strings.LastIndex(out, "writes "):], "writes %d", &writes); err != nil {
		t.Fatal(err)
	}
	var points []string
	for n := 1; n <= writes; n++ {
		points = append(points, fmt.Sprintf("before %d", n), fmt.Sprintf("after %d", n))
	}
	seed, count := proof.Seeds(t, 3)
	figures := map[string]float64{"max_watch_kill_points": float64(len(points)), "watch_killed": 0}
	t.Cleanup(func() { proof.Figures(t, figures) })
	t.Run("points", func(t *testing.T) {
		for i := range count {
			at := points[(seed+i)*37%uint64(len(points))] // 37 is prime: as many trials as points meet all
			figures["watch_killed"]++
			t.Run(at, func(t *testing.T) {
				t.Parallel()
				w := badDeployment(t)
				if code, out := w.live(at); code != -1 {
					t.Fatalf("the watch was not killed: exit %d: %s", code, out)
				}
				code, out := w.live("")
				err := w.whole()
				if code == 1 && err == nil {
					return // it was killed after it had resolved it, and the next one had nothing to do
				}
				if code != 0 || err != nil {
					t.Errorf("going on: exit %d: %v\n%s", code, err, out)
				}
			})
		}
	})
}
