package planner_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/planner"
)

var revisions = []string{"v1", "v2", "v3", "v4", "v5"}

func chance(t *rapid.T, percent int, label string) bool {
	return rapid.IntRange(1, 100).Draw(t, label) > 100-percent // small ones come more often
}

// drawService draws a service that depends on some of the earlier ones.
func drawService(t *rapid.T, i int, earlier []service) service {
	s := service{name: fmt.Sprintf("c%d", i), shared: chance(t, 30, "shared"), drain: chance(t, 40, "drain"), source: chance(t, 30, "source"),
		parallel: rapid.IntRange(0, 3).Draw(t, "parallel"), keep: rapid.SampledFrom([]int{0, 0, 3, 5}).Draw(t, "keep"),
		missing: map[string][]string{}, silent: map[string]string{}, stale: map[string]string{}}
	for _, e := range earlier {
		if chance(t, 35, "depends") {
			s.dependsOn = append(s.dependsOn, e.name)
		}
	}
	s.releases = revisions[:rapid.IntRange(2, 5).Draw(t, "releases")]
	if chance(t, 4, "change") {
		s.changed = []string{rapid.SampledFrom(s.releases).Draw(t, "changed")}
	}
	main := rapid.SampledFrom(s.releases).Draw(t, "runs")
	onHost := map[string]string{}
	for k := range rapid.IntRange(1, 4).Draw(t, "instances") {
		in := instance{fmt.Sprintf("%s-%d", s.name, k), fmt.Sprintf("h%d", rapid.IntRange(1, 3).Draw(t, "host")), main}
		switch n := 101 - rapid.IntRange(1, 100).Draw(t, "link"); {
		case n <= 10:
			in.link = rapid.SampledFrom(s.releases).Draw(t, "other")
		case n <= 13:
			in.link = ""
		}
		if link, ok := onHost[in.host]; ok && s.shared {
			in.link = link
		}
		onHost[in.host] = in.link
		s.instances = append(s.instances, in)
		if in.link != "" && chance(t, 5, "stale") {
			s.stale[in.name] = rapid.SampledFrom(append([]string{untold}, s.releases...)).Draw(t, "still runs")
		}
		if chance(t, 3, "silent") {
			s.silent[in.host] = in.host + ": timed out"
		}
		if chance(t, 3, "missing") {
			s.missing[in.host] = []string{rapid.SampledFrom(s.releases).Draw(t, "lacks")}
		}
	}
	s.drawChecks(t)
	for k, rev := range s.releases {
		if chance(t, 95, "recorded") {
			s.events = append(s.events, ran(s.name, rev, float64(30-5*k), chance(t, 70, "good"))...)
		}
	}
	for k, rev := range s.releases {
		if chance(t, 5, "latched") {
			s.events = append(s.events, latched(s.name, rev, float64(4-k)/2, "it burns")...)
		}
	}
	return s
}

func (s *service) drawChecks(t *rapid.T) {
	for _, k := range []astern.Check{checkHealth(), checkVersion(), checkFront(), checkSmoke()} {
		if chance(t, 60, k.Name) {
			s.checks = append(s.checks, k)
			if k.Name == "health" && chance(t, 70, "ready") {
				s.ready = []string{k.Name}
			}
			if chance(t, 30, "validates") {
				s.validate = append(s.validate, k.Name)
			}
			if chance(t, 30, "listed") {
				s.checklist = append(s.checklist, astern.ChecklistItem{Item: "item-" + k.Name, Check: k.Name})
			}
		}
	}
}

func drawRules(t *rapid.T, services []service) []astern.Compatibility {
	var out []astern.Compatibility
	for len(services) > 1 && chance(t, 40, "rule") && len(out) < 3 {
		pair := rapid.Permutation(services).Draw(t, "pair")
		out = append(out, rule(pair[0].name+" "+rapid.SampledFrom([]string{">=v3", "<v3", "v2", ">v4"}).Draw(t, "when"),
			pair[1].name+" "+rapid.SampledFrom([]string{">=v2", "<v4", ">=v3"}).Draw(t, "needs")))
	}
	return out
}

