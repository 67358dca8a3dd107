package hostservice

import (
	"path"
	"strings"
	"unicode"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
	"github.com/astern-dev/astern/internal/secret"
)

var (
	segmentShape     = shape{pattern.New(`^[A-Za-z0-9._{}@+][A-Za-z0-9._{}@+-]*$`), 128}
	unitShape        = shape{pattern.New(`^[A-Za-z0-9:_.{}][A-Za-z0-9:_.\\@{}-]*$`), 255}
	placeholderShape = pattern.New(`\{[a-z_]+\}`)
	tokenShape       = shape{pattern.New(`^[A-Za-z0-9][A-Za-z0-9._@+-]*$`), 200}
	addressShape     = shape{pattern.New(`^[A-Za-z0-9\[][A-Za-z0-9._:\[\]%/-]*$`), 255}
)

// shape is what a text may look like, and its greatest length in bytes. The length is no part of the expression: a
// counted repetition is slow to compile, and every start of astern would pay for it.
type shape struct {
	expression *pattern.Pattern
	longest    int
}

// MatchString reports whether s has the shape.
func (h shape) MatchString(s string) bool { return len(s) <= h.longest && h.expression.MatchString(s) }

// goodRevision reports whether s is a revision's name: it then is one segment of a path and no option of a command.
func goodRevision(s string) bool { return astern.ValidRevision(s) && !strings.Contains(s, ":") }

func goodName(s string) bool { return astern.ValidMember(s) }

// goodBelow reports whether s is a path below a root: relative, clean, of plain segments.
func goodBelow(s string) bool {
	if s == "" || s != path.Clean(s) || path.IsAbs(s) {
		return false
	}
	for _, seg := range strings.Split(s, "/") {
		if seg == ".." || seg == "." || !segmentShape.MatchString(seg) {
			return false
		}
	}
	return true
}

// goodAbsolute reports whether s is an absolute, clean path other than /, without control characters.
func goodAbsolute(s string) bool {
	return path.IsAbs(s) && s == path.Clean(s) && s != "/" && !strings.ContainsFunc(s, unicode.IsControl)
}

// said is what a command of the user's printed, fit to be shown and kept.
func said(text string) string { return oneLine(secret.Mask(text)) }

// oneLine makes text fit for a state's value or an error.
func oneLine(s string) string {
	if s = strings.TrimSpace(s); len(s) <= 300 && plain(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// plain reports whether s is of ASCII's printable characters alone.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
