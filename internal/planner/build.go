package planner

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/ledger"
	"github.com/astern-dev/astern/internal/policy"
)

// gateSeconds is how long a gate may go without a round in which all checks passed before a person is asked.
const gateSeconds = 120

// builder puts a plan together, stage by stage.
type builder struct {
	r    Request
	plan astern.Plan
	seen map[string]bool // ids of bound checks in the plan
	// unbound are the components with a check that can't be made in this plan.
	unbound map[string]bool
	// proof says by address what proves a component at the end of this plan.
	proof map[string]proof
}

// proof is what proves a component: whether checks validate it, and whether anything looks at it while it is watched.
type proof struct{ validated, watched bool }

func newBuilder(r Request) *builder {
	return &builder{r: r, seen: map[string]bool{}, unbound: map[string]bool{}, proof: map[string]proof{}, plan: astern.Plan{
		Kind: "Plan", Version: astern.PlanVersion, ID: r.ID, System: r.System, CreatedAt: r.Now,
		ExpiresAt: r.Now.Add(r.Policy.PlanAge()), Intent: r.Intent, Asked: r.Asked, Parent: r.Parent,
		Loss: []astern.Loss{}, Facts: []astern.Fact{}, Moves: []astern.Move{}, Stages: []astern.Stage{},
	}}
}

func (b *builder) build(moves []move) error {
	back := b.r.Intent.Verb == astern.VerbRollback
	forward := b.r.Intent.Verb == astern.VerbDeploy
	off := b.r.Intent.Verb == astern.VerbOff
	if err := b.first(moves); err != nil {
		return err
	}
	if back {
		b.latch(moves)
	}
	for _, m := range moves {
		if err := b.move(m); err != nil {
			return err
		}
		if back || forward || off {
			b.record(m)
		}
	}
	if err := b.prove(moves); err != nil {
		return err
	}
	for _, m := range moves {
		b.checklist(m)
	}
	if back || forward {
		b.knownGood(moves)
	}
	if err := b.approvals(); err != nil {
		return err
	}
	b.estimate()
	return nil
}

// approvals says how many people must approve, and notes whom the policy wants, where it names roles.
func (b *builder) approvals() error {
	m := policy.MatterOf(b.plan)
	demands, err := policy.Demands(b.r.Policy, m)
	if err != nil {
		return err
	}
	b.plan.Approvals = policy.Others(b.r.Policy, demands, m.By)
	for _, d := range demands {
		if len(d.Approvers) > 0 {
			b.note("approvals: %s", d)
		}
	}
	return nil
}

// latch is the first stage of a rollback: the revisions that are left can't be deployed again until released.
func (b *builder) latch(moves []move) {
	var steps []astern.Step
	for _, m := range moves {
		for _, bad := range strings.Split(m.route.From, "+") {
			if bad == "" || bad == m.target.Revision {
				continue
			}
			reason := b.r.Intent.Reason
			if reason == "" {
				reason = "rolled back to " + m.target.Revision
			}
			name := m.part.Component.Name
			steps = append(steps, ledgerStep(m, ledger.VerbLatch, "latch-"+name+"."+idOf(bad), fmt.Sprintf("latch %s %s", name, bad),
				map[string]astern.Arg{"revision": astern.Text(bad), "reason": astern.Text(reason)},
				fmt.Sprintf("astern latch add %s %s --reason %s", m.part.Component.Address(), bad, quote(reason)), astern.UndoInverse))
		}
	}
	if len(steps) > 0 {
		b.stage(astern.Stage{Title: "latch what is left behind", Steps: steps, OnFailure: astern.OnFailureHold}, nil)
	}
}

// idOf writes a revision as part of a step's id; no revision holds a "+".
func idOf(revision string) string { return strings.ReplaceAll(revision, ":", "+") }

