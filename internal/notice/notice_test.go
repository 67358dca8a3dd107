package notice

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
)

var start = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return start.Add(d) }

// TestIncidentIsTold: which events of an incident are told, as what.
func TestIncidentIsTold(t *testing.T) {
	log := astern.IncidentLog{ID: "inc-1", Events: []astern.IncidentEvent{
		{Kind: astern.IncidentOpened, By: "watch", Text: "errors 4 %", Severity: "SEV-2", Addresses: []string{"production/shop"}},
		{Kind: astern.IncidentBlamed, By: "watch", Text: "v1.2.3"},
		{Kind: astern.IncidentDecided, By: "watch", Decision: &astern.Decision{Act: astern.ActHold, Because: "no data", Against: []string{"flag: none"}}},
		{Kind: astern.IncidentDecided, By: "watch", Decision: &astern.Decision{Act: astern.ActAsk, Way: "shop back to v1.2.2", Because: "it is the newest good", Plan: "abc", Command: "astern approve abc"}},
		{Kind: astern.IncidentDecided, By: "watch"},
		{Kind: astern.IncidentActed, By: "watch", Execution: "ex-7", Text: "back to v1.2.2"},
		{Kind: astern.IncidentSeverity, By: "ana", Severity: "SEV-3", Text: "worse"},
		{Kind: astern.IncidentOwned, By: "ana"}, {Kind: astern.IncidentNoted, By: "ana", Text: "looking"},
		{Kind: astern.IncidentCost, By: "watch", Cost: &astern.Cost{}}, {Kind: astern.IncidentMeasured, By: "watch", Series: &astern.Series{}},
		{Kind: astern.IncidentTicked, By: "ana", Item: "timeline"},
		{Kind: astern.IncidentResolved, By: "watch", Text: "healthy"},
		{Kind: astern.IncidentReopened, By: "ana", Text: "no"},
		{Kind: astern.IncidentNoted, By: "watch", Text: "calls primary (ana, ben)", Token: "inc-1/call/0/0"},
		{Kind: astern.IncidentNoted, By: "watch", Text: "ex-7 failed"},
	}}
	var got []string
	for i := range log.Events {
		log.Events[i].Seq, log.Events[i].At = int64(i+1), after(time.Duration(i)*time.Minute)
	}
	told := OfLog(log)
	for _, e := range log.Events {
		one := slices.ContainsFunc(told, func(n OfEvent) bool { return n.Seq == e.Seq })
		if one != (Told(e) && (e.Kind != astern.IncidentDecided || e.Decision != nil)) {
			t.Errorf("event %d, %s, is told: %t", e.Seq, e.Kind, one)
		}
	}
	for _, n := range told {
		if n.Topic != "inc-1" || n.Incident != "inc-1" || !n.At.Equal(log.Events[n.Seq-1].At) || n.Command == "" || !slices.Equal(n.Addresses, []string{"production/shop"}) {
			t.Errorf("%+v", n)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s|%s", n.Event, n.Token, n.Severity, n.Title, strings.Join(n.Lines, ";")))
	}
	want := []string{
		"opened inc-1/1 SEV-2 inc-1 errors 4 %|",
		"decided inc-1/3 SEV-2 inc-1 errors 4 %: holds|no data;flag: none",
		"asked asked/abc SEV-2 inc-1 errors 4 %: asks for shop back to v1.2.2|it is the newest good",
		"acted began/ex-7 SEV-2 inc-1 errors 4 %: ex-7 begins|back to v1.2.2",
		"opened inc-1/7 SEV-3 inc-1 errors 4 %: now SEV-3|worse",
		"resolved inc-1/13 SEV-3 inc-1 errors 4 %: resolved|healthy",
		"opened inc-1/14 SEV-3 inc-1 errors 4 %: it is not over|no",
		"asked inc-1/15 SEV-3 inc-1 errors 4 %: astern calls primary (ana, ben)|",
	}
	if !slices.Equal(got, want) {
		t.Errorf("told:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPlansAreTold(t *testing.T) {
	doc, err := json.Marshal(astern.Plan{Approvals: 2, CreatedAt: start, Asked: astern.Asked{By: "ana", Way: "cli"}, Intent: astern.Intent{Verb: astern.VerbRollback, Reason: "errors", Severity: "SEV-3"},
		Moves: []astern.Move{{Address: "p/a", From: "v2", To: "v1"}, {Address: "p/b", From: "v2", To: "v1"}, {Address: "p/c", From: "v2", To: "v1"}, {Address: "p/d", From: "v2", To: "v1"}}})
	if err != nil {
		t.Fatal(err)
	}
	hash := strings.Repeat("0123456789ab", 5)
	p, err := ReadPlan(hash, doc)
	if err != nil {
		t.Fatal(err)
	}
	n, ok := OfPlan(p)
	if !ok || n.Token != "asked/"+hash || n.Topic != "0123456789ab" || n.Severity != "SEV-3" || len(n.Addresses) != 4 ||
		n.Title != "ana asks for 2 approvals: rollback p/a v2 → v1 p/b v2 → v1 p/c v2 → v1 and 1 more" {
		t.Errorf("%v %+v", ok, n)
	}
	e := astern.Execution{ID: "ex-1", PlanHash: hash, CreatedAt: start}
	if n, ok := OfBegin(p, e); !ok || n.Token != "began/ex-1" {
		t.Errorf("%v %+v", ok, n)
	}
	p.Asked.Way = WatchWay
	if _, ok := OfBegin(p, e); ok {
		t.Error("what the watch does is told twice")
	}
	if _, ok := OfPlan(p); ok {
		t.Error("what the watch asks is told twice")
	}
	p.Asked.Way, p.Approvals = "cli", 0
	if _, ok := OfPlan(p); ok {
		t.Error("a plan that needs nobody asks")
	}
	end := OfEnd(p, "ex-1", astern.Record{At: start, Outcome: astern.OutcomeDone})
	incidents := []astern.Incident{{ID: "inc-3", Addresses: []string{"p/z"}}, {ID: "inc-2", Severity: "SEV-4", Executions: []string{"ex-1"}, ResolvedAt: &start},
		{ID: "inc-1", Addresses: []string{"p/a"}}}
	if n := Belongs(end, incidents); n.Topic != "inc-2" || n.Incident != "inc-2" || n.Severity != "SEV-3" {
		t.Errorf("%+v", n)
	}
	end.Execution, end.Severity = "ex-2", ""
	if n := Belongs(end, incidents); n.Topic != "inc-1" {
		t.Errorf("%+v", n)
	}
	if n := Belongs(end, incidents[:2]); n.Topic != "0123456789ab" {
		t.Errorf("%+v", n)
	}
	if _, err := ReadPlan(hash, []byte("no plan")); astern.CodeOf(err) != astern.Invalid {
		t.Errorf("%v", err)
	}
}

// TestLateTasks: a task that becomes late again, after its incident was opened and resolved again, is told again.
func TestLateTasks(t *testing.T) {
	due, again := start.Add(time.Hour), start.Add(2*time.Hour)
	in := astern.Incident{ID: "inc-1", Title: "errors", ResolvedAt: &start}
	one := OfTask(in, astern.Task{Item: "timeline", DueAt: &due, Owner: "ana"})
	in.ResolvedAt = &again
	two := OfTask(in, astern.Task{Item: "timeline", DueAt: &due})
	if one.Token == two.Token || !one.At.Equal(due) || one.Lines[0] != "owner: ana" || two.Lines[0] != "owner: nobody" || one.Event != astern.NoticeOverdue {
		t.Errorf("%+v\n%+v", one, two)
	}
}

func TestRoute(t *testing.T) {
	s := astern.System{
		Environments: []astern.Environment{{Name: "production"}, {Name: "lab", Policy: astern.Policy{Severities: []astern.Severity{{Name: "low"}, {Name: "high"}}}}},
		Channels: []astern.Channel{{Name: "all"}, {Name: "asks", Events: []astern.NoticeEvent{astern.NoticeAsked, astern.NoticeHeld}},
			{Name: "bad", Severity: "SEV-3"}, {Name: "lab-high", Severity: "high", Components: []string{"lab"}}, {Name: "shop", Components: []string{"production/shop"}}},
	}
	for _, c := range []struct {
		n    astern.Notice
		want string
	}{
		{astern.Notice{Event: astern.NoticeOpened, Severity: "SEV-2", Addresses: []string{"production/shop"}}, "all shop"},
		{astern.Notice{Event: astern.NoticeOpened, Severity: "SEV-3", Addresses: []string{"production/stock"}}, "all bad"},
		{astern.Notice{Event: astern.NoticeAsked, Severity: "SEV-4", Addresses: []string{"production/stock", "production/shop"}}, "all asks bad shop"},
		{astern.Notice{Event: astern.NoticeHeld, Addresses: []string{"production/stock"}}, "all asks bad"}, // nobody knows how severe
		{astern.Notice{Event: astern.NoticeOpened, Severity: "low", Addresses: []string{"lab/shop"}}, "all bad"},
		{astern.Notice{Event: astern.NoticeOpened, Severity: "high", Addresses: []string{"lab/shop"}}, "all bad lab-high"},
		{astern.Notice{Event: astern.NoticeOpened, Severity: "SEV-9", Addresses: []string{"production/x"}}, "all bad"},
		{astern.Notice{Event: astern.NoticeOpened}, "all bad lab-high shop"},
	} {
		if got := strings.Join(Route(s, c.n), " "); got != c.want {
			t.Errorf("%+v: %s, want %s", c.n, got, c.want)
		}
	}
}

func TestWait(t *testing.T) {
	for tries, want := range map[int]time.Duration{1: 5 * time.Second, 2: 10 * time.Second, 6: 160 * time.Second, 7: 5 * time.Minute, 10: 5 * time.Minute, 1000: 5 * time.Minute, 0: 5 * time.Second} {
		if got := Wait(tries, 0, 0); got != want {
			t.Errorf("after %d tries %v, want %v", tries, got, want)
		}
		if got := Wait(tries, 0, 1); got != want-want/3 && got != want-time.Duration(float64(want)/3) {
			t.Errorf("after %d tries at least %v of %v", tries, got, want)
		}
	}
	if Wait(1, 40*time.Second, 0) != 40*time.Second || Wait(1, 1000*time.Hour, 0) != time.Hour || Wait(7, time.Second, 0) != 5*time.Minute {
		t.Error("Retry-After")
	}
}

// row is a dispatch of the outbox of these tests.
func row(n int64, topic string, event astern.NoticeEvent) astern.Dispatch {
	return astern.Dispatch{N: n, State: astern.DispatchWaiting, QueuedAt: start, Notice: astern.Notice{Token: fmt.Sprint(n), Topic: topic, Event: event}}
}

func TestNext(t *testing.T) {
	const opened, decided, acted = astern.NoticeOpened, astern.NoticeDecided, astern.NoticeActed
	sent := func(d astern.Dispatch, at time.Time) astern.Dispatch {
		d.State, d.SettledAt = astern.DispatchSent, at
		return d
	}
	failed := func(d astern.Dispatch, tries int, next time.Time) astern.Dispatch {
		d.Tries, d.Next = tries, next
		return d
	}
	with := func(d astern.Dispatch, n int64) astern.Dispatch { d.With = n; return d }
	now := after(time.Minute)
	for name, c := range map[string]struct {
		all  []astern.Dispatch
		want string // "N With… / tokens", "" for nothing
	}{
		"nothing":                      {nil, ""},
		"in their order":               {[]astern.Dispatch{row(1, "a", opened), row(2, "a", decided)}, "1 [] 1"},
		"a burst":                      {[]astern.Dispatch{row(1, "a", decided), row(2, "b", opened), row(3, "a", decided), row(4, "a", acted)}, "1 [3] 1 3"},
		"sent is sent":                 {[]astern.Dispatch{sent(row(1, "a", opened), start), row(2, "a", decided)}, "2 [] 2"},
		"a repetition waits":           {[]astern.Dispatch{sent(row(1, "a", decided), start), row(2, "a", decided)}, ""},
		"not another incident's":       {[]astern.Dispatch{sent(row(1, "a", decided), start), row(2, "a", decided), row(3, "b", decided)}, "3 [] 3"},
		"not for ever":                 {[]astern.Dispatch{sent(row(1, "a", decided), after(-Window)), row(2, "a", decided)}, "2 [] 2"},
		"not when something follows":   {[]astern.Dispatch{sent(row(1, "a", decided), start), row(2, "a", decided), row(3, "a", acted)}, "2 [] 2"},
		"what calls people never":      {[]astern.Dispatch{sent(row(1, "a", astern.NoticeAsked), start), row(2, "a", astern.NoticeAsked)}, "2 [] 2"},
		"the channel rests":            {[]astern.Dispatch{failed(row(1, "a", opened), 1, after(time.Hour)), row(2, "b", opened)}, ""},
		"rested":                       {[]astern.Dispatch{failed(row(1, "a", opened), 3, now), row(2, "a", opened)}, "1 [] 1"},
		"with its companions":          {[]astern.Dispatch{failed(row(1, "a", decided), 1, now), with(row(2, "a", decided), 1), row(3, "a", decided)}, "1 [] 1 2"},
		"what was tried, by itself":    {[]astern.Dispatch{row(1, "a", decided), failed(row(2, "a", decided), 1, now)}, "1 [] 1"},
		"what was tried least":         {[]astern.Dispatch{failed(row(1, "a", opened), 1, now), row(2, "b", opened)}, "2 [] 2"},
		"given up, the next":           {[]astern.Dispatch{{N: 1, State: astern.DispatchGivenUp, Notice: row(1, "a", opened).Notice}, row(2, "a", acted)}, "2 [] 2"},
		"nothing overtakes in a topic": {[]astern.Dispatch{failed(row(1, "a", opened), 2, now), row(2, "a", acted), failed(row(3, "b", acted), 5, now)}, "1 [] 1"},
	} {
		m, ok := Next(c.all, now)
		got := ""
		if ok {
			got = fmt.Sprint(m.N, " ", m.With)
			for _, n := range m.Notices {
				got += " " + n.Token
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	m, _ := Next([]astern.Dispatch{failed(row(1, "a", opened), 7, now), row(2, "b", opened)}, now)
	if m.N != 2 || m.Tries != 7 {
		t.Errorf("the channel was tried %d times in vain: %+v", 7, m)
	}
}

// TestNothingIsLostOrOvertaken: whatever happens to a channel, each notice arrives, in the order of its topic.
func TestNothingIsLostOrOvertaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []astern.Dispatch
		for i := range rapid.IntRange(1, 80).Draw(t, "notices") {
			all = append(all, row(int64(i+1), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "topic"), rapid.SampledFrom(astern.NoticeEvents()).Draw(t, "event")))
		}
		now, arrived := start, []astern.Notice{}
		for round := 0; ; round++ {
			if round > 10_000 {
				t.Fatal("it never ends")
			}
			m, ok := Next(all, now)
			if !ok {
				if !slices.ContainsFunc(all, func(d astern.Dispatch) bool { return d.State == astern.DispatchWaiting }) {
					break
				}
				now = now.Add(time.Minute)
				continue
			}
			fine := rapid.IntRange(0, 3).Draw(t, "answer") > 0
			for i := range all {
				d := &all[i]
				if slices.Contains(m.With, d.N) {
					d.With = m.N
				}
				switch {
				case d.N != m.N && d.With != m.N:
				case fine:
					d.State, d.SettledAt = astern.DispatchSent, now
				case d.N == m.N:
					d.Tries, d.Next = d.Tries+1, now.Add(Wait(m.Tries+1, 0, 0))
				}
			}
			if fine {
				arrived = append(arrived, m.Notices...)
			}
		}
		last := map[string]int{}
		for _, n := range arrived {
			var number int
			_, _ = fmt.Sscan(n.Token, &number) // it is a number
			if number <= last[n.Topic] {
				t.Fatalf("%s of %s came after %d", n.Token, n.Topic, last[n.Topic])
			}
			last[n.Topic] = number
		}
		if len(arrived) != len(all) {
			t.Fatalf("%d of %d arrived", len(arrived), len(all))
		}
	})
}
