package awsssm

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// actor is the driver's Actor.
type actor struct{ *driver }

// What the image before a step holds.
const (
	imageVersion  = "version"  // number of the newest version
	imageRevision = "revision" // and what it is among revisions
	imageWritten  = "written"  // and when it was written: a parameter that is made anew counts from 1 again
)

// order is a call, read and validated: nothing of it reaches the cloud before that.
type order struct {
	call    astern.Call
	place   place
	version int64 // whose value is put
}

// begin reads a call and makes a client of one attempt. It returns an Invalid error for anything that is not as a plan writes it.
func (a *actor) begin(ctx context.Context, call astern.Call) (order, *ssm.Client, error) {
	o := order{call: call}
	c, ok := a.lookup(call.Address)
	if !ok {
		return o, nil, astern.Errorf(astern.NotFound, "step %s: %s is not declared any more", call.Step, call.Address).
			WithHint("put it back into astern.yaml until the execution is over")
	}
	var err error
	if o.place, err = resolve(c); err != nil {
		return o, nil, err
	}
	bad := func(what, value string) (order, *ssm.Client, error) {
		return o, nil, astern.Errorf(astern.Invalid, "step %s: %q is no %s", call.Step, awsapi.OneLine(value), what).
			WithHint("plan again; a plan that was edited by hand can't be trusted")
	}
	switch {
	case call.Verb != verbPut:
		return bad("verb of "+Kind, call.Verb)
	case !numberShape.MatchString(call.Text("version")):
		return bad("version of a parameter", call.Text("version"))
	case !numberShape.MatchString(call.Text("revision")):
		return bad("revision of a parameter", call.Text("revision"))
	case call.Text("parameter") != o.place.Parameter:
		return o, nil, astern.Errorf(astern.Refused, "step %s is for the parameter %s, and astern.yaml now declares %s", call.Step,
			awsapi.OneLine(call.Text("parameter")), o.place.Parameter).WithHint("plan again")
	}
	if o.version, err = strconv.ParseInt(call.Text("version"), 10, 64); err != nil {
		return bad("version of a parameter", call.Text("version"))
	}
	session, err := a.accounts.Session(ctx, o.place.Settings.Settings)
	if err != nil {
		return o, nil, fmt.Errorf("%s: %w", o.doing(), err)
	}
	return o, ssm.NewFromConfig(session.Act), nil
}

func (o order) doing() string {
	return fmt.Sprintf("putting the value of version %d of the parameter %s again", o.version, o.place.Parameter)
}

// Before reads what the newest version is.
func (a *actor) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	o, c, err := a.begin(ctx, call)
	if err != nil {
		return nil, err
	}
	whole, err := arn(ctx, c, o.place)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.doing(), err)
	}
	if whole != call.Text("arn") {
		return nil, astern.Errorf(astern.Refused, "%s: the parameter is %s, and the plan is for %s", o.doing(), whole, awsapi.OneLine(call.Text("arn"))).
			WithHint("are these the credentials and the region that it was planned with?")
	}
	all, err := history(ctx, c, o.place, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.doing(), err)
	}
	return astern.Image{imageVersion: strconv.FormatInt(all[0].number, 10), imageRevision: all[0].revision(), imageWritten: all[0].written()}, nil
}

// Start begins the step.
func (a *actor) Start(ctx context.Context, call astern.Call) astern.Op {
	o, c, err := a.begin(ctx, call)
	switch {
	case err != nil:
		return notStarted(err)
	case call.Token == "":
		return notStarted(astern.Errorf(astern.Invalid, "step %s comes without a token", call.Step))
	}
	return o.put(ctx, c)
}

// notStarted is the failure of a step before its effect was asked for: whatever became of the reading, nothing was changed.
func notStarted(err error) astern.Op {
	return astern.Op{Status: astern.OpFailed, Code: astern.CodeOf(err), Error: err.Error(), Hint: astern.HintOf(err)}
}

