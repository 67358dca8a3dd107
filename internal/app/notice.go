package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/incident"
	"github.com/astern-dev/astern/internal/notice"
)

// Notices keeps what people are to be told, and what they were told: the outbox.
type Notices interface {
	QueueNotice(ctx context.Context, n astern.Notice, channels []string, at time.Time) error
	Dispatches(ctx context.Context, since time.Time) ([]astern.Dispatch, error)
	TryDispatch(ctx context.Context, n int64, with []int64, now, next time.Time) (taken bool, err error)
	SettleDispatch(ctx context.Context, n int64, state astern.DispatchState, why string, next, at time.Time) error
	Subscribe(ctx context.Context, channels []string, at time.Time) (map[string]time.Time, error)
}

// told is the store in front of the audit log: what was recorded and done there is queued for people, whoever did it. Queueing
// is one write; a channel is never asked here. What can't be queued stops nothing: owed finds it again.
type told struct {
	Store
	app *App
}

// post is what a process remembers of the outbox.
type post struct {
	subscribed sync.Once
	unqueued   atomic.Bool // something could not be queued
	delivering sync.Mutex
	swept      time.Time // when all was looked through; guarded by delivering
}

// queueTime bounds what telling may cost whoever does something.
const queueTime = 2 * time.Second

// subscribe notes since when the channels are told, once in a process and before anything is done, so that what is done from
// then on is told even if the process dies before it is queued.
func (a *App) subscribe(ctx context.Context) {
	a.post.subscribed.Do(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), queueTime)
		defer cancel()
		_, _ = a.Store.Subscribe(ctx, a.subscriptions(), a.Now()) // the next sweep tries again
	})
}

// subscriptions name each channel with what it is told of: one that is told of more from now on is not told of the past.
func (a *App) subscriptions() []string {
	out := make([]string, len(a.System.Channels))
	for i, c := range a.System.Channels {
		out[i] = subscription(c)
	}
	return out
}

func subscription(c astern.Channel) string {
	return fmt.Sprintf("%s events=%s severity=%s components=%s", c.Name, c.Events, c.Severity, c.Components)
}

func (a *App) channelNames() []string {
	out := make([]string, len(a.System.Channels))
	for i, c := range a.System.Channels {
		out[i] = c.Name
	}
	return out
}

// telling runs what is told of by tell, which is called when it was done.
func (s told) telling(ctx context.Context, do func() error, tell func(ctx context.Context) error) error {
	if len(s.app.System.Channels) == 0 {
		return do()
	}
	s.app.subscribe(ctx)
	if err := do(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), queueTime)
	defer cancel()
	if err := tell(ctx); err != nil {
		s.app.post.unqueued.Store(true)
	}
	return nil
}

// queue writes a notice into the outbox for the channels that want it.
func (a *App) queue(ctx context.Context, n astern.Notice, ok bool) error {
	if !ok {
		return nil
	}
	channels := notice.Route(a.System, n)
	if len(channels) == 0 {
		return nil
	}
	return a.Store.QueueNotice(ctx, a.stamped(n), channels, a.Now())
}

// stamped adds to a notice the system and a new id.
func (a *App) stamped(n astern.Notice) astern.Notice {
	n.System, n.ID = a.System.Name, newID()+newID()
	return n
}

// queueWith is queue for a notice that belongs to an incident if there is one.
func (a *App) queueWith(ctx context.Context, n astern.Notice, ok bool) error {
	if !ok {
		return nil
	}
	if logs, err := a.Store.Incidents(ctx); err == nil { // if not, it is told by itself
		n = notice.Belongs(n, folded(logs))
	}
	return a.queue(ctx, n, true)
}

func folded(logs []astern.IncidentLog) []astern.Incident {
	out := make([]astern.Incident, len(logs))
	for i, log := range logs {
		out[i] = incident.Fold(log)
	}
	return out
}

// OpenIncident tells of the incident.
func (s told) OpenIncident(ctx context.Context, e astern.IncidentEvent) (id string, opened bool, err error) {
	err = s.telling(ctx, func() (err error) {
		id, opened, err = s.Store.OpenIncident(ctx, e)
		return err
	}, func(ctx context.Context) error { return s.app.tellIncident(ctx, id, 1) })
	return id, opened, err
}

// AddIncidentEvent tells of what happens with the incident.
func (s told) AddIncidentEvent(ctx context.Context, id string, e astern.IncidentEvent) (seq int64, err error) {
	if !notice.Told(e) {
		return s.Store.AddIncidentEvent(ctx, id, e)
	}
	err = s.telling(ctx, func() (err error) {
		seq, err = s.Store.AddIncidentEvent(ctx, id, e)
		return err
	}, func(ctx context.Context) error { return s.app.tellIncident(ctx, id, seq) })
	return seq, err
}

