package server

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestDefectStrikesTheShareItSays(t *testing.T) {
	d, err := ParseDefect("fail=8 slow=20 delay=150ms")
	if err != nil {
		t.Fatal(err)
	}
	if d.String() != "fail=8 slow=20 delay=150ms" || d.Delay != 150*time.Millisecond {
		t.Errorf("read as %+v", d)
	}
	fails, slow := 0, 0
	for n := int64(1); n <= 1000; n++ {
		f, s := d.Strikes(n)
		if f {
			fails++
		}
		if s {
			slow++
		}
	}
	if fails != 80 || slow != 200 {
		t.Errorf("%d of 1000 fail and %d are slow, want 80 and 200", fails, slow)
	}
	if f, s := (Defect{}).Strikes(100); f || s {
		t.Error("no defect strikes")
	}
	for _, wrong := range []string{"fail=8", "fail=x slow=1 delay=1s", "fail=101 slow=0 delay=1s", "fail=1 slow=1 delay=soon"} {
		if _, err := ParseDefect(wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

// start starts an instance; a shop also gets a payment of its own.
func start(t *testing.T, b Build, stock string) *httptest.Server {
	t.Helper()
	o := Options{Instance: b.Service + "-1", Stock: stock}
	if b.Service == "shop" {
		o.Payment = start(t, Build{Service: "payment", Version: "v1"}, "").URL
	}
	return startWith(t, b, o)
}

func startWith(t *testing.T, b Build, o Options) *httptest.Server {
	t.Helper()
	h, err := New(b, o)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func ask(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestShopAndStock(t *testing.T) {
	oldStock := start(t, Build{Service: "stock", Version: "v1.2.2"}, "")
	newStock := start(t, Build{Service: "stock", Version: "v1.2.3", Reserve: "yes"}, "")
	oldShop := start(t, Build{Service: "shop", Version: "v1.2.2"}, newStock.URL)
	newShop := start(t, Build{Service: "shop", Version: "v1.2.3", Reserve: "yes"}, newStock.URL)
	wrongPair := start(t, Build{Service: "shop", Version: "v1.2.3", Reserve: "yes"}, oldStock.URL)
	for _, c := range []struct {
		method, url string
		code        int
		contains    string
	}{
		{"GET", oldShop.URL + "/health", 200, "ok"},
		{"GET", oldShop.URL + "/ready", 200, "ok"},
		{"GET", newShop.URL + "/version", 200, `{"instance":"shop-1","version":"v1.2.3"}`},
		{"GET", oldShop.URL + "/product/mug", 200, "price_cents"},
		{"GET", oldShop.URL + "/product/ship", 404, "no product"},
		{"POST", oldShop.URL + "/order?product=mug", 201, `"order":1`},
		{"POST", oldShop.URL + "/order?product=mug&rehearse=1", 201, `"order":2`},
		{"POST", newShop.URL + "/order?product=lamp", 201, `"order":1`},
		{"POST", oldShop.URL + "/order", 404, "no product"},
		{"POST", wrongPair.URL + "/order?product=mug", 502, "404"},
		{"POST", newShop.URL + "/order?product=lamp&express=1", 201, `"order":2`}, // it has no express checkout
		{"GET", oldStock.URL + "/product/mug", 200, "left"},
		{"GET", oldStock.URL + "/product/ship", 404, "no product"},
	} {
		if code, body := ask(t, c.method, c.url); code != c.code || !strings.Contains(body, c.contains) {
			t.Errorf("%s %s: %d %s, want %d with %s", c.method, c.url, code, body, c.code, c.contains)
		}
	}
	_, text := ask(t, "GET", oldShop.URL+"/metrics")
	for _, line := range []string{`requests_total{code="201"} 2`, `requests_total{code="500"} 0`, `requests_total{code="404"} 2`, "request_seconds_count 5",
		`request_seconds_bucket{le="+Inf"} 5`} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("metrics miss %s:\n%s", line, text)
		}
	}
}

func TestDefectiveShop(t *testing.T) {
	stock := start(t, Build{Service: "stock", Version: "v1"}, "")
	shop := start(t, Build{Service: "shop", Version: "v2", Defect: "fail=50 slow=0 delay=0s"}, stock.URL)
	failed := 0
	for range 20 {
		if code, _ := ask(t, "POST", shop.URL+"/order?product=mug"); code == 500 {
			failed++
		}
	}
	if failed != 10 {
		t.Errorf("%d of 20 orders failed, want 10", failed)
	}
}

func TestServeLetsRequestsFinish(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	inside, goOn := make(chan struct{}), make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				close(inside)
				<-goOn
			}
			reply(w, http.StatusOK, json.RawMessage(`"served"`))
		}))
	}()
	for range 500 { // until it listens
		if res, err := http.Get("http://" + address + "/"); err == nil {
			_ = res.Body.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	codes := make(chan int, 1)
	go func() {
		code, _ := ask(t, "GET", "http://"+address+"/slow")
		codes <- code
	}()
	<-inside
	stop()
	for { // until new connections are refused
		c, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		_ = c.Close()
	}
	close(goOn)
	if code := <-codes; code != http.StatusOK {
		t.Errorf("the request in flight got %d", code)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestWrongUsage(t *testing.T) {
	env := func(string) string { return "" }
	for _, args := range [][]string{{}, {"-listen", ":0"}, {"-listen", ":0", "-instance", "shop-1", "more"}, {"-nonsense"}} {
		if _, err := options(Build{Service: "shop"}, args, env, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	if _, err := New(Build{Service: "shop"}, Options{Stock: "http://127.0.0.1:1"}); err == nil {
		t.Error("a shop without a payment is accepted")
	}
	for _, b := range []Build{{Service: "shop"}, {Service: "bakery"}, {Service: "stock", Defect: "all"}} {
		if _, err := New(b, Options{}); err == nil {
			t.Errorf("%+v is accepted", b)
		}
	}
}
