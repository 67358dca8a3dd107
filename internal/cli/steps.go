package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

// stepCommand makes a command about an execution.
func (s *session) stepCommand(use, short, long string, args cobra.PositionalArgs, f *changeFlags, must bool,
	do func(ctx context.Context, a *app.App, args []string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: args, ValidArgsFunction: s.executionArgs(true),
		RunE: s.runs(func(ctx context.Context, args []string) error {
			if err := f.given(); must && err != nil {
				return err
			}
			return s.with(ctx, changing(f.dryRun), func(a *app.App) error {
				if len(args) == 0 {
					return s.whichOne(ctx, a, use)
				}
				return do(ctx, a, args)
			})
		})}
	f.add(cmd, must)
	return cmd
}

// whichOne names the execution that is meant where a command about one was typed without: it is never chosen for a person.
func (s *session) whichOne(ctx context.Context, a *app.App, use string) error {
	verb, _, _ := strings.Cut(use, " ")
	open, err := a.Store.Executions(ctx, 0, true)
	if err != nil {
		return err
	}
	if len(open) == 0 {
		return astern.Errorf(astern.Invalid, "astern %s takes the ID of an execution, and none is open", verb).WithHint("astern executions lists those that have ended")
	}
	lines := make([]string, 0, len(open))
	for _, e := range open {
		sh, err := a.Show(ctx, e.ID)
		if err != nil {
			return err
		}
		l := executionLine(sh)
		lines = append(lines, fmt.Sprintf("astern %s %s  # %s, %s", verb, e.ID, l.Title, l.State))
	}
	return astern.Errorf(astern.Invalid, "astern %s takes the ID of an execution", verb).WithHint("%s", strings.Join(lines, "\n"))
}

// noted says that a person's word is in the journal, and how to go on where nothing carries the execution out.
func (s *session) noted(ctx context.Context, a *app.App, f *changeFlags, id, what string) error {
	d := done{What: id + ": " + what, Execution: id, DryRun: f.dryRun}
	if sh, err := a.Show(ctx, id); err == nil && !f.dryRun {
		d.Next = nextCommands(sh)
		if stateOf(sh) == view.StateHeld || stateOf(sh) == view.StateEnded {
			d.Next = nil
		}
	}
	return s.say(d)
}

func (s *session) pause() *cobra.Command {
	f := &changeFlags{}
	return s.stepCommand("pause ID", "let an execution start nothing new", `Asks an execution to start nothing new; what is under way is finished, but
for what the cloud goes on with by itself and can stop: that is stopped, and resume begins it anew.

  astern pause ex-1 --reason 'looking at the errors'`, takes(0, 1), f, false,
		func(ctx context.Context, a *app.App, args []string) error {
			if err := a.Pause(ctx, args[0], f.reason); err != nil {
				return err
			}
			return s.noted(ctx, a, f, args[0], "paused")
		})
}

func (s *session) resume() *cobra.Command {
	f, takeOver := &changeFlags{}, false
	cmd := s.stepCommand("resume ID", "go on with a paused, held or stopped execution", `Goes on with an execution: a paused one, a held one (steps that failed without effect get another attempt), or
one whose process is gone, wherever it was. Nothing is done twice. Where another process carries it out, it is followed.

  astern resume ex-1`, takes(0, 1), f, false,
		func(ctx context.Context, a *app.App, args []string) error {
			a.TakeOver = takeOver
			running, err := a.Resume(ctx, args[0], f.reason)
			switch {
			case err != nil:
				return err
			case f.dryRun:
				return s.noted(ctx, a, f, args[0], "would go on")
			case !running:
				return s.carry(ctx, a, args[0])
			}
			sh, err := s.watch(ctx, a, args[0], live)
			if err != nil {
				return err
			}
			if err := s.outcome(ctx, a, sh.Execution.ID); err != nil {
				return err
			}
			return standing(sh)
		})
	takesOver(cmd, &takeOver)
	return cmd
}

