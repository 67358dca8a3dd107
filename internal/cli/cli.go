// Package cli is the command line: each command turns its arguments into a call of internal/app and the answer into a
// rendering of internal/view. Results go to stdout, everything else (plans to be confirmed, questions, progress,
// warnings, errors) to stderr; exit codes come from astern.ExitCode alone.
//
// Reading order: cli.go (one run of the program), root.go (its commands and global flags), open.go (configuration and
// state), then any command, for instance check.go, and rollback.go with run.go for those that change something.
package cli

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/view"
)

// Store is an open state folder.
type Store interface {
	app.Store
	io.Closer
}

// Program is astern as a command line.
type Program struct {
	// Open opens a state folder. With readOnly it changes nothing in it, not even by creating it.
	Open func(ctx context.Context, folder string, readOnly bool) (Store, error)
}

// Main runs one command line (without the program's name) and returns the exit code. It ends soon after ctx does, and
// answers that with the exit code of an interruption.
func (p Program) Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	host.KeepFiles()
	if i := slices.Index(args, "#"); i > 0 { // the remark behind a printed command, which zsh hands on as words
		args = args[:i]
	}
	s := &session{Program: p, stdin: stdin, stdout: stdout, stderr: stderr, env: env, began: time.Now(), args: args}
	root := s.root(args)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !s.ran {
		err = usage(cmd, err)
	}
	err = interrupted(ctx, err)
	s.complain(err)
	return astern.ExitCode(err)
}

// Commands returns all commands with their flags, also those that the help does not show. None of them is to be run.
func (p Program) Commands() *cobra.Command { return (&session{Program: p}).root(nil) }

// session is one run of the program: where it reads and writes, and what the global flags say.
type session struct {
	Program
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	began          time.Time // when the question was put
	args           []string  // as they were typed

	file, state, environment, output, color string
	verbose                                 bool
	ran                                     bool // a command has begun: errors from before that are of usage
}

// interrupted makes errors that came of the user's signal say so.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	switch astern.CodeOf(err) {
	case astern.Internal, astern.Unavailable, astern.Throttled, astern.NotReady: // what was cut off could not be asked or proven
		return astern.Errorf(astern.Interrupted, "interrupted: %w", err)
	}
	return err
}

// complain writes an error to stderr: for a person, or as a JSON document.
func (s *session) complain(err error) {
	switch {
	case err == nil:
	case s.output == "json":
		_ = view.JSON(s.stderr, view.ErrorDocument(err)) // there is nowhere left to say that stderr is gone
	default:
		_ = view.Error(s.stderr, s.style(s.stderr), err) // the same
	}
}

// warn writes warnings to stderr.
func (s *session) warn(warnings ...string) {
	for _, w := range warnings {
		_ = view.Warning(s.stderr, s.style(s.stderr), w) // a warning that can't be shown stops nothing
	}
}
