package planfile_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planfile"
)

// TestLaws breaks each law of a plan that keeps them all.
func TestLaws(t *testing.T) {
	ecs := func(change func(*astern.Plan)) astern.Plan { p := ecsPlan(); change(&p); return p }
	dynamo := func(change func(*astern.Plan)) astern.Plan { p := dynamodbPlan(); change(&p); return p }
	region := func(change func(*astern.Plan)) astern.Plan { p := regionPlan(); change(&p); return p }
	stack := func(change func(*astern.Plan)) astern.Plan { p := stackPlan(); change(&p); return p }
	fleet := func(change func(*astern.Plan)) astern.Plan { p := fleetPlan(); change(&p); return p }
	for says, p := range map[string]astern.Plan{
		`accept of check none: the plan has no`:           ecs(func(p *astern.Plan) { p.Accepts = []astern.Accept{{What: "check none", By: "mona", Because: "x"}} }),
		`plan: its kind`:                                  ecs(func(p *astern.Plan) { p.Kind = "Plane" }),
		`plan: its version is 2`:                          ecs(func(p *astern.Plan) { p.Version = 2 }),
		`is not an id`:                                    ecs(func(p *astern.Plan) { p.ID = "a b" }),
		`names no system`:                                 ecs(func(p *astern.Plan) { p.System = "" }),
		`expires before`:                                  ecs(func(p *astern.Plan) { p.ExpiresAt = p.CreatedAt }),
		`no way to ask`:                                   ecs(func(p *astern.Plan) { p.Asked.Way = "mail" }),
		`is not the hash of a plan`:                       ecs(func(p *astern.Plan) { p.Parent = "abc" }),
		`the verb "dance" is not known`:                   ecs(func(p *astern.Plan) { p.Intent.Verb = "dance" }),
		`percent is 101`:                                  ecs(func(p *astern.Plan) { p.Intent.Percent = 101 }),
		`"../x" is not a revision name`:                   ecs(func(p *astern.Plan) { p.Intent.Revision = "../x" }),
		`for a revision and for a moment`:                 ecs(func(p *astern.Plan) { p.Intent.Moment = ago("01:00:00") }),
		`an execution is named`:                           ecs(func(p *astern.Plan) { p.Intent.Execution = "x" }),
		`"Production/api" is not an address`:              ecs(func(p *astern.Plan) { p.Intent.Addresses[0] = "Production/api" }),
		`move of production/api: to: "a:1"`:               ecs(func(p *astern.Plan) { p.Moves[0].Kind, p.Moves[0].To = "host.service", "a:1" }),
		`is moved twice`:                                  ecs(func(p *astern.Plan) { p.Moves = append(p.Moves, p.Moves[0]) }),
		`"fine" is not a readiness`:                       ecs(func(p *astern.Plan) { p.Moves[0].Readiness = "fine" }),
		`id "2.start" is taken by a step of stage`:        ecs(func(p *astern.Plan) { p.Stages[3].Steps[0].ID = "2.start" }),
		`"a@b" is not a step id`:                          ecs(func(p *astern.Plan) { p.Stages[3].Steps[1].ID = "a@b" }),
		`step "9.none" rests on it`:                       ecs(func(p *astern.Plan) { p.Facts[0].Steps[0] = "9.none" }),
		`fact production/api service: it is listed`:       ecs(func(p *astern.Plan) { p.Facts[0].Path = "service" }),
		`absent and has a value`:                          ecs(func(p *astern.Plan) { p.Facts[0].Absent = true }),
		`its guard "9.none" is not in the plan`:           ecs(func(p *astern.Plan) { p.Stages[1].Steps[0].Guards[0] = "9.none" }),
		`its guard "4.remove" does not come before`:       ecs(func(p *astern.Plan) { p.Stages[1].Steps[0].Guards[0] = "4.remove" }),
		`its guard "2.start" does not come before`:        ecs(func(p *astern.Plan) { p.Stages[1].Steps[0].Guards[0] = "2.start" }),
		`"3.primary", which does not come before`:         ecs(func(p *astern.Plan) { p.Stages[1].Steps[1].Args["x"] = astern.OutputOf("3.primary", "x") }),
		`"2.shift", which does not come before it`:        ecs(func(p *astern.Plan) { p.Stages[1].Steps[1].Args["x"] = astern.OutputOf("2.shift", "x") }),
		`the output "nil", which step 2.start`:            ecs(func(p *astern.Plan) { p.Stages[1].Steps[1].Args["x"] = astern.OutputOf("2.start", "nil") }),
		`argument x has no value`:                         ecs(func(p *astern.Plan) { p.Stages[1].Steps[1].Args["x"] = astern.Arg{} }),
		`check "none", which is not in the plan`:          ecs(func(p *astern.Plan) { p.Stages[1].Gate.Checks[0] = "none" }),
		`stop_when names check "none"`:                    ecs(func(p *astern.Plan) { p.Stages[1].StopWhen[0] = "none" }),
		`ticked by check "none"`:                          ecs(func(p *astern.Plan) { p.Checklist[0].Items[0].Check = "none" }),
		`{revision} is not bound`:                         ecs(func(p *astern.Plan) { p.Checks[0].HTTP.URL += "/{revision}" }),
		`{member} is not bound`:                           ecs(func(p *astern.Plan) { p.Checks[0].HTTP.URL += "/{member}" }),
		`it is 2 of http, tcp, command, judge and proven`: ecs(func(p *astern.Plan) { p.Checks[0].TCP = &astern.TCPCheck{} }),
		`check health: it is listed twice`:                ecs(func(p *astern.Plan) { p.Checks[1].Name = "health" }),
		`check health: its time-out is 0 s`:               ecs(func(p *astern.Plan) { p.Checks[0].TimeoutSeconds = 0 }),
		`check health: attempts is 0`:                     ecs(func(p *astern.Plan) { p.Checks[0].Attempts = 0 }),
		`step 1.latch: attempts is 0`:                     ecs(func(p *astern.Plan) { p.Stages[0].Steps[0].Attempts = 0 }),
		`step 1.latch: its time-out is 0 s`:               ecs(func(p *astern.Plan) { p.Stages[0].Steps[0].TimeoutSeconds = 0 }),
		`kind ledger has no verb "lock"`:                  ecs(func(p *astern.Plan) { p.Stages[0].Steps[0].Verb = "lock" }),
		`step 1.latch: undo is "maybe"`:                   ecs(func(p *astern.Plan) { p.Stages[0].Steps[0].Undo = "maybe" }),
		`step 1.latch: it speaks of {member}`:             ecs(func(p *astern.Plan) { p.Stages[0].Steps[0].Command = "ssh {member}" }),
		`stage 1: on_failure is "pray"`:                   ecs(func(p *astern.Plan) { p.Stages[0].OnFailure = "pray" }),
		`stage 1: it has neither steps nor a gate`:        ecs(func(p *astern.Plan) { p.Stages[0].Steps = nil }),
		`stage 2: its gate bakes`:                         ecs(func(p *astern.Plan) { p.Stages[1].Gate.IntervalSeconds = 0 }),
		`output task_set has the type "object"`:           ecs(func(p *astern.Plan) { p.Stages[1].Steps[0].Outputs["task_set"] = "object" }),
		`"tons" is not a unit`:                            ecs(func(p *astern.Plan) { p.Loss = []astern.Loss{{Address: "a/b", Unit: "tons"}} }),
		`"2.set-ttl" runs side by side with it`:           dynamo(func(p *astern.Plan) { p.Stages[1].Steps[3].Guards = []string{"2.set-ttl"} }),
		`limits the bool output complete to "yes"`:        dynamo(func(p *astern.Plan) { p.Stages[2].Steps[1].Limits["complete"] = "yes" }),
		`limits the int output n to "07"`: dynamo(func(p *astern.Plan) {
			p.Stages[2].Steps[1].Outputs["n"], p.Stages[2].Steps[1].Limits["n"] = "int", "07"
		}),
		`it limits "rows", which is no output`:      dynamo(func(p *astern.Plan) { p.Stages[2].Steps[1].Limits["rows"] = "1" }),
		`which has effects and can't be made again`: dynamo(func(p *astern.Plan) { p.Stages[3].Gate.Checks[0] = "write-and-cancel" }),
		`waits for check "write-and-cancel"`:        dynamo(func(p *astern.Plan) { p.Stages[3].Steps[3].Verb = "wait" }),
		`has no {} in "table"`:                      dynamo(func(p *astern.Plan) { p.Stages[1].Steps[5].Args["resource"].Ref.In = "table" }),
		`puts a list into "x{}"`: stack(func(p *astern.Plan) {
			p.Stages[1].Steps = append(p.Stages[1].Steps, step("2.x", "production/site-stack", "jsonexec x", "x", map[string]astern.Arg{"x": {Ref: &astern.Ref{From: "2.continue", Output: "failed", In: "x{}"}}}))
		}),
		`then: it does not say why`:                 stack(func(p *astern.Plan) { p.Then.Because = "" }),
		`then: it allows 0 child plans`:             stack(func(p *astern.Plan) { p.Then.Allowed.Children = 0 }),
		`and gives it a value`:                      stack(func(p *astern.Plan) { p.Stages[1].Steps[0].Sets[1].Value = astern.Text("x") }),
		`and nobody accepts that`:                   region(func(p *astern.Plan) { p.Accepts = p.Accepts[1:] }),
		`the plan has no such fact`:                 region(func(p *astern.Plan) { p.Accepts[0].What = "fact production/db none" }),
		`needs a name and a because`:                region(func(p *astern.Plan) { p.Accepts[0].Because = "" }),
		`the automatic way accepts nothing`:         region(func(p *astern.Plan) { p.Asked.Way = "watch" }),
		`it is unknown and has a value`:             region(func(p *astern.Plan) { p.Facts[0].Value = "primary" }),
		`it takes members 4998 to 9996 of 9995`:     fleet(func(p *astern.Plan) { p.Stages[4].Each.To = 9996 }),
		`whose members the plan does not list`:      fleet(func(p *astern.Plan) { p.Stages[4].Each.Address = "production/api" }),
		`and the plan lists no members`:             fleet(func(p *astern.Plan) { p.Facts[0].Address = "production/api" }),
		`its exception "edge-00117" is not`:         fleet(func(p *astern.Plan) { p.Facts[0].Except["edge-00117"] = astern.FactValue{Value: "x"} }),
		`"-rf" is not a member name`:                fleet(func(p *astern.Plan) { p.Fleets[0].Members[7] = "-rf" }),
		`member edge-00001 is listed twice`:         fleet(func(p *astern.Plan) { p.Fleets[0].Members[7] = "edge-00001" }),
		`is listed and left out`:                    fleet(func(p *astern.Plan) { p.Fleets[0].LeftOut[0].Member = "edge-00001" }),
		`"2.swap" is a member's own`:                fleet(func(p *astern.Plan) { p.Stages[5].Steps[0].Guards = []string{"2.swap"} }),
		`which is a member's own, in another stage`: fleet(func(p *astern.Plan) { p.Stages[2].Steps[1].Args["was"] = astern.OutputOf("2.swap", "previous") }),
	} {
		var all []string
		for _, err := range planfile.Validate(p) {
			if astern.CodeOf(err) != astern.Invalid {
				t.Errorf("%v has the code %s", err, astern.CodeOf(err))
			}
			all = append(all, err.Error())
		}
		if !strings.Contains(strings.Join(all, "\n"), says) {
			t.Errorf("want %q, got %q", says, all)
		}
	}
}

