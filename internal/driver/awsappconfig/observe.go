package awsappconfig

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"
	"github.com/aws/aws-sdk-go-v2/service/appconfig/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	alarms "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// maxJudged is how many versions are shown: the newest, and those that were deployed.
const maxJudged = 50

// Observe reads the component's state. The paths:
//
//	ids                    of application, environment and configuration profile, joined by "/"
//	type, location         of the profile
//	validators             types of the profile's validators; absent when it has none
//	revision               what clients get; while a deployment grows that of before and the new one
//	deployment             number of the profile's last deployment; absent when there was none
//	standing               number of the last one whose version everybody got; absent when there was none
//	progress               how far that is: "7 of v3, COMPLETE" and, where the cloud took it back, why
//	turn                   the environment: it takes one deployment at a time
//	busy                   "9 NAME STATE" of the deployment that occupies the environment; absent when none does
//	revert                 "7 v2 DATE": taking deployment 7 back leads to v2, until then ("-" while it is under way); absent when
//	                       the cloud can't
//	latest                 number of the newest version
//	version/REV            the version's number
//	content-type/REV       what it says that it is
//	content                what tells versions of two accounts apart, in words
//	content/REV            the version's label: of free-form configuration nothing else may be said; absent where it has none
//	deployed/REV           "7 COMPLETE": its last deployment
//	release-time/REV       when that ended, or began
//	deployments/history    what was deployed when, a line of JSON each
//	arn/NAME               what policies call the application, environment, profile, configuration, strategy and the deployment
//	                       that can be taken back
//	strategy               id of the strategy on the way back; absent when there is none of that name
//	strategy/minutes       how long it grows
//	strategy/bake          for how many minutes alarms watch after that
//	strategy/growth        how it grows, in words
//	alarms                 "OK NAME" of each alarm of the environment, a line each; absent when it has none
//	flag/NAME              of the flags that clients get: "on", "off", or "on in 2 of 3 variants"
//	flags                  why the flags can't be read; absent when they can
func (d *driver) Observe(ctx context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.State{}, err
	}
	l := &look{place: p, Sight: awsapi.NewSight(c, scope, d.now())}
	var config aws.Config
	if l.client, config, err = d.client(ctx, p, false); err == nil {
		l.configuration, err = ask(ctx, l.client, p)
	}
	switch {
	case astern.CodeOf(err) == astern.NotFound:
		l.Unknown("revision", astern.Errorf(astern.NotFound, "there is no configuration %s of %s/%s in %s", p.Configuration, p.Application, p.Environment, p.Where()))
	case err != nil:
		l.Fail(err, []string{""}, "revision", "ids")
	default:
		l.base()
		var wait sync.WaitGroup
		var strategy, flags error
		wait.Go(func() { strategy = l.askStrategy(ctx) })
		wait.Go(func() { l.askAlarms(ctx, config) })
		wait.Go(func() { flags = l.askFlags(ctx) })
		wait.Wait()
		if strategy != nil {
			l.Fail(strategy, []string{"strategy/"}, "strategy")
		}
		if flags != nil {
			l.Fail(flags, []string{"flag/"}, "flags")
		}
	}
	return l.State(), nil
}

// look is one observation.
type look struct {
	place
	*awsapi.Sight
	client        *appconfig.Client
	configuration configuration
}

// names notes what policies call the resources, so that a permission is asked for on them and not on all that there are.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsappconfig.html
func (l *look) names() {
	c := l.configuration
	application := "application/" + c.application
	environment := application + "/environment/" + c.environment
	resources := map[string]string{"application": application, "environment": environment, "profile": application + "/configurationprofile/" + c.profile,
		"configuration": environment + "/configuration/" + c.profile}
	if b, ok := c.revertible(); ok {
		resources["deployment"] = environment + "/deployment/" + strconv.FormatInt(b.number, 10)
	}
	for name, resource := range resources {
		l.Known("arn/"+name, l.ARN("appconfig", resource))
	}
}

