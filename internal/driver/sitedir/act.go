package sitedir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/pattern"
)

// actor is the driver's Actor.
type actor struct{ *driver }

// What the image before a switch holds: where the link led, and which release that was.
const (
	imageLink     = "link"
	imageRevision = "revision"
)

var tokenShape = pattern.New(`^[A-Za-z0-9][A-Za-z0-9._@+-]*$`)

// order is a call, read and validated: nothing of it reaches a host before that.
type order struct {
	call     astern.Call
	place    place
	machine  host.Machine
	revision string
	hash     string // of the release
	line     string // content of the lock file
}

// order reads a call. It returns an Invalid error for anything that is not as a plan writes it.
func (a *actor) order(call astern.Call) (*order, error) {
	o := &order{call: call, revision: call.Text("revision"), hash: call.Text("hash")}
	c, ok := a.lookup(call.Address)
	if !ok {
		return nil, astern.Errorf(astern.NotFound, "step %s: %s is not declared any more", call.Step, call.Address).
			WithHint("put it back into astern.yaml until the execution is over")
	}
	var err error
	if o.place, err = resolve(c); err != nil {
		return nil, err
	}
	bad := func(what, value string) error {
		return astern.Errorf(astern.Invalid, "step %s: %q is no %s", call.Step, oneLine(value), what).
			WithHint("plan again; a plan that was edited by hand can't be trusted")
	}
	hashed := slices.Contains([]string{verbAdopt, verbPut, verbProve}, call.Verb)
	switch {
	case !slices.Contains([]string{verbAdopt, verbCompose, verbPut, verbSwitch, verbProve, verbPrune}, call.Verb):
		return nil, bad("verb of "+Kind, call.Verb)
	case call.Token != "" && (len(call.Token) > 200 || !tokenShape.MatchString(call.Token)):
		return nil, bad("token", call.Token)
	case !goodRevision(o.revision):
		return nil, bad("revision", o.revision)
	case hashed && !goodHash(o.hash):
		return nil, bad("content hash", o.hash)
	case call.Verb == verbSwitch && !goodTarget(o.place, call.Text("to")):
		return nil, bad("folder to be served", call.Text("to"))
	case call.Verb == verbSwitch && revisionAt(o.place, call.Text("to")) != o.revision:
		return nil, bad("folder of "+o.revision, call.Text("to"))
	case call.Verb == verbPut && revisionAt(o.place, servedFolder+"/"+call.Text("view")) != o.revision:
		return nil, bad("folder of "+o.revision, call.Text("view"))
	case call.Text("root") != o.place.root || call.Text("releases") != o.place.releases || call.Text("link") != o.place.link:
		return nil, astern.Errorf(astern.Refused, "step %s is for the site %s, and astern.yaml now declares %s", call.Step,
			oneLine(call.Text("root")), o.place.root).WithHint("plan again")
	}
	if o.line, err = host.CallLine(call, a.now()); err != nil {
		return nil, fmt.Errorf("step %s: %w", call.Step, err)
	}
	if o.machine, err = a.machine(o.place); err != nil {
		return nil, fmt.Errorf("step %s: %w", call.Step, err)
	}
	return o, nil
}

// goodTarget reports whether the text is where the link may lead: a release, or what was put together of one.
func goodTarget(p place, text string) bool { return revisionAt(p, text) != "" }

// revisionAt returns the release that a folder of the root holds the files of; "" when that can't be told.
func revisionAt(p place, text string) string {
	if text == "" || text != path.Clean(text) {
		return ""
	}
	return sight{linkTo: text}.served(p)
}

// doing names the step's effect for a person.
func (o *order) doing() string {
	at := o.place.root + " on " + o.place.host
	switch o.call.Verb {
	case verbAdopt:
		return "writing down what " + o.revision + " holds in " + at
	case verbCompose:
		return "making " + o.revision + " in " + at
	case verbPut:
		return "putting together what will be served of " + o.revision + " in " + at
	case verbSwitch:
		return "pointing " + o.place.link + " to " + o.call.Text("to") + " in " + at
	case verbProve:
		return "asking " + o.place.url
	}
	return "taking away what was served before in " + at
}

