package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/engine/enginetest"
	"github.com/astern-dev/astern/internal/proof"
)

// simRuns is the share of simulated runs that each test of them makes.
const simRuns = 2000

// TestSimulation drives random plans with random faults, lost replies, crashes and operators through the engine's pure
// part on one simulated thread, so that a seed alone repeats a run. Every run must end, have no effect twice, keep the
// order of stages, and leave the world as its journal says.
func TestSimulation(t *testing.T) {
	t.Parallel()
	first, count := proof.Seeds(t, simRuns)
	stopped, spent := 0, watch{}
	for seed := first; seed < first+count; seed++ {
		spent.bubble(t, func(t *testing.T) { stopped += simulate(t, seed, (*sim).once) })
		if t.Failed() {
			t.Fatalf("repeat it: ASTERN_PROOF_FIRST=%d ASTERN_PROOF_COUNT=1 go test -run '^TestSimulation$' ./internal/engine", seed)
		}
	}
	if stopped == 0 && count >= 1000 {
		t.Error("no step was stopped in any run")
	}
	figures := spent.figures(t, count)
	figures["stopped"] = float64(stopped)
	proof.Figures(t, figures)
}

// TestLoopSimulation does the same with the loop itself and its goroutines; the order of answers is the scheduler's.
func TestLoopSimulation(t *testing.T) {
	t.Parallel()
	first, count := proof.Seeds(t, 1000)
	spent := watch{}
	for seed := first; seed < first+count; seed++ {
		spent.bubble(t, func(t *testing.T) { simulate(t, seed, (*sim).loop) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	proof.Figures(t, spent.figures(t, count))
}

// watch adds up how long runs take, by the simulated clock of their bubbles and by the real one.
type watch struct{ simulated, really time.Duration }

func (w *watch) bubble(t *testing.T, run func(*testing.T)) {
	stop := func(sum *time.Duration, began time.Time) { *sum += time.Since(began) }
	defer stop(&w.really, time.Now())
	synctest.Test(t, func(t *testing.T) {
		defer stop(&w.simulated, time.Now())
		run(t)
	})
}

func (w *watch) figures(t *testing.T, runs uint64) map[string]float64 {
	hours, perSecond := w.simulated.Hours(), w.simulated.Hours()/w.really.Seconds()
	t.Logf("%.0f simulated hours in %.1f s: %.0f hours a second", hours, w.really.Seconds(), perSecond)
	return map[string]float64{"runs": float64(runs), "simulated_hours": hours, "min_simulated_hours_per_second": perSecond}
}

// sim is one simulated run.
type sim struct {
	t       *testing.T
	rnd     *rand.Rand
	plan    astern.Plan
	world   *enginetest.World
	journal *enginetest.Journal
	clock   skewed
	jumped  bool
}

// skewed is a clock that can be set.
type skewed struct{ skew atomic.Int64 }

func (c *skewed) Now() time.Time { return time.Now().Add(time.Duration(c.skew.Load())) }

func (c *skewed) After(d time.Duration) <-chan time.Time { return time.After(d) }

// simulate makes one run and returns how many of its steps were ended while they ran.
func simulate(t *testing.T, seed uint64, once func(*sim) (engine.Result, error)) (stopped int) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	pct := func(most int) int { return rnd.IntN(most + 1) }
	f := enginetest.Faults{LostAfter: pct(20), LostBefore: pct(20), Transient: pct(20), Permanent: pct(5), Panic: pct(5),
		Unknown: pct(50), Unreadable: pct(20), CheckFails: pct(5), CheckBlinds: pct(20), Slow: pct(50),
		Odd: pct(20), PlanFails: pct(50)}
	s := &sim{t: t, rnd: rnd, plan: enginetest.RandomPlan(rnd), journal: &enginetest.Journal{}}
	s.world = enginetest.NewWorld(s.plan, seed, f)
	s.world.Delay = time.Duration(rnd.IntN(int(enginetest.SettleTime/time.Second))) * time.Second
	crash := rand.New(rand.NewPCG(seed, 3))
	crashes := pct(12)
	s.journal.Crash = func() (before, after bool) {
		n := crash.IntN(100)
		return n < crashes/2, n >= crashes/2 && n < crashes
	}
	s.run(once)
	if t.Failed() {
		t.Logf("seed %d", seed)
		for _, r := range s.journal.Records() {
			t.Logf("%4d %s %-10s %s %d %v", r.Seq, r.At.Format("15:04:05.0"), r.Kind, r.Step, r.Attempt, r.Text)
		}
	}
	return len(s.world.Stopped)
}

// run starts the engine again and again until the execution has ended.
func (s *sim) run(once func(*sim) (engine.Result, error)) {
	for range 400 {
		result, err := once(s)
		switch {
		case result.Outcome != "":
			s.judge(result.Outcome)
			return
		case errors.Is(err, enginetest.ErrCrash), errors.Is(err, engine.ErrFenced):
		case err != nil:
			s.t.Errorf("the engine stopped: %v", err)
			return
		default:
			s.decide(result.Holds)
		}
		time.Sleep(time.Duration(s.rnd.IntN(60)) * time.Second) // simulated: whoever is on call takes a while
	}
	s.t.Errorf("the execution has not ended after 400 starts")
}

// pending is an answer on its way to the simulated loop.
type pending struct {
	key     string
	at      time.Time
	records []astern.Record
}

// once is one life of a simulated process: it performs actions as they come and gets their answers a little later, in an
// order that the seed decides.
func (s *sim) once() (engine.Result, error) {
	s.journal.Take(s.clock.Now())
	fold, err := engine.NewFold(s.plan)
	if err != nil {
		return engine.Result{}, err
	}
	meddle := time.Now().Add(s.soon())
	busy := map[string]bool{}
	var due []pending
	for range 20000 {
		records, err := s.journal.Read(context.Background(), "", fold.Seq())
		if err != nil {
			return engine.Result{}, err
		}
		for _, r := range records {
			fold.Apply(r)
		}
		if fold.Outcome() != "" {
			return engine.Result{Outcome: fold.Outcome()}, nil
		}
		wake, end := s.act(fold, busy, &due)
		if end != nil {
			if end.Outcome != "" {
				err = s.journal.Append(context.Background(), "", fold.Fence(), astern.Record{Kind: astern.RecordEnded, At: s.clock.Now(), Outcome: end.Outcome})
			}
			return *end, err
		}
		if err := s.deliver(fold, busy, &due, wake); err != nil {
			return engine.Result{}, err
		}
		if time.Now().After(meddle) {
			meddle = time.Now().Add(s.soon())
			s.meddle()
		}
	}
	s.t.Errorf("the execution neither goes on nor holds")
	return engine.Result{Outcome: "none"}, nil
}

// soon is when somebody meddles next: some runs are left alone.
func (s *sim) soon() time.Duration { return time.Duration(s.rnd.IntN(120)) * time.Second }

// act performs every action that is not under way.
func (s *sim) act(fold *engine.Fold, busy map[string]bool, due *[]pending) (wake time.Time, end *engine.Result) {
	for _, a := range fold.Decide(s.clock.Now()) {
		switch {
		case a.Kind == engine.Wait:
			wake = a.At
		case a.Kind == engine.Hold && len(busy) == 0:
			return wake, &engine.Result{Holds: a.Holds}
		case a.Kind == engine.End && len(busy) == 0:
			return wake, &engine.Result{Outcome: a.Outcome}
		case a.Kind == engine.Hold, a.Kind == engine.End, busy[a.Key()]:
		default:
			busy[a.Key()] = true
			w := engine.World{Observe: s.world.Observe, Actor: s.world, Stopper: s.world, Check: s.world.Check, Plan: s.world.Plan}
			*due = append(*due, pending{a.Key(), time.Now().Add(time.Duration(s.rnd.IntN(2000)) * time.Millisecond),
				engine.Perform(context.Background(), w, "ex-1", a)})
		}
	}
	return wake, nil
}

// deliver waits for the next answer, the time to wake up, or a second, and writes down what came.
func (s *sim) deliver(fold *engine.Fold, busy map[string]bool, due *[]pending, wake time.Time) error {
	until := time.Now().Add(time.Second)
	if w := time.Now().Add(wake.Sub(s.clock.Now())); !wake.IsZero() && w.Before(until) {
		until = w
	}
	next := -1
	for i, p := range *due {
		if !p.at.After(until) {
			until, next = p.at, i
		}
	}
	time.Sleep(time.Until(until))
	if next < 0 {
		return nil
	}
	p := (*due)[next]
	*due = append((*due)[:next], (*due)[next+1:]...)
	delete(busy, p.key)
	news := fold.News(p.records, s.clock.Now())
	if len(news) == 0 {
		return nil
	}
	return s.journal.Append(context.Background(), "", fold.Fence(), news...)
}

// loop is one life of the engine's own loop.
func (s *sim) loop() (engine.Result, error) {
	e := engine.Engine{Journal: s.journal, Clock: &s.clock, Execution: "ex-1", Plan: s.plan,
		Fence: s.journal.Take(s.clock.Now()), LookEvery: time.Second,
		World: engine.World{Observe: s.world.Observe, Actor: s.world, Stopper: s.world, Check: s.world.Check, Plan: s.world.Plan}}
	over, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case <-over:
				return
			case <-time.After(s.soon()):
				s.meddle()
			}
		}
	}()
	defer func() {
		close(over)
		<-gone
	}()
	return e.Run(context.Background())
}

