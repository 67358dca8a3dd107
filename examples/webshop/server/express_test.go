package server

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// put replaces a file of flags as a person's editor does: by a new file of that name.
func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

const flagFile = `{"flags": {"express-checkout": {"state": %q, "variants": {"on": true, "off": false}, "defaultVariant": %q}}}`

func TestFlagsAreFollowed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "flags.json")
	f := &flags{file: file}
	now := time.Unix(1000, 0)
	later := func() time.Time { now = now.Add(lookEvery); return now }
	if f.on(expressFlag, later()) {
		t.Error("on without a file")
	}
	for _, c := range []struct {
		text string
		want bool
	}{
		{fmt.Sprintf(flagFile, "ENABLED", "on"), true},
		{fmt.Sprintf(flagFile, "DISABLED", "on"), false},
		{fmt.Sprintf(flagFile, "ENABLED", "off"), false},
		{fmt.Sprintf(flagFile, "ENABLED", "on"), true},
		{`{"flags": {"express`, true}, // what can't be read changes nothing
		{`{"flags": {}}`, false},
		{fmt.Sprintf(flagFile, "ENABLED", "nosuch"), false},
	} {
		put(t, file, c.text)
		if got := f.on(expressFlag, later()); got != c.want {
			t.Errorf("%s: on is %t", c.text, got)
		}
	}
	put(t, file, fmt.Sprintf(flagFile, "ENABLED", "on"))
	if f.on(expressFlag, now) {
		t.Error("the file is looked at for each order")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if f.on("other", later()) {
		t.Error("a flag that is in no file is on")
	}
}

func TestExpressCheckoutIsBrokenAlone(t *testing.T) {
	stock := start(t, Build{Service: "stock", Version: "v1"}, "")
	payment := start(t, Build{Service: "payment", Version: "v1"}, "")
	file := filepath.Join(t.TempDir(), "flags.json")
	put(t, file, fmt.Sprintf(flagFile, "ENABLED", "on"))
	for _, c := range []struct {
		express        string
		plain, hurried int
	}{{"", 201, 201}, {"yes", 201, 201}, {"broken", 201, 500}} {
		shop := startWith(t, Build{Service: "shop", Version: "v2", Express: c.express},
			Options{Instance: "shop-1", Stock: stock.URL, Payment: payment.URL, Flags: file})
		if code, body := ask(t, "POST", shop.URL+"/order?product=mug"); code != c.plain {
			t.Errorf("express %q, an order: %d %s", c.express, code, body)
		}
		if code, body := ask(t, "POST", shop.URL+"/order?product=mug&express=1"); code != c.hurried {
			t.Errorf("express %q, an express order: %d %s", c.express, code, body)
		}
	}
}

func TestDeadPaymentFailsOrders(t *testing.T) {
	stock := start(t, Build{Service: "stock", Version: "v1"}, "")
	payment := start(t, Build{Service: "payment", Version: "v1"}, "")
	shop := startWith(t, Build{Service: "shop", Version: "v1"}, Options{Instance: "shop-1", Stock: stock.URL, Payment: payment.URL})
	if code, body := ask(t, "POST", shop.URL+"/order?product=mug"); code != 201 {
		t.Fatalf("%d %s", code, body)
	}
	payment.Close()
	for _, path := range []string{"/order?product=mug", "/order?product=mug&rehearse=1"} {
		if code, body := ask(t, "POST", shop.URL+path); code != http.StatusBadGateway {
			t.Errorf("%s without a payment: %d %s", path, code, body)
		}
	}
	if code, _ := ask(t, "GET", shop.URL+"/product/mug"); code != 200 {
		t.Errorf("a look at a product needs no payment, but: %d", code)
	}
}

func TestPayment(t *testing.T) {
	payment := start(t, Build{Service: "payment", Version: "v1"}, "")
	for _, c := range []struct {
		method, path string
		code         int
	}{{"GET", "/fee", 200}, {"POST", "/charge?cents=900", 201}, {"POST", "/charge", 400}, {"POST", "/charge?cents=-1", 400}} {
		if code, body := ask(t, c.method, payment.URL+c.path); code != c.code {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, body)
		}
	}
	// A twentieth of any hundred charges in a row is slower than 155 ms, and none than 160.
	for first := int64(1); first < 2000; first += 100 {
		slow := 0
		for n := first; n < first+100; n++ {
			d := takes(n)
			if d < fastest || d > slowest {
				t.Fatalf("charge %d takes %s", n, d)
			}
			if d > 155*time.Millisecond {
				slow++
			}
		}
		if slow < 4 || slow > 6 {
			t.Errorf("from charge %d on %d of 100 take longer than 155 ms", first, slow)
		}
	}
}

func TestBucketsShowAQuarter(t *testing.T) {
	if buckets[0] != 0.005 || buckets[len(buckets)-1] < 2.5 {
		t.Errorf("from %g to %g", buckets[0], buckets[len(buckets)-1])
	}
	for i := 1; i < len(buckets); i++ {
		if r := buckets[i] / buckets[i-1]; r < 1.10 || r > 1.25 {
			t.Errorf("%g and %g are %.3f apart", buckets[i-1], buckets[i], r)
		}
	}
}
