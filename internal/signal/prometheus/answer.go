package prometheus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/fetch"
)

// maxPoints bounds the series of an answer times the moments of each.
const maxPoints = 500_000

var (
	errTooMany = fmt.Errorf("it answers with more than %d points", maxPoints)
	errNoJSON  = errors.New("its answer is not that of a Prometheus")
)

// collector sorts the series of an answer by moment, question and member.
type collector struct {
	parts   []*part
	moments map[int64]map[*question]map[string]*point // by milliseconds of Prometheus' clock
	points  int
	bare    bool // the answer is to one part, which is not marked
}

// lost reports whether a histogram that the part asks for has a time and nothing else.
func (c *collector) lost(p *part) bool {
	for _, users := range p.users {
		for _, u := range users {
			if u.role != roleNative {
				continue
			}
			for _, m := range c.moments {
				for _, p := range m[u.question] {
					if p.has[roleTime] && !p.has[roleClassic] && !p.has[roleNative] {
						return true
					}
				}
			}
		}
	}
	return false
}

// point is what is known of one member at one moment.
type point struct {
	has     [roles]bool
	value   [roles]float64
	bounds  map[float64]float64
	native  []astern.Bucket
	twice   bool
	series  int
	tooMany bool
}

// element is one series of an answer: a value and a histogram for one moment, or lists of them.
type element struct {
	Metric     map[string]string `json:"metric"`
	Value      *number           `json:"value"`
	Values     []number          `json:"values"`
	Histogram  *native           `json:"histogram"`
	Histograms []native          `json:"histograms"`
}

// number is [time, "value"].
type number struct {
	at    int64
	value float64
}

// UnmarshalJSON reads the pair.
func (n *number) UnmarshalJSON(b []byte) error {
	var text string
	at, err := pair(b, &text)
	if err != nil {
		return err
	}
	n.at = at
	n.value, err = strconv.ParseFloat(text, 64)
	return err
}

// pair reads [time, X].
func pair(b []byte, into any) (at int64, err error) {
	var p [2]json.RawMessage
	var seconds float64
	if err := json.Unmarshal(b, &p); err != nil {
		return 0, err
	}
	if err := json.Unmarshal(p[0], &seconds); err != nil {
		return 0, err
	}
	if math.Abs(seconds) > 1e11 || p[1] == nil {
		return 0, errNoJSON
	}
	return int64(math.Round(seconds * 1000)), json.Unmarshal(p[1], into)
}

// native is [time, histogram].
type native struct {
	at        int64
	count     float64
	intervals []signal.Interval
}

// UnmarshalJSON reads the pair. A bucket is [which of its ends it holds, "lower", "upper", "count"].
func (n *native) UnmarshalJSON(b []byte) error {
	var h struct {
		Count   string               `json:"count"`
		Buckets [][4]json.RawMessage `json:"buckets"`
	}
	var err error
	if n.at, err = pair(b, &h); err != nil {
		return err
	}
	if n.count, err = strconv.ParseFloat(h.Count, 64); err != nil {
		return err
	}
	for _, bucket := range h.Buckets {
		var x [3]float64
		for i := range x {
			var text string
			if err := json.Unmarshal(bucket[i+1], &text); err != nil {
				return err
			}
			if x[i], err = strconv.ParseFloat(text, 64); err != nil {
				return err
			}
		}
		n.intervals = append(n.intervals, signal.Interval{Lower: x[0], Upper: x[1], Count: x[2]})
	}
	return nil
}

// read reads an answer series by series. said is what Prometheus tells of an error, fit to be shown behind other words.
func (c *collector) read(body io.Reader) (said string, err error) {
	dec := json.NewDecoder(body)
	status, failure := "", ""
	incomplete := false
	err = object(dec, func(key string) error {
		switch key {
		case "status":
			return dec.Decode(&status)
		case "error":
			return dec.Decode(&failure)
		case "warnings":
			var w []string
			err := dec.Decode(&w)
			incomplete = len(w) > 0
			if incomplete {
				failure = w[0]
			}
			return err
		case "data":
			return object(dec, func(key string) error {
				if key == "result" {
					return c.result(dec)
				}
				return skip(dec)
			})
		}
		return skip(dec)
	})
	if failure != "" {
		said = ": " + fetch.Line(failure)
	}
	var known *astern.Error
	switch {
	case errors.As(err, &known), errors.Is(err, fetch.ErrTooLarge), errors.Is(err, errTooMany):
		return said, err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return said, errors.New("its answer breaks off")
	case err != nil:
		return said, errNoJSON
	case incomplete:
		return said, errors.New("it warns that its answer is not complete")
	case status != "success":
		return said, errNoJSON
	}
	return said, nil
}

// object calls f behind each key of the object that comes.
func object(dec *json.Decoder, f func(key string) error) error {
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return firstOf(err, errNoJSON)
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return errNoJSON
		}
		if err := f(key); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func skip(dec *json.Decoder) error {
	var ignored json.RawMessage
	return dec.Decode(&ignored)
}

