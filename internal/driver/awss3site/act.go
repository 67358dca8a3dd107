package awss3site

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/pattern"
)

// actor is the driver's Actor.
type actor struct{ *driver }

// What the image before objects are put holds: the release that was served, and the hash of its record.
const (
	imageRevision = "revision"
	imageHash     = "hash"
)

var tokenShape = pattern.New(`^[A-Za-z0-9][A-Za-z0-9._@+-]*$`)

// order is a call, read and validated: nothing of it reaches the cloud before that.
type order struct {
	clients
	call     astern.Call
	revision string
	hash     string // of the release, "" where it is recorded on the way
	from     string // what was served when this was planned
}

// order reads a call. It returns an Invalid error for anything that is not as a plan writes it.
func (a *actor) order(ctx context.Context, call astern.Call) (*order, error) {
	o := &order{call: call, revision: call.Text("revision"), hash: call.Text("hash"), from: call.Text("from")}
	c, ok := a.lookup(call.Address)
	if !ok {
		return nil, astern.Errorf(astern.NotFound, "step %s: %s is not declared any more", call.Step, call.Address).
			WithHint("put it back into astern.yaml until the execution is over")
	}
	p, err := resolve(c)
	if err != nil {
		return nil, err
	}
	bad := func(what, value string) error {
		return astern.Errorf(astern.Invalid, "step %s: %q is no %s", call.Step, oneLine(value), what).
			WithHint("plan again; a plan that was edited by hand can't be trusted")
	}
	hashed := slices.Contains([]string{verbPut, verbSwitch, verbPrune}, call.Verb)
	switch {
	case !slices.Contains([]string{verbAdopt, verbCompose, verbPut, verbSwitch, verbInvalidate, verbProve, verbPrune}, call.Verb):
		return nil, bad("verb of "+Kind, call.Verb)
	case call.Token != "" && (len(call.Token) > 128 || !tokenShape.MatchString(call.Token)):
		return nil, bad("token", call.Token)
	case !goodRevision(o.revision):
		return nil, bad("revision", o.revision)
	case (hashed || o.hash != "") && !goodHash(o.hash):
		return nil, bad("content hash", o.hash)
	case o.from != "" && !goodRevision(o.from):
		return nil, bad("revision", o.from)
	case call.Text("bucket") != p.Bucket || call.Text("prefix") != p.Prefix:
		return nil, astern.Errorf(astern.Refused, "step %s is for %s, and astern.yaml now declares %s", call.Step,
			oneLine("s3://"+call.Text("bucket")+"/"+call.Text("prefix")), p.url(p.Prefix)).WithHint("plan again")
	case call.Verb == verbInvalidate && call.Text("distribution") != p.Distribution:
		return nil, astern.Errorf(astern.Refused, "step %s is for the distribution %q, and astern.yaml now declares %q", call.Step,
			oneLine(call.Text("distribution")), p.Distribution).WithHint("plan again")
	}
	if o.clients, err = a.clients(ctx, p); err != nil {
		return nil, fmt.Errorf("step %s: %w", call.Step, err)
	}
	return o, nil
}

// doing names the step's effect for a person.
func (o *order) doing() string {
	site := o.p.url(o.p.Prefix)
	switch o.call.Verb {
	case verbAdopt:
		return "recording what " + site + " serves as " + o.revision
	case verbCompose:
		return "recording " + o.revision + " of " + site
	case verbPut:
		return "putting the objects of " + o.revision + " into " + site
	case verbSwitch:
		return "putting the entry points of " + o.revision + " into " + site
	case verbInvalidate:
		return "having CloudFront " + o.p.Distribution + " forget " + site
	case verbProve:
		return "asking " + o.p.Edge
	}
	return "deleting from " + site + " what only other releases have"
}

// release reads the record of a release, which must be what the plan saw.
func (o *order) release(ctx context.Context, revision, hash string) (manifest, error) {
	m, ok, err := o.manifest(ctx, revision)
	switch {
	case err != nil:
		return m, fmt.Errorf("%s: %w", o.doing(), err)
	case !ok:
		return m, astern.Errorf(astern.Refused, "%s: there is no record %s", o.doing(), o.p.url(o.p.manifestKey(revision))).WithHint("plan again")
	case hash != "" && m.Hash != hash:
		return m, astern.Errorf(astern.Refused, "%s: the record of %s was changed: the plan expects %s, it says %s", o.doing(), revision, short(hash), short(m.Hash)).
			WithHint("plan again")
	}
	return m, nil
}

// Before reads which release is served.
func (a *actor) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	o, err := a.order(ctx, call)
	if err != nil || call.Verb != verbPut && call.Verb != verbSwitch || o.from == "" {
		return astern.Image{}, err
	}
	m, ok, err := o.manifest(ctx, o.from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.doing(), err)
	}
	if !ok {
		return astern.Image{}, nil // then the step can't be undone, and Undo says so
	}
	return astern.Image{imageRevision: o.from, imageHash: m.Hash}, nil
}

// acquire sees to it that the marker says that we act there, and refuses when another execution was there. It returns the marker with
// its ETag: whoever writes it next does so on the condition that it still is that.
func (o *order) acquire(ctx context.Context, now time.Time) (marker, string, error) {
	m, etag, err := o.marker(ctx)
	ours := o.ours(m)
	switch {
	case err != nil:
		return m, "", fmt.Errorf("%s: %w", o.doing(), err)
	case m.Fence > o.call.Fence || !ours && o.call.Owner != "" && m.Owner != "":
		return m, "", fmt.Errorf("%s: %w", o.doing(), o.newer(m))
	case m.Fence == o.call.Fence && ours && (m.Revision != "" || o.from == ""):
		return m, etag, nil
	case !ours:
		m.By, m.Done = "", ""
	}
	m = m.of(astern.Claim{Fence: o.call.Fence, Execution: o.call.Execution, Address: o.call.Address, At: now, Owner: o.call.Owner, By: m.By, Open: o.call.Owner != ""})
	if m.Revision == "" {
		m.Revision = o.from
	}
	etag, err = o.mark(ctx, m, etag)
	return m, etag, err
}

