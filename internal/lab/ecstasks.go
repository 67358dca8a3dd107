package lab

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// changed is the call with another input, for moto; for the JSON protocol only.
func changed(c *Call, input map[string]any) *Call {
	d := *c
	d.Input, d.Header = input, c.Header.Clone()
	d.Body, _ = json.Marshal(input) // was JSON
	d.Header.Del("Content-Length")
	d.Header.Del("X-Amz-Content-Sha256")
	return &d
}

// corrected passes a call on and lets fix change what moto answered, unless moto refused.
func corrected(ctx context.Context, c *Call, next Next, fix func(out map[string]any)) Reply {
	r := next(ctx, c)
	if r.Status != http.StatusOK {
		return r
	}
	var out map[string]any
	if json.Unmarshal(r.Body, &out) != nil {
		return r
	}
	fix(out)
	return jsonReply(c, http.StatusOK, out)
}

// listTasks joins the tasks of services with those that moto was asked to run.
func (l *Lab) listTasks(ctx context.Context, c *Call, next Next) Reply {
	cluster, refused := l.cluster(ctx, c, c.Text("cluster"))
	if refused != nil {
		return *refused
	}
	arns := []string{}
	var only *ecsService
	if named := c.Text("serviceName"); named != "" {
		if only, refused = l.service(ctx, c, cluster, named); refused != nil {
			return *refused
		}
	}
	for _, s := range l.states.ecs.all(c) {
		if only != nil && s != only {
			continue
		}
		s.mu.Lock()
		if s.rollout.Cluster == cluster {
			s.rollout.advance(c.Time, l.ecsWorld(ctx, s))
			for _, t := range s.rollout.Tasks {
				if s.listed(t, c) {
					arns = append(arns, s.taskARN(t))
				}
			}
		}
		s.mu.Unlock()
	}
	if only == nil {
		rest := map[string]any{}
		for k, v := range c.Input {
			if k != "nextToken" && k != "maxResults" {
				rest[k] = v
			}
		}
		var out map[string]any
		if r := next(ctx, changed(c, rest)); r.Status == http.StatusOK && json.Unmarshal(r.Body, &out) == nil {
			arns = append(arns, textsOf(out["taskArns"])...)
		}
	}
	return ecsPage(c, "taskArns", arns, 100)
}

// listed tells whether a task fits the filters of a list.
func (s *ecsService) listed(t *task, c *Call) bool {
	wanted := c.Text("desiredStatus")
	if wanted == "" {
		wanted = "RUNNING"
	}
	family := t.TaskDefinition[strings.LastIndex(t.TaskDefinition, "/")+1:]
	family, _, _ = strings.Cut(family, ":")
	for filter, is := range map[string]string{"family": family, "startedBy": t.Deployment, "launchType": textOf(s.settings["launchType"]), "containerInstance": ""} {
		if v := c.Text(filter); v != "" && v != is {
			return false
		}
	}
	return t.Wanted == wanted
}

func (s *ecsService) taskARN(t *task) string {
	return strings.Replace(s.rollout.Cluster, ":cluster/", ":task/", 1) + "/" + t.ID
}

// task finds a task of a service by its id or ARN.
func (l *Lab) task(c *Call, named string) (*ecsService, *task) {
	id := named[strings.LastIndex(named, "/")+1:]
	for _, s := range l.states.ecs.all(c) {
		s.mu.Lock()
		i := slices.IndexFunc(s.rollout.Tasks, func(t *task) bool { return t.ID == id })
		if i >= 0 {
			t := s.rollout.Tasks[i]
			s.mu.Unlock()
			return s, t
		}
		s.mu.Unlock()
	}
	return nil, nil
}

func (l *Lab) describeTasks(ctx context.Context, c *Call, next Next) Reply {
	tasks, failures, rest := []any{}, []any{}, []any{}
	named := textsOf(c.Input["tasks"])
	for _, name := range named {
		s, t := l.task(c, name)
		if t == nil {
			rest = append(rest, name)
			continue
		}
		s.mu.Lock()
		s.rollout.advance(c.Time, l.ecsWorld(ctx, s))
		tasks = append(tasks, s.taskView(t))
		s.mu.Unlock()
	}
	if len(rest) > 0 || len(named) == 0 {
		input := map[string]any{"tasks": rest, "cluster": c.Input["cluster"], "include": c.Input["include"]}
		for k, v := range input {
			if v == nil {
				delete(input, k)
			}
		}
		r := next(ctx, changed(c, input))
		var out map[string]any
		if r.Status != http.StatusOK || json.Unmarshal(r.Body, &out) != nil {
			return r
		}
		theirs := objectsOf(out["tasks"])
		for _, t := range theirs {
			tasks = append(tasks, t)
		}
		for _, name := range textsOf(rest) { // moto is silent about those it doesn't know
			id := name[strings.LastIndex(name, "/")+1:]
			if !slices.ContainsFunc(theirs, func(t map[string]any) bool { return strings.HasSuffix(textOf(t["taskArn"]), "/"+id) }) {
				failures = append(failures, map[string]any{"arn": "arn:aws:ecs:" + c.Region + ":" + c.Account + ":task/" + id, "reason": "MISSING"})
			}
		}
	}
	return jsonReply(c, http.StatusOK, map[string]any{"tasks": tasks, "failures": failures})
}

