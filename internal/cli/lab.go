package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/view"
)

func (s *session) labGroup() *cobra.Command {
	dir := ".astern-lab"
	g := group("lab", "an emulated AWS account, to break things safely in", `Runs an emulated AWS account on this machine: moto, corrected where it is kinder than the cloud, with a clock that can be
stepped, faults on demand and a journal of every call. It is not AWS; docs/lab.md says how far it goes.

  astern lab up && . .astern-lab/env
  astern lab fault add --service s3 --operation PutObject --nth 2 --count 1 --status 503 --code SlowDown
  astern lab clock +31d
  astern lab down`)
	g.PersistentFlags().StringVar(&dir, "dir", dir, "folder of the lab")
	running := func(f func(ctx context.Context, c lab.Client, r lab.Running) error) func(*cobra.Command, []string) error {
		return s.runs(func(ctx context.Context, _ []string) error {
			r, err := lab.Find(dir)
			if err != nil {
				return err
			}
			return f(ctx, r.Client(), r)
		})
	}
	g.AddCommand(s.labUp(&dir), s.labServe(&dir), s.labDown(&dir), s.labStatus(running), s.labReset(running), s.labFault(running),
		s.labClock(&dir), s.labAccess(&dir), s.labCalls(running), s.labExpire(running))
	return g
}

// onLab makes the RunE of a command that needs a lab that runs.
type onLab func(func(context.Context, lab.Client, lab.Running) error) func(*cobra.Command, []string) error

// labDocument is a JSON document of the lab.
func labDocument(kind, name string, v any) map[string]any {
	return map[string]any{"kind": kind, "version": view.DocumentVersion, name: v}
}

// lines writes rows of cells separated by tabs, in columns.
func lines(w io.Writer, rows ...string) error {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(t, r)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	out := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i := range out {
		out[i] = strings.TrimRight(out[i], " ")
	}
	return text(w, out...)
}

func (s *session) labUp(dir *string) *cobra.Command {
	p := lab.Place{Addr: "127.0.0.1:0", Seed: 1}
	cmd := &cobra.Command{
		Use: "up", Short: "start the account in the background, and say how to use it", Args: takes(0, 0),
		Long: `Starts the account in the background, waits until it answers, and says what programs have to be told to use it; the same stands in
the file env of its folder. Where one runs in that folder already, that one is shown. What is in the account lives as long as
the lab does.

  astern lab up
  astern lab up --addr 127.0.0.1:4566 --seed 7`,
		RunE: s.runs(func(ctx context.Context, _ []string) error {
			if err := p.At(*dir); err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return astern.Errorf(astern.Internal, "starting the lab: %w", err)
			}
			r, first, err := lab.Up(ctx, p, self, "lab", "serve", "--dir", p.Dir, "--addr", p.Addr, "--seed", strconv.FormatUint(p.Seed, 10))
			if err != nil {
				return err
			}
			doc := labDocument("Lab", "lab", r)
			doc["first"], doc["environment"] = first, r.Environment()
			return s.result(doc, func(w io.Writer, _ view.Style) error { return text(w, upText(r, first)...) })
		}),
	}
	cmd.Flags().StringVar(&p.Addr, "addr", p.Addr, "where it listens, on this machine; port 0 is any free one")
	cmd.Flags().Uint64Var(&p.Seed, "seed", p.Seed, "what chance follows from: names of resources, faults with a probability")
	return cmd
}

func upText(r lab.Running, first bool) []string {
	head := "the lab is up: " + r.URL
	if !first {
		head = "the lab was up already: " + r.URL
	}
	out := []string{head, "an emulated AWS account (" + lab.Account + "): moto, corrected; it is not AWS", ""}
	for _, v := range r.Environment() {
		out = append(out, "  export "+v)
	}
	return append(out, "", "next  . "+filepath.Join(r.Dir, "env"), "next  aws s3 ls", "next  astern lab down --dir "+r.Dir)
}

