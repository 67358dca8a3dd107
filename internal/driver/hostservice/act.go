package hostservice

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// actor is the driver's Actor.
type actor struct{ *driver }

// order is a call, read and validated: nothing of it reaches a host before that.
type order struct {
	layout
	call     astern.Call
	who      []place // whom the step is for; the first is meant where there is one
	revision string
	hash     string
	from     []string
	byHost   bool // the step is for all instances of a host
	timeout  time.Duration
	uptime   time.Duration

	status, command        []string
	restart, start, stop   []string
	pidFile, unit, source  string
	userUnit               bool
	component              astern.Component
	machine                host.Machine
	executionFence, marker string // content of the lock file, name of the file that remembers the command
}

// parse reads the arguments of a call. It returns an Invalid error for anything that is not as a plan writes it.
func parse(call astern.Call) (*order, error) {
	o := &order{call: call, revision: call.Text("revision"), hash: call.Text("hash"), source: call.Text("source"),
		pidFile: call.Text("pid_file"), unit: call.Text("unit")}
	o.layout = layout{root: call.Text("root"), releases: call.Text("releases"), link: call.Text("link")}
	invalid := func(what, value string) error {
		return astern.Errorf(astern.Invalid, "step %s: %q is no %s", call.Step, oneLine(value), what).
			WithHint("plan again; a plan that was edited by hand can't be trusted")
	}
	switch {
	case !slices.Contains([]string{verbDrain, verbSwap, verbRestart, verbUndrain, verbCopy}, call.Verb):
		return nil, invalid("verb of "+Kind, call.Verb)
	case !goodRevision(o.revision):
		return nil, invalid("revision", o.revision)
	case !goodAbsolute(o.root):
		return nil, invalid("release root", o.root)
	case !strings.HasPrefix(o.releases, o.root+"/") || !goodBelow(strings.TrimPrefix(o.releases, o.root+"/")):
		return nil, invalid("folder of releases below the root", o.releases)
	case !strings.HasPrefix(o.link, o.root+"/") || !goodBelow(strings.TrimPrefix(o.link, o.root+"/")):
		return nil, invalid("link below the root", o.link)
	case o.pidFile != "" && (!strings.HasPrefix(o.pidFile, o.root+"/") || !goodBelow(strings.TrimPrefix(o.pidFile, o.root+"/"))):
		return nil, invalid("pid file below the root", o.pidFile)
	case o.unit != "" && !unitShape.MatchString(o.unit):
		return nil, invalid("unit", o.unit)
	case call.Verb == verbCopy && !goodAbsolute(o.source):
		return nil, invalid("source", o.source)
	}
	if err := o.parseWho(invalid); err != nil {
		return nil, err
	}
	ints := map[string]*time.Duration{"timeout_ms": &o.timeout, "uptime_ms": &o.uptime}
	for name, d := range ints {
		n, _ := call.Args[name].Literal.(int64)
		*d = time.Duration(n) * time.Millisecond
	}
	if o.timeout <= 0 {
		o.timeout = time.Minute
	}
	lists := map[string]*[]string{"from": &o.from, "status": &o.status, "command": &o.command,
		"restart": &o.restart, "start": &o.start, "stop": &o.stop}
	for name, l := range lists {
		*l, _ = call.Args[name].Literal.([]string)
	}
	o.userUnit, _ = call.Args["user_unit"].Literal.(bool)
	return o, nil
}

// placeIn reads the place of an instance as a plan writes it: its name, its host and, where it has one, its address.
func placeIn(line string) (p place, ok bool) {
	words := strings.Split(line, " ")
	if len(words) < 2 || len(words) > 3 || !goodName(words[0]) || !goodName(words[1]) || len(words) == 3 && !addressShape.MatchString(words[2]) {
		return p, false
	}
	p.name, p.host = words[0], words[1]
	if len(words) == 3 {
		p.address = words[2]
	}
	return p, true
}

