package planner_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planner"
)

func rule(when, needs string) astern.Compatibility {
	a, x, _ := strings.Cut(when, " ")
	b, y, _ := strings.Cut(needs, " ")
	return astern.Compatibility{When: astern.RevisionRange{Component: a, Range: x}, Needs: astern.RevisionRange{Component: b, Range: y}}
}

// parts makes a service for each line "NAME: DEPENDENCY …", all at v2 after v1.
func parts(lines ...string) (services []service, addresses []string) {
	for _, line := range lines {
		name, deps, _ := strings.Cut(line, ":")
		s := service{name: name, dependsOn: strings.Fields(deps), releases: []string{"v1", "v2"}, instances: []instance{{name + "-1", "h-1", "v2"}},
			events: slices.Concat(ran(name, "v1", 20, true), ran(name, "v2", 2, true))}
		services, addresses = append(services, s), append(addresses, s.address())
	}
	return services, addresses
}

func TestOrder(t *testing.T) {
	back := astern.Intent{Verb: astern.VerbRollback, Moment: moment(10)}
	for name, c := range map[string]struct {
		lines  []string
		layers map[string]astern.Layer
		rules  []astern.Compatibility
		want   string // names in order, or the refusal
		notes  int
	}{
		"chain":                  {[]string{"a:", "b: a", "c: b"}, nil, nil, "c b a", 0},
		"diamond":                {[]string{"base:", "left: base", "right: base", "top: left right"}, nil, nil, "top left right base", 0},
		"a long and a short way": {[]string{"base:", "mid: base", "top: mid base", "side: base"}, nil, nil, "top mid side base", 0},
		"as in the file":         {[]string{"b:", "a:", "c:"}, nil, nil, "b a c", 0},
		"layers":                 {[]string{"data:", "app:", "flag:"}, map[string]astern.Layer{"data": astern.LayerData, "app": astern.LayerApplication}, nil, "flag app data", 0},
		"layers of what is not related, deep or not": {[]string{"base:", "app: base", "flag:"},
			map[string]astern.Layer{"base": astern.LayerData, "app": astern.LayerApplication, "flag": astern.LayerFlag}, nil, "flag app base", 0},
		"dependency before layer": {[]string{"flag: app", "app:"}, map[string]astern.Layer{"app": astern.LayerFlag, "flag": astern.LayerDNS}, nil, "flag app", 0},
		"a cycle ends":            {[]string{"a: b", "b: a"}, nil, nil, "a b", 0},
		"reversed":                {[]string{"a:", "b: a"}, nil, []astern.Compatibility{rule("b v1", "a v1")}, "a b", 1},
		"only one pair reversed":  {[]string{"a:", "b: a", "c: b"}, nil, []astern.Compatibility{rule("b v1", "a v1")}, "c a b", 1},
		"neither order":           {[]string{"a:", "b: a"}, nil, []astern.Compatibility{rule("b v1", "a v1"), rule("a v1", "b v1")}, "would leave a pair that can't work: b v1 needs a v1, and would meet v2", 0},
		"the end can't work":      {[]string{"a:", "b: a"}, nil, []astern.Compatibility{rule("b v1", "a v2")}, "would leave a pair that can't work: b v1 needs a v2, and would meet v1", 0},
		"a circle of three": {[]string{"a:", "b: a", "c: b"}, nil, []astern.Compatibility{rule("a v1", "b v1"), rule("b v1", "c v1"), rule("c v1", "a v1")},
			"would leave a pair that can't work: c v1 needs a v1", 0},
		"broken before": {[]string{"a:", "b: a"}, nil, []astern.Compatibility{rule("b v2", "a v3")}, "b a", 0},
	} {
		t.Run(name, func(t *testing.T) {
			services, addresses := parts(c.lines...)
			r := request(back, services...)
			r.Intent.Addresses, r.Compatible = addresses, c.rules
			for i := range r.Parts {
				r.Parts[i].Layer = c.layers[r.Parts[i].Component.Name]
			}
			p, err := planner.Plan(r)
			if err != nil {
				if astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), c.want) {
					t.Errorf("refused: %v, want %s", err, c.want)
				}
				return
			}
			if got := strings.Join(moved(p), " "); got != c.want {
				t.Errorf("the order is %s, not %s", got, c.want)
			}
			if got := len(slices.DeleteFunc(slices.Clone(p.Notes), func(n string) bool { return !strings.Contains(n, "goes before") })); got != c.notes {
				t.Errorf("%d notes on the order, not %d: %q", got, c.notes, p.Notes)
			}
		})
	}
}

