package front

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// instance is a backend that counts what it is asked.
type instance struct {
	*httptest.Server
	asked atomic.Int64
	fail  atomic.Bool // break the connection in the middle of the request
}

func newInstance(t *testing.T) *instance {
	t.Helper()
	in := &instance{}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in.asked.Add(1)
		b, _ := io.ReadAll(r.Body)
		if in.fail.Load() {
			c, _, _ := w.(http.Hijacker).Hijack()
			_ = c.Close()
			return
		}
		_, _ = w.Write(b)
	}))
	t.Cleanup(in.Close)
	return in
}

func (in *instance) address() string { return in.Listener.Addr().String() }

func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func serve(t *testing.T, folder string, addresses ...string) *httptest.Server {
	t.Helper()
	r := Route{Service: "shop", Listen: "unused", DrainFolder: folder}
	for i, a := range addresses {
		r.Instances = append(r.Instances, Instance{Name: "shop-" + string(rune('1'+i)), Address: a})
	}
	f, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(f.Handler())
	t.Cleanup(s.Close)
	return s
}

func post(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Post(url, "text/plain", strings.NewReader("an order"))
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

func TestRefusedConnectionIsTriedElsewhere(t *testing.T) {
	alive := newInstance(t)
	s := serve(t, "", deadAddress(t), alive.address())
	for range 10 {
		if code, body := post(t, s.URL); code != 200 || body != "an order" {
			t.Fatalf("%d %q", code, body)
		}
	}
	if n := alive.asked.Load(); n != 10 {
		t.Errorf("the living instance was asked %d times, want 10", n)
	}
}

func TestBrokenRequestIsNeverSentTwice(t *testing.T) {
	a, b := newInstance(t), newInstance(t)
	a.fail.Store(true)
	b.fail.Store(true)
	s := serve(t, "", a.address(), b.address())
	if code, _ := post(t, s.URL); code != http.StatusBadGateway {
		t.Errorf("got %d, want 502", code)
	}
	if n := a.asked.Load() + b.asked.Load(); n != 1 {
		t.Errorf("the order was sent %d times", n)
	}
}

func TestNobodyLeft(t *testing.T) {
	s := serve(t, "", deadAddress(t), deadAddress(t))
	if code, _ := post(t, s.URL); code != http.StatusServiceUnavailable {
		t.Errorf("got %d, want 503", code)
	}
}

func TestDrainedInstanceGetsNothing(t *testing.T) {
	a, b := newInstance(t), newInstance(t)
	folder := t.TempDir()
	s := serve(t, folder, a.address(), b.address())
	drain := func(name string) {
		if err := os.WriteFile(filepath.Join(folder, name+".drained"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	drain("shop-1")
	for range 6 {
		post(t, s.URL)
	}
	if a.asked.Load() != 0 || b.asked.Load() != 6 {
		t.Errorf("asked %d and %d times, want 0 and 6", a.asked.Load(), b.asked.Load())
	}
	drain("shop-2") // rather a drained instance than nobody
	if code, _ := post(t, s.URL); code != 200 {
		t.Errorf("with all drained: %d, want 200", code)
	}
}

func TestStatusOfTheLastSeconds(t *testing.T) {
	now := time.Unix(1000, 0)
	var r recent
	if s := r.status(now); s.Errors != "no data" || s.Latency != "no data" {
		t.Errorf("without requests: %+v", s)
	}
	for i := range 100 {
		r.add(answer{at: now, took: time.Duration(i) * time.Millisecond, failed: i == 0})
	}
	if s := r.status(now); s.Errors != "high" || s.ErrorPercent != 1 || s.Latency != "normal" || s.P95Seconds != 0.094 {
		t.Errorf("one failure in a hundred: %+v", s)
	}
	later := now.Add(window + time.Millisecond)
	r.add(answer{at: later, took: 250 * time.Millisecond})
	if s := r.status(later); s.Requests != 1 || s.Errors != "normal" || s.Latency != "high" {
		t.Errorf("a window later: %+v", s)
	}
}

func TestTooLargeBody(t *testing.T) {
	a := newInstance(t)
	s := serve(t, "", a.address())
	res, err := http.Post(s.URL, "text/plain", strings.NewReader(strings.Repeat("x", maxBody+1)))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadGateway || a.asked.Load() != 0 {
		t.Errorf("got %d, asked %d times", res.StatusCode, a.asked.Load())
	}
}
