package server

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// payment charges cards. It is somebody else's and behaves like that: each charge takes its time, and one in refuseEvery
// fails for no reason that the shop could do anything about.
type payment struct {
	*service
}

// A charge takes from fastest to slowest, spread evenly and not by chance, so that a demonstration shows the same every
// time; and so long that what a busy machine adds to it is little beside a quarter of it.
const (
	fastest     = 60 * time.Millisecond
	slowest     = 160 * time.Millisecond
	refuseEvery = 250
)

func newPayment(s *service) *payment { return &payment{service: s} }

func (p *payment) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /fee", p.fee)
	mux.HandleFunc("POST /charge", p.charge)
}

// fee tells what a charge costs; it charges nothing.
func (p *payment) fee(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"fee_cents": 25})
}

// charge takes ?cents=N.
func (p *payment) charge(w http.ResponseWriter, r *http.Request) {
	cents, err := strconv.Atoi(r.URL.Query().Get("cents"))
	if err != nil || cents <= 0 {
		refuse(w, http.StatusBadRequest, "%q is no amount of cents", r.URL.Query().Get("cents"))
		return
	}
	n := p.orders.Add(1)
	if !pause(r.Context(), takes(n)) {
		return // the customer went away
	}
	if n%refuseEvery == 0 {
		refuse(w, http.StatusServiceUnavailable, "charge %d: the bank does not answer", n)
		return
	}
	reply(w, http.StatusCreated, map[string]any{"charged": true, "number": n, "cents": cents})
}

// takes says how long the n-th charge takes: multiples of the golden ratio fill the range as evenly as can be.
func takes(n int64) time.Duration {
	_, part := math.Modf(float64(n) * math.Phi)
	return fastest + time.Duration(part*float64(slowest-fastest))
}
