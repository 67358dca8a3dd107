package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

// receiver is an HTTP service for scripts that takes notices. It writes its address to the file NAME.addr, what it has taken to
// NAME.log (event and title, one line a notice), and answers what the file NAME.status says, 200 without one. It runs until it is
// killed.
func receiver() {
	name := os.Args[1]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	log, err := os.OpenFile(name+".log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(name+".tmp", []byte(listener.Addr().String()), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(name+".tmp", name+".addr"); err != nil {
		panic(err)
	}
	var mu sync.Mutex
	panic(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if text, err := os.ReadFile(name + ".status"); err == nil {
			status, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				panic(err)
			}
			w.WriteHeader(status)
			fmt.Fprintf(w, "%s %v", r.URL, r.Header)
			return
		}
		var n struct {
			Text string // of Slack
			Type string // of a webhook
			Data struct {
				Title   string
				Earlier []struct{ Title string }
			}
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &n)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, e := range n.Data.Earlier {
			fmt.Fprintln(log, n.Type, e.Title)
		}
		fmt.Fprintln(log, n.Type+n.Text, n.Data.Title)
	})))
}
