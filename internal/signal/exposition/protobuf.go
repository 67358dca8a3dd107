package exposition

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/astern-dev/astern/internal/signal"
)

// The types of families, and the numbers of the fields that are read, of io.prometheus.client's metrics.proto.
const (
	typeHistogram = 4

	maxMessage = signal.MaxBytes
)

var errProtobuf = errors.New("it is no protobuf of metrics")

// readProtobuf reads one family after another, each led by its length.
func readProtobuf(r io.Reader, want func([]byte) bool, each func(*Series) error) error {
	in := bufio.NewReader(r)
	var buf []byte
	for {
		size, err := binary.ReadUvarint(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil || size > maxMessage {
			return wrong(err)
		}
		if buf, err = take(in, buf[:0], int(size)); err != nil {
			return wrong(err)
		}
		if err := family(buf, want, each); err != nil {
			return err
		}
	}
}

// take reads n bytes. Memory grows with what comes, not with what is announced.
func take(in io.Reader, buf []byte, n int) ([]byte, error) {
	for len(buf) < n {
		piece := min(n-len(buf), max(64<<10, len(buf)))
		if cap(buf)-len(buf) < piece {
			buf = append(make([]byte, 0, len(buf)+piece), buf...)
		}
		got, err := io.ReadFull(in, buf[len(buf):len(buf)+piece])
		if buf = buf[:len(buf)+got]; err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// wrong tells a broken connection from what is no protobuf.
func wrong(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("it breaks off within a family")
	}
	if err != nil {
		return err
	}
	return errProtobuf
}

// fields calls f for each field of a message: number is that of a varint or a fixed one, bytes what any other holds.
func fields(b []byte, f func(field protowire.Number, number uint64, bytes []byte) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errProtobuf
		}
		b = b[n:]
		var number uint64
		var bytes []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			number, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, kind, b)
		}
		if n < 0 {
			return errProtobuf
		}
		b = b[n:]
		if err := f(num, number, bytes); err != nil {
			return err
		}
	}
	return nil
}

