package prometheus_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proof"
	"github.com/astern-dev/astern/internal/signal"
)

// still is a collector whose series all carry one time: a Prometheus that scrapes it again and again learns nothing new.
type still struct {
	client.Collector
	at time.Time
}

// Collect gives each metric the time.
func (s still) Collect(out chan<- client.Metric) {
	in := make(chan client.Metric)
	go func() {
		defer close(in)
		s.Collector.Collect(in)
	}()
	for m := range in {
		out <- client.NewMetricWithTimestamp(s.at, m)
	}
}

// startStill runs a Prometheus that scrapes what never changes, and returns its URL.
func startStill(t *testing.T, flags []string, collectors ...client.Collector) string {
	t.Helper()
	r := client.NewRegistry()
	for _, c := range collectors {
		r.MustRegister(still{c, time.Now().Add(-time.Second)})
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(promhttp.HandlerFor(client.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil }), promhttp.HandlerOpts{}))
	t.Cleanup(s.Close)
	return startWith(t, "2s", append(flags, "--query.lookback-delta=2h"), &shop{address: s.Listener.Addr().String()})
}

// queries returns how many queries a Prometheus says that it was asked.
func queries(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "prometheus_http_requests_total{") && strings.Contains(line, `handler="/api/v1/query"`) {
			n, err := strconv.Atoi(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]))
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// A thousand components of one shape are few queries, each gets its own numbers, and a Prometheus that refuses to load so
// many samples at once is asked for less.
func TestRealPrometheusThousandComponents(t *testing.T) {
	for name, c := range map[string]struct {
		flags       []string
		least, most int
	}{"at once": {nil, 4, 6}, "divided": {[]string{"--query.max-samples=1200"}, 7, 40}} {
		t.Run(name, func(t *testing.T) {
			orders := client.NewCounterVec(client.CounterOpts{Name: "orders_total"}, []string{"component", "instance", "code"})
			for c := range 1000 {
				for m := range 2 {
					for k, code := range []string{"200", "500"} {
						orders.WithLabelValues(fmt.Sprint("c", c), fmt.Sprintf("c%d-m%d", c, m), code).Add(float64(1000*c + 10*m + k))
					}
				}
			}
			url := startStill(t, c.flags, orders)
			var asks []signal.Ask
			for c := range 1000 {
				a := ask(url, astern.PrometheusSource{Total: fmt.Sprintf(`orders_total{component="c%d"}`, c), Bad: fmt.Sprintf(`orders_total{code="500",component="c%d"}`, c)})
				for m := range 2 {
					a.Members = append(a.Members, signal.Member{Name: fmt.Sprintf("c%d-m%d", c, m)})
				}
				asks = append(asks, a)
			}
			r := newReader(t)
			until(t, "it is scraped", func() bool { return len(r.Read(t.Context(), asks[:1])[0].Readings) == 2 })
			before := queries(t, url)
			for c, a := range r.Read(t.Context(), asks) {
				if a.Err != nil || len(a.Readings) != 2 {
					t.Fatalf("%d: %+v", c, a)
				}
				for m, reading := range a.Readings {
					if bad := float64(1000*c + 10*m + 1); reading.Bad != bad || reading.Total != 2*bad-1 || a.Series != 6 {
						t.Fatalf("component %d, member %d: %+v of %d series", c, m, reading, a.Series)
					}
				}
			}
			if n := queries(t, url) - before; n < c.least || n > c.most {
				t.Errorf("%d queries, want %d to %d", n, c.least, c.most)
			}
		})
	}
}

