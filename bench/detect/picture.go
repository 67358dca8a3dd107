package main

import (
	"fmt"
	"math"
	"strings"
)

// picture is docs/detect.svg: the medians at 100 and 1,000 requests a second, on a logarithmic scale of seconds.
func (c *comparison) picture() string {
	const width, height, left, top, bottom = 860.0, 420.0, 60.0, 50.0, 360.0
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%.0f" height="%.0f" fill="#fff"/>`+"\n", width, height)
	y := func(seconds float64) float64 {
		return bottom - (bottom-top)*math.Log(math.Min(seconds, longest)/tick)/math.Log(longest/tick)
	}
	for panel, rps := range []float64{100, 1000} {
		x0 := left + float64(panel)*400
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" font-weight="bold">%.0f requests/s: median time to decide</text>`+"\n", x0, top-18, rps)
		for _, mark := range []struct {
			at   float64
			name string
		}{{5, "5 s"}, {15, "15 s"}, {60, "1 min"}, {300, "5 min"}, {1200, "20 min"}, {3600, "1 h"}, {longest, "never in 2 h"}} {
			fmt.Fprintf(&b, `<path d="M%.0f %.1fH%.0f" stroke="#ddd"/>`, x0, y(mark.at), x0+330)
			if panel == 0 || mark.at == longest {
				fmt.Fprintf(&b, `<text x="%.0f" y="%.1f" text-anchor="end" fill="#555">%s</text>`, x0-6+80*b2f(mark.at == longest), y(mark.at)+4-8*b2f(mark.at == longest), mark.name)
			}
			b.WriteString("\n")
		}
		column := 0
		for _, one := range c.cells {
			if one.rps != rps {
				continue
			}
			x := x0 + 40 + float64(column)*65
			fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" text-anchor="middle">+%g</text>`+"\n", x, bottom+18, math.Round(one.size*1000)/10)
			for i, s := range c.series(one) {
				fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="5" fill="%s"><title>%s: %s</title></circle>`+"\n", x+float64(i-2)*7, y(s.at), s.colour, s.name, took(s.at))
			}
			column++
		}
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" fill="#555">regression, in percentage points of errors</text>`+"\n", x0+70, bottom+34)
	}
	for i, s := range c.series(c.cells[0]) {
		fmt.Fprintf(&b, `<circle cx="%.0f" cy="%.0f" r="5" fill="%s"/><text x="%.0f" y="%.0f">%s</text>`+"\n", left+float64(i)*160, height-10, s.colour, left+float64(i)*160+9, height-6, s.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

type dot struct {
	name, colour string
	at           float64
}

func (c *comparison) series(one cell) []dot {
	return []dot{
		{"astern, guaranteed", "#0b6e4f", one.median[0]},
		{"astern, at 1 % false", "#6bbf59", one.median[1]},
		{"best threshold, 1 % false", "#d1495b", c.best(one, threshold)},
		{"Mann-Whitney, 1 % false", "#edae49", c.best(one, rank)},
		{"Flagger, as documented", "#30638e", one.median[3]},
	}
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
