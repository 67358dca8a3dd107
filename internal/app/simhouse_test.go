package app

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/store/sqlite"
	"github.com/astern-dev/astern/internal/store/storemodel"
)

// house is one simulated run: a world, a store, two operators and the processes that they start, on one thread with one
// clock. Everything in it follows from its seed.
type house struct {
	t         testing.TB
	rnd       *rand.Rand
	now       time.Time
	skew      time.Duration // of the machine's clock
	jumped    bool
	queue     eventQueue
	serial    int
	calm      bool // the chaos is over
	system    astern.System
	services  map[string]simService
	world     *simWorld
	store     *storemodel.Store
	processes []*process
	decoded   map[string]Planned
	docs      []Planned         // made and not applied yet
	disturbed map[string]string // "ADDRESS MEMBER" that somebody changed by hand -> its link before
	touched   map[string]bool   // the same, and never forgotten
	crashes   int               // in a thousand writes
	wrongs    []string
	trace     func(format string, args ...any)
}

// event is something that will happen.
type event struct {
	at     time.Time
	serial int
	do     func()
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].serial < q[j].serial
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *eventQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func (h *house) after(d time.Duration, do func()) {
	h.serial++
	heap.Push(&h.queue, event{h.now.Add(d), h.serial, do})
}

// local is what the machine's clock says.
func (h *house) local() time.Time { return h.now.Add(h.skew) }

// some returns a random time up to most.
func (h *house) some(most time.Duration) time.Duration {
	return time.Duration(h.rnd.Int64N(int64(most)))
}

func (h *house) wrong(format string, args ...any) {
	h.wrongs = append(h.wrongs, fmt.Sprintf(format, args...))
	h.say("WRONG: "+format, args...)
}

func (h *house) say(format string, args ...any) {
	if h.trace != nil {
		h.trace(h.now.Format("15:04:05.000 ")+format, args...)
	}
}

// run lets events happen until the queue is empty or the time is over.
func (h *house) run(until time.Time) {
	for len(h.queue) > 0 && h.queue[0].at.Before(until) && len(h.wrongs) == 0 {
		e := heap.Pop(&h.queue).(event)
		h.now = e.at
		e.do()
	}
	h.now = until
}

// process is one life of `astern` that carries out an execution.
type process struct {
	h      *house
	app    *App
	eng    engine.Engine
	fold   *engine.Fold
	runner astern.Runner
	busy   map[string]bool
	frozen time.Time // stopped until then
	judged bool      // somebody takes the stopped process for dead
	stale  bool      // it was stopped, or killed: what it still does is late
	dead   bool
	looks  int // the last scheduled look
}

var errSimCrash = errors.New("the process crashed")

// application is the application as one command of the operator's sees it; p is nil for a command that carries nothing out.
func (h *house) application(by string, p *process) *App {
	runner := astern.Runner{Host: "desk", PID: 1, User: by}
	if p != nil {
		runner = p.runner
	}
	a := &App{System: h.system, Now: h.local, By: by, Runner: runner, Alive: h.alive, decode: h.decode}
	a.Store = simStore{h.store, h, p}
	a.drivers = []astern.Driver{{Kind: simKind, Layer: astern.LayerApplication, Observer: h.world, Router: simRouter{h.services},
		Actor: simActor{h.world, p}}}
	return a
}

// decode reads each plan file once: the same bytes give the same plan.
func (h *house) decode(doc []byte) (astern.Plan, string, error) {
	if d, ok := h.decoded[string(doc)]; ok {
		return d.Plan, d.Hash, nil
	}
	p, hash, err := planfile.Decode(doc)
	if err == nil {
		h.decoded[string(doc)] = Planned{Plan: p, Hash: hash}
	}
	return p, hash, err
}

// alive is what the operating system says of a process.
func (h *house) alive(r astern.Runner) bool {
	for _, p := range h.processes {
		if p.runner == r {
			return !p.dead && !(p.judged && h.now.Before(p.frozen))
		}
	}
	return false
}

// start carries an execution out, as `astern resume` does.
func (h *house) start(by, id string) {
	p := &process{h: h, runner: astern.Runner{Host: "desk", PID: 1000 + len(h.processes), User: by}, busy: map[string]bool{}}
	p.app = h.application(by, p)
	h.processes = append(h.processes, p)
	eng, outcome, err := p.app.engine(context.Background(), id)
	if err != nil || outcome != "" {
		h.told("starting "+id, err)
		p.dead = true
		return
	}
	h.say("%s: process %d takes %s under fence %d", by, p.runner.PID, id, eng.Fence)
	eng.World.Check = func(_ context.Context, c astern.Check) astern.CheckResult { return h.world.check(c) }
	p.eng = eng.Engine
	if p.fold, err = engine.NewFold(eng.Plan); err != nil {
		h.wrong("folding %s: %v", id, err)
		return
	}
	p.look(p.looks)
}

