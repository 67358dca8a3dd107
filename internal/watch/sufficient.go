package watch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
)

// sides are how a flag stands to a fault.
type side int

const (
	open side = iota // the fault may be in what it switches off
	told             // a signal of its part is worse
	out              // it is not, or not alone, in it
)

// insufficient says why switching the flag of the way of that place off would not be enough, or nobody can tell that it is; "" when it
// may be taken. To go back undoes the change whatever it is in; a flag is the cheaper way only where the fault is in what it switches off.
func insufficient(s Situation, place int) string {
	worse, _ := split(s.Findings)
	mine, why := stands(s, worse, s.Ways[place])
	if why != "" {
		return why
	}
	var rivals []string
	for i, other := range s.Ways {
		if other.Revision != "" || i == place {
			continue
		}
		theirs, _ := stands(s, worse, other) // also one that can't be switched off now may be it
		switch {
		case theirs == told && mine == open:
			return fmt.Sprintf("nothing says that the fault is in it, and %s, where %s shows, is worse", strings.Join(shown(worse, other), " and "), other.Text)
		case theirs == mine:
			rivals = append(rivals, other.Text)
		}
	}
	if len(rivals) > 0 {
		return "it may as well be " + strings.Join(rivals, " or ") + ": nothing says which of them"
	}
	return ""
}

// stands returns how a flag stands to the fault, and why it is not to be taken by that alone.
func stands(s Situation, worse []Finding, w Way) (side, string) {
	if w.Off || w.Reach != nil && *w.Reach == 0 {
		return out, "nobody gets it as it is"
	}
	in := open
	if len(w.Signals) > 0 {
		if in = told; len(shown(worse, w)) == 0 {
			for _, f := range s.Findings {
				if f.Verdict == Unknown && slices.Contains(w.Signals, f.Signal) {
					return open, "whether the fault is in it can't be told: " + f.Signal + ": " + f.Says
				}
			}
			return out, "the fault is not in it: " + strings.Join(w.Signals, " and ") + " would be worse"
		}
	}
	if w.Reach == nil {
		return in, ""
	}
	for _, f := range worse {
		// Those who get a part may use it more than others, hence twice. A signal of the part alone counts no others; how many are harmed
		// by latency is not measured; what is no signal counts instances.
		counts := f.Kind == astern.SignalErrors || f.Kind == astern.SignalBusiness || f.Kind == astern.SignalThroughput
		if counts && f.Signal != OwnChecks && !slices.Contains(w.Signals, f.Signal) && f.Harm > 2**w.Reach {
			return out, fmt.Sprintf("%.3g %% get it, and %s is worse by %.3g %%: off would not be enough", *w.Reach, f.Signal, f.Harm)
		}
	}
	return in, ""
}

// shown are the signals of the flag that are worse.
func shown(worse []Finding, w Way) []string {
	var out []string
	for _, f := range worse {
		if slices.Contains(w.Signals, f.Signal) {
			out = append(out, f.Signal)
		}
	}
	return out
}