// The labels of the world that the random signals select from: what is quoted twice, and what a regular expression or
// PromQL could take for its own.
var (
	components = []string{"c0", "c1", "c10", "a.b", "a|b", "a", "(", "[x]", `\`, `\d`, `"`, "'", "`", "new\nline", "ünï", ".*", "", "$", "^a", "{0}", "c0\x01"}
	instances  = []string{"m0", "m1", "10.0.0.2:80", "m2", "10.0.0.3:80"}
	jobs       = []string{"shop", "depot.*"}
)

// world has series of most combinations of the labels.
func world() []client.Collector {
	labels := []string{"component", "job", "instance"}
	requests := client.NewCounterVec(client.CounterOpts{Name: "requests_total"}, append([]string{"code"}, labels...))
	classic := client.NewHistogramVec(client.HistogramOpts{Name: "classic_seconds", Buckets: []float64{0.1, 1}}, labels)
	native := client.NewHistogramVec(client.HistogramOpts{Name: "native_seconds", NativeHistogramBucketFactor: 2}, labels)
	starts := client.NewGaugeVec(client.GaugeOpts{Name: "process_start_time_seconds"}, labels)
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range components {
		for _, j := range jobs {
			for _, i := range instances {
				if r.IntN(8) == 0 {
					continue
				}
				starts.WithLabelValues(c, j, i).Set(float64(1_700_000_000 + r.IntN(1000)))
				requests.WithLabelValues("200", c, j, i).Add(float64(r.IntN(1_000_000)))
				if r.IntN(3) > 0 {
					requests.WithLabelValues("500", c, j, i).Add(float64(r.IntN(1_000)))
				}
				for range r.IntN(20) {
					classic.WithLabelValues(c, j, i).Observe(3 * r.Float64())
					native.WithLabelValues(c, j, i).Observe(3 * r.Float64())
				}
			}
		}
	}
	return []client.Collector{requests, classic, native, starts}
}

// randomAsks returns the signals of some templates, each with many values of one label, in any order.
func randomAsks(r *rand.Rand, url string) []signal.Ask {
	var asks []signal.Ask
	for range 1 + r.IntN(3) {
		label := []string{"component", "component", "component", "job", "instance"}[r.IntN(5)]
		values := map[string][]string{"component": components, "job": jobs, "instance": instances}[label]
		others := []string{`,job="shop"`, `,job=~"shop|x"`, `,instance!="m1"`, `,component!="a"`, `,component="c1"`, `,instance="m0"`,
			`,job="depot.*"`, `,component=~"c.*|a"`, `,code!="404"`}
		other := ""
		if r.IntN(2) == 0 {
			other = others[r.IntN(len(others))]
		}
		if r.IntN(25) == 0 {
			other += `,__name__="other"` // which Prometheus refuses
		}
		kind, member := r.IntN(5), "instance"
		if r.IntN(12) == 0 {
			member = []string{"component", "job", "pod"}[r.IntN(3)]
		}
		for range 2 + r.IntN(9) {
			value := values[r.IntN(len(values))]
			switch r.IntN(15) {
			case 0:
				value = "nobody"
			case 1:
				value = "\xff"
			}
			matchers := fmt.Sprintf("{%s=%q%s}", label, value, other)
			if r.IntN(20) == 0 {
				matchers = fmt.Sprintf("{%s!=%q%s}", label, value, other)
			}
			bad := "requests_total" + strings.TrimSuffix(matchers, "}") + `,code=~"5.."}`
			switch r.IntN(20) {
			case 0:
				bad = `requests_total{code="500"}`
			case 1:
				bad = fmt.Sprintf(`requests_total{code="500",%s=%q}`, label, values[0])
			}
			s := []astern.PrometheusSource{
				{Total: "requests_total" + matchers},
				{Total: "requests_total" + matchers, Bad: bad},
				{Histogram: "classic_seconds" + matchers},
				{Histogram: "native_seconds" + matchers},
				{Total: "requests_total" + matchers, Bad: bad, Histogram: "classic_seconds" + matchers},
			}[kind]
			a := ask(url, s)
			a.Signal.Prometheus.Member = member
			a.Members = []signal.Member{{Name: "m0"}, {Name: "m1", Address: "10.0.0.1:80"}, {Name: "m2", Address: "10.0.0.2:80"},
				{Name: "m3", Address: "10.0.0.3:80"}, {Name: "c0"}, {Name: "shop"}, {Name: "absent"}}
			r.Shuffle(len(a.Members), func(i, j int) { a.Members[i], a.Members[j] = a.Members[j], a.Members[i] })
			a.Members = a.Members[:1+r.IntN(len(a.Members))]
			asks = append(asks, a)
		}
	}
	r.Shuffle(len(asks), func(i, j int) { asks[i], asks[j] = asks[j], asks[i] })
	return asks
}

// TestTogetherAsAlone reads random sets of signals from a real Prometheus, all at once and each alone: the answers are the
// same, and fewer queries are asked.
func TestTogetherAsAlone(t *testing.T) {
	url := startStill(t, nil, world()...)
	reader := newReader(t)
	whole := ask(url, astern.PrometheusSource{Total: "requests_total"})
	whole.Members = []signal.Member{{Name: "m0"}}
	until(t, "it is scraped", func() bool { return len(reader.Read(t.Context(), []signal.Ask{whole})[0].Readings) == 1 })
	said := func(a signal.Answer) signal.Answer {
		if a.Err != nil {
			a.Notes, a.Err = append(a.Notes, a.Err.Error()), nil
		}
		a.Now, a.Skew = time.Time{}, 0
		return a
	}
	var asked, readings, refused, together, alone int
	first, count := proof.Seeds(t, 40)
	for seed := first; seed < first+count; seed++ {
		asks := randomAsks(rand.New(rand.NewPCG(seed, 7)), url)
		before := queries(t, url)
		all := reader.Read(t.Context(), asks)
		between := queries(t, url)
		for i, a := range all {
			got, want := said(a), said(reader.Read(t.Context(), asks[i:i+1])[0])
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d: %+v of %+v (-alone +together)\n%s", seed, *asks[i].Signal.Prometheus, asks[i].Members, diff)
			}
			asked, readings = asked+1, readings+len(a.Readings)
			if slices.ContainsFunc(got.Notes, func(n string) bool { return strings.Contains(n, "refuses the query") }) {
				refused++
			}
		}
		together, alone = together+between-before, alone+queries(t, url)-between
	}
	if count >= 40 && (readings == 0 || 3*together >= alone) { // few trials may hold little that can be asked together
		t.Errorf("%d readings by %d queries, alone by %d", readings, together, alone)
	}
	proof.Figures(t, map[string]float64{"signals": float64(asked), "readings": float64(readings), "refused": float64(refused),
		"queries_together": float64(together), "queries_alone": float64(alone)})
}
