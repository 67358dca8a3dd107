package lab

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

// What the lab adds to a call that it passes through: 8 clients at once, against moto bare and through the lab.
func BenchmarkPassThrough(b *testing.B) {
	m, err := StartMoto(b.Context())
	if err != nil {
		b.Skip(err)
	}
	defer m.Stop()
	l, err := New(m.URL, 1, nil)
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(l)
	defer server.Close()
	for name, url := range map[string]string{"moto": m.URL, "lab": server.URL} {
		b.Run(name, func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
			if err := listClusters(client, url); err != nil { // moto reads in a service when it is asked for first
				b.Fatal(err)
			}
			b.SetParallelism(max(8/runtime.GOMAXPROCS(0), 1))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := listClusters(client, url); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func listClusters(client *http.Client, url string) error {
	q, err := http.NewRequest("POST", url, strings.NewReader(`{"maxResults":10}`))
	if err != nil {
		return err
	}
	q.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.ListClusters")
	q.Header.Set("Content-Type", "application/x-amz-json-1.1")
	q.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=0")
	r, err := client.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != 200 {
		return fmt.Errorf("status %d, %w", r.StatusCode, err)
	}
	return nil
}
