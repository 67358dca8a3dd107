package awsappconfig

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/canary"
	emulated "github.com/astern-dev/astern/internal/lab"
)

// acting are the calls that change something, with the setup in which a way makes them and the place of the step in it.
var acting = []struct {
	operation string
	in        setup
	route     func(l *lab) astern.Route
	step      int
}{
	{"StopDeployment", setup{}, func(l *lab) astern.Route { return l.route(l.old, astern.Options{}) }, 0},
	{"StartDeployment", setup{since: 80 * time.Hour, quick: true}, func(l *lab) astern.Route { return l.route(l.old, astern.Options{}) }, 0},
	{"CreateHostedConfigurationVersion", setup{flags: true}, func(l *lab) astern.Route { return l.off("new-checkout") }, 0},
}

// What AppConfig alone answers, beside the faults that TestEveryFault has of every service: it refuses, so nothing happened, and
// another attempt has the effect once.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		answer string
		code   astern.Code
	}{
		"a conflict":  {409, "ConflictException", astern.Conflict},
		"not there":   {404, "ResourceNotFoundException", astern.NotFound},
		"wrong input": {400, "BadRequestException", astern.Refused},
		"too large":   {413, "PayloadTooLargeException", astern.Refused},
		"too many":    {402, "ServiceQuotaExceededException", astern.Refused},
	} {
		for _, a := range acting {
			t.Run(a.operation+", "+name, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, a.in)
				call := l.before(l.call(a.route(l).Stages[0].Steps[a.step], nil))
				l.fault(emulated.Fault{Service: "appconfig", Operation: a.operation, Count: 1, Status: c.status, Code: c.answer})
				if op := l.driver.Actor.Start(t.Context(), call); op.Status != astern.OpFailed || op.Code != c.code {
					t.Errorf("Start answers %+v, want a failure with the code %q", op, c.code)
				}
				if found := l.driver.Actor.Find(t.Context(), call); found.Answer != astern.FoundNo {
					t.Errorf("Find answers %+v", found)
				}
				call.Token = "token-2"
				call = l.before(call)
				if op := l.finish(call, l.driver.Actor.Start(t.Context(), call)); op.Status != astern.OpDone || l.effects(a.operation) != 1 {
					t.Errorf("another attempt: %+v, with %d effects", op, l.effects(a.operation))
				}
			})
		}
	}
}

// effects counts the calls since the account was filled that had their effect, by the journal.
func (l *lab) effects(operation string) int {
	n := -l.filled[operation]
	for _, e := range l.Calls("appconfig", operation, 0) {
		if e.Status >= 200 && e.Status < 300 {
			n++
		}
	}
	return n
}

// Reading goes wrong, too: nothing was changed then, and the step says so.
func TestReadingFailsBeforeTheEffect(t *testing.T) {
	t.Parallel()
	for _, a := range acting {
		for _, operation := range []string{"GetDeployment", "ListDeployments", "GetHostedConfigurationVersion", "ListHostedConfigurationVersions"} {
			t.Run(a.operation+" after "+operation, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, a.in)
				call := l.before(l.call(a.route(l).Stages[0].Steps[a.step], nil))
				l.fault(emulated.Fault{Service: "appconfig", Operation: operation, Effect: emulated.DropReply})
				op := l.driver.Actor.Start(t.Context(), call)
				switch n := l.effects(a.operation); {
				case n == 0 && op.Status != astern.OpFailed:
					t.Errorf("nothing was done, and Start answers %+v", op)
				case n == 1 && op.Status == astern.OpFailed, n > 1:
					t.Errorf("the effect was had %d times, and Start answers %+v", n, op)
				}
			})
		}
	}
}

func TestSomebodyElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in      setup
		route   func(l *lab) astern.Route
		between func(l *lab)
		code    astern.Code
		says    string
	}{
		"deployed before it is taken back":                 {setup{}, func(l *lab) astern.Route { return l.route("1", astern.Options{}) }, func(l *lab) { l.deploy(1, atOnce) }, astern.Refused, "only the last deployment"},
		"deployed another profile before it is taken back": {setup{}, func(l *lab) astern.Route { return l.route("1", astern.Options{}) }, (*lab).occupy, astern.Refused, "only the last deployment"},
		"the time is over":                                 {setup{}, func(l *lab) astern.Route { return l.route("1", astern.Options{}) }, func(l *lab) { l.step(73 * time.Hour) }, astern.Refused, "for 72 h"},
		"deploys just now":                                 {setup{since: 80 * time.Hour, quick: true}, func(l *lab) astern.Route { return l.route("1", astern.Options{}) }, (*lab).occupy, astern.Conflict, "there is one at a time"},
		"deployed and was done":                            {setup{since: 80 * time.Hour, quick: true}, func(l *lab) astern.Route { return l.route("1", astern.Options{}) }, func(l *lab) { l.deploy(2, l.strategy("at once", 0, 0, 100)) }, astern.Refused, "somebody else deployed in the meantime"},
		"deleted the version":                              {setup{since: 80 * time.Hour, quick: true}, func(l *lab) astern.Route { return l.route("1", astern.Options{}) }, (*lab).deleteOld, astern.NotFound, "could not be found"},
		"added a version":                                  {setup{flags: true}, func(l *lab) astern.Route { return l.off("new-checkout") }, func(l *lab) { l.version(flagsOld, "theirs") }, astern.Conflict, "somebody else added a version"},
		"took the label":                                   {setup{flags: true}, func(l *lab) astern.Route { return l.off("new-checkout") }, func(l *lab) { l.version(flagsOld, "2-off-new-checkout") }, astern.Refused, "has that label"},
		"deleted the environment":                          {setup{}, func(l *lab) astern.Route { return l.route("1", astern.Options{}) }, (*lab).deleteEnvironment, astern.NotFound, "could not be found"},
		"deleted it before a start":                        {setup{since: 80 * time.Hour, quick: true}, func(l *lab) astern.Route { return l.route("1", astern.Options{}) }, (*lab).deleteEnvironment, astern.NotFound, "could not be found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, c.in)
			call := l.before(l.call(c.route(l).Stages[0].Steps[0], nil))
			c.between(l)
			before := len(l.snapshot(t))
			op := l.driver.Actor.Start(t.Context(), call)
			if op.Status != astern.OpFailed || op.Code != c.code || !strings.Contains(op.Error+" "+op.Hint, c.says) {
				t.Errorf("Start answers %+v, want a failure with the code %s and %q", op, c.code, c.says)
			}
			if got := len(l.snapshot(t)); got != before {
				t.Errorf("%d calls changed something", got-before)
			}
		})
	}
}

func (l *lab) deleteEnvironment() {
	l.Helper()
	_, err := l.client.DeleteEnvironment(l.Context(), &appconfig.DeleteEnvironmentInput{ApplicationId: &l.ids.application, EnvironmentId: &l.ids.environment})
	l.must(err)
}

// StartDeployment has no condition: what comes between the last look and the call is refused while it is under way, and told
// when it is over already. What is taken back, or made, is refused in both cases.
func TestWindow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		theirs func(l *lab)
		status astern.OpStatus
		says   string
	}{
		"theirs is under way":  {func(l *lab) { l.deploy(2, atOnce) }, astern.OpFailed, "there is one at a time"},
		"theirs came and went": {func(l *lab) { l.deploy(2, l.strategy("at once", 0, 0, 100)) }, astern.OpDone, "deployment 3 of somebody else came just before it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, setup{since: 80 * time.Hour, quick: true})
			call := l.before(l.call(l.route("1", astern.Options{}).Stages[0].Steps[0], nil))
			theirs := func() { c.theirs(l) }
			l.justBefore.Store(&theirs)
			op := l.driver.Actor.Start(t.Context(), call)
			if op.Status != c.status || !strings.Contains(op.Progress+op.Hint, c.says) {
				t.Errorf("Start answers %+v, want %s with %q", op, c.status, c.says)
			}
		})
	}
}

