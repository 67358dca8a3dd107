package lab

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// ecsState is what the lab remembers of ECS: services and their tasks, which moto never runs, and when task definitions
// came and went. Clusters, task definitions and single tasks are moto's.
type ecsState struct {
	mu       sync.Mutex
	services map[string]*ecsService  // scope and ARN
	defined  map[string]definedTimes // ARN of the task definition
}

// definedTimes are registeredAt and deregisteredAt, which moto doesn't keep.
type definedTimes struct{ registered, deregistered time.Time }

// ecsService guards one service. The scope tells whose it is when the lab itself has to ask moto.
type ecsService struct {
	mu       sync.Mutex
	scope    *Call
	rollout  rollout
	created  time.Time
	asked    string         // the input that created it, for idempotency
	settings map[string]any // members of Service that only need to be shown
	tags     []any
}

func (s *ecsState) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services, s.defined = nil, nil
}

func (s *ecsState) all(c *Call) (out []*ecsService) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, svc := range s.services {
		if c == nil || strings.HasPrefix(key, scopeOf(c)) {
			out = append(out, svc)
		}
	}
	slices.SortFunc(out, func(a, b *ecsService) int { return strings.Compare(a.rollout.ARN, b.rollout.ARN) })
	return out
}

// scopeOf separates what one account has in one region from everything else.
func scopeOf(c *Call) string { return c.Account + "/" + c.Region + "/" }

// ecsClock lets services go on when the clock was stepped, so that what they do then is found in logs, too.
type ecsClock struct {
	*ecsState
	lab *Lab
}

func (e ecsClock) tick(ctx context.Context, _, to time.Time) { e.lab.settleECS(ctx, nil, to) }

// settleECS lets the services do what they do by themselves until now. Whoever takes something away that tasks need (an
// image) calls it first, so that tasks which had started by then have.
func (l *Lab) settleECS(ctx context.Context, c *Call, now time.Time) {
	for _, s := range l.states.ecs.all(c) {
		s.mu.Lock()
		s.rollout.advance(now, l.ecsWorld(ctx, s))
		s.mu.Unlock()
	}
}

func (l *Lab) ecsOverlays() map[string]Overlay {
	own := func(f func(context.Context, *Call) Reply) Overlay {
		return func(ctx context.Context, c *Call, _ Next) Reply { return f(ctx, c) }
	}
	return map[string]Overlay{
		"ecs:CreateService":              own(l.createService),
		"ecs:UpdateService":              own(l.updateService),
		"ecs:DeleteService":              own(l.deleteService),
		"ecs:DescribeServices":           own(l.describeServices),
		"ecs:ListServices":               own(l.listServices),
		"ecs:ListServiceDeployments":     own(l.listServiceDeployments),
		"ecs:DescribeServiceDeployments": own(l.describeServiceDeployments),
		"ecs:DescribeServiceRevisions":   own(l.describeServiceRevisions),
		"ecs:StopServiceDeployment":      own(l.stopServiceDeployment),
		"ecs:ListTasks":                  l.listTasks,
		"ecs:DescribeTasks":              l.describeTasks,
		"ecs:StopTask":                   l.stopTask,
		"ecs:DescribeClusters":           l.describeClusters,
		"ecs:DeleteCluster":              l.deleteCluster,
		"ecs:RegisterTaskDefinition":     l.registerTaskDefinition,
		"ecs:DeregisterTaskDefinition":   l.deregisterTaskDefinition,
		"ecs:DescribeTaskDefinition":     l.describeTaskDefinition,
		"ecs:TagResource":                l.tagService,
		"ecs:UntagResource":              l.untagService,
		"ecs:ListTagsForResource":        l.tagsOfService,
	}
}

// Errors as the API reference words them.
func ecsError(c *Call, code, message string) *Reply {
	r := errorReply(c, http.StatusBadRequest, code, message)
	return &r
}

