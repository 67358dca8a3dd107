package cli

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

func (s *session) executions() *cobra.Command {
	limit := 20
	cmd := &cobra.Command{
		Use: "executions", Short: "list plans being carried out, and those carried out", Args: takes(0, 0),
		Long: `Lists executions, the open ones first, then the newest. Before them stand plans that wait for approvals, or to be applied.

  astern executions
  astern executions --limit 50 -o json`,
		RunE: s.runs(func(ctx context.Context, _ []string) error {
			return s.with(ctx, reading, func(a *app.App) error { return s.listExecutions(ctx, a, limit) })
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many; 0 means all")
	return cmd
}

func (s *session) listExecutions(ctx context.Context, a *app.App, limit int) error {
	if limit < 0 {
		return astern.Errorf(astern.Invalid, "--limit %d is negative", limit).WithHint("0 means all")
	}
	es, _, err := s.scope(a)
	if err != nil {
		return err
	}
	all, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return err
	}
	in := within(es)
	all = slices.DeleteFunc(all, func(e astern.Execution) bool { return s.environment != "" && !slices.ContainsFunc(e.Addresses, in) })
	slices.SortStableFunc(all, func(x, y astern.Execution) int {
		if open := (x.Outcome == ""); open != (y.Outcome == "") {
			return map[bool]int{true: -1, false: 1}[open]
		}
		return y.CreatedAt.Compare(x.CreatedAt)
	})
	var r view.ExecutionsReport
	if limit > 0 && len(all) > limit {
		r.More, all = len(all)-limit, all[:limit]
	}
	for _, e := range all {
		sh, err := a.Listed(ctx, e)
		if err != nil {
			return err
		}
		r.Executions = append(r.Executions, executionLine(sh))
	}
	if r.Plans, err = waitingPlans(ctx, a, func(addresses []string) bool { return s.environment == "" || slices.ContainsFunc(addresses, in) }); err != nil {
		return err
	}
	return s.result(r, rendered(view.Executions, r))
}

func (s *session) show() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "show an execution or an incident: what was done, when, and what is left", Args: takes(1, 1),
		ValidArgsFunction: s.executionArgs(false),
		Long: `Shows what an execution does now, its steps, its timeline, where the time went, the checklist, and the commands that
may follow.

  astern show ex-1
  astern show ex-1 -v
  astern show inc-1`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			return s.with(ctx, reading, func(a *app.App) error {
				if isIncident(args[0]) {
					return s.showIncident(ctx, a, args[0])
				}
				sh, err := a.Show(ctx, args[0])
				if err != nil {
					return err
				}
				v := executionView(a, sh)
				return s.result(v, func(w io.Writer, st view.Style) error { return view.Execution(w, st, v) })
			})
		}),
	}
}

func (s *session) follow() *cobra.Command {
	var timeout duration
	cmd := &cobra.Command{
		Use: "follow ID", Short: "watch an execution until it ends", Args: takes(1, 1), ValidArgsFunction: s.executionArgs(true),
		Long: `Shows how an execution goes until it ends or a person must decide. It only looks on: ending it ends nothing else. The
exit code is that of the outcome.

  astern follow ex-1
  astern follow ex-1 --timeout 10m`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			return s.with(ctx, reading, func(a *app.App) error { return s.followIt(ctx, a, args[0], timeout) })
		}),
	}
	cmd.Flags().Var(&timeout, "timeout", "stop looking after this time (exit code 5)")
	return cmd
}

var errTimeout = errors.New("the time to follow is over")

func (s *session) followIt(ctx context.Context, a *app.App, id string, timeout duration) error {
	opened := a.Store
	defer func() { a.Store = opened }() // which whoever opened it closes
	refresh, closing := s.fresh(a)
	defer closing()
	looking := ctx
	if timeout.set {
		var cancel context.CancelFunc
		looking, cancel = context.WithTimeoutCause(ctx, time.Duration(timeout.seconds)*time.Second, errTimeout)
		defer cancel()
	}
	sh, err := s.watch(looking, a, id, refresh)
	if err != nil && errors.Is(context.Cause(looking), errTimeout) {
		return astern.Errorf(astern.Waiting, "%s has not ended after %s", id, timeout.String()).WithHint("astern follow %s", id)
	}
	if err != nil {
		return err
	}
	if err := s.outcome(ctx, a, sh.Execution.ID); err != nil {
		return err
	}
	return standing(sh)
}