// told is what an operator reads when something was not done: it must say what and why, and no fault of astern's own.
func (h *house) told(doing string, err error) {
	if err == nil {
		return
	}
	h.say("%s: %v", doing, err)
	ours := astern.CodeOf(err) == astern.Internal && !errors.Is(err, errSimCrash) && !errors.Is(err, sqlite.ErrUnknownCommit)
	if err.Error() == "" || ours {
		h.wrong("%s: %v (%s)", doing, err, astern.CodeOf(err))
	}
}

// later runs do unless the process is dead then; while it is stopped, that waits.
func (p *process) later(d time.Duration, do func()) {
	p.h.after(d, func() {
		switch {
		case p.dead:
		case p.h.now.Before(p.frozen):
			p.later(p.frozen.Sub(p.h.now), do)
		default:
			do()
		}
	})
}

// look reads the journal and does what is due.
func (p *process) look(serial int) {
	if serial == p.looks && p.read() {
		p.decide()
	}
}

func (p *process) read() bool {
	records, err := p.eng.Journal.Read(context.Background(), p.eng.Execution, p.fold.Seq())
	if err != nil {
		return p.stop(err)
	}
	for _, r := range records {
		p.fold.Apply(r)
	}
	if p.fold.Fence() > p.eng.Fence {
		return p.stop(engine.ErrFenced)
	}
	return true
}

// stop ends the process with an error, which its operator reads.
func (p *process) stop(err error) bool {
	if !errors.Is(err, errSimCrash) && !errors.Is(err, engine.ErrFenced) {
		p.h.told("running "+p.eng.Execution, stopped(p.eng.Execution, err))
	}
	p.h.say("process %d of %s stops: %v", p.runner.PID, p.eng.Execution, err)
	p.dead, p.stale = true, true
	return false
}

// decide is the engine's loop, once.
func (p *process) decide() {
	if p.fold.Outcome() != "" {
		p.ended()
		return
	}
	next := time.Second
	for _, a := range p.fold.Decide(p.h.local()) {
		switch a.Kind {
		case engine.Wait:
			next = min(next, max(0, a.At.Sub(p.h.local())))
		case engine.Hold:
			if len(p.busy) == 0 {
				p.h.judgeHolds(p.eng.Execution, a.Holds)
				p.dead = true
				return
			}
		case engine.End:
			if len(p.busy) == 0 {
				if p.append([]astern.Record{{Kind: astern.RecordEnded, Outcome: a.Outcome}}) {
					p.decide()
				}
				return
			}
		default:
			p.launch(a)
		}
	}
	p.looks++
	serial := p.looks
	p.later(next, func() { p.look(serial) })
}

// ended is the end of an execution: its child goes on in the same command.
func (p *process) ended() {
	p.h.say("process %d: %s ended %s", p.runner.PID, p.eng.Execution, p.fold.Outcome())
	p.dead = true
	p.h.judgeEnd(p.eng.Execution, p.fold.Outcome())
	if p.fold.Outcome() != astern.OutcomeContinued {
		return
	}
	next, err := p.app.childExecution(context.Background(), p.fold.Child())
	if err != nil {
		p.h.wrong("%s is continued by %s: %v", p.eng.Execution, p.fold.Child(), err)
		return
	}
	p.h.start(p.runner.User, next)
}

// launch performs an action: its call is under way for a while, and so is its answer. A process that is stopped before has
// not sent it yet; one that is killed may have.
func (p *process) launch(a engine.Action) {
	key := a.Key()
	if p.busy[key] {
		return
	}
	p.busy[key] = true
	if a.Kind == engine.Start && !p.h.calm && p.h.rnd.IntN(30) == 0 {
		p.freeze()
	}
	var arrive func()
	arrive = func() {
		inside := a.Kind == engine.MakePlan || a.Call != nil && a.Call.Kind != simKind
		switch {
		case p.dead && (inside || a.Kind != engine.Start || p.h.rnd.IntN(2) == 0):
			return
		case p.h.now.Before(p.frozen):
			p.h.after(p.frozen.Sub(p.h.now), arrive)
			return
		}
		records := engine.Perform(context.Background(), p.eng.World, p.eng.Execution, a)
		p.later(p.h.some(1200*time.Millisecond), func() {
			delete(p.busy, key)
			if p.write(records) {
				p.decide()
			}
		})
	}
	p.h.after(p.h.some(800*time.Millisecond), arrive)
}