// A deployment is under way as long as it grows, and says how far it is.
func TestGrowing(t *testing.T) {
	t.Parallel()
	l := newLab(t, setup{since: 80 * time.Hour, quick: true, minutes: 20})
	route := l.route("1", astern.Options{Percent: 50})
	if got := steps(route); got != "deploy await" || len(route.Stages) != 1 || !route.Stages[0].Steps[0].Stoppable {
		t.Fatalf("the way is %+v", route.Stages)
	}
	for _, want := range []string{"and not 50 %", "a pause or a cancel stops the deployment: clients get 2 again"} {
		if !slices.ContainsFunc(route.Notes, func(n string) bool { return strings.Contains(n, want) }) {
			t.Errorf("the notes do not say %q: %v", want, route.Notes)
		}
	}
	deploy := l.before(l.call(route.Stages[0].Steps[0], nil))
	op := l.driver.Actor.Start(t.Context(), deploy)
	l.step(10 * time.Minute)
	if got := l.observe("revision").Values["revision"].Text; got != "2+1" {
		t.Errorf("half-way the revision is %q, want both", got)
	}
	for what, got := range map[string]astern.Op{"Poll": l.driver.Actor.Poll(t.Context(), deploy, op), "Find": *l.driver.Actor.Find(t.Context(), deploy).Op} {
		if got.Status != astern.OpRunning || got.Handle["deployment"] != "3" || got.Progress != "50 % of the clients get 1, deployment 3 is DEPLOYING" {
			t.Errorf("half-way %s answers %+v", what, got)
		}
	}
	l.step(10 * time.Minute)
	if op = l.driver.Stopper.Stop(t.Context(), deploy, op); op.Status != astern.OpDone || op.Outputs["deployment"].String() != "3" {
		t.Errorf("stopped when everybody has it: %+v", op)
	}
	await := l.call(route.Stages[0].Steps[1], map[string]astern.Arg{"deploy.deployment": op.Outputs["deployment"]})
	if op := l.driver.Actor.Start(t.Context(), await); op.Status != astern.OpDone {
		t.Errorf("in the end: %+v", op)
	}
	undo, err := l.driver.Router.Undo(l.c, deploy, op.Outputs)
	l.must(err)
	call := l.before(l.call(undo[0], nil))
	if op := l.finish(call, l.driver.Actor.Start(t.Context(), call)); op.Status != astern.OpDone || l.clientGets() != secretNew {
		t.Errorf("undone: %+v, clients get %s", op, l.clientGets())
	}
}

// A deployment that is stopped in the middle has had no effect: the facts of its step hold, and another attempt deploys anew. What
// goes wrong with the call on the way does not end the step, and it is asked again.
func TestStopped(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault emulated.Fault
		says  string
		again bool // the first call had no effect
	}{
		"at once":           {},
		"denied":            {emulated.Fault{Status: 403, Code: "AccessDeniedException"}, "allow appconfig:StopDeployment", true},
		"throttled":         {emulated.Fault{Status: 429, Code: "ThrottlingException"}, "ThrottlingException", true},
		"the request lost":  {emulated.Fault{Effect: emulated.DropRequest}, "stopping deployment 3 of limits", true},
		"the reply is lost": {fault: emulated.Fault{Effect: emulated.DropReply}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, setup{since: 80 * time.Hour, quick: true, minutes: 20})
			route := l.route("1", astern.Options{})
			deploy := l.before(l.call(route.Stages[0].Steps[0], nil))
			op := l.driver.Actor.Start(t.Context(), deploy)
			l.step(10 * time.Minute)
			if c.fault.Status != 0 || c.fault.Effect != "" {
				c.fault.Service, c.fault.Operation, c.fault.Count = "appconfig", "StopDeployment", 1
				l.fault(c.fault)
			}
			op = l.driver.Stopper.Stop(t.Context(), deploy, op)
			if op.Status != astern.OpRunning || op.Handle["deployment"] != "3" || !strings.Contains(op.Progress, c.says) {
				t.Errorf("the first time: %+v", op)
			}
			if c.again != strings.Contains(op.Progress, "DEPLOYING") {
				t.Errorf("the first time: %+v", op)
			}
			for range 10 {
				if op.Status != astern.OpRunning {
					break
				}
				op = l.driver.Stopper.Stop(t.Context(), deploy, op)
				l.step(time.Second)
			}
			if op.Status != astern.OpFailed || !strings.Contains(op.Error, "deployment 3 is ROLLED_BACK: Rollback initiated by") {
				t.Errorf("in the end: %+v", op)
			}
			if n := l.effects("StopDeployment"); n != 1 || l.clientGets() != secretNew {
				t.Errorf("it was stopped %d times, and clients get %s", n, l.clientGets())
			}
			now := l.observe()
			for _, f := range route.Facts {
				if v, ok := now.Get(f.Path); ok == f.Absent || v.Text != f.Value {
					t.Errorf("the fact %s was %q, and is %q: another attempt would be refused", f.Path, f.Value, v.Text)
				}
			}
			deploy.Token = "token-2"
			deploy = l.before(deploy)
			op = l.driver.Actor.Start(t.Context(), deploy)
			l.step(21 * time.Minute)
			if op = l.driver.Actor.Poll(t.Context(), deploy, op); op.Status != astern.OpDone || op.Outputs["deployment"].String() != "4" || l.clientGets() != secretOld {
				t.Errorf("another attempt: %+v", op)
			}
		})
	}
}

