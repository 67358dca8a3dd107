package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/version"
	"github.com/astern-dev/astern/internal/view"
)

const rootLong = `astern brings systems back: it knows which earlier good states each part of a system can return to, proves that
the way there still works, and takes it on command.

It reads astern.yaml in the working directory and keeps its state in .astern beside it. The knowing commands change
nothing. The others plan first, show the plan, and ask; --yes answers, --dry-run stops after the plan.

Each global flag can also be given as a variable of the environment: ASTERN_FILE, ASTERN_STATE, ASTERN_ENVIRONMENT,
ASTERN_OUTPUT, ASTERN_COLOR, ASTERN_VERBOSE. NO_COLOR is respected.`

// exitCodes is part of the help and of every man page.
const exitCodes = `Exit codes:
  0    done, or there was nothing to do: it is so already
  1    failed
  2    wrong usage or input
  3    refused: a guard, the policy, a latch or a changed world forbids it
  4    not ready: a component without a ready way back, or a check that fails or is unknown
  5    waiting: for an approval, or paused, or a task that is overdue
  6    held half-way: a person must decide
  130  interrupted, or cancelled by a person`

// The groups of commands in the help.
const (
	groupKnowing   = "knowing"
	groupDoing     = "doing"
	groupRunning   = "running"
	groupWatching  = "watching"
	groupRecording = "recording"
	groupTrying    = "trying"
)

// Commands with the annotation moreOutputs know the outputs that it lists, in words.
const (
	moreOutputs = "outputs"
	mayRunbook  = "runbook"
)

func (s *session) root(args []string) *cobra.Command {
	root := group("astern", "brings systems back to a good state", rootLong)
	root.Example = "  astern check\n  astern rollback shop --to v1.2.2 --percent 50 --bake 5m --reason 'errors since 03:07'"
	root.Version = version.Astern
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddGroup(&cobra.Group{ID: groupKnowing, Title: "Knowing (changes nothing):"}, &cobra.Group{ID: groupDoing, Title: "Doing:"},
		&cobra.Group{ID: groupRunning, Title: "Running:"},
		&cobra.Group{ID: groupWatching, Title: "Watching:"}, &cobra.Group{ID: groupRecording, Title: "Recording:"},
		&cobra.Group{ID: groupTrying, Title: "Trying out:"})
	root.SetHelpCommandGroupID(groupKnowing)
	root.SetCompletionCommandGroupID(groupKnowing)
	usage := root.UsageFunc()
	root.SetUsageFunc(func(cmd *cobra.Command) error { // a template would keep every method of every package in the binary
		if err := usage(cmd); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStderr(), "\n%s\n", exitCodes)
		return err
	})
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return err })
	f := root.PersistentFlags()
	f.StringVarP(&s.file, "file", "f", "astern.yaml", "declaration of the system")
	f.StringVar(&s.state, "state", "", "state folder (default .astern beside the file)")
	f.StringVarP(&s.environment, "environment", "e", "", "environment (default: the only one; knowing commands: all)")
	f.StringVarP(&s.output, "output", "o", "table", "table, json or yaml; plans also runbook, reports markdown and html")
	f.StringVar(&s.color, "color", "auto", "auto, always or never")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "show all evidence, facts and records")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return s.globals(cmd) }
	complete(root, "output", "table", "json", "yaml", "runbook", "markdown", "html")
	complete(root, "color", "auto", "always", "never")
	_ = root.RegisterFlagCompletionFunc("environment", s.environments) // fails only for a flag that does not exist
	s.addCommands(root, args)
	return root
}

// addCommands adds all commands. When the first argument is the name of one, it alone is added: to make all takes longer
// than what many of them do.
func (s *session) addCommands(root *cobra.Command, args []string) {
	doing := map[string]func() *cobra.Command{"apply": s.apply}
	for _, in := range intentTable {
		doing[string(in.verb)] = func() *cobra.Command { return s.intent(in) }
	}
	groups := map[string]map[string]func() *cobra.Command{
		groupKnowing: {"init": s.initCommand, "validate": s.validate, "schema": s.schema, "kinds": s.kinds, "status": s.status,
			"check": s.check, "targets": s.targets, "history": s.history, "ledger": s.ledger, "may": s.mayGroup, "plan": s.planGroup,
			"policy": s.policyGroup, "iam-policy": s.iamPolicy, "export": s.export, "audit": s.audit, "version": s.version},
		groupDoing: doing,
		groupRunning: {"executions": s.executions, "show": s.show, "follow": s.follow, "pause": s.pause, "resume": s.resume,
			"cancel": s.cancel, "skip": s.skip, "settle": s.settle, "allow": s.allow, "approve": s.approve, "reject": s.reject, "tick": s.tick},
		groupWatching: {"watch": s.watching, "judge": s.judge, "incidents": s.incidents, "report": s.report, "replay": s.replayCommand,
			"notify": s.notifyGroup},
		groupRecording: {"record": s.record, "latch": s.latch},
		groupTrying:    {"lab": s.labGroup},
	}
	add := func(group string, make func() *cobra.Command) {
		cmd := make()
		cmd.GroupID = group
		root.AddCommand(cmd)
	}
	for group, commands := range groups {
		if len(args) > 0 && commands[args[0]] != nil {
			root.CompletionOptions.DisableDefaultCmd = true
			add(group, commands[args[0]])
			return
		}
	}
	for group, commands := range groups {
		for _, make := range commands {
			add(group, make)
		}
	}
}

