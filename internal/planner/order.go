package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/astern-dev/astern"
)

// order sorts the moves: going back, users of a component before what they depend on; going forward the reverse. Where
// a declared incompatibility forbids that order, the first component that can go goes next; it refuses when none can.
// Whether one component may go before another depends on these two alone, so taking the first never leads astray.
func order(r Request, moves []move) ([]move, []string, error) {
	back := r.Intent.Verb != astern.VerbDeploy && r.Intent.Verb != astern.VerbRedeploy
	left := preferred(r.Parts, moves, back)
	w := newWalk(r, moves)
	notes := w.unknown()
	var out []move
	for len(left) > 0 {
		next, because := -1, ""
		for i, m := range left {
			trouble := w.trouble(m)
			if trouble == "" {
				next = i
				break
			}
			because = cmp.Or(because, trouble)
		}
		if next < 0 {
			return nil, nil, astern.Errorf(astern.Refused, "this would leave a pair that can't work: %s", because).
				WithHint("take the other component along (--all --to TIME), or change `compatible` in astern.yaml if it is wrong")
		}
		if next > 0 {
			notes = append(notes, fmt.Sprintf("%s goes before %s, because otherwise %s", left[next].part.Component.Name,
				left[0].part.Component.Name, because))
		}
		w.takes(left[next])
		out = append(out, left[next])
		if next == 0 {
			left = left[1:] // nearly always: nothing has to be moved up
			continue
		}
		left = slices.Delete(left, next, next+1)
	}
	return out, notes, nil
}

// preferred returns the moves in the order of dependencies; what does not depend on each other by layer, then as given.
func preferred(parts []Part, moves []move, back bool) []move {
	waits, frees := precedence(parts, moves, back)
	taken := make([]bool, len(moves))
	out := make([]move, 0, len(moves))
	for len(out) < len(moves) {
		next, rest := -1, -1
		for i, m := range moves {
			switch {
			case taken[i]:
			case waits[i] > 0:
				if rest < 0 {
					rest = i
				}
			case next < 0, m.part.Layer != moves[next].part.Layer && m.part.Layer < moves[next].part.Layer == back:
				next = i
			}
		}
		if next < 0 {
			next = rest // a cycle, which the configuration refuses, would end here
		}
		taken[next] = true
		out = append(out, moves[next])
		for _, i := range frees[next] {
			waits[i]--
		}
	}
	return out
}

// precedence returns for each move how many others must go right before it, and which others it goes right before. What a
// component depends on through others that stay counts; what it depends on through others that move follows from theirs.
func precedence(parts []Part, moves []move, back bool) (waits []int, frees [][]int) {
	direct, at := make(map[string][]string, len(parts)), make(map[string]int, len(moves))
	for _, p := range parts {
		direct[p.Component.Name] = p.Component.DependsOn
	}
	for i, m := range moves {
		at[m.part.Component.Name] = i
	}
	waits, frees = make([]int, len(moves)), make([][]int, len(moves))
	for i, m := range moves {
		name := m.part.Component.Name
		met := map[string]bool{name: true}
		for next := slices.Clone(direct[name]); len(next) > 0; next = next[1:] {
			if met[next[0]] {
				continue
			}
			met[next[0]] = true
			below, moving := at[next[0]]
			if !moving {
				next = append(next, direct[next[0]]...)
				continue
			}
			first, second := i, below // going back, the user of a component goes before it
			if !back {
				first, second = below, i
			}
			waits[second]++
			frees[first] = append(frees[first], second)
		}
	}
	return waits, frees
}

// walk is the way through the states that a plan makes: which revisions run side by side.
type walk struct {
	rules   []astern.Compatibility
	moving  map[string]bool
	running map[string][]string // component -> revisions; absent when they are not known
	before  []string            // pairs that can't work already
}

