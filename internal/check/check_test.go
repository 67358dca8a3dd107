package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/astern-dev/astern"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a real server and returns its URL.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// listen accepts connections and hands each to serve, which owns it.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// closedPort returns an address at which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func httpCheck(h astern.HTTPCheck) astern.Check {
	return astern.Check{Name: "health", Address: "production/shop", HTTP: &h, Effects: astern.EffectsNone,
		TimeoutSeconds: 5, Attempts: 1}
}

func expect(t *testing.T, r astern.CheckResult, verdict astern.Verdict, evidence ...string) {
	t.Helper()
	if r.Verdict != verdict {
		t.Errorf("verdict %s, want %s: %s", r.Verdict, verdict, r.Evidence)
	}
	for _, e := range evidence {
		if !strings.Contains(r.Evidence, e) {
			t.Errorf("evidence %q lacks %q", r.Evidence, e)
		}
	}
	if strings.ContainsAny(r.Evidence, "\n\r\x1b") || len(r.Evidence) > 1000 {
		t.Errorf("evidence is not one short line: %q", r.Evidence)
	}
}

func TestHTTPAnswers(t *testing.T) {
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			w.Header().Set("X-Revision", "v1.2.3")
			io.WriteString(w, `{"version":"v1.2.3","db":{"pool":{"free":3.0,"big":12345678901234567890}},"items":[{"id":7,"ok":true,"none":null}],"a.b":{"c":"dots"}}`)
		case "/503":
			w.WriteHeader(503)
			io.WriteString(w, "no database\n\x1b[31mtoday")
		case "/401":
			w.WriteHeader(401)
		case "/html":
			io.WriteString(w, "<html>welcome</html>")
		case "/two":
			io.WriteString(w, `{"a":1} {"a":1}`)
		case "/echo":
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.Header.Get("X-A"), b)
		}
	})
	for _, c := range []struct {
		name     string
		check    astern.HTTPCheck
		verdict  astern.Verdict
		evidence []string
	}{
		{"2xx passes", astern.HTTPCheck{URL: base + "/ok"}, astern.Pass, []string{"GET " + base + "/ok: 200 in "}},
		{"503 fails and shows the body", astern.HTTPCheck{URL: base + "/503"}, astern.Fail, []string{"503 in ", "want 200-299", "body: no database [31mtoday"}},
		{"401 is alive", astern.HTTPCheck{URL: base + "/401", Status: []int{401}}, astern.Pass, nil},
		{"200 is not 401", astern.HTTPCheck{URL: base + "/ok", Status: []int{401, 403}}, astern.Fail, []string{"want 401 or 403"}},
		{"header equals", astern.HTTPCheck{URL: base + "/ok", HeaderEquals: map[string]string{"x-revision": "v1.2.3"}}, astern.Pass, nil},
		{"header differs", astern.HTTPCheck{URL: base + "/ok", HeaderEquals: map[string]string{"X-Revision": "v1.2.2"}}, astern.Fail, []string{`X-Revision is "v1.2.3", want "v1.2.2"`}},
		{"json equals", astern.HTTPCheck{URL: base + "/ok", JSONEquals: map[string]string{"version": "v1.2.3", "db.pool.free": "3.0",
			"db.pool.big": "12345678901234567890", "items.0.id": "7", "items.0.ok": "true", "items.0.none": "null", "a.b.c": "dots",
			"items.0": `{"id":7,"none":null,"ok":true}`}}, astern.Pass, nil},
		{"numbers compare as printed", astern.HTTPCheck{URL: base + "/ok", JSONEquals: map[string]string{"db.pool.free": "3"}}, astern.Fail, []string{`db.pool.free is "3.0", want "3"`}},
		{"json path absent", astern.HTTPCheck{URL: base + "/ok", JSONEquals: map[string]string{"items.1.id": "7"}}, astern.Fail, []string{"items.1.id is not in the body"}},
		{"not json", astern.HTTPCheck{URL: base + "/html", JSONEquals: map[string]string{"a": "1"}}, astern.Fail, []string{"not JSON", "<html>"}},
		{"empty is not json", astern.HTTPCheck{URL: base + "/none", JSONEquals: map[string]string{"a": "1"}}, astern.Fail, []string{"it is empty"}},
		{"two documents", astern.HTTPCheck{URL: base + "/two", JSONEquals: map[string]string{"a": "1"}}, astern.Fail, []string{"something follows"}},
		{"contains", astern.HTTPCheck{URL: base + "/html", Contains: "welcome"}, astern.Pass, nil},
		{"contains not", astern.HTTPCheck{URL: base + "/html", Contains: "goodbye"}, astern.Fail, []string{`does not contain "goodbye"`}},
		{"method, headers and body are sent", astern.HTTPCheck{URL: base + "/echo", Method: "POST", Body: "hello", Headers: map[string]string{"X-A": "b"}, Contains: "POST b hello"}, astern.Pass, nil},
		{"invalid method", astern.HTTPCheck{URL: base, Method: "GE T"}, astern.Unknown, []string{"can't be asked"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, Runner{}.Run(t.Context(), httpCheck(c.check)), c.verdict, c.evidence...)
		})
	}
}

