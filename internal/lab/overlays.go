package lab

import "maps"

// states is what the subjects remember, one field each.
type states struct {
	ecs ecsState
}

// sections returns all of states, for reset and for the ticks of the clock.
func (l *Lab) sections() []section {
	return []section{
		ecsClock{&l.states.ecs, l},
	}
}

// table joins the corrections of all subjects. A subject keeps its own in a file of its name.
func (l *Lab) table() map[string]Overlay {
	all := map[string]Overlay{}
	for _, subject := range []map[string]Overlay{
		l.ecsOverlays(),
	} {
		maps.Copy(all, subject)
	}
	return all
}
