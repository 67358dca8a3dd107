package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	astern "github.com/astern-dev/astern"
)

// record runs two real web servers under load on this machine, samples what they counted each second, and writes that to a
// file, one JSON document a line: quiet seconds with both alike, then as many with the second one slower and failing more.
// The times that it counts are those that the servers took, with whatever else the machine did at the time.
func record(ctx context.Context, path string, quiet, bad int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	ctx, stop := context.WithCancel(ctx)
	var owner sync.WaitGroup
	defer owner.Wait()
	defer stop()
	var shops [2]*shop
	for i := range shops {
		if shops[i], err = open(ctx, &owner); err != nil {
			return err
		}
	}
	out := json.NewEncoder(f)
	begin := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for i := range quiet + bad {
		if i == quiet {
			shops[1].set(0.02, 1.6)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-every.C:
		}
		from := begin.Add(time.Duration(i) * time.Second)
		if err := out.Encode(astern.Sample{From: from, To: from.Add(time.Second), Control: shops[0].take(), Candidate: shops[1].take()}); err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
	}
	return nil
}

// shop is one server and what it counted since it was last asked.
type shop struct {
	guard  sync.Mutex
	counts astern.Counts
	fails  float64
	slower float64
}

func (s *shop) set(fails, slower float64) {
	s.guard.Lock()
	defer s.guard.Unlock()
	s.fails, s.slower = fails, slower
}

func (s *shop) reset() {
	s.counts = astern.Counts{Members: 1}
	for b := 0.002; b < 0.1; b *= math.Pow(2, 0.25) {
		s.counts.Buckets = append(s.counts.Buckets, astern.Bucket{Upper: new(math.Round(b*1e6) / 1e6)})
	}
	s.counts.Buckets = append(s.counts.Buckets, astern.Bucket{})
}

func (s *shop) take() *astern.Counts {
	s.guard.Lock()
	defer s.guard.Unlock()
	c := s.counts
	s.reset()
	return &c
}

// open starts a server and eight clients of it, which end with ctx.
func open(ctx context.Context, owner *sync.WaitGroup) (*shop, error) {
	s := &shop{fails: 0.004, slower: 1}
	s.reset()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Second}
	owner.Go(func() { _ = server.Serve(listener) })
	context.AfterFunc(ctx, func() { _ = server.Close() })
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: time.Second}
	for range 8 {
		owner.Go(func() {
			for ctx.Err() == nil {
				if answer, err := client.Get("http://" + listener.Addr().String()); err == nil {
					_, _ = io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
				}
				time.Sleep(time.Duration(rand.ExpFloat64() * float64(100*time.Millisecond)))
			}
		})
	}
	return s, nil
}

// ServeHTTP works for a while, fails now and then, and counts what it did.
func (s *shop) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	began := time.Now()
	s.guard.Lock()
	fails, slower := s.fails, s.slower
	s.guard.Unlock()
	time.Sleep(time.Duration(slower * 5e6 * math.Exp(0.4*rand.NormFloat64())))
	failed := rand.Float64() < fails
	if failed {
		w.WriteHeader(http.StatusInternalServerError)
	}
	took := time.Since(began).Seconds()
	s.guard.Lock()
	defer s.guard.Unlock()
	s.counts.Total++
	if failed {
		s.counts.Bad++
	}
	for i := range s.counts.Buckets {
		if u := s.counts.Buckets[i].Upper; u == nil || took <= *u {
			s.counts.Buckets[i].Count++
		}
	}
}
