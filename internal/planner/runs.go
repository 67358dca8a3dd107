package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
)

// Apart says of which members the processes were not started under what their links lead to, and of which that can't be told,
// a line each, sorted.
func Apart(s astern.State) (apart, unknown []string) {
	for path, link := range s.Values {
		member, ok := strings.CutSuffix(path, "/link")
		if !ok || !link.Known() {
			continue
		}
		switch runs, _ := s.Runs(member); {
		case !runs.Known():
			unknown = append(unknown, member+": "+runs.Unknown)
		case runs.Text != link.Text:
			apart = append(apart, fmt.Sprintf("%s runs %s, but its link leads to %s: it was not restarted", member,
				cmp.Or(runs.Text, "no release"), link.Text))
		}
	}
	slices.Sort(apart)
	slices.Sort(unknown)
	return apart, unknown
}

// notRestarted words for a plan what Apart says.
func notRestarted(p Part) (notes []string) {
	apart, unknown := Apart(p.State)
	if len(apart) > 0 {
		notes = append(notes, p.Component.Name+": "+few(apart, "; "))
	}
	if len(unknown) > 0 {
		notes = append(notes, p.Component.Name+": what runs is not known: "+few(unknown, "; "))
	}
	return notes
}

// linked returns the one revision that all links lead to; "" when there are several or none.
func linked(s astern.State) string {
	revision := ""
	for path, link := range s.Values {
		if !strings.HasSuffix(path, "/link") || !link.Known() {
			continue
		}
		if revision != "" && revision != link.Text {
			return ""
		}
		revision = link.Text
	}
	return revision
}
