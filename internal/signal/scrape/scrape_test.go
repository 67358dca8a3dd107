package scrape_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/goleak"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/fetch"
	"github.com/astern-dev/astern/internal/signal/scrape"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// app is a program that counts with Prometheus' own client library.
type app struct {
	requests        *prometheus.CounterVec
	classic, native prometheus.Histogram
	registry        *prometheus.Registry
}

func newApp() *app {
	a := &app{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests \\ with a\nline."}, []string{"code", "path"}),
		classic:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "classic_seconds", Buckets: []float64{0.1, 0.25, 1}}),
		native:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "native_seconds", NativeHistogramBucketFactor: 1.1}),
		registry: prometheus.NewRegistry(),
	}
	a.registry.MustRegister(a.requests, a.classic, a.native, collectors.NewGoCollector())
	return a
}

func (a *app) serve(code, path string, seconds float64) {
	a.requests.WithLabelValues(code, path).Inc()
	a.classic.(prometheus.ExemplarObserver).ObserveWithExemplar(seconds, prometheus.Labels{"trace": "x # {y} 7"})
	a.native.Observe(seconds)
}

// as returns what the app answers with to whoever takes no more than these types.
func (a *app) as(accept string) http.Handler {
	h := promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		h.ServeHTTP(w, r)
	})
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func newReader(t *testing.T, o fetch.Options) *scrape.Reader {
	t.Helper()
	c := fetch.New(o)
	t.Cleanup(c.Close)
	return scrape.New(c, time.Now)
}

func ask(url string, s astern.ScrapeSource, members ...string) signal.Ask {
	s.URL = url
	a := signal.Ask{Signal: astern.Signal{Name: "s", Address: "production/shop", Scrape: &s}}
	for _, m := range members {
		a.Members = append(a.Members, signal.Member{Name: m})
	}
	return a
}

// The same counters say the same in each form that the client library writes.
func TestEveryFormSaysTheSame(t *testing.T) {
	a := newApp()
	for i := range 20 {
		a.serve("200", `/a "quoted" \ path`+"\n", 0.05+float64(i)/50)
	}
	for range 3 {
		a.serve("503", "/b,{}=", 2)
	}
	forms := map[string]string{
		"protobuf":    "",
		"openmetrics": "application/openmetrics-text;version=1.0.0",
		"text":        "text/plain;version=0.0.4",
	}
	for name, accept := range forms {
		t.Run(name, func(t *testing.T) {
			url := serve(t, a.as(accept)) + "/{member}"
			asks := []signal.Ask{
				ask(url, astern.ScrapeSource{Total: "http_requests_total", Bad: `http_requests_total{code=~"5.."}`}, "m"),
				ask(url, astern.ScrapeSource{Total: `http_requests_total{path="/a \"quoted\" \\ path\n"}`, Histogram: "classic_seconds"}, "m"),
			}
			if name == "protobuf" {
				asks = append(asks, ask(url, astern.ScrapeSource{Histogram: "native_seconds"}, "m"))
			}
			got := newReader(t, fetch.Options{}).Read(t.Context(), asks)
			for i, g := range got {
				if g.Err != nil || len(g.Failed) > 0 || len(g.Readings) != 1 {
					t.Fatalf("%d: %+v", i, g)
				}
			}
			if r := got[0].Readings[0]; r.Total != 23 || r.Bad != 3 || (r.Started == nil) != (name == "text") {
				t.Errorf("%+v", r)
			}
			if r := got[1].Readings[0]; r.Total != 20 {
				t.Errorf("%+v", r)
			}
			for x, want := range map[float64]float64{0.1: 3, 0.25: 11, 1: 20} {
				if n, ok := got[1].Readings[0].AtMost(x); !ok || n != want {
					t.Errorf("classic: at most %g: %g %v, want %g", x, n, ok, want)
				}
			}
			if name != "protobuf" {
				return
			}
			r := got[2].Readings[0]
			for x, want := range map[float64]float64{1: 20, 1.5: 20, 0.04: 0, 4: 23} {
				if n, ok := r.AtMost(x); !ok || n != want {
					t.Errorf("native: at most %g: %g %v, want %g", x, n, ok, want)
				}
			}
			if r.Total != 23 || len(r.Buckets) < 20 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A process that starts anew between two readings is left out once, and then counted from its start.
func TestRestartOfARealExporter(t *testing.T) {
	running := newApp()
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { running.as("").ServeHTTP(w, r) }))
	r := newReader(t, fetch.Options{})
	a := ask(url+"/{member}", astern.ScrapeSource{Total: "http_requests_total", Bad: `http_requests_total{code="500"}`}, "old")
	var m signal.Meter
	clock := time.Now()
	round := func() astern.Sample {
		answer := r.Read(t.Context(), []signal.Ask{a})[0]
		clock = clock.Add(time.Second)
		s, _ := m.Add(clock, answer, signal.Groups{"old": signal.Control})
		return s
	}
	running.serve("200", "/", 0.1)
	round()
	round()
	round()
	running.serve("500", "/", 0.1) // a series that appears with the first failure
	if s := round(); s.Control == nil || s.Control.Total != 1 || s.Control.Bad != 1 {
		t.Fatalf("%+v", s)
	}
	running = newApp()
	for range 9 { // more than before: only the time of creation tells
		running.serve("200", "/", 0.1)
		running.serve("500", "/", 0.1)
	}
	before := m.Held["old"].Base.Started.Add(-time.Hour)
	m.Held["old"].Base.Started = &before // as if it had run for an hour
	if s := round(); s.Control != nil || s.Left["old"] != "it restarted" {
		t.Fatalf("%+v", s)
	}
	running.serve("200", "/", 0.1)
	if s := round(); s.Control == nil || s.Control.Total != 1 || s.Control.Bad != 0 {
		t.Fatalf("%+v", s)
	}
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, body)
	}
}

