// Package lab is an emulated AWS account, in which a person, a demonstration and tests can break things safely. moto
// answers what it is right about; the lab stands in front of it on one port and corrects the rest with the cloud's
// documented behaviour, by a clock that can be stepped, with faults on demand and a journal of every call.
//
// It is the specification as we read it, not AWS. docs/lab.md says what it is and what it is not.
//
// Reading order: lab.go (the way of one call), identify.go (which call it is, from the published service models),
// overlays.go (the table of corrections), then any correction, for instance secrets.go.
package lab

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/astern-dev/astern"
)

// Account is the number of the account that all credentials belong to but those of roles in other accounts.
const Account = "123456789012"

// Call is one request to the account, identified by the published service models.
type Call struct {
	Seq       int64
	Time      time.Time // by the lab's clock
	Service   string    // endpoint prefix of the model, without "api.": "lambda", "monitoring", "ecr"; "" for a request of none
	Operation string    // as in the service model: "UpdateFunctionCode"; "" when no model has it

	Region, AccessKey, Account string

	Method, Path string // the path as it was sent, still escaped
	Query        url.Values
	Header       http.Header
	Body         []byte

	// Input holds members by the model's names, as the request's labels, query and headers carry them (texts, or
	// []any of texts where one is repeated), and its body: JSON's values; the query protocol's flattened ("Tags.member.1.Key").
	// A member that is the whole body, and those of XML bodies, are in Body alone.
	Input map[string]any

	protocol string // of the request: json, rest-json, query, rest-xml, cbor
	host     string // that the client asked
}

// Text returns a member of the input that is a text, or "".
func (c *Call) Text(member string) string {
	s, _ := c.Input[member].(string)
	return s
}

// Reply is what the account answers.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Next passes a call on towards moto.
type Next func(ctx context.Context, c *Call) Reply

// Overlay answers a call itself, or passes it on with next (as often as it needs, changed or not) and corrects the
// reply. It locks what it guards by resource, and never holds a lock of the whole lab while next runs.
type Overlay func(ctx context.Context, c *Call, next Next) Reply

// section is what one subject remembers. moto keeps its resources in memory and forgets them when it ends, so the lab's
// memory lives as long: it is emptied by `astern lab reset`, and a lab that starts again starts with an empty account.
type section interface {
	// reset forgets everything.
	reset()
}

// ticking is a section that has something to do when the clock was stepped, before the step is answered.
type ticking interface {
	// tick is called after each step, with the times before and after it.
	tick(ctx context.Context, from, to time.Time)
}

// Lab is the account. It is an http.Handler.
type Lab struct {
	moto     *url.URL
	client   *http.Client
	models   *modelSet
	overlays map[string]Overlay // keyed "ecs:UpdateService"
	clock    clock
	states   states
	journal  journal
	faults   faults
	sequence atomic.Int64
	judging  atomic.Bool // by the policies of who calls
	seed     uint64
	life     context.Context // ends with Close
	end      context.CancelFunc
}

// maxBody bounds what a request may hold. moto keeps it in memory.
const maxBody = 256 << 20

// New makes an account in front of the moto at that URL. Each call is written to calls as a line of JSON, unless that is
// nil. Whatever the lab leaves to chance follows from the seed.
func New(moto string, seed uint64, calls io.Writer) (*Lab, error) {
	models, err := loadModels()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(moto)
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "the address of moto: %w", err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, IdleConnTimeout: time.Minute}
	l := &Lab{moto: u, client: &http.Client{Transport: transport, CheckRedirect: asItIs}, models: models, seed: seed}
	l.life, l.end = context.WithCancel(context.Background())
	l.journal.file = calls
	l.faults.reset(seed)
	l.states.s3.lab = l
	l.overlays = l.table()
	return l, nil
}

// asItIs leaves redirects to the client, as S3's to other regions.
func asItIs(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close ends what the lab has started, and the connections to moto.
func (l *Lab) Close() {
	l.end()
	l.states.functions.async.Wait()
	l.states.functions.reset()
	l.client.CloseIdleConnections()
}

// ServeHTTP answers one request: below /_lab/ what the lab itself is asked, below /_edge/ what visitors of a
// distribution ask, everything else is a call to the account.
func (l *Lab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, adminPath) {
		l.admin(w, r)
		return
	}
	if l.edge(w, r) {
		return
	}
	began := time.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	c := &Call{Seq: l.sequence.Add(1), Time: l.when(began), Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.Query(),
		Header: r.Header.Clone(), Body: body, host: r.Host}
	l.models.identify(c)
	c.Account = l.states.identities.account(c.AccessKey)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if !errors.As(err, &tooLarge) {
			return // the client went away
		}
		write(w, r, errorReply(c, http.StatusRequestEntityTooLarge, "EntityTooLarge", "The lab takes requests of at most 256 MiB."))
		return
	}
	hit := l.faults.pick(c)
	reply, reached := l.answer(r.Context(), c, hit)
	l.journal.add(entryOf(c, reply, r, hit, reached, time.Since(began)))
	hit.deliver(w, r, reply)
}

