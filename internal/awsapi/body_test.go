package awsapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// ending is the body of a request as the SDK makes it: once it is closed, WriteTo ends with io.EOF.
type ending struct {
	io.Reader
	asked *atomic.Bool
}

// WriteTo notes that it was asked.
func (e ending) WriteTo(io.Writer) (int64, error) {
	e.asked.Store(true)
	return 0, io.EOF
}

// Close does nothing.
func (ending) Close() error { return nil }

func TestPlainBody(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer server.Close()
	c := &http.Client{Transport: plainBody{&http.Transport{}}}
	defer c.CloseIdleConnections()
	var asked atomic.Bool
	r, err := http.NewRequest(http.MethodPost, server.URL, ending{strings.NewReader("four"), &asked})
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 4
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if b, err := io.ReadAll(answer.Body); string(b) != "four" || err != nil {
		t.Errorf("the answer is %q, %v", b, err)
	}
	if asked.Load() {
		t.Error("the body was asked to write itself")
	}
}
