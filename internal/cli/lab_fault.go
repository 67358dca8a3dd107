package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/view"
)

func (s *session) labFault(on onLab) *cobra.Command {
	g := group("fault", "make calls to the account fail", `Makes calls to the account fail, by rules: the first that hits a call decides.

  astern lab fault add --service s3 --operation PutObject --nth 2 --count 1 --status 503 --code SlowDown
  astern lab fault list
  astern lab fault clear`)
	g.AddCommand(s.labFaultAdd(on), s.labFaultList(on), s.labFaultClear(on))
	return g
}

func (s *session) labFaultAdd(on onLab) *cobra.Command {
	var f lab.Fault
	var delay time.Duration
	effects := map[lab.Effect]*bool{lab.DropReply: new(bool), lab.DropRequest: new(bool), lab.Truncate: new(bool)}
	cmd := &cobra.Command{
		Use: "add", Short: "put a rule in force", Args: takes(0, 0),
		Long: `Puts a rule in force: which calls it is about, which of them it hits, and what happens to those.

  astern lab fault add --service ecs --probability 0.2 --status 400 --code ThrottlingException
  astern lab fault add --service lambda --operation UpdateAlias --count 1 --drop-reply
  astern lab fault add --delay 2s`,
		RunE: on(func(ctx context.Context, c lab.Client, _ lab.Running) error {
			f.Delay = lab.Span(delay)
			for effect, asked := range effects {
				if *asked && f.Effect != "" {
					return astern.Errorf(astern.Invalid, "a fault breaks a connection in one way, not in two")
				} else if *asked {
					f.Effect = effect
				}
			}
			made, err := c.AddFault(ctx, f)
			if err != nil {
				return err
			}
			return s.result(labDocument("LabFault", "fault", made), func(w io.Writer, _ view.Style) error {
				return text(w, fmt.Sprintf("fault %d: %s", made.ID, faultText(made)))
			})
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Service, "service", "", "calls of this service (default: all): s3, lambda, ecs")
	flags.StringVar(&f.Operation, "operation", "", "calls of this operation of it (default: all)")
	flags.IntVar(&f.Nth, "nth", 1, "the first of these calls that is hit")
	flags.IntVar(&f.Count, "count", 0, "how many calls are hit (default: all)")
	flags.Float64Var(&f.Probability, "probability", 0, "how probably each is hit, from 0 to 1 (default: certainly)")
	flags.IntVar(&f.Status, "status", 0, "the status that is answered, from 400 to 599, and nothing happens")
	flags.StringVar(&f.Code, "code", "", "the error code that is answered: SlowDown, ThrottlingException")
	flags.DurationVar(&delay, "delay", 0, "wait this long before the call reaches the account")
	flags.BoolVar(effects[lab.DropReply], "drop-reply", false, "it happens, and the connection is closed instead of a reply")
	flags.BoolVar(effects[lab.DropRequest], "drop-request", false, "the connection is closed, and nothing happens")
	flags.BoolVar(effects[lab.Truncate], "truncate", false, "it happens, and the reply breaks off in the middle")
	return cmd
}

func faultText(f lab.Fault) string {
	var out []string
	switch {
	case f.Operation != "":
		out = append(out, f.Service+":"+f.Operation)
	case f.Service != "":
		out = append(out, "calls of "+f.Service)
	default:
		out = append(out, "all calls")
	}
	if f.Nth > 1 {
		out = append(out, fmt.Sprintf("from number %d on", f.Nth))
	}
	if f.Count > 0 {
		out = append(out, fmt.Sprintf("%d times", f.Count))
	}
	if f.Probability > 0 {
		out = append(out, fmt.Sprintf("with probability %g", f.Probability))
	}
	if f.Delay > 0 {
		out = append(out, "wait "+time.Duration(f.Delay).String())
	}
	if f.Status > 0 {
		out = append(out, fmt.Sprintf("are answered %d %s", f.Status, f.Code))
	}
	if f.Effect != "" {
		out = append(out, string(f.Effect))
	}
	return strings.Join(out, ", ")
}

func (s *session) labFaultList(on onLab) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the rules in force, and how often they hit", Args: takes(0, 0),
		Long: "Lists the rules in force.\n\n  astern lab fault list -o json",
		RunE: on(func(ctx context.Context, c lab.Client, _ lab.Running) error {
			all, err := c.Faults(ctx)
			if err != nil {
				return err
			}
			return s.result(labDocument("LabFaults", "faults", all), func(w io.Writer, _ view.Style) error {
				if len(all) == 0 {
					return text(w, "no call is made to fail")
				}
				rows := []string{"N\tRULE\tSEEN\tHIT"}
				for _, f := range all {
					rows = append(rows, fmt.Sprintf("%d\t%s\t%d\t%d", f.ID, plainCell(faultText(f)), f.Seen, f.Hits))
				}
				return lines(w, rows...)
			})
		}),
	}
}

func (s *session) labFaultClear(on onLab) *cobra.Command {
	return &cobra.Command{
		Use: "clear", Short: "take all rules away", Args: takes(0, 0),
		Long: "Takes all rules away.\n\n  astern lab fault clear",
		RunE: on(func(ctx context.Context, c lab.Client, _ lab.Running) error {
			if err := c.ClearFaults(ctx); err != nil {
				return err
			}
			return s.say(done{What: "no call is made to fail any more"})
		}),
	}
}
