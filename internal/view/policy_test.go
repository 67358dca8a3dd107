package view

import "github.com/astern-dev/astern"

// rehearsalReport is a night in which nobody is left.
func rehearsalReport() RehearsalReport {
	goes := int64(900)
	return RehearsalReport{astern.Rehearsal{System: "webshop", Environment: "production", Component: "shop", Severity: "SEV-2",
		Means: "significant degradation", At: ago(0), Asleep: []string{"ana", "b\x1ben"}, Loss: []astern.Loss{{Unit: "rows", Count: 1204}},
		Mode: astern.ModeAsk, ModeBecause: "SEV-2", Demands: []string{"1 of primary (SEV-2); who asks counts", "1 of database (1204 rows lost)"},
		Freezes: []astern.FreezeNow{{Name: "weekend", Until: ago(-day), Why: "SEV-3 and worse may pierce it, and SEV-2 is milder", Because: "nobody is in the office"},
			{Name: "night", Until: ago(-day), Pierced: true, Why: "SEV-1 and worse may pierce it"}},
		Events: []astern.Turn{{Kind: astern.TurnNoticed, Text: "astern opens an incident, makes the plan, and asks for approval"},
			{Kind: astern.TurnCalled, Role: "primary", Contact: "pager devops", People: []astern.Called{{Name: "ana", Contact: "+49 170 1", Asleep: true, May: "may approve, and others must too"}}},
			{AfterSeconds: 450, Kind: astern.TurnCalled, Role: "secondary", People: []astern.Called{{Name: "cy", May: "has no say in this"}}},
			{AfterSeconds: 900, Kind: astern.TurnLate, Text: "the response time of 15 min is over, and nobody has answered"},
			{AfterSeconds: 900, Kind: astern.TurnNobody, Text: "nobody is left to call; nobody answered"}},
		NobodySeconds: &goes, Outcome: "nobody is left after 15 min, and nothing happens by itself"}}
}

func reviewsReport() ReviewsReport {
	at := ago(day / 2)
	o := astern.Override{PlanHash: "1a2b3c4d5e6f", By: "ana", Reason: "everybody is on a plane", Over: []string{"the plan needs 2 approvals and has 0", "freeze weekend holds"},
		At: ago(day), ReviewDue: ago(-day)}
	late, done := o, o
	late.ReviewDue = ago(day / 24)
	done.ReviewedBy, done.Review, done.ReviewedAt = "ben", "right", &at
	return ReviewsReport{[]astern.Override{late, o, done}}
}
