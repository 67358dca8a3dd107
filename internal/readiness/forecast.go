package readiness

import (
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// At returns the targets as they will be at a later time if nothing is deployed or pruned until then: those of which a door
// has closed by date are broken. What is proven counts as proven again by then, and a door that leaves something changes
// nothing.
func At(targets []astern.Target, when time.Time) []astern.Target {
	out := slices.Clone(targets)
	for i, t := range out {
		var open []astern.Door
		for _, d := range t.Doors {
			if d.At == nil || d.At.After(when) || d.Leaves != "" {
				open = append(open, d)
				continue
			}
			e := astern.Evidence{What: "gone since " + d.At.UTC().Format("2 January 2006") + ": " + d.What, Readiness: astern.Broken}
			for _, seen := range t.Evidence { // the door was seen with the rest
				if e.Seen.Before(seen.Seen) {
					e.Seen = seen.Seen
				}
			}
			out[i].Readiness, out[i].Evidence = astern.Broken, append(slices.Clone(out[i].Evidence), e)
		}
		out[i].Doors = open
	}
	return out
}

// Dies returns the way back that is the last to go by date, and the door that closes it, if nothing is deployed until then. It
// is false when there is no way back now, or when none of them ends by date.
func Dies(targets []astern.Target, runs astern.Value) (last astern.Target, door astern.Door, ends bool) {
	last, ok := WayBack(targets, runs)
	if !ok {
		return astern.Target{}, astern.Door{}, false
	}
	var closing []astern.Door
	for _, t := range targets {
		for _, d := range t.Doors {
			if d.At != nil && d.Leaves == "" {
				closing = append(closing, d)
			}
		}
	}
	slices.SortStableFunc(closing, func(x, y astern.Door) int { return x.At.Compare(*y.At) })
	for _, d := range closing {
		back, ok := WayBack(At(targets, *d.At), runs)
		if !ok {
			return last, d, true
		}
		last = back
	}
	return astern.Target{}, astern.Door{}, false
}

// Needing returns the revisions of the targets that rest on a resource: those that name it; where none does, those that rest
// on something in it, where it is a folder or a prefix (which end with a slash), or on a folder that it is in.
func Needing(targets []astern.Target, resource string) []string {
	fits := func(related func(need string) bool) (out []string) {
		for _, t := range targets {
			if slices.ContainsFunc(t.Needs, related) {
				out = append(out, t.Revision)
			}
		}
		return out
	}
	if named := fits(func(need string) bool { return need == resource }); len(named) > 0 {
		return named
	}
	return fits(func(need string) bool { return within(resource, need) || within(need, resource) })
}

// Without returns the targets as they are once the revisions named are gone.
func Without(targets []astern.Target, revisions []string) []astern.Target {
	return slices.DeleteFunc(slices.Clone(targets), func(t astern.Target) bool { return !t.Current && slices.Contains(revisions, t.Revision) })
}

// within reports whether a resource lies in a folder.
func within(folder, resource string) bool {
	return len(folder) > 1 && strings.HasSuffix(folder, "/") && strings.HasPrefix(resource, folder)
}
