package notify

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// PagerDuty's Events API v2 (https://developer.pagerduty.com/docs/send-alert-event): what needs a person triggers an alert,
// what only informs is a change event beside it, and what is over resolves the alert of its topic. Events of one dedup_key
// are one alert, so that a message that is sent twice calls nobody twice.
const pagerduty = "https://events.pagerduty.com"

type pdAlert struct {
	RoutingKey string     `json:"routing_key"`
	Action     string     `json:"event_action"`
	DedupKey   string     `json:"dedup_key"`
	Client     string     `json:"client,omitempty"`
	Payload    *pdPayload `json:"payload,omitempty"`
}

type pdPayload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  string            `json:"severity"`
	Timestamp string            `json:"timestamp"`
	Component string            `json:"component,omitempty"`
	Group     string            `json:"group,omitempty"`
	Class     string            `json:"class,omitempty"`
	Details   map[string]string `json:"custom_details,omitempty"`
}

type pdChange struct {
	RoutingKey string          `json:"routing_key"`
	Payload    pdChangePayload `json:"payload"`
}

type pdChangePayload struct {
	Summary   string            `json:"summary"`
	Timestamp string            `json:"timestamp"`
	Source    string            `json:"source"`
	Details   map[string]string `json:"custom_details,omitempty"`
}

func (s *Sender) pagerduty(ctx context.Context, c astern.PagerDutyChannel, m Message) error {
	key, err := s.reveal("routing key", c.RoutingKey)
	if err != nil {
		return err
	}
	base := c.URL
	if base == "" {
		base = pagerduty
	}
	path, doc := pdOf(m, key)
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	_, err = s.post(ctx, strings.TrimSuffix(base, "/")+path, body, nil)
	return err
}

// pdOf returns where the message goes, and what it is there.
func pdOf(m Message, key string) (path string, doc any) {
	n := m.merged()
	details := map[string]string{"id": n.ID, "event": string(n.Event)}
	for _, f := range m.fields() {
		details[f[0]] = f[1]
	}
	if l := m.lines(); len(l) > 0 {
		details["text"] = strings.Join(l, "\n")
	}
	source, at := clean(n.System, maxTitle), n.At.UTC().Format(time.RFC3339)
	alert := pdAlert{RoutingKey: key, DedupKey: "astern/" + source + "/" + n.Topic, Client: "astern"}
	payload := &pdPayload{Summary: m.title(), Source: source, Severity: "critical", Timestamp: at, Component: clean(strings.Join(n.Addresses, ", "), maxTitle),
		Group: source, Class: string(n.Event), Details: details}
	switch {
	case n.Event == astern.NoticeResolved, n.Event == astern.NoticeActed && n.Incident == "": // a plan outside of an incident goes on: whoever was called for it need not be
		alert.Action = "resolve"
		return "/v2/enqueue", alert
	}
	switch n.Event {
	case astern.NoticeActed, astern.NoticeDecided, astern.NoticeTest: // a test calls nobody
		return "/v2/change/enqueue", pdChange{key, pdChangePayload{payload.Summary, at, source, details}}
	case astern.NoticeOverdue: // an alert of its own: the incident's may be resolved
		alert.DedupKey, payload.Severity = alert.DedupKey+"/overdue", "warning"
	case astern.NoticeAsked, astern.NoticeBreakGlass:
		payload.Severity = "error"
	}
	alert.Action, alert.Payload = "trigger", payload
	return "/v2/enqueue", alert
}
