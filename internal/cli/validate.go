package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/config"
	"github.com/astern-dev/astern/internal/view"
)

func (s *session) validate() *cobra.Command {
	return &cobra.Command{
		Use: "validate", Short: "check astern.yaml", Args: takes(0, 0),
		Long: `Reads astern.yaml and reports everything that is wrong with it at once: file, line and column, the offending line,
and what was probably meant. It asks no host.

  astern validate
  astern validate -f staging/astern.yaml`,
		RunE: s.runs(func(ctx context.Context, _ []string) error {
			return s.with(ctx, without, func(a *app.App) error {
				if err := a.CheckPolicy(); err != nil {
					return err
				}
				n := 0
				for _, e := range a.System.Environments {
					n += len(e.Components)
				}
				return s.say(done{What: fmt.Sprintf("%s is valid: system %s, environments: %d, components: %d",
					s.file, a.System.Name, len(a.System.Environments), n), File: s.file})
			})
		}),
	}
}

func (s *session) schema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "print the JSON Schema of astern.yaml", Args: takes(0, 0),
		Long: `Prints the JSON Schema of astern.yaml, by which editors complete and check it. astern init writes it beside the file.

  astern schema > astern.schema.json`,
		RunE: s.runs(func(context.Context, []string) error {
			if _, err := s.stdout.Write(config.Schema()); heard(err) != nil {
				return fmt.Errorf("writing the output: %w", err)
			}
			return nil
		}),
	}
}

func (s *session) kinds() *cobra.Command {
	return &cobra.Command{
		Use: "kinds", Short: "list the kinds of components and what astern can do with them", Args: takes(0, 0),
		Long: `Lists each kind with its abilities and verbs: how each is undone, whether the world itself refuses an older plan
(conditional) or a small time remains between question and call (window), and how its effect is found after a crash.

  astern kinds
  astern kinds -o json`,
		RunE: s.runs(func(context.Context, []string) error {
			var r view.KindsReport
			for _, d := range app.Drivers(nil, nil) {
				r.Kinds = append(r.Kinds, view.KindOf(d))
			}
			return s.result(r, func(w io.Writer, st view.Style) error { return view.Kinds(w, st, r) })
		}),
	}
}
