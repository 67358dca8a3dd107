// Package watch decides what to do about a component whose signals were judged: act, ask, tell, or hold, and why. It is
// pure; who watches collects the situation, and takes the way under a plan.
//
// It acts only when every reason not to is absent; each reason is one sentence that a person can check.
package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// Verdict is what a judge says of a signal.
type Verdict string

// The verdicts.
const (
	Worse    Verdict = "worse"
	NotWorse Verdict = "not worse"
	Unknown  Verdict = "unknown"
)

// Finding is what the judge of one signal says.
type Finding struct {
	Signal  string
	Verdict Verdict
	// Says is the judge's sentence, with its numbers: "errors 4.1 % of 1204 requests, 0.3 % on v1.2.2".
	Says string
	// Began is when the signal became worse, as far as can be told.
	Began time.Time
	// Controlled is true when the earlier revision was measured at the same time; without it an incident can't be told
	// from a change, and only Large faults act by themselves.
	Controlled bool
	Large      bool
}

// Way is something that may bring the component back.
type Way struct {
	Text    string  // "shop back to v1.2.2"
	Command string  // what a person types for it
	Seconds float64 // how long it takes, as far as is known
	Loses   string  // what data it loses, "" for nothing
	// Revision is where it goes; "" for a flag that is turned off.
	Revision string
	// Against says why it can't or must not be taken: not ready, not known-good, a migration forbids it.
	Against string
}

// Rules are what the policy says for this component and severity.
type Rules struct {
	// Act is the most that may be done: ActAutomatic, ActAsk, ActTell or ActShadow.
	Act astern.Act
	// Window is how long after a change a fault may be its fault.
	Window time.Duration
	// CoolDown lies between two automatic acts on a component; PerDay limits them in 24 hours. Zero means no limit.
	CoolDown time.Duration
	PerDay   int
	// Frozen says why nothing may be changed now, "" when it may.
	Frozen string
}

// Situation is all that a decision rests on.
type Situation struct {
	Now      time.Time
	Address  string
	Findings []Finding
	// Changes are the ledger's deployments of the component, the oldest first.
	Changes []astern.Event
	// Elsewhere says what else is wrong that this component needs, each with since when: its dependencies, the network.
	Elsewhere []Elsewhere
	// Ways are in the order in which they are preferred.
	Ways []Way
	// Busy are the executions under way on the component.
	Busy []string
	// Past are the component's incidents, the newest first.
	Past  []astern.Incident
	Rules Rules
}

// Elsewhere is a fault of something that the component needs.
type Elsewhere struct {
	What  string // "stock does not answer"
	Since time.Time
}

// Judgement is what came of a situation.
type Judgement struct {
	// Fault is true when something is worse: an incident is opened about it.
	Fault bool
	// Title says what is worse.
	Title string
	Began time.Time
	// Cause is the change that is blamed, nil when none is; Blame says why.
	Cause    *astern.Cause
	Blame    string
	Decision astern.Decision
}

// slack is how much earlier than its change a fault may seem to begin: clocks differ, and a deployment is recorded after it
// was made.
const slack = 2 * time.Minute

// Judge decides.
func Judge(s Situation) Judgement {
	worse, unknown := split(s.Findings)
	if len(worse) == 0 {
		return quiet(s, unknown)
	}
	j := Judgement{Fault: true, Title: worse[0].Says, Began: worse[0].Began}
	for _, f := range worse[1:] {
		if f.Began.Before(j.Began) {
			j.Began = f.Began
		}
	}
	j.Cause, j.Blame = blame(s, j.Began)
	j.Decision = decide(s, j, worse)
	return j
}

func split(findings []Finding) (worse, unknown []Finding) {
	for _, f := range findings {
		switch f.Verdict {
		case Worse:
			worse = append(worse, f)
		case Unknown:
			unknown = append(unknown, f)
		}
	}
	return worse, unknown
}

// quiet is the judgement when nothing is worse: missing data is no health, and no fault either.
func quiet(s Situation, unknown []Finding) Judgement {
	d := astern.Decision{Act: astern.ActHold, Because: "nothing is worse than before"}
	switch {
	case len(s.Findings) == 0:
		d.Because = "no signal is declared: nothing can be said"
	case len(unknown) > 0:
		var what []string
		for _, f := range unknown {
			what = append(what, f.Signal+": "+f.Says)
		}
		d.Because = "there is no data to act on: " + strings.Join(what, "; ")
	}
	return Judgement{Decision: d}
}

