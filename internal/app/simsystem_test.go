package app

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// simRevisions are deployed in this order before a run begins; those but the last completed their watch.
var simRevisions = []string{"v1", "v2", "v3", "v4"}

// simService is how a simulated component is built; the router reads it instead of settings.
type simService struct {
	members  []string
	wave     int // members that one plan takes at most, 0 for all: a plan that can't see its end
	parallel int
	tolerate int
	cutOver  bool // its stages are undone when they fail
	digest   bool // its swaps use the output of the fetch
	inText   bool
	limit    bool // the output of its fetch is limited
}

// randomSystem makes a system of one to three components.
func randomSystem(rnd *rand.Rand) (astern.System, map[string]simService) {
	env := astern.Environment{Name: "sim", Policy: astern.Policy{Approvals: rnd.IntN(2), WatchSeconds: int64(rnd.IntN(2) * 5)}}
	services := map[string]simService{}
	for i := range 1 + rnd.IntN(3) {
		s := simService{wave: rnd.IntN(4), parallel: rnd.IntN(3), tolerate: rnd.IntN(4) / 3, cutOver: rnd.IntN(2) == 0,
			digest: rnd.IntN(2) == 0, inText: rnd.IntN(2) == 0, limit: rnd.IntN(3) == 0}
		for k := range 1 + rnd.IntN(4) {
			s.members = append(s.members, fmt.Sprintf("m%d", k))
		}
		c := astern.Component{Environment: "sim", Name: fmt.Sprintf("c%d", i), Kind: simKind}
		for _, o := range env.Components {
			if rnd.IntN(2) == 0 {
				c.DependsOn = append(c.DependsOn, o.Name)
			}
		}
		if rnd.IntN(4) > 0 {
			c.Checks = []astern.Check{{Name: "ok", Address: c.Address(), Command: &astern.CommandCheck{Argv: []string{"true"}},
				Each: rnd.IntN(2) == 0, Effects: astern.EffectsNone, TimeoutSeconds: 1, Attempts: 1}}
		}
		env.Components = append(env.Components, c)
		services[c.Address()] = s
	}
	return astern.System{Name: "sim", Environments: []astern.Environment{env}}, services
}

// simRouter knows the ways of the simulated components.
type simRouter struct{ services map[string]simService }

// Targets returns every revision of the history.
func (r simRouter) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	var out []astern.Target
	for _, d := range h.Deployments {
		out = append(out, astern.Target{Address: c.Address(), Revision: d.Revision, Current: s.Values["revision"].Text == d.Revision,
			Evidence: []astern.Evidence{{What: "it is in the registry", Readiness: astern.Ready}}})
	}
	return out
}

// Route returns a fetch, the first share of the members, and the rest, as far as one plan goes.
func (r simRouter) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	sv := r.services[c.Address()]
	fleet := &astern.Fleet{Address: c.Address()}
	var from []string
	for _, m := range sv.members {
		link, runs := s.Values[m+"/link"], s.Values[m+"/runs"]
		switch {
		case !link.Known():
			fleet.LeftOut = append(fleet.LeftOut, astern.LeftOut{Member: m, Because: link.Unknown})
			continue
		case o.Verb == astern.VerbRedeploy || link.Text != t.Revision || runs.Text != t.Revision:
			if sv.wave == 0 || len(fleet.Members) < sv.wave {
				fleet.Members = append(fleet.Members, m)
			}
		}
		from = append(from, link.Text)
	}
	slices.Sort(from)
	rt := astern.Route{From: strings.Join(slices.Compact(from), "+")}
	n := len(fleet.Members)
	if n == 0 {
		if len(fleet.LeftOut) > 0 {
			return rt, astern.Errorf(astern.Refused, "no member of %s that has to move can be reached", c.Address())
		}
		return rt, nil
	}
	rt.Fleet = fleet
	rt.Stages = append(rt.Stages, astern.Stage{Title: "fetch", OnFailure: astern.OnFailureHold, Steps: []astern.Step{sv.fetch(c, t)}})
	k := max(1, (o.Percent*n+99)/100)
	for _, span := range [][2]int{{0, k}, {k, n}} {
		if span[0] == span[1] {
			continue
		}
		st := astern.Stage{Title: "members", Each: &astern.Each{Address: c.Address(), From: span[0], To: span[1]},
			Parallel: sv.parallel, Tolerate: sv.tolerate, OnFailure: astern.OnFailureHold, Steps: sv.lane(c, t)}
		if sv.cutOver {
			st.OnFailure = astern.OnFailureUndo
		}
		rt.Stages = append(rt.Stages, st)
	}
	all := astern.Fact{Path: "{member}/link", Value: s.Values[fleet.Members[0]+"/link"].Text, Seen: o.Now, Steps: []string{"swap", "restart"},
		Except: map[string]astern.FactValue{}}
	for _, m := range fleet.Members[1:] {
		if v := s.Values[m+"/link"].Text; v != all.Value {
			all.Except[m] = astern.FactValue{Value: v}
		}
	}
	rt.Facts = []astern.Fact{all}
	return rt, nil
}

// simStep is what all simulated steps have in common.
func simStep(c astern.Component, id, verb, revision string) astern.Step {
	return astern.Step{ID: id, Address: c.Address(), Kind: simKind, Verb: verb, Title: verb, Undo: astern.UndoInverse, Command: "true",
		Args: map[string]astern.Arg{"revision": astern.Text(revision)}, Attempts: 3, TimeoutSeconds: 120, HoldSeconds: 30,
		SettleSeconds: int64(simSettle / time.Second)}
}

func (sv simService) fetch(c astern.Component, t astern.Target) astern.Step {
	s := simStep(c, "fetch", "fetch", t.Revision)
	s.Undo, s.Outputs = astern.UndoNone, map[string]string{"digest": "string"}
	if sv.limit {
		s.Limits = map[string]string{"digest": "digest-of-" + t.Revision}
	}
	return s
}

func (sv simService) lane(c astern.Component, t astern.Target) []astern.Step {
	swap := simStep(c, "swap", "swap", t.Revision)
	swap.Sets = []astern.Set{{Path: "{member}/link", Value: astern.Text(t.Revision)}}
	if sv.digest {
		ref := &astern.Ref{From: "fetch", Output: "digest"}
		if sv.inText {
			ref.In = "sha:{}"
		}
		swap.Args["digest"] = astern.Arg{Ref: ref}
	}
	restart := simStep(c, "restart", "restart", t.Revision)
	restart.Sets = []astern.Set{{Path: "{member}/runs", Value: astern.Text(t.Revision)}}
	restart.Guards = []string{"swap"}
	return []astern.Step{swap, restart}
}

// Undo returns the inverse of a step from its image.
func (r simRouter) Undo(c astern.Component, call astern.Call, _ map[string]astern.Arg) ([]astern.Step, error) {
	m, path, was := memberOf(call), "/link", call.Image["link"]
	if call.Verb == "restart" {
		path, was = "/runs", call.Image["runs"]
	}
	s := simStep(c, "back-"+call.Verb+"-"+m, call.Verb, was)
	s.Args["instance"] = astern.Text(m)
	s.Sets = []astern.Set{{Path: m + path, Value: astern.Text(was)}}
	return []astern.Step{s}, nil
}
