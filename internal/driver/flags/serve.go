package flags

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// Limits of asking flagd.
const (
	askTimeout = 5 * time.Second
	askMost    = 4 << 20 // bytes of an answer
)

// newClient returns a client that goes nowhere else than it is told.
func newClient() *http.Client {
	return &http.Client{Timeout: askTimeout,
		Transport:     &http.Transport{DialContext: (&net.Dialer{Timeout: askTimeout}).DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// answer is flagd's answer to an evaluation by the OpenFeature Remote Evaluation Protocol
// (github.com/open-feature/protocol, service/openapi.yaml). A disabled flag has a reason and no value; older flagds answer
// the error FLAG_DISABLED.
type answer struct {
	Key       string          `json:"key"`
	Value     json.RawMessage `json:"value"`
	Variant   string          `json:"variant"`
	Reason    string          `json:"reason"`
	ErrorCode string          `json:"errorCode"`
}

func (a answer) String() string {
	switch {
	case a.disabled():
		return "disabled"
	case a.ErrorCode != "":
		return "error " + oneLine(a.ErrorCode)
	}
	return oneLine(fmt.Sprintf("%s (%s), %s", a.Variant, a.Value, a.Reason))
}

func (a answer) disabled() bool { return a.Reason == "DISABLED" || a.ErrorCode == "FLAG_DISABLED" }

// ask evaluates one flag, or all when flag is "".
func (d *driver) ask(ctx context.Context, base, flag string, about map[string]string, into any) error {
	at := base + "/ofrep/v1/evaluate/flags"
	if flag != "" {
		at += "/" + url.PathEscape(flag)
	}
	body, err := json.Marshal(map[string]any{"context": about})
	if err != nil {
		return astern.Errorf(astern.Internal, "encoding the question to flagd: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return astern.Errorf(astern.Invalid, "asking flagd: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.client.Do(req)
	if err != nil {
		return astern.Errorf(astern.Unavailable, "asking flagd: %w", err)
	}
	defer resp.Body.Close() // read to its limit
	text, err := io.ReadAll(io.LimitReader(resp.Body, askMost+1))
	switch {
	case err != nil:
		return astern.Errorf(astern.Unavailable, "reading flagd's answer: %w", err)
	case len(text) > askMost:
		return astern.Errorf(astern.Internal, "flagd answered more than %d MB", askMost>>20)
	}
	// An error of a single evaluation is an answer, too: 400 and 404 carry the same document with an error code.
	if err := json.Unmarshal(text, into); err != nil || resp.StatusCode >= 500 || resp.StatusCode/100 == 3 {
		return astern.Errorf(astern.Unavailable, "flagd answered %d with what is no evaluation", resp.StatusCode)
	}
	return nil
}

// answers notes what flagd answers for an empty context: for all flags, or for those of the paths.
func (d *driver) answers(ctx context.Context, p place, paths []string, known, unknown func(path, text string)) {
	const under = "evaluated/"
	if len(paths) == 0 {
		var all struct {
			Flags []answer `json:"flags"`
		}
		if err := d.ask(ctx, p.evaluate, "", nil, &all); err != nil {
			unknown("evaluated", err.Error())
			return
		}
		for _, a := range all.Flags {
			if a.Key != "" {
				known(under+oneLine(a.Key), a.String())
			}
		}
		return
	}
	for _, path := range paths {
		flag, ok := strings.CutPrefix(path, under)
		if !ok || flag == "" {
			continue
		}
		var a answer
		switch err := d.ask(ctx, p.evaluate, flag, nil, &a); {
		case err != nil:
			unknown(path, err.Error())
		case a.ErrorCode != "FLAG_NOT_FOUND":
			known(path, a.String())
		}
	}
}

// expected is what flagd must answer after a change.
type expected struct {
	flag, variant string // variant "" means disabled
	segment       string
	known         bool
}

// expectation says what flagd answers after a change, where that can be told: a share between none and all can't.
func expectation(c astern.FlagChange, e edit) expected {
	out := expected{flag: c.Flag, segment: c.Segment, known: true}
	switch {
	case c.Serve != "":
		out.variant = c.Serve
	case c.Segment != "" && (c.Percent == nil || *c.Percent == 0):
		out.variant = e.off
	case c.Percent != nil && *c.Percent > 0:
		out.known = false
	}
	return out
}

func (x expected) sure() bool { return x.known }

// step waits until flagd answers so.
func (x expected) step(p place, after astern.Step) astern.Step {
	args := map[string]astern.Arg{"flag": astern.Text(x.flag), "variant": astern.Text(x.variant), "segment": astern.Text(x.segment)}
	about := map[string]any{"context": x.context()}
	body, _ := json.Marshal(about) // texts always encode
	return astern.Step{ID: verbAwait, Address: p.component.Address(), Kind: Kind, Verb: verbAwait, Title: "wait until flagd answers " + x.String(),
		Args: args, Guards: []string{after.ID}, Undo: astern.UndoNone, Estimate: astern.Estimate{MedianSeconds: guessSeconds},
		Command:  "curl -sS -H 'Content-Type: application/json' -d " + host.QuoteAll(string(body), p.evaluate+"/ofrep/v1/evaluate/flags/"+url.PathEscape(x.flag)),
		Attempts: 3, TimeoutSeconds: 60, HoldSeconds: 60}
}

// String words the answer that is expected.
func (x expected) String() string {
	what := "disabled"
	if x.variant != "" {
		what = x.variant
	}
	what += " for " + x.flag
	if x.segment != "" {
		what += " where " + x.segment
	}
	return oneLine(what)
}

// context is the evaluation context of somebody whom the change is about.
func (x expected) context() map[string]string {
	out := map[string]string{"targetingKey": "astern"}
	if property, value, ok := strings.Cut(x.segment, "="); ok {
		out[property] = value
	}
	return out
}

// await asks flagd whether it answers as it must by now.
func (a *actor) await(ctx context.Context, o order) astern.Op {
	x := expected{flag: o.call.Text("flag"), variant: o.call.Text("variant"), segment: o.call.Text("segment")}
	if o.place.evaluate == "" {
		return failed(astern.Errorf(astern.Refused, "step %s: %s does not say any more where flagd answers", o.call.Step, o.call.Address))
	}
	var there answer
	err := a.ask(ctx, o.place.evaluate, x.flag, x.context(), &there)
	running := func(progress string) astern.Op {
		if !o.call.Deadline.IsZero() && a.now().After(o.call.Deadline) {
			return failed(astern.Errorf(astern.Refused, "flagd does not answer %s: %s", x, progress).
				WithHint("the file is changed; does this flagd read it?"))
		}
		return astern.Op{Status: astern.OpRunning, Progress: oneLine(progress), PollSeconds: 0.25}
	}
	switch {
	case ctx.Err() != nil:
		return failed(astern.Errorf(astern.Interrupted, "asking flagd: interrupted"))
	case err != nil:
		return running(err.Error())
	case x.variant == "" && there.disabled(), x.variant != "" && !there.disabled() && there.Variant == x.variant:
		return astern.Op{Status: astern.OpDone, Progress: "flagd answers " + there.String()}
	}
	return running("flagd still answers " + there.String())
}
