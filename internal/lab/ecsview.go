package lab

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// How services, deployments, revisions and tasks look in replies; members as in
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Types.html.

func (s *ecsService) view(tags bool) map[string]any {
	r := &s.rollout
	out := map[string]any{
		"serviceArn": r.ARN, "serviceName": r.Name, "clusterArn": r.Cluster, "status": r.Status,
		"desiredCount": r.Desired, "runningCount": r.count(nil, isRunning), "pendingCount": r.count(nil, isPending),
		"createdAt": epoch(s.created), "createdBy": "arn:aws:iam::" + s.scope.Account + ":root",
		"deploymentConfiguration": r.Config.view(), "deploymentController": map[string]any{"type": "ECS"},
		"schedulingStrategy": "REPLICA", "loadBalancers": []any{}, "serviceRegistries": []any{},
		"placementConstraints": []any{}, "placementStrategy": []any{}, "enableECSManagedTags": false,
		"enableExecuteCommand": false, "propagateTags": "NONE",
	}
	maps.Copy(out, s.settings)
	delete(out, "role")
	put(out, "roleArn", s.settings["role"])
	if s.settings["launchType"] == "FARGATE" {
		out["platformFamily"] = "Linux"
	}
	if tags {
		out["tags"] = append([]any{}, s.tags...)
	}
	deployments := []any{}
	for _, d := range r.Deployments {
		if d.Status != "INACTIVE" {
			deployments = append(deployments, s.deploymentView(d))
		}
	}
	out["deployments"] = deployments
	events := []any{}
	for _, e := range r.Events {
		events = append(events, map[string]any{"id": e.ID, "createdAt": epoch(e.At), "message": e.Message})
	}
	out["events"] = events
	if d := r.primary(); d != nil {
		out["taskDefinition"] = r.revision(d.Revision).TaskDefinition
		revisions := []any{}
		for _, x := range r.Deployments {
			if x.Status != "INACTIVE" {
				revisions = append(revisions, s.revisionSummary(x.Revision, x.Desired))
			}
		}
		out["currentServiceRevisions"] = revisions
		if rec := r.carrier(d); rec.Finished.IsZero() {
			out["currentServiceDeployment"] = rec.ARN
		}
	} else if len(r.Deployments) > 0 {
		out["taskDefinition"] = r.revision(r.Deployments[0].Revision).TaskDefinition
	}
	return out
}

func (r rolloutConfig) view() map[string]any {
	return map[string]any{
		"minimumHealthyPercent": r.Min, "maximumPercent": r.Max, "strategy": "ROLLING",
		"deploymentCircuitBreaker": map[string]any{"enable": r.Breaker, "rollback": r.BreakerRolls},
		"alarms":                   map[string]any{"enable": r.Alarms, "rollback": r.AlarmsRoll, "alarmNames": append([]string{}, r.AlarmNames...)},
	}
}

func (s *ecsService) deploymentView(d *deployment) map[string]any {
	r := &s.rollout
	rev := r.revision(d.Revision)
	out := map[string]any{
		"id": d.ID, "status": d.Status, "taskDefinition": rev.TaskDefinition, "desiredCount": d.Desired,
		"runningCount": r.count(d, isRunning), "pendingCount": r.count(d, isPending), "failedTasks": d.Failed,
		"createdAt": epoch(d.Created), "updatedAt": epoch(d.Updated), "rolloutState": d.State, "rolloutStateReason": d.Reason,
	}
	for _, member := range []string{"launchType", "capacityProviderStrategy", "platformVersion", "networkConfiguration", "serviceConnectConfiguration"} {
		put(out, member, rev.Settings[member])
	}
	return out
}

func (s *ecsService) revisionSummary(arn string, requested int) map[string]any {
	of := func(f func(*task) bool) int {
		return s.rollout.count(nil, func(t *task) bool { return t.Revision == arn && f(t) })
	}
	return map[string]any{"arn": arn, "requestedTaskCount": requested, "runningTaskCount": of(isRunning), "pendingTaskCount": of(isPending)}
}

