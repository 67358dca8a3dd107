package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/canary"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 21, 3, 4, 5, 0, time.UTC)

// token is a secret that stands in every place that can hold one.
var token = canary.Variables()["PROBE_TOKEN"]

// secrets are the values that channels refer to by the names of variables.
func secrets(values map[string]string) func(astern.Secret) (astern.SecretValue, error) {
	return func(s astern.Secret) (astern.SecretValue, error) {
		v, ok := values[s.Env]
		if !ok {
			return astern.SecretValue{}, astern.Errorf(astern.NotFound, "the environment variable %s is not set", s.Env)
		}
		return astern.NewSecretValue(v), nil
	}
}

func sender(t *testing.T, values map[string]string) *Sender {
	s := New(secrets(values), func() time.Time { return now })
	t.Cleanup(s.Close)
	return s
}

func told(event astern.NoticeEvent) astern.Notice {
	return astern.Notice{ID: "0123456789abcdef", Token: "inc-1/1", Topic: "inc-1", Event: event, At: now, System: "webshop", Severity: "SEV-3",
		Title: "inc-1 checkout <!channel> fails\x1b[31m\r\nBcc: eve@example.com", Lines: []string{"errors 4.1 % & rising", "<script>alert(1)</script>"},
		Addresses: []string{"production/shop"}, By: "watch", Incident: "inc-1", Command: "astern show inc-1"}
}

// received is what a receiver got.
type received struct {
	path   string
	header http.Header
	body   []byte
}

// receiver is a real server that keeps what it gets and answers as told.
func receiver(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) (url string, got func() []received) {
	t.Helper()
	var mu sync.Mutex
	var all []received
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a body that breaks off is one that the test sees
		mu.Lock()
		all = append(all, received{r.URL.Path, r.Header.Clone(), body})
		mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func() []received {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (hint: %s)", err, astern.HintOf(err))
	}
}

// silent fails the test when an error tells a secret, or more than one line.
func silent(t *testing.T, err error) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %s", err, err, astern.HintOf(err))
	if leaks := canary.Leaks([]byte(text)); len(leaks) > 0 || strings.ContainsAny(text, "\n\x1b") {
		t.Errorf("the error tells %v: %q", leaks, text)
	}
}

