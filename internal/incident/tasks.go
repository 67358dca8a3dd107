package incident

import (
	"cmp"
	"time"

	"github.com/astern-dev/astern"
)

// list is what is to be done within a time after the end of an incident.
type list struct {
	name   string
	within time.Duration
	items  []string
}

// lists are the three lists of REQUIREMENTS R10.
func lists() []list {
	return []list{
		{"1h", time.Hour, []string{"channel", "status-page", "stakeholders", "ticket", "timeline"}},
		{"24h", 24 * time.Hour, []string{"root-cause", "lessons", "checklist", "post-mortem-booked"}},
		{"7d", 7 * 24 * time.Hour, []string{"post-mortem", "actions", "runbooks", "monitoring", "tests"}},
	}
}

// Items returns the names of all tasks, in order.
func Items() []string {
	var out []string
	for _, l := range lists() {
		out = append(out, l.items...)
	}
	return out
}

// tasks are those of the incident; they are due from its end on. Who has the incident has those that nobody was given.
func tasks(in astern.Incident, said said) []astern.Task {
	var out []astern.Task
	for _, l := range lists() {
		for _, i := range l.items {
			t := astern.Task{Item: i, List: l.name, Owner: cmp.Or(said.owners[i], in.Owner)}
			if in.ResolvedAt != nil {
				due := in.ResolvedAt.Add(l.within)
				t.DueAt = &due
			}
			if e, ok := said.ticked[i]; ok {
				at := e.At
				t.DoneAt, t.By = &at, e.By
			}
			out = append(out, t)
		}
	}
	return out
}