// One that bakes is left alone: only the waiting ends.
func TestStoppedWhileItBakes(t *testing.T) {
	t.Parallel()
	l := newLab(t, setup{since: 80 * time.Hour, quick: true, bake: 10, monitors: 1})
	route := l.route("1", astern.Options{})
	op := l.driver.Actor.Start(t.Context(), l.before(l.call(route.Stages[0].Steps[0], nil)))
	l.step(time.Second)
	bake := l.call(route.Stages[0].Steps[2], map[string]astern.Arg{"deploy.deployment": astern.Text("3")})
	op = l.driver.Actor.Start(t.Context(), bake)
	if op.Status != astern.OpRunning || op.Progress != "deployment 3 is BAKING" {
		t.Errorf("while it bakes: %+v", op)
	}
	op = l.driver.Stopper.Stop(t.Context(), bake, op)
	if op.Status != astern.OpFailed || op.Code != astern.Interrupted || l.effects("StopDeployment") != 0 || l.clientGets() != secretOld {
		t.Errorf("stopped: %+v, clients get %s", op, l.clientGets())
	}
}

// What clients get is asked of the data plane. That it may not be asked ends the step, that it can't be for now does not.
func TestAwait(t *testing.T) {
	t.Parallel()
	l := newLab(t, setup{named: true})
	await := l.call(l.route("v1", astern.Options{}).Stages[0].Steps[1], nil)
	for _, c := range []struct {
		fault  emulated.Fault
		status astern.OpStatus
		says   string
	}{
		{emulated.Fault{}, astern.OpRunning, "clients get v2"},
		{emulated.Fault{Operation: "StartConfigurationSession", Status: 403, Code: "AccessDeniedException"}, astern.OpFailed, "allow appconfig:StartConfigurationSession"},
		{emulated.Fault{Operation: "GetLatestConfiguration", Status: 403, Code: "AccessDeniedException"}, astern.OpFailed, "allow appconfig:GetLatestConfiguration"},
		{emulated.Fault{Operation: "GetLatestConfiguration", Status: 429, Code: "ThrottlingException"}, astern.OpRunning, "ThrottlingException"},
		{emulated.Fault{Operation: "GetLatestConfiguration", Effect: emulated.Truncate}, astern.OpRunning, "asking what clients get"},
	} {
		l.ClearFaults()
		if c.fault.Operation != "" {
			c.fault.Service, c.fault.Count = "appconfigdata", 1
			l.fault(c.fault)
		}
		op := l.driver.Actor.Start(t.Context(), await)
		if op.Status != c.status || !strings.Contains(op.Progress+op.Error+" "+op.Hint, c.says) || len(canary.Leaks(fmt.Append(nil, op))) > 0 {
			t.Errorf("%+v: %+v", c.fault, op)
		}
	}
}

// A version without a label is told by its content.
func TestAwaitWithoutLabels(t *testing.T) {
	t.Parallel()
	for _, in := range []setup{{}, {flags: true}} {
		l := newLab(t, in)
		route := l.route("1", astern.Options{})
		if op := l.driver.Actor.Start(t.Context(), l.call(route.Stages[0].Steps[1], nil)); op.Status != astern.OpRunning || op.Progress != "clients get another version" {
			t.Errorf("before: %+v", op)
		}
		l.done(route)
	}
}

