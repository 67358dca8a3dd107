package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// cached is what the sites of the shapes with a web server say of caching.
const cached = "no-cache"

// web is the web server of a world: a plain file server over the folder that the link leads to.
type web struct {
	server *httptest.Server

	mu sync.Mutex
	how
}

// how is what a web server does.
type how struct {
	folder string // that it serves
	header string // Cache-Control
	status int    // that it answers to everything; 0 serves
	silent bool   // it hangs up
}

func newWeb() *web {
	w := &web{}
	w.server = httptest.NewServer(w)
	return w
}

// does has it do something from now on.
func (w *web) does(change func(h *how)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.how)
}

func (w *web) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	h := w.how
	w.mu.Unlock()
	switch {
	case h.silent:
		panic(http.ErrAbortHandler)
	case h.status != 0:
		http.Error(out, "not now", h.status)
		return
	}
	out.Header().Set("Cache-Control", h.header)
	http.FileServer(http.Dir(h.folder)).ServeHTTP(out, r)
}

// visitor asks sites; each answer is asked for anew.
var visitor = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// visit says why a site does not answer a file with that content, "" when it does.
func visit(at, name string, want []byte) string {
	var parts []string
	for part := range strings.SplitSeq(strings.TrimSuffix("/"+name, "/index.html"), "/") {
		parts = append(parts, url.PathEscape(part))
	}
	path := strings.Join(parts, "/")
	if filepath.Base(name) == "index.html" {
		path += "/"
	}
	resp, err := visitor.Get(at + path)
	if err != nil {
		return short(err)
	}
	defer resp.Body.Close() // read to its end
	got, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return short(err)
	case resp.StatusCode != http.StatusOK:
		return fmt.Sprintf("the site answers %d to %q", resp.StatusCode, path)
	case !bytes.Equal(got, want):
		return fmt.Sprintf("the site answers %q with something else", path)
	case resp.Header.Get("Cache-Control") != cached:
		return fmt.Sprintf("the site answers %q with Cache-Control: %s", path, resp.Header.Get("Cache-Control"))
	}
	return ""
}
