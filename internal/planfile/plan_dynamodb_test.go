package planfile_test

import (
	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planfile"
)

const (
	orders     = "production/orders"
	shopConfig = "production/shop-config"
)

// dynamodbPlan restores a table beside the damaged one, puts back what a restore leaves out, proves it, and cuts over by
// a key in the configuration of another component. The name of the new table is known only at run time.
func dynamodbPlan() astern.Plan {
	p := night("dynamodb", astern.Intent{Verb: astern.VerbRestore, Addresses: []string{orders}, Moment: ago("02:48:00"), BakeSeconds: 600,
		Reason: "migration 118 emptied the field total"})
	p.Moves = []astern.Move{
		{Address: orders, Kind: "aws.dynamodb", From: "orders", To: "2026-11-21T02:48:00Z", Readiness: astern.Ready, Evidence: []astern.Evidence{
			evidence(astern.Ready, "PITR reaches from 2026-10-17T03:01:58Z to 2026-11-21T02:57:10Z"),
			evidence(astern.Ready, "restored in a drill on 2026-11-14, checks passed")}},
		{Address: shopConfig, Kind: "aws.appconfig", From: "77", To: "78", Readiness: astern.Ready},
	}
	p.Facts = []astern.Fact{
		fact(orders, "table/id", "0b7e9f62-5a2e-4a8e-9d0e-2f6f4f7f2a11", "1.restore", "5.protect"),
		fact(orders, "table/key", "pk:S,sk:S", "1.restore"),
		{Address: orders, Path: "restored/name", Absent: true, Seen: at("03:01:58"), Steps: []string{"1.restore"}},
		fact(orders, "stream/mapping", "3f1c0d2e-7b1d-4a55-8f4e-0c7a9d6b5e43", "3.mapping"),
		fact(shopConfig, "key/orders/table", "orders", "4.point"),
		fact(shopConfig, "version", "77", "4.point"),
	}
	p.Checks = []astern.Check{
		httpCheck("health", "production/shop", astern.HTTPCheck{URL: "https://shop.example.com/health"}),
		httpCheck("orders-read", orders, astern.HTTPCheck{URL: "https://shop.example.com/internal/orders/probe", JSONEquals: map[string]string{"total_present": "true"},
			SecretHeaders: map[string]astern.Secret{"Authorization": {Env: "PROBE_TOKEN"}}}),
		{Name: "write-and-cancel", Address: orders, Command: &astern.CommandCheck{Argv: []string{"./probe.sh", "order", "--cancel"}}, Effects: astern.EffectsSome,
			TimeoutSeconds: 30, Attempts: 1},
	}
	p.Stages = append(dynamodbRestore(), dynamodbCutOver()...)
	p.Loss = []astern.Loss{{Address: orders, Unit: "items", Count: 312}, {Address: orders, Unit: "seconds", Count: 550}}
	p.Approvals = 1
	p.Estimate = measured(2400, 1900, 3300, 3)
	p.Notes = []string{"312 items written after 02:48:00 stay in the old table, which is kept",
		"migration 118 is not run again: it did the damage"}
	return p
}

