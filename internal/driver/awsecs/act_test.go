package awsecs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/lab"
)

// breaker switches the circuit breaker on.
func breaker(in *ecs.CreateServiceInput) {
	in.DeploymentConfiguration = &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true}}
}

// Somebody else does something between the look at the service and the call.
func TestSomebodyElse(t *testing.T) {
	a := start(t)
	a.plain = true
	for name, c := range map[string]struct {
		options astern.Options
		do      func(ctx context.Context, w *world) error
		code    astern.Code
		says    string
	}{
		"deploys another revision": {do: func(ctx context.Context, w *world) error {
			w.define(w.ref("v2"))
			w.update(w.name + ":3")
			return nil
		}, code: astern.Refused, says: "somebody else deployed the service in the meantime: NAME:3"},
		"replaces the tasks": {do: func(ctx context.Context, w *world) error {
			_, err := w.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: &w.name, Service: &w.name, ForceNewDeployment: true})
			return err
		}, code: astern.Refused, says: "somebody else deployed the service"},
		"deletes the service": {do: func(ctx context.Context, w *world) error {
			_, err := w.ecs.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: &w.name, Service: &w.name, Force: aws.Bool(true)})
			return err
		}, code: astern.Refused, says: "the service is DRAINING"},
		"deregisters the definition": {do: func(ctx context.Context, w *world) error {
			_, err := w.ecs.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &w.old})
			return err
		}, code: astern.Refused, says: "the task definition is INACTIVE"},
		"takes the name of the temporary service": {options: astern.Options{Percent: 50}, do: func(ctx context.Context, w *world) error {
			_, err := w.ecs.CreateService(ctx, &ecs.CreateServiceInput{Cluster: &w.name, ServiceName: aws.String(w.name + "-astern"), TaskDefinition: &w.old,
				DesiredCount: aws.Int32(0), LaunchType: types.LaunchTypeFargate, NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-1"}}}})
			return err
		}, code: astern.Refused, says: "there is a service NAME-astern already"},
	} {
		t.Run(name, func(t *testing.T) {
			w := a.service(nil)
			w.TB = t
			call := w.call(w.steps(w.old, c.options)[0], nil)
			w.must(c.do(context.Background(), w))
			since := w.seq()
			op := w.driver.Actor.Start(t.Context(), call)
			if op.Status != astern.OpFailed || op.Code != c.code || !strings.Contains(op.Error, strings.ReplaceAll(c.says, "NAME", w.name)) {
				t.Errorf("Start answers %+v", op)
			}
			if n := w.acted("UpdateService", since) + w.acted("CreateService", since); n != 0 {
				t.Errorf("%d calls were made that change something", n)
			}
		})
	}
}

// The one that comes in the moment between the last look and the call is not refused, and neither is who comes after it; but both
// are seen. Where the service is to run theirs nothing is left of the step, which has failed then; where that is the same, it goes on.
func TestOvertaken(t *testing.T) {
	a := start(t)
	a.plain = true
	for name, c := range map[string]struct {
		theirs string // what they have it run, of NAME
		status astern.OpStatus
		says   string
	}{
		"by another revision":         {"NAME:3", astern.OpFailed, "it was done, and somebody else has deployed NAME:3 since"},
		"by new tasks of that itself": {"NAME:1", astern.OpDone, "2 of 2 run NAME:1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := a.service(nil)
			w.TB = t
			w.define(w.ref("v2"))
			call := w.call(w.steps(w.old, astern.Options{})[0], nil)
			op := w.driver.Actor.Start(t.Context(), call)
			if op.Status != astern.OpRunning {
				t.Fatalf("Start answers %+v", op)
			}
			theirs := strings.ReplaceAll(c.theirs, "NAME", w.name)
			_, err := w.ecs.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: &w.name, Service: &w.name, TaskDefinition: &theirs, ForceNewDeployment: true})
			w.must(err)
			op = w.finish(call, op)
			if op.Status != c.status || !strings.Contains(op.Error+op.Progress, strings.ReplaceAll(c.says, "NAME", w.name)) {
				t.Errorf("in the end the step is %+v, want %s with %q", op, c.status, c.says)
			}
			if f := w.driver.Actor.Find(t.Context(), call); f.Answer != astern.FoundYes || f.Op.Status != c.status {
				t.Errorf("Find answers %+v", f)
			}
		})
	}
}

