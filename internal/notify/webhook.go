package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// A webhook as the Standard Webhooks specification has it
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md): the payload has type, timestamp
// and data; the headers webhook-id (the same for each attempt), webhook-timestamp (that of the attempt) and, with a secret,
// webhook-signature: "v1," and base64(HMAC-SHA256("id.timestamp.payload")).
type webhookPayload struct {
	Type      string      `json:"type"`
	Timestamp time.Time   `json:"timestamp"`
	Data      webhookData `json:"data"`
}

type webhookData struct {
	astern.Notice
	// Earlier are those that are told with it, the oldest first.
	Earlier []astern.Notice `json:"earlier,omitempty"`
}

func (s *Sender) webhook(ctx context.Context, c astern.WebhookChannel, m Message) error {
	to := c.URL
	if c.SecretURL != nil {
		var err error
		if to, err = s.reveal("URL", *c.SecretURL); err != nil {
			return err
		}
	}
	headers := http.Header{}
	for name, value := range c.Headers {
		headers.Set(name, value)
	}
	for name, ref := range c.SecretHeaders {
		v, err := s.reveal("header "+name, ref)
		if err != nil {
			return err
		}
		headers.Set(name, v)
	}
	n := m.merged()
	data := webhookData{Notice: n}
	for _, e := range m[:len(m)-1] {
		data.Earlier = append(data.Earlier, e)
	}
	body, err := json.Marshal(webhookPayload{Type: "astern." + string(n.Event), Timestamp: n.At.UTC(), Data: data})
	if err != nil {
		return err
	}
	at := s.now()
	headers.Set("webhook-id", n.ID)
	headers.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	if c.Secret != nil {
		secret, err := s.reveal("secret", *c.Secret)
		if err != nil {
			return err
		}
		key, err := signingKey(secret)
		if err != nil {
			return err
		}
		headers.Set("webhook-signature", sign(key, n.ID, at, body))
	}
	_, err = s.post(ctx, to, body, headers)
	return err
}

// signingKey reads a signing secret: base64, with or without whsec_ in front, of 24 to 64 bytes.
func signingKey(secret string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "its signing secret is not base64").WithHint("echo whsec_$(openssl rand -base64 32) makes one")
	}
	if len(key) < 24 || len(key) > 64 {
		return nil, astern.Errorf(astern.Invalid, "its signing secret has %d bytes", len(key)).
			WithHint("it needs 24 to 64: echo whsec_$(openssl rand -base64 32) makes one")
	}
	return key, nil
}

// sign returns the value of webhook-signature.
func sign(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
