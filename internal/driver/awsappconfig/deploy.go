package awsappconfig

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"
	"github.com/aws/aws-sdk-go-v2/service/appconfig/types"
	"github.com/aws/aws-sdk-go-v2/service/appconfigdata"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// askDeployment reads one deployment of the environment, which must be of the component's profile.
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_GetDeployment.html
func (o order) askDeployment(ctx context.Context, c *appconfig.Client, number int64) (*appconfig.GetDeploymentOutput, error) {
	d, err := c.GetDeployment(ctx, &appconfig.GetDeploymentInput{ApplicationId: &o.ids.application, EnvironmentId: &o.ids.environment, DeploymentNumber: aws.Int32(int32(number))})
	if err != nil {
		return nil, awsapi.Explain(err, fmt.Sprintf("reading deployment %d of %s", number, o.place.Environment), o.ids.environment)
	}
	if aws.ToString(d.ConfigurationProfileId) != o.ids.profile {
		return nil, astern.Errorf(astern.Refused, "deployment %d of %s is of another configuration profile", number, o.place.Environment).WithHint("plan again")
	}
	return d, nil
}

// isBack reports whether a deployment was taken back, or is being.
func isBack(s types.DeploymentState) bool {
	return slices.Contains([]types.DeploymentState{types.DeploymentStateRollingBack, types.DeploymentStateRolledBack, types.DeploymentStateReverted}, s)
}

// revert takes the deployment back. The call names it, and the cloud refuses when it is not the last one any more.
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_StopDeployment.html
func (o order) revert(ctx context.Context, c *appconfig.Client) astern.Op {
	d, err := o.askDeployment(ctx, c, o.deployment)
	switch last := o.call.Image[imageLast]; {
	case err != nil:
		return notStarted(o, err)
	case isBack(d.State):
		return o.takenBack(d)
	case last != strconv.FormatInt(o.deployment, 10):
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: somebody else deployed in the meantime: deployment %s", o.doing(), awsapi.OneLine(last)).WithHint("plan again"))
	case o.call.Image[imageBack] == "":
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: the cloud can't do that any more", o.doing()).WithHint("%s", o.anew()))
	case o.call.Image[imageBack] != o.revision:
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: that leads to %s, and the plan expects %s", o.doing(), awsapi.OneLine(o.call.Image[imageBack]), o.revision).
			WithHint("%s", o.anew()))
	}
	_, err = c.StopDeployment(ctx, &appconfig.StopDeploymentInput{ApplicationId: &o.ids.application, EnvironmentId: &o.ids.environment,
		DeploymentNumber: aws.Int32(int32(o.deployment)), AllowRevert: aws.Bool(true)})
	if err != nil {
		op := awsapi.Failed(awsapi.Explain(err, o.doing(), o.ids.environment))
		if awsapi.Is(err, "BadRequestException") {
			op.Hint = o.anew()
		}
		return op
	}
	return o.reverted(ctx, c)
}

// anew says what is left where a deployment can't be taken back.
func (o order) anew() string {
	return fmt.Sprintf("only the last deployment of an environment can be taken back, and for 72 h; astern deploy %s %s deploys that version again", o.place.component.Name, o.revision)
}

// reverted asks whether the deployment is taken back by now.
func (o order) reverted(ctx context.Context, c *appconfig.Client) astern.Op {
	d, err := o.askDeployment(ctx, c, o.deployment)
	if err != nil {
		return o.unread(err)
	}
	return o.takenBack(d)
}

func (o order) takenBack(d *appconfig.GetDeploymentOutput) astern.Op {
	if d.State == types.DeploymentStateRolledBack || d.State == types.DeploymentStateReverted {
		return astern.Op{Status: astern.OpDone, Progress: fmt.Sprintf("deployment %d is %s", o.deployment, d.State)}
	}
	return astern.Op{Status: astern.OpRunning, Progress: fmt.Sprintf("deployment %d is %s", o.deployment, d.State), PollSeconds: 0.5}
}

// findRevert looks whether the deployment was taken back.
func (o order) findRevert(ctx context.Context, c *appconfig.Client) astern.Found {
	d, err := o.askDeployment(ctx, c, o.deployment)
	switch {
	case astern.CodeOf(err) == astern.NotFound:
		return goneNow(err)
	case err != nil:
		return unknown(err)
	case isBack(d.State):
		op := o.takenBack(d)
		return astern.Found{Answer: astern.FoundYes, Op: &op}
	}
	return astern.Found{Answer: astern.FoundNo, Because: fmt.Sprintf("deployment %d is %s", o.deployment, d.State)}
}

