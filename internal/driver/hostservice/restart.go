package hostservice

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// The image of a restart: the process before ("" when none ran), or why it is not known.
const (
	imageIdentity = "process"
	imageUnknown  = "process_unknown"
)

// The handle of a restart under way: when its command ended, and which new process was seen since when.
const (
	handleStarted  = "started_ms"
	handleIdentity = "process"
	handleSince    = "since_ms"
)

// appears is how long a process may take to show up after its start command has ended.
const appears = 2 * time.Second

func (o *order) beforeRestart(ctx context.Context) (astern.Image, error) {
	proc := processOf(ctx, o.machine, o.way(o.who[0]))
	if !proc.unknown {
		return astern.Image{imageIdentity: proc.identity}, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, astern.Errorf(astern.Interrupted, "%s: %w", o.doing(), context.Cause(ctx))
	}
	if o.unit != "" || o.status != nil || o.pidFile != "" {
		return nil, astern.Errorf(astern.Unavailable, "%s: the process can't be seen: %s", o.doing(), proc.why)
	}
	return astern.Image{imageUnknown: proc.why}, nil
}

// startRestart runs what restarts the instance. The process is then watched by Poll.
func (o *order) startRestart(ctx context.Context, now func() time.Time) astern.Op {
	p := o.who[0]
	var commands [][]string
	switch {
	case o.unit != "":
		commands = [][]string{systemctl(o.userUnit, forInstance(o.unit, p.name))}
	case o.restart != nil:
		commands = [][]string{expand(o.restart, p, o.root, o.link)}
	case o.start != nil && o.stop != nil:
		if before, known := o.call.Image[imageIdentity]; !known || before != "" {
			commands = append(commands, expand(o.stop, p, o.root, o.link))
		}
		commands = append(commands, expand(o.start, p, o.root, o.link))
	default:
		return failed(astern.Errorf(astern.Invalid, "%s: the plan names no command", o.doing()))
	}
	for i, argv := range commands {
		if i > 0 {
			if op, ok := o.awaitEnd(ctx); !ok {
				return op
			}
		}
		token := o.call.Token
		if i+1 == len(commands) {
			token = o.restartToken()
		}
		code, text, err := o.run(ctx, token, argv)
		if err != nil {
			return o.afterRun(ctx, i, err)
		}
		if code != 0 {
			return o.afterFailure(ctx, argv, code, text)
		}
	}
	// It may live already: then its uptime begins now, and not when somebody asks the next time.
	return o.pollRestart(ctx, astern.Op{Handle: map[string]string{handleStarted: millis(now())}}, now)
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// pause is how soon the process is looked at again, in seconds.
func (o *order) pause() float64 {
	return min(max(o.uptime.Seconds()/2, 0.05), 1)
}

// restartToken is the token under which the command is remembered that restarts the instance when it ends well: of stop and start it is the
// start, apart from the stop. No token holds the mark.
func (o *order) restartToken() string {
	if o.unit == "" && o.restart == nil {
		return o.call.Token + "/start"
	}
	return o.call.Token
}

// run runs one of the user's commands by the script that allows one at a time and remembers its end under the token. Without an
// error it came to its end, with that exit code and that last output.
func (o *order) run(ctx context.Context, token string, argv []string) (code int, text string, err error) {
	p := o.who[0]
	c := script("run", append([]string{o.root, o.fence(), o.executionFence, o.marker, token}, argv...)...)
	c.Dir, c.Env, c.Timeout = o.root, environment(p, o.root, o.revision, o.call.Token), o.timeout
	r, err := o.machine.Run(ctx, c)
	if err != nil {
		return 0, "", err
	}
	if err, ok := o.refusal(r); ok {
		return 0, "", err
	}
	first, rest, _ := strings.Cut(r.Stdout, "\n")
	code, convErr := strconv.Atoi(first)
	if r.ExitCode != 0 || convErr != nil {
		return 0, "", host.MayHaveRun(astern.Errorf(astern.Internal, "%s: %s", o.doing(), orCode(r)))
	}
	return code, host.Result{Stdout: rest}.LastLines(5), nil
}

// afterRun judges an error of command i: before the first nothing happened; after it the instance may be stopped.
func (o *order) afterRun(ctx context.Context, i int, err error) astern.Op {
	if i == 0 || errors.Is(err, host.ErrMayHaveRun) || ctx.Err() != nil {
		return after(err)
	}
	return failed(err) // stopped, and nothing under way: another attempt starts it
}

// endedBySignal is the exit code above which a shell says that a signal ended the command.
const endedBySignal = 128

// afterFailure judges a command that came to its end and said that it failed: nothing of it is under way any more.
func (o *order) afterFailure(ctx context.Context, argv []string, code int, text string) astern.Op {
	err := astern.Errorf(astern.Internal, "%s: %s ended with %d: %s", o.doing(), argv[0], code, orSilence(text)).
		WithHint("on %s: see %s/.astern/%s.out", o.who[0].host, o.root, o.marker)
	if code == 126 || code == 127 {
		return failed(err)
	}
	if code > endedBySignal {
		return unsure(err) // it may have started a process and not come to note it
	}
	proc := processOf(ctx, o.machine, o.way(o.who[0]))
	before, known := o.call.Image[imageIdentity]
	if proc.unknown || !known || proc.identity == before || proc.identity == "" {
		if proc.unknown || !known {
			return unsure(err)
		}
		return failed(err)
	}
	return unsure(err)
}

func orSilence(text string) string {
	if text = said(text); text != "" {
		return text
	}
	return "it printed nothing"
}

// awaitEnd waits until the process of before is gone: a stop command may return a moment too early.
func (o *order) awaitEnd(ctx context.Context) (astern.Op, bool) {
	before := o.call.Image[imageIdentity]
	if before == "" {
		return astern.Op{}, true
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	for {
		if proc := processOf(ctx, o.machine, o.way(o.who[0])); !proc.unknown && proc.identity != before {
			return astern.Op{}, true
		}
		select {
		case <-ctx.Done():
			return failed(astern.Errorf(astern.Internal, "%s: the stop command ended, but the process lives on", o.doing()).
				WithHint("a stop command must wait until its process has ended")), false
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// pollRestart tells whether a new process lives, and has lived for the uptime: from after the look that saw it first to before
// the one that sees it last, for a look may take seconds.
func (o *order) pollRestart(ctx context.Context, op astern.Op, clock func() time.Time) astern.Op {
	now := clock()
	started, err := strconv.ParseInt(op.Handle[handleStarted], 10, 64)
	if err != nil || started > now.UnixMilli() { // the clock may have been set back
		started = now.UnixMilli()
	}
	handle := map[string]string{handleStarted: strconv.FormatInt(started, 10)}
	late := !o.call.Deadline.IsZero() && now.After(o.call.Deadline)
	proc := processOf(ctx, o.machine, o.way(o.who[0]))
	seen := op.Handle[handleIdentity]
	grace := appears // one that was seen and is gone may be a launcher, or a first try that a supervisor repeats
	if seen == "" {
		grace = max(o.uptime, appears)
	}
	switch {
	case proc.unknown && o.unit == "" && o.status == nil && o.pidFile == "":
		return done("the command succeeded; the process can't be seen: declare status or pid_file")
	case proc.unknown:
		return running(op.Handle, "the process can't be seen: "+proc.why, 1)
	case proc.identity == "" && proc.starting && !late:
		return running(handle, "starting", o.pause())
	case proc.identity == "" && now.UnixMilli()-started < grace.Milliseconds():
		return running(handle, "restarted; waiting for the process", o.pause())
	case proc.identity == "":
		return o.died(ctx, proc)
	case proc.identity == o.call.Image[imageIdentity] && late && now.UnixMilli()-started >= grace.Milliseconds():
		return failed(astern.Errorf(astern.Internal, "%s: the command succeeded, but the process is still the one of before", o.doing()).
			WithHint("does the restart command restart, and does status show the new process?"))
	case proc.identity == o.call.Image[imageIdentity]:
		return running(handle, "waiting for the old process to end", o.pause())
	}
	handle[handleIdentity] = proc.identity
	since, err := strconv.ParseInt(op.Handle[handleSince], 10, 64)
	lived := time.Duration(now.UnixMilli()-since) * time.Millisecond
	if err != nil || seen != proc.identity || lived < 0 {
		since, lived = clock().UnixMilli(), 0
	}
	handle[handleSince] = strconv.FormatInt(since, 10)
	if lived >= o.uptime {
		return done(fmt.Sprintf("%s runs as process %s", o.who[0].name, pidOf(proc.identity)))
	}
	left := o.uptime - lived
	return running(handle, fmt.Sprintf("process %s lives; it must do so for %s", pidOf(proc.identity), o.uptime), min(left.Seconds(), 1))
}

func pidOf(identity string) string {
	pid, _, _ := strings.Cut(identity, ":")
	return pid
}

// died says that the instance does not run although its command succeeded. Nothing is under way: the failure is definite.
func (o *order) died(ctx context.Context, proc process) astern.Op {
	text := ""
	if all, err := ask(ctx, o.machine, o.doing(), readTimeout, script("ran", o.root, o.marker)); err == nil {
		for _, f := range all {
			if f[0] == "output" && strings.TrimSpace(f[1]) != "" {
				text = "; it said: " + said(f[1])
			}
		}
	}
	return failed(astern.Errorf(astern.Internal, "%s: the start command succeeded but the process died (%s)%s", o.doing(), proc.why, text).
		WithHint("see its log on %s; what it printed itself is in %s/.astern/%s.out", o.who[0].host, o.root, o.marker))
}

// lastCommand tells what became of the last command of the instance.
func (o *order) lastCommand(ctx context.Context) (state, token, code string, err error) {
	all, err := ask(ctx, o.machine, o.doing(), readTimeout, script("ran", o.root, o.marker))
	if err != nil {
		return "", "", "", err
	}
	for _, f := range all {
		if f[0] != "output" {
			return f[0], f[1], f[2], nil
		}
	}
	return "", "", "", astern.Errorf(astern.Internal, "%s: the host did not say what ran", o.doing())
}

// findRestart reads what the host remembers of the command with our token, and else compares the process with the one of before.
func (o *order) findRestart(ctx context.Context, now time.Time) astern.Found {
	state, token, code, err := o.lastCommand(ctx)
	if err != nil {
		return unknown("%s", err.Error())
	}
	ours := token == o.call.Token || token == o.restartToken()
	if state == "inflight" && ours {
		return unknown("the command is still running on %s", o.who[0].host)
	}
	restarted := found(running(map[string]string{handleStarted: millis(now)}, "restarted; waiting for the process", o.pause()))
	before, known := o.call.Image[imageIdentity]
	proc := processOf(ctx, o.machine, o.way(o.who[0]))
	switch {
	case proc.unknown:
		return unknown("%s", proc.why)
	case !known:
		return unknown("the process of before is not known: %s", o.call.Image[imageUnknown])
	case proc.starting:
		return unknown("%s", proc.why)
	case token == o.restartToken() && code == "0":
		return restarted // also while the process of before drains, and where that of after does not show yet
	case ours && signalled(code) && (proc.identity == "" || proc.identity == before):
		return unknown("the command was ended by a signal (%s): it may have left a process that it did not note", code)
	case proc.identity == "":
		return absent("no process of %s runs", o.who[0].name)
	case proc.identity == before:
		return absent("the process of before still runs")
	}
	return restarted
}

func signalled(code string) bool {
	n, err := strconv.Atoi(code)
	return err == nil && n > endedBySignal
}

// runCommand runs a drain or undrain command.
func (o *order) runCommand(ctx context.Context) astern.Op {
	if len(o.command) == 0 {
		return failed(astern.Errorf(astern.Invalid, "%s: the plan names no command", o.doing()))
	}
	argv := expand(o.command, o.who[0], o.root, o.link)
	code, text, err := o.run(ctx, o.call.Token, argv)
	switch {
	case err != nil:
		return after(err)
	case code != 0:
		return failed(astern.Errorf(astern.Internal, "%s: %s ended with %d: %s", o.doing(), argv[0], code, orSilence(text)))
	}
	return done(o.doing() + " done")
}

// findCommand reads what the host remembers of the command with our token.
func (o *order) findCommand(ctx context.Context) astern.Found {
	state, token, code, err := o.lastCommand(ctx)
	switch {
	case err != nil:
		return unknown("%s", err.Error())
	case state == "never", token != o.call.Token:
		return absent("%s was not begun", o.doing())
	case state == "inflight":
		return unknown("the command is still running on %s", o.who[0].host)
	case code == "0":
		return found(done(o.doing() + " done"))
	case code == "started":
		return unknown("the command was begun on %s and did not come to its end", o.who[0].host)
	}
	return absent("the command ended with %s", code)
}