func (c *collector) result(dec *json.Decoder) error {
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return firstOf(err, errNoJSON)
	}
	var raw json.RawMessage
	for dec.More() {
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		e, ok := plain(raw)
		if !ok {
			if err := json.Unmarshal(raw, &e); err != nil {
				return err
			}
		}
		if err := c.add(&e); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// plain reads the form that nearly every series of an instant query has, as Prometheus writes it: text without escapes and
// one value. It allocates half of what a decoder does that has to expect anything; ok is false for any other form.
func plain(raw []byte) (e element, ok bool) {
	rest, ok := bytes.CutPrefix(raw, []byte(`{"metric":{`))
	if !ok || bytes.IndexByte(raw, '\\') >= 0 || !utf8.Valid(raw) {
		return e, false
	}
	text := func() (s []byte, ok bool) {
		if len(rest) == 0 || rest[0] != '"' {
			return nil, false
		}
		end := bytes.IndexByte(rest[1:], '"')
		if end < 0 {
			return nil, false
		}
		s, rest = rest[1:1+end], rest[2+end:]
		return s, true
	}
	metric := make(map[string]string, 3)
	for len(rest) > 0 && rest[0] != '}' {
		key, ok := text()
		if !ok || len(rest) == 0 || rest[0] != ':' {
			return e, false
		}
		rest = rest[1:]
		value, ok := text()
		if !ok {
			return e, false
		}
		metric[string(key)] = string(value)
		if len(rest) > 1 && rest[0] == ',' && rest[1] == '"' {
			rest = rest[1:]
		}
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(`},"value":[`)); !ok {
		return e, false
	}
	time, rest, ok := bytes.Cut(rest, []byte{','})
	seconds, err := strconv.ParseFloat(string(time), 64)
	if !ok || err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 1e11 {
		return e, false
	}
	value, found := bytes.CutSuffix(rest, []byte(`"]}`))
	if value, ok = bytes.CutPrefix(value, []byte{'"'}); !ok || !found {
		return e, false
	}
	x, err := strconv.ParseFloat(string(value), 64)
	if err != nil {
		return e, false
	}
	return element{Metric: metric, Value: &number{int64(math.Round(seconds * 1000)), x}}, true
}

// add sorts one series in.
func (c *collector) add(e *element) error {
	k, err := strconv.Atoi(e.Metric[mark])
	if c.bare && e.Metric[mark] == "" {
		k, err = 0, nil
	}
	if err != nil || k < 0 || k >= len(c.parts) {
		return errNoJSON
	}
	if e.Value != nil {
		e.Values = append(e.Values, *e.Value)
	}
	if e.Histogram != nil {
		e.Histograms = append(e.Histograms, *e.Histogram)
	}
	if c.points += len(e.Values) + len(e.Histograms); c.points > maxPoints {
		return errTooMany
	}
	for _, v := range e.Values {
		c.at(v.at, nil)
	}
	for _, u := range c.parts[k].users[e.Metric[c.parts[k].key]] {
		q := u.question
		member, asked := q.members[e.Metric[q.label]]
		if !asked {
			continue
		}
		for _, v := range e.Values {
			points := c.at(v.at, q)
			points[member] = points[member].number(u.role, v.value, e.Metric["le"])
		}
		for _, h := range e.Histograms {
			c.at(h.at, q)[member] = c.at(h.at, q)[member].histogram(u.role, h)
		}
	}
	return nil
}

// at returns the points of a question at a moment.
func (c *collector) at(moment int64, q *question) map[string]*point {
	m := c.moments[moment]
	if m == nil {
		m = map[*question]map[string]*point{}
		c.moments[moment] = m
	}
	if q == nil {
		return nil
	}
	if m[q] == nil {
		m[q] = map[string]*point{}
	}
	return m[q]
}

// moment returns the moment of an instant query.
func (c *collector) moment() (at int64, ok bool) {
	for at := range c.moments {
		return at, true
	}
	return 0, false
}

func (p *point) number(role int, x float64, le string) *point {
	if p == nil {
		p = &point{}
	}
	if role == roleNative { // a plain series of the histogram's name
		return p
	}
	p.series++
	if role == roleClassic {
		bound, err := strconv.ParseFloat(le, 64)
		if err != nil {
			return p
		}
		if p.bounds == nil {
			p.bounds = map[float64]float64{}
		}
		p.tooMany = p.tooMany || len(p.bounds) >= signal.MaxBuckets
		if !p.tooMany {
			p.bounds[bound] = x
		}
		p.has[role] = true
		return p
	}
	// A member that is found by its name and by its address would be counted twice.
	p.twice = p.twice || p.has[role] && (role == roleTotal || role == roleBad)
	p.has[role], p.value[role] = true, x
	return p
}

func (p *point) histogram(role int, h native) *point {
	if p == nil {
		p = &point{}
	}
	if role != roleNative {
		return p
	}
	p.series++
	p.twice = p.twice || p.has[role]
	p.has[role], p.native = true, signal.Cumulate(h.intervals, h.count)
	return p
}

// reading returns what was collected, or why it can't be counted.
func (p *point) reading(q *question) (r astern.Reading, why string) {
	switch {
	case p.twice:
		return r, "series carry its name and others its address: it would be counted twice"
	case p.tooMany:
		return r, "its histogram has too many buckets"
	case q.parts[roleTotal] != "" && !p.has[roleTotal]:
		return r, "Prometheus has no current series for it"
	case math.IsNaN(p.value[roleTime]) || math.Abs(p.value[roleTime]) > 1e11:
		return r, "its time can't be read"
	}
	r = astern.Reading{Total: p.value[roleTotal], Bad: p.value[roleBad], At: milliseconds(p.value[roleTime])}
	if s := p.value[roleStart]; p.has[roleStart] && s > 0 && s < 1e11 {
		started := milliseconds(s)
		r.Started = &started
	}
	if q.parts[roleClassic] == "" {
		return r, ""
	}
	switch _, infinite := p.bounds[math.Inf(1)]; {
	case p.has[roleNative]:
		r.Buckets = p.native
	case !p.has[roleClassic]:
		return r, "Prometheus has no histogram of it"
	case !infinite:
		return r, "its histogram has no bucket +Inf"
	default:
		r.Buckets = signal.Classic(p.bounds)
	}
	if q.parts[roleTotal] == "" {
		r.Total = r.Buckets[len(r.Buckets)-1].Count
	}
	return r, ""
}

func milliseconds(seconds float64) time.Time {
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
}
