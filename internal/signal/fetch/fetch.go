// Package fetch asks HTTP endpoints that count something, without trusting them: an answer is bounded in time and bytes,
// is never decompressed (so there is no bomb), and a redirect is followed only to the same scheme, host and port, as in
// internal/check. Connections are kept, because the same endpoints are asked again every few seconds.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signal"
)

const (
	// Timeout bounds one question.
	Timeout = 10 * time.Second

	maxRedirects = 5
	idle         = 90 * time.Second
)

// ErrTooLarge is in the chain of the error for an answer of more than signal.MaxBytes.
var ErrTooLarge = errors.New("its answer is larger than 16 MB and was not read further")

// ErrLate is in the chain of the error for an answer that did not come in time.
var ErrLate = errors.New("it did not answer in time")

// Client asks. It is safe for concurrent use; its zero value is not usable.
type Client struct {
	http   *http.Client
	secret func(astern.Secret) (astern.SecretValue, error)
}

// Options are what a Client works with; the zero value dials directly and knows no secrets.
type Options struct {
	// Dial opens connections; nil dials directly. No proxy is ever used.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is the client's TLS configuration; nil verifies against the system's roots.
	TLS *tls.Config
	// Secret reads the value of a secret header.
	Secret func(astern.Secret) (astern.SecretValue, error)
	// Timeout bounds one question; 0 means Timeout.
	Timeout time.Duration
}

// New returns a Client. Close it after use.
func New(o Options) *Client {
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: Timeout}).DialContext
	}
	if o.Timeout == 0 {
		o.Timeout = Timeout
	}
	t := &http.Transport{DialContext: o.Dial, DisableCompression: true, MaxResponseHeaderBytes: 256 << 10, IdleConnTimeout: idle,
		MaxIdleConnsPerHost: 4, ForceAttemptHTTP2: true}
	if o.TLS != nil {
		t.TLSClientConfig = o.TLS.Clone()
	}
	return &Client{secret: o.Secret, http: &http.Client{Transport: t, Timeout: o.Timeout, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects || via[0].Method != http.MethodGet ||
			next.URL.Scheme != via[0].URL.Scheme || next.URL.Host != via[0].URL.Host {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// Close ends the connections that are kept.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is what is asked.
type Request struct {
	URL           string
	Form          url.Values // sent by POST when there is one
	Accept        string
	Headers       map[string]string
	SecretHeaders map[string]astern.Secret
}

// Response is an answer: its body ends with an error that is ErrTooLarge, or says why it broke off.
type Response struct {
	Status      int
	ContentType string
	Body        io.ReadCloser
	// Quotable is false when a secret was sent: the answer may hold it, and no text of it may be shown.
	Quotable bool
}

// Do asks. Its errors are one line, hold no secret and name no URL: who asks knows what it asked.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if r.Form != nil {
		method, body = http.MethodPost, strings.NewReader(r.Form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, r.URL, body)
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "its URL is not valid")
	}
	if r.Form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("User-Agent", "astern")
	req.Header.Set("Accept-Encoding", "identity")
	if r.Accept != "" {
		req.Header.Set("Accept", r.Accept)
	}
	if err := c.headers(req, r); err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, because(ctx, err)
	}
	out := &Response{Status: resp.StatusCode, ContentType: resp.Header.Get("Content-Type"), Quotable: len(r.SecretHeaders) == 0,
		Body: &bounded{ctx: ctx, body: resp.Body, left: signal.MaxBytes}}
	switch to := resp.Header.Get("Location"); {
	case resp.StatusCode >= 300 && resp.StatusCode <= 399:
		out.Body.Close()
		if !out.Quotable {
			to = "elsewhere"
		}
		return nil, astern.Errorf(astern.Refused, "it answers %d: the redirect to %s is not followed", resp.StatusCode, Line(to))
	case resp.Header.Get("Content-Encoding") != "" && !strings.EqualFold(resp.Header.Get("Content-Encoding"), "identity"):
		out.Body.Close()
		return nil, astern.Errorf(astern.Invalid, "it compresses its answer, which it was not asked for")
	case resp.ContentLength > signal.MaxBytes:
		out.Body.Close()
		return nil, &astern.Error{Code: astern.Invalid, Cause: ErrTooLarge}
	}
	return out, nil
}

func (c *Client) headers(req *http.Request, r Request) error {
	set := func(name, value string) {
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	for name, value := range r.Headers {
		set(name, value)
	}
	for _, name := range sorted(r.SecretHeaders) {
		if c.secret == nil {
			return astern.Errorf(astern.Internal, "header %s is secret, and no secret can be read here", name)
		}
		v, err := c.secret(r.SecretHeaders[name])
		if err != nil {
			return fmt.Errorf("reading the secret of header %s: %w", name, err)
		}
		if strings.ContainsAny(v.Reveal(), "\r\n\x00") {
			return astern.Errorf(astern.Invalid, "the secret of header %s holds a line break", name)
		}
		set(name, v.Reveal())
	}
	return nil
}

func sorted(m map[string]astern.Secret) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// because says in words that no answer came.
func because(ctx context.Context, err error) error {
	var dns *net.DNSError
	var timeout net.Error
	var cert *tls.CertificateVerificationError
	say := func(format string, args ...any) error { return astern.Errorf(astern.Unavailable, format, args...) }
	switch {
	case errors.Is(err, ErrTooLarge):
		return &astern.Error{Code: astern.Invalid, Cause: ErrTooLarge}
	case errors.Is(ctx.Err(), context.Canceled):
		return say("interrupted")
	case errors.As(err, &dns):
		return say("can't resolve %s: %s", Line(dns.Name), Line(dns.Err))
	case errors.Is(err, syscall.ECONNREFUSED):
		return say("connection refused")
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return &astern.Error{Code: astern.Unavailable, Cause: ErrLate}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return say("the connection broke off")
	case errors.As(err, &cert):
		return say("its TLS certificate does not verify: %s", Line(cert.Err.Error()))
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return say("there is no way to it")
	}
	return say("it does not speak HTTP") // what it says instead may hold anything
}

// bounded is a body of which no more than left bytes are read.
type bounded struct {
	ctx  context.Context
	body io.ReadCloser
	left int
}

// Read reads on; the one byte that is too many is an error, never the end.
func (b *bounded) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if b.left -= n; b.left < 0 {
		return n + b.left, ErrTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = because(b.ctx, err)
	}
	return n, err
}

// Close ends the answer. What is left of a small one is read, so that its connection can be used again.
func (b *bounded) Close() error {
	if b.left > 0 {
		_, _ = io.CopyN(io.Discard, b.body, 4<<10) // only worth something if it ends
	}
	return b.body.Close()
}

// Line makes text from outside fit to be shown: printable, one line, short.
func Line(s string) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > 120 {
		s = string(r[:119]) + "…"
	}
	return strings.Join(strings.Fields(s), " ")
}