// bad makes a third revision whose tasks don't start.
func (w *world) bad(how map[string]string) string {
	w.Helper()
	w.push("bad", how)
	w.define(w.ref("bad"))
	return w.name + ":3"
}

var crashes = map[string]string{"LAB_EXIT": "3", "LAB_LOG": "panic: no database"}

// The circuit breaker takes a deployment back: the step has failed, with the reason of its tasks and their last words, although
// the service is stable.
func TestBreaker(t *testing.T) {
	a := start(t)
	w := a.service(breaker)
	bad := w.bad(crashes)
	call := w.call(w.steps(bad, astern.Options{Verb: astern.VerbDeploy})[0], nil)
	op := w.finish(call, w.driver.Actor.Start(t.Context(), call))
	for _, says := range []string{"ECS took it back", "runs " + w.new, "circuit breaker", "app ended with 3", "panic: no database"} {
		if !strings.Contains(op.Error, says) {
			t.Errorf("the step says %q, want %q in it", op.Error, says)
		}
	}
	if op.Status != astern.OpFailed || op.Code != astern.Refused {
		t.Errorf("the step is %+v, want that it failed without effect", op)
	}
	if got := w.observe("revision", "in-progress"); got.Values["revision"].Text != w.new || len(got.Values) != 1 {
		t.Errorf("the service is %+v, want %s", got.Values, w.new)
	}
	f := w.driver.Actor.Find(t.Context(), call)
	if f.Answer != astern.FoundYes || f.Op.Status != astern.OpFailed {
		t.Errorf("Find answers %+v, want the failure", f)
	}
	w.history.Deployments = append(w.history.Deployments, astern.Deployment{Revision: bad})
	if e := fmt.Sprint(w.target(w.observe(), bad).Evidence); !strings.Contains(e, "of its tasks failed") || !strings.Contains(e, "panic: no database") {
		t.Errorf("the evidence of %s is %s", bad, e)
	}
}

// Without going back, a failed deployment leaves the service half-way: that is for a person, who goes back by a way of his own.
func TestStalled(t *testing.T) {
	a := start(t)
	w := a.service(func(in *ecs.CreateServiceInput) {
		breaker(in)
		in.DeploymentConfiguration.DeploymentCircuitBreaker.Rollback = false
	})
	bad := w.bad(crashes)
	call := w.call(w.steps(bad, astern.Options{Verb: astern.VerbDeploy})[0], nil)
	op := w.finish(call, w.driver.Actor.Start(t.Context(), call))
	if op.Status != astern.OpUnsure || !strings.Contains(op.Error, "was not taken back") || !strings.Contains(op.Error, "panic: no database") {
		t.Errorf("the step is %+v", op)
	}
	if f := w.driver.Actor.Find(t.Context(), call); f.Answer != astern.FoundUnknown || !strings.Contains(f.Because, "not taken back") {
		t.Errorf("Find answers %+v", f)
	}
	if got := w.observe("revision").Values["revision"].Text; got != bad+"+"+w.new {
		t.Errorf("the revision is %s", got)
	}
	w.carry(w.steps(w.new, astern.Options{}))
	if got := w.observe("revision").Values["revision"].Text; got != w.new {
		t.Errorf("after going back the revision is %s", got)
	}
}

