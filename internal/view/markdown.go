package view

import "strings"

// md escapes a value for running text in Markdown: nothing in it becomes markup, HTML or a new line.
func md(s string) string {
	s = clean(s)
	var b strings.Builder
	for _, r := range s {
		switch {
		case strings.ContainsRune("\\`*_[]|~$!", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// EscapeMarkdown makes a value safe for running text in Markdown.
func EscapeMarkdown(s string) string { return md(s) }

// mdStart is md for a value that begins a line or a list item, where more characters mean something.
func mdStart(s string) string {
	s = md(s)
	n := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if n < len(s) && (n == 0 && strings.ContainsRune("#+-=:", rune(s[0])) || n > 0 && strings.ContainsRune(".)", rune(s[n]))) {
		return s[:n] + `\` + s[n:]
	}
	return s
}

// longestRun is the longest run of backticks in s.
func longestRun(s string) int {
	longest, n := 0, 0
	for _, r := range s {
		if r != '`' {
			n = 0
			continue
		}
		n++
		longest = max(longest, n)
	}
	return longest
}

// mdCode writes a value as inline code, whatever it holds.
func mdCode(s string) string {
	s = clean(s)
	if s == "" {
		return "(empty)"
	}
	ticks := strings.Repeat("`", longestRun(s)+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return ticks + s + ticks
}

// mdCell writes inline code for a cell of a table, in which a pipe ends the cell even inside code.
func mdCell(s string) string { return strings.ReplaceAll(mdCode(s), "|", `\|`) }

// mdBlock writes a block of shell code, indented to belong to a list item. Lines of a command stay lines; other control
// characters are made visible.
func mdBlock(indent string, code string) string {
	fence := strings.Repeat("`", max(longestRun(code)+1, 3))
	var b strings.Builder
	b.WriteString(indent + fence + "sh\n")
	for l := range strings.SplitSeq(strings.TrimRight(code, "\n"), "\n") {
		b.WriteString(indent + clean(l) + "\n")
	}
	b.WriteString(indent + fence + "\n")
	return b.String()
}