// base notes what the lists say.
func (l *look) base() {
	c := l.configuration
	l.Known("ids", c.ids.String())
	l.names()
	l.Known("turn", c.application+"/"+c.environment)
	l.Known("content", "a label of its version")
	l.Known("type", c.kind)
	l.Known("location", awsapi.OneLine(c.location))
	if len(c.validators) > 0 {
		l.Known("validators", strings.Join(c.validators, " "))
	}
	if r := c.serves(); r != "" {
		l.Known("revision", r)
	}
	if d, ok := c.standing(); ok {
		l.Known("standing", strconv.FormatInt(d.number, 10))
	}
	if c.latest.open() {
		l.Known("busy", fmt.Sprintf("%d %s %s", c.latest.number, awsapi.OneLine(c.latest.profile), c.latest.state))
	}
	if b, ok := c.revertible(); ok {
		until := "-"
		if !b.until.IsZero() {
			until = b.until.UTC().Format(time.RFC3339)
		}
		l.Known("revert", fmt.Sprintf("%d %s %s", b.number, b.revision, until))
	}
	if len(c.versions) > 0 {
		l.Known("latest", strconv.FormatInt(c.versions[0].number, 10))
	}
	shown := map[int64]bool{}
	var history []string
	for i, d := range c.all {
		n, revision := c.of(d)
		if i == 0 {
			l.Known("deployment", strconv.FormatInt(d.number, 10))
			l.Known("progress", progressOf(c.last, revision))
		}
		at := d.ended
		if at.IsZero() {
			at = d.started
		}
		if astern.ValidRevision(revision) && d.stands() {
			line, _ := json.Marshal(struct { // texts and a time
				At       time.Time `json:"at"`
				Revision string    `json:"revision"`
			}{at.UTC(), revision})
			history = append(history, string(line))
		}
		if !shown[n] && astern.ValidRevision(revision) {
			shown[n] = true
			l.Known("deployed/"+revision, fmt.Sprintf("%d %s", d.number, d.state))
			if !at.IsZero() {
				l.Known("release-time/"+revision, at.UTC().Format(time.RFC3339))
			}
		}
	}
	if len(history) > 0 {
		slices.Reverse(history)
		l.Known("deployments/history", strings.Join(history, "\n"))
	}
	for i, v := range c.versions {
		if i < maxJudged || shown[v.number] {
			l.Known("version/"+c.names[v.number], strconv.FormatInt(v.number, 10))
			if c.names[v.number] == v.label {
				l.Known("content/"+v.label, "label "+v.label)
			}
			if v.contentType != "" {
				l.Known("content-type/"+c.names[v.number], awsapi.OneLine(v.contentType))
			}
		}
	}
}

// progressOf says how far a deployment is.
func progressOf(d *appconfig.GetDeploymentOutput, revision string) string {
	out := fmt.Sprintf("%d of %s, %s", d.DeploymentNumber, revision, d.State)
	switch d.State {
	case types.DeploymentStateDeploying:
		out += fmt.Sprintf(" to %.0f %%", aws.ToFloat32(d.PercentageComplete))
	case types.DeploymentStateRollingBack, types.DeploymentStateRolledBack, types.DeploymentStateReverted:
		out += ": " + tookBack(d)
	}
	return awsapi.OneLine(out)
}

// tookBack says who took a deployment back, in the words of the cloud.
func tookBack(d *appconfig.GetDeploymentOutput) string {
	for _, e := range d.EventLog { // the newest first
		if e.EventType == types.DeploymentEventTypeRollbackStarted {
			return fmt.Sprintf("%s (%s)", awsapi.OneLine(aws.ToString(e.Description)), e.TriggeredBy)
		}
	}
	return "it was taken back"
}

// askStrategy looks for the strategy of the way back. That there is none is no error.
func (l *look) askStrategy(ctx context.Context) error {
	if !l.Wants("strategy", "strategy/", "arn/strategy") {
		return nil
	}
	s, err := findStrategy(ctx, l.client, l.Strategy)
	switch {
	case astern.CodeOf(err) == astern.NotFound:
		return nil
	case err != nil:
		return err
	}
	l.Known("strategy", aws.ToString(s.Id))
	l.Known("arn/strategy", l.ARN("appconfig", "deploymentstrategy/"+aws.ToString(s.Id)))
	l.Known("strategy/minutes", strconv.Itoa(int(s.DeploymentDurationInMinutes)))
	l.Known("strategy/bake", strconv.Itoa(int(s.FinalBakeTimeInMinutes)))
	growth := "all at once"
	if s.DeploymentDurationInMinutes > 0 {
		growth = fmt.Sprintf("%g %% at a time, over %d min", aws.ToFloat32(s.GrowthFactor), s.DeploymentDurationInMinutes)
		if s.GrowthType == types.GrowthTypeExponential {
			growth = fmt.Sprintf("%g %% and twice as much each time, over %d min", aws.ToFloat32(s.GrowthFactor), s.DeploymentDurationInMinutes)
		}
	}
	l.Known("strategy/growth", growth)
	return nil
}

