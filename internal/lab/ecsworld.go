package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// What ECS finds in the account when it starts a task: roles, the registry, secrets, log groups. moto is asked for each;
// what it doesn't have keeps a task from starting, with the reason that AWS gives:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
//
// No code runs, so an image or a task definition says itself how it behaves: LAB_EXIT (exit code of the essential
// container), LAB_EXIT_AFTER (a duration for which it runs before; without, it exits before the task is seen RUNNING),
// LAB_UNHEALTHY (any value: its health check fails), LAB_LOG (its last words). They are read from the container's
// environment, from its docker labels, and from the annotations of the image's manifest, the first that has one. What is
// injected into the environment from a parameter counts when a task starts, as it does in the cloud: so the same image can begin
// to crash. A parameter that holds no number says nothing of LAB_EXIT.

// ecsWorld is the account as service s sees it.
func (l *Lab) ecsWorld(ctx context.Context, s *ecsService) ecsWorld {
	return ecsWorld{
		place:  func() string { return l.placement(ctx, s) },
		launch: func(r *serviceRevision) string { return l.rolesOf(ctx, s.scope, r) },
		pull:   func(r *serviceRevision, t *task, at time.Time) fate { return l.fateOf(ctx, s, r, t.ID, at) },
		alarms: func(names []string, at time.Time) []string { return l.firing(s.scope, names, at) },
		bake:   func(names []string) time.Duration { return l.longestAlarm(s.scope, names) },
		log:    func(lines []logLine, at time.Time) { l.writeLogs(ctx, s.scope, lines, at) },
	}
}

// placement is empty for Fargate, and for EC2 when the cluster has container instances.
func (l *Lab) placement(ctx context.Context, s *ecsService) string {
	if s.settings["launchType"] != "EC2" {
		return ""
	}
	out, err := l.ask(ctx, "ecs", "ListContainerInstances", s.scope, map[string]any{"cluster": s.rollout.Cluster})
	if err == nil && len(textsOf(out["containerInstanceArns"])) > 0 {
		return ""
	}
	return "No Container Instances were found in your cluster."
}

// refusedBy tells whether moto said no, as opposed to not having been reached.
func refusedBy(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}

func (l *Lab) rolesOf(ctx context.Context, scope *Call, r *serviceRevision) string {
	for _, member := range []string{"executionRoleArn", "taskRoleArn"} {
		arn := textOf(r.Definition[member])
		if arn == "" {
			continue
		}
		name := arn[strings.LastIndex(arn, "/")+1:]
		if _, err := l.ask(ctx, "iam", "GetRole", scope, map[string]any{"RoleName": name}); err != nil {
			return "ECS was unable to assume the role '" + arn + "' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
		}
	}
	return ""
}

// failedToStart is the fate of a task that never runs.
func failedToStart(container, reason string) fate {
	f := fate{StopCode: "TaskFailedToStart", Reason: reason}
	if container != "" {
		f.Containers = []containerState{{Name: container, Reason: reason}}
	}
	return f
}

func (l *Lab) fateOf(ctx context.Context, s *ecsService, r *serviceRevision, taskID string, at time.Time) fate {
	defs := objectsOf(r.Definition["containerDefinitions"])
	injected := make([]map[string]string, len(defs))
	for i, def := range defs {
		injected[i] = map[string]string{}
		if why := l.secretsOf(ctx, s.scope, def, injected[i]); why != "" {
			return failedToStart("", why)
		}
	}
	for _, def := range defs {
		if why := l.logGroupOf(ctx, s.scope, def); why != "" {
			return failedToStart("", why)
		}
	}
	f := fate{Digests: map[string]string{}}
	marks := map[string]map[string]string{} // container -> how it behaves
	for i, def := range defs {
		name := textOf(def["name"])
		pinned := r.Images[name]
		if textOf(def["versionConsistency"]) == "disabled" {
			pinned = ""
		}
		digest, annotations, why := l.pullImage(textOf(def["image"]), pinned, at)
		if why != "" {
			return failedToStart(name, why)
		}
		if digest != "" {
			f.Digests[name] = digest
		}
		f.Containers = append(f.Containers, containerState{Name: name, Image: textOf(def["image"]), Digest: digest})
		marks[name] = behaviour(def, annotations)
		maps.Copy(marks[name], injected[i])
	}
	for i, def := range defs {
		f.behave(i, def, marks[textOf(def["name"])], taskID, intOf(s.settings["healthCheckGracePeriodSeconds"], 0))
	}
	return f
}