func newWalk(r Request, moves []move) *walk {
	w := &walk{rules: r.Compatible, moving: map[string]bool{}, running: map[string][]string{}}
	for _, p := range r.Parts {
		if v, ok := p.State.Get("revision"); ok && v.Known() && v.Text != "" {
			w.running[p.Component.Name] = strings.Split(v.Text, "+")
		}
	}
	for _, m := range moves {
		name := m.part.Component.Name
		w.moving[name] = true
		if w.running[name] == nil && m.route.From != "" {
			w.running[name] = strings.Split(m.route.From, "+")
		}
	}
	w.before = w.violations()
	return w
}

// trouble returns the first pair that can't work, and did not exist before, if the component moved now; "" when there is
// none. While it moves, what it leaves runs as well: with all others that was there before, or was looked at when they moved.
func (w *walk) trouble(m move) string {
	name := m.part.Component.Name
	was := w.running[name]
	defer func() { w.running[name] = was }()
	w.takes(m)
	for _, v := range w.violations() {
		if !slices.Contains(w.before, v) {
			return v
		}
	}
	return ""
}

// takes moves the component.
func (w *walk) takes(m move) { w.running[m.part.Component.Name] = []string{m.target.Revision} }

func (w *walk) violations() []string {
	var out []string
	for _, rule := range w.rules {
		for _, a := range w.running[rule.When.Component] {
			if !InRange(a, rule.When.Range) {
				continue
			}
			for _, b := range w.running[rule.Needs.Component] {
				if !InRange(b, rule.Needs.Range) {
					out = append(out, fmt.Sprintf("%s %s needs %s %s, and would meet %s%s", rule.When.Component, a, rule.Needs.Component,
						rule.Needs.Range, b, because(rule)))
				}
			}
		}
	}
	return out
}

// Alone returns the first pair that can't work, and does not exist already, if the component went to the revision and no
// other did; "" when there is none.
func Alone(rules []astern.Compatibility, parts []Part, component, revision string) string {
	if len(rules) == 0 {
		return ""
	}
	w := newWalk(Request{Compatible: rules, Parts: parts}, nil)
	return w.trouble(move{part: Part{Component: astern.Component{Name: component}}, target: astern.Target{Revision: revision}})
}

func because(rule astern.Compatibility) string {
	if rule.Because == "" {
		return ""
	}
	return " (" + rule.Because + ")"
}

// unknown names the rules that can't be judged, because it is not known what a component runs that stays.
func (w *walk) unknown() []string {
	var out []string
	for _, rule := range w.rules {
		a, b := rule.When.Component, rule.Needs.Component
		if w.moving[b] {
			a, b = b, a
		}
		if w.moving[a] && !w.moving[b] && w.running[b] == nil {
			out = append(out, fmt.Sprintf("whether %s and %s will work together is not known, for it is not known what %s runs%s", a, b, b, because(rule)))
		}
	}
	return out
}

// InRange reports whether the revision satisfies the range: space-separated comparisons of semantic versions that must
// all hold, or an exact revision. A revision that is no semantic version satisfies only its own name; a range that
// can't be understood, or is empty, is satisfied by none.
func InRange(revision, rng string) bool {
	terms := strings.Fields(rng)
	for _, term := range terms {
		want := strings.TrimLeft(term, "<>=!~^")
		op := term[:len(term)-len(want)]
		if !satisfies(revision, op, want) {
			return false
		}
	}
	return len(terms) > 0
}

func satisfies(revision, op, want string) bool {
	if op == "" || want == "" || op == "=" && revision == want {
		return want != "" && revision == want
	}
	a, b := version(revision), version(want)
	if !semver.IsValid(a) || !semver.IsValid(b) {
		return false
	}
	c := semver.Compare(a, b)
	return map[string]bool{">": c > 0, ">=": c >= 0, "<": c < 0, "<=": c <= 0, "=": c == 0}[op]
}

func version(s string) string {
	if strings.HasPrefix(s, "v") {
		return s
	}
	return "v" + s
}
