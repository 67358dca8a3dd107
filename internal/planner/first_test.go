package planner_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planner"
)

// TestFirst: before anything is done, the target must be proven in the environment that comes first; a component that it does
// not have is told.
func TestFirst(t *testing.T) {
	rt := astern.Route{From: "r:2", Stages: []astern.Stage{{Title: "move", Steps: []astern.Step{plainStep("move")}, OnFailure: astern.OnFailureHold}}}
	r := table(rt, checkFront())
	r.Intent.First, r.First, r.Since = "staging", []planner.Part{{Component: astern.Component{Environment: "staging", Name: "table"}}}, now.Add(-time.Hour)
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

// Where names are counted by each account, the revision there is the one that holds the same; what can't be told is refused.
func TestFirstByContent(t *testing.T) {
	known := func(pairs ...string) astern.State {
		s := astern.State{Address: "staging/table", Values: map[string]astern.Value{}}
		for i := 0; i < len(pairs); i += 2 {
			s.Values[pairs[i]] = astern.Value{Text: pairs[i+1], At: now}
		}
		return s
	}
	theirs := known("content", "the digest", "content/api:9", "sha256:1", "content/api:8", "sha256:1", "content/api:7", "sha256:2", "revision", "api:8")
	for name, c := range map[string]struct {
		here  []string
		there astern.State
		want  string // the revision there
		says  string
	}{
		"what runs there goes first":     {[]string{"content", "the digest", "content/r:1", "sha256:1"}, theirs, "api:8", ""},
		"what does not run there":        {[]string{"content", "the digest", "content/r:1", "sha256:2"}, theirs, "api:7", ""},
		"another thing of the same name": {[]string{"content", "the digest", "content/r:1", "sha256:2"}, known("content", "the digest", "content/r:1", "sha256:1", "revision", "r:1"), "", "no revision of staging/table holds what"},
		"not known here":                 {[]string{"content", "the digest"}, theirs, "", "can't be told by its name, which is counted, nor by the digest"},
		"not known there":                {[]string{"content", "the digest", "content/r:1", "sha256:1"}, known("content", "the digest", "revision", "r:1"), "", "no revision of staging/table holds what"},
		"nothing seen there":             {[]string{"content", "the digest", "content/r:1", "sha256:1"}, astern.State{Values: map[string]astern.Value{"revision": {Unknown: "denied", At: now}}}, "", "what staging/table holds is not known: denied"},
		"counted there, and not here":    {nil, theirs, "", "the names of staging/table are counted there"},
		"named by whoever releases":      {nil, known("revision", "r:1"), "r:1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			rt := astern.Route{From: "r:2", Stages: []astern.Stage{{Title: "move", Steps: []astern.Step{plainStep("move")}, OnFailure: astern.OnFailureHold}}}
			r := table(rt, checkFront())
			for i := range r.Parts {
				for path, v := range known(c.here...).Values {
					r.Parts[i].State.Values[path] = v
				}
			}
			r.Intent.First, r.Since = "staging", now.Add(-time.Hour)
			other := planner.Part{Component: astern.Component{Environment: "staging", Name: "table"}, State: c.there}
			for _, path := range c.there.Under("content") {
				other.Targets = append(other.Targets, astern.Target{Revision: strings.TrimPrefix(path, "content/")})
			}
			r.First = []planner.Part{other}
			p, err := planner.Plan(r)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(astern.HintOf(err), "--first none") {
					t.Errorf("refused with %v (%s), want %q", err, astern.HintOf(err), c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if k, _ := p.Check("proven-in-staging", ""); k.Proven == nil || k.Proven.Revision != c.want || (k.Proven.Content != "") != (c.here != nil) {
				t.Errorf("the check is %+v", k.Proven)
			}
			valid(t, p)
		})
	}
}
