package view

import (
	"time"

	"github.com/astern-dev/astern"
)

// replayReport is one fault that would have been taken back sooner, one that would not have been by itself, one that lasts, and
// one in which nothing differs.
func replayReport() ReplayReport {
	at := func(x float64) *float64 { return &x }
	act := func(a astern.Act) *astern.Decision {
		return &astern.Decision{Act: a, Way: "shop back to v1.2.2", Because: "errors: 4.1 % of 1,204 requests; shop back to v1.2.2 is the first way that may be taken"}
	}
	fault := astern.ReplayFault{Incident: "inc-3", Address: "production/shop", Title: "errors: worse: 4.1 % of 1,204 requests, 0.3 % on v1.2.2\x1b[2J", BeganAt: ago(40 * time.Minute),
		NoticedAt: ago(39 * time.Minute), Cause: &astern.Cause{Address: "production/shop", Revision: "v1.2.3", At: ago(41 * time.Minute)},
		Blame: "the fault began 1 min after v1.2.3 was deployed, and what still runs the earlier revision is well", EndedAt: agoPtr(20 * time.Minute),
		Ended: "v1.2.2 was put in place by ana", People: "ana put v1.2.2 in place 19 min later: the same way", Cost: astern.Cost{Requests: 12_040, Share: 2.2},
		Decisions: []astern.Rejudged{{At: ago(39 * time.Minute), Was: act(astern.ActAsk), Would: act(astern.ActAutomatic), Severity: "SEV-2", Mode: astern.ModeAutomatic},
			{At: ago(30 * time.Minute), Was: &astern.Decision{Act: astern.ActHold, Because: "ex-9 acts on it now"}, Unknown: "it would have acted before"}},
		Saving: &astern.Saving{Seconds: at(1100), Requests: at(11_201), Low: at(11_000), High: at(11_400), Because: "the way is taken at 02:33:00Z and takes as long as it took in the past"}}
	nobody, lasts, same := fault, fault, fault
	nobody.Incident, nobody.Decisions = "inc-2", []astern.Rejudged{{At: ago(39 * time.Minute), Was: act(astern.ActAutomatic), Would: act(astern.ActTell), Severity: "SEV-2", Mode: astern.ModeTell}}
	nobody.Saving = &astern.Saving{PerMinute: at(602), Because: "a person would have had to do it, and how long that takes nobody knows"}
	lasts.Incident, lasts.EndedAt, lasts.Ended, lasts.People, lasts.Cause, lasts.Blame = "", nil, "", "", nil, "stock does not answer since 02:31:00Z: it is not the release"
	lasts.Decisions = []astern.Rejudged{{At: ago(39 * time.Minute), Was: act(astern.ActAutomatic), Would: act(astern.ActAsk), Severity: "SEV-2", Mode: astern.ModeAutomatic, From: agoPtr(9 * time.Minute)}}
	lasts.Saving = &astern.Saving{Seconds: at(-1800), Requests: at(-3.25), Low: at(-9), High: at(-0.5), Because: "it was done at 02:33:00Z, and would have been at 03:03:00Z"}
	same.Decisions, same.Saving = []astern.Rejudged{{At: ago(39 * time.Minute), Was: act(astern.ActAsk), Would: act(astern.ActAsk), Same: true, Severity: "SEV-2", Mode: astern.ModeAsk}}, nil
	return ReplayReport{astern.Replay{Of: "inc-3", Policy: "bolder.yaml", Faults: []astern.ReplayFault{fault, nobody, lasts, same},
		Notes: []string{"failed requests are counted at a few moments, and taken to lie evenly between them", "what had been done before each decision is as it really was"}}}
}
