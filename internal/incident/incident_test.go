package incident_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/incident"
)

var start = time.Date(2026, 3, 1, 3, 7, 0, 0, time.UTC)

func after(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }

// story is an incident that the watch opened and a person finished.
func story() astern.IncidentLog {
	return astern.IncidentLog{ID: "inc-1", Events: []astern.IncidentEvent{
		{At: after(1), Kind: astern.IncidentOpened, By: "watch", Text: "errors 4.1 %", Addresses: []string{"production/shop"}, Began: start, Severity: "SEV-2"},
		{At: after(1), Kind: astern.IncidentBlamed, By: "watch", Cause: &astern.Cause{Address: "production/shop", Revision: "v2", At: start}, Text: "nothing else changed"},
		{At: after(1), Kind: astern.IncidentDecided, By: "watch", Decision: &astern.Decision{Act: astern.ActAsk, Way: "shop back to v1", Because: "the policy asks"}},
		{At: after(2), Kind: astern.IncidentOwned, By: "ana"},
		{At: after(2), Kind: astern.IncidentMeasured, By: "watch", Series: &astern.Series{Name: "errors", Unit: "%"}},
		{At: after(3), Kind: astern.IncidentActed, By: "ana", Execution: "ex-1"},
		{At: after(3), Kind: astern.IncidentMeasured, By: "watch", Series: &astern.Series{Name: "errors", Unit: "s"}},
		{At: after(4), Kind: astern.IncidentSeverity, By: "ana", Severity: "SEV-3"},
		{At: after(4), Kind: astern.IncidentCost, By: "watch", Cost: &astern.Cost{Requests: 7}},
		{At: after(5), Kind: astern.IncidentResolved, By: "watch", Text: "proven"},
		{At: after(6), Kind: astern.IncidentResolved, By: "ana"},
		{At: after(7), Kind: astern.IncidentTicked, By: "bob", Item: "channel"},
		{At: after(8), Kind: "of tomorrow", By: "ana", Text: "something new"},
	}}
}

