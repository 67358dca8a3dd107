// Package check proves health or the lack of it: it runs checks (HTTP, TCP, command) and answers with a verdict and one line of evidence, and it is the driver of the step kind "check".
//
// How an answer, or the lack of one, becomes a verdict:
//
//   - what was asked for came back: pass
//   - something else came back (a wrong status, header or body, not HTTP at all): fail
//   - the service is down (connection refused or reset) or hangs (the connection opened, then no answer in time): fail
//   - the service could not be reached or not be believed (no such name, no route, no connection in time, a TLS
//     certificate that does not verify, a command that could not be run): unknown, which is never taken for a pass
package check

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/astern-dev/astern"
)

// DefaultTimeout bounds an attempt of a check that declares no time-out.
const DefaultTimeout = 10 * time.Second

// Runner runs checks. Its zero value can run HTTP and TCP checks without secrets. It is safe for concurrent use as far
// as its functions are.
type Runner struct {
	// Dial opens connections; nil dials directly. No proxy is ever used: its answers would be taken for the service's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is the client's TLS configuration; nil verifies against the system's roots.
	TLS *tls.Config
	// Command runs argv on the host ("" is this machine), never through a shell, for at most the time-out. A command that
	// ran gives its exit code and its output, negative when a signal ended it; err says that it could not be run, or
	// not to its end.
	Command func(ctx context.Context, host string, argv []string, env map[string]string, timeout time.Duration) (exit int, output string, err error)
	// Secret reads the value of a secret header.
	Secret func(astern.Secret) (astern.SecretValue, error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// sight is what one attempt saw.
type sight struct {
	verdict  astern.Verdict
	evidence string
}

// Run runs a bound check: up to its number of attempts, with its interval between them, until one passes. The verdict is
// that of the last attempt; it is Unknown when ctx ended before. The evidence is one line and holds no secret.
func (r Runner) Run(ctx context.Context, c astern.Check) astern.CheckResult {
	start := r.now()
	attempts := max(1, c.Attempts)
	var s sight
	n := 0
	for {
		n++
		s = r.attempt(ctx, c)
		if s.verdict == astern.Pass || n == attempts {
			break
		}
		if !pause(ctx, seconds(c.IntervalSeconds)) {
			s = sight{astern.Unknown, fmt.Sprintf("interrupted after attempt %d of %d: %s", n, attempts, s.evidence)}
			break
		}
	}
	end := r.now()
	return astern.CheckResult{Check: c.ID(), Verdict: s.verdict, Evidence: s.evidence, At: end.UTC(),
		Seconds: end.Sub(start).Seconds(), Attempts: n}
}

func (r Runner) attempt(parent context.Context, c astern.Check) sight {
	timeout := seconds(c.TimeoutSeconds)
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	a := attempt{Runner: r, parent: parent, ctx: ctx, timeout: timeout, start: r.now()}
	switch {
	case c.HTTP != nil:
		return a.http(*c.HTTP)
	case c.TCP != nil:
		return a.tcp(c.TCP.Address)
	case c.Command != nil:
		return a.command(c.Host, *c.Command)
	}
	return sight{astern.Unknown, "the check says nothing to ask: neither http, tcp nor command"}
}

// attempt is one try of a check.
type attempt struct {
	Runner
	parent  context.Context // ends when the caller gives up
	ctx     context.Context // ends at the time-out too
	timeout time.Duration
	start   time.Time
	redact  redactor
}

func (a *attempt) tcp(address string) sight {
	what := "TCP " + oneLine(address)
	conn, err := a.dial(a.ctx, "tcp", address)
	if err != nil {
		verdict, why := a.unreached(err)
		return sight{verdict, what + ": " + why}
	}
	conn.Close() // nothing was written: what closing says proves nothing either way
	return sight{astern.Pass, what + ": connected in " + a.took()}
}

func (a *attempt) command(host string, c astern.CommandCheck) sight {
	what := strings.Join(c.Argv, " ")
	if host != "" {
		what += " on " + host
	}
	what = shorten(oneLine(what), 120)
	if a.Command == nil || len(c.Argv) == 0 {
		return sight{astern.Unknown, what + ": no command can be run here"}
	}
	exit, output, err := a.Command(a.ctx, host, c.Argv, c.Env, a.timeout)
	said := ""
	if output = shorten(oneLine(output), 200); output != "" {
		said = "; said: " + output
	}
	switch {
	case a.parent.Err() != nil:
		return sight{astern.Unknown, what + ": interrupted"}
	case a.ctx.Err() != nil:
		return sight{astern.Unknown, what + ": did not end within " + length(a.timeout) + said}
	case err != nil:
		return sight{astern.Unknown, what + ": could not be run: " + shorten(oneLine(err.Error()), 200) + said}
	case exit == 0:
		return sight{astern.Pass, what + ": exit 0 in " + a.took() + said}
	case exit < 0:
		return sight{astern.Unknown, what + ": ended by a signal" + said}
	case len(c.FailOn) == 0 && exit <= 125, slices.Contains(c.FailOn, exit):
		return sight{astern.Fail, fmt.Sprintf("%s: exit %d in %s, want 0%s", what, exit, a.took(), said)}
	}
	return sight{astern.Unknown, fmt.Sprintf("%s: exit %d, which says neither pass nor fail%s", what, exit, said)}
}

// unreached judges why no connection could be opened.
func (a *attempt) unreached(err error) (astern.Verdict, string) {
	var dns *net.DNSError
	switch {
	case a.parent.Err() != nil:
		return astern.Unknown, "interrupted"
	case errors.Is(err, syscall.ECONNREFUSED):
		return astern.Fail, "connection refused"
	case broken(err):
		return astern.Fail, "connection reset"
	case a.ctx.Err() != nil:
		return astern.Unknown, "no connection within " + length(a.timeout)
	case errors.As(err, &dns):
		return astern.Unknown, "can't resolve " + oneLine(dns.Name) + ": " + oneLine(dns.Err)
	}
	return astern.Unknown, "can't be reached: " + shorten(a.redact.text(err.Error()), 200)
}

// broken reports whether the other side ended the connection.
func broken(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func (r Runner) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if r.Dial != nil {
		return r.Dial(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func (r Runner) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (a *attempt) took() string { return length(a.now().Sub(a.start)) }

// length prints a duration with its unit: "12 ms", "1.5 s".
func length(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// pause waits and reports whether the whole time has passed.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
