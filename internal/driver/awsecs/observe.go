package awsecs

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// How many revisions are looked at: the newest of the family, beside those that run and those that ran.
const (
	judgedMost   = 64
	newestMost   = 12
	inactiveMost = 6
)

// Observe reads the component's state. The paths:
//
//	arn                   the service: with it account and region
//	status                "ACTIVE"; anything else is being deleted
//	controller            "ECS", or who deploys the service in its place
//	revision              what runs: that of the PRIMARY deployment first, then what is still being replaced, then a share
//	primary               ARN and deployment of what the service is to become: changes with each deployment, and not while one goes on
//	in-progress           "api:42 since TIME, 1 of 2 running"; absent when the service is at rest
//	counts                "2 wanted, 2 running, 0 pending"
//	share                 revision of the temporary service beside it; absent when there is none
//	breaker, alarms       "on, goes back"; alarms by name
//	firing                alarms of the service that are in ALARM
//	not-shared            why no share can be put beside it
//	definitions           why the revisions could not be looked at; absent when they could
//	definition/REV        ARN of the task definition
//	status/REV            ACTIVE or INACTIVE
//	images/REV            a line for each image: container, what became of it, reference, digest (see image)
//	release/REV           hash of the description's ARN and of the images by digest
//	content               what tells revisions of two accounts apart, in words
//	content/REV           its containers and the digests of their images, as they run or would run; absent where one has none
//	release-time/REV      when a deployment of it last was successful
//	needs/REV             a line for each role, secret, parameter, log group and file that its tasks need
//	misfit/REV            why ECS would refuse it for this service; absent when nothing speaks against it
//	missing/REV           those of them that are gone; absent when all are there
//	failures/REV          tasks of it that failed within the last hour, with reason and last words
//	expires/REV           when the registry deletes an image of it: a date, a number of pushes, or "due"; and the rule
func (d *driver) Observe(ctx context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.State{}, err
	}
	l := &look{Sight: awsapi.NewSight(c, scope, d.now()), scope: scope, now: d.now()}
	if l.cloud, err = d.open(ctx, p, false); err == nil {
		l.pair, err = l.askPair(ctx)
	}
	switch {
	case astern.CodeOf(err) == astern.NotFound:
		l.Unknown("revision", astern.Errorf(astern.NotFound, "there is no service %s in the cluster %s in %s", p.Service, p.Cluster, p.Where()))
	case err != nil:
		l.Fail(err, []string{""}, "arn", "revision", "primary")
	default:
		l.plain()
		l.firing(ctx)
		l.revisions(ctx)
	}
	return l.State(), nil
}

// look is one observation.
type look struct {
	cloud
	*awsapi.Sight
	scope astern.Scope
	now   time.Time
	pair  pair
}

// perRevision are the prefixes of the paths that each revision has.
var perRevision = []string{"definition/", "status/", "images/", "release/", "content/", "release-time/", "needs/", "missing/", "failures/", "expires/", "misfit/"}

// plain notes what the service says of itself.
func (l *look) plain() {
	s := l.pair.service
	l.Known("arn", aws.ToString(s.ServiceArn))
	l.Known("content", "the digests of its images")
	l.Known("status", aws.ToString(s.Status))
	controller := types.DeploymentControllerTypeEcs
	if s.DeploymentController != nil && s.DeploymentController.Type != "" {
		controller = s.DeploymentController.Type
	}
	l.Known("controller", string(controller))
	l.Known("primary", identity(primary(s)))
	l.Known("counts", fmt.Sprintf("%d wanted, %d running, %d pending", s.DesiredCount, s.RunningCount, s.PendingCount))
	breaker, alarms := "off", ""
	if conf := s.DeploymentConfiguration; conf != nil {
		if b := conf.DeploymentCircuitBreaker; b != nil && b.Enable {
			breaker = "on"
			if b.Rollback {
				breaker = "on, goes back"
			}
		}
		if conf.Alarms != nil && conf.Alarms.Enable {
			alarms = strings.Join(conf.Alarms.AlarmNames, " ")
		}
	}
	l.Known("breaker", breaker)
	if alarms != "" {
		l.Known("alarms", alarms)
	}
	if why := l.notShared(); why != "" {
		l.Known("not-shared", why)
	}
}