func TestHTTPGigabytes(t *testing.T) {
	var written atomic.Int64
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		line := strings.Repeat("x", 1<<16)
		for range 1 << 14 { // one gigabyte
			n, err := io.WriteString(w, line)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	c := httpCheck(astern.HTTPCheck{URL: base})
	expect(t, Runner{}.Run(t.Context(), c), astern.Pass)
	c.HTTP.Contains = "y"
	expect(t, Runner{}.Run(t.Context(), c), astern.Unknown, "first MB")
	c.HTTP.Contains = "x"
	expect(t, Runner{}.Run(t.Context(), c), astern.Pass)
	c.HTTP.JSONEquals = map[string]string{"a": "b"}
	expect(t, Runner{}.Run(t.Context(), c), astern.Unknown, "longer than 1 MB")
	c.HTTP.JSONEquals, c.HTTP.Status = nil, []int{204}
	expect(t, Runner{}.Run(t.Context(), c), astern.Fail, "want 204")
	if n := written.Load(); n > 200<<20 {
		t.Errorf("%d MB were taken from the server", n>>20)
	}
}

func TestHTTPRedirects(t *testing.T) {
	other := serve(t, func(w http.ResponseWriter, r *http.Request) { t.Error("a redirect to another host was followed") })
	posts := 0
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/here":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/away":
			http.Redirect(w, r, other+"/x", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/post":
			posts++
			http.Redirect(w, r, "/post", http.StatusTemporaryRedirect)
		}
	})
	run := func(h astern.HTTPCheck) astern.CheckResult { return Runner{}.Run(t.Context(), httpCheck(h)) }
	expect(t, run(astern.HTTPCheck{URL: base + "/here"}), astern.Pass)
	expect(t, run(astern.HTTPCheck{URL: base + "/here", Status: []int{302}}), astern.Pass, "302 in")
	expect(t, run(astern.HTTPCheck{URL: base + "/away"}), astern.Fail, "302 in", "redirect to "+other+"/x is not followed")
	expect(t, run(astern.HTTPCheck{URL: base + "/loop"}), astern.Fail, "302 in")
	expect(t, run(astern.HTTPCheck{URL: base + "/post", Method: "POST", Body: "x"}), astern.Fail, "307 in")
	if posts != 1 {
		t.Errorf("a POST was sent %d times", posts)
	}
}

func TestHTTPThatHangs(t *testing.T) {
	c := httpCheck(astern.HTTPCheck{})
	c.TimeoutSeconds = 0.15

	var held []net.Conn
	t.Cleanup(func() { // runs after the listener has ended
		for _, c := range held {
			c.Close()
		}
	})
	silent := listen(t, func(c net.Conn) { held = append(held, c) })
	c.HTTP.URL = "http://" + silent + "/health"
	expect(t, Runner{}.Run(t.Context(), c), astern.Fail, "connected, no answer within 150 ms")
	c.HTTP.URL = "https://" + silent + "/health" // hangs in the TLS handshake
	expect(t, Runner{}.Run(t.Context(), c), astern.Fail, "connected, no answer within 150 ms")

	c.HTTP.URL = serve(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }) // slow headers
	expect(t, Runner{}.Run(t.Context(), c), astern.Fail, "no answer within")

	c.HTTP.URL = serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "{")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	expect(t, Runner{}.Run(t.Context(), c), astern.Pass) // only the status was asked for, and it came
	c.HTTP.Contains = "}"
	expect(t, Runner{}.Run(t.Context(), c), astern.Fail, "the body did not end within")

	c.HTTP.Contains, c.HTTP.URL = "", "http://192.0.2.1/"
	never := Runner{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }}
	expect(t, never.Run(t.Context(), c), astern.Unknown, "no connection within 150 ms")
}

