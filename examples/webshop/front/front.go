// Package front is the web shop's balancer: a small reverse proxy in front of the instances of each service, so that the
// shop keeps serving while instances restart or die. It notices a dead instance by its refused connection (passively),
// gives none to an instance that is drained, and knows the error rate and latency of the last seconds.
package front

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what the balancer is started with: its JSON form is frontd's configuration file.
type Config struct {
	Routes []Route `json:"routes"`
}

// Route is one service: where the balancer listens for it, and its instances.
type Route struct {
	Service   string     `json:"service"`
	Listen    string     `json:"listen"`
	Instances []Instance `json:"instances"`
	// DrainFolder holds a file NAME.drained for each instance that shall get no new requests; "" means none is drained.
	DrainFolder string `json:"drain_folder"`
}

// Instance is one process of the service.
type Instance struct {
	Name    string `json:"name"`
	Address string `json:"address"` // host:port
}

// Limits of the balancer.
const (
	asideFor    = 300 * time.Millisecond // how long an instance that refused a connection is left alone
	maxBody     = 64 << 10               // largest request body
	dialTimeout = 3 * time.Second
)

// errNobody is returned when every instance refused the connection.
var errNobody = errors.New("no instance takes requests")

// Front balances one route. StatusPath of its handler tells how the route does.
type Front struct {
	route  Route
	next   atomic.Uint64
	plain  http.RoundTripper
	recent recent

	mu    sync.Mutex
	aside map[string]time.Time // instance name -> until when
}

// StatusPath is where the balancer itself answers: how the route did in the last seconds.
const StatusPath = "/front/status"

// New returns the balancer of one route.
func New(r Route) (*Front, error) {
	if r.Service == "" || r.Listen == "" || len(r.Instances) == 0 {
		return nil, fmt.Errorf("route %q needs service, listen and at least one instance", r.Service)
	}
	// A connection of its own for each request: none is ever sent into one that a stopping instance is about to close.
	plain := &http.Transport{DisableKeepAlives: true, DialContext: dialer(dialTimeout)}
	return &Front{route: r, plain: plain, aside: map[string]time.Time{}}, nil
}

// Handler answers for the route.
func (f *Front) Handler() http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host = f.route.Service // replaced by an instance's address in RoundTrip
			r.SetXForwarded()
		},
		Transport: f,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			code := http.StatusBadGateway
			if errors.Is(err, errNobody) {
				code = http.StatusServiceUnavailable
			}
			http.Error(w, "front: "+err.Error(), code)
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+StatusPath, f.recent.serve)
	mux.Handle("/", f.recent.measure(proxy))
	return mux
}

// RoundTrip sends the request to an instance, and to the next one when the connection was refused: nothing of it was
// sent then, so that even an order can't be made twice. Any other failure is the caller's to know.
func (f *Front) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := keep(r)
	if err != nil {
		return nil, err
	}
	last := errNobody
	for _, in := range f.order(time.Now()) {
		out := r.Clone(r.Context())
		out.URL.Host = in.Address
		if body != nil {
			out.Body = io.NopCloser(bytes.NewReader(body))
		}
		res, err := f.plain.RoundTrip(out)
		if err == nil {
			return res, nil
		}
		if !refused(err) {
			return nil, fmt.Errorf("%s: %w", in.Name, err)
		}
		f.leaveAlone(in.Name, time.Now().Add(asideFor))
		last = fmt.Errorf("%w: %s: %w", errNobody, in.Name, err)
	}
	return nil, last
}

// keep reads the body, so that it can be sent again; nil when there is none.
func keep(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	if len(b) > maxBody {
		return nil, fmt.Errorf("the request is larger than %d bytes", maxBody)
	}
	return b, r.Body.Close()
}

// order returns the instances to try, best first: in turn those that take requests, then those that refused a moment
// ago, then, rather than nobody, the drained ones.
func (f *Front) order(now time.Time) []Instance {
	n := len(f.route.Instances)
	first := int(f.next.Add(1) % uint64(n))
	var well, resting, drained []Instance
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range n {
		in := f.route.Instances[(first+i)%n]
		switch {
		case f.drained(in.Name):
			drained = append(drained, in)
		case now.Before(f.aside[in.Name]):
			resting = append(resting, in)
		default:
			well = append(well, in)
		}
	}
	return append(append(well, resting...), drained...)
}

func (f *Front) drained(name string) bool {
	if f.route.DrainFolder == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(f.route.DrainFolder, name+".drained"))
	return err == nil
}

func (f *Front) leaveAlone(name string, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.aside[name] = until
}