// notShared says why no second service can stand beside the service and take a share of what it does.
func (l *look) notShared() string {
	s, d := l.pair.service, primary(l.pair.service)
	switch {
	case l.beside() == "":
		return "its name is too long for a second one beside it"
	case l.pair.foreign:
		return fmt.Sprintf("there is a service %s that astern did not make", l.beside())
	case s.SchedulingStrategy == types.SchedulingStrategyDaemon:
		return "it runs one task on each machine"
	case s.DesiredCount < 1:
		return "it is to run no task"
	case d.ServiceConnectConfiguration != nil && d.ServiceConnectConfiguration.Enabled && len(d.ServiceConnectConfiguration.Services) > 0:
		return "it is reached by Service Connect, where a name belongs to one service"
	case len(d.VolumeConfigurations) > 0 || len(d.VpcLatticeConfigurations) > 0:
		return "it has volumes or VPC Lattice targets of its own"
	}
	return ""
}

// firing notes which alarms of the service are in ALARM now: those don't watch a deployment that begins.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html
func (l *look) firing(ctx context.Context) {
	conf := l.pair.service.DeploymentConfiguration
	if conf == nil || conf.Alarms == nil || !conf.Alarms.Enable || !l.Wants("firing") {
		return
	}
	c := cloudwatch.NewFromConfig(l.config)
	out, err := c.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: conf.Alarms.AlarmNames,
		AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm, cwtypes.AlarmTypeCompositeAlarm}, StateValue: cwtypes.StateValueAlarm})
	if err != nil {
		l.Unknown("firing", awsapi.Explain(err, "reading the alarms of "+l.Service, strings.Join(conf.Alarms.AlarmNames, " ")))
		return
	}
	var names []string
	for _, a := range out.MetricAlarms {
		names = append(names, aws.ToString(a.AlarmName))
	}
	for _, a := range out.CompositeAlarms {
		names = append(names, aws.ToString(a.AlarmName))
	}
	if slices.Sort(names); len(names) > 0 {
		l.Known("firing", strings.Join(names, " "))
	}
}

// revisions notes what runs and what could.
func (l *look) revisions(ctx context.Context) {
	asked := append([]string{"revision", "in-progress", "share"}, perRevision...)
	if !l.Wants(asked...) {
		return
	}
	running, err := l.askDefinitions(ctx, l.pair.running())
	if err != nil {
		l.Fail(err, perRevision, "revision", "in-progress", "share", "definitions")
		return
	}
	l.runs(running)
	if !l.Wants(perRevision...) {
		return
	}
	all, records, err := l.candidates(ctx, running)
	if err != nil {
		l.Fail(err, perRevision, "definitions")
		return
	}
	l.judge(ctx, all, records)
}

// runs notes what runs.
func (l *look) runs(running []definition) {
	names := map[string]string{}
	var order []string
	for _, arn := range l.pair.running() {
		names[arn] = nameOf(arn) // of one that was deleted while it runs
		for _, d := range running {
			if d.arn() == arn {
				names[arn] = d.name
			}
		}
		if !slices.Contains(order, names[arn]) {
			order = append(order, names[arn])
		}
	}
	l.Known("revision", strings.Join(order, "+"))
	s := l.pair.service
	if p := primary(s); inProgress(s) {
		text := fmt.Sprintf("%s since %s, %d of %d running", names[aws.ToString(p.TaskDefinition)], aws.ToTime(p.CreatedAt).UTC().Format(time.RFC3339), p.RunningCount, s.DesiredCount)
		if p.RolloutState == types.DeploymentRolloutStateFailed {
			text += ", failed: " + awsapi.OneLine(aws.ToString(p.RolloutStateReason))
		}
		l.Known("in-progress", text)
	}
	if l.pair.share != nil {
		name := nameOf(aws.ToString(primary(l.pair.share).TaskDefinition))
		if n, ok := names[aws.ToString(primary(l.pair.share).TaskDefinition)]; ok {
			name = n
		}
		l.Known("share", name)
	}
}