// put writes the earlier value as a new version, with all else that the version had. The newest version is read in the same
// answer as the value: what remains between that and the write is the time of one call.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
func (o order) put(ctx context.Context, c *ssm.Client) astern.Op {
	all, err := history(ctx, c, o.place, true)
	if err != nil {
		return notStarted(fmt.Errorf("%s: %w", o.doing(), err))
	}
	from, ok := o.from(all)
	switch now := strconv.FormatInt(all[0].number, 10); {
	case now != o.call.Image[imageVersion]:
		return notStarted(astern.Errorf(astern.Refused, "%s: somebody else wrote version %s in the meantime", o.doing(), now).WithHint("look at it, then plan again"))
	case o.call.Image[imageWritten] != "" && o.call.Image[imageWritten] != all[0].written(): // the image of an older astern has none
		return notStarted(astern.Errorf(astern.Refused, "%s: somebody else deleted the parameter and made it anew in the meantime", o.doing()).WithHint("look at it, then plan again"))
	case !ok:
		return notStarted(astern.Errorf(astern.Refused, "%s: there is no such version any more", o.doing()).WithHint("astern targets %s lists those there are", o.place.component.Name))
	}
	if err := full(all); err != nil {
		return notStarted(fmt.Errorf("%s: %w", o.doing(), err))
	}
	e := from.entry
	description := marked(e.Description, all[0].number+1, o.call.Text("revision"))
	in := &ssm.PutParameterInput{Name: &o.place.Parameter, Value: e.Value, Overwrite: aws.Bool(true), Type: e.Type, Tier: all[0].entry.Tier,
		Description: &description, AllowedPattern: e.AllowedPattern, DataType: e.DataType}
	if e.Type == types.ParameterTypeSecureString {
		in.KeyId = e.KeyId
	}
	out, err := c.PutParameter(ctx, in)
	if err != nil {
		return awsapi.Failed(awsapi.ExplainQuietly(err, o.doing(), o.call.Text("arn")))
	}
	return o.written(out.Version)
}

// from returns the version whose value is to be put.
func (o order) from(all []version) (version, bool) {
	i := slices.IndexFunc(all, func(v version) bool { return v.number == o.version })
	if i < 0 || all[i].entry.Value == nil {
		return version{}, false
	}
	return all[i], true
}

// written is the operation that made the version. One that does not follow the one before tells of somebody else in between:
// of a write, which is not the newest now, or of a deletion, after which the parameter was made anew.
func (o order) written(number int64) astern.Op {
	n := strconv.FormatInt(number, 10)
	op := astern.Op{Status: astern.OpDone, Outputs: map[string]astern.Arg{"version": astern.Text(n)}, Progress: "it is version " + n}
	switch before, err := strconv.ParseInt(o.call.Image[imageVersion], 10, 64); {
	case err != nil:
	case number <= before:
		op.Progress += "; somebody else deleted the parameter in the meantime, and it is made anew: its earlier versions are gone"
	case number > before+1:
		op.Progress += fmt.Sprintf("; somebody else wrote version %d in the meantime, which it replaces", before+1)
	}
	return op
}

// Find looks for a version after the image's that has the value, compared in memory.
func (a *actor) Find(ctx context.Context, call astern.Call) astern.Found {
	o, c, err := a.begin(ctx, call)
	var all []version
	if err == nil {
		all, err = history(ctx, c, o.place, true)
	}
	if err != nil {
		return astern.Found{Answer: astern.FoundUnknown, Because: awsapi.OneLine(err.Error())}
	}
	from, ok := o.from(all)
	before, err := strconv.ParseInt(call.Image[imageVersion], 10, 64)
	if !ok || err != nil {
		return astern.Found{Answer: astern.FoundUnknown, Because: fmt.Sprintf("version %d can't be compared with any more", o.version)}
	}
	for _, v := range slices.Backward(all) { // the first that was written after
		if v.number > before && aws.ToString(v.entry.Value) == *from.entry.Value {
			op := o.written(v.number)
			return astern.Found{Answer: astern.FoundYes, Op: &op}
		}
	}
	return astern.Found{Answer: astern.FoundNo, Because: fmt.Sprintf("no version after %d has the value", before)}
}

// Poll is never needed: every step is over when Start returns.
func (a *actor) Poll(_ context.Context, call astern.Call, _ astern.Op) astern.Op {
	return astern.Op{Status: astern.OpUnsure, Code: astern.Internal, Error: fmt.Sprintf("step %s was still under way", call.Step)}
}
