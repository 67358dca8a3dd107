package astern

import (
	"sort"
	"strings"
	"time"
)

// Value is one observed value: known, with the time it was seen, or unknown, with the reason.
type Value struct {
	// Text is the value; it means nothing when Unknown is set.
	Text string `json:"text,omitempty"`
	// Unknown is the reason why the value could not be read; empty when it is known.
	Unknown string    `json:"unknown,omitempty"`
	At      time.Time `json:"at"`
}

// Known reports whether the value was read.
func (v Value) Known() bool { return v.Unknown == "" }

// String returns the text, or "unknown (reason)".
func (v Value) String() string {
	if v.Known() {
		return v.Text
	}
	return "unknown (" + v.Unknown + ")"
}

// State is what a driver saw of one component: flat, path -> value. Paths are segments joined by "/". The segment
// {member} in a path stands for each member of a fleet. A path that is not in Values was looked for and is absent.
type State struct {
	Address string           `json:"address"`
	Values  map[string]Value `json:"values"`
}

// Get returns the value at the path; ok is false when it is absent.
func (s State) Get(path string) (v Value, ok bool) {
	v, ok = s.Values[path]
	return v, ok
}

// Newest returns when the newest of its values was seen, zero when there is none.
func (s State) Newest() time.Time {
	var at time.Time
	for _, v := range s.Values {
		if at.Before(v.At) {
			at = v.At
		}
	}
	return at
}

// Under returns the paths below prefix (without a trailing slash), sorted.
func (s State) Under(prefix string) []string {
	var out []string
	for p := range s.Values {
		if strings.HasPrefix(p, prefix+"/") {
			out = append(out, p)
		}
	}
	sort.Strings(out)
	return out
}

// MemberPath replaces the segment {member} in a path, a title or a printed command by the member's name.
func MemberPath(pattern, member string) string {
	return strings.ReplaceAll(pattern, "{member}", member)
}

// Every kind that keeps revisions shows the content hash of each at release/REVISION or, where each member has its own
// copy, at MEMBER/release/REVISION; what runs at revision (mixed: joined by "+"); what a member would be started under at
// MEMBER/link, what its process, identified at MEMBER/process, was started under at MEMBER/runs; where it is reached at MEMBER/address; what the cloud calls a
// revision at version/REVISION; the highest fence that acted on it at MEMBER/fence, and who did at MEMBER/claim (see Claim);
// at turn the place where one is moved at a time, in words that are equal for all that take turns there; where
// a revision's name is counted by each account, at content what tells instead that two are the same thing, and that at content/REVISION
// (see Same).

// Runs returns what a member runs: what its process was started under, unknown where that can't be told; what its link says
// where no process runs, or none can be seen. ok is false when there is neither.
func (s State) Runs(member string) (v Value, ok bool) {
	link, linked := s.Get(member + "/link")
	runs, told := s.Get(member + "/runs")
	process, running := s.Get(member + "/process")
	if told && (runs.Known() || running && process.Known() && (!linked || link.Known())) {
		return runs, true
	}
	return link, linked
}

// Version returns what the cloud calls the revision, at version/REVISION: the number of a function's version, say; "" where it
// is not known or there is none.
func (s State) Version(revision string) string {
	v, ok := s.Get("version/" + revision)
	if !ok || !v.Known() {
		return ""
	}
	return v.Text
}

// Same returns what a revision holds, in words that are equal for revisions of other accounts that hold the same. Counted is false
// for a kind whose revisions are told by their names. It returns an error that says why nothing tells it.
func (s State) Same(revision string) (content string, counted bool, err error) {
	what, counted := s.Get("content")
	if !counted {
		return "", false, nil
	}
	switch v, ok := s.Get("content/" + revision); {
	case !ok:
		return "", true, Errorf(Refused, "what %s of %s holds can't be told by its name, which is counted, nor by %s", revision, s.Address, what.Text)
	case !v.Known():
		return "", true, Errorf(Refused, "what %s of %s holds can't be compared: %s", revision, s.Address, v.Unknown)
	default:
		return v.Text, true, nil
	}
}

// Unrecorded begins the name of what a component serves, where the component keeps records of its own and has none of that.
const Unrecorded = "unrecorded-"

// ContentHash returns the hash of a revision's content when it is known and the same everywhere.
func (s State) ContentHash(revision string) (hash string, ok bool) {
	for path, v := range s.Values {
		if path != "release/"+revision && !strings.HasSuffix(path, "/release/"+revision) {
			continue
		}
		if !v.Known() || hash != "" && v.Text != hash {
			return "", false
		}
		hash = v.Text
	}
	return hash, hash != ""
}
