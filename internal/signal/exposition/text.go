package exposition

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxLine bounds one line: what is longer is no series.
const maxLine = 64 << 10

// readText reads the text format, or OpenMetrics, which ends in # EOF and writes times as seconds.
func readText(r io.Reader, open bool, want func([]byte) bool, each func(*Series) error) error {
	in := bufio.NewReaderSize(r, maxLine)
	p := textReader{open: open, want: want, each: each}
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("line %d is too long to be a series", n)
		case errors.Is(err, io.EOF) && len(line) == 0:
			if open && !p.ended {
				return errors.New("it breaks off before # EOF")
			}
			return nil
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
		if errors.Is(err, io.EOF) && !(open && string(line) == "# EOF") {
			return errors.New("it breaks off within a line")
		}
		if p.ended {
			return fmt.Errorf("line %d comes after # EOF", n)
		}
		if err := p.line(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
}

type textReader struct {
	open, ended bool
	want        func([]byte) bool
	each        func(*Series) error
	series      Series
	unescaped   []byte
}

var (
	errNoSeries = errors.New("it is no series")
	errLabels   = errors.New("its labels can't be read")
)

func (p *textReader) line(l []byte) error {
	if !p.open {
		l = bytes.TrimSpace(l)
	}
	if len(l) == 0 || l[0] == '#' {
		p.ended = p.open && string(l) == "# EOF"
		return nil
	}
	n := 0
	for n < len(l) && nameByte(l[n], n == 0) {
		n++
	}
	if l[0] == '{' { // a name in quotes, which nobody can ask for
		return nil
	}
	if n == 0 || n == len(l) || l[n] != '{' && l[n] != ' ' && l[n] != '\t' {
		return errNoSeries
	}
	if !p.want(l[:n]) {
		return nil
	}
	s := &p.series
	*s = Series{Name: l[:n], Labels: s.Labels[:0]}
	rest, err := p.labels(bytes.TrimLeft(l[n:], " \t"))
	if err != nil {
		return err
	}
	if err := p.value(rest); err != nil {
		return err
	}
	return p.each(s)
}

func nameByte(c byte, first bool) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' || !first && c >= '0' && c <= '9'
}

// labels takes what stands in braces.
func (p *textReader) labels(l []byte) (rest []byte, err error) {
	if len(l) == 0 || l[0] != '{' {
		return l, nil
	}
	p.unescaped = p.unescaped[:0]
	for l = space(l[1:]); ; {
		if len(l) > 0 && l[0] == '}' {
			return space(l[1:]), nil
		}
		n := 0
		for n < len(l) && nameByte(l[n], n == 0) && l[n] != ':' {
			n++
		}
		name := l[:n]
		l = space(l[n:])
		if n == 0 || len(l) == 0 || l[0] != '=' {
			return nil, errLabels
		}
		if l = space(l[1:]); len(l) == 0 || l[0] != '"' {
			return nil, errLabels
		}
		var value []byte
		if value, l, err = p.quoted(l[1:]); err != nil {
			return nil, err
		}
		for _, other := range p.series.Labels {
			if bytes.Equal(other.Name, name) {
				return nil, fmt.Errorf("it carries the label %s twice", name)
			}
		}
		p.series.Labels = append(p.series.Labels, Label{name, value})
		l = space(l)
		switch {
		case len(l) > 0 && l[0] == ',':
			l = space(l[1:])
		case len(l) == 0 || l[0] != '}':
			return nil, errLabels
		}
	}
}

func space(l []byte) []byte { return bytes.TrimLeft(l, " \t") }

// quoted takes a value up to its closing quote. One with escapes is written behind those of the same series.
func (p *textReader) quoted(l []byte) (value, rest []byte, err error) {
	end := bytes.IndexAny(l, `"\`)
	if end < 0 {
		return nil, nil, errLabels
	}
	if l[end] == '"' {
		value, rest = l[:end], l[end+1:]
	} else {
		from := len(p.unescaped)
		for i := 0; ; i++ {
			if i >= len(l) {
				return nil, nil, errLabels
			}
			c := l[i]
			if c == '"' {
				value, rest = p.unescaped[from:len(p.unescaped):len(p.unescaped)], l[i+1:]
				break
			}
			if c == '\\' && i+1 < len(l) {
				i++
				switch c = l[i]; c {
				case 'n':
					c = '\n'
				case '\\', '"':
				default:
					p.unescaped = append(p.unescaped, '\\')
				}
			}
			p.unescaped = append(p.unescaped, c)
		}
	}
	if !utf8.Valid(value) {
		return nil, nil, errors.New("a label's value is not UTF-8")
	}
	return value, rest, nil
}

// value takes number and time; in OpenMetrics an exemplar may follow, which is of one request and not read.
func (p *textReader) value(l []byte) error {
	if i := bytes.Index(l, []byte(" # ")); p.open && i >= 0 {
		l = l[:i]
	}
	fields := bytes.Fields(l)
	if len(fields) < 1 || len(fields) > 2 {
		return errNoSeries
	}
	var err error
	if p.series.Value, err = number(fields[0]); err != nil {
		return err
	}
	if len(fields) == 1 {
		return nil
	}
	at, err := number(fields[1])
	if !p.open {
		at /= 1000
	}
	if err != nil || math.IsNaN(at) || math.Abs(at) > 1e11 {
		return errors.New("its time can't be read")
	}
	p.series.At = unix(at)
	return nil
}

func number(b []byte) (float64, error) {
	x, err := strconv.ParseFloat(string(b), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || bytes.ContainsAny(b, "_xXpP") {
		return 0, errors.New("its value is no number")
	}
	return x, nil
}

func unix(seconds float64) time.Time {
	whole := math.Floor(seconds)
	return time.Unix(int64(whole), int64((seconds-whole)*1e9)).UTC()
}
