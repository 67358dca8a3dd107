package view

import "strings"

// column of a table. A column with wrap may break its cells at spaces; one with spill moves, labelled, to a line below
// its row when the table would be wider than the output. The last columns move first.
type column struct {
	head  string
	right bool
	wrap  bool
	spill bool
}

// row of a table: its cells, and lines that belong below it.
type row struct {
	cells []text
	below []text
}

func cells(parts ...any) row {
	r := row{}
	for _, p := range parts {
		r.cells = append(r.cells, tx(p))
	}
	return r
}

const gap = 2

// table prints rows in columns. Nothing is ever cut: what does not fit is wrapped or moved below.
func (p *printer) table(indent int, cols []column, rows []row) {
	avail := p.st.width() - indent
	shown := make([]bool, len(cols))
	natural, least := make([]int, len(cols)), make([]int, len(cols))
	for i, c := range cols {
		shown[i] = true
		natural[i], least[i] = tx(c.head).width(), tx(c.head).longestWord()
		for _, r := range rows {
			natural[i] = max(natural[i], r.cells[i].width())
			least[i] = max(least[i], r.cells[i].longestWord())
		}
		if !c.wrap {
			least[i] = natural[i]
		}
		natural[i], least[i] = min(natural[i], avail), min(least[i], avail)
	}
	for i := len(cols) - 1; i >= 0 && total(least, shown) > avail; i-- {
		if cols[i].spill {
			shown[i] = false
		}
	}
	widths := fit(natural, least, shown, avail)
	head := row{}
	for _, c := range cols {
		head.cells = append(head.cells, tx(strong(c.head)))
	}
	p.tableRow(indent, cols, head, shown, widths)
	for _, r := range rows {
		p.tableRow(indent, cols, r, shown, widths)
		var spilled text
		for i, c := range cols {
			if !shown[i] && r.cells[i].width() > 0 && r.cells[i].plain() != "-" {
				if spilled != nil {
					spilled = append(spilled, dim(" · "))
				}
				spilled = append(append(spilled, dim(strings.ToLower(c.head)+" ")), r.cells[i]...)
			}
		}
		if spilled != nil {
			p.item(indent+2, "", spilled)
		}
		for _, b := range r.below {
			p.item(indent+2, "", b)
		}
	}
}

func total(widths []int, shown []bool) int {
	n := -gap
	for i, w := range widths {
		if shown[i] {
			n += w + gap
		}
	}
	return n
}

// fit narrows the widest columns until the table fits: first down to their longest words, then by breaking words.
func fit(natural, least []int, shown []bool, avail int) []int {
	widths := append([]int(nil), natural...)
	for _, floor := range [][]int{least, make([]int, len(least))} {
		for total(widths, shown) > avail {
			widest := -1
			for i, w := range widths {
				if shown[i] && w > max(floor[i], 4) && (widest < 0 || w > widths[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			widths[widest]--
		}
	}
	return widths
}

func (p *printer) tableRow(indent int, cols []column, r row, shown []bool, widths []int) {
	wrapped := make([][]text, len(cols))
	height := 0
	for i := range cols {
		if shown[i] {
			wrapped[i] = r.cells[i].wrap(widths[i])
			height = max(height, len(wrapped[i]))
		}
	}
	for k := range height {
		out := tx(strings.Repeat(" ", indent))
		for i, c := range cols {
			if !shown[i] {
				continue
			}
			var cell text
			if k < len(wrapped[i]) {
				cell = wrapped[i][k]
			}
			space := tx(strings.Repeat(" ", max(widths[i]-cell.width(), 0)))
			if c.right {
				cell = append(space, cell...)
			} else {
				cell = append(append(text{}, cell...), space...)
			}
			out = append(append(out, cell...), span{strings.Repeat(" ", gap), rolePlain})
		}
		p.raw(out)
	}
}
