// Package drivertest is the conformance suite that every driver passes: the laws of astern.Driver, checked against a
// real component that the driver's own test sets up. A law that a driver breaks would, in a plan, refuse a recovery that
// could go ahead or, worse, carry out one that nobody asked for.
//
// A driver's test fills in a Suite and runs it:
//
//	func TestConformance(t *testing.T) {
//		worlds := map[string]astern.Component{}
//		suite := drivertest.Suite{
//			Driver: mykind.New(func(address string) (astern.Component, bool) { c, ok := worlds[address]; return c, ok }),
//			New: func(t testing.TB) drivertest.World {
//				root := t.TempDir()
//				// … release v1 and then v2 below root, start the processes, stop them in t.Cleanup …
//				c := astern.Component{Environment: "test", Name: fmt.Sprintf("w%d", len(worlds)), Kind: "mykind", …}
//				worlds[c.Address()] = c
//				return drivertest.World{
//					Component: c, Old: "v1", New: "v2",
//					History:   astern.History{Current: "v2", Deployments: …}, // with the hashes that Observe shows
//					Snapshot:  func(t testing.TB) map[string]string { return drivertest.Files(t, root) },
//					Secrets:   []string{password}, // a canary.Kept that lies somewhere in this world
//				}
//			},
//			Breaks: []drivertest.Break{{
//				Name: "the old release is gone",
//				Do:   func(t testing.TB, w drivertest.World) { … },
//				Want: astern.Broken,
//			}},
//		}
//		suite.Run(t)
//	}
//
// Everything the driver returns while the laws run is also checked for secrets, for being valid, and for surviving a
// way through JSON.
package drivertest

import (
	"context"
	"encoding/json"
	"path"
	"testing"
	"time"

	astern "github.com/astern-dev/astern"

	"github.com/astern-dev/astern/internal/canary"
)

// Suite is the laws for one driver. New is called once or more for each law.
type Suite struct {
	// Driver is the driver under test.
	Driver astern.Driver
	// New makes a fresh world: nothing in it was touched by an earlier law. It registers its own clean-up with t.Cleanup.
	New func(t testing.TB) World
	// Verbs are verbs beyond Driver.Verbs, for a driver (jsonexec) that learns them from someone else.
	Verbs []astern.VerbInfo
	// Other carries out a step of a kind that is not the driver's ("check", "ledger"). Nil passes over such steps.
	Other func(t testing.TB, w World, step astern.Step, call astern.Call)
	// ImageIsCondition is true for a driver whose conditional calls are under the condition of what Before read (RevisionId,
	// ETag, version): an engine of an older fence then holds an older image, and that is what a late call is made with.
	ImageIsCondition bool
	// Fenced are window verbs that refuse an older fence, or image, as conditional ones do: they ask right before each change.
	Fenced []string
	// Breaks are ways to damage a world, each with what the evidence must then say.
	Breaks []Break
	// Data are the places of a call, as "execution" or "VERB.ARGUMENT", whose text is data. At every other one a hostile text
	// is refused.
	Data map[string]Datum
	// Legal tells texts that are what stands at a place, as tokens of plans do: they are no hostile ones there.
	Legal map[string]func(text string) bool
	// Compared are those that Before alone compares with the world, with what that means: an engine starts nothing that
	// Before refuses.
	Compared map[string]string
}

// World is one component that really exists, with at least two revisions deployed: first Old, then New, which is
// current. Both are known-good in History and Old can be gone back to.
type World struct {
	Component astern.Component
	// History is what the ledger would know of the component.
	History  astern.History
	Old, New string
	// Snapshot fingerprints everything that the driver could change: files, links, processes. It leaves out what changes
	// by itself (logs, processor time). Two snapshots are equal exactly when nothing was changed.
	Snapshot func(t testing.TB) map[string]string
	// Secrets are canaries (canary.Kept) that lie in the world: values of the secrets that the settings refer to, of what the
	// component keeps, of its variables and files. None may appear in anything the driver returns, in whatever form.
	Secrets []string
	// Beside are folders that hold the component's own place, in which nothing else may appear.
	Beside []string
	// Object is one that the two revisions have in different versions, for a kind that has a Picker.
	Object string
	// Flag is one that can be switched off, for a kind that has a Switcher; "" where the component has none.
	Flag string
	// Place is where a Discoverer finds the component; "" where none of its places names the world's cloud.
	Place string
	// Asked returns what the driver ran or sent since it was last called; nil where nothing notes that.
	Asked func(t testing.TB) []Asked
}

