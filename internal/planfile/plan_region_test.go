package planfile_test

import "github.com/astern-dev/astern"

// regionPlan fails over to another region while the primary can't be asked: what is unknown is said, and a person takes
// it upon himself. If one of the unknown facts becomes known on the way, the execution holds.
func regionPlan() astern.Plan {
	const (
		db     = "production/db"
		config = "production/shop-config"
		dns    = "production/dns"
	)
	p := night("region", astern.Intent{Verb: astern.VerbFailover, Addresses: []string{db}, BakeSeconds: 120, Reason: "eu-central-1 does not answer since 02:57"})
	p.Moves = []astern.Move{
		{Address: db, Kind: "aws.rds", From: "eu-central-1", To: "eu-west-1", Readiness: astern.AtRisk, Evidence: []astern.Evidence{
			evidence(astern.Ready, "replica db-west runs the same engine version 17.6"),
			evidence(astern.AtRisk, "last replication lag seen: 4 s at 02:56:50, five minutes ago"),
			evidence(astern.ReadyUnknown, "whether the old primary still takes writes can't be asked")}},
		{Address: config, Kind: "aws.ssm", From: "12", To: "13", Readiness: astern.Ready},
		{Address: dns, Kind: "aws.route53", From: "eu-central-1", To: "eu-west-1", Readiness: astern.Ready},
	}
	const silent = "rds.eu-central-1.amazonaws.com: no connection within 10 s, asked 6 times since 02:57:12"
	p.Facts = []astern.Fact{
		{Address: db, Path: "eu-central-1/role", Unknown: silent, Seen: at("03:01:50"), Steps: []string{"1.promote", "2.point", "3.switch"}},
		{Address: db, Path: "eu-central-1/writable", Unknown: silent, Seen: at("03:01:50"), Steps: []string{"1.promote"}},
		fact(db, "eu-west-1/role", "replica", "1.promote"),
		fact(db, "eu-west-1/source", "arn:aws:rds:eu-central-1:111122223333:db:shop", "1.promote"),
		fact(db, "eu-west-1/resource-id", "db-7XQ2ZJ5ZKYEXAMPLE", "1.promote", "2.point"),
		fact(config, "key/shop/database-url", "v12:6f1ed002", "2.point"),
		fact(dns, "record/shop.example.com", "ALIAS shop-central.elb.amazonaws.com", "3.switch"),
	}
	p.Accepts = []astern.Accept{
		{What: "fact " + db + " eu-central-1/role", By: "mona", Because: "the provider's status page says the region is down"},
		{What: "fact " + db + " eu-central-1/writable", By: "mona", Because: "all clients read the address from the configuration, and DNS moves with it"},
		{What: "loss " + db + " seconds", By: "mona", Because: "waiting costs more orders than 4 s of writes"},
	}
	p.Checks = []astern.Check{
		{Name: "database", Address: db, TCP: &astern.TCPCheck{Address: "db-west.internal.example.com:5432"}, Effects: astern.EffectsNone, TimeoutSeconds: 3, Attempts: 3, IntervalSeconds: 2},
		httpCheck("health", "production/shop", astern.HTTPCheck{URL: "https://shop-west.example.com/health", JSONEquals: map[string]string{"db.writable": "true"}}),
	}
	p.Stages = []astern.Stage{
		{Title: "Promote the replica", OnFailure: astern.OnFailureHold,
			Gate: &astern.Gate{Checks: []string{"database"}, BakeSeconds: 0, IntervalSeconds: 5, TimeoutSeconds: 900},
			Steps: []astern.Step{more(step("1.promote", db, "aws.rds promote", "promote db-west in eu-west-1", map[string]astern.Arg{"instance": astern.Text("db-west")}), func(s *astern.Step) {
				s.Outputs = map[string]string{"endpoint": "string", "port": "int"}
				s.Undo, s.UndoBecause = astern.UndoImpossible, "a promoted replica never follows its old primary again; fail-back builds a new one"
				s.Sets = []astern.Set{{Path: "eu-west-1/role", Value: astern.Text("primary")}, {Path: "eu-west-1/source", Absent: true, Value: astern.Text("")}}
				s.Estimate, s.TimeoutSeconds, s.HoldSeconds = measured(310, 240, 520, 2), 1800, 600
				s.Command = "aws rds promote-read-replica --region eu-west-1 --db-instance-identifier db-west"
			})}},
		{Title: "Tell the shop", OnFailure: astern.OnFailureHold, Steps: []astern.Step{
			more(step("2.point", config, "aws.ssm put", "point the shop to the new primary", map[string]astern.Arg{
				"key":   astern.Text("/shop/database-url"),
				"value": {Ref: &astern.Ref{From: "1.promote", Output: "endpoint", In: "jdbc:postgresql://{}/shop"}}}), func(s *astern.Step) {
				s.Undo, s.Guards, s.Outputs = astern.UndoInverse, []string{"1.promote"}, map[string]string{"version": "string"}
				s.Sets = []astern.Set{{Path: "key/shop/database-url", Value: astern.OutputOf("2.point", "version")}}
				s.Command = "aws ssm put-parameter --region eu-west-1 --overwrite --name /shop/database-url --value jdbc:postgresql://ENDPOINT/shop"
			})}},
		{Title: "Move the traffic", OnFailure: astern.OnFailureHold, StopWhen: []string{"database"},
			Gate: &astern.Gate{Checks: []string{"health", "database"}, BakeSeconds: 120, IntervalSeconds: 10, TimeoutSeconds: 1200},
			Steps: []astern.Step{more(step("3.switch", dns, "aws.route53 upsert", "send shop.example.com to eu-west-1", map[string]astern.Arg{
				"name": astern.Text("shop.example.com"), "alias": astern.Text("shop-west.elb.amazonaws.com"), "ttl": astern.Int(60)}), func(s *astern.Step) {
				s.Undo, s.Guards = astern.UndoInverse, []string{"2.point"}
				s.Sets = []astern.Set{{Path: "record/shop.example.com", Value: astern.Text("ALIAS shop-west.elb.amazonaws.com")}}
				s.Command = "aws route53 change-resource-record-sets --hosted-zone-id Z0001 --change-batch …"
			})}},
	}
	p.Loss = []astern.Loss{{Address: db, Unit: "seconds", Count: 4}}
	p.Approvals = 1
	p.Estimate = measured(460, 380, 700, 2)
	p.Notes = []string{"the loss is the last lag seen, at 02:56:50; writes after that, if the primary took any, are not in it"}
	return p
}
