package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/report"
	"github.com/astern-dev/astern/internal/view"
)

// isIncident reports whether an id is one of an incident.
func isIncident(id string) bool { return strings.HasPrefix(id, "inc-") }

func (s *session) incidents() *cobra.Command {
	limit := 20
	cmd := group("incidents", "list incidents and what is left to do; open, note, own and resolve them", `Lists incidents, those that last first. Exit code 5: a task after one of them is overdue.

  astern incidents
  astern incidents open shop --severity SEV-2 --began '10m ago' --reason 'checkout fails'
  astern incidents own inc-1
  astern incidents resolve inc-1 --reason 'v1.2.2 serves again'`)
	needOne := cmd.RunE
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return needOne(c, args)
		}
		return s.runs(func(ctx context.Context, _ []string) error {
			return s.with(ctx, reading, func(a *app.App) error { return s.listIncidents(ctx, a, limit) })
		})(c, args)
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many; 0 means all")
	cmd.AddCommand(s.incidentOpen(), s.incidentSeverity(), s.incidentCost(),
		s.incidentOwn(),
		s.incidentWord("note ID", "add a line to the timeline", true, "  astern incidents note inc-1 --reason 'the database looks well'", "noted",
			func(ctx context.Context, a *app.App, id, reason string) error { return a.NoteIncident(ctx, id, reason) }),
		s.incidentResolve(),
		s.incidentWord("reopen ID", "say that it is not over", true, "  astern incidents reopen inc-1 --reason 'errors are back'", "open again",
			func(ctx context.Context, a *app.App, id, reason string) error {
				return a.ReopenIncident(ctx, id, reason)
			}))
	return cmd
}

func (s *session) listIncidents(ctx context.Context, a *app.App, limit int) error {
	if limit < 0 {
		return astern.Errorf(astern.Invalid, "--limit %d is negative", limit).WithHint("0 means all")
	}
	es, _, err := s.scope(a)
	if err != nil {
		return err
	}
	all, err := a.Incidents(ctx)
	if err != nil {
		return err
	}
	in := within(es)
	all = slices.DeleteFunc(all, func(i astern.Incident) bool { return s.environment != "" && !slices.ContainsFunc(i.Addresses, in) })
	slices.SortStableFunc(all, func(x, y astern.Incident) int {
		if lasts := x.ResolvedAt == nil; lasts != (y.ResolvedAt == nil) {
			return map[bool]int{true: -1, false: 1}[lasts]
		}
		return 0
	})
	var r view.IncidentsReport
	first := ""
	for _, i := range all {
		if n := len(i.Overdue(a.Now())); n > 0 {
			r.Overdue += n
			first = i.ID
		}
	}
	if limit > 0 && len(all) > limit {
		r.More, all = len(all)-limit, all[:limit]
	}
	r.Incidents = all
	if err := s.result(r, rendered(view.Incidents, r)); err != nil || r.Overdue == 0 {
		return err
	}
	return astern.Errorf(astern.Waiting, "%d tasks after incidents are overdue", r.Overdue).WithHint("astern show %s; then astern tick %s ITEM", first, first)
}

func (s *session) showIncident(ctx context.Context, a *app.App, id string) error {
	in, err := a.Incident(ctx, id)
	if err != nil {
		return err
	}
	r := view.IncidentOf(in, a.Now())
	return s.result(r, rendered(view.Incident, r))
}

func (s *session) incidentOpen() *cobra.Command {
	var f changeFlags
	var severity, began string
	cmd := &cobra.Command{
		Use: "open COMPONENT…", Short: "open an incident about components", Args: takes(1, -1), ValidArgsFunction: s.componentArgs,
		Long: `Opens an incident. Whatever is done to its components from then on stands in its timeline by itself.

  astern incidents open shop --severity SEV-2 --began '10m ago' --reason 'checkout fails'`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			if err := f.given(); err != nil {
				return err
			}
			fault := app.Fault{Environment: s.environment, Components: args, Severity: severity, Title: f.reason}
			if began != "" {
				at, err := parseTime(began, time.Now())
				if err != nil {
					return err
				}
				fault.Began = at
			}
			return s.with(ctx, changing(f.dryRun), func(a *app.App) error {
				id, err := a.OpenIncident(ctx, fault)
				if err != nil {
					return err
				}
				d := done{What: id + " is open: " + f.reason, DryRun: f.dryRun}
				if !f.dryRun {
					d.Next = []string{"astern incidents own " + id, "astern show " + id}
				}
				return s.say(d)
			})
		}),
	}
	f.add(cmd, true)
	cmd.Flags().StringVar(&severity, "severity", "", "how severe it is, as in SEV-2")
	cmd.Flags().StringVar(&began, "began", "", "when the fault began: 14:02, '10m ago', an RFC 3339 time (default: now)")
	return cmd
}

// incidentWord makes a command that says one thing of an incident.
func (s *session) incidentWord(use, short string, must bool, example, said string,
	do func(ctx context.Context, a *app.App, id, reason string) error) *cobra.Command {
	f := &changeFlags{}
	cmd := s.stepCommand(use, short, strings.ToUpper(short[:1])+short[1:]+".\n\n"+example, takes(1, 1), f, must,
		func(ctx context.Context, a *app.App, args []string) error {
			if err := do(ctx, a, args[0], f.reason); err != nil {
				return err
			}
			return s.say(done{What: args[0] + ": " + said, DryRun: f.dryRun})
		})
	cmd.ValidArgsFunction = s.incidentArgs
	return cmd
}