func TestFold(t *testing.T) {
	in := incident.Fold(story())
	resolved := after(5)
	if in.Title != "errors 4.1 %" || in.Severity != "SEV-3" || in.Owner != "ana" || in.OpenedBy != "watch" || !in.BeganAt.Equal(start) ||
		!in.OpenedAt.Equal(after(1)) || in.ResolvedAt == nil || !in.ResolvedAt.Equal(resolved) || in.Cause.Revision != "v2" ||
		len(in.Decisions) != 1 || in.Cost.Requests != 7 || len(in.Series) != 1 || in.Series[0].Unit != "s" {
		t.Errorf("%+v", in)
	}
	want := []string{"opened: errors 4.1 % (production/shop)", "blamed: production/shop v2, deployed 03:07:00Z: nothing else changed",
		"asks for shop back to v1: the policy asks", "ana has it", "ex-1", "severity SEV-3", "resolved: proven", "resolved", "done: channel", "something new"}
	var got []string
	for _, l := range in.Timeline {
		got = append(got, l.Text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if h := in.Harm(after(60)); h != 5*time.Minute {
		t.Errorf("it harmed for %s", h)
	}
}

// TestTasksAreGiven: a task is his who was given it last, else his who has the incident.
func TestTasksAreGiven(t *testing.T) {
	log := story()
	log.Events = append(log.Events, astern.IncidentEvent{At: after(9), Kind: astern.IncidentOwned, By: "ana", Item: "lessons", To: "bob"},
		astern.IncidentEvent{At: after(10), Kind: astern.IncidentOwned, By: "cy", Item: "lessons"},
		astern.IncidentEvent{At: after(11), Kind: astern.IncidentOwned, By: "ana", To: "dora"})
	in := incident.Fold(log)
	for _, x := range in.Tasks {
		if want := map[bool]string{true: "cy", false: "dora"}[x.Item == "lessons"]; x.Owner != want {
			t.Errorf("%s is %s's, want %s", x.Item, x.Owner, want)
		}
	}
	var got []string
	for _, l := range in.Timeline[len(in.Timeline)-3:] {
		got = append(got, l.Text)
	}
	if diff := cmp.Diff([]string{"bob has lessons", "cy has lessons", "dora has it"}, got); diff != "" || in.Owner != "dora" {
		t.Error(in.Owner, diff)
	}
}

// TestTasksAreDueFromTheEnd: nothing is due while it lasts; then an hour, a day and a week.
func TestTasksAreDueFromTheEnd(t *testing.T) {
	log := story()
	lasts := incident.Fold(astern.IncidentLog{ID: log.ID, Events: log.Events[:8]})
	if n := len(lasts.Overdue(after(100_000))); n != 0 || lasts.Left() != 14 || len(lasts.Tasks) != 14 {
		t.Errorf("%d overdue of one that lasts, %d of %d left", n, lasts.Left(), len(lasts.Tasks))
	}
	over := incident.Fold(log)
	for _, c := range []struct {
		at   time.Time
		want int
	}{{after(5 + 60), 0}, {after(5 + 61), 4}, {after(5 + 24*60 + 1), 8}, {after(5 + 7*24*60 + 1), 13}} {
		if n := len(over.Overdue(c.at)); n != c.want {
			t.Errorf("%d overdue at %s, want %d", n, c.at, c.want)
		}
	}
	again := append(log.Events[:len(log.Events):len(log.Events)], astern.IncidentEvent{At: after(9), Kind: astern.IncidentReopened, By: "ana", Text: "errors are back"})
	if in := incident.Fold(astern.IncidentLog{ID: log.ID, Events: again}); in.ResolvedAt != nil || len(in.Overdue(after(100_000))) != 0 {
		t.Errorf("reopened, and still %+v", in.ResolvedAt)
	}
}

func TestDecisionsInWords(t *testing.T) {
	for act, want := range map[astern.Act]string{astern.ActAutomatic: "takes W: B", astern.ActAsk: "asks for W: B", astern.ActShadow: "would take W: B",
		astern.ActTell: "tells, does nothing: B", astern.ActHold: "holds: B"} {
		e := astern.IncidentEvent{Kind: astern.IncidentDecided, Decision: &astern.Decision{Act: act, Way: "W", Because: "B"}}
		if got := incident.Line(e); got != want {
			t.Errorf("%s: %q", act, got)
		}
	}
	for _, e := range []astern.IncidentEvent{{Kind: astern.IncidentDecided}, {Kind: astern.IncidentCost}, {Kind: astern.IncidentMeasured}} {
		in := incident.Fold(astern.IncidentLog{ID: "inc-1", Events: []astern.IncidentEvent{e}})
		if len(in.Timeline) != 0 || len(in.Decisions) != 0 || len(in.Series) != 0 {
			t.Errorf("%s without what it tells: %+v", e.Kind, in)
		}
	}
	if got := incident.Line(astern.IncidentEvent{Kind: astern.IncidentBlamed, Text: "it began before"}); got != "no change is to blame: it began before" {
		t.Error(got)
	}
}

// TestConcerns: an execution belongs to the incident when it acted on one of its components while it lasted.
func TestConcerns(t *testing.T) {
	in := astern.Incident{Addresses: []string{"e/a"}, BeganAt: after(10)}
	end := func(m int) *time.Time { at := after(m); return &at }
	for name, c := range map[string]struct {
		e        astern.Execution
		resolved *time.Time
		want     bool
	}{
		"it goes on":            {astern.Execution{Addresses: []string{"e/b", "e/a"}, CreatedAt: after(11)}, nil, true},
		"began before":          {astern.Execution{Addresses: []string{"e/a"}, CreatedAt: after(1), EndedAt: end(12)}, nil, true},
		"ended before":          {astern.Execution{Addresses: []string{"e/a"}, CreatedAt: after(1), EndedAt: end(9)}, nil, false},
		"another component":     {astern.Execution{Addresses: []string{"e/b"}, CreatedAt: after(11)}, nil, false},
		"began after the end":   {astern.Execution{Addresses: []string{"e/a"}, CreatedAt: after(21)}, end(20), false},
		"began at its last":     {astern.Execution{Addresses: []string{"e/a"}, CreatedAt: after(20)}, end(20), true},
		"ended when it began":   {astern.Execution{Addresses: []string{"e/a"}, CreatedAt: after(1), EndedAt: end(10)}, nil, true},
		"resolved, and covered": {astern.Execution{Addresses: []string{"e/a"}, CreatedAt: after(1)}, end(20), true},
	} {
		in.ResolvedAt = c.resolved
		if got := incident.Concerns(in, c.e); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestExecutionsStandInTheTimeline in the order of time, each once, with what people said to them.
func TestExecutionsStandInTheTimeline(t *testing.T) {
	in := incident.Fold(story())
	e := astern.Execution{ID: "ex-1", Addresses: []string{"production/shop"}, CreatedAt: after(3)}
	p := astern.Plan{Intent: astern.Intent{Verb: astern.VerbRollback}, Asked: astern.Asked{By: "ana"}, Moves: []astern.Move{{Address: "production/shop", From: "v2", To: "v1"}}}
	records := []astern.Record{{At: after(3), Kind: astern.RecordTaken}, {At: after(4), Kind: astern.RecordPaused, By: "bob", Text: "looking"},
		{At: after(4), Kind: astern.RecordSkipped, By: "bob", Step: "2.drain"},
		{At: after(4), Kind: astern.RecordOp, Step: "2.swap", Op: &astern.Op{Status: astern.OpFailed, Error: "no space"}},
		{At: after(4), Kind: astern.RecordOp, Step: "2.swap", Op: &astern.Op{Status: astern.OpDone}},
		{At: after(5), Kind: astern.RecordEnded, Outcome: astern.OutcomeDone}}
	with := incident.With(incident.With(in, e, p, records), e, p, records)
	var got []string
	for i, l := range with.Timeline {
		if i > 0 && l.At.Before(with.Timeline[i-1].At) {
			t.Errorf("%q stands after %q", l.Text, with.Timeline[i-1].Text)
		}
		if l.Execution != "" {
			got = append(got, l.By+": "+l.Text)
		}
	}
	want := []string{"ana: ex-1: rollback production/shop v2 → v1 begins", "bob: ex-1: paused: looking", "bob: ex-1: skipped 2.drain", ": ex-1: 2.swap failed: no space",
		"ana: ex-1: done"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(with.Executions) != 1 || len(incident.Fold(story()).Timeline) != len(in.Timeline) {
		t.Errorf("%v", with.Executions)
	}
}
