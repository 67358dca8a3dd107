package awsecs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/proof"
)

// acting is one of the calls that change something, with a way that makes it.
type acting struct {
	operation, verb string
	options         astern.Options
	prepare         func(w *world) // the service, so that the way needs the call
}

var actingCalls = []acting{
	{"UpdateService", verbUpdate, astern.Options{}, nil},
	{"UpdateService", verbForce, astern.Options{Verb: astern.VerbRedeploy}, nil},
	{"RegisterTaskDefinition", verbRegister, astern.Options{}, func(w *world) {
		definition := w.observe("definition/" + w.old).Values["definition/"+w.old].Text // the copy that the case before made
		_, err := w.ecs.DeregisterTaskDefinition(context.Background(), &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &definition})
		w.must(err)
	}},
	{"CreateService", verbShare, astern.Options{Percent: 50}, nil},
	{"DeleteService", verbEndShare, astern.Options{Percent: 50}, nil},
}

// everyFault is each way in which a call of the lab fails, with what is said of it.
var everyFault = map[string]struct {
	fault lab.Fault
	code  astern.Code
	says  string
}{
	"denied": {lab.Fault{Status: 400, Code: "AccessDeniedException", Message: "User: arn:aws:iam::123456789012:user/me is not authorized to perform: ecs:OPERATION on resource: * because no identity-based policy allows it"},
		astern.Denied, "allow ecs:OPERATION on *"},
	"expired credentials": {lab.Fault{Status: 400, Code: "ExpiredTokenException", Message: "The security token included in the request is expired"}, astern.Denied, "aws sso login"},
	"throttled":           {lab.Fault{Status: 400, Code: "ThrottlingException", Message: "Rate exceeded"}, astern.Throttled, ""},
	"a fault of the cloud": {lab.Fault{Status: 500, Code: "ServerException", Message: "Service Unavailable. Please try again later."},
		astern.Unavailable, ""},
	"unavailable":         {lab.Fault{Status: 503, Code: "ServiceUnavailableException"}, astern.Unavailable, ""},
	"the request is lost": {lab.Fault{Effect: lab.DropRequest}, astern.Unavailable, ""},
	"the reply is lost":   {lab.Fault{Effect: lab.DropReply}, astern.Unavailable, ""},
	"the reply is cut":    {lab.Fault{Effect: lab.Truncate}, astern.Unavailable, ""},
	"delayed":             {lab.Fault{Delay: lab.Span(20e6)}, "", ""},
}

// Every acting call meets every fault once. Whatever was said of it, going on as the engine does ends with the effect in the
// account exactly once.
func TestEveryFault(t *testing.T) {
	a := start(t)
	a.plain = true
	worlds := map[string]*world{}     // one for each kind of call: after each fault it is taken back
	first, count := proof.Seeds(t, 1) // of thirds
	n := 0
	for i, c := range actingCalls {
		for k, name := range slices.Sorted(maps.Keys(everyFault)) {
			f := everyFault[name]
			if part := uint64(i+k) % 3; part < first || part >= first+count {
				continue
			}
			t.Run(c.verb+" "+name, func(t *testing.T) {
				n++
				w := worlds[c.verb]
				if w == nil {
					w = a.service(nil)
					worlds[c.verb] = w
				}
				c.meets(t, w, f.fault, f.code, strings.ReplaceAll(f.says, "OPERATION", c.operation))
			})
		}
	}
	t.Logf("%d acting calls met %d faults each: %d cases", len(actingCalls), len(everyFault), n)
}

