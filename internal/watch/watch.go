// Package watch decides what to do about a component whose signals were judged: act, ask, tell, or hold, and why. It is
// pure; who watches collects the situation, and takes the way under a plan.
//
// It acts only when every reason not to is absent; each reason is one sentence that a person can check.
package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/policy"
)

// Verdict is what a judge says of a signal.
type Verdict string

// The verdicts.
const (
	Worse    Verdict = "worse"
	NotWorse Verdict = "not worse"
	Unknown  Verdict = "unknown"
)

// OwnChecks names the finding of a component's own checks, which decide where no signal has data.
const OwnChecks = "own checks"

// Finding is what the judge of one signal says.
type Finding struct {
	Signal  string            `json:"signal"`
	Kind    astern.SignalKind `json:"kind"`
	Verdict Verdict           `json:"verdict"`
	// Says is the judge's sentence, with its numbers: "errors 4.1 % of 1204 requests, 0.3 % on v1.2.2".
	Says string `json:"says"`
	// Began is when the signal became worse, as far as can be told.
	Began time.Time `json:"began,omitzero"`
	// Controlled is true when the earlier revision was measured at the same time; without it an incident can't be told
	// from a change, and only Large faults act by themselves.
	Controlled bool `json:"controlled,omitempty"`
	Large      bool `json:"large,omitempty"`
	// Harm is by how much it is worse, in percent of the requests (of the orders, of the traffic).
	Harm float64 `json:"harm,omitempty"`
	// EValue is what the judge's level is held against, and Guarantee says what that is worth here.
	EValue    float64 `json:"e_value,omitempty"`
	Guarantee string  `json:"guarantee,omitempty"`
}

// Way is something that may bring the component back.
type Way struct {
	Text    string  `json:"text"`              // "shop back to v1.2.2"
	Command string  `json:"command,omitempty"` // what a person types for it
	Seconds float64 `json:"seconds,omitempty"` // how long it takes, as far as is known
	Loses   string  `json:"loses,omitempty"`   // what data it loses, "" for nothing
	// Revision is where it goes; "" for a flag that is turned off.
	Revision string `json:"revision,omitempty"`
	// Signals are those that a fault of what the flag switches off shows in; none where nobody says.
	Signals []string `json:"signals,omitempty"`
	// Reach is how many of all get what the flag switches off, in percent; nil where that is not known.
	Reach *float64 `json:"reach,omitempty"`
	// Off is true where the flag is off already, or is not there; Changed is when astern changed it last, where that was lately.
	Off     bool      `json:"off,omitempty"`
	Changed time.Time `json:"changed,omitzero"`
	// Against says why it can't or must not be taken: not ready, not known-good, a migration forbids it.
	Against string `json:"against,omitempty"`
}

// Rules are what the policy says for this component and severity.
type Rules struct {
	// Act is the most that may be done: ActAutomatic, ActAsk, ActTell or ActShadow.
	Act astern.Act `json:"act"`
	// Not says why nothing may be done without a person although Act is automatic: a freeze, the cool-down, the daily limit,
	// approvals that only people can give. "" when it may.
	Not string `json:"not,omitempty"`
	// Window is how long after a change a fault may be its fault.
	Window time.Duration `json:"window"`
}

// Situation is all that a decision rests on.
type Situation struct {
	Now      time.Time `json:"now"`
	Address  string    `json:"address"`
	Findings []Finding `json:"findings"`
	// Changes are the ledger's deployments of the component and of what it needs, the oldest first.
	Changes []astern.Event `json:"changes,omitempty"`
	// Well is until when the component was seen to be well before what is judged was deployed; zero where nobody looked.
	Well time.Time `json:"well,omitzero"`
	// Elsewhere says what else is wrong that this component needs, each with since when: its dependencies, the network.
	Elsewhere []Elsewhere `json:"elsewhere,omitempty"`
	// Ways are in the order in which they are preferred.
	Ways []Way `json:"ways,omitempty"`
	// Busy are the executions under way on the component.
	Busy []string `json:"busy,omitempty"`
	// Past are the component's incidents, the newest first.
	Past []astern.Incident `json:"past,omitempty"`
	// Acted is what was done by itself before, for the cool-down and the daily limit.
	Acted []policy.Acted `json:"acted,omitempty"`
	Rules Rules          `json:"rules"`
}

// Elsewhere is a fault of something that the component needs.
type Elsewhere struct {
	What string `json:"what"` // "stock fails its check health, and was well until 03:07:00Z"
	// Since is the earliest time at which it may have begun.
	Since time.Time `json:"since"`
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
	// Way is the place of the chosen way among the situation's, -1 when none was chosen.
	Way int
	// Harm is the most that any signal is worse by, in percent.
	Harm float64
}

// WeighEvery is how often a decision to wait is weighed again.
const WeighEvery = 15 * time.Second

