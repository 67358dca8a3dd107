package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/notice"
	"github.com/astern-dev/astern/internal/notify"
	"github.com/astern-dev/astern/internal/proc"
	"github.com/astern-dev/astern/internal/proof"
	"github.com/astern-dev/astern/internal/store/storemodel"
)

// mortal is a state that is used by a process which may die before or after each of its writes.
type mortal struct {
	simStore
	post *postSim
	dead bool
}

var errDied = errors.New("the process is dead")

func (m *mortal) do(write func() error) error {
	if !m.dead && m.post.chance(1000) < m.post.risk {
		m.die()
	}
	if m.dead {
		return errDied
	}
	err := write()
	if m.post.chance(1000) < m.post.risk {
		m.die()
		return errDied
	}
	return err
}

// chance draws from the trial's numbers; the receiver and the processes take turns, which the race detector can't see.
func (p *postSim) chance(n int) int {
	p.draw.Lock()
	defer p.draw.Unlock()
	return p.rnd.IntN(n)
}

func (m *mortal) die() {
	m.dead = true
	m.post.deaths++
}

func (m *mortal) OpenIncident(ctx context.Context, e astern.IncidentEvent) (id string, opened bool, err error) {
	err = m.do(func() error { id, opened, err = m.Store.OpenIncident(ctx, e); return err })
	return id, opened, err
}

func (m *mortal) AddIncidentEvent(ctx context.Context, id string, e astern.IncidentEvent) (seq int64, err error) {
	err = m.do(func() error { seq, err = m.Store.AddIncidentEvent(ctx, id, e); return err })
	return seq, err
}

func (m *mortal) QueueNotice(ctx context.Context, n astern.Notice, channels []string, at time.Time) error {
	return m.do(func() error { return m.Store.QueueNotice(ctx, n, channels, at) })
}

func (m *mortal) TryDispatch(ctx context.Context, n int64, with []int64, now, next time.Time) (taken bool, err error) {
	err = m.do(func() error { taken, err = m.Store.TryDispatch(ctx, n, with, now, next); return err })
	return taken, err
}

func (m *mortal) SettleDispatch(ctx context.Context, n int64, state astern.DispatchState, why string, next, at time.Time) error {
	return m.do(func() error { return m.Store.SettleDispatch(ctx, n, state, why, next, at) })
}

func (m *mortal) Subscribe(ctx context.Context, channels []string, at time.Time) (since map[string]time.Time, err error) {
	err = m.do(func() error { since, err = m.Store.Subscribe(ctx, channels, at); return err })
	return since, err
}

// postSim is one trial: two processes that die, a receiver that fails, and what it took.
type postSim struct {
	t      *testing.T
	seed   uint64
	draw   sync.Mutex
	rnd    *rand.Rand
	store  *storemodel.Store
	now    time.Time
	risk   int // in a thousand, at each write
	faults int // in ten, at each message
	apps   [2]*App
	states [2]*mortal
	deaths int

	mu      sync.Mutex
	cut     int                 // answers that broke off after the message was taken
	bodies  map[string][]string // by id: the tokens of the message
	arrived []string            // tokens in the order in which they came first
	doubles int
}

