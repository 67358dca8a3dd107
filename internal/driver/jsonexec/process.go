package jsonexec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	astern "github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/secret"
)

// Bounds of what is taken from a program.
const (
	maxAnswer = 16 << 20 // bytes of standard output
	maxErrors = 64 << 10 // bytes kept of standard error, the last
	maxShown  = 1000     // characters shown of it
	// lingering is how long a standard output that a background process keeps open is waited for.
	lingering = time.Second
)

// inherited are the only variables of astern's own environment that the program gets.
var inherited = []string{"PATH", "HOME", "LANG"}

// failure is a call that brought no usable answer.
type failure struct {
	err *astern.Error
	// certain is true when nothing can have happened: the program never ran, or said itself that it failed.
	certain bool
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// fail makes a failure that says which program and which call it is about.
func (p program) fail(certain bool, code astern.Code, hint, call, format string, args ...any) *failure {
	e := &astern.Error{Code: code, Doing: fmt.Sprintf("asking %s for %s of %s", p.name, call, p.component.Address()),
		Cause: brief{fmt.Errorf(format, args...)}, Hint: hint}
	return &failure{e, certain}
}

// brief is an error whose text has an end, whatever a program put into it.
type brief struct{ error }

// Error returns the text.
func (b brief) Error() string { return cut(b.error.Error(), 3*maxShown) }

// Unwrap returns the error itself.
func (b brief) Unwrap() error { return b.error }

// Causes for which a running program is killed.
var (
	errTimeout = errors.New("time-out")
	errTooMuch = errors.New("too much output")
)

// exchange runs the program once: the request on its standard input, its standard output as the answer. exited is the
// program's exit status. It fails when the program can't be run, is killed, or does not end.
func (p program) exchange(ctx context.Context, call string, request []byte, env environment) (answer []byte, stderr string, exited int, err error) {
	if ctx.Err() != nil {
		return nil, "", 0, p.fail(true, astern.Unavailable, "", call, "not begun: %w", context.Cause(ctx))
	}
	ctx, timeout := context.WithTimeoutCause(ctx, p.timeout, errTimeout)
	defer timeout()
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)

	cmd := exec.CommandContext(ctx, locate(p.component.Folder, p.settings.Command[0]), p.settings.Command[1:]...)
	cmd.Dir, cmd.Env = p.component.Folder, env.variables
	cmd.Stdin = bytes.NewReader(request)
	out, errs := &bounded{most: maxAnswer, full: func() { kill(errTooMuch) }}, &tail{}
	cmd.Stdout, cmd.Stderr = out, errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			return err // it has ended; its number may be another's by now
		}
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	cmd.WaitDelay = lingering
	if err := cmd.Start(); err != nil {
		return nil, "", 0, p.notStarted(call, err)
	}
	err = cmd.Wait()
	stderr = env.shown(errs.text())
	exited = cmd.ProcessState.ExitCode()
	if exited < 0 || (exited == 0 && err != nil && !errors.Is(err, exec.ErrWaitDelay)) {
		return nil, stderr, exited, p.died(ctx, call, cmd.ProcessState, err, stderr)
	}
	return out.b.Bytes(), stderr, exited, nil
}

func (p program) notStarted(call string, err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return p.fail(true, astern.Invalid, "command of the component names the program, relative to the folder of astern.yaml; "+
			"a script also needs its interpreter", call, "the program is not there: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return p.fail(true, astern.Invalid, "chmod +x "+quote(p.name), call, "the program can't be executed: %w", err)
	}
	return p.fail(true, astern.Unavailable, "", call, "the program can't be started: %w", err)
}

// died says why a program that ran brought no answer.
func (p program) died(ctx context.Context, call string, state *os.ProcessState, err error, stderr string) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTooMuch):
		return p.fail(false, astern.Internal, "", call, "the program was killed: it answered more than %d MB%s", maxAnswer>>20, stderr)
	case errors.Is(cause, errTimeout):
		return p.fail(false, astern.Unavailable, "raise timeout in the component's settings if the program needs longer", call,
			"the program was killed: it did not answer within %s%s", p.timeout, stderr)
	case cause != nil:
		return p.fail(false, astern.Unavailable, "", call, "the program was killed: %w%s", cause, stderr)
	case state.ExitCode() < 0:
		return p.fail(false, astern.Internal, "", call, "the program died: %s%s", state, stderr)
	}
	return p.fail(false, astern.Internal, "", call, "reading the program's answer: %w%s", err, stderr)
}

// environment is what the program gets, and the secrets in it.
type environment struct {
	variables []string
	secrets   []string
}

// environment reads the declared variables; secrets are read now and not kept.
func (p program) environment(call string) (environment, error) {
	var e environment
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			e.variables = append(e.variables, name+"="+v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.settings.Env)) {
		text, ref, err := variable(p.settings.Env[name])
		if err != nil {
			return e, p.fail(true, astern.Invalid, "", call, "variable %s: %w", name, err)
		}
		if ref != nil {
			value, err := secret.Resolve(*ref, p.component.Folder)
			if err != nil {
				return e, p.fail(true, astern.CodeOf(err), astern.HintOf(err), call, "variable %s: %w", name, err)
			}
			text = value.Reveal()
			e.secrets = append(e.secrets, text)
		}
		e.variables = append(e.variables, name+"="+text)
	}
	return e, nil
}

// shortSecret is the length below which a value is not looked for in answers: it would be found everywhere.
const shortSecret = 4

// hide replaces every secret in the text.
func (e environment) hide(text string) string {
	for _, s := range e.secrets {
		if len(s) < shortSecret {
			continue
		}
		text = strings.ReplaceAll(text, s, astern.SecretValue{}.String())
		if quoted, err := json.Marshal(s); err == nil {
			text = strings.ReplaceAll(text, string(quoted[1:len(quoted)-1]), astern.SecretValue{}.String())
		}
	}
	return text
}

// clean hides the secrets in every text of a decoded JSON document.
func (e environment) clean(v any) any {
	switch v := v.(type) {
	case string:
		return e.hide(v)
	case []any:
		for i := range v {
			v[i] = e.clean(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[e.hide(k)] = e.clean(x)
		}
		return out
	}
	return v
}

// shown returns the end of what the program wrote to its standard error, ready to stand at the end of a message.
func (e environment) shown(stderr string) string {
	text := plainLine(secret.Mask(e.hide(stderr)))
	if text == "" {
		return ""
	}
	if n := utf8.RuneCountInString(text); n > maxShown {
		text = "…" + string([]rune(text)[n-maxShown:])
	}
	return "; it wrote: " + text
}

// oneLine makes text from outside fit for a terminal and for a journal: a plain line that has an end.
func oneLine(s string) string { return cut(plainLine(secret.Mask(s)), maxShown) }

// cut shortens a text to n characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// plainLine makes text from outside printable: on one line, with single spaces.
func plainLine(s string) string {
	s = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

// bounded keeps what is written to it until there is too much, and then says so.
type bounded struct {
	b    bytes.Buffer
	most int
	full func()
}

func (w *bounded) Write(p []byte) (int, error) {
	if w.b.Len()+len(p) > w.most {
		w.full()
		return 0, errTooMuch
	}
	return w.b.Write(p)
}

// tail keeps the end of what is written to it. A secret cut in two at its beginning is not shown: maxShown is less than
// what is kept.
type tail struct{ b []byte }

func (w *tail) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	if over := len(w.b) - 2*maxErrors; over > 0 {
		w.b = append(w.b[:0], w.b[len(w.b)-maxErrors:]...)
	}
	return len(p), nil
}

func (w *tail) text() string { return string(w.b) }