// taskView is one task. Addresses are made up but stay the same.
func (s *ecsService) taskView(t *task) map[string]any {
	rev := s.rollout.revision(t.Revision)
	arn := s.taskARN(t)
	out := map[string]any{
		"taskArn": arn, "clusterArn": s.rollout.Cluster, "taskDefinitionArn": t.TaskDefinition, "group": "service:" + s.rollout.Name,
		"startedBy": t.Deployment, "lastStatus": t.Last, "desiredStatus": t.Wanted, "healthStatus": t.Health, "version": t.Version,
		"connectivity": "CONNECTED", "availabilityZone": s.scope.Region + "a", "overrides": map[string]any{"containerOverrides": []any{}},
		"attachments": []any{}, "tags": []any{},
	}
	for member, at := range map[string]time.Time{"createdAt": t.Created, "pullStartedAt": t.PullStarted, "pullStoppedAt": t.PullStopped,
		"startedAt": t.Started, "stoppingAt": t.Stopping, "executionStoppedAt": t.Stopping, "stoppedAt": t.Stopped} {
		put(out, member, epoch(at))
	}
	for member, v := range map[string]any{"launchType": rev.Settings["launchType"], "platformVersion": rev.Settings["platformVersion"],
		"cpu": rev.Definition["cpu"], "memory": rev.Definition["memory"], "stopCode": t.StopCode, "stoppedReason": t.StoppedReason} {
		put(out, member, v)
	}
	containers := []any{}
	for _, def := range objectsOf(rev.Definition["containerDefinitions"]) {
		name := textOf(def["name"])
		x := map[string]any{"name": name, "image": def["image"], "taskArn": arn, "lastStatus": t.Last, "healthStatus": t.Health,
			"containerArn": strings.Replace(arn, ":task/", ":container/", 1) + "/" + uuidOf(t.ID, name), "networkBindings": []any{}, "networkInterfaces": []any{}}
		if t.Last == "PROVISIONING" || t.Last == "STOPPING" { // which containers don't know
			x["lastStatus"] = map[string]string{"PROVISIONING": "PENDING", "STOPPING": "RUNNING"}[t.Last]
		}
		if i := slices.IndexFunc(t.Containers, func(c containerState) bool { return c.Name == name }); i >= 0 {
			put(x, "imageDigest", t.Containers[i].Digest)
			put(x, "runtimeId", hexOf(t.ID, name, "runtime"))
			if t.Wanted == "STOPPED" {
				put(x, "reason", t.Containers[i].Reason)
			}
			if e := t.Containers[i].Exit; e != nil && t.Wanted == "STOPPED" {
				x["exitCode"] = *e
			}
		}
		if t.Last == "STOPPED" && x["exitCode"] == nil && !t.Started.IsZero() {
			x["exitCode"] = 143 // SIGTERM, heeded
			if t.StopCode == "EssentialContainerExited" {
				x["exitCode"] = 137
			}
		}
		containers = append(containers, x)
	}
	out["containers"] = containers
	return out
}