// move adds the component's own stages with their gates.
func (b *builder) move(m move) error {
	c := m.part.Component
	address := c.Address()
	b.plan.Moves = append(b.plan.Moves, astern.Move{Address: address, Kind: c.Kind, From: m.route.From, To: m.target.Revision,
		Readiness: m.target.Readiness, Evidence: m.target.Evidence})
	if failed := m.part.Failed[m.target.Revision]; failed != "" {
		b.note("%s: it did not get to %s before: %s", c.Name, m.target.Revision, failed)
	}
	b.plan.Loss = append(b.plan.Loss, m.route.Loss...)
	if m.route.Fleet != nil {
		b.plan.Fleets = append(b.plan.Fleets, *m.route.Fleet)
		b.leftOut(address, m.route.Fleet.LeftOut)
	}
	begins := len(b.plan.Stages)
	ids := map[string]string{} // local step id -> id in the plan, over all stages of the route
	var moved []string         // so far
	known := map[string]bool{} // the same
	var err error
	for i, st := range m.route.Stages {
		last := i == len(m.route.Stages)-1
		here := membersOf(m.route, st)
		for _, member := range here {
			if !known[member] {
				known[member] = true
				moved = append(moved, member)
			}
		}
		if last && m.route.Fleet != nil {
			moved = m.route.Fleet.Members
		}
		if st.Steps, err = b.bindSteps(m, st.Steps, here); err != nil {
			return err
		}
		gate, err := b.gate(m, moved, last)
		if err != nil {
			return err
		}
		if st.StopWhen, err = b.stopWhen(m, st); err != nil {
			return err
		}
		if b.r.Intent.Judge && m.route.Fleet != nil && len(moved) > 0 && len(moved) < len(m.route.Fleet.Members) {
			gate = b.judged(m, &st, gate)
		}
		if secs := b.baking(m.route, i); secs > 0 {
			if m.route.Fleet == nil && !last {
				if gate, err = b.gateOf(m, nil, b.holdsForShare); err != nil {
					return err
				}
			}
			if gate == nil {
				b.note("%s: nothing is checked while stage %d bakes: %s", c.Name, len(b.plan.Stages)+1, whyUnchecked(m.route))
			}
			gate = bake(gate, secs)
		}
		st.Gate = gate
		st.Title = c.Name + ": " + st.Title
		b.stage(st, ids)
	}
	for _, f := range m.route.Facts {
		f.Address = address
		steps := expand(b.plan.Stages[begins:], f.Steps, ids)
		for _, local := range f.Steps {
			if ids[local] == "" {
				return astern.Errorf(astern.Internal, "the way of %s to %s has the fact %s for its step %q, which it does not have",
					address, m.target.Revision, f.Path, local).WithHint("this is a bug of the driver %s: please report it", c.Kind)
			}
		}
		if othersSet(m.route, f) {
			return astern.Errorf(astern.Internal, "the way of %s to %s has the fact %s for a step of each member, and another member's sets it: it must be one for {member}",
				address, m.target.Revision, f.Path).WithHint("this is a bug of the driver %s: please report it", c.Kind)
		}
		f.Steps = steps
		b.plan.Facts = append(b.plan.Facts, f)
	}
	return nil
}

// stopWhen returns the checks that stop a stage in which the cloud goes on by itself: those that hold while two revisions share
// the calls. A deployment of what was known-good is a way back: there only those that ask the new revision itself.
func (b *builder) stopWhen(m move, st astern.Stage) ([]string, error) {
	if m.route.Fleet != nil || !slices.ContainsFunc(st.Steps, func(s astern.Step) bool { return s.Stoppable }) {
		return nil, nil
	}
	fits := b.holdsForShare
	if m.target.KnownGoodAt != nil {
		fits = func(k astern.Check) bool { return !k.Each && k.Share }
	}
	g, err := b.gateOf(m, nil, fits)
	if err != nil || g == nil {
		return nil, err
	}
	return g.Checks, nil
}

// leftOut notes the members that are left out: what they run is a fact that nobody knows, on which no step rests, and
// which the person who asked takes upon himself.
func (b *builder) leftOut(address string, members []astern.LeftOut) {
	for _, l := range members {
		path := l.Member + "/link"
		b.plan.Facts = append(b.plan.Facts, astern.Fact{Address: address, Path: path, Unknown: l.Because, Seen: b.r.Now, Steps: []string{}})
		b.plan.Accepts = append(b.plan.Accepts, astern.Accept{What: "fact " + address + " " + path,
			By: b.r.Asked.By, Because: cmp.Or(b.r.Intent.Reason, "left out: "+l.Because)})
	}
}