// A deployment that is in progress is superseded, which the plan says; one of the target itself is left alone.
func TestInProgress(t *testing.T) {
	a := start(t)
	a.plain = true
	w := a.service(nil)
	bad := w.bad(map[string]string{"LAB_EXIT": "1"})
	w.update(bad)
	a.later(10 * time.Second)
	r, err := w.route(w.new, astern.Options{})
	w.must(err)
	notes := strings.Join(r.Notes, "\n")
	for _, says := range []string{"is in progress (" + bad, "takes its place", "app ended with 1", "no circuit breaker"} {
		if !strings.Contains(notes, says) {
			t.Errorf("the notes are %q, want %q in them", notes, says)
		}
	}
	if r.From != bad+"+"+w.new {
		t.Errorf("the way begins at %s", r.From)
	}
	if _, err := w.route(bad, astern.Options{Verb: astern.VerbDeploy}); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "in progress already") {
		t.Errorf("a deployment of what is being deployed: %v", err)
	}
	a.later(20 * time.Second) // which changes no fact of the way: its progress is none
	s := w.observe()
	for _, f := range r.Facts {
		if v, ok := s.Get(f.Path); ok == f.Absent || v.Text != f.Value {
			t.Errorf("the fact %s was %q and is %q although nobody did anything", f.Path, f.Value, v.Text)
		}
	}
	w.carry(r.Stages[0].Steps)
	if got := w.observe("revision").Values["revision"].Text; got != w.new {
		t.Errorf("in the end it runs %s", got)
	}
}

// Half of the tasks, then all: the service keeps its own tasks until the share has proven itself.
func TestShare(t *testing.T) {
	a := start(t)
	a.plain = true
	w := a.service(nil)
	r, err := w.route(w.old, astern.Options{Percent: 50, BakeSeconds: 300, GateSeconds: 60})
	w.must(err)
	if len(r.Stages) != 3 || r.Stages[0].Gate == nil || r.Stages[0].Gate.BakeSeconds != 300 {
		t.Fatalf("the stages are %+v", r.Stages)
	}
	for i, want := range []string{w.new + "+" + w.old, w.old, w.old} {
		w.carry(r.Stages[i].Steps)
		s := w.observe("revision", "share", "counts")
		if got := s.Values["revision"].Text; got != want {
			t.Errorf("after stage %d it runs %s, want %s", i, got, want)
		}
		if _, shared := s.Get("share"); shared != (i < 2) || s.Values["counts"].Text != "2 wanted, 2 running, 0 pending" {
			t.Errorf("after stage %d: %+v", i, s.Values)
		}
	}
	for percent, want := range map[int]int64{1: 1, 25: 1, 33: 1, 34: 2, 50: 2, 90: 2} {
		step := w.steps(w.new, astern.Options{Percent: percent})[0]
		if got := step.Args["count"].Literal; got != want {
			t.Errorf("%d %% of two tasks are %v beside, want %d", percent, got, want)
		}
	}
	// Undone after the share: only the temporary service goes.
	share := w.carry(w.steps(w.new, astern.Options{Percent: 50})[:1])[0]
	undo, err := w.driver.Router.Undo(w.c, share, nil)
	w.must(err)
	w.carry(undo)
	if s := w.observe("revision", "share"); s.Values["revision"].Text != w.old || len(s.Values) != 1 {
		t.Errorf("after the undo: %+v", s.Values)
	}
	// Left over by a way that was not gone to its end: gone over at once, and deleted.
	w.carry(w.steps(w.new, astern.Options{Percent: 50})[:1])
	r, err = w.route(w.new, astern.Options{Percent: 50})
	w.must(err)
	if !strings.Contains(fmt.Sprint(r.Notes), "left over") {
		t.Errorf("the notes are %q", r.Notes)
	}
	var steps []astern.Step
	for _, st := range r.Stages {
		steps = append(steps, st.Steps...)
	}
	w.carry(steps)
	if s := w.observe("revision", "share"); s.Values["revision"].Text != w.new || len(s.Values) != 1 {
		t.Errorf("in the end: %+v", s.Values)
	}
}

