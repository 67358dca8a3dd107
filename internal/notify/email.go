package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// email hands the message to a mail server (RFC 5321), as plain text (RFC 5322, UTF-8, quoted-printable). Its Message-ID is
// the notice's ID; all messages of a topic refer to the topic, so that mail programs show them as one conversation.
//
// A receiver that the server refuses for good does not keep the others from getting it; the note counts those who did not.
func (s *Sender) email(ctx context.Context, c astern.EmailChannel, m Message) (note string, err error) {
	password := ""
	if c.Password != nil {
		if password, err = s.reveal("password", *c.Password); err != nil {
			return "", err
		}
	}
	from, to, err := addressed(c)
	if err != nil {
		return "", err
	}
	body, err := mailOf(m, from, to, s.now())
	if err != nil {
		return "", err
	}
	client, done, err := s.dialMail(ctx, c)
	if err != nil {
		return "", mailFailure(ctx, err)
	}
	defer done()
	if c.User != "" {
		host, _, _ := net.SplitHostPort(c.Server)
		if err := client.Auth(smtp.PlainAuth("", c.User, password, host)); err != nil {
			return "", mailFailure(ctx, err)
		}
	}
	if err := client.Mail(from.Address); err != nil {
		return "", mailFailure(ctx, err)
	}
	refused, err := receivers(client, to)
	if err != nil {
		return "", mailFailure(ctx, err)
	}
	if refused > 0 {
		note = fmt.Sprintf("the mail server refused %d of %d receivers", refused, len(to))
	}
	return note, s.data(ctx, client, body)
}

// receivers names the receivers, and returns how many were refused for good. It is an error when all were, or one for now.
func receivers(client *smtp.Client, to []*mail.Address) (refused int, err error) {
	for _, a := range to {
		var said *textproto.Error
		switch err = client.Rcpt(a.Address); {
		case err == nil:
		case errors.As(err, &said) && said.Code >= 500 && refused < len(to)-1:
			refused++
		default:
			return refused, err
		}
	}
	return refused, nil
}

func (s *Sender) data(ctx context.Context, client *smtp.Client, body []byte) error {
	w, err := client.Data()
	if err != nil {
		return mailFailure(ctx, err)
	}
	_, err = w.Write(body)
	if err := errors.Join(err, w.Close()); err != nil {
		f := mailFailure(ctx, err)
		var said *textproto.Error // the only answer that is about the message, not about who sends it to whom
		f.Hopeless = errors.As(err, &said) && said.Code >= 500
		return f
	}
	_ = client.Quit() // it has taken the message
	return nil
}

// addressed reads the addresses.
func addressed(c astern.EmailChannel) (from *mail.Address, to []*mail.Address, err error) {
	if from, err = mail.ParseAddress(c.From); err != nil {
		return nil, nil, astern.Errorf(astern.Invalid, "from is no address of mail")
	}
	for _, t := range c.To {
		a, err := mail.ParseAddress(t)
		if err != nil {
			return nil, nil, astern.Errorf(astern.Invalid, "to has something that is no address of mail")
		}
		to = append(to, a)
	}
	return from, to, nil
}

// dialMail connects, secures the connection, and says hello. Every read and write after it ends with ctx.
func (s *Sender) dialMail(ctx context.Context, c astern.EmailChannel) (client *smtp.Client, done func(), err error) {
	host, _, err := net.SplitHostPort(c.Server)
	if err != nil {
		return nil, nil, astern.Errorf(astern.Invalid, "its server is no host:port")
	}
	wire, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.Server)
	if err != nil {
		return nil, nil, err
	}
	cut := context.AfterFunc(ctx, func() { wire.Close() })
	end := func() {
		cut()
		wire.Close()
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	conn := net.Conn(&short{Conn: wire, left: most * 16})
	security := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, RootCAs: s.roots}
	if c.Security() == astern.MailImplicit {
		secured := tls.Client(conn, security)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, nil, err
		}
		conn = secured
	}
	if client, err = smtp.NewClient(conn, host); err != nil {
		return nil, nil, err
	}
	if c.Security() == astern.MailStartTLS {
		if ok, _ := client.Extension("STARTTLS"); !ok {
			return nil, nil, astern.Errorf(astern.Refused, "it offers no STARTTLS").WithHint("tls: implicit or, inside a network that is trusted, tls: none")
		}
		if err := client.StartTLS(security); err != nil {
			return nil, nil, err
		}
	}
	return client, end, nil
}

// short is a connection of which no more than left bytes are read: a server that talks for ever is cut off.
type short struct {
	net.Conn
	left int
}

var errTalks = errors.New("it talks too much")

// Read reads on until too much was said.
func (s *short) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, errTalks
	}
	n, err := s.Conn.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// mailFailure words what went wrong by the server's code alone: its text may hold anything.
func mailFailure(ctx context.Context, err error) *Failure {
	var own *astern.Error
	var said *textproto.Error
	switch {
	case errors.As(err, &own):
		return &Failure{Cause: err}
	case errors.As(err, &said) && (said.Code == 535 || said.Code == 530 || said.Code == 534):
		return &Failure{Cause: astern.Errorf(astern.Denied, "the mail server answers %d: it does not let us in", said.Code).WithHint("are user and password still the right ones?")}
	case errors.As(err, &said) && said.Code >= 500:
		return &Failure{Cause: astern.Errorf(astern.Refused, "the mail server answers %d: it does not take mail from this sender to these receivers", said.Code)}
	case errors.As(err, &said):
		return &Failure{Cause: astern.Errorf(astern.Unavailable, "the mail server answers %d: not now", said.Code)}
	case strings.Contains(err.Error(), "unencrypted connection"): // of smtp.PlainAuth, which has no type for it
		return &Failure{Cause: astern.Errorf(astern.Refused, "a password is not sent over a connection that is not encrypted").WithHint("tls: starttls")}
	}
	return &Failure{Cause: unreached(ctx, err)}
}

// mailOf writes the message. Names in headers are encoded (RFC 2047), and clean leaves no line break in them.
func mailOf(m Message, from *mail.Address, to []*mail.Address, now time.Time) ([]byte, error) {
	n := m.merged()
	names := make([]string, len(to))
	for i, a := range to {
		names[i] = a.String()
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("From", from.String())
	header("To", strings.Join(names, ",\r\n "))
	header("Subject", strings.ReplaceAll(mime.QEncoding.Encode("utf-8", m.title()), "?= =?", "?=\r\n =?"))
	header("Date", now.Format(time.RFC1123Z))
	header("Message-ID", "<"+n.ID+"@"+domain+">")
	header("References", "<"+atom(n.Topic)+"."+atom(n.System)+".astern@"+domain+">")
	header("Auto-Submitted", "auto-generated")
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	text := append([]string{m.title(), ""}, m.lines()...)
	text = append(text, "")
	for _, f := range m.fields() {
		text = append(text, fmt.Sprintf("%-6s %s", f[0], f[1]))
	}
	_, err := q.Write([]byte(strings.Join(text, "\r\n") + "\r\n"))
	return b.Bytes(), errors.Join(err, q.Close())
}

// atom keeps of a name what may stand in an address.
func atom(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, s)
}
