package awslambda

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// actor is the driver's Actor.
type actor struct{ *driver }

// What the image before a step holds. The two RevisionIds are the cloud's own condition: a call with one that is not the
// present one is refused.
const (
	imageVersion  = "version"  // that the alias served
	imageRouting  = "routing"  // and its shares
	imageServes   = "serves"   // the same as revisions
	imageRevision = "revision" // RevisionId of the alias, or of $LATEST
	imageHash     = "hash"     // of the code in $LATEST
	imageHighest  = "highest"  // number of the last version published
)

// order is a call, read and validated: nothing of it reaches the cloud before that.
type order struct {
	call    astern.Call
	place   place
	version string             // that the alias is to lead to
	shares  map[string]float64 // beside it
}

// order reads a call. It returns an Invalid error for anything that is not as a plan writes it.
func (a *actor) order(call astern.Call) (order, error) {
	o := order{call: call, version: call.Text("version")}
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
		return o, astern.Errorf(astern.Invalid, "step %s: %q is no %s", call.Step, awsapi.OneLine(value), what).
			WithHint("plan again; a plan that was edited by hand can't be trusted")
	}
	if call.Text("function") != o.place.Function || call.Text("alias") != o.place.Alias {
		return o, astern.Errorf(astern.Refused, "step %s is for the alias %s of %s, and astern.yaml now declares %s of %s", call.Step,
			awsapi.OneLine(call.Text("alias")), awsapi.OneLine(call.Text("function")), o.place.Alias, o.place.Function).WithHint("plan again")
	}
	if revisions := strings.Split(call.Text("revision"), "+"); slices.ContainsFunc(revisions, func(r string) bool { return !astern.ValidRevision(r) }) ||
		len(revisions) > 1 && call.Text("routing") == "" { // only where shares are put back, the alias serves more than one
		return bad("revision", call.Text("revision"))
	}
	switch call.Verb {
	case verbMove, verbShift:
		if o.version != latest && !digits.MatchString(o.version) {
			return bad("version", o.version)
		}
		if o.shares, err = parseRouting(call.Text("routing")); err != nil || call.Verb == verbShift && len(o.shares) != 1 {
			return bad("share of a version", call.Text("routing"))
		}
	case verbCode:
		if p := o.place.Archive; p == nil || call.Text("bucket") != p.Bucket || call.Text("key") != p.key(call.Text("revision")) {
			return o, astern.Errorf(astern.Refused, "step %s is for another archive than astern.yaml now declares", call.Step).WithHint("plan again")
		}
		if hash := call.Text("hash"); hash != "" && !recorded(hash) {
			return bad("hash", hash)
		}
	case verbPublish:
		if !recorded(call.Text("hash")) {
			return bad("hash", call.Text("hash"))
		}
	default:
		return bad("verb of "+Kind, call.Verb)
	}
	return o, nil
}

func (o order) doing() string {
	switch o.call.Verb {
	case verbCode:
		return fmt.Sprintf("putting the code of %s into %s", o.place.Archive.source(o.call.Text("revision")), o.place.Function)
	case verbPublish:
		return fmt.Sprintf("publishing %s as %s", o.place.Function, o.call.Text("revision"))
	}
	return fmt.Sprintf("moving the alias %s of %s to version %s", o.place.Alias, o.place.Function, strings.TrimSpace(o.version+" "+o.call.Text("routing")))
}

// begin reads the call and makes a client of one attempt.
func (a *actor) begin(ctx context.Context, call astern.Call) (order, *lambda.Client, aws.Config, error) {
	o, err := a.order(call)
	if err != nil {
		return o, nil, aws.Config{}, err
	}
	c, config, err := a.client(ctx, o.place, true)
	if err != nil {
		return o, nil, aws.Config{}, fmt.Errorf("%s: %w", o.doing(), err)
	}
	return o, c, config, nil
}

// Before reads where the alias leads, or what the function's code is.
func (a *actor) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	o, c, _, err := a.begin(ctx, call)
	if err != nil {
		return nil, err
	}
	f, err := ask(ctx, c, o.place)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", o.doing(), err)
	case call.Text("arn") != "" && f.arn != call.Text("arn"):
		return nil, astern.Errorf(astern.Refused, "%s: the function is %s, and the plan is for %s", o.doing(), f.arn, awsapi.OneLine(call.Text("arn"))).
			WithHint("are these the credentials and the region that it was planned with?")
	case f.alias.absent:
		return nil, astern.Errorf(astern.Refused, "%s: the function has no alias %s", o.doing(), o.place.Alias)
	}
	if call.Verb == verbMove || call.Verb == verbShift {
		return astern.Image{imageVersion: f.alias.main, imageRouting: f.alias.routing(), imageServes: f.serves(), imageRevision: f.alias.revision}, nil
	}
	out := astern.Image{imageHash: f.latest.hash, imageRevision: aws.ToString(f.latest.config.RevisionId), imageHighest: "0"}
	if len(f.versions) > 0 {
		out[imageHighest] = fmt.Sprint(f.versions[0].number)
	}
	return out, nil
}

// Start begins the step.
func (a *actor) Start(ctx context.Context, call astern.Call) astern.Op {
	o, c, config, err := a.begin(ctx, call)
	switch {
	case err != nil:
		return awsapi.Failed(err)
	case call.Token == "":
		return awsapi.Failed(astern.Errorf(astern.Invalid, "step %s comes without a token", call.Step))
	case call.Verb == verbCode:
		return o.update(ctx, c, config)
	case call.Verb == verbPublish:
		return o.publish(ctx, c)
	}
	return o.point(ctx, c)
}

// Find looks whether the effect of the call is there.
func (a *actor) Find(ctx context.Context, call astern.Call) astern.Found {
	o, c, _, err := a.begin(ctx, call)
	if err == nil {
		switch call.Verb {
		case verbCode:
			return o.findUpdate(ctx, c)
		case verbPublish:
			return o.findPublish(ctx, c)
		}
		return o.findPoint(ctx, c)
	}
	return astern.Found{Answer: astern.FoundUnknown, Because: awsapi.OneLine(err.Error())}
}

// Poll asks how far the step is.
func (a *actor) Poll(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	o, c, _, err := a.begin(ctx, call)
	if err == nil {
		switch call.Verb {
		case verbCode:
			return o.updated(ctx, c)
		case verbPublish:
			return o.published(ctx, c, op.Handle["version"])
		}
		return o.readBack(ctx, c)
	}
	return running(op.Handle, err)
}

// running is an operation whose state could not be read for now: that is no failure of it.
func running(handle map[string]string, err error) astern.Op {
	return astern.Op{Status: astern.OpRunning, Handle: handle, Progress: awsapi.OneLine(err.Error()), PollSeconds: 2}
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
