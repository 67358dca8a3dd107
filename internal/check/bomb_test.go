package check

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// TestHTTPBombs asks services that answer with far more than they send, or without end: the answer is a verdict, in
// bounded time and memory.
func TestHTTPBombs(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 256 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	inflated := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("the check accepts %s", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes()) // the client may hang up
	})
	deep := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("[", 900_000)) })
	huge := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"a": `+strings.Repeat("9", 900_000)+`}`) })
	for name, c := range map[string]struct {
		check   astern.HTTPCheck
		verdict astern.Verdict
	}{
		"gzip bomb":         {astern.HTTPCheck{URL: inflated, Contains: "ok"}, astern.Fail},
		"deep JSON":         {astern.HTTPCheck{URL: deep, JSONEquals: map[string]string{"a": "b"}}, astern.Fail},
		"a number of a MB":  {astern.HTTPCheck{URL: huge, JSONEquals: map[string]string{"a": "b"}}, astern.Fail},
		"headers of no end": {astern.HTTPCheck{URL: raw(t, "HTTP/1.1 200 OK\r\n", "X-A: "+strings.Repeat("x", 1000)+"\r\n", 0)}, astern.Fail},
		"a line of no end":  {astern.HTTPCheck{URL: raw(t, "HTTP/1.1 200 ", "x", 0)}, astern.Fail},
		"byte after byte":   {astern.HTTPCheck{URL: raw(t, "HTTP/1.1 200 OK\r\nX-A: ", "x", 20*time.Millisecond)}, astern.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			k := httpCheck(c.check)
			k.TimeoutSeconds = 2
			began := time.Now()
			r := Runner{}.Run(t.Context(), k)
			runtime.ReadMemStats(&after)
			if r.Verdict != c.verdict || len(r.Evidence) > 2_000 {
				t.Errorf("%s: %.300s", r.Verdict, r.Evidence)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
			if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 128 {
				t.Errorf("%d MB were allocated", mb)
			}
		})
	}
}

// raw serves connections with a beginning and then the same again until the client hangs up.
func raw(t *testing.T, beginning, again string, every time.Duration) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() { // ends when the listener is closed
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, err = fmt.Fprint(conn, beginning)
			for err == nil {
				_, err = fmt.Fprint(conn, again)
				time.Sleep(every)
			}
			conn.Close()
		}
	}()
	return "http://" + l.Addr().String()
}
