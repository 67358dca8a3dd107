// Package scrape reads the counters of each member from what it exposes about itself, as Prometheus would. Signals of one
// component that read the same URL share one question.
package scrape

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/exposition"
	"github.com/astern-dev/astern/internal/signal/fetch"
)

// atOnce is how many members are asked side by side: enough that many hanging ones don't keep the others waiting, few
// enough for the open files that a login usually may have.
const atOnce = 256

// Reader reads. It is safe for concurrent use.
type Reader struct {
	client *fetch.Client
	now    func() time.Time
}

// New returns a Reader that asks by way of client; now is the clock.
func New(client *fetch.Client, now func() time.Time) *Reader { return &Reader{client, now} }

// target is one URL with all that is read from it.
type target struct {
	request fetch.Request
	reads   []*read
}

// read is what one signal reads of one member.
type read struct {
	ask     int // its place among the asks
	member  string
	tally   tally
	failure string
}

// Read returns the answer to each ask, in order. A member that can't be read is one that failed, and hides no other.
func (r *Reader) Read(ctx context.Context, asks []signal.Ask) []signal.Answer {
	out := make([]signal.Answer, len(asks))
	var order []*target
	targets := map[string]*target{}
	for i, a := range asks {
		selectors, err := signal.ParseSelectors(a.Signal)
		if err != nil {
			out[i].Err = err
			continue
		}
		for _, m := range a.Members {
			key, request := requestOf(*a.Signal.Scrape, m)
			t := targets[key]
			if t == nil {
				t = &target{request: request}
				targets[key] = t
				order = append(order, t)
			}
			t.reads = append(t.reads, &read{ask: i, member: m.Name, tally: newTally(selectors)})
		}
	}
	at := make([]time.Time, len(order))
	each(len(order), func(i int) {
		at[i] = r.now()
		r.ask(ctx, order[i])
	})
	for i, t := range order {
		for _, x := range t.reads {
			x.into(&out[x.ask], at[i])
		}
	}
	for i := range out {
		out[i].Now = r.now()
		if a := &out[i]; len(a.Readings) > 0 && asks[i].Signal.Scrape.Bad != "" && !anyBad(a.Readings) {
			a.Notes = append(a.Notes, "no member has counted a failure yet, or nothing is selected by "+asks[i].Signal.Scrape.Bad)
		}
	}
	return out
}

func anyBad(rs []astern.Reading) bool {
	return slices.ContainsFunc(rs, func(r astern.Reading) bool { return r.Bad != 0 })
}

