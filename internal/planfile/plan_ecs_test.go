package planfile_test

import "github.com/astern-dev/astern"

// ecsPlan takes an ECS service back: half of the tasks, five minutes of watching, the rest. Between the stages the
// service is in a state of its own, api:42+api:41, on which the second half rests.
func ecsPlan() astern.Plan {
	const api = "production/api"
	p := night("ecs", astern.Intent{Verb: astern.VerbRollback, Addresses: []string{api}, Revision: "api:41", Percent: 50,
		BakeSeconds: 300, WatchSeconds: 1800, Reason: "checkout answers 500 since 02:51"})
	p.Moves = []astern.Move{{Address: api, Kind: "aws.ecs", From: "api:42", To: "api:41", Readiness: astern.Ready, Evidence: []astern.Evidence{
		evidence(astern.Ready, "task definition api:41 is ACTIVE"),
		evidence(astern.Ready, "its image sha256:9d2f… is in the registry"),
		evidence(astern.Ready, "known-good since 2026-11-18T10:20:00Z")}}}
	p.Facts = []astern.Fact{
		fact(api, "revision", "api:42", "2.start", "2.shift", "3.grow", "3.shift", "3.primary", "4.remove"),
		fact(api, "service", "arn:aws:ecs:eu-central-1:111122223333:service/prod/api", "2.start", "3.grow", "3.primary", "4.remove"),
		fact(api, "primary", "ecs-svc/4201", "2.start", "4.remove"),
		fact(api, "task-definition/api:41/image", "sha256:9d2f6f1d1c5b0d8d5a6ad1a4f6a7f3d0f8c9d4a7a3d9b0f2d1c8e7a6b5c4d3e2", "2.start", "3.grow"),
		fact(api, "target-group/blue", "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/api-blue/73e2", "2.shift", "3.shift"),
		fact(api, "target-group/green", "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/api-green/9a01", "2.shift", "3.shift"),
	}
	p.Checks = []astern.Check{
		httpCheck("health", api, astern.HTTPCheck{URL: "https://api.example.com/health"}),
		httpCheck("alive", api, astern.HTTPCheck{URL: "https://api.example.com/me", Status: []int{401}}),
		httpCheck("version", api, astern.HTTPCheck{URL: "https://api.example.com/version", JSONEquals: map[string]string{"task": "api:41"}}),
	}
	p.Stages = ecsStages(api)
	p.Checklist = []astern.Checklist{{Address: api, Items: []astern.ChecklistItem{{Item: "health", Check: "health"},
		{Item: "version", Check: "version"}, {Item: "error-rate"}}}}
	p.Loss = []astern.Loss{}
	p.Estimate = measured(610, 560, 840, 4)
	p.Notes = []string{"api:40 is older and ready too; api:41 is the newest known-good before api:42"}
	return p
}

