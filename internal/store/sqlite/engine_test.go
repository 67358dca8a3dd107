package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/proof"
)

// effects is a world in which each step has one effect, found again by its token.
type effects struct {
	done   map[string]string // token -> step
	found  int               // effects that Find brought back
	absent int
}

func (e *effects) Before(context.Context, astern.Call) (astern.Image, error) { return nil, nil }

func (e *effects) Start(_ context.Context, c astern.Call) astern.Op {
	e.done[c.Token] = c.Step
	return astern.Op{Status: astern.OpDone}
}

func (e *effects) Find(_ context.Context, c astern.Call) astern.Found {
	if _, ok := e.done[c.Token]; !ok {
		e.absent++
		return astern.Found{Answer: astern.FoundNo, Because: "no effect has its token"}
	}
	e.found++
	return astern.Found{Answer: astern.FoundYes, Op: &astern.Op{Status: astern.OpDone}}
}

func (e *effects) Poll(_ context.Context, _ astern.Call, op astern.Op) astern.Op { return op }

const enginePlanSteps = 8

func enginePlan() astern.Plan {
	stage := astern.Stage{Title: "stage", OnFailure: astern.OnFailureHold}
	for i := range enginePlanSteps {
		stage.Steps = append(stage.Steps, astern.Step{ID: fmt.Sprint("1.s", i), Address: "e/c", Kind: "k", Verb: "v", Title: "step",
			Undo: astern.UndoNone, Attempts: 3, TimeoutSeconds: 60, HoldSeconds: 30, Command: "true"})
	}
	return astern.Plan{Kind: "Plan", Version: astern.PlanVersion, ID: "p", System: "s", Stages: []astern.Stage{stage}}
}

// engineLife opens the store, takes its one execution, made if need be, and runs the engine on it.
func engineLife(ctx context.Context, folder string, m medium, e *effects) (astern.Outcome, error) {
	s, err := openOn(ctx, folder, m)
	if err != nil {
		return "", err
	}
	defer s.Close()
	if err := s.PutPlan(ctx, "the-plan", []byte("{}"), at); err != nil {
		return "", err
	}
	made, _, err := s.CreateExecution(ctx, astern.Execution{PlanHash: "the-plan", CreatedAt: at, Addresses: []string{"e/c"}}, 0)
	if err != nil || made.Outcome != "" {
		return made.Outcome, err
	}
	fence, err := s.Take(ctx, made.ID, astern.Runner{Host: "h", PID: 1}, func(astern.Runner) bool { return false }, 0, at)
	if err != nil {
		return "", err
	}
	run := engine.Engine{Journal: s, World: engine.World{Actor: e}, Clock: engine.SystemClock{}, Execution: made.ID, Fence: fence, Plan: enginePlan()}
	r, err := run.Run(ctx)
	if err == nil && r.Outcome == "" {
		err = fmt.Errorf("it holds: %v", r.Holds)
	}
	return r.Outcome, err
}