// tellIncident tells of one event of an incident as it was then.
func (a *App) tellIncident(ctx context.Context, id string, seq int64) error {
	log, err := a.Store.Incident(ctx, id)
	if err != nil {
		return err
	}
	for _, n := range notice.OfLog(log) {
		if n.Seq == seq {
			return a.queue(ctx, n.Notice, true)
		}
	}
	return nil
}

// PutPlan tells that the plan waits for approvals.
func (s told) PutPlan(ctx context.Context, hash string, doc []byte, at time.Time) error {
	return s.telling(ctx, func() error { return s.Store.PutPlan(ctx, hash, doc, at) }, func(ctx context.Context) error {
		p, err := notice.ReadPlan(hash, doc)
		if err != nil {
			return err
		}
		n, ok := notice.OfPlan(p)
		return s.app.queueWith(ctx, n, ok)
	})
}

// CreateExecution tells that a plan is carried out.
func (s told) CreateExecution(ctx context.Context, e astern.Execution, minFence int64) (made astern.Execution, created bool, err error) {
	err = s.telling(ctx, func() (err error) {
		made, created, err = s.Store.CreateExecution(ctx, e, minFence)
		return err
	}, func(ctx context.Context) error {
		p, err := s.app.noticePlan(ctx, made.PlanHash)
		if err != nil || !created {
			return err
		}
		n, ok := notice.OfBegin(p, made)
		return s.app.queueWith(ctx, n, ok)
	})
	return made, created, err
}

// Append tells that an execution has ended.
func (s told) Append(ctx context.Context, execution string, fence int64, records ...astern.Record) error {
	last := slices.IndexFunc(records, func(r astern.Record) bool { return r.Kind == astern.RecordEnded })
	if last < 0 {
		return s.Store.Append(ctx, execution, fence, records...)
	}
	return s.telling(ctx, func() error { return s.Store.Append(ctx, execution, fence, records...) }, func(ctx context.Context) error {
		e, err := s.Store.Execution(ctx, execution)
		if err != nil {
			return err
		}
		return s.app.tellEnd(ctx, e, records[last])
	})
}

// AddOverride tells that somebody breaks the glass.
func (s told) AddOverride(ctx context.Context, o astern.Override) error {
	return s.telling(ctx, func() error { return s.Store.AddOverride(ctx, o) }, func(ctx context.Context) error {
		p, err := s.app.noticePlan(ctx, o.PlanHash)
		if err != nil {
			return err
		}
		return s.app.queueWith(ctx, notice.OfOverride(p, o), true)
	})
}

func (a *App) tellEnd(ctx context.Context, e astern.Execution, end astern.Record) error {
	p, err := a.noticePlan(ctx, e.PlanHash)
	if err != nil {
		return err
	}
	return a.queueWith(ctx, notice.OfEnd(p, e.ID, end), true)
}

func (a *App) noticePlan(ctx context.Context, hash string) (notice.Plan, error) {
	doc, err := a.Store.Plan(ctx, hash)
	if err != nil {
		return notice.Plan{}, err
	}
	return notice.ReadPlan(hash, doc)
}

// tellHold tells of an execution that stopped because a person must decide. A hold is derived from the journal and never
// written, so no store can tell it.
func (a *App) tellHold(ctx context.Context, id string) error {
	if a.log == nil || len(a.System.Channels) == 0 {
		return nil
	}
	l, err := a.load(ctx, id)
	if err != nil || l.execution.Outcome != "" {
		return err
	}
	n, ok := a.holdOf(l)
	return a.queueWith(ctx, n, ok)
}

// holdOf is what is told of a hold. What a person paused needs nobody to be told.
func (a *App) holdOf(l loaded) (n astern.Notice, ok bool) {
	why := holds(l.fold, a.Now())
	if len(why) == 0 || slices.ContainsFunc(why, func(h engine.HoldReason) bool { return h.Kind == engine.HoldPaused }) {
		return n, false
	}
	at := l.execution.CreatedAt
	sum := sha256.New()
	for _, r := range l.records {
		at = r.At
		if r.Fence == 0 { // each word of a person may let it go on: what holds it then is told anew
			sum.Write([]byte(r.At.String() + string(r.Kind)))
		}
	}
	var reasons []string
	for _, h := range why {
		sum.Write([]byte(h.Kind + "\x00" + engine.HoldKind(h.Step)))
		where := h.Step
		if where == "" {
			where = "stage"
		}
		reasons = append(reasons, where+" "+string(h.Kind)+": "+h.Text)
	}
	return notice.OfHold(planOf(l), l.execution.ID, hex.EncodeToString(sum.Sum(nil)[:6]), at, reasons, l.ways(why)), true
}

func planOf(l loaded) notice.Plan {
	return notice.Plan{Hash: l.execution.PlanHash, Asked: l.plan.Asked, Intent: l.plan.Intent, Moves: l.plan.Moves}
}