func ecsStages(api string) []astern.Stage {
	half := astern.Text("api:42+api:41")
	return []astern.Stage{
		{Title: "Latch api:42", OnFailure: astern.OnFailureHold, Steps: []astern.Step{
			more(step("1.latch", api, "ledger latch", "latch api:42", map[string]astern.Arg{"revision": astern.Text("api:42")}), func(s *astern.Step) {
				s.Undo, s.Command = astern.UndoInverse, "astern latch production/api api:42 --reason '…'"
			})}},
		{Title: "Half of the tasks", OnFailure: astern.OnFailureHold, StopWhen: []string{"alive"},
			Gate: &astern.Gate{Checks: []string{"health", "alive"}, BakeSeconds: 300, IntervalSeconds: 10, TimeoutSeconds: 900},
			Steps: []astern.Step{
				more(step("2.start", api, "aws.ecs create-task-set", "start api:41 beside api:42, at 50 %", map[string]astern.Arg{
					"task_definition": astern.Text("api:41"), "scale_percent": astern.Int(50), "subnets": astern.List("subnet-0a1", "subnet-0b2")}), func(s *astern.Step) {
					s.Outputs, s.Undo, s.Guards = map[string]string{"task_set": "string"}, astern.UndoInverse, []string{"1.latch"}
					s.Sets = []astern.Set{{Path: "task-set/api:41", Value: astern.OutputOf("2.start", "task_set")}}
					s.Estimate, s.TimeoutSeconds = measured(95, 80, 140, 4), 900
					s.Command = "aws ecs create-task-set --cluster prod --service api --task-definition api:41 --scale value=50,unit=PERCENT"
				}),
				more(step("2.shift", api, "aws.ecs weigh", "send half of the requests to api:41", map[string]astern.Arg{
					"blue_weight": astern.Int(50), "green_weight": astern.Int(50), "task_set": astern.OutputOf("2.start", "task_set")}), func(s *astern.Step) {
					s.Undo, s.Guards = astern.UndoInverse, []string{"2.start"}
					s.Sets = []astern.Set{{Path: "revision", Value: half}}
					s.Command = "aws elbv2 modify-rule --rule-arn … --actions …"
				})}},
		{Title: "The rest", OnFailure: astern.OnFailureHold, StopWhen: []string{"alive"},
			Gate: &astern.Gate{Checks: []string{"health", "alive", "version"}, BakeSeconds: 60, IntervalSeconds: 10, TimeoutSeconds: 600},
			Steps: []astern.Step{
				more(step("3.grow", api, "aws.ecs scale-task-set", "scale api:41 to 100 %", map[string]astern.Arg{
					"task_set": astern.OutputOf("2.start", "task_set"), "scale_percent": astern.Int(100)}), func(s *astern.Step) {
					s.Undo, s.Estimate, s.TimeoutSeconds = astern.UndoInverse, measured(90, 70, 130, 4), 900
					s.Command = "aws ecs update-task-set --cluster prod --service api --task-set TASK_SET --scale value=100,unit=PERCENT"
				}),
				more(step("3.shift", api, "aws.ecs weigh", "send all requests to api:41", map[string]astern.Arg{
					"blue_weight": astern.Int(0), "green_weight": astern.Int(100)}), func(s *astern.Step) {
					s.Undo, s.Guards = astern.UndoInverse, []string{"3.grow"}
					s.Sets = []astern.Set{{Path: "revision", Value: astern.Text("api:41")}}
					s.Command = "aws elbv2 modify-rule --rule-arn … --actions …"
				}),
				more(step("3.primary", api, "aws.ecs set-primary", "make api:41 primary", map[string]astern.Arg{"task_set": astern.OutputOf("2.start", "task_set")}), func(s *astern.Step) {
					s.Undo, s.Sets = astern.UndoInverse, []astern.Set{{Path: "primary", Value: astern.OutputOf("2.start", "task_set")}}
					s.Command = "aws ecs update-service-primary-task-set --cluster prod --service api --primary-task-set TASK_SET"
				})}},
		{Title: "Remove api:42", OnFailure: astern.OnFailureHold,
			Gate: &astern.Gate{Checks: []string{"health", "alive", "version"}, BakeSeconds: 1800, IntervalSeconds: 30, TimeoutSeconds: 3600},
			Steps: []astern.Step{
				more(step("4.remove", api, "aws.ecs delete-task-set", "remove the tasks of api:42", map[string]astern.Arg{"task_set": astern.Text("ecs-svc/4201")}), func(s *astern.Step) {
					s.Undo, s.Guards = astern.UndoInverse, []string{"3.primary"}
					s.Command = "aws ecs delete-task-set --cluster prod --service api --task-set ecs-svc/4201"
				}),
				more(step("4.record", api, "ledger record", "record that api:41 is deployed", map[string]astern.Arg{"revision": astern.Text("api:41")}), func(s *astern.Step) {
					s.Command = "astern record deploy production/api api:41"
				})}},
	}
}
