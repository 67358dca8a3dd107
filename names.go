package astern

import (
	"regexp"
	"strings"
)

var (
	revisionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)
	memberName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	plainName    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

// ValidRevision reports whether s can be the name of a revision. It holds no "+", which joins the revisions of a mixed
// state, and nothing that a shell, a path or an option would read; a kind whose revisions are folders refuses ":" too.
func ValidRevision(s string) bool { return revisionName.MatchString(s) && !strings.Contains(s, "..") }

// ValidMember reports whether s can be the name of a member, an instance or a host.
func ValidMember(s string) bool { return memberName.MatchString(s) && !strings.Contains(s, "..") }

// ValidName reports whether s can be the name of a component or an environment.
func ValidName(s string) bool { return plainName.MatchString(s) }