// parseWho finds whom the call is for: all instances of a host, the instance named, or the member of the lane.
func (o *order) parseWho(invalid func(what, value string) error) error {
	list, _ := o.call.Args["places"].Literal.([]string)
	var all []place
	for _, line := range list {
		p, ok := placeIn(line)
		if !ok {
			return invalid("place of an instance", line)
		}
		all = append(all, p)
	}
	if name := o.call.Text("host"); name != "" {
		o.byHost, o.who = true, on(all, name)
	} else {
		name := o.call.Text("instance")
		if name == "" {
			name = o.call.Member
		}
		for _, p := range all {
			if p.name == name {
				o.who = []place{p}
			}
		}
	}
	if len(o.who) == 0 {
		return invalid("instance that the step names", o.call.Text("host")+o.call.Text("instance")+o.call.Member)
	}
	return nil
}

// shared reports whether the step is for the one link of several instances.
func (o *order) shared() bool { return o.byHost && !strings.Contains(o.link, "{instance}") }

// linkPath returns the link that the step is about.
func (o *order) linkPath() string { return forInstance(o.link, o.who[0].name) }

// way returns how the instance's process is seen.
func (o *order) way(p place) way {
	w := way{dir: o.root, env: environment(p, o.root, "", "")}
	switch {
	case o.unit != "":
		w.unit, w.user = forInstance(o.unit, p.name), o.userUnit
	case o.status != nil:
		w.status = expand(o.status, p, o.root, o.link)
	case o.pidFile != "":
		w.pidFile = forInstance(o.pidFile, p.name)
	}
	return w
}

// order reads a call and finds the machine that it is for.
func (a *actor) order(call astern.Call) (*order, error) {
	o, err := parse(call)
	if err != nil {
		return nil, err
	}
	if !tokenShape.MatchString(call.Token) && call.Token != "" || strings.ContainsAny(call.Token, "/") {
		return nil, astern.Errorf(astern.Invalid, "step %s: %q is no token", call.Step, oneLine(call.Token))
	}
	c, ok := a.lookup(call.Address)
	if !ok {
		return nil, astern.Errorf(astern.NotFound, "step %s: %s is not declared any more", call.Step, call.Address).
			WithHint("put it back into astern.yaml until the execution is over")
	}
	o.component = c
	if o.machine, err = a.machine(c, o.who[0].host); err != nil {
		return nil, fmt.Errorf("step %s: %w", call.Step, err)
	}
	o.marker = o.who[0].name
	if o.executionFence, err = host.CallLine(call, a.now()); err != nil {
		return nil, fmt.Errorf("step %s: %w", call.Step, err)
	}
	return o, nil
}

// doing names the step's effect for a person.
func (o *order) doing() string {
	switch o.call.Verb {
	case verbSwap:
		return fmt.Sprintf("pointing %s on %s to %s", o.linkPath(), o.who[0].host, o.revision)
	case verbCopy:
		return fmt.Sprintf("copying %s to %s", o.revision, o.who[0].host)
	}
	return fmt.Sprintf("%s of %s on %s", o.call.Verb, o.who[0].name, o.who[0].host)
}

// Before reads the link and the processes that a step is about to change.
func (a *actor) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	o, err := a.order(call)
	if err != nil {
		return nil, err
	}
	switch call.Verb {
	case verbSwap:
		return o.beforeSwap(ctx)
	case verbRestart:
		return o.beforeRestart(ctx)
	}
	return astern.Image{}, nil
}

// Start begins the step.
func (a *actor) Start(ctx context.Context, call astern.Call) astern.Op {
	o, err := a.order(call)
	if err != nil {
		return failed(err)
	}
	if call.Token == "" {
		return failed(astern.Errorf(astern.Invalid, "step %s comes without a token", call.Step))
	}
	switch call.Verb {
	case verbSwap:
		return o.swap(ctx, a.now())
	case verbRestart:
		return o.startRestart(ctx, a.now)
	case verbCopy:
		return o.copy(ctx)
	}
	return o.runCommand(ctx)
}

