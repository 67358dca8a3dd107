package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epochStart = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// stage is a world in which each revision has one fate.
type stage struct {
	fates    map[string]fate // by task definition
	launches map[string]string
	firing   func(at time.Time) []string
	baking   time.Duration
	nowhere  string
	logged   []string
}

func (w *stage) world() ecsWorld {
	return ecsWorld{
		place:  func() string { return w.nowhere },
		launch: func(r *serviceRevision) string { return w.launches[r.TaskDefinition] },
		pull:   func(r *serviceRevision, _ *task, _ time.Time) fate { return w.fates[r.TaskDefinition] },
		alarms: func(_ []string, at time.Time) []string {
			if w.firing == nil {
				return nil
			}
			return w.firing(at)
		},
		bake: func([]string) time.Duration { return w.baking },
		log: func(lines []logLine, _ time.Time) {
			for _, l := range lines {
				w.logged = append(w.logged, l.Message)
			}
		},
	}
}

var dies = failedToStart("", "CannotPullContainerError: not found")

// begun is a service of so many tasks of definition "a:1".
func begun(w *stage, desired int, config rolloutConfig) *rollout {
	s := &rollout{Name: "api", ARN: "arn:aws:ecs:eu-west-1:1:service/shop/api", Status: "ACTIVE", Desired: desired, Config: config, At: epochStart}
	update(s, w, "a:1", epochStart)
	return s
}

func update(s *rollout, w *stage, definition string, at time.Time) *deployment {
	s.advance(at, w.world())
	s.Serial++
	d := s.deploy(&serviceRevision{ARN: fmt.Sprint("revision-", s.Serial), TaskDefinition: definition, Created: at}, w.world(), at)
	s.advance(at, w.world())
	return d
}

// stable is what botocore's ServicesStable waits for.
func stable(s *rollout) bool {
	shown := 0
	for _, d := range s.Deployments {
		shown += boolInt(d.Status != "INACTIVE")
	}
	return shown == 1 && s.count(nil, isRunning) == s.Desired
}

func (s *rollout) said() string {
	var all []string
	for _, e := range slices.Backward(s.Events) {
		m := strings.TrimPrefix(e.Message, "(service api) ")
		m, _, _ = strings.Cut(m, ": (task")
		all = append(all, m)
	}
	return strings.Join(all, "\n")
}

var rolling = rolloutConfig{Min: 100, Max: 200}

func breaker(rollback bool) rolloutConfig {
	return rolloutConfig{Min: 100, Max: 200, Breaker: true, BreakerRolls: rollback}
}

// "ECS deployments (two during a rollout, task counts, events, steady state …)"
func TestRolloutReplacesTasks(t *testing.T) {
	w := &stage{}
	s := begun(w, 3, rolling)
	if got := s.count(nil, isPending); got != 3 {
		t.Fatalf("%d tasks are pending at the start, want 3", got)
	}
	first := s.primary()
	now := epochStart.Add(3 * time.Second)
	s.advance(now, w.world())
	if !stable(s) || first.State != "COMPLETED" {
		t.Fatalf("not stable after 3 s: %+v", first)
	}
	second := update(s, w, "a:2", now)
	if first.Status != "ACTIVE" || second.Status != "PRIMARY" || s.count(first, isRunning) != 3 || s.count(second, isPending) != 3 {
		t.Fatalf("during the rollout: %+v and %+v", first, second)
	}
	if s.record(second.ID).Sources[0] != first.Revision {
		t.Error("the record doesn't name the revision that is replaced")
	}
	s.advance(now.Add(10*time.Second), w.world())
	if !stable(s) || second.State != "COMPLETED" || first.Status != "INACTIVE" || s.record(second.ID).Status != "SUCCESSFUL" {
		t.Fatalf("after the rollout: %+v and %+v", first, second)
	}
	want := "has started 3 tasks\n(deployment " + first.ID + ") deployment completed.\nhas reached a steady state.\n" +
		"has started 3 tasks\nhas stopped 3 running tasks\n(deployment " + second.ID + ") deployment completed.\nhas reached a steady state."
	if got := s.said(); got != want {
		t.Errorf("events:\n%s\nwant:\n%s", got, want)
	}
}