// cluster returns the ARN of the cluster that a call names, or the refusal.
func (l *Lab) cluster(ctx context.Context, c *Call, named string) (string, *Reply) {
	name := named[strings.LastIndex(named, "/")+1:]
	if name == "" {
		name = "default"
	}
	out, err := l.ask(ctx, "ecs", "DescribeClusters", c, map[string]any{"clusters": []any{name}})
	if err != nil {
		return "", ecsError(c, "ServerException", "The lab could not ask for the cluster "+name+": "+err.Error())
	}
	for _, found := range objectsOf(out["clusters"]) {
		switch {
		case textOf(found["clusterName"]) != name:
		case textOf(found["status"]) == "INACTIVE":
			return "", ecsError(c, "ClusterNotFoundException", "The referenced cluster was inactive.")
		default:
			return textOf(found["clusterArn"]), nil
		}
	}
	return "", ecsError(c, "ClusterNotFoundException", "Cluster not found.")
}

// serviceArn is the long form, with the cluster's name in it.
func serviceArn(cluster, service string) string {
	if strings.HasPrefix(service, "arn:") {
		return service
	}
	return strings.Replace(cluster, ":cluster/", ":service/", 1) + "/" + service
}

// service finds a service by the cluster and the name or ARN that a call gives, without asking moto when it is there.
func (l *Lab) service(ctx context.Context, c *Call, cluster, named string) (*ecsService, *Reply) {
	l.states.ecs.mu.Lock()
	guess := cluster[strings.LastIndex(cluster, "/")+1:]
	if guess == "" {
		guess = "default"
	}
	arn := serviceArn("arn:aws:ecs:"+c.Region+":"+c.Account+":cluster/"+guess, named)
	s := l.states.ecs.services[scopeOf(c)+arn]
	l.states.ecs.mu.Unlock()
	if s != nil {
		return s, nil
	}
	if _, refused := l.cluster(ctx, c, cluster); refused != nil {
		return nil, refused
	}
	return nil, ecsError(c, "ServiceNotFoundException", "Service not found.")
}

// definition finds the task definition that a deployment is asked to use: an ACTIVE one. A family alone means the
// latest that is ACTIVE.
func (l *Lab) definition(ctx context.Context, c *Call, named string) (map[string]any, *Reply) {
	named = l.latestActive(ctx, c, named)
	out, err := l.ask(ctx, "ecs", "DescribeTaskDefinition", c, map[string]any{"taskDefinition": named})
	if err != nil {
		return nil, ecsError(c, "ClientException", "TaskDefinition not found.")
	}
	td := objectOf(out["taskDefinition"])
	if textOf(td["status"]) != "ACTIVE" {
		return nil, ecsError(c, "ClientException", "TaskDefinition is inactive")
	}
	return td, nil
}

// latestActive turns a family into its latest ACTIVE revision; moto takes the latest, also when it is not.
func (l *Lab) latestActive(ctx context.Context, c *Call, named string) string {
	family := named[strings.LastIndex(named, "/")+1:]
	if strings.Contains(family, ":") {
		return named
	}
	out, err := l.ask(ctx, "ecs", "ListTaskDefinitions", c, map[string]any{"familyPrefix": family, "status": "ACTIVE"})
	if err != nil {
		return named
	}
	best, found := 0, named+":0" // which is nobody's
	for _, arn := range textsOf(out["taskDefinitionArns"]) {
		at := strings.LastIndex(arn, ":")
		if n := intOf(arn[at+1:], 0); n > best && strings.HasSuffix(arn[:at], "task-definition/"+family) {
			best, found = n, arn
		}
	}
	return found
}