func typed(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}
}

// What hostile endpoints answer is a reason and no reading; it hides no other member.
func TestHostileEndpoints(t *testing.T) {
	good := serve(t, text("a 1\n"))
	other := serve(t, text("a 1000\n"))
	endless := func(contentType, piece string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			for {
				if _, err := io.WriteString(w, piece); err != nil {
					return
				}
			}
		}
	}
	const om, proto = "application/openmetrics-text; version=1.0.0", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		says string
	}{
		"hangs": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "did not answer in time"},
		"hangs within": {func(w http.ResponseWriter, r *http.Request) {
			text("a 1\n")(w, r)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "did not answer in time"},
		"redirects elsewhere":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusFound) }, "is not followed"},
		"redirects to itself":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "is not followed"},
		"gigabytes":            {endless("text/plain", strings.Repeat("# gigabytes\n", 1000)), "larger than 16 MB"},
		"one line without end": {endless("text/plain", strings.Repeat("a", 4096)), "too long"},
		"a million series":     {endless("text/plain", strings.Repeat("b{c=\"d\"} 1\n", 1000)), "larger than 16 MB"},
		"too many that match":  {endless("text/plain", strings.Repeat("a{c=\"d\"} 1\n", 1000)), "the same series twice"},
		"announces gigabytes":  {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "99999999999") }, "larger than 16 MB"},
		"compresses": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			text("\x1f\x8b")(w, r)
		}, "compresses its answer"},
		"HTML":                     {typed("text/html", "<html>a 1</html>"), "another type than metrics"},
		"HTML as text":             {text("<html>\na 1\n</html>\n"), "no series"},
		"no type":                  {typed("", "a 1\n"), "does not say of what type"},
		"JSON":                     {typed("application/json", "{}"), "another type than metrics"},
		"an error":                 {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "it answers 500"},
		"nothing":                  {text(""), "it exposes no series a"},
		"another metric":           {text("ab 1\n"), "it exposes no series a"},
		"no number":                {text("a one\n"), "no number"},
		"a hexadecimal number":     {text("a 0x10\n"), "no number"},
		"no end of line":           {text("b 1\na 1"), "breaks off within a line"},
		"no end":                   {typed(om, "a 1\n"), "breaks off before # EOF"},
		"more after the end":       {typed(om, "a 1\n# EOF\na 2\n"), "comes after # EOF"},
		"twice":                    {text("a 1\na 1\n"), "the same series twice"},
		"a label twice":            {text("a{b=\"1\",b=\"2\"} 1\n"), "carries the label b twice"},
		"labels that don't end":    {text("a{b=\"1 1\n"), "labels can't be read"},
		"no UTF-8":                 {text("a{b=\"\xff\"} 1\n"), "not UTF-8"},
		"control characters":       {text("\x1b[31mred 1\n"), "no series"},
		"a time that is none":      {text("a 1 1e300\n"), "time can't be read"},
		"protobuf that is none":    {typed(proto, "\x05hello"), "no protobuf"},
		"protobuf without end":     {typed(proto, "\xff\xff\xff\x03a"), "breaks off within a family"},
		"protobuf that breaks off": {typed(proto, "\xff\x01a"), "breaks off within a family"},
		"protobuf of gigabytes":    {typed(proto, "\xff\xff\xff\x7fa"), "no protobuf"},
		"protobuf without length":  {typed(proto, strings.Repeat("\xff", 20)), "overflow"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := serve(t, c.h)
			o := fetch.Options{Timeout: 10 * time.Second}
			if strings.Contains(c.says, "in time") {
				o.Timeout = 200 * time.Millisecond
			}
			o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				to := strings.TrimPrefix(good, "http://")
				if strings.HasPrefix(address, "bad") {
					to = strings.TrimPrefix(bad, "http://")
				}
				return (&net.Dialer{}).DialContext(ctx, network, to)
			}
			got := newReader(t, o).Read(t.Context(), []signal.Ask{ask("http://{member}/m", astern.ScrapeSource{Total: "a"}, "bad", "good")})[0]
			if !strings.Contains(got.Failed["bad"], c.says) || len(got.Failed["bad"]) > 250 || strings.ContainsAny(got.Failed["bad"], "\n\x1b<") {
				t.Errorf("bad: %q, want %q", got.Failed["bad"], c.says)
			}
			if len(got.Readings) != 1 || got.Readings[0].Member != "good" || got.Readings[0].Total != 1 {
				t.Errorf("good: %+v", got)
			}
		})
	}
}