// blame finds the change after which the fault began: the last one before it, within the window.
func blame(s Situation, began time.Time) (*astern.Cause, string) {
	for _, e := range s.Elsewhere {
		if !e.Since.After(began.Add(slack)) {
			return nil, fmt.Sprintf("%s since %s: it is not the release", e.What, clock(e.Since))
		}
	}
	for _, e := range slices.Backward(s.Changes) {
		if e.Kind != astern.EventDeployed || e.At.After(began.Add(slack)) {
			continue
		}
		if age := began.Sub(e.At); age > s.Rules.Window {
			return nil, fmt.Sprintf("the last change, %s, was %s before the fault: more than the %s within which a change is blamed",
				e.Revision, span(age), span(s.Rules.Window))
		}
		return &astern.Cause{Address: s.Address, Revision: e.Revision, At: e.At, By: e.By, Event: e.Seq},
			fmt.Sprintf("the fault began %s after %s was deployed, and nothing else changed", span(max(0, began.Sub(e.At))), e.Revision)
	}
	return nil, "the ledger knows of no change before the fault"
}

// decide goes through the reasons not to act, the hardest first.
func decide(s Situation, j Judgement, worse []Finding) astern.Decision {
	if j.Cause == nil {
		return astern.Decision{Act: astern.ActTell, Because: j.Blame}
	}
	if len(s.Busy) > 0 {
		return astern.Decision{Act: astern.ActHold, Because: strings.Join(s.Busy, ", ") + " acts on it now: two never do at once"}
	}
	if in, ok := acted(s.Past, *j.Cause); ok {
		return astern.Decision{Act: astern.ActAsk, Because: fmt.Sprintf("%s has acted on this change already, and it is worse all the same: once for one fault", in)}
	}
	way, against := choose(s, *j.Cause)
	if way == nil {
		return astern.Decision{Act: astern.ActAsk, Because: "no way back may be taken without a person: " + or(strings.Join(against, "; "), "there is none"), Against: against}
	}
	d := astern.Decision{Way: way.Text, Command: way.Command, Against: against}
	d.Act, d.Because = most(s, worse)
	if d.Because == "" {
		d.Because = fmt.Sprintf("%s; %s; %s is the first way that may be taken: ~%s, loses %s", worse[0].Says, j.Blame, way.Text,
			span(time.Duration(way.Seconds*float64(time.Second))), or(way.Loses, "nothing"))
	}
	return d
}

// acted reports the incident in which the change was acted on by itself before.
func acted(past []astern.Incident, c astern.Cause) (string, bool) {
	for _, in := range past {
		if in.Cause == nil || in.Cause.Revision != c.Revision || !in.Cause.At.Equal(c.At) {
			continue
		}
		if slices.ContainsFunc(in.Decisions, automatic) {
			return in.ID, true
		}
	}
	return "", false
}

func automatic(d astern.Decision) bool { return d.Act == astern.ActAutomatic }

// choose returns the first way that nothing speaks against, and what speaks against those before it.
func choose(s Situation, c astern.Cause) (*Way, []string) {
	var against []string
	for _, w := range s.Ways {
		why := w.Against
		switch {
		case why != "":
		case w.Loses != "":
			why = "it loses " + w.Loses
		case w.Revision == c.Revision:
			why = "it is what is blamed"
		case w.Revision != "" && blamed(s.Past, w.Revision):
			why = "it was blamed for a fault before"
		}
		if why == "" {
			return &w, against
		}
		against = append(against, w.Text+": "+why)
	}
	return nil, against
}

func blamed(past []astern.Incident, revision string) bool {
	return slices.ContainsFunc(past, func(in astern.Incident) bool { return in.Cause != nil && in.Cause.Revision == revision })
}

// most says how far the rules let it go now; because is "" when nothing lowers what the policy says.
func most(s Situation, worse []Finding) (act astern.Act, because string) {
	r := s.Rules
	if r.Act != astern.ActAutomatic {
		return r.Act, ""
	}
	if r.Frozen != "" {
		return astern.ActAsk, "changes are frozen: " + r.Frozen
	}
	if !slices.ContainsFunc(worse, func(f Finding) bool { return f.Controlled || f.Large }) {
		return astern.ActAsk, "no instance runs the earlier revision beside it, so that a small fault can't be told from one that has nothing to do with the change: " + worse[0].Says
	}
	var last time.Time
	today := 0
	for _, in := range s.Past {
		if !slices.ContainsFunc(in.Decisions, automatic) {
			continue
		}
		if in.OpenedAt.After(last) {
			last = in.OpenedAt
		}
		if s.Now.Sub(in.OpenedAt) < 24*time.Hour {
			today++
		}
	}
	switch {
	case r.CoolDown > 0 && !last.IsZero() && s.Now.Sub(last) < r.CoolDown:
		return astern.ActAsk, fmt.Sprintf("it acted %s ago, and rests for %s between two acts", span(s.Now.Sub(last)), span(r.CoolDown))
	case r.PerDay > 0 && today >= r.PerDay:
		return astern.ActAsk, fmt.Sprintf("it has acted %d times in 24 hours, and may %d times", today, r.PerDay)
	}
	return astern.ActAutomatic, ""
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

// span writes a duration in whole seconds, from a minute on in whole minutes.
func span(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	if d < time.Hour {
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}
