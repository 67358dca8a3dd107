//go:build unix

package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"github.com/astern-dev/astern"
)

// This is the machine that astern runs on.
type local struct{}

// Here returns the machine that astern runs on.
func Here() Machine { return local{} }

// IsHere reports whether m is the machine that astern runs on, so that its files can be read without any command.
func IsHere(m Machine) bool { _, here := m.(local); return here }

// Run runs the command as a child in a session of its own: neither the user's Ctrl-C nor the end of astern reaches what
// it starts. When its time is over the command and what it left in its process group are killed.
func (local) Run(ctx context.Context, c Command) (Result, error) {
	if err := c.check(); err != nil {
		return Result{}, err
	}
	doing := "running " + c.Argv[0]
	if ctx.Err() != nil {
		return Result{}, overdue(ctx, doing, c.timeout())
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	out, errs := &kept{limit: c.keep()}, &kept{limit: c.keep()}
	cmd := c.child(ctx, out, errs)
	err := cmd.Start()
	if errors.Is(err, syscall.ENOEXEC) { // a script that does not say by what it is read; a shell reads it, as env does over SSH
		c.Argv = append([]string{"sh", cmd.Path}, c.Argv[1:]...)
		cmd = c.child(ctx, out, errs)
		err = cmd.Start()
	}
	if err != nil {
		return Result{}, cannotStart(c, err)
	}
	err = cmd.Wait()
	if ctx.Err() != nil && !cmd.ProcessState.Success() {
		return Result{}, MayHaveRun(overdue(ctx, doing, c.timeout()))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState == nil {
		return Result{}, MayHaveRun(astern.Errorf(astern.Internal, "%s: %w", doing, err))
	}
	return Result{ExitCode: exitCode(cmd.ProcessState), Stdout: out.text(), Stderr: errs.text(),
		Truncated: out.truncated() || errs.truncated()}, nil
}

// child is the process of the command, to be started in a session of its own.
func (c Command) child(ctx context.Context, out, errs *kept) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Env = append(inherited(), c.assignments()...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, out, errs
	if c.Joined {
		cmd.Stderr = out
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = grace
	return cmd
}

func inherited() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "LANG"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func exitCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// cannotStart words why a command could not be started.
func cannotStart(c Command, err error) error {
	code := astern.Internal
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, exec.ErrNotFound):
		code = astern.NotFound
	case errors.Is(err, fs.ErrPermission):
		code = astern.Denied
	}
	e := astern.Errorf(code, "running %s: %w", c.Argv[0], err)
	if c.Dir != "" {
		if _, statErr := os.Stat(c.Dir); statErr != nil {
			e = astern.Errorf(code, "running %s: its folder: %w", c.Argv[0], statErr)
		}
	}
	return e
}