// Who is held up before it ends a share, while somebody ends it and puts another one beside the service, leaves that alone.
func TestEndShareOvertaken(t *testing.T) {
	a := start(t)
	a.plain = true
	w := a.service(nil)
	share := func() []astern.Step {
		done := w.carry(w.steps(w.old, astern.Options{Percent: 50})[:1])
		undo, err := w.driver.Router.Undo(w.c, done[0], nil)
		w.must(err)
		return undo
	}
	undo := share()
	older := w.call(undo[0], nil)
	w.carry(undo)
	share()
	before := w.snapshot()
	op := w.driver.Actor.Start(t.Context(), older)
	if op.Status != astern.OpFailed || op.Code != astern.Refused || !strings.Contains(op.Error, "somebody else put another one there in the meantime") {
		t.Errorf("overtaken it says %+v", op)
	}
	if diff := cmp.Diff(before, w.snapshot()); diff != "" {
		t.Errorf("what the newer one made was changed (-newer +older):\n%s", diff)
	}
	if f := w.driver.Actor.Find(t.Context(), older); f.Answer != astern.FoundUnknown || !strings.Contains(f.Because, "somebody else put it there") {
		t.Errorf("found: %+v", f)
	}
}

// A share whose tasks don't start costs nothing: the service goes on as it was.
func TestShareFails(t *testing.T) {
	a := start(t)
	w := a.service(nil)
	bad := w.bad(crashes)
	call := w.call(w.steps(bad, astern.Options{Verb: astern.VerbDeploy, Percent: 50})[0], nil)
	op := w.finish(call, w.driver.Actor.Start(t.Context(), call))
	if op.Status != astern.OpUnsure || !strings.Contains(op.Error, "panic: no database") || !strings.Contains(op.Error, "the service itself runs as before") {
		t.Errorf("the step is %+v", op)
	}
	if got := w.observe("counts").Values["counts"].Text; got != "2 wanted, 2 running, 0 pending" {
		t.Errorf("the service has %s", got)
	}
	undo, err := w.driver.Router.Undo(w.c, call, nil)
	w.must(err)
	w.carry(undo)
	if s := w.observe("revision", "share"); s.Values["revision"].Text != w.new || len(s.Values) != 1 {
		t.Errorf("after the undo: %+v", s.Values)
	}
}

// What can't be shared goes over at once, and the plan says why.
func TestNotShared(t *testing.T) {
	a := start(t)
	a.plain = true
	for name, c := range map[string]struct {
		conf func(*ecs.CreateServiceInput)
		says string
	}{
		"no task": {func(in *ecs.CreateServiceInput) { in.DesiredCount = aws.Int32(0) }, "it is to run no task"},
		"Service Connect": {func(in *ecs.CreateServiceInput) {
			in.ServiceConnectConfiguration = &types.ServiceConnectConfiguration{Enabled: true, Services: []types.ServiceConnectService{{PortName: aws.String("http")}}}
		}, "it is reached by Service Connect"},
	} {
		t.Run(name, func(t *testing.T) {
			w := a.service(c.conf)
			w.TB = t
			r, err := w.route(w.old, astern.Options{Percent: 50})
			w.must(err)
			if len(r.Stages) != 1 || !strings.Contains(fmt.Sprint(r.Notes), "goes over at once and not after 50 %: "+c.says) {
				t.Errorf("%d stages, notes %q", len(r.Stages), r.Notes)
			}
		})
	}
}

