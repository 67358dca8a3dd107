package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
)

// Shell completion asks the file and the state, never a host; what can't be read completes nothing.

func (s *session) suggest(cmd *cobra.Command, m access, f func(ctx context.Context, a *app.App) []string) ([]string, cobra.ShellCompDirective) {
	if err := s.globals(cmd); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background() // the completion command does not always hand it on
	}
	var out []string
	err := s.with(ctx, m, func(a *app.App) error {
		out = f(ctx, a)
		return nil
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func (s *session) environments(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return s.suggest(cmd, without, func(_ context.Context, a *app.App) []string {
		var out []string
		for _, e := range a.System.Environments {
			out = append(out, e.Name)
		}
		return out
	})
}

// components are the names that may be typed: with the environment when there are several.
func (s *session) components(a *app.App) []string {
	es, _, err := s.scope(a)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range es {
		for _, c := range e.Components {
			if len(es) > 1 {
				out = append(out, c.Address())
			} else {
				out = append(out, c.Name)
			}
		}
	}
	return out
}

// componentArgs completes one component.
func (s *session) componentArgs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.suggest(cmd, without, func(_ context.Context, a *app.App) []string { return s.components(a) })
}

// componentsArgs completes any number of components.
func (s *session) componentsArgs(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return s.suggest(cmd, without, func(_ context.Context, a *app.App) []string { return s.components(a) })
}

// revisionArgs completes a component and then one of its revisions.
func (s *session) revisionArgs(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return s.componentArgs(cmd, args, typed)
	case 1:
		return s.revisions(cmd, args, typed)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// revisions completes a revision of the first argument, as the ledger knows them.
func (s *session) revisions(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.suggest(cmd, reading, func(ctx context.Context, a *app.App) []string {
		c, err := a.Component(s.environment, args[0])
		if err != nil {
			return nil
		}
		h, err := a.History(ctx, c.Address())
		if err != nil {
			return nil
		}
		var out []string
		for _, d := range h.Deployments {
			out = append(out, d.Revision)
		}
		return out
	})
}

// executionArgs completes an execution: with onlyOpen one that has not ended.
func (s *session) executionArgs(onlyOpen bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return s.suggest(cmd, reading, func(ctx context.Context, a *app.App) []string {
			all, err := a.Store.Executions(ctx, 20, onlyOpen)
			if err != nil {
				return nil
			}
			var out []string
			for _, e := range all {
				out = append(out, e.ID+"\t"+describe(e))
			}
			return out
		})
	}
}

func describe(e astern.Execution) string {
	what := strings.Join(e.Addresses, ", ")
	if e.Outcome != "" {
		return what + ", " + string(e.Outcome)
	}
	return what + ", open"
}