// An alarm that goes off takes the deployment back: while it grows, and while it bakes. The step under way says so in the cloud's
// words, once it is over.
func TestAlarmTakesItBack(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]time.Duration{"while it grows": 5 * time.Minute, "while it bakes": 21 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, setup{since: 80 * time.Hour, quick: true, minutes: 20, bake: 10, monitors: 1})
			route := l.route("1", astern.Options{})
			if got := steps(route); got != "deploy await bake" {
				t.Fatalf("the way is %s", got)
			}
			call := l.before(l.call(route.Stages[0].Steps[0], nil))
			op := l.driver.Actor.Start(t.Context(), call)
			l.step(after)
			op = l.driver.Actor.Poll(t.Context(), call, op)
			if op.Status == astern.OpDone { // everybody has it
				call = l.call(route.Stages[0].Steps[2], map[string]astern.Arg{"deploy.deployment": op.Outputs["deployment"]})
				op = l.driver.Actor.Start(t.Context(), call)
			}
			if op.Status != astern.OpRunning {
				t.Fatalf("before the alarm: %+v", op)
			}
			l.goOff()
			l.step(time.Second)
			if op = l.finish(call, op); op.Status != astern.OpFailed || op.Code != astern.Refused || !strings.Contains(op.Error, "errors-0") || !strings.Contains(op.Error, "is ROLL") {
				t.Errorf("step %s: %+v", call.Step, op)
			}
			l.step(time.Minute)
			if got := l.observe("revision", "progress").Values; got["revision"].Text != "2" || !strings.Contains(got["progress"].Text, "ROLLED_BACK") {
				t.Errorf("clients get %v", got)
			}
		})
	}
}

// While alarms are going off a deployment is taken back at once, and the step says why: what the cloud takes back itself is
// ready all the same, and preferred.
func TestRevertIgnoresAlarms(t *testing.T) {
	t.Parallel()
	l := newLab(t, setup{monitors: 1})
	l.goOff()
	s := l.observe()
	for _, x := range judge(l.place(), s, astern.Deployment{}, "1").List {
		if x.Readiness != astern.Ready {
			t.Errorf("taking it back is %s: %s", x.Readiness, x.What)
		}
	}
	route, err := l.driver.Router.Route(l.c, s, l.target(s, "1"), astern.Options{Verb: astern.VerbDeploy, Percent: 100})
	l.must(err)
	if !slices.ContainsFunc(route.Notes, func(n string) bool { return strings.Contains(n, "is going off") }) {
		t.Errorf("a deployment under an alarm has the notes %v", route.Notes)
	}
	_, ops := l.carry(route)
	if last := ops[len(ops)-1]; last.Status != astern.OpFailed || last.Code != astern.Refused || !strings.Contains(last.Error, "errors-0") {
		t.Errorf("a deployment under an alarm: %+v", last)
	}

	l = newLab(t, setup{monitors: 1})
	l.goOff()
	l.done(l.route("1", astern.Options{}))
	if l.clientGets() != secretOld {
		t.Errorf("clients get %s", l.clientGets())
	}
}

func (l *lab) place() place {
	l.Helper()
	p, err := resolve(l.c)
	l.must(err)
	return p
}

// The window closes: its end is the door, and after it the version is deployed anew.
func TestRevertWindow(t *testing.T) {
	t.Parallel()
	l := newLab(t, setup{})
	target := l.target(l.observe(), "1")
	if len(target.Doors) != 1 || target.Doors[0].Leaves != astern.Ready {
		t.Fatalf("the doors are %+v", target.Doors)
	}
	if left := target.Doors[0].At.Sub(l.Now()); left < 71*time.Hour || left > 72*time.Hour { // it ended 50 minutes ago
		t.Errorf("the door closes in %s", left)
	}
	if got := steps(l.route("1", astern.Options{})); got != "revert await" {
		t.Errorf("the way is %s", got)
	}
	l.step(72 * time.Hour)
	if got := steps(l.route("1", astern.Options{})); got != "deploy await" {
		t.Errorf("after the window the way is %s", got)
	}
	if got := l.target(l.observe(), "1"); len(got.Doors) != 0 {
		t.Errorf("after the window the doors are %+v", got.Doors)
	}
	s, settings := l.observe(), l.place().Settings
	settings.Region, settings.Account = "eu-central-1", emulated.Account
	l.c.Settings = encoded(t, settings)
	if got := l.target(s, "1").Needs; len(got) != 1 || !strings.HasSuffix(got[0], "/configurationprofile/"+l.ids.profile+"/hostedconfigurationversion/1") {
		t.Errorf("it needs %v", got)
	}
}

