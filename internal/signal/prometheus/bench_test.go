package prometheus_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/fetch"
	"github.com/astern-dev/astern/internal/signal/prometheus"
)

// BenchmarkThousandComponents reads three signals of a thousand components of four members each and makes samples of
// them: what the watch does every 10 s. What answers costs here, too, and is no part of the watch: it sends text that was made before.
func BenchmarkThousandComponents(b *testing.B) {
	now := 1.7e9
	var asks []signal.Ask
	for c := range 1000 {
		for k := range 3 {
			s := astern.PrometheusSource{Total: fmt.Sprintf(`http_requests_total{job="c%d"}`, c), Bad: fmt.Sprintf(`http_requests_total{job="c%d",code=~"5.."}`, c)}
			if k == 2 {
				s = astern.PrometheusSource{Histogram: fmt.Sprintf(`latency_seconds{job="c%d"}`, c)}
			}
			a := ask("", s)
			for m := range 4 {
				a.Members = append(a.Members, signal.Member{Name: fmt.Sprint("m", m), Address: fmt.Sprintf("c%d-m%d:80", c, m)})
			}
			asks = append(asks, a)
		}
	}
	cached := map[string][]byte{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.FormValue("query")
		if cached[query] == nil {
			cached[query] = pretend(query, now)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(cached[query])
	}))
	defer s.Close()
	for i := range asks {
		asks[i].Signal.Prometheus.URL = s.URL
	}
	client := fetch.New(fetch.Options{})
	defer client.Close()
	r := prometheus.New(client, time.Now)
	meters := make([]signal.Meter, len(asks))
	groups := signal.Halves([]string{"m0", "m1", "m2", "m3"})
	clock := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		clock = clock.Add(10 * time.Second)
		for i, a := range r.Read(b.Context(), asks) {
			if a.Err != nil || len(a.Readings) != 4 {
				b.Fatalf("%+v", a)
			}
			for j := range a.Readings { // the same text again and again: time goes on
				a.Readings[j].At = clock
			}
			a.Now = clock
			meters[i].Add(clock, a, groups)
		}
	}
}

// pretend answers a query of marked parts as Prometheus would.
func pretend(query string, now float64) []byte {
	type element struct {
		Metric map[string]string `json:"metric"`
		Value  [2]any            `json:"value"`
	}
	var result []element
	for k, part := range strings.Split(query, " or label_replace(") {
		_, rest, _ := strings.Cut(part, `job=~"`)
		jobs, _, _ := strings.Cut(rest, `"`)
		bounds := []string{""}
		if strings.Contains(part, ", le)") {
			bounds = strings.Split("0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf", " ")
		} else if !strings.Contains(part, "timestamp") && strings.Contains(part, "(latency_seconds{") {
			continue
		}
		for _, job := range strings.Split(jobs, "|") {
			for m := range 4 {
				for _, le := range bounds {
					labels := map[string]string{"instance": fmt.Sprintf("%s-m%d:80", job, m), "job": job, "astern_part": fmt.Sprint(k)}
					if le != "" {
						labels["le"] = le
					}
					result = append(result, element{labels, [2]any{now, "123456"}})
				}
			}
		}
	}
	b, _ := json.Marshal(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
	return b
}