// Break damages a fresh world and says what that makes of the target Old.
type Break struct {
	Name string
	Do   func(t testing.TB, w World)
	// Want is the worst evidence that Targets must then show for Old: at risk, broken or unknown. Routes to a broken
	// or unknown target are refused.
	Want astern.Readiness
	// Open is true where a person may go there all the same: what is not known is beside the way.
	Open bool
}

// law is one thing that holds for every driver.
type law struct {
	name  string
	check func(r *run)
}

// laws is every law, in the order in which a newcomer best reads their failures.
var laws = []law{
	{"the driver is complete", lawComplete},
	{"nothing that is asked beside a way back holds a secret", lawTellsNoSecret},
	{"observing changes nothing and can be repeated", lawObserveRepeats},
	{"observing answers exactly what was asked", lawObserveScope},
	{"observing stops with its context and then claims nothing", lawObserveCancelled},
	{"observing may be done side by side", lawObserveConcurrent},
	{"targets are pure", lawTargetsPure},
	{"targets carry evidence", lawTargetsEvidence},
	{"routes are pure", lawRoutePure},
	{"routes are well formed", lawRouteWellFormed},
	{"a route to a revision that does not exist is refused", lawRouteMissing},
	{"a route carried out reaches its target", lawRouteReaches},
	{"a lost reply is found", lawLostReply},
	{"reading before a step changes nothing", lawBeforeReads},
	{"a cancelled start tells the truth", lawStartCancelled},
	{"an older fence is refused", lawFence},
	{"a step of another owner is refused", lawOwner},
	{"undo brings the world back", lawUndo},
	{"hostile revision names never reach the world", lawHostile},
	{"hostile texts are refused or are data", lawInjection},
}

// Run checks every law, each in a fresh world, and every break.
func (s Suite) Run(t *testing.T) {
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) { l.check(s.begin(t)) })
	}
	for _, b := range s.Breaks {
		t.Run("broken: "+b.Name, func(t *testing.T) { checkBreak(s.begin(t), b) })
	}
}

// run is one law being checked in one world. Its driver is the suite's, watched.
type run struct {
	testing.TB
	ctx    context.Context
	suite  Suite
	world  World
	driver astern.Driver
	// forge changes each call of a way before anything is made of it; nil for none.
	forge func(c *astern.Call)
}

// lawTimeout bounds one law, so that a driver that hangs names the law in which it does.
const lawTimeout = 3 * time.Minute

func (s Suite) begin(t testing.TB) *run {
	t.Helper()
	if s.Driver.Observer == nil || s.Driver.Router == nil || s.Driver.Actor == nil {
		t.Fatalf("the driver %q lacks an ability: Observer, Router and Actor are required", s.Driver.Kind)
	}
	ctx, cancel := context.WithTimeout(t.Context(), lawTimeout)
	t.Cleanup(cancel)
	w := s.New(t)
	if w.Old == "" || w.New == "" || w.Old == w.New || w.Snapshot == nil || w.Component.Name == "" {
		t.Fatalf("the world is incomplete: Component, Snapshot and two different revisions Old and New are needed")
	}
	if len(w.Secrets) == 0 {
		t.Fatalf("the world is incomplete: no secret lies in it, so nothing tells whether the driver shows one")
	}
	for i, secret := range w.Secrets {
		if len(canary.Leaks([]byte(secret))) == 0 {
			t.Fatalf("secret %d of the world is none that would be found: canary.Kept makes one", i)
		}
	}
	if s.Driver.Picker != nil && w.Object == "" {
		t.Fatalf("the world is incomplete: the kind has a Picker, and no Object is named")
	}
	return &run{TB: t, ctx: ctx, suite: s, world: w, driver: watch(t, s.Driver)}
}

