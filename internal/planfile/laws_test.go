package planfile_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planfile"
)

// broke returns all that the laws say about a plan after a change.
func broke(plan func() astern.Plan, change func(*astern.Plan)) []string {
	p := plan()
	change(&p)
	var all []string
	for _, err := range planfile.Validate(p) {
		all = append(all, err.Error())
	}
	return all
}

// TestLawsSayWhere: one law is broken, and this is all that is said.
func TestLawsSayWhere(t *testing.T) {
	const api = "production/api"
	noAddress := `"x" is not an address (ENV/COMPONENT)`
	for _, c := range []struct {
		says   string
		plan   func() astern.Plan
		change func(*astern.Plan)
	}{
		{`stage 4: the step id "2.start" is taken by a step of stage 2`, ecsPlan, func(p *astern.Plan) { p.Stages[3].Steps[1].ID = "2.start" }},
		{"plan: it does not say who asked", ecsPlan, func(p *astern.Plan) { p.Asked.By = "" }},
		{"plan: it needs -1 approvals", ecsPlan, func(p *astern.Plan) { p.Approvals = -1 }},
		{"plan: the estimate says -1 seconds", ecsPlan, func(p *astern.Plan) { p.Estimate.LowSeconds = -1 }},
		{"plan: the estimate says +Inf seconds", ecsPlan, func(p *astern.Plan) { p.Estimate.HighSeconds = math.Inf(1) }},
		{"plan: the estimate comes from -1 runs", ecsPlan, func(p *astern.Plan) { p.Estimate.Runs = -1 }},
		{"plan: it does not say when it was made", ecsPlan, func(p *astern.Plan) { p.CreatedAt = time.Time{} }},
		{"intent: a time is negative", ecsPlan, func(p *astern.Plan) { p.Intent.BakeSeconds = -1 }},
		{"intent: a time is negative", ecsPlan, func(p *astern.Plan) { p.Intent.WatchSeconds = -1 }},
		{"intent: it asks for no component", ecsPlan, func(p *astern.Plan) { p.Intent.Addresses = nil }},
		{"move of x: " + noAddress, ecsPlan, func(p *astern.Plan) { p.Moves[0].Address = "x" }},
		{`move of production/api: "A" is not a kind`, ecsPlan, func(p *astern.Plan) { p.Moves[0].Kind = "A" }},
		{`move of production/api: from: "../x" is not a revision name`, ecsPlan, func(p *astern.Plan) { p.Moves[0].From = "v1+../x" }},
		{`move of production/api: to: "a+b" is not a revision name`, ecsPlan, func(p *astern.Plan) { p.Moves[0].To = "a+b" }},
		{`move of production/api: evidence "e": "fine" is not a readiness`, ecsPlan, func(p *astern.Plan) { p.Moves[0].Evidence[0] = astern.Evidence{What: "e", Readiness: "fine"} }},
		{"fleet of x: " + noAddress, ecsPlan, func(p *astern.Plan) { p.Fleets = []astern.Fleet{{Address: "x"}} }},
		{"fleet of a/b: it is listed twice", ecsPlan, func(p *astern.Plan) { p.Fleets = []astern.Fleet{{Address: "a/b"}, {Address: "a/b"}} }},
		{`fleet of production/edge: "-rf" is not a member name`, fleetPlan, func(p *astern.Plan) { p.Fleets[0].LeftOut[0].Member = "-rf" }},
		{"fleet of production/edge: member edge-00117 is listed and left out", fleetPlan, func(p *astern.Plan) { p.Fleets[0].LeftOut[1].Member = "edge-00117" }},
		{"fleet of production/edge: member edge-00117 is left out without a reason", fleetPlan, func(p *astern.Plan) { p.Fleets[0].LeftOut[0].Because = "" }},
		{"fact x p: " + noAddress, ecsPlan, func(p *astern.Plan) { p.Facts[0] = fact("x", "p", "v") }},
		{"fact a/b : it has no path", ecsPlan, func(p *astern.Plan) { p.Facts[0] = fact("a/b", "", "v") }},
		{"fact production/edge link: it has exceptions, and is not one for each member", fleetPlan, func(p *astern.Plan) { p.Facts[0].Path = "link" }},
		{"checklist of x: " + noAddress, ecsPlan, func(p *astern.Plan) { p.Checklist[0].Address = "x" }},
		{"checklist of production/api: an item has no name", ecsPlan, func(p *astern.Plan) { p.Checklist[0].Items[0].Item = "" }},
		{"loss: " + noAddress, ecsPlan, func(p *astern.Plan) { p.Loss = []astern.Loss{{Address: "x", Unit: "rows"}} }},
		{"loss: -1 rows are lost", ecsPlan, func(p *astern.Plan) { p.Loss = []astern.Loss{{Address: api, Unit: "rows", Count: -1}} }},
		{"then: it allows no component or no verb", stackPlan, func(p *astern.Plan) { p.Then.Allowed.Addresses = nil }},
		{"then: it allows no component or no verb", stackPlan, func(p *astern.Plan) { p.Then.Allowed.Verbs = nil }},
		{"then: " + noAddress, stackPlan, func(p *astern.Plan) { p.Then.Allowed.Addresses[1] = "x" }},
		{`then: "No" is not a verb`, stackPlan, func(p *astern.Plan) { p.Then.Allowed.Verbs[1] = "No" }},
		{`then: "` + strings.Repeat("v", 64) + `" is not a verb`, stackPlan, func(p *astern.Plan) { p.Then.Allowed.Verbs[1] = strings.Repeat("v", 64) }},
		{`then: "tons" is not a unit (rows, items, bytes, seconds)`, stackPlan, func(p *astern.Plan) { p.Then.Allowed.Loss = []astern.Loss{{Address: api, Unit: "tons"}} }},
		{"stage 1: it has no title", ecsPlan, func(p *astern.Plan) { p.Stages[0].Title = "" }},
		{"stage 1: parallel is -1", ecsPlan, func(p *astern.Plan) { p.Stages[0].Parallel = -1 }},
		{"stage 1: tolerate is -1", ecsPlan, func(p *astern.Plan) { p.Stages[0].Tolerate = -1 }},
		{"stage 5: it takes members -1 to 9995 of 9995", fleetPlan, func(p *astern.Plan) { p.Stages[4].Each.From = -1 }},
		{"stage 5: it takes members 9995 to 9995 of 9995", fleetPlan, func(p *astern.Plan) { p.Stages[4].Each.From = 9995 }},
		{"step 4.record: " + noAddress, ecsPlan, func(p *astern.Plan) { p.Stages[3].Steps[1].Address = "x" }},
		{`step 4.record: "L" is not a kind`, ecsPlan, func(p *astern.Plan) { p.Stages[3].Steps[1].Kind = "L" }},
		{"step 4.record: it has no title", ecsPlan, func(p *astern.Plan) { p.Stages[3].Steps[1].Title = "" }},
		{"step 4.record: it settles in -1 s and holds after 300 s", ecsPlan, func(p *astern.Plan) { p.Stages[3].Steps[1].SettleSeconds = -1 }},
		{"step 4.record: it settles in 10 s and holds after -1 s", ecsPlan, func(p *astern.Plan) { p.Stages[3].Steps[1].HoldSeconds = -1 }},
		{"step 4.record: the estimate says -1 seconds", ecsPlan, func(p *astern.Plan) { p.Stages[3].Steps[1].Estimate.MedianSeconds = -1 }},
		{`step 4.remove: a step of kind aws.ecs has no verb "Go"`, ecsPlan, func(p *astern.Plan) { p.Stages[3].Steps[0].Verb = "Go" }},
		{`step 4.remove: a step of kind aws.ecs has no verb "` + strings.Repeat("v", 64) + `"`, ecsPlan, func(p *astern.Plan) { p.Stages[3].Steps[0].Verb = strings.Repeat("v", 64) }},
		{`step 4.record: "No" is not the name of an output`, ecsPlan, func(p *astern.Plan) { p.Stages[3].Steps[1].Outputs = map[string]string{"No": "int"} }},
		{`step 4.record: "` + strings.Repeat("o", 64) + `" is not the name of an output`, ecsPlan,
			func(p *astern.Plan) { p.Stages[3].Steps[1].Outputs = map[string]string{strings.Repeat("o", 64): "int"} }},
		{`step 4.ready: it names check "none", which is not in the plan`, dynamodbPlan, func(p *astern.Plan) { p.Stages[3].Steps[2].Args["check"] = astern.Text("none") }},
		{`step 4.ready: it names check "5", which is not in the plan`, dynamodbPlan, func(p *astern.Plan) { // the name is text
			p.Checks = append(p.Checks, httpCheck("5", orders, astern.HTTPCheck{}))
			p.Stages[3].Steps[2].Args["check"] = astern.Int(5)
		}},
		{"step 4.remove: it sets a value without a path", ecsPlan, func(p *astern.Plan) { p.Stages[3].Steps[0].Sets = []astern.Set{{Value: astern.Text("v")}} }},
		{"step 4.remove: the value of p has no value", ecsPlan, func(p *astern.Plan) { p.Stages[3].Steps[0].Sets = []astern.Set{{Path: "p"}} }},
		{"step 4.remove: " + noAddress, ecsPlan, func(p *astern.Plan) {
			p.Stages[3].Steps[0].Sets = []astern.Set{{Address: "x", Path: "p", Value: astern.Text("v")}}
		}},
		{"step 4.remove: it sets {member}/p, and its stage is not for each member", ecsPlan,
			func(p *astern.Plan) {
				p.Stages[3].Steps[0].Sets = []astern.Set{{Path: "{member}/p", Value: astern.Text("v")}}
			}},
		{`step 2.shift: it limits the int output n to "7.0"`, ecsPlan, func(p *astern.Plan) {
			p.Stages[1].Steps[1].Outputs, p.Stages[1].Steps[1].Limits = map[string]string{"n": "int"}, map[string]string{"n": "7.0"}
		}},
		{"check : it has no name", ecsPlan, func(p *astern.Plan) { p.Checks = append(p.Checks, httpCheck("", api, astern.HTTPCheck{})) }},
		{"check health: " + noAddress, ecsPlan, func(p *astern.Plan) { p.Checks[0].Address = "x" }},
		{"check health: it holds \"v1\" against \"v1\"", ecsPlan, func(p *astern.Plan) {
			p.Checks[0].HTTP, p.Checks[0].Judge = nil, &astern.JudgeCheck{Revision: "v1", Baseline: "v1", Trial: "x"}
		}},
		{"check health: it holds \"../v1\" against \"v1\"", ecsPlan, func(p *astern.Plan) {
			p.Checks[0].HTTP, p.Checks[0].Judge = nil, &astern.JudgeCheck{Revision: "../v1", Baseline: "v1", Trial: "x"}
		}},
		{"check health: it judges as no signal is judged", ecsPlan, func(p *astern.Plan) {
			p.Checks[0].HTTP, p.Checks[0].Judge = nil, &astern.JudgeCheck{Revision: "v2", Baseline: "v1"}
		}},
		{"check health: it asks whether \"../v1\" was proven since 0001-01-01 00:00:00 +0000 UTC", ecsPlan, func(p *astern.Plan) {
			p.Checks[0].HTTP, p.Checks[0].Proven = nil, &astern.ProvenCheck{Revision: "../v1"}
		}},
		{"check health: it proves as nothing is proven elsewhere", ecsPlan, func(p *astern.Plan) {
			p.Checks[0].HTTP, p.Checks[0].Each, p.Checks[0].Proven = nil, true, &astern.ProvenCheck{Revision: "v1", Since: p.CreatedAt}
		}},
		{"check health: it has no command", ecsPlan, func(p *astern.Plan) { p.Checks[0].HTTP, p.Checks[0].Command = nil, &astern.CommandCheck{} }},
		{`check more: effects is "many", not none or some`, ecsPlan, func(p *astern.Plan) {
			p.Checks = append(p.Checks, httpCheck("more", api, astern.HTTPCheck{}))
			p.Checks[3].Effects = "many"
		}},
		{`check more@-rf: "-rf" is not a member name`, ecsPlan, func(p *astern.Plan) {
			p.Checks = append(p.Checks, httpCheck("more", api, astern.HTTPCheck{}))
			p.Checks[3].Member = "-rf"
		}},
		{"check health: its interval is -1 s", ecsPlan, func(p *astern.Plan) { p.Checks[0].IntervalSeconds = -1 }},
		{"check health: 99 is not a status code", ecsPlan, func(p *astern.Plan) { p.Checks[0].HTTP.Status = []int{200, 99} }},
		{"check health: 600 is not a status code", ecsPlan, func(p *astern.Plan) { p.Checks[0].HTTP.Status = []int{600} }},
	} {
		if all := broke(c.plan, c.change); !slices.Equal(all, []string{c.says}) {
			t.Errorf("want only %q, got %q", c.says, all)
		}
	}
}

