package engine_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/engine/enginetest"
)

// batches is a journal that remembers what each append wrote, and lets the test speak before one.
type batches struct {
	*enginetest.Journal
	seen   [][]astern.Record
	before func(records []astern.Record)
}

func (b *batches) Append(ctx context.Context, id string, fence int64, records ...astern.Record) error {
	if b.before != nil {
		b.before(records)
	}
	err := b.Journal.Append(ctx, id, fence, records...)
	if err == nil {
		b.seen = append(b.seen, records)
	}
	return err
}

// once runs f the first time that it is called with an append in which a record is of the kind.
func once(kind astern.RecordKind, f func()) func([]astern.Record) {
	return func(records []astern.Record) {
		if f != nil && slices.ContainsFunc(records, func(r astern.Record) bool { return r.Kind == kind }) {
			now := f
			f = nil
			now()
		}
	}
}

func TestResultAndNextIntentShareACommit(t *testing.T) {
	play(t, planOf(stepsOf("1.a", "1.b", "1.c")), func(s *scene) {
		b := &batches{Journal: s.journal}
		s.log = b
		s.ends(astern.OutcomeDone)
		if want := 5; len(b.seen) != want { // intent; result and intent, twice; result; end
			t.Errorf("%d commits, want %d: %v", len(b.seen), want, b.seen)
		}
	})
}

// writes returns when the result of the step is written, counted from now.
func (s *scene) writes(step string) *time.Duration {
	begun, written := time.Now(), time.Duration(-1)
	s.log = &batches{Journal: s.journal, before: func(records []astern.Record) {
		if slices.ContainsFunc(records, func(r astern.Record) bool { return r.Kind == astern.RecordOp && r.Step == step }) {
			written = time.Since(begun)
		}
	}}
	return &written
}

// TestInstantStepsTakeNoTime: nothing waits for an answer that is there.
func TestInstantStepsTakeNoTime(t *testing.T) {
	play(t, planOf(stepsOf("1.a", "1.b", "1.c")), func(s *scene) {
		written := s.writes("1.c")
		s.ends(astern.OutcomeDone)
		if *written != 0 {
			t.Errorf("the last of three steps was done after %s", *written)
		}
	})
}

// TestNewActionKeepsNobodyWaiting: what another lane answers is written at once, also where a step has just begun that takes long.
func TestNewActionKeepsNobodyWaiting(t *testing.T) {
	st := stepsOf("1.a", "1.b", "1.c")
	st.Parallel = 2
	play(t, planOf(st), func(s *scene) {
		s.world.start["1.a"] = takes(10*time.Millisecond, done())
		s.world.start["1.b"] = takes(9500*time.Microsecond, done())
		s.world.start["1.c"] = takes(time.Second, done())
		written := s.writes("1.a")
		s.ends(astern.OutcomeDone)
		if *written != 10*time.Millisecond {
			t.Errorf("a result that came after 10 ms was written after %s", *written)
		}
	})
}

// TestSlowPreparationHoldsNothingBack: a result is written when the next step takes long to prepare.
func TestSlowPreparationHoldsNothingBack(t *testing.T) {
	play(t, planOf(stepsOf("1.a", "1.b")), func(s *scene) {
		s.world.before = func(_ context.Context, call astern.Call) (astern.Image, error) {
			if call.Step == "1.b" {
				time.Sleep(time.Minute)
			}
			return nil, nil
		}
		written := s.writes("1.a")
		s.ends(astern.OutcomeDone)
		if *written > 5*time.Millisecond {
			t.Errorf("the result was written after %s", *written)
		}
		records := s.journal.Records()
		i := slices.IndexFunc(records, func(r astern.Record) bool { return r.Kind == astern.RecordOp && r.Step == "1.a" })
		j := slices.IndexFunc(records, func(r astern.Record) bool { return r.Kind == astern.RecordIntent && r.Step == "1.b" })
		if waited := records[j].At.Sub(records[i].At); waited != time.Minute {
			t.Errorf("the intent came %s after the result", waited)
		}
	})
}