func (b *builder) note(format string, args ...any) {
	b.plan.Notes = append(b.plan.Notes, fmt.Sprintf(format, args...))
}

// baking returns how long the route's stage i bakes: as the route says where it says so, else each but the last, and of
// a fleet's only those that take members.
func (b *builder) baking(rt astern.Route, i int) int64 {
	st := rt.Stages[i]
	if slices.ContainsFunc(rt.Stages, func(st astern.Stage) bool { return st.Gate != nil }) {
		if st.Gate == nil {
			return 0
		}
		return st.Gate.BakeSeconds
	}
	if i == len(rt.Stages)-1 || rt.Fleet != nil && len(membersOf(rt, st)) == 0 {
		return 0
	}
	return b.r.Intent.BakeSeconds
}

// membersOf returns the members that a stage of the route takes: those of its range, or those that explicit steps name
// in their argument "instance".
func membersOf(rt astern.Route, st astern.Stage) []string {
	if st.Each != nil {
		return rt.Fleet.Members[st.Each.From:st.Each.To]
	}
	var out []string
	known := map[string]bool{}
	for _, s := range st.Steps {
		member := s.Args["instance"]
		if member.Literal != nil && !known[member.String()] {
			known[member.String()] = true
			out = append(out, member.String())
		}
	}
	return out
}

// stage adds a stage: its steps get the stage's number before their names, and references follow.
func (b *builder) stage(st astern.Stage, ids map[string]string) {
	n := len(b.plan.Stages) + 1
	mine := map[string]string{}
	for _, step := range st.Steps {
		id := fmt.Sprintf("%d.%s", n, step.ID)
		mine[step.ID] = id
		if ids != nil {
			ids[fmt.Sprintf("%d %s", n, step.ID)] = id
			if _, ok := ids[step.ID]; !ok {
				ids[step.ID] = id
			}
		}
	}
	steps := renamed(st.Steps, func(local string) string {
		if id, ok := mine[local]; ok {
			return id
		}
		if id, ok := ids[local]; ok {
			return id
		}
		return local
	})
	st.Steps = steps
	if st.Steps == nil {
		st.Steps = []astern.Step{}
	}
	b.plan.Stages = append(b.plan.Stages, st)
}

// renamed returns the steps with their ids, and all that refers to them, renamed.
func renamed(steps []astern.Step, rename func(string) string) []astern.Step {
	steps = slices.Clone(steps)
	for i := range steps {
		steps[i].ID = rename(steps[i].ID)
		steps[i].Args = renameArgs(steps[i].Args, rename)
		steps[i].Guards = slices.Clone(steps[i].Guards)
		for k := range steps[i].Guards {
			steps[i].Guards[k] = rename(steps[i].Guards[k])
		}
		steps[i].Sets = slices.Clone(steps[i].Sets)
		for k := range steps[i].Sets {
			steps[i].Sets[k].Value = renameArg(steps[i].Sets[k].Value, rename)
		}
	}
	return steps
}

func renameArgs(args map[string]astern.Arg, rename func(string) string) map[string]astern.Arg {
	out := maps.Clone(args)
	for k, a := range out {
		out[k] = renameArg(a, rename)
	}
	return out
}

func renameArg(a astern.Arg, rename func(string) string) astern.Arg {
	if a.Ref == nil {
		return a
	}
	ref := *a.Ref
	ref.From = rename(ref.From)
	return astern.Arg{Ref: &ref}
}

// expand returns the plan's ids of every step that has one of the local names, in whichever of the route's stages.
func expand(stages []astern.Stage, locals []string, ids map[string]string) []string {
	var out []string
	for _, st := range stages {
		for _, s := range st.Steps {
			for _, l := range locals {
				number, name, _ := strings.Cut(s.ID, ".")
				if name == l && ids[number+" "+l] == s.ID {
					out = append(out, s.ID)
				}
			}
		}
	}
	return out
}

// gate returns the checks that end a stage: those made for each member, for the members moved so far; with whole also
// those of the component as a whole.
func (b *builder) gate(m move, members []string, whole bool) (*astern.Gate, error) {
	return b.gateOf(m, members, func(k astern.Check) bool { return k.Each || whole })
}

