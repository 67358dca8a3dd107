package notify

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/astern-dev/astern"
)

// Bounds of what is sent: receivers have their own (Slack takes 3,000 characters a block, PagerDuty 1,024 a summary), and
// nobody reads more on a phone.
const (
	maxTitle = 250
	maxLine  = 500
	maxLines = 10
	maxTold  = 20
)

// clean makes text from names and reasons fit to be sent: valid UTF-8, printable, one line, at most n characters.
func clean(s string, n int) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		s = string(r[:n-1]) + "…"
	}
	return s
}

// title is the message in one line.
func (m Message) title() string {
	n := m[len(m)-1]
	out := clean(n.Title, maxTitle)
	if n.Severity != "" {
		out = clean(n.Severity, maxTitle) + " " + out
	}
	if len(m) > 1 {
		out += fmt.Sprintf(" (and %d before)", len(m)-1)
	}
	return clean(n.System, maxTitle) + ": " + out
}

// lines say more: of a single notice its lines, of several one line each, the newest last.
func (m Message) lines() []string {
	var out []string
	told := m
	if len(m) == 1 {
		for _, l := range m[0].Lines[:min(len(m[0].Lines), maxLines)] {
			out = append(out, clean(l, maxLine))
		}
		if more := len(m[0].Lines) - maxLines; more > 0 {
			out = append(out, fmt.Sprintf("and %d more", more))
		}
		return out
	}
	if more := len(told) - maxTold; more > 0 {
		out = append(out, fmt.Sprintf("and %d before them", more))
		told = told[more:]
	}
	for _, n := range told {
		line := n.At.UTC().Format("15:04:05Z ") + clean(n.Title, maxTitle)
		if len(n.Lines) > 0 {
			line += ": " + clean(n.Lines[0], maxLine)
		}
		out = append(out, line)
	}
	return out
}

// fields are what is known of the last notice beside its text.
func (m Message) fields() [][2]string {
	n := m[len(m)-1]
	var out [][2]string
	add := func(name, value string) {
		if value != "" {
			out = append(out, [2]string{name, clean(value, maxLine)})
		}
	}
	add("at", n.At.UTC().Format(time.RFC3339))
	add("about", strings.Join(n.Addresses, ", "))
	add("by", n.By)
	add("next", n.Command)
	return out
}

// merged is the message as one notice: of several the last one, with a line for each.
func (m Message) merged() astern.Notice {
	n := m[len(m)-1]
	n.ID = m[0].ID
	return n
}
