package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/astern-dev/astern"
)

// mailbox is what a real mail server got, and what it refuses.
type mailbox struct {
	mu     sync.Mutex
	mails  []letter
	refuse map[string]int // receiver, or "AUTH", "DATA" -> code
}

type letter struct {
	from   string
	to     []string
	text   string
	secure bool
	user   string
}

type mailSession struct {
	box  *mailbox
	conn *smtp.Conn
	now  letter
}

func (m *mailbox) code(what string) error {
	if code := m.refuse[what]; code != 0 {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: "no, and your secret is " + token}
	}
	return nil
}

func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if err := s.box.code("AUTH"); err != nil {
			return err
		}
		if password != token {
			return smtp.ErrAuthFailed
		}
		s.now.user = user
		return nil
	}), nil
}
func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error { s.now.from = from; return nil }
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.now.to = append(s.now.to, to)
	return s.box.code(to)
}
func (s *mailSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.box.code("DATA"); err != nil {
		return err
	}
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	_, s.now.secure = s.conn.TLSConnectionState()
	s.now.text = string(b)
	s.box.mails = append(s.box.mails, s.now)
	return nil
}
func (s *mailSession) Reset()        {}
func (s *mailSession) Logout() error { return nil }

// mailServer runs a real SMTP server on 127.0.0.1 and returns its address.
func mailServer(t *testing.T, box *mailbox, security *tls.Config, implicit bool) string {
	t.Helper()
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &mailSession{box: box, conn: c}, nil }))
	srv.Domain, srv.AllowInsecureAuth, srv.TLSConfig = "localhost", true, security
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	if implicit {
		listener = tls.NewListener(listener, security)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(listener) }() // it ends when it is closed
	t.Cleanup(func() { srv.Close(); <-done })
	return listener.Addr().String()
}

// certificate is one for 127.0.0.1 that only these tests trust.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return &tls.Config{Certificates: srv.TLS.Certificates}, pool
}

func TestEmail(t *testing.T) {
	security, roots := certificate(t)
	for name, c := range map[string]struct {
		implicit bool
		tls      astern.MailTLS
		server   *tls.Config
	}{"starttls": {false, "", security}, "implicit": {true, astern.MailImplicit, security}, "plain": {false, astern.MailPlain, nil}} {
		t.Run(name, func(t *testing.T) {
			box := &mailbox{}
			s := sender(t, map[string]string{"PASSWORD": token})
			s.roots = roots
			channel := astern.Channel{Name: "mail", Email: &astern.EmailChannel{Server: mailServer(t, box, c.server, c.implicit), From: "Astern <astern@example.com>",
				To: []string{"oncall@example.com", "Ana Ü <ana@example.com>"}, User: "astern", Password: &astern.Secret{Env: "PASSWORD"}, TLS: c.tls}}
			n := told(astern.NoticeOpened)
			n.Title += strings.Repeat(" é", 100)
			for range 2 {
				note, err := s.Send(t.Context(), channel, Message{n})
				if must(t, err); note != "" {
					t.Error(note)
				}
			}
			box.mu.Lock()
			defer box.mu.Unlock()
			if len(box.mails) != 2 {
				t.Fatalf("%d mails", len(box.mails))
			}
			m := box.mails[0]
			if m.from != "astern@example.com" || fmt.Sprint(m.to) != "[oncall@example.com ana@example.com]" || m.user != "astern" || m.secure != (c.server != nil) {
				t.Errorf("%+v", m)
			}
			read(t, m.text, n)
			again, err := mail.ReadMessage(strings.NewReader(box.mails[1].text))
			if must(t, err); again.Header.Get("Message-ID") != "<"+n.ID+"@example.com>" {
				t.Errorf("the second attempt has another id: %s", again.Header.Get("Message-ID"))
			}
		})
	}
}

