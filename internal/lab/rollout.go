package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// What an ECS service does by itself between two calls: it starts and stops tasks until the deployment that was asked
// for runs, gives up when tasks keep failing or an alarm goes off, and goes back to the last deployment that completed.
// Nothing here knows of HTTP, moto or a clock: advance is told the time and asks the world what it needs to know.
//
// Sources: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html (percentages),
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html,
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html and
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html.

// How long a task takes. AWS gives no figures; these are short, so that a demonstration can be watched.
const (
	taskProvision   = 1 * time.Second  // PROVISIONING
	taskPull        = 2 * time.Second  // PENDING: pull the image, start the containers
	taskStop        = 1 * time.Second  // STOPPING
	stoppedShown    = 1 * time.Hour    // for so long a stopped task can be described
	alarmPoll       = 10 * time.Second // how often a deployment looks at its alarms
	throttleMost    = 27 * time.Minute // the longest pause between two starts of tasks that keep failing
	eventsKept      = 100              // as many as DescribeServices returns
	deploymentsKept = 100              // of those that are over
	stoppedKept     = 200              // stopped tasks, at most
	tasksMost       = 500              // that a service may be asked to run
	advanceMost     = 5_000            // moments handled in one go; what is left over happens at the end
)

// rollout is a service as its scheduler sees it.
type rollout struct {
	Name, ARN, Cluster string
	Status             string // ACTIVE, DRAINING or INACTIVE
	Desired            int
	Config             rolloutConfig
	Deployments        []*deployment       // newest first; those that are INACTIVE are kept as history
	Records            []*deploymentRecord // service deployments, newest first
	Revisions          []*serviceRevision  // newest first
	Tasks              []*task             // oldest first
	Events             []serviceEvent      // newest first
	Steady             bool                // the steady state has been announced
	Throttled          bool                // that tasks can't be started consistently has been announced
	Unplaced           bool                // that no task can be placed has been announced
	Serial             int                 // of the last id given out
	At                 time.Time           // everything up to here has happened
}

// rolloutConfig is the part of deploymentConfiguration that the rolling update reads.
type rolloutConfig struct {
	Min, Max              int // percent of the desired count
	Breaker, BreakerRolls bool
	Alarms, AlarmsRoll    bool
	AlarmNames            []string
}

type deployment struct {
	ID, Status       string // PRIMARY, ACTIVE or INACTIVE
	Revision         string // ARN of the service revision
	Desired, Failed  int
	Created, Updated time.Time
	State, Reason    string // rolloutState and its reason
	Ran              bool   // a task has reached RUNNING: the circuit breaker is in its second stage
	StartFailures    int    // in a row, also after the breaker stopped counting
	NextStart        time.Time
	Unmonitored      bool // an alarm was already in ALARM at the start
	BakeUntil        time.Time
}

// deploymentRecord is what ServiceDeployment tells of one deployment, also after it is gone.
type deploymentRecord struct {
	ARN, Deployment, Target             string
	Sources                             []string
	SourceTasks                         map[string]int // requested when the deployment began
	Created, Started, Finished, Stopped time.Time
	Updated                             time.Time
	Status, Reason                      string
	RollbackReason, RollbackTo          string
	RollbackStarted                     time.Time
	Config                              rolloutConfig
	Breaker                             string // TRIGGERED, MONITORING …
	Failures, Threshold                 int
	AlarmState                          string
	Triggered                           []string
}

// serviceRevision is what a deployment deploys. Images holds the digests that the tags meant when its first task
// started: later tasks of the revision pull these (version consistency).
type serviceRevision struct {
	ARN, TaskDefinition string
	Created             time.Time
	Images              map[string]string // container -> digest
	Settings            map[string]any    // launchType, networkConfiguration … as the API shows them
	Definition          map[string]any    // the task definition, which never changes
}

type task struct {
	ID, Deployment, Revision string
	TaskDefinition           string
	Last, Wanted             string // lastStatus and desiredStatus
	Created, PullStarted     time.Time
	PullStopped, Started     time.Time
	Stopping, Stopped        time.Time
	StopCode, StoppedReason  string
	Health                   string // UNKNOWN, HEALTHY or UNHEALTHY
	Containers               []containerState
	Fate                     fate
	Next                     time.Time // when it changes by itself; zero: never
	Version                  int
}