func (s *session) cancel() *cobra.Command {
	f, takeOver := &changeFlags{}, false
	cmd := s.stepCommand("cancel ID", "end an execution where it is", `Asks an execution to start nothing new and to end where it is, and waits for that. Its latches are lifted. What it did
stays: astern undo ID reverses it.

  astern cancel ex-1 --reason 'it was not the release'`, takes(0, 1), f, false,
		func(ctx context.Context, a *app.App, args []string) error {
			a.TakeOver = takeOver
			running, err := a.Cancel(ctx, args[0], f.reason)
			switch {
			case err != nil:
				return err
			case f.dryRun:
				return s.noted(ctx, a, f, args[0], "would be cancelled")
			case running:
				if err = s.endsElsewhere(ctx, a, args[0]); err != nil {
					return err
				}
				var sh app.Shown
				if sh, err = s.watch(ctx, a, args[0], live); err == nil {
					if err = s.outcome(ctx, a, sh.Execution.ID); err == nil {
						err = standing(sh)
					}
				}
			default:
				err = s.carry(ctx, a, args[0])
			}
			return s.wasCancelled(ctx, a, args[0], err)
		})
	takesOver(cmd, &takeOver)
	return cmd
}

// endsElsewhere says for whom a cancellation waits, and what to do when that process does not go on: it may be stopped, or
// its machine gone.
func (s *session) endsElsewhere(ctx context.Context, a *app.App, id string) error {
	r, ok, err := a.Store.Runner(ctx, id)
	if err != nil || !ok {
		return err
	}
	_, err = fmt.Fprintf(s.stderr, "it is ended by process %d on %s, which carries it out; if that one does not go on: astern cancel %s --take-over\n", r.PID, r.Host, id)
	return err
}

// wasCancelled makes the end that was asked for a success.
func (s *session) wasCancelled(ctx context.Context, a *app.App, id string, err error) error {
	if sh, e := a.Show(context.WithoutCancel(ctx), id); e == nil && sh.Execution.Outcome == astern.OutcomeCancelled {
		return nil
	}
	return err
}

