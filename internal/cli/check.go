package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

func (s *session) check() *cobra.Command {
	full, at := false, ""
	cmd := &cobra.Command{
		Use: "check [COMPONENT…]", Short: "say what could not be brought back now, and why", Args: takes(0, -1),
		ValidArgsFunction: s.componentsArgs,
		Long: `Observes every component, judges its way back against its objectives, and makes the checks that have no effects.
It says which door closes next, and when, and by which channels nobody is told. The exit code is 4 unless every component passes and
every channel that something was sent to took it.

Release files are read again when anything about them changed: name, size, permissions, times, inode. With --full all of them
are, which also finds what a disk lost by itself; without it the evidence says when they were read.

With --at the ways back are judged as they will be on that day, if nothing is deployed until then: what lifecycle rules, keys that are
deleted and other dates take away is gone. Checks and signals are left out: they tell nothing about that day.

  astern check
  astern check shop
  astern check --full
  astern check --at 2026-12-03
  astern check -e production -o json`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			return s.with(ctx, reading, func(a *app.App) error {
				a.Full = full
				if at != "" {
					var err error
					if a.At, err = laterTime(at, a.Now()); err != nil {
						return err
					}
				}
				return s.checked(ctx, a, args)
			})
		}),
	}
	cmd.Flags().BoolVar(&full, "full", false, "read all release files again, also those that nothing has changed about")
	cmd.Flags().StringVar(&at, "at", "", "judge the ways back as they will be then: 2026-12-03, a time of RFC 3339, or 'in 12d'")
	return cmd
}

func (s *session) checked(ctx context.Context, a *app.App, names []string) error {
	es, name, asked, err := s.asking(a, names)
	if err != nil {
		return err
	}
	r := view.CheckReport{Environment: name, Verdict: astern.Pass}
	for _, e := range es {
		found, err := a.CheckOf(ctx, e, asked)
		if err != nil {
			return err
		}
		for _, c := range found {
			r.Components = append(r.Components, checkedComponent(a, c))
		}
	}
	if a.At.IsZero() {
		r.Deaf, err = a.Deaf(ctx)
	} else {
		r.At = &a.At
	}
	if err != nil {
		return err
	}
	var bad []string
	for _, c := range r.Components {
		r.Verdict = worse(r.Verdict, c.Verdict)
		if c.Verdict != astern.Pass {
			bad = append(bad, c.Address)
		}
	}
	err = s.result(r, func(w io.Writer, st view.Style) error {
		r.Environment = label(r.Environment)
		return view.Check(w, st, r)
	})
	if err == nil && len(bad) == 0 && len(r.Deaf) > 0 {
		return astern.Errorf(astern.NotReady, "nobody is told by %d of the channels", len(r.Deaf)).WithHint("astern notify list; astern notify test CHANNEL")
	}
	if err == nil && len(bad) > 0 {
		err = astern.Errorf(astern.NotReady, "%d of %d components do not pass: %s", len(bad), len(r.Components), firstOf(bad))
		if len(r.Components) == 1 {
			err = astern.Errorf(astern.NotReady, "%s does not pass", bad[0])
		}
	}
	return err
}

// firstOf names the first of a list that may hold thousands, and counts the rest.
func firstOf(names []string) string {
	const most = 10
	if over := len(names) - most; over > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), over)
	}
	return strings.Join(names, ", ")
}

func (s *session) targets() *cobra.Command {
	return &cobra.Command{
		Use: "targets [COMPONENT]", Short: "list what each component can go back to", Args: takes(0, 1),
		ValidArgsFunction: s.componentArgs,
		Long: `Lists every target of every component: whether it can be reached now, on what evidence and how old that is, how long
the way takes, what it loses, who must approve, and what closes the door next. A component that can't be reached never hides
the others.

  astern targets shop
  astern targets -v`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			return s.with(ctx, reading, func(a *app.App) error { return s.targetsOf(ctx, a, strings.Join(args, "")) })
		}),
	}
}

func (s *session) targetsOf(ctx context.Context, a *app.App, component string) error {
	es, name, err := s.named(a, component)
	if err != nil {
		return err
	}
	r := view.TargetsReport{Environment: name}
	for _, e := range es {
		found, err := a.Targets(ctx, e, short(component))
		if err != nil {
			return err
		}
		if err := a.WithAttempts(ctx, found); err != nil {
			return err
		}
		for _, c := range found {
			r.Components = append(r.Components, targetsOfComponent(c))
		}
	}
	return s.result(r, func(w io.Writer, st view.Style) error {
		r.Environment = label(r.Environment)
		return view.Targets(w, st, r)
	})
}

// short takes the environment off an address.
func short(component string) string {
	if _, name, ok := astern.SplitAddress(component); ok {
		return name
	}
	return component
}
