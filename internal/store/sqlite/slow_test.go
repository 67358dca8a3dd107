package sqlite

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/proof"
)

// A disk that takes half a second for each sync, and a step that takes a tenth.
const (
	slowSync = 500 * time.Millisecond
	slowStep = 100 * time.Millisecond
)

// slowWorld notes when each step began, and asks the journal whether its intent was there before.
type slowWorld struct {
	effects
	t     *testing.T
	d     *disk
	mu    sync.Mutex
	began []time.Time
	first chan struct{} // closed when the first step begins
}

// Start begins a step.
func (w *slowWorld) Start(ctx context.Context, c astern.Call) astern.Op {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began = append(w.began, time.Now()); len(w.began) == 1 {
		close(w.first)
	}
	// What a power cut now would leave: only what was synced.
	if !strings.Contains(w.d.durable(), c.Token) {
		w.t.Errorf("%s began without its intent on the disk", c.Step)
	}
	time.Sleep(slowStep)
	return w.effects.Start(ctx, c)
}

// durable returns the bytes of all files as they are on the disk.
func (d *disk) durable() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all strings.Builder
	for _, c := range d.synced {
		all.Write(c.kept)
	}
	return all.String()
}

// TestSlowDisk carries a plan out on a disk that takes half a second for each sync, while a second process (a store of its
// own on the same files) pauses, resumes and cancels it. Nobody gets a busy error, nothing begins without its intent on
// the disk, and what was said is obeyed at the next step within a second beyond the syncs that are under way.
func TestSlowDisk(t *testing.T) {
	t.Setenv("TMPDIR", QuickFolder())
	first, count := proof.Seeds(t, 12)
	for seed := first; seed < first+count; seed++ {
		folder := t.TempDir()
		synctest.Test(t, func(t *testing.T) { slowDisk(t, folder, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	proof.Figures(t, map[string]float64{"executions": float64(count)})
}

func slowDisk(t *testing.T, folder string, seed uint64) {
	ctx := t.Context()
	random := rand.New(rand.NewPCG(seed, 5))
	word := []astern.RecordKind{astern.RecordPaused, astern.RecordCancelled, ""}[seed%3]
	d := newDisk(t, folder, random)
	d.slow = slowSync
	ours, theirs := slowStore(t, folder, d), slowStore(t, folder, d)
	if err := ours.PutPlan(ctx, "the-plan", []byte("{}"), at); err != nil {
		t.Fatal(err)
	}
	made, _, err := ours.CreateExecution(ctx, astern.Execution{PlanHash: "the-plan", CreatedAt: time.Now(), Addresses: []string{"e/c"}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	fence, err := ours.Take(ctx, made.ID, astern.Runner{Host: "h", PID: 1}, func(astern.Runner) bool { return false }, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w := &slowWorld{effects: effects{done: map[string]string{}}, t: t, d: d, first: make(chan struct{})}
	run := engine.Engine{Journal: ours, World: engine.World{Actor: w}, Clock: engine.SystemClock{}, Execution: made.ID, Fence: fence, Plan: enginePlan()}
	ran := make(chan error, 1)
	var result engine.Result
	go func() {
		var err error
		result, err = run.Run(ctx)
		ran <- err
	}()
	<-w.first
	time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond) // somewhere in the first half of the plan
	said := time.Now()
	if word != "" {
		said = say(t, theirs, made.ID, word)
	}
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	w.judge(word, said, result)
	if word != astern.RecordPaused {
		return
	}
	say(t, theirs, made.ID, astern.RecordResumed)
	if result, err = run.Run(ctx); err != nil {
		t.Fatal(err)
	}
	w.judge("", said, result)
}

func slowStore(t *testing.T, folder string, d *disk) *Store {
	t.Helper()
	s, err := openOn(t.Context(), folder, d.medium())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// say writes a person's word from the other process, and returns when it was on the disk.
func say(t *testing.T, s *Store, id string, word astern.RecordKind) time.Time {
	t.Helper()
	before := time.Now()
	if err := s.Append(t.Context(), id, 0, astern.Record{Kind: word, By: "eve", At: before}); err != nil {
		t.Fatalf("%s: %v", word, err)
	}
	t.Logf("%s took %s", word, time.Since(before))
	return time.Now()
}

// judge looks at what was done, and when.
func (w *slowWorld) judge(word astern.RecordKind, said time.Time, r engine.Result) {
	w.t.Helper()
	var steps []string
	for _, step := range w.done {
		steps = append(steps, step)
	}
	slices.Sort(steps)
	if len(slices.Compact(steps)) != len(w.done) || len(w.began) != len(w.done) {
		w.t.Errorf("%d steps, %d begun: %v", len(w.done), len(w.began), steps)
	}
	last := w.began[len(w.began)-1].Sub(said)
	w.t.Logf("%d steps; the last began %s after the word was said; %+v", len(steps), last, r)
	switch word {
	case "":
		if len(steps) != enginePlanSteps || r.Outcome != astern.OutcomeDone {
			w.t.Errorf("the plan was not carried out: %v, %+v", steps, r)
		}
		return
	case astern.RecordCancelled:
		if r.Outcome != astern.OutcomeCancelled {
			w.t.Errorf("it was not cancelled: %+v", r)
		}
	case astern.RecordPaused:
		if r.Outcome != "" || len(r.Holds) != 1 || r.Holds[0].Kind != engine.HoldPaused {
			w.t.Errorf("it does not say that it is paused: %+v", r)
		}
	}
	late := 0
	for _, at := range w.began {
		if at.After(said) {
			late++
		}
	}
	if late > 1 || last > time.Second+slowSync {
		w.t.Errorf("%d steps began after the word was on the disk, the last %s after it", late, last)
	}
}
