package astern

import "strings"

// The longest names, in bytes.
const (
	longestRevision = 128
	longestName     = 63
)

// ValidRevision reports whether s can be the name of a revision. It holds no "+", which joins the revisions of a mixed
// state, and nothing that a shell, a path or an option would read; a kind whose revisions are folders refuses ":" too.
func ValidRevision(s string) bool {
	return len(s) <= longestRevision && made(s, alphanumeric, "._:-") && !strings.Contains(s, "..")
}

// ValidMember reports whether s can be the name of a member, an instance or a host.
func ValidMember(s string) bool {
	return len(s) <= longestName && made(s, alphanumeric, "._-") && !strings.Contains(s, "..")
}

// ValidName reports whether s can be the name of a component or an environment.
func ValidName(s string) bool { return len(s) <= longestName && made(s, lowerAlphanumeric, "-") }

// made reports whether s is not empty, begins with one of the first letters, and goes on with these or the others. It is
// no regular expression because a plan of many members asks it for each of them.
func made(s string, first func(byte) bool, others string) bool {
	for i := range len(s) {
		if !first(s[i]) && (i == 0 || strings.IndexByte(others, s[i]) < 0) {
			return false
		}
	}
	return s != ""
}

func alphanumeric(c byte) bool { return lowerAlphanumeric(c) || c >= 'A' && c <= 'Z' }

func lowerAlphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