func TestHTTPThatBreaks(t *testing.T) {
	run := func(u string) astern.CheckResult {
		return Runner{}.Run(t.Context(), httpCheck(astern.HTTPCheck{URL: u}))
	}
	expect(t, run("http://"+closedPort(t)), astern.Fail, "connection refused")
	expect(t, run("http://no-such-host.invalid/"), astern.Unknown, "can't resolve no-such-host.invalid")
	expect(t, run("http://"+listen(t, func(c net.Conn) { c.Close() })), astern.Fail, "closed without an answer")
	expect(t, run("http://"+listen(t, func(c net.Conn) {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})), astern.Fail)
	expect(t, run("http://"+listen(t, func(c net.Conn) {
		c.Read(make([]byte, 4096)) // the request
		io.WriteString(c, "220 mail.example.com ESMTP\r\n")
		c.Close()
	})), astern.Fail, "no usable answer", "malformed HTTP")
	for range 20 { // one that speaks first is met before, while or after the request is written
		expect(t, run("http://"+listen(t, func(c net.Conn) { io.WriteString(c, "SSH-2.0-OpenSSH_9\r\n"); c.Close() })), astern.Fail)
	}

	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	expect(t, run(strings.Replace(plain, "http:", "https:", 1)), astern.Unknown, "TLS")

	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = nil
	defer s.Close()
	expect(t, run(s.URL), astern.Unknown, "TLS", "certificate")
	trusting := Runner{TLS: s.Client().Transport.(*http.Transport).TLSClientConfig}
	expect(t, trusting.Run(t.Context(), httpCheck(astern.HTTPCheck{URL: s.URL})), astern.Pass)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	expect(t, Runner{}.Run(ctx, httpCheck(astern.HTTPCheck{URL: plain})), astern.Unknown, "interrupted")
}

func TestAttempts(t *testing.T) {
	var asked atomic.Int64
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Close != true {
			t.Error("the connection is kept alive")
		}
		if asked.Add(1) < 3 {
			w.WriteHeader(500)
		}
	})
	c := httpCheck(astern.HTTPCheck{URL: base})
	c.Attempts, c.IntervalSeconds = 5, 0.001
	r := Runner{}.Run(t.Context(), c)
	expect(t, r, astern.Pass)
	if r.Attempts != 3 || asked.Load() != 3 || r.Seconds <= 0 || r.At.IsZero() || r.Check != "health" {
		t.Errorf("%+v after %d questions", r, asked.Load())
	}
	asked.Store(-10)
	c.Attempts = 2
	if r = (Runner{}).Run(t.Context(), c); r.Verdict != astern.Fail || r.Attempts != 2 {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.IntervalSeconds = 3600
	stop := Runner{Now: func() time.Time { // the clock is read within the attempt: the wait after it is interrupted
		if asked.Load() > -7 {
			cancel()
		}
		return time.Now()
	}}
	asked.Store(-7)
	expect(t, stop.Run(ctx, c), astern.Unknown, "interrupted after attempt 1 of 2")
}

func TestTCP(t *testing.T) {
	tcp := func(address string) astern.CheckResult {
		return Runner{}.Run(t.Context(), astern.Check{Name: "port", TCP: &astern.TCPCheck{Address: address}, TimeoutSeconds: 5})
	}
	expect(t, tcp(listen(t, func(c net.Conn) { c.Close() })), astern.Pass, "connected in")
	expect(t, tcp(closedPort(t)), astern.Fail, "connection refused")
	expect(t, tcp("no-such-host.invalid:80"), astern.Unknown, "can't resolve")
	expect(t, tcp("nonsense"), astern.Unknown, "missing port")
}

// local runs a command on this machine, for the tests.
func local(ctx context.Context, host string, argv []string, env map[string]string, timeout time.Duration) (int, string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(out), nil
	}
	return 0, string(out), err
}