func (s *session) incidentOwn() *cobra.Command {
	f := &changeFlags{}
	to := ""
	cmd := s.stepCommand("own ID [TASK]", "say who has it, or one task of it", `Says that you have an incident, or one of the tasks after it; or who else has it. Tasks that nobody was given are his who has the incident.

  astern incidents own inc-1
  astern incidents own inc-1 post-mortem --for ana`, takes(1, 2), f, false,
		func(ctx context.Context, a *app.App, args []string) error {
			item, what := "", args[0]
			if len(args) > 1 {
				item, what = args[1], args[1]+" of "+args[0]
			}
			if err := a.OwnIncident(ctx, args[0], item, to); err != nil {
				return err
			}
			said := what + ": is yours"
			if to != "" {
				said = what + ": " + to + " has it"
			}
			return s.say(done{What: said, DryRun: f.dryRun})
		})
	cmd.Flags().StringVar(&to, "for", "", "who has it: a person of the policy (default: you)")
	cmd.ValidArgsFunction = s.incidentArgs
	return cmd
}

func (s *session) incidentResolve() *cobra.Command {
	var ended string
	cmd := s.incidentWord("resolve ID", "say that the harm is over: the tasks are due from now on", true,
		"  astern incidents resolve inc-1 --reason 'v1.2.2 serves again'", "resolved",
		func(ctx context.Context, a *app.App, id, reason string) (err error) {
			var at time.Time
			if ended != "" {
				if at, err = parseTime(ended, a.Now()); err != nil {
					return err
				}
			}
			return a.ResolveIncident(ctx, id, reason, at)
		})
	cmd.Flags().StringVar(&ended, "ended", "", "when the harm was over: 14:02, '10m ago', an RFC 3339 time (default: now)")
	return cmd
}

func (s *session) incidentSeverity() *cobra.Command {
	f := &changeFlags{}
	cmd := s.stepCommand("severity ID SEVERITY", "say how severe it is", `Says how severe an incident is, and why.

  astern incidents severity inc-1 SEV-3 --reason 'every third order fails'`, takes(2, 2), f, true,
		func(ctx context.Context, a *app.App, args []string) error {
			if err := a.SetSeverity(ctx, args[0], args[1], f.reason); err != nil {
				return err
			}
			return s.say(done{What: args[0] + ": severity " + args[1], DryRun: f.dryRun})
		})
	cmd.ValidArgsFunction = s.incidentArgs
	return cmd
}

func (s *session) incidentCost() *cobra.Command {
	f := &changeFlags{}
	var c astern.Cost
	cmd := s.stepCommand("cost ID", "say what it has cost", `Says what an incident has cost so far, in place of what was said before.

  astern incidents cost inc-1 --requests 1204 --users 310`, takes(1, 1), f, false,
		func(ctx context.Context, a *app.App, args []string) error {
			if c == (astern.Cost{}) {
				return astern.Errorf(astern.Invalid, "no cost was given").WithHint("--requests, --users or --share")
			}
			if err := a.CostIncident(ctx, args[0], c); err != nil {
				return err
			}
			return s.say(done{What: args[0] + ": its cost is noted", DryRun: f.dryRun})
		})
	cmd.Flags().Float64Var(&c.Requests, "requests", 0, "requests that failed and would not have")
	cmd.Flags().Float64Var(&c.Users, "users", 0, "users that were harmed")
	cmd.Flags().Float64Var(&c.Share, "share", 0, "share of requests or users that were harmed, in percent")
	cmd.ValidArgsFunction = s.incidentArgs
	return cmd
}

// incidentArgs completes an incident.
func (s *session) incidentArgs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.suggest(cmd, reading, func(ctx context.Context, a *app.App) []string {
		all, err := a.Incidents(ctx)
		if err != nil {
			return nil
		}
		var out []string
		for _, in := range all {
			out = append(out, in.ID+"\t"+in.Title)
		}
		return out
	})
}

// Outputs of a report beside those of all commands.
const (
	asMarkdown = "markdown"
	asHTML     = "html"
)

func (s *session) report() *cobra.Command {
	out := ""
	cmd := &cobra.Command{
		Use: "report ID", Short: "write the report of an incident: timeline, decisions, cost, tasks", Args: takes(1, 1),
		ValidArgsFunction: s.incidentArgs, Annotations: map[string]string{moreOutputs: asMarkdown + " " + asHTML},
		Long: `Writes what happened for people who were not there. The HTML page has its graphs in it and loads nothing.

  astern report inc-1
  astern report inc-1 -o markdown
  astern report inc-1 -o html --out inc-1.html`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			return s.with(ctx, reading, func(a *app.App) error { return s.reportOf(ctx, a, args[0], out) })
		}),
	}
	cmd.Flags().StringVar(&out, "out", "", "write it into this file")
	return cmd
}

func (s *session) reportOf(ctx context.Context, a *app.App, id, out string) error {
	if !isIncident(id) {
		return astern.Errorf(astern.Invalid, "%q is no id of an incident", id).WithHint("astern incidents lists them; astern show %s shows an execution", id)
	}
	in, err := a.Incident(ctx, id)
	if err != nil {
		return err
	}
	write := func(w io.Writer) error { return report.Markdown(w, in, a.Now(), view.EscapeMarkdown) }
	switch s.output {
	case asHTML:
		write = func(w io.Writer) error { return report.HTML(w, in, a.Now()) }
	case asMarkdown:
	default:
		if out != "" {
			return astern.Errorf(astern.Invalid, "--out is for a report").WithHint("add -o markdown or -o html")
		}
		return s.showIncident(ctx, a, id)
	}
	if out == "" {
		return heard(write(s.stdout))
	}
	var b strings.Builder
	if err := write(&b); err != nil {
		return err
	}
	if err := writeFile(out, []byte(b.String()), 0o600); err != nil {
		return err
	}
	_ = text(s.stderr, fmt.Sprintf("the report of %s is in %s", id, out))
	return nil
}