// A deployment under way is in the way of another one: its own is stopped first.
func TestStopsItsOwnFirst(t *testing.T) {
	t.Parallel()
	l := newLab(t, setup{flags: true, since: 5 * time.Minute})
	route := l.off("new-checkout")
	if got := steps(route); got != "revert create-version deploy await" {
		t.Fatalf("the way is %s", got)
	}
	calls := l.done(route)
	if got := l.clientGets(); got != `{"cart":{"enabled":true,"limit":3},"new-checkout":{"enabled":false}}` {
		t.Errorf("clients get %s", got)
	}
	for _, i := range []int{2, 0} { // the last first
		undo, err := l.driver.Router.Undo(l.c, calls[i], map[string]astern.Arg{"deployment": astern.Text("3")})
		l.must(err)
		l.done(astern.Route{Stages: []astern.Stage{{Steps: undo}}})
	}
	if got := l.clientGets(); got != `{"cart":{"enabled":true,"limit":3},"new-checkout":{"enabled":true}}` {
		t.Errorf("after the undo clients get %s", got)
	}
}

// The same flag off twice: the version that was made is used again.
func TestFlagOffTwice(t *testing.T) {
	t.Parallel()
	l := newLab(t, setup{flags: true})
	calls := l.done(l.off("new-checkout"))
	undo, err := l.driver.Router.Undo(l.c, calls[1], map[string]astern.Arg{"deployment": astern.Text("3")})
	l.must(err)
	l.done(astern.Route{Stages: []astern.Stage{{Steps: undo}}})
	l.done(l.off("new-checkout"))
	if n := l.effects("CreateHostedConfigurationVersion"); n != 1 {
		t.Errorf("%d versions were made", n)
	}
}

// What a person would type does the same.
func TestCommands(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"aws", "jq"} {
		need(t, program)
	}
	l := newLab(t, setup{flags: true, since: 5 * time.Minute})
	route := l.off("new-checkout")
	folder := t.TempDir()
	for _, s := range route.Stages[0].Steps {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", s.Command)
		cmd.Dir = folder
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", s.Command, err, out)
		}
		if s.Verb == verbRevert {
			l.step(5 * time.Second)
		}
		if s.Verb == verbAwait && !strings.Contains(string(out), `"new-checkout":{"enabled":false}`) {
			t.Errorf("clients get %s", out)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", way{place: l.place(), ids: l.ids}.bake(10).Command)
	l.step(time.Hour)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", cmd, err, out)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{ // the path of the problem
		`{"application":"shop","environment":"prod","configuration":"limits"}`:                                              "none",
		`{"environment":"prod","configuration":"limits"}`:                                                                   "application",
		`{"application":"shop","environment":"a\nb","configuration":"limits"}`:                                              "environment",
		`{"application":"shop","environment":"prod","configuration":"` + strings.Repeat("x", 129) + `"}`:                    "configuration",
		`{"application":"shop","environment":"prod","configuration":"limits","strategy":"` + strings.Repeat("x", 65) + `"}`: "strategy",
		`{"application":"shop","environment":"prod","configuration":"limits","region":"Frankfurt"}`:                         "region",
		`{"application":"shop","environment":"prod","configuration":"limits","percent":3}`:                                  "",
	} {
		problems := validator{}.Validate(astern.Component{Settings: []byte(settings)})
		if want == "none" && len(problems) > 0 || want != "none" && (len(problems) != 1 || problems[0].Path != want) {
			t.Errorf("%s: %+v", settings, problems)
		}
	}
}