// answer lets the fault, the correction or moto answer. reached is false when the call never came to the account.
func (l *Lab) answer(ctx context.Context, c *Call, hit *Fault) (reply Reply, reached bool) {
	if !hit.wait(ctx) || hit != nil && hit.Effect == DropRequest {
		return Reply{Header: http.Header{}}, false
	}
	if hit != nil && hit.Meanwhile != nil {
		hit.Meanwhile()
	}
	if hit != nil && hit.Status != 0 {
		return errorReply(c, hit.Status, hit.Code, hit.Message), true
	}
	// What was begun is finished, as in the cloud: that the client went away changes nothing any more.
	ctx = context.WithoutCancel(ctx)
	if no := l.refuses(ctx, c); no != nil {
		return *no, true
	}
	if o := l.overlays[c.Service+":"+c.Operation]; o != nil {
		return o(ctx, c, l.pass), true
	}
	return l.pass(ctx, c), true
}

// hopHeaders belong to one connection.
var hopHeaders = []string{"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect", "Content-Length"}

// pass lets moto answer.
func (l *Lab) pass(ctx context.Context, c *Call) Reply {
	if (c.Service == "iam" || c.Service == "cloudformation") && !readOnly(c.Operation) {
		defer l.states.grants.reset()
	}
	path, err := url.PathUnescape(c.Path)
	if err != nil {
		return errorReply(c, http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI.")
	}
	u := *l.moto
	u.Path, u.RawPath, u.RawQuery = path, c.Path, c.Query.Encode()
	q, err := http.NewRequestWithContext(ctx, c.Method, u.String(), bytes.NewReader(c.Body))
	if err != nil {
		return errorReply(c, http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI.")
	}
	q.Header = c.Header.Clone()
	for _, h := range hopHeaders {
		q.Header.Del(h)
	}
	q.Host = c.host // moto puts it into the addresses that it answers
	if c.Header.Get("Accept-Encoding") == "" {
		q.Header.Set("Accept-Encoding", "identity")
	}
	answer, err := l.client.Do(q)
	if err != nil {
		return errorReply(c, http.StatusBadGateway, "LabUnavailable", "The lab can't reach its moto: "+err.Error())
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return errorReply(c, http.StatusBadGateway, "LabUnavailable", "moto broke off in the middle of its answer: "+err.Error())
	}
	for _, h := range hopHeaders[:len(hopHeaders)-1] {
		answer.Header.Del(h)
	}
	return missing(c, Reply{answer.StatusCode, answer.Header, body})
}

// missing makes it loud where moto has nothing: it answers with a page of HTML then, with a status that clients would retry.
func missing(c *Call, r Reply) Reply {
	page := r.Status >= 400 && strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") && c.Method != http.MethodHead
	if !page && !(r.Status >= 400 && bytes.Contains(r.Body, []byte("NotYetImplemented"))) {
		return r
	}
	name := c.Service + ":" + c.Operation
	if c.Operation == "" {
		name = c.Method + " " + c.Path + " of " + cmp.Or(c.Service, "a service that the request does not name")
	}
	why := "nobody implements it"
	if r.Status == http.StatusInternalServerError {
		why = "moto does not implement it, or breaks on these parameters"
	}
	return errorReply(c, http.StatusNotImplemented, "LabNotImplemented", "The lab has no "+name+": "+why+".")
}

// write sends a reply as it is.
func write(w http.ResponseWriter, r *http.Request, reply Reply) {
	for name, values := range reply.Header {
		w.Header()[name] = values
	}
	if r.Method != http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(reply.Body)))
	}
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body) // who no longer listens gets nothing
}

// Reset empties the account and makes the lab as it was when it began: no calls, no faults, the real time.
func (l *Lab) Reset(ctx context.Context) error {
	if err := l.motoAPI(ctx, "reset"); err != nil {
		return err
	}
	for _, s := range l.sections() {
		s.reset()
	}
	l.clock.reset()
	l.sequence.Store(0)
	l.journal.reset()
	l.faults.reset(l.seed)
	l.judging.Store(false)
	return l.Begin(ctx)
}

// Begin makes the names that moto invents follow from the lab's seed.
func (l *Lab) Begin(ctx context.Context) error {
	return l.motoAPI(ctx, "seed?a="+strconv.FormatUint(l.seed, 10))
}

// motoAPI asks moto something of its own.
//
// https://docs.getmoto.org/en/latest/docs/configuration/index.html
func (l *Lab) motoAPI(ctx context.Context, what string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, l.moto.String()+"/moto-api/"+what, nil)
	if err != nil {
		return astern.Errorf(astern.Internal, "asking moto for its %s: %w", what, err)
	}
	r, err := l.client.Do(q)
	if err != nil {
		return astern.Errorf(astern.Unavailable, "asking moto for its %s: %w", what, err)
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20)) // so that the connection can be used again
	if r.StatusCode != http.StatusOK {
		return astern.Errorf(astern.Unavailable, "asking moto for its %s: it answers %s", what, r.Status)
	}
	return nil
}