func (l *Lab) createService(ctx context.Context, c *Call) Reply {
	cluster, refused := l.cluster(ctx, c, c.Text("cluster"))
	if refused != nil {
		return *refused
	}
	name := c.Text("serviceName")
	if name == "" || len(name) > 255 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return *ecsError(c, "InvalidParameterException", "Service name is invalid: up to 255 letters (uppercase and lowercase), numbers, underscores, and hyphens are allowed.")
	}
	td, refused := l.definition(ctx, c, c.Text("taskDefinition"))
	if refused != nil {
		return *refused
	}
	desired := intOf(c.Input["desiredCount"], -1)
	if _, given := c.Input["desiredCount"]; !given {
		return *ecsError(c, "InvalidParameterException", "DesiredCount is required when creating a service with the REPLICA scheduling strategy.")
	}
	if desired < 0 || desired > tasksMost {
		return *ecsError(c, "InvalidParameterException", "Invalid desired count: the lab runs between 0 and 500 tasks of a service.")
	}
	s := &ecsService{scope: &Call{Region: c.Region, Account: c.Account, AccessKey: c.AccessKey}, created: c.Time, settings: map[string]any{}}
	s.rollout = rollout{Name: name, ARN: serviceArn(cluster, name), Cluster: cluster, Status: "ACTIVE", Desired: desired,
		Config: rolloutConfig{Min: 100, Max: 200}, At: c.Time}
	if refused := s.configure(c, td); refused != nil {
		return *refused
	}
	s.tags, _ = c.Input["tags"].([]any)
	asked := maps.Clone(c.Input)
	delete(asked, "clientToken")
	b, _ := json.Marshal(asked) // was JSON
	s.asked = string(b)

	l.states.ecs.mu.Lock()
	if l.states.ecs.services == nil {
		l.states.ecs.services = map[string]*ecsService{}
	}
	key := scopeOf(c) + s.rollout.ARN
	old := l.states.ecs.services[key]
	if old == nil || old.status() == "INACTIVE" {
		l.states.ecs.services[key] = s
		s.mu.Lock()
		defer s.mu.Unlock()
		l.states.ecs.mu.Unlock()
		l.shadow(ctx, s, td)
		w := l.ecsWorld(ctx, s)
		s.rollout.deploy(s.newRevision(td, c.Time), w, c.Time)
		s.rollout.advance(c.Time, w)
		return jsonReply(c, http.StatusOK, map[string]any{"service": s.view(true)})
	}
	l.states.ecs.mu.Unlock()
	switch {
	case old.status() == "DRAINING":
		return *ecsError(c, "InvalidParameterException", "Unable to Start a service that is still Draining.")
	case old.asked != s.asked:
		return *ecsError(c, "InvalidParameterException", "Creation of service was not idempotent.")
	}
	return l.shown(ctx, c, old)
}

// shadow lets moto know that the service is there, empty, because its Application Auto Scaling looks for it.
func (l *Lab) shadow(ctx context.Context, s *ecsService, td map[string]any) {
	in := map[string]any{"cluster": s.rollout.Cluster, "serviceName": s.rollout.Name, "taskDefinition": td["taskDefinitionArn"], "desiredCount": 0}
	_, _ = l.ask(ctx, "ecs", "CreateService", s.scope, in) // without it only that service refuses
}

func (s *ecsService) status() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rollout.Status
}

// shown answers with one service as it is now.
func (l *Lab) shown(ctx context.Context, c *Call, s *ecsService) Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rollout.advance(c.Time, l.ecsWorld(ctx, s))
	return jsonReply(c, http.StatusOK, map[string]any{"service": s.view(true)})
}

// shownOnly are members of the input that the lab keeps and shows; those that are true start a new deployment when they
// change (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html tells for each).
var shownOnly = map[string]bool{"capacityProviderStrategy": true, "launchType": true, "networkConfiguration": true, "platformVersion": true,
	"loadBalancers": true, "serviceRegistries": true, "serviceConnectConfiguration": true, "volumeConfigurations": true,
	"availabilityZoneRebalancing": false, "healthCheckGracePeriodSeconds": false, "enableECSManagedTags": false,
	"enableExecuteCommand": true, "placementConstraints": false, "placementStrategy": false, "propagateTags": false,
	"vpcLatticeConfigurations": true, "role": false}

// configure takes over the settings of a create or update, or says why not.
func (s *ecsService) configure(c *Call, td map[string]any) *Reply {
	if t := textOf(objectOf(c.Input["deploymentController"])["type"]); t != "" && t != "ECS" {
		return notInLab(c, "deploymentController "+t)
	}
	if v := c.Text("schedulingStrategy"); v != "" && v != "REPLICA" {
		return notInLab(c, "schedulingStrategy "+v)
	}
	config := s.rollout.Config
	if refused := config.read(c, objectOf(c.Input["deploymentConfiguration"])); refused != nil {
		return refused
	}
	settings := maps.Clone(s.settings)
	for member := range shownOnly {
		if v, ok := c.Input[member]; ok && v != nil {
			settings[member] = v
		}
	}
	if _, given := settings["capacityProviderStrategy"]; !given && settings["launchType"] == nil {
		settings["launchType"] = "EC2"
	}
	if refused := suits(c, settings, td); refused != nil {
		return refused
	}
	s.rollout.Config, s.settings = config, settings
	return nil
}