// TestEngineOnFailingDisk carries a plan out with the real engine while commits fail and the power is cut, again and again,
// until it ends. No effect may be without its intent in what the disk kept, none may happen twice, and none be forgotten.
func TestEngineOnFailingDisk(t *testing.T) {
	t.Setenv("TMPDIR", QuickFolder())
	const share = 40
	first, count := proof.Seeds(t, share)
	figures := map[string]float64{}
	for seed := first; seed < first+count; seed++ {
		engineOnFailingDisk(t, seed, figures)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if figures["results_found_again"] == 0 && count >= share { // of a few trials none may come to that
		t.Errorf("the trials prove nothing: %v", figures)
	}
	proof.Figures(t, figures)
}

func engineOnFailingDisk(t *testing.T, seed uint64, figures map[string]float64) {
	random := rand.New(rand.NewPCG(seed, 2))
	e := &effects{done: map[string]string{}}
	base := t.TempDir()
	folder := filepath.Join(base, "0")
	var outcome astern.Outcome
	for n := 0; outcome == ""; n++ {
		if n == 200 {
			t.Fatal("it never ends")
		}
		d := newDisk(t, folder, random)
		cut := random.IntN(2) == 0
		if cut {
			d.cutAt = 1 + random.IntN(400)
		} else {
			from := 30 + random.IntN(170)
			d.fault = fault{from: from, to: from + random.IntN(20), calls: []string{"Sync -wal", "WriteAt -wal"}[random.IntN(2):],
				with: []error{sqlite3.IOERR_FSYNC, sqlite3.FULL}[random.IntN(2)], drop: true}
		}
		var err error
		if outcome, err = engineLife(t.Context(), folder, d.medium(), e); err != nil {
			figures["lives_ended_by_a_failure"]++
		}
		if cut {
			outcome = "" // nobody heard of it
			folder = filepath.Join(base, fmt.Sprint(n+1))
			put(t, folder, d.off())
		}
		judgeEffects(t, folder, e, outcome)
		if t.Failed() {
			t.Fatalf("life %d (cut %t, fault %+v) ended with %q, %v", n, cut, d.fault, outcome, err)
		}
	}
	figures["executions"]++
	figures["results_found_again"] += float64(e.found)
	figures["intents_without_effect"] += float64(e.absent)
}

// judgeEffects compares the world with the journal as whoever comes next reads it.
func judgeEffects(t *testing.T, folder string, e *effects, outcome astern.Outcome) {
	t.Helper()
	s, err := OpenReadOnly(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	intents := map[string]bool{}
	if len(e.done) > 0 {
		records, err := s.Read(t.Context(), "ex-1", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if r.Kind == astern.RecordIntent {
				intents[r.Call.Token] = true
			}
		}
	}
	steps := map[string]int{}
	for token, step := range e.done {
		if steps[step]++; steps[step] > 1 {
			t.Errorf("%s happened %d times", step, steps[step])
		}
		if !intents[token] {
			t.Errorf("%s happened, and the journal has no intent for it", step)
		}
	}
	if outcome == astern.OutcomeDone && len(steps) != enginePlanSteps {
		t.Errorf("done, and %d steps of %d happened", len(steps), enginePlanSteps)
	}
}

// TestFailedCommit fails commits in three ways: the caller learns that nobody knows, the file is opened anew, what is read
// then stays true, and the store works on.
func TestFailedCommit(t *testing.T) {
	for _, c := range []struct {
		call, hint string
		with       error
	}{
		{"Sync -wal", "dmesg", sqlite3.IOERR_FSYNC}, {"WriteAt -wal", "dmesg", sqlite3.IOERR_WRITE}, {"WriteAt -wal", "free space", sqlite3.FULL},
	} {
		t.Run(c.call+" "+c.hint, func(t *testing.T) {
			folder, ctx := t.TempDir(), t.Context()
			d := newDisk(t, folder, rand.New(rand.NewPCG(1, 3)))
			s, err := openOn(ctx, folder, d.medium())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.PutPlan(ctx, "before-it", []byte("{}"), at); err != nil {
				t.Fatal(err)
			}
			d.breakFrom(1, 1, c.call, c.with) // one call fails, and the next ones work
			opened := d.opened()
			err = s.PutPlan(ctx, "the-failed", []byte("{}"), at)
			wantUnknown(t, err, folder, c.hint)
			if d.opened() == opened || s.doubtful {
				t.Error("the file was not opened anew")
			}
			wantPlans(t, s, "before-it")
			d.breakFrom(1, 1000, c.call, c.with) // all of them fail
			wantUnknown(t, s.PutPlan(ctx, "the-second", []byte("{}"), at), folder, c.hint)
			err = s.PutPlan(ctx, "not-tried", []byte("{}"), at)
			if err == nil || !strings.Contains(err.Error(), "opening the file anew after a failure") || astern.HintOf(err) == "" {
				t.Errorf("got %v", err)
			}
			wantPlans(t, s, "before-it")
			d.breakFrom(0, 0, "", nil)
			if err := s.PutPlan(ctx, "afterwards", []byte("{}"), at); err != nil {
				t.Fatalf("the disk works again: %v", err)
			}
			wantPlans(t, s, "afterwards", "before-it")
		})
	}
}

func wantUnknown(t *testing.T, err error, folder, hint string) {
	t.Helper()
	if !errors.Is(err, ErrUnknownCommit) || astern.CodeOf(err) != astern.Internal || !strings.Contains(err.Error(), folder) ||
		!strings.Contains(astern.HintOf(err), hint) {
		t.Errorf("got %v (%s)", err, astern.HintOf(err))
	}
}

func wantPlans(t *testing.T, s *Store, want ...string) {
	t.Helper()
	plans, err := s.Plans(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range plans {
		got = append(got, p.Hash)
	}
	if !slices.Equal(got, want) {
		t.Errorf("plans %v, want %v", got, want)
	}
}
