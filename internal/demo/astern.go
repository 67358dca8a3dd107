package demo

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/astern-dev/astern"
)

// commandLimit bounds one astern command.
const commandLimit = 90 * time.Second

// asternCommand runs astern where a system lives, as a person would type it.
type asternCommand struct {
	program  string
	shop     home
	timeline *timeline
}

// home is where a system lives: the folder of its astern.yaml, and what programs inherit there.
type home interface {
	dir() string
	environment() []string
}

// process is an astern that was started.
type process struct {
	command *exec.Cmd
	line    string
	quote   *quote // nil when the output is not shown
	cancel  context.CancelFunc
}

// run runs a command, shows it with its output, and returns its exit code.
func (a *asternCommand) run(ctx context.Context, args ...string) (int, error) {
	p, err := a.start(ctx, args...)
	if err != nil {
		return -1, err
	}
	return p.wait(ctx)
}

// start starts a command and shows its output as it comes; the caller must wait for it.
func (a *asternCommand) start(ctx context.Context, args ...string) (*process, error) {
	a.timeline.say("$ astern %s", typed(args))
	q := a.timeline.quote()
	p := a.command(ctx, commandLimit, args)
	p.quote, p.command.Stdout, p.command.Stderr = q, q, q
	return p, p.launch()
}

// ask runs a command without showing it and returns what it wrote to stdout.
func (a *asternCommand) ask(ctx context.Context, args ...string) ([]byte, error) {
	var out bytes.Buffer
	p := a.command(ctx, commandLimit, args)
	p.command.Stdout = &out
	if err := p.launch(); err != nil {
		return nil, err
	}
	code, err := p.wait(ctx)
	if err != nil {
		return nil, err
	}
	if code != 0 && out.Len() == 0 {
		return nil, astern.Errorf(astern.Internal, "%s exited with %d and printed nothing", p.line, code)
	}
	return out.Bytes(), nil
}

// command prepares astern in a process group of its own, so that a Ctrl-C at the terminal reaches the demo alone, which
// then ends what it started.
func (a *asternCommand) command(ctx context.Context, limit time.Duration, args []string) *process {
	ctx, cancel := context.WithTimeout(ctx, limit)
	p := &process{command: exec.CommandContext(ctx, a.program, args...), line: "astern " + typed(args), cancel: cancel}
	p.command.Dir = a.shop.dir()
	p.command.Env = a.shop.environment()
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.command.Cancel = func() error { return p.command.Process.Signal(syscall.SIGTERM) }
	p.command.WaitDelay = 5 * time.Second
	return p
}

// launch starts it; after an error nothing is left to wait for.
func (p *process) launch() error {
	if err := p.command.Start(); err != nil {
		p.cancel()
		return astern.Errorf(astern.Internal, "starting %s: %w", p.line, err)
	}
	return nil
}

// wait returns the exit code; -1 with an error when it was ended by ctx or its limit, -1 alone by another's signal.
func (p *process) wait(ctx context.Context) (int, error) {
	defer p.cancel()
	err := p.command.Wait()
	if p.quote != nil {
		p.quote.flush()
	}
	if ctx.Err() != nil {
		return -1, astern.Errorf(astern.Interrupted, "the demo was interrupted")
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	}
	return -1, astern.Errorf(astern.Internal, "running %s: %w", p.line, err)
}

// kill ends the process at once, as a power cut would.
func (p *process) kill() error {
	if err := p.command.Process.Kill(); err != nil {
		return astern.Errorf(astern.Internal, "killing %s: %w", p.line, err)
	}
	return nil
}

// execution returns the id of the execution that has not ended, "" when there is none.
func (a *asternCommand) execution(ctx context.Context) (string, error) {
	out, err := a.ask(ctx, "executions", "-o", "json")
	if err != nil {
		return "", err
	}
	e, err := decode[executions]("astern executions", out)
	return e.running(), err
}

// show returns how far the execution is.
func (a *asternCommand) show(ctx context.Context, id string) (shown, error) {
	out, err := a.ask(ctx, "show", id, "-o", "json")
	if err != nil {
		return shown{}, err
	}
	return decode[shown]("astern show", out)
}

// incident returns what is known of an incident.
func (a *asternCommand) incident(ctx context.Context, id string) (astern.Incident, error) {
	out, err := a.ask(ctx, "show", id, "-o", "json")
	if err != nil {
		return astern.Incident{}, err
	}
	return decode[astern.Incident]("astern show", out)
}

// carriedOut returns the ids of all executions.
func (a *asternCommand) carriedOut(ctx context.Context) ([]string, error) {
	out, err := a.ask(ctx, "executions", "-o", "json")
	if err != nil {
		return nil, err
	}
	e, err := decode[executions]("astern executions", out)
	return e.ids(), err
}

// executed returns all executions, the newest first.
func (a *asternCommand) executed(ctx context.Context) ([]execution, error) {
	out, err := a.ask(ctx, "executions", "-o", "json")
	if err != nil {
		return nil, err
	}
	e, err := decode[executions]("astern executions", out)
	return e.all(), err
}

// typed prints arguments as a person would type them.
func typed(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		if out[i] = a; a == "" || strings.ContainsAny(a, " '\"$;|&<>*?()") {
			out[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(out, " ")
}