func drawRequest(t *rapid.T) ([]service, planner.Request) {
	var services []service
	for i := range rapid.IntRange(1, 6).Draw(t, "components") {
		services = append(services, drawService(t, i, services))
	}
	in := astern.Intent{Percent: rapid.IntRange(1, 100).Draw(t, "percent"), BakeSeconds: rapid.SampledFrom([]int64{0, 30}).Draw(t, "bake"),
		WatchSeconds: rapid.SampledFrom([]int64{0, 60}).Draw(t, "watch"), Reason: rapid.SampledFrom([]string{"", "it's slow"}).Draw(t, "reason")}
	asked := rapid.SampledFrom(services).Draw(t, "asked")
	in.Addresses = []string{asked.address()}
	switch rapid.IntRange(1, 6).Draw(t, "intent") {
	case 1:
		in.Verb, in.Revision = astern.VerbRollback, rapid.SampledFrom(revisions).Draw(t, "to")
	case 2:
		in.Verb = astern.VerbRollback
	case 3:
		in.Verb, in.Revision = astern.VerbDeploy, rapid.SampledFrom(revisions).Draw(t, "to")
	case 4:
		in.Verb = astern.VerbRedeploy
	default:
		in.Verb, in.Moment, in.Addresses = astern.VerbRollback, moment(float64(rapid.IntRange(5, 32).Draw(t, "moment"))), nil
		for _, s := range rapid.Permutation(services).Draw(t, "as named") {
			in.Addresses = append(in.Addresses, s.address())
		}
	}
	r := request(in, services...)
	r.Compatible = drawRules(t, services)
	r.WithoutUnreachable = rapid.Bool().Draw(t, "without unreachable")
	r.Policy = astern.Policy{Approvals: rapid.IntRange(0, 2).Draw(t, "approvals"), WatchSeconds: rapid.SampledFrom([]int64{0, 60, 300}).Draw(t, "policy")}
	return services, r
}

func asJSON(t *rapid.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// systems is how many random systems the property is held to where nobody says otherwise.
const systems = "1000"

// TestMain raises rapid's default of 100 runs.
func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "rapid.checks" })
	if !asked {
		if err := flag.Set("rapid.checks", systems); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// TestProperties: whatever the system, its state and its history, a plan obeys the laws of plans, keeps what it promises
// when it is carried out, and is what was asked for; or it is refused with the reason.
func TestProperties(t *testing.T) {
	made, refused := 0, map[astern.Code]int{}
	rapid.Check(t, func(t *rapid.T) {
		services, r := drawRequest(t)
		before := asJSON(t, r)
		p, err := planner.Plan(r)
		if after := asJSON(t, r); before != after {
			t.Fatalf("the request was changed:\n%s", cmp.Diff(before, after))
		}
		again, errAgain := planner.Plan(r)
		if diff := cmp.Diff(p, again); diff != "" || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Fatalf("the same request has two answers: %v, %v\n%s", err, errAgain, diff)
		}
		if err != nil {
			refused[astern.CodeOf(err)]++
			if !slices.Contains([]astern.Code{astern.Refused, astern.NotFound, astern.NotReady}, astern.CodeOf(err)) {
				t.Fatalf("refused as %s: %v", astern.CodeOf(err), err)
			}
			return
		}
		made++
		lawful(t, p)
		rightTargets(t, services, r, p)
		rightOrder(t, services, r, p)
		rightSteps(t, r, p)
		thereAndBack(t, r, p)
	})
	t.Logf("%d plans, refused: %v", made, refused)
}

func lawful(t *rapid.T, p astern.Plan) {
	for _, err := range planfile.Validate(p) {
		t.Errorf("a law is broken: %v", err)
	}
	doc, _, err := planfile.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := planfile.Decode(doc); err != nil {
		t.Errorf("the plan file can't be read: %v", err)
	}
}

// rightTargets: no plan goes to what is latched or broken, nor anywhere but where it was asked to.
func rightTargets(t *rapid.T, services []service, r planner.Request, p astern.Plan) {
	for _, m := range p.Moves {
		i := slices.IndexFunc(r.Parts, func(p planner.Part) bool { return p.Component.Address() == m.Address })
		part := r.Parts[i]
		d, _ := part.History.Of(m.To)
		if d.Latched != "" && r.Intent.Verb != astern.VerbRedeploy {
			t.Errorf("%s goes to %s, which is latched", m.Address, m.To)
		}
		if m.Readiness == astern.Broken && r.Intent.Verb == astern.VerbRollback {
			t.Errorf("%s goes to %s, which is broken", m.Address, m.To)
		}
		if m.Readiness == astern.ReadyUnknown && r.Intent.Verb == astern.VerbRollback && !r.WithoutUnreachable {
			t.Errorf("%s goes to %s, of which nothing is known", m.Address, m.To)
		}
		switch {
		case r.Intent.Moment != nil && m.To != r.Release.Revisions[m.Address], r.Intent.Revision != "" && m.To != r.Intent.Revision:
			t.Errorf("%s goes to %s", m.Address, m.To)
		case r.Intent.Verb == astern.VerbRollback && r.Intent.Moment == nil && r.Intent.Revision == "" &&
			(m.Readiness != astern.Ready || d.KnownGoodAt == nil || m.To == part.State.Values["revision"].Text):
			t.Errorf("%s goes back to %s of its own accord: %+v", m.Address, m.To, m)
		}
		left := map[string]bool{}
		for _, s := range p.Stages[0].Steps {
			if s.Address == m.Address && s.Verb == "latch" {
				left[s.Args["revision"].String()] = true
			}
		}
		for _, rev := range revisions {
			leaves := slices.ContainsFunc(services[i].instances, func(in instance) bool {
				return services[i].runs(in) == rev && in.link != "" && services[i].silent[in.host] == ""
			})
			if want := leaves && rev != m.To && r.Intent.Verb == astern.VerbRollback; left[rev] != want {
				t.Errorf("%s leaves %s for %s: latched %v, want %v", m.Address, rev, m.To, left[rev], want)
			}
		}
	}
}

