// Command loadgen sends the web shop a constant stream of customers and prints, second by second, what became of them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/astern-dev/astern/examples/webshop/load"
)

func main() {
	c := load.Config{}
	flag.StringVar(&c.URL, "url", "http://127.0.0.1:8080", "the shop")
	flag.Float64Var(&c.Rate, "rate", 100, "requests a second")
	flag.DurationVar(&c.Timeout, "timeout", 2*time.Second, "a customer's patience")
	flag.DurationVar(&c.Slow, "slow", 100*time.Millisecond, "an answer that takes longer is slow")
	length := flag.Duration("for", 10*time.Second, "how long")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *length)
	defer cancel()
	g, err := load.Start(ctx, c)
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(2)
	}
	<-ctx.Done()
	g.Stop()
	fmt.Printf("%-20s %8s %8s %8s\n", "second", "requests", "failed", "slow")
	for _, s := range g.Seconds() {
		fmt.Printf("%-20s %8d %8d %8d\n", s.At.UTC().Format(time.RFC3339), s.Total, s.Failed, s.Slow)
	}
}
