package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// Settles is how long after a flag went off it is seen whether that was enough.
const Settles = 5 * time.Minute

// off reports whether nobody gets what a flag switches.
func (w Way) off() bool { return w.Revision == "" && (w.Off || w.Reach != nil && *w.Reach == 0) }

// switched says that somebody switched a flag off since the fault began, "" when nobody did, or it is long enough ago: that may have
// been the remedy, and another one beside it would hide that.
func switched(s Situation, began time.Time) string {
	for _, w := range s.Ways {
		if w.off() && !w.Changed.Before(began) && s.Now.Sub(w.Changed) < Settles {
			return fmt.Sprintf("%s: it was switched off at %s, after the fault began; whether that was enough is seen first", w.Text, w.Changed.UTC().Format("15:04:05Z"))
		}
	}
	return ""
}

// side is how a flag stands to a fault.
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
	if w.off() {
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
	// A signal that the flag names may count its part alone, and no others: where the component has another, that tells how many are harmed.
	wider := slices.ContainsFunc(s.Findings, func(f Finding) bool {
		return counts(f) && f.Verdict != Unknown && !slices.Contains(w.Signals, f.Signal)
	})
	for _, f := range worse {
		if !counts(f) || wider && slices.Contains(w.Signals, f.Signal) || f.Harm <= 2**w.Reach { // those who get a part may use it more than others
			continue
		}
		why := fmt.Sprintf("%.3g %% get it, and %s is worse by %.3g %%: off would not be enough", *w.Reach, f.Signal, f.Harm)
		if in == told { // it is in it, and not alone
			return told, why
		}
		return out, why
	}
	return in, ""
}

// counts reports whether a finding tells how many are harmed: of latency that is not measured, and what is no signal counts instances.
func counts(f Finding) bool {
	return f.Signal != OwnChecks && slices.Contains([]astern.SignalKind{astern.SignalErrors, astern.SignalBusiness, astern.SignalThroughput}, f.Kind)
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
