package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

// intent is a command that plans, asks, and carries out.
func (s *session) intent(in intent) *cobra.Command {
	f := &askFlags{}
	cmd := s.command(in, "astern", f)
	cmd.Flags().BoolVar(&f.yes, "yes", false, "go on without asking; it never replaces an approval")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "make the plan, show it, and stop")
	takesOver(cmd, &f.takeOver)
	cmd.RunE = s.runs(func(ctx context.Context, args []string) error {
		if s.output == mayRunbook && !f.dryRun {
			return astern.Errorf(astern.Invalid, "-o runbook is for plans").WithHint("astern plan %s … -o runbook", in.verb)
		}
		if !f.yes && !f.dryRun {
			if err := s.canAsk(); err != nil {
				return err
			}
		}
		return s.with(ctx, changing(f.dryRun), func(a *app.App) error {
			a.TakeOver = f.takeOver
			return s.planAndApply(ctx, a, in, f, args)
		})
	})
	return cmd
}

func (s *session) planAndApply(ctx context.Context, a *app.App, in intent, f *askFlags, args []string) error {
	p, err := s.plan(ctx, a, in.verb, f, args)
	if errors.Is(err, astern.ErrNothingToDo) && f.out == "" && !f.dryRun { // the end is reached: for a script that is as good as having done it
		return s.say(done{What: err.Error(), Unchanged: true})
	}
	if err != nil {
		return err
	}
	if f.out != "" {
		if err := writeFiles(0o600, planFiles(f.out, p.Doc, nil)...); err != nil {
			return err
		}
	}
	if f.dryRun {
		return s.showPlan(ctx, a, p, f)
	}
	if err := view.Plan(s.stderr, s.style(s.stderr), view.PlanView{Plan: p.Plan, Hash: p.Hash}); err != nil {
		return err
	}
	if !f.yes {
		word := "all"
		if addresses := p.Plan.Intent.Addresses; len(addresses) == 1 && !f.all {
			word = short(addresses[0])
		}
		if err := s.askFor(ctx, word, "to go on"); err != nil {
			return err
		}
	}
	if err := a.Keep(ctx, p); err != nil { // made here: nobody else must vouch for it
		return fmt.Errorf("storing the plan: %w", err)
	}
	if err := s.proveFirst(ctx, a, p.Plan); err != nil {
		return err
	}
	return s.applyPlan(ctx, a, p.Doc, app.Vouch{})
}

// proveFirst takes the components of another environment, which the plan waits for, to the plan's revisions, each by a plan of
// its own.
func (s *session) proveFirst(ctx context.Context, a *app.App, p astern.Plan) error {
	for _, u := range a.Unproven(ctx, p) {
		ask := app.Ask{Verb: astern.VerbDeploy, Components: []string{u.Address}, Revision: u.Revision, WatchSeconds: -1, Percent: 100, First: app.NotFirst,
			Way: "cli", At: s.began, Reason: "first here, then in " + environmentOf(p)}
		planned, err := a.Plan(ctx, ask)
		if errors.Is(err, astern.ErrNothingToDo) { // it runs there already, and is to be proven again
			ask.Verb, ask.Revision = astern.VerbRedeploy, ""
			planned, err = a.Plan(ctx, ask)
		}
		if err != nil {
			hint := "mend that, or go without: --first none"
			if astern.CodeOf(err) == astern.Conflict && astern.HintOf(err) != "" { // what holds it there says how it ends
				hint = astern.HintOf(err) + "\ngo without: --first none"
			}
			return astern.Errorf(astern.CodeOf(err), "proving %s in %s first (%s): %w", u.Revision, u.Address, u.Why, err).WithHint("%s", hint)
		}
		if err := view.Plan(s.stderr, s.style(s.stderr), view.PlanView{Plan: planned.Plan, Hash: planned.Hash}); err != nil {
			return err
		}
		if err := a.Keep(ctx, planned); err != nil {
			return fmt.Errorf("storing the plan: %w", err)
		}
		if err := s.applyPlan(ctx, a, planned.Doc, app.Vouch{}); err != nil {
			return fmt.Errorf("%s does not prove %s, so nothing was done in %s: %w", u.Address, u.Revision, environmentOf(p), err)
		}
	}
	return nil
}

// environmentOf names the environment that a plan is for.
func environmentOf(p astern.Plan) string {
	environment, _, _ := astern.SplitAddress(p.Intent.Addresses[0])
	return environment
}

// applyPlan makes the plan an execution and carries it out, or shows the one that it has.
func (s *session) applyPlan(ctx context.Context, a *app.App, doc []byte, v app.Vouch) error {
	e, created, err := a.Apply(ctx, doc, v)
	var wait *astern.Error
	if errors.As(err, &wait) && wait.Code == astern.Waiting {
		return s.awaitApproval(ctx, a, doc, wait)
	}
	if err != nil {
		return err
	}
	if created {
		return s.carry(ctx, a, e.ID)
	}
	s.warn(fmt.Sprintf("this plan was applied before: %s", e.ID))
	if err := s.outcome(ctx, a, e.ID); err != nil {
		return err
	}
	sh, err := a.Show(ctx, e.ID)
	if err != nil {
		return err
	}
	return standing(sh)
}
