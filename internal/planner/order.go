package planner

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/astern-dev/astern"
)

// order sorts the moves: going back, users of a component before what they depend on; going forward the reverse. When a
// declared incompatibility forbids that order it tries the reverse, and refuses when that fails too.
func order(r Request, moves []move) ([]move, []string, error) {
	back := r.Intent.Verb != astern.VerbDeploy && r.Intent.Verb != astern.VerbRedeploy
	depth := depths(r.Parts)
	sort.SliceStable(moves, func(i, j int) bool {
		a, b := moves[i].part, moves[j].part
		if da, db := depth[a.Component.Name], depth[b.Component.Name]; da != db {
			return da > db == back
		}
		return a.Layer != b.Layer && (a.Layer < b.Layer) == back
	})
	trouble := incompatible(r, moves)
	if trouble == "" {
		return moves, nil, nil
	}
	reversed := slices.Clone(moves)
	slices.Reverse(reversed)
	if incompatible(r, reversed) == "" {
		return reversed, []string{"order reversed, because otherwise " + trouble}, nil
	}
	return nil, nil, astern.Errorf(astern.Refused, "this would leave a pair that can't work: %s", trouble).
		WithHint("take the other component along (--all --to TIME), or change `compatible` in astern.yaml if it is wrong")
}

// depths returns how many dependencies lie below each component.
func depths(parts []Part) map[string]int {
	deps := map[string][]string{}
	for _, p := range parts {
		deps[p.Component.Name] = p.Component.DependsOn
	}
	out := map[string]int{}
	var visit func(string) int
	visit = func(n string) int {
		if d, ok := out[n]; ok {
			return d
		}
		out[n] = 0 // a cycle, which the configuration refuses, would end here
		d := 0
		for _, m := range deps[n] {
			d = max(d, 1+visit(m))
		}
		out[n] = d
		return d
	}
	for n := range deps {
		visit(n)
	}
	return out
}

// incompatible walks through the states on the way and returns the first pair that can't work and did not exist before,
// as a sentence; "" when there is none.
func incompatible(r Request, moves []move) string {
	running := map[string][]string{} // component -> revisions that run side by side
	for _, p := range r.Parts {
		if v, ok := p.State.Get("revision"); ok && v.Known() {
			running[p.Component.Name] = strings.Split(v.Text, "+")
		}
	}
	before := violations(r.Compatible, running)
	for _, m := range moves {
		name := m.part.Component.Name
		for _, now := range [][]string{append(slices.Clone(running[name]), m.target.Revision), {m.target.Revision}} {
			running[name] = now
			for _, v := range violations(r.Compatible, running) {
				if !slices.Contains(before, v) {
					return v
				}
			}
		}
	}
	return ""
}

func violations(rules []astern.Compatibility, running map[string][]string) []string {
	var out []string
	for _, rule := range rules {
		for _, a := range running[rule.When.Component] {
			if !InRange(a, rule.When.Range) {
				continue
			}
			for _, b := range running[rule.Needs.Component] {
				if !InRange(b, rule.Needs.Range) {
					text := fmt.Sprintf("%s %s needs %s %s, and would meet %s", rule.When.Component, a, rule.Needs.Component, rule.Needs.Range, b)
					if rule.Because != "" {
						text += " (" + rule.Because + ")"
					}
					out = append(out, text)
				}
			}
		}
	}
	return out
}

// InRange reports whether the revision satisfies the range: space-separated comparisons of semantic versions that must
// all hold, or an exact revision. A revision that is no semantic version satisfies only its own name.
func InRange(revision, rng string) bool {
	for _, term := range strings.Fields(rng) {
		op := strings.TrimRight(term, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._+-")
		want := term[len(op):]
		if op == "" || op == "=" {
			if revision != want {
				return false
			}
			continue
		}
		a, b := version(revision), version(want)
		if !semver.IsValid(a) || !semver.IsValid(b) {
			return false
		}
		c := semver.Compare(a, b)
		if ok := map[string]bool{">": c > 0, ">=": c >= 0, "<": c < 0, "<=": c <= 0}[op]; !ok {
			return false
		}
	}
	return true
}

func version(s string) string {
	if strings.HasPrefix(s, "v") {
		return s
	}
	return "v" + s
}
