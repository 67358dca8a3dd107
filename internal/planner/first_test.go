package planner_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
)

// TestFirst: before anything is done, the target must be proven in the environment that comes first; a component that it does
// not have is told.
func TestFirst(t *testing.T) {
	rt := astern.Route{From: "r:2", Stages: []astern.Stage{{Title: "move", Steps: []astern.Step{plainStep("move")}, OnFailure: astern.OnFailureHold}}}
	r := table(rt, checkFront())
	r.Intent.First, r.First, r.Since = "staging", []string{"staging/table"}, now.Add(-time.Hour)
	p := plan(t, r)
	valid(t, p)
	if st := p.Stages[0]; len(st.Steps) != 0 || st.Gate == nil || !cmp.Equal(st.Gate.Checks, []string{"proven-in-staging"}) || st.OnFailure != astern.OnFailureHold {
		t.Errorf("the first stage is %+v", st)
	}
	want := astern.ProvenCheck{Revision: "r:1", Since: now.Add(-time.Hour)}
	if c, ok := p.Check("proven-in-staging", ""); !ok || c.Address != "staging/table" || c.Proven == nil || *c.Proven != want {
		t.Errorf("the check is %+v", c)
	}
	r.First = nil
	if p = plan(t, r); p.Stages[0].Gate != nil || !noted(p, "table is not proven in staging first: there is none") {
		t.Errorf("without one there: %+v, notes %q", p.Stages[0], p.Notes)
	}
}