// What is INACTIVE or untagged comes back as a copy that runs the very image that ran, under its name.
func TestRegisteredAgain(t *testing.T) {
	a := start(t)
	a.plain = true
	for name, spoil := range map[string]func(ctx context.Context, w *world) error{
		"INACTIVE": func(ctx context.Context, w *world) error {
			_, err := w.ecs.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &w.old})
			return err
		},
		"the tag moved": func(_ context.Context, w *world) error { w.push("v1", crashes); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := a.service(nil)
			w.TB = t
			before := w.observe("release/"+w.old, "images/"+w.old)
			digest := readImages(before.Values["images/"+w.old].Text)[0].digest
			w.must(spoil(t.Context(), w))
			steps := w.steps(w.old, astern.Options{})
			if b, _ := json.Marshal(steps); strings.Contains(string(b), inTheClear) {
				t.Error("the plan holds a value of the environment")
			}
			w.carry(steps)
			s := w.observe()
			for path, want := range map[string]string{"revision": w.old, "status/" + w.old: "ACTIVE", "release/" + w.old: before.Values["release/"+w.old].Text} {
				if got := s.Values[path].Text; got != want {
					t.Errorf("%s is %q, want %q", path, got, want)
				}
			}
			if got := nameOf(s.Values["definition/"+w.old].Text); got != w.name+":3" {
				t.Errorf("%s is %s, want the copy", w.old, got)
			}
			list, err := w.ecs.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: &w.name})
			w.must(err)
			tasks, err := w.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: &w.name, Tasks: list.TaskArns})
			w.must(err)
			for _, task := range tasks.Tasks {
				if got := aws.ToString(task.Containers[0].ImageDigest); got != digest {
					t.Errorf("a task runs %s, want %s", got, digest)
				}
			}
			copied, err := w.ecs.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(w.name + ":3")})
			w.must(err)
			if env := copied.TaskDefinition.ContainerDefinitions[0].Environment; len(env) != 1 || *env[0].Value != inTheClear {
				t.Errorf("the copy has the environment %v", env)
			}
			if e := w.target(s, w.old); !e.Current {
				t.Errorf("%s is not shown as what runs", w.old)
			}
		})
	}
}

// The tasks are replaced by new ones of the same revision, of the image that ran even where its tag has moved.
func TestRedeploy(t *testing.T) {
	a := start(t)
	a.plain = true
	w := a.service(nil)
	primaryWas := w.observe("primary").Values["primary"].Text
	w.carry(w.steps(w.new, astern.Options{Verb: astern.VerbRedeploy}))
	s := w.observe("primary", "revision")
	if s.Values["revision"].Text != w.new || s.Values["primary"].Text == primaryWas {
		t.Errorf("after the redeployment: %+v, before %s", s.Values, primaryWas)
	}
	w.push("v2", crashes)
	steps := w.steps(w.new, astern.Options{Verb: astern.VerbRedeploy})
	if !slices.ContainsFunc(steps, func(s astern.Step) bool { return s.Verb == verbRegister }) {
		t.Fatalf("the tag has moved, and the way is %+v", steps)
	}
	w.carry(steps)
	if got := w.observe("revision").Values["revision"].Text; got != w.new {
		t.Errorf("it runs %s", got)
	}
	if r, err := w.route(w.new, astern.Options{}); err != nil || len(r.Stages) != 0 {
		t.Errorf("a way to what runs: %+v, %v", r, err)
	}
}

// The rules of the registry close doors, by date and by how many images are pushed.
func TestDoors(t *testing.T) {
	a := start(t)
	a.plain = true
	w := a.service(nil)
	pushed := a.Now()
	for policy, check := range map[string]func(astern.Door) bool{
		`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":5},"action":{"type":"expire"}}]}`: func(d astern.Door) bool {
			return d.Deployments == 4 && d.At == nil
		},
		`{"rules":[{"rulePriority":7,"selection":{"tagStatus":"tagged","tagPrefixList":["v"],"countType":"sinceImagePushed","countUnit":"days","countNumber":14},"action":{"type":"expire"}}]}`: func(d astern.Door) bool {
			return d.At != nil && d.At.After(pushed.AddDate(0, 0, 13)) && d.At.Before(pushed.AddDate(0, 0, 15)) && strings.Contains(d.What, "rule 7 of "+w.name)
		},
	} {
		_, err := w.ecr.PutLifecyclePolicy(t.Context(), &ecr.PutLifecyclePolicyInput{RepositoryName: &w.name, LifecyclePolicyText: &policy})
		w.must(err)
		if doors := w.target(w.observe(), w.old).Doors; len(doors) != 1 || !check(doors[0]) {
			t.Errorf("with %s the doors are %+v", policy, doors)
		}
	}
}

