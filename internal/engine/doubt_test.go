package engine_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

func TestEffectInDoubtIsFoundBeforeAnythingElse(t *testing.T) {
	settles := func(s *astern.Step) { s.SettleSeconds = 10 }
	op := outputs("x", "y")
	running := underWay("half")
	tests := map[string]struct {
		find   func(context.Context, astern.Call) astern.Found
		starts int
		hold   string
	}{
		"there":             {answers(astern.FoundYes, &op), 1, ""},
		"there, under way":  {answers(astern.FoundYes, &running), 1, ""},
		"not there":         {answers(astern.FoundNo, nil), 2, ""},
		"can't tell":        {answers(astern.FoundUnknown, nil), 1, "unsure 1.a: so it is"},
		"yes, but not what": {answers(astern.FoundYes, nil), 1, "unsure 1.a: so it is"},
		"no answer":         {answers("", nil), 1, "unsure 1.a: so it is"},
		"a panic":           {func(context.Context, astern.Call) astern.Found { panic("oh") }, 1, "unsure 1.a: the driver panicked: oh"},
		"never an answer": {func(ctx context.Context, _ astern.Call) astern.Found {
			<-ctx.Done()
			return astern.Found{Answer: astern.FoundUnknown, Because: context.Cause(ctx).Error()}
		}, 1, "unsure 1.a: no answer within 1m10s"},
	}
	for name, tc := range tests {
		for _, lost := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, lost reply %t", name, lost), func(t *testing.T) {
				play(t, planOf(astern.Stage{Steps: []astern.Step{stepOf("1.a", settles)}}), func(s *scene) {
					s.world.find["1.a"] = tc.find
					s.world.start["1.a"] = does(unsure(), done())
					if !lost {
						s.journal.Crash = func() (bool, bool) { return false, true }
						_, _ = s.life(context.Background()) // it dies right after the intent was written
						s.journal.Crash = nil
						s.wantCount("start 1.a", 0)
						s.world.start["1.a"] = does(done())
						tc.starts--
					}
					if tc.hold != "" {
						s.holds(tc.hold)
						s.says(astern.RecordResumed, "") // asks again for as long
						s.holds(tc.hold)
					} else {
						s.ends(astern.OutcomeDone)
					}
					s.wantCount("start 1.a", tc.starts)
					if took := time.Since(s.world.begun); name == "not there" && took < 10*time.Second {
						t.Errorf("believed it after %s", took)
					}
				})
			})
		}
	}
}

func TestLostRepliesCountAsAttempts(t *testing.T) {
	play(t, planOf(stepsOf("1.a")), func(s *scene) {
		s.world.start["1.a"] = does(unsure())
		s.holds("failed 1.a: no reply")
		s.wantCount("start 1.a", 3)
	})
}

func TestPersonSettlesWhatIsInDoubt(t *testing.T) {
	for name, done := range map[string]bool{"done": true, "not done": false} {
		t.Run(name, func(t *testing.T) {
			b := stepOf("1.b", func(s *astern.Step) { s.Args = map[string]astern.Arg{"x": astern.OutputOf("1.a", "x")} })
			play(t, planOf(astern.Stage{Steps: []astern.Step{stepOf("1.a", func(s *astern.Step) { s.Attempts = 1 }), b}}), func(s *scene) {
				s.world.start["1.a"] = does(unsure(), outputs("x", "by itself"))
				s.world.find["1.a"] = answers(astern.FoundUnknown, nil)
				s.holds("unsure 1.a")
				want, op := "by itself", fails(astern.Unavailable)
				if done {
					want, op = "by hand", outputs("x", "by hand")
				}
				s.settles("1.a", op)
				s.settles("1.a", op) // said twice it means the same
				s.ends(astern.OutcomeDone)
				if got := s.world.call("1.b").Text("x"); got != want {
					t.Errorf("the output is %q", got)
				}
			})
		})
	}
}