// maxNewer bounds how many deployments are looked at that began since the image was read.
const maxNewer = 100

// description says in AppConfig where a deployment or a version comes from, and lets it be found again.
func (o order) description() string { return "astern " + o.call.Token }

// goneNow is the answer of a Find where there is nothing any more that could have the effect.
func goneNow(err error) astern.Found {
	return astern.Found{Answer: astern.FoundNo, Because: awsapi.OneLine(err.Error())}
}

// newer returns the deployments of the profile that began since the image was read.
func (o order) newer(ctx context.Context, c *appconfig.Client) ([]*appconfig.GetDeploymentOutput, error) {
	known, err := strconv.ParseInt(o.call.Image[imageNewest], 10, 64)
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "%s: the image before the step is not there", o.doing())
	}
	return o.since(ctx, c, known)
}

// since returns the deployments of the profile after the one of that number, with all that is known of them.
func (o order) since(ctx context.Context, c *appconfig.Client, known int64) ([]*appconfig.GetDeploymentOutput, error) {
	var out []*appconfig.GetDeploymentOutput
	pages := appconfig.NewListDeploymentsPaginator(c, &appconfig.ListDeploymentsInput{ApplicationId: &o.ids.application, EnvironmentId: &o.ids.environment, MaxResults: aws.Int32(10)})
	for seen := 0; pages.HasMorePages() && seen < maxNewer; {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awsapi.Explain(err, "listing the deployments of "+o.place.Environment, o.ids.environment)
		}
		seen += len(page.Items)
		for _, x := range page.Items {
			if int64(x.DeploymentNumber) <= known {
				return out, nil
			}
			d, err := c.GetDeployment(ctx, &appconfig.GetDeploymentInput{ApplicationId: &o.ids.application, EnvironmentId: &o.ids.environment, DeploymentNumber: &x.DeploymentNumber})
			if err != nil {
				return nil, awsapi.Explain(err, fmt.Sprintf("reading deployment %d of %s", x.DeploymentNumber, o.place.Environment), o.ids.environment)
			}
			if aws.ToString(d.ConfigurationProfileId) == o.ids.profile {
				out = append(out, d)
			}
		}
	}
	return out, nil
}

// deploy starts the deployment. That is refused while another one is under way.
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_StartDeployment.html
func (o order) deploy(ctx context.Context, c *appconfig.Client) astern.Op {
	newer, err := o.newer(ctx, c)
	if err != nil {
		return notStarted(o, err)
	}
	if len(newer) > 0 {
		if op, ok := o.among(newer); ok {
			return op
		}
		return awsapi.Failed(astern.Errorf(astern.Refused, "%s: somebody else deployed in the meantime: deployment %d of version %s", o.doing(), newer[0].DeploymentNumber,
			awsapi.OneLine(aws.ToString(newer[0].ConfigurationVersion))).WithHint("look at it, then plan again"))
	}
	out, err := c.StartDeployment(ctx, &appconfig.StartDeploymentInput{ApplicationId: &o.ids.application, EnvironmentId: &o.ids.environment, ConfigurationProfileId: &o.ids.profile,
		ConfigurationVersion: aws.String(strconv.FormatInt(o.version, 10)), DeploymentStrategyId: aws.String(o.call.Text("strategy")), Description: aws.String(o.description())})
	if err != nil {
		op := awsapi.Failed(awsapi.Explain(err, o.doing(), o.ids.environment))
		if awsapi.Is(err, "ConflictException") {
			op.Hint = "another deployment is under way, and there is one at a time: wait for its end, then astern resume"
		}
		return op
	}
	op := o.grown(growth{number: int64(out.DeploymentNumber), state: out.State, percent: aws.ToFloat32(out.PercentageComplete), minutes: out.DeploymentDurationInMinutes})
	if before := strconv.FormatInt(int64(out.DeploymentNumber)-1, 10); before != o.call.Image[imageNewest] {
		op.Progress += "; deployment " + before + " of somebody else came just before it"
	}
	return op
}

// growth is how far a deployment is.
type growth struct {
	number  int64
	state   types.DeploymentState
	percent float32
	minutes int32
	back    string // who took it back, and why
}

