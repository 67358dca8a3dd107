package front

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sort"
	"sync"
	"syscall"
	"time"
)

// What counts as normal, and over which time.
const (
	window       = 2 * time.Second
	normalErrors = 1.0                    // percent
	normalP95    = 220 * time.Millisecond // of all requests
)

// Status is how a route did in the last seconds.
type Status struct {
	WindowSeconds float64 `json:"window_seconds"`
	Requests      int     `json:"requests"`
	ErrorPercent  float64 `json:"error_percent"`
	P95Seconds    float64 `json:"p95_seconds"`
	// Errors and Latency are "normal", "high", or "no data".
	Errors  string `json:"errors"`
	Latency string `json:"latency"`
}

// recent remembers the answers of the last seconds.
type recent struct {
	mu      sync.Mutex
	answers []answer // by the time they ended
}

type answer struct {
	at     time.Time
	took   time.Duration
	failed bool
}

// measure remembers what next answers.
func (r *recent) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		began := time.Now()
		rec := &codeRecorder{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(rec, req)
		now := time.Now()
		r.add(answer{at: now, took: now.Sub(began), failed: rec.code >= 500})
	})
}

func (r *recent) add(a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = append(r.answers, a)
	r.forget(a.at)
}

// forget drops what is older than the window.
func (r *recent) forget(now time.Time) {
	old := sort.Search(len(r.answers), func(i int) bool { return now.Sub(r.answers[i].at) <= window })
	r.answers = append(r.answers[:0], r.answers[old:]...)
}

// status sums the window up.
func (r *recent) status(now time.Time) Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	s := Status{WindowSeconds: window.Seconds(), Requests: len(r.answers), Errors: "no data", Latency: "no data"}
	if s.Requests == 0 {
		return s
	}
	took := make([]time.Duration, 0, s.Requests)
	failed := 0
	for _, a := range r.answers {
		took = append(took, a.took)
		if a.failed {
			failed++
		}
	}
	sort.Slice(took, func(i, k int) bool { return took[i] < took[k] })
	p95 := took[(len(took)-1)*95/100]
	s.ErrorPercent = 100 * float64(failed) / float64(s.Requests)
	s.P95Seconds = p95.Seconds()
	s.Errors, s.Latency = "normal", "normal"
	if s.ErrorPercent >= normalErrors {
		s.Errors = "high"
	}
	if p95 >= normalP95 {
		s.Latency = "high"
	}
	return s
}

func (r *recent) serve(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(r.status(time.Now())) // a reader that has gone away needs no answer
}

// codeRecorder remembers the status code of an answer.
type codeRecorder struct {
	http.ResponseWriter
	code int
}

// WriteHeader remembers the code and passes it on.
func (c *codeRecorder) WriteHeader(code int) {
	c.code = code
	c.ResponseWriter.WriteHeader(code)
}

func dialer(timeout time.Duration) func(context.Context, string, string) (net.Conn, error) {
	return (&net.Dialer{Timeout: timeout}).DialContext
}

// refused reports whether the connection itself was refused: nothing of the request was sent.
func refused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && errors.Is(err, syscall.ECONNREFUSED)
}
