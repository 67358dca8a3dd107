package flags

import (
	"fmt"
	"maps"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
)

// TestStoppedIsNeverLate stops each conditional verb before each of its commands while a newer execution changes the file and
// puts it back, so that it is again as the older one expects: when that wakes, it changes nothing.
func TestStoppedIsNeverLate(t *testing.T) {
	l := newLab(t, false)
	older := map[string]astern.Call{}
	var err error
	if older[verbChange], err = l.plan(astern.FlagChange{Flag: "search"}); err != nil {
		t.Fatal(err)
	}
	older[verbPut] = l.back()
	newer, err := l.plan(astern.FlagChange{Flag: "rollout"})
	if err != nil {
		t.Fatal(err)
	}
	back := newer
	back.Verb, back.Args = verbPut, maps.Clone(newer.Args)
	back.Args["from"], back.Args["to"], back.Args["revision"] = newer.Args["to"], newer.Args["from"], astern.Text(l.new)
	first := drivertest.Kept(t, l.folder)
	stopper, tokens := drivertest.NewStopper(t), 0
	at := func(c astern.Call, fence int64) astern.Call {
		tokens++
		c.Fence, c.Token = fence, fmt.Sprint("token-", tokens)
		return c
	}
	var then map[string]string // when the newer one had ended
	var stops []drivertest.Stops
	for _, v := range l.driver.Verbs {
		if v.Exclusion != astern.Conditional {
			continue // it asks, and changes nothing
		}
		stops = append(stops, drivertest.Stops{Stopper: stopper, Actor: l.driver.Actor, Lock: "lock", Reset: first.Restore,
			Call: func() astern.Call { return at(older[v.Verb], 10) },
			Meanwhile: func() bool {
				for _, c := range []astern.Call{newer, back} {
					if op := l.driver.Actor.Start(t.Context(), at(c, 20)); op.Status != astern.OpDone {
						return false
					}
				}
				then = drivertest.Files(t, l.folder)
				return true
			},
			Judge: func(w drivertest.Woken) {
				revision := revisionOf(hashOf([]byte(l.read())))
				switch {
				case w.Overtaken():
					if diff := cmp.Diff(then, drivertest.Files(t, l.folder)); w.Op.Status != astern.OpFailed || w.Op.Code != astern.Conflict || diff != "" {
						t.Errorf("%s: the newer had ended, the older says %+v, and changed\n%s", w.Where, w.Op, diff)
					}
				case !w.Waited || w.Did || w.Op.Status != astern.OpDone || revision != older[v.Verb].Text("revision"):
					t.Errorf("%s: the newer waited: %t, done: %t, the older says %+v, and the file is in %s", w.Where, w.Waited, w.Did, w.Op, revision)
				}
				if left, _ := filepath.Glob(l.file + ".astern/tmp-*"); len(left) > 0 {
					t.Errorf("%s: left over: %v", w.Where, left)
				}
			}})
	}
	drivertest.StopAnywhere(t, 4, stops...)
}

// back returns the call that puts the first state back.
func (l *lab) back() astern.Call {
	l.Helper()
	s := l.observe()
	for _, target := range l.driver.Router.Targets(l.c, s, l.history) {
		if target.Revision == l.old {
			route, err := l.driver.Router.Route(l.c, s, target, astern.Options{Verb: astern.VerbRollback, Percent: 100})
			if err != nil {
				l.Fatal(err)
			}
			return l.call(route.Stages[0].Steps[0])
		}
	}
	l.Fatalf("there is no way back to %s", l.old)
	return astern.Call{}
}