// complete names the values of a flag for the shell.
func complete(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // as above
}

// globals takes from the environment what the command line does not say, and judges it.
func (s *session) globals(cmd *cobra.Command) error {
	var wrong error
	cmd.Root().PersistentFlags().VisitAll(func(f *pflag.Flag) {
		name := "ASTERN_" + strings.ToUpper(f.Name)
		if v := s.env(name); v != "" && !f.Changed && wrong == nil {
			if err := f.Value.Set(v); err != nil {
				wrong = astern.Errorf(astern.Invalid, "the variable %s is %s: %w", name, strconv.Quote(v), err)
			}
		}
	})
	if wrong != nil {
		return wrong
	}
	if err := legible(cmd); err != nil {
		return err
	}
	if _, err := view.ParseColorMode(s.color); err != nil {
		return err
	}
	formats := []string{"table", "json", "yaml"}
	formats = append(formats, strings.Fields(cmd.Annotations[moreOutputs])...)
	if !slices.Contains(formats, s.output) {
		asked := s.output
		s.output = "table"
		return astern.Errorf(astern.Invalid, "%s has no output %s", cmd.CommandPath(), strconv.Quote(asked)).
			WithHint("use one of: %s", strings.Join(formats, ", "))
	}
	return nil
}

// Longest texts of a command line, in bytes: what is recorded is shown again in every history and report.
const (
	maxReason = 2_000
	maxText   = 4_096
)

// legible refuses texts that nobody could read later: too long, or in another encoding than UTF-8.
func legible(cmd *cobra.Command) (wrong error) {
	judge := func(name, text string) {
		most := maxText
		if name == "--reason" {
			most = maxReason
		}
		switch {
		case wrong != nil:
		case len(text) > most:
			wrong = astern.Errorf(astern.Invalid, "%s has %d bytes; at most %d are kept", name, len(text), most).
				WithHint("say it in short, and where the rest can be read")
		case !utf8.ValidString(text):
			wrong = astern.Errorf(astern.Invalid, "%s is not UTF-8", name)
		}
	}
	cmd.Flags().Visit(func(f *pflag.Flag) { judge("--"+f.Name, f.Value.String()) })
	for _, a := range cmd.Flags().Args() {
		judge("an argument", a)
	}
	return wrong
}

// runs makes a command's RunE: from here on errors are not of usage.
func (s *session) runs(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		s.ran = true
		return f(cmd.Context(), args)
	}
}

// group makes a command that only holds others.
func group(use, short, long string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs, RunE: func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 0:
			return unknownCommand(cmd, args[0])
		case !cmd.HasParent():
			return cmd.Help()
		}
		return astern.Errorf(astern.Invalid, "%s needs one of: %s", cmd.CommandPath(), strings.Join(children(cmd), ", ")).
			WithHint("%s --help", cmd.CommandPath())
	}}
}

func children(cmd *cobra.Command) []string {
	var out []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			out = append(out, c.Name())
		}
	}
	return out
}

// unknownCommand suggests the nearest.
func unknownCommand(cmd *cobra.Command, name string) error {
	e := astern.Errorf(astern.Invalid, "%s has no command %s", cmd.CommandPath(), strconv.Quote(name))
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		for i := range near {
			near[i] = cmd.CommandPath() + " " + near[i]
		}
		return e.WithHint("did you mean: %s", strings.Join(near, ", "))
	}
	return e.WithHint("%s --help lists them", cmd.CommandPath())
}

// usage turns an error from before a command began into one for a person who typed something wrong.
func usage(cmd *cobra.Command, err error) error {
	var own *astern.Error
	if errors.As(err, &own) {
		return err
	}
	return astern.Errorf(astern.Invalid, "%w", err).WithHint("%s --help", cmd.CommandPath())
}

// takes demands between least and most arguments; most < 0 means any number.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		_, want, _ := strings.Cut(cmd.Use, " ")
		if want == "" {
			want = "no arguments"
		}
		return astern.Errorf(astern.Invalid, "%s takes %s; %d were given", cmd.CommandPath(), want, len(args)).
			WithHint("%s --help", cmd.CommandPath())
	}
}
