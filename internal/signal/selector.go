package signal

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Selector is a metric's name with label matchers, the vector selector of PromQL without offset and @
// (https://prometheus.io/docs/prometheus/latest/querying/basics/).
type Selector struct {
	Name     string
	Matchers []Matcher
}

// Matcher is one condition on a label. A label that a series does not carry is "".
type Matcher struct {
	Label, Op, Value string
	re               *regexp.Regexp
}

// maxSelector is far above what people write; a regular expression of that length compiles in no time.
const maxSelector = 4_096

// ParseSelector reads a selector.
func ParseSelector(text string) (Selector, error) {
	p := selectorParser{rest: strings.TrimSpace(text)}
	if len(text) > maxSelector {
		return Selector{}, fmt.Errorf("a selector of %d characters is too long", len(text))
	}
	var s Selector
	s.Name = p.word(true)
	if s.Name == "" {
		return Selector{}, fmt.Errorf("%s is no selector: it must begin with a metric's name", quoted(text))
	}
	if p.take("{") {
		for !p.take("}") {
			m, err := p.matcher()
			if err != nil {
				return Selector{}, fmt.Errorf("%s is no selector: %w", quoted(text), err)
			}
			s.Matchers = append(s.Matchers, m)
			if !p.take(",") && !strings.HasPrefix(p.rest, "}") {
				return Selector{}, fmt.Errorf("%s is no selector: a comma or } must follow the matcher of %s", quoted(text), m.Label)
			}
		}
	}
	if p.rest != "" {
		return Selector{}, fmt.Errorf("%s is no selector: %s follows it", quoted(text), quoted(p.rest))
	}
	return s, nil
}

func quoted(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:59]) + "…"
	}
	return strconv.Quote(s)
}

type selectorParser struct{ rest string }

func (p *selectorParser) take(token string) bool {
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = strings.TrimSpace(rest)
	}
	return ok
}

// word takes a name; that of a metric may hold colons.
func (p *selectorParser) word(colons bool) string {
	n := 0
	for n < len(p.rest) && nameByte(p.rest[n], n == 0, colons) {
		n++
	}
	w := p.rest[:n]
	p.rest = strings.TrimSpace(p.rest[n:])
	return w
}

func nameByte(c byte, first, colons bool) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || colons && c == ':' || !first && c >= '0' && c <= '9'
}

func (p *selectorParser) matcher() (Matcher, error) {
	m := Matcher{Label: p.word(false)}
	if m.Label == "" {
		return m, errors.New("a label's name is missing")
	}
	for _, op := range []string{"=~", "!~", "!=", "="} {
		if p.take(op) {
			m.Op = op
			break
		}
	}
	if m.Op == "" {
		return m, fmt.Errorf("one of = != =~ !~ must follow %s", m.Label)
	}
	quoted, err := strconv.QuotedPrefix(p.rest)
	if err != nil || quoted[0] == '`' && strings.ContainsRune(quoted, '\r') {
		return m, fmt.Errorf(`the value of %s must stand in "quotes"`, m.Label)
	}
	p.rest = strings.TrimSpace(p.rest[len(quoted):])
	if m.Value, err = strconv.Unquote(quoted); err != nil {
		return m, fmt.Errorf(`the value of %s must stand in "quotes"`, m.Label)
	}
	if strings.HasSuffix(m.Op, "~") {
		if m.re, err = regexp.Compile("^(?s:" + m.Value + ")$"); err != nil { // anchored, as Prometheus does
			return m, fmt.Errorf("the value of %s is no regular expression: %w", m.Label, err)
		}
	}
	return m, nil
}

// String writes the selector as PromQL.
func (s Selector) String() string {
	if len(s.Matchers) == 0 {
		return s.Name
	}
	var b strings.Builder
	b.WriteString(s.Name)
	for i, m := range s.Matchers {
		b.WriteString(",{"[btoi(i == 0) : btoi(i == 0)+1])
		b.WriteString(m.Label + m.Op + strconv.Quote(m.Value))
	}
	b.WriteByte('}')
	return b.String()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// With returns the selector of another metric with the same matchers and one more.
func (s Selector) With(name string, more ...Matcher) Selector {
	return Selector{Name: name, Matchers: slices.Concat(s.Matchers, more)}
}

// Matches reports whether a series' labels pass; value returns that of a label, "" when it has none.
func (s Selector) Matches(value func(label string) string) bool {
	for _, m := range s.Matchers {
		v := value(m.Label)
		ok := v == m.Value
		if m.re != nil {
			ok = m.re.MatchString(v)
		}
		if ok == strings.HasPrefix(m.Op, "!") {
			return false
		}
	}
	return true
}
