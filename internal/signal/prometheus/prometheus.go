// Package prometheus reads signals from a Prometheus by its HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/).
//
// Many signals are put into one query. Those that are the same but for the value of one label (component="a",
// component="b") are one part of it, added up by that label, too; other parts are joined, each marked by a label, but only a
// few, because what a join costs Prometheus grows with their square. The parts are added up by member on the server. A part
// of its own asks when the newest points were scraped, because the values of an instant query carry the time of the question,
// however old they are; and it is asked without a time, so that all times are by Prometheus' own clock and an age never
// depends on ours. Both stand in one query, because a scrape may end between two.
//
// The API's JSON is read by our own reader, which is bounded in memory and links nothing; client_golang's API client costs
// 4 MB and a millisecond at each start, and reads an answer of any size. It is the oracle of the tests.
package prometheus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/fetch"
)

const (
	// mark is the label that tells the parts of a query apart.
	mark = "astern_part"
	// atOnce is how many queries run side by side on one Prometheus; its own limit is 20.
	atOnce = 4
)

// Reader reads. It is safe for concurrent use.
type Reader struct {
	client *fetch.Client
	now    func() time.Time
}

// New returns a Reader that asks by way of client; now is our own clock, which the skew is measured against.
func New(client *fetch.Client, now func() time.Time) *Reader { return &Reader{client, now} }

// The roles of a part.
const (
	roleTotal = iota
	roleBad
	roleClassic
	roleNative
	roleTime
	roleStart
	roles
)

// question is one signal within a query: where its answer goes, and the text of its parts.
type question struct {
	ask       int
	label     string            // that tells members apart
	members   map[string]string // value of the label -> name
	size      int               // how many members there are
	selectors signal.Selectors
	parts     [roles]string // when it is asked alone; "" when it has none
	family    *family       // with whom it is asked; nil when alone
	value     string        // of the family's label
}

// server is one Prometheus with one set of headers.
type server struct {
	request   fetch.Request
	questions []*question
}

// Read returns the answer to each ask, in order: what is so now.
func (r *Reader) Read(ctx context.Context, asks []signal.Ask) []signal.Answer {
	out := make([]signal.Answer, len(asks))
	for _, s := range servers(asks, out) {
		batches := batch(together(s.questions))
		var wait sync.WaitGroup
		slots := make(chan struct{}, atOnce)
		for _, b := range batches {
			slots <- struct{}{}
			wait.Go(func() {
				defer func() { <-slots }()
				r.instant(ctx, s.request, b, asks, out)
			})
		}
		wait.Wait()
	}
	return out
}

// servers sorts the asks by whom they go to. What can't be asked is answered at once.
func servers(asks []signal.Ask, out []signal.Answer) []*server {
	var order []*server
	known := map[string]*server{}
	for i, a := range asks {
		q, err := questionOf(i, a)
		if err != nil {
			out[i].Err = err
			continue
		}
		p := a.Signal.Prometheus
		var key strings.Builder
		fmt.Fprintf(&key, "%s", p.URL)
		for _, n := range slices.Sorted(maps.Keys(p.Headers)) {
			fmt.Fprintf(&key, "\x00%s\x00%s", n, p.Headers[n])
		}
		for _, n := range slices.Sorted(maps.Keys(p.SecretHeaders)) {
			fmt.Fprintf(&key, "\x01%s\x00%s\x00%s", n, p.SecretHeaders[n].Env, p.SecretHeaders[n].File)
		}
		s := known[key.String()]
		if s == nil {
			s = &server{request: fetch.Request{URL: strings.TrimSuffix(p.URL, "/"), Accept: "application/json", Headers: p.Headers, SecretHeaders: p.SecretHeaders}}
			known[key.String()] = s
			order = append(order, s)
		}
		s.questions = append(s.questions, q)
	}
	return order
}

func questionOf(i int, a signal.Ask) (*question, error) {
	s, err := signal.ParseSelectors(a.Signal)
	if err != nil {
		return nil, err
	}
	q := &question{ask: i, label: a.Signal.Prometheus.Member, members: make(map[string]string, 2*len(a.Members)),
		size: len(a.Members), selectors: s}
	for _, m := range a.Members {
		if m.Address != "" {
			q.members[m.Address] = m.Name
		}
	}
	for _, m := range a.Members {
		q.members[m.Name] = m.Name
	}
	q.parts = texts(s, q.label, "")
	return q, nil
}

// texts writes the parts of selectors, added up by member and, where those of a family are asked, by its label.
func texts(s signal.Selectors, member, label string) (parts [roles]string) {
	by := member
	if label != "" && label != member {
		by += ", " + label
	}
	sum := func(by string, s *signal.Selector) string { return "sum by (" + by + ") (" + s.String() + ")" }
	if s.Total != nil {
		parts[roleTotal] = sum(by, s.Total)
	}
	if s.Bad != nil {
		parts[roleBad] = sum(by, s.Bad)
	}
	newest := s.Total
	if s.Histogram != nil {
		classic := s.Histogram.With(s.Histogram.Name + "_bucket")
		parts[roleClassic] = sum(by+", le", &classic)
		parts[roleNative] = sum(by, s.Histogram)
		one := s.Histogram.With(classic.Name, signal.Matcher{Label: "le", Op: "=", Value: "+Inf"})
		parts[roleTime] = "max by (" + by + ") (timestamp(" + one.String() + ") or timestamp(" + s.Histogram.String() + "))"
		newest = s.Histogram
	} else {
		parts[roleTime] = "max by (" + by + ") (timestamp(" + newest.String() + "))"
	}
	if !carried(label, member) {
		by = member
	}
	parts[roleStart] = "max by (" + by + ") (" + started(*newest, member).String() + ")"
	return parts
}