// gateOf returns a gate of the component's proofs that fit. Checks with effects are steps, not gates.
func (b *builder) gateOf(m move, members []string, fits func(astern.Check) bool) (*astern.Gate, error) {
	c := m.part.Component
	g := &astern.Gate{Checks: []string{}, IntervalSeconds: 1, TimeoutSeconds: gateSeconds}
	for _, name := range proofs(c) {
		check, ok := checkOf(c, name)
		if !ok || check.Effects == astern.EffectsSome || !fits(check) {
			continue
		}
		ids, err := b.bind(m, check, members)
		if err != nil {
			return nil, err
		}
		g.Checks = append(g.Checks, ids...)
	}
	if len(g.Checks) == 0 {
		return nil, nil
	}
	return g, nil
}

// holdsForShare reports whether a check of the whole says something while two revisions share the calls: one that asks the
// new revision itself does. One that asks whoever answers does while the rest goes to a good revision, which is so going
// forward only: in a rollback the revision that is left would fail it.
func (b *builder) holdsForShare(k astern.Check) bool {
	switch {
	case k.Each:
		return false
	case k.Share:
		return true
	}
	_, err := k.Bind(astern.Values{}) // fails for one that wants a certain revision
	return b.r.Intent.Verb == astern.VerbDeploy && err == nil
}

// whyUnchecked says why a stage of the route bakes without a check.
func whyUnchecked(rt astern.Route) string {
	if rt.Fleet != nil {
		return "it has no check for each member that is without effects"
	}
	return "it has no check without effects that asks {revision} or {version} itself (share: true)"
}

// bake has the gate, or one without checks, last for a while.
func bake(g *astern.Gate, secs int64) *astern.Gate {
	if g == nil {
		g = &astern.Gate{Checks: []string{}, TimeoutSeconds: gateSeconds}
	}
	g.BakeSeconds = secs
	g.IntervalSeconds = min(max(secs/20, 1), 15)
	return g
}

// proofs names the checks that prove a recovery of the component, those that tick its checklist among them.
func proofs(c astern.Component) []string {
	out := slices.Clone(c.Validate)
	if len(out) == 0 {
		for _, k := range c.Checks {
			out = append(out, k.Name)
		}
	}
	for _, i := range c.Checklist {
		if i.Check != "" && !slices.Contains(out, i.Check) {
			out = append(out, i.Check)
		}
	}
	return out
}

func checkOf(c astern.Component, name string) (astern.Check, bool) {
	for _, k := range c.Checks {
		if k.Name == name {
			return k, true
		}
	}
	return astern.Check{}, false
}

// bindSteps binds the checks that steps wait for, for each of the members or for the one that NAME@MEMBER names, and
// names them as the plan does.
func (b *builder) bindSteps(m move, steps []astern.Step, members []string) ([]astern.Step, error) {
	steps = slices.Clone(steps)
	for i, s := range steps {
		if s.Kind != "check" {
			continue
		}
		id := s.Args["check"].String()
		name, member, one := strings.Cut(id, "@")
		check, ok := checkOf(m.part.Component, name)
		if !ok {
			return nil, astern.Errorf(astern.Invalid, "%s has no check %s", m.part.Component.Address(), name)
		}
		whom := members
		if one {
			whom = []string{member}
		}
		if _, err := b.bind(m, check, whom); err != nil {
			return nil, err
		}
		steps[i].Args = maps.Clone(s.Args)
		steps[i].Args["check"] = astern.Text(b.checkName(m, id))
	}
	return steps, nil
}

// checkName is the name of a component's check in the plan; a plan of several components tells them apart.
func (b *builder) checkName(m move, name string) string {
	if len(b.r.Intent.Addresses) > 1 {
		return m.part.Component.Name + "." + name
	}
	return name
}