// behaviour collects what a container says about itself; the environment wins.
func behaviour(def map[string]any, annotations map[string]string) map[string]string {
	out := maps.Clone(annotations)
	if out == nil {
		out = map[string]string{}
	}
	for k, v := range objectOf(def["dockerLabels"]) {
		out[k] = textOf(v)
	}
	for _, e := range objectsOf(def["environment"]) {
		out[textOf(e["name"])] = textOf(e["value"])
	}
	return out
}

// behave adds to the fate of a task what its i-th container does.
func (f *fate) behave(i int, def map[string]any, mark map[string]string, taskID string, grace int) {
	name, essential := textOf(def["name"]), def["essential"] != false
	if check := objectOf(def["healthCheck"]); check != nil && essential {
		f.HealthCheck = true
		interval := time.Duration(intOf(check["interval"], 30)) * time.Second
		f.HealthyAfter = max(f.HealthyAfter, interval)
		if mark["LAB_UNHEALTHY"] != "" {
			wait := time.Duration(grace+intOf(check["startPeriod"], 0)) * time.Second
			f.HealthyAfter, f.UnhealthyAfter = 0, wait+time.Duration(intOf(check["retries"], 3))*interval
		}
	}
	exit, given := mark["LAB_EXIT"]
	if !given || !essential {
		return
	}
	code := intOf(exit, 1)
	f.Containers[i].Exit = &code
	words := mark["LAB_LOG"]
	if words == "" {
		words = fmt.Sprintf("%s: exit status %d", name, code)
	}
	if group, stream, ok := logOf(def, name, taskID); ok {
		f.Log = append(f.Log, logLine{group, stream, words})
	}
	if after, err := time.ParseDuration(mark["LAB_EXIT_AFTER"]); err == nil && after > 0 {
		if f.RunsFor == 0 || after < f.RunsFor {
			f.RunsFor = after
		}
		return
	}
	f.StopCode, f.Reason = "EssentialContainerExited", "Essential container in task exited"
}

// ecrImage takes "ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG@DIGEST" apart; ok is false for other registries.
func ecrImage(image string) (account, region, repository, tag, digest string, ok bool) {
	host, rest, _ := strings.Cut(image, "/")
	parts := strings.Split(host, ".")
	if len(parts) < 6 || parts[1] != "dkr" || parts[2] != "ecr" || parts[4] != "amazonaws" {
		return "", "", "", "", "", false
	}
	rest, digest, _ = strings.Cut(rest, "@")
	repository, tag, _ = strings.Cut(rest, ":")
	if tag == "" && digest == "" {
		tag = "latest"
	}
	return parts[0], parts[3], repository, tag, digest, true
}

// pullImage asks the registry for an image. Registries other than ECR are taken to have everything.
func (l *Lab) pullImage(image, pinned string, now time.Time) (digest string, annotations map[string]string, why string) {
	account, region, repository, tag, wanted, ok := ecrImage(image)
	if !ok {
		return "", nil, ""
	}
	ref := image
	if wanted == "" && pinned != "" {
		wanted = pinned
		ref = strings.TrimSuffix(image, ":"+tag) + "@" + pinned
	}
	img, ok := l.states.ecr.image(account, region, repository, tag, wanted, now)
	if !ok {
		return "", nil, "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref " + ref + ": " + ref + ": not found"
	}
	var manifest struct {
		Annotations map[string]string `json:"annotations"`
	}
	_ = json.Unmarshal([]byte(img.Manifest), &manifest) // other manifests have no annotations
	return img.Digest, manifest.Annotations, ""
}

