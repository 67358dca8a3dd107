// Package verdict compares what was said of targets with what happened when they were tried. The benches of truth share it,
// so that hosts and clouds are held to the same goals.
package verdict

import (
	"fmt"
	"sort"
	"strings"

	"github.com/astern-dev/astern"
)

// Tried is one target: what was said of it and what happened when it was tried.
type Tried struct {
	Seed   uint64 `json:"seed"`
	Shape  string `json:"shape"`
	Target string `json:"target"`
	// Rows are the rows of the catalogue that were broken; Seeable is true when one of those that can hurt this target names
	// a read that shows it and was there before the check.
	Rows    []string `json:"rows,omitempty"`
	Seeable bool     `json:"seeable,omitempty"`
	// Proven is true for a target that was deployed, watched and marked known-good.
	Proven   bool             `json:"proven,omitempty"`
	Said     astern.Readiness `json:"said"`
	Because  string           `json:"because"`
	Works    bool             `json:"works"`
	Happened string           `json:"happened"`
}

// String is one line.
func (t Tried) String() string {
	works := "fails"
	if t.Works {
		works = "works"
	}
	return fmt.Sprintf("%4d %-8s %-7s %-8s %s  [%s]  %s | %s", t.Seed, t.Shape, t.Target, t.Said, works, strings.Join(t.Rows, ", "), t.Because, t.Happened)
}

// Table is what was said against what happened.
type Table struct {
	Trials, Targets int
	said            map[astern.Readiness][2]int // works, fails
	lies            []Tried                     // ready, and failed for a reason that could have been seen
	unseen          int                         // ready, and failed for a reason that no read shows or that came later
	unexplained     []Tried                     // ready, nothing broken, and failed
	wronged         []Tried                     // broken, and works
	whole, ready    int                         // unbroken, proven targets, and those of them that were ready
	passed          []Tried                     // unbroken, proven and not ready
	rows            map[string][6]int           // by row: ready, at risk, broken, unknown, works, fails
}

var order = []astern.Readiness{astern.Ready, astern.AtRisk, astern.Broken, astern.ReadyUnknown}

// Tabulate counts.
func Tabulate(all []Tried) Table {
	t := Table{said: map[astern.Readiness][2]int{}, rows: map[string][6]int{}}
	seeds := map[uint64]bool{}
	for _, o := range all {
		seeds[o.Seed] = true
		t.Targets++
		n, column := t.said[o.Said], 1
		if o.Works {
			column = 0
		}
		n[column]++
		t.said[o.Said] = n
		switch {
		case o.Said == astern.Ready && !o.Works && o.Seeable:
			t.lies = append(t.lies, o)
		case o.Said == astern.Ready && !o.Works && len(o.Rows) == 0:
			t.unexplained = append(t.unexplained, o)
		case o.Said == astern.Ready && !o.Works:
			t.unseen++
		case o.Said == astern.Broken && o.Works:
			t.wronged = append(t.wronged, o)
		}
		if len(o.Rows) == 0 && o.Proven {
			t.whole++
			if o.Said == astern.Ready {
				t.ready++
			} else {
				t.passed = append(t.passed, o)
			}
		}
		for _, row := range o.Rows {
			r := t.rows[row]
			for i, word := range order {
				if word == o.Said {
					r[i]++
				}
			}
			r[4+column]++
			t.rows[row] = r
		}
	}
	t.Trials = len(seeds)
	return t
}

// broken returns how many targets were said to be broken.
func (t Table) broken() int { return t.said[astern.Broken][0] + t.said[astern.Broken][1] }

// Wrong names the goals that are missed, with what missed them.
func (t Table) Wrong() []string {
	var out []string
	for _, o := range append(t.lies, t.unexplained...) {
		out = append(out, "ready that fails: "+o.String())
	}
	if n := t.broken(); n > 0 && float64(len(t.wronged)) > 0.01*float64(n) {
		for _, o := range t.wronged {
			out = append(out, "broken that works: "+o.String())
		}
	}
	if t.whole > 0 && float64(t.ready) < 0.98*float64(t.whole) {
		for _, o := range t.passed {
			out = append(out, "unbroken and proven, but not ready: "+o.String())
		}
	}
	return out
}

// Figures are those of a proof.
func (t Table) Figures() map[string]float64 {
	return map[string]float64{"trials": float64(t.Trials), "targets": float64(t.Targets), "ready_that_fails_seeably": float64(len(t.lies) + len(t.unexplained)),
		"ready_that_fails_unseeably": float64(t.unseen), "said_broken": float64(t.broken()), "broken_that_works": float64(len(t.wronged)),
		"unbroken_proven": float64(t.whole), "unbroken_proven_ready": float64(t.ready)}
}

// String is the table for people.
func (t Table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d trials, %d targets\n\n%-10s %8s %8s\n", t.Trials, t.Targets, "said", "works", "fails")
	for _, word := range order {
		fmt.Fprintf(&b, "%-10s %8d %8d\n", word, t.said[word][0], t.said[word][1])
	}
	fmt.Fprintf(&b, "\nready that fails for a reason that could have been seen: %d (goal 0)\n", len(t.lies)+len(t.unexplained))
	fmt.Fprintf(&b, "ready that fails for a reason that no read shows, or that came after the check: %d\n", t.unseen)
	fmt.Fprintf(&b, "broken that works: %d of %d (goal at most 1 %%)\n", len(t.wronged), t.broken())
	fmt.Fprintf(&b, "unbroken, proven targets that are ready: %d of %d (goal at least 98 %%)\n\n", t.ready, t.whole)
	fmt.Fprintf(&b, "%-52s %6s %7s %6s %7s | %5s %5s\n", "broken on purpose", "ready", "at risk", "broken", "unknown", "works", "fails")
	var names []string
	for name := range t.rows {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		r := t.rows[name]
		fmt.Fprintf(&b, "%-52s %6d %7d %6d %7d | %5d %5d\n", name, r[0], r[1], r[2], r[3], r[4], r[5])
	}
	return b.String()
}
