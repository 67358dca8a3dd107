package cli

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/ledger"
	"github.com/astern-dev/astern/internal/view"
)

func (s *session) history() *cobra.Command {
	limit := 10
	cmd := &cobra.Command{
		Use: "history COMPONENT", Short: "show what was deployed, when, by whom and why", Args: takes(1, 1),
		ValidArgsFunction: s.componentArgs,
		Long: `Shows what the ledger knows of a component, the newest first: deployments, known-good marks, latches, each with who and
why. Between them stand executions that were to change what runs and did not get there, with what was in the way.

  astern history shop --limit 10
  astern history shop -v    (with content hashes, artifacts and commits)`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			return s.with(ctx, reading, func(a *app.App) error {
				c, err := a.Component(s.environment, args[0])
				if err != nil {
					return err
				}
				h, err := a.History(ctx, c.Address())
				if err != nil {
					return err
				}
				events, more, err := newest(ctx, a, limit, func(address string) bool { return address == c.Address() })
				if err != nil {
					return err
				}
				r := view.HistoryReport{Address: c.Address(), Current: h.Current, Events: events, More: more}
				attempts, err := a.Attempts(ctx, c.Address())
				if err != nil {
					return err
				}
				for _, t := range attempts[c.Address()] {
					if more == 0 || t.At.After(events[len(events)-1].At) { // as far back as the events
						r.Attempts = append(r.Attempts, view.Attempt{At: t.At, Verb: t.Verb, Revision: t.Revision, State: t.State, By: t.By, Why: t.Why, Execution: t.Execution})
					}
				}
				return s.result(r, rendered(view.History, r))
			})
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many events; 0 means all")
	return cmd
}

// newest returns the ledger's events of the addresses, the newest first, and how many older ones were left out.
func newest(ctx context.Context, a *app.App, limit int, of func(address string) bool) (events []astern.Event, more int, err error) {
	if limit < 0 {
		return nil, 0, astern.Errorf(astern.Invalid, "--limit %d is negative", limit).WithHint("0 means all")
	}
	all, err := a.Store.Events(ctx, "", 0)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range slices.Backward(all) {
		switch {
		case !of(e.Address):
		case limit > 0 && len(events) == limit:
			more++
		default:
			events = append(events, e)
		}
	}
	return events, more, nil
}

func (s *session) ledger() *cobra.Command {
	limit := 30
	cmd := group("ledger", "show what was deployed where and when", `Shows the events of all components, the newest first.

  astern ledger --limit 50
  astern ledger releases
  astern ledger at 14:02`)
	needOne := cmd.RunE
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return needOne(c, args)
		}
		return s.runs(func(ctx context.Context, _ []string) error {
			return s.with(ctx, reading, func(a *app.App) error { return s.ledgerOf(ctx, a, limit) })
		})(c, args)
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many events; 0 means all")
	cmd.AddCommand(s.ledgerReleases(), s.ledgerAt())
	return cmd
}

func (s *session) ledgerOf(ctx context.Context, a *app.App, limit int) error {
	es, name, err := s.scope(a)
	if err != nil {
		return err
	}
	events, more, err := newest(ctx, a, limit, within(es))
	if err != nil {
		return err
	}
	r := view.LedgerReport{Environment: name, Events: events, More: more}
	return s.result(r, rendered(view.Ledger, r))
}

// within tells addresses of the environments; those of components that are no longer declared count.
func within(es []astern.Environment) func(address string) bool {
	return func(address string) bool {
		env, _, _ := astern.SplitAddress(address)
		return slices.ContainsFunc(es, func(e astern.Environment) bool { return e.Name == env })
	}
}

// releases is the document of `ledger releases`.
type releases struct {
	Kind     string               `json:"kind"` // always "Releases"
	Version  int                  `json:"version"`
	Releases []view.ReleaseReport `json:"releases"`
	More     int                  `json:"more,omitempty"`
}

func (s *session) ledgerReleases() *cobra.Command {
	limit := 10
	cmd := &cobra.Command{
		Use: "releases", Short: "list which revisions ran together, the newest first", Args: takes(0, 0),
		Long: `Lists the system's releases: one each time a deployment changed what ran together. Go back to one with
astern rollback --all --to TIME.

  astern ledger releases --limit 5`,
		RunE: s.runs(func(ctx context.Context, _ []string) error {
			return s.with(ctx, reading, func(a *app.App) error { return s.releasesOf(ctx, a, limit) })
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many releases of each environment; 0 means all")
	return cmd
}

func (s *session) releasesOf(ctx context.Context, a *app.App, limit int) error {
	es, _, err := s.scope(a)
	if err != nil {
		return err
	}
	r := releases{Kind: "Releases", Version: view.DocumentVersion}
	for _, e := range es {
		events, _, err := newest(ctx, a, 0, within([]astern.Environment{e}))
		if err != nil {
			return err
		}
		slices.Reverse(events)
		all, more := ledger.Releases(events, limit)
		r.More += more
		histories, err := historiesOf(ctx, a, e)
		if err != nil {
			return err
		}
		for _, rel := range all {
			r.Releases = append(r.Releases, view.ReleaseOf(e.Name, rel, histories))
		}
	}
	return s.result(r, func(w io.Writer, st view.Style) error {
		if len(r.Releases) == 0 {
			return text(w, "no deployment is recorded")
		}
		for i, one := range r.Releases {
			if i > 0 {
				if err := text(w, ""); err != nil {
					return err
				}
			}
			if err := view.Release(w, st, one); err != nil {
				return err
			}
		}
		return nil
	})
}

// historiesOf returns the history of each component of the environment.
func historiesOf(ctx context.Context, a *app.App, e astern.Environment) (map[string]astern.History, error) {
	histories := map[string]astern.History{}
	for _, c := range e.Components {
		h, err := a.History(ctx, c.Address())
		if err != nil {
			return nil, err
		}
		histories[c.Address()] = h
	}
	return histories, nil
}

func (s *session) ledgerAt() *cobra.Command {
	return &cobra.Command{
		Use: "at TIME", Short: "show what ran together at a moment", Args: takes(1, 1),
		Long: `Shows which revision each component ran at a moment, as the ledger knows it.

  astern ledger at 14:02
  astern ledger at '10m ago'
  astern ledger at 2026-03-01T14:02:00Z`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			moment, err := parseTime(args[0], time.Now())
			if err != nil {
				return err
			}
			return s.with(ctx, reading, func(a *app.App) error { return s.ranAt(ctx, a, moment) })
		}),
	}
}

func (s *session) ranAt(ctx context.Context, a *app.App, moment time.Time) error {
	es, name, err := s.scope(a)
	if err != nil {
		return err
	}
	events, err := a.Store.Events(ctx, "", 0)
	if err != nil {
		return err
	}
	r := view.ReleaseReport{Environment: name, At: moment}
	for _, e := range es {
		histories, err := historiesOf(ctx, a, e)
		if err != nil {
			return err
		}
		r.Components = append(r.Components, view.ReleaseOf(e.Name, ledger.At(events, moment), histories).Components...)
	}
	return s.result(r, func(w io.Writer, st view.Style) error {
		r.Environment = label(r.Environment)
		return view.Release(w, st, r)
	})
}
