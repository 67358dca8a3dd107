// Package notice says what people are told, by which channel, and in what order: it turns what was recorded of incidents,
// plans and executions into notices, routes them, and folds bursts into one. It is pure; sending is package notify's.
package notice

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/incident"
	"github.com/astern-dev/astern/internal/policy"
)

// WatchWay is how a plan of the watch was asked for: what it does is told with its incident.
const WatchWay = "watch"

// Told reports whether people may be told of the event of an incident.
func Told(e astern.IncidentEvent) bool {
	switch e.Kind {
	case astern.IncidentNoted: // only that somebody is called, by the policy's ladder
		return called(e)
	case astern.IncidentOpened, astern.IncidentReopened, astern.IncidentSeverity, astern.IncidentDecided, astern.IncidentActed, astern.IncidentResolved:
		return true
	}
	return false
}

// called reports whether the event says that the watch calls the next one on the policy's ladder; its token says so.
func called(e astern.IncidentEvent) bool {
	return e.By == incident.Watch && strings.Contains(e.Token, "/call/")
}

// OfEvent is a notice of the event of an incident that has that number.
type OfEvent struct {
	Seq int64
	astern.Notice
}

// OfLog returns what is told of an incident, event by event, as it was then.
func OfLog(log astern.IncidentLog) []OfEvent {
	var out []OfEvent
	in := astern.Incident{ID: log.ID}
	for _, e := range log.Events {
		switch e.Kind {
		case astern.IncidentOpened:
			in.Title, in.Addresses, in.Severity = e.Text, e.Addresses, e.Severity
		case astern.IncidentSeverity:
			in.Severity = e.Severity
		}
		if n, ok := ofIncident(in, e); ok {
			out = append(out, OfEvent{e.Seq, n})
		}
	}
	return out
}

// ofIncident returns what is told of an event of an incident as it was then. The event's number is part of the token.
func ofIncident(in astern.Incident, e astern.IncidentEvent) (n astern.Notice, ok bool) {
	n = astern.Notice{Token: fmt.Sprintf("%s/%d", in.ID, e.Seq), Topic: in.ID, At: e.At, Severity: in.Severity, Addresses: in.Addresses, By: e.By,
		Incident: in.ID, Command: "astern show " + in.ID}
	about := in.ID + " " + in.Title
	switch e.Kind {
	case astern.IncidentOpened:
		n.Event, n.Title = astern.NoticeOpened, about
	case astern.IncidentReopened:
		n.Event, n.Title, n.Lines = astern.NoticeOpened, about+": it is not over", lines(e.Text)
	case astern.IncidentSeverity:
		n.Event, n.Title, n.Lines = astern.NoticeOpened, about+": now "+e.Severity, lines(e.Text)
	case astern.IncidentDecided:
		return decided(n, about, e)
	case astern.IncidentActed:
		n.Event, n.Title, n.Lines = astern.NoticeActed, about+": "+e.Execution+" begins", lines(e.Text)
		n.Execution, n.Token, n.Command = e.Execution, "began/"+e.Execution, "astern show "+e.Execution
	case astern.IncidentNoted:
		n.Event, n.Title = astern.NoticeAsked, about+": astern "+e.Text
		return n, called(e)
	case astern.IncidentResolved:
		n.Event, n.Title, n.Lines = astern.NoticeResolved, about+": resolved", lines(e.Text)
	default:
		return n, false
	}
	return n, true
}

func decided(n astern.Notice, about string, e astern.IncidentEvent) (astern.Notice, bool) {
	d := e.Decision
	if d == nil {
		return n, false
	}
	n.Event, n.Title, n.Lines = astern.NoticeDecided, about+": "+incident.Line(astern.IncidentEvent{Kind: e.Kind, Decision: &astern.Decision{Act: d.Act, Way: d.Way}}), lines(d.Because)
	n.Lines = append(n.Lines, d.Against...)
	n.Plan = d.Plan
	if d.Command != "" {
		n.Command = d.Command
	}
	if d.Act == astern.ActAsk {
		n.Event = astern.NoticeAsked
		if d.Plan != "" {
			n.Token = "asked/" + d.Plan
		}
	}
	return n, true
}