// meddle is what may come at any moment: an operator, somebody else who changes the world, a clock that is set, a process that
// is killed. What the operator says of the world is true; whether it is still asked for is the engine's to know.
func (s *sim) meddle() {
	steps := s.fold(s.journal.Records()).Steps()
	step := steps[s.rnd.IntN(len(steps))].ID
	switch s.rnd.IntN(24) {
	case 0:
		s.say(astern.Record{Kind: astern.RecordPaused})
	case 1:
		s.say(astern.Record{Kind: astern.RecordCancelled})
	case 2:
		s.journal.Kill()
	case 3, 4:
		s.say(astern.Record{Kind: astern.RecordResumed})
	case 5:
		s.say(astern.Record{Kind: astern.RecordSkipped, Step: step})
	case 6:
		s.say(astern.Record{Kind: astern.RecordAllowed, Step: step})
	case 7, 8, 9:
		s.settle(step)
	case 10, 11:
		f := s.plan.Facts[s.rnd.IntN(len(s.plan.Facts))]
		member := ""
		if fl, ok := s.plan.Fleet(f.Address); ok {
			member = fl.Members[s.rnd.IntN(len(fl.Members))]
		}
		s.world.Disturb(f.Address, astern.MemberPath(f.Path, member))
	case 12:
		s.world.Mend()
	case 13:
		s.jump()
	}
}