// candidates returns the definitions to look at: those that run, those that were deployed, those that are asked for by name,
// and the newest of the families; each name once.
func (l *look) candidates(ctx context.Context, running []definition) ([]definition, []record, error) {
	records, err := l.askRecords(ctx)
	if err == nil {
		err = l.resolveRecords(ctx, records)
	}
	if err != nil {
		return nil, nil, err
	}
	var arns, wanted []string
	add := func(arn string) {
		if arnShape.MatchString(arn) && !slices.Contains(arns, arn) {
			arns = append(arns, arn)
		}
	}
	for _, arn := range l.pair.running() {
		add(arn)
	}
	families := []string{}
	for _, d := range running {
		if f := aws.ToString(d.Family); !slices.Contains(families, f) {
			families = append(families, f)
		}
	}
	base := ""
	if len(arns) > 0 {
		base = arns[0][:strings.LastIndex(arns[0], "/")+1]
	}
	for _, path := range l.scope.Paths {
		if _, rev, ok := strings.Cut(path, "/"); ok && slices.ContainsFunc(perRevision, func(p string) bool { return strings.HasPrefix(path, p) }) {
			add(base + rev)
			wanted = append(wanted, rev)
		}
	}
	// A name that is asked for may be a copy's, which its ARN does not tell.
	for _, f := range families {
		for _, some := range []struct {
			status types.TaskDefinitionStatus
			most   int
		}{{types.TaskDefinitionStatusActive, newestMost}, {types.TaskDefinitionStatusInactive, inactiveMost}} {
			newest, err := l.askFamily(ctx, f, some.status, some.most)
			if err != nil {
				return nil, nil, err
			}
			for _, arn := range newest {
				add(arn)
			}
		}
	}
	for _, r := range records { // after the newest: a copy is among those, and what was just registered
		add(r.definition)
	}
	known := map[string]bool{}
	for _, d := range running {
		known[d.arn()] = true
	}
	var rest []string
	for _, arn := range arns[:min(len(arns), judgedMost+len(wanted))] {
		if !known[arn] {
			rest = append(rest, arn)
		}
	}
	more, err := l.askDefinitions(ctx, rest)
	if err != nil {
		return nil, nil, err
	}
	return named(append(slices.Clone(running), more...), running), records, nil
}

// named returns one definition for each name: of an original and its copies one that runs, else an ACTIVE one, else the newest.
func named(all, running []definition) []definition {
	runs := map[string]bool{}
	for _, d := range running {
		runs[d.arn()] = true
	}
	rank := func(d definition) int {
		switch {
		case runs[d.arn()] && d.active():
			return 2
		case d.active():
			return 1
		}
		return 0
	}
	best := map[string]definition{}
	var order []string
	for _, d := range all {
		now, ok := best[d.name]
		if !ok {
			order = append(order, d.name)
		}
		if !ok || rank(d) > rank(now) || rank(d) == rank(now) && number(d.arn()) > number(now.arn()) {
			best[d.name] = d
		}
	}
	var out []definition
	for _, name := range order {
		if astern.ValidRevision(name) {
			out = append(out, best[name])
		}
	}
	return out
}

// judge looks at each definition: its images, what it needs, and what became of its tasks.
func (l *look) judge(ctx context.Context, all []definition, records []record) {
	images, needs := &registry{config: l.config, proposed: l.Proposed()}, &provider{config: l.config}
	var failures []failure
	var failed error
	if l.Wants("failures/") {
		failures, failed = l.askFailures(ctx, l.Service)
		if b := l.beside(); failed == nil && l.pair.share != nil {
			var more []failure
			more, failed = l.askFailures(ctx, b)
			failures = append(failures, more...)
		}
	}
	var jobs []func()
	for _, d := range all {
		l.known(&d, records)
		if l.Wants("images/"+d.name, "release/"+d.name, "content/"+d.name, "expires/"+d.name) {
			jobs = append(jobs, func() { l.images(ctx, images, d) })
		}
		if l.Wants("needs/"+d.name, "missing/"+d.name) {
			jobs = append(jobs, func() { l.needs(ctx, needs, d) })
		}
		if l.Wants("failures/" + d.name) {
			jobs = append(jobs, func() {
				if failed != nil {
					l.Unknown("failures/"+d.name, failed)
				} else if text := l.tell(ctx, failures, d.TaskDefinition); text != "" {
					l.Known("failures/"+d.name, text)
				}
			})
		}
	}
	beSideBySide(jobs)
}

