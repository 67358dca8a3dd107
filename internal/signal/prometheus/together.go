package prometheus

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/astern-dev/astern/internal/signal"
)

// Limits of one query. A join of n parts copies what came before it n times, so that few parts are joined; many values of
// one label are no join. 250 is below the 256 up to which Prometheus looks each value up in its index
// (model/labels/regexp.go, maxSetMatches).
const (
	maxParts  = 16
	maxValues = 250
	maxSeries = 10_000 // that are expected to be answered
	maxQuery  = 48 << 10
	// perBucket is how many series a classic histogram is expected to have.
	perBucket = 24
)

// family are questions that are the same but for the value of one label, which each of their selectors asks to be equal:
// they are asked together, by a regular expression of literals, and told apart in the answer by that label.
type family struct {
	label  string
	values map[string]bool
}

// together finds who is asked with whom, and puts them beside each other.
func together(qs []*question) []*question {
	families := map[string]*family{}
	candidates := make([][]*family, len(qs))
	for i, q := range qs {
		for _, m := range q.shared() {
			shape := q.with(m.Label, signal.Matcher{Label: m.Label, Op: "=~"})
			key := q.label + "\x00" + m.Label
			for _, s := range []*signal.Selector{shape.Total, shape.Bad, shape.Histogram} {
				key += "\x00"
				if s != nil {
					key += s.String()
				}
			}
			f := families[key]
			if f == nil {
				f = &family{label: m.Label, values: map[string]bool{}}
				families[key] = f
			}
			f.values[m.Value] = true
			candidates[i] = append(candidates[i], f)
		}
	}
	var order []any
	beside := map[any][]*question{} // by family, or by the texts of those who are asked alone
	for i, q := range qs {
		most := 1
		for _, f := range candidates[i] {
			if len(f.values) > most {
				most, q.family = len(f.values), f
			}
		}
		key := any(q.parts)
		if q.family != nil {
			q.value, _ = equal(q.any(), q.family.label)
			key = q.family
		}
		if beside[key] == nil {
			order = append(order, key)
		}
		beside[key] = append(beside[key], q)
	}
	out := make([]*question, 0, len(qs))
	for _, key := range order {
		out = append(out, beside[key]...)
	}
	return out
}

// shared returns the matchers by which a question can belong to a family: those that all its selectors have. The empty value
// is that of series without the label; bytes that are no UTF-8 can't stand in a regular expression.
func (q *question) shared() []signal.Matcher {
	var out []signal.Matcher
	for _, m := range q.any().Matchers {
		if m.Op != "=" || m.Value == "" || !utf8.ValidString(m.Value) || slices.Contains([]string{"le", "__name__", mark}, m.Label) {
			continue
		}
		all := true
		for _, s := range []*signal.Selector{q.selectors.Total, q.selectors.Bad, q.selectors.Histogram} {
			if s != nil {
				v, ok := equal(s, m.Label)
				all = all && ok && v == m.Value
			}
		}
		if all {
			out = append(out, m)
		}
	}
	return out
}

// any returns one of the selectors.
func (q *question) any() *signal.Selector {
	if q.selectors.Histogram != nil {
		return q.selectors.Histogram
	}
	return q.selectors.Total
}

// equal returns what a selector asks a label to be equal to.
func equal(s *signal.Selector, label string) (value string, ok bool) {
	i := slices.IndexFunc(s.Matchers, func(m signal.Matcher) bool { return m.Op == "=" && m.Label == label })
	if i < 0 {
		return "", false
	}
	return s.Matchers[i].Value, true
}

// with returns the selectors with another matcher in the place of that which asks the label to be equal.
func (q *question) with(label string, by signal.Matcher) signal.Selectors {
	one := func(s *signal.Selector) *signal.Selector {
		if s == nil {
			return nil
		}
		c := signal.Selector{Name: s.Name, Matchers: slices.Clone(s.Matchers)}
		c.Matchers[slices.IndexFunc(c.Matchers, func(m signal.Matcher) bool { return m.Op == "=" && m.Label == label })] = by
		return &c
	}
	return signal.Selectors{Total: one(q.selectors.Total), Bad: one(q.selectors.Bad), Histogram: one(q.selectors.Histogram)}
}