// TestSpokenInBetween: what a person says between an answer and its commit counts as said before.
func TestSpokenInBetween(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    astern.RecordKind // of the record in whose commit somebody interrupts
		say     astern.RecordKind
		ends    astern.Outcome // "" when the run holds
		started int            // how many steps
	}{
		{"pause before the next intent", astern.RecordOp, astern.RecordPaused, "", 1},
		{"cancel before the next intent", astern.RecordOp, astern.RecordCancelled, astern.OutcomeCancelled, 1},
		{"cancel before the end", astern.RecordEnded, astern.RecordCancelled, astern.OutcomeCancelled, 2},
		{"a tick before the end", astern.RecordEnded, astern.RecordTicked, astern.OutcomeDone, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, planOf(stepsOf("1.a", "1.b")), func(s *scene) {
				s.log = &batches{Journal: s.journal, before: once(c.kind, func() { s.says(c.say, "") })}
				var told []int64
				e := engine.Engine{Journal: s.log, Clock: s.clock, Execution: "ex-1", Plan: s.plan, Fence: s.journal.Take(s.clock.Now()),
					Observe: func(r astern.Record) { told = append(told, r.Seq) },
					World:   engine.World{Observe: s.world.Observe, Actor: s.world, Stopper: s.world, Check: s.world.Check, Plan: s.world.Plan}}
				r, err := e.Run(context.Background())
				if err != nil || r.Outcome != c.ends || len(s.world.order("start")) != c.started {
					t.Errorf("%+v, %v, started %v", r, err, s.world.order("start"))
				}
				for i, seq := range told {
					if seq != int64(i)+1 {
						t.Fatalf("told of the records %v", told)
					}
				}
				if len(told) != len(s.journal.Records()) {
					t.Errorf("told of %d records of %d", len(told), len(s.journal.Records()))
				}
			})
		})
	}
}

// TestFailuresInBetween: whichever write or read fails, the engine stops with that error, and nothing was started whose
// intent is not in the journal.
func TestFailuresInBetween(t *testing.T) {
	for n := range 12 {
		for _, side := range []string{"read", "write"} {
			t.Run(fmt.Sprintf("%s %d", side, n), func(t *testing.T) {
				play(t, momentPlan(), func(s *scene) {
					calls := 0
					fail := func() error {
						if calls++; calls == n+1 {
							return errDisk
						}
						return nil
					}
					b := &batches{Journal: s.journal, before: once(astern.RecordOp, func() { s.says(astern.RecordTicked, "") })}
					j := interrupted{batches: b}
					if side == "read" {
						j.read = fail
					} else {
						j.write = fail
					}
					s.log = j
					_, err := s.life(context.Background())
					if calls > n && !errors.Is(err, errDisk) {
						t.Errorf("after %d calls: %v", calls, err)
					}
					for _, step := range s.world.order("start") {
						if !slices.ContainsFunc(s.journal.Records(), func(r astern.Record) bool { return r.Kind == astern.RecordIntent && r.Step == step }) {
							t.Errorf("%s was started without an intent", step)
						}
					}
				})
			})
		}
	}
}

// interrupted is batches that fail where the test says.
type interrupted struct {
	*batches
	read, write func() error
}

func (j interrupted) Read(ctx context.Context, id string, after int64) ([]astern.Record, error) {
	if j.read != nil {
		if err := j.read(); err != nil {
			return nil, err
		}
	}
	return j.batches.Read(ctx, id, after)
}

func (j interrupted) Append(ctx context.Context, id string, fence int64, r ...astern.Record) error {
	if j.write != nil {
		if err := j.write(); err != nil {
			return err
		}
	}
	return j.batches.Append(ctx, id, fence, r...)
}