type containerState struct {
	Name, Image, Digest string
	Exit                *int
	Reason              string
}

// fate is what becomes of a task, settled at the moment at which its images are pulled.
type fate struct {
	StopCode, Reason string           // not empty: it never reaches RUNNING
	Containers       []containerState // with exit codes and reasons when it stops by itself
	Digests          map[string]string
	RunsFor          time.Duration // then an essential container exits; 0: as long as wanted
	HealthCheck      bool          // the task definition has one; without, RUNNING is healthy
	HealthyAfter     time.Duration
	UnhealthyAfter   time.Duration // 0: stays healthy
	Log              []logLine
}

// logLine is what a container writes before it exits.
type logLine struct{ Group, Stream, Message string }

type serviceEvent struct {
	ID, Message string
	At          time.Time
}

// ecsWorld is what the scheduler asks and tells while time passes. Every function may be called many times.
type ecsWorld struct {
	place  func() string                                        // why no task can be placed, or empty
	launch func(r *serviceRevision) string                      // why ECS can't launch a task of it, or empty
	pull   func(r *serviceRevision, t *task, at time.Time) fate // what becomes of a task that pulls then
	alarms func(names []string, at time.Time) []string          // those in ALARM
	bake   func(names []string) time.Duration                   // how long alarms are watched after the last task
	log    func(lines []logLine, at time.Time)                  // what a failing container wrote
}

// breakerThreshold is half of the desired count, rounded up, but at least 3 and at most 200.
func breakerThreshold(desired int) int { return min(200, max(3, (desired+1)/2)) }

func (s *rollout) primary() *deployment {
	i := slices.IndexFunc(s.Deployments, func(d *deployment) bool { return d.Status == "PRIMARY" })
	if i < 0 {
		return nil
	}
	return s.Deployments[i]
}

func (s *rollout) record(id string) *deploymentRecord {
	i := slices.IndexFunc(s.Records, func(r *deploymentRecord) bool { return r.Deployment == id })
	return s.Records[i]
}

func (s *rollout) revision(arn string) *serviceRevision {
	i := slices.IndexFunc(s.Revisions, func(r *serviceRevision) bool { return r.ARN == arn })
	if i < 0 {
		return nil
	}
	return s.Revisions[i]
}

func (s *rollout) say(at time.Time, format string, args ...any) {
	s.Serial++
	e := serviceEvent{uuidOf(s.ARN, "event", s.Serial), "(service " + s.Name + ") " + fmt.Sprintf(format, args...), at}
	s.Events = append([]serviceEvent{e}, s.Events[:min(len(s.Events), eventsKept-1)]...)
}

// deploy begins a deployment of revision r. One that is still in progress is superseded: its tasks are replaced and its
// record ends as STOPPED.
func (s *rollout) deploy(r *serviceRevision, w ecsWorld, now time.Time) *deployment {
	s.Serial++
	d := &deployment{ID: "ecs-svc/" + digitsOf(s.ARN, "deployment", s.Serial), Status: "PRIMARY", Revision: r.ARN,
		Desired: s.Desired, Created: now, Updated: now, State: "IN_PROGRESS"}
	d.Reason = "ECS deployment " + d.ID + " in progress."
	d.Unmonitored = s.Config.Alarms && len(w.alarms(s.Config.AlarmNames, now)) > 0
	rec := &deploymentRecord{ARN: strings.Replace(s.ARN, ":service/", ":service-deployment/", 1) + "/" + lettersOf(s.ARN, s.Serial),
		Deployment: d.ID, Target: r.ARN, Created: now, Started: now, Updated: now, Status: "IN_PROGRESS", Config: s.Config,
		Threshold: breakerThreshold(s.Desired), Breaker: "DISABLED", AlarmState: "DISABLED", SourceTasks: map[string]int{}}
	if s.Config.Breaker {
		rec.Breaker = "MONITORING"
	}
	if s.Config.Alarms && !d.Unmonitored {
		rec.AlarmState = "MONITORING"
	}
	for _, old := range s.Deployments {
		if old.Status == "INACTIVE" {
			continue
		}
		if s.alive(old) > 0 && !slices.Contains(rec.Sources, old.Revision) {
			rec.Sources = append(rec.Sources, old.Revision)
			rec.SourceTasks[old.Revision] = s.alive(old)
		}
		if old.Status == "PRIMARY" {
			s.supersede(old, now)
		}
	}
	s.Deployments = append([]*deployment{d}, s.Deployments...)
	s.Records = append([]*deploymentRecord{rec}, s.Records...)
	if !slices.Contains(s.Revisions, r) {
		s.Revisions = append([]*serviceRevision{r}, s.Revisions...)
	}
	s.Steady, s.Throttled = false, false
	s.prune()
	return d
}