// TestLawsAtTheirEdges: what is just allowed breaks no law.
func TestLawsAtTheirEdges(t *testing.T) {
	const api = "production/api"
	long := func(n int) string { return strings.Repeat("a", n) }
	last := func(p *astern.Plan) *astern.Step { return &p.Stages[3].Steps[1] }
	for name, c := range map[string]struct {
		plan   func() astern.Plan
		change func(*astern.Plan)
	}{
		"an id of 200 bytes":              {ecsPlan, func(p *astern.Plan) { p.ID = long(200) }},
		"a step id of 200 bytes":          {ecsPlan, func(p *astern.Plan) { last(p).ID = long(200) }},
		"a verb of 63 bytes":              {ecsPlan, func(p *astern.Plan) { p.Stages[3].Steps[0].Verb = long(63) }},
		"an allowed verb of 63 bytes":     {stackPlan, func(p *astern.Plan) { p.Then.Allowed.Verbs[0] = long(63) }},
		"an output of 63 bytes":           {ecsPlan, func(p *astern.Plan) { last(p).Outputs = map[string]string{long(63): "int"} }},
		"one child":                       {stackPlan, func(p *astern.Plan) { p.Then.Allowed.Children = 1 }},
		"no revision before":              {ecsPlan, func(p *astern.Plan) { p.Moves[0].From = "" }},
		"back to a mixed state":           {dynamodbUndoPlan, func(p *astern.Plan) { p.Moves[0].To = "78+79" }},
		"a second to run, none to settle": {ecsPlan, func(p *astern.Plan) { last(p).TimeoutSeconds, last(p).SettleSeconds, last(p).HoldSeconds = 1, 0, 0 }},
		"one lane at a time":              {ecsPlan, func(p *astern.Plan) { p.Stages[1].Parallel = 1 }},
		"status codes":                    {ecsPlan, func(p *astern.Plan) { p.Checks[0].HTTP.Status = []int{100, 599} }},
		"a limit of an int": {ecsPlan, func(p *astern.Plan) {
			last(p).Outputs, last(p).Limits = map[string]string{"n": "int"}, map[string]string{"n": "-7"}
		}},
		"a check for one member": {ecsPlan, func(p *astern.Plan) {
			p.Checks[0].Member = "web-1"
			p.Checks = append(p.Checks, httpCheck("health", api, astern.HTTPCheck{}))
		}},
		"an item ticked by name": {ecsPlan, func(p *astern.Plan) {
			p.Checks = append(p.Checks, httpCheck("m", api, astern.HTTPCheck{}))
			p.Checks[3].Member = "web-1"
			p.Checklist[0].Items[0].Check = "m"
		}},
		"an item ticked by id": {ecsPlan, func(p *astern.Plan) {
			p.Checks = append(p.Checks, httpCheck("m", api, astern.HTTPCheck{}))
			p.Checks[3].Member = "web-1"
			p.Checklist[0].Items[0].Check = "m@web-1"
		}},
		"the check of a wave's own member": {fleetPlan, func(p *astern.Plan) {
			p.Checks = append(p.Checks, httpCheck("first", "production/edge", astern.HTTPCheck{}), httpCheck("later", "production/edge", astern.HTTPCheck{}))
			p.Checks[2].Member, p.Checks[3].Member = p.Fleets[0].Members[0], p.Fleets[0].Members[p.Stages[2].Each.From]
			p.Stages[1].StopWhen, p.Stages[2].StopWhen = []string{"first"}, []string{"later"}
		}},
	} {
		if all := broke(c.plan, c.change); len(all) > 0 {
			t.Errorf("%s: %q", name, all)
		}
	}
}

