// Package host runs commands on a machine: the one that astern runs on, or one over SSH. Both behave alike: output is
// bounded, time is bounded, the environment is small and named, and no user data ever passes through a shell unquoted.
//
// Files of a machine are read and changed by fixed scripts that are run like any other command, with every path as an
// argument of its own; so there is one implementation for both ways.
//
// A command that leaves a child behind does not keep Run waiting, and commands run in a session of their own, so that
// what they start survives the end of astern.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/astern-dev/astern"
)

// Limits of a command that names none of its own.
const (
	DefaultTimeout = time.Minute
	DefaultKeep    = 1 << 20 // bytes of each of its outputs
)

// grace is how long outputs that a child still holds are read after their command has ended.
const grace = 500 * time.Millisecond

// Local is the name of the machine that astern runs on, where no other is given.
const Local = "local"

// Machine runs commands somewhere. It is safe for concurrent use.
type Machine interface {
	// Run runs the command to its end. A command that ended by itself, with whatever exit code, is a Result without an
	// error. After an error the command had no effect, unless errors.Is(err, ErrMayHaveRun). An unreachable machine and a
	// command that took too long are Unavailable, refused credentials and unproven host keys Denied.
	Run(ctx context.Context, c Command) (Result, error)
}

// ErrMayHaveRun is in the chain of an error after which nobody knows whether the command had an effect.
var ErrMayHaveRun = errors.New("the command may have run")

// Command is what is run. Nothing of it is read by a shell.
type Command struct {
	Argv []string
	// Env is added to PATH, HOME and LANG, which are all that is inherited.
	Env map[string]string
	// Dir is the absolute folder that it runs in; empty means the home folder over SSH, and / here.
	Dir string
	// Stdin is read to its end; nil means an empty input.
	Stdin io.Reader
	// Joined has its error output go where its output goes, in the order in which it writes.
	Joined bool
	// Timeout bounds it; 0 means DefaultTimeout.
	Timeout time.Duration
	// Keep is how many bytes of each output are kept, of its beginning and its end; what is between them is read and
	// discarded, and a line says so. 0 means DefaultKeep.
	Keep int
}

// Result is what came of a command.
type Result struct {
	// ExitCode is that of the command, or 128 plus the number of the signal that ended it.
	ExitCode       int
	Stdout, Stderr string
	// Truncated is true when more was written than is kept.
	Truncated bool
}

// LastLines returns the last n lines of the command's error output, or of its output when that is empty.
func (r Result) LastLines(n int) string {
	text := strings.TrimSpace(r.Stderr)
	if text == "" {
		text = strings.TrimSpace(r.Stdout)
	}
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// check refuses what no machine can run.
func (c Command) check() error {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return astern.Errorf(astern.Invalid, "a command without a name can't be run")
	}
	texts := append([]string{c.Dir}, c.Argv...)
	for k, v := range c.Env {
		if k == "" || strings.ContainsAny(k, "= \t\n") {
			return astern.Errorf(astern.Invalid, "%q is no name of an environment variable", k)
		}
		texts = append(texts, v)
	}
	for _, t := range texts {
		if strings.ContainsRune(t, 0) {
			return astern.Errorf(astern.Invalid, "running %s: an argument holds a NUL byte", c.Argv[0])
		}
	}
	if strings.Contains(c.Argv[0], "=") {
		return astern.Errorf(astern.Invalid, "running %q: a command's name can't hold =", c.Argv[0])
	}
	if c.Dir != "" && !strings.HasPrefix(c.Dir, "/") {
		return astern.Errorf(astern.Invalid, "running %s: the folder %q is not absolute", c.Argv[0], c.Dir)
	}
	return nil
}

func (c Command) timeout() time.Duration {
	if c.Timeout <= 0 {
		return DefaultTimeout
	}
	return c.Timeout
}

func (c Command) keep() int {
	if c.Keep <= 0 {
		return DefaultKeep
	}
	return c.Keep
}

// assignments returns the environment as NAME=VALUE, sorted.
func (c Command) assignments() []string {
	out := make([]string, 0, len(c.Env))
	for k, v := range c.Env {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	return out
}

// Quote returns s as one word of a POSIX shell.
func Quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, special) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func special(r rune) bool {
	plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !plain && !strings.ContainsRune("-_./:@%+,=", r)
}

// QuoteAll returns the words as one line that a POSIX shell reads as them.
func QuoteAll(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Quote(w)
	}
	return strings.Join(quoted, " ")
}

// kept is a writer that keeps the first and the last bytes and discards what is between them: how a command began and how
// it ended are what a person asks for.
type kept struct {
	limit   int
	head    []byte
	tail    []byte // a ring of the last bytes, full once it is as long as it may get
	next    int    // where the next byte of the ring goes
	written atomic.Int64
}

// Write never fails and never keeps more than the limit.
func (k *kept) Write(p []byte) (int, error) {
	k.written.Add(int64(len(p)))
	n := len(p)
	room := min(len(p), k.limit-k.limit/4-len(k.head))
	k.head, p = append(k.head, p[:room]...), p[room:]
	most := k.limit / 4
	p = p[max(0, len(p)-most):]
	room = min(len(p), most-len(k.tail))
	k.tail, p = append(k.tail, p[:room]...), p[room:]
	for len(p) > 0 {
		copied := copy(k.tail[k.next:], p)
		k.next, p = (k.next+copied)%len(k.tail), p[copied:]
	}
	return n, nil
}

// truncated reports whether something was discarded.
func (k *kept) truncated() bool { return k.written.Load() > int64(len(k.head)+len(k.tail)) }

// text returns what is kept, with a line that says how much is not.
func (k *kept) text() string {
	gap := ""
	if k.truncated() {
		gap = fmt.Sprintf("\n[%d bytes left out]\n", k.written.Load()-int64(len(k.head)+len(k.tail)))
	}
	return string(k.head) + gap + string(k.tail[k.next:]) + string(k.tail[:k.next])
}

// MayHaveRun marks an error as one after which the command may have had an effect. It keeps code and hint.
func MayHaveRun(e error) error { return &unsure{e} }

type unsure struct{ err error }

// Error returns the message of the error that is marked.
func (u *unsure) Error() string { return u.err.Error() }

// Unwrap returns the error that is marked.
func (u *unsure) Unwrap() error { return u.err }

// Is makes errors.Is find ErrMayHaveRun.
func (u *unsure) Is(target error) bool { return target == ErrMayHaveRun }

// overdue words the end of a command whose context ended first.
func overdue(ctx context.Context, doing string, timeout time.Duration) *astern.Error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.DeadlineExceeded) {
		return astern.Errorf(astern.Unavailable, "%s: did not end within %s", doing, timeout).
			WithHint("see why it hangs, or give it more time; a start command must put its process into the background")
	}
	return astern.Errorf(astern.Interrupted, "%s: interrupted: %w", doing, cause)
}
