package prometheus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	promapi "github.com/prometheus/client_golang/api/prometheus/v1"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/fetch"
	"github.com/astern-dev/astern/internal/signal/prometheus"
)

// shop is one member that a real Prometheus scrapes.
type shop struct {
	requests *client.CounterVec
	classic  client.Histogram
	native   client.Histogram
	address  string
	server   *httptest.Server
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{
		requests: client.NewCounterVec(client.CounterOpts{Name: "http_requests_total"}, []string{"code"}),
		classic:  client.NewHistogram(client.HistogramOpts{Name: "classic_seconds", Buckets: []float64{0.1, 0.25, 1}}),
		native:   client.NewHistogram(client.HistogramOpts{Name: "native_seconds", NativeHistogramBucketFactor: 1.1}),
	}
	r := client.NewRegistry()
	r.MustRegister(s.requests, s.classic, s.native, client.NewGaugeFunc(client.GaugeOpts{Name: "process_start_time_seconds"}, func() float64 { return 1.7e9 }))
	s.server = httptest.NewServer(promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	t.Cleanup(s.server.Close)
	s.address = s.server.Listener.Addr().String()
	return s
}

func (s *shop) serve(code string, seconds float64) {
	s.requests.WithLabelValues(code).Inc()
	s.classic.Observe(seconds)
	s.native.Observe(seconds)
}

// start runs a real Prometheus that scrapes the shops every 200 ms, and returns its URL.
func start(t *testing.T, shops ...*shop) string {
	t.Helper()
	return startWith(t, "200ms", nil, shops...)
}

// startWith is start with another interval and more flags. Labels that a shop sets itself are kept.
func startWith(t *testing.T, every string, flags []string, shops ...*shop) string {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("no prometheus on this machine; scripts/need.sh tests installs it")
	}
	dir := t.TempDir()
	var targets []string
	for _, s := range shops {
		targets = append(targets, fmt.Sprintf("%q", s.address))
	}
	config := fmt.Sprintf("global: {scrape_interval: %s, scrape_timeout: %[1]s}\nscrape_configs: [{job_name: shop, honor_labels: true, static_configs: [{targets: [%[2]s]}]}]\n", every, strings.Join(targets, ", "))
	if err := os.WriteFile(filepath.Join(dir, "p.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command(program, append(flags, "--config.file="+filepath.Join(dir, "p.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--enable-feature=native-histograms", "--log.level=error")...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	url := "http://" + address
	until(t, "Prometheus is ready", func() bool {
		resp, err := http.Get(url + "/-/ready")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == 200
	})
	return url
}

// until asks again and again, and gives up only when the whole test would take too long.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func newReader(t *testing.T) *prometheus.Reader {
	t.Helper()
	c := fetch.New(fetch.Options{Secret: func(astern.Secret) (astern.SecretValue, error) {
		return astern.NewSecretValue("hunter2-hunter2"), nil
	}})
	t.Cleanup(c.Close)
	return prometheus.New(c, time.Now)
}

func ask(url string, s astern.PrometheusSource, shops ...*shop) signal.Ask {
	s.URL, s.Member = url, "instance"
	a := signal.Ask{Signal: astern.Signal{Name: "s", Address: "production/shop", Prometheus: &s}}
	for i, x := range shops {
		a.Members = append(a.Members, signal.Member{Name: fmt.Sprint("shop-", i+1), Address: x.address})
	}
	return a
}

// A real Prometheus that scrapes real exporters: now, a member that goes, a bad signal among good ones, and the past.
func TestRealPrometheus(t *testing.T) {
	a, b := newShop(t), newShop(t)
	for range 20 {
		a.serve("200", 0.05)
	}
	for range 3 {
		a.serve("503", 2)
	}
	b.serve("200", 0.05)
	url := start(t, a, b)
	r := newReader(t)
	asks := []signal.Ask{
		ask(url, astern.PrometheusSource{Total: `http_requests_total{job="shop"}`, Bad: `http_requests_total{code=~"5.."}`}, a, b),
		ask(url, astern.PrometheusSource{Histogram: "classic_seconds"}, a, b),
		ask(url, astern.PrometheusSource{Histogram: `native_seconds{job="shop"}`}, a, b),
		ask(url, astern.PrometheusSource{Total: "absent_total"}, a, b),
	}
	var got []signal.Answer
	defer func() {
		if t.Failed() {
			t.Logf("%+v", got)
		}
	}()
	until(t, "both are scraped", func() bool {
		got = r.Read(t.Context(), asks)
		return len(got[0].Readings) == 2 && len(got[1].Readings) == 2 && len(got[2].Readings) == 2
	})
	one := got[0].Readings[0]
	if one.Member != "shop-1" || one.Total != 23 || one.Bad != 3 || one.Started == nil || one.Started.Unix() != 1.7e9 ||
		got[0].Now.Sub(one.At) < 0 || got[0].Now.Sub(one.At) > 10*time.Second || got[0].Skew.Abs() > 5*time.Second {
		t.Errorf("%+v of %+v", one, got[0])
	}
	for i, want := range []map[float64]float64{1: {0.1: 20, 1: 20, 0.25: 20}, 2: {1: 20, 0.03: 0, 4: 23}} {
		for x, n := range want {
			if have, ok := got[i].Readings[0].AtMost(x); !ok || have != n {
				t.Errorf("%d: at most %g: %g %v, want %g of %v", i, x, have, ok, n, got[i].Readings[0].Buckets)
			}
		}
	}
	if got[3].Err != nil || !strings.Contains(got[3].Failed["shop-1"], "no current series") {
		t.Errorf("%+v", got[3])
	}
	theirs(t, url, got[0])
	past(t, r, asks[0], url, a)

	b.server.CloseClientConnections()
	b.server.Close() // Prometheus marks its series as stale at the next scrape
	until(t, "the member is gone", func() bool {
		got = r.Read(t.Context(), asks[:1])
		return len(got[0].Readings) == 1 && got[0].Failed["shop-2"] != ""
	})
}

// theirs asks with Prometheus' own client library for the same.
func theirs(t *testing.T, url string, got signal.Answer) {
	t.Helper()
	c, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		t.Fatal(err)
	}
	v, _, _, err := promapi.NewAPI(c).Query(t.Context(), "sum by (instance) (http_requests_total)", time.Now())
	vector, ok := v.(model.Vector)
	if err != nil || !ok || len(vector) != len(got.Readings) {
		t.Fatal(v, err)
	}
	sum := 0.0
	for _, s := range vector {
		sum += float64(s.Value)
	}
	if sum != got.Readings[0].Total+got.Readings[1].Total {
		t.Errorf("the library says %v, we say %+v", vector, got.Readings)
	}
}

