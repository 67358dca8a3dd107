package view

import (
	"fmt"
	"io"
	"strings"
)

// printer collects the lines of one rendering and writes them at once.
type printer struct {
	st Style
	b  strings.Builder
}

func newPrinter(st Style) *printer { return &printer{st: st} }

// flush writes what was collected.
func (p *printer) flush(w io.Writer) error {
	if _, err := io.WriteString(w, p.b.String()); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}

func (p *printer) blank() { p.b.WriteByte('\n') }

// raw prints one line without wrapping.
func (p *printer) raw(t text) {
	p.b.WriteString(trimRight(t).render(p.st.Color))
	p.b.WriteByte('\n')
}

// line prints a paragraph from the first column.
func (p *printer) line(parts ...any) { p.item(0, "", parts...) }

// item prints a paragraph after a mark; further lines are indented to where the text began.
func (p *printer) item(indent int, mark any, parts ...any) {
	head := tx(strings.Repeat(" ", indent), mark)
	hang := min(head.width(), p.st.width()/2)
	for i, l := range tx(parts...).wrap(p.st.width() - hang) {
		if i > 0 {
			head = tx(strings.Repeat(" ", hang))
		}
		p.raw(append(head, l...))
	}
}

// labelWidth is the column at which the value of a field begins.
const labelWidth = 13

// field prints "label  value" with the values aligned.
func (p *printer) field(label string, parts ...any) {
	l := dim(label)
	pad := strings.Repeat(" ", max(labelWidth-2-tx(l).width(), 1))
	p.item(2, tx(l, pad), parts...)
}

// command prints a command that a person may copy: never wrapped, never cut.
func (p *printer) command(indent int, cmd string) {
	p.raw(tx(strings.Repeat(" ", indent), accent(p.st.Command(cmd))))
}

// next prints the commands that a person may type next.
func (p *printer) next(commands []string) {
	for i, c := range commands {
		label := "next"
		if i > 0 {
			label = ""
		}
		p.raw(tx("  ", dim(pad(label, labelWidth-2)), accent(p.st.Command(c))))
	}
}

func pad(s string, width int) string {
	if n := width - tx(s).width(); n > 0 {
		return s + strings.Repeat(" ", n)
	}
	return s
}