func (c acting) meets(t *testing.T, w *world, fault lab.Fault, code astern.Code, says string) {
	w.TB = t
	w.anew()
	if c.prepare != nil {
		c.prepare(w)
	}
	rev := w.old
	if c.verb == verbForce {
		rev = w.new
	}
	if w.way == nil || c.prepare != nil {
		w.way = w.steps(rev, c.options) // the same each time, for the service is taken back each time
	}
	steps := w.way
	at := slices.IndexFunc(steps, func(s astern.Step) bool { return s.Verb == c.verb })
	if at < 0 {
		t.Fatalf("the way has no step %s: %+v", c.verb, steps)
	}
	w.carry(steps[:at])
	since := w.seq()
	fault.Service, fault.Operation, fault.Count = "ecs", c.operation, 1
	fault.Message = strings.ReplaceAll(fault.Message, "OPERATION", c.operation)
	_, err := w.AddFault(fault)
	w.must(err)

	call := w.call(steps[at], nil)
	first := w.driver.Actor.Start(context.Background(), call)
	if first.Code != code || !strings.Contains(first.Error+first.Hint, says) {
		t.Errorf("the first attempt answers %+v, want the code %q and %q", first, code, says)
	}
	if fault.Code == "ThrottlingException" {
		w.anew() // which would be slow for seconds, as it should
	}
	outputs, op := w.goOn(steps[at], call, first)
	w.ClearFaults()
	if op.Status != astern.OpDone {
		t.Fatalf("in the end it is %+v", op)
	}
	if n := w.acted(c.operation, since); n != 1 {
		t.Errorf("%s had its effect %d times, want once", c.operation, n)
	}
	if op.Status == astern.OpDone && c.verb == verbRegister {
		call = w.call(steps[at+1], outputs)
		if op := w.finish(call, w.driver.Actor.Start(context.Background(), call)); op.Status != astern.OpDone {
			t.Fatalf("what was registered can't be run: %+v", op)
		}
	} else {
		w.carry(steps[at+1:])
	}
	if got := w.observe("revision", "share", "in-progress"); len(got.Values) != 1 || got.Values["revision"].Text != rev {
		t.Errorf("in the end the service is %+v, want %s alone", got.Values, rev)
	}
	if rev == w.old {
		w.update(w.new) // by number, so that the next case begins as this one
		w.later(6e10)
	}
}

// anew gives the world a driver with sessions of its own, as another process has.
func (w *world) anew() {
	accounts := awsapi.New()
	w.Cleanup(func() { accounts.Close() })
	w.driver = w.hurried(New(accounts, w.lookup))
}

// goOn does what the engine does: looks for what is unsure, and starts again what certainly had no effect.
func (w *world) goOn(step astern.Step, call astern.Call, op astern.Op) (map[string]astern.Arg, astern.Op) {
	w.Helper()
	for range 5 {
		if op.Status == astern.OpUnsure {
			found := w.driver.Actor.Find(context.Background(), call)
			switch found.Answer {
			case astern.FoundUnknown:
				w.Fatalf("nobody can tell what became of %s: %s", call.Step, found.Because)
			case astern.FoundYes:
				op = *found.Op
			default:
				op = astern.Op{Status: astern.OpFailed}
			}
		}
		switch op = w.finish(call, op); op.Status {
		case astern.OpDone:
			return op.Outputs, op
		case astern.OpFailed:
			call = w.call(step, nil)
			op = w.driver.Actor.Start(context.Background(), call)
		}
	}
	return nil, op
}

// Reading fails in every way, too: what can't be read is unknown, and never looks as if it were not there.
func TestReadingFails(t *testing.T) {
	a := start(t)
	w := a.service(nil)
	reads := []string{"DescribeServices", "ListServiceDeployments", "DescribeServiceRevisions", "ListTaskDefinitions", "DescribeTaskDefinition", "ListTasks"}
	for _, operation := range reads {
		t.Run(operation, func(t *testing.T) {
			w.TB = t
			t.Cleanup(a.ClearFaults)
			w.must(denied("ecs", operation)(context.Background(), w))
			s := w.observe()
			unknown := 0
			for path, v := range s.Values {
				if !v.Known() {
					unknown++
					if want := "ecs:" + operation; !strings.Contains(v.Unknown, want) {
						t.Errorf("%s is unknown because %q, want %q in it", path, v.Unknown, want)
					}
				}
			}
			if unknown == 0 {
				t.Errorf("nothing is unknown: %v", s.Values)
			}
			e := fmt.Sprint(w.target(s, w.old).Evidence)
			if operation != "ListTasks" && !strings.Contains(e, string(astern.ReadyUnknown)) {
				t.Errorf("the evidence is %s", e)
			}
		})
	}
}