// past reads what happened since, and makes samples of it, old against old.
func past(t *testing.T, r *prometheus.Reader, ask signal.Ask, url string, a *shop) {
	t.Helper()
	from := time.Now()
	for range 7 {
		a.serve("500", 0.1)
	}
	until(t, "the failures are seen", func() bool { return r.Read(t.Context(), []signal.Ask{ask})[0].Readings[0].Bad == 10 })
	seen := time.Now().Add(1500 * time.Millisecond)
	until(t, "a while has passed", func() bool { return time.Now().After(seen) })
	rounds, err := r.Past(t.Context(), ask, from.Add(-5*time.Second), seen.Add(2*time.Second), time.Second)
	if err != nil || len(rounds) < 6 {
		t.Fatal(len(rounds), err)
	}
	groups := signal.Halves([]string{"shop-1", "shop-2"})
	bad := 0.0
	for _, s := range signal.Replay(rounds, func(time.Time) signal.Groups { return groups }) {
		if s.Candidate != nil {
			bad += s.Candidate.Bad
		}
	}
	// The 3 of before may lie within the samples, too, as the first scrape may.
	if bad != 7 {
		t.Logf("%d rounds: %+v", len(rounds), rounds)
		t.Errorf("%g failures in the past, want 7", bad)
	}
	if _, err := r.Past(t.Context(), ask, from, from, time.Second); astern.CodeOf(err) != astern.Invalid {
		t.Error(err)
	}
}

const okBody = `{"status":"success","data":{"resultType":"vector","result":[` +
	`{"metric":{"instance":"10.0.0.1:80","astern_part":"0"},"value":[1700000000.5,"7"]},` +
	`{"metric":{"instance":"10.0.0.1:80","astern_part":"1"},"value":[1700000000.5,"1700000000"]}]}}`

// What pretends to be a Prometheus: an error for the whole source, in bounded time and memory.
func TestHostilePrometheus(t *testing.T) {
	answer := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	ok := func(body string) http.HandlerFunc { return answer(200, "application/json", body) }
	element := `{"metric":{"instance":"x","astern_part":"0"},"value":[1,"1"]},`
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		says string
	}{
		"HTML":         {answer(200, "text/html", "<html>"), "no Prometheus"},
		"a login page": {answer(401, "text/html", "<html>"), "it answers 401"},
		"down":         {answer(503, "text/plain", "Service Unavailable"), "it answers 503"},
		"refuses":      {answer(400, "application/json", `{"status":"error","errorType":"bad_data","error":"line 1:\n\u001b[31mno"}`), "refuses the query: line 1: [31mno"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.invalid/", http.StatusTemporaryRedirect)
		}, "not followed"},
		"no JSON":               {ok("yes"), "not that of a Prometheus"},
		"a list":                {ok("[1]"), "not that of a Prometheus"},
		"another document":      {ok(`{"status":"green"}`), "not that of a Prometheus"},
		"breaks off":            {ok(okBody[:150]), "breaks off"},
		"is incomplete":         {ok(strings.TrimSuffix(okBody, "}") + `,"warnings":["a store is down"]}`), "not complete"},
		"parts never asked for": {ok(strings.Replace(okBody, `part":"1"`, `part":"99"`, 1)), "not that of a Prometheus"},
		"a value that is none":  {ok(strings.Replace(okBody, `"7"`, `"seven"`, 1)), "not that of a Prometheus"},
		"a time that is none":   {ok(strings.Replace(okBody, `1700000000.5`, `1e300`, 1)), "not that of a Prometheus"},
		"deep":                  {ok(strings.Repeat("[", 1<<20)), "not that of a Prometheus"},
		"gigabytes": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, okBody[:60])
			for {
				if _, err := io.WriteString(w, strings.Repeat(element, 1000)); err != nil {
					return
				}
			}
		}, "larger than 16 MB"},
		"compresses": {func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Encoding", "gzip"); ok("")(w, r) }, "compresses"},
		"hangs":      {func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() }, "in time"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.h)
			defer s.Close()
			client := fetch.New(fetch.Options{Timeout: time.Minute})
			defer client.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if name == "hangs" {
				ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
			}
			got := prometheus.New(client, time.Now).Read(ctx, []signal.Ask{ask(s.URL+"/", astern.PrometheusSource{Total: "a"}, &shop{address: "10.0.0.1:80"})})[0]
			if got.Err == nil || !strings.Contains(got.Err.Error(), c.says) || len(got.Err.Error()) > 400 || strings.ContainsAny(got.Err.Error(), "\n\x1b") {
				t.Errorf("%v, want %q; %+v", got.Err, c.says, got)
			}
		})
	}
}