func (p *postSim) take(w http.ResponseWriter, id string, tokens []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.chance(10) < p.faults {
		switch p.chance(3) {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case 1:
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		p.cut++
		defer panic(http.ErrAbortHandler) // it has the message, and the answer is lost
	}
	if before, ok := p.bodies[id]; ok {
		p.doubles++
		if !slices.Equal(before, tokens) {
			p.t.Errorf("trial %d: %s was %q and is %q", p.seed, id, before, tokens)
		}
		return
	}
	p.bodies[id] = tokens
	p.arrived = append(p.arrived, tokens...)
}

// process starts a process in the place of one that died.
func (p *postSim) process(i int, url string) *App {
	if p.apps[i] == nil || p.states[i].dead {
		p.states[i] = &mortal{simStore: simStore{Store: p.store}, post: p}
		p.apps[i] = &App{Store: p.states[i], Now: func() time.Time { return p.now }, By: "watch", Alive: func(astern.Runner) bool { return false }, Runner: proc.Self(),
			System: astern.System{Name: "sim", Channels: []astern.Channel{{Name: "hook", Webhook: &astern.WebhookChannel{URL: url}}}}}
		p.apps[i].Audit(&recorded{})
	}
	return p.apps[i]
}

// step lets a process do something.
func (p *postSim) step(ctx context.Context, url string) {
	a := p.process(p.chance(2), url)
	p.now = p.now.Add(time.Duration(p.chance(40)) * time.Second)
	all, err := p.store.Incidents(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	switch what := p.chance(10); {
	case what == 0 || len(all) == 0: // what a dead process answers, nobody hears
		_, _, _ = a.Store.OpenIncident(ctx, astern.IncidentEvent{At: p.now, Kind: astern.IncidentOpened, By: "watch", Text: "errors", Addresses: []string{"p/shop"}})
	case what < 5:
		e := astern.IncidentEvent{At: p.now, By: "watch", Kind: astern.IncidentDecided, Decision: &astern.Decision{Act: astern.ActHold, Because: "no data"}}
		if p.chance(4) == 0 {
			e.Kind, e.Decision = []astern.IncidentEventKind{astern.IncidentResolved, astern.IncidentReopened, astern.IncidentNoted}[p.chance(3)], nil
		}
		_, _ = a.Store.AddIncidentEvent(ctx, all[p.chance(len(all))].ID, e)
	default:
		if _, err := a.Deliver(ctx); err != nil && !errors.Is(err, errDied) {
			p.t.Errorf("trial %d: %v", p.seed, err)
		}
	}
}

// judge compares what arrived with what happened.
func (p *postSim) judge(ctx context.Context) {
	logs, err := p.store.Incidents(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	want := map[string]bool{}
	for _, log := range logs {
		for _, n := range notice.OfLog(log) {
			want[n.Token] = true
		}
	}
	p.arrived = slices.DeleteFunc(p.arrived, func(token string) bool { return strings.Contains(token, "/overdue/") }) // time passes, too
	for token := range want {
		if !slices.Contains(p.arrived, token) {
			p.t.Errorf("trial %d: %s is lost", p.seed, token)
		}
	}
	if len(p.arrived) != len(want) || len(slices.Compact(slices.Sorted(slices.Values(p.arrived)))) != len(want) {
		p.t.Errorf("trial %d: %d of %d arrived, some by two ids", p.seed, len(p.arrived), len(want))
	}
	if p.doubles > p.cut+p.deaths {
		p.t.Errorf("trial %d: %d messages came twice, with %d answers lost and %d deaths", p.seed, p.doubles, p.cut, p.deaths)
	}
	rows, err := p.store.Dispatches(ctx, time.Time{})
	if err != nil {
		p.t.Fatal(err)
	}
	last := map[string]int64{}
	for _, token := range p.arrived {
		d := rows[slices.IndexFunc(rows, func(d astern.Dispatch) bool { return d.Notice.Token == token })]
		if d.N < last[d.Notice.Topic] {
			p.t.Errorf("trial %d: %s came after what was queued later", p.seed, token)
		}
		last[d.Notice.Topic] = d.N
	}
}

// TestOutboxSimulation: two processes that are killed before and after any write, a receiver that refuses, asks for time and
// loses answers. Everything that happened is told, in the order in which it was queued, each by one id; what comes twice does
// so because an answer was lost or a process died. The wait between tries has a random part that is not of the seed.
func TestOutboxSimulation(t *testing.T) {
	var mu sync.Mutex
	var now *postSim
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var m struct {
			Data struct {
				Token   string
				Earlier []astern.Notice
			}
		}
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if err != nil {
			t.Errorf("it sends %q: %v", body, err)
			return
		}
		var tokens []string
		for _, e := range m.Data.Earlier {
			tokens = append(tokens, e.Token)
		}
		mu.Lock()
		p := now
		mu.Unlock()
		p.take(w, r.Header.Get("webhook-id"), append(tokens, m.Data.Token))
	}))
	defer srv.Close()
	first, count := proof.Seeds(t, 100)
	figures := map[string]float64{}
	for seed := first; seed < first+count; seed++ {
		rnd := rand.New(rand.NewPCG(seed, 18))
		p := &postSim{t: t, seed: seed, rnd: rnd, store: storemodel.New(), now: time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC), bodies: map[string][]string{},
			risk: []int{0, 20, 100}[rnd.IntN(3)], faults: rnd.IntN(10)}
		mu.Lock()
		now = p
		mu.Unlock()
		ctx := t.Context()
		if _, err := p.store.Subscribe(ctx, []string{subscription(p.process(0, srv.URL).System.Channels[0])}, p.now); err != nil {
			t.Fatal(err)
		}
		for range 20 + rnd.IntN(80) {
			p.step(ctx, srv.URL)
		}
		p.mu.Lock()
		p.risk, p.faults = 0, 0
		p.mu.Unlock()
		for range 12 {
			p.now = p.now.Add(notice.Window + notify.Timeout)
			if _, err := p.process(0, srv.URL).Deliver(ctx); err != nil {
				t.Fatal(err)
			}
		}
		p.judge(ctx)
		for name, n := range map[string]int{"notices": len(p.arrived), "messages": len(p.bodies), "doubles": p.doubles, "deaths": p.deaths, "lost_answers": p.cut} {
			figures[name] += float64(n)
		}
		if t.Failed() {
			t.Fatal(strings.TrimSpace(fmt.Sprintf("ASTERN_PROOF_FIRST=%d ASTERN_PROOF_COUNT=1 repeats it", seed)))
		}
	}
	figures["trials"] = float64(count)
	proof.Figures(t, figures)
}