// rightOrder: what depends on each other moves in that order, and no pair that can't work comes up on the way.
func rightOrder(t *rapid.T, services []service, r planner.Request, p astern.Plan) {
	running := map[string][]string{}
	known := true
	for _, part := range r.Parts {
		v, ok := part.State.Get("revision")
		known = known && (!ok || v.Known())
		if ok && v.Known() {
			running[part.Component.Name] = strings.Split(v.Text, "+")
		}
	}
	pairs := func() (out []string) {
		for _, c := range r.Compatible {
			for _, a := range running[c.When.Component] {
				for _, b := range running[c.Needs.Component] {
					if planner.InRange(a, c.When.Range) && !planner.InRange(b, c.Needs.Range) {
						out = append(out, c.When.Component+a+c.Needs.Component+b+c.Needs.Range)
					}
				}
			}
		}
		return out
	}
	before := pairs()
	names := []string{}
	for _, m := range p.Moves {
		_, name, _ := astern.SplitAddress(m.Address)
		names = append(names, name)
		for _, now := range [][]string{append(slices.Clone(running[name]), m.To), {m.To}} {
			running[name] = now
			for _, pair := range pairs() {
				if known && !slices.Contains(before, pair) {
					t.Errorf("a pair comes up that can't work: %s", pair)
				}
			}
		}
	}
	if !slices.Equal(names, slices.DeleteFunc(moved(p), func(n string) bool { return !slices.Contains(names, n) })) {
		t.Errorf("moves are listed as %v and made as %v", names, moved(p))
	}
	if noted(p, "goes before") {
		return
	}
	back := r.Intent.Verb == astern.VerbRollback
	for _, s := range services {
		for _, dep := range s.dependsOn {
			user, used := slices.Index(names, s.name), slices.Index(names, dep)
			if user >= 0 && used >= 0 && (user < used) != back {
				t.Errorf("%s depends on %s, and they move as %v", s.name, dep, names)
			}
		}
	}
}

// rightSteps: each fact names steps that are there, and every swap rests on what its link and its release are.
func rightSteps(t *rapid.T, r planner.Request, p astern.Plan) {
	rests := map[string]map[string]bool{}
	for _, f := range p.Facts {
		for _, id := range f.Steps {
			if rests[id] == nil {
				rests[id] = map[string]bool{}
			}
			rests[id][f.Path[strings.Index(f.Path, "/")+1:]] = true
		}
		if len(f.Steps) == 0 && f.Unknown == "" {
			t.Errorf("nothing rests on %s %s", f.Address, f.Path)
		}
	}
	for _, st := range p.Stages {
		for _, s := range st.Steps {
			if s.Verb == "swap" && !rests[s.ID]["link"] {
				t.Errorf("%s does not rest on its link: %v", s.ID, rests[s.ID])
			}
			if s.Kind == "host.service" && r.Intent.Verb == astern.VerbRedeploy && s.Verb == "restart" && !rests[s.ID]["link"] {
				t.Errorf("%s does not rest on its link", s.ID)
			}
		}
	}
	lists := map[string]int{}
	for _, c := range p.Checklist {
		for _, point := range astern.TenPoints {
			if slices.ContainsFunc(c.Items, func(i astern.ChecklistItem) bool { return i.Item == point }) {
				lists[c.Address]++
			}
		}
	}
	for _, m := range p.Moves {
		if lists[m.Address] != len(astern.TenPoints) {
			t.Errorf("the list of %s has %d of the ten points", m.Address, lists[m.Address])
		}
	}
}

// thereAndBack carries the plan out, then its undo where there is one.
func thereAndBack(t *rapid.T, r planner.Request, p astern.Plan) {
	w := newSimulation(t, r)
	start := w.links()
	done := w.carryOut(p)
	for _, m := range p.Moves {
		f, _ := p.Fleet(m.Address)
		for _, member := range f.Members {
			if link := w.values[m.Address+" "+member+"/link"]; link.Text != m.To {
				t.Errorf("after the plan %s of %s is at %s, not %s", member, m.Address, link, m.To)
			}
		}
		for _, l := range f.LeftOut {
			if w.values[m.Address+" "+l.Member+"/link"].Known() {
				t.Errorf("%s is left out and was touched", l.Member)
			}
		}
	}
	undo := r
	undo.Intent = astern.Intent{Verb: astern.VerbUndo, Addresses: p.Addresses(), Percent: 100, Execution: "ex-7"}
	u, err := planner.Undo(undo, p, done)
	if err != nil {
		if astern.CodeOf(err) != astern.Refused {
			t.Fatalf("undo is refused as %s: %v", astern.CodeOf(err), err)
		}
		return
	}
	lawful(t, u)
	w.carryOut(u)
	if diff := cmp.Diff(start, w.links()); diff != "" {
		t.Errorf("undo does not lead back:\n%s", diff)
	}
}
