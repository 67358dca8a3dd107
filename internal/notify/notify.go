// Package notify sends notices: to Slack (incoming webhooks, Block Kit), by e-mail (SMTP), to PagerDuty (Events API v2) and to
// any endpoint that takes JSON (signed as the Standard Webhooks specification says). It sends one message once; when to try
// again is the outbox's.
//
// It trusts no receiver: a question is bounded in time, an answer is read no further than it is needed and never shown,
// redirects are not followed. The URL of a webhook is a secret: no error names it, nor any host, header or answer.
package notify

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/astern-dev/astern"
)

// Timeout bounds one attempt.
const Timeout = 15 * time.Second

// Message is what is sent at once: notices of one topic, in their order. It has the ID of the first.
type Message []astern.Notice

// Failure is why a message was not sent. Its text is one line that holds nothing of what the receiver answered.
type Failure struct {
	Cause error
	// Hopeless is true when the receiver refuses this message and would refuse it again; everything else may be mended by
	// time, or by a person.
	Hopeless bool
	// After is how long the receiver asks to be left alone; zero when it does not say.
	After time.Duration
}

// Error returns the cause.
func (f *Failure) Error() string { return f.Cause.Error() }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// Sender sends. It is safe for concurrent use; its zero value is not usable.
type Sender struct {
	http   *http.Client
	roots  *x509.CertPool // those of the system when nil
	secret func(astern.Secret) (astern.SecretValue, error)
	now    func() time.Time
}

// New returns a Sender that reads secrets by secret and knows the time by now. Proxies are those of the environment. Close it
// after use.
func New(secret func(astern.Secret) (astern.SecretValue, error), now func() time.Time) *Sender {
	return &Sender{http: client(), secret: secret, now: now}
}

// Close ends the connections that are kept.
func (s *Sender) Close() { s.http.CloseIdleConnections() }

// Send sends the message to the channel, within Timeout. A message that has been sent may be sent again with the same ID:
// receivers of webhooks and PagerDuty can tell.
//
// The note is "" unless only some of several receivers of mail got it: then it says so.
func (s *Sender) Send(ctx context.Context, c astern.Channel, m Message) (note string, err error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	switch {
	case c.Slack != nil:
		err = s.slack(ctx, *c.Slack, m)
	case c.Email != nil:
		note, err = s.email(ctx, *c.Email, m)
	case c.PagerDuty != nil:
		err = s.pagerduty(ctx, *c.PagerDuty, m)
	default:
		err = s.webhook(ctx, *c.Webhook, m)
	}
	var f *Failure
	if err == nil || errors.As(err, &f) {
		return note, err
	}
	return "", &Failure{Cause: err}
}
