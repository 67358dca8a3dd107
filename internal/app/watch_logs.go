package app

import (
	"context"
	"fmt"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/check"
	"github.com/astern-dev/astern/internal/secret"
)

// logReach is how far back failures are looked for where the change that is blamed is longer ago, or none is.
const logReach = time.Hour

// readLog has the last failures that a component wrote down put into its incident, once it was decided what to do: beside the
// rounds, so that it is in the way of nothing. Where it can't be read the incident says so.
func (w *Watcher) readLog(ctx context.Context, x *watched, in astern.Incident) {
	if x.component.Logs == nil || in.Logs != nil || len(in.Decisions) == 0 {
		return
	}
	x.lock.Lock()
	defer x.lock.Unlock()
	if x.reading {
		return
	}
	x.reading = true
	now := w.app.Now()
	since := in.BeganAt.Add(-time.Minute)
	if in.Cause != nil {
		since = in.Cause.At
	}
	if reach := now.Add(-logReach); since.Before(reach) {
		since = reach
	}
	source, id := *x.component.Logs, in.ID
	w.carried.Go(func() {
		log := w.signals.cloudwatch.Failures(ctx, source, since, now, check.Redact(w.app.secrets()))
		if ctx.Err() == nil {
			if _, err := w.event(ctx, id, astern.IncidentEvent{Kind: astern.IncidentLogged, Logs: &log, Token: id + "/logged"}); err != nil {
				w.tell(x, astern.WatchEvent{Kind: astern.WatchTrouble, Text: fmt.Sprintf("the last failures of %s: %s", source.Group, err), Incident: id})
			}
		}
		x.lock.Lock()
		defer x.lock.Unlock()
		x.reading = false
	})
}

// secrets are the values of all secrets that astern.yaml refers to, as far as they can be read: none of them may turn up in what
// others wrote down.
func (a *App) secrets() []astern.SecretValue {
	var out []astern.SecretValue
	add := func(all map[string]astern.Secret) {
		for _, name := range sorted(all) {
			if v, err := secret.Resolve(all[name], a.System.Folder); err == nil {
				out = append(out, v)
			}
		}
	}
	one := func(s *astern.Secret) {
		if s != nil {
			add(map[string]astern.Secret{"": *s})
		}
	}
	for _, c := range a.System.Channels {
		switch {
		case c.Slack != nil:
			one(&c.Slack.URL)
		case c.Email != nil:
			one(c.Email.Password)
		case c.PagerDuty != nil:
			one(&c.PagerDuty.RoutingKey)
		case c.Webhook != nil:
			one(c.Webhook.SecretURL)
			one(c.Webhook.Secret)
			add(c.Webhook.SecretHeaders)
		}
	}
	for _, e := range a.System.Environments {
		for _, c := range e.Components {
			for _, k := range c.Checks {
				if k.HTTP != nil {
					add(k.HTTP.SecretHeaders)
				}
			}
			for _, s := range c.Signals {
				switch {
				case s.Prometheus != nil:
					add(s.Prometheus.SecretHeaders)
				case s.Scrape != nil:
					add(s.Scrape.SecretHeaders)
				case s.Command != nil:
					add(s.Command.SecretEnv)
				}
			}
		}
	}
	return out
}