// Before reads where the link leads.
func (a *actor) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	o, err := a.order(call)
	if err != nil || call.Verb != verbSwitch {
		return astern.Image{}, err
	}
	s, err := a.look(ctx, o.place)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.doing(), err)
	}
	image := astern.Image{imageLink: s.linkText, imageRevision: s.served(o.place)}
	if !goodTarget(o.place, s.linkText) && goodTarget(o.place, s.linkTo) {
		image[imageLink] = s.linkTo // written in another way, such as from /
	}
	return image, nil
}

// Start begins the step.
func (a *actor) Start(ctx context.Context, call astern.Call) astern.Op {
	o, err := a.order(call)
	switch {
	case err != nil:
		return failed(err)
	case call.Token == "":
		return failed(astern.Errorf(astern.Invalid, "step %s comes without a token", call.Step))
	}
	switch call.Verb {
	case verbAdopt:
		return a.adopt(ctx, o)
	case verbCompose:
		return a.compose(ctx, o)
	case verbPut:
		return a.put(ctx, o)
	case verbSwitch:
		return o.swap(ctx)
	case verbProve:
		return a.prove(ctx, o)
	}
	return o.prune(ctx)
}

// run runs a script of the step under its fence, and says what became of it: failed only when it had no effect.
func (o *order) run(ctx context.Context, name string, stdin []byte, args ...string) (host.Result, astern.Op) {
	c := script(name, append([]string{o.place.root, strconv.FormatInt(o.call.Fence, 10), o.line}, args...)...)
	c.Timeout = readTimeout
	if stdin != nil {
		c.Stdin = bytes.NewReader(stdin)
	}
	r, err := o.machine.Run(ctx, c)
	if errors.Is(err, host.ErrMayHaveRun) {
		return r, unsure(fmt.Errorf("%s: %w", o.doing(), err))
	}
	if err != nil {
		return r, failed(fmt.Errorf("%s: %w", o.doing(), err))
	}
	if err := o.refusal(r); err != nil {
		return r, failed(err)
	}
	return r, astern.Op{Status: astern.OpDone}
}

// refusal words the exit codes of scripts that did nothing, or left nothing.
func (o *order) refusal(r host.Result) error {
	who := oneLine(r.LastLines(1))
	switch r.ExitCode {
	case 0:
		return nil
	case host.ExitFence:
		return astern.Errorf(astern.Conflict, "%s: another execution was there: %s", o.doing(), who).WithHint("%s/.astern.lock says so", o.place.root)
	case host.ExitBusy:
		return astern.Errorf(astern.Unavailable, "%s: its lock is held: %s", o.doing(), who)
	case host.ExitChanged:
		return astern.Errorf(astern.Refused, "%s: the site is not as it was when this was planned%s", o.doing(), ifAny(": it says ", oneLine(r.Stdout))).
			WithHint("somebody else was there: look at it, then plan again")
	case host.ExitMissing:
		return astern.Errorf(astern.Refused, "%s: what is needed for it is not there", o.doing()).WithHint("plan again")
	case exitNotALink:
		return astern.Errorf(astern.Refused, "%s: %s is no symbolic link", o.doing(), o.place.link)
	case host.ExitNoLock:
		return astern.Errorf(astern.Invalid, "%s: %s", o.doing(), who).WithHint("install util-linux on %s", o.place.host)
	case host.ExitOutside:
		return astern.Errorf(astern.Refused, "%s: %s", o.doing(), who).WithHint("astern changes nothing outside of %s: make it a real folder or file", o.place.root)
	case host.ExitNotOurs, host.ExitNoWrite, host.ExitHalf, 2: // 2 is a shell that could not open a file
		return astern.Errorf(astern.Denied, "%s: it could not be written: %s", o.doing(), orCode(r)).
			WithHint("is the disk of %s full, and may the login write below %s? what is served was not touched", o.place.host, o.place.root)
	}
	return astern.Errorf(astern.Internal, "%s: %s", o.doing(), orCode(r))
}

