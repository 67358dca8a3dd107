package sitedir

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
)

// doing is a site just before one of the verbs, and what a newer execution does there: the same, and what it would do next.
type doing struct {
	*lab
	older  astern.Call
	newer  []astern.Call
	tokens int
}

// newDoing makes the site and its calls.
func newDoing(t *testing.T, verb string) *doing {
	t.Helper()
	d := &doing{lab: newLab(t, false, nil)}
	for _, folder := range []string{servedFolder, "manifests"} {
		if err := os.Mkdir(d.at(folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	of := func(calls []astern.Call, verb string) astern.Call {
		for _, c := range calls {
			if c.Verb == verb {
				return c
			}
		}
		t.Fatalf("no call is to %s", verb)
		return astern.Call{}
	}
	back := d.steps(astern.VerbRollback, "v1", nil)
	put, swap := of(back, verbPut), of(back, verbSwitch)
	switch verb {
	case verbAdopt:
		d.older = of(back, verbAdopt)
		d.newer = []astern.Call{d.older}
	case verbCompose:
		d.older = of(d.steps(astern.VerbRollback, "", &astern.ObjectChange{Object: "logo.svg", Revision: "v1"}), verbCompose)
		d.newer = []astern.Call{d.older}
	case verbPut:
		d.older, d.newer = put, []astern.Call{put, swap}
	case verbSwitch: // there and back
		d.carry([]astern.Call{put})
		d.older, d.newer = swap, []astern.Call{swap, swapped(swap, swap.Text("to"), swap.Text("from"), "v2")}
	case verbPrune: // of what was put for v1, which the newer one finds there and serves again
		d.must(astern.VerbRollback, "v1", nil)
		d.must(astern.VerbDeploy, "v2", nil)
		again := d.steps(astern.VerbRedeploy, "v2", nil)
		d.older = of(again, verbPrune)
		if call, op := d.carry([]astern.Call{of(again, verbPut), of(again, verbSwitch)}); op.Status != astern.OpDone {
			t.Fatalf("%s: %+v", call.Step, op)
		}
		d.newer = []astern.Call{put, swapped(swap, servedFolder+"/"+d.older.Text("view"), swap.Text("to"), "v1")}
	default:
		t.Fatalf("nobody says how to %s", verb)
	}
	os.Remove(d.at(".astern.lock"))
	return d
}

// swapped is the switch between others.
func swapped(c astern.Call, from, to, revision string) astern.Call {
	c.Args = maps.Clone(c.Args)
	c.Args["from"], c.Args["to"], c.Args["revision"] = astern.Text(from), astern.Text(to), astern.Text(revision)
	return c
}

// attempt is a call with a token of its own.
func (d *doing) attempt(c astern.Call, fence int64) astern.Call {
	d.tokens++
	c.Token, c.Fence = fmt.Sprint("token-", d.tokens), fence
	return c
}

// world is all that is there, but for when folders were changed, and half copies.
func (d *doing) world() map[string]string {
	d.Helper()
	all := drivertest.Files(d, d.root)
	for name, is := range all {
		if strings.Contains(name, "/.partial-") {
			delete(all, name)
		} else if strings.HasPrefix(is, "d") {
			all[name], _, _ = strings.Cut(is, " ")
		}
	}
	return all
}

// whole requires that what is served has all files of its release.
func (d *doing) whole(when string) {
	d.Helper()
	to, err := os.Readlink(d.at("current"))
	if err != nil {
		d.Fatal(err)
	}
	content := func(folder string) map[string]string {
		all := drivertest.Files(d, d.at(folder))
		maps.DeleteFunc(all, func(_, is string) bool { return strings.HasPrefix(is, "d") })
		for name, is := range all {
			all[name] = is[strings.LastIndexByte(is, ' ')+1:]
		}
		return all
	}
	should := content("releases/" + revisionAt(placeOf(d.lab), to))
	for name, is := range content(to) {
		if should[name] == is {
			delete(should, name)
		}
	}
	if len(should) > 0 {
		d.Errorf("%s: %s lacks %v", when, to, should)
	}
}

// TestStoppedIsNeverLate stops each conditional verb before each of its commands while a newer execution does the same and goes
// on: when the older one wakes, it changes nothing of that.
func TestStoppedIsNeverLate(t *testing.T) {
	stopper := drivertest.NewStopper(t)
	var stops []drivertest.Stops
	for _, v := range New(nil, nil).Verbs {
		if v.Exclusion == astern.Conditional { // the others ask, and change nothing
			stops = append(stops, newDoing(t, v.Verb).stops(stopper))
		}
	}
	drivertest.StopAnywhere(t, 1, stops...)
}

func (d *doing) stops(stopper *drivertest.Stopper) drivertest.Stops {
	var then map[string]string // when the newer one had ended
	var hindered astern.Op
	return drivertest.Stops{Stopper: stopper, Actor: d.driver.Actor, Lock: ".astern.lock", Reset: drivertest.Kept(d, d.root).Restore,
		Call: func() astern.Call { return d.attempt(d.older, 10) },
		Meanwhile: func() bool {
			for _, c := range d.newer {
				if hindered = d.driver.Actor.Start(d.Context(), d.attempt(c, 20)); hindered.Status != astern.OpDone {
					return false
				}
			}
			then = d.world()
			return true
		},
		Judge: func(w drivertest.Woken) {
			if !w.Did {
				d.Errorf("%s: the newer one says %+v; it waited: %t", w.Where, hindered, w.Waited)
			}
			if w.Overtaken() {
				if diff := cmp.Diff(then, d.world()); w.Op.Status != astern.OpFailed || w.Op.Code != astern.Conflict || diff != "" {
					d.Errorf("%s: the newer had ended, the older says %+v, and changed\n%s", w.Where, w.Op, diff)
				}
			}
			d.whole(w.Where)
			if left, _ := filepath.Glob(d.at("*/.partial-*")); w.Waited && len(left) > 0 {
				d.Errorf("%s: left over: %v", w.Where, left)
			}
		}}
}