func lines(texts ...string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

// Plan is what a notice says of a plan.
type Plan struct {
	Hash      string
	Approvals int
	Asked     astern.Asked
	Intent    astern.Intent
	Moves     []astern.Move
	CreatedAt time.Time
}

// ReadPlan takes out of a stored plan what notices say of it. Whether the plan is a good one, others have judged.
func ReadPlan(hash string, doc []byte) (Plan, error) {
	var p struct {
		Approvals int           `json:"approvals"`
		Asked     astern.Asked  `json:"asked"`
		Intent    astern.Intent `json:"intent"`
		Moves     []astern.Move `json:"moves"`
		CreatedAt time.Time     `json:"created_at"`
	}
	if err := json.Unmarshal(doc, &p); err != nil {
		return Plan{}, astern.Errorf(astern.Invalid, "reading plan %s: %w", hash, err)
	}
	return Plan{hash, p.Approvals, p.Asked, p.Intent, p.Moves, p.CreatedAt}, nil
}

// short is as much of a plan's hash as people type.
func (p Plan) short() string { return p.Hash[:min(12, len(p.Hash))] }

// title says what the plan is for: "rollback production/shop v1.2.3 → v1.2.2".
func (p Plan) title() string {
	const most = 3
	out := string(p.Intent.Verb)
	for i, m := range p.Moves {
		if i == most {
			return fmt.Sprintf("%s and %d more", out, len(p.Moves)-most)
		}
		out += fmt.Sprintf(" %s %s → %s", m.Address, m.From, m.To)
	}
	return out
}

func (p Plan) addresses() []string {
	if len(p.Moves) == 0 {
		return p.Intent.Addresses
	}
	out := make([]string, len(p.Moves))
	for i, m := range p.Moves {
		out[i] = m.Address
	}
	return out
}

// of is what all notices about a plan have in common.
func (p Plan) of(event astern.NoticeEvent, at time.Time, by string) astern.Notice {
	return astern.Notice{Topic: p.short(), Event: event, At: at, By: by, Severity: p.Intent.Severity, Addresses: p.addresses(), Plan: p.Hash}
}

// OfPlan returns what is told when a plan is made: that it waits for approvals. What the watch asks for it tells with its
// incident.
func OfPlan(p Plan) (astern.Notice, bool) {
	if p.Approvals == 0 || p.Asked.Way == WatchWay {
		return astern.Notice{}, false
	}
	n := p.of(astern.NoticeAsked, p.CreatedAt, p.Asked.By)
	n.Token, n.Title = "asked/"+p.Hash, fmt.Sprintf("%s asks for %d approvals: %s", p.Asked.By, p.Approvals, p.title())
	n.Lines, n.Command = lines(p.Intent.Reason), "astern approve "+p.short()+" --reason …"
	return n, true
}

// OfBegin returns what is told when a plan begins to be carried out. What the watch does it tells with its incident.
func OfBegin(p Plan, e astern.Execution) (astern.Notice, bool) {
	if p.Asked.Way == WatchWay {
		return astern.Notice{}, false
	}
	n := p.of(astern.NoticeActed, e.CreatedAt, p.Asked.By)
	n.Token, n.Title, n.Lines = "began/"+e.ID, e.ID+" begins: "+p.title(), lines(p.Intent.Reason)
	n.Execution, n.Command = e.ID, "astern follow "+e.ID
	return n, true
}

// OfEnd returns what is told when an execution ends.
func OfEnd(p Plan, execution string, end astern.Record) astern.Notice {
	n := p.of(astern.NoticeActed, end.At, p.Asked.By)
	n.Token, n.Title = "ended/"+execution, execution+" ended "+string(end.Outcome)+": "+p.title()
	n.Execution, n.Command = execution, "astern show "+execution
	return n
}

// OfHold returns what is told of an execution that can't go on by itself. Nth tells one hold from the next one.
func OfHold(p Plan, execution string, nth string, at time.Time, reasons, ways []string) astern.Notice {
	n := p.of(astern.NoticeHeld, at, p.Asked.By)
	n.Token, n.Title = "held/"+execution+"/"+nth, execution+" holds, a person must decide: "+p.title()
	n.Lines, n.Execution, n.Command = reasons, execution, strings.Join(ways, "; ")
	return n
}

// OfOverride returns what is told when a plan goes over the policy's head.
func OfOverride(p Plan, o astern.Override) astern.Notice {
	n := p.of(astern.NoticeBreakGlass, o.At, o.By)
	n.Token, n.Title = "override/"+o.PlanHash, o.By+" broke the glass: "+p.title()
	n.Lines, n.Command = append(lines(o.Reason), o.Over...), "astern policy review "+p.short()+" --reason …"
	return n
}

// OfLateReview returns what is told when nobody has looked at a broken glass in time.
func OfLateReview(p Plan, o astern.Override) astern.Notice {
	n := p.of(astern.NoticeOverdue, o.ReviewDue, "")
	n.Token, n.Title = "review/"+o.PlanHash, "nobody has reviewed the glass that "+o.By+" broke: "+p.title()
	n.Lines, n.Command = lines(o.Reason), "astern policy review "+p.short()+" --reason …"
	return n
}

// OfTask returns what is told when a task after an incident is late.
func OfTask(in astern.Incident, t astern.Task) astern.Notice {
	owner := t.Owner
	if owner == "" {
		owner = "nobody"
	}
	n := astern.Notice{Token: in.ID + "/overdue/" + t.Item, Topic: in.ID, Event: astern.NoticeOverdue, Severity: in.Severity, Addresses: in.Addresses,
		Incident: in.ID, Title: fmt.Sprintf("%s %s: %s is overdue", in.ID, in.Title, t.Item), Lines: []string{"owner: " + owner},
		Command: "astern tick " + in.ID + " " + t.Item}
	if t.DueAt != nil {
		n.At = *t.DueAt
	}
	if in.ResolvedAt != nil { // a task of an incident that was opened again and resolved again is due again
		n.Token += in.ResolvedAt.UTC().Format("/2006-01-02T15:04:05Z")
	}
	return n
}

// Belongs puts a notice about an execution to the incident that it is part of: the newest one that names the execution, or
// that lasts and is about the same component.
func Belongs(n astern.Notice, incidents []astern.Incident) astern.Notice {
	for _, in := range incidents { // the newest first
		if n.Execution != "" && slices.Contains(in.Executions, n.Execution) ||
			in.ResolvedAt == nil && slices.ContainsFunc(n.Addresses, func(a string) bool { return slices.Contains(in.Addresses, a) }) {
			n.Topic, n.Incident = in.ID, in.ID
			if n.Severity == "" {
				n.Severity = in.Severity
			}
			return n
		}
	}
	return n
}

// Route returns the channels that are told: by default every channel is told everything.
func Route(s astern.System, n astern.Notice) []string {
	var out []string
	for _, c := range s.Channels {
		if (len(c.Events) == 0 || slices.Contains(c.Events, n.Event)) && c.About(n.Addresses) && severe(s, c, n) {
			out = append(out, c.Name)
		}
	}
	return out
}

// severe reports whether the notice is at least as severe as what the channel is told of, on the scale of any environment
// that it is about. What nobody has judged may be the worst.
func severe(s astern.System, c astern.Channel, n astern.Notice) bool {
	if c.Severity == "" || n.Severity == "" {
		return true
	}
	judged := false
	for _, e := range s.Environments {
		if !slices.ContainsFunc(n.Addresses, func(a string) bool { return strings.HasPrefix(a, e.Name+"/") }) {
			continue
		}
		_, least, err := policy.Severity(e.Policy, c.Severity)
		_, rank, err2 := policy.Severity(e.Policy, n.Severity)
		if err != nil || err2 != nil {
			continue
		}
		judged = true
		if rank >= least {
			return true
		}
	}
	return !judged
}