// known notes what needs no further call, and which images the definition last ran with.
func (l *look) known(d *definition, records []record) {
	l.Known("definition/"+d.name, d.arn())
	l.Known("status/"+d.name, string(d.Status))
	if why := misfit(*l.pair.service, d.TaskDefinition); why != "" {
		l.Known("misfit/"+d.name, why)
	}
	best := -1
	for i, r := range records {
		if r.definition != d.arn() && r.definition != d.origin() {
			continue
		}
		if r.status == types.ServiceDeploymentStatusSuccessful {
			l.Known("release-time/"+d.name, r.finished.UTC().Format(time.RFC3339))
			best = i
			break
		}
		if best < 0 && len(r.digests) > 0 {
			best = i
		}
	}
	if best >= 0 {
		d.ran = records[best].digests
	}
}

func (l *look) images(ctx context.Context, g *registry, d definition) {
	found, err := g.images(ctx, d)
	if err != nil {
		for _, path := range []string{"images/", "release/", "content/"} {
			l.Unknown(path+d.name, err)
		}
		return
	}
	var lines []string
	for _, i := range found {
		lines = append(lines, i.String())
	}
	l.Known("images/"+d.name, strings.Join(lines, "\n"))
	if text, ok := contentOf(found); ok {
		l.Known("content/"+d.name, text)
	}
	if !slices.ContainsFunc(found, func(i image) bool { return i.state == imageGone && i.digest == "" }) {
		l.Known("release/"+d.name, contentHash(d.origin(), found))
	}
	if text, err := expiry(found, l.now); err != nil {
		l.Unknown("expires/"+d.name, err)
	} else if text != "" {
		l.Known("expires/"+d.name, text)
	}
}

// expiry returns what takes the first of the images away: "due rule …", or lines "at TIME rule 1 of api" and "after 3 rule 2 of api",
// of which nobody can say which comes first, or "pulls rule …" where that depends on when it was last pulled.
func expiry(images []image, now time.Time) (string, error) {
	date, pushes, pulls := "", "", ""
	var first time.Time
	var fewest int
	for _, i := range images {
		if i.repository == nil {
			continue
		}
		if i.repository.policyErr != nil {
			return "", i.repository.policyErr
		}
		f := fateOf(i.repository.policy, i.repository.images, i.digest, now)
		rule := " " + f.rule + " of " + i.repository.name
		switch {
		case f.due:
			return "due" + rule, nil
		case !f.at.IsZero() && (date == "" || f.at.Before(first)):
			date, first = "at "+f.at.UTC().Format(time.RFC3339)+rule, f.at
		case f.pushes > 0 && (pushes == "" || f.pushes < fewest):
			pushes, fewest = "after "+strconv.Itoa(f.pushes)+rule, f.pushes
		case f.pulls && pulls == "":
			pulls = "pulls" + rule
		}
	}
	return strings.Join(slices.DeleteFunc([]string{date, pushes, pulls}, func(s string) bool { return s == "" }), "\n"), nil
}

func (l *look) needs(ctx context.Context, p *provider, d definition) {
	needs := needsOf(d.TaskDefinition)
	if len(needs) == 0 {
		return
	}
	var lines []string
	for _, n := range needs {
		lines = append(lines, awsapi.OneLine(n.kind+" "+n.name))
	}
	l.Known("needs/"+d.name, strings.Join(lines, "\n"))
	if !l.Wants("missing/" + d.name) {
		return
	}
	switch gone, err := p.missing(ctx, needs); {
	case len(gone) > 0:
		l.Known("missing/"+d.name, strings.Join(gone, "\n"))
	case err != nil:
		l.Unknown("missing/"+d.name, err)
	}
}
