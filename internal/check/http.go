package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/astern-dev/astern"
)

const (
	maxBody      = 1 << 20 // as much of an answer is read, no more
	maxRedirects = 5
	snippet      = 512 // as much of a wrong answer is read to show it
)

// http asks and judges. Connections are not kept alive, so that each attempt proves that a new one can be opened.
// Redirects are followed only for GET and HEAD, within the same scheme, host and port, and not when the status itself is
// one that passes; any other is judged as the answer it is.
func (a *attempt) http(h astern.HTTPCheck) sight {
	method := h.Method
	if method == "" {
		method = http.MethodGet
	}
	what := method + " " + oneLine(redactedURL(h.URL))
	wire := &wire{attempt: a}
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { wire.ready.Store(true) }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(a.ctx, trace), method, h.URL, strings.NewReader(h.Body))
	if err != nil {
		return sight{astern.Unknown, what + ": can't be asked: the method or the URL is not valid"}
	}
	if h.Body == "" {
		req.Body, req.GetBody, req.ContentLength = http.NoBody, nil, 0
	}
	if err := a.headers(req, h); err != nil {
		return sight{astern.Unknown, what + ": can't be asked: " + shorten(a.redact.text(err.Error()), 200)}
	}
	transport := &http.Transport{DialContext: wire.dial, DisableKeepAlives: true, DisableCompression: true,
		MaxResponseHeaderBytes: 256 << 10, ForceAttemptHTTP2: true}
	if a.TLS != nil {
		transport.TLSClientConfig = a.TLS.Clone()
	}
	defer wire.close()
	client := &http.Client{Transport: transport, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if !follows(h, next, via) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := client.Do(req)
	if err != nil {
		verdict, why := wire.judge(err)
		return sight{verdict, what + ": " + why}
	}
	defer resp.Body.Close()
	verdict, why := a.answer(h, resp)
	return sight{verdict, a.redact.text(what + ": " + why)}
}

