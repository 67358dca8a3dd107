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
// reservation, which only a stock of that release or a newer one offers.
type shop struct {
	*service
	client *http.Client
}

func newShop(s *service) *shop {
	return &shop{service: s, client: &http.Client{Timeout: 5 * time.Second}}
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

// order takes ?product=ID. With rehearse=1 nothing is booked: the stock is only asked, by the same way.
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
	if err := s.book(r.Context(), id, r.URL.Query().Get("rehearse") == "1"); err != nil {
		refuse(w, http.StatusBadGateway, "order %d: %v", n, err)
		return
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
	req, err := http.NewRequestWithContext(ctx, method, s.options.Stock+path, nil)
	if err != nil {
		return fmt.Errorf("asking the stock: %w", err)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the stock: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // everything that matters has been read
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return fmt.Errorf("reading the stock's answer: %w", err)
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("the stock answered %s to %s %s", res.Status, method, path)
	}
	return nil
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
