package planner

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/readiness"
)

// sound refuses an intent that no plan could answer.
func sound(in astern.Intent) error {
	named := map[string]bool{}
	for _, address := range in.Addresses {
		if named[address] {
			return astern.Errorf(astern.Invalid, "%s is named twice", address)
		}
		named[address] = true
	}
	switch {
	case !slices.Contains([]astern.Verb{astern.VerbRollback, astern.VerbDeploy, astern.VerbRedeploy, astern.VerbOff}, in.Verb):
		return astern.Errorf(astern.Invalid, "%q is not planned from an intent: rollback, deploy, redeploy and off are", in.Verb)
	case (in.Verb == astern.VerbOff) != (in.Flag != nil) || in.Flag != nil && (in.Flag.Flag == "" || len(in.Addresses) != 1):
		return astern.Errorf(astern.Invalid, "off is for one flag of one component, and only off names a flag")
	case in.Object != nil && (in.Verb != astern.VerbRollback || in.Object.Object == "" || len(in.Addresses) != 1 || in.Revision != "" || in.Moment != nil):
		return astern.Errorf(astern.Invalid, "one object goes back by a rollback of one component to a revision")
	case len(in.Addresses) == 0:
		return astern.Errorf(astern.Invalid, "no component was named")
	case in.Percent < 1 || in.Percent > 100:
		return astern.Errorf(astern.Invalid, "%d %% is not between 1 and 100", in.Percent)
	case in.Judge && in.Verb != astern.VerbDeploy:
		return astern.Errorf(astern.Invalid, "only a deployment is judged in stages")
	case in.BakeSeconds < 0 || in.WatchSeconds < 0:
		return astern.Errorf(astern.Invalid, "bake and watch can't be negative")
	case in.Revision != "" && in.Moment != nil:
		return astern.Errorf(astern.Invalid, "a revision and a moment exclude each other")
	case in.Revision != "" && !astern.ValidRevision(in.Revision):
		return astern.Errorf(astern.Invalid, "%q is not the name of a revision", in.Revision).
			WithHint("letters, digits and . _ : - only, at most 128, beginning with a letter or digit")
	case in.Revision == "" && in.Verb == astern.VerbDeploy:
		return astern.Errorf(astern.Invalid, "a deployment needs a revision")
	case in.Revision != "" && len(in.Addresses) > 1:
		return astern.Errorf(astern.Invalid, "one revision can't be the target of %d components", len(in.Addresses)).
			WithHint("name one component, or a moment: --all --to TIME")
	}
	return nil
}

// stuckError says that a component shows its target and can't be taken there, though something of it is not as it should be.
type stuckError struct{ cause error }

// Error returns why there is no way.
func (e stuckError) Error() string { return "and can't be taken there again: " + e.cause.Error() }

// Unwrap returns the refusal of the way.
func (e stuckError) Unwrap() error { return e.cause }

// choose finds each component's target and the route to it. Doubt says that one of those that stay may not be what it should be.
func choose(r Request) (moves []move, notes []string, doubt bool, err error) {
	if err := sound(r.Intent); err != nil {
		return nil, nil, false, err
	}
	for _, address := range r.Intent.Addresses {
		p, ok := r.part(address)
		if !ok {
			return nil, nil, false, astern.Errorf(astern.NotFound, "there is no component %s", address)
		}
		if p.Trouble != "" {
			return nil, nil, false, astern.Errorf(astern.Unavailable, "%s could not be observed: %s", address, p.Trouble)
		}
		t, why, err := target(r, p)
		if stuck := (stuckError{}); errors.As(err, &stuck) && len(r.Intent.Addresses) > 1 { // it must not be in the way of the others
			notes, doubt = append(notes, stays(p, t.Revision)+", "+stuck.Error()), true
			continue
		}
		if err == nil && r.Intent.Object != nil {
			t, r.Intent.Object, err = picked(r, p, t)
		}
		if err != nil {
			return nil, nil, false, err
		}
		notes = append(notes, why...)
		if t.Revision == "" {
			continue
		}
		rt, err := route(r, p, t)
		if err != nil {
			return nil, nil, false, fmt.Errorf("finding the way of %s to %s: %w", address, t.Revision, err)
		}
		if err := leftOut(r, p, rt); err != nil {
			return nil, nil, false, err
		}
		notes = append(notes, notRestarted(p)...)
		for _, n := range rt.Notes {
			notes = append(notes, p.Component.Name+": "+n)
		}
		if len(rt.Stages) == 0 {
			notes = append(notes, stays(p, t.Revision))
			if rt.Fleet != nil && len(rt.Fleet.LeftOut) > 0 {
				notes, doubt = append(notes, p.Component.Name+": what could not be observed may run something else: "+leftOutOf(rt)), true
			}
			continue
		}
		moves = append(moves, move{p, t, rt})
	}
	return moves, notes, doubt, nil
}

