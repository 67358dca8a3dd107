package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
)

// moments is a plan of four steps and a gate; at is when a person speaks: in the middle of what the name says.
var moments = []struct {
	name string
	at   time.Duration
	set  func(s *scene)
}{
	{"facts are read", 500 * time.Millisecond, func(s *scene) {
		s.world.observe = func(context.Context, string) error { time.Sleep(2 * time.Second); return nil }
	}},
	{"a before-image is taken", 500 * time.Millisecond, func(s *scene) {
		s.world.before = func(context.Context, astern.Call) (astern.Image, error) { time.Sleep(2 * time.Second); return nil, nil }
	}},
	{"a step starts", 500 * time.Millisecond, func(s *scene) { s.world.start["1.a"] = takes(2*time.Second, done()) }},
	{"a step runs", 5 * time.Second, func(s *scene) {
		s.world.start["1.a"] = does(underWay(""))
		s.world.poll["1.a"] = func(context.Context, astern.Call, astern.Op) astern.Op {
			if s.world.count("poll 1.a") < 20 {
				return underWay("")
			}
			return done()
		}
	}},
	{"an effect is looked for", 5 * time.Second, func(s *scene) {
		s.world.start["1.a"] = does(unsure())
		s.world.find["1.a"] = func(context.Context, astern.Call) astern.Found {
			if op := done(); s.world.count("find 1.a") > 5 {
				return astern.Found{Answer: astern.FoundYes, Op: &op}
			}
			return astern.Found{Answer: astern.FoundUnknown}
		}
	}},
	{"a step waits for its retry", 250 * time.Millisecond, func(s *scene) { s.world.start["1.a"] = does(fails(astern.Throttled), done()) }},
	{"facts can't be read", 5 * time.Second, func(s *scene) {
		s.world.observe = func(context.Context, string) error {
			if time.Since(s.world.begun) < 20*time.Second {
				return astern.Errorf(astern.Unavailable, "no answer")
			}
			return nil
		}
	}},
	{"a gate bakes", 20 * time.Second, func(*scene) {}},
	{"checks are made", 500 * time.Millisecond, func(s *scene) {
		s.world.check = func(context.Context, astern.Check) astern.CheckResult {
			time.Sleep(4 * time.Second)
			return astern.CheckResult{Verdict: astern.Pass}
		}
	}},
	{"many steps are polled at once", 5 * time.Second, func(s *scene) {
		for _, id := range []string{"1.a", "1.b", "1.c", "1.d"} {
			quick := astern.Op{Status: astern.OpRunning, PollSeconds: 0.1}
			s.world.start[id] = does(quick)
			s.world.poll[id] = func(context.Context, astern.Call, astern.Op) astern.Op {
				if time.Since(s.world.begun) < 20*time.Second {
					return quick
				}
				return done()
			}
		}
	}},
}

func momentPlan() astern.Plan {
	st := stepsOf("1.a", "1.b", "1.c", "1.d")
	st.Parallel = 4
	st.Gate = &astern.Gate{Checks: []string{"ok"}, BakeSeconds: 60, IntervalSeconds: 5, TimeoutSeconds: 60}
	p := planOf(st, stepsOf("2.e"))
	p.Facts = []astern.Fact{{Address: "e/c", Path: "link", Value: "v1", Steps: []string{"1.a"}}}
	return p
}

// startedAfter returns the steps that were started later than a second after the time.
func (s *scene) startedAfter(at time.Duration) []string {
	var out []string
	for i, c := range s.world.calls {
		if strings.HasPrefix(c, "start ") && s.world.times[i] > at+time.Second {
			out = append(out, c)
		}
	}
	return out
}

func TestPauseAndResumeAtEachMoment(t *testing.T) {
	for _, m := range moments {
		t.Run(m.name, func(t *testing.T) {
			play(t, momentPlan(), func(s *scene) {
				m.set(s)
				life := s.begin(context.Background())
				time.Sleep(m.at)
				s.says(astern.RecordPaused, "")
				r := <-life
				if r.err != nil || len(r.Holds) != 1 || r.Holds[0].Kind != engine.HoldPaused || !s.fold().Paused() {
					t.Fatalf("%+v", r)
				}
				if late := s.startedAfter(m.at); len(late) > 0 {
					t.Errorf("after the pause: %v", late)
				}
				for _, st := range s.status() {
					if strings.HasSuffix(st, "running") || strings.HasSuffix(st, "unsure") {
						t.Errorf("paused while %s", st)
					}
				}
				time.Sleep(time.Hour)
				s.says(astern.RecordResumed, "")
				s.ends(astern.OutcomeDone)
			})
		})
	}
}