func each(n int, f func(int)) {
	var wait sync.WaitGroup
	next := make(chan int)
	for range min(n, atOnce) {
		wait.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wait.Wait()
}

// requestOf binds the member, and names what makes two requests the same.
func requestOf(s astern.ScrapeSource, m signal.Member) (key string, r fetch.Request) {
	bind := strings.NewReplacer("{member}", url.PathEscape(m.Name), "{address}", m.Address)
	r = fetch.Request{URL: bind.Replace(s.URL), Accept: exposition.Accept, Headers: s.Headers, SecretHeaders: s.SecretHeaders}
	var b strings.Builder
	b.WriteString(r.URL)
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		fmt.Fprintf(&b, "\x00%s\x00%s", name, s.Headers[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.SecretHeaders)) {
		fmt.Fprintf(&b, "\x01%s\x00%s\x00%s", name, s.SecretHeaders[name].Env, s.SecretHeaders[name].File)
	}
	return b.String(), r
}

func (r *Reader) ask(ctx context.Context, t *target) {
	failed := func(why string) {
		for _, x := range t.reads {
			x.failure = why
		}
	}
	resp, err := r.client.Do(ctx, t.request)
	if err != nil {
		failed(err.Error())
		return
	}
	defer resp.Body.Close()
	if resp.Status != http.StatusOK {
		failed(fmt.Sprintf("it answers %d", resp.Status))
		return
	}
	wanted := map[string][]*read{}
	for _, x := range t.reads {
		for _, name := range x.tally.names {
			if !slices.Contains(wanted[name], x) {
				wanted[name] = append(wanted[name], x)
			}
		}
	}
	err = exposition.Read(resp.Body, resp.ContentType, func(name []byte) bool { return len(wanted[string(name)]) > 0 },
		func(s *exposition.Series) error {
			for _, x := range wanted[string(s.Name)] {
				if x.failure != "" {
					continue
				}
				if x.failure = x.tally.add(s); x.failure != "" && !anyLeft(t.reads) {
					return errNothingLeft
				}
			}
			return nil
		})
	var known *astern.Error
	switch {
	case errors.Is(err, errNothingLeft):
	case errors.Is(err, fetch.ErrTooLarge):
		failed(fetch.ErrTooLarge.Error())
	case errors.As(err, &known):
		failed(known.Error())
	case err != nil && !resp.Quotable:
		failed("what it exposes can't be read")
	case err != nil:
		failed("what it exposes can't be read: " + fetch.Line(err.Error()))
	}
}

// errNothingLeft ends the reading of what no signal can be read from any more.
var errNothingLeft = errors.New("nothing is left to be read")

func anyLeft(reads []*read) bool {
	return slices.ContainsFunc(reads, func(x *read) bool { return x.failure == "" })
}

func (x *read) into(a *signal.Answer, at time.Time) {
	if x.failure == "" {
		x.failure = x.tally.missing()
	}
	if x.failure != "" {
		a.Fail(x.member, x.failure)
		return
	}
	r := x.tally.reading()
	r.Member = x.member
	if r.At.IsZero() {
		r.At = at
	}
	a.Readings = append(a.Readings, r)
	a.Series += x.tally.series
}

// tally adds up the series of one signal of one member.
type tally struct {
	selectors             signal.Selectors
	names                 []string // of the metrics that are read
	bucket                string
	createdOf             []string
	sum                   astern.Reading
	series, totals        int
	classic, native       int
	bounds                map[float64]float64
	buckets               []astern.Bucket
	created, processStart time.Time
	at                    time.Time
	seen                  map[uint64]bool
}

const processStart = "process_start_time_seconds"

var seed = maphash.MakeSeed()

func newTally(s signal.Selectors) tally {
	t := tally{selectors: s, names: []string{processStart}}
	for _, x := range []*signal.Selector{s.Total, s.Bad} {
		if x != nil {
			t.names = append(t.names, x.Name)
			t.createdOf = append(t.createdOf, strings.TrimSuffix(x.Name, "_total")+"_created")
		}
	}
	if h := s.Histogram; h != nil {
		t.bucket = h.Name + "_bucket"
		t.names = append(t.names, h.Name, t.bucket)
		t.createdOf = append(t.createdOf, h.Name+"_created")
	}
	t.names = append(t.names, t.createdOf...)
	return t
}

// add takes in one series; it returns why the whole can't be counted, "" when it can.
func (t *tally) add(s *exposition.Series) (why string) {
	name := string(s.Name)
	if name == processStart {
		if s.Value > 0 && s.Value < 1e11 {
			t.processStart = time.UnixMilli(int64(s.Value * 1000)).UTC()
		}
		return ""
	}
	matched := false
	for _, x := range []struct {
		selector *signal.Selector
		into     *float64
	}{{t.selectors.Total, &t.sum.Total}, {t.selectors.Bad, &t.sum.Bad}} {
		if x.selector == nil || x.selector.Name != name || !x.selector.Matches(s.Label) {
			continue
		}
		matched = true
		*x.into += s.Value
		if x.into == &t.sum.Total {
			t.totals++
		}
	}
	if h := t.selectors.Histogram; h != nil && (name == h.Name || name == t.bucket) && h.Matches(s.Label) {
		if name == h.Name && s.Native == nil && s.Label("le") == "" {
			return "" // a sum or another series of that name
		}
		matched = true
		why = t.histogram(s)
	}
	if slices.Contains(t.createdOf, name) && t.selected(s) {
		t.earliest(time.UnixMilli(int64(s.Value * 1000)).UTC())
		return ""
	}
	if !matched || why != "" {
		return why
	}
	t.earliest(s.Created)
	if s.At.After(t.at) {
		t.at = s.At
	}
	return t.once(s)
}

// selected reports whether a _created series is of one that is counted.
func (t *tally) selected(s *exposition.Series) bool {
	for _, x := range []*signal.Selector{t.selectors.Total, t.selectors.Histogram} {
		if x != nil && x.Matches(s.Label) && s.Value > 0 && s.Value < 1e11 {
			return true
		}
	}
	return false
}

func (t *tally) earliest(created time.Time) {
	if !created.IsZero() && (t.created.IsZero() || created.Before(t.created)) {
		t.created = created
	}
}

// once refuses a series that is told twice: it would count twice.
func (t *tally) once(s *exposition.Series) string {
	if t.series++; t.series > signal.MaxSeries {
		return fmt.Sprintf("its selectors match more than %d series", signal.MaxSeries)
	}
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.Write(s.Name)
	if s.Native != nil {
		_ = h.WriteByte(2)
	}
	for _, l := range s.Labels {
		_ = h.WriteByte(0)
		_, _ = h.Write(l.Name)
		_ = h.WriteByte(1)
		_, _ = h.Write(l.Value)
	}
	if t.seen == nil {
		t.seen = map[uint64]bool{}
	}
	if t.seen[h.Sum64()] {
		return "it exposes the same series twice"
	}
	t.seen[h.Sum64()] = true
	return ""
}

func (t *tally) histogram(s *exposition.Series) (why string) {
	if s.Native != nil {
		t.native++
		b := signal.Cumulate(s.Native, s.Value)
		if t.buckets == nil {
			t.buckets = b
		} else {
			t.buckets = signal.Add(t.buckets, b)
		}
		return ""
	}
	le, err := strconv.ParseFloat(s.Label("le"), 64)
	if err != nil || math.IsNaN(le) {
		return "a bucket of its histogram has no bound"
	}
	if math.IsInf(le, 1) {
		t.classic++
	}
	if t.bounds == nil {
		t.bounds = map[float64]float64{}
	}
	if t.bounds[le] += s.Value; len(t.bounds) > signal.MaxBuckets {
		return "its histogram has too many buckets"
	}
	return ""
}

// missing says which selector matches nothing. One of failures may: a counter appears with the first of them.
func (t *tally) missing() string {
	switch {
	case t.selectors.Histogram != nil && t.native == 0 && len(t.bounds) == 0:
		return "it exposes no histogram " + t.selectors.Histogram.String()
	case t.selectors.Histogram != nil && t.native == 0 && t.classic == 0:
		return "its histogram has no bucket +Inf"
	case t.selectors.Histogram != nil && t.native > 0 && t.classic > 0 && t.native != t.classic:
		return "some of its histograms are native and some are not"
	case t.selectors.Total != nil && t.totals == 0:
		return "it exposes no series " + t.selectors.Total.String()
	}
	return ""
}

// reading returns what was added up.
func (t *tally) reading() astern.Reading {
	r := t.sum
	r.At = t.at
	for _, started := range []time.Time{t.created, t.processStart} { // the process's own word counts more
		if !started.IsZero() {
			r.Started = &started
		}
	}
	switch {
	case t.selectors.Histogram == nil:
		return r
	case t.native > 0:
		r.Buckets = t.buckets
	default:
		r.Buckets = signal.Classic(t.bounds)
	}
	if t.selectors.Total == nil {
		r.Total = r.Buckets[len(r.Buckets)-1].Count
	}
	return r
}
