package flags

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/pattern"
)

// actor is the driver's Actor.
type actor struct{ *driver }

// imageHash is what the image before a step holds: the content hash of the file.
const imageHash = "hash"

var tokenShape = pattern.New(`^[A-Za-z0-9][A-Za-z0-9._@+-]*$`)

// order is a call, read and validated: nothing of it reaches a host before that.
type order struct {
	call     astern.Call
	place    place
	from, to string // hashes
}

// order reads a call. It returns an Invalid error for anything that is not as a plan writes it.
func (a *actor) order(call astern.Call) (order, error) {
	o := order{call: call, from: call.Text("from"), to: call.Text("to")}
	c, ok := a.lookup(call.Address)
	if !ok {
		return o, astern.Errorf(astern.NotFound, "step %s: %s is not declared any more", call.Step, call.Address).
			WithHint("put it back into astern.yaml until the execution is over")
	}
	var err error
	if o.place, err = resolve(c); err != nil {
		return o, err
	}
	bad := func(what, value string) (order, error) {
		return o, astern.Errorf(astern.Invalid, "step %s: %q is no %s", call.Step, oneLine(value), what).
			WithHint("plan again; a plan that was edited by hand can't be trusted")
	}
	switch {
	case call.Token != "" && (len(call.Token) > 200 || !tokenShape.MatchString(call.Token)):
		return bad("token", call.Token)
	case call.Verb == verbAwait:
		return o, nil
	case call.Verb != verbChange && call.Verb != verbPut:
		return bad("verb of "+Kind, call.Verb)
	case !goodHash(o.from):
		return bad("state of the file", o.from)
	case !goodHash(o.to):
		return bad("state of the file", o.to)
	case revisionOf(o.to) != call.Text("revision"):
		return bad("revision of that state", call.Text("revision"))
	case call.Text("folder") != o.place.folder || call.Text("name") != o.place.name:
		return o, astern.Errorf(astern.Refused, "step %s is for the file %s/%s, and astern.yaml now declares %s", call.Step,
			oneLine(call.Text("folder")), oneLine(call.Text("name")), o.place.file()).WithHint("plan again")
	}
	return o, nil
}

func (o order) doing() string {
	return fmt.Sprintf("changing %s on %s to %s", o.place.file(), o.place.host, revisionOf(o.to))
}

// Before reads the state that the file is in.
func (a *actor) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	o, err := a.order(call)
	if err != nil {
		return nil, err
	}
	if call.Verb == verbAwait {
		return astern.Image{}, nil
	}
	s, err := a.look(ctx, o.place)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", o.doing(), err)
	case s.file.absent || s.file.trouble != "":
		return nil, o.noFile(s.file)
	}
	return astern.Image{imageHash: hashOf(s.file.text)}, nil
}

func (o order) noFile(c copyOf) error {
	if c.absent {
		return astern.Errorf(astern.Refused, "%s: there is no such file", o.doing())
	}
	return astern.Errorf(astern.Refused, "%s: it %s", o.doing(), c.trouble)
}

// Start begins the step.
func (a *actor) Start(ctx context.Context, call astern.Call) astern.Op {
	o, err := a.order(call)
	switch {
	case err != nil:
		return failed(err)
	case call.Token == "":
		return failed(astern.Errorf(astern.Invalid, "step %s comes without a token", call.Step))
	case call.Verb == verbAwait:
		return a.await(ctx, o)
	}
	s, err := a.look(ctx, o.place)
	if err != nil {
		return failed(fmt.Errorf("%s: %w", o.doing(), err))
	}
	text, err := a.content(o, s)
	if err != nil {
		return failed(err)
	}
	return a.replace(ctx, o, s.file.text, text)
}

// content returns what the file is to become: the same change made again on the state that the plan saw, or a state that
// is kept. Either must have the hash that the plan says.
func (a *actor) content(o order, s sight) ([]byte, error) {
	switch hash := hashOf(s.file.text); {
	case s.file.absent || s.file.trouble != "":
		return nil, o.noFile(s.file)
	case hash == o.to:
		return s.file.text, nil
	case hash != o.from:
		return nil, o.changed(hash)
	}
	var text []byte
	if o.call.Verb == verbChange {
		change, err := changeOf(o.call)
		if err != nil {
			return nil, err
		}
		d, err := read(s.file.text)
		if err != nil {
			return nil, astern.Errorf(astern.Refused, "%s: %w", o.doing(), err)
		}
		e, err := d.change(change)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.doing(), err)
		}
		if text, err = d.apply(e); err != nil {
			return nil, fmt.Errorf("%s: %w", o.doing(), err)
		}
	} else {
		kept, ok := s.kept[o.to]
		if !ok || kept.trouble != "" {
			return nil, astern.Errorf(astern.Refused, "%s: no good copy of it is kept in %s", o.doing(), o.place.history()).
				WithHint("astern targets %s lists those that are", o.place.component.Name)
		}
		text = kept.text
	}
	if hashOf(text) != o.to {
		return nil, astern.Errorf(astern.Refused, "%s: the content has another hash than the plan says", o.doing()).WithHint("plan again")
	}
	if _, err := read(text); err != nil {
		return nil, astern.Errorf(astern.Refused, "%s: that would be no valid flag file: %w", o.doing(), err)
	}
	return text, nil
}