func TestCommand(t *testing.T) {
	run := func(c astern.CommandCheck) astern.CheckResult {
		return Runner{Command: local}.Run(t.Context(), astern.Check{Name: "smoke", Command: &c, TimeoutSeconds: 0.3})
	}
	sh := func(script string, failOn ...int) astern.CheckResult {
		return run(astern.CommandCheck{Argv: []string{"sh", "-c", script}, FailOn: failOn, Env: map[string]string{"PATH": "/bin:/usr/bin", "GREETING": "hello"}})
	}
	expect(t, sh("echo $GREETING"), astern.Pass, "exit 0", "said: hello")
	expect(t, sh("echo bad; echo worse; exit 1"), astern.Fail, "exit 1", "want 0", "said: bad worse")
	expect(t, sh("exit 125"), astern.Fail)
	expect(t, sh("exit 126"), astern.Unknown, "exit 126")
	expect(t, sh("exit 127"), astern.Unknown)
	expect(t, sh("exit 2", 1), astern.Unknown, "neither pass nor fail")
	expect(t, sh("exit 200", 200), astern.Fail)
	expect(t, sh("kill -9 $$"), astern.Unknown, "signal")
	expect(t, sh("exec sleep 60"), astern.Unknown, "did not end within 300 ms")
	expect(t, run(astern.CommandCheck{Argv: []string{"/nonexistent/program"}}), astern.Unknown, "could not be run")
	expect(t, Runner{}.Run(t.Context(), astern.Check{Name: "smoke", Command: &astern.CommandCheck{Argv: []string{"true"}}}), astern.Unknown, "no command can be run")
	expect(t, Runner{}.Run(t.Context(), astern.Check{Name: "empty"}), astern.Unknown)
}

func TestNoSecretIsShown(t *testing.T) {
	const canary = `s3cr3t-"canary"/Ä+value`
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got := r.Header.Get("Authorization")
		switch r.URL.Path {
		case "/location":
			w.Header().Set("Location", "http://other.invalid/?t="+url.QueryEscape(got))
			w.WriteHeader(302)
		case "/header":
			w.Header().Set("X-Echo", got)
		case "/json":
			fmt.Fprintf(w, `{"token":%q}`, got)
		default: // at every offset, so that it is cut at every place
			n := 0
			fmt.Sscanf(r.URL.Path, "/pad/%d", &n)
			w.WriteHeader(500)
			io.WriteString(w, strings.Repeat("x ", n)+got+strings.Repeat(" y", 600))
		}
	})
	r := Runner{Secret: func(s astern.Secret) (astern.SecretValue, error) {
		if s.Env != "TOKEN" {
			return astern.SecretValue{}, errors.New("no such secret")
		}
		return astern.NewSecretValue("Bearer " + canary), nil
	}}
	check := func(h astern.HTTPCheck) astern.CheckResult {
		h.SecretHeaders = map[string]astern.Secret{"Authorization": {Env: "TOKEN"}}
		res := r.Run(t.Context(), httpCheck(h))
		for _, part := range []string{canary, "s3cr", "s3cr3t", "canary", url.QueryEscape(canary), "c%2Fvalue"} {
			if strings.Contains(res.Evidence, part) {
				t.Fatalf("the evidence shows %q: %s", part, res.Evidence)
			}
		}
		return res
	}
	expect(t, check(astern.HTTPCheck{URL: base + "/location"}), astern.Fail, "<secret>")
	expect(t, check(astern.HTTPCheck{URL: base + "/header", HeaderEquals: map[string]string{"X-Echo": "no"}}), astern.Fail, "<secret>")
	expect(t, check(astern.HTTPCheck{URL: base + "/json", JSONEquals: map[string]string{"token": "no"}}), astern.Fail, "<secret>")
	expect(t, check(astern.HTTPCheck{URL: base + "/json", Contains: "no"}), astern.Fail, "<secret>")
	for n := 40; n < 270; n++ {
		check(astern.HTTPCheck{URL: fmt.Sprintf("%s/pad/%d", base, n)})
	}
	h := astern.HTTPCheck{URL: base, SecretHeaders: map[string]astern.Secret{"A": {Env: "OTHER"}}}
	expect(t, r.Run(t.Context(), httpCheck(h)), astern.Unknown, "reading the secret of header A")
	expect(t, Runner{}.Run(t.Context(), httpCheck(h)), astern.Unknown, "no secret can be read")
	expect(t, r.Run(t.Context(), httpCheck(astern.HTTPCheck{URL: "http://user:hunter2@" + closedPort(t)})), astern.Fail, "user:xxxxx@")
}
