// Package lab is an emulated AWS account, in which a person, a demonstration and tests can break things safely. moto
// answers what it is right about; the lab stands in front of it on one port and corrects the rest with the cloud's
// documented behaviour, by a clock that can be stepped, with faults on demand and a journal of every call.
//
// It is the specification as we read it, not AWS. docs/lab.md says what it is and what it is not.
//
// Reading order: lab.go (the way of one call), identify.go (which call it is, from the published service models),
// overlays.go (the table of corrections), then any correction, for instance secrets.go.
package lab

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Account is the number of the account whose credentials nobody has named.
const Account = "123456789012"

// Call is one request to the account, identified by the published service models.
type Call struct {
	Seq       int64
	Time      time.Time // by the lab's clock
	Service   string    // endpoint prefix of the model, "ecr" and "appconfigdata" where models share or prefix it: see Models
	Operation string    // as in the service model: "UpdateFunctionCode"

	Region, AccessKey, Account string

	Method, Path string // the path as it was sent, still escaped
	Query        url.Values
	Header       http.Header
	Body         []byte

	// Input holds members by the model's names, as the request's labels, query and headers carry them (texts, or
	// []any of texts where one is repeated), and its body: JSON's values; the query protocol's flattened ("Tags.member.1.Key").
	// The members of XML bodies are not in it.
	Input map[string]any

	protocol string // of the request: json, rest-json, query, rest-xml, cbor
}

// Text returns a member of the input that is a text, or "".
func (c *Call) Text(member string) string {
	s, _ := c.Input[member].(string)
	return s
}

// Reply is what the account answers.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Next passes a call on towards moto.
type Next func(ctx context.Context, c *Call) Reply

// Overlay answers a call itself, or passes it on with next (as often as it needs, changed or not) and corrects the
// reply. It locks what it guards by resource, and never holds a lock of the whole lab while next runs.
type Overlay func(ctx context.Context, c *Call, next Next) Reply

// section is what one subject remembers. moto keeps its resources in memory and forgets them when it ends, so the lab's
// memory lives as long: it is emptied by `astern lab reset`, and a lab that starts again starts with an empty account.
type section interface {
	// reset forgets everything.
	reset()
}

// ticking is a section that has something to do when the clock was stepped, before the step is answered.
type ticking interface {
	// tick is called after each step, with the times before and after it.
	tick(ctx context.Context, from, to time.Time)
}

// Lab is the account. It is an http.Handler.
type Lab struct {
	moto     string // URL
	client   *http.Client
	overlays map[string]Overlay // keyed "ecs:UpdateService"
	clock    clock
	states   states

	mu  sync.Mutex // guards what follows
	seq int64
}