func (s *session) labServe(dir *string) *cobra.Command {
	var p lab.Place
	cmd := &cobra.Command{
		Use: "serve", Short: "run the account in this process", Args: takes(0, 0), Hidden: true,
		Long: "Runs the account in this process until it is ended, as `astern lab up` has it in the background.\n\n  astern lab serve",
		RunE: s.runs(func(ctx context.Context, _ []string) error {
			say := func(h lab.Heard) error { return json.NewEncoder(s.stdout).Encode(h) }
			err := p.At(*dir)
			if err == nil {
				err = lab.Serve(ctx, p, func(r lab.Running) error { return say(lab.Heard{Running: &r}) })
			}
			if err != nil {
				_ = say(lab.Fails(err)) // whoever started us may have heard enough
			}
			return err
		}),
	}
	cmd.Flags().StringVar(&p.Addr, "addr", "127.0.0.1:0", "where it listens")
	cmd.Flags().Uint64Var(&p.Seed, "seed", 1, "what chance follows from")
	return cmd
}

func (s *session) labDown(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "end the account, with all that is in it", Args: takes(0, 0),
		Long: "Ends the lab's own two processes and no others. What is in the account is gone; the journal of calls stays in the folder.\n\n  astern lab down",
		RunE: s.runs(func(ctx context.Context, _ []string) error {
			ended, err := lab.Down(ctx, *dir)
			if err != nil {
				return err
			}
			what := "no lab ran in " + *dir
			if ended {
				what = "the lab has ended; its calls are in " + filepath.Join(*dir, "calls.jsonl")
			}
			return s.say(done{What: what})
		}),
	}
}

func (s *session) labStatus(on onLab) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "show the lab that runs: where, its clock, its calls", Args: takes(0, 0),
		Long: "Shows the lab that runs. Exit code 2: none does.\n\n  astern lab status -o json",
		RunE: on(func(ctx context.Context, c lab.Client, r lab.Running) error {
			st, err := c.Status(ctx)
			if err != nil {
				return err
			}
			doc := labDocument("LabStatus", "status", st)
			doc["lab"] = r
			return s.result(doc, func(w io.Writer, _ view.Style) error {
				rows := []string{"address\t" + r.URL, "folder\t" + r.Dir, "account\t" + lab.Account, "seed\t" + strconv.FormatUint(r.Seed, 10),
					fmt.Sprintf("processes\t%d, moto %d", r.Lab.PID, r.Moto.PID), "clock\t" + clockText(st),
					"access\t" + accessText(st), "calls\t" + strconv.FormatInt(st.Calls, 10), "faults\t" + strconv.Itoa(st.Faults)}
				if st.Journal != "" {
					rows = append(rows, "journal\tcan't be written: "+st.Journal)
				}
				return lines(w, rows...)
			})
		}),
	}
}

func clockText(st lab.Status) string {
	if st.Ahead == 0 {
		return st.Now.Format(time.DateTime) + " UTC, as ours"
	}
	return st.Now.Format(time.DateTime) + " UTC, " + time.Duration(st.Ahead).Round(time.Second).String() + " ahead of ours"
}

func (s *session) labReset(on onLab) *cobra.Command {
	return &cobra.Command{
		Use: "reset", Short: "empty the account; no faults, no calls, the real time", Args: takes(0, 0),
		Long: "Makes the lab as it was when it began, in milliseconds.\n\n  astern lab reset",
		RunE: on(func(ctx context.Context, c lab.Client, r lab.Running) error {
			if _, err := c.Reset(ctx); err != nil {
				return err
			}
			return s.say(done{What: "the account at " + r.URL + " is empty"})
		}),
	}
}

func (s *session) labClock(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "clock [+DURATION]", Short: "show the lab's clock, or step it forward", Args: takes(0, 1),
		Long: `Shows the lab's clock, or steps it forward: what is due by then happens before the command ends. It never goes back.

  astern lab clock
  astern lab clock +5m
  astern lab clock +31d`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			r, err := lab.Find(*dir)
			if err != nil {
				return err
			}
			st, err := r.Client().Status(ctx)
			if len(args) == 1 && err == nil {
				by, ok := strings.CutPrefix(args[0], "+")
				d, wrong := parseDuration(by)
				if !ok || wrong != nil {
					return astern.Errorf(astern.Invalid, "the lab's clock can't be stepped by %q", args[0]).WithHint("as in +5m, +36h, +31d")
				}
				st, err = r.Client().Step(ctx, d)
			}
			if err != nil {
				return err
			}
			return s.result(labDocument("LabStatus", "status", st), func(w io.Writer, _ view.Style) error { return text(w, clockText(st)) })
		}),
	}
}