// For any percentages a rollout ends, never has fewer than the minimum healthy nor more than the maximum of tasks, and
// is the same whether one looks all the time or once at the end.
func TestRolloutKeepsToItsPercentages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		desired := rapid.IntRange(1, 12).Draw(t, "desired")
		config := rolloutConfig{Min: rapid.IntRange(0, 100).Draw(t, "min"), Max: rapid.IntRange(100, 300).Draw(t, "max")}
		lower, upper := (desired*config.Min+99)/100, desired*config.Max/100
		if upper <= lower {
			t.Skip("blocks deployments")
		}
		run := func(step time.Duration) *rollout {
			w := &stage{fates: map[string]fate{"a:2": {HealthCheck: true, HealthyAfter: 5 * time.Second}}}
			s := begun(w, desired, config)
			s.advance(epochStart.Add(time.Minute), w.world())
			update(s, w, "a:2", epochStart.Add(time.Minute))
			for at := epochStart.Add(time.Minute); at.Before(epochStart.Add(5 * time.Minute)); at = at.Add(step) {
				s.advance(at, w.world())
				alive := s.count(nil, func(t *task) bool { return t.Wanted == "RUNNING" })
				if ready := s.count(nil, (*task).ready); ready < lower || alive > upper {
					t.Fatalf("at %s %d of %d are healthy (at least %d), %d run (at most %d)", at, ready, desired, lower, alive, upper)
				}
			}
			s.advance(epochStart.Add(5*time.Minute), w.world())
			return s
		}
		often, once := run(1100*time.Millisecond), run(4*time.Minute)
		if !stable(often) || often.primary().State != "COMPLETED" {
			t.Fatalf("not stable after 4 minutes: %s", often.said())
		}
		if often.said() != once.said() {
			t.Fatalf("looking often:\n%s\nlooking once:\n%s", often.said(), once.said())
		}
	})
}

func TestBreakerThreshold(t *testing.T) {
	for desired, want := range map[int]int{0: 3, 1: 3, 5: 3, 6: 3, 7: 4, 25: 13, 400: 200, 401: 200, 800: 200} {
		if got := breakerThreshold(desired); got != want {
			t.Errorf("of %d tasks: %d, want %d", desired, got, want)
		}
	}
}

// What becomes of a deployment that goes wrong.
func TestRolloutFails(t *testing.T) {
	health := fate{HealthCheck: true, UnhealthyAfter: 20 * time.Second}
	for name, c := range map[string]struct {
		config          rolloutConfig
		fate            fate
		launch, nowhere string
		state, reason   string // of the second deployment
		primary         string // which is PRIMARY in the end
		record          string
		failures        int
	}{
		"breaker, rollback":         {config: breaker(true), fate: dies, state: "FAILED", reason: "ECS deployment circuit breaker: tasks failed to start.", primary: "a:1", record: "ROLLBACK_SUCCESSFUL", failures: 4},
		"breaker, no rollback":      {config: breaker(false), fate: dies, state: "FAILED", reason: "ECS deployment circuit breaker: tasks failed to start.", primary: "a:2", record: "STOPPED", failures: 4},
		"no breaker":                {config: rolling, fate: dies, state: "IN_PROGRESS", primary: "a:2", record: "IN_PROGRESS", failures: -1},
		"role is missing":           {config: breaker(true), launch: "ECS was unable to assume the role", state: "FAILED", reason: "ECS deployment circuit breaker: tasks failed to start.", primary: "a:1", record: "ROLLBACK_SUCCESSFUL", failures: 4},
		"health check fails":        {config: breaker(true), fate: health, state: "FAILED", reason: "ECS deployment circuit breaker: tasks failed to start.", primary: "a:1", record: "ROLLBACK_SUCCESSFUL", failures: 4},
		"nowhere to place":          {config: breaker(true), nowhere: "No Container Instances were found in your cluster.", state: "FAILED", primary: "a:1", record: "ROLLBACK_SUCCESSFUL", failures: 4},
		"crashes once it has begun": {config: breaker(true), fate: fate{RunsFor: 5 * time.Second, HealthCheck: true, HealthyAfter: 10 * time.Second}, state: "IN_PROGRESS", primary: "a:2", record: "IN_PROGRESS"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &stage{}
			s := begun(w, 8, c.config)
			s.advance(epochStart.Add(time.Minute), w.world())
			first := s.primary()
			w.fates, w.nowhere, w.launches = map[string]fate{"a:2": c.fate}, c.nowhere, map[string]string{"a:2": c.launch}
			second := update(s, w, "a:2", epochStart.Add(time.Minute))
			s.advance(epochStart.Add(30*time.Minute), w.world())
			if second.State != c.state || c.reason != "" && second.Reason != c.reason {
				t.Errorf("the deployment is %s (%s)\n%s", second.State, second.Reason, s.said())
			}
			rec := s.record(second.ID)
			if got := s.revision(s.primary().Revision).TaskDefinition; got != c.primary || rec.Status != c.record {
				t.Errorf("%s is PRIMARY and the record %s, want %s and %s\n%s", got, rec.Status, c.primary, c.record, s.said())
			}
			if c.failures >= 0 && rec.Failures != c.failures {
				t.Errorf("%d failures counted, want %d", rec.Failures, c.failures)
			}
			if ready := s.count(first, (*task).ready); ready != 8 {
				t.Errorf("%d of 8 tasks of the good revision serve", ready)
			}
			if rolled := c.primary == "a:1"; rolled != (stable(s) && s.primary() == first) {
				t.Errorf("the deployment rolled back to is not the old one, completed again: %+v", s.primary())
			}
		})
	}
}