func growthOf(d *appconfig.GetDeploymentOutput) growth {
	return growth{int64(d.DeploymentNumber), d.State, aws.ToFloat32(d.PercentageComplete), d.DeploymentDurationInMinutes, tookBack(d)}
}

// grown says what the deployment's state makes of the step that began it: it is done when all of it has grown, and failed without
// effect when it was taken back.
func (o order) grown(g growth) astern.Op {
	text := strconv.FormatInt(g.number, 10)
	op := astern.Op{Status: astern.OpRunning, Handle: map[string]string{"deployment": text}, PollSeconds: 0.5}
	switch g.state {
	case types.DeploymentStateBaking, types.DeploymentStateComplete:
		return astern.Op{Status: astern.OpDone, Progress: "deployment " + text + " is " + string(g.state), Outputs: map[string]astern.Arg{"deployment": astern.Text(text)}}
	case types.DeploymentStateRolledBack, types.DeploymentStateReverted:
		return awsapi.Failed(o.lost(g))
	case types.DeploymentStateRollingBack:
		op.Progress = fmt.Sprintf("deployment %s is being taken back: %s", text, g.back)
	default:
		op.Progress = fmt.Sprintf("%.0f %% of the clients get %s, deployment %s is %s", g.percent, o.revision, text, g.state)
		op.PollSeconds = min(max(1.2*float64(g.minutes), 0.5), 15)
	}
	return op
}

// growing asks how far the deployment is that the step began.
func (o order) growing(ctx context.Context, c *appconfig.Client) astern.Op {
	d, err := o.askDeployment(ctx, c, o.deployment)
	if err != nil {
		return o.unread(err)
	}
	return o.grown(growthOf(d))
}

// unread is a deployment under way that could not be asked for now. One that is not there may not be shown yet, or its environment is
// gone: what it is among the others tells.
func (o order) unread(err error) astern.Op {
	op := running(err)
	if astern.CodeOf(err) == astern.NotFound {
		op = notStarted(o, err)
		op.Status = astern.OpUnsure
	}
	op.Handle = map[string]string{"deployment": strconv.FormatInt(o.deployment, 10)}
	return op
}

// stop ends the deployment while it grows: the call is refused for one that has grown already, for it does not allow to revert.
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_StopDeployment.html
func (o order) stop(ctx context.Context, c *appconfig.Client) astern.Op {
	d, err := o.askDeployment(ctx, c, o.deployment)
	switch {
	case err != nil:
		return o.unread(err)
	case d.State != types.DeploymentStateDeploying && d.State != types.DeploymentStateValidating:
		return o.grown(growthOf(d))
	}
	_, err = c.StopDeployment(ctx, &appconfig.StopDeploymentInput{ApplicationId: &o.ids.application, EnvironmentId: &o.ids.environment,
		DeploymentNumber: aws.Int32(int32(o.deployment))})
	now := o.growing(ctx, c)
	if err != nil && !awsapi.Is(err, "BadRequestException") && now.Status == astern.OpRunning {
		err = awsapi.Explain(err, fmt.Sprintf("stopping deployment %d of %s", o.deployment, o.place.Configuration), o.ids.environment)
		now.Progress, now.PollSeconds = awsapi.OneLine(fmt.Sprintf("%v (%s); %s", err, astern.HintOf(err), now.Progress)), 2
	}
	return now
}

// among returns the deployment that the call began.
func (o order) among(newer []*appconfig.GetDeploymentOutput) (astern.Op, bool) {
	for _, d := range newer {
		if o.call.Token != "" && aws.ToString(d.Description) == o.description() {
			return o.grown(growthOf(d)), true
		}
	}
	return astern.Op{}, false
}

// findDeployment looks for the deployment that the call began.
func (o order) findDeployment(ctx context.Context, c *appconfig.Client) astern.Found {
	newer, err := o.newer(ctx, c)
	switch {
	case astern.CodeOf(err) == astern.NotFound:
		return goneNow(err)
	case err != nil:
		return unknown(err)
	}
	if op, ok := o.among(newer); ok {
		return astern.Found{Answer: astern.FoundYes, Op: &op}
	}
	return astern.Found{Answer: astern.FoundNo, Because: "no deployment since carries the mark of the step"}
}