func TestSettledWhileItIsLookedFor(t *testing.T) {
	for name, op := range map[string]astern.Op{"done": done(), "not done": fails(astern.Unavailable)} {
		t.Run(name, func(t *testing.T) {
			play(t, planOf(stepsOf("1.a", "1.b")), func(s *scene) {
				s.world.start["1.a"] = func(context.Context, astern.Call) astern.Op {
					if s.world.count("start 1.a") == 1 {
						return unsure()
					}
					time.Sleep(20 * time.Second)
					return done()
				}
				s.world.find["1.a"] = func(context.Context, astern.Call) astern.Found {
					s.settles("1.a", op)
					time.Sleep(10 * time.Second) // its answer comes when it is no longer asked
					return astern.Found{Answer: astern.FoundNo}
				}
				s.ends(astern.OutcomeDone)
				s.wantStatus("1.a done", "1.b done")
				want := 2
				if name == "done" {
					want = 1
				}
				s.wantCount("start 1.a", want)
			})
		})
	}
	t.Run("not while it is being started", func(t *testing.T) {
		play(t, planOf(stepsOf("1.a")), func(s *scene) {
			s.world.start["1.a"] = func(context.Context, astern.Call) astern.Op {
				s.settles("1.a", fails(astern.Unavailable))
				time.Sleep(5 * time.Second)
				return done()
			}
			s.ends(astern.OutcomeDone)
			s.wantCount("start 1.a", 1)
		})
	})
}

func TestStepThatRunsPastItsTime(t *testing.T) {
	play(t, planOf(stepsOf("1.a")), func(s *scene) {
		s.world.start["1.a"] = does(underWay("0 %"))
		stuck := true
		s.world.poll["1.a"] = func(context.Context, astern.Call, astern.Op) astern.Op {
			if stuck {
				return underWay("50 %")
			}
			return done()
		}
		s.holds("unsure 1.a: still running past its time: 50 %")
		if took := time.Since(s.world.begun); took < 90*time.Second || took > 95*time.Second { // its own time and hold_seconds
			t.Errorf("held after %s", took)
		}
		if st := s.fold().Steps()[0]; st.Error == "" || st.Progress != "" {
			t.Errorf("%+v", st)
		}
		stuck = false
		s.says(astern.RecordResumed, "")
		s.ends(astern.OutcomeDone)
		s.wantCount("start 1.a", 1)
	})
	t.Run("and never answers", func(t *testing.T) {
		play(t, planOf(stepsOf("1.a")), func(s *scene) {
			s.world.start["1.a"] = takes(24*time.Hour, done())
			s.world.find["1.a"] = answers(astern.FoundUnknown, nil)
			s.holds("unsure 1.a")
			if took := time.Since(s.world.begun); took > 3*time.Minute {
				t.Errorf("held after %s", took)
			}
		})
	})
}

func TestDriverThatPanicsLeavesADoubt(t *testing.T) {
	play(t, planOf(stepsOf("1.a")), func(s *scene) {
		s.world.start["1.a"] = func(context.Context, astern.Call) astern.Op {
			if s.world.count("start 1.a") == 1 {
				panic("oh")
			}
			return underWay("")
		}
		s.world.poll["1.a"] = func(context.Context, astern.Call, astern.Op) astern.Op {
			if s.world.count("poll 1.a") == 1 {
				panic("oh")
			}
			return done()
		}
		found := underWay("")
		s.world.find["1.a"] = func(context.Context, astern.Call) astern.Found {
			if s.world.count("start 1.a") == 2 {
				return astern.Found{Answer: astern.FoundYes, Op: &found}
			}
			return astern.Found{Answer: astern.FoundNo}
		}
		s.ends(astern.OutcomeDone)
		s.wantCount("start 1.a", 2)
		s.wantCount("find 1.a", 2)
	})
}