// jump sets the clock back, or forward where nothing takes time to become visible: how long ago a doubt began is told by the
// clock alone.
func (s *sim) jump() {
	by := -time.Duration(s.rnd.IntN(48*3600)) * time.Second
	if s.world.Delay == 0 && s.rnd.IntN(2) == 0 {
		by = -by
	}
	s.jumped = true
	s.clock.skew.Add(int64(by))
}

func (s *sim) say(r astern.Record) { r.At, r.By = s.clock.Now(), "op"; s.journal.Say(r) }

// decide is the operator in front of a held execution.
func (s *sim) decide(holds []engine.HoldReason) {
	if len(holds) == 0 {
		s.t.Errorf("held without a reason")
	}
	for _, h := range holds {
		if h.Text == "" {
			s.t.Errorf("held as %s of %q without a text", h.Kind, h.Step)
		}
		switch h.Kind {
		case engine.HoldUnsure:
			s.settle(h.Step)
		case engine.HoldBlocked:
			s.say(astern.Record{Kind: astern.RecordSkipped, Step: h.Step})
		case engine.HoldLimit:
			s.say(astern.Record{Kind: astern.RecordAllowed, Step: h.Step})
		case engine.HoldFailed, engine.HoldRefused:
			if s.rnd.IntN(4) == 0 {
				s.say(astern.Record{Kind: astern.RecordSkipped, Step: h.Step})
				continue
			}
			s.world.Mend()
			s.say(astern.Record{Kind: astern.RecordResumed})
		case engine.HoldPlan:
			if s.rnd.IntN(3) == 0 {
				s.say(astern.Record{Kind: astern.RecordCancelled})
				continue
			}
			s.say(astern.Record{Kind: astern.RecordResumed})
		default:
			s.say(astern.Record{Kind: astern.RecordResumed})
		}
	}
}