// bind adds the check to the plan with its placeholders replaced, once for each member or once, and returns the ids.
func (b *builder) bind(m move, check astern.Check, members []string) ([]string, error) {
	if !check.Each {
		members = []string{""}
	}
	state := m.part.State
	version := state.Version(m.target.Revision)
	if version == "" && check.Uses("{version}") {
		if !b.unbound[m.part.Component.Name] {
			b.note("%s: the check %s is not made: what the cloud calls %s is not known now", m.part.Component.Name, check.Name, m.target.Revision)
		}
		b.unbound[m.part.Component.Name] = true
		return nil, nil
	}
	var ids []string
	for _, member := range members {
		bound, err := check.Bind(astern.Values{Revision: m.target.Revision, Member: member, Address: state.Values[member+"/address"].Text, Version: version})
		if err != nil {
			return nil, err
		}
		bound.Name = b.checkName(m, bound.Name)
		ids = append(ids, bound.ID())
		if !b.seen[bound.ID()] {
			b.seen[bound.ID()] = true
			b.plan.Checks = append(b.plan.Checks, bound)
		}
	}
	return ids, nil
}

// record notes what was deployed, when the component's own stages are done.
func (b *builder) record(m move) {
	name := m.part.Component.Name
	args := map[string]astern.Arg{"revision": astern.Text(m.target.Revision),
		"reason": astern.Text(cmp.Or(b.r.Intent.Reason, string(b.r.Intent.Verb)))}
	if hash := hashOf(m); hash != "" {
		args["hash"] = astern.Text(hash)
	}
	b.stage(astern.Stage{Title: name + ": record", OnFailure: astern.OnFailureHold, Steps: []astern.Step{
		ledgerStep(m, ledger.VerbRecord, "record-"+name, fmt.Sprintf("record that %s runs %s", name, m.target.Revision), args,
			fmt.Sprintf("astern record deploy %s %s", m.part.Component.Address(), m.target.Revision), astern.UndoInverse)}}, nil)
}

// hashOf returns the content hash of what the component goes to: as recorded, or else as it was seen in place or at its
// source.
func hashOf(m move) string {
	if m.target.Hash != "" {
		return m.target.Hash
	}
	if hash, ok := m.part.State.ContentHash(m.target.Revision); ok {
		return hash
	}
	return m.part.State.Values["source/"+m.target.Revision].Text
}

// proven returns the members that validation asks: those that move, and those that were passed over because they are there
// already, as far as can be seen: that is then shown, and not believed.
func proven(m move) []string {
	if m.route.Fleet == nil {
		return nil
	}
	members := slices.Clone(m.route.Fleet.Members)
	known := map[string]bool{}
	for _, member := range members {
		known[member] = true
	}
	for _, left := range m.route.Fleet.LeftOut {
		known[left.Member] = true
	}
	for _, member := range Members(m.part.State) {
		if !known[member] {
			members = append(members, member)
		}
	}
	return members
}

// prove validates the components that were moved and then watches them.
func (b *builder) prove(moves []move) error {
	all := &astern.Gate{Checks: []string{}, IntervalSeconds: 1, TimeoutSeconds: gateSeconds}
	var steps []astern.Step
	watched := false
	for _, m := range moves {
		members := proven(m)
		g, err := b.gate(m, members, true)
		if err != nil {
			return err
		}
		if g != nil {
			all.Checks = append(all.Checks, g.Checks...)
		}
		effects, err := b.effectful(m, members)
		if err != nil {
			return err
		}
		if g == nil && len(effects) == 0 {
			b.note("%s: nothing proves that it works: it has no check that can be made", m.part.Component.Name)
		}
		steps = append(steps, effects...)
		by := proof{validated: g != nil || len(effects) > 0, watched: g != nil || m.part.Component.Watchable()}
		b.proof[m.part.Component.Address()] = by
		watched = watched || by.watched
	}
	if len(all.Checks) > 0 || len(steps) > 0 {
		b.stage(astern.Stage{Title: "validate", Steps: steps, Gate: all, OnFailure: astern.OnFailureHold}, nil)
	}
	if w := b.r.Intent.WatchSeconds; w > 0 && !watched {
		b.unwatched(w)
	} else if w > 0 {
		watch := bake(&astern.Gate{Checks: all.Checks, TimeoutSeconds: gateSeconds}, w)
		b.stage(astern.Stage{Title: "watch", Gate: watch, OnFailure: astern.OnFailureHold}, nil)
	}
	return nil
}

