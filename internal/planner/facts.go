package planner

import (
	"slices"
	"strings"

	"github.com/astern-dev/astern"
)

// othersSet reports whether a fact of one member is changed by that member's own step of a stage over the fleet: the steps of the
// others that rest on it would find it changed.
func othersSet(r astern.Route, f astern.Fact) bool {
	if r.Fleet == nil || strings.Contains(f.Path, "{member}") {
		return false
	}
	for _, st := range r.Stages {
		if st.Each == nil || !slices.ContainsFunc(st.Steps, func(s astern.Step) bool { return slices.Contains(f.Steps, s.ID) }) {
			continue
		}
		for _, s := range st.Steps {
			for _, set := range s.Sets {
				before, after, each := strings.Cut(set.Path, "{member}")
				if !each || !strings.HasPrefix(f.Path, before) || !strings.HasSuffix(f.Path, after) {
					continue
				}
				if slices.Contains(r.Fleet.Members, strings.TrimSuffix(strings.TrimPrefix(f.Path, before), after)) {
					return true
				}
			}
		}
	}
	return false
}
