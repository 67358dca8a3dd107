package awsecs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// actor is the driver's Actor.
type actor struct{ *driver }

// What the image before a step holds. UpdateService has no condition: whether somebody else was there in between is seen by
// the deployments before and after.
const (
	imageDefinition = "definition" // ARN of what the service was to become
	imagePrimary    = "primary"    // its deployment
	imageServes     = "serves"     // its revision
	imageShare      = "share"      // the token of who made the temporary service, before it is ended; "" for none
	imageRecords    = "records"    // the newest service deployments
	imageSince      = "since"      // when the newest of them was made, by the cloud's clock
)

// order is a call, read and validated: nothing of it reaches the cloud before that.
type order struct {
	cloud
	call       astern.Call
	definition string            // that the service is to run, or that is registered again
	pins       map[string]string // images by container
	count      int64             // tasks of the temporary service
}

// order reads a call. It returns an Invalid error for anything that is not as a plan writes it.
func (a *actor) order(call astern.Call) (order, error) {
	o := order{call: call, definition: call.Text("definition")}
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
	if call.Text("cluster") != o.Cluster || call.Text("service") != o.Service {
		return o, astern.Errorf(astern.Refused, "step %s is for the service %s of %s, and astern.yaml now declares %s of %s", call.Step,
			awsapi.OneLine(call.Text("service")), awsapi.OneLine(call.Text("cluster")), o.Service, o.Cluster).WithHint("plan again")
	}
	for rev := range strings.SplitSeq(call.Text("revision"), "+") {
		if !astern.ValidRevision(rev) || call.Verb != verbEndShare && rev != call.Text("revision") {
			return bad("revision", call.Text("revision"))
		}
	}
	if call.Verb != verbEndShare && !arnShape.MatchString(o.definition) {
		return bad("ARN of a task definition", o.definition)
	}
	if (call.Verb == verbShare || call.Verb == verbEndShare) && (o.beside() == "" || call.Text("beside") != o.beside()) {
		return bad("name of the temporary service", call.Text("beside"))
	}
	switch call.Verb {
	case verbUpdate, verbForce, verbEndShare:
	case verbShare:
		if o.count, ok = call.Args["count"].Literal.(int64); !ok || o.count < 1 || o.count > sharesMost {
			return bad("number of tasks", call.Text("count"))
		}
	case verbRegister:
		o.pins = map[string]string{}
		images, _ := call.Args["images"].Literal.([]string)
		for _, pin := range images {
			container, ref, _ := strings.Cut(pin, "=")
			if m := ecrReference.FindStringSubmatch(ref); container == "" || m == nil || m[5] == "" {
				return bad("image by digest", pin)
			}
			o.pins[container] = ref
		}
	default:
		return bad("verb of "+Kind, call.Verb)
	}
	return o, nil
}

// sharesMost is the largest number of tasks that a service can have.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
const sharesMost = 5000

func (o order) doing() string {
	rev := o.call.Text("revision")
	switch o.call.Verb {
	case verbRegister:
		return "registering " + rev + " again"
	case verbShare:
		return fmt.Sprintf("putting %d tasks of %s beside the service %s", o.count, rev, o.Service)
	case verbEndShare:
		return "deleting the temporary service " + o.beside()
	case verbForce:
		return fmt.Sprintf("replacing the tasks of the service %s", o.Service)
	}
	return fmt.Sprintf("pointing the service %s to %s", o.Service, rev)
}

// resource is what IAM calls the thing that the step changes.
func (o order) resource() string {
	switch o.call.Verb {
	case verbRegister:
		return "task-definition/" + o.definition[strings.LastIndex(o.definition, "/")+1:]
	case verbShare, verbEndShare:
		return o.call.Text("arn") + "-astern"
	}
	return o.call.Text("arn")
}

// begin reads the call and makes clients of one attempt.
func (a *actor) begin(ctx context.Context, call astern.Call) (order, error) {
	o, err := a.order(call)
	if err != nil {
		return o, err
	}
	c, err := a.open(ctx, o.place, true)
	if err != nil {
		return o, fmt.Errorf("%s: %w", o.doing(), err)
	}
	o.cloud = c
	return o, nil
}

