package astern

import (
	"regexp"
	"strings"
)

var (
	revisionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]*$`)
	memberName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	plainName    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
)

// The longest names, in bytes. They are not part of the expressions: a counted repetition is slow to compile, and every
// start of astern would pay for it.
const (
	longestRevision = 128
	longestName     = 63
)

// ValidRevision reports whether s can be the name of a revision. It holds no "+", which joins the revisions of a mixed
// state, and nothing that a shell, a path or an option would read; a kind whose revisions are folders refuses ":" too.
func ValidRevision(s string) bool {
	return len(s) <= longestRevision && revisionName.MatchString(s) && !strings.Contains(s, "..")
}

// ValidMember reports whether s can be the name of a member, an instance or a host.
func ValidMember(s string) bool {
	return len(s) <= longestName && memberName.MatchString(s) && !strings.Contains(s, "..")
}

// ValidName reports whether s can be the name of a component or an environment.
func ValidName(s string) bool { return len(s) <= longestName && plainName.MatchString(s) }