func (l *Lab) stopTask(ctx context.Context, c *Call, next Next) Reply {
	s, t := l.task(c, c.Text("task"))
	if t == nil {
		return next(ctx, c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := l.ecsWorld(ctx, s)
	s.rollout.advance(c.Time, w)
	if t.Wanted == "RUNNING" {
		reason := c.Text("reason")
		if reason == "" {
			reason = "Task stopped by user"
		}
		s.rollout.end(t, "UserInitiated", reason, c.Time)
		s.rollout.Steady = false
		s.rollout.advance(c.Time, w)
	}
	return jsonReply(c, http.StatusOK, map[string]any{"task": s.taskView(t)})
}

func (l *Lab) describeClusters(ctx context.Context, c *Call, next Next) Reply {
	return corrected(ctx, c, next, func(out map[string]any) {
		for _, found := range objectsOf(out["clusters"]) {
			active, running, pending := 0, 0, 0
			for _, s := range l.states.ecs.all(c) {
				s.mu.Lock()
				if s.rollout.Cluster == textOf(found["clusterArn"]) {
					s.rollout.advance(c.Time, l.ecsWorld(ctx, s))
					active += boolInt(s.rollout.Status == "ACTIVE")
					running += s.rollout.count(nil, isRunning)
					pending += s.rollout.count(nil, isPending)
				}
				s.mu.Unlock()
			}
			found["activeServicesCount"] = active
			found["runningTasksCount"] = intOf(found["runningTasksCount"], 0) + running
			found["pendingTasksCount"] = intOf(found["pendingTasksCount"], 0) + pending
		}
	})
}

func (l *Lab) deleteCluster(ctx context.Context, c *Call, next Next) Reply {
	cluster, refused := l.cluster(ctx, c, c.Text("cluster"))
	if refused != nil {
		return *refused
	}
	for _, s := range l.states.ecs.all(c) {
		s.mu.Lock()
		s.rollout.advance(c.Time, l.ecsWorld(ctx, s))
		status, its := s.rollout.Status, s.rollout.Cluster
		s.mu.Unlock()
		if its == cluster && status != "INACTIVE" {
			return *ecsError(c, "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")
		}
	}
	return next(ctx, c)
}

func (l *Lab) registerTaskDefinition(ctx context.Context, c *Call, next Next) Reply {
	return corrected(ctx, c, next, func(out map[string]any) {
		td := objectOf(out["taskDefinition"])
		l.states.ecs.mu.Lock()
		if l.states.ecs.defined == nil {
			l.states.ecs.defined = map[string]definedTimes{}
		}
		l.states.ecs.defined[scopeOf(c)+textOf(td["taskDefinitionArn"])] = definedTimes{registered: c.Time}
		l.states.ecs.mu.Unlock()
		l.dated(c, td)
		put(out, "tags", c.Input["tags"])
	})
}

// dated adds when a task definition came and went, and who registered it.
func (l *Lab) dated(c *Call, td map[string]any) {
	l.states.ecs.mu.Lock()
	defer l.states.ecs.mu.Unlock()
	at, ok := l.states.ecs.defined[scopeOf(c)+textOf(td["taskDefinitionArn"])]
	if !ok {
		return
	}
	put(td, "registeredAt", epoch(at.registered))
	put(td, "deregisteredAt", epoch(at.deregistered))
	td["registeredBy"] = "arn:aws:iam::" + c.Account + ":root"
}

func (l *Lab) deregisterTaskDefinition(ctx context.Context, c *Call, next Next) Reply {
	return corrected(ctx, c, next, func(out map[string]any) {
		td := objectOf(out["taskDefinition"])
		key := scopeOf(c) + textOf(td["taskDefinitionArn"])
		l.states.ecs.mu.Lock()
		if at, ok := l.states.ecs.defined[key]; ok && at.deregistered.IsZero() {
			at.deregistered = c.Time
			l.states.ecs.defined[key] = at
		}
		l.states.ecs.mu.Unlock()
		l.dated(c, td)
	})
}

func (l *Lab) describeTaskDefinition(ctx context.Context, c *Call, next Next) Reply {
	named := l.latestActive(ctx, c, c.Text("taskDefinition"))
	input := map[string]any{"taskDefinition": named}
	put(input, "include", c.Input["include"])
	return corrected(ctx, changed(c, input), next, func(out map[string]any) { l.dated(c, objectOf(out["taskDefinition"])) })
}

// tagged finds the service whose tags a call is about; nil when it is about something else.
func (l *Lab) tagged(ctx context.Context, c *Call) (*ecsService, *Reply) {
	arn := c.Text("resourceArn")
	if !strings.Contains(arn, ":service/") {
		return nil, nil
	}
	parts := strings.Split(arn, "/")
	return l.service(ctx, c, parts[max(0, len(parts)-2)], arn)
}

func (l *Lab) tagService(ctx context.Context, c *Call, next Next) Reply {
	s, refused := l.tagged(ctx, c)
	switch {
	case refused != nil:
		return *refused
	case s == nil:
		return next(ctx, c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tag := range objectsOf(c.Input["tags"]) {
		s.untag(textOf(tag["key"]))
		s.tags = append(s.tags, tag)
	}
	return jsonReply(c, http.StatusOK, map[string]any{})
}

func (s *ecsService) untag(key string) {
	s.tags = slices.DeleteFunc(slices.Clone(s.tags), func(t any) bool { return textOf(objectOf(t)["key"]) == key })
}

func (l *Lab) untagService(ctx context.Context, c *Call, next Next) Reply {
	s, refused := l.tagged(ctx, c)
	switch {
	case refused != nil:
		return *refused
	case s == nil:
		return next(ctx, c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range textsOf(c.Input["tagKeys"]) {
		s.untag(key)
	}
	return jsonReply(c, http.StatusOK, map[string]any{})
}

func (l *Lab) tagsOfService(ctx context.Context, c *Call, next Next) Reply {
	s, refused := l.tagged(ctx, c)
	switch {
	case refused != nil:
		return *refused
	case s == nil:
		return next(ctx, c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return jsonReply(c, http.StatusOK, map[string]any{"tags": append([]any{}, s.tags...)})
}
