package view

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/astern-dev/astern"
)

// OutboxReport lists notices on their way to channels.
type OutboxReport struct {
	Dispatches []astern.Dispatch `json:"dispatches"`
	Waiting    int               `json:"waiting"`
	GivenUp    int               `json:"given_up"`
}

// DeliveryReport is what one pass of sending came to.
type DeliveryReport struct {
	Sent    int `json:"sent"`
	Waiting int `json:"waiting"`
	GivenUp int `json:"given_up"`
	// Failed says for each channel why the last attempt failed.
	Failed map[string]string `json:"failed,omitempty"`
}

// MarshalJSON adds kind and version.
func (r OutboxReport) MarshalJSON() ([]byte, error) {
	type plain OutboxReport
	return document("Outbox", plain(r))
}

// MarshalJSON adds kind and version.
func (r DeliveryReport) MarshalJSON() ([]byte, error) {
	type plain DeliveryReport
	return document("Delivery", plain(r))
}

// Outbox writes what is on its way to whom, and why it is not there.
func Outbox(w io.Writer, st Style, r OutboxReport) error {
	p := newPrinter(st)
	if len(r.Dispatches) == 0 {
		p.line("nothing waits to be told")
		return p.flush(w)
	}
	var rows []row
	for _, d := range r.Dispatches {
		rw := cells(count(d.N), d.Channel, dispatchState(d), string(d.Notice.Event), d.Notice.Title, st.age(d.Notice.At), tries(st, d))
		if d.Error != "" {
			rw.below = append(rw.below, tx(d.Error))
		}
		rows = append(rows, rw)
	}
	p.table(0, []column{{head: "N"}, {head: "CHANNEL"}, {head: "STATE"}, {head: "EVENT"}, {head: "WHAT", wrap: true}, {head: "HAPPENED", wrap: true},
		{head: "TRIES", wrap: true, spill: true}}, rows)
	return p.flush(w)
}

func dispatchState(d astern.Dispatch) span {
	switch d.State {
	case astern.DispatchSent:
		return good("✓ sent")
	case astern.DispatchGivenUp:
		return bad("✗ given up")
	}
	return warn("! waiting")
}

func tries(st Style, d astern.Dispatch) string {
	switch {
	case d.With > 0:
		return "with " + count(d.With)
	case d.Tries == 0:
		return "none yet"
	case d.State == astern.DispatchWaiting && !d.Next.IsZero():
		return fmt.Sprintf("%d, next %s", d.Tries, st.age(d.Next))
	}
	return count(int64(d.Tries))
}

// Delivery writes what one pass of sending came to.
func Delivery(w io.Writer, st Style, r DeliveryReport) error {
	p := newPrinter(st)
	p.line(fmt.Sprintf("sent %d, waiting %d, given up %d", r.Sent, r.Waiting, r.GivenUp))
	for _, c := range slices.Sorted(maps.Keys(r.Failed)) {
		p.line(bad("✗ "), r.Failed[c])
	}
	return p.flush(w)
}

// deaf says by which channels nobody is told.
func (p *printer) deaf(st Style, channels []astern.DeafChannel) {
	for _, c := range channels {
		p.field("channel", bad("✗ "+c.Channel), "  nobody is told by it since ", st.when(c.Since), ", ", plural(int64(c.Untold), "notice"), " lost or late: ", c.Error)
		p.command(labelWidth, "astern notify test "+c.Channel)
	}
}