// unwatched takes a watch during which nobody would look at anything from the plan: its minutes prove nothing.
func (b *builder) unwatched(seconds int64) {
	b.note("the watch of %d s is left out: no check without effects and no signal would look at anything", seconds)
	b.r.Intent.WatchSeconds, b.plan.Intent.WatchSeconds = 0, 0
	if e := &b.r.Measured; e.Runs > 0 { // the time of the watch was added to what was measured
		waits := float64(seconds)
		e.MedianSeconds, e.LowSeconds, e.HighSeconds = max(0, e.MedianSeconds-waits), max(0, e.LowSeconds-waits), max(0, e.HighSeconds-waits)
	}
}

// effectful returns the component's checks that change something, as steps.
func (b *builder) effectful(m move, members []string) ([]astern.Step, error) {
	c := m.part.Component
	var steps []astern.Step
	for _, name := range proofs(c) {
		check, ok := checkOf(c, name)
		if !ok || check.Effects != astern.EffectsSome {
			continue
		}
		ids, err := b.bind(m, check, members)
		if err != nil {
			return nil, err
		}
		index := b.plan.CheckIndex()
		for _, id := range ids {
			bound, _ := index.Check(id, "")
			steps = append(steps, astern.Step{ID: "check-" + strings.ReplaceAll(id, "@", "+"), Address: c.Address(), Kind: "check", Verb: "run",
				Title: "run check " + id, Args: map[string]astern.Arg{"check": astern.Text(id)}, Undo: astern.UndoNone,
				Estimate: astern.Estimate{MedianSeconds: 5}, Command: commandOf(bound), Attempts: 1,
				TimeoutSeconds: int64(check.TimeoutSeconds) + 10, HoldSeconds: 10})
		}
	}
	return steps, nil
}

func commandOf(c astern.Check) string {
	switch {
	case c.Command != nil:
		words := make([]string, len(c.Command.Argv))
		for i, a := range c.Command.Argv {
			words[i] = quote(a)
		}
		return strings.Join(words, " ")
	case c.HTTP != nil:
		line := "curl -fsS"
		if m := c.HTTP.Method; m != "" && m != "GET" {
			line += " -X " + quote(m)
		}
		if c.HTTP.Body != "" {
			line += " --data-binary " + quote(c.HTTP.Body)
		}
		return line + " " + quote(c.HTTP.URL)
	}
	if c.Proven != nil {
		return "astern may follow " + quote(c.Address) + " " + quote(c.Proven.Revision)
	}
	if c.Judge != nil {
		return "astern judge " + quote(c.Address) + " " + quote(c.Judge.Revision) + " --against " + quote(c.Judge.Baseline)
	}
	return "nc -z " + quote(c.TCP.Address)
}

// knownGood marks what completed the watch. A watch that is shorter than the policy's proves again what was known-good,
// and makes nothing new known-good.
func (b *builder) knownGood(moves []move) {
	var steps []astern.Step
	for _, m := range moves {
		name, by := m.part.Component.Name, b.proof[m.part.Component.Address()]
		if why := b.unproven(m, by); why != "" {
			b.note("%s %s is not marked known-good%s", name, m.target.Revision, why)
			continue
		}
		reason := knownBy(by, b.r.Intent.WatchSeconds)
		args := map[string]astern.Arg{"revision": astern.Text(m.target.Revision), "reason": astern.Text(reason)}
		steps = append(steps, ledgerStep(m, ledger.VerbKnownGood, "known-good-"+name, fmt.Sprintf("mark %s %s known-good", name, m.target.Revision),
			args, fmt.Sprintf("astern record known-good %s %s --reason %s", m.part.Component.Address(), m.target.Revision, quote(reason)), astern.UndoNone))
	}
	if len(steps) > 0 {
		b.stage(astern.Stage{Title: "known-good", Steps: steps, OnFailure: astern.OnFailureHold}, nil)
	}
}

