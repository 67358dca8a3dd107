package watch

import (
	"slices"
	"time"

	"github.com/astern-dev/astern"
)

// What is kept of a signal's past: three hours, as internal/detect wants them, in pieces of a quarter of a minute, and the
// newest minutes in smaller ones, so that a short past tells something as well. A thousand components with three signals each
// keep some 100 MB so.
const (
	pastAge   = 3 * time.Hour
	pieceOld  = 15 * time.Second
	pieceNew  = 5 * time.Second
	piecesNew = 120
)

// Past is what two halves of a component's members did while nothing new ran there, the oldest piece first. It is plain
// data.
type Past struct {
	Pieces []Piece `json:"pieces,omitempty"`
	// Uppers are the bounds of the histograms in the pieces; a piece with other bounds drops those before it.
	Uppers []float64 `json:"uppers,omitempty"` // seconds; the last bucket, +Inf, is left out
	Open   *astern.Sample
}

// Piece is some seconds of it, in single precision: its counts are differences, and far below 2^24 or rounded as one.
type Piece struct {
	From    int64     `json:"f"`           // milliseconds since 1970
	Lasts   int32     `json:"s"`           // milliseconds
	A       [2]Group  `json:"g"`           // both halves; the second has no members where there is but one
	Buckets []float32 `json:"b,omitempty"` // cumulative, those of the first half, then those of the second
}

// Group is what one half did.
type Group struct {
	Total   float32 `json:"t"`
	Bad     float32 `json:"x,omitempty"`
	Members int16   `json:"m"`
}

// Add takes in a sample of halves. One that could not be counted ends the piece that is being made.
func (p *Past) Add(s astern.Sample) {
	if s.Candidate == nil && s.Control == nil {
		p.Open = nil
		return
	}
	if o := p.Open; o != nil && (s.From.After(o.To) || s.From.Before(o.From) || shape(o.Candidate) != shape(s.Candidate) || shape(o.Control) != shape(s.Control)) {
		p.Open = nil
	}
	if p.Open == nil {
		p.Open = &astern.Sample{From: s.From, To: s.To, Candidate: cloned(s.Candidate), Control: cloned(s.Control)}
	} else {
		p.Open.To = s.To
		add(p.Open.Candidate, s.Candidate)
		add(p.Open.Control, s.Control)
	}
	if p.Open.To.Sub(p.Open.From) >= pieceNew {
		p.keep(*p.Open)
		p.Open = nil
	}
}

// groupShape is what two samples must have in common to be added up.
type groupShape struct{ members, buckets int }

func shape(c *astern.Counts) groupShape {
	if c == nil {
		return groupShape{}
	}
	return groupShape{c.Members, len(c.Buckets)}
}

func cloned(c *astern.Counts) *astern.Counts {
	if c == nil {
		return nil
	}
	out := *c
	out.Buckets = slices.Clone(c.Buckets)
	return &out
}

func add(to, c *astern.Counts) {
	if to == nil || c == nil {
		return
	}
	to.Total, to.Bad = to.Total+c.Total, to.Bad+c.Bad
	for i := range to.Buckets {
		to.Buckets[i].Count += c.Buckets[i].Count
	}
}

func (p *Past) keep(s astern.Sample) {
	piece := Piece{From: s.From.UnixMilli(), Lasts: int32(s.To.UnixMilli() - s.From.UnixMilli())}
	uppers := []float64(nil)
	for i, c := range []*astern.Counts{s.Candidate, s.Control} {
		if c == nil {
			continue
		}
		piece.A[i] = Group{float32(c.Total), float32(c.Bad), int16(min(c.Members, 1<<14))}
		uppers = boundsOf(c.Buckets)
		for _, b := range c.Buckets {
			piece.Buckets = append(piece.Buckets, float32(b.Count))
		}
	}
	if s.Candidate != nil && s.Control != nil && !slices.Equal(boundsOf(s.Candidate.Buckets), boundsOf(s.Control.Buckets)) {
		piece.Buckets, uppers = nil, nil // native histograms: their buckets come and go
	}
	if !slices.Equal(uppers, p.Uppers) {
		p.Uppers = uppers
		for i := range p.Pieces {
			p.Pieces[i].Buckets = nil
		}
	}
	for n := len(p.Pieces); n > 0 && p.Pieces[n-1].From+int64(p.Pieces[n-1].Lasts) > piece.From; n-- {
		p.Pieces = p.Pieces[:n-1] // of a clock that was ahead, and was set back
	}
	p.Pieces = append(p.Pieces, piece)
	p.merge()
	oldest := s.To.Add(-pastAge).UnixMilli()
	if i := slices.IndexFunc(p.Pieces, func(x Piece) bool { return x.From >= oldest }); i > 0 {
		p.Pieces = slices.Delete(p.Pieces, 0, i)
	}
}

// merge joins pieces that are no longer among the newest with the one before them, as long as both are small and nothing lies
// between them.
func (p *Past) merge() {
	i := len(p.Pieces) - piecesNew - 1
	if i < 1 {
		return
	}
	a, b := &p.Pieces[i-1], &p.Pieces[i]
	if int64(a.Lasts) >= pieceOld.Milliseconds() || a.From+int64(a.Lasts) != b.From || a.A[0].Members != b.A[0].Members || a.A[1].Members != b.A[1].Members ||
		len(a.Buckets) != len(b.Buckets) {
		return
	}
	a.Lasts += b.Lasts
	for k := range a.A {
		a.A[k].Total, a.A[k].Bad = a.A[k].Total+b.A[k].Total, a.A[k].Bad+b.A[k].Bad
	}
	for k := range a.Buckets {
		a.Buckets[k] += b.Buckets[k]
	}
	p.Pieces = slices.Delete(p.Pieces, i, i+1)
}

func boundsOf(buckets []astern.Bucket) []float64 {
	var out []float64
	for _, b := range buckets {
		if b.Upper != nil {
			out = append(out, *b.Upper)
		}
	}
	return out
}

// Samples returns what was kept and had ended before a moment, as internal/detect measures it.
func (p *Past) Samples(before time.Time) []astern.Sample {
	out := make([]astern.Sample, 0, len(p.Pieces))
	for i := range p.Pieces {
		if s := p.sample(&p.Pieces[i]); !s.To.After(before) {
			out = append(out, s)
		}
	}
	return out
}

func (p *Past) sample(x *Piece) astern.Sample {
	from := time.UnixMilli(x.From).UTC()
	s := astern.Sample{From: from, To: from.Add(time.Duration(x.Lasts) * time.Millisecond)}
	rest := x.Buckets
	for i, g := range x.A {
		if g.Members == 0 {
			continue
		}
		c := &astern.Counts{Total: float64(g.Total), Bad: float64(g.Bad), Members: int(g.Members)}
		if n := len(p.Uppers) + 1; len(rest) >= n {
			for j, count := range rest[:n] {
				b := astern.Bucket{Count: float64(count)}
				if j < len(p.Uppers) {
					b.Upper = &p.Uppers[j]
				}
				c.Buckets = append(c.Buckets, b)
			}
			rest = rest[n:]
		}
		if i == 0 {
			s.Candidate = c
		} else {
			s.Control = c
		}
	}
	return s
}

// Seconds returns how much of it was counted.
func (p *Past) Seconds() float64 {
	sum := 0.0
	for _, x := range p.Pieces {
		sum += float64(x.Lasts) / 1000
	}
	return sum
}
