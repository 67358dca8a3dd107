package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/policy"
	"github.com/astern-dev/astern/internal/view"
)

func (s *session) policyGroup() *cobra.Command {
	g := group("policy", "try the policy out, and review where it was gone over", `Tries the policy of astern.yaml out on an incident that did not happen and on the quiet past, and lists where somebody broke the glass.

  astern policy test --at '2026-11-22 03:00' --severity SEV-2 --asleep ana,ben
  astern policy reviews`)
	g.AddCommand(s.policyTest(), s.policyCalibrate(), s.policyReviews(), s.policyReview())
	return g
}

// sceneFlags are what an imagined incident is made of.
type sceneFlags struct {
	at, severity, component string
	harmed                  float64
	asleep, loss            []string
}

func (s *session) policyTest() *cobra.Command {
	var f sceneFlags
	cmd := &cobra.Command{
		Use: "test", Short: "who is called when, and what happens when nobody answers", Args: takes(0, 0),
		Long: `Plays an incident through by the policy of astern.yaml: who is called when, by which clock, what each may approve, when nobody
is left and what happens by itself then, which freeze holds and whether it may be pierced. It asks and changes nothing.

  astern policy test --at '2026-11-22 03:00' --severity SEV-2 --asleep ana,ben
  astern policy test --harmed 30 --component stock --loss rows=5 -o json`,
		RunE: s.runs(func(ctx context.Context, _ []string) error {
			return s.with(ctx, without, func(a *app.App) error { return s.rehearse(a, f) })
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.at, "at", "", "when it happens: '2026-11-22 03:00', or a time of RFC 3339 (default: now)")
	flags.StringVar(&f.severity, "severity", "", "how severe it is, by the policy's scale")
	flags.Float64Var(&f.harmed, "harmed", -1, "instead: the share of users or requests harmed, in percent")
	flags.StringVar(&f.component, "component", "", "the component at fault")
	flags.StringSliceVar(&f.asleep, "asleep", nil, "people who do not answer")
	flags.StringSliceVar(&f.loss, "loss", nil, "data that the plan loses: rows=5")
	return cmd
}

// rehearse plays the incident through and shows it.
func (s *session) rehearse(a *app.App, f sceneFlags) error {
	e, err := a.Environment(s.environment)
	if err != nil {
		return err
	}
	sc := policy.Scene{At: s.began, Severity: f.severity, Asleep: f.asleep}
	if f.at != "" {
		if sc.At, err = comingTime(f.at, s.began.Location()); err != nil {
			return err
		}
	}
	if f.component != "" {
		c, err := a.Component(e.Name, f.component)
		if err != nil {
			return err
		}
		sc.Component = c.Name
	}
	for _, l := range f.loss {
		unit, count, ok := strings.Cut(l, "=")
		n, err := strconv.ParseInt(count, 10, 64)
		if !ok || unit == "" || err != nil || n < 0 {
			return astern.Errorf(astern.Invalid, "--loss %q is no loss", l).WithHint("write UNIT=COUNT: rows=5")
		}
		sc.Loss = append(sc.Loss, astern.Loss{Address: astern.Address(e.Name, sc.Component), Unit: unit, Count: n})
	}
	if sc.Severity, err = severity(e.Policy, f); err != nil {
		return err
	}
	r, err := policy.Rehearse(e.Policy, sc)
	if err != nil {
		return err
	}
	r.System, r.Environment = a.System.Name, e.Name
	doc := view.RehearsalReport{Rehearsal: r}
	return s.result(doc, func(w io.Writer, st view.Style) error { return view.Rehearsal(w, st, doc) })
}

// severity is the one named, or that of the share harmed.
func severity(p astern.Policy, f sceneFlags) (string, error) {
	switch {
	case f.severity != "" && f.harmed >= 0:
		return "", astern.Errorf(astern.Invalid, "--severity and --harmed exclude each other")
	case f.severity != "":
		return f.severity, nil
	case f.harmed < 0 || f.harmed > 100:
		var names []string
		for _, x := range policy.Scale(p) {
			names = append(names, x.Name)
		}
		return "", astern.Errorf(astern.Invalid, "say how severe it is: --severity NAME, or --harmed between 0 and 100").
			WithHint("from the mildest to the worst: %s", strings.Join(names, ", "))
	}
	x, ok := policy.Harm(p, f.harmed)
	if !ok {
		return "", astern.Errorf(astern.Invalid, "no severity of the policy begins at %v %% or below", f.harmed)
	}
	return x.Name, nil
}

// comingTime reads a moment that may lie in the future.
func comingTime(text string, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, astern.Errorf(astern.Invalid, "%s is no time", strconv.Quote(text)).WithHint("write '2006-01-02 15:04' or 2006-01-02T15:04:05Z")
}

func (s *session) policyCalibrate() *cobra.Command {
	return &cobra.Command{
		Use: "calibrate [COMPONENT …]", Short: "replay the quiet past, and say how often the judge would have been wrong", ValidArgsFunction: s.componentArgs,
		Long: `Replays the past that Prometheus keeps of the components' signals (all that have signals, unless some are named) as if something
had been deployed at the beginning of every watch, and says from which evidence on the judge would have been wrong no more often than
the policy allows. Times after deployments and of incidents are left out. With "judge: {level: calibrated}" in the policy, watch and
deploy use that level, and replay the past anew once a day; without it, this only shows what it would come to.

  astern policy calibrate shop`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			return s.with(ctx, writing, func(a *app.App) error { return s.calibrate(ctx, a, args) })
		}),
	}
}

