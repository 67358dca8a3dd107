package watch

import (
	"encoding/json"
	"slices"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/policy"
)

const (
	// mostKept is how many bytes of a situation are kept with its decision, and leastKept to how many changes and incidents of
	// the past it is cut down before it is given up.
	mostKept, leastKept = 64 << 10, 4
	// keptChanges is how many changes, incidents and acts are kept at most: the newest.
	keptChanges = 64
)

// Kept returns what a decision needs of the situation, as JSON of at most 64 KiB, to be judged again with the same outcome:
// of the past only the incidents about revisions that may be blamed or gone back to. Nil when that is more.
func (s Situation) Kept() json.RawMessage {
	for most := keptChanges; most >= leastKept; most /= 2 {
		b, err := json.Marshal(s.reduced(most))
		if err == nil && len(b) <= mostKept {
			return b
		}
	}
	return nil
}

func (s Situation) reduced(most int) Situation {
	matters := map[string]bool{}
	for _, w := range s.Ways {
		matters[w.Revision] = true
	}
	var changes []astern.Event
	for _, e := range s.Changes {
		if e.Kind == astern.EventDeployed {
			changes = append(changes, astern.Event{Seq: e.Seq, At: e.At, Address: e.Address, Kind: e.Kind, Revision: e.Revision, By: e.By, Execution: e.Execution})
			matters[e.Revision] = true
		}
	}
	s.Changes = changes[max(0, len(changes)-most):]
	var past []astern.Incident
	for _, in := range s.Past {
		if in.Cause == nil || !matters[in.Cause.Revision] || len(past) == most {
			continue
		}
		short := astern.Incident{ID: in.ID, OpenedAt: in.OpenedAt, Cause: in.Cause}
		if slices.ContainsFunc(in.Decisions, automatic) {
			short.Decisions = []astern.Decision{{Act: astern.ActAutomatic}}
		}
		past = append(past, short)
	}
	s.Past = past
	s.Acted = slices.SortedFunc(slices.Values(s.Acted), func(a, b policy.Acted) int { return a.At.Compare(b.At) })
	s.Acted = s.Acted[max(0, len(s.Acted)-most):]
	s.Findings = slices.Clone(s.Findings)
	for i := range s.Findings {
		s.Findings[i].Guarantee = "" // says nothing that a decision rests on
	}
	return s
}

// ReadSituation reads one that was kept.
func ReadSituation(b json.RawMessage) (Situation, error) {
	var s Situation
	if err := json.Unmarshal(b, &s); err != nil {
		return Situation{}, astern.Errorf(astern.Invalid, "reading what a decision rested on: %w", err)
	}
	return s, nil
}