// unproven says why what the move brings is not known-good at the end of this plan, "" when it is.
func (b *builder) unproven(m move, by proof) string {
	watches, want, before := b.r.Intent.WatchSeconds, b.r.Policy.WatchSeconds, m.target.KnownGoodAt != nil
	record := fmt.Sprintf("when it has proven itself: astern record known-good %s %s --reason …", m.part.Component.Address(), m.target.Revision)
	switch f := m.route.Fleet; {
	case by.watched && !by.validated: // the plan only waits: it is astern watch that reads signals, and marks what stood
		return ", for no check proves it, and a plan reads no signals itself: astern watch marks it, or " + record
	case !by.watched && (!by.validated || !before):
		return ", for no check and no signal looks at it: declare a check, or " + record
	case watches < want && !before:
		return fmt.Sprintf(": it is watched for %d s, and the policy demands %d s; %s", watches, want, record)
	case watches == 0 && (!by.validated || !before):
		return ", for it is not watched: declare policy.watch, add --watch, or " + record
	case b.unbound[m.part.Component.Name]:
		return ", for a check of it can't be made"
	case f != nil && len(f.LeftOut) > 0:
		return ", for members are left out"
	}
	return ""
}

// knownBy says why what a plan has brought is known-good.
func knownBy(by proof, seconds int64) string {
	switch {
	case !by.watched || seconds == 0:
		return "validated"
	}
	return fmt.Sprintf("validated and watched for %d s", seconds)
}

func ledgerStep(m move, verb, id, title string, args map[string]astern.Arg, command string, undo astern.Undo) astern.Step {
	return astern.Step{ID: id, Address: m.part.Component.Address(), Kind: ledger.Kind, Verb: verb, Title: title, Args: args, Undo: undo,
		Command: command, Attempts: 3, TimeoutSeconds: 30, HoldSeconds: 30}
}

// checklist adds the component's list; of the ten points those that it does not name are for a person, and so is an item
// whose check is not in the plan, because it is made for each member and there is none.
func (b *builder) checklist(m move) {
	c := m.part.Component
	items := slices.Clone(c.Checklist)
	for _, point := range astern.TenPoints {
		if slices.ContainsFunc(items, func(i astern.ChecklistItem) bool { return i.Item == point }) {
			continue
		}
		item := astern.ChecklistItem{Item: point}
		if slices.Contains(proofs(c), point) {
			item.Check = point
		}
		items = append(items, item)
	}
	for i := range items {
		name := b.checkName(m, items[i].Check)
		if !slices.ContainsFunc(b.plan.Checks, func(k astern.Check) bool { return k.Name == name }) {
			name = ""
		}
		items[i].Check = name
	}
	b.plan.Checklist = append(b.plan.Checklist, astern.Checklist{Address: c.Address(), Items: items})
}

// estimate takes what was measured, or adds up guesses.
func (b *builder) estimate() {
	if b.r.Measured.Runs > 0 {
		b.plan.Estimate = b.r.Measured
		return
	}
	var sum float64
	for i := range b.plan.Stages {
		st := b.plan.Stages[i]
		// A stage of ten thousand members is not written out to be added up: each goes through the same steps.
		lanes, one, longest := 1, 0.0, 0.0
		for _, s := range st.Steps {
			one += s.Estimate.MedianSeconds
			longest = max(longest, s.Estimate.MedianSeconds)
		}
		switch {
		case st.Each != nil:
			if f, ok := b.plan.Fleet(st.Each.Address); !ok || st.Each.From < 0 || st.Each.From > st.Each.To || st.Each.To > len(f.Members) {
				continue // planfile.Validate says so
			}
			lanes, longest = st.Each.To-st.Each.From, one
		case st.Parallel > 1:
			lanes = len(st.Steps)
		default:
			longest = one
		}
		width := max(1, st.Parallel)
		sum += longest * float64((lanes+width-1)/width)
		if st.Gate != nil {
			sum += float64(st.Gate.BakeSeconds)
		}
	}
	b.plan.Estimate = astern.Estimate{MedianSeconds: sum}
}

// quote writes a word for a POSIX shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Guess adds up the guesses of a route's steps, in seconds.
func Guess(rt astern.Route) float64 {
	p := astern.Plan{Stages: rt.Stages}
	if rt.Fleet != nil {
		p.Fleets = []astern.Fleet{*rt.Fleet}
	}
	b := builder{plan: p}
	b.estimate()
	return b.plan.Estimate.MedianSeconds
}

// Members returns the members that a state tells an address of, sorted.
func Members(s astern.State) []string {
	var out []string
	for path := range s.Values {
		if m, ok := strings.CutSuffix(path, "/address"); ok {
			out = append(out, m)
		}
	}
	slices.Sort(out)
	return out
}