// TestNothingStaysUnbound: a placeholder is found wherever a check has text.
func TestNothingStaysUnbound(t *testing.T) {
	table := map[string]string{"k": "{revision}"}
	for name, change := range map[string]func(*astern.Check){
		"host":          func(c *astern.Check) { c.Host = "{revision}" },
		"url":           func(c *astern.Check) { c.HTTP.URL = "{revision}" },
		"body":          func(c *astern.Check) { c.HTTP.Body = "{revision}" },
		"contains":      func(c *astern.Check) { c.HTTP.Contains = "{revision}" },
		"header":        func(c *astern.Check) { c.HTTP.Headers = table },
		"header's name": func(c *astern.Check) { c.HTTP.Headers = map[string]string{"{revision}": "v"} },
		"header equals": func(c *astern.Check) { c.HTTP.HeaderEquals = table },
		"json equals":   func(c *astern.Check) { c.HTTP.JSONEquals = table },
		"tcp":           func(c *astern.Check) { c.HTTP, c.TCP = nil, &astern.TCPCheck{Address: "{revision}:80"} },
		"argument": func(c *astern.Check) {
			c.HTTP, c.Command = nil, &astern.CommandCheck{Argv: []string{"probe", "{revision}"}}
		},
		"environment": func(c *astern.Check) {
			c.HTTP, c.Command = nil, &astern.CommandCheck{Argv: []string{"probe"}, Env: table}
		},
	} {
		all := broke(ecsPlan, func(p *astern.Plan) {
			p.Checks = append(p.Checks, httpCheck("more", "production/api", astern.HTTPCheck{}))
			change(&p.Checks[3])
		})
		if !slices.Equal(all, []string{"check more: {revision} is not bound"}) {
			t.Errorf("%s: %q", name, all)
		}
	}
}

// TestLawsInOneOrder: what is wrong in a table is told by the order of names, and not of chance.
func TestLawsInOneOrder(t *testing.T) {
	var want []string
	all := broke(ecsPlan, func(p *astern.Plan) {
		outputs := map[string]string{}
		for i := range 20 {
			outputs[fmt.Sprintf("o%02d", i)] = "no"
			want = append(want, fmt.Sprintf(`step 4.record: output o%02d has the type "no"`, i))
		}
		p.Stages[3].Steps[1].Outputs = outputs
	})
	if !slices.Equal(all, want) {
		t.Errorf("%q", all)
	}
}
