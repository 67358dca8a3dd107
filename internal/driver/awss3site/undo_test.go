package awss3site

import (
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
)

// Of two releases with the same entry points only the marker tells which one is served: a switch is not done before it says so.
func TestSwitchIsDoneWithItsMarker(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, nil)
	x.carry(astern.VerbRollback, "", &astern.ObjectChange{Object: "logo.svg", Revision: "v1"})
	calls := x.steps(astern.VerbRollback, "v2", nil)
	for i, call := range calls {
		if call.Verb != verbSwitch {
			if _, op := x.do(calls[i : i+1]); op.Status != astern.OpDone {
				t.Fatalf("%+v", op)
			}
			continue
		}
		x.cloud.Inject(t, awstest.Fault{Operation: "PutObject", About: x.clients.p.Bucket + "/" + x.clients.p.markerKey(), Status: 500, Code: "InternalError", Message: "x", Times: 1})
		if op := x.driver.Actor.Start(t.Context(), call); op.Status != astern.OpUnsure {
			t.Errorf("without its marker: %+v", op)
		}
		if f := x.driver.Actor.Find(t.Context(), call); f.Answer != astern.FoundNo {
			t.Errorf("found: %+v", f)
		}
		if op := x.driver.Actor.Start(t.Context(), call); op.Status != astern.OpDone {
			t.Errorf("once more: %+v", op)
		}
	}
	if s := x.observe(); s.Values["revision"].Text != "v2" || s.Values["served-problem"].Text != "" {
		t.Errorf("afterwards: %v", s.Values)
	}
}

// An undo puts the other objects before the entry points, as the way there did, and has CloudFront forget once, in the end.
func TestUndoPutsEntryPointsLast(t *testing.T) {
	t.Parallel()
	x := newSite(t, true, func(s *Settings) { s.Distribution = "new" })
	x.carry(astern.VerbRollback, "", &astern.ObjectChange{Object: "logo.svg", Revision: "v1"})
	before := x.observe().Values["revision"].Text
	for _, rev := range []string{"v1", "v2"} { // v2 has the same entry points
		calls := x.steps(astern.VerbRollback, rev, nil)
		if _, op := x.do(calls); op.Status != astern.OpDone {
			t.Fatalf("%+v", op)
		}
		logo, forgot := x.text("logo.svg"), x.cloud.invalidations(x.clients.p.Distribution)
		x.undo(calls, func(call astern.Call) {
			if call.Verb == verbSwitch && x.text("logo.svg") != "old logo" {
				t.Errorf("the entry points are put while the logo is still %q", logo)
			}
		})
		if n := x.cloud.invalidations(x.clients.p.Distribution) - forgot; n != 1 {
			t.Errorf("CloudFront forgot %d times", n)
		}
		if s := x.observe(); s.Values["revision"].Text != before || s.Values["served-problem"].Text != "" || x.text("index.html") != "two" {
			t.Errorf("after the undo of %s: %v", rev, s.Values)
		}
	}
}
