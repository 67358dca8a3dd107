package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
)

// turns finds the ways of moves anew that take turns at one place, now that their order is known: whoever has others after it
// leaves the place free for them, and whoever has others before it can't rest on what was the last there. The notes of the
// former ways go with them.
func turns(r Request, moves []move, notes []string) ([]string, error) {
	at := map[string][]int{}
	var places []string
	for i, m := range moves {
		v, ok := m.part.State.Get("turn")
		if !ok || !v.Known() || v.Text == "" {
			continue
		}
		if at[v.Text] == nil {
			places = append(places, v.Text)
		}
		at[v.Text] = append(at[v.Text], i)
	}
	for _, place := range places {
		queue := at[place]
		if len(queue) < 2 {
			continue
		}
		var names []string
		for k, i := range queue {
			m := &moves[i]
			name := m.part.Component.Name
			names = append(names, name)
			o := options(r)
			o.Before, o.After = k, len(queue)-k-1
			rt, err := m.part.Router.Route(m.part.Component, m.part.State, m.target, o)
			if err == nil && len(rt.Stages) == 0 {
				err = astern.Errorf(astern.Internal, "there is none behind others")
			}
			if err != nil {
				return nil, fmt.Errorf("finding the way of %s to %s: %w", m.part.Component.Address(), m.target.Revision, err)
			}
			notes = slices.DeleteFunc(notes, func(n string) bool {
				return slices.ContainsFunc(m.route.Notes, func(old string) bool { return n == name+": "+old })
			})
			for _, n := range rt.Notes {
				notes = append(notes, name+": "+n)
			}
			m.route = rt
		}
		notes = append(notes, fmt.Sprintf("%s go one after the other: where they are one is moved at a time", strings.Join(names, ", ")))
	}
	return notes, nil
}
