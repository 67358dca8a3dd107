package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planner"
)

// NotFirst says that nothing is proven in another environment first, whatever the policy wants.
const NotFirst = "none"

// provenFor is how long a proof in another environment counts before a plan that wants one.
const provenFor = time.Hour

// first notes where the targets of a plan must be proven first.
func (a *App) first(ctx context.Context, r *planner.Request, e astern.Environment, ask Ask) error {
	moves := ask.Verb == astern.VerbRollback || ask.Verb == astern.VerbDeploy
	where := ask.First
	switch {
	case where == NotFirst || where == "" && (ask.Way != "cli" || !moves || ask.Object != ""):
		return nil
	case where == "":
		if where = e.Policy.First; where == "" {
			return nil
		}
	case !moves || ask.Object != "":
		return astern.Errorf(astern.Invalid, "what is proven in %s first is a whole revision that is deployed or gone back to", where)
	case where == e.Name:
		return astern.Errorf(astern.Invalid, "%s can't come before itself", where)
	}
	there, err := a.Environment(where)
	if err != nil {
		return err
	}
	r.Intent.First, r.Since = where, r.Now.Add(-provenFor)
	var named []astern.Component
	for _, address := range r.Intent.Addresses {
		_, name, _ := astern.SplitAddress(address)
		if i := slices.IndexFunc(there.Components, func(c astern.Component) bool { return c.Name == name }); i >= 0 {
			named = append(named, there.Components[i])
		}
	}
	if len(named) == 0 && ask.First != "" {
		return astern.Errorf(astern.NotFound, "%s has none of the components asked for", where)
	}
	r.First, err = a.partsOf(ctx, there, named)
	return err
}

// Unproven is a component of another environment that a plan waits for.
type Unproven struct {
	Address  string
	Revision string
	Why      string
}

// Unproven lists what the plan's first stage waits for now.
func (a *App) Unproven(ctx context.Context, p astern.Plan) []Unproven {
	var out []Unproven
	for _, c := range p.Checks {
		if c.Proven == nil {
			continue
		}
		if r := a.provenThere(ctx, c); r.Verdict != astern.Pass {
			out = append(out, Unproven{c.Address, c.Proven.Revision, r.Evidence})
		}
	}
	return out
}

// MayFollow answers whether a component was taken to the revision and validated within the last hour: NotReady when it was not.
func (a *App) MayFollow(ctx context.Context, environment, component, revision string) (string, error) {
	c, err := a.Component(environment, component)
	if err == nil {
		err = checkRevision(revision)
	}
	if err != nil {
		return "", err
	}
	r := a.provenThere(ctx, astern.Check{Address: c.Address(), Proven: &astern.ProvenCheck{Revision: revision, Since: a.Now().Add(-provenFor)}})
	if r.Verdict != astern.Pass {
		return "", astern.Errorf(astern.NotReady, "%s", r.Evidence).WithHint("astern deploy %s %s -e %s --reason …", c.Name, revision, c.Environment)
	}
	return r.Evidence, nil
}

// provenThere says whether the check's component is proven with the revision: it was taken there by an execution that ended
// done within the time that counts and was the last to move it; or it runs it, and all its checks, of which none has effects,
// pass now.
func (a *App) provenThere(ctx context.Context, c astern.Check) astern.CheckResult {
	out := astern.CheckResult{Check: c.ID(), At: a.Now().UTC(), Attempts: 1}
	parts, err := a.there(ctx, c.Address)
	if err != nil {
		out.Verdict, out.Evidence = astern.Unknown, err.Error()
		return out
	}
	out.Verdict, out.Evidence = a.takenThere(ctx, parts, *c.Proven)
	if out.Verdict == astern.Fail {
		if verdict, why := a.worksThere(ctx, parts, *c.Proven); verdict != astern.Unknown {
			out.Verdict, out.Evidence = verdict, why
		}
	}
	out.Seconds = a.Now().Sub(out.At).Seconds()
	return out
}

// there looks at the component of another environment.
func (a *App) there(ctx context.Context, address string) (planner.Part, error) {
	component, ok := a.System.Component(address)
	if !ok {
		return planner.Part{}, astern.Errorf(astern.NotFound, "astern.yaml no longer declares %s", address)
	}
	e, _ := a.System.Environment(component.Environment)
	parts, err := a.partsOf(ctx, e, []astern.Component{component})
	if err != nil {
		return planner.Part{}, err
	}
	return parts[0], nil
}

// isProven reports whether a revision is what is to be proven: that of the name, which must hold what is wanted, or another
// one that does.
func isProven(p planner.Part, revision string, want astern.ProvenCheck) bool {
	if want.Content == "" {
		return revision == want.Revision
	}
	content, _, err := p.State.Same(revision)
	return err == nil && content == want.Content
}

// takenThere judges by the last execution that moved the component.
func (a *App) takenThere(ctx context.Context, p planner.Part, want astern.ProvenCheck) (astern.Verdict, string) {
	address := p.Component.Address()
	all, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return astern.Unknown, "what was done there is not known: " + err.Error()
	}
	for _, e := range all { // the newest first
		if !slices.Contains(e.Addresses, address) {
			continue
		}
		plan, err := a.planOf(ctx, e)
		if err != nil {
			return astern.Unknown, fmt.Sprintf("what %s did is not known: %v", e.ID, err)
		}
		i := slices.IndexFunc(plan.Moves, func(m astern.Move) bool { return m.Address == address })
		if i < 0 {
			continue
		}
		to := plan.Moves[i].To
		switch {
		case e.EndedAt == nil:
			return astern.Unknown, fmt.Sprintf("%s, which takes %s to %s, has not ended", e.ID, address, to)
		case e.Outcome != astern.OutcomeDone:
			return astern.Fail, fmt.Sprintf("%s, which took %s to %s, ended %s", e.ID, address, to, e.Outcome)
		case !slices.ContainsFunc(plan.Checks, func(c astern.Check) bool { return c.Address == address && c.Proven == nil }):
			return astern.Fail, fmt.Sprintf("%s took %s to %s, but %s has no check that proves it", e.ID, address, to, address)
		case !isProven(p, to, want):
			return astern.Fail, fmt.Sprintf("%s took %s to %s", e.ID, address, to)
		case e.EndedAt.Before(want.Since):
			return astern.Fail, fmt.Sprintf("%s took %s to %s and validated it, but at %s, which is too long ago", e.ID, address, to, e.EndedAt.UTC().Format("2006-01-02 15:04:05Z"))
		}
		return astern.Pass, fmt.Sprintf("%s took %s to %s and validated it", e.ID, address, to)
	}
	return astern.Fail, fmt.Sprintf("nothing took %s to %s yet", address, want.Revision)
}

// worksThere judges by what runs and the checks that can be made now; it is unknown where they would not prove it.
func (a *App) worksThere(ctx context.Context, p planner.Part, want astern.ProvenCheck) (astern.Verdict, string) {
	address, revision := p.Component.Address(), p.State.Values["revision"].Text
	if p.Trouble != "" || !isProven(p, revision, want) {
		return astern.Unknown, ""
	}
	var c Checked
	a.runChecks(ctx, &c, p)
	if len(c.Results) == 0 || len(c.NotRun) > 0 {
		return astern.Unknown, ""
	}
	for _, r := range c.Results {
		if r.Verdict != astern.Pass {
			return astern.Fail, fmt.Sprintf("%s runs %s, but its check %s does not pass: %s", address, revision, r.Check, r.Evidence)
		}
	}
	return astern.Pass, fmt.Sprintf("%s runs %s, and its %d checks pass", address, revision, len(c.Results))
}