// create adds the version in which the flag is off, under the condition that nobody added another one since the image was
// read. Where it is there already it is used.
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_CreateHostedConfigurationVersion.html
func (o order) create(ctx context.Context, c *appconfig.Client) astern.Op {
	there, content, err := o.wanted(ctx, c)
	if err != nil {
		return notStarted(o, err)
	}
	if there != 0 {
		return added(there)
	}
	latest, err := strconv.ParseInt(o.call.Image[imageLatest], 10, 32)
	if err != nil || latest < 1 {
		return awsapi.Failed(astern.Errorf(astern.Invalid, "%s: the image before the step is not there", o.doing()))
	}
	out, err := c.CreateHostedConfigurationVersion(ctx, &appconfig.CreateHostedConfigurationVersionInput{ApplicationId: &o.ids.application, ConfigurationProfileId: &o.ids.profile,
		Content: content, ContentType: aws.String("application/json"), Description: aws.String(o.description()), LatestVersionNumber: aws.Int32(int32(latest)), VersionLabel: &o.revision})
	if err != nil {
		op := awsapi.Failed(awsapi.Explain(err, o.doing(), o.ids.profile))
		if awsapi.Is(err, "ConflictException") {
			op.Hint = "somebody else added a version in the meantime: look at it, then astern resume"
		}
		return op
	}
	return added(int64(out.VersionNumber))
}

func added(number int64) astern.Op {
	text := strconv.FormatInt(number, 10)
	return astern.Op{Status: astern.OpDone, Progress: "it is version " + text, Outputs: map[string]astern.Arg{"version": astern.Text(text)}}
}

// wanted returns what the version must hold, and its number where it is there already. It refuses a version of that label
// that holds anything else.
func (o order) wanted(ctx context.Context, c *appconfig.Client) (there int64, content []byte, err error) {
	base, err := askContent(ctx, c, o.ids, o.base)
	if err != nil {
		return 0, nil, err
	}
	if content, err = switchOff(base, o.call.Text("flag")); err != nil {
		return 0, nil, err
	}
	versions, err := askVersions(ctx, c, o.ids)
	if err != nil {
		return 0, nil, err
	}
	i := slices.IndexFunc(versions, func(v version) bool { return v.label == o.revision })
	if i < 0 {
		return 0, content, nil
	}
	has, err := askContent(ctx, c, o.ids, versions[i].number)
	if err != nil {
		return 0, nil, err
	}
	if !bytes.Equal(has, content) {
		return 0, nil, astern.Errorf(astern.Refused, "version %d has that label, and is not version %d with %s off", versions[i].number, o.base, o.call.Text("flag")).
			WithHint("delete it or deploy it by hand")
	}
	return versions[i].number, content, nil
}

// findVersion looks for the version by its label.
func (o order) findVersion(ctx context.Context, c *appconfig.Client) astern.Found {
	there, _, err := o.wanted(ctx, c)
	switch {
	case err != nil:
		return unknown(err)
	case there == 0:
		return astern.Found{Answer: astern.FoundNo, Because: "no version has the label " + o.revision}
	}
	op := added(there)
	return astern.Found{Answer: astern.FoundYes, Op: &op}
}

// waits is the state of a step that only waits, when the cloud could not be asked: what passes is waited for.
func (o order) waits(err error) astern.Op {
	if code := astern.CodeOf(err); code.Transient() {
		return running(err)
	}
	return notStarted(o, err)
}

// arrived asks whether clients get the version: how far the deployment is, and then the data plane, as they do.
func (o order) arrived(ctx context.Context, c *appconfig.Client, config aws.Config) astern.Op {
	if o.deployment != 0 {
		d, err := o.askDeployment(ctx, c, o.deployment)
		switch {
		case err != nil:
			return o.waits(err)
		case isBack(d.State):
			return awsapi.Failed(o.lost(growthOf(d)))
		case d.State != types.DeploymentStateBaking && d.State != types.DeploymentStateComplete:
			return astern.Op{Status: astern.OpRunning, Progress: fmt.Sprintf("%.0f %% of the clients get %s, %s", aws.ToFloat32(d.PercentageComplete), o.revision, d.State),
				PollSeconds: min(max(1.2*float64(d.DeploymentDurationInMinutes), 0.5), 15)}
		}
	}
	what, err := o.served(ctx, c, config)
	switch {
	case err != nil:
		return o.waits(err)
	case what != "":
		if err := o.replaced(ctx, c); err != nil {
			return o.waits(err)
		}
		return astern.Op{Status: astern.OpRunning, Progress: "clients get " + what, PollSeconds: 2}
	}
	return astern.Op{Status: astern.OpDone, Progress: "clients get " + o.revision}
}

