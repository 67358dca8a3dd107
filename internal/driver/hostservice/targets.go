package hostservice

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// router is the driver's Router. It is pure: what it remembers follows from what it is given.
type router struct{ known *resolved }

// Targets returns every release folder seen on any host and every revision of the history, the newest first.
func (r router) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	sp, err := r.known.resolve(c)
	if err != nil {
		return nil
	}
	v := view{sp: sp, s: s, h: h}
	v.seen = v.latest()
	v.current = v.only()
	v.firsts = firsts(sp.places)
	way := sp.way(sp.places[0])
	v.unfindable = way.unit == "" && way.status == nil && way.pidFile == ""
	v.onHosts = map[string][]place{}
	for _, p := range sp.places {
		v.onHosts[p.host] = append(v.onHosts[p.host], p)
	}
	revisions := v.revisions()
	doors := v.doors(revisions)
	out := make([]astern.Target, len(revisions))
	spread(len(revisions), func(i int) {
		rev := revisions[i]
		d, _ := h.Of(rev)
		out[i] = astern.Target{Address: c.Address(), Revision: rev, Hash: d.Hash, DeployedAt: deployedAt(d),
			KnownGoodAt: d.KnownGoodAt, Current: rev == v.current, Latched: d.Latched, Evidence: v.evidence(rev, d),
			Needs: []string{sp.releases + "/" + rev + "/"}}
		if door, ok := doors[rev]; ok {
			out[i].Doors = []astern.Door{door}
		}
	})
	return out
}

// view is a component with its state and history, for judging its targets.
type view struct {
	sp      spec
	s       astern.State
	h       astern.History
	seen    time.Time // of the newest value
	current string    // "" when the members run several revisions
	onHosts map[string][]place
	firsts  []place // of each host
	// unfindable says that nothing tells whether a process runs.
	unfindable bool
}

func (v view) latest() time.Time {
	var at time.Time
	for _, val := range v.s.Values {
		if at.Before(val.At) {
			at = val.At
		}
	}
	return at
}

// only returns the one revision that all members run, as far as their hosts could be asked; "" where they run several, or
// where what one runs can't be told.
func (v view) only() string {
	current := ""
	for _, p := range v.sp.places {
		link, linked := v.s.Get(p.name + "/link")
		runs, ok := v.s.Runs(p.name)
		switch {
		case linked && !link.Known():
			continue
		case !ok, !runs.Known(), current != "" && current != runs.Text:
			return ""
		}
		current = runs.Text
	}
	return current
}

func deployedAt(d astern.Deployment) *time.Time {
	if d.LastAt != nil {
		return d.LastAt
	}
	return d.FirstAt
}

// revisions returns every revision, the newest first: by the last deployment, then by the folder's time, then by name.
func (v view) revisions() []string {
	age := map[string]time.Time{}
	members := map[string]bool{}
	for _, p := range v.sp.places {
		members[p.name] = true
	}
	// One pass over all that was seen: a look below each member would make a service of thousands slow.
	for path, val := range v.s.Values {
		member, what, _ := strings.Cut(path, "/")
		if rev, ok := strings.CutPrefix(what, "release-time/"); ok && members[member] {
			at, _ := time.Parse(time.RFC3339, val.Text) // what is no time tells none
			age[rev] = later(age[rev], at)
		} else if rev, ok := strings.CutPrefix(what, "release/"); ok && members[member] {
			age[rev] = later(age[rev], time.Time{}) // there, though nothing tells its time
		}
	}
	for _, d := range v.h.Deployments {
		if at := deployedAt(d); at != nil {
			age[d.Revision] = *at
		} else if _, ok := age[d.Revision]; !ok {
			age[d.Revision] = time.Time{}
		}
	}
	out := make([]string, 0, len(age))
	for rev := range age {
		if goodRevision(rev) {
			out = append(out, rev)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if a, b := age[out[i]], age[out[j]]; !a.Equal(b) {
			return a.After(b)
		}
		return out[i] > out[j]
	})
	return out
}

// evidence returns what speaks for and against a revision.
func (v view) evidence(rev string, d astern.Deployment) []astern.Evidence {
	const usual = 4
	out := make([]astern.Evidence, 0, usual)
	add := func(r astern.Readiness, at time.Time, format string, args ...any) {
		if at.IsZero() {
			at = v.seen
		}
		out = append(out, astern.Evidence{What: oneLine(fmt.Sprintf(format, args...)), Readiness: r, Seen: at})
	}
	byHash := map[string][]string{}
	for _, p := range v.firsts {
		v.onHost(rev, d, p, byHash, add)
		v.hindrances(p.host, add)
	}
	if len(byHash) > 1 && d.Hash == "" {
		var parts []string
		for _, hash := range sortedKeys(byHash) {
			parts = append(parts, short(hash)+" on "+strings.Join(byHash[hash], ", "))
		}
		add(astern.Broken, time.Time{}, "the hosts have different files: %s", strings.Join(parts, "; "))
	}
	if len(byHash) > 0 && d.Hash == "" {
		add(astern.AtRisk, time.Time{}, "no content hash was recorded when it was deployed: a change of its files can't be told")
	}
	switch {
	case d.KnownGoodAt != nil:
		add(astern.Ready, *d.KnownGoodAt, "it completed its watch")
	default:
		add(astern.AtRisk, time.Time{}, "it never completed a watch")
	}
	if v.unfindable {
		add(astern.AtRisk, time.Time{}, "after a crash a restart can't be found again: declare status or pid_file")
	}
	return out
}

