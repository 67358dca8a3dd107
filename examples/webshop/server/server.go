// Package server is what the three services of the web shop share: a small HTTP server with health, version and metrics
// that stops gracefully, and the business of the shop, the stock and the payment. It uses the standard library only.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// stopTimeout is how long requests in flight may take to end when the service is stopped.
const stopTimeout = 5 * time.Second

// Build is what the linker puts into a service's binary: two releases are really different programs.
type Build struct {
	Service string
	Version string
	// Defect is what is wrong with the release, as Defect.String prints it; "" for a healthy one.
	Defect string
	// Reserve is "yes" when the release books goods by reservation: the stock offers it, the shop needs it.
	Reserve string
	// Express is "yes" when the shop's release has express checkout, behind a flag, and "broken" when it has it and each
	// express order fails.
	Express string
}

// Options are what one instance of a service is started with.
type Options struct {
	Listen   string // host:port
	Instance string // "shop-1"
	Stock    string // URL of the stock; the shop needs it
	Payment  string // URL of the payment; the shop needs it
	Flags    string // file of feature flags; "" means that all are off
}

// Main runs one instance of a service until SIGTERM or SIGINT and returns the process's exit code: 0 stopped, 1 failed,
// 2 wrong usage. Flags come first, then the environment (LISTEN, INSTANCE, STOCK_URL,
// PAYMENT_URL, FLAGS).
func Main(b Build, args []string) int {
	o, err := options(b, args, os.Getenv, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, b.Service+":", err)
		return 2
	}
	handler, err := New(b, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, b.Service+":", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := Serve(ctx, o.Listen, handler); err != nil {
		fmt.Fprintln(os.Stderr, b.Service+":", err)
		return 1
	}
	return 0
}

// options reads flags, then the environment.
func options(b Build, args []string, env func(string) string, out io.Writer) (Options, error) {
	var o Options
	fs := flag.NewFlagSet(b.Service, flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&o.Listen, "listen", env("LISTEN"), "address to listen on, host:port")
	fs.StringVar(&o.Instance, "instance", env("INSTANCE"), "name of this instance")
	fs.StringVar(&o.Stock, "stock", env("STOCK_URL"), "URL of the stock")
	fs.StringVar(&o.Payment, "payment", env("PAYMENT_URL"), "URL of the payment")
	fs.StringVar(&o.Flags, "flags", env("FLAGS"), "file of feature flags, in flagd's format")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case o.Listen == "" || o.Instance == "":
		return o, errors.New("-listen and -instance (or LISTEN and INSTANCE) are needed")
	}
	return o, nil
}

// Serve answers on the address until ctx ends, then lets requests in flight finish.
func Serve(ctx context.Context, address string, handler http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving on %s: %w", address, err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err = srv.Shutdown(grace)
	<-served
	if err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}

// service is one instance: what every service answers, around its own business.
type service struct {
	build   Build
	options Options
	defect  Defect
	orders  atomic.Int64
	metrics *metrics
}

// New returns the handler of one instance of the service "shop", "stock" or "payment".
func New(b Build, o Options) (http.Handler, error) {
	defect, err := ParseDefect(b.Defect)
	if err != nil {
		return nil, fmt.Errorf("release %s was built with a wrong defect: %w", b.Version, err)
	}
	s := &service{build: b, options: o, defect: defect, metrics: newMetrics()}
	mux := http.NewServeMux()
	switch b.Service {
	case "shop":
		if o.Stock == "" || o.Payment == "" {
			return nil, errors.New("the shop needs -stock and -payment (or STOCK_URL and PAYMENT_URL)")
		}
		newShop(s).routes(mux)
	case "stock":
		newStock(s).routes(mux)
	case "payment":
		newPayment(s).routes(mux)
	default:
		return nil, fmt.Errorf("unknown service %q: shop, stock or payment", b.Service)
	}
	root := http.NewServeMux()
	root.Handle("/", s.metrics.measure(mux))
	root.HandleFunc("GET /health", s.health)
	root.HandleFunc("GET /ready", s.health)
	root.HandleFunc("GET /version", s.version)
	root.HandleFunc("GET /metrics", s.metrics.serve)
	return s.named(root), nil
}

// named says in each answer which instance of which release gave it.
func (s *service) named(next http.Handler) http.Handler {
	name := fmt.Sprintf("%s/%s (%s)", s.build.Service, s.build.Version, s.options.Instance)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", name)
		next.ServeHTTP(w, r)
	})
}

func (s *service) health(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (s *service) version(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]string{"version": s.build.Version, "instance": s.options.Instance})
}

// reply writes v as JSON. An answer that can't be written has nobody left to read it.
func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// refuse answers with an error that says what went wrong.
func refuse(w http.ResponseWriter, code int, format string, args ...any) {
	reply(w, code, map[string]string{"error": fmt.Sprintf(format, args...)})
}