// "When the deployment circuit breaker does not find a deployment that is in a COMPLETED state, the circuit breaker does
// not launch new tasks and the deployment is stalled."
func TestRolloutStallsWithNothingToGoBackTo(t *testing.T) {
	w := &stage{fates: map[string]fate{"a:1": dies}}
	s := begun(w, 1, breaker(true))
	s.advance(epochStart.Add(time.Hour/2), w.world())
	if d := s.primary(); d.State != "FAILED" || s.alive(d) != 0 || len(s.Tasks) != 3 || s.record(d.ID).Breaker != "TRIGGERED" {
		t.Errorf("%+v with %d tasks tried", d, len(s.Tasks))
	}
}

// Of several deployments the last that COMPLETED is gone back to, not the one before.
func TestRollbackSkipsWhatNeverCompleted(t *testing.T) {
	w := &stage{fates: map[string]fate{"a:2": dies, "a:3": dies}}
	s := begun(w, 2, rolling)
	update(s, w, "a:2", epochStart.Add(time.Minute))
	update(s, w, "a:3", epochStart.Add(2*time.Minute))
	s.Config = breaker(true) // only now: a:2 has not been rolled back
	s.advance(epochStart.Add(20*time.Minute), w.world())
	if got := s.revision(s.primary().Revision).TaskDefinition; got != "a:1" || !stable(s) {
		t.Errorf("went back to %s\n%s", got, s.said())
	}
}

// The way back can be broken, too: what the last completed deployment ran is gone by then.
func TestRollbackFails(t *testing.T) {
	w := &stage{}
	s := begun(w, 2, rolloutConfig{Min: 0, Max: 100, Breaker: true, BreakerRolls: true})
	s.advance(epochStart.Add(time.Minute), w.world())
	w.fates = map[string]fate{"a:1": dies, "a:2": dies}
	second := update(s, w, "a:2", epochStart.Add(time.Minute))
	s.advance(epochStart.Add(time.Hour), w.world())
	d := s.primary()
	if s.revision(d.Revision).TaskDefinition != "a:1" || d.State != "FAILED" || s.record(second.ID).Status != "ROLLBACK_FAILED" || s.count(nil, isRunning) != 0 {
		t.Errorf("%+v, record %s\n%s", d, s.record(second.ID).Status, s.said())
	}
}

// Of 150 deployments the last 100 are kept, and the one that a rollback would go back to.
func TestOldDeploymentsAreForgotten(t *testing.T) {
	w := &stage{}
	s := begun(w, 1, rolling)
	s.advance(epochStart.Add(time.Minute), w.world())
	good := s.primary()
	w.fates = map[string]fate{"a:2": dies}
	for i := range 150 {
		update(s, w, "a:2", epochStart.Add(time.Duration(i+2)*time.Minute))
	}
	if n := len(s.Deployments); n > deploymentsKept+1 || len(s.Records) != n || len(s.Revisions) != n {
		t.Errorf("%d deployments, %d records, %d revisions", n, len(s.Records), len(s.Revisions))
	}
	if s.lastCompleted(nil) != good {
		t.Error("the one to go back to is forgotten")
	}
}

