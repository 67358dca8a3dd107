package app

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proof"
	"github.com/astern-dev/astern/internal/store/storemodel"
)

// houseRuns is the share of the runs that each test of them makes.
const houseRuns = 60

// TestHouseSimulation simulates whole systems: the application with its planner, engine and leases, on a model of the store,
// two operators who plan, apply, pause, resume, skip, settle, allow, cancel and undo, old plans too, while processes are
// killed and stopped, replies get lost, Find can't tell, members can't be reached, links are moved by hand and the clock
// jumps. A seed alone repeats a run. What must hold is in simjudge_test.go.
func TestHouseSimulation(t *testing.T) {
	first, count := proof.Seeds(t, houseRuns)
	began := time.Now()
	var sum simFigures
	for seed := first; seed < first+count; seed++ {
		f, wrongs := simulateHouse(t, seed, nil)
		if len(wrongs) > 0 {
			t.Fatalf("seed %d: %s\nrepeat it: ASTERN_PROOF_FIRST=%d ASTERN_PROOF_COUNT=1 go test -v -run '^TestHouseTrace$' ./internal/app",
				seed, strings.Join(wrongs, "\n"), seed)
		}
		sum.add(f)
	}
	sum.report(t, count, time.Since(began))
}

// TestHouseSeeds repeats the runs that once showed something wrong.
func TestHouseSeeds(t *testing.T) {
	file, err := os.Open("testdata/seeds")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	n := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		text, found, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if _, wrongs := simulateHouse(t, seed, nil); len(wrongs) > 0 {
			t.Errorf("seed %d (%s) again: %v", seed, strings.TrimSpace(found), wrongs)
		}
		n++
	}
	if n == 0 {
		t.Error("there are no seeds")
	}
}

// TestHouseTrace tells the whole story of one run, the same each time.
func TestHouseTrace(t *testing.T) {
	first, _ := proof.Seeds(t, 1)
	var stories [2]strings.Builder
	var wrongs []string
	for i := range stories {
		_, wrongs = simulateHouse(t, first, func(format string, args ...any) { fmt.Fprintf(&stories[i], format+"\n", args...) })
	}
	t.Log(stories[0].String())
	if len(wrongs) > 0 {
		t.Errorf("seed %d: %v", first, wrongs)
	}
	if a, b := strings.Split(stories[0].String(), "\n"), strings.Split(stories[1].String(), "\n"); len(a) == len(b) {
		for i := range a {
			if a[i] != b[i] {
				t.Fatalf("the same seed tells another story from line %d on:\n%s\n%s", i+1, a[i], b[i])
			}
		}
	} else {
		t.Fatalf("the same seed tells stories of %d and %d lines", len(a), len(b))
	}
}

// simFigures is what runs showed.
type simFigures struct {
	hours, executions, processes, effects, refused, window, children float64
}

func (f *simFigures) add(g simFigures) {
	f.hours += g.hours
	f.executions += g.executions
	f.processes += g.processes
	f.effects += g.effects
	f.refused += g.refused
	f.window += g.window
	f.children += g.children
}

func (f simFigures) report(t *testing.T, runs uint64, took time.Duration) {
	t.Logf("%.0f simulated hours in %.1f s: %.0f hours a second", f.hours, took.Seconds(), f.hours/took.Seconds())
	proof.Figures(t, map[string]float64{"runs": float64(runs), "simulated_hours": f.hours, "work_seconds": took.Seconds(),
		"min_simulated_hours_per_second": f.hours / took.Seconds(), "executions": f.executions, "processes": f.processes, "effects": f.effects,
		"child_plans": f.children, "older_fences_refused": f.refused, "late_effects_of_window_verbs": f.window})
}

// simulateHouse makes one run and returns what it showed, and what was wrong.
func simulateHouse(t *testing.T, seed uint64, trace func(string, ...any)) (simFigures, []string) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	pct := func(most int) int { return rnd.IntN(most + 1) }
	start := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	h := &house{t: t, rnd: rnd, now: start, disturbed: map[string]string{}, touched: map[string]bool{}, decoded: map[string]Planned{}, store: storemodel.New(),
		crashes: pct(20), trace: trace}
	h.system, h.services = randomSystem(rnd)
	h.world = &simWorld{h: h, seed: seed, asked: map[string]uint64{}, values: map[string]map[string]string{}, silent: map[string]bool{},
		byToken: map[string]time.Time{}, delay: time.Duration(rnd.IntN(int(simSettle/time.Second))) * time.Second,
		faults: simFaults{lostAfter: pct(20), lostBefore: pct(20), transient: pct(20), permanent: pct(5), panics: pct(5), blindFind: pct(50),
			unreadable: pct(10), checkFails: pct(5), checkBlinds: pct(20), slow: pct(50), odd: pct(20)}}
	h.remember(start)
	var meddle func()
	meddle = func() {
		if !h.calm {
			h.meddle()
			h.after(h.some(60*time.Second), meddle)
		}
	}
	meddle()
	h.run(start.Add(20*time.Minute + h.some(40*time.Minute)))
	h.rest()
	h.judge()
	return h.figures(start), h.wrongs
}

// remember fills the ledger and the world with what was before.
func (h *house) remember(start time.Time) {
	for _, c := range h.system.Environments[0].Components {
		h.world.values[c.Address()] = map[string]string{}
		for i, rev := range simRevisions {
			at := start.Add(-time.Duration(20-5*i) * 24 * time.Hour)
			kinds := []astern.EventKind{astern.EventDeployed, astern.EventKnownGood}
			for _, kind := range kinds[:1+min(1, len(simRevisions)-1-i)] {
				if _, err := h.store.AddEvent(context.Background(), astern.Event{At: at, Address: c.Address(), Kind: kind, Revision: rev, By: "ci"}); err != nil {
					h.wrong("%v", err)
				}
			}
		}
		for _, m := range h.services[c.Address()].members {
			values := h.world.values[c.Address()]
			values[m+"/link"], values[m+"/runs"] = simRevisions[len(simRevisions)-1], simRevisions[len(simRevisions)-1]
			values[m+"/fence"], values[m+"/address"] = "0", m+".example.com:80"
		}
	}
}

// rest ends the chaos: nothing fails any more, and operators work through what is left.
func (h *house) rest() {
	h.say("the chaos is over")
	h.calm, h.world.faults = true, simFaults{}
	h.mend()
	for range 150 {
		h.run(h.now.Add(5 * time.Minute))
		open, err := h.store.Executions(context.Background(), 1, true)
		if err != nil || len(open) == 0 || len(h.wrongs) > 0 {
			return
		}
		h.care()
	}
}

func (h *house) figures(start time.Time) simFigures {
	f := simFigures{hours: h.now.Sub(start).Hours(), processes: float64(len(h.processes)), effects: float64(len(h.world.effects)),
		refused: h.world.refused, window: h.world.window}
	all, _ := h.store.Executions(context.Background(), 0, false)
	f.executions = float64(len(all))
	for _, e := range all {
		if e.Parent != "" {
			f.children++
		}
	}
	return f
}