// suits checks what ECS checks between service and task definition.
func suits(c *Call, settings, td map[string]any) *Reply {
	fargate := settings["launchType"] == "FARGATE"
	for _, p := range objectsOf(settings["capacityProviderStrategy"]) {
		fargate = fargate || strings.HasPrefix(textOf(p["capacityProvider"]), "FARGATE")
	}
	if fargate && !slices.Contains(textsOf(td["compatibilities"]), "FARGATE") && !slices.Contains(textsOf(td["requiresCompatibilities"]), "FARGATE") {
		return ecsError(c, "InvalidParameterException", "Task definition does not support launch_type FARGATE.")
	}
	network := objectOf(settings["networkConfiguration"])
	switch awsvpc := textOf(td["networkMode"]) == "awsvpc"; {
	case awsvpc && network == nil:
		return ecsError(c, "InvalidParameterException", "Network Configuration must be provided when networkMode 'awsvpc' is specified.")
	case !awsvpc && network != nil:
		return ecsError(c, "InvalidParameterException", "Network Configuration is not valid for the given networkMode of this task definition.")
	}
	return nil
}

func (r *rolloutConfig) read(c *Call, in map[string]any) *Reply {
	if v := textOf(in["strategy"]); v != "" && v != "ROLLING" {
		return notInLab(c, "deployment strategy "+v)
	}
	r.Min, r.Max = intOf(in["minimumHealthyPercent"], r.Min), intOf(in["maximumPercent"], r.Max)
	if b := objectOf(in["deploymentCircuitBreaker"]); b != nil {
		r.Breaker, r.BreakerRolls = truthOf(b["enable"]), truthOf(b["rollback"])
	}
	if a := objectOf(in["alarms"]); a != nil {
		r.Alarms, r.AlarmsRoll, r.AlarmNames = truthOf(a["enable"]), truthOf(a["rollback"]), textsOf(a["alarmNames"])
	}
	switch {
	case r.Min < 0 || r.Max < 0 || r.Max > 10_000:
		return ecsError(c, "InvalidParameterException", "Invalid minimumHealthyPercent or maximumPercent.")
	case r.Max < 100:
		return ecsError(c, "InvalidParameterException", "maximumPercent must be at least 100.")
	case r.Min >= 100 && r.Max == 100:
		return ecsError(c, "InvalidParameterException", "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.")
	case r.Alarms && len(r.AlarmNames) == 0:
		return ecsError(c, "InvalidParameterException", "alarmNames can't be empty when alarms are enabled.")
	}
	return nil
}

// notInLab refuses loudly what the lab can't do as AWS does.
func notInLab(c *Call, what string) *Reply {
	r := errorReply(c, http.StatusNotImplemented, "LabNotImplemented", "The lab has no "+what+" for "+c.Service+":"+c.Operation+".")
	return &r
}

func (s *ecsService) newRevision(td map[string]any, now time.Time) *serviceRevision {
	s.rollout.Serial++
	arn := strings.Replace(s.rollout.ARN, ":service/", ":service-revision/", 1) + "/" + digitsOf(s.rollout.ARN, "revision", s.rollout.Serial)
	r := &serviceRevision{ARN: arn, TaskDefinition: textOf(td["taskDefinitionArn"]), Created: now, Settings: maps.Clone(s.settings)}
	r.Definition = td
	return r
}