// verb returns what the driver (or the suite, for verbs of others) says of a verb.
func (r *run) verb(name string) (astern.VerbInfo, bool) {
	for _, list := range [][]astern.VerbInfo{r.suite.Driver.Verbs, r.suite.Verbs} {
		for _, v := range list {
			if v.Verb == name {
				return v, true
			}
		}
	}
	return astern.VerbInfo{}, false
}

func lawComplete(r *run) {
	d := r.suite.Driver
	if d.Kind == "" || r.world.Component.Kind != d.Kind {
		r.Errorf("the driver's kind is %q and the component's %q; they must be equal and not empty", d.Kind, r.world.Component.Kind)
	}
	if d.Settings == nil {
		r.Errorf("the driver has no Settings; a zero value of its settings struct is needed for the schema")
	}
	verbs := append(append([]astern.VerbInfo{}, d.Verbs...), r.suite.Verbs...)
	if len(verbs) == 0 {
		r.Errorf("the driver declares no verb")
	}
	seen := map[string]bool{}
	for _, v := range verbs {
		if v.Verb == "" || v.What == "" || seen[v.Verb] {
			r.Errorf("verb %q: name and what must be set, and a name stands once", v.Verb)
		}
		seen[v.Verb] = true
		if !validUndo[v.Undo] {
			r.Errorf("verb %q: undo %q is none of inverse, none needed, impossible", v.Verb, v.Undo)
		}
		if v.Exclusion != astern.Conditional && v.Exclusion != astern.Window {
			r.Errorf("verb %q: exclusion %q is neither conditional nor window", v.Verb, v.Exclusion)
		}
		if !validFound[v.Found] {
			r.Errorf("verb %q: found %q is none of token, name, state, none", v.Verb, v.Found)
		}
	}
	if d.Validator == nil {
		return
	}
	problems := d.Validator.Validate(r.world.Component)
	look(watcher{r}, "Validate", problems, nil)
	for _, p := range problems {
		r.Errorf("the settings of a working component have a problem: %s: %s", p.Path, p.What)
	}
}

// lawTellsNoSecret is about what is asked beside a way back, so that it is watched; all that the other laws ask for is watched by
// itself.
func lawTellsNoSecret(r *run) {
	d, c, w := r.driver, r.world.Component, watcher{r}
	if d.Occupier != nil {
		look(w, "Occupies", d.Occupier.Occupies(c), nil)
	}
	if d.Permitter != nil {
		look(w, "Permissions", d.Permitter.Permissions(c), nil)
	}
	if d.Validator != nil { // every problem at once, as far as the kind can be mistaken
		empty := c
		empty.Settings = []byte(`{}`)
		look(w, "Validate", d.Validator.Validate(empty), nil)
	}
	if d.Discoverer != nil && r.world.Place != "" {
		found, err := d.Discoverer.Discover(r.ctx, []string{r.world.Place})
		if err != nil || len(found) == 0 { // the error's text may hold a secret
			r.Errorf("at %s, where the component is, Discover finds %d and says %q", r.world.Place, len(found), astern.CodeOf(err))
		}
	}
	if d.Switcher != nil {
		r.switched()
	}
	if d.Picker != nil {
		r.picked()
	}
	if d.Claimer != nil {
		r.claimed()
	}
}

// switched looks at the way that switches a flag off, and at the refusal where there is none.
func (r *run) switched() {
	r.Helper()
	c, s := r.world.Component, r.observe()
	_, err := r.driver.Switcher.Switch(c, s, astern.FlagChange{Flag: "no-such-flag"})
	r.refused("switching a flag that does not exist", err)
	if r.world.Flag == "" {
		return
	}
	change := astern.FlagChange{Flag: r.world.Flag}
	t, err := r.driver.Switcher.Switch(c, s, change)
	o := options(astern.VerbOff, 100)
	o.Flag = &change
	r.leads("switching "+change.Flag, s, t, o, err)
}