// A redirect within the same host is followed, and no secret of a header ever shows.
func TestRedirectAndSecret(t *testing.T) {
	const value = "hunter2-hunter2"
	mux := http.NewServeMux()
	mux.HandleFunc("/m", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/metrics", http.StatusMovedPermanently)
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") != value {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		text("a 7\n")(w, r)
	})
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://example.invalid/"+r.Header.Get("X-Key"), http.StatusFound)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { text("a{"+r.Header.Get("X-Key")+" 1\n")(w, r) })
	mux.HandleFunc("/type", func(w http.ResponseWriter, r *http.Request) { typed(r.Header.Get("X-Key"), "a 1\n")(w, r) })
	url := serve(t, mux)
	r := newReader(t, fetch.Options{Secret: func(s astern.Secret) (astern.SecretValue, error) {
		if s.Env != "KEY" {
			return astern.SecretValue{}, errors.New("no such variable")
		}
		return astern.NewSecretValue(value), nil
	}})
	source := func(env string) astern.ScrapeSource {
		return astern.ScrapeSource{Total: "a", SecretHeaders: map[string]astern.Secret{"X-Key": {Env: env}}}
	}
	if got := r.Read(t.Context(), []signal.Ask{ask(url+"/m", source("KEY"), "x")})[0]; len(got.Readings) != 1 || got.Readings[0].Total != 7 {
		t.Errorf("%+v", got)
	}
	for _, path := range []string{"/elsewhere", "/echo", "/type"} {
		got := fmt.Sprintf("%+v", r.Read(t.Context(), []signal.Ask{ask(url+path, source("KEY"), "x")}))
		if strings.Contains(got, value) || !strings.Contains(got, "x:") {
			t.Errorf("%s: %s", path, got)
		}
	}
	if got := r.Read(t.Context(), []signal.Ask{ask(url+"/m", source("ABSENT"), "x")})[0]; !strings.Contains(got.Failed["x"], "no such variable") {
		t.Errorf("%+v", got)
	}
}

// Signals of one component share a question, and connections are used again.
func TestQuestionsAreShared(t *testing.T) {
	asked, opened := 0, 0
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked++; text("a 1\nb 2\n")(w, r) }))
	r := newReader(t, fetch.Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		opened++
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}})
	for range 5 {
		got := r.Read(t.Context(), []signal.Ask{ask(url, astern.ScrapeSource{Total: "a"}, "x"), ask(url, astern.ScrapeSource{Total: "b"}, "x")})
		if diff := cmp.Diff([]float64{1, 2}, []float64{got[0].Readings[0].Total, got[1].Readings[0].Total}); diff != "" {
			t.Fatal(diff)
		}
	}
	if asked != 5 || opened != 1 {
		t.Errorf("%d questions over %d connections", asked, opened)
	}
}
