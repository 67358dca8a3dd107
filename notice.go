package astern

import (
	"slices"
	"strings"
	"time"
)

// NoticeEvent is what a notice tells of.
type NoticeEvent string

// The events that people are told of.
const (
	NoticeOpened     NoticeEvent = "opened"      // an incident is open, again, or another severity
	NoticeDecided    NoticeEvent = "decided"     // what the watch decided, also to do nothing, and why
	NoticeAsked      NoticeEvent = "asked"       // a plan waits for people to approve it
	NoticeActed      NoticeEvent = "acted"       // a plan is carried out, or its execution has ended
	NoticeHeld       NoticeEvent = "held"        // an execution can't go on: a person must decide
	NoticeResolved   NoticeEvent = "resolved"    // an incident is over
	NoticeBreakGlass NoticeEvent = "break-glass" // a plan is applied over the policy's head
	NoticeOverdue    NoticeEvent = "overdue"     // a task after an incident, or the review of a broken glass, is late

	// NoticeTest is what a person sends to try a channel out. No channel chooses whether it is told of it.
	NoticeTest NoticeEvent = "test"
)

// NoticeEvents are those that a channel may choose, in the order in which an incident meets them.
func NoticeEvents() []NoticeEvent {
	return []NoticeEvent{NoticeOpened, NoticeDecided, NoticeAsked, NoticeActed, NoticeHeld, NoticeResolved, NoticeBreakGlass, NoticeOverdue}
}

// Notice is one thing that people are told.
type Notice struct {
	// ID is what receivers know it by: each attempt to send it carries the same one.
	ID string `json:"id"`
	// Token names what it tells of. A thing is told once on each channel.
	Token string `json:"token"`
	// Topic is what belongs together and is told in its order: the id of an incident, or the beginning of a plan's hash.
	Topic string      `json:"topic"`
	Event NoticeEvent `json:"event"`
	At    time.Time   `json:"at"` // when it happened
	// Title is one line; Lines say more.
	Title    string   `json:"title"`
	Lines    []string `json:"lines,omitempty"`
	System   string   `json:"system"`
	Severity string   `json:"severity,omitempty"`
	// Addresses are the components it is about.
	Addresses []string `json:"addresses,omitempty"`
	By        string   `json:"by,omitempty"`
	Incident  string   `json:"incident,omitempty"`
	Execution string   `json:"execution,omitempty"`
	Plan      string   `json:"plan,omitempty"` // its hash
	// Command is what a person types next.
	Command string `json:"command,omitempty"`
}

// DispatchState is how far a notice is on its way to a channel.
type DispatchState string

// The states of a Dispatch.
const (
	DispatchWaiting DispatchState = "waiting"
	DispatchSent    DispatchState = "sent"
	DispatchGivenUp DispatchState = "given up" // nobody was told by this channel
)

// Dispatch is a notice on its way to one channel.
type Dispatch struct {
	N       int64         `json:"n"` // rises in the order in which notices were queued
	Channel string        `json:"channel"`
	Notice  Notice        `json:"notice"`
	State   DispatchState `json:"state"`
	// With is the number of the dispatch that it is told with, as one message; zero when it is told by itself.
	With     int64     `json:"with,omitempty"`
	QueuedAt time.Time `json:"queued_at"`
	// Tries is how often it was tried, Next when the next try is due, Error why the last one failed.
	Tries int       `json:"tries"`
	Next  time.Time `json:"next,omitzero"`
	Error string    `json:"error,omitempty"`
	// SettledAt is when it was sent or given up.
	SettledAt time.Time `json:"settled_at,omitzero"`
}

// DeafChannel is a channel by which nobody is told: it refuses, or has failed for some time.
type DeafChannel struct {
	Channel string    `json:"channel"`
	Since   time.Time `json:"since"`  // the first notice that did not arrive
	Untold  int       `json:"untold"` // notices that did not
	Error   string    `json:"error"`
}

// Channel is one way by which people are told. Exactly one of Slack, Email, PagerDuty and Webhook is set.
type Channel struct {
	Name      string            `json:"name"`
	Slack     *SlackChannel     `json:"slack,omitempty"`
	Email     *EmailChannel     `json:"email,omitempty"`
	PagerDuty *PagerDutyChannel `json:"pagerduty,omitempty"`
	Webhook   *WebhookChannel   `json:"webhook,omitempty"`
	// Events are what it is told of; empty means everything.
	Events []NoticeEvent `json:"events,omitempty"`
	// Severity is the mildest that it is told of; "" means all. A notice whose severity nobody knows is always told.
	Severity string `json:"severity,omitempty"`
	// Components are what it is told about: ENV or ENV/COMPONENT. Empty means all.
	Components []string `json:"components,omitempty"`
}

// Kind names what the channel is: slack, email, pagerduty or webhook.
func (c Channel) Kind() string {
	switch {
	case c.Slack != nil:
		return "slack"
	case c.Email != nil:
		return "email"
	case c.PagerDuty != nil:
		return "pagerduty"
	}
	return "webhook"
}

// SlackChannel is an incoming webhook of Slack. Whoever knows its URL may write there.
type SlackChannel struct {
	URL Secret `json:"url" jsonschema:"description=of the webhook\\, by reference: whoever knows it may write there"`
}

// EmailChannel is a mailbox or several, by way of an SMTP server.
type EmailChannel struct {
	Server   string   `json:"server"` // host:port
	From     string   `json:"from"`
	To       []string `json:"to"`
	User     string   `json:"user,omitempty"`
	Password *Secret  `json:"password,omitempty"`
	// TLS is how the connection is secured; "" means starttls, on port 465 implicit.
	TLS MailTLS `json:"tls,omitempty"`
}

// MailTLS is how a connection to a mail server is secured.
type MailTLS string

// The ways of it.
const (
	MailStartTLS MailTLS = "starttls" // demanded, not only used where it is offered
	MailImplicit MailTLS = "implicit"
	MailPlain    MailTLS = "none"
)

// Security returns the way that holds.
func (c EmailChannel) Security() MailTLS {
	switch {
	case c.TLS != "":
		return c.TLS
	case strings.HasSuffix(c.Server, ":465"):
		return MailImplicit
	}
	return MailStartTLS
}

// PagerDutyChannel is an integration of PagerDuty by its Events API v2.
type PagerDutyChannel struct {
	RoutingKey Secret `json:"routing_key" jsonschema:"description=the integration key\\, by reference"`
	// URL is where the API is, "" for https://events.pagerduty.com; that of the EU is https://events.eu.pagerduty.com.
	URL string `json:"url,omitempty" jsonschema:"description=where the API is: https://events.eu.pagerduty.com for the EU (default https://events.pagerduty.com)"`
}

// WebhookChannel is any HTTP endpoint that takes JSON. Exactly one of URL and SecretURL is set.
type WebhookChannel struct {
	URL       string  `json:"url,omitempty"`
	SecretURL *Secret `json:"secret_url,omitempty"`
	// Secret signs each message as the Standard Webhooks specification says; nil leaves it unsigned.
	Secret        *Secret           `json:"secret,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
	SecretHeaders map[string]Secret `json:"secret_headers,omitempty"`
}

// About reports whether the channel is told about one of the components; a notice about none is about all.
func (c Channel) About(addresses []string) bool {
	if len(c.Components) == 0 || len(addresses) == 0 {
		return true
	}
	return slices.ContainsFunc(addresses, func(a string) bool {
		environment, _, _ := SplitAddress(a)
		return slices.Contains(c.Components, a) || slices.Contains(c.Components, environment)
	})
}
