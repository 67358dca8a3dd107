package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

// askFlags are the flags of what a person can ask for.
type askFlags struct {
	changeFlags
	to                 string
	all                bool
	percent            int
	noJudge            bool
	bake, watch        duration
	withoutUnreachable bool
	yes, takeOver      bool
	out, sign          string
	severity           string
	object             string
	first              string
	segment, serve     string
	share              *int // of those in the segment who still get the feature
}

// intent is one thing that a person can ask for: by `astern VERB`, which plans and applies, and by `astern plan VERB`.
type intent struct {
	verb        astern.Verb
	use         string
	short, long string
	example     string
	least, most int
}

var intentTable = []intent{
	{astern.VerbRollback, "rollback [COMPONENT…]", "take components back to an earlier state",
		`Takes components back to an earlier revision: without --to the newest ready known-good one before the current, and it
says why not a newer. What is left behind is latched. With --all --to TIME the whole environment goes back to how it was, as
one plan in the order of its dependencies.`,
		"%s shop --to v1.2.2 --percent 50 --bake 5m --reason 'errors since 03:07'\n  %s --all --to 14:02 --reason 'back to before the sale'", 0, -1},
	{astern.VerbDeploy, "deploy COMPONENT REVISION", "go forward to a revision",
		`Goes forward to a revision with the same plan, engine and watch as a rollback; after its watch it is known-good.`,
		"%s shop v1.2.3 --percent 50 --bake 5m --reason 'monthly release'", 2, 2},
	{astern.VerbRedeploy, "redeploy COMPONENT", "deploy again what runs now",
		`Deploys the current revision again: links, processes and checks, member by member.`,
		"%s shop --reason 'memory leak'", 1, 1},
	{astern.VerbOff, "off COMPONENT FLAG", "switch a feature flag off, for everybody or in one segment",
		`Switches a flag of a flag file off: everywhere, or with --segment for those in it alone, or with --percent down to a share
of them. --serve gives everybody one variant instead, whatever the targeting says: a kill switch. Nothing else in the file
changes, the state before is kept, and astern undo brings it back.`,
		"%s features new-checkout --reason 'errors since 03:07'\n  %s features new-checkout --segment city=berlin --percent 10 --reason 'slow there'\n" +
			"  %s features payments-disabled --serve on --reason 'double charges'", 2, 2},
	{astern.VerbUndo, "undo ID", "reverse what an execution did",
		`Reverses a finished execution by a new plan, the last step first, only while the world is as the execution left it. It is
exempt from latches.`,
		"%s ex-1 --reason 'it was not the release'", 1, 1},
}

// command makes the intent's command below prefix, without what it does.
func (s *session) command(in intent, prefix string, f *askFlags) *cobra.Command {
	name := prefix + " " + string(in.verb)
	cmd := &cobra.Command{Use: in.use, Short: in.short, Args: takes(in.least, in.most),
		Long: in.long + "\n\n  " + strings.ReplaceAll(in.example, "%s", name), Annotations: map[string]string{moreOutputs: mayRunbook}}
	flags := cmd.Flags()
	flags.StringVar(&f.reason, "reason", "", "why; it is recorded and shown")
	flags.Var(&f.watch, "watch", "how long the whole is watched at the end (default: the policy's)")
	flags.StringVar(&f.severity, "severity", "", "severity of the incident that this answers, by the policy's scale; it needs --reason")
	flags.StringVar(&f.out, "out", "", "write the plan to this file")
	flags.BoolVar(&f.withoutUnreachable, "without-unreachable", false, "leave out members that can't be asked; you take that upon yourself")
	f.percent = 100
	if in.verb == astern.VerbDeploy {
		f.percent = 0
	}
	switch in.verb {
	case astern.VerbUndo:
		cmd.ValidArgsFunction = s.executionArgs(false)
		return cmd
	case astern.VerbOff:
		cmd.ValidArgsFunction = s.componentArgs
		flags.StringVar(&f.segment, "segment", "", "only those who have this property: PROPERTY=VALUE, such as city=berlin")
		flags.Func("percent", "share of them that still gets the feature, 0 to 100 (default 0)", func(text string) error {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 || n > 100 {
				return errors.New("it is no whole number from 0 to 100")
			}
			f.share = &n
			return nil
		})
		flags.StringVar(&f.serve, "serve", "", "the variant that everybody gets")
		return cmd
	case astern.VerbDeploy:
		cmd.ValidArgsFunction = s.revisionArgs
	case astern.VerbRedeploy:
		cmd.ValidArgsFunction = s.componentArgs
	case astern.VerbRollback:
		cmd.ValidArgsFunction = s.componentsArgs
		flags.Func("to", "the revision, or with --all the time, to go back to", func(to string) error {
			if f.to = to; to == "" { // an unset variable of a script must not choose for it
				return errors.New("it is empty; leave --to out to have a revision chosen")
			}
			return nil
		})
		flags.BoolVar(&f.all, "all", false, "every component of the environment")
		flags.StringVar(&f.object, "object", "", "one file of a site alone, by its path: it becomes what it is in the revision --to")
		_ = cmd.RegisterFlagCompletionFunc("to", s.revisions) // fails only for a flag that does not exist
	}
	if in.verb == astern.VerbDeploy {
		flags.Func("percent", "share of the instances taken first, 1 to 100, rounded up to whole ones (default: 50 where signals are judged, else 100)", func(text string) (err error) {
			if f.percent, err = strconv.Atoi(text); err != nil || f.percent < 1 || f.percent > 100 {
				return errors.New("it is no whole number from 1 to 100")
			}
			return nil
		})
		flags.BoolVar(&f.noJudge, "no-judge", false, "the rest follows without waiting for the signals of the first share to be known not to be worse")
	} else {
		flags.IntVar(&f.percent, "percent", f.percent, "share of the instances taken first, 1 to 100, rounded up to whole ones")
	}
	if in.verb != astern.VerbRedeploy {
		flags.StringVar(&f.first, "first", "", "the environment in which the revision is proven before anything is done here (default: the policy's; none for none)")
		_ = cmd.RegisterFlagCompletionFunc("first", s.environments) // fails only for a flag that does not exist
	}
	flags.Var(&f.bake, "bake", "how long that share is watched before the rest follows")
	return cmd
}

