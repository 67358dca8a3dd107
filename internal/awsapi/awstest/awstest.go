// Package awstest gives the tests of AWS drivers an emulated account: moto behind a small proxy that can fail as the cloud
// does (refused, throttled, a reply lost after the effect, somebody else in between) and that keeps Lambda's RevisionId
// and the dates of secrets and their versions, which moto does not. Only tests import it.
//
//	func TestMain(m *testing.M) { os.Exit(awstest.Main(m)) }
//
// Everything in a test package shares one account, so tests use names of their own: awstest.Name(t).
package awstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// startWithin is how long moto may take to answer; it takes half a second.
const startWithin = time.Minute

// account is the one account of a test package.
var account *Account

// Account is an emulated account.
type Account struct {
	// Moto is where moto itself answers.
	Moto string
	// URL is what AWS_ENDPOINT_URL is set to.
	URL string

	server *httptest.Server
	client *http.Client
	mu     sync.Mutex
	faults []*Fault
	calls  []string
	revs   map[string]int // RevisionIds, and how often a secret's labels were moved
	dates  map[string]any // versions of secrets: when they were made
}

// Main runs the tests of a package with an account of their own, and returns the exit code. Where there is no moto_server,
// the tests that need one are skipped, or fail where CI is true.
func Main(m *testing.M) int {
	folder, err := os.MkdirTemp("", "astern-awstest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	for _, pair := range Environment(folder) {
		key, value, _ := strings.Cut(pair, "=")
		os.Setenv(key, value)
	}
	for _, key := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"} {
		os.Unsetenv(key)
	}
	stop := func() {}
	if Here() {
		if account, stop, err = Begin(folder); err != nil {
			fmt.Fprintln(os.Stderr, "starting moto:", err)
			return 1
		}
		os.Setenv("AWS_ENDPOINT_URL", account.URL)
	}
	defer stop()
	return m.Run()
}

// Start returns the account of the test package.
func Start(t testing.TB) *Account {
	t.Helper()
	if account == nil && os.Getenv("CI") == "true" {
		t.Fatal("moto_server is not on PATH: install moto 5.2 (pip install 'moto[server]')")
	}
	if account == nil {
		t.Skip("moto_server is not on PATH")
	}
	return account
}

var counter atomic.Int64

// Name returns a name that no other test uses.
func Name(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("t%d-%d", os.Getpid(), counter.Add(1))
}

// Here reports whether there is a moto_server on this machine.
func Here() bool {
	_, err := exec.LookPath("moto_server")
	return err == nil
}

// Environment returns the variables that programs need beside AWS_ENDPOINT_URL, so that nothing of this machine's own
// credentials is read. Files of configuration are below the folder, and need not exist.
func Environment(folder string) []string {
	return []string{"AWS_ACCESS_KEY_ID=AKIATEST", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=" + filepath.Join(folder, "config"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(folder, "credentials")}
}

// Begin runs moto, which writes its log into the folder, and the proxy before it. Stop ends both.
func Begin(folder string) (a *Account, stop func(), err error) {
	program, err := exec.LookPath("moto_server")
	if err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	address := listener.Addr().String()
	listener.Close()
	host, port, _ := net.SplitHostPort(address)
	log, err := os.Create(filepath.Join(folder, "moto.log"))
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, program, "-H", host, "-p", port)
	c.Stdout, c.Stderr = log, log
	dieWithUs(c)
	if err := c.Start(); err != nil {
		cancel()
		return nil, nil, err
	}
	ended := make(chan struct{})
	go func() {
		_ = c.Wait() // it is ended by us
		close(ended)
	}()
	a = &Account{Moto: "http://" + address, revs: map[string]int{}, dates: map[string]any{}, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	stop = func() {
		cancel()
		<-ended
		log.Close()
		a.client.CloseIdleConnections()
		if a.server != nil {
			a.server.Close()
		}
	}
	if err := a.ready(ended); err != nil {
		stop()
		text, _ := os.ReadFile(log.Name())
		return nil, nil, fmt.Errorf("%w\n%s", err, text)
	}
	a.server = httptest.NewServer(a)
	a.URL = a.server.URL
	return a, stop, nil
}

// ready waits until moto answers or has ended.
func (a *Account) ready(ended chan struct{}) error {
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	late := time.After(startWithin)
	for {
		if r, err := a.client.Get(a.Moto + "/moto-api/seed?a=1"); err == nil {
			r.Body.Close()
			return nil
		}
		select {
		case <-ended:
			return errors.New("it ended at once")
		case <-late:
			return errors.New("it does not answer")
		case <-every.C:
		}
	}
}

// ServeHTTP passes a call on to moto, unless a fault is to be injected.
func (a *Account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	op := operation(r, body)
	fault := a.pick(op, r, body)
	if fault != nil && fault.Before != nil {
		fault.Before()
	}
	if fault != nil && fault.Status != 0 {
		fault.answer(w, r)
		return
	}
	if status, name, message := a.refuses(op, r, body); status != 0 {
		(&Fault{Status: status, Code: name, Message: message}).answer(w, r)
		return
	}
	next, err := http.NewRequestWithContext(r.Context(), r.Method, a.Moto+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	next.Header, next.Host = r.Header.Clone(), r.Host
	next.ContentLength = int64(len(body))
	if fault != nil && fault.LoseRequest {
		panic(http.ErrAbortHandler)
	}
	reply, err := a.client.Do(next)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil || fault != nil && fault.LoseReply {
		panic(http.ErrAbortHandler)
	}
	if reply.StatusCode < 300 {
		text = a.correct(op, r, text)
	}
	for key, values := range reply.Header {
		if key != "Content-Length" && key != "Connection" && key != "Transfer-Encoding" {
			w.Header()[key] = values
		}
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", reply.Header.Get("Content-Length"))
	}
	w.WriteHeader(reply.StatusCode)
	_, _ = w.Write(text)
}

// operation names the call as far as the tests need it.
func operation(r *http.Request, body []byte) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return target[strings.LastIndex(target, ".")+1:]
	}
	if form := string(body); strings.Contains(form, "Action=") && r.Method == http.MethodPost {
		_, after, _ := strings.Cut(form, "Action=")
		action, _, _ := strings.Cut(after, "&")
		return action
	}
	path := strings.TrimSuffix(r.URL.Path, "/")
	_, below, isFunction := strings.Cut(path, "/functions/")
	switch parts := strings.Split(below, "/"); {
	case !isFunction && r.Method == http.MethodGet && r.URL.Query().Has("acl"):
		return "GetObjectAcl"
	case !isFunction:
		return map[string]string{"HEAD": "HeadObject", "PUT": "PutObject", "GET": "GetObject", "POST": "PostObject", "DELETE": "DeleteObject"}[r.Method]
	case len(parts) == 3 && parts[1] == "aliases":
		return map[string]string{"GET": "GetAlias", "PUT": "UpdateAlias", "DELETE": "DeleteAlias"}[r.Method]
	case len(parts) == 2:
		return map[string]string{"GET aliases": "ListAliases", "POST aliases": "CreateAlias", "GET versions": "ListVersionsByFunction", "POST versions": "PublishVersion",
			"PUT code": "UpdateFunctionCode", "GET configuration": "GetFunctionConfiguration", "GET concurrency": "GetFunctionConcurrency",
			"GET provisioned-concurrency": "GetProvisionedConcurrencyConfig"}[r.Method+" "+parts[1]]
	}
	return ""
}