func TestCancelAtEachMoment(t *testing.T) {
	for _, m := range moments {
		t.Run(m.name, func(t *testing.T) {
			play(t, momentPlan(), func(s *scene) {
				m.set(s)
				life := s.begin(context.Background())
				time.Sleep(m.at)
				s.says(astern.RecordCancelled, "")
				if r := <-life; r.err != nil || r.Outcome != astern.OutcomeCancelled {
					t.Fatalf("%+v", r)
				}
				if late := s.startedAfter(m.at); len(late) > 0 {
					t.Errorf("after the cancel: %v", late)
				}
			})
		})
	}
	t.Run("not while a step is unsure", func(t *testing.T) {
		play(t, planOf(stepsOf("1.a")), func(s *scene) {
			s.world.start["1.a"] = does(unsure())
			s.world.find["1.a"] = answers(astern.FoundUnknown, nil)
			s.says(astern.RecordCancelled, "")
			s.journal.Say(astern.Record{At: s.clock.Now(), Kind: astern.RecordResumed})
			s.ends(astern.OutcomeCancelled) // nothing was begun
		})
		play(t, planOf(stepsOf("1.a")), func(s *scene) {
			s.world.start["1.a"] = does(unsure())
			s.world.find["1.a"] = answers(astern.FoundUnknown, nil)
			life := s.begin(context.Background())
			time.Sleep(3 * time.Second)
			s.says(astern.RecordCancelled, "")
			if r := <-life; r.err != nil || len(r.Holds) != 1 || r.Holds[0].Kind != engine.HoldUnsure {
				t.Fatalf("%+v", r)
			}
			s.settles("1.a", fails(astern.Unavailable))
			s.ends(astern.OutcomeCancelled)
			s.wantCount("start 1.a", 1)
		})
	})
}

func TestInterruptWaitsForWhatIsUnderWayAndWritesItDown(t *testing.T) {
	for _, m := range moments {
		t.Run(m.name, func(t *testing.T) {
			play(t, momentPlan(), func(s *scene) {
				m.set(s)
				ctx, stop := context.WithCancel(context.Background())
				life := s.begin(ctx)
				time.Sleep(m.at)
				stop()
				r := <-life
				if astern.CodeOf(r.err) != astern.Interrupted || astern.HintOf(r.err) == "" {
					t.Fatalf("%+v", r)
				}
				if late := s.startedAfter(m.at); len(late) > 0 {
					t.Errorf("after the interrupt: %v", late)
				}
				for _, st := range s.fold().Steps() { // an intent is written only where a start follows
					if n := s.world.count("start " + st.ID); n != st.Attempt {
						t.Errorf("%s: %d intents, %d starts", st.ID, st.Attempt, n)
					}
				}
				time.Sleep(5 * time.Second)
				s.ends(astern.OutcomeDone)
				for _, id := range []string{"1.b", "1.c", "1.d", "2.e"} {
					s.wantCount("start "+id, 1)
				}
			})
		})
	}
	t.Run("before anything", func(t *testing.T) {
		play(t, momentPlan(), func(s *scene) {
			ctx, stop := context.WithCancel(context.Background())
			stop()
			if _, err := s.life(ctx); astern.CodeOf(err) != astern.Interrupted || len(s.world.calls) > 0 {
				t.Errorf("%v %v", err, s.world.calls)
			}
		})
	})
}

func TestFencedEngineStops(t *testing.T) {
	for _, m := range moments {
		t.Run(m.name, func(t *testing.T) {
			play(t, momentPlan(), func(s *scene) {
				m.set(s)
				life := s.begin(context.Background())
				time.Sleep(m.at)
				s.journal.Take(s.clock.Now())
				before := len(s.journal.Records())
				if r := <-life; !errors.Is(r.err, engine.ErrFenced) {
					t.Fatalf("%+v", r)
				}
				if n := len(s.journal.Records()); n != before {
					t.Errorf("it wrote %d records", n-before)
				}
				if late := s.startedAfter(m.at); len(late) > 0 {
					t.Errorf("after it was fenced: %v", late)
				}
			})
		})
	}
	t.Run("before it began", func(t *testing.T) {
		play(t, momentPlan(), func(s *scene) {
			e := engine.Engine{Journal: s.journal, Clock: s.clock, Plan: s.plan, Fence: s.journal.Take(s.clock.Now())}
			s.journal.Take(s.clock.Now())
			if _, err := e.Run(context.Background()); !errors.Is(err, engine.ErrFenced) {
				t.Error(err)
			}
			e.Fence = 99 // nobody has taken it under this one
			if _, err := e.Run(context.Background()); !errors.Is(err, engine.ErrFenced) {
				t.Error(err)
			}
		})
	})
}

