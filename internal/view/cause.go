package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// shortCause is how short words that several lines end with may be, in bytes, before they are left where they are.
const shortCause = 24

// commonCause returns the words with which the lines of several components end, from behind a colon: what one cause did to all of
// them; and of how many. It returns "" when no two components share any; else the words that most of them share, the longest of these.
func commonCause(components [][]string) (cause string, of int) {
	sharing := map[string]int{}
	for _, lines := range components {
		seen := map[string]bool{}
		for _, line := range lines {
			for at := 0; ; {
				next := strings.Index(line[at:], ": ")
				if next < 0 {
					break
				}
				at += next + 2
				if end := line[at:]; len(end) >= shortCause && !seen[end] {
					seen[end] = true
					sharing[end]++
				}
			}
		}
	}
	var ends []string
	for end, n := range sharing {
		if n > 1 {
			ends = append(ends, end)
		}
	}
	if len(ends) == 0 {
		return "", 0
	}
	cause = slices.MinFunc(ends, func(a, b string) int {
		return cmp.Or(cmp.Compare(sharing[b], sharing[a]), cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	return cause, sharing[cause]
}

// cause prints what several components have in common, above them.
func (p *printer) cause(cause string, of, all int) {
	if cause != "" {
		p.field("unknown", warn("? "), strong(fmt.Sprintf("%d of %s", of, plural(int64(all), "component"))), ": ", cause)
	}
}

// tells reports whether a finding is more than that something is unknown: a fault stays where it was found.
func tells(finding string) bool {
	return !strings.HasPrefix(finding, "what runs now") && !strings.HasPrefix(finding, "whether there is a way back is unknown")
}

// withoutCause leaves the common cause out of lines: it stands above.
func withoutCause(lines []string, cause string) []string {
	if cause == "" {
		return lines
	}
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = line
		if before, ok := strings.CutSuffix(line, ": "+cause); ok {
			out[i] = before + " (as above)"
		}
	}
	return out
}
