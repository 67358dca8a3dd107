package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// TestClockJumpsForward sets the clock a day on while a step is in doubt: "not found" does not count before the step had the
// time to settle that really passes. By the new clock it has been in doubt for too long, so a person is asked; when he lets it
// go on it is asked for as long as it needs.
func TestClockJumpsForward(t *testing.T) {
	for name, at := range map[string]int{"at the first question": 1, "later": 3} {
		t.Run(name, func(t *testing.T) {
			play(t, planOf(astern.Stage{Steps: []astern.Step{stepOf("1.a", func(s *astern.Step) { s.SettleSeconds = 30 })}}), func(s *scene) {
				s.world.start["1.a"] = does(unsure(), done())
				s.world.find["1.a"] = func(context.Context, astern.Call) astern.Found {
					if s.world.count("find 1.a") == at {
						s.skew.skew.Add(int64(24 * time.Hour))
					}
					return astern.Found{Answer: astern.FoundNo}
				}
				s.holds("unsure 1.a: no reply")
				s.wantCount("start 1.a", 1)
				s.says(astern.RecordResumed, "")
				s.ends(astern.OutcomeDone)
				s.wantCount("start 1.a", 2)
				if took := time.Since(s.world.begun); took < 20*time.Second || took > 5*time.Minute {
					t.Errorf("it was believed after %s", took)
				}
			})
		})
	}
}
