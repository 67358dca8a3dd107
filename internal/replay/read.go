package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/watch"
)

// Limits of a recording.
const (
	maxLine    = 32 << 20  // bytes of one line
	maxBegins  = 512 << 20 // bytes of all lines that begin a component, which are held
	maxSignals = 100       // of a component
	maxBuckets = 4096      // of a histogram
	maxMembers = 1e6
)

// reader reads lines, and says where and why one is none.
type reader struct {
	name   string
	in     *bufio.Reader
	n      int // of the line that was read last
	last   int64
	begun  bool
	begins int
	// torn is what was wrong with a line that may have been cut off: it is where nothing follows, or a beginning.
	torn error
	// cut are the numbers of the lines that were cut off.
	cut []int
}

func (r *reader) fail(format string, args ...any) error {
	return astern.Errorf(astern.Invalid, "%s: line %d: %s", r.name, r.n, fmt.Sprintf(format, args...))
}

// next returns the next line, io.EOF after the last one.
func (r *reader) next() (line, error) {
	for {
		text, err := r.read()
		if errors.Is(err, io.EOF) && len(text) == 0 {
			if r.torn != nil {
				r.cut = append(r.cut, r.n)
			}
			if !r.begun {
				r.n = 1
				return line{}, r.fail("it is empty, or cut off: no recording of astern watch --record")
			}
			return line{}, io.EOF
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return line{}, err
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		l, err := parsed(text)
		if err != nil || l.Recording == 0 && r.torn != nil {
			if r.torn != nil || !r.begun {
				return line{}, r.wrong(err)
			}
			r.torn = r.fail("%v", err)
			continue
		}
		if r.torn != nil {
			r.cut = append(r.cut, r.n-1)
			r.torn = nil
		}
		return l, r.check(l, len(text))
	}
}

func parsed(text []byte) (l line, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err = d.Decode(&l); err == nil && d.More() {
		err = errors.New("more than one value")
	}
	return l, err
}

// wrong is the error of the first line that is none.
func (r *reader) wrong(err error) error {
	if r.torn != nil {
		return r.torn
	}
	return r.fail("%v", err)
}

// read returns one line without its end, however long the file is without one.
func (r *reader) read() ([]byte, error) {
	r.n++
	var out []byte
	for {
		part, err := r.in.ReadSlice('\n')
		out = append(out, part...)
		switch {
		case len(out) > maxLine:
			return nil, r.fail("it is longer than %d bytes", maxLine)
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && !errors.Is(err, io.EOF):
			return nil, &astern.Error{Code: astern.Invalid, Doing: fmt.Sprintf("reading line %d of %s", r.n, r.name), Cause: err}
		default:
			return out, err
		}
	}
}

// check says what is wrong with a line as a whole.
func (r *reader) check(l line, size int) error {
	const first, last = 0, 253402300799_000000 // 1970 to 9999
	switch {
	case l.Recording > Version:
		return r.fail("the recording is of version %d; this astern reads up to %d", l.Recording, Version)
	case l.Recording < 0:
		return r.fail("there is no version %d of a recording", l.Recording)
	case l.Recording == 0 && !r.begun:
		return r.fail("a recording begins with its version: this is none, or its beginning is missing")
	case l.At < first || l.At > last:
		return r.fail("its time %d is none", l.At)
	case l.Recording == 0 && l.At < r.last:
		return r.fail("its time is before that of the line before: the lines are not in their order")
	}
	r.begun, r.last = true, l.At
	if l.Begin != nil {
		if r.begins += size; r.begins > maxBegins {
			return r.fail("more than %d bytes say how components began", maxBegins)
		}
		return r.sound(l)
	}
	if l.Tried != nil {
		if why := l.Tried.Problem(); why != "" {
			return r.fail("%s", why)
		}
	}
	switch l.Did {
	case "", didNotice, didSettle, didAgain, didOver:
	default:
		return r.fail("nobody knows what %q is to do", clipped(string(l.Did)))
	}
	if l.Address == "" && (l.Recording == 0 && !l.Round) {
		return r.fail("it says of nothing what it is about")
	}
	return nil
}

// sound says what is wrong with the beginning of a component.
func (r *reader) sound(l line) error {
	b := l.Begin
	_, _, ok := astern.SplitAddress(l.Address)
	switch {
	case !ok:
		return r.fail("%q is no ENVIRONMENT/COMPONENT", clipped(l.Address))
	case b.Watched == nil || b.Watched.Address != l.Address:
		return r.fail("it does not say what was known of %s", clipped(l.Address))
	case len(b.Signals) > maxSignals:
		return r.fail("%s has %d signals", clipped(l.Address), len(b.Signals))
	}
	b.Watched.Pasts = b.Pasts
	if why := b.Watched.Problem(); why != "" {
		return r.fail("what was known of %s makes no sense: %s", clipped(l.Address), why)
	}
	return nil
}

// taken turns a sample of a line back. Bounds are those that were told last of its signal.
func (s sample) taken(at int64, signals int, bounds map[int][]float64) (t watch.Taken, why string) {
	const year = 366 * 24 * 3600 * 1e6
	switch {
	case s.Signal < 0 || s.Signal >= signals:
		return t, fmt.Sprintf("there is no signal %d", s.Signal)
	case s.To < 0 || s.From < s.To || s.From > year:
		return t, "a sample's times make no interval"
	}
	t = watch.Taken{Signal: s.Signal, Sample: astern.Sample{From: time.UnixMicro(at - s.From).UTC(), To: time.UnixMicro(at - s.To).UTC(), Missing: s.Missing}}
	if s.Bounds != nil {
		bounds[s.Signal] = *s.Bounds
	}
	old := bounds[s.Signal]
	if s.OldOnes != nil {
		old = *s.OldOnes
	}
	if t.Sample.Candidate, why = counts(s.New, s.NewHist, bounds[s.Signal]); why != "" {
		return t, why
	}
	t.Sample.Control, why = counts(s.Old, s.OldHist, old)
	return t, why
}

func counts(c, hist, bounds []float64) (*astern.Counts, string) {
	if c == nil && hist == nil {
		return nil, ""
	}
	countable := func(x float64) bool { return x >= 0 && x <= 1<<53 }
	if len(c) != 3 || !countable(c[0]) || !countable(c[1]) || c[1] > c[0] || c[2] < 1 || c[2] > maxMembers || c[2] != math.Trunc(c[2]) {
		return nil, "its counts are no total, failures of it and members"
	}
	out := &astern.Counts{Total: c[0], Bad: c[1], Members: int(c[2])}
	if hist == nil {
		return out, ""
	}
	if len(hist) != len(bounds)+1 || len(hist) > maxBuckets {
		return nil, fmt.Sprintf("%d buckets have %d bounds", len(hist), len(bounds))
	}
	for i, n := range hist {
		b := astern.Bucket{Count: n}
		if i < len(bounds) {
			b.Upper = &bounds[i]
		}
		if !countable(n) || i > 0 && n < hist[i-1] || i > 0 && i < len(bounds) && !(bounds[i] > bounds[i-1]) {
			return nil, "its buckets do not rise"
		}
		out.Buckets = append(out.Buckets, b)
	}
	return out, ""
}
