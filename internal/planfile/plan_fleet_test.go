package planfile_test

import (
	"fmt"

	"github.com/astern-dev/astern"
)

// fleetPlan takes ten thousand hosts back in four waves. Members are listed once, in wave order; steps, the fact and the
// check are patterns; hosts that differ are exceptions of the fact, hosts that were silent are left out.
func fleetPlan() astern.Plan {
	const edge = "production/edge"
	silent := map[int]string{117: "no heartbeat since 2026-11-19T22:10:04Z", 2048: "no heartbeat since 2026-11-21T02:40:51Z",
		7002: "its agent refuses the certificate", 7003: "its agent refuses the certificate", 9999: "no heartbeat since 2026-10-02T08:00:00Z"}
	fleet := astern.Fleet{Address: edge}
	for n := 1; n <= 10000; n++ {
		name := fmt.Sprintf("edge-%05d", n)
		if why, ok := silent[n]; ok {
			fleet.LeftOut = append(fleet.LeftOut, astern.LeftOut{Member: name, Because: why})
			continue
		}
		fleet.Members = append(fleet.Members, name)
	}
	p := night("fleet", astern.Intent{Verb: astern.VerbRollback, Addresses: []string{edge}, Revision: "v2.7.5", Percent: 1, BakeSeconds: 600,
		WatchSeconds: 1800, Reason: "v2.8.0 drops one request in fifty"})
	p.Fleets = []astern.Fleet{fleet}
	p.Moves = []astern.Move{{Address: edge, Kind: "host.fleet", From: "v2.7.9+v2.8.0", To: "v2.7.5", Readiness: astern.Ready,
		Evidence: []astern.Evidence{evidence(astern.Ready, "release v2.7.5 is on 9995 of 9995 hosts that were asked, with its recorded hash")}}}
	swap := []string{"2.swap", "3.swap", "4.swap", "5.swap"}
	p.Facts = []astern.Fact{
		{Address: edge, Path: "{member}/link", Value: "v2.8.0", Except: map[string]astern.FactValue{"edge-00042": {Value: "v2.7.9"}, "edge-04711": {Value: "v2.7.9"}}, Seen: at("03:01:40"), Steps: swap},
		{Address: edge, Path: "{member}/release/v2.7.5", Value: "sha256:0d5f6a7c8e9b1a2c3d4e5f60718293a4b5c6d7e8f9000102030405060708090a", Seen: at("03:01:40"), Steps: swap},
	}
	p.Checks = []astern.Check{
		{Name: "health", Address: edge, Each: true, HTTP: &astern.HTTPCheck{URL: "http://{member}.edge.example.com:8080/health", JSONEquals: map[string]string{"version": "v2.7.5"}},
			Effects: astern.EffectsNone, TimeoutSeconds: 2, Attempts: 3, IntervalSeconds: 1},
		httpCheck("error-rate", edge, astern.HTTPCheck{URL: "http://metrics.example.com/edge/error-rate", JSONEquals: map[string]string{"verdict": "normal"}}),
	}
	p.Stages = []astern.Stage{{Title: "Latch v2.8.0", OnFailure: astern.OnFailureHold, Steps: []astern.Step{
		more(step("1.latch", edge, "ledger latch", "latch v2.8.0", map[string]astern.Arg{"revision": astern.Text("v2.8.0")}), func(s *astern.Step) {
			s.Undo, s.Command = astern.UndoInverse, "astern latch production/edge v2.8.0 --reason '…'"
		})}}}
	all, from := len(fleet.Members), 0
	for i, percent := range []int{1, 10, 50, 100} {
		to := (all*percent + 99) / 100
		p.Stages = append(p.Stages, fleetWave(edge, i+2, percent, from, to))
		from = to
	}
	p.Stages = append(p.Stages, astern.Stage{Title: "Record", OnFailure: astern.OnFailureHold, Steps: []astern.Step{
		more(step("6.known-good", edge, "ledger known-good", "mark v2.7.5 known-good", map[string]astern.Arg{"revision": astern.Text("v2.7.5")}), func(s *astern.Step) {
			s.Command = "astern record known-good production/edge v2.7.5"
		})}})
	p.Loss = []astern.Loss{}
	p.Estimate = measured(5400, 4800, 7200, 2)
	p.Notes = []string{"1 % of 9995 hosts is rounded up to 100"}
	return p
}

func fleetWave(edge string, stage, percent, from, to int) astern.Stage {
	id := func(name string) string { return fmt.Sprintf("%d.%s", stage, name) }
	return astern.Stage{Title: fmt.Sprintf("%d %% of the hosts", percent), Each: &astern.Each{Address: edge, From: from, To: to},
		Parallel: min(200, (to-from+9)/10), Tolerate: (to - from) / 100, StopWhen: []string{"error-rate"}, OnFailure: astern.OnFailureHold,
		Gate: &astern.Gate{Checks: []string{"error-rate"}, BakeSeconds: 600, IntervalSeconds: 15, TimeoutSeconds: 1800},
		Steps: []astern.Step{
			more(step(id("swap"), edge, "host.fleet swap", "point {member} to v2.7.5", map[string]astern.Arg{"revision": astern.Text("v2.7.5")}), func(s *astern.Step) {
				s.Undo, s.Guards = astern.UndoInverse, []string{"1.latch"}
				s.Sets = []astern.Set{{Path: "{member}/link", Value: astern.Text("v2.7.5")}}
				s.Outputs = map[string]string{"previous": "string"}
				s.Command = "ssh {member} ln -sfn releases/v2.7.5 /srv/edge/current"
			}),
			more(step(id("restart"), edge, "host.fleet restart", "restart {member}", map[string]astern.Arg{"was": astern.OutputOf(id("swap"), "previous")}), func(s *astern.Step) {
				s.Guards, s.Outputs = []string{id("swap")}, map[string]string{"process": "string"}
				s.Sets = []astern.Set{{Path: "{member}/process", Value: astern.OutputOf(id("restart"), "process")}}
				s.Command = "ssh {member} systemctl restart edge"
			}),
			more(step(id("ready"), edge, "check wait", "wait until {member} is healthy", map[string]astern.Arg{"check": astern.Text("health")}), func(s *astern.Step) {
				s.Guards, s.Command = []string{id("restart")}, "curl http://{member}.edge.example.com:8080/health"
			})}}
}