// TestSignature is the reference of the specification: the vector of its own libraries
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/go/webhook_test.go).
func TestSignature(t *testing.T) {
	key, err := signingKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	must(t, err)
	got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, bad := range []string{"", "whsec_", "hunter2", "whsec_c2hvcnQ=", strings.Repeat("QUJD", 30)} {
		if _, err := signingKey(bad); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestWebhook: a receiver that verifies with the specification's own library takes the message, and no changed one.
func TestWebhook(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	verifier, err := standardwebhooks.NewWebhook(secret)
	must(t, err)
	url, got := receiver(t, nil)
	s := New(secrets(map[string]string{"URL": url + "/hooks/" + token, "SECRET": secret, "KEY": token}), time.Now)
	defer s.Close()
	c := astern.Channel{Name: "hook", Webhook: &astern.WebhookChannel{SecretURL: &astern.Secret{Env: "URL"}, Secret: &astern.Secret{Env: "SECRET"},
		Headers: map[string]string{"X-Team": "shop"}, SecretHeaders: map[string]astern.Secret{"x-key": {Env: "KEY"}}}}
	first, last := told(astern.NoticeDecided), told(astern.NoticeDecided)
	last.ID, last.Token, last.Title = "another", "inc-1/2", "later"
	for range 2 {
		_, err := s.Send(t.Context(), c, Message{first, last})
		must(t, err)
	}
	all := got()
	if len(all) != 2 || all[0].path != "/hooks/"+token || all[0].header.Get("X-Team") != "shop" || all[0].header.Get("X-Key") != token {
		t.Fatalf("%+v", all)
	}
	if id := all[1].header.Get("webhook-id"); id != first.ID || id != all[0].header.Get("webhook-id") {
		t.Errorf("the second attempt has the id %q", id)
	}
	for _, r := range all {
		must(t, verifier.Verify(r.body, r.header))
		if verifier.Verify([]byte(strings.Replace(string(r.body), "later", "sooner", 1)), r.header) == nil {
			t.Error("a changed message verifies")
		}
	}
	var payload struct {
		Type      string
		Timestamp time.Time
		Data      struct {
			ID, Title, Command string
			Earlier            []astern.Notice
		}
	}
	must(t, json.Unmarshal(all[0].body, &payload))
	if payload.Type != "astern.decided" || payload.Data.ID != first.ID || payload.Data.Title != "later" || len(payload.Data.Earlier) != 1 ||
		payload.Data.Earlier[0].Token != first.Token || !payload.Timestamp.Equal(now) {
		t.Errorf("%s", all[0].body)
	}
}

func TestSlack(t *testing.T) {
	url, got := receiver(t, nil)
	s := sender(t, map[string]string{"URL": url + "/services/T0/B0/" + token + "\n"})
	_, err := s.Send(t.Context(), astern.Channel{Name: "team", Slack: &astern.SlackChannel{URL: astern.Secret{Env: "URL"}}}, Message{told(astern.NoticeOpened)})
	must(t, err)
	var m slackMessage
	must(t, json.Unmarshal(got()[0].body, &m))
	if m.Text != "webshop: SEV-3 inc-1 checkout &lt;!channel&gt; fails [31m Bcc: eve@example.com" {
		t.Errorf("%q", m.Text)
	}
	for _, b := range m.Blocks {
		for _, e := range append(b.Elements, slackText{Type: "plain_text"}) {
			if e.Type != "plain_text" || b.Text != nil && b.Text.Type != "plain_text" {
				t.Errorf("%+v may be read as markup", b)
			}
		}
	}
	if m.Blocks[1].Text.Text != "errors 4.1 % & rising\n<script>alert(1)</script>" || m.Blocks[2].Elements[3].Text != "next: astern show inc-1" {
		t.Errorf("%s", got()[0].body)
	}
	long := told(astern.NoticeOpened)
	long.Title = strings.Repeat("é ", 500)
	for range 100 {
		long.Lines = append(long.Lines, strings.Repeat("x", 10_000))
	}
	for _, big := range []Message{{long}, slices50(long)} {
		m = slackOf(big)
		if len([]rune(m.Blocks[0].Text.Text)) > slackHeader || len([]rune(m.Blocks[1].Text.Text)) > slackSection {
			t.Errorf("blocks of %d and %d characters", len([]rune(m.Blocks[0].Text.Text)), len([]rune(m.Blocks[1].Text.Text)))
		}
	}
}

func slices50(n astern.Notice) (m Message) {
	for range 50 {
		m = append(m, n)
	}
	return m
}

func TestPagerDuty(t *testing.T) {
	url, got := receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	s := sender(t, map[string]string{"KEY": token})
	c := astern.Channel{Name: "duty", PagerDuty: &astern.PagerDutyChannel{RoutingKey: astern.Secret{Env: "KEY"}, URL: url + "/"}}
	for _, e := range astern.NoticeEvents() {
		_, err := s.Send(t.Context(), c, Message{told(e)})
		must(t, err)
	}
	want := map[astern.NoticeEvent][3]string{ // path, action, severity
		astern.NoticeOpened: {"/v2/enqueue", "trigger", "critical"}, astern.NoticeHeld: {"/v2/enqueue", "trigger", "critical"},
		astern.NoticeAsked: {"/v2/enqueue", "trigger", "error"}, astern.NoticeBreakGlass: {"/v2/enqueue", "trigger", "error"},
		astern.NoticeOverdue: {"/v2/enqueue", "trigger", "warning"}, astern.NoticeResolved: {"/v2/enqueue", "resolve", ""},
		astern.NoticeDecided: {"/v2/change/enqueue", "", ""}, astern.NoticeActed: {"/v2/change/enqueue", "", ""},
	}
	for i, e := range astern.NoticeEvents() {
		r := got()[i]
		var doc struct {
			RoutingKey  string `json:"routing_key"`
			EventAction string `json:"event_action"`
			DedupKey    string `json:"dedup_key"`
			Payload     struct{ Summary, Severity, Source string }
		}
		must(t, json.Unmarshal(r.body, &doc))
		if got := [3]string{r.path, doc.EventAction, doc.Payload.Severity}; got != want[e] || doc.RoutingKey != token {
			t.Errorf("%s: %v, want %v: %s", e, got, want[e], r.body)
		}
		if e == astern.NoticeResolved && doc.DedupKey != "astern/webshop/inc-1" {
			t.Errorf("it resolves %q", doc.DedupKey)
		}
		if strings.ContainsAny(doc.Payload.Summary, "\x1b\r\n") {
			t.Errorf("%q", doc.Payload.Summary)
		}
	}
	if path, _ := pdOf(Message{told(astern.NoticeTest)}, token); path != "/v2/change/enqueue" {
		t.Errorf("a test goes to %s", path)
	}
	alone := told(astern.NoticeActed)
	alone.Incident, alone.Topic = "", "0123456789ab"
	if path, doc := pdOf(Message{alone}, token); path != "/v2/enqueue" || doc.(pdAlert).Action != "resolve" || doc.(pdAlert).DedupKey != "astern/webshop/0123456789ab" {
		t.Errorf("what was asked for a plan outside of an incident stays open: %s %+v", path, doc)
	}
}

// TestAnswers: what becomes of a message by the status that a receiver answers; nothing that it says is told.
func TestAnswers(t *testing.T) {
	echo := func(status int, headers ...string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, "%s %v", r.URL, r.Header) // whoever hung up has seen enough
		}
	}
	for name, c := range map[string]struct {
		answer   func(http.ResponseWriter, *http.Request)
		code     astern.Code
		hopeless bool
		after    time.Duration
	}{
		"redirect":           {echo(302, "Location", "http://127.0.0.1:1/"+token), astern.Refused, false, 0},
		"see other":          {echo(303, "Location", "/elsewhere"), astern.Refused, false, 0},
		"unauthorized":       {echo(401), astern.Denied, false, 0},
		"gone":               {echo(410), astern.Denied, false, 0},
		"bad request":        {echo(400), astern.Refused, true, 0},
		"too large":          {echo(413), astern.Refused, true, 0},
		"too many":           {echo(429, "Retry-After", "37"), astern.Throttled, false, 37 * time.Second},
		"too many until":     {echo(429, "Retry-After", now.Add(time.Minute).Format(http.TimeFormat)), astern.Throttled, false, time.Minute},
		"too many, long ago": {echo(429, "Retry-After", now.Add(-time.Minute).Format(http.TimeFormat)), astern.Throttled, false, 0},
		"too many, nonsense": {echo(429, "Retry-After", "-1"), astern.Throttled, false, 0},
		"too many, for ever": {echo(429, "Retry-After", "99999999999999999999"), astern.Throttled, false, 0},
		"unavailable":        {echo(503, "Retry-After", "3"), astern.Unavailable, false, 3 * time.Second},
		"breaks off":         {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, astern.Unavailable, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			url, got := receiver(t, c.answer)
			s := sender(t, map[string]string{"URL": url + "/" + token, "KEY": token})
			for _, ch := range []astern.Channel{
				{Name: "hook", Webhook: &astern.WebhookChannel{SecretURL: &astern.Secret{Env: "URL"}, SecretHeaders: map[string]astern.Secret{"X-Key": {Env: "KEY"}}}},
				{Name: "team", Slack: &astern.SlackChannel{URL: astern.Secret{Env: "URL"}}},
			} {
				_, err := s.Send(t.Context(), ch, Message{told(astern.NoticeOpened)})
				var f *Failure
				if !errors.As(err, &f) || f.Hopeless != c.hopeless || f.After != c.after || astern.CodeOf(err) != c.code {
					t.Errorf("%s: %v (%s): %+v", ch.Name, err, astern.CodeOf(err), f)
				}
				silent(t, err)
			}
			if n := len(got()); n != 2 {
				t.Errorf("%d requests: a redirect was followed, or something was sent twice", n)
			}
		})
	}
}

