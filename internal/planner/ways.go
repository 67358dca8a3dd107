package planner

import (
	"fmt"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/knowledge"
	"github.com/astern-dev/astern/internal/readiness"
)

// ways notes the other ways back of what the plan is about, with time and loss: for a flag that services declare the
// rollback of those, and for a service its flags.
func ways(r Request, moves []move) []string {
	var out []string
	switch r.Intent.Verb {
	case astern.VerbOff:
		for _, m := range moves {
			for _, p := range r.Parts {
				for _, use := range p.Component.Flags {
					if use.Component == m.part.Component.Name && p.Component.Environment == m.part.Component.Environment && use.Flag == r.Intent.Flag.Flag {
						out = append(out, compared(p, use, Guess(m.route), r.Knowledge))
					}
				}
			}
		}
	case astern.VerbRollback:
		for _, m := range moves {
			for _, use := range m.part.Component.Flags {
				holder, ok := r.part(astern.Address(m.part.Component.Environment, use.Component))
				if !ok || holder.Switcher == nil || holder.Trouble != "" {
					continue
				}
				seconds, err := OffSeconds(holder, use.Flag, r.Now)
				if err != nil {
					continue // it is off already, or can't be switched
				}
				out = append(out, fmt.Sprintf("%s: another way is to switch %s off%s: ~%s, nothing lost: astern off %s %s --reason …", m.part.Component.Name,
					use.Flag, affects(use), inSeconds(seconds), use.Component, use.Flag))
			}
		}
	}
	return out
}

// OffSeconds guesses how long switching a flag off takes. It is an error when it is off already, or can't be switched.
func OffSeconds(holder Part, flag string, now time.Time) (float64, error) {
	change := astern.FlagChange{Flag: flag}
	t, err := holder.Switcher.Switch(holder.Component, holder.State, change)
	if err != nil {
		return 0, err
	}
	rt, err := holder.Router.Route(holder.Component, holder.State, t, astern.Options{Verb: astern.VerbOff, Percent: 100, Now: now, Flag: &change})
	return Guess(rt), err
}

// compared words the ways of one service: the flag, and the rollback to its newest good revision.
func compared(p Part, use astern.FlagUse, seconds float64, advice []astern.Advice) string {
	all := []astern.WayBack{{Way: astern.WayFlag, Title: "flag off", Estimate: astern.Estimate{MedianSeconds: seconds}, Readiness: astern.Ready}}
	if t, ok := earlier(p); ok {
		all = append(all, astern.WayBack{Way: astern.WayRollback, Title: "rollback to " + t.Revision, Estimate: t.Estimate, Loss: t.Loss, Readiness: t.Readiness})
	}
	all = knowledge.Order(knowledge.Case{Kind: p.Component.Kind, Flagged: true}, advice, all)
	words := make([]string, len(all))
	for i, w := range all {
		words[i] = w.Title + ": " + about(w.Estimate) + ", " + lost(w.Loss)
	}
	return fmt.Sprintf("%s%s: %s (%s)", p.Component.Name, affects(use), strings.Join(words, "; "), all[0].Title+" first, because "+all[0].Because)
}

func affects(use astern.FlagUse) string {
	if use.Affects == "" {
		return ""
	}
	return " (" + use.Affects + ")"
}

// earlier returns the target that a rollback without a name would take.
func earlier(p Part) (astern.Target, bool) {
	if p.Trouble != "" {
		return astern.Target{}, false
	}
	left, since, err := readiness.Leaves(p.Targets, p.State.Values["revision"])
	if err != nil {
		return astern.Target{}, false
	}
	for _, t := range p.Targets { // the last deployed first
		if !t.Current && t.Revision != left && t.Latched == "" && t.KnownGoodAt != nil && t.Readiness == astern.Ready && !readiness.Later(t, since) {
			return t, true
		}
	}
	return astern.Target{}, false
}

func about(e astern.Estimate) string {
	if e.Runs == 0 {
		return "~" + inSeconds(e.MedianSeconds)
	}
	return inSeconds(e.MedianSeconds)
}

func inSeconds(n float64) string {
	if n >= 120 {
		return fmt.Sprintf("%.0f min", n/60)
	}
	return fmt.Sprintf("%.0f s", n)
}

func lost(loss []astern.Loss) string {
	var out []string
	for _, l := range loss {
		switch {
		case l.Unknown != "":
			out = append(out, "loss unknown")
		case l.Count > 0:
			out = append(out, fmt.Sprintf("%d %s lost", l.Count, l.Unit))
		}
	}
	if len(out) == 0 {
		return "nothing lost"
	}
	return strings.Join(out, ", ")
}