// ask turns arguments and flags into what is asked of the planner.
func (f *askFlags) ask(s *session, verb astern.Verb, args []string) (app.Ask, error) {
	ask := app.Ask{Verb: verb, Environment: s.environment, Percent: f.percent, BakeSeconds: f.bake.seconds, WatchSeconds: -1, Reason: f.reason, Severity: f.severity,
		WithoutUnreachable: f.withoutUnreachable, Way: "cli", At: s.began, All: f.all, First: f.first}
	if f.watch.set {
		ask.WatchSeconds = f.watch.seconds
	}
	switch {
	case (f.percent < 1 || f.percent > 100) && verb != astern.VerbDeploy:
		return ask, astern.Errorf(astern.Invalid, "--percent %d is not between 1 and 100", f.percent)
	case f.bake.seconds > 0 && (f.percent == 100 || f.percent == 0):
		return ask, astern.Errorf(astern.Invalid, "--bake needs --percent below 100: it is the time between the first share and the rest").
			WithHint("to watch the whole at the end: --watch %s", f.bake.String())
	case verb == astern.VerbRollback && f.all && len(args) > 0:
		return ask, astern.Errorf(astern.Invalid, "--all and names of components exclude each other")
	case verb == astern.VerbRollback && f.all && f.to == "":
		return ask, astern.Errorf(astern.Invalid, "--all needs --to TIME").WithHint("astern ledger releases lists how it was")
	case verb == astern.VerbRollback && f.object != "" && (f.all || len(args) != 1):
		return ask, astern.Errorf(astern.Invalid, "--object needs one component").WithHint("astern rollback SITE --object %s --to REVISION", f.object)
	case verb == astern.VerbRollback && !f.all && len(args) == 0:
		return ask, astern.Errorf(astern.Invalid, "no component was named").WithHint("name one, or take all of them with --all --to TIME")
	case f.severity != "" && strings.TrimSpace(f.reason) == "":
		return ask, astern.Errorf(astern.Invalid, "--severity needs --reason: approvals and freezes follow from it")
	case f.withoutUnreachable && strings.TrimSpace(f.reason) == "":
		return ask, astern.Errorf(astern.Invalid, "--without-unreachable needs --reason: you take it upon yourself")
	}
	switch {
	case verb == astern.VerbOff:
		ask.Components = args[:1]
		ask.Flag = &astern.FlagChange{Flag: args[1], Segment: f.segment, Percent: f.share, Serve: f.serve}
		if !f.watch.set { // the file is proven by what flagd answers; the service is watched by whoever asked
			ask.WatchSeconds = 0
		}
	case verb == astern.VerbDeploy:
		ask.Components, ask.Revision, ask.Judge = args[:1], args[1], !f.noJudge
	case f.all:
		moment, err := parseTime(f.to, time.Now())
		if err != nil {
			return ask, err
		}
		ask.Moment = &moment
	case verb != astern.VerbUndo:
		ask.Components, ask.Revision, ask.Object = args, f.to, f.object
	}
	return ask, nil
}

