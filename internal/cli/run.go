package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

const (
	tickEvery = 100 * time.Millisecond
	lookEvery = 300 * time.Millisecond
	// takeTime is how long an execution that nobody carries out yet may take to be taken.
	takeTime = 2 * time.Second
)

// progress shows on stderr how executions go. A child plan that continues another begins a view of its own.
type progress struct {
	s    *session
	plan string
	view *view.Progress
}

func (p *progress) event(plan astern.Plan, r astern.Record) {
	if p.view == nil || p.plan != plan.ID {
		p.close()
		st, live := p.s.terminal(p.s.stderr)
		p.plan, p.view = plan.ID, view.NewProgress(p.s.stderr, st, plan, live)
	}
	p.view.Event(r)
}

func (p *progress) tick(now time.Time) {
	if p.view == nil {
		return
	}
	if f, ok := p.s.stderr.(*os.File); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil {
			p.view.Resize(width, height)
		}
	}
	p.view.Tick(now)
}

// close draws the last frame. A terminal that is gone stops nothing: the journal has it all.
func (p *progress) close() {
	if p.view != nil {
		_ = p.view.Close()
	}
}

// carry carries the execution out, shows how it goes, and writes the result.
func (s *session) carry(ctx context.Context, a *app.App, id string) error {
	type event struct {
		plan   astern.Plan
		record astern.Record
	}
	type end struct {
		id  string
		err error
	}
	events, ended := make(chan event), make(chan end, 1)
	go func() { // ends before carry does, which reads until then
		_, last, err := a.Run(ctx, id, func(p astern.Plan, r astern.Record) { events <- event{p, r} })
		ended <- end{last, err}
	}()
	p := &progress{s: s}
	ticks := time.NewTicker(tickEvery)
	defer ticks.Stop()
	for {
		select {
		case e := <-events:
			p.event(e.plan, e.record)
		case now := <-ticks.C:
			p.tick(now)
		case e := <-ended:
			p.close()
			s.warn(a.Unreleased()...)
			if err := s.outcome(context.WithoutCancel(ctx), a, e.id); e.err == nil {
				return err
			}
			return e.err
		}
	}
}

// outcome writes an execution as the result of the command that ran or met it.
func (s *session) outcome(ctx context.Context, a *app.App, id string) error {
	sh, err := a.Show(ctx, id)
	if err != nil {
		return err
	}
	if sh.Runner == a.Runner {
		sh.Alive = false // this process has stopped carrying it out
	}
	v := executionView(a, sh)
	return s.result(v, func(w io.Writer, st view.Style) error {
		var b bytes.Buffer
		if err := view.Execution(&b, st, shortView(v)); err != nil {
			return err
		}
		// What was left out leaves no gap.
		if _, err := io.WriteString(w, strings.ReplaceAll(b.String(), "\n\n\n", "\n\n")); err != nil {
			return fmt.Errorf("writing the output: %w", err)
		}
		return nil
	})
}

// watch shows an execution that another process carries out, until it ends, or nothing carries it on. Refresh is called
// before each look.
func (s *session) watch(ctx context.Context, a *app.App, id string, refresh func(context.Context) error) (app.Shown, error) {
	p := &progress{s: s}
	defer p.close()
	var seen int64
	idle := time.Time{}
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	for {
		if err := refresh(ctx); err != nil {
			return app.Shown{}, err
		}
		sh, err := a.Show(ctx, id)
		if err != nil {
			return sh, err
		}
		for _, r := range sh.Records {
			if r.Seq > seen {
				p.event(sh.Plan, r)
				seen = r.Seq
			}
		}
		now := time.Now()
		p.tick(now)
		next, over, err := s.over(ctx, a, sh, &idle, now)
		if err != nil || over {
			return sh, err
		}
		if next != "" {
			id, seen, idle = next, 0, time.Time{}
			continue
		}
		select {
		case <-ctx.Done():
			return sh, ctx.Err()
		case <-ticks.C:
		}
	}
}

// over tells whether there is nothing more to see of an execution, and which one continues it.
func (s *session) over(ctx context.Context, a *app.App, sh app.Shown, idle *time.Time, now time.Time) (next string, over bool, err error) {
	switch {
	case sh.Execution.Outcome == astern.OutcomeContinued:
		all, err := a.Store.Executions(ctx, 0, false)
		if err != nil {
			return "", false, err
		}
		for _, e := range all {
			if e.Parent == sh.Execution.ID {
				return e.ID, false, nil
			}
		}
	case sh.Execution.Outcome != "":
		return "", true, nil
	case sh.Alive:
		*idle = time.Time{}
		return "", false, nil
	case len(sh.Holds) > 0:
		return "", true, nil
	}
	if idle.IsZero() {
		*idle = now
	}
	return "", now.Sub(*idle) >= takeTime, nil
}

// fresh makes watch read the state anew each time: a store opened for reading does not see later changes.
func (s *session) fresh(a *app.App) (refresh func(context.Context) error, closing func()) {
	var last Store
	closing = func() {
		if last != nil {
			_ = last.Close() // it was only read
		}
	}
	return func(ctx context.Context) error {
		store, err := s.Open(ctx, s.folder(), true)
		if err != nil {
			return err
		}
		closing()
		a.Store, last = store, store
		return nil
	}, closing
}

// live is for a store that sees changes by itself.
func live(context.Context) error { return nil }