// Find tells whether the effect of the call is in the world.
func (a *actor) Find(ctx context.Context, call astern.Call) astern.Found {
	o, err := a.order(call)
	if err != nil {
		return astern.Found{Answer: astern.FoundUnknown, Because: err.Error()}
	}
	switch call.Verb {
	case verbSwap:
		return o.findSwap(ctx)
	case verbRestart:
		return o.findRestart(ctx, a.now())
	case verbCopy:
		return o.findCopy(ctx)
	}
	return o.findCommand(ctx)
}

// Poll asks how far a restart is; every other step is over when Start returns.
func (a *actor) Poll(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	o, err := a.order(call)
	if err != nil {
		return running(op.Handle, "can't be asked: "+oneLine(err.Error()), 5)
	}
	if call.Verb != verbRestart {
		return unsure(astern.Errorf(astern.Internal, "%s was still under way", o.doing()))
	}
	return o.pollRestart(ctx, op, a.now)
}

func failed(err error) astern.Op {
	return astern.Op{Status: astern.OpFailed, Code: astern.CodeOf(err), Error: err.Error(), Hint: astern.HintOf(err)}
}

func unsure(err error) astern.Op {
	return astern.Op{Status: astern.OpUnsure, Code: astern.CodeOf(err), Error: err.Error(), Hint: astern.HintOf(err)}
}

func done(progress string) astern.Op { return astern.Op{Status: astern.OpDone, Progress: progress} }

func running(handle map[string]string, progress string, poll float64) astern.Op {
	return astern.Op{Status: astern.OpRunning, Handle: handle, Progress: progress, PollSeconds: poll}
}

// after turns the error of a command into an Op: failed only when it certainly had no effect.
func after(err error) astern.Op {
	if errors.Is(err, host.ErrMayHaveRun) {
		return unsure(err)
	}
	return failed(err)
}

func unknown(format string, args ...any) astern.Found {
	return astern.Found{Answer: astern.FoundUnknown, Because: oneLine(fmt.Sprintf(format, args...))}
}

func absent(format string, args ...any) astern.Found {
	return astern.Found{Answer: astern.FoundNo, Because: oneLine(fmt.Sprintf(format, args...))}
}

func found(op astern.Op) astern.Found { return astern.Found{Answer: astern.FoundYes, Op: &op} }

// refusal words the exit code of a script that refused before it did anything; ok is false for any other code.
func (o *order) refusal(r host.Result) (err error, ok bool) {
	who := oneLine(r.LastLines(1))
	switch r.ExitCode {
	case host.ExitFence:
		return astern.Errorf(astern.Conflict, "%s: another execution was there: %s", o.doing(), host.Holder(who)).
			WithHint("astern executions shows it; %s holds the lock of %s", o.root+"/.astern.lock", o.who[0].host), true
	case host.ExitBusy:
		return astern.Errorf(astern.Unavailable, "%s: the lock of %s is held: %s", o.doing(), o.root, host.Holder(who)), true
	case exitInFlight:
		return astern.Errorf(astern.Conflict, "%s: another command of it is still running: %s", o.doing(), who), true
	case host.ExitNoLock:
		return astern.Errorf(astern.Invalid, "%s: %s", o.doing(), who).WithHint("install util-linux on %s", o.who[0].host), true
	case host.ExitOutside:
		return astern.Errorf(astern.Refused, "%s: %s", o.doing(), who).
			WithHint("astern changes nothing outside of the release root: make it a real folder or file, or declare another root"), true
	case host.ExitNotOurs:
		return host.NotOurs(o.doing(), who, o.root, true, o.who[0].host), true
	case host.ExitNoWrite, 2: // 2 is a shell that could not open a file
		return astern.Errorf(astern.Denied, "%s: nothing could be written: %s", o.doing(), orCode(r)).
			WithHint("%s", o.writable()), true
	}
	return nil, false
}

// writable is what to look at where something could not be written.
func (o *order) writable() string {
	return fmt.Sprintf("is the disk of %s full, and may the login write below %s?", o.who[0].host, o.root)
}

func (o *order) fence() string { return strconv.FormatInt(o.call.Fence, 10) }