// calibrate replays the past of the components named, or of all that have signals; one that can't be replayed says why.
func (s *session) calibrate(ctx context.Context, a *app.App, names []string) error {
	e, err := a.Environment(s.environment)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		for _, c := range e.Components {
			if len(c.Signals) > 0 {
				names = append(names, c.Name)
			}
		}
	}
	if len(names) == 0 {
		return astern.Errorf(astern.Invalid, "no component of %s declares signals: there is nothing to calibrate", e.Name)
	}
	r := view.CalibrationReport{Judge: e.Policy.Judge}
	var failed []error
	for _, name := range names {
		level, err := a.Calibrate(ctx, e.Name, name)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		r.Levels = append(r.Levels, level)
	}
	if len(r.Levels) > 0 {
		if err := s.result(r, rendered(view.Calibration, r)); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

func (s *session) policyReviews() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "reviews", Short: "list where somebody broke the glass", Args: takes(0, 0),
		Long: `Lists the plans that were applied over the policy's head and that nobody has reviewed; with --all the others, too. The exit
code is 5 when a review is overdue.

  astern policy reviews
  astern policy review 1a2b3c4d5e6f --reason 'right: both approvers were on a plane'`,
		RunE: s.runs(func(ctx context.Context, _ []string) error {
			return s.with(ctx, reading, func(a *app.App) error {
				list, err := a.Store.Overrides(ctx)
				if err != nil {
					return err
				}
				overdue := slices.ContainsFunc(list, func(o astern.Override) bool { return o.ReviewedAt == nil && a.Now().After(o.ReviewDue) })
				if !all {
					list = slices.DeleteFunc(list, func(o astern.Override) bool { return o.ReviewedAt != nil })
				}
				r := view.ReviewsReport{Overrides: list}
				if err := s.result(r, rendered(view.Reviews, r)); err != nil || !overdue {
					return err
				}
				return astern.Errorf(astern.Waiting, "a review is overdue").WithHint("somebody other than who broke the glass: astern policy review HASH --reason …")
			})
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "those that were reviewed, too")
	return cmd
}

func (s *session) policyReview() *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use: "review HASH", Short: "review where somebody else broke the glass", Args: takes(1, 1),
		Long: `Records that you looked at a plan which somebody else applied over the policy's head, and what you say to it.

  astern policy review 1a2b3c4d5e6f --reason 'right: both approvers were on a plane'`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			if err := f.given(); err != nil {
				return err
			}
			return s.with(ctx, changing(f.dryRun), func(a *app.App) error {
				o, err := a.Review(ctx, args[0], f.reason)
				if err != nil {
					return err
				}
				return s.say(done{What: fmt.Sprintf("%s: %s reviewed what %s did", o.PlanHash, a.By, o.By), Plan: o.PlanHash, DryRun: f.dryRun})
			})
		}),
	}
	f.add(cmd, true)
	return cmd
}
