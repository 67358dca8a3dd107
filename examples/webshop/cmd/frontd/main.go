// Command frontd is the web shop's balancer: a small reverse proxy in front of the instances of each service.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/astern-dev/astern/examples/webshop/front"
	"github.com/astern-dev/astern/examples/webshop/server"
)

func main() {
	file := flag.String("config", "front.json", "configuration file: routes, their instances and where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, *file); err != nil {
		fmt.Fprintln(os.Stderr, "frontd:", err)
		stop()
		os.Exit(1)
	}
}

// run serves all routes until ctx ends or one of them fails.
func run(ctx context.Context, file string) error {
	fronts, config, err := load(file)
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var wg sync.WaitGroup
	errs := make([]error, len(fronts))
	for i, f := range fronts {
		wg.Go(func() {
			if errs[i] = server.Serve(ctx, config.Routes[i].Listen, f.Handler()); errs[i] != nil {
				fail(errs[i])
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func load(file string) ([]*front.Front, front.Config, error) {
	var c front.Config
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, c, err
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, c, fmt.Errorf("reading %s: %w", file, err)
	}
	var fronts []*front.Front
	for _, r := range c.Routes {
		f, err := front.New(r)
		if err != nil {
			return nil, c, fmt.Errorf("reading %s: %w", file, err)
		}
		fronts = append(fronts, f)
	}
	return fronts, c, nil
}
