// Package knowledge says which way back to prefer at which symptom, and why. What it knows is data: default.json, which
// astern.yaml extends below `knowledge` in the same form. It is pure.
package knowledge

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/astern-dev/astern"
)

//go:embed default.json
var defaultText []byte

// Default returns what astern brings along.
var Default = sync.OnceValue(func() []astern.Advice {
	var out []astern.Advice
	if err := json.Unmarshal(defaultText, &out); err != nil {
		panic(err) // it is part of the program
	}
	return out
})

// Case is what a way back is looked for.
type Case struct {
	// Symptom is "" where nobody says it.
	Symptom astern.Symptom
	Kind    string
	Flagged bool // flags switch parts of the component off
}

// For returns the advice for a case: the user's before the default, and of each the one that says most about the case.
func For(c Case, users []astern.Advice) (astern.Advice, bool) {
	for _, all := range [][]astern.Advice{users, Default()} {
		best, found := astern.Advice{}, false
		for _, a := range all {
			if a.Symptom == c.Symptom && (a.Kind == "" || a.Kind == c.Kind) && (!a.Flagged || c.Flagged) &&
				(!found || detail(a) > detail(best)) {
				best, found = a, true
			}
		}
		if found {
			return best, true
		}
	}
	return astern.Advice{}, false
}

// detail counts what an advice demands: the kind says more than whether there is a flag.
func detail(a astern.Advice) int {
	n := 0
	if a.Kind != "" {
		n += 2
	}
	if a.Flagged {
		n++
	}
	return n
}

// Order returns the ways, the one to prefer first, each with why it stands there. A way that can't be gone comes last,
// whatever is preferred; without advice the one that loses least comes first, and of those the fastest.
func Order(c Case, users []astern.Advice, ways []astern.WayBack) []astern.WayBack {
	advice, known := For(c, users)
	out := slices.Clone(ways)
	place := func(w astern.WayBack) int {
		if i := slices.Index(advice.Prefer, w.Way); i >= 0 {
			return i
		}
		return len(advice.Prefer)
	}
	slices.SortStableFunc(out, func(a, b astern.WayBack) int {
		return cmp.Or(cmp.Compare(reach(a), reach(b)), cmp.Compare(place(a), place(b)),
			cmp.Compare(loses(a), loses(b)), cmp.Compare(a.Estimate.MedianSeconds, b.Estimate.MedianSeconds))
	})
	for i := range out {
		switch {
		case reach(out[i]) > 0:
			out[i].Because = "it can't be relied on now: " + string(out[i].Readiness)
		case known && slices.Contains(advice.Prefer, out[i].Way) && place(out[i]) == place(out[0]):
			out[i].Because = advice.Because
		case known && place(out[i]) > place(out[0]):
			out[i].Because = fmt.Sprintf("at %s %s comes first", c.Symptom, out[0].Way)
		case loses(out[i]) > 0:
			out[i].Because = "it loses data"
		case i == 0:
			out[i].Because = "it loses nothing and is the fastest"
		default:
			out[i].Because = "it loses nothing"
		}
	}
	return out
}

// reach is 0 for what can be gone now.
func reach(w astern.WayBack) int {
	switch w.Readiness {
	case astern.Ready, astern.AtRisk:
		return 0
	case astern.ReadyUnknown:
		return 1
	}
	return 2
}

// loses is 0 for what loses nothing; units can't be compared with each other.
func loses(w astern.WayBack) int {
	for _, l := range w.Loss {
		if l.Count > 0 || l.Unknown != "" {
			return 1
		}
	}
	return 0
}