// prune forgets the oldest deployments, but never one that is in use or that a rollback would go back to.
func (s *rollout) prune() {
	for i := len(s.Deployments) - 1; i > 0 && len(s.Deployments) > deploymentsKept; i-- {
		d := s.Deployments[i]
		if d.Status != "INACTIVE" || d == s.lastCompleted(nil) || s.count(d, func(*task) bool { return true }) > 0 {
			continue
		}
		s.Deployments = slices.Delete(s.Deployments, i, i+1)
		s.Records = slices.DeleteFunc(s.Records, func(r *deploymentRecord) bool { return r.Deployment == d.ID })
		s.Revisions = slices.DeleteFunc(s.Revisions, func(r *serviceRevision) bool { return r.ARN == d.Revision })
	}
}

func (s *rollout) supersede(old *deployment, now time.Time) {
	old.Status, old.Updated = "ACTIVE", now
	old.Desired = s.alive(old)
	rec := s.record(old.ID)
	if rec.Status == "ROLLBACK_IN_PROGRESS" || rec.Status == "IN_PROGRESS" {
		rec.Status, rec.Reason = "STOPPED", "Service deployment stopped because a new service deployment was started."
		rec.Stopped, rec.Finished, rec.Updated = now, now, now
	}
	// The deployment that was being rolled back is another record than that of the deployment rolled back to.
	for _, r := range s.Records {
		if r.Status == "ROLLBACK_IN_PROGRESS" {
			r.Status, r.Stopped, r.Finished, r.Updated = "ROLLBACK_FAILED", now, now, now
			r.Reason = "Rollback stopped because a new service deployment was started."
		}
	}
}

// alive counts the tasks of a deployment that run, or will, and are not on their way out.
func (s *rollout) alive(d *deployment) int {
	return s.count(d, func(t *task) bool { return t.Wanted == "RUNNING" })
}

// ready counts those that count as healthy for minimumHealthyPercent.
func (s *rollout) ready(d *deployment) int {
	return s.count(d, (*task).ready)
}

func (t *task) ready() bool {
	return t.Wanted == "RUNNING" && t.Last == "RUNNING" && (!t.Fate.HealthCheck || t.Health == "HEALTHY")
}

func (s *rollout) count(d *deployment, f func(*task) bool) (n int) {
	for _, t := range s.Tasks {
		if (d == nil || t.Deployment == d.ID) && f(t) {
			n++
		}
	}
	return n
}

func isRunning(t *task) bool { return t.Last == "RUNNING" }
func isPending(t *task) bool { return t.Last == "PROVISIONING" || t.Last == "PENDING" }

// advance lets everything happen that happens by itself until now. Calls that overtake each other don't turn it back.
func (s *rollout) advance(now time.Time, w ecsWorld) {
	now = later(now, s.At)
	if s.Status == "INACTIVE" {
		s.At = now
		s.forget(now)
		return
	}
	poll := max(alarmPoll, now.Sub(s.At)/1000)
	s.schedule(s.At, w)
	for i := 0; ; i++ {
		at, ok := s.nextMoment(poll)
		if !ok || at.After(now) {
			break
		}
		if i == advanceMost {
			at = now
		}
		for _, t := range s.Tasks {
			if !t.Next.IsZero() && !t.Next.After(at) {
				s.step(t, at, w)
			}
		}
		s.At = at
		s.watchAlarms(at, w)
		s.schedule(at, w)
		s.finish(at, w)
		s.forget(at)
		if i == advanceMost {
			break
		}
	}
	s.At = now
	s.watchAlarms(now, w)
	s.schedule(now, w)
	s.finish(now, w)
	s.forget(now)
}