// findStrategy finds a strategy by its id, or else by its name. It returns a NotFound error when there is none.
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_ListDeploymentStrategies.html
func findStrategy(ctx context.Context, c *appconfig.Client, named string) (types.DeploymentStrategy, error) {
	doing := "looking for the deployment strategy " + named
	var found []types.DeploymentStrategy
	pages := appconfig.NewListDeploymentStrategiesPaginator(c, &appconfig.ListDeploymentStrategiesInput{MaxResults: aws.Int32(50)})
	for seen := 0; pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return types.DeploymentStrategy{}, awsapi.Explain(err, doing, "")
		}
		for _, s := range page.Items {
			if aws.ToString(s.Id) == named {
				return s, nil
			}
			if aws.ToString(s.Name) == named {
				found = append(found, s)
			}
		}
		if seen += len(page.Items); seen > maxNamed {
			return types.DeploymentStrategy{}, astern.Errorf(astern.Refused, "%s: there are more than %d", doing, maxNamed).WithHint("write its id")
		}
	}
	switch len(found) {
	case 0:
		return types.DeploymentStrategy{}, astern.Errorf(astern.NotFound, "%s: there is none of that name or id", doing)
	case 1:
		return found[0], nil
	}
	return types.DeploymentStrategy{}, astern.Errorf(astern.Refused, "%s: %d have that name", doing, len(found)).WithHint("write its id")
}

// maxAlarms is how many alarms one call asks for; an environment has five at most.
const maxAlarms = 100

// askAlarms reads the state of the environment's alarms. One whose actions are off takes no deployment back.
// https://docs.aws.amazon.com/appconfig/latest/userguide/monitoring-deployments.html
func (l *look) askAlarms(ctx context.Context, config aws.Config) {
	if !l.Wants("alarms") || len(l.configuration.monitors) == 0 {
		return
	}
	var names []string
	for _, arn := range l.configuration.monitors[:min(len(l.configuration.monitors), maxAlarms)] {
		parts := strings.SplitN(arn, ":", 7)
		if len(parts) != 7 || parts[3] != config.Region {
			l.Unknown("alarms", astern.Errorf(astern.Invalid, "%q is no alarm of %s", awsapi.OneLine(arn), config.Region))
			return
		}
		names = append(names, parts[6])
	}
	out, err := cloudwatch.NewFromConfig(config).DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: names, AlarmTypes: []alarms.AlarmType{alarms.AlarmTypeMetricAlarm, alarms.AlarmTypeCompositeAlarm}, MaxRecords: aws.Int32(maxAlarms)})
	if err != nil {
		l.Unknown("alarms", awsapi.Explain(err, "reading the alarms of the environment "+l.Environment, strings.Join(names, ", ")))
		return
	}
	states := map[string]string{}
	note := func(name *string, state string, acts *bool) {
		if acts != nil && !*acts {
			state = "OFF"
		}
		states[aws.ToString(name)] = state
	}
	for _, a := range out.MetricAlarms {
		note(a.AlarmName, string(a.StateValue), a.ActionsEnabled)
	}
	for _, a := range out.CompositeAlarms {
		note(a.AlarmName, string(a.StateValue), a.ActionsEnabled)
	}
	var lines []string
	for _, name := range names {
		state, ok := states[name]
		if !ok {
			state = "GONE"
		}
		lines = append(lines, state+" "+awsapi.OneLine(name))
	}
	slices.Sort(lines)
	l.Known("alarms", strings.Join(lines, "\n"))
}

// askFlags reads which flags clients get, and which are on. Of what else is in them nothing is kept.
func (l *look) askFlags(ctx context.Context) error {
	c := l.configuration
	if c.kind != flagType || c.location != hosted || !l.Wants("flags", "flag/") {
		return nil
	}
	n, ok := c.numberOf(c.serves())
	if !ok {
		return nil // nothing is deployed, two versions are, or it was deleted
	}
	content, err := askContent(ctx, l.client, c.ids, n)
	if err != nil {
		return err
	}
	flags, err := readFlags(content)
	for name, is := range flags {
		l.Known("flag/"+name, is)
	}
	return err
}

// numberOf returns the number of the version that is a revision, where it is there.
func (c configuration) numberOf(revision string) (int64, bool) {
	for _, v := range c.versions {
		if c.names[v.number] == revision {
			return v.number, true
		}
	}
	return 0, false
}