// batch divides the questions into queries of bounded size.
func batch(qs []*question) [][]*question {
	var out [][]*question
	var b load
	for _, q := range qs {
		if len(out) == 0 || !b.take(q) {
			b = load{texts: map[string]bool{}, values: map[*family]map[string]bool{}}
			b.take(q)
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], q)
	}
	return out
}

// load is what one query asks for.
type load struct {
	parts, series, length int
	texts                 map[string]bool
	values                map[*family]map[string]bool
}

// take adds a question, or reports that it is too much; the first is never too much.
func (b *load) take(q *question) bool {
	values, joins := b.values[q.family], q.family != nil && b.values[q.family] != nil
	if joins && values[q.value] {
		return true // it is being asked already
	}
	parts, series, length := 0, 0, 0
	for role, p := range q.parts {
		if p == "" || b.texts[p] {
			continue
		}
		n := q.size
		if role == roleClassic {
			n *= perBucket
		}
		series += n
		length += 64 + len(p)
		parts++
	}
	if joins { // a value stands in a part at most twice, and is quoted at most twice
		length, parts = parts*8*len(q.value), 0
	}
	full := b.parts+parts > maxParts || b.series+series > maxSeries || b.length+length > maxQuery || len(values) >= maxValues
	if full && len(b.texts) > 0 {
		return false
	}
	b.parts, b.series, b.length = b.parts+parts, b.series+series, b.length+length
	for _, p := range q.parts {
		b.texts[p] = true
	}
	if q.family != nil {
		if values == nil {
			values = map[string]bool{}
			b.values[q.family] = values
		}
		values[q.value] = true
	}
	return true
}

// part is one expression of a query, and whom its series are for: they are told apart by the value of one label.
type part struct {
	text  string
	key   string
	users map[string][]user
}

// user is a question that a series is for, and what it is to it.
type user struct {
	question *question
	role     int
}

// partsOf writes what the questions ask, those of a family together; the same part is asked once. Those of a family stand
// beside each other.
func partsOf(qs []*question) []*part {
	var out []*part
	known := map[string]*part{}
	for len(qs) > 0 {
		n := 1
		for qs[0].family != nil && n < len(qs) && qs[n].family == qs[0].family {
			n++
		}
		texts, label := qs[0].joined(qs[:n])
		for role, text := range texts {
			if text == "" {
				continue
			}
			p := known[text]
			if p == nil {
				p = &part{text: text, key: qs[0].label, users: map[string][]user{}}
				if label != "" && (role != roleStart || carried(label, qs[0].label)) {
					p.key = label
				}
				known[text] = p
				out = append(out, p)
			}
			for _, q := range qs[:n] {
				u := user{q, role}
				if p.key == label {
					p.users[q.value] = append(p.users[q.value], u)
					continue
				}
				for m := range q.members {
					p.users[m] = append(p.users[m], u)
				}
			}
		}
		qs = qs[n:]
	}
	return out
}

// joined returns the parts of a question and of those of its family, and the label that tells them apart; that of one
// question, or of many that ask the same, is "".
func (q *question) joined(all []*question) (parts [roles]string, label string) {
	var literals []string
	seen := map[string]bool{}
	for _, x := range all {
		if !seen[x.value] {
			seen[x.value] = true
			literals = append(literals, regexp.QuoteMeta(x.value))
		}
	}
	if len(literals) == 1 {
		return q.parts, ""
	}
	label = q.family.label
	return texts(q.with(label, signal.Matcher{Label: label, Op: "=~", Value: strings.Join(literals, "|")}), q.label, label), label
}

// join writes the parts as one query, each marked by its number.
func join(parts []*part) string {
	var b strings.Builder
	for k, p := range parts {
		if k > 0 {
			b.WriteString(" or ")
		}
		fmt.Fprintf(&b, `label_replace(%s, "%s", "%s", "", "")`, p.text, mark, strconv.Itoa(k))
	}
	return b.String()
}