func ifAny(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// swap points the link, if it still leads where the plan saw it lead and no newer fence was there. Both are checked by the
// very command that switches, under the lock.
func (o *order) swap(ctx context.Context) astern.Op {
	to := o.call.Text("to")
	_, op := o.run(ctx, "switch", nil, o.place.link, o.call.Text("from"), to, o.call.Token)
	if op.Status == astern.OpDone {
		op.Progress = o.place.link + " points to " + to
	}
	return op
}

// prune removes the folders that are not served any more, but for the one before.
func (o *order) prune(ctx context.Context) astern.Op {
	var keep []string
	for _, name := range []string{o.call.Text("keep"), o.call.Text("view")} {
		if _, ok := revisionOfView(name); ok {
			keep = append(keep, name)
		}
	}
	_, op := o.run(ctx, "prune", nil, append([]string{o.place.link}, keep...)...)
	if op.Status == astern.OpDone {
		op.Progress = "what was served before is taken away"
	}
	return op
}

// Find tells whether the effect of the call is in the world.
func (a *actor) Find(ctx context.Context, call astern.Call) astern.Found {
	o, err := a.order(call)
	if err != nil {
		return unknown(err.Error())
	}
	switch call.Verb {
	case verbAdopt:
		f, err := a.read(ctx, o.place, o.place.releases+"/"+o.revision, o.revision)
		switch {
		case err != nil:
			return unknown(err.Error())
		case !f.noted || f.mistrust != "" || f.manifest.Hash != o.hash:
			return absent("there is no such manifest")
		}
		return found(astern.Op{Status: astern.OpDone, Progress: "it is written down"})
	case verbCompose:
		return a.findComposed(ctx, o)
	case verbPut:
		return a.findPut(ctx, o)
	case verbProve:
		op := a.prove(ctx, o)
		if op.Status == astern.OpDone {
			return found(op)
		}
		return absent(op.Progress + op.Error)
	}
	s, err := a.look(ctx, o.place)
	switch {
	case err != nil:
		return unknown(err.Error())
	case call.Verb == verbSwitch && s.linkText == call.Text("to"):
		return found(astern.Op{Status: astern.OpDone, Progress: o.place.link + " points to " + s.linkText})
	case call.Verb == verbSwitch:
		return absent(o.place.link + " leads to " + s.linkText)
	}
	for _, view := range s.views {
		if view != call.Text("keep") && view != call.Text("view") && servedFolder+"/"+view != s.linkTo {
			return absent(view + " is still there")
		}
	}
	return found(astern.Op{Status: astern.OpDone, Progress: "what was served before is taken away"})
}

// Poll asks the site again; every other step is over when Start returns.
func (a *actor) Poll(ctx context.Context, call astern.Call, _ astern.Op) astern.Op {
	o, err := a.order(call)
	if err == nil && call.Verb == verbProve {
		return a.prove(ctx, o)
	}
	return unsure(astern.Errorf(astern.Internal, "step %s was still under way", call.Step))
}

func failed(err error) astern.Op {
	return astern.Op{Status: astern.OpFailed, Code: astern.CodeOf(err), Error: err.Error(), Hint: astern.HintOf(err)}
}

func unsure(err error) astern.Op {
	return astern.Op{Status: astern.OpUnsure, Code: astern.CodeOf(err), Error: err.Error(), Hint: astern.HintOf(err)}
}

func unknown(why string) astern.Found {
	return astern.Found{Answer: astern.FoundUnknown, Because: oneLine(why)}
}

func absent(why string) astern.Found {
	return astern.Found{Answer: astern.FoundNo, Because: oneLine(why)}
}

func found(op astern.Op) astern.Found { return astern.Found{Answer: astern.FoundYes, Op: &op} }
