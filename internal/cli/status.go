package cli

import (
	"context"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

func (s *session) status() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "show what runs, the way back, and what is under way", Args: takes(0, 0),
		Long: `Shows on one screen what each component runs, since when, where it could go back to and how long that takes, which
executions are under way, and which revisions are latched. Each figure has its age.

  astern status
  astern status -e production`,
		RunE: s.runs(func(ctx context.Context, _ []string) error {
			return s.with(ctx, reading, func(a *app.App) error { return s.statusOf(ctx, a) })
		}),
	}
}

func (s *session) statusOf(ctx context.Context, a *app.App) error {
	es, name, err := s.scope(a)
	if err != nil {
		return err
	}
	r := view.StatusReport{System: a.System.Name, Environment: name}
	in := map[string]bool{}
	for _, e := range es {
		found, err := a.Targets(ctx, e, "")
		if err != nil {
			return err
		}
		for _, c := range found {
			in[c.Component.Address()] = true
			line := statusOfComponent(c, a.Now())
			if line.Watch, err = a.WatchState(ctx, c.Component); err != nil {
				return err
			}
			r.Components = append(r.Components, line)
		}
		latches, err := a.Latches(ctx, e)
		if err != nil {
			return err
		}
		r.Latches = append(r.Latches, latchesOf(latches)...)
	}
	if r.Deaf, err = a.Deaf(ctx); err != nil {
		return err
	}
	incidents, err := a.Incidents(ctx)
	if err != nil {
		return err
	}
	for _, i := range incidents {
		if i.ResolvedAt == nil && slices.ContainsFunc(i.Addresses, func(address string) bool { return in[address] }) {
			r.Incidents = append(r.Incidents, i)
		}
	}
	open, err := a.Store.Executions(ctx, 0, true)
	if err != nil {
		return err
	}
	for _, e := range open {
		for _, address := range e.Addresses {
			if in[address] {
				sh, err := a.Show(ctx, e.ID)
				if err != nil {
					return err
				}
				r.Executions = append(r.Executions, executionLine(sh))
				r.Next = append(r.Next, sh.Ways...)
				break
			}
		}
	}
	for _, c := range r.Components {
		if len(r.Executions) == 0 && c.Back != nil && !c.KnownGood {
			r.Next = append(r.Next, rollbackCommand(a, c.Address, c.Back.Revision))
		}
	}
	return s.result(r, func(w io.Writer, st view.Style) error {
		r.Environment = label(r.Environment)
		return view.Status(w, st, r)
	})
}