func (s *ecsService) recordView(rec *deploymentRecord) map[string]any {
	out := map[string]any{
		"serviceDeploymentArn": rec.ARN, "serviceArn": s.rollout.ARN, "clusterArn": s.rollout.Cluster, "status": rec.Status,
		"deploymentConfiguration": rec.Config.view(), "targetServiceRevision": s.revisionSummary(rec.Target, s.requested(rec.Target)),
		"deploymentCircuitBreaker": map[string]any{"status": rec.Breaker, "failureCount": rec.Failures, "threshold": rec.Threshold},
		"lifecycleStage":           s.stage(rec),
	}
	alarms := map[string]any{"status": rec.AlarmState, "alarmNames": append([]string{}, rec.Config.AlarmNames...)}
	if len(rec.Triggered) > 0 {
		alarms["triggeredAlarmNames"] = rec.Triggered
	}
	out["alarms"] = alarms
	sources := []any{}
	for _, arn := range rec.Sources {
		sources = append(sources, s.revisionSummary(arn, rec.SourceTasks[arn]))
	}
	out["sourceServiceRevisions"] = sources
	put(out, "statusReason", rec.Reason)
	for member, at := range map[string]time.Time{"createdAt": rec.Created, "startedAt": rec.Started, "finishedAt": rec.Finished,
		"stoppedAt": rec.Stopped, "updatedAt": rec.Updated} {
		put(out, member, epoch(at))
	}
	if rec.RollbackTo != "" {
		out["rollback"] = map[string]any{"reason": rec.RollbackReason, "startedAt": epoch(rec.RollbackStarted), "serviceRevisionArn": rec.RollbackTo}
	}
	return out
}

func (s *ecsService) requested(revision string) int {
	for _, d := range s.rollout.Deployments {
		if d.Revision == revision && d.Status != "INACTIVE" {
			return d.Desired
		}
	}
	return 0
}

func (s *ecsService) stage(rec *deploymentRecord) string {
	switch {
	case !rec.Finished.IsZero():
		return "CLEAN_UP"
	case !s.rollout.deployment(rec.Deployment).BakeUntil.IsZero():
		return "BAKE_TIME"
	}
	return "SCALE_UP"
}