// nextMoment is the earliest time after At at which something changes by itself.
func (s *rollout) nextMoment(poll time.Duration) (at time.Time, ok bool) {
	consider := func(t time.Time) {
		if !t.IsZero() && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	for _, t := range s.Tasks {
		consider(t.Next)
	}
	if d := s.primary(); d != nil {
		if d.NextStart.After(s.At) && s.alive(d) < s.Desired && d.State != "FAILED" {
			consider(d.NextStart)
		}
		if d.BakeUntil.After(s.At) {
			consider(d.BakeUntil)
		}
		if d.State == "IN_PROGRESS" && s.Config.Alarms && !d.Unmonitored {
			consider(s.At.Add(poll))
		}
	}
	for _, d := range s.Deployments {
		if d.Status == "ACTIVE" && d.NextStart.After(s.At) && s.alive(d) < d.Desired {
			consider(d.NextStart)
		}
	}
	return at, ok
}

// step moves one task to its next status.
func (s *rollout) step(t *task, at time.Time, w ecsWorld) {
	t.Version++
	switch {
	case t.Last == "PROVISIONING":
		t.Last, t.PullStarted, t.Next = "PENDING", at, at.Add(taskPull)
	case t.Last == "PENDING":
		t.Fate = w.pull(s.revision(t.Revision), t, at)
		t.Containers = t.Fate.Containers
		if t.Fate.StopCode != "" {
			w.log(t.Fate.Log, at)
			s.end(t, t.Fate.StopCode, t.Fate.Reason, at)
			s.startFailed(t, at)
			return
		}
		if r := s.revision(t.Revision); r.Images == nil {
			r.Images = t.Fate.Digests
		}
		t.Last, t.PullStopped, t.Started = "RUNNING", at, at
		t.Next = t.upcoming(at)
		s.reached(t)
	case t.Last == "RUNNING":
		s.runningStep(t, at, w)
	case t.Last == "STOPPING":
		t.Last, t.Stopped, t.Next = "STOPPED", at, time.Time{}
	}
}

// upcoming is when a running task changes by itself after at.
func (t *task) upcoming(at time.Time) (next time.Time) {
	for _, after := range []time.Duration{t.Fate.HealthyAfter, t.Fate.UnhealthyAfter, t.Fate.RunsFor} {
		if when := t.Started.Add(after); after > 0 && when.After(at) && (next.IsZero() || when.Before(next)) {
			next = when
		}
	}
	return next
}

func (s *rollout) runningStep(t *task, at time.Time, w ecsWorld) {
	f, ran := t.Fate, at.Sub(t.Started)
	switch {
	case f.RunsFor > 0 && ran >= f.RunsFor:
		w.log(f.Log, at)
		s.end(t, "EssentialContainerExited", "Essential container in task exited", at)
		return
	case f.UnhealthyAfter > 0 && ran >= f.UnhealthyAfter:
		t.Health = "UNHEALTHY"
		s.end(t, "ServiceSchedulerInitiated", "Task failed container health checks", at)
		s.say(at, "(task %s) failed container health checks.", t.ID)
		if d := s.deployment(t.Deployment); d.State == "IN_PROGRESS" {
			d.Failed++
			s.trip(d, at)
		}
		return
	case f.HealthyAfter > 0 && ran >= f.HealthyAfter && t.Health != "HEALTHY":
		t.Health = "HEALTHY"
		if d := s.deployment(t.Deployment); d.State == "IN_PROGRESS" {
			d.Failed = 0
		}
	}
	t.Next = t.upcoming(at)
}

func (s *rollout) deployment(id string) *deployment {
	i := slices.IndexFunc(s.Deployments, func(d *deployment) bool { return d.ID == id })
	return s.Deployments[i]
}

// end begins the end of a task; it is STOPPED a moment later.
func (s *rollout) end(t *task, code, reason string, at time.Time) {
	t.Wanted, t.StopCode, t.StoppedReason = "STOPPED", code, reason
	t.Last, t.Stopping, t.Next = "STOPPING", at, at.Add(taskStop)
}

// reached notes that a task runs: the breaker's first stage is over, and the pause between starts with it.
func (s *rollout) reached(t *task) {
	d := s.deployment(t.Deployment)
	if !d.Ran {
		d.Ran, d.Failed = true, 0
	}
	d.StartFailures, d.NextStart, s.Throttled = 0, time.Time{}, false
}

// startFailed counts a task that never ran. Once one of the deployment has run, the breaker doesn't count these.
func (s *rollout) startFailed(t *task, at time.Time) {
	d := s.deployment(t.Deployment)
	s.launchFailed(d, at)
}

func (s *rollout) launchFailed(d *deployment, at time.Time) {
	d.Updated = at
	d.StartFailures++
	if d.StartFailures > breakerThreshold(s.Desired) {
		d.NextStart = at.Add(min(throttleMost, time.Second<<min(20, d.StartFailures-breakerThreshold(s.Desired))))
		if !s.Throttled {
			s.Throttled = true
			s.say(at, "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.")
		}
	}
	if !d.Ran && d.State == "IN_PROGRESS" {
		d.Failed++
		s.trip(d, at)
	}
}

// trip fails the deployment when its circuit breaker has seen enough.
func (s *rollout) trip(d *deployment, at time.Time) {
	if d.Status != "PRIMARY" {
		return
	}
	rec := s.carrier(d)
	rec.Failures = d.Failed
	if !s.Config.Breaker || d.Failed < breakerThreshold(s.Desired) {
		return
	}
	rec.Breaker = "TRIGGERED"
	s.fail(d, at, "ECS deployment circuit breaker", "tasks failed to start", s.Config.BreakerRolls)
}

// carrier is the record that tells of what happens to d: its own, or that of the deployment which is being rolled back
// to it.
func (s *rollout) carrier(d *deployment) *deploymentRecord {
	for _, r := range s.Records {
		if r.Status == "ROLLBACK_IN_PROGRESS" && r.RollbackTo == d.Revision {
			return r
		}
	}
	return s.record(d.ID)
}

func (s *rollout) watchAlarms(at time.Time, w ecsWorld) {
	d := s.primary()
	if d == nil || d.State != "IN_PROGRESS" || !s.Config.Alarms || d.Unmonitored {
		return
	}
	if firing := w.alarms(s.Config.AlarmNames, at); len(firing) > 0 {
		rec := s.carrier(d)
		rec.AlarmState, rec.Triggered = "TRIGGERED", firing
		s.fail(d, at, "ECS deployment alarms", "alarm detected", s.Config.AlarmsRoll)
	}
}

// fail ends a deployment in progress: it starts no task any more. With rollback the last one that completed becomes
// PRIMARY again; where none has, the deployment is stalled.
func (s *rollout) fail(d *deployment, at time.Time, by, why string, rollback bool) {
	rec := s.carrier(d)
	d.State, d.Reason, d.Updated = "FAILED", by+": "+why+".", at
	s.say(at, "(deployment %s) deployment failed: %s.", d.ID, why)
	rec.Updated = at
	if rec.Status == "ROLLBACK_IN_PROGRESS" { // the rollback itself failed
		rec.Status, rec.Reason, rec.Finished, rec.Stopped = "ROLLBACK_FAILED", d.Reason, at, at
		return
	}
	to := s.lastCompleted(d)
	if !rollback || to == nil {
		rec.Status, rec.Reason, rec.Finished, rec.Stopped = "STOPPED", d.Reason, at, at
		return
	}
	s.rollBack(d, to, at, by, d.Reason)
}

// lastCompleted is the deployment that a rollback goes to.
func (s *rollout) lastCompleted(than *deployment) *deployment {
	for _, d := range s.Deployments {
		if d != than && d.State == "COMPLETED" {
			return d
		}
	}
	return nil
}

// rollBack makes the completed deployment to PRIMARY again, in progress, under its own id, and drains d.
func (s *rollout) rollBack(d, to *deployment, at time.Time, by, why string) {
	rec := s.record(d.ID)
	rec.Status, rec.Reason, rec.Updated = "ROLLBACK_IN_PROGRESS", why, at
	rec.RollbackReason, rec.RollbackTo, rec.RollbackStarted = why, to.Revision, at
	d.Status, d.Desired, d.Updated = "ACTIVE", 0, at
	if to.Status == "INACTIVE" {
		to.Ran = false
	}
	to.Status, to.State, to.Updated, to.Desired, to.Failed = "PRIMARY", "IN_PROGRESS", at, s.Desired, 0
	to.Reason = by + ": rolling back to deploymentId " + to.ID + "."
	to.Unmonitored, to.BakeUntil, to.StartFailures, to.NextStart = true, time.Time{}, 0, time.Time{}
	s.Deployments = slices.DeleteFunc(s.Deployments, func(x *deployment) bool { return x == to })
	s.Deployments = append([]*deployment{to}, s.Deployments...)
	s.say(at, "rolling back to deployment %s.", to.ID)
	s.Steady = false
}

// schedule starts and stops tasks within minimumHealthyPercent and maximumPercent of the desired count.
func (s *rollout) schedule(at time.Time, w ecsWorld) {
	d := s.primary()
	if d == nil || s.Status == "INACTIVE" {
		return
	}
	d.Desired = s.Desired
	lower := (s.Desired*s.Config.Min + 99) / 100
	upper := max(s.Desired*s.Config.Max/100, min(1, s.Desired))
	s.stopTasks(s.tasksOf(d), s.alive(d)-s.Desired, at)
	if d.State != "FAILED" {
		s.stopOld(d, lower, upper, at)
	}
	total := func() int { return s.count(nil, func(t *task) bool { return t.Wanted == "RUNNING" }) }
	if d.State != "FAILED" {
		s.startTasks(d, min(s.Desired-s.alive(d), upper-total()), at, w)
	}
	for _, old := range s.Deployments { // what died of a deployment that is being replaced
		if old.Status == "ACTIVE" && old.State == "COMPLETED" && old.Desired > s.alive(old) {
			s.startTasks(old, min(old.Desired-s.alive(old), upper-total()), at, w)
		}
	}
}

// stopOld stops tasks of earlier deployments: as many as the new one has replaced, and as many as are in its way, but
// never so many that fewer than lower are healthy.
func (s *rollout) stopOld(d *deployment, lower, upper int, at time.Time) {
	var old []*task
	for _, t := range s.Tasks {
		if t.Deployment != d.ID && t.Wanted == "RUNNING" {
			old = append(old, t)
		}
	}
	if len(old) == 0 {
		return
	}
	// Those that don't serve cost nothing: first.
	slices.SortStableFunc(old, func(a, b *task) int { return boolInt(a.ready()) - boolInt(b.ready()) })
	replaced := len(old) - max(0, s.Desired-s.ready(d))
	inTheWay := (s.Desired - s.alive(d)) - (upper - s.alive(d) - len(old))
	n := min(len(old), max(replaced, inTheWay))
	spare := s.count(nil, (*task).ready) - lower
	k := 0
	for ; k < n; k++ {
		if old[k].ready() {
			if spare <= 0 {
				break
			}
			spare--
		}
	}
	s.stopTasks(old, k, at)
}

// stopAll stops every task of a service that is being deleted, also those that only start.
func (s *rollout) stopAll(at time.Time) {
	var all []*task
	for _, t := range s.Tasks {
		if t.Wanted == "RUNNING" {
			all = append(all, t)
		}
	}
	s.stopTasks(all, len(all), at)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *rollout) tasksOf(d *deployment) (out []*task) {
	for _, t := range s.Tasks {
		if t.Deployment == d.ID && t.Wanted == "RUNNING" {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b *task) int { return boolInt(a.ready()) - boolInt(b.ready()) })
	return out
}

func (s *rollout) stopTasks(tasks []*task, n int, at time.Time) {
	if n <= 0 {
		return
	}
	s.Steady = false
	var ids []string
	for _, t := range tasks[:min(n, len(tasks))] {
		s.end(t, "ServiceSchedulerInitiated", "Scaling activity initiated by (deployment "+t.Deployment+")", at)
		if d := s.deployment(t.Deployment); d.Status == "ACTIVE" {
			d.Desired = max(0, d.Desired-1)
		}
		ids = append(ids, "(task "+t.ID+")")
	}
	s.say(at, "has stopped %d running tasks: %s.", len(ids), strings.Join(ids, " "))
}

func (s *rollout) startTasks(d *deployment, n int, at time.Time, w ecsWorld) {
	if n <= 0 || d.NextStart.After(at) {
		return
	}
	s.Steady = false
	if why := w.place(); why != "" {
		if !s.Unplaced {
			s.Unplaced = true
			s.say(at, "was unable to place a task because no container instance met all of its requirements. Reason: %s", why)
		}
		s.launchFailed(d, at)
		d.NextStart = later(d.NextStart, at.Add(alarmPoll))
		return
	}
	s.Unplaced = false
	r := s.revision(d.Revision)
	if why := w.launch(r); why != "" {
		s.say(at, "failed to launch a task with (error %s).", why)
		s.launchFailed(d, at)
		d.NextStart = later(d.NextStart, at.Add(taskProvision))
		return
	}
	var ids []string
	for range n {
		s.Serial++
		t := &task{ID: hexOf(s.ARN, "task", s.Serial), Deployment: d.ID, Revision: d.Revision, TaskDefinition: r.TaskDefinition,
			Last: "PROVISIONING", Wanted: "RUNNING", Created: at, Health: "UNKNOWN", Next: at.Add(taskProvision), Version: 1}
		s.Tasks = append(s.Tasks, t)
		ids = append(ids, "(task "+t.ID+")")
	}
	s.say(at, "has started %d tasks: %s.", len(ids), strings.Join(ids, " "))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// finish completes a deployment whose tasks all serve while none of another is left, and announces the steady state.
func (s *rollout) finish(at time.Time, w ecsWorld) {
	d := s.primary()
	if d == nil {
		return
	}
	for _, old := range s.Deployments {
		if old.Status == "ACTIVE" && s.alive(old) == 0 && (old.State != "COMPLETED" || old.Desired == 0 || d.State == "COMPLETED") && d.State != "FAILED" {
			old.Status, old.Updated = "INACTIVE", at
		}
	}
	others := slices.ContainsFunc(s.Deployments, func(x *deployment) bool { return x.Status == "ACTIVE" })
	settled := s.ready(d) == s.Desired && s.alive(d) == s.Desired && !others
	if !settled {
		d.BakeUntil = time.Time{}
		return
	}
	if d.State == "IN_PROGRESS" {
		if s.Config.Alarms && !d.Unmonitored {
			if d.BakeUntil.IsZero() {
				d.BakeUntil = at.Add(w.bake(s.Config.AlarmNames))
			}
			if at.Before(d.BakeUntil) {
				return
			}
		}
		s.complete(d, at)
	}
	if !s.Steady && d.State == "COMPLETED" {
		s.Steady = true
		s.say(at, "has reached a steady state.")
	}
}

func (s *rollout) complete(d *deployment, at time.Time) {
	rec := s.carrier(d)
	d.State, d.Updated, d.Failed, d.BakeUntil = "COMPLETED", at, 0, time.Time{}
	d.Reason = "ECS deployment " + d.ID + " completed."
	s.say(at, "(deployment %s) deployment completed.", d.ID)
	rec.Updated, rec.Finished = at, at
	if rec.Status == "ROLLBACK_IN_PROGRESS" {
		rec.Status = "ROLLBACK_SUCCESSFUL"
	} else {
		rec.Status = "SUCCESSFUL"
	}
	for _, state := range []*string{&rec.Breaker, &rec.AlarmState} {
		if *state == "MONITORING" {
			*state = "MONITORING_COMPLETE"
		}
	}
}

// forget drops stopped tasks that can't be described any more, and ends a service whose last task has stopped.
func (s *rollout) forget(now time.Time) {
	s.Tasks = slices.DeleteFunc(s.Tasks, func(t *task) bool {
		return t.Last == "STOPPED" && now.Sub(t.Stopped) > stoppedShown
	})
	if over := s.count(nil, func(t *task) bool { return t.Last == "STOPPED" }) - stoppedKept; over > 0 {
		s.Tasks = slices.DeleteFunc(s.Tasks, func(t *task) bool {
			over -= boolInt(t.Last == "STOPPED")
			return t.Last == "STOPPED" && over >= 0
		})
	}
	if s.Status == "DRAINING" && s.count(nil, func(t *task) bool { return t.Last != "STOPPED" }) == 0 {
		s.Status = "INACTIVE"
		for _, d := range s.Deployments {
			d.Status = "INACTIVE"
		}
	}
}
