package awssecret

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// actor is the driver's Actor.
type actor struct{ *driver }

// What the image before a step holds: the version that has AWSCURRENT, and when the secret was changed last. The cloud refuses to take
// the label from a version that does not have it (any more). Whoever moved it elsewhere and back is told by the time alone, and that is
// no condition of the call: it is looked at right before.
const (
	imageVersion = "version"
	imageChanged = "changed"
)

// order is a call, read and validated: nothing of it reaches the cloud before that.
type order struct {
	call  astern.Call
	place place
	to    string
}

// begin reads a call and makes a client of one attempt. It returns an Invalid error for anything that is not as a plan writes it.
func (a *actor) begin(ctx context.Context, call astern.Call) (order, *secretsmanager.Client, error) {
	o := order{call: call, to: call.Text("version")}
	c, ok := a.lookup(call.Address)
	if !ok {
		return o, nil, astern.Errorf(astern.NotFound, "step %s: %s is not declared any more", call.Step, call.Address).
			WithHint("put it back into astern.yaml until the execution is over")
	}
	var err error
	if o.place, err = resolve(c); err != nil {
		return o, nil, err
	}
	bad := func(what, value string) (order, *secretsmanager.Client, error) {
		return o, nil, astern.Errorf(astern.Invalid, "step %s: %q is no %s", call.Step, awsapi.OneLine(value), what).
			WithHint("plan again; a plan that was edited by hand can't be trusted")
	}
	switch {
	case call.Verb != verbMove:
		return bad("verb of "+Kind, call.Verb)
	case !versionShape.MatchString(o.to):
		return bad("version of a secret", o.to)
	case call.Text("secret") != o.place.Secret:
		return o, nil, astern.Errorf(astern.Refused, "step %s is for the secret %s, and astern.yaml now declares %s", call.Step,
			awsapi.OneLine(call.Text("secret")), o.place.Secret).WithHint("plan again")
	}
	session, err := a.accounts.Session(ctx, o.place.Settings.Settings)
	if err != nil {
		return o, nil, fmt.Errorf("%s: %w", o.doing(), err)
	}
	return o, secretsmanager.NewFromConfig(session.Act), nil
}

func (o order) doing() string {
	return fmt.Sprintf("making %s the current version of the secret %s", o.to, o.place.Secret)
}

// Before reads which version is current.
func (a *actor) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	o, c, err := a.begin(ctx, call)
	if err != nil {
		return nil, err
	}
	s, err := ask(ctx, c, o.place)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.doing(), err)
	}
	if err := o.may(s); err != nil {
		return nil, err
	}
	return astern.Image{imageVersion: s.holder(labelCurrent), imageChanged: s.changed()}, nil
}

// may refuses what must not be done to the secret as it is.
func (o order) may(s secret) error {
	switch {
	case s.arn != o.call.Text("arn"):
		return astern.Errorf(astern.Refused, "%s: the secret is %s, and the plan is for %s", o.doing(), s.arn, awsapi.OneLine(o.call.Text("arn"))).
			WithHint("was it made anew, or are these other credentials than those it was planned with?")
	case s.out.DeletedDate != nil:
		return astern.Errorf(astern.Refused, "%s: it is scheduled for deletion", o.doing()).WithHint("aws secretsmanager restore-secret takes that back")
	case s.rotating() != "":
		return astern.Errorf(astern.Refused, "%s: a rotation is under way, version %s is AWSPENDING", o.doing(), s.rotating()).
			WithHint("let it end, or end it with aws secretsmanager cancel-rotate-secret and take the label AWSPENDING away")
	case s.holder(labelCurrent) == "":
		return astern.Errorf(astern.Refused, "%s: no version has the label AWSCURRENT", o.doing())
	}
	return nil // versions without a label are not in the description: whether they are there the call itself tells
}