// replaced returns a Conflict error when somebody else has deployed another version after what the step waits for, which clients
// get or are to get: it would be waited for in vain.
func (o order) replaced(ctx context.Context, c *appconfig.Client) error {
	own := max(o.deployment, o.taken)
	if own == 0 {
		return nil
	}
	if newer, err := o.since(ctx, c, own); err != nil || len(newer) == 0 {
		return err
	}
	seen, err := ask(ctx, c, o.place) // which tells by number what was deployed by its label
	if err != nil {
		return err
	}
	for _, d := range seen.all { // the newest first
		if d.number <= own {
			break
		}
		if n, revision := seen.of(d); (d.growing() || d.stands()) && n != o.version {
			return astern.Errorf(astern.Conflict, "somebody else deployed %s in the meantime: deployment %d is %s", revision, d.number, d.state).
				WithHint("look at it, then plan again")
		}
	}
	return nil
}

// lost says that the cloud, or somebody, took the deployment back.
func (o order) lost(g growth) error {
	return astern.Errorf(astern.Refused, "%s: deployment %d is %s: %s", o.doing(), g.number, g.state, g.back).
		WithHint("clients get the version of before: astern status %s", o.place.component.Name)
}

// served asks the data plane what a client gets, and returns "" when that is the version, else what it is. A version without
// a label is told by its content, which stays here.
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_appconfigdata_GetLatestConfiguration.html
func (o order) served(ctx context.Context, c *appconfig.Client, config aws.Config) (string, error) {
	want, err := c.GetHostedConfigurationVersion(ctx, &appconfig.GetHostedConfigurationVersionInput{ApplicationId: &o.ids.application, ConfigurationProfileId: &o.ids.profile,
		VersionNumber: aws.Int32(int32(o.version))})
	if err != nil {
		return "", awsapi.Explain(err, fmt.Sprintf("reading version %d of %s", o.version, o.place.Configuration), o.ids.profile)
	}
	data := appconfigdata.NewFromConfig(config)
	session, err := data.StartConfigurationSession(ctx, &appconfigdata.StartConfigurationSessionInput{ApplicationIdentifier: &o.ids.application,
		EnvironmentIdentifier: &o.ids.environment, ConfigurationProfileIdentifier: &o.ids.profile})
	if err != nil {
		return "", awsapi.Explain(err, "asking what clients get", o.ids.String())
	}
	got, err := data.GetLatestConfiguration(ctx, &appconfigdata.GetLatestConfigurationInput{ConfigurationToken: session.InitialConfigurationToken})
	if err != nil {
		return "", awsapi.Explain(err, "asking what clients get", o.ids.String())
	}
	label := aws.ToString(want.VersionLabel)
	switch is := aws.ToString(got.VersionLabel); {
	case is != label && is != "":
		return awsapi.OneLine(is), nil
	case is != label:
		return "a version without a label", nil
	case label == "" && !bytes.Equal(got.Configuration, want.Content) && !sameFlags(want.Content, got.Configuration):
		return "another version", nil
	}
	return "", nil
}

// sameFlags reports whether what clients get has the same flags on as a version. Clients get the values alone.
func sameFlags(version, got []byte) bool {
	want, err := readFlags(version)
	if err != nil || len(want) == 0 {
		return false
	}
	values, err := encode(object{"values": got})
	if err != nil {
		return false
	}
	is, err := readFlags(values)
	return err == nil && maps.Equal(want, is)
}

// baked asks whether the deployment is complete, so that no alarm takes it back any more.
func (o order) baked(ctx context.Context, c *appconfig.Client) astern.Op {
	d, err := o.askDeployment(ctx, c, o.deployment)
	switch {
	case err != nil:
		return o.waits(err)
	case isBack(d.State):
		return awsapi.Failed(o.lost(growthOf(d)))
	case d.State == types.DeploymentStateComplete:
		return astern.Op{Status: astern.OpDone, Progress: fmt.Sprintf("deployment %d is complete", o.deployment)}
	}
	return astern.Op{Status: astern.OpRunning, Progress: fmt.Sprintf("deployment %d is %s", o.deployment, d.State), PollSeconds: min(max(float64(d.FinalBakeTimeInMinutes), 0.5), 10)}
}
