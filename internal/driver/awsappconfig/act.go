package awsappconfig

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/pattern"
)

// actor is the driver's Actor.
type actor struct{ *driver }

// What the image before a step holds.
const (
	imageServes  = "serves"  // revision that clients got; before a deployment is taken back, its own
	imageVersion = "version" // the number of that
	imageBack    = "back"    // revision that taking the deployment back leads to
	imageLast    = "last"    // number of the profile's last deployment, "0" when there was none
	imageNewest  = "newest"  // number of the environment's last deployment
	imageLatest  = "latest"  // number of the latest version
)

var (
	numberShape = pattern.New(`^[1-9][0-9]{0,8}$`)
	tokenShape  = pattern.New(`^[A-Za-z0-9][A-Za-z0-9._@+-]*$`)
)

// order is a call, read and validated: nothing of it reaches the cloud before that.
type order struct {
	call                      astern.Call
	place                     place
	ids                       ids
	revision                  string
	version, deployment, base int64
	taken                     int64 // deployment that was taken back, where the step waits for the end of that
}

// order reads a call. It returns an Invalid error for anything that is not as a plan writes it.
func (a *actor) order(call astern.Call) (order, error) {
	o := order{call: call, revision: call.Text("revision")}
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
	if o.ids, ok = parseIDs(call.Text("ids")); !ok {
		return bad("configuration", call.Text("ids"))
	}
	if !astern.ValidRevision(o.revision) {
		return bad("revision", o.revision)
	}
	if call.Token != "" && (len(call.Token) > 200 || !tokenShape.MatchString(call.Token)) {
		return bad("token", call.Token)
	}
	wants := map[string][]string{verbRevert: {"deployment"}, verbCreate: {"base"}, verbDeploy: {"version"}, verbAwait: {"version"}, verbBake: {"deployment"}}[call.Verb]
	if wants == nil {
		return bad("verb of "+Kind, call.Verb)
	}
	for name, into := range map[string]*int64{"version": &o.version, "deployment": &o.deployment, "base": &o.base, "reverted": &o.taken} {
		text := call.Text(name)
		if text == "" && (len(wants) == 0 || wants[0] != name) {
			continue
		}
		if !numberShape.MatchString(text) {
			return bad(name, text)
		}
		*into, _ = strconv.ParseInt(text, 10, 64) // nine digits
	}
	switch strategy := call.Text("strategy"); {
	case call.Verb == verbDeploy && !idShape.MatchString(strategy) && !predefined.MatchString(strategy):
		return bad("id of a deployment strategy", strategy)
	case call.Verb == verbCreate && (!flagShape.MatchString(call.Text("flag")) || o.revision != labelOff(o.base, call.Text("flag"))):
		return bad("change of a flag", call.Text("flag"))
	}
	return o, nil
}

// predefined is what the ids of strategies look like that every account has.
var predefined = pattern.New(`^AppConfig\.[A-Za-z0-9]{1,57}$`)

func (o order) doing() string {
	switch o.call.Verb {
	case verbRevert:
		return fmt.Sprintf("taking deployment %d of %s back", o.deployment, o.place.Configuration)
	case verbCreate:
		return fmt.Sprintf("adding the version %s of %s", o.revision, o.place.Configuration)
	case verbDeploy:
		return fmt.Sprintf("deploying %s of %s", o.revision, o.place.Configuration)
	case verbBake:
		return fmt.Sprintf("waiting for the end of deployment %d of %s", o.deployment, o.place.Configuration)
	}
	return fmt.Sprintf("waiting until clients of %s get %s", o.place.Configuration, o.revision)
}

// begin reads the call and makes a client of one attempt.
func (a *actor) begin(ctx context.Context, call astern.Call) (order, *appconfig.Client, aws.Config, error) {
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

// Before reads what clients get, and what the last deployment and the latest version are.
func (a *actor) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	o, c, _, err := a.begin(ctx, call)
	if err != nil {
		return nil, err
	}
	if call.Verb == verbAwait || call.Verb == verbBake {
		return astern.Image{}, nil
	}
	seen, err := ask(ctx, c, o.place)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", o.doing(), err)
	case seen.ids != o.ids:
		return nil, astern.Errorf(astern.Refused, "%s: the configuration is %s, and the plan is for %s", o.doing(), seen.ids, o.ids).
			WithHint("are these the credentials and the region that it was planned with?")
	}
	out := astern.Image{imageServes: seen.serves(), imageLast: "0", imageNewest: strconv.FormatInt(seen.latest.number, 10), imageLatest: "0"}
	if len(seen.versions) > 0 {
		out[imageLatest] = strconv.FormatInt(seen.versions[0].number, 10)
	}
	if len(seen.all) > 0 {
		out[imageLast] = strconv.FormatInt(seen.all[0].number, 10)
	}
	if call.Verb != verbRevert {
		if n, ok := seen.numberOf(seen.serves()); ok {
			out[imageVersion] = strconv.FormatInt(n, 10)
		}
		return out, nil
	}
	if b, ok := seen.revertible(); ok && b.number == o.deployment {
		out[imageBack] = b.revision
	}
	for _, d := range seen.all {
		if n, revision := seen.of(d); d.number == o.deployment {
			out[imageServes], out[imageVersion] = revision, strconv.FormatInt(n, 10)
		}
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
	}
	switch call.Verb {
	case verbRevert:
		return o.revert(ctx, c)
	case verbCreate:
		return o.create(ctx, c)
	case verbDeploy:
		return o.deploy(ctx, c)
	case verbBake:
		return o.baked(ctx, c)
	}
	return o.arrived(ctx, c, config)
}