// TestSlackSays: the codes of Slack that help a person are told.
func TestSlackSays(t *testing.T) {
	url, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "no_service\n") // the test's own client reads it
	})
	_, err := sender(t, map[string]string{"URL": url}).Send(t.Context(), astern.Channel{Slack: &astern.SlackChannel{URL: astern.Secret{Env: "URL"}}}, Message{told(astern.NoticeOpened)})
	if err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), "no_service") || astern.CodeOf(err) != astern.Denied {
		t.Errorf("%v", err)
	}
}

// TestEndlessAnswer: an answer of any size is read no further than needed, and the message counts as taken.
func TestEndlessAnswer(t *testing.T) {
	wrote := make(chan int64, 1)
	url, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		n, block := int64(0), make([]byte, 1<<20)
		for n < 1<<30 {
			m, err := w.Write(block)
			n += int64(m)
			if err != nil {
				break
			}
		}
		wrote <- n
	})
	_, err := sender(t, map[string]string{"URL": url}).Send(t.Context(), astern.Channel{Slack: &astern.SlackChannel{URL: astern.Secret{Env: "URL"}}}, Message{told(astern.NoticeOpened)})
	must(t, err)
	if n := <-wrote; n >= 1<<30 {
		t.Errorf("%d bytes were read", n)
	}
}

// TestHanging: who does not answer is left when the caller's time is over.
func TestHanging(t *testing.T) {
	came := make(chan struct{})
	url, _ := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		close(came)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-came; cancel() }()
	_, err := sender(t, map[string]string{"URL": url}).Send(ctx, astern.Channel{Slack: &astern.SlackChannel{URL: astern.Secret{Env: "URL"}}}, Message{told(astern.NoticeOpened)})
	if astern.CodeOf(err) != astern.Interrupted {
		t.Errorf("%v", err)
	}
	silent(t, err)
}

// TestUnreachable: errors say why and never where.
func TestUnreachable(t *testing.T) {
	tlsServer := httptest.NewTLSServer(http.NotFoundHandler()) // of an authority that nobody knows
	t.Cleanup(tlsServer.Close)
	tlsServer.Config.ErrorLog = nil
	for what, url := range map[string]string{
		"connection refused": "http://127.0.0.1:1/" + token, "can't be resolved": "http://" + token + ".invalid/", "does not verify": tlsServer.URL + "/" + token,
		"begins with http": "ftp://host/" + token, "is not one": "http://[" + token, "line break": "http://host/\n" + token, "not set": "",
	} {
		values := map[string]string{"URL": url}
		if url == "" {
			values = nil
		}
		_, err := sender(t, values).Send(t.Context(), astern.Channel{Webhook: &astern.WebhookChannel{SecretURL: &astern.Secret{Env: "URL"}}}, Message{told(astern.NoticeOpened)})
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		silent(t, err)
	}
}
