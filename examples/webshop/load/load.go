// Package load sends the web shop a constant stream of customers and counts what became of each: an open loop, so that a
// slow or dead shop gets no fewer requests than a fast one, and latency is measured from when the customer came.
package load

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Config says how many customers come, and what counts as slow.
type Config struct {
	URL     string        // of the shop
	Rate    float64       // requests a second; half of them are orders, three in ten of those in a hurry
	Timeout time.Duration // a customer's patience; an answer that comes later is a failed request
	Slow    time.Duration // an answer that takes longer is slow
}

// maxInFlight bounds the customers who wait at the same time; one who finds no place is counted as failed.
const maxInFlight = 1000

// sample is what became of one customer.
type sample struct {
	at     time.Time // when the customer came
	took   time.Duration
	failed bool
}

// Generator sends requests until it is stopped, and keeps what became of them.
type Generator struct {
	config Config
	client *http.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	samples []sample          // in the order in which the answers came
	waiting map[int]time.Time // customers in flight, and when they came
}

// Start begins the load. The caller must Stop it.
func Start(ctx context.Context, c Config) (*Generator, error) {
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" {
		return nil, fmt.Errorf("starting the load: %q is not a URL", c.URL)
	}
	if c.Rate <= 0 || c.Rate > 10000 || c.Timeout <= 0 || c.Slow <= 0 {
		return nil, fmt.Errorf("starting the load: rate (up to 10000), timeout and slow must be positive")
	}
	ctx, cancel := context.WithCancel(ctx)
	g := &Generator{
		config:  c,
		client:  &http.Client{Timeout: c.Timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		cancel:  cancel,
		waiting: map[int]time.Time{},
	}
	g.wg.Go(func() { g.run(ctx) })
	return g, nil
}

// Stop ends the load and waits for the requests in flight.
func (g *Generator) Stop() {
	g.cancel()
	g.wg.Wait()
	g.client.CloseIdleConnections()
}

// run lets customers in at their times, however long the ones before them take.
func (g *Generator) run(ctx context.Context) {
	began := time.Now()
	gap := time.Duration(float64(time.Second) / g.config.Rate)
	for n := 0; ; n++ {
		at := began.Add(time.Duration(n) * gap)
		if !until(ctx, at) {
			return
		}
		if !g.enter(n, at) {
			g.add(sample{at: at, failed: true})
			continue
		}
		g.wg.Go(func() { g.visit(n, at) })
	}
}

// enter takes a place for customer n, if there is one.
func (g *Generator) enter(n int, at time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) >= maxInFlight {
		return false
	}
	g.waiting[n] = at
	return true
}

// visit is one customer: each looks at a product or orders one.
func (g *Generator) visit(n int, at time.Time) {
	failed := g.ask(n) != nil
	g.add(sample{at: at, took: time.Since(at), failed: failed})
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.waiting, n)
}

var products = []string{"mug", "lamp", "chair"}

// ask makes request n. Its own time-out bounds it, so that stopping the load loses no answer.
func (g *Generator) ask(n int) error {
	product := products[n/2%len(products)]
	var res *http.Response
	var err error
	if !orders(n) {
		res, err = g.client.Get(g.config.URL + "/product/" + product)
	} else {
		res, err = g.client.Post(g.config.URL+"/order?product="+product+hurry(n/2), "application/json", nil)
	}
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // it has been read to its end
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode >= 400 {
		return fmt.Errorf("the shop answered %s", res.Status)
	}
	return nil
}

// orders reports whether customer n orders: one of each two, but not every second one. With a balancer that takes its
// instances in turn, one of them would get all orders, and the other one none.
func orders(n int) bool { return mixed(n/2)&1 == uint64(n&1) }

// hurry asks for express checkout in three of ten orders.
func hurry(order int) string {
	if mixed(order)>>1%10 < 3 {
		return "&express=1"
	}
	return ""
}

// mixed is a number without any order in it, the same in each run (G. Steele, D. Lea, C. Flood, "Fast splittable
// pseudorandom number generators", OOPSLA 2014: the finalizer of SplitMix).
func mixed(n int) uint64 {
	z := uint64(n+1) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (g *Generator) add(s sample) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.samples = append(g.samples, s)
}

// until waits for the moment and reports whether ctx lived that long.
func until(ctx context.Context, at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
