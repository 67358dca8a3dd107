package planner_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/planner"
)

var update = flag.Bool("update", false, "write testdata/plans from what the planner makes")

// goldenPlans are requests whose whole plans a person has read, indented, in testdata/plans.
var goldenPlans = map[string]func(t *testing.T) astern.Plan{
	"rollback-half-baked": func(t *testing.T) astern.Plan {
		r := request(astern.Intent{Verb: astern.VerbRollback, Revision: "v1.2.2", Percent: 50, BakeSeconds: 300, WatchSeconds: 1800,
			Reason: "orders fail since 03:02"}, shop(), stock())
		r.Policy.WatchSeconds = 1800
		return plan(t, r)
	},
	"rollback-at-once": func(t *testing.T) astern.Plan {
		s := shop()
		s.drain, s.parallel = true, 2
		return plan(t, request(astern.Intent{Verb: astern.VerbRollback, Revision: "v1.2.2"}, s, stock()))
	},
	"rollback-newest-good": func(t *testing.T) astern.Plan {
		return plan(t, request(astern.Intent{Verb: astern.VerbRollback, Reason: "orders fail"}, eventful(), stock()))
	},
	"rollback-all-to-moment": func(t *testing.T) astern.Plan {
		return plan(t, toMoment(astern.Compatibility{}))
	},
	"rollback-all-reversed": func(t *testing.T) astern.Plan {
		return plan(t, toMoment(astern.Compatibility{When: astern.RevisionRange{Component: "shop", Range: "<v1.2.3"},
			Needs: astern.RevisionRange{Component: "stock", Range: "<v1.2.3"}, Because: "an old shop can't read reservations"}))
	},
	"rollback-without-unreachable": func(t *testing.T) astern.Plan {
		r := request(astern.Intent{Verb: astern.VerbRollback, Revision: "v1.2.2", Reason: "web-2 burns"}, half(), stock())
		r.WithoutUnreachable = true
		return plan(t, r)
	},
	"rollback-shared-links": func(t *testing.T) astern.Plan {
		s := shop()
		s.shared, s.drain = true, true
		s.instances = []instance{{"shop-1", "web-1", "v1.2.3"}, {"shop-2", "web-1", "v1.2.3"}, {"shop-3", "web-2", "v1.2.3"}, {"shop-4", "web-2", "v1.2.3"}}
		return plan(t, request(astern.Intent{Verb: astern.VerbRollback, Revision: "v1.2.2", Percent: 75, BakeSeconds: 60}, s, stock()))
	},
	"deploy-copied": func(t *testing.T) astern.Plan {
		s := shop()
		s.source, s.releases = true, append(s.releases, "v1.3.0")
		s.missing = map[string][]string{"web-1": {"v1.3.0"}, "web-2": {"v1.3.0"}}
		return plan(t, request(astern.Intent{Verb: astern.VerbDeploy, Revision: "v1.3.0", Percent: 50, BakeSeconds: 30, WatchSeconds: 60}, s, stock()))
	},
	"redeploy": func(t *testing.T) astern.Plan {
		return plan(t, request(astern.Intent{Verb: astern.VerbRedeploy, Reason: "memory leak"}, shop(), stock()))
	},
	"undo-of-a-rollback": func(t *testing.T) astern.Plan {
		s := shop()
		s.drain = true
		return undone(t, s, astern.Intent{Verb: astern.VerbRollback, Revision: "v1.2.2", Percent: 50})
	},
}

// eventful runs v1.2.5: of what came before one is latched, one was never watched, one lost its files, and one was proven
// too long ago.
func eventful() service {
	s := shop()
	s.releases = []string{"v1.2.0", "v1.2.1", "v1.2.2", "v1.2.3", "v1.2.4", "v1.2.5"}
	s.missing = map[string][]string{"web-2": {"v1.2.2"}}
	for i := range s.instances {
		s.instances[i].link = "v1.2.5"
	}
	s.events = slices.Concat(ran("shop", "v1.2.0", 120, true), ran("shop", "v1.2.1", 95, true), ran("shop", "v1.2.2", 20, true),
		ran("shop", "v1.2.3", 10, true), ran("shop", "v1.2.4", 5, false), ran("shop", "v1.2.5", 1, true), latched("shop", "v1.2.3", 6, "it loses orders"),
		[]astern.Event{{At: daysAgo(30), Address: s.address(), Kind: astern.EventKnownGood, Revision: "v1.2.0", Reason: "drill"}})
	return s
}

// half is a shop of which one host can't be reached.
func half() service {
	s := shop()
	s.silent = map[string]string{"web-2": "web-2: connection timed out"}
	return s
}

// toMoment asks for everything as it was five days ago, when shop and stock ran v1.2.2.
func toMoment(rule astern.Compatibility) planner.Request {
	r := request(astern.Intent{Verb: astern.VerbRollback, Moment: moment(5), Addresses: []string{"production/stock", "production/shop"},
		WatchSeconds: 60, Reason: "back to before the sale"}, stock(), shop())
	if rule.When.Component != "" {
		r.Compatible = []astern.Compatibility{rule}
	}
	return r
}

// undone carries the rollback out in a simulated world and returns the plan of its undo, which it carries out as well.
func undone(t *testing.T, s service, in astern.Intent) astern.Plan {
	t.Helper()
	r := request(in, s, stock())
	p := plan(t, r)
	w := newSimulation(t, r)
	before := w.links()
	done := w.carryOut(p)
	after := r
	after.Parts = slices.Clone(r.Parts)
	for i := range after.Parts {
		after.Parts[i].State = w.stateOf(after.Parts[i])
	}
	after.Intent = astern.Intent{Verb: astern.VerbUndo, Addresses: in.Addresses, Percent: 100, Execution: "ex-7", Reason: "it was not the release"}
	for _, m := range p.Moves {
		if !slices.Contains(after.Intent.Addresses, m.Address) {
			after.Intent.Addresses = append(after.Intent.Addresses, m.Address)
		}
	}
	after.Parent = "4960dba5e66302f730202ba8a2a92e273998ad0a79e16ce57d9050ade15f0c9e"
	u, err := planner.Undo(after, p, done)
	if err != nil {
		t.Fatalf("planning the undo: %v", err)
	}
	w.carryOut(u)
	if diff := cmp.Diff(before, w.links()); diff != "" {
		t.Errorf("the undo does not lead back (-before +after):\n%s", diff)
	}
	return u
}

func TestGoldenPlans(t *testing.T) {
	for name, makePlan := range goldenPlans {
		t.Run(name, func(t *testing.T) {
			p := makePlan(t)
			for _, err := range planfile.Validate(p) {
				t.Error(err)
			}
			doc, _, err := planfile.Encode(p)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := planfile.Decode(doc); err != nil {
				t.Errorf("the plan file can't be read again: %v", err)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, doc, "", " "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			file := filepath.Join("testdata", "plans", name+".json")
			if *update {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s differs (go test -run TestGoldenPlans -update writes it; read the diff first):\n%s", file, diff)
			}
		})
	}
}

// TestGoldenFiles finds files that no request makes any more.
func TestGoldenFiles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "plans", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		if _, ok := goldenPlans[name[:len(name)-len(".json")]]; !ok {
			t.Errorf("%s belongs to no plan", f)
		}
	}
}
