package watch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
)

// insufficient says why switching a flag off would not be enough, or nobody can tell that it is; "" when it may be taken. To go
// back undoes the change whatever it is in; a flag is the cheaper way only where the fault is in what it switches off.
func insufficient(s Situation, w Way) string {
	worse, _ := split(s.Findings)
	if why := outside(s, worse, w); why != "" {
		return why
	}
	var rivals []string
	for _, other := range s.Ways {
		if other.Revision != "" || other.Text == w.Text || other.Against != "" || other.Loses != "" || outside(s, worse, other) != "" {
			continue
		}
		switch told, known := len(other.Signals) > 0, len(w.Signals) > 0; {
		case told && !known:
			return fmt.Sprintf("nothing says that the fault is in it, and %s, where %s shows, is worse", strings.Join(shown(worse, other), " and "), other.Text)
		case told == known:
			rivals = append(rivals, other.Text)
		}
	}
	if len(rivals) > 0 {
		return "it may as well be " + strings.Join(rivals, " or ") + ": nothing says which of them"
	}
	return ""
}

// outside says why the fault is not, or not alone, in what a flag switches off.
func outside(s Situation, worse []Finding, w Way) string {
	if len(w.Signals) > 0 && len(shown(worse, w)) == 0 {
		for _, f := range s.Findings {
			if f.Verdict == Unknown && slices.Contains(w.Signals, f.Signal) {
				return "whether the fault is in it can't be told: " + f.Signal + ": " + f.Says
			}
		}
		return "the fault is not in it: " + strings.Join(w.Signals, " and ") + " would be worse"
	}
	if w.Reach == nil {
		return ""
	}
	for _, f := range worse {
		// Those who get a part may use it more than others, hence twice. How many are harmed by latency is not measured.
		if f.Kind != astern.SignalLatency && f.Kind != astern.SignalAlarm && f.Harm > 2**w.Reach {
			return fmt.Sprintf("%.3g %% get it, and %s is worse by %.3g %%: off would not be enough", *w.Reach, f.Signal, f.Harm)
		}
	}
	return ""
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
