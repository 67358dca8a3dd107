package server

import (
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

// buckets are the upper bounds of the latency histogram, in seconds.
var buckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}

// metrics counts business requests, as Prometheus reads them.
type metrics struct {
	mu      sync.Mutex
	codes   map[int]int64
	latency []int64 // per bucket, the last one for all that is slower
	seconds float64
	count   int64
}

func newMetrics() *metrics {
	return &metrics{codes: map[int]int64{}, latency: make([]int64, len(buckets)+1)}
}

// measure counts the requests that next answers, and how long they take.
func (m *metrics) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &statusRecorder{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(rec, r)
		m.add(rec.code, time.Since(began).Seconds())
	})
}

func (m *metrics) add(code int, seconds float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.codes[code]++
	m.latency[sort.SearchFloat64s(buckets, seconds)]++
	m.seconds += seconds
	m.count++
}

// serve prints the metrics in Prometheus' text format.
func (m *metrics) serve(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(m.text())) // a reader that has gone away needs no answer
}

func (m *metrics) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	b.WriteString("# HELP requests_total Business requests answered, by status code.\n# TYPE requests_total counter\n")
	codes := make([]int, 0, len(m.codes))
	for c := range m.codes {
		codes = append(codes, c)
	}
	sort.Ints(codes)
	for _, c := range codes {
		fmt.Fprintf(&b, "requests_total{code=\"%d\"} %d\n", c, m.codes[c])
	}
	b.WriteString("# HELP request_seconds How long business requests took.\n# TYPE request_seconds histogram\n")
	var sum int64
	for i, bound := range buckets {
		sum += m.latency[i]
		fmt.Fprintf(&b, "request_seconds_bucket{le=\"%g\"} %d\n", bound, sum)
	}
	fmt.Fprintf(&b, "request_seconds_bucket{le=\"+Inf\"} %d\nrequest_seconds_sum %g\nrequest_seconds_count %d\n",
		m.count, m.seconds, m.count)
	return b.String()
}

// statusRecorder remembers the status code of an answer.
type statusRecorder struct {
	http.ResponseWriter
	code int
}

// WriteHeader remembers the code and passes it on.
func (s *statusRecorder) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}
