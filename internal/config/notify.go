package config

import (
	"fmt"
	"net"
	"net/mail"
	"slices"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/policy"
)

// Channel is one way by which people are told. Exactly one of Slack, Email, PagerDuty and Webhook is given.
type Channel struct {
	Slack      *astern.SlackChannel     `json:"slack,omitempty" jsonschema:"oneof_required=slack,description=an incoming webhook of Slack"`
	Email      *Email                   `json:"email,omitempty" jsonschema:"oneof_required=email,description=mailboxes\\, by way of an SMTP server"`
	PagerDuty  *astern.PagerDutyChannel `json:"pagerduty,omitempty" jsonschema:"oneof_required=pagerduty,description=PagerDuty's Events API v2"`
	Webhook    *Webhook                 `json:"webhook,omitempty" jsonschema:"oneof_required=webhook,description=any endpoint that takes JSON"`
	Events     []astern.NoticeEvent     `json:"events,omitempty" jsonschema:"minItems=1,enum=opened,enum=decided,enum=asked,enum=acted,enum=held,enum=resolved,enum=break-glass,enum=overdue,description=what it is told of (default: everything)"`
	Severity   string                   `json:"severity,omitempty" jsonschema:"description=the mildest severity that it is told of (default: all)"`
	Components []string                 `json:"components,omitempty" jsonschema:"minItems=1,description=what it is told about: ENV or ENV/COMPONENT (default: all)"`
}

// Email is a channel.
type Email struct {
	Server   string         `json:"server" jsonschema:"description=host:port\\, as in smtp.example.com:587"`
	From     string         `json:"from" jsonschema:"minLength=1,description=who it is from: astern <astern@example.com>"`
	To       []string       `json:"to" jsonschema:"minItems=1,description=who gets it"`
	User     string         `json:"user,omitempty" jsonschema:"description=login name at the server"`
	Password *astern.Secret `json:"password,omitempty"`
	TLS      astern.MailTLS `json:"tls,omitempty" jsonschema:"enum=starttls,enum=implicit,enum=none,description=how the connection is secured (default starttls\\, on port 465 implicit)"`
}

// Webhook is a channel.
type Webhook struct {
	URL     HeaderValue            `json:"url" jsonschema:"description=where it is sent; a secret is {env: NAME} or {file: PATH}"`
	Secret  *astern.Secret         `json:"secret,omitempty" jsonschema:"description=signs each message as the Standard Webhooks specification says"`
	Headers map[string]HeaderValue `json:"headers,omitempty" jsonschema:"description=sent with each message; a secret is {env: NAME} or {file: PATH}"`
}

// judgeChannel reports what is wrong with a channel by itself.
func (f *file) judgeChannel(path, name string, c Channel) {
	f.checkName(path, name, simpleName)
	if f.reported[path] {
		return
	}
	kinds := []string{"slack", "email", "pagerduty", "webhook"}
	given := slices.DeleteFunc(slices.Clone(kinds), func(key string) bool { return !f.locate(join(path, key)).found })
	switch {
	case len(given) == 0:
		f.at(path, "{} says neither slack nor email nor pagerduty nor webhook", "give the channel one of them")
	case len(given) > 1:
		f.at(path, "{} has several of slack, email, pagerduty and webhook: "+strings.Join(given, ", "), "make a channel of each")
	}
	var events []string
	for _, e := range astern.NoticeEvents() {
		events = append(events, string(e))
	}
	for i, e := range c.Events {
		if at := join(path, "events", strconv.Itoa(i)); !slices.Contains(events, string(e)) && !f.reported[at] {
			f.at(at, "{} is no event: "+show(string(e)), didYouMean(string(e), events, "events"))
		}
	}
	if p := c.PagerDuty; p != nil && p.URL != "" {
		f.judgeHTTP(join(path, "pagerduty"), HTTP{URL: p.URL})
	}
	if w := c.Webhook; w != nil {
		at := join(path, "webhook")
		if w.URL.Secret == nil && !f.broken(join(at, "url")) {
			f.judgeHTTP(at, HTTP{URL: w.URL.Plain})
		}
		f.judgeHTTP(at, HTTP{URL: "http://host", Headers: w.Headers})
	}
	if c.Email != nil {
		f.judgeEmail(join(path, "email"), *c.Email)
	}
}

func (f *file) judgeEmail(path string, c Email) {
	if at := join(path, "server"); !f.broken(at) && !goodAddress(c.Server) {
		f.at(at, "{} is no host:port: "+show(c.Server), "smtp.example.com:587, for example")
	}
	address := func(at, text string) {
		if f.broken(at) {
			return
		}
		if _, err := mail.ParseAddress(text); err != nil {
			f.at(at, "{} is no address of mail: "+show(text), "name@example.com, or Name <name@example.com>")
		}
	}
	address(join(path, "from"), c.From)
	for i, to := range c.To {
		address(join(path, "to", strconv.Itoa(i)), to)
	}
	security := []string{string(astern.MailStartTLS), string(astern.MailImplicit), string(astern.MailPlain)}
	host, _, _ := net.SplitHostPort(c.Server)
	switch at := join(path, "tls"); {
	case c.TLS != "" && !slices.Contains(security, string(c.TLS)):
		f.at(at, "{} must be one of "+strings.Join(security, ", "), didYouMean(string(c.TLS), security, ""))
	case (c.Password == nil) != (c.User == "") && !f.broken(join(path, "password")) && !f.broken(join(path, "user")):
		f.at(path, "{} has only one of user and password", "")
	case c.TLS == astern.MailPlain && c.Password != nil && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, host):
		f.at(at, "{} would send the password in the clear", "leave it out for starttls")
	}
}

// judgeChannels reports severities and components of channels that lead nowhere.
func (f *file) judgeChannels(system astern.System) {
	var places []string
	for _, e := range system.Environments {
		places = append(places, e.Name)
		for _, c := range e.Components {
			places = append(places, c.Address())
		}
	}
	slices.Sort(places)
	for _, c := range system.Channels {
		path := join("notify", c.Name)
		if f.more || f.reported["environments"] {
			return
		}
		f.references(join(path, "components"), c.Components, places, true, "environment or component")
		if at := join(path, "severity"); c.Severity != "" && !f.broken(at) && !f.broken("environments") {
			f.judgeSeverity(at, c.Severity, system)
		}
	}
}

// judgeSeverity reports a severity that is on no environment's scale.
func (f *file) judgeSeverity(path, name string, system astern.System) {
	var known []string
	for _, e := range system.Environments {
		for _, s := range policy.Scale(e.Policy) {
			if s.Name == name {
				return
			}
			if !slices.Contains(known, s.Name) {
				known = append(known, s.Name)
			}
		}
	}
	f.at(path, fmt.Sprintf("no scale has a severity %s", show(name)), "from the mildest to the worst: "+strings.Join(known, ", "))
}

func channelOf(name string, c Channel) astern.Channel {
	out := astern.Channel{Name: name, Slack: c.Slack, PagerDuty: c.PagerDuty, Events: c.Events, Severity: c.Severity, Components: c.Components}
	if e := c.Email; e != nil {
		out.Email = &astern.EmailChannel{Server: e.Server, From: e.From, To: e.To, User: e.User, Password: e.Password, TLS: e.TLS}
	}
	if w := c.Webhook; w != nil {
		out.Webhook = &astern.WebhookChannel{URL: w.URL.Plain, SecretURL: w.URL.Secret, Secret: w.Secret}
		out.Webhook.Headers, out.Webhook.SecretHeaders = apart(w.Headers)
	}
	return out
}