func TestNamesAndIDs(t *testing.T) {
	t.Parallel()
	l := newLab(t, setup{})
	for name, s := range map[string]struct {
		set  func(s *Settings)
		want string // of revision
		says string
	}{
		"ids": {func(s *Settings) {
			s.Application, s.Environment, s.Configuration = l.ids.application, l.ids.environment, l.ids.profile
		}, "2", ""},
		"no such application":      {func(s *Settings) { s.Application = "nothere" }, "", "there is no configuration limits of nothere/prod"},
		"two of one name":          {func(s *Settings) { s.Application = "twice" }, "", "2 have that name"},
		"no such configuration":    {func(s *Settings) { s.Configuration = "other" }, "", "there is no configuration other"},
		"credentials of elsewhere": {func(s *Settings) { s.Region = "us-east-1" }, "", "there is no configuration limits"},
	} {
		if name == "two of one name" {
			for range 2 {
				_, err := l.client.CreateApplication(t.Context(), &appconfig.CreateApplicationInput{Name: aws.String("twice")})
				l.must(err)
			}
		}
		settings := l.place().Settings
		settings.Strategy = ""
		s.set(&settings)
		c := l.c
		c.Settings = encoded(t, settings)
		state, err := l.driver.Observer.Observe(t.Context(), c, astern.Scope{})
		l.must(err)
		var said []string
		for _, target := range l.driver.Router.Targets(c, state, l.history) {
			for _, e := range target.Evidence {
				said = append(said, e.What)
			}
		}
		if got := state.Values["revision"].Text; got != s.want || !strings.Contains(strings.Join(said, "; "), s.says) {
			t.Errorf("%s: the revision is %q, and it says %v", name, got, said)
		}
	}
}

// What can't be read is not said to be absent, for whoever asked for it by its path.
func TestObserveDenied(t *testing.T) {
	t.Parallel()
	l := newLab(t, setup{flags: true, monitors: 1})
	l.deny("ListDeploymentStrategies")
	l.deny("GetHostedConfigurationVersion")
	l.fault(emulated.Fault{Service: "monitoring", Operation: "DescribeAlarms", Status: 403, Code: "AccessDenied"})
	paths := []string{"strategy", "strategy/minutes", "alarms", "flags", "flag/cart"}
	s := l.observe(append(paths, "revision")...)
	for _, path := range paths {
		if v, ok := s.Get(path); !ok || v.Known() || !strings.Contains(v.Unknown, "allow ") {
			t.Errorf("%s is %+v (%t)", path, v, ok)
		}
	}
	if got := s.Values["revision"].Text; got != "2" {
		t.Errorf("the revision is %q", got)
	}
	if _, err := l.driver.Switcher.Switch(l.c, l.observe(), astern.FlagChange{Flag: "cart"}); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "appconfig:GetHostedConfigurationVersion") {
		t.Errorf("switching a flag off: %v", err)
	}
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	l := newLab(t, setup{})
	_, err := l.client.CreateEnvironment(t.Context(), &appconfig.CreateEnvironmentInput{ApplicationId: &l.ids.application, Name: aws.String("staging")})
	l.must(err)
	for i := range 51 { // more than a page
		_, err := l.client.CreateApplication(t.Context(), &appconfig.CreateApplicationInput{Name: aws.String(fmt.Sprintf("empty-%d", i))})
		l.must(err)
	}
	d := l.driver.Observer.(*driver)
	session, err := d.accounts.Session(t.Context(), l.place().Settings.Settings)
	l.must(err)
	s := l.place().Settings.Settings
	s.Region = session.Region
	var found []astern.Discovered
	pages := 0
	for token := (*string)(nil); pages == 0 || token != nil; pages++ {
		var some []astern.Discovered
		some, token, err = page(t.Context(), session, s, token)
		l.must(err)
		found = append(found, some...)
	}
	if pages != 2 {
		t.Errorf("52 applications are %d pages, want 2", pages)
	}
	if len(found) != 1 || found[0].Name != "shop-limits-prod" || found[0].Settings.(Settings).Environment != "prod" {
		t.Errorf("found %+v", found)
	}
	l.deny("ListEnvironments")
	if _, _, err := page(t.Context(), session, s, nil); astern.CodeOf(err) != astern.Denied || !strings.Contains(astern.HintOf(err), "appconfig:ListEnvironments") {
		t.Errorf("where it may not look: %v (%s)", err, astern.HintOf(err))
	}
}