func (s *session) labAccess(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "access [on|off]", Short: "hold calls to the IAM policies of who makes them, or no longer", Args: takes(0, 1),
		Long: `Says whether calls are held to the policies of who makes them, or switches that. When it is on, users with keys that the account
has made, and roles that were assumed, may do what their policies allow; any other key is the root user's.

  astern lab access on
  aws iam create-access-key --user-name astern`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			r, err := lab.Find(*dir)
			if err != nil {
				return err
			}
			st, err := r.Client().Status(ctx)
			if len(args) == 1 && err == nil {
				if args[0] != "on" && args[0] != "off" {
					return astern.Errorf(astern.Invalid, "the lab's access can't be %q", args[0]).WithHint("on or off")
				}
				st, err = r.Client().HoldToPolicies(ctx, args[0] == "on")
			}
			if err != nil {
				return err
			}
			return s.result(labDocument("LabStatus", "status", st), func(w io.Writer, _ view.Style) error { return text(w, accessText(st)) })
		}),
	}
}

func accessText(st lab.Status) string {
	if st.Judging {
		return "calls are held to the policies of who makes them"
	}
	return "everybody may do everything"
}

func (s *session) labExpire(on onLab) *cobra.Command {
	return &cobra.Command{
		Use: "expire", Short: "run the lifecycle rules of all buckets and image repositories now, by the lab's clock", Args: takes(0, 0),
		Long: "Runs the lifecycle rules of all buckets and image repositories by the lab's clock, as its steps do (repositories: every 24 hours),\nand lists what they took away.\n\n  astern lab expire",
		RunE: on(func(ctx context.Context, c lab.Client, _ lab.Running) error {
			gone, err := c.Expire(ctx)
			if err != nil {
				return err
			}
			return s.result(labDocument("LabExpired", "expired", gone), func(w io.Writer, _ view.Style) error {
				if len(gone) == 0 {
					return text(w, "no rule takes anything away now")
				}
				rows := []string{"FROM\tWHAT\tVERSION\tRULE"}
				for _, g := range gone {
					version := g.VersionID
					if version == "" {
						version = "current"
					}
					rows = append(rows, g.Bucket+g.Repository+"\t"+plainCell(g.Key)+"\t"+version+"\t"+plainCell(g.Rule))
				}
				return lines(w, rows...)
			})
		}),
	}
}

// plainCell keeps a text of somebody else's from ending a cell or a line.
func plainCell(s string) string {
	return strings.NewReplacer("\t", `\t`, "\n", `\n`, "\v", `\v`, "\f", `\f`, "\r", `\r`).Replace(s)
}

func (s *session) labCalls(on onLab) *cobra.Command {
	var service, operation string
	var after int64
	cmd := &cobra.Command{
		Use: "calls", Short: "list the calls to the account: what, when, how it ended", Args: takes(0, 0),
		Long: `Lists the calls to the account, oldest first, by the lab's clock: the last 50,000; all of them are in calls.jsonl of its folder.

  astern lab calls --service lambda --operation UpdateFunctionCode
  astern lab calls --after 120 -o json`,
		RunE: on(func(ctx context.Context, c lab.Client, _ lab.Running) error {
			calls, err := c.Calls(ctx, service, operation, after)
			if err != nil {
				return err
			}
			return s.result(labDocument("LabCalls", "calls", calls), func(w io.Writer, _ view.Style) error {
				rows := []string{"N\tTIME\tREGION\tCALL\tSTATUS\tWHAT WAS SAID"}
				for _, e := range calls {
					rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s", e.Seq, e.Time.Format("15:04:05.000"), e.Region, e.Service+":"+e.Operation,
						endOf(e), plainCell(strings.TrimSpace(e.Error+" "+e.Message))))
				}
				return lines(w, rows...)
			})
		}),
	}
	cmd.Flags().StringVar(&service, "service", "", "only of this service: lambda, s3, ecs")
	cmd.Flags().StringVar(&operation, "operation", "", "only this operation: UpdateFunctionCode")
	cmd.Flags().Int64Var(&after, "after", 0, "only after the call with this number")
	return cmd
}

// endOf is how a call ended, with what a fault did to it.
func endOf(e lab.Entry) string {
	out := "lost"
	if e.Status != 0 {
		out = strconv.Itoa(e.Status)
	}
	if e.Fault != 0 {
		out += " fault " + strconv.Itoa(e.Fault)
	}
	if e.Effect != "" {
		out += " " + string(e.Effect)
	}
	return out
}
