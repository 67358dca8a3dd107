package view

import (
	"time"

	"github.com/astern-dev/astern"
)

func outboxReport() OutboxReport {
	n := astern.Notice{ID: "0123456789abcdef", Token: "inc-1/1", Topic: "inc-1", Event: astern.NoticeOpened, At: ago(time.Hour), System: "webshop",
		Title: "inc-1 errors 4.1 % of 1204 requests\x1b[31m", Severity: "SEV-3", Addresses: []string{"production/shop"}, By: "watch", Incident: "inc-1", Command: "astern show inc-1"}
	sent := astern.Dispatch{N: 11, Channel: "team", Notice: n, State: astern.DispatchSent, QueuedAt: ago(time.Hour), Tries: 1, SettledAt: ago(time.Hour)}
	waiting := astern.Dispatch{N: 12, Channel: "duty", Notice: n, State: astern.DispatchWaiting, QueuedAt: ago(time.Hour), Tries: 17, Next: ago(-2 * time.Minute),
		Error: "telling duty (pagerduty): it answers 503"}
	with := astern.Dispatch{N: 13, Channel: "duty", Notice: n, State: astern.DispatchWaiting, QueuedAt: ago(time.Hour), With: 12}
	lost := astern.Dispatch{N: 14, Channel: "mail", Notice: n, State: astern.DispatchGivenUp, QueuedAt: ago(day), Tries: 288, SettledAt: ago(time.Minute),
		Error: "telling mail (email): the mail server answers 535: it does not let us in"}
	fresh := astern.Dispatch{N: 15, Channel: "team", Notice: n, State: astern.DispatchWaiting, QueuedAt: ago(0)}
	return OutboxReport{Dispatches: []astern.Dispatch{sent, waiting, with, lost, fresh}, Waiting: 3, GivenUp: 1}
}

func deliveryReport() DeliveryReport {
	return DeliveryReport{Sent: 2, Waiting: 3, GivenUp: 1, Failed: map[string]string{"duty": "telling duty (pagerduty): it answers 503", "mail": "telling mail (email): connection refused"}}
}