// TestDecodeKeepsTheLaws: a plan that breaks several laws is refused with all of them.
func TestDecodeKeepsTheLaws(t *testing.T) {
	p := ecsPlan()
	p.Intent.Percent = 0
	p.Stages[0].Steps[0].Attempts = 0
	doc, _, err := planfile.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = planfile.Decode(doc)
	if astern.CodeOf(err) != astern.Invalid || !strings.Contains(err.Error(), "percent is 0") || !strings.Contains(err.Error(), "attempts is 0") {
		t.Error(err)
	}
}

// TestLawsOfParts: of a law that asks for several things at once each is asked for.
func TestLawsOfParts(t *testing.T) {
	object := func(change func(*astern.Intent)) astern.Plan {
		p := ecsPlan()
		p.Intent.Revision, p.Intent.Object = "", &astern.ObjectChange{Object: "index.html", Revision: "v1"}
		change(&p.Intent)
		return p
	}
	check := func(change func(*astern.Check)) astern.Plan {
		p := ecsPlan()
		p.Checks[0].HTTP = nil
		change(&p.Checks[0])
		return p
	}
	judges := func(change func(*astern.Check)) astern.Plan {
		return check(func(c *astern.Check) {
			c.Judge = &astern.JudgeCheck{Revision: "v2", Baseline: "v1", Trial: "x"}
			change(c)
		})
	}
	proves := func(change func(*astern.Check)) astern.Plan {
		return check(func(c *astern.Check) {
			c.Proven = &astern.ProvenCheck{Revision: "v1", Since: ecsPlan().CreatedAt}
			change(c)
		})
	}
	const one, name = "one object is named", "the object's revision is not"
	for _, c := range []struct {
		plan astern.Plan
		says string // where the law is broken
		law  string
	}{
		{object(func(*astern.Intent) {}), "", one},
		{object(func(in *astern.Intent) { in.Verb = astern.VerbRedeploy }), one, one},
		{object(func(in *astern.Intent) { in.Object.Object = "" }), one, one},
		{object(func(in *astern.Intent) { in.Addresses = append(in.Addresses, "production/web") }), one, one},
		{object(func(in *astern.Intent) { in.Revision = "v1" }), one, one},
		{object(func(in *astern.Intent) { in.Moment = ago("01:00:00") }), one, one},
		{object(func(*astern.Intent) {}), "", name},
		{object(func(in *astern.Intent) { in.Object.Revision = "" }), "", name},
		{object(func(in *astern.Intent) { in.Object.Revision = "../v1" }), name, name},
		{judges(func(*astern.Check) {}), "", "it judges as no signal"},
		{judges(func(c *astern.Check) { c.Effects = astern.EffectsSome }), "it judges as no signal", "it judges as no signal"},
		{judges(func(c *astern.Check) { c.Member = "one" }), "it judges as no signal", "it judges as no signal"},
		{judges(func(c *astern.Check) { c.Each = true }), "it judges as no signal", "it judges as no signal"},
		{judges(func(c *astern.Check) { c.Judge.Trial = "" }), "it judges as no signal", "it judges as no signal"},
		{proves(func(*astern.Check) {}), "", "proven"},
		{proves(func(c *astern.Check) { c.Effects = astern.EffectsSome }), "it proves as nothing", "proven"},
		{proves(func(c *astern.Check) { c.Member = "one" }), "it proves as nothing", "proven"},
		{proves(func(c *astern.Check) { c.Each = true }), "it proves as nothing", "proven"},
		{proves(func(c *astern.Check) { c.Proven.Revision = "../v1" }), "it asks whether", "proven"},
		{proves(func(c *astern.Check) { c.Proven.Since = time.Time{} }), "it asks whether", "proven"},
	} {
		said := fmt.Sprint(planfile.Validate(c.plan))
		if c.says == "" && strings.Contains(said, c.law) || !strings.Contains(said, c.says) {
			t.Errorf("%q of %q: %s", c.says, c.law, said)
		}
	}
}

// TestEditedPlanNamesBothSeals: the id of a plan that was edited, and the one that its content makes.
func TestEditedPlanNamesBothSeals(t *testing.T) {
	edited, sealed := ecsPlan(), func(p astern.Plan) astern.Plan {
		p, err := planfile.Seal(p)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	edited.Intent.Percent++
	fits := sealed(edited).ID
	doc, _, err := planfile.Encode(ecsPlan())
	if err != nil {
		t.Fatal(err)
	}
	doc = bytes.Replace(doc, []byte(`"percent":50`), []byte(`"percent":51`), 1)
	says := sealed(ecsPlan()).ID
	if _, _, err := planfile.Decode(doc); err == nil || !strings.Contains(err.Error(), `(says "`+says+`", the content makes it "`+fits+`")`) {
		t.Errorf("%v, want %s and %s", err, says, fits)
	}
}
