package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/astern-dev/astern"
)

// most is how much of an answer is read.
const most = 4 << 10

func client() *http.Client {
	return &http.Client{
		Timeout: Timeout,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: Timeout}).DialContext,
			DisableCompression: true, MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it would carry the message elsewhere
	}
}

// post sends a JSON document and returns the beginning of the answer, which must not be shown.
func (s *Sender) post(ctx context.Context, to string, body []byte, headers http.Header) (answer string, err error) {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", astern.Errorf(astern.Invalid, "its URL is not one that begins with http:// or https://")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return "", astern.Errorf(astern.Invalid, "its URL is not valid")
	}
	for name, values := range headers {
		req.Header[name] = values
		if name == "Host" {
			req.Host = values[0]
		}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "astern")
	resp, err := s.http.Do(req)
	if err != nil {
		return "", unreached(ctx, err)
	}
	defer resp.Body.Close() // what is left of it is not read, so that no answer is too long
	b, _ := io.ReadAll(io.LimitReader(resp.Body, most))
	return string(b), s.judge(resp)
}

// judge turns the status of an answer into a Failure; nil when the message was taken.
func (s *Sender) judge(resp *http.Response) error {
	say := func(code astern.Code, hint, format string, args ...any) *Failure {
		return &Failure{Cause: astern.Errorf(code, format, args...).WithHint("%s", hint)}
	}
	switch code := resp.StatusCode; {
	case code >= 200 && code <= 299:
		return nil
	case code >= 300 && code <= 399:
		return say(astern.Refused, "write the URL that it leads to", "it answers %d: redirects are not followed", code)
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusNotFound, code == http.StatusGone:
		return say(astern.Denied, "is its secret still the right one?", "it answers %d: it does not know us", code)
	case code == http.StatusTooManyRequests:
		f := say(astern.Throttled, "", "it answers 429: too much at once")
		f.After = s.after(resp)
		return f
	case code == http.StatusRequestTimeout, code >= 500:
		f := say(astern.Unavailable, "", "it answers %d", code)
		f.After = s.after(resp)
		return f
	default:
		f := say(astern.Refused, "", "it answers %d: it does not take this message", code)
		f.Hopeless = true
		return f
	}
}

// after reads Retry-After, seconds or a date (RFC 9110, section 10.2.3).
func (s *Sender) after(resp *http.Response) time.Duration {
	text := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(s.now()))
	}
	return 0
}

// unreached says in words that no answer came. Whatever names the receiver is left out.
func unreached(ctx context.Context, err error) error {
	var dns *net.DNSError
	var timeout net.Error
	var cert *tls.CertificateVerificationError
	why := "it does not speak the protocol" // what it says instead may hold anything
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return astern.Errorf(astern.Interrupted, "interrupted")
	case errors.As(err, &dns):
		why = "its name can't be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "connection refused"
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		why = "it did not answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		why = "the connection broke off"
	case errors.As(err, &cert):
		why = "its TLS certificate does not verify"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		why = "there is no way to it"
	}
	return astern.Errorf(astern.Unavailable, "%s", why)
}

// reveal reads a secret and refuses one that can't be part of a header or URL.
func (s *Sender) reveal(what string, ref astern.Secret) (string, error) {
	v, err := s.secret(ref)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(v.Reveal())
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", astern.Errorf(astern.Invalid, "the secret that is its %s holds a line break", what)
	}
	return text, nil
}