// ours reports whether the call's execution was the last that wrote the marker.
func (o *order) ours(m marker) bool {
	if o.call.Owner != "" && m.Owner != "" {
		return m.Owner == o.call.Owner
	}
	// One of the two is from before there were owners; the marker may have been claimed under a newer fence since.
	return m.Execution == o.call.Execution && m.Address == o.call.Address && m.Fence >= o.call.Fence
}

// newer says who was there.
func (c clients) newer(m marker) error {
	if m.Kind == "" {
		return astern.Errorf(astern.Conflict, "somebody took %s away, which says who acts there", c.p.url(c.p.markerKey())).WithHint("look at it, then plan again")
	}
	return astern.Errorf(astern.Conflict, "another execution was there: %s", m.who()).WithHint("%s says so", c.p.url(c.p.markerKey()))
}

// still refuses when the marker is not the one that acquire returned. No two have the same ETag, for fences only rise. It is asked for
// each object, and the marker may be long: so it is read only when it is another one.
func (o *order) still(ctx context.Context, etag string) error {
	is, _, _, err := o.head(ctx, o.p.markerKey())
	if err != nil || is.etag == etag {
		return err
	}
	m, _, err := o.marker(ctx)
	if err != nil {
		return err
	}
	return o.newer(m)
}

// mark writes the marker.
func (o *order) mark(ctx context.Context, m marker, was string) (string, error) {
	etag, err := o.clients.mark(ctx, m, was)
	if err != nil {
		return "", fmt.Errorf("%s: %w", o.doing(), err)
	}
	return etag, nil
}

// finish writes into the marker that the step is done. What was done before it is in the bucket: an error is unsure, and the
// step is found by its token or begun again, which repeats nothing that is there.
func (o *order) finish(ctx context.Context, m marker, etag, revision, progress string) astern.Op {
	m.Revision, m.Done = revision, o.call.Token
	if _, err := o.mark(ctx, m, etag); err != nil {
		op := failed(err)
		op.Status = astern.OpUnsure
		return op
	}
	return astern.Op{Status: astern.OpDone, Progress: progress}
}

// Start begins the step.
func (a *actor) Start(ctx context.Context, call astern.Call) astern.Op {
	o, err := a.order(ctx, call)
	switch {
	case err != nil:
		return failed(err)
	case call.Token == "":
		return failed(astern.Errorf(astern.Invalid, "step %s comes without a token", call.Step))
	}
	switch call.Verb {
	case verbInvalidate:
		return o.invalidate(ctx)
	case verbProve:
		return a.prove(ctx, o)
	}
	m, etag, err := o.acquire(ctx, a.now())
	if err != nil {
		return opOf(err)
	}
	switch call.Verb {
	case verbAdopt:
		return o.adopt(ctx, m, etag)
	case verbCompose:
		return o.compose(ctx)
	case verbPrune:
		return o.prune(ctx, m, etag)
	}
	return o.putRelease(ctx, m, etag)
}

// opOf turns an error into an Op: unsure when the call that failed may have had its effect.
func opOf(err error) astern.Op { return awsapi.Failed(err) }

// Find tells whether the effect of the call is in the world.
func (a *actor) Find(ctx context.Context, call astern.Call) astern.Found {
	o, err := a.order(ctx, call)
	if err != nil {
		return unknown(err)
	}
	switch call.Verb {
	case verbAdopt, verbCompose:
		return o.findRecord(ctx)
	case verbInvalidate:
		return o.findInvalidation(ctx)
	case verbProve:
		op := a.prove(ctx, o)
		if op.Status == astern.OpDone {
			return found(op)
		}
		return absent(op.Progress + op.Error)
	}
	m, _, err := o.marker(ctx)
	if err != nil {
		return unknown(err)
	}
	if m.Done != call.Token || call.Token == "" {
		if call.Verb == verbSwitch && o.ours(m) && (m.Revision != "" || o.from == "") { // else it is claimed alone
			return o.findEntries(ctx, m)
		}
		return absent("it did not come to its end")
	}
	return found(astern.Op{Status: astern.OpDone, Progress: "it is done"})
}

// Poll asks how far CloudFront is, and the edge again; every other step is over when Start returns.
func (a *actor) Poll(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	o, err := a.order(ctx, call)
	switch {
	case err == nil && call.Verb == verbProve:
		return a.prove(ctx, o)
	case err == nil && call.Verb == verbInvalidate:
		return o.pollInvalidation(ctx, op, a.now())
	case err == nil:
		err = astern.Errorf(astern.Internal, "step %s was still under way", call.Step)
	}
	out := failed(err)
	out.Status = astern.OpUnsure
	return out
}

func unknown(err error) astern.Found {
	return astern.Found{Answer: astern.FoundUnknown, Because: oneLine(err.Error())}
}

func absent(why string) astern.Found {
	return astern.Found{Answer: astern.FoundNo, Because: oneLine(why)}
}

func found(op astern.Op) astern.Found { return astern.Found{Answer: astern.FoundYes, Op: &op} }

// notFound reports whether an error says that something does not exist.
func notFound(err error) bool {
	var e *astern.Error
	return errors.As(err, &e) && e.Code == astern.NotFound
}
