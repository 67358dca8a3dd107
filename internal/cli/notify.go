package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

func (s *session) notifyGroup() *cobra.Command {
	g := group("notify", "what people are told, by which channel; send what waits", `Lists what people are told by the channels of astern.yaml (notify), sends what waits, and tries a channel out. The watch sends by
itself.

  astern notify test team
  astern notify send
  astern notify list --all`)
	g.AddCommand(s.notifyList(), s.notifySend(), s.notifyTest())
	return g
}

// listed is how long the list shows what was given up or sent.
const listed = 7 * 24 * time.Hour

func (s *session) notifyList() *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use: "list", Short: "list what waits or was given up: to whom, how often tried, why it failed", Args: takes(0, 0),
		Long: `Lists the outbox: what waits to be told and what was given up within 7 days, with --all also what was sent. Exit code 4:
something was given up, so somebody was not told.

  astern notify list
  astern notify list --all -o json`,
		RunE: s.runs(func(ctx context.Context, _ []string) error {
			return s.with(ctx, reading, func(a *app.App) error { return s.listNotices(ctx, a, all) })
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "also what was sent")
	return cmd
}

func (s *session) listNotices(ctx context.Context, a *app.App, all bool) error {
	found, err := a.Store.Dispatches(ctx, a.Now().Add(-listed))
	if err != nil {
		return err
	}
	r := view.OutboxReport{Dispatches: []astern.Dispatch{}}
	for _, d := range found {
		switch d.State {
		case astern.DispatchWaiting:
			r.Waiting++
		case astern.DispatchGivenUp:
			r.GivenUp++
		}
		if all || d.State != astern.DispatchSent {
			r.Dispatches = append(r.Dispatches, d)
		}
	}
	if err := s.result(r, rendered(view.Outbox, r)); err != nil || r.GivenUp == 0 {
		return err
	}
	return astern.Errorf(astern.NotReady, "%d notices were given up: nobody was told by that channel", r.GivenUp).
		WithHint("astern notify test CHANNEL tries it; the incident itself: astern incidents")
}

func (s *session) notifySend() *cobra.Command {
	return &cobra.Command{
		Use: "send", Short: "send what is due now", Args: takes(0, 0),
		Long: `Sends what is due, once. Exit code 5: something waits for a later try; 4: something was given up.

  astern notify send`,
		RunE: s.runs(func(ctx context.Context, _ []string) error {
			return s.with(ctx, writing, func(a *app.App) error { return s.sendNotices(ctx, a) })
		}),
	}
}

func (s *session) sendNotices(ctx context.Context, a *app.App) error {
	done, err := a.Deliver(ctx)
	if err != nil {
		return err
	}
	r := view.DeliveryReport(done)
	if err := s.result(r, rendered(view.Delivery, r)); err != nil {
		return err
	}
	switch {
	case done.GivenUp > 0:
		return astern.Errorf(astern.NotReady, "%d notices were given up: nobody was told by that channel", done.GivenUp).WithHint("astern notify list")
	case done.Waiting > 0:
		return astern.Errorf(astern.Waiting, "%d notices wait for a later try", done.Waiting).WithHint("astern notify list says why; astern notify send tries again")
	}
	return nil
}

func (s *session) notifyTest() *cobra.Command {
	return &cobra.Command{
		Use: "test CHANNEL", Short: "send a message by a channel that says that it is a test", Args: takes(1, 1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return s.suggest(cmd, without, func(_ context.Context, a *app.App) []string {
				var out []string
				for _, c := range a.System.Channels {
					if !slices.Contains(args, c.Name) {
						out = append(out, c.Name+"\t"+c.Kind())
					}
				}
				return out
			})
		},
		Long: `Sends a message that says that it is a test, at once and past the outbox.

  astern notify test team`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			return s.with(ctx, without, func(a *app.App) error {
				if err := a.TryChannel(ctx, args[0]); err != nil {
					return err
				}
				return s.say(done{What: args[0] + " has taken a test message"})
			})
		}),
	}
}