func (s *session) skip() *cobra.Command {
	f := &changeFlags{}
	yes := false
	cmd := s.stepCommand("skip ID STEP", "pass over a step", `Passes over a step that is not under way. Steps that need it are listed first: they can't run either. The execution then
ends incomplete.

  astern skip ex-1 2.restart@shop-1 --reason 'the host is being replaced'`, takes(2, 2), f, true,
		func(ctx context.Context, a *app.App, args []string) error {
			needs, err := a.Dependents(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			if len(needs) > 0 {
				s.warn(fmt.Sprintf("without %s these steps can't run: %s", args[1], strings.Join(needs, ", ")))
			}
			if !yes && !f.dryRun {
				if err := s.askFor(ctx, args[1], "to pass over it"); err != nil {
					return err
				}
			}
			if err := a.Skip(ctx, args[0], args[1], f.reason); err != nil {
				return err
			}
			return s.noted(ctx, a, f, args[0], args[1]+" is passed over; astern resume "+args[0]+" goes on")
		})
	cmd.Flags().BoolVar(&yes, "yes", false, "go on without asking")
	return cmd
}

func (s *session) settle() *cobra.Command {
	f := &changeFlags{}
	var isDone, notDone bool
	cmd := s.stepCommand("settle ID STEP [OUT=VALUE…]", "say what became of a step in doubt", `Says what became of a step whose effect could not be found: look first. With --done its outputs may follow as OUT=VALUE.

  astern settle ex-1 2.restart@shop-1 --done --reason 'the process runs since 03:12'
  astern settle ex-1 2.restart@shop-1 --not-done`, takes(2, -1), f, false,
		func(ctx context.Context, a *app.App, args []string) error {
			if notDone && len(args) > 2 {
				return astern.Errorf(astern.Invalid, "a step that was not done has no outputs")
			}
			sh, err := a.Show(ctx, args[0])
			if err != nil {
				return err
			}
			outputs, err := outputsOf(sh.Plan, args[1], args[2:])
			if err != nil {
				return err
			}
			if err := a.Settle(ctx, args[0], args[1], isDone, outputs, f.reason); err != nil {
				return err
			}
			word := map[bool]string{true: "done", false: "not done"}[isDone]
			return s.noted(ctx, a, f, args[0], args[1]+" is settled as "+word+"; astern resume "+args[0]+" goes on")
		})
	cmd.Flags().BoolVar(&isDone, "done", false, "it was done")
	cmd.Flags().BoolVar(&notDone, "not-done", false, "it was not done, and nothing of it is under way")
	cmd.MarkFlagsOneRequired("done", "not-done")
	cmd.MarkFlagsMutuallyExclusive("done", "not-done")
	return cmd
}

// outputsOf reads OUT=VALUE by the types that the step declares.
func outputsOf(p astern.Plan, step string, pairs []string) (map[string]astern.Arg, error) {
	types := map[string]string{}
	pattern, _, _ := strings.Cut(step, "@")
	for _, st := range p.Stages {
		for _, x := range st.Steps {
			if x.ID == pattern {
				types = x.Outputs
			}
		}
	}
	out := map[string]astern.Arg{}
	for _, pair := range pairs {
		name, text, ok := strings.Cut(pair, "=")
		kind, declared := types[name]
		if !ok || !declared {
			names := make([]string, 0, len(types))
			for n := range types {
				names = append(names, n)
			}
			slices.Sort(names)
			return nil, astern.Errorf(astern.Invalid, "%s is no output of %s", strconv.Quote(pair), step).
				WithHint("write OUT=VALUE; its outputs: %s", strings.Join(names, ", "))
		}
		v, err := valueOf(kind, text)
		if err != nil {
			return nil, astern.Errorf(astern.Invalid, "output %s of %s is %s: %w", name, step, kind, err)
		}
		out[name] = v
	}
	return out, nil
}

func valueOf(kind, text string) (astern.Arg, error) {
	switch kind {
	case "bool":
		b, err := strconv.ParseBool(text)
		return astern.Bool(b), err
	case "int":
		n, err := strconv.ParseInt(text, 10, 64)
		return astern.Int(n), err
	case "list":
		var l []string
		err := json.Unmarshal([]byte(text), &l)
		return astern.List(l...), err
	}
	return astern.Text(text), nil
}

func (s *session) allow() *cobra.Command {
	f := &changeFlags{}
	return s.stepCommand("allow ID STEP", "accept an output outside the plan's limits", `Accepts outputs of a step that are outside the limits that the plan sets, so that the execution can go on.

  astern allow ex-1 2.build --reason 'the new digest is the mirror''s'`, takes(2, 2), f, true,
		func(ctx context.Context, a *app.App, args []string) error {
			if err := a.Allow(ctx, args[0], args[1], f.reason); err != nil {
				return err
			}
			return s.noted(ctx, a, f, args[0], "the outputs of "+args[1]+" are allowed; astern resume "+args[0]+" goes on")
		})
}

func (s *session) tick() *cobra.Command {
	f := &changeFlags{}
	component := ""
	cmd := s.stepCommand("tick ID ITEM", "tick an item of the checklist by hand", `Ticks an item of the checklist that no check ticks, in your name. Executions that have ended can be ticked, too; and so
can the tasks after an incident.

  astern tick ex-1 business-metrics
  astern tick inc-1 post-mortem
  astern tick ex-1 alerts --component shop`, takes(2, 2), f, false,
		func(ctx context.Context, a *app.App, args []string) error {
			if isIncident(args[0]) {
				if err := a.TickTask(ctx, args[0], args[1]); err != nil {
					return err
				}
				return s.say(done{What: fmt.Sprintf("%s: %s is done, says %s", args[0], args[1], a.By), DryRun: f.dryRun})
			}
			sh, err := a.Show(ctx, args[0])
			if err != nil {
				return err
			}
			address, err := listOf(sh, component, args[1])
			if err != nil {
				return err
			}
			if err := a.Tick(ctx, args[0], address, args[1]); err != nil {
				return err
			}
			return s.say(done{What: fmt.Sprintf("%s: %s is ticked by %s", args[0], args[1], a.By), Execution: args[0], DryRun: f.dryRun})
		})
	cmd.ValidArgsFunction = s.executionArgs(false)
	cmd.Flags().StringVar(&component, "component", "", "whose checklist, when the plan has several")
	_ = cmd.RegisterFlagCompletionFunc("component", s.componentsArgs) // fails only for a flag that does not exist
	return cmd
}

// listOf returns the address whose checklist is meant, "" when the plan has one.
func listOf(sh app.Shown, component, item string) (string, error) {
	var have []string
	for _, l := range sh.Plan.Checklist {
		if component != "" && (l.Address == component || short(l.Address) == component) {
			return l.Address, nil
		}
		if slices.ContainsFunc(l.Items, func(i astern.ChecklistItem) bool { return i.Item == item }) {
			have = append(have, short(l.Address))
		}
	}
	switch {
	case component != "":
		return "", astern.Errorf(astern.NotFound, "%s has no checklist of %s", sh.Execution.ID, component)
	case len(have) > 1:
		return "", astern.Errorf(astern.Invalid, "%s has several checklists with %s", sh.Execution.ID, item).
			WithHint("add --component with one of: %s", strings.Join(have, ", "))
	}
	return "", nil
}