func dynamodbRestore() []astern.Stage {
	table := astern.OutputOf("1.restore", "table")
	graft := func(name, title, command string, args map[string]astern.Arg, outputs map[string]string) astern.Step {
		args["table"] = table
		return more(step("2."+name, orders, "aws.dynamodb "+name, title, args), func(s *astern.Step) {
			s.Outputs, s.Command, s.Guards = outputs, command, []string{"1.restore"}
			s.UndoBecause = "the new table carries no requests yet"
		})
	}
	return []astern.Stage{
		{Title: "Restore beside", OnFailure: astern.OnFailureHold, Steps: []astern.Step{
			more(step("1.restore", orders, "aws.dynamodb restore-beside", "restore the table as it was at 02:48:00 under a new name", map[string]astern.Arg{
				"source": astern.Text("orders"), "moment": astern.Text("2026-11-21T02:48:00Z"), "prefix": astern.Text("orders-restored-")}), func(s *astern.Step) {
				s.Outputs = map[string]string{"table": "string", "arn": "string", "items": "int"}
				s.Sets = []astern.Set{{Path: "restored/name", Value: astern.OutputOf("1.restore", "table")}}
				s.UndoBecause = "the new table carries no requests yet"
				s.Estimate, s.TimeoutSeconds, s.SettleSeconds = measured(1500, 1200, 2100, 3), 7200, 60
				s.Command = "aws dynamodb restore-table-to-point-in-time --source-table-name orders --target-table-name TABLE --restore-date-time 2026-11-21T02:48:00Z"
			})}},
		{Title: "Put back what a restore leaves out", OnFailure: astern.OnFailureHold, Parallel: 4, Steps: []astern.Step{
			graft("set-ttl", "TTL on expires_at", "aws dynamodb update-time-to-live …", map[string]astern.Arg{"attribute": astern.Text("expires_at")}, nil),
			graft("enable-stream", "stream with old and new images", "aws dynamodb update-table --stream-specification …",
				map[string]astern.Arg{"view": astern.Text("NEW_AND_OLD_IMAGES")}, map[string]string{"stream_arn": "string"}),
			graft("enable-pitr", "point-in-time recovery", "aws dynamodb update-continuous-backups …", map[string]astern.Arg{"days": astern.Int(35)}, nil),
			graft("tag", "tags", "aws dynamodb tag-resource …", map[string]astern.Arg{"tags": astern.List("team=shop", "data=orders")}, nil),
			graft("put-alarms", "alarms", "aws cloudwatch put-metric-alarm …", map[string]astern.Arg{"alarms": astern.List("orders-throttles", "orders-errors")}, nil),
			graft("scale", "autoscaling", "aws application-autoscaling register-scalable-target …", map[string]astern.Arg{
				"resource": {Ref: &astern.Ref{From: "1.restore", Output: "table", In: "table/{}"}}, "min": astern.Int(5), "max": astern.Int(400)}, nil),
			graft("protect", "deletion protection", "aws dynamodb update-table --deletion-protection-enabled", map[string]astern.Arg{"on": astern.Bool(true)}, nil),
		}},
		{Title: "Bind the stream and prove the table", OnFailure: astern.OnFailureHold, Steps: []astern.Step{
			more(step("3.mapping", orders, "aws.dynamodb bind-stream", "let the function read the new stream", map[string]astern.Arg{
				"stream_arn": astern.OutputOf("2.enable-stream", "stream_arn"), "function": astern.Text("orders-indexer")}), func(s *astern.Step) {
				s.Undo, s.Outputs = astern.UndoInverse, map[string]string{"mapping": "string"}
				s.Sets = []astern.Set{{Path: "stream/mapping", Value: astern.OutputOf("3.mapping", "mapping")}}
				s.Command = "aws lambda create-event-source-mapping …"
			}),
			more(step("3.prove", orders, "aws.dynamodb compare", "compare counts and settings with the old table", map[string]astern.Arg{
				"table": table, "at_least_items": astern.OutputOf("1.restore", "items")}), func(s *astern.Step) {
				s.Outputs = map[string]string{"complete": "bool", "items": "int", "settings_sha256": "string"}
				s.Limits = map[string]string{"complete": "true", "settings_sha256": "5d0c1f7be0a7c9f9c1f0b3c1d9f1a6c2b7e3a8d4f5061728394a5b6c7d8e9f00"}
				s.Guards = []string{"2.set-ttl", "2.enable-stream", "2.enable-pitr", "2.tag", "2.put-alarms", "2.scale", "2.protect", "3.mapping"}
				s.Command, s.TimeoutSeconds = "aws dynamodb describe-table …", 1800
			})}},
	}
}

func dynamodbCutOver() []astern.Stage {
	return []astern.Stage{
		{Title: "Cut over", OnFailure: astern.OnFailureUndo, StopWhen: []string{"health"},
			Gate: &astern.Gate{Checks: []string{"health", "orders-read"}, BakeSeconds: 600, IntervalSeconds: 10, TimeoutSeconds: 1200},
			Steps: []astern.Step{
				more(step("4.point", shopConfig, "aws.appconfig set-key", "point /orders/table to the new table", map[string]astern.Arg{
					"key": astern.Text("/orders/table"), "value": astern.OutputOf("1.restore", "table")}), func(s *astern.Step) {
					s.Undo, s.Guards, s.Outputs = astern.UndoInverse, []string{"3.prove"}, map[string]string{"version": "string"}
					s.Sets = []astern.Set{{Path: "key/orders/table", Value: astern.OutputOf("1.restore", "table")},
						{Path: "version", Value: astern.OutputOf("4.point", "version")}}
					s.Command = "aws appconfig create-hosted-configuration-version …"
				}),
				more(step("4.deploy", shopConfig, "aws.appconfig deploy", "deploy the configuration", map[string]astern.Arg{
					"version": astern.OutputOf("4.point", "version"), "strategy": astern.Text("all-at-once")}), func(s *astern.Step) {
					s.Undo, s.Guards = astern.UndoInverse, []string{"4.point"}
					s.Sets = []astern.Set{{Address: orders, Path: "table/used", Value: astern.OutputOf("1.restore", "table")}}
					s.Command, s.TimeoutSeconds = "aws appconfig start-deployment …", 900
				}),
				more(step("4.ready", orders, "check wait", "wait until orders can be read", map[string]astern.Arg{"check": astern.Text("orders-read")}), func(s *astern.Step) {
					s.Command = "curl https://shop.example.com/internal/orders/probe"
				}),
				more(step("4.try", orders, "check run", "write an order and cancel it", map[string]astern.Arg{"check": astern.Text("write-and-cancel")}), func(s *astern.Step) {
					s.Command = "./probe.sh order --cancel"
				})}},
		{Title: "Keep the old table", OnFailure: astern.OnFailureHold, Steps: []astern.Step{
			more(step("5.protect", orders, "aws.dynamodb protect", "protect the old table from deletion", map[string]astern.Arg{
				"table": astern.Text("orders"), "on": astern.Bool(true)}), func(s *astern.Step) {
				s.Undo, s.Guards, s.Command = astern.UndoInverse, []string{"4.deploy"}, "aws dynamodb update-table --table-name orders --deletion-protection-enabled"
			})}},
	}
}