// secretsOf checks that what the container's secrets name exists. It notes in injected how the container is told to behave by
// a parameter; no other value is kept.
func (l *Lab) secretsOf(ctx context.Context, scope *Call, def map[string]any, injected map[string]string) string {
	const unable = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
	for _, secret := range objectsOf(def["secrets"]) {
		from := textOf(secret["valueFrom"])
		there := *scope
		parts := strings.Split(from, ":")
		if len(parts) >= 7 && parts[0] == "arn" && parts[2] == "secretsmanager" {
			there.Region, there.Account = parts[3], parts[4]
			if why := l.secretVersion(ctx, &there, parts); why != "" {
				return unable + "unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret " + from + " from secrets manager: " + why
			}
			continue
		}
		name := from
		if len(parts) >= 6 && parts[0] == "arn" {
			there.Region, there.Account = parts[3], parts[4]
			name = strings.TrimPrefix(parts[5], "parameter")
			if strings.Count(name, "/") == 1 { // the name of a parameter outside of a hierarchy has no slash
				name = strings.TrimPrefix(name, "/")
			}
		}
		out, err := l.ask(ctx, "ssm", "GetParameters", &there, map[string]any{"Names": []any{name}})
		found := objectsOf(out["Parameters"])
		if err != nil || len(found) == 0 {
			return unable + "unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid parameters: " + name
		}
		if value := textOf(found[0]["Value"]); textOf(secret["name"]) == "LAB_EXIT" && intOf(value, -1) >= 0 {
			injected["LAB_EXIT"] = value
		}
	}
	return ""
}

// secretVersion checks a secret by arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME[:JSON-KEY:STAGE:VERSION].
func (l *Lab) secretVersion(ctx context.Context, there *Call, arn []string) string {
	const missing = "ResourceNotFoundException: Secrets Manager can't find the specified secret"
	out, err := l.ask(ctx, "secretsmanager", "DescribeSecret", there, map[string]any{"SecretId": strings.Join(arn[:7], ":")})
	deleted, _ := numberOf(out["DeletedDate"])
	if err != nil || deleted != 0 {
		return missing + "."
	}
	stage, version := "AWSCURRENT", ""
	if len(arn) >= 9 && arn[8] != "" {
		stage = arn[8]
	}
	if len(arn) >= 10 {
		version = arn[9]
	}
	for id, stages := range objectOf(out["VersionIdsToStages"]) {
		if version != "" && id == version || version == "" && slices.Contains(textsOf(stages), stage) {
			return ""
		}
	}
	return missing + " value for staging label: " + stage
}

// logOf names the group and stream that a container with the awslogs driver writes to.
func logOf(def map[string]any, name, taskID string) (group, stream string, ok bool) {
	config := objectOf(def["logConfiguration"])
	options := objectOf(config["options"])
	group = textOf(options["awslogs-group"])
	stream = taskID
	if prefix := textOf(options["awslogs-stream-prefix"]); prefix != "" {
		stream = prefix + "/" + name + "/" + taskID
	}
	return group, stream, textOf(config["logDriver"]) == "awslogs" && group != ""
}

func (l *Lab) logGroupOf(ctx context.Context, scope *Call, def map[string]any) string {
	group, _, ok := logOf(def, "", "")
	if !ok {
		return ""
	}
	out, err := l.ask(ctx, "logs", "DescribeLogGroups", scope, map[string]any{"logGroupNamePrefix": group})
	for _, g := range objectsOf(out["logGroups"]) {
		if textOf(g["logGroupName"]) == group {
			return ""
		}
	}
	if options := objectOf(objectOf(def["logConfiguration"])["options"]); err == nil && options["awslogs-create-group"] == "true" {
		if _, err := l.ask(ctx, "logs", "CreateLogGroup", scope, map[string]any{"logGroupName": group}); err == nil {
			return ""
		}
	}
	return "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : exit status 1"
}

// writeLogs writes what a container said before it exited. moto refuses times far from the real one, which the lab's may
// be after a step; these lines are then found at the real time.
func (l *Lab) writeLogs(ctx context.Context, scope *Call, lines []logLine, at time.Time) {
	for _, line := range lines {
		stream := map[string]any{"logGroupName": line.Group, "logStreamName": line.Stream}
		if _, err := l.ask(ctx, "logs", "CreateLogStream", scope, stream); err != nil && !refusedBy(err) {
			return // moto is gone: nobody will read them
		}
		for _, when := range []time.Time{at, time.Now()} {
			put := maps.Clone(stream)
			put["logEvents"] = []any{map[string]any{"timestamp": when.UnixMilli(), "message": line.Message}}
			out, err := l.ask(ctx, "logs", "PutLogEvents", scope, put)
			if err == nil && len(objectOf(out["rejectedLogEventsInfo"])) == 0 {
				break
			}
		}
	}
}