func TestAlarmsFailADeployment(t *testing.T) {
	config := rolloutConfig{Min: 100, Max: 200, Alarms: true, AlarmsRoll: true, AlarmNames: []string{"errors"}}
	at := func(from, to time.Duration) func(time.Time) []string {
		return func(now time.Time) []string {
			if d := now.Sub(epochStart); d >= from && d < to {
				return []string{"errors"}
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		firing        func(time.Time) []string
		primary       string
		state, record string // of the second deployment after three minutes
	}{
		"quiet":              {nil, "a:2", "COMPLETED", "SUCCESSFUL"},
		"while tasks start":  {at(61*time.Second, 80*time.Second), "a:1", "FAILED", "ROLLBACK_SUCCESSFUL"},
		"while it bakes":     {at(90*time.Second, 100*time.Second), "a:1", "FAILED", "ROLLBACK_SUCCESSFUL"},
		"after it has baked": {at(140*time.Second, 150*time.Second), "a:2", "COMPLETED", "SUCCESSFUL"},
		"since before":       {at(0, time.Hour), "a:2", "COMPLETED", "SUCCESSFUL"}, // not monitored: this may be the repair
	} {
		t.Run(name, func(t *testing.T) {
			w := &stage{baking: time.Minute}
			s := begun(w, 2, rolling)
			s.advance(epochStart.Add(time.Minute), w.world())
			s.Config, w.firing = config, c.firing
			second := update(s, w, "a:2", epochStart.Add(time.Minute))
			if s.advance(epochStart.Add(75*time.Second), w.world()); name == "quiet" && second.State != "IN_PROGRESS" {
				t.Error("completed before it has baked")
			}
			s.advance(epochStart.Add(3*time.Minute), w.world())
			if got := s.revision(s.primary().Revision).TaskDefinition; got != c.primary || second.State != c.state || s.record(second.ID).Status != c.record {
				t.Errorf("%s is PRIMARY, the deployment %s (%s), its record %s\n%s", got, second.State, second.Reason, s.record(second.ID).Status, s.said())
			}
		})
	}
}

// "Once a service deployment has one or more successfully running tasks, the failed task count resets to zero and stops
// being evaluated."
func TestBreakerStopsCountingOnceATaskRan(t *testing.T) {
	w := &stage{}
	s := begun(w, 4, rolloutConfig{Min: 0, Max: 100, Breaker: true, BreakerRolls: true})
	s.advance(epochStart.Add(time.Minute), w.world())
	s.Config.Min, s.Config.Max = 75, 100 // one at a time
	second := update(s, w, "a:2", epochStart.Add(time.Minute))
	s.advance(epochStart.Add(time.Minute+4*time.Second), w.world())
	w.fates = map[string]fate{"a:2": dies}
	s.advance(epochStart.Add(time.Hour), w.world())
	if !second.Ran || second.Failed != 0 || second.State != "IN_PROGRESS" || second.StartFailures < 5 {
		t.Errorf("%+v\n%s", second, s.said())
	}
}

// A task that keeps failing is started ever less often, so twenty days of it are a bounded piece of work.
func TestStartsAreThrottled(t *testing.T) {
	w := &stage{fates: map[string]fate{"a:1": dies}}
	s := begun(w, 1, rolling)
	s.advance(epochStart.Add(2*time.Hour), w.world())
	if !s.Throttled || !strings.Contains(s.said(), "unable to consistently start tasks") {
		t.Errorf("nothing is said of it:\n%s", s.said())
	}
	s.advance(epochStart.Add(20*24*time.Hour), w.world())
	if d := s.primary(); d.StartFailures < 1055 || d.StartFailures > 1080 { // 27 minutes apart
		t.Errorf("%d starts in twenty days", d.StartFailures)
	}
	w.fates = nil
	s.advance(epochStart.Add(21*24*time.Hour), w.world())
	if !stable(s) || s.primary().State != "COMPLETED" {
		t.Errorf("not stable once tasks start again: %+v", s.primary())
	}
}

// A task that runs for a second and dies, for ten thousand hours: as many moments as the limit allows, and then on.
func TestAdvanceIsBounded(t *testing.T) {
	w := &stage{fates: map[string]fate{"a:1": {RunsFor: time.Second}}}
	s := begun(w, 1, rolling)
	s.advance(epochStart.Add(10_000*time.Hour), w.world())
	if len(s.Tasks) > stoppedKept+10 || len(s.Events) > eventsKept || s.Serial > 10*advanceMost {
		t.Errorf("%d tasks, %d events, %d ids", len(s.Tasks), len(s.Events), s.Serial)
	}
}

func TestScalingIsNoDeployment(t *testing.T) {
	w := &stage{}
	s := begun(w, 2, rolling)
	s.advance(epochStart.Add(time.Minute), w.world())
	d := s.primary()
	for i, desired := range []int{5, 1, 0, 3} {
		s.Desired = desired
		s.advance(epochStart.Add(time.Duration(i+2)*time.Minute), w.world())
		if s.advance(epochStart.Add(time.Duration(i+2)*time.Minute+30*time.Second), w.world()); !stable(s) || s.primary() != d {
			t.Errorf("scaled to %d: %d run, deployment %s", desired, s.count(nil, isRunning), s.primary().ID)
		}
	}
}