func (a *attempt) headers(req *http.Request, h astern.HTTPCheck) error {
	req.Header.Set("User-Agent", "astern")
	set := func(name, value string) {
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	for name, value := range h.Headers {
		set(name, value)
	}
	var values []astern.SecretValue
	for _, name := range sortedKeys(h.SecretHeaders) {
		if a.Secret == nil {
			return fmt.Errorf("header %s is secret, and no secret can be read here", name)
		}
		v, err := a.Secret(h.SecretHeaders[name])
		if err != nil {
			return fmt.Errorf("reading the secret of header %s: %w", name, err)
		}
		values = append(values, v)
		set(name, v.Reveal())
	}
	a.redact = newRedactor(values)
	return nil
}

func follows(h astern.HTTPCheck, next *http.Request, via []*http.Request) bool {
	first := via[0]
	return (first.Method == http.MethodGet || first.Method == http.MethodHead) && len(via) <= maxRedirects &&
		next.URL.Scheme == first.URL.Scheme && next.URL.Host == first.URL.Host &&
		!slices.Contains(h.Status, next.Response.StatusCode)
}

// wire watches how far an attempt got: whether a connection was opened, and whether it was ready for the request (TLS
// included).
type wire struct {
	*attempt
	dialed, ready atomic.Bool

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

// dial uses the attempt's context: that of the transport outlives the request.
func (w *wire) dial(_ context.Context, network, address string) (net.Conn, error) {
	w.dialed.Store(false)
	w.ready.Store(false)
	conn, err := w.attempt.dial(w.ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	w.conns = append(w.conns, conn)
	w.dialed.Store(true)
	return conn, nil
}

// close ends every connection of the attempt, whatever was going on in it.
func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, c := range w.conns {
		c.Close()
	}
}

// judge says what it means that no answer came.
func (w *wire) judge(err error) (astern.Verdict, string) {
	reason := func() string { return shorten(w.redact.text(unwrapURL(err).Error()), 200) }
	switch {
	case w.parent.Err() != nil:
		return astern.Unknown, "interrupted"
	case !w.dialed.Load():
		return w.unreached(unwrapURL(err))
	case w.ctx.Err() != nil:
		return astern.Fail, "connected, no answer within " + length(w.timeout)
	case broken(err), strings.Contains(err.Error(), "server closed idle connection"): // net/http does not export that one
		return astern.Fail, "the connection was closed without an answer"
	case strings.Contains(err.Error(), "readLoopPeekFail"): // nor this one: it spoke before it was asked
		return astern.Fail, "no usable answer: what listens there does not speak HTTP"
	case !w.ready.Load():
		return astern.Unknown, "TLS: " + reason()
	}
	return astern.Fail, "no usable answer: " + reason()
}

// unwrapURL drops the method and the URL that the client puts before its errors.
func unwrapURL(err error) error {
	if inner := errors.Unwrap(err); inner != nil && strings.HasSuffix(err.Error(), ": "+inner.Error()) {
		return inner
	}
	return err
}

// answer judges what came back.
func (a *attempt) answer(h astern.HTTPCheck, resp *http.Response) (astern.Verdict, string) {
	got := fmt.Sprintf("%d in %s", resp.StatusCode, a.took())
	if !statusPasses(h.Status, resp.StatusCode) {
		got += ", want " + wantStatus(h.Status)
		if to := resp.Header.Get("Location"); to != "" {
			got += "; the redirect to " + shorten(a.redact.text(to), 100) + " is not followed"
		}
		head, _ := io.ReadAll(io.LimitReader(resp.Body, snippet)) // what could be read is shown, why not more is no matter
		if body := shorten(a.redact.start(string(head)), 160); body != "" {
			got += "; body: " + body
		}
		return astern.Fail, got
	}
	for _, name := range sortedKeys(h.HeaderEquals) {
		want, have := h.HeaderEquals[name], strings.Join(resp.Header.Values(name), ", ")
		if have != want {
			return astern.Fail, fmt.Sprintf("%s; header %s is %s, want %q", got, name, a.quoted(have), want)
		}
	}
	if h.Contains == "" && len(h.JSONEquals) == 0 {
		return astern.Pass, got
	}
	return a.body(h, resp, got)
}

func (a *attempt) body(h astern.HTTPCheck, resp *http.Response, got string) (astern.Verdict, string) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil && a.parent.Err() != nil:
		return astern.Unknown, "interrupted"
	case err != nil && a.ctx.Err() != nil:
		return astern.Fail, got + "; the body did not end within " + length(a.timeout)
	case err != nil:
		return astern.Fail, got + "; the body broke off: " + shorten(a.redact.text(err.Error()), 200)
	}
	whole := len(body) <= maxBody
	if !whole {
		body = body[:maxBody]
	}
	show := func() string { return shorten(a.redact.start(string(body[:min(len(body), snippet)])), 160) }
	if h.Contains != "" && !strings.Contains(string(body), h.Contains) {
		if !whole {
			return astern.Unknown, fmt.Sprintf("%s; %q is not in the first MB of the body, more was not read", got, h.Contains)
		}
		return astern.Fail, fmt.Sprintf("%s; the body does not contain %q; body: %s", got, h.Contains, show())
	}
	if len(h.JSONEquals) == 0 {
		return astern.Pass, got + fmt.Sprintf("; the body contains %q", h.Contains)
	}
	if !whole {
		return astern.Unknown, got + "; the body is longer than 1 MB and was not read as JSON"
	}
	doc, err := decodeJSON(body)
	if err != nil {
		return astern.Fail, got + "; the body is not JSON: " + shorten(a.redact.text(err.Error()), 100) + "; body: " + show()
	}
	for _, path := range sortedKeys(h.JSONEquals) {
		want := h.JSONEquals[path]
		have, ok := lookup(doc, path)
		switch {
		case !ok:
			return astern.Fail, fmt.Sprintf("%s; %s is not in the body, want %q; body: %s", got, path, want, show())
		case have != want:
			return astern.Fail, fmt.Sprintf("%s; %s is %s, want %q", got, path, a.quoted(have), want)
		}
		got += fmt.Sprintf("; %s is %s", path, a.quoted(have))
	}
	return astern.Pass, got
}

// quoted shows a value of the answer: secrets are removed before it is cut, so that no half of one remains.
func (a *attempt) quoted(s string) string { return `"` + shorten(a.redact.text(s), 80) + `"` }

func statusPasses(want []int, got int) bool {
	if len(want) == 0 {
		return got >= 200 && got <= 299
	}
	return slices.Contains(want, got)
}

func wantStatus(want []int) string {
	if len(want) == 0 {
		return "200-299"
	}
	return strings.Join(strings.Fields(strings.Trim(fmt.Sprint(want), "[]")), " or ")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// redactedURL returns the URL without the password it may hold.
func redactedURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "(unreadable URL)"
	}
	return u.Redacted()
}