func TestJournalThatFailsStopsTheEngineAtOnce(t *testing.T) {
	for _, how := range []string{"read", "write"} {
		for n := range 12 {
			t.Run(fmt.Sprintf("%s %d", how, n), func(t *testing.T) {
				play(t, momentPlan(), func(s *scene) {
					asked := 0
					fail := func() error {
						if asked++; asked > n {
							return errDisk
						}
						return nil
					}
					s.log = errJournal{s.journal, fail, nil}
					if how == "write" {
						s.log = errJournal{s.journal, nil, fail}
					}
					_, err := s.life(context.Background())
					if !errors.Is(err, errDisk) || asked != n+1 {
						t.Fatalf("asked %d times: %v", asked, err)
					}
					calls := len(s.world.calls)
					time.Sleep(time.Hour)
					if len(s.world.calls) != calls {
						t.Error("something went on")
					}
					s.log = s.journal
					s.ends(astern.OutcomeDone)
				})
			})
		}
	}
	t.Run("with the end", func(t *testing.T) {
		play(t, planOf(stepsOf("1.a")), func(s *scene) {
			n := 0
			s.log = errJournal{s.journal, nil, func() error {
				if n++; n == 3 {
					return errDisk
				}
				return nil
			}}
			if r, err := s.life(context.Background()); !errors.Is(err, errDisk) || r.Outcome != "" {
				t.Errorf("%+v %v", r, err)
			}
		})
	})
}

func TestNoEffectWithoutItsIntent(t *testing.T) {
	play(t, planOf(stepsOf("1.a")), func(s *scene) {
		s.log = errJournal{s.journal, nil, func() error { return errDisk }}
		if _, err := s.life(context.Background()); !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
		s.wantCount("start 1.a", 0)
	})
}

func TestObserverSeesEveryRecordOnceInOrder(t *testing.T) {
	play(t, momentPlan(), func(s *scene) {
		s.journal.Take(s.clock.Now())
		var seen []int64
		e := engine.Engine{Journal: s.journal, Clock: s.clock, Execution: "ex-1", Plan: s.plan, Fence: s.journal.Take(s.clock.Now()),
			LookEvery: 50 * time.Millisecond, Observe: func(r astern.Record) { seen = append(seen, r.Seq) },
			World: engine.World{Observe: s.world.Observe, Actor: s.world, Stopper: s.world, Check: s.world.Check, Plan: s.world.Plan}}
		if _, err := e.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		var want []int64
		for _, r := range s.journal.Records() {
			want = append(want, r.Seq)
		}
		if !slices.Equal(seen, want) {
			t.Errorf("saw %v", seen)
		}
	})
}

func TestAnswersAreWrittenInBatches(t *testing.T) {
	p := fleetOf(100, stepsOf("1.a"))
	p.Stages[0].Parallel = 100
	play(t, p, func(s *scene) {
		for m := range 100 {
			s.world.start[fmt.Sprintf("1.a@m%d", m)] = takes(time.Second, done())
		}
		writes := 0
		s.log = errJournal{s.journal, nil, func() error { writes++; return nil }}
		s.ends(astern.OutcomeDone)
		if writes > 120 {
			t.Errorf("%d writes for 100 steps", writes)
		}
	})
}

func TestSystemClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := engine.SystemClock{}
		begun := c.Now()
		if at := <-c.After(time.Minute); at.Sub(begun) != time.Minute {
			t.Error(at)
		}
	})
}