// Start moves the label, under the condition that the version of the image still has it, and right after looking whether anybody has
// changed the secret since.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
func (a *actor) Start(ctx context.Context, call astern.Call) astern.Op {
	o, c, err := a.begin(ctx, call)
	switch {
	case err != nil:
		return notStarted(err)
	case call.Token == "":
		return notStarted(astern.Errorf(astern.Invalid, "step %s comes without a token", call.Step))
	}
	s, err := ask(ctx, c, o.place)
	if err != nil {
		return notStarted(fmt.Errorf("%s: %w", o.doing(), err))
	}
	current, from := s.holder(labelCurrent), call.Image[imageVersion]
	if err := o.may(s); err != nil {
		return notStarted(err)
	}
	if current != from {
		if current == o.to {
			return o.done()
		}
		return notStarted(o.changed(current))
	}
	if from == o.to {
		return o.done()
	}
	if was := call.Image[imageChanged]; was != "" && was != s.changed() { // the image of an older astern has none
		return notStarted(o.changed(current))
	}
	_, err = c.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: &s.arn, VersionStage: aws.String(labelCurrent),
		RemoveFromVersionId: &from, MoveToVersionId: &o.to})
	if awsapi.Is(err, "InvalidParameterException") { // the label is not there any more, or the version is gone
		return notStarted(astern.Errorf(astern.Refused, "%s: %w", o.doing(), awsapi.Explain(err, "moving the label", s.arn)).
			WithHint("somebody else changed the secret in the meantime: look at it, then plan again"))
	}
	if err != nil {
		return awsapi.Failed(awsapi.Explain(err, o.doing(), s.arn))
	}
	return o.readBack(ctx, c)
}

// notStarted is the failure of a step before its effect was asked for: whatever became of the reading, nothing was changed.
func notStarted(err error) astern.Op {
	return astern.Op{Status: astern.OpFailed, Code: astern.CodeOf(err), Error: err.Error(), Hint: astern.HintOf(err)}
}

func (o order) changed(current string) error {
	return astern.Errorf(astern.Refused, "%s: somebody else changed it in the meantime; %s is current now", o.doing(), current).
		WithHint("look at it, then plan again")
}

func (o order) done() astern.Op {
	return astern.Op{Status: astern.OpDone, Progress: o.to + " is the current version"}
}

// readBack asks which version is current now.
func (o order) readBack(ctx context.Context, c *secretsmanager.Client) astern.Op {
	s, err := ask(ctx, c, o.place)
	switch {
	case astern.CodeOf(err) == astern.NotFound: // somebody deleted it: no label is anywhere
		return notStarted(fmt.Errorf("%s: %w", o.doing(), err))
	case err != nil:
		return astern.Op{Status: astern.OpRunning, Progress: awsapi.OneLine(err.Error()), PollSeconds: 2}
	case s.holder(labelCurrent) == o.to:
		return o.done()
	}
	return astern.Op{Status: astern.OpUnsure, Code: astern.Conflict, Error: o.changed(s.holder(labelCurrent)).Error()}
}

// Find looks which version is current.
func (a *actor) Find(ctx context.Context, call astern.Call) astern.Found {
	o, c, err := a.begin(ctx, call)
	if err != nil {
		return astern.Found{Answer: astern.FoundUnknown, Because: awsapi.OneLine(err.Error())}
	}
	s, err := ask(ctx, c, o.place)
	switch {
	case astern.CodeOf(err) == astern.NotFound:
		return astern.Found{Answer: astern.FoundNo, Because: awsapi.OneLine(err.Error())}
	case err != nil:
		return astern.Found{Answer: astern.FoundUnknown, Because: awsapi.OneLine(err.Error())}
	case s.holder(labelCurrent) == o.to:
		op := o.done()
		return astern.Found{Answer: astern.FoundYes, Op: &op}
	}
	return astern.Found{Answer: astern.FoundNo, Because: "the current version is " + s.holder(labelCurrent)}
}

// Poll reads the label back.
func (a *actor) Poll(ctx context.Context, call astern.Call, _ astern.Op) astern.Op {
	o, c, err := a.begin(ctx, call)
	if err != nil {
		return astern.Op{Status: astern.OpRunning, Progress: awsapi.OneLine(err.Error()), PollSeconds: 2}
	}
	return o.readBack(ctx, c)
}