// Before reads what the service is to become, and which deployments there were.
func (a *actor) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	o, err := a.begin(ctx, call)
	if err != nil {
		return nil, err
	}
	if call.Verb == verbRegister {
		return astern.Image{}, nil
	}
	p, err := o.askPair(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.doing(), err)
	}
	if arn := aws.ToString(p.service.ServiceArn); call.Text("arn") != "" && arn != call.Text("arn") {
		return nil, astern.Errorf(astern.Refused, "%s: the service is %s, and the plan is for %s", o.doing(), arn, awsapi.OneLine(call.Text("arn"))).
			WithHint("are these the credentials and the region that it was planned with?")
	}
	now := primary(p.service)
	out := astern.Image{imageDefinition: aws.ToString(now.TaskDefinition), imagePrimary: aws.ToString(now.Id), imageServes: nameOf(aws.ToString(now.TaskDefinition))}
	if call.Verb == verbEndShare {
		out[imageShare] = p.shareToken()
		return out, nil
	}
	if d, err := o.askDefinition(ctx, aws.ToString(now.TaskDefinition)); err == nil {
		out[imageServes] = d.name
	} else if astern.CodeOf(err) != astern.NotFound {
		return nil, fmt.Errorf("%s: %w", o.doing(), err)
	}
	if call.Verb == verbShare {
		return out, nil
	}
	records, err := o.askRecords(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.doing(), err)
	}
	var newest []string
	for _, r := range records[:min(len(records), 5)] {
		newest = append(newest, r.arn)
	}
	if len(records) > 0 {
		out[imageSince] = records[0].created.UTC().Format(time.RFC3339Nano)
	}
	out[imageRecords] = strings.Join(newest, " ")
	return out, nil
}

// Start begins the step.
func (a *actor) Start(ctx context.Context, call astern.Call) astern.Op {
	o, err := a.begin(ctx, call)
	switch {
	case err != nil:
		return awsapi.Failed(err)
	case call.Token == "":
		return awsapi.Failed(astern.Errorf(astern.Invalid, "step %s comes without a token", call.Step))
	}
	switch call.Verb {
	case verbRegister:
		return o.register(ctx)
	case verbShare:
		return o.startShare(ctx)
	case verbEndShare:
		return o.startEnd(ctx)
	}
	return o.update(ctx)
}

// Find looks whether the effect of the call is there.
func (a *actor) Find(ctx context.Context, call astern.Call) astern.Found {
	o, err := a.begin(ctx, call)
	if err != nil {
		return cantTell(err)
	}
	switch call.Verb {
	case verbRegister:
		return o.findCopy(ctx)
	case verbShare:
		return o.findShare(ctx)
	case verbEndShare:
		return o.findEnd(ctx)
	}
	return o.findUpdate(ctx)
}

// Poll asks how far the step is.
func (a *actor) Poll(ctx context.Context, call astern.Call, _ astern.Op) astern.Op {
	o, err := a.begin(ctx, call)
	if err != nil {
		return running(err)
	}
	switch call.Verb {
	case verbRegister: // it is done at once
		return running(astern.Errorf(astern.Internal, "%s: there is nothing to wait for", o.doing()))
	case verbShare:
		return o.pollShare(ctx)
	case verbEndShare:
		return o.pollEnd(ctx)
	}
	return o.follow(ctx)
}

// cantTell is the answer of a Find that could not look.
func cantTell(err error) astern.Found {
	return astern.Found{Answer: astern.FoundUnknown, Because: awsapi.OneLine(err.Error())}
}

// running is an operation whose state could not be read for now: that is no failure of it.
func running(err error) astern.Op {
	return going(awsapi.OneLine(err.Error()))
}

// pollSeconds is how often a deployment is looked at.
const pollSeconds = 2

func going(progress string) astern.Op {
	return astern.Op{Status: astern.OpRunning, Progress: progress, PollSeconds: pollSeconds}
}

// notStarted is the failure of a step before its effect was asked for: whatever became of the reading, nothing was changed.
func (o order) notStarted(err error) astern.Op {
	return astern.Op{Status: astern.OpFailed, Code: astern.CodeOf(err), Error: fmt.Sprintf("%s: %v", o.doing(), err), Hint: astern.HintOf(err)}
}

// before reports whether a record was there before the step.
func (o order) before(r record) bool {
	since, err := time.Parse(time.RFC3339Nano, o.call.Image[imageSince])
	return slices.Contains(strings.Fields(o.call.Image[imageRecords]), r.arn) || err == nil && r.created.Before(since)
}