func (l *Lab) listServiceDeployments(ctx context.Context, c *Call) Reply {
	named := c.Text("service")
	s, refused := l.service(ctx, c, clusterIn(c.Text("cluster"), named), named)
	if refused != nil {
		return *refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rollout.advance(c.Time, l.ecsWorld(ctx, s))
	wanted := textsOf(c.Input["status"])
	after, hasAfter := numberOf(objectOf(c.Input["createdAt"])["after"])
	before, hasBefore := numberOf(objectOf(c.Input["createdAt"])["before"])
	briefs := []any{}
	for _, rec := range s.rollout.Records {
		at := float64(rec.Created.UnixMilli()) / 1000
		if len(wanted) > 0 && !slices.Contains(wanted, rec.Status) || hasAfter && at <= after || hasBefore && at >= before {
			continue
		}
		b := map[string]any{"serviceDeploymentArn": rec.ARN, "serviceArn": s.rollout.ARN, "clusterArn": s.rollout.Cluster,
			"targetServiceRevisionArn": rec.Target, "status": rec.Status, "createdAt": epoch(rec.Created), "startedAt": epoch(rec.Started)}
		put(b, "finishedAt", epoch(rec.Finished))
		put(b, "statusReason", rec.Reason)
		briefs = append(briefs, b)
	}
	return ecsPage(c, "serviceDeployments", briefs, 100)
}

// clusterIn prefers the cluster that the ARN of a service names.
func clusterIn(cluster, service string) string {
	if parts := strings.Split(service, "/"); len(parts) == 3 {
		return parts[1]
	}
	return cluster
}

// found answers for each of several ARNs below a service, "…:service-deployment/CLUSTER/SERVICE/ID" for one.
func (l *Lab) found(ctx context.Context, c *Call, kind, member, input string, view func(s *ecsService, arn string) map[string]any) Reply {
	arns := textsOf(c.Input[input])
	if len(arns) == 0 || len(arns) > 20 {
		return *ecsError(c, "InvalidParameterException", "Between 1 and 20 ARNs are needed.")
	}
	items, failures := []any{}, []any{}
	for _, arn := range arns {
		at := strings.LastIndex(arn, "/")
		var v map[string]any
		l.states.ecs.mu.Lock()
		s := l.states.ecs.services[scopeOf(c)+strings.Replace(arn[:max(0, at)], ":"+kind+"/", ":service/", 1)]
		l.states.ecs.mu.Unlock()
		if s != nil {
			s.mu.Lock()
			s.rollout.advance(c.Time, l.ecsWorld(ctx, s))
			v = view(s, arn)
			s.mu.Unlock()
		}
		if v == nil {
			failures = append(failures, map[string]any{"arn": arn, "reason": "MISSING"})
			continue
		}
		items = append(items, v)
	}
	return jsonReply(c, http.StatusOK, map[string]any{member: items, "failures": failures})
}

func (l *Lab) describeServiceDeployments(ctx context.Context, c *Call) Reply {
	return l.found(ctx, c, "service-deployment", "serviceDeployments", "serviceDeploymentArns", func(s *ecsService, arn string) map[string]any {
		i := slices.IndexFunc(s.rollout.Records, func(r *deploymentRecord) bool { return r.ARN == arn })
		if i < 0 {
			return nil
		}
		return s.recordView(s.rollout.Records[i])
	})
}

func (l *Lab) describeServiceRevisions(ctx context.Context, c *Call) Reply {
	return l.found(ctx, c, "service-revision", "serviceRevisions", "serviceRevisionArns", func(s *ecsService, arn string) map[string]any {
		r := s.rollout.revision(arn)
		if r == nil {
			return nil
		}
		out := map[string]any{"serviceRevisionArn": r.ARN, "serviceArn": s.rollout.ARN, "clusterArn": s.rollout.Cluster,
			"taskDefinition": r.TaskDefinition, "createdAt": epoch(r.Created)}
		for _, member := range []string{"launchType", "capacityProviderStrategy", "platformVersion", "networkConfiguration", "loadBalancers", "serviceRegistries"} {
			put(out, member, r.Settings[member])
		}
		images := []any{}
		for _, def := range objectsOf(r.Definition["containerDefinitions"]) {
			x := map[string]any{"containerName": def["name"], "image": def["image"]}
			put(x, "imageDigest", r.Images[textOf(def["name"])])
			images = append(images, x)
		}
		out["containerImages"] = images
		return out
	})
}

func (l *Lab) stopServiceDeployment(ctx context.Context, c *Call) Reply {
	arn := c.Text("serviceDeploymentArn")
	at := strings.LastIndex(arn, "/")
	l.states.ecs.mu.Lock()
	s := l.states.ecs.services[scopeOf(c)+strings.Replace(arn[:max(0, at)], ":service-deployment/", ":service/", 1)]
	l.states.ecs.mu.Unlock()
	notFound := ecsError(c, "ServiceDeploymentNotFoundException", "Service deployment not found.")
	if s == nil {
		return *notFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := l.ecsWorld(ctx, s)
	s.rollout.advance(c.Time, w)
	i := slices.IndexFunc(s.rollout.Records, func(r *deploymentRecord) bool { return r.ARN == arn })
	if i < 0 {
		return *notFound
	}
	rec := s.rollout.Records[i]
	if stop := c.Text("stopType"); stop != "" && stop != "ROLLBACK" {
		return *ecsError(c, "InvalidParameterException", "Invalid stopType. The valid values are ROLLBACK.")
	}
	if rec.Status != "IN_PROGRESS" {
		return *ecsError(c, "ConflictException", "The service deployment cannot be stopped because its status is "+rec.Status+".")
	}
	d := s.rollout.deployment(rec.Deployment)
	to := s.rollout.lastCompleted(d)
	if to == nil {
		return *ecsError(c, "InvalidParameterException", "The service deployment can't be rolled back because there is no completed service deployment to roll back to.")
	}
	d.State, d.Reason = "FAILED", "ECS deployment "+d.ID+" stopped by user."
	s.rollout.rollBack(d, to, c.Time, "ECS deployment stopped by user", "Service deployment rolled back because of a user request.")
	s.rollout.advance(c.Time, w)
	return jsonReply(c, http.StatusOK, map[string]any{"serviceDeploymentArn": arn})
}
