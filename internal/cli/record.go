package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

// changeFlags are the flags of every command that changes something.
type changeFlags struct {
	reason string
	dryRun bool
}

// add adds the flags; why says what the reason is for, and must is set when there is no change without one.
func (f *changeFlags) add(cmd *cobra.Command, must bool) {
	cmd.Flags().StringVar(&f.reason, "reason", "", "why; it is recorded and shown")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what would be done")
	if must {
		_ = cmd.MarkFlagRequired("reason") // fails only for a flag that does not exist
	}
}

// given refuses a reason that is there and empty.
func (f *changeFlags) given() error {
	if r := strings.TrimSpace(f.reason); r == "" || r == "…" { // … is where a printed command wants one
		return astern.Errorf(astern.Invalid, "the reason is empty").WithHint("--reason says why, for whoever asks later")
	}
	return nil
}

func (s *session) record() *cobra.Command {
	cmd := group("record", "tell the ledger what happened", `Tells the ledger what was deployed, or that a revision has proved itself.

  astern record deploy shop v1.2.3 --commit a81b7d0 --reason 'monthly release'
  astern record known-good shop v1.2.3 --reason 'served a month'`)
	cmd.AddCommand(s.recordDeploy(), s.recordKnownGood())
	return cmd
}

func (s *session) recordDeploy() *cobra.Command {
	var f changeFlags
	var artifact, commit string
	cmd := &cobra.Command{
		Use: "deploy COMPONENT REVISION", Short: "record that a revision was deployed", Args: takes(2, 2),
		ValidArgsFunction: s.revisionArgs,
		Long: `Records that a revision was deployed, with its content hash as it is in place now. The ledger always records what
happened, also the deployment of a latched revision: ask before it with astern may deploy.

  astern record deploy shop v1.2.3 --artifact registry/shop:v1.2.3 --commit a81b7d0 --reason 'monthly release'`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			return s.with(ctx, changing(f.dryRun), func(a *app.App) error {
				e, warnings, err := a.RecordDeploy(ctx, app.Record{Environment: s.environment, Component: args[0], Revision: args[1],
					Artifact: artifact, Commit: commit, Reason: f.reason})
				s.warn(warnings...)
				if err != nil {
					return err
				}
				return s.recorded(e, "recorded as deployed", f)
			})
		}),
	}
	f.add(cmd, false)
	cmd.Flags().StringVar(&artifact, "artifact", "", "what was deployed: an image, a file, a URL")
	cmd.Flags().StringVar(&commit, "commit", "", "the commit that it was built from")
	return cmd
}

func (s *session) recorded(e astern.Event, what string, f changeFlags) error {
	return s.say(done{What: fmt.Sprintf("%s %s %s", e.Address, e.Revision, what), Event: &e, DryRun: f.dryRun})
}

func (s *session) recordKnownGood() *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use: "known-good COMPONENT REVISION", Short: "mark a revision known-good on a person's word", Args: takes(2, 2),
		ValidArgsFunction: s.revisionArgs,
		Long: `Marks a revision known-good on your word. What completes its watch after astern deploy or astern rollback is marked by
itself.

  astern record known-good shop v1.2.2 --reason 'served a month without an alert'`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			if err := f.given(); err != nil {
				return err
			}
			return s.with(ctx, changing(f.dryRun), func(a *app.App) error {
				e, err := a.RecordKnownGood(ctx, app.Record{Environment: s.environment, Component: args[0], Revision: args[1], Reason: f.reason})
				if err != nil {
					return err
				}
				return s.recorded(e, "recorded as known-good", f)
			})
		}),
	}
	f.add(cmd, true)
	return cmd
}

func (s *session) latch() *cobra.Command {
	cmd := group("latch", "list, set and release latches", `Lists the latches that hold: blocks on deploying a revision that was rolled back, until a person releases it.

  astern latch
  astern latch release shop v1.2.3 --reason 'fixed by setting X'`)
	needOne := cmd.RunE
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return needOne(c, args)
		}
		return s.runs(func(ctx context.Context, _ []string) error {
			return s.with(ctx, reading, func(a *app.App) error { return s.latches(ctx, a) })
		})(c, args)
	}
	cmd.AddCommand(s.latchChange("add", "block a revision from being deployed", true), s.latchChange("release", "let a latched revision be deployed again", false))
	return cmd
}

func (s *session) latches(ctx context.Context, a *app.App) error {
	es, name, err := s.scope(a)
	if err != nil {
		return err
	}
	r := view.LatchesReport{Environment: name}
	for _, e := range es {
		latches, err := a.Latches(ctx, e)
		if err != nil {
			return err
		}
		r.Latches = append(r.Latches, latchesOf(latches)...)
	}
	return s.result(r, rendered(view.Latches, r))
}

func (s *session) latchChange(verb, short string, hold bool) *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use: verb + " COMPONENT REVISION", Short: short, Args: takes(2, 2), ValidArgsFunction: s.revisionArgs,
		Long: strings.ToUpper(short[:1]) + short[1:] + ".\n\n  astern latch " + verb + " shop v1.2.3 --reason 'loses orders'",
		RunE: s.runs(func(ctx context.Context, args []string) error {
			if err := f.given(); err != nil {
				return err
			}
			return s.with(ctx, changing(f.dryRun), func(a *app.App) error {
				e, err := a.Latch(ctx, app.Record{Environment: s.environment, Component: args[0], Revision: args[1], Reason: f.reason}, hold)
				if err != nil {
					return err
				}
				return s.recorded(e, map[bool]string{true: "latched", false: "released"}[hold], f)
			})
		}),
	}
	f.add(cmd, true)
	return cmd
}
