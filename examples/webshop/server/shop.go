package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// shop sells what the stock has. Each order is asked of the stock over HTTP; since the release that reserves, by a
// reservation, which only a stock of that release or a newer one offers. Then it is paid for.
type shop struct {
	*service
	client *http.Client
	flags  *flags
}

// expressFlag switches express checkout on, in the releases that have it.
const expressFlag = "express-checkout"

func newShop(s *service) *shop {
	return &shop{service: s, client: &http.Client{Timeout: 5 * time.Second}, flags: &flags{file: s.options.Flags}}
}

func (s *shop) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /product/{id}", s.product)
	mux.HandleFunc("POST /order", s.order)
}

// prices are in cents.
var prices = map[string]int{"mug": 900, "lamp": 4900, "chair": 12900}

func (s *shop) product(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	price, ok := prices[id]
	if !ok {
		refuse(w, http.StatusNotFound, "there is no product %q", id)
		return
	}
	reply(w, http.StatusOK, map[string]any{"id": id, "price_cents": price})
}

// order takes ?product=ID, and express=1 from who is in a hurry. With rehearse=1 nothing is booked or paid: stock and
// payment are only asked, by the same way.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("product")
	price, ok := prices[id]
	if !ok {
		refuse(w, http.StatusNotFound, "there is no product %q", id)
		return
	}
	n := s.orders.Add(1)
	fails, slow := s.defect.Strikes(n)
	if slow && !pause(r.Context(), s.defect.Delay) {
		return // the customer went away
	}
	if fails {
		refuse(w, http.StatusInternalServerError, "order %d: total is not a number", n)
		return
	}
	if s.express(r) && s.build.Express == "broken" {
		refuse(w, http.StatusInternalServerError, "order %d: no courier drives to zone %q", n, "")
		return
	}
	rehearse := r.URL.Query().Get("rehearse") == "1"
	for _, step := range []func(context.Context, string, bool) error{s.book, s.pay} {
		if err := step(r.Context(), id, rehearse); err != nil {
			refuse(w, http.StatusBadGateway, "order %d: %v", n, err)
			return
		}
	}
	reply(w, http.StatusCreated, map[string]any{"order": n, "product": id, "price_cents": price})
}

// book asks the stock for the goods.
func (s *shop) book(ctx context.Context, id string, rehearse bool) error {
	method, path := http.MethodPost, "/order"
	switch {
	case rehearse:
		method, path = http.MethodGet, "/product/"+url.PathEscape(id)
	case s.build.Reserve == "yes":
		path = "/reservation/" + url.PathEscape(id)
	}
	return s.ask(ctx, "stock", method, s.options.Stock, path)
}

// pay asks the payment for the money.
func (s *shop) pay(ctx context.Context, id string, rehearse bool) error {
	if rehearse {
		return s.ask(ctx, "payment", http.MethodGet, s.options.Payment, "/fee")
	}
	return s.ask(ctx, "payment", http.MethodPost, s.options.Payment, fmt.Sprintf("/charge?cents=%d", prices[id]))
}

// ask makes one request of another service.
func (s *shop) ask(ctx context.Context, whom, method, base, path string) error {
	req, err := http.NewRequestWithContext(ctx, method, base+path, nil)
	if err != nil {
		return fmt.Errorf("asking the %s: %w", whom, err)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the %s: %w", whom, err)
	}
	defer func() { _ = res.Body.Close() }() // everything that matters has been read
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return fmt.Errorf("reading the %s's answer: %w", whom, err)
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("the %s answered %s to %s %s", whom, res.Status, method, path)
	}
	return nil
}

// express reports whether the order takes the way of express checkout.
func (s *shop) express(r *http.Request) bool {
	return s.build.Express != "" && r.URL.Query().Get("express") == "1" && s.flags.on(expressFlag, time.Now())
}

// pause waits for d and reports whether ctx lived that long.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