func (l *Lab) updateService(ctx context.Context, c *Call) Reply {
	s, refused := l.service(ctx, c, c.Text("cluster"), c.Text("service"))
	if refused != nil {
		return *refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := l.ecsWorld(ctx, s)
	s.rollout.advance(c.Time, w)
	if s.rollout.Status != "ACTIVE" {
		return *ecsError(c, "ServiceNotActiveException", "Service was not ACTIVE.")
	}
	now := s.rollout.revision(s.rollout.primary().Revision)
	td := now.Definition
	if named := c.Text("taskDefinition"); named != "" {
		if td, refused = l.definition(ctx, c, named); refused != nil {
			return *refused
		}
	}
	desired := intOf(c.Input["desiredCount"], s.rollout.Desired)
	if desired < 0 || desired > tasksMost {
		return *ecsError(c, "InvalidParameterException", "Invalid desired count: the lab runs between 0 and 500 tasks of a service.")
	}
	before := s.settings
	if refused := s.configure(c, td); refused != nil {
		return *refused
	}
	if s.rollout.Desired != desired {
		s.rollout.Desired, s.rollout.Steady = desired, false
	}
	if truthOf(c.Input["forceNewDeployment"]) || textOf(td["taskDefinitionArn"]) != now.TaskDefinition || redeploys(before, s.settings) {
		s.rollout.deploy(s.newRevision(td, c.Time), w, c.Time)
	}
	s.rollout.advance(c.Time, w)
	return jsonReply(c, http.StatusOK, map[string]any{"service": s.view(true)})
}

// redeploys tells whether a change of settings starts a new deployment.
func redeploys(before, after map[string]any) bool {
	for member, deploys := range shownOnly {
		if !deploys {
			continue
		}
		a, _ := json.Marshal(before[member]) // were JSON
		b, _ := json.Marshal(after[member])
		if string(a) != string(b) {
			return true
		}
	}
	return false
}

func (l *Lab) deleteService(ctx context.Context, c *Call) Reply {
	s, refused := l.service(ctx, c, c.Text("cluster"), c.Text("service"))
	if refused != nil {
		return *refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := l.ecsWorld(ctx, s)
	s.rollout.advance(c.Time, w)
	switch {
	case s.rollout.Status != "ACTIVE":
		return *ecsError(c, "ServiceNotActiveException", "Service was not ACTIVE.")
	case s.rollout.Desired > 0 && !truthOf(c.Input["force"]):
		return *ecsError(c, "InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
	}
	s.rollout.Status, s.rollout.Desired = "DRAINING", 0
	_, _ = l.ask(ctx, "ecs", "DeleteService", s.scope, map[string]any{"cluster": s.rollout.Cluster, "service": s.rollout.Name, "force": true}) // see shadow
	s.rollout.stopAll(c.Time)
	s.rollout.advance(c.Time, w)
	return jsonReply(c, http.StatusOK, map[string]any{"service": s.view(true)})
}

func (l *Lab) describeServices(ctx context.Context, c *Call) Reply {
	names := textsOf(c.Input["services"])
	switch {
	case len(names) == 0:
		return *ecsError(c, "InvalidParameterException", "Services cannot be empty.")
	case len(names) > 10:
		return *ecsError(c, "InvalidParameterException", "Services cannot have more than 10 elements.")
	}
	services, failures := []any{}, []any{}
	for _, name := range names {
		s, refused := l.service(ctx, c, c.Text("cluster"), name)
		if refused != nil {
			if !strings.Contains(string(refused.Body), "ServiceNotFoundException") {
				return *refused
			}
			cluster := c.Text("cluster")
			arn := serviceArn("arn:aws:ecs:"+c.Region+":"+c.Account+":cluster/"+cluster[strings.LastIndex(cluster, "/")+1:], name)
			failures = append(failures, map[string]any{"arn": arn, "reason": "MISSING"})
			continue
		}
		s.mu.Lock()
		s.rollout.advance(c.Time, l.ecsWorld(ctx, s))
		services = append(services, s.view(slices.Contains(textsOf(c.Input["include"]), "TAGS")))
		s.mu.Unlock()
	}
	return jsonReply(c, http.StatusOK, map[string]any{"services": services, "failures": failures})
}

func (l *Lab) listServices(ctx context.Context, c *Call) Reply {
	cluster, refused := l.cluster(ctx, c, c.Text("cluster"))
	if refused != nil {
		return *refused
	}
	arns := []string{}
	for _, s := range l.states.ecs.all(c) {
		s.mu.Lock()
		launch := c.Text("launchType")
		if s.rollout.Cluster == cluster && s.rollout.Status == "ACTIVE" && (launch == "" || launch == s.settings["launchType"]) {
			arns = append(arns, s.rollout.ARN)
		}
		s.mu.Unlock()
	}
	return ecsPage(c, "serviceArns", arns, 10)
}

// ecsPage answers with one page of a list.
func ecsPage[T any](c *Call, member string, items []T, size int) Reply {
	page, next, ok := paged(items, c.Text("nextToken"), intOf(c.Input["maxResults"], size))
	if !ok {
		return *ecsError(c, "InvalidParameterException", "Invalid token.")
	}
	out := map[string]any{member: page}
	put(out, "nextToken", next)
	return jsonReply(c, http.StatusOK, out)
}