// settle says what became of the step's last attempt, unless that is still being started.
func (s *sim) settle(step string) {
	var last astern.Record
	for _, r := range s.journal.Records() {
		if r.Kind == astern.RecordIntent && r.Step == step {
			last = r
		}
	}
	if last.Call == nil {
		return
	}
	op := &astern.Op{Status: astern.OpFailed, Code: astern.Unavailable}
	if s.world.Happened(last.Call.Token) {
		op = &astern.Op{Status: astern.OpDone, Outputs: s.world.Outputs(*last.Call)}
	}
	s.say(astern.Record{Kind: astern.RecordSettled, Step: step, Attempt: last.Attempt, Op: op})
}

func (s *sim) fold(records []astern.Record) *engine.Fold {
	fold, err := engine.NewFold(s.plan)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range records {
		fold.Apply(r)
	}
	return fold
}

// judge compares the end with what must hold.
func (s *sim) judge(o astern.Outcome) {
	records := s.journal.Records()
	fold := s.fold(records)
	for i, r := range records {
		if r.Seq != int64(i)+1 {
			s.t.Errorf("record %d has number %d", i+1, r.Seq)
		}
	}
	if len(records) > 4000 {
		s.t.Errorf("%d records", len(records))
	}
	for _, w := range s.world.Wrong {
		s.t.Error(w)
	}
	effects := map[string]int{}
	var order []string
	for _, e := range s.world.Effects {
		effects[e.Step]++
		order = append(order, e.Step)
	}
	status := map[string]engine.StepStatus{}
	for _, st := range fold.Steps() {
		status[st.ID] = st
		n := effects[st.ID]
		switch {
		case n > 1:
			s.t.Errorf("%s had its effect %d times", st.ID, n)
		case st.Status == "done" && n != 1:
			s.t.Errorf("%s is done without an effect", st.ID)
		case st.Status != "done" && n != 0:
			s.t.Errorf("%s is %s and had its effect", st.ID, st.Status)
		}
	}
	if o == astern.OutcomeDone && len(effects) != len(status) {
		s.t.Errorf("done with %d of %d steps", len(effects), len(status))
	}
	s.judgeOrder(order, status)
	if !s.jumped {
		s.judgeStops(records)
	}
	s.judgeGates(records, status)
	s.judgeIntents(records)
}

// judgeOrder checks that stages follow each other and that a lane's steps do.
func (s *sim) judgeOrder(order []string, status map[string]engine.StepStatus) {
	stage := 0
	for _, id := range order {
		if n := status[id].Stage; n < stage {
			s.t.Errorf("%s of stage %d acted after stage %d had begun", id, n, stage)
		} else {
			stage = n
		}
	}
}

// judgeStops checks that nothing was started later than a second after a person said stop.
func (s *sim) judgeStops(records []astern.Record) {
	var stopped time.Time
	for _, r := range records {
		switch r.Kind {
		case astern.RecordPaused, astern.RecordCancelled:
			if stopped.IsZero() {
				stopped = r.At
			}
		case astern.RecordResumed:
			stopped = time.Time{}
		case astern.RecordIntent:
			if !stopped.IsZero() && r.At.Sub(stopped) > time.Second {
				s.t.Errorf("record %d: %s was started %s after a person said stop", r.Seq, r.Step, r.At.Sub(stopped))
			}
		}
	}
}