// moved returns the names of the components in the order in which their own stages come.
func moved(p astern.Plan) []string {
	var out []string
	for _, st := range p.Stages {
		for _, s := range st.Steps {
			if _, name, _ := astern.SplitAddress(s.Address); s.Kind == "host.service" && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// TestOrderForward: going forward, what others depend on comes first; one component is deployed against what stays.
func TestOrderForward(t *testing.T) {
	services, _ := parts("a:", "b: a")
	services[1].releases = append(services[1].releases, "v3")
	r := request(astern.Intent{Verb: astern.VerbDeploy, Revision: "v3", Addresses: []string{"production/b"}}, services...)
	r.Compatible = []astern.Compatibility{rule("b >=v3", "a >=v3")}
	if _, err := planner.Plan(r); astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), "b v3 needs a >=v3, and would meet v2") {
		t.Errorf("the error is %v", err)
	}
	again := request(astern.Intent{Verb: astern.VerbRedeploy}, services...)
	again.Intent.Addresses = []string{"production/b", "production/a"}
	if got := moved(plan(t, again)); !cmp.Equal(got, []string{"a", "b"}) {
		t.Errorf("redeployed in the order %v", got)
	}
}

// TestUnknownNeighbour: a rule that can't be judged stops no recovery, and is said.
func TestUnknownNeighbour(t *testing.T) {
	services, _ := parts("a:", "b: a")
	services[0].silent = map[string]string{"h-1": "timed out"}
	for _, rules := range [][]astern.Compatibility{{rule("b v1", "a v1")}, {rule("a v2", "b v2")}} {
		r := request(astern.Intent{Verb: astern.VerbRollback, Revision: "v1", Addresses: []string{"production/b"}}, services...)
		r.Compatible = rules
		if p := plan(t, r); !noted(p, "whether b and a will work together is not known") {
			t.Errorf("the notes are %q", p.Notes)
		}
	}
}

// TestUnknownMembers: what can be seen of a component that moves counts, also when a member can't be seen.
func TestUnknownMembers(t *testing.T) {
	services, _ := parts("a:", "b: a")
	services[1].instances = append(services[1].instances, instance{"b-2", "h-2", "v2"})
	services[1].silent = map[string]string{"h-2": "timed out"}
	r := request(astern.Intent{Verb: astern.VerbRollback, Revision: "v1", Addresses: []string{"production/b"}}, services...)
	r.WithoutUnreachable = true
	r.Compatible = []astern.Compatibility{rule("b v2", "a v1")}
	plan(t, r) // the pair was there before
	r.Compatible = []astern.Compatibility{rule("b v1", "a v1")}
	if _, err := planner.Plan(r); astern.CodeOf(err) != astern.Refused {
		t.Errorf("the error is %v", err)
	}
}

func TestInRange(t *testing.T) {
	for _, c := range []struct {
		revision, rng string
		want          bool
	}{
		{"v1.2.3", ">=v1.2.3", true}, {"v1.2.3", ">v1.2.3", false}, {"v1.2.3", "<=v1.2.3", true}, {"v1.2.3", "<v1.2.3", false},
		{"v1.10.0", ">v1.9.9", true}, {"1.10.0", ">v1.9.9", true}, {"v1.10.0", ">1.9.9", true},
		{"v1.2.3", ">=v1.2.0 <v2", true}, {"v2.0.0", ">=v1.2.0 <v2", false}, {"v1.1.9", "  >=v1.2.0   <v2 ", false},
		{"v2.0.0-rc1", ">=v2", false}, {"v2.0.0-rc1", "<v2", true},
		{"v1.2.3", "v1.2.3", true}, {"v1.2.3", "=v1.2.3", true}, {"1.2.3", "=v1.2.3", true}, {"1.2.3", "v1.2.3", false}, {"v1.2", "=v1.2.0", true},
		{"release-7", "release-7", true}, {"release-7", "=release-7", true}, {"release-7", ">=v1", false}, {"release-7", ">=release-1", false},
		{"api:41", "api:41", true}, {"api:41", "=api:41", true}, {"api:42", "api:41", false}, {"api:41", ">=api:40", false},
		// what can't be understood is satisfied by none
		{"v1.2.3", "", false}, {"v1.2.3", "   ", false}, {"v1.2.3", "=>v1.0.0", false}, {"v1.2.3", "~>v1.0.0", false}, {"v1.2.3", "^v1.2.0", false},
		{"v1.2.3", "~v1.2.3", false}, {"v1.2.3", "!=v1.0.0", false}, {"v1.2.3", "==v1.2.3", false}, {"v1.2.3", ">=", false}, {"v1.2.3", ">= v1.0.0", false},
		{"v1.2.3", ">=v1.0.0,<v2", false}, {"v1.2.3", "*", false}, {"v1.2.3", "any", false}, {"v1.2.3", ">>v1", false}, {"v1.2.3", "<>v1", false},
		{"v1.2.3", ">=v1.0.0 garbage", false}, {"v1.2.3", "≥v1.0.0", false}, {"", ">=v1", false}, {"", "", false}, {"", "=", false}, {"latest", "<v2", false},
	} {
		if got := planner.InRange(c.revision, c.rng); got != c.want {
			t.Errorf("InRange(%q, %q) is %v", c.revision, c.rng, got)
		}
	}
}

// FuzzInRange: it never panics; an added term never lets more through; an operator that is none lets nothing through.
func FuzzInRange(f *testing.F) {
	for _, rng := range []string{">=v1.2.3 <v2", "=>v1", "~> v1", "api:41", "", "=", ">", "v1.2.3", "\x00", "<<v1", "=v1.0.0+build"} {
		f.Add("v1.2.3", rng)
	}
	f.Fuzz(func(t *testing.T, revision, rng string) {
		in := planner.InRange(revision, rng)
		if more := planner.InRange(revision, rng+" >=v0.0.0"); more && !in && strings.TrimSpace(rng) != "" {
			t.Errorf("%q is in %q with one more comparison, and not without it", revision, rng)
		}
		for _, op := range []string{"=>", "~>", "~", "^", "!=", "==", "<>", "><"} {
			if term := op + strings.TrimLeft(strings.Join(strings.Fields(rng), ""), "<>=!~^"); planner.InRange(revision, term) {
				t.Errorf("%q is in %q", revision, term)
			}
		}
		if in {
			words := strings.Fields(rng)
			slices.Reverse(words)
			if !planner.InRange(revision, strings.Join(words, " ")) {
				t.Errorf("the order of the comparisons of %q counts", rng)
			}
		}
	})
}