// The secret of a header is sent, and never shown, also when what answers says it.
func TestSecretHeader(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Authorization") != "hunter2-hunter2" {
			t.Error("the header is missing")
		}
		w.WriteHeader(400)
		fmt.Fprintf(w, `{"status":"error","error":%q}`, r.Header.Get("Authorization"))
	}))
	defer s.Close()
	got := newReader(t).Read(t.Context(), []signal.Ask{ask(s.URL, astern.PrometheusSource{Total: "a",
		SecretHeaders: map[string]astern.Secret{"Authorization": {Env: "X"}}}, &shop{address: "x"})})[0]
	if got.Err == nil || strings.Contains(fmt.Sprintf("%+v %v", got, got.Err), "hunter2") {
		t.Errorf("%+v", got)
	}
}

// A signal that is refused hides no other of the same query, and an age is by Prometheus' clock alone.
func TestOneBadSignalAndAnotherClock(t *testing.T) {
	queries := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		queries++
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(r.FormValue("query"), "poison") {
			w.WriteHeader(422)
			fmt.Fprint(w, `{"status":"error","error":"poison"}`)
			return
		}
		fmt.Fprint(w, okBody)
	}))
	defer s.Close()
	shops := &shop{address: "10.0.0.1:80"}
	good, bad := ask(s.URL, astern.PrometheusSource{Total: "a"}, shops), ask(s.URL, astern.PrometheusSource{Total: "poison"}, shops)
	got := newReader(t).Read(t.Context(), []signal.Ask{good, bad, good, good})
	for i, g := range got {
		if (g.Err != nil) != (i == 1) {
			t.Errorf("%d: %+v", i, g)
		}
	}
	if g := got[0]; g.Readings[0].Total != 7 || g.Now.Sub(g.Readings[0].At) != 500*time.Millisecond || g.Skew > -time.Hour || len(g.Notes) != 1 {
		t.Errorf("%+v", g)
	}
	queries = 0
	newReader(t).Read(t.Context(), []signal.Ask{good, good, good})
	if queries != 1 {
		t.Errorf("%d queries for three signals of one expression", queries)
	}
}

func TestPrometheusDown(t *testing.T) {
	got := newReader(t).Read(t.Context(), []signal.Ask{ask("http://127.0.0.1:1", astern.PrometheusSource{Total: "a"}, &shop{address: "x"})})[0]
	var e *astern.Error
	if !errors.As(got.Err, &e) || e.Code != astern.Unavailable || !strings.Contains(e.Error(), "connection refused") {
		t.Errorf("%v", got.Err)
	}
}

// A Prometheus that is too slow for a long past is asked for shorter pieces; one that never answers is given up soon.
func TestLatePast(t *testing.T) {
	for name, c := range map[string]struct {
		most time.Duration // that it answers for
		ok   bool
	}{"slow": {time.Hour, true}, "never": {0, false}} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				from, _ := strconv.ParseFloat(r.FormValue("start"), 64)
				to, _ := strconv.ParseFloat(r.FormValue("end"), 64)
				if to-from > c.most.Seconds() {
					<-r.Context().Done()
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
			}))
			defer s.Close()
			client := fetch.New(fetch.Options{Timeout: 300 * time.Millisecond})
			defer client.Close()
			to := time.Unix(1_700_000_000, 0)
			rounds, err := prometheus.New(client, time.Now).Past(t.Context(), ask(s.URL+"/", astern.PrometheusSource{Total: "a"}, &shop{address: "10.0.0.1:80"}), to.Add(-6*time.Hour), to, time.Minute)
			if c.ok && (err != nil || len(rounds) != 361) {
				t.Errorf("%d rounds, %v", len(rounds), err)
			}
			if !c.ok && (err == nil || !strings.Contains(err.Error(), "in time") || calls.Load() > 5) {
				t.Errorf("after %d calls: %v", calls.Load(), err)
			}
		})
	}
}
