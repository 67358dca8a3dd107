package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

// judgement is the document of `judge`.
type judgement struct {
	Kind     string             `json:"kind"` // always "Judgement"
	Version  int                `json:"version"`
	Address  string             `json:"address"`
	Revision string             `json:"revision"`
	Against  string             `json:"against"`
	Result   astern.CheckResult `json:"result"`
}

func (s *session) judge() *cobra.Command {
	every, atMost, against := watchEvery, 30*time.Minute, ""
	cmd := &cobra.Command{
		Use: "judge COMPONENT REVISION", Short: "hold the instances that run a revision against those that run another one", Args: takes(2, 2),
		ValidArgsFunction: s.revisionArgs,
		Long: `Reads the component's signals in rounds until the revision is known to be worse or not to be worse than the one beside it, at most
--for. It deploys nothing and keeps nothing: a pipeline that has made a canary itself asks this before it goes on. Exit code 0: not
worse; 4: worse, or not known.

  astern judge shop v1.2.3 --against v1.2.2 --for 30m`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			if every < leastEvery || atMost < every {
				return astern.Errorf(astern.Invalid, "--every %s and --for %s: --every is at least %s, and --for at least as long", every, atMost, leastEvery)
			}
			if against == "" {
				return astern.Errorf(astern.Invalid, "--against is missing").WithHint("name the revision that the other instances run")
			}
			return s.with(ctx, reading, func(a *app.App) error {
				r, err := a.JudgeBeside(ctx, s.environment, args[0], args[1], against, every, atMost, func(r astern.CheckResult) {
					if s.output == "table" && r.Verdict == astern.Unknown {
						_ = text(s.stderr, r.At.UTC().Format("15:04:05Z")+"  "+r.Evidence)
					}
				})
				if err != nil {
					return err
				}
				c, err := a.Component(s.environment, args[0])
				if err != nil {
					return err
				}
				d := judgement{Kind: "Judgement", Version: view.DocumentVersion, Address: c.Address(), Revision: args[1], Against: against, Result: r}
				if err := s.result(d, func(w io.Writer, _ view.Style) error { return text(w, string(r.Verdict)+": "+r.Evidence) }); err != nil || r.Verdict == astern.Pass {
					return err
				}
				return astern.Errorf(astern.NotReady, "%s of %s is not known to be as good as %s", args[1], c.Address(), against)
			})
		}),
	}
	cmd.Flags().DurationVar(&every, "every", every, "how often signals are read")
	cmd.Flags().DurationVar(&atMost, "for", atMost, "how long at most")
	cmd.Flags().StringVar(&against, "against", "", "the revision that the other instances run")
	return cmd
}
