package server

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// buckets are the upper bounds of the latency histogram, in seconds. Each is 15 % above the one before, from 5 ms to 2.5 s:
// who wants to see 25 % more needs two bounds that are no further apart, wherever the quantile lies (astern check says so).
var buckets = ladder(0.005, 1.15, 2.5)

// ladder returns bounds from the first one up to the last, each factor times the one before, to three digits.
func ladder(first, factor, last float64) []float64 {
	var out []float64
	for b := first; len(out) == 0 || out[len(out)-1] < last; b *= factor {
		digits := math.Pow(10, 2-math.Floor(math.Log10(b)))
		out = append(out, math.Round(b*digits)/digits)
	}
	return out
}

// codes are counted from zero on, so that who reads the metrics can tell "no failure yet" from "not counted".
var codes = []int{http.StatusOK, http.StatusCreated, http.StatusInternalServerError, http.StatusBadGateway}

// metrics counts business requests, as Prometheus reads them.
type metrics struct {
	mu      sync.Mutex
	codes   map[int]int64
	latency []int64 // per bucket, the last one for all that is slower
	seconds float64
	count   int64
}

func newMetrics() *metrics {
	m := &metrics{codes: map[int]int64{}, latency: make([]int64, len(buckets)+1)}
	for _, c := range codes {
		m.codes[c] = 0
	}
	return m
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
	for _, c := range slices.Sorted(maps.Keys(m.codes)) {
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
