package hostservice

import (
	"path"
	"regexp"
	"strings"
	"unicode"
)

var (
	revisionShape    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	nameShape        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	segmentShape     = regexp.MustCompile(`^[A-Za-z0-9._{}@+][A-Za-z0-9._{}@+-]{0,127}$`)
	unitShape        = regexp.MustCompile(`^[A-Za-z0-9:_.{}][A-Za-z0-9:_.\\@{}-]{0,254}$`)
	placeholderShape = regexp.MustCompile(`\{[a-z_]+\}`)
	tokenShape       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,199}$`)
	addressShape     = regexp.MustCompile(`^[A-Za-z0-9\[][A-Za-z0-9._:\[\]%/-]{0,254}$`)
)

// goodRevision reports whether s is a revision's name: it then is one segment of a path and no option of a command.
func goodRevision(s string) bool { return revisionShape.MatchString(s) && !strings.Contains(s, "..") }

func goodName(s string) bool { return nameShape.MatchString(s) && !strings.Contains(s, "..") }

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

// oneLine makes text fit for a state's value or an error.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.TrimSpace(s))
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
