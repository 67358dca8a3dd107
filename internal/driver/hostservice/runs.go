package hostservice

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// A link says what an instance will run when it is started again, not what it runs: somebody may have moved the link and
// not restarted it, or the restart failed. What a process runs is told, the surest first, by
//
//   - its program or its working directory, where they lie in a release: the system shows them without the links on the way;
//   - the processes that a swap noted in the history: one that was there before it runs what was linked before;
//   - its age: it runs what is linked, unless the link was put in place after it was started. Then nothing tells.

// sameMoment is by how much a process may seem older than its link and still have been started after it: clocks of a machine
// are read one after another, count in hundredths of a second, and are set by small steps.
const sameMoment = time.Second

// runs returns the revision under which an instance's process was started, "" for none, or why it is not known.
func (s sight) runs(name string, p process, link linkSeen) (revision, unknown string) {
	if in := s.releaseOf(p.exe); in != "" {
		return in, ""
	}
	if before, ok := s.before(name, p.identity); ok {
		return before, ""
	}
	works := s.releaseOf(p.cwd)
	dated := !p.started.IsZero() && !link.changed.IsZero()
	older := dated && p.started.Before(link.changed.Add(-sameMoment))
	younger := dated && p.started.After(link.changed.Add(sameMoment))
	switch {
	case works == link.revision, link.revision == "":
		return works, ""
	case works == "" && older:
		return "", fmt.Sprintf("its link was put to %s at %s, its process is older, and nothing tells which release that runs",
			link.revision, link.changed.UTC().Format("2006-01-02 15:04:05Z"))
	case works == "":
		return link.revision, ""
	case younger:
		return "", fmt.Sprintf("its process works in %s and was started after its link was put to %s", works, link.revision)
	}
	return works, ""
}

// releaseOf returns the release in which a path lies, as the system shows it for a process: "" when it lies in none.
func (s sight) releaseOf(at string) string {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(at, " (deleted)"), path.Clean(s.real)+"/")
	revision, _, _ := strings.Cut(rest, "/")
	if s.real == "" || !ok || !goodRevision(revision) {
		return ""
	}
	return revision
}

// before returns what was linked before the first swap that found the process there already; ok is false when none did.
func (s sight) before(name, identity string) (revision string, ok bool) {
	for i := len(s.history) - 1; i >= 0; i-- {
		h := s.history[i]
		if !h.of(name) {
			continue
		}
		if h.Processes[name] != identity {
			break
		}
		revision, ok = h.From, true
	}
	return revision, ok
}
