package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/astern-dev/astern"
)

// Client asks a lab that runs, in another process, for what a Lab can be asked in this one.
type Client struct{ url string }

// Client returns the client of a lab.
func (r Running) Client() Client { return Client{r.URL + adminPath} }

// Status asks how the lab is.
func (c Client) Status(ctx context.Context) (out Status, err error) {
	return out, c.ask(ctx, http.MethodGet, "status", nil, &out)
}

// Reset empties the account.
func (c Client) Reset(ctx context.Context) (out Status, err error) {
	return out, c.ask(ctx, http.MethodPost, "reset", struct{}{}, &out)
}

// Step moves the clock forward.
func (c Client) Step(ctx context.Context, by time.Duration) (out Status, err error) {
	return out, c.ask(ctx, http.MethodPost, "clock", map[string]Span{"step": Span(by)}, &out)
}

// HoldToPolicies begins or ends to judge calls by the policies of who makes them.
func (c Client) HoldToPolicies(ctx context.Context, on bool) (out Status, err error) {
	return out, c.ask(ctx, http.MethodPost, "access", map[string]bool{"judge": on}, &out)
}

// AddFault puts a rule in force and returns it with its number.
func (c Client) AddFault(ctx context.Context, f Fault) (out Fault, err error) {
	return out, c.ask(ctx, http.MethodPost, "faults", f, &out)
}

// Faults returns the rules in force.
func (c Client) Faults(ctx context.Context) (out []Fault, err error) {
	return out, c.ask(ctx, http.MethodGet, "faults", nil, &out)
}

// ClearFaults takes all rules away.
func (c Client) ClearFaults(ctx context.Context) error {
	var left []Fault
	return c.ask(ctx, http.MethodDelete, "faults", nil, &left)
}

// Expire runs the lifecycle rules of all buckets.
func (c Client) Expire(ctx context.Context) (out []Expired, err error) {
	return out, c.ask(ctx, http.MethodPost, "expire", struct{}{}, &out)
}

// Calls returns the journal's calls that match, oldest first; "" matches all.
func (c Client) Calls(ctx context.Context, service, operation string, after int64) (out []Entry, err error) {
	q := url.Values{"service": {service}, "operation": {operation}, "after": {strconv.FormatInt(after, 10)}}
	return out, c.ask(ctx, http.MethodGet, "calls?"+q.Encode(), nil, &out)
}

func (c Client) ask(ctx context.Context, method, what string, in, out any) error {
	failed := func(err error) error { return astern.Errorf(astern.Unavailable, "asking the lab: %w", err) }
	b, err := json.Marshal(in)
	if err != nil {
		return astern.Errorf(astern.Internal, "asking the lab: %w", err)
	}
	q, err := http.NewRequestWithContext(ctx, method, c.url+what, bytes.NewReader(b))
	if err != nil {
		return failed(err)
	}
	q.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return failed(err)
	}
	defer r.Body.Close()
	d := json.NewDecoder(io.LimitReader(r.Body, 1<<30))
	if r.StatusCode != http.StatusOK {
		var no complaint
		if err := d.Decode(&no); err != nil {
			return failed(err)
		}
		return no.err()
	}
	if err := d.Decode(out); err != nil {
		return failed(err)
	}
	return nil
}
