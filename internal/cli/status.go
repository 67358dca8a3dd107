package cli

import (
	"context"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

func (s *session) status() *cobra.Command {
	return &cobra.Command{
		Use: "status [COMPONENT…]", Short: "show what runs, the way back, and what is under way", Args: takes(0, -1),
		ValidArgsFunction: s.componentsArgs,
		Long: `Shows on one screen what each component runs, since when, where it could go back to and how long that takes, which
executions are under way, and which revisions are latched. Each figure has its age.

  astern status
  astern status shop
  astern status -e production`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			return s.with(ctx, reading, func(a *app.App) error { return s.statusOf(ctx, a, args) })
		}),
	}
}

func (s *session) statusOf(ctx context.Context, a *app.App, names []string) error {
	es, name, asked, err := s.asking(a, names)
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
		found = slices.DeleteFunc(found, func(c app.ComponentTargets) bool { return !asked(c.Component.Address()) })
		for _, c := range found {
			in[c.Component.Address()] = true
			line := statusOfComponent(c, a.Now())
			if line.Watch, err = a.WatchState(ctx, c.Component); err != nil {
				return err
			}
			r.Components = append(r.Components, line)
		}
		half, err := a.LeftHalfWay(ctx, found)
		if err != nil {
			return err
		}
		for _, h := range half {
			r.HalfWay = append(r.HalfWay, halfWayOf(h, currentOf(found, h.Address)))
		}
		latches, err := a.Latches(ctx, e)
		if err != nil {
			return err
		}
		r.Latches = append(r.Latches, latchesOf(slices.DeleteFunc(latches, func(l astern.Event) bool { return !asked(l.Address) }))...)
	}
	if r.Deaf, err = a.Deaf(ctx); err != nil {
		return err
	}
	if err := underWay(ctx, a, &r, in); err != nil {
		return err
	}
	for _, h := range r.HalfWay {
		r.Next = append(r.Next, h.Next)
	}
	for _, c := range r.Components {
		half := slices.ContainsFunc(r.HalfWay, func(h view.HalfWay) bool { return h.Address == c.Address })
		if len(r.Executions) == 0 && !half && c.Back != nil && !c.KnownGood {
			r.Next = append(r.Next, rollbackCommand(a, c.Address, c.Back.Revision))
		} else if len(r.Executions) == 0 && !half && c.AtRisk != nil && c.AtRisk.KnownGoodAt != nil && !c.KnownGood {
			r.Next = append(r.Next, rollbackCommand(a, c.Address, c.AtRisk.Revision)+"  # at risk")
		}
	}
	return s.result(r, func(w io.Writer, st view.Style) error {
		r.Environment = label(r.Environment)
		return view.Status(w, st, r)
	})
}

// underWay adds the incidents that last, the executions that have not ended and the plans that wait for somebody, of the
// addresses that are shown.
func underWay(ctx context.Context, a *app.App, r *view.StatusReport, in map[string]bool) error {
	shown := func(addresses []string) bool {
		return slices.ContainsFunc(addresses, func(address string) bool { return in[address] })
	}
	incidents, err := a.Incidents(ctx)
	if err != nil {
		return err
	}
	for _, i := range incidents {
		if i.ResolvedAt == nil && shown(i.Addresses) {
			r.Incidents = append(r.Incidents, i)
		}
	}
	open, err := a.Store.Executions(ctx, 0, true)
	if err != nil {
		return err
	}
	for _, e := range open {
		if !shown(e.Addresses) {
			continue
		}
		sh, err := a.Show(ctx, e.ID)
		if err != nil {
			return err
		}
		r.Executions = append(r.Executions, executionLine(sh))
		r.Next = append(r.Next, sh.Ways...)
	}
	r.Plans, err = waitingPlans(ctx, a, shown)
	return err
}

// waitingPlans are the plans that wait for somebody, of those whose addresses are asked for.
func waitingPlans(ctx context.Context, a *app.App, asked func(addresses []string) bool) ([]view.PlanLine, error) {
	plans, err := a.WaitingPlans(ctx)
	if err != nil {
		return nil, err
	}
	var out []view.PlanLine
	for _, p := range plans {
		if asked(p.Plan.Addresses()) {
			out = append(out, planLine(p))
		}
	}
	return out, nil
}

// planLine is a plan that waits for approvals, or, where it has them, to be applied.
func planLine(p app.WaitingPlan) view.PlanLine {
	l := view.PlanLine{Hash: p.Hash, Title: view.PlanTitle(p.Plan), By: p.Plan.Asked.By, Reason: p.Plan.Intent.Reason, At: p.Plan.CreatedAt,
		Given: p.Given, Approvals: p.Plan.Approvals, Next: "astern approve " + p.Hash[:12] + " --reason …"}
	if len(p.Given) >= p.Plan.Approvals {
		l.Next = "astern apply " + p.Hash[:12]
	}
	return l
}