// Slack is how much earlier than its change a fault may seem to begin: clocks differ, and a deployment is recorded after it
// was made.
const Slack = 2 * time.Minute

// Judge decides.
func Judge(s Situation) Judgement {
	worse, unknown := split(s.Findings)
	if len(worse) == 0 {
		return quiet(s, unknown)
	}
	surest(worse) // is said first
	j := Judgement{Fault: true, Title: worse[0].Signal + ": " + worse[0].Says, Began: worse[0].Began, Way: -1}
	for _, f := range worse {
		if f.Began.Before(j.Began) {
			j.Began = f.Began
		}
		j.Harm = max(j.Harm, f.Harm)
	}
	j.Cause, j.Blame = blame(s, j.Began, worse[0].Controlled)
	j.Decision, j.Way = decide(s, j, worse)
	return j
}

// Certainty says how often the judge is wrong about the worst of what it found; "" where nothing is.
func (s Situation) Certainty() string {
	worse, _ := split(s.Findings)
	if len(worse) == 0 {
		return ""
	}
	surest(worse)
	return worse[0].Guarantee
}

// surest sorts what is surest to the front: beside others, then the larger.
func surest(worse []Finding) {
	slices.SortStableFunc(worse, func(x, y Finding) int {
		if x.Controlled != y.Controlled {
			return map[bool]int{true: -1, false: 1}[x.Controlled]
		}
		return cmp.Compare(y.EValue, x.EValue)
	})
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
	return Judgement{Decision: d, Way: -1}
}

// blame finds the change after which the fault began: the last one before it, within the window. Where the earlier revision
// ran beside it and was well, what happened elsewhere explains nothing, for it happened to both.
func blame(s Situation, began time.Time, controlled bool) (*astern.Cause, string) {
	if !controlled {
		for _, e := range s.Elsewhere {
			if !e.Since.After(began.Add(Slack)) {
				return nil, e.What + ": it is not the release"
			}
		}
	}
	for _, e := range slices.Backward(s.Changes) {
		if e.Kind != astern.EventDeployed || e.At.After(began.Add(Slack)) || controlled && e.Address != s.Address {
			continue
		}
		if age := began.Sub(e.At); age > s.Rules.Window {
			return nil, fmt.Sprintf("the last change, %s, was %s before the fault: more than the %s within which a change is blamed",
				named(s, e), span(age), span(s.Rules.Window))
		}
		why := "and nothing else changed"
		if other, ok := entangled(s, e, began); ok && !controlled {
			why = fmt.Sprintf("and %s %s was deployed %s before that: it may be either", other.Address, other.Revision, span(e.At.Sub(other.At)))
		}
		if controlled {
			why = "and what still runs the earlier revision is well"
		}
		return &astern.Cause{Address: e.Address, Revision: e.Revision, At: e.At, By: e.By, Event: e.Seq},
			fmt.Sprintf("the fault began %s after %s was deployed, %s", span(max(0, began.Sub(e.At))), named(s, e), why)
	}
	return nil, "the ledger knows of no change before the fault"
}

const (
	// apart is how far two changes must lie apart for the beginning of a fault to tell which of them it was.
	apart = time.Minute
	// wellFor is for how long a component must have been seen to be well after a change for that to be none of the fault.
	wellFor = 10 * time.Second
)

// entangled returns the change of another component that was made so shortly before the one that time can't tell them apart,
// unless the component was seen to be well in between: the last change is the likely one, and was the wrong one often enough.
func entangled(s Situation, last astern.Event, began time.Time) (astern.Event, bool) {
	for _, e := range slices.Backward(s.Changes) {
		if e.Kind == astern.EventDeployed && e.Address != last.Address && !e.At.After(last.At) && last.At.Sub(e.At) < apart && !e.At.After(began.Add(Slack)) &&
			s.Well.Sub(e.At) < wellFor {
			return e, true
		}
	}
	return astern.Event{}, false
}

// named is a deployed revision, with its component where that is another one.
func named(s Situation, e astern.Event) string {
	if e.Address == s.Address {
		return e.Revision
	}
	return e.Address + " " + e.Revision
}