// started selects when the processes began. The labels of a target are on all that it exposes, the others of a selector
// are not: only those that scraping itself sets are carried over.
func started(s signal.Selector, member string) signal.Selector {
	out := signal.Selector{Name: "process_start_time_seconds"}
	for _, m := range s.Matchers {
		if carried(m.Label, member) {
			out.Matchers = append(out.Matchers, m)
		}
	}
	return out
}

func carried(label, member string) bool {
	return label == "job" || label == "instance" || label == member
}

// instant asks for now. A query that is refused or answered with too much is divided, so that one bad signal hides no other.
func (r *Reader) instant(ctx context.Context, request fetch.Request, qs []*question, asks []signal.Ask, out []signal.Answer) {
	began := r.now()
	c, err := r.collect(ctx, request, "query", url.Values{}, qs)
	if divisible(err) && len(qs) > 1 {
		r.instant(ctx, request, qs[:len(qs)/2], asks, out)
		r.instant(ctx, request, qs[len(qs)/2:], asks, out)
		return
	}
	for _, q := range qs {
		a := &out[q.ask]
		*a = signal.Answer{Now: r.now(), Err: err}
		if err != nil {
			continue
		}
		at, ok := c.moment()
		if !ok { // nothing at all came back, not even a time
			at = a.Now.UnixMilli()
		} else {
			a.Skew = time.UnixMilli(at).Sub(began.Add(r.now().Sub(began) / 2))
			a.Now = time.UnixMilli(at).UTC()
		}
		fill(a, q, asks[q.ask], c.moments[at][q])
	}
}

// collect asks the questions. Prometheus 2.42 (Debian 12) loses native histograms when it marks them: those are asked for
// again, alone and without a mark, for the same moments.
func (r *Reader) collect(ctx context.Context, request fetch.Request, what string, form url.Values, qs []*question) (*collector, error) {
	parts := partsOf(qs)
	c := &collector{parts: parts, moments: map[int64]map[*question]map[string]*point{}}
	form.Set("query", join(parts))
	if err := r.post(ctx, request, what, form, c); err != nil {
		return c, err
	}
	for _, p := range parts {
		if !c.lost(p) {
			continue
		}
		if at, ok := c.moment(); ok && what == "query" {
			form.Set("time", seconds(time.UnixMilli(at)))
		}
		form.Set("query", p.text)
		alone := &collector{parts: []*part{p}, bare: true, moments: c.moments}
		if err := r.post(ctx, request, what, form, alone); err != nil {
			return c, err
		}
	}
	return c, nil
}

// divisible reports whether asking for less can help.
func divisible(err error) bool {
	return errors.Is(err, fetch.ErrTooLarge) || errors.Is(err, errRefused) || errors.Is(err, errTooMany)
}

var errRefused = errors.New("it refuses the query")

// post asks, and reads the answer into the collector.
func (r *Reader) post(ctx context.Context, request fetch.Request, what string, form url.Values, c *collector) error {
	doing := "asking the Prometheus at " + withoutQuery(request.URL)
	request.URL += "/api/v1/" + what
	request.Form = form
	resp, err := r.client.Do(ctx, request)
	if err != nil {
		return &astern.Error{Code: astern.CodeOf(err), Doing: doing, Cause: err}
	}
	defer resp.Body.Close()
	fail := func(code astern.Code, err error) error { return &astern.Error{Code: code, Doing: doing, Cause: err} }
	if !strings.HasPrefix(resp.ContentType, "application/json") {
		if resp.Status != http.StatusOK {
			return fail(codeOf(resp.Status), fmt.Errorf("it answers %d", resp.Status))
		}
		return fail(astern.Invalid, errors.New("what answers is no Prometheus: its answer is not JSON"))
	}
	said, err := c.read(resp.Body)
	if !resp.Quotable {
		said = ""
	}
	switch refused := resp.Status == http.StatusBadRequest || resp.Status == http.StatusUnprocessableEntity; {
	case refused:
		return fail(astern.Invalid, fmt.Errorf("%w%s", errRefused, said))
	case resp.Status != http.StatusOK:
		return fail(codeOf(resp.Status), fmt.Errorf("it answers %d%s", resp.Status, said))
	case err != nil:
		return fail(astern.Invalid, err)
	}
	return nil
}

func codeOf(status int) astern.Code {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return astern.Denied
	case status == http.StatusTooManyRequests:
		return astern.Throttled
	case status >= 500:
		return astern.Unavailable
	}
	return astern.Invalid
}

// withoutQuery returns a URL without what may be secret in it.
func withoutQuery(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "(unreadable URL)"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

// fill makes the answer to one ask of what was collected for a moment.
func fill(a *signal.Answer, q *question, ask signal.Ask, points map[string]*point) {
	bad := false
	for _, m := range ask.Members {
		p := points[m.Name]
		if p == nil || !p.has[roleTime] {
			a.Fail(m.Name, "Prometheus has no current series for it")
			continue
		}
		r, why := p.reading(q)
		if why != "" {
			a.Fail(m.Name, why)
			continue
		}
		r.Member = m.Name
		bad = bad || p.has[roleBad]
		a.Series += p.series
		a.Readings = append(a.Readings, r)
	}
	if q.parts[roleBad] != "" && !bad && len(a.Readings) > 0 {
		a.Notes = append(a.Notes, "no member has counted a failure yet, or nothing is selected by "+ask.Signal.Prometheus.Bad)
	}
	if skew := a.Skew.Abs(); skew > signal.MaxAhead {
		word := "ahead of"
		if a.Skew < 0 {
			word = "behind"
		}
		a.Notes = append(a.Notes, fmt.Sprintf("the clock of Prometheus is %s %s this machine's", skew.Round(time.Second), word))
	}
}