// judgeGates checks that no step of a later stage was started before the gates of those before it had opened: a pass after
// the last step, and between passes that follow each other as much time as it bakes.
func (s *sim) judgeGates(records []astern.Record, status map[string]engine.StepStatus) {
	type gate struct {
		last  time.Time
		pass  bool
		baked time.Duration
	}
	gates := make([]gate, len(s.plan.Stages))
	for _, r := range records {
		switch r.Kind {
		case astern.RecordTaken, astern.RecordResumed:
			for i := range gates {
				gates[i].last = time.Time{}
			}
		case astern.RecordRound:
			g := &gates[r.Stage-1]
			if g.pass = r.Gate && !slices.ContainsFunc(r.Results, func(c astern.CheckResult) bool { return c.Verdict != astern.Pass }); !g.pass {
				g.last = time.Time{}
				continue
			}
			if !g.last.IsZero() {
				g.baked += max(0, r.At.Sub(g.last))
			}
			g.last = r.At
		case astern.RecordIntent:
			n := status[r.Step].Stage
			gates[n-1] = gate{}
			for i, st := range s.plan.Stages[:n-1] {
				if st.Gate != nil && (!gates[i].pass || gates[i].baked < time.Duration(st.Gate.BakeSeconds)*time.Second) {
					s.t.Errorf("record %d: %s was started before the gate of stage %d had opened: %+v", r.Seq, r.Step, i+1, gates[i])
				}
			}
		}
	}
}

// judgeIntents checks the one law that all else rests on: the attempt rises only after a definite "no effect", and the
// actions that come next from the whole journal are those of the fold that was kept along.
func (s *sim) judgeIntents(records []astern.Record) {
	kept := s.fold(nil)
	attempts := map[string]int{}
	definite := map[string]bool{}
	for i, r := range records {
		switch r.Kind {
		case astern.RecordIntent:
			if attempts[r.Step] > 0 && !definite[r.Step] {
				s.t.Errorf("record %d: attempt %d of %s without a definite end of the one before", r.Seq, r.Attempt, r.Step)
			}
			if r.Attempt != attempts[r.Step]+1 {
				s.t.Errorf("record %d: attempt %d of %s follows %d", r.Seq, r.Attempt, r.Step, attempts[r.Step])
			}
			attempts[r.Step], definite[r.Step] = r.Attempt, false
		case astern.RecordOp, astern.RecordSettled:
			definite[r.Step] = r.Op.Status == astern.OpFailed
		case astern.RecordAbsent:
			definite[r.Step] = true
		}
		kept.Apply(r)
		s.judgeWidth(r, kept)
		if i%17 == 0 {
			fresh, err := engine.Next(s.plan, records[:i+1], r.At)
			if err != nil {
				s.t.Fatal(err)
			}
			if got := kept.Decide(r.At); fmt.Sprint(keys(got)) != fmt.Sprint(keys(fresh)) || !reflect.DeepEqual(got, fresh) {
				s.t.Errorf("record %d: the kept fold gives %v, the journal %v", r.Seq, keys(got), keys(fresh))
			}
		}
	}
}

// judgeWidth checks that no more lanes act at once than the stage allows: in each, one step at a time.
func (s *sim) judgeWidth(r astern.Record, kept *engine.Fold) {
	if r.Kind != astern.RecordIntent {
		return
	}
	acting := map[int]int{}
	for _, st := range kept.Steps() {
		if in, _ := kept.InFlight(st.ID); in {
			acting[st.Stage]++
		}
	}
	for n, most := range acting {
		if most > max(1, s.plan.Stages[n-1].Parallel) || len(acting) > 1 {
			s.t.Errorf("record %d: %v lanes act at once by stage", r.Seq, acting)
		}
	}
}

func keys(actions []engine.Action) []string {
	var out []string
	for _, a := range actions {
		out = append(out, a.Key())
	}
	return out
}