// onHost adds the evidence that one host gives: the folder is there, with the files that were recorded.
func (v view) onHost(rev string, d astern.Deployment, p place, byHash map[string][]string,
	add func(astern.Readiness, time.Time, string, ...any)) {
	member, name := p.name, p.host
	listed, asked := v.s.Get(member + "/releases")
	hash, has := v.s.Get(member + "/release/" + rev)
	_, timed := v.s.Get(member + "/release-time/" + rev)
	switch {
	case !asked:
		add(astern.ReadyUnknown, time.Time{}, "the releases on %s were not looked at", name)
	case !listed.Known():
		add(astern.ReadyUnknown, listed.At, "the releases on %s could not be seen: %s", name, listed.Unknown)
	case !has && !timed:
		if src, ok := v.s.Get("source/" + rev); ok && src.Known() && (d.Hash == "" || d.Hash == src.Text) {
			add(astern.AtRisk, src.At, "the release folder is not on %s; it would be copied from %s", name, forRevision(v.sp.source, rev))
			return
		}
		add(astern.Broken, listed.At, "the release folder %s/%s is not on %s", v.sp.releases, rev, name)
	case has && !hash.Known() && strings.HasSuffix(hash.Unknown, outside):
		add(astern.Broken, hash.At, "the release on %s can't be trusted: %s", name, hash.Unknown)
	case has && !hash.Known():
		add(astern.ReadyUnknown, hash.At, "the files on %s could not be compared: %s", name, hash.Unknown)
	case !has:
		add(astern.ReadyUnknown, listed.At, "the files on %s were not compared", name)
	case d.Hash != "" && d.Hash != hash.Text:
		byHash[hash.Text] = append(byHash[hash.Text], name)
		add(astern.Broken, hash.At, "the files on %s were changed: %s was recorded, %s is there", name, short(d.Hash), short(hash.Text))
	default:
		byHash[hash.Text] = append(byHash[hash.Text], name)
		what := "the release folder is on %s"
		if d.Hash != "" {
			what += ", its files are as recorded"
		}
		if _, proven := v.s.Get(member + "/release-read/" + rev); proven {
			what += " (unchanged since they were read " + ago(v.seen.Sub(hash.At)) + ")"
		}
		add(astern.Ready, hash.At, what, name)
	}
}

// ago words an age, roughly.
func ago(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// short returns the beginning of a hash, enough to tell two apart.
func short(hash string) string {
	hash = strings.TrimPrefix(hash, "sha256:")
	return hash[:min(12, len(hash))]
}

// doors tells which further deployment removes which release folder by the retention rule. What runs is kept always and
// counts as the newest: it was put there last.
func (v view) doors(revisions []string) map[string]astern.Door {
	out := map[string]astern.Door{}
	if v.sp.Retention == nil {
		return out
	}
	running := map[string]bool{}
	there := map[string]bool{}
	for _, p := range v.sp.places {
		for _, path := range []string{"/link", "/runs"} { // what runs, and what would be started
			if val, ok := v.s.Get(p.name + path); ok && val.Known() {
				running[val.Text] = true
			}
		}
		if listed, ok := v.s.Get(p.name + "/releases"); ok && listed.Known() {
			for _, rev := range strings.Fields(listed.Text) {
				there[rev] = true
			}
		}
	}
	var kept []string
	for _, rev := range revisions {
		if there[rev] && !running[rev] {
			kept = append(kept, rev)
		}
	}
	keep := v.sp.Retention.Keep
	for i, rev := range kept {
		further := max(1, keep-len(running)-i)
		out[rev] = astern.Door{Deployments: further, What: fmt.Sprintf("retention keeps %s: %s further deployment removes %s",
			releases(keep), ordinal(further), rev)}
	}
	return out
}

func releases(n int) string {
	if n == 1 {
		return "1 release"
	}
	return fmt.Sprintf("%d releases", n)
}

func ordinal(n int) string {
	words := []string{"", "the first", "a second", "a third", "a fourth", "a fifth", "a sixth", "a seventh", "an eighth", "a ninth", "a tenth"}
	if n < len(words) {
		return words[n]
	}
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		suffix = []string{"th", "st", "nd", "rd", "th", "th", "th", "th", "th", "th"}[n%10]
	}
	return fmt.Sprintf("the %d%s", n, suffix)
}

// whatRuns returns the distinct revisions that members run, sorted. What can't be told is left out: a revision that is not
// known to run is not known to be bad.
func whatRuns(sp spec, s astern.State) []string {
	var out []string
	for _, p := range sp.places {
		if runs, ok := s.Runs(p.name); ok && runs.Known() && !slices.Contains(out, runs.Text) {
			out = append(out, runs.Text)
		}
	}
	slices.Sort(out)
	return out
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