func route(r Request, p Part, t astern.Target) (astern.Route, error) {
	return p.Router.Route(p.Component, p.State, t, options(r))
}

func options(r Request) astern.Options {
	return astern.Options{Verb: r.Intent.Verb, Percent: r.Intent.Percent, BakeSeconds: r.Intent.BakeSeconds, GateSeconds: gateSeconds,
		Now: r.Now, Flag: r.Intent.Flag, Object: r.Intent.Object}
}

func stays(p Part, revision string) string {
	return fmt.Sprintf("%s stays: it already runs %s", p.Component.Name, revision)
}

// target returns where the component goes; an empty target means that it stays, and the notes say why.
func target(r Request, p Part) (astern.Target, []string, error) {
	in := r.Intent
	switch {
	case in.Verb == astern.VerbDeploy:
		return deployed(r, p)
	case in.Verb == astern.VerbRedeploy:
		return current(p)
	case in.Verb == astern.VerbOff:
		return switchedOff(r, p)
	case in.Moment != nil:
		return atMoment(r, p)
	case in.Object != nil && in.Object.Revision != "":
		t, _ := find(p, in.Object.Revision) // as a whole it may be broken: what counts is the object
		return t, nil, nil
	case in.Revision != "":
		return named(p, in.Revision, r.WithoutUnreachable)
	}
	return newestGood(p)
}

func find(p Part, revision string) (astern.Target, bool) {
	for _, t := range p.Targets {
		if t.Revision == revision {
			return t, true
		}
	}
	return astern.Target{}, false
}

// named checks a target that was asked for by name.
func named(p Part, revision string, withoutUnreachable bool) (astern.Target, []string, error) {
	address := p.Component.Address()
	t, ok := find(p, revision)
	if !ok {
		return t, nil, astern.Errorf(astern.NotFound, "%s has no revision %s to go back to", address, revision).
			WithHint("astern targets %s lists those there are%s", p.Component.Name, nearest(p))
	}
	switch {
	case t.Latched != "":
		return t, nil, astern.Errorf(astern.Refused, "%s %s is latched: %s", address, revision, t.Latched).
			WithHint("if it is good after all: astern latch release %s %s --reason …", p.Component.Name, revision)
	case t.Readiness == astern.Broken:
		return t, nil, astern.Errorf(astern.Refused, "%s %s can't be reached: %s", address, revision, worstEvidence(t)).
			WithHint("astern targets %s lists the others", p.Component.Name)
	case t.Readiness == astern.ReadyUnknown && !withoutUnreachable:
		return t, nil, astern.Errorf(astern.Refused, "whether %s %s can be reached is unknown: %s", address, revision, worstEvidence(t)).
			WithHint("reach it and try again, or leave out what can't be reached: --without-unreachable --reason …")
	case t.Readiness != astern.Ready:
		return t, []string{fmt.Sprintf("%s %s is %s: %s", p.Component.Name, revision, t.Readiness, worstEvidence(t))}, nil
	}
	return t, nil, nil
}