func TestPhasesAddUpToTheWholeTime(t *testing.T) {
	first := stepsOf("1.a")
	first.Gate = &astern.Gate{Checks: []string{"ok"}, BakeSeconds: 60, IntervalSeconds: 5, TimeoutSeconds: 60}
	proof := astern.Stage{Title: "validate", OnFailure: astern.OnFailureHold, Gate: &astern.Gate{Checks: []string{"ok"}, BakeSeconds: 100, IntervalSeconds: 5, TimeoutSeconds: 60}}
	play(t, planOf(first, stepsOf("2.b"), proof, stepsOf("4.c")), func(s *scene) {
		s.world.start["1.a"] = takes(20*time.Second, done())
		s.world.start["2.b"] = does(fails(astern.Denied), done())
		s.holds("failed 2.b")
		time.Sleep(1000 * time.Second) // for a person
		s.says(astern.RecordResumed, "")
		s.says(astern.RecordPaused, "")
		s.holds("paused")
		time.Sleep(500 * time.Second)
		s.says(astern.RecordResumed, "")
		s.ends(astern.OutcomeDone)
		took := time.Since(s.world.begun)
		s.journal.Say(astern.Record{At: s.clock.Now().Add(time.Hour), Kind: astern.RecordTicked, Step: "1.a", Text: "health"}) // is no part of it
		_, ph, err := engine.FoldJournal(s.plan, s.journal.Records())
		if err != nil {
			t.Fatal(err)
		}
		near := func(name string, got, want float64) {
			if got < want || got > want+15 {
				t.Errorf("%s: %.1f s, want %.1f", name, got, want)
			}
		}
		near("execute", ph.ExecuteSeconds, 20)
		near("settle", ph.SettleSeconds, 60+1000+500)
		near("prove", ph.ProveSeconds, 100)
		if d := ph.Total() - took.Seconds(); d > 0.01 || d < -0.01 {
			t.Errorf("the phases are %.2f s, it took %.2f s", ph.Total(), took.Seconds())
		}
	})
	t.Run("a clock that was set back takes no time", func(t *testing.T) {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		_, ph, err := engine.FoldJournal(planOf(stepsOf("1.a")), []astern.Record{{Seq: 1, At: at, Kind: astern.RecordTaken, Fence: 1},
			{Seq: 2, At: at.Add(-time.Hour), Kind: astern.RecordTaken, Fence: 2}, {Seq: 3, At: at.Add(-time.Hour + time.Minute), Kind: astern.RecordTaken, Fence: 3}})
		if err != nil || ph.Total() != 60 {
			t.Errorf("%+v %v", ph, err)
		}
	})
}

func TestDecideSaysWhatIsDoneAlready(t *testing.T) {
	play(t, planOf(stepsOf("1.a")), func(s *scene) {
		s.ends(astern.OutcomeDone)
		actions, err := engine.Next(s.plan, s.journal.Records(), s.clock.Now())
		if err != nil || actions != nil {
			t.Errorf("%v %v", actions, err)
		}
		if n := len(s.fold().News([]astern.Record{{Kind: astern.RecordIntent, Step: "1.a", Attempt: 2, Call: &astern.Call{}}}, s.clock.Now())); n != 0 {
			t.Error("an intent after the end")
		}
	})
}

// What is said of a step between the last stage and the end changes nothing.
func TestSaidAfterTheLastStage(t *testing.T) {
	p := planOf(stepsOf("1.a", "1.b"))
	p.Stages[0].Parallel, p.Stages[0].Tolerate = 2, 1
	f, err := engine.NewFold(p)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 3, 4, 5, 0, time.UTC)
	ops := map[string]astern.Op{"1.a": fails(astern.Denied), "1.b": done()}
	records := []astern.Record{{Kind: astern.RecordTaken, Fence: 7}}
	for _, id := range []string{"1.a", "1.b"} {
		op := ops[id]
		records = append(records, astern.Record{Kind: astern.RecordIntent, Step: id, Attempt: 1, Call: &astern.Call{Step: id}},
			astern.Record{Kind: astern.RecordOp, Step: id, Attempt: 1, Op: &op})
	}
	records = append(records, astern.Record{Kind: astern.RecordSkipped, Step: "1.a", Text: "too late"})
	for i, r := range records {
		r.Seq, r.At = int64(i+1), at
		f.Apply(r)
	}
	if f.Seq() != 6 || f.Fence() != 7 || f.Stage() != 2 || f.Outcome() != "" || f.Child() != "" {
		t.Errorf("record %d, fence %d, stage %d, outcome %q, child %q", f.Seq(), f.Fence(), f.Stage(), f.Outcome(), f.Child())
	}
	f.Apply(astern.Record{Seq: 7, At: at, Kind: astern.RecordChild, Text: "hash-of-a-child", Outcome: astern.OutcomeContinued})
	f.Apply(astern.Record{Seq: 8, At: at, Kind: astern.RecordEnded, Outcome: astern.OutcomeDone})
	if f.Outcome() != astern.OutcomeDone {
		t.Errorf("outcome %q", f.Outcome())
	}
}
