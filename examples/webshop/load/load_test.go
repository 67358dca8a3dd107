package load

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func generate(t *testing.T, h http.HandlerFunc) (*Generator, func(n int)) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	// So much patience that a machine which stands still for seconds fails no test.
	g, err := Start(context.Background(), Config{URL: s.URL, Rate: 200, Timeout: time.Minute, Slow: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return g, func(n int) { // waits until n requests have ended
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); g.Between(time.Time{}, time.Now()).Total < n; {
			if time.Now().After(deadline) {
				t.Fatalf("no %d requests in 20 s", n)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func TestCountsWhatBecameOfCustomers(t *testing.T) {
	var asked, failed atomic.Int64
	g, reach := generate(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Method == http.MethodPost {
			failed.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	reach(40)
	g.Stop()
	f := g.Between(time.Time{}, time.Now())
	if int64(f.Total) != asked.Load() || int64(f.Failed) != failed.Load() {
		t.Errorf("counted %+v, the server saw %d and failed %d", f, asked.Load(), failed.Load())
	}
	if p := f.FailedPercent(); p < 45 || p > 55 {
		t.Errorf("%.1f %% failed, want about half", p)
	}
	sum := 0
	for _, s := range g.Seconds() {
		sum += s.Total
	}
	if sum != f.Total {
		t.Errorf("second by second %d, in all %d", sum, f.Total)
	}
	if f := g.Between(time.Now(), time.Now().Add(time.Hour)); f.Total != 0 || f.FailedPercent() != 0 {
		t.Errorf("nobody came later, but %+v", f)
	}
}

func TestSlowShopGetsNoFewerCustomers(t *testing.T) {
	var inside atomic.Int64
	enough := make(chan struct{})
	g, reach := generate(t, func(http.ResponseWriter, *http.Request) {
		if inside.Add(1) == 30 { // they all wait at the same time
			close(enough)
		}
		<-enough
		time.Sleep(110 * time.Millisecond) // is slow, by any clock
	})
	reach(30)
	g.Stop()
	if f := g.Between(time.Time{}, time.Now()); f.Slow < 30 || f.Failed != 0 {
		t.Errorf("%+v, want all slow and none failed", f)
	}
}

// However many instances a balancer goes through in turn, each gets its part of the orders, and of those in a hurry.
func TestOrdersComeToEveryInstance(t *testing.T) {
	for instances := 1; instances <= 4; instances++ {
		all, hurried := make([]int, instances), make([]int, instances)
		for n := range 2400 * instances {
			if orders(n) {
				all[n%instances]++
				if hurry(n/2) != "" {
					hurried[n%instances]++
				}
			}
		}
		for i := range instances {
			if all[i] < 1100 || all[i] > 1300 || hurried[i] < 300 || hurried[i] > 420 {
				t.Errorf("of %d instances, number %d gets %d orders, %d of them in a hurry, of 2,400 customers", instances, i, all[i], hurried[i])
			}
		}
	}
}

func TestSettled(t *testing.T) {
	goOn := make(chan struct{})
	inside := make(chan struct{}, 1)
	g, reach := generate(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/product/mug" {
			select {
			case inside <- struct{}{}:
			default:
			}
			<-goOn
		}
	})
	<-inside
	moment := time.Now()
	if g.Settled(moment) {
		t.Error("a customer waits, but all is settled")
	}
	if !g.Settled(moment.Add(-time.Hour)) {
		t.Error("nobody came an hour ago, but it is not settled")
	}
	reach(1) // others are served
	close(goOn)
	g.Stop()
	if !g.Settled(time.Now()) {
		t.Error("after the end it is not settled")
	}
}

func TestCustomerLosesPatience(t *testing.T) {
	goOn := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-goOn }))
	defer s.Close()
	defer close(goOn)
	g, err := Start(context.Background(), Config{URL: s.URL, Rate: 100, Timeout: 50 * time.Millisecond, Slow: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for g.Between(time.Time{}, time.Now()).Total < 5 {
		time.Sleep(5 * time.Millisecond)
	}
	g.Stop()
	if f := g.Between(time.Time{}, time.Now()); f.Failed != f.Total {
		t.Errorf("nobody was served, but %+v", f)
	}
}

func TestWrongConfig(t *testing.T) {
	good := Config{URL: "http://127.0.0.1:1", Rate: 1, Timeout: time.Second, Slow: time.Second}
	for _, change := range []func(*Config){
		func(c *Config) { c.URL = "shop" }, func(c *Config) { c.Rate = 0 }, func(c *Config) { c.Timeout = 0 },
	} {
		c := good
		change(&c)
		if _, err := Start(context.Background(), c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}
