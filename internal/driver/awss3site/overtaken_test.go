package awss3site

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
)

// about carries out the calls before the first of the verb, and returns that one as it is just before it is started.
func (x *site) about(calls []astern.Call, verb string) astern.Call {
	x.Helper()
	i := slices.IndexFunc(calls, func(c astern.Call) bool { return c.Verb == verb })
	if i < 0 {
		x.Fatalf("no step is a %s", verb)
	}
	if call, op := x.do(calls[:i]); op.Status != astern.OpDone {
		x.Fatalf("%s: %+v", call.Step, op)
	}
	image, err := x.driver.Actor.Before(x.Context(), calls[i])
	x.must(err)
	calls[i].Image = image
	return calls[i]
}

// thereAndBack goes to one revision and to the other, which is served, so that each object has the ETag that it had.
func thereAndBack(there, back string) func(*site) {
	return func(x *site) {
		x.carry(astern.VerbRollback, there, nil)
		x.carry(astern.VerbRollback, back, nil)
	}
}

// undone returns the undo of a rollback to v1 that is done.
func (x *site) undone() []astern.Call {
	x.Helper()
	calls := x.steps(astern.VerbRollback, "v1", nil)
	if call, op := x.do(calls); op.Status != astern.OpDone {
		x.Fatalf("%s: %+v", call.Step, op)
	}
	var out []astern.Call
	for _, call := range slices.Backward(calls) {
		steps, err := x.driver.Router.Undo(x.c, call, nil)
		x.must(err)
		for _, s := range steps {
			undo := call
			undo.Step, undo.Verb, undo.Args, undo.Token, undo.Image = s.ID, s.Verb, s.Args, call.Token+"-undo-"+s.ID, nil
			out = append(out, undo)
		}
	}
	return out
}

// Who is held up in the midst of a put or a switch, while somebody takes over, puts nothing more: also where each object has again the
// ETag that it had, because they went there and back, or elsewhere with the same content.
func TestPutAndSwitchOvertaken(t *testing.T) {
	t.Parallel()
	rollback := func(x *site) []astern.Call { return x.steps(astern.VerbRollback, "v1", nil) }
	read := func(revision string) awstest.Fault {
		return awstest.Fault{Operation: "GetObject", About: "/" + recordsFolder + revision + ".json"}
	}
	first := awstest.Fault{Operation: "PutObject", About: "/404.html"}
	fails := first
	fails.Status, fails.Code, fails.Message = 500, "InternalError", "We encountered an internal error."
	for name, c := range map[string]struct {
		verb  string
		older func(x *site) []astern.Call
		held  awstest.Fault // the call that lasts long; its About is below the bucket
		newer func(x *site)
		once  string // what that call puts: it was sent before the newer one was there
	}{
		"a put after its look, there and back": {verb: verbPut, older: rollback, held: read("v2"), newer: thereAndBack("v1", "v2")},
		"a put after its look, elsewhere": {verb: verbPut, older: rollback, held: read("v2"), newer: func(x *site) {
			x.upload(map[string]string{"index.html": "three"})
			x.carry(astern.VerbDeploy, "v3", nil)
		}},
		"a switch at its first entry point": {verb: verbSwitch, older: rollback, held: first, newer: thereAndBack("v1", "v2"), once: "404.html"},
		"a switch between two attempts":     {verb: verbSwitch, older: rollback, held: fails, newer: thereAndBack("v1", "v2")},
		"a switch after its look, an undo":  {verb: verbSwitch, older: (*site).undone, held: read("v1"), newer: thereAndBack("v2", "v1")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newSite(t, true, nil)
			call := x.about(c.older(x), c.verb)
			var left map[string]string
			c.held.About, c.held.Times = x.clients.p.Bucket+c.held.About, 1
			c.held.Before = func() {
				c.newer(x)
				left = x.snapshot(t)
			}
			x.cloud.Inject(t, c.held)
			for _, attempt := range []string{"", "-2"} {
				call.Token += attempt
				op := x.driver.Actor.Start(t.Context(), call)
				if op.Status == astern.OpDone || op.Code != astern.Conflict || !strings.Contains(op.Error, "another execution was there: ex-") {
					t.Errorf("overtaken it says %+v", op)
				}
				if op.Status != astern.OpFailed && (attempt != "" || c.once == "") {
					t.Errorf("of what had no effect it says %+v", op)
				}
				if f := x.driver.Actor.Find(t.Context(), call); f.Answer != astern.FoundNo {
					t.Errorf("found: %+v", f)
				}
			}
			is := x.snapshot(t)
			of := func(key, _ string) bool { return c.once != "" && strings.HasPrefix(key, c.once+" ") }
			maps.DeleteFunc(left, of)
			maps.DeleteFunc(is, of)
			if diff := cmp.Diff(left, is); diff != "" {
				t.Errorf("after the newer one the older has changed (-newer +older):\n%s", diff)
			}
		})
	}
}
