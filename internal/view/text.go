package view

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes every character visible that could move the cursor, break a line, hide text or turn its direction:
// control and format characters, exotic spaces and bytes that are not UTF-8.
func clean(s string) string {
	if isClean(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += n
	}
	return b.String()
}

// isClean reports whether every character shows as it is. Nearly all text is plain ASCII, which needs no tables.
func isClean(s string) bool {
	for _, r := range s {
		if (r < ' ' || r > '~') && (!unicode.IsPrint(r) || r == utf8.RuneError) {
			return false
		}
	}
	return true
}

// wide are the ranges of characters that take two columns of a terminal.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{{0x1100, 0x115f, 1}, {0x2e80, 0x303e, 1}, {0x3041, 0xa4cf, 1}, {0xac00, 0xd7a3, 1},
		{0xf900, 0xfaff, 1}, {0xfe30, 0xfe6f, 1}, {0xff00, 0xff60, 1}, {0xffe0, 0xffe6, 1}},
	R32: []unicode.Range32{{0x1f300, 0x1f64f, 1}, {0x1f680, 0x1f6ff, 1}, {0x1f900, 0x1faff, 1}, {0x20000, 0x3fffd, 1}},
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// span is a piece of clean text with one role; text is a sequence of them.
type span struct {
	s string
	r role
}

type text []span

// tx joins strings, spans and texts; strings are cleaned.
func tx(parts ...any) text {
	t := make(text, 0, len(parts))
	for _, p := range parts {
		switch p := p.(type) {
		case nil:
		case span:
			t = append(t, p)
		case text:
			t = append(t, p...)
		case string:
			t = append(t, span{clean(p), rolePlain})
		default:
			t = append(t, span{clean(fmt.Sprint(p)), rolePlain})
		}
	}
	return t
}

func good(s string) span   { return span{clean(s), roleGood} }
func warn(s string) span   { return span{clean(s), roleWarn} }
func bad(s string) span    { return span{clean(s), roleBad} }
func accent(s string) span { return span{clean(s), roleAccent} }
func dim(s string) span    { return span{clean(s), roleDim} }
func strong(s string) span { return span{clean(s), roleStrong} }

func (t text) width() int {
	n := 0
	for _, s := range t {
		for _, r := range s.s {
			n += runeWidth(r)
		}
	}
	return n
}

func (t text) plain() string {
	if len(t) == 1 {
		return t[0].s
	}
	var b strings.Builder
	for _, s := range t {
		b.WriteString(s.s)
	}
	return b.String()
}

// longestWord is the width below which the text can't be wrapped well.
func (t text) longestWord() int {
	longest, n := 0, 0
	g := t.glyphs()
	for i, x := range g {
		if x.c == ' ' && !glued(g, i) {
			n = 0
			continue
		}
		n += runeWidth(x.c)
		longest = max(longest, n)
	}
	return longest
}

// glued reports whether the space at i stands between a number and its unit, or the next group of its digits.
func glued(g []glyph, i int) bool {
	return i > 0 && i+1 < len(g) && unicode.IsDigit(g[i-1].c) && (unicode.IsLetter(g[i+1].c) || unicode.IsDigit(g[i+1].c))
}

// glyph is a character with its role, the unit of wrapping.
type glyph struct {
	c rune
	r role
}

func (t text) glyphs() []glyph {
	n := 0
	for _, s := range t {
		n += len(s.s)
	}
	g := make([]glyph, 0, n)
	for _, s := range t {
		for _, c := range s.s {
			g = append(g, glyph{c, s.r})
		}
	}
	return g
}

func joinGlyphs(g []glyph) text {
	var t text
	var b []byte
	for i, x := range g {
		b = utf8.AppendRune(b, x.c)
		if i+1 == len(g) || g[i+1].r != x.r {
			t = append(t, span{string(b), x.r})
			b = b[:0]
		}
	}
	return t
}

// wrap breaks the text at its spaces into lines of at most width columns; a word that is longer is broken.
func (t text) wrap(width int) []text {
	width = max(width, 2)
	if t.width() <= width {
		return []text{t}
	}
	var lines []text
	rest := t.glyphs()
	for len(rest) > 0 {
		n, w, space, poor := 0, 0, -1, -1
		for n < len(rest) {
			cw := runeWidth(rest[n].c)
			switch {
			case rest[n].c != ' ' || n == 0:
			case glued(rest, n):
				poor = n
			default:
				space = n
			}
			if w+cw > width {
				break
			}
			w += cw
			n++
		}
		if space < 0 {
			space = poor
		}
		if n < len(rest) && space > 0 {
			n = space
		}
		lines = append(lines, joinGlyphs(rest[:n]))
		for rest = rest[n:]; len(rest) > 0 && rest[0].c == ' '; {
			rest = rest[1:]
		}
	}
	return lines
}

// cut shortens the text to width columns, with an ellipsis when something was left out.
func (t text) cut(width int) text {
	if t.width() <= width {
		return t
	}
	g := t.glyphs()
	w := 0
	for i, x := range g {
		if w+runeWidth(x.c) > width-1 {
			return append(joinGlyphs(g[:i]), span{"…", roleDim})
		}
		w += runeWidth(x.c)
	}
	return t
}

func (t text) render(color bool) string {
	if !color {
		return t.plain()
	}
	var b strings.Builder
	for _, s := range t {
		if code := theme[s.r]; code != "" && s.s != "" {
			b.WriteString("\x1b[" + code + "m" + s.s + "\x1b[0m")
		} else {
			b.WriteString(s.s)
		}
	}
	return b.String()
}

// trimRight drops spaces at the end of a line, also before colour codes.
func trimRight(t text) text {
	if n := len(t); n > 0 && t[n-1].s != "" && !strings.HasSuffix(t[n-1].s, " ") {
		return t
	}
	for i := len(t) - 1; i >= 0; i-- {
		if s := strings.TrimRight(t[i].s, " "); s != "" {
			return append(append(text{}, t[:i]...), span{s, t[i].r})
		}
	}
	return nil
}