// write appends what is new in the records; intents come last.
func (p *process) write(records []astern.Record) bool {
	var answers, intents []astern.Record
	for _, r := range records {
		if r.Kind == astern.RecordIntent {
			intents = append(intents, r)
		} else {
			answers = append(answers, r)
		}
	}
	return p.append(answers) && p.append(intents)
}

// append numbers the records as the engine does: where somebody else has written in between, they are judged again behind that.
func (p *process) append(records []astern.Record) bool {
	for {
		news := p.fold.News(records, p.h.local())
		if len(news) == 0 {
			return true
		}
		for i := range news {
			news[i].Seq = p.fold.Seq() + 1 + int64(i)
		}
		switch err := p.eng.Journal.Append(context.Background(), p.eng.Execution, p.eng.Fence, news...); {
		case errors.Is(err, engine.ErrBehind):
			if !p.read() {
				return false
			}
		case err != nil:
			return p.stop(err)
		default:
			return p.read()
		}
	}
}

// simStore is the model of the store as one process reaches it: writes may crash the process before or after, or leave open
// whether they were written.
type simStore struct {
	*storemodel.Store
	h *house
	p *process // nil for a command that carries nothing out
}

func (s simStore) write(do func() error) error { return s.faulty(s.h.crashes, do) }

// faulty is write with so many crashes in a thousand of each sort.
func (s simStore) faulty(crashes int, do func() error) error {
	if s.p != nil && s.p.dead {
		return errSimCrash
	}
	dice := s.h.rnd.IntN(1000)
	if s.h.calm || dice >= 3*crashes {
		return do()
	}
	switch kind := dice % 3; {
	case kind == 0 && s.p != nil:
		s.p.dead, s.p.stale = true, true
		return errSimCrash
	case kind == 1 && s.p != nil:
		err := do()
		s.p.dead, s.p.stale = true, true
		if err == nil {
			err = errSimCrash
		}
		return err
	case dice%2 == 0:
		if err := do(); err != nil {
			return err
		}
	}
	return fmt.Errorf("simulated: %w", sqlite.ErrUnknownCommit)
}

// PutPlan stores a plan.
func (s simStore) PutPlan(ctx context.Context, hash string, doc []byte, at time.Time) error {
	return s.write(func() error { return s.Store.PutPlan(ctx, hash, doc, at) })
}

// CreateExecution makes an execution.
func (s simStore) CreateExecution(ctx context.Context, e astern.Execution, fence int64) (made astern.Execution, created bool, err error) {
	crashes := s.h.crashes
	if e.Parent != "" {
		crashes = min(8*crashes, 150) // a rare moment with much at stake
	}
	err = s.faulty(crashes, func() error {
		made, created, err = s.Store.CreateExecution(ctx, e, fence)
		if created {
			s.h.say("%s is made for %s, parent %q", made.ID, strings.Join(made.Addresses, " "), made.Parent)
		}
		return err
	})
	return made, created, err
}

// Take takes an execution.
func (s simStore) Take(ctx context.Context, id string, r astern.Runner, alive func(astern.Runner) bool, minFence int64, at time.Time) (fence int64, err error) {
	err = s.write(func() error {
		fence, err = s.Store.Take(ctx, id, r, alive, minFence, at)
		return err
	})
	return fence, err
}

// Append writes into a journal.
func (s simStore) Append(ctx context.Context, id string, fence int64, records ...astern.Record) error {
	return s.write(func() error {
		if err := s.Store.Append(ctx, id, fence, records...); err != nil {
			return err
		}
		for _, r := range records {
			text := r.Text
			if r.Kind == astern.RecordChild {
				text = fmt.Sprintf("made: %t", r.Text != "") // its hash is random
			}
			s.h.say("  %s %s %s %d %s %s", id, r.Kind, r.Step, r.Attempt, r.Outcome, text)
			if r.Kind == astern.RecordIntent {
				s.h.judgeIntent(id, r)
			}
		}
		return nil
	})
}

// AddEventUnder writes into the ledger.
func (s simStore) AddEventUnder(ctx context.Context, fence int64, e astern.Event) (made astern.Event, err error) {
	err = s.write(func() error {
		made, err = s.Store.AddEventUnder(ctx, fence, e)
		return err
	})
	return made, err
}

// Documents returns the stored plans.
func (s simStore) Documents(ctx context.Context) ([][]byte, error) {
	plans, err := s.Plans(ctx, 0)
	docs := make([][]byte, len(plans))
	for i, p := range plans {
		docs[i] = p.Doc
	}
	return docs, err
}

// Proof keeps nothing.
func (s simStore) Proof(context.Context, string) ([]byte, bool, error) { return nil, false, nil }

// KeepProof keeps nothing.
func (s simStore) KeepProof(context.Context, string, []byte, time.Time) error { return nil }