func (o order) changed(there string) error {
	return astern.Errorf(astern.Refused, "%s: the file is in the state %s now, and the plan expects %s", o.doing(), revisionOf(there), revisionOf(o.from)).
		WithHint("somebody else changed it: look at it, then plan again")
}

// replace has the file replaced by the script that compares it once more under the lock.
func (a *actor) replace(ctx context.Context, o order, old, text []byte) astern.Op {
	m, err := a.machine(o.place)
	if err != nil {
		return failed(fmt.Errorf("%s: %w", o.doing(), err))
	}
	line, err := host.CallLine(o.call, a.now())
	if err != nil {
		return failed(fmt.Errorf("%s: %w", o.doing(), err))
	}
	digits := func(hash string) string { return strings.TrimPrefix(hash, "sha256:") }
	c := script("change", o.place.folder, o.place.name, strconv.FormatInt(o.call.Fence, 10), line,
		digits(hashOf(old)), digits(o.to), strconv.Itoa(len(old)), strconv.Itoa(len(text)), o.call.Token)
	c.Stdin, c.Timeout = bytes.NewReader(append(bytes.Clone(old), text...)), readTimeout
	r, err := m.Run(ctx, c)
	if errors.Is(err, host.ErrMayHaveRun) {
		return unsure(fmt.Errorf("%s: %w", o.doing(), err))
	}
	if err != nil {
		return failed(fmt.Errorf("%s: %w", o.doing(), err))
	}
	return o.outcome(r)
}

// outcome reads the exit code of change.sh.
func (o order) outcome(r host.Result) astern.Op {
	who := oneLine(r.LastLines(1))
	switch r.ExitCode {
	case 0:
		return astern.Op{Status: astern.OpDone, Progress: o.place.name + " is in the state " + revisionOf(o.to)}
	case host.ExitFence:
		return failed(astern.Errorf(astern.Conflict, "%s: another execution was there: %s", o.doing(), who).WithHint("%s/lock says so", o.place.history()))
	case host.ExitBusy:
		return failed(astern.Errorf(astern.Unavailable, "%s: its lock is held: %s", o.doing(), who))
	case host.ExitChanged:
		return failed(astern.Errorf(astern.Refused, "%s: the file was changed in the meantime", o.doing()).WithHint("look at it, then plan again"))
	case exitNoFile:
		return failed(astern.Errorf(astern.Refused, "%s: there is no plain file of that name", o.doing()))
	case host.ExitOutside, exitOwner:
		return failed(astern.Errorf(astern.Refused, "%s: %s", o.doing(), who).WithHint("nothing was changed"))
	case host.ExitNoLock:
		return failed(astern.Errorf(astern.Invalid, "%s: %s", o.doing(), who).WithHint("install util-linux on %s", o.place.host))
	case host.ExitNotOurs:
		return failed(host.NotOurs(o.doing(), who, o.place.file(), false, o.place.host))
	case host.ExitNoWrite, 2: // 2 is a shell that could not open a file
		return failed(astern.Errorf(astern.Denied, "%s: nothing could be written: %s", o.doing(), orCode(r)).
			WithHint("is the disk of %s full, and may the login write in %s?", o.place.host, o.place.folder))
	}
	return unsure(astern.Errorf(astern.Internal, "%s: %s", o.doing(), orCode(r)))
}

// Find looks what state the file is in.
func (a *actor) Find(ctx context.Context, call astern.Call) astern.Found {
	unknown := func(err error) astern.Found {
		return astern.Found{Answer: astern.FoundUnknown, Because: oneLine(err.Error())}
	}
	o, err := a.order(call)
	if err != nil {
		return unknown(err)
	}
	if call.Verb == verbAwait {
		op := a.await(ctx, o)
		if op.Status == astern.OpDone {
			return astern.Found{Answer: astern.FoundYes, Op: &op}
		}
		return astern.Found{Answer: astern.FoundNo, Because: oneLine(op.Progress + op.Error)}
	}
	s, err := a.look(ctx, o.place)
	if err != nil {
		return unknown(err)
	}
	if hash := hashOf(s.file.text); s.file.absent || s.file.trouble != "" || hash != o.to {
		return astern.Found{Answer: astern.FoundNo, Because: "the file is not in the state " + revisionOf(o.to)}
	}
	return astern.Found{Answer: astern.FoundYes, Op: &astern.Op{Status: astern.OpDone, Progress: o.place.name + " is in the state " + revisionOf(o.to)}}
}

// Poll asks flagd again; every other step is over when Start returns.
func (a *actor) Poll(ctx context.Context, call astern.Call, _ astern.Op) astern.Op {
	o, err := a.order(call)
	if err == nil && call.Verb == verbAwait {
		return a.await(ctx, o)
	}
	return unsure(astern.Errorf(astern.Internal, "step %s was still under way", call.Step))
}

func failed(err error) astern.Op {
	return astern.Op{Status: astern.OpFailed, Code: astern.CodeOf(err), Error: err.Error(), Hint: astern.HintOf(err)}
}

func unsure(err error) astern.Op {
	return astern.Op{Status: astern.OpUnsure, Code: astern.CodeOf(err), Error: err.Error(), Hint: astern.HintOf(err)}
}