// dynamodbUndoPlan is what the failure of the cut-over leads to: a child plan that takes its steps back, last first, from
// before-images and outputs. It goes only as far as the world is as the parent left it.
func dynamodbUndoPlan() astern.Plan {
	const restored = "orders-restored-7f3a9c"
	p := night("dynamodb-undo", astern.Intent{Verb: astern.VerbUndo, Addresses: []string{shopConfig}, Execution: "x-20261121-031402",
		Reason: "stage 4 failed: orders-read says total_present is \"false\""})
	p.CreatedAt = at("03:55:30")
	_, parent, err := planfile.Encode(dynamodbPlan())
	if err != nil {
		panic(err)
	}
	p.Parent = parent
	p.Moves = []astern.Move{{Address: shopConfig, Kind: "aws.appconfig", From: "78", To: "79", Readiness: astern.Ready,
		Evidence: []astern.Evidence{{What: "version 77 said orders; version 79 says it again", Readiness: astern.Ready, Seen: at("03:55:29")}}}}
	p.Facts = []astern.Fact{
		{Address: shopConfig, Path: "key/orders/table", Value: restored, Seen: at("03:55:29"), Steps: []string{"1.point"}},
		{Address: shopConfig, Path: "version", Value: "78", Seen: at("03:55:29"), Steps: []string{"1.point"}},
		{Address: orders, Path: "table/id", Value: "0b7e9f62-5a2e-4a8e-9d0e-2f6f4f7f2a11", Seen: at("03:55:29"), Steps: []string{"1.point"}},
	}
	p.Checks = []astern.Check{httpCheck("health", "production/shop", astern.HTTPCheck{URL: "https://shop.example.com/health"})}
	p.Stages = []astern.Stage{{Title: "Take the cut-over back", OnFailure: astern.OnFailureHold,
		Gate: &astern.Gate{Checks: []string{"health"}, BakeSeconds: 60, IntervalSeconds: 10, TimeoutSeconds: 600},
		Steps: []astern.Step{
			more(step("1.point", shopConfig, "aws.appconfig set-key", "point /orders/table to orders again", map[string]astern.Arg{
				"key": astern.Text("/orders/table"), "value": astern.Text("orders")}), func(s *astern.Step) {
				s.Undo, s.Outputs = astern.UndoInverse, map[string]string{"version": "string"}
				s.Sets = []astern.Set{{Path: "key/orders/table", Value: astern.Text("orders")}, {Path: "version", Value: astern.OutputOf("1.point", "version")}}
				s.Command = "aws appconfig create-hosted-configuration-version …"
			}),
			more(step("1.deploy", shopConfig, "aws.appconfig deploy", "deploy the configuration", map[string]astern.Arg{
				"version": astern.OutputOf("1.point", "version"), "strategy": astern.Text("all-at-once")}), func(s *astern.Step) {
				s.Undo, s.Guards, s.Command = astern.UndoInverse, []string{"1.point"}, "aws appconfig start-deployment …"
				s.Sets = []astern.Set{{Address: orders, Path: "table/used", Value: astern.Text("orders")}}
			})}}}
	p.Loss = []astern.Loss{{Address: orders, Unit: "items", Count: 41}}
	p.Approvals = 1
	p.Estimate = guess(60)
	p.Notes = []string{"41 items were written to " + restored + " since the cut-over; the table stays"}
	return p
}