// picked looks at the way that takes one object back.
func (r *run) picked() {
	r.Helper()
	change := astern.ObjectChange{Object: r.world.Object, Revision: r.world.Old}
	s, err := r.driver.Observer.Observe(r.ctx, r.world.Component, astern.Scope{Objects: []string{change.Object}})
	if err != nil {
		r.Fatalf("observing the object %q failed: %s", change.Object, astern.CodeOf(err))
	}
	t, err := r.driver.Picker.Pick(r.world.Component, s, change)
	o := options(astern.VerbRollback, 100)
	o.Object = &change
	r.leads("picking "+change.String(), s, t, o, err)
}

// leads requires that a target was found and that there is a way to it.
func (r *run) leads(what string, s astern.State, t astern.Target, o astern.Options, err error) {
	r.Helper()
	if err == nil {
		_, err = r.driver.Router.Route(r.world.Component, s, t, o)
	}
	if err != nil {
		r.Errorf("%s failed: %s", what, astern.CodeOf(err))
	}
}

// claimed looks at what a claim says, also to somebody else who comes second. What has no members is one place itself.
func (r *run) claimed() {
	r.Helper()
	members := r.places()
	seen, _ := r.lastThere(members)
	first := r.claims("a1a")
	second := first
	second.Owner, second.Execution, second.By = "be2", "ex-be2", "be2"
	if err := r.driver.Claimer.Claim(r.ctx, r.world.Component, second, seen, nil); astern.CodeOf(err) != astern.Conflict {
		r.Errorf("claiming the places of somebody else says %q instead of a conflict", astern.CodeOf(err))
	}
	r.says(members, first)
	if err := r.driver.Claimer.Release(r.ctx, r.world.Component, first, members); err != nil {
		r.Errorf("releasing the places failed: %s", astern.CodeOf(err))
	}
	first.Open = false
	r.says(members, first)
}

// places returns the members whose places can be claimed.
func (r *run) places() []string {
	r.Helper()
	if route := r.route(astern.VerbRollback, r.world.Old); route.Fleet != nil {
		return route.Fleet.Members
	}
	return []string{""}
}

// claims claims the places, which nobody has, for an owner.
func (r *run) claims(owner string) astern.Claim {
	r.Helper()
	seen, fence := r.lastThere(r.places())
	mine := astern.Claim{Fence: fence + 1, Execution: "ex-" + owner, Address: r.world.Component.Address(), At: time.Now().UTC().Truncate(time.Second), Owner: owner, By: owner, Open: true}
	if err := r.driver.Claimer.Claim(r.ctx, r.world.Component, mine, seen, nil); err != nil {
		r.Errorf("claiming places that nobody has failed: %s", astern.CodeOf(err))
	}
	return mine
}

// lastThere returns what the members' places say of who was there, and the highest fence of them.
func (r *run) lastThere(members []string) (said map[string]astern.Claim, fence int64) {
	r.Helper()
	said = map[string]astern.Claim{}
	s := r.observe() // what a place says is a part of the state
	for _, m := range members {
		var c astern.Claim
		if v, ok := s.Get(path.Join(m, "claim")); ok && v.Known() {
			if err := json.Unmarshal([]byte(v.Text), &c); err != nil {
				r.Errorf("what the place %q says of who acts there is no claim: %v", m, err)
			}
		}
		said[m], fence = c, max(fence, c.Fence)
	}
	return said, fence
}

// says requires that every place says who acts there.
func (r *run) says(members []string, want astern.Claim) {
	r.Helper()
	said, _ := r.lastThere(members)
	for _, m := range members {
		if got := said[m]; got.Owner != want.Owner || got.Fence != want.Fence || got.Execution != want.Execution || got.Open != want.Open {
			r.Errorf("the place %q says that %+v acts there, and it is %+v", m, got, want)
		}
	}
}

var (
	validUndo  = map[astern.Undo]bool{astern.UndoInverse: true, astern.UndoNone: true, astern.UndoImpossible: true}
	validFound = map[string]bool{"token": true, "name": true, "state": true, "none": true}
)