// decide goes through the reasons not to act, the hardest first.
func decide(s Situation, j Judgement, worse []Finding) (astern.Decision, int) {
	none := func(act astern.Act, because string, against ...string) (astern.Decision, int) {
		return astern.Decision{Act: act, Because: because, Against: against}, -1
	}
	if j.Cause == nil {
		return none(astern.ActTell, j.Blame)
	}
	if other, ok := entangled(s, astern.Event{Address: j.Cause.Address, At: j.Cause.At}, j.Began); ok && j.Cause.Address != s.Address && !worse[0].Controlled {
		return none(astern.ActAsk, fmt.Sprintf("%s %s and %s %s were deployed within a minute of each other: a person must say which it is", j.Cause.Address, j.Cause.Revision, other.Address, other.Revision))
	}
	if j.Cause.Address != s.Address {
		return none(astern.ActTell, j.Blame+": it is that which is to be taken back, if anything is")
	}
	if len(s.Busy) > 0 {
		return none(astern.ActHold, strings.Join(s.Busy, ", ")+" acts on it now: two never do at once")
	}
	if why := switched(s, j.Began); why != "" {
		return none(astern.ActHold, why)
	}
	if in, ok := acted(s.Past, *j.Cause); ok {
		return none(astern.ActAsk, fmt.Sprintf("%s has acted on this change already, and it is worse all the same: once for one fault", in))
	}
	i, against := choose(s, *j.Cause)
	ways := weighed(s, *j.Cause)
	if in, ok := again(s.Past, *j.Cause); ok {
		d, _ := none(astern.ActAsk, fmt.Sprintf("%s was taken back in %s already, and %s deployed it again: first stop what deploys it", j.Cause.Revision, in, cmp.Or(j.Cause.By, "somebody")), against...)
		if d.Ways = ways; i >= 0 { // no plan of the watch's own: nobody's silence may set it against who deploys
			d.Command = s.Ways[i].Command
		}
		return d, -1
	}
	if i < 0 {
		d, _ := none(astern.ActAsk, "no way back may be taken without a person: "+cmp.Or(strings.Join(against, "; "), "there is none"), against...)
		d.Ways = ways
		return d, -1
	}
	way := s.Ways[i]
	d := astern.Decision{Way: way.Text, Command: way.Command, Against: against, Ways: ways}
	d.Act, d.Because = most(s, j, worse)
	if d.Because == "" {
		d.Because = fmt.Sprintf("%s: %s; %s; %s is the first way that may be taken: ~%s, loses %s", worse[0].Signal, worse[0].Says, j.Blame, way.Text,
			span(time.Duration(way.Seconds*float64(time.Second))), cmp.Or(way.Loses, "nothing"))
	}
	return d, i
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

// again reports the incident in which the same revision was taken back after an earlier deployment of it: whatever deploys
// it would do so for ever.
func again(past []astern.Incident, c astern.Cause) (string, bool) {
	for _, in := range past {
		if in.Cause != nil && in.Cause.Revision == c.Revision && in.Cause.Address == c.Address && slices.ContainsFunc(in.Decisions, automatic) {
			return in.ID, true
		}
	}
	return "", false
}

func automatic(d astern.Decision) bool { return d.Act == astern.ActAutomatic }

// choose returns the place of the first way that nothing speaks against, -1 when there is none, and what speaks against
// those before it.
func choose(s Situation, c astern.Cause) (int, []string) {
	var against []string
	for i, w := range s.Ways {
		why := speaks(s, c, i)
		if why == "" {
			return i, against
		}
		against = append(against, w.Text+": "+why)
	}
	return -1, against
}

// speaks says what speaks against taking the way of that place without a person, "" for nothing.
func speaks(s Situation, c astern.Cause, place int) string {
	w := s.Ways[place]
	switch {
	case w.Against != "":
		return w.Against
	case w.Loses != "":
		return "it loses " + w.Loses
	case w.Revision == c.Revision:
		return "it is what is blamed"
	case w.Revision != "" && blamed(s.Past, w.Revision):
		return "it was blamed for a fault before"
	case w.Revision == "":
		return insufficient(s, place)
	}
	return ""
}

func weighed(s Situation, c astern.Cause) []astern.WeighedWay {
	var out []astern.WeighedWay
	for i, w := range s.Ways {
		out = append(out, astern.WeighedWay{Way: w.Text, Command: w.Command, Seconds: w.Seconds, Loses: w.Loses, Against: speaks(s, c, i)})
	}
	return out
}

func blamed(past []astern.Incident, revision string) bool {
	return slices.ContainsFunc(past, func(in astern.Incident) bool { return in.Cause != nil && in.Cause.Revision == revision })
}

// most says how far the rules let it go now; because is "" when nothing lowers what the policy says.
func most(s Situation, j Judgement, worse []Finding) (act astern.Act, because string) {
	r := s.Rules
	other, ok := entangled(s, astern.Event{Address: j.Cause.Address, At: j.Cause.At}, j.Began)
	switch {
	case r.Act != astern.ActAutomatic:
		return r.Act, ""
	case ok && !worse[0].Controlled:
		return astern.ActAsk, fmt.Sprintf("%s and %s were deployed within a minute of each other, and nothing runs the earlier revision beside them: a person must say which it is: %s",
			j.Cause.Revision, named(s, other), worse[0].Says)
	case !slices.ContainsFunc(worse, func(f Finding) bool { return f.Controlled || f.Large }):
		return astern.ActAsk, "no instance runs the earlier revision beside it, so that a small fault can't be told from one that has nothing to do with the change: " + worse[0].Says
	case r.Not != "":
		return astern.ActAsk, r.Not
	}
	return astern.ActAutomatic, ""
}

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