func TestLongStepKeepsTheJournalShort(t *testing.T) {
	long := func(s *astern.Step) { s.TimeoutSeconds = 7200 }
	for name, tc := range map[string]struct {
		progress    string
		poll        float64
		polls, most int
	}{
		"the same progress":        {"restoring", 1, 1200, 6},
		"another progress":         {"%d s", 0.1, 12000, 610},
		"asked as fast as can be":  {"restoring", 1e-12, 60000, 6},
		"the driver does not say":  {"restoring", 0, 4800, 6},
		"the driver says nonsense": {"restoring", 1e300, 4, 6},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, planOf(astern.Stage{Steps: []astern.Step{stepOf("1.a", long)}}), func(s *scene) {
				s.world.start["1.a"] = does(underWay(""))
				s.world.poll["1.a"] = func(context.Context, astern.Call, astern.Op) astern.Op {
					took := time.Since(s.world.begun)
					if took >= 20*time.Minute {
						return done()
					}
					op := underWay(tc.progress)
					if op.PollSeconds = tc.poll; name == "another progress" {
						op.Progress = fmt.Sprintf(tc.progress, took/time.Second)
					}
					return op
				}
				s.ends(astern.OutcomeDone)
				if polls, records := s.world.count("poll 1.a"), len(s.journal.Records()); polls > tc.polls+2 || polls < tc.polls/2 || records > tc.most {
					t.Errorf("%d polls, %d records", polls, records)
				}
				if st := s.fold().Steps()[0]; st.Status != "done" || st.Error != "" {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestClockThatIsSetBackADay(t *testing.T) {
	back := func(s *scene) { s.skew.skew.Add(-int64(24 * time.Hour)) }
	soon := func(s *scene) {
		s.Helper()
		if took := time.Since(s.world.begun); took > 5*time.Minute {
			s.Errorf("took %s", took)
		}
	}
	t.Run("while a step runs", func(t *testing.T) {
		play(t, planOf(stepsOf("1.a")), func(s *scene) {
			s.world.start["1.a"] = does(underWay(""))
			s.world.poll["1.a"] = func(context.Context, astern.Call, astern.Op) astern.Op {
				switch s.world.count("poll 1.a") {
				case 3:
					back(s)
				case 10:
					return done()
				}
				return underWay("")
			}
			s.ends(astern.OutcomeDone)
			soon(s)
		})
	})
	t.Run("while a step is in doubt", func(t *testing.T) {
		play(t, planOf(astern.Stage{Steps: []astern.Step{stepOf("1.a", func(s *astern.Step) { s.SettleSeconds = 30 })}}), func(s *scene) {
			s.world.start["1.a"] = does(unsure(), done())
			s.world.find["1.a"] = func(context.Context, astern.Call) astern.Found {
				switch s.world.count("find 1.a") {
				case 1:
					back(s)
				case 2:
					return astern.Found{Answer: astern.FoundUnknown}
				}
				return astern.Found{Answer: astern.FoundNo}
			}
			s.ends(astern.OutcomeDone)
			soon(s)
			s.wantCount("start 1.a", 2)
		})
	})
	t.Run("while a step waits for its retry", func(t *testing.T) {
		play(t, planOf(stepsOf("1.a")), func(s *scene) {
			s.world.start["1.a"] = func(context.Context, astern.Call) astern.Op {
				if s.world.count("start 1.a") == 1 {
					time.AfterFunc(100*time.Millisecond, func() { back(s) })
					return fails(astern.Throttled)
				}
				return done()
			}
			s.ends(astern.OutcomeDone)
			soon(s)
		})
	})
	t.Run("while facts can't be read", func(t *testing.T) {
		play(t, factPlan(), func(s *scene) {
			s.world.set("e/c", "link", astern.Value{Unknown: "no answer"})
			time.AfterFunc(10*time.Second, func() { back(s) })
			s.holds("failed 1.b")
			soon(s)
		})
	})
	t.Run("while a gate bakes", func(t *testing.T) {
		play(t, gated(60, 5, 30), func(s *scene) {
			time.AfterFunc(22*time.Second, func() { back(s) })
			s.ends(astern.OutcomeDone)
			soon(s)
		})
	})
	t.Run("while a gate is unknown", func(t *testing.T) {
		play(t, gated(60, 5, 30), func(s *scene) {
			verdicts(s, func(time.Duration) astern.Verdict { return astern.Unknown })
			time.AfterFunc(22*time.Second, func() { back(s) })
			s.holds("gate")
			soon(s)
		})
	})
	t.Run("and a person says stop", func(t *testing.T) {
		play(t, planOf(stepsOf("1.a", "1.b")), func(s *scene) {
			s.world.start["1.a"] = func(context.Context, astern.Call) astern.Op {
				back(s)
				time.Sleep(5 * time.Second)
				s.says(astern.RecordPaused, "")
				time.Sleep(time.Second)
				return done()
			}
			s.holds("paused")
			soon(s)
		})
	})
}

// setBack is a clock that is set back a day just before it is read for the nth time.
type setBack struct {
	skewed
	reads, nth atomic.Int64
}

func (c *setBack) Now() time.Time {
	if c.reads.Add(1) == c.nth.Load() {
		c.skew.Add(-int64(24 * time.Hour))
	}
	return c.skewed.Now()
}

// TestClockThatIsSetBackBetweenTwoLooks: wherever in the loop it happens, nothing waits until the clock is where it was.
func TestClockThatIsSetBackBetweenTwoLooks(t *testing.T) {
	for nth := range int64(60) {
		play(t, factPlan(), func(s *scene) {
			s.world.set("e/c", "link", astern.Value{Unknown: "no answer"})
			c := &setBack{}
			c.nth.Store(nth)
			s.clock = c
			s.holds("failed 1.b")
			if took := time.Since(s.world.begun); took > 5*time.Minute {
				s.Errorf("set back at the %d. reading: took %s", nth, took)
			}
		})
	}
}
