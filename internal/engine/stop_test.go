package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// A step that the cloud goes on with by itself is stopped when a person or a check says so, and never while it is asked how far it
// is; one that is not stoppable is waited for.
func TestStop(t *testing.T) {
	grows := func(can bool) astern.Plan {
		st := stepsOf("1.a", "1.b")
		st.Steps[0].Stoppable = can
		return planOf(st)
	}
	growing := func(s *scene) {
		s.world.start["1.a"] = does(underWay("10 %"), done()) // the second attempt is done
		s.world.poll["1.a"] = func(context.Context, astern.Call, astern.Op) astern.Op {
			time.Sleep(3 * time.Second)
			if s.world.count("stop 1.a") > 0 {
				t.Error("it was asked after it was stopped")
			}
			if s.world.count("poll 1.a") > 3 {
				return done()
			}
			return underWay("20 %")
		}
		s.world.stop = func(_ context.Context, _ astern.Call, op astern.Op) astern.Op {
			if op.Handle["id"] != "7" {
				t.Errorf("stopped with %+v", op)
			}
			if s.world.count("stop 1.a") == 1 {
				return underWay("being stopped")
			}
			return fails(astern.Interrupted)
		}
	}
	fail := func(context.Context, astern.Check) astern.CheckResult {
		return astern.CheckResult{Verdict: astern.Fail, Evidence: "errors"}
	}
	said := func(s *scene, kind astern.RecordKind) {
		go func() {
			time.Sleep(5 * time.Second)
			s.says(kind, "")
		}()
	}
	t.Run("by a cancel", func(t *testing.T) {
		play(t, grows(true), func(s *scene) {
			growing(s)
			said(s, astern.RecordCancelled)
			s.ends(astern.OutcomeCancelled)
			s.wantCount("stop 1.a", 2)
			s.wantStatus("1.a failed", "1.b dropped")
		})
	})
	t.Run("by a pause, and done by another attempt", func(t *testing.T) {
		play(t, grows(true), func(s *scene) {
			growing(s)
			said(s, astern.RecordPaused)
			s.holds("failed 1.a: it failed as interrupted", "paused")
			s.says(astern.RecordResumed, "")
			s.ends(astern.OutcomeDone)
			s.wantCount("start 1.a", 2)
		})
	})
	t.Run("by a check", func(t *testing.T) {
		p := grows(true)
		p.Stages[0].StopWhen = []string{"ok"}
		play(t, p, func(s *scene) {
			growing(s)
			s.world.check = fail
			s.holds("failed 1.a: it failed as interrupted", "gate: ok: errors")
		})
	})
	t.Run("at once, also where it would be asked again much later", func(t *testing.T) {
		play(t, grows(true), func(s *scene) {
			growing(s)
			s.world.start["1.a"] = func(context.Context, astern.Call) astern.Op {
				op := underWay("10 %")
				op.PollSeconds = 600
				return op
			}
			said(s, astern.RecordCancelled)
			began := time.Now()
			s.ends(astern.OutcomeCancelled)
			s.wantCount("poll 1.a", 0)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	})
	t.Run("and does not begin it, when the check failed before", func(t *testing.T) {
		p := grows(false)
		p.Stages[0].Steps[1].Stoppable = true
		p.Stages[0].StopWhen = []string{"ok"}
		play(t, p, func(s *scene) {
			growing(s)
			s.world.check = fail
			s.holds("gate: ok: errors")
			s.wantCount("start 1.b", 0)
		})
	})
	t.Run("not one that can't be", func(t *testing.T) {
		play(t, grows(false), func(s *scene) {
			growing(s)
			said(s, astern.RecordCancelled)
			s.ends(astern.OutcomeCancelled)
			s.wantCount("stop 1.a", 0)
			s.wantStatus("1.a done", "1.b pending")
		})
	})
}