// A policy that is not in force yet is judged as if it were, and what a way rests on has the names of those who delete it.
func TestProposed(t *testing.T) {
	a := start(t)
	w := a.service(nil)
	repository := repositoryARN(lab.Account, "eu-central-1", w.name)
	s, err := w.driver.Observer.Observe(t.Context(), w.c, astern.Scope{Proposed: map[string]string{repository: `{"rules":[{"rulePriority":3,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":2},"action":{"type":"expire"}}]}`}})
	w.must(err)
	target := w.target(s, w.old)
	if len(target.Doors) != 1 || target.Doors[0].Deployments != 1 {
		t.Errorf("the doors are %+v, want one that the next image closes", target.Doors)
	}
	if now := w.target(w.observe(), w.old); len(now.Doors) != 0 {
		t.Errorf("the policy that is not in force closes %+v", now.Doors)
	}
	image := readImages(s.Values["images/"+w.old].Text)[0]
	for _, need := range []string{s.Values["arn"].Text, s.Values["definition/"+w.old].Text, repository, image.pinned(), w.secret, w.name, "arn:aws:iam::" + lab.Account + ":role/" + w.name} {
		if !slices.Contains(target.Needs, need) {
			t.Errorf("the way needs %q, and %s is not among it", target.Needs, need)
		}
	}
}

func TestDiscover(t *testing.T) {
	a := start(t)
	a.plain = true
	w := a.service(nil)
	w.carry(w.steps(w.old, astern.Options{Percent: 50})[:1])
	found, err := a.driver.Discoverer.Discover(t.Context(), []string{"aws:"})
	w.must(err)
	if len(found) != 1 || found[0].Settings.(Settings).Cluster != w.name || found[0].Settings.(Settings).Service != w.name || found[0].Settings.(Settings).Region != "eu-central-1" {
		t.Errorf("found %+v, want the service alone", found)
	}

	// It goes from cluster to cluster by pages that can be kept, and over one that was deleted since.
	first, next, err := a.driver.Pager.DiscoverPage(t.Context(), "aws:", "")
	w.must(err)
	if len(first) != 1 || next != "" {
		t.Errorf("the first page is %+v and the next %q", first, next)
	}
	gone := spot{Clusters: []string{"arn:aws:ecs:eu-central-1:" + lab.Account + ":cluster/gone", "arn:aws:ecs:eu-central-1:" + lab.Account + ":cluster/" + w.name}}
	second, next, err := a.driver.Pager.DiscoverPage(t.Context(), "aws:", *gone.token())
	w.must(err)
	if len(second) != 0 || next == "" {
		t.Errorf("a cluster that is gone: %+v, and the next page is %q", second, next)
	}
	if third, end, err := a.driver.Pager.DiscoverPage(t.Context(), "aws:", next); err != nil || len(third) != 1 || end != "" {
		t.Errorf("the cluster after it: %+v, %q, %v", third, end, err)
	}
	if _, _, err := a.driver.Pager.DiscoverPage(t.Context(), "aws:", "nonsense"); astern.CodeOf(err) != astern.Invalid {
		t.Errorf("a page that is none: %v", err)
	}
}

func TestSettings(t *testing.T) {
	for with, want := range map[string]string{
		`{"service":"shop"}`: "",
		`{"cluster":"main","service":"shop_1","region":"eu-central-1"}`: "",
		`{"cluster":"main"}`:                 "service",
		`{"cluster":"a/b","service":"shop"}`: "cluster",
		`{"service":"arn:aws:ecs:eu-central-1:123456789012:service/main/shop"}`: "service",
		`{"service":"../shop"}`:            "service",
		`{"service":"shop","account":"1"}`: "account",
	} {
		c := astern.Component{Environment: "test", Name: "shop", Kind: Kind, Settings: json.RawMessage(with)}
		problems := validator{}.Validate(c)
		if want == "" && len(problems) > 0 || want != "" && (len(problems) != 1 || problems[0].Path != want) {
			t.Errorf("%s: the problems are %+v, want one of %q", with, problems, want)
		}
	}
	c := astern.Component{Environment: "test", Name: "shop", Kind: Kind, Settings: json.RawMessage(`{"service":"shop","servise":"x"}`)}
	if problems := (validator{}).Validate(c); len(problems) != 1 {
		t.Errorf("an unknown setting: %+v", problems)
	}
}
