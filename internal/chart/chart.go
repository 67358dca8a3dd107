// Package chart draws a signal over time as SVG: both groups as lines, the bounds of the difference as a band of its own,
// and marks where something was done. It is pure; what it returns holds no script and refers to nothing outside.
package chart

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// Mark is something that was done at a moment.
type Mark struct {
	At   time.Time
	Text string
}

// Size of a picture, and of its two panels, in pixels.
const (
	width, height = 720, 300
	left, right   = 64, 12
	valuesTop     = 24
	valuesBottom  = 180
	boundsTop     = 204
	boundsBottom  = 276
)

// panel maps times and values to pixels.
type panel struct {
	from, to    time.Time
	low, high   float64
	top, bottom float64
}

func (p panel) x(at time.Time) float64 {
	span := p.to.Sub(p.from).Seconds()
	if span <= 0 {
		return left
	}
	return left + (width-left-right)*min(1, max(0, at.Sub(p.from).Seconds()/span))
}

func (p panel) y(v float64) float64 {
	if p.high <= p.low {
		return p.bottom
	}
	return p.bottom - (p.bottom-p.top)*min(1, max(0, (v-p.low)/(p.high-p.low)))
}

// Series draws one signal with its marks; "" when it has no point. Names are made safe for HTML.
func Series(s astern.Series, marks []Mark) string {
	if len(s.Points) == 0 {
		return ""
	}
	from, to := s.Points[0].At, s.Points[len(s.Points)-1].At
	values := panel{from, to, 0, extent(s.Points, func(p astern.Point) []*float64 { return []*float64{p.Candidate, p.Control} }), valuesTop, valuesBottom}
	reach := max(extent(s.Points, func(p astern.Point) []*float64 { return []*float64{p.Low, p.High} }), math.Abs(s.Margin))
	bounds := panel{from, to, -reach, reach, boundsTop, boundsBottom}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, height, html.EscapeString(visible(s.Name)))
	fmt.Fprintf(&b, "\n<title>%s</title>\n", html.EscapeString(visible(s.Name)))
	values.axis(&b, s.Unit)
	if slices.ContainsFunc(s.Points, func(p astern.Point) bool { return usable(p.Low) && usable(p.High) }) { // latency is judged in another unit than people read
		bounds.axis(&b, s.Unit)
		bounds.rule(&b, 0, "zero")
		if s.Margin > 0 {
			bounds.rule(&b, s.Margin, "margin")
		}
		bounds.band(&b, s.Points)
	}
	values.line(&b, s.Points, "control", func(p astern.Point) *float64 { return p.Control })
	values.line(&b, s.Points, "candidate", func(p astern.Point) *float64 { return p.Candidate })
	for _, m := range marks {
		if m.At.Before(from) || m.At.After(to) {
			continue
		}
		x := number(values.x(m.At))
		fmt.Fprintf(&b, `<g class="mark"><title>%s %s</title><line x1="%s" x2="%s" y1="%d" y2="%d"/></g>`+"\n",
			m.At.UTC().Format("15:04:05Z"), html.EscapeString(visible(m.Text)), x, x, valuesTop, boundsBottom)
	}
	for _, at := range []time.Time{from, to} {
		anchor := map[bool]string{true: "start", false: "end"}[at.Equal(from)]
		fmt.Fprintf(&b, `<text class="tick" x="%s" y="%d" text-anchor="%s">%s</text>`+"\n", number(values.x(at)), height-6, anchor, at.UTC().Format("15:04:05Z"))
	}
	b.WriteString("</svg>")
	return b.String()
}

// extent is the largest distance from zero, at least something.
func extent(points []astern.Point, of func(astern.Point) []*float64) float64 {
	most := 0.0
	for _, p := range points {
		for _, v := range of(p) {
			if usable(v) {
				most = max(most, math.Abs(*v))
			}
		}
	}
	if most == 0 {
		return 1
	}
	return most
}

func usable(v *float64) bool { return v != nil && !math.IsNaN(*v) && !math.IsInf(*v, 0) }

// line draws what is known as lines; where something is unknown there is a hole.
func (p panel) line(b *strings.Builder, points []astern.Point, class string, of func(astern.Point) *float64) {
	var path strings.Builder
	pen := "M"
	for _, q := range points {
		v := of(q)
		if !usable(v) {
			pen = "M"
			continue
		}
		path.WriteString(pen + number(p.x(q.At)) + " " + number(p.y(*v)))
		pen = "L"
	}
	if path.Len() > 0 {
		fmt.Fprintf(b, `<path class="%s" d="%s"/>`+"\n", class, path.String())
	}
}

// band fills what lies between the bounds.
func (p panel) band(b *strings.Builder, points []astern.Point) {
	for len(points) > 0 {
		n := 0
		for n < len(points) && usable(points[n].Low) && usable(points[n].High) {
			n++
		}
		if n > 1 {
			var path []string
			for _, q := range points[:n] {
				path = append(path, number(p.x(q.At))+","+number(p.y(*q.High)))
			}
			for i := n - 1; i >= 0; i-- {
				path = append(path, number(p.x(points[i].At))+","+number(p.y(*points[i].Low)))
			}
			fmt.Fprintf(b, `<polygon class="bounds" points="%s"/>`+"\n", strings.Join(path, " "))
		}
		points = points[min(n+1, len(points)):]
	}
}

func (p panel) axis(b *strings.Builder, unit string) {
	fmt.Fprintf(b, `<rect class="panel" x="%d" y="%s" width="%d" height="%s"/>`+"\n", left, number(p.top), width-left-right, number(p.bottom-p.top))
	for _, v := range []float64{p.low, p.high} {
		fmt.Fprintf(b, `<text class="tick" x="%d" y="%s" text-anchor="end">%s %s</text>`+"\n", left-6, number(p.y(v)+4), short(v), html.EscapeString(visible(unit)))
	}
}

func (p panel) rule(b *strings.Builder, v float64, class string) {
	fmt.Fprintf(b, `<line class="%s" x1="%d" x2="%d" y1="%s" y2="%s"/>`+"\n", class, left, width-right, number(p.y(v)), number(p.y(v)))
}

// number writes pixels to a tenth.
func number(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// short writes a value to three digits.
func short(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }

// visible leaves out what no page should hold: control characters.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