func nearest(p Part) string {
	var names []string
	for _, t := range p.Targets {
		if !t.Current {
			names = append(names, t.Revision)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ": " + few(names, ", ")
}

// fewest is how many of a long list a sentence names: somebody reads it, and it may be stored in the plan.
const fewest = 12

// few joins the first of a list and counts the rest: a component may have ten thousand revisions.
func few(list []string, separator string) string {
	if over := len(list) - fewest; over > 1 {
		list = append(slices.Clone(list[:fewest]), fmt.Sprintf("and %d more", over))
	}
	return strings.Join(list, separator)
}

// newestGood chooses the newest ready, known-good revision deployed before the current one, and says why not a newer.
func newestGood(p Part) (astern.Target, []string, error) {
	address := p.Component.Address()
	cands := slices.Clone(p.Targets)
	sort.SliceStable(cands, func(i, j int) bool { return deployedAt(cands[i]) > deployedAt(cands[j]) })
	left, since, err := readiness.Leaves(p.Targets, p.State.Values["revision"])
	if err != nil {
		return astern.Target{}, nil, astern.Errorf(astern.NotReady, "what %s goes back from is not known: %w", address, err).
			WithHint("astern targets %s shows what there is; name one yourself with --to REVISION", p.Component.Name)
	}
	var why []string
	for _, t := range cands {
		switch {
		case t.Current || t.Revision == left:
		case readiness.Later(t, since):
			why = append(why, t.Revision+" was deployed after what runs")
		case t.Latched != "":
			why = append(why, fmt.Sprintf("%s is latched (%s)", t.Revision, t.Latched))
		case t.KnownGoodAt == nil:
			why = append(why, t.Revision+" never completed a watch")
		case t.Readiness != astern.Ready:
			why = append(why, fmt.Sprintf("%s is %s (%s)", t.Revision, t.Readiness, worstEvidence(t)))
		default:
			note := fmt.Sprintf("%s: %s is the newest ready known-good revision", p.Component.Name, t.Revision)
			if len(why) > 0 {
				note += "; not newer: " + few(why, "; ")
			}
			return t, []string{note}, nil
		}
	}
	text := "there is no earlier revision"
	if len(why) > 0 {
		text = few(why, "; ")
	}
	hint := fmt.Sprintf("astern targets %s shows the evidence; name one yourself with --to REVISION", p.Component.Name)
	if how := Markable(p); how != "" {
		hint = how + "; " + hint
	}
	return astern.Target{}, nil, astern.Errorf(astern.NotReady, "%s has no ready, known-good revision to go back to: %s", address, text).WithHint("%s", hint)
}

// Markable says how a person makes a revision the way back that lacks nothing but the mark known-good: the newest of them, ""
// where there is none.
func Markable(p Part) string {
	left, since, err := readiness.Leaves(p.Targets, p.State.Values["revision"])
	if err != nil {
		return ""
	}
	best := astern.Target{}
	for _, t := range p.Targets {
		running := t.Current || slices.Contains(strings.Split(p.State.Values["revision"].Text, "+"), t.Revision)
		if running || t.Revision == left || readiness.Later(t, since) || t.Latched != "" || t.KnownGoodAt != nil || !marksAlone(t) {
			continue
		}
		if best.Revision == "" || deployedAt(t) > deployedAt(best) {
			best = t
		}
	}
	if best.Revision == "" {
		return ""
	}
	return fmt.Sprintf("if %s was good: astern record known-good %s %s --reason …", best.Revision, p.Component.Address(), best.Revision)
}

// marksAlone reports whether a target lacks the mark alone: at most one thing puts it at risk, that it was never proven.
func marksAlone(t astern.Target) bool {
	risks := 0
	for _, e := range t.Evidence {
		switch e.Readiness {
		case astern.Ready:
		case astern.AtRisk:
			risks++
		default:
			return false
		}
	}
	return risks <= 1 && len(t.Evidence) > 0
}

func deployedAt(t astern.Target) int64 {
	if t.DeployedAt == nil {
		return 0
	}
	return t.DeployedAt.UnixNano()
}

// momentText shows a moment as the person gave it, by a clock of their own, and in UTC, as everything else is written.
func momentText(t time.Time) string {
	text := t.UTC().Format("2006-01-02 15:04:05Z")
	if _, offset := t.Zone(); offset != 0 {
		text += t.Format(" (15:04:05 -0700)")
	}
	return text
}

// atMoment takes the revision that ran at the moment.
func atMoment(r Request, p Part) (astern.Target, []string, error) {
	address := p.Component.Address()
	want, ok := r.Release.Revisions[address]
	if !ok {
		return astern.Target{}, nil, astern.Errorf(astern.Refused, "the ledger does not know what %s ran at %s",
			address, momentText(*r.Intent.Moment)).WithHint("astern ledger releases shows how far it reaches back")
	}
	if p.State.Values["revision"].Text == want {
		// A member may still not run what its link says: then there is a way to go.
		t, _ := find(p, want)
		t.Revision = want
		rt, err := route(r, p, t)
		if err != nil && !errors.Is(err, astern.ErrNothingToDo) {
			return t, nil, fmt.Errorf("%s shows %s already, %w", address, want, stuckError{err})
		}
		if err != nil || len(rt.Stages) == 0 {
			return astern.Target{}, []string{stays(p, want)}, nil
		}
	}
	return named(p, want, r.WithoutUnreachable)
}

// deployed goes forward to a revision, which need not have run before.
func deployed(r Request, p Part) (astern.Target, []string, error) {
	t, ok := find(p, r.Intent.Revision)
	if !ok { // what the world does not show, the ledger may know
		d, _ := p.History.Of(r.Intent.Revision)
		t = astern.Target{Address: p.Component.Address(), Revision: r.Intent.Revision, Readiness: astern.ReadyUnknown,
			Hash: d.Hash, KnownGoodAt: d.KnownGoodAt, Latched: d.Latched}
	}
	if t.Latched != "" {
		return t, nil, astern.Errorf(astern.Refused, "%s %s is latched: %s", t.Address, t.Revision, t.Latched).
			WithHint("if it is good after all: astern latch release %s %s --reason …", p.Component.Name, t.Revision)
	}
	return t, nil, nil
}

// current returns what a redeployment starts again: what all links lead to, whatever runs until then.
func current(p Part) (astern.Target, []string, error) {
	start := linked(p.State)
	for _, t := range p.Targets {
		if t.Revision == start || start == "" && t.Current {
			return t, nil, nil
		}
	}
	return astern.Target{}, nil, astern.Errorf(astern.Refused, "%s runs no single known revision to deploy again: %s",
		p.Component.Address(), p.State.Values["revision"])
}

// leftOut refuses to leave members out unless a person says so.
func leftOut(r Request, p Part, rt astern.Route) error {
	if rt.Fleet == nil || len(rt.Fleet.LeftOut) == 0 || r.WithoutUnreachable {
		return nil
	}
	return astern.Errorf(astern.Refused, "%s has members that could not be observed: %s", p.Component.Address(), leftOutOf(rt)).
		WithHint("to go on without them: --without-unreachable --reason …")
}

// leftOutOf names the members that the route leaves out, each with the reason.
func leftOutOf(rt astern.Route) string {
	var lines []string
	for _, l := range rt.Fleet.LeftOut {
		lines = append(lines, l.Member+" ("+l.Because+")")
	}
	return few(lines, ", ")
}

// worstEvidence returns the evidence that decided a target's readiness.
func worstEvidence(t astern.Target) string {
	for _, e := range t.Evidence {
		if e.Readiness == t.Readiness {
			return e.What
		}
	}
	return "there is no evidence"
}