// plan makes the plan that is asked for.
func (s *session) plan(ctx context.Context, a *app.App, verb astern.Verb, f *askFlags, args []string) (app.Planned, error) {
	ask, err := f.ask(s, verb, args)
	if err != nil {
		return app.Planned{}, err
	}
	if verb == astern.VerbUndo {
		return a.PlanUndo(ctx, args[0], ask)
	}
	return a.Plan(ctx, ask)
}

func (s *session) planGroup() *cobra.Command {
	group := group("plan", "make a plan and print it", `Makes a plan and prints it, without applying it. With -o json it prints exactly the plan file, with -o runbook the same plan
as Markdown for hands; --out FILE writes the plan file, which astern apply FILE carries out.

  astern plan rollback shop --to v1.2.2 --out plan.json
  astern plan rollback shop -o runbook`)
	for _, in := range intentTable {
		f := &askFlags{}
		cmd := s.command(in, "astern plan", f)
		cmd.Short = "plan to " + in.short
		cmd.Flags().StringVar(&f.sign, "sign", "", "sign the plan file with this SSH key: a private key file, or the public one of a key in the agent")
		cmd.RunE = s.runs(func(ctx context.Context, args []string) error {
			sign, closeKey, err := s.signer(f)
			if err != nil {
				return err
			}
			defer closeKey()
			return s.with(ctx, reading, func(a *app.App) error {
				p, err := s.plan(ctx, a, in.verb, f, args)
				if err != nil {
					return err
				}
				if f.out != "" {
					return s.writePlan(ctx, p, f.out, sign)
				}
				return s.showPlan(ctx, a, p, f)
			})
		})
		group.AddCommand(cmd)
	}
	return group
}

// keep stores the plan in the state folder where that can be written: it is known there from then on. Where it can't, the
// file stands on its own, and whoever applies it must vouch for it.
func (s *session) keep(ctx context.Context, p app.Planned) {
	if err := s.with(ctx, writing, func(a *app.App) error { return a.Keep(ctx, p) }); err != nil {
		s.warn(fmt.Sprintf("the plan is not known in the state folder, and applying its file needs --trust %s: %v", p.Hash[:12], err))
	}
}

// planFiles are those that a plan is written as, without a signature or with one. An older signature is taken away: it is another plan's.
func planFiles(file string, doc, sig []byte) []written {
	all := []written{{name: file + signatureEnds}, {file, doc}}
	if sig != nil {
		all = append(all, written{file + signatureEnds, sig})
	}
	return all
}

// writePlan writes the plan file, signed where that is asked for, and says so.
func (s *session) writePlan(ctx context.Context, p app.Planned, file string, sign func([]byte) ([]byte, error)) error {
	sig, err := sign(p.Doc)
	if err != nil {
		return err
	}
	s.keep(ctx, p)
	if err := writeFiles(0o600, planFiles(file, p.Doc, sig)...); err != nil {
		return err
	}
	return s.say(done{What: fmt.Sprintf("%s: written to %s, hash %s", view.PlanTitle(p.Plan), file, p.Hash), Plan: p.Hash, File: file,
		Next: planNext(p, file)})
}

// planNext are the commands that follow a stored plan.
func planNext(p app.Planned, name string) []string {
	apply := "astern apply " + name
	if p.Plan.Approvals > 0 {
		return []string{"astern approve " + name + "    (somebody other than " + p.Plan.Asked.By + ")", apply}
	}
	return []string{apply}
}

// showPlan writes the plan as the command's result.
func (s *session) showPlan(ctx context.Context, a *app.App, p app.Planned, f *askFlags) error {
	v, err := planView(ctx, a, p)
	if err != nil {
		return err
	}
	v.Next = s.afterPlan(f)
	switch s.output {
	case "json": // exactly the plan file, which may be stored and applied
		if !f.dryRun {
			s.keep(ctx, p)
		}
		if _, err := s.stdout.Write(p.Doc); heard(err) != nil {
			return fmt.Errorf("writing the output: %w", err)
		}
		return nil
	case mayRunbook:
		return heard(view.Runbook(s.stdout, s.style(s.stdout), v))
	}
	return s.result(p.Plan, func(w io.Writer, st view.Style) error { return view.Plan(w, st, v) })
}

// planView adds to a plan what people said of it.
func planView(ctx context.Context, a *app.App, p app.Planned) (view.PlanView, error) {
	v := view.PlanView{Plan: p.Plan, Hash: p.Hash}
	j, err := a.Judge(ctx, p.Plan, p.Hash, a.Now())
	if err != nil {
		return v, err
	}
	if j.Rejected != nil {
		v.Refusals = append(v.Refusals, "rejected by "+j.Rejected.By+": "+j.Rejected.Reason)
	}
	v.Approved = j.Counted
	return v, nil
}