func family(b []byte, want func([]byte) bool, each func(*Series) error) error {
	var name []byte
	kind := uint64(0)
	err := fields(b, func(field protowire.Number, number uint64, bytes []byte) error {
		switch field {
		case 1:
			name = bytes
		case 3:
			kind = number
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(name) == 0 || !utf8.Valid(name) {
		return errProtobuf
	}
	f := familyReader{name: name, each: each, bucket: append(name[:len(name):len(name)], "_bucket"...)}
	f.histogram = kind == typeHistogram
	if f.wantsBuckets = f.histogram && want(f.bucket); !f.wantsBuckets && !want(name) {
		return nil
	}
	return fields(b, func(field protowire.Number, _ uint64, bytes []byte) error {
		if field != 4 {
			return nil
		}
		return f.metric(bytes)
	})
}

type familyReader struct {
	name, bucket            []byte
	histogram, wantsBuckets bool
	each                    func(*Series) error
	series                  Series
}

func (f *familyReader) metric(b []byte) error {
	s := &f.series
	*s = Series{Name: f.name, Labels: s.Labels[:0]}
	var body []byte
	counter := false
	err := fields(b, func(field protowire.Number, number uint64, bytes []byte) error {
		switch field {
		case 1:
			return f.label(bytes)
		case 2, 3, 5:
			body, counter = bytes, true
		case 7:
			body = bytes
		case 6:
			s.At = time.UnixMilli(int64(number)).UTC()
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case f.histogram && !counter:
		return f.buckets(body)
	case !counter:
		return nil // a summary: nothing can be asked of it
	}
	err = fields(body, func(field protowire.Number, number uint64, bytes []byte) (err error) {
		switch field {
		case 1:
			s.Value = math.Float64frombits(number)
		case 3:
			s.Created, err = timestamp(bytes)
		}
		return err
	})
	if err != nil {
		return err
	}
	return f.each(s)
}

func (f *familyReader) label(b []byte) error {
	var l Label
	err := fields(b, func(field protowire.Number, _ uint64, bytes []byte) error {
		switch field {
		case 1:
			l.Name = bytes
		case 2:
			l.Value = bytes
		}
		return nil
	})
	if err == nil && !utf8.Valid(l.Value) {
		return errors.New("a label's value is not UTF-8")
	}
	f.series.Labels = append(f.series.Labels, l)
	return err
}

func timestamp(b []byte) (time.Time, error) {
	var seconds, nanos uint64
	err := fields(b, func(field protowire.Number, number uint64, _ []byte) error {
		switch field {
		case 1:
			seconds = number
		case 2:
			nanos = number
		}
		return nil
	})
	return time.Unix(int64(seconds), int64(nanos)).UTC(), err
}

// histogram is what a Histogram message says. Counts may be written as floats, which then have the word.
type histogram struct {
	count, zero float64
	threshold   float64
	schema      int32
	native      bool
	created     time.Time
	deltas      [2]bool // negative and positive
	lists       [2][]uint64
	pairs       [2][]span
	classic     []classic
}

type (
	span    struct{ offset, length int64 }
	classic struct{ upper, count float64 }
)

func (f *familyReader) buckets(b []byte) error {
	h, err := histogramOf(b)
	if err != nil {
		return err
	}
	s := &f.series
	s.Created = h.created
	if f.wantsBuckets {
		labels := s.Labels
		infinite := false
		s.Name = f.bucket
		for _, c := range append(h.classic, classic{math.Inf(1), h.count}) {
			if math.IsInf(c.upper, 1) {
				if infinite {
					break
				}
				infinite = true
			}
			if len(h.classic) == 0 && h.native {
				break
			}
			s.Labels = append(labels, Label{[]byte("le"), strconv.AppendFloat(nil, c.upper, 'g', -1, 64)})
			s.Value = c.count
			if err := f.each(s); err != nil {
				return err
			}
		}
		s.Name, s.Labels = f.name, labels
	}
	if !h.native {
		return nil
	}
	if s.Native, err = h.intervals(); err != nil {
		return err
	}
	s.Value = h.count
	return f.each(s)
}

func histogramOf(b []byte) (histogram, error) {
	var h histogram
	err := fields(b, func(field protowire.Number, number uint64, bytes []byte) (err error) {
		switch field {
		case 1:
			h.count = max(h.count, float64(number))
		case 4:
			if x := math.Float64frombits(number); x > 0 {
				h.count = x
			}
		case 3:
			var c classic
			c, err = classicOf(bytes)
			h.classic = append(h.classic, c)
		case 5:
			h.schema, h.native = int32(protowire.DecodeZigZag(number)), true
		case 6:
			h.threshold, h.native = math.Float64frombits(number), true
		case 7:
			h.zero, h.native = float64(number), true
		case 8:
			h.zero = max(h.zero, math.Float64frombits(number))
		case 9, 12:
			h.native = true
			err = h.span(side(field == 12), bytes)
		case 10, 13:
			h.deltas[side(field == 13)] = true
			err = h.list(side(field == 13), number, bytes, false)
		case 11, 14:
			err = h.list(side(field == 14), number, bytes, true)
		case 15:
			h.created, err = timestamp(bytes)
		}
		return err
	})
	return h, err
}

func side(positive bool) int {
	if positive {
		return 1
	}
	return 0
}

func classicOf(b []byte) (classic, error) {
	var c classic
	err := fields(b, func(field protowire.Number, number uint64, _ []byte) error {
		switch x := math.Float64frombits(number); {
		case field == 1:
			c.count = max(c.count, float64(number))
		case field == 4 && x > 0:
			c.count = x
		case field == 2:
			c.upper = x
		}
		return nil
	})
	return c, err
}

func (h *histogram) span(i int, b []byte) error {
	var s span
	err := fields(b, func(field protowire.Number, number uint64, _ []byte) error {
		switch field {
		case 1:
			s.offset = int64(int32(protowire.DecodeZigZag(number)))
		case 2:
			s.length = int64(uint32(number))
		}
		return nil
	})
	h.pairs[i] = append(h.pairs[i], s)
	return err
}

// list takes numbers that stand alone or packed.
func (h *histogram) list(i int, number uint64, packed []byte, fixed bool) error {
	if packed == nil {
		h.lists[i] = append(h.lists[i], number)
	}
	for len(packed) > 0 {
		n := 0
		if fixed {
			number, n = protowire.ConsumeFixed64(packed)
		} else {
			number, n = protowire.ConsumeVarint(packed)
		}
		if n < 0 {
			return errProtobuf
		}
		packed = packed[n:]
		h.lists[i] = append(h.lists[i], number)
	}
	return nil
}

// intervals returns the buckets of a native histogram
// (https://prometheus.io/docs/specs/native_histograms/).
func (h *histogram) intervals() ([]signal.Interval, error) {
	if h.schema < -4 || h.schema > 8 {
		return nil, fmt.Errorf("its native histogram is of the schema %d, which is not known here", h.schema)
	}
	var out []signal.Interval
	bound := func(i int64) float64 { return math.Exp2(math.Ldexp(float64(i), -int(h.schema))) }
	for i, spans := range h.pairs {
		at, next, count := int64(0), 0, 0.0
		for _, s := range spans {
			at += s.offset
			if s.length > int64(len(h.lists[i])-next) {
				return nil, errors.New("its native histogram announces more buckets than it has")
			}
			for range s.length {
				if h.deltas[i] {
					count += float64(protowire.DecodeZigZag(h.lists[i][next]))
				} else {
					count = math.Float64frombits(h.lists[i][next])
				}
				next++
				lower, upper := bound(at-1), bound(at)
				if i == 0 {
					lower, upper = -upper, -lower
				}
				out = append(out, signal.Interval{Lower: lower, Upper: upper, Count: count})
				at++
			}
		}
	}
	if len(out) > signal.MaxBuckets {
		return nil, errors.New("its native histogram has too many buckets")
	}
	if h.zero > 0 {
		out = append(out, signal.Interval{Lower: -h.threshold, Upper: h.threshold, Count: h.zero})
	}
	return out, nil
}