// Find looks whether the effect of the call is there.
func (a *actor) Find(ctx context.Context, call astern.Call) astern.Found {
	o, c, config, err := a.begin(ctx, call)
	if err != nil {
		return unknown(err)
	}
	switch call.Verb {
	case verbRevert:
		return o.findRevert(ctx, c)
	case verbCreate:
		return o.findVersion(ctx, c)
	case verbDeploy:
		return o.findDeployment(ctx, c)
	}
	op := o.arrivedOrBaked(ctx, c, config)
	if op.Status == astern.OpDone {
		return astern.Found{Answer: astern.FoundYes, Op: &op}
	}
	return astern.Found{Answer: astern.FoundNo, Because: awsapi.OneLine(op.Progress + op.Error)}
}

// Poll asks how far the step is.
func (a *actor) Poll(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	o, c, config, err := a.begin(ctx, call)
	switch {
	case err != nil:
		return stillRunning(op, err)
	case call.Verb == verbRevert:
		return o.reverted(ctx, c)
	case call.Verb == verbDeploy && o.begun(op):
		return o.growing(ctx, c)
	case call.Verb == verbAwait || call.Verb == verbBake:
		return o.arrivedOrBaked(ctx, c, config)
	}
	return astern.Op{Status: astern.OpUnsure, Code: astern.Internal, Error: "step " + call.Step + " was still under way"}
}

// Stop ends a deployment that grows, so that clients get the version of before, and the waiting for the end of one that bakes.
func (a *actor) Stop(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	o, c, _, err := a.begin(ctx, call)
	switch {
	case err != nil:
		return stillRunning(op, err)
	case call.Verb == verbDeploy && o.begun(op):
		return o.stop(ctx, c)
	case call.Verb == verbBake:
		if now := o.baked(ctx, c); now.Status != astern.OpRunning { // it is over already
			return now
		}
		return awsapi.Failed(astern.Errorf(astern.Interrupted, "%s: it is not waited for; it bakes on, and alarms may still take it back", o.doing()))
	}
	return a.Poll(ctx, call, op)
}

// stillRunning is a step that could not be asked about now; what it began is not forgotten.
func stillRunning(op astern.Op, err error) astern.Op {
	out := running(err)
	out.Handle = op.Handle
	return out
}

// begun reads which deployment a step that runs began.
func (o *order) begun(op astern.Op) bool {
	if !numberShape.MatchString(op.Handle["deployment"]) {
		return false
	}
	o.deployment, _ = strconv.ParseInt(op.Handle["deployment"], 10, 64) // nine digits
	return true
}

func (o order) arrivedOrBaked(ctx context.Context, c *appconfig.Client, config aws.Config) astern.Op {
	if o.call.Verb == verbBake {
		return o.baked(ctx, c)
	}
	return o.arrived(ctx, c, config)
}

// running is an operation whose state could not be read for now: that is no failure of it.
func running(err error) astern.Op {
	return astern.Op{Status: astern.OpRunning, Progress: awsapi.OneLine(err.Error()), PollSeconds: 2}
}

func unknown(err error) astern.Found {
	return astern.Found{Answer: astern.FoundUnknown, Because: awsapi.OneLine(err.Error())}
}

// notStarted is the failure of a step before its effect was asked for: whatever became of the reading, nothing was changed.
func notStarted(o order, err error) astern.Op {
	return astern.Op{Status: astern.OpFailed, Code: astern.CodeOf(err), Error: fmt.Sprintf("%s: %v", o.doing(), err), Hint: astern.HintOf(err)}
}

// digest is the SHA-256 of a text in hexadecimal digits.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
