package server

import "net/http"

// stock knows what is in the warehouse. Goods never run out: the shop is about recovery, not about goods.
type stock struct {
	*service
}

func newStock(s *service) *stock { return &stock{service: s} }

func (s *stock) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /product/{id}", s.product)
	mux.HandleFunc("POST /order", s.order)
	if s.build.Reserve == "yes" {
		mux.HandleFunc("POST /reservation/{id}", s.order)
	}
}

// left is how many of each product the warehouse has.
var left = map[string]int{"mug": 120, "lamp": 35, "chair": 8}

func (s *stock) product(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	n, ok := left[id]
	if !ok {
		refuse(w, http.StatusNotFound, "there is no product %q", id)
		return
	}
	reply(w, http.StatusOK, map[string]any{"id": id, "left": n})
}

// order books goods; as a reservation it is the same booking under the name that newer shops use.
func (s *stock) order(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusCreated, map[string]any{"booked": true, "number": s.orders.Add(1)})
}