// TestInterruptedWithAnswersPending: an engine that is told to stop writes down what it knows, and nothing new starts.
func TestInterruptedWithAnswersPending(t *testing.T) {
	for _, broken := range []bool{false, true} {
		play(t, planOf(stepsOf("1.a", "1.b")), func(s *scene) {
			ctx, stop := context.WithCancel(context.Background())
			s.world.before = func(_ context.Context, call astern.Call) (astern.Image, error) {
				if call.Step == "1.b" {
					stop()
				}
				return nil, nil
			}
			writes := 0
			s.log = errJournal{Journal: s.journal, write: func() error {
				if writes++; writes > 1 && broken {
					return errDisk
				}
				return nil
			}}
			_, err := s.life(ctx)
			if broken != errors.Is(err, errDisk) || !broken && astern.CodeOf(err) != astern.Interrupted {
				t.Errorf("broken %t: %v", broken, err)
			}
			if got := s.world.order("start"); !reflect.DeepEqual(got, []string{"1.a"}) {
				t.Errorf("started %v", got)
			}
			if !broken {
				s.wantStatus("1.a done", "1.b pending")
			}
		})
	}
}

// TestLeftOutIsIncomplete: a plan that leaves members out is not done when all of its steps are.
func TestLeftOutIsIncomplete(t *testing.T) {
	p := fleetOf(2, stepsOf("1.a"))
	p.Fleets[0].LeftOut = []astern.LeftOut{{Member: "m9", Because: "unreachable"}}
	play(t, p, func(s *scene) { s.ends(astern.OutcomeIncomplete) })
}

// TestPendingIsWrittenBeforeReading: when it is time to listen to people while an answer is pending, it is written first.
func TestPendingIsWrittenBeforeReading(t *testing.T) {
	play(t, planOf(stepsOf("1.a", "1.b")), func(s *scene) {
		s.world.start["1.a"] = takes(199*time.Millisecond, done())
		s.world.before = func(_ context.Context, call astern.Call) (astern.Image, error) {
			if call.Step == "1.b" {
				time.Sleep(time.Second)
			}
			return nil, nil
		}
		var failed time.Duration
		writes := 0
		s.log = errJournal{Journal: s.journal, write: func() error {
			if writes++; writes < 2 {
				return nil
			}
			failed = time.Since(s.world.begun)
			return errDisk
		}}
		if _, err := s.life(context.Background()); !errors.Is(err, errDisk) || failed != 200*time.Millisecond {
			t.Errorf("%v after %s", err, failed)
		}
	})
}

// TestIntentOfOtherOutputs: what was prepared with outputs that did not become true, for a person settled the step in
// between, is prepared again.
func TestIntentOfOtherOutputs(t *testing.T) {
	b := stepOf("1.b", func(s *astern.Step) { s.Args = map[string]astern.Arg{"of": astern.OutputOf("1.a", "is")} })
	for is, want := range map[string]int{"theirs": 0, "ours": 1} {
		now := time.Now()
		fold, err := engine.NewFold(planOf(astern.Stage{Steps: []astern.Step{stepOf("1.a", func(s *astern.Step) { s.Outputs = map[string]string{"is": "string"} }), b}}))
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range []astern.Record{
			{Kind: astern.RecordTaken, Fence: 1},
			{Kind: astern.RecordIntent, Step: "1.a", Attempt: 1, Call: &astern.Call{Deadline: now.Add(time.Minute)}},
			{Kind: astern.RecordOp, Step: "1.a", Attempt: 1, Op: &astern.Op{Status: astern.OpDone, Outputs: outputs("is", is).Outputs}},
		} {
			r.Seq, r.At = int64(i+1), now
			fold.Apply(r)
		}
		intent := astern.Record{Kind: astern.RecordIntent, Step: "1.b", Attempt: 1, Call: &astern.Call{Step: "1.b", Args: outputs("of", "ours").Outputs}}
		if got := fold.News([]astern.Record{intent}, now); len(got) != want {
			t.Errorf("1.a is %s, and the intent prepared with ours gives %d records, want %d", is, len(got), want)
		}
	}
}