// read takes a mail apart as a mail program does.
func read(t *testing.T, text string, n astern.Notice) {
	t.Helper()
	for l := range strings.SplitSeq(text, "\n") {
		if len(l) > 200 {
			t.Errorf("a line of %d bytes: %s", len(l), l)
		}
	}
	m, err := mail.ReadMessage(strings.NewReader(text))
	must(t, err)
	subject, err := (&mime.WordDecoder{}).DecodeHeader(m.Header.Get("Subject"))
	must(t, err)
	if !strings.HasPrefix(subject, "webshop: SEV-3 inc-1 checkout <!channel> fails [31m Bcc: eve@example.com é é") || m.Header.Get("Bcc") != "" {
		t.Errorf("%q, %v", subject, m.Header)
	}
	if r := m.Header.Get("References"); r != "<inc-1.webshop.astern@example.com>" {
		t.Errorf("References: %s", r)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	must(t, err)
	for _, want := range append(n.Lines, "next   astern show inc-1", "about  production/shop") {
		if !strings.Contains(string(body), want) {
			t.Errorf("the mail does not say %q:\n%s", want, body)
		}
	}
}

// TestRefusedMail: what becomes of a message by what the server refuses; nothing that it says is told.
func TestRefusedMail(t *testing.T) {
	security, roots := certificate(t)
	for name, c := range map[string]struct {
		refuse   map[string]int
		code     astern.Code
		hopeless bool
		note     string
	}{
		"login":             {map[string]int{"AUTH": 535}, astern.Denied, false, ""},
		"not now":           {map[string]int{"b@x.com": 450}, astern.Unavailable, false, ""},
		"one receiver":      {map[string]int{"a@x.com": 550}, "", false, "the mail server refused 1 of 2 receivers"},
		"all receivers":     {map[string]int{"a@x.com": 550, "b@x.com": 550}, astern.Refused, false, ""},
		"the message":       {map[string]int{"DATA": 554}, astern.Refused, true, ""},
		"the message today": {map[string]int{"DATA": 451}, astern.Unavailable, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := sender(t, map[string]string{"PASSWORD": token})
			s.roots = roots
			note, err := s.Send(t.Context(), astern.Channel{Email: &astern.EmailChannel{Server: mailServer(t, &mailbox{refuse: c.refuse}, security, false), From: "astern@x.com",
				To: []string{"a@x.com", "b@x.com"}, User: "astern", Password: &astern.Secret{Env: "PASSWORD"}}}, Message{told(astern.NoticeOpened)})
			var f *Failure
			if astern.CodeOf(err) != c.code || errors.As(err, &f) && f.Hopeless != c.hopeless || note != c.note {
				t.Errorf("%q, %v (%s)", note, err, astern.CodeOf(err))
			}
			silent(t, err)
		})
	}
}

// TestUnsafeMail: without TLS where it is demanded, with a certificate of nobody, and a server that talks for ever.
func TestUnsafeMail(t *testing.T) {
	security, _ := certificate(t)
	endless := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		done := make(chan struct{})
		t.Cleanup(func() { l.Close(); <-done })
		go func() {
			defer close(done)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			for err == nil {
				_, err = io.WriteString(conn, "220-hello\r\n")
			}
		}()
		return l.Addr().String()
	}
	for what, server := range map[string]string{"offers no STARTTLS": mailServer(t, &mailbox{}, nil, false), "does not verify": mailServer(t, &mailbox{}, security, false),
		"does not speak": endless(), "connection refused": "127.0.0.1:1"} {
		box := astern.EmailChannel{Server: server, From: "astern@x.com", To: []string{"a@x.com"}}
		_, err := sender(t, nil).Send(t.Context(), astern.Channel{Email: &box}, Message{told(astern.NoticeOpened)})
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestSilentMail: a server that takes the connection and says nothing is left when the caller's time is over.
func TestSilentMail(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		cancel()
		_, _ = io.Copy(io.Discard, conn) // until it is left
	}()
	_, err = sender(t, nil).Send(ctx, astern.Channel{Email: &astern.EmailChannel{Server: l.Addr().String(), From: "a@x.com", To: []string{"b@x.com"}}}, Message{told(astern.NoticeOpened)})
	if astern.CodeOf(err) != astern.Interrupted {
		t.Errorf("%v", err)
	}
	<-gone
}
